/*
 * What damage of the metadata's files costs: nothing, where another file vouches for what was there; and what an
 * attacker gets by making damage: nothing old is ever taken for new.
 */
#include "backend/walchain.h"
#include "tests/backend/meta_key.h"
#include "tests/backend/metadb_fixture.h"

#include <stdio.h>
#include <string.h>

#define ROWS METADB_TEST_ROWS

static const char *const redundant[] = {"meta/1", "meta/2", "meta/3", "meta/anchor-1", "meta/anchor-2"};
#define REDUNDANT (sizeof redundant / sizeof redundant[0])

static enum verdict judge(struct scratch *scratch) {
	return metadb_test_judge(scratch->io, ROWS);
}

static void damage(struct scratch *scratch, const char *name, size_t at) {
	size_t size = 0;
	uint8_t *data = scratch_read(scratch->vault, name, &size);
	assert_in_range(at, 0, size - 1);
	data[at] ^= 0x10;
	scratch_write(scratch->vault, name, data, size);
	free(data);
}

/* Puts `name` back as it is in directory `older`. */
static void put_back(struct scratch *scratch, const char *older, const char *name) {
	size_t size = 0;
	uint8_t *data = scratch_read(older, name, &size);
	scratch_write(scratch->vault, name, data, size);
	free(data);
}

static void copy(struct scratch *scratch, const char *name, char ret_path[static 128]) {
	(void)snprintf(ret_path, 128, "%s/%s", scratch->path, name);
	scratch_copy(scratch->vault, ret_path);
}

static void refused(struct scratch *scratch, const char *words) {
	MetaDb *db = NULL;
	for (unsigned flags = 0; flags <= METADB_READ_ONLY; flags++) {
		assert_int_equal(metadb_open(scratch->io, meta_key_one(), metadb_test_id, flags, &db), -EBADMSG);
		if (!strstr(fault_message(), words))
			fail_msg("it is not said that '%s': %s", words, fault_message());
	}
	assert_int_equal(
	        metadb_rebuild(scratch->io, meta_key_one(), metadb_test_id) == 0 && judge(scratch) == UNNOTICED, 0);
}

/* ---- one file is damaged ---- */

static void a_bad_byte_in_a_pack_or_an_anchor_keeps_nothing_from_being_read(void **state) {
	struct scratch *scratch = *state;
	for (size_t i = 0; i < REDUNDANT; i++) {
		size_t size = 0;
		uint8_t *data = scratch_read(scratch->vault, redundant[i], &size);
		for (size_t at = 0; at < size; at += at < 700 ? 13 : 1009) {
			data[at] ^= 4;
			scratch_write(scratch->vault, redundant[i], data, size);
			if (judge(scratch) != FOUND_BY_FSCK)
				fail_msg("byte %zu of %s", at, redundant[i]);
			data[at] ^= 4;
		}
		scratch_write(scratch->vault, redundant[i], data, size);
		free(data);
	}
	assert_int_equal(judge(scratch), UNNOTICED);
}

static void a_pack_or_an_anchor_may_be_gone_cut_or_zeroed(void **state) {
	struct scratch *scratch = *state;
	for (size_t i = 0; i < REDUNDANT; i++) {
		size_t size = 0;
		uint8_t *data = scratch_read(scratch->vault, redundant[i], &size);
		uint8_t *zeros = calloc(1, size);
		assert_rc(vault_io_unlink(scratch->io, redundant[i]));
		assert_int_equal(judge(scratch), FOUND_BY_FSCK);
		for (size_t left = 0; left < size; left += size / 3) {
			scratch_write(scratch->vault, redundant[i], data, left);
			assert_int_equal(judge(scratch), FOUND_BY_FSCK);
		}
		scratch_write(scratch->vault, redundant[i], zeros, size);
		assert_int_equal(judge(scratch), FOUND_BY_FSCK);
		scratch_write(scratch->vault, redundant[i], data, size);
		free(zeros);
		free(data);
	}
}

static void all_packs_may_be_gone_while_the_database_is_whole(void **state) {
	struct scratch *scratch = *state;
	for (size_t i = 0; i < 3; i++)
		assert_rc(vault_io_unlink(scratch->io, redundant[i]));
	assert_int_equal(judge(scratch), FOUND_BY_FSCK);
}

