/* Old records of the log: archived, shipped, pruned; and at any crash each of them is somewhere. */
#include "backend/audit_retain.h"

#include "backend/audit_archive.h"
#include "backend/fsck.h"
#include "backend/store_internal.h"
#include "tests/backend/chance.h"
#include "tests/backend/recorder.h"
#include "tests/backend/test_vault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVERYTHING INT64_MAX
#define STATES_DEFAULT 150

static const struct actor steward = {.uid = 5, .gid = 6, .pid = 7, .exe = "assayfs"};

static void record_many(Store *store, uint64_t count) {
	Meta *m = store_meta(store);
	for (uint64_t i = 0; i < count; i++) {
		char path[64];
		(void)snprintf(path, sizeof path, "Landing/%lu/f%lu", (unsigned long)(i % 7), (unsigned long)i);
		struct audit_event event = {
		        .event = "open", .path = path, .node = 1000 + i, .actor = {.uid = 7, .exe = "cp"}};
		meta_begin(m);
		assert_rc(meta_end(m, audit_record(m, &event, NULL)));
	}
	assert_rc(store_commit_wait(store));
}

static struct audit_archived archive(Store *store) {
	struct audit_archived archived;
	if (audit_retain_archive(store, EVERYTHING, &steward, &archived) != 1)
		fail_msg("nothing was archived: %s", fault_message());
	return archived;
}

static void ship(Store *store, const struct audit_archived *a) {
	assert_rc(audit_retain_shipped(store, a->first, a->sha256, "/srv/logs", &steward));
}

static void prune(Store *store) {
	struct audit_archived archived;
	if (audit_retain_prune(store, EVERYTHING, &steward, &archived) != 1)
		fail_msg("nothing was pruned: %s", fault_message());
}

static uint64_t size_of(Store *store) {
	meta_begin(store_meta(store));
	uint64_t size = audit_size(store_meta(store));
	(void)meta_end(store_meta(store), 0);
	return size;
}

static uint64_t pruned_of(Store *store) {
	meta_begin(store_meta(store));
	uint64_t pruned = audit_pruned(store_meta(store));
	(void)meta_end(store_meta(store), 0);
	return pruned;
}

static int verify(Store *store, uint64_t *ret_checked) {
	meta_begin(store_meta(store));
	return meta_end(store_meta(store), audit_verify(store_meta(store), 0, ret_checked));
}

static int take_one(void *arg, const struct audit_entry *entry) {
	uint64_t *seen = arg;
	seen[0] = seen[1] ? seen[0] : entry->seq;
	seen[1]++;
	return 0;
}

/* {the first record that the filter finds, how many} */
static void query(Store *store, const struct audit_filter *filter, uint64_t seen[static 2]) {
	seen[0] = seen[1] = 0;
	meta_begin(store_meta(store));
	assert_rc(meta_end(store_meta(store), audit_query(store_meta(store), filter, take_one, seen)));
}

static char *line_of(Store *store, uint64_t seq, char line[static AUDIT_LINE_MAX + 1]) {
	meta_begin(store_meta(store));
	assert_rc(meta_end(store_meta(store), audit_render(store_meta(store), seq, line, AUDIT_LINE_MAX + 1, NULL)));
	return line;
}

/* The last record is of that event, by the steward, and its detail has these words. */
static void expect_last(Store *store, const char *event, const char *words) {
	static char line[AUDIT_LINE_MAX + 1];
	char begin[64];
	line_of(store, size_of(store) - 1, line);
	(void)snprintf(begin, sizeof begin, "\"event\":\"%s\",\"outcome\":\"ok\",\"uid\":5,\"gid\":6,\"pid\":7", event);
	assert_non_null(strstr(line, begin));
	assert_non_null(strstr(line, words));
}

struct result {
	struct fsck_summary sum;
	char text[2048];
};

static int note(void *arg, const struct fsck_finding *finding) {
	struct result *r = arg;
	size_t used = strlen(r->text);
	(void)snprintf(r->text + used, sizeof r->text - used, "%s: %s\n", finding->file, finding->words);
	return 0;
}

/* Of the vault, which must not be open. */
static struct result fsck(const char *vault) {
	struct store_secret secret = {.bytes = bytes_of_string(TEST_PASSPHRASE)};
	struct result r = {0};
	assert_rc(fsck_run(vault, &secret, note, &r, &r.sum));
	return r;
}

