/*
 * scan_rows: a table's rows on their way to who looks for personal data in them.
 *
 *     rows ─▶ the first ones wait until a sample is whole ─▶ what columns consist of (scanner_sample) ─▶ look
 *     rows ─▶ in one text: at once; in many: when there are some, brought together ─▶ look
 *
 * `look` has all rows, in their order.
 */
#pragma once

#include "policy/privacy/scanner.h"
#include "policy/table/batch.h"

typedef int scan_look(void *context, const struct table_rows *rows);

/* All zero but the first four: nothing yet. */
struct scan_rows {
	Scanner *scanner; /* that samples; NULL: none does */
	size_t sample;    /* rows, at least, as far as they fit into a batch; 0: none */
	scan_look *look;
	void *context;

	struct batch batch;
	bool is_sampled;
};

/* Their value of `look`, scanner_sample()'s, -ENOMEM. The rows are looked at no more behind the call. */
int scan_rows_add(struct scan_rows *rows, const struct table_rows *more);
/* What still waits. */
int scan_rows_end(struct scan_rows *rows);
void scan_rows_release(struct scan_rows *rows);

/* Looks for personal data in the names of columns, each as if it were a cell of its column on that line.
 * scanner_rows()'s values. */
int scan_names(Scanner *scanner, const struct table_cell *names, size_t columns, uint64_t line, scan_found *found,
        void *context);
