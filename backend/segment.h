/*
 * segment: write-once logs of sealed blocks; all file content of the vault is in them.
 *
 * File VAULT/segments/ab/abcdef… (hex of the segment's random 256-bit id), integers little-endian:
 *
 *      0                128
 *     ┌────────────────┬─────────────────────────────────────────────┬───────────── … ┐
 *     │ segment header │ batch                                       │ batch          │  up to 64 MiB
 *     └────────────────┴─────────────────────────────────────────────┴───────────── … ┘
 *                      ┌──────────────┬────────────────────────┬─────────┬─────────┬…
 *                      │ batch header │ sealed directory + tag │ block   │ block   │
 *                      │ 64           │ 32 a block, + 16       │ ‖ tag16 │ ‖ tag16 │
 *                      └──────────────┴────────────────────────┴─────────┴─────────┴…
 *
 *     segment header  0 magic "ASSAYSEG"  8 format u16  10 cipher u8  11 zone u8  12 key version u32  16 key name [32]
 *                     48 id [32]  80 mount u64  88 own key's name [20], its version u32 (zeros: it has none)  112 tag
 * [16] over 0…111 under the segment's header key (format 2: blocks may be packed, segment_pack.h; 3: that, and there is
 * an own key) batch header    0 magic "ASSAYBAT"  8 salt [32]  40 blocks u32  44 length of the batch u32  48 tag [16]
 * over 0…47 directory entry 0 owner node u64  8 owner version u64  16 offset in the file u64  24 plain u32  28 flags
 * u32
 *
 *     parent = zone key at its version, or with an own key derive(zone key, own key at its version)
 *     segment key = derive(parent, id)        batch key = derive(segment key, salt)
 *
 * Everything in a batch is sealed under the batch key; the nonce of a part is its position in the segment, so a nonce
 * is never stored and never repeats: the salt is fresh for each batch, and a position is consumed when it is sealed. A
 * short or failed write is tried again with the identical bytes at the identical place; if it keeps failing the segment
 * is abandoned. Associated data: segment id, position, plaintext length, flags; so no block verifies at another place
 * than its own.
 *
 * A batch becomes visible (segment_append returns) only after all batches before it in its segment did, so a segment is
 * at any time a prefix of whole batches, and its committed length says all.
 *
 * Block size, measured by tests/backend/bench_segment.c (AES-256-GCM, tmpfs, one core, release build; the test machine,
 * where a pwrite alone makes 3 GB/s):
 *
 *     block     seal + write    random read of 4 KiB    references, tags, directory
 *     4 KiB     1.26 GB/s       3.2 us                  1.95%
 *     8 KiB     1.79            4.7                     0.98%
 *     16 KiB    1.76            7.7                     0.49%     ◄ taken: full speed, half the metadata of 8 KiB
 *     32 KiB    1.68            16.8                    0.24%
 *     64 KiB    1.86            24.3                    0.12%
 *     128 KiB   1.88            45.5                    0.06%
 *
 * The whole store at 16 KiB: append of 1 MiB 1.76 GB/s, read of 1 MiB 2.73 GB/s, random block 7.5 us (key of its batch
 * cached), append of one 4 KiB block 11 us.
 *
 * All functions are thread-safe. No other lock of backend/ may be taken while one of these calls runs (they are leaves
 * of the lock order: content, meta, segment).
 */
#pragma once

#include "backend/block_ref.h"
#include "backend/cache_counts.h"
#include "backend/zone.h"
#include "crypto/aead.h"
#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"
#include "crypto/keyring.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct SegmentStore SegmentStore;
typedef struct VaultIo VaultIo;
typedef struct VaultFile VaultFile;
typedef struct Keyring Keyring;

/* Plaintext bytes of a full block. */
#define SEGMENT_BLOCK_BYTES BLOCK_BYTES
/* Most blocks in one batch: 1 MiB of plaintext, the largest write that FUSE sends. */
#define SEGMENT_BATCH_BLOCKS 64u
/* A segment is closed when the next batch would carry it past this length. */
#define SEGMENT_MAX_BYTES (64u << 20)
#define SEGMENT_TAG_BYTES BLOCK_TAG_BYTES
/* "segments/ab/" + 64 hex digits + NUL. */
#define SEGMENT_NAME_BYTES 80

/* A block to append. */
struct segment_block {
	struct bytes plain; /* 1 … SEGMENT_BLOCK_BYTES, the caller's */
	uint64_t node;      /* owner, for GC and fsck */
	uint64_t version;
	uint64_t offset; /* of the block in the file */
};

/*
 * Opens the store of `io`'s vault; both pointers stay the caller's and must outlive it. `cipher` is the vault's AEAD,
 * as vault.json records it. `mount` is the number of this mount: it goes into the headers of new segments, and
 * segment_sweep knows by it what a crashed mount left. No segment is known yet: tell them all with segment_known before
 * reading.
 */
