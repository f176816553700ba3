/* What leaves the vault's seal for the system log: never a name; and what the journal is told besides. */
#include "fs/log.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

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

static int listen_at(char path[static 64]) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(path, 64, "/tmp/assayfs-journal-%d", (int)getpid());
	memcpy(address.sun_path, path, strlen(path) + 1);
	unlink(path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static const char *hear(int fd) {
	static char text[9000];
	memset(text, 0, sizeof text);
	assert_true(recv(fd, text, sizeof text - 1, MSG_DONTWAIT) > 0);
	return text;
}

static void the_journal_gets_a_number_that_never_changes(void **state) {
	(void)state;
	static char path[64];
	int fd = listen_at(path);
	log_journal_at(path);
	log_to_system(true);
	log_vault("/srv/vault", "00ff");
	(void)fault(ENOSPC, "of Landing/secret-name.csv");
	log_message_fault(MESSAGE_NOT_SEALED, -ENOSPC, "sealing node %d", 42);
	const char *heard = hear(fd);
	assert_string_equal(heard,
	        "MESSAGE=sealing node 42: No space left on device\nMESSAGE_ID=cc53189eb2c4417fb07ba2b48e4d6f73\n"
	        "PRIORITY=3\nSYSLOG_IDENTIFIER=assayfs\nVAULT=/srv/vault\nVAULT_ID=00ff\n");
	log_message(MESSAGE_OTHER, "%s", "one\nPRIORITY=0\nMESSAGE_ID=forged");
	heard = hear(fd);
	assert_memory_equal(heard, "MESSAGE\n", 8); /* counted bytes: no field of its own */
	assert_int_equal(heard[8], 32);
	close(fd);
	unlink(path);
	logged[0] = '\0';
	log_message(MESSAGE_OTHER, "nobody listens");
	assert_string_equal(logged, "nobody listens"); /* syslog in its stead */
	log_journal_at("/nonexistent/socket");
}

static void the_system_log_gets_numbers_and_no_names(void **state) {
	(void)state;
	log_journal_at("/nonexistent/socket");
	log_to_system(true);
	int rc = fault(ENOSPC, "queueing the check of Landing/secret-name.csv");
	log_fault(rc, "sealing node %d", 42);
	assert_string_equal(logged, "sealing node 42: No space left on device");
	assert_string_equal(fault_message(), "queueing the check of Landing/secret-name.csv"); /* for the record */
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_journal_gets_a_number_that_never_changes),
	        cmocka_unit_test(the_system_log_gets_numbers_and_no_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
