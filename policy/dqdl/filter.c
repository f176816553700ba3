/* filter: which rows a `where` lets through. */
#include "policy/dqdl/evaluator.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/sql_rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int open_sql(DqdlEvaluator *evaluator, const char *what, const char *condition, SqlFilter **ret_sql) {
	_cleanup_(freep) struct sql_column *columns = sql_columns_of(evaluator);
	if (!columns)
		return evaluator_out_of_memory();
	int rc = sql_filter_new(what, condition, columns, evaluator->column_count, ret_sql);
	for (size_t i = 0; rc == 0 && i < evaluator->column_count; i++)
		if (sql_filter_reads(*ret_sql, i))
			sql_column_needed(evaluator, i);
	return rc;
}

static int add_filter(DqdlEvaluator *evaluator, const char *where, struct filter **ret_filter) {
	struct filter *filter = &evaluator->filters[evaluator->filter_count];
	int rc = open_sql(evaluator, "the where clause is invalid", where, &filter->sql);
	if (rc < 0)
		return rc;
	filter->where = where;
	evaluator->filter_count++;
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

/* ---- keep ---- */

static int break_keep(struct keep *keep, uint64_t line) {
	int size = line ? asprintf(&keep->fault, "line %" PRIu64 ": %s", line, fault_message())
	                : asprintf(&keep->fault, "%s", fault_message());
	if (size >= 0)
		return 0;
	keep->fault = NULL;
	return evaluator_out_of_memory();
}

int keep_open(DqdlEvaluator *evaluator) {
	evaluator->keep.is_kept = true;
	if (!evaluator->options.keep)
		return 0;
	int rc = open_sql(evaluator, "the dataset's keep is invalid", evaluator->options.keep, &evaluator->keep.sql);
	return rc == 0 || rc == -ENOMEM ? rc : break_keep(&evaluator->keep, 0);
}

int keep_ask(DqdlEvaluator *evaluator, const struct table_cell *cells, uint64_t line) {
	struct keep *keep = &evaluator->keep;
	struct sql_row row = {.evaluator = evaluator, .cells = cells, .line = line};
	keep->is_kept = !keep->sql && !keep->fault;
	if (!keep->sql || keep->fault)
		return 0;
	int rc = sql_filter_test(keep->sql, sql_cell_value, &row, &keep->is_kept);
	if (rc == 0 || rc == -ENOMEM)
		return rc;
	return break_keep(keep, line);
}

void keep_free(struct keep *keep) {
	sql_filter_free(keep->sql);
	free(keep->fault);
}

bool dqdl_evaluator_kept(const DqdlEvaluator *evaluator) {
	return evaluator->keep.is_kept;
}

uint64_t dqdl_evaluator_dropped(const DqdlEvaluator *evaluator) {
	return evaluator->keep.dropped;
}

const char *dqdl_evaluator_keep_fault(const DqdlEvaluator *evaluator) {
	return evaluator->keep.fault;
}
