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
static uint32_t newest; /* version of its key that the log knows of */

static int setup(void **state) {
	newest = 1;
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
	assert_int_equal(OP(f, audit_head_sign(f->m, keyring, newest, 42, &head)), 1);
	fixture_commit(f);
	return head;
}

static void a_head_is_signed_once_and_found_again(void **state) {
	struct fixture *f = *state;
	struct audit_head one = grow(f, 3), two = grow(f, 300), found;
	assert_int_equal(one.checkpoint.size, 3);
	assert_int_equal(two.checkpoint.size, 303);
	assert_int_equal(OP(f, audit_head_sign(f->m, keyring, newest, 43, &found)), 0);
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
	assert_int_equal(OP(f, audit_succession_key(f->m, keyring, 0, &key)), 0);
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
	assert_int_equal(OP(f, audit_head_sign(f->m, keyring, newest, 1, &head)), 0);
	record(f, 1);
	fixture_commit(f);
	assert_int_equal(keyring_new(&other), 0);
	assert_int_equal(OP(f, audit_head_sign(f->m, other, 1, 1, &head)), -ENOKEY);
	keyring_free(other);
	assert_int_equal(OP(f, audit_head_last(f->m, UINT32_MAX, &head)), -ENOENT);
}

static int sealed_calls;
static int sign_when_sealed(void *arg, int64_t time_ns) {
	struct fixture *f = arg;
	struct audit_head head;
	sealed_calls++;
	int rc = audit_head_sign(f->m, keyring, newest, time_ns, &head);
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

/* ---- rotation ---- */

static void rotate(void) {
	assert_int_equal(keyring_rotate(keyring, "audit", &newest), 0);
}

/* Only some of the versions, as who stole one has it, or whose vault.json is an older one. */
static Keyring *keyring_with(uint32_t first, uint32_t last) {
	Keyring *some = NULL;
	assert_int_equal(keyring_new(&some), 0);
	for (uint32_t version = first; version <= last; version++) {
		struct key_info info = {.name = "audit",
		        .version = version,
		        .kind = KEY_ED25519,
		        .state = version == last ? KEY_ACTIVE : KEY_RETIRED};
		uint8_t key[KEYRING_KEY_BYTES];
		assert_int_equal(keyring_get(keyring, "audit", version, key, NULL), 0);
		assert_int_equal(keyring_add(some, &info, key), 0);
	}
	return some;
}

static struct key_chain chain_of(struct fixture *f, uint64_t most) {
	struct key_chain chain = {0};
	assert_int_equal(OP(f, audit_succession_chain(f->m, most, &chain)), 0);
	return chain;
}

static void the_version_before_signs_the_head_with_which_it_hands_on(void **state) {
	struct fixture *f = *state;
	assert_int_equal(grow(f, 5).key_version, 1);
	for (uint32_t version = 1; version <= 3; version++) {
		rotate();
		assert_int_equal(grow(f, 100).key_version, version);
	}
	assert_int_equal(grow(f, 1).key_version, 4);
	fixture_reopen(f);
	assert_int_equal(grow(f, 1).key_version, 4);
	assert_int_equal(OP(f, audit_head_verify(f->m, keyring, NULL)), 0);
	struct key_chain chain = chain_of(f, UINT64_MAX);
	assert_int_equal(chain.count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(chain.list[i].at.size, 105 + 100 * i);
		assert_int_equal(chain.list[i].version, i + 2);
		assert_false(chain.list[i].is_broken);
	}
	key_chain_clear(&chain);
	chain = chain_of(f, 304);
	assert_int_equal(chain.count, 2);
	key_chain_clear(&chain);
}

/* The text is what the chain is read from. */
static void how_it_was_handed_on_is_shown_as_lines(void **state) {
	struct fixture *f = *state;
	struct key_chain chain = {0};
	char *text = NULL;
	size_t size = 1;
	(void)grow(f, 1);
	assert_int_equal(OP(f, audit_succession_text(f->m, UINT64_MAX, &text, &size)), 0);
	assert_true(size == 0 && !text);
	for (int i = 0; i < 20; i++) {
		rotate();
		(void)grow(f, 2);
	}
	assert_int_equal(OP(f, audit_succession_text(f->m, 30, &text, &size)), 0);
	assert_int_equal(key_chain_read(&chain, bytes_of(text, size)), 0);
	assert_int_equal(chain.count, 14); /* at 3, 5, … 29 */
	assert_int_equal(OP(f, audit_succession_has(f->m, 21)), 1);
	assert_int_equal(OP(f, audit_succession_has(f->m, 22)), 0);
	key_chain_clear(&chain);
	free(text);
}

/* vault.json has it, the log has no record of it yet. */
static void a_version_that_the_log_does_not_know_of_signs_nothing(void **state) {
	struct fixture *f = *state;
	(void)grow(f, 1);
	assert_int_equal(keyring_rotate(keyring, "audit", NULL), 0);
	assert_int_equal(grow(f, 1).key_version, 1);
	assert_int_equal(OP(f, audit_succession_has(f->m, 2)), 0);
	newest = 3; /* which the keyring has not */
	assert_int_equal(grow(f, 1).key_version, 1);
	newest = 2;
	assert_int_equal(grow(f, 1).key_version, 1);
	assert_int_equal(grow(f, 1).key_version, 2);
	assert_int_equal(OP(f, audit_head_verify(f->m, keyring, NULL)), 0);
}

static int open_by(const char *note, struct fixture *f, uint32_t version) {
	struct note_key key;
	struct checkpoint opened;
	assert_int_equal(OP(f, audit_succession_key(f->m, keyring, version, &key)), 0);
	return checkpoint_open(bytes_of_string(note), &key, &opened);
}

static void a_head_is_served_with_the_signatures_of_all_who_may_be_known(void **state) {
	struct fixture *f = *state;
	char note[AUDIT_HEAD_NOTE_BYTES];
	struct audit_head head = grow(f, 1);
	for (int i = 1; i <= 9; i++) {
		struct key_chain chain = chain_of(f, UINT64_MAX);
		assert_int_equal(OP(f, audit_head_served(f->m, keyring, &chain, &head, note)), 0);
		for (int version = 1; version <= i; version++)
			assert_int_equal(open_by(note, f, (uint32_t)version), i - version < 8 ? 0 : -ENOKEY);
		struct checkpoint opened;
		chain.first = chain.count ? chain.first : (struct note_key){0};
		if (chain.count)
			assert_int_equal(key_chain_open(&chain, bytes_of_string(note), &opened), 0);
		key_chain_clear(&chain);
		rotate();
		head = grow(f, 1);
	}
	/* As it was at an earlier time. */
	struct audit_head early;
	struct key_chain chain = chain_of(f, UINT64_MAX);
	assert_int_equal(OP(f, audit_head_last(f->m, 2, &early)), 0);
	assert_int_equal(OP(f, audit_head_served(f->m, keyring, &chain, &early, note)), 0);
	assert_int_equal(open_by(note, f, 2), 0);
	assert_int_equal(open_by(note, f, 3), -ENOKEY);
	key_chain_clear(&chain);
}

static void verify_says(struct fixture *f, const Keyring *with, const char *words) {
	assert_int_equal(OP(f, audit_head_verify(f->m, with, NULL)), -EBADMSG);
	if (!strstr(fault_message(), words))
		fail_msg("not \"%s\": %s", words, fault_message());
}

/* 10 by version 1, 20 (handed on) by 1, 30 by 2. */
static struct fixture *handed_on_once(void **state) {
	struct fixture *f = *state;
	(void)grow(f, 10);
	rotate();
	(void)grow(f, 10);
	(void)grow(f, 10);
	return f;
}

static struct fixture *again(void **state) {
	teardown(state);
	assert_int_equal(setup(state), 0);
	return handed_on_once(state);
}

/* Who stole version 1 goes on with the log as it was before. */
static void an_earlier_version_does_not_sign_any_more(void **state) {
	struct fixture *f = handed_on_once(state);
	Keyring *stolen = keyring_with(1, 1);
	struct audit_head head;
	record(f, 1);
	fixture_commit(f);
	assert_int_equal(OP(f, audit_head_sign(f->m, stolen, 1, 7, &head)), 1);
	fixture_commit(f);
	verify_says(f, keyring, "31 records is signed by version 1 of the log's key; it was version 2");
	verify_says(f, stolen, "31 records is signed by version 1 of the log's key; it was version 2");
	keyring_free(stolen);
}

static void what_was_changed_of_the_handing_on_is_found(void **state) {
	struct fixture *f = handed_on_once(state);
	assert_int_equal(raw_sql(f, "DELETE FROM kv WHERE key = 'audit.succession.00000002'"), SQLITE_OK);
	verify_says(f, keyring, "30 records is signed by version 2 of the log's key; it was version 1");
	f = again(state);
	assert_int_equal(raw_sql(f, "UPDATE kv SET value = CAST(replace(CAST(value AS TEXT), '1 2 20 ', '1 2 19 ') AS "
	                            "BLOB) WHERE key = 'audit.succession.00000002'"),
	        SQLITE_OK);
	verify_says(f, keyring, "has not signed");
	f = again(state);
	assert_int_equal(
	        raw_sql(f, "UPDATE kv SET key = 'audit.succession.00000003' WHERE key = 'audit.succession.00000002'"),
	        SQLITE_OK);
	verify_says(f, keyring, "does not say how");
	f = again(state);
	assert_int_equal(
	        raw_sql(f, "UPDATE kv SET value = zeroblob(5000) WHERE key = 'audit.succession.00000002'"), SQLITE_OK);
	verify_says(f, keyring, "longer than it can be");
}

/* Both keys sign for another log: a fork from there on. */
static void a_handing_on_of_another_log_is_found(void **state) {
	struct fixture *f = handed_on_once(state);
	const struct checkpoint other = {.size = 20, .root = {1, 2, 3}};
	assert_int_equal(OP(f, audit_succession_put(f->m, keyring, 1, NULL, 2, &other, 5)), 0);
	verify_says(f, keyring, "first 20 records are not those that were signed");
}

/* Of a whole other vault's keys. */
static void keys_that_are_not_the_keyrings_are_found(void **state) {
	struct fixture *f = handed_on_once(state);
	Keyring *ours = keyring, *other = NULL;
	assert_true(keyring_new(&other) == 0 && keyring_create(other, "audit", KEY_ED25519) == 0);
	verify_says(f, other, "version 1 of the log's key is another");
	keyring = ours;
	keyring_free(other);
}

/* An older vault.json was put back and accepted: version 2 is gone. Nothing is signed until there is a next one. */
static void a_version_that_was_lost_is_said_to_be(void **state) {
	struct fixture *f = handed_on_once(state);
	Keyring *ours = keyring;
	struct audit_head head;
	keyring = keyring_with(1, 1);
	record(f, 5);
	fixture_commit(f);
	assert_int_equal(OP(f, audit_head_sign(f->m, keyring, newest, 1, &head)), -ENOKEY);
	assert_int_equal(OP(f, audit_head_verify(f->m, keyring, NULL)), 0);
	assert_int_equal(keyring_rotate(keyring, "audit", NULL), 0);
	assert_int_equal(keyring_rotate(keyring, "audit", &newest), 0);
	/* It has another version 2 by now. */
	assert_int_equal(OP(f, audit_head_sign(f->m, keyring, newest, 1, &head)), 1);
	assert_int_equal(head.key_version, 3);
	fixture_commit(f);
	struct key_chain chain = chain_of(f, UINT64_MAX);
	assert_int_equal(chain.count, 2);
	assert_true(chain.list[1].is_broken && chain.list[1].at.size == 30);
	assert_int_equal(key_chain_reaches_end(&chain, 0), -EBADMSG);
	assert_int_equal(key_chain_reaches_end(&chain, 2), 0);
	assert_int_equal(OP(f, audit_head_verify(f->m, keyring, NULL)), 0);
	char note[AUDIT_HEAD_NOTE_BYTES];
	struct checkpoint opened;
	assert_int_equal(OP(f, audit_head_served(f->m, keyring, &chain, &head, note)), 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(checkpoint_open(bytes_of_string(note), key_chain_key(&chain, i), &opened),
		        i == 1 ? -ENOKEY : 0);
	key_chain_clear(&chain);
	rotate();
	(void)grow(f, 1);
	assert_int_equal(grow(f, 1).key_version, 4);
	assert_int_equal(OP(f, audit_head_verify(f->m, keyring, NULL)), 0);
	keyring_free(keyring);
	keyring = ours;
}

static void an_older_vault_has_none_until_the_first_is_signed(void **state) {
	struct fixture *f = *state;
	struct audit_head head;
	record(f, 2);
	fixture_commit(f);
	make_version_2(f);
	assert_int_equal(OP(f, audit_head_last(f->m, UINT32_MAX, &head)), -ENOENT);
	assert_int_equal(OP(f, audit_head_list(f->m, 0, UINT32_MAX, count, NULL)), 0);
	assert_int_equal(OP(f, audit_head_sign(f->m, keyring, newest, 1, &head)), 1);
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
	        WORLD(the_version_before_signs_the_head_with_which_it_hands_on),
	        WORLD(how_it_was_handed_on_is_shown_as_lines),
	        WORLD(a_version_that_the_log_does_not_know_of_signs_nothing),
	        WORLD(a_head_is_served_with_the_signatures_of_all_who_may_be_known),
	        WORLD(an_earlier_version_does_not_sign_any_more),
	        WORLD(what_was_changed_of_the_handing_on_is_found),
	        WORLD(a_handing_on_of_another_log_is_found),
	        WORLD(keys_that_are_not_the_keyrings_are_found),
	        WORLD(a_version_that_was_lost_is_said_to_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
