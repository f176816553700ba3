/* Every verb against a server that is not ours, which services_kms.py has started: KMS_KEY and KMS_OTHER_KEY are keys,
 * alias/vault names the first; the environment has credentials that may do all, KMS_WEAK_… those that may only
 * describe. Disabled keys and those that are to be deleted are tried in test_kms_errors: moto goes on using them. */
#include "backend/kms/kms.h"

#include "tests/backend/scratch.h"

#include <stdio.h>
#include <string.h>

static const struct kms_pair pairs[] = {
        {"assayfs:vault", "00112233445566778899aabbccddeeff"}, {"assayfs:slot", "0123456789abcdef0123456789abcdef"}};
static const struct kms_context context = {pairs, 2};
static const struct kms_context other_context = {pairs, 1};
static const struct kms_options patient = {.total_ms = 60000, .attempt_ms = 30000, .connect_ms = 10000};

static const char *given(const char *name) {
	const char *value = getenv(name);
	if (!value)
		fail_msg("%s is not set; run services_kms.py", name);
	return value;
}

static Kms *open_key(const char *key) {
	Kms *kms = NULL;
	assert_rc(kms_open(key, &patient, &kms));
	return kms;
}

struct data_key {
	struct kms_wrapped wrapped;
	uint8_t key[KMS_KEY_BYTES];
	char arn[KMS_ARN_BYTES];
};

static void make_key(Kms *kms, struct data_key *ret) {
	assert_rc(kms_generate(kms, &context, ret->key, &ret->wrapped, ret->arn));
	assert_string_equal(ret->arn, given("KMS_KEY"));
}

static void expect_key(Kms *kms, const struct kms_wrapped *wrapped, const struct kms_context *with,
        const uint8_t wanted[static KMS_KEY_BYTES]) {
	uint8_t key[KMS_KEY_BYTES];
	char arn[KMS_ARN_BYTES];
	assert_rc(kms_decrypt(kms, bytes_of(wrapped->data, wrapped->size), with, key, arn));
	assert_memory_equal(key, wanted, sizeof key);
}

static int decrypt(Kms *kms, const struct kms_wrapped *wrapped, const struct kms_context *with) {
	uint8_t key[KMS_KEY_BYTES];
	char arn[KMS_ARN_BYTES];
	return kms_decrypt(kms, bytes_of(wrapped->data, wrapped->size), with, key, arn);
}

static void keys_are_wrapped_and_unwrapped(void **state) {
	(void)state;
	const char *const names[] = {given("KMS_KEY"), "alias/vault", strchr(given("KMS_KEY"), '/') + 1};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		_cleanup_(kms_closep) Kms *kms = open_key(names[i]);
		_cleanup_(kms_closep) Kms *by_arn = open_key(given("KMS_KEY"));
		struct data_key made;
		make_key(kms, &made);
		expect_key(kms, &made.wrapped, &context, made.key);
		expect_key(by_arn, &made.wrapped, &context, made.key);
	}
}

static void another_context_or_damage_opens_nothing(void **state) {
	(void)state;
	_cleanup_(kms_closep) Kms *kms = open_key(given("KMS_KEY"));
	struct data_key made;
	make_key(kms, &made);
	assert_int_equal(decrypt(kms, &made.wrapped, &other_context), -EKEYREJECTED);
	assert_int_equal(decrypt(kms, &made.wrapped, &(struct kms_context){NULL, 0}), -EKEYREJECTED);
	made.wrapped.data[made.wrapped.size - 1] ^= 1;
	assert_int_equal(decrypt(kms, &made.wrapped, &context), -EKEYREJECTED);
}

static void another_key_opens_nothing(void **state) {
	(void)state;
	_cleanup_(kms_closep) Kms *kms = open_key(given("KMS_KEY"));
	_cleanup_(kms_closep) Kms *other = open_key(given("KMS_OTHER_KEY"));
	struct data_key made;
	make_key(kms, &made);
	/* AWS says IncorrectKeyException, moto AccessDeniedException; older ones unwrap with the key that it was, and
	 * their answer is refused because it names that. */
	int rc = decrypt(other, &made.wrapped, &context);
	assert_true(rc == -EKEYREJECTED || rc == -EPERM || rc == -EBADMSG);
}

static void keys_are_wrapped_anew(void **state) {
	(void)state;
	_cleanup_(kms_closep) Kms *kms = open_key(given("KMS_KEY"));
	_cleanup_(kms_closep) Kms *other = open_key(given("KMS_OTHER_KEY"));
	struct data_key made;
	struct kms_wrapped anew;
	char arn[KMS_ARN_BYTES];
	make_key(kms, &made);
	assert_rc(kms_reencrypt(kms, bytes_of(made.wrapped.data, made.wrapped.size), &context, given("KMS_OTHER_KEY"),
	        &other_context, &anew, arn));
	assert_string_equal(arn, given("KMS_OTHER_KEY"));
	expect_key(other, &anew, &other_context, made.key);
	assert_int_equal(decrypt(other, &anew, &context), -EKEYREJECTED);
	expect_key(kms, &made.wrapped, &context, made.key);
}

