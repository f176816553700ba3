/* What `assayfs why` and `quarantine` ask: the gate's decisions. */
#include "fs/service/internal.h"

#include "backend/job.h"
#include "backend/record.h"
#include "backend/stale.h"
#include "backend/store_keys.h"
#include "crypto/base/fault.h"
#include "crypto/base/utc.h"
#include "crypto/keyring.h"
#include "crypto/secret.h"
#include "fs/command/when.h"
#include "fs/words.h"
#include "policy/verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A verdict's row, kept beyond the operation. */
struct kept {
	uint64_t id, version;
	int64_t time_ns;
	uint8_t outcome;
	char *body;
	size_t size;
};

static int keep_verdict(void *arg, const struct verdict_row *row) {
	struct kept *kept = arg;
	kept->id = row->id;
	kept->version = row->version;
	kept->time_ns = row->time_ns;
	kept->outcome = row->outcome;
	kept->body = malloc(row->body.size + 1);
	if (!kept->body)
		return fault(ENOMEM, "reading a verdict: out of memory");
	if (row->body.size)
		memcpy(kept->body, row->body.data, row->body.size);
	kept->body[row->body.size] = '\0';
	kept->size = row->body.size;
	return 0;
}

static int verdict_words(const struct kept *kept, char **ret_text) {
	struct verdict *verdict = NULL;
	int rc = verdict_from_json(bytes_of(kept->body, kept->size), &verdict);
	if (rc)
		return fault_while(rc, "reading verdict %" PRIu64, kept->id);
	rc = verdict_text(verdict, ret_text);
	verdict_free(verdict);
	return rc;
}

/* What is said of a file that passed only because a steward answers for it: "waived", and "expired" when that is over.
 */
static const char *outcome_of(const struct kept *kept, enum outcome outcome) {
	struct verdict *verdict = NULL;
	const char *word = outcome_word(outcome);
	if (outcome != OUTCOME_PASSED || !kept->body || verdict_from_json(bytes_of(kept->body, kept->size), &verdict))
		return word;
	if (verdict->waiver)
		word = verdict->waiver->until_ns > when_now() ? "waived" : "expired";
	verdict_free(verdict);
	return word;
}

/* The item: outcome, words, and the verdict itself as it was signed. */
static json_t *verdict_json(const char *path, const char *outcome, const char *text, const struct kept *kept) {
	_cleanup_(json_decrefp) json_t *body = kept->body ? json_loadb(kept->body, kept->size, 0, NULL) : NULL;
	json_t *item = json_pack("{s:o, s:s, s:s}", "path", wire_path(path), "outcome", outcome, "text", text);
	if (item && body)
		json_object_set(item, "verdict", body);
	if (item && kept->id)
		json_object_set_new(item, "time_ns", json_integer((json_int_t)kept->time_ns));
	return item;
}

/* ---- why ---- */

struct why {
	char path[WIRE_PATH_MAX];
	char mountpoint[WIRE_PATH_MAX]; /* as the client sees it, for commands to copy; "" when it doesn't say */
	bool is_there;
	enum outcome outcome;
	uint32_t attempts;      /* at a check that is pending */
	enum outcome newer;     /* of something that came after what Trusted shows; NONE: there is nothing */
	struct stale stale;     /* version 0: it is not */
	struct kept stale_kept; /* its verdict */
	bool is_erased;         /* what was judged, or what last bore the name; then by whom, if that is known: */
	struct service_erasure erasure;
	char lacks[FAULT_MESSAGE_BYTES]; /* words on the key that its check, or that of what is newer, waits for; "" */
	struct kept kept;
};

/* Checks of a path that are to be made, and how often the most tried of them was begun. */
struct waiting {
	bool is_there;
	uint32_t attempts;
};

static int note_job(void *arg, const struct job *job) {
	struct waiting *waiting = arg;
	if (job->kind != JOB_ARRIVE && job->kind != JOB_RECHECK)
		return 0;
	waiting->is_there = true;
	waiting->attempts = job->attempts > waiting->attempts ? job->attempts : waiting->attempts;
	return 0;
}

