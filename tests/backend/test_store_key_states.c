/* Keys that are disabled, enabled and deleted: exactly their data can't be read, wherever it is, and nothing else takes
 * that for damage. */
#include "backend/audit.h"
#include "backend/content_internal.h"
#include "backend/erase.h"
#include "backend/fsck.h"
#include "backend/record.h"
#include "backend/store_internal.h"
#include "backend/store_keys.h"
#include "tests/backend/chance.h"
#include "tests/backend/gc_fixture.h"
#include "tests/backend/key_fixture.h"
#include "tests/backend/recorder.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_NS INT64_C(86400000000000)

static const struct actor someone = {.uid = 1234, .exe = "test"};

/* A file whose blocks lie in that zone. */
static uint64_t file_in(struct test_vault *v, enum zone zone, const char *name, uint8_t mark) {
	return gc_file(v, zone == ZONE_RAW ? NODE_RAW : NODE_LANDING, name, mark);
}

static int try_read(Content *c, size_t size) {
	uint8_t got[SEGMENT_BLOCK_BYTES];
	size_t n = 0;
	return content_read(c, 0, got, size, &n);
}

/* ---- disabling ---- */

static void exactly_its_data_can_not_be_read(void **state) {
	struct test_vault *v = *state;
	uint64_t landing = file_in(v, ZONE_LANDING, "a", 1), raw = file_in(v, ZONE_RAW, "b", 2);
	gc_close_segments(v);
	gc_expect_file(v, raw, 2); /* the ciphers are in memory now */
	assert_rc(store_key_disable(v->store, "raw", &someone));
	assert_int_equal(gc_try_file(v, raw), -EKEYREVOKED);
	assert_non_null(strstr(fault_message(), "alias/raw is disabled"));
	gc_expect_file(v, landing, 1);
	assert_int_equal(key_fixture_of(v, "raw").state, KEY_DISABLED);
	assert_rc(store_key_disable(v->store, "raw", &someone));
	assert_int_equal(test_vault_records(v, "key-disable", NULL), 1);
	uint32_t version;
	assert_int_equal(store_key_rotate(v->store, "raw", NULL, &version), -EKEYREVOKED);
	assert_int_equal(store_key_rewrap(v->store, "raw", NULL), -EKEYREVOKED);
	assert_int_equal(store_key_disable(v->store, "meta", NULL), -EPERM);
	assert_int_equal(store_key_disable(v->store, "header", NULL), -EPERM);
	test_vault_reopen(v);
	assert_int_equal(gc_try_file(v, raw), -EKEYREVOKED);
	gc_expect_file(v, landing, 1);
	assert_rc(store_key_enable(v->store, "raw", &someone));
	gc_expect_file(v, raw, 2);
	assert_int_equal(test_vault_records(v, "key-enable", NULL), 1);
}

/* Parts of blocks are kept for who reads on, and drafts wait to be sealed. */
static void what_is_in_memory_can_not_be_read_either(void **state) {
	struct test_vault *v = *state;
	uint64_t node = file_in(v, ZONE_LANDING, "a", 1), draft = test_vault_create(v, NODE_LANDING, "b");
	Content *read = gc_open_content(v, node), *written = gc_open_content(v, draft);
	assert_rc(try_read(read, 100));
	assert_true(read->blocks > 0);
	assert_rc(content_write(written, 0, bytes_of_string("half a block")));
	assert_rc(store_key_disable(v->store, "landing", NULL));
	assert_int_equal(read->blocks, 0);
	assert_int_equal(written->blocks, 0);
	assert_int_equal(try_read(read, 100), -EKEYREVOKED);
	assert_int_equal(try_read(written, 100), -EKEYREVOKED);
	assert_int_equal(content_write(written, 20, bytes_of_string("more")), -EKEYREVOKED);
	/* Nor is anything taken that could not be sealed. */
	static uint8_t block[SEGMENT_BLOCK_BYTES];
	assert_int_equal(content_write(written, SEGMENT_BLOCK_BYTES, bytes_of(block, 100)), -EKEYREVOKED);
	assert_int_equal(content_write(written, SEGMENT_BLOCK_BYTES, bytes_of(block, sizeof block)), -EKEYREVOKED);
	uint8_t got[100];
	size_t n = 0;
	assert_rc(store_commit_wait(v->store)); /* the vault goes on */
	assert_rc(store_key_enable(v->store, "landing", NULL));
	assert_rc(try_read(read, 100));
	assert_rc(content_read(written, 0, got, 12, &n));
	assert_memory_equal(got, "half a block", 12);
	content_close(read);
	gc_seal(written);
	content_close(written);
}

