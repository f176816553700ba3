/*
 * What `assayfs gc` asks: versions that the policy lets go, and what the collector frees.
 *
 *     dry run   {"kind": "goes"} … ─► the sum
 *     else      {"kind": "progress"} … ─► the sum of what expired ─► {"kind": "progress"} … until the walk that was
 *               asked for has ended, and with `wait` those that follow it ─► {"kind": "freed"}
 */
#include "fs/service/internal.h"

#include "backend/census.h"
#include "backend/gc.h"
#include "crypto/base/fault.h"
#include "fs/lifecycle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOOK_MS 200
/* As long as a slice takes, so that others get their turn. */
#define REST_MS 2
#define TELL_NS (INT64_C(250) * 1000000)

struct collecting {
	Service *service;
	ControlReply *reply;
	int64_t since_told_ns;
};

/* ---- the rules ---- */

static int send_goes(void *arg, const struct expire_found *found) {
	const struct collecting *c = arg;
	return control_send(c->reply,
	        json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:s}", "kind", "goes", "path", wire_path(found->path), "zone",
	                zone_name(found->zone), "number", (json_int_t)found->number, "bytes", (json_int_t)found->size,
	                "noncurrent_ns", (json_int_t)found->since_ns, "rule", found->rule->name));
}

static int send_progress(const struct collecting *c, const char *stage, uint64_t done, uint64_t total) {
	return control_send(c->reply, json_pack("{s:s, s:s, s:I, s:I}", "kind", "progress", "stage", stage, "done",
	                                      (json_int_t)done, "total", (json_int_t)total));
}

static int rest(void *arg, int64_t took_ns, uint64_t looked) {
	struct collecting *c = arg;
	c->since_told_ns += took_ns + (int64_t)REST_MS * 1000000;
	int rc = control_wait(c->reply, REST_MS);
	if (rc < 0 || c->since_told_ns < TELL_NS)
		return rc;
	c->since_told_ns = 0;
	return send_progress(c, "looking at versions", looked, 0);
}

static json_t *zones_json(const struct expire_sum *sum) {
	json_t *list = json_array();
	for (enum zone zone = ZONE_LANDING; zone <= ZONE_TRUSTED; zone++)
		json_array_append_new(
		        list, json_pack("{s:s, s:I, s:I}", "zone", zone_name(zone), "versions",
		                      (json_int_t)sum->versions[zone], "bytes", (json_int_t)sum->bytes[zone]));
	return list;
}

static int send_sum(const struct collecting *c, bool is_dry, const struct lifecycle_ran *ran) {
	const struct expire_sum *sum = &ran->sum;
	uint64_t versions = 0, bytes = 0;
	for (enum zone zone = ZONE_LANDING; zone <= ZONE_TRUSTED; zone++) {
		versions += sum->versions[zone];
		bytes += sum->bytes[zone];
	}
	return control_send(c->reply,
	        json_pack("{s:s, s:b, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:b}", "kind", "expired", "dry_run",
	                (int)is_dry, "rules", (json_int_t)ran->rules, "versions", (json_int_t)versions, "bytes",
	                (json_int_t)bytes, "zones", zones_json(sum), "looked", (json_int_t)sum->looked, "kept_lineage",
	                (json_int_t)sum->kept_lineage, "kept_held", (json_int_t)sum->kept_held, "kept_open",
	                (json_int_t)sum->kept_open, "clock_uneven", (int)ran->is_clock_uneven));
}

static int expire(struct collecting *c, bool is_dry, const struct actor *actor) {
	struct lifecycle_ran ran = {.rules = 0};
	const struct lifecycle_request request = {
	        .is_dry = is_dry, .actor = actor, .each = is_dry ? send_goes : NULL, .rest = rest, .arg = c};
	int rc = lifecycle_run(c->service->lifecycle, &request, &ran);
	return rc < 0 ? rc : send_sum(c, is_dry, &ran);
}

/* ---- the walk ---- */

static const char *stage_words(enum gc_stage stage) {
	static const char *const words[] = {[GC_IDLE] = "waiting",
	        [GC_SEEK] = "looking for segments",
	        [GC_MEMORY] = "looking at open files",
	        [GC_ROWS] = "looking at what is in use",
	        [GC_JUDGE] = "judging segments",
	        [GC_FREE] = "removing segments",
	        [GC_MOVE] = "moving what is in use"};
	return (size_t)stage < sizeof words / sizeof words[0] ? words[stage] : "working";
}

static int wait_walk(const struct collecting *c, Gc *gc, bool is_to_settle) {
	const uint64_t walk = gc_ask(gc);
	for (;;) {
		struct gc_progress progress;
		int rc = control_wait(c->reply, LOOK_MS);
		if (rc < 0)
			return rc;
		if (store_space_check(c->service->store, 0) == -EROFS)
			return -EROFS; /* the store has failed: no walk ends any more */
		gc_progress(gc, walk, &progress);
		if (progress.has_ended && progress.has_failed)
			return fault(EIO, "%s", progress.trouble);
		if (progress.has_ended && (progress.is_settled || !is_to_settle))
			return 0;
		rc = send_progress(c, stage_words(progress.stage), progress.done, progress.total);
		if (rc < 0)
			return rc;
	}
}

