/*
 * pattern: a regular expression of a rule, asked once a cell, that ends whatever cell it meets.
 *
 * DQDL's are Java's; PCRE2's are the closest there is in C. \uXXXX is translated; a step limit makes (a+)+$ an answer
 * within milliseconds and not a worker that hangs. No machine code is made of them, which a worker may not run: what is
 * an answer in one place shall not be an error in another.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/dqdl/pattern_fixed.h"
#include "policy/table/cell.h"

typedef struct Pattern Pattern;

/* Steps that matching one cell may take (pcre2_set_match_limit). */
#define PATTERN_MATCH_LIMIT 200000u

enum {
	PATTERN_FOLD_CASE = 1, /* without regard to case, as Unicode has it */
	PATTERN_WHOLE = 2,     /* the whole cell must match */
};

/* `text` is in UTF-8. -EINVAL: does not compile, with words; -ENOMEM. */
int pattern_new(const char *text, unsigned flags, Pattern **ret_pattern);
void pattern_free(Pattern *pattern);
DEFINE_CLEANUP(Pattern, pattern_free);

enum pattern_answer { PATTERN_NONE, PATTERN_FOUND, PATTERN_FOUND_EMPTY /* of length 0 */, PATTERN_OVER_LIMIT };

/* The first match in a cell of valid UTF-8. */
enum pattern_answer pattern_find(Pattern *pattern, struct table_cell cell);

/* The first match from that byte on, which begins a character: *ret_start and *ret_end are its bytes, where there is
 * one. It is asked of a cell from its start on first. */
enum pattern_answer pattern_find_from(
        Pattern *pattern, struct table_cell cell, size_t from, size_t *ret_start, size_t *ret_end);

/* Is there a text in which it matches no character? Of an expression that calls itself that is always said. */
bool pattern_may_be_empty(const Pattern *pattern);

/* The same of a cell from whose start ROWS_SLACK bytes can be read, if it is answered without the engine;
 * FIXED_UNKNOWN: it is not, ask pattern_find. */
enum fixed_answer pattern_try(const Pattern *pattern, struct table_cell cell);

/* Java's expression between `before` and `behind`, in PCRE2's words; allocated, NULL without memory. */
char *pattern_translate(const char *before, const char *java, const char *behind);
