/*
 * Power loss under the metadata database: a run of commits, syncs and checkpoints is recorded, and every crash state of
 * it (recorder.h) must open by itself, hold all rows that a metadb_sync acknowledged, and no half of a transaction.
 */
#include "backend/metadb.h"
#include "tests/backend/meta_key.h"
#include "tests/backend/recorder.h"
#include "tests/backend/scratch.h"

#include <stdio.h>

static const uint8_t vault_id[16] = {1};

/* All that a state may be sealed under: as vault.json has it, which comes first. */
static const Keyring *keyring;

/* States to look at; ASSAYFS_CRASH_STATES asks for more, ASSAYFS_SEED for others. */
static size_t state_limit(size_t otherwise) {
	const char *asked = getenv("ASSAYFS_CRASH_STATES");
	return asked ? strtoul(asked, NULL, 10) : otherwise;
}

static uint64_t seed(void) {
	const char *asked = getenv("ASSAYFS_SEED");
	uint64_t value = asked ? strtoull(asked, NULL, 10) : 20261123;
	print_message("seed %llu\n", (unsigned long long)value);
	return value;
}

struct run {
	struct scratch *scratch;
	Recorder *recorder;
	VaultIo *io;
	MetaDb *db;
	uint64_t transaction;
	char other[64]; /* a second directory, with its recorder; "" and NULL if there is none */
	Recorder *other_recorder;
};

static int setup(void **state) {
	struct run *run = calloc(1, sizeof *run);
	void *scratch = NULL;
	if (!run || scratch_setup(&scratch) != 0)
		return -1;
	run->scratch = scratch;
	assert_rc(metadb_create(run->scratch->io, meta_key_one(), vault_id));
	assert_rc(metadb_open(run->scratch->io, meta_key_one(), vault_id, 0, &run->db));
	char *words = NULL;
	int code = sqlite3_exec(metadb_handle(run->db),
	        "CREATE TABLE t(tx INTEGER, part INTEGER, body BLOB, PRIMARY KEY(tx, part)) WITHOUT ROWID", NULL, NULL,
	        &words);
	if (code != SQLITE_OK)
		fail_msg("%s", words);
	assert_rc(metadb_close(run->db));
	run->db = NULL;
	assert_rc(recorder_open(run->scratch->vault, &run->recorder));
	assert_rc(recorder_io(run->recorder, &run->io));
	*state = run;
	return 0;
}

static int teardown(void **state) {
	struct run *run = *state;
	void *scratch = run->scratch;
	metadb_abandon(run->db);
	vault_io_close(run->io);
	recorder_close(run->recorder);
	recorder_close(run->other_recorder);
	if (run->other[0])
		scratch_remove(run->other);
	free(run);
	return scratch_teardown(&scratch);
}

static void open_run(struct run *run) {
	assert_rc(metadb_open(run->io, meta_key_one(), vault_id, 0, &run->db));
}

/* Transaction n has three rows and changes a row of the one before, so that a half of it is seen. */
static void commit_one(struct run *run) {
	uint64_t n = ++run->transaction;
	char sql[512];
	(void)snprintf(sql, sizeof sql,
	        "BEGIN; INSERT INTO t VALUES(%llu, 1, randomblob(%llu)); INSERT INTO t VALUES(%llu, 2, "
	        "randomblob(1500));"
	        "UPDATE t SET body=randomblob(700) WHERE tx=%llu AND part=1; INSERT INTO t VALUES(%llu, 3, 'end'); "
	        "COMMIT",
	        (unsigned long long)n, (unsigned long long)(n % 5 * 900), (unsigned long long)n,
	        (unsigned long long)n - 1, (unsigned long long)n);
	int code = sqlite3_exec(metadb_handle(run->db), sql, NULL, NULL, NULL);
	assert_rc(metadb_fault(run->db, code, "commit"));
}

static void commit_and_sync(struct run *run) {
	commit_one(run);
	assert_rc(metadb_sync(run->db));
	recorder_mark(run->recorder, run->transaction);
}

static void checkpoint(struct run *run) {
	assert_rc(metadb_checkpoint(run->db));
	recorder_mark(run->recorder, run->transaction);
}

static int64_t ask(MetaDb *db, const char *sql) {
	sqlite3_stmt *statement = NULL;
	if (sqlite3_prepare_v2(metadb_handle(db), sql, -1, &statement, NULL) != SQLITE_OK ||
	        sqlite3_step(statement) != SQLITE_ROW) {
		print_message("%s: %s\n", sql, sqlite3_errmsg(metadb_handle(db)));
		(void)sqlite3_finalize(statement);
		return -1;
	}
	int64_t value = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	return value;
}

static int complain(void *user, const char *file, int64_t place, const char *words) {
	(void)user;
	print_message("%s at %lld: %s\n", file, (long long)place, words);
	return -EBADMSG;
}

