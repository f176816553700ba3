/*
 * Filters over the log. audit_value (kind, value, tile) tells in which full tiles of 256 records a value occurs at all:
 * a tenth of the rows and a fraction of the time that an index on each column would take, and what is rare is found as
 * fast. [measured: tests/backend/bench_meta.c]
 */
#include "backend/audit_private.h"
#include "backend/meta_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* On disk. */
enum value_kind {
	VALUE_EVENT = 1,
	VALUE_OUTCOME = 2, /* other than ok */
	VALUE_UID = 3,
	VALUE_GID = 4,
	VALUE_PID = 5,
	VALUE_EXE = 6,
	VALUE_DIR = 7,        /* of path or path2; 0: a path without '/' */
	VALUE_NODE = 8,       /* in tiles of schema version 1 */
	VALUE_NODE_GROUP = 9, /* node / NODE_GROUP */
};

/* Files that are made together are used together, so neighbours share their tiles: a row of the index for 16 of them
 * takes 6,000 instructions off the two records of a file that is made, and a search for one file reads a few tiles
 * more. */
#define NODE_GROUP 16

/* The values of one kind in a tile: each record has at most two. */
struct values {
	enum value_kind kind;
	size_t count;
	int64_t at[2 * AUDIT_TILE_HASHES];
};

/* Most values of a kind are those of the record before, or of the one before that: an open and its close. */
#define LOOK_BACK 4

static void add_to(struct values *values, int64_t value) {
	for (size_t i = 1; i <= LOOK_BACK && i <= values->count; i++)
		if (values->at[values->count - i] == value)
			return;
	values->at[values->count++] = value;
}

static void collect(struct values *values, const struct audit_keys *keys) {
	switch (values->kind) {
	case VALUE_EVENT:
		add_to(values, (int64_t)keys->event);
		break;
	case VALUE_OUTCOME:
		if (keys->outcome != AUDIT_OK)
			add_to(values, keys->outcome);
		break;
	case VALUE_UID:
		add_to(values, keys->uid);
		break;
	case VALUE_GID:
		add_to(values, keys->gid);
		break;
	case VALUE_PID:
		add_to(values, keys->pid);
		break;
	case VALUE_EXE:
		add_to(values, (int64_t)keys->exe);
		break;
	case VALUE_DIR:
		if (keys->has_path)
			add_to(values, (int64_t)keys->dir);
		if (keys->has_path2)
			add_to(values, (int64_t)keys->dir2);
		break;
	case VALUE_NODE:
		break;
	case VALUE_NODE_GROUP:
		if (keys->node != 0)
			add_to(values, (int64_t)(keys->node / NODE_GROUP));
		break;
	}
}

static int compare_values(const void *one, const void *other) {
	int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
	return (a > b) - (a < b);
}

/* In order, so that the rows lie in the index side by side. */
static int run_values(Meta *m, const char *sql, uint64_t tile, struct values *values) {
	qsort(values->at, values->count, sizeof values->at[0], compare_values);
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < values->count; i++)
		if (i == 0 || values->at[i] != values->at[i - 1])
			rc = SQL_RUN(m, sql, v_i64(values->kind), v_i64(values->at[i]), v_u64(tile));
	return rc;
}

static int run_tile(Meta *m, const char *sql, uint64_t tile, const struct audit_keys keys[static AUDIT_TILE_HASHES]) {
	int rc = 0;
	for (enum value_kind kind = VALUE_EVENT; rc == 0 && kind <= VALUE_NODE_GROUP; kind++) {
		struct values values = {.kind = kind};
		for (size_t i = 0; i < AUDIT_TILE_HASHES; i++)
			collect(&values, &keys[i]);
		rc = run_values(m, sql, tile, &values);
	}
	return rc;
}

/* From memory: to have SQLite find them among the rows took 500 us a tile, with the metadata locked. */
int audit_index_tile(Meta *m, uint64_t tile, const struct audit_keys keys[static AUDIT_TILE_HASHES]) {
	static const char sql[] = "INSERT OR IGNORE INTO audit_value (kind, value, tile) VALUES (?, ?, ?)";
	return run_tile(m, sql, tile, keys);
}

/* By its values too: a search for the tile would go through the whole index. */
int audit_unindex_tile(Meta *m, uint64_t tile, const struct audit_keys keys[static AUDIT_TILE_HASHES]) {
	static const char sql[] = "DELETE FROM audit_value WHERE kind = ? AND value = ? AND tile = ?";
	return run_tile(m, sql, tile, keys);
}

