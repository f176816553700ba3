/* Files of which a dataset keeps some rows only. */
#include "policy/gate/internal.h"
#include "tests/policy/gate_world.h"

#define YAML(keep, more)                                                                                    \
	"version: 1\ndatasets:\n  - name: animals\n    match: \"animals/*.csv\"\n    rules: animals.dqdl\n" \
	"    settle: 0s\n    keep: \"" keep "\"\n" more

/* Blank lines, quotes, CRLF, rows that follow one another and one without newline at the end: what is published is the
 * file's own bytes. */
#define ARRIVED \
	"\xef\xbb\xbfid;State\r\n1;Lost\r\n2;\"Fo;\"\"und\"\r\n3;Found\n4;Found\r\n\r\n5;Lost\r\n6;Gone\r\n7;Found"
#define THE_KEPT "\xef\xbb\xbfid;State\r\n1;Lost\r\n2;\"Fo;\"\"und\"\r\n\r\n5;Lost\r\n6;Gone\r\n"

static int count_row(void *arg, const struct quarantine_row *row) {
	struct quarantine_row *last = arg;
	*last = *row;
	return 0;
}

static void a_file_is_published_without_the_rows_that_are_dropped(void **state) {
	struct world *w = *state;
	open_with(w, YAML("State <> 'Found'", ""), "Rules = [ RowCount = 4, ColumnValues \"id\" in [1,2,5,6] ]");
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	shows(w, "Raw/animals/a.csv", ARRIVED);
	shows(w, "Trusted/animals/a.csv", THE_KEPT);
	_cleanup_(verdict_freep) struct verdict *verdict = verdict_on(w, "Raw/animals/a.csv");
	assert_int_equal(verdict->check->outcome, OUTCOME_PASSED);
	assert_int_equal(verdict->check->rows, 4);
	assert_true(verdict->check->has_dropped);
	assert_int_equal(verdict->check->dropped, 3);
	assert_int_equal(verdict->input.size, sizeof ARRIVED - 1);
	assert_int_equal(verdict->output.size, sizeof THE_KEPT - 1);
	assert_memory_not_equal(verdict->input.sha256, verdict->output.sha256, 32);
	put(w, "Landing/animals/a.csv", ARRIVED); /* the same again changes nothing */
	settle(w);
	assert_int_equal(versions_of(w, "Trusted/animals/a.csv"), 1);
}

static void a_file_of_which_all_rows_are_kept_is_published_whole(void **state) {
	struct world *w = *state;
	open_with(w, YAML("id > 0", ""), "Rules = [ RowCount = 7 ]");
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	shows(w, "Trusted/animals/a.csv", ARRIVED);
	_cleanup_(verdict_freep) struct verdict *verdict = verdict_on(w, "Raw/animals/a.csv");
	assert_true(verdict->check->has_dropped);
	assert_int_equal(verdict->check->dropped, 0);
	assert_memory_equal(verdict->input.sha256, verdict->output.sha256, 32);
}

static void a_rule_that_the_kept_rows_break_refuses_the_file(void **state) {
	struct world *w = *state;
	open_with(w, YAML("State <> 'Found'", ""), "Rules = [ ColumnValues \"State\" in [\"Lost\",\"Found\"] ]");
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_FAILED);
}

static void a_keep_that_can_not_be_asked_lets_nothing_through(void **state) {
	struct world *w = *state;
	open_with(w, YAML("Breed <> 'Found'", ""), "Rules = [ RowCount >= 0 ]");
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_ERROR);
	_cleanup_(verdict_freep) struct verdict *verdict = verdict_on(w, "Raw/animals/a.csv");
	assert_non_null(strstr(verdict->check->reason, "the dataset's keep is invalid: no such column: Breed"));
}

/* Who writes there is told, since what would stand there is not what was written. */
static void a_write_into_trusted_is_refused_with_rows_that_are_dropped(void **state) {
	struct world *w = *state;
	open_with(w, YAML("State <> 'Found'", ""), "Rules = [ RowCount > 0 ]");
	assert_int_equal(staged(w, "animals/a.csv", ARRIVED), -EPERM);
	assert_non_null(strstr(fault_message(), "the dataset's keep drops 3 of its rows"));
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(staged(w, "animals/a.csv", THE_KEPT), 0);
	shows(w, "Trusted/animals/a.csv", THE_KEPT);
}

