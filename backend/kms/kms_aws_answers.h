/*
 * kms_aws_answers: reads what a server says that it is AWS KMS: untrusted, of bounded size. Part of kms_aws.
 *
 *     {"CiphertextBlob":"…","KeyId":"arn:…","Plaintext":"…"}          GenerateDataKey; without the first, Decrypt
 *     {"CiphertextBlob":"…","KeyId":"arn:…","SourceKeyId":"arn:…"}    ReEncrypt
 *     {"KeyMetadata":{"Arn":"arn:…","Enabled":true,"KeyState":"Enabled",…}}
 *     {"__type":"com.amazonaws.kms#NotFoundException","message":"…"}
 *     <ErrorResponse><Error><Code>…</Code><Message>…            of a front end that looks at signatures
 *
 * All: 0, or -EBADMSG with words; outputs are set on success only. Members that are not known are passed over.
 */
#pragma once

#include "backend/kms/kms.h"

/* Longest answer that is taken: a description of 8,192 characters is the longest that there may be. */
#define KMS_AWS_ANSWER_MAX ((size_t)32 << 10)

struct kms_aws_error {
	char code[64];     /* letters, digits and dots; "" when none is told */
	char message[400]; /* printable ASCII; what is not, and what is longer, is not in it */
};

/* An error, which has at least a type, or in XML a code. */
int kms_aws_error_parse(struct bytes answer, struct kms_aws_error *ret_error);

/* A key that is not of KMS_KEY_BYTES is none. */
int kms_aws_data_key_parse(struct bytes answer, uint8_t ret_key[static KMS_KEY_BYTES], struct kms_wrapped *ret_wrapped,
        char ret_arn[static KMS_ARN_BYTES]);
int kms_aws_plaintext_parse(
        struct bytes answer, uint8_t ret_key[static KMS_KEY_BYTES], char ret_arn[static KMS_ARN_BYTES]);
int kms_aws_rewrapped_parse(struct bytes answer, struct kms_wrapped *ret_wrapped, char ret_arn[static KMS_ARN_BYTES]);
int kms_aws_description_parse(struct bytes answer, struct kms_description *ret_description);
