#include "backend/version.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/base/fault.h"
#include "tests/backend/meta_fixture.h"

#define OP(f, call) (meta_begin((f)->m), meta_end((f)->m, (call)))

static struct node file(struct fixture *f, const char *name) {
	return make(f, NODE_LANDING, name, S_IFREG | 0644);
}

static uint32_t mark_at(struct fixture *f, uint64_t version, uint64_t page) {
	struct block_ref refs[MAP_PAGE_REFS];
	size_t count;
	assert_int_equal(OP(f, version_map_get(f->m, version, page, refs, &count)), 0);
	return count ? refs[count - 1].position : 0;
}

static void put(struct fixture *f, uint64_t draft, uint64_t page, uint32_t mark) {
	struct block_ref ref = ref_of(mark);
	assert_int_equal(OP(f, version_map_put(f->m, draft, page, &ref, 1)), 0);
}

static void a_draft_that_has_no_row_yet_counts_all_the_same(void **state) {
	struct fixture *f = *state;
	struct node orphan = {.mode = S_IFREG | 0644, .zone = ZONE_LANDING};
	struct version draft, other;
	assert_int_equal(OP(f, tree_create_orphan(f->m, &orphan, &orphan)), 0);
	assert_int_equal(OP(f, version_draft_reserve(f->m, orphan.id, 0, ZONE_LANDING, &draft)), 0);
	assert_int_equal(OP(f, version_draft(f->m, orphan.id, 0, ZONE_LANDING, &other)), -EEXIST);
	assert_int_equal(OP(f, version_draft_reserve(f->m, orphan.id, 0, ZONE_LANDING, &other)), -EEXIST);
	assert_int_equal(OP(f, tree_forget(f->m, orphan.id)), -EBUSY);
	for (uint64_t id = 1; id <= 1000; id++) /* others come and go beside it */
		if (id % 3 == 0)
			version_draft_release(f->m, id + 10 * orphan.id);
	version_draft_release(f->m, orphan.id);
	assert_int_equal(OP(f, tree_forget(f->m, orphan.id)), 0);
}

static void a_node_has_one_draft_and_numbers_its_versions(void **state) {
	struct fixture *f = *state;
	struct node a = file(f, "a"), now;
	struct version draft, other;
	assert_int_equal(OP(f, version_draft(f->m, a.id, 0, ZONE_LANDING, &draft)), 0);
	assert_int_equal(OP(f, version_draft(f->m, a.id, 0, ZONE_LANDING, &other)), -EEXIST);
	assert_int_equal(OP(f, version_draft(f->m, NODE_LANDING, 0, ZONE_LANDING, &other)), -EISDIR);
	assert_int_equal(OP(f, version_draft(f->m, 999, 0, ZONE_LANDING, &other)), -ESTALE);
	assert_int_equal(OP(f, version_set_size(f->m, draft.id, 5)), 0);
	struct version sealed;
	assert_int_equal(OP(f, version_seal(f->m, draft.id, ORIGIN_WRITE, 0, NULL, &sealed)), 0);
	assert_int_equal(sealed.number, 1);
	assert_int_equal(OP(f, tree_get(f->m, a.id, &now)), 0);
	assert_int_equal(now.version, draft.id);
	assert_int_equal(now.size, 5);
	assert_int_equal(seal_version(f, a.id, ZONE_LANDING, 6, 1).number, 2);
	struct version read;
	assert_int_equal(OP(f, version_by_number(f->m, a.id, 1, &read)), 0);
	assert_same_version(&read, &sealed);
	assert_int_equal(OP(f, version_by_number(f->m, a.id, 3, &read)), -ENOENT);
}

