/* Slots of an open vault: each kind opens what it is for, and nothing else. */
#include "backend/audit.h"
#include "backend/fsck.h"
#include "backend/store_internal.h"
#include "backend/store_keys.h"
#include "crypto/base/fault.h"
#include "crypto/recipient.h"
#include "tests/backend/gc_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASSPHRASE "another one"

static const struct actor someone = {.uid = 1234, .exe = "test"};
static const struct header_kdf cheap = {.memory = HEADER_KDF_MEMORY_MIN, .passes = 1};
static const uint8_t keyfile[HEADER_KEYFILE_MIN] = "thirty-two bytes of a key file..";
static const uint8_t kek[HEADER_KEK_BYTES] = "thirty-two bytes of a KEK......";

static void close_vault(struct test_vault *v) {
	assert_rc(store_close(v->store));
	v->store = NULL;
}

static int try_open(struct test_vault *v, const struct store_secret *secret, bool read_only) {
	struct store_options options = v->options;
	options.read_only = read_only;
	return store_open(v->vault, secret, &options, &v->store);
}

/* Opens, reads, closes. */
static void expect_opens(struct test_vault *v, const struct store_secret *secret, uint64_t node) {
	assert_rc(try_open(v, secret, false));
	assert_rc(gc_try_file(v, node));
	close_vault(v);
}

struct seen {
	size_t count, ours, limited;
	char our_id[HEADER_ID_TEXT_BYTES], last[HEADER_ID_TEXT_BYTES], label[HEADER_LABEL_BYTES];
	Store *store;
	char keys[256]; /* of the last one */
};

static int see_key(void *arg, const struct key_info *key) {
	struct seen *seen = arg;
	strcat(strcat(seen->keys, key->name), " ");
	return 0;
}

static int see_slot(void *arg, const struct slot_info *slot, size_t index, bool is_ours) {
	struct seen *seen = arg;
	assert_int_equal(index, seen->count);
	seen->count++;
	seen->ours += is_ours;
	seen->limited += slot->is_limited;
	if (is_ours)
		memcpy(seen->our_id, slot->id, sizeof seen->our_id);
	memcpy(seen->last, slot->id, sizeof seen->last);
	memcpy(seen->label, slot->label, sizeof seen->label);
	seen->keys[0] = '\0';
	return store_slot_keys(seen->store, index, see_key, seen);
}

static struct seen slots_of(struct test_vault *v) {
	struct seen seen = {.store = v->store};
	assert_rc(store_slot_list(v->store, see_slot, &seen));
	return seen;
}

