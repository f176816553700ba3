/* check_changes: what a check finds that is to be published otherwise: rows left out, places changed. For
 * check_second.c and check_text.c. */
#pragma once

#include "policy/check_privacy.h"

/* Why what would be changed is not, where there is nobody to do it. */
extern const char check_only_by_landing[];
extern const char check_not_plain[];

/* All zero: nothing yet. Places of edits are of what is left without the rows that are dropped. */
struct check_changes {
	RowList *without;
	EditList *edits;
	uint64_t removed;           /* bytes of rows so far */
	uint64_t dropped;           /* rows that an action drops */
	struct check_place *places; /* of the row that is looked at; with `from` and `to` as who adds them says */
	size_t count, room;
};
void changes_release(struct check_changes *changes);

/* Of the row; -ENOMEM. A check_place_fn on a struct check_changes. */
int changes_add_place(void *changes, const struct check_place *place);

/* Those that overlap become one, which is redacted if any of them is, and else treated as the surest of them. They are
 * in the order of columns and places. */
void changes_merge(struct check_changes *changes);

/* Does any of them drop the row? */
bool changes_drop_row(const struct check_changes *changes);

/* Both of places in the file as it is read, behind all others. -E2BIG with words, -ENOMEM. */
int changes_edit(struct check_changes *changes, uint64_t offset, uint64_t length, size_t finding, unsigned flags);
int changes_leave_out(struct check_changes *changes, uint64_t offset, uint64_t length, uint64_t line,
        const size_t *reasons, size_t count);

/* The result takes them over, as far as there are any. */
void changes_take(struct check_changes *changes, struct check_result *result);
