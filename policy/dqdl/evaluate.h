/*
 * evaluate: holds a table against a ruleset, in one pass over its rows.
 *
 *     new ─▶ header ─▶ (reference, its rows, its end)* ─▶ row, row, … ─▶ finish ─▶ outcomes
 *                                          (or many rows at once)   └▶ judge(row) again: which rules it breaks
 *
 * Which rule types there are, kinds.c says; any other gives the outcome ERROR with "not supported yet" in the reason.
 *
 * Analyzers are evaluated like rules without a condition: metrics, and no say in anything. Rules that look back on
 * earlier values of their metric (dynamic rules, DetectAnomalies) are given them as options: lookback.c.
 *
 * Metrics are those of AWS Glue:
 *   Completeness          rows that are not NULL / rows
 *   Uniqueness            values that occur once / rows where not all of the columns are NULL
 *   UniqueValueRatio      values that occur once / different values, NULL left out
 *   DistinctValuesCount   different values, NULL being one
 *   Entropy               - sum p ln p over the values that are not NULL
 *   DuplicateRowCount     rows that occur more than once, all of them counted, rows of NULLs left out
 *   MinimumLength, MaximumLength   in code points over what is not NULL (the rule itself takes NULL as length 0)
 *   Minimum, Maximum      of the cells that are numbers
 *   ColumnValues.Compliance, LengthCompliance, PatternMatch   rows that conform / rows
 * Choices where the sources are silent or differ: an AND or OR with an ERROR in it is an ERROR, as nothing undecided
 * may pass; a table without rows fails Completeness and Uniqueness (there is no metric) and passes ColumnValues and
 * ColumnLength; a column is looked for by its exact name, then without escapes, then without regard to ASCII case.
 *
 * Reasons name numbers and lines, never cells: they may be personal data.
 *
 * Memory does not grow with the rows, but for what counts different values: 24 bytes a value up to a limit, and past it
 * an error, or a temporary file where there is one (options.spill).
 *
 * Measured: see rows.c.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/dqdl/dqdl.h"
#include "policy/dqdl/files.h"
#include "policy/dqdl/spill.h"
#include "policy/dqdl/value.h"
#include "policy/table/rows.h"

#define DQDL_MEMORY_BYTES ((size_t)256 << 20)
#define DQDL_FAILING_LINES 10u

/* What DetectAnomalies goes by: see kind_anomaly.c. */
#define DQDL_ANOMALY_WINDOW 30u /* the newest values that count */
#define DQDL_ANOMALY_LEAST 5u   /* values before there is an opinion */

#define DQDL_SERIES_NAME_MAX 500u

/* A metric whose past the rules ask for: the name of its series and how many values. */
struct dqdl_wanted {
	char *name;
	size_t depth;
};

/*
 * The series that a ruleset's rules look back on, each once; *ret_wanted is the caller's, to be freed with
 * dqdl_wanted_free(). A series is called as the metric, and where that does not tell all: NAME where "CLAUSE", NAME of
 * "STATEMENT" (CustomSql), NAME of CONDITION (the share of rows that conform). What is longer than DQDL_SERIES_NAME_MAX
 * ends with its hash instead. -ENOMEM.
 */
int dqdl_wanted_history(const Ruleset *ruleset, struct dqdl_wanted **ret_wanted, size_t *ret_count);
void dqdl_wanted_free(struct dqdl_wanted *wanted, size_t count);

/* The name of the series in which a rule's metric goes; allocated. NULL without memory. */
char *dqdl_series_name(const struct dqdl_rule *rule, const char *metric_name);

/* Is it an and/or with SQL inside, so that its metrics' names don't tell what they are about? */
bool dqdl_metrics_are_vague(const struct dqdl_rule *rule);

/* Does every rule say the same of the same table at any time? Not: now(), times of today, DataFreshness, FileFreshness,
 * and SQL that could ask for the time. */
bool dqdl_is_timeless(const Ruleset *ruleset);

