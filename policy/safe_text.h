/* safe_text: words of a file or a policy on their way to a terminal. */
#pragma once

#include <stdio.h>

/* Writes the text with control bytes, which a terminal obeys, and what is not UTF-8 escaped as \xNN. */
void safe_text_put(FILE *to, const char *text);
