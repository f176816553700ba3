/* Each kind of slot: what opens it, what does not, what it holds, and what an altered one does. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/base/fault.h"
#include "crypto/header_impl.h"
#include "crypto/secret.h"
#include "tests/crypto/header_fixture.h"

#define FULL_KEYS "audit.1 header.1 landing.1 meta.1 project.1 raw.1 trusted.1 verdict.1"

static const char *const kept_keys[FIXTURE_SLOTS] = {
        FULL_KEYS, FULL_KEYS, FULL_KEYS, "meta.1 trusted.1", "meta.1 project.1 trusted.1"};

static void assert_same_key(const Keyring *one, const Keyring *other, const char *name, uint32_t version) {
	uint8_t key[KEYRING_KEY_BYTES], twin[KEYRING_KEY_BYTES];
	assert_int_equal(keyring_get(one, name, version, key, NULL), 0);
	assert_int_equal(keyring_get(other, name, version, twin, NULL), 0);
	assert_memory_equal(key, twin, sizeof key);
}

static void each_slot_opens_and_holds_its_keys_alone(void **state) {
	struct fixture *f = *state;
	for (int at = 0; at < FIXTURE_SLOTS; at++) {
		_cleanup_(keyring_freep) Keyring *keyring = fixture_open(f, at);
		_cleanup_(freep) char *keys = fixture_keys(keyring);
		struct key_info info;
		assert_string_equal(keys, kept_keys[at]);
		for (size_t i = 0; keyring_info(keyring, i, &info) == 0; i++)
			assert_same_key(keyring, f->keyring, info.name, info.version);
	}
	_cleanup_(keyring_freep) Keyring *analyst = fixture_open(f, FIXTURE_RECIPIENT);
	uint8_t key[KEYRING_KEY_BYTES];
	assert_int_equal(keyring_get(analyst, "raw", 0, key, NULL), -ENOKEY);
	assert_int_equal(keyring_get(analyst, "project", 1, key, NULL), -ENOKEY);
	assert_non_null(strstr(fault_message(), "does not hold the key alias/project"));
}

static void what_is_public_about_a_slot_is_shown(void **state) {
	struct fixture *f = *state;
	static const char *const types[FIXTURE_SLOTS] = {"passphrase", "recovery", "keyfile", "recipient", "kms"};
	_cleanup_(header_freep) VaultHeader *header = NULL;
	struct slot_info info;
	assert_int_equal(header_parse(bytes_of(f->json, f->size), &header), 0);
	assert_int_equal(header_slot_count(header), FIXTURE_SLOTS);
	for (size_t at = 0; at < FIXTURE_SLOTS; at++) {
		assert_int_equal(header_slot(header, at, &info), 0);
		assert_string_equal(slot_type_name(info.type), types[at]);
		assert_int_equal(info.is_limited, at >= FIXTURE_RECIPIENT);
		assert_string_equal(info.recipient, at == FIXTURE_RECIPIENT ? f->recipient : "");
		assert_int_equal(info.kms.wrapped.size, at == FIXTURE_KMS ? FIXTURE_WRAPPED_BYTES : 0);
	}
	assert_string_equal(info.kms.key, FIXTURE_ARN);
	assert_memory_equal(info.kms.wrapped.data, f->wrapped, FIXTURE_WRAPPED_BYTES);
	assert_memory_equal(header_signer(header), header_signer(f->header), SIGN_PUBLIC_BYTES);
	assert_null(slot_type_name(6));
}

static void a_wrong_secret_opens_nothing(void **state) {
	struct fixture *f = *state;
	char other[RECIPIENT_TEXT_BYTES], other_secret[RECIPIENT_SECRET_TEXT_BYTES], id[HEADER_ID_TEXT_BYTES];
	uint8_t file[HEADER_KEYFILE_MIN + 1] = {0}, kek[HEADER_KEK_BYTES];
	assert_int_equal(recipient_new(other, other_secret), 0);
	memcpy(file, f->file, sizeof f->file);
	memcpy(kek, f->kek, sizeof kek);
	kek[31] ^= 1;
	fixture_id(f, FIXTURE_RECIPIENT, id);
	const struct bytes good = bytes_of(f->kek, sizeof f->kek);
	const struct {
		struct slot_secret secret;
		int rc;
		const char *words;
	} cases[] = {
	        {{SLOT_KEYFILE, bytes_of(file, sizeof file), NULL}, -EKEYREJECTED, "wrong key file"},
	        {{SLOT_KEYFILE, bytes_of(file, 31), NULL}, -EINVAL, "from 32 to 1048576 bytes, this one 31"},
	        {{SLOT_KEYFILE, bytes_of(file, HEADER_KEYFILE_MAX + 1), NULL}, -EINVAL, "or more"},
	        {{SLOT_RECIPIENT, bytes_of_string(other_secret), NULL}, -EKEYREJECTED, "this recipient's secret"},
	        {{SLOT_RECIPIENT, bytes_of_string(f->recipient), NULL}, -EINVAL, "public text"},
	        {{SLOT_RECIPIENT, bytes_of_string(f->recovery), NULL}, -EINVAL, "begins with"},
	        {{SLOT_KMS, bytes_of(kek, sizeof kek), NULL}, -EKEYREJECTED, "KMS gave does not open"},
	        {{SLOT_KMS, bytes_of(kek, 16), NULL}, -EINVAL, "a key of 16 bytes"},
	        {{SLOT_KMS, good, id}, -ENOENT, "no kms slot"},
	        {{SLOT_KMS, good, "zz"}, -ENOENT, "no kms slot zz"},
	        {{SLOT_PASSPHRASE, bytes_of(f->file, sizeof f->file), NULL}, -EKEYREJECTED, "wrong passphrase"},
	        {{0, good, NULL}, -ENOENT, "no such slot"},
	        {{6, good, NULL}, -ENOENT, "no such slot"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		Keyring *keyring = NULL;
		int rc = header_unlock(f->header, &cases[i].secret, &keyring);
		if (rc != cases[i].rc || !strstr(fault_message(), cases[i].words))
			fail_msg("case %zu: %d, %s", i, rc, fault_message());
		assert_null(keyring);
	}
}

static void a_slot_is_found_by_its_id(void **state) {
	struct fixture *f = *state;
	const struct slot_kms kms = {.key = "arn:other", .wrapped = bytes_of("x", 1)};
	char first[HEADER_ID_TEXT_BYTES], second[HEADER_ID_TEXT_BYTES];
	size_t slot = 0;
	header_new_slot_id(second);
	fixture_id(f, FIXTURE_KMS, first);
	assert_int_equal(header_add_slot_kms(f->header, f->keyring, second, &kms, f->kek, "", NULL), 0);
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(keyring_freep) Keyring *keyring = NULL;
		struct slot_secret secret = fixture_secret(f, FIXTURE_KMS);
		secret.slot = i ? second : first;
		assert_int_equal(header_unlock_slot(f->header, &secret, &keyring, &slot), 0);
		assert_int_equal(slot, FIXTURE_KMS + i);
	}
}

/* The piece of `json` that stands between two others, both first of their kind; the caller frees. */
static char *between(const char *json, const char *from, const char *to) {
	const char *start = strstr(json, from);
	assert_non_null(start);
	start += strlen(from);
	const char *end = strstr(start, to);
	assert_non_null(end);
	return strndup(start, (size_t)(end - start));
}

