#include "fs/operations/operations.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/store_keys.h"
#include "backend/usage.h"
#include "crypto/keyring.h"
#include "crypto/secret.h"
#include "fs/operations/acl.h"
#include "fs/operations/handle.h"

static bool writes(int flags) {
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

/* The kernel opens write-only files for reading too when it caches writes; it sends the caller's own flags, though, and
 * reads for partial pages come as pages of the file, so nothing is given away. */
static unsigned access_of(int flags) {
	switch (flags & O_ACCMODE) {
	case O_WRONLY:
		return ACCESS_WRITE;
	case O_RDWR:
		return ACCESS_READ | ACCESS_WRITE;
	default:
		/* The kernel opens a program for reading to execute it; FMODE_EXEC (bit 5) tells. */
		return (flags & 040 ? ACCESS_EXEC : ACCESS_READ) | (flags & O_TRUNC ? ACCESS_WRITE : 0u);
	}
}

static const char *describe(int flags, char *text, size_t size) {
	static const char *const modes[] = {"read", "write", "read-write", "none"};
	snprintf(text, size, "%s%s%s%s%s", modes[flags & O_ACCMODE], flags & O_TRUNC ? ", truncate" : "",
	        flags & O_APPEND ? ", append" : "", flags & 040 ? ", execute" : "",
	        (flags & O_TMPFILE) == O_TMPFILE ? ", nameless" : "");
	return text;
}

/* Whether a file that is there may be opened for a change. */
static int check_change(struct call *call, const struct node *node, int flags) {
	int rc = call_writable(call);
	if (rc == 0 && node->zone == ZONE_RAW)
		rc = -EPERM;
	if (rc < 0 || node->zone == ZONE_LANDING)
		return rc < 0 ? rc : store_space_check(call->fs->store, 0);
	const struct gate_hooks *gate = call->fs->gate;
	if (!gate->trusted_open)
		return -EACCES;
	struct gate_caller caller = call_caller(call);
	return gate->trusted_open(gate->gate, call->meta, &caller, node, flags);
}

/* Mode bits and roles, and of a staging node whose it is. */
static int check_reach(struct call *call, const struct node *node, int flags) {
	const struct gate_hooks *gate = call->fs->gate;
	int rc = access_check(&call->who, node, access_of(flags));
	if (rc < 0 || node->zone != ZONE_STAGING || !gate->staged_reach)
		return rc;
	struct gate_caller caller = call_caller(call);
	return gate->staged_reach(gate->gate, &caller, node, flags);
}

/* What an opening has to do with keys. */
struct opened_key {
	uint64_t used;           /* for content_reader */
	char own[OWN_KEY_BYTES]; /* what is begun by this writer is sealed under it, wherever the file is by then */
};

/* What the kernel has in its memory is read by the opening, so the key counts as used. */
static int use_key(struct call *call, const struct node *node, int flags, struct opened_key *ret_key) {
	struct key_use use = {.seals = false};
	if (writes(flags) && !call->silent && store_choose_key(call->fs->store, node, ret_key->own) < 0)
		ret_key->own[0] = '\0'; /* who begins on nothing is told; what stands has its key */
	if (call->silent || (flags & O_ACCMODE) == O_WRONLY || (flags & O_TRUNC) || node->size == 0 ||
	        node->version == 0)
		return 0;
	int rc = store_key_of_version(call->fs->store, (enum zone)node->zone, node->version, &use);
	if (rc == 0)
		rc = call_use_key(call, &use);
	if (rc == 0)
		ret_key->used = key_uses_mark(use.key, use.version);
	return rc == -ENOENT ? 0 : rc;
}

static int check_open(struct call *call, fuse_ino_t ino, int flags, struct node *ret_node) {
	int rc = call_node(call, ino, ret_node);
	if (rc == 0)
		rc = call_reached(call, ret_node);
	if (rc < 0)
		return rc;
	call_about(call, ret_node);
	call->event.version = ret_node->version;
	if (!S_ISREG(ret_node->mode))
		return -EINVAL; /* pipes and devices are the kernel's own to open */
	rc = check_reach(call, ret_node, flags);
	if (rc == 0)
		rc = call_check_key(call, (enum zone)ret_node->zone, flags & O_TRUNC ? 0 : ret_node->version);
	if (rc == 0 && flags & O_TRUNC)
		rc = call_lacks_key(call, content_begin_check(call->fs->store, call->meta, ret_node));
	if (rc == 0 && writes(flags))
		rc = check_change(call, ret_node, flags);
	if (rc == GATE_STAGED)
		call->silent = true; /* the open that follows is the one to be recorded */
	return rc;
}

/* -ESTALE: the number was given up since it was looked at. The kernel looks the name up anew, and opens what is there.
 */
static int count_writer(Inode *inode) {
	pthread_mutex_lock(&inode->lock);
	inode->shared |= ++inode->writers > 1;
	atomic_fetch_add(&inode->dirtiers, 1);
	int rc = inode->zone == ZONE_LANDING && inode->pinned ? -ESTALE : 0;
	pthread_mutex_unlock(&inode->lock);
	return rc;
}

/* The kernel brings what is written when it likes, after the file was renamed perhaps. */
static int choose_key(struct call *call, Inode *inode, const char *own) {
	Content *content;
	int rc = inode_content(call->fs->inodes, inode, &content);
	if (rc < 0)
		return rc;
	content_choose_key(content, own);
	inode_content_done(inode);
	return 0;
}

static void reply_opened(struct fuse_file_info *fi, struct handle *handle) {
	fi->fh = (uintptr_t)handle;
	fi->keep_cache = 1;
	fi->noflush = 0;
}

/* After the record: the reference becomes the handle's. */
static int attach(struct call *call, struct fuse_file_info *fi, const struct node *node, const struct opened_key *key) {
	Inode *inode;
	int rc = inode_get(call->fs->inodes, node, &inode);
	if (rc)
		return rc;
	struct handle *handle = handle_new(inode, fi->flags, &call->event.actor);
	if (!handle) {
		inode_put(call->fs->inodes, inode);
		return -ENOMEM;
	}
	handle->reader.key = key->used;
	if (handle->writable)
		rc = count_writer(inode);
	if (rc == 0 && handle->writable && (key->own[0] || segment_any_own(store_segments(call->fs->store))))
		rc = choose_key(call, inode, key->own[0] ? key->own : NULL);
	if (rc == 0 && node->zone == ZONE_STAGING && call->fs->gate->staged_opened)
		rc = call->fs->gate->staged_opened(call->fs->gate->gate, inode);
	if (rc == 0 && fi->flags & O_TRUNC)
		rc = inode_truncate(call->fs, inode, 0, killer_of(call->req), &call->event.actor);
	if (rc == 0 && fi->flags & O_TRUNC && !handle->writable)
		atomic_store(&inode->emptied_by, call->who.uid + UINT64_C(1));
	if (rc == 0)
		idle_touch(call->fs->idle, false);
	if (rc == 0)
		reply_opened(fi, handle);
	else
		handle_release(call->fs, handle);
	return rc;
}

/* O_RDONLY|O_TRUNC: no writer will close it, so the version is made at once. */
static int seal_truncated(struct call *call, const struct fuse_file_info *fi) {
	struct handle *handle = handle_of(fi);
	if (!(fi->flags & O_TRUNC) || handle->writable)
		return 0;
	struct audit_event event = {.event = "truncate", .actor = handle->actor};
	pthread_mutex_lock(&handle->inode->lock);
	int rc = handle->inode->writers == 0 ? inode_seal(call->fs, handle->inode, GATE_TRUNCATE, &event) : 0;
	pthread_mutex_unlock(&handle->inode->lock);
	return rc == -ENODATA ? 0 : rc;
}

static void reply_open(struct call *call, struct fuse_file_info *fi, int rc) {
	if (rc < 0)
		fuse_reply_err(call->req, -rc);
	else if (fuse_reply_open(call->req, fi) == -ENOENT) /* the caller was interrupted: no RELEASE will come */
		handle_release(call->fs, handle_of(fi));
}

void operation_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	if (virtual_is(ino)) {
		operation_virtual_open(req, ino, fi);
		return;
	}
	_scratch_ struct call call;
	struct node node = {0};
	char detail[64];
	call_begin(&call, req, "open");
	call.event.detail = describe(fi->flags, detail, sizeof detail);
	struct opened_key key = {0};
	int rc = check_open(&call, ino, fi->flags, &node);
	if (rc == 0)
		rc = use_key(&call, &node, fi->flags, &key);
	rc = call_end(&call, rc);
	if (rc == GATE_STAGED)
		rc = -ESTALE;
	if (rc == 0)
		rc = attach(&call, fi, &node, &key);
	if (rc == 0)
		rc = seal_truncated(&call, fi);
	if (rc == 0 && (fi->flags & O_ACCMODE) != O_WRONLY)
		usage_get(meta_usage(store_meta(call.fs->store)), node.zone);
	reply_open(&call, fi, rc);
}

