/* tuple: how often each value of a column, or of several together, occurs. */
#include "policy/dqdl/evaluator.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int tuple_for(DqdlEvaluator *evaluator, struct check *check) {
	for (size_t i = 0; i < evaluator->tuple_count; i++) {
		struct tuple *tuple = evaluator->tuples[i];
		if (tuple->filter == check->filter && tuple->column_count == check->column_count &&
		        memcmp(tuple->columns, check->columns, check->column_count * sizeof *check->columns) == 0) {
			check->tuple = tuple;
			return 0;
		}
	}
	struct tuple *tuple = calloc(1, sizeof *tuple);
	if (!tuple)
		return evaluator_out_of_memory();
	tuple->columns = check->columns;
	tuple->column_count = check->column_count;
	tuple->filter = check->filter;
	evaluator->tuples[evaluator->tuple_count++] = tuple;
	check->tuple = tuple;
	Spill *spill = evaluator->options.spill;
	tuple->distinct = distinct_new(evaluator->key, spill ? &tuple->budget : &evaluator->budget, spill);
	return tuple->distinct ? 0 : evaluator_out_of_memory();
}

void tuple_free(struct tuple *tuple) {
	distinct_free(tuple->distinct);
	free(tuple->why);
	free(tuple->room.bytes);
	free(tuple);
}

int room_for(struct room *room, size_t size) {
	if (size <= room->size)
		return 0;
	size_t wanted = size * 2;
	char *bytes = realloc(room->bytes, wanted);
	if (!bytes)
		return evaluator_out_of_memory();
	*room = (struct room){.bytes = bytes, .size = wanted};
	return 0;
}

/* A tuple as one value: each part as its presence, its length and its bytes, so that no two tuples are alike. */
static int tuple_value(const DqdlEvaluator *evaluator, struct tuple *tuple, const struct table_cell *cells,
        struct table_cell *ret_value, enum cell_presence *ret_presence) {
	const struct dqdl_nulls *nulls = &evaluator->options.nulls;
	if (tuple->column_count == 1) {
		*ret_value = cells[tuple->columns[0]];
		*ret_presence = cell_presence_of(nulls, *ret_value);
		return 0;
	}
	size_t size = 0;
	for (size_t i = 0; i < tuple->column_count; i++)
		size += 9 + cells[tuple->columns[i]].size;
	int rc = room_for(&tuple->room, size);
	if (rc < 0)
		return rc;
	char *to = tuple->room.bytes;
	*ret_presence = CELL_NULL;
	for (size_t i = 0; i < tuple->column_count; i++) {
		struct table_cell cell = cells[tuple->columns[i]];
		enum cell_presence presence = cell_presence_of(nulls, cell);
		if (presence == CELL_VALUE || (presence == CELL_EMPTY && *ret_presence == CELL_NULL))
			*ret_presence = presence;
		uint64_t length = presence == CELL_VALUE ? cell.size : 0;
		*to++ = (char)presence;
		memcpy(to, &length, sizeof length);
		to += sizeof length;
		if (length)
			memcpy(to, cell.data, length);
		to += length;
	}
	*ret_value = (struct table_cell){.data = tuple->room.bytes, .size = (size_t)(to - tuple->room.bytes)};
	return 0;
}

/* What can't be counted any longer is said once; -ENOMEM stays. */
static int stop(const DqdlEvaluator *evaluator, struct tuple *tuple, int rc) {
	int size = 0;
	if (rc == -ENOMEM)
		return evaluator_out_of_memory();
	if (rc == -E2BIG && !evaluator->options.spill)
		size = asprintf(&tuple->why,
		        "too many different values: counting them needs more than the limit of %zu bytes of memory",
		        evaluator->budget.limit);
	else if (rc == -E2BIG)
		size = asprintf(&tuple->why,
		        "too many different values: bringing their counts together needs more than %zu bytes of memory",
		        tuple->budget.limit);
	else if (rc < 0)
		size = asprintf(&tuple->why, "there are many different values, and their counts can't be kept: %s",
		        fault_message());
	tuple->why = size < 0 ? NULL : tuple->why;
	return size < 0 ? evaluator_out_of_memory() : 0;
}

static int add(const DqdlEvaluator *evaluator, struct tuple *tuple, struct distinct_hash hash, uint64_t line) {
	uint64_t times = 0;
	int rc = distinct_add_looked(tuple->distinct, hash, line, &times);
	if (times > 1)
		first_lines_add(&tuple->repeats, line);
	return stop(evaluator, tuple, rc);
}

enum { LOT = 64 };

