/* The log's key rotated in an open vault: bursts of records, crashes, what is remembered outside, by itself. */
#include "backend/audit_succession.h"

#include "backend/audit.h"
#include "backend/audit_head.h"
#include "backend/record.h"
#include "backend/store_internal.h"
#include "backend/store_keys.h"
#include "crypto/base/fault.h"
#include "tests/backend/chance.h"
#include "tests/backend/key_fixture.h"
#include "tests/backend/recorder.h"
#include "tests/backend/test_vault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct actor someone = {.uid = 1234, .gid = 5, .pid = 77, .exe = "test"};

static int setup(void **state) {
	struct test_vault *v = calloc(1, sizeof *v);
	assert_non_null(v);
	test_vault_make(v);
	v->options = (struct store_options){.reserve_bytes = 1 << 20, .gc_by_hand = true, .commit_ms = 3600 * 1000};
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	*state = v;
	return 0;
}

static void record(Store *store, int count) {
	const struct audit_event event = {.event = "open", .path = "Landing/a"};
	Meta *m = store_meta(store);
	meta_begin(m);
	for (int i = 0; i < count; i++)
		assert_rc(audit_record(m, &event, NULL));
	assert_rc(meta_end(m, 0));
	assert_rc(store_commit_wait(store));
}

static struct key_chain chain_of(Store *store) {
	struct key_chain chain = {0};
	Meta *m = store_meta(store);
	meta_begin(m);
	assert_rc(meta_end(m, audit_succession_chain(m, UINT64_MAX, &chain)));
	return chain;
}

static int verify(Store *store) {
	Meta *m = store_meta(store);
	meta_begin(m);
	return meta_end(m, audit_head_verify(m, store_keyring(store), NULL));
}

static struct audit_head last_head(Store *store) {
	struct audit_head head = {0};
	Meta *m = store_meta(store);
	meta_begin(m);
	assert_rc(meta_end(m, audit_head_last(m, store_durable_seq(store), &head)));
	return head;
}

/* Each key after the first is named by a record under the head with which it was handed on, and by none before the one
 * before that. Returns how many there are. */
static size_t check_named(Store *store) {
	struct key_chain chain = chain_of(store);
	char line[AUDIT_LINE_MAX + 1], vkey[NOTE_VKEY_BYTES];
	Meta *m = store_meta(store);
	meta_begin(m);
	for (size_t i = 0; i < chain.count; i++) {
		uint64_t found = 0;
		note_key_format(&chain.list[i].next, vkey);
		for (uint64_t at = i ? chain.list[i - 1].at.size : 0; at < chain.list[i].at.size; at++)
			found += audit_render(m, at, line, sizeof line, NULL) == 0 && strstr(line, vkey);
		assert_int_equal(found, 1);
	}
	assert_rc(meta_end(m, 0));
	size_t count = chain.count;
	key_chain_clear(&chain);
	return count;
}

/* ---- rotating ---- */

static void a_rotation_hands_the_log_on_before_it_returns(void **state) {
	struct test_vault *v = *state;
	uint32_t version = 0;
	for (uint32_t i = 1; i <= 3; i++) {
		record(v->store, 40);
		assert_rc(store_key_rotate(v->store, "audit", &someone, &version));
		assert_int_equal(version, i + 1);
		struct key_chain chain = chain_of(v->store);
		struct audit_head head = last_head(v->store);
		assert_int_equal(chain.count, i);
		assert_int_equal(chain.list[i - 1].at.size, head.checkpoint.size);
		assert_int_equal(head.checkpoint.size, store_durable_seq(v->store));
		assert_int_equal(head.key_version, i);
		key_chain_clear(&chain);
	}
	record(v->store, 40);
	assert_rc(verify(v->store));
	test_vault_reopen(v);
	assert_int_equal(last_head(v->store).key_version, 4);
	assert_rc(verify(v->store));
	assert_int_equal(check_named(v->store), 3);
	assert_int_equal(test_vault_records(v, "key-rotate", "ok"), 3);
	assert_int_equal(test_vault_records(v, "key-found", NULL), 0);
}

