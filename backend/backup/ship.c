#include "backend/backup/ship_internal.h"

#include "backend/audit_retain.h"
#include "backend/backup/batch.h"
#include "backend/backup/targets.h"
#include "backend/metadb.h"
#include "backend/segment.h"
#include "backend/store_internal.h"
#include "backend/vault_io.h"
#include "backend/version.h"
#include "crypto/base/array.h"
#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "crypto/header.h"
#include "crypto/secret.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HEADER_NAME "vault.json"
/* Checkpoints that one round takes when files go while it reads them. */
#define ATTEMPTS 6
#define PACKS_OPEN 64
#define DAY_S 86400

int64_t ship_locked_until(const struct ship *ship) {
	return ship->lock_days ? (int64_t)time(NULL) + (int64_t)ship->lock_days * DAY_S : 0;
}

int ship_init(struct ship *ship, Store *store, const struct backup_target *rule) {
	struct store_info *info = malloc(sizeof *info);
	if (!info)
		return fault(ENOMEM, "no memory to ship");
	store_info(store, info);
	ship->store = store;
	ship->zones = target_zones(rule);
	ship->prefix_mark = layout_prefix_mark(rule->prefix);
	ship->lock_days = rule->lock_days;
	memcpy(ship->vault_id, info->vault_id, sizeof ship->vault_id);
	free(info);
	return *rule->prefix ? reach_new(ship->zones, rule->prefix, &ship->reach) : 0;
}

void ship_clear(struct ship *ship) {
	inventory_clear(&ship->inventory);
	layout_super_clear(&ship->last);
	store_checkpoint_clear(&ship->checkpoint);
	free(ship->lost);
	reach_free(ship->reach);
}

/* ---- what is there ---- */

int ship_read_super(struct ship *ship, uint64_t number, struct layout_super *ret) {
	char name[LAYOUT_NAME_BYTES];
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t size = 0;
	layout_super_name(number, name);
	int rc = objects_get_all(ship->objects, name, LAYOUT_SUPER_BYTES_MAX, &bytes, &size);
	if (rc == -EFBIG)
		return fault(EBADMSG, "%s is too long for a superblock", name);
	return rc < 0 ? rc
	              : layout_super_open(
	                        store_keyring(ship->store), ship->vault_id, number, bytes_of(bytes, size), ret);
}

/* Whether this vault has the commit that the backup goes on from. Times of commits are its own. */
static int check_history(struct ship *ship) {
	Meta *m = store_meta(ship->store);
	int64_t time_ns = 0;
	meta_begin(m);
	int rc = meta_end(m, meta_commit_time(m, ship->last.commit, &time_ns));
	if (rc == -ENOENT || (rc == 0 && time_ns != ship->last.time_ns))
		return ship_refuse(ship,
		        "the backup there has later changes, which this vault has not: it was recovered "
		        "or set back to an older state, or a copy of it is shipped, too");
	return rc;
}

static void tell_hidden(const struct ship *ship) {
	char words[200];
	(void)snprintf(words, sizeof words,
	        "somebody removed superblocks: generation %" PRIu64
	        " is there only as an earlier version; going on from it",
	        ship->last.number);
	if (ship->notice)
		ship->notice(ship->notice_arg, words);
}

static int open_newest(struct ship *ship) {
	const struct inventory *there = &ship->inventory;
	layout_super_clear(&ship->last);
	size_t tries = there->super_count < SUPER_TRIES ? there->super_count : SUPER_TRIES;
	int rc = 0;
	for (size_t i = 0; i < tries; i++) {
		rc = ship_read_super(ship, there->supers[there->super_count - 1 - i], &ship->last);
		if (rc != -EBADMSG)
			break;
	}
	bool is_foreign = rc == -EBADMSG, is_hidden = false;
	rc = is_foreign ? 0 : rc;
	if (rc == 0 && ship->lock_days) {
		rc = ship_find_hidden(ship);
		is_hidden = rc == 1;
		rc = is_hidden ? 0 : rc;
	}
	if (is_hidden)
		tell_hidden(ship);
	else if (rc == 0 && is_foreign)
		return ship_refuse(ship, "there is the backup of another vault");
	return rc == 0 && ship->last.number ? check_history(ship) : rc;
}

