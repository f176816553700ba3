#include "policy/policy.h"

#include "crypto/base/fault.h"
#include "policy/glob.h"
#include "policy/policy_read.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A name less near than this is no hint: it would only puzzle. */
#define CLOSE_ENOUGH 400

/* Names that editors, office programs, browsers and rsync write on the way to the real one. */
static const char *const always_ignored[] = {
        ".~lock.*#",    /* LibreOffice's lock */
        ".*.sw?",       /* vim's swap file */
        "4913",         /* vim trying whether it may write here */
        "*~",           /* backups of editors */
        "~$*",          /* Microsoft Office's owner file */
        "*.part",       /* Firefox, curl, KDE */
        "*.crdownload", /* Chromium */
        ".*.??????",    /* rsync: .NAME.XXXXXX */
};

/* ---- the document ---- */

static int read_version(struct reading *r, const Node *value, void *target) {
	(void)target;
	unsigned version = 0;
	int rc = read_number(value, "version", 1000, &version);
	if (rc == 0 && version != 1)
		return read_complain(value, "this assayfs reads 'version: 1', not %u", version);
	r->has_version = rc == 0;
	return rc;
}

static int read_datasets(struct reading *r, const Node *value, void *target) {
	(void)target;
	void *items = NULL;
	int rc = read_list_of(
	        r, value, "'datasets'", sizeof(struct policy_dataset), read_dataset, &items, &r->policy->dataset_count);
	r->policy->datasets = items;
	for (size_t i = 0; rc == 0 && i < r->policy->dataset_count; i++)
		for (size_t j = 0; rc == 0 && j < i; j++)
			if (strcmp(r->policy->datasets[i].name, r->policy->datasets[j].name) == 0)
				rc = read_complain(value->values[i], "a dataset is called '%.100s' already in line %u",
				        r->policy->datasets[i].name, r->policy->datasets[j].line);
	return rc;
}

static int read_workflows(struct reading *r, const Node *value, void *target) {
	(void)target;
	void *items = NULL;
	int rc = read_list_of(r, value, "'workflows'", sizeof(struct policy_workflow), read_workflow, &items,
	        &r->policy->workflow_count);
	r->policy->workflows = items;
	return rc < 0 ? rc : read_check_workflows(r->policy);
}

static int read_alarms(struct reading *r, const Node *value, void *target) {
	(void)target;
	void *items = NULL;
	int rc = read_list_of(
	        r, value, "'alarms'", sizeof(struct policy_alarm), read_alarm, &items, &r->policy->alarm_count);
	r->policy->alarms = items;
	if (rc == 0 && r->policy->alarm_count > POLICY_ALARMS_MAX)
		return read_complain(value, "a policy has at most %u alarms", POLICY_ALARMS_MAX);
	for (size_t i = 0; rc == 0 && i < r->policy->alarm_count; i++)
		for (size_t j = 0; rc == 0 && j < i; j++)
			if (strcmp(r->policy->alarms[i].name, r->policy->alarms[j].name) == 0)
				rc = read_complain(value->values[i], "an alarm is called '%.100s' already in line %u",
				        r->policy->alarms[i].name, r->policy->alarms[j].line);
	return rc;
}

static int read_ignore(struct reading *r, const Node *value, void *target) {
	(void)target;
	if (value->kind != TREE_LIST)
		return read_complain(value, "'ignore' is a list of patterns, like [\"*.tmp\"]");
	const char **patterns = arena_take(&r->policy->memory, value->count + 1, sizeof *patterns);
	if (!patterns)
		return read_no_memory();
	for (size_t i = 0; i < value->count; i++) {
		int rc = read_pattern(r, value->values[i], "ignore", &patterns[i]);
		if (rc < 0)
			return rc;
	}
	r->policy->ignore = patterns;
	r->policy->ignore_count = value->count;
	return 0;
}

static int read_document(struct reading *r, const Node *root) {
	static const struct field fields[] = {
	        {"version", read_version, true},
	        {"datasets", read_datasets, false},
	        {"workflows", read_workflows, false},
	        {"keys", read_keys, false},
	        {"roles", read_roles, false},
	        {"grants", read_grants, false},
	        {"break_glass", read_break_glass, false},
	        {"lifecycle", read_lifecycle, false},
	        {"compression", read_compression, false},
	        {"audit", read_audit, false},
	        {"costs", read_costs, false},
	        {"mail", read_mail, false},
	        {"alarms", read_alarms, false},
	        {"ignore", read_ignore, false},
	};
	if (!root)
		return fault(EINVAL, BUNDLE_POLICY ":1:1: the file is empty; it begins with 'version: 1'");
	return read_fields(r, root, "the policy", fields, COUNT(fields), NULL);
}

