/* kind_tuple: how often the values of columns occur. */
#include "policy/dqdl/evaluator.h"

#include <inttypes.h>
#include <stdio.h>

static int feed(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	(void)cells;
	if (!line)
		check->row = tuple_is_repeated(evaluator, check->tuple) ? DQDL_ROW_FAILED : DQDL_ROW_PASSED;
	return 0;
}

static int finish_unique(struct check *check, const struct distinct_totals *totals, double uniqueness) {
	int rc = check_add_metric(check, "Uniqueness", uniqueness);
	check->failing_rows = totals->duplicated;
	if (rc < 0 || totals->duplicated == 0)
		return rc < 0 ? rc : check_pass(check);
	char number[32];
	char reason[200];
	number_text(uniqueness, number);
	check_merge_lines(check, &check->tuple->repeats, &check->tuple->late);
	(void)snprintf(reason, sizeof reason,
	        "%" PRIu64 " rows share their value with another (Uniqueness is %s); a value comes again",
	        totals->duplicated, number);
	return check_fail_with_lines(check, reason);
}

static int finish(DqdlEvaluator *evaluator, struct check *check) {
	uint64_t nulls = 0;
	int rc = 0;
	if (tuple_settle_stopped(check, &rc))
		return rc;
	struct distinct_totals totals = tuple_totals(evaluator, check->tuple, &nulls);
	enum dqdl_rule_id id = check->rule->id;
	if (id == DQDL_DISTINCT_VALUES_COUNT)
		return check_settle_metric(check, "DistinctValuesCount", (double)(totals.values + (nulls > 0)));
	if (id == DQDL_DUPLICATE_ROW_COUNT)
		return check_settle_metric(check, "DuplicateRowCount", (double)totals.duplicated);
	if (totals.total == 0)
		return check_settle(check, DQDL_FAILED, "there is not one value, so that there is no %s to tell",
		        check->rule->type);
	double uniqueness = (double)totals.once / (double)totals.total;
	if (id == DQDL_UNIQUE_VALUE_RATIO)
		return check_settle_metric(check, "UniqueValueRatio", (double)totals.once / (double)totals.values);
	if (id == DQDL_ENTROPY)
		return check_settle_metric(check, "Entropy", distinct_entropy(&totals));
	if (id == DQDL_UNIQUENESS)
		return check_settle_metric(check, "Uniqueness", uniqueness);
	return finish_unique(check, &totals, uniqueness);
}

const struct check_kind kind_is_unique = {
        .row_level = true, .asks_kind = true, .start = tuple_for, .row = feed, .finish = finish};
const struct check_kind kind_tuple_metric = {.asks_kind = true, .measures = true, .start = tuple_for, .finish = finish};
const struct check_kind kind_duplicate_row_count = {.columns = KIND_COLUMNS_OR_WHOLE_ROW,
        .asks_kind = true,
        .measures = true,
        .start = tuple_for,
        .finish = finish};
