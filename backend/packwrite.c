/* Writing a checkpoint pack. */
#include "backend/pack_internal.h"

#include "crypto/base/fault.h"

#include <inttypes.h>

#define WRITE_BYTES (UINT32_C(256) << 10)

/* Gathers what is written front to back into large writes. */
struct writer {
	VaultFile *file;
	Reserve *reserve;
	uint8_t *buffer;
	size_t used;
	uint64_t offset;
};

static int writer_flush(struct writer *writer) {
	int rc =
	        reserve_write_at(writer->reserve, writer->file, writer->offset, bytes_of(writer->buffer, writer->used));
	writer->offset += writer->used;
	writer->used = 0;
	return rc;
}

static int writer_put(struct writer *writer, struct bytes data) {
	int rc = writer->used + data.size > WRITE_BYTES ? writer_flush(writer) : 0;
	memcpy(writer->buffer + writer->used, data.data, data.size);
	writer->used += data.size;
	return rc;
}

static bool belongs(const struct page_tags *tags, uint32_t page, bool is_base) {
	return (is_base || page_tags_is_dirty(tags, page)) && page_tags_get(tags, page);
}

static uint32_t count_listed(const struct page_tags *tags, bool is_base) {
	uint32_t listed = 0;
	for (uint32_t page = 1; page <= tags->pages; page++)
		listed += belongs(tags, page, is_base);
	return listed;
}

static int write_list(const struct meta_keys *keys, const struct pack_entry *entry, const struct page_tags *tags,
        struct writer *writer) {
	_cleanup_(freep) uint8_t *plain = malloc(PACK_LIST_ENTRIES * PACK_ENTRY_BYTES);
	_cleanup_(freep) uint8_t *record = malloc(META_RECORD_OVERHEAD + PACK_LIST_ENTRIES * PACK_ENTRY_BYTES);
	if (!plain || !record)
		return fault(ENOMEM, "no memory to write a checkpoint pack");
	uint32_t page = 1;
	for (uint32_t chunk = 0; chunk < pack_list_chunks(entry->head.listed); chunk++) {
		size_t size = 0;
		for (; page <= tags->pages && size < (size_t)PACK_LIST_ENTRIES * PACK_ENTRY_BYTES; page++) {
			if (!belongs(tags, page, entry->head.is_base))
				continue;
			le32_put(plain + size, page);
			memcpy(plain + size + 4, page_tags_get(tags, page), META_TAG_BYTES);
			size += PACK_ENTRY_BYTES;
		}
		pack_list_seal(keys, entry, chunk, bytes_of(plain, size), record);
		int rc = writer_put(writer, bytes_of(record, META_RECORD_OVERHEAD + size));
		if (rc < 0)
			return rc;
	}
	return 0;
}

/*
 * The page as it was sealed. A base replaces the packs that could repair it, so there each page is opened first, and a
 * damaged one is taken from them.
 */
static int take_page(Packs *packs, VaultFile *file, const struct page_tags *tags, uint32_t page, bool is_base,
        uint8_t ret_sealed[static META_PAGE_BYTES]) {
	uint8_t plain[META_PAGE_BYTES];
	const uint8_t *tag = page_tags_get(tags, page);
	size_t got = 0;
	int rc = vault_file_read_at(file, (uint64_t)(page - 1) * META_PAGE_BYTES, ret_sealed, META_PAGE_BYTES, &got);
	if (rc < 0)
		return rc;
	bool good = got == META_PAGE_BYTES && memcmp(ret_sealed + META_PAGE_TAG_AT, tag, META_TAG_BYTES) == 0;
	if (good && is_base)
		good = meta_page_open(packs->keys, page, ret_sealed, plain, NULL) == 0;
	if (good)
		return 0;
	if (packs_find_page(packs, page, tag, ret_sealed) == 0)
		return 0;
	return fault(
	        EBADMSG, "%s: page %" PRIu32 " is damaged and no checkpoint pack has it", vault_file_name(file), page);
}