static void keys_are_described(void **state) {
	(void)state;
	_cleanup_(kms_closep) Kms *kms = open_key("alias/vault");
	_cleanup_(kms_closep) Kms *none = open_key("alias/none");
	struct kms_description found;
	assert_rc(kms_describe(kms, &found));
	assert_string_equal(found.arn, given("KMS_KEY"));
	assert_int_equal(found.state, KMS_ENABLED);
	assert_true(found.is_enabled);
	assert_string_equal(found.description, "the vault's");
	assert_string_equal(found.spec, "SYMMETRIC_DEFAULT");
	assert_string_equal(found.usage, "ENCRYPT_DECRYPT");
	assert_int_equal(kms_describe(none, &found), -ENOENT);
}

/* The environment's credentials, which a test may change. */
struct good {
	char access_key[256], secret_key[256];
};

static void save_credentials(struct good *ret) {
	(void)snprintf(ret->access_key, sizeof ret->access_key, "%s", given("AWS_ACCESS_KEY_ID"));
	(void)snprintf(ret->secret_key, sizeof ret->secret_key, "%s", given("AWS_SECRET_ACCESS_KEY"));
}

static void use_credentials(const char *access_key, const char *secret_key, const char *token) {
	assert_int_equal(setenv("AWS_ACCESS_KEY_ID", access_key, 1), 0);
	assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", secret_key, 1), 0);
	assert_int_equal(token ? setenv("AWS_SESSION_TOKEN", token, 1) : unsetenv("AWS_SESSION_TOKEN"), 0);
}

static void a_session_may_what_its_role_may(void **state) {
	(void)state;
	struct good good;
	struct data_key made;
	_cleanup_(kms_closep) Kms *kms = open_key(given("KMS_KEY"));
	save_credentials(&good);
	use_credentials(given("KMS_SESSION_ACCESS_KEY"), given("KMS_SESSION_SECRET_KEY"), given("KMS_SESSION_TOKEN"));
	make_key(kms, &made);
	expect_key(kms, &made.wrapped, &context, made.key);
	use_credentials(given("KMS_SESSION_ACCESS_KEY"), given("KMS_SESSION_SECRET_KEY"), "another");
	assert_int_equal(decrypt(kms, &made.wrapped, &context), -EACCES);
	use_credentials(good.access_key, good.secret_key, NULL);
}

static void who_may_not_is_told(void **state) {
	(void)state;
	struct good good;
	struct data_key made;
	struct kms_description found;
	_cleanup_(kms_closep) Kms *kms = open_key(given("KMS_KEY"));
	save_credentials(&good);
	make_key(kms, &made);
	use_credentials(given("KMS_WEAK_ACCESS_KEY"), given("KMS_WEAK_SECRET_KEY"), NULL);
	assert_rc(kms_describe(kms, &found));
	assert_int_equal(decrypt(kms, &made.wrapped, &context), -EPERM);
	assert_non_null(strstr(fault_message(), "AccessDenied"));
	use_credentials(given("KMS_WEAK_ACCESS_KEY"), "wrong", NULL);
	assert_int_equal(decrypt(kms, &made.wrapped, &context), -EACCES);
	use_credentials("AKNOBODY", good.secret_key, NULL);
	assert_int_equal(decrypt(kms, &made.wrapped, &context), -EACCES);
	use_credentials(good.access_key, good.secret_key, NULL);
	expect_key(kms, &made.wrapped, &context, made.key);
}

static void a_certificate_that_nobody_vouches_for_is_told(void **state) {
	(void)state;
	char bundle[300];
	struct kms_description found;
	_cleanup_(kms_closep) Kms *kms = open_key(given("KMS_KEY"));
	(void)snprintf(bundle, sizeof bundle, "%s", given("AWS_CA_BUNDLE"));
	assert_int_equal(unsetenv("AWS_CA_BUNDLE"), 0);
	assert_int_equal(kms_describe(kms, &found), -EPROTO);
	assert_non_null(strstr(fault_message(), "AWS_CA_BUNDLE"));
	assert_int_equal(setenv("AWS_CA_BUNDLE", bundle, 1), 0);
	assert_rc(kms_describe(kms, &found));
}

static void what_was_wrapped_before_a_rotation_still_opens(void **state) {
	(void)state;
	_cleanup_(kms_closep) Kms *kms = open_key(given("KMS_KEY"));
	struct data_key before;
	struct data_key after;
	char line[16];
	make_key(kms, &before);
	int wish = (int)strtol(given("KMS_ROTATE"), NULL, 10);
	assert_int_equal(write(wish, "rotate", 6), 6);
	assert_int_equal(close(wish), 0);
	/* It ends when that is done. */
	assert_int_equal(read(STDIN_FILENO, line, sizeof line), 0);
	make_key(kms, &after);
	expect_key(kms, &before.wrapped, &context, before.key);
	expect_key(kms, &after.wrapped, &context, after.key);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(keys_are_wrapped_and_unwrapped),
	        cmocka_unit_test(another_context_or_damage_opens_nothing),
	        cmocka_unit_test(another_key_opens_nothing),
	        cmocka_unit_test(keys_are_wrapped_anew),
	        cmocka_unit_test(keys_are_described),
	        cmocka_unit_test(a_session_may_what_its_role_may),
	        cmocka_unit_test(who_may_not_is_told),
	        cmocka_unit_test(a_certificate_that_nobody_vouches_for_is_told),
	        cmocka_unit_test(what_was_wrapped_before_a_rotation_still_opens),
	};
	return cmocka_run_group_tests_name("services_kms", tests, NULL, NULL);
}
