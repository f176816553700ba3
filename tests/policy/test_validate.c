/* Check digits, structure and ranges: what each identifier says of itself. */
#include "policy/privacy/validate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct expected {
	validate_function *validate;
	const char *good[6], *bad[6];
};

/* Numbers that are published as examples, or made up by the rule. */
static const struct expected all[] = {
        {validate_card,
                {"4012888888881881", "4012-8888-8888-1881", "371449635398431", "30569309025904", "6011000990139424",
                        "3530111333300000"},
                {"4012888888881882", "4012-8888 8888-1881", "36168002586008", "0000000000000000", "9999999999999995",
                        "41111"}},
        {validate_iban,
                {"GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "NO9386011117947",
                        "MT84MALT011000012345MTLCAST001S"},
                {"GB82 WEST 1234 5698 7654 33", "DE8937040044053201300", "XX89370400440532013000", "GB82"}},
        {validate_ssn, {"536-22-1234", "078-05-1121"},
                {"000-12-3456", "666-12-3456", "900-12-3456", "536-00-1234", "536-22-0000", "078-05-1120"}},
        {validate_itin, {"911-70-1234", "900880000"}, {"911-69-1234", "811-70-1234", "911-70 1234", "911-93-1234"}},
        {validate_sin, {"435 418 165", "130692544"},
                {"812 345 678", "111 111 111", "130 692 545", "046-454 286", "435418166"}},
        {validate_phn, {"9876543218"}, {"9876543217", "8876543218", "987654321"}},
        {validate_ohip, {"1234567897", "1234-567-897"}, {"1234567890", "0000000000", "1111111111", "123456789"}},
        {validate_ramq, {"TREM 8607 2018", "TREM86572018"}, {"TREM 8613 2018", "TREM 8607 3218", "TREM 8600 2018"}},
        {validate_phone,
                {"(415) 555-0132", "+1 415 555 0132", "+55 11 98456 5666", "91-415-555-0132", "+39 06 678 4343"},
                {"115 555 0132", "415 155 0132", "1111111111", "+0 12 345678", "12345"}},
        {validate_nhs, {"943 476 5919", "0032698674"}, {"943 476 5918", "943-476 5919", "1111111111", "94347659"}},
        {validate_nino, {"AB123456C", "jg103759a"}, {"BG123456C", "ZZ123456C", "gb123456c"}},
        {validate_aadhaar, {"2341 2341 2346"}, {"2341 2341 2345", "1341 2341 2346", "2341-2341 2346", "2341 2341"}},
        {validate_tfn, {"123 456 782"}, {"123 456 783", "000000000", "12345678"}},
        {validate_bitcoin, {"16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"},
                {"16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyY", "16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1Boy0",
                        "16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ"}},
        {validate_segwit,
                {"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
                        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"},
                {"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "bc1Qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "bc1q"}},
        {validate_ipv4, {"192.168.1.1", "10.0.0.0/8"}, {"256.1.1.1", "1.2.3", "1.2.3.4.5"}},
        {validate_ipv6, {"2001:db8::1", "::1", "fe80::1%eth0", "2001:db8::/32"},
                {"2001::25de::cade", ":::", "12345::"}},
        {validate_mac, {"00:1A:2B:3C:4D:5E", "01-23-45-67-89-ab"}, {"00:00:00:00:00:00", "10:2F:33-AC-29-C3"}},
        {validate_host, {"example.com", "a.b.co.uk", "microsoft.vlaanderen"},
                {"example", "file.csv", "co.uk", "com", ""}},
        {validate_email, {"ann@example.com", "a@xn--d1acufc.xn--p1ai"},
                {"ann@example", "@example.com", "ann.example.com"}},
        {validate_url, {"http://microsoft.site/x?y", "example.org:8080/a", "https://10.0.0.1/"},
                {"http://microsoft/", "10.0.0.1", "a.csv"}},
        {validate_date, {"2001-02-28", "28/02/2001", "2.28.2001", "12 mai 1980", "May 12, 80", "29/2/00"},
                {"2001-13-32", "1801-01-01", "00/00/2001", "1.2.3", "29.2.1900", "31 juin 80"}},
        {validate_coordinates, {"49.2827, -123.1207", "49.2827 -123.1207"},
                {"99.2827, -123.1207", "0.0000, 0.0000", "49.28, 200.1"}},
        {validate_luhn, {"18", "1-8", "79927398713"}, {"79927398714", "0000", "0", ""}},
        {validate_mod97, {"98", "12A57", "12-a5 7"}, {"99", "", "-"}},
};

static void each_says_what_can_be_and_what_can_not(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		for (size_t k = 0; k < 6; k++) {
			const char *good = all[i].good[k], *bad = all[i].bad[k];
			if (good && !all[i].validate((struct table_cell){.data = good, .size = strlen(good)}))
				fail_msg("%zu: %s is refused", i, good);
			if (bad && all[i].validate((struct table_cell){.data = bad, .size = strlen(bad)}))
				fail_msg("%zu: %s is taken", i, bad);
		}
	}
}

/* One digit changed is noticed by every check digit. */
static void one_wrong_digit_is_noticed(void **state) {
	(void)state;
	static const struct {
		validate_function *validate;
		const char *number;
	} cases[] = {{validate_card, "4012888888881881"}, {validate_iban, "DE89370400440532013000"},
	        {validate_sin, "435418165"}, {validate_ohip, "1234567897"}, {validate_nhs, "9434765919"},
	        {validate_aadhaar, "234123412346"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t size = strlen(cases[i].number);
		for (size_t at = size - 8; at < size; at++) {
			for (char digit = '0'; digit <= '9'; digit++) {
				char text[40];
				memcpy(text, cases[i].number, size + 1);
				text[at] = digit;
				bool is_valid = cases[i].validate((struct table_cell){.data = text, .size = size});
				assert_int_equal(is_valid, digit == cases[i].number[at]);
			}
		}
	}
}

static void each_has_a_name(void **state) {
	(void)state;
	assert_ptr_equal(validate_named("card"), validate_card);
	assert_ptr_equal(validate_named("mod97"), validate_mod97);
	assert_null(validate_named("cards"));
	size_t count = 0;
	for (; validate_name(count); count++) {
		assert_non_null(validate_named(validate_name(count)));
		assert_true(count == 0 || strcmp(validate_name(count - 1), validate_name(count)) < 0);
	}
	assert_int_equal(count, sizeof all / sizeof *all);
	assert_true(validate_has_check_digit(validate_sin));
	assert_false(validate_has_check_digit(validate_card)); /* ranges and lengths besides */
	assert_false(validate_has_check_digit(NULL));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_has_a_name),
	        cmocka_unit_test(each_says_what_can_be_and_what_can_not),
	        cmocka_unit_test(one_wrong_digit_is_noticed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
