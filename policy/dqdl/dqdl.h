/*
 * dqdl: the Data Quality Definition Language of AWS Glue, read into a tree.
 *
 *     Metadata = {…} DataSources = {…}  name = "value"  DefaultLabels=[…]  Rules = [ rule, rule … ]  Analyzers = [ … ]
 *
 *     rule  =  Type parameters  condition  where "sql"  labels=[…]  with threshold …  with tag = …
 *           |  (rule) and (rule)  |  (rule) or (rule)
 *
 * The language is the whole of the open parser's (awslabs/dqdl to 1.0.6), its oddities included: one precedence level
 * in number expressions, `and` before a name read as a filler word, quoted dates that are dates wherever they stand.
 * The canonical text of a rule is the same as that parser prints, because results name rules by it; even the order in
 * which a Java HashMap hands out tags and labels is kept.
 *
 * Accepted beyond it, each with a warning: a byte order mark, CRLF newlines, a comment that the end of the text closes,
 * text behind the last bracket (which the open parser drops silently). Refused although the open parser takes them or
 * crashes on them: dates and times that do not exist, amounts above 2^31 - 1.
 *
 * The tree is read-only and belongs to its Ruleset. Input is hostile: size, depth and length of chains are bounded.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DQDL_MAX_BYTES (1u << 20)
#define DQDL_MAX_DEPTH 100u  /* of parentheses and function calls */
#define DQDL_MAX_CHAIN 1000u /* operators in one condition, and/or in one composite */

enum dqdl_rule_id {
	DQDL_COMPOSITE,
	DQDL_ROW_COUNT,
	DQDL_ROW_COUNT_MATCH,
	DQDL_COLUMN_COUNT,
	DQDL_COMPLETENESS,
	DQDL_IS_COMPLETE,
	DQDL_COLUMN_DATA_TYPE,
	DQDL_COLUMN_NAMES_MATCH_PATTERN,
	DQDL_COLUMN_EXISTS,
	DQDL_COLUMN_CORRELATION,
	DQDL_UNIQUENESS,
	DQDL_IS_UNIQUE,
	DQDL_MEAN,
	DQDL_SUM,
	DQDL_STANDARD_DEVIATION,
	DQDL_VARIANCE,
	DQDL_ENTROPY,
	DQDL_DISTINCT_VALUES_COUNT,
	DQDL_UNIQUE_VALUE_RATIO,
	DQDL_COLUMN_LENGTH,
	DQDL_IS_PRIMARY_KEY,
	DQDL_COLUMN_VALUES,
	DQDL_DATA_FRESHNESS,
	DQDL_CUSTOM_SQL,
	DQDL_REFERENTIAL_INTEGRITY,
	DQDL_DATASET_MATCH,
	DQDL_SCHEMA_MATCH,
	DQDL_AGGREGATE_MATCH,
	DQDL_DETECT_ANOMALIES,
	DQDL_ALL_STATISTICS,
	DQDL_FILE_MATCH,
	DQDL_FILE_UNIQUENESS,
	DQDL_FILE_FRESHNESS,
	DQDL_FILE_SIZE,
	DQDL_DUPLICATE_ROW_COUNT,
	DQDL_RANGE,
};

enum dqdl_condition_kind {
	DQDL_CONDITION_NONE,
	DQDL_CONDITION_NUMBER,
	DQDL_CONDITION_STRING,
	DQDL_CONDITION_DATE,
	DQDL_CONDITION_DURATION,
	DQDL_CONDITION_SIZE,
};

enum dqdl_operator {
	DQDL_BETWEEN, /* both ends excluded */
	DQDL_GREATER,
	DQDL_GREATER_EQUAL,
	DQDL_LESS,
	DQDL_LESS_EQUAL,
	DQDL_EQUAL,
	DQDL_IN,
	DQDL_MATCHES,
};

enum dqdl_number_form { DQDL_NUMBER_LITERAL, DQDL_NUMBER_NULL, DQDL_NUMBER_CALL, DQDL_NUMBER_BINARY };

