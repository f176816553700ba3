#include "policy/gate/internal.h"

#include "crypto/base/fault.h"
#include "crypto/base/utc.h"
#include "crypto/encoding.h"
#include "policy/json_strict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEY_LAST "grant"
#define KEY_PREFIX "grant."
#define PACKED_MAX (TREE_PATH_MAX * 6 + GATE_REASON_BYTES_MAX * 6 + 1024) /* JSON may take six bytes for one */
enum { KEY_BYTES = 40 };

struct grants {
	pthread_mutex_t lock;     /* guards the rest; innermost. Whoever gives or revokes holds `changing` around it */
	pthread_mutex_t changing; /* taken before a meta operation is begun */
	struct grant kept[GRANTS_MAX]; /* with texts of its own */
	size_t count;
	int64_t begun_ns, begun_up_ns; /* the time at the start, and how long the machine had run by then */
	int64_t latest_ns;             /* that was told */
};

/* ---- time ---- */

static int64_t up_ns(void) {
	struct timespec time;
	clock_gettime(CLOCK_BOOTTIME, &time);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* With the lock held. */
static int64_t now_of(struct grants *g, int64_t clock_ns) {
	int64_t at_least = g->begun_ns + (up_ns() - g->begun_up_ns);
	if (clock_ns > g->latest_ns)
		g->latest_ns = clock_ns;
	if (at_least > g->latest_ns)
		g->latest_ns = at_least;
	return g->latest_ns;
}

int64_t gate_grant_now(Gate *gate) {
	struct grants *g = gate->grants;
	pthread_mutex_lock(&g->lock);
	int64_t now = now_of(g, meta_now(store_meta(gate->store)));
	pthread_mutex_unlock(&g->lock);
	return now;
}

/* ---- rows ---- */

static void free_texts(struct grant *grant) {
	free((void *)(uintptr_t)grant->path);
	free((void *)(uintptr_t)grant->reason);
	grant->path = grant->reason = NULL;
}

static const char *role_word(enum policy_role role) {
	return role < ROLE_COUNT ? policy_role_name(role) : "";
}

/* A path is bytes, so it is kept as hexadecimal. */
static int pack(const struct grant *grant, char **ret_text, size_t *ret_size) {
	_cleanup_(json_decrefp) json_t *row = json_object();
	const struct bytes path = bytes_of_string(grant->path);
	_cleanup_(freep) char *hex = malloc(HEX_TEXT_BYTES(path.size));
	if (hex)
		hex_encode(path, hex);
	bool done = row && hex && json_put_count(row, "uid", grant->uid) && json_put_count(row, "by", grant->by) &&
	            json_put_int(row, "made_ns", grant->made_ns) && json_put_int(row, "until_ns", grant->until_ns) &&
	            json_put_text(row, "role", role_word(grant->role)) && json_put_count(row, "write", grant->write) &&
	            json_put_text(row, "path", hex) && json_put_text(row, "reason", grant->reason);
	return done ? json_strict_write(row, ret_text, ret_size) : fault(ENOMEM, "keeping a grant");
}

static int unpack_path(const json_t *row, char **ret_path) {
	const char *hex = json_string_value(json_object_get(row, "path"));
	size_t size = hex ? strlen(hex) / 2 : 0;
	if (!hex || size >= TREE_PATH_MAX)
		return fault(EBADMSG, "reading the vault's grants: a path is missing or too long");
	_cleanup_(freep) char *path = calloc(1, size + 1);
	if (!path)
		return fault(ENOMEM, "reading the vault's grants");
	if (hex_decode(hex, size, (uint8_t *)path) < 0 || strlen(path) != size)
		return fault(EBADMSG, "reading the vault's grants: a path is malformed");
	*ret_path = steal_pointer(&path);
	return 0;
}

static int role_of(const char *word, enum policy_role *ret_role) {
	*ret_role = policy_role_named(word);
	if (*ret_role == ROLE_COUNT && *word)
		return fault(EBADMSG, "reading the vault's grants: no role '%.40s'", word);
	return 0;
}

static int unpack(struct bytes packed, struct grant *ret_grant) {
	_cleanup_(json_decrefp) json_t *row = NULL;
	_cleanup_(freep) char *path = NULL, *reason = NULL, *role = NULL;
	uint64_t uid = 0, by = 0, write = 0;
	struct grant grant = {0};
	int rc = json_strict_parse(packed, "a grant", PACKED_MAX, 100, &row);
	if (rc == 0)
		rc = json_strict_count(row, "uid", &uid);
	if (rc == 0)
		rc = json_strict_count(row, "by", &by);
	if (rc == 0)
		rc = json_strict_count(row, "write", &write);
	if (rc == 0)
		rc = json_strict_int(row, "made_ns", &grant.made_ns);
	if (rc == 0)
		rc = json_strict_int(row, "until_ns", &grant.until_ns);
	if (rc == 0)
		rc = json_strict_text(row, "role", &role);
	if (rc == 0)
		rc = role_of(role, &grant.role);
	if (rc == 0)
		rc = json_strict_text(row, "reason", &reason);
	if (rc == 0)
		rc = unpack_path(row, &path);
	if (rc < 0)
		return rc;
	grant.uid = (uint32_t)uid;
	grant.by = (uint32_t)by;
	grant.write = write != 0;
	grant.path = steal_pointer(&path);
	grant.reason = steal_pointer(&reason);
	*ret_grant = grant;
	return 0;
}

/* Rows come in the order of their keys, where 10 stands before 2. */
static void insert_by_number(struct grants *g, const struct grant *grant) {
	size_t at = g->count++;
	for (; at > 0 && g->kept[at - 1].number > grant->number; at--)
		g->kept[at] = g->kept[at - 1];
	g->kept[at] = *grant;
}

static int load_rows(Meta *m, struct grants *g) {
	char key[KEY_BYTES] = KEY_PREFIX;
	_cleanup_(freep) uint8_t *packed = malloc(PACKED_MAX);
	size_t size = 0;
	int rc = packed ? 0 : fault(ENOMEM, "reading the vault's grants");
	while (rc >= 0 && g->count < GRANTS_MAX) {
		struct grant grant;
		rc = meta_kv_next(m, KEY_PREFIX, key, key, sizeof key, packed, PACKED_MAX, &size);
		if (rc >= 0)
			rc = unpack(bytes_of(packed, size), &grant);
		if (rc < 0)
			break;
		grant.number = strtoull(key + strlen(KEY_PREFIX), NULL, 10);
		insert_by_number(g, &grant);
	}
	return rc == -ENOENT ? 0 : rc;
}

int grants_load(Meta *m, struct grants **ret) {
	struct grants *g = calloc(1, sizeof *g);
	if (!g)
		return fault(ENOMEM, "reading the vault's grants");
	pthread_mutex_init(&g->lock, NULL);
	pthread_mutex_init(&g->changing, NULL);
	g->begun_ns = g->latest_ns = meta_now_after_commit(m);
	g->begun_up_ns = up_ns();
	int rc = load_rows(m, g);
	if (rc < 0)
		grants_free(g);
	else
		*ret = g;
	return rc;
}

void grants_free(struct grants *g) {
	if (!g)
		return;
	for (size_t i = 0; i < g->count; i++)
		free_texts(&g->kept[i]);
	pthread_mutex_destroy(&g->changing);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* ---- giving ---- */

static int check_what(const struct grant *wish) {
	enum zone zone = zone_of_path(wish->path);
	if (wish->role < ROLE_COUNT)
		return wish->path[0] || wish->write ? fault(EINVAL, "a grant is of a role or of a path, not of both")
		                                    : 0;
	if (zone == ZONE_NONE)
		return fault(EINVAL, "what is granted is a role, or a path in Landing, Raw or Trusted");
	if (wish->write && zone == ZONE_RAW)
		return fault(EINVAL, "nobody writes into Raw; grant a path in Landing");
	return 0;
}

static int check_wish(Gate *gate, const struct grant *wish) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(gate);
	int rc = release_check_reason(wish->reason);
	if (rc == 0 && !policy_has_roles(held->policy))
		rc = fault(EINVAL,
		        "the policy names no roles: who mounted holds them all, and mode bits say what others "
		        "reach; there is nothing to grant");
	if (rc == 0 && wish->until_ns <= 0)
		rc = fault(EINVAL, "a grant needs a time, like --for 1h");
	if (rc == 0 && wish->until_ns > GRANT_LONGEST_NS)
		rc = fault(EINVAL, "a grant lasts 7 days at most; the policy's 'grants:' are for longer ones");
	return rc < 0 ? rc : check_what(wish);
}

static const char *what_word(const struct grant *grant) {
	return grant->role < ROLE_COUNT ? "role " : grant->write ? "reading and writing" : "reading";
}

void gate_grant_words(const struct grant *grant, char *ret_words, size_t size) {
	snprintf(ret_words, size, "%s%s to uid %" PRIu32 " for %" PRId64 "s: %s", what_word(grant),
	        role_word(grant->role), grant->uid, (grant->until_ns - grant->made_ns) / 1000000000, grant->reason);
}

static int record(Meta *m, const struct grant *grant, const char *event_name, const struct actor *actor) {
	char detail[AUDIT_DETAIL_MAX], until[UTC_TEXT_BYTES];
	snprintf(detail, sizeof detail, "grant %" PRIu64 ": %s%s to uid %" PRIu32 "%s, until %s: %s", grant->number,
	        what_word(grant), role_word(grant->role), grant->uid,
	        grant->uid == actor->uid && grant->by == grant->uid ? " by himself" : "",
	        utc_stamp(grant->until_ns, until), grant->reason);
	struct audit_event event = {
	        .event = event_name, .actor = *actor, .path = grant->path[0] ? grant->path : NULL, .detail = detail};
	return audit_record(m, &event, NULL);
}

static int next_number(Meta *m, uint64_t *ret_number) {
	uint8_t packed[8] = {0};
	size_t size = 0;
	int rc = meta_kv_get(m, KEY_LAST, packed, sizeof packed, &size);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	*ret_number = (rc == -ENOENT ? 0 : le64_get(packed)) + 1;
	le64_put(packed, *ret_number);
	return meta_kv_put(m, KEY_LAST, bytes_of(packed, sizeof packed));
}

static void key_of(uint64_t number, char ret_key[static KEY_BYTES]) {
	snprintf(ret_key, KEY_BYTES, KEY_PREFIX "%" PRIu64, number);
}

/* In the operation: the row, what has ended before, and the record. */
static int put_row(Meta *m, const struct grants *g, struct grant *grant, const struct actor *actor) {
	_cleanup_(freep) char *text = NULL;
	char key[KEY_BYTES];
	size_t size = 0;
	int rc = next_number(m, &grant->number);
	for (size_t i = 0; rc >= 0 && i < g->count; i++) {
		key_of(g->kept[i].number, key);
		if (g->kept[i].until_ns <= grant->made_ns)
			rc = meta_kv_remove(m, key);
	}
	if (rc >= 0)
		rc = pack(grant, &text, &size);
	key_of(grant->number, key);
	if (rc >= 0)
		rc = meta_kv_put(m, key, bytes_of(text, size));
	return rc < 0 ? rc : record(m, grant, "grant", actor);
}

static void forget(struct grants *g, size_t i) {
	free_texts(&g->kept[i]);
	g->count--;
	memmove(&g->kept[i], &g->kept[i + 1], (g->count - i) * sizeof g->kept[0]);
}

static void install(struct grants *g, const struct grant *grant) {
	pthread_mutex_lock(&g->lock);
	for (size_t i = g->count; i-- > 0;)
		if (g->kept[i].until_ns <= grant->made_ns)
			forget(g, i);
	g->kept[g->count++] = *grant;
	pthread_mutex_unlock(&g->lock);
}

/* With `changing` held, which whoever writes the list holds, so it may be read. */
static int check_room(const struct grants *g, const struct grant *grant) {
	size_t active = 0, selves = 0, his = 0;
	for (size_t i = 0; i < g->count; i++) {
		const struct grant *other = &g->kept[i];
		bool counts = other->until_ns > grant->made_ns, is_own = counts && other->by == other->uid;
		active += counts;
		selves += is_own;
		his += is_own && other->by == grant->by;
	}
	bool is_own = grant->by == grant->uid;
	if (active >= GRANTS_MAX)
		return fault(E2BIG, "%d grants count already; revoke one (assayfs grant --list)", GRANTS_MAX);
	if (is_own && his >= GRANTS_HIMSELF_MAX)
		return fault(E2BIG, "nobody grants himself more than %d at a time; revoke one (assayfs grant --list)",
		        GRANTS_HIMSELF_MAX);
	if (is_own && selves >= GRANTS_SELVES_MAX)
		return fault(E2BIG,
		        "%d grants count already that users gave themselves; the other places are for what stewards "
		        "lend to others",
		        GRANTS_SELVES_MAX);
	return 0;
}

/* With `changing` held. */
static int give(Gate *gate, struct grant *grant, const struct actor *actor) {
	struct grants *g = gate->grants;
	Meta *m = store_meta(gate->store);
	int rc = check_room(g, grant);
	if (rc < 0)
		return rc;
	meta_begin(m);
	rc = meta_end(m, put_row(m, g, grant, actor));
	if (rc >= 0)
		install(g, grant);
	return rc < 0 ? rc : 0;
}

int gate_grant(Gate *gate, const struct grant *wish, const struct actor *actor, struct grant *ret_grant) {
	int rc = check_wish(gate, wish);
	if (rc < 0)
		return rc;
	struct grant grant = *wish;
	_cleanup_(freep) char *path = strdup(wish->path), *reason = strdup(wish->reason);
	if (!path || !reason)
		return fault(ENOMEM, "granting");
	grant.path = path;
	grant.reason = reason;
	grant.by = actor->uid;
	pthread_mutex_lock(&gate->grants->changing);
	grant.made_ns = gate_grant_now(gate);
	grant.until_ns = grant.made_ns + wish->until_ns;
	rc = give(gate, &grant, actor);
	pthread_mutex_unlock(&gate->grants->changing);
	if (rc < 0)
		return rc;
	(void)steal_pointer(&path); /* the list's by now, which another thread may forget at once */
	(void)steal_pointer(&reason);
	grant.path = wish->path; /* which stays as long as the caller wants */
	grant.reason = wish->reason;
	*ret_grant = grant;
	return 0;
}

static int take_back(Gate *gate, uint64_t number, int64_t now, const struct actor *actor) {
	struct grants *g = gate->grants;
	Meta *m = store_meta(gate->store);
	size_t at = 0;
	char key[KEY_BYTES];
	while (at < g->count && (g->kept[at].number != number || g->kept[at].until_ns <= now))
		at++;
	if (at == g->count)
		return fault(ENOENT, "there is no such grant, or it has ended ('assayfs grant --list' shows them)");
	key_of(number, key);
	meta_begin(m);
	int rc = meta_kv_remove(m, key);
	if (rc >= 0)
		rc = record(m, &g->kept[at], "grant-revoke", actor);
	rc = meta_end(m, rc);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&g->lock);
	forget(g, at);
	pthread_mutex_unlock(&g->lock);
	return 0;
}

