/* What the collector frees, what it leaves alone, and what stops it. Power loss is in test_gc_crash.c, random histories
 * in test_gc_model.c. */
#include "backend/audit.h"
#include "backend/fsck.h"
#include "backend/record.h"
#include "backend/segment_watch.h"
#include "backend/store_internal.h"
#include "tests/backend/faulty_io.h"
#include "tests/backend/gc_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCKS 32

/* Two walks: what is dead is gone then. */
static void collect(struct test_vault *v) {
	gc_walk_and_wait(v);
	gc_walk_and_wait(v);
}

static void reopen_and_check(struct test_vault *v) {
	assert_rc(store_close(v->store));
	v->store = NULL;
	gc_expect_sound(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

/* A file whose blocks lie in a closed segment, flushed as a draft. */
static Content *draft_in_closed_segment(struct test_vault *v, const char *name, uint8_t mark) {
	Content *c = gc_open_content(v, test_vault_create(v, NODE_LANDING, name));
	gc_put_blocks(c, 0, BLOCKS, mark);
	assert_rc(content_flush(c));
	gc_close_segments(v);
	return c;
}

/* Something in a segment with a higher number, so that the rule about the last one is out of the way. */
static void later_segment(struct test_vault *v) {
	Content *c = gc_open_content(v, test_vault_create(v, NODE_LANDING, "later"));
	gc_put_blocks(c, 0, 1, 'l');
	gc_seal(c);
	content_close(c);
	gc_commit(v);
}

static void collect_behind(struct test_vault *v) {
	later_segment(v);
	collect(v);
}

static int see_record(void *arg, const struct audit_entry *entry) {
	if (strcmp(entry->event.event, "gc") == 0)
		*(struct audit_event *)arg = (struct audit_event){
		        .err = entry->event.err, .bytes = entry->event.bytes, .outcome = entry->event.outcome};
	return 0;
}

/* ---- what is freed ---- */

static void blocks_that_a_draft_overwrote_free_their_segment(void **state) {
	struct test_vault *v = *state;
	Content *c = draft_in_closed_segment(v, "a", 'x');
	uint64_t before = 0, after = 0;
	gc_put_blocks(c, 0, BLOCKS, 'y');
	gc_seal(c);
	gc_commit(v);
	(void)gc_files(v, &before);
	gc_walk_and_wait(v);
	assert_int_equal(gc_totals_of(v).condemned, 1);
	assert_int_equal(gc_files(v, NULL), 2);
	gc_walk_and_wait(v);
	struct gc_totals totals = gc_totals_of(v);
	assert_int_equal(totals.removed, 1);
	assert_int_equal(totals.condemned, 0);
	assert_int_equal(gc_rows(v), 1);
	assert_int_equal(gc_files(v, &after), 1);
	assert_int_equal(before - after, totals.freed);
	gc_expect_blocks(c, 0, BLOCKS, 'y');
	content_close(c);
	reopen_and_check(v);
}

static void the_audit_log_says_how_much_was_removed(void **state) {
	struct test_vault *v = *state;
	struct audit_event seen = {0};
	content_close(draft_in_closed_segment(v, "a", 'x'));
	collect_behind(v);
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, audit_query(m, &(struct audit_filter){0}, see_record, &seen)));
	assert_true(seen.bytes >= BLOCKS * SEGMENT_BLOCK_BYTES);
	assert_int_equal(seen.bytes, gc_totals_of(v).freed);
}

static void a_dropped_draft_frees_its_segment(void **state) {
	struct test_vault *v = *state;
	Content *c = draft_in_closed_segment(v, "a", 'x');
	assert_rc(content_drop(c));
	content_close(c);
	collect_behind(v);
	assert_int_equal(gc_totals_of(v).removed, 1);
	assert_int_equal(gc_files(v, NULL), 1);
	reopen_and_check(v);
}

static void a_draft_that_a_crash_left_frees_its_segment(void **state) {
	struct test_vault *v = *state;
	Content *c = draft_in_closed_segment(v, "a", 'x');
	content_abandon(c);
	test_vault_crash(v);
	collect_behind(v);
	assert_int_equal(gc_totals_of(v).removed, 1);
	reopen_and_check(v);
}

