/*
 * What `assayfs lineage` asks: what a version came of, and what came of it.
 *
 * The answer is one item for each version ("version"), each tie between two ("tie"), each time that the same content
 * came again ("delivery"), and a last one that says what is missing ("end"). Of a version that `versions` would not
 * tell the peer of, nothing is said but that there is one, and in which zone: it may be the link between two that he
 * may know.
 */
#include "fs/service/internal.h"

#include "backend/record.h"
#include "crypto/base/fault.h"
#include "policy/gate/lineage.h"
#include "policy/verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Versions that are read in one operation. */
enum { LOT = 64 };
#define DELIVERIES_MOST 1000

/* A version, as far as it is known once its lot is read. */
struct kin {
	struct version version;
	char *path; /* the last it had; "" for none */
	uint64_t number;
	bool is_start, is_current, is_hidden;
};

struct tracing {
	Service *service;
	const struct control_peer *peer;
	Lineage *lineage;
	struct kin *kin; /* as lineage_versions */
	size_t count;
	uint64_t hidden, left_out;
	uint64_t policy; /* whose hash is known */
	uint8_t policy_sha256[32];
};

static void tracing_end(struct tracing *t) {
	for (size_t i = 0; i < t->count; i++)
		free(t->kin[i].path);
	free(t->kin);
	lineage_free(t->lineage);
}

/* ---- what the peer may know ---- */

static bool may_know_path(struct tracing *t, const char *path, struct node *ret_present) {
	if (!*path || !service_lets(t->service, t->peer, service_place(path), POLICY_READ, path))
		return false;
	int rc = service_look_at_present(t->service->meta, path, t->peer, ret_present);
	if (rc == -EISDIR) { /* by now; the name was a file's */
		*ret_present = (struct node){0};
		return true;
	}
	return rc == 0;
}

/* What is held lies in no zone; what was written for Trusted is told of to those who see what is held. */
static bool may_know(struct tracing *t, const struct kin *kin, struct node *ret_present) {
	if (kin->version.zone == ZONE_STAGING)
		return service_lets(t->service, t->peer, PLACE_QUARANTINE, POLICY_READ, NULL);
	return may_know_path(t, kin->path, ret_present) &&
	       service_shows_version(t->service, t->peer, ret_present, &kin->version);
}

/* ---- reading ---- */

static int read_path(struct tracing *t, struct kin *kin) {
	char path[TREE_PATH_MAX] = "";
	struct lineage_held held;
	int rc = tree_last_path(t->service->meta, kin->version.node, path, sizeof path);
	if (rc == -ENOENT || rc == -ERANGE) {
		path[0] = '\0';
		rc = 0;
	}
	if (rc >= 0 && t->lineage && kin->version.zone == ZONE_STAGING &&
	        lineage_held_of(t->lineage, kin->version.id, &held))
		(void)snprintf(path, sizeof path, "%s", held.path);
	kin->path = rc < 0 ? NULL : strdup(path);
	return rc < 0 || kin->path ? rc : fault(ENOMEM, "following a lineage: out of memory");
}

static int read_one(struct tracing *t, uint64_t id, struct kin *kin) {
	struct node present = {0};
	int rc = version_get(t->service->meta, id, &kin->version);
	if (rc >= 0)
		rc = read_path(t, kin);
	if (rc < 0)
		return rc;
	kin->is_hidden = !may_know(t, kin, &present);
	kin->is_current = present.id == kin->version.node && present.version == id;
	t->hidden += kin->is_hidden;
	return 0;
}

static int read_all(struct tracing *t) {
	const struct gate_versions *versions = lineage_versions(t->lineage);
	int rc = 0;
	t->kin = calloc(versions->count + 1, sizeof *t->kin);
	if (!t->kin)
		return fault(ENOMEM, "following a lineage: out of memory");
	while (rc >= 0 && t->count < versions->count) {
		meta_begin(t->service->meta);
		for (unsigned i = 0; rc >= 0 && i < LOT && t->count < versions->count; i++, t->count++)
			rc = read_one(t, versions->ids[t->count], &t->kin[t->count]);
		rc = meta_end(t->service->meta, rc);
	}
	return rc;
}