/* ---- what a filter wants, in numbers ---- */

struct wanted {
	const struct audit_filter *filter;
	uint64_t first, end;                  /* sequences */
	struct sql_value event, outcome, exe; /* ids; NULL: any */
	struct bytes literal;                 /* the path's literal start; size 0: none */
	size_t given;
};

static int string_id(Meta *m, const char *text, struct sql_value *ret_value, bool *ret_none) {
	*ret_value = v_null();
	if (!text)
		return 0;
	uint64_t id;
	int rc = SQL_NUMBER(m, "SELECT id FROM string WHERE text = ?", &id, v_bytes(bytes_of_string(text)));
	if (rc == 0)
		*ret_value = v_u64(id);
	*ret_none |= rc == -ENOENT;
	return rc == -ENOENT ? 0 : rc;
}

static int outcome_value(const char *name, struct sql_value *ret_value) {
	*ret_value = v_null();
	if (!name)
		return 0;
	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(name, audit_outcome_names[i]) == 0) {
			*ret_value = v_u64(i);
			return 0;
		}
	}
	return fault(EINVAL, "audit: no outcome is called '%.40s': ok, denied and error are", name);
}

/* Times never run backwards. */
int audit_first_since(Meta *m, int64_t time_ns, uint64_t *ret_seq) {
	uint64_t low = audit_pruned(m), high = m->state.audit_size;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		int64_t time = 0;
		int rc = audit_time(m, middle, &time);
		if (rc == -ENOENT)
			return fault(EUCLEAN, "audit: record %llu is missing", (unsigned long long)middle);
		if (rc < 0)
			return rc;
		if (time < time_ns)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_seq = low;
	return 0;
}

static int range(Meta *m, const struct audit_filter *filter, uint64_t *ret_first, uint64_t *ret_end) {
	uint64_t first = filter->from_seq, end = m->state.audit_size, bound;
	if (filter->before_seq && filter->before_seq < end)
		end = filter->before_seq;
	int rc = 0;
	if (first < audit_pruned(m))
		first = audit_pruned(m);
	if (filter->has_since && (rc = audit_first_since(m, filter->since, &bound)) == 0 && bound > first)
		first = bound;
	if (rc == 0 && filter->has_until && (rc = audit_first_since(m, filter->until, &bound)) == 0 && bound < end)
		end = bound;
	*ret_first = first;
	*ret_end = end;
	return rc;
}

/* The longer of the literal starts; both must hold, and either narrows the search. */
static struct bytes literal_start(const struct audit_filter *filter) {
	size_t glob = filter->path_glob ? strcspn(filter->path_glob, "*?[\\") : 0;
	size_t prefix = filter->path_prefix ? strlen(filter->path_prefix) : 0;
	return prefix >= glob ? bytes_of(filter->path_prefix, prefix) : bytes_of(filter->path_glob, glob);
}

static int want(Meta *m, const struct audit_filter *filter, struct wanted *ret, bool *ret_none) {
	*ret = (struct wanted){.filter = filter, .literal = literal_start(filter)};
	int rc = range(m, filter, &ret->first, &ret->end);
	if (rc == 0)
		rc = string_id(m, filter->event, &ret->event, ret_none);
	if (rc == 0)
		rc = string_id(m, filter->exe, &ret->exe, ret_none);
	if (rc == 0)
		rc = outcome_value(filter->outcome, &ret->outcome);
	return rc;
}

/* ---- which tiles ---- */

#define TILES_SQL_BYTES 2048
#define TILES_VALUES 20

struct tiles {
	char sql[TILES_SQL_BYTES];
	size_t length;
	struct sql_value values[TILES_VALUES];
	size_t count;
	uint8_t above[AUDIT_PATH_MAX + 1]; /* the first string after all that begin with the literal */
};

static void add_sql(struct tiles *t, const char *text) {
	size_t size = strlen(text);
	memcpy(t->sql + t->length, text, size + 1);
	t->length += size;
}

static void intersect(struct tiles *t) {
	add_sql(t, t->count ? " INTERSECT " : "");
}

static void add_value(struct tiles *t, const char *kind, struct sql_value value) {
	intersect(t);
	add_sql(t, "SELECT tile FROM audit_value WHERE kind = ");
	add_sql(t, kind);
	add_sql(t, " AND value = ?");
	t->values[t->count++] = value;
}

static void add_node(struct tiles *t, uint64_t node) {
	intersect(t);
	add_sql(t, "SELECT tile FROM audit_value WHERE (kind = 8 AND value = ?) OR (kind = 9 AND value = ?)");
	t->values[t->count++] = v_u64(node);
	t->values[t->count++] = v_u64(node / NODE_GROUP);
}

