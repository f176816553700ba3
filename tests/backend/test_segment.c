/* Segments: what was appended is read back, and every change of it is found. */
#include "tests/backend/segment_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void what_was_appended_is_read_back(void **state) {
	struct segment_test *f = *state;
	static const size_t sizes[] = {1, 15, 16, 4096, 16383, 16384};
	struct block_ref refs[6];
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(segment_test_append(f, ZONE_LANDING, (uint32_t)i, sizes[i], &refs[i]), 0);
	for (size_t i = 0; i < 6; i++)
		segment_test_assert_block(f, &refs[i], (uint32_t)i, sizes[i]);
	segment_test_commit(f);
	segment_test_reopen(f, 2);
	for (size_t i = 0; i < 6; i++)
		segment_test_assert_block(f, &refs[i], (uint32_t)i, sizes[i]);
}

static void a_large_append_becomes_batches_and_holes_are_zeros(void **state) {
	struct segment_test *f = *state;
	enum { N = 200 };
	uint8_t *data = malloc(N * SEGMENT_BLOCK_BYTES), *got = malloc((N + 1) * SEGMENT_BLOCK_BYTES);
	struct segment_block blocks[N];
	struct block_ref refs[N + 1];
	segment_test_fill(data, N * SEGMENT_BLOCK_BYTES, 5);
	for (size_t i = 0; i < N; i++)
		blocks[i] =
		        (struct segment_block){.plain = bytes_of(data + i * SEGMENT_BLOCK_BYTES, SEGMENT_BLOCK_BYTES)};
	assert_int_equal(segment_append(f->store, ZONE_RAW, blocks, N, refs), 0);
	/* A hole in the middle splits the run. */
	memmove(refs + 101, refs + 100, 100 * sizeof *refs);
	memset(refs + 100, 0, sizeof *refs);
	assert_int_equal(segment_read(f->store, refs, N + 1, got), 0);
	assert_memory_equal(got, data, 100 * SEGMENT_BLOCK_BYTES);
	assert_memory_equal(
	        got + 101 * SEGMENT_BLOCK_BYTES, data + 100 * SEGMENT_BLOCK_BYTES, 100 * SEGMENT_BLOCK_BYTES);
	for (size_t i = 0; i < SEGMENT_BLOCK_BYTES; i++)
		assert_int_equal(got[100 * SEGMENT_BLOCK_BYTES + i], 0);
	free(data);
	free(got);
}

static void the_disk_is_told_of_scattered_blocks_before_the_first_is_read(void **state) {
	struct segment_test *f = *state;
	struct block_ref ref[3];
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(segment_test_append(f, ZONE_LANDING, (uint32_t)i, SEGMENT_BLOCK_BYTES, &ref[i]), 0);
	uint8_t *got = malloc((size_t)4 * SEGMENT_BLOCK_BYTES), *want = malloc(SEGMENT_BLOCK_BYTES);
	/* A block by itself, and three neighbours, are one read each. */
	assert_int_equal(segment_read(f->store, &ref[1], 1, got), 0);
	assert_int_equal(segment_read(f->store, ref, 3, got), 0);
	assert_int_equal(f->expects, 0);

	struct block_ref scattered[4] = {ref[2], ref[0], {0}, ref[1]};
	assert_int_equal(segment_read(f->store, scattered, 4, got), 0);
	assert_int_equal(f->expects, 2);
	assert_int_equal(f->expected[0], ref[0].batch);
	assert_int_equal(f->expected[1], ref[1].batch);
	static const uint32_t seeds[] = {2, 0, 0, 1};
	for (size_t i = 0; i < 4; i++) {
		segment_test_fill(want, SEGMENT_BLOCK_BYTES, seeds[i]);
		if (i != 2)
			assert_memory_equal(got + i * SEGMENT_BLOCK_BYTES, want, SEGMENT_BLOCK_BYTES);
	}

	/* What can't be is no hint, and an error when it is read. */
	scattered[3].position = scattered[3].batch;
	assert_int_equal(segment_read(f->store, scattered, 4, got), -EBADMSG);
	assert_int_equal(f->expects, 3);
	scattered[3] = ref[1];
	scattered[3].segment = 77;
	assert_int_equal(segment_read(f->store, scattered, 4, got), -EBADMSG);
	assert_int_equal(f->expects, 4);
	free(got);
	free(want);
}

