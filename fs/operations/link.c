#include "fs/operations/operations.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fs/operations/acl.h"
#include "fs/operations/call.h"

static void reply_entry(struct call *call, int rc, const struct node *dir, const struct node *node) {
	struct fuse_entry_param entry;
	if (rc < 0) {
		fuse_reply_err(call->req, -rc);
		return;
	}
	entry_fill(call, dir, node, &entry);
	fuse_reply_entry(call->req, &entry);
}

/* The directory in which a name is to be made, with everything that speaks against it. */
static int creation_dir(
        struct call *call, fuse_ino_t parent, const char *name, enum gate_verb verb, struct node *ret_dir) {
	int rc = call_search(call, parent, bytes_of_string(name), ret_dir);
	call_names(call, ret_dir->id, bytes_of_string(name));
	if (rc == 0)
		rc = call_writable(call);
	if (rc < 0)
		return rc;
	struct node there;
	rc = tree_lookup(call->meta, ret_dir->id, bytes_of_string(name), &there);
	if (rc == 0)
		return -EEXIST; /* before permissions, as the kernel's own file systems have it: mkdir -p goes by it */
	if (rc != -ENOENT)
		return rc;
	rc = access_may_create(&call->who, ret_dir, bytes_of_string(name));
	if (rc == 0)
		rc = zone_guard(call, ret_dir, verb, NULL);
	return rc < 0 ? rc : store_space_check(call->fs->store, 0);
}

static int make(struct call *call, fuse_ino_t parent, const char *name, const struct node *wish,
        struct bytes symlink_target, enum gate_verb verb, struct node *ret_dir, struct node *ret_node) {
	int rc = creation_dir(call, parent, name, verb, ret_dir);
	if (rc < 0)
		return rc;
	struct node attributes;
	struct inheritance inheritance;
	rc = acl_new_node(call, ret_dir, wish->mode, &attributes, &inheritance);
	if (rc < 0)
		return rc;
	if (S_ISLNK(wish->mode))
		attributes.mode = S_IFLNK | 0777;
	attributes.rdev = wish->rdev;
	rc = tree_create(call->meta, ret_dir->id, bytes_of_string(name), &attributes, symlink_target, ret_node);
	if (rc == 0)
		rc = acl_keep_inherited(call, &inheritance, ret_node);
	if (rc == 0)
		call->event.node = ret_node->id;
	return rc;
}

/* A regular file made without being opened is at once a version: empty. */
static int make_regular(struct call *call, struct node *node) {
	struct version draft, sealed;
	int rc = version_draft(call->meta, node->id, 0, node->zone, &draft);
	if (rc == 0)
		rc = version_seal(call->meta, draft.id, ORIGIN_WRITE, 0, NULL, &sealed);
	if (rc)
		return rc;
	node->version = sealed.id;
	call->event.version = sealed.id;
	if (!call->fs->gate->arrived)
		return 0;
	struct gate_arrival arrival = {.cause = GATE_CLOSE,
	        .node = node->id,
	        .version = sealed.id,
	        .path = call_path(call, 0),
	        .actor = &call->event.actor};
	return call->fs->gate->arrived(call->fs->gate->gate, call->meta, &arrival);
}

void operation_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev) {
	if (virtual_is(parent)) {
		operation_virtual_refuse(req, parent, name, "mknod");
		return;
	}
	_scratch_ struct call call;
	struct node dir, node, wish = {.mode = mode, .rdev = rdev};
	call_begin(&call, req, "mknod");
	bool device = S_ISCHR(mode) || S_ISBLK(mode);
	int rc = device && call.who.uid != 0 ? -EPERM : 0;
	if (rc == 0)
		rc = make(&call, parent, name, &wish, (struct bytes){0}, GATE_MKNOD, &dir, &node);
	if (rc == 0 && S_ISREG(mode) && node.zone == ZONE_LANDING)
		rc = make_regular(&call, &node);
	rc = call_end(&call, rc);
	reply_entry(&call, rc, &dir, &node);
}

