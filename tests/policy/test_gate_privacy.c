/* Files that are published otherwise than they came, because of what personal data is in them. */
#include "policy/gate/internal.h"
#include "tests/policy/gate_world.h"

#define YAML(privacy, more)                                                                                 \
	"version: 1\ndatasets:\n  - name: animals\n    match: \"animals/*.csv\"\n    rules: animals.dqdl\n" \
	"    settle: 0s\n    privacy: " privacy "\n" more

#define ARRIVED "id;mail;State\r\n1;bob@example.com;Lost\r\n2;\"x \"\"ann@example.org\"\"\";Found\r\n3;;Found\r\n"
#define REDACTED "id;mail;State\r\n1;[EMAIL];Lost\r\n2;\"x \"\"[EMAIL]\"\"\";Found\r\n3;;Found\r\n"

static const char redact[] = YAML("{detect: EMAIL, action: redact}", "");
static const char anything[] = "Rules = [ RowCount > 0, ColumnValues \"mail\" matches \".*@.*\" with threshold > 0.5 ]";

/* Rules are asked of what came: what stands in its place would not meet them. */
static void a_file_is_published_with_what_was_found_redacted(void **state) {
	struct world *w = *state;
	open_with(w, redact, anything);
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	shows(w, "Raw/animals/a.csv", ARRIVED);
	shows(w, "Trusted/animals/a.csv", REDACTED);
	_cleanup_(verdict_freep) struct verdict *verdict = verdict_on(w, "Raw/animals/a.csv");
	assert_int_equal(verdict->check->outcome, OUTCOME_PASSED);
	assert_int_equal(verdict->check->privacy.findings[0].cells, 2);
	assert_int_equal(verdict->input.size, sizeof ARRIVED - 1);
	assert_int_equal(verdict->output.size, sizeof REDACTED - 1);
	assert_memory_not_equal(verdict->input.sha256, verdict->output.sha256, 32);
	_cleanup_(freep) char *text = NULL;
	assert_int_equal(verdict_text(verdict, &text), 0);
	const char *published = strstr(text, "\n  published: 66 bytes, sha256 ");
	if (sizeof REDACTED - 1 != 66 || !published || !strstr(text, "\n  file: 82 bytes, sha256 "))
		fail_msg("%zu bytes were published:\n%s", sizeof REDACTED - 1, text);
	put(w, "Landing/animals/a.csv", ARRIVED); /* the same again changes nothing */
	settle(w);
	assert_int_equal(versions_of(w, "Trusted/animals/a.csv"), 1);
}

/* Rules on groups of rows are counted as others are, also of a file that is changed. */
static void groups_that_are_as_they_should_be_are_among_the_rules(void **state) {
	struct world *w = *state;
	open_with(w, YAML("{detect: EMAIL, action: redact}", "    k_anonymity: {columns: [State], k: 2}\n"), anything);
	put(w, "Landing/animals/a.csv", "id,mail,State\n1,bob@example.com,Lost\n2,a@b,Lost\n3,c@d,Lost\n");
	settle(w);
	_cleanup_(verdict_freep) struct verdict *verdict = verdict_on(w, "Raw/animals/a.csv");
	_cleanup_(freep) char *text = NULL;
	assert_int_equal(verdict_text(verdict, &text), 0);
	assert_non_null(strstr(text, "all 3 rules passed"));
	assert_string_equal(verdict->check->rules[2].text, "k_anonymity \"State\" k = 2");
	assert_int_equal(verdict->check->rules[2].outcome, OUTCOME_PASSED);
}

static void what_is_refused_does_not_get_there(void **state) {
	struct world *w = *state;
	open_with(w, YAML("{detect: EMAIL}", ""), anything);
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_FAILED);
	assert_int_equal(quarantined(w), 1);
	assert_int_equal(staged(w, "animals/b.csv", ARRIVED), -EPERM);
	assert_non_null(strstr(fault_message(), "personal data: EMAIL in \"mail\" (2 cells, first in line 2)"));
	shows(w, "Trusted/animals/b.csv", NULL);
}

static void rows_are_withheld_and_the_others_changed(void **state) {
	struct world *w = *state;
	open_with(w, YAML("{detect: EMAIL, action: redact}", "    on_failure: split\n"),
	        "Rules = [ ColumnValues \"id\" != 1 ]");
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	shows(w, "Trusted/animals/a.csv", "id;mail;State\r\n2;\"x \"\"[EMAIL]\"\"\";Found\r\n3;;Found\r\n");
	assert_int_equal(quarantined(w), 1);
	_cleanup_(verdict_freep) struct verdict *verdict = verdict_on(w, "Raw/animals/a.csv");
	assert_int_equal(verdict->split->rows_quarantined, 1);
	assert_int_equal(verdict->check->privacy.findings[0].cells, 1);
}

