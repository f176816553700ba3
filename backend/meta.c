/* The vault's database: opening, operations, commits. See meta.h. */
#include "backend/meta.h"

#include "backend/audit.h"
#include "backend/meta_private.h"
#include "backend/metadb.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* kv's own keys. Integers little-endian. */
#define KEY_SCHEMA "meta.schema"
#define KEY_VAULT "meta.vault-id"
#define KEY_STATE "meta.state"
#define KEY_DOOR "meta.door"

/* meta.state: counters in this order, 8 bytes each. */
#define STATE_FIELDS 12
#define STATE_BYTES (8 * STATE_FIELDS)

static const char put_kv[] = "INSERT INTO kv (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = "
                             "excluded.value";

/* ---- kv ---- */

int meta_kv_get(Meta *m, const char *key, void *ret_value, size_t capacity, size_t *ret_size) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, "SELECT value FROM kv WHERE key = ?", &stmt, v_text(key));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	struct bytes value = column_bytes(stmt, 0);
	*ret_size = value.size;
	if (value.size > capacity)
		return -ERANGE;
	if (value.size)
		memcpy(ret_value, value.data, value.size);
	return 0;
}

int meta_kv_next(Meta *m, const char *prefix, const char *after, char *ret_key, size_t key_capacity, void *ret_value,
        size_t capacity, size_t *ret_size) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, "SELECT key, value FROM kv WHERE key > ? ORDER BY key LIMIT 1", &stmt, v_text(after));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	struct bytes key = column_bytes(stmt, 0), value = column_bytes(stmt, 1);
	size_t length = strlen(prefix);
	if (key.size < length || memcmp(key.data, prefix, length) != 0)
		return -ENOENT;
	*ret_size = value.size;
	if (key.size >= key_capacity || value.size > capacity)
		return -ERANGE;
	memcpy(ret_key, key.data, key.size);
	ret_key[key.size] = '\0';
	if (value.size)
		memcpy(ret_value, value.data, value.size);
	return 0;
}

int meta_kv_put(Meta *m, const char *key, struct bytes value) {
	return SQL_RUN(m, put_kv, v_text(key), v_bytes(value));
}

int meta_kv_remove(Meta *m, const char *key) {
	return SQL_RUN(m, "DELETE FROM kv WHERE key = ?", v_text(key));
}

int meta_open_door(Meta *m) {
	return SQL_RUN(m, put_kv, v_text(KEY_DOOR), v_blob("open", 4));
}

int meta_close_door(Meta *m) {
	return meta_kv_remove(m, KEY_DOOR);
}

/* ---- state ---- */

static int store_state(Meta *m) {
	const struct meta_state *s = &m->state;
	const uint64_t fields[STATE_FIELDS] = {s->next_node, s->next_entry, s->next_version, s->next_page, s->next_job,
	        s->audit_size, (uint64_t)s->audit_time, s->counts.nodes, s->counts.directories, s->counts.names,
	        s->counts.versions, s->counts.bytes};
	uint8_t packed[STATE_BYTES];
	for (size_t i = 0; i < STATE_FIELDS; i++)
		le64_put(packed + 8 * i, fields[i]);
	return meta_kv_put(m, KEY_STATE, bytes_of(packed, sizeof packed));
}

static int load_state(Meta *m) {
	uint8_t packed[STATE_BYTES];
	size_t size;
	int rc = meta_kv_get(m, KEY_STATE, packed, sizeof packed, &size);
	if (rc == 0 && size != sizeof packed)
		rc = -ERANGE;
	if (rc == -ENOENT || rc == -ERANGE)
		return fault(EUCLEAN, "metadata: the counters (%s) are missing or malformed", KEY_STATE);
	if (rc < 0)
		return rc;
	uint64_t fields[STATE_FIELDS];
	for (size_t i = 0; i < STATE_FIELDS; i++)
		fields[i] = le64_get(packed + 8 * i);
	m->state = (struct meta_state){.next_node = fields[0],
	        .next_entry = fields[1],
	        .next_version = fields[2],
	        .next_page = fields[3],
	        .next_job = fields[4],
	        .audit_size = fields[5],
	        .audit_time = (int64_t)fields[6],
	        .counts = {fields[7], fields[8], fields[9], fields[10], fields[11]}};
	m->first_node = m->state.next_node;
	return 0;
}

