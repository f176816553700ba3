/*
 * fake_kms: a stub of AWS KMS that is strict where others are lax: it verifies the signature and its time, the session
 * token, region and service, takes no member that the verb doesn't have, compares the context exactly, and refuses keys
 * that are disabled or to be deleted. It can be told to answer wrongly, too.
 *
 * Region eu-west-1, account 111122223333.
 */
#pragma once

#include "tests/backend/objects/fake_http.h"

#include <stdint.h>

typedef struct FakeKms FakeKms;

#define FAKE_KMS_ACCESS_KEY "AKEXAMPLE"
#define FAKE_KMS_SECRET_KEY "SECRETEXAMPLE"
/* Of temporary credentials, which need FAKE_KMS_TOKEN or another that was let in. */
#define FAKE_KMS_TEMPORARY_KEY "ASIAEXAMPLE"
#define FAKE_KMS_TOKEN "TOKENEXAMPLE"
#define FAKE_KMS_ARN(id) "arn:aws:kms:eu-west-1:111122223333:key/" id
#define FAKE_KMS_ALIAS_ARN(name) "arn:aws:kms:eu-west-1:111122223333:alias/" name

enum fake_kms_state { FAKE_KMS_ENABLED, FAKE_KMS_DISABLED, FAKE_KMS_PENDING_DELETION, FAKE_KMS_PENDING_IMPORT };

FakeKms *fake_kms_open(void);
void fake_kms_close(FakeKms *kms);
const char *fake_kms_url(const FakeKms *kms);

/* A key with an id and an alias, "alias/" left out. */
void fake_kms_add(FakeKms *kms, const char *id, const char *alias);
void fake_kms_set_state(FakeKms *kms, const char *id, enum fake_kms_state state);

/* Its clock less ours. */
void fake_kms_set_clock(FakeKms *kms, int64_t offset_s);

/* The token that is good from now on. */
void fake_kms_set_token(FakeKms *kms, const char *token);

/* Answers the next `times` requests so, without looking at them. Text must outlive that. */
void fake_kms_be(FakeKms *kms, struct fake_answer answer, unsigned times);

/* The same with an error, of HTTP 400 or another. */
void fake_kms_fail(FakeKms *kms, int status, const char *code, const char *message, unsigned times);

/* How many came, and how many connections were made for them. */
struct fake_counts fake_kms_counts(FakeKms *kms);

/* The body of the last request, copied. */
void fake_kms_last(FakeKms *kms, char *ret, size_t room);
