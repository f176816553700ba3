/*
 * check: one file held against one dataset's rules, the function that runs in a worker without keys or in `assayfs
 * check`.
 *
 *     job (what the dataset says) ─┐
 *                                  ├─> check_table() ─> result: outcome, reason, one entry a rule
 *     input (the file's bytes) ────┘
 *
 * The result crosses from the worker to the daemon as JSON that the daemon treats as hostile: check_result_from_json
 * accepts nothing that check_result_to_json could not have written. Results hold no cell values, only numbers, column
 * names, rule texts and line numbers.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"
#include "policy/crew.h"
#include "policy/dqdl/dqdl.h"
#include "policy/dqdl/files.h"
#include "policy/dqdl/spill.h"
#include "policy/edit_list.h"
#include "policy/policy.h"
#include "policy/row_list.h"

#include <sys/types.h>

/* Bounds of a result; what is more is cut by the check and refused by the reader. */
#define CHECK_RULES_MAX 4096
#define CHECK_ANALYZERS_MAX 1024
#define CHECK_METRICS_MAX 256       /* a rule */
#define CHECK_FAILING_LINES_MAX 20  /* a rule: the first ones; the count stands in failing_rows */
#define CHECK_TEXT_MAX (64u << 10)  /* bytes of one string */
#define CHECK_RESULT_MAX (4u << 20) /* bytes of the JSON */
#define CHECK_WARNINGS_MAX 256
#define CHECK_FINDINGS_MAX 4096
#define CHECK_ELEMENTS_MAX 300000 /* commas and brackets of the JSON: bounds the reader's memory */

/* Bounds of a job's history: series, and values in all of them (each has at most DQDL_HISTORY_MAX). */
#define CHECK_SERIES_MAX 8192
#define CHECK_HISTORY_MAX 100000

enum outcome { OUTCOME_NONE, OUTCOME_PENDING, OUTCOME_PASSED, OUTCOME_FAILED, OUTCOME_ERROR };

/* "none", "pending", "passed", "failed", "error": what getfattr -n user.assayfs.verdict prints. */
const char *outcome_word(enum outcome outcome);
/* The outcome of a word; -EINVAL. */
int outcome_from_word(const char *word, enum outcome *ret_outcome);

/* ---- what is asked ---- */

/* Where a file is read from. Up to `size` bytes into `buffer`: their number, 0 at the end, -errno. */
typedef ssize_t check_read(void *context, void *buffer, size_t size);
/* Once it was read to its end: read gives the same bytes again, from the first. 0, -errno. */
typedef int check_read_again(void *context);
struct check_input {
	check_read *read;
	void *context;
	check_read_again
	        *again; /* NULL: it can be read once only, and so neither be split nor changed (check_second) */
};

#define CHECK_REFERENCES_MAX POLICY_REFERENCES_MAX

/* Another table, which rules name by its alias. */
struct check_reference {
	const char *alias;
	const char *file_name; /* as the job's */
	uint64_t size;         /* in bytes, just as many as `input` gives */
	struct policy_format format;
	struct check_input input; /* is read after the job's own has begun; no part of the JSON */
};

/* Borrowed: the strings belong to whoever made the job. */
struct check_job {
	const char *dataset;
	const char *file_name; /* last component, for naming a format by its suffix */
	uint64_t size;         /* of the input, in bytes */
	struct policy_format format;
	bool is_text; /* no table: looked at line by line */
	enum policy_nulls nulls;
	const char *const *null_words;
	size_t null_word_count;
	const struct column_given *types; /* of columns whose type is not to be inferred */
	size_t type_count;
	struct bytes rules;     /* DQDL text */
	const char *rules_file; /* for messages */
	const char *keep;       /* SQL condition on a row: rows of which it is not true are no rows; NULL: all are */
	const struct check_reference *references;
	size_t reference_count;              /* at most CHECK_REFERENCES_MAX, with different aliases */
	int64_t mtime_s;                     /* of the input, seconds since 1970 UTC */
	const struct dqdl_files *file_lists; /* what stands at the paths that rules name */
	size_t file_list_count;
	int64_t clock_ns;              /* what now() means in the rules, since 1970, UTC */
	Crew *crew;                    /* who helps, or NULL; never crosses to a worker */
	Spill *spill;                  /* for what does not fit into memory, or NULL; never crosses to a worker */
	const struct check_rows *rows; /* who wants to know of each row, or NULL; never crosses to a worker */
	bool knows_history;            /* `history` has what dqdl_wanted_history() asks for */
	const struct dqdl_series *history;
	size_t history_count;
	bool is_twice;  /* the worker's input holds the file, and then the file again if it still reads */
	bool may_split; /* of a file that fails by some rows, tell which */
	const struct privacy *privacy; /* NULL: nobody asks for personal data */
	int64_t allowed_at_s;          /* what is allowed no longer by then does not get to the worker */
	const struct privacy_groups *groups;
	size_t group_count;
	/* The file is what is to be published of one that was changed: no rules are asked, but nothing of what was to
	 * be treated may be left, and groups are counted. */
	bool is_output;
	bool only_tells; /* what would be published otherwise is told, and not where; never crosses to a worker */
};

