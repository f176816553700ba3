/* Segments on a disk that fails, and after a crash. */
#include "tests/backend/segment_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- failures ---- */

struct load {
	struct segment_test *f;
	uint32_t seed;
	size_t n;
	int worst; /* the one error that may happen */
	struct block_ref refs[600];
	bool there[600];
};

static size_t size_of(uint32_t seed) {
	return 1 + (seed * 7919u) % SEGMENT_BLOCK_BYTES;
}

static void *append_many(void *arg) {
	struct load *load = arg;
	for (size_t i = 0; i < load->n; i++) {
		uint32_t seed = load->seed + (uint32_t)i;
		int rc = segment_test_append(load->f, ZONE_LANDING, seed, size_of(seed), &load->refs[i]);
		load->there[i] = rc == 0;
		if (rc < 0)
			load->worst = rc;
		if (i % 50 == 0)
			(void)segment_flush(load->f->store);
	}
	return NULL;
}

static void run_under_failures(struct segment_test *f, int error, unsigned one_in) {
	enum { THREADS = 3 };
	static struct load loads[THREADS];
	pthread_t threads[THREADS];
	f->fail_with = error;
	f->fail_one_in = one_in;
	size_t there = 0;
	for (uint32_t i = 0; i < THREADS; i++) {
		loads[i] = (struct load){.f = f, .seed = 10000 * (i + 1), .n = 600};
		assert_int_equal(pthread_create(&threads[i], NULL, append_many, &loads[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	f->fail_one_in = 0;
	assert_true(f->failures > 10);
	segment_finish(f->store);
	segment_test_commit(f);
	segment_test_reopen(f, 2);
	for (size_t i = 0; i < THREADS; i++) {
		assert_true(loads[i].worst == 0 || loads[i].worst == -error);
		for (size_t j = 0; j < loads[i].n; j++) {
			uint32_t seed = loads[i].seed + (uint32_t)j;
			if (loads[i].there[j])
				segment_test_assert_block(f, &loads[i].refs[j], seed, size_of(seed));
			there += loads[i].there[j];
		}
	}
	assert_true(there > 600);
	assert_int_equal(segment_test_wrong_anywhere(f), 0);
	assert_int_equal(segment_test_repeats(), 0);
	assert_true(segment_test_sealed() > 1800);
}

static void failing_writes_lose_nothing_that_was_answered(void **state) {
	run_under_failures(*state, EIO, 7);
}

static void a_full_disk_is_told_and_loses_nothing(void **state) {
	run_under_failures(*state, ENOSPC, 5);
}

static void a_write_that_fails_once_is_repeated_in_place(void **state) {
	struct segment_test *f = *state;
	struct block_ref before, after;
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 1, 4000, &before), 0);
	f->fail_next = 1;
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 2, 4000, &after), 0);
	assert_int_equal(after.segment, before.segment);
	assert_int_equal(after.batch, before.position + 4000 + 16);
	segment_test_assert_block(f, &after, 2, 4000);
	assert_int_equal(segment_test_repeats(), 0);
}

static void a_write_that_keeps_failing_goes_to_the_next_segment(void **state) {
	struct segment_test *f = *state;
	struct block_ref before, after;
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 1, 4000, &before), 0);
	f->fail_next = 2;
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 2, 4000, &after), 0);
	assert_int_equal(after.segment, before.segment + 1);
	segment_test_assert_block(f, &before, 1, 4000);
	segment_test_assert_block(f, &after, 2, 4000);
	segment_test_commit(f);
	assert_int_equal(f->rows[before.segment].state, SEGMENT_ABANDONED);
	assert_int_equal(f->rows[before.segment].bytes, before.position + 4000 + 16);
	assert_int_equal(segment_test_wrong_anywhere(f), 0);
	assert_int_equal(segment_test_repeats(), 0);
}

/* ---- crash ---- */

static size_t count_files(struct segment_test *f) {
	size_t n = 0;
	char command[128];
	(void)snprintf(command, sizeof command, "find %s -type f | wc -l", f->path);
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	assert_int_equal(fscanf(pipe, "%zu", &n), 1);
	pclose(pipe);
	return n;
}

