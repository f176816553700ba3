/*
 * triggers: words of context, looked for in a cell all at once.
 *
 *     "SIN: 130 692 544"  ─▶  sin ─▶ | 0 0 1 0 … |     a bit for each detector that listens to it
 *
 * Only cells with digits are asked for them, as the detectors that need a word beside a number need the number too: a
 * third of Hyperscan's time went into these words when it was asked of all text.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Detectors that there can be. */
#define TRIGGERS_MOST 64

struct triggers {
	struct trigger {
		const char *text;
		size_t size;
		uint64_t bits;
		unsigned next; /* with that initial, from 1 */
	} * list;
	size_t count, room;
	unsigned first[32]; /* of each initial, as its lowest five bits */
};

/* A detector's words, as words.h has them in lists; of several in a row the first triggers. They must stay. -ENOMEM. */
int triggers_add(struct triggers *triggers, const char *list, unsigned bit);

/* The detectors whose words are in a text. */
uint64_t triggers_in(const struct triggers *triggers, const char *text, size_t size);
void triggers_release(struct triggers *triggers);
