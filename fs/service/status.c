/*
 * What `assayfs status` asks.
 *
 * Files are counted by walking the names, a few hundred in each operation, so that writers get their turn in between;
 * what changes meanwhile may be counted or not. Names are only told to those who may read Landing.
 */
#include "fs/service/internal.h"

#include "fs/command/policy_notes.h"

#include "backend/gc.h"
#include "backend/job.h"
#include "backend/record.h"
#include "backend/stale.h"
#include "backend/store_keys.h"
#include "crypto/base/fault.h"
#include "fs/words.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define WALK_BATCH 256
#define NAMED_MAX 10
#define FAILURES_MAX 5
#define VERDICTS_LOOKED_AT 10000
#define OUTCOMES 5

static const char *const outcome_words[OUTCOMES] = {"none", "pending", "passed", "failed", "error"};

struct entry {
	uint64_t cookie;
	struct node node;
	size_t name_size;
	uint8_t name[TREE_NAME_MAX];
};

struct zone_counts {
	uint64_t files, bytes;
	uint64_t outcomes[OUTCOMES];
};

/* A directory that is still to be walked; its path is below the zone. */
struct pending {
	struct pending *next;
	uint64_t node;
	char path[];
};

struct walk {
	Service *service;
	const Policy *policy;
	bool tells_names;
	struct zone_counts *counts;
	bool is_landing;
	struct pending *stack;
	struct entry *entries; /* WALK_BATCH of them */
	size_t entry_count;
	json_t *ungoverned;
	uint64_t ungoverned_count;
	json_t *example;
};

/* ---- walking ---- */

static int push(struct walk *walk, uint64_t node, const char *path) {
	size_t length = strlen(path);
	struct pending *pending = malloc(sizeof *pending + length + 1);
	if (!pending)
		return fault(ENOMEM, "counting files: out of memory");
	pending->node = node;
	memcpy(pending->path, path, length + 1);
	pending->next = walk->stack;
	walk->stack = pending;
	return 0;
}

static int take_entry(void *arg, struct bytes name, uint64_t cookie, const struct node *node) {
	struct walk *walk = arg;
	struct entry *entry = &walk->entries[walk->entry_count++];
	entry->cookie = cookie;
	entry->node = *node;
	entry->name_size = name.size;
	memcpy(entry->name, name.data, name.size);
	return walk->entry_count == WALK_BATCH;
}

static void note_ungoverned(struct walk *walk, const char *path, const char *vault_path) {
	if (policy_dataset_for(walk->policy, path) || policy_ignored(walk->policy, path))
		return;
	walk->ungoverned_count++;
	if (!walk->tells_names || json_array_size(walk->ungoverned) == NAMED_MAX)
		return;
	char words[POLICY_CLOSEST_BYTES];
	const struct policy_dataset *closest = policy_dataset_closest(walk->policy, path, NULL);
	policy_closest_words(walk->policy, path, words);
	json_array_append_new(
	        walk->ungoverned, json_pack("{s:o, s:s?, s:s?, s:s}", "path", wire_path(vault_path), "closest_dataset",
	                                  closest ? closest->name : NULL, "closest_match",
	                                  closest ? closest->match : NULL, "closest_words", words));
}

static bool looks_like_table(const char *path) {
	const char *dot = strrchr(path, '.');
	return dot && (strcasecmp(dot, ".csv") == 0 || strcasecmp(dot, ".tsv") == 0);
}

static int count_file(struct walk *walk, const struct node *node, const char *path, const char *zone) {
	char vault_path[WIRE_PATH_MAX];
	enum outcome outcome;
	if (snprintf(vault_path, sizeof vault_path, "%s/%s", zone, path) >= (int)sizeof vault_path)
		return 0; /* such a path can't be asked about either */
	int rc = gate_outcome(walk->service->meta, vault_path, node, &outcome, NULL);
	if (rc)
		return rc;
	walk->counts->files++;
	walk->counts->bytes += node->size;
	walk->counts->outcomes[outcome < OUTCOMES ? outcome : OUTCOME_ERROR]++;
	if (walk->is_landing)
		note_ungoverned(walk, path, vault_path);
	if (walk->is_landing && walk->tells_names && !walk->example && looks_like_table(path))
		walk->example = wire_path(vault_path);
	return 0;
}

