#include "backend/census.h"

#include <string.h>

#include "backend/meta_private.h"

static unsigned zone_at(sqlite3_stmt *stmt, int column) {
	const uint64_t zone = column_u64(stmt, column);
	return zone < CENSUS_ZONES ? (unsigned)zone : ZONE_NONE;
}

int census_stored(Meta *m, struct census_stored ret_zones[static CENSUS_ZONES]) {
	struct census_stored zones[CENSUS_ZONES] = {{0}};
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = sql_start(m,
	        "SELECT zone, total(bytes), total(max(bytes - live, 0)) FROM segment WHERE bytes > 0 GROUP BY zone",
	        NULL, 0, &stmt);
	while (rc == 0 && (rc = sql_step(m, stmt)) == 1) {
		zones[zone_at(stmt, 0)] = (struct census_stored){column_u64(stmt, 1), column_u64(stmt, 2)};
		rc = 0;
	}
	if (rc == 0)
		memcpy(ret_zones, zones, sizeof zones);
	return rc;
}

int census_count(Meta *m, uint64_t *after, unsigned limit, struct census_files zones[static CENSUS_ZONES]) {
	static const char sql[] =
	        "SELECT id, zone, size, nlink, mode & 61440 = 32768 FROM node WHERE id > ? ORDER BY id "
	        "LIMIT ?";
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	unsigned rows = 0;
	int rc = SQL_START(m, sql, &stmt, v_u64(*after), v_u64(limit));
	while (rc == 0 && (rc = sql_step(m, stmt)) == 1) {
		*after = column_u64(stmt, 0);
		rows++;
		rc = 0;
		if (column_u64(stmt, 3) == 0 || column_u64(stmt, 4) == 0)
			continue;
		struct census_files *zone = &zones[zone_at(stmt, 1)];
		zone->files++;
		zone->bytes += column_u64(stmt, 2);
	}
	return rc < 0 ? rc : rows == limit;
}

int census_last_verdict(Meta *m, uint64_t *ret_id) {
	return SQL_NUMBER(m, "SELECT coalesce(max(id), 0) FROM verdict WHERE id > ?", ret_id, v_u64(0));
}

int census_stale(Meta *m, uint64_t *ret_count) {
	*ret_count = 0;
	if (!meta_has(m, META_SCHEMA_WATCHED))
		return 0;
	return SQL_NUMBER(m, "SELECT count(*) FROM stale WHERE version > ?", ret_count, v_u64(0));
}

struct usage *meta_usage(Meta *m) {
	return &m->usage;
}
