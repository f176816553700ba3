/* What the database knows of keys: rows of kv. */
#include "backend/record.h"
#include "backend/store_keys_internal.h"
#include "crypto/base/fault.h"
#include "crypto/digest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NUMBERS 6
#define NUMBERS_BYTES ((size_t)NUMBERS * 8)
#define ROW_BYTES (NUMBERS_BYTES + STORE_ALIAS_BYTES)
#define KV_BYTES (sizeof KV_KEY + KEYRING_NAME_MAX)

static void key_of(const char *name, char ret_key[static KV_BYTES]) {
	(void)snprintf(ret_key, KV_BYTES, KV_KEY "%s", name);
}

int key_row_get(Meta *m, const char *name, struct key_row *ret) {
	char key[KV_BYTES];
	uint8_t value[ROW_BYTES];
	size_t size = 0;
	key_of(name, key);
	int rc = meta_kv_get(m, key, value, sizeof value, &size);
	if (rc == -ENOENT) {
		*ret = (struct key_row){.version = 1, .state = KEY_ACTIVE};
		return 0;
	}
	if (rc == -ERANGE || (rc == 0 && size < NUMBERS_BYTES))
		return fault(EUCLEAN, "metadata: %s is malformed", key);
	if (rc < 0)
		return rc;
	struct key_row row = {.rotated_ns = (int64_t)le64_get(value),
	        .deletion_ns = (int64_t)le64_get(value + 8),
	        .every_days = (int64_t)le64_get(value + 16),
	        .rewrap = le64_get(value + 24),
	        .version = (uint32_t)le64_get(value + 32),
	        .state = (enum key_state)le64_get(value + 40)};
	if (size - NUMBERS_BYTES >= sizeof row.alias || !key_state_name(row.state))
		return fault(EUCLEAN, "metadata: %s is malformed", key);
	memcpy(row.alias, value + NUMBERS_BYTES, size - NUMBERS_BYTES);
	*ret = row;
	return 0;
}

int key_row_put(Meta *m, const char *name, const struct key_row *row) {
	char key[KV_BYTES];
	uint8_t value[ROW_BYTES];
	size_t length = strlen(row->alias);
	key_of(name, key);
	le64_put(value, (uint64_t)row->rotated_ns);
	le64_put(value + 8, (uint64_t)row->deletion_ns);
	le64_put(value + 16, (uint64_t)row->every_days);
	le64_put(value + 24, row->rewrap);
	le64_put(value + 32, row->version);
	le64_put(value + 40, row->state);
	memcpy(value + NUMBERS_BYTES, row->alias, length);
	return meta_kv_put(m, key, bytes_of(value, NUMBERS_BYTES + length));
}

int store_key_known(Meta *m, const char *name, uint32_t *ret_version) {
	struct key_row row;
	int rc = key_row_get(m, name, &row);
	if (rc == 0)
		*ret_version = row.version;
	return rc;
}

void key_own_alias(const char *name, char ret_alias[static STORE_ALIAS_BYTES]) {
	(void)snprintf(ret_alias, STORE_ALIAS_BYTES, "alias/%.57s", strcmp(name, "meta") == 0 ? "metadata" : name);
}

unsigned key_zones(const char *name) {
	unsigned zones = 0;
	for (int zone = ZONE_LANDING; zone <= ZONE_STAGING; zone++)
		if (strcmp(zone_key_name((enum zone)zone), name) == 0)
			zones |= 1u << zone;
	return zones;
}

bool key_find_listed(const VaultHeader *header, const char *name, struct key_info *ret_info) {
	struct key_info info;
	bool found = false;
	for (size_t i = 0; header_key(header, i, &info) == 0; i++)
		if (strcmp(info.name, name) == 0) {
			*ret_info = info; /* they are in order */
			found = true;
		}
	return found;
}

/* ---- after a crash ---- */

/* Seen from the log's side a key has changed by itself. */
static int take_over(Store *store, const struct key_info *info, char *words, size_t size) {
	struct key_row row;
	Meta *m = store->meta;
	const enum key_state state = info->state == KEY_RETIRED ? KEY_ACTIVE : info->state;
	int rc = key_row_get(m, info->name, &row);
	if (rc < 0 || (row.version == info->version && row.state == state))
		return rc;
	if (row.version != info->version)
		row.rotated_ns = meta_now(m);
	/* Never less: what it has sealed under a version that an older file does not know is not sealed twice. */
	row.version = info->version > row.version ? info->version : row.version;
	row.state = state;
	/* Of a deletion without a date, the latest one that may be asked for. */
	row.deletion_ns = state == KEY_PENDING_DELETION ? meta_now(m) + 30 * DAY_NS : 0;
	size_t used = strlen(words);
	(void)snprintf(words + used, size - used, "; alias/%s version %u is %s", info->name, info->version,
	        key_state_name(info->state));
	store_head_name_key(store, info->name, info->version, words, size);
	return key_row_put(m, info->name, &row);
}

