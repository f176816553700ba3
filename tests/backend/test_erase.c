/* Versions that are erased: their names, who has them open, and that the segments which held their bytes go, with what
 * lives beside them kept. Power loss is in test_erase_crash.c. */
#include "backend/erase.h"
#include "backend/record.h"
#include "backend/store_internal.h"
#include "backend/xattr.h"
#include "tests/backend/gc_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCKS 32u

/* More walks than are needed: one moves, one condemns, one removes. */
static void purge(struct test_vault *v) {
	for (int i = 0; i < 4; i++)
		gc_walk_and_wait(v);
}

static uint64_t file(struct test_vault *v, const char *name, uint8_t mark) {
	uint64_t node = test_vault_create(v, NODE_LANDING, name);
	Content *c = gc_open_content(v, node);
	gc_put_blocks(c, 0, BLOCKS, mark);
	gc_seal(c);
	content_close(c);
	return node;
}

static void rewrite(struct test_vault *v, uint64_t node, uint64_t first, uint64_t blocks, uint8_t mark) {
	Content *c = gc_open_content(v, node);
	gc_put_blocks(c, first, blocks, mark);
	gc_seal(c);
	content_close(c);
}

static void expect_file(struct test_vault *v, uint64_t node, uint8_t mark) {
	Content *c = gc_open_content(v, node);
	gc_expect_blocks(c, 0, BLOCKS, mark);
	content_close(c);
}

struct ids {
	uint64_t list[16];
	size_t count;
};

static int take_id(void *arg, const struct version *version) {
	struct ids *ids = arg;
	ids->list[ids->count++] = version->id;
	return 0;
}

static struct ids versions_of(struct test_vault *v, uint64_t node) {
	struct ids ids = {0};
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, version_list(m, node, take_id, &ids)));
	return ids;
}

static int try_erase(struct test_vault *v, uint64_t node, erased_name_fn *ended, void *arg, struct erased *ret) {
	struct ids ids = versions_of(v, node);
	Meta *m = store_meta(v->store);
	meta_begin(m);
	return meta_end(m, erase_versions(v->store, ids.list, ids.count, ended, arg, ret));
}

static struct erased erase_node(struct test_vault *v, uint64_t node) {
	struct erased erased = {0};
	assert_rc(try_erase(v, node, NULL, NULL, &erased));
	return erased;
}

/* The files of all segments there are, to be looked for later. */
struct segment_files {
	char paths[8][256];
	size_t count;
};

static int note_file(void *arg, const struct segment_row *row) {
	struct segment_files *files = arg;
	(void)snprintf(files->paths[files->count++], sizeof files->paths[0], "%u", row->number);
	return 0;
}

static struct segment_files files_of(struct test_vault *v) {
	struct segment_files files = {0};
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, segment_row_list(m, note_file, &files)));
	for (size_t i = 0; i < files.count; i++) {
		char name[SEGMENT_NAME_BYTES];
		assert_rc(segment_name(store_segments(v->store), (uint32_t)atoi(files.paths[i]), name));
		(void)snprintf(files.paths[i], sizeof files.paths[i], "%s/%s", v->vault, name);
		assert_int_equal(access(files.paths[i], F_OK), 0);
	}
	return files;
}

static void expect_gone(const struct segment_files *files) {
	for (size_t i = 0; i < files->count; i++)
		assert_int_not_equal(access(files->paths[i], F_OK), 0);
}

