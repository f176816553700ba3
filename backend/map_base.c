/*
 * Maps that rest on another version's. A version of a large file that changed in one place would else copy the rows of
 * its whole map, and an entry of the index by map page for each: 256 of a file of 1 GiB. A draft has rows of its own
 * for the pages that it changed, and one that names the version whose rows count elsewhere.
 *
 *      version 1 ── row 0, row 1, … row 255        full: rests on none
 *      version 2 ── row 7 ─────────► version 1
 *      version 3 ── row 7, row 90 ─► version 1     never on one that rests itself, so that a look-up has two steps
 *
 * Where the rows of its own become too many a version is full again: with k of n pages changed since, each new version
 * copies up to k and one in k copies n, which is least at k = √2n. A row for a hole there is not: who makes one takes
 * over the rows first. An erased version keeps the rows that another one rests on; they go with the last of those.
 */
#include "backend/map_private.h"
#include "backend/meta_private.h"

#include <errno.h>

/* So many rows are copied, and nothing rests on them: less than what a row in map_base and its index cost. */
#define COPIED_MAX 8
/* More rows of its own no version has that rests, however large the file. */
#define ROWS_MAX 512

int map_base_get(Meta *m, uint64_t version, uint64_t *ret_base) {
	uint64_t base = 0;
	int rc = meta_has(m, META_SCHEMA_MAP_BASE)
	                 ? SQL_NUMBER(m, "SELECT base FROM map_base WHERE version = ?", &base, v_u64(version))
	                 : 0;
	if (rc < 0 && rc != -ENOENT)
		return rc;
	*ret_base = base;
	return 0;
}

static int copy_rows(Meta *m, uint64_t from, uint64_t draft) {
	return SQL_RUN(m,
	        "INSERT INTO map (version, page, mappage) SELECT ?1, page, mappage FROM map WHERE version = ?2",
	        v_u64(draft), v_u64(from));
}

/* Rows of the base of pages below `below` for which the draft has none. */
static int copy_missing(Meta *m, uint64_t base, uint64_t draft, uint64_t below) {
	static const char sql[] = "INSERT INTO map (version, page, mappage) SELECT ?1, b.page, b.mappage FROM map b"
	                          " WHERE b.page < ?3 AND " MAP_OF_BASE("?1", "?2");
	return SQL_RUN(m, sql, v_u64(draft), v_u64(base), v_u64(below));
}

/* How many rows of its own it has; counted up to one more than `most`. */
static int count_rows(Meta *m, uint64_t version, uint64_t most, uint64_t *ret_count) {
	return SQL_NUMBER(m, "SELECT count(*) FROM (SELECT 1 FROM map WHERE version = ?1 LIMIT ?2)", ret_count,
	        v_u64(version), v_u64(most + 1));
}

/* Of a file of so many bytes: rows that a version may have before it is made full. */
static uint64_t rows_most(uint64_t size) {
	uint64_t pages = size / MAP_PAGE_SPAN + 1, most = COPIED_MAX;
	while (most < ROWS_MAX && most * most < 2 * pages)
		most++;
	return most;
}

static int rest_on(Meta *m, uint64_t draft, uint64_t base) {
	int rc = meta_raise_schema(m, META_SCHEMA_MAP_BASE);
	return rc < 0 ? rc
	              : SQL_RUN(m, "INSERT INTO map_base (version, base) VALUES (?, ?)", v_u64(draft), v_u64(base));
}

static int is_erased(Meta *m, uint64_t version, bool *ret_erased) {
	uint64_t state = 0;
	int rc = SQL_NUMBER(m, "SELECT state FROM version WHERE id = ?", &state, v_u64(version));
	*ret_erased = state == VERSION_ERASED;
	return rc;
}

int map_base_begin(Meta *m, uint64_t draft, uint64_t from, uint64_t size) {
	uint64_t base = 0, rows = 0;
	bool erased = false;
	int rc = is_erased(m, from, &erased);
	if (rc == 0 && erased) /* since the draft was reserved: its map has holes where others need no rows of it */
		rc = fault(ESTALE, "the version that is to be changed was erased meanwhile");
	if (rc == 0)
		rc = map_base_get(m, from, &base);
	uint64_t most = base ? rows_most(size) : COPIED_MAX;
	if (rc == 0)
		rc = count_rows(m, from, most, &rows);
	if (rc < 0)
		return rc;
	bool full = base == 0, few = rows <= most;
	if (full && !few)
		return rest_on(m, draft, from);
	if (!full && few)
		rc = rest_on(m, draft, base);
	if (rc == 0)
		rc = copy_rows(m, from, draft);
	return rc == 0 && !full && !few ? copy_missing(m, base, draft, INT64_MAX) : rc;
}

/* The rows of an erased version, of pages from `first` to below `end`, that no other rests on any longer. */
static int sweep(Meta *m, uint64_t erased, uint64_t first, uint64_t end) {
	static const char sql[] = "SELECT b.page, b.mappage FROM map b WHERE b.version = ?1 AND b.page >= ?2"
	                          " AND b.page < ?3 AND NOT EXISTS (SELECT 1 FROM map_base d WHERE d.base = ?1"
	                          " AND " MAP_OF_BASE("d.version", "?1") ") ORDER BY b.page DESC LIMIT 1";
	int rc = 0;
	while (rc == 0) {
		_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
		rc = SQL_START(m, sql, &stmt, v_u64(erased), v_u64(first), v_u64(end));
		if (rc == 0)
			rc = sql_step(m, stmt);
		if (rc <= 0)
			break;
		end = column_u64(stmt, 0);
		uint64_t page_id = column_u64(stmt, 1);
		sql_donep(&stmt);
		rc = SQL_RUN(m, "DELETE FROM map WHERE version = ? AND page = ?", v_u64(erased), v_u64(end));
		if (rc == 0)
			rc = map_remove_unused(m, page_id);
	}
	return rc;
}

