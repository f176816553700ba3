/* What the database knows of keys: rows of kv. */
#include "backend/record.h"
#include "backend/store_keys_internal.h"
#include "crypto/base/fault.h"

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

int store_keys_found(Store *store) {
	uint8_t value[8] = {0};
	char words[AUDIT_DETAIL_MAX];
	size_t size = 0;
	const uint64_t generation = header_generation(store->keys.header);
	int rc = meta_kv_get(store->meta, KV_GENERATION, value, sizeof value, &size);
	const bool is_known = rc == 0;
	if ((rc < 0 && rc != -ENOENT) || (is_known && le64_get(value) == generation))
		return rc;
	/* The log learns of a generation after the file has it: one that is behind was put back. */
	if (is_known && generation < le64_get(value) && !store->accept_restore)
		return fault(ESTALE,
		        "vault.json is of generation %lu, and was of %lu: an older one was put back, which may unlock "
		        "for who was removed since. If that is meant, mount it with --accept-restore; the log will say "
		        "so",
		        (unsigned long)generation, (unsigned long)le64_get(value));
	(void)snprintf(words, sizeof words, "vault.json is of generation %lu, the log knows %lu",
	        (unsigned long)generation, (unsigned long)le64_get(value));
	rc = is_known ? take_all_over(store, words, sizeof words) : 0;
	if (rc == 0 && is_known)
		rc = store_record(store, "key-found", 0, 0, words);
	le64_put(value, generation);
	return rc < 0 ? rc : meta_kv_put(store->meta, KV_GENERATION, bytes_of(value, sizeof value));
}
