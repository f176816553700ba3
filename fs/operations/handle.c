#include "fs/operations/handle.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "backend/xattr.h"
#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"
#include "fs/closer.h"
#include "fs/log.h"

struct handle *handle_new(Inode *inode, int flags, const struct actor *actor) {
	struct handle *handle = calloc(1, sizeof *handle);
	if (!handle)
		return NULL;
	int mode = flags & O_ACCMODE;
	handle->inode = inode;
	handle->flags = flags;
	handle->writable = mode == O_WRONLY || mode == O_RDWR;
	handle->actor = *actor;
	handle->reader.actor = &handle->actor;
	return handle;
}

struct sealing {
	struct filesystem *fs;
	Inode *inode;
	enum gate_cause cause;
	struct audit_event *event;
	int64_t written_at;
	char *path; /* AUDIT_PATH_MAX + 1 */
};

/* A file of which a part could not be written, or whose writer was killed, stays, as on any file system, but does not
 * arrive: half a file must not be judged as a whole one. */
static int tell_gate(Meta *m, struct sealing *sealing, const struct version *sealed) {
	const struct gate_hooks *gate = sealing->fs->gate;
	int error = atomic_load(&sealing->inode->write_error);
	if (!error && sealing->inode->cut_off) {
		error = ECANCELED;
		sealing->event->detail =
		        "its writer was killed before it had closed the file, which may be a part: no check";
	}
	if (error) {
		sealing->event->outcome = "error";
		sealing->event->err = error;
		return 0;
	}
	if (!gate->arrived || sealing->inode->zone != ZONE_LANDING || !sealing->event->path)
		return 0;
	struct gate_arrival arrival = {.cause = sealing->cause,
	        .node = sealed->node,
	        .version = sealed->id,
	        .path = sealing->path,
	        .actor = &sealing->event->actor};
	return gate->arrived(gate->gate, m, &arrival);
}

/* In the meta operation of the sealing. */
static int after_seal(Meta *m, const struct version *sealed, void *arg) {
	struct sealing *sealing = arg;
	struct audit_event *event = sealing->event;
	int found = call_record_path(sealing->fs, sealed->node, sealing->path, &event->path_bytes);
	event->path = found < 0 ? NULL : sealing->path;
	event->node = sealed->node;
	event->version = sealed->id;
	int rc = tell_gate(m, sealing, sealed);
	return rc < 0 ? rc : audit_record(m, event, NULL);
}

int inode_settle_times(struct filesystem *fs, Inode *inode) {
	int64_t written = atomic_exchange(&inode->written_at, 0), changed = atomic_exchange(&inode->changed_at, 0);
	if (written == 0)
		return 0;
	struct node times = {.mtime = written, .ctime = changed > written ? changed : written}, node;
	meta_begin(fs->meta);
	return meta_end(fs->meta, tree_setattr(fs->meta, inode->node, &times, TREE_MTIME | TREE_CTIME, &node));
}

int64_t inode_hand_times(Inode *inode, Content *content) {
	int64_t written = atomic_load(&inode->written_at), changed = atomic_load(&inode->changed_at);
	if (written != 0 && atomic_exchange(&inode->handed_at, written) != written)
		content_set_times(content, written, changed > written ? changed : written);
	return written;
}

static int seal_content(Inode *inode, Content *content, struct sealing *sealing) {
	int rc = inode->version == 0 ? content_touch(content) : 0;
	int64_t written = rc == 0 ? inode_hand_times(inode, content) : 0;
	struct version sealed;
	if (rc == 0)
		rc = content_seal(content, ORIGIN_WRITE, 0, NULL, after_seal, sealing, &sealed);
	if (rc)
		return rc;
	(void)atomic_compare_exchange_strong(&inode->written_at, &written, 0);
	atomic_store(&inode->handed_at, 0); /* the next change may come within the same tick of the clock */
	inode->version = sealed.id;
	inode->cut_off = false;
	return 0;
}

/* With inode->lock held. -ENODATA: nothing to seal, no record was made. */
int inode_seal(struct filesystem *fs, Inode *inode, enum gate_cause cause, struct audit_event *event) {
	if (inode->version != 0 && !inode->content)
		return -ENODATA;
	Content *content;
	int rc = inode_content(fs->inodes, inode, &content);
	if (rc < 0)
		return rc;
	if (inode->version != 0 && !content_is_dirty(content)) {
		rc = -ENODATA;
	} else {
		_scratch_ char path[AUDIT_PATH_MAX + 1];
		struct sealing sealing = {.fs = fs, .inode = inode, .cause = cause, .event = event, .path = path};
		rc = seal_content(inode, content, &sealing);
	}
	inode_content_done(inode);
	return rc;
}

