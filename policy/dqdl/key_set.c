/* key_set: which tuples a reference has; see reference.h. */
#include "policy/dqdl/reference.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Integers up to so many digits are the same as a double and as a text. */
#define PLAIN_DIGITS 15
#define PLAIN_BELOW 1e15

int key_set_init(struct key_set *set, size_t count, size_t key_count) {
	*set = (struct key_set){.count = count,
	        .key_count = key_count,
	        .ours = calloc(count + 1, sizeof *set->ours),
	        .theirs = calloc(count + 1, sizeof *set->theirs),
	        .kinds = calloc(count + 1, sizeof *set->kinds),
	        .numeric = calloc(count + 1, sizeof *set->numeric)};
	return set->ours && set->theirs && set->kinds && set->numeric ? 0 : evaluator_out_of_memory();
}

int key_set_start(DqdlEvaluator *evaluator, struct key_set *set) {
	set->distinct = distinct_new(evaluator->key, &evaluator->budget, NULL);
	return set->distinct ? 0 : evaluator_out_of_memory();
}

void key_set_drop(struct key_set *set) {
	distinct_free(set->distinct);
	free(set->ours);
	free(set->theirs);
	free(set->kinds);
	free(set->numeric);
	free(set->room.bytes);
	*set = (struct key_set){0};
}

/* ---- a tuple as bytes ---- */

/* 0, 7, -12: a number whose text is the only one that it is written as without need. */
static bool is_plain_integer(struct table_cell cell) {
	size_t sign = cell.size > 0 && cell.data[0] == '-';
	size_t digits = cell.size - sign;
	if (digits == 0 || digits > PLAIN_DIGITS || (cell.data[sign] == '0' && cell.size > 1))
		return false;
	for (size_t i = sign; i < cell.size; i++)
		if (cell.data[i] < '0' || cell.data[i] > '9')
			return false;
	return true;
}

/* What a tuple's cells are written with. */
enum mark { MARK_VALUE, MARK_NULL, MARK_EMPTY, MARK_DOUBLE };
enum { CELL_OVERHEAD = 1 + sizeof(uint64_t) + 24 };

static char *put(char *to, enum mark mark, const void *data, uint64_t size) {
	*to++ = (char)mark;
	memcpy(to, &size, sizeof size);
	to += sizeof size;
	if (size > 0)
		memcpy(to, data, size);
	return to + size;
}

/* A number in the one form that all its texts have: a plain integer, or the double's bytes. */
static char *put_number(char *to, double number) {
	char text[24];
	if (number > -PLAIN_BELOW && number < PLAIN_BELOW && number == (double)(int64_t)number) {
		int size = snprintf(text, sizeof text, "%" PRId64, (int64_t)number);
		return put(to, MARK_VALUE, text, (uint64_t)size);
	}
	return put(to, MARK_DOUBLE, &number, sizeof number);
}

static enum mark mark_of(enum cell_presence presence) {
	return presence == CELL_VALUE ? MARK_VALUE : presence == CELL_NULL ? MARK_NULL : MARK_EMPTY;
}

/* The first `count` of the columns; `numeric` NULL: as texts. *ret_odd: a number is not as it stands in the cell. */
static int write_tuple(const DqdlEvaluator *evaluator, struct room *room, const size_t *columns, size_t count,
        const bool *numeric, const struct table_cell *cells, struct table_cell *ret_tuple, bool *ret_odd) {
	size_t size = 0;
	for (size_t i = 0; i < count; i++)
		size += CELL_OVERHEAD + cells[columns[i]].size;
	int rc = room_for(room, size + 1);
	if (rc < 0)
		return rc;
	char *to = room->bytes;
	bool odd = false;
	for (size_t i = 0; i < count; i++) {
		struct table_cell cell = cells[columns[i]];
		enum mark mark = mark_of(cell_presence_of(&evaluator->options.nulls, cell));
		double number;
		if (mark == MARK_VALUE && numeric && numeric[i] && !is_plain_integer(cell) &&
		        cell_number(cell, &number)) {
			to = put_number(to, number);
			odd = true;
		} else {
			to = put(to, mark, cell.data, mark == MARK_VALUE ? cell.size : 0);
		}
	}
	*ret_odd = odd;
	*ret_tuple = (struct table_cell){.data = room->bytes, .size = (size_t)(to - room->bytes)};
	return 0;
}

