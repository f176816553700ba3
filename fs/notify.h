/*
 * notify: telling the kernel that what it remembers is no longer so.
 *
 * A notification takes the kernel's locks on the directory or inode, which the request now being served may hold. So
 * they are queued, and sent by a thread of their own that holds nothing. The queue is bounded; what finds it full, or
 * no memory, is left to the entries' time-outs. A daemon that is killed in the very moment of a notification could not
 * end, since nobody gives the answer that its thread waits for: guard.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backend/meta.h"
#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

struct fuse_session;
typedef struct Notifier Notifier;

/* The thread starts at once. `session` must outlive it. */
int notifier_new(struct fuse_session *session, Meta *meta, Notifier **ret);
/* Stops the thread; what is queued is dropped. Accepts NULL. */
void notifier_free(Notifier *notifier);
DEFINE_CLEANUP(Notifier, notifier_free);

/* The name in directory `parent_ino` shows something else now. Any thread, any lock held. */
void notify_entry(Notifier *notifier, uint64_t parent_ino, struct bytes name);

/* Attributes and cached pages of the inode are no longer right. */
void notify_inode(Notifier *notifier, uint64_t ino);

/*
 * Has the kernel write back and drop what it caches of the inode, and waits until it did. That may take reads and
 * writes, which come as requests: never in a thread that is needed to serve them, nor with a lock that they take, nor
 * before the answer to a write (its pages may be locked until it comes).
 */
void notify_write_back(Notifier *notifier, uint64_t ino);

/* As notify_inode, but of attributes alone and at once: they need none of those locks, so this may come before the
 * reply to the request that changed them, and whoever waits for it sees them. */
void notify_attributes(Notifier *notifier, uint64_t ino);

/* All names in the directory are to be asked for anew: not everybody may search it any more. */
void notify_children(Notifier *notifier, uint64_t dir_node, uint64_t dir_ino);

/* Whether the kernel may still know names of that directory which it is to be told to forget by notify_children; of any
 * directory, for which no lock is taken. */
bool notify_is_forgetting(Notifier *notifier, uint64_t dir_node);
bool notify_forgets_any(const Notifier *notifier);