/* vault.json with `from` made `to`, by the secret of slot `at`. */
static int unlock_altered(const struct fixture *f, int at, const char *from, const char *to) {
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	_cleanup_(freep) char *text = fixture_replaced(f->json, from, to);
	const struct slot_secret secret = fixture_secret(f, at);
	fault_clear();
	return fixture_unlock(text, strlen(text), &secret, &keyring);
}

/* -EKEYREJECTED: the slot itself does not open. The signature over the whole would give -EBADMSG: so these are bound to
 * the slot's own secret, which a former administrator cannot get round by signing anew. */
static void altered_public_fields_are_noticed_by_the_slot_itself(void **state) {
	struct fixture *f = *state;
	char other[RECIPIENT_TEXT_BYTES], other_secret[RECIPIENT_SECRET_TEXT_BYTES];
	assert_int_equal(recipient_new(other, other_secret), 0);
	assert_int_equal(unlock_altered(f, FIXTURE_KMS, "key/1234abcd", "key/1234abce"), -EKEYREJECTED);
	assert_int_equal(unlock_altered(f, FIXTURE_KMS, "\"arn:aws", "\"arx:aws"), -EKEYREJECTED);
	assert_int_equal(unlock_altered(f, FIXTURE_KMS, "q6urq6ur", "q6urq6us"), -EKEYREJECTED);
	assert_int_equal(unlock_altered(f, FIXTURE_KMS, "q6urq6ur", ""), -EKEYREJECTED);
	assert_int_equal(unlock_altered(f, FIXTURE_RECIPIENT, f->recipient, other), -EKEYREJECTED);
	_cleanup_(freep) char *wrapped = between(f->json, "\"wrapped\":\"", "\"");
	_cleanup_(freep) char *flipped = strdup(wrapped);
	flipped[20] = flipped[20] == 'A' ? 'B' : 'A';
	assert_int_equal(unlock_altered(f, FIXTURE_RECIPIENT, wrapped, flipped), -EKEYREJECTED);
	/* A key file's slot called a recovery key's has the right shape, and opens to neither. */
	assert_int_equal(unlock_altered(f, FIXTURE_KEYFILE, "\"type\":\"keyfile\"", "\"type\":\"recovery\""), -ENOENT);
	/* Labels are for people: the signature has them. */
	assert_int_equal(unlock_altered(f, FIXTURE_RECIPIENT, "\"label\":\"Bo\"", "\"label\":\"Jo\""), -EBADMSG);
}

