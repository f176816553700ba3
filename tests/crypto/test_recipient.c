#include "crypto/recipient.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/base/fault.h"
#include "crypto/encoding.h"

static int parse(const char *text, uint8_t ret_key[static RECIPIENT_KEY_BYTES]) {
	return recipient_parse(bytes_of_string(text), ret_key);
}

static int parse_secret(const char *text, uint8_t ret_secret[static RECIPIENT_KEY_BYTES]) {
	uint8_t key[RECIPIENT_KEY_BYTES];
	return recipient_secret_parse(bytes_of_string(text), ret_secret, key);
}

static void both_texts_are_of_one_pair(void **state) {
	(void)state;
	char text[RECIPIENT_TEXT_BYTES], secret_text[RECIPIENT_SECRET_TEXT_BYTES], again[RECIPIENT_TEXT_BYTES];
	uint8_t key[RECIPIENT_KEY_BYTES], secret[RECIPIENT_KEY_BYTES], of_secret[RECIPIENT_KEY_BYTES];
	assert_int_equal(recipient_new(text, secret_text), 0);
	assert_int_equal(strlen(text), RECIPIENT_TEXT_BYTES - 1);
	assert_int_equal(strlen(secret_text), RECIPIENT_SECRET_TEXT_BYTES - 1);
	assert_int_equal(strncmp(text, "assayfs-recipient-", 18), 0);
	assert_int_equal(strncmp(secret_text, "ASSAYFS-SECRET-", 15), 0);
	assert_int_equal(parse(text, key), 0);
	assert_int_equal(recipient_secret_parse(bytes_of_string(secret_text), secret, of_secret), 0);
	assert_memory_equal(key, of_secret, sizeof key);
	recipient_text(key, again);
	assert_string_equal(again, text);

	char other[RECIPIENT_TEXT_BYTES], other_secret[RECIPIENT_SECRET_TEXT_BYTES];
	assert_int_equal(recipient_new(other, other_secret), 0);
	assert_string_not_equal(other, text);
	assert_string_not_equal(other_secret, secret_text);
}

/* The secret key 00 01 02 … 1f; the texts were made by another program from what docs/format.md says. */
static void a_known_pair_has_known_texts(void **state) {
	(void)state;
	static const char secret_text[] = "ASSAYFS-SECRET-000G40R40M30E209185GR38E1W8124GK2GAHC5RR34D1P70X3RFMXAHM";
	static const char text[] = "assayfs-recipient-hx0cbbdphwjp4jq5p8aemxktdv4mv0mx7nxnw6phq9qkw89r51fytj61";
	uint8_t wanted[RECIPIENT_KEY_BYTES], key[RECIPIENT_KEY_BYTES], secret[RECIPIENT_KEY_BYTES];
	char made[RECIPIENT_TEXT_BYTES];
	assert_int_equal(
	        hex_decode("8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f", sizeof wanted, wanted),
	        0);
	assert_int_equal(recipient_secret_parse(bytes_of_string(secret_text), secret, key), 0);
	assert_memory_equal(key, wanted, sizeof key);
	for (uint8_t i = 0; i < sizeof secret; i++)
		assert_int_equal(secret[i], i);
	recipient_text(key, made);
	assert_string_equal(made, text);
	assert_int_equal(parse(text, key), 0);
	assert_memory_equal(key, wanted, sizeof key);
}

