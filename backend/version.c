/* Versions and drafts. Their hashes and sealing are in version_seal.c, their maps in map.c. */
#include "backend/version.h"

#include "backend/map_private.h"
#include "backend/meta_private.h"
#include "backend/tree.h"

#include <errno.h>
#include <string.h>

#define VERSION_COLUMNS                                                                                         \
	"v.id, v.node, v.number, v.size, v.zone, v.state, v.origin, v.fsynced, v.mtime, v.mode, v.uid, v.gid, " \
	"v.born, v.sealed, v.sealed_time, v.base, v.verdict, v.hash, v.sha256"
#define VERSION_COLUMN_COUNT 19

static int version_read(sqlite3_stmt *stmt, struct version *ret) {
	*ret = (struct version){.id = column_u64(stmt, 0),
	        .node = column_u64(stmt, 1),
	        .number = column_u64(stmt, 2),
	        .size = column_u64(stmt, 3),
	        .zone = (uint8_t)sqlite3_column_int(stmt, 4),
	        .state = (uint8_t)sqlite3_column_int(stmt, 5),
	        .origin = (uint8_t)sqlite3_column_int(stmt, 6),
	        .fsynced = sqlite3_column_int(stmt, 7) != 0,
	        .mtime = sqlite3_column_int64(stmt, 8),
	        .mode = column_u32(stmt, 9),
	        .uid = column_u32(stmt, 10),
	        .gid = column_u32(stmt, 11),
	        .born = column_u64(stmt, 12),
	        .sealed = column_u64(stmt, 13),
	        .sealed_time = sqlite3_column_int64(stmt, 14),
	        .base = column_u64(stmt, 15),
	        .verdict = column_u64(stmt, 16),
	        .has_sha256 = sqlite3_column_type(stmt, 18) != SQLITE_NULL};
	int rc = 0;
	if (ret->state != VERSION_DRAFT)
		rc = column_exact(stmt, 17, ret->hash, sizeof ret->hash, "a version's hash");
	if (rc == 0 && ret->has_sha256)
		rc = column_exact(stmt, 18, ret->sha256, sizeof ret->sha256, "a version's SHA-256");
	return rc;
}

static int one(Meta *m, const char *sql, const struct sql_value *values, size_t count, struct version *ret_version) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = sql_start(m, sql, values, count, &stmt);
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	struct version version;
	rc = version_read(stmt, &version);
	if (rc == 0)
		*ret_version = version;
	return rc;
}

static int each(
        Meta *m, const char *sql, const struct sql_value *values, size_t count, version_fn callback, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = sql_start(m, sql, values, count, &stmt);
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		struct version version;
		rc = version_read(stmt, &version);
		if (rc == 0)
			rc = callback(arg, &version);
	}
	return rc < 0 ? rc : 0;
}

int version_get(Meta *m, uint64_t id, struct version *ret_version) {
	return one(m, "SELECT " VERSION_COLUMNS " FROM version v WHERE v.id = ?", SQL_VALUES(v_u64(id)), ret_version);
}

int version_by_number(Meta *m, uint64_t node, uint64_t number, struct version *ret_version) {
	return one(m, "SELECT " VERSION_COLUMNS " FROM version v WHERE v.node = ? AND v.number = ?",
	        SQL_VALUES(v_u64(node), v_u64(number)), ret_version);
}

int version_draft_of(Meta *m, uint64_t node, struct version *ret_version) {
	return one(m, "SELECT " VERSION_COLUMNS " FROM version v WHERE v.node = ? AND v.state = 0",
	        SQL_VALUES(v_u64(node)), ret_version);
}

int version_at(Meta *m, uint64_t node, uint64_t commit, struct version *ret_version) {
	static const char sql[] = "SELECT " VERSION_COLUMNS " FROM version v WHERE v.node = ? AND v.number IS NOT NULL"
	                          " AND v.sealed <= ? AND v.state <> 2 ORDER BY v.number DESC LIMIT 1";
	return one(m, sql, SQL_VALUES(v_u64(node), v_u64(commit)), ret_version);
}

