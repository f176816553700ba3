/*
 * kms_fixture: an environment with credentials for fake_kms and nothing else, and a stub with two keys.
 */
#pragma once

#include "backend/kms/kms.h"
#include "tests/backend/kms/fake_kms.h"
#include "tests/backend/scratch.h"

#define KEY_ID "0a0a0a0a-1111-2222-3333-444444444444"
#define OTHER_ID "mrk-0b0b0b0b111122223333444444444444"
#define KEY_ARN FAKE_KMS_ARN(KEY_ID)
#define OTHER_ARN FAKE_KMS_ARN(OTHER_ID)

struct kms_fixture {
	FakeKms *fake;
	char home[64];
};

/* cmocka set-up and tear-down: *state is a struct kms_fixture. Keys KEY_ID "vault" and OTHER_ID "other/one". */
int kms_fixture_setup(void **state);
int kms_fixture_teardown(void **state);

/* Takes all of AWS's variables out of the environment. */
void kms_fixture_clear_environment(void);

/* Opens with the times of a test that waits for nothing, or those given. */
Kms *kms_fixture_open(const struct kms_fixture *fixture, const char *key, const struct kms_options *options);

/* A context of two ids in hexadecimal. */
extern const struct kms_context kms_fixture_context;
/* The same, but for one digit. */
extern const struct kms_context kms_fixture_other_context;
