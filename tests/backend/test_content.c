/* Contents held against plain byte arrays: seeded random changes, with a cache so small that everything is thrown out
 * all the time. */
#include "tests/backend/test_vault.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FILES 4
#define MOST_BYTES (3u << 20)
#define VERSIONS 24

struct snapshot {
	uint64_t version;
	uint8_t *bytes;
	size_t size;
};

/* A file as it should be. */
struct model {
	uint64_t node;
	Content *content;
	uint8_t *bytes; /* MOST_BYTES, zeros behind size */
	size_t size;
	uint8_t *sealed; /* as the current version has it */
	size_t sealed_size;
	struct snapshot versions[VERSIONS];
	size_t version_count;
};

struct world {
	struct test_vault *v;
	struct model files[FILES];
	uint64_t random;
	uint8_t *scratch;
};

static uint64_t draw(struct world *w, uint64_t below) {
	w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (w->random >> 33) % below;
}

static unsigned long seed(void) {
	const char *given = getenv("ASSAYFS_TEST_SEED");
	unsigned long value = given ? strtoul(given, NULL, 10) : (unsigned long)time(NULL);
	printf("seed %lu\n", value);
	return value;
}

/* Lengths and places near the edges of blocks and batches are the interesting ones. */
static size_t draw_length(struct world *w, size_t most) {
	static const size_t edges[] = {1, 100, 4096, 16383, 16384, 16385, 65536, 262144, 1048576, 1100000};
	size_t length = draw(w, 3) ? edges[draw(w, 10)] : draw(w, most) + 1;
	return length > most ? most : length;
}

static size_t draw_offset(struct world *w, size_t limit) {
	size_t offset = draw(w, limit);
	switch (draw(w, 4)) {
	case 0:
		return offset / 16384 * 16384;
	case 1:
		return offset / 4096 * 4096;
	default:
		return offset;
	}
}

static void open_content(struct world *w, struct model *f) {
	assert_rc(content_open(w->v->store, f->node, 0, &f->content));
	assert_int_equal(content_size(f->content), f->size);
}

static void compare(
        struct world *w, Content *content, const uint8_t *bytes, size_t size, size_t offset, size_t length) {
	size_t got = 0;
	memset(w->scratch, 0xaa, length);
	assert_rc(content_read(content, offset, w->scratch, length, &got));
	size_t want = offset < size ? (size - offset < length ? size - offset : length) : 0;
	assert_int_equal(got, want);
	if (memcmp(w->scratch, bytes + offset, want) != 0) {
		size_t at = 0;
		while (w->scratch[at] == bytes[offset + at])
			at++;
		fail_msg("read of %zu bytes at %zu differs at %zu", want, offset, offset + at);
	}
}

static void do_write(struct world *w, struct model *f) {
	size_t offset = draw(w, 3) ? draw_offset(w, MOST_BYTES - 1) : f->size;
	if (offset >= MOST_BYTES)
		return;
	size_t length = draw_length(w, MOST_BYTES - offset);
	for (size_t i = 0; i < length; i++)
		f->bytes[offset + i] = (uint8_t)draw(w, 256);
	assert_rc(content_write(f->content, offset, bytes_of(f->bytes + offset, length)));
	if (offset + length > f->size)
		f->size = offset + length;
}

/* Small writes one after the other: they collect in memory. */
static void do_run(struct world *w, struct model *f) {
	size_t offset = draw_offset(w, MOST_BYTES / 2), step = draw(w, 2) ? 4096 : 1 + draw(w, 9000);
	for (size_t i = draw(w, 400); i > 0 && offset + step <= MOST_BYTES; i--, offset += step) {
		for (size_t j = 0; j < step; j++)
			f->bytes[offset + j] = (uint8_t)(i + j);
		assert_rc(content_write(f->content, offset, bytes_of(f->bytes + offset, step)));
		if (offset + step > f->size)
			f->size = offset + step;
	}
}

static void do_truncate(struct world *w, struct model *f) {
	size_t size = draw(w, 8) ? draw_offset(w, MOST_BYTES) : 0;
	assert_rc(content_truncate(f->content, size));
	if (size < f->size)
		memset(f->bytes + size, 0, f->size - size);
	f->size = size;
}

static void do_punch(struct world *w, struct model *f) {
	size_t offset = draw_offset(w, MOST_BYTES), length = draw_length(w, MOST_BYTES);
	assert_rc(content_punch(f->content, offset, length));
	if (offset >= f->size)
		return;
	memset(f->bytes + offset, 0, f->size - offset < length ? f->size - offset : length);
	/* Whole blocks are holes now, to whoever looks for data. */
	uint64_t first = (offset + 16383) / 16384 * 16384, last = (offset + length) / 16384 * 16384, start, end;
	if (first < last && first < f->size && content_next_data(f->content, first, &start, &end) == 0)
		assert_true(start >= (last < f->size ? last : f->size));
}

static void do_read(struct world *w, struct model *f) {
	compare(w, f->content, f->bytes, f->size, draw_offset(w, MOST_BYTES), draw_length(w, MOST_BYTES));
}

static void do_seal(struct model *f) {
	struct version version;
	bool dirty = content_is_dirty(f->content);
	int rc = content_seal(f->content, ORIGIN_WRITE, 0, NULL, NULL, NULL, &version);
	assert_int_equal(rc, dirty ? 0 : -ENODATA);
	if (!dirty)
		return;
	assert_int_equal(version.size, f->size);
	memcpy(f->sealed, f->bytes, MOST_BYTES);
	f->sealed_size = f->size;
	struct snapshot *kept = &f->versions[f->version_count % VERSIONS];
	f->version_count++;
	free(kept->bytes);
	*kept = (struct snapshot){.version = version.id, .bytes = malloc(f->size + 1), .size = f->size};
	memcpy(kept->bytes, f->bytes, f->size);
}

