#include "fs/operations/operations.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "backend/xattr.h"
#include "fs/intent.h"
#include "fs/operations/handle.h"

#define SET_TIMES (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)
#define SECOND_NS INT64_C(1000000000)
/* How far from now a time may be that a caller who may only write gives as "now": the kernel fills it in before. */
#define NOW_SLACK_NS (2 * SECOND_NS)

static void reply_attributes(struct call *call, int rc, const struct node *node) {
	struct stat attributes;
	if (rc < 0) {
		fuse_reply_err(call->req, -rc);
		return;
	}
	stat_fill(call->fs, node, &attributes);
	fuse_reply_attr(call->req, &attributes, attributes_timeout(node));
}

void operation_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	(void)fi;
	if (virtual_is(ino)) {
		operation_virtual_getattr(req, ino);
		return;
	}
	_scratch_ struct call call;
	struct node node;
	call_begin(&call, req, NULL);
	int rc = call_end(&call, call_node(&call, ino, &node));
	reply_attributes(&call, rc, &node);
}

void operation_access(fuse_req_t req, fuse_ino_t ino, int mask) {
	if (virtual_is(ino)) {
		operation_virtual_access(req, ino, mask);
		return;
	}
	_scratch_ struct call call;
	struct node node;
	call_begin(&call, req, NULL);
	call.event.event = "access";
	int rc = call_node(&call, ino, &node);
	if (rc == 0)
		rc = call_reached(&call, &node);
	if (rc == 0) {
		call_about(&call, &node);
		rc = access_check(&call.who, &node, (unsigned)mask & 7);
	}
	if (rc == 0 && (mask & W_OK) && S_ISREG(node.mode))
		rc = call_writable(&call);
	rc = call_end(&call, rc);
	fuse_reply_err(req, -rc);
}