void operation_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode) {
	if (virtual_is(parent)) {
		operation_virtual_refuse(req, parent, name, "mkdir");
		return;
	}
	_scratch_ struct call call;
	struct node dir, node, wish = {.mode = S_IFDIR | (mode & 07777)};
	call_begin(&call, req, "mkdir");
	int rc = call_end(&call, make(&call, parent, name, &wish, (struct bytes){0}, GATE_MKDIR, &dir, &node));
	reply_entry(&call, rc, &dir, &node);
}

void operation_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name) {
	if (virtual_is(parent)) {
		operation_virtual_refuse(req, parent, name, "symlink");
		return;
	}
	_scratch_ struct call call;
	struct node dir, node, wish = {.mode = S_IFLNK | 0777};
	call_begin(&call, req, "symlink");
	call.target = target;
	int rc = make(&call, parent, name, &wish, bytes_of_string(target), GATE_SYMLINK, &dir, &node);
	rc = call_end(&call, rc);
	reply_entry(&call, rc, &dir, &node);
}

void operation_readlink(fuse_req_t req, fuse_ino_t ino) {
	if (virtual_is(ino)) {
		operation_virtual_readlink(req, ino);
		return;
	}
	_scratch_ struct call call;
	struct node node;
	char target[TREE_TARGET_MAX + 1];
	size_t length = 0;
	call_begin(&call, req, NULL);
	int rc = call_node(&call, ino, &node);
	if (rc == 0)
		rc = call_reached(&call, &node);
	if (rc == 0) {
		call_about(&call, &node);
		rc = access_check_reach(&call.who, &node);
	}
	if (rc == 0)
		rc = tree_readlink(call.meta, node.id, target, TREE_TARGET_MAX, &length);
	rc = call_end(&call, rc);
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	target[length] = '\0';
	fuse_reply_readlink(req, target);
}

static int tell_gate(struct call *call, const struct node *node, enum gate_cause cause) {
	if (!call->fs->gate->arrived || node->zone != ZONE_LANDING || node->version == 0)
		return 0;
	struct gate_arrival arrival = {.cause = cause,
	        .node = node->id,
	        .version = node->version,
	        .path = call_path(call, 1),
	        .actor = &call->event.actor};
	return call->fs->gate->arrived(call->fs->gate->gate, call->meta, &arrival);
}

/* Read each time: only links to other people's files ask for it. */
static bool hardlinks_are_protected(void) {
	_cleanup_(closep) int fd = open("/proc/sys/fs/protected_hardlinks", O_RDONLY | O_CLOEXEC);
	char value = '1';
	if (fd >= 0 && read(fd, &value, 1) < 0)
		return true;
	return value != '0';
}

/* The kernel's own check asks for permissions that it leaves to us, and finds that all is allowed. */
static int may_link(struct call *call, const struct node *node) {
	int rc = access_may_link(&call->who, node);
	return rc == -EPERM && !hardlinks_are_protected() ? 0 : rc;
}

static int link_node(struct call *call, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name,
        struct node *ret_dir, struct node *ret_node) {
	struct node node;
	int rc = call_node(call, ino, &node);
	struct node target;
	if (rc == 0)
		rc = call_reached(call, &node);
	if (rc == 0)
		rc = call_node(call, new_parent, &target);
	if (rc)
		return rc;
	if (node.zone != target.zone)
		return -EXDEV; /* before what else may speak against it: cp and ln fall back on it */
	rc = creation_dir(call, new_parent, new_name, GATE_HARDLINK, ret_dir);
	call->parents[1] = call->parents[0]; /* the record names the old path first */
	call->names[1] = call->names[0];
	call->parents[0] = 0;
	call_about(call, &node);
	if (rc == 0)
		rc = S_ISDIR(node.mode) ? -EPERM : may_link(call, &node);
	if (rc == 0 && node.zone != ZONE_LANDING)
		rc = zone_guard(call, &node, GATE_HARDLINK, &node);
	if (rc == 0)
		rc = tree_link(call->meta, node.id, ret_dir->id, bytes_of_string(new_name), ret_node);
	return rc ? rc : tell_gate(call, ret_node, GATE_LINK);
}

