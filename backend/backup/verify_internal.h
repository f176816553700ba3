/* verify_internal: what the sources of backup_verify share: the check, what it has listed, and how findings are told.
 */
#pragma once

#include "backend/backup/backup.h"
#include "backend/backup/ship.h"

struct verify {
	struct ship ship; /* its own place; it never ships */
	unsigned percent;
	bool heal;
	backup_finding_fn *finding;
	backup_progress_fn *progress;
	void *arg;
	struct backup_verify_summary summary;
	uint64_t of; /* bytes that are to be read, about */
	int cipher;
	char endpoint[BACKUP_TEXT_BYTES]; /* for words */
	struct layout_super super;        /* the generation that is checked */
	struct segment_row *rows;         /* that its database has */
	size_t row_count;
	/* What is there, in order of names. */
	struct layout_name *extents;
	size_t extent_count, extent_room;
};

/* Tells a finding; `heal_rc`: 0 when it was healed. The fault's words are gone then. */
int verify_tell(struct verify *v, const char *object, const char *words, int heal_rc);

/* All superblocks: each is a generation that somebody may want to go back to. (verify_supers.c) */
int verify_supers(struct verify *v);

/* Takes an object away that nobody here has put. Results as of verify_put. */
int verify_remove(struct verify *v, const char *object);

/* Puts an object anew, locked as others are. -EPERM without words: nothing is to be healed. */
int verify_put(struct verify *v, const char *object, struct bytes data);

/* Objects and bytes that were read back. Negative: nobody wants to know any more. */
int verify_count(struct verify *v, uint64_t objects, uint64_t bytes);

/* The packs of the generation; a segment. Errors are those of the place and the system. */
int verify_packs(struct verify *v);
int verify_segment(struct verify *v, const struct segment_row *row);
