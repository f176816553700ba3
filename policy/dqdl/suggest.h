/*
 * suggest: looks at a table once and proposes rules that it passes and that another delivery of the same data should
 * pass too: a lower bound of rows, the number of columns, and for each column what holds of
 *
 *     IsPrimaryKey, IsUnique   no value comes twice, none is missing, in ten rows or more; the first is the key
 *     ColumnValues in […]      at most 20 different values, each ten times or more on average
 *     ColumnDataType           Integer, Long, Double, Boolean, Date, Timestamp
 *     DataFreshness            dates that are all of the last month
 *     ColumnValues >= 0        numbers that are not negative
 *     ColumnLength             texts all of one length
 *     IsComplete, Completeness, != EMPTY with threshold
 *     ColumnExists             where nothing better is known
 *
 * A key or a vocabulary says enough alone. Shares are rounded down, so that the file itself passes. In a wide table the
 * strongest rules are taken. The text is DQDL for AWS Glue too, with a comment above each rule that says why. It holds
 * cells only where a column has few values, which are its vocabulary rather than anybody's data: not where they are
 * sentences, most of them come only once, or the column's name says that people write there what they like; nor where
 * the column is hidden.
 *
 * Not proposed: Mean, Range and their like, which tell of this delivery and not of the next.
 *
 *     new ─▶ row, row, … ─▶ text
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/dqdl/value.h"

typedef struct DqdlProfile DqdlProfile;

/* For a table with these columns, whose rows will be judged under this null policy (which must outlive the profile).
 * Names are copied. -ENOMEM. */
int dqdl_profile_new(
        const struct table_cell *names, size_t count, const struct dqdl_nulls *nulls, DqdlProfile **ret_profile);
void dqdl_profile_free(DqdlProfile *profile);
DEFINE_CLEANUP(DqdlProfile, dqdl_profile_free);

/* Looks at a row of as many cells as there are names. -ENOMEM. */
int dqdl_profile_row(DqdlProfile *profile, const struct table_cell *cells);

/* What is left out of rules about a column: whatever tells of its values, or the whole column, its name too. */
enum dqdl_hide { DQDL_HIDE_VALUES, DQDL_HIDE_COLUMN };
void dqdl_profile_hide(DqdlProfile *profile, size_t column, enum dqdl_hide what);

/* Writes the ruleset; the text is the caller's to free. `now`, seconds since 1970 UTC, is when the table was whole:
 * what is fresh is told by it. -ENOMEM. */
int dqdl_profile_suggest(const DqdlProfile *profile, int64_t now, char **ret_text);
