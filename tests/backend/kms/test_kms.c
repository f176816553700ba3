/* The verbs against a strict stub. What goes wrong is in test_kms_errors. */
#include "backend/kms/kms.h"

#include "backend/kms/kms_aws.h"
#include "tests/backend/kms/kms_fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void what_is_wrapped_is_unwrapped(void **state) {
	const struct kms_fixture *fixture = *state;
	static const char *const names[] = {KEY_ARN, KEY_ID, "alias/vault", FAKE_KMS_ALIAS_ARN("vault")};
	uint8_t before[KMS_KEY_BYTES] = {0};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		_cleanup_(kms_closep) Kms *kms = kms_fixture_open(fixture, names[i], NULL);
		_cleanup_(kms_closep) Kms *by_arn = kms_fixture_open(fixture, KEY_ARN, NULL);
		struct kms_wrapped wrapped;
		uint8_t key[KMS_KEY_BYTES];
		uint8_t again[KMS_KEY_BYTES];
		char arn[KMS_ARN_BYTES];
		assert_string_equal(kms_key(kms), names[i]);
		assert_rc(kms_generate(kms, &kms_fixture_context, key, &wrapped, arn));
		assert_string_equal(arn, KEY_ARN);
		assert_int_equal(wrapped.size, 184);
		assert_memory_not_equal(key, before, sizeof key);
		memcpy(before, key, sizeof key);
		arn[0] = '\0';
		struct bytes bytes = bytes_of(wrapped.data, wrapped.size);
		assert_rc(kms_decrypt(by_arn, bytes, &kms_fixture_context, again, arn));
		assert_string_equal(arn, KEY_ARN);
		assert_memory_equal(again, key, sizeof key);
		memset(again, 0, sizeof again);
		assert_rc(kms_decrypt(kms, bytes, &kms_fixture_context, again, arn));
		assert_memory_equal(again, key, sizeof key);
	}
}

static void a_context_is_the_same_in_any_order_and_only_itself(void **state) {
	const struct kms_fixture *fixture = *state;
	_cleanup_(kms_closep) Kms *kms = kms_fixture_open(fixture, KEY_ARN, NULL);
	struct kms_pair turned[] = {kms_fixture_context.pairs[1], kms_fixture_context.pairs[0]};
	struct kms_wrapped wrapped;
	uint8_t key[KMS_KEY_BYTES];
	uint8_t again[KMS_KEY_BYTES];
	static const uint8_t zeros[KMS_KEY_BYTES];
	char arn[KMS_ARN_BYTES] = "untouched";
	assert_rc(kms_generate(kms, &kms_fixture_context, key, &wrapped, arn));
	struct bytes bytes = bytes_of(wrapped.data, wrapped.size);
	assert_rc(kms_decrypt(kms, bytes, &(struct kms_context){turned, 2}, again, arn));
	assert_memory_equal(again, key, sizeof key);
	const struct kms_context wrong[] = {kms_fixture_other_context, {turned, 1}, {NULL, 0}};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		memset(again, 7, sizeof again);
		(void)snprintf(arn, sizeof arn, "untouched");
		assert_int_equal(kms_decrypt(kms, bytes, &wrong[i], again, arn), -EKEYREJECTED);
		assert_non_null(strstr(fault_message(), "another context"));
		assert_memory_equal(again, zeros, sizeof zeros);
		assert_string_equal(arn, "untouched");
	}
	assert_rc(kms_generate(kms, &(struct kms_context){NULL, 0}, key, &wrapped, arn));
	bytes = bytes_of(wrapped.data, wrapped.size);
	assert_rc(kms_decrypt(kms, bytes, &(struct kms_context){NULL, 0}, again, arn));
}

static void the_context_and_nothing_secret_is_what_is_sent(void **state) {
	const struct kms_fixture *fixture = *state;
	_cleanup_(kms_closep) Kms *kms = kms_fixture_open(fixture, KEY_ARN, NULL);
	struct kms_wrapped wrapped;
	uint8_t key[KMS_KEY_BYTES];
	char arn[KMS_ARN_BYTES];
	char sent[1000];
	const struct kms_pair awkward[] = {{"a \"quoted\\ name", "</value>"}};
	assert_rc(kms_generate(kms, &kms_fixture_context, key, &wrapped, arn));
	fake_kms_last(fixture->fake, sent, sizeof sent);
	assert_string_equal(sent, "{\"KeyId\":\"" KEY_ARN "\",\"KeySpec\":\"AES_256\",\"EncryptionContext\":{"
	                          "\"assayfs:vault\":\"00112233445566778899aabbccddeeff\","
	                          "\"assayfs:slot\":\"0123456789abcdef0123456789abcdef\"}}");
	assert_rc(kms_generate(kms, &(struct kms_context){awkward, 1}, key, &wrapped, arn));
	fake_kms_last(fixture->fake, sent, sizeof sent);
	assert_non_null(strstr(sent, "{\"a \\\"quoted\\\\ name\":\"</value>\"}"));
	assert_int_equal(fake_kms_counts(fixture->fake).connections, 1);
}

