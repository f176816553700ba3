/* kind_reference: RowCountMatch, rows / rows of the reference. */
#include "policy/dqdl/reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row_counts {
	bool is_there;
	uint64_t theirs;
};

static int start(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	check->own = calloc(1, sizeof(struct row_counts));
	return check->own ? 0 : evaluator_out_of_memory();
}

static bool refers(const struct check *check, const char *alias) {
	return strcmp(check->rule->parameters[0].value, alias) == 0;
}

static int find(DqdlEvaluator *evaluator, struct check *check, const struct reference *table) {
	(void)evaluator;
	(void)table;
	struct row_counts *counts = check->own;
	counts->is_there = true;
	return 0;
}

static int end(DqdlEvaluator *evaluator, struct check *check, const struct reference *table) {
	(void)evaluator;
	struct row_counts *counts = check->own;
	counts->theirs = table->rows;
	return 0;
}

static int finish(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	const struct row_counts *counts = check->own;
	const char *alias = check->rule->parameters[0].value;
	char subject[300];
	if (!counts->is_there)
		return reference_missing(check, alias);
	if (counts->theirs == 0)
		return check_settle(check, DQDL_FAILED, "\"%s\" has no rows, so that there is no RowCountMatch", alias);
	(void)snprintf(subject, sizeof subject, "Dataset.%.200s", alias);
	return reference_settle(check, subject, (double)check->filter->rows / (double)counts->theirs);
}

const struct check_kind kind_row_count_match = {.columns = KIND_COLUMNS_NONE,
        .measures = true,
        .names_itself = true,
        .start = start,
        .finish = finish,
        .refers = refers,
        .reference = find,
        .reference_end = end};