int version_list(Meta *m, uint64_t node, version_fn callback, void *arg) {
	static const char sql[] = "SELECT " VERSION_COLUMNS " FROM version v WHERE v.node = ? AND v.number IS NOT NULL"
	                          " ORDER BY v.number";
	return each(m, sql, SQL_VALUES(v_u64(node)), callback, arg);
}

int version_drafts(Meta *m, version_fn callback, void *arg) {
	static const char sql[] = "SELECT " VERSION_COLUMNS " FROM version v INDEXED BY version_draft"
	                          " WHERE v.state = 0 AND v.node > ? ORDER BY v.node";
	return each(m, sql, SQL_VALUES(v_u64(0)), callback, arg);
}

int version_list_all(Meta *m, uint64_t after, version_fn callback, void *arg) {
	return each(m, "SELECT " VERSION_COLUMNS " FROM version v WHERE v.id > ? ORDER BY v.id",
	        SQL_VALUES(v_u64(after)), callback, arg);
}

/* ---- drafts ---- */

static int check_base(Meta *m, uint64_t base, enum zone zone, uint64_t *ret_size) {
	struct version version;
	int rc = version_get(m, base, &version);
	if (rc)
		return rc;
	if (version.state == VERSION_DRAFT || version.state == VERSION_ERASED)
		return -EINVAL;
	if (version.zone != zone)
		return -EXDEV;
	*ret_size = version.size;
	return 0;
}

/* Few drafts have rows, and most often none has: they are sealed in the operation that puts them. */
static int has_draft_row(Meta *m, uint64_t node, bool *ret_has) {
	static const char count[] = "SELECT count(*) FROM version INDEXED BY version_draft WHERE state = 0";
	static const char find[] = "SELECT 1 FROM version WHERE node = ? AND state = 0";
	uint64_t any;
	int rc = m->state.drafts_counted ? 0 : sql_number(m, count, NULL, 0, &m->state.draft_rows);
	if (rc < 0)
		return rc;
	m->state.drafts_counted = true;
	rc = m->state.draft_rows == 0 ? -ENOENT : SQL_NUMBER(m, find, &any, v_u64(node));
	*ret_has = rc == 0;
	return rc == -ENOENT ? 0 : rc;
}

int version_has_draft(Meta *m, uint64_t node, bool *ret_has) {
	bool has = draft_set_has(m->drafts, node);
	int rc = has ? 0 : has_draft_row(m, node, &has);
	if (rc == 0)
		*ret_has = has;
	return rc;
}

/* All that a draft needs but its row. */
static int new_draft(Meta *m, uint64_t node, uint64_t base_version, enum zone zone, struct version *ret_version) {
	if (!zone_key_name(zone))
		return -EINVAL;
	struct node of;
	bool exists = false;
	int rc = tree_get(m, node, &of);
	if (rc == 0 && !S_ISREG(of.mode))
		return S_ISDIR(of.mode) ? -EISDIR : -EINVAL;
	if (rc == 0)
		rc = version_has_draft(m, node, &exists);
	if (rc < 0)
		return rc;
	if (exists)
		return -EEXIST;
	uint64_t size = 0;
	rc = base_version ? check_base(m, base_version, zone, &size) : 0;
	if (rc < 0)
		return rc;
	*ret_version = (struct version){.id = m->state.next_version++,
	        .node = node,
	        .size = size,
	        .zone = (uint8_t)zone,
	        .born = meta_commit_id(m),
	        .base = base_version};
	return 0;
}

int version_draft_reserve(Meta *m, uint64_t node, uint64_t base_version, enum zone zone, struct version *ret_version) {
	struct version version;
	int rc = new_draft(m, node, base_version, zone, &version);
	if (rc == 0)
		rc = draft_set_add(m->drafts, node);
	if (rc == 0)
		*ret_version = version;
	return rc;
}

void version_draft_release(Meta *m, uint64_t node) {
	draft_set_remove(m->drafts, node);
}

