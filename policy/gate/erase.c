/*
 * erase: a file goes, with all that was made of it.
 *
 *      plan (an operation) ─► who shares blocks ─► is it open for writing? ─► plan again, and erase: ONE operation
 *                                   ▲                                            │ another version came: -EAGAIN
 *                                   └────────────────────────────────────────────┘
 *      erased ─► kernel told ─► committed ─► checks under way on its paths have ended ─► the collector begins
 *
 * A check or a publication that reads a version while it is erased gets -ESTALE at its next read, and where it has read
 * all, gate_check_there() refuses what it would make of it. What it wrote by then is a draft that is dropped; the
 * collector looks for such blocks, so it begins when no more of them can come.
 */
#include "policy/gate/internal.h"

#include "backend/erase.h"
#include "backend/gc.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often another version may come while it is looked who shares blocks. */
enum { ERASE_TURNS = 5 };

struct place {
	struct gate_place told; /* its path is: */
	char *path;
	uint64_t node, ino;
};

struct erasing {
	Gate *gate;
	const struct gate_erasure *asked;
	struct erase_plan plan;
	struct place *places;
	size_t place_count, place_room;
	struct erased_name *names; /* that ended */
	size_t name_count, name_room;
	uint64_t *jobs;
	size_t job_count, job_room;
	struct gate_erased sum;
};

int gate_check_there(Meta *m, uint64_t version) {
	struct version of;
	int rc = version ? version_get(m, version, &of) : -ENOENT;
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	return of.state == VERSION_ERASED ? fault(ECANCELED, "the file was erased meanwhile") : 0;
}

/* ---- lists ---- */

static void forget_plan(struct erasing *e) {
	erase_plan_free(&e->plan);
	for (size_t i = 0; i < e->place_count; i++)
		free(e->places[i].path);
	e->place_count = e->name_count = e->job_count = 0;
}

static void release(struct erasing *e) {
	forget_plan(e);
	free(e->places);
	free(e->names);
	free(e->jobs);
}

static int add_place(struct erasing *e, const struct place *place, const char *path) {
	int rc = erase_plan_room((void **)&e->places, &e->place_room, e->place_count, sizeof *e->places);
	char *copy = rc < 0 ? NULL : strdup(path);
	if (rc < 0 || !copy)
		return rc < 0 ? rc : fault(ENOMEM, "no memory to erase");
	struct place *added = &e->places[e->place_count++];
	*added = *place;
	added->told.path = added->path = copy;
	return 0;
}

static struct place *place_of(struct erasing *e, uint64_t node) {
	for (size_t i = e->place_count; i-- > 0;)
		if (e->places[i].node == node && e->places[i].told.kind != GATE_MADE)
			return &e->places[i];
	return NULL;
}

static bool goes(const struct erasing *e, uint64_t version) {
	return gate_versions_has(&e->plan.versions, version);
}

/* ---- places; in an operation ---- */

struct keeping {
	struct erasing *e;
	uint64_t kept;
};

static int count_kept(void *arg, const struct version *version) {
	struct keeping *keeping = arg;
	keeping->kept += version->state != VERSION_ERASED && !goes(keeping->e, version->id);
	return 0;
}

static int make_place(Meta *m, struct erasing *e, const struct version *version, struct place **ret_place) {
	char path[TREE_PATH_MAX] = "";
	const struct plan_held *held = erase_plan_held(&e->plan, version->id);
	struct keeping keeping = {.e = e};
	struct node node;
	int rc = tree_get(m, version->node, &node);
	if (rc >= 0)
		rc = tree_last_path(m, node.id, path, sizeof path);
	if (rc == -ENOENT || rc == -ERANGE)
		rc = 0;
	if (rc >= 0)
		rc = version_list(m, node.id, count_kept, &keeping);
	struct place place = {
	        .told = {.kind = GATE_GOES, .zone = (enum zone)version->zone, .kept = keeping.kept}, .node = node.id};
	place.ino = node.ino;
	place.told.is_shown = node.nlink > 0 && goes(e, node.version);
	if (rc >= 0)
		rc = add_place(e, &place, path[0] || !held ? path : held->path);
	*ret_place = rc < 0 ? NULL : &e->places[e->place_count - 1];
	return rc;
}

