/* What roles and grants let somebody reach: the one decision that the mount, the commands and `assayfs access` share.
 */
#include "fs/roles.h"

#include "tests/policy/gate_world.h"

#define HOUR_NS INT64_C(3600000000000)
static const struct actor steward = {.uid = 1, .gid = 1, .pid = 43, .exe = "test"};
static const char yaml[] =
        "version: 1\n"
        "roles: {steward: {users: [1]}, analyst: {groups: [20]}}\n"
        "grants: [{users: [3], path: \"Landing/x/**\", access: write, until: 2199-12-31, reason: r}]\n";

static bool may(struct world *w, uint32_t uid, enum zone zone, enum policy_reach reach, const char *path,
        struct gate_permit *permit) {
	static const gid_t groups[] = {20};
	struct gate_member member = {.uid = uid, .gid = uid, .groups = groups, .group_count = uid == 2};
	struct gate_wish wish = {.zone = (uint8_t)zone, .reach = reach, .path = path};
	return roles_permit(w->gate, &member, &wish, permit);
}

static void without_roles_nobody_is_asked_for_one(void **state) {
	struct world *w = *state;
	struct gate_permit permit;
	assert_true(may(w, 9, ZONE_LANDING, POLICY_REACH_WRITE, NULL, &permit));
	assert_int_equal(permit.role, ROLE_COUNT);
	assert_false(roles_are_named(w->gate));
	assert_false(roles_have_grants(w->gate));
	struct gate_member root = {0};
	assert_false(roles_permit_place(w->gate, &root, PLACE_AUDIT, POLICY_READ, &permit));
}

static void roles_come_first_and_grants_need_the_path(void **state) {
	struct world *w = *state;
	struct gate_permit permit;
	char words[ROLES_WORDS_BYTES];
	apply(w, yaml);
	assert_true(roles_are_named(w->gate) && roles_have_grants(w->gate));
	assert_true(may(w, 2, ZONE_TRUSTED, POLICY_REACH_READ, NULL, &permit));
	assert_int_equal(permit.role, ROLE_ANALYST);
	assert_string_equal(roles_grant_words(&permit, words), "");
	assert_false(may(w, 2, ZONE_TRUSTED, POLICY_REACH_WRITE, "Trusted/a", &permit));
	assert_false(
	        may(w, 0, ZONE_TRUSTED, POLICY_REACH_READ, "Trusted/a", &permit)); /* root is a user like any other */
	assert_false(may(w, 3, ZONE_LANDING, POLICY_REACH_WRITE, NULL, &permit));
	assert_true(may(w, 3, ZONE_LANDING, POLICY_REACH_WRITE, "Landing/x/y", &permit));
	assert_int_equal(permit.line, 3);
	assert_string_equal(roles_grant_words(&permit, words), "by the grant in policy.yaml:3");
	assert_true(may(w, 1, ZONE_RAW, POLICY_REACH_WRITE, NULL, &permit)); /* who reads there is told EPERM */
	assert_false(may(w, 2, ZONE_RAW, POLICY_REACH_WRITE, "Raw/a", &permit));
	assert_true(may(w, 2, ZONE_STAGING, POLICY_REACH_READ, NULL, &permit));
}

static void what_is_lent_says_by_which_grant(void **state) {
	struct world *w = *state;
	struct gate_permit permit;
	char words[ROLES_WORDS_BYTES];
	struct gate_member nine = {.uid = 9, .gid = 9};
	struct grant wish = {.uid = 9, .role = ROLE_AUDITOR, .path = "", .until_ns = HOUR_NS, .reason = "r"}, given;
	apply(w, yaml);
	assert_false(roles_permit_place(w->gate, &nine, PLACE_AUDIT, POLICY_READ, &permit));
	assert_int_equal(gate_grant(w->gate, &wish, &steward, &given), 0);
	assert_true(roles_permit_place(w->gate, &nine, PLACE_AUDIT, POLICY_READ, &permit));
	assert_int_equal(permit.role, ROLE_AUDITOR);
	assert_string_equal(roles_grant_words(&permit, words), "by grant 1");
	assert_int_equal(permit.until_ns, given.until_ns);
	assert_false(roles_permit_place(w->gate, &nine, PLACE_QUARANTINE, POLICY_READ, &permit));
	assert_false(may(w, 9, ZONE_RAW, POLICY_REACH_READ, "Raw/a", &permit));
	wish = (struct grant){.uid = 9, .role = ROLE_COUNT, .path = "Raw/a", .until_ns = HOUR_NS, .reason = "r"};
	assert_int_equal(gate_grant(w->gate, &wish, &steward, &given), 0);
	assert_true(may(w, 9, ZONE_RAW, POLICY_REACH_READ, "Raw/a", &permit));
	assert_int_equal(permit.grant, 2);
	assert_int_equal(gate_grant_revoke(w->gate, 2, &steward), 0);
	assert_false(may(w, 9, ZONE_RAW, POLICY_REACH_READ, "Raw/a", &permit));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(without_roles_nobody_is_asked_for_one),
	        WORLD(roles_come_first_and_grants_need_the_path),
	        WORLD(what_is_lent_says_by_which_grant),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
