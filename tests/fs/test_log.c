/* What leaves the vault's seal for the system log: never a name. */
#include "fs/log.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

static char logged[4096];

/* In place of the C library's, and of the one that a hardened build calls. */
void __syslog_chk(int priority, int flag, const char *format, ...);

#undef syslog
void syslog(int priority, const char *format, ...) {
	(void)priority;
	va_list values;
	va_start(values, format);
	vsnprintf(logged, sizeof logged, format, values);
	va_end(values);
}

void __syslog_chk(int priority, int flag, const char *format, ...) {
	(void)priority;
	(void)flag;
	va_list values;
	va_start(values, format);
	vsnprintf(logged, sizeof logged, format, values);
	va_end(values);
}

static void the_system_log_gets_numbers_and_no_names(void **state) {
	(void)state;
	log_to_system(true);
	int rc = fault(ENOSPC, "queueing the check of Landing/secret-name.csv");
	log_fault(rc, "sealing node %d", 42);
	assert_string_equal(logged, "sealing node 42: No space left on device");
	assert_string_equal(fault_message(), "queueing the check of Landing/secret-name.csv"); /* for the record */
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_system_log_gets_numbers_and_no_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
