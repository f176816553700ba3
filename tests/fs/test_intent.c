/* What a thread is about to do with a pipe, a socket or a device, as its system call tells. */
#include "fs/intent.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/access.h"

enum { R = ACCESS_READ, W = ACCESS_WRITE };

static void a_call_needs_what_it_opens_for(void **state) {
	(void)state;
	static const struct {
		long number;
		uint64_t third;
		unsigned mask;
	} rows[] = {
	        {SYS_openat, O_RDONLY, R},
	        {SYS_openat, O_WRONLY, W},
	        {SYS_openat, O_RDWR, R | W},
	        {SYS_openat, O_ACCMODE, R | W},
	        {SYS_openat, O_RDONLY | O_TRUNC, R | W},
	        {SYS_openat, O_RDONLY | O_CREAT | O_NONBLOCK, R},
	        {SYS_openat, O_RDONLY | O_CREAT | O_EXCL, 0}, /* EEXIST */
	        {SYS_openat, O_RDONLY | O_DIRECTORY, 0},      /* ENOTDIR */
	        {SYS_openat, O_PATH, R | W},                  /* may be opened anew */
	        {SYS_openat, O_PATH | O_DIRECTORY, R | W},
	        {SYS_openat, UINT64_C(0x100000000) | O_WRONLY, W}, /* flags are 32 bits of the register */
	        {SYS_connect, 0, W},
	        {SYS_sendto, 0, W},
	        {SYS_sendmsg, 0, W},
	        {SYS_sendmmsg, 0, W},
	        {SYS_inotify_add_watch, 0, R},
	        {SYS_fanotify_mark, 0, R},
	        {437, 0, R | W}, /* openat2 */
	        {428, 0, R | W}, /* open_tree */
	        {SYS_mount, 0, R | W},
	        {426, 0, R | W}, /* io_uring_enter */
	        {SYS_statx, 0, 0},
	        {SYS_faccessat, 0, 0},
	        {SYS_unlinkat, 0, 0},
	        {SYS_renameat2, 0, 0},
	        {SYS_linkat, 0, 0},
	        {SYS_fchmodat, 0, 0},
	        {SYS_fchownat, 0, 0},
	        {SYS_utimensat, 0, 0},
	        {SYS_lgetxattr, 0, 0},
	        {SYS_bind, 0, 0},
	        {SYS_read, 0, R | W},
	        {999999, 0, R | W},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const uint64_t arguments[6] = {77, 77, rows[i].third, 77, 77, 77};
		struct intent intent = intent_of_call(rows[i].number, arguments);
		if (intent.mask != rows[i].mask || !intent.words)
			fail_msg("row %zu: call %ld: %u", i, rows[i].number, intent.mask);
	}
}

