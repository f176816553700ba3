/* Contents: chosen cases. Random changes against plain byte arrays: test_content_model.c. */
#include "tests/backend/test_vault.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void a_file_past_4_gib_is_sparse_and_whole(void **state) {
	struct test_vault *v = *state;
	static const uint64_t places[] = {
	        0, 4095, (UINT64_C(4) << 30) - 3, UINT64_C(5) << 30, UINT64_C(1) << 40, INT64_MAX - 6};
	uint64_t node = test_vault_create(v, NODE_LANDING, "sparse");
	Content *c = NULL;
	uint8_t got[8];
	size_t n;
	assert_rc(content_open(v->store, node, 0, &c));
	for (size_t i = 0; i < 6; i++)
		assert_rc(content_write(c, places[i], bytes_of("sparse", 6)));
	assert_int_equal(content_write(c, INT64_MAX - 2, bytes_of("toofar", 6)), -EFBIG);
	assert_int_equal(content_size(c), INT64_MAX);
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL));
	content_close(c);
	test_vault_reopen(v);
	assert_rc(content_open(v->store, node, 0, &c));
	for (size_t i = 0; i < 6; i++) {
		assert_rc(content_read(c, places[i], got, 6, &n));
		assert_memory_equal(got, "sparse", 6);
	}
	assert_rc(content_read(c, UINT64_C(3) << 30, got, 8, &n));
	assert_memory_equal(got, "\0\0\0\0\0\0\0\0", 8);
	uint64_t start, end;
	assert_rc(content_next_data(c, 16384, &start, &end));
	assert_int_equal(start, (UINT64_C(4) << 30) - 16384);
	assert_int_equal(end, (UINT64_C(4) << 30) + 4096); /* the block's data ends with its first bytes */
	assert_rc(content_next_data(c, (UINT64_C(4) << 30) + 4096, &start, &end));
	assert_int_equal(start, UINT64_C(5) << 30);
	assert_rc(content_next_data(c, (UINT64_C(5) << 30) + 20000, &start, &end));
	assert_int_equal(start, UINT64_C(1) << 40);
	assert_rc(content_truncate(c, 5));
	assert_rc(content_truncate(c, UINT64_C(1) << 41));
	assert_rc(content_read(c, UINT64_C(1) << 40, got, 8, &n));
	assert_memory_equal(got, "\0\0\0\0\0\0\0\0", 8);
	assert_rc(content_read(c, 0, got, 8, &n));
	assert_memory_equal(got, "spars\0\0\0", 8);
	assert_int_equal(content_next_data(c, 16384, &start, &end), -ENXIO);
	content_close(c);
}

static void a_hole_in_terabytes_of_nothing_is_cut_at_once(void **state) {
	struct test_vault *v = *state;
	Content *c = NULL;
	uint8_t got[8];
	size_t n;
	uint64_t start, end, last = UINT64_C(1) << 50, node = test_vault_create(v, NODE_LANDING, "holes");
	assert_rc(content_open(v->store, node, 0, &c));
	assert_rc(content_write(c, 16380, bytes_of("abcdefgh", 8)));
	assert_rc(content_write(c, UINT64_C(1) << 40, bytes_of("gone", 4)));
	assert_rc(content_write(c, last, bytes_of("last", 4)));
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL));
	assert_rc(content_punch(c, 16382, last - 16382));
	assert_int_equal(content_size(c), last + 4);
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL));
	content_close(c);
	test_vault_reopen(v);
	assert_rc(content_open(v->store, node, 0, &c));
	assert_rc(content_read(c, 16380, got, 8, &n));
	assert_memory_equal(got, "ab\0\0\0\0\0\0", 8);
	assert_rc(content_read(c, last, got, 8, &n));
	assert_int_equal(n, 4);
	assert_memory_equal(got, "last", 4);
	assert_rc(content_next_data(c, 16384, &start, &end));
	assert_int_equal(start, last);
	assert_int_equal(content_punch(c, INT64_MAX, 1), -EFBIG);
	content_close(c);
}

