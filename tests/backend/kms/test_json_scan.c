#include "backend/kms/json_scan.h"

#include "tests/backend/scratch.h"

#include <stdio.h>
#include <string.h>

static int scan(const char *text, struct json_value *ret) {
	return json_scan(bytes_of_string(text), ret);
}

static void what_is_json_is_taken(void **state) {
	(void)state;
	static const char *const good[] = {"{}", " {\n\t} \r\n", "{\"a\":1}",
	        "{\"a\":[],\"b\":{},\"c\":[1,[2],{\"d\":null}]}", "{\"a\":-0}", "{\"a\":0.5}", "{\"a\":1e9}",
	        "{\"a\":-12.50E+09}", "{\"a\":true,\"b\":false}",
	        "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"}", "{\"\":\"\"}",
	        "{\"a\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"}", "{\"a\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}"};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct json_value object;
		if (scan(good[i], &object) != 0)
			fail_msg("refused: %s", good[i]);
		assert_int_equal(object.kind, JSON_SCAN_OBJECT);
	}
}

static void what_is_none_is_refused(void **state) {
	(void)state;
	static const char *const bad[] = {"", " ", "[]", "1", "\"a\"", "null", "{", "}", "{}x", "{}{}", "{,}",
	        "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}", "{\"a\" 1}", "{\"a\":1 \"b\":2}",
	        "{\"a\":[1,]}", "{\"a\":[1}", "{\"a\":+1}", "{\"a\":01}", "{\"a\":.5}", "{\"a\":5.}", "{\"a\":1e}",
	        "{\"a\":1e999}", "{\"a\":--1}", "{\"a\":123456789012345678901234567890123}", "{\"a\":NaN}",
	        "{\"a\":True}", "{\"a\":nul}", "{\"a\":truely}", "{\"a\":\"b}", "{\"a\":\"\n\"}", "{\"a\":\"\\x\"}",
	        "{\"a\":\"\\u12\"}", "{\"a\":\"\\u0000\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\ud800\\u0041\"}",
	        "{\"a\":\"\\udc00\"}", "{\"a\":\"\\\"}", "{\"a\\u0062\":1}", "{\"a\":\"\x80\"}", "{\"a\":\"\xc0\x80\"}",
	        "{\"a\":\"\xc3\"}", "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xe0\x80\x80\"}",
	        "{\"a\":\"\xf4\x90\x80\x80\"}", "{\"a\":\"\xf0\x80\x80\x80\"}", "{\"a\":\"\xff\"}", "\xef\xbb\xbf{}",
	        "{/**/}", "{\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct json_value object = {.kind = JSON_SCAN_WORD};
		if (scan(bad[i], &object) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(object.kind, JSON_SCAN_WORD);
	}
	static const char with_nul[] = "{\"a\":\"\0\"}";
	struct json_value object;
	assert_int_equal(json_scan(bytes_of(with_nul, sizeof with_nul - 1), &object), -EBADMSG);
}

static void members_are_found_once(void **state) {
	(void)state;
	struct json_value object;
	struct json_value found;
	struct json_value inner;
	assert_rc(scan("{\"x\":{\"b\":1},\"b\" : [2, {\"b\":3}] ,\"a\":null,\"t\":\"u\",\"c\":1,\"c\":null,\"bb\":0}",
	        &object));
	assert_rc(json_scan_member(&object, "b", &found));
	assert_int_equal(found.kind, JSON_SCAN_ARRAY);
	assert_int_equal(json_scan_member(&object, "a", &found), -ENOENT);
	assert_int_equal(json_scan_member(&object, "u", &found), -ENOENT);
	assert_int_equal(json_scan_member(&object, "c", &found), -EBADMSG);
	assert_rc(json_scan_member(&object, "x", &found));
	assert_rc(json_scan_member(&found, "b", &inner));
	assert_int_equal(inner.kind, JSON_SCAN_NUMBER);
	assert_int_equal(json_scan_member(&inner, "b", &found), -EBADMSG);
	assert_rc(scan("{}", &object));
	assert_int_equal(json_scan_member(&object, "a", &found), -ENOENT);
}

static void text_is_resolved_and_cut_at_characters(void **state) {
	(void)state;
	struct json_value object;
	struct json_value value;
	char text[16];
	assert_rc(scan("{\"a\":\"\\u0041\\n\\u20ac\\ud83d\\ude00\\/\xc3\xa9\",\"n\":5}", &object));
	assert_rc(json_scan_member(&object, "a", &value));
	assert_true(json_scan_text(&value, text, sizeof text));
	assert_string_equal(text, "A?\xe2\x82\xac\xf0\x9f\x98\x80/\xc3\xa9");
	assert_false(json_scan_text(&value, text, 12));
	assert_string_equal(text, "A?\xe2\x82\xac\xf0\x9f\x98\x80/");
	assert_false(json_scan_text(&value, text, 5));
	assert_string_equal(text, "A?");
	assert_false(json_scan_text(&value, text, 1));
	assert_string_equal(text, "");
	assert_rc(json_scan_member(&object, "n", &value));
	assert_false(json_scan_text(&value, text, sizeof text));
}

static void numbers_have_a_whole_part(void **state) {
	(void)state;
	const struct {
		const char *text;
		int64_t wanted;
	} cases[] = {{"0", 0}, {"-7", -7}, {"1.439243427E9", 1439243427}, {"1764288000.75", 1764288000}, {"15e-1", 1},
	        {"1e18", INT64_C(1000000000000000000)}, {"0e99", 0}, {"1e-99", 0}, {"0.000001e6", 1},
	        {"1234567890123456789.5", INT64_C(1234567890123456789)}, {"1.00000000000000000000000000000", 1}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct json_value object;
		struct json_value value;
		char text[80];
		int64_t number = -1;
		(void)snprintf(text, sizeof text, "{\"n\":%s}", cases[i].text);
		assert_rc(scan(text, &object));
		assert_rc(json_scan_member(&object, "n", &value));
		if (!json_scan_number(&value, &number) || number != cases[i].wanted)
			fail_msg("%s is %lld", cases[i].text, (long long)number);
	}
	struct json_value object;
	struct json_value value;
	int64_t number = 5;
	assert_rc(scan("{\"n\":1e30,\"s\":\"1\",\"t\":true,\"f\":false}", &object));
	assert_rc(json_scan_member(&object, "n", &value));
	assert_false(json_scan_number(&value, &number));
	assert_rc(json_scan_member(&object, "s", &value));
	assert_false(json_scan_number(&value, &number));
	assert_int_equal(number, 5);
	assert_false(json_scan_is_true(&value));
	assert_rc(json_scan_member(&object, "t", &value));
	assert_true(json_scan_is_true(&value));
	assert_rc(json_scan_member(&object, "f", &value));
	assert_false(json_scan_is_true(&value));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_json_is_taken),
	        cmocka_unit_test(what_is_none_is_refused),
	        cmocka_unit_test(members_are_found_once),
	        cmocka_unit_test(text_is_resolved_and_cut_at_characters),
	        cmocka_unit_test(numbers_have_a_whole_part),
	};
	return cmocka_run_group_tests_name("json_scan", tests, NULL, NULL);
}