/* A number expression. */
struct dqdl_number {
	enum dqdl_number_form form;
	bool parenthesized;                     /* BINARY only */
	char operation;                         /* BINARY: + - * / */
	const char *text;                       /* LITERAL as written; CALL: the function's name */
	double value;                           /* LITERAL */
	const struct dqdl_number *const *parts; /* BINARY: two operands; CALL: the arguments */
	size_t part_count;
};

enum dqdl_operand_form {
	DQDL_OPERAND_NUMBER,
	DQDL_OPERAND_NULL,
	DQDL_OPERAND_TEXT,
	DQDL_OPERAND_EMPTY,
	DQDL_OPERAND_WHITESPACES_ONLY,
	DQDL_OPERAND_DATE,
	DQDL_OPERAND_TIME,       /* of today, in UTC or the tag timeZone */
	DQDL_OPERAND_NOW,        /* now() */
	DQDL_OPERAND_NOW_OFFSET, /* (now() - 3 days) */
	DQDL_OPERAND_DURATION,
	DQDL_OPERAND_SIZE,
};

enum dqdl_unit {
	DQDL_MINUTES,
	DQDL_HOURS,
	DQDL_DAYS,
	DQDL_B,
	DQDL_KB,
	DQDL_MB,
	DQDL_GB,
	DQDL_TB,
};

struct dqdl_operand {
	enum dqdl_operand_form form;
	const struct dqdl_number *number; /* NUMBER, NULL */
	const char *text;                 /* TEXT, DATE, TIME: between the quotes, as written */
	const char *value;                /* TEXT: with escapes (a backslash before any character) undone */
	int32_t days;                     /* DATE: since 1970-01-01 */
	int32_t minutes;                  /* TIME: since midnight */
	bool minus;                       /* NOW_OFFSET */
	int64_t amount;                   /* NOW_OFFSET, DURATION, SIZE */
	enum dqdl_unit unit;              /* NOW_OFFSET, DURATION, SIZE */
};

struct dqdl_condition {
	enum dqdl_condition_kind kind;
	enum dqdl_operator op;
	bool negated; /* not between, !=, not in, not matches */
	const struct dqdl_operand *operands;
	size_t operand_count;
	const char *variable; /* of `in $variable`; its values are the operands */
};

struct dqdl_parameter {
	const char *name;      /* of the type's table, numbered where it may repeat: TargetColumn2 */
	const char *value;     /* variables resolved; escapes kept, as the open parser does */
	const char *written;   /* "colA", colA or $variable */
	const char *connector; /* of, and (as written) before it; NULL if none */
};

/* A tag's or label's name and value. A tag's value is as it is printed, with its quotes. */
struct dqdl_pair {
	const char *key;
	const char *value;
};

struct dqdl_pairs {
	const struct dqdl_pair *pairs;
	size_t count;
};

struct dqdl_rule {
	enum dqdl_rule_id id;
	const char *type; /* "Composite" for and/or */
	const char *text; /* canonical: the rule's identity; NULL for a composite inside another */
	uint32_t line;    /* where it begins, from 1 */
	uint32_t column;  /* in characters, from 1 */

	bool is_or; /* COMPOSITE: or instead of and */
	const struct dqdl_rule *left;
	const struct dqdl_rule *right;

	const struct dqdl_parameter *parameters;
	size_t parameter_count;
	struct dqdl_condition condition; /* kind NONE if there is none */
	struct dqdl_condition threshold; /* kind NONE if there is none */
	const char *where;               /* SQL as written, NULL if there is none */
	struct dqdl_pairs tags;          /* without threshold */
	struct dqdl_pairs own_labels;    /* written at the rule */
	struct dqdl_pairs labels;        /* with the default labels */
	bool excluded_in_rows;           /* has no say on single rows inside a composite */
};

