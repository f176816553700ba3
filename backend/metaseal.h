/*
 * metaseal: the keys of the metadata database and the two seals that its files are made of. Internal to metadb.
 *
 * A page stands sealed where SQLite has it: 4056 bytes of ciphertext, then nonce and tag in the bytes that SQLite keeps
 * free for us (its usable page size is 4056). Everything else (WAL header, watermarks, frames, pack head and lists) is
 * a record: nonce 24 | tag 16 | ciphertext. Positions repeat, so nonces are random; 192 bits never meet.
 */
#pragma once

#include "crypto/base/bytes.h"

#include <stdint.h>

#define META_PAGE_BYTES 4096
#define META_RESERVED_BYTES 40
#define META_USABLE_BYTES (META_PAGE_BYTES - META_RESERVED_BYTES)
#define META_NONCE_BYTES 24
#define META_TAG_BYTES 16
#define META_RECORD_OVERHEAD (META_NONCE_BYTES + META_TAG_BYTES)
#define META_HASH_BYTES 32

/* Where nonce and tag of a page stand in it. */
#define META_PAGE_NONCE_AT META_USABLE_BYTES
#define META_PAGE_TAG_AT (META_USABLE_BYTES + META_NONCE_BYTES)

_Static_assert(META_PAGE_TAG_AT + META_TAG_BYTES == META_PAGE_BYTES, "a sealed page is as large as a plain one");

struct meta_keys {
	uint8_t page[32];
	uint8_t wal[32];
	uint8_t pack[32];
	uint8_t vault_id[16];
};

/* Derives the keys from the metadata key, into locked memory. NULL when memory is short. Free with meta_keys_free. */
struct meta_keys *meta_keys_new(const uint8_t key[static 32], const uint8_t vault_id[static 16]);
void meta_keys_free(struct meta_keys *keys);

/* Seals a page under a fresh nonce. `plain`'s last 40 bytes are ignored. The two may be one buffer. */
void meta_page_seal(const struct meta_keys *keys, uint32_t page, const uint8_t plain[static META_PAGE_BYTES],
        uint8_t ret_sealed[static META_PAGE_BYTES]);

/* -EBADMSG (without words) if it is not genuine. The reserved bytes of *ret_plain are zero. May be one buffer. */
int meta_page_open(const struct meta_keys *keys, uint32_t page, const uint8_t sealed[static META_PAGE_BYTES],
        uint8_t ret_plain[static META_PAGE_BYTES]);

/*
 * Seals `plain` into a record of META_RECORD_OVERHEAD more bytes under `key`. The associated data are the vault's id,
 * `purpose` with its length, and `ad`; at most 160 bytes of them.
 */
void meta_record_seal(const struct meta_keys *keys, const uint8_t key[static 32], const char *purpose, struct bytes ad,
        struct bytes plain, uint8_t *ret_record);

/* Opens a record; `record.size` less the overhead goes to ret_plain. -EBADMSG without words. */
int meta_record_open(const struct meta_keys *keys, const uint8_t key[static 32], const char *purpose, struct bytes ad,
        struct bytes record, uint8_t *ret_plain);

/* The tag within a sealed record. */
static inline const uint8_t *meta_record_tag(const uint8_t *record) {
	return record + META_NONCE_BYTES;
}