/* Through the guards' door, as the version is no draft. */
static int sweep_if_erased(Meta *m, uint64_t version, uint64_t first, uint64_t end) {
	bool erased = false;
	int rc = is_erased(m, version, &erased);
	if (rc < 0 || !erased)
		return rc;
	rc = meta_open_door(m);
	if (rc == 0)
		rc = meta_has(m, META_SCHEMA_MAP_BASE) ? sweep(m, version, first, end) : map_remove_from(m, version, 0);
	return rc == 0 ? meta_close_door(m) : rc;
}

int map_base_covered(Meta *m, uint64_t draft, uint64_t page) {
	uint64_t base;
	int rc = map_base_get(m, draft, &base);
	return rc == 0 && base ? sweep_if_erased(m, base, page, page + 1) : rc;
}

/* The version, which rests on `base`, does so no longer. */
static int stand_alone(Meta *m, uint64_t version, uint64_t base) {
	bool erased = false;
	int rc = is_erased(m, version, &erased);
	if (rc == 0 && erased)
		rc = meta_open_door(m);
	if (rc == 0)
		rc = SQL_RUN(m, "DELETE FROM map_base WHERE version = ?", v_u64(version));
	if (rc == 0 && erased)
		rc = meta_close_door(m);
	return rc == 0 ? sweep_if_erased(m, base, 0, INT64_MAX) : rc;
}

int map_base_take_over(Meta *m, uint64_t draft, uint64_t below) {
	uint64_t base;
	int rc = map_base_get(m, draft, &base);
	if (rc == 0 && base)
		rc = copy_missing(m, base, draft, below);
	return rc == 0 && base ? stand_alone(m, draft, base) : rc;
}

int map_base_truncate(Meta *m, uint64_t draft, uint64_t below) {
	uint64_t base, any;
	int rc = map_base_get(m, draft, &base);
	if (rc == 0 && base)
		rc = SQL_NUMBER(m, "SELECT 1 FROM map WHERE version = ? AND page >= ? LIMIT 1", &any, v_u64(base),
		        v_u64(below));
	if (rc == -ENOENT)
		return 0;
	return rc == 0 && base ? map_base_take_over(m, draft, below) : rc;
}

int map_base_remove(Meta *m, uint64_t version) {
	uint64_t base;
	bool erased = false;
	int rc = is_erased(m, version, &erased);
	if (rc == 0)
		rc = erased ? sweep_if_erased(m, version, 0, INT64_MAX) : map_remove_from(m, version, 0);
	if (rc == 0)
		rc = map_base_get(m, version, &base);
	return rc == 0 && base ? stand_alone(m, version, base) : rc;
}

/* ---- who shows a page ---- */

/* (version, page) by rows of their own, and where there is a table of them, by the row of the one they rest on. */
#define OWN_USERS "SELECT version, page FROM map WHERE mappage = ?1"
#define ALL_USERS                                                                                              \
	OWN_USERS " UNION ALL SELECT d.version, b.page FROM map b JOIN map_base d ON d.base = b.version WHERE" \
	          " b.mappage = ?1 AND " MAP_OF_BASE("d.version", "d.base")

#define NEXT_OF(users)                                                                         \
	"SELECT u.version, u.page FROM (" users ") u JOIN version v ON v.id = u.version WHERE" \
	" v.state <> 3 AND u.version > ?2 ORDER BY u.version LIMIT 1"

int map_base_user(Meta *m, uint64_t page_id, uint64_t after, uint64_t *ret_version, uint64_t *ret_page) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	const char *sql = !meta_has(m, META_SCHEMA_MAP_BASE) ? NEXT_OF(OWN_USERS) : NEXT_OF(ALL_USERS);
	int rc = SQL_START(m, sql, &stmt, v_u64(page_id), v_u64(after));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	*ret_version = column_u64(stmt, 0);
	*ret_page = column_u64(stmt, 1);
	return 0;
}

int map_base_count(Meta *m, uint64_t page_id, uint64_t most, uint64_t *ret_count) {
#define COUNT_OF(rows) "SELECT count(*) FROM (SELECT 1 FROM " rows " LIMIT ?2)"
	static const char
	        own[] = COUNT_OF("(" OWN_USERS ") u JOIN map p ON p.version = u.version"),
	        all[] = "SELECT (" COUNT_OF("(" ALL_USERS ") u JOIN map p ON p.version = u.version") ") + (" COUNT_OF(
	                "(" ALL_USERS
	                ") u JOIN map_base d ON d.version = u.version JOIN map p ON p.version = d.base") ")";
#undef COUNT_OF
	return SQL_NUMBER(m, meta_has(m, META_SCHEMA_MAP_BASE) ? all : own, ret_count, v_u64(page_id), v_u64(most));
}
