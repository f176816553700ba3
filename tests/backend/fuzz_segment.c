/*
 * Header, batch header and directory of a segment from arbitrary bytes. The directory is also parsed as if it
 * authenticated: the bytes are sealed first, as who has the key could.
 */
#include "backend/segment_format.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_directory(const Aead *aead, const uint8_t *id, const uint8_t *data, size_t size) {
	struct segment_entry entries[SEGMENT_BATCH_BLOCKS], again[SEGMENT_BATCH_BLOCKS];
	uint8_t sealed[SEGMENT_BATCH_BLOCKS * SEGMENT_ENTRY_BYTES + SEGMENT_TAG_BYTES];
	size_t n = size / SEGMENT_ENTRY_BYTES;
	if (n == 0 || n > SEGMENT_BATCH_BLOCKS)
		return;
	uint64_t length = segment_batch_prefix(n);
	for (size_t i = 0; i < n; i++) {
		const uint8_t *from = data + i * SEGMENT_ENTRY_BYTES;
		entries[i] = (struct segment_entry){.node = le64_get(from),
		        .version = le64_get(from + 8),
		        .offset = le64_get(from + 16),
		        .plain = le32_get(from + 24),
		        .flags = le32_get(from + 28)};
		length += segment_entry_stored(&entries[i]) + SEGMENT_TAG_BYTES;
	}
	if (segment_directory_seal(aead, id, 77, entries, n, sealed) < 0)
		abort();
	int rc = segment_directory_open(aead, id, 77, sealed, n, (uint32_t)length, again);
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (again[i].plain == 0 || again[i].plain > SEGMENT_BLOCK_BYTES || again[i].node != entries[i].node)
			abort();
		if (segment_entry_stored(&again[i]) > again[i].plain)
			abort();
	}
	if (size >= n * SEGMENT_ENTRY_BYTES + SEGMENT_TAG_BYTES &&
	        segment_directory_open(aead, id, 77, data, n, (uint32_t)length, again) == 0)
		abort();
}

/* What parses says the same when it is written again. */
static void try_header(const uint8_t *data, size_t size, const uint8_t *key) {
	struct segment_header header, again;
	uint8_t bytes[SEGMENT_HEADER_BYTES];
	if (segment_header_parse(bytes_of(data, size), &header) < 0)
		return;
	if (segment_header_open(data, key) == 0)
		abort();
	segment_header_seal(&header, key, bytes);
	if (segment_header_open(bytes, key) < 0 || segment_header_parse(bytes_of(bytes, sizeof bytes), &again) < 0)
		abort();
	if (strcmp(again.own_name, header.own_name) != 0 || again.own_version != header.own_version)
		abort();
	if ((again.format == SEGMENT_FORMAT_OWN) != (again.own_name[0] != '\0'))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const uint8_t key[SEGMENT_KEY_BYTES] = {1}, id[SEGMENT_ID_BYTES] = {2};
	struct segment_batch batch;
	uint8_t bytes[SEGMENT_HEADER_BYTES];
	try_header(data, size, key);
	if (size >= SEGMENT_HEADER_BYTES) { /* as one that has a key of its own, whatever it says */
		memcpy(bytes, data, sizeof bytes);
		bytes[8] = SEGMENT_FORMAT_OWN;
		bytes[9] = 0;
		try_header(bytes, sizeof bytes, key);
	}
	if (segment_batch_parse(bytes_of(data, size), &batch) == 0 &&
	        (batch.blocks > SEGMENT_BATCH_BLOCKS || batch.length < segment_batch_prefix(batch.blocks)))
		abort();
	Aead *aead = NULL;
	if (aead_new(AEAD_XCHACHA20POLY1305, key, &aead) < 0)
		abort();
	try_directory(aead, id, data, size > 2048 ? 2048 : size);
	if (size >= SEGMENT_BATCH_BYTES && segment_batch_open(aead, id, 0, data) == 0)
		abort();
	aead_free(aead);
	return 0;
}
