/*
 * scanner: finds personal data in cells of text.
 *
 *     rows' text ──▶ Hyperscan, all patterns at once  ──▶ cells in which one may be ──▶ PCRE2, validator, context
 *                    (nothing in most texts)              (few)                          └▶ finding: entity, place,
 * score
 *
 * What Vectorscan says is a hint that misses nothing (HS_FLAG_PREFILTER): a finding is what the detector's own
 * expression finds in the cell. Expressions are compiled once, in scanner_new().
 *
 * Findings never hold what was found, only where it stands.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/table/rows.h"

typedef struct Scanner Scanner;

/* low: what is most likely personal data; high: all that may be. */
enum scan_sensitivity { SCAN_LOW, SCAN_HIGH };

struct scan_options {
	enum scan_sensitivity sensitivity;
	const char *const *entities; /* these alone, as detector.h names them; NULL: all */
	size_t entity_count;
};

/* -EINVAL with words for an entity that there is not; -EIO with words: the library misses what is there; -ENOMEM. */
int scanner_new(const struct scan_options *options, Scanner **ret_scanner);
void scanner_free(Scanner *scanner);
DEFINE_CLEANUP(Scanner, scanner_free);

struct scan_finding {
	const char *entity; /* static */
	uint64_t line;      /* on which the row begins */
	size_t column;      /* the cell's, from 0 */
	size_t start, end;  /* in code points of the cell, half-open */
	unsigned score;     /* in percent */
};

/* Called for each; a negative value ends the scan and is returned. */
typedef int scan_found(void *context, const struct scan_finding *finding);

/* Whose names count as context of what stands in the columns; NULL: none have. They are looked at in the call. -ENOMEM.
 */
int scanner_columns(Scanner *scanner, const struct table_cell *names, size_t count);

/* Looks at rows with as many columns as were named (any, if none were). The callback's value, -ENOMEM; -EOVERFLOW with
 * words that name the line: an expression takes too many steps on a cell. */
int scanner_rows(Scanner *scanner, const struct table_rows *rows, scan_found *found, void *context);
