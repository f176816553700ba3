/*
 * inode: the inodes that are open, and what their handles share.
 *
 *      ino ──► Inode ──► Content          several handles (open file descriptions) use one Inode
 *
 * An inode that is not open needs no entry here: its number leads to its node through the database (tree_by_ino), and
 * numbers are never used twice. So memory grows with the files that are open, not with those the kernel remembers, and
 * FORGET has nothing to do.
 *
 * Lock order: Inode.lock, Inode.swap, content, meta. None of them is held while a commit is waited for
 * (store_commit_wait). The table's own lock is innermost and never held across a call that may wait, so inode_find may
 * be used inside a meta operation; inode_put may not, as it closes the content.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/content.h"
#include "backend/tree.h"

typedef struct InodeTable InodeTable;

typedef struct Inode {
	/* Fixed. */
	uint64_t ino, node;
	uint8_t zone;

	pthread_mutex_t lock; /* held by open, release and whatever seals or drops: guards the next ones */
	unsigned writers;     /* handles open for writing whose opener has not closed them */
	bool shared;          /* there were several writers at a time: the kernel writes back through any of them */
	bool cut_off;         /* the last close was that of a writer whom a signal ended: its file may be a part */
	uint64_t version;     /* of the node when the inode was opened or last sealed; 0: none yet */

	pthread_rwlock_t swap; /* held shared while `content` is in use, exclusively to open or replace it */
	Content *content;      /* NULL until first used */
	uint64_t pinned;       /* version that `content` shows for good; 0: the node's current one, which may change */

	_Atomic uint64_t size; /* of the content as handles see it, when sized */
	atomic_bool sized;
	atomic_uint dirtiers;   /* handles open for writing, closed or not, until RELEASE: the kernel may hold data */
	atomic_int write_error; /* errno of a WRITE that failed since the last seal: the content is not whole */
	/* mtime and ctime that are not in the node's row yet: of the last change of content, or what the kernel sent
	 * since; 0: nothing to write (ctime: as mtime). */
	_Atomic int64_t written_at, changed_at;
	_Atomic uint64_t
	        emptied_by;        /* uid + 1 of who opened it with O_RDONLY|O_TRUNC, until the kernel sent the times */
	_Atomic int64_t handed_at; /* the written_at that the content was given last */
	atomic_bool is_read;       /* since the time of its last access was set, if it was */
	atomic_bool unlinked;      /* no name is left: the draft is dropped at the last close */
	atomic_bool privileged;    /* may have set-id bits or file capabilities that a write has to clear */

	/* The table's. */
	unsigned refs;
	bool closing;
	struct Inode *next;
} Inode;

/* An empty table over the store, which must outlive it. -ENOMEM. */
int inode_table_new(Store *store, InodeTable **ret);
/* Closes what is still open (handles whose RELEASE never came) and frees. Accepts NULL. */
void inode_table_free(InodeTable *table);
DEFINE_CLEANUP(InodeTable, inode_table_free);

/*
 * The Inode of `node` under number node->ino, made if it is not open yet. What lies in Raw and Trusted is pinned to the
 * version that the node shows now. To be put once for each get. -ENOMEM.
 */
int inode_get(InodeTable *table, const struct node *node, Inode **ret);

/* The Inode if that number is open, with a reference (to be put), else NULL. */
Inode *inode_find(InodeTable *table, uint64_t ino);

/* Ends a use; the last one closes the content, which drops a draft that is left. Accepts NULL. */
void inode_put(InodeTable *table, Inode *inode);

/* What stat shows of an open inode in place of its node's row: size, mtime and ctime. Changes nothing in `node` if it
 * is not open or has none of its own. */
void inode_show(InodeTable *table, uint64_t ino, struct node *node);

/* The time of the last access was set: what was read before does not count any more. */
void inode_access_set(InodeTable *table, uint64_t ino);

/* True if the number is open, and its file has neither set-id bits nor any extended attribute. */
bool inode_is_plain(InodeTable *table, uint64_t ino);

/* Of an open inode: its node, and the version it is pinned to (0: none). False if it is not open. */
bool inode_describe(InodeTable *table, uint64_t ino, uint64_t *ret_node, uint64_t *ret_pinned);

/* The inode lost its last name, or got one again. No effect if it is not open. */
void inode_set_unlinked(InodeTable *table, uint64_t ino, bool unlinked);

/*
 * Opens the content if need be and holds it: until inode_content_done nobody replaces it. Errors of content_open;
 * -ESTALE when it was erased since the inode was opened.
 */
int inode_content(InodeTable *table, Inode *inode, Content **ret);
void inode_content_done(Inode *inode);

/* After a write (grown) or truncation: the size handles see. */
void inode_note_size(Inode *inode, uint64_t size, bool grown);

/*
 * The daemon itself gave the node other content under a new number: handles of this one go on with the version they
 * saw, and can't write any more (-EROFS). Called with Inode.lock held.
 */
int inode_pin(InodeTable *table, Inode *inode);

/* Calls `visit` for each open inode, one reference held, the table not locked. */
void inode_for_each(InodeTable *table, void (*visit)(void *arg, Inode *inode), void *arg);
