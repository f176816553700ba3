/*
 * s3_credentials: who we are for S3 or another service of AWS, and where it is, as AWS's own tools find it. For each
 * part the first that says it:
 *
 *     what was given              objects_place, aws_asked
 *     the environment             AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN); AWS_REGION,
 *                                 AWS_DEFAULT_REGION; AWS_ENDPOINT_URL_S3 (or the service's), AWS_ENDPOINT_URL;
 *                                 AWS_CA_BUNDLE
 *     the profile's files         AWS_PROFILE ("default") in AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials), then in
 *                                 AWS_CONFIG_FILE (~/.aws/config)
 *
 * Access key, secret key and token come from one source together. They lie in memory that is locked and wiped
 * (secret.h) and are in no words.
 */
#pragma once

#include "backend/objects/objects.h"
#include "crypto/secret.h"

struct s3_credentials {
	char access_key[256];
	char secret_key[256];
	char session_token[8192]; /* "": none */
	char region[64];          /* aws_asked.otherwise_region when nothing says one; of S3 "us-east-1" */
	char endpoint[512];       /* "": AWS, by region */
	char ca_bundle[512];      /* "": the system's */
};

/* What is asked for. Given parts are the caller's; NULL or "": none. */
struct aws_asked {
	const char *service;           /* for words: "S3" */
	const char *endpoint_variable; /* "AWS_ENDPOINT_URL_S3" */
	const char *otherwise_region;  /* "": none */
	const char *access_key, *secret_key, *session_token, *region, *endpoint;
};

/*
 * Finds them; secret_free (or secret_freep) frees. -ENOKEY: there are none, and where was looked; -EINVAL: something is
 * too long, or has characters that no header can, or a profile that was named does not exist.
 */
int aws_credentials_find(const struct aws_asked *asked, struct s3_credentials **ret_credentials);

/* The same for S3. Of a URL other than s3:// nothing is looked at. */
int s3_credentials_find(const struct objects_place *place, struct s3_credentials **ret_credentials);
