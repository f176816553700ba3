/* What is lent for hours: to whom, how long whatever the clock is set to, and what is kept of it. */
#include "policy/gate/grant.h"

#include "backend/meta_private.h"
#include "tests/policy/gate_world.h"

#define HOUR_NS INT64_C(3600000000000)

static const struct actor steward = {.uid = 7, .gid = 7, .pid = 43, .exe = "test"};
static const char with_roles[] = "version: 1\nroles: {steward: {users: [7]}}\n";

static struct grant a_path(const char *path, bool write) {
	return (struct grant){
	        .uid = 8, .role = ROLE_COUNT, .path = path, .write = write, .until_ns = HOUR_NS, .reason = "ill"};
}

static struct grant a_role(enum policy_role role) {
	return (struct grant){.uid = 8, .role = role, .path = "", .until_ns = HOUR_NS, .reason = "ill"};
}

static uint64_t give(struct world *w, struct grant wish) {
	struct grant given;
	if (gate_grant(w->gate, &wish, &steward, &given) < 0)
		fail_msg("%s", fault_message());
	assert_int_equal(given.by, 7);
	assert_int_equal(given.until_ns, given.made_ns + wish.until_ns);
	return given.number;
}

static void refuse(struct world *w, struct grant wish, int rc, const char *words) {
	struct grant given;
	assert_int_equal(gate_grant(w->gate, &wish, &steward, &given), rc);
	if (!strstr(fault_message(), words))
		fail_msg("'%s' is not in: %s", words, fault_message());
	assert_false(gate_lends(w->gate));
}

static uint64_t lent(struct world *w, uint32_t uid, const char *path, enum policy_reach reach) {
	int64_t until;
	return gate_lent_path(w->gate, uid, path, reach, &until);
}

