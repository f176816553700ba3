/*
 * s3: a bucket as a place of objects: S3 itself, or a server that speaks it (tried with Ceph's radosgw 16).
 *
 *     put            one request; from S3_MULTIPART_BYTES on in parts of S3_PART_BYTES, several at once, unless it is
 *                    to be locked
 *     if_absent      HEAD, then If-None-Match: *, because some servers ignore the one or the other; an answer that was
 *                    lost is told from somebody else's object by reading it
 *     remove         all versions of the name, when the bucket keeps versions: a delete marker would hide the object
 * and free nothing, also where its lock refuses the removal prepare        tries that it can be written by beginning an
 * upload and aborting it
 *
 * Requests, retries and bounds: s3_http.h. Credentials: s3_credentials.h.
 */
#pragma once

#include "backend/objects/s3_http.h"

#define S3_MULTIPART_BYTES ((size_t)32 << 20)
#define S3_PART_BYTES ((size_t)16 << 20)

/* Opens the place at an URL that objects_check_url took. For objects_wrap with s3_ops. -ENOKEY, -EINVAL, -ENOMEM.
 * `tuning` is NULL but in tests. */
int s3_open(const struct objects_place *place, const struct s3_tuning *tuning, void **ret_place);

/* The client below, for its counts. */
const S3Http *s3_http_of(const void *place);

extern const struct objects_ops s3_ops;
