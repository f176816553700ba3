/*
 * Other versions of the key, and sealing anew what is under older ones.
 *
 *     due: pages n … n + 1,023 ─ sector 3 says so, synced ─ the log's pages ─ those n … : opened, sealed, written in
 *     place ─ synced ─ pack, which lists them ─ the log is emptied ─ next: n + 1,024
 *
 * A crash before the pack: their tags are the last pack's still, so that what is in place opens no more; the packs have
 * them as they were, and the next opening puts them back from there before it goes on.
 */
#include "backend/metadb.h"

#include "backend/metacore.h"
#include "crypto/base/fault.h"

/* What the pack of a piece has besides its pages, and the log before it: its head, pages that the commit changed. */
#define PIECE_BYTES (UINT64_C(128) << 10)

int metadb_take_keys(MetaDb *db, const Keyring *keyring) {
	struct meta_core *core = metadb_core(db);
	struct meta_keys *keys = NULL;
	int rc = meta_keys_new(keyring, core->keys->vault_id, &keys);
	if (rc < 0)
		return fault_while(rc, "taking another version of the metadata's key");
	walchain_set_keys(core->wal, keys);
	packs_set_keys(core->packs, keys);
	(void)pthread_mutex_lock(&core->mutex);
	struct meta_keys *old = core->keys;
	core->keys = keys;
	(void)pthread_mutex_unlock(&core->mutex);
	meta_keys_free(old);
	return 0;
}

bool metadb_is_behind(MetaDb *db) {
	return walchain_is_behind(metadb_core(db)->wal);
}

void metadb_reseal(MetaDb *db, uint32_t version, uint32_t next) {
	metadb_core(db)->reseal = (struct meta_reseal){.version = version, .next = next ? next : 1};
}

enum metadb_reseal_state metadb_resealing(MetaDb *db, uint32_t *ret_next) {
	const struct meta_core *core = metadb_core(db);
	const struct meta_reseal *reseal = &core->reseal;
	*ret_next = reseal->next;
	if (reseal->version == 0)
		return METADB_RESEAL_NONE;
	if (reseal->next <= core->tags.pages)
		return METADB_RESEAL_GOES_ON;
	if (reseal->bad > 0)
		return METADB_RESEAL_STUCK;
	bool is_done = reseal->has_asked && !packs_await_base(core->packs);
	return is_done ? METADB_RESEAL_DONE : METADB_RESEAL_GOES_ON;
}

/* In the file of a pack that has so many. */
static uint64_t packed_bytes(uint64_t pages) {
	const struct pack_head head = {.listed = (uint32_t)pages};
	return pack_file_bytes(&head);
}

static uint64_t bytes_from(const struct meta_core *core, uint32_t next) {
	const uint64_t pages = core->tags.pages, rest = next <= pages ? pages - next + 1 : 0;
	const uint64_t pieces = rest / METADB_RESEAL_PAGES + 1;
	return packed_bytes(rest) + pieces * PIECE_BYTES + packed_bytes(pages);
}

uint64_t metadb_reseal_bytes(MetaDb *db, uint32_t next) {
	return bytes_from(metadb_core(db), next ? next : 1);
}

/* Where that can't be said it is tried. */
static bool has_room(const struct meta_core *core) {
	uint64_t room = 0;
	return !core->reserve || reserve_room(core->reserve, &room) < 0 || room >= bytes_from(core, core->reseal.next);
}

void core_reseal_due(struct meta_core *core) {
	struct meta_reseal *reseal = &core->reseal;
	bool is_due = reseal->version != 0 && reseal->next <= core->tags.pages && has_room(core);
	reseal->due = is_due ? (struct page_range){.first = reseal->next, .count = METADB_RESEAL_PAGES}
	                     : (struct page_range){0};
}

/* From the file, else from the packs; *ret_version 0 then. */
static int open_page(struct meta_core *core, uint32_t page, uint8_t *ret_plain, uint32_t *ret_version) {
	uint8_t sealed[META_PAGE_BYTES];
	int rc = vault_file_read_exactly(core->file, (uint64_t)(page - 1) * META_PAGE_BYTES, sealed, sizeof sealed);
	if (rc == 0 && memcmp(page_tags_get(&core->tags, page), sealed + META_PAGE_TAG_AT, META_TAG_BYTES) == 0 &&
	        meta_page_open(core->keys, page, sealed, ret_plain, ret_version) == 0)
		return 0;
	*ret_version = 0;
	return core_read_page(core, page, ret_plain);
}