/* One batch of one directory, in one operation. *ret_after moves on. */
static int walk_batch(struct walk *walk, const struct pending *dir, const char *zone, uint64_t *ret_after) {
	Meta *m = walk->service->meta;
	walk->entry_count = 0;
	meta_begin(m);
	int rc = tree_list(m, dir->node, *ret_after, WALK_BATCH, take_entry, walk, NULL);
	for (size_t i = 0; !rc && i < walk->entry_count; i++) {
		const struct entry *entry = &walk->entries[i];
		char path[WIRE_PATH_MAX];
		*ret_after = entry->cookie;
		int length = snprintf(path, sizeof path, "%s%s%.*s", dir->path, *dir->path ? "/" : "",
		        (int)entry->name_size, (const char *)entry->name);
		if (length >= (int)sizeof path)
			continue;
		if (S_ISDIR(entry->node.mode))
			rc = push(walk, entry->node.id, path);
		else if (S_ISREG(entry->node.mode))
			rc = count_file(walk, &entry->node, path, zone);
	}
	rc = meta_end(m, rc);
	return rc == -ENOTDIR || rc == -ESTALE ? 0 : rc; /* it was removed meanwhile */
}

static int walk_zone(
        struct walk *walk, uint64_t root, const char *zone, struct zone_counts *counts, ControlReply *reply) {
	walk->counts = counts;
	walk->is_landing = root == NODE_LANDING;
	int rc = push(walk, root, "");
	while (walk->stack) {
		struct pending *dir = walk->stack;
		walk->stack = dir->next;
		uint64_t after = 0;
		do {
			rc = rc || !reply ? rc : control_wait(reply, 0);
			rc = rc ? rc : walk_batch(walk, dir, zone, &after);
		} while (!rc && walk->entry_count == WALK_BATCH);
		free(dir);
	}
	walk->counts = NULL;
	return rc;
}

static json_t *zone_json(const char *zone, const struct zone_counts *counts) {
	json_t *outcomes = json_object();
	for (size_t i = 0; i < OUTCOMES; i++)
		json_object_set_new(outcomes, outcome_words[i], json_integer((json_int_t)counts->outcomes[i]));
	return json_pack("{s:s, s:I, s:I, s:o}", "zone", zone, "files", (json_int_t)counts->files, "bytes",
	        (json_int_t)counts->bytes, "outcomes", outcomes);
}

static int add_zones(struct walk *walk, json_t *item, ControlReply *reply) {
	static const struct {
		const char *name;
		uint64_t root;
	} zones[] = {{"Landing", NODE_LANDING}, {"Raw", NODE_RAW}, {"Trusted", NODE_TRUSTED}};
	uint64_t current = 0;
	json_t *list = json_array();
	int rc = 0;
	for (size_t i = 0; !rc && i < sizeof zones / sizeof zones[0]; i++) {
		struct zone_counts counts = {0};
		rc = walk_zone(walk, zones[i].root, zones[i].name, &counts, reply);
		json_array_append_new(list, zone_json(zones[i].name, &counts));
		current += counts.bytes;
	}
	json_object_set_new(item, "zones", list);
	json_object_set_new(item, "ungoverned_count", json_integer((json_int_t)walk->ungoverned_count));
	json_object_set(item, "ungoverned", walk->ungoverned);
	if (walk->example)
		json_object_set(item, "example", walk->example);
	json_object_set_new(item, "versions", json_pack("{s:I}", "current_bytes", (json_int_t)current));
	return rc;
}

/* ---- what stands in tables ---- */

/* The last, the oldest first. A file that failed each time that it was checked counts once: others shall be seen, too.
 */