static void a_draft_copies_a_page_only_when_it_changes_it(void **state) {
	struct fixture *f = *state;
	struct node a = file(f, "a");
	struct version first, draft, second;
	assert_int_equal(OP(f, version_draft(f->m, a.id, 0, ZONE_LANDING, &first)), 0);
	put(f, first.id, 0, 10);
	put(f, first.id, 7, 17);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM mappage"), 2);
	put(f, first.id, 7, 18);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM mappage"), 2);
	assert_int_equal(OP(f, version_seal(f->m, first.id, ORIGIN_WRITE, 0, NULL, &first)), 0);
	assert_int_equal(OP(f, version_draft(f->m, a.id, first.id, ZONE_LANDING, &draft)), 0);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM mappage"), 2);
	put(f, draft.id, 7, 27);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM mappage"), 3);
	assert_int_equal(OP(f, version_seal(f->m, draft.id, ORIGIN_WRITE, 0, NULL, &second)), 0);
	assert_int_equal(mark_at(f, first.id, 7), 18);
	assert_int_equal(mark_at(f, second.id, 7), 27);
	assert_int_equal(mark_at(f, second.id, 0), 10);
	assert_int_equal(mark_at(f, second.id, 3), 0);
	uint64_t page;
	assert_int_equal(OP(f, version_map_next(f->m, second.id, 1, &page)), 0);
	assert_int_equal(page, 7);
	assert_int_equal(OP(f, version_map_next(f->m, second.id, 8, &page)), -ENXIO);
	assert_int_equal(OP(f, version_verify_hash(f->m, first.id)), 0);
	assert_int_equal(OP(f, version_verify_hash(f->m, second.id)), 0);
}

enum step { PUT_0, PUT_0_AGAIN, PUT_5, HOLES_0, CUT_ALL, SHARE_OWN, SHARE_OTHER, SET_SIZE, STEPS };

static int take_step(struct fixture *f, enum step step, uint64_t draft, uint64_t other) {
	struct block_ref one = ref_of(1), two = ref_of(2), hole = {0};
	switch (step) {
	case PUT_0:
		return version_map_put(f->m, draft, 0, &one, 1);
	case PUT_0_AGAIN:
		return version_map_put(f->m, draft, 0, &two, 1);
	case PUT_5:
		return version_map_put(f->m, draft, 5, &one, 1);
	case HOLES_0:
		return version_map_put(f->m, draft, 0, &hole, 1);
	case CUT_ALL:
		return version_truncate_map(f->m, draft, 0);
	case SHARE_OWN:
		return version_map_share(f->m, draft, 0, draft, 9);
	case SHARE_OTHER:
		return version_map_share(f->m, other, 0, draft, 0);
	case SET_SIZE:
		return version_set_size(f->m, draft, 77);
	case STEPS:
		break;
	}
	return -EINVAL;
}

/* A draft that is put, changed and sealed in one operation is what it would be in several. */
static int in_one_operation(
        struct fixture *f, uint64_t node, const enum step *steps, uint64_t other, struct version *ret_sealed) {
	struct version draft;
	int rc = version_draft(f->m, node, 0, ZONE_LANDING, &draft);
	for (size_t i = 0; i < 3 && rc == 0; i++)
		rc = take_step(f, steps[i], draft.id, other);
	return rc < 0 ? rc : version_seal(f->m, draft.id, ORIGIN_WRITE, 0, NULL, ret_sealed);
}