static void what_is_wrapped_is_wrapped_anew(void **state) {
	const struct kms_fixture *fixture = *state;
	_cleanup_(kms_closep) Kms *kms = kms_fixture_open(fixture, KEY_ARN, NULL);
	_cleanup_(kms_closep) Kms *other = kms_fixture_open(fixture, OTHER_ARN, NULL);
	struct kms_wrapped wrapped;
	struct kms_wrapped anew;
	uint8_t key[KMS_KEY_BYTES];
	uint8_t again[KMS_KEY_BYTES];
	char arn[KMS_ARN_BYTES];
	assert_rc(kms_generate(kms, &kms_fixture_context, key, &wrapped, arn));
	struct bytes bytes = bytes_of(wrapped.data, wrapped.size);
	static const char *const names[] = {OTHER_ARN, "alias/other/one", OTHER_ID};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		assert_rc(kms_reencrypt(
		        kms, bytes, &kms_fixture_context, names[i], &kms_fixture_other_context, &anew, arn));
		assert_string_equal(arn, OTHER_ARN);
		struct bytes moved = bytes_of(anew.data, anew.size);
		assert_rc(kms_decrypt(other, moved, &kms_fixture_other_context, again, arn));
		assert_memory_equal(again, key, sizeof key);
		assert_int_equal(kms_decrypt(other, moved, &kms_fixture_context, again, arn), -EKEYREJECTED);
		assert_int_equal(kms_decrypt(kms, moved, &kms_fixture_other_context, again, arn), -EKEYREJECTED);
	}
	/* Under the same key, with another context; what was wrapped before is still good. */
	assert_rc(kms_reencrypt(kms, bytes, &kms_fixture_context, NULL, &kms_fixture_other_context, &anew, arn));
	assert_string_equal(arn, KEY_ARN);
	assert_rc(kms_decrypt(kms, bytes_of(anew.data, anew.size), &kms_fixture_other_context, again, arn));
	assert_memory_equal(again, key, sizeof key);
	assert_rc(kms_decrypt(kms, bytes, &kms_fixture_context, again, arn));
	/* Not with the wrong context, to no key, not out of the region. */
	wrapped.size = 0;
	assert_int_equal(
	        kms_reencrypt(kms, bytes, &kms_fixture_other_context, OTHER_ARN, &kms_fixture_context, &wrapped, arn),
	        -EKEYREJECTED);
	assert_int_equal(
	        kms_reencrypt(kms, bytes, &kms_fixture_context, "alias/none", &kms_fixture_context, &wrapped, arn),
	        -ENOENT);
	assert_int_equal(
	        kms_reencrypt(kms, bytes, &kms_fixture_context, "no key!", &kms_fixture_context, &wrapped, arn),
	        -EINVAL);
	assert_int_equal(
	        kms_reencrypt(kms, bytes, &kms_fixture_context, "arn:aws:kms:us-east-1:111122223333:key/" OTHER_ID,
	                &kms_fixture_context, &wrapped, arn),
	        -EINVAL);
	assert_non_null(strstr(fault_message(), "us-east-1"));
	assert_int_equal(wrapped.size, 0);
}

