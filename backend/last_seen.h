/*
 * last_seen: the log's signed heads as they were last seen, kept outside of the vault.
 *
 *     DIRECTORY/8f2c….checkpoint      of the vault by that id, the branch used last first
 *
 *     assayfs/8f2c…                   ┐
 *     70000                           │ a branch's newest head: a C2SP checkpoint (audit_head_served)
 *     v3Zr…=                          │
 *                                     │
 *     — assayfs/8f2c… q83vASNF…       ┘
 *                                       an empty line before the next branch
 *     since 69031 Zx0u…=                the first head that this branch had of its own: its size and root
 *     assayfs/8f2c…
 *     …
 *
 * Within a vault nothing tells that all of it was put back to an older copy. A place outside does, as long as whoever
 * puts the copy back does not change that place as well: another disk, another machine's share, another administrator.
 *
 * A vault that was recovered from a backup, or taken although it was older, goes on as a branch beside the one it comes
 * from, which may live on. A log belongs to the branch with the largest `since` that is in it (a branch without one is
 * in each), and has to have that branch's newest head. So the head of the branch that it comes from lets no older copy
 * of the new one in, however long it stays; and none moves another branch's head. Of more branches than there is room
 * for, those go that were not used for longest; a vault of such a branch is then refused, as an older copy would be.
 *
 * The file is replaced whole; one writes at a time (FILE.lock). An empty one is none: that is what a power cut may
 * leave of a file that was not synced, and whoever could empty it could as well remove it. With one branch that has no
 * `since` it is a signed note that any verifier reads. These are the only files that the vault has outside of its
 * directory, so they don't go through vault_io. Thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/base/bytes.h"
#include "crypto/checkpoint.h"

#define LAST_SEEN_BRANCHES 8
#define LAST_SEEN_BYTES_MAX NOTE_BYTES_MAX

struct last_seen_branch {
	struct checkpoint since; /* size 0: none */
	struct bytes note;
};

struct last_seen {
	size_t count;
	struct last_seen_branch branches[LAST_SEEN_BRANCHES];
	char *text; /* what their notes borrow from, when it was read; else NULL */
};

/* The file of a vault, for messages. -ENAMETOOLONG. */
int last_seen_path(const char *directory, struct bytes vault_id, char *ret_path, size_t size);

/* What a file says; borrows from `text`. Signatures are not looked at. -EBADMSG with words: not of that form. */
int last_seen_parse(struct bytes text, struct last_seen *ret);

/* And back: how many bytes, without a NUL; 0: there is no room for that many. */
size_t last_seen_format(const struct last_seen *seen, char *ret_text, size_t size);

/* What is kept of a vault, at least one branch; freed by last_seen_free. -ENOENT: nothing, or an empty file; -EFBIG,
 * -EBADMSG: nothing that was written here; other errors of the file, in words. */
int last_seen_read(const char *directory, struct bytes vault_id, struct last_seen *ret);
void last_seen_free(struct last_seen *seen);

/* Whether that error of last_seen_read says that what stands there was not written here: no file, a link, other bytes.
 */
bool last_seen_is_other(int rc);

/*
 * Puts this branch's head in the place of the one that it had (by `since`), before all others, which stay. What is no
 * such file is replaced. Makes the directory (0700) and those above it. Its bytes are synced; durable: its name, too.
 * -EBUSY: somebody has held the lock for two seconds. Errors in words; then all is as it was.
 */
int last_seen_remember(
        const char *directory, struct bytes vault_id, const struct last_seen_branch *branch, bool durable);