static void what_one_mount_condemned_the_next_one_removes(void **state) {
	struct test_vault *v = *state;
	content_close(draft_in_closed_segment(v, "a", 'x'));
	later_segment(v);
	gc_walk_and_wait(v);
	reopen_and_check(v);
	gc_walk_and_wait(v);
	assert_int_equal(gc_totals_of(v).removed, 1);
	reopen_and_check(v);
}

static void its_number_is_not_given_to_another_segment(void **state) {
	struct test_vault *v = *state;
	content_close(draft_in_closed_segment(v, "a", 'x'));
	collect(v);
	/* Dead, but the last there is. */
	assert_int_equal(gc_totals_of(v).removed, 0);
	assert_int_equal(gc_rows(v), 1);
	reopen_and_check(v);
	collect_behind(v);
	struct segment_row row;
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_int_equal(segment_row_get(m, 1, &row), -ENOENT);
	assert_rc(segment_row_get(m, 2, &row));
	meta_end(m, 0);
}

/* ---- what stays ---- */

static void every_sealed_version_stays(void **state) {
	struct test_vault *v = *state;
	uint64_t node = test_vault_create(v, NODE_LANDING, "a");
	for (uint8_t mark = 'a'; mark < 'e'; mark++) {
		Content *c = gc_open_content(v, node);
		gc_put_blocks(c, 0, BLOCKS, mark);
		gc_seal(c);
		content_close(c);
		gc_close_segments(v);
	}
	collect(v);
	collect(v);
	assert_int_equal(gc_totals_of(v).removed, 0);
	for (uint64_t number = 1; number <= 4; number++) {
		struct version version;
		Content *c = NULL;
		Meta *m = store_meta(v->store);
		meta_begin(m);
		assert_rc(meta_end(m, version_by_number(m, node, number, &version)));
		assert_rc(content_open(v->store, node, version.id, &c));
		gc_expect_blocks(c, 0, BLOCKS, (uint8_t)('a' + number - 1));
		content_close(c);
	}
	reopen_and_check(v);
}

static void a_reference_that_only_memory_has_keeps_its_segment(void **state) {
	struct test_vault *v = *state;
	Content *c = gc_open_content(v, test_vault_create(v, NODE_LANDING, "a"));
	gc_put_blocks(c, 0, BLOCKS, 'x');
	gc_close_segments(v);
	collect_behind(v);
	collect(v);
	assert_int_equal(gc_totals_of(v).condemned, 0);
	gc_seal(c);
	content_close(c);
	reopen_and_check(v);
	c = gc_open_content(v, 5);
	gc_expect_blocks(c, 0, BLOCKS, 'x');
	content_close(c);
}

static void step_to(struct test_vault *v, enum gc_stage wanted) {
	enum gc_stage stage = GC_IDLE;
	do
		assert_rc(gc_step(store_gc(v->store), &stage));
	while (stage != wanted);
}

static void finish_walk(struct test_vault *v) {
	step_to(v, GC_IDLE);
	gc_commit(v);
}

/* The cache has room for one map page: what is read twice throws out all others. */
static void small_cache(struct test_vault *v) {
	v->options.cache_bytes = 8192;
	test_vault_reopen(v);
	later_segment(v);
	gc_close_segments(v);
}

static void throw_out_others(struct test_vault *v) {
	Content *later = gc_open_content(v, 5);
	for (int i = 0; i < 2; i++)
		gc_expect_blocks(later, 0, 1, 'l');
	content_close(later);
}

static void latest_segment(struct test_vault *v) {
	Content *latest = gc_open_content(v, test_vault_create(v, NODE_LANDING, "latest"));
	gc_put_blocks(latest, 0, 1, 'z');
	gc_seal(latest);
	content_close(latest);
	gc_commit(v);
}