int ship_begin(struct ship *ship) {
	ship->whole_base = ship->whole_pack = 0;
	int rc = inventory_read(ship->objects, &ship->inventory);
	if (rc == 0)
		rc = open_newest(ship);
	if (rc == 0)
		inventory_drop_parts_above(&ship->inventory, ship->last.pack);
	return rc;
}

bool ship_has_rule(const struct ship *ship) {
	bool has_names = ship->last.prefix_mark == 0 || ship->last.prefix_mark == ship->prefix_mark;
	return (ship->zones & ~ship->last.zones) == 0 && has_names;
}

static int take_super(void *arg, const struct object_info *object) {
	return inventory_add(arg, object->name, object->size);
}

int ship_check(struct ship *ship) {
	inventory_clear(&ship->inventory);
	int rc = objects_list(ship->objects, "super/", take_super, &ship->inventory);
	return rc < 0 ? rc : open_newest(ship);
}

/* ---- a round ---- */

struct round {
	struct ship *ship;
	VaultIo *io;
	Batch *batch;
	uint8_t *header;
	size_t header_size;
	uint64_t generation;
	uint8_t header_hash[LAYOUT_HASH_BYTES];
	uint32_t key_version; /* for the superblock */
	/* Packs that the place lacks: the first ones are opened before anything is sent, lest a newer base take them
	 * away meanwhile. */
	VaultFile *packs[PACKS_OPEN];
	uint64_t first_pack;
	bool leave_out; /* what is gone from the disk; what a prefix needs is not waited for either */
	uint8_t (*lost)[LAYOUT_ID_BYTES];
	size_t lost_count, lost_room;
	uint64_t lost_bytes;
};

/* What others have put does not count, now that it is known how long the segments are. */
static void limit_extents(struct ship *ship) {
	for (size_t i = 0; i < ship->checkpoint.segment_count; i++)
		inventory_limit(&ship->inventory, ship->checkpoint.segments[i].id, ship->checkpoint.segments[i].bytes);
}

static void count_missing(struct ship *ship) {
	uint64_t missing = 0;
	for (size_t i = 0; i < ship->checkpoint.segment_count; i++) {
		const struct segment_row *row = &ship->checkpoint.segments[i];
		uint32_t covered = inventory_covered(&ship->inventory, row->id);
		missing += row->bytes > covered ? row->bytes - covered : 0;
	}
	atomic_store(&ship->missing, missing);
	atomic_store(&ship->appended, ship->checkpoint.appended);
	atomic_store(&ship->taken, true);
}

/* ---- extents ---- */

/* What of the vault can't be read, in the words of the fault; errors of the place are negative. */
#define LOST 1

/* Want of memory or descriptors says nothing of a file. */
static int lost(int rc) {
	return rc < 0 && rc != -ENOMEM && rc != -EMFILE && rc != -ENFILE ? LOST : rc;
}

static int put_extent(struct round *round, VaultFile *file, const struct segment_row *row, uint32_t from, uint32_t to) {
	char name[LAYOUT_NAME_BYTES];
	uint8_t *buffer = NULL;
	int rc = batch_room(round->batch, to - from, &buffer);
	if (rc == 0)
		rc = lost(vault_file_read_exactly(file, from, buffer, to - from));
	if (rc != 0) {
		free(buffer);
		return rc;
	}
	layout_extent_name(row->id, from, to, name);
	return batch_put(round->batch, name, buffer, to - from);
}

/* Extents end where a multiple of LAYOUT_EXTENT_BYTES does, so that those of a segment that is full are of one size. */
static int put_extents(struct round *round, const struct segment_row *row, uint32_t covered) {
	char name[SEGMENT_NAME_BYTES];
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	segment_file_name(row->id, name);
	int rc = lost(vault_file_open(round->io, name, VAULT_FILE_READ, &file));
	if (rc == 0)
		vault_file_expect(file, covered, row->bytes - covered);
	while (rc == 0 && covered < row->bytes) {
		uint64_t end = ((uint64_t)covered / LAYOUT_EXTENT_BYTES + 1) * LAYOUT_EXTENT_BYTES;
		uint32_t to = (uint32_t)(end < row->bytes ? end : row->bytes);
		rc = put_extent(round, file, row, covered, to);
		covered = to;
	}
	return rc;
}