static void rows_that_are_dropped_are_not_held_beside_those_that_fail(void **state) {
	struct world *w = *state;
	struct quarantine_row held = {0};
	open_with(w, YAML("State <> 'Found'", "    on_failure: split\n"),
	        "Rules = [ ColumnValues \"State\" in [\"Lost\",\"Found\",\"Gone\"] ]");
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	shows(w, "Trusted/animals/a.csv", "\xef\xbb\xbfid;State\r\n1;Lost\r\n\r\n5;Lost\r\n6;Gone\r\n");
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, quarantine_list(m, 0, true, count_row, &held)), 0);
	assert_true(held.partial);
	_cleanup_(content_closep) Content *content = NULL;
	char text[1000] = "";
	size_t got = 0;
	assert_int_equal(content_open(w->store, held.node, held.version, &content), 0);
	assert_int_equal(content_read(content, 0, (uint8_t *)text, sizeof text - 1, &got), 0);
	assert_non_null(strstr(text, "\r\n3;"));
	assert_non_null(strstr(text, "2;\"Fo;\"\"und\"\r\n"));
	assert_null(strstr(text, "Found\r\n"));
	_cleanup_(verdict_freep) struct verdict *verdict = verdict_on(w, "Raw/animals/a.csv");
	assert_int_equal(verdict->check->dropped, 3);
	assert_int_equal(verdict->split->rows_in, 4);
	assert_int_equal(verdict->split->rows_quarantined, 1);
	assert_int_equal(verdict->split->rows_out, 3);
}

static ssize_t read_once(void *context, void *buffer, size_t size) {
	bool *was_read = context;
	if (*was_read || size == 0)
		return 0;
	*was_read = true;
	*(char *)buffer = 'a';
	return 1;
}

/* A worker that says it dropped rows, and not which, or drops where nobody asked. */
static int drops_in_silence(const struct check_job *job, struct check_input *input, struct check_result *result) {
	char buffer[4096];
	(void)job;
	while (input->read(input->context, buffer, sizeof buffer) > 0)
		;
	result->outcome = OUTCOME_PASSED;
	result->has_dropped = true;
	result->dropped = 1;
	return check_result_add_rule(result, "RowCount > 0", OUTCOME_PASSED) ? 0 : -ENOMEM;
}

static int drops_what_failed(const struct check_job *job, struct check_input *input, struct check_result *result) {
	static const size_t first[] = {0};
	int rc = drops_in_silence(job, input, result);
	if (rc == 0)
		rc = row_list_new(0, NULL, &result->withheld);
	return rc < 0 ? rc : row_list_add(result->withheld, 0, 1, 1, first, 1);
}

static void a_worker_that_drops_as_it_likes_is_not_believed(void **state) {
	(void)state;
	static const struct {
		check_function *check;
		const char *keep, *words;
	} cases[] = {{drops_in_silence, "a = 1", "does not say which rows"},
	        {drops_what_failed, "a = 1", "names rows that did not"},
	        {drops_in_silence, NULL, "nobody asked for that"}};
	for (size_t i = 0; i < 3; i++) {
		bool was_read = false;
		struct spawner_options options = {.check = cases[i].check};
		struct check_job job = {.dataset = "d",
		        .file_name = "a.csv",
		        .size = 1,
		        .rules = bytes_of_string("Rules = [ RowCount > 0 ]"),
		        .keep = cases[i].keep};
		struct check_request request = {.job = &job, .input = {.read = read_once, .context = &was_read}};
		struct check_outcome outcome = {0};
		Spawner *spawner = NULL;
		assert_int_equal(spawner_start(&options, &spawner), 0);
		assert_int_equal(spawner_check(spawner, &request, &outcome), 0);
		spawner_stop(spawner);
		assert_int_equal(outcome.result->outcome, OUTCOME_ERROR);
		if (!strstr(outcome.result->reason, cases[i].words))
			fail_msg("%s", outcome.result->reason);
		check_result_free(outcome.result);
	}
}

/* A waiver lets a file out as it stands: not with rows that the dataset does not keep. */
static void a_waiver_lets_no_dropped_row_out(void **state) {
	struct world *w = *state;
	bool waived = false;
	open_with(w, YAML("State <> 'Found'", ""), "Rules = [ RowCount > 100 ]");
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	shows(w, "Trusted/animals/a.csv", NULL);
	Meta *m = store_meta(w->store);
	struct gate_decision d = {.id = 1,
	        .reason = "late",
	        .by = "anna",
	        .actor = somebody,
	        .waiver_until_ns = meta_now(m) + INT64_C(3600000000000)};
	assert_int_equal(gate_release(w->gate, &d, &waived), -EPERM);
	assert_non_null(strstr(fault_message(), "keep drops 3 of its rows"));
	shows(w, "Trusted/animals/a.csv", NULL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_file_is_published_without_the_rows_that_are_dropped),
	        WORLD(a_waiver_lets_no_dropped_row_out),
	        WORLD(a_file_of_which_all_rows_are_kept_is_published_whole),
	        WORLD(a_rule_that_the_kept_rows_break_refuses_the_file),
	        WORLD(a_keep_that_can_not_be_asked_lets_nothing_through),
	        WORLD(a_write_into_trusted_is_refused_with_rows_that_are_dropped),
	        WORLD(rows_that_are_dropped_are_not_held_beside_those_that_fail),
	        cmocka_unit_test(a_worker_that_drops_as_it_likes_is_not_believed),
	};
	return cmocka_run_group_tests_name("gate_keep", tests, NULL, NULL);
}