static void close_and_check(struct test_vault *v) {
	struct gc_purging purging;
	assert_rc(gc_purging(store_gc(v->store), &purging));
	assert_int_equal(purging.wanted + purging.unlinking + purging.is_seeking, 0);
	assert_rc(store_close(v->store));
	v->store = NULL;
	gc_expect_sound(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

/* ---- the disk ---- */

/* All lie in one segment that is being written, which has the highest number. */
static void the_segment_of_an_erased_file_goes_and_its_neighbours_stay(void **state) {
	struct test_vault *v = *state;
	uint64_t before = file(v, "before", 'b'), gone = file(v, "gone", 'g'), after = file(v, "after", 'a');
	gc_commit(v);
	struct segment_files files = files_of(v);
	assert_int_equal(files.count, 1);
	struct erased erased = erase_node(v, gone);
	assert_int_equal(erased.versions, 1);
	assert_int_equal(erased.names, 1);
	assert_int_equal(erased.bytes, BLOCKS * SEGMENT_BLOCK_BYTES);
	purge(v);
	expect_gone(&files);
	assert_int_equal(gc_totals_of(v).purged, 1);
	assert_int_equal(gc_totals_of(v).moved, 2 * BLOCKS * SEGMENT_BLOCK_BYTES);
	expect_file(v, before, 'b');
	expect_file(v, after, 'a');
	close_and_check(v);
	expect_file(v, before, 'b');
	expect_file(v, after, 'a');
}

static void a_segment_that_has_nothing_else_goes_without_anything_moved(void **state) {
	struct test_vault *v = *state;
	uint64_t gone = file(v, "gone", 'g');
	gc_close_segments(v);
	struct segment_files files = files_of(v);
	(void)erase_node(v, gone);
	purge(v);
	expect_gone(&files);
	assert_int_equal(gc_totals_of(v).moved, 0);
	close_and_check(v);
}

static void all_versions_in_all_segments_go(void **state) {
	struct test_vault *v = *state;
	uint64_t gone = file(v, "gone", 'g'), stays[3];
	for (uint8_t i = 0; i < 3; i++) {
		char name[8];
		(void)snprintf(name, sizeof name, "s%u", i);
		stays[i] = file(v, name, (uint8_t)('0' + i));
		gc_close_segments(v);
		rewrite(v, gone, i, 1, 'h');
	}
	gc_commit(v);
	struct segment_files files = files_of(v);
	assert_int_equal(files.count, 4);
	assert_int_equal(erase_node(v, gone).versions, 4);
	purge(v);
	expect_gone(&files);
	for (uint8_t i = 0; i < 3; i++)
		expect_file(v, stays[i], (uint8_t)('0' + i));
	close_and_check(v);
}

/* A draft's blocks that it wrote over before it was sealed: no map of any version leads to their segment. */
static void what_was_overwritten_before_it_was_sealed_goes_too(void **state) {
	struct test_vault *v = *state;
	uint64_t node = test_vault_create(v, NODE_LANDING, "gone");
	Content *c = gc_open_content(v, node);
	uint64_t stays = file(v, "stays", 's');
	gc_put_blocks(c, 0, BLOCKS, 'x');
	assert_rc(content_flush(c));
	gc_close_segments(v);
	struct segment_files files = files_of(v);
	gc_put_blocks(c, 0, BLOCKS, 'y');
	gc_seal(c);
	content_close(c);
	gc_commit(v);
	(void)erase_node(v, node);
	purge(v);
	expect_gone(&files);
	expect_file(v, stays, 's');
	close_and_check(v);
}

/* Of a draft that was dropped there is no row; who wrote its blocks tells. */
static void what_a_dropped_draft_wrote_goes_too(void **state) {
	struct test_vault *v = *state;
	uint64_t node = file(v, "gone", 'g');
	gc_close_segments(v);
	Content *c = gc_open_content(v, node);
	gc_put_blocks(c, 0, BLOCKS, 'x');
	assert_rc(content_drop(c));
	content_close(c);
	uint64_t stays = file(v, "stays", 's'); /* which is half of the segment */
	gc_close_segments(v);
	struct segment_files files = files_of(v);
	assert_int_equal(files.count, 2);
	(void)erase_node(v, node);
	purge(v);
	expect_gone(&files);
	expect_file(v, stays, 's');
	close_and_check(v);
}

static void other_segments_stay_where_they_are(void **state) {
	struct test_vault *v = *state;
	uint64_t stays = file(v, "stays", 's');
	gc_close_segments(v);
	struct segment_files files = files_of(v);
	uint64_t gone = file(v, "gone", 'g');
	(void)erase_node(v, gone);
	purge(v);
	assert_int_equal(access(files.paths[0], F_OK), 0);
	assert_int_equal(gc_totals_of(v).purged, 1);
	expect_file(v, stays, 's');
	close_and_check(v);
}

static void a_wish_outlives_a_crash(void **state) {
	struct test_vault *v = *state;
	uint64_t gone = file(v, "gone", 'g'), stays = file(v, "stays", 's');
	gc_commit(v);
	struct segment_files files = files_of(v);
	(void)erase_node(v, gone);
	gc_commit(v);
	test_vault_crash(v);
	struct gc_purging purging;
	assert_rc(gc_purging(store_gc(v->store), &purging));
	assert_int_equal(purging.wanted, 1);
	assert_true(purging.is_seeking);
	purge(v);
	expect_gone(&files);
	expect_file(v, stays, 's');
	close_and_check(v);
}

/* The thread does it by itself. */
static void the_collector_takes_it_up_when_it_is_told(void **state) {
	struct test_vault *v = *state;
	v->options.gc_by_hand = false;
	v->options.commit_ms = 50;
	test_vault_reopen(v);
	uint64_t gone = file(v, "gone", 'g'), stays = file(v, "stays", 's');
	struct gc_purging purging = {.wanted = 1};
	gc_commit(v);
	struct segment_files files = files_of(v);
	(void)erase_node(v, gone);
	gc_purge(store_gc(v->store));
	for (int i = 0; i < 600 && (purging.wanted || purging.is_seeking || purging.unlinking); i++) {
		usleep(50000);
		assert_rc(gc_purging(store_gc(v->store), &purging));
	}
	expect_gone(&files);
	assert_int_equal(purging.removed, 1);
	expect_file(v, stays, 's');
	close_and_check(v);
}

/* What is alive beside a page that is shown by more rows than a pass takes hashes for moves all the same. */
static void a_page_with_very_many_hashes_is_moved_as_well(void **state) {
	struct test_vault *v = *state;
	enum { PAGES = 2100 };
	uint64_t big = test_vault_create(v, NODE_LANDING, "big"), gone;
	Content *c = gc_open_content(v, big);
	for (uint64_t page = 0; page < PAGES; page++)
		gc_put_blocks(c, page * MAP_PAGE_REFS, 1, 'p');
	gc_seal(c);
	gone = file(v, "gone", 'g');
	gc_commit(v);
	struct segment_files files = files_of(v);
	(void)erase_node(v, gone);
	purge(v);
	expect_gone(&files);
	for (uint64_t page = 0; page < PAGES; page += 300)
		gc_expect_blocks(c, page * MAP_PAGE_REFS, 1, 'p');
	content_close(c);
	close_and_check(v);
}

static void a_neighbour_that_can_not_be_read_keeps_its_segment_and_is_told(void **state) {
	struct test_vault *v = *state;
	uint64_t stays = file(v, "stays", 's'), gone = file(v, "gone", 'g');
	gc_close_segments(v);
	struct segment_files files = files_of(v);
	struct gc_purging purging;
	FILE *f = fopen(files.paths[0], "r+b");
	assert_non_null(f);
	assert_int_equal(fseek(f, 5 * SEGMENT_BLOCK_BYTES, SEEK_SET), 0);
	assert_int_equal(fputc('!', f), '!');
	assert_int_equal(fclose(f), 0);
	(void)stays;
	(void)erase_node(v, gone);
	purge(v);
	assert_int_equal(access(files.paths[0], F_OK), 0);
	assert_rc(gc_purging(store_gc(v->store), &purging));
	assert_int_equal(purging.stuck, 1);
	assert_int_equal(purging.wanted, 1);
}

/* ---- who shares ---- */

static int take_node(void *arg, uint64_t node) {
	struct ids *ids = arg;
	ids->list[ids->count++] = node;
	return 0;
}

static struct ids sharers_of(struct test_vault *v, uint64_t node) {
	struct ids sharers = {0}, ids = versions_of(v, node);
	assert_rc(erase_sharers(v->store, ids.list, ids.count, take_node, &sharers));
	return sharers;
}

static void blocks_that_were_cloned_live_on_and_the_sharer_is_named(void **state) {
	struct test_vault *v = *state;
	uint64_t done = 0, gone = file(v, "gone", 'g'), other = file(v, "other", 'o');
	uint64_t clone = test_vault_create(v, NODE_LANDING, "clone");
	Content *a = gc_open_content(v, gone), *b = gc_open_content(v, clone);
	assert_rc(content_clone_range(a, 0, b, 0, BLOCKS * SEGMENT_BLOCK_BYTES, &done));
	gc_seal(b);
	content_close(a);
	content_close(b);
	gc_commit(v);
	struct segment_files files = files_of(v);
	struct ids sharers = sharers_of(v, gone);
	assert_int_equal(sharers.count, 1);
	assert_int_equal(sharers.list[0], clone);
	assert_int_equal(sharers_of(v, other).count, 0);
	(void)erase_node(v, gone);
	purge(v);
	expect_gone(&files);
	expect_file(v, clone, 'g');
	expect_file(v, other, 'o');
	close_and_check(v);
	expect_file(v, clone, 'g');
}

/* ---- names and handles ---- */

static int count_name(void *arg, const struct erased_name *name) {
	struct ids *ids = arg;
	assert_int_equal(name->parent_ino, NODE_LANDING);
	assert_true(name->size == 4 || name->size == 5);
	ids->count++;
	return 0;
}

static void every_name_ends_and_the_versions_say_erased(void **state) {
	struct test_vault *v = *state;
	uint64_t gone = file(v, "gone", 'g');
	struct ids names = {0};
	struct erased erased;
	struct node node;
	struct version version;
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(tree_link(m, gone, NODE_LANDING, bytes_of_string("other"), &node));
	assert_rc(meta_end(m, xattr_set(m, gone, bytes_of_string("user.a"), bytes_of_string("about somebody"), 0)));
	assert_rc(try_erase(v, gone, count_name, &names, &erased));
	assert_int_equal(erased.names, 2);
	assert_int_equal(names.count, 2);
	meta_begin(m);
	assert_int_equal(tree_lookup(m, NODE_LANDING, bytes_of_string("gone"), &node), -ENOENT);
	assert_int_equal(tree_lookup(m, NODE_LANDING, bytes_of_string("other"), &node), -ENOENT);
	assert_rc(version_by_number(m, gone, 1, &version));
	assert_int_equal(version.state, VERSION_ERASED);
	assert_rc(tree_get(m, gone, &node));
	assert_int_equal(node.version, 0);
	assert_int_equal(node.xattrs, 0);
	meta_end(m, 0);
	Content *c = NULL;
	assert_int_equal(content_open(v->store, gone, version.id, &c), -ESTALE);
	/* Once more: there is nothing left to do. */
	assert_int_equal(erase_node(v, gone).versions, 0);
	purge(v);
	close_and_check(v);
}

static void who_has_it_open_reads_nothing_more(void **state) {
	struct test_vault *v = *state;
	uint64_t done = 0, gone = file(v, "gone", 'g'), clone = test_vault_create(v, NODE_LANDING, "clone");
	static uint8_t out[2 * SEGMENT_BLOCK_BYTES];
	size_t got = 0;
	Content *c = gc_open_content(v, gone), *to = gc_open_content(v, clone);
	gc_expect_blocks(c, 0, BLOCKS, 'g');
	assert_rc(content_read(c, 5, out, 100, &got)); /* a part: all of the block is kept in memory */
	gc_commit(v);
	struct segment_files files = files_of(v);
	(void)erase_node(v, gone);
	assert_int_equal(content_read(c, 0, out, 100, &got), -ESTALE);
	assert_int_equal(content_clone_range(c, 0, to, 0, SEGMENT_BLOCK_BYTES, &done), -ESTALE);
	assert_int_equal(content_write(c, 0, bytes_of("x", 1)), -ESTALE);
	content_close(to);
	purge(v);
	expect_gone(&files);
	content_close(c);
	close_and_check(v);
}

/* Its references in memory keep nothing, although it never reads again. */
static void who_has_it_open_does_not_keep_the_segment(void **state) {
	struct test_vault *v = *state;
	uint64_t gone = file(v, "gone", 'g');
	Content *c = gc_open_content(v, gone);
	gc_expect_blocks(c, 0, BLOCKS, 'g');
	gc_commit(v);
	struct segment_files files = files_of(v);
	(void)erase_node(v, gone);
	purge(v);
	expect_gone(&files);
	content_close(c);
	close_and_check(v);
}

static void what_is_being_written_is_not_erased(void **state) {
	struct test_vault *v = *state;
	uint64_t node = file(v, "busy", 'b');
	struct erased erased;
	Content *c = gc_open_content(v, node);
	gc_put_blocks(c, 0, 1, 'c');
	assert_int_equal(try_erase(v, node, NULL, NULL, &erased), -EBUSY);
	assert_non_null(strstr(fault_message(), "Landing/busy"));
	gc_seal(c);
	gc_expect_blocks(c, 0, 1, 'c');
	content_close(c);
	struct gc_purging purging;
	assert_rc(gc_purging(store_gc(v->store), &purging));
	assert_int_equal(purging.wanted, 0);
}

/* What small fsyncs acknowledged stands in a log of its own until the next one, and behind it for longer. */
static void the_log_of_small_fsyncs_forgets_it(void **state) {
	struct test_vault *v = *state;
	uint64_t node = file(v, "gone", 'g');
	char path[128];
	struct stat about;
	Content *c = gc_open_content(v, node);
	gc_put_blocks(c, 0, 1, 'h');
	assert_rc(content_sync(c));
	for (int i = 0; i < 20; i++) {
		assert_rc(content_write(c, 100, bytes_of("secret", 6)));
		assert_rc(content_sync(c));
	}
	gc_seal(c);
	content_close(c);
	gc_commit(v);
	(void)snprintf(path, sizeof path, "%s/synclog", v->vault);
	assert_int_equal(stat(path, &about), 0);
	assert_true(about.st_size > 1024);
	(void)erase_node(v, node);
	gc_commit(v);
	assert_int_equal(stat(path, &about), 0);
	assert_int_equal(about.st_size, 1024);
	uint64_t later = file(v, "later", 'l');
	c = gc_open_content(v, later);
	gc_put_blocks(c, 0, 1, 'l');
	assert_rc(content_sync(c));
	assert_rc(content_write(c, 100, bytes_of("later", 5)));
	assert_rc(content_sync(c));
	content_abandon(c);
	test_vault_crash(v);
	char got[6] = "";
	size_t size = 0;
	c = gc_open_content(v, later);
	assert_rc(content_read(c, 100, (uint8_t *)got, 5, &size));
	assert_string_equal(got, "later");
	content_close(c);
	purge(v);
	close_and_check(v);
}

int main(void) {
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, gc_fixture_setup, test_vault_teardown)
	        TEST(the_segment_of_an_erased_file_goes_and_its_neighbours_stay),
	        TEST(a_segment_that_has_nothing_else_goes_without_anything_moved),
	        TEST(all_versions_in_all_segments_go),
	        TEST(what_was_overwritten_before_it_was_sealed_goes_too),
	        TEST(what_a_dropped_draft_wrote_goes_too),
	        TEST(other_segments_stay_where_they_are),
	        TEST(a_wish_outlives_a_crash),
	        TEST(the_collector_takes_it_up_when_it_is_told),
	        TEST(a_page_with_very_many_hashes_is_moved_as_well),
	        TEST(a_neighbour_that_can_not_be_read_keeps_its_segment_and_is_told),
	        TEST(blocks_that_were_cloned_live_on_and_the_sharer_is_named),
	        TEST(every_name_ends_and_the_versions_say_erased),
	        TEST(who_has_it_open_reads_nothing_more),
	        TEST(who_has_it_open_does_not_keep_the_segment),
	        TEST(what_is_being_written_is_not_erased),
	        TEST(the_log_of_small_fsyncs_forgets_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
