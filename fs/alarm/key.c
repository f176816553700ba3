#include "fs/alarm/key.h"

#include "crypto/base/fault.h"
#include "crypto/derive.h"
#include "crypto/encoding.h"
#include "crypto/keyring.h"
#include "crypto/secret.h"
#include "crypto/sign.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int get_seed(Store *store, struct secret_key *ret_seed) {
	_cleanup_(secret_key_wipe) struct secret_key audit;
	uint8_t id[META_VAULT_ID_MAX];
	int rc = keyring_get(store_keyring(store), "audit", 0, audit.bytes, NULL);
	if (rc == 0)
		derive_key(audit.bytes, "alarm webhook", bytes_of(id, meta_vault_id(store_meta(store), id)),
		        ret_seed->bytes);
	return rc;
}

int alarm_key_public(Store *store, char ret_text[static ALARM_KEY_BYTES]) {
	_cleanup_(secret_key_wipe) struct secret_key seed;
	uint8_t public_key[SIGN_PUBLIC_BYTES];
	char text[BASE64_TEXT_BYTES(SIGN_PUBLIC_BYTES)];
	int rc = get_seed(store, &seed);
	if (rc < 0)
		return rc;
	sign_public(seed.bytes, public_key);
	base64_encode(bytes_of(public_key, sizeof public_key), text);
	(void)snprintf(ret_text, ALARM_KEY_BYTES, "whpk_%s", text);
	return 0;
}

int alarm_key_sign(Store *store, const char *id, const char *timestamp, const char *body,
        char ret_signature[static ALARM_SIGNATURE_BYTES]) {
	_cleanup_(secret_key_wipe) struct secret_key seed;
	_cleanup_(freep) char *signed_text = NULL;
	uint8_t signature[SIGN_SIGNATURE_BYTES];
	char text[BASE64_TEXT_BYTES(SIGN_SIGNATURE_BYTES)];
	int rc = get_seed(store, &seed);
	if (rc < 0)
		return rc;
	int length = asprintf(&signed_text, "%s.%s.%s", id, timestamp, body);
	if (length < 0) {
		signed_text = NULL;
		return fault(ENOMEM, "no memory to sign a notification");
	}
	sign_make(seed.bytes, bytes_of(signed_text, (size_t)length), signature);
	base64_encode(bytes_of(signature, sizeof signature), text);
	(void)snprintf(ret_signature, ALARM_SIGNATURE_BYTES, "v1a,%s", text);
	return 0;
}