/* Rows go for three reasons at once, and places in what is left of them are changed. */
static void rows_that_are_dropped_and_places_that_are_changed_do_not_get_mixed_up(void **state) {
	struct world *w = *state;
	open_with(w,
	        YAML("{detect: [EMAIL, {entity: CREDIT_CARD, action: drop_row}], action: redact}",
	                "    keep: \"State <> 'Gone'\"\n"),
	        "Rules = [ RowCount > 0 ]");
	put(w, "Landing/animals/a.csv",
	        "id,mail,State\n1,a@example.com,Gone\n2,b@example.com,Lost\n3,4111111111111111,Lost\n4,c@example.com,"
	        "Gone\n"
	        "5,d@example.com,Lost\n");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "id,mail,State\n2,[EMAIL],Lost\n5,[EMAIL],Lost\n");
	_cleanup_(verdict_freep) struct verdict *verdict = verdict_on(w, "Raw/animals/a.csv");
	assert_int_equal(verdict->check->dropped, 2);
	assert_int_equal(verdict->check->privacy.dropped, 1);
}

/* There is no second door: what is written into Trusted stands there as it was written, or not at all. */
static void a_write_into_trusted_is_not_changed_but_refused(void **state) {
	struct world *w = *state;
	open_with(w, redact, "Rules = [ RowCount > 0 ]");
	assert_int_equal(staged(w, "animals/a.csv", ARRIVED), -EPERM);
	assert_non_null(strstr(fault_message(), "only a file that comes by way of Landing is published otherwise"));
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(staged(w, "animals/a.csv", REDACTED), 0);
	shows(w, "Trusted/animals/a.csv", REDACTED);
}

static void a_waiver_does_not_let_out_what_would_be_changed(void **state) {
	struct world *w = *state;
	open_with(w, redact, "Rules = [ RowCount > 100 ]");
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_FAILED);
	struct gate_decision decision = {.id = 1,
	        .reason = "urgent",
	        .by = "anna",
	        .waiver_until_ns = meta_now(store_meta(w->store)) + INT64_C(3600000000000),
	        .actor = somebody};
	bool waived;
	assert_int_equal(gate_release(w->gate, &decision, &waived), -EPERM);
	assert_non_null(strstr(fault_message(), "the dataset's privacy would change what it holds"));
	shows(w, "Trusted/animals/a.csv", NULL);
	decision.waiver_until_ns = 0; /* nor is one advised */
	assert_int_equal(gate_release(w->gate, &decision, &waived), -EPERM);
	assert_null(strstr(fault_message(), "--waiver-until"));
	assert_non_null(strstr(fault_message(), "copy it into Landing again"));
}

/* Who renames a column does not get it past by a waiver either. */
static void a_waiver_does_not_let_out_what_was_not_looked_through(void **state) {
	struct world *w = *state;
	open_with(w, YAML("{detect: EMAIL, action: redact, columns: {notes: redact}}", ""), "Rules = [ RowCount > 0 ]");
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_FAILED);
	struct gate_decision decision = {.id = 1,
	        .reason = "urgent",
	        .by = "anna",
	        .waiver_until_ns = meta_now(store_meta(w->store)) + INT64_C(3600000000000),
	        .actor = somebody};
	bool waived;
	assert_int_equal(gate_release(w->gate, &decision, &waived), -EPERM);
	shows(w, "Trusted/animals/a.csv", NULL);
}

/* A share that is under the threshold of the whole is over it when rows are gone. */
static void rows_of_the_rest_are_not_lost_between_two_checks(void **state) {
	struct world *w = *state;
	open_with(w, YAML("{detect: EMAIL, action: drop_row, threshold: 0.5}", "    on_failure: split\n"),
	        "Rules = [ ColumnValues \"State\" != \"bad\" ]");
	put(w, "Landing/animals/a.csv", "id,mail,State\n1,a@example.com,ok\n2,x,bad\n3,x,bad\n4,x,ok\n");
	settle(w);
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_FAILED);
	_cleanup_(verdict_freep) struct verdict *verdict = verdict_on(w, "Raw/animals/a.csv");
	assert_non_null(strstr(verdict->check->reason, "1 of its rows would have to be left out"));
}