/* The copy is in nobody's rows, its content was not visited, and the original is gone before its rows are walked. */
static void a_block_that_is_cloned_behind_the_walk_keeps_its_segment(void **state) {
	struct test_vault *v = *state;
	small_cache(v);
	Content *a = draft_in_closed_segment(v, "a", 'x');
	Content *b = gc_open_content(v, test_vault_create(v, NODE_LANDING, "b"));
	latest_segment(v);
	throw_out_others(v);
	step_to(v, GC_ROWS);
	uint64_t done = 0;
	assert_rc(content_clone_range(a, 0, b, 0, BLOCKS * SEGMENT_BLOCK_BYTES, &done));
	assert_int_equal(done, BLOCKS * SEGMENT_BLOCK_BYTES);
	assert_rc(content_drop(a));
	content_close(a);
	finish_walk(v);
	assert_int_equal(gc_totals_of(v).condemned, 0);
	gc_walk_and_wait(v);
	assert_int_equal(gc_totals_of(v).condemned, 0);
	gc_expect_blocks(b, 0, BLOCKS, 'x');
	gc_seal(b);
	content_close(b);
	reopen_and_check(v);
}

/* References of the draft's first page, taken out of it. */
static uint64_t take_refs(struct test_vault *v, Content *c, struct block_ref *refs, size_t *ret_count) {
	uint64_t draft = content_version(c);
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(version_map_get(m, draft, 0, refs, ret_count));
	assert_rc(meta_end(m, version_truncate_map(m, draft, 0)));
	return draft;
}

static void put_refs(struct test_vault *v, uint64_t draft, const struct block_ref *refs, size_t count) {
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, version_map_put(m, draft, 0, refs, count)));
}

/* What the reasoning in gc.h says can't be is done behind its back: through the rows, with nothing in memory. */
static void a_page_that_is_put_behind_the_walk_keeps_its_segment(void **state) {
	struct test_vault *v = *state;
	struct block_ref refs[MAP_PAGE_REFS];
	size_t count = 0;
	small_cache(v);
	Content *c = draft_in_closed_segment(v, "a", 'x');
	latest_segment(v);
	throw_out_others(v);
	uint64_t draft = take_refs(v, c, refs, &count);
	step_to(v, GC_JUDGE);
	put_refs(v, draft, refs, count);
	finish_walk(v);
	assert_int_equal(gc_totals_of(v).condemned, 0);
	gc_seal(c);
	gc_expect_blocks(c, 0, BLOCKS, 'x');
	content_close(c);
	reopen_and_check(v);
}

static void a_condemned_segment_that_something_refers_to_again_is_pardoned(void **state) {
	struct test_vault *v = *state;
	struct block_ref refs[MAP_PAGE_REFS];
	size_t count = 0;
	small_cache(v);
	Content *c = draft_in_closed_segment(v, "a", 'x');
	latest_segment(v);
	throw_out_others(v);
	uint64_t draft = take_refs(v, c, refs, &count);
	gc_walk_and_wait(v);
	assert_int_equal(gc_totals_of(v).condemned, 1);
	put_refs(v, draft, refs, count);
	gc_walk_and_wait(v);
	assert_int_equal(gc_totals_of(v).condemned, 0);
	assert_int_equal(gc_totals_of(v).removed, 0);
	gc_seal(c);
	gc_expect_blocks(c, 0, BLOCKS, 'x');
	content_close(c);
	reopen_and_check(v);
}

/* ---- when ---- */

static void nothing_is_removed_within_the_grace_time(void **state) {
	struct test_vault *v = *state;
	v->options.gc_grace_ms = 3600 * 1000;
	test_vault_reopen(v);
	content_close(draft_in_closed_segment(v, "a", 'x'));
	later_segment(v);
	for (int i = 0; i < 3; i++)
		gc_walk_and_wait(v);
	assert_int_equal(gc_totals_of(v).condemned, 1);
	assert_int_equal(gc_totals_of(v).removed, 0);
}

static void nothing_is_removed_before_a_commit_has_ended(void **state) {
	struct test_vault *v = *state;
	static const struct timespec grace = {.tv_nsec = 3000000};
	content_close(draft_in_closed_segment(v, "a", 'x'));
	later_segment(v);
	for (int i = 0; i < 2; i++) {
		assert_rc(gc_walk(store_gc(v->store)));
		nanosleep(&grace, NULL);
	}
	assert_int_equal(gc_totals_of(v).removed, 0);
	gc_commit(v);
	gc_walk_and_wait(v);
	assert_int_equal(gc_totals_of(v).removed, 1);
}