int policy_parse(const PolicyBundle *bundle, Policy **ret_policy) {
	struct bytes text;
	int rc = policy_bundle_get(bundle, BUNDLE_POLICY, &text);
	if (rc < 0)
		return rc;
	_cleanup_(yaml_tree_freep) YamlTree *tree = NULL;
	rc = yaml_tree_parse(BUNDLE_POLICY, text, &tree);
	if (rc < 0)
		return rc;
	_cleanup_(policy_freep) Policy *policy = calloc(1, sizeof *policy);
	if (!policy)
		return read_no_memory();
	struct reading r = {.policy = policy, .bundle = bundle};
	rc = read_document(&r, yaml_tree_root(tree));
	if (rc < 0 || (rc = read_gather_keys(&r)) < 0 || (rc = read_role_ids(policy, bundle)) < 0 ||
	        (rc = policy_bundle_sha256(bundle, policy->sha256)) < 0)
		return rc;
	*ret_policy = steal_pointer(&policy);
	return 0;
}

int policy_empty(Policy **ret_policy) {
	Policy *policy = calloc(1, sizeof *policy);
	if (!policy)
		return read_no_memory();
	policy->is_empty = true;
	*ret_policy = policy;
	return 0;
}

void policy_free(Policy *policy) {
	if (!policy)
		return;
	for (struct zone_held *held = policy->zones; held; held = held->next)
		time_zone_free(held->zone);
	arena_free(&policy->memory);
	free(policy);
}

bool policy_is_empty(const Policy *policy) {
	return policy->is_empty;
}

const uint8_t *policy_sha256(const Policy *policy) {
	return policy->sha256;
}

/* ---- datasets ---- */

size_t policy_dataset_count(const Policy *policy) {
	return policy->dataset_count;
}

const struct policy_dataset *policy_dataset(const Policy *policy, size_t i) {
	return i < policy->dataset_count ? &policy->datasets[i] : NULL;
}

const struct policy_dataset *policy_dataset_named(const Policy *policy, const char *name) {
	for (size_t i = 0; i < policy->dataset_count; i++)
		if (strcmp(policy->datasets[i].name, name) == 0)
			return &policy->datasets[i];
	return NULL;
}

const struct policy_dataset *policy_dataset_for(const Policy *policy, const char *path) {
	for (size_t i = 0; i < policy->dataset_count; i++)
		if (glob_match(policy->datasets[i].match, path))
			return policy_ignored(policy, path) ? NULL : &policy->datasets[i];
	return NULL;
}

bool policy_reaches(const Policy *policy, const char *path) {
	for (size_t i = 0; i < policy->dataset_count; i++)
		if (glob_match(policy->datasets[i].match, path) || glob_reaches_below(policy->datasets[i].match, path))
			return true;
	return false;
}

const struct policy_dataset *policy_dataset_closest(const Policy *policy, const char *path, enum glob_miss *ret_how) {
	static const unsigned rank[] = {[GLOB_MISS_OTHER] = 0, [GLOB_MISS_FOLDER] = 1000, [GLOB_MISS_CASE] = 2000};
	const struct policy_dataset *closest = NULL;
	unsigned best = CLOSE_ENOUGH;
	for (size_t i = 0; i < policy->dataset_count; i++) {
		enum glob_miss how = glob_miss(policy->datasets[i].match, path);
		unsigned closeness = glob_closeness(policy->datasets[i].match, path) + rank[how];
		if (closeness > best) {
			best = closeness;
			closest = &policy->datasets[i];
			if (ret_how)
				*ret_how = how;
		}
	}
	return closest;
}

