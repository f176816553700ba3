/*
 * reference: tables that rules hold the primary one against. For kind_reference*.c; not for others.
 *
 *     reference ─▶ each check that names it: columns ─▶ row, row … ─▶ end      what it keeps: a count, a sum, types, or
 *                                                                              a set of tuples (struct key_set)
 *     row       ─▶ the same checks: is the row's tuple in the set?
 */
#pragma once

#include "policy/dqdl/evaluator.h"

/* The table that is fed; it belongs to the evaluator. */
struct reference {
	char *alias;
	const struct table_cell *names;
	size_t column_count;
	uint64_t rows;
};

/* ---- what is said ---- */

/* Fails a rule whose table was not fed, in the words of its type. */
int reference_missing(struct check *check, const char *alias);

/* Holds a metric against the condition: "Dataset.ALIAS.RowCountMatch" is its whole name, `subject` "Dataset.ALIAS".
 * What fails names the check's first failing lines, if it has any. */
int reference_settle(struct check *check, const char *subject, double value);

/* ---- lists of columns, as parameters have them: "a,b", "a->b, c->d" ---- */

/* `ours` and `theirs` alike where there is no arrow. Names are the list's; blanks around them are not. */
struct column_pairs {
	size_t count;
	char **ours, **theirs;
};
int column_pairs_read(struct table_cell text, struct column_pairs *ret_pairs);
int column_pairs_add(struct column_pairs *pairs, struct table_cell ours, struct table_cell theirs);
void column_pairs_drop(struct column_pairs *pairs);

/* Looks up the names from the first-th on. Those that are not there, or not once, as "a, b" in *ret_absent, which is
 * the caller's; NULL: all are there. -ENOMEM. */
int columns_find(const struct table_cell *names, size_t name_count, char *const *wanted, size_t count,
        size_t *ret_indexes, char **ret_absent);

/* ---- sets of tuples ---- */

/*
 * Which tuples a reference has, as 128-bit hashes (distinct.h). A column of it that has nothing but numbers is compared
 * as numbers, whatever column it is compared with; all others as texts. As that is known at its end only, a tuple with
 * a number that is not written as an integer is (7.0, 007, 1.5) is kept twice, as a text and under the mark of the
 * columns that were numbers until then; if one turned out to be none after all, the second is never found, so that a
 * doubt speaks against a match.
 */
struct key_set {
	Distinct *distinct;
	size_t count;     /* of the columns */
	size_t key_count; /* the first ones, in which a NULL matches nothing; in the others it is like another NULL */
	size_t *ours, *theirs;
	struct column_kind *kinds; /* of theirs */
	bool *numeric;             /* theirs had nothing but numbers so far */
	bool has_odd;              /* something was kept twice */
	bool stopped;              /* over the memory's limit */
	struct room room;
};

/* Room for so many columns; ours and theirs are then to be set. */
int key_set_init(struct key_set *set, size_t count, size_t key_count);
int key_set_start(DqdlEvaluator *evaluator, struct key_set *set);
void key_set_drop(struct key_set *set);

/* Adds a row of the reference. */
int key_set_add(const DqdlEvaluator *evaluator, struct key_set *set, const struct table_cell *cells);

/* IF_TEXT: if the empty cells of its keys are texts and not NULL. */
enum key_match { KEY_ABSENT, KEY_PRESENT, KEY_PRESENT_IF_TEXT };
int key_set_find(
        const DqdlEvaluator *evaluator, struct key_set *set, const struct table_cell *cells, enum key_match *ret_match);

/* Counts the key alone of a row, of ours or of theirs: *ret_again when it was there before. -E2BIG over the limit. */
int key_set_count_key(const DqdlEvaluator *evaluator, struct key_set *set, bool is_ours, Distinct *keys,
        const struct table_cell *cells, bool *ret_again);
