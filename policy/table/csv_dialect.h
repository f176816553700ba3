/*
 * csv_dialect: finds out how a delimited text is written, from its first bytes. Used by csv.c only.
 *
 * Method: a file is written in the dialect under which the most of its records have the same number of fields, at least
 * two; with equal shares the one with more fields wins. If no delimiter makes two fields of the first record, the table
 * has one column.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "policy/table/csv.h"

/* Settles delimiter, quote, newline and BOM from `sample`; `whole` says that the file ends with it. Options given win.
 * Never fails: what does not fit the answer is found by the reader, with its line. Leaves `header` false. */
struct csv_dialect csv_detect(struct bytes sample, bool whole, const struct csv_options *options);

/* For a delimiter that was given: another that makes more than one field of the first record where this makes one, and
 * as many of nine in ten others; 0: none. The sample is without its BOM. */
char csv_doubt_delimiter(struct bytes sample, bool whole, const struct csv_dialect *dialect, size_t *ret_fields);

/* Tells from the first record whether it names the columns: none of them a number or a date, none twice. Years and an
 * empty cell may stand among names. */
bool csv_looks_like_header(const struct table_cell *cells, size_t count);
