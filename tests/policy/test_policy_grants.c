/* What some may reach beside their roles, until a day: the grants of the policy document. */
#include "tests/policy/policy_text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char granting[] =
        "version: 1\n"
        "datasets:\n"
        "  - {name: secret, match: \"animals/secret*.csv\", rules: r.dqdl}\n"
        "  - {name: animals, match: \"animals/*\", rules: animals.dqdl}\n"
        "  - {name: plants, match: \"plants/*\", rules: r.dqdl}\n"
        "roles: {steward: {users: [1]}}\n"
        "grants:\n"
        "  - {users: [2], path: \"Trusted/a/*.csv\", access: read, until: 2026-12-31, reason: x}\n"
        "  - {groups: [30], path: \"Landing/drop/**\", access: write, until: 2026-12-31, reason: x}\n"
        "  - {users: [4], dataset: animals, access: write, until: 2026-12-31, reason: x}\n"
        "  - {users: [5], dataset: plants, access: read, until: 2026-12-31, reason: x}\n"
        "  - {users: [7], path: \"Landing/**/in/*\", access: write, until: 2026-12-31, reason: x}\n"
        "  - {users: [7], path: \"Landing/**/all/**\", access: write, until: 2026-12-31, reason: x}\n"
        "  - {users: [7], path: \"Landing/a/only/**\", access: read, until: 2026-12-31, reason: x}\n"
        "break_glass: {users: [6]}\n";
#define LAST_SECOND INT64_C(1798761599) /* of 2026-12-31 */

static void a_grant_gives_what_its_pattern_names_until_its_day_is_over(void **state) {
	(void)state;
	enum {
		SEARCH = POLICY_REACH_SEARCH,
		LIST = POLICY_REACH_LIST,
		READ = POLICY_REACH_READ,
		WRITE = POLICY_REACH_WRITE,
		BELOW = POLICY_REACH_BELOW
	};
	static const struct {
		uid_t uid;
		const char *path;
		int reach;
		unsigned line; /* 0: refused */
	} rows[] = {
	        {2, "Trusted/a/b.csv", READ, 8},
	        {2, "Trusted/a/b.csv", WRITE, 0},
	        {2, "Trusted/a/b.txt", READ, 0},
	        {2, "Trusted/a/c/b.csv", READ, 0},
	        {2, "Landing/a/b.csv", READ, 0},
	        {2, "Trusted", SEARCH, 8},
	        {2, "Trusted/a", SEARCH, 8},
	        {2, "Trusted/a/b.csv", SEARCH, 8},
	        {2, "Trusted/a/b.txt", SEARCH, 0},
	        {2, "Trusted/b", SEARCH, 0},
	        {2, "Trusted/a", LIST, 0},
	        {2, "Trusted", LIST, 0},
	        {2, "Raw", SEARCH, 0},
	        {3, "Landing/drop/x", WRITE, 9},
	        {3, "Landing/drop/x/y/z", WRITE, 9},
	        {3, "Landing/drop/x/y/z", READ, 9},
	        {3, "Landing/drop", LIST, 9},
	        {3, "Landing/drop/x", LIST, 9},
	        {3, "Landing", LIST, 0},
	        {3, "Landing/drop", WRITE, 0},
	        {3, "Landing/drop", BELOW, 9},
	        {3, "Landing/drop/x", BELOW, 9},
	        {3, "Landing", BELOW, 0},
	        {3, "Landing/dropped", BELOW, 0},
	        {3, "Landing/dropped", WRITE, 0},
	        {3, "Landing/drop", SEARCH, 9},
	        {4, "Trusted/animals/a.csv", WRITE, 10},
	        {4, "Trusted/animals/a.csv", READ, 10},
	        {4, "Trusted/animals/secret.csv", READ, 0},
	        {4, "Trusted/animals/secret.csv", SEARCH, 0},
	        {4, "Trusted/animals/a.csv~", READ, 0}, /* no dataset's: on the ignore list */
	        {4, "Trusted/animals", LIST, 0},        /* another dataset's names stand there, too */
	        {4, "Landing/animals/a.csv", READ, 0},
	        {4, "Trusted", SEARCH, 10},
	        {4, "Trusted", LIST, 0},
	        {5, "Trusted/plants", LIST, 11},
	        {5, "Trusted/plants/p", READ, 11},
	        {5, "Trusted/plants/p", WRITE, 0},
	        {2, "Trusted/a", BELOW, 0},
	        {4, "Trusted/animals", BELOW, 0},
	        {4, "Trusted/animals/x", BELOW, 0}, /* `*` is of one folder */
	        {7, "Landing/a/in", BELOW, 0},      /* it may be written, and what is in it, but nothing deeper */
	        {7, "Landing/a/in/x", WRITE, 12},
	        {7, "Landing/a/in/x", BELOW, 0},
	        {7, "Landing/a/all/x", BELOW, 13},
	        {7, "Landing/a/only", BELOW, 0}, /* to read */
	        {6, "Trusted/a/b.csv", READ, 0},
	        {1, "Trusted/a/b.csv", READ, 0},
	};
	static const gid_t groups[] = {29, 30};
	Policy *policy = parse(granting);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct policy_actor actor = {
		        .uid = rows[i].uid, .gid = 99, .groups = groups, .group_count = rows[i].uid == 3 ? 2 : 0};
		enum policy_reach reach = (enum policy_reach)rows[i].reach;
		const struct policy_grant *grant = policy_granted(policy, &actor, rows[i].path, reach, LAST_SECOND);
		if ((grant ? grant->line : 0) != rows[i].line)
			fail_msg("row %zu: %u, %s, %d gave line %u", i, rows[i].uid, rows[i].path, rows[i].reach,
			        grant ? grant->line : 0);
		assert_null(policy_granted(policy, &actor, rows[i].path, reach, LAST_SECOND + 1));
	}
	struct policy_actor six = {.uid = 6, .gid = 99}, two = {.uid = 2, .gid = 99};
	assert_true(policy_breaks_glass(policy, &six));
	assert_false(policy_breaks_glass(policy, &two));
	assert_true(policy_grant_is_of(policy, 0, &two));
	assert_false(policy_grant_is_of(policy, 1, &two));
	char who[POLICY_GRANTEES_BYTES];
	assert_string_equal(policy_grant_words(policy, 1, who), "group 30");
	policy_free(policy);
}

