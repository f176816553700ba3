#include "fs/operations/operations.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "backend/xattr.h"
#include "crypto/encoding.h"
#include "fs/operations/acl.h"
#include "fs/operations/handle.h"

#define OWN_PREFIX "user.assayfs."
/* With SELinux the kernel answers for it; without, nothing labels files, and where one has none the answer is that of a
 * file system without labels. After that ls asks for no other's, which makes `ls -lR` a third faster. What was set,
 * as by rsync -X, is told all the same. */
#define LABEL_XATTR "security.selinux"

static bool has_prefix(const char *name, const char *prefix) {
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Who may read or write which kind: xattr(7). */
static int check_kind(const struct call *call, const struct node *node, const char *name, bool write) {
	if (has_prefix(name, "user."))
		return access_xattr(&call->who, node, write);
	if (write && access_check_roles(&call->who, node, ACCESS_WRITE) < 0)
		return -EACCES; /* what is root's below is so by his capabilities, which no role needs */
	if (has_prefix(name, "security."))
		return write && call->who.uid != 0 ? -EPERM : 0;
	if (has_prefix(name, "trusted."))
		return call->who.uid == 0 ? 0 : write ? -EPERM : -ENODATA;
	int rc = has_prefix(name, "system.") ? 0 : access_check(&call->who, node, write ? ACCESS_WRITE : ACCESS_READ);
	return rc < 0 ? rc : -EOPNOTSUPP;
}

static int check_name(const struct call *call, const struct node *node, const char *name, bool write) {
	int rc = check_kind(call, node, name, write);
	bool has_no_name = strchr(name, '.') && strchr(name, '.')[1] == '\0';
	return rc == 0 && has_no_name ? -EINVAL : rc;
}

/* ---- our own: answered by name, never listed, never set ---- */

static int answer_vault(const struct filesystem *fs, char *text, size_t capacity) {
	struct store_info info;
	store_info(fs->store, &info);
	if (capacity < HEX_TEXT_BYTES(STORE_VAULT_ID_BYTES))
		return -ERANGE;
	hex_encode(bytes_of(info.vault_id, sizeof info.vault_id), text);
	return 2 * STORE_VAULT_ID_BYTES;
}

static int answer_version(const struct call *call, const struct node *node, char *text, size_t capacity) {
	struct version version;
	if (node->version == 0)
		return -ENODATA;
	int rc = version_get(call->meta, node->version, &version);
	return rc < 0 ? rc : snprintf(text, capacity, "%" PRIu64, version.number);
}

/* Of the version that the file shows, by the name that was used. Nothing where no rule takes it. */
static int answer_replication(
        const struct call *call, const struct node *node, const char *used, char *text, size_t capacity) {
	struct version version;
	size_t length;
	if (node->version == 0 || !call->fs->backup)
		return -ENODATA;
	int rc = version_get(call->meta, node->version, &version);
	if (rc == 0 && !used)
		rc = tree_path(call->meta, node->id, text, capacity, &length);
	if (rc < 0)
		return rc;
	enum backup_replication replication = backup_of_version(call->fs->backup, &version, used ? used : text);
	return replication == BACKUP_NONE ? -ENODATA
	                                  : snprintf(text, capacity, "%s", backup_replication_word(replication));
}

/* The length of the answer, or -errno. In a meta operation. */
static int answer(struct call *call, const struct node *node, const char *name, char *text, size_t capacity) {
	const char *used = call->event.path_bytes ? NULL : call->event.path;
	if (strcmp(name, "vault") == 0)
		return answer_vault(call->fs, text, capacity);
	if (strcmp(name, "version") == 0)
		return answer_version(call, node, text, capacity);
	if (strcmp(name, "replication") == 0)
		return answer_replication(call, node, used, text, capacity);
	if (strcmp(name, "path") == 0) {
		size_t length;
		if (used) /* the name that was used, of several */
			return snprintf(text, capacity, "%s", used);
		int rc = tree_path(call->meta, node->id, text, capacity, &length);
		return rc < 0 ? rc : (int)length;
	}
	const struct gate_hooks *gate = call->fs->gate;
	if (gate->attribute) {
		int length = gate->attribute(gate->gate, call->meta, node, used, name, text, capacity);
		if (length != -ENODATA)
			return length;
	}
	return strcmp(name, "verdict") == 0 && S_ISREG(node->mode) ? snprintf(text, capacity, "none") : -ENODATA;
}

/* By its name the caller came here, but a file handle leads here as well. Of which vault the mount is, and that it has
 * zones, anybody may know. */
static int check_own(const struct call *call, const struct node *node, const char *name) {
	bool is_known = strcmp(name, "vault") == 0 || node->id <= NODE_TRUSTED;
	return is_known ? 0 : access_check_reach(&call->who, node);
}

/* ---- reading ---- */

static int get(struct call *call, fuse_ino_t ino, const char *name, void *value, size_t size, size_t *ret_size) {
	struct node node;
	int rc = call_node(call, ino, &node);
	if (rc == 0)
		rc = call_reached(call, &node);
	if (rc < 0)
		return rc;
	call_about(call, &node);
	if (has_prefix(name, OWN_PREFIX)) {
		rc = check_own(call, &node, name + sizeof OWN_PREFIX - 1);
		if (rc < 0)
			return rc;
		char *text = call->paths[1]; /* no record of this has a second path */
		rc = answer(call, &node, name + sizeof OWN_PREFIX - 1, text, sizeof call->paths[1]);
		if (rc < 0)
			return rc;
		*ret_size = (size_t)rc;
		if (size != 0 && size < *ret_size)
			return -ERANGE;
		if (size != 0)
			memcpy(value, text, *ret_size);
		return 0;
	}
	enum acl_type acl;
	if (acl_is_name(name, &acl))
		return acl_answer(call, &node, acl, value, size, ret_size);
	rc = check_name(call, &node, name, false);
	if (rc == 0 && node.xattrs == 0)
		rc = -ENODATA;
	if (rc == 0)
		rc = xattr_get(call->meta, node.id, bytes_of_string(name), value, size, ret_size);
	return rc == -ENODATA && strcmp(name, LABEL_XATTR) == 0 ? -EOPNOTSUPP : rc;
}

static void reply_value(fuse_req_t req, int rc, const void *value, size_t asked, size_t length) {
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else if (asked == 0)
		fuse_reply_xattr(req, length);
	else
		fuse_reply_buf(req, value, length);
}

/* Below .assayfs: where it lies, for the commands that are given such a path. */
static int answer_virtual(struct filesystem *fs, fuse_ino_t ino, const char *name, char *text, size_t capacity) {
	if (strcmp(name, OWN_PREFIX "vault") == 0)
		return answer_vault(fs, text, capacity);
	if (strcmp(name, OWN_PREFIX "path") != 0)
		return -ENODATA;
	_cleanup_(freep) char *path = malloc(VIRTUAL_PATH_MAX);
	int rc = path ? virtual_path(fs->virtual_tree, ino, path) : -ENOMEM;
	return rc < 0 ? rc : snprintf(text, capacity, "%s%s%s", VIRTUAL_ROOT_NAME, path[0] ? "/" : "", path);
}

static void getxattr_virtual(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size) {
	enum { TEXT_BYTES = VIRTUAL_PATH_MAX + sizeof VIRTUAL_ROOT_NAME + 1 };
	_cleanup_(freep) char *text = malloc(TEXT_BYTES);
	int rc = text ? answer_virtual(call_filesystem(req), ino, name, text, TEXT_BYTES) : -ENOMEM;
	if (rc > 0 && size > 0 && (size_t)rc > size)
		rc = -ERANGE;
	reply_value(req, rc, text, size, rc > 0 ? (size_t)rc : 0);
}

void operation_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size) {
	if (virtual_is(ino)) {
		getxattr_virtual(req, ino, name, size);
		return;
	}
	/* The kernel asks once for each file that is written to. */
	if (strcmp(name, CAPABILITY_XATTR) == 0 && inode_is_plain(call_filesystem(req)->inodes, ino)) {
		fuse_reply_err(req, ENODATA);
		return;
	}
	_cleanup_(freep) void *value = size ? malloc(size) : NULL;
	if (size && !value) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	_scratch_ struct call call;
	size_t length = 0;
	if (has_prefix(name, OWN_PREFIX))
		session_settle(); /* the version of a file that was just closed */
	call_begin(&call, req, NULL);
	call.event.event = "getxattr";
	call.event.detail = name;
	int rc = call_end(&call, get(&call, ino, name, value, size, &length));
	reply_value(req, rc, value, size, length);
}

