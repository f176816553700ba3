#include "backend/audit_head.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backend/audit.h"
#include "crypto/base/fault.h"
#include "tests/backend/meta_fixture.h"

#define OP(f, call) (meta_begin((f)->m), meta_end((f)->m, (call)))

static Keyring *keyring;

static int setup(void **state) {
	if (keyring_new(&keyring) || keyring_create(keyring, "audit", KEY_ED25519))
		return -1;
	return fixture_setup(state);
}

static int teardown(void **state) {
	keyring_free(keyring);
	return fixture_teardown(state);
}

static void record(struct fixture *f, int count) {
	const struct audit_event event = {.event = "open", .path = "Landing/a"};
	meta_begin(f->m);
	for (int i = 0; i < count; i++)
		assert_int_equal(audit_record(f->m, &event, NULL), 0);
	assert_int_equal(meta_end(f->m, 0), 0);
}

/* So many more records, committed; then their head is signed, and committed. */
static struct audit_head grow(struct fixture *f, int count) {
	struct audit_head head = {0};
	record(f, count);
	fixture_commit(f);
	assert_int_equal(OP(f, audit_head_sign(f->m, keyring, 42, &head)), 1);
	fixture_commit(f);
	return head;
}

static void a_head_is_signed_once_and_found_again(void **state) {
	struct fixture *f = *state;
	struct audit_head one = grow(f, 3), two = grow(f, 300), found;
	assert_int_equal(one.checkpoint.size, 3);
	assert_int_equal(two.checkpoint.size, 303);
	assert_int_equal(OP(f, audit_head_sign(f->m, keyring, 43, &found)), 0);
	assert_int_equal(OP(f, audit_head_last(f->m, 303, &found)), 0);
	assert_memory_equal(found.signature, two.signature, sizeof two.signature);
	assert_int_equal(found.time_ns, 42);
	assert_int_equal(OP(f, audit_head_last(f->m, 302, &found)), 0);
	assert_int_equal(found.checkpoint.size, 3);
	assert_int_equal(OP(f, audit_head_last(f->m, 2, &found)), -ENOENT);
	fixture_reopen(f);
	assert_int_equal(OP(f, audit_head_last(f->m, UINT32_MAX, &found)), 0);
	assert_int_equal(found.checkpoint.size, 303);
}

static void it_is_the_note_that_others_read(void **state) {
	struct fixture *f = *state;
	struct audit_head head = grow(f, 7);
	struct note_key key;
	struct checkpoint opened;
	char note[CHECKPOINT_NOTE_BYTES];
	assert_int_equal(OP(f, audit_head_key(f->m, keyring, 0, &key)), 0);
	assert_memory_equal(key.name, "assayfs/", 8);
	assert_int_equal(OP(f, audit_head_note(f->m, keyring, &head, note)), 0);
	assert_int_equal(checkpoint_open(bytes_of_string(note), &key, &opened), 0);
	assert_int_equal(opened.size, 7);
	assert_memory_equal(opened.root, head.checkpoint.root, sizeof opened.root);
}

static void nothing_is_signed_of_an_empty_log_or_without_a_key(void **state) {
	struct fixture *f = *state;
	Keyring *other = NULL;
	struct audit_head head;
	fixture_commit(f);
	assert_int_equal(OP(f, audit_head_sign(f->m, keyring, 1, &head)), 0);
	record(f, 1);
	fixture_commit(f);
	assert_int_equal(keyring_new(&other), 0);
	assert_int_equal(OP(f, audit_head_sign(f->m, other, 1, &head)), -ENOKEY);
	keyring_free(other);
	assert_int_equal(OP(f, audit_head_last(f->m, UINT32_MAX, &head)), -ENOENT);
}

static int sealed_calls;
static int sign_when_sealed(void *arg, int64_t time_ns) {
	struct fixture *f = arg;
	struct audit_head head;
	sealed_calls++;
	int rc = audit_head_sign(f->m, keyring, time_ns, &head);
	return rc < 0 ? rc : 0;
}

/* In one commit: what is signed is what that commit has. */
static void it_is_signed_within_the_commit_of_its_records(void **state) {
	struct fixture *f = *state;
	struct audit_head head;
	sealed_calls = 0;
	meta_on_seal(f->m, sign_when_sealed, f);
	record(f, 5);
	fixture_commit(f);
	meta_on_seal(f->m, NULL, NULL);
	assert_int_equal(sealed_calls, 1);
	fixture_reopen(f);
	assert_int_equal(OP(f, audit_head_last(f->m, UINT32_MAX, &head)), 0);
	assert_int_equal(head.checkpoint.size, 5);
	assert_int_equal(OP(f, audit_head_verify(f->m, keyring, NULL)), 0);
}