static int take_last(Meta *m, struct bytes path, struct why *why) {
	int rc = verdict_latest_for_path(m, path, keep_verdict, &why->kept);
	if (!rc)
		why->outcome = (enum outcome)why->kept.outcome;
	return rc == -ENOENT ? 0 : rc;
}

/* The verdict with which what is shown was published, in place of an older one on the path: a withdrawal, say. */
static int take_shown(Meta *m, uint64_t verdict, struct why *why) {
	free(why->kept.body);
	why->kept = (struct kept){0};
	why->outcome = OUTCOME_PASSED;
	return verdict_get(m, verdict, keep_verdict, &why->kept);
}

static const char *below_zone(const char *path) {
	const char *slash = strchr(path, '/');
	return slash ? slash + 1 : "";
}

/* A name that Trusted does not have yet, while what is to be published under it is checked. */
static int look_coming(Meta *m, struct why *why) {
	enum outcome newer;
	int rc = gate_newer(m, below_zone(why->path), &newer);
	if (rc >= 0 && newer == OUTCOME_PENDING)
		why->outcome = OUTCOME_PENDING;
	return rc;
}

/* The verdict on what the path shows now; else the last one on the path: what Trusted refused was never there. For a
 * file of Trusted with something newer that was refused, that refusal: it is what the person asks about. Verdicts are
 * numbered as they are given. */
static int find_verdict(Meta *m, const struct control_peer *peer, struct why *why) {
	struct node node;
	struct bytes path = bytes_of_string(why->path);
	uint64_t verdict = 0;
	int rc = service_may_reach(m, why->path, peer);
	if (rc)
		return rc;
	rc = tree_resolve(m, path, &node);
	why->is_there = rc == 0;
	if (rc && rc != -ENOENT && rc != -ENOTDIR)
		return rc;
	if (why->is_there && !service_mode_allows(m, &node, peer, 4) && !service_mode_allows(m, &node, peer, 2))
		return fault(EACCES, "its mode lets your user neither read nor write it");
	if (why->is_there && S_ISDIR(node.mode))
		return fault(EISDIR, "it is a directory; verdicts are on files ('assayfs status' counts them)");
	struct waiting waiting = {0};
	rc = why->is_there ? gate_outcome(m, why->path, &node, &why->outcome, &verdict) : 0;
	if (!rc)
		rc = job_list_path(m, path, note_job, &waiting);
	if (!why->is_there)
		why->outcome = waiting.is_there ? OUTCOME_PENDING : OUTCOME_NONE;
	if (!rc && !why->is_there && service_place(why->path) == PLACE_TRUSTED)
		rc = look_coming(m, why);
	why->attempts = waiting.attempts;
	if (rc || why->outcome == OUTCOME_PENDING)
		return rc;
	bool is_passed = why->is_there && why->outcome == OUTCOME_PASSED;
	if (verdict && (!is_passed || strncmp(why->path, "Trusted/", 8) != 0))
		return verdict_get(m, verdict, keep_verdict, &why->kept);
	rc = take_last(m, path, why);
	return !rc && verdict > why->kept.id ? take_shown(m, verdict, why) : rc;
}

/* Of what is not there: whether it was erased. What the verdict says to do about it is beside the point then. */
static int look_erased(Meta *m, struct why *why) {
	struct version version = {0};
	struct node last = {0};
	if (why->is_there || why->outcome == OUTCOME_PENDING)
		return 0;
	int rc = service_last_erasure(m, why->path, &why->erasure);
	if (rc >= 0 && why->kept.body)
		rc = version_get(m, why->kept.version, &version);
	else if (rc >= 0 && why->erasure.time_ns)
		rc = tree_resolve_past(m, bytes_of_string(why->path), &last, NULL);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	why->is_erased =
	        why->kept.body ? version.state == VERSION_ERASED : last.id != 0 && last.id == why->erasure.node;
	return 0;
}

