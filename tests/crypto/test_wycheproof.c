/* The vectors of Wycheproof for what we use: AES-256-GCM, XChaCha20-Poly1305, Ed25519, X25519. Skipped without them. */
#include <jansson.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/aead_impl.h"
#include "crypto/base/ready.h"
#include "crypto/encoding.h"
#include "crypto/sign.h"

#define FIELD_BYTES 1024

struct field {
	uint8_t data[FIELD_BYTES];
	size_t size;
};

static struct bytes bytes_in(const struct field *field) {
	return bytes_of(field->data, field->size);
}

static struct field take(const json_t *object, const char *name) {
	struct field field = {0};
	const char *text = json_string_value(json_object_get(object, name));
	assert_non_null(text);
	field.size = strlen(text) / 2;
	assert_true(field.size <= FIELD_BYTES);
	assert_int_equal(hex_decode(text, field.size, field.data), 0);
	return field;
}

static const char *result_of(const json_t *test) {
	return json_string_value(json_object_get(test, "result"));
}

static json_t *load(const char *name) {
	const char *directory = getenv("ASSAYFS_TEST_DATA");
	char path[4096];
	(void)snprintf(path, sizeof path, "%s/wycheproof/%s", directory ? directory : ".", name);
	json_t *whole = json_load_file(path, 0, NULL);
	if (!whole) {
		print_message("skipped: no %s\n", path);
		skip();
	}
	return whole;
}

/* Calls `check` for each test of each group; it answers whether the test applied to us. Fails when less than `least`
 * did, so that a changed file does not pass unread. */
static void each_test(const char *name, size_t least, bool (*check)(const json_t *group, const json_t *test)) {
	json_auto_t *whole = load(name);
	json_t *group, *test;
	size_t i, j, checked = 0;
	json_array_foreach(json_object_get(whole, "testGroups"), i, group) {
		json_array_foreach(json_object_get(group, "tests"), j, test) {
			checked += check(group, test);
		}
	}
	print_message("%s: %zu vectors\n", name, checked);
	assert_true(checked >= least);
}

static void judge(const json_t *test, bool accepted) {
	if (accepted != (strcmp(result_of(test), "valid") == 0))
		fail_msg("vector %lld (%s) is %s, but was %s",
		        (long long)json_integer_value(json_object_get(test, "tcId")),
		        json_string_value(json_object_get(test, "comment")), result_of(test),
		        accepted ? "accepted" : "refused");
}

static bool check_gcm(const json_t *group, const json_t *test) {
	struct field key = take(test, "key"), nonce = take(test, "iv"), ad = take(test, "aad"),
	             plain = take(test, "msg"), cipher = take(test, "ct"), tag = take(test, "tag");
	uint8_t out[FIELD_BYTES], made[AEAD_TAG_BYTES];
	(void)group;
	if (key.size != AEAD_KEY_BYTES || nonce.size != AEAD_GCM_NONCE_BYTES || tag.size != AEAD_TAG_BYTES)
		return false;
	_cleanup_(aead_freep) Aead *aead = NULL;
	assert_int_equal(aead_new(AEAD_AES256GCM, key.data, &aead), 0);
	bool opened = aead_gcm_open(aead, nonce.data, bytes_in(&ad), bytes_in(&cipher), tag.data, out) == 0;
	judge(test, opened && memcmp(out, plain.data, plain.size) == 0);
	assert_int_equal(aead_gcm_seal(aead, nonce.data, bytes_in(&ad), bytes_in(&plain), out, made), 0);
	judge(test, memcmp(out, cipher.data, cipher.size) == 0 && memcmp(made, tag.data, sizeof made) == 0);
	return true;
}

static bool check_xchacha(const json_t *group, const json_t *test) {
	struct field key = take(test, "key"), nonce = take(test, "iv"), ad = take(test, "aad"),
	             plain = take(test, "msg"), cipher = take(test, "ct"), tag = take(test, "tag");
	uint8_t out[FIELD_BYTES], made[AEAD_TAG_BYTES];
	(void)group;
	if (key.size != AEAD_KEY_BYTES || nonce.size != AEAD_NONCE_BYTES || tag.size != AEAD_TAG_BYTES)
		return false;
	bool opened = aead_page_open(key.data, nonce.data, bytes_in(&ad), bytes_in(&cipher), tag.data, out) == 0;
	judge(test, opened && memcmp(out, plain.data, plain.size) == 0);
	assert_int_equal(aead_page_seal(key.data, nonce.data, bytes_in(&ad), bytes_in(&plain), out, made), 0);
	judge(test, memcmp(out, cipher.data, cipher.size) == 0 && memcmp(made, tag.data, sizeof made) == 0);
	return true;
}

static bool check_ed25519(const json_t *group, const json_t *test) {
	struct field public_key = take(json_object_get(group, "publicKey"), "pk"), message = take(test, "msg"),
	             signature = take(test, "sig");
	assert_int_equal(public_key.size, SIGN_PUBLIC_BYTES);
	if (signature.size != SIGN_SIGNATURE_BYTES)
		return false;
	judge(test, sign_verify(public_key.data, bytes_in(&message), signature.data) == 0);
	return true;
}

/* What boxes of slots stand on. "acceptable" are low-order or non-canonical points, which libsodium may refuse. */
static bool check_x25519(const json_t *group, const json_t *test) {
	struct field public_key = take(test, "public"), secret = take(test, "private"), shared = take(test, "shared");
	uint8_t out[32];
	(void)group;
	if (public_key.size != 32 || secret.size != 32)
		return false;
	bool good = crypto_scalarmult(out, secret.data, public_key.data) == 0;
	bool same = good && memcmp(out, shared.data, sizeof out) == 0;
	if (strcmp(result_of(test), "acceptable") == 0)
		assert_true(same || !good);
	else
		judge(test, same);
	return true;
}

static void aes_256_gcm(void **state) {
	(void)state;
	each_test("aes_gcm_test.json", 60, check_gcm);
}

static void xchacha20_poly1305(void **state) {
	(void)state;
	each_test("xchacha20_poly1305_test.json", 250, check_xchacha);
}

static void ed25519(void **state) {
	(void)state;
	each_test("ed25519_test.json", 120, check_ed25519);
}

static void x25519(void **state) {
	(void)state;
	crypto_ready();
	each_test("x25519_test.json", 500, check_x25519);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(aes_256_gcm),
	        cmocka_unit_test(xchacha20_poly1305),
	        cmocka_unit_test(ed25519),
	        cmocka_unit_test(x25519),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