int segment_store_open(
        VaultIo *io, const Keyring *keyring, enum aead_cipher cipher, uint64_t mount, SegmentStore **ret);

/* How often the cipher of a batch was there that was looked for. */
struct cache_counts segment_cache_counts(SegmentStore *s);

/* Frees everything. Nothing is synced: call segment_finish and commit first. Accepts NULL. */
void segment_store_close(SegmentStore *s);
DEFINE_CLEANUP(SegmentStore, segment_store_close);

/* A row of the database. At open only, before any append. -EINVAL for a number given twice or a zero one. */
int segment_known(SegmentStore *s, const struct segment_row *row);

/*
 * Seals `n` blocks for `zone` and writes them, in batches of up to SEGMENT_BATCH_BLOCKS with one write each;
 * ret_refs[i] is block i's place. Seals outside of all locks: parallel callers scale. The blocks can be read at once,
 * but are durable only after segment_flush. Errors: -ENOSPC, -EIO (after a retry; nothing of ret_refs may be used),
 * -EROFS, -ENOKEY (and the others of keyring_get) when the keyring lacks the zone's key, -EINVAL for a block of a wrong
 * size.
 */
int segment_append(
        SegmentStore *s, enum zone zone, const struct segment_block *blocks, size_t n, struct block_ref *ret_refs);

/* The same under a key of a folder's own beside the zone's: by its name in the keyring, "" for none. Errors of
 * keyring_get() for that key, too. */
int segment_append_under(SegmentStore *s, enum zone zone, const char *own, const struct segment_block *blocks, size_t n,
        struct block_ref *ret_refs);

/*
 * Blocks of the zone are compressed by zstd from now on, at `level` 1 to 19; 0: no longer. What does not get shorter by
 * a sixteenth is stored as it is. -EINVAL. Any thread.
 */
int segment_compress(SegmentStore *s, enum zone zone, int level);

/*
 * Reads `n` blocks: block i goes to out + i * SEGMENT_BLOCK_BYTES and is filled up with zeros to SEGMENT_BLOCK_BYTES; a
 * hole is all zeros. `out` is n * SEGMENT_BLOCK_BYTES long. One read a run of neighbouring blocks; of the later ones
 * the disk is told before the first is read. -EBADMSG: a block is not what was sealed there (the words name the vault's
 * file and the position); `out` then holds no plaintext. -ENOKEY, -EIO.
 */
int segment_read(SegmentStore *s, const struct block_ref *refs, size_t n, uint8_t *out);

/* One block, which is no hole, without zeros behind: `out` is ref->plain bytes long. Of a small file that spares
 * clearing 16 KiB. Errors as segment_read. */
int segment_read_plain(SegmentStore *s, const struct block_ref *ref, uint8_t *out);

/*
 * Waits for the appends under way and syncs every segment written since the last call, and the directory of new ones.
 * After a failure all later appends and flushes fail with -EIO: the kernel may have thrown the dirty pages away.
 */
int segment_flush(SegmentStore *s);

/*
 * Calls `row` for each segment that is new, has grown (to its synced length) or was closed since the last call that
 * ended well; the committer stores the rows in the transaction that refers to them. A negative result of `row` ends the
 * walk, is returned, and leaves the changes to be told again.
 */
int segment_take_changes(SegmentStore *s, int (*row)(const struct segment_row *row, void *arg), void *arg);

/* Closes all segments that are being written: the next append begins a new one. Before the last commit of a mount. */
void segment_finish(SegmentStore *s);

/* The same with one segment; whether it was being written. */
bool segment_close(SegmentStore *s, uint32_t number);

/*
 * After a crash, before any append: cuts each segment that the last mount left open to its committed length and calls
 * it closed (a change to be taken), and removes segment files that no row names and whose authenticated header says
 * they were begun by mount number `crashed_mount` (0: none): nothing committed refers to them. Other unknown files
 * stay, fsck names them. A file shorter than its committed length is left as it is (-EBADMSG at read, and fsck names
 * it). Counts go to `ret_cut` and `ret_removed` (bytes).
 */
int segment_sweep(SegmentStore *s, uint64_t crashed_mount, uint64_t *ret_cut, uint64_t *ret_removed);

/* For repair: cuts what stands behind the committed end of a closed segment. *ret_cut: how many bytes; 0 for none. */
int segment_cut(SegmentStore *s, const struct segment_row *row, uint64_t *ret_cut);

/*
 * Whether the file `name` ("segments/ab/…"), which no row names, is what mount number `crashed_mount` left, so that
 * segment_sweep removes it.
 */
bool segment_left_over(SegmentStore *s, const char *name, uint64_t crashed_mount);

