/*
 * sigv4: AWS Signature Version 4 over a request's headers, for S3: the path is taken as it is on the wire and nothing
 * is normalised.
 *
 *     canonical request ─SHA-256─► string to sign ─HMAC under the day's key─► Authorization header
 *
 * "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)", Amazon S3 API Reference. Pure:
 * the time is the caller's. What is secret is wiped; the signature itself is none.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/digest.h"

#include <stddef.h>
#include <stdint.h>

/* "20130524T000000Z" and the NUL. */
#define SIGV4_DATE_BYTES 17

/* A query parameter or a header. */
struct sigv4_pair {
	const char *name;
	const char *value;
};

struct sigv4_key {
	const char *access_key;
	const char *secret_key;
	const char *region;
	const char *service; /* "s3" */
};

struct sigv4_request {
	const char *method;
	const char *path;                 /* encoded: sigv4_encode_path */
	const char *query;                /* encoded and sorted: sigv4_query; "" */
	const struct sigv4_pair *headers; /* all that are signed, names in lower case; "host" and "x-amz-date" are */
	size_t header_count;
	const char *payload_hash; /* SHA-256 of the body in hexadecimal, as x-amz-content-sha256 has it */
	const char *date;         /* sigv4_date, as x-amz-date has it */
};

/* The time, seconds since 1970, as x-amz-date has it; years 1970 to 9999. */
void sigv4_date(int64_t time_s, char ret_date[static SIGV4_DATE_BYTES]);

/* Percent-encodes all but A-Z a-z 0-9 - . _ ~ and '/'. Allocated. -ENOMEM. */
int sigv4_encode_path(const char *path, char **ret_path);

/* "a=1&b=2": names and values encoded ('/' too), sorted; as it is both signed and sent. Allocated. -ENOMEM. */
int sigv4_query(const struct sigv4_pair *params, size_t count, char **ret_query);

/* The canonical request, allocated; its digest is what is signed. For tests and for sigv4_sign. -ENOMEM. */
int sigv4_canonical_request(const struct sigv4_request *request, char **ret_text);

/* The value of the Authorization header, allocated. -ENOMEM. */
int sigv4_sign(const struct sigv4_key *key, const struct sigv4_request *request, char **ret_authorization);
