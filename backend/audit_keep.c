/* Records in memory, their leaves, and their way into packs. An operation is undone by cutting them off; its records
 * and what it did are written before the same COMMIT. */
#include "backend/audit_private.h"
#include "backend/meta_private.h"
#include "crypto/base/deadline.h"

#include <assert.h>
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

/* Of the record before the one at `at`; NULL where a pack begins. */
static const int64_t *time_before(const struct audit_kept *kept, size_t at) {
	bool begins = at == 0 || (kept->first + at) % AUDIT_TILE_HASHES == 0;
	return begins ? NULL : &kept->marks[at - 1].time_ns;
}

int audit_keep(Meta *m, const struct audit_stored *record) {
	struct audit_kept *kept = &m->audit->kept;
	int rc = reserve_bytes(kept);
	if (rc < 0)
		return rc;
	kept->size += audit_pack_put(record, time_before(kept, kept->count), kept->data + kept->size);
	kept->marks[kept->count++] = (struct audit_mark){.end = kept->size, .time_ns = record->time_ns};
	return 0;
}

void audit_kept_cut(struct audit_kept *kept, uint64_t end) {
	/* what was written already, in an operation that could not be kept after all, is gone with its savepoint */
	kept->count = end > kept->first ? (size_t)(end - kept->first) : 0;
	kept->size = kept->count ? kept->marks[kept->count - 1].end : 0;
}

/* ---- leaves ---- */

/* The one after those that are hashed. */
static int hash_next(Meta *m) {
	AuditLog *log = m->audit;
	const struct audit_kept *kept = &log->kept;
	uint64_t seq = log->frontier.size + log->hashed;
	size_t at = (size_t)(seq - kept->first);
	assert(kept->marks && at < kept->count);
	size_t begin = at ? kept->marks[at - 1].end : 0;
	struct audit_stored record;
	struct audit_row row;
	int rc = audit_pack_get(
	        seq, time_before(kept, at), bytes_of(kept->data + begin, kept->marks[at].end - begin), &record);
	if (rc == 0)
		rc = audit_row_of(m, &record, &row);
	if (rc == 0)
		merkle_leaf(bytes_of(log->line, audit_line(&row, log->line)), log->leaves[log->hashed++]);
	return rc;
}

size_t audit_count_unhashed(Meta *m) {
	AuditLog *log = m->audit;
	size_t unhashed = (size_t)(m->state.audit_size - log->frontier.size) - log->hashed;
	atomic_store(&log->unhashed, unhashed);
	return unhashed;
}

int audit_hash(Meta *m, size_t most) {
	meta_assert_running(m);
	int rc = sql_refuse_failed(m);
	for (size_t left = audit_count_unhashed(m); rc == 0 && left > 0 && most > 0; left--, most--)
		rc = hash_next(m);
	(void)audit_count_unhashed(m);
	return rc;
}

size_t audit_unhashed(const Meta *m) {
	return atomic_load(&m->audit->unhashed);
}

/* ---- packs ---- */

int audit_kept_write(Meta *m) {
	struct audit_kept *kept = &m->audit->kept;
	int rc = audit_hash(m, SIZE_MAX);
	if (rc == 0 && kept->count)
		rc = meta_raise_schema(m, META_SCHEMA_AUDIT_PACK);
	size_t begin = 0;
	for (size_t at = 0; rc == 0 && at < kept->count;) {
		uint64_t first = kept->first + at;
		size_t left = AUDIT_TILE_HASHES - (size_t)(first % AUDIT_TILE_HASHES);
		size_t count = kept->count - at < left ? kept->count - at : left;
		size_t end = kept->marks[at + count - 1].end;
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
	if (!m->audit)
		return;
	m->audit->interned = false;
	(void)audit_count_unhashed(m);
	if (m->state.audit_size == m->recorded)
		return;
	m->recorded = m->state.audit_size;
	if (m->recorded_since == 0)
		m->recorded_since = monotonic_ns();
}

uint64_t audit_recorded(const Meta *m) {
	return m->recorded;
}

int64_t audit_waits_since(const Meta *m) {
	return m->recorded_since;
}
