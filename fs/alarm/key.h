/*
 * key: what webhooks of alarms are signed with, by the Standard Webhooks scheme (version 1.0.0, asymmetric).
 *
 *     webhook-id: msg_…    webhook-timestamp: seconds    webhook-signature: v1a,BASE64(Ed25519("ID.SECONDS.BODY"))
 *
 * The key is derived (crypto/derive.h) from that of the audit log, for this purpose and this vault alone, so that who
 * holds it, or breaks it, signs no log. It changes when the log's key is rotated. Signing is done in the daemon; the
 * courier gets the finished signature.
 */
#pragma once

#include "backend/store.h"

/* "whpk_" and base64 of 32 bytes; "v1a," and base64 of 64. */
#define ALARM_KEY_BYTES 64
#define ALARM_SIGNATURE_BYTES 104

/* The public key as receivers are given it. -ENOKEY. */
int alarm_key_public(Store *store, char ret_text[static ALARM_KEY_BYTES]);

/* The value of webhook-signature. -ENOKEY, -ENOMEM. */
int alarm_key_sign(Store *store, const char *id, const char *timestamp, const char *body,
        char ret_signature[static ALARM_SIGNATURE_BYTES]);
