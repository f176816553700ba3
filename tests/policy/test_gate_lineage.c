/* What a version came of and what came of it; and the walk that finds it. */
#include "policy/gate/internal.h"
#include "policy/gate/lineage.h"
#include "tests/policy/gate_world.h"

static Lineage *lineage_of(struct world *w, const char *path, size_t most) {
	struct gate_versions start = {0};
	Lineage *lineage = NULL;
	assert_int_equal(gate_versions_of_path(w->gate, path, &start), 0);
	assert_int_equal(lineage_make(w->gate, &start, most, &lineage), 0);
	gate_versions_free(&start);
	return lineage;
}

static unsigned ties_of(const Lineage *lineage, enum lineage_tie_kind kind) {
	size_t count;
	unsigned found = 0;
	const struct lineage_tie *ties = lineage_ties(lineage, &count);
	for (size_t i = 0; i < count; i++)
		found += ties[i].kind == kind;
	return found;
}

static void a_published_file_came_of_raw_and_landing(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good\n");
	put(w, "Landing/animals/b.csv", "other\n");
	settle(w);
	for (unsigned i = 0; i < 3; i++) { /* from each end and from the middle it is the same chain */
		static const char *const paths[] = {
		        "Landing/animals/a.csv", "Raw/animals/a.csv", "Trusted/animals/a.csv"};
		_cleanup_(lineage_freep) Lineage *lineage = lineage_of(w, paths[i], 0);
		assert_int_equal(lineage_versions(lineage)->count, 3);
		assert_int_equal(ties_of(lineage, LINEAGE_TIE_INPUT), 2);
		assert_int_equal(lineage_left_out(lineage), 0);
	}
}

static void what_was_refused_ends_in_quarantine(void **state) {
	struct world *w = *state;
	struct lineage_held held;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "BAD\n");
	settle(w);
	_cleanup_(lineage_freep) Lineage *lineage = lineage_of(w, "Landing/animals/a.csv", 0);
	const struct gate_versions *versions = lineage_versions(lineage);
	assert_int_equal(versions->count, 2);
	assert_false(lineage_held_of(lineage, versions->ids[0], &held));
	assert_true(lineage_held_of(lineage, versions->ids[1], &held));
	assert_string_equal(held.path, "Landing/animals/a.csv");
	assert_int_equal(held.state, QUARANTINE_HELD);
}

static void rows_that_were_withheld_are_tied_to_their_file(void **state) {
	struct world *w = *state;
	world_split_by_rules(w, "Rules = [ ColumnValues \"age\" > 0 ]");
	put(w, "Landing/animals/a.csv", "name,age\na,1\nb,-1\nc,3\n");
	settle(w);
	_cleanup_(lineage_freep) Lineage *lineage = lineage_of(w, "Landing/animals/a.csv", 0);
	assert_int_equal(lineage_versions(lineage)->count, 4);
	assert_int_equal(ties_of(lineage, LINEAGE_TIE_WITHHELD), 1);
}

static void a_circle_is_met_once_and_a_long_chain_is_cut(void **state) {
	struct world *w = *state;
	Meta *m = store_meta(w->store);
	put(w, "Landing/one", "1");
	put(w, "Landing/two", "2");
	put(w, "Landing/three", "3");
	struct node one, two, three;
	resolve(w, "Landing/one", &one);
	resolve(w, "Landing/two", &two);
	resolve(w, "Landing/three", &three);
	meta_begin(m);
	assert_int_equal(lineage_put(m, two.version, one.version, LINEAGE_CLONED), 0);
	assert_int_equal(lineage_put(m, three.version, two.version, LINEAGE_RESTORED), 0);
	assert_int_equal(lineage_put(m, one.version, three.version, LINEAGE_INPUT), 0);
	assert_int_equal(meta_end(m, 0), 0);
	_cleanup_(lineage_freep) Lineage *whole = lineage_of(w, "Landing/two", 0);
	size_t count;
	(void)lineage_ties(whole, &count);
	assert_int_equal(lineage_versions(whole)->count, 3);
	assert_int_equal(count, 3);
	_cleanup_(lineage_freep) Lineage *cut = lineage_of(w, "Landing/two", 2);
	assert_int_equal(lineage_versions(cut)->count, 2);
	assert_true(lineage_left_out(cut) > 0);
}

static void a_walk_meets_each_once_and_counts_what_is_beyond(void **state) {
	(void)state;
	struct version_walk walk = {.most = 2};
	uint64_t version;
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(version_walk_push(&walk, i), 0);
	assert_int_equal(version_walk_push(&walk, 1), 0);
	assert_int_equal(walk.left_out, 1); /* 0 is none, 3 is too many */
	assert_true(version_walk_next(&walk, &version));
	assert_int_equal(version, 1);
	assert_true(version_walk_next(&walk, &version));
	assert_false(version_walk_next(&walk, &version));
	version_walk_free(&walk);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_published_file_came_of_raw_and_landing),
	        WORLD(what_was_refused_ends_in_quarantine),
	        WORLD(rows_that_were_withheld_are_tied_to_their_file),
	        WORLD(a_circle_is_met_once_and_a_long_chain_is_cut),
	        cmocka_unit_test(a_walk_meets_each_once_and_counts_what_is_beyond),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