static void a_key_is_described(void **state) {
	const struct kms_fixture *fixture = *state;
	_cleanup_(kms_closep) Kms *kms = kms_fixture_open(fixture, "alias/vault", NULL);
	struct kms_description found;
	assert_rc(kms_describe(kms, &found));
	assert_string_equal(found.arn, KEY_ARN);
	assert_int_equal(found.state, KMS_ENABLED);
	assert_string_equal(found.state_text, "Enabled");
	assert_true(found.is_enabled);
	assert_int_equal(found.deletion_s, 0);
	assert_string_equal(found.spec, "SYMMETRIC_DEFAULT");
	assert_string_equal(found.usage, "ENCRYPT_DECRYPT");
	assert_string_equal(found.description, "of Zo\xc3\xab?and \xc3\xa9");
	fake_kms_set_state(fixture->fake, KEY_ID, FAKE_KMS_DISABLED);
	assert_rc(kms_describe(kms, &found));
	assert_int_equal(found.state, KMS_DISABLED);
	assert_false(found.is_enabled);
	fake_kms_set_state(fixture->fake, KEY_ID, FAKE_KMS_PENDING_DELETION);
	assert_rc(kms_describe(kms, &found));
	assert_int_equal(found.state, KMS_PENDING_DELETION);
	assert_int_equal(found.deletion_s, 1800000000);
	fake_kms_set_state(fixture->fake, KEY_ID, FAKE_KMS_PENDING_IMPORT);
	assert_rc(kms_describe(kms, &found));
	assert_int_equal(found.state, KMS_UNAVAILABLE);
	assert_string_equal(found.state_text, "PendingImport");
}

static void write_credentials(const struct kms_fixture *fixture, const char *token) {
	char path[80];
	char text[400];
	(void)snprintf(path, sizeof path, "%s/.aws", fixture->home);
	(void)mkdir(path, 0700);
	(void)snprintf(text, sizeof text,
	        "[default]\naws_access_key_id=" FAKE_KMS_TEMPORARY_KEY "\naws_secret_access_key=" FAKE_KMS_SECRET_KEY
	        "\naws_session_token=%s\n",
	        token);
	scratch_write(path, "credentials", text, strlen(text));
}

static void a_session_token_that_is_renewed_is_the_next_calls(void **state) {
	const struct kms_fixture *fixture = *state;
	struct kms_description found;
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	write_credentials(fixture, FAKE_KMS_TOKEN);
	_cleanup_(kms_closep) Kms *kms = kms_fixture_open(fixture, KEY_ARN, NULL);
	assert_rc(kms_describe(kms, &found));
	fake_kms_set_token(fixture->fake, "TOKENRENEWED");
	assert_int_equal(kms_describe(kms, &found), -EACCES);
	assert_non_null(strstr(fault_message(), "new session token"));
	write_credentials(fixture, "TOKENRENEWED");
	assert_rc(kms_describe(kms, &found));
}

