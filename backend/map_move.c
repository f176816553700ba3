/*
 * Map pages whose blocks are moved by garbage collection (gc_move.c). The bytes that a version shows stay the same; its
 * references, the hash of the page and the version's own are others afterwards. It is the one change of what is sealed
 * that is no loss, and it goes through the guards' door.
 */
#include "backend/map_private.h"
#include "backend/meta_private.h"

#include <errno.h>
#include <stdlib.h>

int version_map_owner(Meta *m, uint64_t page_id, struct map_owner *ret_owner) {
	struct map_owner owner = {0};
	int rc = map_base_user(m, page_id, 0, &owner.version, &owner.page);
	if (rc == 0)
		rc = SQL_NUMBER(m, "SELECT node FROM version WHERE id = ?", &owner.node, v_u64(owner.version));
	if (rc == 0)
		rc = map_base_count(m, page_id, MAP_HASHES_TOLD, &owner.hashes);
	if (rc == 0)
		*ret_owner = owner;
	return rc;
}

int version_map_next_user(Meta *m, uint64_t page_id, uint64_t after, uint64_t *ret_version) {
	uint64_t page;
	return map_base_user(m, page_id, after, ret_version, &page);
}

static int read_page(Meta *m, uint64_t page_id, struct block_ref ret_refs[static MAP_PAGE_REFS], size_t *ret_count) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, "SELECT refs FROM mappage WHERE id = ?", &stmt, v_u64(page_id));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	return map_page_unpack(column_bytes(stmt, 0), ret_refs, ret_count);
}

static int write_page(Meta *m, uint64_t page_id, const struct block_ref *refs, size_t count) {
	uint8_t stored[MAP_PAGE_BYTES], hash[VERSION_HASH_BYTES];
	for (size_t i = 0; i < count; i++)
		block_ref_put(stored + i * BLOCK_REF_BYTES, &refs[i]);
	map_page_hash(bytes_of(stored, count * BLOCK_REF_BYTES), hash);
	return SQL_RUN(m, "UPDATE mappage SET refs = ?2, hash = ?3 WHERE id = ?1", v_u64(page_id),
	        v_blob(stored, count * BLOCK_REF_BYTES), v_blob(hash, sizeof hash));
}

static int rehash_users(Meta *m, uint64_t page_id) {
	for (uint64_t version = 0, page;;) {
		int rc = map_base_user(m, page_id, version, &version, &page);
		if (rc == 0)
			rc = version_rehash(m, version);
		if (rc < 0)
			return rc == -ENOENT ? 0 : rc;
	}
}

int version_map_forward(Meta *m, uint64_t page_id, map_forward_fn *forward, void *arg, bool *ret_changed) {
	_cleanup_(freep) struct block_ref *refs = calloc(MAP_PAGE_REFS, sizeof *refs);
	size_t count = 0;
	bool changed = false;
	int rc = refs ? read_page(m, page_id, refs, &count) : fault(ENOMEM, "no memory for a map page");
	for (size_t i = 0; i < count && rc == 0; i++)
		changed |= !block_ref_is_hole(&refs[i]) && forward(arg, &refs[i]);
	if (rc == 0 && changed) {
		m->map_moves++;
		rc = meta_open_door(m);
		if (rc == 0)
			rc = write_page(m, page_id, refs, count);
		if (rc == 0)
			rc = rehash_users(m, page_id);
		if (rc == 0)
			rc = meta_close_door(m);
	}
	if (rc < 0 && rc != -ENOENT)
		return rc;
	*ret_changed = changed;
	return 0;
}

uint64_t version_map_moves(const Meta *m) {
	return m->map_moves;
}
