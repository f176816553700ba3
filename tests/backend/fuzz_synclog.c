/*
 * Feeds the reading of the log of small fsyncs. First byte modulo 3: 0: the rest is a payload as it is; 1: the rest is
 * the file as it is (nothing authenticates, as for an attacker without keys); 2: the rest says what to seal and what to
 * damage then, so that what stands behind the seals is reached too.
 */
#include "backend/synclog.h"
#include "crypto/keyring.h"
#include "tests/backend/fuzz_input.h"
#include "tests/backend/memory_io.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST_RECORDS 24
#define PAYLOAD_MOST 300
#define FILE_BYTES (SYNCLOG_START + (MOST_RECORDS + 1) * 512)
#define BASE 3

static const uint8_t key[32] = {1};
static const uint8_t vault_id[SYNCLOG_VAULT_ID_BYTES] = {2};

/* Every byte is looked at, so that one too many is noticed. */
static int use(void *arg, const struct synclog_record *record) {
	uint64_t *sum = arg;
	for (size_t i = 0; i < record->count; i++) {
		if (record->pieces[i].offset + record->pieces[i].data.size > record->size)
			abort();
		for (size_t j = 0; j < record->pieces[i].data.size; j++)
			*sum += record->pieces[i].data.data[j];
	}
	return 0;
}

static void parse_payload(struct bytes payload) {
	struct synclog_record record;
	uint64_t sum = 0;
	if (synclog_payload_parse(payload, &record) < 0)
		return;
	(void)use(&sum, &record);
	uint8_t *again = malloc(payload.size);
	if (!again || synclog_payload_bytes(&record) != payload.size)
		abort();
	synclog_payload_put(&record, again);
	if (memcmp(again, payload.data, payload.size) != 0)
		abort();
	free(again);
}

/* Mostly a payload that is well formed. */
static size_t build_payload(struct input *input, uint8_t *to) {
	size_t length = take(input), form = take(input);
	uint8_t text[255];
	memset(text, 'x', sizeof text);
	struct synclog_record record = {.node = 1,
	        .version = 1,
	        .size = 255 + length,
	        .count = length ? 1 : 0,
	        .pieces = {{.offset = form, .data = bytes_of(text, length)}}};
	synclog_payload_put(&record, to);
	size_t bytes = synclog_payload_bytes(&record);
	if (form & 1)
		to[take(input) % bytes] ^= take(input);
	return form & 2 ? SYNCLOG_PAYLOAD_FIXED : bytes;
}

static size_t build(struct input *input, const uint8_t *log_key, uint8_t *file) {
	size_t at = SYNCLOG_START;
	for (uint64_t number = 1; number <= MOST_RECORDS && input->size; number++) {
		uint8_t kind = take(input);
		struct synclog_head head = {.base = kind & 1 ? BASE + 1 : BASE,
		        .number = kind & 2 ? take(input) : (uint32_t)number,
		        .durable = kind & 4 ? take(input) : (uint32_t)number - 1};
		if (!(kind & 8))
			head.length = (uint32_t)build_payload(input, file + at + SYNCLOG_HEAD_BYTES);
		if (synclog_seal(log_key, at, &head, file + at) < 0)
			abort();
		if (kind & 16)
			file[at + take(input)] ^= take(input);
		at += synclog_room(head.length);
	}
	return at + (take(input) & 63);
}

static void read_file(const Keyring *keyring, struct bytes content) {
	struct memory_file files[] = {{SYNCLOG_NAME, content}};
	VaultIo *io = NULL;
	uint64_t sum = 0, count = 0;
	if (memory_io_open(files, 1, &io) < 0)
		abort();
	(void)synclog_read(io, keyring, vault_id, BASE, use, &sum, &count);
	if (count > content.size / SYNCLOG_HEAD_BYTES)
		abort();
	vault_io_close(io);
}

static Keyring *make_keyring(void) {
	struct key_info info = {.name = "landing", .version = 1, .kind = KEY_SECRET, .state = KEY_ACTIVE};
	Keyring *keyring = NULL;
	if (keyring_new(&keyring) < 0 || keyring_add(keyring, &info, key) < 0)
		abort();
	return keyring;
}

static void read_sealed(const Keyring *keyring, struct input *input) {
	uint8_t *file = calloc(1, FILE_BYTES + 64);
	struct synclog_header header = {.key_version = 1};
	uint8_t log_key[SYNCLOG_KEY_BYTES];
	memcpy(header.vault_id, vault_id, sizeof vault_id);
	synclog_key(key, &header, log_key);
	if (!file || synclog_header_seal(log_key, &header, file) < 0)
		abort();
	memcpy(file + SYNCLOG_HEADER_BYTES, file, SYNCLOG_HEADER_BYTES);
	uint8_t damage = take(input);
	if (damage & 1)
		file[damage * 2] ^= 1;
	read_file(keyring, bytes_of(file, build(input, log_key, file)));
	free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static Keyring *keyring;
	if (!keyring)
		keyring = make_keyring();
	struct input input = {.data = data, .size = size};
	switch (take(&input) % 3) {
	case 0:
		parse_payload(bytes_of(input.data, input.size));
		break;
	case 1:
		read_file(keyring, bytes_of(input.data, input.size));
		break;
	default:
		read_sealed(keyring, &input);
	}
	return 0;
}
