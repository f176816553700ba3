#include "backend/objects/s3_internal.h"

#include <stdio.h>
#include <string.h>

#define UPLOAD_ID_BYTES 1024
#define PARTS_MAX (OBJECT_BYTES_MAX / S3_PART_BYTES)
#define COMPLETE_BYTES 2048

int s3_upload_begin(struct s3 *s3, const char *key, char *ret_id, size_t room) {
	_cleanup_(s3_call_clear) struct s3_call call = {.method = "POST", .key = key};
	s3_call_add_param(&call, "uploads", "");
	int rc = s3_run_one(s3, &call);
	if (rc < 0)
		return rc;
	rc = s3_text_parse(bytes_of(call.text, call.text_size), "InitiateMultipartUploadResult/UploadId", ret_id, room);
	if (rc < 0 || !ret_id[0])
		return fault(EIO, "s3://%s/%s: the server began an upload without an id", s3->bucket, key);
	return 0;
}

int s3_upload_abort(struct s3 *s3, const char *key, const char *id) {
	_cleanup_(s3_call_clear) struct s3_call call = {.method = "DELETE", .key = key};
	s3_call_add_param(&call, "uploadId", id);
	int rc = s3_run_one(s3, &call);
	return rc == -ENOENT ? 0 : rc;
}

struct upload {
	struct s3 *s3;
	const struct object_request *request;
	char key[S3_KEY_BYTES];
	char id[UPLOAD_ID_BYTES];
	struct s3_call parts[PARTS_MAX];
	char numbers[PARTS_MAX][12];
	size_t count;
};

static void upload_free(struct upload **upload) {
	for (size_t i = 0; *upload && i < (*upload)->count; i++)
		s3_call_clear(&(*upload)->parts[i]);
	free(*upload);
}

static int put_parts(struct upload *upload) {
	struct bytes rest = upload->request->data;
	while (rest.size > 0 && upload->count < PARTS_MAX) {
		size_t size = rest.size < S3_PART_BYTES ? rest.size : S3_PART_BYTES;
		struct s3_call *part = &upload->parts[upload->count];
		*part = (struct s3_call){.method = "PUT", .key = upload->key, .body = bytes_of(rest.data, size)};
		(void)snprintf(upload->numbers[upload->count], sizeof upload->numbers[0], "%zu", upload->count + 1);
		s3_call_add_param(part, "partNumber", upload->numbers[upload->count]);
		s3_call_add_param(part, "uploadId", upload->id);
		rest = bytes_of(rest.data + size, rest.size - size);
		upload->count++;
	}
	s3_http_run(upload->s3->http, upload->parts, upload->count);
	for (size_t i = 0; i < upload->count; i++) {
		const struct s3_call *part = &upload->parts[i];
		if (part->rc < 0)
			return fault(-part->rc, "%s", part->words);
		/* It goes into a document as it is. */
		if (!part->etag[0] || part->etag[strspn(part->etag, "\"0123456789abcdefABCDEF-")])
			return fault(EIO, "s3://%s/%s: the server's ETag of part %zu is none", upload->s3->bucket,
			        upload->key, i + 1);
	}
	return 0;
}

/* An answer that was lost: the upload is gone, and the object as long as ours. */
static bool was_completed(struct upload *upload, const struct s3_call *complete) {
	if (complete->rc != -ENOENT || !complete->was_unsure)
		return false;
	_cleanup_(s3_call_clear) struct s3_call head = {.method = "HEAD", .key = upload->key};
	return s3_run_one(upload->s3, &head) == 0 && head.content_length == upload->request->data.size;
}

static int complete(struct upload *upload) {
	char document[COMPLETE_BYTES];
	size_t length = (size_t)snprintf(document, sizeof document, "<CompleteMultipartUpload>");
	for (size_t i = 0; i < upload->count; i++)
		length += (size_t)snprintf(document + length, sizeof document - length,
		        "<Part><PartNumber>%zu</PartNumber><ETag>%s</ETag></Part>", i + 1, upload->parts[i].etag);
	length += (size_t)snprintf(document + length, sizeof document - length, "</CompleteMultipartUpload>");
	_cleanup_(s3_call_clear) struct s3_call call = {
	        .method = "POST", .key = upload->key, .body = bytes_of(document, length)};
	s3_call_add_param(&call, "uploadId", upload->id);
	if (upload->request->if_absent)
		s3_call_add_header(&call, "if-none-match", "*");
	int rc = s3_run_one(upload->s3, &call);
	return rc < 0 && was_completed(upload, &call) ? 0 : rc;
}

static int put_in_parts(struct s3 *s3, const struct object_request *request) {
	_cleanup_(upload_free) struct upload *upload = calloc(1, sizeof *upload);
	if (!upload)
		return fault(ENOMEM, "no memory for an upload");
	upload->s3 = s3;
	upload->request = request;
	s3_key(s3, request->name, upload->key);
	int rc = s3_upload_begin(s3, upload->key, upload->id, sizeof upload->id);
	if (rc < 0)
		return rc;
	rc = put_parts(upload);
	if (rc == 0)
		rc = complete(upload);
	if (rc == 0)
		return 0;
	char words[FAULT_MESSAGE_BYTES];
	(void)snprintf(words, sizeof words, "%s", fault_message());
	/* What could not be aborted now, s3's tidy finds later. */
	(void)s3_upload_abort(s3, upload->key, upload->id);
	return fault(-rc, "%s", words);
}

void s3_put_in_parts(struct s3 *s3, struct object_request *request) {
	request->rc = put_in_parts(s3, request);
	if (request->rc < 0)
		(void)snprintf(request->words, sizeof request->words, "%s", fault_message());
}