static void scattered_blocks_bring_their_neighbourhood_once(void **state) {
	struct segment_test *f = *state;
	enum { N = 80, SCATTERED = 5 };
	struct block_ref ref[N], scattered[SCATTERED];
	for (size_t i = 0; i < N; i++)
		assert_int_equal(segment_test_append(f, ZONE_LANDING, (uint32_t)i, SEGMENT_BLOCK_BYTES, &ref[i]), 0);
	static const size_t wanted[SCATTERED] = {8, 6, 75, 4, 2};
	for (size_t i = 0; i < SCATTERED; i++)
		scattered[i] = ref[wanted[i]];
	assert_true(ref[75].batch > 1 << 20);
	uint8_t *got = malloc((size_t)SCATTERED * SEGMENT_BLOCK_BYTES);
	/* Too few of them: each by itself. */
	assert_int_equal(segment_read(f->store, scattered, 3, got), 0);
	assert_int_equal(f->expected[0], ref[6].batch);
	assert_int_equal(f->expected[1], ref[75].batch);
	f->expects = 0;
	assert_int_equal(segment_read(f->store, scattered, SCATTERED, got), 0);
	assert_int_equal(f->expects, 4);
	assert_int_equal(f->expected[0], 0);
	assert_int_equal(f->expected[1], 1 << 20);
	assert_int_equal(f->expected[2], ref[4].batch); /* its window was asked for with that of block 6 */
	assert_int_equal(f->expected[3], ref[2].batch);
	/* Again, all by themselves. */
	f->expects = 0;
	assert_int_equal(segment_read(f->store, scattered, SCATTERED, got), 0);
	assert_int_equal(f->expected[0], ref[6].batch);
	assert_int_equal(f->expected[1], ref[75].batch);
	free(got);
}

static void a_block_alone_is_read_up_to_its_end(void **state) {
	struct segment_test *f = *state;
	struct block_ref ref;
	uint8_t whole[SEGMENT_BLOCK_BYTES], got[SEGMENT_BLOCK_BYTES];
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 3, 1000, &ref), 0);
	assert_int_equal(segment_read(f->store, &ref, 1, whole), 0);
	memset(got, 0x5a, sizeof got);
	assert_int_equal(segment_read_plain(f->store, &ref, got), 0);
	assert_memory_equal(got, whole, 1000);
	for (size_t i = 1000; i < sizeof got; i++)
		assert_int_equal(got[i], 0x5a);
	ref.tag[0] ^= 1;
	assert_int_equal(segment_read_plain(f->store, &ref, got), -EBADMSG);
	for (size_t i = 0; i < sizeof got; i++)
		assert_int_equal(got[i], i < 1000 ? 0 : 0x5a);
}

static void zones_never_share_a_segment(void **state) {
	struct segment_test *f = *state;
	struct block_ref refs[4];
	static const enum zone zones[] = {ZONE_LANDING, ZONE_RAW, ZONE_TRUSTED, ZONE_STAGING};
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(segment_test_append(f, zones[i], 1, 100, &refs[i]), 0);
	for (size_t i = 0; i < 4; i++) {
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(refs[i].segment, refs[j].segment);
	}
	assert_int_equal(segment_test_append(f, ZONE_NONE, 1, 100, &refs[0]), -EINVAL);
}

static void a_segment_is_closed_when_full(void **state) {
	struct segment_test *f = *state;
	uint8_t *data = calloc(64, SEGMENT_BLOCK_BYTES);
	struct segment_block blocks[64];
	struct block_ref refs[64];
	for (size_t i = 0; i < 64; i++)
		blocks[i] =
		        (struct segment_block){.plain = bytes_of(data + i * SEGMENT_BLOCK_BYTES, SEGMENT_BLOCK_BYTES)};
	for (size_t i = 0; i < 70; i++)
		assert_int_equal(segment_append(f->store, ZONE_LANDING, blocks, 64, refs), 0);
	free(data);
	segment_test_commit(f);
	assert_int_equal(refs[0].segment, 2);
	assert_int_equal(f->rows[1].state, SEGMENT_CLOSED);
	assert_true(f->rows[1].bytes <= SEGMENT_MAX_BYTES);
	assert_int_equal(f->rows[2].state, SEGMENT_OPEN);
	segment_finish(f->store);
	segment_test_commit(f);
	assert_int_equal(f->rows[2].state, SEGMENT_CLOSED);
	assert_int_equal(segment_test_wrong_anywhere(f), 0);
}

static void only_synced_bytes_are_told(void **state) {
	struct segment_test *f = *state;
	struct block_ref ref;
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 1, 100, &ref), 0);
	assert_int_equal(segment_take_changes(f->store, segment_test_take_row, f), 0);
	assert_int_equal(f->rows[1].number, 0);
	segment_test_commit(f);
	uint64_t bytes = f->rows[1].bytes;
	assert_int_equal(bytes, SEGMENT_HEADER_BYTES + segment_batch_prefix(1) + 100 + 16);
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 2, 100, &ref), 0);
	assert_int_equal(segment_take_changes(f->store, segment_test_take_row, f), 0);
	assert_int_equal(f->rows[1].bytes, bytes);
	segment_test_commit(f);
	assert_true(f->rows[1].bytes > bytes);
}

static void after_a_failed_sync_nothing_is_promised_any_more(void **state) {
	struct segment_test *f = *state;
	struct block_ref ref, other;
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 1, 100, &ref), 0);
	f->fail_sync = true;
	assert_int_equal(segment_flush(f->store), -EIO);
	f->fail_sync = false;
	assert_int_equal(segment_flush(f->store), -EIO);
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 2, 100, &other), -EIO);
	segment_test_assert_block(f, &ref, 1, 100);
}

