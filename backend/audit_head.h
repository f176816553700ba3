/*
 * audit_head: the signed heads of the audit log, each a C2SP checkpoint (crypto/checkpoint.h).
 *
 *     operations' records ─► audit_seal_commit ─► size, root ─► audit_head_sign ─► a row, in the same transaction
 *
 * A head is signed within the transaction that makes its tree durable, so a crash takes back both or neither: no
 * signature that was ever seen tells of records that are gone. Whoever serves heads asks for one up to the durable
 * sequence (store_durable_seq). All that were ever signed stay: who verifies the log holds it against each.
 *
 * The log's name, and that of its key, is "assayfs/" and the vault's id in hexadecimal. The key is `audit` of the
 * keyring. After a rotation the version before signs one more head, that of the record which tells of the rotation, and
 * hands the key on with it (audit_succession.h). Calls are made between meta_begin and meta_end.
 */
#pragma once

#include "backend/audit_succession.h"

struct audit_head {
	struct checkpoint checkpoint;
	int64_t time_ns;      /* when it was signed */
	uint32_t key_version; /* of the keyring's `audit` */
	uint8_t signature[SIGN_SIGNATURE_BYTES];
};

/*
 * Signs the head of all records that are sealed (audit_root), and keeps it. `newest`: the version of the key that the
 * log knows of; where the keyring has it, and it has not signed yet, the key is handed on with this head. 1: done,
 * *ret_head is it; 0: there is nothing that the last head does not have. -ENOKEY; errors of the database.
 */
int audit_head_sign(Meta *m, const Keyring *keyring, uint32_t newest, int64_t time_ns, struct audit_head *ret_head);

/* The last one of at most `most` records. -ENOENT. */
int audit_head_last(Meta *m, uint64_t most, struct audit_head *ret_head);

/* Of those that have more than `after` records and at most `most`, each in the order of size. */
typedef int audit_head_fn(void *arg, const struct audit_head *head);
int audit_head_list(Meta *m, uint64_t after, uint64_t most, audit_head_fn *each, void *arg);

/* A head as a signed note, with the one signature that it has. -ENOKEY. */
int audit_head_note(
        Meta *m, const Keyring *keyring, const struct audit_head *head, char ret_note[static CHECKPOINT_NOTE_BYTES]);

/*
 * A head as the signed note that others read: signed by the newest version that the key was handed on to up to this
 * head, and by those before it that the keyring has, as who verifies may know one of these; at most
 * AUDIT_HEAD_SIGNERS in all, the newest first. `chain` is of as many records at least. -ENOKEY.
 */
#define AUDIT_HEAD_SIGNERS 8
#define AUDIT_HEAD_NOTE_BYTES (CHECKPOINT_NOTE_BYTES + (AUDIT_HEAD_SIGNERS - 1) * NOTE_LINE_BYTES)
int audit_head_served(Meta *m, const Keyring *keyring, const struct key_chain *chain, const struct audit_head *head,
        char ret_note[static AUDIT_HEAD_NOTE_BYTES]);

/* The verifier key of a head's signature; `chain` has those of versions that the keyring has not. -ENOKEY. */
int audit_head_key(
        Meta *m, const Keyring *keyring, const struct key_chain *chain, uint32_t version, struct note_key *ret_key);

/*
 * Holds each head against the tree, its signature, and whose turn it was to sign, and each succession against the tree
 * and both its signatures: -EBADMSG with words that name the first one that does not fit.
 * *ret_checked (may be NULL): how many there are.
 */
int audit_head_verify(Meta *m, const Keyring *keyring, uint64_t *ret_checked);
