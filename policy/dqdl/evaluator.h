/*
 * evaluator: what evaluate.c (making ready, judging rows), rows.c (feeding them), the kinds of check (kind_*.c) and
 * outcome.c (putting outcomes together) share. Not for others.
 *
 *     ruleset ─▶ leaves ─▶ check ── its kind: start (columns known) ─▶ row, row … ─▶ finish ─▶ result, reason, metrics
 *                            ├── filter  the rows that it looks at
 *                            └── tuple   how often each value occurs, shared by all checks that ask for it
 *
 * A new rule type is a struct check_kind, and its line in kinds.c.
 */
#pragma once

#include "policy/dqdl/arena.h"
#include "policy/dqdl/distinct.h"
#include "policy/dqdl/evaluate.h"
#include "policy/dqdl/predicate.h"
#include "policy/sql/sql.h"
#include "policy/table/column_names.h"

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

/* Lines whose values are farthest from what a rule wants, the farthest first; of equal ones the first. */
struct worst_lines {
	size_t count; /* at most DQDL_FAILING_LINES */
	struct {
		double by;
		uint64_t line;
	} lines[DQDL_FAILING_LINES];
};

struct column {
	bool needed; /* its kind matters to a rule */
	struct column_kind kind;
	uint64_t misfits; /* cells that are not what SQL takes the column for (sql_rules.h), and where */
	uint64_t first_misfit, last_misfit;
};

/* Which rows the table has at all (options.keep). */
struct keep {
	SqlFilter *sql; /* NULL: all */
	char *fault;    /* why it can't be asked (any longer) */
	bool is_kept;   /* the last row is one */
	uint64_t dropped;
};

/* The rows that some checks look at. */
struct filter {
	const char *where; /* NULL: all */
	SqlFilter *sql;
	char *broken;  /* why it can't be asked any longer; NULL: it can */
	uint64_t rows; /* of them so far */
	bool is_in;    /* the last row is one */
};

/* Bytes that grow as they are needed. */
struct room {
	char *bytes;
	size_t size;
};

/* Counts the values of one tuple of columns, for all rules that ask for it. */
struct tuple {
	const size_t *columns;
	size_t column_count;
	const struct filter *filter;
	Distinct *distinct;
	uint64_t nulls;                /* rows where all columns are NULL */
	uint64_t empties;              /* rows where all are NULL or empty, and empty may mean NULL */
	struct distinct_budget budget; /* its share, where it may spill */
	bool is_judged;                /* a rule about rows asks for it */
	char *why;                     /* it can't be counted any longer; NULL: it can */
	struct distinct_totals totals; /* in the end, without the empties */
	uint64_t last;                 /* how often the value of the row last judged occurs */
	enum cell_presence last_presence;
	struct first_lines repeats; /* lines where a value came again, ascending */
	struct first_lines late;    /* and those that turned out to be such in the end, ascending */
	struct room room;           /* for a value of several columns */
};

struct check;

/* Which of a rule's parameters name columns. */
enum kind_columns { KIND_COLUMNS_ALL, KIND_COLUMNS_NONE, KIND_COLUMNS_OR_WHOLE_ROW /* none named: every column */ };

struct reference;

/* What a type of rule does. Functions may be NULL: nothing to do. */
struct check_kind {
	enum kind_columns columns;
	bool row_level;
	bool asks_kind; /* whether an empty cell is NULL matters to it (a predicate says so itself) */
	bool measures;  /* its metrics can be had without a condition: for analyzers, and where the past is not known */

	bool names_itself; /* its metrics have names of its own, on which nothing looks back */

	/* The columns are found: makes ready, or settles what can't be decided. */
	int (*start)(DqdlEvaluator *evaluator, struct check *check);

	/* A row that the check looks at. `line` 0: it was fed before and is only judged: sets check->row, counts
	 * nothing; else check->row does not matter. */
	int (*row)(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line);

	/* The same for many rows that the check looks at, none of which is judged, and that lie in one text; NULL:
	 * `row` is called for each. What
	 * either touches while rows are fed is the check's own: other checks are fed at the same time. */
	int (*rows)(DqdlEvaluator *evaluator, struct check *check, const struct table_rows *rows);

	/* All rows were fed: metrics, result and reason. */
	int (*finish)(DqdlEvaluator *evaluator, struct check *check);

	/* Of rules that look at other tables (reference.h): is that one of them? Then, before the first row, of each:
	 * its columns are known; a row; it has ended. */
	bool (*refers)(const struct check *check, const char *alias);
	int (*reference)(DqdlEvaluator *evaluator, struct check *check, const struct reference *table);
	int (*reference_row)(
	        DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line);
	int (*reference_end)(DqdlEvaluator *evaluator, struct check *check, const struct reference *table);

	/* Frees what hangs on `own`, which may be NULL. */
	void (*release)(struct check *check);
};

