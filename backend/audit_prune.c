/* Records that are in archives only. Their hashes stay in the tree, so it verifies and proves as before. */
#include "backend/audit_index.h"
#include "backend/audit_private.h"
#include "backend/meta_private.h"

#include <errno.h>
#include <stdlib.h>

#define KEY_PRUNED "audit.pruned" /* u64: so many records, from 0 on */

uint64_t audit_pruned(const Meta *m) {
	return m->failed ? m->committed_pruned : m->state.audit_pruned;
}

int audit_prune_load(Meta *m) {
	uint8_t packed[8];
	size_t size;
	int rc = meta_kv_get(m, KEY_PRUNED, packed, sizeof packed, &size);
	m->state.audit_pruned = m->committed_pruned = rc == 0 && size == sizeof packed ? le64_get(packed) : 0;
	if (rc == -ENOENT)
		return 0;
	bool is_right = rc == 0 && size == sizeof packed && m->state.audit_pruned % AUDIT_TILE_HASHES == 0 &&
	                m->state.audit_pruned <= m->audit->frontier.size;
	if (rc == -ERANGE || (rc == 0 && !is_right))
		return fault(EUCLEAN, "metadata: what was pruned of the audit log (%s) is malformed", KEY_PRUNED);
	return rc;
}

struct gathering {
	size_t count;
	struct audit_keys keys[AUDIT_TILE_HASHES];
};

static int gather(void *arg, const struct audit_stored *record) {
	struct gathering *gathering = arg;
	gathering->keys[gathering->count++] = audit_keys_of(record);
	return 0;
}

static int unindex(Meta *m, uint64_t tile, struct gathering *gathering) {
	gathering->count = 0;
	int rc = audit_each(m, tile * AUDIT_TILE_HASHES, (tile + 1) * AUDIT_TILE_HASHES, false, gather, gathering);
	if (rc == 0 && gathering->count != AUDIT_TILE_HASHES)
		rc = fault(EUCLEAN, "audit: records of tile %llu are missing", (unsigned long long)tile);
	return rc == 0 ? audit_unindex_tile(m, tile, gathering->keys) : rc;
}

static int remove_records(Meta *m, uint64_t end) {
	int rc = meta_open_door(m);
	if (rc == 0)
		rc = SQL_RUN(m, "DELETE FROM audit WHERE seq < ?", v_u64(end));
	if (rc == 0 && meta_has(m, META_SCHEMA_AUDIT_PACK))
		rc = SQL_RUN(m, "DELETE FROM audit_pack WHERE first < ?", v_u64(end));
	return rc == 0 ? meta_close_door(m) : rc;
}

int audit_prune(Meta *m, uint64_t end) {
	meta_assert_running(m);
	uint64_t begin = m->state.audit_pruned;
	if (end % AUDIT_TILE_HASHES != 0 || end < begin || end > m->audit->frontier.size)
		return -EINVAL;
	_cleanup_(freep) struct gathering *gathering = malloc(sizeof *gathering);
	if (!gathering)
		return fault(ENOMEM, "pruning the audit log");
	int rc = sql_refuse_failed(m);
	for (uint64_t tile = begin / AUDIT_TILE_HASHES; rc == 0 && tile < end / AUDIT_TILE_HASHES; tile++)
		rc = unindex(m, tile, gathering);
	if (rc == 0)
		rc = remove_records(m, end);
	uint8_t packed[8];
	le64_put(packed, end);
	if (rc == 0)
		rc = meta_kv_put(m, KEY_PRUNED, bytes_of(packed, sizeof packed));
	if (rc == 0)
		m->state.audit_pruned = end;
	return rc;
}
