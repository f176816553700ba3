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
	meta_record_seal(
	        keys, META_PACK, entry->head.version, "pack list", bytes_of(&ad, sizeof ad), plain, ret_record);
}

void packs_close(Packs *packs) {
	if (!packs)
		return;
	free(packs->damage);
	free(packs->entries);
	free(packs);
}

void packs_set_reserve(Packs *packs, Reserve *reserve) {
	packs->reserve = reserve;
}

void packs_set_keys(Packs *packs, const struct meta_keys *keys) {
	packs->keys = keys;
}

void packs_want_base(Packs *packs) {
	packs->wants_base = true;
}

bool packs_await_base(const Packs *packs) {
	return packs->wants_base;
}

const struct pack_head *packs_last(const Packs *packs) {
	return &packs->last;
}

uint64_t packs_base(const Packs *packs) {
	bool whole = packs->count > 0 && !packs->is_broken && packs->damaged == 0 && packs->entries[0].head.is_base;
	return whole ? packs->entries[0].head.sequence : 0;
}

int packs_new(VaultIo *io, const struct meta_keys *keys, bool read_only, Packs **ret_packs) {
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
	return rc < 0 ? rc : packs_new(io, keys, false, ret_packs);
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

int pack_read_entry(Packs *packs, uint64_t sequence, VaultFile *file, struct pack_entry *ret_entry) {
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
	if (meta_record_open(packs->keys, META_PACK, entry->head.version, "pack list", bytes_of(&ad, sizeof ad),
	            bytes_of(record, record_bytes), ret_plain, NULL) < 0)
		return fault(EBADMSG, "%s: part %" PRIu32 " of its list does not authenticate", vault_file_name(file),
		        chunk);
	*ret_entries = entries;
	return 0;
}

int pack_each_listed(
        Packs *packs, const struct pack_entry *entry, VaultFile *file, pack_listed_fn *listed, void *user) {
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

int pack_open_file(Packs *packs, uint64_t sequence, VaultFile **ret_file) {
	int rc = vault_file_open(packs->io, pack_name(sequence, "").text, VAULT_FILE_READ, ret_file);
	if (rc == -ENOENT)
		return fault(EBADMSG, "checkpoint pack %s is missing; bring it back from a replica",
		        pack_name(sequence, "").text);
	return rc;
}

static bool parse_number(const char *name, uint64_t *ret_number) {
	uint64_t number = 0;
	size_t digits = 0;
	for (; name[digits] >= '0' && name[digits] <= '9' && digits < 19; digits++)
		number = number * 10 + (uint64_t)(name[digits] - '0');
	*ret_number = number;
	return digits > 0 && name[digits] == '\0' && name[0] != '0';
}

static int list_entry(void *user, const char *name, bool is_directory) {
	struct pack_listing *listing = user;
	uint64_t number = 0;
	if (is_directory || !parse_number(name, &number))
		return listing->stray ? listing->stray(listing->user, name) : 0;
	uint64_t *numbers = reallocarray(listing->numbers, listing->count + 1, sizeof *numbers);
	if (!numbers)
		return fault(ENOMEM, "no memory to list the checkpoint packs");
	listing->numbers = numbers;
	numbers[listing->count++] = number;
	return 0;
}

static int compare_numbers(const void *a, const void *b) {
	const uint64_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

int packs_list(VaultIo *io, struct pack_listing *listing) {
	int rc = vault_io_list(io, PACK_DIRECTORY, list_entry, listing);
	if (rc == 0 && listing->count > 1)
		qsort(listing->numbers, listing->count, sizeof *listing->numbers, compare_numbers);
	return rc;
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

bool pack_page_is_good(const struct meta_keys *keys, uint32_t page, const uint8_t *sealed, const uint8_t *tag) {
	uint8_t plain[META_PAGE_BYTES];
	return memcmp(sealed + META_PAGE_TAG_AT, tag, META_TAG_BYTES) == 0 &&
	       meta_page_open(keys, page, sealed, plain, NULL) == 0;
}

int packs_find_page(Packs *packs, uint32_t page, const uint8_t tag[static META_TAG_BYTES],
        uint8_t ret_sealed[static META_PAGE_BYTES]) {
	for (size_t at = packs->count; at-- > 0;) {
		const struct pack_entry *entry = &packs->entries[at];
		_cleanup_(vault_file_closep) VaultFile *file = NULL;
		struct search search = {.page = page, .tag = tag};
		if (pack_open_file(packs, entry->head.sequence, &file) < 0 ||
		        pack_each_listed(packs, entry, file, match_listed, &search) != 1)
			continue;
		if (vault_file_read_exactly(
		            file, pack_page_offset(&entry->head, search.index), ret_sealed, META_PAGE_BYTES) == 0 &&
		        pack_page_is_good(packs->keys, page, ret_sealed, tag))
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
		rc = pack_open_file(packs, walk.entry->head.sequence, &file);
		walk.file = file;
		if (rc == 0)
			rc = pack_each_listed(packs, walk.entry, file, walk_listed, &walk);
		if (rc == -EBADMSG && packs->is_broken)
			rc = 0; /* a later pack may have what this one has lost */
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
	if (rc == 0 && pack_page_is_good(check->packs->keys, page, sealed, tag))
		return 0;
	return check->finding(check->user, vault_file_name(check->file), page,
	        rc < 0 ? fault_message() : "the pack's copy of this page does not authenticate");
}

static int check_pack(struct check *check) {
	const struct pack_entry *entry = check->entry;
	struct pack_entry now;
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	int rc = pack_open_file(check->packs, entry->head.sequence, &file);
	if (rc == 0)
		rc = pack_read_entry(check->packs, entry->head.sequence, file, &now);
	if (rc == 0 && memcmp(now.head_tag, entry->head_tag, META_TAG_BYTES) != 0)
		rc = fault(EBADMSG, "another pack stands here than when the vault was opened");
	if (rc < 0)
		return check->finding(check->user, pack_name(entry->head.sequence, "").text, -1, fault_message());
	check->file = file;
	rc = pack_each_listed(check->packs, entry, file, check_listed, check);
	if (rc < 0)
		return check->finding(check->user, vault_file_name(file), -1, fault_message());
	return rc;
}

static int say_first(void *user, const char *file, int64_t place, const char *words) {
	char copy[FAULT_MESSAGE_BYTES];
	(void)user;
	(void)snprintf(copy, sizeof copy, "%s", words); /* they may be the fault's own */
	if (place > 0)
		return fault(EBADMSG, "%s: page %" PRId64 ": %s", file, place, copy);
	return fault(EBADMSG, "%s", copy);
}

int pack_check(VaultIo *io, const struct meta_keys *keys, uint64_t sequence, const uint8_t root[static META_HASH_BYTES],
        struct pack_head *ret_head) {
	_cleanup_(packs_closep) Packs *packs = NULL;
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	struct pack_entry entry;
	int rc = packs_new(io, keys, true, &packs);
	if (rc == 0)
		rc = pack_open_file(packs, sequence, &file);
	if (rc == 0)
		rc = pack_read_entry(packs, sequence, file, &entry);
	if (rc == 0 && memcmp(entry.head.root, root, META_HASH_BYTES) != 0)
		rc = fault(EBADMSG, "%s is of another history of this vault", vault_file_name(file));
	struct check check = {.packs = packs, .entry = &entry, .finding = say_first};
	if (rc == 0)
		rc = check_pack(&check);
	if (rc == 0)
		*ret_head = entry.head;
	return rc;
}

static int check_stray(void *user, const char *name) {
	struct check *check = user;
	struct pack_name next = pack_name(packs_last(check->packs)->sequence + 1, ".tmp");
	if (anchors_own(name) || strcmp(name, strrchr(next.text, '/') + 1) == 0)
		return 0;
	char path[VAULT_NAME_MAX + 16];
	(void)snprintf(path, sizeof path, "%s/%s", PACK_DIRECTORY, name);
	return check->finding(check->user, path, -1, "no such file belongs here");
}

static bool is_entry(const Packs *packs, uint64_t sequence) {
	for (size_t at = 0; at < packs->count; at++)
		if (packs->entries[at].head.sequence == sequence)
			return true;
	return false;
}

int packs_each_damage(Packs *packs, pack_finding_fn *finding, void *user) {
	int rc = 0;
	for (size_t i = 0; i < packs->damaged && rc == 0; i++)
		rc = finding(user, pack_name(packs->damage[i].sequence, "").text, -1, packs->damage[i].words);
	return rc;
}

/* What opening went around; entries are read again. */
static int check_damaged(struct check *check) {
	Packs *packs = check->packs;
	int rc = 0;
	for (size_t i = 0; i < packs->damaged && rc == 0; i++)
		if (!is_entry(packs, packs->damage[i].sequence))
			rc = check->finding(
			        check->user, pack_name(packs->damage[i].sequence, "").text, -1, packs->damage[i].words);
	return rc;
}

int packs_verify(Packs *packs, pack_finding_fn *finding, void *user) {
	struct check check = {.packs = packs, .finding = finding, .user = user};
	struct pack_listing listing = {.stray = check_stray, .user = &check};
	int rc = packs_list(packs->io, &listing);
	free(listing.numbers);
	if (rc == 0)
		rc = check_damaged(&check);
	for (size_t at = 0; at < packs->count && rc == 0; at++) {
		check.entry = &packs->entries[at];
		rc = check_pack(&check);
	}
	return rc;
}

static int break_chain(void *user, const char *file, int64_t place, const char *words) {
	(void)file;
	(void)place;
	(void)words;
	((Packs *)user)->is_broken = true;
	return 0;
}

int packs_look_for_damage(Packs *packs) {
	struct check check = {.packs = packs, .finding = break_chain, .user = packs};
	int rc = 0;
	for (size_t at = 0; at < packs->count && rc == 0 && !packs->is_broken; at++) {
		check.entry = &packs->entries[at];
		rc = check_pack(&check);
	}
	return rc;
}

int packs_remove_strays(Packs *packs, pack_finding_fn *removed, void *user) {
	bool any = false;
	int rc = 0;
	for (size_t i = 0; i < packs->damaged && rc == 0; i++) {
		struct pack_name name = pack_name(packs->damage[i].sequence, "");
		if (packs->damage[i].sequence <= packs->last.sequence)
			continue;
		rc = vault_io_unlink(packs->io, name.text);
		if (rc == -ENOENT)
			rc = 0;
		any = true;
		if (rc == 0)
			rc = removed(user, name.text, -1, packs->damage[i].words);
	}
	return rc == 0 && any ? vault_io_sync_dir(packs->io, PACK_DIRECTORY) : rc;
}
