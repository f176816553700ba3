/*
 * Filters over the log, in slices.
 *
 *      filter ─► wanted: numbers of its texts, conditions of the index     once
 *             ─► a window of tiles, a run of those that are named          audit_index.h
 *             ─► a record: its numbers, then its path's numbers, then its texts ─► callback
 */
#include "backend/audit_index.h"
#include "backend/audit_private.h"
#include "backend/meta_private.h"
#include "crypto/base/array.h"
#include "crypto/base/deadline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* So many directories are known by number; of more, paths are compared as texts. */
#define DIRECTORIES_MOST 16384

/* Directories by number. */
struct directories {
	uint64_t *ids;
	size_t count, room;
	bool are_too_many;
};

/* "a/b" and what is below it, by numbers. */
struct place {
	bool is_wanted, is_known;
	struct bytes path, name; /* "a/b", "b" */
	bool has_parent;
	uint64_t parent;          /* "a"; 0: there is none */
	struct directories below; /* ascending */
};

struct AuditSearch {
	struct audit_filter filter;
	bool is_begun, is_none;
	uint64_t first, end, size; /* of the records that are left; how many there were */
	size_t given;
	uint64_t events[AUDIT_FILTER_EVENTS_MAX];
	size_t event_count;
	bool has_exe, has_outcome;
	uint64_t exe;
	unsigned outcome;
	struct place place;
	bool has_name;                        /* a name must match the last component of the pattern: */
	struct bytes name_start, name_ending; /* before its first and behind its last star */
	AuditIndex *index;
	uint64_t window, window_first, window_end; /* the last two in tiles */
	bool has_window;

	/* the slice under way */
	Meta *m;
	audit_fn callback;
	void *arg;
	int64_t deadline_ns;
	bool has_moved;
};

/* ---- what a filter wants, in numbers ---- */

static int string_id(Meta *m, struct bytes text, uint64_t *ret_id) {
	return SQL_NUMBER(m, "SELECT id FROM string WHERE text = ?", ret_id, v_bytes(text));
}

static int want_event(AuditSearch *s, Meta *m, const char *name) {
	if (s->event_count == AUDIT_FILTER_EVENTS_MAX)
		return fault(EINVAL, "audit: more than %d events", AUDIT_FILTER_EVENTS_MAX);
	int rc = string_id(m, bytes_of_string(name), &s->events[s->event_count]);
	if (rc == 0)
		rc = audit_index_add(s->index, AUDIT_VALUE_EVENT, (int64_t)s->events[s->event_count++]);
	return rc == -ENOENT ? 0 : rc;
}

/* One that no record has ever had is not found among the texts. */
static int want_events(AuditSearch *s, Meta *m) {
	const struct audit_filter *f = &s->filter;
	if (!f->event && f->event_count == 0)
		return 0;
	int rc = audit_index_begin(s->index);
	if (rc == 0 && f->event)
		rc = want_event(s, m, f->event);
	for (size_t i = 0; rc == 0 && i < f->event_count; i++)
		rc = want_event(s, m, f->events[i]);
	s->is_none |= s->event_count == 0;
	return rc;
}

static int want_value(AuditSearch *s, enum audit_value_kind kind, int64_t value) {
	int rc = audit_index_begin(s->index);
	return rc < 0 ? rc : audit_index_add(s->index, kind, value);
}

static int want_exe(AuditSearch *s, Meta *m) {
	if (!s->filter.exe)
		return 0;
	int rc = string_id(m, bytes_of_string(s->filter.exe), &s->exe);
	s->has_exe = true;
	s->is_none |= rc == -ENOENT;
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	return want_value(s, AUDIT_VALUE_EXE, (int64_t)s->exe);
}

static int want_outcome(AuditSearch *s) {
	const char *name = s->filter.outcome;
	if (!name)
		return 0;
	s->has_outcome = true;
	for (s->outcome = 0; s->outcome < 3; s->outcome++)
		if (strcmp(name, audit_outcome_names[s->outcome]) == 0)
			return s->outcome == AUDIT_OK ? 0 : want_value(s, AUDIT_VALUE_OUTCOME, s->outcome);
	return fault(EINVAL, "audit: no outcome is called '%.40s': ok, denied and error are", name);
}

