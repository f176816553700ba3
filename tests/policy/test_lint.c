/* Rules that no table can mend are found before they are in force. */
#include "policy/dqdl/lint.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int lint(const char *rules, const char *keep, struct dqdl_diagnostic *ret_at) {
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	if (dqdl_parse(bytes_of_string(rules), &ruleset, NULL) < 0)
		fail_msg("%s: %s", rules, fault_message());
	return dqdl_lint(ruleset, keep, ret_at);
}

static void what_can_be_decided_passes(void **state) {
	(void)state;
	static const char *const rules[] = {"RowCount > avg(last(10)) * 0.5", "RowCount > last(1)",
	        "RowCount > index(last(3), 2)", "ColumnValues \"a\" matches \"[0-9]{2}(?=x)\"",
	        "DetectAnomalies \"Mean\" \"a\"", "IsPrimaryKey \"a\" \"b\"",
	        "CustomSql \"select count(*) from primary where c > 3\" > 0",
	        "CustomSql \"select x from primary join other on 1\"",
	        "IsComplete \"a\" where \"b > 3 and unknown = 'x'\"", "ReferentialIntegrity \"a,b\" \"ref.{c,d}\" = 1",
	        "AggregateMatch \"sum(a)\" \"avg(ref.b)\" > 0.5", "FileSize > 1 B", "FileMatch \"Raw/a\" \"Raw/b\"",
	        "ColumnExists \"z\"", "ColumnNamesMatchPattern \"[a-z]+\"", "(RowCount > 0) and (IsUnique \"a\")",
	        "ColumnDataType \"a\" = \"Integer\"", "DataFreshness \"t\" < 3 hours", "SchemaMatch \"ref\" = 1"};
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		char text[300];
		struct dqdl_diagnostic at;
		(void)snprintf(text, sizeof text, "Rules = [ %s ]", rules[i]);
		if (lint(text, "state = 'x' and lower(name) like 'a%'", &at) != 0)
			fail_msg("%s: %s", rules[i], at.message);
	}
}

static void what_never_can_is_named_with_its_place(void **state) {
	(void)state;
	static const struct {
		const char *rule, *words;
	} cases[] = {{"RowCount > average(last(2))", "average"}, {"RowCount > last(3)", "one number is wanted"},
	        {"Sum \"a\" < 1/0", "not finite"}, {"RowCount > index(last(3), 3)", ""},
	        {"ColumnValues \"a\" matches \"[0-9\"", "does not compile"}, {"DetectAnomalies \"Foo\"", ""},
	        {"CustomSql \"selct 1\" > 0", "syntax error"},
	        {"CustomSql \"select nothere(1) from primary\" > 0", "no such function"},
	        {"IsComplete \"a\" where \"b >\"", ""}, {"ColumnNamesMatchPattern \"(\"", "does not compile"},
	        {"(RowCount > 0) or ((IsUnique \"a\") and (ColumnValues \"a\" matches \"(\"))", "does not compile"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[300];
		struct dqdl_diagnostic at = {0};
		(void)snprintf(text, sizeof text, "Rules = [\n  ColumnCount > 0,\n  %s\n]", cases[i].rule);
		if (lint(text, NULL, &at) != -EINVAL)
			fail_msg("%s was let through", cases[i].rule);
		if (at.line != 3 || at.column < 3 || !strstr(at.message, cases[i].words))
			fail_msg("%s: %u:%u: %s", cases[i].rule, at.line, at.column, at.message);
	}
}

static void a_filter_that_never_can_be_asked_is_named(void **state) {
	(void)state;
	static const char *const keeps[] = {"Stte IN ((", "a = 'x", "nothere(a)", "a = 1 or or"};
	for (size_t i = 0; i < sizeof keeps / sizeof *keeps; i++) {
		struct dqdl_diagnostic at = {.line = 7};
		assert_int_equal(lint("Rules = [ RowCount > 0 ]", keeps[i], &at), -EINVAL);
		assert_int_equal(at.line, 0);
		assert_non_null(strstr(at.message, "keep"));
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_can_be_decided_passes),
	        cmocka_unit_test(what_never_can_is_named_with_its_place),
	        cmocka_unit_test(a_filter_that_never_can_be_asked_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
