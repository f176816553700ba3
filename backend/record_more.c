/* Deliveries, lineage, measured values, rows of segments. */
#include "backend/meta_private.h"
#include "backend/record.h"

#include <errno.h>
#include <string.h>

/* ---- deliveries ---- */

int delivery_put(Meta *m, const struct delivery_row *row, uint64_t *ret_id) {
	static const char sql[] =
	        "INSERT INTO delivery (time_ns, node, version, sha256, path, uid, pid) VALUES (?, ?, ?, ?, ?, ?, ?)";
	int rc = SQL_RUN(m, sql, v_i64(row->time_ns), v_u64(row->node), v_u64(row->version), v_blob(row->sha256, 32),
	        v_bytes(row->path), v_u64(row->uid), v_i64(row->pid));
	if (rc == 0)
		*ret_id = (uint64_t)sqlite3_last_insert_rowid(m->db);
	return rc;
}

int delivery_list(Meta *m, uint64_t node, delivery_fn callback, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	static const char sql[] =
	        "SELECT id, time_ns, node, version, sha256, path, uid, pid FROM delivery WHERE node = ? ORDER BY id";
	int rc = SQL_START(m, sql, &stmt, v_u64(node));
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		struct delivery_row row = {.id = column_u64(stmt, 0),
		        .time_ns = sqlite3_column_int64(stmt, 1),
		        .node = column_u64(stmt, 2),
		        .version = column_u64(stmt, 3),
		        .path = column_bytes(stmt, 5),
		        .uid = column_u32(stmt, 6),
		        .pid = sqlite3_column_int(stmt, 7)};
		rc = column_exact(stmt, 4, row.sha256, sizeof row.sha256, "a delivery's SHA-256");
		if (rc == 0)
			rc = callback(arg, &row);
	}
	return rc < 0 ? rc : 0;
}

/* ---- lineage ---- */

int lineage_put(Meta *m, uint64_t version, uint64_t source_version, enum lineage_role role) {
	return SQL_RUN(m, "INSERT INTO lineage (version, source, role) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
	        v_u64(version), v_u64(source_version), v_u64(role));
}

static int lineage(Meta *m, const char *sql, uint64_t version, lineage_fn callback, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = sql_start(m, sql, SQL_VALUES(v_u64(version)), &stmt);
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0)
		rc = callback(
		        arg, column_u64(stmt, 0), column_u64(stmt, 1), (enum lineage_role)sqlite3_column_int(stmt, 2));
	return rc < 0 ? rc : 0;
}

int lineage_sources(Meta *m, uint64_t version, lineage_fn callback, void *arg) {
	return lineage(m, "SELECT version, source, role FROM lineage WHERE version = ? ORDER BY source, role", version,
	        callback, arg);
}

int lineage_products(Meta *m, uint64_t version, lineage_fn callback, void *arg) {
	return lineage(m, "SELECT version, source, role FROM lineage WHERE source = ? ORDER BY version, role", version,
	        callback, arg);
}

/* ---- measured values ---- */

int metric_put(Meta *m, struct bytes subject, struct bytes name, int64_t time_ns, double value, uint64_t verdict) {
	/* SQLite stores NaN as NULL, which the column refuses. */
	if (value != value)
		return -EDOM;
	int rc = SQL_RUN(m, "INSERT INTO metric (subject, name, time_ns, value, verdict) VALUES (?, ?, ?, ?, ?)",
	        v_bytes(subject), v_bytes(name), v_i64(time_ns), v_real(value), v_u64(verdict));
	/* Times of a vault never run backwards, so there is one too many at most. */
	static const char sql[] = "DELETE FROM metric WHERE id = (SELECT id FROM metric INDEXED BY metric_series"
	                          " WHERE subject = ? AND name = ? ORDER BY time_ns DESC, id DESC LIMIT 1 OFFSET ?)";
	return rc == 0 ? SQL_RUN(m, sql, v_bytes(subject), v_bytes(name), v_u64(METRIC_KEPT)) : rc;
}

/* From name to name by the index, whatever the number of values. */
int metric_series(Meta *m, struct bytes subject, uint64_t most, uint64_t *ret_count) {
	static const char sql[] =
	        "WITH RECURSIVE series (name) AS (SELECT (SELECT min(name) FROM metric WHERE subject = ?1) UNION ALL"
	        " SELECT (SELECT min(name) FROM metric WHERE subject = ?1 AND name > series.name) FROM series"
	        " WHERE series.name IS NOT NULL LIMIT ?2) SELECT count(name) FROM series";
	return SQL_NUMBER(m, sql, ret_count, v_bytes(subject), v_u64(most));
}

