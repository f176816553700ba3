/*
 * s3_internal: what the sources of s3 share.
 */
#pragma once

#include "backend/objects/s3.h"
#include "backend/objects/s3_answers.h"

#define S3_KEY_BYTES 1024
/* "2026-11-28T09:16:00Z" and the NUL. */
#define S3_TIME_BYTES 24

struct s3 {
	S3Http *http;
	char bucket[80];
	char prefix[520]; /* "", or with a slash at its end */
	enum { S3_VERSIONS_UNKNOWN, S3_VERSIONS_NONE, S3_VERSIONS_KEPT } versions;
};

/* The name's key in the bucket. */
void s3_key(const struct s3 *s3, const char *name, char ret_key[static S3_KEY_BYTES]);

/* The time as S3 writes it in headers and documents. */
void s3_time(int64_t time_s, char ret_text[static S3_TIME_BYTES]);

/* Runs one call; its words are the fault's. */
int s3_run_one(struct s3 *s3, struct s3_call *call);

/* Adds a query parameter, whose texts stay the caller's. */
void s3_call_add_param(struct s3_call *call, const char *name, const char *value);

/* Adds a header, whose value stays the caller's. */
void s3_call_add_header(struct s3_call *call, const char *name, const char *value);

/* The headers of an object that is to be locked until then, with the MD5 that S3 wants with them; `text` must outlive
 * the call. */
void s3_call_lock(struct s3_call *call, int64_t until_s, char text[static S3_TIME_BYTES]);

/* Puts a long object in parts. Sets rc and words. (s3_multipart.c) */
void s3_put_in_parts(struct s3 *s3, struct object_request *request);

/* Begins an upload: its id into ret_id. (s3_multipart.c) */
int s3_upload_begin(struct s3 *s3, const char *key, char *ret_id, size_t room);

/* Forgets an upload and its parts; one that is not there is no error. (s3_multipart.c) */
int s3_upload_abort(struct s3 *s3, const char *key, const char *id);

/* Carries out batches. (s3_requests.c) */
int s3_carry_out(void *place, struct object_request *requests, size_t count);

/* Goes through a listing page by page; `what` is "list-type=2" or the like. Each entry below the prefix whose name is
 * one of ours goes to `entry`, in the server's order, which must be that of the names. (s3_list.c) */
enum s3_listing { S3_OBJECTS, S3_ALL_VERSIONS, S3_UPLOADS };
typedef int s3_entry_fn(void *arg, const char *name, const struct s3_entry *entry);
int s3_walk(struct s3 *s3, enum s3_listing listing, const char *prefix, s3_entry_fn *entry, void *arg);
