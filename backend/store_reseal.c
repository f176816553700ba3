/*
 * Sealing the metadata anew under the newest version of their key, while the vault is in use.
 *
 *     commit: kv meta.reseal = {version, next page} ─ checkpoint: the pages from there on ─ commit: {version, the next}
 *     ─ … ─ checkpoint: the last of them, and a base pack ─ commit: {version, done}
 *
 * The row says what was done by the checkpoint before, so a crash or a going back (a backup, an accepted loss) does
 * some pages twice and leaves none out. A piece in an interval of commits, and no more than one a second: so who waits
 * for a commit meets one now and then.
 *
 * The packs of the pieces stay until the base is there. So a piece is done only while there is room for all that is
 * still to come; else it rests, and writes nothing: what the reserve has is for what was acknowledged.
 */
#include "backend/metadb.h"
#include "backend/record.h"
#include "backend/store_internal.h"
#include "backend/store_keys.h"
#include "crypto/base/bytes.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ROW_BYTES 8
#define DONE UINT32_MAX
#define EVERY_MS 1000u
/* More than it takes must be there when it begins, so that a little that others write does not make it rest at once. */
#define SLACK_BYTES (UINT64_C(4) << 20)

static int put_row(Store *store, uint32_t version, uint32_t next) {
	uint8_t row[ROW_BYTES];
	le32_put(row, version);
	le32_put(row + 4, next);
	return meta_kv_put(store->meta, STORE_KV_RESEAL, bytes_of(row, sizeof row));
}

/* Bytes as whole MiB, for words. */
static uint64_t mib(uint64_t bytes) {
	return (bytes + (UINT64_C(1) << 20) - 1) >> 20;
}

int store_reseal_room(Store *store) {
	uint64_t room = 0;
	const uint64_t needed = metadb_reseal_bytes(store->db, 1) + SLACK_BYTES;
	int rc = reserve_room(store->reserve, &room);
	if (rc == 0 && room < needed)
		rc = fault(ENOSPC,
		        "sealing the metadata anew takes up to %" PRIu64
		        " MiB of room for a while, twice their size, and the vault's file system has %" PRIu64
		        " MiB left; make room",
		        mib(needed), room >> 20);
	return rc;
}

int store_key_rewrap_check(Store *store, const char *name) {
	if (strcmp(name, "meta") != 0 || store->read_only)
		return 0;
	meta_begin(store->meta);
	return meta_end(store->meta, store_reseal_room(store));
}

void store_reseal_look(Store *store) {
	uint64_t room = 0;
	const uint64_t needed = atomic_load(&store->reseal_bytes);
	if (atomic_load(&store->reseals) == 0 || needed == 0)
		return;
	bool waits = reserve_room(store->reserve, &room) == 0 && room < needed;
	atomic_store(&store->reseal_waits, waits);
	if (!waits || !store->notice || atomic_exchange(&store->reseal_is_told, true))
		return;
	char words[STORE_DAMAGE_BYTES];
	(void)snprintf(words, sizeof words,
	        "sealing the metadata anew takes up to %" PRIu64
	        " MiB of room, and the vault's file system has %" PRIu64 " MiB left: it goes on when there is room",
	        mib(needed), room >> 20);
	store->notice(store->notice_arg, words);
}

bool store_reseal_goes_on(Store *store) {
	return atomic_load(&store->reseals) != 0 && !atomic_load(&store->reseal_waits);
}

/* The room that the rest takes, and whether it is there. */
static void take_room(Store *store, uint64_t bytes) {
	atomic_store(&store->reseal_bytes, bytes);
	if (bytes == 0)
		atomic_store(&store->reseal_waits, false);
	store_reseal_look(store);
}

int store_reseal_begin(Store *store, uint32_t version) {
	int rc = put_row(store, version, 1);
	if (rc == 0) {
		store->reseal_noted = 1;
		atomic_store(&store->reseal_bytes, 0);
		atomic_store(&store->reseal_waits, false);
		atomic_store(&store->reseal_is_told, false);
		metadb_reseal(store->db, version, 1);
		atomic_store(&store->reseals, version);
	}
	return rc;
}

int store_reseal_resume(Store *store) {
	uint8_t row[ROW_BYTES];
	size_t size = 0;
	int rc = meta_kv_get(store->meta, STORE_KV_RESEAL, row, sizeof row, &size);
	if (rc == -ENOENT)
		return 0;
	if (rc == -ERANGE || (rc == 0 && size != sizeof row))
		return fault(EUCLEAN, "metadata: " STORE_KV_RESEAL " is malformed");
	if (rc < 0 || le32_get(row + 4) == DONE)
		return rc;
	metadb_reseal(store->db, le32_get(row), le32_get(row + 4));
	atomic_store(&store->reseals, le32_get(row));
	return 0;
}

bool store_reseal_is_due(Store *store) {
	const int64_t now = monotonic_ns();
	const unsigned every_ms = store->commit_ms < EVERY_MS ? store->commit_ms : EVERY_MS;
	if (!store_reseal_goes_on(store) || now < store->reseal_due_ns)
		return false;
	store->reseal_due_ns = now + (int64_t)every_ms * 1000000;
	return true;
}

int store_reseal_step(Store *store) {
	uint32_t next = 0;
	const uint32_t version = atomic_load(&store->reseals);
	if (version == 0)
		return 0;
	const enum metadb_reseal_state state = metadb_resealing(store->db, &next);
	take_room(store, state == METADB_RESEAL_GOES_ON ? metadb_reseal_bytes(store->db, next) : 0);
	/* While it rests no commit of its own is to fill the log. */
	if (state == METADB_RESEAL_GOES_ON && atomic_load(&store->reseal_waits) && next == store->reseal_noted)
		return 0;
	/* Where it is stuck the next mount looks at all of them again. */
	int rc = put_row(store, version, state == METADB_RESEAL_DONE ? DONE : state == METADB_RESEAL_STUCK ? 1 : next);
	store->reseal_noted = rc == 0 ? next : 0;
	if (rc < 0 || state == METADB_RESEAL_GOES_ON)
		return rc;
	if (state == METADB_RESEAL_STUCK && store->notice)
		store->notice(store->notice_arg, "pages of the metadata are damaged and can't be sealed anew; after "
		                                 "`assayfs fsck --repair` the next mount goes on");
	metadb_reseal(store->db, 0, 1);
	atomic_store(&store->reseals, 0);
	return 0;
}