int ship_put_extent(struct ship *ship, const struct segment_row *row, uint32_t from, uint32_t to) {
	char name[SEGMENT_NAME_BYTES];
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	struct round round = {.ship = ship};
	segment_file_name(row->id, name);
	int rc = batch_new(ship, &round.batch);
	if (rc == 0)
		rc = lost(vault_file_open(store_io(ship->store), name, VAULT_FILE_READ, &file));
	if (rc == 0)
		rc = put_extent(&round, file, row, from, to);
	if (rc == 0)
		rc = batch_flush(round.batch);
	batch_free(round.batch);
	return rc;
}

static void tell_lost(struct ship *ship, const struct segment_row *row, const char *why) {
	char name[SEGMENT_NAME_BYTES], words[FAULT_MESSAGE_BYTES];
	segment_file_name(row->id, name);
	(void)snprintf(words, sizeof words, "%s can't be backed up, as it is damaged or gone here: %.700s", name, why);
	if (ship->notice)
		ship->notice(ship->notice_arg, words);
}

static bool was_lost(const struct ship *ship, const struct segment_row *row) {
	for (size_t i = 0; i < ship->lost_count; i++)
		if (memcmp(ship->lost[i], row->id, LAYOUT_ID_BYTES) == 0)
			return true;
	return false;
}

/* The collector may have removed it since the checkpoint: a newer one does not name it then. What they all name is
 * damaged or gone, is told once, and does not keep the rest from being backed up. */
static int without(struct round *round, const struct segment_row *row) {
	struct ship *ship = round->ship;
	char words[FAULT_MESSAGE_BYTES];
	bool is_known = was_lost(ship, row);
	if (!round->leave_out && !is_known)
		return -ESTALE;
	(void)snprintf(words, sizeof words, "%s", fault_message());
	void *grown = array_room(round->lost, &round->lost_room, round->lost_count + 1, sizeof *round->lost);
	if (!grown)
		return fault(ENOMEM, "no memory for the list of the segments that are gone");
	round->lost = grown;
	memcpy(round->lost[round->lost_count++], row->id, LAYOUT_ID_BYTES);
	uint32_t covered = inventory_covered(&ship->inventory, row->id);
	round->lost_bytes += row->bytes > covered ? row->bytes - covered : 0;
	if (!is_known)
		tell_lost(ship, row, words);
	return 0;
}

/* For the next rounds, and for who asks. */
static void keep_lost(struct round *round) {
	struct ship *ship = round->ship;
	free(ship->lost);
	ship->lost = steal_pointer(&round->lost);
	ship->lost_count = round->lost_count;
	atomic_store(&ship->lost_segments, round->lost_count);
	atomic_store(&ship->lost_bytes, round->lost_bytes);
}

static int put_segments(struct round *round) {
	struct ship *ship = round->ship;
	int rc = 0;
	for (size_t i = 0; i < ship->checkpoint.segment_count && rc == 0; i++) {
		const struct segment_row *row = &ship->checkpoint.segments[i];
		uint32_t covered = inventory_covered(&ship->inventory, row->id);
		if (row->bytes <= covered)
			continue;
		rc = put_extents(round, row, covered);
		if (rc == LOST)
			rc = without(round, row);
	}
	if (rc == 0)
		rc = batch_flush(round->batch);
	if (rc == 0)
		keep_lost(round);
	return rc;
}

/* ---- vault.json and the archives of the log ---- */

/* The newest version of the metadata's key that whoever gets this header will have. */
static uint32_t version_for_supers(const VaultHeader *header, const Keyring *keyring) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	struct key_info info;
	uint32_t version = 0;
	for (size_t i = 0; header_key(header, i, &info) == 0; i++)
		if (strcmp(info.name, "meta") == 0 &&
		        keyring_get(keyring, info.name, info.version, key.bytes, NULL) == 0)
			version = info.version;
	fault_clear();
	return version;
}

static int read_header_still(struct round *round) {
	_cleanup_(header_freep) VaultHeader *header = NULL;
	int rc = vault_io_read_all(round->io, HEADER_NAME, HEADER_BYTES_MAX, &round->header, &round->header_size);
	struct bytes bytes = bytes_of(round->header, round->header_size);
	if (rc == 0)
		rc = header_parse(bytes, &header);
	if (rc == 0)
		rc = header_verify(header, store_keyring(round->ship->store));
	if (rc == -ENOKEY)
		rc = 0; /* whoever mounted has not all keys: recovery holds it to account */
	if (rc < 0)
		return fault_while(rc, HEADER_NAME);
	round->generation = header_generation(header);
	round->key_version = version_for_supers(header, store_keyring(round->ship->store));
	blake2b(bytes, round->header_hash);
	return 0;
}

