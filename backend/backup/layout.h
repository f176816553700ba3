/*
 * layout: what a vault's backup is in a place of objects (objects.h): names, and the superblock's bytes. No I/O.
 *
 *     header/GGGGGGGGGG-HASH          vault.json of that generation (decimal), as it stands; HASH: first 16 hexadecimal
 *                                     digits of its BLAKE2b-256
 *     segments/ID/FFFFFFFF-TTTTTTTT   bytes [from, to) of a segment's file (hexadecimal), as they stand
 *     meta/NNNNNNNNNNNNNNNN/PPPPPP    part P of checkpoint pack N (both hexadecimal), LAYOUT_PART_BYTES each, the last
 *                                     one shorter
 *     audit/NNNNNNNNNNNNNNNN          archives of the log, as they stand
 *     super/SSSSSSSSSSSSSSSS          superblock number S (hexadecimal, from 1): a generation of the backup
 *
 * A superblock is put last: all that it needs is there by then. Two of one number never are: it is put if absent. It is
 * sealed under derive(key "meta", "backup superblock", vault id), so that neither the bucket nor who has its
 * credentials can make one or read it; the key's version is the newest that the vault.json has which it names:
 *
 *     0 magic "ASSAYSUP"  8 format u16 = 1  10 zeros (2)  12 version u32 (0: 1)  16 vault id (16)  32 nonce (24)
 *     56 tag (16)  72 ciphertext
 *
 * Associated data: bytes 0…31 ‖ number u64. Plaintext, integers little-endian:
 *
 *     0 number u64  8 time u64 (ns)  16 commit u64  24 pack u64 (the newest)  32 base u64 (the pack to begin with)
 *     40 generation of vault.json u64  48 BLAKE2b-256 of vault.json (32)  80 Merkle root of the pack (32)
 *     112 bytes that were kept u64  120 zones u8 (bit of 1 << zone)  121 mark of the prefix u24  124 leaving: count u32
 *     128 leaving: (segment id (32), number of the superblock with which it was first not needed u64)*
 *
 * The mark is 0 where the rule has no prefix, and all segments of the zones are there; else the first 3 bytes of the
 * prefix's BLAKE2b-256 (1 where those are 0), and segments without a file below the prefix are not.
 *
 * Extents of a segment lie end to end from 0; two may overlap only as the same bytes (a shipment that was cut). A
 * superblock's database (its packs) says how long each of its segments is. Segments that no row names any more stand
 * in `leaving` until the oldest superblock that is kept is newer than that; then their objects may go.
 */
#pragma once

#include "backend/block_ref.h"
#include "crypto/base/bytes.h"
#include "crypto/keyring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAYOUT_PART_BYTES ((uint64_t)32 << 20)
#define LAYOUT_EXTENT_BYTES ((uint32_t)16 << 20)
#define LAYOUT_NAME_BYTES 160
#define LAYOUT_VAULT_ID_BYTES 16
#define LAYOUT_HASH_BYTES 32
#define LAYOUT_ID_BYTES 32
/* Of leaving segments in a superblock; beyond, the rest is found to leave later. */
#define LAYOUT_LEAVING_MAX 65536
/* Longest superblock that is read. */
#define LAYOUT_SUPER_BYTES_MAX ((size_t)4 << 20)

struct layout_leaving {
	uint8_t id[LAYOUT_ID_BYTES];
	uint64_t since;
};

struct layout_super {
	uint64_t number; /* from 1 */
	int64_t time_ns;
	uint64_t commit;
	uint64_t pack, base;
	uint64_t header; /* generation of vault.json */
	uint8_t header_hash[LAYOUT_HASH_BYTES];
	uint8_t root[LAYOUT_HASH_BYTES];
	uint64_t bytes;
	uint32_t zones;       /* the lower 8 bits count */
	uint32_t prefix_mark; /* layout_prefix_mark */
	uint32_t leaving_count;
	struct layout_leaving *leaving; /* allocated; layout_super_clear frees */
};

void layout_super_clear(struct layout_super *super);

/* The mark of a rule's prefix; 0 for "". */
uint32_t layout_prefix_mark(const char *prefix);

/* Under this version of the key "meta", 0: the newest. Allocated. -ENOMEM, -EMSGSIZE, -ENOKEY. */
int layout_super_seal(const Keyring *keyring, uint32_t version, const uint8_t vault_id[static LAYOUT_VAULT_ID_BYTES],
        const struct layout_super *super, uint8_t **ret_bytes, size_t *ret_size);

/* -EBADMSG with words unless it is what layout_super_seal made for this vault and number, under a version that the
 * keyring has. */
int layout_super_open(const Keyring *keyring, const uint8_t vault_id[static LAYOUT_VAULT_ID_BYTES], uint64_t number,
        struct bytes bytes, struct layout_super *ret_super);

/* Names. */
void layout_header_name(
        uint64_t generation, const uint8_t hash[static LAYOUT_HASH_BYTES], char ret_name[static LAYOUT_NAME_BYTES]);
void layout_extent_name(
        const uint8_t id[static LAYOUT_ID_BYTES], uint32_t from, uint32_t to, char ret_name[static LAYOUT_NAME_BYTES]);
void layout_segment_prefix(const uint8_t id[static LAYOUT_ID_BYTES], char ret_prefix[static LAYOUT_NAME_BYTES]);
void layout_part_name(uint64_t pack, uint32_t part, char ret_name[static LAYOUT_NAME_BYTES]);
void layout_audit_name(uint64_t first, char ret_name[static LAYOUT_NAME_BYTES]);
void layout_super_name(uint64_t number, char ret_name[static LAYOUT_NAME_BYTES]);

enum layout_kind {
	LAYOUT_OTHER, /* none of ours: never touched */
	LAYOUT_HEADER,
	LAYOUT_EXTENT,
	LAYOUT_PART,
	LAYOUT_AUDIT,
	LAYOUT_SUPER,
};

struct layout_name {
	enum layout_kind kind;
	uint64_t number;             /* header: generation; part: pack; audit: first; super */
	uint32_t part;               /* of a pack */
	uint8_t id[LAYOUT_ID_BYTES]; /* extent */
	uint32_t from, to;           /* extent */
	char hash[17];               /* header */
};

/* What the name says; anything not spelled exactly as above is LAYOUT_OTHER. */
void layout_parse(const char *name, struct layout_name *ret);
