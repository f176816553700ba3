/*
 * audit_pack: up to 256 records of the audit log as bytes, as one row of audit_pack has them. Of the audit log alone.
 *
 *      first, count │ record │ record │ …        all of one tile of 256: first % 256 + count <= 256
 *
 *      record       │ flags u16 │ time │ event exe uid gid │ what the flags name, in order: errno pid
 *                                                          │ dir name cut │ dir2 name2 cut2 │ node version bytes
 *                                                          │ detail detail_cut
 *
 * The first record's time stands there whole (8 bytes), of the others how much later they are than the one before. All
 * other numbers are of seven bits a byte, the lowest first; texts are a length and their bytes. There is one form only:
 * what a flag names is there and not zero, no number is longer than it needs to be. So a pack is read exactly when
 * writing what was read gives the same bytes. docs/audit-log.md has it for others.
 *
 * Why packs: a row of its own for each record, of 20 columns, costs 11,000 instructions in SQLite; its bytes here cost
 * 250, and its part of a pack's row 150. [measured: callgrind, two records a file of some thousand that were made]
 *
 * Nothing here allocates or asks the database. Thread-safe on different memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/audit.h"
#include "crypto/base/bytes.h"

/* A path as it is stored. */
struct audit_stored_path {
	bool set;
	uint64_t dir; /* a text's number; 0: there was no '/' */
	struct bytes name;
	uint64_t cut; /* length it had; 0: whole */
};

/* A record as it is stored, in a pack or in a row of its own: texts that come often by their numbers in `string`. */
struct audit_stored {
	uint64_t seq;
	int64_t time_ns;
	uint64_t event, exe;
	unsigned outcome;
	int32_t err;
	uint32_t uid, gid;
	int32_t pid;
	struct audit_stored_path path, path2;
	uint64_t node, version, bytes;
	bool has_detail;
	struct bytes detail;
	uint64_t detail_cut;
};

/* No record is longer. */
#define AUDIT_RECORD_BYTES_MAX (2 * AUDIT_PATH_MAX + AUDIT_DETAIL_MAX + 160)

/*
 * Writes a record and returns its length. `before`: the time of the record before it in the same pack, which is not
 * later; NULL for a pack's first. Its texts are not longer than AUDIT_PATH_MAX and AUDIT_DETAIL_MAX.
 */
size_t audit_pack_put(
        const struct audit_stored *record, const int64_t *before, uint8_t ret_bytes[static AUDIT_RECORD_BYTES_MAX]);

/*
 * Reads one record, of which `record` is all; `before` as it was written, texts are borrowed from `record`. -EUCLEAN as
 * below.
 */
int audit_pack_get(uint64_t seq, const int64_t *before, struct bytes record, struct audit_stored *ret_record);

/*
 * Reads the whole pack of `count` records that begin with `first`; texts are borrowed from `pack`. -EUCLEAN, with words
 * that name the record, for anything but what audit_pack_put wrote.
 */
int audit_pack_read(
        uint64_t first, uint64_t count, struct bytes pack, struct audit_stored ret_records[static AUDIT_TILE_HASHES]);