static void watches_and_descriptors_of_paths_are_told_apart(void **state) {
	(void)state;
	static const struct {
		long number;
		uint64_t third;
		bool watches, lasts;
	} rows[] = {
	        {SYS_inotify_add_watch, 0, true, false},
	        {SYS_fanotify_mark, 0, true, false},
#ifdef __x86_64__
	        {292, 0, true, false}, /* a 32-bit program's */
	        {339, 0, true, false},
#endif
	        {SYS_openat, O_PATH | O_DIRECTORY, false, true},
	        {SYS_openat, O_RDONLY | O_DIRECTORY, false, false},
	        {437, 0, false, true},
	        {SYS_mount, 0, false, true},
	        {SYS_statx, 0, false, false},
	        {SYS_chdir, 0, false, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const uint64_t arguments[6] = {77, 77, rows[i].third, 77, 77, 77};
		struct intent intent = intent_of_call(rows[i].number, arguments);
		if (intent.watches != rows[i].watches || intent.lasts != rows[i].lasts)
			fail_msg("row %zu: call %ld", i, rows[i].number);
	}
}

static void calls_that_set_times_are_known(void **state) {
	(void)state;
	assert_true(intent_call_sets_times(SYS_utimensat));
#ifdef SYS_utimes
	assert_true(intent_call_sets_times(SYS_utimes));
#endif
	static const long others[] = {
	        SYS_fsync, SYS_close, SYS_sync, SYS_munmap, SYS_unlinkat, SYS_exit_group, SYS_write};
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		assert_false(intent_call_sets_times(others[i]));
	assert_false(intent_sets_times(0));
}

static void a_line_of_proc_is_read_as_it_is(void **state) {
	(void)state;
	long number = 0;
	uint64_t a[6] = {0};
	assert_true(
	        intent_parse("257 0xffffff9c 0x7ffe 0x80000 0x0 0x5 0xffffffffffffffff 0x7ffd 0x7f3c\n", &number, a));
	assert_int_equal(number, 257);
	assert_int_equal(a[0], 0xffffff9c);
	assert_int_equal(a[2], 0x80000);
	assert_true(a[5] == UINT64_MAX);
	static const char *const none[] = {"running\n", "-1 0x7ffd 0x7f3c\n", "", "257 0x1 0x2\n",
	        "-5 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8\n", "257 x 0x2 0x3 0x4 0x5 0x6\n"};
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		if (intent_parse(none[i], &number, a))
			fail_msg("row %zu was read", i);
	assert_int_equal(number, 257);
}

/* ---- threads in the middle of a call ---- */

struct opener {
	char path[64];
	int flags;
	atomic_int tid;
	atomic_bool stop;
};

/* Waits in open(2) until somebody opens the other end. */
static void *open_pipe(void *arg) {
	struct opener *opener = arg;
	atomic_store(&opener->tid, gettid());
	int fd = open(opener->path, opener->flags);
	if (fd >= 0)
		(void)close(fd);
	return NULL;
}

static void *run_on(void *arg) {
	struct opener *opener = arg;
	atomic_store(&opener->tid, gettid());
	while (!atomic_load(&opener->stop))
		;
	return NULL;
}

static pid_t wait_for_tid(struct opener *opener) {
	while (atomic_load(&opener->tid) == 0)
		usleep(100);
	return atomic_load(&opener->tid);
}

/* The thread may not be there yet: it is a moment from its start to its call, which a request's thread has behind it.
 */
static unsigned mask_in_the_end(pid_t tid, unsigned expected) {
	unsigned mask = 0;
	for (int i = 0; i < 1000; i++) {
		mask = intent_of_thread(tid).mask;
		if (mask == expected)
			break;
		usleep(1000);
	}
	return mask;
}

static void a_thread_that_waits_in_open_tells_what_for(void **state) {
	(void)state;
	char directory[] = "/tmp/assayfs-intent-XXXXXX";
	assert_non_null(mkdtemp(directory));
	static const int flags[][2] = {{O_RDONLY, O_WRONLY}, {O_WRONLY, O_RDONLY}};
	unsigned masks[2];
	for (size_t i = 0; i < 2; i++) {
		struct opener opener = {.flags = flags[i][0]};
		pthread_t thread;
		snprintf(opener.path, sizeof opener.path, "%s/pipe%zu", directory, i);
		assert_int_equal(mkfifo(opener.path, 0600), 0);
		assert_int_equal(pthread_create(&thread, NULL, open_pipe, &opener), 0);
		masks[i] = mask_in_the_end(wait_for_tid(&opener), flags[i][0] == O_RDONLY ? R : W);
		int fd = open(opener.path, flags[i][1]);
		pthread_join(thread, NULL);
		(void)close(fd);
		(void)unlink(opener.path);
	}
	(void)rmdir(directory);
	assert_int_equal(masks[0], R);
	assert_int_equal(masks[1], W);
}

static void who_cannot_be_seen_needs_everything(void **state) {
	(void)state;
	struct opener opener = {0};
	pthread_t thread;
	assert_int_equal(intent_of_thread(0).mask, R | W);
	assert_int_equal(intent_of_thread(0x3fffffff).mask, R | W);
	assert_int_equal(intent_of_thread(2).mask, R | W); /* of the kernel, or of nobody */
	assert_int_equal(pthread_create(&thread, NULL, run_on, &opener), 0);
	unsigned mask = intent_of_thread(wait_for_tid(&opener)).mask;
	atomic_store(&opener.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(mask, R | W);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_call_needs_what_it_opens_for),
	        cmocka_unit_test(watches_and_descriptors_of_paths_are_told_apart),
	        cmocka_unit_test(calls_that_set_times_are_known),
	        cmocka_unit_test(a_line_of_proc_is_read_as_it_is),
	        cmocka_unit_test(a_thread_that_waits_in_open_tells_what_for),
	        cmocka_unit_test(who_cannot_be_seen_needs_everything),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
