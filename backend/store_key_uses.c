/* Uses of keys in the log: key_uses.h keeps what waits, segments tell the keys, and aliases are those of the day. */
#include "backend/store_keys_internal.h"
#include "backend/tree.h"
#include "backend/version.h"
#include "crypto/base/deadline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DETAIL_BYTES (STORE_ALIAS_BYTES + KEYRING_NAME_MAX + 64)

/* An hour is one of the wall's, and no clock that is set makes it another. */
static int64_t now_s(void) {
	return boottime_ms() / 1000;
}

static const char *event_of(const struct key_use *use) {
	const char *event = "key-decrypt";
	if (use->seals)
		event = "key-generate-data-key";
	return event;
}

/* By the alias of the day, and where that says nothing of it by what the key is called in vault.json for ever. */
static int name_key(Store *store, const struct key_use *use, char ret_words[static DETAIL_BYTES]) {
	char alias[STORE_ALIAS_BYTES];
	struct key_row row;
	int rc = key_row_get(store->meta, use->key, &row);
	if (rc < 0)
		return rc;
	key_own_alias(use->key, alias);
	const bool is_called = row.alias[0] && strcmp(row.alias, alias) != 0;
	(void)snprintf(ret_words, DETAIL_BYTES, "%s version %u%s%s", is_called ? row.alias : alias, use->version,
	        is_called ? ", id " : "", is_called ? use->key : "");
	return 0;
}

bool store_key_use_counts(Store *store, const struct key_use *use) {
	return store->read_only || key_uses_count(store->key_uses, use);
}

int store_key_use_record(Store *store, const struct key_use *use, const struct audit_event *occasion) {
	char words[DETAIL_BYTES];
	struct audit_event event = {.event = event_of(use),
	        .actor = use->actor,
	        .path = occasion->path,
	        .path_bytes = occasion->path_bytes,
	        .node = occasion->node,
	        .version = occasion->version,
	        .detail = words};
	int rc = name_key(store, use, words);
	if (rc == 0)
		rc = audit_record(store->meta, &event, NULL);
	if (rc == 0)
		key_uses_add(store->key_uses, use, now_s());
	return rc;
}

/* Who used the segment's key, NULL: the daemon. false: there is nothing to be recorded of it, or it is counted. */
static bool is_first(Store *store, const struct actor *actor, uint32_t segment, struct key_use *use) {
	if (actor)
		use->actor = *actor;
	else
		store_daemon_actor(&use->actor);
	segment_key_used(store->segments, segment, use->key, &use->version);
	return use->version != 0 && !store_key_use_counts(store, use);
}

static int record_first(Store *store, const struct key_use *use, uint64_t node) {
	char path[AUDIT_PATH_MAX + 1];
	struct audit_event occasion = {.node = node};
	if (node && tree_path(store->meta, node, path, sizeof path, NULL) == 0)
		occasion.path = path;
	return store_key_use_record(store, use, &occasion);
}

int store_key_used(Store *store, const struct actor *actor, uint32_t segment, bool seals, uint64_t node) {
	struct key_use use = {.seals = seals};
	return is_first(store, actor, segment, &use) ? record_first(store, &use, node) : 0;
}

int store_key_used_alone(Store *store, const struct actor *actor, uint32_t segment, bool seals, uint64_t node) {
	struct key_use use = {.seals = seals};
	if (!is_first(store, actor, segment, &use))
		return 0;
	meta_begin(store->meta);
	int rc = meta_end(store->meta, record_first(store, &use, node));
	return rc < 0 ? rc : 1;
}

/* The first block of it that is no hole. */
static int first_segment(Meta *m, uint64_t version, uint32_t *ret_segment) {
	struct block_ref refs[MAP_PAGE_REFS];
	uint64_t page = 0;
	size_t count = 0, at = 0;
	int rc = version_map_get(m, version, 0, refs, &count);
	if (rc == 0 && count == 0 && version_map_next(m, version, 0, &page) == 0)
		rc = version_map_get(m, version, page, refs, &count);
	while (rc == 0 && at < count && block_ref_is_hole(&refs[at]))
		at++;
	*ret_segment = rc == 0 && at < count ? refs[at].segment : 0;
	return rc;
}

int store_key_of_version(Store *store, enum zone zone, uint64_t version, struct key_use *ret_use) {
	uint32_t segment = 0;
	if (segment_only_key(store->segments, zone, ret_use->key, &ret_use->version))
		return 0;
	int rc = first_segment(store->meta, version, &segment);
	ret_use->version = 0;
	if (rc == 0 && segment)
		segment_key_used(store->segments, segment, ret_use->key, &ret_use->version);
	return rc < 0 ? rc : ret_use->version ? 0 : -ENOENT;
}

struct telling {
	Store *store;
	uint64_t count;
};

static int tell(void *arg, const struct key_use *use, uint64_t more) {
	struct telling *telling = arg;
	char key[DETAIL_BYTES], words[DETAIL_BYTES + 64];
	int rc = name_key(telling->store, use, key);
	(void)snprintf(words, sizeof words, "%s, %lu more time%s", key, (unsigned long)more, more == 1 ? "" : "s");
	telling->count++;
	return rc < 0 ? rc
	              : audit_record(telling->store->meta,
	                        &(struct audit_event){.event = event_of(use), .actor = use->actor, .detail = words},
	                        NULL);
}

int key_uses_tell(Store *store, bool all) {
	struct telling telling = {.store = store};
	return key_uses_end(store->key_uses, all ? INT64_MAX : now_s() - KEY_USES_SECONDS, tell, &telling);
}

int store_key_uses_tick(Store *store) {
	if (store->read_only)
		return 0;
	meta_begin(store->meta);
	return meta_end(store->meta, key_uses_tell(store, false));
}
