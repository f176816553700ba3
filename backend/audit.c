/* Records of the audit log: normalised, interned, stored, read back. See audit.h. */
#include "backend/audit.h"

#include "backend/audit_private.h"
#include "backend/meta_private.h"
#include "crypto/base/fnv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening ---- */

static int check_size(Meta *m) {
	uint64_t rows = 0;
	int rc = SQL_NUMBER(m, "SELECT 1 + coalesce(max(seq), -1) FROM audit WHERE seq >= ?", &rows, v_u64(0));
	if (rc < 0)
		return rc;
	if (rows != m->state.audit_size || rows != m->audit->frontier.size)
		return fault(EUCLEAN, "metadata: the audit log has %llu records, its tree %llu, the counters say %llu",
		        (unsigned long long)rows, (unsigned long long)m->audit->frontier.size,
		        (unsigned long long)m->state.audit_size);
	return 0;
}

/* The keys of the tile that is not full yet. */
static int load_keys(Meta *m) {
	AuditLog *log = m->audit;
	log->keys_tile = log->frontier.size / AUDIT_TILE_HASHES;
	int rc = audit_pending_reserve(log);
	return rc < 0 ? rc : audit_keys_load(m, log->keys_tile * AUDIT_TILE_HASHES, log->frontier.size, log->keys);
}

int audit_log_open(Meta *m) {
	m->audit = calloc(1, sizeof *m->audit);
	if (!m->audit)
		return fault(ENOMEM, "opening the audit log");
	int rc = audit_tree_load(m);
	if (rc == 0)
		rc = check_size(m);
	return rc == 0 ? load_keys(m) : rc;
}

void audit_log_close(Meta *m) {
	if (m->audit) {
		free(m->audit->pending);
		free(m->audit->keys);
	}
	free(m->audit);
	m->audit = NULL;
}

void audit_log_undo(Meta *m) {
	AuditLog *log = m->audit;
	if (!log)
		return;
	log->pending_count = (size_t)(m->state.audit_size - log->frontier.size);
	if (log->interned)
		memset(log->cache, 0, sizeof log->cache);
	log->interned = false;
}

int audit_pending_reserve(AuditLog *log) {
	if (log->pending_count < log->pending_room)
		return 0;
	size_t room = log->pending_room ? 2 * log->pending_room : 1024;
	merkle_hash *grown = realloc(log->pending, room * sizeof *grown);
	if (grown)
		log->pending = grown;
	struct audit_keys *keys = realloc(log->keys, (room + AUDIT_TILE_HASHES) * sizeof *keys);
	if (keys)
		log->keys = keys;
	if (!grown || !keys)
		return fault(ENOMEM, "recording in the audit log");
	log->pending_room = room;
	return 0;
}

struct audit_keys *audit_keys_next(AuditLog *log) {
	return &log->keys[log->frontier.size % AUDIT_TILE_HASHES + log->pending_count];
}

/* ---- interning ---- */

static struct audit_cached *cache_slot(AuditLog *log, struct bytes text) {
	return &log->cache[fnv1a(0, text) % AUDIT_CACHE_SLOTS];
}

static int intern_row(Meta *m, struct bytes text, uint64_t *ret_id) {
	int rc = SQL_NUMBER(m, "SELECT id FROM string WHERE text = ?", ret_id, v_bytes(text));
	if (rc != -ENOENT)
		return rc;
	rc = SQL_RUN(m, "INSERT INTO string (text) VALUES (?)", v_bytes(text));
	if (rc == 0)
		*ret_id = (uint64_t)sqlite3_last_insert_rowid(m->db);
	m->audit->interned = true;
	return rc;
}

static int intern(Meta *m, struct bytes text, uint64_t *ret_id) {
	if (text.size > AUDIT_CACHE_TEXT)
		return intern_row(m, text, ret_id);
	struct audit_cached *slot = cache_slot(m->audit, text);
	if (slot->id && slot->size == text.size && memcmp(slot->text, text.data, text.size) == 0) {
		*ret_id = slot->id;
		return 0;
	}
	int rc = intern_row(m, text, ret_id);
	if (rc < 0)
		return rc;
	slot->id = *ret_id;
	slot->size = (uint8_t)text.size;
	memcpy(slot->text, text.data, text.size);
	return 0;
}

/* ---- normalising ---- */

static struct audit_path split(const char *text) {
	if (!text)
		return (struct audit_path){0};
	struct audit_path path = {.set = true};
	size_t size = strlen(text);
	if (size > AUDIT_PATH_MAX) {
		path.cut = size;
		size = AUDIT_PATH_MAX;
	}
	const char *slash = memrchr(text, '/', size);
	size_t dir = slash ? (size_t)(slash - text) : 0;
	size_t start = slash ? dir + 1 : 0;
	path.has_dir = slash != NULL;
	path.dir = bytes_of(text, dir);
	path.name = bytes_of(text + start, size - start);
	return path;
}

