#include "backend/metadb.h"
#include "backend/reserve.h"
#include "tests/backend/meta_key.h"
#include "tests/backend/recorder_fixture.h"

#include <stdio.h>

#define BALLAST (UINT64_C(1) << 20)

static void operations_are_refused_before_the_ballast_is_touched(void **state) {
	struct recorder_fixture *fixture = *state;
	Reserve *reserve = NULL;
	recorder_set_capacity(fixture->recorder, BALLAST + 10000);
	assert_rc(reserve_open(fixture->io, BALLAST, &reserve));
	assert_int_equal(reserve_held(reserve), BALLAST);
	assert_rc(reserve_check(reserve, 4000));
	assert_int_equal(reserve_check(reserve, 10001), -ENOSPC);
	assert_non_null(strstr(fault_message(), "make room"));
	assert_int_equal(reserve_held(reserve), BALLAST);
	reserve_abandon(reserve);
}

static void promises_between_two_looks_at_the_disk_add_up(void **state) {
	struct recorder_fixture *fixture = *state;
	Reserve *reserve = NULL;
	recorder_set_capacity(fixture->recorder, BALLAST + 10000);
	assert_rc(reserve_open(fixture->io, BALLAST, &reserve));
	int granted = 0;
	/* Nobody writes, so each new look grants again; within one look no more than there is. Each of 10,000 calls
	 * would have to take longer than a look is good for to let this pass wrongly. */
	while (granted < 10000 && reserve_check(reserve, 6000) == 0)
		granted++;
	assert_true(granted >= 1 && granted < 10000);
	reserve_abandon(reserve);
}

static void a_write_on_a_full_disk_takes_from_the_ballast_step_by_step(void **state) {
	struct recorder_fixture *fixture = *state;
	Reserve *reserve = NULL;
	VaultFile *file = NULL;
	recorder_set_capacity(fixture->recorder, BALLAST + 1000);
	assert_rc(reserve_open(fixture->io, BALLAST, &reserve));
	assert_rc(vault_file_open(fixture->io, "f", VAULT_FILE_WRITE | VAULT_FILE_CREATE, &file));
	uint8_t data[4096] = {1};
	assert_rc(reserve_write_at(reserve, file, 0, bytes_of(data, sizeof data)));
	uint64_t left = reserve_held(reserve);
	assert_true(left < BALLAST && left > BALLAST / 2);
	assert_int_equal(reserve_check(reserve, 1), -ENOSPC);
	/* And to the end of it. */
	uint64_t at = 0;
	while (reserve_write_at(reserve, file, at, bytes_of(data, sizeof data)) == 0)
		at += sizeof data;
	assert_int_equal(reserve_held(reserve), 0);
	assert_true(at > BALLAST - 16 * sizeof data);
	/* Room again: it fills up and operations go on. */
	assert_int_equal(reserve_refill(reserve), -ENOSPC);
	assert_rc(vault_file_truncate(file, 0));
	assert_rc(reserve_refill(reserve));
	assert_int_equal(reserve_held(reserve), BALLAST);
	assert_rc(reserve_check(reserve, 500));
	vault_file_close(file);
	reserve_abandon(reserve);
}

static void what_was_given_comes_back_as_soon_as_there_is_room(void **state) {
	struct recorder_fixture *fixture = *state;
	Reserve *reserve = NULL;
	recorder_set_capacity(fixture->recorder, BALLAST + 1000);
	assert_rc(reserve_open(fixture->io, BALLAST, &reserve));
	assert_rc(reserve_give(reserve));
	assert_int_equal(reserve_check(reserve, 1), -ENOSPC);
	/* Not what whoever it was given for is about to use. */
	recorder_set_capacity(fixture->recorder, 2 * BALLAST - 1000);
	assert_int_equal(reserve_check(reserve, 1), -ENOSPC);
	assert_true(reserve_held(reserve) < BALLAST);
	recorder_set_capacity(fixture->recorder, 3 * BALLAST);
	assert_rc(reserve_check(reserve, 1));
	assert_int_equal(reserve_held(reserve), BALLAST);
	reserve_abandon(reserve);
}