/* Of the open vault: it is closed meanwhile. */
static struct result fsck_of(struct test_vault *v) {
	assert_rc(store_close(v->store));
	v->store = NULL;
	struct result r = fsck(v->vault);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	return r;
}

/* ---- one after another ---- */

static void whole_tiles_are_archived_and_stay_where_they_are(void **state) {
	struct test_vault *v = *state;
	struct audit_archived again;
	record_many(v->store, 1000);
	uint64_t size = size_of(v->store);
	struct audit_archived a = archive(v->store);
	assert_int_equal(a.first, 0);
	assert_int_equal(a.end, size / 256 * 256);
	assert_true(a.oldest < a.newest);
	assert_false(a.pruned);
	assert_int_equal(size_of(v->store), size + 1);
	expect_last(v->store, "log-archive", "records 0 to 767 (2");
	/* a tile is not full yet */
	assert_int_equal(audit_retain_archive(v->store, EVERYTHING, &steward, &again), 0);
	record_many(v->store, 300);
	again = archive(v->store);
	assert_int_equal(again.first, 768);
	assert_int_equal(again.end, 1280);
	assert_rc(verify(v->store, NULL));
	assert_string_equal(fsck_of(v).text, "");
}

static int same_line(void *arg, uint64_t seq, struct bytes line) {
	static char expected[AUDIT_LINE_MAX + 1];
	line_of(arg, seq, expected);
	assert_int_equal(strlen(expected), line.size);
	assert_memory_equal(expected, line.data, line.size);
	return 0;
}

static void an_archive_has_the_very_leaves(void **state) {
	struct test_vault *v = *state;
	struct audit_archive_head head;
	uint8_t *file = NULL;
	size_t size = 0;
	record_many(v->store, 3000);
	struct audit_archived a = archive(v->store);
	assert_rc(audit_retain_read(v->store, a.first, &file, &size));
	assert_int_equal(size, a.bytes);
	assert_rc(audit_archive_open(bytes_of(file, size), store_keyring(v->store), NULL, same_line, v->store, &head));
	assert_int_equal(head.end, a.end);
	assert_int_equal(head.newest, a.newest);
	free(file);
	assert_int_equal(audit_retain_read(v->store, 256, &file, &size), -ENOENT);
}

static void only_what_is_old_enough_is_archived_and_pruned(void **state) {
	struct test_vault *v = *state;
	struct audit_archived a;
	record_many(v->store, 600);
	int64_t then = meta_now(store_meta(v->store));
	record_many(v->store, 600);
	assert_int_equal(audit_retain_archive(v->store, 1, &steward, &a), 0);
	assert_int_equal(audit_retain_archive(v->store, then, &steward, &a), 1);
	assert_int_equal(a.end, 512);
	assert_true(a.newest < then);
	assert_int_equal(audit_retain_archive(v->store, then, &steward, &a), 0);
	ship(v->store, &a);
	assert_int_equal(audit_retain_prune(v->store, a.newest, &steward, &a), 0);
	assert_int_equal(audit_retain_prune(v->store, then, &steward, &a), 1);
	assert_int_equal(pruned_of(v->store), 512);
	assert_int_equal(audit_retain_prune(v->store, EVERYTHING, &steward, &a), 0);
}

static void nothing_is_pruned_that_was_not_shipped(void **state) {
	struct test_vault *v = *state;
	struct audit_archived got;
	record_many(v->store, 600);
	struct audit_archived a = archive(v->store);
	assert_int_equal(audit_retain_prune(v->store, EVERYTHING, &steward, &got), -ESTALE);
	uint8_t other[DIGEST_BYTES];
	memcpy(other, a.sha256, sizeof other);
	other[31] ^= 1;
	assert_int_equal(audit_retain_shipped(v->store, 0, other, "/srv/logs", &steward), -EBADMSG);
	assert_int_equal(audit_retain_shipped(v->store, 256, a.sha256, "/srv/logs", &steward), -ENOENT);
	char place[AUDIT_RETAIN_PLACE_MAX + 2];
	memset(place, 'x', sizeof place - 1);
	place[sizeof place - 1] = '\0';
	assert_int_equal(audit_retain_shipped(v->store, 0, a.sha256, place, &steward), -ENAMETOOLONG);
	assert_int_equal(audit_retain_prune(v->store, EVERYTHING, &steward, &got), -ESTALE);
	assert_int_equal(pruned_of(v->store), 0);
	ship(v->store, &a);
	expect_last(v->store, "log-ship", ", to /srv/logs\"");
	prune(v->store);
	expect_last(v->store, "log-prune", ", shipped to /srv/logs\"");
}

