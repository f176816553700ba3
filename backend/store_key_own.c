/*
 * Keys that folders and datasets have of their own: making them, and what policies call them.
 *
 *     kv key.NAME           as of any key; its alias is what it was called first
 *     kv key-made.NAME      when it was made
 *     kv key-called.WORD    the key that a policy calls WORD: it stays that one when the key is given another alias
 */
#include "backend/record.h"
#include "backend/store_keys_internal.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KV_MADE "key-made."
#define KV_CALLED "key-called."
#define KV_BYTES (sizeof KV_CALLED + STORE_ALIAS_BYTES)
#define NAME_RANDOM_BYTES 6
static_assert(sizeof STORE_OWN_PREFIX + 2 * NAME_RANDOM_BYTES <= OWN_KEY_BYTES, "a segment's header has room for it");

bool key_is_own(const char *name) {
	return strncmp(name, STORE_OWN_PREFIX, strlen(STORE_OWN_PREFIX)) == 0 && strlen(name) < OWN_KEY_BYTES;
}

bool key_is_drawn(const char *name) {
	const size_t prefix = strlen(STORE_OWN_PREFIX);
	return key_is_own(name) && strlen(name) == prefix + 2 * (size_t)NAME_RANDOM_BYTES &&
	       strspn(name + prefix, "0123456789abcdef") == 2 * (size_t)NAME_RANDOM_BYTES;
}

/* ---- rows ---- */

static int put_called(Meta *m, const char *word, const char *name) {
	char key[KV_BYTES];
	(void)snprintf(key, sizeof key, KV_CALLED "%s", word);
	return meta_kv_put(m, key, bytes_of_string(name));
}

int store_key_called(Meta *m, const char *word, char ret_name[static OWN_KEY_BYTES]) {
	char key[KV_BYTES];
	uint8_t value[OWN_KEY_BYTES] = {0};
	size_t size = 0;
	(void)snprintf(key, sizeof key, KV_CALLED "%.*s", STORE_ALIAS_BYTES - 1, word);
	int rc = meta_kv_get(m, key, value, sizeof value - 1, &size);
	if (rc == -ENOENT)
		return rc;
	if (rc == 0 && !key_is_own((const char *)value))
		rc = -EUCLEAN;
	if (rc < 0)
		return fault(EUCLEAN, "metadata: %.64s is malformed", key);
	memcpy(ret_name, value, OWN_KEY_BYTES);
	return 0;
}

int key_made_get(Meta *m, const char *name, int64_t *ret_ns) {
	char key[KV_BYTES];
	uint8_t value[8] = {0};
	size_t size = 0;
	(void)snprintf(key, sizeof key, KV_MADE "%.20s", name);
	int rc = meta_kv_get(m, key, value, sizeof value, &size);
	if (rc < 0 && rc != -ENOENT)
		return fault(EUCLEAN, "metadata: %s is malformed", key);
	*ret_ns = (int64_t)le64_get(value);
	return 0;
}

static int put_made(Meta *m, const char *name) {
	char key[KV_BYTES];
	uint8_t value[8];
	(void)snprintf(key, sizeof key, KV_MADE "%s", name);
	le64_put(value, (uint64_t)meta_now(m));
	return meta_kv_put(m, key, bytes_of(value, sizeof value));
}

int store_key_own_words(Meta *m, const char *own, int rc) {
	struct key_row row = {0};
	char alias[STORE_ALIAS_BYTES];
	key_own_alias(own, alias);
	if (key_row_get(m, own, &row) == 0 && row.alias[0])
		memcpy(alias, row.alias, sizeof alias);
	switch (rc) {
	case -EKEYREVOKED:
		return fault(EKEYREVOKED, "the folder's own key %s is disabled, or to be deleted", alias);
	case -EKEYEXPIRED:
		return fault(EKEYEXPIRED, "the folder's own key %s was deleted", alias);
	case -ENOKEY:
		return fault(ENOKEY, "the slot that unlocked the vault does not hold the folder's own key %s", alias);
	default:
		return rc;
	}
}

