/* Which content gets a key of its own: what the policy in force says of its place. */
#include "policy/gate/internal.h"

#include "backend/store_keys.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names of one file that are looked at. */
#define NAMES_MOST 64u

/* In an operation. */
static int key_of(const Policy *policy, Meta *m, const char *below, char ret_own[static OWN_KEY_BYTES]) {
	const struct policy_key *key = policy_key_for(policy, below);
	ret_own[0] = '\0';
	if (!key)
		return 0;
	int rc = store_key_called(m, key->name, ret_own);
	return rc == -ENOENT
	               ? fault(ENOKEY,
	                         BUNDLE_POLICY ":%u: the vault has no key alias/%s for %s; apply the policy again",
	                         key->line, key->name, below)
	               : rc;
}

/* What is written into Trusted has the name that it is to get. */
static int key_of_staged(const Policy *policy, Meta *m, const struct node *node, char ret_own[static OWN_KEY_BYTES]) {
	char path[TREE_PATH_MAX];
	int rc = staged_below_of(m, node->id, path);
	if (rc == -ENOENT || rc == -ESTALE)
		return 0;
	return rc < 0 ? rc : key_of(policy, m, path, ret_own);
}

/* Of several names the first that has a key counts: who plants one outside of the folder keeps nothing out of it. A
 * file without a name has no place that says anything. */
static int key_of_names(const Policy *policy, Meta *m, const struct node *node, char ret_own[static OWN_KEY_BYTES]) {
	char path[TREE_PATH_MAX];
	struct tree_name at = {0};
	int rc = 0;
	for (unsigned i = 0; i < NAMES_MOST && rc >= 0 && !ret_own[0]; i++) {
		rc = tree_next_path(m, node->id, &at, path, sizeof path, NULL);
		const char *below = rc < 0 ? NULL : gate_below(path, NULL);
		if (below)
			rc = key_of(policy, m, below, ret_own);
	}
	return rc == -ENOENT || rc == -ESTALE || rc == -ERANGE ? 0 : rc;
}

int gate_choose_key(void *arg, Meta *m, const struct node *node, char ret_own[static OWN_KEY_BYTES]) {
	Gate *gate = arg;
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(gate);
	ret_own[0] = '\0';
	if (policy_key_count(held->policy) == 0)
		return 0;
	return node->zone == ZONE_STAGING ? key_of_staged(held->policy, m, node, ret_own)
	                                  : key_of_names(held->policy, m, node, ret_own);
}

int gate_key_content(Gate *gate, Content *content, const char *below) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(gate);
	char own[OWN_KEY_BYTES] = "";
	Meta *m = store_meta(gate->store);
	int rc = 0;
	if (policy_key_count(held->policy) > 0) {
		meta_begin(m);
		rc = meta_end(m, key_of(held->policy, m, below, own));
	}
	if (rc >= 0)
		content_choose_key(content, own);
	return rc;
}

int gate_key_is_same(Gate *gate, uint64_t version, const char *below, bool *ret_same) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(gate);
	char now[OWN_KEY_BYTES], then[OWN_KEY_BYTES];
	bool has_any = true;
	Meta *m = store_meta(gate->store);
	*ret_same = true;
	if (policy_key_count(held->policy) == 0 && !segment_any_own(store_segments(gate->store)))
		return 0;
	meta_begin(m);
	int rc = key_of(held->policy, m, below, now);
	if (rc >= 0)
		rc = content_own_key(gate->store, m, version, then, &has_any);
	rc = meta_end(m, rc);
	if (rc >= 0)
		*ret_same = !has_any || strcmp(now, then) == 0;
	return rc;
}

int gate_make_keys(Gate *gate, const Policy *policy, const struct actor *actor, bool **ret_is_new) {
	const size_t count = policy_key_count(policy);
	_cleanup_(freep) const char **words = calloc(count + 1, sizeof *words);
	_cleanup_(freep) size_t *places = calloc(count + 1, sizeof *places);
	_cleanup_(freep) bool *found = calloc(count + 1, sizeof *found), *is_new = calloc(count + 1, sizeof *is_new);
	size_t n = 0, wrong = 0;
	if (!words || !places || !found || !is_new)
		return fault(ENOMEM, "reading the policy");
	for (size_t i = 0; i < count; i++) {
		const struct policy_key *key = policy_key(policy, i);
		if (!key->name)
			continue;
		places[n] = i;
		words[n++] = key->name;
	}
	int rc = n > 0 ? store_key_own(gate->store, words, n, actor, found, &wrong) : 0;
	if (rc < 0 && wrong < n) /* the policy is wrong, not the vault */
		return fault_while(rc == -EKEYEXPIRED ? -EINVAL : rc, BUNDLE_POLICY ":%u: 'key: %s'",
		        policy_key(policy, places[wrong])->line, words[wrong]);
	if (rc < 0)
		return fault_while(rc, "making the keys that the policy gives folders");
	for (size_t i = 0; i < n; i++)
		is_new[places[i]] = found[i];
	*ret_is_new = steal_pointer(&is_new);
	return 0;
}