/* Proofs of what was pruned and of what was not, and earlier roots. */
static void the_tree_of_a_pruned_log_is_the_tree_of_the_log(void **state) {
	struct test_vault *v = *state;
	Meta *m = store_meta(v->store);
	merkle_hash before, after, root;
	static char line[AUDIT_LINE_MAX + 1];
	record_many(v->store, 1000);
	merkle_hash leaves[2];
	const uint64_t seqs[2] = {100, 900};
	for (size_t i = 0; i < 2; i++)
		merkle_leaf(bytes_of_string(line_of(v->store, seqs[i], line)), leaves[i]);
	struct audit_archived a = archive(v->store);
	meta_begin(m);
	assert_rc(audit_root_at(m, 700, before));
	assert_rc(meta_end(m, 0));
	ship(v->store, &a);
	prune(v->store);
	for (int round = 0; round < 2; round++) {
		uint64_t size, checked = 0;
		m = store_meta(v->store);
		meta_begin(m);
		assert_rc(audit_root_at(m, 700, after));
		assert_memory_equal(before, after, sizeof before);
		assert_rc(audit_root(m, &size, root));
		for (size_t i = 0; i < 2; i++) {
			struct merkle_proof proof;
			assert_rc(merkle_inclusion_prove(seqs[i], size, audit_fetch, m, &proof));
			assert_rc(merkle_inclusion_verify(seqs[i], size, leaves[i], &proof, root));
		}
		assert_int_equal(audit_render(m, 100, line, sizeof line, NULL), -ENOENT);
		assert_rc(meta_end(m, 0));
		assert_rc(verify(v->store, &checked));
		assert_int_equal(checked, size_of(v->store) - 768);
		record_many(v->store, 300);
		test_vault_reopen(v);
	}
	assert_string_equal(fsck_of(v).text, "");
}

static void queries_find_what_is_left(void **state) {
	struct test_vault *v = *state;
	uint64_t seen[2];
	record_many(v->store, 1000);
	uint64_t before = size_of(v->store) - 1000;
	struct audit_archived a = archive(v->store);
	ship(v->store, &a);
	prune(v->store);
	query(v->store, &(struct audit_filter){0}, seen);
	assert_int_equal(seen[0], 768);
	assert_int_equal(seen[1], size_of(v->store) - 768);
	query(v->store, &(struct audit_filter){.has_uid = true, .uid = 7}, seen);
	assert_int_equal(seen[0], 768);
	assert_int_equal(seen[1], before + 1000 - 768);
	query(v->store, &(struct audit_filter){.has_node = true, .node = 1000}, seen);
	assert_int_equal(seen[1], 0);
	query(v->store, &(struct audit_filter){.has_since = true, .since = a.newest}, seen);
	assert_int_equal(seen[0], 768);
	query(v->store, &(struct audit_filter){.has_until = true, .until = a.oldest + 1}, seen);
	assert_int_equal(seen[1], 0);
	query(v->store, &(struct audit_filter){.newest_first = true, .limit = 5}, seen);
	assert_int_equal(seen[0], size_of(v->store) - 1);
	/* nor has the index anything of it */
	sqlite3_stmt *stmt = NULL;
	meta_begin(v->store->meta);
	assert_int_equal(sqlite3_prepare_v2(metadb_handle(v->store->db),
	                         "SELECT (SELECT count(*) FROM audit_value WHERE tile < 3), (SELECT count(*) FROM "
	                         "audit_pack WHERE first < 768)",
	                         -1, &stmt, NULL),
	        SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(stmt, 0), 0);
	assert_int_equal(sqlite3_column_int(stmt, 1), 0);
	sqlite3_finalize(stmt);
	assert_rc(meta_end(v->store->meta, 0));
}

static int count_one(void *arg, const struct audit_archived *archived) {
	uint64_t *sum = arg;
	sum[0] += archived->end - archived->first;
	sum[1] += archived->pruned;
	sum[2] += archived->shipped_ns != 0 && strcmp(archived->place, "/srv/logs") == 0;
	sum[3]++;
	return 0;
}

