#include "tests/crypto/header_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const struct header_kdf fixture_cheap = {.memory = HEADER_KDF_MEMORY_MIN, .passes = 1};

static void add_limited(struct fixture *f) {
	static const char *const analyst[] = {"meta", "trusted"}, *const project[] = {"trusted", "meta", "project"};
	const struct slot_wants analysts = {.names = analyst, .count = 2}, projects = {.names = project, .count = 3};
	const struct slot_kms kms = {.key = FIXTURE_ARN, .wrapped = bytes_of(f->wrapped, sizeof f->wrapped)};
	char id[HEADER_ID_TEXT_BYTES];
	assert_int_equal(recipient_new(f->recipient, f->secret), 0);
	assert_int_equal(header_add_slot_recipient(f->header, f->keyring, f->recipient, "Bo", &analysts), 0);
	header_new_slot_id(id);
	assert_int_equal(header_add_slot_kms(f->header, f->keyring, id, &kms, f->kek, "cloud", &projects), 0);
}

int fixture_make(void **state) {
	struct fixture *f = calloc(1, sizeof *f);
	assert_non_null(f);
	for (size_t i = 0; i < sizeof f->file; i++)
		f->file[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < sizeof f->kek; i++)
		f->kek[i] = (uint8_t)(200 - i);
	memset(f->wrapped, 0xab, sizeof f->wrapped);
	assert_int_equal(keyring_new_vault(&f->keyring), 0);
	assert_int_equal(keyring_create(f->keyring, "project", KEY_SECRET), 0);
	assert_int_equal(header_create(AEAD_AES256GCM, FIXTURE_CREATED, &f->header), 0);
	assert_int_equal(header_add_slot_passphrase(
	                         f->header, f->keyring, bytes_of_string("right"), "Ann", &fixture_cheap, NULL),
	        0);
	assert_int_equal(header_add_slot_recovery(f->header, f->keyring, "paper", f->recovery), 0);
	assert_int_equal(
	        header_add_slot_keyfile(f->header, f->keyring, bytes_of(f->file, sizeof f->file), "stick", NULL), 0);
	add_limited(f);
	fixture_serialize(f);
	*state = f;
	return 0;
}

int fixture_unmake(void **state) {
	struct fixture *f = *state;
	header_free(f->header);
	keyring_free(f->keyring);
	free(f->json);
	free(f);
	return 0;
}

void fixture_serialize(struct fixture *f) {
	free(f->json);
	f->json = NULL;
	assert_int_equal(header_serialize(f->header, &f->json, &f->size), 0);
}

struct slot_secret fixture_secret(const struct fixture *f, int at) {
	const struct slot_secret secrets[FIXTURE_SLOTS] = {
	        {.type = SLOT_PASSPHRASE, .value = bytes_of_string("right")},
	        {.type = SLOT_RECOVERY, .value = bytes_of_string(f->recovery)},
	        {.type = SLOT_KEYFILE, .value = bytes_of(f->file, sizeof f->file)},
	        {.type = SLOT_RECIPIENT, .value = bytes_of_string(f->secret)},
	        {.type = SLOT_KMS, .value = bytes_of(f->kek, sizeof f->kek)},
	};
	return secrets[at];
}

int fixture_unlock(const char *json, size_t size, const struct slot_secret *secret, Keyring **ret_keyring) {
	_cleanup_(header_freep) VaultHeader *header = NULL;
	int rc = header_parse(bytes_of(json, size), &header);
	return rc < 0 ? rc : header_unlock(header, secret, ret_keyring);
}

Keyring *fixture_open(struct fixture *f, int at) {
	Keyring *keyring = NULL;
	const struct slot_secret secret = fixture_secret(f, at);
	fixture_serialize(f);
	assert_int_equal(fixture_unlock(f->json, f->size, &secret, &keyring), 0);
	return keyring;
}

void fixture_id(const struct fixture *f, size_t at, char ret_id[static HEADER_ID_TEXT_BYTES]) {
	struct slot_info info;
	assert_int_equal(header_slot(f->header, at, &info), 0);
	memcpy(ret_id, info.id, sizeof info.id);
}

char *fixture_replaced(const char *json, const char *from, const char *to) {
	const char *at = strstr(json, from);
	assert_non_null(at);
	char *text = NULL;
	assert_true(asprintf(&text, "%.*s%s%s", (int)(at - json), json, to, at + strlen(from)) > 0);
	return text;
}

char *fixture_keys(const Keyring *keyring) {
	char *text = NULL;
	size_t size = 0;
	struct key_info info;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	for (size_t i = 0; keyring_info(keyring, i, &info) == 0; i++)
		(void)fprintf(out, "%s%s.%u", i ? " " : "", info.name, info.version);
	assert_int_equal(fclose(out), 0);
	return text;
}
