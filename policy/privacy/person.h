/*
 * person: names of persons in texts, of which nothing but common sense tells what they are.
 *
 *     "Dear Mary Ann Smith, …"   words with capitals in a row ─▶ known names first and last ─▶ "Mary Ann Smith", 60%
 *     "Smith, Mary"              the surname first, with a comma                                              60%
 *     "Mary Qwerty"              one of the two is known                                                      30%
 *     "Aqwe Xyrty"               none is: only where the column's name says that persons' names stand in it
 *
 * Words that are street, company or dog breed end a name, and what is known by such a name ("Jack Russell") is none.
 */
#pragma once

#include "policy/privacy/features.h"
#include "policy/privacy/hints.h"
#include "policy/table/cell.h"

/* What PCRE2 is asked: words with capitals in a row. The first is for names of two to four words, the second for a
 * whole cell of one name, as columns of first or last names have them. */
#define PERSON_RUN                                                                                                     \
	"(?<![\\p{L}\\p{N}_@.-])(?<![\\p{L}]')" PERSON_WORD "(?:,? (?:" PERSON_PARTICLE " ){0,2}" PERSON_WORD "){1,7}" \
	"(?![\\p{L}\\p{N}_@])"
#define PERSON_SINGLE "\\A *+\\K" PERSON_WORD "(?: (?:" PERSON_PARTICLE " ){0,2}" PERSON_WORD "){0,3}(?= *+\\z)"
#define PERSON_WORD "\\p{Lu}(?:\\.|[\\p{L}\\p{M}]*+(?:['\\x{2019}-][\\p{L}\\p{M}]++)*+)"
#define PERSON_PARTICLE "(?:d[aeiou]s?|del|della|de[nr]|van|von|la|le|el|al|bin|bint|ibn|y|e)"

/* Hints at names with a known part in a text, from whose end NAMES_BYTES_READ can be read: where a word ends its pair
 * with a known one, or is known. Few steps a pair, none a cell. names_ready() before. -ENOMEM. */
int person_hint(const struct features *features, const char *text, size_t size, struct hints *hints, unsigned id);

/* The first match of PERSON_RUN from a byte on, without the engine, which takes thirty times as long: 1, with its
 * place, or 0. -1: there are characters beyond ASCII, ask the engine. */
int person_find(struct table_cell cell, size_t from, size_t *ret_start, size_t *ret_end);

/* Narrows what PERSON_RUN matched to a name with a known part, and says its score in percent; 0: there is none. */
unsigned person_rate(struct table_cell *match);

/* The same without known parts, in a column of names. */
unsigned person_rate_unknown(struct table_cell *match);

/* Words that say of what is called "name" beside them that it is an animal's or a product's. */
#define PERSON_THINGS "breed species pet animal product sku brand model item"

/* Is the match in a string of JSON whose key is "name", and does nothing in its object tell that it is a thing's? */
bool person_is_keyed(struct table_cell cell, size_t start, size_t end);

/* Is a column's name just "name", and do other columns tell that it is an animal's or a product's? */
bool person_is_thing(const struct table_cell *columns, size_t count, size_t column);