static int take_failure(void *arg, const struct verdict_row *row) {
	json_t *list = arg, *other;
	size_t i;
	if (row->outcome != VERDICT_FAILED && row->outcome != VERDICT_ERROR)
		return 0;
	_cleanup_(json_decrefp) json_t *body = json_loadb((const char *)row->body.data, row->body.size, 0, NULL);
	const json_t *reason = json_object_get(json_object_get(body, "check"), "reason");
	json_t *item = json_pack("{s:o, s:I, s:s, s:s}", "path", service_json_path(row->path), "time_ns",
	        (json_int_t)row->time_ns, "outcome", outcome_words[row->outcome], "reason",
	        json_is_string(reason) ? json_string_value(reason) : "");
	json_array_foreach(list, i, other) {
		if (json_equal(json_object_get(other, "path"), json_object_get(item, "path"))) {
			json_array_remove(list, i);
			break;
		}
	}
	json_array_append_new(list, item);
	if (json_array_size(list) > FAILURES_MAX)
		json_array_remove(list, 0);
	return 0;
}

static json_t *newest_first(const json_t *list) {
	json_t *turned = json_array();
	for (size_t i = json_array_size(list); i > 0; i--)
		json_array_append(turned, json_array_get(list, i - 1));
	return turned;
}

static int count_held(void *arg, const struct quarantine_row *row) {
	(void)row;
	++*(uint64_t *)arg;
	return 0;
}

/* Live bytes are what the last walk of the collector counted; of a segment that no walk has looked at yet nothing is
 * known. */
static json_t *segments_json(Service *service, const struct segment_sums *sums) {
	struct gc_totals totals = {0};
	if (store_gc(service->store))
		gc_totals(store_gc(service->store), &totals);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "count", (json_int_t)sums->segments, "bytes",
	        (json_int_t)sums->bytes, "counted_bytes", (json_int_t)sums->counted_bytes, "live_bytes",
	        (json_int_t)sums->live_bytes, "reclaimable_bytes", (json_int_t)(sums->counted_bytes - sums->live_bytes),
	        "condemned", (json_int_t)totals.condemned, "freed_bytes", (json_int_t)totals.freed);
}

/* Among the newest verdicts, so that it takes no longer with all that ever were. */
static int find_failures(Meta *m, json_t *failures) {
	uint64_t last = 0;
	int rc = verdict_last(m, &last);
	uint64_t after = last > VERDICTS_LOOKED_AT ? last - VERDICTS_LOOKED_AT : 0;
	return rc < 0 ? rc : verdict_list(m, bytes_of(NULL, 0), after, take_failure, failures);
}

static int add_tables(Service *service, bool tells_names, json_t *item) {
	_cleanup_(json_decrefp) json_t *failures = json_array();
	struct tree_counts counts;
	struct segment_sums sums = {0};
	uint64_t queued = 0, running = 0, held = 0;
	meta_begin(service->meta);
	int rc = job_counts(service->meta, &queued, &running);
	uint64_t records = audit_size(service->meta);
	if (!rc)
		rc = tree_statfs(service->meta, &counts);
	if (!rc)
		rc = quarantine_list(service->meta, 0, true, count_held, &held);
	if (!rc)
		rc = segment_row_sums(service->meta, &sums);
	if (!rc && tells_names)
		rc = find_failures(service->meta, failures);
	rc = meta_end(service->meta, rc);
	json_object_set_new(item, "failures", newest_first(failures));
	if (rc)
		return rc;
	json_object_set_new(
	        item, "jobs", json_pack("{s:I, s:I}", "queued", (json_int_t)queued, "running", (json_int_t)running));
	json_object_set_new(item, "temporary_in_trusted",
	        json_integer(service->trusted ? (json_int_t)trusted_temporary_count(service->trusted) : 0));
	json_object_set_new(item, "quarantined", json_integer((json_int_t)held));
	json_object_set_new(item, "audit_records", json_integer((json_int_t)records));
	json_t *versions = json_object_get(item, "versions");
	json_object_set_new(versions, "count", json_integer((json_int_t)counts.versions));
	json_object_set_new(versions, "stored_bytes", json_integer((json_int_t)sums.bytes));
	json_object_set_new(item, "segments", segments_json(service, &sums));
	return 0;
}

