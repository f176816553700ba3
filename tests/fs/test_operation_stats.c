/* Requests of the kernel, by the number that they and their answers bear. */
#include "fs/operation_stats.h"

#include "tests/fs/unit.h"

#include <errno.h>
#include <pthread.h>

#include <linux/fuse.h>

struct seen {
	struct operation_view views[40];
	size_t count;
};

static void note(void *arg, const struct operation_view *view) {
	struct seen *seen = arg;
	seen->views[seen->count++] = *view;
}

static const struct operation_view *of(struct seen *seen, const OperationStats *stats, const char *name) {
	seen->count = 0;
	operation_stats_each(stats, note, seen);
	for (size_t i = 0; i < seen->count; i++)
		if (strcmp(seen->views[i].name, name) == 0)
			return &seen->views[i];
	return NULL;
}

static void an_answer_is_counted_for_what_was_asked(void **state) {
	(void)state;
	_cleanup_(operation_stats_freep) OperationStats *stats = NULL;
	struct fuse_write_out out = {.size = 4096};
	struct operation_totals totals;
	struct seen seen = {0};
	assert_int_equal(operation_stats_new(&stats), 0);
	operation_stats_asked(stats, FUSE_READ, 2);
	operation_stats_asked(stats, FUSE_WRITE, 4);
	operation_stats_asked(stats, FUSE_LOOKUP, 6);
	operation_stats_totals(stats, &totals);
	assert_int_equal(totals.running, 3);
	assert_int_equal(totals.answered, 0);
	operation_stats_answered(stats, 6, -ENOENT, NULL, 0);
	operation_stats_answered(stats, 4, 0, &out, sizeof out);
	operation_stats_answered(stats, 2, 0, &out, sizeof out); /* eight bytes of a file: no count of anything */
	operation_stats_totals(stats, &totals);
	assert_int_equal(totals.running, 0);
	assert_int_equal(totals.answered, 3); /* errors, too */
	assert_int_equal(totals.read_bytes, sizeof out);
	assert_int_equal(totals.written_bytes, 4096);
	assert_int_equal(of(&seen, stats, "read")->latency.count, 1);
	assert_int_equal(of(&seen, stats, "write")->latency.count, 1);
	assert_int_equal(of(&seen, stats, "lookup")->errors[OPERATION_ENOENT], 1);
	assert_null(of(&seen, stats, "open"));
}

static void what_has_no_answer_and_what_was_not_asked_is_not_counted(void **state) {
	(void)state;
	_cleanup_(operation_stats_freep) OperationStats *stats = NULL;
	struct operation_totals totals;
	struct seen seen = {0};
	assert_int_equal(operation_stats_new(&stats), 0);
	operation_stats_asked(stats, FUSE_FORGET, 2);
	operation_stats_asked(stats, FUSE_BATCH_FORGET, 4);
	operation_stats_asked(stats, FUSE_INTERRUPT, 7);
	operation_stats_answered(stats, 0, 0, NULL, 0); /* a notification */
	operation_stats_answered(stats, 8, 0, NULL, 0);
	operation_stats_totals(stats, &totals);
	assert_int_equal(totals.running, 0);
	assert_int_equal(totals.answered, 0);
	assert_null(of(&seen, stats, "other"));
	operation_stats_asked(stats, 4000, 10); /* of a kernel to come */
	operation_stats_answered(stats, 10, -ENOSYS, NULL, 0);
	assert_int_equal(of(&seen, stats, "other")->errors[OPERATION_OTHER], 1);
}

/* Those that wait longest are what one wants to know of. */
static void what_waits_long_is_not_forgotten_for_what_comes_meanwhile(void **state) {
	(void)state;
	_cleanup_(operation_stats_freep) OperationStats *stats = NULL;
	struct operation_totals totals;
	struct seen seen = {0};
	assert_int_equal(operation_stats_new(&stats), 0);
	operation_stats_asked(stats, FUSE_FLUSH, 2);
	for (uint64_t unique = 4; unique < 40000; unique += 2) {
		operation_stats_asked(stats, FUSE_GETATTR, unique);
		operation_stats_answered(stats, unique, 0, NULL, 0);
	}
	operation_stats_answered(stats, 2, 0, NULL, 0);
	assert_int_equal(of(&seen, stats, "flush")->latency.count, 1);
	assert_int_equal(of(&seen, stats, "getattr")->latency.count, 19998);
	operation_stats_totals(stats, &totals);
	assert_int_equal(totals.unmeasured, 0);
}

static void more_than_there_are_slots_is_said(void **state) {
	(void)state;
	_cleanup_(operation_stats_freep) OperationStats *stats = NULL;
	struct operation_totals totals;
	assert_int_equal(operation_stats_new(&stats), 0);
	for (uint64_t unique = 2; unique <= 2 * 3000; unique += 2)
		operation_stats_asked(stats, FUSE_FLUSH, unique);
	operation_stats_totals(stats, &totals);
	assert_true(totals.unmeasured == 3000 - 2048 && totals.running == 2048);
}

enum { THREADS = 4, EACH = 5000 };

struct share {
	OperationStats *stats;
	uint64_t first;
	pthread_t asker, answerer;
	_Atomic uint64_t asked;
};

static void *answer(void *arg) {
	struct share *share = arg;
	for (uint64_t done = 0; done < EACH;)
		for (; done < share->asked; done++)
			operation_stats_answered(share->stats, share->first + 2 * THREADS * done, 0, NULL, 0);
	return NULL;
}

/* No more than a few hundred are on their way at a time, as with a kernel. */
static void *ask(void *arg) {
	struct share *share = arg;
	for (uint64_t i = 0; i < EACH; i++) {
		operation_stats_asked(share->stats, FUSE_FLUSH, share->first + 2 * THREADS * i);
		share->asked = i + 1;
	}
	return NULL;
}

static void who_answers_need_not_be_who_read(void **state) {
	(void)state;
	_cleanup_(operation_stats_freep) OperationStats *stats = NULL;
	static struct share shares[THREADS];
	struct operation_totals totals;
	struct seen seen = {0};
	assert_int_equal(operation_stats_new(&stats), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		shares[i].stats = stats;
		shares[i].first = 2 + 2 * i;
		shares[i].asked = 0;
		assert_int_equal(pthread_create(&shares[i].asker, NULL, ask, &shares[i]), 0);
		assert_int_equal(pthread_create(&shares[i].answerer, NULL, answer, &shares[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(shares[i].asker, NULL);
		pthread_join(shares[i].answerer, NULL);
	}
	operation_stats_totals(stats, &totals);
	assert_int_equal(totals.running, 0);
	assert_int_equal(of(&seen, stats, "flush")->latency.count + totals.unmeasured, THREADS * EACH);
	assert_int_equal(totals.answered + totals.unmeasured, THREADS * EACH);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_answer_is_counted_for_what_was_asked),
	        cmocka_unit_test(what_has_no_answer_and_what_was_not_asked_is_not_counted),
	        cmocka_unit_test(what_waits_long_is_not_forgotten_for_what_comes_meanwhile),
	        cmocka_unit_test(more_than_there_are_slots_is_said),
	        cmocka_unit_test(who_answers_need_not_be_who_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
