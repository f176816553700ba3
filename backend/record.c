/* Verdicts, policies, quarantine: what the gate decided. Deliveries, lineage, values, segments are in record_more.c. */
#include "backend/record.h"

#include "backend/meta_private.h"

#include <errno.h>
#include <string.h>

/* ---- verdicts ---- */

#define VERDICT_COLUMNS                                                                                          \
	"id, time_ns, path, node, version, outcome, fresh, dataset, policy, input_sha256, output_sha256, body, " \
	"signature, key_name"

int verdict_put(Meta *m, const struct verdict_row *row, uint64_t *ret_id) {
	if (row->outcome < VERDICT_PASSED || row->outcome > VERDICT_ERROR || row->body.size == 0 ||
	        row->signature.size == 0)
		return fault(EINVAL, "a verdict that is kept has an outcome, a body and a signature");
	static const char sql[] = "INSERT INTO verdict (time_ns, path, node, version, outcome, fresh, dataset, policy,"
	                          " input_sha256, output_sha256, body, signature, key_name)"
	                          " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
	int rc = SQL_RUN(m, sql, v_i64(row->time_ns), v_bytes(row->path), v_u64(row->node), v_u64(row->version),
	        v_u64(row->outcome), v_u64(row->fresh), v_bytes(row->dataset), v_ref(row->policy),
	        v_blob(row->input_sha256, 32), v_blob(row->output_sha256, 32), v_bytes(row->body),
	        v_bytes(row->signature), v_bytes(row->key_name));
	if (rc == 0)
		*ret_id = (uint64_t)sqlite3_last_insert_rowid(m->db);
	return rc;
}

static int verdict_read(sqlite3_stmt *stmt, struct verdict_row *ret) {
	*ret = (struct verdict_row){.id = column_u64(stmt, 0),
	        .time_ns = sqlite3_column_int64(stmt, 1),
	        .path = column_bytes(stmt, 2),
	        .node = column_u64(stmt, 3),
	        .version = column_u64(stmt, 4),
	        .outcome = (uint8_t)sqlite3_column_int(stmt, 5),
	        .fresh = sqlite3_column_int(stmt, 6) != 0,
	        .dataset = column_bytes(stmt, 7),
	        .policy = column_u64(stmt, 8),
	        .body = column_bytes(stmt, 11),
	        .signature = column_bytes(stmt, 12),
	        .key_name = column_bytes(stmt, 13)};
	int rc = column_exact(stmt, 9, ret->input_sha256, 32, "the input's SHA-256 of a verdict");
	return rc == 0 ? column_exact(stmt, 10, ret->output_sha256, 32, "the output's SHA-256 of a verdict") : rc;
}

/* At least one row, or -ENOENT when `must`. */
static int verdicts(Meta *m, const char *sql, const struct sql_value *values, size_t count, bool must,
        verdict_fn callback, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	bool given = false;
	int rc = sql_start(m, sql, values, count, &stmt);
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		struct verdict_row row;
		given = true;
		rc = verdict_read(stmt, &row);
		if (rc == 0)
			rc = callback(arg, &row);
	}
	return rc < 0 ? rc : must && !given ? -ENOENT : 0;
}

int verdict_get(Meta *m, uint64_t id, verdict_fn callback, void *arg) {
	return verdicts(
	        m, "SELECT " VERDICT_COLUMNS " FROM verdict WHERE id = ?", SQL_VALUES(v_u64(id)), true, callback, arg);
}

int verdict_latest_for_path(Meta *m, struct bytes path, verdict_fn callback, void *arg) {
	return verdicts(m, "SELECT " VERDICT_COLUMNS " FROM verdict WHERE path = ? ORDER BY id DESC LIMIT 1",
	        SQL_VALUES(v_bytes(path)), true, callback, arg);
}

int verdict_latest_for_version(Meta *m, uint64_t version, verdict_fn callback, void *arg) {
	return verdicts(m,
	        "SELECT " VERDICT_COLUMNS " FROM verdict WHERE version = ? AND version <> 0 ORDER BY id DESC LIMIT 1",
	        SQL_VALUES(v_u64(version)), true, callback, arg);
}