enum dqdl_result { DQDL_PASSED, DQDL_FAILED, DQDL_ERROR };

struct dqdl_metric {
	const char *name; /* "Dataset.*.RowCount", "Column.Sex.Completeness", "Multicolumn.a,b.Uniqueness" */
	double value;
};

/* What became of one rule. All of it belongs to the evaluator. */
struct dqdl_outcome {
	const struct dqdl_rule *rule; /* its text is the rule's identity */
	enum dqdl_result result;
	const char *reason; /* a sentence; NULL for a rule that passed and has nothing to say */
	const struct dqdl_metric *metrics;
	size_t metric_count;
	bool row_level;        /* has a result for each row */
	uint64_t failing_rows; /* row-level rules that are no composites: rows that break it */
	const uint64_t *lines; /* the first of them, ascending */
	size_t line_count;     /* at most DQDL_FAILING_LINES */
};

/* All zero but `now`: the defaults. */
struct dqdl_options {
	struct dqdl_nulls nulls;
	int64_t now;         /* seconds since 1970 UTC: what now() means */
	size_t memory_bytes; /* for what rules keep of tables; 0: DQDL_MEMORY_BYTES */
	Spill *spill;        /* where counts of different values go that do not fit into memory; NULL: they must fit */
	size_t count_bytes;  /* with a spill: for those counts in memory, shared out among the columns; 0:
	                        DQDL_MEMORY_BYTES */
	bool knows_history;  /* `series` has all that dqdl_wanted_history() asks for, also what has no values yet */
	const struct dqdl_series *series;
	size_t series_count;
	const uint8_t *hash_key; /* 16 secret bytes, where the system's random source is out of reach; NULL: drawn */
	const struct dqdl_files *file_lists; /* what stands at each path that a rule names */
	size_t file_list_count;
	const struct column_given *types; /* of columns whose kind is not to be inferred */
	size_t type_count;
	const char *keep; /* SQL condition on a row: rows of which it is not true are no rows; NULL: all are */
};

typedef struct DqdlEvaluator DqdlEvaluator;

/* The ruleset and the texts in options must outlive the evaluator. -ENOMEM. */
int dqdl_evaluator_new(const Ruleset *ruleset, const struct dqdl_options *options, DqdlEvaluator **ret_evaluator);
void dqdl_evaluator_free(DqdlEvaluator *evaluator);
DEFINE_CLEANUP(DqdlEvaluator, dqdl_evaluator_free);

/* Shows a row ahead, before the header, so that SQL (`where`, CustomSql) knows from the start what the columns hold; it
 * is not fed. The first some hundred will do. -ENOMEM. */
int dqdl_evaluator_sample(DqdlEvaluator *evaluator, const struct table_cell *cells, size_t count);

/* Does the ruleset ask SQL at all, so that a sample would be of use? */
bool dqdl_evaluator_asks_sql(const DqdlEvaluator *evaluator);

/* Cells so far that SQL has taken as NULL because their column holds numbers, as the sample told, and they are none:
 * how many, and the line of the first. */
uint64_t dqdl_evaluator_misfits(const DqdlEvaluator *evaluator, size_t column, uint64_t *ret_line);

/* Tells the columns' names, once, before the rows. A rule that names a column that is not there fails; it is no error
 * here. -ENOMEM; -ENXIO with words for a type given to a column that is not there, or there twice. */
int dqdl_evaluator_header(DqdlEvaluator *evaluator, const struct table_cell *names, size_t count);

/*
 * Other tables that rules name by an alias (RowCountMatch, ReferentialIntegrity …): after the header and before the
 * first row, one after the other, each with its columns' names (which must be there until its end), its rows and its
 * end. Rules keep of them what they need, within the memory's limit. One that was not fed is not there: the rules that
 * name it fail. -ENOMEM.
 */