static void malformed_slots_are_refused_with_words(void **state) {
	struct fixture *f = *state;
	_cleanup_(freep) char *wrapped = between(f->json, "\"wrapped\":\"", "\"");
	const struct {
		const char *from, *to;
		int rc;
		const char *words;
	} cases[] = {
	        {"\"type\":\"kms\"", "\"type\":\"tpm2\"", -ENOTSUP, "tpm2"},
	        {"\"name\":\"aws-kms\"", "\"name\":\"gcp-kms\"", -ENOTSUP, "gcp-kms"},
	        {"\"name\":\"x25519\"", "\"name\":\"x448\"", -ENOTSUP, "x448"},
	        {FIXTURE_ARN, "", -EINVAL, "from 1 to 2048"},
	        {"arn:aws", "arn: aws", -EINVAL, "without blanks"},
	        {"arn:aws", "arn:\\u00e9aws", -EINVAL, "without blanks"},
	        {"arn:aws", "arn:\\u007faws", -EINVAL, "without blanks"},
	        {"assayfs-recipient-", "assayfs-recipiend-", -EINVAL, "begins with"},
	        {wrapped, "", -EINVAL, "\"wrapped\" must be"},
	        {wrapped, "AAAA", -EINVAL, "\"wrapped\" must be 80 bytes"},
	        {"\"arn\":", "\"extra\":1,\"arn\":", -EINVAL, "extra"},
	        {"\"type\":\"recipient\"", "\"type\":\"kms\"", -EINVAL, "kdf"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int rc = unlock_altered(f, FIXTURE_PASSPHRASE, cases[i].from, cases[i].to);
		if (rc != cases[i].rc || !strstr(fault_message(), cases[i].words))
			fail_msg("%s -> %s: %d, %s", cases[i].from, cases[i].to, rc, fault_message());
	}
}

/* Signs the header anew with the vault's own key, as a former administrator could. */
static void sign_again(struct fixture *f, VaultHeader *header) {
	_cleanup_(secret_key_wipe) struct secret_key seed;
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	assert_int_equal(keyring_get(f->keyring, "header", 0, seed.bytes, NULL), 0);
	assert_int_equal(header_signed_bytes(header, &text, &size), 0);
	sign_make(seed.bytes, bytes_of(text, size), header->signature);
	assert_int_equal(header_verify(header, f->keyring), 0);
}

/* The rc of unlocking `header`, signed again, by the secret of slot `at`. */
static int unlock_signed(struct fixture *f, VaultHeader *header, int at) {
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	const struct slot_secret secret = fixture_secret(f, at);
	sign_again(f, header);
	return header_unlock(header, &secret, &keyring);
}

static VaultHeader *parsed(const struct fixture *f) {
	VaultHeader *header = NULL;
	assert_int_equal(header_parse(bytes_of(f->json, f->size), &header), 0);
	return header;
}

static void boxes_stay_in_their_slot_and_under_their_name(void **state) {
	struct fixture *f = *state;
	_cleanup_(header_freep) VaultHeader *untouched = parsed(f), *moved = parsed(f), *renamed = parsed(f);
	assert_int_equal(unlock_signed(f, untouched, FIXTURE_RECIPIENT), 0);
	/* The kms slot's box of "meta" in the recipient's slot. */
	moved->slots[FIXTURE_RECIPIENT].boxes[0] = moved->slots[FIXTURE_KMS].boxes[0];
	assert_int_equal(unlock_signed(f, moved, FIXTURE_RECIPIENT), -EBADMSG);
	assert_int_equal(unlock_signed(f, moved, FIXTURE_KMS), 0);
	/* The box of "meta" called "trusted", and the other way. */
	struct box *boxes = renamed->slots[FIXTURE_RECIPIENT].boxes;
	uint8_t data[BOX_BYTES];
	memcpy(data, boxes[0].data, sizeof data);
	memcpy(boxes[0].data, boxes[1].data, sizeof data);
	memcpy(boxes[1].data, data, sizeof data);
	assert_int_equal(unlock_signed(f, renamed, FIXTURE_RECIPIENT), -EBADMSG);
	assert_non_null(strstr(fault_message(), "does not open"));
}

static void swapped_ids_and_sealed_parts_do_not_open(void **state) {
	struct fixture *f = *state;
	_cleanup_(header_freep) VaultHeader *ids = parsed(f), *parts = parsed(f);
	struct slot *slots = ids->slots;
	uint8_t id[HEADER_ID_BYTES];
	memcpy(id, slots[FIXTURE_RECIPIENT].id, sizeof id);
	memcpy(slots[FIXTURE_RECIPIENT].id, slots[FIXTURE_KMS].id, sizeof id);
	memcpy(slots[FIXTURE_KMS].id, id, sizeof id);
	assert_int_equal(unlock_signed(f, ids, FIXTURE_RECIPIENT), -EKEYREJECTED);
	assert_int_equal(unlock_signed(f, ids, FIXTURE_KMS), -EKEYREJECTED);
	/* The full slot's key pair and boxes for the limited one: its sealed part is not theirs. */
	struct slot *from = &parts->slots[FIXTURE_KEYFILE], *to = &parts->slots[FIXTURE_KMS];
	memcpy(to->public_key, from->public_key, sizeof to->public_key);
	assert_int_equal(unlock_signed(f, parts, FIXTURE_KMS), -EKEYREJECTED);
	memcpy(to->sealed, from->sealed, sizeof to->sealed);
	memcpy(to->nonce, from->nonce, sizeof to->nonce);
	assert_int_equal(unlock_signed(f, parts, FIXTURE_KMS), -EKEYREJECTED);
}

/* Every byte, by each secret that costs no Argon2id. */
static void a_change_of_any_byte_is_noticed(void **state) {
	static const uint8_t flips[] = {0x01, 0x20, 0x80};
	struct fixture *f = *state;
	size_t unnoticed = 0;
	for (size_t at = 0; at < f->size; at++) {
		_cleanup_(header_freep) VaultHeader *header = NULL;
		uint8_t flip = flips[at % sizeof flips];
		f->json[at] = (char)(f->json[at] ^ flip);
		bool parses = header_parse(bytes_of(f->json, f->size), &header) == 0;
		for (int slot = FIXTURE_KEYFILE; parses && slot < FIXTURE_SLOTS; slot++) {
			_cleanup_(keyring_freep) Keyring *keyring = NULL;
			const struct slot_secret secret = fixture_secret(f, slot);
			unnoticed += header_unlock(header, &secret, &keyring) == 0;
		}
		f->json[at] = (char)(f->json[at] ^ flip);
	}
	assert_int_equal(unnoticed, 0);
}

static void slots_that_make_no_sense_are_not_made(void **state) {
	struct fixture *f = *state;
	_cleanup_(freep) uint8_t *large = calloc(1, HEADER_KEYFILE_MAX + 1);
	char arn[HEADER_KMS_KEY_MAX + 2], id[HEADER_ID_TEXT_BYTES];
	assert_non_null(large);
	memset(arn, 'a', sizeof arn - 1);
	arn[sizeof arn - 1] = '\0';
	header_new_slot_id(id);
	const struct bytes some = bytes_of(large, 1), most = bytes_of(large, HEADER_KMS_WRAPPED_MAX);
	const struct slot_kms bad[] = {
	        {"", some},
	        {"a b", some},
	        {"a\nb", some},
	        {arn, some},
	        {"arn", bytes_of(large, 0)},
	        {"arn", bytes_of(large, HEADER_KMS_WRAPPED_MAX + 1)},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(header_add_slot_kms(f->header, f->keyring, id, &bad[i], f->kek, "", NULL), -EINVAL);
	arn[HEADER_KMS_KEY_MAX] = '\0';
	const struct slot_kms good = {arn, most};
	assert_int_equal(header_add_slot_kms(f->header, f->keyring, "zz", &good, f->kek, "", NULL), -EINVAL);
	assert_int_equal(header_add_slot_kms(f->header, f->keyring, id, &good, f->kek, "", NULL), 0);
	assert_int_equal(header_add_slot_kms(f->header, f->keyring, id, &good, f->kek, "", NULL), -EEXIST);
	assert_int_equal(
	        header_add_slot_keyfile(f->header, f->keyring, bytes_of(large, HEADER_KEYFILE_MIN - 1), "", NULL),
	        -EINVAL);
	assert_int_equal(
	        header_add_slot_keyfile(f->header, f->keyring, bytes_of(large, HEADER_KEYFILE_MAX + 1), "", NULL),
	        -EINVAL);
	assert_int_equal(
	        header_add_slot_keyfile(f->header, f->keyring, bytes_of(large, HEADER_KEYFILE_MAX), "", NULL), 0);
	assert_int_equal(header_add_slot_recipient(f->header, f->keyring, f->recipient, "", NULL), -EEXIST);
	assert_int_equal(header_add_slot_recipient(f->header, f->keyring, f->secret, "", NULL), -EINVAL);
	assert_int_equal(header_slot_count(f->header), FIXTURE_SLOTS + 2);

	_cleanup_(keyring_freep) Keyring *by_file = NULL, *by_kms = fixture_open(f, FIXTURE_KMS);
	const struct slot_secret file = {.type = SLOT_KEYFILE, .value = bytes_of(large, HEADER_KEYFILE_MAX)};
	assert_int_equal(fixture_unlock(f->json, f->size, &file, &by_file), 0);
}

static int add_with(struct fixture *f, const char *const *names, size_t count) {
	const struct slot_wants wants = {.names = names, .count = count};
	return header_add_slot_passphrase(f->header, f->keyring, bytes_of_string("second"), "", &fixture_cheap, &wants);
}

static void wants_that_make_no_sense_are_refused(void **state) {
	struct fixture *f = *state;
	static const char *const unknown[] = {"meta", "nobody"}, *const header[] = {"meta", "header"};
	assert_int_equal(add_with(f, unknown, 2), -ENOKEY);
	assert_non_null(strstr(fault_message(), "alias/nobody"));
	assert_int_equal(add_with(f, header, 2), -EINVAL);
	assert_int_equal(add_with(f, unknown, 0), -EINVAL);
	assert_int_equal(header_slot_count(f->header), FIXTURE_SLOTS);
	assert_int_equal(add_with(f, unknown, 1), 0);

	/* Nobody could ever administer a vault whose first slot is limited. */
	_cleanup_(header_freep) VaultHeader *first = NULL;
	const struct slot_wants wants = {.names = unknown, .count = 1};
	assert_int_equal(header_create(AEAD_AES256GCM, FIXTURE_CREATED, &first), 0);
	assert_int_equal(header_add_slot_keyfile(first, f->keyring, bytes_of(f->file, 32), "", &wants), -EINVAL);
	assert_int_equal(header_slot_count(first), 0);
}

static void a_limited_slot_cannot_change_the_header(void **state) {
	struct fixture *f = *state;
	_cleanup_(keyring_freep) Keyring *analyst = fixture_open(f, FIXTURE_RECIPIENT);
	const struct bytes file = bytes_of(f->file, sizeof f->file);
	char id[HEADER_ID_TEXT_BYTES], text[RECOVERY_TEXT_BYTES];
	fixture_id(f, FIXTURE_RECIPIENT, id);
	assert_int_equal(header_add_slot_keyfile(f->header, analyst, file, "", NULL), -ENOKEY);
	assert_non_null(strstr(fault_message(), "is limited"));
	assert_int_equal(header_add_slot_recovery(f->header, analyst, "", text), -ENOKEY);
	assert_int_equal(header_remove_slot(f->header, analyst, id), -ENOKEY);
	assert_int_equal(keyring_rotate(analyst, "trusted", NULL), 0);
	assert_int_equal(header_update(f->header, analyst), -ENOKEY);
	assert_int_equal(header_delete_key(f->header, analyst, "trusted"), -ENOKEY);
	_cleanup_(freep) char *before = strdup(f->json);
	fixture_serialize(f);
	assert_string_equal(f->json, before);
}

static void limited_slots_stay_limited(void **state) {
	struct fixture *f = *state;
	for (uint32_t round = 0; round < 2; round++) {
		assert_int_equal(keyring_rotate(f->keyring, "trusted", NULL), 0);
		assert_int_equal(keyring_rotate(f->keyring, "raw", NULL), 0);
		assert_int_equal(keyring_rotate(f->keyring, "header", NULL), 0);
		assert_int_equal(keyring_create(f->keyring, round ? "other" : "another", KEY_SECRET), 0);
		assert_int_equal(header_update(f->header, f->keyring), 0);
	}
	_cleanup_(keyring_freep) Keyring *analyst = fixture_open(f, FIXTURE_RECIPIENT),
	                                 *kms = fixture_open(f, FIXTURE_KMS);
	_cleanup_(keyring_freep) Keyring *full = fixture_open(f, FIXTURE_KEYFILE);
	_cleanup_(freep) char *analyst_keys = fixture_keys(analyst), *kms_keys = fixture_keys(kms);
	_cleanup_(freep) char *all = fixture_keys(f->keyring), *full_keys = fixture_keys(full);
	assert_string_equal(analyst_keys, "meta.1 trusted.1 trusted.2 trusted.3");
	assert_string_equal(kms_keys, "meta.1 project.1 trusted.1 trusted.2 trusted.3");
	assert_string_equal(full_keys, all);
	assert_same_key(analyst, f->keyring, "trusted", 3);
}

static void who_administers_is_not_removed_last(void **state) {
	struct fixture *f = *state;
	char id[HEADER_ID_TEXT_BYTES];
	for (int i = 0; i < 2; i++) {
		fixture_id(f, 0, id);
		assert_int_equal(header_remove_slot(f->header, f->keyring, id), 0);
	}
	fixture_id(f, 0, id);
	assert_int_equal(header_remove_slot(f->header, f->keyring, id), -EBUSY);
	assert_non_null(strstr(fault_message(), "the last one that may change vault.json"));
	fixture_id(f, 1, id);
	assert_int_equal(header_remove_slot(f->header, f->keyring, id), 0);
	fixture_id(f, 0, id);
	assert_int_equal(header_remove_slot(f->header, f->keyring, id), -EBUSY);
	fixture_id(f, 1, id);
	assert_int_equal(header_remove_slot(f->header, f->keyring, id), 0);
	fixture_id(f, 0, id);
	assert_int_equal(header_remove_slot(f->header, f->keyring, id), -EBUSY);
	assert_non_null(strstr(fault_message(), "the last one: without it nobody"));
}

/* With the vault.json of before the removed recipient opens what they always could, and nothing that came after. */
static void a_removed_recipient_is_out_after_a_rotation(void **state) {
	struct fixture *f = *state;
	const struct slot_secret secret = fixture_secret(f, FIXTURE_RECIPIENT);
	_cleanup_(freep) char *before = strdup(f->json);
	_cleanup_(keyring_freep) Keyring *old = NULL, *new = NULL;
	char id[HEADER_ID_TEXT_BYTES];
	uint8_t key[KEYRING_KEY_BYTES];
	fixture_id(f, FIXTURE_RECIPIENT, id);
	assert_int_equal(header_remove_slot(f->header, f->keyring, id), 0);
	assert_int_equal(keyring_rotate(f->keyring, "trusted", NULL), 0);
	assert_int_equal(keyring_rotate(f->keyring, "meta", NULL), 0);
	assert_int_equal(header_update(f->header, f->keyring), 0);
	fixture_serialize(f);

	assert_int_equal(fixture_unlock(f->json, f->size, &secret, &new), -ENOENT);
	assert_int_equal(fixture_unlock(before, strlen(before), &secret, &old), 0);
	_cleanup_(freep) char *keys = fixture_keys(old);
	assert_string_equal(keys, "meta.1 trusted.1");
	assert_same_key(old, f->keyring, "trusted", 1);
	assert_int_equal(keyring_get(old, "trusted", 2, key, NULL), -ENOKEY);
	assert_int_equal(keyring_get(f->keyring, "trusted", 2, key, NULL), 0);
	/* Nor do the old slot's boxes come back by way of the old file: it is not what is signed now. */
	_cleanup_(header_freep) VaultHeader *stale = NULL;
	assert_int_equal(header_parse(bytes_of_string(before), &stale), 0);
	assert_true(header_generation(stale) < header_generation(f->header));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_make, fixture_unmake)
	const struct CMUnitTest tests[] = {
	        TEST(each_slot_opens_and_holds_its_keys_alone),
	        TEST(what_is_public_about_a_slot_is_shown),
	        TEST(a_wrong_secret_opens_nothing),
	        TEST(a_slot_is_found_by_its_id),
	        TEST(altered_public_fields_are_noticed_by_the_slot_itself),
	        TEST(malformed_slots_are_refused_with_words),
	        TEST(boxes_stay_in_their_slot_and_under_their_name),
	        TEST(swapped_ids_and_sealed_parts_do_not_open),
	        TEST(a_change_of_any_byte_is_noticed),
	        TEST(slots_that_make_no_sense_are_not_made),
	        TEST(wants_that_make_no_sense_are_refused),
	        TEST(a_limited_slot_cannot_change_the_header),
	        TEST(limited_slots_stay_limited),
	        TEST(who_administers_is_not_removed_last),
	        TEST(a_removed_recipient_is_out_after_a_rotation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
