/*
 * gate_hooks: the points where the gate comes into the mount.
 *
 *      Landing   close after a change, rename, exchange, link, restore, recovery ──► arrived(), in the same meta
 *                operation as the effect, so a crash loses neither without the other
 *      Trusted   every look-up, open, flush, truncation, and change of names ──► one of trusted_…
 *
 * A hook that is NULL refuses: whatever would change Trusted gets EACCES. Raw is not asked: users change nothing there
 * (EPERM). There is no second door, so an operation that is new in fs/operations starts with zone_guard().
 *
 * "In meta" hooks run between meta_begin and meta_end: they must not call content_… and not wait. The others run
 * without any lock but the inode's own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend/audit.h"
#include "backend/tree.h"
#include "backend/version.h"
#include "crypto/base/bytes.h"
#include "policy/policy.h"

struct access_subject;
struct Inode;

/* How a governed name may have come to new content. */
enum gate_cause {
	GATE_CLOSE,    /* the last writer is done, a version was sealed */
	GATE_TRUNCATE, /* truncate(2) by path sealed one */
	GATE_RENAME,   /* the node (a directory: all below it) got this name */
	GATE_EXCHANGE, /* as rename, called for both */
	GATE_LINK,
	GATE_RESTORE,
};

struct gate_arrival {
	enum gate_cause cause;
	uint64_t node;           /* a regular file, or a directory (rename, exchange) */
	uint64_t version;        /* its current sealed version; 0 for directories */
	const char *path;        /* "Landing/…", the name that shows it */
	const char *former_path; /* rename, exchange: where it was; else NULL */
	const struct actor *actor;
};

/* Changes of names and attributes in Trusted that make no content. */
enum gate_verb {
	GATE_MKDIR,
	GATE_RMDIR,
	GATE_SYMLINK,
	GATE_MKNOD,
	GATE_HARDLINK,
	GATE_MOVE, /* a rename that trusted_rename let go on; `path` is the new name's */
	GATE_SETATTR,
	GATE_SETXATTR,
};

/* What trusted_open answers when it has staged a node for the name. */
#define GATE_STAGED 1

/* A rename inside Trusted: `node` stands at (or is staged as) name in parent. */
struct gate_rename {
	const struct node *node;
	uint64_t parent, new_parent;
	struct bytes name, new_name;
	unsigned flags;
};

/* What a caller does, and who it is. `who` may be asked for groups only while the request waits. */
struct gate_caller {
	const struct access_subject *who;
	const struct actor *actor;
};

/* Whose roles are asked for. `groups`: supplementary ones. */
struct gate_member {
	uint32_t uid, gid;
	const gid_t *groups;
	size_t group_count;
};

/* What somebody wants to reach. */
struct gate_wish {
	uint8_t zone; /* enum zone */
	enum policy_reach reach;
	const char *path; /* with its zone; NULL: not known, then roles alone are asked */
};

/* By what it is allowed. */
struct gate_permit {
	enum policy_role role; /* ROLE_COUNT: by no role */
	uint64_t grant;        /* the number of a grant (policy/gate/grant.h), perhaps of that role; 0: none */
	unsigned line;         /* of the grant in policy.yaml; 0: none */
	int64_t until_ns;      /* of the grant */
};

struct gate_hooks {
	void *gate; /* first argument of all */

	/* Anywhere, also in meta. Whether the roles of the policy in force, or a grant, let the member have it; true
	 * while the policy names no roles. NULL: no role is asked for. */
	bool (*permits)(void *gate, const struct gate_member *member, const struct gate_wish *wish,
	        struct gate_permit *ret_permit);

	/* Anywhere. Whether there are any grants, so that a path is worth its finding. NULL: no. */
	bool (*has_grants)(void *gate);

	/* The same for what lies in no zone: the audit log, quarantine, the policy; reading only. NULL: mode bits. */
	bool (*permits_place)(
	        void *gate, const struct gate_member *member, enum policy_place place, struct gate_permit *ret_permit);

	/* Whether the policy in force names roles: then the kernel must ask for each name. NULL: no. */
	bool (*has_roles)(void *gate);