static int outcome_of(const char *name, unsigned *ret_outcome) {
	for (unsigned i = 0; i < 3; i++) {
		if (!name || strcmp(name, audit_outcome_names[i]) == 0) {
			*ret_outcome = i;
			return 0;
		}
	}
	return fault(EINVAL, "audit: no outcome is called '%.40s'", name);
}

static int check_event(const char *event) {
	size_t size = event ? strspn(event, "abcdefghijklmnopqrstuvwxyz-") : 0;
	if (size == 0 || size > AUDIT_EVENT_MAX || event[size] != '\0' || event[0] == '-')
		return fault(EINVAL, "audit: '%.40s' can't be the name of an event", event ? event : "");
	return 0;
}

static int normalise(Meta *m, const struct audit_event *event, struct audit_row *ret_row) {
	struct audit_row row = {.seq = m->state.audit_size,
	        .err = event->err,
	        .uid = event->actor.uid,
	        .gid = event->actor.gid,
	        .pid = event->actor.pid,
	        .path = split(event->path),
	        .path2 = split(event->path2),
	        .node = event->node,
	        .version = event->version,
	        .bytes = event->bytes};
	int rc = check_event(event->event);
	if (rc == 0)
		rc = outcome_of(event->outcome, &row.outcome);
	if (rc == 0 && event->err < 0)
		rc = fault(EINVAL, "audit: an error is a positive errno");
	if (rc < 0)
		return rc;
	int64_t now = meta_now(m);
	row.time_ns = now > m->state.audit_time ? now : m->state.audit_time;
	row.event = bytes_of_string(event->event);
	row.exe = bytes_of(event->actor.exe, strnlen(event->actor.exe, sizeof event->actor.exe));
	if (event->detail) {
		size_t size = strlen(event->detail);
		row.has_detail = true;
		row.detail_cut = size > AUDIT_DETAIL_MAX ? size : 0;
		row.detail = bytes_of(event->detail, size > AUDIT_DETAIL_MAX ? AUDIT_DETAIL_MAX : size);
	}
	*ret_row = row;
	return 0;
}

/* ---- rows ---- */

struct interned {
	uint64_t event, exe, dir, dir2;
};

static int intern_path(Meta *m, const struct audit_path *path, uint64_t *ret_dir) {
	*ret_dir = 0;
	return path->has_dir ? intern(m, path->dir, ret_dir) : 0;
}

static int intern_all(Meta *m, const struct audit_row *row, struct interned *ret) {
	int rc = intern(m, row->event, &ret->event);
	if (rc == 0)
		rc = intern(m, row->exe, &ret->exe);
	if (rc == 0)
		rc = intern_path(m, &row->path, &ret->dir);
	if (rc == 0)
		rc = intern_path(m, &row->path2, &ret->dir2);
	return rc;
}

static struct sql_value dir_value(const struct audit_path *path, uint64_t dir) {
	return path->set ? v_u64(dir) : v_null();
}

static struct sql_value name_value(const struct audit_path *path) {
	return path->set ? v_bytes(path->name) : v_null();
}

static int insert(Meta *m, const struct audit_row *row, const struct interned *ids) {
	static const char sql[] =
	        "INSERT INTO audit (seq, time_ns, event, outcome, errno, uid, gid, pid, exe, dir, name, cut,"
	        " dir2, name2, cut2, node, version, bytes, detail, detail_cut)"
	        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
	return SQL_RUN(m, sql, v_u64(row->seq), v_i64(row->time_ns), v_u64(ids->event), v_u64(row->outcome),
	        v_i64(row->err), v_u64(row->uid), v_u64(row->gid), v_i64(row->pid), v_u64(ids->exe),
	        dir_value(&row->path, ids->dir), name_value(&row->path), v_ref(row->path.cut),
	        dir_value(&row->path2, ids->dir2), name_value(&row->path2), v_ref(row->path2.cut), v_u64(row->node),
	        v_u64(row->version), v_u64(row->bytes), row->has_detail ? v_bytes(row->detail) : v_null(),
	        v_ref(row->detail_cut));
}

static struct audit_keys keys_of(const struct audit_row *row, const struct interned *ids) {
	return (struct audit_keys){.event = ids->event,
	        .exe = ids->exe,
	        .dir = ids->dir,
	        .dir2 = ids->dir2,
	        .node = row->node,
	        .uid = row->uid,
	        .gid = row->gid,
	        .pid = row->pid,
	        .outcome = (uint8_t)row->outcome,
	        .has_path = row->path.set,
	        .has_path2 = row->path2.set};
}

