#include "policy/dqdl/dqdl.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static Ruleset *parse(const char *text) {
	Ruleset *ruleset = NULL;
	int rc = dqdl_parse(bytes_of_string(text), &ruleset, NULL);
	if (rc < 0)
		fail_msg("%s\nin: %s", fault_message(), text);
	return ruleset;
}

static void assert_canonical(const char *text, const char *expected) {
	_cleanup_(ruleset_freep) Ruleset *ruleset = parse(text);
	assert_string_equal(dqdl_canonical(ruleset), expected);
}

static void assert_rule(const char *rule, const char *expected) {
	_cleanup_(freep) char *text = NULL;
	assert_true(asprintf(&text, "Rules = [ %s ]", rule) > 0);
	_cleanup_(ruleset_freep) Ruleset *ruleset = parse(text);
	assert_int_equal(ruleset_rules(ruleset), 1);
	assert_string_equal(ruleset_rule(ruleset, 0)->text, expected);
	/* A canonical text is read as itself, where it lost no escapes. */
	if (!strchr(expected, '\\')) {
		_cleanup_(ruleset_freep) Ruleset *again = parse(dqdl_canonical(ruleset));
		assert_string_equal(ruleset_rule(again, 0)->text, expected);
	}
}

static void assert_refused(const char *text, uint32_t line, uint32_t column, const char *words) {
	struct dqdl_diagnostic diagnostic;
	Ruleset *ruleset = NULL;
	int rc = dqdl_parse(bytes_of_string(text), &ruleset, &diagnostic);
	if (rc == 0) {
		ruleset_free(ruleset);
		fail_msg("accepted: %s", text);
	}
	assert_int_equal(rc, -EINVAL);
	if (!strstr(diagnostic.message, words))
		fail_msg("\"%s\" does not say \"%s\"", diagnostic.message, words);
	assert_int_equal(diagnostic.line, line);
	assert_int_equal(diagnostic.column, column);
}

static void rules_are_printed_canonically(void **state) {
	(void)state;
	assert_rule("RowCount>10", "RowCount > 10");
	assert_rule("Completeness of colA  between 0.5 and 0.8", "Completeness of colA between 0.5 and 0.8");
	assert_rule("ColumnCorrelation a and \"b c\" ! = 1.0", "ColumnCorrelation a and \"b c\" != 1.0");
	assert_rule("ColumnValues \"a\" not in [ 1, 2.5, null ]", "ColumnValues \"a\" not in [1,2.5,NULL]");
	assert_rule("ColumnValues \"a\" in [\"x\", EMPTY, whitespaces_only]",
	        "ColumnValues \"a\" in [\"x\",EMPTY,WHITESPACES_ONLY]");
	assert_rule("ColumnValues \"a\" matches \"\\d{4}\" where \"b > 1\" with threshold > 0.9",
	        "ColumnValues \"a\" matches \"\\d{4}\" where \"b > 1\" with threshold > 0.9");
	assert_rule("DataFreshness \"d\" <= 24 hours", "DataFreshness \"d\" <= 24 hours");
}

static void mixed_size_lists_are_refused_but_plain_numbers_are_bytes(void **state) {
	(void)state;
	assert_rule("FileSize > 2", "FileSize > 2 B");
	assert_refused("Rules = [ FileSize in [3, 5 MB] ]", 1, 27, "found a size such as 5 MB, expected a number");
	assert_refused("Rules = [ FileSize > 2.5 ]", 1, 20, "a size is a whole number");
}

static void escapes_are_lost_in_lists_only(void **state) {
	(void)state;
	assert_rule("ColumnValues \"a\" = \"x\\\"y\"", "ColumnValues \"a\" = \"x\\\"y\"");
	_cleanup_(ruleset_freep) Ruleset *ruleset = parse("Rules = [ ColumnValues \"a\" in [\"x\\\"y\"] ]");
	assert_string_equal(ruleset_rule(ruleset, 0)->text, "ColumnValues \"a\" in [\"x\"y\"]");
	assert_string_equal(ruleset_rule(ruleset, 0)->condition.operands[0].value, "x\"y");
}