static void archives_are_listed_with_what_became_of_them(void **state) {
	struct test_vault *v = *state;
	uint64_t sum[4] = {0};
	struct audit_archived list[3];
	for (size_t i = 0; i < 3; i++) {
		record_many(v->store, 300);
		list[i] = archive(v->store);
	}
	ship(v->store, &list[0]);
	ship(v->store, &list[1]);
	prune(v->store);
	test_vault_reopen(v);
	meta_begin(store_meta(v->store));
	assert_rc(meta_end(store_meta(v->store), audit_retain_list(store_meta(v->store), count_one, sum)));
	assert_int_equal(sum[0], list[2].end);
	assert_int_equal(sum[1], 1);
	assert_int_equal(sum[2], 2);
	assert_int_equal(sum[3], 3);
}

/* ---- what is wrong ---- */

static void archive_path(const struct test_vault *v, char path[static 160]) {
	(void)snprintf(path, 160, "%s/audit/0000000000000000", v->vault);
}

static void a_changed_or_missing_archive_is_found_and_nothing_pruned(void **state) {
	struct test_vault *v = *state;
	char path[160], aside[170], directory[100];
	struct audit_archived a, got;
	size_t size = 0;
	record_many(v->store, 600);
	a = archive(v->store);
	ship(v->store, &a);
	archive_path(v, path);
	(void)snprintf(directory, sizeof directory, "%s/audit", v->vault);
	(void)snprintf(aside, sizeof aside, "%s.aside", v->vault);
	uint8_t *file = scratch_read(directory, "0000000000000000", &size);
	file[size / 2] ^= 1;
	scratch_write(directory, "0000000000000000", file, size);
	assert_int_equal(audit_retain_prune(v->store, EVERYTHING, &steward, &got), -EBADMSG);
	assert_non_null(strstr(fsck_of(v).text, "audit/0000000000000000: audit/0000000000000000 is not the archive"));
	file[size / 2] ^= 1;
	scratch_write(directory, "0000000000000000", file, size);
	free(file);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(audit_retain_prune(v->store, EVERYTHING, &steward, &got), -ENOENT);
	assert_int_equal(pruned_of(v->store), 0);
	struct result r = fsck_of(v);
	assert_non_null(strstr(r.text, "is missing: records 0 to 511 of the log; a copy was shipped to /srv/logs"));
	assert_int_equal(rename(aside, path), 0);
	prune(v->store);
	assert_int_equal(rename(path, aside), 0);
	assert_non_null(
	        strstr(fsck_of(v).text, "which stand nowhere else in the vault; a copy was shipped to /srv/logs"));
	assert_int_equal(rename(aside, path), 0);
	assert_string_equal(fsck_of(v).text, "");
}

static void what_does_not_belong_to_the_archives_is_found(void **state) {
	struct test_vault *v = *state;
	char directory[100];
	record_many(v->store, 600);
	(void)archive(v->store);
	(void)snprintf(directory, sizeof directory, "%s/audit", v->vault);
	scratch_write(directory, "0000000000000100", "x", 1);
	scratch_write(directory, "notes", "x", 1);
	scratch_write(directory, "0000000000000200", "x", 1); /* as a crash would leave it */
	scratch_write(directory, "0000000000000200.tmp", "x", 1);
	struct result r = fsck_of(v);
	assert_int_equal(r.sum.findings, 2);
	assert_int_equal(r.sum.left_over, 2);
	assert_non_null(strstr(r.text, "audit/0000000000000100: the database knows no such archive"));
	assert_non_null(strstr(r.text, "audit/notes: the database knows no such archive"));
	record_many(v->store, 300);
	assert_int_equal(archive(v->store).first, 512); /* writes over it */
	assert_int_equal(fsck_of(v).sum.left_over, 0);
}