static int send_freed(const struct collecting *c, Gc *gc, const struct gc_totals *before, bool was_waited) {
	struct gc_totals now;
	gc_totals(gc, &now);
	return control_send(c->reply,
	        json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "kind", "freed", "settled", (int)was_waited,
	                "live_bytes", (json_int_t)now.live, "dead_bytes", (json_int_t)now.dead, "condemned",
	                (json_int_t)now.condemned, "moved_bytes", (json_int_t)(now.moved - before->moved), "removed",
	                (json_int_t)(now.removed - before->removed), "freed_bytes",
	                (json_int_t)(now.freed - before->freed)));
}

static int collect(struct collecting *c, const struct actor *actor, bool waits) {
	Gc *gc = store_gc(c->service->store);
	struct gc_totals before;
	char words[FAULT_MESSAGE_BYTES] = "";
	const struct audit_event event = {.event = "gc", .actor = *actor, .detail = "asked for"};
	if (!gc)
		return fault(EROFS, "nothing is freed on a vault that is only read");
	gc_totals(gc, &before);
	int rc = service_record(c->service, &event);
	if (rc < 0)
		return rc;
	/* What is dead is freed even when no more becomes so, on a full disk above all. */
	int expired = expire(c, false, actor);
	if (expired == -EPIPE || expired == -ETIMEDOUT || expired == -ECANCELED)
		return expired;
	if (expired < 0)
		(void)snprintf(words, sizeof words, "%s", fault_message());
	rc = store_commit_wait(c->service->store);
	if (rc >= 0)
		rc = wait_walk(c, gc, waits);
	if (rc >= 0)
		rc = send_freed(c, gc, &before, waits);
	return rc < 0 || expired >= 0 ? rc : fault(-expired, "%s", words);
}

int service_gc(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	struct collecting c = {.service = context, .reply = reply};
	bool is_dry = json_is_true(json_object_get(arguments, "dry_run"));
	const struct actor actor = service_actor(peer);
	int rc = service_require(context, peer, PLACE_QUARANTINE, POLICY_WRITE, "gc", NULL);
	if (rc >= 0 && !is_dry)
		rc = service_require_writable(context, peer, "gc", NULL);
	if (rc >= 0 && !c.service->lifecycle)
		return fault(EROFS, "a mount that changes nothing lets no version expire");
	if (rc < 0)
		return rc;
	return is_dry ? expire(&c, true, &actor)
	              : collect(&c, &actor, json_is_true(json_object_get(arguments, "wait")));
}

/* ---- for the status ---- */

static unsigned zone_shown(unsigned zone) {
	return zone == ZONE_STAGING ? ZONE_LANDING : zone; /* as costs have it */
}

static json_t *zone_json(enum zone zone, const struct census_stored *stored, uint64_t due, uint64_t due_bytes) {
	const uint64_t live = stored->bytes - stored->dead;
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "zone", zone_name(zone), "stored_bytes",
	        (json_int_t)stored->bytes, "live_bytes", (json_int_t)live, "dead_bytes", (json_int_t)stored->dead,
	        "expirable_versions", (json_int_t)due, "expirable_bytes", (json_int_t)due_bytes, "reclaimable_bytes",
	        (json_int_t)(stored->dead + (due_bytes < live ? due_bytes : live)));
}

int service_space_json(Service *service, json_t **ret_space) {
	struct census_stored stored[CENSUS_ZONES], zones[ZONE_TRUSTED + 1] = {{0}};
	struct lifecycle_state state = {.looked_ns = 0};
	meta_begin(service->meta);
	int rc = meta_end(service->meta, census_stored(service->meta, stored));
	if (rc < 0)
		return rc;
	if (service->lifecycle)
		lifecycle_state(service->lifecycle, &state);
	for (unsigned zone = ZONE_LANDING; zone < CENSUS_ZONES; zone++) {
		zones[zone_shown(zone)].bytes += stored[zone].bytes;
		zones[zone_shown(zone)].dead += stored[zone].dead;
	}
	json_t *list = json_array();
	for (enum zone zone = ZONE_LANDING; zone <= ZONE_TRUSTED; zone++)
		json_array_append_new(list, zone_json(zone, &zones[zone], state.due[zone], state.due_bytes[zone]));
	*ret_space = json_pack("{s:o, s:{s:I, s:I, s:I, s:I, s:b, s:s}}", "zones", list, "lifecycle", "rules",
	        (json_int_t)state.rules, "looked_ns", (json_int_t)state.looked_ns, "expired_versions",
	        (json_int_t)state.expired, "expired_bytes", (json_int_t)state.expired_bytes, "clock_uneven",
	        (int)state.is_clock_uneven, "trouble", state.trouble);
	return *ret_space ? 0 : fault(ENOMEM, "asking for the status: out of memory");
}
