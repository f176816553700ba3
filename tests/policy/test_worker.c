#include "policy/worker.h"

#include "crypto/base/fault.h"
#include "crypto/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a check that misbehaves as the rules say ---- */

static int count_all(struct check_input *input, uint64_t *ret_bytes) {
	char buffer[4096];
	ssize_t got;
	*ret_bytes = 0;
	while ((got = input->read(input->context, buffer, sizeof buffer)) > 0)
		*ret_bytes += (uint64_t)got;
	return (int)got;
}

static int pass(struct check_input *input, struct check_result *result) {
	uint64_t bytes;
	int rc = count_all(input, &bytes);
	struct check_rule *rule = check_result_add_rule(result, "RowCount > 0", OUTCOME_PASSED);
	if (rc < 0 || !rule)
		return rc < 0 ? rc : -ENOMEM;
	result->outcome = OUTCOME_PASSED;
	result->has_rows = true;
	result->rows = bytes;
	return check_rule_add_metric(rule, "Dataset.*.RowCount", (double)bytes);
}

/* Reads a little of the file, then the references but the first, then what is left: as a check of a table does. */
static int read_references(const struct check_job *job, struct check_input *input, struct check_result *result) {
	char few[10];
	for (size_t i = 1; i < job->reference_count; i++) {
		struct check_input reference = job->references[i].input;
		uint64_t bytes;
		if (i == 1 && input->read(input->context, few, sizeof few) < 0)
			return -EIO;
		int rc = count_all(&reference, &bytes);
		if (rc < 0)
			return rc;
		if (bytes != job->references[i].size)
			return check_result_say(
			        result, OUTCOME_ERROR, "a reference has %llu bytes", (unsigned long long)bytes);
	}
	return pass(input, result);
}

static void raw_answer(const void *data, size_t size) {
	(void)!write(1, data, size);
	_exit(0);
}

static int eat_memory(void) {
	static char *volatile kept;
	for (;;) {
		kept = malloc(1 << 20);
		if (!kept)
			return fault(ENOMEM, "no memory");
		memset(kept, 1, 1 << 20);
	}
}

