#include "fs/alarm/key.h"

#include "backend/audit_succession.h"
#include "crypto/base/fault.h"
#include "crypto/derive.h"
#include "crypto/encoding.h"
#include "crypto/keyring.h"
#include "crypto/secret.h"
#include "crypto/sign.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEPS_NS (ALARM_KEY_DAYS * INT64_C(86400) * 1000000000)

static int get_seed(Store *store, uint32_t version, struct secret_key *ret_seed) {
	_cleanup_(secret_key_wipe) struct secret_key audit;
	uint8_t id[META_VAULT_ID_MAX];
	int rc = keyring_get(store_keyring(store), AUDIT_KEY_NAME, version, audit.bytes, NULL);
	if (rc == 0)
		derive_key(audit.bytes, "alarm webhook", bytes_of(id, meta_vault_id(store_meta(store), id)),
		        ret_seed->bytes);
	return rc;
}

/* ---- which ---- */

static int add_key(Store *store, uint32_t version, int64_t until_ns, struct alarm_keys *keys) {
	_cleanup_(secret_key_wipe) struct secret_key seed;
	struct alarm_key *key = &keys->keys[keys->count];
	uint8_t public_key[SIGN_PUBLIC_BYTES];
	char text[BASE64_TEXT_BYTES(SIGN_PUBLIC_BYTES)];
	int rc = get_seed(store, version, &seed);
	if (rc < 0)
		return rc;
	sign_public(seed.bytes, public_key);
	base64_encode(bytes_of(public_key, sizeof public_key), text);
	*key = (struct alarm_key){.version = version, .until_ns = until_ns};
	(void)snprintf(key->text, sizeof key->text, "whpk_%s", text);
	keys->count++;
	return 0;
}

/* Those that were handed on lately, and that this mount has. In an operation. */
static int add_earlier(
        Store *store, const struct key_chain *chain, size_t newest, int64_t now_ns, struct alarm_keys *keys) {
	int rc = 0;
	for (size_t i = newest; rc == 0 && i > 0 && keys->count < ALARM_KEYS_MAX; i--) {
		const int64_t until_ns = chain->list[i - 1].time_ns + KEEPS_NS;
		if (until_ns <= now_ns)
			break;
		if (audit_succession_holds(store_meta(store), store_keyring(store), chain, i - 1))
			rc = add_key(store, key_chain_version(chain, i - 1), until_ns, keys);
	}
	return rc;
}

/* The newest one that this mount has: the last may have gone with an older vault.json that was put back. */
static int add_newest(Store *store, const struct key_chain *chain, struct alarm_keys *keys, size_t *ret_index) {
	size_t i = chain->count;
	int rc = add_key(store, key_chain_version(chain, i), 0, keys);
	while (rc == -ENOKEY && i > 0)
		rc = add_key(store, key_chain_version(chain, --i), 0, keys);
	*ret_index = i;
	return rc;
}

int alarm_key_list(Store *store, int64_t now_ns, struct alarm_keys *ret) {
	struct key_chain chain = {0};
	struct alarm_keys keys = {0};
	size_t newest = 0;
	Meta *m = store_meta(store);
	meta_begin(m);
	int rc = audit_succession_list(m, UINT64_MAX, &chain);
	if (rc == 0)
		rc = add_newest(store, &chain, &keys, &newest);
	if (rc == 0)
		rc = add_earlier(store, &chain, newest, now_ns, &keys);
	(void)meta_end(m, 0);
	key_chain_clear(&chain);
	if (rc == 0)
		*ret = keys;
	return rc;
}

/* ---- signing ---- */

static int add_signature(Store *store, uint32_t version, struct bytes text, char *signatures) {
	_cleanup_(secret_key_wipe) struct secret_key seed;
	uint8_t signature[SIGN_SIGNATURE_BYTES];
	char base64[BASE64_TEXT_BYTES(SIGN_SIGNATURE_BYTES)];
	size_t used = strlen(signatures);
	int rc = get_seed(store, version, &seed);
	if (rc < 0)
		return rc;
	sign_make(seed.bytes, text, signature);
	base64_encode(bytes_of(signature, sizeof signature), base64);
	(void)snprintf(signatures + used, ALARM_SIGNATURE_BYTES - used, "%sv1a,%s", used ? " " : "", base64);
	return 0;
}

int alarm_key_sign(Store *store, int64_t now_ns, const char *id, const char *timestamp, const char *body,
        char ret_signatures[static ALARM_SIGNATURE_BYTES]) {
	_cleanup_(freep) char *text = NULL;
	struct alarm_keys keys;
	char signatures[ALARM_SIGNATURE_BYTES] = "";
	int rc = alarm_key_list(store, now_ns, &keys);
	int length = rc < 0 ? 0 : asprintf(&text, "%s.%s.%s", id, timestamp, body);
	if (length < 0) {
		text = NULL;
		return fault(ENOMEM, "no memory to sign a notification");
	}
	for (size_t i = 0; rc == 0 && i < keys.count; i++)
		rc = add_signature(store, keys.keys[i].version, bytes_of(text, (size_t)length), signatures);
	if (rc == 0)
		memcpy(ret_signatures, signatures, sizeof signatures);
	return rc;
}