static void each_kind_of_slot_opens(void **state) {
	struct test_vault *v = *state;
	char id[5][HEADER_ID_TEXT_BYTES], recovery[RECOVERY_TEXT_BYTES], secret[RECIPIENT_SECRET_TEXT_BYTES],
	        public[RECIPIENT_TEXT_BYTES];
	uint64_t node = gc_file(v, NODE_LANDING, "a", 1);
	struct store_slot_request request = {
	        .type = SLOT_PASSPHRASE, .label = "desk", .secret = bytes_of_string(PASSPHRASE), .kdf = &cheap};
	assert_rc(store_slot_add(v->store, &request, &someone, id[0], NULL));
	request = (struct store_slot_request){.type = SLOT_RECOVERY, .label = ""};
	assert_rc(store_slot_add(v->store, &request, &someone, id[1], recovery));
	request = (struct store_slot_request){
	        .type = SLOT_KEYFILE, .label = "", .secret = bytes_of(keyfile, sizeof keyfile)};
	assert_rc(store_slot_add(v->store, &request, &someone, id[2], NULL));
	assert_rc(recipient_new(public, secret));
	request = (struct store_slot_request){.type = SLOT_RECIPIENT, .label = "", .recipient = public};
	assert_rc(store_slot_add(v->store, &request, &someone, id[3], NULL));
	header_new_slot_id(id[4]);
	char kms_id[HEADER_ID_TEXT_BYTES];
	memcpy(kms_id, id[4], sizeof kms_id);
	request = (struct store_slot_request){.type = SLOT_KMS,
	        .label = "the cloud's",
	        .id = kms_id,
	        .kms = {.key = "arn:aws:kms:eu-west-1:111122223333:key/abc", .wrapped = bytes_of_string("wrapped")},
	        .kek = kek};
	assert_rc(store_slot_add(v->store, &request, &someone, id[4], NULL));
	assert_string_equal(id[4], kms_id);
	struct seen seen = slots_of(v);
	assert_int_equal(seen.count, 7);
	assert_int_equal(seen.ours, 1);
	assert_int_equal(seen.limited, 0);
	assert_string_equal(seen.last, kms_id);
	assert_string_equal(seen.label, "the cloud's");
	assert_int_equal(test_vault_records(v, "slot-add", NULL), 5);
	close_vault(v);
	expect_opens(v, &(struct store_secret){STORE_PASSPHRASE, bytes_of_string(PASSPHRASE), NULL}, node);
	expect_opens(v, &(struct store_secret){STORE_RECOVERY_KEY, bytes_of_string(recovery), NULL}, node);
	expect_opens(v, &(struct store_secret){STORE_KEYFILE, bytes_of(keyfile, sizeof keyfile), NULL}, node);
	expect_opens(v, &(struct store_secret){STORE_RECIPIENT, bytes_of_string(secret), NULL}, node);
	expect_opens(v, &(struct store_secret){STORE_KEK, bytes_of(kek, sizeof kek), kms_id}, node);
	assert_int_equal(
	        try_open(v, &(struct store_secret){STORE_KEK, bytes_of(kek, sizeof kek), id[2]}, false), -ENOENT);
	assert_int_equal(try_open(v, &(struct store_secret){STORE_PASSPHRASE, bytes_of_string("no"), NULL}, false),
	        -EKEYREJECTED);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

static void a_removed_slot_opens_nothing(void **state) {
	struct test_vault *v = *state;
	char id[HEADER_ID_TEXT_BYTES];
	struct store_slot_request request = {
	        .type = SLOT_PASSPHRASE, .label = "", .secret = bytes_of_string(PASSPHRASE), .kdf = &cheap};
	assert_rc(store_slot_add(v->store, &request, &someone, id, NULL));
	assert_int_equal(store_slot_remove(v->store, "abc", &someone), -EINVAL);
	assert_int_equal(store_slot_remove(v->store, "zzzz", &someone), -ENOENT);
	char beginning[9] = "";
	memcpy(beginning, id, 8);
	assert_rc(store_slot_remove(v->store, beginning, &someone));
	assert_int_equal(slots_of(v).count, 2);
	assert_int_equal(test_vault_records(v, "slot-remove", NULL), 1);
	assert_rc(store_slot_remove(v->store, slots_of(v).last, &someone)); /* the recovery key's */
	assert_int_equal(store_slot_remove(v->store, slots_of(v).our_id, &someone), -EBUSY);
	close_vault(v);
	assert_int_equal(
	        try_open(v, &(struct store_secret){STORE_PASSPHRASE, bytes_of_string(PASSPHRASE), NULL}, false),
	        -EKEYREJECTED);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

static void a_new_version_reaches_each_slot(void **state) {
	struct test_vault *v = *state;
	char id[HEADER_ID_TEXT_BYTES];
	struct store_slot_request request = {
	        .type = SLOT_KEYFILE, .label = "", .secret = bytes_of(keyfile, sizeof keyfile)};
	assert_rc(store_slot_add(v->store, &request, &someone, id, NULL));
	assert_rc(store_key_rotate(v->store, "landing", NULL, NULL));
	uint64_t node = gc_file(v, NODE_LANDING, "a", 1);
	close_vault(v);
	expect_opens(v, &(struct store_secret){STORE_KEYFILE, bytes_of(keyfile, sizeof keyfile), NULL}, node);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

/* Who removes one of two slots of a secret would believe that it opens nothing any more. */
static void a_secret_that_opens_already_is_refused(void **state) {
	struct test_vault *v = *state;
	char id[HEADER_ID_TEXT_BYTES], first[HEADER_ID_TEXT_BYTES];
	struct store_slot_request requests[] = {
	        {.type = SLOT_PASSPHRASE, .label = "Bo", .secret = bytes_of_string(PASSPHRASE), .kdf = &cheap},
	        {.type = SLOT_KEYFILE, .label = "Bo", .secret = bytes_of(keyfile, sizeof keyfile)}};
	for (size_t i = 0; i < 2; i++) {
		assert_rc(store_slot_add(v->store, &requests[i], &someone, first, NULL));
		const size_t count = slots_of(v).count;
		requests[i].label = "again";
		requests[i].zones = (uint32_t)i << ZONE_RAW;
		assert_int_equal(store_slot_add(v->store, &requests[i], &someone, id, NULL), -EEXIST);
		first[8] = '\0';
		assert_non_null(strstr(fault_message(), first));
		assert_non_null(strstr(fault_message(), "Bo"));
		assert_int_equal(slots_of(v).count, count);
		/* When that is gone it may come again. */
		assert_rc(store_slot_remove(v->store, first, &someone));
		assert_rc(store_slot_add(v->store, &requests[i], &someone, id, NULL));
	}
	requests[0].secret = bytes_of_string(TEST_PASSPHRASE);
	assert_int_equal(store_slot_add(v->store, &requests[0], &someone, id, NULL), -EEXIST);
	/* A key file that holds the passphrase is another secret. */
	uint8_t file[HEADER_KEYFILE_MIN] = PASSPHRASE;
	requests[1].secret = bytes_of(file, sizeof file);
	assert_rc(store_slot_add(v->store, &requests[1], &someone, id, NULL));
	assert_int_equal(test_vault_records(v, "slot-add", NULL), 5);
}

static int no_finding(void *arg, const struct fsck_finding *finding) {
	(void)arg;
	return fault(EBADMSG, "fsck: %s: %s", finding->file, finding->words);
}

static void a_limited_slot_reads_its_zones_and_changes_nothing(void **state) {
	struct test_vault *v = *state;
	char id[HEADER_ID_TEXT_BYTES], recovery[RECOVERY_TEXT_BYTES];
	const struct store_secret secret = {STORE_KEYFILE, bytes_of(keyfile, sizeof keyfile), NULL};
	uint64_t raw = gc_file(v, NODE_RAW, "a", 1), landing = gc_file(v, NODE_LANDING, "b", 2);
	struct store_slot_request request = {.type = SLOT_RECOVERY, .label = "", .zones = 1u << ZONE_RAW};
	assert_int_equal(store_slot_add(v->store, &request, &someone, id, recovery), -EINVAL);
	request = (struct store_slot_request){
	        .type = SLOT_KEYFILE, .label = "", .secret = bytes_of(keyfile, sizeof keyfile), .zones = 1u << 9};
	assert_int_equal(store_slot_add(v->store, &request, &someone, id, NULL), -EINVAL);
	request.zones = 1u << ZONE_RAW;
	assert_rc(store_slot_add(v->store, &request, &someone, id, NULL));
	assert_int_equal(slots_of(v).limited, 1);
	assert_string_equal(slots_of(v).keys, "meta raw ");
	/* It gets what is new of the names that it holds, and so opens what the metadata are under then. */
	assert_rc(store_key_rotate(v->store, "meta", &someone, NULL));
	assert_rc(store_key_rotate(v->store, "landing", &someone, NULL));
	close_vault(v);
	assert_int_equal(try_open(v, &secret, false), -EACCES);
	assert_non_null(strstr(fault_message(), "for reading"));
	struct fsck_summary sum;
	assert_rc(fsck_run(v->vault, &secret, no_finding, NULL, &sum));
	assert_int_equal(sum.locked, 1);
	assert_int_equal(sum.segments, 1);
	char state_directory[80];
	(void)snprintf(state_directory, sizeof state_directory, "%s/state", v->path);
	v->options.state_directory = state_directory;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store)); /* remembers the log's head */
	close_vault(v);
	assert_rc(try_open(v, &secret, true));
	v->options.state_directory = NULL;
	assert_rc(gc_try_file(v, raw));
	assert_int_equal(gc_try_file(v, landing), -ENOKEY);
	assert_int_equal(store_key_rotate(v->store, "raw", &someone, NULL), -ENOKEY);
	assert_int_equal(store_slot_remove(v->store, id, &someone), -ENOKEY);
	assert_string_equal(slots_of(v).our_id, id);
	assert_rc(store_lock(v->store, &someone));
	assert_int_equal(gc_try_file(v, raw), -EACCES);
	assert_rc(store_unlock(v->store, &secret, &someone));
	assert_rc(gc_try_file(v, raw));
	/* A full slot gives it no more than it had. */
	assert_rc(store_lock(v->store, &someone));
	assert_rc(store_unlock(
	        v->store, &(struct store_secret){STORE_PASSPHRASE, bytes_of_string(TEST_PASSPHRASE), NULL}, &someone));
	assert_rc(gc_try_file(v, raw));
	assert_int_equal(gc_try_file(v, landing), -ENOKEY);
	close_vault(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, gc_fixture_setup, test_vault_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(each_kind_of_slot_opens),
	        TEST(a_removed_slot_opens_nothing),
	        TEST(a_new_version_reaches_each_slot),
	        TEST(a_secret_that_opens_already_is_refused),
	        TEST(a_limited_slot_reads_its_zones_and_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
