/* Statements of the metadata: cache, binding, stepping, and what their failures mean. See meta_private.h. */
#include "backend/meta_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static int errno_of(int code) {
	switch (code & 0xff) {
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EBADMSG;
	case SQLITE_READONLY:
		return EROFS;
	case SQLITE_CONSTRAINT:
		/* RAISE(ABORT) of a trigger is one of our guards; any other constraint means rows that contradict each
		 * other. */
		return code == SQLITE_CONSTRAINT_TRIGGER || code == SQLITE_CONSTRAINT_CHECK ? EPERM : EUCLEAN;
	case SQLITE_TOOBIG:
		return E2BIG;
	default:
		return EIO;
	}
}

int(sql_failure)(Meta *m, int code, const char *what) {
	int rc = fault(errno_of(sqlite3_extended_errcode(m->db)), "metadata: %s: %s", what, sqlite3_errmsg(m->db));
	if (code == SQLITE_MISUSE)
		rc = fault(EIO, "metadata: %s: statement misused", what);
	/* SQLITE_FULL, IOERR and NOMEM may have rolled back the whole transaction: what others were told is kept is
	 * gone. */
	if (m->in_transaction && sqlite3_get_autocommit(m->db)) {
		m->in_transaction = m->in_savepoint = false;
		m->failed = true;
		node_cache_clear(m->nodes);
	}
	if (m->op_errno == 0)
		m->op_errno = rc;
	return rc;
}

void meta_assert_running(const Meta *m) {
	assert(m->running && pthread_equal(m->holder, pthread_self()) && "not between meta_begin and meta_end");
	(void)m;
}

static size_t slot_of(const char *sql) {
	uint64_t key = (uint64_t)(uintptr_t)sql * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(key >> 55) & (SQL_SLOTS - 1);
}

static int find(Meta *m, const char *sql, struct sql_slot **ret_slot) {
	size_t at = slot_of(sql);
	for (size_t probe = 0; probe < SQL_SLOTS; probe++, at = (at + 1) & (SQL_SLOTS - 1)) {
		struct sql_slot *slot = &m->slots[at];
		if (slot->sql == sql) {
			*ret_slot = slot;
			return 0;
		}
		if (slot->sql)
			continue;
		int code = sqlite3_prepare_v3(m->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &slot->stmt, NULL);
		if (code != SQLITE_OK)
			return sql_failure(m, code, "preparing a statement");
		slot->sql = sql;
		slot->writes = !sqlite3_stmt_readonly(slot->stmt);
		*ret_slot = slot;
		return 0;
	}
	return fault(EIO, "metadata: more statements than slots");
}

static int bind(sqlite3_stmt *stmt, int at, const struct sql_value *value) {
	switch (value->kind) {
	case SQL_VALUE_INTEGER:
		return sqlite3_bind_int64(stmt, at, value->integer);
	case SQL_VALUE_REAL:
		return sqlite3_bind_double(stmt, at, value->real);
	case SQL_VALUE_BLOB:
		if (value->bytes.size == 0)
			return sqlite3_bind_zeroblob(stmt, at, 0); /* a NULL pointer would bind NULL */
		return sqlite3_bind_blob64(stmt, at, value->bytes.data, value->bytes.size, SQLITE_STATIC);
	case SQL_VALUE_TEXT:
		return sqlite3_bind_text(stmt, at, value->text, -1, SQLITE_STATIC);
	case SQL_VALUE_NULL:
		break;
	}
	return sqlite3_bind_null(stmt, at);
}

static int exec(Meta *m, const char *sql) {
	struct sql_slot *slot;
	int rc = find(m, sql, &slot);
	if (rc)
		return rc;
	int code = sqlite3_step(slot->stmt);
	if (code != SQLITE_DONE)
		rc = sql_failure(m, code, sql);
	sqlite3_reset(slot->stmt);
	return rc;
}

int sql_refuse_failed(Meta *m) {
	if (!m->failed)
		return 0;
	return m->op_errno = fault(EROFS, "metadata: an earlier commit failed, so nothing is written any more");
}

static int before_writing(Meta *m) {
	int rc = sql_refuse_failed(m);
	if (rc == 0 && !m->in_transaction) {
		rc = exec(m, "BEGIN");
		m->in_transaction = rc == 0;
	}
	if (rc == 0) {
		rc = exec(m, "SAVEPOINT operation");
		m->in_savepoint = rc == 0;
	}
	return rc;
}

int sql_start(Meta *m, const char *sql, const struct sql_value *values, size_t count, sqlite3_stmt **ret_stmt) {
	meta_assert_running(m);
	struct sql_slot *slot;
	int rc = find(m, sql, &slot);
	if (rc == 0 && slot->writes && !m->in_savepoint)
		rc = before_writing(m);
	if (rc < 0)
		return rc;
	assert(!sqlite3_stmt_busy(slot->stmt) && "a callback of a list called its own Meta");
	assert((size_t)sqlite3_bind_parameter_count(slot->stmt) == count);
	for (size_t i = 0; i < count; i++) {
		int code = bind(slot->stmt, (int)i + 1, &values[i]);
		if (code != SQLITE_OK)
			return sql_failure(m, code, "binding a value");
	}
	*ret_stmt = slot->stmt;
	return 0;
}

int sql_step(Meta *m, sqlite3_stmt *stmt) {
	int code = sqlite3_step(stmt);
	if (code == SQLITE_ROW)
		return 1;
	if (code == SQLITE_DONE)
		return 0;
	return sql_failure(m, code, "running a statement");
}

int sql_run(Meta *m, const char *sql, const struct sql_value *values, size_t count, uint64_t *ret_changed) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = sql_start(m, sql, values, count, &stmt);
	if (rc < 0)
		return rc;
	while ((rc = sql_step(m, stmt)) > 0)
		;
	if (rc == 0 && ret_changed)
		*ret_changed = (uint64_t)sqlite3_changes64(m->db);
	return rc;
}

int sql_number(Meta *m, const char *sql, const struct sql_value *values, size_t count, uint64_t *ret_value) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = sql_start(m, sql, values, count, &stmt);
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return -ENOENT;
	*ret_value = column_u64(stmt, 0);
	return 0;
}

int column_exact(sqlite3_stmt *stmt, int column, void *ret_data, size_t size, const char *what) {
	struct bytes bytes = column_bytes(stmt, column);
	if (bytes.size != size)
		return fault(EUCLEAN, "metadata: %s has %zu bytes instead of %zu", what, bytes.size, size);
	memcpy(ret_data, bytes.data, size);
	return 0;
}