/* The name that it had may be kept by the kernel, which then would not ask by which one it is opened. */
static void forget_first_name(struct call *call, const struct node *node) {
	struct tree_name at = {0};
	char path[TREE_PATH_MAX];
	struct node dir;
	meta_begin(call->meta);
	while (tree_next_path(call->meta, node->id, &at, path, sizeof path, NULL) == 0)
		if (tree_get(call->meta, at.parent, &dir) == 0)
			notify_entry(call->fs->notifier, dir.ino, bytes_of(at.name, at.size));
	(void)meta_end(call->meta, 0);
}

void operation_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name) {
	if (virtual_is(ino) || virtual_is(new_parent)) {
		operation_virtual_refuse(
		        req, virtual_is(ino) ? ino : new_parent, virtual_is(ino) ? NULL : new_name, "link");
		return;
	}
	_scratch_ struct call call;
	struct node dir, node = {0};
	call_begin(&call, req, "link");
	int rc = call_end(&call, link_node(&call, ino, new_parent, new_name, &dir, &node));
	if (rc == 0)
		inode_set_unlinked(call.fs->inodes, node.ino, false);
	if (rc == 0 && S_ISREG(node.mode) && node.zone == ZONE_LANDING && node.nlink == 2)
		forget_first_name(&call, &node);
	reply_entry(&call, rc, &dir, &node);
}

/* unlink and rmdir up to the removal itself. */
static int removal(
        struct call *call, fuse_ino_t parent, const char *name, struct node *ret_dir, struct node *ret_node) {
	int rc = call_search(call, parent, bytes_of_string(name), ret_dir);
	call_names(call, ret_dir->id, bytes_of_string(name));
	if (rc == 0)
		rc = call_find(call, ret_dir, bytes_of_string(name), ret_node);
	if (rc)
		return rc;
	call->event.node = ret_node->id;
	rc = call_writable(call);
	return rc < 0 ? rc : access_may_remove(&call->who, ret_dir, bytes_of_string(name), ret_node);
}

static int ask_gate_unlink(struct call *call, const struct node *dir, struct bytes name, const struct node *node) {
	if (dir->zone != ZONE_TRUSTED && node->zone != ZONE_STAGING)
		return zone_guard(call, dir, GATE_SETATTR, node);
	const struct gate_hooks *gate = call->fs->gate;
	if (!gate->trusted_unlink)
		return -EACCES;
	struct gate_caller caller = call_caller(call);
	return gate->trusted_unlink(gate->gate, call->meta, &caller, dir->id, name, node);
}

static int unlink_name(struct call *call, fuse_ino_t parent, const char *name, struct node *ret_node) {
	struct node dir;
	int rc = removal(call, parent, name, &dir, ret_node);
	if (rc == 0 && S_ISDIR(ret_node->mode))
		rc = -EISDIR;
	if (rc == 0)
		rc = ask_gate_unlink(call, &dir, bytes_of_string(name), ret_node);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	return tree_unlink(call->meta, dir.id, bytes_of_string(name), ret_node);
}

void operation_unlink(fuse_req_t req, fuse_ino_t parent, const char *name) {
	if (virtual_is(parent)) {
		operation_virtual_refuse(req, parent, name, "unlink");
		return;
	}
	_scratch_ struct call call;
	struct node node = {0};
	call_begin(&call, req, "unlink");
	int rc = call_end(&call, unlink_name(&call, parent, name, &node));
	if (rc == 0 && node.nlink == 0)
		inode_set_unlinked(call.fs->inodes, node.ino, true);
	fuse_reply_err(req, -rc);
}

void operation_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name) {
	if (virtual_is(parent)) {
		operation_virtual_refuse(req, parent, name, "rmdir");
		return;
	}
	_scratch_ struct call call;
	struct node dir, node;
	call_begin(&call, req, "rmdir");
	int rc = removal(&call, parent, name, &dir, &node);
	if (rc == 0 && !S_ISDIR(node.mode))
		rc = -ENOTDIR;
	if (rc == 0)
		rc = zone_guard(&call, &dir, GATE_RMDIR, &node);
	if (rc == 0)
		rc = tree_rmdir(call.meta, dir.id, bytes_of_string(name), &node);
	rc = call_end(&call, rc);
	fuse_reply_err(req, -rc);
}
