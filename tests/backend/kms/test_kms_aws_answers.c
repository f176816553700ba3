/* Answers as AWS and others write them; hostile ones are in test_kms_errors and fuzz_kms_answers. */
#include "backend/kms/kms_aws_answers.h"

#include "crypto/encoding.h"
#include "tests/backend/scratch.h"

#include <stdio.h>
#include <string.h>

#define ARN "arn:aws:kms:us-east-1:111122223333:key/1"
#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static void keys_are_read(void **state) {
	(void)state;
	static struct kms_wrapped wrapped;
	uint8_t key[KMS_KEY_BYTES];
	char arn[KMS_ARN_BYTES];
	assert_rc(
	        kms_aws_data_key_parse(bytes_of_string("{\"CiphertextBlob\":\"AQID\",\"KeyId\":\"" ARN
	                                               "\",\"Plaintext\":\"" KEY "\",\"CiphertextForRecipient\":null}"),
	                key, &wrapped, arn));
	for (size_t i = 0; i < sizeof key; i++)
		assert_int_equal(key[i], i);
	assert_string_equal(arn, ARN);
	assert_int_equal(wrapped.size, 3);
	assert_memory_equal(wrapped.data, "\1\2\3", 3);
	memset(key, 0, sizeof key);
	assert_rc(kms_aws_plaintext_parse(
	        bytes_of_string("{\"Plaintext\":\"" KEY "\",\"KeyId\":\"" ARN "\"}"), key, arn));
	assert_int_equal(key[31], 31);
	assert_rc(kms_aws_rewrapped_parse(
	        bytes_of_string("{\"SourceKeyId\":\"arn:b\",\"KeyId\":\"" ARN "\",\"CiphertextBlob\":\"BA\\u003d=\"}"),
	        &wrapped, arn));
	assert_int_equal(wrapped.size, 1);
	assert_int_equal(wrapped.data[0], 4);
}

static void the_longest_that_there_may_be_is_taken(void **state) {
	(void)state;
	static struct kms_wrapped wrapped;
	static uint8_t blob[KMS_WRAPPED_BYTES_MAX + 3];
	static char text[BASE64_TEXT_BYTES(sizeof blob)];
	static char answer[KMS_AWS_ANSWER_MAX];
	uint8_t key[KMS_KEY_BYTES];
	char arn[KMS_ARN_BYTES];
	for (size_t more = 0; more <= 3; more += 3) {
		base64_encode(bytes_of(blob, KMS_WRAPPED_BYTES_MAX + more), text);
		(void)snprintf(answer, sizeof answer,
		        "{\"CiphertextBlob\":\"%s\",\"KeyId\":\"" ARN "\",\"Plaintext\":\"" KEY "\"}", text);
		wrapped.size = 0;
		assert_int_equal(
		        kms_aws_data_key_parse(bytes_of_string(answer), key, &wrapped, arn), more ? -EBADMSG : 0);
		assert_int_equal(wrapped.size, more ? 0 : KMS_WRAPPED_BYTES_MAX);
	}
}

static void errors_are_read(void **state) {
	(void)state;
	const struct {
		const char *answer, *code, *message;
	} cases[] = {
	        {"{\"__type\":\"NotFoundException\",\"message\":\"m\"}", "NotFoundException", "m"},
	        {"{\"__type\":\"com.amazonaws.kms#NotFoundException\",\"Message\":\"M\"}", "NotFoundException", "M"},
	        {"{\"__type\":\"A.b9:http://c\"}", "A.b9", ""},
	        {"{\"__type\":\"with space\",\"message\":7}", "", ""},
	        {"{\"__type\":\"\",\"message\":null}", "", ""},
	        {"<?xml version=\"1.0\"?><ErrorResponse><Errors><Error><Code>AccessDenied</Code><Message>no\n&amp;"
	         "</Message></Error></Errors></ErrorResponse>",
	                "AccessDenied", "no?&"},
	        {"<ErrorResponse xmlns=\"https://x/\"><Error><Code>B</Code></Error></ErrorResponse>", "B", ""},
	        {"{\"__type\":\"A\",\"message\":\"\\u0007 \xc3\xa9\"}", "A", "? ??"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct kms_aws_error error;
		assert_rc(kms_aws_error_parse(bytes_of_string(cases[i].answer), &error));
		assert_string_equal(error.code, cases[i].code);
		assert_string_equal(error.message, cases[i].message);
	}
	struct kms_aws_error error;
	assert_int_equal(kms_aws_error_parse(bytes_of_string("{\"message\":\"m\"}"), &error), -EBADMSG);
	assert_int_equal(kms_aws_error_parse(bytes_of_string("{\"__type\":7}"), &error), -EBADMSG);
	assert_int_equal(kms_aws_error_parse(bytes_of_string(""), &error), -EBADMSG);
	assert_int_equal(kms_aws_error_parse(bytes_of_string("<html>a</html>"), &error), -EBADMSG);
	assert_int_equal(kms_aws_error_parse(bytes_of_string("<ErrorResponse><Error><Code>B"), &error), -EBADMSG);
}

static int describe(const char *metadata, struct kms_description *ret) {
	char answer[400];
	(void)snprintf(answer, sizeof answer, "{\"KeyMetadata\":{%s}}", metadata);
	return kms_aws_description_parse(bytes_of_string(answer), ret);
}

static void descriptions_are_read(void **state) {
	(void)state;
	struct kms_description found;
	assert_rc(describe("\"Arn\":\"" ARN "\",\"Enabled\":true,\"KeyState\":\"Enabled\","
	                   "\"CustomerMasterKeySpec\":\"SYMMETRIC_DEFAULT\",\"DeletionDate\":null",
	        &found));
	assert_string_equal(found.spec, "SYMMETRIC_DEFAULT");
	assert_string_equal(found.usage, "");
	assert_string_equal(found.description, "");
	assert_int_equal(found.deletion_s, 0);
	assert_true(found.is_enabled);
	assert_rc(describe("\"Arn\":\"" ARN "\",\"Enabled\":false,\"KeyState\":\"PendingReplicaDeletion\","
	                   "\"KeySpec\":\"RSA_2048\",\"DeletionDate\":1764288000",
	        &found));
	assert_int_equal(found.state, KMS_PENDING_DELETION);
	assert_int_equal(found.deletion_s, 1764288000);
	static const char *const lacking[] = {"\"Arn\":\"" ARN "\",\"Enabled\":true",
	        "\"Arn\":\"" ARN "\",\"KeyState\":\"A\"", "\"Enabled\":true,\"KeyState\":\"A\"",
	        "\"Arn\":\"no\",\"Enabled\":true,\"KeyState\":\"A\"",
	        "\"Arn\":\"" ARN "\",\"Enabled\":true,\"KeyState\":\"a state of more than thirty-two bytes\""};
	for (size_t i = 0; i < sizeof lacking / sizeof lacking[0]; i++)
		assert_int_equal(describe(lacking[i], &found), -EBADMSG);
	assert_int_equal(kms_aws_description_parse(bytes_of_string("{\"KeyMetadata\":[]}"), &found), -EBADMSG);
	assert_int_equal(found.state, KMS_PENDING_DELETION);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(keys_are_read),
	        cmocka_unit_test(the_longest_that_there_may_be_is_taken),
	        cmocka_unit_test(errors_are_read),
	        cmocka_unit_test(descriptions_are_read),
	};
	return cmocka_run_group_tests_name("kms_aws_answers", tests, NULL, NULL);
}
