/*
 * record: what the gate leaves behind: verdicts, policies, quarantine, deliveries, lineage, measured values; and the
 * rows of segments. Plain tables with small typed calls; what the bytes mean is the callers' business.
 *
 * Rows of verdict, policy, delivery and lineage can't be changed once written (the database refuses). Pointers given to
 * callbacks are valid during the call. All calls are made between meta_begin and meta_end. Paths are bytes as tree_path
 * gives them. Times are nanoseconds since 1970.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/block_ref.h"
#include "backend/meta.h"
#include "backend/tree.h"
#include "crypto/base/bytes.h"

/* ---- verdicts ---- */

/* Stands in the database and in signed verdicts' order of severity. */
enum verdict_outcome {
	VERDICT_NONE = 0,
	VERDICT_PENDING = 1, /* never a row; what a file's attribute says while its job is open */
	VERDICT_PASSED = 2,
	VERDICT_FAILED = 3,
	VERDICT_ERROR = 4,
};

struct verdict_row {
	uint64_t id;
	int64_t time_ns;
	struct bytes path;      /* the file that was judged, as the user knows it */
	uint64_t node, version; /* what was judged; 0: a stream that never became a version */
	uint8_t outcome;        /* enum verdict_outcome: PASSED, FAILED or ERROR */
	bool fresh;             /* false: an earlier result was reused */
	struct bytes dataset;
	uint64_t policy; /* number of the policy in force */
	uint8_t input_sha256[32];
	uint8_t output_sha256[32]; /* of what is published: the input's where nothing is redacted or split off;
	                          all zero: nothing to publish */
	struct bytes body;         /* canonical JSON: exactly what is signed */
	struct bytes signature;    /* 64 bytes of Ed25519; may be empty for `check` without a vault only, never here */
	struct bytes key_name;     /* which key signed */
};

/* id is given by the database. A Trusted version can only be sealed on a row whose outcome is PASSED and whose
 * output_sha256 is the version's. */
int verdict_put(Meta *m, const struct verdict_row *row, uint64_t *ret_id);
typedef int (*verdict_fn)(void *arg, const struct verdict_row *row);
int verdict_get(Meta *m, uint64_t id, verdict_fn callback, void *arg);                     /* -ENOENT */
int verdict_latest_for_path(Meta *m, struct bytes path, verdict_fn callback, void *arg);   /* -ENOENT */
int verdict_latest_for_version(Meta *m, uint64_t version, verdict_fn callback, void *arg); /* -ENOENT */
/* The newest one with that input under that policy for that dataset: candidates for reuse. -ENOENT */
int verdict_for_input(Meta *m, const uint8_t input_sha256[static 32], uint64_t policy, struct bytes dataset,
        verdict_fn callback, void *arg);
/* Whether a verdict before `before` found, under any policy, that this input passed as that dataset. */
int verdict_has_passed(
        Meta *m, const uint8_t input_sha256[static 32], struct bytes dataset, uint64_t before, bool *ret_has_passed);
/* All after id `after`, oldest first; path empty: of all paths. */
int verdict_list(Meta *m, struct bytes path, uint64_t after, verdict_fn callback, void *arg);
/* The id of the one given last, 0 for none. */
int verdict_last(Meta *m, uint64_t *ret_id);

/* ---- policies ---- */

struct policy_row {
	uint64_t number; /* 1, 2, … */
	uint8_t sha256[32];
	int64_t time_ns;
	uint32_t uid;
	struct bytes actor; /* name of who applied it, as known then */
	struct bytes bundle;
};

/* The number is given: the last one's + 1. */
int policy_put(Meta *m, const struct policy_row *row, uint64_t *ret_number);
typedef int (*policy_fn)(void *arg, const struct policy_row *row);
int policy_current(Meta *m, policy_fn callback, void *arg); /* -ENOENT: a new vault */
/* Its number alone; 0: a new vault. */
int policy_current_number(Meta *m, uint64_t *ret_number);
int policy_get(Meta *m, uint64_t number, policy_fn callback, void *arg); /* -ENOENT */
int policy_list(Meta *m, policy_fn callback, void *arg);                 /* oldest first */

/* ---- quarantine ---- */

enum quarantine_state {
	QUARANTINE_HELD = 0,
	QUARANTINE_RELEASED = 1,
	QUARANTINE_DROPPED = 2,
};

struct quarantine_row {
	uint64_t id;
	int64_t time_ns;
	struct bytes path;      /* where it was meant to go, or came from */
	uint64_t node, version; /* what is held */
	uint64_t verdict;       /* why */
	uint8_t state;          /* enum quarantine_state */
	bool partial;           /* rows of a split file, not a whole one */
	uint32_t uid;           /* who brought it */
	int64_t decided_ns;     /* released or dropped when, by whom */
	uint32_t decided_uid;
};

