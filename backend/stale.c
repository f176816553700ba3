#include "backend/stale.h"

#include "backend/meta_private.h"

#include <errno.h>

int stale_put(Meta *m, uint64_t version, uint64_t verdict, bool *ret_is_new) {
	uint64_t changed = 0;
	int rc = meta_raise_schema(m, META_SCHEMA_WATCHED);
	if (rc == 0)
		rc = SQL_RUN_CHANGED(m, "UPDATE stale SET verdict = ?2 WHERE version = ?1", &changed, v_u64(version),
		        v_u64(verdict));
	if (rc == 0 && changed == 0)
		rc = SQL_RUN(m, "INSERT INTO stale (version, verdict, time_ns) VALUES (?, ?, ?)", v_u64(version),
		        v_u64(verdict), v_i64(meta_now(m)));
	if (rc == 0 && ret_is_new)
		*ret_is_new = changed == 0;
	return rc;
}

int stale_clear(Meta *m, uint64_t version) {
	struct stale stale;
	int rc = stale_get(m, version, &stale);
	if (rc == -ENOENT) /* nothing is written */
		return 0;
	return rc < 0 ? rc : SQL_RUN(m, "DELETE FROM stale WHERE version = ?", v_u64(version));
}

int stale_get(Meta *m, uint64_t version, struct stale *ret_stale) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	if (!meta_has(m, META_SCHEMA_WATCHED))
		return -ENOENT;
	int rc = SQL_START(m, "SELECT version, verdict, time_ns FROM stale WHERE version = ?", &stmt, v_u64(version));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	*ret_stale = (struct stale){.version = column_u64(stmt, 0),
	        .verdict = column_u64(stmt, 1),
	        .time_ns = sqlite3_column_int64(stmt, 2)};
	return 0;
}

int stale_count(Meta *m, uint64_t *ret_count) {
	*ret_count = 0;
	if (!meta_has(m, META_SCHEMA_WATCHED))
		return 0;
	return SQL_NUMBER(m,
	        "SELECT count(*) FROM stale s JOIN version v ON v.id = s.version JOIN node n ON n.id = v.node"
	        " WHERE n.version = s.version AND n.nlink > ?",
	        ret_count, v_u64(0));
}