static int judge_rows(MetaDb *db, uint64_t acknowledged) {
	int64_t transactions = ask(db, "SELECT coalesce(max(tx), 0) FROM t");
	int64_t rows = ask(db, "SELECT count(*) FROM t");
	if (transactions < (int64_t)acknowledged || rows != transactions * 3) {
		print_message("%lld transactions in %lld rows, %llu acknowledged\n", (long long)transactions,
		        (long long)rows, (unsigned long long)acknowledged);
		return 1;
	}
	sqlite3_stmt *statement = NULL;
	(void)sqlite3_prepare_v2(metadb_handle(db), "PRAGMA integrity_check", -1, &statement, NULL);
	bool good = sqlite3_step(statement) == SQLITE_ROW &&
	            strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0;
	(void)sqlite3_finalize(statement);
	return good ? 0 : 1;
}

/* What was read around would be told to people as damage. */
static void hear(void *arg, const char *words) {
	print_message("notice: %s\n", words);
	++*(int *)arg;
}

static uint32_t newest(void) {
	struct key_info info = {0};
	for (size_t i = 0; keyring_info(keyring, i, &info) == 0; i++)
		;
	return info.version;
}

/* To the end, as --rewrap does it. */
static int seal_anew(MetaDb *db) {
	uint32_t next = 0;
	int rc = 0;
	if (newest() == 1)
		return 0;
	metadb_reseal(db, newest(), 1);
	for (int i = 0; i < 9 && rc == 0 && metadb_resealing(db, &next) == METADB_RESEAL_GOES_ON; i++) {
		rc = sqlite3_exec(metadb_handle(db), "PRAGMA user_version=7; PRAGMA user_version=8", NULL, NULL, NULL);
		if (rc == 0)
			rc = metadb_checkpoint(db);
	}
	return rc == 0 && metadb_resealing(db, &next) == METADB_RESEAL_DONE ? 0 : -EIO;
}

/* After that the newest version alone opens all of it. */
static int judge_newest(VaultIo *io, uint64_t transactions) {
	MetaDb *db = NULL;
	Keyring *alone = meta_key_versions(newest(), newest());
	int rc = metadb_open(io, alone, vault_id, METADB_READ_ONLY, &db);
	if (rc == 0)
		rc = metadb_verify(db, complain, NULL);
	if (rc == 0)
		rc = judge_rows(db, transactions);
	metadb_abandon(db);
	keyring_free(alone);
	return rc;
}

/* Opens, judges, writes on, checkpoints, opens again: a recovery must be good to build on. */
static int judge_state(void *user, const char *directory, uint64_t acknowledged) {
	(void)user;
	_cleanup_(vault_io_closep) VaultIo *io = NULL;
	assert_rc(vault_io_open(directory, &io));
	MetaDb *db = NULL;
	int rc = metadb_open(io, keyring, vault_id, METADB_READ_ONLY, &db);
	if (rc == 0)
		rc = metadb_verify(db, complain, NULL);
	metadb_abandon(db);
	db = NULL;
	if (rc == 0)
		rc = metadb_open(io, keyring, vault_id, 0, &db);
	if (rc < 0) {
		print_message("opening: %s\n", fault_message());
		return rc;
	}
	int notices = 0;
	metadb_set_notice(db, hear, &notices);
	rc = judge_rows(db, acknowledged);
	rc = rc == 0 && notices > 0 ? -EBADMSG : rc;
	uint64_t present = (uint64_t)ask(db, "SELECT coalesce(max(tx), 0) FROM t");
	struct run on = {.db = db, .transaction = present};
	if (rc == 0) {
		commit_one(&on);
		rc = metadb_sync(db);
	}
	metadb_abandon(db);
	db = NULL;
	if (rc == 0)
		rc = metadb_open(io, keyring, vault_id, 0, &db);
	if (rc == 0)
		rc = judge_rows(db, present + 1);
	if (rc == 0)
		rc = metadb_checkpoint(db);
	if (rc == 0)
		rc = metadb_verify(db, complain, NULL);
	if (rc == 0)
		rc = seal_anew(db);
	if (rc == 0)
		rc = metadb_close(db);
	else
		metadb_abandon(db);
	if (rc == 0)
		rc = judge_newest(io, present + 1);
	if (rc != 0)
		print_message("after recovery: %s\n", fault_message());
	return rc;
}

static void replay(struct run *run, size_t limit) {
	size_t states = 0;
	int rc = recorder_each_crash_state(run->recorder, state_limit(limit), seed(), judge_state, NULL, &states);
	print_message("%zu crash states of %zu calls\n", states, recorder_count(run->recorder));
	assert_int_equal(rc, 0);
}

static void commits_with_and_without_a_sync_survive_as_acknowledged(void **state) {
	struct run *run = *state;
	open_run(run);
	for (int i = 0; i < 3; i++) {
		commit_and_sync(run);
		commit_one(run);
		commit_one(run);
	}
	commit_and_sync(run);
	replay(run, 700);
}

static void checkpoints_may_be_interrupted_anywhere(void **state) {
	struct run *run = *state;
	open_run(run);
	for (int i = 0; i < 3; i++) {
		commit_and_sync(run);
		commit_one(run);
		checkpoint(run);
	}
	commit_and_sync(run);
	replay(run, 800);
}

