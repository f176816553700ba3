/* `lifecycle` of policy.yaml: which versions that nothing shows any more may go. */
#include "policy/policy_read.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define NAME_BYTES_MAX 100u

static struct policy_lifecycle *rule_of(void *target) {
	return target;
}

/* Stands in records and in words to people. */
static int read_name(struct reading *r, const Node *value, void *target) {
	const char **name = &rule_of(target)->name;
	int rc = read_text(r, value, "name", name);
	if (rc < 0)
		return rc;
	for (const char *at = *name; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			return read_complain(value, "a lifecycle rule's name has no control characters");
	return strlen(*name) <= NAME_BYTES_MAX
	               ? 0
	               : read_complain(value, "a lifecycle rule's name has at most %u bytes", NAME_BYTES_MAX);
}

static int read_rule_zone(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_zone(value, "zone", &rule_of(target)->zone);
}

static int read_prefix(struct reading *r, const Node *value, void *target) {
	static const char *const zones[] = {"Landing/", "Raw/", "Trusted/"};
	const char **prefix = &rule_of(target)->prefix;
	int rc = read_text(r, value, "prefix", prefix);
	if (rc == 0 && (*prefix)[0] == '/')
		return read_complain(
		        value, "'prefix' is how paths below the zone begin, like animals/, without a '/' before it");
	for (size_t i = 0; rc == 0 && i < COUNT(zones); i++)
		if (strncmp(*prefix, zones[i], strlen(zones[i])) == 0)
			return read_complain(
			        value, "'prefix' is how paths below the zone begin: without '%s'", zones[i]);
	return rc;
}

static int read_versions(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_number(
	        value, "noncurrent_versions", POLICY_NONCURRENT_VERSIONS_MAX, &rule_of(target)->noncurrent_versions);
}

/* As it was called before there were rules that run. */
static int read_keep_versions(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_number(
	        value, "keep_versions", POLICY_NONCURRENT_VERSIONS_MAX, &rule_of(target)->noncurrent_versions);
}

static int read_days(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_number_from(
	        value, "noncurrent_days", 1, POLICY_NONCURRENT_DAYS_MAX, &rule_of(target)->noncurrent_days);
}

static int read_rule(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {{"name", read_name, false}, {"zone", read_rule_zone, true},
	        {"prefix", read_prefix, false}, {"noncurrent_versions", read_versions, false},
	        {"keep_versions", read_keep_versions, false}, {"noncurrent_days", read_days, false}};
	struct policy_lifecycle *rule = rule_of(target);
	*rule = (struct policy_lifecycle){
	        .prefix = "", .noncurrent_versions = 10, .noncurrent_days = 30, .line = value->line};
	int rc = read_fields(r, value, "a lifecycle rule", fields, COUNT(fields), rule);
	if (rc < 0 || rule->name)
		return rc;
	rule->name = read_print(r, "rule in line %u", value->line);
	return rule->name ? 0 : read_no_memory();
}

int read_lifecycle(struct reading *r, const Node *value, void *target) {
	Policy *policy = r->policy;
	void *items = NULL;
	(void)target;
	int rc = read_list_of(
	        r, value, "'lifecycle'", sizeof(struct policy_lifecycle), read_rule, &items, &policy->lifecycle_count);
	policy->lifecycle = items;
	if (rc == 0 && policy->lifecycle_count > POLICY_LIFECYCLE_MAX)
		return read_complain(value, "a policy has at most %u lifecycle rules", POLICY_LIFECYCLE_MAX);
	for (size_t i = 0; rc == 0 && i < policy->lifecycle_count; i++)
		for (size_t j = 0; rc == 0 && j < i; j++)
			if (strcmp(policy->lifecycle[i].name, policy->lifecycle[j].name) == 0)
				rc = read_complain(value->values[i],
				        "a lifecycle rule is called '%.100s' already in line %u",
				        policy->lifecycle[i].name, policy->lifecycle[j].line);
	return rc;
}

size_t policy_lifecycle_count(const Policy *policy) {
	return policy->lifecycle_count;
}

const struct policy_lifecycle *policy_lifecycle(const Policy *policy, size_t i) {
	return i < policy->lifecycle_count ? &policy->lifecycle[i] : NULL;
}