static void in_several(
        struct fixture *f, uint64_t node, const enum step *steps, uint64_t other, struct version *ret_sealed) {
	struct version draft;
	assert_int_equal(OP(f, version_draft(f->m, node, 0, ZONE_LANDING, &draft)), 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(OP(f, take_step(f, steps[i], draft.id, other)), 0);
	assert_int_equal(OP(f, version_seal(f->m, draft.id, ORIGIN_WRITE, 0, NULL, ret_sealed)), 0);
}

static void it_is_no_matter_whether_a_draft_lives_for_one_operation(void **state) {
	struct fixture *f = *state;
	struct node a = file(f, "a"), b = file(f, "b");
	struct version other = seal_version(f, file(f, "c").id, ZONE_LANDING, 1, 3), one, several, read;
	for (unsigned i = 0; i < STEPS * STEPS * STEPS; i++) {
		const enum step steps[] = {i % STEPS, i / STEPS % STEPS, i / STEPS / STEPS};
		assert_int_equal(OP(f, in_one_operation(f, a.id, steps, other.id, &one)), 0);
		in_several(f, b.id, steps, other.id, &several);
		assert_memory_equal(one.hash, several.hash, sizeof one.hash);
		assert_int_equal(one.size, several.size);
		assert_int_equal(one.number, i + 1);
		assert_int_equal(OP(f, version_verify_hash(f->m, one.id)), 0);
		assert_int_equal(OP(f, version_get(f->m, one.id, &read)), 0);
		assert_same_version(&read, &one);
	}
}

static void a_file_that_shows_nothing_any_more_goes_on_counting(void **state) {
	struct fixture *f = *state;
	const enum step steps[] = {HOLES_0, HOLES_0, PUT_0};
	struct node a = file(f, "a");
	struct version version;
	for (uint64_t number = 1; number <= 3; number++) {
		assert_int_equal(OP(f, in_one_operation(f, a.id, steps, 0, &version)), 0);
		assert_int_equal(version.number, number);
		assert_int_equal(OP(f, version_withdraw(f->m, version.id, 0)), 0);
	}
	fixture_commit(f);
	fixture_reopen(f);
	assert_int_equal(OP(f, in_one_operation(f, a.id, steps, 0, &version)), 0);
	assert_int_equal(version.number, 4);
}

static void a_draft_that_was_left_keeps_its_file_from_another(void **state) {
	struct fixture *f = *state;
	struct node a = file(f, "a"), b = file(f, "b");
	struct version draft, other;
	assert_int_equal(OP(f, version_draft(f->m, a.id, 0, ZONE_LANDING, &draft)), 0);
	fixture_commit(f);
	fixture_reopen(f);
	assert_int_equal(OP(f, version_draft(f->m, a.id, 0, ZONE_LANDING, &other)), -EEXIST);
	assert_int_equal(OP(f, version_draft_reserve(f->m, b.id, 0, ZONE_LANDING, &other)), 0);
	assert_int_equal(OP(f, version_draft_reserve(f->m, a.id, 0, ZONE_LANDING, &other)), -EEXIST);
	/* Others come and go. */
	struct node c = file(f, "c");
	for (int i = 0; i < 3; i++) {
		(void)seal_version(f, c.id, ZONE_LANDING, 1, 1);
		assert_int_equal(OP(f, version_draft(f->m, c.id, 0, ZONE_LANDING, &other)), 0);
		assert_int_equal(OP(f, version_drop(f->m, other.id, NULL)), 0);
		assert_int_equal(OP(f, version_draft(f->m, a.id, 0, ZONE_LANDING, &other)), -EEXIST);
	}
	/* Undone: the row is still there. */
	meta_begin(f->m);
	assert_int_equal(version_drop(f->m, draft.id, NULL), 0);
	assert_int_equal(meta_end(f->m, -EIO), -EIO);
	assert_int_equal(OP(f, version_draft(f->m, a.id, 0, ZONE_LANDING, &other)), -EEXIST);
	assert_int_equal(OP(f, version_drop(f->m, draft.id, NULL)), 0);
	assert_int_equal(OP(f, version_draft(f->m, a.id, 0, ZONE_LANDING, &other)), 0);
}

static void holes_at_the_end_are_cut_and_a_page_of_holes_is_none(void **state) {
	struct fixture *f = *state;
	struct node a = file(f, "a");
	struct version draft;
	struct block_ref refs[MAP_PAGE_REFS] = {0}, got[MAP_PAGE_REFS];
	size_t count;
	assert_int_equal(OP(f, version_draft(f->m, a.id, 0, ZONE_LANDING, &draft)), 0);
	refs[3] = ref_of(9);
	assert_int_equal(OP(f, version_map_put(f->m, draft.id, 2, refs, MAP_PAGE_REFS)), 0);
	assert_int_equal(OP(f, version_map_get(f->m, draft.id, 2, got, &count)), 0);
	assert_int_equal(count, 4);
	assert_memory_equal(got, refs, 4 * sizeof refs[0]);
	refs[3] = refs[0];
	assert_int_equal(OP(f, version_map_put(f->m, draft.id, 2, refs, MAP_PAGE_REFS)), 0);
	assert_int_equal(sql_value_of(f, "SELECT (SELECT count(*) FROM map) + (SELECT count(*) FROM mappage)"), 0);
	refs[255] = ref_of(1);
	assert_int_equal(OP(f, version_map_put(f->m, draft.id, 2, refs, MAP_PAGE_REFS)), 0);
	assert_int_equal(OP(f, version_map_get(f->m, draft.id, 2, got, &count)), 0);
	assert_int_equal(count, 256);
	assert_int_equal(OP(f, version_map_put(f->m, draft.id, 2, refs, 257)), -EINVAL);
}

static void truncating_a_draft_spares_what_others_show(void **state) {
	struct fixture *f = *state;
	struct node a = file(f, "a");
	struct version first, draft;
	assert_int_equal(OP(f, version_draft(f->m, a.id, 0, ZONE_LANDING, &first)), 0);
	for (uint32_t page = 0; page < 4; page++)
		put(f, first.id, page, 10 + page);
	assert_int_equal(OP(f, version_seal(f->m, first.id, ORIGIN_WRITE, 0, NULL, &first)), 0);
	assert_int_equal(OP(f, version_draft(f->m, a.id, first.id, ZONE_LANDING, &draft)), 0);
	put(f, draft.id, 3, 33);
	assert_int_equal(OP(f, version_truncate_map(f->m, draft.id, 1)), 0);
	assert_int_equal(mark_at(f, draft.id, 0), 10);
	assert_int_equal(mark_at(f, draft.id, 1), 0);
	assert_int_equal(mark_at(f, first.id, 3), 13);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM mappage"), 4);
	assert_int_equal(OP(f, version_truncate_map(f->m, first.id, 1)), -EPERM);
}

static void a_dropped_draft_leaves_the_file_as_it_was(void **state) {
	struct fixture *f = *state;
	struct node a = file(f, "a"), now;
	struct version first = seal_version(f, a.id, ZONE_LANDING, 10, 1), draft;
	struct node values = {.size = 99};
	assert_int_equal(OP(f, version_draft(f->m, a.id, first.id, ZONE_LANDING, &draft)), 0);
	put(f, draft.id, 0, 5);
	put(f, draft.id, 1, 6);
	assert_int_equal(OP(f, tree_setattr(f->m, a.id, &values, TREE_SIZE, &now)), 0);
	uint64_t size;
	assert_int_equal(OP(f, version_drop(f->m, draft.id, &size)), 0);
	assert_int_equal(size, 10);
	assert_int_equal(OP(f, tree_get(f->m, a.id, &now)), 0);
	assert_int_equal(now.size, 10);
	assert_int_equal(now.version, first.id);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM mappage"), 1);
	assert_int_equal(mark_at(f, first.id, 0), 1);
	assert_int_equal(OP(f, version_drop(f->m, first.id, NULL)), -EPERM);
}

static void a_page_is_shared_with_a_clone_even_out_of_a_draft(void **state) {
	struct fixture *f = *state;
	struct node a = file(f, "a"), b = file(f, "b"), t = make(f, NODE_TRUSTED, "t", S_IFREG | 0644);
	struct version source, clone, trusted;
	assert_int_equal(OP(f, version_draft(f->m, a.id, 0, ZONE_LANDING, &source)), 0);
	assert_int_equal(OP(f, version_draft(f->m, b.id, 0, ZONE_LANDING, &clone)), 0);
	assert_int_equal(OP(f, version_draft(f->m, t.id, 0, ZONE_TRUSTED, &trusted)), 0);
	put(f, source.id, 0, 1);
	put(f, clone.id, 5, 50);
	assert_int_equal(OP(f, version_map_share(f->m, source.id, 0, clone.id, 5)), 0);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM mappage"), 1);
	put(f, source.id, 0, 2);
	assert_int_equal(mark_at(f, clone.id, 5), 1);
	assert_int_equal(mark_at(f, source.id, 0), 2);
	assert_int_equal(OP(f, version_map_share(f->m, source.id, 0, trusted.id, 0)), -EXDEV);
	assert_int_equal(OP(f, version_map_share(f->m, source.id, 9, clone.id, 5)), 0);
	assert_int_equal(mark_at(f, clone.id, 5), 0);
	assert_int_equal(OP(f, version_drop(f->m, source.id, NULL)), 0);
	assert_int_equal(OP(f, version_drop(f->m, clone.id, NULL)), 0);
}

static void a_base_of_another_zone_is_refused(void **state) {
	struct fixture *f = *state;
	struct node a = file(f, "a"), t = make(f, NODE_TRUSTED, "t", S_IFREG | 0644);
	struct version first = seal_version(f, a.id, ZONE_LANDING, 10, 1), draft;
	assert_int_equal(OP(f, version_draft(f->m, t.id, first.id, ZONE_TRUSTED, &draft)), -EXDEV);
	assert_int_equal(OP(f, version_draft(f->m, t.id, 999, ZONE_TRUSTED, &draft)), -ENOENT);
}

/* What is remembered of a draft that the operation put, and was forgotten, is no version 0. */
static void there_is_no_version_zero(void **state) {
	struct fixture *f = *state;
	struct node a = file(f, "a");
	struct version draft, sealed;
	struct block_ref ref = ref_of(3);
	meta_begin(f->m);
	assert_int_equal(version_draft(f->m, a.id, 0, ZONE_LANDING, &draft), 0);
	assert_int_equal(version_set_size(f->m, draft.id, 5), 0);
	assert_int_equal(version_map_put(f->m, 0, 0, &ref, 1), -EPERM);
	assert_int_equal(version_seal(f->m, 0, ORIGIN_WRITE, 0, NULL, &sealed), -EPERM);
	assert_int_equal(meta_end(f->m, -EPERM), -EPERM);
}

static void what_is_sealed_can_not_be_changed_even_by_raw_sql(void **state) {
	struct fixture *f = *state;
	struct node a = file(f, "a");
	struct version first = seal_version(f, a.id, ZONE_LANDING, 10, 1);
	struct block_ref ref = ref_of(3);
	assert_int_equal(OP(f, version_map_put(f->m, first.id, 0, &ref, 1)), -EPERM);
	assert_int_equal(OP(f, version_set_size(f->m, first.id, 11)), -EPERM);
	assert_int_equal(OP(f, version_mark_fsynced(f->m, first.id)), -EPERM);
	fixture_commit(f);
	const char *const forbidden[] = {
	        "UPDATE version SET size = 11",
	        "UPDATE version SET hash = zeroblob(32)",
	        "UPDATE version SET state = 0, number = NULL, hash = NULL, sealed = 0",
	        "UPDATE version SET state = 3",
	        "UPDATE version SET number = 5",
	        "DELETE FROM version",
	        "DELETE FROM map",
	        "UPDATE map SET page = 1",
	        "INSERT INTO map (version, page, mappage) SELECT version, 9, mappage FROM map",
	        "UPDATE mappage SET refs = zeroblob(32)",
	        "UPDATE mappage SET owner = 0",
	        "DELETE FROM mappage",
	        "DELETE FROM node WHERE id > 4",
	        "INSERT INTO version (id, node, number, state, zone, size, origin, born, base, hash, sealed) VALUES "
	        "(99, 5, "
	        "2, 1, 1, 1, 1, 1, 0, zeroblob(32), 1)",
	        "UPDATE node SET version = 77 WHERE id > 4",
	};
	for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
		assert_int_not_equal(raw_sql(f, forbidden[i]), SQLITE_OK);
	}
	assert_int_equal(OP(f, version_verify_hash(f->m, first.id)), 0);
}