static void rotations_may_follow_each_other_at_once(void **state) {
	struct test_vault *v = *state;
	for (int i = 0; i < 5; i++)
		assert_rc(store_key_rotate(v->store, "audit", NULL, NULL));
	assert_rc(verify(v->store));
	assert_int_equal(check_named(v->store), 5);
	test_vault_reopen(v);
	assert_rc(verify(v->store));
	assert_int_equal(check_named(v->store), 5);
}

static void it_is_rotated_by_itself_when_that_was_said(void **state) {
	struct test_vault *v = *state;
	const int64_t day = INT64_C(86400000000000);
	assert_rc(store_key_every(v->store, "audit", 30, &someone));
	assert_rc(store_key_tick(v->store, meta_now(v->store->meta) + 29 * day, true));
	assert_int_equal(check_named(v->store), 0);
	assert_rc(store_key_tick(v->store, meta_now(v->store->meta) + 31 * day, true));
	assert_int_equal(check_named(v->store), 1);
	assert_rc(verify(v->store));
}

/* ---- crashes ---- */

/* vault.json with one more version, as a crash between it and the record leaves it. */
static void leave_unrecorded(struct test_vault *v) {
	_cleanup_(freep) char *json = NULL;
	size_t size = 0;
	assert_rc(keyring_rotate(store_keyring(v->store), "audit", NULL));
	assert_rc(header_update(v->store->keys.header, store_keyring(v->store)));
	assert_rc(header_serialize(v->store->keys.header, &json, &size));
	scratch_write(v->vault, STORE_HEADER_NAME, json, size);
	test_vault_crash(v);
}

static void a_version_without_a_record_is_found_and_handed_on_to(void **state) {
	struct test_vault *v = *state;
	record(v->store, 10);
	leave_unrecorded(v);
	assert_int_equal(test_vault_records(v, "key-found", NULL), 1);
	assert_int_equal(check_named(v->store), 1);
	record(v->store, 10);
	leave_unrecorded(v);
	record(v->store, 10);
	assert_int_equal(check_named(v->store), 2);
	assert_rc(verify(v->store));
	assert_rc(store_key_rotate(v->store, "audit", NULL, NULL));
	test_vault_reopen(v);
	assert_int_equal(check_named(v->store), 3);
	assert_int_equal(last_head(v->store).key_version, 4);
	assert_rc(verify(v->store));
}

struct crash {
	size_t shown, found;
};

static int judge(void *user, const char *directory, uint64_t acknowledged) {
	struct crash *crash = user;
	const struct store_options options = {.reserve_bytes = 1 << 20, .gc_by_hand = true, .commit_ms = 3600 * 1000};
	Store *store = NULL;
	if (test_vault_open(directory, &options, &store) < 0) {
		print_error("%s\n", fault_message());
		return -EIO;
	}
	struct test_vault v = {.store = store};
	record(store, 3);
	int rc = verify(store);
	if (rc < 0)
		print_error("%s\n", fault_message());
	if (check_named(store) < acknowledged)
		rc = -EIO;
	crash->shown++;
	crash->found += test_vault_records(&v, "key-found", NULL);
	int closed = store_close(store);
	return rc < 0 ? rc : closed;
}

