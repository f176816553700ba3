#include "backend/run.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backend/job.h"
#include "tests/backend/meta_fixture.h"

#define OP(f, call) (meta_begin((f)->m), meta_end((f)->m, (call)))

static struct run a_run(enum run_cause cause, int64_t due_ns, enum run_state state) {
	struct run run = {
	        .workflow = "w", .cause = (uint8_t)cause, .state = (uint8_t)state, .attempt = 1, .due_ns = due_ns};
	return run;
}

static uint64_t put_a_job(struct fixture *f, uint64_t run, const char *path) {
	const struct job job = {.kind = JOB_RECHECK, .path = bytes_of_string(path), .workflow = "w"};
	uint64_t id;
	meta_begin(f->m);
	int rc = job_put(f->m, &job, &id, NULL, NULL);
	if (rc == 0)
		rc = run_add_job(f->m, run, id);
	assert_int_equal(meta_end(f->m, rc), 0);
	return id;
}

static int take_none(void *arg, const struct job *job) {
	(void)arg, (void)job;
	return 0;
}

static void the_end_of_a_job_counts_for_its_run(void **state) {
	struct fixture *f = *state;
	struct run run = a_run(RUN_BY_HAND, 5, RUN_QUEUED);
	assert_int_equal(OP(f, run_put(f->m, &run, &run.id)), 0);
	assert_int_equal(OP(f, run_begin(f->m, run.id)), 0);
	uint64_t first = put_a_job(f, run.id, "Raw/a");
	(void)put_a_job(f, run.id, "Raw/b");
	assert_int_equal(OP(f, run_queued_all(f->m, run.id)), 0);
	assert_int_equal(OP(f, job_take(f->m, 0, INT64_MAX, take_none, NULL)), 0);
	assert_int_equal(OP(f, job_finish(f->m, first, 0)), 0);
	assert_int_equal(OP(f, run_get(f->m, run.id, &run)), 0);
	assert_int_equal(run.total, 2);
	assert_int_equal(run.skipped, 1);
	assert_false(run_is_done(&run));
	assert_int_equal(OP(f, run_job_given_up(f->m, first)), 0);
	assert_int_equal(OP(f, run_withdraw_jobs(f->m, run.id)), 0);
	assert_int_equal(OP(f, run_get(f->m, run.id, &run)), 0);
	assert_int_equal(run.errors, 1);
	assert_int_equal(run.skipped, 1);
	assert_true(run_is_done(&run));
	assert_int_equal(OP(f, run_end(f->m, run.id, RUN_FAILED, "why")), 0);
	assert_int_equal(OP(f, run_end(f->m, run.id, RUN_SUCCEEDED, NULL)), -ENOENT); /* once */
	assert_int_equal(OP(f, run_get(f->m, run.id, &run)), 0);
	assert_string_equal(run.words, "why");
}

static void what_comes_by_itself_comes_once_for_a_time(void **state) {
	struct fixture *f = *state;
	struct run run = a_run(RUN_BY_SCHEDULE, 7, RUN_QUEUED);
	int64_t due = 0;
	assert_int_equal(OP(f, run_put(f->m, &run, &run.id)), 0);
	run.cause = RUN_CATCHES_UP;
	assert_int_equal(OP(f, run_put(f->m, &run, &run.id)), -EEXIST);
	run.cause = RUN_BY_HAND;
	assert_int_equal(OP(f, run_put(f->m, &run, &run.id)), 0);
	assert_int_equal(OP(f, run_last_due(f->m, "w", &due)), 0);
	assert_int_equal(due, 7);
}

static void the_history_is_bounded(void **state) {
	struct fixture *f = *state;
	struct run run, newest;
	for (int64_t i = 1; i <= RUN_KEEP + 20; i++) {
		run = a_run(RUN_BY_SCHEDULE, i, RUN_SKIPPED);
		assert_int_equal(OP(f, run_put(f->m, &run, &newest.id)), 0);
	}
	assert_int_equal(OP(f, run_get(f->m, 20, &run)), -ENOENT);
	assert_int_equal(OP(f, run_get(f->m, 21, &run)), 0);
	struct run_facts facts;
	assert_int_equal(OP(f, run_facts(f->m, "w", 0, &facts)), 0);
	assert_int_equal(facts.succeeded + facts.failed + facts.missed, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(the_end_of_a_job_counts_for_its_run, fixture_setup, fixture_teardown),
	        cmocka_unit_test_setup_teardown(
	                what_comes_by_itself_comes_once_for_a_time, fixture_setup, fixture_teardown),
	        cmocka_unit_test_setup_teardown(the_history_is_bounded, fixture_setup, fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
