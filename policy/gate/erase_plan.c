/*
 * erase_plan: which versions are one file.
 *
 *      start ─► queue ─► one version ──┬─ Landing, staging: all versions of its node ─► queue
 *                                      ├─ what it was made of, what was made of it ───► queue
 *                                      └─ what was judged by looking at it: only counted
 *      … and when the queue is empty: rows of the quarantine that hold one of them, or rows of one ─► queue
 *
 * An exact plan follows nothing, or what was made of a version and its withheld rows alone.
 *
 * Lists gather and call nothing of the database, so each is read into memory first.
 */
#include "policy/gate/internal.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- sets ---- */

static size_t place_in(const struct gate_versions *set, uint64_t id) {
	size_t low = 0, high = set->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (set->ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const uint64_t *gate_versions_find(const struct gate_versions *set, uint64_t id) {
	size_t at = place_in(set, id);
	return at < set->count && set->ids[at] == id ? &set->ids[at] : NULL;
}

bool gate_versions_has(const struct gate_versions *set, uint64_t id) {
	return gate_versions_find(set, id) != NULL;
}

int erase_plan_room(void **list, size_t *room, size_t count, size_t size) {
	if (count < *room)
		return 0;
	size_t more = *room ? 2 * *room : 64;
	void *grown = reallocarray(*list, more, size);
	if (!grown)
		return fault(ENOMEM, "no memory to gather what is to be erased");
	*list = grown;
	*room = more;
	return 0;
}

int gate_versions_add(struct gate_versions *set, uint64_t id) {
	size_t at = place_in(set, id);
	if (at < set->count && set->ids[at] == id)
		return 0;
	int rc = erase_plan_room((void **)&set->ids, &set->room, set->count, sizeof *set->ids);
	if (rc < 0)
		return rc;
	memmove(set->ids + at + 1, set->ids + at, (set->count - at) * sizeof *set->ids);
	set->ids[at] = id;
	set->count++;
	return 0;
}

void gate_versions_free(struct gate_versions *set) {
	free(set->ids);
	*set = (struct gate_versions){0};
}

void erase_plan_free(struct erase_plan *plan) {
	gate_versions_free(&plan->versions);
	gate_versions_free(&plan->nodes);
	gate_versions_free(&plan->referrers);
	gate_versions_free(&plan->whole);
	version_walk_free(&plan->walk);
	for (size_t i = 0; i < plan->held_count; i++)
		free(plan->held[i].path);
	free(plan->held);
	*plan = (struct erase_plan){0};
}

/* ---- following ---- */

static int take_version(void *arg, const struct version *version) {
	return version_walk_push(&((struct erase_plan *)arg)->walk, version->id);
}

static int take_source(void *arg, uint64_t version, uint64_t source, enum lineage_role role) {
	(void)version;
	return role == LINEAGE_REFERENCE ? 0 : version_walk_push(&((struct erase_plan *)arg)->walk, source);
}

static int take_product(void *arg, uint64_t version, uint64_t source, enum lineage_role role) {
	struct erase_plan *plan = arg;
	(void)source;
	return role == LINEAGE_REFERENCE ? gate_versions_add(&plan->referrers, version)
	                                 : version_walk_push(&plan->walk, version);
}

/* Somebody's own file: what he wrote over it, too. In Raw and Trusted a node is a name, which may have shown others. */
static int follow_node(Meta *m, struct erase_plan *plan, const struct version *version) {
	if (version->zone != ZONE_LANDING && version->zone != ZONE_STAGING)
		return 0;
	if (gate_versions_has(&plan->whole, version->node))
		return 0;
	int rc = gate_versions_add(&plan->whole, version->node);
	return rc < 0 ? rc : version_list(m, version->node, take_version, plan);
}

static bool goes_down(const struct erase_plan *plan) {
	return !plan->is_exact || plan->takes_made;
}

static int follow(Meta *m, struct erase_plan *plan, uint64_t id) {
	struct version version;
	int rc = version_get(m, id, &version);
	if (rc == -ENOENT || (rc >= 0 && version.state == VERSION_DRAFT))
		return 0;
	if (rc >= 0 && version.state != VERSION_ERASED)
		rc = gate_versions_add(&plan->versions, id);
	if (rc >= 0 && version.state != VERSION_ERASED)
		rc = gate_versions_add(&plan->nodes, version.node);
	if (rc >= 0 && !plan->is_exact)
		rc = follow_node(m, plan, &version);
	if (rc >= 0 && !plan->is_exact)
		rc = lineage_sources(m, id, take_source, plan);
	return rc < 0 || !goes_down(plan) ? rc : lineage_products(m, id, take_product, plan);
}

static int follow_all(Meta *m, struct erase_plan *plan) {
	uint64_t version;
	int rc = 0;
	while (rc >= 0 && version_walk_next(&plan->walk, &version))
		rc = follow(m, plan, version);
	return rc;
}

/* ---- quarantine ---- */

static int take_held(void *arg, const struct quarantine_row *row) {
	struct erase_plan *plan = arg;
	int rc = erase_plan_room((void **)&plan->held, &plan->held_room, plan->held_count, sizeof *plan->held);
	char *path = rc < 0 ? NULL : calloc(1, row->path.size + 1);
	if (!path)
		return rc < 0 ? rc : fault(ENOMEM, "no memory to read the quarantine");
	memcpy(path, row->path.data, row->path.size);
	plan->held[plan->held_count] = (struct plan_held){.row = *row, .path = path};
	plan->held[plan->held_count++].row.path = (struct bytes){0};
	return 0;
}

static int take_judged(void *arg, const struct verdict_row *row) {
	*(uint64_t *)arg = row->version;
	return 0;
}

int erase_plan_read_held(Meta *m, struct erase_plan *plan) {
	int rc = quarantine_list(m, 0, false, take_held, plan);
	for (size_t i = 0; rc >= 0 && i < plan->held_count; i++) {
		struct plan_held *held = &plan->held[i];
		if (held->row.partial)
			rc = verdict_get(m, held->row.verdict, take_judged, &held->source);
	}
	return rc;
}

static bool is_met(const struct erase_plan *plan, const struct plan_held *held) {
	bool is_of_it = held->source && goes_down(plan) && gate_versions_has(&plan->walk.seen, held->source);
	return is_of_it || gate_versions_has(&plan->walk.seen, held->row.version);
}

/* Rows that hold something of it, that were not met yet: both what they hold and what that is a part of go. */
static int push_held(struct erase_plan *plan) {
	for (size_t i = 0; i < plan->held_count; i++) {
		struct plan_held *held = &plan->held[i];
		if (held->goes || !is_met(plan, held))
			continue;
		held->goes = true;
		int rc = goes_down(plan) ? version_walk_push(&plan->walk, held->row.version) : 0;
		if (rc >= 0 && !plan->is_exact)
			rc = version_walk_push(&plan->walk, held->source);
		if (rc < 0)
			return rc;
	}
	return 0;
}

const struct plan_held *erase_plan_held(const struct erase_plan *plan, uint64_t version) {
	for (size_t i = 0; i < plan->held_count; i++)
		if (plan->held[i].goes && plan->held[i].row.version == version)
			return &plan->held[i];
	return NULL;
}

int erase_plan_make(Meta *m, const struct gate_versions *start, struct erase_plan *plan) {
	int rc = erase_plan_read_held(m, plan);
	for (size_t i = 0; rc >= 0 && i < start->count; i++)
		rc = version_walk_push(&plan->walk, start->ids[i]);
	while (rc >= 0 && plan->walk.next < plan->walk.count) {
		rc = follow_all(m, plan);
		if (rc >= 0)
			rc = push_held(plan);
	}
	return fault_while(rc, "gathering what is to be erased");
}

/* ---- where it begins ---- */

#define QUARANTINE ".assayfs/quarantine/"

static int take_node(void *arg, uint64_t node) {
	return gate_versions_add(arg, node);
}

static int add_version(void *arg, const struct version *version) {
	return gate_versions_add(arg, version->id);
}

static int of_names(Meta *m, const char *path, struct gate_versions *set) {
	struct gate_versions nodes = {0};
	struct node node = {0};
	int rc = tree_each_past(m, bytes_of_string(path), take_node, &nodes);
	bool is_file = false, any = nodes.count > 0;
	for (size_t i = 0; rc >= 0 && i < nodes.count; i++) {
		rc = tree_get(m, nodes.ids[i], &node);
		is_file |= rc >= 0 && S_ISREG(node.mode);
		if (rc >= 0 && S_ISREG(node.mode))
			rc = version_list(m, node.id, add_version, set);
	}
	gate_versions_free(&nodes);
	if (rc >= 0 && any && !is_file)
		return fault(EISDIR, "%s is no file; files are erased one by one", path);
	return rc < 0 || is_file ? rc : -ENOENT;
}

/* What is held, or was, as come by the path: it may never have had a name itself. */
static int of_held(Meta *m, const char *path, struct gate_versions *set, bool *ret_any) {
	struct erase_plan plan = {0};
	int rc = quarantine_list(m, 0, false, take_held, &plan);
	*ret_any = false;
	for (size_t i = 0; rc >= 0 && i < plan.held_count; i++) {
		if (strcmp(plan.held[i].path, path) != 0)
			continue;
		*ret_any = true;
		rc = gate_versions_add(set, plan.held[i].row.version);
	}
	erase_plan_free(&plan);
	return rc;
}

static int of_id(Meta *m, const char *text, struct gate_versions *set) {
	struct quarantine_row row;
	char path[TREE_PATH_MAX], *end = NULL;
	uint64_t id = strtoull(text, &end, 10);
	if (*text < '1' || *text > '9' || (*end != '\0' && *end != '/'))
		return -ENOENT;
	int rc = quarantine_get(m, id, &row, path);
	return rc < 0 ? rc : gate_versions_add(set, row.version);
}

int gate_versions_of_path(Gate *gate, const char *path, struct gate_versions *set) {
	Meta *m = store_meta(gate->store);
	bool any = false;
	if (strncmp(path, QUARANTINE, strlen(QUARANTINE)) != 0 && !gate_below(path, NULL))
		return fault(EINVAL, "%s lies in no zone; name a file below Landing/, Raw/ or Trusted/", path);
	meta_begin(m);
	int rc;
	if (strncmp(path, QUARANTINE, strlen(QUARANTINE)) == 0) {
		rc = of_id(m, path + strlen(QUARANTINE), set);
	} else {
		rc = of_held(m, path, set, &any);
		if (rc >= 0)
			rc = of_names(m, path, set);
		if (rc == -ENOENT && any)
			rc = 0;
	}
	rc = meta_end(m, rc);
	return rc == -ENOENT ? fault(ENOENT, "%s: no file ever had this name", path) : rc;
}