static void count_words(void *context, const char *words) {
	++*(size_t *)context;
	assert_non_null(strstr(words, " ended 2026-12-31"));
}

static void grants_that_are_over_are_told(void **state) {
	(void)state;
	Policy *policy = parse(granting);
	size_t count = 0;
	policy_ended(policy, LAST_SECOND, count_words, &count);
	assert_int_equal(count, 0);
	policy_ended(policy, LAST_SECOND + 1, count_words, &count);
	assert_int_equal(count, 7);
	policy_free(policy);
}

static void names_in_grants_mean_the_ids_they_had_when_applied(void **state) {
	(void)state;
	static const char yaml[] = "version: 1\nroles: {steward: {users: [root]}}\n"
	                           "grants: [{users: [root, daemon], groups: [daemon], path: \"Trusted/x\", access: "
	                           "read, until: 2026-12-31, "
	                           "reason: x}]\nbreak_glass: {users: [daemon]}\n";
	PolicyBundle *bundle = bundle_of(yaml, sizeof yaml - 1);
	Policy *policy = NULL;
	struct policy_actor daemon = {.uid = 1, .gid = 99};
	assert_int_equal(policy_parse(bundle, &policy), 0);
	assert_null(policy_granted(policy, &daemon, "Trusted/x", POLICY_REACH_READ, 0));
	assert_int_equal(policy_resolve_roles(policy, bundle), 0);
	policy_free(policy);
	policy = NULL;
	struct bytes ids;
	assert_int_equal(policy_bundle_get(bundle, BUNDLE_IDS, &ids), 0);
	assert_memory_equal(ids.data, "user root 0\nuser daemon 1\nuser root 0\ngroup daemon 1\n", ids.size);
	assert_int_equal(policy_parse(bundle, &policy), 0);
	assert_non_null(policy_granted(policy, &daemon, "Trusted/x", POLICY_REACH_READ, 0));
	assert_true(policy_breaks_glass(policy, &daemon));
	policy_free(policy);
	policy_bundle_free(bundle);
}

