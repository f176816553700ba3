/* Map pages: where the blocks of a version lie. Pages are copied on the first change of a draft. */
#include "backend/map_private.h"
#include "backend/meta_private.h"
#include "backend/version.h"

#include <errno.h>
#include <string.h>

#include "crypto/digest.h"

static_assert(MAP_PAGE_BYTES == MAP_PAGE_REFS * BLOCK_REF_BYTES, "a full page is 8 KiB");

void map_page_hash(struct bytes refs, uint8_t ret_hash[static VERSION_HASH_BYTES]) {
	static const char domain[] = "assayfs map page 1"; /* with its NUL */
	struct blake2b hash;
	blake2b_init(&hash, NULL);
	blake2b_update(&hash, bytes_of(domain, sizeof domain));
	blake2b_update(&hash, refs);
	blake2b_final(&hash, ret_hash);
}

int map_page_unpack(struct bytes stored, struct block_ref *ret_refs, size_t *ret_count) {
	if (stored.size % BLOCK_REF_BYTES != 0 || stored.size > MAP_PAGE_BYTES)
		return fault(EUCLEAN, "metadata: a map page has %zu bytes", stored.size);
	for (size_t i = 0; i < stored.size / BLOCK_REF_BYTES; i++)
		block_ref_get(stored.data + i * BLOCK_REF_BYTES, &ret_refs[i]);
	*ret_count = stored.size / BLOCK_REF_BYTES;
	return 0;
}

/* How much of a page is worth storing: up to its last block. */
static size_t pack(const struct block_ref *refs, size_t count, uint8_t ret_stored[static MAP_PAGE_BYTES]) {
	while (count > 0 && block_ref_is_hole(&refs[count - 1]))
		count--;
	for (size_t i = 0; i < count; i++)
		block_ref_put(ret_stored + i * BLOCK_REF_BYTES, &refs[i]);
	return count * BLOCK_REF_BYTES;
}

/* By a row of its own: -ENOENT when there is none. */
static int own_map_get(
        Meta *m, uint64_t version, uint64_t page, struct block_ref ret_refs[static MAP_PAGE_REFS], size_t *ret_count) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	static const char sql[] =
	        "SELECT p.refs FROM map JOIN mappage p ON p.id = map.mappage WHERE map.version = ? AND map.page = ?";
	int rc = SQL_START(m, sql, &stmt, v_u64(version), v_u64(page));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc > 0)
		return map_page_unpack(column_bytes(stmt, 0), ret_refs, ret_count);
	return rc < 0 ? rc : -ENOENT;
}

int version_map_get(
        Meta *m, uint64_t version, uint64_t page, struct block_ref ret_refs[static MAP_PAGE_REFS], size_t *ret_count) {
	uint64_t base = 0;
	int rc = own_map_get(m, version, page, ret_refs, ret_count);
	if (rc == -ENOENT && (rc = map_base_get(m, version, &base)) == 0)
		rc = base ? own_map_get(m, base, page, ret_refs, ret_count) : -ENOENT;
	if (rc != -ENOENT)
		return rc;
	*ret_count = 0;
	return 0;
}

void map_forget_fresh(Meta *m, uint64_t version) {
	if (meta_is_fresh(m, version))
		m->fresh.version.id = 0;
}

static const char find_row[] = "SELECT mappage FROM map WHERE version = ? AND page = ?";

/* The map page that the version on which this one's map rests has there; 0: none. */
static int base_page_at(Meta *m, uint64_t version, uint64_t page, uint64_t *ret_page_id) {
	uint64_t base, page_id = 0;
	int rc = map_base_get(m, version, &base);
	if (rc == 0 && base)
		rc = SQL_NUMBER(m, find_row, &page_id, v_u64(base), v_u64(page));
	if (rc < 0 && rc != -ENOENT)
		return rc;
	*ret_page_id = page_id;
	return 0;
}

/* The map page that the version shows there; 0: a hole. */
static int page_at(Meta *m, uint64_t version, uint64_t page, uint64_t *ret_page_id) {
	uint64_t page_id = 0;
	int rc = SQL_NUMBER(m, find_row, &page_id, v_u64(version), v_u64(page));
	if (rc == -ENOENT)
		return base_page_at(m, version, page, ret_page_id);
	if (rc == 0)
		*ret_page_id = page_id;
	return rc;
}