int verdict_for_input(Meta *m, const uint8_t input_sha256[static 32], uint64_t policy, struct bytes dataset,
        verdict_fn callback, void *arg) {
	return verdicts(m,
	        "SELECT " VERDICT_COLUMNS " FROM verdict INDEXED BY verdict_input WHERE input_sha256 = ?"
	        " AND policy = ? AND dataset = ? ORDER BY id DESC LIMIT 1",
	        SQL_VALUES(v_blob(input_sha256, 32), v_u64(policy), v_bytes(dataset)), true, callback, arg);
}

int verdict_has_passed(
        Meta *m, const uint8_t input_sha256[static 32], struct bytes dataset, uint64_t before, bool *ret_has_passed) {
	static const char sql[] = "SELECT EXISTS (SELECT 1 FROM verdict INDEXED BY verdict_input WHERE input_sha256 = ?"
	                          " AND dataset = ? AND id < ? AND outcome = 2)";
	uint64_t has = 0;
	int rc = SQL_NUMBER(m, sql, &has, v_blob(input_sha256, 32), v_bytes(dataset), v_u64(before));
	if (rc == 0)
		*ret_has_passed = has != 0;
	return rc;
}

int verdict_list(Meta *m, struct bytes path, uint64_t after, verdict_fn callback, void *arg) {
	if (path.size)
		return verdicts(m, "SELECT " VERDICT_COLUMNS " FROM verdict WHERE path = ? AND id > ? ORDER BY id",
		        SQL_VALUES(v_bytes(path), v_u64(after)), false, callback, arg);
	return verdicts(m, "SELECT " VERDICT_COLUMNS " FROM verdict WHERE id > ? ORDER BY id", SQL_VALUES(v_u64(after)),
	        false, callback, arg);
}

int verdict_last(Meta *m, uint64_t *ret_id) {
	return sql_number(m, "SELECT coalesce(max(id), 0) FROM verdict", NULL, 0, ret_id);
}

/* ---- policies ---- */

#define POLICY_COLUMNS "number, sha256, time_ns, uid, actor, bundle"

int policy_put(Meta *m, const struct policy_row *row, uint64_t *ret_number) {
	uint64_t number = 0;
	int rc = SQL_NUMBER(m, "SELECT ? + coalesce(max(number), 0) FROM policy", &number, v_u64(1));
	if (rc == 0)
		rc = SQL_RUN(m, "INSERT INTO policy (" POLICY_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?)", v_u64(number),
		        v_blob(row->sha256, 32), v_i64(row->time_ns), v_u64(row->uid), v_bytes(row->actor),
		        v_bytes(row->bundle));
	if (rc == 0)
		*ret_number = number;
	return rc;
}

int policy_current_number(Meta *m, uint64_t *ret_number) {
	return SQL_NUMBER(m, "SELECT coalesce(max(number), 0) FROM policy WHERE number > ?", ret_number, v_u64(0));
}

static int policies(Meta *m, const char *sql, uint64_t number, bool must, policy_fn callback, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	bool given = false;
	int rc = sql_start(m, sql, SQL_VALUES(v_u64(number)), &stmt);
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		struct policy_row row = {.number = column_u64(stmt, 0),
		        .time_ns = sqlite3_column_int64(stmt, 2),
		        .uid = column_u32(stmt, 3),
		        .actor = column_bytes(stmt, 4),
		        .bundle = column_bytes(stmt, 5)};
		given = true;
		rc = column_exact(stmt, 1, row.sha256, sizeof row.sha256, "a policy's SHA-256");
		if (rc == 0)
			rc = callback(arg, &row);
	}
	return rc < 0 ? rc : must && !given ? -ENOENT : 0;
}

int policy_current(Meta *m, policy_fn callback, void *arg) {
	return policies(m, "SELECT " POLICY_COLUMNS " FROM policy WHERE number > ? ORDER BY number DESC LIMIT 1", 0,
	        true, callback, arg);
}

int policy_get(Meta *m, uint64_t number, policy_fn callback, void *arg) {
	return policies(m, "SELECT " POLICY_COLUMNS " FROM policy WHERE number = ?", number, true, callback, arg);
}

int policy_list(Meta *m, policy_fn callback, void *arg) {
	return policies(
	        m, "SELECT " POLICY_COLUMNS " FROM policy WHERE number > ? ORDER BY number", 0, false, callback, arg);
}

/* ---- quarantine ---- */

#define QUARANTINE_COLUMNS "id, time_ns, path, node, version, verdict, state, partial, uid, decided_ns, decided_uid"