static void a_power_loss_at_any_time_leaves_a_log_that_verifies(void **state) {
	struct test_vault *v = *state;
	struct crash crash = {0};
	struct key_recording recording;
	key_fixture_record(v, &recording);
	for (uint64_t i = 1; i <= 3; i++) {
		record(v->store, 5);
		assert_rc(store_key_rotate(v->store, "audit", NULL, NULL));
		recorder_mark(recording.recorder, i);
	}
	size_t shown = key_fixture_judge(v, &recording, 200, judge, &crash);
	assert_true(shown > 30 && shown == crash.shown);
	assert_true(crash.found > 0);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

/* ---- what is remembered outside ---- */

static void copy(const char *from, const char *to) {
	char command[512];
	(void)snprintf(command, sizeof command, "rm -rf '%s' && cp -a '%s' '%s'", to, from, to);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
}

static void an_older_copy_is_refused_across_a_rotation(void **state) {
	struct test_vault *v = *state;
	char outside[96], old[96];
	(void)snprintf(outside, sizeof outside, "%s/state", v->path);
	(void)snprintf(old, sizeof old, "%s/old", v->path);
	v->options.state_directory = outside;
	test_vault_reopen(v);
	assert_rc(store_close(v->store));
	copy(v->vault, old);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_rc(store_key_rotate(v->store, "audit", NULL, NULL));
	test_vault_reopen(v); /* it knows the head by the version before, and that by the next */
	test_vault_reopen(v);
	assert_int_equal(last_head(v->store).key_version, 2);
	assert_rc(store_close(v->store));
	v->store = NULL;
	copy(old, v->vault);
	assert_int_equal(test_vault_open(v->vault, &v->options, &v->store), -ESTALE);
	assert_non_null(strstr(fault_message(), "put back to an older copy"));
	v->options.accept_restore = true;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	v->options.accept_restore = false;
	assert_rc(store_key_rotate(v->store, "audit", NULL, NULL));
	test_vault_reopen(v);
	assert_rc(verify(v->store));
	assert_int_equal(check_named(v->store), 1);
}

static void keep_notice(void *arg, const char *words) {
	(void)snprintf(arg, 512, "%s", words);
}

/* vault.json alone is an older one: what the newer version would sign nobody can, until there is a next one. */
static void after_an_older_vault_json_the_next_version_takes_over(void **state) {
	struct test_vault *v = *state;
	size_t size = 0;
	uint8_t *older = scratch_read(v->vault, STORE_HEADER_NAME, &size);
	uint32_t version = 0;
	assert_rc(store_key_rotate(v->store, "audit", NULL, NULL));
	record(v->store, 5);
	assert_rc(store_close(v->store));
	v->store = NULL;
	scratch_write(v->vault, STORE_HEADER_NAME, older, size);
	free(older);
	char words[512] = "";
	v->options.notice = keep_notice;
	v->options.notice_arg = words;
	v->options.accept_restore = true;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_non_null(strstr(words, "version 2 of its key is not in this older vault.json"));
	words[0] = '\0';
	v->options.accept_restore = false;
	record(v->store, 5);
	assert_true(last_head(v->store).checkpoint.size < store_durable_seq(v->store));
	assert_int_equal(last_head(v->store).key_version, 2);
	assert_rc(verify(v->store));
	assert_rc(store_key_rotate(v->store, "audit", NULL, &version));
	assert_int_equal(version, 3);
	assert_int_equal(last_head(v->store).key_version, 3);
	assert_rc(verify(v->store));
	struct key_chain chain = chain_of(v->store);
	assert_int_equal(chain.count, 2);
	assert_true(chain.list[1].is_broken && !chain.list[0].is_broken);
	key_chain_clear(&chain);
	test_vault_reopen(v);
	assert_rc(verify(v->store));
	assert_string_equal(words, "");
	v->options.notice = NULL;
	test_vault_reopen(v);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, setup, test_vault_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_rotation_hands_the_log_on_before_it_returns),
	        WORLD(rotations_may_follow_each_other_at_once),
	        WORLD(it_is_rotated_by_itself_when_that_was_said),
	        WORLD(a_version_without_a_record_is_found_and_handed_on_to),
	        WORLD(a_power_loss_at_any_time_leaves_a_log_that_verifies),
	        WORLD(an_older_copy_is_refused_across_a_rotation),
	        WORLD(after_an_older_vault_json_the_next_version_takes_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