static struct kin *kin_of(const struct tracing *t, uint64_t version) {
	const struct gate_versions *versions = lineage_versions(t->lineage);
	const uint64_t *found = gate_versions_find(versions, version);
	return found ? &t->kin[found - versions->ids] : NULL;
}

/* The numbers by which `assayfs versions` knows them: each name is listed once, whatever has it. */
struct numbering {
	struct tracing *t;
	const char *path;
};

static int take_number(void *arg, uint64_t ordinal, const struct version *version) {
	struct numbering *numbering = arg;
	struct kin *kin = kin_of(numbering->t, version->id);
	if (kin && strcmp(kin->path, numbering->path) == 0)
		kin->number = ordinal;
	return 0;
}

/* 1: the path was found; 0: it never showed anything. */
static int each_of_path(Meta *m, const char *path, version_path_fn each, void *arg) {
	const char *slash = strrchr(path, '/');
	struct node parent;
	int rc = slash ? tree_resolve_past(m, bytes_of(path, (size_t)(slash - path)), &parent, NULL) : -ENOENT;
	if (rc >= 0)
		rc = version_list_path(m, parent.id, bytes_of_string(slash + 1), each, arg);
	return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
}

static int compare_paths(const void *left, const void *right) {
	const struct kin *const *a = left, *const *b = right;
	return strcmp((*a)->path, (*b)->path);
}

static int number_all(struct tracing *t) {
	_cleanup_(freep) struct kin **by_path = calloc(t->count + 1, sizeof(struct kin *));
	if (!by_path)
		return fault(ENOMEM, "following a lineage: out of memory");
	for (size_t i = 0; i < t->count; i++)
		by_path[i] = &t->kin[i];
	qsort(by_path, t->count, sizeof *by_path, compare_paths);
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < t->count; i++) {
		if (i > 0 && strcmp(by_path[i]->path, by_path[i - 1]->path) == 0)
			continue;
		struct numbering numbering = {.t = t, .path = by_path[i]->path};
		meta_begin(t->service->meta);
		rc = meta_end(
		        t->service->meta, each_of_path(t->service->meta, numbering.path, take_number, &numbering));
	}
	return rc;
}

/* ---- verdicts ---- */

struct told_verdict {
	struct tracing *t;
	json_t *json;
	uint64_t policy;
};

static void tell_altered(const struct verdict *verdict, json_t *json) {
	if (verdict->split)
		json_object_set_new(json, "split",
		        json_pack("{s:I, s:I}", "rows_in", (json_int_t)verdict->split->rows_in, "rows_withheld",
		                (json_int_t)verdict->split->rows_quarantined));
	else if (verdict->has_output && memcmp(verdict->output.sha256, verdict->input.sha256, VERDICT_HASH_BYTES) != 0)
		json_object_set_new(json, "redacted", json_true());
	if (verdict->waiver)
		json_object_set_new(json, "waiver",
		        json_pack("{s:s, s:I, s:I}", "by", verdict->waiver->by, "uid", (json_int_t)verdict->waiver->uid,
		                "until_ns", (json_int_t)verdict->waiver->until_ns));
}

static int tell_verdict(void *arg, const struct verdict_row *row) {
	struct told_verdict *told = arg;
	_cleanup_(verdict_freep) struct verdict *verdict = NULL;
	char dataset[256];
	snprintf(dataset, sizeof dataset, "%.*s", (int)row->dataset.size, (const char *)row->dataset.data);
	told->policy = row->policy;
	told->json = json_pack("{s:I, s:s, s:I, s:s, s:I, s:b}", "id", (json_int_t)row->id, "outcome",
	        outcome_word((enum outcome)row->outcome), "time_ns", (json_int_t)row->time_ns, "dataset", dataset,
	        "policy", (json_int_t)row->policy, "reused", (int)!row->fresh);
	if (!told->json)
		return fault(ENOMEM, "following a lineage: out of memory");
	if (verdict_from_json(row->body, &verdict) == 0)
		tell_altered(verdict, told->json);
	return 0;
}

