/*
 * kms_aws_key: how AWS names a key, and where requests about it go. Part of kms_aws.
 *
 *     arn:aws:kms:eu-west-1:111122223333:key/1234abcd-…     ► https://kms.eu-west-1.amazonaws.com
 *     arn:aws-cn:kms:cn-north-1:111122223333:alias/vault    ► https://kms.cn-north-1.amazonaws.com.cn
 *     alias/vault, 1234abcd-…, mrk-1234…                    ► the region of the environment or the profile
 */
#pragma once

#include "backend/kms/kms.h"
#include "backend/objects/s3_site.h"

#include <stdbool.h>

#define KMS_AWS_REGION_BYTES 48

struct kms_aws_key {
	char id[KMS_ARN_BYTES];            /* as it was given */
	char region[KMS_AWS_REGION_BYTES]; /* of an ARN; else "" */
	bool is_key_arn;                   /* "arn:…:key/…": what answers name must be this */
};

/* -EINVAL: no name of a key. */
int kms_aws_key_parse(const char *text, struct kms_aws_key *ret_key);

struct kms_aws_site {
	struct s3_site http;
	char region[KMS_AWS_REGION_BYTES]; /* to sign for */
};

/* Where requests go: to `endpoint`, if it is not "", else to AWS in the region. `region` is what the environment or
 * profile say, "" if nothing; the key's own counts over it. -EINVAL: no region is known; the endpoint is one of AWS in
 * another region; it is none, or would have keys sent in clear. */
int kms_aws_site_make(
        const struct kms_aws_key *key, const char *endpoint, const char *region, struct kms_aws_site *ret_site);