static void a_stray_file_that_looks_like_a_pack_is_told_and_does_no_harm(void **state) {
	struct scratch *scratch = *state;
	scratch_write(scratch->vault, "meta/999999", "x", 1);
	assert_int_equal(judge(scratch), FOUND_BY_FSCK);
	MetaDb *db = metadb_test_open(scratch->io);
	size_t told = 0;
	assert_rc(metadb_damage(db, metadb_test_count, &told));
	assert_int_equal(told, 1);
	assert_rc(metadb_close(db));
	assert_int_equal(judge(scratch), FOUND_BY_FSCK);
}

static void a_database_file_that_was_cut_is_read_from_the_packs(void **state) {
	struct scratch *scratch = *state;
	size_t size = 0;
	uint8_t *data = scratch_read(scratch->vault, "meta.db", &size);
	for (size_t left = 0; left < size; left += 4096 + 17) {
		scratch_write(scratch->vault, "meta.db", data, left);
		assert_int_equal(judge(scratch), FOUND_BY_FSCK);
	}
	scratch_write(scratch->vault, "meta.db", data, size - 1);
	MetaDb *db = metadb_test_open(scratch->io);
	size_t told = 0;
	assert_rc(metadb_damage(db, metadb_test_count, &told));
	assert_int_equal(told, 1);
	metadb_abandon(db);
	free(data);
}

/* Until a new base is durable nothing goes that could still be needed. */
static void damaged_packs_stay_until_a_base_replaces_them(void **state) {
	struct scratch *scratch = *state;
	uint64_t size = 0;
	damage(scratch, "meta/1", 100);
	damage(scratch, "meta/2", 100);
	metadb_abandon(metadb_test_open(scratch->io));
	assert_rc(vault_io_stat_size(scratch->io, "meta/1", &size));
	assert_rc(vault_io_stat_size(scratch->io, "meta/2", &size));
	assert_rc(metadb_close(metadb_test_open(scratch->io)));
	assert_int_equal(vault_io_stat_size(scratch->io, "meta/1", &size), -ENOENT);
	assert_int_equal(vault_io_stat_size(scratch->io, "meta/2", &size), -ENOENT);
	assert_int_equal(judge(scratch), UNNOTICED);
}

/* The next checkpoint writes a base in place of damaged packs, the opening an anchor. */
static void going_on_mends_packs_and_anchors(void **state) {
	struct scratch *scratch = *state;
	int rows = ROWS;
	for (size_t i = 0; i < REDUNDANT; i++) {
		MetaDb *db = metadb_test_open(scratch->io);
		char name[32];
		(void)snprintf(name, sizeof name, "meta/%llu", (unsigned long long)metadb_last_pack(db));
		metadb_abandon(db);
		damage(scratch, i < 3 ? name : redundant[i], i == 1 ? 520 : 100);
		assert_int_equal(metadb_test_judge(scratch->io, rows), FOUND_BY_FSCK);
		db = metadb_test_open(scratch->io);
		metadb_test_insert(db, rows + 1, rows + 2);
		rows += 2;
		assert_rc(metadb_close(db));
		assert_int_equal(metadb_test_judge(scratch->io, rows), UNNOTICED);
	}
}

/* ---- damage that is made so that something old is taken for new ---- */

/* At rest, with a copy from before every row was changed; ret_last: the newest pack. */
static void make_older(struct scratch *scratch, char older[static 128], char ret_last[static 32]) {
	MetaDb *db = metadb_test_open(scratch->io);
	assert_rc(metadb_close(db));
	copy(scratch, "older", older);
	db = metadb_test_open(scratch->io);
	metadb_test_sql(db, "UPDATE t SET body='CANARY-' || (n * 7919) || '-' || hex(zeroblob(149)) || '11'");
	assert_rc(metadb_checkpoint(db));
	(void)snprintf(ret_last, 32, "meta/%llu", (unsigned long long)metadb_last_pack(db));
	assert_rc(metadb_close(db));
}

static void an_older_database_with_the_newest_pack_removed_is_refused(void **state) {
	struct scratch *scratch = *state;
	char older[128], last[32];
	make_older(scratch, older, last);
	put_back(scratch, older, "meta.db");
	assert_rc(vault_io_unlink(scratch->io, last));
	refused(scratch, "older ones were put back");
}

