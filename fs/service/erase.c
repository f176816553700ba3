/*
 * What `assayfs erase` asks: files gone for good.
 *
 *     request ─► (of a subject: {"done", "total"} …, names and files that were not understood) ─► places, one item each
 * ─► the sum ─► {"left", "total"} … until the old segments are gone ─►
 * {"rewritten"}
 */
#include "fs/service/internal.h"

#include "backend/backup/backup.h"
#include "backend/gc.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 250
/* How long files may wait to be unlinked once nothing else is to be done. */
#define UNLINK_LOOKS 120

struct erasing {
	Service *service;
	ControlReply *reply;
};

static int send_place(void *arg, const struct gate_place *place) {
	static const char *const kinds[] = {
	        [GATE_GOES] = "goes", [GATE_SHARES] = "shares", [GATE_LEFT] = "left", [GATE_MADE] = "made"};
	const struct erasing *e = arg;
	json_t *item = json_pack("{s:s, s:o, s:s, s:b, s:I, s:I, s:I}", "kind", kinds[place->kind], "path",
	        wire_path(place->path), "zone", zone_name(place->zone), "shown", (int)place->is_shown, "versions",
	        (json_int_t)place->versions, "bytes", (json_int_t)place->bytes, "kept", (json_int_t)place->kept);
	if (item && place->quarantine)
		json_object_set_new(item, "quarantine", json_integer((json_int_t)place->quarantine));
	if (item && place->kind == GATE_MADE)
		json_object_set_new(item, "number", json_integer((json_int_t)place->number));
	return control_send(e->reply, item);
}

static int send_sum(const struct erasing *e, const struct gate_erased *sum) {
	/* What a backup got stays there until its generations go. */
	json_int_t backups = e->service->backup ? (json_int_t)backup_status(e->service->backup, NULL, 0) : 0;
	return control_send(
	        e->reply, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "kind", "sum", "backups", backups,
	                          "versions", (json_int_t)sum->versions, "bytes", (json_int_t)sum->bytes, "names",
	                          (json_int_t)sum->names, "checks_ended", (json_int_t)sum->jobs, "sharers",
	                          (json_int_t)sum->sharers, "referrers", (json_int_t)sum->referrers));
}

/* ---- which ---- */

static int add_path(Service *service, const json_t *value, struct gate_versions *versions) {
	char path[WIRE_PATH_MAX];
	int rc = wire_vault_path_get(value, path);
	return rc < 0 ? rc : gate_versions_of_path(service->gate, path, versions);
}

static int read_paths(Service *service, const json_t *paths, struct gate_versions *versions) {
	size_t count = json_array_size(paths);
	int rc = count > 0 ? 0 : fault(EINVAL, "say what is to be erased");
	for (size_t i = 0; rc >= 0 && i < count; i++)
		rc = add_path(service, json_array_get(paths, i), versions);
	return rc;
}

static int check_right(Service *service, const struct control_peer *peer, const char *path, bool is_dry) {
	int rc = service_require(service, peer, PLACE_QUARANTINE, POLICY_WRITE, "erase", path);
	return rc < 0 || is_dry ? rc : service_require_writable(service, peer, "erase", path);
}

/* A denial has a record for each path that was asked for. */
static int check_rights(Service *service, const struct control_peer *peer, const json_t *paths, bool is_dry) {
	char path[WIRE_PATH_MAX];
	size_t count = json_array_size(paths);
	int rc = count > 0 ? 0 : check_right(service, peer, NULL, is_dry);
	for (size_t i = 0; i < count; i++) {
		int one = wire_vault_path_get(json_array_get(paths, i), path);
		if (one >= 0)
			one = check_right(service, peer, path, is_dry);
		rc = rc < 0 ? rc : one;
	}
	return rc;
}

/* ---- whom ---- */

struct subject_search {
	const struct erasing *e;
	struct gate_versions *versions;
	uint64_t names, policies;
};

/* What was not understood, a name, and a policy can't be erased so: it is told. */
static int take_subject(void *arg, const struct gate_subject *subject) {
	struct subject_search *search = arg;
	if (subject->policy != 0) {
		search->policies++;
		return control_send(search->e->reply, service_subject_policy(subject));
	}
	const char *kind = subject->version == 0 ? "search"
	                   : subject->is_in_name ? "name"
	                   : subject->is_found   ? NULL
	                                         : "unclear";
	search->names += subject->version != 0 && subject->is_in_name;
	if (!kind)
		return gate_versions_add(search->versions, subject->version);
	if (subject->version == 0)
		return control_send(
		        search->e->reply, json_pack("{s:s, s:I, s:I}", "kind", kind, "done", (json_int_t)subject->done,
		                                  "total", (json_int_t)subject->total));
	return control_send(
	        search->e->reply, json_pack("{s:s, s:o, s:s, s:I}", "kind", kind, "path", wire_path(subject->path),
	                                  "zone", zone_name(subject->zone), "number", (json_int_t)subject->number));
}

static int find_subject(
        const struct erasing *e, const json_t *values, const struct actor *actor, struct gate_versions *versions) {
	struct subject_search search = {.e = e, .versions = versions};
	struct service_subjects whom = {.count = 0};
	struct gate_subjects sum;
	int rc = service_subject_values(values, &whom);
	if (rc >= 0)
		rc = gate_find_subject(e->service->gate, whom.values, whom.count, actor, take_subject, &search, &sum);
	if (rc < 0 || versions->count > 0)
		return rc;
	if (search.names + search.policies > 0)
		return fault(
		        ENOENT, "it stands in names or policies alone, and in no version that could be understood");
	return fault(ENOENT, "it occurs in no version that could be understood");
}