static int take_hash(void *arg, const struct policy_row *row) {
	struct tracing *t = arg;
	memcpy(t->policy_sha256, row->sha256, sizeof t->policy_sha256);
	t->policy = row->number;
	return 0;
}

/* In an operation. NULL: nobody judged it. */
static int verdict_on(struct tracing *t, const struct kin *kin, json_t **ret_json) {
	Meta *m = t->service->meta;
	struct told_verdict told = {.t = t};
	struct lineage_held held;
	int rc;
	if (kin->version.verdict)
		rc = verdict_get(m, kin->version.verdict, tell_verdict, &told);
	else if (lineage_held_of(t->lineage, kin->version.id, &held))
		rc = verdict_get(m, held.verdict, tell_verdict, &told);
	else
		rc = verdict_latest_for_version(m, kin->version.id, tell_verdict, &told);
	if (rc >= 0 && told.policy && told.policy != t->policy)
		rc = policy_get(m, told.policy, take_hash, t);
	if (rc >= 0 && told.json && told.policy == t->policy)
		json_object_set_new(
		        told.json, "policy_sha256", service_json_hex(t->policy_sha256, sizeof t->policy_sha256));
	*ret_json = told.json;
	return rc == -ENOENT ? 0 : rc;
}

/* ---- items ---- */

static json_t *held_json(const struct lineage_held *held) {
	static const char *const states[] = {"held", "released", "dropped"};
	return json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:b}", "id", (json_int_t)held->id, "state",
	        held->state < 3 ? states[held->state] : "?", "time_ns", (json_int_t)held->time_ns, "uid",
	        (json_int_t)held->uid, "decided_ns", (json_int_t)held->decided_ns, "decided_uid",
	        (json_int_t)held->decided_uid, "partial", (int)held->partial);
}

static const char *zone_word(uint8_t zone) {
	return zone == ZONE_STAGING ? "staging" : zone_name((enum zone)zone);
}

/* In an operation. */
static int kin_json(struct tracing *t, const struct kin *kin, json_t **ret_item) {
	const struct version *version = &kin->version;
	struct lineage_held held;
	json_t *verdict = NULL;
	*ret_item = json_pack("{s:s, s:I, s:s, s:b, s:b}", "item", "version", "id", (json_int_t)version->id, "zone",
	        zone_word(version->zone), "hidden", (int)kin->is_hidden, "start", (int)kin->is_start);
	if (!*ret_item || kin->is_hidden)
		return 0;
	json_object_set_new(*ret_item, "path", wire_path(kin->path));
	json_object_update_new(
	        *ret_item, json_pack("{s:I, s:s, s:s, s:I, s:I, s:I, s:b}", "number", (json_int_t)kin->number, "state",
	                           service_state_word(version->state), "origin", service_origin_word(version->origin),
	                           "size", (json_int_t)version->size, "time_ns", (json_int_t)version->sealed_time,
	                           "uid", (json_int_t)version->uid, "current", (int)kin->is_current));
	if (version->has_sha256 && version->state != VERSION_ERASED)
		json_object_set_new(*ret_item, "sha256", service_json_hex(version->sha256, sizeof version->sha256));
	if (lineage_held_of(t->lineage, version->id, &held) &&
	        service_lets(t->service, t->peer, PLACE_QUARANTINE, POLICY_READ, NULL))
		json_object_set_new(*ret_item, "quarantine", held_json(&held));
	int rc = verdict_on(t, kin, &verdict);
	if (verdict)
		json_object_set_new(*ret_item, "verdict", verdict);
	return rc;
}