/* Where and why a text is no ruleset, or a warning. */
struct dqdl_diagnostic {
	uint32_t line;
	uint32_t column;
	char message[300];
};

typedef struct Ruleset Ruleset;

/*
 * Reads a ruleset. On success *ret_ruleset is the caller's, to be freed with ruleset_free(). -EINVAL: the text is not
 * DQDL; *ret_diagnostic (may be NULL) and fault_message() say line, column, what was found and what was expected.
 * -EMSGSIZE: over DQDL_MAX_BYTES; -ENOMEM.
 */
int dqdl_parse(struct bytes text, Ruleset **ret_ruleset, struct dqdl_diagnostic *ret_diagnostic);

/* A ruleset without rules, which no text says: for who asks a table for something else. -ENOMEM. */
int ruleset_none(Ruleset **ret_ruleset);

void ruleset_free(Ruleset *ruleset);
DEFINE_CLEANUP(Ruleset, ruleset_free);

/* The ruleset's canonical text (without a newline at the end); belongs to the ruleset. Default labels and variables are
 * not in it, as in the open parser's; their effect on the rules is. */
const char *dqdl_canonical(const Ruleset *ruleset);

/* How many rules and analyzers there are, and each in the order of the text; NULL past the last. */
size_t ruleset_rules(const Ruleset *ruleset);
const struct dqdl_rule *ruleset_rule(const Ruleset *ruleset, size_t index);
size_t ruleset_analyzers(const Ruleset *ruleset);
const struct dqdl_rule *ruleset_analyzer(const Ruleset *ruleset, size_t index);

/* Things accepted that the open parser refuses or drops. */
size_t ruleset_warnings(const Ruleset *ruleset);
const struct dqdl_diagnostic *ruleset_warning(const Ruleset *ruleset, size_t index);

/* "Primary" and "AdditionalDataSources" of the section DataSources; NULL or 0 if not given. */
const char *ruleset_primary_source(const Ruleset *ruleset);
size_t ruleset_additional_sources(const Ruleset *ruleset);
const char *ruleset_additional_source(const Ruleset *ruleset, size_t index);

/* Canonical text of a condition ("" for none) as a new string for the caller to free; NULL when memory is short. */
char *dqdl_condition_text(const struct dqdl_condition *condition);

/* A metric's earlier values, newest first. */
struct dqdl_series {
	const char *name; /* as dqdl_wanted_history() names it */
	const double *values;
	size_t count;
};

#define DQDL_HISTORY_MAX 1000u /* values that one expression looks back on */

/*
 * Value of a number expression. Operators are applied from left to right, all with the same precedence. -EOPNOTSUPP
 * for a function call (it looks back on earlier values: dqdl_number_value_over), -EINVAL for NULL.
 */
int dqdl_number_value(const struct dqdl_number *number, double *ret_value);

/*
 * The same with the past of a metric, NULL: none is known:
 *
 *     last()  last(k)                  the newest value; the k newest, or as many as there are
 *     index(last(k), i)                the one that is i older than the newest
 *     avg min max sum std median       of a list; std of the whole population
 *     percentile(last(k), p)           0 to 100, between two values in proportion
 *     abs(x)                           of a number, or of each in a list
 *
 * -ENODATA: there are no earlier values, or not so many; -EINVAL with words: a list where a number is wanted, a
 * function that is not known, or arguments that it can't have; -ENOMEM.
 */
int dqdl_number_value_over(const struct dqdl_number *number, const struct dqdl_series *series, double *ret_value);

/* On how many earlier values a condition looks back; 0: it is a condition on the present alone. */
size_t dqdl_condition_depth(const struct dqdl_condition *condition);

/* Does a metric meet a number condition? Equality is that of Java's Double.equals (NaN equals NaN, 0.0 is not -0.0).
 * -EOPNOTSUPP, -EINVAL as dqdl_number_value(), or -EINVAL for a condition of another kind. */
int dqdl_condition_holds(const struct dqdl_condition *condition, double metric, bool *ret_holds);
