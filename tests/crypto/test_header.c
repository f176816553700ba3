#include "crypto/header.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/base/fault.h"
#include "crypto/secret.h"

/* The least that Argon2id takes, so that thousands of unlocks fit in a test. */
static const struct header_kdf cheap = {.memory = HEADER_KDF_MEMORY_MIN, .passes = 1};

#define CREATED INT64_C(1795428000)

/* A vault with a passphrase slot ("right") and a recovery slot. */
struct vault {
	VaultHeader *header;
	Keyring *keyring;
	char recovery[RECOVERY_TEXT_BYTES];
	char *json;
	size_t size;
};

static void serialize(struct vault *vault) {
	free(vault->json);
	vault->json = NULL;
	assert_int_equal(header_serialize(vault->header, &vault->json, &vault->size), 0);
}

static int make(void **state) {
	struct vault *vault = calloc(1, sizeof *vault);
	assert_non_null(vault);
	assert_int_equal(keyring_new_vault(&vault->keyring), 0);
	assert_int_equal(header_create(AEAD_AES256GCM, CREATED, &vault->header), 0);
	assert_int_equal(header_add_slot_passphrase(
	                         vault->header, vault->keyring, bytes_of_string("right"), "Ann's", &cheap, NULL),
	        0);
	assert_int_equal(header_add_slot_recovery(vault->header, vault->keyring, "paper", vault->recovery), 0);
	serialize(vault);
	*state = vault;
	return 0;
}

/* One slot of each type, but only two keys, so that every byte can be tried. */
static int make_small(void **state) {
	struct vault *vault = calloc(1, sizeof *vault);
	assert_non_null(vault);
	assert_int_equal(keyring_new(&vault->keyring), 0);
	assert_int_equal(keyring_create(vault->keyring, "header", KEY_ED25519), 0);
	assert_int_equal(keyring_create(vault->keyring, "raw", KEY_SECRET), 0);
	assert_int_equal(header_create(AEAD_AES256GCM, CREATED, &vault->header), 0);
	assert_int_equal(
	        header_add_slot_passphrase(vault->header, vault->keyring, bytes_of_string("right"), "", &cheap, NULL),
	        0);
	assert_int_equal(header_add_slot_recovery(vault->header, vault->keyring, "", vault->recovery), 0);
	serialize(vault);
	*state = vault;
	return 0;
}

static int unmake(void **state) {
	struct vault *vault = *state;
	header_free(vault->header);
	keyring_free(vault->keyring);
	free(vault->json);
	free(vault);
	return 0;
}

static int unlock_header(const VaultHeader *header, enum slot_type type, const char *text, Keyring **ret_keyring) {
	const struct slot_secret secret = {.type = type, .value = bytes_of_string(text)};
	return header_unlock(header, &secret, ret_keyring);
}

/* Parses the bytes and unlocks them: what a mount does. */
static int unlock_bytes(const char *json, size_t size, enum slot_type type, const char *text, Keyring **ret_keyring) {
	_cleanup_(header_freep) VaultHeader *header = NULL;
	int rc = header_parse(bytes_of(json, size), &header);
	return rc < 0 ? rc : unlock_header(header, type, text, ret_keyring);
}

static void assert_same_keys(const Keyring *one, const Keyring *other) {
	struct key_info info;
	assert_int_equal(keyring_count(one), keyring_count(other));
	for (size_t i = 0; keyring_info(one, i, &info) == 0; i++) {
		struct key_info twin;
		uint8_t key[32], twin_key[32];
		assert_int_equal(keyring_info(other, i, &twin), 0);
		assert_string_equal(info.name, twin.name);
		assert_int_equal(info.version, twin.version);
		assert_int_equal(info.kind, twin.kind);
		assert_int_equal(info.state, twin.state);
		assert_int_equal(keyring_get(one, info.name, info.version, key, NULL), 0);
		assert_int_equal(keyring_get(other, info.name, info.version, twin_key, NULL), 0);
		assert_memory_equal(key, twin_key, sizeof key);
	}
}

