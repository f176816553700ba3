/* Records read back from where they are: rows, packs, memory. */
#include "backend/audit_private.h"
#include "backend/meta_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* ---- in order ---- */

struct walk {
	Meta *m;
	uint64_t first, end;
	bool downwards;
	audit_stored_fn *fn;
	void *arg;
};

static struct audit_stored_path column_path(sqlite3_stmt *stmt, int first) {
	if (sqlite3_column_type(stmt, first) == SQLITE_NULL)
		return (struct audit_stored_path){0};
	return (struct audit_stored_path){.set = true,
	        .dir = column_u64(stmt, first),
	        .name = column_bytes(stmt, first + 1),
	        .cut = column_u64(stmt, first + 2)};
}

static struct audit_stored column_record(sqlite3_stmt *stmt) {
	return (struct audit_stored){.seq = column_u64(stmt, 0),
	        .time_ns = sqlite3_column_int64(stmt, 1),
	        .event = column_u64(stmt, 2),
	        .outcome = (unsigned)sqlite3_column_int(stmt, 3),
	        .err = sqlite3_column_int(stmt, 4),
	        .uid = column_u32(stmt, 5),
	        .gid = column_u32(stmt, 6),
	        .pid = sqlite3_column_int(stmt, 7),
	        .exe = column_u64(stmt, 8),
	        .path = column_path(stmt, 9),
	        .path2 = column_path(stmt, 12),
	        .node = column_u64(stmt, 15),
	        .version = column_u64(stmt, 16),
	        .bytes = column_u64(stmt, 17),
	        .has_detail = sqlite3_column_type(stmt, 18) != SQLITE_NULL,
	        .detail = column_bytes(stmt, 18),
	        .detail_cut = column_u64(stmt, 19)};
}

#define ROWS                                                                                                       \
	"SELECT seq, time_ns, event, outcome, errno, uid, gid, pid, exe, dir, name, cut, dir2, name2, cut2, node," \
	" version, bytes, detail, detail_cut FROM audit WHERE seq >= ? AND seq < ? ORDER BY seq"

static int each_row(const struct walk *w) {
	static const char upwards[] = ROWS, downwards[] = ROWS " DESC";
	uint64_t end = w->end < w->m->audit->rows ? w->end : w->m->audit->rows;
	if (w->first >= end)
		return 0;
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(w->m, w->downwards ? downwards : upwards, &stmt, v_u64(w->first), v_u64(end));
	while (rc == 0 && (rc = sql_step(w->m, stmt)) > 0) {
		struct audit_stored record = column_record(stmt);
		rc = w->fn(w->arg, &record);
	}
	return rc;
}

static int each_of_pack(const struct walk *w, uint64_t first, uint64_t count, struct bytes pack) {
	if (first >= w->end || first + count <= w->first)
		return 0;
	struct audit_stored *records = w->m->audit->pack;
	int rc = audit_pack_read(first, count, pack, records);
	for (uint64_t i = 0; rc == 0 && i < count; i++) {
		const struct audit_stored *record = &records[w->downwards ? count - 1 - i : i];
		if (record->seq >= w->first && record->seq < w->end)
			rc = w->fn(w->arg, record);
	}
	return rc;
}

#define PACKS "SELECT first, count, records FROM audit_pack WHERE first >= ? AND first < ? ORDER BY first"

/* A pack lies within a tile, so that the first one needed begins with the tile of the first record, or later. */
static int each_pack(const struct walk *w) {
	static const char upwards[] = PACKS, downwards[] = PACKS " DESC";
	const AuditLog *log = w->m->audit;
	uint64_t first = w->first - w->first % AUDIT_TILE_HASHES;
	uint64_t end = w->end < log->kept.first ? w->end : log->kept.first;
	if (first >= end || end <= log->rows)
		return 0;
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(w->m, w->downwards ? downwards : upwards, &stmt, v_u64(first), v_u64(end));
	while (rc == 0 && (rc = sql_step(w->m, stmt)) > 0)
		rc = each_of_pack(w, column_u64(stmt, 0), column_u64(stmt, 1), column_bytes(stmt, 2));
	return rc;
}

/* What is kept of a tile is a pack to be. */
static int each_kept_of_tile(const struct walk *w, uint64_t tile) {
	const struct audit_kept *kept = &w->m->audit->kept;
	uint64_t first = tile * AUDIT_TILE_HASHES, end = first + AUDIT_TILE_HASHES;
	first = first > kept->first ? first : kept->first;
	end = end < kept->first + kept->count ? end : kept->first + kept->count;
	size_t begins = first > kept->first ? kept->marks[first - kept->first - 1].end : 0;
	size_t ends = kept->marks[end - kept->first - 1].end;
	return each_of_pack(w, first, end - first, bytes_of(kept->data + begins, ends - begins));
}