static char *words_erased(const struct why *why) {
	char when[WORDS_BYTES], memory[4096], *text = NULL;
	_cleanup_(freep) char *shown = words_safe(why->path), *reason = words_safe(why->erasure.reason);
	const char *user = service_user_name(why->erasure.uid, memory, sizeof memory);
	int length = -1;
	if (!shown || !reason)
		return NULL;
	words_time_utc(why->erasure.time_ns, when); /* "2026-11-23T09:15:02.123456789Z" */
	if (why->erasure.time_ns)
		length = asprintf(&text, "%s: erased on %.10s %.8s UTC by %s (uid %" PRIu32 "): %s", shown, when,
		        when + 11, *user ? user : "a user without a name", why->erasure.uid, reason);
	else
		length = asprintf(&text, "%s: erased. By whom, and why: assayfs log --event erase", shown);
	return length < 0 ? NULL : text;
}

static json_t *erasure_json(const struct why *why) {
	return json_pack("{s:I, s:I, s:s}", "time_ns", (json_int_t)why->erasure.time_ns, "uid",
	        (json_int_t)why->erasure.uid, "reason", why->erasure.reason);
}

/* How a person gets a first policy from this very file. */
static char *words_without_policy(const struct why *why, const char *shown) {
	_cleanup_(freep) char *full = NULL, *text = NULL;
	bool has_place = why->mountpoint[0] != '\0';
	if (asprintf(&full, "%s%s%s", why->mountpoint, has_place ? "/" : "", why->path) < 0) {
		full = NULL;
		return NULL;
	}
	_cleanup_(freep) char *file = words_shell(full);
	_cleanup_(freep) char *mount = words_shell(why->mountpoint);
	if (!file || !mount ||
	        asprintf(&text,
	                "%s: none. The vault has no policy, so nothing is checked and nothing can pass into Trusted.\n"
	                "To get one from this file, if it is as it should be:\n"
	                "    assayfs policy suggest %s -o policy\n"
	                "    assayfs policy apply policy%s%s",
	                shown, file, has_place ? " " : "", has_place ? mount : "") < 0)
		return NULL;
	return steal_pointer(&text);
}

static char *words_ungoverned(const Policy *policy, const char *path, const char *shown) {
	char closest[POLICY_CLOSEST_BYTES];
	policy_closest_words(policy, path, closest);
	char *text = NULL;
	int length = asprintf(&text,
	        "%s: none. No dataset governs it, so it is not checked and stays where it is%s%s.\n"
	        "next: give the file a name that a dataset matches, or a steward adds one to policy.yaml and runs "
	        "assayfs policy apply POLICYDIR",
	        shown, *closest ? "; " : "", closest);
	return length < 0 ? NULL : text;
}

/* 0, or what there is not of the folder's own key that the policy gives to the path. */
static int try_own_key(Service *service, const Policy *policy, const char *below) {
	const struct policy_key *key = policy_key_for(policy, below);
	_cleanup_(secret_key_wipe) struct secret_key secret = {0};
	char own[OWN_KEY_BYTES] = "";
	if (!key)
		return 0;
	meta_begin(service->meta);
	int rc = store_key_called(service->meta, key->name, own);
	if (rc == 0)
		rc = store_key_own_words(
		        service->meta, own, keyring_get(store_keyring(service->store), own, 0, secret.bytes, NULL));
	rc = meta_end(service->meta, rc);
	return rc == -ENOENT ? 0 : rc; /* the policy has no such key yet: that is told when it is applied */
}

/* A check needs the keys of all three zones, and the folder's own: notes the words on the one that can't be had. */
static void note_lacking(Service *service, struct why *why) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	int rc = 0;
	for (int zone = ZONE_LANDING; rc == 0 && zone <= ZONE_TRUSTED; zone++) {
		_cleanup_(secret_key_wipe) struct secret_key key = {0};
		rc = keyring_get(store_keyring(service->store), zone_key_name((enum zone)zone), 0, key.bytes, NULL);
	}
	if (rc == 0)
		rc = try_own_key(service, held->policy, below_zone(why->path));
	if (rc < 0)
		(void)snprintf(why->lacks, sizeof why->lacks, "%s", fault_message());
}

