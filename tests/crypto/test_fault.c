#include "crypto/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void words_and_number_come_from_one_call(void **state) {
	(void)state;
	assert_int_equal(fault(ENOENT, "opening %s", "a.csv"), -ENOENT);
	assert_string_equal(fault_message(), "opening a.csv");
}

static void a_failed_call_says_why(void **state) {
	(void)state;
	assert_int_equal(fault_errno(EACCES, "opening %s", "a.csv"), -EACCES);
	assert_string_equal(fault_message(), "opening a.csv: Permission denied");
}

static void callers_put_what_they_were_about_in_front(void **state) {
	(void)state;
	int rc = fault(EIO, "inner");
	assert_int_equal(fault_while(rc, "reading %d", 7), -EIO);
	assert_string_equal(fault_message(), "reading 7: inner");
}

static void words_that_stand_may_be_among_the_new_ones(void **state) {
	(void)state;
	(void)fault(EIO, "inner");
	assert_int_equal(fault(ESTALE, "outer (%s), again %s", fault_message(), fault_message()), -ESTALE);
	assert_string_equal(fault_message(), "outer (inner), again inner");
	(void)fault_errno(ENOENT, "%s", fault_message());
	assert_string_equal(fault_message(), "outer (inner), again inner: No such file or directory");
}

static void success_adds_no_words(void **state) {
	(void)state;
	fault_clear();
	assert_int_equal(fault_while(0, "reading"), 0);
	assert_string_equal(fault_message(), "");
}

static void a_long_message_is_cut_and_terminated(void **state) {
	(void)state;
	char text[3000];
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_int_equal(fault_errno(EIO, "%s", text), -EIO);
	assert_int_equal(strlen(fault_message()), FAULT_MESSAGE_BYTES - 1);
	assert_int_equal(fault_while(-EIO, "%s", text), -EIO);
	assert_int_equal(strlen(fault_message()), FAULT_MESSAGE_BYTES - 1);
}

static void errno_is_left_alone(void **state) {
	(void)state;
	errno = EBUSY;
	(void)fault(EIO, "words");
	assert_int_equal(errno, EBUSY);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(words_and_number_come_from_one_call),
	        cmocka_unit_test(a_failed_call_says_why),
	        cmocka_unit_test(words_that_stand_may_be_among_the_new_ones),
	        cmocka_unit_test(callers_put_what_they_were_about_in_front),
	        cmocka_unit_test(success_adds_no_words),
	        cmocka_unit_test(a_long_message_is_cut_and_terminated),
	        cmocka_unit_test(errno_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