/* The least byte string above all that begin with `prefix`: -ENOENT when there is none (it is all 0xff). */
static int above_prefix(struct bytes prefix, uint8_t *ret_above, size_t *ret_size) {
	memcpy(ret_above, prefix.data, prefix.size);
	for (size_t size = prefix.size; size > 0; size--) {
		if (ret_above[size - 1] == 0xff)
			continue;
		ret_above[size - 1]++;
		*ret_size = size;
		return 0;
	}
	return -ENOENT;
}

/* A path begins with "a/b/c" when its directory does, or when its directory is "a/b" (and its name begins with "c"). */
static void add_prefix(struct tiles *t, struct bytes prefix) {
	size_t above;
	if (prefix.size == 0 || prefix.size > AUDIT_PATH_MAX || above_prefix(prefix, t->above, &above) < 0)
		return;
	const uint8_t *slash = memrchr(prefix.data, '/', prefix.size);
	intersect(t);
	add_sql(t, "SELECT tile FROM audit_value WHERE kind = 7 AND value IN ("
	           "SELECT id FROM string WHERE text >= ? AND text < ? UNION ALL ");
	t->values[t->count++] = v_bytes(prefix);
	t->values[t->count++] = v_blob(t->above, above);
	add_sql(t, slash ? "SELECT id FROM string WHERE text = ?)" : "SELECT ?)");
	t->values[t->count++] = slash ? v_blob(prefix.data, (size_t)(slash - prefix.data)) : v_u64(0);
}

static void choose_tiles(const struct wanted *w, struct tiles *t) {
	const struct audit_filter *f = w->filter;
	t->length = t->count = 0;
	if (w->event.kind != SQL_VALUE_NULL)
		add_value(t, "1", w->event);
	if (w->outcome.kind != SQL_VALUE_NULL && w->outcome.integer != AUDIT_OK)
		add_value(t, "2", w->outcome);
	if (f->has_uid)
		add_value(t, "3", v_u64(f->uid));
	if (f->has_gid)
		add_value(t, "4", v_u64(f->gid));
	if (f->has_pid)
		add_value(t, "5", v_i64(f->pid));
	if (w->exe.kind != SQL_VALUE_NULL)
		add_value(t, "6", w->exe);
	if (f->has_node)
		add_node(t, f->node);
	add_prefix(t, w->literal);
}

/* ---- reading ---- */

static bool path_fits(const struct audit_filter *filter, const char *path) {
	if (!path)
		return false;
	if (filter->path_prefix && strncmp(path, filter->path_prefix, strlen(filter->path_prefix)) != 0)
		return false;
	return !filter->path_glob || audit_glob_match(filter->path_glob, path);
}

static int give(Meta *m, const struct audit_filter *filter, const struct audit_row *row, audit_fn callback, void *arg,
        bool *ret_given) {
	AuditLog *log = m->audit;
	const char *path = audit_path_text(&row->path, log->path), *path2 = audit_path_text(&row->path2, log->path2);
	*ret_given = false;
	if ((filter->path_prefix || filter->path_glob) && !path_fits(filter, path) && !path_fits(filter, path2))
		return 0;
	char event[AUDIT_EVENT_MAX + 1];
	memcpy(event, row->event.data, row->event.size);
	event[row->event.size] = '\0';
	if (row->stored.detail.size)
		memcpy(log->detail, row->stored.detail.data, row->stored.detail.size);
	log->detail[row->stored.detail.size] = '\0';
	struct audit_entry entry = {.seq = row->stored.seq,
	        .time_ns = row->stored.time_ns,
	        .event = {.event = event,
	                .actor = {.uid = row->stored.uid, .gid = row->stored.gid, .pid = row->stored.pid},
	                .path = path,
	                .path2 = path2,
	                .outcome = audit_outcome_names[row->stored.outcome],
	                .err = row->stored.err,
	                .node = row->stored.node,
	                .version = row->stored.version,
	                .bytes = row->stored.bytes,
	                .detail = row->stored.has_detail ? log->detail : NULL},
	        .line = log->line};
	size_t exe = row->exe.size < sizeof entry.event.actor.exe ? row->exe.size : sizeof entry.event.actor.exe - 1;
	if (exe)
		memcpy(entry.event.actor.exe, row->exe.data, exe);
	entry.line_length = audit_line(row, log->line);
	*ret_given = true;
	return callback(arg, &entry);
}

