/* A dataset whose rules look at other files of Trusted. */
#include "tests/policy/gate_world.h"

#include "crypto/digest.h"
#include "policy/verdict.h"

static const char yaml[] = "version: 1\n"
                           "datasets:\n"
                           "  - name: register\n"
                           "    match: \"register/*.csv\"\n"
                           "    rules: animals.dqdl\n"
                           "    settle: 0s\n"
                           "  - name: animals\n"
                           "    match: \"animals/*.csv\"\n"
                           "    rules: animals.dqdl\n"
                           "    references: {register: Trusted/register/r.csv, other: Trusted/register/s.csv}\n"
                           "    settle: 0s\n";

struct found {
	Verdict *verdict;
};

static int take_verdict(void *arg, const struct verdict_row *row) {
	struct found *found = arg;
	return verdict_from_json(row->body, &found->verdict);
}

/* The newest verdict about what the path shows. */
static Verdict *verdict_of(struct world *w, const char *path) {
	struct node node;
	struct found found = {0};
	assert_true(resolve(w, path, &node) != 0);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, verdict_latest_for_version(m, node.version, take_verdict, &found)), 0);
	assert_non_null(found.verdict);
	return found.verdict;
}

static void expect_error(struct world *w, const char *path, const char *words) {
	_cleanup_(verdict_freep) Verdict *verdict = verdict_of(w, path);
	assert_int_equal(verdict->check->outcome, OUTCOME_ERROR);
	if (!strstr(verdict->check->reason, words))
		fail_msg("'%s' does not say '%s'", verdict->check->reason, words);
	assert_int_equal(verdict->reference_count, 0);
}

/* The policy, and the two files that it refers to. */
static void apply_with_registers(struct world *w) {
	apply(w, yaml);
	put(w, "Landing/register/r.csv", "first");
	put(w, "Landing/register/s.csv", "second");
	settle(w);
}

static void rules_see_what_trusted_shows(void **state) {
	struct world *w = *state;
	apply_with_registers(w);
	put(w, "Landing/animals/a.csv", "second");
	put(w, "Landing/animals/b.csv", "third");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "second");
	assert_int_equal(outcome_of(w, "Landing/animals/b.csv"), OUTCOME_FAILED);
	shows(w, "Trusted/animals/b.csv", NULL);
}

static void a_missing_reference_is_an_error_that_names_it(void **state) {
	struct world *w = *state;
	apply(w, yaml);
	put(w, "Landing/register/r.csv", "first");
	put(w, "Landing/register/s.csv", "BAD");
	settle(w);
	put(w, "Landing/animals/a.csv", "first");
	settle(w);
	expect_error(w, "Raw/animals/a.csv",
	        "the reference \"other\" is missing: there is no file Trusted/register/s.csv yet");
	shows(w, "Trusted/animals/a.csv", NULL);
	/* it is judged again when it comes again, and not before */
	put(w, "Landing/register/s.csv", "second");
	settle(w);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_ERROR);
	put(w, "Landing/animals/a.csv", "first");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "first");
}

static void a_verdict_names_the_versions_that_it_rests_on(void **state) {
	struct world *w = *state;
	uint8_t first[32], changed[32];
	sha256(bytes_of_string("first"), first);
	sha256(bytes_of_string("changed"), changed);
	apply_with_registers(w);
	put(w, "Landing/animals/a.csv", "first");
	settle(w);
	_cleanup_(verdict_freep) Verdict *old = verdict_of(w, "Raw/animals/a.csv");
	assert_int_equal(old->reference_count, 2);
	assert_string_equal(old->references[0].alias, "register");
	assert_string_equal(old->references[0].path, "Trusted/register/r.csv");
	assert_memory_equal(old->references[0].sha256, first, 32);
	assert_string_equal(old->references[1].alias, "other");
	put(w, "Landing/register/r.csv", "changed");
	settle(w);
	put(w, "Landing/animals/c.csv", "changed");
	settle(w);
	_cleanup_(verdict_freep) Verdict *new = verdict_of(w, "Raw/animals/c.csv");
	assert_int_equal(new->check->outcome, OUTCOME_PASSED);
	assert_memory_equal(new->references[0].sha256, changed, 32);
}

/* The same bytes again, under the same policy, with another reference: nothing of the former verdict is taken over. */
static void the_same_bytes_are_judged_anew_by_other_references(void **state) {
	struct world *w = *state;
	apply_with_registers(w);
	put(w, "Landing/animals/a.csv", "first");
	settle(w);
	put(w, "Landing/register/r.csv", "changed");
	settle(w);
	put(w, "Landing/animals/a.csv", "first");
	settle(w);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_FAILED);
}

static void a_direct_write_is_held_against_them_too(void **state) {
	struct world *w = *state;
	apply(w, yaml);
	assert_int_equal(staged(w, "animals/a.csv", "first"), -EPERM);
	assert_non_null(strstr(fault_message(), "the reference \"register\" is missing"));
	assert_int_equal(staged(w, "register/r.csv", "first"), 0);
	assert_int_equal(staged(w, "register/s.csv", "second"), 0);
	assert_int_equal(staged(w, "animals/a.csv", "first"), 0);
	assert_int_equal(staged(w, "animals/a.csv", "third"), -EPERM);
	shows(w, "Trusted/animals/a.csv", "first");
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(rules_see_what_trusted_shows),
	        WORLD(a_missing_reference_is_an_error_that_names_it),
	        WORLD(a_verdict_names_the_versions_that_it_rests_on),
	        WORLD(the_same_bytes_are_judged_anew_by_other_references),
	        WORLD(a_direct_write_is_held_against_them_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
