/*
 * Notes, keys, proofs and paths of tiles from outside. A path that is read is spelled the same again, a key too;
 * nothing that comes here is signed by the key, so no note may open.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/tlog_proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_line(const char *text, const struct note_key *key) {
	struct checkpoint head;
	uint8_t signature[SIGN_SIGNATURE_BYTES];
	char line[CHECKPOINT_LINE_BYTES];
	if (!checkpoint_line_parse(text, key, &head, signature))
		return;
	checkpoint_line(key, &head, signature, line);
	if (strncmp(line, text, strlen(line)) != 0)
		abort();
}

/* What is taken are all bytes: as many as the entries and their lengths have. */
static void try_entries(struct bytes data) {
	struct bytes entries[TILE_WIDTH];
	size_t total = 0;
	unsigned width = data.size ? 1 + data.data[0] : 1;
	if (data.size == 0 || tile_entries(bytes_of(data.data + 1, data.size - 1), width, entries) < 0)
		return;
	for (unsigned i = 0; i < width; i++)
		total += 2 + entries[i].size;
	if (total != data.size - 1)
		abort();
}

static void try_texts(const char *text) {
	char again[NOTE_VKEY_BYTES], path[TILE_PATH_BYTES];
	struct note_key key;
	struct tile tile;
	if (note_key_parse(text, &key) == 0) {
		note_key_format(&key, again);
		if (strcasecmp(again, text) != 0)
			abort();
	}
	if (tile_path_parse(text, &tile)) {
		tile_path(&tile, path);
		if (strcmp(path, text) != 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const uint8_t public_key[SIGN_PUBLIC_BYTES] = {1, 2, 3};
	struct note_key key;
	struct checkpoint checkpoint;
	if (note_key_make("log", public_key, &key) < 0 || checkpoint_open(bytes_of(data, size), &key, &checkpoint) == 0)
		abort();
	struct note_signers signers;
	if (note_list_signers(bytes_of(data, size), "log", &signers) == 0 && signers.count > NOTE_SIGNATURES_MAX)
		abort();
	struct tlog_proof proof;
	uint8_t entry[256];
	size_t entry_size;
	if (tlog_proof_parse(bytes_of(data, size), &proof) == 0 &&
	        tlog_proof_entry(&proof, entry, sizeof entry, &entry_size) == 0 &&
	        tlog_proof_verify(&proof, bytes_of(entry, entry_size), &key, &checkpoint) == 0)
		abort();
	char *text = strndup(size ? (const char *)data : "", size);
	if (text) {
		try_texts(text);
		try_line(text, &key);
	}
	try_entries(bytes_of(data, size));
	free(text);
	return 0;
}