/* Where a page of a draft stands. */
struct slot {
	uint64_t page_id; /* 0: a hole */
	bool has_row;     /* of its own; else it is that of the version that its map rests on */
	bool own;         /* this draft made it and has not shared it */
	uint8_t zone;
};

static int find_slot(Meta *m, uint64_t draft, uint64_t page, struct slot *ret_slot) {
	if (page > MAP_PAGE_MAX)
		return -EINVAL;
	if (meta_is_fresh(m, draft) && !m->fresh.has_page) {
		*ret_slot = (struct slot){.zone = m->fresh.version.zone};
		return 0;
	}
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	static const char sql[] = "SELECT v.state, v.zone, p.id, p.owner FROM version v"
	                          " LEFT JOIN map ON map.version = v.id AND map.page = ?2"
	                          " LEFT JOIN mappage p ON p.id = map.mappage WHERE v.id = ?1";
	int rc = SQL_START(m, sql, &stmt, v_u64(draft), v_u64(page));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc < 0)
		return rc;
	if (rc == 0 || sqlite3_column_int(stmt, 0) != VERSION_DRAFT)
		return -EPERM;
	ret_slot->zone = (uint8_t)sqlite3_column_int(stmt, 1);
	ret_slot->page_id = column_u64(stmt, 2);
	ret_slot->has_row = ret_slot->page_id != 0;
	ret_slot->own = ret_slot->has_row && column_u64(stmt, 3) == draft;
	return ret_slot->has_row ? 0 : base_page_at(m, draft, page, &ret_slot->page_id);
}

int map_remove_unused(Meta *m, uint64_t page_id) {
	return SQL_RUN(m, "DELETE FROM mappage WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM map WHERE mappage = ?1)",
	        v_u64(page_id));
}

/* What the draft showed there is shown by it no longer. */
static int let_go(Meta *m, const struct slot *slot) {
	return slot->own ? SQL_RUN(m, "DELETE FROM mappage WHERE id = ?", v_u64(slot->page_id))
	                 : map_remove_unused(m, slot->page_id);
}

/* Where the version that the map rests on has a page there, its rows are taken over first: a missing one shows it. */
static int clear_slot(Meta *m, uint64_t draft, uint64_t page, const struct slot *slot) {
	uint64_t below = slot->has_row ? 0 : slot->page_id;
	if (slot->page_id == 0)
		return 0;
	int rc = slot->has_row ? base_page_at(m, draft, page, &below) : 0;
	if (rc == 0 && below)
		rc = map_base_take_over(m, draft, INT64_MAX);
	if (rc == 0)
		rc = SQL_RUN(m, "DELETE FROM map WHERE version = ? AND page = ?", v_u64(draft), v_u64(page));
	return rc == 0 ? let_go(m, slot) : rc;
}

static int set_slot(Meta *m, uint64_t draft, uint64_t page, const struct slot *slot, uint64_t page_id) {
	if (!slot->has_row) {
		int rc = SQL_RUN(m, "INSERT INTO map (version, page, mappage) VALUES (?, ?, ?)", v_u64(draft),
		        v_u64(page), v_u64(page_id));
		return rc == 0 && slot->page_id ? map_base_covered(m, draft, page) : rc;
	}
	int rc = SQL_RUN(m, "UPDATE map SET mappage = ?3 WHERE version = ?1 AND page = ?2", v_u64(draft), v_u64(page),
	        v_u64(page_id));
	return rc == 0 ? let_go(m, slot) : rc;
}

/* Slot found: the draft has a page more, or is no fresh one any longer. */
static void note_page(Meta *m, uint64_t draft, uint64_t page, const uint8_t hash[static VERSION_HASH_BYTES]) {
	struct fresh_draft *fresh = &m->fresh;
	if (!meta_is_fresh(m, draft))
		return;
	if (fresh->has_page)
		map_forget_fresh(m, draft);
	fresh->has_page = true;
	fresh->page = page;
	memcpy(fresh->page_hash, hash, sizeof fresh->page_hash);
}

