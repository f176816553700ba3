/* A pattern, a newline, and a path: any bytes. */
#include "policy/glob.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	char *text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	char *path = strchr(text, '\n');
	if (path) {
		*path++ = '\0';
		bool matches = glob_match(text, path);
		unsigned closeness = glob_closeness(text, path);
		if (closeness > 1000 || matches != (closeness == 1000))
			abort();
		(void)glob_miss(text, path);
		/* A path without meaning of its own always matches itself. */
		if (glob_check(text) == 0 && !strpbrk(text, "*?[\\") && !glob_match(text, text))
			abort();
	}
	free(text);
	return 0;
}
