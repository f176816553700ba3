#include "policy/privacy/groups.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CELL(text) \
	{ .data = (text), .size = sizeof(text) - 1 }

static const struct table_cell names[] = {CELL("year"), CELL("fsa"), CELL("ill")};
static const char *const columns[] = {"year", "fsa"};

static void add(Groups *groups, const char *year, const char *fsa, const char *ill) {
	uint64_t line = 1;
	const struct table_cell cells[] = {{year, year ? strlen(year) : 0}, {fsa, strlen(fsa)}, {ill, strlen(ill)}};
	const struct table_rows rows = {.count = 1, .columns = 3, .cells = cells, .lines = &line};
	assert_int_equal(groups_rows(groups, &rows), 0);
}

static struct groups_outcome outcome_of(const Groups *groups, size_t i) {
	struct groups_outcome outcome;
	groups_outcome(groups, i, &outcome);
	return outcome;
}

static Groups *groups_for(const struct privacy_groups *rules, size_t count, size_t bytes) {
	Groups *groups = NULL;
	assert_int_equal(groups_new(rules, count, bytes, &groups), 0);
	assert_int_equal(groups_header(groups, names, 3), 0);
	return groups;
}

static void rows_that_are_alike_are_counted(void **state) {
	(void)state;
	const struct privacy_groups rule = {.columns = columns, .column_count = 2, .k = 3};
	_cleanup_(groups_freep) Groups *groups = groups_for(&rule, 1, 1 << 20);
	assert_true(outcome_of(groups, 0).has_passed); /* of no rows */
	add(groups, "1980", "V6B", "a");
	add(groups, "1980", "V6B", "b");
	assert_false(outcome_of(groups, 0).has_passed);
	assert_int_equal(outcome_of(groups, 0).rows, 2);
	add(groups, "1980", "V6B", "c");
	assert_true(outcome_of(groups, 0).has_passed);
	/* the same letters in other cells, and no value, are others */
	add(groups, "1980V", "6B", "a");
	add(groups, "", "1980V6B", "a");
	add(groups, NULL, "1980V6B", "a");
	struct groups_outcome outcome = outcome_of(groups, 0);
	assert_true(outcome.is_decided && !outcome.has_passed);
	assert_int_equal(outcome.groups, 4);
	assert_int_equal(outcome.small, 3);
	assert_int_equal(outcome.rows, 3);
	assert_non_null(strstr(outcome.words, "3 of 4 groups have fewer than 3 rows"));
}

static void values_of_a_group_are_counted_once_each(void **state) {
	(void)state;
	const struct privacy_groups rule = {.columns = columns, .column_count = 2, .sensitive = "ill", .l = 2};
	_cleanup_(groups_freep) Groups *groups = groups_for(&rule, 1, 1 << 20);
	for (size_t i = 0; i < 10; i++)
		add(groups, "1980", "V6B", "a");
	assert_false(outcome_of(groups, 0).has_passed);
	add(groups, "1980", "V6B", "b");
	assert_true(outcome_of(groups, 0).has_passed);
	add(groups, "1981", "V6B", "b");
	add(groups, "1981", "V6B", ""); /* which is no value */
	assert_int_equal(outcome_of(groups, 0).small, 1);
	assert_int_equal(outcome_of(groups, 0).groups, 2);
}

static void a_rule_that_can_not_be_asked_does_not_pass(void **state) {
	(void)state;
	static const char *const wrong[] = {"month"};
	const struct privacy_groups rules[] = {
	        {.columns = wrong, .column_count = 1, .k = 2}, {.columns = columns, .column_count = 2, .k = 2}};
	_cleanup_(groups_freep) Groups *groups = groups_for(rules, 2, 4096);
	char text[32];
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(text, sizeof text, "%u", i);
		add(groups, text, "V6B", "a");
	}
	assert_true(outcome_of(groups, 0).is_decided && !outcome_of(groups, 0).has_passed);
	assert_non_null(strstr(outcome_of(groups, 0).words, "no column \"month\""));
	assert_false(outcome_of(groups, 1).is_decided || outcome_of(groups, 1).has_passed);
	assert_non_null(strstr(outcome_of(groups, 1).words, "memory"));
	const struct table_cell twice[] = {CELL("year"), CELL("year"), CELL("fsa")};
	_cleanup_(groups_freep) Groups *doubled = NULL;
	assert_int_equal(groups_new(rules + 1, 1, 4096, &doubled), 0);
	assert_int_equal(groups_header(doubled, twice, 3), 0);
	assert_false(outcome_of(doubled, 0).is_decided);
}

static void rules_are_told_in_words(void **state) {
	(void)state;
	const struct privacy_groups k = {.columns = columns, .column_count = 2, .k = 5};
	const struct privacy_groups l = {.columns = columns, .column_count = 1, .sensitive = "ill", .l = 2};
	char *one = groups_rule_text(&k), *other = groups_rule_text(&l);
	assert_string_equal(one, "k_anonymity \"year\" \"fsa\" k = 5");
	assert_string_equal(other, "l_diversity \"year\" of \"ill\" l = 2");
	free(one);
	free(other);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rows_that_are_alike_are_counted),
	        cmocka_unit_test(values_of_a_group_are_counted_once_each),
	        cmocka_unit_test(a_rule_that_can_not_be_asked_does_not_pass),
	        cmocka_unit_test(rules_are_told_in_words),
	};
	return cmocka_run_group_tests_name("groups", tests, NULL, NULL);
}
