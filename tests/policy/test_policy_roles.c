/* Who holds which role, and by which ids. tests: policy/policy_roles */
#include "tests/policy/policy_text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void names_mean_the_ids_they_had_when_applied(void **state) {
	(void)state;
	static const char yaml[] = "version: 1\n"
	                           "roles:\n"
	                           "  steward: {users: [root, 1234]}\n"
	                           "  analyst: {groups: [daemon]}\n";
	PolicyBundle *bundle = bundle_of(yaml, sizeof yaml - 1);
	Policy *policy = NULL;
	struct policy_actor root = {.uid = 0}, number = {.uid = 1234, .gid = 5};
	assert_int_equal(policy_parse(bundle, &policy), 0);
	assert_false(policy_role_holds(policy, ROLE_STEWARD, &root)); /* not resolved: held by nobody */
	assert_true(policy_role_holds(policy, ROLE_STEWARD, &number));
	uint8_t before[32];
	memcpy(before, policy_sha256(policy), 32);
	assert_int_equal(policy_resolve_roles(policy, bundle), 0);
	policy_free(policy);
	struct bytes ids;
	assert_int_equal(policy_bundle_get(bundle, BUNDLE_IDS, &ids), 0);
	assert_string_equal((const char *)ids.data, "user root 0\ngroup daemon 1\n");
	policy = NULL;
	assert_int_equal(policy_parse(bundle, &policy), 0);
	assert_true(policy_role_holds(policy, ROLE_STEWARD, &root));
	assert_false(policy_role_holds(policy, ROLE_ANALYST, &root));
	gid_t groups[] = {7, 1};
	struct policy_actor analyst = {.uid = 1000, .gid = 1000, .groups = groups, .group_count = 2};
	assert_true(policy_role_holds(policy, ROLE_ANALYST, &analyst));
	assert_true(memcmp(before, policy_sha256(policy), 32) != 0);
	struct policy_actor mounter = {.uid = 1000, .is_mounter = true};
	assert_false(policy_role_holds(policy, ROLE_STEWARD, &mounter)); /* roles are named, so mounting gives none */
	policy_free(policy);
	policy_bundle_free(bundle);
}

static void an_account_that_is_not_there_is_named_with_its_line(void **state) {
	(void)state;
	static const char yaml[] =
	        "version: 1\nroles:\n  steward:\n    users: [root]\n    groups:\n      - no-such-group-here\n";
	PolicyBundle *bundle = bundle_of(yaml, sizeof yaml - 1);
	Policy *policy = NULL;
	assert_int_equal(policy_parse(bundle, &policy), 0);
	assert_int_equal(policy_resolve_roles(policy, bundle), -EINVAL);
	assert_string_equal(fault_message(),
	        "policy.yaml:6: this machine has no group 'no-such-group-here'; write an existing one, or its number");
	policy_free(policy);
	policy_bundle_free(bundle);
}

static void the_matrix_is_that_of_the_design(void **state) {
	(void)state;
	Policy *policy =
	        parse("version: 1\nroles: {steward: {users: [1]}, ingester: {users: [2]}, analyst: {users: [3]}, "
	              "auditor: {users: [4]}}\n");
	static const struct {
		enum policy_place place;
		const char *readers, *writers;
	} cases[] = {
	        {PLACE_LANDING, "12", "12"},
	        {PLACE_RAW, "1", ""},
	        {PLACE_TRUSTED, "13", "1"},
	        {PLACE_AUDIT, "14", ""},
	        {PLACE_QUARANTINE, "1", "1"},
	        {PLACE_POLICY, "1", "1"},
	        {PLACE_KEYS, "1", "1"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (char who = '1'; who <= '5'; who++) {
			struct policy_actor actor = {.uid = (uid_t)(who - '0'), .gid = 99};
			assert_int_equal(policy_permits(policy, cases[i].place, POLICY_READ, &actor),
			        strchr(cases[i].readers, who) != NULL);
			assert_int_equal(policy_permits(policy, cases[i].place, POLICY_WRITE, &actor),
			        strchr(cases[i].writers, who) != NULL);
		}
	policy_free(policy);
}

static void a_forged_table_of_ids_is_refused(void **state) {
	(void)state;
	static const char *const tables[] = {"user root\n", "user root x\n", "king root 0\n", "user root 0 0\n",
	        "user root 4294967295\n", "user root -1\n", "user \xff 1\n"};
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		PolicyBundle *bundle = bundle_of("version: 1\n", 11);
		Policy *policy = NULL;
		assert_int_equal(policy_bundle_put(bundle, BUNDLE_IDS, bytes_of_string(tables[i])), 0);
		assert_int_equal(policy_parse(bundle, &policy), -EINVAL);
		policy_bundle_free(bundle);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(names_mean_the_ids_they_had_when_applied),
	        cmocka_unit_test(an_account_that_is_not_there_is_named_with_its_line),
	        cmocka_unit_test(the_matrix_is_that_of_the_design),
	        cmocka_unit_test(a_forged_table_of_ids_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
