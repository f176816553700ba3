/* What some may reach beside their roles, until a day: the grants of the policy document. */
#include "policy/policy_read.h"

#include "backend/zone.h"
#include "policy/glob.h"

#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- reading ---- */

struct reading_grant {
	struct policy_grant grant;
	struct role_members members;
};

static int read_grant_users(struct reading *r, const Node *value, void *target) {
	return read_member_users(r, value, &((struct reading_grant *)target)->members);
}

static int read_grant_groups(struct reading *r, const Node *value, void *target) {
	return read_member_groups(r, value, &((struct reading_grant *)target)->members);
}

static int read_grant_dataset(struct reading *r, const Node *value, void *target) {
	struct policy_grant *grant = &((struct reading_grant *)target)->grant;
	int rc = read_text(r, value, "dataset", &grant->dataset);
	if (rc == 0 && !policy_dataset_named(r->policy, grant->dataset))
		return read_complain(value, "there is no dataset '%.100s'", grant->dataset);
	return rc;
}

static int read_grant_path(struct reading *r, const Node *value, void *target) {
	struct policy_grant *grant = &((struct reading_grant *)target)->grant;
	int rc = read_pattern(r, value, "path", &grant->path);
	if (rc == 0 && strchr(grant->path, '/') && zone_of_path(grant->path) != ZONE_NONE)
		return 0;
	return rc < 0 ? rc
	              : read_complain(value,
	                        "'path: %.100s' must begin with Landing/, Raw/ or Trusted/, like "
	                        "\"Trusted/animals/**\"",
	                        grant->path);
}

static int read_grant_access(struct reading *r, const Node *value, void *target) {
	static const char *const words[] = {"read", "write", NULL};
	unsigned choice = 0;
	(void)r;
	int rc = read_choice(value, "access", words, &choice);
	((struct reading_grant *)target)->grant.write = choice == 1;
	return rc;
}

static int read_grant_until(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_until(value, "granted", &((struct reading_grant *)target)->grant.until_s);
}

static int read_grant_reason(struct reading *r, const Node *value, void *target) {
	return read_text(r, value, "reason", &((struct reading_grant *)target)->grant.reason);
}

static int check_grant(const Node *at, const struct reading_grant *read) {
	const struct policy_grant *grant = &read->grant;
	if (read->members.count == 0)
		return read_complain(at, "a grant needs 'users:' or 'groups:', whom it is for");
	if (!grant->dataset == !grant->path)
		return read_complain(at, "a grant needs 'dataset:' or 'path:'%s", grant->path ? ", not both" : "");
	if (grant->write && grant->path && strncmp(grant->path, "Raw/", 4) == 0)
		return read_complain(at, "nobody writes into Raw; grant 'access: read', or a path in Landing");
	return 0;
}

static int read_grant(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {{"users", read_grant_users, false}, {"groups", read_grant_groups, false},
	        {"dataset", read_grant_dataset, false}, {"path", read_grant_path, false},
	        {"access", read_grant_access, true}, {"until", read_grant_until, true},
	        {"reason", read_grant_reason, true}};
	struct reading_grant *read = target;
	read->grant.line = value->line;
	int rc = read_fields(r, value, "a grant", fields, COUNT(fields), target);
	return rc < 0 ? rc : check_grant(value, read);
}

int read_grants(struct reading *r, const Node *value, void *target) {
	void *items = NULL;
	size_t count = 0;
	(void)target;
	if (!r->policy->has_roles)
		return read_complain(value,
		        "'grants' without 'roles': as long as no roles are named, mode bits alone say "
		        "who reaches what; name roles, or leave the grants out");
	int rc = read_list_of(r, value, "'grants'", sizeof(struct reading_grant), read_grant, &items, &count);
	if (rc == 0 && count > POLICY_GRANTS_MAX)
		rc = read_complain(value, "'grants' has more than %d", POLICY_GRANTS_MAX);
	if (rc < 0)
		return rc;
	const struct reading_grant *read = items;
	r->policy->grants = arena_take(&r->policy->memory, count + 1, sizeof *r->policy->grants);
	r->policy->grantees = arena_take(&r->policy->memory, count + 1, sizeof *r->policy->grantees);
	if (!r->policy->grants || !r->policy->grantees)
		return read_no_memory();
	for (size_t i = 0; i < count; i++) {
		r->policy->grants[i] = read[i].grant;
		r->policy->grantees[i] = read[i].members;
	}
	r->policy->grant_count = count;
	return 0;
}

/* ---- what they give ---- */

size_t policy_grant_count(const Policy *policy) {
	return policy->grant_count;
}

const struct policy_grant *policy_grant(const Policy *policy, size_t i) {
	return i < policy->grant_count ? &policy->grants[i] : NULL;
}

