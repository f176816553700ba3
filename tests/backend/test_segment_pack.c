/* Blocks that are compressed before they are sealed: read back, never longer, and every change of them is found. */
#include "backend/segment_pack.h"
#include "tests/backend/segment_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Lines of a table, as they come: the same words again and again. */
static void write_lines(uint8_t *data, size_t size, unsigned seed) {
	for (size_t at = 0; at < size;) {
		char line[64];
		int length =
		        snprintf(line, sizeof line, "%u;Cat - DSH;Brown;2024-01-%02u;Found\r\n", seed, seed % 28 + 1);
		size_t n = size - at < (size_t)length ? size - at : (size_t)length;
		memcpy(data + at, line, n);
		at += n;
		seed = seed * 31 + 7;
	}
}

static int append_lines(struct segment_test *f, unsigned seed, size_t size, struct block_ref *ret_ref) {
	uint8_t data[SEGMENT_BLOCK_BYTES];
	write_lines(data, size, seed);
	const struct segment_block block = {.plain = bytes_of(data, size), .node = 7, .version = 8, .offset = seed};
	return segment_append(f->store, ZONE_LANDING, &block, 1, ret_ref);
}

static void expect_lines(struct segment_test *f, const struct block_ref *ref, unsigned seed, size_t size) {
	uint8_t want[SEGMENT_BLOCK_BYTES] = {0}, got[SEGMENT_BLOCK_BYTES];
	write_lines(want, size, seed);
	if (segment_read(f->store, ref, 1, got) != 0)
		fail_msg("%s", fault_message());
	assert_memory_equal(want, got, sizeof want);
	if (segment_read_plain(f->store, ref, got) != 0)
		fail_msg("%s", fault_message());
	assert_memory_equal(want, got, size);
}

static uint16_t format_of(struct segment_test *f, uint32_t number) {
	uint8_t bytes[SEGMENT_HEADER_BYTES];
	struct segment_header header;
	int fd = segment_test_open_segment(f, number);
	assert_int_equal(pread(fd, bytes, sizeof bytes, 0), sizeof bytes);
	close(fd);
	assert_int_equal(segment_header_parse(bytes_of(bytes, sizeof bytes), &header), 0);
	return header.format;
}

static void what_is_compressed_is_shorter_and_read_back(void **state) {
	struct segment_test *f = *state;
	static const size_t sizes[] = {200, 4096, 16383, 16384};
	struct block_ref refs[4];
	assert_int_equal(segment_compress(f->store, ZONE_LANDING, 3), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(append_lines(f, i, sizes[i], &refs[i]), 0);
		assert_int_equal(refs[i].flags, BLOCK_PACKED);
		assert_int_equal(refs[i].plain, sizes[i]);
		assert_true(block_ref_stored(&refs[i]) <= sizes[i] / 16 * 15);
	}
	segment_finish(f->store);
	segment_test_commit(f);
	segment_test_reopen(f, 2);
	for (unsigned i = 0; i < 4; i++)
		expect_lines(f, &refs[i], i, sizes[i]);
	assert_true(f->rows[1].bytes < 20000);
	assert_int_equal(segment_test_verify(f, 1).blocks, 4);
	assert_int_equal(segment_test_verify(f, 1).wrong, 0);
	assert_int_equal(format_of(f, 1), SEGMENT_FORMAT_PACKED);
}

static void what_does_not_pay_is_stored_as_it_is(void **state) {
	struct segment_test *f = *state;
	static const size_t sizes[] = {1, 60, 64, 100, 16384};
	struct block_ref ref;
	assert_int_equal(segment_compress(f->store, ZONE_LANDING, 19), 0);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(segment_test_append(f, ZONE_LANDING, i, sizes[i], &ref), 0);
		assert_int_equal(ref.flags, 0);
		assert_int_equal(ref.units, 0);
		segment_test_assert_block(f, &ref, i, sizes[i]);
	}
	segment_test_commit(f);
	assert_int_equal(format_of(f, 1), SEGMENT_FORMAT); /* who knows no compressed blocks reads all of it */
}