/* The same behind the mark of the columns that are numbers. */
static int mark_tuple(struct key_set *set, struct table_cell *tuple) {
	size_t size = tuple->size;
	int rc = room_for(&set->room, size + set->count);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < set->count; i++)
		set->room.bytes[size + i] = set->numeric[i] ? 'n' : 't';
	*tuple = (struct table_cell){.data = set->room.bytes, .size = size + set->count};
	return 0;
}

/* ---- adding and finding ---- */

static void see_kinds(const DqdlEvaluator *evaluator, struct key_set *set, const struct table_cell *cells) {
	for (size_t i = 0; i < set->count; i++) {
		struct column_kind *kind = &set->kinds[i];
		struct table_cell cell = cells[set->theirs[i]];
		if (!column_kind_is_settled(kind) && cell_presence_of(&evaluator->options.nulls, cell) == CELL_VALUE)
			column_kind_see(kind, cell);
		set->numeric[i] = kind->seen && !kind->no_number;
	}
}

static int add_tuple(struct key_set *set, struct table_cell tuple) {
	uint64_t times;
	int rc = distinct_add(set->distinct, tuple.data, tuple.size, 0, &times);
	set->stopped = rc == -E2BIG;
	return rc == 0 || set->stopped ? 0 : evaluator_out_of_memory();
}

static bool has_null_key(const DqdlEvaluator *evaluator, const struct key_set *set, const struct table_cell *cells) {
	for (size_t i = 0; i < set->key_count; i++)
		if (cell_presence_of(&evaluator->options.nulls, cells[set->theirs[i]]) == CELL_NULL)
			return true;
	return false;
}

int key_set_add(const DqdlEvaluator *evaluator, struct key_set *set, const struct table_cell *cells) {
	struct table_cell tuple;
	bool odd = false;
	see_kinds(evaluator, set, cells);
	if (set->stopped || has_null_key(evaluator, set, cells))
		return 0;
	int rc = write_tuple(evaluator, &set->room, set->theirs, set->count, NULL, cells, &tuple, &odd);
	if (rc == 0)
		rc = add_tuple(set, tuple);
	if (rc < 0 || set->stopped ||
	        (rc = write_tuple(evaluator, &set->room, set->theirs, set->count, set->numeric, cells, &tuple, &odd)) <
	                0 ||
	        !odd)
		return rc;
	set->has_odd = true;
	rc = mark_tuple(set, &tuple);
	return rc < 0 ? rc : add_tuple(set, tuple);
}

/* A key that is NULL on either side matches nothing. */
static enum key_match look_at_keys(
        const DqdlEvaluator *evaluator, const struct key_set *set, const struct table_cell *cells) {
	enum key_match match = KEY_PRESENT;
	for (size_t i = 0; i < set->key_count; i++) {
		enum cell_presence presence = cell_presence_of(&evaluator->options.nulls, cells[set->ours[i]]);
		if (presence == CELL_NULL || (presence == CELL_EMPTY && !column_kind_is_text(&set->kinds[i])))
			return KEY_ABSENT;
		if (presence == CELL_EMPTY)
			match = KEY_PRESENT_IF_TEXT;
	}
	return match;
}

int key_set_find(const DqdlEvaluator *evaluator, struct key_set *set, const struct table_cell *cells,
        enum key_match *ret_match) {
	struct table_cell tuple;
	bool odd;
	enum key_match match = look_at_keys(evaluator, set, cells);
	*ret_match = KEY_ABSENT;
	if (match == KEY_ABSENT || set->stopped)
		return 0;
	int rc = write_tuple(evaluator, &set->room, set->ours, set->count, set->numeric, cells, &tuple, &odd);
	if (rc < 0)
		return rc;
	bool found = distinct_has(set->distinct, tuple.data, tuple.size);
	if (!found && set->has_odd && (rc = mark_tuple(set, &tuple)) == 0)
		found = distinct_has(set->distinct, tuple.data, tuple.size);
	if (found)
		*ret_match = match;
	return rc;
}

int key_set_count_key(const DqdlEvaluator *evaluator, struct key_set *set, bool is_ours, Distinct *keys,
        const struct table_cell *cells, bool *ret_again) {
	struct table_cell tuple;
	bool odd;
	uint64_t times;
	int rc = write_tuple(evaluator, &set->room, is_ours ? set->ours : set->theirs, set->key_count, set->numeric,
	        cells, &tuple, &odd);
	if (rc < 0)
		return rc;
	rc = distinct_add(keys, tuple.data, tuple.size, 0, &times);
	*ret_again = rc == 0 && times > 1;
	return rc < 0 && rc != -E2BIG ? evaluator_out_of_memory() : rc;
}