int dqdl_evaluator_reference(DqdlEvaluator *evaluator, const char *alias, const struct table_cell *names, size_t count);
int dqdl_evaluator_reference_row(DqdlEvaluator *evaluator, const struct table_cell *cells, uint64_t line);
int dqdl_evaluator_reference_end(DqdlEvaluator *evaluator);

/* After the header: does a rule that is not settled yet name that table? One that none names need not be fed. */
bool dqdl_evaluator_wants(const DqdlEvaluator *evaluator, const char *alias);

/* After the header: which columns' cells rules look at, one flag a column. Rows may have anything in the others. */
void dqdl_evaluator_needs(const DqdlEvaluator *evaluator, bool *ret_columns);

/* Feeds a row of as many cells as the header has; `line` is where it stands in the file. -ENOMEM. */
int dqdl_evaluator_row(DqdlEvaluator *evaluator, const struct table_cell *cells, uint64_t line);

/* Feeds many, in their order; each rule takes them all before the next one does. -ENOMEM. */
int dqdl_evaluator_rows(DqdlEvaluator *evaluator, const struct table_rows *rows);

/*
 * The same in parts, for more threads than one: after the header, for each lot of rows, every part from 0 on is to be
 * fed once. Parts have nothing in common, so that they may be fed in any order and at the same time; of one part the
 * lots must come one after the other. dqdl_evaluator_count() takes the lot's rows into account, before or behind its
 * parts. -ENOMEM.
 */
size_t dqdl_evaluator_parts(const DqdlEvaluator *evaluator);
int dqdl_evaluator_part(DqdlEvaluator *evaluator, size_t part, const struct table_rows *rows);
void dqdl_evaluator_count(DqdlEvaluator *evaluator, const struct table_rows *rows);

/* Tells of the file that is checked, before finish; texts must outlive the evaluator. Without it a rule about it is
 * held against an empty one. */
void dqdl_evaluator_own_file(DqdlEvaluator *evaluator, const struct dqdl_file *file);

/* Was the row last fed or judged one that `keep` keeps? Of one that it drops no rule says anything. */
bool dqdl_evaluator_kept(const DqdlEvaluator *evaluator);

/* Rows dropped so far; they are not among dqdl_evaluator_row_count. */
uint64_t dqdl_evaluator_dropped(const DqdlEvaluator *evaluator);

/* Why rows can't be told apart by `keep`, after the header or a row; NULL: they can. From then on none is kept, and
 * what the rules say is worth nothing. */
const char *dqdl_evaluator_keep_fault(const DqdlEvaluator *evaluator);

/* Settles all outcomes. -ENOMEM. */
int dqdl_evaluator_finish(DqdlEvaluator *evaluator);

/* After finish, one outcome a rule of the ruleset, in its order. */
size_t dqdl_evaluator_outcomes(const DqdlEvaluator *evaluator);
const struct dqdl_outcome *dqdl_evaluator_outcome(const DqdlEvaluator *evaluator, size_t index);

/* And one an analyzer. It passed: it was measured, and decides nothing. */
size_t dqdl_evaluator_analyzers(const DqdlEvaluator *evaluator);
const struct dqdl_outcome *dqdl_evaluator_analyzer(const DqdlEvaluator *evaluator, size_t index);

/* Rows seen so far. */
uint64_t dqdl_evaluator_row_count(const DqdlEvaluator *evaluator);

enum dqdl_row_result { DQDL_ROW_PASSED, DQDL_ROW_FAILED, DQDL_ROW_SKIPPED };

/* The rule's result for the row last judged. SKIPPED: the rule says nothing about single rows, or could not be decided.
 */
enum dqdl_row_result dqdl_evaluator_row_result(const DqdlEvaluator *evaluator, size_t index);

/* After finish: judges a row of the same table again, with all known, so that row_result is exact: whether a value
 * comes again, whether an empty cell is NULL. Counts nothing. */
int dqdl_evaluator_judge(DqdlEvaluator *evaluator, const struct table_cell *cells);