/* Exactly what is recorded as pruned may be missing. */
static void records_that_are_missing_besides_are_noticed(void **state) {
	static const char *const changes[] = {"DELETE FROM audit_pack WHERE first = 512",
	        "UPDATE kv SET value = x'0001000000000000' WHERE key = 'audit.pruned'",
	        "DELETE FROM kv WHERE key = 'audit.pruned'",
	        "UPDATE kv SET value = x'0100000000000000' WHERE key = 'audit.pruned'",
	        "UPDATE kv SET value = x'00' WHERE key = 'audit.pruned'"};
	struct test_vault *v = *state;
	record_many(v->store, 600);
	struct audit_archived a = archive(v->store);
	ship(v->store, &a);
	prune(v->store);
	record_many(v->store, 600);
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		Meta *m = v->store->meta;
		sqlite3 *db = metadb_handle(v->store->db);
		meta_begin(m);
		assert_rc(meta_commit(m, 0, NULL));
		meta_begin(m);
		assert_int_equal(
		        sqlite3_exec(db, "BEGIN; INSERT INTO kv VALUES ('meta.door', x'00')", NULL, NULL, NULL),
		        SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, changes[i], NULL, NULL, NULL), SQLITE_OK);
		Meta *other = NULL;
		assert_int_equal(meta_open_handle(db, NULL, &other), -EUCLEAN);
		assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
		assert_rc(meta_end(m, 0));
	}
	assert_rc(verify(v->store, NULL));
}

static void what_is_pruned_has_whole_sealed_tiles(void **state) {
	struct test_vault *v = *state;
	Meta *m = store_meta(v->store);
	struct merkle_frontier frontier;
	record_many(v->store, 600);
	meta_begin(m);
	assert_int_equal(audit_prune(m, 100), -EINVAL);
	assert_int_equal(audit_prune(m, 1024), -EINVAL);
	assert_int_equal(audit_frontier_at(m, 10000, &frontier), -EINVAL);
	assert_rc(audit_prune(m, 512));
	assert_int_equal(audit_prune(m, 256), -EINVAL);
	assert_int_equal(audit_pruned(m), 512);
	assert_int_equal(meta_end(m, -ECANCELED), -ECANCELED); /* undone with its operation */
	assert_int_equal(pruned_of(v->store), 0);
	uint64_t checked = 0;
	assert_rc(verify(v->store, &checked));
	assert_int_equal(checked, size_of(v->store));
	uint64_t seen[2];
	query(v->store, &(struct audit_filter){.has_node = true, .node = 1000}, seen);
	assert_int_equal(seen[1], 1);
}

/* ---- failing disks and power loss ---- */

struct run {
	struct test_vault v;
	Recorder *recorder;
	VaultIo *io;
	size_t shown, with_archive, with_pruned;
};

static int run_setup(void **state) {
	struct run *r = calloc(1, sizeof *r);
	assert_non_null(r);
	test_vault_make(&r->v);
	r->v.options = (struct store_options){.reserve_bytes = 1 << 20, .commit_ms = 3600 * 1000, .gc_by_hand = true};
	assert_rc(recorder_open(r->v.vault, &r->recorder));
	assert_rc(recorder_io(r->recorder, &r->io));
	r->v.options.io = r->io;
	assert_rc(test_vault_open(r->v.vault, &r->v.options, &r->v.store));
	*state = r;
	return 0;
}

static int run_teardown(void **state) {
	struct run *r = *state;
	store_abandon(r->v.store);
	vault_io_close(r->io);
	recorder_close(r->recorder);
	scratch_remove(r->v.path);
	free(r);
	return 0;
}

static void a_disk_that_fails_loses_no_record(void **state) {
	struct run *r = *state;
	record_many(r->v.store, 600);
	uint64_t size = size_of(r->v.store);
	for (size_t countdown = 1; countdown <= 4; countdown++) {
		struct audit_archived a;
		recorder_fail_after(r->recorder, countdown, EIO);
		assert_int_equal(audit_retain_archive(r->v.store, EVERYTHING, &steward, &a), -EIO);
		recorder_fail_after(r->recorder, 0, 0);
		assert_int_equal(size_of(r->v.store), size);
	}
	struct audit_archived a = archive(r->v.store);
	assert_int_equal(a.end, 512);
	ship(r->v.store, &a);
	prune(r->v.store);
	assert_rc(verify(r->v.store, NULL));
}

static int count_line(void *arg, uint64_t seq, struct bytes line) {
	uint64_t *count = arg;
	(void)line;
	return seq == (*count)++ ? 0
	                         : fault(EIO, "record %lu comes after %lu", (unsigned long)seq, (unsigned long)*count);
}

