/* The tree .assayfs/verdicts: each verdict is shown with the key that signed it. */
#include "backend/record.h"
#include "backend/store_keys.h"
#include "crypto/keyring.h"
#include "crypto/sign.h"
#include "fs/filesystem.h"
#include "fs/virtual/providers.h"
#include "tests/backend/test_vault.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The verdict on a file that is gone, signed by that version. */
static void put_verdict(struct test_vault *v, const char *path, uint32_t version) {
	uint8_t seed[KEYRING_KEY_BYTES], signature[SIGN_SIGNATURE_BYTES];
	char key_name[32];
	uint64_t number = 0, id = 0;
	struct policy_row policy = {.bundle = bytes_of_string("p"), .actor = bytes_of_string("root")};
	Meta *m = store_meta(v->store);
	assert_rc(keyring_get(store_keyring(v->store), "verdict", version, seed, NULL));
	sign_make(seed, bytes_of_string("{}"), signature);
	(void)snprintf(key_name, sizeof key_name, "verdict/%u", version);
	meta_begin(m);
	int rc = policy_put(m, &policy, &number);
	struct verdict_row row = {.path = bytes_of_string(path),
	        .outcome = VERDICT_FAILED,
	        .dataset = bytes_of_string("d"),
	        .policy = number,
	        .body = bytes_of_string("{}"),
	        .signature = bytes_of(signature, sizeof signature),
	        .key_name = bytes_of_string(key_name)};
	if (rc == 0)
		rc = verdict_put(m, &row, &id);
	assert_rc(meta_end(m, rc));
}

static void take_hex(const char *text, const char *member, uint8_t *ret, size_t size) {
	char wanted[32];
	(void)snprintf(wanted, sizeof wanted, "\"%s\":\"", member);
	const char *at = strstr(text, wanted);
	size_t got = 0;
	assert_non_null(at);
	assert_int_equal(sodium_hex2bin(ret, size, at + strlen(wanted), 2 * size, NULL, &got, NULL), 0);
	assert_int_equal(got, size);
}

/* What is shown verifies by itself. */
static void expect_genuine(struct test_vault *v, const char *path) {
	struct filesystem fs = {.store = v->store, .meta = store_meta(v->store)};
	struct virtual_file file = {0};
	uint8_t public_key[SIGN_PUBLIC_BYTES], signature[SIGN_SIGNATURE_BYTES];
	assert_rc(virtual_verdicts.open(&fs, path, &file));
	take_hex(file.text, "public_key", public_key, sizeof public_key);
	take_hex(file.text, "signature", signature, sizeof signature);
	assert_rc(sign_verify(public_key, bytes_of_string("{}"), signature));
	free(file.text);
}

static void a_verdict_is_shown_with_the_key_that_signed_it(void **state) {
	struct test_vault *v = *state;
	put_verdict(v, "Landing/a", 1);
	expect_genuine(v, "Landing/a.json");
	assert_rc(store_key_rotate(v->store, "verdict", NULL, NULL));
	put_verdict(v, "Landing/b", 2);
	expect_genuine(v, "Landing/a.json");
	expect_genuine(v, "Landing/b.json");
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                a_verdict_is_shown_with_the_key_that_signed_it, test_vault_setup, test_vault_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
