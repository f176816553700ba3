/*
 * policy_read: the parts of policy.c that turn a YAML tree into a Policy; nobody else includes this.
 *
 * Each map of the document is described by a table of keys, each key by a function that reads its value; so an unknown
 * key can be answered with the keys there are.
 */
#pragma once

#include "policy/arena.h"
#include "policy/policy.h"
#include "policy/yaml_tree.h"

struct role_member {
	const char *name;
	unsigned line;
	bool is_group;
	bool is_resolved;
	uint32_t id;
};

struct role_members {
	struct role_member *members;
	size_t count;
};

/* Zones are GLib's, and not in the policy's memory. */
struct zone_held {
	TimeZone *zone;
	struct zone_held *next;
};

struct Policy {
	struct arena memory;
	uint8_t sha256[BUNDLE_HASH_BYTES];
	bool is_empty;
	bool has_roles;
	struct policy_dataset *datasets;
	size_t dataset_count;
	struct policy_key *keys;
	size_t listed_key_count, key_count;
	struct policy_workflow *workflows;
	size_t workflow_count;
	struct policy_lifecycle *lifecycle;
	size_t lifecycle_count;
	struct policy_alarm *alarms;
	size_t alarm_count;
	struct policy_mail mail;   /* line 0: not given */
	struct policy_audit audit; /* line 0: not given */
	struct policy_costs costs; /* the same */
	struct policy_compression compression;
	struct role_members roles[ROLE_COUNT];
	struct role_members break_glass;
	struct policy_grant *grants;
	struct role_members *grantees; /* of each grant */
	size_t grant_count;
	const char **ignore;
	size_t ignore_count;
	const char **warnings;
	size_t warning_count;
	struct zone_held *zones;
};

struct reading {
	Policy *policy;
	const PolicyBundle *bundle;
	bool has_version;
};

typedef struct yaml_tree_node Node;

/* Reads one key's value into `target`. */
typedef int read_value(struct reading *r, const Node *value, void *target);

struct field {
	const char *name;
	read_value *read;
	bool is_required;
};

/* -EINVAL with `policy.yaml:LINE:COLUMN: words`. */
int read_complain(const Node *at, const char *format, ...) __attribute__((format(printf, 2, 3)));
int read_no_memory(void);

/* Reads a map by its table. `what` names the map in messages ("a dataset"). */
int read_fields(
        struct reading *r, const Node *map, const char *what, const struct field *fields, size_t count, void *target);

/* Reads a list of maps: takes memory for them all, and calls `read` for each. */
int read_list_of(struct reading *r, const Node *list, const char *what, size_t size, read_value *read, void **ret_items,
        size_t *ret_count);

/* A text that is not empty; a list of such, or one alone; a pattern of policy/glob.h. All are copied to the policy. */
int read_text(struct reading *r, const Node *value, const char *what, const char **ret_text);
int read_texts(
        struct reading *r, const Node *value, const char *what, const char *const **ret_texts, size_t *ret_count);
int read_pattern(struct reading *r, const Node *value, const char *what, const char **ret_pattern);
int read_number(const Node *value, const char *what, unsigned most, unsigned *ret_number);
int read_number_from(const Node *value, const char *what, unsigned least, unsigned most, unsigned *ret_number);
int read_real(const Node *value, const char *what, double *ret_number);
int read_flag(const Node *value, const char *what, bool *ret_flag);

/* The name of a zone that holds files. */
int read_zone(const Node *value, const char *what, const char **ret_zone);

/* Which of the words (NULL at the end) it is; the error names them all. */
int read_choice(const Node *value, const char *what, const char *const words[], unsigned *ret_choice);

/* printf into the policy's memory. NULL without memory. */
char *read_print(struct reading *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds a sentence to policy_warnings. */
int read_warn(struct reading *r, const Node *at, const char *words);

/* The sections of the document. */
read_value read_dataset;
read_value read_privacy, read_k_anonymity, read_l_diversity; /* of a dataset, into it */
read_value read_keys;
read_value read_workflow;
read_value read_lifecycle;         /* into the policy */
read_value read_compression;       /* the same */
read_value read_audit, read_costs; /* into the policy */
read_value read_audit;             /* into the policy */
read_value read_mail;              /* into the policy, before the alarms */
read_value read_alarm;
read_value read_roles, read_break_glass;
read_value read_grants; /* behind datasets and roles */
/* Who has a role or a grant: into a struct role_members. */
read_value read_member_users, read_member_groups;
/* A last day, into the int64_t second at which it is over; `what` is allowed until then. */
int read_until(const Node *value, const char *what, int64_t *ret_until_s);

/* Whether the actor is one of them, or in a group that is. Names that were not found are nobody's. */
bool role_members_hold(const struct role_members *members, const struct policy_actor *actor);

/* A day in words, for what ended then. */
#define DAY_BYTES 32
const char *policy_day_before(int64_t until_s, char ret_day[static DAY_BYTES]);

/* Tells the grants whose day is past, as policy_ended does. */
void policy_grants_ended(const Policy *policy, int64_t now_s, policy_ended_fn *each, void *context);

/* roles.ids of the bundle, if it has one. */
int read_role_ids(Policy *policy, const PolicyBundle *bundle);

/* The name of a key of a folder's own. */
int read_key_name(struct reading *r, const Node *value, const char **ret_name);
/* Puts those of datasets behind those of `keys`. */
int read_gather_keys(struct reading *r);

/* What only the whole document can tell: doubled names, workflows for datasets that are not there. */
int read_check_workflows(const Policy *policy);