/* One rule that is no composite, or an analyzer. */
struct check {
	const struct dqdl_rule *source;         /* as it stands in the ruleset */
	const struct dqdl_rule *rule;           /* of DetectAnomalies: the one whose metrics it watches */
	const struct dqdl_condition *condition; /* the rule's, with numbers in the place of what looks back */
	bool measures_only;                     /* there is no condition to hold its metrics against */
	bool watches;                           /* DetectAnomalies: its metrics are held against their past */
	bool is_inside;                         /* a composite */
	char *note;                             /* why it passes without having been compared; NULL: it has been */
	const struct check_kind *kind;
	struct filter *filter;
	size_t *columns;
	size_t column_count;
	bool settled; /* result and reason stand, rows need not be looked at */
	enum dqdl_result result;
	char *reason;
	bool row_level;
	Predicate *predicate;
	struct tuple *tuple;
	void *own;                    /* the kind's; it is freed, and what hangs on it by the kind's release */
	bool is_reading;              /* it refers to the reference that is read */
	struct first_lines failing;   /* whatever the column is */
	struct first_lines undecided; /* that fail if an empty cell is NULL … */
	struct worst_lines worst;     /* of those that fail, where the rule is about numbers */
	bool fail_if_text;            /* … or, if this is set, if it is not */
	double minimum;
	double maximum;
	bool measured;
	enum dqdl_row_result row;
	struct dqdl_metric *metrics; /* names are the check's */
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
	bool kinds_known; /* no row changes what a column is any more */
	struct dqdl_file own_file;
	struct column_kind *sample; /* of the columns, in the rows that were shown before */
	size_t sample_count;
	struct CustomSql *custom_sql; /* NULL: no rule has a statement */
	struct table_cell *names;     /* of the columns, with their texts in one allocation */
	struct keep keep;
	bool has_sql;           /* keep, a where, or a statement */
	struct filter *filters; /* the first one: all rows */
	size_t filter_count;
	Arena *arena;         /* what was made ready for checks */
	struct check *checks; /* the leaves of all rules, from left to right; then the analyzers */
	size_t check_count;
	struct check **fed; /* those that look at rows */
	size_t fed_count;
	size_t *first_check; /* of each rule, and of the first analyzer */
	struct tuple **tuples;
	size_t tuple_count;
	struct reference *reference;   /* that is fed just now */
	struct dqdl_outcome *outcomes; /* of the rules; then of the analyzers */
	struct dqdl_metric *metrics;   /* of all outcomes */
	char **reasons;                /* of composites */
	bool finished;
};

/* kinds.c: what the rule's type does; NULL when it is not supported yet. And what only measures for it. */
const struct check_kind *kind_of(const struct dqdl_rule *rule);
const struct check_kind *kind_that_measures(const struct dqdl_rule *rule);

/* kind_table.c, kind_presence.c, kind_values.c, kind_tuple.c, kind_key.c, kind_numbers.c, kind_types.c, kind_fresh.c,
 * kind_files.c */
extern const struct check_kind kind_row_count, kind_column_count, kind_column_exists;
extern const struct check_kind kind_completeness, kind_is_complete;
extern const struct check_kind kind_column_values, kind_column_length;
extern const struct check_kind kind_is_unique, kind_tuple_metric, kind_duplicate_row_count, kind_primary_key;
extern const struct check_kind kind_numbers, kind_correlation;
extern const struct check_kind kind_file_size, kind_file_freshness, kind_file_uniqueness, kind_file_match;
extern const struct check_kind kind_column_data_type, kind_data_freshness, kind_column_names;
/* kind_reference.c, kind_reference_keys.c, kind_reference_schema.c, kind_reference_sums.c */
extern const struct check_kind kind_row_count_match, kind_reference_keys;
extern const struct check_kind kind_schema_match, kind_aggregate_match;
/* kind_sql.c */
extern const struct check_kind kind_custom_sql, kind_custom_sql_rows;
extern const struct check_kind kind_extremes, kind_all_statistics, kind_unwatchable; /* kind_statistics, _anomaly */

/* settle.c */

/* "out of memory" in words. */
int evaluator_out_of_memory(void);

