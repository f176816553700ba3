#include "tests/backend/gc_fixture.h"

#include "backend/audit.h"
#include "backend/fsck.h"
#include "backend/record.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

int gc_fixture_setup(void **state) {
	if (test_vault_setup(state) != 0)
		return -1;
	struct test_vault *v = *state;
	v->options.gc_by_hand = true;
	v->options.gc_grace_ms = 1;
	v->options.commit_ms = 3600 * 1000;
	test_vault_reopen(v);
	return 0;
}

void gc_commit(struct test_vault *v) {
	struct audit_event event = {.event = "test", .actor = {.exe = "test"}};
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, audit_record(m, &event, NULL)));
	assert_rc(store_commit_wait(v->store));
}

void gc_close_segments(struct test_vault *v) {
	gc_commit(v);
	segment_finish(store_segments(v->store));
	gc_commit(v);
}

void gc_walk_and_wait(struct test_vault *v) {
	static const struct timespec grace = {.tv_nsec = 3000000};
	assert_rc(gc_walk(store_gc(v->store)));
	gc_commit(v);
	nanosleep(&grace, NULL);
}

struct gc_totals gc_totals_of(struct test_vault *v) {
	struct gc_totals totals;
	gc_totals(store_gc(v->store), &totals);
	return totals;
}

static void fill(uint8_t *block, uint64_t number, uint8_t mark) {
	memset(block, mark, SEGMENT_BLOCK_BYTES);
	memcpy(block, &number, sizeof number);
}

void gc_put_blocks(Content *c, uint64_t first, uint64_t blocks, uint8_t mark) {
	static uint8_t data[16 * SEGMENT_BLOCK_BYTES];
	for (uint64_t i = 0; i < blocks;) {
		size_t n = 0;
		for (; n < 16 && i + n < blocks; n++)
			fill(data + n * SEGMENT_BLOCK_BYTES, first + i + n, mark);
		assert_rc(content_write(c, (first + i) * SEGMENT_BLOCK_BYTES, bytes_of(data, n * SEGMENT_BLOCK_BYTES)));
		i += n;
	}
}

void gc_expect_blocks(Content *c, uint64_t first, uint64_t blocks, uint8_t mark) {
	static uint8_t want[SEGMENT_BLOCK_BYTES], data[SEGMENT_BLOCK_BYTES];
	for (uint64_t i = first; i < first + blocks; i++) {
		size_t got = 0;
		fill(want, i, mark);
		assert_rc(content_read(c, i * SEGMENT_BLOCK_BYTES, data, sizeof data, &got));
		assert_int_equal(got, sizeof data);
		assert_memory_equal(data, want, sizeof data);
	}
}

Content *gc_open_content(struct test_vault *v, uint64_t node) {
	Content *c = NULL;
	assert_rc(content_open(v->store, node, 0, &c));
	return c;
}

void gc_seal(Content *c) {
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL));
}

static int count_row(void *arg, const struct segment_row *row) {
	(void)row;
	++*(size_t *)arg;
	return 0;
}

size_t gc_rows(struct test_vault *v) {
	size_t count = 0;
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, segment_row_list(m, count_row, &count)));
	return count;
}

static size_t files_seen;
static uint64_t bytes_seen;

static int see_file(const char *path, const struct stat *about, int type, struct FTW *walk) {
	(void)path;
	(void)walk;
	if (type == FTW_F) {
		files_seen++;
		bytes_seen += (uint64_t)about->st_size;
	}
	return 0;
}

size_t gc_files(struct test_vault *v, uint64_t *ret_bytes) {
	char path[128];
	(void)snprintf(path, sizeof path, "%s/segments", v->vault);
	files_seen = 0;
	bytes_seen = 0;
	assert_int_equal(nftw(path, see_file, 16, FTW_PHYS), 0);
	if (ret_bytes)
		*ret_bytes = bytes_seen;
	return files_seen;
}

static int no_finding(void *arg, const struct fsck_finding *finding) {
	(void)arg;
	return fault(EBADMSG, "fsck: %s: %s", finding->file, finding->words);
}

void gc_expect_sound(struct test_vault *v) {
	struct store_secret secret = {.bytes = bytes_of_string(TEST_PASSPHRASE)};
	struct fsck_summary sum;
	assert_null(v->store);
	assert_rc(fsck_run(v->vault, &secret, no_finding, NULL, &sum));
	assert_false(sum.could_not_open);
}

uint64_t gc_file(struct test_vault *v, uint64_t parent, const char *name, uint8_t mark) {
	uint64_t node = test_vault_create(v, parent, name);
	Content *c = gc_open_content(v, node);
	gc_put_blocks(c, 0, GC_FILE_BLOCKS, mark);
	gc_seal(c);
	content_close(c);
	return node;
}

void gc_expect_file(struct test_vault *v, uint64_t node, uint8_t mark) {
	Content *c = gc_open_content(v, node);
	gc_expect_blocks(c, 0, GC_FILE_BLOCKS, mark);
	content_close(c);
}

int gc_try_file(struct test_vault *v, uint64_t node) {
	uint8_t got[SEGMENT_BLOCK_BYTES];
	size_t n = 0;
	Content *c = gc_open_content(v, node);
	int rc = content_read(c, 0, got, sizeof got, &n);
	content_close(c);
	return rc;
}
