/*
 * check_feed: a table's rows on their way from the reader to the rules. For check_rules.c.
 *
 *     alone:        reader ─▶ rows ─▶ all rules ─▶ reader …
 *     with a crew:  reader ─▶ batch A ─▶ rules, in parts, by all threads
 *                   reader ─▶ batch B     meanwhile
 *
 * Who else wants to see the rows sees them in the thread that reads.
 */
#pragma once

#include "policy/crew.h"
#include "policy/dqdl/evaluate.h"
#include "policy/table/table.h"

/* rows NULL: nobody. Its errors end the feeding. */
struct check_feed_also {
	int (*rows)(void *context, const struct table_rows *rows);
	void *context;
};

/* Feeds all rows that are left; crew NULL: alone. What was seen of a table that can't be read to its end is worth
 * nothing. The reader's errors, or -ENOMEM. */
int check_feed(TableReader *reader, DqdlEvaluator *evaluator, Crew *crew, const struct check_feed_also *also);