static void rows_that_are_dropped_are_not_among_those_published(void **state) {
	struct world *w = *state;
	open_with(w, YAML("{detect: EMAIL, action: drop_row}", "    on_failure: split\n"),
	        "Rules = [ ColumnValues \"State\" != \"bad\" ]");
	put(w, "Landing/animals/a.csv", "id,mail,State\n1,a@example.com,ok\n2,x,bad\n3,x,ok\n");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "id,mail,State\n3,x,ok\n");
	_cleanup_(verdict_freep) struct verdict *verdict = verdict_on(w, "Raw/animals/a.csv");
	assert_int_equal(verdict->split->rows_in, 3);
	assert_int_equal(verdict->split->rows_quarantined, 1);
	assert_int_equal(verdict->split->rows_out, 1);
	assert_int_equal(verdict->check->privacy.dropped, 1);
}

/* ---- judged again ---- */

static char recheck_reason[512];

static int take_rechecked(void *arg, const struct gate_rechecked *rechecked) {
	*(enum outcome *)arg = rechecked->then;
	if (rechecked->reason)
		(void)snprintf(recheck_reason, sizeof recheck_reason, "%s", rechecked->reason);
	return 0;
}

static void what_stands_there_changed_is_judged_by_what_it_was_made_of(void **state) {
	struct world *w = *state;
	enum outcome then = OUTCOME_NONE;
	open_with(w, redact, anything);
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	assert_int_equal(gate_recheck(w->gate, &somebody, take_rechecked, &then), 0);
	assert_int_equal(then, OUTCOME_PASSED);
	shows(w, "Trusted/animals/a.csv", REDACTED);
	/* a policy by which it would look otherwise, with a way to have that, and without one */
	size_t size = 0;
	uint8_t *with_workflow = world_archive(YAML("{detect: EMAIL, action: drop_row}",
	                                               "workflows:\n  - {name: again, dataset: animals, from: Raw, to: "
	                                               "Trusted, on: demand}\n"),
	        anything, &size);
	assert_int_equal(gate_foresee(w->gate, bytes_of(with_workflow, size), &somebody, take_rechecked, &then), 0);
	free(with_workflow);
	assert_non_null(strstr(recheck_reason, "; 'assayfs run again' publishes it anew"));
	uint8_t *archive = world_archive(YAML("{detect: EMAIL, action: drop_row}", ""), anything, &size);
	assert_int_equal(gate_foresee(w->gate, bytes_of(archive, size), &somebody, take_rechecked, &then), 0);
	free(archive);
	apply_rules(w, YAML("{detect: EMAIL, action: drop_row}", ""), anything);
	settle(w);
	assert_int_equal(gate_recheck(w->gate, &somebody, take_rechecked, &then), 0);
	assert_int_equal(then, OUTCOME_FAILED);
	assert_non_null(strstr(recheck_reason, "; copy the file, which Raw has, into Landing again"));
	shows(w, "Trusted/animals/a.csv", NULL);
}

/* A dry run tells what would become of a held file, with what comes behind its check. */
static void what_would_be_published_is_foreseen(void **state) {
	struct world *w = *state;
	static const struct {
		const char *yaml;
		enum outcome then;
	} cases[] = {
	        {redact, OUTCOME_PASSED},
	        {YAML("{detect: EMAIL, action: mask, keep_last: 16}", ""), OUTCOME_ERROR},
	        {YAML("{detect: EMAIL, action: redact}", "    k_anonymity: {columns: [State], k: 2}\n"),
	                OUTCOME_FAILED},
	        {YAML("{columns: {State: redact}}", "    k_anonymity: {columns: [State], k: 2}\n"), OUTCOME_PASSED},
	};
	open_with(w, YAML("{detect: EMAIL}", ""), anything);
	put(w, "Landing/animals/a.csv", "id;mail;State\n1;robert.smith@example.com;Lost\n2;ann@example.org;Found\n");
	settle(w);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t size = 0;
		enum outcome then = OUTCOME_NONE;
		uint8_t *archive = world_archive(cases[i].yaml, anything, &size);
		assert_int_equal(gate_foresee(w->gate, bytes_of(archive, size), &somebody, take_rechecked, &then), 0);
		free(archive);
		assert_int_equal(then, cases[i].then);
		assert_int_equal(quarantined(w), 1);
	}
}

/* ---- a worker that lies ---- */

