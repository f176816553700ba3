#include "fs/http/token.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "crypto/encoding.h"
#include "policy/policy.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define KEY_NAME "http.token-key"
#define PREFIX "http.token."
#define VALUE_MAX 512
#define SECRET_BYTES 32

static const char *const words[TOKEN_ROLES] = {"viewer", "auditor", "steward"};

const char *token_role_word(enum token_role role) {
	return role < TOKEN_ROLES ? words[role] : "?";
}

enum token_role token_role_named(const char *word) {
	enum token_role role = TOKEN_VIEWER;
	while (role < TOKEN_ROLES && strcmp(words[role], word) != 0)
		role++;
	return role;
}

unsigned token_policy_roles(enum token_role role) {
	return role == TOKEN_STEWARD ? 1u << ROLE_STEWARD : role == TOKEN_AUDITOR ? 1u << ROLE_AUDITOR : 0;
}

/* ---- what is kept ---- */

static void hash_text(const uint8_t key[static DIGEST_BYTES], const char *text, uint8_t ret[static DIGEST_BYTES]) {
	blake2b_keyed(key, bytes_of(text, strlen(text)), ret);
}

static int get_key(Meta *m, uint8_t ret_key[static DIGEST_BYTES]) {
	size_t size = 0;
	int rc = meta_kv_get(m, KEY_NAME, ret_key, DIGEST_BYTES, &size);
	return rc || size == DIGEST_BYTES ? rc : fault(EUCLEAN, "the key of tokens is damaged");
}

static int need_key(Meta *m, uint8_t ret_key[static DIGEST_BYTES]) {
	int rc = get_key(m, ret_key);
	if (rc != -ENOENT)
		return rc;
	randombytes_buf(ret_key, DIGEST_BYTES);
	return meta_kv_put(m, KEY_NAME, bytes_of(ret_key, DIGEST_BYTES));
}

static int read_value(const char *name, const char *value, size_t size, struct token *ret_token,
        uint8_t ret_hash[static DIGEST_BYTES]) {
	_cleanup_(json_decrefp) json_t *item = json_loadb(value, size, JSON_REJECT_DUPLICATES, NULL);
	const char *hash = json_string_value(json_object_get(item, "hash"));
	const char *role = json_string_value(json_object_get(item, "role"));
	*ret_token = (struct token){.role = role ? token_role_named(role) : TOKEN_ROLES,
	        .by = (uid_t)json_integer_value(json_object_get(item, "by")),
	        .made_s = json_integer_value(json_object_get(item, "made_s")),
	        .until_s = json_integer_value(json_object_get(item, "until_s"))};
	snprintf(ret_token->name, sizeof ret_token->name, "%.*s", (int)sizeof ret_token->name - 1, name);
	if (!hash || ret_token->role == TOKEN_ROLES || hex_decode(hash, DIGEST_BYTES, ret_hash) < 0)
		return fault(EUCLEAN, "what is kept of the token %s is damaged; remove it", name);
	return 0;
}

typedef int each_fn(void *arg, const struct token *token, const uint8_t hash[static DIGEST_BYTES]);

/* One that is damaged is nobody's. */
static int each(Meta *m, each_fn *take, void *arg) {
	char key[sizeof PREFIX + TOKEN_NAME_BYTES] = PREFIX, value[VALUE_MAX];
	for (;;) {
		size_t size = 0;
		int rc = meta_kv_next(m, PREFIX, key, key, sizeof key, value, sizeof value, &size);
		if (rc)
			return rc == -ENOENT ? 0 : rc;
		struct token token;
		uint8_t hash[DIGEST_BYTES];
		rc = read_value(key + strlen(PREFIX), value, size, &token, hash) < 0 ? 0 : take(arg, &token, hash);
		if (rc)
			return rc;
	}
}

/* ---- adding and removing ---- */

static int check_name(const char *name) {
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t length = strlen(name);
	if (length == 0 || length >= TOKEN_NAME_BYTES || strspn(name, allowed) != length)
		return fault(EINVAL, "a token's name has letters, digits, '-', '_' and '.', and at most %d of them",
		        TOKEN_NAME_BYTES - 1);
	return 0;
}

