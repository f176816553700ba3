/*
 * What `assayfs access` asks: whether a user may read, write or search a path, and why.
 *
 *     the root ─► search? ─► Trusted ─► search? ─► animals ─► search? ─► a.csv ─► read? write? execute?
 *                                       the first that says no ends it: what lies behind is not told
 *
 * Each question is put to access_check and roles_permit, which the mount asks; here is only who is asked about, and
 * what is said of the answers.
 */
#include "fs/service/internal.h"

#include "backend/acl.h"
#include "crypto/base/fault.h"
#include "crypto/base/utc.h"
#include "fs/access.h"
#include "fs/roles.h"
#include "fs/virtual.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WHY_BYTES 640
#define GROUPS_MOST 65536

/* Who is asked about, and the question that is asked now. */
struct inquiry {
	Service *service;
	struct gate_member member;
	bool is_mounter;
	bool has_roles;
	char name[256];
	const char *path; /* of what is asked for, with its zone */
	struct gate_permit permit;
	bool role_denied;
	struct acl acl;
};

struct verdict_on {
	bool allowed;
	char why[WHY_BYTES];
};

/* ---- the questions, as the mount puts them ---- */

static bool permits(void *arg, const struct node *node, struct bytes name, enum policy_reach reach) {
	struct inquiry *q = arg;
	const struct gate_wish wish = {.zone = node->zone, .reach = reach, .path = q->path};
	(void)name; /* it is in the path */
	bool allowed = roles_permit(q->service->gate, &q->member, &wish, &q->permit);
	q->role_denied = q->role_denied || !allowed;
	return allowed;
}

static bool is_in_group(void *arg, uint32_t gid) {
	const struct gate_member *member = &((struct inquiry *)arg)->member;
	for (size_t i = 0; i < member->group_count; i++)
		if (member->groups[i] == gid)
			return true;
	return false;
}

static int find_acl(void *arg, const struct node *node, const struct acl **ret) {
	struct inquiry *q = arg;
	*ret = &q->acl;
	return acl_get(q->service->meta, node, ACL_TYPE_ACCESS, &q->acl);
}

static struct access_subject subject_of(struct inquiry *q) {
	return (struct access_subject){.uid = q->member.uid,
	        .gid = q->member.gid,
	        .in_group = is_in_group,
	        .acl = find_acl,
	        .permits = permits,
	        .arg = q};
}

/* ---- why ---- */

/* By what role or grant; "" where none is asked for. */
static void role_words(const struct inquiry *q, char words[static 200]) {
	char grant[ROLES_WORDS_BYTES], until[UTC_TEXT_BYTES];
	const struct gate_permit *permit = &q->permit;
	const char *role = permit->role < ROLE_COUNT ? policy_role_name(permit->role) : NULL;
	words[0] = '\0';
	if (*roles_grant_words(permit, grant) && role)
		snprintf(words, 200, "role %s, lent %s until %s", role, grant, utc_words(permit->until_ns, until));
	else if (*grant)
		snprintf(words, 200, "%s until %s", grant, utc_words(permit->until_ns, until));
	else if (role)
		snprintf(words, 200, "role %s", role);
	else if (!q->has_roles)
		snprintf(words, 200, "the policy names no roles");
}

/* Which roles would do, for who has none of them. */
static void list_roles(const Policy *policy, enum policy_place place, enum policy_access access, bool held_only,
        const struct policy_actor *actor, char *words, size_t size) {
	size_t used = 0;
	words[0] = '\0';
	for (enum policy_role role = 0; role < ROLE_COUNT; role++) {
		const struct policy_actor bearer = {.uid = (uid_t)-1, .gid = (gid_t)-1, .lent = 1u << role};
		bool listed = held_only ? policy_role_holds(policy, role, actor)
		                        : policy_permits(policy, place, access, &bearer);
		if (listed && used < size)
			used += (size_t)snprintf(
			        words + used, size - used, "%s%s", used ? ", " : "", policy_role_name(role));
	}
}