/* ---- what a word means ---- */

struct naming {
	const char *word;
	const char *called; /* the key that policies call so; "": none */
	struct store_key found;
	unsigned rank; /* by what it was found; 0: it was not */
};

enum {
	RANK_NAME = 1,
	RANK_ALIAS,
	RANK_CALLED,
};

/* As store_key_find(): the policy's word goes before an alias that a person gave, and that before names. */
static int look_at_key(void *arg, const struct store_key *key) {
	struct naming *naming = arg;
	char own[STORE_ALIAS_BYTES];
	unsigned rank = 0;
	key_own_alias(key->name, own);
	if (strcmp(key->name, naming->called) == 0)
		rank = RANK_CALLED;
	else if (strcmp(key->alias + strlen("alias/"), naming->word) == 0)
		rank = RANK_ALIAS;
	else if (strcmp(own + strlen("alias/"), naming->word) == 0 || strcmp(key->name, naming->word) == 0)
		rank = RANK_NAME;
	if (rank > naming->rank) {
		naming->found = *key;
		naming->rank = rank;
	}
	return rank == RANK_CALLED;
}

/* What is found may be no folder's. */
static int check_found(const struct naming *naming) {
	if (!key_is_own(naming->found.name))
		return fault(EINVAL, "alias/%s is the key of something else (%s): a folder can't have it for its own",
		        naming->word, naming->found.name);
	if (naming->found.state == KEY_DELETED)
		return fault(EKEYEXPIRED, "the key alias/%s was deleted: a folder needs another one", naming->word);
	return 0;
}

/* The name of the key that there is for the word; "": there is none. */
static int find_own(Store *store, const char *word, char ret_name[static OWN_KEY_BYTES]) {
	char called[OWN_KEY_BYTES] = "";
	struct naming naming = {.word = word, .called = called};
	Meta *m = store_meta(store);
	ret_name[0] = '\0';
	int rc = keyring_check_name(word);
	if (rc == 0 && strlen(word) > STORE_ALIAS_BYTES - sizeof "alias/")
		rc = fault(EINVAL, "\"%.100s\" is too long for an alias: it may have %zu characters", word,
		        STORE_ALIAS_BYTES - sizeof "alias/");
	if (rc < 0)
		return rc;
	meta_begin(m);
	rc = meta_end(m, store_key_called(m, word, called));
	if (rc == 0 || rc == -ENOENT)
		rc = key_list(store, false, look_at_key, &naming);
	if (rc == 0 && naming.rank > 0)
		rc = check_found(&naming);
	else if (rc == 0 && key_is_drawn(word))
		rc = fault(EINVAL, "alias/%s looks like the id of a key, and the vault has none of that id", word);
	if (rc < 0)
		return rc;
	/* One that vault.json lost is still the project's: what it sealed tells so, and nothing takes its place. */
	const char *name = naming.rank > 0 ? naming.found.name : called;
	memcpy(ret_name, name, strlen(name) + 1);
	return 0;
}

/* ---- making ---- */

static int make_all(struct key_change *change, char (*names)[OWN_KEY_BYTES], const bool *is_new, size_t n) {
	int rc = 0;
	for (size_t i = 0; i < n && rc == 0; i++) {
		uint8_t random[NAME_RANDOM_BYTES];
		char hex[HEX_TEXT_BYTES(NAME_RANDOM_BYTES)];
		if (!is_new[i])
			continue;
		do {
			randombytes_buf(random, sizeof random);
			hex_encode(bytes_of(random, sizeof random), hex);
			(void)snprintf(names[i], OWN_KEY_BYTES, STORE_OWN_PREFIX "%s", hex);
			rc = keyring_create(change->keyring, names[i], KEY_SECRET);
		} while (rc == -EEXIST);
	}
	if (rc == 0)
		rc = header_update(change->header, change->keyring);
	return rc;
}

