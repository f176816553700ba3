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
 * Measured with radosgw 16 in memory on the same two processors, objects of 16 MiB (bench_objects): put 153, 221, 240
 * and 241 MiB/s with 1, 4, 8 and 16 at once, get 480 to 1,036; curl one by one put 230 and get 640. More than 8 bring
 * nothing there; over a longer way they cover what a round takes. Each MiB costs 0.7 ms of processor to put (SHA-256
 * for the most part), 0.3 ms to get.
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