/* The current key `name`, the same in both. */
static void assert_same_current(const Keyring *one, const Keyring *other, const char *name) {
	uint8_t key[32], twin_key[32];
	uint32_t version, twin_version;
	assert_int_equal(keyring_get(one, name, 0, key, &version), 0);
	assert_int_equal(keyring_get(other, name, 0, twin_key, &twin_version), 0);
	assert_int_equal(version, twin_version);
	assert_memory_equal(key, twin_key, sizeof key);
}

static void each_slot_unlocks_the_same_keys(void **state) {
	struct vault *vault = *state;
	_cleanup_(keyring_freep) Keyring *by_passphrase = NULL, *by_recovery = NULL;
	assert_int_equal(unlock_bytes(vault->json, vault->size, SLOT_PASSPHRASE, "right", &by_passphrase), 0);
	assert_int_equal(unlock_bytes(vault->json, vault->size, SLOT_RECOVERY, vault->recovery, &by_recovery), 0);
	assert_same_keys(vault->keyring, by_passphrase);
	assert_same_keys(vault->keyring, by_recovery);
}

static void what_was_written_reads_back_the_same(void **state) {
	struct vault *vault = *state;
	_cleanup_(header_freep) VaultHeader *header = NULL;
	_cleanup_(freep) char *again = NULL;
	size_t size = 0;
	struct slot_info slot;
	assert_int_equal(header_parse(bytes_of(vault->json, vault->size), &header), 0);
	assert_int_equal(header_format(header), HEADER_FORMAT);
	assert_int_equal(header_generation(header), 2);
	assert_int_equal(header_cipher(header), AEAD_AES256GCM);
	assert_int_equal(header_created(header), CREATED);
	assert_string_equal(header_vault_id_text(header), header_vault_id_text(vault->header));
	assert_int_equal(header_slot_count(header), 2);
	assert_int_equal(header_slot(header, 0, &slot), 0);
	assert_int_equal(slot.type, SLOT_PASSPHRASE);
	assert_string_equal(slot.label, "Ann's");
	assert_int_equal(slot.kdf.memory, cheap.memory);
	assert_int_equal(slot.key_count, 7);
	assert_int_equal(header_slot(header, 2, &slot), -ENOENT);
	assert_int_equal(header_serialize(header, &again, &size), 0);
	assert_int_equal(size, vault->size);
	assert_memory_equal(again, vault->json, size);
}

static void a_wrong_secret_is_told_from_a_mistyped_one(void **state) {
	struct vault *vault = *state;
	Keyring *keyring = NULL;
	assert_int_equal(unlock_bytes(vault->json, vault->size, SLOT_PASSPHRASE, "wrong", &keyring), -EKEYREJECTED);
	assert_string_equal(fault_message(), "wrong passphrase");
	assert_int_equal(unlock_bytes(vault->json, vault->size, SLOT_PASSPHRASE, "", &keyring), -EKEYREJECTED);
	const uint8_t other[RECOVERY_KEY_BYTES] = {1};
	char text[RECOVERY_TEXT_BYTES];
	recovery_encode(other, text);
	assert_int_equal(unlock_bytes(vault->json, vault->size, SLOT_RECOVERY, text, &keyring), -EKEYREJECTED);
	text[0] = text[0] == '2' ? '3' : '2';
	assert_int_equal(unlock_bytes(vault->json, vault->size, SLOT_RECOVERY, text, &keyring), -EINVAL);
	assert_null(keyring);
}

/* The bits are those that turn letters into other letters, digits and blanks; 0x80 is no longer UTF-8. */
static void a_change_of_any_byte_is_noticed(void **state) {
	static const uint8_t flips[] = {0x01, 0x02, 0x20, 0x80};
	struct vault *vault = *state;
	size_t unnoticed = 0;
	for (size_t at = 0; at < vault->size; at++)
		for (size_t i = 0; i < sizeof flips; i++) {
			_cleanup_(keyring_freep) Keyring *keyring = NULL;
			vault->json[at] = (char)(vault->json[at] ^ flips[i]);
			if (unlock_bytes(vault->json, vault->size, SLOT_PASSPHRASE, "right", &keyring) == 0) {
				print_error("byte %zu flipped by %02x goes unnoticed\n", at, flips[i]);
				unnoticed++;
			}
			vault->json[at] = (char)(vault->json[at] ^ flips[i]);
		}
	assert_int_equal(unnoticed, 0);
}