static void hang_asleep(void) {
	static uint32_t word;
	for (;;)
		(void)syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void loop_for_ever(void) {
	for (volatile unsigned i = 0;; i = i + 1)
		;
}

static void jump_to_nowhere(void) {
	void (*volatile nowhere)(void) = NULL;
	nowhere();
}

static int misbehave(const struct check_job *job, struct check_input *input, struct check_result *result) {
	const char *what = (const char *)job->rules.data;
	if (strcmp(what, "open") == 0)
		(void)open("/etc/passwd", O_RDONLY);
	else if (strcmp(what, "socket") == 0)
		(void)socket(AF_INET, SOCK_STREAM, 0);
	else if (strcmp(what, "fork") == 0)
		(void)fork();
	else if (strcmp(what, "kill parent") == 0)
		(void)kill(getppid(), SIGKILL);
	else if (strcmp(what, "run memory") == 0)
		return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		                       MAP_FAILED
		               ? fault(EACCES, "refused")
		               : 0;
	else if (strcmp(what, "loop") == 0)
		loop_for_ever();
	else if (strcmp(what, "sleep") == 0)
		hang_asleep();
	else if (strcmp(what, "memory") == 0)
		return eat_memory();
	else if (strcmp(what, "crash") == 0)
		jump_to_nowhere();
	else if (strcmp(what, "abort") == 0)
		abort();
	else if (strcmp(what, "exit") == 0)
		_exit(3);
	else if (strcmp(what, "silent") == 0)
		_exit(0);
	else if (strcmp(what, "garbage") == 0)
		raw_answer("\x0f\0\0\0{\"outcome\":1.5}", 19);
	else if (strcmp(what, "too long") == 0)
		raw_answer("\xff\xff\xff\x7f{}", 6);
	else if (strcmp(what, "lie") == 0)
		raw_answer("\x02\0\0\0{}garbage after it", 22);
	else if (strcmp(what, "references") == 0)
		return read_references(job, input, result);
	else if (strcmp(what, "stop early") == 0)
		return check_result_say(result, OUTCOME_FAILED, "stopped at the first byte");
	else
		return pass(input, result);
	return pass(input, result);
}

/* ---- asking ---- */

struct source {
	uint64_t left;
	int error_at_end;
};

static ssize_t read_source(void *context, void *buffer, size_t size) {
	struct source *source = context;
	if (source->left == 0)
		return source->error_at_end;
	size_t count = source->left < size ? (size_t)source->left : size;
	memset(buffer, 'x', count);
	source->left -= count;
	return (ssize_t)count;
}

/* Of this thread. */
static _Thread_local uint32_t user_who_asks;

static int ask(Spawner *s, const char *what, uint64_t size, int error_at_end, struct check_outcome *ret_outcome) {
	struct source source = {.left = size, .error_at_end = error_at_end};
	struct check_job job = {.dataset = "d", .file_name = "f.csv", .size = size, .rules = bytes_of_string(what)};
	struct check_request request = {
	        .job = &job, .input = {.read = read_source, .context = &source}, .user = user_who_asks};
	return spawner_check(s, &request, ret_outcome);
}

static void expect_error(Spawner *s, const char *what, const char *words) {
	struct check_outcome outcome = {0};
	assert_int_equal(ask(s, what, 100000, 0, &outcome), 0);
	assert_int_equal(outcome.result->outcome, OUTCOME_ERROR);
	if (!strstr(outcome.result->reason, words))
		fail_msg("'%s' gave the reason '%s', not '%s'", what, outcome.result->reason, words);
	assert_int_equal(outcome.size, 100000);
	check_result_free(outcome.result);
}

static void expect_pass(Spawner *s, uint64_t size) {
	struct check_outcome outcome = {0};
	assert_int_equal(ask(s, "pass", size, 0, &outcome), 0);
	if (outcome.result->outcome != OUTCOME_PASSED)
		fail_msg("not passed: %s", outcome.result->reason);
	assert_int_equal(outcome.result->rows, size);
	assert_int_equal(outcome.size, size);
	check_result_free(outcome.result);
}

static Spawner *start(void) {
	struct spawner_options options = {.check = misbehave, .seconds = 20, .memory_bytes = 64u << 20};
	Spawner *s = NULL;
	if (spawner_start(&options, &s) < 0)
		fail_msg("%s", fault_message());
	return s;
}

/* ---- tests ---- */

static void a_file_is_read_whole_and_hashed_on_the_way(void **state) {
	(void)state;
	Spawner *s = start();
	struct check_outcome outcome = {0};
	uint8_t text[1000], expected[32];
	memset(text, 'x', sizeof text);
	sha256(bytes_of(text, sizeof text), expected);
	assert_int_equal(ask(s, "pass", sizeof text, 0, &outcome), 0);
	if (outcome.result->outcome != OUTCOME_PASSED)
		fail_msg("%s", outcome.result->reason);
	assert_memory_equal(outcome.sha256, expected, 32);
	check_result_free(outcome.result);
	expect_pass(s, 0);
	expect_pass(s, 5000001);
	spawner_stop(s);
}

/* Asks with references of these sizes, the last of which gives so many bytes fewer. */
static int ask_with_references(Spawner *s, const char *what, const uint64_t *sizes, size_t count, uint64_t missing,
        struct check_outcome *ret_outcome) {
	struct check_reference references[CHECK_REFERENCES_MAX] = {{0}};
	struct source sources[CHECK_REFERENCES_MAX], file = {.left = 3000000};
	for (size_t i = 0; i < count; i++) {
		sources[i] = (struct source){.left = i + 1 == count ? sizes[i] - missing : sizes[i]};
		references[i] = (struct check_reference){.alias = "ref",
		        .file_name = "r.csv",
		        .size = sizes[i],
		        .input = {.read = read_source, .context = &sources[i]}};
	}
	struct check_job job = {.dataset = "d",
	        .file_name = "f.csv",
	        .size = 3000000,
	        .rules = bytes_of_string(what),
	        .references = references,
	        .reference_count = count};
	struct check_request request = {.job = &job, .input = {.read = read_source, .context = &file}};
	return spawner_check(s, &request, ret_outcome);
}

static void references_are_read_between_the_files_first_bytes_and_the_others(void **state) {
	(void)state;
	Spawner *s = start();
	static const uint64_t sizes[] = {2000000, 5000000, 0, 1, 3000000};
	struct check_outcome outcome = {0};
	assert_int_equal(ask_with_references(s, "references", sizes, 5, 0, &outcome), 0);
	if (outcome.result->outcome != OUTCOME_PASSED)
		fail_msg("%s", outcome.result->reason);
	assert_int_equal(outcome.size, 3000000);
	assert_true(outcome.result->rows < 3000000); /* the ten bytes that were read before */
	check_result_free(outcome.result);
	/* a check that wants none of them */
	assert_int_equal(ask_with_references(s, "pass", sizes, 5, 0, &outcome), 0);
	assert_int_equal(outcome.result->outcome, OUTCOME_PASSED);
	check_result_free(outcome.result);
	spawner_stop(s);
}

static void a_reference_shorter_than_told_decides_nothing(void **state) {
	(void)state;
	Spawner *s = start();
	static const uint64_t sizes[] = {100, 5000000};
	struct check_outcome outcome = {0};
	assert_int_equal(ask_with_references(s, "references", sizes, 2, 1, &outcome), -EIO);
	assert_non_null(strstr(fault_message(), "ended after 4999999 of its 5000000 bytes"));
	expect_pass(s, 10);
	spawner_stop(s);
}

static void a_worker_that_dies_needs_no_references(void **state) {
	(void)state;
	Spawner *s = start();
	static const uint64_t sizes[] = {5000000, 5000000};
	struct check_outcome outcome = {0};
	assert_int_equal(ask_with_references(s, "exit", sizes, 2, 0, &outcome), 0);
	assert_int_equal(outcome.result->outcome, OUTCOME_ERROR);
	assert_int_equal(outcome.size, 3000000);
	check_result_free(outcome.result);
	spawner_stop(s);
}

static void forbidden_system_calls_end_the_worker(void **state) {
	(void)state;
	Spawner *s = start();
	static const char *const calls[] = {"open", "socket", "fork", "kill parent"};
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		expect_error(s, calls[i], "may not do");
	expect_pass(s, 10);
	spawner_stop(s);
}

static void memory_can_not_be_made_to_run(void **state) {
	(void)state;
	Spawner *s = start();
	expect_error(s, "run memory", "refused");
	spawner_stop(s);
}

static void a_worker_that_does_not_end_is_ended(void **state) {
	(void)state;
	struct spawner_options options = {.check = misbehave, .seconds = 1};
	Spawner *s = NULL;
	assert_int_equal(spawner_start(&options, &s), 0);
	expect_error(s, "sleep", "took longer than 1 s");
	expect_error(s, "loop", "than 1 s");
	expect_pass(s, 10);
	spawner_stop(s);
}

static void a_worker_that_eats_memory_is_ended(void **state) {
	(void)state;
	Spawner *s = start();
	expect_error(s, "memory", "MiB of memory");
	expect_pass(s, 10);
	spawner_stop(s);
}

static void a_crash_breaks_one_verdict_only(void **state) {
	(void)state;
	Spawner *s = start();
	expect_error(s, "crash", "crashed (signal 11");
	expect_error(s, "abort", "crashed (signal 6");
	expect_error(s, "exit", "exit status 3");
	expect_error(s, "silent", "without an answer");
	expect_pass(s, 10);
	spawner_stop(s);
}

static void a_garbled_answer_is_not_believed(void **state) {
	(void)state;
	Spawner *s = start();
	expect_error(s, "garbage", "can't be believed");
	expect_error(s, "too long", "can't be believed");
	expect_error(s, "lie", "can't be believed");
	spawner_stop(s);
}

static void a_check_that_decides_early_still_has_the_whole_file_hashed(void **state) {
	(void)state;
	Spawner *s = start();
	struct check_outcome outcome = {0};
	assert_int_equal(ask(s, "stop early", 3000000, 0, &outcome), 0);
	assert_int_equal(outcome.result->outcome, OUTCOME_FAILED);
	assert_string_equal(outcome.result->reason, "stopped at the first byte");
	assert_int_equal(outcome.size, 3000000);
	check_result_free(outcome.result);
	spawner_stop(s);
}

static void an_input_that_can_not_be_read_decides_nothing(void **state) {
	(void)state;
	Spawner *s = start();
	struct check_outcome outcome = {0};
	assert_int_equal(ask(s, "pass", 300000, -EIO, &outcome), -EIO);
	assert_null(outcome.result);
	expect_pass(s, 10);
	spawner_stop(s);
}

static void without_the_spawner_checks_fail_closed(void **state) {
	(void)state;
	Spawner *s = start();
	assert_true(spawner_alive(s));
	assert_int_equal(kill(spawner_pid(s), SIGKILL), 0);
	expect_error(s, "pass", "is gone");
	assert_false(spawner_alive(s));
	expect_error(s, "pass", "is gone");
	spawner_stop(s);
}

static void *ask_to_sleep(void *context) {
	struct check_outcome outcome = {0};
	(void)ask(context, "sleep", 2u << 20, 0, &outcome);
	return outcome.result;
}

static void a_spawner_killed_during_a_check_ends_it_as_error(void **state) {
	(void)state;
	Spawner *s = start();
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, ask_to_sleep, s), 0);
	expect_pass(s, 10); /* the small lane goes on; and by now the large one is probably under way */
	assert_int_equal(kill(spawner_pid(s), SIGKILL), 0);
	void *result = NULL;
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_non_null(result);
	assert_int_equal(((struct check_result *)result)->outcome, OUTCOME_ERROR);
	check_result_free(result);
	spawner_stop(s);
}

