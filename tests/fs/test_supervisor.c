/* What a service manager is told, on a socket that the test listens at. */
#include "fs/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/base/fault.h"

static int listen_abstract(void) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char name[64];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int length = snprintf(name, sizeof name, "@assayfs-test-%d", (int)getpid());
	memcpy(address.sun_path, name, (size_t)length);
	address.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (const struct sockaddr *)&address,
	                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length)),
	        0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

/* The next message, "" when none comes in that time. */
static const char *hear(int fd, int ms) {
	static char text[2048];
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	text[0] = '\0';
	if (poll(&wait, 1, ms) == 1) {
		ssize_t got = recv(fd, text, sizeof text - 1, 0);
		text[got > 0 ? got : 0] = '\0';
	}
	return text;
}

static int works(void *arg) {
	return *(atomic_int *)arg;
}

static void ready_comes_with_our_number_and_one_line_of_words(void **state) {
	(void)state;
	int fd = listen_abstract();
	Supervisor *s = NULL;
	char wanted[200];
	assert_int_equal(supervisor_new(&s), 0);
	assert_null(getenv("NOTIFY_SOCKET")); /* no child speaks for us */
	supervisor_ready(s, "mounted on /a\nMAINPID=1");
	snprintf(wanted, sizeof wanted, "READY=1\nMAINPID=%d\nSTATUS=mounted on /a MAINPID=1", (int)getpid());
	assert_string_equal(hear(fd, 1000), wanted);
	supervisor_stopping(s, "sealing");
	assert_string_equal(hear(fd, 1000), "STOPPING=1\nSTATUS=sealing");
	supervisor_free(s);
	close(fd);
}

static void the_heart_beats_only_while_the_proof_succeeds(void **state) {
	(void)state;
	int fd = listen_abstract();
	Supervisor *s = NULL;
	atomic_int result = 0;
	setenv("WATCHDOG_USEC", "90000", 1); /* a beat each 30 ms */
	assert_int_equal(supervisor_new(&s), 0);
	assert_int_equal(supervisor_watch(s, works, &result), 0);
	assert_string_equal(hear(fd, 1000), "WATCHDOG=1");
	assert_string_equal(hear(fd, 1000), "WATCHDOG=1");
	atomic_store(&result, -EIO);
	const char *heard;
	while (strcmp(heard = hear(fd, 1000), "WATCHDOG=1") == 0)
		;
	assert_non_null(strstr(heard, "does not work"));
	assert_string_equal(hear(fd, 200), ""); /* silence, until it works again */
	atomic_store(&result, 0);
	assert_string_equal(hear(fd, 1000), "STATUS=The mount works again");
	assert_string_equal(hear(fd, 1000), "WATCHDOG=1");
	supervisor_stopping(s, "ends");
	while (strcmp(heard = hear(fd, 1000), "WATCHDOG=1") == 0)
		;
	assert_non_null(strstr(heard, "STOPPING=1"));
	assert_string_equal(hear(fd, 200), "");
	supervisor_free(s);
	close(fd);
}

static void without_a_manager_nothing_is_said(void **state) {
	(void)state;
	static const char *const addresses[] = {NULL, "", "relative", "/"};
	atomic_int result = 0;
	for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
		Supervisor *s = NULL;
		if (addresses[i])
			setenv("NOTIFY_SOCKET", addresses[i], 1);
		setenv("WATCHDOG_USEC", "1000", 1);
		assert_int_equal(supervisor_new(&s), 0);
		assert_false(supervisor_listens(s));
		supervisor_ready(s, "");
		assert_int_equal(supervisor_watch(s, works, &result), 0);
		supervisor_free(s);
	}
	supervisor_stopping(NULL, "");
	supervisor_free(NULL);
}

static void a_watchdog_of_another_process_is_none_of_ours(void **state) {
	(void)state;
	int fd = listen_abstract();
	Supervisor *s = NULL;
	atomic_int result = 0;
	setenv("WATCHDOG_USEC", "3000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(supervisor_new(&s), 0);
	assert_int_equal(supervisor_watch(s, works, &result), 0);
	assert_string_equal(hear(fd, 100), "");
	supervisor_free(s);
	close(fd);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ready_comes_with_our_number_and_one_line_of_words),
	        cmocka_unit_test(the_heart_beats_only_while_the_proof_succeeds),
	        cmocka_unit_test(without_a_manager_nothing_is_said),
	        cmocka_unit_test(a_watchdog_of_another_process_is_none_of_ours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
