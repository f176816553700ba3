/* Contents held against plain byte arrays: seeded random changes, with a cache so small that everything is thrown out
 * all the time. */
#include "tests/backend/chance.h"
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
	return chance_draw(&w->random, below);
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
	struct world w = {.v = v, .random = chance_seed(), .scratch = malloc(MOST_BYTES)};
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_vault_setup, test_vault_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        TEST(random_changes_agree_with_a_byte_array),
	        TEST(and_so_they_do_when_hardly_anything_fits_into_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