/* ---- waivers ---- */

struct waivers {
	json_t *list; /* NULL: names are not told */
	int64_t now_ns;
	uint64_t count, expired;
};

static int take_waiver(void *arg, const char *path, int64_t until_ns) {
	struct waivers *waivers = arg;
	bool is_over = until_ns <= waivers->now_ns;
	waivers->count++;
	waivers->expired += is_over;
	if (waivers->list && json_array_size(waivers->list) < NAMED_MAX)
		json_array_append_new(waivers->list, json_pack("{s:o, s:I, s:b}", "path", wire_path(path), "until_ns",
		                                             (json_int_t)until_ns, "expired", (int)is_over));
	return 0;
}

static int add_waivers(Service *service, bool tells_names, json_t *item) {
	struct waivers waivers = {.list = tells_names ? json_array() : NULL, .now_ns = meta_now(service->meta)};
	meta_begin(service->meta);
	int rc = meta_end(service->meta, gate_waivers(service->meta, take_waiver, &waivers));
	json_object_set_new(item, "waived",
	        json_pack("{s:I, s:I, s:o*}", "count", (json_int_t)waivers.count, "expired",
	                (json_int_t)waivers.expired, "files", waivers.list));
	return rc;
}

/* ---- space ---- */

static int add_space(Service *service, json_t *item) {
	json_t *space = NULL;
	int rc = service_space_json(service, &space);
	if (!rc)
		json_object_set_new(item, "space", space);
	return rc;
}

/* ---- grants ---- */

/* A warning as long as one counts; whose and what, for those who read the log. */
static void add_grants(Service *service, bool tells_all, json_t *item) {
	_cleanup_(json_decrefp) json_t *list = service_lent_json(service, NULL);
	json_object_set_new(item, "grants",
	        json_pack(
	                "{s:I, s:O*}", "count", (json_int_t)json_array_size(list), "active", tells_all ? list : NULL));
}

/* ---- keys ---- */

struct keys_away {
	json_int_t disabled, pending, waits_for_bytes;
	json_t *list;
};

static int take_away(void *arg, const struct store_key *key) {
	struct keys_away *away = arg;
	char when[WORDS_BYTES];
	away->waits_for_bytes += (json_int_t)key->waits_for_bytes;
	if (key->state != KEY_DISABLED && key->state != KEY_PENDING_DELETION)
		return 0;
	away->disabled += key->state == KEY_DISABLED;
	away->pending += key->state == KEY_PENDING_DELETION;
	json_array_append_new(away->list, json_pack("{s:s, s:s, s:s, s:s*}", "alias", key->alias, "id", key->name,
	                                          "state", key_state_name(key->state), "deletion",
	                                          key->deletion_ns ? words_time_utc(key->deletion_ns, when) : NULL));
	return 0;
}

/* Those whose content can't be read, as long as that can be undone; which they are, for those who read the log. And
 * what is sealed anew, where that needs room. */
static int add_keys_away(Service *service, bool tells_all, json_t *item) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	struct keys_away away = {.list = list};
	int rc = list ? store_key_states(service->store, take_away, &away)
	              : fault(ENOMEM, "asking for the status: out of memory");
	json_object_set_new(item, "keys",
	        json_pack("{s:I, s:I, s:O*}", "disabled", away.disabled, "pending_deletion", away.pending, "away",
	                tells_all ? list : NULL));
	if (away.waits_for_bytes > 0)
		json_object_set_new(
		        json_object_get(item, "keys"), "rewrap_waits_for_bytes", json_integer(away.waits_for_bytes));
	return rc;
}

/* ---- workflows ---- */

static int add_workflows(Service *service, const Policy *policy, bool tells_names, json_t *item) {
	json_t *list = NULL;
	uint64_t stale = 0;
	meta_begin(service->meta);
	int rc = meta_end(service->meta, stale_count(service->meta, &stale));
	if (!rc && tells_names)
		rc = service_workflows_json(service, policy, NULL, &list);
	json_object_set_new(item, "stale_files", json_integer((json_int_t)stale));
	json_object_set_new(item, "workflows", list ? list : json_array());
	return rc;
}