static void a_changed_page_or_map_is_told(void **state) {
	struct fixture *f = *state;
	struct node a = file(f, "a");
	struct version first = seal_version(f, a.id, ZONE_LANDING, 10, 1),
	               second = seal_version(f, a.id, ZONE_LANDING, 10, 2);
	fixture_commit(f);
	/* As somebody would who goes past the guards. */
	assert_int_equal(raw_sql(f, "DROP TRIGGER mappage_update; DROP TRIGGER map_delete"), SQLITE_OK);
	assert_int_equal(raw_sql(f, "UPDATE mappage SET refs = zeroblob(32) WHERE id = 1"), SQLITE_OK);
	assert_int_equal(OP(f, version_verify_hash(f->m, first.id)), -EBADMSG);
	assert_int_equal(OP(f, version_verify_hash(f->m, second.id)), 0);
	assert_int_equal(raw_sql(f, "DELETE FROM map WHERE version = 2"), SQLITE_OK);
	assert_int_equal(OP(f, version_verify_hash(f->m, second.id)), -EBADMSG);
}

static int trusted_seal(struct fixture *f, uint64_t node, uint64_t verdict, const uint8_t *sha256) {
	struct version draft;
	meta_begin(f->m);
	int rc = version_draft(f->m, node, 0, ZONE_TRUSTED, &draft);
	if (rc == 0)
		rc = version_seal(f->m, draft.id, ORIGIN_PUBLISH, verdict, sha256, &draft);
	return meta_end(f->m, rc);
}