/* Looks at all values first: in a table of many millions each would be waited for. 20 million ids: 6.9 s, 9.0 before.
 */
static int feed_lot(
        const DqdlEvaluator *evaluator, struct tuple *tuple, const struct table_rows *rows, size_t from, size_t count) {
	struct distinct_hash hashes[LOT];
	uint64_t lines[LOT];
	size_t values = 0;
	for (size_t i = from; i < from + count; i++) {
		struct table_cell value;
		enum cell_presence presence;
		int rc = tuple_value(evaluator, tuple, rows_at(rows, i), &value, &presence);
		if (rc < 0)
			return rc;
		tuple->nulls += presence == CELL_NULL;
		tuple->empties += presence == CELL_EMPTY;
		if (presence != CELL_VALUE)
			continue;
		lines[values] = rows->lines[i];
		hashes[values++] = distinct_look(tuple->distinct, value.data, value.size);
	}
	int rc = 0;
	for (size_t i = 0; i < values && rc == 0 && !tuple->why; i++)
		rc = add(evaluator, tuple, hashes[i], lines[i]);
	return rc;
}

int tuple_feed(DqdlEvaluator *evaluator, struct tuple *tuple, const struct table_rows *rows) {
	int rc = 0;
	for (size_t i = 0; i < rows->count && rc == 0 && !tuple->why; i += LOT)
		rc = feed_lot(evaluator, tuple, rows, i, rows->count - i < LOT ? rows->count - i : LOT);
	return rc;
}

/* NULLs, however many, repeat nothing. */
int tuple_judge(DqdlEvaluator *evaluator, struct tuple *tuple, const struct table_cell *cells) {
	struct table_cell value;
	int rc = tuple_value(evaluator, tuple, cells, &value, &tuple->last_presence);
	if (rc < 0)
		return rc;
	tuple->last = 0;
	if (tuple->last_presence == CELL_VALUE)
		return tuple->why ? 0 : distinct_count(tuple->distinct, value.data, value.size, &tuple->last);
	if (tuple->last_presence == CELL_EMPTY && !empty_is_null(evaluator, tuple->columns, tuple->column_count))
		tuple->last = tuple->empties;
	return 0;
}

bool tuple_is_repeated(const DqdlEvaluator *evaluator, const struct tuple *tuple) {
	if (tuple->last_presence == CELL_NULL || tuple->last < 2)
		return false;
	return tuple->last_presence == CELL_VALUE || !empty_is_null(evaluator, tuple->columns, tuple->column_count);
}

/* ---- when all rows were fed ---- */

void tuples_share_memory(DqdlEvaluator *evaluator) {
	size_t all = evaluator->options.count_bytes ? evaluator->options.count_bytes : DQDL_MEMORY_BYTES;
	for (size_t i = 0; i < evaluator->tuple_count; i++)
		evaluator->tuples[i]->budget.limit = all / evaluator->tuple_count;
}

/* Keeps the least lines, ascending. */
static void note_late(void *context, uint64_t line) {
	struct first_lines *late = context;
	size_t held = late->count < DQDL_FAILING_LINES ? (size_t)late->count : DQDL_FAILING_LINES;
	late->count++;
	if (held == DQDL_FAILING_LINES && late->lines[held - 1] < line)
		return;
	size_t at = held < DQDL_FAILING_LINES ? held : held - 1;
	for (; at > 0 && late->lines[at - 1] > line; at--)
		late->lines[at] = late->lines[at - 1];
	late->lines[at] = line;
}

int tuples_total(DqdlEvaluator *evaluator) {
	int rc = 0;
	for (size_t i = 0; i < evaluator->tuple_count && rc == 0; i++) {
		struct tuple *tuple = evaluator->tuples[i];
		if (tuple->why)
			continue;
		rc = stop(evaluator, tuple, distinct_total(tuple->distinct, note_late, &tuple->late, &tuple->totals));
	}
	return rc;
}

struct distinct_totals tuple_totals(const DqdlEvaluator *evaluator, const struct tuple *tuple, uint64_t *ret_nulls) {
	bool null = tuple->empties && empty_is_null(evaluator, tuple->columns, tuple->column_count);
	struct distinct_totals totals = tuple->totals;
	*ret_nulls = tuple->nulls + (null ? tuple->empties : 0);
	distinct_totals_add(&totals, null ? 0 : tuple->empties);
	return totals;
}

bool tuple_settle_stopped(struct check *check, int *ret_rc) {
	if (check->tuple->why)
		*ret_rc = check_settle(check, DQDL_ERROR, "%s", check->tuple->why);
	return check->tuple->why != NULL;
}
