/*
 * scanner: finds personal data in cells of text.
 *
 *     rows' text ──▶ Hyperscan, all hints at once       ──▶ cells in which    ──▶ PCRE2, validator, context
 *                    pairs of capitals (person.h)           one may be            └▶ finding: entity, place, score
 *     cells      ──▶ digits, shapes (shapes.h)              (few)
 *
 * What is on the left misses nothing: a finding is what the detector's own expression finds in the cell. Expressions
 * are compiled once, in scanner_new().
 *
 * Findings say where it stands; what stands there is the rows', and to be kept nowhere.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/privacy/scan_pattern.h"
#include "policy/table/rows.h"

typedef struct Scanner Scanner;

/* low: what is most likely personal data; high: all that may be. */
enum scan_sensitivity { SCAN_LOW, SCAN_HIGH };

/* What `patterns` and `allow` point to must live as long as the scanner. */
struct scan_options {
	enum scan_sensitivity sensitivity;
	const char *const *entities;         /* these detectors alone, as detector.h names them; NULL: all */
	size_t entity_count;                 /* 0 with entities that are not NULL: none of them */
	const struct scan_pattern *patterns; /* used besides, always */
	size_t pattern_count;
	const struct scan_allow *allow; /* findings that are not told */
	size_t allow_count;
	bool is_treated; /* the rows are such as treat.h writes: "[EMAIL]" is no context */
};

/* -EINVAL with words for an entity that there is not, a pattern or an allowed text that makes no sense; -EIO with
 * words: the library misses what is there; -ENOMEM. */
int scanner_new(const struct scan_options *options, Scanner **ret_scanner);
void scanner_free(Scanner *scanner);
DEFINE_CLEANUP(Scanner, scanner_free);

struct scan_finding {
	const char *entity;     /* static, or the pattern's name */
	uint64_t line;          /* on which the row begins */
	size_t column;          /* the cell's, from 0 */
	size_t start, end;      /* in code points of the cell, half-open */
	size_t from, to;        /* the same in bytes */
	struct table_cell cell; /* in which it stands; the caller's rows */
	unsigned score;         /* in percent */
};

/* Called for each, in a cell by their places; a negative value ends the scan and is returned. */
typedef int scan_found(void *context, const struct scan_finding *finding);

/* Whose names count as context of what stands in the columns; NULL: none have. They are looked at in the call. -ENOMEM.
 */
int scanner_columns(Scanner *scanner, const struct table_cell *names, size_t count);

/*
 * Looks at a table's first rows, before scanner_rows() has them and the rest: of which numbers do columns consist?
 *
 * Check digits let one number in ten pass that has another meaning. Of a column with twenty numbers of which nine in
 * ten pass, ten different ones among them, chance is no explanation: such a column counts from then on as if its name
 * said what it holds. Columns must be named before. -ENOMEM; -EOVERFLOW as below.
 */
int scanner_sample(Scanner *scanner, const struct table_rows *rows);

/* Looks at rows of valid UTF-8 with as many columns as were named (any, if none were). The callback's value, -ENOMEM;
 * -EOVERFLOW with words that name the line: an expression takes too many steps on a cell. */
int scanner_rows(Scanner *scanner, const struct table_rows *rows, scan_found *found, void *context);

/* The line of the first row since scanner_columns() in which more is found where escapes of JSON are undone (shadow.h),
 * so that what was told is not all; 0: there was none. */
uint64_t scanner_unclear_line(const Scanner *scanner);

/* How many findings were not told so far because of the i-th of `allow`. Where two fit it is the first. */
uint64_t scanner_allowed(const Scanner *scanner, size_t i);
