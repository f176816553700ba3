/*
 * edit_list: places of a file in which something else is published.
 *
 *     file    … bob@example.com …      604-555-0199 … │ a column that goes │ …
 *     list      └──── 0 ──────┘        └──── 1 ───┘     └──── 2 ─────────┘     which finding, and so what is done
 *
 * The worker says where; the daemon, which has the key, says what stands there (privacy/treat.h). So a list from a
 * worker is hostile: edit_list_parse takes nothing but places in ascending order that don't overlap, inside the file,
 * of findings that there are.
 *
 * Packed: form, quote, escape: one byte each; then in numbers as leb.h, for each place: bytes since the last place's
 * end | length | finding * 4 + flags
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

/* What is more can't be published. */
#define EDIT_LIST_BYTES_MAX (64u << 20)
/* Of one place that is not simply left out: its text is held in memory. */
#define EDIT_LENGTH_MAX (1u << 20)

enum edit_flags {
	EDIT_BARE = 1, /* in no quotes: of JSON, so that what stands for it gets some; of CSV, where one stands for
	                  itself */
	EDIT_WHOLE = 2 /* left out without a trace, of any length */
};

struct edit {
	uint64_t offset, length;
	size_t finding;
	unsigned flags;
};

/* How the file is written, for who writes into it. */
enum edit_form { EDIT_TEXT, EDIT_CSV, EDIT_JSON };
struct edit_dialect {
	enum edit_form form;
	char quote, escape; /* of EDIT_CSV; 0: none */
};

typedef struct EditList EditList;

/* A list without places. -ENOMEM. */
int edit_list_new(const struct edit_dialect *dialect, EditList **ret_list);
void edit_list_free(EditList *list);
DEFINE_CLEANUP(EditList, edit_list_free);

/* Adds one of at least one byte, behind all others. -E2BIG with words past the limits above; -EINVAL for one that does
 * not come behind the last; -ENOMEM. */
int edit_list_add(EditList *list, const struct edit *edit);

/* The list's. */
const struct edit_dialect *edit_list_dialect(const EditList *list);
uint64_t edit_list_count(const EditList *list);

/* The packed form, the list's. */
struct bytes edit_list_packed(const EditList *list);

/* And back: -EBADMSG with words for what no list of a file of `size` bytes and `findings` findings is. */
int edit_list_parse(struct bytes packed, uint64_t size, size_t findings, EditList **ret_list);

/* All zero: before the first. */
struct edit_cursor {
	size_t next;
	uint64_t end;
};

/* False: there are no more. Many may read one list. */
bool edit_list_next(const EditList *list, struct edit_cursor *cursor, struct edit *ret_edit);