static void do_drop(struct model *f) {
	assert_rc(content_drop(f->content));
	memcpy(f->bytes, f->sealed, MOST_BYTES);
	f->size = f->sealed_size;
	assert_int_equal(content_size(f->content), f->size);
}

static void do_clone(struct world *w, struct model *from) {
	struct model *to = &w->files[draw(w, FILES)];
	size_t a = draw_offset(w, MOST_BYTES), b = draw_offset(w, MOST_BYTES);
	if (draw(w, 2)) {
		a = a / 16384 * 16384;
		b = b / 16384 * 16384;
	}
	size_t most = MOST_BYTES - (a > b ? a : b);
	size_t length = draw(w, 2) ? most : draw_length(w, most);
	uint64_t done = 0;
	if (from == to && (a > b ? a - b : b - a) < length) {
		assert_int_equal(content_clone_range(from->content, a, to->content, b, length, &done), -EINVAL);
		return;
	}
	assert_rc(content_clone_range(from->content, a, to->content, b, length, &done));
	size_t want = a < from->size ? (from->size - a < length ? from->size - a : length) : 0;
	assert_int_equal(done, want);
	memmove(to->bytes + b, from->bytes + a, want);
	if (want && b + want > to->size)
		to->size = b + want;
}

static void check_versions(struct world *w, struct model *f) {
	for (size_t i = 0; i < VERSIONS; i++) {
		struct snapshot *s = &f->versions[i];
		Content *old = NULL;
		if (!s->version)
			continue;
		assert_rc(content_open(w->v->store, f->node, s->version, &old));
		compare(w, old, s->bytes, s->size, 0, MOST_BYTES);
		assert_int_equal(content_write(old, 0, bytes_of("x", 1)), -EROFS);
		content_close(old);
	}
}

static void do_reopen(struct world *w) {
	for (size_t i = 0; i < FILES; i++) {
		if (draw(w, 2))
			do_seal(&w->files[i]);
		else
			do_drop(&w->files[i]);
		content_close(w->files[i].content);
	}
	test_vault_reopen(w->v);
	for (size_t i = 0; i < FILES; i++) {
		open_content(w, &w->files[i]);
		compare(w, w->files[i].content, w->files[i].bytes, w->files[i].size, 0, MOST_BYTES);
		check_versions(w, &w->files[i]);
	}
}

static void step(struct world *w) {
	struct model *f = &w->files[draw(w, FILES)];
	switch (draw(w, 18)) {
	case 0:
	case 1:
	case 2:
	case 3:
		do_write(w, f);
		break;
	case 4:
		do_run(w, f);
		break;
	case 5:
		do_truncate(w, f);
		break;
	case 6:
		assert_rc(content_flush(f->content));
		break;
	case 7:
		do_seal(f);
		break;
	case 8:
		if (draw(w, 4) == 0)
			do_drop(f);
		break;
	case 9:
	case 10:
		do_clone(w, f);
		break;
	case 11:
		assert_rc(content_sync(f->content));
		break;
	case 12:
	case 13:
		do_punch(w, f);
		break;
	default:
		do_read(w, f);
	}
}

static void run_random(struct test_vault *v, size_t cache_bytes, size_t steps) {
	struct world w = {.v = v, .random = seed(), .scratch = malloc(MOST_BYTES)};
	v->options.cache_bytes = cache_bytes;
	test_vault_reopen(v);
	for (size_t i = 0; i < FILES; i++) {
		char name[16];
		(void)snprintf(name, sizeof name, "f%zu", i);
		w.files[i].node = test_vault_create(v, NODE_LANDING, name);
		w.files[i].bytes = calloc(1, MOST_BYTES);
		w.files[i].sealed = calloc(1, MOST_BYTES);
		open_content(&w, &w.files[i]);
	}
	for (size_t i = 0; i < steps; i++) {
		step(&w);
		if (i % 100 == 99)
			do_reopen(&w);
	}
	for (size_t i = 0; i < FILES; i++) {
		compare(&w, w.files[i].content, w.files[i].bytes, w.files[i].size, 0, MOST_BYTES);
		content_close(w.files[i].content);
		for (size_t j = 0; j < VERSIONS; j++)
			free(w.files[i].versions[j].bytes);
		free(w.files[i].bytes);
		free(w.files[i].sealed);
	}
	free(w.scratch);
}

static void random_changes_agree_with_a_byte_array(void **state) {
	run_random(*state, 64 << 20, 300);
}

static void and_so_they_do_when_hardly_anything_fits_into_memory(void **state) {
	run_random(*state, 100 << 10, 300);
}

/* ---- chosen cases ---- */

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

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                an_empty_file_gets_a_version_when_touched, test_vault_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_file_past_4_gib_is_sparse_and_whole, test_vault_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_hole_in_terabytes_of_nothing_is_cut_at_once, test_vault_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_refused_sealing_leaves_the_draft_as_it_was, test_vault_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(a_draft_goes_back_to_what_was_synced_and_outlives_its_content,
	                test_vault_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(a_crash_brings_back_what_was_synced_whole_although_memory_was_short,
	                test_vault_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                an_aligned_clone_shares_the_blocks, test_vault_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                an_unaligned_clone_answers_short, test_vault_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                threads_do_not_disturb_each_other, test_vault_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                random_changes_agree_with_a_byte_array, test_vault_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                and_so_they_do_when_hardly_anything_fits_into_memory, test_vault_setup, test_vault_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
