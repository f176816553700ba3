#include "policy/gate/lineage.h"

#include "crypto/base/fault.h"
#include "policy/gate/internal.h"

#include <stdlib.h>

/* Versions that are followed in one operation, so that writers need not wait for all. */
enum { LOT = 64 };

/* A row of the quarantine by what it holds, or by what its rows are of. */
struct held_by {
	uint64_t version;
	const struct plan_held *held;
};

struct Lineage {
	struct version_walk walk; /* of the direction that is followed now */
	struct gate_versions versions;
	struct lineage_tie *ties;
	size_t tie_count, tie_room;
	uint64_t left_out;
	struct erase_plan quarantine;
	struct held_by *by_version, *by_source;
};

/* ---- the quarantine, to be looked up ---- */

static int compare_by(const void *left, const void *right) {
	const struct held_by *a = left, *b = right;
	if (a->version != b->version)
		return a->version < b->version ? -1 : 1;
	return a->held->row.id < b->held->row.id ? -1 : a->held->row.id > b->held->row.id;
}

/* The first of the list that is not before the version. */
static size_t first_of(const struct held_by *list, size_t count, uint64_t version) {
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (list[middle].version < version)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int index_quarantine(Lineage *l) {
	size_t count = l->quarantine.held_count;
	l->by_version = calloc(count + 1, sizeof *l->by_version);
	l->by_source = calloc(count + 1, sizeof *l->by_source);
	if (!l->by_version || !l->by_source)
		return fault(ENOMEM, "no memory to read the quarantine");
	for (size_t i = 0; i < count; i++) {
		const struct plan_held *held = &l->quarantine.held[i];
		l->by_version[i] = (struct held_by){held->row.version, held};
		l->by_source[i] = (struct held_by){held->source, held};
	}
	qsort(l->by_version, count, sizeof *l->by_version, compare_by);
	qsort(l->by_source, count, sizeof *l->by_source, compare_by);
	return 0;
}

bool lineage_held_of(const Lineage *l, uint64_t version, struct lineage_held *ret_held) {
	size_t count = l->quarantine.held_count;
	size_t end = first_of(l->by_version, count, version + 1);
	if (end == 0 || l->by_version[end - 1].version != version)
		return false;
	const struct plan_held *held = l->by_version[end - 1].held;
	*ret_held = (struct lineage_held){.id = held->row.id,
	        .verdict = held->row.verdict,
	        .path = held->path,
	        .time_ns = held->row.time_ns,
	        .decided_ns = held->row.decided_ns,
	        .uid = held->row.uid,
	        .decided_uid = held->row.decided_uid,
	        .state = held->row.state,
	        .partial = held->row.partial};
	return true;
}

/* ---- following ---- */

/* A tie is kept between what is met alone. */
static int tie(Lineage *l, uint64_t next, struct lineage_tie found) {
	int rc = version_walk_push(&l->walk, next);
	if (rc < 0 || !gate_versions_has(&l->walk.seen, next))
		return rc;
	rc = erase_plan_room((void **)&l->ties, &l->tie_room, l->tie_count, sizeof *l->ties);
	if (rc >= 0)
		l->ties[l->tie_count++] = found;
	return rc;
}

static int take_source(void *arg, uint64_t version, uint64_t source, enum lineage_role role) {
	return tie(arg, source, (struct lineage_tie){source, version, (enum lineage_tie_kind)role});
}

static int take_product(void *arg, uint64_t version, uint64_t source, enum lineage_role role) {
	return tie(arg, version, (struct lineage_tie){source, version, (enum lineage_tie_kind)role});
}

/* Rows that were withheld are of one version. */
static int up(Meta *m, Lineage *l, uint64_t version) {
	int rc = lineage_sources(m, version, take_source, l);
	size_t count = l->quarantine.held_count;
	for (size_t i = first_of(l->by_version, count, version);
	        rc >= 0 && i < count && l->by_version[i].version == version; i++) {
		uint64_t source = l->by_version[i].held->source;
		if (source)
			rc = tie(l, source, (struct lineage_tie){source, version, LINEAGE_TIE_WITHHELD});
	}
	return rc;
}

static int down(Meta *m, Lineage *l, uint64_t version) {
	int rc = lineage_products(m, version, take_product, l);
	size_t count = l->quarantine.held_count;
	for (size_t i = first_of(l->by_source, count, version);
	        rc >= 0 && i < count && l->by_source[i].version == version; i++) {
		uint64_t part = l->by_source[i].held->row.version;
		rc = tie(l, part, (struct lineage_tie){version, part, LINEAGE_TIE_WITHHELD});
	}
	return rc;
}

typedef int step_fn(Meta *m, Lineage *l, uint64_t version);

static int follow_lot(Meta *m, Lineage *l, step_fn *step) {
	uint64_t version;
	int rc = 0;
	meta_begin(m);
	for (unsigned i = 0; rc >= 0 && i < LOT && version_walk_next(&l->walk, &version); i++)
		rc = step(m, l, version);
	return meta_end(m, rc);
}

static int follow(Meta *m, Lineage *l, const struct gate_versions *start, size_t most, step_fn *step) {
	int rc = 0;
	l->walk.most = most;
	for (size_t i = 0; rc >= 0 && i < start->count; i++)
		rc = version_walk_push(&l->walk, start->ids[i]);
	while (rc >= 0 && l->walk.next < l->walk.count)
		rc = follow_lot(m, l, step);
	for (size_t i = 0; rc >= 0 && i < l->walk.seen.count; i++)
		rc = gate_versions_add(&l->versions, l->walk.seen.ids[i]);
	l->left_out += l->walk.left_out;
	version_walk_free(&l->walk);
	return rc;
}

/* ---- the whole ---- */

static int compare_ties(const void *left, const void *right) {
	const struct lineage_tie *a = left, *b = right;
	if (a->to != b->to)
		return a->to < b->to ? -1 : 1;
	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	return (int)a->kind - (int)b->kind;
}

/* Between two where it began a tie is met from both ends. */
static void drop_doubles(Lineage *l) {
	size_t kept = 0;
	if (l->tie_count)
		qsort(l->ties, l->tie_count, sizeof *l->ties, compare_ties);
	for (size_t i = 0; i < l->tie_count; i++)
		if (kept == 0 || compare_ties(&l->ties[kept - 1], &l->ties[i]) != 0)
			l->ties[kept++] = l->ties[i];
	l->tie_count = kept;
}

static int make(Meta *m, const struct gate_versions *start, size_t most, Lineage *l) {
	meta_begin(m);
	int rc = meta_end(m, erase_plan_read_held(m, &l->quarantine));
	if (rc >= 0)
		rc = index_quarantine(l);
	if (rc >= 0)
		rc = follow(m, l, start, most, up);
	/* What is above may have taken all the room but for where it began. */
	size_t left = most > l->versions.count ? most - l->versions.count : 0;
	if (rc >= 0)
		rc = follow(m, l, start, start->count + left, down);
	drop_doubles(l);
	return rc;
}

int lineage_make(Gate *gate, const struct gate_versions *start, size_t most, Lineage **ret_lineage) {
	_cleanup_(lineage_freep) Lineage *l = calloc(1, sizeof *l);
	if (!l)
		return fault(ENOMEM, "no memory to follow a lineage");
	int rc = make(store_meta(gate->store), start, most ? most : LINEAGE_MOST, l);
	if (rc < 0)
		return fault_while(rc, "following a lineage");
	*ret_lineage = steal_pointer(&l);
	return 0;
}

void lineage_free(Lineage *l) {
	if (!l)
		return;
	version_walk_free(&l->walk);
	gate_versions_free(&l->versions);
	erase_plan_free(&l->quarantine);
	free(l->by_version);
	free(l->by_source);
	free(l->ties);
	free(l);
}

const struct gate_versions *lineage_versions(const Lineage *l) {
	return &l->versions;
}

const struct lineage_tie *lineage_ties(const Lineage *l, size_t *ret_count) {
	*ret_count = l->tie_count;
	return l->ties;
}

uint64_t lineage_left_out(const Lineage *l) {
	return l->left_out;
}