static void numbers_have_one_precedence(void **state) {
	(void)state;
	static const struct {
		const char *text;
		double value;
	} cases[] = {{"1 + 2 * 3", 9}, {"10 - 4 * 2 + 1", 13}, {"1 - 2 * (3 + 4)", -7}, {"2 - -3", 5}, {"2-3", -1},
	        {"((8))", 8}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		_cleanup_(freep) char *text = NULL;
		assert_true(asprintf(&text, "Rules = [ RowCount = %s ]", cases[i].text) > 0);
		_cleanup_(ruleset_freep) Ruleset *ruleset = parse(text);
		double value = 0;
		assert_int_equal(dqdl_number_value(ruleset_rule(ruleset, 0)->condition.operands[0].number, &value), 0);
		assert_true(value == cases[i].value);
	}
	assert_rule("RowCount = ((1+2)) * (3) - (avg(last(5)))", "RowCount = (1 + 2) * 3 - avg(last(5))");
}

static void numbers_that_look_back_have_no_value_by_themselves(void **state) {
	(void)state;
	_cleanup_(ruleset_freep) Ruleset *ruleset = parse("Rules = [ RowCount > avg(last(10)) + 1 ]");
	double value;
	assert_int_equal(
	        dqdl_number_value(ruleset_rule(ruleset, 0)->condition.operands[0].number, &value), -EOPNOTSUPP);
	assert_non_null(strstr(fault_message(), "looks back"));
}

static void and_binds_tighter_than_or_and_chains_are_flat(void **state) {
	(void)state;
	assert_rule("RowCount > 1 or RowCount > 2 and RowCount > 3",
	        "(RowCount > 1) OR ((RowCount > 2) AND (RowCount > 3))");
	assert_rule("RowCount > 1 and RowCount > 2 AND (RowCount > 3)",
	        "(RowCount > 1) AND (RowCount > 2) AND (RowCount > 3)");
	assert_rule("(RowCount > 1 or RowCount > 2) and RowCount > 3",
	        "((RowCount > 1) OR (RowCount > 2)) AND (RowCount > 3)");
}

static void variables_stand_for_parameters_and_lists(void **state) {
	(void)state;
	_cleanup_(ruleset_freep) Ruleset *ruleset = parse(
	        "sql = \"select 1\" names = [\"a\", \"b\"]\nRules = [ CustomSql $sql = 1, ColumnValues x in $names ]");
	assert_string_equal(ruleset_rule(ruleset, 0)->parameters[0].value, "select 1");
	assert_string_equal(ruleset_rule(ruleset, 0)->text, "CustomSql $sql = 1");
	assert_int_equal(ruleset_rule(ruleset, 1)->condition.operand_count, 2);
	assert_string_equal(ruleset_rule(ruleset, 1)->condition.operands[1].value, "b");
	assert_refused("Rules = [ CustomSql $x ]", 1, 22, "$x is not defined");
	assert_refused("a = [\"1\"] Rules = [ CustomSql $a ]", 1, 32, "is a list");
	assert_refused("a = \"1\"\na = \"2\"\nRules = [ RowCount > 1 ]", 2, 1, "defined twice");
	assert_refused("a = \"$b\" Rules = [ RowCount > 1 ]", 1, 5, "cannot refer");
	assert_refused("_a = \"b\" Rules = [ RowCount > 1 ]", 1, 1, "neither . nor _");
	assert_refused("a = \"1\" Rules = [ ColumnValues x = $a ]", 1, 36, "variable can stand");
}

