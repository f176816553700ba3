/*
 * s3_transfer: one attempt at a call: a libcurl transfer that is signed, and what came of it; and the verdict on it.
 * Part of s3_http.
 */
#pragma once

#include "backend/objects/s3_http.h"
#include "backend/objects/s3_site.h"

#include <curl/curl.h>

/* What all attempts share. */
struct s3_shared {
	const struct s3_credentials *credentials;
	struct s3_site site;
	struct s3_tuning tuning;
	char bucket[80];
	int64_t clock_offset_s; /* the server's clock less ours */
};

struct s3_transfer {
	CURL *easy;
	struct s3_call *call; /* NULL: the slot is free */
	const struct s3_shared *shared;
	struct curl_slist *headers;
	size_t sent; /* of the body */
	int64_t began_ms, limit_ms;

	uint8_t *text; /* of the answer */
	size_t text_size, text_room;
	bool is_enough; /* `into` is full, and the server sends more: it ignores ranges */
	bool is_too_long;
	bool has_range;
	uint64_t range_first, range_last, range_total;
	char date[64], request_id[80], region[64];
	unsigned retry_after_s;
	char error[CURL_ERROR_SIZE];
};

/* Sets the transfer up for the call, signed for this moment. -ENOMEM. */
int s3_transfer_begin(struct s3_transfer *transfer, const struct s3_shared *shared, struct s3_call *call);

/* How many bytes may come and go, for the time that it may take. */
size_t s3_transfer_bytes(const struct s3_call *call);

/* Frees what the attempt had; the slot is free then. */
void s3_transfer_end(struct s3_transfer *transfer);

enum s3_verdict {
	S3_DONE,      /* rc and words are the call's */
	S3_AGAIN,     /* after a pause; rc and words if it was the last attempt */
	S3_AGAIN_NOW, /* the clock was wrong: *ret_offset_s is the new offset */
};

/* Judges a transfer that libcurl has ended so. Moves the text into the call. */
enum s3_verdict s3_judge(struct s3_transfer *transfer, CURLcode result, int64_t *ret_offset_s);