static int want_numbers(AuditSearch *s) {
	const struct audit_filter *f = &s->filter;
	int rc = 0;
	if (f->has_uid)
		rc = want_value(s, AUDIT_VALUE_UID, f->uid);
	if (rc == 0 && f->has_gid)
		rc = want_value(s, AUDIT_VALUE_GID, f->gid);
	if (rc == 0 && f->has_pid)
		rc = want_value(s, AUDIT_VALUE_PID, f->pid);
	if (rc == 0 && f->has_node)
		rc = want_value(s, AUDIT_VALUE_NODE_GROUP, (int64_t)(f->node / AUDIT_NODE_GROUP));
	if (rc == 0 && f->has_node)
		rc = audit_index_add(s->index, AUDIT_VALUE_NODE, (int64_t)f->node);
	return rc;
}

/* ---- paths ---- */

static int compare_ids(const void *one, const void *other) {
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
	return (a > b) - (a < b);
}

static int add_directory(struct directories *directories, uint64_t id) {
	uint64_t *ids = array_room(directories->ids, &directories->room, directories->count + 1, sizeof *ids);
	if (!ids)
		return fault(ENOMEM, "searching the audit log");
	directories->ids = ids;
	directories->ids[directories->count++] = id;
	return 0;
}

/* The texts that begin with `start`, which is not empty. */
static int find_directories(Meta *m, struct bytes start, struct directories *ret) {
	uint8_t above[AUDIT_PATH_MAX + 1];
	size_t size = start.size;
	memcpy(above, start.data, size);
	while (size > 0 && above[size - 1] == 0xff)
		size--;
	if (size == 0) {
		ret->are_too_many = true; /* none is above what is all 0xff */
		return 0;
	}
	above[size - 1]++;
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(
	        m, "SELECT id FROM string WHERE text >= ? AND text < ?", &stmt, v_bytes(start), v_blob(above, size));
	while (rc == 0 && !ret->are_too_many && (rc = sql_step(m, stmt)) > 0) {
		ret->are_too_many = ret->count == DIRECTORIES_MOST;
		rc = add_directory(ret, column_u64(stmt, 0));
	}
	return rc;
}

/* One condition: a path in any of them, or, where there is such a directory, in `parent`. */
static int want_directories(AuditSearch *s, const struct directories *directories, bool has_parent, uint64_t parent) {
	if (directories->are_too_many)
		return 0;
	int rc = audit_index_begin(s->index);
	for (size_t i = 0; rc == 0 && i < directories->count; i++)
		rc = audit_index_add(s->index, AUDIT_VALUE_DIR, (int64_t)directories->ids[i]);
	return rc == 0 && has_parent ? audit_index_add(s->index, AUDIT_VALUE_DIR, (int64_t)parent) : rc;
}

/* Of "a/b": "a", number 0 where there is no '/'. */
static int find_parent(Meta *m, struct bytes path, bool *ret_has, uint64_t *ret_id) {
	const uint8_t *slash = path.size ? memrchr(path.data, '/', path.size) : NULL;
	*ret_id = 0;
	int rc = slash ? string_id(m, bytes_of(path.data, (size_t)(slash - path.data)), ret_id) : 0;
	*ret_has = rc == 0;
	return rc == -ENOENT ? 0 : rc;
}

static int find_place(AuditSearch *s, Meta *m) {
	struct place *place = &s->place;
	uint8_t start[AUDIT_PATH_MAX + 1];
	if (place->path.size >= AUDIT_PATH_MAX)
		return 0;
	const uint8_t *slash = memrchr(place->path.data, '/', place->path.size);
	size_t skipped = slash ? (size_t)(slash - place->path.data) + 1 : 0;
	place->name = bytes_of(place->path.data + skipped, place->path.size - skipped);
	memcpy(start, place->path.data, place->path.size);
	start[place->path.size] = '/';
	uint64_t itself;
	int rc = find_parent(m, place->path, &place->has_parent, &place->parent);
	if (rc == 0)
		rc = find_directories(m, bytes_of(start, place->path.size + 1), &place->below);
	if (rc == 0 && (rc = string_id(m, place->path, &itself)) == 0)
		rc = add_directory(&place->below, itself);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (place->below.count)
		qsort(place->below.ids, place->below.count, sizeof place->below.ids[0], compare_ids);
	place->is_known = !place->below.are_too_many;
	return want_directories(s, &place->below, place->has_parent, place->parent);
}