static void an_empty_file_gets_a_version_when_touched(void **state) {
	struct test_vault *v = *state;
	Content *c = NULL;
	struct version version;
	assert_rc(content_open(v->store, test_vault_create(v, NODE_LANDING, "empty"), 0, &c));
	assert_int_equal(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, &version), -ENODATA);
	assert_rc(content_touch(c));
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, &version));
	assert_int_equal(version.number, 1);
	assert_int_equal(version.size, 0);
	assert_false(content_is_dirty(c));
	content_close(c);
}

static int refuse(Meta *m, const struct version *sealed, void *arg) {
	(void)m;
	*(uint64_t *)arg = sealed->id;
	return -EPERM;
}

static void a_refused_sealing_leaves_the_draft_as_it_was(void **state) {
	struct test_vault *v = *state;
	Content *c = NULL;
	uint64_t refused = 0;
	uint8_t got[8];
	size_t n;
	struct version version;
	assert_rc(content_open(v->store, test_vault_create(v, NODE_LANDING, "a"), 0, &c));
	assert_rc(content_write(c, 0, bytes_of("before", 6)));
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, &version));
	assert_rc(content_write(c, 6, bytes_of("!", 1)));
	assert_int_equal(content_seal(c, ORIGIN_WRITE, 0, NULL, refuse, &refused, &version), -EPERM);
	assert_int_not_equal(refused, 0);
	assert_true(content_is_dirty(c));
	assert_int_equal(version.number, 1);
	assert_rc(content_read(c, 0, got, 8, &n));
	assert_int_equal(n, 7);
	assert_memory_equal(got, "before!", 7);
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, &version));
	assert_int_equal(version.number, 2);
	assert_int_equal(version.size, 7);
	content_close(c);
}

static void assert_reads(Content *c, const char *want) {
	uint8_t got[64];
	size_t n;
	assert_rc(content_read(c, 0, got, sizeof got, &n));
	assert_int_equal(n, strlen(want));
	assert_memory_equal(got, want, n);
	assert_int_equal(content_size(c), n);
}

static void a_draft_goes_back_to_what_was_synced_and_outlives_its_content(void **state) {
	struct test_vault *v = *state;
	Content *c = NULL;
	uint64_t refused = 0, node = test_vault_create(v, NODE_LANDING, "a");
	struct version version;
	assert_rc(content_open(v->store, node, 0, &c));
	assert_rc(content_write(c, 0, bytes_of("never synced", 12)));
	assert_int_equal(content_revert(c), -ENODATA);
	assert_reads(c, "never synced");
	assert_rc(content_truncate(c, 0));
	assert_rc(content_write(c, 0, bytes_of("synced", 6)));
	assert_rc(content_sync(c));
	assert_rc(content_write(c, 2, bytes_of("overwritten", 11)));
	assert_int_equal(content_seal(c, ORIGIN_WRITE, 0, NULL, refuse, &refused, NULL), -EPERM);
	assert_rc(content_revert(c));
	assert_reads(c, "synced");
	content_close(c);
	test_vault_reopen(v);
	assert_rc(content_open(v->store, node, 0, &c));
	assert_reads(c, "synced");
	assert_rc(content_write(c, 6, bytes_of("!", 1)));
	assert_rc(content_sync(c));
	assert_rc(content_revert(c));
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, &version));
	assert_int_equal(content_revert(c), -ENODATA);
	assert_reads(c, "synced!");
	content_close(c);
}

#define PLACES 36

static void write_places(Content *c, const char *what) {
	for (uint64_t i = 0; i < PLACES; i++)
		assert_rc(content_write(c, i * MAP_PAGE_REFS * SEGMENT_BLOCK_BYTES, bytes_of(what, 1)));
}

