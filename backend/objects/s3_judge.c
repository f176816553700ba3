#include "backend/objects/s3_transfer.h"

#include "backend/objects/s3_answers.h"
#include "crypto/base/deadline.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ROUNDING_MS 2

static void say(const struct s3_transfer *transfer, int error, const char *what) {
	struct s3_call *call = transfer->call;
	const struct s3_shared *shared = transfer->shared;
	call->rc = -error;
	(void)snprintf(call->words, sizeof call->words, "%s s3://%s%s%.250s at %.120s: %.450s%s%s%s", call->method,
	        shared->bucket, call->key ? "/" : "", call->key ? call->key : "", shared->site.host, what,
	        transfer->request_id[0] ? " (request " : "", transfer->request_id, transfer->request_id[0] ? ")" : "");
}

/* ---- no answer ---- */

static int connect_errno(const struct s3_transfer *transfer) {
	long number = 0;
	(void)curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number);
	if (number == EHOSTUNREACH || number == ENETUNREACH)
		return EHOSTUNREACH;
	return number == ETIMEDOUT ? ETIMEDOUT : ECONNREFUSED;
}

/* Of the time in all libcurl says the same as of other waits. It rounds milliseconds otherwise than we do. */
static void say_timeout(const struct s3_transfer *transfer, const char *words) {
	const struct s3_call *call = transfer->call;
	char what[200];
	if (monotonic_ms() - transfer->began_ms < transfer->limit_ms - ROUNDING_MS) {
		say(transfer, ETIMEDOUT, words);
		return;
	}
	(void)snprintf(what, sizeof what,
	        "too slow: %zu bytes in %.1f s, which is the longest that a request of up to %zu bytes may take",
	        transfer->sent + call->got + transfer->text_size, (double)transfer->limit_ms / 1000,
	        s3_transfer_bytes(call));
	say(transfer, ETIMEDOUT, what);
}

static enum s3_verdict judge_broken(struct s3_transfer *transfer, CURLcode result) {
	struct s3_call *call = transfer->call;
	const char *words = transfer->error[0] ? transfer->error : curl_easy_strerror(result);
	call->was_unsure =
	        call->was_unsure || (result != CURLE_COULDNT_RESOLVE_HOST && result != CURLE_COULDNT_CONNECT);
	if (transfer->is_too_long) {
		say(transfer, EIO, "the server sends more than was asked for");
		return S3_DONE;
	}
	/* libcurl has codes by the hundred. */
	if (result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_COULDNT_RESOLVE_PROXY)
		say(transfer, EHOSTUNREACH, words);
	else if (result == CURLE_COULDNT_CONNECT)
		say(transfer, connect_errno(transfer), words);
	else if (result == CURLE_OPERATION_TIMEDOUT)
		say_timeout(transfer, words);
	else if (result == CURLE_OUT_OF_MEMORY)
		say(transfer, ENOMEM, words);
	else
		say(transfer, EIO, words);
	if (result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE ||
	        result == CURLE_SSL_CERTPROBLEM) {
		say(transfer, EACCES, words);
		return S3_DONE;
	}
	if (result == CURLE_WRITE_ERROR) {
		say(transfer, EIO, "the server ignores which part was asked for");
		return S3_DONE;
	}
	return S3_AGAIN;
}

/* ---- errors that S3 tells ---- */

struct meaning {
	const char *code;
	int error;
	bool is_passing; /* tried again */
};

/* Where the HTTP status does not say it, or says something else. "Error responses", Amazon S3 API Reference; the last
 * ones are other servers'. */
static const struct meaning meanings[] = {
        {"AccessDenied", EACCES, false},
        {"AuthorizationHeaderMalformed", EINVAL, false},
        {"BadDigest", EIO, true},
        {"BucketAlreadyExists", EACCES, false},
        {"BucketAlreadyOwnedByYou", EEXIST, false},
        {"ConditionalRequestConflict", EIO, true},
        {"EntityTooLarge", EFBIG, false},
        {"ExpiredToken", EACCES, false},
        {"InternalError", EIO, true},
        {"InvalidAccessKeyId", EACCES, false},
        {"InvalidToken", EACCES, false},
        {"MethodNotAllowed", ENOENT, false}, /* of a delete marker */
        {"NotImplemented", ENOTSUP, false},
        {"OperationAborted", EIO, true},
        {"QuotaExceeded", EDQUOT, false},
        {"RequestTimeout", ETIMEDOUT, true},
        {"ServiceUnavailable", EIO, true},
        {"SignatureDoesNotMatch", EACCES, false},
        {"SlowDown", EIO, true},
        {"TokenRefreshRequired", EACCES, false},
        {"XAmzContentSHA256Mismatch", EIO, true},
        {"XMinioAdminBucketQuotaExceeded", EDQUOT, false},
        {"XMinioStorageFull", EDQUOT, false},
};

static struct meaning meaning_of_status(long status) {
	switch (status) {
	case 401:
	case 403:
		return (struct meaning){NULL, EACCES, false};
	case 404:
		return (struct meaning){NULL, ENOENT, false};
	case 408:
		return (struct meaning){NULL, ETIMEDOUT, true};
	case 412:
		return (struct meaning){NULL, EEXIST, false};
	case 413:
		return (struct meaning){NULL, EFBIG, false};
	case 429:
		return (struct meaning){NULL, EIO, true};
	case 501:
		return (struct meaning){NULL, ENOTSUP, false};
	case 507:
		return (struct meaning){NULL, EDQUOT, false};
	default:
		return (struct meaning){NULL, status >= 400 && status < 500 ? EINVAL : EIO, status >= 500};
	}
}

