/*
 * reach: which segments a rule with a prefix needs. A segment holds blocks of many files, so it is shipped as a whole
 * or not: it is when a file below the prefix has a block in it.
 *
 *     Landing/ ─ reports/ ─ 2024.csv ─► node ─► each version, and the draft ─► map ─► segments
 *                 the prefix: "rep", "reports/", "reports/2024.csv"
 *
 * As in S3, the prefix is the beginning of a key: of the path below its zone, wherever it ends. A file belongs to it
 * that has or ever had such a name: so no version is missed that was made below it, and nothing is lost by who renames.
 *
 * More than is needed may be named, never less: a version that was erased since, a name that has ended. What is named
 * grows from call to call and begins anew when the collector has moved blocks. A later call looks at new names, at the
 * versions of each file, and reads the maps of those that it has not read: 0.07 s for 50,000
 * files, the first time 0.2 s (bench_reach).
 */
#pragma once

#include "backend/block_ref.h"
#include "backend/store.h"
#include "crypto/base/bits.h"
#include "crypto/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Reach Reach;

/* Of the zones in `zones` (bit of 1 << zone). Copies the prefix, which reach_check takes. -ENOMEM */
int reach_new(uint32_t zones, const char *prefix, Reach **ret_reach);
void reach_free(Reach *reach);
DEFINE_CLEANUP(Reach, reach_free);

/* Brings it up to the state of the store, which goes on meanwhile: in slices of a few milliseconds, not between
 * meta_begin and meta_end. A checkpoint that was taken before is covered when version_map_moves is at the end what it
 * was before the checkpoint; else blocks have left segments that it names. Of a draft that changes meanwhile, what
 * it had at the checkpoint is covered by a look before that, but for what was written and overwritten between the two.
 */
int reach_look(Reach *reach, Store *store);

/* Whether a file below the prefix has blocks in the segment, by the last look that did not fail. */
bool reach_has(const Reach *reach, uint32_t segment);

/* Whether the segment is needed: those of staging all are, as what waits there, or is kept in quarantine, has no name
 * yet. */
bool reach_takes_row(const Reach *reach, const struct segment_row *row);

/* The files that a look has found, by node. Grows. */
const struct bits *reach_files(const Reach *reach);

/* -EINVAL with words: no path below a zone begins so ("/", "Landing/a", "a//b", "../a"). */
int reach_check(const char *prefix);

/* Whether a path below the vault ("Landing/reports/a.csv") is below its zone what begins with the prefix. */
bool reach_takes(const char *prefix, const char *path);
