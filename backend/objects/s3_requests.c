#include "backend/objects/s3_internal.h"

#include "crypto/base/array.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* A batch on its way: one call for each request that is one. */
struct batch {
	struct s3 *s3;
	struct object_request *requests;
	size_t count;
	struct s3_call *calls;      /* those of this round */
	struct request_text *texts; /* of each call */
	size_t *whose;              /* the call's request */
	size_t call_count;
};

struct request_text {
	char key[S3_KEY_BYTES];
	char until[S3_TIME_BYTES];
};

static void batch_clear(struct batch *batch) {
	for (size_t i = 0; i < batch->call_count; i++)
		s3_call_clear(&batch->calls[i]);
	free(batch->calls);
	free(batch->texts);
	free(batch->whose);
}

static int batch_begin(struct batch *batch, struct s3 *s3, struct object_request *requests, size_t count) {
	*batch = (struct batch){.s3 = s3, .requests = requests, .count = count};
	batch->calls = calloc(count, sizeof *batch->calls);
	batch->texts = calloc(count, sizeof *batch->texts);
	batch->whose = calloc(count, sizeof *batch->whose);
	return batch->calls && batch->texts && batch->whose ? 0 : fault(ENOMEM, "no memory for a batch of requests");
}

static struct s3_call *add_call(struct batch *batch, size_t request, const char *method) {
	size_t at = batch->call_count++;
	s3_key(batch->s3, batch->requests[request].name, batch->texts[at].key);
	batch->calls[at] = (struct s3_call){.method = method, .key = batch->texts[at].key};
	batch->whose[at] = request;
	return &batch->calls[at];
}

static void forget_calls(struct batch *batch) {
	for (size_t i = 0; i < batch->call_count; i++)
		s3_call_clear(&batch->calls[i]);
	batch->call_count = 0;
}

static void set_rc(struct object_request *request, int rc, const char *words) {
	request->rc = rc;
	(void)snprintf(request->words, sizeof request->words, "%s", rc < 0 ? words : "");
}

/* What is to be locked goes whole, so that there is no moment without the lock: radosgw 16 takes none from an upload.
 */
static bool is_long(const struct object_request *request) {
	return request->what == OBJECT_PUT && request->data.size >= S3_MULTIPART_BYTES && !request->locked_until_s;
}

/* ---- if absent ---- */

/* Asks for those that must not be there. Some servers ignore If-None-Match, so this is the least that holds for all. */
static void look_for_those_absent(struct batch *batch) {
	for (size_t i = 0; i < batch->count; i++)
		if (batch->requests[i].what == OBJECT_PUT && batch->requests[i].if_absent)
			(void)add_call(batch, i, "HEAD");
	s3_http_run(batch->s3->http, batch->calls, batch->call_count);
	for (size_t i = 0; i < batch->call_count; i++) {
		const struct s3_call *call = &batch->calls[i];
		struct object_request *request = &batch->requests[batch->whose[i]];
		if (call->rc == 0) {
			(void)snprintf(request->words, sizeof request->words, "s3://%s/%s is there", batch->s3->bucket,
			        call->key);
			request->rc = -EEXIST;
		} else if (call->rc != -ENOENT) {
			set_rc(request, call->rc, call->words);
		}
	}
	forget_calls(batch);
}

/* Whether the object that is there is the one that we wanted to put. */
static bool is_ours(struct s3 *s3, const struct s3_call *put) {
	_cleanup_(freep) uint8_t *data = malloc(put->body.size + 1);
	if (!data)
		return false;
	_cleanup_(s3_call_clear) struct s3_call get = {
	        .method = "GET", .key = put->key, .into = data, .room = put->body.size + 1};
	return s3_run_one(s3, &get) == 0 && get.got == put->body.size && memcmp(data, put->body.data, get.got) == 0;
}

static void put_without_condition(struct s3 *s3, struct s3_call *call) {
	size_t kept = 0;
	for (size_t i = 0; i < call->header_count; i++)
		if (strcmp(call->headers[i].name, "if-none-match") != 0)
			call->headers[kept++] = call->headers[i];
	call->header_count = kept;
	call->attempts = call->pauses = 0;
	call->state = S3_CALL_NEW;
	s3_http_run(s3->http, call, 1);
}

/* ---- versions ---- */

static int find_out_versions(struct s3 *s3) {
	char status[32];
	_cleanup_(s3_call_clear) struct s3_call call = {.method = "GET"};
	if (s3->versions != S3_VERSIONS_UNKNOWN)
		return 0;
	s3_call_add_param(&call, "versioning", "");
	int rc = s3_run_one(s3, &call);
	/* Who may not ask may still remove, as if there were none. A server without versions may not know the question.
	 */
	if (rc == -EACCES || rc == -ENOTSUP) {
		s3->versions = S3_VERSIONS_NONE;
		return 0;
	}
	if (rc == 0)
		rc = s3_text_parse(
		        bytes_of(call.text, call.text_size), "VersioningConfiguration/Status", status, sizeof status);
	if (rc < 0)
		return rc == -EBADMSG ? fault(EIO, "%s", fault_message()) : rc;
	s3->versions = status[0] ? S3_VERSIONS_KEPT : S3_VERSIONS_NONE;
	return 0;
}

struct versions {
	const char *name;
	char (*ids)[S3_VERSION_BYTES];
	size_t count, room;
};

static void versions_clear(struct versions *versions) {
	free(versions->ids);
}