void operation_statfs(fuse_req_t req, fuse_ino_t ino) {
	(void)ino;
	struct filesystem *fs = call_filesystem(req);
	struct statvfs about;
	struct tree_counts counts;
	if (statvfs(fs->vault_path, &about) < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	meta_begin(fs->meta);
	int rc = meta_end(fs->meta, tree_statfs(fs->meta, &counts));
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	about.f_files = counts.nodes + about.f_ffree;
	about.f_namemax = TREE_NAME_MAX;
	fuse_reply_statfs(req, &about);
}

/* ---- setattr ---- */

struct setattr {
	fuse_ino_t ino;
	int set; /* FUSE_SET_ATTR_… */
	const struct stat *values;
	struct handle *handle; /* through a descriptor, or NULL */
	struct node node, result;
	bool by_kernel, follows_truncation;
	bool is_doubtful, by_user; /* the kernel's or an imitation: to be asked for; it is one */
	bool deferred;             /* the times wait in the Inode for the version's sealing */
};

static int64_t ns_of(struct timespec time) {
	return (int64_t)time.tv_sec * SECOND_NS + time.tv_nsec;
}

/*
 * With the writeback cache the kernel keeps mtime and ctime of files and sends both when it writes back, in the name of
 * whoever happens to be running. It looks like utimensat by that process, but for: a descriptor open for writing, or an
 * mtime that is what we have (only ctime had changed). The latter a user's call may imitate (futimens(2) comes
 * without its descriptor); so it is believed only where the kernel has a reason, which is a change of names or
 * attributes that we allowed: never in Raw, and of a published file when its name went. And of whoever may not set
 * these times it is asked what call he is in.
 */
static bool sent_by_kernel(const struct setattr *change) {
	int times = change->set & ~FUSE_SET_ATTR_FILE;
	if (times != (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_CTIME))
		return false;
	if (change->handle && change->handle->writable)
		return true;
	const struct node *node = &change->node;
	bool rests = node->zone == ZONE_RAW || (node->zone == ZONE_TRUSTED && node->nlink > 0);
	return S_ISREG(node->mode) && !rests && ns_of(change->values->st_mtim) == node->mtime;
}

/* So it does before a file is closed that was opened with O_RDONLY|O_TRUNC, and without a descriptor, as none is open
 * for writing. Who opened it so was permitted to write, and so to set a time of now. Not inside an operation. */
static bool follows_truncation(const struct filesystem *fs, const struct setattr *change, uint32_t uid) {
	int times = change->set & ~FUSE_SET_ATTR_FILE;
	int64_t off = ns_of(change->values->st_mtim) - meta_now(fs->meta);
	if (times != (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_CTIME) || off < -NOW_SLACK_NS || off > NOW_SLACK_NS)
		return false;
	Inode *inode = inode_find(fs->inodes, change->ino);
	uint64_t caller = uid + UINT64_C(1);
	bool follows = inode && atomic_compare_exchange_strong(&inode->emptied_by, &caller, 0);
	inode_put(fs->inodes, inode);
	return follows;
}

/*
 * The number was renewed (a publication took its name), and the kernel sends the times that it still had for it: of a
 * file that has no name any more, so they are of no account. An error would be told by the next syncfs(2), which has
 * nothing to do with it; and by way of the node they would become those of the new content. In meta.
 */
static bool concerns_the_past(struct call *call, struct setattr *change) {
	int times = change->set & ~FUSE_SET_ATTR_FILE;
	struct node *past = &change->result;
	if (times != (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_CTIME))
		return false;
	if (tree_by_ino(call->meta, change->ino, past) != -ESTALE)
		return false;
	if (call_node(call, change->ino, past) < 0)
		*past = (struct node){.ino = change->ino, .mode = S_IFREG};
	past->mtime = ns_of(change->values->st_mtim);
	past->ctime = ns_of(change->values->st_ctim);
	return true;
}

static unsigned tree_mask(const struct setattr *change) {
	unsigned mask = 0;
	mask |= change->set & FUSE_SET_ATTR_MODE ? TREE_MODE : 0;
	mask |= change->set & FUSE_SET_ATTR_UID ? TREE_UID : 0;
	mask |= change->set & FUSE_SET_ATTR_GID ? TREE_GID : 0;
	mask |= change->set & FUSE_SET_ATTR_SIZE ? TREE_SIZE : 0;
	mask |= change->set & FUSE_SET_ATTR_ATIME ? TREE_ATIME : 0;
	mask |= change->set & FUSE_SET_ATTR_MTIME ? TREE_MTIME : 0;
	mask |= change->set & FUSE_SET_ATTR_CTIME ? TREE_CTIME : 0;
	return mask;
}

/* For regular files the kernel puts its own "now" in place of ours and does not say that it did: what is close to now
 * counts as now. */
static bool times_are_now(const struct setattr *change, int64_t now) {
	if ((change->set & FUSE_SET_ATTR_ATIME) && !(change->set & FUSE_SET_ATTR_ATIME_NOW))
		return false;
	if (!(change->set & FUSE_SET_ATTR_MTIME) || (change->set & FUSE_SET_ATTR_MTIME_NOW))
		return true;
	int64_t off = ns_of(change->values->st_mtim) - now;
	return S_ISREG(change->node.mode) && off > -NOW_SLACK_NS && off < NOW_SLACK_NS;
}

static int check_change(struct call *call, const struct setattr *change, struct node *values) {
	struct access_change wish = {.mask = tree_mask(change),
	        .mode = values->mode,
	        .uid = values->uid,
	        .gid = values->gid,
	        .times_are_now = times_are_now(change, meta_now(call->meta)),
	        .open_writable = change->handle && change->handle->writable};
	int rc = call_may_change_root(call, &change->node);
	return rc < 0 ? rc : access_may_change(&call->who, &change->node, &wish, &values->mode);
}

static int check_zone(struct call *call, const struct setattr *change) {
	const struct node *node = &change->node;
	bool is_room = node->id <= NODE_TRUSTED; /* its owner may open or close a whole zone */
	if (is_room)
		return 0;
	if (node->zone == ZONE_STAGING && change->handle)
		return 0; /* the gate let it be opened */
	return zone_guard(call, node, GATE_SETATTR, node);
}

static int check(struct call *call, struct setattr *change, struct node *values) {
	int rc = call_node(call, change->ino, &change->node);
	if (rc < 0)
		return rc;
	call_about(call, &change->node);
	bool was_asked = change->is_doubtful;
	bool is_known = change->follows_truncation || change->handle || was_asked;
	change->by_kernel = change->follows_truncation || (!change->by_user && sent_by_kernel(change));
	change->is_doubtful = change->by_kernel && !is_known && check_change(call, change, values) < 0;
	call->silent = change->by_kernel; /* it belongs to a write, which has its record */
	if (change->by_kernel)
		return change->is_doubtful ? -EAGAIN : 0;
	rc = change->handle ? 0 : call_reached(call, &change->node);
	if (rc < 0)
		return rc;
	rc = call_writable(call);
	if (rc == 0 && (change->set & FUSE_SET_ATTR_SIZE) && !S_ISREG(change->node.mode))
		rc = S_ISDIR(change->node.mode) ? -EISDIR : -EINVAL;
	if (rc < 0)
		return rc;
	rc = check_change(call, change, values);
	return rc < 0 ? rc : check_zone(call, change);
}

static void wished_values(struct call *call, const struct setattr *change, struct node *ret) {
	const struct stat *values = change->values;
	int64_t now = meta_stamp(call->meta);
	*ret = (struct node){.mode = values->st_mode & 07777,
	        .uid = values->st_uid,
	        .gid = values->st_gid,
	        .atime = change->set & FUSE_SET_ATTR_ATIME_NOW ? now : ns_of(values->st_atim),
	        .mtime = change->set & FUSE_SET_ATTR_MTIME_NOW ? now : ns_of(values->st_mtim),
	        .ctime = ns_of(values->st_ctim)};
}

/* What call the thread is in is asked for outside of the operation. */
static int check_asking(struct call *call, struct setattr *change, struct node *ret_values) {
	wished_values(call, change, ret_values);
	int rc = check(call, change, ret_values);
	if (!change->is_doubtful)
		return rc;
	(void)call_end(call, -EAGAIN);
	change->by_user = intent_sets_times(fuse_req_ctx(call->req)->pid);
	call_enter(call);
	wished_values(call, change, ret_values);
	return check(call, change, ret_values);
}

/* chown(2) takes file capabilities away; the kernel leaves that to us (FUSE_HANDLE_KILLPRIV_V2). */
static int clear_capability(struct call *call, const struct node *node) {
	if (node->xattrs == 0 || !S_ISREG(node->mode))
		return 0;
	int rc = xattr_remove(call->meta, node->id, bytes_of_string(CAPABILITY_XATTR));
	return rc == -ENODATA ? 0 : rc;
}

/* Times that the kernel sends while the file is open for writing are written with the version. */
static bool defer_times(struct setattr *change) {
	if (!change->by_kernel || !change->handle || !change->handle->writable)
		return false;
	Inode *inode = change->handle->inode;
	atomic_store(&inode->written_at, ns_of(change->values->st_mtim));
	atomic_store(&inode->changed_at, ns_of(change->values->st_ctim));
	return true;
}

/* With each removal of a name the kernel sends the ctime that it gave the file. When it was the last one and nobody has
 * the file open, nobody gets to it any more but by a descriptor of its path alone (O_PATH), and a version has times of
 * its own: to write it would be the sixth row that a removal changes, in an operation of its own. */
static bool is_of_no_account(const struct call *call, const struct setattr *change) {
	uint64_t node, pinned;
	return change->by_kernel && !change->handle && change->node.nlink == 0 &&
	       !inode_describe(call->fs->inodes, change->ino, &node, &pinned);
}

/* Everything but the size, which is content's. */
static int apply(struct call *call, struct setattr *change, struct node *values) {
	change->deferred = defer_times(change);
	if (change->deferred || is_of_no_account(call, change)) {
		change->result = change->node;
		change->result.mtime = ns_of(change->values->st_mtim);
		change->result.ctime = ns_of(change->values->st_ctim);
		return 0;
	}
	unsigned mask = tree_mask(change) & ~TREE_SIZE;
	if (mask & (TREE_UID | TREE_GID)) {
		mask |= TREE_MODE;
		int rc = clear_capability(call, &change->node);
		if (rc < 0)
			return rc;
	}
	change->result = change->node;
	if (mask == 0)
		return 0;
	int rc = tree_setattr(call->meta, change->node.id, values, mask, &change->result);
	if (rc == 0 && mask & TREE_MODE)
		call_forget_unlisted(call, &change->node, &change->result);
	if (rc == 0 && mask & TREE_ATIME) {
		access_times_drop(call->fs->access_times, change->node.id);
		inode_access_set(call->fs->inodes, change->ino);
	}
	return rc;
}

static const char *event_of(int set) {
	if (set & FUSE_SET_ATTR_SIZE)
		return "truncate";
	if (set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		return "chown";
	return set & FUSE_SET_ATTR_MODE ? "chmod" : "utimes";
}

/* What it was changed to. */
static const char *describe(int set, const struct stat *values, char *text, size_t size) {
	if (set & FUSE_SET_ATTR_SIZE)
		snprintf(text, size, "to %" PRId64 " bytes", (int64_t)values->st_size);
	else if ((set & FUSE_SET_ATTR_UID) && (set & FUSE_SET_ATTR_GID))
		snprintf(text, size, "to user %u, group %u", values->st_uid, values->st_gid);
	else if (set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		snprintf(text, size, set & FUSE_SET_ATTR_UID ? "to user %u" : "to group %u",
		        set & FUSE_SET_ATTR_UID ? values->st_uid : values->st_gid);
	else if (set & FUSE_SET_ATTR_MODE)
		snprintf(text, size, "to %04o", values->st_mode & 07777);
	else
		return NULL;
	return text;
}

/* truncate(2) by path makes a version at once when nobody has the file open for writing. */
static int seal_truncated(struct call *call, Inode *inode, const struct setattr *change) {
	if (change->handle || inode->zone != ZONE_LANDING)
		return 0;
	struct audit_event event = {.event = "truncate", .actor = call->event.actor, .detail = "sealed"};
	pthread_mutex_lock(&inode->lock);
	int rc = inode->writers == 0 ? inode_seal(call->fs, inode, GATE_TRUNCATE, &event) : -ENODATA;
	pthread_mutex_unlock(&inode->lock);
	return rc == -ENODATA ? 0 : rc;
}

/* After the permission was given and recorded: content is not to be touched within a meta operation. */
static int set_size(struct call *call, struct setattr *change) {
	const struct node *node = &change->node;
	uint64_t size = (uint64_t)change->values->st_size;
	Inode *inode;
	int rc = inode_get(call->fs->inodes, node, &inode);
	if (rc < 0)
		return rc;
	idle_touch(call->fs->idle, false);
	rc = inode_truncate(call->fs, inode, size, killer_of(call->req), &call->event.actor);
	/* The kernel sends the times that it shows from now on: with others of our own the file would show those after
	 * a remount, and what the kernel sends later would look like somebody's utimensat(2). */
	if (rc == 0 && change->set & FUSE_SET_ATTR_MTIME) {
		atomic_store(&inode->written_at, change->result.mtime);
		atomic_store(&inode->changed_at, change->result.ctime);
	}
	if (rc == 0)
		rc = seal_truncated(call, inode, change);
	const struct gate_hooks *gate = call->fs->gate;
	if (rc == 0 && inode->zone == ZONE_STAGING && !change->handle && gate->staged_release) {
		struct gate_caller caller = call_caller(call); /* nobody will close what nobody has open */
		gate->staged_release(gate->gate, inode, caller.actor);
	}
	inode_put(call->fs->inodes, inode);
	return rc;
}

/* ---- truncate(2) of what is published: its gate ---- */

struct judged_truncate {
	fuse_req_t req;
	fuse_ino_t ino;
	uint64_t size;
	struct node node;
	struct gate_permit permit; /* by which it was let pass so far */
	struct call call;
};

/* What it shows by now: under a new number, unless nothing changed. The kernel learns of that with its next look-up. */
static int node_after(struct judged_truncate *asked, struct node *ret) {
	meta_begin(asked->call.meta);
	int rc = meta_end(asked->call.meta, tree_get(asked->call.meta, asked->node.id, ret));
	ret->ino = asked->ino;
	return rc;
}

/* The gate's answer is what is recorded. */
static void answer_truncate(void *arg) {
	struct judged_truncate *asked = arg;
	struct call *call = &asked->call;
	struct node after;
	call_prepare(call, asked->req, "truncate");
	call->answers.permit = asked->permit;
	struct gate_caller caller = call_caller(call);
	const struct gate_hooks *gate = call->fs->gate;
	int rc = gate->trusted_truncate ? gate->trusted_truncate(gate->gate, &caller, &asked->node, asked->size)
	                                : -EACCES;
	call_enter(call);
	call_about(call, &asked->node);
	rc = call_end(call, rc < 0 ? rc : 0);
	if (rc == 0)
		rc = node_after(asked, &after);
	reply_attributes(call, rc, &after);
	free(asked);
}

/* Permissions were given. The verdict takes its time, so it is waited for elsewhere. */
static void truncate_by_gate(struct call *call, const struct setattr *change) {
	struct judged_truncate *asked = malloc(sizeof *asked);
	if (!asked) {
		fuse_reply_err(call->req, ENOMEM);
		return;
	}
	asked->req = call->req;
	asked->ino = change->ino;
	asked->size = (uint64_t)change->values->st_size;
	asked->node = change->node;
	asked->permit = call->answers.permit;
	aside_run(&call->fs->verdicts, call->who.uid, answer_truncate, asked);
}

/* Times that a content was handed and has not put into the row yet must not overtake those that somebody sets now. Not
 * for what the kernel sends with each fsync, which goes the same way. */
static void settle_times_first(struct filesystem *fs, const struct setattr *change) {
	int times = change->set & ~FUSE_SET_ATTR_FILE;
	bool is_handed_on =
	        times == (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_CTIME) && change->handle && change->handle->writable;
	Content *content;
	Inode *inode = is_handed_on || !(times & FUSE_SET_ATTR_MTIME) ? NULL : inode_find(fs->inodes, change->ino);
	if (!inode)
		return;
	if (atomic_load(&inode->handed_at) != 0 && inode_content(fs->inodes, inode, &content) == 0) {
		(void)content_settle_times(content); /* a database that fails will tell of the change itself, too */
		inode_content_done(inode);
	}
	inode_put(fs->inodes, inode);
}

static void note_in_inode(struct call *call, const struct setattr *change) {
	Inode *inode = inode_find(call->fs->inodes, change->ino);
	if (!inode)
		return;
	if (change->set & FUSE_SET_ATTR_MTIME) {
		atomic_store(&inode->written_at, 0);
		atomic_store(&inode->handed_at, 0);
	}
	if (change->result.mode & (S_ISUID | S_ISGID))
		atomic_store(&inode->privileged, true);
	inode_put(call->fs->inodes, inode);
}

static void note_closed_directory(struct call *call, const struct setattr *change) {
	/* By the mode alone: chmod takes from an ACL only what it takes from the mode. */
	bool was_open = S_ISDIR(change->node.mode) && access_mode_opens(&change->node);
	if (was_open && !access_mode_opens(&change->result))
		notify_children(call->fs->notifier, change->node.id, change->ino);
}

static int reload(struct call *call, struct setattr *change) {
	meta_begin(call->meta);
	return meta_end(call->meta, call_node(call, change->ino, &change->result));
}

void operation_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *values, int set, struct fuse_file_info *fi) {
	if (virtual_is(ino)) {
		operation_virtual_refuse(req, ino, NULL, event_of(set));
		return;
	}
	_scratch_ struct call call;
	struct node wished;
	char detail[48];
	struct setattr change = {.ino = ino, .set = set, .values = values, .handle = fi ? handle_of(fi) : NULL};
	settle_times_first(call_filesystem(req), &change);
	change.follows_truncation = follows_truncation(call_filesystem(req), &change, fuse_req_ctx(req)->uid);
	call_begin(&call, req, NULL); /* the kernel's own need no actor */
	call.event.event = event_of(set);
	call.event.detail = describe(set, values, detail, sizeof detail);
	if (concerns_the_past(&call, &change)) {
		reply_attributes(&call, call_end(&call, 0), &change.result);
		return;
	}
	int rc = check_asking(&call, &change, &wished);
	bool is_judged = rc == 0 && (set & FUSE_SET_ATTR_SIZE) && change.node.zone == ZONE_TRUSTED;
	call.silent = call.silent || is_judged;
	if (rc == 0 && !is_judged)
		rc = apply(&call, &change, &wished);
	rc = call_end(&call, rc);
	if (rc == 0 && is_judged) {
		truncate_by_gate(&call, &change);
		return;
	}
	if (rc == 0 && (set & FUSE_SET_ATTR_SIZE)) {
		rc = set_size(&call, &change);
		if (rc == 0)
			rc = reload(&call, &change);
	}
	if (rc == 0 && !change.deferred) {
		note_in_inode(&call, &change);
		note_closed_directory(&call, &change);
	}
	reply_attributes(&call, rc, &change.result);
}
