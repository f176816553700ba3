/* Records in memory, and their way into packs. An operation is undone by cutting them off; its records and what it did
 * are written before the same COMMIT. */
#include "backend/audit_private.h"
#include "backend/meta_private.h"

#include <errno.h>
#include <stdlib.h>

static int reserve_bytes(struct audit_kept *kept) {
	if (kept->room - kept->size >= AUDIT_RECORD_BYTES_MAX)
		return 0;
	size_t room = kept->room ? 2 * kept->room : 8 * AUDIT_RECORD_BYTES_MAX;
	uint8_t *grown = realloc(kept->data, room);
	if (!grown)
		return fault(ENOMEM, "recording in the audit log");
	kept->data = grown;
	kept->room = room;
	return 0;
}

int audit_keep(Meta *m, const struct audit_stored *record) {
	struct audit_kept *kept = &m->audit->kept;
	int rc = reserve_bytes(kept);
	if (rc < 0)
		return rc;
	bool begins = kept->count == 0 || record->seq % AUDIT_TILE_HASHES == 0;
	kept->size += audit_pack_put(record, begins ? NULL : &m->state.audit_time, kept->data + kept->size);
	kept->ends[kept->count++] = kept->size;
	return 0;
}

void audit_kept_cut(struct audit_kept *kept, uint64_t end) {
	/* what was written already, in an operation that could not be kept after all, is gone with its savepoint */
	kept->count = end > kept->first ? (size_t)(end - kept->first) : 0;
	kept->size = kept->count ? kept->ends[kept->count - 1] : 0;
}

int audit_kept_write(Meta *m) {
	struct audit_kept *kept = &m->audit->kept;
	int rc = kept->count ? meta_raise_schema(m) : 0;
	size_t begin = 0;
	for (size_t at = 0; rc == 0 && at < kept->count;) {
		uint64_t first = kept->first + at;
		size_t left = AUDIT_TILE_HASHES - (size_t)(first % AUDIT_TILE_HASHES);
		size_t count = kept->count - at < left ? kept->count - at : left;
		size_t end = kept->ends[at + count - 1];
		rc = SQL_RUN(m, "INSERT INTO audit_pack (first, count, records) VALUES (?, ?, ?)", v_u64(first),
		        v_u64(count), v_blob(kept->data + begin, end - begin));
		at += count;
		begin = end;
	}
	if (rc < 0)
		return rc;
	kept->first += kept->count;
	kept->count = kept->size = 0;
	return 0;
}

/* Within the operation's savepoint: what fails undoes the operation and leaves the others' records where they are. */
int audit_log_spill(Meta *m) {
	const AuditLog *log = m->audit;
	return log && log->kept.size > AUDIT_KEPT_MAX ? audit_kept_write(m) : 0;
}

void audit_log_kept(Meta *m) {
	if (m->audit)
		m->audit->interned = false;
}
