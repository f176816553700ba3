/*
 * retain: which generations of a backup are kept, and what may be removed: the rule and the conditions are in backup.h.
 *
 *     a pass:  list everything ─ renew locks ─ open every superblock ─ which are kept ─ what they need
 *
 *     not needed now, and was not at a pass a grace time ago: goes, superblocks first. An error: nothing is removed.
 *
 * Ages of generations are counted back from the newest one, not from a clock, so that neither a clock that is set wrong
 * nor a vault that rests for months costs any.
 *
 * What is needed: of packs and headers those that a superblock names which is there, whether it is to be kept or not
 * (a lock, a failure, the grace time may keep it); so what only such ones need goes some passes after them. Of segments
 * those that the newest one's database has, and those in its `leaving` with a number above that of the oldest that is
 * there. Archives of the log: all. Memory: some 160 bytes an object.
 *
 * Locks are renewed before anything else, and whatever else fails. After a mount, until every superblock was opened,
 * only those that end within the hour: else each mount would lock anew what is to go.
 */
#pragma once

#include "backend/backup/ship.h"
#include "crypto/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Retain Retain;

/* `grace_s` as in backup_options. */
int retain_new(unsigned grace_s, Retain **ret_retain);
void retain_free(Retain *retain);
DEFINE_CLEANUP(Retain, retain_free);

/* A superblock that was just put, so that it need not be read. */
int retain_note(Retain *retain, const struct layout_super *super);

struct retain_result {
	/* Refused: by a lock, or as the credentials have no right to. */
	uint64_t removed, refused, renewed, merged;
	uint64_t candidates;               /* that are not needed and still there */
	uint64_t generations;              /* that are kept */
	bool more;                         /* locks are to be renewed, extents to be merged still: the next pass soon */
	char refusal[FAULT_MESSAGE_BYTES]; /* the first one's words; "" */
};

/*
 * A pass, after a round: `ship` has shipped (ship_round), and its inventory is replaced by what is there then. `now_s`:
 * of any clock that only goes forward; `wall_s`: seconds since 1970, for locks. An error: nothing, or not all, was
 * removed; the next pass goes on. -EBADMSG: a superblock does not open; nothing is removed until it is gone.
 */
int retain_pass(Retain *retain, struct ship *ship, int64_t now_s, int64_t wall_s, struct retain_result *ret);