static void a_clean_close_and_a_remount_may_be_interrupted_anywhere(void **state) {
	struct run *run = *state;
	open_run(run);
	commit_and_sync(run);
	assert_rc(metadb_close(run->db));
	run->db = NULL;
	recorder_mark(run->recorder, run->transaction);
	open_run(run);
	commit_one(run);
	metadb_abandon(run->db);
	run->db = NULL;
	open_run(run);
	recorder_mark(run->recorder, run->transaction);
	commit_and_sync(run);
	assert_rc(metadb_close(run->db));
	run->db = NULL;
	recorder_mark(run->recorder, run->transaction);
	replay(run, 700);
}

/* Rows of 200 KiB make packs outgrow the database and the 4 MiB below which no base is due. */
static void a_base_pack_may_be_interrupted_anywhere(void **state) {
	struct run *run = *state;
	open_run(run);
	uint64_t first = metadb_last_pack(run->db);
	for (int i = 0; i < 12; i++) {
		commit_one(run);
		int code = sqlite3_exec(metadb_handle(run->db),
		        "CREATE TABLE IF NOT EXISTS big(b); DELETE FROM big; INSERT INTO big "
		        "VALUES(randomblob(600000))",
		        NULL, NULL, NULL);
		assert_rc(metadb_fault(run->db, code, "growing"));
		checkpoint(run);
	}
	assert_true(metadb_last_pack(run->db) == first + 12);
	/* The first one must be gone, or no base was written and this tests nothing. */
	char name[32];
	uint64_t size = 0;
	(void)snprintf(name, sizeof name, "meta/%llu", (unsigned long long)first);
	assert_int_equal(vault_io_stat_size(run->io, name, &size), -ENOENT);
	replay(run, 100);
}

static void take_keys(struct run *run, const Keyring *versions) {
	assert_rc(metadb_take_keys(run->db, versions));
}

/* A mark counts from the return of the checkpoint that ends a rotation, as the command does. */
static void rotations_and_sealing_anew_may_be_interrupted_anywhere(void **state) {
	struct run *run = *state;
	Keyring *versions[3] = {meta_key_versions(1, 2), meta_key_versions(1, 3), meta_key_versions(1, 4)};
	uint32_t next = 0;
	open_run(run);
	commit_and_sync(run);
	checkpoint(run);
	for (int i = 0; i < 3; i++) {
		commit_and_sync(run);
		take_keys(run, versions[i]);
		commit_one(run);
		checkpoint(run);
		commit_and_sync(run);
		if (i == 1)
			continue;
		metadb_reseal(run->db, (uint32_t)i + 2, 1);
		commit_one(run);
		checkpoint(run);
		commit_and_sync(run);
		checkpoint(run);
		assert_int_equal(metadb_resealing(run->db, &next), METADB_RESEAL_DONE);
		metadb_reseal(run->db, 0, 1);
	}
	commit_and_sync(run);
	keyring = versions[2];
	replay(run, 500);
	keyring = meta_key_one();
	for (int i = 0; i < 3; i++)
		keyring_free(versions[i]);
}

/* Creation is not there or whole; what an interrupted one left is replaced. */
static int judge_creation(void *user, const char *directory, uint64_t acknowledged) {
	(void)user;
	_cleanup_(vault_io_closep) VaultIo *io = NULL;
	assert_rc(vault_io_open(directory, &io));
	MetaDb *db = NULL;
	int rc = metadb_open(io, meta_key_one(), vault_id, 0, &db);
	if (rc == -ENOENT && acknowledged == 0) {
		rc = metadb_create(io, meta_key_one(), vault_id);
		if (rc == 0)
			rc = metadb_open(io, meta_key_one(), vault_id, 0, &db);
	}
	if (rc < 0) {
		print_message("%s\n", fault_message());
		return rc;
	}
	return metadb_close(db);
}

static void creation_may_be_interrupted_anywhere(void **state) {
	struct run *run = *state;
	VaultIo *io = NULL;
	scratch_directory(run->other);
	assert_rc(recorder_open(run->other, &run->other_recorder));
	assert_rc(recorder_io(run->other_recorder, &io));
	int rc = metadb_create(io, meta_key_one(), vault_id);
	vault_io_close(io);
	assert_rc(rc);
	recorder_mark(run->other_recorder, 1);
	size_t states = 0;
	rc = recorder_each_crash_state(run->other_recorder, state_limit(400), seed(), judge_creation, run, &states);
	print_message("%zu crash states\n", states);
	assert_int_equal(rc, 0);
}

int main(void) {
#define WITH_RUN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	keyring = meta_key_one();
	const struct CMUnitTest tests[] = {
	        WITH_RUN(commits_with_and_without_a_sync_survive_as_acknowledged),
	        WITH_RUN(checkpoints_may_be_interrupted_anywhere),
	        WITH_RUN(a_clean_close_and_a_remount_may_be_interrupted_anywhere),
	        WITH_RUN(a_base_pack_may_be_interrupted_anywhere),
	        WITH_RUN(rotations_and_sealing_anew_may_be_interrupted_anywhere),
	        WITH_RUN(creation_may_be_interrupted_anywhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