static int make_file(struct call *call, const struct node *dir, struct bytes name, mode_t mode, struct node *ret_node) {
	int rc = access_may_create(&call->who, dir, name);
	if (rc == 0)
		rc = call_check_key(call, (enum zone)dir->zone, 0);
	if (rc == 0)
		rc = store_space_check(call->fs->store, 0);
	if (rc < 0)
		return rc;
	struct node attributes;
	struct inheritance inheritance;
	rc = acl_new_node(call, dir, S_IFREG | (mode & 07777), &attributes, &inheritance);
	if (rc < 0)
		return rc;
	if (dir->zone == ZONE_LANDING) {
		rc = tree_create(call->meta, dir->id, name, &attributes, (struct bytes){0}, ret_node);
		if (rc == 0)
			rc = call_lacks_key(call, content_begin_check(call->fs->store, call->meta, ret_node));
		return rc < 0 ? rc : acl_keep_inherited(call, &inheritance, ret_node);
	}
	if (dir->zone != ZONE_TRUSTED)
		return -EPERM;
	const struct gate_hooks *gate = call->fs->gate;
	if (!gate->trusted_create)
		return -EACCES;
	struct gate_caller caller = call_caller(call);
	return gate->trusted_create(gate->gate, call->meta, &caller, dir->id, name, &attributes, ret_node);
}

