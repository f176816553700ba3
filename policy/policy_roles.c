/* Who may do what: the roles of the policy document, and the ids that their names had when it was applied. */
#include "policy/policy_read.h"

#include "crypto/base/fault.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const role_names[ROLE_COUNT] = {"steward", "ingester", "analyst", "auditor"};

const char *policy_role_name(enum policy_role role) {
	return (unsigned)role < ROLE_COUNT ? role_names[role] : "?";
}

enum policy_role policy_role_named(const char *name) {
	enum policy_role role = 0;
	while (role < ROLE_COUNT && strcmp(role_names[role], name) != 0)
		role++;
	return role;
}

/* ---- reading ---- */

/* A name of digits is an id; account names can't be. */
static bool id_of_digits(const char *name, uint32_t *ret_id) {
	size_t digits = strspn(name, "0123456789");
	if (digits == 0 || digits > 10 || name[digits] != '\0')
		return false;
	unsigned long long id = strtoull(name, NULL, 10);
	if (id >= UINT32_MAX) /* (uid_t)-1 is nobody's */
		return false;
	*ret_id = (uint32_t)id;
	return true;
}

static int add_members(
        struct reading *r, const Node *value, const char *what, bool is_group, struct role_members *role) {
	const char *const *names;
	size_t count;
	int rc = read_texts(r, value, what, &names, &count);
	if (rc < 0)
		return rc;
	struct role_member *grown = arena_take(&r->policy->memory, role->count + count + 1, sizeof *grown);
	if (!grown)
		return read_no_memory();
	if (role->count > 0)
		memcpy(grown, role->members, role->count * sizeof *grown);
	for (size_t i = 0; i < count; i++) {
		const Node *at = value->kind == TREE_LIST ? value->values[i] : value;
		struct role_member *member = &grown[role->count + i];
		*member = (struct role_member){.name = names[i], .line = at->line, .is_group = is_group};
		member->is_resolved = id_of_digits(names[i], &member->id);
		if (strpbrk(names[i], " \t\r\n:"))
			return read_complain(at, "'%s: %.60s' can't be an account's name", what, names[i]);
	}
	role->members = grown;
	role->count += count;
	return 0;
}

int read_member_users(struct reading *r, const Node *value, void *target) {
	return add_members(r, value, "users", false, target);
}

int read_member_groups(struct reading *r, const Node *value, void *target) {
	return add_members(r, value, "groups", true, target);
}

static const struct field member_fields[] = {
        {"users", read_member_users, false}, {"groups", read_member_groups, false}};

static int read_role(struct reading *r, const Node *value, enum policy_role which) {
	return read_fields(r, value, "a role", member_fields, COUNT(member_fields), &r->policy->roles[which]);
}

int read_break_glass(struct reading *r, const Node *value, void *target) {
	(void)target;
	if (!r->policy->has_roles)
		return read_complain(value, "'break_glass' without 'roles': who mounts holds all roles as long as none "
		                            "is named, so there is none to take; name roles, or leave it out");
	return read_fields(r, value, "'break_glass'", member_fields, COUNT(member_fields), &r->policy->break_glass);
}

static int read_steward(struct reading *r, const Node *value, void *target) {
	(void)target;
	return read_role(r, value, ROLE_STEWARD);
}

static int read_ingester(struct reading *r, const Node *value, void *target) {
	(void)target;
	return read_role(r, value, ROLE_INGESTER);
}

static int read_analyst(struct reading *r, const Node *value, void *target) {
	(void)target;
	return read_role(r, value, ROLE_ANALYST);
}

static int read_auditor(struct reading *r, const Node *value, void *target) {
	(void)target;
	return read_role(r, value, ROLE_AUDITOR);
}

int read_roles(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {{"steward", read_steward, false}, {"ingester", read_ingester, false},
	        {"analyst", read_analyst, false}, {"auditor", read_auditor, false}};
	int rc = read_fields(r, value, "'roles'", fields, COUNT(fields), target);
	if (rc < 0)
		return rc;
	if (r->policy->roles[ROLE_STEWARD].count == 0)
		return read_complain(value, "'roles' without a steward: nobody could change the policy again; add "
		                            "'steward: {users: [...]}'");
	r->policy->has_roles = true;
	return 0;
}

/* ---- names to ids ---- */

/* Room for an entry of the account tables: a group brings all its members' names along. */
#define LOOKUP_BYTES (1u << 20)

