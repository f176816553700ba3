/*
 * checkpoint: the signed head of a log, as C2SP's tlog-checkpoint has it (https://c2sp.org/tlog-checkpoint), and the
 * paths of C2SP's tlog-tiles (https://c2sp.org/tlog-tiles), by which its tree and its entries are fetched.
 *
 *     assayfs/8f2c…                          origin: the log's name; here also that of the key
 *     70000                                  size of the tree
 *     v3Zr…=                                 root of the tree (merkle.h) in base64
 *
 *     — assayfs/8f2c… q83vASNF…              the log's signature (note.h)
 *
 *     tile/0/x001/x234/067        256 hashes: number 1234067 of level 0; of level l each stands for 256^l leaves
 *     tile/0/273.p/112            the last one of a level, with 112 hashes as yet
 *     tile/entries/x001/234       256 entries, each behind its length (u16, big-endian)
 *
 * Nothing here allocates. All functions are thread-safe.
 */
#pragma once

#include <stdbool.h>

#include "crypto/merkle.h"
#include "crypto/note.h"

struct checkpoint {
	uint64_t size;
	merkle_hash root;
};

/* Room for a body, and for a checkpoint with one signature, each with the NUL. */
#define CHECKPOINT_BODY_BYTES (NOTE_NAME_MAX + 1 + 20 + 1 + BASE64_TEXT_BYTES(MERKLE_HASH_BYTES) + 1)
#define CHECKPOINT_NOTE_BYTES (CHECKPOINT_BODY_BYTES + 1 + NOTE_LINE_BYTES)

/* What is signed of a log by this name. */
void checkpoint_body(
        const char *origin, const struct checkpoint *checkpoint, char ret_body[static CHECKPOINT_BODY_BYTES]);

/* Signs it by the seed that belongs to `key`, whose name is the log's. */
void checkpoint_sign(const struct note_key *key, const uint8_t seed[static SIGN_SEED_BYTES],
        const struct checkpoint *checkpoint, uint8_t ret_signature[static SIGN_SIGNATURE_BYTES]);

/* -EBADMSG: the signature is not that of the key over this checkpoint. */
int checkpoint_verify(const struct note_key *key, const struct checkpoint *checkpoint,
        const uint8_t signature[static SIGN_SIGNATURE_BYTES]);

/* The signed note as text. */
void checkpoint_note(const struct note_key *key, const struct checkpoint *checkpoint,
        const uint8_t signature[static SIGN_SIGNATURE_BYTES], char ret_note[static CHECKPOINT_NOTE_BYTES]);

/* What a signed note says that the key has signed. -EINVAL with words: no checkpoint, or of another log than the key's
 * name; -ENOKEY, -EBADMSG as note_open. Lines behind the root are taken and left alone. */
int checkpoint_open(struct bytes note, const struct note_key *key, struct checkpoint *ret);

/*
 * A head on one line, for lists of them: SIZE ROOT BASE64, the last of them id and signature as in a note. parse: false
 * for anything but that, or when the id is not the key's; what stands behind another blank is left alone.
 */
#define CHECKPOINT_LINE_BYTES \
	(20 + 1 + BASE64_TEXT_BYTES(MERKLE_HASH_BYTES) + BASE64_TEXT_BYTES(NOTE_ID_BYTES + SIGN_SIGNATURE_BYTES))
void checkpoint_line(const struct note_key *key, const struct checkpoint *checkpoint,
        const uint8_t signature[static SIGN_SIGNATURE_BYTES], char ret_line[static CHECKPOINT_LINE_BYTES]);
bool checkpoint_line_parse(const char *line, const struct note_key *key, struct checkpoint *ret,
        uint8_t ret_signature[static SIGN_SIGNATURE_BYTES]);

/* ---- tiles ---- */

#define TILE_WIDTH 256
#define TILE_LEVELS 8 /* 2^62 leaves need no more */
#define TILE_HASHES_BYTES ((size_t)TILE_WIDTH * MERKLE_HASH_BYTES)
#define TILE_PATH_BYTES 64
/* Longest entry, and longest bundle of entries. */
#define TILE_ENTRY_MAX 65535
#define TILE_ENTRIES_BYTES ((size_t)TILE_WIDTH * (2 + TILE_ENTRY_MAX))

struct tile {
	bool is_entries; /* else hashes, of this level */
	unsigned level;
	uint64_t index;
	unsigned width; /* how many hashes or entries: 1 to 256, a full one has 256 */
};

/* "tile/…", or `text` read: false for anything but the one spelling that tile_path gives. */
void tile_path(const struct tile *tile, char ret_path[static TILE_PATH_BYTES]);
bool tile_path_parse(const char *text, struct tile *ret);

/* Where the hash of the complete subtree (level, index) of merkle.h comes from: `width` neighbours (1 to 128) of a tile
 * of hashes, from `first` on. tile_join makes it of them. */
struct tile_span {
	unsigned level;
	uint64_t index;
	size_t first, width;
};
struct tile_span tile_span_of(unsigned level, uint64_t index);
void tile_join(const uint8_t *hashes, size_t width, merkle_hash ret_hash);

/* The entries of a bundle, `width` of them, which borrow from `data`. -EBADMSG with words: there are not just as many.
 */
int tile_entries(struct bytes data, unsigned width, struct bytes ret_entries[static TILE_WIDTH]);

/* How many hashes (or entries) tile `index` of `level` has in a tree of `size` leaves: 0 to 256. */
unsigned tile_width(uint64_t size, unsigned level, uint64_t index);