/* Settles a check, with words or without. */
int check_settle(struct check *check, enum dqdl_result result, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
int check_pass(struct check *check);

/* Settles it as failed: the reason, then the first failing lines that were put into the check. */
int check_fail_with_lines(struct check *check, const char *reason);

/* Adds a metric by its whole name, which is copied. */
int check_add_named_metric(struct check *check, const char *name, double value);

/* SUBJECT.NAME, the subject being the table, a column or columns as the rule names them; allocated. */
char *metric_name(const struct dqdl_rule *rule, const char *name);

/* Adds it to a check's metrics. */
int check_add_metric(struct check *check, const char *name, double value);

/* Adds the metric and holds it against the rule's condition, if there is one. */
int check_settle_metric(struct check *check, const char *name, double value);

/* How many rows fail and the first of them, from `failing` and, as the column has turned out, `undecided`. */
void check_count_failing(const DqdlEvaluator *evaluator, struct check *check);

/* Merges two ascending lists into the check's first failing lines. */
void check_merge_lines(struct check *check, const struct first_lines *a, const struct first_lines *b);

/* Takes a line among the worst if it is one. */
void worst_lines_add(struct worst_lines *worst, double by, uint64_t line);

/* Takes a number into the check's minimum and maximum. */
void check_measure(struct check *check, double value);

/* A rule of rows: counts those that fail, tells the share that conforms under that name (NULL: does not), and holds it
 * against the threshold, or wants all. */
int check_settle_rows(const DqdlEvaluator *evaluator, struct check *check, const char *share_metric);

/* The value of a rule's tag as written, with its quotes; NULL: it has none. */
const char *check_tag(const struct dqdl_rule *rule, const char *key);

/* A number as a person would write it, and never rounder than it is. */
void number_text(double value, char ret_text[static 32]);

/* Does an empty cell mean NULL in all of the columns? (Only asked under nulls: glue.) */
bool empty_is_null(const DqdlEvaluator *evaluator, const size_t *columns, size_t count);

/* filter.c */

/* The filter of the check's `where`, new or shared; one that is invalid settles the check. -ENOMEM. */
int filter_for(DqdlEvaluator *evaluator, struct check *check);
void filter_free(struct filter *filter);

/* The dataset's own filter, when the columns are known, and of each row. -ENOMEM; what else goes wrong is its fault. */
int keep_open(DqdlEvaluator *evaluator);
int keep_ask(DqdlEvaluator *evaluator, const struct table_cell *cells, uint64_t line);
void keep_free(struct keep *keep);

/* Asks each filter whether a row is in. -ENOMEM; what else goes wrong breaks the filter. */
int filters_ask(DqdlEvaluator *evaluator, const struct table_cell *cells, uint64_t line);

/* tuple.c */

/* Sees to `size` bytes; what stood there stays. -ENOMEM. */
int room_for(struct room *room, size_t size);

/* The tuple of the check's columns among its rows, new or shared. -ENOMEM. */
int tuple_for(DqdlEvaluator *evaluator, struct check *check);
void tuple_free(struct tuple *tuple);

/* Counts the values of rows; or looks up how often a row's occurs in the whole table: -E2BIG with words when that is
 * not known. */
int tuple_feed(DqdlEvaluator *evaluator, struct tuple *tuple, const struct table_rows *rows);
int tuple_judge(DqdlEvaluator *evaluator, struct tuple *tuple, const struct table_cell *cells);

/* Has the last row's value occurred more than once, as far as is known? */
bool tuple_is_repeated(const DqdlEvaluator *evaluator, const struct tuple *tuple);

/* What is known of the values in the end; *ret_nulls: rows that are NULL. */
struct distinct_totals tuple_totals(const DqdlEvaluator *evaluator, const struct tuple *tuple, uint64_t *ret_nulls);

/* Shares the memory out among the tuples, when all are known; and brings each one's counts together, when all rows were
 * fed. -ENOMEM. */
void tuples_share_memory(DqdlEvaluator *evaluator);
int tuples_total(DqdlEvaluator *evaluator);

/* Settles a check that counts values and can't any longer; false: it can. */
bool tuple_settle_stopped(struct check *check, int *ret_rc);

/* reference.c; NULL is allowed */
void reference_free(struct reference *table);

/* kind_numbers.c: what the numbers of a column come to. Start with {0}. */
struct numbers {
	uint64_t count;
	uint64_t other_line; /* the first line with something that is no number; 0: none */
	long double sum;
	long double mean, squares; /* squares: the sum of (value - mean)² */
	double least, greatest;
};
void numbers_add(struct numbers *numbers, double value);
/* Of the type Sum, Mean, Variance, StandardDeviation or Range; there must be a number. */
double numbers_metric(enum dqdl_rule_id id, const struct numbers *numbers);

/* lookback.c */

/* Puts numbers in the place of what looks back; where the past is not known the check only measures, and passes with a
 * note. Settles what can't be. */
int lookback_prepare(DqdlEvaluator *evaluator, struct check *check);

/* The same for the threshold on a share. *ret_threshold: NULL, and check->note says why, when nothing can be compared.
 */
int lookback_threshold(const DqdlEvaluator *evaluator, struct check *check, const char *share_metric,
        const struct dqdl_condition **ret_threshold);

/* The past of a check's metric; NULL: no history was given. One that lacks this metric settles the check. */
int lookback_series(const DqdlEvaluator *evaluator, struct check *check, const char *metric_name,
        const struct dqdl_series **ret_series);

/* kind_anomaly.c */

/* What a DetectAnomalies watches, as if it were a rule; NULL when that can't be watched. -ENOMEM. */
int anomaly_subject(Arena *arena, const struct dqdl_rule *rule, const struct dqdl_rule **ret_subject);

/* Holds all metrics of a check that has passed against their past. */
int anomaly_judge(const DqdlEvaluator *evaluator, struct check *check);

/* The metrics that a type of rule gives when it only measures; NULL at the end. */
const char *const *measured_metrics(const struct dqdl_rule *rule);

/* outcome.c: puts checks together to outcomes. */
int outcomes_make(DqdlEvaluator *evaluator);