static void an_older_page_with_its_pack_damaged_is_refused(void **state) {
	struct scratch *scratch = *state;
	char older[128], last[32];
	make_older(scratch, older, last);
	size_t size = 0, old_size = 0;
	uint8_t *old = scratch_read(older, "meta.db", &old_size);
	uint8_t *now = scratch_read(scratch->vault, "meta.db", &size);
	memcpy(now + 2 * 4096, old + 2 * 4096, 4096);
	scratch_write(scratch->vault, "meta.db", now, size);
	free(now);
	free(old);
	assert_int_equal(judge(scratch), FOUND_BY_FSCK); /* the pack has the right one */
	/* A byte of the list; then of the head. */
	damage(scratch, last, 512 + 60);
	refused(scratch, "older ones were put back");
	damage(scratch, last, 60);
	refused(scratch, "older ones were put back");
	/* One anchor less still says which root is right. */
	assert_rc(vault_io_unlink(scratch->io, "meta/anchor-2"));
	refused(scratch, "older ones were put back");
}

static void without_both_anchors_nothing_is_taken_for_the_newest(void **state) {
	struct scratch *scratch = *state;
	assert_rc(vault_io_unlink(scratch->io, "meta/anchor-1"));
	damage(scratch, "meta/anchor-2", 77);
	refused(scratch, "nothing says which state is the newest");
	assert_rc(vault_io_unlink(scratch->io, "meta/anchor-2"));
	refused(scratch, "nothing says which state is the newest");
}

static void older_anchors_are_refused_and_one_of_them_is_told(void **state) {
	struct scratch *scratch = *state;
	char older[128], last[32], now[128];
	make_older(scratch, older, last);
	copy(scratch, "now", now);
	put_back(scratch, older, "meta/anchor-1");
	assert_int_equal(judge(scratch), FOUND_BY_FSCK);
	put_back(scratch, older, "meta/anchor-2");
	refused(scratch, "is newer than the anchors");
	/* Nor do they swap places. */
	put_back(scratch, now, "meta/anchor-2");
	assert_rc(vault_io_rename(scratch->io, "meta/anchor-2", "meta/anchor-1"));
	refused(scratch, "nothing says which state is the newest");
}

static void a_newer_pack_of_another_history_is_refused(void **state) {
	struct scratch *scratch = *state;
	char older[128], last[32], now[128];
	make_older(scratch, older, last);
	copy(scratch, "now", now);
	/* The whole older vault put back, and by mistake not the packs. */
	for (size_t i = 3; i < REDUNDANT; i++)
		put_back(scratch, older, redundant[i]);
	put_back(scratch, older, "meta.db");
	refused(scratch, "is newer than the anchors");
}

static void a_newest_pack_of_another_history_is_told_and_not_believed(void **state) {
	struct scratch *scratch = *state;
	char fork[128], last[32];
	VaultIo *forked = NULL;
	MetaDb *db = metadb_test_open(scratch->io);
	assert_rc(metadb_close(db));
	copy(scratch, "fork", fork);
	assert_rc(vault_io_open(fork, &forked));
	db = metadb_test_open(forked);
	metadb_test_sql(db, "DELETE FROM t WHERE n > 5");
	assert_rc(metadb_close(db));
	vault_io_close(forked);
	db = metadb_test_open(scratch->io);
	metadb_test_insert(db, ROWS + 1, ROWS + 1);
	assert_rc(metadb_checkpoint(db));
	(void)snprintf(last, sizeof last, "meta/%llu", (unsigned long long)metadb_last_pack(db));
	assert_rc(metadb_close(db));
	put_back(scratch, fork, last);
	assert_int_equal(metadb_test_judge(scratch->io, ROWS + 1), FOUND_BY_FSCK);
}

/* ---- the log ---- */

static void a_log_that_was_removed_or_emptied_is_refused(void **state) {
	struct scratch *scratch = *state;
	size_t size = 0;
	uint8_t *log = scratch_read(scratch->vault, WAL_NAME, &size);
	assert_rc(vault_io_unlink(scratch->io, WAL_NAME));
	refused(scratch, "is gone or was emptied");
	for (size_t left = 0; left <= WAL_HEADER_BYTES; left += 512) {
		scratch_write(scratch->vault, WAL_NAME, log, left);
		MetaDb *db = NULL;
		assert_int_equal(metadb_open(scratch->io, meta_key_one(), metadb_test_id, 0, &db), -EBADMSG);
	}
	assert_rc(vault_io_unlink(scratch->io, "meta/anchor-1"));
	scratch_write(scratch->vault, WAL_NAME, "", 0);
	refused(scratch, "is gone or was emptied");
	scratch_write(scratch->vault, WAL_NAME, log, size);
	free(log);
	assert_int_equal(judge(scratch), FOUND_BY_FSCK);
}

