/* What could stand where nobody looks does not pass, and is not told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/policy/packed.h"
#include "tests/policy/published.h"

/* What stands where nobody looks gets nothing through. */
static void what_can_not_be_looked_through_does_not_pass(void **state) {
	(void)state;
	enum { MANY = 3 << 20 };
	const struct asked redact = {.yaml = "    privacy: {detect: EMAIL, action: redact}\n"};
	const struct asked lines = {.yaml = redact.yaml, .name = "a.jsonl"},
	                   words = {.yaml = redact.yaml, .name = "a.txt"};
	expect_not(&redact, "id,bob@example.com\n1,x\n", OUTCOME_FAILED, "EMAIL in the name of column 2");
	expect(&(struct asked){.yaml = "    privacy: {detect: EMAIL, columns: {bob@example.com: drop_column}}\n"},
	        "id,bob@example.com\n1,x\n", "id\n1\n");
	expect_not(&lines, "{\"bob@example.com\": 1}\n", OUTCOME_FAILED, "EMAIL in the name of column 1");
	_cleanup_(freep) char *text = malloc(MANY + 100);
	assert_non_null(text);
	size_t size = 0;
	while (size < 100000)
		size += (size_t)sprintf(text + size, "{\"a\": 1}\n");
	sprintf(text + size, "{\"a\": 1, \"b\": \"bob@example.com\"}\n");
	expect_not(&lines, text, OUTCOME_ERROR, "put an object with all keys first");
	memset(text, ' ', MANY);
	memcpy(text + (1 << 20) - 5, "bob@example.com", 15);
	text[MANY] = '\0';
	expect_not(&words, text, OUTCOME_ERROR, "line 1 is longer than 1 MiB");
	text[1 << 20] = '\n';
	text[2 << 20] = '\n';
	text[(3 << 20) - 1] = '\n';
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	_cleanup_(freep) char *published = publish(&words, text, MANY, &result);
	assert_int_equal(result->outcome, OUTCOME_PASSED);
}

/* JSON in texts and inside of values hides nothing behind its escapes, and what is left of it is JSON. */
static void json_inside_of_others_is_looked_through(void **state) {
	(void)state;
	const struct asked lines = {
	        .yaml = "    privacy: {detect: [PHONE_NUMBER, CREDIT_CARD], action: redact}\n", .name = "a.jsonl"};
	const struct asked mails = {.yaml = "    privacy: {detect: EMAIL, action: redact}\n", .name = "a.jsonl"};
	const struct asked text = {.yaml = mails.yaml, .name = "a.json"}, table = {.yaml = mails.yaml};
	expect(&lines, "{\"a\":{\"m\":\"call\\n604-555-0142\\n4111111111111111\"}}\n",
	        "{\"a\":{\"m\":\"call\\n[PHONE_NUMBER]\\n[CREDIT_CARD]\"}}\n");
	expect(&text, "{\"a\":\"hi\\nbob.smith@example.com\"}", "{\"a\":\"hi\\n[EMAIL]\"}");
	expect(&table, "id,m\n1,\"{\"\"a\"\":\"\"hi\\nbob.smith@example.com\"\"}\"\n",
	        "id,m\n1,\"{\"\"a\"\":\"\"hi\\n[EMAIL]\"\"}\"\n");
	expect_not(&mails, "{\"a\":1}\n{\"a\":[\"bob\\u0040example.com\"]}\n", OUTCOME_ERROR, "line 2");
	expect_not(&text, "{\"a\":\n\"bob\\u0040example.com\"}", OUTCOME_ERROR, "line 2");
	/* escapes within what is found, and none that stands in its way; of a table's own strings they are undone */
	static const char *const hidden[] = {"{\"a\":{\"m\":\"c\\u00f4t\\u00e9@ville.ca\"}}\n",
	        "{\"a\":{\"m\":\"ann+x\\u0027s@example.org\"}}\n",
	        "{\"a\":[\"{\\\"m\\\":\\\"ann\\\\u0040example.org\\\"}\"]}\n"};
	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
		expect_not(&mails, hidden[i], OUTCOME_ERROR, "line 1");
		expect_not(&text, hidden[i], OUTCOME_ERROR, "line 1");
	}
	expect(&mails, "{\"a\":{\"m\":\"Ren\\u00e9e, \\u00e0 a@example.org\\/\"}}\n",
	        "{\"a\":{\"m\":\"Ren\\u00e9e, \\u00e0 [EMAIL]\\/\"}}\n");
	expect(&mails, "{\"a\":\"c\\u00f4t\\u00e9@ville.ca\"}\n", "{\"a\":\"[EMAIL]\"}\n");
	const struct asked born = {
	        .yaml = "    privacy: {detect: [DATE_OF_BIRTH, CREDIT_CARD], action: redact}\n", .name = "a.jsonl"};
	expect_not(&born, "{\"a\":{\"born\":\"12\\/05\\/1980\"}}\n", OUTCOME_ERROR, "line 1");
	expect_not(&born, "{\"a\":{\"n\":\"4111\\u00201111\\u00201111\\u00201111\"}}\n", OUTCOME_ERROR, "line 1");
}

