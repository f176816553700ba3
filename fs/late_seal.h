/*
 * late_seal: the versions of closed files that are made a moment after close(2) has returned.
 *
 *     FLUSH ─ late_put ─► [ A B C ] ─┬─ the queue's own thread: with the next CREATE (late_go_on), or after
 *                                    │  some milliseconds
 *                                    ├─ who asks about A or changes it: late_settle; names: late_settle_all
 *                                    └─ a commit: hold ─ all are sealed, none is put ─ COMMIT ─ resume
 *
 * A close is not durable before a commit, and no commit has what came after a close without the close (store_deferral),
 * so nobody can tell from outside, not even after a crash, that the version came late; only in the log the record of a
 * close may stand a few milliseconds behind where close(2) returned. Whoever could tell settles first: see the callers.
 * What goes wrong then can't be told by close(2), so nothing is put while the disk is nearly full or the store has
 * failed, and nothing that has much to seal, since others may have to wait for it (handle.c).
 *
 * Lock order: Inode.lock, the queue's, the table's.
 *
 * Why with a CREATE: the rows of a version take the database for some 60 us. Made at once, beside what the client does
 * next, they keep its next look-up waiting for as long as close(2) took before. From the answer of a CREATE until the
 * next look-up, though, the client writes and closes, which takes about as long and needs no database; and while a
 * CREATE is answered the thread wakes and seals the file's blocks, which needs none either. Files of 1 KiB made by one
 * process on 2 cores, medians of six in turns: 5,230 a second with the version in FLUSH, 5,920 so; no gain with the
 * version in RELEASE, a loss when the thread that has answered the CREATE goes on with it (the client waits for its
 * processor).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backend/audit.h"
#include "backend/store.h"
#include "fs/inode.h"

typedef struct LateSeals LateSeals;

struct late_hooks {
	/* Seals the inode's content with that record, the inode's lock held; negative: it failed, and what had changed
	 * was given up. */
	int (*seal)(void *arg, Inode *inode, struct audit_event *event);
	/* Gives up a reference, which may be the last; no lock is held. */
	void (*put)(void *arg, Inode *inode);
	void *arg;
};

/* An empty queue that joins the commits of the store, and its thread. Store and table must outlive it. -ENOMEM or what
 * the system says. */
int late_seals_new(Store *store, InodeTable *inodes, const struct late_hooks *hooks, LateSeals **ret);
/* Nothing may be in it any more: late_settle_all. Accepts NULL. */
void late_seals_free(LateSeals *seals);

/*
 * Puts the close of `inode` aside, whose lock is held and which has none there yet; the event's strings but `detail`,
 * which is copied (cut at 127 bytes), must be static. False: not now (a commit is under way, or too many wait, or there
 * is no memory); the caller seals itself.
 */
bool late_put(LateSeals *seals, Inode *inode, const struct audit_event *event);

/* Whether the inode's close is there; with its lock held. */
static inline bool late_waits(const Inode *inode) {
	return inode->late;
}

/* Seals what waits: of one inode, whose lock is held; of one that the caller has a reference of; of a number; of all
 * that were there when it was called. For the last three the caller holds no lock and is in no meta operation.
 * Negative: the seal failed, which close(2) could not say. */
int late_settle_locked(LateSeals *seals, Inode *inode);
int late_settle_inode(LateSeals *seals, Inode *inode);
int late_settle(LateSeals *seals, uint64_t ino);
void late_settle_all(LateSeals *seals);

/* A good moment for the thread: when it has woken and sealed blocks, who calls needs no database for a while. */
void late_go_on(LateSeals *seals);
