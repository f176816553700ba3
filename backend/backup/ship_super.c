/* The superblock of a round: what it says, and how it is put where somebody else may do so, too. */
#include "backend/backup/ship_internal.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ship_refuse(const struct ship *ship, const char *words) {
	return fault(EEXIST, "%s: %s; take another bucket, prefix or directory", objects_url(ship->objects), words);
}

static int compare_ids(const void *one, const void *other) {
	return memcmp(one, other, LAYOUT_ID_BYTES);
}

static int note_leaving(const struct ship *ship, struct layout_super *super, const uint8_t *id) {
	const struct layout_super *last = &ship->last;
	struct layout_leaving *leaving = &super->leaving[super->leaving_count++];
	memcpy(leaving->id, id, LAYOUT_ID_BYTES);
	leaving->since = super->number;
	for (uint32_t i = 0; i < last->leaving_count; i++)
		if (memcmp(last->leaving[i].id, id, LAYOUT_ID_BYTES) == 0)
			leaving->since = last->leaving[i].since;
	return 0;
}

/* Segments that are there and that this generation needs no more. */
static int fill_leaving(const struct ship *ship, struct layout_super *super) {
	const struct store_checkpoint *checkpoint = &ship->checkpoint;
	const struct inventory *there = &ship->inventory;
	_cleanup_(freep) uint8_t(*needed)[LAYOUT_ID_BYTES] = calloc(checkpoint->segment_count + 1, LAYOUT_ID_BYTES);
	size_t most = there->segment_count < LAYOUT_LEAVING_MAX ? there->segment_count : LAYOUT_LEAVING_MAX;
	super->leaving = calloc(most + 1, sizeof *super->leaving);
	if (!needed || !super->leaving)
		return fault(ENOMEM, "no memory for a superblock of the backup");
	size_t count = 0;
	for (size_t i = 0; i < checkpoint->segment_count; i++)
		memcpy(needed[count++], checkpoint->segments[i].id, LAYOUT_ID_BYTES);
	qsort(needed, count, LAYOUT_ID_BYTES, compare_ids);
	for (size_t i = 0; i < there->segment_count && super->leaving_count < most; i++) {
		const uint8_t *id = there->segments[i].id;
		if (!bsearch(id, needed, count, LAYOUT_ID_BYTES, compare_ids))
			(void)note_leaving(ship, super, id);
	}
	return 0;
}

static int fill_super(
        const struct ship *ship, uint64_t generation, const uint8_t *header_hash, struct layout_super *super) {
	const struct store_checkpoint *checkpoint = &ship->checkpoint;
	*super = (struct layout_super){.number = ship->last.number + 1,
	        .time_ns = checkpoint->time_ns,
	        .commit = checkpoint->commit,
	        .pack = checkpoint->pack,
	        .base = checkpoint->base,
	        .header = generation,
	        .zones = ship->zones,
	        .prefix_mark = ship->prefix_mark};
	memcpy(super->header_hash, header_hash, LAYOUT_HASH_BYTES);
	memcpy(super->root, checkpoint->root, LAYOUT_HASH_BYTES);
	super->bytes = inventory_pack_bytes(&ship->inventory, super->base, super->pack);
	for (size_t i = 0; i < checkpoint->segment_count; i++)
		super->bytes += checkpoint->segments[i].bytes;
	return fill_leaving(ship, super);
}

static bool is_same_state(const struct layout_super *one, const struct layout_super *other) {
	return one->commit == other->commit && one->time_ns == other->time_ns && one->pack == other->pack &&
	       one->base == other->base && one->header == other->header && one->zones == other->zones &&
	       one->prefix_mark == other->prefix_mark &&
	       memcmp(one->header_hash, other->header_hash, LAYOUT_HASH_BYTES) == 0 &&
	       memcmp(one->root, other->root, LAYOUT_HASH_BYTES) == 0;
}

/* Of that number there is one: ours, whose answer was lost; another writer's; or one that nobody who has the key has
 * made, or that was damaged: 1. */
static int look_at_other(struct ship *ship, const struct layout_super *mine) {
	struct layout_super other = {0};
	int rc = ship_read_super(ship, mine->number, &other);
	bool same = rc == 0 && is_same_state(mine, &other);
	layout_super_clear(&other);
	if (rc < 0)
		return rc == -EBADMSG ? 1 : rc;
	return same ? 0 : ship_refuse(ship, "another mount of this vault, or of a copy of it, ships there, too");
}

static int send_super(struct ship *ship, const struct layout_super *super, uint32_t key_version) {
	char name[LAYOUT_NAME_BYTES];
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t size = 0;
	int rc = layout_super_seal(store_keyring(ship->store), key_version, ship->vault_id, super, &bytes, &size);
	if (rc < 0)
		return rc;
	layout_super_name(super->number, name);
	_cleanup_(freep) struct object_request *request = calloc(1, sizeof *request);
	if (!request)
		return fault(ENOMEM, "no memory to send a superblock");
	*request = (struct object_request){.what = OBJECT_PUT,
	        .name = name,
	        .data = bytes_of(bytes, size),
	        .if_absent = true,
	        .locked_until_s = ship_locked_until(ship)};
	rc = objects_do(ship->objects, request, 1);
	if (rc == -EEXIST)
		rc = look_at_other(ship, super);
	if (rc == 0)
		rc = inventory_add(&ship->inventory, name, size);
	if (rc == 0) {
		atomic_fetch_add(&ship->put_bytes, size);
		atomic_fetch_add(&ship->put_objects, 1);
	}
	return rc;
}

int ship_put_super(struct ship *ship, uint64_t generation, const uint8_t header_hash[static LAYOUT_HASH_BYTES],
        uint32_t key_version) {
	struct layout_super super = {0};
	int rc = fill_super(ship, generation, header_hash, &super);
	if (rc == 0 && ship->last.number > 0 && is_same_state(&super, &ship->last)) {
		layout_super_clear(&super); /* all there already */
		return 0;
	}
	for (int tries = 0; rc == 0; tries++, super.number++) {
		rc = send_super(ship, &super, key_version);
		if (rc == 1 && tries < SUPER_TRIES) {
			rc = 0;
			continue;
		}
		if (rc == 1)
			rc = ship_refuse(ship, "superblocks that are none of this vault's are in the way");
		break;
	}
	if (rc < 0) {
		layout_super_clear(&super);
		return rc;
	}
	layout_super_clear(&ship->last);
	ship->last = super;
	return 0;
}