/* The job of one dataset for one file. */
struct check_job check_job_for(
        const struct policy_dataset *dataset, const char *file_name, uint64_t size, int64_t clock_ns);

/* Is the file so large that counts of its values may well not fit into a check's memory? Then it is worth having a
 * spill. */
bool check_job_may_spill(const struct check_job *job);

/* Bytes of the file and of its references together: what time and memory are given by. */
uint64_t check_job_bytes(const struct check_job *job);

/* The job as canonical JSON, for the worker and for hashing; allocated. And back: `ret_job` points into `ret_memory`,
 * which check_job_free frees. */
typedef struct CheckJobMemory CheckJobMemory;
int check_job_to_json(const struct check_job *job, char **ret_json, size_t *ret_size);
int check_job_from_json(struct bytes json, struct check_job *ret_job, CheckJobMemory **ret_memory);
void check_job_free(CheckJobMemory *memory);
DEFINE_CLEANUP(CheckJobMemory, check_job_free);

/* SHA-256 of all that a check goes by but the file's bytes: rules, format, nulls, history, and the clock unless the
 * rules never look at it. Two jobs of the same hash say the same of the same bytes. */
int check_job_hash(const struct check_job *job, bool is_timeless, uint8_t ret_sha256[static 32]);

/* ---- what is answered ---- */

struct check_metric {
	char *name; /* as Glue names it: Column.State.Completeness */
	double value;
};

/* A rule, or an analyzer: that has metrics, no failing rows, and no say in the outcome of the file. */
struct check_rule {
	char *text; /* canonical */
	enum outcome outcome;
	char *reason; /* NULL when passed with nothing to say */
	struct check_metric *metrics;
	size_t metric_count;
	uint64_t failing_rows;
	bool has_failing_rows; /* the rule judges rows */
	uint64_t *failing_lines;
	size_t failing_line_count;
};

/* What was found of one entity in one column, or one column that is treated as a whole. Never what stands there. */
struct check_finding {
	char *entity;   /* or CHECK_ENTITY_COLUMN */
	char *column;   /* NULL: of a text, that has none */
	bool of_column; /* the treatment is the column's, not the entity's */
	enum privacy_action action;
	bool acts;               /* false: fewer cells than the threshold says, so it is reported alone */
	uint64_t matches, cells; /* and in how many cells, or lines */
	uint64_t *lines;         /* the first ones */
	size_t line_count;
	unsigned score; /* the highest, in percent */
};
#define CHECK_ENTITY_COLUMN "COLUMN"

/* What an entry of the allow list let pass. */
struct check_allowed {
	char *owner; /* NULL: nobody was named */
	uint64_t count;
};

struct check_privacy_result {
	enum scan_sensitivity sensitivity;
	double threshold;
	uint64_t dropped; /* rows that are left out */
	struct check_finding *findings;
	size_t finding_count;
	struct check_allowed *allowed;
	size_t allowed_count;
};

struct check_result {
	enum outcome outcome; /* passed, failed or error */
	char *reason;         /* NULL when passed; for failed and error one sentence */
	char *canonical;      /* the ruleset's canonical text, or NULL */
	uint64_t bytes_read;  /* of the input: a pass that has not read all is no pass */
	bool has_rows;
	uint64_t rows, columns;
	bool has_dropped; /* the dataset keeps some rows only: */
	uint64_t dropped; /* rows that it does not keep, which are not among `rows`, nor published */
	char *dialect;    /* "csv delimiter=';' quote='\"' header=yes line-end=lf encoding=utf-8 bom=no", or NULL */
	struct check_rule *rules;
	size_t rule_count;
	struct check_rule *analyzers;
	size_t analyzer_count;
	char **warnings;
	size_t warning_count;
	bool has_privacy; /* personal data was looked for */
	struct check_privacy_result privacy;
	/* Not in the JSON: the rows to be withheld. Of a table that failed by rules on rows alone and whose input can
	 * be read again, those that break one, so that the rest may pass (NULL: it fails whole); those that keep drops
	 * are there, too, without a rule. Of one that passed, these and those that a privacy action drops. Rules in it
	 * are counted through: first `rules`, then `privacy.findings`. */
	RowList *withheld;
	/* The places that are published otherwise, of what is left without those rows; NULL: none. */
	EditList *edits;
};

