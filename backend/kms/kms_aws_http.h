/*
 * kms_aws_http: one request to KMS, signed, sent, and tried again until it is answered or the time is over. Part of
 * kms_aws.
 *
 *     ┌► attempt, at most attempt_ms ─► judged ─► done, or an error that stays
 *     │                                   │ throttled, 5xx, cut, no answer, no connection
 *     └── pause: 0 to pause_ms · 2ⁿ ◄─────┘ unless total_ms would be over
 *
 * The pause is any part of its longest ("full jitter"), so that clients which failed together don't come back together.
 */
#pragma once

#include "backend/kms/kms_aws_key.h"
#include "backend/objects/s3_credentials.h"

#include <curl/curl.h>

typedef struct KmsAwsHttp KmsAwsHttp;

/* Takes nothing over; `key` is copied, and options with their endpoint. -ENOMEM, and what kms_aws_http_find has. */
int kms_aws_http_open(const struct kms_aws_key *key, const struct kms_options *options, KmsAwsHttp **ret_http);
void kms_aws_http_close(KmsAwsHttp *http);
DEFINE_CLEANUP(KmsAwsHttp, kms_aws_http_close);

/* Sends the JSON to the verb ("Decrypt"). *ret_answer is what came with HTTP 200: in memory that is locked, valid until
 * kms_aws_http_forget or the next call. Errors of kms.h, in words with the host. */
int kms_aws_http_call(KmsAwsHttp *http, const char *verb, const char *json, struct bytes *ret_answer);

/* Wipes the answer. */
void kms_aws_http_forget(KmsAwsHttp *http);

/* From any thread: ends the call under way and all later ones with -ECANCELED. */
void kms_aws_http_stop(KmsAwsHttp *http);

/* ---- an attempt, for its judge ---- */

struct kms_aws_attempt {
	const char *host;
	const struct s3_credentials *credentials;
	CURLcode result;
	long status;      /* HTTP; 0: no answer */
	bool is_too_long; /* the answer, for KMS_AWS_ANSWER_MAX */
	bool is_stopped;
	struct bytes answer;
	int64_t now_s; /* our clock when it ended */
	char date[64]; /* of the server's clock; "": not told */
	char request_id[80];
	char error[CURL_ERROR_SIZE]; /* libcurl's words */
};

/* 0, or the error with its words; *ret_is_passing: whether it is to be tried again. */
int kms_aws_judge(const struct kms_aws_attempt *attempt, bool *ret_is_passing);
