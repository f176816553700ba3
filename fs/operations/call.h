/*
 * call: one request as the operations see it: who asks, the meta operation it runs in, and the record it leaves.
 *
 *     struct call call;
 *     call_begin(&call, req, "mkdir");              actor, meta_begin
 *     rc = …;                                       look-ups, access_…, tree_…
 *     call_names(&call, parent, name);              what the record shall name
 *     rc = call_end(&call, rc);                     done: record + meta_end in one; denied: the record alone
 *     fuse_reply_…
 *
 * Denials (EACCES, EPERM, EROFS) undo the operation and keep a record with outcome "denied". Other errors changed
 * nothing and leave none. What only a grant allowed says so: its detail ends with "by grant N". An effect whose record
 * can't be written is undone and answered with -EIO (-ENOSPC: for want of room), and so is a denial; the program's user
 * is told why. With --audit=strict call_end returns when the record is durable, so it is called with no content's lock
 * held.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backend/audit.h"
#include "backend/key_uses.h"
#include "backend/tree.h"
#include "crypto/base/fault.h"
#include "fs/access.h"
#include "fs/actor.h"
#include "fs/filesystem.h"
#include "fs/fuse.h"

struct call {
	fuse_req_t req;
	struct filesystem *fs;
	Meta *meta;
	struct access_subject who;
	struct audit_event event;
	bool silent;        /* success leaves no record (look-ups, stat); denials do */
	bool has_actor;     /* event.actor is filled: asking /proc costs 5 us, so only when there is a record to make */
	uint64_t node;      /* the record's path: of this node, or (parent not 0) of a name in parent */
	const char *target; /* of the symbolic link that is to be made; else NULL */
	uint64_t parents[2];
	struct bytes names[2];
	bool everybody_searches; /* the directory that call_search found last: entry_fill goes by it */
	bool lacks_key;          /* reason tells which */
	char paths[2][AUDIT_PATH_MAX + 1];
	struct actor_answers answers;
	char reason[FAULT_MESSAGE_BYTES];
};

struct filesystem *call_filesystem(fuse_req_t req);

/* event NULL: a silent call whose denials are recorded as `lookup`; the actor is asked for when one is. */
void call_begin(struct call *call, fuse_req_t req, const char *event);
/* As call_begin without taking the meta lock: for operations that need content first; then call_enter. */
void call_prepare(struct call *call, fuse_req_t req, const char *event);
void call_enter(struct call *call);
int call_end(struct call *call, int rc);

/* In the operation, before call_end: a use of a key that the call is the occasion of. Its actor is filled in. */
int call_use_key(struct call *call, struct key_use *use);

/* Keeps the words of a key that is not to be had (rc < 0, and of those errors; EACCES: locked), for the record of the
 * denial and for the program, which would see an errno alone. Returns rc. */
int call_lacks_key(struct call *call, int rc);

/* Whether the keys are to be had that content of the zone, or of this version, is sealed under (0: none yet): who can't
 * read is told when he opens, on record, and not in the midst of it. -EACCES: locked; -EKEYREVOKED, -EKEYEXPIRED:
 * disabled, deleted; -ENOKEY: a limited slot lacks it. */
int call_check_key(struct call *call, enum zone zone, uint64_t version);

/* What the record is about: a node (by the name that the caller used, where that is known), a name, two names. */
void call_about(struct call *call, const struct node *node);
/* A look-up found the node by that name: what the same thread does next with the node, it does by the name. */
void call_found(struct call *call, const struct node *dir, struct bytes name, const struct node *node);
void call_names(struct call *call, uint64_t parent, struct bytes name);
void call_renames(struct call *call, uint64_t parent, struct bytes name);

/* The path that the record will bear (of name `which`), computed now; "" when there is none, or one of TREE_PATH_MAX
 * bytes or more, of which the record bears the beginning. */
const char *call_path(struct call *call, int which);

/* In meta: the path of a node, or of the name that a staged one is meant for. */
int call_node_path(struct filesystem *fs, uint64_t node, char *ret_path, size_t capacity);

/* In meta: the same as a record bears it: of a path above AUDIT_PATH_MAX bytes its beginning and, in *ret_bytes, its
 * length; else *ret_bytes is 0. */
int call_record_path(
        struct filesystem *fs, uint64_t node, char ret_path[static AUDIT_PATH_MAX + 1], uint64_t *ret_bytes);

/* The caller for the gate's hooks. */
struct gate_caller call_caller(struct call *call);

/* The node of an inode number as stat shows it; also of a number that was renewed while it is open. -ESTALE. */
int call_node(struct call *call, fuse_ino_t ino, struct node *ret);

/* What the caller meets under the name: also what it has staged there itself (Trusted). -ENOENT. */
int call_find(struct call *call, const struct node *dir, struct bytes name, struct node *ret_node);

/*
 * When the kernel is being told to forget the names in a directory that not everybody may search any more, it still
 * knows them for a moment, and who may not search it any more can come by them. -ESTALE for such a caller has the
 * kernel ask for each name on the way anew, where it is refused as ever (path_openat and its kin try again with
 * LOOKUP_REVAL). To be asked of a node that was reached by its name and not through a handle.
 */
int call_reached(struct call *call, const struct node *node);

/* The directory `ino`, which the caller may search for the name (empty: for any): -ENOTDIR, -EACCES. */
int call_search(struct call *call, fuse_ino_t ino, struct bytes name, struct node *ret_dir);

/* Whether one of the caller's roles, or a lent one, is for what lies in no zone. Where the gate has permits_place. */
bool call_holds(struct call *call, enum policy_place place);

/* The mount's own directory lies in no zone, and while roles are named it is a steward's: -EACCES. Others: 0. */
int call_may_change_root(struct call *call, const struct node *node);

/* Whether the policy in force names roles. */
bool call_names_roles(const struct call *call);

/* In meta, after a change: a directory that not everybody may list any more is to be asked for by its name anew. */
void call_forget_unlisted(struct call *call, const struct node *before, const struct node *after);

/* In meta: notes of a directory that was found otherwise whether everybody may search it. */
void call_note_directory(struct call *call, const struct node *dir);

/*
 * Whether users may make, change or remove things there at all: the root is fixed and Raw is the daemon's (-EPERM);
 * Landing is free; Trusted and staging ask the gate's `verb` hook (-EACCES without one). `path` for the gate: of the
 * record.
 */
int zone_guard(struct call *call, const struct node *where, enum gate_verb verb, const struct node *what);

/* -EROFS on a mount without writing. */
int call_writable(const struct call *call);

/* A pipe, socket or device, which the kernel opens by itself: its look-up is where the daemon decides (fs/intent.h), so
 * each has to come. */
static inline bool is_special(const struct node *node) {
	uint32_t type = node->mode & S_IFMT;
	return type != 0 && type != S_IFREG && type != S_IFDIR && type != S_IFLNK;
}

/* Fills what the kernel is told of a node. `dir`: the directory it was found in, the last that the call has searched
 * or noted (sets how long that may be kept). */
void entry_fill(const struct call *call, const struct node *dir, const struct node *node, struct fuse_entry_param *ret);
void stat_fill(struct filesystem *fs, const struct node *node, struct stat *ret);
double attributes_timeout(const struct node *node);