/* A file without a name: what was written is seen by nobody. Only with the last handle: others may still read. */
static void drop_nameless(struct filesystem *fs, uint64_t node) {
	meta_begin(fs->meta);
	int rc = tree_forget(fs->meta, node);
	(void)meta_end(fs->meta, rc); /* -EBUSY: versions or past names keep it */
}

/* relatime: the last read counts when it is the first since a change, or a day old. In meta; *ret_due: those that wait
 * are to be written. */
static int note_access_time(struct filesystem *fs, uint64_t id, bool *ret_due) {
	struct node node;
	int rc = tree_get(fs->meta, id, &node);
	if (rc < 0)
		return rc;
	int64_t now = meta_stamp(fs->meta), waiting = access_times_of(fs->access_times, id);
	int64_t last = waiting ? waiting : node.atime;
	bool stale = last <= node.mtime || last <= node.ctime || now - last > INT64_C(86400000000000);
	*ret_due = stale && access_times_note(fs->access_times, id, now);
	return 0;
}

static int record_close(struct filesystem *fs, const Inode *inode, struct audit_event *event, bool was_read) {
	if (fs->is_unrecorded)
		return 0;
	_scratch_ char path[AUDIT_PATH_MAX + 1];
	meta_begin(fs->meta);
	if (call_record_path(fs, inode->node, path, &event->path_bytes) == 0)
		event->path = path;
	bool is_due = false;
	int rc = was_read && atomic_load(&inode->is_read) && !fs->read_only ? note_access_time(fs, inode->node, &is_due)
	                                                                    : 0;
	if (rc == 0)
		rc = audit_record(fs->meta, event, NULL);
	rc = meta_end(fs->meta, rc);
	event->path = NULL;
	return rc == 0 && is_due ? access_times_write(fs->access_times) : rc;
}

/* Gives the node a new number, so that the kernel forgets size and pages of what could not be kept. */
static int renew_ino(struct filesystem *fs, uint64_t node, char path[static TREE_PATH_MAX], uint64_t *ret_parent_ino) {
	struct node parent;
	uint64_t ino;
	meta_begin(fs->meta);
	int rc = tree_path(fs->meta, node, path, TREE_PATH_MAX, NULL);
	const char *slash = rc < 0 ? NULL : strrchr(path, '/');
	if (rc == 0 && !slash)
		rc = -ENOENT;
	if (rc == 0)
		rc = tree_resolve(fs->meta, bytes_of(path, (size_t)(slash - path)), &parent);
	if (rc == 0)
		rc = tree_new_ino(fs->meta, node, &ino);
	if (rc == 0)
		*ret_parent_ino = parent.ino;
	return meta_end(fs->meta, rc);
}

/*
 * The kernel goes by its own size of a file that it caches writes for. When a part of them could not be kept, it would
 * show a size that is not so, and zeros in the place of what is missing. With inode->lock held.
 */
static void show_anew(struct filesystem *fs, Inode *inode) {
	char path[TREE_PATH_MAX];
	uint64_t parent_ino = 0;
	if (inode_pin(fs->inodes, inode) < 0 || renew_ino(fs, inode->node, path, &parent_ino) < 0)
		return;
	notify_entry(fs->notifier, parent_ino, bytes_of_string(strrchr(path, '/') + 1));
	notify_inode(fs->notifier, inode->ino); /* who has it open reads anew what is there */
}

/*
 * Sealing failed: the file is what its last fsync acknowledged (true), or else what it was before this writer. The log
 * of the daemon and of the vault tell why.
 */
