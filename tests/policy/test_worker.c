/* One check in its worker: what the worker may do, how it ends, and what is believed of it. */
#include "tests/policy/misbehave.h"

#include "crypto/digest.h"
#include "policy/crew.h"
#include "tests/policy/pieces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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
	struct x_source sources[CHECK_REFERENCES_MAX], file = {.left = 3000000};
	for (size_t i = 0; i < count; i++) {
		sources[i] = (struct x_source){.left = i + 1 == count ? sizes[i] - missing : sizes[i]};
		references[i] = (struct check_reference){.alias = "ref",
		        .file_name = "r.csv",
		        .size = sizes[i],
		        .input = {.read = read_x, .context = &sources[i]}};
	}
	struct check_job job = {.dataset = "d",
	        .file_name = "f.csv",
	        .size = 3000000,
	        .rules = bytes_of_string(what),
	        .references = references,
	        .reference_count = count};
	struct check_request request = {.job = &job, .input = {.read = read_x, .context = &file}};
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

/* A second thread is there for large files where there is a second processor, and is as confined as the first. */
static void a_large_file_has_two_threads_in_one_cage(void **state) {
	(void)state;
	enum { LARGE = 3000000 };
	struct check_outcome outcome = {0};
#ifdef ASSAYFS_SANITIZED_THREADS /* where a worker can make no thread */
	skip();
#endif
	Crew *useful = crew_for(LARGE);
	crew_free(useful);
	if (!useful)
		skip();
	Spawner *s = start();
	assert_int_equal(ask(s, "crew", LARGE, 0, &outcome), 0);
	if (outcome.result->outcome != OUTCOME_PASSED)
		fail_msg("%s", outcome.result->reason);
	check_result_free(outcome.result);
	assert_int_equal(spawner_spill_into(s, "/tmp"), 0); /* now both put something aside, too */
	assert_int_equal(ask(s, "crew", LARGE, 0, &outcome), 0);
	if (outcome.result->outcome != OUTCOME_PASSED)
		fail_msg("%s", outcome.result->reason);
	check_result_free(outcome.result);
	assert_int_equal(ask(s, "crew opens", LARGE, 0, &outcome), 0);
	assert_int_equal(outcome.result->outcome, OUTCOME_ERROR);
	assert_non_null(strstr(outcome.result->reason, "may not do"));
	check_result_free(outcome.result);
	expect_error(s, "crew", "there is no crew"); /* a small one */
	spawner_stop(s);
}

/* What of a large file does not fit into memory goes into a file that only the worker has, and only there. */
static void a_large_file_has_a_place_to_put_things_aside(void **state) {
	(void)state;
	enum { LARGE = 2000000 };
	char folder[] = "/tmp/assayfs-test-worker-XXXXXX";
	struct check_outcome outcome = {0};
	Spawner *s = start();
	assert_non_null(mkdtemp(folder));
	assert_int_equal(ask(s, "spill", LARGE, 0, &outcome), 0);
	assert_string_equal(outcome.result->reason, "there is no spill");
	check_result_free(outcome.result);
	assert_int_equal(spawner_spill_into(s, folder), 0);
	assert_int_equal(ask(s, "spill", LARGE, 0, &outcome), 0);
	if (outcome.result->outcome != OUTCOME_PASSED)
		fail_msg("%s", outcome.result->reason);
	check_result_free(outcome.result);
	assert_int_equal(ask(s, "write elsewhere", LARGE, 0, &outcome), 0);
	assert_non_null(strstr(outcome.result->reason, "may not do"));
	check_result_free(outcome.result);
	expect_error(s, "spill", "there is no spill"); /* a small one */
	assert_int_equal(rmdir(folder), 0);            /* from under it: a check goes on without */
	assert_int_equal(ask(s, "pass", LARGE, 0, &outcome), 0);
	assert_int_equal(outcome.result->outcome, OUTCOME_PASSED);
	check_result_free(outcome.result);
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

/* SQLite must need no system call that a worker has not, for statements of all kinds. */
static void statements_run_in_a_worker(void **state) {
	(void)state;
	static const char rules[] = "Rules = [ CustomSql \"select count(*) from primary\" = 3,"
	                            " CustomSql \"select max(p.a) from primary p join primary q on p.a = q.a\" = 3,"
	                            " CustomSql \"select a from primary where a > 0\","
	                            " CustomSql \"select a from primary where date(b) < date('now') order by a\","
	                            " RowCount = 1 where \"b = '2001-02-03'\" ]";
	struct pieces file = pieces_of(bytes_of_string("a,b\n1,2001-02-03\n2,2001-02-04\n3,2001-02-05\n"), 0);
	struct check_job job = {
	        .dataset = "d", .file_name = "f.csv", .size = file.size, .rules = bytes_of_string(rules)};
	struct check_request request = {.job = &job, .input = {.read = pieces_read, .context = &file}};
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
	        cmocka_unit_test(a_large_file_has_two_threads_in_one_cage),
	        cmocka_unit_test(a_large_file_has_a_place_to_put_things_aside),
	        cmocka_unit_test(memory_can_not_be_made_to_run),
	        cmocka_unit_test(a_worker_that_does_not_end_is_ended),
	        cmocka_unit_test(a_worker_that_eats_memory_is_ended),
	        cmocka_unit_test(a_crash_breaks_one_verdict_only),
	        cmocka_unit_test(a_garbled_answer_is_not_believed),
	        cmocka_unit_test(a_check_that_decides_early_still_has_the_whole_file_hashed),
	        cmocka_unit_test(an_input_that_can_not_be_read_decides_nothing),
	        cmocka_unit_test(a_worker_that_may_lock_its_memory_does_so_and_passes),
	        cmocka_unit_test(statements_run_in_a_worker),
	        cmocka_unit_test(confinement_is_told_in_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