static void what_a_hand_makes_of_them_is_taken(void **state) {
	(void)state;
	char text[RECIPIENT_TEXT_BYTES], secret_text[RECIPIENT_SECRET_TEXT_BYTES], loose[2 * RECIPIENT_TEXT_BYTES];
	uint8_t key[RECIPIENT_KEY_BYTES], again[RECIPIENT_KEY_BYTES];
	assert_int_equal(recipient_new(text, secret_text), 0);
	assert_int_equal(parse(text, key), 0);
	(void)snprintf(loose, sizeof loose, " \n%.40s-%.10s\r\n %s\n", text, text + 40, text + 50);
	for (char *at = loose; *at; at++)
		*at = (char)toupper((unsigned char)*at);
	assert_int_equal(parse(loose, again), 0);
	assert_memory_equal(again, key, sizeof key);
	for (char *at = secret_text; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	assert_int_equal(parse_secret(secret_text, again), 0);
}

static void each_slip_is_found_with_words(void **state) {
	(void)state;
	char text[RECIPIENT_TEXT_BYTES], secret_text[RECIPIENT_SECRET_TEXT_BYTES], bad[RECIPIENT_TEXT_BYTES];
	uint8_t key[RECIPIENT_KEY_BYTES];
	assert_int_equal(recipient_new(text, secret_text), 0);
	for (size_t at = 0; at < strlen(text); at++) {
		memcpy(bad, text, sizeof bad);
		bad[at] = bad[at] == 'z' ? '2' : 'z';
		assert_int_equal(parse(bad, key), -EINVAL);
		memcpy(bad, text, at);
		bad[at] = '\0';
		assert_int_equal(parse(bad, key), -EINVAL);
	}
	for (size_t at = 0; at < strlen(secret_text); at++) {
		memcpy(bad, secret_text, sizeof secret_text);
		bad[at] = bad[at] == 'Z' ? '2' : 'Z';
		assert_int_equal(parse_secret(bad, key), -EINVAL);
	}
	assert_int_equal(parse("", key), -EINVAL);
	assert_non_null(strstr(fault_message(), "begins with \"assayfs-recipient-\""));
	assert_int_equal(parse_secret("", key), -EINVAL);
}

/* One in the other's place is told apart, by its beginning and by its check, and a secret is never repeated. */
static void public_and_secret_are_not_mixed_up(void **state) {
	(void)state;
	char text[RECIPIENT_TEXT_BYTES], secret_text[RECIPIENT_SECRET_TEXT_BYTES], mixed[2 * RECIPIENT_TEXT_BYTES];
	uint8_t key[RECIPIENT_KEY_BYTES];
	assert_int_equal(recipient_new(text, secret_text), 0);
	assert_int_equal(parse(secret_text, key), -EINVAL);
	assert_non_null(strstr(fault_message(), "recipient's secret"));
	assert_null(strstr(fault_message(), secret_text + 15));
	assert_int_equal(parse_secret(text, key), -EINVAL);
	assert_non_null(strstr(fault_message(), "public text"));
	(void)snprintf(mixed, sizeof mixed, "assayfs-recipient-%s", secret_text + 15);
	assert_int_equal(parse(mixed, key), -EINVAL);
	assert_non_null(strstr(fault_message(), "check characters"));
	(void)snprintf(mixed, sizeof mixed, "ASSAYFS-SECRET-%s", text + 18);
	assert_int_equal(parse_secret(mixed, key), -EINVAL);
}

/* Points to which all would seal the same, and a second spelling of a good one. */
static void keys_that_nothing_can_be_sealed_to_are_refused(void **state) {
	(void)state;
	static const uint8_t low[][RECIPIENT_KEY_BYTES] = {
	        {0},
	        {1},
	        {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
	                0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
	};
	char text[RECIPIENT_TEXT_BYTES], secret_text[RECIPIENT_SECRET_TEXT_BYTES];
	uint8_t key[RECIPIENT_KEY_BYTES];
	for (size_t i = 0; i < sizeof low / sizeof *low; i++) {
		recipient_text(low[i], text);
		assert_int_equal(parse(text, key), -EINVAL);
		assert_non_null(strstr(fault_message(), "sealed to"));
	}
	assert_int_equal(recipient_new(text, secret_text), 0);
	assert_int_equal(parse(text, key), 0);
	key[31] |= 0x80;
	recipient_text(key, text);
	assert_int_equal(parse(text, key), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(both_texts_are_of_one_pair),
	        cmocka_unit_test(a_known_pair_has_known_texts),
	        cmocka_unit_test(what_a_hand_makes_of_them_is_taken),
	        cmocka_unit_test(each_slip_is_found_with_words),
	        cmocka_unit_test(public_and_secret_are_not_mixed_up),
	        cmocka_unit_test(keys_that_nothing_can_be_sealed_to_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
