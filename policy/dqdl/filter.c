/* filter: which rows a `where` lets through. */
#include "policy/dqdl/evaluator.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/sql_rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int add_filter(DqdlEvaluator *evaluator, const char *where, struct filter **ret_filter) {
	struct filter *filter = &evaluator->filters[evaluator->filter_count];
	_cleanup_(freep) struct sql_column *columns =
	        sql_columns_of(evaluator, evaluator->names, evaluator->column_count);
	if (!columns)
		return evaluator_out_of_memory();
	int rc = sql_filter_new("the where clause is invalid", where, columns, evaluator->column_count, &filter->sql);
	if (rc < 0)
		return rc;
	filter->where = where;
	evaluator->filter_count++;
	for (size_t i = 0; i < evaluator->column_count; i++)
		if (sql_filter_reads(filter->sql, i))
			sql_column_needed(evaluator, i);
	*ret_filter = filter;
	return 0;
}

int filter_for(DqdlEvaluator *evaluator, struct check *check) {
	const char *where = check->rule->where;
	check->filter = evaluator->filters;
	if (!where)
		return 0;
	for (size_t i = 1; i < evaluator->filter_count; i++) {
		check->filter = &evaluator->filters[i];
		if (strcmp(check->filter->where, where) == 0)
			return 0;
	}
	int rc = add_filter(evaluator, where, &check->filter);
	return rc == 0 || rc == -ENOMEM ? rc : check_settle(check, DQDL_FAILED, "%s", fault_message());
}

void filter_free(struct filter *filter) {
	sql_filter_free(filter->sql);
	free(filter->broken);
}

/* The checks that wait for it have no answer from here on. */
static int break_filter(DqdlEvaluator *evaluator, struct filter *filter, uint64_t line) {
	if (asprintf(&filter->broken, "line %" PRIu64 ": %s", line, fault_message()) < 0) {
		filter->broken = NULL;
		return evaluator_out_of_memory();
	}
	for (size_t i = 0; i < evaluator->check_count; i++) {
		struct check *check = &evaluator->checks[i];
		int rc = check->settled || check->filter != filter
		                 ? 0
		                 : check_settle(check, DQDL_ERROR, "%s", filter->broken);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int filters_ask(DqdlEvaluator *evaluator, const struct table_cell *cells, uint64_t line) {
	struct sql_row row = {.evaluator = evaluator, .cells = cells, .line = line};
	evaluator->filters[0].is_in = true;
	for (size_t i = 1; i < evaluator->filter_count; i++) {
		struct filter *filter = &evaluator->filters[i];
		filter->is_in = false;
		int rc = filter->broken ? 0 : sql_filter_test(filter->sql, sql_cell_value, &row, &filter->is_in);
		if (rc == -ENOMEM)
			return rc;
		if (rc < 0 && (rc = break_filter(evaluator, filter, line)) < 0)
			return rc;
	}
	return 0;
}