static void what_the_ballast_lacks_is_no_room(void **state) {
	struct recorder_fixture *fixture = *state;
	Reserve *reserve = NULL;
	uint64_t room = 0;
	recorder_set_capacity(fixture->recorder, BALLAST + 1000);
	assert_rc(reserve_open(fixture->io, BALLAST, &reserve));
	assert_rc(reserve_room(reserve, &room));
	assert_int_equal(room, 1000);
	assert_rc(reserve_give(reserve));
	assert_rc(reserve_room(reserve, &room));
	assert_int_equal(room, 1000);
	recorder_set_capacity(fixture->recorder, BALLAST - 1000);
	assert_rc(reserve_room(reserve, &room));
	assert_int_equal(room, 0);
	reserve_abandon(reserve);
}

static void without_a_reserve_a_full_disk_is_just_full(void **state) {
	struct recorder_fixture *fixture = *state;
	VaultFile *file = NULL;
	recorder_set_capacity(fixture->recorder, 100);
	assert_rc(vault_file_open(fixture->io, "f", VAULT_FILE_WRITE | VAULT_FILE_CREATE, &file));
	assert_int_equal(reserve_write_at(NULL, file, 0, bytes_of(&(uint8_t[200]){0}, 200)), -ENOSPC);
	assert_int_equal(reserve_replace(NULL, fixture->io, "g", bytes_of(&(uint8_t[200]){0}, 200)), -ENOSPC);
	vault_file_close(file);
}

static void a_full_disk_opens_with_what_there_is_and_refuses_operations(void **state) {
	struct recorder_fixture *fixture = *state;
	Reserve *reserve = NULL;
	recorder_set_capacity(fixture->recorder, BALLAST / 2);
	assert_rc(reserve_open(fixture->io, BALLAST, &reserve));
	assert_true(reserve_held(reserve) > 0 && reserve_held(reserve) <= BALLAST / 2);
	assert_int_equal(reserve_check(reserve, 0), -ENOSPC);
	recorder_set_capacity(fixture->recorder, BALLAST * 2);
	assert_rc(reserve_refill(reserve));
	assert_rc(reserve_check(reserve, 1));
	reserve_abandon(reserve);
}

static void a_clean_end_removes_the_ballast_and_a_crash_leaves_it(void **state) {
	struct recorder_fixture *fixture = *state;
	Reserve *reserve = NULL;
	uint64_t size = 0;
	assert_rc(reserve_verify(fixture->io));
	assert_rc(reserve_open(fixture->io, BALLAST, &reserve));
	reserve_abandon(reserve);
	assert_rc(vault_io_stat_size(fixture->io, RESERVE_NAME, &size));
	assert_int_equal(size, BALLAST);
	assert_rc(reserve_verify(fixture->io));
	assert_rc(reserve_open(fixture->io, BALLAST, &reserve));
	assert_rc(reserve_close(reserve));
	assert_int_equal(vault_io_stat_size(fixture->io, RESERVE_NAME, &size), -ENOENT);
}

static void a_byte_hidden_in_the_ballast_is_found(void **state) {
	struct recorder_fixture *fixture = *state;
	Reserve *reserve = NULL;
	VaultFile *file = NULL;
	assert_rc(reserve_open(fixture->io, BALLAST, &reserve));
	reserve_abandon(reserve);
	assert_rc(vault_file_open(fixture->io, RESERVE_NAME, VAULT_FILE_WRITE, &file));
	assert_rc(vault_file_write_at(file, 700001, bytes_of_string("x")));
	vault_file_close(file);
	assert_int_equal(reserve_verify(fixture->io), -EBADMSG);
	assert_non_null(strstr(fault_message(), "700001"));
}

static const uint8_t vault_id[16] = {1};

