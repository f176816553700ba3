/*
 * evidence: an audit log as its files (C2SP's tlog-tiles): those below .assayfs/audit of a mount, or a copy of them.
 *
 *     DIRECTORY/checkpoint  checkpoints  key  successions  tile/…
 *
 * Nothing here believes the mount: whoever reads a log so computes all hashes again. Not thread-safe.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "crypto/succession.h"
#include "fs/command/command.h"

typedef struct Evidence Evidence;

/*
 * The log of operand `n`: the directory itself where it has a `checkpoint` and a `tile`, else that of the mount which
 * the operand (none: the working directory) is in. 0, or the exit code after saying why not.
 */
int evidence_open_operand(const struct invocation *call, int n, Evidence **ret);

/* A directory of such files. -ENOENT. */
int evidence_open(const char *directory, Evidence **ret);
void evidence_close(Evidence *evidence);
DEFINE_CLEANUP(Evidence, evidence_close);

/* A file of it as text, allocated with a NUL behind it; at most NOTE_BYTES_MAX. -ENOENT, -EBADMSG (longer, or no
 * regular file) and others, in words.
 */
int evidence_text(Evidence *evidence, const char *name, char **ret_text, size_t *ret_size);

/* The key by which to verify: option --key, or else the log's own word for it (*ret_is_given false). 0 or the exit
 * code.
 */
int evidence_key(const struct invocation *call, Evidence *evidence, struct note_key *ret_key, bool *ret_is_given);

/*
 * All keys of the log, from the one that signed its beginning to the present one, by the successions that it shows
 * (none, as of a copy by an older program: there is that key alone). *ret_index (may be NULL) is that of `key`. The
 * caller clears the chain. -EBADMSG with words: a succession is not as it was signed, or leads on from `key` to a key
 * that nobody vouched for. -ENOKEY: `key` is none of them.
 */
int evidence_chain(Evidence *evidence, const struct note_key *key, struct key_chain *ret_chain, size_t *ret_index);

/* The head that the log shows, verified. *ret_note (may be NULL) is allocated. */
int evidence_head(Evidence *evidence, const struct key_chain *chain, struct checkpoint *ret_head, char **ret_note);

/* So many records, from 0 on, are in archives and no entries here; 0 where nothing says so. Whole tiles. -EBADMSG. */
int evidence_pruned(Evidence *evidence, uint64_t *ret_pruned);

/* Hashes of a tile: `tile->width` of them. -EBADMSG with words: it is missing or of another length. */
int evidence_hashes(Evidence *evidence, const struct tile *tile, uint8_t ret_hashes[static TILE_HASHES_BYTES]);

/* Entries of a tile: tile->width of them, which stay until the next call. -EBADMSG with words as above. */
int evidence_entries(Evidence *evidence, const struct tile *tile, struct bytes ret_entries[static TILE_WIDTH]);

/* Once set, a merkle_fetch_fn with an Evidence as context: hashes of the tree of so many entries. */
void evidence_set_size(Evidence *evidence, uint64_t size);
int evidence_fetch(void *evidence, unsigned level, uint64_t index, merkle_hash ret_hash);

/* Whether the log has such a file. Known once a line was asked for. */
bool evidence_has_heads(const Evidence *evidence);

/* The lines of `checkpoints`, in turn. 1: *ret_head and *ret_signature are the next one's; 0: there are no more, but
 * for those of more than `most` records (or the log has no such file); -EBADMSG: no such line, or one by another key
 * than that of the chain whose turn it was. */
int evidence_next_head(Evidence *evidence, const struct key_chain *chain, uint64_t most, struct checkpoint *ret_head,
        uint8_t ret_signature[static SIGN_SIGNATURE_BYTES]);
