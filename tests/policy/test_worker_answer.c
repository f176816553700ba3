#include "policy/worker_answer.h"

#include "crypto/base/fault.h"
#include "policy/spawner.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FILE_BYTES = 1000 };

static const struct privacy_detect detects[] = {{.entity = "EMAIL", .treatment = {.action = PRIVACY_REDACT}},
        {.entity = "IBAN", .treatment = {.action = PRIVACY_DROP_ROW}}};
static const struct privacy privacy = {.detects = detects, .detect_count = 2};
static const char *const columns[] = {"a"};
static const struct privacy_groups groups = {.columns = columns, .column_count = 1, .k = 2};

/* Of a worker that found an address, says where, and decided the rule on groups if it is asked. */
static struct check_result *an_answer(bool edits, bool decides) {
	struct check_result *result = NULL;
	const struct edit_dialect dialect = {.form = EDIT_TEXT};
	const struct edit edit = {.offset = 10, .length = 5};
	assert_int_equal(check_result_new(&result), 0);
	result->outcome = OUTCOME_PASSED;
	result->has_privacy = true;
	struct check_finding *finding = check_result_add_finding(result, "EMAIL", "mail");
	finding->action = PRIVACY_REDACT;
	finding->matches = finding->cells = edits ? 1 : 0;
	if (edits) {
		assert_int_equal(edit_list_new(&dialect, &result->edits), 0);
		assert_int_equal(edit_list_add(result->edits, &edit), 0);
	}
	if (decides)
		assert_non_null(check_result_add_rule(result, "k_anonymity \"a\" k = 2", OUTCOME_PASSED));
	return result;
}

static int read_answer(const struct check_job *job, struct check_result *result, bool again, const char *words) {
	_cleanup_(check_result_freep) struct check_result *back = NULL;
	_cleanup_(freep) char *json = NULL;
	size_t size;
	assert_int_equal(check_result_to_json(result, &json, &size), 0);
	struct bytes rows = result->withheld ? row_list_packed(result->withheld) : (struct bytes){0};
	struct bytes edits = result->edits ? edit_list_packed(result->edits) : (struct bytes){0};
	const struct spawn_lengths lengths = {(uint32_t)size, (uint32_t)rows.size, (uint32_t)edits.size};
	_cleanup_(freep) uint8_t *answer = malloc(sizeof lengths + size + rows.size + edits.size);
	assert_non_null(answer);
	memcpy(answer, &lengths, sizeof lengths);
	memcpy(answer + sizeof lengths, json, size);
	if (rows.size > 0)
		memcpy(answer + sizeof lengths + size, rows.data, rows.size);
	if (edits.size > 0)
		memcpy(answer + sizeof lengths + size + rows.size, edits.data, edits.size);
	size_t whole = sizeof lengths + size + rows.size + edits.size;
	int rc = worker_answer_read(job, again, FILE_BYTES, bytes_of(answer, whole), &back);
	if (rc < 0 && words && !strstr(fault_message(), words))
		fail_msg("said '%s', not '%s'", fault_message(), words);
	for (size_t cut = 0; cut < whole; cut++) {
		struct check_result *none = NULL;
		assert_int_equal(worker_answer_read(job, again, FILE_BYTES, bytes_of(answer, cut), &none), -EBADMSG);
	}
	check_result_free(result);
	return rc;
}

static void what_was_asked_for_is_taken(void **state) {
	(void)state;
	const struct check_job job = {.privacy = &privacy};
	const struct check_job grouped = {.privacy = &privacy, .groups = &groups, .group_count = 1};
	assert_int_equal(read_answer(&job, an_answer(true, false), true, NULL), 0);
	assert_int_equal(read_answer(&job, an_answer(false, false), true, NULL), 0);
	assert_int_equal(read_answer(&grouped, an_answer(false, true), true, NULL), 0);
	assert_int_equal(read_answer(&grouped, an_answer(true, false), true, NULL), 0); /* its output is asked */
}

static void what_nobody_asked_for_is_not(void **state) {
	(void)state;
	static const struct privacy_detect reported[] = {{.entity = "EMAIL", .treatment = {.action = PRIVACY_REPORT}}};
	static const struct privacy harmless = {.detects = reported, .detect_count = 1};
	const struct check_job job = {.privacy = &privacy}, unasked = {0}, reports = {.privacy = &harmless};
	const struct check_job grouped = {.privacy = &privacy, .groups = &groups, .group_count = 1};
	assert_int_equal(read_answer(&unasked, an_answer(true, false), true, "what personal data"), -EBADMSG);
	assert_int_equal(read_answer(&reports, an_answer(true, false), true, "changes the file"), -EBADMSG);
	assert_int_equal(read_answer(&job, an_answer(true, false), false, "changes the file"), -EBADMSG);
	assert_int_equal(read_answer(&grouped, an_answer(false, false), true, "does not decide k_anonymity"), -EBADMSG);
	struct check_result *silent = an_answer(true, false);
	edit_list_freep(&silent->edits);
	silent->edits = NULL;
	assert_int_equal(read_answer(&job, silent, true, "does not say where"), -EBADMSG);
	struct check_result *drops = an_answer(false, false);
	drops->privacy.dropped = 1;
	assert_int_equal(read_answer(&job, drops, true, "does not say which rows"), -EBADMSG);
	struct check_result *other = an_answer(true, false);
	other->privacy.findings[0].action = PRIVACY_REPORT;
	assert_int_equal(read_answer(&job, other, true, "nobody looks for"), -EBADMSG);
	struct check_result *unlooked = an_answer(false, false);
	unlooked->has_privacy = false;
	assert_non_null(check_result_add_rule(unlooked, "RowCount > 0", OUTCOME_PASSED));
	assert_int_equal(read_answer(&job, unlooked, true, "what personal data"), -EBADMSG);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_was_asked_for_is_taken),
	        cmocka_unit_test(what_nobody_asked_for_is_not),
	};
	return cmocka_run_group_tests_name("worker_answer", tests, NULL, NULL);
}