/* Words for a check that is to be made. */
static char *words_pending(const struct why *why, const char *shown) {
	char *text = NULL;
	int length;
	if (why->lacks[0])
		length = asprintf(&text, "%s: pending. Its check waits for a key: %s.", shown, why->lacks);
	else if (why->attempts > 1)
		length = asprintf(&text,
		        "%s: pending. Its check was begun %" PRIu32
		        " times and came to no end; it is tried again. Why it did not end: assayfs log --event arrive",
		        shown, why->attempts);
	else
		length = asprintf(&text, "%s: pending. Its check is queued or running; ask again.", shown);
	return length < 0 ? NULL : text;
}

/* Words for a file that nobody judged. */
static char *words_without_verdict(const struct why *why, const Policy *policy, bool has_policy) {
	const char *path = below_zone(why->path);
	_cleanup_(freep) char *shown = words_safe(why->path); /* JSON strings are UTF-8, names need not be */
	if (!shown)
		return NULL;
	const struct policy_dataset *dataset = policy_dataset_for(policy, path);
	char *text = NULL;
	int length;
	if (why->outcome == OUTCOME_PENDING)
		return words_pending(why, shown);
	if (!has_policy)
		return words_without_policy(why, shown);
	else if (policy_ignored(policy, path))
		length = asprintf(&text,
		        "%s: none. Its name is on the ignore list (a temporary file of an editor or copier).", shown);
	else if (dataset)
		length = asprintf(&text,
		        "%s: none. Dataset %s governs it (match \"%s\"), but it has not been checked: it was there "
		        "before the "
		        "policy, or arrives only by a workflow. 'assayfs run WORKFLOW' checks it.",
		        shown, dataset->name, dataset->match);
	else
		return words_ungoverned(policy, path, shown);
	return length < 0 ? NULL : text;
}

/* Who asks why Trusted does not show the new data is told of the new data. */
static int add_newer(const struct why *why, char **text) {
	_cleanup_(freep) char *shown = words_safe(below_zone(why->path));
	_cleanup_(freep) char *before = *text;
	bool is_pending = why->newer == OUTCOME_PENDING;
	*text = NULL;
	if (!shown || asprintf(text, "%s\nnewer: something that came after it %s: assayfs why Landing/%s", before,
	                      is_pending ? "is being checked" : "did not pass", shown) < 0) {
		*text = NULL;
		return fault(ENOMEM, "explaining: out of memory");
	}
	return 0;
}

/* Did what is published fail when it was checked again? */
static int look_stale(Meta *m, struct why *why) {
	struct node node;
	int rc = tree_resolve(m, bytes_of_string(why->path), &node);
	if (!rc)
		rc = stale_get(m, node.version, &why->stale);
	if (!rc)
		rc = verdict_get(m, why->stale.verdict, keep_verdict, &why->stale_kept);
	return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
}

/* By which rule: what that verdict says, whole. */
static int add_stale(const struct why *why, char **text) {
	_cleanup_(freep) char *before = *text;
	_cleanup_(freep) char *said = NULL;
	char since[UTC_TEXT_BYTES];
	*text = NULL;
	int rc = verdict_words(&why->stale_kept, &said);
	if (rc)
		return rc;
	if (asprintf(text, "%s\nstale since %s, as it did not pass when it was checked again:\n%s", before,
	            utc_words(why->stale.time_ns, since), said) < 0) {
		*text = NULL;
		return fault(ENOMEM, "explaining: out of memory");
	}
	return 0;
}

static int explain(Service *service, const struct why *why, char **ret_text) {
	if (why->is_erased) {
		*ret_text = words_erased(why);
		return *ret_text ? 0 : fault(ENOMEM, "explaining: out of memory");
	}
	if (why->kept.body) {
		int rc = verdict_words(&why->kept, ret_text);
		return rc || why->newer == OUTCOME_NONE ? rc : add_newer(why, ret_text);
	}
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	*ret_text = words_without_verdict(why, held->policy, held->number > 0);
	return *ret_text ? 0 : fault(ENOMEM, "explaining: out of memory");
}

