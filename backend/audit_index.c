#include "backend/audit_index.h"

#include "backend/meta_private.h"
#include "crypto/base/array.h"
#include "crypto/base/deadline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

/* The values of one kind in a tile: each record has at most two. */
struct values {
	enum audit_value_kind kind;
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
	case AUDIT_VALUE_EVENT:
		add_to(values, (int64_t)keys->event);
		break;
	case AUDIT_VALUE_OUTCOME:
		if (keys->outcome != AUDIT_OK)
			add_to(values, keys->outcome);
		break;
	case AUDIT_VALUE_UID:
		add_to(values, keys->uid);
		break;
	case AUDIT_VALUE_GID:
		add_to(values, keys->gid);
		break;
	case AUDIT_VALUE_PID:
		add_to(values, keys->pid);
		break;
	case AUDIT_VALUE_EXE:
		add_to(values, (int64_t)keys->exe);
		break;
	case AUDIT_VALUE_DIR:
		if (keys->has_path)
			add_to(values, (int64_t)keys->dir);
		if (keys->has_path2)
			add_to(values, (int64_t)keys->dir2);
		break;
	case AUDIT_VALUE_NODE:
		break;
	case AUDIT_VALUE_NODE_GROUP:
		if (keys->node != 0)
			add_to(values, (int64_t)(keys->node / AUDIT_NODE_GROUP));
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
	for (enum audit_value_kind kind = AUDIT_VALUE_EVENT; rc == 0 && kind <= AUDIT_VALUE_NODE_GROUP; kind++) {
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

/* ---- reading ---- */

#define CONDITIONS_MOST 12
/* A condition that has more rows in a window than this is let go: to read them takes as long as to read the records. */
#define ROWS_MOST (8 * AUDIT_INDEX_WINDOW)
/* Rows between two looks at the clock: some 100 us. */
#define ROWS_AT_A_TIME 256

struct value {
	enum audit_value_kind kind;
	int64_t value;
};

struct condition {
	struct value *values;
	size_t count, room;
	bool is_everywhere;
};

struct tile_bits {
	uint8_t bytes[AUDIT_INDEX_WINDOW / 8];
};

struct AuditIndex {
	struct condition conditions[CONDITIONS_MOST];
	size_t count;
	uint64_t first, end;     /* the tiles that are ready, or become so */
	struct tile_bits left;   /* those that no condition has taken away */
	struct tile_bits found;  /* those that the condition under way leaves */
	size_t condition, value; /* where it stands */
	uint64_t tile;           /* of that value, the next one to be read */
	size_t rows;             /* that the condition under way has had */
};

AuditIndex *audit_index_new(void) {
	return calloc(1, sizeof(AuditIndex));
}

void audit_index_free(AuditIndex *index) {
	for (size_t i = 0; index && i < index->count; i++)
		free(index->conditions[i].values);
	free(index);
}

int audit_index_begin(AuditIndex *index) {
	if (index->count == CONDITIONS_MOST)
		return -ENOSPC;
	index->conditions[index->count++] = (struct condition){0};
	return 0;
}

int audit_index_add(AuditIndex *index, enum audit_value_kind kind, int64_t value) {
	struct condition *condition = &index->conditions[index->count - 1];
	struct value *values =
	        array_room(condition->values, &condition->room, condition->count + 1, sizeof *condition->values);
	if (!values)
		return fault(ENOMEM, "searching the audit log");
	condition->values = values;
	condition->values[condition->count++] = (struct value){kind, value};
	return 0;
}

bool audit_index_is_used(const AuditIndex *index) {
	for (size_t i = 0; i < index->count; i++)
		if (!index->conditions[i].is_everywhere)
			return true;
	return false;
}

static bool get_bit(const struct tile_bits *bits, uint64_t tile) {
	uint64_t at = tile % AUDIT_INDEX_WINDOW;
	return bits->bytes[at / 8] & 1u << at % 8;
}

static void set_bit(struct tile_bits *bits, uint64_t tile) {
	uint64_t at = tile % AUDIT_INDEX_WINDOW;
	bits->bytes[at / 8] |= (uint8_t)(1u << at % 8);
}

bool audit_index_names(const AuditIndex *index, uint64_t tile) {
	return tile < index->first || tile >= index->end || get_bit(&index->left, tile);
}

static void begin_condition(AuditIndex *index, size_t condition) {
	index->condition = condition;
	index->value = index->rows = 0;
	index->tile = index->first;
	memset(&index->found, 0, sizeof index->found);
}

static void begin_window(AuditIndex *index, uint64_t first, uint64_t end) {
	index->first = first;
	index->end = end;
	memset(&index->left, 0xff, sizeof index->left);
	begin_condition(index, 0);
}

/* Some more tiles of the value under way; *ret_ended: there are no more. */
static int read_some(Meta *m, AuditIndex *index, const struct value *value, bool *ret_ended) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m,
	        "SELECT tile FROM audit_value WHERE kind = ? AND value = ? AND tile >= ? AND tile < ? ORDER BY tile",
	        &stmt, v_i64(value->kind), v_i64(value->value), v_u64(index->tile), v_u64(index->end));
	size_t rows = 0;
	while (rc == 0 && rows < ROWS_AT_A_TIME && (rc = sql_step(m, stmt)) > 0) {
		uint64_t tile = column_u64(stmt, 0);
		set_bit(&index->found, tile);
		index->tile = tile + 1;
		rows++;
		rc = 0;
	}
	index->rows += rows;
	*ret_ended = rows < ROWS_AT_A_TIME;
	return rc;
}

/* What is not in the index yet may hold anything. */
static void spare_new_tiles(const Meta *m, AuditIndex *index) {
	uint64_t full = m->audit->frontier.size / AUDIT_TILE_HASHES;
	for (uint64_t tile = full > index->first ? full : index->first; tile < index->end; tile++)
		set_bit(&index->found, tile);
}

static void end_condition(const Meta *m, AuditIndex *index) {
	struct condition *condition = &index->conditions[index->condition];
	condition->is_everywhere |= index->rows > ROWS_MOST;
	if (!condition->is_everywhere) {
		spare_new_tiles(m, index);
		for (size_t i = 0; i < sizeof index->left.bytes; i++)
			index->left.bytes[i] &= index->found.bytes[i];
	}
	begin_condition(index, index->condition + 1);
}

static bool is_condition_over(const AuditIndex *index) {
	const struct condition *condition = &index->conditions[index->condition];
	return condition->is_everywhere || index->value == condition->count || index->rows > ROWS_MOST;
}

int audit_index_load(Meta *m, AuditIndex *index, uint64_t first, uint64_t end, int64_t deadline_ns) {
	if (first != index->first || end != index->end)
		begin_window(index, first, end);
	while (index->condition < index->count) {
		if (is_condition_over(index)) {
			end_condition(m, index);
			continue;
		}
		bool ended = false;
		int rc = read_some(m, index, &index->conditions[index->condition].values[index->value], &ended);
		if (rc < 0)
			return rc;
		if (ended) {
			index->value++;
			index->tile = index->first;
		}
		if (monotonic_ns() >= deadline_ns)
			return 0;
	}
	return 1;
}
