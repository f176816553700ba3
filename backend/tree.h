/*
 * tree: names, nodes and attributes, with history.
 *
 *      entry (parent, name) ──────► node (id) ──────► version …        the present
 *      entry_past (parent, name, born, ended) ──────► node             what names showed in commits born <= c < ended
 *
 * A *node* is the lineage of a file: its versions hang on it, and it stays when its last name goes. An *inode number*
 * is what the kernel sees: unique, never used twice, and renewed (tree_new_ino) whenever the daemon itself changes what
 * a name shows. Names are bytes, 1..255 of them, without NUL and '/', not "." or ".."; they need not be UTF-8.
 *
 * Permissions are not this module's business, and neither is "Raw can't be changed by users": it keeps names in order.
 * It does refuse what must never happen: an entry of Raw is removed or moved only by tree_erase (the database itself
 * holds to that by a trigger).
 *
 * All calls are made between meta_begin and meta_end. Times are nanoseconds since 1970. Calls that change a directory
 * set its mtime and ctime, calls that change a node's links its ctime.
 *
 * Errors common to all: -EINVAL for a name with NUL, '/' or of length 0, "." and "..", -ENAMETOOLONG beyond 255 bytes;
 * -ENOTDIR when a parent is no directory; -ESTALE when a node given by id does not exist.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "backend/meta.h"
#include "backend/zone.h"
#include "crypto/base/bytes.h"

/* Fixed nodes, made by meta_create; their inode numbers are the same. */
#define NODE_ROOT 1
#define NODE_LANDING 2
#define NODE_RAW 3
#define NODE_TRUSTED 4

#define TREE_NAME_MAX 255
#define TREE_TARGET_MAX 4095
/* Enough for any path that tree_path gives for trees made through a mount, with its NUL. */
#define TREE_PATH_MAX 4096

struct node {
	uint64_t id;
	uint64_t ino;
	uint8_t zone;  /* enum zone: ZONE_NONE for the root only */
	uint32_t mode; /* S_IF… | permission bits */
	uint32_t uid, gid;
	uint32_t nlink; /* of directories 2 + sub-directories; 0: no name left */
	uint64_t rdev;
	uint64_t
	        size; /* of a file: of the current version, or what tree_setattr said; of a link: its target's length */
	int64_t atime, mtime, ctime, btime;
	uint64_t version; /* the current sealed version's id; 0: none */
	uint64_t parent;  /* directories: the directory that holds it (the root holds itself); others: 0 */
	uint32_t xattrs;  /* how many extended attributes it has: 0 spares the look-up */
};

int tree_get(Meta *m, uint64_t id, struct node *ret_node);     /* -ESTALE */
int tree_by_ino(Meta *m, uint64_t ino, struct node *ret_node); /* -ESTALE, also for a number that was renewed */
int tree_lookup(Meta *m, uint64_t parent, struct bytes name, struct node *ret_node); /* -ENOENT */

/*
 * Makes a node and its name. Of `attrs`, mode, uid, gid, rdev and zone count (ZONE_NONE: the parent's zone); atime and
 * mtime when not 0, else now. `symlink_target` counts for S_IFLNK only (1..TREE_TARGET_MAX bytes, else -EINVAL,
 * -ENAMETOOLONG). -EEXIST; -ENOENT when the parent itself was removed.
 */
int tree_create(Meta *m, uint64_t parent, struct bytes name, const struct node *attrs, struct bytes symlink_target,
        struct node *ret_node);

/* A node without a name, nlink 0 (staging, O_TMPFILE); tree_link gives it one. zone must be set, no directories. */
int tree_create_orphan(Meta *m, const struct node *attrs, struct node *ret_node);

/* A further name. -EPERM for directories, -EXDEV across zones (tree_setattr TREE_ZONE first where that is meant),
 * -EMLINK, -EEXIST. */
int tree_link(Meta *m, uint64_t id, uint64_t parent, struct bytes name, struct node *ret_node);

/* Removes a name. The node stays, with one link less: *ret_node shows it after. -EISDIR, -EPERM in Raw. */
int tree_unlink(Meta *m, uint64_t parent, struct bytes name, struct node *ret_node);

