/* What a check is told about its columns, and what it tells of its rows. */
#include "policy/check.h"

#include "crypto/base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct world {
	const char *text;  /* of the file */
	const char *later; /* what a second reading finds; NULL: the same */
	const char *left;
	char told[1000];
	bool ended;
	bool full; /* the rows can't be written */
};

static ssize_t read_text(void *context, void *buffer, size_t size) {
	struct world *world = context;
	size_t count = strlen(world->left) < size ? strlen(world->left) : size;
	memcpy(buffer, world->left, count);
	world->left += count;
	return (ssize_t)count;
}

static int read_again(void *context, struct check_input *ret_input) {
	struct world *world = context;
	world->left = world->later ? world->later : world->text;
	*ret_input = (struct check_input){.read = read_text, .context = world};
	return 0;
}

static int tell(void *context, uint64_t number, const struct check_result *result, const enum outcome *outcomes) {
	struct world *world = context;
	char *at = world->told + strlen(world->told);
	if (world->full)
		return fault(ENOSPC, "the disk is full");
	at += sprintf(at, "%d:", (int)number);
	for (size_t i = 0; i < result->rule_count; i++)
		*at++ = outcomes[i] == OUTCOME_PASSED ? '+' : outcomes[i] == OUTCOME_FAILED ? '-' : '.';
	strcpy(at, " ");
	return 0;
}

static int end(void *context) {
	struct world *world = context;
	world->ended = true;
	return 0;
}

static struct check_result *check(struct world *world, const char *rules, const struct check_job *more) {
	struct check_rows rows = {.again = read_again, .row = tell, .end = end, .context = world};
	struct check_job job = *more;
	struct check_input input = {.read = read_text, .context = world};
	struct check_result *result = NULL;
	world->left = world->text;
	job.rules = bytes_of_string(rules);
	job.rules_file = "r.dqdl";
	job.rows = &rows;
	if (check_run(check_table, &job, &input, NULL, &result) < 0)
		fail_msg("%s", fault_message());
	return result;
}

static void rows_are_told_with_all_known(void **state) {
	(void)state;
	/* The first `a` is found to come again, the empty number to be NULL, and the count says nothing of a row. */
	struct world world = {.text = "k,n\na,1\nb,\na,3\n"};
	struct check_result *result = check(&world,
	        "Rules = [ IsUnique \"k\", IsComplete \"n\", RowCount = 9, ColumnValues \"n\" < 3 where \"k = 'a'\" ]",
	        &(struct check_job){.file_name = "a.csv"});
	assert_int_equal(result->outcome, OUTCOME_FAILED);
	assert_string_equal(world.told, "1:-+.+ 2:+-.. 3:-+.- ");
	assert_true(world.ended);
	check_result_free(result);
}

static void rows_that_keep_drops_are_not_told(void **state) {
	(void)state;
	struct world world = {.text = "k,n\na,1\na,2\nb,3\n"};
	struct check_result *result =
	        check(&world, "Rules = [ IsUnique \"k\" ]", &(struct check_job){.file_name = "a.csv", .keep = "n > 1"});
	assert_int_equal(result->outcome, OUTCOME_PASSED);
	assert_string_equal(world.told, "2:+ 3:+ ");
	assert_int_equal(result->dropped, 1);
	assert_true(world.ended);
	check_result_free(result);
	/* Another row is dropped now than the first time. */
	struct world other = {.text = "k,n\na,1\na,2\nb,3\n", .later = "k,n\na,1\na,1\nb,3\n"};
	result =
	        check(&other, "Rules = [ IsUnique \"k\" ]", &(struct check_job){.file_name = "a.csv", .keep = "n > 1"});
	assert_int_equal(result->outcome, OUTCOME_ERROR);
	assert_false(other.ended);
	check_result_free(result);
}

static void a_file_that_changes_meanwhile_is_an_error(void **state) {
	(void)state;
	static const char *const later[] = {"k,n\na,1\n", "k,n\na,1\nb,2\nc,3\nd,4\n", "k\na\nb\nc\n", "k,n\na\n", ""};
	for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
		struct world world = {.text = "k,n\na,1\nb,2\nc,3\n", .later = later[i]};
		struct check_result *result =
		        check(&world, "Rules = [ IsUnique \"k\" ]", &(struct check_job){.file_name = "a.csv"});
		assert_int_equal(result->outcome, OUTCOME_ERROR);
		assert_false(world.ended);
		check_result_free(result);
	}
}

static void rows_that_nobody_can_take_are_an_error(void **state) {
	(void)state;
	struct world world = {.text = "k\na\n", .full = true};
	struct check_result *result =
	        check(&world, "Rules = [ IsUnique \"k\" ]", &(struct check_job){.file_name = "a.csv"});
	assert_int_equal(result->outcome, OUTCOME_ERROR);
	assert_non_null(strstr(result->reason, "the disk is full"));
	check_result_free(result);
}

static void a_file_that_is_no_table_has_no_rows(void **state) {
	(void)state;
	struct world world = {.text = "k,n\na\n"};
	struct check_result *result =
	        check(&world, "Rules = [ IsUnique \"k\" ]", &(struct check_job){.file_name = "a.csv"});
	assert_int_equal(result->outcome, OUTCOME_ERROR);
	assert_string_equal(world.told, "");
	assert_false(world.ended);
	check_result_free(result);
}

/* ---- types ---- */