int quarantine_put(Meta *m, const struct quarantine_row *row, uint64_t *ret_id) {
	uint64_t any;
	int rc = SQL_NUMBER(m, "SELECT 1 FROM verdict WHERE id = ?", &any, v_u64(row->verdict));
	if (rc == -ENOENT)
		return fault(EINVAL, "what goes into quarantine has a verdict; there is none of number %llu",
		        (unsigned long long)row->verdict);
	static const char sql[] = "INSERT INTO quarantine (time_ns, path, node, version, verdict, state, partial, uid)"
	                          " VALUES (?, ?, ?, ?, ?, 0, ?, ?)";
	if (rc == 0)
		rc = SQL_RUN(m, sql, v_i64(row->time_ns), v_bytes(row->path), v_u64(row->node), v_u64(row->version),
		        v_u64(row->verdict), v_u64(row->partial), v_u64(row->uid));
	if (rc == 0)
		*ret_id = (uint64_t)sqlite3_last_insert_rowid(m->db);
	return rc;
}

static int quarantined(Meta *m, const char *sql, uint64_t id, quarantine_fn callback, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = sql_start(m, sql, SQL_VALUES(v_u64(id)), &stmt);
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		struct quarantine_row row = {.id = column_u64(stmt, 0),
		        .time_ns = sqlite3_column_int64(stmt, 1),
		        .path = column_bytes(stmt, 2),
		        .node = column_u64(stmt, 3),
		        .version = column_u64(stmt, 4),
		        .verdict = column_u64(stmt, 5),
		        .state = (uint8_t)sqlite3_column_int(stmt, 6),
		        .partial = sqlite3_column_int(stmt, 7) != 0,
		        .uid = column_u32(stmt, 8),
		        .decided_ns = sqlite3_column_int64(stmt, 9),
		        .decided_uid = column_u32(stmt, 10)};
		rc = callback(arg, &row);
	}
	return rc < 0 ? rc : 0;
}

struct one_quarantined {
	struct quarantine_row *row;
	char *path;
};

static int keep_quarantined(void *arg, const struct quarantine_row *row) {
	struct one_quarantined *one = arg;
	size_t size = row->path.size < TREE_PATH_MAX ? row->path.size : TREE_PATH_MAX - 1;
	memcpy(one->path, row->path.data, size);
	one->path[size] = '\0';
	*one->row = *row;
	one->row->path = bytes_of(one->path, size);
	return 0;
}

int quarantine_get(Meta *m, uint64_t id, struct quarantine_row *ret_row, char ret_path[static TREE_PATH_MAX]) {
	static const char sql[] = "SELECT " QUARANTINE_COLUMNS " FROM quarantine WHERE id = ?";
	struct one_quarantined one = {.row = ret_row, .path = ret_path};
	ret_row->id = 0;
	int rc = quarantined(m, sql, id, keep_quarantined, &one);
	return rc < 0 ? rc : ret_row->id ? 0 : -ENOENT;
}

int quarantine_list(Meta *m, uint64_t after, bool only_held, quarantine_fn callback, void *arg) {
	static const char all[] = "SELECT " QUARANTINE_COLUMNS " FROM quarantine WHERE id > ? ORDER BY id";
	static const char held[] = "SELECT " QUARANTINE_COLUMNS " FROM quarantine INDEXED BY quarantine_held"
	                           " WHERE state = 0 AND id > ? ORDER BY id";
	return quarantined(m, only_held ? held : all, after, callback, arg);
}

int quarantine_decide(Meta *m, uint64_t id, enum quarantine_state state, uint32_t uid) {
	if (state != QUARANTINE_RELEASED && state != QUARANTINE_DROPPED)
		return -EINVAL;
	uint64_t now_state = 0;
	int rc = SQL_NUMBER(m, "SELECT state FROM quarantine WHERE id = ?", &now_state, v_u64(id));
	if (rc == 0 && now_state != QUARANTINE_HELD)
		rc = -EALREADY;
	if (rc == 0)
		rc = SQL_RUN(m, "UPDATE quarantine SET state = ?2, decided_ns = ?3, decided_uid = ?4 WHERE id = ?1",
		        v_u64(id), v_u64(state), v_i64(meta_now(m)), v_u64(uid));
	return rc;
}