int gate_grant_revoke(Gate *gate, uint64_t number, const struct actor *actor) {
	pthread_mutex_lock(&gate->grants->changing);
	int rc = take_back(gate, number, gate_grant_now(gate), actor);
	pthread_mutex_unlock(&gate->grants->changing);
	return rc;
}

/* ---- asking ---- */

int gate_grants(Gate *gate, gate_grant_fn *each, void *arg) {
	struct grants *g = gate->grants;
	int64_t clock = meta_now(store_meta(gate->store));
	int rc = 0;
	pthread_mutex_lock(&g->lock);
	int64_t now = g->count ? now_of(g, clock) : 0;
	for (size_t i = 0; i < g->count && rc == 0; i++)
		if (g->kept[i].until_ns > now)
			rc = each(arg, &g->kept[i]);
	pthread_mutex_unlock(&g->lock);
	return rc;
}

struct lending {
	uint32_t uid;
	enum policy_role role;
	const char *path;
	enum policy_reach reach;
	unsigned roles;
	uint64_t number;
	int64_t until_ns;
};

static int take_roles(void *arg, const struct grant *grant) {
	struct lending *lending = arg;
	if (grant->uid == lending->uid && grant->role < ROLE_COUNT)
		lending->roles |= 1u << grant->role;
	return 0;
}