static void a_crash_brings_back_what_was_synced_whole_although_memory_was_short(void **state) {
	struct test_vault *v = *state;
	Content *c = NULL, *other = NULL;
	uint64_t node = test_vault_create(v, NODE_LANDING, "a");
	v->options.cache_bytes = PLACES * MAP_PAGE_REFS * sizeof(struct block_ref) * 3 / 4;
	test_vault_reopen(v);
	assert_rc(content_open(v->store, node, 0, &c));
	write_places(c, "s");
	assert_rc(content_sync(c));
	write_places(c, "x");
	assert_rc(content_open(v->store, test_vault_create(v, NODE_LANDING, "b"), 0, &other));
	assert_rc(content_write(other, 0, bytes_of("b", 1)));
	assert_rc(content_sync(other));
	content_abandon(c);
	content_abandon(other);
	test_vault_crash(v);
	assert_rc(content_open(v->store, node, 0, &c));
	for (uint64_t i = 0; i < PLACES; i++) {
		uint8_t got;
		size_t n;
		assert_rc(content_read(c, i * MAP_PAGE_REFS * SEGMENT_BLOCK_BYTES, &got, 1, &n));
		assert_int_equal(got, 's');
	}
	content_close(c);
}

static void a_file_that_grew_behind_a_short_block_reads_zeros_there(void **state) {
	struct test_vault *v = *state;
	Content *c = NULL;
	uint8_t got[100];
	size_t n;
	struct version sealed;
	uint64_t node = test_vault_create(v, NODE_LANDING, "short");
	assert_rc(content_open(v->store, node, 0, &c));
	assert_rc(content_write(c, 0, bytes_of_string("short")));
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, &sealed));
	content_close(c);
	assert_rc(content_open(v->store, node, 0, &c));
	assert_rc(content_truncate(c, 50));
	memset(got, 0x5a, sizeof got);
	assert_rc(content_read(c, 0, got, sizeof got, &n));
	assert_int_equal(n, 50);
	assert_memory_equal(got, "short", 5);
	for (size_t i = 5; i < sizeof got; i++)
		assert_int_equal(got[i], i < 50 ? 0 : 0x5a);
	assert_rc(content_read(c, 2, got, 3, &n));
	assert_memory_equal(got, "ort", 3);
	content_close(c);
}

static void an_aligned_clone_shares_the_blocks(void **state) {
	struct test_vault *v = *state;
	Content *a = NULL, *b = NULL;
	uint8_t *data = malloc(1 << 20);
	struct block_ref one[MAP_PAGE_REFS], other[MAP_PAGE_REFS];
	size_t n, count;
	uint64_t done;
	struct version va, vb;
	memset(data, 'x', 1 << 20);
	assert_rc(content_open(v->store, test_vault_create(v, NODE_LANDING, "a"), 0, &a));
	assert_rc(content_open(v->store, test_vault_create(v, NODE_LANDING, "b"), 0, &b));
	assert_rc(content_write(a, 0, bytes_of(data, (1 << 20) - 100)));
	assert_rc(content_clone_range(a, 0, b, 0, 1 << 20, &done));
	assert_int_equal(done, (1 << 20) - 100);
	assert_rc(content_seal(a, ORIGIN_WRITE, 0, NULL, NULL, NULL, &va));
	assert_rc(content_seal(b, ORIGIN_WRITE, 0, NULL, NULL, NULL, &vb));
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(version_map_get(m, va.id, 0, one, &n));
	assert_rc(version_map_get(m, vb.id, 0, other, &count));
	assert_rc(meta_end(m, 0));
	assert_int_equal(n, 64);
	assert_int_equal(count, 64);
	assert_memory_equal(one, other, n * sizeof *one);
	content_close(a);
	content_close(b);
	free(data);
}