struct listing {
	const struct call *call;
	char *names;
	size_t used, capacity;
};

static int keep_name(void *arg, struct bytes name, size_t value_size) {
	struct listing *listing = arg;
	(void)value_size;
	static const char trusted[] = "trusted.";
	bool hidden = name.size >= sizeof trusted - 1 && memcmp(name.data, trusted, sizeof trusted - 1) == 0;
	if (hidden && listing->call->who.uid != 0)
		return 0;
	if (listing->names && listing->used + name.size + 1 <= listing->capacity) {
		memcpy(listing->names + listing->used, name.data, name.size);
		listing->names[listing->used + name.size] = '\0';
	}
	listing->used += name.size + 1;
	return 0;
}

void operation_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size) {
	if (virtual_is(ino)) {
		reply_value(req, 0, "", size, 0);
		return;
	}
	_cleanup_(freep) char *names = size ? malloc(size) : NULL;
	if (size && !names) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	_scratch_ struct call call;
	struct node node;
	struct listing listing = {.call = &call, .names = names, .capacity = size};
	call_begin(&call, req, NULL);
	int rc = call_node(&call, ino, &node);
	if (rc == 0 && node.xattrs > 0)
		rc = xattr_list(call.meta, node.id, keep_name, &listing);
	rc = call_end(&call, rc);
	if (rc == 0 && size && listing.used > size)
		rc = -ERANGE;
	reply_value(req, rc, names, size, listing.used);
}

