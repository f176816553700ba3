/* Checking the metadata's files as a whole, and mending them from the packs. */
#include "backend/metadb.h"

#include "backend/metacore.h"
#include "crypto/base/fault.h"

#include <inttypes.h>
#include <stdio.h>

struct check {
	struct meta_core *core;
	uint8_t *shadowed; /* a bit a page: a checkpoint was about to put a newer one here, or to seal it anew, so it
	                      may be half-written */
	uint32_t pages;
	metadb_finding_fn *finding;
	void *user;
};

static int mark_shadowed(struct check *check) {
	WalChain *wal = check->core->wal;
	check->shadowed = calloc(1, check->pages / 8 + 1);
	if (!check->shadowed)
		return fault(ENOMEM, "no memory to check %s", METADB_NAME);
	if (!walchain_checkpoint_began(wal))
		return 0;
	for (uint32_t frame = 1; frame <= walchain_frames(wal); frame++) {
		uint32_t page = walchain_frame_page(wal, frame) - 1;
		if (page < check->pages)
			check->shadowed[page / 8] |= (uint8_t)(1U << (page % 8));
	}
	const struct page_range range = walchain_checkpoint_range(wal);
	for (uint32_t page = 0; page < check->pages; page++)
		if (page_range_has(&range, page + 1))
			check->shadowed[page / 8] |= (uint8_t)(1U << (page % 8));
	return 0;
}