void policy_closest_words(const Policy *policy, const char *path, char ret_words[static POLICY_CLOSEST_BYTES]) {
	enum glob_miss how = GLOB_MISS_OTHER;
	const struct policy_dataset *closest = policy_dataset_closest(policy, path, &how);
	ret_words[0] = '\0';
	if (!closest)
		return;
	int length = snprintf(ret_words, POLICY_CLOSEST_BYTES, "the closest is dataset %s (match \"%s\")",
	        closest->name, closest->match);
	size_t used = (size_t)length < POLICY_CLOSEST_BYTES ? (size_t)length : POLICY_CLOSEST_BYTES - 1;
	char *to = ret_words + used;
	size_t room = POLICY_CLOSEST_BYTES - used;
	const char *slash = strrchr(closest->match, '/');
	if (how == GLOB_MISS_CASE)
		(void)snprintf(to, room, ": only upper and lower case differ");
	else if (how == GLOB_MISS_FOLDER)
		(void)snprintf(to, room, ": the name fits, the folder does not (match \"**/%s\" would take any folder)",
		        slash ? slash + 1 : closest->match);
}

const char *policy_ignore_pattern(const Policy *policy, size_t i) {
	if (i < COUNT(always_ignored))
		return always_ignored[i];
	i -= COUNT(always_ignored);
	return i < policy->ignore_count ? policy->ignore[i] : NULL;
}

bool policy_ignored(const Policy *policy, const char *path) {
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	const char *pattern;
	for (size_t i = 0; (pattern = policy_ignore_pattern(policy, i)); i++)
		if (glob_match(pattern, strchr(pattern, '/') ? path : name))
			return true;
	return false;
}

/* ---- workflows, alarms, warnings ---- */

size_t policy_workflow_count(const Policy *policy) {
	return policy->workflow_count;
}

const struct policy_workflow *policy_workflow(const Policy *policy, size_t i) {
	return i < policy->workflow_count ? &policy->workflows[i] : NULL;
}

const struct policy_workflow *policy_workflow_named(const Policy *policy, const char *name) {
	for (size_t i = 0; i < policy->workflow_count; i++)
		if (strcmp(policy->workflows[i].name, name) == 0)
			return &policy->workflows[i];
	return NULL;
}

bool policy_runs_on_arrival(const Policy *policy, const struct policy_dataset *dataset) {
	bool has_workflow = false;
	for (size_t i = 0; i < policy->workflow_count; i++) {
		if (strcmp(policy->workflows[i].dataset, dataset->name) != 0)
			continue;
		has_workflow = true;
		if (policy->workflows[i].on == POLICY_ON_CLOSE)
			return true;
	}
	return !has_workflow;
}

size_t policy_alarm_count(const Policy *policy) {
	return policy->alarm_count;
}

const struct policy_alarm *policy_alarm(const Policy *policy, size_t i) {
	return i < policy->alarm_count ? &policy->alarms[i] : NULL;
}

const struct policy_mail *policy_mail(const Policy *policy) {
	return policy->mail.line ? &policy->mail : NULL;
}

size_t policy_warning_count(const Policy *policy) {
	return policy->warning_count;
}

const char *policy_warning(const Policy *policy, size_t i) {
	return i < policy->warning_count ? policy->warnings[i] : NULL;
}

const char *policy_day_before(int64_t until_s, char ret_day[static DAY_BYTES]) {
	time_t last = (time_t)(until_s - 1);
	struct tm tm;
	if (!gmtime_r(&last, &tm) || strftime(ret_day, DAY_BYTES, "%Y-%m-%d", &tm) == 0)
		(void)snprintf(ret_day, DAY_BYTES, "?");
	return ret_day;
}

static void note_ended(const struct privacy_allow *allow, policy_ended_fn *each, void *context) {
	char day[DAY_BYTES], words[512];
	(void)snprintf(words, sizeof words, BUNDLE_POLICY ":%u: the allow entry of %.200s ended %s", allow->line,
	        allow->owner ? allow->owner : "nobody", policy_day_before(allow->until_s, day));
	each(context, words);
}

void policy_ended(const Policy *policy, int64_t now_s, policy_ended_fn *each, void *context) {
	for (size_t i = 0; i < policy_dataset_count(policy); i++) {
		const struct privacy *privacy = policy_dataset(policy, i)->privacy;
		for (size_t k = 0; privacy && k < privacy->allow_count; k++)
			if (privacy->allows[k].until_s != 0 && privacy->allows[k].until_s <= now_s)
				note_ended(&privacy->allows[k], each, context);
	}
	policy_grants_ended(policy, now_s, each, context);
}