static void small_fsyncs_rest_while_the_key_is_disabled(void **state) {
	struct test_vault *v = *state;
	uint64_t node = test_vault_create(v, NODE_LANDING, "a");
	uint8_t got[8] = {0};
	size_t n = 0;
	char path[128];
	(void)snprintf(path, sizeof path, "%s/" SYNCLOG_NAME, v->vault);
	Content *c = gc_open_content(v, node);
	assert_rc(content_write(c, 0, bytes_of_string("a")));
	assert_rc(content_sync(c));
	assert_rc(content_write(c, 1, bytes_of_string("b")));
	assert_rc(content_sync(c));
	assert_rc(store_key_disable(v->store, "landing", NULL));
	assert_int_not_equal(access(path, F_OK), 0);
	content_abandon(c);
	test_vault_crash(v); /* opens without the key */
	assert_int_equal(gc_try_file(v, node), -EKEYREVOKED);
	assert_rc(store_key_enable(v->store, "landing", NULL));
	c = gc_open_content(v, node);
	assert_rc(content_read(c, 0, got, sizeof got, &n));
	assert_int_equal(n, 2);
	assert_memory_equal(got, "ab", 2);
	assert_rc(content_write(c, 2, bytes_of_string("c")));
	assert_rc(content_sync(c));
	assert_rc(content_write(c, 3, bytes_of_string("d")));
	assert_rc(content_sync(c));
	content_abandon(c);
	test_vault_crash(v);
	c = gc_open_content(v, node);
	assert_rc(content_read(c, 0, got, sizeof got, &n));
	assert_memory_equal(got, "abcd", 4);
	content_close(c);
}

static int no_finding(void *arg, const struct fsck_finding *finding) {
	(void)arg;
	return fault(EBADMSG, "fsck: %s: %s", finding->file, finding->words);
}

/* Neither dead nor damaged. */
static void the_collector_and_the_check_leave_it_alone(void **state) {
	struct test_vault *v = *state;
	struct store_secret secret = {.bytes = bytes_of_string(TEST_PASSPHRASE)};
	struct fsck_summary sum;
	uint64_t raw = file_in(v, ZONE_RAW, "a", 1), other = file_in(v, ZONE_LANDING, "b", 2);
	gc_close_segments(v);
	assert_rc(store_key_rotate(v->store, "raw", NULL, NULL));
	assert_rc(store_key_rewrap(v->store, "raw", NULL));
	assert_rc(store_key_disable(v->store, "raw", NULL));
	for (int i = 0; i < 4; i++)
		gc_walk_and_wait(v);
	struct gc_purging purging;
	assert_rc(gc_purging(store_gc(v->store), &purging));
	assert_int_equal(purging.wanted, 1);
	assert_int_equal(purging.stuck, 1);
	assert_int_equal(gc_totals_of(v).failures, 0);
	assert_rc(store_close(v->store));
	v->store = NULL;
	assert_rc(fsck_run(v->vault, &secret, no_finding, NULL, &sum));
	assert_int_equal(sum.locked, 1);
	assert_true(sum.segments > 0);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_rc(store_key_enable(v->store, "raw", NULL));
	for (int i = 0; i < 4; i++)
		gc_walk_and_wait(v);
	assert_int_equal(key_fixture_of(v, "raw").old_segments, 0);
	gc_expect_file(v, raw, 1);
	gc_expect_file(v, other, 2);
}

static int take_version(void *arg, const struct version *version) {
	*(uint64_t *)arg = version->id;
	return 0;
}