static int count_one(void *arg, const struct token *token, const uint8_t hash[static DIGEST_BYTES]) {
	(void)token;
	(void)hash;
	return ++*(unsigned *)arg >= TOKENS_MAX ? fault(E2BIG, "there are %d tokens; remove one", TOKENS_MAX) : 0;
}

static int keep(Meta *m, const struct token *token, const char *text) {
	uint8_t key[DIGEST_BYTES], hash[DIGEST_BYTES];
	char hex[HEX_TEXT_BYTES(DIGEST_BYTES)], name[sizeof PREFIX + TOKEN_NAME_BYTES], value[VALUE_MAX];
	int rc = need_key(m, key);
	if (rc)
		return rc;
	hash_text(key, text, hash);
	hex_encode(bytes_of(hash, sizeof hash), hex);
	(void)snprintf(name, sizeof name, PREFIX "%s", token->name);
	int length = snprintf(value, sizeof value,
	        "{\"hash\":\"%s\",\"role\":\"%s\",\"by\":%u,\"made_s\":%lld,\"until_s\":%lld}", hex,
	        token_role_word(token->role), (unsigned)token->by, (long long)token->made_s, (long long)token->until_s);
	return meta_kv_put(m, name, bytes_of(value, (size_t)length));
}

int token_add(Meta *m, const struct token *wanted, char ret_text[static TOKEN_TEXT_BYTES]) {
	char name[sizeof PREFIX + TOKEN_NAME_BYTES], value[VALUE_MAX];
	uint8_t secret[SECRET_BYTES];
	size_t size;
	unsigned count = 0;
	int rc = check_name(wanted->name);
	if (!rc)
		rc = each(m, count_one, &count);
	if (rc)
		return rc;
	(void)snprintf(name, sizeof name, PREFIX "%s", wanted->name);
	if (meta_kv_get(m, name, value, sizeof value, &size) != -ENOENT)
		return fault(EEXIST, "there is a token %s; remove it first", wanted->name);
	randombytes_buf(secret, sizeof secret);
	memcpy(ret_text, TOKEN_PREFIX, sizeof TOKEN_PREFIX);
	(void)sodium_bin2base64(ret_text + strlen(TOKEN_PREFIX), TOKEN_TEXT_BYTES - strlen(TOKEN_PREFIX), secret,
	        sizeof secret, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(secret, sizeof secret);
	return keep(m, wanted, ret_text);
}

int token_remove(Meta *m, const char *name) {
	char key[sizeof PREFIX + TOKEN_NAME_BYTES], value[VALUE_MAX];
	size_t size;
	int rc = check_name(name);
	if (rc)
		return rc;
	(void)snprintf(key, sizeof key, PREFIX "%s", name);
	if (meta_kv_get(m, key, value, sizeof value, &size) == -ENOENT)
		return fault(ENOENT, "there is no token %s; 'assayfs token list' shows them", name);
	return meta_kv_remove(m, key);
}

/* ---- asking ---- */

struct listing {
	int (*take)(void *arg, const struct token *token);
	void *arg;
};

static int list_one(void *arg, const struct token *token, const uint8_t hash[static DIGEST_BYTES]) {
	const struct listing *listing = arg;
	(void)hash;
	return listing->take(listing->arg, token);
}

int token_list(Meta *m, int (*take)(void *arg, const struct token *token), void *arg) {
	struct listing listing = {take, arg};
	return each(m, list_one, &listing);
}

struct checking {
	uint8_t hash[DIGEST_BYTES];
	int64_t now_s;
	bool is_found;
	struct token token;
};

static int compare(void *arg, const struct token *token, const uint8_t hash[static DIGEST_BYTES]) {
	struct checking *checking = arg;
	if (digest_equal(hash, checking->hash) && token->until_s > checking->now_s) {
		checking->is_found = true;
		checking->token = *token;
	}
	return 0;
}

int token_check(Meta *m, const char *text, int64_t now_s, struct token *ret_token) {
	struct checking checking = {.now_s = now_s};
	uint8_t key[DIGEST_BYTES];
	int rc = get_key(m, key);
	if (rc == -ENOENT)
		return fault(EACCES, "no token is known");
	if (!rc) {
		hash_text(key, text, checking.hash);
		rc = each(m, compare, &checking);
	}
	if (rc)
		return rc;
	if (!checking.is_found)
		return fault(EACCES, "the token is not known, or has ended");
	*ret_token = checking.token;
	return 0;
}