int version_draft_put(Meta *m, const struct version *draft) {
	static const char insert[] =
	        "INSERT INTO version (id, node, state, zone, size, origin, born, base) VALUES (?, ?, 0, ?, ?, 0, ?, ?)";
	if (draft->size > INT64_MAX)
		return -EFBIG;
	int rc = SQL_RUN(m, insert, v_u64(draft->id), v_u64(draft->node), v_u64(draft->zone), v_u64(draft->size),
	        v_u64(meta_commit_id(m)), v_u64(draft->base));
	if (rc < 0)
		return rc;
	m->state.draft_rows++;
	m->fresh = (struct fresh_draft){.version = *draft};
	m->fresh.version.born = meta_commit_id(m);
	if (draft->base) {
		map_forget_fresh(m, draft->id);
		rc = map_base_begin(m, draft->id, draft->base, draft->size);
	}
	return rc;
}

int version_draft(Meta *m, uint64_t node, uint64_t base_version, enum zone zone, struct version *ret_version) {
	struct version version;
	int rc = new_draft(m, node, base_version, zone, &version);
	if (rc == 0)
		rc = version_draft_put(m, &version);
	if (rc == 0)
		*ret_version = version;
	return rc;
}

int version_set_size(Meta *m, uint64_t draft, uint64_t size) {
	if (size > INT64_MAX)
		return -EFBIG;
	uint64_t changed = 0;
	map_forget_fresh(m, draft);
	int rc = SQL_RUN_CHANGED(
	        m, "UPDATE version SET size = ?2 WHERE id = ?1 AND state = 0", &changed, v_u64(draft), v_u64(size));
	return rc == 0 && changed == 0 ? -EPERM : rc;
}

int version_mark_fsynced(Meta *m, uint64_t draft) {
	uint64_t changed = 0;
	map_forget_fresh(m, draft);
	int rc =
	        SQL_RUN_CHANGED(m, "UPDATE version SET fsynced = 1 WHERE id = ? AND state = 0", &changed, v_u64(draft));
	return rc == 0 && changed == 0 ? -EPERM : rc;
}

uint64_t version_let_go(const Meta *m) {
	return m->let_go;
}

void version_let_go_more(Meta *m, uint64_t bytes) {
	m->let_go += bytes;
}

int version_drop(Meta *m, uint64_t draft, uint64_t *ret_node_size) {
	struct version version = {0};
	int rc = version_get(m, draft, &version);
	if (rc == -ENOENT || (rc == 0 && version.state != VERSION_DRAFT))
		return -EPERM;
	if (rc == 0)
		rc = map_base_remove(m, draft);
	if (rc == 0)
		rc = SQL_RUN(m, "DELETE FROM version WHERE id = ?", v_u64(draft));
	m->state.draft_rows -= rc == 0 ? 1 : 0;
	m->let_go += rc == 0 ? version.size : 0;
	static const char put_size[] =
	        "UPDATE node SET size = coalesce((SELECT size FROM version WHERE id = node.version), 0) WHERE id = ?";
	if (rc < 0)
		return rc;
	node_cache_touch(m->nodes, version.node);
	rc = SQL_RUN(m, put_size, v_u64(version.node));
	if (rc || !ret_node_size)
		return rc;
	return SQL_NUMBER(m, "SELECT size FROM node WHERE id = ?", ret_node_size, v_u64(version.node));
}

/* ---- withdrawing, erasing ---- */

static int check_fallback(Meta *m, uint64_t node, uint64_t fallback, uint64_t *ret_size) {
	*ret_size = 0;
	if (fallback == 0)
		return 0;
	struct version version;
	int rc = version_get(m, fallback, &version);
	if (rc == 0 && (version.node != node || version.state != VERSION_SEALED))
		rc = -EINVAL;
	if (rc == 0)
		*ret_size = version.size;
	return rc;
}

