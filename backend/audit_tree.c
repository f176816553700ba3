/*
 * The hash tree over the leaves, kept as tiles:
 *
 *      audit_tile (1, 0)   │h│h│…                     h = root of the 256 leaves of the tile below
 *                           ▲
 *      audit_tile (0, 0)   │l│l│l│ … 256 │   (0, 1) │l│l│ …   the edge: grows with each commit
 *
 * C2SP's tlog-tiles serves these rows as they are. The frontier (merkle.h) stands in kv and spares reading tiles to
 * append.
 */
#include "backend/audit_private.h"
#include "backend/meta_private.h"
#include "crypto/checkpoint.h"

#include <errno.h>
#include <string.h>

#define KEY_FRONTIER "audit.frontier"

static int write_tile(Meta *m, unsigned level, const struct audit_edge *edge) {
	static const char sql[] = "INSERT INTO audit_tile (level, idx, hashes) VALUES (?, ?, ?)"
	                          " ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes";
	return SQL_RUN(m, sql, v_u64(level), v_u64(edge->index), v_blob(edge->hashes, edge->count * AUDIT_HASH_BYTES));
}

/* A merkle_store_fn: a subtree is complete. */
static int take_hash(void *context, unsigned level, uint64_t index, const merkle_hash hash) {
	Meta *m = context;
	(void)index; /* the edge counts along */
	if (level % 8 != 0)
		return 0;
	struct audit_edge *edge = &m->audit->edge[level / 8];
	memcpy(edge->hashes + edge->count * AUDIT_HASH_BYTES, hash, AUDIT_HASH_BYTES);
	edge->count++;
	edge->dirty = true;
	if (edge->count < AUDIT_TILE_HASHES)
		return 0;
	int rc = write_tile(m, level / 8, edge);
	size_t before = (size_t)(edge->index - m->audit->keys_tile) * AUDIT_TILE_HASHES;
	if (rc == 0 && level == 0)
		rc = audit_index_tile(m, edge->index, m->audit->keys + before);
	edge->index++;
	edge->count = 0;
	edge->dirty = false;
	return rc;
}

static int write_edge(Meta *m) {
	for (unsigned level = 0; level < AUDIT_TILE_LEVELS; level++) {
		struct audit_edge *edge = &m->audit->edge[level];
		if (!edge->dirty)
			continue;
		int rc = write_tile(m, level, edge);
		if (rc < 0)
			return rc;
		edge->dirty = false;
	}
	return 0;
}

/* Of the records that were sealed only those of the last tile, which is not full, are needed again. */
static void keep_keys_of_edge(AuditLog *log) {
	uint64_t tile = log->frontier.size / AUDIT_TILE_HASHES;
	size_t gone = (size_t)(tile - log->keys_tile) * AUDIT_TILE_HASHES;
	size_t left = (size_t)(log->frontier.size % AUDIT_TILE_HASHES);
	memmove(log->keys, log->keys + gone, left * sizeof *log->keys);
	log->keys_tile = tile;
}

int audit_seal_commit(Meta *m) {
	AuditLog *log = m->audit;
	if (m->state.audit_size == log->frontier.size)
		return log->frontier.size ? 0 : meta_kv_put(m, KEY_FRONTIER, bytes_of("\0\0\0\0\0\0\0", 8));
	int rc = audit_kept_write(m);
	for (size_t i = 0; rc == 0 && i < log->hashed; i++)
		rc = merkle_frontier_append(&log->frontier, log->leaves[i], take_hash, m);
	if (rc == 0)
		rc = write_edge(m);
	if (rc < 0)
		return rc;
	log->hashed = 0;
	log->interned = false;
	(void)audit_count_unhashed(m);
	keep_keys_of_edge(log);
	uint8_t packed[MERKLE_FRONTIER_BYTES_MAX];
	size_t size = merkle_frontier_serialize(&log->frontier, packed);
	return meta_kv_put(m, KEY_FRONTIER, bytes_of(packed, size));
}

/* ---- opening ---- */