int metric_has_series(Meta *m, struct bytes subject, struct bytes name, bool *ret_has) {
	uint64_t has = 0;
	int rc = SQL_NUMBER(m, "SELECT EXISTS (SELECT 1 FROM metric WHERE subject = ? AND name = ?)", &has,
	        v_bytes(subject), v_bytes(name));
	if (rc == 0)
		*ret_has = has != 0;
	return rc;
}

int metric_list(Meta *m, struct bytes subject, struct bytes name, int64_t before_ns, size_t limit, metric_fn callback,
        void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	static const char sql[] =
	        "SELECT time_ns, value, verdict FROM metric WHERE subject = ? AND name = ? AND time_ns < ?"
	        " ORDER BY time_ns DESC, id DESC LIMIT ?";
	int rc = SQL_START(
	        m, sql, &stmt, v_bytes(subject), v_bytes(name), v_i64(before_ns), v_i64(limit ? (int64_t)limit : -1));
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0)
		rc = callback(arg, sqlite3_column_int64(stmt, 0), sqlite3_column_double(stmt, 1), column_u64(stmt, 2));
	return rc < 0 ? rc : 0;
}

/* ---- segments ---- */

static int segment_read_row(sqlite3_stmt *stmt, struct segment_row *ret) {
	*ret = (struct segment_row){.number = column_u32(stmt, 0),
	        .zone = (enum zone)sqlite3_column_int(stmt, 2),
	        .key_version = column_u32(stmt, 3),
	        .bytes = column_u64(stmt, 4),
	        .state = (enum segment_state)sqlite3_column_int(stmt, 5),
	        .own_version = column_u32(stmt, 7)};
	const char *own = (const char *)sqlite3_column_text(stmt, 6);
	if (own && strlen(own) >= sizeof ret->own)
		return fault(EUCLEAN, "metadata: segment %u has a key whose name is too long", ret->number);
	if (own)
		memcpy(ret->own, own, strlen(own));
	return column_exact(stmt, 1, ret->id, sizeof ret->id, "a segment's id");
}

#define SEGMENT_COLUMNS "SELECT s.number, s.id, s.zone, s.key_version, s.bytes, s.state, "

/* A vault in which no folder has had a key of its own has no table of such. */
static const char *select_one(const Meta *m) {
	return meta_has(m, META_SCHEMA_OWN_KEYS) ? SEGMENT_COLUMNS
	               "o.name, o.version FROM segment s LEFT JOIN segment_own o"
	               " ON o.number = s.number WHERE s.number = ?"
	                                         : SEGMENT_COLUMNS "NULL, 0 FROM segment s WHERE s.number = ?";
}

static const char *select_all(const Meta *m) {
	return meta_has(m, META_SCHEMA_OWN_KEYS)
	               ? SEGMENT_COLUMNS "o.name, o.version FROM segment s LEFT JOIN segment_own o"
	                                 " ON o.number = s.number WHERE s.number > ? ORDER BY s.number"
	               : SEGMENT_COLUMNS "NULL, 0 FROM segment s WHERE s.number > ? ORDER BY s.number";
}

int segment_row_get(Meta *m, uint32_t number, struct segment_row *ret_row) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, select_one(m), &stmt, v_u64(number));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	struct segment_row row;
	rc = segment_read_row(stmt, &row);
	if (rc == 0)
		*ret_row = row;
	return rc;
}

static int check_growth(const struct segment_row *old, const struct segment_row *row) {
	bool same = memcmp(old->id, row->id, sizeof row->id) == 0 && old->zone == row->zone &&
	            old->key_version == row->key_version && strcmp(old->own, row->own) == 0 &&
	            old->own_version == row->own_version;
	bool grows = row->bytes >= old->bytes;
	if (old->state != SEGMENT_OPEN)
		grows = row->bytes == old->bytes && row->state != SEGMENT_OPEN;
	return same && grows ? 0
	                     : fault(EUCLEAN, "metadata: segment %u would change its identity, shrink or open again",
	                               row->number);
}