static int send_versions(struct tracing *t, ControlReply *reply) {
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < t->count; i++) {
		json_t *item = NULL;
		meta_begin(t->service->meta);
		rc = meta_end(t->service->meta, kin_json(t, &t->kin[i], &item));
		if (rc >= 0)
			rc = control_send(reply, item);
		else
			json_decref(item);
	}
	return rc;
}

static int send_ties(struct tracing *t, ControlReply *reply) {
	static const char *const words[] = {"", "input", "reference", "restored", "cloned", "withheld"};
	size_t count;
	const struct lineage_tie *ties = lineage_ties(t->lineage, &count);
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < count; i++)
		rc = control_send(reply, json_pack("{s:s, s:I, s:I, s:s}", "item", "tie", "from",
		                                 (json_int_t)ties[i].from, "to", (json_int_t)ties[i].to, "kind",
		                                 ties[i].kind <= LINEAGE_TIE_WITHHELD ? words[ties[i].kind] : "?"));
	return rc;
}

/* ---- content that came again ---- */

struct delivering {
	struct tracing *t;
	json_t *list;
};

static int take_delivery(void *arg, const struct delivery_row *row) {
	struct delivering *d = arg;
	struct kin *kin = kin_of(d->t, row->version);
	char path[TREE_PATH_MAX];
	struct node present;
	if (!kin || kin->is_hidden)
		return 0;
	if (json_array_size(d->list) == DELIVERIES_MOST) {
		d->t->left_out++;
		return 0;
	}
	snprintf(path, sizeof path, "%.*s", (int)row->path.size, (const char *)row->path.data);
	json_t *item = json_pack("{s:s, s:I, s:I, s:I}", "item", "delivery", "version", (json_int_t)row->version,
	        "time_ns", (json_int_t)row->time_ns, "uid", (json_int_t)row->uid);
	if (item && may_know_path(d->t, path, &present))
		json_object_set_new(item, "path", wire_path(path));
	return json_array_append_new(d->list, item) ? fault(ENOMEM, "following a lineage: out of memory") : 0;
}

static int send_deliveries(struct tracing *t, ControlReply *reply) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	struct delivering d = {.t = t, .list = list};
	struct gate_versions nodes = {0};
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < t->count; i++)
		if (t->kin[i].version.zone == ZONE_RAW && !t->kin[i].is_hidden)
			rc = gate_versions_add(&nodes, t->kin[i].version.node);
	for (size_t i = 0; rc >= 0 && i < nodes.count; i++) {
		meta_begin(t->service->meta);
		rc = meta_end(t->service->meta, delivery_list(t->service->meta, nodes.ids[i], take_delivery, &d));
	}
	gate_versions_free(&nodes);
	for (size_t i = 0; rc >= 0 && i < json_array_size(list); i++)
		rc = control_send(reply, json_incref(json_array_get(list, i)));
	return rc;
}

/* ---- where it begins ---- */

struct starting {
	uint64_t number; /* that is asked for; 0: none */
	uint64_t found;
};

static int find_number(void *arg, uint64_t ordinal, const struct version *version) {
	struct starting *starting = arg;
	if (ordinal == starting->number)
		starting->found = version->id;
	return 0;
}

/* Whether it began here, for who asks. In an operation. */
static int is_shown(struct tracing *t, uint64_t id, bool *ret_is_shown) {
	struct kin kin = {0};
	struct node present = {0};
	int rc = version_get(t->service->meta, id, &kin.version);
	*ret_is_shown = false;
	if (rc >= 0 && kin.version.state != VERSION_DRAFT)
		rc = read_path(t, &kin);
	if (rc >= 0 && kin.path)
		*ret_is_shown = may_know(t, &kin, &present);
	free(kin.path);
	return rc == -ENOENT ? 0 : rc;
}

