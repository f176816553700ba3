/* tuple: how often each value of a column, or of several together, occurs. */
#include "policy/dqdl/evaluator.h"

#include "crypto/base/fault.h"

#include <errno.h>
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
	tuple->distinct = distinct_new(evaluator->key, &evaluator->budget);
	return tuple->distinct ? 0 : evaluator_out_of_memory();
}

void tuple_free(struct tuple *tuple) {
	distinct_free(tuple->distinct);
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

int tuple_feed(DqdlEvaluator *evaluator, struct tuple *tuple, const struct table_cell *cells, uint64_t line) {
	struct table_cell value;
	if (tuple->stopped)
		return 0;
	int rc = tuple_value(evaluator, tuple, cells, &value, &tuple->last_presence);
	if (rc < 0)
		return rc;
	if (tuple->last_presence == CELL_NULL) {
		tuple->nulls++;
		return 0;
	}
	if (tuple->last_presence == CELL_EMPTY) {
		tuple->last = ++tuple->empties;
		return 0;
	}
	rc = distinct_add(tuple->distinct, value.data, value.size, &tuple->last);
	if (rc == -ENOSPC) {
		tuple->stopped = true;
		return 0;
	}
	if (rc == 0 && tuple->last > 1)
		first_lines_add(&tuple->repeats, line);
	return rc < 0 ? evaluator_out_of_memory() : 0;
}

/* NULLs, however many, repeat nothing. */
int tuple_judge(DqdlEvaluator *evaluator, struct tuple *tuple, const struct table_cell *cells) {
	struct table_cell value;
	int rc = tuple_value(evaluator, tuple, cells, &value, &tuple->last_presence);
	if (rc < 0)
		return rc;
	tuple->last = 0;
	if (tuple->last_presence == CELL_VALUE)
		tuple->last = distinct_count(tuple->distinct, value.data, value.size);
	else if (tuple->last_presence == CELL_EMPTY && !empty_is_null(evaluator, tuple->columns, tuple->column_count))
		tuple->last = tuple->empties;
	return 0;
}

bool tuple_is_repeated(const DqdlEvaluator *evaluator, const struct tuple *tuple) {
	if (tuple->last_presence == CELL_NULL || tuple->last < 2)
		return false;
	return tuple->last_presence == CELL_VALUE || !empty_is_null(evaluator, tuple->columns, tuple->column_count);
}

struct distinct_summary tuple_summary(const DqdlEvaluator *evaluator, const struct tuple *tuple, uint64_t *ret_nulls) {
	bool null = tuple->empties && empty_is_null(evaluator, tuple->columns, tuple->column_count);
	*ret_nulls = tuple->nulls + (null ? tuple->empties : 0);
	return distinct_summarize(tuple->distinct, null ? 0 : tuple->empties);
}

bool tuple_settle_stopped(const DqdlEvaluator *evaluator, struct check *check, int *ret_rc) {
	if (check->tuple->stopped)
		*ret_rc = check_settle(check, DQDL_ERROR,
		        "too many different values: counting them needs more than the limit of %zu bytes of memory",
		        evaluator->budget.limit);
	return check->tuple->stopped;
}