/* 1 if there is a file that no row names and whose authenticated header says that mount number `mount` began it, else
 * 0. */
int segment_any_of_mount(SegmentStore *s, uint64_t mount);

/* Whether a segment that is known has this file. */
bool segment_has_file(SegmentStore *s, const char *name);

/* The file below the vault of the segment with this id, "segments/ab/abcdef…". */
void segment_file_name(const uint8_t id[static SEGMENT_ID_BYTES], char ret_name[static SEGMENT_NAME_BYTES]);

/* The same of a segment that is known. */
int segment_name(SegmentStore *s, uint32_t number, char ret_name[static SEGMENT_NAME_BYTES]);

/*
 * To be called when the keyring has changed so that a key can't be had any more, or again. From then on nothing is read
 * by a cipher that was derived before; the zones whose key is another one now, or gone, begin new segments with the
 * next append. What was under way is not waited for: segment_uses_wait, and segment_flush for appends.
 */
void segment_keys_changed(SegmentStore *s);

/* 0: the segment's key can be had, or there is no such segment. Else why not, with words: -ENOKEY, -EKEYREVOKED,
 * -EKEYEXPIRED, -EACCES (crypto/keyring.h). */
int segment_key_check(SegmentStore *s, uint32_t number);
/* The same of the zone's present key. Costs a look at a flag where nothing is wrong. */
int segment_zone_check(SegmentStore *s, enum zone zone);

/* The key that the segment is sealed under, by name and version: a folder's own, where it has one beside the zone's.
 * version 0: there is no such segment. */
void segment_key_used(
        SegmentStore *s, uint32_t number, char ret_name[static KEYRING_NAME_MAX + 1], uint32_t *ret_version);
/* Whether all segments of the zone that this mount has known are sealed under one key: that one. A look at two numbers,
 * so that an opening need not ask the map. */
bool segment_only_key(
        const SegmentStore *s, enum zone zone, char ret_name[static KEYRING_NAME_MAX + 1], uint32_t *ret_version);

/* The same of a folder's own key; 0 for "". */
int segment_own_check(const SegmentStore *s, const char *own);
/* The own key of the segment; "": it has none, or there is no such segment. */
void segment_own(SegmentStore *s, uint32_t number, char ret_own[static OWN_KEY_BYTES]);
/* Whether any segment has an own key: else nobody need ask. */
bool segment_any_own(const SegmentStore *s);
/* How often the key of a segment under this own key was derived. */
void segment_own_derivations(SegmentStore *s, const char *own, uint64_t *ret_seals, uint64_t *ret_opens);

/* How often a segment's key was derived to seal and to open, by zone. */
struct segment_derivations {
	uint64_t seals[ZONE_STAGING + 1], opens[ZONE_STAGING + 1];
};
void segment_derivations(SegmentStore *s, struct segment_derivations *ret);

/* What segment_verify says about one part of a segment. */
struct segment_finding {
	const char *file;     /* below the vault; valid during the call */
	uint64_t position;    /* of the part in the file */
	uint64_t length;      /* of the part */
	bool is_block;        /* the fields below are set */
	bool owner_known;     /* the directory was read: node, version, offset hold */
	struct block_ref ref; /* as a map would refer to it */
	uint64_t node, version, offset;
	const char *wrong; /* NULL: sound. Otherwise what is wrong, in words */
};

/* Who wrote a block, as the directory of its batch says. */
struct segment_owner {
	uint64_t node, version;
};

/*
 * Calls `owners` for each batch of a segment with those of its blocks, also of blocks that nothing refers to any more;
 * of one that is being written, for what was written by now. Reads directories alone. A result other than 0 ends the
 * walk and is returned. -EBADMSG: a header or directory is damaged, and what comes behind it was not told; -ENOKEY.
 */
typedef int segment_owners_fn(void *arg, const struct segment_owner *owners, size_t n);
int segment_owners(SegmentStore *s, uint32_t number, segment_owners_fn *owners, void *arg);

/*
 * Holds every byte of a segment's file to account: header, batch headers, directories, all blocks, and that nothing
 * stands behind its length. Calls `found` for each block, and for each other part that is wrong; a negative result ends
 * the walk. Returns 0 when the walk was done, whether or not something was wrong. Reads only; needs the zone's key
 * (-ENOKEY).
 */
int segment_verify(
        SegmentStore *s, uint32_t number, int (*found)(const struct segment_finding *finding, void *arg), void *arg);

/*
 * Whether `file` is what segment `number` is said to be, as segment_verify finds: 0; 1: it is not, and first at *ret_at
 * for *ret_length bytes. For a file that is not in its place yet.
 */
int segment_verify_file(SegmentStore *s, uint32_t number, VaultFile *file, uint64_t *ret_at, uint64_t *ret_length);
