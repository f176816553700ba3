/*
 * Sealing the metadata anew under the newest version of their key, while the vault is in use.
 *
 *     commit: kv meta.reseal = {version, next page} ─ checkpoint: the pages from there on ─ commit: {version, the next}
 *     ─ … ─ checkpoint: the last of them, and a base pack ─ commit: {version, done}
 *
 * The row says what was done by the checkpoint before, so a crash or a going back (a backup, an accepted loss) does
 * some pages twice and leaves none out. A piece in an interval of commits, and no more than one a second: so who waits
 * for a commit meets one now and then.
 */
#include "backend/metadb.h"
#include "backend/record.h"
#include "backend/store_internal.h"
#include "crypto/base/bytes.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"

#include <errno.h>

#define ROW_BYTES 8
#define DONE UINT32_MAX
#define EVERY_MS 1000u

static int put_row(Store *store, uint32_t version, uint32_t next) {
	uint8_t row[ROW_BYTES];
	le32_put(row, version);
	le32_put(row + 4, next);
	return meta_kv_put(store->meta, STORE_KV_RESEAL, bytes_of(row, sizeof row));
}

int store_reseal_begin(Store *store, uint32_t version) {
	int rc = put_row(store, version, 1);
	if (rc == 0) {
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
	if (atomic_load(&store->reseals) == 0 || now < store->reseal_due_ns)
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
	/* Where it is stuck the next mount looks at all of them again. */
	int rc = put_row(store, version, state == METADB_RESEAL_DONE ? DONE : state == METADB_RESEAL_STUCK ? 1 : next);
	if (rc < 0 || state == METADB_RESEAL_GOES_ON)
		return rc;
	if (state == METADB_RESEAL_STUCK && store->notice)
		store->notice(store->notice_arg, "pages of the metadata are damaged and can't be sealed anew; after "
		                                 "`assayfs fsck --repair` the next mount goes on");
	metadb_reseal(store->db, 0, 1);
	atomic_store(&store->reseals, 0);
	return 0;
}