static int add_version(void *arg, const char *name, const struct s3_entry *entry) {
	struct versions *versions = arg;
	if (strcmp(name, versions->name) != 0)
		return 0;
	if (strlen(entry->version) >= S3_VERSION_BYTES)
		return fault(EIO, "a version's id is too long");
	char(*ids)[S3_VERSION_BYTES] =
	        array_room(versions->ids, &versions->room, versions->count + 1, sizeof versions->ids[0]);
	if (!ids)
		return fault(ENOMEM, "no memory for versions");
	versions->ids = ids;
	(void)snprintf(versions->ids[versions->count++], S3_VERSION_BYTES, "%s", entry->version);
	return 0;
}

/* Whether a lock holds the version, where the server does not say why it denies. */
static bool is_locked(struct s3 *s3, const char *key, const char *version) {
	char until[64];
	int64_t until_s = 0;
	_cleanup_(s3_call_clear) struct s3_call call = {.method = "GET", .key = key};
	s3_call_add_param(&call, "retention", "");
	s3_call_add_param(&call, "versionId", version);
	return s3_run_one(s3, &call) == 0 &&
	       s3_text_parse(bytes_of(call.text, call.text_size), "Retention/RetainUntilDate", until, sizeof until) ==
	               0 &&
	       s3_time_parse(until, &until_s) && until_s > time(NULL);
}

/* What one removal came to. A lock that the server does not speak of is asked for. */
static int judge_removal(struct s3 *s3, const struct s3_call *call, const char *version) {
	if ((call->rc == -EACCES || call->rc == -EINVAL) && is_locked(s3, call->key, version))
		return fault(EPERM, "%s; a lock holds it", call->words);
	return call->rc < 0 && call->rc != -ENOENT ? fault(-call->rc, "%s", call->words) : 0;
}

/* Oldest first, the newest only when the others are gone: while one is refused, what is read stays. */
static int remove_each(struct s3 *s3, const char *key, const struct versions *versions) {
	int rc = 0;
	for (size_t i = versions->count; rc == 0 && i > 0; i--) {
		_cleanup_(s3_call_clear) struct s3_call call = {.method = "DELETE", .key = key};
		s3_call_add_param(&call, "versionId", versions->ids[i - 1]);
		(void)s3_run_one(s3, &call);
		rc = judge_removal(s3, &call, versions->ids[i - 1]);
	}
	return rc;
}

static int remove_versions(struct s3 *s3, const char *name) {
	_cleanup_(versions_clear) struct versions versions = {.name = name};
	char key[S3_KEY_BYTES];
	s3_key(s3, name, key);
	int rc = s3_walk(s3, S3_ALL_VERSIONS, name, add_version, &versions);
	return rc < 0 ? rc : remove_each(s3, key, &versions);
}

/* ---- the batch ---- */

static void add_put(struct batch *batch, size_t at) {
	struct object_request *request = &batch->requests[at];
	struct s3_call *call = add_call(batch, at, "PUT");
	call->body = request->data;
	if (request->if_absent)
		s3_call_add_header(call, "if-none-match", "*");
	if (request->locked_until_s)
		s3_call_lock(call, request->locked_until_s, batch->texts[batch->call_count - 1].until);
}

static void add_get(struct batch *batch, size_t at) {
	struct object_request *request = &batch->requests[at];
	/* No range is empty. */
	struct s3_call *call = add_call(batch, at, request->size ? "GET" : "HEAD");
	if (request->version && request->version[0])
		s3_call_add_param(call, "versionId", request->version);
	if (!request->size)
		return;
	call->into = request->into;
	call->room = request->size;
	call->offset = request->offset;
}

static void add_removal(struct batch *batch, size_t at) {
	struct object_request *request = &batch->requests[at];
	int rc = find_out_versions(batch->s3);
	if (rc == 0 && batch->s3->versions == S3_VERSIONS_KEPT)
		rc = remove_versions(batch->s3, request->name);
	else if (rc == 0)
		(void)add_call(batch, at, "DELETE");
	if (rc < 0)
		set_rc(request, rc, fault_message());
}

static void take_result(struct batch *batch, size_t at) {
	struct s3_call *call = &batch->calls[at];
	struct object_request *request = &batch->requests[batch->whose[at]];
	if (request->what == OBJECT_PUT && request->if_absent) {
		if (call->rc == -ENOTSUP)
			put_without_condition(batch->s3, call);
		if (call->rc == -EEXIST && call->was_unsure && is_ours(batch->s3, call))
			call->rc = 0;
	}
	if (request->what == OBJECT_PUT && call->rc == -EINVAL && request->locked_until_s &&
	        strcmp(call->code, "InvalidRequest") == 0)
		call->rc = -ENOTSUP;
	if (request->what == OBJECT_REMOVE && call->rc == -ENOENT && strcmp(call->code, "NoSuchKey") == 0)
		call->rc = 0;
	set_rc(request, call->rc, call->words);
	request->got = call->rc == 0 ? call->got : 0;
}

int s3_carry_out(void *place, struct object_request *requests, size_t count) {
	_cleanup_(batch_clear) struct batch batch = {0};
	int rc = batch_begin(&batch, place, requests, count);
	if (rc < 0)
		return rc;
	look_for_those_absent(&batch);
	for (size_t i = 0; i < count; i++) {
		if (requests[i].rc < 0 || is_long(&requests[i]))
			continue;
		if (requests[i].what == OBJECT_PUT)
			add_put(&batch, i);
		else if (requests[i].what == OBJECT_GET)
			add_get(&batch, i);
		else
			add_removal(&batch, i);
	}
	s3_http_run(batch.s3->http, batch.calls, batch.call_count);
	for (size_t i = 0; i < batch.call_count; i++)
		take_result(&batch, i);
	for (size_t i = 0; i < count; i++)
		if (requests[i].rc == 0 && is_long(&requests[i]))
			s3_put_in_parts(batch.s3, &requests[i]);
	return 0;
}