static void say_no_role(const struct inquiry *q, enum policy_place place, unsigned mask, char why[static WHY_BYTES]) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(q->service->gate);
	const struct policy_actor actor = {.uid = q->member.uid,
	        .gid = q->member.gid,
	        .groups = q->member.groups,
	        .group_count = q->member.group_count,
	        .lent = gate_lent_roles(q->service->gate, q->member.uid)};
	char would[100], holds[100];
	list_roles(held->policy, place, mask & ACCESS_WRITE ? POLICY_WRITE : POLICY_READ, false, NULL, would,
	        sizeof would);
	list_roles(held->policy, place, POLICY_READ, true, &actor, holds, sizeof holds);
	snprintf(why, WHY_BYTES, "no role lets him, nor does a grant (his roles: %s; it takes: %s)",
	        *holds ? holds : "none", *would ? would : "none");
}

/* Which of the node's bits speak for him. */
static const char *class_of(struct inquiry *q, const struct node *node) {
	const struct acl *acl;
	const struct access_subject who = subject_of(q);
	if (who.uid == 0)
		return "for root";
	if (who.uid == node->uid)
		return "for its owner";
	if (node->xattrs > 0 && find_acl(q, node, &acl) == 0)
		return "and ACL";
	return access_in_group(&who, node->gid) ? "for its group" : "for others";
}

static void say(struct inquiry *q, const struct node *node, unsigned mask, struct verdict_on *v) {
	char role[200];
	if (!v->allowed && q->role_denied) {
		say_no_role(q, roles_place_of(node->zone), mask, v->why);
		return;
	}
	role_words(q, role);
	snprintf(v->why, sizeof v->why, "%s%s%smode %04o %s (owner %" PRIu32 ", group %" PRIu32 ")", role,
	        *role ? "; " : "", v->allowed ? "" : "refused by ", node->mode & 07777, class_of(q, node), node->uid,
	        node->gid);
}

/* Whether he may do that with the node, or (a name that is not empty) with what has the name in it; and why. */
static struct verdict_on judge(
        struct inquiry *q, const struct node *node, struct bytes name, const char *path, unsigned mask) {
	struct verdict_on v = {0};
	const struct access_subject who = subject_of(q);
	q->path = path;
	q->role_denied = false;
	q->permit = (struct gate_permit){.role = ROLE_COUNT};
	v.allowed = access_check_name(&who, node, name, mask) == 0;
	say(q, node, mask, &v);
	return v;
}

/* ---- who is asked about ---- */

/* As the account tables have him; of a number without an account nothing more is known. */
static int look_up_groups(const struct passwd *account, gid_t **ret_groups, size_t *ret_count) {
	int count = 64;
	gid_t *groups = NULL;
	for (;;) {
		gid_t *grown = realloc(groups, (size_t)count * sizeof *groups);
		if (!grown) {
			free(groups);
			return fault(ENOMEM, "asking for the user's groups: out of memory");
		}
		groups = grown;
		int room = count;
		if (getgrouplist(account->pw_name, account->pw_gid, groups, &count) >= 0)
			break;
		if (count <= room || count > GROUPS_MOST) {
			free(groups);
			return fault(E2BIG, "the user is in more than %d groups", GROUPS_MOST);
		}
	}
	*ret_groups = groups;
	*ret_count = (size_t)count;
	return 0;
}

static int find_user(struct inquiry *q, uid_t uid, gid_t **ret_groups) {
	_cleanup_(freep) char *memory = malloc(65536);
	struct passwd account, *found = NULL;
	if (!memory)
		return fault(ENOMEM, "asking for the user: out of memory");
	q->member = (struct gate_member){.uid = uid, .gid = (gid_t)-1};
	if (getpwuid_r(uid, &account, memory, 65536, &found) != 0 || !found)
		return 0;
	snprintf(q->name, sizeof q->name, "%s", account.pw_name);
	q->member.gid = account.pw_gid;
	int rc = look_up_groups(&account, ret_groups, &q->member.group_count);
	q->member.groups = *ret_groups;
	return rc;
}