static int check_pages(struct check *check) {
	uint8_t plain[META_PAGE_BYTES];
	for (uint32_t page = 1; page <= check->pages; page++) {
		if (check->shadowed[(page - 1) / 8] & (1U << ((page - 1) % 8)))
			continue;
		int rc = core_check_page(check->core, page, plain) < 0
		                 ? check->finding(check->user, METADB_NAME, page, fault_message())
		                 : 0;
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* An interrupted checkpoint may have grown the file to what the log says, but not further. */
static int check_length(struct check *check) {
	uint64_t size = 0;
	int rc = vault_file_size(check->core->file, &size);
	if (rc < 0)
		return check->finding(check->user, METADB_NAME, -1, fault_message());
	uint32_t most = 0;
	if (walchain_checkpoint_began(check->core->wal))
		most = walchain_database_pages(check->core->wal);
	most = most > check->core->tags.pages ? most : check->core->tags.pages;
	if (size > (uint64_t)most * META_PAGE_BYTES)
		return check->finding(check->user, METADB_NAME, -1, "the file has bytes behind its last page");
	return 0;
}

/* Pages that an interrupted checkpoint's log cuts off are nobody's any more, those that it adds are in it. */
static uint32_t pages_to_check(const struct meta_core *core) {
	uint32_t logged = walchain_checkpoint_began(core->wal) ? walchain_database_pages(core->wal) : 0;
	return logged && logged < core->tags.pages ? logged : core->tags.pages;
}

int metadb_verify(MetaDb *db, metadb_finding_fn *finding, void *user) {
	struct meta_core *core = metadb_core(db);
	struct check check = {.core = core, .finding = finding, .user = user, .pages = pages_to_check(core)};
	int rc = mark_shadowed(&check);
	if (rc == 0)
		rc = check_length(&check);
	if (rc == 0)
		rc = check_pages(&check);
	free(check.shadowed);
	if (rc == 0)
		rc = walchain_verify(core->wal, finding, user);
	if (rc == 0)
		rc = anchors_verify(core->anchors, walchain_is_empty(core->wal), finding, user);
	return rc == 0 ? packs_verify(core->packs, finding, user) : rc;
}

int metadb_damage(MetaDb *db, metadb_finding_fn *finding, void *user) {
	struct meta_core *core = metadb_core(db);
	int rc = core->wrong_size ? finding(user, METADB_NAME, -1, "the file was cut or extended") : 0;
	if (rc == 0)
		rc = anchors_each_damage(core->anchors, finding, user);
	return rc == 0 ? packs_each_damage(core->packs, finding, user) : rc;
}

/* ---- mending ---- */

static int write_page(struct meta_core *core, uint32_t page, const uint8_t *sealed) {
	return vault_file_write_at(
	        core->file, (uint64_t)(page - 1) * META_PAGE_BYTES, bytes_of(sealed, META_PAGE_BYTES));
}

/* What was never written is zeros; anything else comes from a pack. -ENOENT: none has it. */
int core_mend_page(struct meta_core *core, uint32_t page) {
	static const uint8_t zeros[META_PAGE_BYTES];
	uint8_t sealed[META_PAGE_BYTES];
	const uint8_t *tag = page_tags_get(&core->tags, page);
	int rc = tag ? packs_find_page(core->packs, page, tag, sealed) : 0;
	return rc < 0 ? rc : write_page(core, page, tag ? sealed : zeros);
}

static int mend_if_bad(struct check *check, uint32_t page) {
	uint8_t plain[META_PAGE_BYTES];
	char words[FAULT_MESSAGE_BYTES];
	int rc = core_check_page(check->core, page, plain);
	if (rc != -EBADMSG)
		return rc;
	rc = core_mend_page(check->core, page);
	if (rc == -ENOENT)
		return 0; /* the check that follows names it */
	if (rc < 0)
		return rc;
	(void)snprintf(words, sizeof words, "page %" PRIu32 " was damaged and is back, from a checkpoint pack", page);
	return check->finding(check->user, METADB_NAME, page, words);
}

static int mend_pages(struct check *check) {
	int rc = 0;
	for (uint32_t page = 1; page <= check->pages && rc == 0; page++)
		if (!(check->shadowed[(page - 1) / 8] & (1U << ((page - 1) % 8))))
			rc = mend_if_bad(check, page);
	return rc;
}

/* An interrupted checkpoint sets the size itself when it is done again. */
static int mend_length(struct check *check) {
	struct meta_core *core = check->core;
	uint64_t size = 0, expected = (uint64_t)core->tags.pages * META_PAGE_BYTES;
	int rc = vault_file_size(core->file, &size);
	if (rc < 0 || walchain_checkpoint_began(core->wal) || size <= expected)
		return rc;
	rc = vault_file_truncate(core->file, expected);
	return rc < 0 ? rc : check->finding(check->user, METADB_NAME, -1, "bytes behind the last page were cut off");
}

int metadb_repair(MetaDb *db, metadb_finding_fn *mended, void *user) {
	struct meta_core *core = metadb_core(db);
	struct check check = {.core = core, .finding = mended, .user = user, .pages = pages_to_check(core)};
	if (core->read_only)
		return fault(EROFS, "%s is open for reading only", METADB_NAME);
	int rc = mark_shadowed(&check);
	if (rc == 0)
		rc = mend_pages(&check);
	if (rc == 0)
		rc = mend_length(&check);
	free(check.shadowed);
	if (rc == 0)
		rc = vault_file_sync(core->file);
	if (rc == 0)
		rc = packs_look_for_damage(core->packs);
	return rc == 0 ? packs_remove_strays(core->packs, mended, user) : rc;
}

/* ---- building the file anew ---- */

static int put_page(void *user, uint32_t page, const uint8_t *sealed) {
	return write_page(user, page, sealed);
}

static int check_rebuilt(struct meta_core *core) {
	uint8_t plain[META_PAGE_BYTES];
	for (uint32_t page = 1; page <= core->tags.pages; page++) {
		int rc = core_check_page(core, page, plain);
		if (rc == -EBADMSG)
			rc = core_mend_page(core, page);
		if (rc < 0)
			return rc == -ENOENT ? fault(EBADMSG, "%s", fault_message()) : rc;
	}
	return 0;
}

static int rebuild_into(struct meta_core *core) {
	int rc = vault_file_truncate(core->file, 0);
	if (rc == 0)
		rc = packs_each_page(core->packs, put_page, core);
	if (rc == 0)
		rc = vault_file_truncate(core->file, (uint64_t)core->tags.pages * META_PAGE_BYTES);
	if (rc == 0)
		rc = check_rebuilt(core);
	return rc < 0 ? rc : vault_file_sync(core->file);
}

static int put_in_place(VaultIo *io, const char *temporary) {
	int rc = vault_io_rename(io, temporary, METADB_NAME);
	return rc < 0 ? rc : vault_io_sync_dir(io, "");
}

int core_rebuild(struct meta_core *core) {
	static const char temporary[] = METADB_NAME ".tmp";
	int rc = vault_file_open(core->io, temporary, VAULT_FILE_WRITE | VAULT_FILE_CREATE, &core->file);
	if (rc == 0)
		rc = rebuild_into(core);
	return rc < 0 ? rc : put_in_place(core->io, temporary);
}

static int rebuild(struct meta_core *core, VaultIo *io) {
	int rc = core_open_files(core, io, true);
	vault_file_close(core->file);
	core->file = NULL;
	return rc < 0 ? rc : core_rebuild(core);
}

int metadb_rebuild(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static METADB_VAULT_ID_BYTES]) {
	struct meta_core core = {.io = io, .read_only = true};
	int rc = meta_keys_new(keyring, vault_id, &core.keys);
	if (rc == 0)
		rc = rebuild(&core, io);
	vault_file_close(core.file);
	packs_close(core.packs);
	anchors_close(core.anchors);
	page_tags_free(&core.tags);
	meta_keys_free(core.keys);
	return fault_while(rc, "rebuilding the metadata of %s", vault_io_path(io));
}
