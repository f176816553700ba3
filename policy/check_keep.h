/*
 * check_keep: the rows that a dataset's keep drops, as ranges of the file's bytes; for check_rules.c and
 * check_second.c.
 *
 *     row  row  ┌row  row┐ row  ┌row┐         rows that follow one another are one range, without rules
 */
#pragma once

#include "policy/check.h"
#include "policy/dqdl/evaluate.h"
#include "policy/table/table.h"

/* All zero: none yet. */
struct dropped_rows {
	RowList *list; /* the ranges but for the last */
	uint64_t offset, length, line;
	bool is_too_many; /* for a list */
};

/* Frees the list, if nobody took it. */
static inline void dropped_release(struct dropped_rows *dropped) {
	row_list_free(dropped->list);
}

/* An empty list of rows of what the reader reads, before the first. */
int check_list_begin(const TableReader *reader, RowList **ret_list);

/* Adds the reader's last row. -ENOMEM. */
int check_drop_row(struct dropped_rows *dropped, const TableReader *reader);

/* All rows were read: of a table that passed these are the rows to be withheld. That they are too many, or no bytes of
 * the file, is an error of the result. */
int check_drop_take(struct dropped_rows *dropped, const TableReader *reader, struct check_result *result);
