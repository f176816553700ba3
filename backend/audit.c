/* Records of the audit log: normalised, interned, kept. See audit.h. */
#include "backend/audit.h"

#include "backend/audit_private.h"
#include "backend/meta_private.h"
#include "crypto/base/fnv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening ---- */

/* Where rows end and packs do. */
static int load_ends(Meta *m, uint64_t *ret_rows, uint64_t *ret_begin, uint64_t *ret_end) {
	int rc = SQL_NUMBER(m, "SELECT 1 + coalesce(max(seq), -1) FROM audit WHERE seq >= ?", ret_rows, v_u64(0));
	*ret_begin = *ret_end = *ret_rows;
	if (rc < 0 || !meta_has(m, META_SCHEMA_AUDIT_PACK))
		return rc;
	rc = SQL_NUMBER(m, "SELECT first FROM audit_pack WHERE first >= ? ORDER BY first LIMIT 1", ret_begin, v_u64(0));
	if (rc == 0)
		rc = SQL_NUMBER(m, "SELECT first + count FROM audit_pack WHERE first >= ? ORDER BY first DESC LIMIT 1",
		        ret_end, v_u64(0));
	return rc == -ENOENT ? 0 : rc;
}

static int check_size(Meta *m) {
	uint64_t rows = 0, begin = 0, end = 0;
	int rc = load_ends(m, &rows, &begin, &end);
	if (rc < 0)
		return rc;
	uint64_t expected = rows > m->state.audit_pruned ? rows : m->state.audit_pruned;
	if (begin != expected)
		return fault(EUCLEAN,
		        "metadata: the audit log's rows, or what was pruned, end before record %llu, its packs begin "
		        "with %llu",
		        (unsigned long long)expected, (unsigned long long)begin);
	if (end != m->state.audit_size || end != m->audit->frontier.size)
		return fault(EUCLEAN, "metadata: the audit log has %llu records, its tree %llu, the counters say %llu",
		        (unsigned long long)end, (unsigned long long)m->audit->frontier.size,
		        (unsigned long long)m->state.audit_size);
	m->audit->rows = rows;
	m->audit->kept.first = end;
	m->recorded = end;
	return 0;
}

static int load_key(void *arg, const struct audit_stored *record) {
	AuditLog *log = arg;
	log->keys[record->seq - log->keys_tile * AUDIT_TILE_HASHES] = audit_keys_of(record);
	return 0;
}

/* The keys of the tile that is not full yet. */
static int load_keys(Meta *m) {
	AuditLog *log = m->audit;
	log->keys_tile = log->frontier.size / AUDIT_TILE_HASHES;
	int rc = audit_reserve(log, 0);
	if (rc < 0)
		return rc;
	return audit_each(m, log->keys_tile * AUDIT_TILE_HASHES, log->frontier.size, false, load_key, log);
}

/* Records of a database that is open for reading only would be lost with its memory. */
static int load_mode(Meta *m) {
	uint64_t mode = 0;
	int rc = SQL_NUMBER(m, "SELECT query_only FROM pragma_query_only WHERE ?", &mode, v_u64(1));
	m->audit->read_only = mode != 0;
	return rc;
}

int audit_log_open(Meta *m) {
	m->audit = calloc(1, sizeof *m->audit);
	if (!m->audit)
		return fault(ENOMEM, "opening the audit log");
	int rc = audit_tree_load(m);
	if (rc == 0)
		rc = audit_prune_load(m);
	if (rc == 0)
		rc = check_size(m);
	if (rc == 0)
		rc = load_mode(m);
	if (rc == 0)
		rc = load_keys(m);
	m->audit->is_open = rc == 0;
	return rc;
}

void audit_log_close(Meta *m) {
	if (m->audit) {
		free(m->audit->leaves);
		free(m->audit->keys);
		free(m->audit->kept.data);
		free(m->audit->kept.marks);
	}
	free(m->audit);
	m->audit = NULL;
}

void audit_log_undo(Meta *m) {
	AuditLog *log = m->audit;
	if (!log || !log->is_open)
		return;
	size_t left = (size_t)(m->state.audit_size - log->frontier.size);
	log->hashed = log->hashed < left ? log->hashed : left;
	audit_kept_cut(&log->kept, m->state.audit_size);
	(void)audit_count_unhashed(m);
	if (log->interned)
		audit_texts_forget(log);
	log->interned = false;
}