/* Removes an empty directory's name. -ENOTDIR, -ENOTEMPTY, -EPERM in Raw and for the zones, -EBUSY never. */
int tree_rmdir(Meta *m, uint64_t parent, struct bytes name, struct node *ret_node);

/* As unlink or rmdir, also in Raw: a steward's audited erasure (the caller records it). */
int tree_erase(Meta *m, uint64_t parent, struct bytes name, struct node *ret_node);

struct renamed {
	struct node moved;    /* what now stands at the new name */
	struct node replaced; /* id 0: nothing was there. Else what stood there: without that name now, or (EXCHANGE) at
	                         the old one */
	bool unchanged;       /* both names were links to one node: POSIX says nothing happens */
};

/*
 * rename(2). flags: 0, RENAME_NOREPLACE (-EEXIST) or RENAME_EXCHANGE (-ENOENT), not both (-EINVAL). A file over a
 * directory -EISDIR, a directory over a file -ENOTDIR, over a directory that is not empty -ENOTEMPTY, into its own
 * sub-tree -EINVAL, across zones -EXDEV, from or over what is in Raw -EPERM, a zone's directory -EBUSY.
 * The moved node keeps its ino. ret may be NULL.
 */
int tree_rename(Meta *m, uint64_t parent, struct bytes name, uint64_t new_parent, struct bytes new_name, unsigned flags,
        struct renamed *ret);

/* What tree_setattr sets. Without TREE_CTIME, any of the others but TREE_ATIME sets ctime to now. */
#define TREE_MODE 0x001u /* the permission bits; the type stays */
#define TREE_UID 0x002u
#define TREE_GID 0x004u
#define TREE_SIZE 0x008u /* what stat shows while a draft is open; a version's own size is version_set_size */
#define TREE_ATIME 0x010u
#define TREE_MTIME 0x020u
#define TREE_CTIME 0x040u
#define TREE_ZONE 0x080u /* a staging node that is published, or a published one that goes back */
int tree_setattr(Meta *m, uint64_t id, const struct node *values, unsigned mask, struct node *ret_node);

/* Gives the node a new inode number: after the daemon changed what the name shows. */
int tree_new_ino(Meta *m, uint64_t id, uint64_t *ret_ino);

/* The target of a symbolic link. -EINVAL when it is none; -ERANGE when the buffer is short. No NUL is added. */
int tree_readlink(Meta *m, uint64_t id, void *ret_target, size_t capacity, size_t *ret_size);

/* Called in order of cookies. `name` is valid during the call. */
typedef int (*tree_list_fn)(void *arg, struct bytes name, uint64_t cookie, const struct node *node);

/*
 * The names of a directory after cookie `after` (0: from the start), at most `limit` (0: all), one indexed query with
 * attributes. Cookies are stable: a name that stays is met once, whatever is added or removed meanwhile; what is added
 * gets a later cookie. "." and ".." are not listed. *ret_count (may be NULL): how many were given.
 */
int tree_list(Meta *m, uint64_t dir, uint64_t after, size_t limit, tree_list_fn callback, void *arg, size_t *ret_count);

/* The cookie that no name made so far is behind: later ones get greater ones. */
uint64_t tree_last_cookie(Meta *m);

/* Whether a directory has no names. */
int tree_is_empty(Meta *m, uint64_t dir, bool *ret_empty);

/*
 * A current path of the node below the root, without leading '/': "Landing/a/b.csv", "" for the root. Of several
 * links, any one; the same while none comes or goes. -ENOENT when it has no name; -ERANGE when the buffer is short.
 * Ends with NUL; *ret_length (may be NULL) is without it.
 */
int tree_path(Meta *m, uint64_t id, char *ret_path, size_t capacity, size_t *ret_length);

/* Where a listing of a node's names stands; all zero at its start. */
struct tree_name {
	uint64_t parent;
	size_t size;
	uint8_t name[TREE_NAME_MAX];
};

/* The current paths of a node, one a call, in a stable order; what is linked or unlinked between two calls may be met
 * or not. Errors as tree_path; -ENOENT: there is no further one. After -ERANGE the next call goes on behind it. */
int tree_next_path(Meta *m, uint64_t id, struct tree_name *at, char *ret_path, size_t capacity, size_t *ret_length);

