#include "policy/preview.h"

#include "crypto/base/fault.h"
#include "policy/policy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct source {
	const char *text;
	size_t at;
	int error; /* of reading again */
};

static ssize_t take(void *context, void *buffer, size_t size) {
	struct source *source = context;
	size_t left = strlen(source->text) - source->at, got = left < size ? left : size;
	got = got < 5 ? got : 5;
	memcpy(buffer, source->text + source->at, got);
	source->at += got;
	return (ssize_t)got;
}

static int take_again(void *context) {
	struct source *source = context;
	source->at = 0;
	return source->error;
}

struct previewed {
	PolicyBundle *bundle;
	Policy *policy;
	struct source source;
	Preview *preview;
};

static int open_preview(struct previewed *p, const char *yaml, const char *text, bool is_once, int error) {
	char all[2048];
	*p = (struct previewed){.source = {.text = text, .error = error}};
	snprintf(all, sizeof all, "version: 1\ndatasets:\n  - name: d\n    match: \"**\"\n%s", yaml);
	assert_int_equal(policy_bundle_new(&p->bundle), 0);
	assert_int_equal(policy_bundle_put(p->bundle, BUNDLE_POLICY, bytes_of_string(all)), 0);
	assert_int_equal(
	        policy_bundle_put(p->bundle, "r.dqdl", bytes_of_string("Rules = [ ColumnValues \"id\" > 1 ]")), 0);
	if (policy_parse(p->bundle, &p->policy) < 0)
		fail_msg("%s", fault_message());
	const struct policy_dataset *dataset = policy_dataset(p->policy, 0);
	struct check_job job = check_job_for(dataset, "a.csv", strlen(text), 1000000000);
	const struct check_input input = {.read = take, .context = &p->source, .again = is_once ? NULL : take_again};
	job.may_split = dataset->on_failure == POLICY_SPLIT;
	return preview_new(&job, &input, &p->preview);
}

static void release(struct previewed *p) {
	preview_free(p->preview);
	policy_free(p->policy);
	policy_bundle_free(p->bundle);
}

static void expect_output(const char *yaml, const char *text, const char *expected) {
	_cleanup_(release) struct previewed p;
	if (open_preview(&p, yaml, text, false, 0) < 0)
		fail_msg("%s", fault_message());
	const struct check_result *result = preview_result(p.preview);
	if (result->outcome != OUTCOME_PASSED)
		fail_msg("%s", result->reason);
	for (int i = 0; i < 2; i++) {
		char output[256] = "";
		size_t size = 0;
		ssize_t got;
		struct check_input input;
		assert_int_equal(preview_input(p.preview, &input), 0);
		while ((got = input.read(input.context, output + size, sizeof output - 1 - size)) > 0)
			size += (size_t)got;
		assert_int_equal(got, 0);
		output[size] = 0;
		assert_string_equal(output, expected);
	}
}

static void what_would_be_published_is_made(void **state) {
	(void)state;
	expect_output("    privacy: {detect: EMAIL, action: redact}\n    keep: id <> 2\n",
	        "id,mail\n1,bob@example.com\n2,x\n3,y\n", "id,mail\n1,[EMAIL]\n3,y\n");
	expect_output("    privacy: {detect: EMAIL, action: drop_row}\n", "id,mail\n1,bob@example.com\n3,y\n",
	        "id,mail\n3,y\n");
	expect_output("    rules: r.dqdl\n", "id,a\n2,x\n", "id,a\n2,x\n");
	expect_output("    rules: r.dqdl\n    keep: id > 1\n", "id,a\n1,x\n2,x\n", "id,a\n2,x\n");
}

static void expect_not(const char *yaml, const char *text, bool is_once, enum outcome outcome, const char *words) {
	_cleanup_(release) struct previewed p;
	if (open_preview(&p, yaml, text, is_once, 0) < 0)
		fail_msg("%s", fault_message());
	const struct check_result *result = preview_result(p.preview);
	const char *said = outcome == OUTCOME_ERROR ? result->reason
	                   : result->warning_count  ? result->warnings[result->warning_count - 1]
	                                            : "";
	assert_int_equal(result->outcome, outcome);
	if (!strstr(said, words))
		fail_msg("'%s', not '%s'", said, words);
}

static void it_is_looked_through_again(void **state) {
	(void)state;
	expect_not("    privacy: {detect: EMAIL, action: mask, keep_last: 16}\n",
	        "id,mail\n1,robert.smith@example.com\n", false, OUTCOME_ERROR,
	        "what would be published still shows personal data");
	_cleanup_(release) struct previewed p;
	const char *yaml = "    privacy: {columns: {born: generalise}}\n    k_anonymity: {columns: [born], k: 2}\n";
	assert_int_equal(open_preview(&p, yaml, "born,a\n1980-01-02,x\n1980-03-04,y\n1981-01-02,z\n", false, 0), 0);
	const struct check_result *result = preview_result(p.preview);
	assert_int_equal(result->outcome, OUTCOME_FAILED);
	assert_int_equal(result->rule_count, 1);
	assert_int_equal(result->rules[0].outcome, OUTCOME_FAILED);
}

static void what_is_not_made_is_said(void **state) {
	(void)state;
	_cleanup_(release) struct previewed p;
	struct check_input input;
	assert_int_equal(open_preview(&p, "    rules: r.dqdl\n", "id,a\n2,x\n", true, 0), 0);
	assert_int_equal(preview_input(p.preview, &input), -ESPIPE);
	expect_not("    privacy: {detect: EMAIL, action: redact}\n", "id,mail\n1,bob@example.com\n", true,
	        OUTCOME_PASSED, "it can be read once only");
	expect_not("    privacy: {detect: EMAIL, action: redact}\n", "id,mail\n1,x\n", true, OUTCOME_PASSED, "");
	expect_not("    rules: r.dqdl\n    on_failure: split\n", "id,a\n1,x\n2,y\n3,z\n", false, OUTCOME_FAILED,
	        "in a vault 1 of its 3 rows would be withheld");
}

static void a_file_that_can_not_be_read_again_is_an_error(void **state) {
	(void)state;
	_cleanup_(release) struct previewed p;
	const char *yaml = "    privacy: {detect: EMAIL, action: redact}\n";
	int rc = open_preview(&p, yaml, "id,mail\n1,bob@example.com\n", false, -EBUSY);
	assert_true(rc == -EBUSY || (rc == 0 && preview_result(p.preview)->outcome == OUTCOME_ERROR));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_would_be_published_is_made),
	        cmocka_unit_test(it_is_looked_through_again),
	        cmocka_unit_test(what_is_not_made_is_said),
	        cmocka_unit_test(a_file_that_can_not_be_read_again_is_an_error),
	};
	return cmocka_run_group_tests_name("preview", tests, NULL, NULL);
}
