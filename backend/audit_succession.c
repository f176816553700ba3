#include "backend/audit_succession.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#define KEY_PREFIX "audit.succession."
#define KEY_BYTES (sizeof KEY_PREFIX + 8)
#define ORIGIN_START "assayfs/"

/* ---- keys ---- */

static int make_key(Meta *m, const uint8_t seed[static SIGN_SEED_BYTES], struct note_key *ret_key) {
	char name[sizeof ORIGIN_START + HEX_TEXT_BYTES(META_VAULT_ID_MAX)] = ORIGIN_START;
	uint8_t id[META_VAULT_ID_MAX], public_key[SIGN_PUBLIC_BYTES];
	hex_encode(bytes_of(id, meta_vault_id(m, id)), name + sizeof ORIGIN_START - 1);
	sign_public(seed, public_key);
	return note_key_make(name, public_key, ret_key);
}

int audit_succession_key(Meta *m, const Keyring *keyring, uint32_t version, struct note_key *ret_key) {
	_cleanup_(secret_key_wipe) struct secret_key seed;
	int rc = keyring_get(keyring, AUDIT_KEY_NAME, version, seed.bytes, NULL);
	return rc < 0 ? rc : make_key(m, seed.bytes, ret_key);
}

/* ---- rows ---- */

static void key_of(uint32_t version, char ret_key[static KEY_BYTES]) {
	(void)snprintf(ret_key, KEY_BYTES, KEY_PREFIX "%08" PRIx32, version);
}

int audit_succession_has(Meta *m, uint32_t version) {
	char key[KEY_BYTES], line[SUCCESSION_LINE_BYTES];
	size_t size = 0;
	key_of(version, key);
	int rc = meta_kv_get(m, key, line, sizeof line, &size);
	return rc == 0 ? 1 : rc == -ENOENT ? 0 : rc;
}

typedef int line_fn(void *arg, struct bytes line, const struct succession *succession);

/* In the order of versions, which is that of sizes. */
static int each_line(Meta *m, uint64_t most, line_fn *fn, void *arg) {
	char key[KEY_BYTES] = KEY_PREFIX, line[SUCCESSION_LINE_BYTES];
	struct succession succession = {0};
	size_t size = 0;
	int rc = 0;
	while (rc == 0 && (rc = meta_kv_next(m, KEY_PREFIX, key, key, sizeof key, line, sizeof line, &size)) == 0) {
		char own[KEY_BYTES];
		rc = succession_parse(bytes_of(line, size), &succession);
		key_of(succession.version, own);
		if (rc < 0 || strcmp(own, key) != 0)
			return fault(EBADMSG, "audit: %s does not say how the log's key was handed on", key);
		if (succession.at.size > most)
			return 0;
		rc = fn(arg, bytes_of(line, size), &succession);
	}
	if (rc == -ERANGE)
		return fault(EBADMSG, "audit: a row of " KEY_PREFIX " is longer than it can be");
	return rc == -ENOENT ? 0 : rc;
}

static int chain_line(void *arg, struct bytes line, const struct succession *succession) {
	(void)line;
	return key_chain_add(arg, succession);
}

static int append_line(void *arg, struct bytes line, const struct succession *succession) {
	(void)line;
	return key_chain_append(arg, succession);
}

static int gather(Meta *m, uint64_t most, line_fn *fn, struct key_chain *ret_chain) {
	struct key_chain chain = {0};
	int rc = each_line(m, most, fn, &chain);
	if (rc < 0) {
		key_chain_clear(&chain);
		return fault_while(rc, "audit: how the log's key was handed on");
	}
	*ret_chain = chain;
	return 0;
}

int audit_succession_chain(Meta *m, uint64_t most, struct key_chain *ret_chain) {
	return gather(m, most, chain_line, ret_chain);
}

int audit_succession_list(Meta *m, uint64_t most, struct key_chain *ret_chain) {
	return gather(m, most, append_line, ret_chain);
}

struct text {
	char *text;
	size_t size, room;
};

static int text_line(void *arg, struct bytes line, const struct succession *succession) {
	struct text *text = arg;
	(void)succession;
	char *grown = array_room(text->text, &text->room, text->size + line.size + 1, 1);
	if (!grown)
		return fault(ENOMEM, "no memory to list how the log's key was handed on");
	text->text = grown;
	memcpy(grown + text->size, line.data, line.size);
	text->size += line.size;
	grown[text->size++] = '\n';
	return 0;
}

int audit_succession_text(Meta *m, uint64_t most, char **ret_text, size_t *ret_size) {
	struct text text = {0};
	int rc = each_line(m, most, text_line, &text);
	if (rc < 0) {
		free(text.text);
		return rc;
	}
	*ret_text = text.text;
	*ret_size = text.size;
	return 0;
}

/* ---- handing on ---- */

bool audit_succession_holds(Meta *m, const Keyring *keyring, const struct key_chain *chain, size_t index) {
	const struct note_key *listed = key_chain_key(chain, index);
	struct note_key key;
	return audit_succession_key(m, keyring, key_chain_version(chain, index), &key) == 0 &&
	       strcmp(listed->name, key.name) == 0 &&
	       memcmp(listed->public_key, key.public_key, sizeof key.public_key) == 0;
}

static int get(Meta *m, const Keyring *keyring, uint32_t version, struct secret_key *ret_seed, struct note_key *ret) {
	int rc = keyring_get(keyring, AUDIT_KEY_NAME, version, ret_seed->bytes, NULL);
	return rc < 0 ? rc : make_key(m, ret_seed->bytes, ret);
}

int audit_succession_put(Meta *m, const Keyring *keyring, uint32_t before, const struct note_key *lost, uint32_t next,
        const struct checkpoint *at, int64_t time_ns) {
	_cleanup_(secret_key_wipe) struct secret_key seed_before, seed_next;
	struct succession succession = {.version_before = before, .version = next, .at = *at, .time_ns = time_ns};
	char key[KEY_BYTES], line[SUCCESSION_LINE_BYTES];
	int rc = lost ? 0 : get(m, keyring, before, &seed_before, &succession.before);
	if (lost)
		succession.before = *lost;
	if (rc == 0)
		rc = get(m, keyring, next, &seed_next, &succession.next);
	if (rc < 0)
		return rc;
	succession_sign(&succession, lost ? NULL : seed_before.bytes, seed_next.bytes);
	succession_line(&succession, line);
	key_of(next, key);
	return meta_kv_put(m, key, bytes_of_string(line));
}