static void a_byte_more_or_less_is_noticed(void **state) {
	struct vault *vault = *state;
	for (size_t at = 0; at <= vault->size; at++) {
		_cleanup_(freep) char *longer = malloc(vault->size + 1);
		_cleanup_(keyring_freep) Keyring *keyring = NULL;
		assert_non_null(longer);
		memcpy(longer, vault->json, at);
		longer[at] = ' ';
		memcpy(longer + at + 1, vault->json + at, vault->size - at);
		assert_true(unlock_bytes(longer, vault->size + 1, SLOT_PASSPHRASE, "right", &keyring) < 0);
		assert_true(at == vault->size || unlock_bytes(vault->json, at, SLOT_PASSPHRASE, "right", &keyring) < 0);
	}
}

/* `json` with the first `from` replaced by `to`; the caller frees. */
static char *replaced(const char *json, const char *from, const char *to) {
	const char *at = strstr(json, from);
	assert_non_null(at);
	char *text = NULL;
	assert_true(asprintf(&text, "%.*s%s%s", (int)(at - json), json, to, at + strlen(from)) > 0);
	return text;
}

static int parse_replaced(const char *json, const char *from, const char *to) {
	_cleanup_(header_freep) VaultHeader *header = NULL;
	_cleanup_(freep) char *text = replaced(json, from, to);
	return header_parse(bytes_of_string(text), &header);
}

