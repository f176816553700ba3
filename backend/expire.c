/* A pass over all versions, in slices: first all are looked at, then those that may go do. */
#include "backend/expire.h"
#include "backend/expire_internal.h"

#include "backend/record.h"
#include "crypto/base/array.h"
#include "crypto/base/cleanup.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "crypto/base/utc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long an operation may go on; the last version in it comes on top. */
#define SLICE_NS (INT64_C(2) * 1000000)
/* Versions in one operation of which `each` is told after it. */
#define FOUND_AT_ONCE 32u
/* Rows of quarantine that are read in one operation. */
#define HELD_AT_ONCE 1000u

struct found {
	struct expire_found told;
	char path[TREE_PATH_MAX];
};

struct expiring {
	const struct expire_options *options;
	struct expire_sum sum;
	struct expire_held held;
	uint64_t *ids; /* that may go, ascending */
	size_t count, room;
	struct found *found; /* FOUND_AT_ONCE of them */
	size_t found_count;
	struct expire_judged *judged;
	uint64_t after; /* versions up to here were looked at */
	size_t at;      /* ids up to here were tried */
	int64_t until;  /* of the slice */
	size_t rows;    /* in the slice */
};

/* ---- what is held ---- */

static int take_held(void *arg, const struct quarantine_row *row) {
	struct expiring *e = arg;
	struct expire_held *held = &e->held;
	uint64_t *grown = array_room(held->ids, &held->room, held->count + 1, sizeof *held->ids);
	if (!grown)
		return fault(ENOMEM, "no memory to note what is held in quarantine");
	held->ids = grown;
	size_t at = held->count++;
	for (; at > 0 && held->ids[at - 1] > row->version; at--)
		held->ids[at] = held->ids[at - 1];
	held->ids[at] = row->version;
	held->last = row->id;
	return ++e->rows == HELD_AT_ONCE;
}

/* In an operation: those that came since. */
static int read_held(struct expiring *e, bool *ret_done) {
	e->rows = 0;
	int rc = quarantine_list(e->options->meta, e->held.last, true, take_held, e);
	*ret_done = e->rows < HELD_AT_ONCE;
	return rc < 0 ? rc : 0;
}

/* ---- one version; in an operation ---- */

static void note_found(struct expiring *e, const struct expire_judged *judged) {
	struct found *found = &e->found[e->found_count++];
	const struct version *version = &judged->version;
	memcpy(found->path, judged->path, sizeof found->path);
	found->told = (struct expire_found){.version = version->id,
	        .node = version->node,
	        .number = version->number,
	        .size = version->size,
	        .zone = (enum zone)version->zone,
	        .since_ns = judged->since_ns,
	        .rule = judged->rule,
	        .path = found->path};
}

static void count_kept(struct expire_sum *sum, enum expire_reason reason) {
	sum->kept_lineage += reason == EXPIRE_LINEAGE;
	sum->kept_held += reason == EXPIRE_HELD;
	sum->kept_open += reason == EXPIRE_OPEN;
}

static void count_goes(struct expire_sum *sum, const struct version *version) {
	unsigned zone = version->zone <= ZONE_STAGING ? version->zone : ZONE_NONE;
	sum->versions[zone]++;
	sum->bytes[zone] += version->size;
}

static int add_id(struct expiring *e, uint64_t id) {
	if (e->count == EXPIRE_AT_ONCE) {
		e->sum.is_cut = true;
		return 0;
	}
	uint64_t *grown = array_room(e->ids, &e->room, e->count + 1, sizeof *e->ids);
	if (!grown)
		return fault(ENOMEM, "no memory to note which versions go");
	e->ids = grown;
	e->ids[e->count++] = id;
	return 0;
}

static bool is_slice_over(const struct expiring *e) {
	return e->found_count == FOUND_AT_ONCE || monotonic_ns() >= e->until;
}

static int look_at(void *arg, const struct version *version) {
	struct expiring *e = arg;
	int rc = expire_judge(e->options, &e->held, version, e->judged);
	if (rc < 0)
		return rc;
	e->after = version->id;
	e->rows++;
	e->sum.looked += version->state == VERSION_SEALED || version->state == VERSION_WITHDRAWN;
	if (e->judged->reason == EXPIRE_GOES) {
		rc = add_id(e, version->id);
		if (e->options->is_dry) {
			count_goes(&e->sum, version);
			note_found(e, e->judged);
		}
	}
	count_kept(&e->sum, e->judged->reason);
	return rc < 0 ? rc : is_slice_over(e);
}

