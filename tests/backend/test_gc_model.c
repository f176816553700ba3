/* Random histories with the collector at work in the middle of them: all bytes stay right, and what is dead leaves. */
#include "tests/backend/chance.h"
#include "tests/backend/gc_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FILES 5
#define MOST_BYTES (1u << 20)
#define VERSIONS 16

struct kept {
	uint64_t node, version;
	uint8_t *bytes;
	size_t size;
};

struct model {
	uint64_t node;
	Content *content;
	uint8_t bytes[MOST_BYTES], sealed[MOST_BYTES];
	size_t size, sealed_size;
};

struct world {
	struct test_vault *v;
	struct model *files;
	struct kept versions[VERSIONS];
	size_t version_count;
	uint64_t random;
	uint8_t *scratch;
};

static uint64_t draw(struct world *w, uint64_t below) {
	return chance_draw(&w->random, below);
}

static void check(struct world *w, Content *c, const uint8_t *bytes, size_t size) {
	size_t got = 0;
	assert_rc(content_read(c, 0, w->scratch, MOST_BYTES, &got));
	assert_int_equal(got, size);
	assert_memory_equal(w->scratch, bytes, size);
}

static void check_all(struct world *w) {
	for (size_t i = 0; i < FILES; i++)
		check(w, w->files[i].content, w->files[i].bytes, w->files[i].size);
	for (size_t i = 0; i < w->version_count; i++) {
		Content *old = NULL;
		assert_rc(content_open(w->v->store, w->versions[i].node, w->versions[i].version, &old));
		check(w, old, w->versions[i].bytes, w->versions[i].size);
		content_close(old);
	}
}

static void do_write(struct world *w, struct model *f) {
	size_t offset = draw(w, MOST_BYTES - 1), length = 1 + draw(w, draw(w, 2) ? 300000 : 5000);
	if (draw(w, 2))
		offset = offset / SEGMENT_BLOCK_BYTES * SEGMENT_BLOCK_BYTES;
	if (length > MOST_BYTES - offset)
		length = MOST_BYTES - offset;
	for (size_t i = 0; i < length; i++)
		f->bytes[offset + i] = (uint8_t)draw(w, 256);
	assert_rc(content_write(f->content, offset, bytes_of(f->bytes + offset, length)));
	if (offset + length > f->size)
		f->size = offset + length;
}

static void do_truncate(struct world *w, struct model *f) {
	size_t size = draw(w, MOST_BYTES);
	assert_rc(content_truncate(f->content, size));
	if (size < f->size)
		memset(f->bytes + size, 0, f->size - size);
	f->size = size;
}

static void do_clone(struct world *w, struct model *from) {
	struct model *to = &w->files[draw(w, FILES)];
	size_t blocks = MOST_BYTES / SEGMENT_BLOCK_BYTES, a = draw(w, blocks), b = draw(w, blocks);
	size_t length = (blocks - (a > b ? a : b)) * SEGMENT_BLOCK_BYTES;
	uint64_t done = 0;
	if (from == to)
		return;
	a *= SEGMENT_BLOCK_BYTES;
	b *= SEGMENT_BLOCK_BYTES;
	assert_rc(content_clone_range(from->content, a, to->content, b, length, &done));
	memcpy(to->bytes + b, from->bytes + a, done);
	if (done && b + done > to->size)
		to->size = b + done;
}

static void do_seal(struct world *w, struct model *f) {
	struct version version;
	if (!content_is_dirty(f->content) || w->version_count == VERSIONS)
		return;
	assert_rc(content_seal(f->content, ORIGIN_WRITE, 0, NULL, NULL, NULL, &version));
	memcpy(f->sealed, f->bytes, MOST_BYTES);
	f->sealed_size = f->size;
	struct kept *kept = &w->versions[w->version_count++];
	*kept = (struct kept){f->node, version.id, malloc(f->size + 1), f->size};
	memcpy(kept->bytes, f->bytes, f->size);
}

static void do_drop(struct model *f) {
	assert_rc(content_drop(f->content));
	memcpy(f->bytes, f->sealed, MOST_BYTES);
	f->size = f->sealed_size;
}

static void do_reopen(struct world *w) {
	for (size_t i = 0; i < FILES; i++) {
		struct model *f = &w->files[i];
		do_seal(w, f);
		if (content_is_dirty(f->content))
			do_drop(f);
		content_close(f->content);
	}
	test_vault_reopen(w->v);
	for (size_t i = 0; i < FILES; i++)
		w->files[i].content = gc_open_content(w->v, w->files[i].node);
}

