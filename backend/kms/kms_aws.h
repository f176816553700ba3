/*
 * kms_aws: AWS KMS, and servers that speak its API, as a provider of kms.h.
 *
 *     kms_aws.c           the verbs: what is asked, and with which answer
 *     kms_aws_key.c       names of keys; where requests go
 *     kms_aws_http.c      a request: signed (sigv4.h, service "kms"), sent by libcurl, tried again
 *     kms_aws_judge.c     what came of an attempt: done, to be tried again, or an error in words
 *     kms_aws_answers.c   answers, which nobody vouches for (json_scan.h)
 *
 * The protocol is "AWS JSON 1.1": POST / with X-Amz-Target: TrentService.VERB; each request is harmless when sent
 * twice. Credentials, region and endpoint are found anew for each call as s3_credentials.h says (AWS_ENDPOINT_URL_KMS,
 * AWS_ENDPOINT_URL), so that a session token that somebody renews in a profile's file is the next call's; they are
 * written nowhere. Instance and container roles are not asked.
 *
 * What the credentials must be allowed: kms:GenerateDataKey to make a slot, kms:Decrypt to open it, kms:DescribeKey to
 * tell of it; to move it, kms:ReEncryptFrom of its key and kms:ReEncryptTo of the new one.
 *
 * Answers carry keys: only TLS to where they are for, or plain HTTP to this machine itself and past all proxies.
 * Redirects are not followed. kms:Decrypt names the key, so that what another key wrapped is told as such.
 */
#pragma once

#include "backend/kms/kms.h"

/* The provider for kms_wrap with kms_aws_ops. As kms_open. */
int kms_aws_open(const char *key, const struct kms_options *options, void **ret_provider);

extern const struct kms_ops kms_aws_ops;