static void bad_headers_are_refused_with_words(void **state) {
	struct vault *vault = *state;
	static const struct {
		const char *from, *to, *words;
		int rc;
	} cases[] = {
	        {"\"format\":1", "\"format\":2", "format 2", -ENOTSUP},
	        {"assayfs vault", "something else", "not the header of an assayfs vault", -EINVAL},
	        {"\"type\":\"passphrase\"", "\"type\":\"retina\"", "retina", -ENOTSUP},
	        {"\"memory\":8192", "\"memory\":8589934592", "8 KiB to 4 GiB", -EINVAL},
	        {"\"memory\":8192", "\"memory\":-8192", "negative", -EINVAL},
	        {"\"passes\":1", "\"passes\":999999999999", "64 GiB of work", -EINVAL},
	        {"\"passes\":1", "\"passes\":0", "passes", -EINVAL},
	        {"argon2id", "argon2zz", "argon2zz", -ENOTSUP},
	        {"\"format\":1", "\"extra\":1,\n\"format\":1", "extra", -EINVAL},
	        {"\"format\":1", "\"format\":1,\"format\":1", "duplicate", -EINVAL},
	        {"\"generation\":2,", "", "generation", -EINVAL},
	        {"\"generation\":2", "\"generation\":2.0", "Expected integer, got real", -EINVAL},
	        {"\"generation\":2", "\"generation\": 2", "edited or reformatted", -EINVAL},
	        {"\"generation\":2", "\"generation\":0", "counts from 1", -EINVAL},
	        {"aes-256-gcm", "rot13", "rot13", -EINVAL},
	        {"\"state\":\"active\"", "\"state\":\"odd\"", "state is not known", -EINVAL},
	        {"\"name\":\"landing\"", "\"name\":\"Landing\"", "no name for a key", -EINVAL},
	        {"{\n", "[", "line 1", -EINVAL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		fault_clear();
		int rc = parse_replaced(vault->json, cases[i].from, cases[i].to);
		if (rc != cases[i].rc || !strstr(fault_message(), cases[i].words))
			fail_msg("%s -> %s: %d, %s", cases[i].from, cases[i].to, rc, fault_message());
	}
}

static void a_huge_or_empty_file_is_refused(void **state) {
	(void)state;
	_cleanup_(header_freep) VaultHeader *header = NULL;
	_cleanup_(freep) char *huge = calloc(1, HEADER_BYTES_MAX + 1);
	assert_non_null(huge);
	assert_int_equal(header_parse(bytes_of(huge, HEADER_BYTES_MAX + 1), &header), -EFBIG);
	assert_int_equal(header_parse(bytes_of(huge, HEADER_BYTES_MAX), &header), -EINVAL);
	assert_int_equal(header_parse(bytes_of(NULL, 0), &header), -EINVAL);
}

static void a_consistent_forgery_parses_but_does_not_unlock(void **state) {
	struct vault *vault = *state;
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	_cleanup_(freep) char *text = replaced(vault->json, "\"generation\":2", "\"generation\":3");
	assert_int_equal(unlock_bytes(text, vault->size, SLOT_PASSPHRASE, "right", &keyring), -EBADMSG);
	assert_non_null(strstr(fault_message(), "altered"));
}

static void a_slot_moved_from_another_vault_does_not_open(void **state) {
	struct vault *vault = *state;
	_cleanup_(keyring_freep) Keyring *keyring = NULL, *mine = NULL;
	_cleanup_(header_freep) VaultHeader *other = NULL;
	_cleanup_(freep) char *json = NULL, *mixed = NULL;
	size_t size = 0;
	assert_int_equal(keyring_new_vault(&mine), 0);
	assert_int_equal(header_create(AEAD_AES256GCM, CREATED, &other), 0);
	assert_int_equal(header_add_slot_passphrase(other, mine, bytes_of_string("right"), "", &cheap, NULL), 0);
	assert_int_equal(header_serialize(other, &json, &size), 0);
	mixed = replaced(json, header_vault_id_text(other), header_vault_id_text(vault->header));
	assert_int_equal(unlock_bytes(mixed, size, SLOT_PASSPHRASE, "right", &keyring), -EKEYREJECTED);
}

static void rotation_reaches_every_slot_without_its_secret(void **state) {
	struct vault *vault = *state;
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	uint32_t version = 0;
	assert_int_equal(keyring_rotate(vault->keyring, "landing", &version), 0);
	assert_int_equal(version, 2);
	assert_int_equal(keyring_create(vault->keyring, "folder-1", KEY_SECRET), 0);
	assert_int_equal(header_update(vault->header, vault->keyring), 0);
	serialize(vault);
	assert_int_equal(unlock_bytes(vault->json, vault->size, SLOT_RECOVERY, vault->recovery, &keyring), 0);
	assert_same_keys(vault->keyring, keyring);
	assert_int_equal(keyring_count(keyring), 9);
}

static void the_signing_key_of_the_header_rotates_too(void **state) {
	struct vault *vault = *state;
	for (int round = 0; round < 3; round++) {
		_cleanup_(keyring_freep) Keyring *keyring = NULL;
		assert_int_equal(keyring_rotate(vault->keyring, "header", NULL), 0);
		assert_int_equal(header_verify(vault->header, vault->keyring), -EBADMSG);
		assert_int_equal(header_update(vault->header, vault->keyring), 0);
		assert_int_equal(header_verify(vault->header, vault->keyring), 0);
		serialize(vault);
		assert_int_equal(unlock_bytes(vault->json, vault->size, SLOT_PASSPHRASE, "right", &keyring), 0);
		assert_same_current(vault->keyring, keyring, "header");
	}
	/* A slot made now knows the newest signer only; the older slots still open. */
	_cleanup_(keyring_freep) Keyring *old = NULL, *new = NULL;
	assert_int_equal(
	        header_add_slot_passphrase(vault->header, vault->keyring, bytes_of_string("second"), "", &cheap, NULL),
	        0);
	serialize(vault);
	assert_int_equal(unlock_bytes(vault->json, vault->size, SLOT_PASSPHRASE, "second", &new), 0);
	assert_int_equal(unlock_bytes(vault->json, vault->size, SLOT_PASSPHRASE, "right", &old), 0);
	assert_same_keys(old, new);
}

static void two_rotations_of_the_signing_key_need_an_update_between(void **state) {
	struct vault *vault = *state;
	assert_int_equal(keyring_rotate(vault->keyring, "header", NULL), 0);
	assert_int_equal(keyring_rotate(vault->keyring, "header", NULL), 0);
	assert_int_equal(header_update(vault->header, vault->keyring), -EBADMSG);
}

static void a_header_altered_on_disk_is_not_signed_again(void **state) {
	struct vault *vault = *state;
	_cleanup_(header_freep) VaultHeader *header = NULL;
	_cleanup_(freep) char *text = replaced(vault->json, "Ann's", "Bob's"), *json = NULL;
	size_t size = 0;
	assert_int_equal(header_parse(bytes_of_string(text), &header), 0);
	assert_int_equal(header_verify(header, vault->keyring), -EBADMSG);
	assert_int_equal(header_update(header, vault->keyring), -EBADMSG);
	/* Nothing has changed by the attempt. */
	assert_int_equal(header_serialize(header, &json, &size), 0);
	assert_string_equal(json, text);
}

static void a_removed_slot_opens_no_more_and_the_last_one_stays(void **state) {
	struct vault *vault = *state;
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	struct slot_info slot;
	assert_int_equal(header_slot(vault->header, 0, &slot), 0);
	assert_int_equal(header_remove_slot(vault->header, vault->keyring, slot.id), 0);
	assert_int_equal(header_remove_slot(vault->header, vault->keyring, slot.id), -ENOENT);
	assert_int_equal(header_remove_slot(vault->header, vault->keyring, "zz"), -EINVAL);
	serialize(vault);
	assert_int_equal(unlock_bytes(vault->json, vault->size, SLOT_PASSPHRASE, "right", &keyring), -ENOENT);
	assert_int_equal(unlock_bytes(vault->json, vault->size, SLOT_RECOVERY, vault->recovery, &keyring), 0);
	assert_int_equal(header_slot(vault->header, 0, &slot), 0);
	assert_int_equal(header_remove_slot(vault->header, vault->keyring, slot.id), -EBUSY);
}

static void another_vaults_keyring_cannot_change_the_header(void **state) {
	struct vault *vault = *state;
	_cleanup_(keyring_freep) Keyring *other = NULL, *empty = NULL;
	assert_int_equal(keyring_new_vault(&other), 0);
	assert_int_equal(keyring_new(&empty), 0);
	assert_int_equal(header_update(vault->header, other), -EBADMSG);
	assert_int_equal(header_update(vault->header, empty), -ENOKEY);
}

static void bad_slots_are_not_made(void **state) {
	struct vault *vault = *state;
	const struct header_kdf huge = {.memory = UINT64_C(1) << 40, .passes = 1};
	const struct bytes word = bytes_of_string("x");
	char label[HEADER_LABEL_BYTES + 1];
	memset(label, 'a', sizeof label - 1);
	label[sizeof label - 1] = '\0';
	assert_int_equal(header_add_slot_passphrase(vault->header, vault->keyring, bytes_of(NULL, 0), "", &cheap, NULL),
	        -EINVAL);
	assert_int_equal(header_add_slot_passphrase(vault->header, vault->keyring, word, "", &huge, NULL), -EINVAL);
	assert_int_equal(
	        header_add_slot_passphrase(vault->header, vault->keyring, word, "a\nb", &cheap, NULL), -EINVAL);
	assert_int_equal(
	        header_add_slot_passphrase(vault->header, vault->keyring, word, "\xff", &cheap, NULL), -EINVAL);
	assert_int_equal(header_add_slot_passphrase(vault->header, vault->keyring, word, label, &cheap, NULL), -EINVAL);
	assert_int_equal(header_slot_count(vault->header), 2);
	label[HEADER_LABEL_BYTES - 1] = '\0';
	assert_int_equal(header_add_slot_passphrase(vault->header, vault->keyring, word, label, &cheap, NULL), 0);
	for (size_t i = 3; i < HEADER_SLOTS_MAX; i++)
		assert_int_equal(
		        header_add_slot_passphrase(vault->header, vault->keyring, word, "\xc3\xa9\"\\", &cheap, NULL),
		        0);
	assert_int_equal(header_add_slot_passphrase(vault->header, vault->keyring, word, "", &cheap, NULL), -ENOSPC);
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	serialize(vault);
	assert_int_equal(unlock_bytes(vault->json, vault->size, SLOT_PASSPHRASE, "x", &keyring), 0);
}

static void a_slot_of_default_cost_is_never_cheap(void **state) {
	struct vault *vault = *state;
	struct slot_info slot;
	assert_int_equal(
	        header_add_slot_passphrase(vault->header, vault->keyring, bytes_of_string("x"), "", NULL, NULL), 0);
	assert_int_equal(header_slot(vault->header, 2, &slot), 0);
	assert_int_equal(slot.kdf.memory, HEADER_KDF_MEMORY_DEFAULT);
	assert_true(slot.kdf.passes >= HEADER_KDF_PASSES_LEAST);
}

static void a_header_without_slots_is_not_written(void **state) {
	(void)state;
	_cleanup_(header_freep) VaultHeader *header = NULL;
	char *json = NULL;
	size_t size = 0;
	assert_int_equal(header_create(AEAD_AES256GCM, CREATED, &header), 0);
	assert_int_equal(header_serialize(header, &json, &size), -EINVAL);
	assert_int_equal(header_create((enum aead_cipher)3, CREATED, &header), -EINVAL);
	assert_int_equal(header_create(AEAD_AES256GCM, -1, &header), -EINVAL);
}

static void calibration_stays_inside_the_caps(void **state) {
	(void)state;
	struct header_kdf kdf;
	assert_int_equal(header_kdf_calibrate(1 << 20, 0, &kdf), 0);
	assert_int_equal(kdf.passes, 1);
	assert_int_equal(header_kdf_calibrate(1 << 20, 4000000000U, &kdf), 0);
	assert_int_equal(kdf.memory, 1 << 20);
	assert_true(kdf.passes <= HEADER_KDF_WORK_MAX >> 20);
	assert_int_equal(header_kdf_calibrate(1, 1000, &kdf), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(each_slot_unlocks_the_same_keys, make, unmake),
	        cmocka_unit_test_setup_teardown(what_was_written_reads_back_the_same, make, unmake),
	        cmocka_unit_test_setup_teardown(a_wrong_secret_is_told_from_a_mistyped_one, make, unmake),
	        cmocka_unit_test_setup_teardown(a_change_of_any_byte_is_noticed, make_small, unmake),
	        cmocka_unit_test_setup_teardown(a_byte_more_or_less_is_noticed, make_small, unmake),
	        cmocka_unit_test_setup_teardown(bad_headers_are_refused_with_words, make, unmake),
	        cmocka_unit_test(a_huge_or_empty_file_is_refused),
	        cmocka_unit_test_setup_teardown(a_consistent_forgery_parses_but_does_not_unlock, make, unmake),
	        cmocka_unit_test_setup_teardown(a_slot_moved_from_another_vault_does_not_open, make, unmake),
	        cmocka_unit_test_setup_teardown(rotation_reaches_every_slot_without_its_secret, make, unmake),
	        cmocka_unit_test_setup_teardown(the_signing_key_of_the_header_rotates_too, make, unmake),
	        cmocka_unit_test_setup_teardown(two_rotations_of_the_signing_key_need_an_update_between, make, unmake),
	        cmocka_unit_test_setup_teardown(a_header_altered_on_disk_is_not_signed_again, make, unmake),
	        cmocka_unit_test_setup_teardown(a_removed_slot_opens_no_more_and_the_last_one_stays, make, unmake),
	        cmocka_unit_test_setup_teardown(another_vaults_keyring_cannot_change_the_header, make, unmake),
	        cmocka_unit_test_setup_teardown(bad_slots_are_not_made, make, unmake),
	        cmocka_unit_test_setup_teardown(a_slot_of_default_cost_is_never_cheap, make, unmake),
	        cmocka_unit_test(a_header_without_slots_is_not_written),
	        cmocka_unit_test(calibration_stays_inside_the_caps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
