/*
 * detector: what personal data looks like: a pattern, a validator, and the words that stand around it.
 *
 *     text ─▶ pattern (PCRE2) ─▶ validator ─▶ score, in percent ─▶ with a word of its context near by: 35 more, 40 at
 * least
 *
 * Entities are named as AWS Glue names them, where it does. The scores follow one rule: 90 and more, when a check digit
 * or a form that nothing else has makes chance impossible or all but; 50 to 89, when the form is its own but no digit
 * checks it; below 50, when numbers of other kinds look the same, so that context must decide.
 */
#pragma once

#include "policy/privacy/features.h"
#include "policy/privacy/hints.h"
#include "policy/privacy/shapes.h"
#include "policy/privacy/validate.h"

/* What pattern and validator can't say. */
struct closer_look {
	/* Hints at matches in a text, as an expression's do (hints.h); NULL: the expression's hint. */
	int (*hint)(const struct features *features, const char *text, size_t size, struct hints *hints, unsigned id);
	/* The expression's first match from a byte on: 1, 0; -1: the expression must say it. NULL: it always must. */
	int (*find)(struct table_cell cell, size_t from, size_t *ret_start, size_t *ret_end);
	/* Narrows a match to what it is and says its score; 0: it is none. NULL: the detector's. */
	unsigned (*rate)(struct table_cell *match);
	/* Do the columns' names tell that one holds something else? Then half the score is left. NULL: never. */
	bool (*is_other)(const struct table_cell *columns, size_t count, size_t column);
	/* Does the key before a match, which stands in a cell of JSON, say what it is? NULL: words near by do alone. */
	bool (*is_keyed)(struct table_cell cell, size_t start, size_t end);
	const char *no_keys; /* words of columns in which no key says so */
	bool by_column;      /* only a column's name is context */
};

struct detector {
	const char *entity;
	const char *hint;    /* what is in every match, for Hyperscan; NULL: the pattern itself */
	const char *pattern; /* PCRE2; nothing of it may stand right before or behind that would make it longer */
	validate_function *validate; /* NULL: the pattern says all */
	unsigned score;              /* of what fits and is valid */
	bool needs_context;          /* without a word near by it is nothing */
	const char *context;         /* words, in lower case, between blanks; NULL: none help */
	struct {
		unsigned char digits, letters, uppers, size;
		unsigned short shape;
	} needs; /* what a text with a match has at least (shapes.h), in bytes; without a hint this is the hint */
	const struct closer_look *closer; /* NULL: none is needed */
};

/* One a pattern, several of an entity; the last has no entity. */
extern const struct detector detectors[];

/* May what looks like that have a match, as far as the needs say? */
bool detector_may_match(const struct detector *detector, const struct shapes *shapes);

/* The next entity's name behind `entity` (NULL: the first), in alphabetical order; NULL behind the last. */
const char *detector_next_entity(const char *entity);

/* Is there such an entity? */
bool detector_is_entity(const char *entity);