static int want_place(AuditSearch *s, Meta *m) {
	const char *path = s->filter.path_at;
	size_t size = path ? strlen(path) : 0;
	while (size > 0 && path[size - 1] == '/')
		size--;
	s->place.is_wanted = size > 0;
	s->place.path = bytes_of(path, size);
	return size > 0 ? find_place(s, m) : 0;
}

/* A path begins with "a/b/c" when its directory does, or when its directory is "a/b" (and its name begins with "c"). */
static int want_start(AuditSearch *s, Meta *m, struct bytes start) {
	if (start.size == 0 || start.size > AUDIT_PATH_MAX)
		return 0;
	struct directories directories = {0};
	bool has_parent;
	uint64_t parent;
	int rc = find_parent(m, start, &has_parent, &parent);
	if (rc == 0)
		rc = find_directories(m, start, &directories);
	if (rc == 0)
		rc = want_directories(s, &directories, has_parent, parent);
	free(directories.ids);
	return rc;
}

/* Behind a pattern's last '/' stands what a name must match, unless a "**" there takes in slashes; within brackets and
 * behind a backslash a '/' is not what it seems. Most names differ in what stands before its first star and behind its
 * last one, which is found without the path's text. */
static void want_names(AuditSearch *s, const char *pattern) {
	const char *slash = strrchr(pattern, '/');
	const char *name = slash ? slash + 1 : pattern;
	if (*name == '\0' || strstr(name, "**") || strpbrk(pattern, "[\\"))
		return;
	size_t size = strlen(name), start = strcspn(name, "*?"), ending = 0;
	while (ending < size && name[size - ending - 1] != '*' && name[size - ending - 1] != '?')
		ending++;
	s->has_name = true;
	s->name_start = bytes_of(name, start);
	s->name_ending = bytes_of(name + (size - ending), ending);
}

static int want_paths(AuditSearch *s, Meta *m) {
	const struct audit_filter *f = &s->filter;
	int rc = want_place(s, m);
	if (rc == 0 && f->path_prefix)
		rc = want_start(s, m, bytes_of_string(f->path_prefix));
	if (rc == 0 && f->path_glob) {
		want_names(s, f->path_glob);
		rc = want_start(s, m, bytes_of(f->path_glob, strcspn(f->path_glob, "*?[\\")));
	}
	return rc;
}

/* ---- the range of sequences ---- */

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

static int want_range(AuditSearch *s, Meta *m) {
	const struct audit_filter *filter = &s->filter;
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
	s->first = first;
	s->end = end > first ? end : first;
	s->size = s->end - s->first;
	return rc;
}

/* The conditions in an order in which the likely rarest come first. */
static int begin(AuditSearch *s, Meta *m) {
	int rc = want_range(s, m);
	if (rc == 0)
		rc = want_numbers(s);
	if (rc == 0)
		rc = want_exe(s, m);
	if (rc == 0)
		rc = want_events(s, m);
	if (rc == 0)
		rc = want_outcome(s);
	if (rc == 0)
		rc = want_paths(s, m);
	s->is_begun = rc == 0;
	return rc;
}

/* ---- a record ---- */

static bool has_event(const AuditSearch *s, uint64_t event) {
	for (size_t i = 0; i < s->event_count; i++)
		if (s->events[i] == event)
			return true;
	return s->event_count == 0;
}

/* All but the path. */
static bool numbers_fit(const AuditSearch *s, const struct audit_stored *r) {
	const struct audit_filter *f = &s->filter;
	return has_event(s, r->event) && (!s->has_outcome || r->outcome == s->outcome) &&
	       (!s->has_exe || r->exe == s->exe) && (!f->has_uid || r->uid == f->uid) &&
	       (!f->has_gid || r->gid == f->gid) && (!f->has_pid || r->pid == f->pid) &&
	       (!f->has_node || r->node == f->node);
}

static bool is_same(struct bytes one, struct bytes other) {
	return one.size == other.size && (one.size == 0 || memcmp(one.data, other.data, one.size) == 0);
}

static bool is_at_place(const struct place *place, const struct audit_stored_path *path) {
	if (!path->set)
		return false;
	if (place->has_parent && path->dir == place->parent && is_same(path->name, place->name))
		return true;
	return path->dir && place->below.count &&
	       bsearch(&path->dir, place->below.ids, place->below.count, sizeof path->dir, compare_ids);
}

static bool has_name(const AuditSearch *s, const struct audit_stored_path *path) {
	struct bytes name = path->name, start = s->name_start, ending = s->name_ending;
	return path->set && name.size >= start.size && name.size >= ending.size &&
	       is_same(bytes_of(name.data, start.size), start) &&
	       is_same(bytes_of(name.data + (name.size - ending.size), ending.size), ending);
}

