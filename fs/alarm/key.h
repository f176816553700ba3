/*
 * key: what webhooks of alarms are signed with, by the Standard Webhooks scheme (version 1.0.0, asymmetric).
 *
 *     webhook-id: msg_…    webhook-timestamp: seconds    webhook-signature: v1a,BASE64(Ed25519("ID.SECONDS.BODY"))
 * v1a,…
 *
 * A key is derived (crypto/derive.h) from each version of that of the audit log, for this purpose and this vault alone,
 * so that who holds it, or breaks it, signs no log. When the log's key was rotated, the one of the version before goes
 * on to sign as well for ALARM_KEY_DAYS, so that receivers have time to learn the new one; by the clock, from the time
 * that the log has of it (backend/audit_succession.h). Signing is done in the daemon; the courier gets the finished
 * signatures.
 */
#pragma once

#include "backend/store.h"

#define ALARM_KEY_DAYS 7
/* Of so many versions at most, the newest. */
#define ALARM_KEYS_MAX 8
/* "whpk_" and base64 of 32 bytes; "v1a," and base64 of 64 of each, a blank between them. */
#define ALARM_KEY_BYTES 64
#define ALARM_SIGNATURE_BYTES (ALARM_KEYS_MAX * 104)

struct alarm_keys {
	size_t count; /* at least 1: the present one is the first */
	struct alarm_key {
		uint32_t version;           /* of the log's key */
		char text[ALARM_KEY_BYTES]; /* the public key as receivers are given it */
		int64_t until_ns;           /* it signs no longer then; 0: not known */
	} keys[ALARM_KEYS_MAX];
};

/* All that sign at `now_ns`. -ENOKEY. */
int alarm_key_list(Store *store, int64_t now_ns, struct alarm_keys *ret);

/* The value of webhook-signature at that time. -ENOKEY, -ENOMEM. */
int alarm_key_sign(Store *store, int64_t now_ns, const char *id, const char *timestamp, const char *body,
        char ret_signatures[static ALARM_SIGNATURE_BYTES]);
