/*
 * value: what a cell is: no value, an empty text, a number, a date. The one place where the null policy is applied.
 *
 * The policy `glue` is AWS Glue's on CSV: an empty cell of a text column is an empty text, of any other column NULL.
 * What kind a column is, is known only at the end of the stream (or told by a rule's condition); until then such a cell
 * is CELL_EMPTY, and who counts counts it apart.
 */
#pragma once

#include "policy/table/cell.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dqdl_nulls_mode {
	DQDL_NULLS_GLUE,
	DQDL_NULLS_EMPTY, /* every empty cell is NULL */
	DQDL_NULLS_NONE,  /* none is */
	DQDL_NULLS_LIST,  /* a cell is NULL if it equals a text of the list (which may hold "") */
};

struct dqdl_nulls {
	enum dqdl_nulls_mode mode;
	const char *const *list;
	size_t count;
};

enum cell_presence { CELL_VALUE, CELL_NULL, CELL_EMPTY };

/* A copy of cells and of their texts, in one allocation, to be freed by the caller; NULL without memory. */
struct table_cell *cells_copy(const struct table_cell *cells, size_t count);

/* Is it one of the policy's words? */
bool cell_is_listed(const struct dqdl_nulls *nulls, struct table_cell cell);

/* What the policy makes of a cell. Here, as it is asked of every cell that a rule looks at. */
static inline enum cell_presence cell_presence_of(const struct dqdl_nulls *nulls, struct table_cell cell) {
	if (!cell.data)
		return CELL_NULL;
	if (nulls->mode == DQDL_NULLS_LIST)
		return cell_is_listed(nulls, cell) ? CELL_NULL : CELL_VALUE;
	if (cell.size > 0 || nulls->mode == DQDL_NULLS_NONE)
		return CELL_VALUE;
	return nulls->mode == DQDL_NULLS_EMPTY ? CELL_NULL : CELL_EMPTY;
}

/* A decimal number: sign, digits, one point, exponent; blanks around it are allowed. Correctly rounded. Neither NaN nor
 * infinity nor hexadecimal. */
bool cell_number(struct table_cell cell, double *ret_number);

/* YYYY-MM-DD (or YYYY-M-D), alone or before a blank or T and a time, which is not looked at. Days since 1970-01-01. */
bool cell_date(struct table_cell cell, int32_t *ret_days);

/* A date as above, then hh:mm[:ss[.f]] if need be and a zone (Z, UTC, +hh:mm; none: UTC). Seconds since 1970 UTC. */
bool cell_time(struct table_cell cell, int64_t *ret_seconds);

/* What somebody says that a column holds, where it shall not be inferred. */
enum column_type { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_DATE, COLUMN_BOOLEAN };

struct column_given {
	const char *name; /* the column's */
	enum column_type type;
};

/* The type of a word: text, number, date, boolean, or what AWS Glue calls such a type (string, int, double, timestamp
 * …; in any case of letters). -EINVAL with words. */
int column_type_of_word(const char *word, enum column_type *ret_type);

/* What all values of a column so far have in common. Start with {0}. */
struct column_kind {
	bool seen;
	bool no_number;
	bool no_date;
	bool no_boolean;
	bool given; /* its cells are not asked */
};

/* The kind of a column whose type is given: it says what an empty cell is, whatever the others are. */
struct column_kind column_kind_given(enum column_type type);

/* Is it known for good, whatever comes? */
static inline bool column_kind_is_settled(const struct column_kind *kind) {
	return kind->given || (kind->no_number && kind->no_date && kind->no_boolean);
}

/* Takes one more cell into account, if the kind is not given. */
void column_kind_see(struct column_kind *kind, struct table_cell cell);

/* Is it a column of texts? One without values is. */
bool column_kind_is_text(const struct column_kind *kind);
