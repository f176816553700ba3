#include "backend/metacore.h"

#include <inttypes.h>

int core_note(struct meta_core *core, int rc) {
	if (rc < 0) {
		core->last_error = rc;
		memcpy(core->last_words, fault_message(), sizeof core->last_words);
	}
	return rc;
}

int core_fail(struct meta_core *core, int rc) {
	if (rc >= 0)
		return rc;
	(void)pthread_mutex_lock(&core->mutex);
	if (core->failed == 0) {
		core->failed = rc;
		memcpy(core->failed_words, fault_message(), sizeof core->failed_words);
	}
	(void)pthread_mutex_unlock(&core->mutex);
	return rc;
}

int core_failed(struct meta_core *core) {
	(void)pthread_mutex_lock(&core->mutex);
	int rc = core->failed;
	if (rc < 0)
		(void)fault(-rc, "metadata takes no more writes since: %s", core->failed_words);
	(void)pthread_mutex_unlock(&core->mutex);
	return rc;
}

static int check_never_written(const uint8_t *data, uint32_t page) {
	uint8_t any = 0;
	for (size_t i = 0; i < META_PAGE_BYTES; i++)
		any |= data[i];
	return any == 0 ? 0
	                : fault(EBADMSG, "%s: page %" PRIu32 " was never written and is not zero", METADB_NAME, page);
}

/* An old page put back opens under its own tag; damage does not. Worth telling apart. */
static int judge_page(struct meta_core *core, uint32_t page, const uint8_t *sealed) {
	uint8_t plain[META_PAGE_BYTES];
	if (meta_page_open(core->keys, page, sealed, plain, NULL) == 0)
		return fault(EBADMSG,
		        "%s: page %" PRIu32
		        " is genuine, but not the one that the last checkpoint left: an older page was put back",
		        METADB_NAME, page);
	return fault(EBADMSG, "%s: page %" PRIu32 " does not authenticate", METADB_NAME, page);
}

int core_check_page(struct meta_core *core, uint32_t page, uint8_t ret_plain[static META_PAGE_BYTES]) {
	uint8_t sealed[META_PAGE_BYTES];
	int rc = vault_file_read_exactly(core->file, (uint64_t)(page - 1) * META_PAGE_BYTES, sealed, sizeof sealed);
	if (rc < 0)
		return rc;
	const uint8_t *tag = page_tags_get(&core->tags, page);
	if (!tag) {
		rc = check_never_written(sealed, page);
		if (rc == 0)
			memset(ret_plain, 0, META_PAGE_BYTES);
		return rc;
	}
	if (memcmp(tag, sealed + META_PAGE_TAG_AT, META_TAG_BYTES) != 0 ||
	        meta_page_open(core->keys, page, sealed, ret_plain, NULL) < 0)
		return judge_page(core, page, sealed);
	return 0;
}

static void notice(struct meta_core *core) {
	/* A database that is damaged all over must not fill the system's log. */
	if (core->notice && core->noticed++ < METADB_NOTICES_MAX)
		core->notice(core->notice_arg, fault_message());
}

int core_read_page(struct meta_core *core, uint32_t page, uint8_t ret_plain[static META_PAGE_BYTES]) {
	int rc = core_check_page(core, page, ret_plain);
	const uint8_t *tag = page_tags_get(&core->tags, page);
	if (rc != -EBADMSG || !core->packs || !tag)
		return rc;
	char words[FAULT_MESSAGE_BYTES];
	uint8_t sealed[META_PAGE_BYTES];
	memcpy(words, fault_message(), sizeof words);
	if (packs_find_page(core->packs, page, tag, sealed) < 0 ||
	        meta_page_open(core->keys, page, sealed, ret_plain, NULL) < 0)
		return fault(EBADMSG, "%s, and no checkpoint pack has it undamaged", words);
	(void)fault(EBADMSG, "%s; it was read from a checkpoint pack", words);
	/* Not of a page that a checkpoint, which was interrupted, was sealing anew. */
	const struct page_range range = core->wal ? walchain_checkpoint_range(core->wal) : (struct page_range){0};
	if (!page_range_has(&range, page))
		notice(core);
	fault_clear();
	return 0;
}

struct wal_base core_wal_base(const struct meta_core *core) {
	const struct pack_head *last = packs_last(core->packs);
	struct wal_base base = {.pack_sequence = last->sequence, .pages = last->pages, .covered = last->covered};
	memcpy(base.root, last->root, sizeof base.root);
	return base;
}

static int no_anchor(const Anchors *anchors) {
	uint8_t ahead = anchors_version_ahead(anchors);
	if (ahead)
		return fault(ENOKEY,
		        "the metadata look as if they were sealed under version %u of the key alias/metadata, which "
		        "can't be had: vault.json, or the slot, is older than they are. Bring back the newer "
		        "vault.json",
		        ahead);
	return fault(EBADMSG,
	        "meta/anchor-1 and meta/anchor-2 are both damaged or gone: nothing says which state is the newest, so "
	        "an old one could have been put back unnoticed (or the key is not this vault's)");
}

/* *ret_anchor NULL: neither file is there, as in a creation that was interrupted. */
static int open_anchors(struct meta_core *core, VaultIo *io, const struct anchor **ret_anchor) {
	int rc = anchors_open(io, core->keys, core->read_only, &core->anchors);
	if (rc < 0)
		return rc;
	*ret_anchor = anchors_now(core->anchors);
	return *ret_anchor || anchors_none(core->anchors) ? 0 : no_anchor(core->anchors);
}

int core_open_files(struct meta_core *core, VaultIo *io, bool may_lack_file) {
	const struct anchor *anchor = NULL;
	int rc = open_anchors(core, io, &anchor);
	if (rc < 0)
		return rc;
	rc = vault_file_open(io, METADB_NAME, core->read_only ? VAULT_FILE_READ : VAULT_FILE_WRITE, &core->file);
	bool is_missing = rc == -ENOENT;
	if (rc < 0 && !is_missing)
		return rc;
	rc = packs_open(io, core->keys, core->read_only, anchor, core->file, &core->tags, &core->packs);
	if (rc == 0 && !anchor)
		return packs_last(core->packs)->sequence > 1
		               ? no_anchor(core->anchors)
		               : fault(ENOENT, "%s holds no metadata: its making was never completed",
		                         vault_io_path(io));
	if (rc == 0 && is_missing && !may_lack_file)
		return fault(EBADMSG, "%s is missing; `assayfs fsck --repair` builds it from the checkpoint packs",
		        METADB_NAME);
	return rc;
}

int core_checkpointed(struct meta_core *core) {
	int rc = core_reseal_pages(core);
	if (rc == 0)
		rc = vault_file_sync(core->file);
	if (rc < 0)
		return core_fail(core, rc);
	struct wal_position covered = {0};
	if (core->wal)
		walchain_position(core->wal, &covered);
	if (core->tags.dirty_pages == 0 && packs_last(core->packs)->pages == core->tags.pages &&
	        !packs_need_base(core->packs))
		return 0;
	rc = packs_write(core->packs, core->file, &core->tags, &covered);
	struct wal_base base = core_wal_base(core);
	if (rc == 0 && core->wal)
		walchain_set_base(core->wal, &base);
	if (rc == 0)
		core_reseal_made(core);
	/* Without room nothing is lost: the log still holds it all, and the next checkpoint writes those pages again.
	 */
	return rc == -ENOSPC ? rc : core_fail(core, rc);
}
