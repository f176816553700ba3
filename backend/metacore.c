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

int core_file_pages(struct meta_core *core, uint32_t *ret_pages) {
	uint64_t size = 0;
	int rc = vault_file_size(core->file, &size);
	if (rc == 0)
		*ret_pages = (uint32_t)(size / META_PAGE_BYTES);
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
	if (meta_page_open(core->keys, page, sealed, plain) == 0)
		return fault(EBADMSG,
		        "%s: page %" PRIu32
		        " is genuine, but not the one that the last checkpoint left: an older page was put back",
		        METADB_NAME, page);
	return fault(EBADMSG,
	        "%s: page %" PRIu32
	        " does not authenticate; `assayfs fsck --repair` takes it from the checkpoint packs",
	        METADB_NAME, page);
}

int core_read_page(struct meta_core *core, uint32_t page, uint8_t ret_plain[static META_PAGE_BYTES]) {
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
	        meta_page_open(core->keys, page, sealed, ret_plain) < 0)
		return judge_page(core, page, sealed);
	return 0;
}

int core_checkpointed(struct meta_core *core) {
	int rc = vault_file_sync(core->file);
	if (rc < 0)
		return core_fail(core, rc);
	struct wal_position covered = {0};
	if (core->wal)
		walchain_position(core->wal, &covered);
	if (core->tags.dirty_pages == 0 && packs_last(core->packs)->pages == core->tags.pages)
		return 0;
	rc = packs_write(core->packs, core->file, &core->tags, &covered);
	if (rc == 0 && core->wal)
		walchain_set_pack(core->wal, packs_last(core->packs)->sequence);
	/* Without room nothing is lost: the log still holds it all, and the next checkpoint writes those pages again.
	 */
	return rc == -ENOSPC ? rc : core_fail(core, rc);
}