/* With the operation that the change's generation is noted in. */
static int record_all(struct key_change *change, const char *const *words, char (*names)[OWN_KEY_BYTES],
        const bool *is_new, size_t n, const struct actor *actor) {
	Store *store = change->store;
	meta_begin(store->meta);
	int rc = key_header_note(store);
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct key_row row = {.version = 1, .state = KEY_ACTIVE};
		char detail[256];
		if (!is_new[i])
			continue;
		(void)snprintf(row.alias, sizeof row.alias, "alias/%.57s", words[i]);
		(void)snprintf(detail, sizeof detail, "alias/%s is called %s", names[i], row.alias);
		rc = key_row_put(store->meta, names[i], &row);
		if (rc == 0)
			rc = put_made(store->meta, names[i]);
		if (rc == 0)
			rc = put_called(store->meta, words[i], names[i]);
		if (rc == 0)
			rc = key_record(store, (struct audit_event){.event = "key-create", .detail = detail}, actor);
	}
	rc = meta_end(store->meta, rc);
	if (rc == 0)
		rc = store_commit_wait(store);
	return fault_while(rc, "recording what was changed in %s", STORE_HEADER_NAME);
}

static int create(Store *store, const char *const *words, char (*names)[OWN_KEY_BYTES], const bool *is_new, size_t n,
        const struct actor *actor) {
	struct key_change change = {0};
	int rc = key_change_begin(store, NULL, &change);
	if (rc == 0)
		rc = make_all(&change, names, is_new, n);
	if (rc == 0)
		rc = key_change_write(&change);
	if (rc == 0) {
		keyring_take(store->keyring, change.keyring);
		rc = record_all(&change, words, names, is_new, n, actor);
	}
	key_change_end(&change);
	return rc;
}

/* Those that there were keep what policies call them, too. */
static int note_called(
        Store *store, const char *const *words, char (*names)[OWN_KEY_BYTES], const bool *is_new, size_t n) {
	Meta *m = store_meta(store);
	int rc = 0;
	meta_begin(m);
	for (size_t i = 0; i < n && rc == 0; i++) {
		char called[OWN_KEY_BYTES] = "";
		if (is_new[i])
			continue;
		rc = store_key_called(m, words[i], called);
		if (rc == -ENOENT || (rc == 0 && strcmp(called, names[i]) != 0))
			rc = put_called(m, words[i], names[i]);
	}
	return meta_end(m, rc);
}

static bool is_first(const char *const *words, size_t at) {
	for (size_t i = 0; i < at; i++)
		if (strcmp(words[i], words[at]) == 0)
			return false;
	return true;
}

int store_key_own(Store *store, const char *const *words, size_t n, const struct actor *actor, bool *ret_is_new,
        size_t *ret_wrong) {
	_cleanup_(freep) char(*names)[OWN_KEY_BYTES] = calloc(n ? n : 1, sizeof *names);
	size_t missing = 0;
	int rc = names ? 0 : fault(ENOMEM, "no memory for the names of keys");
	for (size_t i = 0; i < n && rc == 0; i++) {
		*ret_wrong = i;
		ret_is_new[i] = false;
		rc = find_own(store, words[i], names[i]);
		ret_is_new[i] = rc == 0 && !names[i][0] && is_first(words, i);
		missing += ret_is_new[i];
	}
	if (rc < 0)
		return rc;
	*ret_wrong = n;
	if (missing > 0)
		rc = create(store, words, names, ret_is_new, n, actor);
	/* One that comes twice in the list was made once. */
	for (size_t i = 0; i < n && rc == 0; i++)
		for (size_t first = 0; !names[i][0] && first < i; first++)
			if (strcmp(words[first], words[i]) == 0)
				memcpy(names[i], names[first], sizeof names[i]);
	return rc == 0 && n > 0 ? note_called(store, words, names, ret_is_new, n) : rc;
}
