#include "crypto/secret.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/base/fault.h"

/* Runs `body` in a child, because it ends or changes the process; its exit status, or 1000 + the signal. */
static int in_child(int (*body)(void)) {
	(void)fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const struct rlimit none = {0, 0};
		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(SIGSEGV, SIG_DFL);
		(void)signal(SIGBUS, SIG_DFL);
		(void)signal(SIGABRT, SIG_DFL);
		_exit(body());
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void secrets_begin_as_zeros_and_hold_what_is_put_there(void **state) {
	(void)state;
	for (size_t size = 0; size < 10000; size = size * 3 + 1) {
		_cleanup_(secret_freep) uint8_t *secret = secret_alloc(size);
		assert_non_null(secret);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(secret[i], 0);
		if (size > 0)
			memset(secret, 0xaa, size);
	}
	secret_free(NULL);
}

static int overrun(void) {
	volatile uint8_t *secret = secret_alloc(64);
	if (!secret)
		return 2;
	secret[64] = 1;
	return 0;
}

static void an_overrun_ends_the_process(void **state) {
	(void)state;
	assert_int_equal(in_child(overrun), 1000 + SIGSEGV);
}

/* KiB of locked memory that the kernel counts, from /proc/self/status. */
static long locked_kib(void) {
	char line[256];
	long kib = -1;
	FILE *status = fopen("/proc/self/status", "re");
	while (status && fgets(line, sizeof line, status))
		if (sscanf(line, "VmLck: %ld", &kib) == 1)
			break;
	if (status)
		(void)fclose(status);
	return kib;
}

static void secrets_are_locked_as_the_kernel_sees_it(void **state) {
	(void)state;
	long before = locked_kib();
	_cleanup_(secret_freep) void *secret = secret_alloc(100000);
	assert_non_null(secret);
#ifdef ASSAYFS_SANITIZED
	(void)before;
	print_message("skipped: sanitizers do not lock memory\n");
	skip();
#else
	assert_true(locked_kib() >= before + 97);
#endif
}

static int refused_lock(void) {
	const struct rlimit none = {0, 0};
	if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setuid(65534) != 0))
		return 2;
	errno = 0;
	if (secret_alloc(64))
		return 3;
	return errno == ENOMEM && strstr(fault_message(), "ulimit -l") ? 0 : 4;
}

static void no_secret_is_given_out_unlocked(void **state) {
	(void)state;
#ifdef ASSAYFS_SANITIZED
	(void)refused_lock;
	print_message("skipped: sanitizers do not lock memory\n");
	skip();
#else
	assert_int_equal(in_child(refused_lock), 0);
#endif
}

static void wiping_leaves_zeros(void **state) {
	(void)state;
	struct secret_key key;
	memset(&key, 7, sizeof key);
	secret_key_wipe(&key);
	for (size_t i = 0; i < sizeof key.bytes; i++)
		assert_int_equal(key.bytes[i], 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(secrets_begin_as_zeros_and_hold_what_is_put_there),
	        cmocka_unit_test(an_overrun_ends_the_process),
	        cmocka_unit_test(secrets_are_locked_as_the_kernel_sees_it),
	        cmocka_unit_test(no_secret_is_given_out_unlocked),
	        cmocka_unit_test(wiping_leaves_zeros),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
