/* Checkpoint packs as a place has them: heads, lists and pages, and that they follow one another. */
#include "backend/backup/one_file.h"
#include "backend/backup/verify_internal.h"
#include "backend/pack_internal.h"
#include "crypto/base/fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PARTS_MAX 4096

struct pack_check {
	struct verify *v;
	uint64_t number;
	const struct meta_keys *keys;
	struct pack_entry entry;
	bool is_open; /* entry holds */
	VaultFile *file;
	/* Parts that are damaged; the words of the first thing in each. */
	bool damaged[PARTS_MAX];
	bool any;
	char words[FAULT_MESSAGE_BYTES];
};

static int fetch_part(void *arg, uint64_t offset, uint8_t *into, size_t size) {
	struct pack_check *check = arg;
	char name[LAYOUT_NAME_BYTES];
	size_t got = 0;
	layout_part_name(check->number, (uint32_t)(offset / LAYOUT_PART_BYTES), name);
	int rc = objects_get(check->v->ship.objects, name, 0, into, size, &got);
	if (rc < 0)
		return rc;
	rc = verify_count(check->v, 1, got);
	if (rc < 0)
		return rc;
	return got == size ? 0 : fault(EBADMSG, "%s is too short", name);
}

static void note(struct pack_check *check, uint64_t offset, const char *words) {
	uint64_t part = offset / LAYOUT_PART_BYTES;
	if (!check->any)
		(void)snprintf(check->words, sizeof check->words, "%s", words);
	check->any = true;
	check->damaged[part < PARTS_MAX ? part : PARTS_MAX - 1] = true;
}

static int check_page(void *user, uint32_t index, uint32_t page, const uint8_t *tag) {
	struct pack_check *check = user;
	uint8_t sealed[META_PAGE_BYTES];
	char words[120];
	uint64_t offset = pack_page_offset(&check->entry.head, index);
	int rc = vault_file_read_exactly(check->file, offset, sealed, sizeof sealed);
	if (rc == 0 && pack_page_is_good(check->keys, page, sealed, tag))
		return 0;
	(void)snprintf(
	        words, sizeof words, "position %" PRIu64 ": page %" PRIu32 " does not authenticate", offset, page);
	note(check, offset, rc < 0 ? fault_message() : words);
	return 0;
}

/* What is wrong is noted; it returns what keeps from looking. */
static int check_pack(struct pack_check *check, VaultIo *io) {
	Packs *packs = NULL;
	check->any = check->is_open = false;
	memset(check->damaged, 0, sizeof check->damaged);
	int rc = packs_new(io, check->keys, true, &packs);
	if (rc < 0)
		return rc;
	rc = pack_open_file(packs, check->number, &check->file);
	if (rc == 0)
		rc = pack_read_entry(packs, check->number, check->file, &check->entry);
	check->is_open = rc == 0;
	if (rc == 0)
		rc = pack_each_listed(packs, &check->entry, check->file, check_page, check);
	if (rc < 0)
		note(check, 0, fault_message());
	vault_file_close(steal_pointer(&check->file));
	packs_close(packs);
	return rc == -ENOMEM ? rc : 0;
}

/* How long the parts are together that follow one another from the first. */
static uint64_t size_there(const struct inventory *there, uint64_t pack) {
	uint64_t size = 0;
	for (size_t i = 0; i < there->part_count; i++) {
		const struct inventory_part *part = &there->parts[i];
		if (part->pack == pack && part->part * LAYOUT_PART_BYTES == size)
			size += part->size;
	}
	return size;
}

/* ---- healing ---- */

static int put_part(struct verify *v, uint64_t pack, VaultFile *file, uint64_t size, uint64_t offset) {
	char name[LAYOUT_NAME_BYTES];
	size_t length = size - offset < LAYOUT_PART_BYTES ? (size_t)(size - offset) : (size_t)LAYOUT_PART_BYTES;
	_cleanup_(freep) uint8_t *data = malloc(length);
	if (!data)
		return fault(ENOMEM, "no memory to heal a checkpoint pack");
	int rc = vault_file_read_exactly(file, offset, data, length);
	layout_part_name(pack, (uint32_t)(offset / LAYOUT_PART_BYTES), name);
	return rc < 0 ? rc : verify_put(v, name, bytes_of(data, length));
}