struct reading {
	Meta *m;
	struct wanted *wanted;
	audit_fn callback;
	void *arg;
};

static bool is_number(const struct sql_value *wanted, uint64_t id) {
	return wanted->kind == SQL_VALUE_NULL || (uint64_t)wanted->integer == id;
}

/* All but the path, for which the record's texts are needed. */
static bool numbers_fit(const struct wanted *w, const struct audit_stored *r) {
	const struct audit_filter *f = w->filter;
	return is_number(&w->event, r->event) && is_number(&w->outcome, r->outcome) && is_number(&w->exe, r->exe) &&
	       (!f->has_uid || r->uid == f->uid) && (!f->has_gid || r->gid == f->gid) &&
	       (!f->has_pid || r->pid == f->pid) && (!f->has_node || r->node == f->node);
}

/* 1 when the caller or the limit stops it. */
static int read_record(void *arg, const struct audit_stored *record) {
	struct reading *reading = arg;
	struct wanted *w = reading->wanted;
	if (!numbers_fit(w, record))
		return 0;
	struct audit_row row;
	bool given = false;
	int rc = audit_row_of(reading->m, record, &row);
	if (rc == 0)
		rc = give(reading->m, w->filter, &row, reading->callback, reading->arg, &given);
	if (rc == 0 && given && w->filter->limit && ++w->given >= w->filter->limit)
		rc = 1;
	return rc > 0 ? 1 : rc;
}

/* Those of [first, end): 0 to go on, 1 when the caller or the limit stopped it. */
static int read_records(Meta *m, struct wanted *w, uint64_t first, uint64_t end, audit_fn callback, void *arg) {
	struct reading reading = {.m = m, .wanted = w, .callback = callback, .arg = arg};
	first = first > w->first ? first : w->first;
	end = end < w->end ? end : w->end;
	return first < end ? audit_each(m, first, end, w->filter->newest_first, read_record, &reading) : 0;
}

/* The tiles that may hold what is wanted, and the rest of the log behind the last full one. */
static int read_tiles(Meta *m, struct wanted *w, struct tiles *t, audit_fn callback, void *arg) {
	uint64_t full = m->audit->frontier.size / AUDIT_TILE_HASHES;
	char sql[TILES_SQL_BYTES + 200];
	snprintf(sql, sizeof sql, "SELECT DISTINCT tile FROM (%s) WHERE tile >= %llu AND tile <= %llu ORDER BY tile %s",
	        t->sql, (unsigned long long)(w->first / AUDIT_TILE_HASHES),
	        (unsigned long long)(w->end / AUDIT_TILE_HASHES), w->filter->newest_first ? "DESC" : "");
	sqlite3_stmt *stmt = NULL;
	int code = sqlite3_prepare_v2(m->db, sql, -1, &stmt, NULL);
	for (size_t i = 0; code == SQLITE_OK && i < t->count; i++) {
		const struct sql_value *v = &t->values[i];
		code = v->kind == SQL_VALUE_INTEGER
		               ? sqlite3_bind_int64(stmt, (int)i + 1, v->integer)
		               : sqlite3_bind_blob64(stmt, (int)i + 1, v->bytes.size ? v->bytes.data : (const void *)"",
		                         v->bytes.size, SQLITE_STATIC);
	}
	int rc = code == SQLITE_OK ? 0 : sql_failure(m, code, "searching the audit log");
	if (rc == 0 && w->filter->newest_first)
		rc = read_records(m, w, full * AUDIT_TILE_HASHES, UINT64_MAX, callback, arg);
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		uint64_t tile = column_u64(stmt, 0);
		rc = read_records(m, w, tile * AUDIT_TILE_HASHES, (tile + 1) * AUDIT_TILE_HASHES, callback, arg);
	}
	if (rc == 0 && !w->filter->newest_first)
		rc = read_records(m, w, full * AUDIT_TILE_HASHES, UINT64_MAX, callback, arg);
	sqlite3_finalize(stmt);
	return rc;
}

int audit_query(Meta *m, const struct audit_filter *filter, audit_fn callback, void *arg) {
	meta_assert_running(m);
	struct wanted w;
	bool none = false;
	int rc = want(m, filter, &w, &none);
	if (rc < 0 || none)
		return rc;
	struct tiles tiles;
	choose_tiles(&w, &tiles);
	if (tiles.count)
		rc = read_tiles(m, &w, &tiles, callback, arg);
	else
		rc = read_records(m, &w, w.first, w.end, callback, arg);
	return rc < 0 ? rc : 0;
}