int audit_record(Meta *m, const struct audit_event *event, uint64_t *ret_seq) {
	meta_assert_running(m);
	AuditLog *log = m->audit;
	struct audit_row row;
	struct interned ids;
	int rc = normalise(m, event, &row);
	if (rc == 0)
		rc = audit_pending_reserve(log);
	if (rc == 0)
		rc = intern_all(m, &row, &ids);
	if (rc == 0)
		rc = insert(m, &row, &ids);
	if (rc < 0)
		return rc;
	size_t length = audit_line(&row, log->line);
	*audit_keys_next(log) = keys_of(&row, &ids);
	merkle_leaf(bytes_of(log->line, length), log->pending[log->pending_count++]);
	m->state.audit_size++;
	m->state.audit_time = row.time_ns;
	if (ret_seq)
		*ret_seq = row.seq;
	return 0;
}

static int read_path(sqlite3_stmt *stmt, int first, struct audit_path *ret) {
	*ret = (struct audit_path){.set = sqlite3_column_type(stmt, first) != SQLITE_NULL};
	if (!ret->set)
		return 0;
	ret->has_dir = sqlite3_column_int64(stmt, first) != 0;
	if (ret->has_dir && sqlite3_column_type(stmt, first + 1) == SQLITE_NULL)
		return -EUCLEAN;
	ret->dir = column_bytes(stmt, first + 1);
	ret->name = column_bytes(stmt, first + 2);
	ret->cut = column_u64(stmt, first + 3);
	return ret->dir.size + ret->name.size + 1 > AUDIT_PATH_MAX + 1 ? -EUCLEAN : 0;
}

int audit_row_read(sqlite3_stmt *stmt, struct audit_row *ret_row) {
	struct audit_row row = {.seq = column_u64(stmt, 0),
	        .time_ns = sqlite3_column_int64(stmt, 1),
	        .event = column_bytes(stmt, 2),
	        .outcome = (unsigned)sqlite3_column_int(stmt, 3),
	        .err = sqlite3_column_int(stmt, 4),
	        .uid = column_u32(stmt, 5),
	        .gid = column_u32(stmt, 6),
	        .pid = sqlite3_column_int(stmt, 7),
	        .exe = column_bytes(stmt, 8),
	        .node = column_u64(stmt, 17),
	        .version = column_u64(stmt, 18),
	        .bytes = column_u64(stmt, 19),
	        .has_detail = sqlite3_column_type(stmt, 20) != SQLITE_NULL,
	        .detail = column_bytes(stmt, 20),
	        .detail_cut = column_u64(stmt, 21)};
	int rc = read_path(stmt, 9, &row.path);
	if (rc == 0)
		rc = read_path(stmt, 13, &row.path2);
	if (row.event.size == 0 || row.event.size > AUDIT_EVENT_MAX ||
	        row.exe.size > sizeof(((struct actor *)0)->exe) || row.detail.size > AUDIT_DETAIL_MAX ||
	        row.outcome > AUDIT_ERROR)
		rc = -EUCLEAN;
	if (rc < 0)
		return fault(EUCLEAN, "metadata: audit record %llu is malformed", (unsigned long long)row.seq);
	*ret_row = row;
	return 0;
}

const char *audit_path_text(const struct audit_path *path, char buffer[static AUDIT_PATH_MAX + 1]) {
	if (!path->set)
		return NULL;
	char *at = buffer;
	if (path->dir.size) {
		memcpy(at, path->dir.data, path->dir.size);
		at += path->dir.size;
	}
	if (path->has_dir)
		*at++ = '/';
	if (path->name.size) {
		memcpy(at, path->name.data, path->name.size);
		at += path->name.size;
	}
	*at = '\0';
	return buffer;
}

/* ---- reading ---- */

uint64_t audit_size(Meta *m) {
	meta_assert_running(m);
	return m->state.audit_size;
}

int audit_render(Meta *m, uint64_t seq, char *ret_line, size_t capacity, size_t *ret_length) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, "SELECT " AUDIT_COLUMNS AUDIT_FROM "WHERE a.seq = ?", &stmt, v_u64(seq));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	struct audit_row row;
	rc = audit_row_read(stmt, &row);
	if (rc < 0)
		return rc;
	size_t length = audit_line(&row, m->audit->line);
	if (length >= capacity)
		return -ERANGE;
	memcpy(ret_line, m->audit->line, length + 1);
	if (ret_length)
		*ret_length = length;
	return 0;
}

int audit_time(Meta *m, uint64_t seq, int64_t *ret_time_ns) {
	uint64_t time;
	int rc = SQL_NUMBER(m, "SELECT time_ns FROM audit WHERE seq = ?", &time, v_u64(seq));
	if (rc == 0)
		*ret_time_ns = (int64_t)time;
	return rc;
}