/* Who writes a zone must learn why it was refused, also without the right to read it. */
static int may_ask(Service *service, const struct control_peer *peer, const char *path) {
	enum policy_place place = service_place(path);
	int rc = service_check_zone(path);
	if (rc)
		return rc;
	struct gate_policy *held = gate_policy(service->gate);
	bool may_write = service_permits(service, held->policy, peer, place, POLICY_WRITE);
	gate_policy_done(held);
	return may_write ? 0 : service_require(service, peer, place, POLICY_READ, "why", path);
}

static json_t *stale_json(const struct why *why) {
	json_t *verdict = json_loadb(why->stale_kept.body, why->stale_kept.size, 0, NULL);
	return json_pack("{s:I, s:I, s:o*}", "since_ns", (json_int_t)why->stale.time_ns, "number",
	        (json_int_t)why->stale.verdict, "verdict", verdict);
}

int service_why(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(freep) struct why *why = calloc(1, sizeof *why);
	_cleanup_(freep) char *text = NULL;
	if (!why)
		return fault(ENOMEM, "explaining: out of memory");
	int rc = service_path(arguments, why->path);
	const json_t *mountpoint = json_object_get(arguments, "mountpoint");
	if (!rc && mountpoint)
		rc = wire_path_get(mountpoint, why->mountpoint);
	if (!rc)
		rc = may_ask(service, peer, why->path);
	if (rc)
		return rc;
	meta_begin(service->meta);
	rc = find_verdict(service->meta, peer, why);
	if (!rc)
		rc = look_erased(service->meta, why);
	if (!rc && why->is_there && service_place(why->path) == PLACE_TRUSTED)
		rc = gate_newer(service->meta, below_zone(why->path), &why->newer);
	if (!rc && why->is_there && service_place(why->path) == PLACE_TRUSTED)
		rc = look_stale(service->meta, why);
	rc = meta_end(service->meta, rc);
	struct actor actor = service_actor(peer);
	if (rc == -EACCES)
		service_record_denied(service, &actor, "why", why->path, EACCES);
	if (!rc && !why->is_there && !why->kept.body && !why->is_erased && why->outcome != OUTCOME_PENDING)
		rc = fault(ENOENT, "no file has this name, and none was refused under it");
	if (!rc && (why->outcome == OUTCOME_PENDING || why->newer == OUTCOME_PENDING))
		note_lacking(service, why);
	if (!rc)
		rc = explain(service, why, &text);
	if (!rc && why->stale.version)
		rc = add_stale(why, &text);
	if (!rc) {
		const char *outcome = why->is_erased ? "erased" : outcome_of(&why->kept, why->outcome);
		json_t *item = verdict_json(why->path, outcome, text, &why->kept);
		if (item && why->is_erased && why->erasure.time_ns)
			json_object_set_new(item, "erased", erasure_json(why));
		if (item && why->newer != OUTCOME_NONE)
			json_object_set_new(item, "newer", json_string(outcome_word(why->newer)));
		if (item && why->lacks[0])
			json_object_set_new(item, "waits_for_key", json_string(why->lacks));
		if (item && why->stale.version)
			json_object_set_new(item, "stale", stale_json(why));
		rc = control_send(reply, item);
	}
	free(why->kept.body);
	free(why->stale_kept.body);
	return rc;
}

/* ---- quarantine ---- */

struct held {
	struct quarantine_row row;
	char path[WIRE_PATH_MAX];
};

struct holding {
	struct held *rows;
	size_t count, room;
};

static int take_held(void *arg, const struct quarantine_row *row) {
	struct holding *holding = arg;
	if (holding->count == holding->room) {
		size_t room = holding->room ? 2 * holding->room : 16;
		struct held *rows = reallocarray(holding->rows, room, sizeof *rows);
		if (!rows)
			return fault(ENOMEM, "reading the quarantine: out of memory");
		holding->rows = rows;
		holding->room = room;
	}
	struct held *held = &holding->rows[holding->count++];
	held->row = *row;
	size_t size = row->path.size < sizeof held->path ? row->path.size : sizeof held->path - 1;
	memcpy(held->path, row->path.data, size);
	held->path[size] = '\0';
	return 0;
}