static void labels_are_merged_with_the_defaults(void **state) {
	(void)state;
	_cleanup_(ruleset_freep) Ruleset *ruleset = parse(
	        "DefaultLabels=[\"k\"=\"v\"] Rules = [ RowCount > 1 labels=[\"k\"=\"w\", \"l\"=\"x\"], RowCount > 2 ]");
	const struct dqdl_rule *rule = ruleset_rule(ruleset, 0);
	assert_int_equal(rule->labels.count, 2);
	assert_string_equal(rule->labels.pairs[0].value, "w");
	/* In the order in which a Java HashMap of four buckets hands them out. */
	assert_string_equal(rule->text, "RowCount > 1 labels=[\"l\"=\"x\", \"k\"=\"w\"]");
	assert_string_equal(ruleset_rule(ruleset, 1)->text, "RowCount > 2");
	assert_int_equal(ruleset_rule(ruleset, 1)->labels.count, 1);
}

static void sections_come_back_in_order(void **state) {
	(void)state;
	assert_canonical(
	        "Metadata={\"Version\":\"1.0\"}DataSources={\"AdditionalDataSources\":[\"r\",\"s\"],\"Primary\":\"p\"}"
	        "Rules=[RowCount>1,ColumnCount>2]Analyzers=[RowCount]",
	        "Metadata = {\n    \"Version\": \"1.0\"\n}\n\nDataSources = {\n    \"Primary\": \"p\",\n"
	        "    \"AdditionalDataSources\": [ \"r\", \"s\" ]\n}\n\nRules = [\n    RowCount > 1,\n    ColumnCount > "
	        "2\n]"
	        "\n\nAnalyzers = [\n    RowCount\n]");
}

static void errors_say_where_what_and_what_instead(void **state) {
	(void)state;
	assert_refused("", 1, 1, "found the end of the text, expected Rules");
	assert_refused("Rules = [\n  RowCount > ]", 2, 14, "found ], expected a number");
	assert_refused("Rules = [ Foo > 1 ]", 1, 11, "found Foo, expected a rule type");
	assert_refused("Rules = [ RowCount \"id\" > 1 ]", 1, 11, "RowCount takes 0 parameters, found 1");
	assert_refused("Rules = [ RowCount ]", 1, 20, "found ], expected a condition on a number");
	assert_refused("Rules = [ IsComplete \"a\" > 1 ]", 1, 26, "IsComplete expects no condition");
	assert_refused("Rules = [ ColumnValues \"a\" in [1,\"2\"] ]", 1, 34, "found a string, expected a number");
	assert_refused("Rules = [ ColumnValues \"a\" > \"b\" ]", 1, 30, "strings have no order");
	assert_refused("Rules = [ IsComplete \"a\" and IsUnique \"a\" ]", 1, 11, "filler word");
	assert_refused("Rules = [ RowCount > 1 with threshold > 1 ]", 1, 29, "takes no threshold");
	assert_refused("Rules = [ ColumnCount > 1 where \"a\" ]", 1, 27, "takes no where");
	assert_refused("Rules = [ IsComplete 'a' ]", 1, 22, "single quote");
	assert_refused("Rules = [ IsComplete \"a ]", 1, 22, "never closed");
	assert_refused("Rules = [ \"\xc3\xa9\" é ]", 1, 11, "expected a rule");
	assert_refused("Rules = [ ColumnValues \"\xc3\xa9\" é ]", 1, 28, "found é");
	assert_refused("Rules = [ ColumnValues \"d\" > \"2023-02-29\" ]", 1, 30, "there is no date 2023-02-29");
	assert_refused("Rules = [ FileFreshness > \"25:00\" ]", 1, 27, "there is no time 25:00");
	assert_refused("Rules = [ DataFreshness \"d\" < 99999999999 days ]", 1, 31, "above 2147483647");
	assert_refused("Rules = [ RowCount > 1\r]", 1, 23, "carriage return");
	assert_refused("Rules = [ \xff ]", 1, 11, "0xff");
}