static void expect_packed(
        const struct asked *asked, const struct packed *packed, enum outcome outcome, const char *words) {
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	_cleanup_(freep) char *published = publish(asked, (const char *)packed->data, packed->size, &result);
	assert_int_equal(result->outcome, outcome);
	if (result->reason && !strstr(result->reason, words))
		fail_msg("said '%s', not '%s'", result->reason, words);
	assert_true(outcome == OUTCOME_PASSED || !published);
}

/* Packed files are looked through unpacked, and what is in them beside their text does not pass. */
static void packed_files_hide_nothing(void **state) {
	(void)state;
	static Bytef name[] = "bob@example.com", frame[] = "\x50\x2a\x4d\x18\x0f\0\0\0"
	                                                   "bob@example.com";
	static const char *const names[] = {"a.txt.gz", "a.csv.gz"}, *const texts[] = {"nothing\n", "a,b\n1,2\n"};
	static const enum packing packings[] = {PACKING_GZIP, PACKING_ZSTD};
	for (size_t i = 0; i < 4; i++) {
		const struct asked asked = {
		        .yaml = "    privacy: {detect: EMAIL, action: redact}\n", .name = names[i / 2]};
		enum packing packing = packings[i % 2];
		const char *text = texts[i / 2];
		_cleanup_(packed_free) struct packed clean = {0}, found = {0}, aside = {0}, cut = {0};
		add_packed(&clean, packing, text, strlen(text));
		expect_packed(&asked, &clean, OUTCOME_PASSED, "");
		add_packed(&found, packing, "a,b\n1,bob@example.com\n", 22);
		expect_packed(&asked, &found, OUTCOME_ERROR, "it is compressed, or in another encoding than UTF-8");
		add_packed(&aside, packing, text, strlen(text));
		if (packing == PACKING_GZIP)
			add_gzip(&aside, &(gz_header){.name = name}, "3,4\n", 4);
		else
			add_bytes(&aside, frame, sizeof frame - 1);
		expect_packed(&asked, &aside, OUTCOME_ERROR, "not all of it can be looked through");
		_cleanup_(check_result_freep) struct check_result *both = NULL;
		add_bytes(&found, frame, packing == PACKING_ZSTD ? sizeof frame - 1 : 0);
		if (packing == PACKING_GZIP)
			add_gzip(&found, &(gz_header){.name = name}, "3,4\n", 4);
		assert_null(publish(&asked, (const char *)found.data, found.size, &both));
		assert_int_equal(both->outcome, OUTCOME_ERROR);
		assert_int_equal(both->privacy.finding_count, 1); /* and what was found is told */
		add_bytes(&cut, clean.data, clean.size - 2);
		expect_packed(&asked, &cut, OUTCOME_ERROR, "can't be read");
	}
}

/* Formats whose bytes may happen to be those of a text, and bytes that no text has. */
static void what_is_no_text_does_not_pass(void **state) {
	(void)state;
	const struct asked asked = {.yaml = "    privacy: {detect: EMAIL, action: report}\n", .name = "a"};
	expect(&asked, "\a\b\t\v\f\033[1mloud\r\n", "\a\b\t\v\f\033[1mloud\r\n");
	expect_not(&asked, "a\nb\001\n", OUTCOME_ERROR, "a control byte");
	expect_not(&asked, "a\nb\177\n", OUTCOME_ERROR, "a control byte");
	expect_not(&asked, "%PDF-1.4 and more", OUTCOME_ERROR, "it is PDF");
}

