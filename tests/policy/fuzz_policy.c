/* Any bytes as policy.yaml, as a table of ids, and as an archive of a policy. */
#include "policy/policy.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const Policy *policy) {
	struct policy_actor actor = {.uid = 0};
	(void)policy_dataset_for(policy, "animals/lost-and-found.csv");
	(void)policy_dataset_closest(policy, "animals/lost-and-found.csv", NULL);
	(void)policy_permits(policy, PLACE_TRUSTED, POLICY_READ, &actor);
	const char *const paths[] = {"Trusted/animals/lost-and-found.csv", "Landing/drop", ""};
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		for (enum policy_reach reach = POLICY_REACH_SEARCH; reach <= POLICY_REACH_WRITE; reach++)
			(void)policy_granted(policy, &actor, paths[i], reach, 0);
	char who[POLICY_GRANTEES_BYTES];
	for (size_t i = 0; i < policy_grant_count(policy); i++)
		if (!policy_grant(policy, i)->reason || !*policy_grant_words(policy, i, who))
			abort();
	for (size_t i = 0; i < policy_dataset_count(policy); i++)
		if ((!policy_dataset(policy, i)->rules_file && !policy_dataset(policy, i)->privacy) ||
		        !policy_dataset(policy, i)->match)
			abort();
}

static void as_archive(const uint8_t *data, size_t size) {
	PolicyBundle *bundle = NULL;
	uint8_t *again = NULL;
	size_t again_size = 0;
	if (policy_bundle_parse(bytes_of(data, size), &bundle) < 0)
		return;
	if (policy_bundle_serialise(bundle, &again, &again_size) < 0 || again_size != size ||
	        memcmp(again, data, size) != 0)
		abort();
	free(again);
	policy_bundle_free(bundle);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	PolicyBundle *bundle = NULL;
	Policy *policy = NULL;
	as_archive(data, size);
	if (policy_bundle_new(&bundle) < 0)
		return 0;
	struct bytes rules = bytes_of_string("Rules = [ RowCount > 0 ]");
	if (policy_bundle_put(bundle, BUNDLE_POLICY, bytes_of(data, size)) == 0 &&
	        policy_bundle_put(bundle, "animals.dqdl", rules) == 0 && policy_parse(bundle, &policy) == 0)
		use(policy);
	policy_free(policy);
	policy = NULL;
	static const char roles[] = "version: 1\nroles: {steward: {users: [root]}}\n";
	if (policy_bundle_put(bundle, BUNDLE_POLICY, bytes_of_string(roles)) == 0 &&
	        policy_bundle_put(bundle, BUNDLE_IDS, bytes_of(data, size)) == 0 && policy_parse(bundle, &policy) == 0)
		use(policy);
	policy_free(policy);
	policy_bundle_free(bundle);
	return 0;
}