static void small_files_do_not_wait_behind_large_ones(void **state) {
	(void)state;
	struct spawner_options options = {.check = misbehave, .seconds = 600};
	Spawner *s = NULL;
	assert_int_equal(spawner_start(&options, &s), 0);
	pthread_t threads[3];
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_to_sleep, s), 0);
	/* One large check hangs for ten minutes and two wait for it; were there one lane, this would never come back.
	 */
	for (size_t i = 0; i < 5; i++)
		expect_pass(s, 10);
	assert_int_equal(kill(spawner_pid(s), SIGKILL), 0);
	for (size_t i = 0; i < 3; i++) {
		void *result = NULL;
		assert_int_equal(pthread_join(threads[i], &result), 0);
		check_result_free(result);
	}
	spawner_stop(s);
}

static void *ask_to_sleep_as_seven(void *context) {
	struct check_outcome outcome = {0};
	user_who_asks = 7;
	(void)ask(context, "sleep", 10, 0, &outcome);
	return outcome.result;
}

/* One user's checks hang for ten minutes, and more of them wait; were others not let through, this would never come
 * back. */
static void a_user_can_not_starve_others(void **state) {
	(void)state;
	struct spawner_options options = {.check = misbehave, .seconds = 600, .small_workers = 2};
	Spawner *s = NULL;
	pthread_t threads[5];
	assert_int_equal(spawner_start(&options, &s), 0);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_to_sleep_as_seven, s), 0);
	for (uint32_t i = 0; i < 100; i++) { /* more users than are remembered */
		user_who_asks = 1000 + i;
		expect_pass(s, 10);
	}
	user_who_asks = 0;
	assert_int_equal(kill(spawner_pid(s), SIGKILL), 0);
	for (size_t i = 0; i < 5; i++) {
		void *result = NULL;
		assert_int_equal(pthread_join(threads[i], &result), 0);
		check_result_free(result);
	}
	spawner_stop(s);
}