bool policy_grant_is_of(const Policy *policy, size_t i, const struct policy_actor *actor) {
	return i < policy->grant_count && role_members_hold(&policy->grantees[i], actor);
}

const char *policy_grant_words(const Policy *policy, size_t i, char ret_words[static POLICY_GRANTEES_BYTES]) {
	size_t used = 0;
	ret_words[0] = '\0';
	for (size_t k = 0; i < policy->grant_count && k < policy->grantees[i].count; k++) {
		const struct role_member *member = &policy->grantees[i].members[k];
		if (used < POLICY_GRANTEES_BYTES)
			used += (size_t)snprintf(ret_words + used, POLICY_GRANTEES_BYTES - used, "%s%s%s",
			        k > 0 ? ", " : "", member->is_group ? "group " : "", member->name);
	}
	return ret_words;
}

/* Whether the pattern takes every name in the directory: then these are no secret to who has it. */
static bool takes_all_names(const char *pattern, const char *dir) {
	char above[GLOB_PATTERN_MAX + 1];
	const char *slash = strrchr(pattern, '/');
	size_t length = slash ? (size_t)(slash - pattern) : 0;
	if (!slash || length >= sizeof above)
		return false;
	memcpy(above, pattern, length);
	above[length] = '\0';
	if (strcmp(slash, "/**") == 0)
		return glob_match(above, dir) || glob_match(pattern, dir);
	return strcmp(slash, "/*") == 0 && glob_match(above, dir);
}

/* Whether the pattern takes all that is or may come below the directory. A pattern that does so without `**` at its end
 * is taken not to. */
static bool takes_all_below(const char *pattern, const char *dir) {
	const char *slash = strrchr(pattern, '/');
	return slash && strcmp(slash, "/**") == 0 && takes_all_names(pattern, dir);
}

static bool pattern_gives(const char *pattern, const char *path, enum policy_reach reach) {
	switch (reach) {
	case POLICY_REACH_LIST:
		return takes_all_names(pattern, path);
	case POLICY_REACH_SEARCH:
		return glob_match(pattern, path) || glob_reaches_below(pattern, path);
	case POLICY_REACH_BELOW:
		return takes_all_below(pattern, path);
	case POLICY_REACH_READ:
	case POLICY_REACH_WRITE:
		break;
	}
	return glob_match(pattern, path);
}

/* Whether files of a dataset that comes first may stand below the directory. */
static bool is_shared(const Policy *policy, const struct policy_dataset *dataset, const char *below) {
	for (size_t i = 0; policy_dataset(policy, i) != dataset; i++)
		if (glob_reaches_below(policy_dataset(policy, i)->match, below))
			return true;
	return false;
}

/* A dataset's files stand in Trusted; the first whose pattern fits has the file, so another's are not in its grant. */
static bool dataset_gives(const Policy *policy, const char *name, const char *path, enum policy_reach reach) {
	static const char zone[] = "Trusted/";
	const struct policy_dataset *dataset = policy_dataset_named(policy, name);
	if (strcmp(path, "Trusted") == 0)
		return reach == POLICY_REACH_SEARCH;
	if (!dataset || strncmp(path, zone, strlen(zone)) != 0)
		return false;
	const char *below = path + strlen(zone);
	if (reach == POLICY_REACH_LIST)
		return takes_all_names(dataset->match, below) && !is_shared(policy, dataset, below);
	if (reach == POLICY_REACH_BELOW)
		return takes_all_below(dataset->match, below) && !is_shared(policy, dataset, below);
	if (reach == POLICY_REACH_SEARCH && glob_reaches_below(dataset->match, below))
		return true;
	return policy_dataset_for(policy, below) == dataset;
}

const struct policy_grant *policy_granted(const Policy *policy, const struct policy_actor *actor, const char *path,
        enum policy_reach reach, int64_t now_s) {
	for (size_t i = 0; i < policy->grant_count; i++) {
		const struct policy_grant *grant = &policy->grants[i];
		if (grant->until_s <= now_s || (policy_reach_writes(reach) && !grant->write) ||
		        !role_members_hold(&policy->grantees[i], actor))
			continue;
		if (grant->dataset ? dataset_gives(policy, grant->dataset, path, reach)
		                   : pattern_gives(grant->path, path, reach))
			return grant;
	}
	return NULL;
}

void policy_grants_ended(const Policy *policy, int64_t now_s, policy_ended_fn *each, void *context) {
	for (size_t i = 0; i < policy->grant_count; i++) {
		const struct policy_grant *grant = &policy->grants[i];
		char day[DAY_BYTES], words[512];
		if (grant->until_s > now_s)
			continue;
		(void)snprintf(words, sizeof words, BUNDLE_POLICY ":%u: the grant of %.200s ended %s", grant->line,
		        grant->dataset ? grant->dataset : grant->path, policy_day_before(grant->until_s, day));
		each(context, words);
	}
}
