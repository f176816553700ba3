/* What a dataset says of personal data, from the policy's words to the bytes that would be published. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/policy/published.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- actions ---- */

static void each_action_changes_what_it_should_and_no_byte_more(void **state) {
	(void)state;
	static const struct {
		const char *privacy, *text, *expected;
	} cases[] = {
	        {"{detect: EMAIL, action: redact}", "id;mail\r\n1;bob@example.com\r\n2;\"a;b@example.com\"\r\n",
	                "id;mail\r\n1;[EMAIL]\r\n2;\"a;[EMAIL]\"\r\n"},
	        {"{detect: EMAIL, action: redact}", "a\n\"x \"\"bob@example.com\"\" and \"\"ann@example.org\"\"\"\n",
	                "a\n\"x \"\"[EMAIL]\"\" and \"\"[EMAIL]\"\"\"\n"},
	        {"{detect: EMAIL, action: redact}",
	                "\xef\xbb\xbf"
	                "a,b\né bob@example.com ü,ok",
	                "\xef\xbb\xbf"
	                "a,b\né [EMAIL] ü,ok"},
	        {"{detect: EMAIL, action: redact}", "a,b\n1,nothing\n", "a,b\n1,nothing\n"},
	        {"{detect: PHONE_NUMBER, action: mask, keep_last: 4}", "a,phone\n1,604-555-0199\n",
	                "a,phone\n1,********0199\n"},
	        {"{detect: EMAIL, action: mask, keep_first: 1}", "a,b\n1,bob@example.com\n",
	                "a,b\n1,b**************\n"},
	        {"{detect: EMAIL, action: drop_row}", "a,b\n1,x\n2,bob@example.com\n3,y\n", "a,b\n1,x\n3,y\n"},
	        {"{detect: DATE_OF_BIRTH, action: generalise}", "a,birth date\n1,1980-05-12\n2,12/05/1981\n",
	                "a,birth date\n1,1980\n2,1981\n"},
	        {"{detect: IP_ADDRESS, action: generalise}", "a,ip\n1,203.0.113.77\n2,2001:db8:1:2::5\n",
	                "a,ip\n1,203.0.113.0/24\n2,2001:db8:1::/48\n"},
	        {"{detect: CANADA_POSTAL_CODE, action: generalise}", "a,b\n1,V6B 1A1\n", "a,b\n1,V6B\n"},
	        {"{detect: GPS_COORDINATES, action: generalise, sensitivity: high}", "a;gps\n1;49.28273,-123.1207\n",
	                "a;gps\n1;49.28,-123.12\n"},
	        {"{columns: {b: drop_column}}", "a,b,c\n1,\"x,y\",3\n4,,6\n", "a,c\n1,3\n4,6\n"},
	        {"{columns: {a: drop_column, b: drop_column}}", "a,b,c\n1,2,3\n", "c\n3\n"},
	        {"{detect: EMAIL, action: drop_column}", "id,mail,b\n1,,\n2,bob@example.com,x\n3,y,\n",
	                "id,b\n1,\n2,x\n3,\n"},
	        {"{columns: {b: {action: mask, keep_last: 3}}}", "B,b\nBobinger,Bobinger\n",
	                "B,b\nBobinger,*****ger\n"},
	        {"{columns: {c: drop_column}}", "a,b,c\r\n1,2,3\r\n4,5,6", "a,b\r\n1,2\r\n4,5"},
	        {"{columns: {b: redact, A: {action: mask, keep_first: 1}}}", "a,b\nxyz,\"q\"\"r\"\n,\n",
	                "a,b\nx**,\"[REDACTED]\"\n,\n"},
	        {"{columns: {a: generalise}}", "a,b\nV6B 1A1,x\nwhatever,y\n", "a,b\nV6B,x\n[REDACTED],y\n"},
	        {"{detect: [EMAIL, {entity: PHONE_NUMBER, action: report}], action: redact}",
	                "a,b\n604-555-0199,bob@example.com\n", "a,b\n604-555-0199,[EMAIL]\n"},
	        {"{detect: EMAIL, action: redact, columns: {b: report}}", "a,b\nann@example.org,bob@example.com\n",
	                "a,b\n[EMAIL],bob@example.com\n"},
	        {"{detect: EMAIL, action: redact, allow: [\"311@VANCOUVER.ca\"]}",
	                "a,b\n311@vancouver.ca,bob@example.com\n", "a,b\n311@vancouver.ca,[EMAIL]\n"},
	        {"{patterns: [{name: CASE, regex: 'C-\\d{4}', keywords: [case], distance: 20}], action: redact}",
	                "a,b\nthe case C-1234,C-1234\n", "a,b\nthe case [CASE],C-1234\n"},
	        {"{detect: EMAIL, action: redact, threshold: 0.5}",
	                "a,b\nann@example.org,x\nbob@example.com,x\nx,x\nx,x@example.com\nx,y\n",
	                "a,b\nann@example.org,x\nbob@example.com,x\nx,x\nx,x@example.com\nx,y\n"},
	        {"{detect: EMAIL, action: redact, threshold: 0.4}",
	                "a,b\nann@example.org,x\nbob@example.com,x\nx,x\nx,x@example.com\nx,y\n",
	                "a,b\n[EMAIL],x\n[EMAIL],x\nx,x\nx,x@example.com\nx,y\n"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char yaml[1024];
		snprintf(yaml, sizeof yaml, "    privacy: %s\n", cases[i].privacy);
		const struct asked asked = {.yaml = yaml, .name = "a.csv"};
		expect(&asked, cases[i].text, cases[i].expected);
	}
}

static void of_json_strings_numbers_and_nested_values_are_changed(void **state) {
	(void)state;
	static const struct {
		const char *privacy, *text, *expected;
	} cases[] = {
	        {"{detect: EMAIL, action: redact}", "{\"a\": \"x \\u0022bob\\u0040example.com\\n\", \"b\": null}\n",
	                "{\"a\": \"x \\u0022[EMAIL]\\n\", \"b\": null}\n"},
	        {"{detect: CREDIT_CARD, action: redact}", "{\"a\":4111111111111111,\"b\":1}\n",
	                "{\"a\":\"[CREDIT_CARD]\",\"b\":1}\n"},
	        {"{detect: EMAIL, action: redact}", "{\"a\": {\"x\": [\"bob@example.com\", 1, \"ann@example.org\"]}}\n",
	                "{\"a\": {\"x\": [\"[EMAIL]\", 1, \"[EMAIL]\"]}}\n"},
	        {"{detect: CREDIT_CARD, action: redact}", "{\"a\": [1, 4111111111111111]}\n",
	                "{\"a\": \"[CREDIT_CARD]\"}\n"},
	        {"{columns: {a: drop_column}}", "{\"a\": 1, \"b\": 2}\n{\"b\":3 , \"a\":[4]}\n{\"a\":5}\n",
	                "{\"b\": 2}\n{\"b\":3}\n{}\n"},
	        {"{columns: {a: {action: mask, keep_last: 1}}}", "{\"a\": \"x\\\"\"}\n{\"a\": true}\n",
	                "{\"a\": \"*\\\"\"}\n{\"a\": \"***e\"}\n"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char yaml[1024];
		snprintf(yaml, sizeof yaml, "    privacy: %s\n", cases[i].privacy);
		const struct asked asked = {.yaml = yaml, .name = "a.jsonl"};
		expect(&asked, cases[i].text, cases[i].expected);
	}
}

static void a_text_is_changed_line_by_line(void **state) {
	(void)state;
	static const char text[] = "write to bob@example.com\nor call\n\nGB82WEST12345698765432, ann@example.org";
	expect(&(struct asked){.yaml = "    privacy: {detect: [EMAIL, IBAN], action: redact}\n", .name = "a.txt"}, text,
	        "write to [EMAIL]\nor call\n\n[IBAN], [EMAIL]");
	expect(&(struct asked){.yaml = "    privacy: {detect: EMAIL, action: drop_row}\n", .name = "README"}, text,
	        "or call\n\n");
	expect(&(struct asked){.yaml = "    format: {type: text}\n    privacy: {detect: EMAIL, action: redact}\n",
	               .name = "a.csv"},
	        "a,b\n\"bob@example.com", "a,b\n\"[EMAIL]");
	expect_not(&(struct asked){.yaml = "    privacy: {detect: EMAIL}\n", .name = "a.txt"}, text, OUTCOME_FAILED,
	        "personal data: EMAIL (2 lines, first in line 1)");
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	const struct asked binary = {.yaml = "    privacy: {detect: EMAIL}\n", .name = "a.bin"};
	_cleanup_(freep) char *published = publish(&binary, "a\0b", 3, &result);
	assert_null(published);
	assert_int_equal(result->outcome, OUTCOME_ERROR);
	assert_non_null(strstr(result->reason, "neither a table nor text"));
}

static void a_hash_is_the_same_for_the_same_text_however_it_is_written(void **state) {
	(void)state;
	static const char *const files[][2] = {{"a.csv", "a\nbob@example.com\n"}, {"a.csv", "a\n\"bob@example.com\"\n"},
	        {"a.jsonl", "{\"a\":\"bob\\u0040example.com\"}\n"}, {"a.txt", "bob@example.com\n"}};
	char first[64] = "";
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		const struct asked asked = {
		        .yaml = "    privacy: {detect: EMAIL, action: hash}\n", .name = files[i][0]};
		_cleanup_(check_result_freep) struct check_result *result = NULL;
		_cleanup_(freep) char *published = publish(&asked, files[i][1], strlen(files[i][1]), &result);
		assert_non_null(published);
		const char *hash = strstr(published, "h3_");
		assert_non_null(hash);
		assert_null(strstr(published, "bob"));
		if (!first[0])
			memcpy(first, hash, 35);
		assert_memory_equal(first, hash, 35);
	}
}

/* ---- refusing ---- */

static void what_is_refused_is_named_by_column_and_line_and_never_shown(void **state) {
	(void)state;
	static const char text[] = "id,mail,note\n1,bob@example.com,x\n2,,4111 1111 1111 1111\n3,ann@example.org,\n";
	const struct asked asked = {.yaml = "    privacy: {detect: [EMAIL, CREDIT_CARD]}\n"};
	expect_not(&asked, text, OUTCOME_FAILED,
	        "personal data: EMAIL in \"mail\" (2 cells, first in line 2), CREDIT_CARD in \"note\" (1 cell, first "
	        "in line 3)");
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	_cleanup_(freep) char *published = publish(&asked, text, strlen(text), &result);
	_cleanup_(freep) char *json = NULL;
	size_t size;
	assert_int_equal(check_result_to_json(result, &json, &size), 0);
	assert_null(strstr(json, "bob"));
	assert_null(strstr(json, "1111"));
	_cleanup_(check_result_freep) struct check_result *back = NULL;
	assert_int_equal(check_result_from_json(bytes_of(json, size), &back), 0);
	assert_int_equal(back->privacy.finding_count, 2);
}

static void rows_with_what_is_refused_are_withheld_when_split(void **state) {
	(void)state;
	expect(&(struct asked){.yaml = "    privacy: {detect: EMAIL}\n    on_failure: split\n",
	               .rules = "Rules = [ IsComplete \"id\" ]"},
	        "id,mail\n1,\n2,bob@example.com\n,x\n3,ok\n", "id,mail\n1,\n3,ok\n");
	expect_not(&(struct asked){.yaml = "    privacy: {detect: EMAIL}\n    on_failure: split\n"},
	        "id,mail\n1,a@example.com\n", OUTCOME_FAILED, "no row passed");
}

static void a_file_that_is_not_as_the_policy_thinks_is_not_published(void **state) {
	(void)state;
	static const struct {
		const char *privacy, *text;
		enum outcome outcome;
		const char *words;
	} cases[] = {
	        {"{columns: {c: redact}}", "a,b\n1,2\n", OUTCOME_FAILED, "names the column \"c\""},
	        {"{columns: {c: redact}}", "b,ann@example.org\n1,2\n", OUTCOME_FAILED,
	                "names the column \"c\", and the table has none of that name among its 2"},
	        {"{columns: {a: drop_column, b: drop_column}}", "a,b\n1,2\n", OUTCOME_ERROR, "no column would be left"},
	        {"{detect: EMAIL, action: drop_row}", "a\nbob@example.com\n", OUTCOME_FAILED, "none is left"},
	        {"{detect: EMAIL, action: mask, keep_last: 12}", "a,b\n1,bobby@example.com\n", OUTCOME_ERROR,
	                "what would be published still shows personal data: EMAIL in \"b\""},
	        {"{detect: EMAIL, action: redact}", "", OUTCOME_FAILED, "empty"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char yaml[1024];
		snprintf(yaml, sizeof yaml, "    privacy: %s\n", cases[i].privacy);
		expect_not(&(struct asked){.yaml = yaml}, cases[i].text, cases[i].outcome, cases[i].words);
	}
	expect_not(&(struct asked){.yaml = "    format: {header: true}\n    privacy: {columns: {a: redact}}\n"},
	        "a,b,a\n1,2,3\n", OUTCOME_FAILED, "several are called so");
	expect_not(
	        &(struct asked){
	                .yaml = "    format: {delimiter: \"/\"}\n    privacy: {detect: EMAIL, action: redact}\n"},
	        "a/b\n1/bob@example.com\n", OUTCOME_ERROR, "its delimiter is '/'");
	expect_not(&(struct asked){.yaml = "    privacy: {detect: EMAIL, action: redact}\n"},
	        "\xff\xfe"
	        "a\0,\0b\0\n\0",
	        OUTCOME_ERROR, "");
	expect_not(&(struct asked){.yaml = "    privacy: {detect: EMAIL, action: redact}\n"},
	        "a,b\n\xe9t\xe9,bob@example.com\n", OUTCOME_ERROR, "another encoding than UTF-8");
}

/* What keep drops holds what nobody else does. */
static void rows_that_are_not_kept_are_not_looked_at(void **state) {
	(void)state;
	expect(&(struct asked){.yaml = "    keep: \"id <> 2\"\n    privacy: {detect: EMAIL, action: redact}\n"},
	        "id,mail,b\n1,bob@example.com,x\n2,,ann@example.org\n3,,y\n", "id,mail,b\n1,[EMAIL],x\n3,,y\n");
}

/* Kinds that take turns in a cell are one cell each. */
static void cells_are_counted_once(void **state) {
	(void)state;
	static const char text[] = "a,b\nann@example.org 604-555-0199 bob@example.com 604-555-0142,x\n";
	const struct asked asked = {.yaml = "    privacy: {detect: [EMAIL, PHONE_NUMBER], action: report}\n"};
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	_cleanup_(freep) char *published = publish(&asked, text, strlen(text), &result);
	assert_int_equal(result->privacy.finding_count, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(result->privacy.findings[i].matches, 2);
		assert_int_equal(result->privacy.findings[i].cells, 1);
	}
}

/* Thousands in one cell, and keys in any order: in time that grows with the file. */
static void long_cells_and_mixed_keys_are_worked_off_quickly(void **state) {
	(void)state;
	enum { MANY = 20000, KEYS = 4000 };
	char *text = malloc(MANY * 40), *to = text;
	assert_non_null(text);
	to += sprintf(to, "a,b\n1,\"");
	for (unsigned i = 0; i < MANY; i++)
		to += sprintf(to, "u%05u@example.com \"\"", i);
	(void)sprintf(to, "\"\n");
	const struct asked csv = {.yaml = "    privacy: {detect: EMAIL, action: redact}\n"};
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	_cleanup_(freep) char *published = publish(&csv, text, strlen(text), &result);
	assert_non_null(published);
	assert_null(strchr(published, '@'));
	to = text;
	for (unsigned row = 0; row < 2; row++) {
		for (unsigned i = 0; i < KEYS; i++)
			to += sprintf(to, "%c\"k%u\":1", i ? ',' : '{', row ? KEYS - 1 - i : i);
		to += sprintf(to, "}\n");
	}
	const struct asked lines = {.yaml = "    privacy: {columns: {k7: drop_column}}\n", .name = "a.jsonl"};
	_cleanup_(check_result_freep) struct check_result *other = NULL;
	_cleanup_(freep) char *rest = publish(&lines, text, strlen(text), &other);
	assert_non_null(rest);
	assert_null(strstr(rest, "\"k7\""));
	free(text);
}

static void what_is_allowed_is_so_until_its_day_ends(void **state) {
	(void)state;
	struct asked asked = {.yaml = "    privacy: {detect: EMAIL, allow: [{regex: '.*@vancouver\\.ca', owner: anna, "
	                              "until: 2027-03-31}]}\n",
	        .clock_s = 1806537599}; /* 2027-03-31 23:59:59 */
	static const char text[] = "a\n311@vancouver.ca\n";
	expect(&asked, text, text);
	asked.clock_s++;
	expect_not(&asked, text, OUTCOME_FAILED, "EMAIL in \"a\"");
}

/* ---- groups ---- */

static void rows_must_be_like_others(void **state) {
	(void)state;
	static const char few[] = "year,fsa,ill\n1980,V6B,a\n1980,V6B,b\n1981,V6B,a\n";
	static const char enough[] = "year,fsa,ill\n1980,V6B,a\n1980,V6B,b\n1981,V6B,a\n1981,V6B,a\n";
	const struct asked k = {
	        .yaml = "    privacy: {detect: EMAIL}\n    k_anonymity: {columns: [year, fsa], k: 2}\n"};
	expect_not(&k, few, OUTCOME_FAILED,
	        "k_anonymity \"year\" \"fsa\" k = 2: 1 of 2 groups have fewer than 2 rows, 1 rows together");
	expect(&k, enough, enough);
	expect_not(&(struct asked){.yaml = "    privacy: {detect: EMAIL}\n"
	                                   "    k_anonymity: {columns: [year, fsa], k: 2}\n"
	                                   "    l_diversity: {columns: [year, fsa], sensitive: ill, l: 2}\n"},
	        few, OUTCOME_FAILED, "k_anonymity \"year\" \"fsa\" k = 2: 1 of 2"); /* the first of two */
	expect_not(&(struct asked){.yaml = "    privacy: {detect: EMAIL}\n    l_diversity: {columns: [year, fsa], "
	                                   "sensitive: ill, l: 2}\n"},
	        enough, OUTCOME_FAILED, "1 of 2 groups of rows have fewer than 2 values of \"ill\"");
	expect_not(&(struct asked){.yaml = "    k_anonymity: {columns: [month], k: 2}\n",
	                   .rules = "Rules = [ RowCount > 0 ]"},
	        enough, OUTCOME_FAILED, "the table has no column \"month\"");
}

/* It is what is published that must be so. */
static void groups_are_counted_when_columns_are_generalised(void **state) {
	(void)state;
	static const char text[] = "born,mail\n1980-01-02,x@example.com\n1980-03-04,y@example.com\n";
	expect(&(struct asked){.yaml = "    privacy: {columns: {born: generalise, mail: drop_column}}\n"
	                               "    k_anonymity: {columns: [born], k: 2}\n"},
	        text, "born\n1980\n1980\n");
	/* what was to be changed and was not there changes nothing of it */
	expect_not(&(struct asked){.yaml = "    privacy: {columns: {note: redact}}\n"
	                                   "    k_anonymity: {columns: [born], k: 2}\n"},
	        "born,note\n1980,\n1981,\n", OUTCOME_FAILED, "2 of 2 groups have fewer than 2 rows");
	expect_not(&(struct asked){.yaml = "    privacy: {columns: {mail: drop_column}}\n"
	                                   "    k_anonymity: {columns: [born], k: 2}\n"},
	        text, OUTCOME_FAILED, "2 of 2 groups have fewer than 2 rows");
}

/* ---- policies ---- */

static void mistakes_in_a_policy_are_told(void **state) {
	(void)state;
	static const char *const cases[][2] = {
	        {"    privacy: {detect: EMAIL, action: generalise}\n", "6:23: EMAIL can't be generalised"},
	        {"    privacy: {detect: [EMAIL, EMAIL]}\n", "'EMAIL' is there already"},
	        {"    privacy: {detect: EMAIL, keep_first: 1}\n",
	                "'keep_first' and 'keep_last' belong to 'action: mask'"},
	        {"    privacy: {detect: EMAIL, allow: [{value: x}]}\n", "what is allowed needs 'owner:'"},
	        {"    privacy: {detect: EMAIL, allow: [{value: x, owner: a, until: 2027-02-30}]}\n",
	                "'until' is the last day"},
	        {"    privacy: {detect: EMAIL, allow: [{regex: '(', owner: a, until: 2027-01-01}]}\n", "'regex: ('"},
	        {"    privacy: {patterns: [{name: x, regex: a}]}\n", "of capital letters"},
	        {"    privacy: {patterns: [{name: EMAIL, regex: a}]}\n", "is a detector's name"},
	        {"    privacy: {patterns: [{name: X, regex: '('}]}\n", "policy.yaml:6:26: pattern 'X': the regular"},
	        {"    privacy: {patterns: [{name: X, regex: a, validator: nix}]}\n",
	                "policy.yaml:6:26: pattern 'X': there is no"},
	        {"    privacy: {detect: EMAIL, threshold: 2}\n", "'threshold' is a share"},
	        {"    privacy: {}\n", "'privacy' needs 'detect:'"},
	        {"    privacy: {columns: {a: redact, A: hash}}\n", "'A' is there already, as 'a'"},
	        {"    privacy: {detect: EMAIL, sample: 1001}\n", "from 0 to 1000"},
	        {"    k_anonymity: {columns: [a], k: 1}\n", "'k: 1' must be a whole number from 2 to 1000000"},
	        {"    k_anonymity: {columns: [a], k: five}\n", "'k: five' must be a whole number from 2 to 1000000"},
	        {"    format: {type: text}\n", "'rules' is for tables"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
		Policy *policy = NULL;
		char yaml[1024];
		snprintf(yaml, sizeof yaml,
		        "version: 1\ndatasets:\n  - name: d\n    match: \"**\"\n    rules: r.dqdl\n%s", cases[i][0]);
		assert_int_equal(policy_bundle_new(&bundle), 0);
		assert_int_equal(policy_bundle_put(bundle, BUNDLE_POLICY, bytes_of_string(yaml)), 0);
		assert_int_equal(policy_bundle_put(bundle, "r.dqdl", bytes_of_string("Rules = [ RowCount > 0 ]")), 0);
		int rc = policy_parse(bundle, &policy);
		if (rc >= 0 || !strstr(fault_message(), cases[i][1]))
			fail_msg("%s: %d, said '%s'", cases[i][0], rc, fault_message());
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_action_changes_what_it_should_and_no_byte_more),
	        cmocka_unit_test(of_json_strings_numbers_and_nested_values_are_changed),
	        cmocka_unit_test(a_text_is_changed_line_by_line),
	        cmocka_unit_test(a_hash_is_the_same_for_the_same_text_however_it_is_written),
	        cmocka_unit_test(what_is_refused_is_named_by_column_and_line_and_never_shown),
	        cmocka_unit_test(rows_with_what_is_refused_are_withheld_when_split),
	        cmocka_unit_test(a_file_that_is_not_as_the_policy_thinks_is_not_published),
	        cmocka_unit_test(rows_that_are_not_kept_are_not_looked_at),
	        cmocka_unit_test(cells_are_counted_once),
	        cmocka_unit_test(long_cells_and_mixed_keys_are_worked_off_quickly),
	        cmocka_unit_test(what_is_allowed_is_so_until_its_day_ends),
	        cmocka_unit_test(rows_must_be_like_others),
	        cmocka_unit_test(groups_are_counted_when_columns_are_generalised),
	        cmocka_unit_test(mistakes_in_a_policy_are_told),
	};
	return cmocka_run_group_tests_name("check_privacy", tests, NULL, NULL);
}
