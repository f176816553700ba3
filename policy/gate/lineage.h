/*
 * lineage: what a version came of, and what came of it.
 *
 *                     up: what it was made of, and that of, …                        down: what was made of it, …
 *
 *      Landing@3 ──input──► Raw@2 ──input──► Trusted@1              Raw@2 ──withheld──► rows in quarantine
 *                             ▲                                     Landing@1 ──restored──► Landing@4
 *      Trusted/register@5 ────┘ reference (a rule looked at it)
 *
 * The ties are rows that are never changed, so also what is removed, withdrawn or erased by now is met. A walk keeps to
 * its direction: what else was made of a reference is no kin. Each version is met once.
 */
#pragma once

#include "policy/gate/gate.h"

/* Versions that are met at most; what is beyond is only known to be there. */
#define LINEAGE_MOST 10000

enum lineage_tie_kind {
	LINEAGE_TIE_INPUT = LINEAGE_INPUT,
	LINEAGE_TIE_REFERENCE = LINEAGE_REFERENCE,
	LINEAGE_TIE_RESTORED = LINEAGE_RESTORED,
	LINEAGE_TIE_CLONED = LINEAGE_CLONED,
	LINEAGE_TIE_WITHHELD, /* rows of it that are in quarantine */
};

struct lineage_tie {
	uint64_t from, to; /* `to` came of `from` */
	enum lineage_tie_kind kind;
};

/* What the quarantine has of a version. */
struct lineage_held {
	uint64_t id, verdict;
	const char *path;
	int64_t time_ns, decided_ns;
	uint32_t uid, decided_uid;
	uint8_t state; /* enum quarantine_state */
	bool partial;
};

typedef struct Lineage Lineage;

/* From `start` up and down, `most` (0: LINEAGE_MOST) versions in all. Makes meta operations of its own. */
int lineage_make(Gate *gate, const struct gate_versions *start, size_t most, Lineage **ret_lineage);
void lineage_free(Lineage *lineage);
DEFINE_CLEANUP(Lineage, lineage_free);

/* The versions that were met, by id; the ties between them. */
const struct gate_versions *lineage_versions(const Lineage *lineage);
const struct lineage_tie *lineage_ties(const Lineage *lineage, size_t *ret_count);

/* How many steps led to versions beyond `most`: at least that is missing. */
uint64_t lineage_left_out(const Lineage *lineage);

/* The newest row of the quarantine that holds, or held, the version. false: none does. Borrowed. */
bool lineage_held_of(const Lineage *lineage, uint64_t version, struct lineage_held *ret_held);