static int read_tile(
        Meta *m, unsigned level, uint64_t index, uint8_t ret_hashes[static AUDIT_TILE_BYTES], size_t *ret_count) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(
	        m, "SELECT hashes FROM audit_tile WHERE level = ? AND idx = ?", &stmt, v_u64(level), v_u64(index));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	struct bytes hashes = column_bytes(stmt, 0);
	if (hashes.size > AUDIT_TILE_BYTES || hashes.size % AUDIT_HASH_BYTES != 0)
		return fault(EUCLEAN, "metadata: tile %u/%llu of the audit tree is malformed", level,
		        (unsigned long long)index);
	memcpy(ret_hashes, hashes.data, hashes.size);
	*ret_count = hashes.size / AUDIT_HASH_BYTES;
	return 0;
}

/* How many hashes level `level` of tiles has in a tree of `size` leaves. */
static uint64_t hashes_at(uint64_t size, unsigned level) {
	return size >> (8 * level); /* level <= 7, so at most 56 */
}

static int load_edge(Meta *m, unsigned level, uint64_t size) {
	struct audit_edge *edge = &m->audit->edge[level];
	uint64_t hashes = hashes_at(size, level);
	edge->index = hashes / AUDIT_TILE_HASHES;
	edge->count = 0;
	size_t want = (size_t)(hashes % AUDIT_TILE_HASHES), count = 0;
	if (want == 0)
		return 0;
	int rc = read_tile(m, level, edge->index, edge->hashes, &count);
	if (rc == -ENOENT || (rc == 0 && count != want))
		return fault(EUCLEAN, "metadata: tile %u/%llu of the audit tree has %zu hashes instead of %zu", level,
		        (unsigned long long)edge->index, count, want);
	edge->count = want;
	return rc;
}

int audit_tree_load(Meta *m) {
	uint8_t packed[MERKLE_FRONTIER_BYTES_MAX];
	size_t size;
	int rc = meta_kv_get(m, KEY_FRONTIER, packed, sizeof packed, &size);
	if (rc == -ENOENT) /* a database that is just being made; check_size finds any other */
		return 0;
	if (rc == 0)
		rc = merkle_frontier_parse(bytes_of(packed, size), &m->audit->frontier);
	if (rc == -EINVAL || rc == -ERANGE)
		return fault(EUCLEAN, "metadata: the audit tree's frontier (%s) is malformed", KEY_FRONTIER);
	for (unsigned level = 0; rc == 0 && level < AUDIT_TILE_LEVELS; level++)
		rc = load_edge(m, level, m->audit->frontier.size);
	return rc;
}

/* ---- asking ---- */

int audit_root(Meta *m, uint64_t *ret_size, uint8_t ret_root[static AUDIT_HASH_BYTES]) {
	meta_assert_running(m);
	if (m->failed)
		return fault(EROFS, "audit: a commit failed, so the head of the log is not known to be durable");
	*ret_size = m->audit->frontier.size;
	merkle_frontier_root(&m->audit->frontier, ret_root);
	return 0;
}

int audit_tile(Meta *m, unsigned level, uint64_t index, uint8_t ret_hashes[static AUDIT_TILE_HASHES * AUDIT_HASH_BYTES],
        size_t *ret_count) {
	if (level >= AUDIT_TILE_LEVELS)
		return -ENOENT;
	return read_tile(m, level, index, ret_hashes, ret_count);
}

int audit_fetch(void *meta, unsigned level, uint64_t index, uint8_t ret_hash[static AUDIT_HASH_BYTES]) {
	if (level >= 8 * AUDIT_TILE_LEVELS)
		return -ENOENT;
	uint8_t tile[AUDIT_TILE_BYTES];
	size_t count = 0;
	struct tile_span span = tile_span_of(level, index);
	int rc = read_tile(meta, span.level, span.index, tile, &count);
	if (rc == 0 && span.first + span.width > count)
		rc = -ENOENT;
	if (rc == 0)
		tile_join(tile + span.first * AUDIT_HASH_BYTES, span.width, ret_hash);
	return rc;
}

int audit_root_at(Meta *m, uint64_t size, uint8_t ret_root[static AUDIT_HASH_BYTES]) {
	if (size > m->audit->frontier.size)
		return -EINVAL;
	return merkle_root(size, audit_fetch, m, ret_root);
}

/* ---- verifying ---- */