static int record(const struct expire_options *options, const struct expire_judged *judged) {
	char detail[AUDIT_DETAIL_MAX], since[UTC_TEXT_BYTES];
	const struct version *version = &judged->version;
	snprintf(detail, sizeof detail, "%s: version %lu, noncurrent since %s", judged->rule->name,
	        (unsigned long)version->number, utc_stamp(judged->since_ns, since));
	struct audit_event event = {.event = "expire",
	        .actor = *options->actor,
	        .path = judged->path[0] ? judged->path : NULL,
	        .node = version->node,
	        .version = version->id,
	        .bytes = version->size,
	        .detail = detail};
	return audit_record(options->meta, &event, NULL);
}

/* What was looked at may have changed since. */
static int expire_one(struct expiring *e, uint64_t id) {
	struct version version;
	Meta *m = e->options->meta;
	int rc = version_get(m, id, &version);
	if (rc == 0)
		rc = expire_judge(e->options, &e->held, &version, e->judged);
	if (rc < 0 || e->judged->reason != EXPIRE_GOES)
		return rc;
	if (e->judged->is_shown_by_node)
		rc = version_withdraw(m, id, 0);
	if (rc == 0)
		rc = version_erase(m, id);
	if (rc == 0)
		rc = record(e->options, e->judged);
	if (rc == 0) {
		count_goes(&e->sum, &version);
		note_found(e, e->judged);
	}
	return rc;
}

/* ---- slices ---- */

static int tell(struct expiring *e) {
	const struct expire_options *options = e->options;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < e->found_count && options->each; i++)
		rc = options->each(options->arg, &e->found[i].told);
	e->found_count = 0;
	return rc < 0 ? rc : 0;
}

static int look_slice(struct expiring *e, bool *ret_done) {
	e->rows = 0;
	int rc = version_list_all(e->options->meta, e->after, look_at, e);
	*ret_done = rc == 0 && !is_slice_over(e);
	if (rc >= 0 && e->rows == 0)
		*ret_done = true;
	return rc < 0 ? rc : 0;
}

static int expire_slice(struct expiring *e, bool *ret_done) {
	bool is_current = false;
	int rc = 0;
	while (rc == 0 && !is_current) /* few: those of the last milliseconds */
		rc = read_held(e, &is_current);
	while (rc == 0 && e->at < e->count) {
		rc = expire_one(e, e->ids[e->at++]);
		if (is_slice_over(e))
			break;
	}
	*ret_done = e->at == e->count;
	return rc;
}

typedef int slice_fn(struct expiring *e, bool *ret_done);

/* Slices until the end, a rest behind each. */
static int take_slices(struct expiring *e, slice_fn *slice) {
	const struct expire_options *options = e->options;
	bool done = false;
	int rc = 0;
	while (rc == 0 && !done) {
		const struct expire_sum before = e->sum;
		meta_begin(options->meta);
		const int64_t began = monotonic_ns();
		e->until = began + SLICE_NS;
		rc = slice(e, &done);
		rc = meta_end(options->meta, rc);
		const int64_t took = monotonic_ns() - began;
		if (rc < 0) {
			e->sum = before; /* the operation was undone */
			return rc;
		}
		e->sum.longest_ns = took > e->sum.longest_ns ? took : e->sum.longest_ns;
		rc = tell(e);
		if (rc == 0 && options->rest)
			rc = options->rest(options->arg, took, e->sum.looked);
	}
	return rc;
}

static int run(struct expiring *e) {
	e->found = calloc(FOUND_AT_ONCE, sizeof *e->found);
	e->judged = calloc(1, sizeof *e->judged);
	if (!e->found || !e->judged)
		return fault(ENOMEM, "no memory to look for versions that expire");
	int rc = take_slices(e, read_held);
	if (rc == 0)
		rc = take_slices(e, look_slice);
	return rc < 0 || e->options->is_dry ? rc : take_slices(e, expire_slice);
}

int expire_run(const struct expire_options *options, struct expire_sum *ret) {
	struct expiring e = {.options = options};
	int rc = options->rule_count > 0 ? run(&e) : 0;
	if (rc >= 0)
		*ret = e.sum;
	free(e.found);
	free(e.judged);
	free(e.ids);
	free(e.held.ids);
	return fault_while(rc, "looking for versions that expire by a lifecycle rule");
}
