/* `keys` of policy.yaml, and `key` of a dataset: which content has a key of its own. */
#include "policy/policy_read.h"

#include "crypto/base/fault.h"
#include "crypto/keyring.h"

#include <errno.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
/* As long as an alias may be (backend/store_keys.h). */
#define NAME_BYTES_MAX 57u

/* What the vault's own keys are called. */
static const char *const taken[] = {"landing", "raw", "trusted", "metadata", "meta", "audit", "verdict", "header"};

int read_key_name(struct reading *r, const Node *value, const char **ret_name) {
	const char *text = NULL;
	int rc = read_text(r, value, "key", &text);
	if (rc < 0)
		return rc;
	const char *name = strncmp(text, "alias/", strlen("alias/")) == 0 ? text + strlen("alias/") : text;
	if (keyring_check_name(name) < 0 || strlen(name) > NAME_BYTES_MAX)
		return read_complain(value,
		        "'key: %.60s': a key is called by up to %u of a-z, 0-9, '.', '_' and '-', like project-animals",
		        text, NAME_BYTES_MAX);
	for (size_t i = 0; i < COUNT(taken); i++)
		if (strcmp(name, taken[i]) == 0)
			return read_complain(value,
			        "'key: %s' is a key of the vault itself, not one of a folder's own; choose another "
			        "name",
			        name);
	*ret_name = name;
	return 0;
}

static int read_match(struct reading *r, const Node *value, void *target) {
	struct policy_key *key = target;
	return read_pattern(r, value, "match", &key->match);
}

static int read_key(struct reading *r, const Node *value, void *target) {
	struct policy_key *key = target;
	return read_key_name(r, value, &key->name);
}

static int read_entry(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {{"match", read_match, true}, {"key", read_key, true}};
	struct policy_key *key = target;
	key->line = value->line;
	return read_fields(r, value, "an entry of 'keys'", fields, COUNT(fields), key);
}

int read_keys(struct reading *r, const Node *value, void *target) {
	(void)target;
	void *items = NULL;
	int rc = read_list_of(
	        r, value, "'keys'", sizeof(struct policy_key), read_entry, &items, &r->policy->listed_key_count);
	r->policy->keys = items;
	return rc;
}

/* One list, in the order in which they are asked. */
int read_gather_keys(struct reading *r) {
	Policy *policy = r->policy;
	const size_t listed = policy->listed_key_count;
	struct policy_key *all = arena_take(&policy->memory, listed + policy->dataset_count + 1, sizeof *all);
	size_t named = listed;
	if (!all)
		return read_no_memory();
	if (listed > 0)
		memcpy(all, policy->keys, listed * sizeof *all);
	for (size_t i = 0; i < policy->dataset_count; i++) {
		const struct policy_dataset *dataset = &policy->datasets[i];
		all[listed + i] = (struct policy_key){dataset->match, dataset->key, dataset->line};
		named += dataset->key != NULL;
	}
	policy->keys = all;
	policy->key_count = named > 0 ? listed + policy->dataset_count : 0;
	if (named > POLICY_KEYS_MAX)
		return fault(EINVAL, BUNDLE_POLICY ": a policy gives at most %u folders and datasets keys of their own",
		        POLICY_KEYS_MAX);
	return 0;
}

size_t policy_key_count(const Policy *policy) {
	return policy->key_count;
}

const struct policy_key *policy_key(const Policy *policy, size_t i) {
	return i < policy->key_count ? &policy->keys[i] : NULL;
}

const struct policy_key *policy_key_for(const Policy *policy, const char *path) {
	for (size_t i = 0; i < policy->key_count; i++)
		if (glob_match(policy->keys[i].match, path))
			return policy->keys[i].name ? &policy->keys[i] : NULL;
	return NULL;
}