/* O_TMPFILE: linkat(2) may give it a name later; else it is gone with its last descriptor, or after a crash. */
static int make_nameless(struct call *call, fuse_ino_t parent, mode_t mode, struct node *ret_dir, struct node *ret) {
	int rc = call_search(call, parent, (struct bytes){0}, ret_dir);
	call->node = ret_dir->id; /* the record's path: it has none itself */
	if (rc == 0)
		rc = call_writable(call);
	if (rc == 0)
		rc = access_may_create(&call->who, ret_dir, (struct bytes){0});
	/* In Trusted a name is what a file is judged by: programs fall back on one. */
	if (rc == 0 && ret_dir->zone != ZONE_LANDING)
		rc = ret_dir->zone == ZONE_TRUSTED ? -EOPNOTSUPP : -EPERM;
	if (rc == 0)
		rc = store_space_check(call->fs->store, 0);
	if (rc < 0)
		return rc;
	struct node attributes;
	struct inheritance inheritance;
	rc = acl_new_node(call, ret_dir, S_IFREG | (mode & 07777), &attributes, &inheritance);
	attributes.zone = ret_dir->zone;
	if (rc == 0)
		rc = tree_create_orphan(call->meta, &attributes, ret);
	if (rc == 0)
		rc = acl_keep_inherited(call, &inheritance, ret);
	call->event.node = rc < 0 ? 0 : ret->id;
	return rc;
}

static int check_create(struct call *call, fuse_ino_t parent, const char *name, mode_t mode, int flags,
        struct node *ret_dir, struct node *ret_node) {
	struct bytes bytes = bytes_of_string(name);
	if (strcmp(name, SESSION_NAMELESS) == 0)
		return make_nameless(call, parent, mode, ret_dir, ret_node);
	int rc = call_search(call, parent, bytes, ret_dir);
	call_names(call, ret_dir->id, bytes);
	if (rc == 0)
		rc = call_writable(call);
	if (rc < 0)
		return rc;
	rc = tree_lookup(call->meta, ret_dir->id, bytes, ret_node);
	if (rc == -ENOENT) {
		rc = make_file(call, ret_dir, bytes, mode, ret_node);
		if (rc == 0)
			call->event.node = ret_node->id;
		return rc;
	}
	/* Somebody else made it meanwhile: the kernel's look-up was older. */
	if (rc < 0 || (flags & O_EXCL))
		return rc < 0 ? rc : -EEXIST;
	call->event.event = "open";
	return check_open(call, ret_node->ino, flags, ret_node);
}

void operation_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi) {
	if (virtual_is(parent)) {
		operation_virtual_refuse(req, parent, name, "create");
		return;
	}
	_scratch_ struct call call;
	struct node dir, node = {0};
	char detail[64];
	call_begin(&call, req, "create");
	call.event.detail = describe(fi->flags, detail, sizeof detail);
	struct opened_key key = {0};
	int rc = check_create(&call, parent, name, mode, fi->flags, &dir, &node);
	if (rc == 0)
		rc = use_key(&call, &node, fi->flags, &key);
	rc = call_end(&call, rc);
	if (rc == GATE_STAGED)
		rc = -ESTALE;
	if (rc == 0)
		rc = attach(&call, fi, &node, &key);
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	struct fuse_entry_param entry;
	entry_fill(&call, &dir, &node, &entry);
	if (fuse_reply_create(req, &entry, fi) == -ENOENT)
		handle_release(call.fs, handle_of(fi));
}

void operation_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	if (virtual_is(ino))
		operation_virtual_release(req, ino, fi);
	else
		handle_release(call_filesystem(req), handle_of(fi));
	session_released();
	fuse_reply_err(req, 0);
}