	/* In meta. Landing: see above. A negative result undoes the operation. */
	int (*arrived)(void *gate, Meta *m, const struct gate_arrival *arrival);

	/* In meta. LOOKUP in Trusted: the staged file that this caller has under the name, or the node that stands
	 * there: fills *ret_node, or -ENOENT. NULL: tree_lookup alone. */
	int (*trusted_lookup)(void *gate, Meta *m, const struct gate_caller *caller, uint64_t parent, struct bytes name,
	        struct node *ret_node);

	/* In meta. CREATE, MKNOD of a regular file: makes a staged node (ZONE_STAGING) that the caller sees there. */
	int (*trusted_create)(void *gate, Meta *m, const struct gate_caller *caller, uint64_t parent, struct bytes name,
	        const struct node *attributes, struct node *ret_node);

	/* In meta. Open for writing or with O_TRUNC of a node in Trusted or staging: 0 lets it go on (staging only),
	 * GATE_STAGED keeps what the hook did and answers ESTALE, which makes the kernel look up again; trusted_lookup
	 * then answers with the staged node. */
	int (*trusted_open)(void *gate, Meta *m, const struct gate_caller *caller, const struct node *node, int flags);

	/* Any open of a staging node: 0 when it is the caller's own to open so, else -ESTALE, as if it were not there.
	 */
	int (*staged_reach)(void *gate, const struct gate_caller *caller, const struct node *node, int flags);

	/* In meta. The path that a staged file is meant for; -ENOENT when it is not staged (any more). */
	int (*staged_path)(void *gate, Meta *m, uint64_t node, char *ret_path, size_t capacity);

	/* Anywhere. The inode number that stat shows of a staged file: that of the published one which the writer
	 * opened, for to it this is the same file still; 0: its own. The kernel knows the two apart by other numbers.
	 */
	uint64_t (*staged_ino)(void *gate, uint64_t node);

	/* Without meta, after trusted_open let it go on: the staged file gets the content that it starts from. */
	int (*staged_opened)(void *gate, struct Inode *inode);

	/* FLUSH of a staged file by thread `closer`, which may be the opener's or another's. The verdict: 0, or what
	 * close(2) shall return. Content is reached through `inode` (inode_content). */
	int (*staged_flush)(void *gate, struct Inode *inode, const struct actor *opener, pid_t closer, bool dirty);

	/* A handle of a staged file has gone; with the last writer's, its draft is sealed or refused. RELEASE alone
	 * never publishes. */
	void (*staged_release)(void *gate, struct Inode *inode, const struct actor *opener);

	/* truncate(2) by path of a published file. Without meta. */
	int (*trusted_truncate)(void *gate, const struct gate_caller *caller, const struct node *node, uint64_t size);

	/* Without meta, after the permissions were given: rename inside Trusted. 0 lets tree_rename go on; 1: the hook
	 * has done the renaming itself, as it judged the file under its new name. */
	int (*trusted_rename)(void *gate, const struct gate_caller *caller, const struct gate_rename *rename);

	/* In meta, before the change: 0 lets it go on; 1: the hook has done it itself. */
	int (*trusted_unlink)(void *gate, Meta *m, const struct gate_caller *caller, uint64_t parent, struct bytes name,
	        const struct node *node);

	/* In meta, before the change: 0 lets it go on. `path` is the name's path, `target` a symbolic link's. */
	int (*trusted_change)(void *gate, Meta *m, const struct gate_caller *caller, enum gate_verb verb,
	        const struct node *node, const char *path, const char *target);

	/* In meta. The answer of user.assayfs.NAME (verdict, newer, vault, …) beyond version and path, which the mount
	 * answers itself: text into `ret_text`, its length; -ENODATA when there is no such name. `used` is the path by
	 * which a file of several was asked for, NULL when that is not known. */
	int (*attribute)(void *gate, Meta *m, const struct node *node, const char *used, const char *name,
	        char *ret_text, size_t capacity);
};

/* A gate that refuses everything: what stands until the real one is attached. */
extern const struct gate_hooks gate_closed;
