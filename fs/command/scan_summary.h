/*
 * scan_summary: findings of one file, counted by column and entity.
 *
 *     EMAIL in "mail", line 2 · EMAIL in "mail", line 3 · IBAN in "note", line 9
 *     ─▶  EMAIL in "mail": 2, first on line 2 · IBAN in "note": 1, first on line 9
 */
#pragma once

#include "policy/privacy/scanner.h"

struct scan_count {
	const char *entity; /* static */
	size_t column;
	char *name; /* the column's; NULL: the file is no table */
	size_t name_size;
	uint64_t count, first_line;
};

/* All zero: none yet. Ascending by column, and by entity. */
struct scan_summary {
	struct scan_count *counts;
	size_t count, room;
};
void scan_summary_release(struct scan_summary *summary);

/* Counts one finding in the column called `name`, which is copied (no data: in none). -ENOMEM with words. */
int scan_summary_add(struct scan_summary *summary, const struct scan_finding *finding, struct table_cell name);
