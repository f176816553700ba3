/* Feeds the reading of the heads that are kept outside of the vault. What is taken is spelled the same again. */
#include "backend/last_seen.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const uint8_t public_key[SIGN_PUBLIC_BYTES] = {1, 2, 3};
	struct last_seen seen;
	struct note_key key;
	struct checkpoint head;
	if (last_seen_parse(bytes_of(data, size), &seen) < 0)
		return 0;
	char *again = malloc(size + 1);
	if (!again || seen.count == 0 || seen.count > LAST_SEEN_BRANCHES ||
	        last_seen_format(&seen, again, size + 1) != size || memcmp(again, data, size) != 0 ||
	        last_seen_format(&seen, again, size) != 0 || note_key_make("log", public_key, &key) < 0)
		abort();
	for (size_t i = 0; i < seen.count; i++)
		if (seen.branches[i].note.size == 0 || checkpoint_open(seen.branches[i].note, &key, &head) == 0)
			abort();
	free(again);
	return 0;
}