static int write_pages(
        Packs *packs, VaultFile *file, const struct page_tags *tags, bool is_base, struct writer *writer) {
	uint8_t sealed[META_PAGE_BYTES];
	for (uint32_t page = 1; page <= tags->pages; page++) {
		if (!belongs(tags, page, is_base))
			continue;
		int rc = take_page(packs, file, tags, page, is_base, sealed);
		if (rc == 0)
			rc = writer_put(writer, bytes_of(sealed, sizeof sealed));
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int write_content(
        Packs *packs, VaultFile *file, const struct page_tags *tags, struct pack_entry *entry, VaultFile *pack) {
	_cleanup_(freep) uint8_t *buffer = malloc(WRITE_BYTES);
	if (!buffer)
		return fault(ENOMEM, "no memory to write a checkpoint pack");
	/* A base can wait for another day, so it may not eat the reserve. */
	struct writer writer = {.file = pack, .buffer = buffer, .reserve = entry->head.is_base ? NULL : packs->reserve};
	uint8_t block[PACK_HEAD_BYTES];
	pack_head_seal(packs->keys, &entry->head, block);
	memcpy(entry->head_tag, meta_record_tag(block), META_TAG_BYTES);
	int rc = vault_file_truncate(pack, 0);
	if (rc == 0)
		rc = writer_put(&writer, bytes_of(block, sizeof block));
	if (rc == 0)
		rc = write_list(packs->keys, entry, tags, &writer);
	if (rc == 0)
		rc = write_pages(packs, file, tags, entry->head.is_base, &writer);
	if (rc == 0)
		rc = writer_flush(&writer);
	return rc < 0 ? rc : vault_file_sync(pack);
}

static int write_file(Packs *packs, VaultFile *file, const struct page_tags *tags, struct pack_entry *entry) {
	struct pack_name temporary = pack_name(entry->head.sequence, ".tmp");
	_cleanup_(vault_file_closep) VaultFile *pack = NULL;
	int rc = vault_file_open(packs->io, temporary.text, VAULT_FILE_WRITE | VAULT_FILE_CREATE, &pack);
	if (rc == 0)
		rc = write_content(packs, file, tags, entry, pack);
	if (rc == 0)
		rc = vault_io_rename(packs->io, temporary.text, pack_name(entry->head.sequence, "").text);
	if (rc < 0) {
		char words[FAULT_MESSAGE_BYTES];
		memcpy(words, fault_message(), sizeof words);
		(void)vault_io_unlink(packs->io, temporary.text);
		return fault(-rc, "writing checkpoint pack %" PRIu64 ": %s", entry->head.sequence, words);
	}
	return vault_io_sync_dir(packs->io, PACK_DIRECTORY);
}

/* The new base is durable: what it replaces can go. What is left by a crash here goes at the next opening. */
static void drop_before_base(Packs *packs) {
	size_t old = packs->count - 1, kept = 0;
	for (size_t at = 0; at < old; at++)
		(void)vault_io_unlink(packs->io, pack_name(packs->entries[at].head.sequence, "").text);
	for (size_t i = 0; i < packs->damaged; i++) {
		if (packs->damage[i].sequence < packs->last.sequence)
			(void)vault_io_unlink(packs->io, pack_name(packs->damage[i].sequence, "").text);
		else
			packs->damage[kept++] = packs->damage[i];
	}
	fault_clear();
	packs->damaged = kept;
	packs->is_broken = false;
	packs->wants_base = false;
	packs->entries[0] = packs->entries[old];
	packs->count = 1;
	packs->bytes_since_base = 0;
}

static int write_one(
        Packs *packs, VaultFile *file, struct page_tags *tags, const struct wal_position *covered, bool is_base) {
	const struct pack_head *last = packs_last(packs);
	struct pack_entry entry = {.head = {
	                                   .version = meta_keys_newest(packs->keys),
	                                   .sequence = last->sequence + 1,
	                                   .is_base = is_base,
	                                   .listed = count_listed(tags, is_base),
	                                   .pages = tags->pages,
	                                   .previous = last->sequence,
	                                   .covered = *covered,
	                           }};
	memcpy(entry.head.previous_root, last->root, META_HASH_BYTES);
	int rc = page_tags_root(tags, entry.head.root);
	if (rc == 0)
		rc = write_file(packs, file, tags, &entry);
	if (rc == 0)
		rc = packs_add(packs, &entry);
	if (rc < 0)
		return rc;
	packs->last = entry.head;
	page_tags_clean(tags);
	if (is_base)
		drop_before_base(packs);
	return 0;
}

bool packs_need_base(const Packs *packs) {
	return packs->is_broken || packs->wants_base;
}

static bool base_is_due(const Packs *packs, const struct page_tags *tags) {
	uint64_t database = (uint64_t)tags->pages * META_PAGE_BYTES;
	uint64_t limit = database > PACK_BASE_MINIMUM ? database : PACK_BASE_MINIMUM;
	return packs->count == 0 || packs->is_broken || packs->wants_base || packs->bytes_since_base > limit;
}

/* Otherwise it fills the disk before it fails, again with each checkpoint, and whoever writes meanwhile is refused. One
 * in place of what is damaged is tried all the same. */
static bool base_has_room(const Packs *packs, const struct page_tags *tags) {
	const struct pack_head head = {.listed = count_listed(tags, true)};
	uint64_t room = 0;
	if (!packs->reserve || packs->is_broken || packs->count == 0 || reserve_room(packs->reserve, &room) < 0)
		return true;
	return room >= pack_file_bytes(&head);
}

int packs_write(Packs *packs, VaultFile *file, struct page_tags *tags, const struct wal_position *covered) {
	if (base_is_due(packs, tags) && base_has_room(packs, tags)) {
		int rc = write_one(packs, file, tags, covered, true);
		/* No room, or a page that nobody can repair: the older packs must stay, and an ordinary one will do. */
		if ((rc != -ENOSPC && rc != -EBADMSG) || packs->last.sequence == 0)
			return rc;
	}
	return write_one(packs, file, tags, covered, false);
}
