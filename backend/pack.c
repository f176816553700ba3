#include "backend/pack_internal.h"

#include "crypto/base/fault.h"

#include <inttypes.h>
#include <stdio.h>

struct pack_name pack_name(uint64_t sequence, const char *suffix) {
	struct pack_name name;
	(void)snprintf(name.text, sizeof name.text, "%s/%" PRIu64 "%s", PACK_DIRECTORY, sequence, suffix);
	return name;
}

uint64_t pack_page_offset(const struct pack_head *head, uint32_t index) {
	return PACK_HEAD_BYTES + pack_list_bytes(head->listed) + (uint64_t)index * META_PAGE_BYTES;
}

struct list_ad {
	uint8_t data[8 + META_TAG_BYTES + 4];
};

static struct list_ad list_ad(const struct pack_entry *entry, uint32_t chunk) {
	struct list_ad ad;
	le64_put(ad.data, entry->head.sequence);
	memcpy(ad.data + 8, entry->head_tag, META_TAG_BYTES);
	le32_put(ad.data + 8 + META_TAG_BYTES, chunk);
	return ad;
}

void pack_list_seal(const struct meta_keys *keys, const struct pack_entry *entry, uint32_t chunk, struct bytes plain,
        uint8_t *ret_record) {
	struct list_ad ad = list_ad(entry, chunk);
	meta_record_seal(keys, keys->pack, "pack list", bytes_of(&ad, sizeof ad), plain, ret_record);
}

void packs_close(Packs *packs) {
	if (!packs)
		return;
	free(packs->entries);
	free(packs);
}

void packs_set_reserve(Packs *packs, Reserve *reserve) {
	packs->reserve = reserve;
}

const struct pack_head *packs_last(const Packs *packs) {
	static const struct pack_head none;
	return packs->count ? &packs->entries[packs->count - 1].head : &none;
}

static int new_packs(VaultIo *io, const struct meta_keys *keys, bool read_only, Packs **ret_packs) {
	Packs *packs = calloc(1, sizeof *packs);
	if (!packs)
		return fault(ENOMEM, "no memory for the checkpoint packs");
	packs->io = io;
	packs->keys = keys;
	packs->read_only = read_only;
	*ret_packs = packs;
	return 0;
}

int packs_create(VaultIo *io, const struct meta_keys *keys, Packs **ret_packs) {
	int rc = vault_io_mkdir(io, PACK_DIRECTORY);
	if (rc == 0)
		rc = vault_io_sync_dir(io, "");
	return rc < 0 ? rc : new_packs(io, keys, false, ret_packs);
}

int packs_add(Packs *packs, const struct pack_entry *entry) {
	struct pack_entry *entries = reallocarray(packs->entries, packs->count + 1, sizeof *entries);
	if (!entries)
		return fault(ENOMEM, "no memory for the checkpoint packs");
	packs->entries = entries;
	packs->entries[packs->count++] = *entry;
	if (!entry->head.is_base)
		packs->bytes_since_base += pack_file_bytes(&entry->head);
	return 0;
}

static int read_entry(Packs *packs, uint64_t sequence, VaultFile *file, struct pack_entry *ret_entry) {
	uint8_t block[PACK_HEAD_BYTES];
	uint64_t size = 0;
	int rc = vault_file_read_exactly(file, 0, block, sizeof block);
	if (rc == 0)
		rc = vault_file_size(file, &size);
	if (rc < 0)
		return rc;
	if (pack_head_open(packs->keys, sequence, block, &ret_entry->head) < 0)
		return fault(EBADMSG,
		        "%s: the head does not authenticate: the file was changed or damaged, or the key is not this "
		        "vault's",
		        vault_file_name(file));
	memcpy(ret_entry->head_tag, meta_record_tag(block), META_TAG_BYTES);
	uint64_t expected = pack_file_bytes(&ret_entry->head);
	if (size != expected)
		return fault(EBADMSG, "%s has %" PRIu64 " bytes and should have %" PRIu64, vault_file_name(file), size,
		        expected);
	return 0;
}

typedef int listed_fn(void *user, uint32_t index, uint32_t page, const uint8_t *tag);