/* ---- changing ---- */

/*
 * File capabilities go when the file is changed, and where the kernel sees to that itself (fallocate) it asks in the
 * name of the writer. A user's own removexattr(2) it lets pass only with CAP_SETFCAP.
 */
static bool takes_capability(const char *name, enum gate_verb verb) {
	return verb == GATE_SETATTR && strcmp(name, CAPABILITY_XATTR) == 0;
}

static int check_change(
        struct call *call, fuse_ino_t ino, const char *name, enum gate_verb verb, struct node *ret_node) {
	int rc = call_node(call, ino, ret_node);
	if (rc == 0)
		rc = call_reached(call, ret_node);
	if (rc < 0)
		return rc;
	call_about(call, ret_node);
	rc = call_writable(call);
	if (rc == 0 && has_prefix(name, OWN_PREFIX))
		rc = -EPERM;
	enum acl_type acl;
	if (acl_is_name(name, &acl))
		return rc; /* acl.h has rules of its own */
	if (rc == 0 && !takes_capability(name, verb))
		rc = check_name(call, ret_node, name, true);
	bool is_room = ret_node->id > NODE_ROOT && ret_node->id <= NODE_TRUSTED;
	return rc < 0 || is_room ? rc : zone_guard(call, ret_node, verb, ret_node);
}

static int set(struct call *call, const struct node *node, const char *name, struct bytes value, int flags) {
	enum acl_type acl;
	if (acl_is_name(name, &acl)) /* the kernel drops the flags of ACLs */
		return acl_change(call, node, acl, value);
	return xattr_set(call->meta, node->id, bytes_of_string(name), value, flags);
}

static int take_away(struct call *call, const struct node *node, const char *name) {
	enum acl_type acl;
	if (acl_is_name(name, &acl))
		return acl_remove(call, node, acl);
	return xattr_remove(call->meta, node->id, bytes_of_string(name));
}

/* With an ACL the mode changed, which the kernel doesn't expect of this request. */
static void note_changed_mode(struct filesystem *fs, fuse_ino_t ino, const char *name) {
	enum acl_type acl;
	if (acl_is_name(name, &acl))
		notify_attributes(fs->notifier, ino);
}

static void note_privileged(struct filesystem *fs, fuse_ino_t ino) {
	Inode *inode = inode_find(fs->inodes, ino);
	if (inode)
		atomic_store(&inode->privileged, true);
	inode_put(fs->inodes, inode);
}

void operation_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags) {
	if (virtual_is(ino)) {
		operation_virtual_refuse(req, ino, NULL, "setxattr");
		return;
	}
	_scratch_ struct call call;
	struct node node;
	call_begin(&call, req, "setxattr");
	call.event.detail = name;
	call.event.bytes = size;
	int rc = check_change(&call, ino, name, GATE_SETXATTR, &node);
	if (rc == 0)
		rc = store_space_check(call.fs->store, 0);
	if (rc == 0)
		rc = set(&call, &node, name, bytes_of(value, size), flags);
	rc = call_end(&call, rc);
	if (rc == 0) {
		note_privileged(call.fs, ino);
		note_changed_mode(call.fs, ino, name);
	}
	fuse_reply_err(req, -rc);
}

void operation_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name) {
	if (virtual_is(ino)) {
		operation_virtual_refuse(req, ino, NULL, "removexattr");
		return;
	}
	_scratch_ struct call call;
	struct node node;
	call_begin(&call, req, "removexattr");
	call.event.detail = name;
	/* taking away one that is there from before adds no bytes */
	int rc = check_change(&call, ino, name, GATE_SETATTR, &node);
	if (rc == 0)
		rc = take_away(&call, &node, name);
	rc = call_end(&call, rc);
	fuse_reply_err(req, -rc);
}
