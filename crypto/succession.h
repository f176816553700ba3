/*
 * succession: how a log's key is handed on to the next, and who so may have signed which of the log's heads.
 *
 *     heads of      1 … 303 records │ 304 … 900 │ 901 …          a succession at 303: key 1, then key 2
 *     are signed by key 1           │ key 2     │ key 3
 *
 *     assayfs audit key succession
 *     assayfs/8f2c…                          the log
 *     1 2                                    versions: before, next
 *     303                                    the last head that the key before has signed: its size
 *     v3Zr…=                                 and root
 *     1764345600000000000                    when, in nanoseconds since 1970
 *     assayfs/8f2c…+1a2b3c4d+AR…             verifier keys (note.h): before,
 *     assayfs/8f2c…+5e6f7a8b+AR…             next
 *
 * Both keys sign that text: so who knows one of them gets to know all that came after it, and that come before. In a
 * broken one the key before has not signed, as it was lost: it vouches for what came before, and nothing before vouches
 * for it.
 *
 *     1 2 303 v3Zr…= 1764345600000000000 VKEY VKEY BASE64 BASE64    on one line, then both signatures; "-": none
 *
 * A chain is not thread-safe; all else is.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/base/cleanup.h"
#include "crypto/checkpoint.h"

struct succession {
	struct note_key before, next;
	uint32_t version_before, version; /* of the two keys */
	struct checkpoint at;
	int64_t time_ns;
	bool is_broken; /* by_before is none */
	uint8_t by_before[SIGN_SIGNATURE_BYTES], by_next[SIGN_SIGNATURE_BYTES];
};

/* Room for a line without newline, with the NUL. */
#define SUCCESSION_LINE_BYTES \
	(3 * 21 + 21 + 45 + 2 * (size_t)NOTE_VKEY_BYTES + 2 * BASE64_TEXT_BYTES(SIGN_SIGNATURE_BYTES) + 16)
/* Most of them that are read, as many as a keyring may have keys, and the longest text of lines. */
#define SUCCESSIONS_MAX 4096
#define SUCCESSIONS_BYTES_MAX (SUCCESSIONS_MAX * SUCCESSION_LINE_BYTES)

/* Signs: all else of it is given. `seed_before` NULL: it is lost (is_broken). */
void succession_sign(
        struct succession *succession, const uint8_t *seed_before, const uint8_t seed_next[static SIGN_SEED_BYTES]);

/* -EBADMSG with words: a signature that should be there does not verify, or the keys are those of two logs. */
int succession_verify(const struct succession *succession);

void succession_line(const struct succession *succession, char ret_line[static SUCCESSION_LINE_BYTES]);
/* A line without its newline; nothing is verified. -EINVAL with words: anything but what succession_line gives. */
int succession_parse(struct bytes line, struct succession *ret);

/* ---- chains ---- */

/* Successions in order. Keys have indexes: 0 is that from before the first one, N that after the N-th. */
struct key_chain {
	struct note_key first; /* the only one where there is no succession */
	struct succession *list;
	size_t count, room;
};
void key_chain_clear(struct key_chain *chain);

/* Adds the next one, which was verified when it was kept. -EBADMSG, -ENOMEM as key_chain_add. */
int key_chain_append(struct key_chain *chain, const struct succession *succession);
/* Verifies the next one and adds it. -EBADMSG with words: succession_verify, or it does not follow on the last: other
 * keys or versions, or a size that is less. -ENOMEM. */
int key_chain_add(struct key_chain *chain, const struct succession *succession);
/* All lines of a text. -EBADMSG with words that name the line. */
int key_chain_read(struct key_chain *chain, struct bytes text);

/* Key `index` (at most `count`), and its version (0: not known, as there was no succession). */
const struct note_key *key_chain_key(const struct key_chain *chain, size_t index);
uint32_t key_chain_version(const struct key_chain *chain, size_t index);
/* The index of a key. -ENOKEY with words: it is none of them. */
int key_chain_find(const struct key_chain *chain, const struct note_key *key, size_t *ret_index);
/* The index of the key that signs a head of so many records. */
size_t key_chain_signer(const struct key_chain *chain, uint64_t size);
/* -EBADMSG with words: the log was taken away from key `index` by a broken succession. */
int key_chain_reaches_end(const struct key_chain *chain, size_t index);

/*
 * The checkpoint that a signed note is, signed by the key of the chain whose time it is, or by a later one. -EBADMSG
 * with words: an earlier one alone has signed it, which no longer may; a signature does not verify. -ENOKEY: none of
 * them has signed. -EINVAL: no checkpoint of this log.
 */
int key_chain_open(const struct key_chain *chain, struct bytes note, struct checkpoint *ret);

/*
 * Whether the chain has all the keys by which a checkpoint, which somebody kept, is signed in the log's name, and has
 * them in that order, from the newest back, as a log writes them. -EBADMSG with words: it has not. Then the log was
 * handed on to a key that the chain keeps silent about, or puts before those that came before it.
 */
int key_chain_covers(const struct key_chain *chain, struct bytes note);
