/*
 * check_privacy: personal data in what a check reads. For check_rules.c, check_text.c and check_second.c.
 *
 *     first pass     rows ─▶ sample ─▶ scanner ─▶ findings of the result, counted by entity and column; groups
 *     then           which of them act: refuse the file, or change what is published
 *     second pass    row ─▶ what is found in it, by those findings
 */
#pragma once

#include "policy/check.h"
#include "policy/table/rows.h"

typedef struct CheckPrivacy CheckPrivacy;

/* Of a job with privacy or groups, for whose result it counts. Both must live as long. What makes no sense of the job
 * is -EINVAL, with words. */
int check_privacy_new(const struct check_job *job, struct check_result *result, CheckPrivacy **ret_privacy);
void check_privacy_free(CheckPrivacy *privacy);
DEFINE_CLEANUP(CheckPrivacy, check_privacy_free);

/* Tells a table's columns; of a text: NULL. A column that the policy names and that is not there fails the file. */
int check_privacy_header(CheckPrivacy *privacy, const struct table_cell *names, size_t columns);

/* Looks at rows. -EOVERFLOW with words that name the line, -ENOMEM. */
int check_privacy_rows(CheckPrivacy *privacy, const struct table_rows *rows);

/* All rows were there: says in the result what it comes to. Rules on groups are about what is published: where that is
 * something else, it says nothing of them. */
int check_privacy_end(CheckPrivacy *privacy);

/* They are, after all: nothing was changed. */
int check_privacy_settle_groups(CheckPrivacy *privacy);

/* What nobody has looked through does not pass: says in the result what it is, and what helps. */
int check_privacy_say_unseen(struct check_result *result, const char *what, const char *remedy);
#define CHECK_PACK_AGAIN "pack it again, as gzip -n does"

/* Is something to be published otherwise? */
bool check_privacy_changes(const CheckPrivacy *privacy);

/* ---- the second pass ---- */

/* Something in a row that acts; bytes of its cell. */
struct check_place {
	uint64_t line; /* of the row */
	size_t column, from, to;
	size_t finding; /* of the result */
	enum privacy_action action;
	unsigned score;
	struct table_cell cell; /* as the scanner had it; none after the call */
};
typedef int check_place_fn(void *context, const struct check_place *place);

/* Calls `each` for what acts in these rows, in the order of rows, columns and places; a column that is treated as a
 * whole is one place a cell. Its negative value ends it. After check_privacy_end(), or (of a text) in its stead. */
int check_privacy_places(CheckPrivacy *privacy, const struct table_rows *rows, check_place_fn *each, void *context);

/* The action that is done to a column as a whole, and of which finding; false: none is. */
bool check_privacy_column(
        const CheckPrivacy *privacy, size_t column, enum privacy_action *ret_action, size_t *ret_finding);

/* For who scans a text by itself (check_text.c). */
Scanner *check_privacy_scanner(CheckPrivacy *privacy);
/* Counts a finding, whatever it comes to; *ret_place says where it is, and false that it does not act. */
int check_privacy_count(
        CheckPrivacy *privacy, const struct scan_finding *finding, bool *ret_acts, struct check_place *ret_place);
