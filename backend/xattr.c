#include "backend/xattr.h"

#include "backend/meta_private.h"
#include "backend/tree.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

static int check_name(struct bytes name) {
	return name.size == 0 || name.size > XATTR_NAME_BYTES ? -ERANGE : 0;
}

int xattr_get(Meta *m, uint64_t node, struct bytes name, void *ret_value, size_t capacity, size_t *ret_size) {
	int rc = check_name(name);
	if (rc < 0)
		return rc;
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	rc = SQL_START(m, "SELECT value FROM xattr WHERE node = ? AND name = ?", &stmt, v_u64(node), v_bytes(name));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENODATA;
	struct bytes value = column_bytes(stmt, 0);
	if (capacity > 0 && value.size > capacity)
		return -ERANGE;
	if (capacity > 0 && value.size > 0)
		memcpy(ret_value, value.data, value.size);
	*ret_size = value.size;
	return 0;
}

static int exists(Meta *m, uint64_t node, struct bytes name, bool *ret_exists) {
	uint64_t any;
	int rc = SQL_NUMBER(m, "SELECT 1 FROM xattr WHERE node = ? AND name = ?", &any, v_u64(node), v_bytes(name));
	if (rc < 0 && rc != -ENOENT)
		return rc;
	*ret_exists = rc == 0;
	return 0;
}

static int count_change(Meta *m, uint64_t node, int change) {
	node_cache_touch(m->nodes, node);
	return SQL_RUN(m, "UPDATE node SET xattrs = xattrs + ?2, ctime = ?3 WHERE id = ?1", v_u64(node), v_i64(change),
	        v_i64(meta_stamp(m)));
}

int xattr_set(Meta *m, uint64_t node, struct bytes name, struct bytes value, int flags) {
	struct node there;
	bool has = false;
	int rc = check_name(name);
	if (rc == 0 && value.size > XATTR_VALUE_BYTES)
		rc = -E2BIG;
	if (rc == 0 && flags != 0 && flags != XATTR_CREATE && flags != XATTR_REPLACE)
		rc = -EINVAL;
	if (rc == 0)
		rc = tree_get(m, node, &there);
	if (rc == 0)
		rc = exists(m, node, name, &has);
	if (rc == 0 && has && flags == XATTR_CREATE)
		rc = -EEXIST;
	if (rc == 0 && !has && flags == XATTR_REPLACE)
		rc = -ENODATA;
	static const char sql[] = "INSERT INTO xattr (node, name, value) VALUES (?, ?, ?)"
	                          " ON CONFLICT (node, name) DO UPDATE SET value = excluded.value";
	if (rc == 0)
		rc = SQL_RUN(m, sql, v_u64(node), v_bytes(name), v_bytes(value));
	return rc == 0 ? count_change(m, node, has ? 0 : 1) : rc;
}

int xattr_remove(Meta *m, uint64_t node, struct bytes name) {
	uint64_t changed = 0;
	int rc = check_name(name);
	if (rc == 0)
		rc = SQL_RUN_CHANGED(
		        m, "DELETE FROM xattr WHERE node = ? AND name = ?", &changed, v_u64(node), v_bytes(name));
	if (rc == 0 && changed == 0)
		return -ENODATA;
	return rc == 0 ? count_change(m, node, -1) : rc;
}

int xattr_list(Meta *m, uint64_t node, xattr_list_fn callback, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, "SELECT name, length(value) FROM xattr WHERE node = ? ORDER BY name", &stmt, v_u64(node));
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0)
		rc = callback(arg, column_bytes(stmt, 0), (size_t)column_u64(stmt, 1));
	return rc < 0 ? rc : 0;
}

int xattr_copy(Meta *m, uint64_t from, uint64_t to) {
	struct node target;
	int rc = tree_get(m, to, &target);
	if (rc == 0 && target.xattrs != 0)
		rc = -EEXIST;
	uint64_t copied = 0;
	if (rc == 0)
		rc = SQL_RUN_CHANGED(m,
		        "INSERT INTO xattr (node, name, value) SELECT ?2, name, value FROM xattr WHERE node = ?1",
		        &copied, v_u64(from), v_u64(to));
	return rc == 0 && copied ? count_change(m, to, (int)copied) : rc;
}
