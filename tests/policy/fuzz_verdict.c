/* Any bytes as a stored verdict. What is accepted is shown to a person, and written again to the same bytes. */
#include "policy/verdict.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct verdict *verdict = NULL;
	char *again = NULL, *text = NULL;
	size_t again_size = 0;
	if (verdict_from_json(bytes_of(data, size), &verdict) < 0)
		return 0;
	if (verdict_to_json(verdict, &again, &again_size) < 0 || again_size != size || memcmp(again, data, size) != 0)
		abort();
	if (verdict_text(verdict, &text) < 0)
		abort();
	for (const char *at = text; *at; at++)
		if ((unsigned char)*at < ' ' && *at != '\n')
			abort();
	free(text);
	free(again);
	verdict_free(verdict);
	return 0;
}