static int load_last_commit(Meta *m) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, "SELECT id, time_ns, audit_size FROM commit_log WHERE id >= ? ORDER BY id DESC LIMIT 1",
	        &stmt, v_u64(0));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc == 0)
		return fault(EUCLEAN, "metadata: no commit was ever completed");
	if (rc < 0)
		return rc;
	m->last = (struct meta_committed){.commit = column_u64(stmt, 0),
	        .time_ns = sqlite3_column_int64(stmt, 1),
	        .audit_size = column_u64(stmt, 2)};
	return 0;
}

/* ---- opening ---- */

static int has_schema(Meta *m, bool *ret_has) {
	uint64_t tables;
	int rc = SQL_NUMBER(m, "SELECT count(*) FROM sqlite_schema WHERE name = ?", &tables, v_text("kv"));
	if (rc == 0)
		*ret_has = tables > 0;
	return rc;
}

static int load_schema(Meta *m, uint64_t *ret_version) {
	bool has = false;
	int rc = has_schema(m, &has);
	if (rc < 0)
		return rc;
	if (!has)
		return fault(EUCLEAN, "metadata: this database holds no vault");
	uint8_t number[8];
	size_t size;
	rc = meta_kv_get(m, KEY_SCHEMA, number, sizeof number, &size);
	if (rc == -ENOENT || rc == -ERANGE || (rc == 0 && size != sizeof number))
		return fault(EUCLEAN, "metadata: the schema's version is missing");
	if (rc < 0)
		return rc;
	uint64_t version = le64_get(number);
	if (version < META_SCHEMA_OLDEST || version > META_SCHEMA_VERSION)
		return fault(EPROTONOSUPPORT,
		        "metadata: the vault has schema version %llu, this assayfs reads versions %d to %d: use the "
		        "assayfs it was made with, or a newer one",
		        (unsigned long long)version, META_SCHEMA_OLDEST, META_SCHEMA_VERSION);
	*ret_version = version;
	return 0;
}

static int store_schema(Meta *m, uint64_t version) {
	uint8_t number[8];
	le64_put(number, version);
	m->state.schema = version;
	return meta_kv_put(m, KEY_SCHEMA, bytes_of(number, sizeof number));
}

static int make_tables(Meta *m, const char *const *statements) {
	for (size_t i = 0; statements[i]; i++) {
		int code = sqlite3_exec(m->db, statements[i], NULL, NULL, NULL);
		if (code != SQLITE_OK)
			return sql_failure(m, code, statements[i]);
	}
	return 0;
}

/* What the versions from `next` to `last` have more than those before. */
static int make_schemas(Meta *m, uint64_t next, uint64_t last) {
	int rc = 0;
	for (; next <= last && rc == 0; next++)
		rc = make_tables(m, meta_schemas[next - META_SCHEMA_OLDEST]);
	return rc;
}

/* The number first: that opens the transaction, which the tables' statements don't. */
int meta_raise_schema(Meta *m, uint64_t needed) {
	uint64_t present = m->state.schema;
	if (present >= needed)
		return 0;
	int rc = store_schema(m, needed);
	return rc < 0 ? rc : make_schemas(m, present + 1, needed);
}

static int load_vault_id(Meta *m) {
	int rc = meta_kv_get(m, KEY_VAULT, m->vault_id, sizeof m->vault_id, &m->vault_id_size);
	if (rc == -ENOENT || rc == -ERANGE)
		return fault(EUCLEAN, "metadata: the vault's id is missing");
	return rc;
}

static int load(Meta *m) {
	uint64_t schema = 0;
	int rc = load_schema(m, &schema);
	if (rc == 0)
		rc = load_vault_id(m);
	if (rc == 0)
		rc = load_state(m);
	m->state.schema = m->committed_schema = schema;
	m->before = m->state; /* nothing has changed by that */
	if (rc == 0)
		rc = load_last_commit(m);
	if (rc == 0)
		rc = audit_log_open(m);
	return rc;
}

