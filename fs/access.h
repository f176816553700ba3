/*
 * access: may this caller do that to this node? The daemon decides every permission itself: what the kernel refuses by
 * its own default_permissions leaves no record.
 *
 * Pure functions over a node's attributes and the caller's ids; they read no file but through `in_group`, which is
 * asked only when the answer depends on it (supplementary groups cost a read of /proc), and `acl`, which is asked only
 * of nodes that have attributes, for one who is neither root nor the owner. Rules: POSIX.1-2017 "File access
 * permissions", chmod(2), chown(2), unlink(2), utimensat(2), inode(7), acl(5), path_resolution(7); those of Linux where
 * POSIX leaves the choice. In one thing acl(5) is kept to and Linux is not: where the mask is empty, Linux does not
 * look at the ACL, and whom it denies by name gets what others have.
 *
 * uid 0 is taken to hold CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_CHOWN, CAP_FOWNER and CAP_FSETID: FUSE tells ids,
 * not capabilities.
 *
 * All return 0 or a negative errno: -EACCES for what permission bits forbid, -EPERM for what belongs to the owner.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend/acl.h"
#include "backend/tree.h"
#include "policy/policy.h"

enum { ACCESS_EXEC = 1, ACCESS_WRITE = 2, ACCESS_READ = 4 };

/*
 * Who asks. in_group may be NULL: only `gid` counts then. `acl` gives a node's access ACL, valid until it is asked
 * again: 0, -ENODATA when there is none; other errors deny. NULL: nothing has one. `permits` says what the caller's
 * roles and grants let him reach, before any mode bit and for root as well: the node itself, or (a name that is not
 * empty) what has or is to have that name in the directory `node`; NULL: no role is asked for.
 */
struct access_subject {
	uint32_t uid, gid;
	bool (*in_group)(void *arg, uint32_t gid);
	int (*acl)(void *arg, const struct node *node, const struct acl **ret);
	bool (*permits)(void *arg, const struct node *node, struct bytes name, enum policy_reach reach);
	void *arg;
};

/* Whether the subject's groups include `gid`. */
bool access_in_group(const struct access_subject *who, uint32_t gid);

/* read, write, execute or search, as open(2) and access(2) ask: `mask` of ACCESS_…, 0 is always granted. A mode with
 * VERSION_MODE_ACL whose node has no ACL any more gives only the owner something. */
int access_check(const struct access_subject *who, const struct node *node, unsigned mask);

/* The same of a directory, for one of its names: who has a grant of the name alone may search for it. */
int access_check_name(const struct access_subject *who, const struct node *dir, struct bytes name, unsigned mask);

/* What roles and grants say alone. */
int access_check_roles(const struct access_subject *who, const struct node *node, unsigned mask);

/* Whether they let the caller come to the node at all, as by its name: -EACCES. */
int access_check_reach(const struct access_subject *who, const struct node *node);

/* A name is to be made in `dir`: write and search. */
int access_may_create(const struct access_subject *who, const struct node *dir, struct bytes name);

/* The name of `victim` in `dir` is to be removed, moved away or replaced: write and search, and the sticky rule. */
int access_may_remove(
        const struct access_subject *who, const struct node *dir, struct bytes name, const struct node *victim);

/* A file is to get a further name where sysctl fs.protected_hardlinks is on: its owner may, and who may read and write
 * it, unless it would lend out set-id bits; -EPERM for others. The kernel leaves that to us (see call in link.c).
 * -EACCES for who has no role or grant to read and write it where it is, its owner as well: by another name he may. */
int access_may_link(const struct access_subject *who, const struct node *node);

/* A directory is to get another parent: its ".." changes, so it must be writable too, unless it stays where it is. */
int access_may_reparent(const struct access_subject *who, const struct node *moved);

/* A directory that is not empty is to get, or to give up, the name in `dir`: by it, all that is below it is reached.
 * Who has only grants there needs them for whatever may be below the name. */
int access_may_move_below(const struct access_subject *who, const struct node *dir, struct bytes name);

/* What setattr asks for; bits as in `mask` of tree_setattr. */
struct access_change {
	unsigned mask;      /* TREE_MODE, TREE_UID, TREE_GID, TREE_SIZE, TREE_ATIME, TREE_MTIME */
	uint32_t mode;      /* permission bits, with TREE_MODE */
	uint32_t uid, gid;  /* with TREE_UID, TREE_GID */
	bool times_are_now; /* all times that are set are "now": who may write may do that, too */
	bool open_writable; /* TREE_SIZE comes through a descriptor open for writing */
};

/*
 * Whether the change is allowed; *ret_mode (when mask has TREE_MODE, UID or GID) is the mode that results: chmod by one
 * outside the file's group loses set-gid, chown of a file that may be executed loses set-uid and set-gid.
 */
int access_may_change(const struct access_subject *who, const struct node *node, const struct access_change *change,
        uint32_t *ret_mode);

/* The mode a file has after it was written to or truncated by one without CAP_FSETID: set-uid goes; set-gid goes when
 * the group may execute it, or the writer is not in the group. */
uint32_t access_mode_after_write(uint32_t mode, bool in_group);

/*
 * Owner, group and mode of a new node in `dir`: in a directory with set-gid the group is the directory's, and a new
 * directory gets set-gid too; umask is applied here (FUSE_CAP_DONT_MASK); a set-gid file in a group that the creator is
 * not in loses the bit. `inherited` is the default ACL of `dir`, which stands in place of the umask, or NULL.
 */
void access_new_node(const struct access_subject *who, const struct node *dir, uint32_t mode, uint32_t umask,
        const struct acl *inherited, struct node *ret_attributes);

/*
 * Setting or removing an ACL: -EOPNOTSUPP on symbolic links, -EACCES for a default ACL of what is no directory, else it
 * is the owner's. *ret_keeps_set_gid: as with chmod, one outside the node's group loses set-gid.
 */
int access_may_set_acl(
        const struct access_subject *who, const struct node *node, enum acl_type type, bool *ret_keeps_set_gid);

/* user.… attributes: read or write permission on regular files and directories, nothing on others; -EPERM there. In a
 * sticky directory only the owner writes them (xattr(7)). */
int access_xattr(const struct access_subject *who, const struct node *node, bool write);

/* Everybody may search this directory: names below it may be kept in the kernel's cache. */
bool access_everybody_searches(const struct access_subject *who, const struct node *dir);

/* The same by its mode alone: false says that not everybody may, true that everybody may unless it has an ACL. */
static inline bool access_mode_opens(const struct node *dir) {
	return (dir->mode & 0111) == 0111;
}

/* Everybody may list the directory for all that its mode says, and (no attributes) by an ACL as well. */
static inline bool access_mode_lists(const struct node *dir) {
	return (dir->mode & 0444) == 0444 && dir->xattrs == 0;
}