static void step(struct world *w) {
	struct model *f = &w->files[draw(w, FILES)];
	uint64_t what = draw(w, 32);
	if (what < 10)
		do_write(w, f);
	else if (what < 12)
		do_truncate(w, f);
	else if (what < 15)
		do_clone(w, f);
	else if (what < 16)
		do_seal(w, f);
	else if (what < 18)
		do_drop(f);
	else if (what < 19)
		assert_rc(content_sync(f->content));
	else if (what < 20)
		gc_close_segments(w->v);
	else if (what < 21)
		assert_rc(content_flush(f->content));
	else if (what < 22)
		check(w, f->content, f->bytes, f->size);
	else
		assert_rc(gc_step(store_gc(w->v->store), NULL));
}

static struct world *begin(struct test_vault *v, size_t cache_bytes) {
	struct world *w = calloc(1, sizeof *w);
	w->random = chance_seed();
	w->v = v;
	w->scratch = malloc(MOST_BYTES);
	w->files = calloc(FILES, sizeof *w->files);
	v->options.cache_bytes = cache_bytes;
	test_vault_reopen(v);
	for (size_t i = 0; i < FILES; i++) {
		char name[16];
		(void)snprintf(name, sizeof name, "f%zu", i);
		w->files[i].node = test_vault_create(v, NODE_LANDING, name);
		w->files[i].content = gc_open_content(v, w->files[i].node);
	}
	return w;
}

static void end(struct world *w) {
	for (size_t i = 0; i < FILES; i++)
		content_close(w->files[i].content);
	for (size_t i = 0; i < w->version_count; i++)
		free(w->versions[i].bytes);
	free(w->files);
	free(w->scratch);
	free(w);
}

/* All that is alive, as if no block were shared. */
static uint64_t live_bytes(const struct world *w) {
	uint64_t bytes = 0;
	for (size_t i = 0; i < FILES; i++)
		bytes += w->files[i].size;
	for (size_t i = 0; i < w->version_count; i++)
		bytes += w->versions[i].size;
	return bytes;
}

static void run(struct test_vault *v, size_t cache_bytes) {
	struct world *w = begin(v, cache_bytes);
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 300; i++)
			step(w);
		do_reopen(w);
		check_all(w);
	}
	/* It has to work off all of it: what it moves leaves in a later walk. */
	for (int i = 0; i < 8; i++) {
		gc_close_segments(v);
		gc_walk_and_wait(v);
	}
	check_all(w);
	struct gc_totals totals = gc_totals_of(v);
	uint64_t stored = 0, live = live_bytes(w);
	(void)gc_files(v, &stored);
	printf("%lu bytes stored for %lu alive; %lu moved\n", (unsigned long)stored, (unsigned long)live,
	        (unsigned long)totals.moved);
	assert_int_equal(totals.failures, 0);
	assert_true(stored < 5 * live + (2 << 20));
	end(w);
	assert_rc(store_close(v->store));
	v->store = NULL;
	gc_expect_sound(v);
}

static void random_histories_keep_their_bytes_and_lose_what_is_dead(void **state) {
	run(*state, 0);
}

static void with_hardly_any_memory_it_is_the_same(void **state) {
	run(*state, 100000);
}

/* ---- the collector's thread beside others ---- */

struct reader {
	struct world *w;
	_Atomic bool stop;
	_Atomic int failed;
};

static void *read_on(void *arg) {
	struct reader *reader = arg;
	uint8_t *out = malloc(MOST_BYTES);
	for (size_t i = 0; !reader->stop; i = (i + 1) % reader->w->version_count) {
		const struct kept *kept = &reader->w->versions[i];
		Content *c = NULL;
		size_t got = 0;
		if (content_open(reader->w->v->store, kept->node, kept->version, &c) < 0 ||
		        content_read(c, 0, out, MOST_BYTES, &got) < 0 || got != kept->size ||
		        memcmp(out, kept->bytes, got) != 0)
			reader->failed = 1;
		content_close(c);
	}
	free(out);
	return NULL;
}

static void readers_and_writers_go_on_meanwhile(void **state) {
	struct test_vault *v = *state;
	struct world *w = begin(v, 300000);
	pthread_t thread;
	for (size_t i = 0; i < FILES; i++) {
		do_write(w, &w->files[i]);
		do_seal(w, &w->files[i]);
	}
	struct reader reader = {.w = w};
	assert_int_equal(pthread_create(&thread, NULL, read_on, &reader), 0);
	for (int round = 0; round < 12; round++) {
		struct model *f = &w->files[draw(w, FILES)];
		do_write(w, f);
		if (round % 3 == 0) {
			gc_put_blocks(f->content, 0, 16, 'g'); /* garbage in any case, whatever was drawn */
			gc_close_segments(v);
			do_drop(f);
		}
		gc_close_segments(v);
		gc_walk_and_wait(v);
	}
	reader.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(reader.failed, 0);
	assert_true(gc_totals_of(v).removed > 0);
	check_all(w);
	end(w);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                random_histories_keep_their_bytes_and_lose_what_is_dead, gc_fixture_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                with_hardly_any_memory_it_is_the_same, gc_fixture_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                readers_and_writers_go_on_meanwhile, gc_fixture_setup, test_vault_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
