#include "backend/objects/s3_internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define DOCUMENT_BYTES 512

/* ---- opening ---- */

static void split_url(const char *url, struct s3 *s3) {
	const char *bucket = url + strlen("s3://");
	size_t length = strcspn(bucket, "/");
	const char *prefix = bucket + length + (bucket[length] == '/');
	(void)snprintf(s3->bucket, sizeof s3->bucket, "%.*s", (int)length, bucket);
	size_t size = strlen(prefix);
	(void)snprintf(s3->prefix, sizeof s3->prefix, "%s%s", prefix, size && prefix[size - 1] != '/' ? "/" : "");
}

int s3_open(const struct objects_place *place, const struct s3_tuning *tuning, void **ret_place) {
	_cleanup_(freep) struct s3 *s3 = calloc(1, sizeof *s3);
	_cleanup_(secret_freep) struct s3_credentials *credentials = NULL;
	if (!s3)
		return fault(ENOMEM, "no memory to open %s", place->url);
	split_url(place->url, s3);
	int rc = s3_credentials_find(place, &credentials);
	if (rc == 0)
		rc = s3_http_open(credentials, s3->bucket, place->parallel, place->attempts, tuning, &s3->http);
	if (rc < 0)
		return rc;
	credentials = NULL; /* s3_http has taken them */
	*ret_place = steal_pointer(&s3);
	return 0;
}

static void s3_close(void *place) {
	struct s3 *s3 = place;
	s3_http_close(s3->http);
	free(s3);
}

static void s3_stop(void *place) {
	s3_http_stop(((struct s3 *)place)->http);
}

const S3Http *s3_http_of(const void *place) {
	return ((const struct s3 *)place)->http;
}

/* ---- calls ---- */

void s3_key(const struct s3 *s3, const char *name, char ret_key[static S3_KEY_BYTES]) {
	(void)snprintf(ret_key, S3_KEY_BYTES, "%s%s", s3->prefix, name);
}

