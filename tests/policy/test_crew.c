/* Parts of work, done once each by more threads than one. */
#include "policy/crew.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { PARTS = 200, ROUNDS = 300 };

struct work {
	unsigned done[PARTS]; /* of each part by one thread at a time, so no atomics */
	unsigned seen;        /* written before the round, read in it */
	unsigned round;
	atomic_uint together, most_together;
	size_t fails;
};

static int do_part(void *context, size_t part) {
	struct work *work = context;
	unsigned now = atomic_fetch_add(&work->together, 1) + 1;
	if (now > atomic_load(&work->most_together))
		atomic_store(&work->most_together, now);
	work->done[part]++;
	int rc = work->seen == work->round ? 0 : fault(EPROTO, "part %zu saw an older round", part);
	if (work->fails == part + 1)
		rc = fault(EIO, "part %zu failed", part);
	atomic_fetch_sub(&work->together, 1);
	return rc;
}

static void each_part_is_done_once(void **state) {
	(void)state;
	for (unsigned helpers = 0; helpers <= 3; helpers++) {
		struct work work = {0};
		Crew *crew = NULL;
		assert_int_equal(crew_new(helpers, &crew), 0);
		for (work.round = 0; work.round < ROUNDS; work.round++) {
			work.seen = work.round;
			crew_begin(crew, do_part, &work, work.round % PARTS);
			assert_int_equal(crew_end(crew), 0);
			for (size_t i = 0; i < PARTS; i++)
				assert_int_equal(work.done[i], i < work.round % PARTS);
			memset(work.done, 0, sizeof work.done);
		}
		assert_true(work.most_together <= helpers + 1);
		crew_free(crew);
	}
}

struct meeting {
	atomic_uint come;
};

static int meet(void *context, size_t part) {
	struct meeting *meeting = context;
	(void)part;
	atomic_fetch_add(&meeting->come, 1);
	while (atomic_load(&meeting->come) < 2)
		;
	return 0;
}

static void a_helper_begins_while_the_caller_does_something_else(void **state) {
	(void)state;
	struct meeting meeting = {0};
	Crew *crew = NULL;
	assert_int_equal(crew_new(1, &crew), 0);
	crew_begin(crew, meet, &meeting, 1);
	assert_int_equal(meet(&meeting, 0), 0);
	assert_int_equal(crew_end(crew), 0);
	crew_free(crew);
}

static void the_first_error_ends_the_round_with_its_words(void **state) {
	(void)state;
	for (unsigned helpers = 0; helpers <= 2; helpers++) {
		struct work work = {.fails = 7};
		Crew *crew = NULL;
		assert_int_equal(crew_new(helpers, &crew), 0);
		crew_begin(crew, do_part, &work, PARTS);
		assert_int_equal(crew_end(crew), -EIO);
		assert_string_equal(fault_message(), "part 6 failed");
		assert_int_equal(helpers == 0 ? work.done[7] : 0, 0);
		memset(work.done, 0, sizeof work.done);
		work.fails = 0;
		crew_begin(crew, do_part, &work, PARTS);
		assert_int_equal(crew_end(crew), 0);
		assert_int_equal(work.done[PARTS - 1], 1);
		crew_free(crew);
	}
}

static void nothing_to_do_is_done_at_once(void **state) {
	(void)state;
	Crew *crew = NULL;
	assert_int_equal(crew_new(1, &crew), 0);
	crew_begin(crew, do_part, NULL, 0);
	assert_int_equal(crew_end(crew), 0);
	crew_free(crew);
	crew_free(NULL);
	assert_null(crew_for(10));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_part_is_done_once),
	        cmocka_unit_test(a_helper_begins_while_the_caller_does_something_else),
	        cmocka_unit_test(the_first_error_ends_the_round_with_its_words),
	        cmocka_unit_test(nothing_to_do_is_done_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
