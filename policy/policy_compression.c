/* `compression` of policy.yaml: how hard blocks of a zone are compressed before they are sealed. */
#include "policy/policy_read.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static int read_level(const Node *value, const char *zone, unsigned *ret_level) {
	if (value->kind == TREE_TEXT && strcmp(value->text, "off") == 0) {
		*ret_level = 0;
		return 0;
	}
	return read_number_from(value, zone, 1, POLICY_COMPRESSION_MAX, ret_level);
}

static int read_landing(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_level(value, "Landing", &((struct policy_compression *)target)->landing);
}

static int read_raw(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_level(value, "Raw", &((struct policy_compression *)target)->raw);
}

static int read_trusted(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_level(value, "Trusted", &((struct policy_compression *)target)->trusted);
}

int read_compression(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {
	        {"Landing", read_landing, false}, {"Raw", read_raw, false}, {"Trusted", read_trusted, false}};
	(void)target;
	return read_fields(r, value, "'compression'", fields, COUNT(fields), &r->policy->compression);
}

const struct policy_compression *policy_compression(const Policy *policy) {
	return &policy->compression;
}