/* Nothing but the anchors tells of a log that began after a checkpoint in the middle of a mount. */
static void a_log_removed_after_a_checkpoint_is_refused(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = metadb_test_open(scratch->io);
	assert_rc(metadb_checkpoint(db));
	metadb_test_insert(db, ROWS + 1, ROWS + 1);
	metadb_abandon(db); /* not even synced */
	assert_int_equal(metadb_test_judge(scratch->io, ROWS + 1), UNNOTICED);
	assert_rc(vault_io_unlink(scratch->io, WAL_NAME));
	refused(scratch, "is gone or was emptied");
}

static void an_older_copy_of_the_same_log_is_refused(void **state) {
	struct scratch *scratch = *state;
	char older[128];
	copy(scratch, "older", older);
	MetaDb *db = metadb_test_open(scratch->io);
	metadb_test_insert(db, ROWS + 1, ROWS + 1);
	assert_rc(metadb_sync(db));
	metadb_test_insert(db, ROWS + 2, ROWS + 2);
	assert_rc(metadb_sync(db));
	metadb_abandon(db);
	put_back(scratch, older, WAL_NAME);
	refused(scratch, "older copy of it was put back");
	/* The other anchor is one sync behind, and still ahead of that copy. */
	assert_rc(vault_io_unlink(scratch->io, "meta/anchor-2"));
	refused(scratch, "older copy of it was put back");
}

static void a_log_put_back_into_a_vault_at_rest_is_refused(void **state) {
	struct scratch *scratch = *state;
	char older[128];
	copy(scratch, "older", older);
	MetaDb *db = metadb_test_open(scratch->io);
	assert_rc(metadb_close(db));
	db = metadb_test_open(scratch->io);
	metadb_test_insert(db, ROWS + 1, ROWS + 1);
	assert_rc(metadb_close(db));
	put_back(scratch, older, WAL_NAME);
	MetaDb *opened = NULL;
	assert_int_equal(metadb_open(scratch->io, meta_key_one(), metadb_test_id, 0, &opened), -EBADMSG);
}

/* Both began after the same pack, and the right one has nothing yet that is known to be durable. */
static void a_log_of_another_history_is_refused(void **state) {
	struct scratch *scratch = *state;
	char fork[128];
	VaultIo *forked = NULL;
	MetaDb *db = metadb_test_open(scratch->io);
	assert_rc(metadb_close(db));
	copy(scratch, "fork", fork);
	assert_rc(vault_io_open(fork, &forked));
	VaultIo *const sides[] = {forked, scratch->io};
	for (size_t i = 0; i < 2; i++) {
		db = metadb_test_open(sides[i]);
		metadb_test_insert(db, ROWS + 1, ROWS + 1);
		metadb_abandon(db);
	}
	vault_io_close(forked);
	put_back(scratch, fork, WAL_NAME);
	refused(scratch, "is another log than the one that was open");
}

/* ---- repair ---- */

static void damaged_pages_are_mended_from_the_packs(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = metadb_test_open(scratch->io);
	assert_rc(metadb_close(db));
	size_t size = 0, mended = 0;
	uint8_t *data = scratch_read(scratch->vault, "meta.db", &size);
	for (size_t at = 17; at < size; at += 4096)
		data[at] ^= 1;
	scratch_write(scratch->vault, "meta.db", data, size - 5);
	free(data);
	assert_int_equal(judge(scratch), FOUND_BY_FSCK);
	db = metadb_test_open(scratch->io);
	assert_rc(metadb_repair(db, metadb_test_count, &mended));
	assert_int_equal(mended, size / 4096);
	metadb_abandon(db);
	assert_int_equal(judge(scratch), UNNOTICED);
}

static void what_was_added_is_cut_off_and_strays_go(void **state) {
	struct scratch *scratch = *state;
	size_t size = 0, mended = 0;
	uint8_t *data = scratch_read(scratch->vault, "meta.db", &size);
	data = realloc(data, size + 5000);
	assert_non_null(data);
	memset(data + size, 1, 5000);
	scratch_write(scratch->vault, "meta.db", data, size + 5000);
	free(data);
	scratch_write(scratch->vault, "meta/77", "x", 1);
	assert_int_equal(judge(scratch), FOUND_BY_FSCK);
	MetaDb *db = metadb_test_open(scratch->io);
	assert_rc(metadb_repair(db, metadb_test_count, &mended));
	assert_int_equal(mended, 2);
	metadb_abandon(db);
	assert_int_equal(judge(scratch), UNNOTICED);
}

