/*
 * s3_http: carries out calls to one bucket, several at once, each until it is answered or tried often enough.
 *
 *     calls ─► slots (one libcurl transfer each, connections kept) ─► judged ─► done
 *                 ▲                                                     │ 5xx, 429, SlowDown, cut, stalled, refused
 *                 └──────────── pause, doubled each time, ± half ◄──────┘
 *
 * Each attempt is signed anew (sigv4.h) with the SHA-256 of its body, by a clock that is corrected from the server's
 * when that says we are off. No redirect is followed. A transfer that moves less than 1 KiB/s for `stall_s` seconds is
 * ended, and one that takes longer in all than `base_ms` and what its bytes need at `least_rate`; such an attempt
 * counts as two. TLS certificates are verified.
 *
 * Words name the request, S3's code, message and request id; never credentials.
 */
#pragma once

#include "backend/objects/s3_credentials.h"
#include "crypto/sigv4.h"

#include <stdatomic.h>

#define S3_PARAMS_MAX 8
#define S3_HEADERS_MAX 6
#define S3_ETAG_BYTES 96
#define S3_VERSION_BYTES 128

/* For tests; zeros are the defaults. */
struct s3_tuning {
	unsigned pause_ms;   /* before the second attempt: 500 */
	unsigned stall_s;    /* 15 */
	unsigned connect_ms; /* 10,000 */
	unsigned base_ms;    /* 60,000 */
	unsigned least_rate; /* bytes/s, of one request: 4,096 */
};

typedef struct S3Http S3Http;

struct s3_call {
	/* What is asked. Text and bytes are the caller's. */
	const char *method;
	const char *key; /* in the bucket, of characters that need no encoding; NULL: the bucket itself */
	struct sigv4_pair params[S3_PARAMS_MAX];
	size_t param_count;
	struct sigv4_pair headers[S3_HEADERS_MAX]; /* names in lower case */
	size_t header_count;
	struct bytes body;
	bool wants_md5; /* Content-MD5, as S3 requires it of what concerns locks */
	uint8_t *into;  /* GET: the answer's body goes here, bytes [offset, offset + room) of the object */
	size_t room;
	uint64_t offset;

	/* What came. */
	int rc;
	char words[FAULT_MESSAGE_BYTES]; /* when rc < 0 */
	long status;                     /* HTTP; 0: no answer */
	char code[64];                   /* S3's, "" */
	size_t got;                      /* bytes in `into` */
	uint8_t *text;                   /* the body, without `into`; s3_call_clear frees */
	size_t text_size;
	uint64_t content_length;
	char etag[S3_ETAG_BYTES];
	char version[S3_VERSION_BYTES];
	bool was_unsure; /* an earlier attempt went unanswered: it may have been carried out */

	/* s3_http's own. */
	unsigned attempts, pauses;
	int64_t due_ms;
	enum { S3_CALL_NEW, S3_CALL_UNDER_WAY, S3_CALL_PAUSED, S3_CALL_DONE } state;
	char hash[DIGEST_HEX_BYTES];
};

/* Frees what came. */
void s3_call_clear(struct s3_call *call);

/*
 * Takes `credentials` on success. `bucket` is copied. -EINVAL: the endpoint is none, or the region; -ENOMEM.
 * `parallel` and `attempts` as in objects_place, 0 for the defaults.
 */
int s3_http_open(struct s3_credentials *credentials, const char *bucket, unsigned parallel, unsigned attempts,
        const struct s3_tuning *tuning, S3Http **ret_http);
void s3_http_close(S3Http *http);
DEFINE_CLEANUP(S3Http, s3_http_close);

/* Carries them out; returns when all are done, the rc of each in it. */
void s3_http_run(S3Http *http, struct s3_call *calls, size_t count);

/* From any thread: what is under way, and all that comes, is -ECANCELED. */
void s3_http_stop(S3Http *http);

/* Whether an endpoint was given; if not, it is AWS in s3_http_region. */
bool s3_http_is_aws(const S3Http *http);
const char *s3_http_region(const S3Http *http);

/* Attempts after the first and connections that were made, since it was opened. */
struct s3_http_counts {
	uint64_t attempts, retries, connections;
};
struct s3_http_counts s3_http_counts(const S3Http *http);