int version_withdraw(Meta *m, uint64_t id, uint64_t fallback) {
	struct version version;
	struct node node;
	uint64_t size = 0;
	int rc = version_get(m, id, &version);
	if (rc == 0 && version.state != VERSION_SEALED)
		rc = -EPERM;
	if (rc == 0)
		rc = fallback == id ? -EINVAL : check_fallback(m, version.node, fallback, &size);
	if (rc == 0)
		rc = tree_get(m, version.node, &node);
	if (rc == 0) {
		node_cache_touch(m->nodes, version.node);
		m->withdrew = true;
	}
	if (rc == 0 && node.version == id)
		rc = SQL_RUN(m, "UPDATE node SET version = ?2, size = ?3, ctime = ?4 WHERE id = ?1", v_u64(node.id),
		        v_u64(fallback), v_u64(size), v_i64(meta_stamp(m)));
	if (rc == 0)
		rc = SQL_RUN(m, "UPDATE version SET state = 2 WHERE id = ?", v_u64(id));
	return rc;
}

int version_erase(Meta *m, uint64_t id) {
	struct version version;
	struct node node;
	int rc = version_get(m, id, &version);
	if (rc == 0 && (version.state == VERSION_DRAFT || version.state == VERSION_ERASED))
		rc = -EPERM;
	if (rc == 0)
		rc = tree_get(m, version.node, &node);
	if (rc == 0 && node.version == id)
		rc = -EBUSY;
	if (rc == 0)
		rc = meta_open_door(m);
	if (rc == 0)
		rc = SQL_RUN(m, "UPDATE version SET state = 3 WHERE id = ?", v_u64(id));
	if (rc == 0)
		rc = meta_close_door(m);
	if (rc == 0)
		rc = map_base_remove(m, id);
	if (rc)
		return rc;
	m->let_go += version.size;
	m->erasures++;
	m->state.counts.bytes -= version.size < m->state.counts.bytes ? version.size : m->state.counts.bytes;
	return 0;
}

uint64_t version_erasures(const Meta *m) {
	return m->erasures;
}

int version_any_erased(Meta *m, uint64_t node, bool *ret_any) {
	uint64_t any = 0;
	int rc = SQL_NUMBER(m,
	        "SELECT EXISTS (SELECT 1 FROM version WHERE node = ? AND number IS NOT NULL AND state = 3)", &any,
	        v_u64(node));
	if (rc == 0)
		*ret_any = any != 0;
	return rc;
}

/* ---- what a name showed ---- */

/*
 * A version was shown by a name while the name's interval [born, ended) and the version's, from its sealing to the
 * next one's, have a commit in common; ends are taken in, as a name may change hands several times within one commit. A
 * node that bore the name more than once gives its versions once.
 */
int version_list_path(Meta *m, uint64_t parent, struct bytes name, version_path_fn callback, void *arg) {
	static const char sql[] =
	        "SELECT " VERSION_COLUMNS " FROM ("
	        "SELECT node, min(id) AS first, min(born) AS born, max(ended) AS ended FROM ("
	        " SELECT node, id, born, 9223372036854775807 AS ended FROM entry WHERE parent = ?1 AND name = ?2"
	        " UNION ALL SELECT node, id, born, ended FROM entry_past INDEXED BY entry_past_name"
	        " WHERE parent = ?1 AND name = ?2) GROUP BY node) e"
	        " JOIN version v ON v.node = e.node AND v.number IS NOT NULL AND v.sealed <= e.ended"
	        " AND NOT EXISTS (SELECT 1 FROM version w WHERE w.node = v.node AND w.number = v.number + 1"
	        " AND w.sealed < e.born)"
	        " ORDER BY e.first, v.number";
	int rc = tree_check_name(name);
	if (rc < 0)
		return rc;
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	rc = SQL_START(m, sql, &stmt, v_u64(parent), v_bytes(name));
	uint64_t ordinal = 0;
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		struct version version;
		rc = version_read(stmt, &version);
		if (rc == 0)
			rc = callback(arg, ++ordinal, &version);
	}
	return rc < 0 ? rc : 0;
}