static int read_chunk(Packs *packs, const struct pack_entry *entry, VaultFile *file, uint32_t chunk, uint8_t *record,
        uint8_t *ret_plain, uint32_t *ret_entries) {
	uint32_t first = chunk * PACK_LIST_ENTRIES;
	uint32_t entries =
	        entry->head.listed - first < PACK_LIST_ENTRIES ? entry->head.listed - first : PACK_LIST_ENTRIES;
	size_t record_bytes = META_RECORD_OVERHEAD + (size_t)entries * PACK_ENTRY_BYTES;
	uint64_t offset =
	        PACK_HEAD_BYTES + (uint64_t)chunk * (META_RECORD_OVERHEAD + PACK_LIST_ENTRIES * PACK_ENTRY_BYTES);
	int rc = vault_file_read_exactly(file, offset, record, record_bytes);
	if (rc < 0)
		return rc;
	struct list_ad ad = list_ad(entry, chunk);
	if (meta_record_open(packs->keys, packs->keys->pack, "pack list", bytes_of(&ad, sizeof ad),
	            bytes_of(record, record_bytes), ret_plain) < 0)
		return fault(EBADMSG, "%s: part %" PRIu32 " of its list does not authenticate", vault_file_name(file),
		        chunk);
	*ret_entries = entries;
	return 0;
}