void s3_time(int64_t time_s, char ret_text[static S3_TIME_BYTES]) {
	time_t time = (time_t)time_s;
	struct tm tm;
	if (!gmtime_r(&time, &tm) || strftime(ret_text, S3_TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		ret_text[0] = '\0';
}

int s3_run_one(struct s3 *s3, struct s3_call *call) {
	s3_http_run(s3->http, call, 1);
	return call->rc < 0 ? fault(-call->rc, "%s", call->words) : 0;
}

void s3_call_add_param(struct s3_call *call, const char *name, const char *value) {
	if (call->param_count < S3_PARAMS_MAX)
		call->params[call->param_count++] = (struct sigv4_pair){name, value};
}

void s3_call_add_header(struct s3_call *call, const char *name, const char *value) {
	if (call->header_count < S3_HEADERS_MAX)
		call->headers[call->header_count++] = (struct sigv4_pair){name, value};
}

void s3_call_lock(struct s3_call *call, int64_t until_s, char text[static S3_TIME_BYTES]) {
	s3_time(until_s, text);
	s3_call_add_header(call, "x-amz-object-lock-mode", "COMPLIANCE");
	s3_call_add_header(call, "x-amz-object-lock-retain-until-date", text);
	call->wants_md5 = true;
}

/* ---- listings ---- */

struct telling {
	object_fn *object;
	void *arg;
	enum s3_listing listing;
};

static int tell(void *arg, const char *name, const struct s3_entry *entry) {
	const struct telling *telling = arg;
	bool is_version = telling->listing == S3_ALL_VERSIONS;
	struct object_info info = {.name = name,
	        .version = is_version ? entry->version : "",
	        .size = entry->size,
	        .modified_s = entry->modified_s,
	        .is_latest = is_version ? entry->is_latest : true,
	        .is_removed = entry->is_removed};
	return telling->object(telling->arg, &info);
}

static int s3_list(void *place, const char *prefix, object_fn *object, void *arg) {
	struct telling telling = {object, arg, S3_OBJECTS};
	return s3_walk(place, S3_OBJECTS, prefix, tell, &telling);
}

static int s3_versions(void *place, const char *prefix, object_fn *object, void *arg) {
	struct telling telling = {object, arg, S3_ALL_VERSIONS};
	return s3_walk(place, S3_ALL_VERSIONS, prefix, tell, &telling);
}

struct tidying {
	struct s3 *s3;
	int64_t before_s;
};

static int abort_if_old(void *arg, const char *name, const struct s3_entry *entry) {
	const struct tidying *tidying = arg;
	char key[S3_KEY_BYTES];
	s3_key(tidying->s3, name, key);
	return entry->modified_s < tidying->before_s ? s3_upload_abort(tidying->s3, key, entry->version) : 0;
}

static int s3_tidy(void *place, int64_t before_s) {
	struct tidying tidying = {place, before_s};
	return s3_walk(place, S3_UPLOADS, "", abort_if_old, &tidying);
}

/* ---- locks ---- */

/* Whether it lasts until then as it is. A lock is never made shorter. */
static bool lasts_until(struct s3 *s3, const char *key, int64_t until_s) {
	char mode[32];
	char text[64];
	int64_t lasts_s = 0;
	_cleanup_(s3_call_clear) struct s3_call call = {.method = "GET", .key = key};
	s3_call_add_param(&call, "retention", "");
	if (s3_run_one(s3, &call) < 0)
		return false;
	struct bytes answer = bytes_of(call.text, call.text_size);
	return s3_text_parse(answer, "Retention/Mode", mode, sizeof mode) == 0 && strcmp(mode, "COMPLIANCE") == 0 &&
	       s3_text_parse(answer, "Retention/RetainUntilDate", text, sizeof text) == 0 &&
	       s3_time_parse(text, &lasts_s) && lasts_s >= until_s;
}

static int s3_lock(void *place, const char *name, int64_t until_s) {
	struct s3 *s3 = place;
	char key[S3_KEY_BYTES];
	char until[S3_TIME_BYTES];
	char document[DOCUMENT_BYTES];
	s3_key(s3, name, key);
	s3_time(until_s, until);
	int length = snprintf(document, sizeof document,
	        "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>COMPLIANCE</Mode>"
	        "<RetainUntilDate>%s</RetainUntilDate></Retention>",
	        until);
	_cleanup_(s3_call_clear) struct s3_call call = {
	        .method = "PUT", .key = key, .body = bytes_of(document, (size_t)length), .wants_md5 = true};
	s3_call_add_param(&call, "retention", "");
	int rc = s3_run_one(s3, &call);
	if ((rc == -EACCES || rc == -EPERM) && lasts_until(s3, key, until_s))
		return 0;
	if (rc == -EINVAL && strcmp(call.code, "InvalidRequest") == 0)
		return fault(ENOTSUP, "%s", call.words);
	return rc < 0 ? fault(-rc, "%s", call.words) : 0;
}

static int check_locks(struct s3 *s3) {
	char enabled[32] = "";
	_cleanup_(s3_call_clear) struct s3_call call = {.method = "GET"};
	s3_call_add_param(&call, "object-lock", "");
	int rc = s3_run_one(s3, &call);
	if (rc == 0)
		rc = s3_text_parse(bytes_of(call.text, call.text_size), "ObjectLockConfiguration/ObjectLockEnabled",
		        enabled, sizeof enabled);
	if (rc == -EACCES || (rc < 0 && rc != -ENOENT && rc != -EINVAL && rc != -ENOTSUP && rc != -EBADMSG))
		return rc;
	if (strcmp(enabled, "Enabled") == 0)
		return 0;
	return fault(ENOTSUP, "bucket %s was made without Object Lock; make another with it", s3->bucket);
}

/* ---- the bucket ---- */

static int make_bucket(struct s3 *s3, bool locks) {
	char document[DOCUMENT_BYTES];
	const char *region = s3_http_region(s3->http);
	_cleanup_(s3_call_clear) struct s3_call call = {.method = "PUT"};
	/* Of other servers the region says nothing about where a bucket is to be; the eldest of AWS's must not be
	 * named. */
	if (s3_http_is_aws(s3->http) && strcmp(region, "us-east-1") != 0) {
		int length = snprintf(document, sizeof document,
		        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
		        "<LocationConstraint>%.60s</LocationConstraint></CreateBucketConfiguration>",
		        region);
		call.body = bytes_of(document, (size_t)length);
	}
	if (locks)
		s3_call_add_header(&call, "x-amz-bucket-object-lock-enabled", "true");
	int rc = s3_run_one(s3, &call);
	return rc == -EEXIST ? 0 : rc;
}

static int try_to_write(struct s3 *s3) {
	char key[S3_KEY_BYTES];
	char id[1024];
	s3_key(s3, "probe", key);
	int rc = s3_upload_begin(s3, key, id, sizeof id);
	return rc < 0 ? rc : s3_upload_abort(s3, key, id);
}

static int s3_prepare(void *place, bool create, bool locks) {
	struct s3 *s3 = place;
	_cleanup_(s3_call_clear) struct s3_call head = {.method = "HEAD"};
	int rc = s3_run_one(s3, &head);
	if (rc == -ENOENT && create)
		rc = make_bucket(s3, locks);
	else if (rc == -ENOENT)
		rc = fault(ENOENT, "there is no bucket %s", s3->bucket);
	if (rc == 0 && locks)
		rc = check_locks(s3);
	if (rc == 0)
		rc = try_to_write(s3);
	return rc;
}

const struct objects_ops s3_ops = {
        .close = s3_close,
        .carry_out = s3_carry_out,
        .list = s3_list,
        .versions = s3_versions,
        .lock = s3_lock,
        .prepare = s3_prepare,
        .tidy = s3_tidy,
        .stop = s3_stop,
};