static int make_meta(sqlite3 *db, const struct meta_clock *clock, Meta **ret_meta) {
	Meta *m = calloc(1, sizeof *m);
	if (!m)
		return fault(ENOMEM, "opening the metadata");
	m->db = db;
	if (clock)
		m->clock = *clock;
	pthread_mutex_init(&m->lock, NULL);
	int rc = node_cache_new(&m->nodes);
	if (rc == 0)
		rc = draft_set_new(&m->drafts);
	if (rc < 0) {
		meta_close(m);
		return rc;
	}
	/* Clean pages in memory: up to 80 MiB, so that what a busy mount looks up is not read and unsealed again and
	 * again (of a million files the names and nodes take 600). */
	int code = sqlite3_exec(db, "PRAGMA foreign_keys = ON; PRAGMA cache_size = -81920", NULL, NULL, NULL);
	if (code != SQLITE_OK) {
		rc = sql_failure(m, code, "preparing the connection");
		meta_close(m);
		return rc;
	}
	*ret_meta = m;
	return 0;
}

int meta_open_handle(sqlite3 *db, const struct meta_clock *clock, Meta **ret_meta) {
	_cleanup_(meta_closep) Meta *m = NULL;
	int rc = make_meta(db, clock, &m);
	if (rc)
		return rc;
	meta_begin(m);
	rc = meta_end(m, load(m));
	if (rc < 0)
		return rc;
	*ret_meta = steal_pointer(&m);
	return 0;
}

static int create_fixed_node(Meta *m, const struct meta_init *init, uint64_t id, enum zone zone, uint32_t mode) {
	int64_t now = meta_stamp(m);
	static const char sql[] =
	        "INSERT INTO node (id, ino, zone, mode, uid, gid, nlink, rdev, size, atime, mtime, ctime, "
	        "btime, version, parent) VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7, ?7, ?7, ?7, 0, 1)";
	int rc = SQL_RUN(m, sql, v_u64(id), v_u64(zone), v_u64(S_IFDIR | mode), v_u64(init->uid), v_u64(init->gid),
	        v_u64(id == NODE_ROOT ? 5 : 2), v_i64(now));
	if (rc == 0 && id != NODE_ROOT)
		rc = tree_insert_entry(m, NODE_ROOT, bytes_of_string(zone_name(zone)), id);
	m->state.counts.nodes++;
	m->state.counts.directories++;
	return rc;
}

static int fill(Meta *m, const struct meta_init *init) {
	int rc = make_schemas(m, META_SCHEMA_OLDEST, META_SCHEMA_VERSION);
	if (rc == 0)
		rc = store_schema(m, META_SCHEMA_VERSION);
	if (rc == 0)
		rc = meta_kv_put(m, KEY_VAULT, init->vault_id);
	if (rc == 0)
		rc = create_fixed_node(m, init, NODE_ROOT, ZONE_NONE, 0755);
	if (rc == 0)
		rc = create_fixed_node(m, init, NODE_LANDING, ZONE_LANDING, 0755);
	if (rc == 0)
		rc = create_fixed_node(m, init, NODE_RAW, ZONE_RAW, 0755);
	if (rc == 0)
		rc = create_fixed_node(m, init, NODE_TRUSTED, ZONE_TRUSTED, 0755);
	return rc;
}

int meta_create_handle(sqlite3 *db, const struct meta_init *init, const struct meta_clock *clock) {
	if (init->vault_id.size == 0 || init->vault_id.size > META_VAULT_ID_MAX)
		return fault(EINVAL, "metadata: a vault's id has 1 to %d bytes", META_VAULT_ID_MAX);
	_cleanup_(meta_closep) Meta *m = NULL;
	int rc = make_meta(db, clock, &m);
	if (rc)
		return rc;
	m->state = (struct meta_state){
	        .next_node = NODE_TRUSTED + 1, .next_entry = 1, .next_version = 1, .next_page = 1, .next_job = 1};
	meta_begin(m);
	bool has = false;
	rc = has_schema(m, &has);
	if (rc == 0 && has)
		rc = fault(EEXIST, "metadata: the database already holds a vault");
	/* The first statement that goes through sql_start would open the transaction; the schema's don't. */
	int code = rc == 0 ? sqlite3_exec(db, "BEGIN; SAVEPOINT operation", NULL, NULL, NULL) : SQLITE_OK;
	if (code != SQLITE_OK)
		rc = sql_failure(m, code, "beginning");
	m->in_transaction = m->in_savepoint = rc == 0;
	if (rc == 0)
		rc = fill(m, init);
	if (rc == 0)
		rc = audit_log_open(m);
	return meta_commit(m, rc, NULL);
}

