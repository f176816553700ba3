/* What is written into Trusted, and what is renamed there. */
#include "tests/policy/gate_world.h"

static void a_direct_write_is_published_whole_or_refused_in_words(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	assert_int_equal(staged(w, "animals/d.csv", "good"), 0);
	shows(w, "Trusted/animals/d.csv", "good");
	assert_int_equal(staged(w, "animals/d.csv", "BAD"), -EPERM);
	assert_non_null(strstr(fault_message(), "it says BAD"));
	assert_non_null(strstr(fault_message(), "assayfs why"));
	shows(w, "Trusted/animals/d.csv", "good");
	assert_int_equal(quarantined(w), 1);
	assert_int_equal(staged(w, "nobody/d.csv", "good"), -EPERM);
	shows(w, "Trusted/nobody/d.csv", NULL);
}

static void a_policy_that_comes_into_force_meanwhile_is_the_one_that_counts(void **state) {
	struct world *w = *state;
	struct node node;
	pthread_t thread;
	apply(w, policy_yaml);
	put(w, "Landing/elsewhere.csv", "SLOW");
	resolve(w, "Landing/elsewhere.csv", &node);
	struct slow slow = {.w = w, .node = node.id, .version = node.version, .below = "animals/s.csv"};
	assert_int_equal(pthread_create(&thread, NULL, judge_slowly, &slow), 0);
	nanosleep(&(struct timespec){.tv_nsec = 300 * 1000 * 1000}, NULL);
	apply(w, "version: 1\n"
	         "datasets:\n"
	         "  - {name: others, match: \"others/*.csv\", rules: animals.dqdl}\n");
	pthread_join(thread, NULL);
	assert_int_equal(slow.rc, -EPERM); /* no dataset governs it any more */
	shows(w, "Trusted/animals/s.csv", NULL);
}

static void a_name_that_shows_something_newer_is_not_moved_away_unseen(void **state) {
	struct world *w = *state;
	struct node node, folder;
	pthread_t thread;
	apply(w, policy_yaml);
	assert_int_equal(staged(w, "animals/a.csv", "SLOW"), 0);
	resolve(w, "Trusted/animals", &folder);
	resolve(w, "Trusted/animals/a.csv", &node);
	struct slow slow = {.w = w,
	        .node = node.id,
	        .version = node.version,
	        .below = "animals/b.csv",
	        .from_parent = folder.id,
	        .from_name = "a.csv"};
	assert_int_equal(pthread_create(&thread, NULL, judge_slowly, &slow), 0);
	nanosleep(&(struct timespec){.tv_nsec = 300 * 1000 * 1000}, NULL);
	assert_int_equal(staged(w, "animals/a.csv", "newer"), 0);
	pthread_join(thread, NULL);
	assert_int_equal(slow.rc, -EBUSY);
	shows(w, "Trusted/animals/a.csv", "newer");
	shows(w, "Trusted/animals/b.csv", NULL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_direct_write_is_published_whole_or_refused_in_words),
	        WORLD(a_policy_that_comes_into_force_meanwhile_is_the_one_that_counts),
	        WORLD(a_name_that_shows_something_newer_is_not_moved_away_unseen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