static int look_up(const struct role_member *member, uint32_t *ret_id) {
	_cleanup_(freep) char *buffer = malloc(LOOKUP_BYTES);
	struct passwd user, *found_user = NULL;
	struct group group, *found_group = NULL;
	if (!buffer)
		return read_no_memory();
	int error = member->is_group ? getgrnam_r(member->name, &group, buffer, LOOKUP_BYTES, &found_group)
	                             : getpwnam_r(member->name, &user, buffer, LOOKUP_BYTES, &found_user);
	if (error != 0 && error != ENOENT && error != ESRCH)
		return fault_errno(error, BUNDLE_POLICY ":%u: looking up %s '%.60s'", member->line,
		        member->is_group ? "group" : "user", member->name);
	if (!found_user && !found_group)
		return fault(EINVAL,
		        BUNDLE_POLICY ":%u: this machine has no %s '%.60s'; write an existing one, or its number",
		        member->line, member->is_group ? "group" : "user", member->name);
	*ret_id = member->is_group ? found_group->gr_gid : found_user->pw_uid;
	return 0;
}

static int write_member(FILE *to, const struct role_member *member) {
	uint32_t id = member->id;
	if (id_of_digits(member->name, &id))
		return 0;
	int rc = look_up(member, &id);
	if (rc < 0)
		return rc;
	return fprintf(to, "%s %s %u\n", member->is_group ? "group" : "user", member->name, id) < 0 ? read_no_memory()
	                                                                                            : 0;
}

/* The i-th list of members: of the roles, of break_glass, of the grants; NULL past the last. */
static const struct role_members *members_at(const Policy *policy, size_t i) {
	if (i < ROLE_COUNT)
		return &policy->roles[i];
	if (i == ROLE_COUNT)
		return &policy->break_glass;
	i -= ROLE_COUNT + 1;
	return i < policy->grant_count ? &policy->grantees[i] : NULL;
}

/* Whether an earlier member of the same name was written already. */
static bool is_written(const Policy *policy, size_t list, size_t at) {
	const struct role_members *own = members_at(policy, list), *others;
	if (!own)
		return false;
	const struct role_member *member = &own->members[at];
	for (size_t i = ROLE_COUNT; i <= list && (others = members_at(policy, i)); i++)
		for (size_t k = 0; k < others->count && (i < list || k < at); k++)
			if (others->members[k].is_group == member->is_group &&
			        strcmp(others->members[k].name, member->name) == 0)
				return true;
	return false;
}

int policy_resolve_roles(const Policy *policy, PolicyBundle *bundle) {
	if (!policy->has_roles)
		return 0;
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	if (!to)
		return read_no_memory();
	int rc = 0;
	const struct role_members *list;
	for (size_t at = 0; rc == 0 && (list = members_at(policy, at)); at++)
		for (size_t i = 0; rc == 0 && i < list->count; i++)
			if (!is_written(policy, at, i))
				rc = write_member(to, &list->members[i]);
	if (fclose(to) != 0 && rc == 0)
		rc = read_no_memory();
	return rc < 0 ? rc : policy_bundle_put(bundle, BUNDLE_IDS, bytes_of(text, size));
}

static void give_id(Policy *policy, bool is_group, const char *name, uint32_t id) {
	const struct role_members *list;
	for (size_t at = 0; (list = members_at(policy, at)); at++)
		for (size_t i = 0; i < list->count; i++) {
			struct role_member *member = &list->members[i];
			if (member->is_group == is_group && strcmp(member->name, name) == 0) {
				member->id = id;
				member->is_resolved = true;
			}
		}
}

static int read_id_line(Policy *policy, char *line, unsigned number) {
	char *rest = NULL;
	const char *kind = strtok_r(line, " ", &rest);
	const char *name = strtok_r(NULL, " ", &rest);
	const char *digits = strtok_r(NULL, " ", &rest);
	bool is_group = kind && strcmp(kind, "group") == 0;
	uint32_t id;
	if (!kind || (!is_group && strcmp(kind, "user") != 0) || !name || !digits || !id_of_digits(digits, &id) ||
	        strtok_r(NULL, " ", &rest))
		return fault(EINVAL, BUNDLE_IDS ":%u: a line is 'user NAME ID' or 'group NAME ID'", number);
	give_id(policy, is_group, name, id);
	return 0;
}

