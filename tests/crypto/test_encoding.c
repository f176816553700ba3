#include "crypto/encoding.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/base/fault.h"

static void hexadecimal_goes_both_ways_and_nothing_else_is_taken(void **state) {
	(void)state;
	const uint8_t data[] = {0x00, 0xff, 0x1a};
	uint8_t back[3];
	char text[HEX_TEXT_BYTES(3)];
	hex_encode(bytes_of(data, sizeof data), text);
	assert_string_equal(text, "00ff1a");
	assert_int_equal(hex_decode("00FF1a", 3, back), 0);
	assert_memory_equal(back, data, 3);
	static const char *const bad[] = {"", "00ff1", "00ff1a0", "00ff1a00", "00ff1g", "00 f1a", "0x0f1a"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(hex_decode(bad[i], 3, back), -EINVAL);
		assert_int_equal(back[0] | back[1] | back[2], 0);
	}
	assert_int_equal(hex_decode("", 0, back), 0);
}

/* RFC 4648 section 10. */
static void base64_gives_the_published_answers(void **state) {
	(void)state;
	static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
	        {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		char text[BASE64_TEXT_BYTES(6)];
		uint8_t back[6];
		size_t size = 0;
		base64_encode(bytes_of_string(pairs[i][0]), text);
		assert_string_equal(text, pairs[i][1]);
		assert_int_equal(base64_decode(text, sizeof back, back, &size), 0);
		assert_int_equal(size, strlen(pairs[i][0]));
		assert_memory_equal(back, pairs[i][0], size);
	}
}

static void base64_has_one_spelling(void **state) {
	(void)state;
	static const char *const bad[] = {
	        "Zg", "Zg=", "Zh==", "Zm9=", "Zm9v\n", " Zm9v", "Zm9-", "Z===", "Zg==Zg==", "====", "Zm9vYmFyYg=="};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint8_t back[6] = {1};
		size_t size = 99;
		if (base64_decode(bad[i], sizeof back, back, &size) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
		assert_int_equal(size, 99);
		assert_int_equal(back[0], 0);
	}
}

/* Found by fuzzing: libsodium alone takes this for a digit. */
static void base64_has_no_digits_outside_ascii(void **state) {
	(void)state;
	uint8_t back[6];
	size_t size = 0;
	assert_int_equal(base64_decode("Zm9vYmE\267", sizeof back, back, &size), -EINVAL);
	for (int byte = 1; byte < 256; byte++) {
		const char text[] = {'Z', 'm', (char)byte, 'v', '\0'};
		char again[BASE64_TEXT_BYTES(6)];
		if (base64_decode(text, sizeof back, back, &size) < 0)
			continue;
		base64_encode(bytes_of(back, size), again);
		assert_string_equal(again, text);
	}
}

static int decode(const char *text, uint8_t ret_key[static RECOVERY_KEY_BYTES]) {
	return recovery_decode(bytes_of_string(text), ret_key);
}

/* Computed from the description in encoding.h with Python. */
#define KNOWN "000G40R-40M30E2-09185GR-38E1W81-24GK2GA-HC5RR34-D1P70X3-RFTPVVN"

static void a_recovery_key_is_written_as_the_format_says(void **state) {
	(void)state;
	uint8_t key[RECOVERY_KEY_BYTES], back[RECOVERY_KEY_BYTES];
	char text[RECOVERY_TEXT_BYTES];
	for (uint8_t i = 0; i < sizeof key; i++)
		key[i] = i;
	recovery_encode(key, text);
	assert_string_equal(text, KNOWN);
	assert_int_equal(decode(text, back), 0);
	assert_memory_equal(back, key, sizeof key);
}

static void what_a_hand_makes_of_a_recovery_key_is_accepted(void **state) {
	(void)state;
	static const char *const spellings[] = {
	        "000g40r-40m30e2-09185gr-38e1w81-24gk2ga-hc5rr34-d1p70x3-rftpvvn",
	        "oOo g4or 4om3 oe2o 9i85 gr38 elw8L2 4gk2ga hc5rr34dIp7ox3rftpvvn\n",
	        "  000G40R40M30E209185GR38E1W8124GK2GAHC5RR34D1P70X3RFTPVVN  ",
	};
	uint8_t key[RECOVERY_KEY_BYTES], wanted[RECOVERY_KEY_BYTES];
	assert_int_equal(decode(KNOWN, wanted), 0);
	for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
		if (decode(spellings[i], key) != 0)
			fail_msg("%s: %s", spellings[i], fault_message());
		assert_memory_equal(key, wanted, sizeof key);
	}
}

static void a_slip_in_a_recovery_key_is_found(void **state) {
	(void)state;
	uint8_t key[RECOVERY_KEY_BYTES];
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	char text[RECOVERY_TEXT_BYTES];
	for (size_t at = 0; at < strlen(KNOWN); at++)
		for (size_t i = 0; KNOWN[at] != '-' && i < sizeof digits - 1; i++) {
			memcpy(text, KNOWN, sizeof text);
			text[at] = digits[i];
			assert_int_equal(decode(text, key), digits[i] == KNOWN[at] ? 0 : -EINVAL);
		}
	/* Two groups exchanged. */
	assert_int_equal(decode("40M30E2-000G40R-09185GR-38E1W81-24GK2GA-HC5RR34-D1P70X3-RFTPVVN", key), -EINVAL);
	assert_non_null(strstr(fault_message(), "mistyped"));
}

static void words_say_what_is_wrong_with_a_recovery_key(void **state) {
	(void)state;
	uint8_t key[RECOVERY_KEY_BYTES];
	assert_int_equal(decode("", key), -EINVAL);
	assert_non_null(strstr(fault_message(), "too short: 0 of 56"));
	assert_int_equal(decode(KNOWN "0", key), -EINVAL);
	assert_non_null(strstr(fault_message(), "too long"));
	assert_int_equal(decode("000U", key), -EINVAL);
	assert_non_null(strstr(fault_message(), "character 4"));
	assert_int_equal(recovery_decode(bytes_of("0\0"
	                                          "0",
	                                         3),
	                         key),
	        -EINVAL);
	assert_non_null(strstr(fault_message(), "character 2"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(hexadecimal_goes_both_ways_and_nothing_else_is_taken),
	        cmocka_unit_test(base64_gives_the_published_answers),
	        cmocka_unit_test(base64_has_one_spelling),
	        cmocka_unit_test(base64_has_no_digits_outside_ascii),
	        cmocka_unit_test(a_recovery_key_is_written_as_the_format_says),
	        cmocka_unit_test(what_a_hand_makes_of_a_recovery_key_is_accepted),
	        cmocka_unit_test(a_slip_in_a_recovery_key_is_found),
	        cmocka_unit_test(words_say_what_is_wrong_with_a_recovery_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
