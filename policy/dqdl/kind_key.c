/* kind_key: IsPrimaryKey, which is IsUnique of the columns together and IsComplete of each. */
#include "policy/dqdl/evaluator.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Of each column: the rows without a value, and those that have none if an empty cell is NULL. */
struct absent {
	struct first_lines null, empty;
};

static int start(DqdlEvaluator *evaluator, struct check *check) {
	check->own = calloc(check->column_count, sizeof(struct absent));
	return check->own ? tuple_for(evaluator, check) : evaluator_out_of_memory();
}

static int feed(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	struct absent *absent = check->own;
	bool failed = !line && tuple_is_repeated(evaluator, check->tuple);
	for (size_t i = 0; i < check->column_count; i++) {
		enum cell_presence presence = cell_presence_of(&evaluator->options.nulls, cells[check->columns[i]]);
		if (presence == CELL_VALUE)
			continue;
		if (line)
			first_lines_add(presence == CELL_NULL ? &absent[i].null : &absent[i].empty, line);
		else
			failed |= presence == CELL_NULL || empty_is_null(evaluator, &check->columns[i], 1);
	}
	check->row = failed ? DQDL_ROW_FAILED : DQDL_ROW_PASSED;
	return 0;
}

/* The first column that is not complete, with its lines; SIZE_MAX: all are. */
static size_t find_incomplete(const DqdlEvaluator *evaluator, struct check *check, uint64_t *ret_rows) {
	static const struct first_lines nothing;
	const struct absent *absent = check->own;
	for (size_t i = 0; i < check->column_count; i++) {
		bool null = absent[i].empty.count && empty_is_null(evaluator, &check->columns[i], 1);
		*ret_rows = absent[i].null.count + (null ? absent[i].empty.count : 0);
		if (*ret_rows == 0)
			continue;
		check_merge_lines(check, &absent[i].null, null ? &absent[i].empty : &nothing);
		return i;
	}
	return SIZE_MAX;
}

static int finish(DqdlEvaluator *evaluator, struct check *check) {
	uint64_t rows = 0;
	size_t column = find_incomplete(evaluator, check, &rows);
	if (column == SIZE_MAX)
		return kind_is_unique.finish(evaluator, check);
	char reason[400];
	check->failing_rows = rows;
	(void)snprintf(reason, sizeof reason,
	        "%" PRIu64 " of %" PRIu64 " rows have no value in \"%.200s\", which a primary key needs", rows,
	        check->filter->rows, check->rule->parameters[column].value);
	return check_fail_with_lines(check, reason);
}

const struct check_kind kind_primary_key = {
        .row_level = true, .asks_kind = true, .start = start, .row = feed, .finish = finish};
