/*
 * synclog_format: the bytes of the log of small fsyncs. No I/O; what it is for: synclog.h.
 *
 *     0      header, 512 bytes            512   the same once more
 *     1024   record: head 64 | sealed payload, filled up with zeros to a multiple of 64
 *     …      record, record …, mark       a mark is a head alone; the next record takes its place
 *
 *     header  0 magic "ASSAYSYN"  8 format u16  10 zeros [2]  12 version of the key "landing" u32  16 vault id [16]
 *             32 salt [32]  64 zeros  472 nonce [24]  496 tag [16]
 *     head    0 magic "ASYN"  4 payload bytes u32 (0: a mark)  8 base u64 (synclog_base)  16 number u32  20 durable u32
 *             24 nonce [24]  48 tag [16]
 *     payload node u64, version u64, size of the file u64, mtime i64, ctime i64, pieces u32, zeros u32,
 *             pieces × {offset u64, length u32, zeros u32}, the pieces' bytes
 *
 * All is sealed by XChaCha20-Poly1305 under derive(landing key, "sync log", vault id ‖ salt) and random nonces: a
 * machine that goes on twice from one snapshot must not seal two things alike. Associated data of the header, whose
 * plaintext is empty: its bytes before the tag; of a head: its bytes before the tag ‖ where it stands in the file u64.
 */
#pragma once

#include "crypto/aead.h"
#include "crypto/base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYNCLOG_FORMAT 1
#define SYNCLOG_HEADER_BYTES 512u
#define SYNCLOG_HEADERS 2u
#define SYNCLOG_START (SYNCLOG_HEADERS * SYNCLOG_HEADER_BYTES)
#define SYNCLOG_HEAD_BYTES 64u
/* The length that a file's log has at most. */
#define SYNCLOG_BYTES (4u << 20)
#define SYNCLOG_VAULT_ID_BYTES 16
#define SYNCLOG_SALT_BYTES 32

/* Of one record: its pieces, and their bytes together. */
#define SYNCLOG_PIECES_MAX 32u
#define SYNCLOG_DATA_MAX (64u << 10)
#define SYNCLOG_PAYLOAD_FIXED 48u
#define SYNCLOG_PIECE_BYTES 16u
#define SYNCLOG_PAYLOAD_MAX (SYNCLOG_PAYLOAD_FIXED + SYNCLOG_PIECES_MAX * SYNCLOG_PIECE_BYTES + SYNCLOG_DATA_MAX)

struct synclog_header {
	uint32_t key_version;
	uint8_t vault_id[SYNCLOG_VAULT_ID_BYTES];
	uint8_t salt[SYNCLOG_SALT_BYTES];
};

struct synclog_head {
	uint64_t base;    /* synclog_base of the commit that the record stands on */
	uint32_t number;  /* of the record, from 1 on for each base; of a mark: how many stand before it */
	uint32_t durable; /* so many records of this base were durable when this was sealed */
	uint32_t length;  /* of the payload; 0: a mark */
};

/*
 * The name of a commit as a base: the first 8 bytes, little-endian, of BLAKE2b-256 over "assayfs sync log base 1" with
 * its NUL, its number u64 and its time i64 (commit_log). The number alone comes again when the database goes back to an
 * older checkpoint (fsck --repair --accept-loss); no two commits have the same time.
 */
uint64_t synclog_base(uint64_t commit, int64_t time_ns);

/* What one fsync made durable of one file. */
struct synclog_piece {
	uint64_t offset;
	struct bytes data; /* 1 byte at least */
};
struct synclog_record {
	uint64_t node, version; /* the draft */
	uint64_t size;          /* of the file, by now */
	int64_t mtime, ctime;   /* ns; mtime 0: as they were */
	size_t blocks;          /* how many the next commit has to seal more for it; not in the file */
	size_t count;
	struct synclog_piece pieces[SYNCLOG_PIECES_MAX];
};

#define SYNCLOG_KEY_BYTES AEAD_KEY_BYTES
/* The key of the log that `header` begins. */
void synclog_key(const uint8_t landing_key[static 32], const struct synclog_header *header,
        uint8_t ret_key[static SYNCLOG_KEY_BYTES]);

/* seal: -EIO when the library fails. parse looks at nothing but the form (-EBADMSG), open at the tag (-EBADMSG). */
int synclog_header_seal(const uint8_t key[static SYNCLOG_KEY_BYTES], const struct synclog_header *header,
        uint8_t ret_bytes[static SYNCLOG_HEADER_BYTES]);
int synclog_header_parse(const uint8_t bytes[static SYNCLOG_HEADER_BYTES], struct synclog_header *ret);
int synclog_header_open(const uint8_t key[static SYNCLOG_KEY_BYTES], const uint8_t bytes[static SYNCLOG_HEADER_BYTES]);

/* Bytes that a record with such a payload takes in the file. */
static inline size_t synclog_room(size_t payload) {
	return SYNCLOG_HEAD_BYTES + (payload + SYNCLOG_HEAD_BYTES - 1) / SYNCLOG_HEAD_BYTES * SYNCLOG_HEAD_BYTES;
}

/* Bytes of the payload of *record; more than SYNCLOG_PAYLOAD_MAX: it is none. */
size_t synclog_payload_bytes(const struct synclog_record *record);
void synclog_payload_put(const struct synclog_record *record, uint8_t *ret_payload);
/* The pieces point into `payload`. -EBADMSG with words for anything that synclog_payload_put does not write. */
int synclog_payload_parse(struct bytes payload, struct synclog_record *ret);

/* Seals in place what stands at `at` of the file: room for the head, then head->length bytes of payload. The rest of
 * synclog_room is zeroed. */
int synclog_seal(
        const uint8_t key[static SYNCLOG_KEY_BYTES], uint64_t at, const struct synclog_head *head, uint8_t *bytes);

/* Of what stands at `at`: whether it looks like a head whose payload ends within `bytes`. */
bool synclog_head_parse(struct bytes bytes, struct synclog_head *ret);
/* Opens it in place. -EBADMSG: not what was sealed there. */
int synclog_open_at(
        const uint8_t key[static SYNCLOG_KEY_BYTES], uint64_t at, const struct synclog_head *head, uint8_t *bytes);
