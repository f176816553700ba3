/*
 * recover: a vault made anew from its backup, on a machine that has nothing of it.
 *
 *     objects ─ newest header ─ secret opens a slot ─ superblocks, newest first, until one of the time is found
 *             ─ vault.json, packs from its base on ─► meta/, anchors, meta.db ─► VAULT/origin
 *             ─ segments: all now (full), or each when it is first read and the rest behind that (recall.h)
 *
 * Nothing of the bucket is believed: superblocks and packs are sealed by the vault's keys, blocks too. With versions in
 * the bucket (Object Lock) an object that is damaged or removed is sought among its earlier versions.
 *
 * vault.json is written last: a directory with an origin and without it is a recovery that did not end. Then the vault
 * is opened once, which recovers it as after a crash and records where it is from. In the state directory it becomes a
 * branch beside those that are remembered there (last_seen.h): the vault whose backup it is may go on.
 */
#pragma once

#include "backend/objects/objects.h"
#include "backend/store.h"
#include "crypto/header.h"

#include <stdbool.h>
#include <stdint.h>

struct recover_options {
	int64_t at_ns;               /* the newest generation that is not newer than that; 0: the newest */
	bool full;                   /* fetches all segments before it returns */
	const char *state_directory; /* of last_seen.h; NULL */
	/* Instead of objects_open, for tests; NULL. */
	int (*open)(const struct objects_place *place, Objects **ret, void *arg);
	void *open_arg;
	/* Makes the caller's `secret` what opens this vault.json, where that is for another to say (a key management
	 * service): asked before one is tried; 0 or -errno with words. NULL. */
	int (*unwrap)(void *arg, const VaultHeader *header);
	void *unwrap_arg;
	/* `what` is done so far; words about what was got around. From any thread. NULL. */
	void (*progress)(void *arg, const char *what, uint64_t bytes, uint64_t of);
	void (*notice)(void *arg, const char *words);
	void *arg;
};

struct recover_summary {
	uint64_t generation;
	int64_t time_ns; /* of its commit */
	uint64_t commit;
	uint64_t segments, segments_fetched, bytes, bytes_fetched;
	uint64_t missing;  /* segments of which the backup has not all, and should */
	uint64_t left_out; /* that its rule, by zone or prefix, did not take */
	bool was_whole;    /* all was there before: nothing was looked for, and nothing else here is filled in */
	uint64_t damaged;  /* segments that were fetched, and of which not all authenticates */
};

/*
 * Makes the vault in directory `path`, which must not exist or be empty (-ENOTEMPTY) unless it is one that recovery
 * began and did not end, or whose segments are not all there: then goes on with it (-EEXIST if that came from
 * elsewhere, or is of another time); with `full` it may also be this very vault with all it needs (was_whole). -EBUSY:
 * somebody else uses or recovers it. -ENOENT: there is no backup, or none that old; -EKEYREJECTED; -EBADMSG with the
 * object's name. What a failure leaves is gone on with by the next call. `options` may be NULL.
 */
int recover_vault(const struct objects_place *place, const char *path, const struct store_secret *secret,
        const struct recover_options *options, struct recover_summary *ret);

struct recover_generation {
	uint64_t number;
	int64_t time_ns;
	uint64_t commit, bytes;
};
/* The generations that can be recovered, newest first. Of the options `open` and `notice` count. Errors as above. */
typedef int recover_generation_fn(void *arg, const struct recover_generation *generation);
int recover_list(const struct objects_place *place, const struct store_secret *secret,
        const struct recover_options *options, recover_generation_fn *fn, void *arg);