int version_map_put(Meta *m, uint64_t draft, uint64_t page, const struct block_ref *refs, size_t count) {
	struct slot slot;
	if (count > MAP_PAGE_REFS)
		return -EINVAL;
	int rc = find_slot(m, draft, page, &slot);
	if (rc < 0)
		return rc;
	if (m->map_put)
		m->map_put(m->map_put_arg, refs, count);
	uint8_t stored[MAP_PAGE_BYTES], hash[VERSION_HASH_BYTES];
	size_t size = pack(refs, count, stored);
	if (size == 0) {
		if (slot.page_id)
			map_forget_fresh(m, draft);
		return clear_slot(m, draft, page, &slot);
	}
	map_page_hash(bytes_of(stored, size), hash);
	note_page(m, draft, page, hash);
	if (slot.own)
		return SQL_RUN(m, "UPDATE mappage SET refs = ?2, hash = ?3 WHERE id = ?1", v_u64(slot.page_id),
		        v_blob(stored, size), v_blob(hash, sizeof hash));
	uint64_t page_id = m->state.next_page++;
	rc = SQL_RUN(m, "INSERT INTO mappage (id, owner, refs, hash) VALUES (?, ?, ?, ?)", v_u64(page_id), v_u64(draft),
	        v_blob(stored, size), v_blob(hash, sizeof hash));
	return rc == 0 ? set_slot(m, draft, page, &slot, page_id) : rc;
}

void version_watch_map(Meta *m, map_put_fn *put, void *arg) {
	m->map_put = put;
	m->map_put_arg = arg;
}

/* The page to share, not changeable from now on by the draft that may have made it. */
static int freeze(Meta *m, uint64_t version, uint64_t page, uint64_t *ret_page_id) {
	int rc = page_at(m, version, page, ret_page_id);
	if (rc < 0 || *ret_page_id == 0)
		return rc;
	static const char sql[] = "UPDATE mappage SET owner = 0 WHERE id = ?1 AND owner = ?2"
	                          " AND (SELECT state FROM version WHERE id = ?2) = 0";
	return SQL_RUN(m, sql, v_u64(*ret_page_id), v_u64(version));
}

int version_map_share(Meta *m, uint64_t from, uint64_t from_page, uint64_t draft, uint64_t page) {
	struct slot slot;
	map_forget_fresh(m, draft);
	map_forget_fresh(m, from);
	int rc = find_slot(m, draft, page, &slot);
	if (rc < 0)
		return rc;
	if (from == draft && from_page == page)
		return 0;
	uint64_t zone = 0;
	rc = SQL_NUMBER(m, "SELECT zone FROM version WHERE id = ? AND state <> 3", &zone, v_u64(from));
	if (rc == 0 && zone != slot.zone)
		rc = -EXDEV;
	uint64_t page_id = 0;
	if (rc == 0)
		rc = freeze(m, from, from_page, &page_id);
	if (rc < 0)
		return rc;
	if (page_id == slot.page_id)
		return 0;
	return page_id ? set_slot(m, draft, page, &slot, page_id) : clear_slot(m, draft, page, &slot);
}

int map_remove_from(Meta *m, uint64_t version, uint64_t first) {
	map_forget_fresh(m, version);
	/* One at a time, from the end: the pages' rows go after the map's, which refer to them. */
	for (;;) {
		_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
		int rc = SQL_START(m,
		        "SELECT page, mappage FROM map WHERE version = ? AND page >= ? ORDER BY page DESC LIMIT 1",
		        &stmt, v_u64(version), v_u64(first));
		if (rc == 0)
			rc = sql_step(m, stmt);
		if (rc <= 0)
			return rc;
		uint64_t page = column_u64(stmt, 0), page_id = column_u64(stmt, 1);
		sql_donep(&stmt);
		rc = SQL_RUN(m, "DELETE FROM map WHERE version = ? AND page = ?", v_u64(version), v_u64(page));
		if (rc == 0)
			rc = map_remove_unused(m, page_id);
		if (rc < 0)
			return rc;
	}
}