static int take_all_over(Store *store, char *words, size_t size) {
	struct key_info info, next;
	int rc = 0;
	for (size_t i = 0; rc == 0 && header_key(store->keys.header, i, &info) == 0; i++) {
		bool is_last = header_key(store->keys.header, i + 1, &next) < 0 || strcmp(next.name, info.name) != 0;
		if (is_last)
			rc = take_over(store, &info, words, size);
	}
	return rc;
}

static int header_hash(const VaultHeader *header, uint8_t ret_hash[static DIGEST_BYTES]) {
	_cleanup_(freep) char *json = NULL;
	size_t size = 0;
	int rc = header_serialize(header, &json, &size);
	if (rc == 0)
		blake2b(bytes_of(json, size), ret_hash);
	return rc;
}

int key_header_note(Store *store) {
	uint8_t generation[8], hash[DIGEST_BYTES];
	le64_put(generation, header_generation(store->keys.header));
	int rc = header_hash(store->keys.header, hash);
	if (rc == 0)
		rc = meta_kv_put(store->meta, KV_GENERATION, bytes_of(generation, sizeof generation));
	return rc < 0 ? rc : meta_kv_put(store->meta, KV_HASH, bytes_of(hash, sizeof hash));
}

/* What the log knows of vault.json. */
struct known_header {
	uint64_t generation;
	bool is_known; /* vaults of earlier programs may not */
	bool is_other; /* a file of the same generation, which is not the one it was: both were signed by a full slot */
	bool has_hash;
};

static int look_known(Store *store, struct known_header *ret) {
	struct known_header known = {0};
	uint8_t value[8] = {0}, hash[DIGEST_BYTES], noted[DIGEST_BYTES];
	size_t size = 0;
	int rc = meta_kv_get(store->meta, KV_GENERATION, value, sizeof value, &size);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	known.is_known = rc == 0;
	known.generation = le64_get(value);
	rc = meta_kv_get(store->meta, KV_HASH, noted, sizeof noted, &size);
	known.has_hash = rc == 0 && size == sizeof noted;
	if (rc == 0 || rc == -ENOENT)
		rc = header_hash(store->keys.header, hash);
	known.is_other = known.has_hash && known.generation == header_generation(store->keys.header) &&
	                 !digest_equal(hash, noted);
	*ret = known;
	return rc;
}

static int refuse_put_back(const struct known_header *known, uint64_t generation) {
	if (known->is_other)
		return fault(ESTALE,
		        "vault.json is another one of generation %lu than it was: one that was set aside was put back. "
		        "If that is meant, mount it with --accept-restore; the log will say so",
		        (unsigned long)generation);
	return fault(ESTALE,
	        "vault.json is of generation %lu, and was of %lu: an older one was put back, which may unlock for who "
	        "was removed since. If that is meant, mount it with --accept-restore; the log will say so",
	        (unsigned long)generation, (unsigned long)known->generation);
}

int store_keys_found(Store *store) {
	char words[AUDIT_DETAIL_MAX];
	struct known_header known = {0};
	const uint64_t generation = header_generation(store->keys.header);
	int rc = look_known(store, &known);
	const bool is_same = known.is_known && known.generation == generation && !known.is_other;
	if (rc < 0 || (is_same && known.has_hash))
		return rc;
	/* The log learns of a generation after the file has it: one that is behind was put back. */
	const bool is_back = known.is_other || (known.is_known && generation < known.generation);
	if (is_back && !store->accept_restore)
		return refuse_put_back(&known, generation);
	(void)snprintf(words, sizeof words, "vault.json is of generation %lu%s, the log knows %lu",
	        (unsigned long)generation, known.is_other ? ", and another one" : "", (unsigned long)known.generation);
	if (known.is_known && !is_same)
		rc = take_all_over(store, words, sizeof words);
	if (rc == 0 && known.is_known && !is_same)
		rc = store_record(store, "key-found", 0, 0, words);
	return rc < 0 ? rc : key_header_note(store);
}