/* All that the peer may know of; without `all` the one that the name shows, else the newest. In an operation. */
static int choose(struct tracing *t, const struct gate_versions *all_of_path, const struct node *present, bool all,
        struct gate_versions *start) {
	int rc = 0;
	if (!all && present->id && present->version)
		return gate_versions_add(start, present->version);
	for (size_t i = all_of_path->count; rc >= 0 && i-- > 0 && (all || start->count == 0);) {
		bool shown = false;
		rc = is_shown(t, all_of_path->ids[i], &shown);
		if (rc >= 0 && shown)
			rc = gate_versions_add(start, all_of_path->ids[i]);
	}
	return rc;
}

static int find_start(struct tracing *t, const char *path, const json_t *arguments, struct gate_versions *start) {
	Meta *m = t->service->meta;
	struct starting starting = {.number = (uint64_t)json_integer_value(json_object_get(arguments, "number"))};
	bool all = json_is_true(json_object_get(arguments, "all")), shown = false;
	struct gate_versions all_of_path = {0};
	struct node present = {0};
	int rc = starting.number ? 0 : gate_versions_of_path(t->service->gate, path, &all_of_path);
	meta_begin(m);
	/* Asked also when nothing was found, so that a refusal is not told apart from it. */
	int looked = service_look_at_present(m, path, t->peer, &present);
	if (looked < 0)
		rc = looked;
	if (rc >= 0 && starting.number) {
		rc = each_of_path(m, path, find_number, &starting);
		if (rc >= 0 && starting.found)
			rc = is_shown(t, starting.found, &shown);
		if (rc >= 0 && shown)
			rc = gate_versions_add(start, starting.found);
	} else if (rc >= 0) {
		rc = choose(t, &all_of_path, &present, all, start);
	}
	rc = meta_end(m, rc);
	gate_versions_free(&all_of_path);
	if (rc >= 0 && start->count == 0)
		rc = starting.number ? fault(ENOENT, "it has no version %" PRIu64 "; 'assayfs versions' lists them",
		                               starting.number)
		                     : fault(ENOENT, "no file ever had this name");
	return rc;
}

static int trace(struct tracing *t, const struct gate_versions *start, ControlReply *reply) {
	int rc = lineage_make(t->service->gate, start, 0, &t->lineage);
	if (rc >= 0)
		rc = read_all(t);
	if (rc >= 0)
		rc = number_all(t);
	for (size_t i = 0; rc >= 0 && i < start->count; i++) {
		struct kin *kin = kin_of(t, start->ids[i]);
		if (kin)
			kin->is_start = true;
	}
	if (rc >= 0)
		rc = send_versions(t, reply);
	if (rc >= 0)
		rc = send_ties(t, reply);
	if (rc >= 0)
		rc = send_deliveries(t, reply);
	return rc < 0 ? rc
	              : control_send(
	                        reply, json_pack("{s:s, s:I, s:I}", "item", "end", "hidden", (json_int_t)t->hidden,
	                                       "left_out", (json_int_t)(t->left_out + lineage_left_out(t->lineage))));
}

int service_lineage(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	char path[WIRE_PATH_MAX];
	struct tracing t = {.service = service, .peer = peer};
	struct gate_versions start = {0};
	int rc = service_path(arguments, path);
	if (rc >= 0)
		rc = service_check_zone(path);
	if (rc >= 0)
		rc = service_require(service, peer, service_place(path), POLICY_READ, "lineage", path);
	if (rc < 0)
		return rc;
	rc = find_start(&t, path, arguments, &start);
	struct actor actor = service_actor(peer);
	if (rc == -EACCES)
		service_record_denied(service, &actor, "lineage", path, EACCES);
	if (rc >= 0)
		rc = trace(&t, &start, reply);
	gate_versions_free(&start);
	tracing_end(&t);
	return rc;
}