int read_role_ids(Policy *policy, const PolicyBundle *bundle) {
	struct bytes ids;
	int rc = policy_bundle_get(bundle, BUNDLE_IDS, &ids);
	if (rc == -ENOENT) {
		fault_clear();
		return 0;
	}
	if (rc < 0 || utf8_valid_prefix((const char *)ids.data, ids.size) < ids.size)
		return rc < 0 ? rc : fault(EINVAL, BUNDLE_IDS ": this is no text");
	_cleanup_(freep) char *text = strndup((const char *)ids.data, ids.size);
	if (!text)
		return read_no_memory();
	unsigned number = 0;
	char *rest = NULL;
	for (char *line = strtok_r(text, "\n", &rest); rc == 0 && line; line = strtok_r(NULL, "\n", &rest))
		rc = read_id_line(policy, line, ++number);
	return rc;
}

/* ---- who holds what ---- */

bool policy_has_roles(const Policy *policy) {
	return policy->has_roles;
}

static bool is_in_group(const struct policy_actor *actor, uint32_t gid) {
	if (actor->gid == gid)
		return true;
	for (size_t i = 0; i < actor->group_count; i++)
		if (actor->groups[i] == gid)
			return true;
	return false;
}

bool role_members_hold(const struct role_members *members, const struct policy_actor *actor) {
	for (size_t i = 0; i < members->count; i++) {
		const struct role_member *member = &members->members[i];
		if (!member->is_resolved)
			continue;
		if (member->is_group ? is_in_group(actor, member->id) : actor->uid == member->id)
			return true;
	}
	return false;
}

#define BIT(role) (1u << (role))

bool policy_role_holds(const Policy *policy, enum policy_role role, const struct policy_actor *actor) {
	if ((unsigned)role < ROLE_COUNT && (actor->held & BIT(role)))
		return true;
	if (!policy->has_roles)
		return actor->is_mounter;
	if ((unsigned)role >= ROLE_COUNT)
		return false;
	return (actor->lent & BIT(role)) || role_members_hold(&policy->roles[role], actor);
}

bool policy_breaks_glass(const Policy *policy, const struct policy_actor *actor) {
	return role_members_hold(&policy->break_glass, actor);
}

bool policy_permits(
        const Policy *policy, enum policy_place place, enum policy_access access, const struct policy_actor *actor) {
	enum policy_role role;
	return policy_permitting_role(policy, place, access, actor, &role);
}

bool policy_permitting_role(const Policy *policy, enum policy_place place, enum policy_access access,
        const struct policy_actor *actor, enum policy_role *ret_role) {
	static const unsigned readers[PLACE_COUNT] = {
	        [PLACE_LANDING] = BIT(ROLE_STEWARD) | BIT(ROLE_INGESTER),
	        [PLACE_RAW] = BIT(ROLE_STEWARD),
	        [PLACE_TRUSTED] = BIT(ROLE_STEWARD) | BIT(ROLE_ANALYST),
	        [PLACE_AUDIT] = BIT(ROLE_STEWARD) | BIT(ROLE_AUDITOR),
	        [PLACE_QUARANTINE] = BIT(ROLE_STEWARD),
	        [PLACE_POLICY] = BIT(ROLE_STEWARD),
	        [PLACE_KEYS] = BIT(ROLE_STEWARD),
	};
	static const unsigned writers[PLACE_COUNT] = {
	        [PLACE_LANDING] = BIT(ROLE_STEWARD) | BIT(ROLE_INGESTER),
	        [PLACE_TRUSTED] = BIT(ROLE_STEWARD),
	        [PLACE_QUARANTINE] = BIT(ROLE_STEWARD),
	        [PLACE_POLICY] = BIT(ROLE_STEWARD),
	        [PLACE_KEYS] = BIT(ROLE_STEWARD),
	};
	*ret_role = ROLE_COUNT;
	if ((unsigned)place >= PLACE_COUNT)
		return false;
	unsigned allowed = access == POLICY_WRITE ? writers[place] : readers[place];
	for (enum policy_role role = ROLE_STEWARD; role < ROLE_COUNT; role++)
		if ((allowed & BIT(role)) && policy_role_holds(policy, role, actor)) {
			*ret_role = policy->has_roles ? role : ROLE_COUNT;
			return true;
		}
	return false;
}

bool policy_role_is_given(const Policy *policy, enum policy_role role) {
	for (size_t i = 0; i < policy->roles[role].count; i++)
		if (policy->roles[role].members[i].is_resolved)
			return true;
	return false;
}
