#include "fs/filesystem.h"

#include <errno.h>
#include <inttypes.h>

#include "fs/actor.h"
#include "fs/log.h"
#include "fs/operations/handle.h"

static void pin(struct filesystem *fs, uint64_t ino) {
	Inode *inode = inode_find(fs->inodes, ino);
	if (!inode)
		return;
	pthread_mutex_lock(&inode->lock);
	int rc = inode_pin(fs->inodes, inode);
	pthread_mutex_unlock(&inode->lock);
	if (rc < 0)
		log_fault(rc, "keeping the former version of inode %" PRIu64 " for who has it open", ino);
	inode_put(fs->inodes, inode);
}

void filesystem_changed(struct filesystem *fs, uint64_t parent_ino, struct bytes name, uint64_t old_ino) {
	if (old_ino)
		pin(fs, old_ino);
	notify_entry(fs->notifier, parent_ino, name);
	notify_inode(fs->notifier, parent_ino);
}

void filesystem_erased(struct filesystem *fs, uint64_t parent_ino, struct bytes name, uint64_t ino) {
	if (name.size > 0) {
		notify_entry(fs->notifier, parent_ino, name);
		notify_inode(fs->notifier, parent_ino);
	}
	notify_inode(fs->notifier, ino);
}

static void seal_one(void *arg, Inode *inode) {
	struct filesystem *fs = arg;
	struct audit_event event = {.event = "close", .detail = "at the end of the mount"};
	actor_of_daemon(&event.actor);
	if (inode->zone != ZONE_LANDING || atomic_load(&inode->unlinked))
		return;
	pthread_mutex_lock(&inode->lock);
	int rc = inode_seal(fs, inode, GATE_CLOSE, &event);
	inode->writers = 0;
	pthread_mutex_unlock(&inode->lock);
	if (rc < 0 && rc != -ENODATA)
		log_message_fault(
		        MESSAGE_NOT_SEALED, rc, "sealing node %" PRIu64 " at the end of the mount", inode->node);
}

static void drop_one(void *arg, Inode *inode) {
	struct filesystem *fs = arg;
	notify_write_back(fs->notifier, inode->ino);
}

void filesystem_drop_content(struct filesystem *fs) {
	inode_for_each(fs->inodes, drop_one, fs);
	read_buffers_wipe(fs->read_buffers);
}

void filesystem_seal_all(struct filesystem *fs) {
	inode_for_each(fs->inodes, seal_one, fs);
}