struct check {
	Meta *m;
	unsigned level;
	uint64_t index; /* of the tile in `hashes` */
	size_t count;   /* of its hashes; 0: none read yet */
	uint8_t hashes[AUDIT_TILE_BYTES];
};

/* Holds the next hash of a level against its tile. */
static int check_hash(struct check *check, uint64_t position, const merkle_hash hash) {
	uint64_t tile = position / AUDIT_TILE_HASHES;
	size_t at = (size_t)(position % AUDIT_TILE_HASHES);
	if (check->count == 0 || tile != check->index) {
		int rc = read_tile(check->m, check->level, tile, check->hashes, &check->count);
		if (rc < 0 && rc != -ENOENT)
			return rc;
		if (rc == -ENOENT)
			check->count = 0;
		check->index = tile;
	}
	if (at < check->count && memcmp(check->hashes + at * AUDIT_HASH_BYTES, hash, AUDIT_HASH_BYTES) == 0)
		return 0;
	if (check->level == 0)
		return fault(EBADMSG, "audit: record %llu is not what was sealed", (unsigned long long)position);
	return fault(EBADMSG, "audit: tile %u/%llu does not fit the records below it", check->level,
	        (unsigned long long)tile);
}

struct check_records {
	struct check tile;
	uint64_t next;
	int64_t time;
};

static int check_record(void *arg, const struct audit_stored *record) {
	struct check_records *check = arg;
	Meta *m = check->tile.m;
	if (record->seq != check->next)
		return fault(EUCLEAN, "audit: record %llu is missing", (unsigned long long)check->next);
	if (record->time_ns < check->time)
		return fault(
		        EUCLEAN, "audit: record %llu is older than the one before", (unsigned long long)check->next);
	struct audit_row row;
	int rc = audit_row_of(m, record, &row);
	if (rc < 0)
		return rc;
	check->time = record->time_ns;
	merkle_hash leaf;
	merkle_leaf(bytes_of(m->audit->line, audit_line(&row, m->audit->line)), leaf);
	return check_hash(&check->tile, check->next++, leaf);
}

/* Texts as the database has them, and not as this process remembers them. */
static int check_records(Meta *m, uint64_t from, uint64_t size, uint64_t *ret_checked) {
	struct check_records check = {.tile = {.m = m}, .next = from, .time = INT64_MIN};
	audit_texts_forget(m->audit);
	int rc = audit_each(m, from, size, false, check_record, &check);
	if (rc == 0 && check.next != size)
		rc = fault(EUCLEAN, "audit: record %llu is missing", (unsigned long long)check.next);
	*ret_checked = check.next - from;
	return rc;
}

/* Each hash of a level is the root of a full tile of the level below. */
static int check_level(Meta *m, unsigned level, uint64_t first, uint64_t count) {
	struct check check = {.m = m, .level = level};
	for (uint64_t i = first; i < count; i++) {
		merkle_hash hash;
		int rc = audit_fetch(m, 8 * level - 1, 2 * i, hash);
		merkle_hash right;
		if (rc == 0)
			rc = audit_fetch(m, 8 * level - 1, 2 * i + 1, right);
		if (rc == -ENOENT)
			return fault(
			        EUCLEAN, "audit: tile %u/%llu is missing or short", level - 1, (unsigned long long)i);
		if (rc == 0) {
			merkle_node(hash, right, hash);
			rc = check_hash(&check, i, hash);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

int audit_verify(Meta *m, uint64_t from, uint64_t *ret_checked) {
	uint64_t size = m->audit->frontier.size, checked = 0;
	if (from > size)
		return -EINVAL;
	int rc = check_records(m, from, size, &checked);
	for (unsigned level = 1; rc == 0 && level < AUDIT_TILE_LEVELS; level++)
		rc = check_level(m, level, hashes_at(from, level), hashes_at(size, level));
	merkle_hash edge, tiles;
	merkle_frontier_root(&m->audit->frontier, edge);
	if (rc == 0)
		rc = audit_root_at(m, size, tiles);
	if (rc == 0 && memcmp(edge, tiles, sizeof edge) != 0)
		rc = fault(EBADMSG, "audit: the tree's frontier does not fit its tiles");
	if (rc == 0 && ret_checked)
		*ret_checked = checked;
	return rc;
}