static bool matters_to(const struct block_ref *ref, uint64_t at) {
	bool in_block = at >= ref->position && at < (uint64_t)ref->position + ref->plain + SEGMENT_TAG_BYTES;
	return in_block || (at >= ref->batch && at < ref->batch + (uint64_t)SEGMENT_BATCH_BYTES);
}

/* Flips each byte of a small segment: reads of one block, of two batches at once, and verify must notice those that
 * matter to them. */
static void every_flipped_byte_is_found(void **state) {
	struct segment_test *f = *state;
	struct block_ref refs[2];
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 1, 200, &refs[0]), 0);
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 2, 300, &refs[1]), 0);
	segment_finish(f->store);
	segment_test_commit(f);
	assert_int_equal(segment_test_verify(f, 1).blocks, 2);
	int fd = segment_test_open_segment(f, 1);
	uint8_t got[2 * SEGMENT_BLOCK_BYTES];
	for (uint64_t at = 0; at < f->rows[1].bytes; at++) {
		uint8_t byte;
		assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
		byte ^= (uint8_t)(1u << (at % 8));
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
		segment_test_reopen(f, 2);
		assert_true(segment_test_verify(f, 1).wrong > 0);
		bool first = matters_to(&refs[0], at), second = matters_to(&refs[1], at);
		assert_int_equal(segment_read(f->store, &refs[0], 1, got), first ? -EBADMSG : 0);
		assert_int_equal(segment_read(f->store, refs, 2, got), first || second ? -EBADMSG : 0);
		byte ^= (uint8_t)(1u << (at % 8));
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	}
	segment_test_reopen(f, 2);
	assert_int_equal(segment_test_verify(f, 1).wrong, 0);
	assert_int_equal(pwrite(fd, "x", 1, (off_t)f->rows[1].bytes), 1);
	assert_int_equal(segment_test_verify(f, 1).wrong, 1);
	assert_int_equal(ftruncate(fd, (off_t)f->rows[1].bytes - 1), 0);
	assert_true(segment_test_verify(f, 1).wrong > 0);
	assert_int_equal(segment_read(f->store, &refs[1], 1, got), -EBADMSG);
	assert_non_null(strstr(fault_message(), "segments/"));
	close(fd);
}

static void a_reference_to_another_block_is_refused(void **state) {
	struct segment_test *f = *state;
	struct block_ref a, b, mixed;
	uint8_t got[SEGMENT_BLOCK_BYTES];
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 1, 200, &a), 0);
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 2, 200, &b), 0);
	mixed = a;
	mixed.position = b.position;
	assert_int_equal(segment_read(f->store, &mixed, 1, got), -EBADMSG);
	mixed = a;
	mixed.tag[3] ^= 1;
	assert_int_equal(segment_read(f->store, &mixed, 1, got), -EBADMSG);
	for (size_t i = 0; i < sizeof got; i++)
		assert_int_equal(got[i], 0);
	mixed = a;
	mixed.segment = 99;
	assert_int_equal(segment_read(f->store, &mixed, 1, got), -EBADMSG);
	mixed = a;
	mixed.plain = 0;
	assert_int_equal(segment_read(f->store, &mixed, 1, got), -EBADMSG);
	mixed = a;
	mixed.position = UINT32_MAX - 3;
	assert_int_equal(segment_read(f->store, &mixed, 1, got), -EBADMSG);
	mixed = a;
	mixed.batch = a.position;
	assert_int_equal(segment_read(f->store, &mixed, 1, got), -EBADMSG);
}

static void a_missing_segment_is_named(void **state) {
	struct segment_test *f = *state;
	struct block_ref ref;
	char name[SEGMENT_NAME_BYTES];
	assert_int_equal(segment_test_append(f, ZONE_LANDING, 1, 200, &ref), 0);
	segment_finish(f->store);
	segment_test_commit(f);
	segment_test_reopen(f, 2);
	assert_int_equal(segment_name(f->store, 1, name), 0);
	assert_int_equal(vault_io_unlink(f->io, name), 0);
	uint8_t got[SEGMENT_BLOCK_BYTES];
	assert_int_equal(segment_read(f->store, &ref, 1, got), -EBADMSG);
	assert_non_null(strstr(fault_message(), name));
	assert_int_equal(segment_test_verify(f, 1).wrong, 1);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, segment_test_setup, segment_test_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(a_block_alone_is_read_up_to_its_end),
	        TEST(what_was_appended_is_read_back),
	        TEST(a_large_append_becomes_batches_and_holes_are_zeros),
	        TEST(the_disk_is_told_of_scattered_blocks_before_the_first_is_read),
	        TEST(scattered_blocks_bring_their_neighbourhood_once),
	        TEST(zones_never_share_a_segment),
	        TEST(a_segment_is_closed_when_full),
	        TEST(only_synced_bytes_are_told),
	        TEST(after_a_failed_sync_nothing_is_promised_any_more),
	        TEST(every_flipped_byte_is_found),
	        TEST(a_reference_to_another_block_is_refused),
	        TEST(a_missing_segment_is_named),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	segment_test_end();
	return failed;
}