static struct meaning meaning_of(const struct s3_call *call, long status, const struct s3_error *error) {
	/* AWS: "Access Denied because object protected by object lock."; radosgw: "forbidden by object lock"; MinIO,
	 * with 400: "Object is WORM protected and cannot be overwritten". Of what is put, 400 speaks of buckets without
	 * locks. */
	bool is_refusal = status == 403 || (status >= 400 && status < 500 && strcmp(call->method, "DELETE") == 0);
	if (is_refusal && (strcasestr(error->message, "object lock") || strcasestr(error->message, "WORM")))
		return (struct meaning){NULL, EPERM, false};
	for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
		if (strcmp(error->code, meanings[i].code) == 0)
			return meanings[i];
	return meaning_of_status(status);
}

/* The server's clock less ours by its header Date; false: it does not say. */
static bool offset_of(const struct s3_transfer *transfer, int64_t *ret_offset_s) {
	time_t theirs = curl_getdate(transfer->date, NULL);
	if (theirs <= 0)
		return false;
	*ret_offset_s = (int64_t)theirs - (int64_t)time(NULL);
	return true;
}

static bool is_of_region(const struct s3_transfer *transfer, long status, const struct s3_error *error) {
	const char *region = transfer->region[0] ? transfer->region : error->region;
	if (strcmp(error->code, "AuthorizationHeaderMalformed") == 0)
		return region[0];
	return (status >= 300 && status < 400) || strcmp(error->code, "PermanentRedirect") == 0 ||
	       (status == 400 && region[0] && strcmp(region, transfer->shared->credentials->region) != 0);
}

static enum s3_verdict judge_region(struct s3_transfer *transfer, long status, const struct s3_error *error) {
	const char *region = transfer->region[0] ? transfer->region : error->region;
	char what[300];
	if (region[0])
		(void)snprintf(what, sizeof what,
		        "the bucket is in region %.60s, and region %.60s was asked; give that one", region,
		        transfer->shared->credentials->region);
	else
		(void)snprintf(what, sizeof what,
		        "the server sends us elsewhere (HTTP %ld), where we don't go; give the endpoint it means",
		        status);
	say(transfer, EINVAL, what);
	return S3_DONE;
}

/* A server may say to whom it denied something. */
static bool tells_who(const struct s3_credentials *credentials, const char *message) {
	return strstr(message, credentials->access_key) ||
	       (credentials->session_token[0] && strstr(message, credentials->session_token));
}

static enum s3_verdict judge_error(
        struct s3_transfer *transfer, long status, const struct s3_error *error, int64_t *ret_offset_s) {
	struct s3_call *call = transfer->call;
	(void)snprintf(call->code, sizeof call->code, "%s", error->code);
	if (error->request_id[0] && !transfer->request_id[0])
		(void)snprintf(transfer->request_id, sizeof transfer->request_id, "%s", error->request_id);
	if (is_of_region(transfer, status, error))
		return judge_region(transfer, status, error);
	struct meaning meaning = meaning_of(call, status, error);
	const char *message = tells_who(transfer->shared->credentials, error->message) ? "" : error->message;
	char what[600];
	(void)snprintf(what, sizeof what, "%s%s%s (HTTP %ld)", error->code[0] ? error->code : "refused",
	        message[0] ? ": " : "", message, status);
	say(transfer, meaning.error, what);
	bool is_skewed = strcmp(error->code, "RequestTimeTooSkewed") == 0;
	if (is_skewed && call->attempts <= 2 && offset_of(transfer, ret_offset_s))
		return S3_AGAIN_NOW;
	call->was_unsure = call->was_unsure || status >= 500;
	return meaning.is_passing ? S3_AGAIN : S3_DONE;
}

/* ---- answers ---- */

/* Whether what came of the object is what was asked for, or less only because the object ends there. */
static enum s3_verdict judge_body(struct s3_transfer *transfer, long status) {
	struct s3_call *call = transfer->call;
	call->rc = 0;
	if (status != 206)
		return S3_DONE;
	uint64_t length = transfer->has_range ? transfer->range_last - transfer->range_first + 1 : 0;
	if (transfer->has_range && transfer->range_first == call->offset &&
	        transfer->range_last >= transfer->range_first && length == call->got &&
	        (length == call->room || transfer->range_last + 1 == transfer->range_total))
		return S3_DONE;
	say(transfer, EIO, "the server sent another part than was asked for");
	return S3_DONE;
}

static void hand_over(struct s3_transfer *transfer) {
	struct s3_call *call = transfer->call;
	curl_off_t length = 0;
	if (curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK && length > 0)
		call->content_length = (uint64_t)length;
	call->text = steal_pointer(&transfer->text);
	call->text_size = transfer->text_size;
}

enum s3_verdict s3_judge(struct s3_transfer *transfer, CURLcode result, int64_t *ret_offset_s) {
	struct s3_call *call = transfer->call;
	struct s3_error error = {0};
	long status = 0;
	(void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	call->status = status;
	call->code[0] = '\0';
	struct bytes text = bytes_of(transfer->text, transfer->text_size);
	/* A server that refuses a long body may close before it has read it all: what it said counts. */
	if (result != CURLE_OK && !transfer->is_enough && status < 300)
		return judge_broken(transfer, result);
	if (status == 416 && call->into) {
		call->rc = 0;
		call->got = 0;
		return S3_DONE;
	}
	bool is_error = s3_error_parse(text, &error) == 0;
	if (status < 200 || status >= 300 || is_error)
		return judge_error(transfer, status, &error, ret_offset_s);
	if (call->into)
		return judge_body(transfer, status);
	call->rc = 0;
	hand_over(transfer);
	return S3_DONE;
}