int audit_reserve(AuditLog *log, size_t waiting) {
	if (waiting < log->room)
		return 0;
	size_t room = log->room ? 2 * log->room : 1024;
	merkle_hash *grown = realloc(log->leaves, room * sizeof *grown);
	if (grown)
		log->leaves = grown;
	struct audit_keys *keys = realloc(log->keys, (room + AUDIT_TILE_HASHES) * sizeof *keys);
	if (keys)
		log->keys = keys;
	struct audit_mark *marks = realloc(log->kept.marks, room * sizeof *marks);
	if (marks)
		log->kept.marks = marks;
	if (!grown || !keys || !marks)
		return fault(ENOMEM, "recording in the audit log");
	log->room = room;
	return 0;
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

/* `whole`: how long it is, where `text` is only its beginning. */
static struct audit_path split(const char *text, uint64_t whole) {
	if (!text)
		return (struct audit_path){0};
	struct audit_path path = {.set = true};
	size_t size = strlen(text);
	path.cut = whole > size ? whole : size > AUDIT_PATH_MAX ? size : 0;
	if (size > AUDIT_PATH_MAX)
		size = AUDIT_PATH_MAX;
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

/* By hand, as strspn makes a table of 256 bytes each time: 200 instructions less. */
static size_t event_length(const char *event) {
	size_t size = 0;
	while ((event[size] >= 'a' && event[size] <= 'z') || event[size] == '-')
		size++;
	return size;
}

static int check_event(const char *event) {
	size_t size = event ? event_length(event) : 0;
	if (size == 0 || size > AUDIT_EVENT_MAX || event[size] != '\0' || event[0] == '-')
		return fault(EINVAL, "audit: '%.40s' can't be the name of an event", event ? event : "");
	return 0;
}

/* All but the numbers of its texts. */
static int normalise(Meta *m, const struct audit_event *event, struct audit_row *ret_row) {
	struct audit_row row = {.stored = {.seq = m->state.audit_size,
	                                .err = event->err,
	                                .uid = event->actor.uid,
	                                .gid = event->actor.gid,
	                                .pid = event->actor.pid,
	                                .node = event->node,
	                                .version = event->version,
	                                .bytes = event->bytes},
	        .path = split(event->path, event->path_bytes),
	        .path2 = split(event->path2, event->path2_bytes)};
	int rc = check_event(event->event);
	if (rc == 0)
		rc = outcome_of(event->outcome, &row.stored.outcome);
	if (rc == 0 && event->err < 0)
		rc = fault(EINVAL, "audit: an error is a positive errno");
	if (rc < 0)
		return rc;
	int64_t now = meta_now(m);
	row.stored.time_ns = now > m->state.audit_time ? now : m->state.audit_time;
	row.event = bytes_of_string(event->event);
	row.exe = bytes_of(event->actor.exe, strnlen(event->actor.exe, sizeof event->actor.exe));
	if (event->detail) {
		size_t size = strlen(event->detail);
		row.stored.has_detail = true;
		row.stored.detail_cut = size > AUDIT_DETAIL_MAX ? size : 0;
		row.stored.detail = bytes_of(event->detail, size > AUDIT_DETAIL_MAX ? AUDIT_DETAIL_MAX : size);
	}
	*ret_row = row;
	return 0;
}

/* ---- recording ---- */

static int intern_path(Meta *m, const struct audit_path *path, struct audit_stored_path *ret) {
	*ret = (struct audit_stored_path){.set = path->set, .name = path->name, .cut = path->cut};
	return path->has_dir ? intern(m, path->dir, &ret->dir) : 0;
}

static int intern_all(Meta *m, struct audit_row *row) {
	int rc = intern(m, row->event, &row->stored.event);
	if (rc == 0)
		rc = intern(m, row->exe, &row->stored.exe);
	if (rc == 0)
		rc = intern_path(m, &row->path, &row->stored.path);
	if (rc == 0)
		rc = intern_path(m, &row->path2, &row->stored.path2);
	return rc;
}

struct audit_keys audit_keys_of(const struct audit_stored *record) {
	return (struct audit_keys){.event = record->event,
	        .exe = record->exe,
	        .dir = record->path.dir,
	        .dir2 = record->path2.dir,
	        .node = record->node,
	        .uid = record->uid,
	        .gid = record->gid,
	        .pid = record->pid,
	        .outcome = (uint8_t)record->outcome,
	        .has_path = record->path.set,
	        .has_path2 = record->path2.set};
}

static int may_record(Meta *m) {
	int rc = sql_refuse_failed(m);
	return rc == 0 && m->audit->read_only ? fault(EROFS, "audit: the vault is open for reading only") : rc;
}

void audit_watch(Meta *m, audit_watch_fn *watch, void *arg) {
	m->watch = watch;
	m->watch_arg = arg;
}

int audit_record(Meta *m, const struct audit_event *event, uint64_t *ret_seq) {
	meta_assert_running(m);
	AuditLog *log = m->audit;
	size_t waiting = (size_t)(m->state.audit_size - log->frontier.size);
	struct audit_row row = {0};
	int rc = may_record(m);
	if (rc == 0)
		rc = normalise(m, event, &row);
	if (rc == 0)
		rc = audit_reserve(log, waiting);
	if (rc == 0)
		rc = intern_all(m, &row);
	if (rc == 0)
		rc = audit_keep(m, &row.stored);
	if (rc < 0)
		return rc;
	log->keys[log->frontier.size % AUDIT_TILE_HASHES + waiting] = audit_keys_of(&row.stored);
	m->state.audit_size++;
	m->state.audit_time = row.stored.time_ns;
	if (m->watch)
		m->watch(m->watch_arg, event, row.stored.time_ns);
	if (ret_seq)
		*ret_seq = row.stored.seq;
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

static int render_one(void *arg, const struct audit_stored *record) {
	Meta *m = arg;
	struct audit_row row;
	int rc = audit_row_of(m, record, &row);
	if (rc < 0)
		return rc;
	(void)audit_line(&row, m->audit->line);
	return 1;
}

int audit_render(Meta *m, uint64_t seq, char *ret_line, size_t capacity, size_t *ret_length) {
	int rc = audit_each(m, seq, seq + 1, false, render_one, m);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	size_t length = strlen(m->audit->line);
	if (length >= capacity)
		return -ERANGE;
	memcpy(ret_line, m->audit->line, length + 1);
	if (ret_length)
		*ret_length = length;
	return 0;
}

static int take_time(void *arg, const struct audit_stored *record) {
	*(int64_t *)arg = record->time_ns;
	return 1;
}

int audit_time(Meta *m, uint64_t seq, int64_t *ret_time_ns) {
	int64_t time = 0;
	int rc = audit_each(m, seq, seq + 1, false, take_time, &time);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	*ret_time_ns = time;
	return 0;
}