static void nothing_is_sealed_in_trusted_without_a_verdict_for_its_bytes(void **state) {
	struct fixture *f = *state;
	struct node t = make(f, NODE_TRUSTED, "t", S_IFREG | 0644);
	uint8_t good[32] = {1}, other[32] = {2};
	uint64_t passed = make_verdict(f, VERDICT_PASSED, good), failed = make_verdict(f, VERDICT_FAILED, good);
	assert_int_equal(trusted_seal(f, t.id, 0, good), -EPERM);
	assert_int_equal(trusted_seal(f, t.id, 99, good), -EPERM);
	assert_int_equal(trusted_seal(f, t.id, failed, good), -EPERM);
	assert_int_equal(trusted_seal(f, t.id, passed, other), -EPERM);
	assert_int_equal(trusted_seal(f, t.id, passed, NULL), -EPERM);
	assert_true(strlen(fault_message()) > 0);
	struct version draft;
	assert_int_equal(OP(f, version_draft(f->m, t.id, 0, ZONE_LANDING, &draft)), 0);
	assert_int_equal(OP(f, version_seal(f->m, draft.id, ORIGIN_WRITE, 0, NULL, &draft)), -EPERM);
	assert_int_equal(OP(f, version_drop(f->m, draft.id, NULL)), 0);
	assert_int_equal(trusted_seal(f, t.id, passed, good), 0);

	assert_int_equal(OP(f, version_draft(f->m, t.id, 0, ZONE_TRUSTED, &draft)), 0);
	fixture_commit(f);
	assert_int_not_equal(
	        raw_sql(f, "UPDATE version SET state = 1, number = 2, hash = zeroblob(32), sealed = 9 WHERE state = 0"),
	        SQLITE_OK);
	assert_int_not_equal(raw_sql(f, "UPDATE version SET state = 1, number = 2, hash = zeroblob(32), sealed = 9,"
	                                " verdict = 2, sha256 = zeroblob(32) WHERE state = 0"),
	        SQLITE_OK);
	assert_int_not_equal(raw_sql(f, "UPDATE verdict SET outcome = 2"), SQLITE_OK);
	assert_int_not_equal(raw_sql(f, "DELETE FROM verdict"), SQLITE_OK);
}

