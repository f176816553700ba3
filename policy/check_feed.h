/*
 * check_feed: a table's rows on their way from the reader to the rules. For check_rules.c.
 *
 *     alone:        reader ─▶ rows ─▶ all rules ─▶ reader …
 *     with a crew:  reader ─▶ batch A ─▶ rules, in parts, by all threads
 *                   reader ─▶ batch B     meanwhile
 */
#pragma once

#include "policy/crew.h"
#include "policy/dqdl/evaluate.h"
#include "policy/table/table.h"

/* Feeds all rows that are left; crew NULL: alone. What was seen of a table that can't be read to its end is worth
 * nothing. The reader's errors, or -ENOMEM. */
int check_feed(TableReader *reader, DqdlEvaluator *evaluator, Crew *crew);