static int note_version(Meta *m, struct erasing *e, uint64_t id) {
	struct version version;
	int rc = version_get(m, id, &version);
	if (rc < 0)
		return rc;
	const struct plan_held *held = erase_plan_held(&e->plan, id);
	struct place *place = place_of(e, version.node);
	rc = place ? 0 : make_place(m, e, &version, &place);
	if (rc < 0)
		return rc;
	place->told.versions++;
	place->told.bytes += version.size;
	if (held)
		place->told.quarantine = held->row.id;
	e->sum.versions++;
	e->sum.bytes += version.size;
	return 0;
}

/* ---- what was made of it, and stays ---- */

static int note_one_made(Meta *m, struct erasing *e, const struct erase_plan *wide, uint64_t id) {
	char path[TREE_PATH_MAX] = "";
	const struct plan_held *held = erase_plan_held(wide, id);
	struct version version;
	struct node node = {0};
	struct place place = {.told = {.kind = GATE_MADE, .versions = 1}};
	int rc = version_get(m, id, &version);
	if (rc >= 0)
		rc = tree_get(m, version.node, &node);
	if (rc >= 0)
		rc = tree_last_path(m, version.node, path, sizeof path);
	if (rc == -ENOENT || rc == -ERANGE)
		rc = 0;
	if (rc >= 0 && path[0])
		rc = gate_path_number(m, path, id, &place.told.number);
	place.node = version.node;
	place.told.zone = (enum zone)version.zone;
	place.told.bytes = version.size;
	place.told.quarantine = held ? held->row.id : 0;
	place.told.is_shown = node.nlink > 0 && node.version == id;
	return rc < 0 ? rc : add_place(e, &place, path[0] || !held ? path : held->path);
}

/* Of an exact erasure: what a wider one would take along. */
static int note_made(Meta *m, struct erasing *e) {
	struct erase_plan wide = {.is_exact = true, .takes_made = true};
	if (!e->asked->is_exact || e->asked->takes_made)
		return 0;
	int rc = erase_plan_make(m, e->asked->versions, &wide);
	for (size_t i = 0; rc >= 0 && i < wide.versions.count; i++)
		if (!goes(e, wide.versions.ids[i]))
			rc = note_one_made(m, e, &wide, wide.versions.ids[i]);
	erase_plan_free(&wide);
	return rc;
}

static bool is_made(const struct erasing *e, const struct node *node) {
	for (size_t i = 0; i < e->place_count; i++)
		if (e->places[i].told.kind == GATE_MADE && e->places[i].told.is_shown && e->places[i].node == node->id)
			return true;
	return false;
}

/* Whether something else shows under the path. */
static int note_left(Meta *m, struct erasing *e, enum zone zone, const char *below) {
	char path[TREE_PATH_MAX + 8];
	struct node node;
	snprintf(path, sizeof path, "%s/%s", zone_name(zone), below);
	int rc = tree_resolve(m, bytes_of_string(path), &node);
	if (rc == -ENOENT || rc == -ENOTDIR)
		return 0;
	if (rc < 0 || !S_ISREG(node.mode) || node.version == 0 || goes(e, node.version) || place_of(e, node.id) ||
	        is_made(e, &node))
		return rc < 0 ? rc : 0;
	struct place place = {.told = {.kind = GATE_LEFT, .zone = zone, .versions = 0}, .node = node.id};
	return add_place(e, &place, path);
}

static int note_all_left(Meta *m, struct erasing *e) {
	size_t count = e->place_count;
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < count; i++) {
		char below[TREE_PATH_MAX];
		const char *from = gate_below(e->places[i].path, NULL);
		if (!from || e->places[i].told.kind != GATE_GOES)
			continue;
		snprintf(below, sizeof below, "%s", from); /* the list may move */
		for (enum zone zone = ZONE_LANDING; rc >= 0 && zone <= ZONE_TRUSTED; zone++)
			rc = note_left(m, e, zone, below);
	}
	return rc;
}

static int make_plan(Meta *m, struct erasing *e) {
	e->plan.is_exact = e->asked->is_exact;
	e->plan.takes_made = e->asked->takes_made;
	int rc = erase_plan_make(m, e->asked->versions, &e->plan);
	e->sum = (struct gate_erased){.referrers = e->plan.referrers.count};
	for (size_t i = 0; rc >= 0 && i < e->plan.versions.count; i++)
		rc = note_version(m, e, e->plan.versions.ids[i]);
	if (rc >= 0)
		rc = note_made(m, e);
	if (rc >= 0)
		rc = note_all_left(m, e);
	return rc;
}