static int each_kept(const struct walk *w) {
	const struct audit_kept *kept = &w->m->audit->kept;
	uint64_t first = w->first > kept->first ? w->first : kept->first;
	uint64_t end = w->end < kept->first + kept->count ? w->end : kept->first + kept->count;
	if (first >= end)
		return 0;
	uint64_t low = first / AUDIT_TILE_HASHES, high = (end - 1) / AUDIT_TILE_HASHES;
	int rc = 0;
	for (uint64_t i = 0; rc == 0 && i <= high - low; i++)
		rc = each_kept_of_tile(w, w->downwards ? high - i : low + i);
	return rc;
}

int audit_each(Meta *m, uint64_t first, uint64_t end, bool downwards, audit_stored_fn *fn, void *arg) {
	meta_assert_running(m);
	static int (*const places[])(const struct walk *w) = {each_row, each_pack, each_kept};
	const size_t count = sizeof places / sizeof places[0];
	const struct walk w = {.m = m,
	        .first = first,
	        .end = m->failed && end > m->last.audit_size ? m->last.audit_size : end, /* the rest was taken back */
	        .downwards = downwards,
	        .fn = fn,
	        .arg = arg};
	AuditLog *log = m->audit;
	assert(!log->reading); /* packs and texts are read into one place */
	log->reading = true;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = places[downwards ? count - 1 - i : i](&w);
	log->reading = false;
	return rc;
}

/* ---- texts ---- */

void audit_texts_forget(AuditLog *log) {
	memset(log->cache, 0, sizeof log->cache);
	memset(log->texts, 0, sizeof log->texts);
}

static int read_text(Meta *m, uint64_t id, size_t most, char ret_text[static AUDIT_PATH_MAX], size_t *ret_size) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, "SELECT text FROM string WHERE id = ?", &stmt, v_u64(id));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -EUCLEAN;
	struct bytes text = column_bytes(stmt, 0);
	if (text.size > most)
		return -EUCLEAN;
	if (text.size)
		memcpy(ret_text, text.data, text.size);
	*ret_size = text.size;
	return 0;
}

/* Into `buffer`, as the next text may take the place of this one in the cache. */
static int text_of(Meta *m, uint64_t id, size_t most, char buffer[static AUDIT_PATH_MAX], struct bytes *ret_text) {
	struct audit_cached *slot = &m->audit->texts[id % AUDIT_CACHE_SLOTS];
	size_t size = slot->size;
	if (id == 0 || slot->id != id || size > most) {
		int rc = read_text(m, id, most, buffer, &size);
		if (rc < 0)
			return rc;
		if (size <= AUDIT_CACHE_TEXT) {
			slot->id = id;
			slot->size = (uint8_t)size;
			memcpy(slot->text, buffer, size);
		}
	} else {
		memcpy(buffer, slot->text, size);
	}
	*ret_text = bytes_of(buffer, size);
	return 0;
}

static int path_of(Meta *m, const struct audit_stored_path *stored, char buffer[static AUDIT_PATH_MAX],
        struct audit_path *ret_path) {
	struct audit_path path = {
	        .set = stored->set, .has_dir = stored->dir != 0, .name = stored->name, .cut = stored->cut};
	int rc = path.has_dir ? text_of(m, stored->dir, AUDIT_PATH_MAX - 1, buffer, &path.dir) : 0;
	if (rc == 0 && path.has_dir + path.dir.size + path.name.size > AUDIT_PATH_MAX)
		rc = -EUCLEAN;
	if (rc == 0)
		*ret_path = path;
	return rc;
}

int audit_row_of(Meta *m, const struct audit_stored *record, struct audit_row *ret_row) {
	AuditLog *log = m->audit;
	struct audit_row row = {.stored = *record};
	int rc = text_of(m, record->event, AUDIT_EVENT_MAX, log->text[0], &row.event);
	if (rc == 0)
		rc = text_of(m, record->exe, sizeof(((struct actor *)0)->exe), log->text[1], &row.exe);
	if (rc == 0)
		rc = path_of(m, &record->path, log->text[2], &row.path);
	if (rc == 0)
		rc = path_of(m, &record->path2, log->text[3], &row.path2);
	if (row.event.size == 0 || record->detail.size > AUDIT_DETAIL_MAX || record->outcome > AUDIT_ERROR)
		rc = rc < 0 ? rc : -EUCLEAN;
	if (rc == -EUCLEAN)
		return fault(EUCLEAN, "metadata: audit record %llu is malformed", (unsigned long long)record->seq);
	if (rc == 0)
		*ret_row = row;
	return rc;
}