static void it_pays_from_a_sixteenth_on(void **state) {
	(void)state;
	_cleanup_(segment_packer_freep) SegmentPacker *packer = NULL;
	uint8_t plain[SEGMENT_BLOCK_BYTES], packed[SEGMENT_BLOCK_BYTES];
	assert_int_equal(segment_packer_new(&packer), 0);
	segment_test_fill(plain, sizeof plain, 1);
	memset(plain, 0, 900);
	assert_int_equal(segment_pack(packer, 3, bytes_of(plain, sizeof plain), packed), 0);
	memset(plain, 0, 1200);
	uint8_t units = segment_pack(packer, 3, bytes_of(plain, sizeof plain), packed);
	assert_in_range(units, 1, SEGMENT_UNITS_MOST);
}

/* What is sealed is bound to how long it is unpacked, and to how it is packed. */
static void associated_data_tell_packed_blocks_apart(void **state) {
	(void)state;
	assert_int_equal(segment_block_flags(0, 0, 100), 0);
	assert_int_not_equal(segment_block_flags(BLOCK_PACKED, 5, 1000), segment_block_flags(BLOCK_PACKED, 5, 1001));
	assert_int_not_equal(segment_block_flags(BLOCK_PACKED, 5, 1000), segment_block_flags(BLOCK_PACKED, 6, 1000));
	assert_int_not_equal(segment_block_flags(BLOCK_PACKED, 5, 1000), 0);
}

static void a_batch_has_both_and_is_read_in_runs(void **state) {
	struct segment_test *f = *state;
	enum { N = 100 };
	uint8_t *data = malloc(N * SEGMENT_BLOCK_BYTES), *got = malloc(N * SEGMENT_BLOCK_BYTES);
	struct segment_block blocks[N];
	struct block_ref refs[N];
	assert_int_equal(segment_compress(f->store, ZONE_LANDING, 1), 0);
	for (unsigned i = 0; i < N; i++) {
		uint8_t *block = data + (size_t)i * SEGMENT_BLOCK_BYTES;
		if (i % 3 == 0)
			segment_test_fill(block, SEGMENT_BLOCK_BYTES, i);
		else
			write_lines(block, SEGMENT_BLOCK_BYTES, i);
		blocks[i] = (struct segment_block){.plain = bytes_of(block, SEGMENT_BLOCK_BYTES)};
	}
	assert_int_equal(segment_append(f->store, ZONE_LANDING, blocks, N, refs), 0);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(refs[i].flags, i % 3 == 0 ? 0 : BLOCK_PACKED);
	assert_int_equal(segment_read(f->store, refs, N, got), 0);
	assert_memory_equal(got, data, N * SEGMENT_BLOCK_BYTES);
	segment_test_commit(f);
	assert_int_equal(segment_test_verify(f, 1).blocks, N);
	assert_int_equal(segment_test_verify(f, 1).wrong, 0);
	free(data);
	free(got);
}

static void each_zone_has_a_level_of_its_own_and_it_may_change(void **state) {
	struct segment_test *f = *state;
	struct block_ref before, packed, after;
	assert_int_equal(append_lines(f, 1, 5000, &before), 0);
	assert_int_equal(segment_compress(f->store, ZONE_RAW, 3), 0);
	assert_int_equal(append_lines(f, 2, 5000, &after), 0);
	assert_int_equal(after.flags, 0);
	assert_int_equal(segment_compress(f->store, ZONE_LANDING, 3), 0);
	assert_int_equal(append_lines(f, 3, 5000, &packed), 0);
	assert_int_equal(packed.flags, BLOCK_PACKED);
	assert_int_not_equal(packed.segment, before.segment); /* which has the format without */
	assert_int_equal(segment_compress(f->store, ZONE_LANDING, 0), 0);
	assert_int_equal(append_lines(f, 4, 5000, &after), 0);
	assert_int_equal(after.flags, 0);
	expect_lines(f, &before, 1, 5000);
	expect_lines(f, &packed, 3, 5000);
	expect_lines(f, &after, 4, 5000);
	assert_int_equal(segment_compress(f->store, ZONE_LANDING, 20), -EINVAL);
	assert_int_equal(segment_compress(f->store, ZONE_LANDING, -1), -EINVAL);
	assert_int_equal(segment_compress(f->store, ZONE_NONE, 1), -EINVAL);
}

