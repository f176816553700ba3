/*
 * words: which words stand in a text or in a column's name.
 *
 *     my sin-number: customerPhone   ─▶   my · sin · number · customer · Phone
 *
 * They are letters, digits and apostrophes, letters of all scripts among them, and end at what is none, and where a
 * lower case letter is followed by an upper one (of ASCII). Their case does not matter (of ASCII's letters).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The next word from *at on, behind which *at is then, begins at *ret_start: its size; 0: there is none. */
size_t words_next(const char *text, size_t size, size_t *at, size_t *ret_start);

/* Does one of a list stand in the text? They stand between blanks, several words that make one joined by '_'; "=name"
 * is there only where it is all there is. NULL: there are none in the list. */
bool words_have_any(const char *list, const char *text, size_t size);

/* Do all of a phrase's words, of which it has one at least, stand in the text one behind another? */
bool words_have_phrase(const char *phrase, const char *text, size_t size);

/* Has the text a word at all? */
bool words_are_there(const char *text, size_t size);

/* Does the text go on with the same word at a byte, so that a cut there would make others of it? */
bool words_go_on(const char *text, size_t at);
