/*
 * Feeds the reading of packs of the audit log: the first byte is the number of records (0 stands for 256), the next one
 * where in its tile the pack begins, the rest the pack. What is read must give the same bytes when it is written.
 */
#include "backend/audit_pack.h"

#include <stdlib.h>

#include "tests/backend/fuzz_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const struct audit_stored *records, uint64_t count, struct bytes pack) {
	uint8_t *again = malloc(pack.size + AUDIT_RECORD_BYTES_MAX);
	size_t at = 0;
	if (!again)
		abort();
	for (uint64_t i = 0; i < count; i++) {
		at += audit_pack_put(&records[i], i ? &records[i - 1].time_ns : NULL, again + at);
		if (at > pack.size)
			abort();
	}
	if (at != pack.size || memcmp(again, pack.data, at) != 0)
		abort();
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static struct audit_stored records[AUDIT_TILE_HASHES];
	struct input input = {.data = data, .size = size};
	uint64_t count = take(&input);
	uint64_t first = AUDIT_TILE_HASHES * 7 + take(&input);
	count = count ? count : AUDIT_TILE_HASHES;
	struct bytes pack = bytes_of(input.data, input.size);
	if (audit_pack_read(first, count, pack, records) == 0)
		write_again(records, count, pack);
	return 0;
}