/* Of what an erasure took the decision that went with it says nothing. */
static const char *state_word(uint8_t state, const struct version *version) {
	static const char *const words[] = {"held", "released", "dropped"};
	if (version->state == VERSION_ERASED)
		return "erased";
	return state < sizeof words / sizeof words[0] ? words[state] : "?";
}

/* The row with size and verdict, in an operation of its own. */
static int read_held(Service *service, const struct held *held, struct kept *kept, json_t **ret_item) {
	struct version version = {0};
	meta_begin(service->meta);
	int rc = version_get(service->meta, held->row.version, &version);
	rc = rc == -ENOENT ? 0 : rc;
	if (!rc)
		rc = verdict_get(service->meta, held->row.verdict, keep_verdict, kept);
	rc = meta_end(service->meta, rc);
	if (rc && rc != -ENOENT)
		return rc;
	_cleanup_(json_decrefp) json_t *body = kept->body ? json_loadb(kept->body, kept->size, 0, NULL) : NULL;
	const json_t *split = json_object_get(body, "split"); /* its rows are held because of the whole file */
	const char *reason =
	        json_string_value(json_object_get(json_object_get(split ? split : body, "check"), "reason"));
	*ret_item = json_pack("{s:I, s:I, s:o, s:I, s:I, s:s, s:b, s:s}", "id", (json_int_t)held->row.id, "time_ns",
	        (json_int_t)held->row.time_ns, "path", wire_path(held->path), "size", (json_int_t)version.size, "uid",
	        (json_int_t)held->row.uid, "state", state_word(held->row.state, &version), "partial", held->row.partial,
	        "reason", reason ? reason : "");
	return *ret_item ? 0 : fault(ENOMEM, "reading the quarantine: out of memory");
}

int service_quarantine_list(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	struct holding holding = {0};
	int rc = service_require(service, peer, PLACE_QUARANTINE, POLICY_READ, "quarantine-list", NULL);
	if (rc)
		return rc;
	bool is_all = json_is_true(json_object_get(arguments, "all"));
	meta_begin(service->meta);
	rc = meta_end(service->meta, quarantine_list(service->meta, 0, !is_all, take_held, &holding));
	for (size_t i = 0; !rc && i < holding.count; i++) {
		struct kept kept = {0};
		json_t *item = NULL;
		rc = read_held(service, &holding.rows[i], &kept, &item);
		if (!rc)
			rc = control_send(reply, item);
		free(kept.body);
	}
	free(holding.rows);
	return rc;
}

int service_quarantine_show(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(freep) struct held *held = calloc(1, sizeof *held);
	struct kept kept = {0};
	_cleanup_(freep) char *text = NULL;
	json_t *item = NULL;
	json_int_t id = json_integer_value(json_object_get(arguments, "id"));
	int rc = service_require(service, peer, PLACE_QUARANTINE, POLICY_READ, "quarantine-show", NULL);
	if (!rc && !held)
		rc = fault(ENOMEM, "reading the quarantine: out of memory");
	if (rc)
		return rc;
	meta_begin(service->meta);
	rc = meta_end(service->meta, quarantine_get(service->meta, (uint64_t)id, &held->row, held->path));
	if (rc == -ENOENT)
		rc = fault(ENOENT, "there is no such id; 'assayfs quarantine list --all' shows them");
	if (!rc)
		rc = read_held(service, held, &kept, &item);
	if (!rc && kept.body)
		rc = verdict_words(&kept, &text);
	if (!rc && text) {
		json_object_set_new(item, "text", json_string(text));
		json_object_set_new(item, "verdict", json_loadb(kept.body, kept.size, 0, NULL));
	}
	if (rc)
		json_decref(item);
	else
		rc = control_send(reply, item);
	free(kept.body);
	return rc;
}
