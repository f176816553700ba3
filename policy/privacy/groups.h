/*
 * groups: how many rows are like each other in some columns, and how many values a further one has among them.
 *
 *     columns {Year, FSA}, k: 5          sensitive: Diagnosis, l: 2
 *     1980 V6B   ×7                      2 values
 *     1981 V6B   ×2   fewer than 5       1 value: fewer than 2
 *
 * k-anonymity: no row may be one of fewer than k (Sweeney, 2002). Distinct l-diversity: no group may have fewer than l
 * sensitive values (Machanavajjhala et al., 2007). No cell is kept, only hashes under a key of this run.
 */
#pragma once

#include "policy/privacy/privacy.h"

typedef struct Groups Groups;

/* For rules of that policy, which must live as long. `bytes`: memory that all of them may use together. -ENOMEM. */
int groups_new(const struct privacy_groups *rules, size_t count, size_t bytes, Groups **ret_groups);
void groups_free(Groups *groups);
DEFINE_CLEANUP(Groups, groups_free);

/* Tells the columns' names. A rule whose columns are not all there fails, with that reason. */
int groups_header(Groups *groups, const struct table_cell *names, size_t count);

/* Counts rows. A rule that needs more memory than there is can't be decided, and the others go on. -ENOMEM. */
int groups_rows(Groups *groups, const struct table_rows *rows);

struct groups_outcome {
	bool is_decided, has_passed;
	uint64_t groups, small; /* how many there are, and how many of them have too few rows, or values */
	uint64_t rows;          /* in those, of k-anonymity */
	char words[400];        /* what was found, or why it can't be decided */
};

/* Of the i-th rule, so far. */
void groups_outcome(const Groups *groups, size_t i, struct groups_outcome *ret_outcome);

/* The i-th rule in words, for a verdict: `k_anonymity "Year" "FSA" k = 5`. Allocated; NULL without memory. */
char *groups_rule_text(const struct privacy_groups *rule);
