/*
 * audit_succession: by which versions of its key the audit log was signed, and how each was handed on to the next
 * (crypto/succession.h).
 *
 *     kv  audit.succession.00000002      the line that says how version 2 came after the one before
 *
 * The log hands its key on by itself: the record of the rotation is under a head that the key before still signs, and
 * with that head, in the same transaction, comes the succession. Heads of more records are the next key's. Whichever of
 * the two was the last to be durable, a crash leaves both or neither.
 *
 * Calls are made between meta_begin and meta_end.
 */
#pragma once

#include "backend/meta.h"
#include "crypto/keyring.h"
#include "crypto/succession.h"

/* The name of the key in the keyring. */
#define AUDIT_KEY_NAME "audit"

/* The log's verifier key of a version that the keyring has; 0: its current one. -ENOKEY. */
int audit_succession_key(Meta *m, const Keyring *keyring, uint32_t version, struct note_key *ret_key);

/* Whether the key was handed on to `version`: 1 or 0. */
int audit_succession_has(Meta *m, uint32_t version);

/* All up to those at `most` records, each verified; the caller clears it. Without one the chain is empty, and has no
 * first key. -EBADMSG with words: one of them is not as it was signed. */
int audit_succession_chain(Meta *m, uint64_t most, struct key_chain *ret_chain);

/* The same unverified, for those who need not look at it anew each second. */
int audit_succession_list(Meta *m, uint64_t most, struct key_chain *ret_chain);

/* The same as text, a line each; unverified. The caller frees it. */
int audit_succession_text(Meta *m, uint64_t most, char **ret_text, size_t *ret_size);

/* Whether the keyring has key `index` of a chain: that very key, as after an older vault.json was put back the same
 * version may be another. */
bool audit_succession_holds(Meta *m, const Keyring *keyring, const struct key_chain *chain, size_t index);

/* Hands the key on from version `before` to `next`, at a head that `before` has signed. `lost` (else NULL): the key
 * `before`, which the keyring has no more, so that the succession is broken. -ENOKEY. */
int audit_succession_put(Meta *m, const Keyring *keyring, uint32_t before, const struct note_key *lost, uint32_t next,
        const struct checkpoint *at, int64_t time_ns);
