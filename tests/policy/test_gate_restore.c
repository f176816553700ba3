/* What comes back: restores. */
#include "tests/policy/gate_world.h"

static void a_restored_version_passes_the_gate_too(void **state) {
	struct world *w = *state;
	uint64_t ordinal;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	put(w, "Landing/animals/a.csv", "BAD");
	settle(w);
	put(w, "Landing/animals/a.csv", "third");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "third");
	assert_int_equal(gate_restore(w->gate, "Landing/animals/a.csv", 2, &somebody, NULL, NULL, &ordinal), 0);
	assert_int_equal(ordinal, 4);
	settle(w);
	shows(w, "Landing/animals/a.csv", "BAD");
	shows(w, "Trusted/animals/a.csv", "third");
	assert_int_equal(gate_restore(w->gate, "Trusted/animals/a.csv", 1, &somebody, NULL, NULL, &ordinal), 0);
	shows(w, "Trusted/animals/a.csv", "good");
	assert_int_equal(gate_restore(w->gate, "Raw/animals/a.csv", 1, &somebody, NULL, NULL, &ordinal), -EPERM);
	assert_int_equal(gate_restore(w->gate, "Landing/animals/a.csv", 99, &somebody, NULL, NULL, &ordinal), -ENOENT);
	assert_int_equal(gate_restore(w->gate, "Landing/nothing.csv", 1, &somebody, NULL, NULL, &ordinal), -ENOENT);
}

static void a_file_restored_under_its_former_name_is_one_of_its_own(void **state) {
	struct world *w = *state;
	struct node folder;
	struct renamed renamed;
	uint64_t ordinal;
	put(w, "Landing/x/a.csv", "first");
	put(w, "Landing/x/a.csv", "second");
	assert_int_equal(store_commit_wait(w->store), 0); /* what a name showed within one commit leaves no trace */
	resolve(w, "Landing/x", &folder);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, tree_rename(m, folder.id, bytes_of_string("a.csv"), folder.id,
	                                     bytes_of_string("b.csv"), 0, &renamed)),
	        0);
	assert_int_equal(gate_restore(w->gate, "Landing/x/a.csv", 1, &somebody, NULL, NULL, &ordinal), 0);
	shows(w, "Landing/x/a.csv", "first");
	shows(w, "Landing/x/b.csv", "second");
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_restored_version_passes_the_gate_too),
	        WORLD(a_file_restored_under_its_former_name_is_one_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