static int count(void *arg, const struct version *version) {
	(void)version;
	++*(size_t *)arg;
	return 0;
}

static void drafts_are_found_after_a_crash(void **state) {
	struct fixture *f = *state;
	struct node a = file(f, "a"), b = file(f, "b");
	struct version draft, found;
	seal_version(f, b.id, ZONE_LANDING, 1, 1);
	assert_int_equal(OP(f, version_draft(f->m, a.id, 0, ZONE_LANDING, &draft)), 0);
	assert_int_equal(OP(f, version_mark_fsynced(f->m, draft.id)), 0);
	fixture_commit(f);
	fixture_reopen(f);
	size_t drafts = 0;
	assert_int_equal(OP(f, version_drafts(f->m, count, &drafts)), 0);
	assert_int_equal(drafts, 1);
	assert_int_equal(OP(f, version_draft_of(f->m, a.id, &found)), 0);
	assert_int_equal(found.id, draft.id);
	assert_true(found.fsynced);
	assert_int_equal(OP(f, version_draft_of(f->m, b.id, &found)), -ENOENT);
}

static void a_version_is_withdrawn_and_erased_but_its_row_stays(void **state) {
	struct fixture *f = *state;
	struct node a = file(f, "a"), now;
	struct version first = seal_version(f, a.id, ZONE_LANDING, 10, 1),
	               second = seal_version(f, a.id, ZONE_LANDING, 20, 2), v;
	assert_int_equal(OP(f, version_erase(f->m, second.id)), -EBUSY);
	assert_int_equal(OP(f, version_withdraw(f->m, second.id, first.id)), 0);
	assert_int_equal(OP(f, tree_get(f->m, a.id, &now)), 0);
	assert_int_equal(now.version, first.id);
	assert_int_equal(now.size, 10);
	assert_int_equal(OP(f, version_at(f->m, a.id, meta_commit_id(f->m), &v)), 0);
	assert_int_equal(v.id, first.id);
	assert_int_equal(OP(f, version_erase(f->m, second.id)), 0);
	assert_int_equal(OP(f, version_get(f->m, second.id, &v)), 0);
	assert_int_equal(v.state, VERSION_ERASED);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM mappage"), 1);
	assert_int_equal(OP(f, version_verify_hash(f->m, first.id)), 0);
	fixture_commit(f);
	assert_int_not_equal(raw_sql(f, "UPDATE version SET state = 1"), SQLITE_OK);
}

