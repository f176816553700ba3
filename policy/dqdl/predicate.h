/*
 * predicate: a condition on single cells, made ready to be asked once a row.
 *
 * Which cells conform follows the reference of AWS Glue and, where it is silent, what the open evaluator executes:
 * between excludes both ends; NULL conforms to != and `not in` (unless they name NULL) and to no other comparison, but
 * for
 * `= NULL`, `in [… NULL]` and, on dates, `not between`; text that is no number or date conforms to no comparison with
 * one. `matches "re"` means that ^re$ is found and is not empty; `not matches` that ^(?!\bre\b).*$ is. Java's
 * expressions are compiled by PCRE2, the closest there is in C; \uXXXX is translated.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/dqdl/dqdl.h"
#include "policy/dqdl/value.h"

typedef struct Predicate Predicate;

struct predicate_options {
	int64_t now;    /* seconds since 1970 UTC, for now() */
	bool lengths;   /* the number condition is on the cell's length in code points, NULL's being 0 */
	bool fold_case; /* strings are compared without regard to case */
};

enum predicate_verdict {
	PREDICATE_PASS,
	PREDICATE_FAIL,
	PREDICATE_PASS_IF_NULL, /* for CELL_EMPTY only: depends on what the column is */
	PREDICATE_FAIL_IF_NULL,
	PREDICATE_OVER_LIMIT, /* the regular expression took too many steps on this cell */
};

/* The condition must live as long. -EINVAL: the regular expression does not compile, with words; -EOPNOTSUPP: a
 * function in a number; -ENOMEM. */
int predicate_new(
        const struct dqdl_condition *condition, const struct predicate_options *options, Predicate **ret_predicate);
void predicate_free(Predicate *predicate);
DEFINE_CLEANUP(Predicate, predicate_free);

/* Does the verdict on CELL_EMPTY depend on what the column is? Only where nothing but NULL is named. */
bool predicate_needs_kind(const Predicate *predicate);

/* *ret_number, if not NULL, is set to the cell as a number (its length, its days) where there is one, else left alone.
 */
enum predicate_verdict predicate_test(
        const Predicate *predicate, struct table_cell cell, enum cell_presence presence, double *ret_number);

/* Cells of one column, `stride` cells apart. From the start of each that is not NULL ROWS_SLACK bytes can be read. */
struct predicate_cells {
	const struct table_cell *first;
	size_t stride, count;
	const struct dqdl_nulls *nulls; /* what their presence is told by */
};

/* The same of all of them: a verdict each, and where the predicate finds numbers one each, NaN: none. */
void predicate_test_many(
        const Predicate *predicate, const struct predicate_cells *cells, uint8_t *ret_verdicts, double *ret_numbers);

/* Is it one of numbers, lengths or dates? */
bool predicate_finds_numbers(const Predicate *predicate);

/* How far a number that fails is from one that passes; infinitely, if there is none (NaN). */
double predicate_misses_by(const Predicate *predicate, double number);
