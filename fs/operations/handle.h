/*
 * handle: one open file description: what fuse_file_info.fh points to.
 *
 *      OPEN, CREATE ──► handle_new ──► READ, WRITE, FSYNC … ──► FLUSH: handle_flush ──► RELEASE: handle_release
 *
 * The last writer's close makes the version: with FLUSH, which close(2) waits for, if it is the opener's, so that
 * nothing done after a close can become durable before it, and close(2) can say what failed. A descriptor may have many
 * closes (duplicates, children): what is written after such a FLUSH, or through a mapping, is sealed with RELEASE,
 * which nobody waits for. So is an emptied file, since a shell's `>` closes it once before anything is written.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/operations/call.h"

#define CAPABILITY_XATTR "security.capability"

struct handle {
	Inode *inode;
	int flags;
	bool writable;
	/* With inode->lock: */
	bool done; /* its opener closed it: not counted among the writers any more */
	bool told; /* the record of the close was made, when so many bytes had been read and written: */
	uint64_t told_bytes;
	struct actor actor;           /* of the open: WRITE and RELEASE come without */
	struct content_reader reader; /* in the name of `actor` */
	_Atomic uint64_t bytes_read, bytes_written;
};

/* The handle that open or create put into `fi`. */
static inline struct handle *handle_of(const struct fuse_file_info *fi) {
	return (struct handle *)(uintptr_t)fi->fh;
}

/* Of its file so many bytes were read through it. */
static inline void handle_note_read(struct handle *handle, uint64_t bytes) {
	atomic_fetch_add(&handle->bytes_read, bytes);
	if (bytes > 0)
		atomic_store(&handle->inode->is_read, true);
}

/* Makes the handle of an inode whose reference it takes over. A writer is counted. NULL without memory. */
struct handle *handle_new(Inode *inode, int flags, const struct actor *actor);

/*
 * A close by thread `closer`: the last writer's seals what changed, as handle_release does. Errors are for close(2);
 * the draft stays then, and RELEASE tries again.
 */
int handle_flush(struct filesystem *fs, struct handle *handle, pid_t closer);

/*
 * Ends it: the last writer seals what changed, in one meta operation with the record of the close and the gate's
 * arrival; what has no name any more is dropped. Frees.
 */
void handle_release(struct filesystem *fs, struct handle *handle);

/* Seals the draft of an inode, if there is one (or no version yet), as if the last writer had closed it. */
int inode_seal(struct filesystem *fs, Inode *inode, enum gate_cause cause, struct audit_event *event);

/* Puts times that wait in the Inode into the node's row, where no content's sealing will. */
int inode_settle_times(struct filesystem *fs, Inode *inode);

/*
 * Hands times that wait in the Inode to its content, unless it has had them: they go into the node's row when it is
 * synced or sealed, and are shown from the Inode till then. The mtime, 0: none.
 */
int64_t inode_hand_times(Inode *inode, Content *content);

/* The request, if the kernel asks with it that privileges be cleared; else NULL. In its own thread. */
static inline fuse_req_t killer_of(fuse_req_t req) {
	return session_kills_privileges() ? req : NULL;
}

/*
 * Content changed (written or cut) by a descriptor: times are noted; file capabilities and set-id bits go if there is a
 * killer, whose groups count. In a meta operation of its own, only when there is something to clear.
 */
int inode_changed(struct filesystem *fs, Inode *inode, fuse_req_t killer);

/* Size of a file is set, with all that goes with it. What is left of a block is sealed in the name of `actor`. */
int inode_truncate(struct filesystem *fs, Inode *inode, uint64_t size, fuse_req_t killer, const struct actor *actor);