/* The path that `name` below `parent` has or would have. */
int tree_path_of(Meta *m, uint64_t parent, struct bytes name, char *ret_path, size_t capacity, size_t *ret_length);

/*
 * Of a path of any length, as a program makes them that goes down step by step, the first capacity - 1 bytes and, in
 * *ret_length, its whole length: of the node, or (a name that is not empty) of the name below it. Walks twice, so ask
 * only what tree_path has no room for. -ERANGE above TREE_PATH_LONGEST, so that no request takes arbitrarily long.
 */
#define TREE_PATH_LONGEST ((size_t)1 << 20)
int tree_path_start(Meta *m, uint64_t id, struct bytes name, char *ret_path, size_t capacity, size_t *ret_length);

/* Whether a path (as tree_path gives it) is `top` or below it; `top` ends with no slash. "Landing/ab" is not below
 * "Landing/a". */
static inline bool tree_path_is_within(const char *path, struct bytes top) {
	return strncmp(path, (const char *)top.data, top.size) == 0 &&
	       (path[top.size] == '\0' || path[top.size] == '/');
}

/* Walks a path as tree_path gives it; repeated, leading and trailing slashes are allowed, symlinks not followed. */
int tree_resolve(Meta *m, struct bytes path, struct node *ret_node); /* -ENOENT, -ENOTDIR */

struct tree_counts {
	uint64_t nodes; /* with a name or open without: all that were made and not forgotten */
	uint64_t directories;
	uint64_t names;    /* live directory entries */
	uint64_t versions; /* sealed ones */
	uint64_t bytes;    /* plaintext of all sealed versions as if nothing was shared; a hint */
};
int tree_statfs(Meta *m, struct tree_counts *ret_counts);

/* Nodes without a name and without a sealed version: O_TMPFILE, staging, unlinked-before-close. For recovery. */
typedef int (*tree_node_fn)(void *arg, const struct node *node);
int tree_orphans(Meta *m, tree_node_fn callback, void *arg);

/*
 * Removes a node that nothing will ever show again: no name, no past name, no version, no draft. Otherwise returns
 * -EBUSY and changes nothing. To be called when the last handle of an unlinked node closes and its draft is dropped.
 */
int tree_forget(Meta *m, uint64_t id);

/* ---- history: the tree as it was when commit `commit` had ended (meta_commit_at) ----
 *
 * Attributes are those of the version that was current then (mode, uid, gid, mtime, size, version); a directory, link
 * or special file shows its present ones. node.version 0 for a file: it had no sealed version yet, size 0.
 */
int tree_lookup_at(Meta *m, uint64_t parent, struct bytes name, uint64_t commit, struct node *ret_node);
int tree_list_at(Meta *m, uint64_t dir, uint64_t commit, uint64_t after, size_t limit, tree_list_fn callback, void *arg,
        size_t *ret_count);
int tree_resolve_at(Meta *m, struct bytes path, uint64_t commit, struct node *ret_node);

/*
 * The node that bears the path, else the last one that bore it: for versions of what is gone. A removed directory that
 * was made anew is looked through too. -ENOENT when no node ever did. ret_ended (may be NULL): the commit in which the
 * path ended, 0 when it still stands.
 */
int tree_resolve_past(Meta *m, struct bytes path, struct node *ret_node, uint64_t *ret_ended);

/* Each node that bears the path or ever did, the newest first; one that bore it several times is met as often. */
typedef int (*tree_past_fn)(void *arg, uint64_t node);
int tree_each_past(Meta *m, struct bytes path, tree_past_fn each, void *arg);

/*
 * The names of a directory that stand or ever stood, after cookie `after` (0: from the start), at most `limit` of them,
 * in order of cookies: a name that ends keeps its own. `name` is valid during the call.
 */
typedef int (*tree_ever_fn)(void *arg, struct bytes name, uint64_t cookie, uint64_t node, uint32_t mode);
int tree_list_ever(
        Meta *m, uint64_t dir, uint64_t after, size_t limit, tree_ever_fn callback, void *arg, size_t *ret_count);

/* The path of the node, as tree_path; else the last one that it had. -ENOENT: it never had any. */
int tree_last_path(Meta *m, uint64_t id, char *ret_path, size_t capacity);
