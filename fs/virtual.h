/*
 * virtual: the tree `.assayfs/` at the mount's root, which no readdir shows.
 *
 *      .assayfs/ ─┬─ versions/…  ─► provider "versions"      a table of providers, one for each name below .assayfs:
 *                 ├─ at/…        ─► provider "at"            each answers for the paths below its name
 *                 ├─ audit/…     ─► provider "audit"
 *                 └─ status.json ─► provider "status.json"
 *
 * Everything in it is read-only and is asked anew each time (no time-outs in the kernel, read with direct_io, so a size
 * that is not known before may be 0). Permissions come from the attributes that the provider gives: the mount checks
 * search on the way and read at open, and records each open and denial.
 *
 * To add a provider: fill a struct virtual_provider and put its address into the table in virtual.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/content.h"
#include "backend/tree.h"
#include "policy/policy.h"

struct filesystem;
typedef struct VirtualTree VirtualTree;

#define VIRTUAL_ROOT_NAME ".assayfs"
/* Inode numbers of this tree have this bit; those of nodes never reach it. */
#define VIRTUAL_INO_BIT (UINT64_C(1) << 62)
#define VIRTUAL_PATH_MAX 8192

/* Whether the inode number is one below .assayfs. */
static inline bool virtual_is(uint64_t ino) {
	return ino & VIRTUAL_INO_BIT;
}

/* What else one may read who opens a file of the tree: Landing, where names of files stand, and the log. */
struct virtual_reader {
	bool landing, log;
};

/* What an opened file of the tree gives: one of text, content, or read. */
struct virtual_file {
	struct virtual_reader reader; /* in: who opens it, for what tells of files or users */
	char *text;                   /* from malloc; becomes the caller's */
	size_t text_size;
	Content *content; /* becomes the caller's */
	/* As content_read; state is closed once. One call at a time. */
	int (*read)(void *state, uint64_t offset, uint8_t *out, size_t size, size_t *ret_got);
	void (*close)(void *state);
	void *state;
};

/* Called for each name; non-zero stops the list, and is what `list` shall then return. */
typedef int (*virtual_emit_fn)(void *arg, struct bytes name, uint32_t mode);

#define VIRTUAL_STANDS_FOR_FILE UINT64_MAX

/* Paths are what stands below the provider's name, without slash at either end, "" for itself. All may be called by
 * several threads; none is called within a meta operation. */
struct virtual_provider {
	const char *name;
	/* mode with type, uid, gid, size, mtime, ctime; id and xattrs of a node whose ACL counts; of a directory with
	 * version VIRTUAL_STANDS_FOR_FILE, who may read the file searches it. The rest is not used. -ENOENT. */
	int (*stat)(struct filesystem *fs, const char *path, struct node *ret);
	/* Names of a directory (NULL when there are none). */
	int (*list)(struct filesystem *fs, const char *path, virtual_emit_fn emit, void *arg);
	/* A regular file is read. */
	int (*open)(struct filesystem *fs, const char *path, struct virtual_file *ret);
	/* Target of a symbolic link; not needed where stat shows none. */
	int (*readlink)(struct filesystem *fs, const char *path, char *ret_target, size_t capacity, size_t *ret_length);
};

/* An empty table of numbers and paths. -ENOMEM. */
int virtual_tree_new(VirtualTree **ret);
/* Accepts NULL. */
void virtual_tree_free(VirtualTree *tree);
DEFINE_CLEANUP(VirtualTree, virtual_tree_free);

/* The number of the path below .assayfs ("" for .assayfs itself), with one look-up counted. -ENOMEM. */
int virtual_ino(VirtualTree *tree, const char *path, uint64_t *ret_ino);
void virtual_forget(VirtualTree *tree, uint64_t ino, uint64_t lookups);
/*
 * The kernel keeps what it looked up until its memory is short, and so would this table: any time is a name below
 * `at/`. Beyond VIRTUAL_NODES_MAX paths virtual_surplus gives the oldest, as a name in the directory *ret_parent that
 * the kernel is to be told to forget (which it does unless somebody has it open). False: nothing to forget. To be
 * called more often than paths are made.
 */
#define VIRTUAL_NODES_MAX 4096
bool virtual_surplus(VirtualTree *tree, uint64_t *ret_parent, char ret_name[static TREE_NAME_MAX + 1]);
/* How many paths have numbers. */
size_t virtual_count(VirtualTree *tree);

/* The path of a number into a buffer of VIRTUAL_PATH_MAX. -ESTALE. */
int virtual_path(VirtualTree *tree, uint64_t ino, char ret_path[static VIRTUAL_PATH_MAX]);

/* What lies in no zone and asks for a role of its own; PLACE_COUNT: nothing such. */
enum policy_place virtual_place(const char *path);

/* The three calls of the provider that a path belongs to. */
int virtual_stat(struct filesystem *fs, const char *path, struct node *ret);
int virtual_list(struct filesystem *fs, const char *path, virtual_emit_fn emit, void *arg);
int virtual_open(struct filesystem *fs, const char *path, struct virtual_reader reader, struct virtual_file *ret);
int virtual_readlink(struct filesystem *fs, const char *path, char *ret_target, size_t capacity, size_t *ret_length);
void virtual_file_close(struct virtual_file *file);