/* All records there are: those that are pruned in archives, the others in the database. */
static int expect_all(struct run *r, Store *store, uint64_t acknowledged) {
	uint64_t pruned = pruned_of(store), in_archives = 0, checked = 0;
	int rc = 0;
	while (rc == 0 && in_archives < pruned) {
		_cleanup_(freep) uint8_t *file = NULL;
		struct audit_archive_head head;
		size_t size;
		rc = audit_retain_read(store, in_archives, &file, &size);
		if (rc == 0)
			rc = audit_archive_open(
			        bytes_of(file, size), store_keyring(store), NULL, count_line, &in_archives, &head);
	}
	if (rc == 0)
		rc = verify(store, &checked);
	if (rc == 0 && (in_archives != pruned || pruned + checked != size_of(store)))
		rc = fault(EIO, "records are missing");
	if (rc == 0 && size_of(store) < acknowledged)
		rc = fault(EIO, "%lu records were acknowledged, %lu are there", (unsigned long)acknowledged,
		        (unsigned long)size_of(store));
	r->with_pruned += pruned > 0;
	return rc;
}

static int finding(void *arg, const struct fsck_finding *finding) {
	(void)arg;
	return fault(EBADMSG, "fsck: %s: %s", finding->file, finding->words);
}

static int judge(void *user, const char *directory, uint64_t acknowledged) {
	struct run *r = user;
	struct store_options options = r->v.options;
	struct store_secret secret = {.bytes = bytes_of_string(TEST_PASSPHRASE)};
	struct fsck_summary sum;
	struct audit_archived a;
	Store *store = NULL;
	options.io = NULL;
	int rc = r->shown++ % 4 == 0 ? fsck_run(directory, &secret, finding, NULL, &sum) : 0;
	if (rc == 0)
		rc = test_vault_open(directory, &options, &store);
	if (rc == 0)
		rc = expect_all(r, store, acknowledged);
	/* and it goes on from there */
	if (rc == 0) {
		record_many(store, 300);
		rc = audit_retain_archive(store, EVERYTHING, &steward, &a);
		r->with_archive += rc == 1 && a.first > 0;
		rc = rc == 1 ? expect_all(r, store, acknowledged) : fault(EIO, "nothing was archived");
	}
	store_abandon(store);
	if (rc < 0)
		print_error("%s\n", fault_message());
	return rc;
}

static void a_power_loss_at_any_moment_loses_no_record(void **state) {
	struct run *r = *state;
	size_t states = chance_count("ASSAYFS_CRASH_STATES", STATES_DEFAULT), shown = 0;
	uint64_t seed = chance_seed();
	for (int i = 0; i < 2; i++) {
		record_many(r->v.store, 300);
		recorder_mark(r->recorder, size_of(r->v.store));
		struct audit_archived a = archive(r->v.store);
		recorder_mark(r->recorder, size_of(r->v.store));
		ship(r->v.store, &a);
		prune(r->v.store);
		recorder_mark(r->recorder, size_of(r->v.store));
	}
	int rc = recorder_each_crash_state(r->recorder, states, seed, judge, r, &shown);
	printf("%zu crash states, %zu with archives, %zu with pruned records\n", shown, r->with_archive,
	        r->with_pruned);
	assert_int_equal(rc, 0);
	assert_true(r->with_archive > 0);
	assert_true(r->with_pruned > 0);
}

int main(void) {
#define IN_VAULT(test) cmocka_unit_test_setup_teardown(test, test_vault_setup, test_vault_teardown)
#define RECORDED(test) cmocka_unit_test_setup_teardown(test, run_setup, run_teardown)
	const struct CMUnitTest tests[] = {
	        IN_VAULT(whole_tiles_are_archived_and_stay_where_they_are),
	        IN_VAULT(an_archive_has_the_very_leaves),
	        IN_VAULT(only_what_is_old_enough_is_archived_and_pruned),
	        IN_VAULT(nothing_is_pruned_that_was_not_shipped),
	        IN_VAULT(the_tree_of_a_pruned_log_is_the_tree_of_the_log),
	        IN_VAULT(queries_find_what_is_left),
	        IN_VAULT(archives_are_listed_with_what_became_of_them),
	        IN_VAULT(a_changed_or_missing_archive_is_found_and_nothing_pruned),
	        IN_VAULT(what_does_not_belong_to_the_archives_is_found),
	        IN_VAULT(records_that_are_missing_besides_are_noticed),
	        IN_VAULT(what_is_pruned_has_whole_sealed_tiles),
	        RECORDED(a_disk_that_fails_loses_no_record),
	        RECORDED(a_power_loss_at_any_moment_loses_no_record),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