static void a_sweep_cuts_what_was_not_committed_and_removes_only_that_mounts_files(void **state) {
	struct segment_test *f = *state;
	struct block_ref kept, gone, foreign;
	uint64_t cut = 0, removed = 0;
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 1, 500, &kept), 0);
	segment_test_commit(f);
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 2, 500, &gone), 0); /* after the commit */
	assert_int_equal(segment_test_append(f, ZONE_RAW, 3, 500, &gone), 0);     /* a segment that no row names */
	segment_test_reopen(f, 7);
	assert_int_equal(segment_test_append(f, ZONE_RAW, 4, 500, &foreign),
	        0); /* unknown, and of another mount than the crashed one */
	assert_int_equal(count_files(f), 3);
	segment_test_reopen(f, 2);
	assert_int_equal(segment_sweep(f->store, 1, &cut, &removed), 0);
	assert_int_equal(cut, segment_batch_prefix(1) + 500 + 16);
	assert_int_equal(removed, SEGMENT_HEADER_BYTES + segment_batch_prefix(1) + 500 + 16);
	assert_int_equal(count_files(f), 2);
	segment_test_assert_block(f, &kept, 1, 500);
	assert_int_equal(segment_take_changes(f->store, segment_test_take_row, f), 0);
	assert_int_equal(f->rows[1].state, SEGMENT_CLOSED);
	assert_int_equal(segment_test_wrong_anywhere(f), 0);
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 5, 500, &gone), 0);
	assert_int_not_equal(gone.segment, kept.segment);
}

/* ---- zeros ahead ---- */

static off_t file_size(struct segment_test *f, uint32_t number) {
	int fd = segment_test_open_segment(f, number);
	off_t size = lseek(fd, 0, SEEK_END);
	(void)close(fd);
	return size;
}

/* Appends and syncs of little, as by a program that calls fsync after each line. */
static void trickle(struct segment_test *f, uint32_t count, struct block_ref *ret_refs) {
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(segment_test_append(f, ZONE_LANDING, i, 500, &ret_refs[i]), 0);
		segment_test_commit(f);
	}
}

static void zeros_stand_ahead_of_small_syncs_until_the_segment_is_closed(void **state) {
	struct segment_test *f = *state;
	struct block_ref refs[20], large;
	trickle(f, 20, refs);
	off_t end = (off_t)refs[19].position + 500 + 16;
	assert_int_equal(f->rows[1].bytes, end);
	assert_true(file_size(f, 1) > end);
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 99, 16384, &large), 0); /* it goes where the zeros are */
	assert_true(large.position < file_size(f, 1));
	segment_finish(f->store);
	segment_test_commit(f);
	assert_int_equal(f->rows[1].state, SEGMENT_CLOSED);
	assert_int_equal(file_size(f, 1), large.position + 16384 + 16);
	for (uint32_t i = 0; i < 20; i++)
		segment_test_assert_block(f, &refs[i], i, 500);
	segment_test_assert_block(f, &large, 99, 16384);
	assert_int_equal(segment_test_wrong_anywhere(f), 0);
}

static void zeros_that_a_crash_left_are_cut(void **state) {
	struct segment_test *f = *state;
	struct block_ref refs[20];
	uint64_t cut = 0, removed = 0;
	trickle(f, 20, refs);
	off_t end = (off_t)refs[19].position + 500 + 16, size = file_size(f, 1);
	segment_test_reopen(f, 2);
	assert_int_equal(segment_sweep(f->store, 1, &cut, &removed), 0);
	assert_int_equal(cut, size - end);
	assert_int_equal(file_size(f, 1), end);
	for (uint32_t i = 0; i < 20; i++)
		segment_test_assert_block(f, &refs[i], i, 500);
	assert_int_equal(segment_take_changes(f->store, segment_test_take_row, f), 0);
	assert_int_equal(segment_test_wrong_anywhere(f), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, segment_test_setup, segment_test_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(failing_writes_lose_nothing_that_was_answered),
	        TEST(a_full_disk_is_told_and_loses_nothing),
	        TEST(a_write_that_fails_once_is_repeated_in_place),
	        TEST(a_write_that_keeps_failing_goes_to_the_next_segment),
	        TEST(a_sweep_cuts_what_was_not_committed_and_removes_only_that_mounts_files),
	        TEST(zeros_stand_ahead_of_small_syncs_until_the_segment_is_closed),
	        TEST(zeros_that_a_crash_left_are_cut),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	segment_test_end();
	return failed;
}