static int read_all(struct check_input *input) {
	char buffer[4096];
	ssize_t got;
	while ((got = input->read(input->context, buffer, sizeof buffer)) > 0)
		;
	return (int)got;
}

static int pass(struct check_input *input, struct check_result *result) {
	int rc = read_all(input);
	result->outcome = OUTCOME_PASSED;
	result->has_privacy = true;
	result->privacy.sensitivity = SCAN_LOW;
	return rc < 0 || check_result_add_rule(result, "RowCount > 0", OUTCOME_PASSED) ? rc : -ENOMEM;
}

/* It says what it found, and not where. */
static int find_without_places(const struct check_job *job, struct check_input *input, struct check_result *result) {
	struct check_finding *finding = check_result_add_finding(result, "EMAIL", "mail");
	(void)job;
	if (!finding)
		return -ENOMEM;
	finding->action = PRIVACY_REDACT;
	finding->matches = finding->cells = 1;
	return pass(input, result);
}

/* It finds what nobody looks for, to have other bytes published. */
static int find_something_else(const struct check_job *job, struct check_input *input, struct check_result *result) {
	const struct edit_dialect dialect = {.form = EDIT_TEXT};
	const struct edit edit = {.offset = 1, .length = 3};
	struct check_finding *finding = check_result_add_finding(result, "URL", NULL);
	(void)job;
	if (!finding || edit_list_new(&dialect, &result->edits) < 0)
		return -ENOMEM;
	finding->action = PRIVACY_REDACT;
	finding->matches = finding->cells = 1;
	int rc = edit_list_add(result->edits, &edit);
	return rc < 0 ? rc : pass(input, result);
}

/* It lets a part of it be: the second one, which is another process, finds it. */
static int find_half(const struct check_job *job, struct check_input *input, struct check_result *result) {
	const struct edit_dialect dialect = {.form = EDIT_CSV, .quote = '"'};
	const struct edit edit = {.offset = 17, .length = 15};
	if (job->is_output)
		return check_table(job, input, result);
	struct check_finding *finding = check_result_add_finding(result, "EMAIL", "mail");
	if (!finding || edit_list_new(&dialect, &result->edits) < 0)
		return -ENOMEM;
	finding->action = PRIVACY_REDACT;
	finding->matches = finding->cells = 1;
	int rc = edit_list_add(result->edits, &edit);
	return rc < 0 ? rc : pass(input, result);
}

static void a_worker_that_lies_gets_nothing_published(void **state) {
	struct world *w = *state;
	static const struct {
		check_function *check;
		const char *words;
	} liars[] = {{find_without_places, "does not say where personal data is to be changed"},
	        {find_something_else, "it found what nobody looks for"},
	        {find_half, "what would be published still shows personal data: EMAIL in \"mail\" (1 cell, first in "
	                    "line 3)"}};
	for (size_t i = 0; i < sizeof liars / sizeof *liars; i++) {
		world_close(w);
		w->check = liars[i].check;
		world_open(w);
		apply_rules(w, redact, i % 2 ? anything : "Rules = [ RowCount > 0 ]");
		put(w, "Landing/animals/a.csv", ARRIVED);
		settle(w);
		assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_ERROR);
		_cleanup_(verdict_freep) struct verdict *verdict = verdict_on(w, "Raw/animals/a.csv");
		if (!strstr(verdict->check->reason, liars[i].words))
			fail_msg("said '%s'", verdict->check->reason);
		shows(w, "Trusted/animals/a.csv", NULL);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_file_is_published_with_what_was_found_redacted),
	        WORLD(groups_that_are_as_they_should_be_are_among_the_rules),
	        WORLD(what_is_refused_does_not_get_there),
	        WORLD(rows_are_withheld_and_the_others_changed),
	        WORLD(rows_that_are_dropped_and_places_that_are_changed_do_not_get_mixed_up),
	        WORLD(a_write_into_trusted_is_not_changed_but_refused),
	        WORLD(a_waiver_does_not_let_out_what_would_be_changed),
	        WORLD(a_waiver_does_not_let_out_what_was_not_looked_through),
	        WORLD(rows_of_the_rest_are_not_lost_between_two_checks),
	        WORLD(rows_that_are_dropped_are_not_among_those_published),
	        WORLD(what_stands_there_changed_is_judged_by_what_it_was_made_of),
	        WORLD(what_would_be_published_is_foreseen),
	        WORLD(a_worker_that_lies_gets_nothing_published),
	};
	return cmocka_run_group_tests_name("gate_privacy", tests, NULL, NULL);
}