static void expect(const char *text, const char *rule, const char *column, enum column_type type, enum outcome wanted) {
	char rules[300];
	struct column_given given = {.name = column, .type = type};
	struct world world = {.text = text};
	(void)snprintf(rules, sizeof rules, "Rules = [ %s ]", rule);
	struct check_result *result = check(&world, rules,
	        &(struct check_job){.file_name = "a.csv", .types = &given, .type_count = column != NULL});
	if (result->outcome != wanted)
		fail_msg("%s: %s %s", rule, outcome_word(result->outcome), result->reason ? result->reason : "");
	check_result_free(result);
}

static void a_given_type_says_what_an_empty_cell_is(void **state) {
	(void)state;
	static const char numbers[] = "n,k\n1,a\n,b\n", texts[] = "n,k\nx,a\n,b\n";
	expect(numbers, "IsComplete \"n\"", NULL, COLUMN_TEXT, OUTCOME_FAILED);
	expect(numbers, "IsComplete \"n\"", "n", COLUMN_TEXT, OUTCOME_PASSED);
	expect(texts, "IsComplete \"n\"", NULL, COLUMN_TEXT, OUTCOME_PASSED);
	expect(texts, "IsComplete \"n\"", "n", COLUMN_NUMBER, OUTCOME_FAILED);
	expect(texts, "IsComplete \"n\"", "n", COLUMN_DATE, OUTCOME_FAILED);
	expect(texts, "IsComplete \"n\"", "N", COLUMN_BOOLEAN, OUTCOME_FAILED);
	expect("n,k\n,a\n,b\n", "IsComplete \"n\"", NULL, COLUMN_TEXT, OUTCOME_PASSED);
	expect("n,k\n,a\n,b\n", "IsComplete \"n\"", "n", COLUMN_NUMBER, OUTCOME_FAILED);
}

static void a_given_type_says_what_a_filter_gets(void **state) {
	(void)state;
	static const char numbers[] = "n\n9\n10\n";
	expect(numbers, "RowCount = 2 where \"typeof(n) in ('integer', 'real')\"", NULL, COLUMN_TEXT, OUTCOME_PASSED);
	expect(numbers, "RowCount = 2 where \"typeof(n) = 'text'\"", "n", COLUMN_TEXT, OUTCOME_PASSED);
}

static void a_type_for_no_column_is_an_error(void **state) {
	(void)state;
	expect("n\n1\n", "RowCount = 1", "m", COLUMN_TEXT, OUTCOME_ERROR);
	expect("n,n\n1,2\n", "RowCount = 1", "n", COLUMN_TEXT, OUTCOME_ERROR);
}

static void types_have_names(void **state) {
	(void)state;
	enum column_type type = COLUMN_TEXT;
	assert_int_equal(column_type_of_word("number", &type), 0);
	assert_int_equal(type, COLUMN_NUMBER);
	assert_int_equal(column_type_of_word("TIMESTAMP", &type), 0);
	assert_int_equal(type, COLUMN_DATE);
	assert_int_equal(column_type_of_word("numbers", &type), -EINVAL);
	assert_int_equal(column_type_of_word("", &type), -EINVAL);
	assert_int_equal(type, COLUMN_DATE);
}

/* ---- the way to a worker ---- */

static void types_cross_to_a_worker(void **state) {
	(void)state;
	static const struct column_given types[] = {
	        {"a", COLUMN_DATE}, {"b \"c\"", COLUMN_TEXT}, {"\xc3\xa9", COLUMN_BOOLEAN}};
	struct check_job job = {.dataset = "d", .file_name = "f", .types = types, .type_count = 3}, back = {0};
	CheckJobMemory *memory = NULL;
	char *json = NULL;
	size_t size;
	assert_int_equal(check_job_to_json(&job, &json, &size), 0);
	assert_int_equal(check_job_from_json(bytes_of(json, size), &back, &memory), 0);
	assert_int_equal(back.type_count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(back.types[i].name, types[i].name);
		assert_int_equal(back.types[i].type, types[i].type);
	}
	check_job_free(memory);
	free(json);
}

static void a_type_that_there_is_not_is_refused(void **state) {
	(void)state;
	static const char *const bad[] = {"4", "-1", "\"text\"", "null", "4294967296", "1.0"};
	struct column_given type = {"a", COLUMN_BOOLEAN};
	struct check_job job = {.dataset = "d", .file_name = "f", .types = &type, .type_count = 1}, back;
	CheckJobMemory *memory;
	char *json = NULL;
	size_t size;
	assert_int_equal(check_job_to_json(&job, &json, &size), 0);
	char *at = strstr(json, "{\"a\":3}");
	assert_non_null(at);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char other[1000];
		int length = snprintf(other, sizeof other, "%.*s{\"a\":%s}%s", (int)(at - json), json, bad[i], at + 7);
		assert_int_equal(check_job_from_json(bytes_of(other, (size_t)length), &back, &memory), -EBADMSG);
	}
	free(json);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rows_are_told_with_all_known),
	        cmocka_unit_test(rows_that_keep_drops_are_not_told),
	        cmocka_unit_test(a_file_that_changes_meanwhile_is_an_error),
	        cmocka_unit_test(rows_that_nobody_can_take_are_an_error),
	        cmocka_unit_test(a_file_that_is_no_table_has_no_rows),
	        cmocka_unit_test(a_given_type_says_what_an_empty_cell_is),
	        cmocka_unit_test(a_given_type_says_what_a_filter_gets),
	        cmocka_unit_test(a_type_for_no_column_is_an_error),
	        cmocka_unit_test(types_have_names),
	        cmocka_unit_test(types_cross_to_a_worker),
	        cmocka_unit_test(a_type_that_there_is_not_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