/* ---- the whole ---- */

struct policy_facts {
	int64_t time_ns;
	uint32_t uid;
};

static int take_policy(void *arg, const struct policy_row *row) {
	*(struct policy_facts *)arg = (struct policy_facts){row->time_ns, row->uid};
	return 0;
}

static void add_policy(Service *service, const Policy *policy, uint64_t number, json_t *item) {
	struct policy_facts facts = {0};
	meta_begin(service->meta);
	int rc = meta_end(service->meta, policy_current(service->meta, take_policy, &facts));
	if (rc || number == 0) {
		json_object_set_new(item, "policy", json_null());
		return;
	}
	json_object_set_new(item, "policy",
	        json_pack("{s:I, s:I, s:I, s:o, s:i, s:i, s:o}", "number", (json_int_t)number, "time_ns",
	                (json_int_t)facts.time_ns, "uid", (json_int_t)facts.uid, "sha256",
	                service_json_hex(policy_sha256(policy), BUNDLE_HASH_BYTES), "datasets",
	                (int)policy_dataset_count(policy), "workflows", (int)policy_workflow_count(policy), "warnings",
	                policy_notes(policy)));
}

/* By which slot it was unlocked. */
static int take_ours(void *arg, const struct slot_info *slot, size_t index, bool is_ours) {
	json_t **ret = arg;
	(void)index;
	if (is_ours)
		*ret = json_pack("{s:s, s:s, s:s*}", "slot", slot->id, "type", slot_type_name(slot->type), "kms_key",
		        slot->type == SLOT_KMS ? slot->kms.key : NULL);
	return is_ours;
}

/* And how the service is, if the mount asks one. */
static void add_unlocking(Service *service, json_t *item) {
	struct kms_watch_status kms;
	json_t *ours = NULL;
	(void)store_slot_list(service->store, take_ours, &ours);
	json_object_set_new(item, "unlocked_by", ours ? ours : json_null());
	kms_watch_status(service->kms, &kms);
	json_object_set_new(item, "kms",
	        !kms.is_watched ? json_null()
	                        : json_pack("{s:b, s:I, s:I, s:I, s:s}", "up", (int)kms.is_up, "last_success_ns",
	                                  (json_int_t)(kms.last_success_s * INT64_C(1000000000)), "offline_ms",
	                                  (json_int_t)kms.offline_ms, "max_offline_ms", (json_int_t)kms.most_ms,
	                                  "words", kms.words));
}

static void add_mount(Service *service, json_t *item) {
	_cleanup_(freep) struct store_info *info = calloc(1, sizeof *info);
	struct statvfs disk;
	if (!info)
		return;
	store_info(service->store, info);
	_cleanup_(json_decrefp) json_t *facts =
	        json_pack("{s:s, s:o, s:i, s:I, s:I, s:b, s:b, s:b, s:I, s:I, s:I, s:I}", "version", ASSAYFS_VERSION,
	                "vault", service_json_hex(info->vault_id, sizeof info->vault_id), "pid", (int)getpid(),
	                "mounted_ns", (json_int_t)service->started_ns, "mounter", (json_int_t)service->mounter,
	                "read_only", (int)service->refuses_changes, "failed", info->failed, "recovered",
	                info->recovered, "recovered_versions", (json_int_t)info->recovered_versions, "dropped_drafts",
	                (json_int_t)info->dropped_drafts, "requeued_jobs", (json_int_t)info->requeued_jobs, "mount",
	                (json_int_t)info->mount);
	json_object_update(item, facts);
	json_object_set_new(item, "locked", json_boolean(store_is_locked(service->store)));
	json_object_set_new(item, "idle_lock_ms", service_idle_json(service));
	add_unlocking(service, item);
	if (statvfs(info->path, &disk) == 0)
		json_object_set_new(item, "free_bytes", json_integer((json_int_t)(disk.f_bavail * disk.f_frsize)));
	if (service->spawner) {
		json_object_set_new(item, "checks_alive", json_boolean(spawner_alive(service->spawner)));
		json_object_set_new(item, "checks_confined", json_string(spawner_confinement(service->spawner)));
	}
}