static void the_endpoint_is_the_environments(void **state) {
	const struct kms_fixture *fixture = *state;
	struct kms_description found;
	Kms *kms = NULL;
	assert_int_equal(setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1", 1), 0);
	assert_int_equal(setenv("AWS_ENDPOINT_URL_KMS", fake_kms_url(fixture->fake), 1), 0);
	/* The region of the ARN, not the environment's. */
	assert_int_equal(setenv("AWS_REGION", "us-east-1", 1), 0);
	assert_rc(kms_open(KEY_ARN, NULL, &kms));
	assert_rc(kms_describe(kms, &found));
	kms_close(kms);
	assert_rc(kms_open("alias/vault", NULL, &kms));
	assert_int_equal(kms_describe(kms, &found), -EINVAL);
	assert_non_null(strstr(fault_message(), "another region"));
	kms_close(kms);
}

static void what_can_not_be_asked_is_not_sent(void **state) {
	const struct kms_fixture *fixture = *state;
	_cleanup_(kms_closep) Kms *kms = kms_fixture_open(fixture, KEY_ARN, NULL);
	static uint8_t much[KMS_WRAPPED_BYTES_MAX + 1];
	static char longer[KMS_CONTEXT_TEXT_MAX + 2];
	struct kms_pair many[KMS_CONTEXT_MAX + 1];
	struct kms_wrapped wrapped;
	uint8_t key[KMS_KEY_BYTES];
	char arn[KMS_ARN_BYTES];
	memset(longer, 'x', sizeof longer - 1);
	for (size_t i = 0; i <= KMS_CONTEXT_MAX; i++)
		many[i] = (struct kms_pair){&"abcdefghijk"[i], "v"};
	const struct kms_pair twice[] = {{"a", "1"}, {"a", "2"}};
	const struct kms_pair bad[] = {{"", "v"}, {"n", ""}, {"n", "new\nline"}, {"\xc3\xa9", "v"}, {longer, "v"}};
	assert_int_equal(
	        kms_generate(kms, &(struct kms_context){many, KMS_CONTEXT_MAX + 1}, key, &wrapped, arn), -EINVAL);
	assert_int_equal(kms_generate(kms, &(struct kms_context){twice, 2}, key, &wrapped, arn), -EINVAL);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(kms_generate(kms, &(struct kms_context){&bad[i], 1}, key, &wrapped, arn), -EINVAL);
	assert_int_equal(kms_decrypt(kms, bytes_of(much, sizeof much), &kms_fixture_context, key, arn), -EKEYREJECTED);
	assert_int_equal(kms_decrypt(kms, bytes_of(much, 0), &kms_fixture_context, key, arn), -EKEYREJECTED);
	assert_int_equal(fake_kms_counts(fixture->fake).requests, 0);
	assert_rc(kms_generate(kms, &(struct kms_context){many, KMS_CONTEXT_MAX}, key, &wrapped, arn));
}

static void only_what_can_be_reached_is_opened(void **state) {
	(void)state;
	Kms *kms = NULL;
	static const char *const others[] = {"pkcs11:token=a", "vault://host/key", "tpm2:"};
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		assert_int_equal(kms_open(others[i], NULL, &kms), -ENOTSUP);
	assert_int_equal(kms_open("", NULL, &kms), -EINVAL);
	assert_int_equal(kms_open("alias/", NULL, &kms), -EINVAL);
	unsetenv("AWS_REGION");
	assert_int_equal(kms_open("alias/vault", NULL, &kms), -EINVAL);
	assert_non_null(strstr(fault_message(), "AWS_REGION"));
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	assert_int_equal(kms_open(KEY_ARN, NULL, &kms), -ENOKEY);
	assert_null(kms);
}

static void who_is_away_has_refused_nothing(void **state) {
	(void)state;
	static const int away[] = {-EHOSTUNREACH, -ETIMEDOUT, -EBUSY, -EIO, -EPROTO, -EBADMSG};
	static const int answers[] = {0, -ENOKEY, -EACCES, -ETIME, -EPERM, -ENOENT, -EKEYREVOKED, -EKEYEXPIRED,
	        -ENOTCONN, -EKEYREJECTED, -EINVAL, -ECANCELED, -ENOMEM};
	for (size_t i = 0; i < sizeof away / sizeof away[0]; i++)
		assert_true(kms_is_away(away[i]));
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
		assert_false(kms_is_away(answers[i]));
}

/* ---- another provider ---- */

static int describe_nothing(void *provider, struct kms_description *ret_description) {
	(void)ret_description;
	*(unsigned *)provider += 1;
	return fault(ENOTCONN, "no token in the slot");
}

static void close_nothing(void *provider) {
	*(unsigned *)provider += 100;
}

static void another_provider_is_a_table(void **state) {
	(void)state;
	static const struct kms_ops ops = {.close = close_nothing, .describe = describe_nothing};
	unsigned calls = 0;
	Kms *kms = NULL;
	struct kms_description found;
	assert_rc(kms_wrap(&ops, &calls, "pkcs11:token=a", &kms));
	assert_int_equal(kms_describe(kms, &found), -ENOTCONN);
	assert_string_equal(fault_message(), "KMS key pkcs11:token=a: no token in the slot");
	kms_close(kms);
	assert_int_equal(calls, 101);
	kms_close(NULL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(what_is_wrapped_is_unwrapped, kms_fixture_setup, kms_fixture_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_context_is_the_same_in_any_order_and_only_itself, kms_fixture_setup, kms_fixture_teardown),
	        cmocka_unit_test_setup_teardown(
	                the_context_and_nothing_secret_is_what_is_sent, kms_fixture_setup, kms_fixture_teardown),
	        cmocka_unit_test_setup_teardown(
	                what_is_wrapped_is_wrapped_anew, kms_fixture_setup, kms_fixture_teardown),
	        cmocka_unit_test_setup_teardown(a_key_is_described, kms_fixture_setup, kms_fixture_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_session_token_that_is_renewed_is_the_next_calls, kms_fixture_setup, kms_fixture_teardown),
	        cmocka_unit_test_setup_teardown(
	                the_endpoint_is_the_environments, kms_fixture_setup, kms_fixture_teardown),
	        cmocka_unit_test_setup_teardown(
	                what_can_not_be_asked_is_not_sent, kms_fixture_setup, kms_fixture_teardown),
	        cmocka_unit_test_setup_teardown(
	                only_what_can_be_reached_is_opened, kms_fixture_setup, kms_fixture_teardown),
	        cmocka_unit_test(who_is_away_has_refused_nothing),
	        cmocka_unit_test(another_provider_is_a_table),
	};
	return cmocka_run_group_tests_name("kms", tests, NULL, NULL);
}