static int refuse(void *arg, int64_t time_ns) {
	(void)arg;
	(void)time_ns;
	return fault(EIO, "it can't be signed");
}

static void what_cannot_be_signed_is_not_committed(void **state) {
	struct fixture *f = *state;
	meta_on_seal(f->m, refuse, NULL);
	record(f, 5);
	meta_begin(f->m);
	assert_int_equal(meta_commit(f->m, 0, NULL), -EIO);
	fixture_reopen(f);
	meta_begin(f->m);
	assert_int_equal(audit_size(f->m), 0);
	assert_int_equal(meta_end(f->m, 0), 0);
}

static int count(void *arg, const struct audit_head *head) {
	uint64_t *seen = arg;
	assert_true(head->checkpoint.size > seen[1]);
	seen[0]++;
	seen[1] = head->checkpoint.size;
	return 0;
}

static void all_are_listed_and_verified(void **state) {
	struct fixture *f = *state;
	uint64_t seen[2] = {0}, checked = 0;
	for (int i = 1; i <= 600; i++)
		(void)grow(f, 1);
	assert_int_equal(OP(f, audit_head_list(f->m, 100, 599, count, seen)), 0);
	assert_int_equal(seen[0], 499);
	assert_int_equal(seen[1], 599);
	assert_int_equal(OP(f, audit_head_verify(f->m, keyring, &checked)), 0);
	assert_int_equal(checked, 600);
}

static void they_are_never_changed_and_go_forwards(void **state) {
	struct fixture *f = *state;
	(void)grow(f, 5);
	assert_int_not_equal(raw_sql(f, "UPDATE audit_head SET size = 6"), SQLITE_OK);
	assert_int_not_equal(raw_sql(f, "DELETE FROM audit_head"), SQLITE_OK);
	assert_int_not_equal(
	        raw_sql(f, "INSERT INTO audit_head SELECT 4, root, time_ns, key, signature FROM audit_head"),
	        SQLITE_OK);
	assert_int_equal(raw_sql(f, "INSERT INTO audit_head SELECT 6, root, time_ns, key, signature FROM audit_head"),
	        SQLITE_OK);
}

static void verify_finds(struct fixture *f, const char *sql, const char *words) {
	assert_int_equal(raw_sql(f, sql), SQLITE_OK);
	assert_int_equal(OP(f, audit_head_verify(f->m, keyring, NULL)), -EBADMSG);
	if (!strstr(fault_message(), words))
		fail_msg("%s: %s", sql, fault_message());
}

static void what_was_changed_behind_its_back_is_found(void **state) {
	struct fixture *f = *state;
	(void)grow(f, 300);
	(void)grow(f, 5);
	assert_int_equal(raw_sql(f, "DROP TRIGGER audit_head_update"), SQLITE_OK);
	verify_finds(f, "UPDATE audit_head SET signature = zeroblob(64) WHERE size = 300", "300 records");
	fixture_teardown(state);
	fixture_setup(state);
	f = *state;
	(void)grow(f, 300);
	(void)grow(f, 5);
	assert_int_equal(raw_sql(f, "DROP TRIGGER audit_head_update"), SQLITE_OK);
	verify_finds(f, "UPDATE audit_head SET root = zeroblob(32) WHERE size = 305", "not those that were signed");
	fixture_teardown(state);
	fixture_setup(state);
	f = *state;
	(void)grow(f, 5);
	verify_finds(
	        f, "INSERT INTO audit_head SELECT 999, root, time_ns, key, signature FROM audit_head", "is shorter");
}

static void an_older_vault_has_none_until_the_first_is_signed(void **state) {
	struct fixture *f = *state;
	struct audit_head head;
	record(f, 2);
	fixture_commit(f);
	make_version_2(f);
	assert_int_equal(OP(f, audit_head_last(f->m, UINT32_MAX, &head)), -ENOENT);
	assert_int_equal(OP(f, audit_head_list(f->m, 0, UINT32_MAX, count, NULL)), 0);
	assert_int_equal(OP(f, audit_head_sign(f->m, keyring, 1, &head)), 1);
	fixture_commit(f);
	fixture_reopen(f);
	assert_int_equal(OP(f, audit_head_last(f->m, UINT32_MAX, &head)), 0);
	assert_int_equal(head.checkpoint.size, 2);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_head_is_signed_once_and_found_again),
	        WORLD(it_is_the_note_that_others_read),
	        WORLD(nothing_is_signed_of_an_empty_log_or_without_a_key),
	        WORLD(it_is_signed_within_the_commit_of_its_records),
	        WORLD(what_cannot_be_signed_is_not_committed),
	        WORLD(all_are_listed_and_verified),
	        WORLD(they_are_never_changed_and_go_forwards),
	        WORLD(what_was_changed_behind_its_back_is_found),
	        WORLD(an_older_vault_has_none_until_the_first_is_signed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