/* Blocks of what is erased may be anywhere: where that can't be looked for, it waits, and nothing is moved for it. */
static void an_erasure_waits_for_the_key_where_it_can_not_look(void **state) {
	struct test_vault *v = *state;
	uint64_t raw = file_in(v, ZONE_RAW, "a", 1), erased = file_in(v, ZONE_LANDING, "b", 2), id = 0;
	struct gc_purging purging;
	struct erased told = {0};
	gc_close_segments(v);
	assert_rc(store_key_disable(v->store, "raw", NULL));
	Meta *m = store_meta(v->store);
	meta_begin(m);
	int rc = version_list(m, erased, take_version, &id);
	if (rc == 0)
		rc = erase_versions(v->store, &id, 1, NULL, NULL, &told);
	assert_rc(meta_end(m, rc));
	for (int i = 0; i < 4; i++)
		gc_walk_and_wait(v);
	assert_rc(gc_purging(store_gc(v->store), &purging));
	assert_int_equal(purging.wanted, 0);
	assert_true(purging.is_seeking && purging.removed == 1);
	assert_rc(store_key_enable(v->store, "raw", NULL));
	for (int i = 0; i < 2; i++)
		gc_walk_and_wait(v);
	assert_rc(gc_purging(store_gc(v->store), &purging));
	assert_false(purging.is_seeking);
	assert_int_equal(gc_totals_of(v).moved, 0);
	gc_expect_file(v, raw, 1);
}

/* ---- deletion ---- */

static void a_deletion_waits_and_is_cancelled(void **state) {
	struct test_vault *v = *state;
	int64_t at = 0, again = 0;
	uint64_t raw = file_in(v, ZONE_RAW, "a", 1);
	assert_int_equal(store_key_schedule_deletion(v->store, "raw", 6, &someone, &at), -EINVAL);
	assert_int_equal(store_key_schedule_deletion(v->store, "raw", 31, &someone, &at), -EINVAL);
	assert_int_equal(store_key_schedule_deletion(v->store, "audit", 7, &someone, &at), -EPERM);
	assert_int_equal(store_key_cancel_deletion(v->store, "raw", &someone), -ENOENT);
	assert_rc(store_key_schedule_deletion(v->store, "raw", 7, &someone, &at));
	assert_true(at > meta_now(store_meta(v->store)) + 6 * DAY_NS);
	assert_int_equal(key_fixture_of(v, "raw").state, KEY_PENDING_DELETION);
	assert_true(key_fixture_of(v, "raw").deletion_ns == at);
	assert_int_equal(gc_try_file(v, raw), -EKEYREVOKED);
	assert_int_equal(store_key_enable(v->store, "raw", &someone), -EKEYREVOKED);
	assert_int_equal(store_key_schedule_deletion(v->store, "raw", 30, &someone, &again), -EEXIST);
	assert_true(key_fixture_of(v, "raw").deletion_ns == at);
	assert_rc(store_key_cancel_deletion(v->store, "raw", &someone));
	assert_int_equal(store_key_cancel_deletion(v->store, "raw", &someone), -ENOENT);
	assert_rc(store_key_schedule_deletion(v->store, "raw", 30, &someone, &again));
	assert_true(again > at);
	assert_rc(store_key_tick(v->store, again - 1, true));
	assert_rc(store_key_tick(v->store, again, false));
	test_vault_reopen(v);
	assert_true(key_fixture_of(v, "raw").deletion_ns == again);
	assert_rc(store_key_cancel_deletion(v->store, "raw", &someone));
	assert_int_equal(key_fixture_of(v, "raw").state, KEY_DISABLED);
	assert_true(key_fixture_of(v, "raw").deletion_ns == 0);
	assert_rc(store_key_tick(v->store, again + 1, true));
	assert_rc(store_key_enable(v->store, "raw", &someone));
	gc_expect_file(v, raw, 1);
}

/* What stands in the vault's directory. */
static const uint8_t *sought;
static size_t sought_size;
static size_t found;

static int seek_in(const char *path, const struct stat *about, int type, struct FTW *walk) {
	(void)walk;
	if (type != FTW_F || about->st_size == 0)
		return 0;
	uint8_t *data = malloc((size_t)about->st_size);
	FILE *from = fopen(path, "r");
	assert_true(data && from);
	size_t size = fread(data, 1, (size_t)about->st_size, from);
	(void)fclose(from);
	found += memmem(data, size, sought, sought_size) != NULL;
	free(data);
	return 0;
}

static size_t files_with(struct test_vault *v, const uint8_t *bytes, size_t size) {
	sought = bytes;
	sought_size = size;
	found = 0;
	assert_int_equal(nftw(v->vault, seek_in, 16, FTW_PHYS), 0);
	return found;
}