static void nothing_is_removed_while_an_older_read_is_under_way(void **state) {
	struct test_vault *v = *state;
	enum gc_stage stage = GC_IDLE;
	content_close(draft_in_closed_segment(v, "a", 'x'));
	later_segment(v);
	gc_walk_and_wait(v);
	SegmentStore *segments = store_segments(v->store);
	step_to(v, GC_ROWS);
	unsigned turn = segment_use_begin(segments);
	step_to(v, GC_FREE);
	assert_int_equal(gc_step(store_gc(v->store), &stage), -EAGAIN);
	assert_int_equal(stage, GC_FREE);
	assert_int_equal(gc_files(v, NULL), 2);
	segment_use_end(segments, turn);
	finish_walk(v);
	assert_int_equal(gc_files(v, NULL), 1);
}

/* A write has appended blocks before the walk began, and has put them into no page: they are alive all the same. */
static void the_walk_waits_for_a_write_that_was_under_way(void **state) {
	struct test_vault *v = *state;
	enum gc_stage stage = GC_IDLE;
	SegmentStore *segments = store_segments(v->store);
	unsigned turn = segment_use_begin(segments);
	step_to(v, GC_MEMORY);
	assert_int_equal(gc_step(store_gc(v->store), &stage), -EAGAIN);
	assert_int_equal(stage, GC_MEMORY);
	segment_use_end(segments, turn);
	finish_walk(v);
}

static void a_read_of_what_was_removed_is_an_error_that_names_the_segment(void **state) {
	struct test_vault *v = *state;
	struct block_ref refs[MAP_PAGE_REFS];
	size_t count = 0;
	uint8_t out[SEGMENT_BLOCK_BYTES];
	Content *c = draft_in_closed_segment(v, "a", 'x');
	(void)take_refs(v, c, refs, &count);
	content_close(c);
	collect_behind(v);
	assert_int_equal(segment_read(store_segments(v->store), refs, 1, out), -EBADMSG);
	assert_non_null(strstr(fault_message(), "segment 1"));
}

/* ---- what stops it ---- */

static void a_reference_that_leads_nowhere_stops_the_walk(void **state) {
	struct test_vault *v = *state;
	struct block_ref stray = {.segment = 77, .batch = 128, .position = 240, .plain = 100};
	content_close(draft_in_closed_segment(v, "a", 'x'));
	later_segment(v);
	gc_walk_and_wait(v);
	Content *c = gc_open_content(v, test_vault_create(v, NODE_LANDING, "stray"));
	assert_rc(content_touch(c));
	assert_rc(content_flush(c));
	put_refs(v, content_version(c), &stray, 1);
	assert_int_equal(gc_walk(store_gc(v->store)), -EBADMSG);
	assert_non_null(strstr(fault_message(), "segment 77"));
	assert_int_equal(gc_totals_of(v).failures, 1);
	assert_int_equal(gc_files(v, NULL), 2);
	/* The reason gone, it goes on where it was. */
	content_close(c);
	gc_walk_and_wait(v);
	assert_int_equal(gc_totals_of(v).removed, 1);
}