/* What can be said of the paths without their texts: false when they don't fit. */
static bool paths_may_fit(const AuditSearch *s, const struct audit_stored *r) {
	if (s->place.is_known && !is_at_place(&s->place, &r->path) && !is_at_place(&s->place, &r->path2))
		return false;
	return !s->has_name || has_name(s, &r->path) || has_name(s, &r->path2);
}

static bool path_fits(const AuditSearch *s, const char *path) {
	const struct audit_filter *filter = &s->filter;
	if (!path)
		return false;
	if (s->place.is_wanted && !tree_path_is_within(path, s->place.path))
		return false;
	if (filter->path_prefix && strncmp(path, filter->path_prefix, strlen(filter->path_prefix)) != 0)
		return false;
	return !filter->path_glob || audit_glob_match(filter->path_glob, path);
}

static bool asks_for_paths(const AuditSearch *s) {
	return s->place.is_wanted || s->filter.path_prefix || s->filter.path_glob;
}

/* 0: it is not wanted after all. */
static int give(AuditSearch *s, const struct audit_row *row, bool *ret_given) {
	AuditLog *log = s->m->audit;
	const char *path = audit_path_text(&row->path, log->path), *path2 = audit_path_text(&row->path2, log->path2);
	*ret_given = false;
	if (asks_for_paths(s) && !path_fits(s, path) && !path_fits(s, path2))
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
	                .path_bytes = row->path.cut,
	                .path2_bytes = row->path2.cut,
	                .outcome = audit_outcome_names[row->stored.outcome],
	                .err = row->stored.err,
	                .node = row->stored.node,
	                .version = row->stored.version,
	                .bytes = row->stored.bytes,
	                .detail = row->stored.has_detail ? log->detail : NULL}};
	size_t exe = row->exe.size < sizeof entry.event.actor.exe ? row->exe.size : sizeof entry.event.actor.exe - 1;
	if (exe)
		memcpy(entry.event.actor.exe, row->exe.data, exe);
	if (!s->filter.without_line) {
		entry.line_length = audit_line(row, log->line);
		entry.line = log->line;
	}
	*ret_given = true;
	return s->callback(s->arg, &entry);
}

static bool is_late(const AuditSearch *s) {
	return monotonic_ns() >= s->deadline_ns;
}

/* Why the records of a run are not read further. */
enum { STOPPED = 1 /* by the callback, or it is late */ };

static int read_record(void *arg, const struct audit_stored *record) {
	AuditSearch *s = arg;
	bool is_newest = s->filter.newest_first;
	bool begins = record->seq % AUDIT_TILE_HASHES == (is_newest ? AUDIT_TILE_HASHES - 1 : 0);
	if (begins && s->has_moved && is_late(s))
		return STOPPED;
	s->has_moved = true;
	if (is_newest)
		s->end = record->seq;
	else
		s->first = record->seq + 1;
	if (!numbers_fit(s, record) || !paths_may_fit(s, record))
		return 0;
	struct audit_row row;
	bool given = false;
	int rc = audit_row_of(s->m, record, &row);
	if (rc == 0)
		rc = give(s, &row, &given);
	if (rc >= 0 && given && ++s->given == s->filter.limit)
		s->first = s->end;
	return rc < 0 ? rc : rc > 0 || s->first == s->end ? STOPPED : 0;
}

/* ---- runs of tiles ---- */

static uint64_t tile_at(const AuditSearch *s) {
	return (s->filter.newest_first ? s->end - 1 : s->first) / AUDIT_TILE_HASHES;
}

/* The window in which the search stands. As audit_index_load. */
static int load_window(AuditSearch *s) {
	uint64_t window = tile_at(s) / AUDIT_INDEX_WINDOW;
	if (!s->has_window || window != s->window) {
		uint64_t first = s->first / AUDIT_TILE_HASHES, end = (s->end - 1) / AUDIT_TILE_HASHES + 1;
		uint64_t low = window * AUDIT_INDEX_WINDOW, high = low + AUDIT_INDEX_WINDOW;
		s->window = window;
		s->window_first = first > low ? first : low;
		s->window_end = end < high ? end : high;
		s->has_window = true;
	}
	return audit_index_load(s->m, s->index, s->window_first, s->window_end, s->deadline_ns);
}

