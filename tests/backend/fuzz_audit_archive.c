/*
 * Feeds the reading of archives of the audit log. First byte modulo 2: 0: the rest is the file as it is (nothing
 * authenticates, as for an attacker without keys); 1: the rest says which lines to seal, in which chunks and under
 * which head, and what to damage then, so that what stands behind the seals is reached too.
 */
#include "backend/audit_archive.h"
#include "tests/backend/fuzz_input.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST_CHUNKS 4

struct seen {
	uint64_t lines, bytes;
};

/* Every byte is looked at, so that one too many is noticed. */
static int use(void *arg, uint64_t seq, struct bytes line) {
	struct seen *seen = arg;
	(void)seq;
	seen->lines++;
	for (size_t i = 0; i < line.size; i++)
		seen->bytes += line.data[i] != '\n';
	if (memchr(line.size ? (const void *)line.data : "", '\n', line.size))
		abort();
	return 0;
}

static void read_file(const Keyring *keyring, struct bytes file) {
	struct audit_archive_head head;
	struct seen seen = {0};
	size_t length = 0;
	bool is_head = audit_archive_parse(file, &head, &length) == 0;
	if (is_head && length > file.size)
		abort();
	int rc = audit_archive_open(file, keyring, NULL, use, &seen, &head);
	if (rc == 0 && (!is_head || seen.lines != head.end - head.first))
		abort();
}

static Keyring *make_keyring(void) {
	static const uint8_t key[KEYRING_KEY_BYTES] = {1};
	struct key_info info = {.name = "meta", .version = 1, .kind = KEY_SECRET, .state = KEY_ACTIVE};
	Keyring *keyring = NULL;
	if (keyring_new(&keyring) < 0 || keyring_add(keyring, &info, key) < 0)
		abort();
	return keyring;
}

/* The tree ends with the archive, so that a head is right by default. */
static void read_sealed(const Keyring *keyring, struct input *input) {
	struct audit_archive_head head = {.cipher = take(input) & 1 ? AEAD_AES256GCM : AEAD_XCHACHA20POLY1305};
	AuditArchive *archive = NULL;
	uint8_t *file = NULL;
	size_t size = 0;
	if (audit_archive_new(&archive) < 0)
		abort();
	struct merkle_frontier tree = {0};
	for (unsigned chunks = 1 + take(input) % MOST_CHUNKS; chunks > 0; chunks--) {
		uint8_t lines[256];
		size_t length = 1 + take(input) % 200;
		uint32_t records = 0;
		for (size_t i = 0, begin = 0; i < length; i++) {
			lines[i] = i + 1 == length && !(take(input) & 1) ? '\n' : take(input);
			if (lines[i] != '\n')
				continue;
			merkle_hash leaf;
			merkle_leaf(bytes_of(lines + begin, i - begin), leaf);
			(void)merkle_frontier_append(&tree, leaf, NULL, NULL);
			begin = i + 1;
			records++;
		}
		if (audit_archive_add(archive, bytes_of(lines, length), records ? records : 1) < 0)
			abort();
		head.end += records ? records : 1;
	}
	head.size = head.end + (take(input) & 1);
	head.behind.count = take(input) % 3;
	merkle_frontier_root(&tree, head.root);
	if (audit_archive_seal(archive, keyring, &head, &file, &size) < 0)
		abort();
	for (unsigned damage = take(input) % 3; damage > 0; damage--)
		file[(take(input) * 256u + take(input)) % size] ^= take(input);
	read_file(keyring, bytes_of(file, size));
	audit_archive_free(archive);
	free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static Keyring *keyring;
	if (!keyring)
		keyring = make_keyring();
	struct input input = {.data = data, .size = size};
	if (take(&input) % 2 == 0)
		read_file(keyring, bytes_of(input.data, input.size));
	else
		read_sealed(keyring, &input);
	return 0;
}