/* By every slot's secret. */
static void expect_no_key(struct test_vault *v, const char *recovery, struct bytes keyfile) {
	size_t size = 0;
	uint8_t *json = scratch_read(v->vault, STORE_HEADER_NAME, &size);
	const struct slot_secret secrets[] = {{SLOT_PASSPHRASE, bytes_of_string(TEST_PASSPHRASE), NULL},
	        {SLOT_RECOVERY, bytes_of_string(recovery), NULL}, {SLOT_KEYFILE, keyfile, NULL}};
	_cleanup_(header_freep) VaultHeader *header = NULL;
	assert_rc(header_parse(bytes_of(json, size), &header));
	assert_int_equal(header_slot_count(header), 4); /* the one that was made with the vault, too */
	for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
		_cleanup_(keyring_freep) Keyring *keyring = NULL;
		uint8_t key[KEYRING_KEY_BYTES];
		assert_rc(header_unlock(header, &secrets[i], &keyring));
		for (uint32_t version = 1; version <= 3; version++)
			assert_int_equal(keyring_get_any(keyring, "raw", version, key), -EKEYEXPIRED);
		assert_rc(keyring_get_any(keyring, "landing", 1, key));
	}
	struct key_info info;
	for (size_t i = 0; i < header_slot_count(header); i++)
		for (size_t at = 0; header_slot_key(header, i, at, &info) == 0; at++)
			assert_string_not_equal(info.name, "raw");
	free(json);
}

