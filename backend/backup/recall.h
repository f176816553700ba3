/*
 * recall: a vault whose segments lie in its backup still: a VaultIo over the directory that fetches a segment's file
 * when something of it is first wanted, whole, and keeps it.
 *
 *     VAULT/origin     where they are (origin.h): there as long as segments may be missing
 *
 *     open, size    of a segment that is not here: answered at once, from what the database says
 *     read, write   fetch it first: its extents, several at once, into NAME.tmp; verified, synced, renamed
 *     unlink        it is not fetched any more
 *     all else      as the directory
 *
 * A fetched file has exactly the length that the database committed. It is written beside and renamed, so a crash
 * leaves none that is short. Any thread; two that want one segment wait for one fetch, and at most RECALL_FETCHES are
 * under way, each with RECALL_GROUP_BYTES of memory. Who opens holds no lock meanwhile, as nothing is sent then.
 *
 * When the place does not answer, readers are refused (-EIO) for RECALL_AWAY_MS after each failure of that kind, then
 * it is asked again. While nothing comes for RECALL_SILENCE_MS no more than RECALL_READERS of them wait, so that
 * threads are left for whoever needs nothing of the place.
 *
 * An extent that is gone or cut in the place, or does not authenticate, is sought among its earlier versions there. If
 * none is better, the damaged file is kept: what is sound of it can be read, and what is not says so.
 */
#pragma once

#include "backend/block_ref.h"
#include "backend/objects/objects.h"
#include "backend/vault_io.h"

#include <stdint.h>

typedef struct Recall Recall;

#define RECALL_NAME "origin"
#define RECALL_FETCHES 4u
#define RECALL_AWAY_MS 2000
#define RECALL_SILENCE_MS 3000
#define RECALL_READERS 16u
#define RECALL_GROUP_BYTES ((size_t)16 << 20)

/* Whether the vault in `io` has an origin: 1, 0. */
int recall_is_needed(VaultIo *io);

/* Where it fetches from. Belongs to `recall`. */
const char *recall_url(const Recall *recall);

/* How to reach the place. `open` (NULL: objects_open) and its argument are for tests. */
typedef int recall_open_fn(const struct objects_place *place, Objects **ret, void *arg);
struct recall_means {
	const struct objects_place *place; /* its url does not count; NULL: nothing is given */
	recall_open_fn *open;
	void *open_arg;
};

/*
 * Lays a VaultIo over `inner` (which it takes over on success) that fetches from its origin. `means` (may be NULL) has
 * credentials and what else is to be used in place of the file's. *ret_recall belongs to *ret_io. Until recall_ready
 * it is as `inner`. -EINVAL: the origin can't be read.
 */
int recall_open(VaultIo *inner, const struct recall_means *means, VaultIo **ret_io, Recall **ret_recall);

/* From now on; texts are copied. Without `open` the former one stays. -ENOMEM. */
int recall_use(Recall *recall, const struct recall_means *means);

/* A segment of the database. Before recall_ready. */
int recall_expect(Recall *recall, const struct segment_row *row);

/* The mark of the rule's prefix (layout_prefix_mark) by which the backup was made; 0: it had none. */
uint32_t recall_prefix_mark(const Recall *recall);

/* Its zones, bit of 1 << zone. */
uint32_t recall_zones(const Recall *recall);

/* Told for each segment of those expected whether the backup was to take it; else it was all of its zones. Before
 * recall_ready. */
typedef bool recall_took_fn(void *arg, const struct segment_row *row);
void recall_took(Recall *recall, recall_took_fn *took, void *arg);

/*
 * All were told. `verify` holds a file against segment `number`: 0: it is sound; 1: it is not, first at *ret_at for
 * *ret_length bytes; an error. NULL: nothing is verified before it is read. From any thread. -ENOMEM.
 */
typedef int recall_verify_fn(void *arg, uint32_t number, VaultFile *file, uint64_t *ret_at, uint64_t *ret_length);
int recall_ready(Recall *recall, recall_verify_fn *verify, void *arg);

/* Whether segment `number` is in the vault's directory, or is none of those that recall_expect told. */
bool recall_is_here(Recall *recall, uint32_t number);

/* Whether segment `number` is missing, and the origin had not all of it when that was last looked at. Asks nobody. */
bool recall_is_lacking(Recall *recall, uint32_t number);

/* Lists the origin: how many of the segments that are missing it has not all of and should, and how many it was not to
 * take and has not all of. Errors of the place. */
int recall_survey(Recall *recall, uint64_t *ret_lacking, uint64_t *ret_left_out);

/*
 * Fetches the next segment that is missing of those that the listing of the origin has: 1; 0: all are here but those
 * that the backup was not to take, and the origin was removed. For a thread behind the mount, and for recover
 * --full. -ENODATA: the others are here, and of these the backup has not all. Other errors are those of the place or of
 * the disk.
 */
int recall_next(Recall *recall, uint64_t *ret_bytes);

/* Gets words about damage in the place, a failure of the thread, and that it is over. From any thread. Set it before
 * recall_ready. */
void recall_on_notice(Recall *recall, void (*notice)(void *arg, const char *words), void *arg);

/* Starts a thread that fetches the rest, and tries again after a failure. */
int recall_start(Recall *recall);
/* Ends the thread. Without one it does nothing. */
void recall_stop(Recall *recall);

/* Ends what is under way, and refuses all, until it is called with `false`: for who ends a mount whose threads wait for
 * the place. Any thread. */
void recall_halt(Recall *recall, bool is_halted);

struct recall_status {
	uint64_t segments, bytes;                 /* that the vault has */
	uint64_t missing_segments, missing_bytes; /* that are not here yet */
	uint64_t absent_segments;                 /* that never come: the backup did not take them */
	uint64_t damaged_segments;                /* that were fetched since it was opened: not all authenticates */
	char url[512];
	char trouble[512];
};

/* How far it has come. Any thread. */
void recall_status(Recall *recall, struct recall_status *ret);

/* Words for the audit log that the vault was recovered, and from where: 1; 0: it says so already. And that it does. */
int recall_unrecorded(Recall *recall, char *ret_words, size_t size);
int recall_recorded(Recall *recall);