static void what_glue_refuses_or_drops_is_a_warning(void **state) {
	(void)state;
	_cleanup_(ruleset_freep) Ruleset *ruleset =
	        parse("\xef\xbb\xbfRules = [ RowCount > 1 ]\r\nRules = [ RowCount > 2 ] # end");
	assert_int_equal(ruleset_rules(ruleset), 1);
	assert_int_equal(ruleset_warnings(ruleset), 3);
	assert_non_null(strstr(ruleset_warning(ruleset, 0)->message, "byte order mark"));
	assert_non_null(strstr(ruleset_warning(ruleset, 1)->message, "CRLF"));
	assert_non_null(strstr(ruleset_warning(ruleset, 2)->message, "bracket: Rules = [ RowCount > 2 ]"));
	assert_int_equal(ruleset_warning(ruleset, 2)->line, 2);
	_cleanup_(ruleset_freep) Ruleset *open = parse("Rules = [ RowCount > 1 ] # end");
	assert_int_equal(ruleset_warnings(open), 1);
	assert_non_null(strstr(ruleset_warning(open, 0)->message, "comment"));
}

/* COUNT times PART between HEAD and TAIL. */
static char *repeated(const char *head, const char *part, size_t count, const char *tail) {
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	fputs(head, out);
	for (size_t i = 0; i < count; i++)
		fputs(part, out);
	fputs(tail, out);
	fclose(out);
	return text;
}