static bool give_up_changes(struct filesystem *fs, Inode *inode, int rc, struct audit_event *event) {
	static _Thread_local char detail[AUDIT_DETAIL_MAX]; /* for the record, made further up in this thread */
	snprintf(detail, sizeof detail, "%s: %s", event->detail, fault_message());
	event->detail = detail;
	log_message_fault(MESSAGE_NOT_SEALED, rc, "sealing node %" PRIu64, inode->node);
	event->outcome = "error";
	event->err = -rc;
	event->version = 0;
	event->path = NULL;
	Content *content;
	bool synced = false;
	if (inode_content(fs->inodes, inode, &content) == 0) {
		synced = content_revert(content) == 0;
		if (!synced)
			(void)content_drop(content);
		inode_note_size(inode, content_size(content), false);
		inode_content_done(inode);
	}
	atomic_store(&inode->written_at, 0);
	atomic_store(&inode->changed_at, 0);
	atomic_store(&inode->handed_at, 0);
	atomic_store(&inode->write_error, -rc);
	return synced;
}

/* With inode->lock held. -ENODATA: nothing was sealed and no record made. */
static int seal_at_release(struct filesystem *fs, Inode *inode, struct audit_event *event) {
	int rc = inode_seal(fs, inode, GATE_CLOSE, event);
	if (rc == 0 || rc == -ENODATA || !give_up_changes(fs, inode, rc, event))
		return rc == 0 ? 0 : -ENODATA;
	rc = inode_seal(fs, inode, GATE_CLOSE, event);
	if (rc < 0)
		log_message_fault(MESSAGE_NOT_SEALED, rc,
		        "sealing what was synced of node %" PRIu64 "; the next mount will", inode->node);
	return rc == 0 ? 0 : -ENODATA;
}

static uint64_t bytes_moved(struct handle *handle) {
	return atomic_load(&handle->bytes_read) + atomic_load(&handle->bytes_written);
}

#define DETAIL_BYTES 128

/* With inode->lock held. `detail` is the event's, and must live as long. */
static struct audit_event close_event(struct handle *handle, char detail[static DETAIL_BYTES]) {
	uint64_t got = atomic_load(&handle->bytes_read), put = atomic_load(&handle->bytes_written);
	snprintf(detail, DETAIL_BYTES, "read %" PRIu64 ", written %" PRIu64 "%s", got, put,
	        handle->writable && handle->inode->shared
	                ? " (one of several writers: the bytes of all count for any of them)"
	                : "");
	return (struct audit_event){.event = "close",
	        .actor = handle->actor,
	        .node = handle->inode->node,
	        .bytes = handle->writable ? put : got,
	        .detail = detail};
}

static int close_handle(struct filesystem *fs, struct handle *handle) {
	Inode *inode = handle->inode;
	char detail[DETAIL_BYTES];
	pthread_mutex_lock(&inode->lock);
	struct audit_event event = close_event(handle, detail);
	if (handle->writable && !handle->done)
		inode->writers--;
	if (handle->writable)
		atomic_fetch_sub(&inode->dirtiers, 1);
	bool last_writer = handle->writable && inode->writers == 0;
	int rc = -ENODATA;
	/* O_RDONLY|O_CREAT makes a file that no writer closes. */
	bool done = last_writer || (inode->version == 0 && inode->writers == 0);
	if (done && inode->zone == ZONE_LANDING && !atomic_load(&inode->unlinked))
		rc = seal_at_release(fs, inode, &event);
	if (rc == -ENODATA && last_writer)
		(void)inode_settle_times(fs, inode); /* the record tells of a failing database, too */
	if (rc == -ENODATA && handle->told && handle->told_bytes == bytes_moved(handle) && !event.err)
		rc = 0;
	if (rc == -ENODATA)
		rc = record_close(fs, inode, &event, atomic_load(&handle->bytes_read) > 0);
	inode->shared &= inode->writers > 0;
	if (last_writer && atomic_exchange(&inode->write_error, 0) != 0)
		show_anew(fs, inode);
	pthread_mutex_unlock(&inode->lock);
	return rc;
}

/* Whether a close now would leave something that was written. Emptied files wait for RELEASE. */
static bool has_written(struct filesystem *fs, Inode *inode) {
	Content *content;
	if (inode_content(fs->inodes, inode, &content) < 0)
		return false;
	bool written = content_is_dirty(content) && content_size(content) > 0;
	inode_content_done(inode);
	return written;
}