static void every_flipped_byte_is_found(void **state) {
	struct segment_test *f = *state;
	struct block_ref ref;
	uint8_t got[SEGMENT_BLOCK_BYTES], byte;
	assert_int_equal(segment_compress(f->store, ZONE_LANDING, 3), 0);
	assert_int_equal(append_lines(f, 1, 2000, &ref), 0);
	segment_finish(f->store);
	segment_test_commit(f);
	int fd = segment_test_open_segment(f, 1);
	for (uint64_t at = 0; at < f->rows[1].bytes; at++) {
		assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
		byte ^= (uint8_t)(1u << (at % 8));
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
		segment_test_reopen(f, 2);
		assert_true(segment_test_verify(f, 1).wrong > 0);
		if (at >= ref.position)
			assert_int_equal(segment_read(f->store, &ref, 1, got), -EBADMSG);
		byte ^= (uint8_t)(1u << (at % 8));
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	}
	close(fd);
}

/* A reference that says another length, packed or not, leads nowhere. */
static void a_reference_that_says_otherwise_is_refused(void **state) {
	struct segment_test *f = *state;
	struct block_ref ref, other;
	uint8_t got[SEGMENT_BLOCK_BYTES];
	assert_int_equal(segment_compress(f->store, ZONE_LANDING, 3), 0);
	assert_int_equal(append_lines(f, 1, 2000, &ref), 0);
	const struct block_ref wrong[] = {{.plain = 1999}, {.units = (uint8_t)(ref.units + 1)},
	        {.units = (uint8_t)(ref.units - 1)}, {.flags = 2}, {.flags = 3}, {.units = 255}};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		other = ref;
		other.plain = wrong[i].plain ? wrong[i].plain : ref.plain;
		other.units = wrong[i].units ? wrong[i].units : ref.units;
		other.flags = wrong[i].flags ? wrong[i].flags : ref.flags;
		assert_int_equal(segment_read(f->store, &other, 1, got), -EBADMSG);
	}
	other = ref;
	other.flags = other.units = 0;
	assert_int_equal(segment_read(f->store, &other, 1, got), -EBADMSG);
	other.plain = (uint16_t)block_ref_stored(&ref);
	assert_int_equal(segment_read(f->store, &other, 1, got), -EBADMSG);
	expect_lines(f, &ref, 1, 2000);
}

static void what_is_no_frame_or_gives_another_length_is_refused(void **state) {
	(void)state;
	_cleanup_(segment_packer_freep) SegmentPacker *packer = NULL;
	uint8_t plain[2000], packed[2000], out[2001];
	assert_int_equal(segment_packer_new(&packer), 0);
	write_lines(plain, sizeof plain, 5);
	uint8_t units = segment_pack(packer, 3, bytes_of(plain, sizeof plain), packed);
	assert_true(units > 0);
	const struct bytes whole = bytes_of(packed, (size_t)units * BLOCK_UNIT_BYTES);
	assert_int_equal(segment_unpack(packer, whole, sizeof plain, out), 0);
	assert_memory_equal(out, plain, sizeof plain);
	assert_int_equal(segment_unpack(packer, whole, sizeof plain - 1, out), -EBADMSG);
	assert_int_equal(segment_unpack(packer, whole, sizeof plain + 1, out), -EBADMSG);
	assert_int_equal(segment_unpack(packer, bytes_of(packed, 10), sizeof plain, out), -EBADMSG);
	for (size_t i = 0; i < sizeof plain; i++)
		assert_int_equal(out[i], 0);
	assert_int_equal(segment_unpack(packer, bytes_of(plain, 500), sizeof plain, out), -EBADMSG);
}

static void a_failed_write_seals_the_same_again(void **state) {
	struct segment_test *f = *state;
	struct block_ref ref;
	assert_int_equal(segment_compress(f->store, ZONE_LANDING, 3), 0);
	f->fail_with = -EIO;
	f->fail_next = 3;
	assert_int_equal(append_lines(f, 1, 8000, &ref), 0);
	expect_lines(f, &ref, 1, 8000);
	assert_int_equal(segment_test_repeats(), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, segment_test_setup, segment_test_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(what_is_compressed_is_shorter_and_read_back),
	        TEST(what_does_not_pay_is_stored_as_it_is),
	        cmocka_unit_test(it_pays_from_a_sixteenth_on),
	        cmocka_unit_test(associated_data_tell_packed_blocks_apart),
	        TEST(a_batch_has_both_and_is_read_in_runs),
	        TEST(each_zone_has_a_level_of_its_own_and_it_may_change),
	        TEST(every_flipped_byte_is_found),
	        TEST(a_reference_that_says_otherwise_is_refused),
	        cmocka_unit_test(what_is_no_frame_or_gives_another_length_is_refused),
	        TEST(a_failed_write_seals_the_same_again),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	segment_test_end();
	return failed;
}