/* Calls `listed` for each page of the pack, until it returns other than 0. */
static int each_listed(Packs *packs, const struct pack_entry *entry, VaultFile *file, listed_fn *listed, void *user) {
	const size_t plain_bytes = PACK_LIST_ENTRIES * PACK_ENTRY_BYTES;
	_cleanup_(freep) uint8_t *plain = malloc(plain_bytes);
	_cleanup_(freep) uint8_t *record = malloc(META_RECORD_OVERHEAD + plain_bytes);
	if (!plain || !record)
		return fault(ENOMEM, "no memory to read %s", vault_file_name(file));
	uint32_t index = 0;
	for (uint32_t chunk = 0; chunk < pack_list_chunks(entry->head.listed); chunk++) {
		uint32_t entries = 0;
		int rc = read_chunk(packs, entry, file, chunk, record, plain, &entries);
		for (uint32_t i = 0; i < entries && rc == 0; i++) {
			const uint8_t *at = plain + (size_t)i * PACK_ENTRY_BYTES;
			rc = listed(user, index++, le32_get(at), at + 4);
		}
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int open_pack(Packs *packs, uint64_t sequence, VaultFile **ret_file) {
	int rc = vault_file_open(packs->io, pack_name(sequence, "").text, VAULT_FILE_READ, ret_file);
	if (rc == -ENOENT)
		return fault(EBADMSG, "checkpoint pack %s is missing; bring it back from a replica",
		        pack_name(sequence, "").text);
	return rc;
}

/* What a directory holds: the highest number, and what is neither a pack nor known. */
struct listing {
	uint64_t highest;
	uint64_t *numbers;
	size_t count;
	bool memory_short;
	int (*stray)(void *user, const char *name);
	void *user;
};

static bool parse_number(const char *name, uint64_t *ret_number) {
	uint64_t number = 0;
	size_t digits = 0;
	for (; name[digits] >= '0' && name[digits] <= '9' && digits < 19; digits++)
		number = number * 10 + (uint64_t)(name[digits] - '0');
	*ret_number = number;
	return digits > 0 && name[digits] == '\0' && name[0] != '0';
}

static int list_entry(void *user, const char *name, bool is_directory) {
	struct listing *listing = user;
	uint64_t number = 0;
	if (is_directory || !parse_number(name, &number))
		return listing->stray ? listing->stray(listing->user, name) : 0;
	uint64_t *numbers = reallocarray(listing->numbers, listing->count + 1, sizeof *numbers);
	if (!numbers)
		return fault(ENOMEM, "no memory to list the checkpoint packs");
	listing->numbers = numbers;
	numbers[listing->count++] = number;
	if (number > listing->highest)
		listing->highest = number;
	return 0;
}

/* Reads heads backwards from `highest` to a base, then turns the order around. */
static int read_heads(Packs *packs, uint64_t highest) {
	uint64_t sequence = highest;
	for (;;) {
		_cleanup_(vault_file_closep) VaultFile *file = NULL;
		struct pack_entry entry;
		int rc = open_pack(packs, sequence, &file);
		if (rc == 0)
			rc = read_entry(packs, sequence, file, &entry);
		if (rc == 0)
			rc = packs_add(packs, &entry);
		if (rc < 0)
			return rc;
		if (entry.head.is_base)
			break;
		if (entry.head.previous == 0 || entry.head.previous >= sequence)
			return fault(EBADMSG, "%s names no pack before it and is no base", vault_file_name(file));
		sequence = entry.head.previous;
	}
	for (size_t low = 0, high = packs->count - 1; low < high; low++, high--) {
		struct pack_entry swap = packs->entries[low];
		packs->entries[low] = packs->entries[high];
		packs->entries[high] = swap;
	}
	return 0;
}

static int apply_listed(void *user, uint32_t index, uint32_t page, const uint8_t *tag) {
	(void)index;
	struct page_tags *tags = user;
	if (page == 0 || page > tags->pages)
		return fault(EBADMSG, "a checkpoint pack lists page %" PRIu32 " of %" PRIu32, page, tags->pages);
	return page_tags_put(tags, page, tag);
}

/* Sets the tags of one pack on top of what the packs before it said. */
static int apply_pack(Packs *packs, size_t at, struct page_tags *tags) {
	const struct pack_entry *entry = &packs->entries[at];
	if (at > 0 && memcmp(entry->head.previous_root, packs->entries[at - 1].head.root, META_HASH_BYTES) != 0)
		return fault(EBADMSG, "%s was not made after this %s: packs of two histories were mixed",
		        pack_name(entry->head.sequence, "").text, pack_name(entry->head.previous, "").text);
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	int rc = open_pack(packs, entry->head.sequence, &file);
	if (rc == 0)
		rc = page_tags_resize(tags, entry->head.pages);
	if (rc == 0)
		rc = each_listed(packs, entry, file, apply_listed, tags);
	return rc;
}

static int build_tags(Packs *packs, struct page_tags *tags) {
	for (size_t at = 0; at < packs->count; at++) {
		int rc = apply_pack(packs, at, tags);
		if (rc < 0)
			return rc;
	}
	page_tags_clean(tags);
	uint8_t root[META_HASH_BYTES];
	int rc = page_tags_root(tags, root);
	if (rc == 0 && memcmp(root, packs_last(packs)->root, sizeof root) != 0)
		return fault(EBADMSG, "the checkpoint packs up to %s do not give the root that it says",
		        pack_name(packs_last(packs)->sequence, "").text);
	return rc;
}

/* What stands below the base was to be removed when that became durable. */
static void remove_old(Packs *packs, const struct listing *listing) {
	for (size_t i = 0; i < listing->count; i++)
		if (listing->numbers[i] < packs->entries[0].head.sequence)
			(void)vault_io_unlink(packs->io, pack_name(listing->numbers[i], "").text);
	(void)vault_io_unlink(packs->io, pack_name(packs_last(packs)->sequence + 1, ".tmp").text);
	fault_clear();
}

int packs_open(VaultIo *io, const struct meta_keys *keys, bool read_only, struct page_tags *tags, Packs **ret_packs) {
	_cleanup_(packs_closep) Packs *packs = NULL;
	int rc = new_packs(io, keys, read_only, &packs);
	if (rc < 0)
		return rc;
	struct listing listing = {0};
	rc = vault_io_list(io, PACK_DIRECTORY, list_entry, &listing);
	if (rc == -ENOENT || (rc == 0 && listing.highest == 0))
		rc = fault(
		        ENOENT, "%s holds no metadata: no checkpoint pack in %s/", vault_io_path(io), PACK_DIRECTORY);
	if (rc == 0)
		rc = read_heads(packs, listing.highest);
	if (rc == 0)
		rc = build_tags(packs, tags);
	if (rc == 0 && !read_only)
		remove_old(packs, &listing);
	free(listing.numbers);
	if (rc < 0)
		return rc;
	*ret_packs = steal_pointer(&packs);
	return 0;
}

struct search {
	uint32_t page;
	const uint8_t *tag;
	uint32_t index;
};

static int match_listed(void *user, uint32_t index, uint32_t page, const uint8_t *tag) {
	struct search *search = user;
	if (page != search->page || memcmp(tag, search->tag, META_TAG_BYTES) != 0)
		return 0;
	search->index = index;
	return 1;
}

static int page_is_good(const struct meta_keys *keys, uint32_t page, const uint8_t *sealed, const uint8_t *tag) {
	uint8_t plain[META_PAGE_BYTES];
	return memcmp(sealed + META_PAGE_TAG_AT, tag, META_TAG_BYTES) == 0 &&
	       meta_page_open(keys, page, sealed, plain) == 0;
}

int packs_find_page(Packs *packs, uint32_t page, const uint8_t tag[static META_TAG_BYTES],
        uint8_t ret_sealed[static META_PAGE_BYTES]) {
	for (size_t at = packs->count; at-- > 0;) {
		const struct pack_entry *entry = &packs->entries[at];
		_cleanup_(vault_file_closep) VaultFile *file = NULL;
		struct search search = {.page = page, .tag = tag};
		if (open_pack(packs, entry->head.sequence, &file) < 0 ||
		        each_listed(packs, entry, file, match_listed, &search) != 1)
			continue;
		if (vault_file_read_exactly(
		            file, pack_page_offset(&entry->head, search.index), ret_sealed, META_PAGE_BYTES) == 0 &&
		        page_is_good(packs->keys, page, ret_sealed, tag))
			return 0;
	}
	return fault(ENOENT, "no checkpoint pack holds page %" PRIu32 " of the metadata undamaged", page);
}

struct walk {
	const struct pack_entry *entry;
	VaultFile *file;
	int (*fn)(void *user, uint32_t page, const uint8_t *sealed);
	void *user;
};

static int walk_listed(void *user, uint32_t index, uint32_t page, const uint8_t *tag) {
	(void)tag;
	struct walk *walk = user;
	uint8_t sealed[META_PAGE_BYTES];
	int rc =
	        vault_file_read_exactly(walk->file, pack_page_offset(&walk->entry->head, index), sealed, sizeof sealed);
	return rc < 0 ? rc : walk->fn(walk->user, page, sealed);
}

int packs_each_page(Packs *packs, int (*fn)(void *user, uint32_t page, const uint8_t *sealed), void *user) {
	int rc = 0;
	for (size_t at = 0; at < packs->count && rc == 0; at++) {
		_cleanup_(vault_file_closep) VaultFile *file = NULL;
		struct walk walk = {.entry = &packs->entries[at], .fn = fn, .user = user};
		rc = open_pack(packs, walk.entry->head.sequence, &file);
		walk.file = file;
		if (rc == 0)
			rc = each_listed(packs, walk.entry, file, walk_listed, &walk);
	}
	return rc;
}

struct check {
	Packs *packs;
	const struct pack_entry *entry;
	VaultFile *file;
	int (*finding)(void *user, const char *file, int64_t place, const char *words);
	void *user;
};

static int check_listed(void *user, uint32_t index, uint32_t page, const uint8_t *tag) {
	struct check *check = user;
	uint8_t sealed[META_PAGE_BYTES];
	int rc = vault_file_read_exactly(
	        check->file, pack_page_offset(&check->entry->head, index), sealed, sizeof sealed);
	if (rc == 0 && page_is_good(check->packs->keys, page, sealed, tag))
		return 0;
	return check->finding(check->user, vault_file_name(check->file), page,
	        rc < 0 ? fault_message() : "the pack's copy of this page does not authenticate");
}

static int check_pack(struct check *check) {
	const struct pack_entry *entry = check->entry;
	struct pack_entry now;
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	int rc = open_pack(check->packs, entry->head.sequence, &file);
	if (rc == 0)
		rc = read_entry(check->packs, entry->head.sequence, file, &now);
	if (rc == 0 && memcmp(now.head_tag, entry->head_tag, META_TAG_BYTES) != 0)
		rc = fault(EBADMSG, "another pack stands here than when the vault was opened");
	if (rc < 0)
		return check->finding(check->user, pack_name(entry->head.sequence, "").text, -1, fault_message());
	check->file = file;
	rc = each_listed(check->packs, entry, file, check_listed, check);
	if (rc < 0)
		return check->finding(check->user, vault_file_name(file), -1, fault_message());
	return rc;
}

static int check_stray(void *user, const char *name) {
	struct check *check = user;
	struct pack_name next = pack_name(packs_last(check->packs)->sequence + 1, ".tmp");
	if (strcmp(name, strrchr(next.text, '/') + 1) == 0)
		return 0;
	char path[VAULT_NAME_MAX + 16];
	(void)snprintf(path, sizeof path, "%s/%s", PACK_DIRECTORY, name);
	return check->finding(check->user, path, -1, "no such file belongs here");
}

int packs_verify(
        Packs *packs, int (*finding)(void *user, const char *file, int64_t place, const char *words), void *user) {
	struct check check = {.packs = packs, .finding = finding, .user = user};
	struct listing listing = {.stray = check_stray, .user = &check};
	int rc = vault_io_list(packs->io, PACK_DIRECTORY, list_entry, &listing);
	free(listing.numbers);
	for (size_t at = 0; at < packs->count && rc == 0; at++) {
		check.entry = &packs->entries[at];
		rc = check_pack(&check);
	}
	return rc;
}