static void a_path_is_lent_with_all_below_it(void **state) {
	struct world *w = *state;
	apply(w, with_roles);
	uint64_t number = give(w, a_path("Trusted/a", false));
	static const struct {
		const char *path;
		enum policy_reach reach;
		bool given;
	} rows[] = {
	        {"Trusted/a", POLICY_REACH_READ, true},
	        {"Trusted/a/b/c", POLICY_REACH_READ, true},
	        {"Trusted/a", POLICY_REACH_LIST, true},
	        {"Trusted/a/b", POLICY_REACH_LIST, true},
	        {"Trusted", POLICY_REACH_SEARCH, true},
	        {"Trusted", POLICY_REACH_LIST, false},
	        {"Trusted", POLICY_REACH_READ, false},
	        {"Trusted/ab", POLICY_REACH_READ, false},
	        {"Trusted/ab", POLICY_REACH_SEARCH, false},
	        {"Landing/a", POLICY_REACH_READ, false},
	        {"Trusted/a", POLICY_REACH_WRITE, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (lent(w, 8, rows[i].path, rows[i].reach) != (rows[i].given ? number : 0))
			fail_msg("row %zu", i);
	assert_int_equal(lent(w, 9, "Trusted/a", POLICY_REACH_READ), 0);
	assert_int_equal(gate_lent_roles(w->gate, 8), 0);
	uint64_t writing = give(w, a_path("Landing", true));
	assert_int_equal(lent(w, 8, "Landing/new", POLICY_REACH_WRITE), writing);
	assert_int_equal(lent(w, 8, "Landing/new", POLICY_REACH_BELOW), writing);
	assert_int_equal(lent(w, 8, "Trusted/a", POLICY_REACH_BELOW), 0); /* it is to read */
	assert_int_not_equal(writing, number);
}

static void what_makes_no_sense_is_refused(void **state) {
	struct world *w = *state;
	refuse(w, a_path("Trusted/a", false), -EINVAL, "names no roles");
	apply(w, with_roles);
	refuse(w, a_path("Raw/a", true), -EINVAL, "nobody writes into Raw");
	refuse(w, a_path("Raw", true), -EINVAL, "nobody writes into Raw");
	refuse(w, a_path(".assayfs/audit", false), -EINVAL, "in Landing, Raw or Trusted");
	refuse(w, a_path("", false), -EINVAL, "in Landing, Raw or Trusted");
	struct grant wish = a_path("Trusted/a", false);
	wish.role = ROLE_ANALYST;
	refuse(w, wish, -EINVAL, "not of both");
	wish = a_role(ROLE_ANALYST);
	wish.reason = " ";
	refuse(w, wish, -EINVAL, "a reason is needed");
	wish = a_role(ROLE_ANALYST);
	wish.until_ns = 0;
	refuse(w, wish, -EINVAL, "needs a time");
	wish.until_ns = GRANT_LONGEST_NS + 1;
	refuse(w, wish, -EINVAL, "7 days at most");
}

static void no_more_count_at_a_time_than_there_is_room_for(void **state) {
	struct world *w = *state;
	apply(w, with_roles);
	for (int i = 0; i < GRANTS_MAX; i++)
		give(w, a_role(ROLE_ANALYST));
	struct grant wish = a_role(ROLE_ANALYST), given;
	assert_int_equal(gate_grant(w->gate, &wish, &steward, &given), -E2BIG);
	assert_int_equal(gate_grant_revoke(w->gate, 3, &steward), 0);
	assert_int_equal(gate_grant(w->gate, &wish, &steward, &given), 0);
	assert_int_equal(given.number, GRANTS_MAX + 1); /* no number twice */
	assert_int_equal(gate_grant_revoke(w->gate, 3, &steward), -ENOENT);
}

static void what_users_give_themselves_leaves_places_for_others(void **state) {
	struct world *w = *state;
	struct grant given, wish = a_role(ROLE_ANALYST);
	apply(w, with_roles);
	for (uint32_t uid = 100; uid < 100 + GRANTS_SELVES_MAX / GRANTS_HIMSELF_MAX; uid++) {
		const struct actor himself = {.uid = uid, .gid = 7, .pid = 43, .exe = "test"};
		wish.uid = uid;
		for (int i = 0; i < GRANTS_HIMSELF_MAX; i++)
			assert_int_equal(gate_grant(w->gate, &wish, &himself, &given), 0);
		assert_int_equal(gate_grant(w->gate, &wish, &himself, &given), -E2BIG);
	}
	const struct actor another = {.uid = 99, .gid = 7, .pid = 43, .exe = "test"};
	wish.uid = 99;
	assert_int_equal(gate_grant(w->gate, &wish, &another, &given), -E2BIG);
	for (int i = 0; i < GRANTS_MAX - GRANTS_SELVES_MAX; i++)
		give(w, a_role(ROLE_ANALYST));
	assert_int_equal(gate_grant_revoke(w->gate, 1, &steward), 0); /* a place of those */
	assert_int_equal(gate_grant(w->gate, &wish, &another, &given), 0);
}

static void it_is_kept_over_a_crash_and_so_is_its_end(void **state) {
	struct world *w = *state;
	int64_t until;
	apply(w, with_roles);
	uint64_t role = give(w, a_role(ROLE_AUDITOR)), path = give(w, a_path("Trusted/caf\xe9", true));
	uint64_t gone = give(w, a_path("Trusted/b", false));
	assert_int_equal(gate_grant_revoke(w->gate, gone, &steward), 0);
	assert_int_equal(store_commit_wait(w->store), 0);
	world_crash(w);
	assert_int_equal(gate_lent_roles(w->gate, 8), 1u << ROLE_AUDITOR);
	assert_int_equal(gate_lent_by(w->gate, 8, ROLE_AUDITOR, &until), role);
	assert_int_equal(gate_lent_by(w->gate, 8, ROLE_ANALYST, &until), 0);
	assert_int_equal(lent(w, 8, "Trusted/caf\xe9/x", POLICY_REACH_WRITE), path);
	assert_int_equal(lent(w, 8, "Trusted/b", POLICY_REACH_READ), 0);
	assert_int_equal(give(w, a_role(ROLE_AUDITOR)), gone + 1);
}

static void a_path_of_any_length_is_kept(void **state) {
	struct world *w = *state;
	static char path[TREE_PATH_MAX] = "Trusted/";
	for (size_t at = strlen(path); at < sizeof path - 1; at++)
		path[at] = at % 200 == 0 ? '/' : (char)('a' + at % 26);
	apply(w, with_roles);
	uint64_t number = give(w, a_path(path, false));
	assert_int_equal(store_commit_wait(w->store), 0);
	world_crash(w);
	assert_int_equal(lent(w, 8, path, POLICY_REACH_READ), number);
}

static int expect_next(void *arg, const struct grant *grant) {
	assert_int_equal(grant->number, ++*(uint64_t *)arg);
	return 0;
}

static void the_oldest_comes_first_also_after_a_mount(void **state) {
	struct world *w = *state;
	uint64_t last = 0;
	apply(w, with_roles);
	for (int i = 0; i < 12; i++)
		give(w, a_role(ROLE_ANALYST));
	assert_int_equal(store_commit_wait(w->store), 0);
	world_crash(w);
	assert_int_equal(gate_grants(w->gate, expect_next, &last), 0);
	assert_int_equal(last, 12);
}

/* The list's own go as soon as it has ended. */
static void what_is_told_has_the_texts_of_the_wish(void **state) {
	struct world *w = *state;
	static const char path[] = "Trusted/a", reason[] = "ill";
	apply(w, with_roles);
	struct grant grant = a_path(path, false);
	grant.reason = reason;
	assert_int_equal(gate_grant(w->gate, &grant, &steward, &grant), 0);
	assert_ptr_equal(grant.path, path);
	assert_ptr_equal(grant.reason, reason);
}

static int64_t clock_ns;

static int64_t tell(void *arg) {
	(void)arg;
	return clock_ns;
}

static void a_clock_that_is_set_back_prolongs_nothing(void **state) {
	struct world *w = *state;
	apply(w, with_roles);
	struct Meta *m = store_meta(w->store);
	clock_ns = meta_now(m);
	m->clock.now = tell;
	give(w, a_role(ROLE_AUDITOR));
	clock_ns += HOUR_NS - 1000000000;
	assert_true(gate_lends(w->gate));
	clock_ns -= 30 * HOUR_NS; /* the time that was told stays told */
	assert_true(gate_grant_now(w->gate) >= clock_ns + 30 * HOUR_NS);
	clock_ns += 31 * HOUR_NS;
	assert_false(gate_lends(w->gate));
	clock_ns -= 31 * HOUR_NS;
	assert_false(gate_lends(w->gate));
	assert_int_equal(gate_lent_roles(w->gate, 8), 0);
	m->clock.now = NULL;
}

static void time_goes_on_while_the_clock_stands_still(void **state) {
	struct world *w = *state;
	struct Meta *m = store_meta(w->store);
	apply(w, with_roles);
	clock_ns = meta_now(m) - 10 * HOUR_NS;
	m->clock.now = tell;
	struct grant wish = a_role(ROLE_AUDITOR);
	wish.until_ns = 200000000;
	give(w, wish);
	assert_true(gate_lends(w->gate));
	nanosleep(&(struct timespec){.tv_nsec = 250000000}, NULL);
	assert_false(gate_lends(w->gate));
	m->clock.now = NULL;
}

static void a_mount_begins_no_earlier_than_the_last_commit(void **state) {
	struct world *w = *state;
	apply(w, with_roles);
	assert_int_equal(store_commit_wait(w->store), 0);
	struct Meta *m = store_meta(w->store);
	int64_t now = meta_now(m);
	clock_ns = now - 10 * HOUR_NS;
	m->clock.now = tell;
	meta_begin(m);
	assert_true(meta_now_after_commit(m) > clock_ns + 9 * HOUR_NS);
	assert_int_equal(meta_end(m, 0), 0);
	m->clock.now = NULL;
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_path_is_lent_with_all_below_it),
	        WORLD(what_makes_no_sense_is_refused),
	        WORLD(no_more_count_at_a_time_than_there_is_room_for),
	        WORLD(what_users_give_themselves_leaves_places_for_others),
	        WORLD(it_is_kept_over_a_crash_and_so_is_its_end),
	        WORLD(a_path_of_any_length_is_kept),
	        WORLD(the_oldest_comes_first_also_after_a_mount),
	        WORLD(what_is_told_has_the_texts_of_the_wish),
	        WORLD(a_clock_that_is_set_back_prolongs_nothing),
	        WORLD(time_goes_on_while_the_clock_stands_still),
	        WORLD(a_mount_begins_no_earlier_than_the_last_commit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
