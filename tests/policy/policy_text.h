/*
 * policy_text: policies that a test writes down. Each bundle has the rules files animals.dqdl and r.dqdl.
 */
#pragma once

#include "policy/policy.h"

#include "crypto/base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char rules[] = "Rules = [ RowCount > 10 ]\n";

/* A bundle with this policy.yaml; the caller frees. */
static inline PolicyBundle *bundle_of(const char *yaml, size_t size) {
	PolicyBundle *bundle = NULL;
	assert_int_equal(policy_bundle_new(&bundle), 0);
	assert_int_equal(policy_bundle_put(bundle, BUNDLE_POLICY, bytes_of(yaml, size)), 0);
	assert_int_equal(policy_bundle_put(bundle, "animals.dqdl", bytes_of_string(rules)), 0);
	assert_int_equal(policy_bundle_put(bundle, "r.dqdl", bytes_of_string(rules)), 0);
	return bundle;
}

/* It must parse; the caller frees. */
static inline Policy *parse(const char *yaml) {
	PolicyBundle *bundle = bundle_of(yaml, strlen(yaml));
	Policy *policy = NULL;
	if (policy_parse(bundle, &policy) < 0)
		fail_msg("%s", fault_message());
	policy_bundle_free(bundle);
	return policy;
}

/* It must not, with this error and words that begin so. */
static inline void expect_refused(const char *yaml, size_t size, int rc, const char *words) {
	PolicyBundle *bundle = bundle_of(yaml, size);
	Policy *policy = NULL;
	int got = policy_parse(bundle, &policy);
	policy_bundle_free(bundle);
	if (policy || got != rc)
		fail_msg("answered with %d (%s): %s", got, got < 0 ? fault_message() : "accepted", yaml);
	if (strncmp(fault_message(), words, strlen(words)) != 0)
		fail_msg("said '%s', not '%s'", fault_message(), words);
}
