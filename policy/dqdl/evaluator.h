/*
 * evaluator: what evaluate.c (feeding rows) and outcome.c (settling outcomes) share. Not for others.
 */
#pragma once

#include "policy/dqdl/distinct.h"
#include "policy/dqdl/evaluate.h"
#include "policy/dqdl/predicate.h"

#define MAX_METRICS 3

/* The first lines of something, in the order of rows. */
struct first_lines {
	uint64_t count;
	uint64_t lines[DQDL_FAILING_LINES];
};

/* Counts a failing line and keeps its number if it is among the first. */
static inline void first_lines_add(struct first_lines *lines, uint64_t line) {
	if (lines->count < DQDL_FAILING_LINES)
		lines->lines[lines->count] = line;
	lines->count++;
}

struct column {
	bool needed; /* its kind matters to a rule */
	struct column_kind kind;
};

/* Counts the values of one tuple of columns, for all rules that ask for it. */
struct tuple {
	const size_t *columns;
	size_t column_count;
	Distinct *distinct;
	uint64_t nulls;   /* rows where all columns are NULL */
	uint64_t empties; /* rows where all are NULL or empty, and empty may mean NULL */
	bool stopped;     /* over the memory's limit */
	uint64_t last;    /* how often the last row's value has occurred */
	enum cell_presence last_presence;
	struct first_lines repeats; /* lines where a value came again */
};

/* One rule that is no composite. */
struct check {
	const struct dqdl_rule *rule;
	size_t *columns;
	size_t column_count;
	bool settled; /* result and reason stand, rows need not be looked at */
	enum dqdl_result result;
	char *reason;
	bool row_level;
	Predicate *predicate;
	struct tuple *tuple;
	struct first_lines failing;   /* whatever the column is */
	struct first_lines undecided; /* that fail if an empty cell is NULL … */
	bool fail_if_text;            /* … or, if this is set, if it is not */
	double minimum;
	double maximum;
	bool measured;
	enum dqdl_row_result row;
	struct dqdl_metric metrics[MAX_METRICS];
	size_t metric_count;
	uint64_t lines[DQDL_FAILING_LINES];
	size_t line_count;
	uint64_t failing_rows;
};

struct DqdlEvaluator {
	const Ruleset *ruleset;
	struct dqdl_options options;
	uint8_t key[DISTINCT_KEY_BYTES];
	struct distinct_budget budget;
	struct column *columns;
	size_t column_count;
	uint64_t rows;
	struct check *checks; /* the leaves of all rules, from left to right */
	size_t check_count;
	size_t *first_check; /* of each rule */
	struct tuple **tuples;
	size_t tuple_count;
	char *scratch;
	size_t scratch_size;
	struct dqdl_outcome *outcomes;
	struct dqdl_metric *metrics; /* of all outcomes */
	char **reasons;              /* of composites */
	bool finished;
};

/* Settles a check with words. */
int check_settle(struct check *check, enum dqdl_result result, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Does `empty` mean NULL in all of the check's columns? (Only asked under nulls: glue.) */
bool empty_is_null(const DqdlEvaluator *evaluator, const size_t *columns, size_t count);

/* Computes a check's metrics and result when all rows have been seen. */
int check_finish(DqdlEvaluator *evaluator, struct check *check);

/* Puts checks together to outcomes. */
int outcomes_make(DqdlEvaluator *evaluator);