static void a_deleted_key_is_nowhere(void **state) {
	struct test_vault *v = *state;
	static const uint8_t keyfile[HEADER_KEYFILE_MIN] = "thirty-two bytes of a key file..";
	char id[HEADER_ID_TEXT_BYTES], recovery[RECOVERY_TEXT_BYTES];
	struct store_slot_request request = {.type = SLOT_RECOVERY, .label = ""};
	uint64_t raw = file_in(v, ZONE_RAW, "a", 1), landing = file_in(v, ZONE_LANDING, "b", 2);
	assert_rc(store_slot_add(v->store, &request, NULL, id, recovery));
	request = (struct store_slot_request){
	        .type = SLOT_KEYFILE, .label = "", .secret = bytes_of(keyfile, sizeof keyfile)};
	assert_rc(store_slot_add(v->store, &request, NULL, id, NULL));
	assert_rc(store_key_rotate(v->store, "raw", NULL, NULL));
	int64_t at = 0;
	assert_rc(store_key_schedule_deletion(v->store, "raw", 7, &someone, &at));
	size_t size = 0;
	uint8_t *before = scratch_read(v->vault, STORE_HEADER_NAME, &size);
	/* The former file's blocks, too: by a descriptor of the test's own. */
	char path[128];
	(void)snprintf(path, sizeof path, "%s/" STORE_HEADER_NAME, v->vault);
	FILE *kept = fopen(path, "r");
	assert_non_null(kept);
	/* A box of the key, as it stands in the file. */
	const char *box = strstr((const char *)before, "\"raw\"");
	assert_non_null(box);
	assert_int_equal(files_with(v, before, size), 1);
	assert_rc(store_key_tick(v->store, at, true));
	assert_int_equal(files_with(v, before, size), 0);
	assert_int_equal(key_fixture_of(v, "raw").state, KEY_DELETED);
	assert_true(key_fixture_of(v, "raw").deletion_ns == 0);
	assert_int_equal(test_vault_records(v, "key-delete", NULL), 1);
	expect_no_key(v, recovery, bytes_of(keyfile, sizeof keyfile));
	for (size_t i = 0; i < size; i++)
		assert_int_equal(fgetc(kept), 0);
	assert_int_equal(fgetc(kept), EOF);
	(void)fclose(kept);
	free(before);
	assert_int_equal(gc_try_file(v, raw), -EKEYEXPIRED);
	assert_non_null(strstr(fault_message(), "was deleted"));
	gc_expect_file(v, landing, 2);
	assert_int_equal(store_key_enable(v->store, "raw", &someone), -EKEYEXPIRED);
	assert_int_equal(store_key_cancel_deletion(v->store, "raw", &someone), -EKEYEXPIRED);
	assert_int_equal(store_key_rotate(v->store, "raw", &someone, NULL), -EKEYEXPIRED);
	assert_rc(store_key_tick(v->store, at + 1, true));
	test_vault_reopen(v);
	assert_int_equal(gc_try_file(v, raw), -EKEYEXPIRED);
	for (int i = 0; i < 3; i++)
		gc_walk_and_wait(v);
	assert_int_equal(gc_totals_of(v).failures, 0);
	assert_rc(store_close(v->store));
	v->store = NULL;
	gc_expect_sound(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

/* A snapshot made of links is somebody's, and nothing else unlocks it. */
static void a_vault_json_that_has_another_name_is_left_there(void **state) {
	struct test_vault *v = *state;
	char path[128], snapshot[128];
	size_t size = 0, kept_size = 0;
	int64_t at = 0;
	assert_rc(store_key_schedule_deletion(v->store, "raw", 7, &someone, &at));
	(void)snprintf(path, sizeof path, "%s/" STORE_HEADER_NAME, v->vault);
	(void)snprintf(snapshot, sizeof snapshot, "%s/snapshot", v->path);
	assert_int_equal(link(path, snapshot), 0);
	uint8_t *before = scratch_read(v->vault, STORE_HEADER_NAME, &size);
	assert_rc(store_key_tick(v->store, at, true));
	assert_int_equal(key_fixture_of(v, "raw").state, KEY_DELETED);
	uint8_t *kept = scratch_read(v->path, "snapshot", &kept_size);
	assert_int_equal(kept_size, size);
	assert_memory_equal(kept, before, size);
	free(kept);
	free(before);
	assert_int_equal(test_vault_records(v, "key-delete", NULL), 1);
}

/* ---- power loss ---- */

struct crash {
	uint64_t raw, landing;
	size_t shown, gone;
};

/* 1: it was disabled; 2: its deletion was scheduled; 3: it was deleted. */
static int judge(void *user, const char *directory, uint64_t acknowledged) {
	static const uint64_t reached[] = {
	        [KEY_ACTIVE] = 0, [KEY_DISABLED] = 1, [KEY_PENDING_DELETION] = 2, [KEY_DELETED] = 3};
	struct crash *crash = user;
	struct test_vault v = {.options = {.reserve_bytes = 1 << 20, .gc_by_hand = true, .commit_ms = 3600 * 1000}};
	if (test_vault_open(directory, &v.options, &v.store) < 0) {
		print_error("%s\n", fault_message());
		return -EIO;
	}
	const struct store_key key = key_fixture_of(&v, "raw");
	const int rc = gc_try_file(&v, crash->raw);
	const int wanted = key.state == KEY_DELETED ? -EKEYEXPIRED : key.state == KEY_ACTIVE ? 0 : -EKEYREVOKED;
	gc_expect_file(&v, crash->landing, 2);
	crash->shown++;
	crash->gone += key.state == KEY_DELETED;
	bool is_dated = (key.state == KEY_PENDING_DELETION) == (key.deletion_ns != 0);
	int closed = store_close(v.store);
	if (rc == wanted && reached[key.state] >= acknowledged && is_dated)
		return closed;
	print_error("state %d after %lu changes, reading gives %d\n", (int)key.state, (unsigned long)acknowledged, rc);
	return -EIO;
}

/* The former vault.json is overwritten when the new one is there for good, not before. */
static void a_power_loss_brings_no_key_back_and_loses_no_other(void **state) {
	struct test_vault *v = *state;
	struct crash crash = {.raw = file_in(v, ZONE_RAW, "a", 1), .landing = file_in(v, ZONE_LANDING, "b", 2)};
	struct key_recording recording;
	int64_t at = 0;
	key_fixture_record(v, &recording);
	assert_rc(store_key_disable(v->store, "raw", NULL));
	recorder_mark(recording.recorder, 1);
	assert_rc(store_key_schedule_deletion(v->store, "raw", 7, NULL, &at));
	recorder_mark(recording.recorder, 2);
	assert_rc(store_key_tick(v->store, at, true));
	recorder_mark(recording.recorder, 3);
	size_t shown = key_fixture_judge(v, &recording, 200, judge, &crash);
	assert_true(shown > 50 && crash.gone > 0 && crash.gone < shown);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, gc_fixture_setup, test_vault_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(exactly_its_data_can_not_be_read),
	        TEST(what_is_in_memory_can_not_be_read_either),
	        TEST(small_fsyncs_rest_while_the_key_is_disabled),
	        TEST(the_collector_and_the_check_leave_it_alone),
	        TEST(an_erasure_waits_for_the_key_where_it_can_not_look),
	        TEST(a_deletion_waits_and_is_cancelled),
	        TEST(a_deleted_key_is_nowhere),
	        TEST(a_vault_json_that_has_another_name_is_left_there),
	        TEST(a_power_loss_brings_no_key_back_and_loses_no_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
