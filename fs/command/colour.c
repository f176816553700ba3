#include "fs/command/colour.h"

#include "crypto/base/cleanup.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool colour_wanted(FILE *out) {
	const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");
	if (none && *none)
		return false;
	return terminal && *terminal && strcmp(terminal, "dumb") != 0 && isatty(fileno(out));
}

void colour_print(FILE *out, enum colour colour, const char *format, ...) {
	static const char *const codes[] = {"", "32", "31;1", "33", "1"}; /* of the terminal's own sixteen */
	_cleanup_(freep) char *text = NULL;
	va_list values;
	va_start(values, format);
	int length = vasprintf(&text, format, values);
	va_end(values);
	if (length < 0) {
		text = NULL;
		return;
	}
	if (colour == COLOUR_PLAIN || !colour_wanted(out)) {
		(void)fputs(text, out);
		return;
	}
	bool is_line = length > 0 && text[length - 1] == '\n';
	if (is_line)
		text[length - 1] = '\0';
	(void)fprintf(out, "\033[%sm%s\033[0m%s", codes[colour], text, is_line ? "\n" : "");
}

enum colour colour_of_outcome(const char *outcome) {
	static const struct {
		const char *word;
		enum colour colour;
	} rows[] = {{"passed", COLOUR_GOOD}, {"failed", COLOUR_BAD}, {"error", COLOUR_BAD}, {"erased", COLOUR_BAD},
	        {"expired", COLOUR_BAD}, {"pending", COLOUR_WAITS}, {"waived", COLOUR_WAITS}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (strcmp(rows[i].word, outcome) == 0)
			return rows[i].colour;
	return COLOUR_PLAIN;
}