static void hostile_depth_and_length_are_refused(void **state) {
	(void)state;
	static const struct {
		const char *head;
		const char *part;
		const char *tail;
	} cases[] = {{"Rules = [ ", "(", "RowCount > 1"}, {"Rules = [ RowCount > ", "(", "1"},
	        {"Rules = [ RowCount > ", "f(", "1"}, {"Rules = [ RowCount > 1", " + 1", " ]"},
	        {"Rules = [ RowCount > 1", " and RowCount > 1", " ]"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		_cleanup_(freep) char *text = repeated(cases[i].head, cases[i].part, 50000, cases[i].tail);
		Ruleset *ruleset;
		assert_int_equal(dqdl_parse(bytes_of_string(text), &ruleset, NULL), -EINVAL);
		assert_non_null(strstr(fault_message(), "more than"));
	}
	_cleanup_(freep) char *large = repeated("Rules = [ RowCount > 1 ]", " ", DQDL_MAX_BYTES, "");
	Ruleset *ruleset;
	assert_int_equal(dqdl_parse(bytes_of_string(large), &ruleset, NULL), -EMSGSIZE);
}

/* --- conformance data, not in the repository --- */

static FILE *open_data(const char *name) {
	const char *data = getenv("ASSAYFS_TEST_DATA");
	char path[512];
	(void)snprintf(path, sizeof path, "%s/dqdl/%s", data ? data : "", name);
	FILE *file = data ? fopen(path, "r") : NULL;
	if (!file) {
		print_message("skipped: no dqdl/%s under ASSAYFS_TEST_DATA\n", name);
		skip();
	}
	return file;
}

static void unescape_line(char *line) {
	char *to = line;
	for (char *from = line; *from && *from != '\n'; from++) {
		if (*from == '\\' && from[1]) {
			from++;
			*to++ = *from == 'n' ? '\n' : *from == 't' ? '\t' : *from == 'r' ? '\r' : *from;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

static size_t count_lines(const char *name, bool valid) {
	FILE *file = open_data(name);
	_cleanup_(freep) char *line = NULL;
	size_t room = 0;
	size_t count = 0;
	while (getline(&line, &room, file) > 0) {
		if (strncmp(line, "# ", 2) == 0)
			continue;
		unescape_line(line);
		Ruleset *ruleset = NULL;
		int rc = dqdl_parse(bytes_of_string(line), &ruleset, NULL);
		ruleset_free(ruleset);
		if ((rc == 0) != valid)
			fail_msg("%s: %s", valid ? fault_message() : "accepted", line);
		count++;
	}
	fclose(file);
	return count;
}

static void all_valid_rulesets_are_accepted(void **state) {
	(void)state;
	assert_int_equal(count_lines("valid.txt", true), 216);
}

static void all_invalid_rulesets_are_refused(void **state) {
	(void)state;
	assert_int_equal(count_lines("invalid.txt", false), 66);
}

static void check_pairs(json_t *expected, const struct dqdl_pairs *pairs, bool is_quoted) {
	assert_int_equal(json_object_size(expected), pairs->count);
	for (size_t i = 0; i < pairs->count; i++) {
		const char *value = json_string_value(json_object_get(expected, pairs->pairs[i].key));
		assert_non_null(value);
		size_t skipped = is_quoted && pairs->pairs[i].value[0] == '"';
		assert_memory_equal(pairs->pairs[i].value + skipped, value, strlen(value));
		assert_int_equal(strlen(pairs->pairs[i].value), strlen(value) + 2 * skipped);
	}
}

static void check_condition(json_t *expected, const struct dqdl_condition *condition) {
	_cleanup_(freep) char *text = dqdl_condition_text(condition);
	assert_string_equal(text, expected ? json_string_value(expected) : "");
}

static void check_rule(json_t *expected, const struct dqdl_rule *rule) {
	static const char *const classes[] = {"Condition", "NumberBasedCondition", "StringBasedCondition",
	        "DateBasedCondition", "DurationBasedCondition", "SizeBasedCondition"};
	assert_string_equal(rule->type, json_string_value(json_object_get(expected, "type")));
	if (rule->text)
		assert_string_equal(rule->text, json_string_value(json_object_get(expected, "str")));
	check_pairs(json_object_get(expected, "tags"), &rule->tags, true);
	check_pairs(json_object_get(expected, "labels"), &rule->labels, false);
	if (rule->id == DQDL_COMPOSITE) {
		json_t *nested = json_object_get(expected, "nested");
		assert_string_equal(rule->is_or ? "OR" : "AND", json_string_value(json_object_get(expected, "op")));
		assert_int_equal(json_array_size(nested), 2);
		check_rule(json_array_get(nested, 0), rule->left);
		check_rule(json_array_get(nested, 1), rule->right);
		return;
	}
	json_t *params = json_object_get(expected, "params");
	assert_int_equal(json_object_size(params), rule->parameter_count);
	for (size_t i = 0; i < rule->parameter_count; i++)
		assert_string_equal(rule->parameters[i].value,
		        json_string_value(json_object_get(params, rule->parameters[i].name)));
	assert_string_equal(classes[rule->condition.kind], json_string_value(json_object_get(expected, "condClass")));
	check_condition(json_object_get(expected, "cond"), &rule->condition);
	check_condition(json_object_get(expected, "threshold"), &rule->threshold);
	json_t *where = json_object_get(expected, "where");
	if (where)
		assert_string_equal(rule->where, json_string_value(where));
	else
		assert_null(rule->where);
}

static size_t check_parsed(const char *name) {
	FILE *file = open_data(name);
	_cleanup_(freep) char *line = NULL;
	size_t room = 0;
	size_t count = 0;
	while (getline(&line, &room, file) > 0) {
		json_t *expected = json_loads(line, 0, NULL);
		assert_non_null(expected);
		const char *text = json_string_value(json_object_get(expected, "dqdl"));
		if (json_is_false(json_object_get(expected, "ok"))) {
			Ruleset *none;
			assert_int_equal(dqdl_parse(bytes_of_string(text), &none, NULL), -EINVAL);
		} else {
			_cleanup_(ruleset_freep) Ruleset *ruleset = parse(text);
			json_t *rules = json_object_get(expected, "rules");
			json_t *analyzers = json_object_get(expected, "analyzers");
			if (analyzers)
				assert_int_equal(ruleset_analyzers(ruleset), json_array_size(analyzers));
			assert_string_equal(
			        dqdl_canonical(ruleset), json_string_value(json_object_get(expected, "canon")));
			assert_int_equal(ruleset_rules(ruleset), json_array_size(rules));
			for (size_t i = 0; i < ruleset_rules(ruleset); i++)
				check_rule(json_array_get(rules, i), ruleset_rule(ruleset, i));
		}
		json_decref(expected);
		count++;
	}
	fclose(file);
	return count;
}

static void trees_and_canonical_texts_equal_the_open_parsers(void **state) {
	(void)state;
	assert_int_equal(check_parsed("parsed.jsonl"), 216);
}

static void documented_examples_are_read_as_the_open_parser_reads_them(void **state) {
	(void)state;
	assert_int_equal(check_parsed("docs_examples.jsonl"), 21);
}

static void expressions_have_the_open_parsers_values(void **state) {
	(void)state;
	FILE *file = open_data("arith.tsv");
	char expression[200];
	double expected;
	char line[400];
	size_t count = 0;
	while (fgets(line, sizeof line, file)) {
		if (line[0] == '#')
			continue;
		assert_int_equal(sscanf(line, "%199[^\t]\t%lf", expression, &expected), 2);
		char text[300];
		(void)snprintf(text, sizeof text, "Rules = [ RowCount = %s ]", expression);
		_cleanup_(ruleset_freep) Ruleset *ruleset = parse(text);
		double value = 0;
		assert_int_equal(dqdl_number_value(ruleset_rule(ruleset, 0)->condition.operands[0].number, &value), 0);
		assert_true(value == expected);
		count++;
	}
	fclose(file);
	assert_int_equal(count, 9);
}

static void conditions_hold_as_in_the_open_parser(void **state) {
	(void)state;
	FILE *file = open_data("condition_eval.tsv");
	char line[400];
	size_t count = 0;
	while (fgets(line, sizeof line, file)) {
		char rule[300];
		char verdict[10];
		char kind[20];
		double metric;
		if (line[0] == '#')
			continue;
		assert_int_equal(sscanf(line, "%299[^\t]\t%lf\t%9s\t%19s", rule, &metric, verdict, kind), 4);
		char text[400];
		(void)snprintf(text, sizeof text, "Rules = [ %s ]", rule);
		_cleanup_(ruleset_freep) Ruleset *ruleset = parse(text);
		const struct dqdl_rule *read = ruleset_rule(ruleset, 0);
		bool holds = false;
		const struct dqdl_condition *condition =
		        strcmp(kind, "threshold") == 0 ? &read->threshold : &read->condition;
		assert_int_equal(dqdl_condition_holds(condition, metric, &holds), 0);
		if (holds != (strcmp(verdict, "true") == 0))
			fail_msg("%s", line);
		count++;
	}
	fclose(file);
	assert_int_equal(count, 80);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rules_are_printed_canonically),
	        cmocka_unit_test(mixed_size_lists_are_refused_but_plain_numbers_are_bytes),
	        cmocka_unit_test(escapes_are_lost_in_lists_only),
	        cmocka_unit_test(numbers_have_one_precedence),
	        cmocka_unit_test(numbers_that_look_back_have_no_value_by_themselves),
	        cmocka_unit_test(and_binds_tighter_than_or_and_chains_are_flat),
	        cmocka_unit_test(variables_stand_for_parameters_and_lists),
	        cmocka_unit_test(labels_are_merged_with_the_defaults),
	        cmocka_unit_test(sections_come_back_in_order),
	        cmocka_unit_test(errors_say_where_what_and_what_instead),
	        cmocka_unit_test(what_glue_refuses_or_drops_is_a_warning),
	        cmocka_unit_test(hostile_depth_and_length_are_refused),
	        cmocka_unit_test(all_valid_rulesets_are_accepted),
	        cmocka_unit_test(all_invalid_rulesets_are_refused),
	        cmocka_unit_test(trees_and_canonical_texts_equal_the_open_parsers),
	        cmocka_unit_test(documented_examples_are_read_as_the_open_parser_reads_them),
	        cmocka_unit_test(expressions_have_the_open_parsers_values),
	        cmocka_unit_test(conditions_hold_as_in_the_open_parser),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