int version_truncate_map(Meta *m, uint64_t draft, uint64_t first_page) {
	uint64_t state = 0;
	int rc = SQL_NUMBER(m, "SELECT state FROM version WHERE id = ?", &state, v_u64(draft));
	if (rc == -ENOENT || (rc == 0 && state != VERSION_DRAFT))
		return -EPERM;
	if (rc == 0 && first_page > MAP_PAGE_MAX)
		return 0;
	if (rc == 0)
		rc = map_base_truncate(m, draft, first_page);
	return rc == 0 ? map_remove_from(m, draft, first_page) : rc;
}

/* By a row of its own. */
static int own_map_next(Meta *m, uint64_t version, uint64_t page, uint64_t *ret_page) {
	int rc = SQL_NUMBER(m, "SELECT page FROM map WHERE version = ? AND page >= ? ORDER BY page LIMIT 1", ret_page,
	        v_u64(version), v_u64(page));
	return rc == -ENOENT ? -ENXIO : rc;
}

int version_map_next(Meta *m, uint64_t version, uint64_t page, uint64_t *ret_page) {
	if (page > MAP_PAGE_MAX)
		return -ENXIO;
	uint64_t base = 0, first = UINT64_MAX, other = UINT64_MAX;
	int rc = own_map_next(m, version, page, &first);
	if (rc == 0 || rc == -ENXIO)
		rc = map_base_get(m, version, &base);
	if (rc == 0 && base)
		rc = own_map_next(m, base, page, &other);
	if (rc < 0 && rc != -ENXIO)
		return rc;
	if (first == UINT64_MAX && other == UINT64_MAX)
		return -ENXIO;
	*ret_page = first < other ? first : other;
	return 0;
}

int map_list(Meta *m, uint64_t version, map_fn callback, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	static const char sql[] = "SELECT page, mappage FROM map WHERE version = ?1 UNION ALL"
	                          " SELECT b.page, b.mappage FROM map b WHERE " MAP_OF_BASE("?1", "?2") " ORDER BY 1";
	uint64_t base = 0;
	int rc = map_base_get(m, version, &base);
	if (rc == 0)
		rc = SQL_START(m, sql, &stmt, v_u64(version), v_u64(base));
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0)
		rc = callback(arg, column_u64(stmt, 0), column_u64(stmt, 1));
	return rc < 0 ? rc : 0;
}

static int tell_segments(const struct block_ref *refs, size_t count, version_segment_fn each, void *arg) {
	int rc = 0;
	for (size_t i = 0; i < count && rc == 0; i++)
		if (!block_ref_is_hole(&refs[i]) && (i == 0 || refs[i].segment != refs[i - 1].segment))
			rc = each(arg, refs[i].segment);
	return rc;
}

int version_some_segments(Meta *m, uint64_t version, uint64_t *page, size_t most, version_segment_fn each, void *arg) {
	for (; most > 0; most--) {
		struct block_ref refs[MAP_PAGE_REFS];
		size_t count = 0;
		int rc = version_map_next(m, version, *page, page);
		if (rc == 0)
			rc = version_map_get(m, version, *page, refs, &count);
		if (rc == 0)
			rc = tell_segments(refs, count, each, arg);
		if (rc != 0)
			return rc;
		++*page;
	}
	return 0;
}

int map_page_last(Meta *m, uint64_t *ret_page_id) {
	return SQL_NUMBER(m, "SELECT coalesce(max(id), 0) FROM mappage WHERE id > ?", ret_page_id, v_u64(0));
}

int map_page_list(Meta *m, uint64_t after, map_page_fn callback, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc =
	        SQL_START(m, "SELECT id, owner, refs, hash FROM mappage WHERE id > ? ORDER BY id", &stmt, v_u64(after));
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		struct block_ref refs[MAP_PAGE_REFS];
		size_t count;
		uint8_t stored[VERSION_HASH_BYTES], hash[VERSION_HASH_BYTES];
		rc = map_page_unpack(column_bytes(stmt, 2), refs, &count);
		if (rc == 0)
			rc = column_exact(stmt, 3, stored, sizeof stored, "the hash of a map page");
		if (rc < 0)
			return rc;
		map_page_hash(column_bytes(stmt, 2), hash);
		rc = callback(arg, column_u64(stmt, 0), column_u64(stmt, 1), refs, count,
		        memcmp(hash, stored, sizeof hash) == 0);
	}
	return rc < 0 ? rc : 0;
}