static void *ask_many(void *context) {
	for (size_t i = 0; i < 20; i++) {
		struct check_outcome outcome = {0};
		if (ask(context, i % 4 == 0 ? "exit" : "pass", i * 100000, 0, &outcome) < 0)
			return context;
		bool is_right = (outcome.result->outcome == OUTCOME_ERROR) == (i % 4 == 0);
		check_result_free(outcome.result);
		if (!is_right)
			return context;
	}
	return NULL;
}

static void many_threads_may_ask_at_once(void **state) {
	(void)state;
	Spawner *s = start();
	pthread_t threads[6];
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_many, s), 0);
	for (size_t i = 0; i < 6; i++) {
		void *failed = s;
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	spawner_stop(s);
}

static void *do_nothing(void *context) {
	(void)syscall(SYS_futex, context, FUTEX_WAIT, 0, NULL, NULL, 0);
	return NULL;
}

static void a_process_with_threads_can_not_start_one(void **state) {
	(void)state;
	uint32_t word = 0;
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, do_nothing, &word), 0);
	Spawner *s = NULL;
	assert_int_equal(spawner_start(NULL, &s), -EBUSY);
	__atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
	(void)syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* A daemon that has two checks under way, and is then killed. */
static void daemon_to_be_killed(int ready) {
	struct spawner_options options = {.check = misbehave, .seconds = 600};
	Spawner *s = NULL;
	pthread_t thread;
	if (spawner_start(&options, &s) < 0 || pthread_create(&thread, NULL, ask_to_sleep, s) != 0)
		_exit(1);
	struct check_outcome outcome;
	if (ask(s, "pass", 10, 0, &outcome) < 0)
		_exit(1);
	(void)!write(ready, "x", 1);
	(void)ask(s, "sleep", 10, 0, &outcome);
	_exit(1);
}