/* With inode->lock held, and something written. */
static int seal_at_flush(struct filesystem *fs, struct handle *handle) {
	char detail[DETAIL_BYTES];
	struct audit_event event = close_event(handle, detail);
	if (!handle->done) {
		handle->done = true;
		handle->inode->writers--;
	}
	if (handle->inode->writers > 0)
		return store_space_check(fs->store, 0);
	int rc = inode_seal(fs, handle->inode, GATE_CLOSE, &event);
	if (rc == 0) {
		handle->told = true;
		handle->told_bytes = bytes_moved(handle);
	}
	return rc == -ENODATA ? 0 : rc;
}

int handle_flush(struct filesystem *fs, struct handle *handle, pid_t closer) {
	Inode *inode = handle->inode;
	if (!handle->writable || inode->zone != ZONE_LANDING)
		return 0;
	if (!has_written(fs, inode))
		return 0;
	enum closer_word word = closer_word(&handle->actor, closer);
	/* The last chance to say that there is no room: nobody hears what becomes of RELEASE. */
	if (word == CLOSER_WAITS)
		return store_space_check(fs->store, 0);
	pthread_mutex_lock(&inode->lock);
	inode->cut_off = word == CLOSER_KILLED;
	int rc = word == CLOSER_DONE && !atomic_load(&inode->unlinked) ? seal_at_flush(fs, handle) : 0;
	pthread_mutex_unlock(&inode->lock);
	return rc;
}

/* A file that has no name any more goes with its last user. */
static void let_go(struct filesystem *fs, Inode *inode) {
	bool unlinked = atomic_load(&inode->unlinked);
	uint64_t ino = inode->ino, node = inode->node, pinned;
	inode_put(fs->inodes, inode);
	if (unlinked && !inode_describe(fs->inodes, ino, &node, &pinned))
		drop_nameless(fs, node);
}

void handle_release(struct filesystem *fs, struct handle *handle) {
	Inode *inode = handle->inode;
	int rc = close_handle(fs, handle);
	if (rc < 0)
		log_message_fault(MESSAGE_NOT_SEALED, rc, "closing node %" PRIu64, inode->node);
	if (inode->zone == ZONE_STAGING && fs->gate->staged_release)
		fs->gate->staged_release(fs->gate->gate, inode, &handle->actor);
	let_go(fs, inode);
	free(handle);
}

/* The kernel asks for it with the writer's own request, never with one that writes back what was cached. */
static int clear_privileges(struct filesystem *fs, Inode *inode, fuse_req_t killer) {
	struct node node;
	struct actor_answers answers;
	struct access_subject writer = actor_subject(killer, &answers);
	meta_begin(fs->meta);
	int rc = tree_get(fs->meta, inode->node, &node);
	uint32_t mode = rc == 0 ? access_mode_after_write(node.mode, access_in_group(&writer, node.gid)) : 0;
	if (rc == 0 && mode != node.mode) {
		struct node values = {.mode = mode};
		rc = tree_setattr(fs->meta, inode->node, &values, TREE_MODE, &node);
	}
	if (rc == 0 && node.xattrs > 0) {
		rc = xattr_remove(fs->meta, inode->node, bytes_of_string(CAPABILITY_XATTR));
		rc = rc == -ENODATA ? 0 : rc;
	}
	rc = meta_end(fs->meta, rc);
	if (rc == 0)
		atomic_store(&inode->privileged, (mode & (S_ISUID | S_ISGID)) != 0);
	return rc;
}

int inode_changed(struct filesystem *fs, Inode *inode, fuse_req_t killer) {
	atomic_store(&inode->changed_at, 0);
	atomic_store(&inode->written_at, meta_stamp(fs->meta));
	if (!killer || !atomic_load(&inode->privileged))
		return 0;
	int rc = clear_privileges(fs, inode, killer);
	if (rc == 0)
		notify_inode(fs->notifier, inode->ino);
	return rc;
}

int inode_truncate(struct filesystem *fs, Inode *inode, uint64_t size, fuse_req_t killer, const struct actor *actor) {
	Content *content;
	int rc = inode_content(fs->inodes, inode, &content);
	if (rc < 0)
		return rc;
	if (content_size(content) != size) {
		content_written_by(content, actor);
		rc = content_truncate(content, size);
		if (rc == 0)
			inode_note_size(inode, size, false);
	}
	/* What an earlier writer could not keep is cut off: its late RELEASE must not cost the next one its file. */
	if (rc == 0 && size == 0)
		atomic_store(&inode->write_error, 0);
	inode_content_done(inode);
	return rc < 0 ? rc : inode_changed(fs, inode, killer);
}