/* One call must not keep its thread while gigabytes go through it: where nothing can be shared it answers short. */
static void an_unaligned_clone_answers_short(void **state) {
	struct test_vault *v = *state;
	Content *a = NULL, *b = NULL;
	const uint64_t length = 8 * CONTENT_COPY_MAX;
	uint64_t done = 0;
	assert_rc(content_open(v->store, test_vault_create(v, NODE_LANDING, "a"), 0, &a));
	assert_rc(content_open(v->store, test_vault_create(v, NODE_LANDING, "b"), 0, &b));
	assert_rc(content_write(a, 1, bytes_of("data", 4)));
	assert_rc(content_truncate(a, length));
	assert_rc(content_clone_range(a, 1, b, 0, length - 1, &done));
	assert_int_equal(done, CONTENT_COPY_MAX);
	char got[4];
	size_t n;
	assert_rc(content_read(b, 0, (uint8_t *)got, sizeof got, &n));
	assert_memory_equal(got, "data", 4);
	assert_rc(content_clone_range(a, 0, b, 0, length, &done)); /* aligned: at once */
	assert_int_equal(done, length);
	content_close(a);
	content_close(b);
}

/* Four writers and a reader on one file and on their own: for the thread sanitizer, and that nobody waits for ever. */
struct worker {
	struct test_vault *v;
	Content *shared, *own;
	size_t number;
};

static void *work(void *arg) {
	struct worker *w = arg;
	uint8_t data[5000];
	memset(data, (int)w->number, sizeof data);
	for (size_t i = 0; i < 300; i++) {
		size_t n;
		assert_rc(content_write(w->own, i * sizeof data, bytes_of(data, sizeof data)));
		assert_rc(content_write(w->shared, (i * 4 + w->number) * sizeof data, bytes_of(data, sizeof data)));
		assert_rc(content_read(w->shared, i * 3 * sizeof data, data, 1000, &n));
		memset(data, (int)w->number, sizeof data);
		if (i % 50 == w->number)
			assert_rc(content_sync(w->own));
	}
	return NULL;
}

static void threads_do_not_disturb_each_other(void **state) {
	struct test_vault *v = *state;
	struct worker workers[4];
	pthread_t threads[4];
	Content *shared = NULL;
	uint8_t got[5000], want[5000];
	size_t n;
	v->options.cache_bytes = 200 << 10;
	test_vault_reopen(v);
	assert_rc(content_open(v->store, test_vault_create(v, NODE_LANDING, "shared"), 0, &shared));
	for (size_t i = 0; i < 4; i++) {
		char name[2] = {(char)('0' + i), '\0'};
		workers[i] = (struct worker){.v = v, .shared = shared, .number = i};
		assert_rc(content_open(v->store, test_vault_create(v, NODE_LANDING, name), 0, &workers[i].own));
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < 1200; i++) {
		memset(want, (int)(i % 4), sizeof want);
		assert_rc(content_read(shared, i * 5000, got, 5000, &n));
		assert_memory_equal(got, want, 5000);
		assert_rc(content_read(workers[i % 4].own, i / 4 * 5000, got, 5000, &n));
		assert_memory_equal(got, want, 5000);
	}
	for (size_t i = 0; i < 4; i++)
		content_close(workers[i].own);
	content_close(shared);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_vault_setup, test_vault_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        TEST(an_empty_file_gets_a_version_when_touched),
	        TEST(a_file_past_4_gib_is_sparse_and_whole),
	        TEST(a_hole_in_terabytes_of_nothing_is_cut_at_once),
	        TEST(a_refused_sealing_leaves_the_draft_as_it_was),
	        TEST(a_draft_goes_back_to_what_was_synced_and_outlives_its_content),
	        TEST(a_crash_brings_back_what_was_synced_whole_although_memory_was_short),
	        TEST(a_file_that_grew_behind_a_short_block_reads_zeros_there),
	        TEST(an_aligned_clone_shares_the_blocks),
	        TEST(an_unaligned_clone_answers_short),
	        TEST(threads_do_not_disturb_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