/* id, state, decided_… are given by the database. verdict must exist. */
int quarantine_put(Meta *m, const struct quarantine_row *row, uint64_t *ret_id);
typedef int (*quarantine_fn)(void *arg, const struct quarantine_row *row);
/* One row, whose path is put into ret_path, with a NUL behind it. -ENOENT. */
int quarantine_get(Meta *m, uint64_t id, struct quarantine_row *ret_row, char ret_path[static TREE_PATH_MAX]);
/* After id `after`; only_held. */
int quarantine_list(Meta *m, uint64_t after, bool only_held, quarantine_fn callback, void *arg);
/* From held to released or dropped, once: -EALREADY. */
int quarantine_decide(Meta *m, uint64_t id, enum quarantine_state state, uint32_t uid);

/* ---- deliveries: content that arrived again and made no new version ---- */

struct delivery_row {
	uint64_t id;
	int64_t time_ns;
	uint64_t node, version; /* the version of Raw that had it already */
	uint8_t sha256[32];
	struct bytes path; /* where it arrived */
	uint32_t uid;
	int32_t pid;
};

/* A delivery is content that Raw had already and that arrived again: adds one; lists those of a node, oldest first. */
int delivery_put(Meta *m, const struct delivery_row *row, uint64_t *ret_id);
typedef int (*delivery_fn)(void *arg, const struct delivery_row *row);
int delivery_list(Meta *m, uint64_t node, delivery_fn callback, void *arg);

/* ---- lineage: which version came of which ---- */

enum lineage_role {
	LINEAGE_INPUT = 1,     /* the version this one was made of (Landing → Raw → Trusted) */
	LINEAGE_REFERENCE = 2, /* consulted by a rule */
	LINEAGE_RESTORED = 3,  /* restored from */
	LINEAGE_CLONED = 4,
};

int lineage_put(Meta *m, uint64_t version, uint64_t source_version, enum lineage_role role);
typedef int (*lineage_fn)(void *arg, uint64_t version, uint64_t source_version, enum lineage_role role);
/* What the version was made of; what was made of it. */
int lineage_sources(Meta *m, uint64_t version, lineage_fn callback, void *arg);
int lineage_products(Meta *m, uint64_t version, lineage_fn callback, void *arg);

/* ---- measured values: what rules compare with ("last 10 runs"), what metrics and alarms show ---- */

/* Of each series (subject and name) the newest so many are kept: a value that is put drops what is older. */
#define METRIC_KEPT 1000
/* -EDOM for NaN. */
int metric_put(Meta *m, struct bytes subject /* dataset, … */, struct bytes name, int64_t time_ns, double value,
        uint64_t verdict /* 0: none */);
/* How many series a subject has, counted no further than `most`. And whether one is there. */
int metric_series(Meta *m, struct bytes subject, uint64_t most, uint64_t *ret_count);
int metric_has_series(Meta *m, struct bytes subject, struct bytes name, bool *ret_has);
typedef int (*metric_fn)(void *arg, int64_t time_ns, double value, uint64_t verdict);
/* Newest first, those before `before_ns`, at most `limit` (0: all). */
int metric_list(Meta *m, struct bytes subject, struct bytes name, int64_t before_ns, size_t limit, metric_fn callback,
        void *arg);

/* ---- segments: the rows that segment_take_changes gives and segment_known wants ---- */

/* Inserts or updates by number; id, zone and key_version of a known number can't change, bytes can't shrink, a closed
 * segment can't be opened: -EUCLEAN. The signature fits segment_take_changes; `meta` is the Meta. */
int segment_row_put(const struct segment_row *row, void *meta);
typedef int (*segment_row_fn)(void *arg, const struct segment_row *row);
/* All of them, by number. */
int segment_row_list(Meta *m, segment_row_fn callback, void *arg);
int segment_row_get(Meta *m, uint32_t number, struct segment_row *ret_row); /* -ENOENT */
/* A segment that GC removed. -EPERM while open. */
int segment_row_remove(Meta *m, uint32_t number);
/* The highest number there is a row of; 0: none. */
int segment_row_last(Meta *m, uint32_t *ret_number);
/* Live bytes are a hint for `status` and for choosing what to compact; GC marks in full. */
int segment_live_set(Meta *m, uint32_t number, uint64_t live);
int segment_live_get(Meta *m, uint32_t number, uint64_t *ret_live);
/* All rows together. Of those whose live bytes were counted: how many, their bytes, and the bytes that are alive. */
struct segment_sums {
	uint64_t segments, bytes;
	uint64_t counted, counted_bytes, live_bytes;
};
int segment_row_sums(Meta *m, struct segment_sums *ret_sums);
/* Of each zone, by its number; of those without a segment zeros. */
#define SEGMENT_ZONES 5
int segment_row_sums_by_zone(Meta *m, struct segment_sums ret_sums[static SEGMENT_ZONES]);