static void a_map_page_that_is_not_what_its_hash_says_stops_the_walk(void **state) {
	struct test_vault *v = *state;
	content_close(draft_in_closed_segment(v, "a", 'x'));
	Content *c = gc_open_content(v, test_vault_create(v, NODE_LANDING, "b"));
	gc_put_blocks(c, 0, 1, 'y');
	assert_rc(content_flush(c));
	gc_close_segments(v);
	gc_walk_and_wait(v);
	sqlite3 *db = metadb_handle(v->store->db);
	assert_int_equal(sqlite3_exec(db, "UPDATE mappage SET hash = zeroblob(32)", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(gc_walk(store_gc(v->store)), -EBADMSG);
	assert_int_equal(gc_totals_of(v).removed, 0);
	assert_int_equal(gc_files(v, NULL), 2);
	content_close(c);
}

static int fail_unlink(
        void *arg, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *ret_written) {
	(void)offset;
	(void)size;
	(void)ret_written;
	bool hit = call == FAULTY_UNLINK && strncmp(name, "segments/", 9) == 0;
	*(unsigned *)arg += hit;
	return hit ? -EIO : 0;
}

static void a_file_that_can_not_be_unlinked_is_unlinked_by_the_next_mount(void **state) {
	struct test_vault *v = *state;
	unsigned refused = 0;
	VaultIo *io = NULL;
	assert_rc(store_close(v->store));
	v->store = NULL;
	assert_rc(faulty_io_open(v->vault, fail_unlink, &refused, &io));
	v->options.io = io;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	content_close(draft_in_closed_segment(v, "a", 'x'));
	collect_behind(v);
	assert_int_equal(refused, 1);
	assert_int_equal(gc_rows(v), 1);
	assert_int_equal(gc_files(v, NULL), 2);
	assert_rc(store_close(v->store));
	v->store = NULL;
	v->options.io = NULL;
	vault_io_close(io);
	gc_expect_sound(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_int_equal(gc_files(v, NULL), 1);
	reopen_and_check(v);
}

static int count_finding(void *arg, const struct fsck_finding *finding) {
	if (!finding->repaired) {
		print_message("%s: %s\n", finding->file, finding->words);
		++*(unsigned *)arg;
	}
	return 0;
}

/* The log grows past its limit, which is a quarter of the reserve: the next commit ends with a checkpoint. */
static void fill_log(struct test_vault *v) {
	struct audit_event event = {
	        .event = "test", .actor = {.exe = "test"}, .detail = "words words words words words"};
	Meta *m = store_meta(v->store);
	meta_begin(m);
	for (int i = 0; i < 3000; i++)
		assert_rc(audit_record(m, &event, NULL));
	meta_end(m, 0);
	assert_rc(store_commit_wait(v->store));
}

/* The last checkpoint but the collector's own has the draft's rows, alive. */
static void who_gives_up_the_log_finds_no_segment_missing(void **state) {
	struct test_vault *v = *state;
	struct store_secret secret = {.bytes = bytes_of_string(TEST_PASSPHRASE)};
	struct fsck_options options = {.accept_loss = true};
	struct fsck_summary sum;
	unsigned left = 0;
	char log[128];
	v->options.reserve_bytes = 1 << 20;
	test_vault_reopen(v);
	Content *c = draft_in_closed_segment(v, "a", 'x');
	later_segment(v);
	fill_log(v);
	content_close(c);
	collect(v);
	assert_int_equal(gc_totals_of(v).removed, 1);
	gc_commit(v);
	store_abandon(v->store);
	v->store = NULL;
	(void)snprintf(log, sizeof log, "%s/meta.db-wal", v->vault);
	assert_int_equal(unlink(log), 0);
	assert_rc(fsck_repair(v->vault, &secret, &options, count_finding, &left, &sum));
	assert_int_equal(left, 0);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

int main(void) {
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, gc_fixture_setup, test_vault_teardown)
	        TEST(blocks_that_a_draft_overwrote_free_their_segment),
	        TEST(the_audit_log_says_how_much_was_removed),
	        TEST(a_dropped_draft_frees_its_segment),
	        TEST(a_draft_that_a_crash_left_frees_its_segment),
	        TEST(what_one_mount_condemned_the_next_one_removes),
	        TEST(its_number_is_not_given_to_another_segment),
	        TEST(every_sealed_version_stays),
	        TEST(a_reference_that_only_memory_has_keeps_its_segment),
	        TEST(a_block_that_is_cloned_behind_the_walk_keeps_its_segment),
	        TEST(a_page_that_is_put_behind_the_walk_keeps_its_segment),
	        TEST(a_condemned_segment_that_something_refers_to_again_is_pardoned),
	        TEST(nothing_is_removed_within_the_grace_time),
	        TEST(nothing_is_removed_before_a_commit_has_ended),
	        TEST(nothing_is_removed_while_an_older_read_is_under_way),
	        TEST(the_walk_waits_for_a_write_that_was_under_way),
	        TEST(a_read_of_what_was_removed_is_an_error_that_names_the_segment),
	        TEST(a_reference_that_leads_nowhere_stops_the_walk),
	        TEST(a_map_page_that_is_not_what_its_hash_says_stops_the_walk),
	        TEST(a_file_that_can_not_be_unlinked_is_unlinked_by_the_next_mount),
	        TEST(who_gives_up_the_log_finds_no_segment_missing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