static void be_oneself(struct inquiry *q, const struct control_peer *peer) {
	_cleanup_(freep) char *memory = malloc(4096);
	q->member = (struct gate_member){
	        .uid = peer->uid, .gid = peer->gid, .groups = peer->groups, .group_count = peer->group_count};
	snprintf(q->name, sizeof q->name, "%s", memory ? service_user_name(peer->uid, memory, 4096) : "");
}

/* ---- the answer ---- */

static json_t *verdict_json(const struct verdict_on *v) {
	return json_pack("{s:b, s:s}", "allowed", (int)v->allowed, "why", v->why);
}

static json_t *answer_json(const struct inquiry *q, const char *path) {
	json_t *groups = json_array();
	for (size_t i = 0; groups && i < q->member.group_count; i++)
		json_array_append_new(groups, json_integer((json_int_t)q->member.groups[i]));
	return json_pack("{s:o, s:I, s:s, s:I, s:o}", "path", wire_path(path), "uid", (json_int_t)q->member.uid, "user",
	        q->name, "gid", q->member.gid == (gid_t)-1 ? (json_int_t)-1 : (json_int_t)q->member.gid, "groups",
	        groups);
}

static void add_all(json_t *item, const struct verdict_on *v) {
	json_object_set_new(item, "read", verdict_json(v));
	json_object_set_new(item, "write", verdict_json(v));
	json_object_set_new(item, "search", verdict_json(v));
}

/* What stops him on the way stops all three. */
static void add_stop(json_t *item, const char *at, struct verdict_on *v) {
	json_object_set_new(item, "stopped_at", wire_path(at));
	v->allowed = false;
	add_all(item, v);
}

static struct verdict_on judge_writing(struct inquiry *q, const struct node *node, const char *path) {
	struct verdict_on v = judge(q, node, (struct bytes){0}, path, ACCESS_WRITE);
	const char *more = node->zone == ZONE_TRUSTED ? "; what is written is checked first" : "";
	if (node->zone == ZONE_NONE || node->zone == ZONE_RAW) {
		v.allowed = false;
		snprintf(v.why, sizeof v.why, "%s", node->zone ? "nobody changes what is in Raw" : "the root is fixed");
	} else if (q->service->refuses_changes) {
		v.allowed = false;
		snprintf(v.why, sizeof v.why, "the vault is mounted read-only");
	} else if (v.allowed) {
		size_t used = strlen(v.why);
		snprintf(v.why + used, sizeof v.why - used, "%s", more);
	}
	return v;
}

static void add_node(struct inquiry *q, const struct node *node, const char *path, json_t *item) {
	struct verdict_on reads = judge(q, node, (struct bytes){0}, path, ACCESS_READ);
	struct verdict_on writes = judge_writing(q, node, path);
	struct verdict_on searches = judge(q, node, (struct bytes){0}, path, ACCESS_EXEC);
	json_object_set_new(item, "is_directory", json_boolean(S_ISDIR(node->mode)));
	json_object_set_new(item, "read", verdict_json(&reads));
	json_object_set_new(item, "write", verdict_json(&writes));
	json_object_set_new(item, "search", verdict_json(&searches));
}

/* Nothing stands there: whether it may be made. */
static void add_missing(struct inquiry *q, const struct node *dir, struct bytes name, const char *path, json_t *item) {
	struct verdict_on v = {.why = "nothing has this name"};
	add_all(item, &v);
	v = judge(q, dir, name, path, ACCESS_WRITE | ACCESS_EXEC);
	if (dir->zone == ZONE_NONE || dir->zone == ZONE_RAW)
		v = (struct verdict_on){.why = "nobody makes files there"};
	json_object_set_new(item, "write", verdict_json(&v));
	json_object_set_new(item, "missing", json_true());
}

