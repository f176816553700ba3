/*
 * Vaults that are kept (tests/fixtures/known): their headers and blocks open, and what stands in them is sealed again
 * to the same bytes. A change of the format fails here.
 */
#include "backend/segment_format.h"
#include "backend/segment_pack.h"
#include "backend/zone.h"
#include "crypto/base/fault.h"
#include "crypto/header.h"
#include "crypto/secret.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KNOWN_BYTES_MAX 8192
#define PASSPHRASE "a vault of two blocks"

struct known_segment {
	const char *vault, *id;
	size_t first, blocks; /* its blocks are so many of `files`, from that one on */
	uint8_t flags;        /* of all of them */
};

static const char *const files[] = {"first", "second"};

static const struct known_segment known_segments[] = {
        {"aes-256-gcm", "3883f044ed7ee15b89dfe54f0dc485edf5081fc360c51d90116aa3ecaf10738a", 0, 2, 0},
        {"xchacha20-poly1305", "b3b44810672056431631fcba3df57282c0a0ad2496bfc3112cb715195437bf4b", 0, 1, 0},
        {"xchacha20-poly1305", "2d6c6f562134ddf283c591cefb84efe97ae3fa593b6f5f375a8df43da3b01fbf", 1, 1, BLOCK_PACKED},
};
#define KNOWN_SEGMENTS (sizeof known_segments / sizeof *known_segments)

struct content {
	uint8_t data[KNOWN_BYTES_MAX];
	size_t size;
};

static void read_known(struct content *ret, const char *name) {
	const char *source = getenv("ASSAYFS_SOURCE");
	char path[512];
	(void)snprintf(path, sizeof path, "%s/tests/fixtures/known/%s", source ? source : ".", name);
	FILE *file = fopen(path, "re");
	if (!file)
		fail_msg("%s can't be opened", path);
	ret->size = fread(ret->data, 1, sizeof ret->data, file);
	assert_true(ret->size > 0 && ret->size < sizeof ret->data);
	(void)fclose(file);
}

static void read_header(struct content *ret, const char *vault) {
	char name[64];
	(void)snprintf(name, sizeof name, "%s/vault.json", vault);
	read_known(ret, name);
}

static struct slot_secret passphrase(const char *words) {
	return (struct slot_secret){.type = SLOT_PASSPHRASE, .value = bytes_of_string(words)};
}

static int unlock(const char *vault, const char *words, Keyring **ret_keyring) {
	_cleanup_(header_freep) VaultHeader *header = NULL;
	const struct slot_secret secret = passphrase(words);
	struct content json;
	read_header(&json, vault);
	if (header_parse(bytes_of(json.data, json.size), &header) < 0)
		fail_msg("%s: %s", vault, fault_message());
	return header_unlock(header, &secret, ret_keyring);
}

static void headers_open_and_are_written_as_they_were(void **state) {
	(void)state;
	for (enum aead_cipher cipher = AEAD_AES256GCM; cipher <= AEAD_XCHACHA20POLY1305; cipher++) {
		_cleanup_(header_freep) VaultHeader *header = NULL;
		_cleanup_(keyring_freep) Keyring *keyring = NULL;
		_cleanup_(freep) char *written = NULL;
		size_t size = 0;
		struct content json;
		read_header(&json, aead_cipher_name(cipher));
		assert_int_equal(header_parse(bytes_of(json.data, json.size), &header), 0);
		assert_int_equal(header_cipher(header), cipher);
		assert_int_equal(header_generation(header), 1);
		assert_int_equal(header_serialize(header, &written, &size), 0);
		assert_int_equal(size, json.size);
		assert_memory_equal(written, json.data, size);
		const struct slot_secret secret = passphrase(PASSPHRASE);
		if (header_unlock(header, &secret, &keyring) < 0)
			fail_msg("%s", fault_message());
		assert_int_equal(keyring_count(keyring), 7);
		assert_int_equal(header_verify(header, keyring), 0);
	}
}

static void another_passphrase_does_not(void **state) {
	(void)state;
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	assert_int_equal(unlock("aes-256-gcm", "a vault of two block", &keyring), -EKEYREJECTED);
	assert_null(keyring);
}