/* An empty result, the caller's; freed with all that hangs on it. -ENOMEM. */
int check_result_new(struct check_result **ret_result);
void check_result_free(struct check_result *result);
typedef struct check_result CheckResult;
DEFINE_CLEANUP(CheckResult, check_result_free);

/* Sets outcome and reason; keeps the first error. Returns 0, or -ENOMEM. */
int check_result_say(struct check_result *result, enum outcome outcome, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Adds a rule (its text is copied) and returns it for filling, NULL without memory or past CHECK_RULES_MAX. The pointer
 * is good until the next call. */
struct check_rule *check_result_add_rule(struct check_result *result, const char *text, enum outcome outcome);
/* The same for an analyzer, up to CHECK_ANALYZERS_MAX. */
struct check_rule *check_result_add_analyzer(struct check_result *result, const char *text, enum outcome outcome);
int check_rule_set_reason(struct check_rule *rule, const char *reason);
int check_rule_add_metric(struct check_rule *rule, const char *name, double value);
int check_rule_add_failing_line(struct check_rule *rule, uint64_t line);
int check_result_warn(struct check_result *result, const char *warning);

/* Adds a finding without a place yet (texts are copied; `column` may be NULL), or what was allowed, and returns it for
 * filling; NULL without memory, or past CHECK_FINDINGS_MAX. Good until the next call. */
struct check_finding *check_result_add_finding(struct check_result *result, const char *entity, const char *column);
struct check_allowed *check_result_add_allowed(struct check_result *result, const char *owner);
int check_finding_add_line(struct check_finding *finding, uint64_t line);

/* A finding in words: `EMAIL in "contact"`; allocated, NULL without memory. */
char *check_finding_text(const struct check_finding *finding);

/* Rules and findings together: what a row list may name. */
size_t check_result_reasons(const struct check_result *result);

/* The sentence that sums the rules up: how many failed, or the first that could not be decided; allocated, NULL when
 * all passed or without memory. The `reason` of a table that could be read. */
char *check_result_summary(const struct check_result *result);

/* Takes over what a check of the output (struct check_job) says: rules on groups of rows are about what is published,
 * and what does not pass is not. */
int check_result_take_output(struct check_result *result, const struct check_result *output);

/* A result that is `error` with these words. */
int check_result_error(struct check_result **ret_result, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Canonical JSON (keys sorted, compact), allocated. Back: -EBADMSG with words for anything else. */
int check_result_to_json(const struct check_result *result, char **ret_json, size_t *ret_size);
int check_result_from_json(struct bytes json, struct check_result **ret_result);

/* ---- row by row ---- */

/*
 * What a row is worth is known when all have been seen: whether its key comes again, what an empty cell means. So a
 * check whose job has `rows` reads its input twice; `row` is called in the second pass, for each row in their order.
 */
struct check_rows {
	/* The input anew, from its first byte. An error ends the check. */
	int (*again)(void *context, struct check_input *ret_input);

	/* Row `number` of the file (from 1), unless `keep` drops it: outcomes[i] is rule i's of the result: passed,
	 * failed, or none where the rule says nothing about single rows or could not be decided. An error ends the
	 * check. */
	int (*row)(void *context, uint64_t number, const struct check_result *result, const enum outcome *outcomes);

	/* All rows were told, and the check has its result. */
	int (*end)(void *context);
	void *context;
};

/* ---- doing it ---- */

/*
 * A check: reads all of `input`, fills `result`. Returns 0 when it came to an outcome, passed, failed or error;
 * negative when it could not (-ENOMEM, -EIO from the input), which the caller turns into outcome error.
 */
typedef int check_function(const struct check_job *job, struct check_input *input, struct check_result *result);

/* The check of assayfs: a table against DQDL and what its dataset says of personal data; of a dataset without rules
 * also a text. An empty file fails: "empty"; a format that it can't read is an error that names it. */
check_function check_table;

/* Runs `check` in this process, for files that need no vault; the input is read to its end whatever the check does, and
 * SHA-256 of it computed on the way when `ret_sha256` is not NULL. */
int check_run(check_function *check, const struct check_job *job, struct check_input *input, uint8_t *ret_sha256,
        struct check_result **ret_result);