/* The next tile of the window that is named, at or behind `tile`, which way the search goes; or none. */
static bool find_named(const AuditSearch *s, uint64_t *tile, bool named) {
	bool down = s->filter.newest_first;
	while (*tile >= s->window_first && *tile < s->window_end) {
		if (audit_index_names(s->index, *tile) == named)
			return true;
		*tile += down ? UINT64_MAX : 1;
	}
	return false;
}

static void move_to(AuditSearch *s, uint64_t tile) {
	if (s->filter.newest_first) {
		uint64_t end = (tile + 1) * AUDIT_TILE_HASHES; /* 0 when that was the first tile */
		s->end = end < s->end ? end : s->end;
		s->end = s->end > s->first ? s->end : s->first;
	} else {
		uint64_t first = tile * AUDIT_TILE_HASHES;
		s->first = first > s->first ? first : s->first;
		s->first = s->first < s->end ? s->first : s->end;
	}
}

/* The next records that may be wanted are [*ret_first, *ret_end). 1: so it is, 0: not yet. */
static int next_run(AuditSearch *s, uint64_t *ret_first, uint64_t *ret_end) {
	*ret_first = s->first;
	*ret_end = s->end;
	if (!audit_index_is_used(s->index))
		return 1;
	int rc = load_window(s);
	if (rc <= 0)
		return rc;
	uint64_t tile = tile_at(s);
	bool found = find_named(s, &tile, true);
	move_to(s, tile);
	if (!found)
		return 0;
	uint64_t behind = tile;
	(void)find_named(s, &behind, false);
	bool down = s->filter.newest_first;
	uint64_t first = (down ? behind + 1 : tile) * AUDIT_TILE_HASHES,
	         end = (down ? tile + 1 : behind) * AUDIT_TILE_HASHES;
	*ret_first = first > s->first ? first : s->first;
	*ret_end = end < s->end ? end : s->end;
	return 1;
}

/* 0 to go on, STOPPED, or -errno. */
static int read_run(AuditSearch *s) {
	uint64_t first, end;
	int rc = next_run(s, &first, &end);
	if (rc <= 0)
		return rc < 0 ? rc : is_late(s) ? STOPPED : 0;
	rc = audit_each(s->m, first, end, s->filter.newest_first, read_record, s);
	if (rc == 0)
		move_to(s, s->filter.newest_first ? first / AUDIT_TILE_HASHES - 1
		                                  : (end + AUDIT_TILE_HASHES - 1) / AUDIT_TILE_HASHES);
	return rc;
}

/* ---- the calls ---- */

int audit_search_new(const struct audit_filter *filter, AuditSearch **ret_search) {
	AuditSearch *s = calloc(1, sizeof *s);
	AuditIndex *index = s ? audit_index_new() : NULL;
	if (!index) {
		free(s);
		return fault(ENOMEM, "searching the audit log");
	}
	s->filter = *filter;
	s->index = index;
	*ret_search = s;
	return 0;
}

void audit_search_free(AuditSearch *search) {
	if (!search)
		return;
	audit_index_free(search->index);
	free(search->place.below.ids);
	free(search);
}

int audit_search_next(Meta *m, AuditSearch *search, int64_t slice_ns, audit_fn callback, void *arg) {
	meta_assert_running(m);
	search->m = m;
	search->callback = callback;
	search->arg = arg;
	search->deadline_ns = slice_ns ? monotonic_ns() + slice_ns : INT64_MAX;
	search->has_moved = false;
	int rc = search->is_begun ? 0 : begin(search, m);
	if (rc == 0 && search->is_none)
		search->first = search->end;
	while (rc == 0 && search->first < search->end)
		rc = read_run(search);
	return rc < 0 ? rc : search->first >= search->end;
}

void audit_search_progress(const AuditSearch *search, uint64_t *ret_done, uint64_t *ret_all) {
	*ret_done = search->size - (search->end - search->first);
	*ret_all = search->size;
}

uint64_t audit_search_at(const AuditSearch *search) {
	return search->first;
}

int audit_query(Meta *m, const struct audit_filter *filter, audit_fn callback, void *arg) {
	_cleanup_(audit_search_freep) AuditSearch *search = NULL;
	int rc = audit_search_new(filter, &search);
	if (rc == 0)
		rc = audit_search_next(m, search, 0, callback, arg);
	return rc < 0 ? rc : 0;
}