/* ---- who else ---- */

static int note_sharer(void *arg, uint64_t id) {
	struct erasing *e = arg;
	char path[TREE_PATH_MAX] = "";
	struct node node = {0};
	Meta *m = store_meta(e->gate->store);
	meta_begin(m);
	int rc = tree_get(m, id, &node);
	if (rc >= 0)
		rc = tree_last_path(m, id, path, sizeof path);
	rc = meta_end(m, rc);
	if (rc < 0 && rc != -ENOENT && rc != -ERANGE && rc != -ESTALE)
		return rc;
	e->sum.sharers++;
	struct place place = {.told = {.kind = GATE_SHARES, .zone = (enum zone)node.zone}, .node = id};
	return add_place(e, &place, path);
}

static int check_unwritten(struct erasing *e) {
	const struct gate_options *options = &e->gate->options;
	for (size_t i = 0; options->is_written && i < e->place_count; i++) {
		const struct place *place = &e->places[i];
		bool is_own = place->told.zone == ZONE_LANDING || place->told.zone == ZONE_STAGING;
		if (place->told.kind == GATE_GOES && is_own && options->is_written(options->changed_arg, place->ino))
			return fault(EBUSY, "%s is open for writing; close it first",
			        place->path[0] ? place->path : "what was written for Trusted");
	}
	return 0;
}

/* ---- the operation ---- */

static int take_name(void *arg, const struct erased_name *name) {
	struct erasing *e = arg;
	int rc = erase_plan_room((void **)&e->names, &e->name_room, e->name_count, sizeof *e->names);
	if (rc >= 0)
		e->names[e->name_count++] = *name;
	return rc;
}

static bool is_about(const struct erasing *e, const struct job *job) {
	return goes(e, job->version) || gate_versions_has(&e->plan.whole, job->node);
}

static int take_job(void *arg, const struct job *job) {
	struct erasing *e = arg;
	if (job->state != JOB_QUEUED || !is_about(e, job))
		return 0;
	int rc = erase_plan_room((void **)&e->jobs, &e->job_room, e->job_count, sizeof *e->jobs);
	if (rc >= 0)
		e->jobs[e->job_count++] = job->id;
	return rc;
}

static int end_jobs(Meta *m, struct erasing *e) {
	int rc = job_list(m, 0, true, take_job, e);
	for (size_t i = 0; rc >= 0 && i < e->job_count; i++)
		rc = job_cancel(m, e->jobs[i]);
	for (size_t i = 0; rc >= 0 && i < e->plan.nodes.count; i++)
		rc = gate_staged_forget(m, e->plan.nodes.ids[i]);
	e->sum.jobs = e->job_count;
	return rc;
}

static int end_waiting(Meta *m, const struct erasing *e) {
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < e->plan.held_count; i++) {
		const struct quarantine_row *row = &e->plan.held[i].row;
		if (e->plan.held[i].goes && row->state == QUARANTINE_HELD)
			rc = quarantine_decide(m, row->id, QUARANTINE_DROPPED, e->asked->actor.uid);
	}
	return rc;
}

static int record_place(Meta *m, const struct erasing *e, const struct place *place) {
	char detail[AUDIT_DETAIL_MAX], held[48] = "";
	const struct gate_place *told = &place->told;
	if (told->quarantine)
		snprintf(held, sizeof held, "quarantine %" PRIu64 ", ", told->quarantine);
	snprintf(detail, sizeof detail, "%s%" PRIu64 " version%s: %s", held, told->versions,
	        told->versions == 1 ? "" : "s", e->asked->reason);
	struct audit_event event = {
	        .event = "erase",
	        .actor = e->asked->actor,
	        .path = place->path[0] ? place->path : NULL,
	        .node = place->node,
	        .bytes = told->bytes,
	        .detail = detail,
	};
	return audit_record(m, &event, NULL);
}

static int record_all(Meta *m, const struct erasing *e) {
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < e->place_count; i++)
		if (e->places[i].told.kind == GATE_GOES)
			rc = record_place(m, e, &e->places[i]);
	return rc;
}