static void a_lent_role_counts_where_roles_are_named(void **state) {
	(void)state;
	Policy *policy = parse(granting), *none = parse("version: 1\n");
	struct policy_actor lent = {.uid = 9, .gid = 99, .lent = 1u << ROLE_ANALYST};
	enum policy_role role;
	assert_true(policy_permitting_role(policy, PLACE_TRUSTED, POLICY_READ, &lent, &role));
	assert_int_equal(role, ROLE_ANALYST);
	assert_false(policy_permitting_role(policy, PLACE_TRUSTED, POLICY_WRITE, &lent, &role));
	assert_int_equal(role, ROLE_COUNT);
	assert_false(policy_permits(none, PLACE_TRUSTED, POLICY_READ, &lent));
	policy_free(policy);
	policy_free(none);
}

static void grants_that_make_no_sense_are_refused_with_their_place(void **state) {
	(void)state;
	static const struct {
		const char *grants, *words;
	} rows[] = {
	        {"grants: []", NULL},
	        {"grants: {}", "policy.yaml:3:9: 'grants' is a list (lines that begin with '- '), but here is a map "
	                       "(key: value)"},
	        {"grants: [{users: [1], path: \"Raw/x\", access: write, until: 2026-12-31, reason: x}]",
	                "policy.yaml:3:10: nobody writes into Raw; grant 'access: read', or a path in Landing"},
	        {"grants: [{users: [1], path: \"*/x\", access: read, until: 2026-12-31, reason: x}]",
	                "policy.yaml:3:29: 'path: */x' must begin with Landing/, Raw/ or Trusted/, like "
	                "\"Trusted/animals/**\""},
	        {"grants: [{users: [1], path: \"Trusted/x\", access: own, until: 2026-12-31, reason: x}]",
	                "policy.yaml:3:50: 'access: own' is not one of: read, write"},
	        {"grants: [{users: [1], path: \"Trusted/x\", access: read, until: soon, reason: x}]",
	                "policy.yaml:3:63: 'until' is the last day on which it is granted, like 2027-03-31"},
	        {"grants: [{users: [1], path: \"Trusted/x\", access: read, until: 2026-12-31}]",
	                "policy.yaml:3:10: a grant needs 'reason:'"},
	        {"grants: [{users: [1], access: read, until: 2026-12-31, reason: x}]",
	                "policy.yaml:3:10: a grant needs 'dataset:' or 'path:'"},
	        {"grants: [{users: [], path: \"Trusted/x\", access: read, until: 2026-12-31, reason: x}]",
	                "policy.yaml:3:10: a grant needs 'users:' or 'groups:', whom it is for"},
	        {"grants: [{users: [1], dataset: x, access: read, until: 2026-12-31, reason: x}]",
	                "policy.yaml:3:32: there is no dataset 'x'"},
	        {"grants: [{users: [1], role: x}]", "policy.yaml:3:23: unknown key 'role' in a grant; there are: "
	                                            "users, groups, dataset, path, access, until, "
	                                            "reason"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char yaml[512];
		int length =
		        snprintf(yaml, sizeof yaml, "version: 1\nroles: {steward: {users: [1]}}\n%s\n", rows[i].grants);
		if (rows[i].words)
			expect_refused(yaml, (size_t)length, -EINVAL, rows[i].words);
		else
			policy_free(parse(yaml));
	}
	static const char alone[] = "version: 1\ngrants: []\n", glass[] = "version: 1\nbreak_glass: {users: [1]}\n";
	expect_refused(alone, sizeof alone - 1, -EINVAL,
	        "policy.yaml:2:9: 'grants' without 'roles': as long as no roles are named, mode bits alone say who "
	        "reaches "
	        "what; name roles, or leave the grants out");
	expect_refused(glass, sizeof glass - 1, -EINVAL,
	        "policy.yaml:2:14: 'break_glass' without 'roles': who mounts holds all roles as long as none is named, "
	        "so "
	        "there is none to take; name roles, or leave it out");
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_grant_gives_what_its_pattern_names_until_its_day_is_over),
	        cmocka_unit_test(grants_that_are_over_are_told),
	        cmocka_unit_test(names_in_grants_mean_the_ids_they_had_when_applied),
	        cmocka_unit_test(a_lent_role_counts_where_roles_are_named),
	        cmocka_unit_test(grants_that_make_no_sense_are_refused_with_their_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