/* Numbers that rules come to are what stands in a column, too. */
static void numbers_that_rules_come_to_are_not_shown(void **state) {
	(void)state;
	static const char text[] = "x,phone\n1,6045550142\n2,6045550142\n";
	const struct asked asked = {.yaml = "    privacy: {detect: PHONE_NUMBER, action: redact}\n",
	        .rules = "Rules = [ ColumnValues \"phone\" > 1, Mean \"phone\" < 5, "
	                 "CustomSql \"select max(phone) from primary\" < 3, Sum \"x\" < 1 ] "
	                 "Analyzers = [ AllStatistics \"phone\" ]"};
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	_cleanup_(freep) char *published = publish(&asked, text, sizeof text - 1, &result), *json = NULL;
	size_t size;
	assert_int_equal(result->outcome, OUTCOME_FAILED);
	assert_int_equal(check_result_to_json(result, &json, &size), 0);
	assert_null(memmem(json, size, "60455501", 8));
	assert_null(memmem(json, size, "1209110", 7));
	assert_non_null(memmem(json, size, "Sum is 3", 8));
}

/* Nor is what SQL complains of. */
static void faults_of_sql_hold_no_cell(void **state) {
	(void)state;
	static const char text[] = "x,mail\n1,ann@example.org\n";
	static const char *const rules[] = {
	        "Rules = [ CustomSql \"select count(json_extract('{}', mail)) from primary\" > 0 ]",
	        "Rules = [ RowCount > 0 where \"json_extract('{}', mail) > 1\" ]"};
	for (size_t i = 0; i < 2; i++) {
		const struct asked asked = {
		        .yaml = "    privacy: {detect: EMAIL, action: redact}\n", .rules = rules[i]};
		_cleanup_(check_result_freep) struct check_result *result = NULL;
		_cleanup_(freep) char *published = publish(&asked, text, sizeof text - 1, &result), *json = NULL;
		size_t size;
		assert_int_not_equal(result->outcome, OUTCOME_PASSED);
		assert_int_equal(check_result_to_json(result, &json, &size), 0);
		assert_non_null(memmem(json, size, "JSON path", 9));
		assert_null(memmem(json, size, "example.org", 11));
	}
}

/* A key may be somebody's address. */
static void keys_are_not_shown(void **state) {
	(void)state;
	const struct asked asked = {.yaml = "    privacy: {detect: EMAIL, action: report}\n", .name = "a.jsonl"};
	enum { MANY = 100000 };
	_cleanup_(freep) char *text = calloc(1, MANY + 100);
	assert_non_null(text);
	size_t size = 0;
	while (size < MANY)
		size += (size_t)sprintf(text + size, "{\"a\": 1}\n");
	sprintf(text + size, "{\"a\": 1, \"bob@example.com\": 1}\n");
	const char *const texts[] = {text, "{\"a\": 1, \"bob@example.com\": 1, \"bob@example.com\": 2}\n"};
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(check_result_freep) struct check_result *result = NULL;
		_cleanup_(freep) char *published = publish(&asked, texts[i], strlen(texts[i]), &result);
		assert_null(published);
		assert_int_equal(result->outcome, OUTCOME_ERROR);
		assert_non_null(strstr(result->reason, "a key"));
		assert_null(strstr(result->reason, "bob"));
		for (size_t k = 0; k < result->warning_count; k++)
			assert_null(strstr(result->warnings[k], "bob"));
	}
}

/* What stands for one thing makes nothing else of what stands beside it. */
static void placeholders_are_no_context(void **state) {
	(void)state;
	const struct asked asked = {.yaml = "    privacy: {detect: all, action: redact}\n", .name = "a.txt"};
	expect(&asked, "GB82WEST12345698765432 12345678\n", "[IBAN] 12345678\n");
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_can_not_be_looked_through_does_not_pass),
	        cmocka_unit_test(json_inside_of_others_is_looked_through),
	        cmocka_unit_test(packed_files_hide_nothing),
	        cmocka_unit_test(what_is_no_text_does_not_pass),
	        cmocka_unit_test(numbers_that_rules_come_to_are_not_shown),
	        cmocka_unit_test(faults_of_sql_hold_no_cell),
	        cmocka_unit_test(keys_are_not_shown),
	        cmocka_unit_test(placeholders_are_no_context),
	};
	return cmocka_run_group_tests_name("check_unseen", tests, NULL, NULL);
}