/* -EAGAIN: it is more by now than what was looked at. */
static int check_same(Meta *m, const struct erasing *e) {
	struct erase_plan now = {.is_exact = e->asked->is_exact, .takes_made = e->asked->takes_made};
	const struct gate_versions *old = &e->plan.versions;
	int rc = erase_plan_make(m, e->asked->versions, &now);
	if (rc >= 0 && (now.versions.count != old->count ||
	                       memcmp(now.versions.ids, old->ids, old->count * sizeof *old->ids) != 0))
		rc = fault(EAGAIN, "new versions of it come too fast; try again");
	erase_plan_free(&now);
	return rc;
}

static int erase_now(struct erasing *e) {
	struct erased erased = {0};
	Meta *m = store_meta(e->gate->store);
	meta_begin(m);
	int rc = check_same(m, e);
	if (rc >= 0)
		rc = erase_versions(
		        e->gate->store, e->plan.versions.ids, e->plan.versions.count, take_name, e, &erased);
	if (rc >= 0)
		rc = end_waiting(m, e);
	if (rc >= 0)
		rc = end_jobs(m, e);
	if (rc >= 0)
		rc = record_all(m, e);
	e->sum.names = erased.names;
	return meta_end(m, rc);
}

/* ---- afterwards ---- */

static void tell_kernel(const struct erasing *e) {
	const struct gate_options *options = &e->gate->options;
	for (size_t i = 0; options->erased && i < e->name_count; i++) {
		const struct erased_name *name = &e->names[i];
		options->erased(options->changed_arg, name->parent_ino, bytes_of(name->name, name->size), name->ino);
	}
}

/* Whoever judges or publishes holds the path; who comes later finds the versions erased. */
static int wait_for_checks(const struct erasing *e) {
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < e->place_count; i++) {
		const char *below = gate_below(e->places[i].path, NULL);
		if (!below || e->places[i].told.kind != GATE_GOES)
			continue;
		rc = gate_path_take(e->gate, below);
		if (rc >= 0)
			gate_path_done(e->gate, below);
	}
	return rc;
}

static int finish(struct erasing *e) {
	tell_kernel(e);
	gate_wake(e->gate);
	int rc = store_commit_wait(e->gate->store);
	if (rc >= 0)
		rc = wait_for_checks(e);
	gc_purge(store_gc(e->gate->store));
	return rc;
}

static int look(struct erasing *e) {
	Meta *m = store_meta(e->gate->store);
	forget_plan(e);
	meta_begin(m);
	int rc = meta_end(m, make_plan(m, e));
	if (rc >= 0 && e->plan.versions.count == 0)
		return fault(ENOENT, "nothing is left of it: it was erased before, or never closed");
	if (rc >= 0)
		rc = erase_sharers(e->gate->store, e->plan.versions.ids, e->plan.versions.count, note_sharer, e);
	return rc;
}

static int erase_in_turns(struct erasing *e) {
	int rc = -EAGAIN;
	for (int turn = 0; rc == -EAGAIN && turn < ERASE_TURNS; turn++) {
		rc = look(e);
		if (rc >= 0 && e->asked->is_dry)
			return rc;
		if (rc >= 0)
			rc = check_unwritten(e);
		if (rc >= 0)
			rc = erase_now(e);
	}
	return rc < 0 ? rc : finish(e);
}

/* Before an erasure it is not known which names end. */
static void count_names(struct erasing *e) {
	for (size_t i = 0; i < e->place_count; i++)
		e->sum.names += e->places[i].told.kind == GATE_GOES && e->places[i].told.is_shown;
}

int gate_erase(
        Gate *gate, const struct gate_erasure *erasure, gate_place_fn *each, void *arg, struct gate_erased *ret) {
	struct erasing e = {.gate = gate, .asked = erasure};
	int rc = erasure->is_dry ? 0 : release_check_reason(erasure->reason);
	if (rc >= 0)
		rc = erase_in_turns(&e);
	if (rc >= 0 && erasure->is_dry)
		count_names(&e);
	for (size_t i = 0; rc >= 0 && i < e.place_count; i++)
		rc = each ? each(arg, &e.places[i].told) : 0;
	if (rc >= 0)
		*ret = e.sum;
	release(&e);
	return rc;
}
