#include "backend/kms/kms_aws.h"

#include "backend/kms/kms_aws_answers.h"
#include "backend/kms/kms_aws_http.h"
#include "crypto/encoding.h"
#include "crypto/secret.h"

#include <jansson.h>
#include <string.h>

struct kms_aws {
	struct kms_aws_key key;
	KmsAwsHttp *http;
};

int kms_aws_open(const char *key, const struct kms_options *options, void **ret_provider) {
	_cleanup_(freep) struct kms_aws *aws = calloc(1, sizeof *aws);
	if (!aws)
		return fault(ENOMEM, "no memory to reach KMS");
	int rc = kms_aws_key_parse(key, &aws->key);
	if (rc == 0)
		rc = kms_aws_http_open(&aws->key, options, &aws->http);
	if (rc == 0)
		*ret_provider = steal_pointer(&aws);
	return rc;
}

static void close_aws(void *provider) {
	struct kms_aws *aws = provider;
	kms_aws_http_close(aws->http);
	free(aws);
}

static void stop(void *provider) {
	const struct kms_aws *aws = provider;
	kms_aws_http_stop(aws->http);
}

/* ---- what is asked ---- */

/* As jansson has it: NULL when memory is short, which json_pack passes on. */
static json_t *context_json(const struct kms_context *context) {
	json_t *object = json_object();
	for (size_t i = 0; i < context->count; i++)
		if (json_object_set_new(object, context->pairs[i].name, json_string(context->pairs[i].value)) != 0) {
			json_decref(object);
			return NULL;
		}
	return object;
}

static json_t *blob_json(struct bytes blob) {
	_cleanup_(freep) char *text = malloc(BASE64_TEXT_BYTES(blob.size));
	if (!text)
		return NULL;
	base64_encode(blob, text);
	return json_string(text);
}

/* Takes the JSON, NULL too. */
static int call(const struct kms_aws *aws, const char *verb, json_t *asked, struct bytes *ret_answer) {
	_cleanup_(freep) char *text = asked ? json_dumps(asked, JSON_COMPACT) : NULL;
	json_decref(asked);
	if (!text)
		return fault(ENOMEM, "no memory for a request");
	return kms_aws_http_call(aws->http, verb, text, ret_answer);
}

/* An answer about another key than the one that was named is somebody's trick or mistake. */
static int check_arn(const struct kms_aws_key *key, const char *arn) {
	if (key->is_key_arn && strcmp(arn, key->id) != 0)
		return fault(EBADMSG, "the answer is about another key than %s", key->id);
	return 0;
}

/* ---- the verbs ---- */

static int generate(void *provider, const struct kms_context *context, uint8_t ret_key[static KMS_KEY_BYTES],
        struct kms_wrapped *ret_wrapped, char ret_arn[static KMS_ARN_BYTES]) {
	const struct kms_aws *aws = provider;
	_cleanup_(secret_key_wipe) struct secret_key key = {0};
	_cleanup_(freep) struct kms_wrapped *wrapped = calloc(1, sizeof *wrapped);
	char arn[KMS_ARN_BYTES];
	struct bytes answer;
	if (!wrapped)
		return fault(ENOMEM, "no memory for a wrapped key");
	json_t *asked = json_pack("{s:s, s:s, s:o}", "KeyId", aws->key.id, "KeySpec", "AES_256", "EncryptionContext",
	        context_json(context));
	int rc = call(aws, "GenerateDataKey", asked, &answer);
	if (rc == 0)
		rc = kms_aws_data_key_parse(answer, key.bytes, wrapped, arn);
	kms_aws_http_forget(aws->http);
	if (rc == 0)
		rc = check_arn(&aws->key, arn);
	if (rc < 0)
		return fault_while(rc, "GenerateDataKey");
	memcpy(ret_key, key.bytes, KMS_KEY_BYTES);
	memcpy(ret_arn, arn, sizeof arn);
	*ret_wrapped = *wrapped;
	return 0;
}

