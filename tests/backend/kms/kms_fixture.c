#include "tests/backend/kms/kms_fixture.h"

#include <stdlib.h>

static const struct kms_pair pairs[] = {
        {"assayfs:vault", "00112233445566778899aabbccddeeff"}, {"assayfs:slot", "0123456789abcdef0123456789abcdef"}};
static const struct kms_pair other_pairs[] = {
        {"assayfs:vault", "00112233445566778899aabbccddeeff"}, {"assayfs:slot", "0123456789abcdef0123456789abcdee"}};
const struct kms_context kms_fixture_context = {pairs, 2};
const struct kms_context kms_fixture_other_context = {other_pairs, 2};

void kms_fixture_clear_environment(void) {
	static const char *const out[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy",
	        "ALL_PROXY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID",
	        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
	        "AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"};
	for (size_t i = 0; i < sizeof out / sizeof out[0]; i++)
		assert_int_equal(unsetenv(out[i]), 0);
}

int kms_fixture_setup(void **state) {
	struct kms_fixture *fixture = calloc(1, sizeof *fixture);
	assert_non_null(fixture);
	scratch_directory(fixture->home);
	kms_fixture_clear_environment();
	assert_int_equal(setenv("HOME", fixture->home, 1), 0);
	assert_int_equal(setenv("AWS_ACCESS_KEY_ID", FAKE_KMS_ACCESS_KEY, 1), 0);
	assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", FAKE_KMS_SECRET_KEY, 1), 0);
	assert_int_equal(setenv("AWS_REGION", "eu-west-1", 1), 0);
	fixture->fake = fake_kms_open();
	fake_kms_add(fixture->fake, KEY_ID, "vault");
	fake_kms_add(fixture->fake, OTHER_ID, "other/one");
	*state = fixture;
	return 0;
}

int kms_fixture_teardown(void **state) {
	struct kms_fixture *fixture = *state;
	fake_kms_close(fixture->fake);
	scratch_remove(fixture->home);
	free(fixture);
	return 0;
}

Kms *kms_fixture_open(const struct kms_fixture *fixture, const char *key, const struct kms_options *options) {
	struct kms_options wanted = {.total_ms = 60000, .attempt_ms = 30000, .connect_ms = 30000, .pause_ms = 4};
	Kms *kms = NULL;
	if (options)
		wanted = *options;
	if (!wanted.endpoint)
		wanted.endpoint = fake_kms_url(fixture->fake);
	assert_rc(kms_open(key, &wanted, &kms));
	return kms;
}