/* What could not be written is as it was, by its tag: 1 with words where that is for want of room. */
static int reseal_page(struct meta_core *core, uint32_t page) {
	uint8_t plain[META_PAGE_BYTES], sealed[META_PAGE_BYTES];
	uint32_t version = 0;
	if (!page_tags_get(&core->tags, page))
		return 0;
	int rc = open_page(core, page, plain, &version);
	if (rc == -EBADMSG)
		core->reseal.bad++;
	if (rc < 0 || version >= core->reseal.version)
		return rc == -EBADMSG ? 0 : rc;
	meta_page_seal(core->keys, page, plain, sealed);
	rc = reserve_write_at(
	        core->reserve, core->file, (uint64_t)(page - 1) * META_PAGE_BYTES, bytes_of(sealed, sizeof sealed));
	if (rc < 0)
		return rc == -ENOSPC ? 1 : rc;
	return page_tags_put(&core->tags, page, sealed + META_PAGE_TAG_AT);
}

int core_reseal_pages(struct meta_core *core) {
	const struct page_range range = core->wal ? walchain_checkpoint_range(core->wal) : (struct page_range){0};
	struct meta_reseal *reseal = &core->reseal;
	int rc = 0;
	/* One of an earlier checkpoint of this log, which failed, may be another. */
	reseal->due = (struct page_range){0};
	if (reseal->version == 0 || (range.count > 0 && range.first != reseal->next))
		return 0;
	for (uint32_t at = 0; at < range.count && range.first + at <= core->tags.pages && rc == 0; at++)
		rc = reseal_page(core, range.first + at);
	if (rc == 0)
		reseal->due = range;
	if (rc == 0 && reseal->bad == 0 && !reseal->has_asked && reseal->next + range.count > core->tags.pages) {
		packs_want_base(core->packs);
		reseal->has_asked = true;
	}
	return rc > 0 ? 0 : rc;
}

void core_reseal_made(struct meta_core *core) {
	core->reseal.next += core->reseal.due.count;
	core->reseal.due = (struct page_range){0};
}

int core_reseal_mend(struct meta_core *core) {
	uint8_t plain[META_PAGE_BYTES];
	const struct page_range range = walchain_checkpoint_range(core->wal);
	int rc = 0;
	bool any = false;
	if (core->read_only)
		return 0;
	for (uint32_t at = 0; at < range.count && range.first + at <= core->tags.pages && rc == 0; at++) {
		rc = core_check_page(core, range.first + at, plain);
		if (rc != -EBADMSG)
			continue;
		rc = core_mend_page(core, range.first + at);
		any |= rc == 0;
		rc = rc == -ENOENT ? 0 : rc; /* who reads it will be told */
	}
	if (rc == 0)
		fault_clear();
	return rc == 0 && any ? vault_file_sync(core->file) : rc;
}

/* The newest version; and whether something may be under another. What was found to be all new stays so. */
static uint32_t newest_now(struct meta_core *core, bool *ret_all_new) {
	(void)pthread_mutex_lock(&core->mutex);
	const uint32_t newest = meta_keys_newest(core->keys);
	*ret_all_new = core->keys->count == 1 || core->all_new == newest;
	(void)pthread_mutex_unlock(&core->mutex);
	return newest;
}

static void note_all_new(struct meta_core *core, uint32_t version) {
	(void)pthread_mutex_lock(&core->mutex);
	core->all_new = version;
	(void)pthread_mutex_unlock(&core->mutex);
}

int metadb_sealed_bytes(MetaDb *db, uint64_t *ret_bytes, uint64_t *ret_old) {
	struct meta_core *core = metadb_core(db);
	uint64_t size = 0, old = 0;
	bool all_new = false;
	const uint32_t newest = newest_now(core, &all_new);
	int rc = vault_file_size(core->file, &size);
	for (uint64_t at = 0; rc == 0 && !all_new && at + META_PAGE_BYTES <= size; at += META_PAGE_BYTES) {
		static const uint8_t unwritten[META_NONCE_BYTES];
		uint8_t nonce[META_NONCE_BYTES];
		rc = vault_file_read_exactly(core->file, at + META_PAGE_NONCE_AT, nonce, sizeof nonce);
		bool is_old = nonce[META_NONCE_BYTES - 1] != (uint8_t)newest;
		old += is_old && memcmp(nonce, unwritten, sizeof nonce) != 0 ? META_PAGE_BYTES : 0;
	}
	if (rc < 0)
		return rc;
	if (old == 0)
		note_all_new(core, newest);
	*ret_bytes = size;
	*ret_old = old;
	return 0;
}
