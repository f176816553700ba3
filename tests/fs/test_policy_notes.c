/* What a steward is told of a policy that is accepted. */
#include "fs/command/policy_notes.h"

#include "crypto/base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void what_has_ended_is_noted_and_what_runs_is_not(void **state) {
	static const char yaml[] =
	        "version: 1\ndatasets:\n  - name: a\n    match: \"*.csv\"\n    privacy: {detect: EMAIL, "
	        "allow: [{value: a@b.ca, owner: anna, until: 2025-03-31}]}\n"
	        "lifecycle:\n  - {zone: Raw, keep_versions: 10}\n";
	PolicyBundle *bundle = NULL;
	Policy *policy = NULL;
	(void)state;
	assert_int_equal(policy_bundle_new(&bundle), 0);
	assert_int_equal(policy_bundle_put(bundle, BUNDLE_POLICY, bytes_of_string(yaml)), 0);
	if (policy_parse(bundle, &policy) < 0)
		fail_msg("%s", fault_message());
	json_t *notes = policy_notes(policy);
	assert_int_equal(json_array_size(notes), 1);
	assert_string_equal(
	        json_string_value(json_array_get(notes, 0)), "policy.yaml:5: the allow entry of anna ended 2025-03-31");
	json_decref(notes);
	policy_free(policy);
	policy_bundle_free(bundle);
}

static size_t notes_of(const char *yaml, const char *words) {
	PolicyBundle *bundle = NULL;
	Policy *policy = NULL;
	assert_int_equal(policy_bundle_new(&bundle), 0);
	assert_int_equal(policy_bundle_put(bundle, BUNDLE_POLICY, bytes_of_string(yaml)), 0);
	if (policy_parse(bundle, &policy) < 0)
		fail_msg("%s", fault_message());
	json_t *notes = policy_notes(policy);
	size_t count = json_array_size(notes);
	for (size_t i = 0; i < count; i++)
		assert_non_null(strstr(json_string_value(json_array_get(notes, i)), words));
	json_decref(notes);
	policy_free(policy);
	policy_bundle_free(bundle);
	return count;
}

static void a_place_for_records_that_is_not_there_is_noted(void **state) {
	(void)state;
	assert_int_equal(notes_of("version: 1\naudit: {ship: /tmp}\n", ""), 0);
	assert_int_equal(notes_of("version: 1\naudit: {}\n", ""), 0);
	assert_int_equal(notes_of("version: 1\naudit: {ship: /nowhere/logs}\n",
	                         "policy.yaml:2: 'ship: /nowhere/logs' is no directory of this machine"),
	        1);
	assert_int_equal(notes_of("version: 1\naudit: {ship: /dev/null}\n", "is no directory"), 1);
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_has_ended_is_noted_and_what_runs_is_not),
	        cmocka_unit_test(a_place_for_records_that_is_not_there_is_noted)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