static int put_own(Meta *m, const struct segment_row *row) {
	static const char sql[] = "INSERT INTO segment_own (number, name, version) VALUES (?, ?, ?)";
	return SQL_RUN(m, sql, v_u64(row->number), v_text(row->own), v_u64(row->own_version));
}

int segment_row_put(const struct segment_row *row, void *meta) {
	Meta *m = meta;
	struct segment_row old;
	int rc = row->own[0] ? meta_raise_schema(m, META_SCHEMA_OWN_KEYS) : 0;
	if (rc == 0)
		rc = segment_row_get(m, row->number, &old);
	const bool is_new = rc == -ENOENT;
	if (rc == 0)
		rc = check_growth(&old, row);
	else if (rc == -ENOENT)
		rc = 0;
	static const char sql[] =
	        "INSERT INTO segment (number, id, zone, key_version, bytes, state) VALUES (?, ?, ?, ?, ?, ?)"
	        " ON CONFLICT (number) DO UPDATE SET bytes = excluded.bytes, state = excluded.state";
	if (rc < 0)
		return rc;
	rc = SQL_RUN(m, sql, v_u64(row->number), v_blob(row->id, sizeof row->id), v_u64(row->zone),
	        v_u64(row->key_version), v_u64(row->bytes), v_u64(row->state));
	return rc == 0 && is_new && row->own[0] ? put_own(m, row) : rc;
}

int segment_row_list(Meta *m, segment_row_fn callback, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, select_all(m), &stmt, v_u64(0));
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		struct segment_row row;
		rc = segment_read_row(stmt, &row);
		if (rc == 0)
			rc = callback(arg, &row);
	}
	return rc < 0 ? rc : 0;
}

int segment_row_remove(Meta *m, uint32_t number) {
	struct segment_row row;
	int rc = segment_row_get(m, number, &row);
	if (rc == 0 && row.state == SEGMENT_OPEN)
		rc = -EPERM;
	return rc == 0 ? SQL_RUN(m, "DELETE FROM segment WHERE number = ?", v_u64(number)) : rc;
}

int segment_live_set(Meta *m, uint32_t number, uint64_t live) {
	return SQL_RUN(
	        m, "UPDATE segment SET live = ?2 WHERE number = ?1 AND live IS NOT ?2", v_u64(number), v_u64(live));
}

int segment_live_get(Meta *m, uint32_t number, uint64_t *ret_live) {
	return SQL_NUMBER(m, "SELECT live FROM segment WHERE number = ? AND live IS NOT NULL", ret_live, v_u64(number));
}

int segment_row_last(Meta *m, uint32_t *ret_number) {
	uint64_t last = 0;
	int rc = SQL_NUMBER(m, "SELECT coalesce(max(number), 0) FROM segment WHERE number > ?", &last, v_u64(0));
	if (rc == 0)
		*ret_number = (uint32_t)last;
	return rc;
}

#define SUMS "count(*), total(bytes), count(live), total(CASE WHEN live IS NOT NULL THEN bytes END), total(live)"

static struct segment_sums read_sums(sqlite3_stmt *stmt) {
	return (struct segment_sums){.segments = column_u64(stmt, 0),
	        .bytes = column_u64(stmt, 1),
	        .counted = column_u64(stmt, 2),
	        .counted_bytes = column_u64(stmt, 3),
	        .live_bytes = column_u64(stmt, 4)};
}

int segment_row_sums_by_zone(Meta *m, struct segment_sums ret_sums[static SEGMENT_ZONES]) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	struct segment_sums sums[SEGMENT_ZONES] = {0};
	int rc = SQL_START(m, "SELECT " SUMS ", zone FROM segment WHERE number > ? GROUP BY zone", &stmt, v_u64(0));
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		uint64_t zone = column_u64(stmt, 5);
		if (zone >= SEGMENT_ZONES)
			return fault(EUCLEAN, "metadata: a segment of zone %llu", (unsigned long long)zone);
		sums[zone] = read_sums(stmt);
		rc = 0;
	}
	if (rc == 0)
		memcpy(ret_sums, sums, sizeof sums);
	return rc;
}

int segment_row_sums(Meta *m, struct segment_sums *ret_sums) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	static const char sql[] = "SELECT " SUMS " FROM segment WHERE number > ?";
	int rc = SQL_START(m, sql, &stmt, v_u64(0));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : fault(EUCLEAN, "metadata: a sum without a row");
	*ret_sums = read_sums(stmt);
	return 0;
}