static void a_dead_parent_leaves_no_process(void **state) {
	(void)state;
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	/* Whoever loses its parent becomes ours, so that waiting for all children finds those that live on. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	pid_t child = fork();
	if (child == 0)
		daemon_to_be_killed(ready[1]);
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	assert_int_equal(kill(child, SIGKILL), 0);
	alarm(60); /* one that lives on would be waited for until then */
	size_t ended = 0;
	while (waitpid(-1, NULL, 0) > 0)
		ended++;
	alarm(0);
	assert_int_equal(errno, ECHILD);
	assert_true(ended >= 2); /* the daemon and the spawner at least */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
}

static void a_worker_that_may_lock_its_memory_does_so_and_passes(void **state) {
	(void)state;
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	struct spawner_options options = {.check = misbehave, .lock_memory = true};
	Spawner *s = NULL;
	assert_int_equal(spawner_start(&options, &s), 0);
#ifndef ASSAYFS_SANITIZED /* whose shadow can't be locked */
	if (geteuid() == 0)
		expect_pass(s, 2000000);
	else if (limit.rlim_max < 64u << 20)
		expect_error(s, "pass", "could not lock its memory");
#endif
	spawner_stop(s);
}

static ssize_t read_text(void *context, void *buffer, size_t size) {
	struct bytes *left = context;
	size_t count = left->size < size ? left->size : size;
	memcpy(buffer, left->data, count);
	*left = bytes_of(left->data + count, left->size - count);
	return (ssize_t)count;
}

/* SQLite must need no system call that a worker has not, for statements of all kinds. */
static void statements_run_in_a_worker(void **state) {
	(void)state;
	static const char rules[] = "Rules = [ CustomSql \"select count(*) from primary\" = 3,"
	                            " CustomSql \"select max(p.a) from primary p join primary q on p.a = q.a\" = 3,"
	                            " CustomSql \"select a from primary where a > 0\","
	                            " CustomSql \"select a from primary where date(b) < date('now') order by a\","
	                            " RowCount = 1 where \"b = '2001-02-03'\" ]";
	struct bytes file = bytes_of_string("a,b\n1,2001-02-03\n2,2001-02-04\n3,2001-02-05\n");
	struct check_job job = {
	        .dataset = "d", .file_name = "f.csv", .size = file.size, .rules = bytes_of_string(rules)};
	struct check_request request = {.job = &job, .input = {.read = read_text, .context = &file}};
	struct check_outcome outcome = {0};
	Spawner *s = NULL;
	assert_int_equal(spawner_start(NULL, &s), 0);
	assert_int_equal(spawner_check(s, &request, &outcome), 0);
	if (outcome.result->outcome != OUTCOME_PASSED)
		fail_msg("%s", outcome.result->reason);
	check_result_free(outcome.result);
	spawner_stop(s);
}

static void confinement_is_told_in_words(void **state) {
	(void)state;
	Spawner *s = start();
	assert_non_null(strstr(spawner_confinement(s), "no system calls"));
	print_message("confinement here: %s\n", spawner_confinement(s));
	spawner_stop(s);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_file_is_read_whole_and_hashed_on_the_way),
	        cmocka_unit_test(references_are_read_between_the_files_first_bytes_and_the_others),
	        cmocka_unit_test(a_reference_shorter_than_told_decides_nothing),
	        cmocka_unit_test(a_worker_that_dies_needs_no_references),
	        cmocka_unit_test(forbidden_system_calls_end_the_worker),
	        cmocka_unit_test(memory_can_not_be_made_to_run),
	        cmocka_unit_test(a_worker_that_does_not_end_is_ended),
	        cmocka_unit_test(a_worker_that_eats_memory_is_ended),
	        cmocka_unit_test(a_crash_breaks_one_verdict_only),
	        cmocka_unit_test(a_garbled_answer_is_not_believed),
	        cmocka_unit_test(a_check_that_decides_early_still_has_the_whole_file_hashed),
	        cmocka_unit_test(an_input_that_can_not_be_read_decides_nothing),
	        cmocka_unit_test(without_the_spawner_checks_fail_closed),
	        cmocka_unit_test(a_spawner_killed_during_a_check_ends_it_as_error),
	        cmocka_unit_test(small_files_do_not_wait_behind_large_ones),
	        cmocka_unit_test(a_user_can_not_starve_others),
	        cmocka_unit_test(many_threads_may_ask_at_once),
	        cmocka_unit_test(a_process_with_threads_can_not_start_one),
	        cmocka_unit_test(a_dead_parent_leaves_no_process),
	        cmocka_unit_test(a_worker_that_may_lock_its_memory_does_so_and_passes),
	        cmocka_unit_test(statements_run_in_a_worker),
	        cmocka_unit_test(confinement_is_told_in_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