/* ---- what was erased before ---- */

struct seeking {
	const char *path;
	struct service_erasure *found;
};

/* "3 versions: REASON" */
static int take_record(void *arg, const struct audit_entry *entry) {
	struct seeking *seeking = arg;
	const struct audit_event *event = &entry->event;
	const char *reason = event->detail ? strstr(event->detail, ": ") : NULL;
	if (!event->path || strcmp(event->path, seeking->path) != 0)
		return 0;
	seeking->found->time_ns = entry->time_ns;
	seeking->found->node = event->node;
	seeking->found->uid = event->actor.uid;
	snprintf(seeking->found->reason, sizeof seeking->found->reason, "%s", reason ? reason + 2 : "");
	return 1;
}

int service_last_erasure(Meta *m, const char *path, struct service_erasure *ret) {
	const struct audit_filter filter = {
	        .event = "erase", .outcome = "ok", .path_prefix = path, .newest_first = true};
	struct seeking seeking = {.path = path, .found = ret};
	*ret = (struct service_erasure){.time_ns = 0};
	return audit_query(m, &filter, take_record, &seeking);
}

/* ---- until it is gone ---- */

static int say_rest(const struct gc_purging *purging) {
	if (purging->trouble[0])
		return fault(EIO, "it is erased, but %lu old segment%s still there: %s; it goes on by itself",
		        (unsigned long)purging->wanted, purging->wanted == 1 ? " is" : "s are", purging->trouble);
	if (purging->seek_waits || purging->keyless > 0)
		return fault(EKEYREVOKED,
		        "it is erased, but old segments that may hold copies of it are under a key that is disabled, "
		        "or the vault is locked: they go when the key is enabled ('assayfs key list', 'assayfs "
		        "unlock') "
		        "or deleted");
	if (purging->stuck > 0)
		return fault(EBADMSG,
		        "it is erased, but %lu old segment%s blocks of other files that can't be read, and stay%s: "
		        "'assayfs fsck' names them",
		        (unsigned long)purging->stuck, purging->stuck == 1 ? " holds" : "s hold",
		        purging->stuck == 1 ? "s" : "");
	return fault(EIO, "it is erased, but the file of an old segment could not be removed; the next mount does it");
}

static int wait_gone(const struct erasing *e, uint64_t before) {
	struct gc_purging purging;
	uint64_t most = 0;
	Gc *gc = store_gc(e->service->store);
	for (unsigned idle = 0; idle < UNLINK_LOOKS; idle++) {
		int rc = gc_purging(gc, &purging);
		if (rc < 0)
			return rc;
		bool is_done = purging.wanted == purging.stuck && (!purging.is_seeking || purging.seek_waits);
		if (purging.trouble[0] ||
		        (is_done && (purging.stuck > 0 || purging.seek_waits || purging.unlinking == 0)))
			break;
		most = purging.wanted > most ? purging.wanted : most;
		idle = is_done ? idle : 0;
		rc = control_send(e->reply, json_pack("{s:s, s:I, s:I}", "kind", "progress", "left",
		                                    (json_int_t)purging.wanted, "total", (json_int_t)most));
		if (rc >= 0)
			rc = control_wait(e->reply, LOOK_MS);
		if (rc < 0)
			return rc;
	}
	int rc = control_send(e->reply,
	        json_pack("{s:s, s:I}", "kind", "rewritten", "segments", (json_int_t)(purging.removed - before)));
	bool is_gone = purging.wanted == 0 && purging.unlinking == 0 && !purging.trouble[0] && !purging.seek_waits;
	return rc < 0 || is_gone ? rc : say_rest(&purging);
}

/* ---- erasing ---- */

static int erase(const struct erasing *e, const struct gate_erasure *erasure, bool waits) {
	struct gate_erased sum = {0};
	struct gc_totals totals = {0};
	Gc *gc = store_gc(e->service->store);
	if (gc)
		gc_totals(gc, &totals);
	int rc = gate_erase(e->service->gate, erasure, send_place, (void *)(uintptr_t)e, &sum);
	if (rc >= 0)
		rc = send_sum(e, &sum);
	return rc < 0 || erasure->is_dry || !waits ? rc : wait_gone(e, totals.purged);
}

int service_erase(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	const struct erasing e = {.service = context, .reply = reply};
	struct gate_versions versions = {0};
	const char *reason = json_string_value(json_object_get(arguments, "reason"));
	const json_t *subject = json_object_get(arguments, "subject");
	const json_t *paths = subject ? NULL : json_object_get(arguments, "paths");
	struct gate_erasure erasure = {.versions = &versions,
	        .is_exact = subject != NULL,
	        .takes_made = json_is_true(json_object_get(arguments, "derived")),
	        .reason = reason ? reason : "",
	        .actor = service_actor(peer),
	        .is_dry = json_is_true(json_object_get(arguments, "dry_run"))};
	int rc = check_rights(context, peer, paths, erasure.is_dry);
	if (rc >= 0)
		rc = subject ? find_subject(&e, subject, &erasure.actor, &versions)
		             : read_paths(context, paths, &versions);
	if (rc >= 0)
		rc = erase(&e, &erasure, json_is_true(json_object_get(arguments, "wait")));
	gate_versions_free(&versions);
	return rc;
}