/* Opens the block at `at`, expects the file `name` in it, and seals it again. Returns where the next one begins. */
static uint32_t check_block(const Aead *aead, const struct segment_header *header, const struct content *segment,
        uint32_t at, const struct segment_entry *entry, const char *name) {
	_cleanup_(segment_packer_freep) SegmentPacker *packer = NULL;
	const uint32_t stored = segment_entry_stored(entry);
	const uint32_t flags = segment_block_flags((uint8_t)entry->flags, (uint8_t)(entry->flags >> 8), entry->plain);
	uint8_t opened[SEGMENT_BLOCK_BYTES], plain[SEGMENT_BLOCK_BYTES];
	uint8_t again[SEGMENT_BLOCK_BYTES + SEGMENT_TAG_BYTES];
	struct content wanted;
	read_known(&wanted, name);
	const struct bytes sealed = bytes_of(segment->data + at, stored + SEGMENT_TAG_BYTES);
	assert_true(at + sealed.size <= segment->size);
	if (segment_block_open(aead, header->id, at, flags, sealed, opened) < 0)
		fail_msg("%s: %s", name, fault_message());
	assert_int_equal(entry->plain, wanted.size);
	if (entry->flags) {
		assert_int_equal(segment_packer_new(&packer), 0);
		assert_int_equal(segment_unpack(packer, bytes_of(opened, stored), entry->plain, plain), 0);
	} else {
		memcpy(plain, opened, stored);
	}
	assert_memory_equal(plain, wanted.data, wanted.size);
	assert_int_equal(segment_block_seal(aead, header->id, at, flags, bytes_of(opened, stored), again), 0);
	assert_memory_equal(again, sealed.data, sealed.size);
	return at + (uint32_t)sealed.size;
}

/* The same for the batch at `at`, whose blocks are `files` from `*block` on, which it moves on. */
static uint32_t check_batch(const uint8_t *segment_key, const struct segment_header *header,
        const struct content *segment, uint32_t at, const struct known_segment *known, size_t *block) {
	_cleanup_(aead_freep) Aead *aead = NULL;
	struct segment_batch batch;
	struct segment_entry entries[2];
	uint8_t again[SEGMENT_BATCH_BYTES + 2 * SEGMENT_ENTRY_BYTES + SEGMENT_TAG_BYTES];
	const uint8_t *start = segment->data + at;
	assert_int_equal(segment_batch_parse(bytes_of(start, segment->size - at), &batch), 0);
	assert_true(batch.blocks <= 2 && at + batch.length <= segment->size);
	assert_int_equal(segment_batch_cipher(header->cipher, segment_key, batch.salt, &aead), 0);
	assert_int_equal(segment_batch_open(aead, header->id, at, start), 0);
	assert_int_equal(segment_directory_open(aead, header->id, at + SEGMENT_BATCH_BYTES, start + SEGMENT_BATCH_BYTES,
	                         batch.blocks, batch.length, entries),
	        0);
	assert_int_equal(segment_batch_seal(aead, header->id, at, &batch, again), 0);
	assert_int_equal(segment_directory_seal(aead, header->id, at + SEGMENT_BATCH_BYTES, entries, batch.blocks,
	                         again + SEGMENT_BATCH_BYTES),
	        0);
	assert_memory_equal(again, start, segment_batch_prefix(batch.blocks));
	uint32_t next = at + segment_batch_prefix(batch.blocks);
	for (uint32_t i = 0; i < batch.blocks; i++, (*block)++) {
		assert_true(*block < sizeof files / sizeof *files);
		assert_int_equal(entries[i].flags & 0xff, known->flags);
		next = check_block(aead, header, segment, next, &entries[i], files[*block]);
	}
	assert_int_equal(next, at + batch.length);
	return next;
}

static void segments_open_and_are_sealed_as_they_were(void **state) {
	(void)state;
	for (size_t i = 0; i < KNOWN_SEGMENTS; i++) {
		const struct known_segment *known = &known_segments[i];
		_cleanup_(keyring_freep) Keyring *keyring = NULL;
		_cleanup_(secret_key_wipe) struct secret_key key;
		struct segment_header header;
		struct content segment;
		uint8_t again[SEGMENT_HEADER_BYTES];
		char name[160];
		(void)snprintf(name, sizeof name, "%s/segments/%.2s/%s", known->vault, known->id, known->id);
		read_known(&segment, name);
		assert_int_equal(segment_header_parse(bytes_of(segment.data, segment.size), &header), 0);
		assert_int_equal(header.format, known->flags ? SEGMENT_FORMAT_PACKED : SEGMENT_FORMAT);
		assert_string_equal(header.key_name, zone_key_name(header.zone));
		assert_int_equal(unlock(known->vault, PASSPHRASE, &keyring), 0);
		assert_int_equal(keyring_get(keyring, header.key_name, header.key_version, key.bytes, NULL), 0);
		segment_derive_key(key.bytes, header.id, key.bytes);
		assert_int_equal(segment_header_open(segment.data, key.bytes), 0);
		segment_header_seal(&header, key.bytes, again);
		assert_memory_equal(again, segment.data, sizeof again);
		size_t block = known->first;
		for (uint32_t at = SEGMENT_HEADER_BYTES; at < segment.size;)
			at = check_batch(key.bytes, &header, &segment, at, known, &block);
		assert_int_equal(block, known->first + known->blocks);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(headers_open_and_are_written_as_they_were),
	        cmocka_unit_test(another_passphrase_does_not),
	        cmocka_unit_test(segments_open_and_are_sealed_as_they_were),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