/* From the local pack, if that is sound: all parts, when how long it should be was not known. */
static int heal_pack(const struct pack_check *check) {
	_cleanup_(freep) struct pack_check *local = calloc(1, sizeof *local);
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	VaultIo *io = store_io(check->v->ship.store);
	uint64_t size = 0;
	if (!check->v->heal || !local)
		return -EPERM;
	*local = (struct pack_check){.v = check->v, .number = check->number, .keys = check->keys};
	int rc = check_pack(local, io);
	if (rc == 0 && local->any)
		return -EBADMSG;
	if (rc == 0)
		rc = vault_file_open(io, pack_name(check->number, "").text, VAULT_FILE_READ, &file);
	if (rc == 0)
		rc = vault_file_size(file, &size);
	for (uint64_t offset = 0; offset < size && rc == 0; offset += LAYOUT_PART_BYTES)
		if (!check->is_open || check->damaged[offset / LAYOUT_PART_BYTES])
			rc = put_part(check->v, check->number, file, size, offset);
	return rc;
}

static int tell(struct pack_check *check) {
	char name[LAYOUT_NAME_BYTES], words[FAULT_MESSAGE_BYTES];
	uint32_t part = 0;
	while (part < PARTS_MAX - 1 && !check->damaged[part])
		part++;
	layout_part_name(check->number, part, name);
	memcpy(words, check->words, sizeof words);
	return verify_tell(check->v, name, words, heal_pack(check));
}

/* ---- all of them ---- */

static bool follows(const struct pack_check *check, const struct pack_head *last) {
	const struct pack_head *head = &check->entry.head;
	const struct layout_super *super = &check->v->super;
	if (check->number == super->base && !head->is_base)
		return false;
	if (check->number == super->pack && memcmp(head->root, super->root, META_HASH_BYTES) != 0)
		return false;
	return last->sequence != check->number - 1 || head->is_base ||
	       memcmp(head->previous_root, last->root, META_HASH_BYTES) == 0;
}

static int verify_pack(struct pack_check *check, uint8_t *buffer, struct pack_head *last) {
	struct pack_name name = pack_name(check->number, "");
	struct one_file file = {.name = name.text,
	        .size = size_there(&check->v->ship.inventory, check->number),
	        .piece = LAYOUT_PART_BYTES,
	        .data = buffer,
	        .fetch = fetch_part,
	        .arg = check};
	_cleanup_(vault_io_closep) VaultIo *io = NULL;
	int rc = one_file_open(&file, &io);
	if (rc == 0)
		rc = check_pack(check, io);
	if (rc == 0 && file.rc < 0 && file.rc != -ENOENT && file.rc != -EBADMSG)
		rc = fault(-file.rc, "%s", check->words);
	if (rc == 0 && !check->any && !follows(check, last))
		note(check, 0, "a pack of another history stands here");
	if (rc == 0 && check->any)
		rc = tell(check);
	*last = check->is_open ? check->entry.head : (struct pack_head){0};
	return rc;
}

int verify_packs(struct verify *v) {
	_cleanup_(freep) uint8_t *buffer = malloc(LAYOUT_PART_BYTES);
	_cleanup_(freep) struct pack_check *check = calloc(1, sizeof *check);
	struct pack_head last = {0};
	struct meta_keys *keys = NULL;
	int rc = meta_keys_new(store_keyring(v->ship.store), v->ship.vault_id, &keys);
	if (rc == 0 && (!buffer || !check))
		rc = fault(ENOMEM, "no memory to verify the packs of a backup");
	for (uint64_t pack = v->super.base; rc == 0 && pack <= v->super.pack; pack++) {
		*check = (struct pack_check){.v = v, .number = pack, .keys = keys};
		rc = verify_pack(check, buffer, &last);
	}
	meta_keys_free(keys);
	return rc;
}
