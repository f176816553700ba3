/* Lines of successions from outside: what is read is spelled the same again; each needs its signatures. */
#include <stdlib.h>
#include <string.h>

#include "crypto/succession.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_line(struct bytes line) {
	struct succession succession;
	char again[SUCCESSION_LINE_BYTES];
	if (succession_parse(line, &succession) < 0)
		return;
	succession_line(&succession, again);
	if (strlen(again) != line.size || memcmp(again, line.data, line.size) != 0)
		abort();
	(void)succession_verify(&succession);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct bytes rest = bytes_of(data, size), line;
	struct key_chain chain = {0};
	while (bytes_take_line(&rest, &line))
		try_line(line);
	try_line(rest);
	int rc = key_chain_read(&chain, bytes_of(data, size));
	for (size_t i = 0; i < chain.count; i++)
		if (succession_verify(&chain.list[i]) < 0)
			abort();
	if (rc == 0 && size > 0 && chain.count == 0)
		abort();
	key_chain_clear(&chain);
	return 0;
}
