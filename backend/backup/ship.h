/*
 * ship: one round of shipping: takes a checkpoint of the store, and puts into a place what that has and the place
 * lacks:
 *
 *     checkpoint ─► extents of segments ─► vault.json, archives of the log, packs ─► superblock, if absent
 *
 * A crash or an error anywhere leaves objects that no superblock needs yet; the next round finds them there. Nothing is
 * written to the vault. No lock of the store is held while anything is sent. A Ship belongs to one thread.
 */
#pragma once

#include "backend/backup/backup.h"
#include "backend/backup/inventory.h"
#include "backend/backup/layout.h"
#include "backend/backup/reach.h"
#include "backend/objects/objects.h"
#include "backend/store.h"

#include <stdatomic.h>
#include <stdint.h>

/* What is read and sent at once. */
#define SHIP_BATCH_BYTES ((size_t)128 << 20)
#define SHIP_BATCH_OBJECTS 64

struct ship {
	Store *store;
	Objects *objects;
	uint32_t zones;         /* bit of 1 << zone */
	uint32_t prefix_mark;   /* layout_prefix_mark; 0: there is no prefix */
	Reach *reach;           /* NULL: there is no prefix */
	uint32_t lock_days;     /* 0: no locks */
	unsigned orphan_s;      /* after so long a pack that no superblock needs is nobody's any more */
	int64_t locked_since_s; /* what was put before may be under no such lock: seconds since 1970 */
	uint8_t vault_id[LAYOUT_VAULT_ID_BYTES];
	struct inventory inventory;
	struct layout_super last; /* the newest that opens; number 0: there is none */
	/* Of the last checkpoint that was shipped, or is being; of its segments those that the rule takes. */
	struct store_checkpoint checkpoint;
	uint64_t whole_base, whole_pack; /* these packs and those between them are there whole; 0, 0: not known */
	_Atomic uint64_t missing;        /* bytes of the checkpoint that are not there yet */
	_Atomic uint64_t appended;       /* what the mount had appended by that checkpoint */
	_Atomic bool taken;              /* there was one */
	_Atomic uint64_t put_bytes, put_objects;
	/* Segments of the last round that can't be read here, and what they lack there. They are tried in each round,
	 * and told once. */
	uint8_t (*lost)[LAYOUT_ID_BYTES];
	size_t lost_count;
	_Atomic uint64_t lost_segments, lost_bytes;
	uint64_t told_archive; /* archives before this record, too */
	/* Told about what of the vault can't be read and is left out. May be NULL. */
	void (*notice)(void *arg, const char *words);
	void *notice_arg;
};

/* `objects` stays the caller's and may be set later. -ENOMEM. */
int ship_init(struct ship *ship, Store *store, const struct backup_target *rule);
void ship_clear(struct ship *ship);

/*
 * Lists the place and opens its newest superblock. -EEXIST with words: it is the backup of another vault, or goes on
 * from a commit that this vault has not, as that was set back to an older copy.
 */
int ship_begin(struct ship *ship);

/* The same for who only wants to know whether the place may be used: lists only superblocks. */
int ship_check(struct ship *ship);

/* Whether the newest generation has all that the rule takes: not when a zone was added since, or the prefix changed. */
bool ship_has_rule(const struct ship *ship);

/* Reads and opens superblock `number`. -ENOENT, -EBADMSG. */
int ship_read_super(struct ship *ship, uint64_t number, struct layout_super *ret);

/* A round; ship_begin came before. Where the place has it all already nothing is put. What can't be read here is left
 * out and stands in `lost` afterwards: another round tries it again. -EEXIST as ship_begin: somebody else ships there.
 * Errors of the place and of the store; after one of the place ship_begin is due again. */
int ship_round(struct ship *ship);

/* Puts bytes [from, to) of a segment. 1: they can't be read here; words. */
int ship_put_extent(struct ship *ship, const struct segment_row *row, uint32_t from, uint32_t to);

/* When objects that are put now may be removed: seconds since 1970; 0: at once. */
int64_t ship_locked_until(const struct ship *ship);