int meta_open(MetaDb *db, const struct meta_clock *clock, Meta **ret_meta) {
	int rc = meta_open_handle(metadb_handle(db), clock, ret_meta);
	if (rc == 0)
		(*ret_meta)->metadb = db;
	return rc;
}

int meta_create(MetaDb *db, const struct meta_init *init, const struct meta_clock *clock) {
	return meta_create_handle(metadb_handle(db), init, clock);
}

void meta_close(Meta *m) {
	if (!m)
		return;
	assert(!m->running);
	for (size_t i = 0; i < SQL_SLOTS; i++)
		sqlite3_finalize(m->slots[i].stmt);
	if (m->in_transaction)
		(void)sqlite3_exec(m->db, "ROLLBACK", NULL, NULL, NULL);
	audit_log_close(m);
	node_cache_free(m->nodes);
	draft_set_free(m->drafts);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* ---- operations ---- */

static void begin_locked(Meta *m) {
	assert(!m->running);
	m->running = true;
	m->holder = pthread_self();
	m->op_errno = 0;
	m->before = m->state;
	m->fresh.version.id = 0;
	node_cache_begin(m->nodes);
}

void meta_begin(Meta *m) {
	pthread_mutex_lock(&m->lock);
	begin_locked(m);
}

bool meta_try_begin(Meta *m) {
	bool locked = pthread_mutex_trylock(&m->lock) == 0;
	if (locked)
		begin_locked(m);
	return locked;
}

static int control(Meta *m, const char *sql) {
	sqlite3_stmt *stmt = NULL;
	int rc = sql_start(m, sql, NULL, 0, &stmt);
	if (rc == 0)
		rc = sql_step(m, stmt);
	sql_donep(&stmt);
	return rc;
}

static void tell_ended(const Meta *m, bool is_kept) {
	if (m->ended)
		m->ended(m->ended_arg, is_kept);
}

static void undo(Meta *m) {
	tell_ended(m, false);
	m->state = m->before;
	m->fresh.version.id = 0;
	audit_log_undo(m);
	node_cache_undo(m->nodes);
	if (!m->in_savepoint)
		return;
	int rc = control(m, "ROLLBACK TO operation");
	if (rc == 0)
		rc = control(m, "RELEASE operation");
	if (rc < 0)
		m->failed = true;
	m->in_savepoint = false;
}

/* An operation that left nothing but a record has written nothing yet. */
static int keep(Meta *m) {
	int rc = m->op_errno;
	if (rc == 0)
		rc = audit_log_spill(m);
	if (rc < 0) {
		undo(m);
		return rc;
	}
	if (!m->in_savepoint && m->state.audit_size == m->before.audit_size) {
		tell_ended(m, true);
		return 0;
	}
	rc = m->in_savepoint ? control(m, "RELEASE operation") : 0;
	if (rc < 0) {
		undo(m);
		m->failed = true;
		return rc;
	}
	m->pending_writes += m->in_savepoint;
	m->in_savepoint = false;
	m->changed = true;
	m->pending++;
	audit_log_kept(m);
	tell_ended(m, true);
	return 0;
}

static void unlock(Meta *m) {
	m->running = false;
	pthread_mutex_unlock(&m->lock);
}

int meta_end(Meta *m, int rc) {
	meta_assert_running(m);
	if (rc < 0) {
		undo(m);
	} else {
		int kept = keep(m);
		rc = kept < 0 ? kept : rc;
	}
	unlock(m);
	return rc;
}

int meta_end_denied(Meta *m, int rc, const struct audit_event *event) {
	meta_assert_running(m);
	assert(rc < 0);
	undo(m);
	m->op_errno = 0;
	int recorded = audit_record(m, event, NULL);
	if (recorded < 0)
		undo(m);
	else
		recorded = keep(m);
	unlock(m);
	return recorded < 0 ? recorded : rc;
}

/* Inside the transaction, outside of any savepoint. */
static int end_transaction(Meta *m, struct meta_committed *next) {
	int64_t now = meta_now(m);
	next->commit = m->last.commit + 1;
	next->time_ns = now > m->last.time_ns ? now : m->last.time_ns + 1;
	next->audit_size = m->state.audit_size;
	next->operations = m->pending;
	next->changed = true;
	int rc = m->in_transaction ? 0 : control(m, "BEGIN");
	m->in_transaction = m->in_savepoint = true; /* sql_start shall not open one */
	if (rc == 0)
		rc = audit_seal_commit(m);
	if (rc == 0 && m->sealed)
		rc = m->sealed(m->sealed_arg, next->time_ns);
	if (rc == 0)
		rc = store_state(m);
	if (rc == 0)
		rc = SQL_RUN(m, "INSERT INTO commit_log (id, time_ns, audit_size) VALUES (?, ?, ?)",
		        v_u64(next->commit), v_i64(next->time_ns), v_u64(next->audit_size));
	if (rc == 0)
		rc = control(m, "COMMIT");
	m->in_savepoint = false;
	return rc;
}

/* Locked. The Meta has failed for good when this returns an error and something was to be committed. */
static int commit_locked(Meta *m, struct meta_committed *next) {
	*next = m->last;
	next->changed = false;
	next->operations = 0;
	/* A transaction that the database has rolled back by itself is not there any more, and what it held was kept.
	 */
	bool failed_before = m->failed;
	if (!m->in_transaction && !m->changed && !failed_before)
		return 0;
	int rc = 0;
	if (failed_before)
		rc = fault(EROFS, "metadata: an earlier commit failed, so nothing is written any more");
	else if (m->changed)
		rc = end_transaction(m, next);
	if (rc < 0) {
		if (!failed_before)
			rc = fault_while(-EIO, "committing the metadata");
		m->failed = true;
		node_cache_clear(m->nodes);
	} else if (m->changed) {
		m->last = *next;
		m->committed_schema = m->state.schema;
		m->recorded_since = 0;
		m->committed_pruned = m->state.audit_pruned;
	}
	if (!sqlite3_get_autocommit(m->db))
		(void)sqlite3_exec(m->db, "ROLLBACK", NULL, NULL, NULL);
	m->in_transaction = m->changed = false;
	m->pending = m->pending_writes = 0;
	return rc;
}

int meta_commit_then(Meta *m, int rc, struct meta_committed *ret, int (*then)(void *arg), void *arg) {
	meta_assert_running(m);
	if (rc < 0)
		return meta_end(m, rc);
	rc = keep(m);
	struct meta_committed next;
	if (rc == 0)
		rc = commit_locked(m, &next);
	if (rc == 0 && then)
		rc = then(arg);
	unlock(m);
	if (rc == 0 && ret)
		*ret = next;
	return rc;
}

int meta_commit(Meta *m, int rc, struct meta_committed *ret) {
	return meta_commit_then(m, rc, ret, NULL, NULL);
}

/* ---- questions ---- */

uint64_t meta_pending_writes(const Meta *m) {
	return m->pending_writes;
}

bool meta_failed(const Meta *m) {
	return m->failed;
}

static int64_t time_of(clockid_t clock) {
	struct timespec now;
	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t meta_now(const Meta *m) {
	if (m->clock.now)
		return m->clock.now(m->clock.arg);
	return time_of(CLOCK_REALTIME);
}

int64_t meta_now_after_commit(const Meta *m) {
	int64_t now = meta_now(m);
	return now > m->last.time_ns ? now : m->last.time_ns;
}

int64_t meta_stamp(const Meta *m) {
	return m->clock.now ? m->clock.now(m->clock.arg) : time_of(CLOCK_REALTIME_COARSE);
}

int meta_commit_at(Meta *m, int64_t time_ns, uint64_t *ret_commit) {
	return SQL_NUMBER(m, "SELECT id FROM commit_log WHERE time_ns <= ? ORDER BY time_ns DESC LIMIT 1", ret_commit,
	        v_i64(time_ns));
}

int meta_commit_time(Meta *m, uint64_t commit, int64_t *ret_time_ns) {
	uint64_t time;
	int rc = SQL_NUMBER(m, "SELECT time_ns FROM commit_log WHERE id = ?", &time, v_u64(commit));
	if (rc == 0)
		*ret_time_ns = (int64_t)time;
	return rc;
}

int meta_last_commit(Meta *m, struct meta_committed *ret) {
	meta_assert_running(m);
	*ret = m->last;
	ret->changed = false;
	return 0;
}

size_t meta_vault_id(const Meta *m, uint8_t ret_id[static META_VAULT_ID_MAX]) {
	memcpy(ret_id, m->vault_id, m->vault_id_size);
	return m->vault_id_size;
}