/* Read after the checkpoint was taken: it has every key that something there is sealed under. Not while it is changed:
 * vault.json and the keyring are then of one generation. */
static int read_header(struct round *round) {
	pthread_mutex_t *changing = &round->ship->store->keys.changing;
	pthread_mutex_lock(changing);
	int rc = read_header_still(round);
	pthread_mutex_unlock(changing);
	return rc;
}

static int put_header(struct round *round) {
	char name[LAYOUT_NAME_BYTES];
	uint8_t *copy = NULL;
	if (inventory_has_header(&round->ship->inventory, round->generation, round->header_hash))
		return 0;
	int rc = batch_room(round->batch, round->header_size, &copy);
	if (rc < 0)
		return rc;
	memcpy(copy, round->header, round->header_size);
	layout_header_name(round->generation, round->header_hash, name);
	return batch_put(round->batch, name, copy, round->header_size);
}

static int put_archive(struct round *round, uint64_t first) {
	char name[LAYOUT_NAME_BYTES];
	uint8_t *file = NULL;
	size_t size = 0;
	int rc = batch_room(round->batch, 0, NULL);
	if (rc == 0)
		rc = lost(audit_retain_read(round->ship->store, first, &file, &size));
	layout_audit_name(first, name);
	return rc != 0 ? rc : batch_put(round->batch, name, file, size);
}

static int put_archives(struct round *round) {
	struct ship *ship = round->ship;
	_cleanup_(freep) struct audit_archived *all = NULL;
	size_t count = 0;
	Meta *m = store_meta(ship->store);
	meta_begin(m);
	int rc = meta_end(m, audit_retain_all(m, &all, &count));
	for (size_t i = 0; i < count && rc == 0; i++) {
		if (inventory_has_audit(&ship->inventory, all[i].first, all[i].bytes))
			continue;
		rc = put_archive(round, all[i].first);
		/* Gone or damaged here: fsck tells of it, too, and the rest is to be backed up all the same. */
		if (rc == LOST && ship->notice && ship->told_archive <= all[i].first) {
			ship->notice(ship->notice_arg, fault_message());
			ship->told_archive = all[i].first + 1;
		}
		rc = rc == LOST ? 0 : rc;
	}
	return rc;
}

/* ---- packs ---- */

static int open_pack(struct round *round, uint64_t pack, VaultFile **ret_file) {
	char name[METADB_PACK_NAME_BYTES];
	metadb_pack_name(pack, name);
	int rc = vault_file_open(round->io, name, VAULT_FILE_READ, ret_file);
	return rc == -ENOENT ? -ESTALE : rc;
}

static bool is_whole(const struct ship *ship, uint64_t pack) {
	return ship->whole_base && pack >= ship->whole_base && pack <= ship->whole_pack;
}

static int open_packs(struct round *round) {
	const struct store_checkpoint *checkpoint = &round->ship->checkpoint;
	uint64_t pack = checkpoint->base;
	while (pack <= checkpoint->pack && is_whole(round->ship, pack))
		pack++;
	round->first_pack = pack;
	int rc = 0;
	for (size_t i = 0; i < PACKS_OPEN && pack + i <= checkpoint->pack && rc == 0; i++)
		rc = open_pack(round, pack + i, &round->packs[i]);
	return rc;
}

static int put_part(struct round *round, VaultFile *file, uint64_t pack, uint32_t part, size_t size) {
	char name[LAYOUT_NAME_BYTES];
	uint8_t *buffer = NULL;
	if (inventory_has_part(&round->ship->inventory, pack, part, size))
		return 0;
	int rc = batch_room(round->batch, size, &buffer);
	if (rc == 0)
		rc = vault_file_read_exactly(file, part * LAYOUT_PART_BYTES, buffer, size);
	if (rc < 0) {
		free(buffer);
		return rc;
	}
	layout_part_name(pack, part, name);
	return batch_put(round->batch, name, buffer, size);
}