static void add_audit(Service *service, json_t *item) {
	struct store_audit_window window;
	store_audit_window(service->store, &window);
	json_object_set_new(item, "audit",
	        json_pack("{s:s, s:I, s:I, s:I, s:f, s:f}", "mode", window.is_strict ? "strict" : "batched", "durable",
	                (json_int_t)store_durable_seq(service->store), "not_durable", (json_int_t)window.records,
	                "refused", (json_int_t)window.refused, "oldest_ms", (double)window.oldest_ns / 1e6, "most_ms",
	                (double)window.most_ns / 1e6));
}

static void add_http(Service *service, json_t *item) {
	char text[ADDRESS_TEXT_BYTES];
	pthread_mutex_lock(&service->http_lock);
	if (service->http)
		json_object_set_new(item, "http",
		        json_pack("{s:s, s:b}", "address", address_text(service->http, text), "alive",
		                (int)atomic_load(service->http_is_alive)));
	pthread_mutex_unlock(&service->http_lock);
}

static void drop_walk(struct walk *walk) {
	json_decref(walk->ungoverned);
	json_decref(walk->example);
	free(walk->entries);
}

/* `reply` NULL: nobody who could go away meanwhile. */
static int make_status(Service *service, struct virtual_reader reader, ControlReply *reply, json_t **ret_item) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	const Policy *policy = held->policy;
	struct walk walk = {.service = service,
	        .policy = policy,
	        .tells_names = reader.landing,
	        .ungoverned = json_array(),
	        .entries = calloc(WALK_BATCH, sizeof *walk.entries)};
	_cleanup_(json_decrefp) json_t *item = json_object();
	int rc = 0;
	if (!walk.ungoverned || !walk.entries || !item)
		rc = fault(ENOMEM, "asking for the status: out of memory");
	if (!rc) {
		add_mount(service, item);
		add_audit(service, item);
		add_http(service, item);
		add_policy(service, policy, held->number, item);
		rc = add_zones(&walk, item, reply);
	}
	if (!rc)
		rc = add_tables(service, reader.landing, item);
	if (!rc)
		rc = add_waivers(service, reader.landing, item);
	if (!rc)
		rc = add_space(service, item);
	if (!rc)
		rc = add_workflows(service, policy, reader.landing || reader.log, item);
	if (!rc)
		rc = add_keys_away(service, reader.log, item);
	add_grants(service, reader.log, item);
	if (item) {
		json_object_set_new(item, "alarms", service_alarms_json(service, reader.log));
		json_object_set_new(item, "backup", service_backup_json(service));
		json_object_set_new(item, "recall", service_recall_json(service));
	}
	drop_walk(&walk);
	if (!rc)
		*ret_item = steal_pointer(&item);
	return rc;
}

int service_status(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	json_t *item = NULL;
	(void)arguments;
	struct gate_policy *held = gate_policy(service->gate);
	struct virtual_reader reader = {
	        .landing = service_permits(service, held->policy, peer, PLACE_LANDING, POLICY_READ),
	        .log = service_permits(service, held->policy, peer, PLACE_AUDIT, POLICY_READ)};
	gate_policy_done(held);
	int rc = make_status(service, reader, reply, &item);
	return rc ? rc : control_send(reply, item);
}

int service_status_text(void *service, struct virtual_reader reader, char **ret_text, size_t *ret_size) {
	_cleanup_(json_decrefp) json_t *item = NULL;
	int rc = make_status(service, reader, NULL, &item);
	if (rc)
		return rc;
	_cleanup_(freep) char *text = json_dumps(item, JSON_INDENT(2));
	char *with_newline = NULL;
	int length = text ? asprintf(&with_newline, "%s\n", text) : -1;
	if (length < 0)
		return fault(ENOMEM, "asking for the status: out of memory");
	*ret_text = with_newline;
	*ret_size = (size_t)length;
	return 0;
}
