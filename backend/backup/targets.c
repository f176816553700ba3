#include "backend/backup/targets.h"

#include "backend/zone.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_PREFIX "backup.target."
#define KEY_BYTES 40
#define LOCK_DAYS_MAX 36500
#define SHAPE "{s:s%, s:s%, s:I, s:s%, s:I, s:s%, s:s%, s:s%, s:s%, s:I, s:I !}"

static int malformed(const char *words) {
	return fault(EUCLEAN, "metadata: the row of a target of the backup: %s", words);
}

/* A text that fits, with its NUL. */
static bool take(char *to, size_t room, const char *text, size_t length) {
	if (length >= room || memchr(text, '\0', length))
		return false;
	memcpy(to, text, length + 1);
	return true;
}

static bool is_within(json_int_t value, json_int_t most) {
	return value >= 0 && value <= most;
}

static int unpack(json_t *root, struct backup_target *target) {
	const char *url, *endpoint, *prefix, *access, *secret, *token, *region;
	size_t url_n, endpoint_n, prefix_n, access_n, secret_n, token_n, region_n;
	json_int_t zones, days, uid, added;
	if (json_unpack(root, SHAPE, "url", &url, &url_n, "endpoint", &endpoint, &endpoint_n, "zones", &zones, "prefix",
	            &prefix, &prefix_n, "lock_days", &days, "access_key", &access, &access_n, "secret_key", &secret,
	            &secret_n, "session_token", &token, &token_n, "region", &region, &region_n, "uid", &uid, "added_ns",
	            &added) < 0)
		return malformed("not the members that it should have");
	bool fits = take(target->url, sizeof target->url, url, url_n) &&
	            take(target->endpoint, sizeof target->endpoint, endpoint, endpoint_n) &&
	            take(target->prefix, sizeof target->prefix, prefix, prefix_n) &&
	            take(target->access_key, sizeof target->access_key, access, access_n) &&
	            take(target->secret_key, sizeof target->secret_key, secret, secret_n) &&
	            take(target->session_token, sizeof target->session_token, token, token_n) &&
	            take(target->region, sizeof target->region, region, region_n);
	if (!fits || !is_within(zones, TARGET_ZONES_ALL) || !is_within(days, LOCK_DAYS_MAX) ||
	        !is_within(uid, UINT32_MAX))
		return malformed("a value that can't be");
	target->zones = (uint32_t)zones;
	target->lock_days = (uint32_t)days;
	target->uid = (uint32_t)uid;
	target->added_ns = added;
	return 0;
}

int target_parse(struct bytes row, struct backup_target *ret) {
	json_error_t error;
	json_t *root = json_loadb((const char *)row.data, row.size, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return malformed("no JSON");
	_cleanup_(freep) struct backup_target *target = calloc(1, sizeof *target);
	int rc = target ? unpack(root, target) : fault(ENOMEM, "no memory for a target of the backup");
	if (rc == 0)
		*ret = *target;
	if (target)
		secret_wipe(target, sizeof *target);
	json_decref(root);
	return rc;
}

int target_print(const struct backup_target *t, char **ret_row, size_t *ret_size) {
	json_t *root = json_pack("{s:s, s:s, s:I, s:s, s:I, s:s, s:s, s:s, s:s, s:I, s:I}", "url", t->url, "endpoint",
	        t->endpoint, "zones", (json_int_t)t->zones, "prefix", t->prefix, "lock_days", (json_int_t)t->lock_days,
	        "access_key", t->access_key, "secret_key", t->secret_key, "session_token", t->session_token, "region",
	        t->region, "uid", (json_int_t)t->uid, "added_ns", (json_int_t)t->added_ns);
	if (!root)
		return fault(EINVAL, "the target of a backup: text that is not UTF-8");
	char *row = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (!row)
		return fault(ENOMEM, "no memory for a target of the backup");
	size_t size = strlen(row);
	if (size > TARGET_ROW_BYTES) {
		secret_wipe(row, size);
		free(row);
		return fault(EMSGSIZE, "the target of a backup: too long");
	}
	*ret_row = row;
	*ret_size = size;
	return 0;
}

uint32_t target_zones(const struct backup_target *target) {
	uint32_t zones = target->zones ? target->zones : TARGET_ZONES_ALL;
	return zones & 1u << ZONE_LANDING ? zones | 1u << ZONE_STAGING : zones;
}

/* ---- rows ---- */

static int number_of(const char *key, uint32_t *ret) {
	char again[KEY_BYTES];
	unsigned number = 0;
	if (sscanf(key, KEY_PREFIX "%u", &number) != 1 || number == 0)
		return malformed("its key has no number");
	(void)snprintf(again, sizeof again, KEY_PREFIX "%08u", number);
	if (strcmp(again, key) != 0)
		return malformed("its key has no number");
	*ret = number;
	return 0;
}

int targets_read(Meta *m, struct backup_target **ret_targets, size_t *ret_count) {
	struct backup_target *targets = calloc(BACKUP_TARGETS_MAX, sizeof *targets);
	uint8_t *row = malloc(TARGET_ROW_BYTES);
	char key[KEY_BYTES] = KEY_PREFIX;
	size_t count = 0, size;
	int rc = targets && row ? 0 : fault(ENOMEM, "no memory for the targets of the backup");
	while (rc == 0 && count < BACKUP_TARGETS_MAX) {
		rc = meta_kv_next(m, KEY_PREFIX, key, key, sizeof key, row, TARGET_ROW_BYTES, &size);
		if (rc == 0)
			rc = target_parse(bytes_of(row, size), &targets[count]);
		if (rc == 0)
			rc = number_of(key, &targets[count++].number);
	}
	rc = rc == -ENOENT ? 0 : rc;
	if (row)
		secret_wipe(row, TARGET_ROW_BYTES);
	free(row);
	if (rc == 0) {
		*ret_targets = steal_pointer(&targets);
		*ret_count = count;
	}
	if (targets)
		secret_wipe(targets, BACKUP_TARGETS_MAX * sizeof *targets);
	free(targets);
	return rc;
}

int target_put(Meta *m, const struct backup_target *target) {
	char key[KEY_BYTES], *row = NULL;
	size_t size = 0;
	(void)snprintf(key, sizeof key, KEY_PREFIX "%08" PRIu32, target->number);
	int rc = target_print(target, &row, &size);
	if (rc == 0) {
		rc = meta_kv_put(m, key, bytes_of(row, size));
		secret_wipe(row, size);
		free(row);
	}
	return rc;
}

int target_remove(Meta *m, uint32_t number) {
	char key[KEY_BYTES];
	(void)snprintf(key, sizeof key, KEY_PREFIX "%08" PRIu32, number);
	return meta_kv_remove(m, key);
}
