/*
 * metaseal: the keys of the metadata database and the two seals that its files are made of. Internal to metadb.
 *
 *     keyring: "meta" 1 ─┐                ┌─ page 3, wal 3, pack 3   the newest seals
 *              "meta" 2 ─┼─ derive, each ─┼─ page 2, wal 2, pack 2   the others open what they once sealed
 *              "meta" 3 ─┘                └─ page 1, wal 1, pack 1
 *
 * The last byte of each nonce is the low byte of the version that seals: a hint that is not believed. Who opens tries
 * the versions that it fits first, then the others, newest first: what earlier programs sealed has a random byte there.
 * That saves a table of versions beside the pages, and costs nothing where it fits. Measured (release, 2 busy cores): a
 * page is opened in 2 to 4 us, with one version as with five, the newest as the oldest; each one tried in vain
 * costs 2.9 us.
 *
 * Whoever has a version can make what opens by it. So what says which version counts is asked for that one and no
 * other: the header of a log for all of its frames, a pack's head for its list. Pages are held to tags.
 *
 * A page stands sealed where SQLite has it: 4056 bytes of ciphertext, then nonce and tag in the bytes that SQLite keeps
 * free for us (its usable page size is 4056). Everything else (WAL header, watermarks, frames, pack head and lists) is
 * a record: nonce 24 | tag 16 | ciphertext. Positions repeat, so nonces are random; 184 bits never meet.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/keyring.h"

#include <stddef.h>
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

/* The keyring's name of the key. */
#define META_KEY_NAME "meta"

struct meta_version {
	uint32_t version;
	uint8_t page[32];
	uint8_t wal[32];
	uint8_t pack[32];
};

struct meta_keys {
	uint8_t vault_id[16];
	uint32_t count;                 /* at least one */
	struct meta_version versions[]; /* falling: the first one seals */
};

/* Which of a version's keys a record is under. */
enum meta_use { META_WAL, META_PACK };

/* Derives the keys from each version that the keyring has, into locked memory; free with meta_keys_free. -ENOKEY: it
 * has none. -ENOMEM. */
int meta_keys_new(const Keyring *keyring, const uint8_t vault_id[static 16], struct meta_keys **ret_keys);
void meta_keys_free(struct meta_keys *keys);

/* The version that seals. */
static inline uint32_t meta_keys_newest(const struct meta_keys *keys) {
	return keys->versions[0].version;
}

/* Seals a page under a fresh nonce and the newest version. `plain`'s last 40 bytes are ignored. The two may be one
 * buffer. */
void meta_page_seal(const struct meta_keys *keys, uint32_t page, const uint8_t plain[static META_PAGE_BYTES],
        uint8_t ret_sealed[static META_PAGE_BYTES]);

/* -EBADMSG (without words) if it is not genuine. The reserved bytes of *ret_plain are zero. Not one buffer.
 * `ret_version` (may be NULL): under which it was sealed. */
int meta_page_open(const struct meta_keys *keys, uint32_t page, const uint8_t sealed[static META_PAGE_BYTES],
        uint8_t ret_plain[static META_PAGE_BYTES], uint32_t *ret_version);

/*
 * Seals `plain` into a record of META_RECORD_OVERHEAD more bytes under a version, 0: the newest, else one that is
 * there. The associated data are the vault's id, `purpose` with its length, and `ad`; at most 160 bytes of them.
 */
void meta_record_seal(const struct meta_keys *keys, enum meta_use use, uint32_t version, const char *purpose,
        struct bytes ad, struct bytes plain, uint8_t *ret_record);

/* Opens a record that is under this version (0: under any; `ret_version`, may be NULL, says which); `record.size` less
 * the overhead goes to ret_plain. -EBADMSG without words. */
int meta_record_open(const struct meta_keys *keys, enum meta_use use, uint32_t version, const char *purpose,
        struct bytes ad, struct bytes record, uint8_t *ret_plain, uint32_t *ret_version);

/* The hints: low bytes of the version. */
static inline uint8_t meta_page_hint(const uint8_t sealed[static META_PAGE_BYTES]) {
	return sealed[META_PAGE_NONCE_AT + META_NONCE_BYTES - 1];
}
static inline uint8_t meta_record_hint(const uint8_t *record) {
	return record[META_NONCE_BYTES - 1];
}

/* The tag within a sealed record. */
static inline const uint8_t *meta_record_tag(const uint8_t *record) {
	return record + META_NONCE_BYTES;
}
