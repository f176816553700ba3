/*
 * objects: a place outside the vault that keeps objects by name, as S3 does: a bucket, or a directory on another disk.
 *
 *     s3://BUCKET/PREFIX     s3.h: SigV4 over libcurl, several requests at once
 *     file:///DIRECTORY      files.h: a file an object, written beside and renamed
 *
 * Names are relative to the prefix, of a-z 0-9 . _ - and '/', without empty, "." or ".." components. What is in an
 * object is never changed: it is put whole, and replaced whole or not at all. Nothing that comes from there is trusted:
 * who reads authenticates.
 *
 * The work is done by a small table of functions, so that a test puts a server that fails in its place. All functions
 * return 0 or a negative errno with words (fault.h). An Objects belongs to one thread at a time; open one for each.
 *
 *     -ENOENT        no such object, or bucket
 *     -EEXIST        put with `if_absent`: it is there
 *     -EACCES        refused: wrong or no credentials, no permission (403)
 *     -EPERM         a lock (WORM) forbids it (403, and the object's lock says so)
 *     -EDQUOT        the place is full, or its quota (507, QuotaExceeded, ENOSPC)
 *     -ETIMEDOUT, -ECONNREFUSED, -EHOSTUNREACH, -EIO   after all retries
 *     -ECANCELED     objects_stop was called
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Objects Objects;

#define OBJECT_NAME_MAX 255
/* Longest object that is put or got in one request; what is longer is cut by who names it. */
#define OBJECT_BYTES_MAX ((size_t)64 << 20)

struct object_info {
	const char *name;    /* relative to the prefix; valid during the call */
	const char *version; /* objects_versions: what objects_get takes; "" elsewhere */
	uint64_t size;
	int64_t modified_s; /* by the server's clock */
	bool is_latest;     /* objects_versions */
	bool is_removed;    /* objects_versions: a delete marker */
};

/* A return other than 0 ends the listing and is returned. */
typedef int object_fn(void *arg, const struct object_info *object);

enum object_what { OBJECT_PUT, OBJECT_GET, OBJECT_REMOVE };

/* One request of a batch, filled in by the caller; `rc`, `words` and `got` by objects_do. */
struct object_request {
	enum object_what what;
	const char *name;
	struct bytes data;      /* PUT: the object, at most OBJECT_BYTES_MAX */
	bool if_absent;         /* PUT: -EEXIST when it is there, and nothing is changed */
	int64_t locked_until_s; /* PUT: nobody may remove this version before (S3: COMPLIANCE); 0: no lock */
	const char *version;    /* GET: of objects_versions; NULL: the latest */
	uint64_t offset;        /* GET */
	uint8_t *into;          /* GET: room for `size` bytes */
	size_t size;            /* GET */
	size_t got;             /* GET: bytes that came; fewer than `size` only at the object's end */
	int rc;
	char words[FAULT_MESSAGE_BYTES]; /* when rc < 0 */
};

/* The table. `place` is the implementation's own. Names were checked. */
struct objects_ops {
	void (*close)(void *place);
	int (*carry_out)(void *place, struct object_request *requests, size_t count);
	int (*list)(void *place, const char *prefix, object_fn *object, void *arg);
	int (*versions)(void *place, const char *prefix, object_fn *object, void *arg); /* NULL: as list */
	int (*lock)(void *place, const char *name, int64_t until_s);                    /* NULL: -ENOTSUP */
	int (*prepare)(void *place, bool create, bool locks);
	int (*tidy)(void *place, int64_t before_s);
	void (*stop)(void *place); /* from any thread */
};

/* How a place is reached. Text is the caller's and copied. */
struct objects_place {
	const char *url;      /* s3://bucket/prefix or file:///directory */
	const char *endpoint; /* of S3: http[s]://host[:port]; NULL: from the environment, else AWS by region */
	/* S3; NULL or "": from the environment and profile files (s3_credentials.h). */
	const char *access_key, *secret_key, *session_token, *region;
	unsigned parallel; /* requests at once; 0: 8 */
	unsigned attempts; /* of a request that may be tried again; 0: 5, in about 10 s */
};

/* Opens by the URL's scheme; nothing is sent yet. -EINVAL: no such URL; -ENOKEY: no credentials anywhere. */
int objects_open(const struct objects_place *place, Objects **ret_objects);

/* For implementations and tests; takes ownership of `place` on success. `ops` must outlive it; `url` is copied. */
int objects_wrap(const struct objects_ops *ops, void *place, const char *url, Objects **ret_objects);

/* Frees; NULL is fine. */
void objects_close(Objects *objects);
DEFINE_CLEANUP(Objects, objects_close);

/* As it was opened, without credentials, for words. */
const char *objects_url(const Objects *objects);

/* Whether the URL is one that objects_open takes: 0, or -EINVAL with what is wrong about it. */
int objects_check_url(const char *url);

/* Carries out a batch, several at once, in no order; returns when all are done: 0, or the rc of the first that failed
 * (its words are the fault's). */
int objects_do(Objects *objects, struct object_request *requests, size_t count);

/* One request each. objects_get: *ret_got as above. Removing what is not there is no error. */
int objects_put(Objects *objects, const char *name, struct bytes data);
int objects_get(Objects *objects, const char *name, uint64_t offset, uint8_t *into, size_t size, size_t *ret_got);
int objects_remove(Objects *objects, const char *name);
/* The whole object, allocated, at most `limit` bytes (-EFBIG), with a NUL behind it. */
int objects_get_all(Objects *objects, const char *name, size_t limit, uint8_t **ret_data, size_t *ret_size);

/* What a listing has at most (-E2BIG): some 60 TiB of a backup. Who lists keeps it in memory, and a server may go on
 * for ever. */
#define OBJECTS_LIST_MAX 4000000u

/* All objects whose name begins so, in bytewise order. A listing that could not be read to its end is an error, never a
 * shorter one: what was told until then is to be thrown away. */
int objects_list(Objects *objects, const char *prefix, object_fn *object, void *arg);

/* All versions that are kept, newest first for each name; on a place without versions the objects themselves. */
int objects_versions(Objects *objects, const char *prefix, object_fn *object, void *arg);

/* Makes the lock of the latest version last until then, at least. -ENOTSUP: the place has none. */
int objects_lock(Objects *objects, const char *name, int64_t until_s);

/*
 * Makes sure that the place is there and can be written: `create` makes it if need be; `locks`: it must be able to lock
 * (a bucket with Object Lock; made so when it is made). -ENOENT, -EACCES, -ENOTSUP.
 */
int objects_prepare(Objects *objects, bool create, bool locks);

/* Removes what uploads that were not completed before `before_s` left there. */
int objects_tidy(Objects *objects, int64_t before_s);

/* Ends what is under way and all later calls with -ECANCELED. From any thread. */
void objects_stop(Objects *objects);