static int64_t count_rows(MetaDb *db) {
	sqlite3_stmt *statement = NULL;
	assert_int_equal(
	        sqlite3_prepare_v2(metadb_handle(db), "SELECT count(*) FROM t", -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	int64_t rows = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	return rows;
}

static int insert(MetaDb *db) {
	int code = sqlite3_exec(metadb_handle(db), "INSERT INTO t VALUES(randomblob(3000))", NULL, NULL, NULL);
	return metadb_fault(db, code, "inserting");
}

/*
 * Others fill the disk behind our back while operations are pending: commits, checkpoint and pack all go through on the
 * ballast, nothing acknowledged is lost, and with room again all is as before.
 */
static void pending_commits_and_their_checkpoint_fit_in_the_ballast(void **state) {
	struct recorder_fixture *fixture = *state;
	MetaDb *db = NULL;
	Reserve *reserve = NULL;
	const uint64_t wal = 60 * 4168;
	assert_rc(metadb_create(fixture->io, meta_key_one(), vault_id));
	assert_rc(metadb_open(fixture->io, meta_key_one(), vault_id, 0, &db));
	assert_rc(metadb_fault(db, sqlite3_exec(metadb_handle(db), "CREATE TABLE t(b)", NULL, NULL, NULL), "creating"));
	assert_rc(reserve_open(fixture->io, reserve_bytes_for_wal(wal), &reserve));
	metadb_set_reserve(db, reserve);
	recorder_set_capacity(fixture->recorder, recorder_used(fixture->recorder));
	int rows = 0;
	for (; metadb_wal_bytes(db) < wal; rows++)
		assert_rc(insert(db));
	assert_rc(metadb_sync(db));
	assert_true(reserve_held(reserve) < reserve_bytes_for_wal(wal));
	assert_rc(metadb_checkpoint(db));
	assert_int_equal(metadb_wal_bytes(db), 0);
	assert_rc(metadb_failed(db));
	assert_int_equal(count_rows(db), rows);
	recorder_set_capacity(fixture->recorder, UINT64_MAX);
	assert_rc(reserve_refill(reserve));
	assert_rc(insert(db));
	assert_rc(metadb_close(db));
	assert_rc(reserve_close(reserve));
	assert_rc(metadb_open(fixture->io, meta_key_one(), vault_id, 0, &db));
	assert_int_equal(count_rows(db), rows + 1);
	assert_rc(metadb_close(db));
}

/* Without any ballast a checkpoint that finds no room changes nothing, and works when there is room again. */
static void a_checkpoint_without_room_can_be_tried_again(void **state) {
	struct recorder_fixture *fixture = *state;
	MetaDb *db = NULL;
	assert_rc(metadb_create(fixture->io, meta_key_one(), vault_id));
	assert_rc(metadb_open(fixture->io, meta_key_one(), vault_id, 0, &db));
	assert_rc(metadb_fault(db, sqlite3_exec(metadb_handle(db), "CREATE TABLE t(b)", NULL, NULL, NULL), "creating"));
	for (int i = 0; i < 20; i++)
		assert_rc(insert(db));
	assert_rc(metadb_sync(db));
	uint64_t used = recorder_used(fixture->recorder);
	/* No room for pages, then for pages and no pack. */
	const uint64_t rooms[] = {0, 8192, 70000, 100000};
	for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
		recorder_set_capacity(fixture->recorder, used + rooms[i]);
		assert_int_equal(metadb_checkpoint(db), -ENOSPC);
		assert_rc(metadb_failed(db));
		assert_int_equal(count_rows(db), 20);
	}
	recorder_set_capacity(fixture->recorder, UINT64_MAX);
	assert_rc(insert(db));
	assert_rc(metadb_checkpoint(db));
	assert_rc(metadb_close(db));
	assert_rc(metadb_open(fixture->io, meta_key_one(), vault_id, 0, &db));
	assert_int_equal(count_rows(db), 21);
	assert_rc(metadb_close(db));
}

int main(void) {
#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, recorder_fixture_setup, recorder_fixture_teardown)
	const struct CMUnitTest tests[] = {
	        ON_DISK(operations_are_refused_before_the_ballast_is_touched),
	        ON_DISK(promises_between_two_looks_at_the_disk_add_up),
	        ON_DISK(a_write_on_a_full_disk_takes_from_the_ballast_step_by_step),
	        ON_DISK(what_was_given_comes_back_as_soon_as_there_is_room),
	        ON_DISK(what_the_ballast_lacks_is_no_room),
	        ON_DISK(without_a_reserve_a_full_disk_is_just_full),
	        ON_DISK(a_full_disk_opens_with_what_there_is_and_refuses_operations),
	        ON_DISK(a_clean_end_removes_the_ballast_and_a_crash_leaves_it),
	        ON_DISK(a_byte_hidden_in_the_ballast_is_found),
	        ON_DISK(pending_commits_and_their_checkpoint_fit_in_the_ballast),
	        ON_DISK(a_checkpoint_without_room_can_be_tried_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