struct shown {
	uint64_t ids[16];
	size_t count;
};

static int take(void *arg, uint64_t ordinal, const struct version *version) {
	struct shown *s = arg;
	s->ids[s->count++] = version->id;
	assert_int_equal(ordinal, s->count);
	return 0;
}

static void a_path_shows_the_versions_of_all_that_stood_there(void **state) {
	struct fixture *f = *state;
	/* As an editor saves: it writes beside, then renames over. */
	struct node a = file(f, "f"), b = file(f, "f.tmp"), node;
	struct version a1 = seal_version(f, a.id, ZONE_LANDING, 1, 1);
	fixture_commit(f);
	struct version a2 = seal_version(f, a.id, ZONE_LANDING, 2, 2);
	struct version b1 = seal_version(f, b.id, ZONE_LANDING, 3, 3);
	fixture_commit(f);
	assert_int_equal(OP(f, tree_rename(f->m, NODE_LANDING, text("f.tmp"), NODE_LANDING, text("f"), 0, NULL)), 0);
	fixture_commit(f);
	struct version b2 = seal_version(f, b.id, ZONE_LANDING, 4, 4);
	fixture_commit(f);
	assert_int_equal(OP(f, tree_unlink(f->m, NODE_LANDING, text("f"), &node)), 0);
	fixture_commit(f);
	struct shown s = {0};
	assert_int_equal(OP(f, version_list_path(f->m, NODE_LANDING, text("f"), take, &s)), 0);
	assert_int_equal(s.count, 4);
	const uint64_t want[] = {a1.id, a2.id, b1.id, b2.id};
	assert_memory_equal(s.ids, want, sizeof want);
	s.count = 0;
	assert_int_equal(OP(f, version_list_path(f->m, NODE_LANDING, text("f.tmp"), take, &s)), 0);
	assert_int_equal(s.count, 1);
	assert_int_equal(s.ids[0], b1.id);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(a_draft_that_has_no_row_yet_counts_all_the_same),
	        TEST(a_node_has_one_draft_and_numbers_its_versions),
	        TEST(a_draft_copies_a_page_only_when_it_changes_it),
	        TEST(it_is_no_matter_whether_a_draft_lives_for_one_operation),
	        TEST(a_file_that_shows_nothing_any_more_goes_on_counting),
	        TEST(a_draft_that_was_left_keeps_its_file_from_another),
	        TEST(holes_at_the_end_are_cut_and_a_page_of_holes_is_none),
	        TEST(truncating_a_draft_spares_what_others_show),
	        TEST(a_dropped_draft_leaves_the_file_as_it_was),
	        TEST(a_page_is_shared_with_a_clone_even_out_of_a_draft),
	        TEST(a_base_of_another_zone_is_refused),
	        TEST(there_is_no_version_zero),
	        TEST(what_is_sealed_can_not_be_changed_even_by_raw_sql),
	        TEST(a_changed_page_or_map_is_told),
	        TEST(nothing_is_sealed_in_trusted_without_a_verdict_for_its_bytes),
	        TEST(drafts_are_found_after_a_crash),
	        TEST(a_version_is_withdrawn_and_erased_but_its_row_stays),
	        TEST(a_path_shows_the_versions_of_all_that_stood_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
