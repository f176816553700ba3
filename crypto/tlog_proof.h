/*
 * tlog_proof: the proof that an entry is in a log, as C2SP's tlog-proof has it (https://c2sp.org/tlog-proof).
 *
 *     c2sp.org/tlog-proof@v1
 *     extra eyJzZXEiOjQy…         base64, for whoever uses it: here the entry itself
 *     index 42
 *     gSKyXoYZ…=                  the hashes beside the way from the leaf to the root (merkle.h)
 *     …
 *                                 an empty line
 *     assayfs/8f2c…               the checkpoint (checkpoint.h)
 *     …
 *
 * It holds all that is needed but the log's key. Nothing here allocates. All functions are thread-safe.
 */
#pragma once

#include <stdio.h>

#include "crypto/checkpoint.h"

/* Longest proof with an entry of ours. */
#define TLOG_PROOF_BYTES_MAX (BASE64_TEXT_BYTES(TILE_ENTRY_MAX) + 8192 + NOTE_BYTES_MAX)

struct tlog_proof {
	uint64_t index;
	struct merkle_proof path;
	struct bytes extra; /* in base64; size 0: none */
	struct bytes note;  /* the checkpoint */
};

/* Writes the proof; errors are the stream's. `entry` becomes `extra`. */
void tlog_proof_write(FILE *to, struct bytes entry, uint64_t index, const struct merkle_proof *path, const char *note);

/* Reads one; the parts borrow from `text`. -EINVAL with words. */
int tlog_proof_parse(struct bytes text, struct tlog_proof *ret);

/* The entry that `extra` is, into a buffer; -ENODATA: there is none, -EINVAL: no base64, or longer than that. */
int tlog_proof_entry(const struct tlog_proof *proof, uint8_t *ret_entry, size_t capacity, size_t *ret_size);

/* Whether the key's log has `entry` at the proof's index: -EBADMSG with words when not; *ret_checkpoint is the head
 * that says so. Errors of checkpoint_open. */
int tlog_proof_verify(const struct tlog_proof *proof, struct bytes entry, const struct note_key *key,
        struct checkpoint *ret_checkpoint);