static void a_page_that_no_pack_has_stays_as_it_is(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = metadb_test_open(scratch->io);
	assert_rc(metadb_close(db));
	size_t size = 0, mended = 0;
	/* Page 3 is lost where it stands, and in every pack that has it. */
	uint8_t *data = scratch_read(scratch->vault, "meta.db", &size);
	uint8_t tag[16];
	memcpy(tag, data + 3 * 4096 - 16, sizeof tag);
	free(data);
	damage(scratch, "meta.db", 2 * 4096 + 9);
	for (int pack = 1; pack <= 4; pack++) {
		char name[32];
		(void)snprintf(name, sizeof name, "meta/%d", pack);
		data = scratch_read(scratch->vault, name, &size);
		for (size_t at = size % 4096; at < size; at += 4096)
			if (memcmp(data + at + 4096 - 16, tag, sizeof tag) == 0)
				data[at + 9] ^= 1;
		scratch_write(scratch->vault, name, data, size);
		free(data);
	}
	assert_int_equal(metadb_test_judge(scratch->io, ROWS), FOUND_READING);
	db = metadb_test_open(scratch->io);
	assert_rc(metadb_repair(db, metadb_test_count, &mended));
	assert_int_equal(mended, 0);
	metadb_abandon(db);
	assert_int_equal(metadb_test_judge(scratch->io, ROWS), FOUND_READING);
}

static void a_lost_database_file_is_rebuilt_with_its_log(void **state) {
	struct scratch *scratch = *state;
	assert_rc(vault_io_unlink(scratch->io, "meta.db"));
	MetaDb *db = NULL;
	assert_int_equal(metadb_open(scratch->io, meta_key_one(), metadb_test_id, 0, &db), -EBADMSG);
	assert_rc(metadb_rebuild(scratch->io, meta_key_one(), metadb_test_id));
	assert_int_equal(judge(scratch), UNNOTICED);
	/* One anchor and the page bytes of one pack less, it goes as well. */
	assert_rc(vault_io_unlink(scratch->io, "meta.db"));
	assert_rc(vault_io_unlink(scratch->io, "meta/anchor-1"));
	assert_rc(metadb_rebuild(scratch->io, meta_key_one(), metadb_test_id));
	assert_int_equal(judge(scratch), FOUND_BY_FSCK);
}

int main(void) {
#define ON_VAULT(test) cmocka_unit_test_setup_teardown(test, metadb_test_setup, scratch_teardown)
	const struct CMUnitTest tests[] = {
	        ON_VAULT(a_bad_byte_in_a_pack_or_an_anchor_keeps_nothing_from_being_read),
	        ON_VAULT(a_pack_or_an_anchor_may_be_gone_cut_or_zeroed),
	        ON_VAULT(all_packs_may_be_gone_while_the_database_is_whole),
	        ON_VAULT(a_stray_file_that_looks_like_a_pack_is_told_and_does_no_harm),
	        ON_VAULT(a_database_file_that_was_cut_is_read_from_the_packs),
	        ON_VAULT(damaged_packs_stay_until_a_base_replaces_them),
	        ON_VAULT(going_on_mends_packs_and_anchors),
	        ON_VAULT(an_older_database_with_the_newest_pack_removed_is_refused),
	        ON_VAULT(an_older_page_with_its_pack_damaged_is_refused),
	        ON_VAULT(without_both_anchors_nothing_is_taken_for_the_newest),
	        ON_VAULT(older_anchors_are_refused_and_one_of_them_is_told),
	        ON_VAULT(a_newer_pack_of_another_history_is_refused),
	        ON_VAULT(a_newest_pack_of_another_history_is_told_and_not_believed),
	        ON_VAULT(a_log_that_was_removed_or_emptied_is_refused),
	        ON_VAULT(a_log_removed_after_a_checkpoint_is_refused),
	        ON_VAULT(an_older_copy_of_the_same_log_is_refused),
	        ON_VAULT(a_log_put_back_into_a_vault_at_rest_is_refused),
	        ON_VAULT(a_log_of_another_history_is_refused),
	        ON_VAULT(damaged_pages_are_mended_from_the_packs),
	        ON_VAULT(what_was_added_is_cut_off_and_strays_go),
	        ON_VAULT(a_page_that_no_pack_has_stays_as_it_is),
	        ON_VAULT(a_lost_database_file_is_rebuilt_with_its_log),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
