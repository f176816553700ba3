#include "policy/privacy_text.h"

#include "policy/safe_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *text_of(const struct check_result *result) {
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	assert_non_null(to);
	privacy_text_put(to, result);
	assert_int_equal(fclose(to), 0);
	return text;
}

static void findings_are_told_with_their_places(void **state) {
	(void)state;
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	assert_int_equal(check_result_new(&result), 0);
	_cleanup_(freep) char *unasked = text_of(result);
	assert_string_equal(unasked, "");
	result->has_privacy = true;
	result->outcome = OUTCOME_PASSED;
	_cleanup_(freep) char *none = text_of(result);
	assert_string_equal(none, "  personal data (sensitivity low): none found\n");
	struct check_finding *finding = check_result_add_finding(result, "EMAIL", "a\033[b");
	finding->action = PRIVACY_REDACT;
	finding->matches = 5;
	finding->cells = 3;
	for (uint64_t line = 2; line < 15; line++)
		assert_int_equal(check_finding_add_line(finding, line), 0);
	finding = check_result_add_finding(result, "IBAN", NULL);
	finding->action = PRIVACY_REFUSE;
	finding->acts = false;
	finding->matches = finding->cells = 1;
	assert_int_equal(check_finding_add_line(finding, 7), 0);
	check_result_add_allowed(result, "anna")->count = 2;
	_cleanup_(freep) char *text = text_of(result);
	assert_string_equal(text, "  personal data (sensitivity low):\n"
	                          "    EMAIL in \"a\\x1b[b\": 3 cells (5 times), redacted; first on lines 2, 3, 4, 5, "
	                          "6, 7, 8, 9, 10, 11\n"
	                          "    IBAN: on 1 line, fewer than the threshold, so only reported; on line 7\n"
	                          "    2 that the policy allows\n");
}

static void what_a_terminal_obeys_is_escaped(void **state) {
	(void)state;
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	assert_non_null(to);
	safe_text_put(to, "\303\251\n\302\205\377\177");
	assert_int_equal(fclose(to), 0);
	assert_string_equal(text, "\303\251\\x0a\\xc2\\x85\\xff\\x7f");
	free(text);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(findings_are_told_with_their_places),
	        cmocka_unit_test(what_a_terminal_obeys_is_escaped),
	};
	return cmocka_run_group_tests_name("privacy_text", tests, NULL, NULL);
}