static int put_pack(struct round *round, uint64_t pack) {
	_cleanup_(vault_file_closep) VaultFile *mine = NULL;
	size_t at = (size_t)(pack - round->first_pack);
	VaultFile *file = at < PACKS_OPEN ? round->packs[at] : NULL;
	uint64_t size = 0;
	int rc = file ? 0 : open_pack(round, pack, &mine);
	if (!file)
		file = mine;
	if (rc == 0)
		rc = vault_file_size(file, &size);
	for (uint32_t part = 0; rc == 0 && part * LAYOUT_PART_BYTES < size; part++) {
		uint64_t rest = size - part * LAYOUT_PART_BYTES;
		rc = put_part(round, file, pack, part, (size_t)(rest < LAYOUT_PART_BYTES ? rest : LAYOUT_PART_BYTES));
	}
	return rc;
}

static int put_packs(struct round *round) {
	struct ship *ship = round->ship;
	const struct store_checkpoint *checkpoint = &ship->checkpoint;
	int rc = 0;
	for (uint64_t pack = round->first_pack; pack <= checkpoint->pack && rc == 0; pack++)
		rc = put_pack(round, pack);
	if (rc == 0)
		rc = batch_flush(round->batch);
	if (rc == 0) {
		ship->whole_base = checkpoint->base;
		ship->whole_pack = checkpoint->pack;
	}
	return rc;
}

/* ---- what the rule takes ---- */

/*
 * Leaves in the checkpoint the segments that the rule takes. While the collector moves blocks nobody knows which a
 * prefix needs: another round finds out, or all are taken this time.
 */
static int keep_wanted(struct round *round, uint64_t moves) {
	struct ship *ship = round->ship;
	struct store_checkpoint *checkpoint = &ship->checkpoint;
	Reach *reach = ship->reach;
	Meta *m = store_meta(ship->store);
	int rc = reach ? reach_look(reach, ship->store) : 0;
	if (reach && rc == 0 && version_map_moves(m) != moves) {
		reach = NULL;
		rc = round->leave_out ? 0 : -ESTALE;
	}
	size_t kept = 0;
	for (size_t i = 0; i < checkpoint->segment_count && rc == 0; i++) {
		const struct segment_row *row = &checkpoint->segments[i];
		if ((ship->zones & 1u << row->zone) && (!reach || reach_takes_row(reach, row)))
			checkpoint->segments[kept++] = *row;
	}
	if (rc == 0)
		checkpoint->segment_count = kept;
	return rc;
}

/* ---- all of it ---- */

static void clear_round(struct round *round) {
	for (size_t i = 0; i < PACKS_OPEN; i++)
		vault_file_close(round->packs[i]);
	free(round->header);
	free(round->lost);
	batch_free(round->batch);
}

static int carry_out(struct round *round) {
	struct ship *ship = round->ship;
	uint64_t moves = version_map_moves(store_meta(ship->store));
	store_checkpoint_clear(&ship->checkpoint);
	int rc = batch_new(ship, &round->batch);
	if (rc == 0 && ship->reach)
		rc = reach_look(ship->reach, ship->store); /* drafts that change until the second look */
	if (rc == 0)
		rc = store_checkpoint(ship->store, &ship->checkpoint);
	if (rc == 0)
		rc = keep_wanted(round, moves);
	if (rc < 0)
		return rc;
	limit_extents(ship);
	count_missing(ship);
	rc = open_packs(round);
	if (rc == 0)
		rc = read_header(round);
	if (rc == 0)
		rc = put_segments(round);
	if (rc == 0)
		rc = put_header(round);
	if (rc == 0)
		rc = put_archives(round);
	if (rc == 0)
		rc = put_packs(round);
	if (rc == 0)
		rc = ship_put_super(ship, round->generation, round->header_hash, round->key_version);
	if (rc == 0)
		atomic_store(&ship->missing, atomic_load(&ship->lost_bytes));
	return rc;
}

int ship_round(struct ship *ship) {
	int rc = -ESTALE;
	for (int attempt = 1; attempt <= ATTEMPTS && rc == -ESTALE; attempt++) {
		struct round round = {.ship = ship, .io = store_io(ship->store), .leave_out = attempt > ATTEMPTS / 2};
		rc = carry_out(&round);
		clear_round(&round);
	}
	if (rc == -ESTALE)
		return fault(EAGAIN, "files of the vault go faster than they can be read");
	return rc;
}
