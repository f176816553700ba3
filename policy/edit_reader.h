/*
 * edit_reader: a file as it is published: all bytes as they are, but those of the places in a list.
 *
 *     input    … bob@example.com;604-555-0199 …
 *     output   … [EMAIL];********0199 …
 *
 * Reads front to back in memory that does not grow with the file. All zero but the first fields: before the first byte.
 */
#pragma once

#include "policy/check.h"
#include "policy/privacy/treat.h"

/* What is done with places of one finding. */
struct edit_meaning {
	struct privacy_treatment treatment;
	const char *name; /* of the entity */
};

/*
 * What is done with the findings of a result, one each: as the policy has it, whatever a worker says. The texts are the
 * policy's. -EBADMSG with words for a finding that nobody looks for, or another action; -ENOMEM. To be freed.
 */
int edit_meanings(const struct privacy *privacy, const struct check_privacy_result *found, struct edit_meaning **ret);

#define EDIT_READER_BYTES (64u << 10)

struct edit_reader {
	struct check_input from;
	const EditList *list;
	const struct edit_meaning *meanings; /* one a finding that the list may name */
	const struct treat_key *key;

	struct edit_cursor cursor;
	struct edit edit; /* the next; length 0: not looked for yet */
	bool is_behind_edits;
	uint8_t *in; /* bytes from `offset` on */
	size_t in_at, in_end;
	uint64_t offset;
	struct treated raw; /* of the place, so far */
	struct treated out; /* what is to be given next, from out_at on */
	size_t out_at;
};

/* A check_read on a struct edit_reader. The input's errors; -EBADMSG with words for a place behind the end, or of no
 * text of the list's dialect; -ENOMEM. */
ssize_t edit_read(void *context, void *buffer, size_t size);

/* A check_read_again, if the input has one. */
int edit_read_again(void *context);
void edit_reader_release(struct edit_reader *reader);