static int decrypt(void *provider, struct bytes wrapped, const struct kms_context *context,
        uint8_t ret_key[static KMS_KEY_BYTES], char ret_arn[static KMS_ARN_BYTES]) {
	const struct kms_aws *aws = provider;
	_cleanup_(secret_key_wipe) struct secret_key key = {0};
	char arn[KMS_ARN_BYTES];
	struct bytes answer;
	json_t *asked = json_pack("{s:s, s:o, s:o}", "KeyId", aws->key.id, "CiphertextBlob", blob_json(wrapped),
	        "EncryptionContext", context_json(context));
	int rc = call(aws, "Decrypt", asked, &answer);
	if (rc == 0)
		rc = kms_aws_plaintext_parse(answer, key.bytes, arn);
	kms_aws_http_forget(aws->http);
	if (rc == 0)
		rc = check_arn(&aws->key, arn);
	if (rc < 0)
		return fault_while(rc, "Decrypt");
	memcpy(ret_key, key.bytes, KMS_KEY_BYTES);
	memcpy(ret_arn, arn, sizeof arn);
	return 0;
}

static int check_region(const struct kms_aws_key *key, const struct kms_aws_key *to) {
	if (key->region[0] && to->region[0] && strcmp(key->region, to->region) != 0)
		return fault(EINVAL,
		        "%.200s is in region %s, and KMS wraps anew only within one, %s: unwrap here, and wrap there",
		        to->id, to->region, key->region);
	return 0;
}

static int reencrypt(void *provider, struct bytes wrapped, const struct kms_context *context, const char *to_key,
        const struct kms_context *to_context, struct kms_wrapped *ret_wrapped, char ret_arn[static KMS_ARN_BYTES]) {
	const struct kms_aws *aws = provider;
	_cleanup_(freep) struct kms_wrapped *again = calloc(1, sizeof *again);
	struct kms_aws_key to;
	char arn[KMS_ARN_BYTES];
	struct bytes answer;
	int rc = again ? kms_aws_key_parse(to_key, &to) : fault(ENOMEM, "no memory for a wrapped key");
	if (rc == 0)
		rc = check_region(&aws->key, &to);
	if (rc < 0)
		return rc;
	json_t *asked = json_pack("{s:s, s:o, s:o, s:s, s:o}", "SourceKeyId", aws->key.id, "CiphertextBlob",
	        blob_json(wrapped), "SourceEncryptionContext", context_json(context), "DestinationKeyId", to.id,
	        "DestinationEncryptionContext", context_json(to_context));
	rc = call(aws, "ReEncrypt", asked, &answer);
	if (rc == 0)
		rc = kms_aws_rewrapped_parse(answer, again, arn);
	kms_aws_http_forget(aws->http);
	if (rc == 0)
		rc = check_arn(&to, arn);
	if (rc < 0)
		return fault_while(rc, "ReEncrypt");
	memcpy(ret_arn, arn, sizeof arn);
	*ret_wrapped = *again;
	return 0;
}

static int describe(void *provider, struct kms_description *ret_description) {
	const struct kms_aws *aws = provider;
	struct kms_description description;
	struct bytes answer;
	int rc = call(aws, "DescribeKey", json_pack("{s:s}", "KeyId", aws->key.id), &answer);
	if (rc == 0)
		rc = kms_aws_description_parse(answer, &description);
	kms_aws_http_forget(aws->http);
	if (rc == 0)
		rc = check_arn(&aws->key, description.arn);
	if (rc < 0)
		return fault_while(rc, "DescribeKey");
	*ret_description = description;
	return 0;
}

const struct kms_ops kms_aws_ops = {
        .close = close_aws,
        .generate = generate,
        .decrypt = decrypt,
        .reencrypt = reencrypt,
        .describe = describe,
        .stop = stop,
};