/* In an operation. */
static int walk(struct inquiry *q, const char *path, json_t *item) {
	struct node node;
	char here[WIRE_PATH_MAX] = "", next[WIRE_PATH_MAX];
	int rc = tree_get(q->service->meta, NODE_ROOT, &node);
	for (const char *at = path; rc == 0 && *at;) {
		struct bytes name = bytes_of(at, strcspn(at, "/"));
		at += name.size;
		snprintf(next, sizeof next, "%.*s", (int)(at - path), path);
		at += *at == '/';
		if (!S_ISDIR(node.mode)) {
			struct verdict_on v = {.why = "it is no directory"};
			add_stop(item, here, &v);
			return 0;
		}
		struct verdict_on v = judge(q, &node, name, next, ACCESS_EXEC);
		if (!v.allowed) {
			add_stop(item, *here ? here : ".", &v);
			return 0;
		}
		struct node dir = node;
		rc = tree_lookup(q->service->meta, dir.id, name, &node);
		if (rc == -ENOENT) {
			bool is_last = !*at;
			struct verdict_on none = {.why = "nothing has this name"};
			if (is_last)
				add_missing(q, &dir, name, next, item);
			else
				add_stop(item, next, &none);
			return 0;
		}
		memcpy(here, next, sizeof here);
	}
	if (rc == 0)
		add_node(q, &node, path, item);
	return rc;
}

/* The log, quarantine and the policy lie in no zone: a role is all that counts. */
static int ask_place(struct inquiry *q, const char *path, json_t *item) {
	const char *below = path + strlen(VIRTUAL_ROOT_NAME);
	enum policy_place place = *below == '/' ? virtual_place(below + 1) : PLACE_COUNT;
	struct verdict_on v = {0};
	char role[200];
	if (place == PLACE_COUNT)
		return fault(EINVAL,
		        "ask about the path itself: in " VIRTUAL_ROOT_NAME " versions, verdicts and the tree "
		        "as it was follow it; audit, quarantine and policy have an answer of their own");
	q->permit = (struct gate_permit){.role = ROLE_COUNT};
	v.allowed = q->has_roles ? roles_permit_place(q->service->gate, &q->member, place, POLICY_READ, &q->permit)
	                         : q->is_mounter;
	role_words(q, role);
	if (v.allowed)
		snprintf(v.why, sizeof v.why, "%s%s", role, q->has_roles ? "" : ": it is for who mounted");
	else if (q->has_roles)
		say_no_role(q, place, ACCESS_READ, v.why);
	else
		snprintf(v.why, sizeof v.why, "%s: it is for who mounted", role);
	add_all(item, &v);
	v = (struct verdict_on){.why = "nobody writes there"};
	json_object_set_new(item, "write", verdict_json(&v));
	return 0;
}

/* Oneself about oneself; about others who reads the log. */
static int may_ask(Service *service, const struct control_peer *peer, uid_t uid, const char *path) {
	return uid == peer->uid ? 0 : service_require(service, peer, PLACE_AUDIT, POLICY_READ, "access", path);
}

int service_access(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	char path[WIRE_PATH_MAX];
	_cleanup_(freep) gid_t *groups = NULL;
	_cleanup_(freep) struct inquiry *q = calloc(1, sizeof *q);
	uid_t uid = 0;
	int rc = q ? service_path(arguments, path) : fault(ENOMEM, "explaining: out of memory");
	if (!rc)
		rc = service_uid(arguments, peer->uid, &uid);
	if (!rc)
		rc = may_ask(service, peer, uid, path);
	if (rc)
		return rc;
	q->service = service;
	q->is_mounter = uid == service->mounter;
	q->has_roles = roles_are_named(service->gate);
	if (json_object_get(arguments, "uid"))
		rc = find_user(q, uid, &groups);
	else
		be_oneself(q, peer);
	_cleanup_(json_decrefp) json_t *item = rc ? NULL : answer_json(q, path);
	if (!rc && !item)
		rc = fault(ENOMEM, "explaining: out of memory");
	if (rc)
		return rc;
	bool is_virtual = strncmp(path, VIRTUAL_ROOT_NAME, strlen(VIRTUAL_ROOT_NAME)) == 0 &&
	                  (path[strlen(VIRTUAL_ROOT_NAME)] == '/' || !path[strlen(VIRTUAL_ROOT_NAME)]);
	if (is_virtual) {
		rc = ask_place(q, path, item);
	} else {
		meta_begin(service->meta);
		rc = meta_end(service->meta, walk(q, path, item));
	}
	return rc ? rc : control_send(reply, json_incref(item));
}