unsigned gate_lent_roles(Gate *gate, uint32_t uid) {
	struct lending lending = {.uid = uid};
	(void)gate_grants(gate, take_roles, &lending);
	return lending.roles;
}

/* Of several the one that lasts longest. */
static void take(struct lending *lending, const struct grant *grant) {
	if (grant->until_ns > lending->until_ns) {
		lending->until_ns = grant->until_ns;
		lending->number = grant->number;
	}
}

static int take_role(void *arg, const struct grant *grant) {
	struct lending *lending = arg;
	if (grant->uid == lending->uid && grant->role == lending->role)
		take(lending, grant);
	return 0;
}

uint64_t gate_lent_by(Gate *gate, uint32_t uid, enum policy_role role, int64_t *ret_until_ns) {
	struct lending lending = {.uid = uid, .role = role};
	(void)gate_grants(gate, take_role, &lending);
	*ret_until_ns = lending.until_ns;
	return lending.number;
}

static int take_path(void *arg, const struct grant *grant) {
	struct lending *lending = arg;
	if (grant->uid != lending->uid || grant->role < ROLE_COUNT)
		return 0;
	bool covers = tree_path_is_within(lending->path, bytes_of_string(grant->path));
	bool leads = lending->reach == POLICY_REACH_SEARCH &&
	             tree_path_is_within(grant->path, bytes_of_string(lending->path));
	if ((covers || leads) && (grant->write || !policy_reach_writes(lending->reach)))
		take(lending, grant);
	return 0;
}

uint64_t gate_lent_path(Gate *gate, uint32_t uid, const char *path, enum policy_reach reach, int64_t *ret_until_ns) {
	struct lending lending = {.uid = uid, .path = path, .reach = reach};
	(void)gate_grants(gate, take_path, &lending);
	*ret_until_ns = lending.until_ns;
	return lending.number;
}

static int stop_at_any(void *arg, const struct grant *grant) {
	(void)arg;
	(void)grant;
	return 1;
}

bool gate_lends(Gate *gate) {
	return gate_grants(gate, stop_at_any, NULL) == 1;
}
