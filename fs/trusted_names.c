/* trusted_names: what becomes of names in Trusted: renames, removals, links. */
#include "fs/trusted_internal.h"

#include "crypto/base/fault.h"
#include "fs/inode.h"
#include "fs/session.h"
#include "fs/tell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- renames and removals ---- */

/* RELEASE follows close(2) by itself, so a writer that has just closed is given this long to be gone. */
enum { WRITER_WAIT_MS = 1000, WRITER_STEP_MS = 5 };

static bool has_writers(Inode *inode) {
	pthread_mutex_lock(&inode->lock);
	bool has = inode->writers > 0;
	pthread_mutex_unlock(&inode->lock);
	return has;
}

/*
 * What a writer has not closed yet may still wait in the kernel's cache: judging now would be judging a part. So a
 * temporary file that is open for writing is not renamed to its final name.
 */
static int wait_for_writers(Trusted *t, uint64_t ino, const char *below) {
	Inode *inode = inode_find(t->inodes, ino);
	if (!inode)
		return 0;
	session_settle();
	bool open = has_writers(inode);
	for (int waited = 0; open && waited < WRITER_WAIT_MS; waited += WRITER_STEP_MS) {
		nanosleep(&(struct timespec){.tv_nsec = WRITER_STEP_MS * 1000000L}, NULL);
		open = has_writers(inode);
	}
	inode_put(t->inodes, inode);
	if (open)
		return fault(EBUSY,
		        "Trusted/%s: the temporary file is still open for writing; close it, then rename it", below);
	return 0;
}

/* A temporary file gets the name it was meant for: this is its gate. */
static int publish_temporary(Trusted *t, const struct staged *staged, const char *below, const struct actor *actor) {
	Meta *m = store_meta(t->store);
	struct node node;
	meta_begin(m);
	int rc = meta_end(m, tree_get(m, staged->node, &node));
	if (rc >= 0)
		rc = wait_for_writers(t, node.ino, below);
	if (rc < 0)
		return rc;
	meta_begin(m);
	rc = meta_end(m, tree_get(m, staged->node, &node)); /* the last close sealed its version */
	if (rc < 0)
		return rc;
	if (node.version == 0)
		return fault(EPERM, "Trusted/%s: nothing was written yet, and an empty file does not pass", below);
	rc = gate_judge_version(t->gate, node.id, node.version, below, actor, 0, (struct bytes){0});
	if (rc >= 0)
		trusted_forget(t, staged->node);
	return rc;
}

/* A published file moves: judged as what it would be under the new name. */
static int move_published(Trusted *t, const struct node *node, uint64_t parent, struct bytes name, const char *below,
        const struct actor *actor) {
	if (!S_ISREG(node->mode))
		return 0;
	int rc = gate_judge_version(t->gate, node->id, node->version, below, actor, parent, name);
	return rc < 0 ? rc : 1;
}

/* ---- another policy ---- */

/* In one meta operation, as making a staged file is: who asked the former policy has added his by now. */
static int govern_temporaries(Trusted *t, Meta *m) {
	struct staged staged = {.node = 0};
	char below[TREE_PATH_MAX];
	while (staging_next_temporary(t->staging, staged.node, &staged)) {
		int rc = trusted_below_of(m, staged.parent, bytes_of_string(staged.name), below);
		if (rc == 0 && gate_name_of(t->gate, below) == GATE_GOVERNED)
			staging_govern(t->staging, staged.node);
	}
	return 0;
}

static bool is_open_for_writing(Trusted *t, uint64_t ino) {
	Inode *inode = inode_find(t->inodes, ino);
	bool is_open = inode && has_writers(inode);
	inode_put(t->inodes, inode);
	return is_open;
}

void trusted_policy_changed(Trusted *t) {
	Meta *m = store_meta(t->store);
	struct staged staged;
	meta_begin(m);
	(void)meta_end(m, govern_temporaries(t, m));
	session_settle();
	while (staging_take_overtaken(t->staging, &staged)) {
		struct node node = {0};
		meta_begin(m);
		int rc = meta_end(m, tree_get(m, staged.node, &node));
		if (rc < 0 || !is_open_for_writing(t, node.ino))
			trusted_forget(t, staged.node);
	}
}

/* ---- renames of directories ---- */

/* Directories move only while no file would come under another dataset's rules unjudged. */
static int refuse_full_directory(Trusted *t, Meta *m, const struct node *node) {
	bool empty;
	if (!S_ISDIR(node->mode))
		return 0;
	int rc = tree_is_empty(m, node->id, &empty);
	if (rc >= 0 && !empty)
		rc = fault(EPERM,
		        "a directory of Trusted that holds files is not renamed: each file is judged under its "
		        "path; copy the files to the new place");
	if (rc >= 0 && staging_has_child(t->staging, node->id))
		rc = fault(EPERM,
		        "a file is being written below this directory of Trusted, or waits there under a temporary "
		        "name: finish or remove it, then rename the directory");
	return rc;
}

int trusted_rename(void *gate, const struct gate_caller *caller, const struct gate_rename *r) {
	Trusted *t = gate;
	Meta *m = store_meta(t->store);
	struct staged staged;
	char below[TREE_PATH_MAX];
	bool is_staged = staging_find(t->staging, r->node->id, &staged);
	if (r->parent == r->new_parent && r->name.size == r->new_name.size &&
	        memcmp(r->name.data, r->new_name.data, r->name.size) == 0)
		return 1; /* nothing moves */
	meta_begin(m);
	int rc = trusted_below_of(m, r->new_parent, r->new_name, below);
	if (rc >= 0 && r->flags & RENAME_EXCHANGE)
		rc = fault(EPERM, "names in Trusted are not exchanged: rename one after the other");
	if (rc >= 0 && r->flags & RENAME_NOREPLACE) {
		struct node there;
		rc = tree_lookup(m, r->new_parent, r->new_name, &there);
		rc = rc == -ENOENT ? 0 : rc < 0 ? rc : -EEXIST;
	}
	if (rc >= 0)
		rc = refuse_full_directory(t, m, r->node);
	rc = meta_end(m, rc);
	if (rc < 0)
		return rc;
	bool governed = gate_name_of(t->gate, below) == GATE_GOVERNED;
	if (is_staged && !governed) {
		staging_rename(t->staging, staged.node, r->new_parent, r->new_name);
		meta_begin(m);
		rc = meta_end(m, gate_staged_note(m, staged.node, below, caller->actor));
		return rc < 0 ? rc : 1;
	}
	if (is_staged) {
		rc = tell_refusal(caller->actor->pid, publish_temporary(t, &staged, below, caller->actor));
		return rc < 0 ? rc : 1;
	}
	return move_published(t, r->node, r->parent, r->name, below, caller->actor);
}

int trusted_unlink(void *gate, Meta *m, const struct gate_caller *caller, uint64_t parent, struct bytes name,
        const struct node *node) {
	(void)caller, (void)parent, (void)name;
	Trusted *t = gate;
	struct staged staged;
	if (!staging_find(t->staging, node->id, &staged))
		return 0;
	int rc = gate_staged_forget(m, node->id);
	if (rc < 0)
		return rc;
	staging_remove(t->staging, node->id);
	return 1;
}

static bool stays_below(const char *target) {
	if (target[0] == '/')
		return false;
	for (const char *at = target; at; at = strchr(at, '/')) {
		at += *at == '/';
		if (at[0] == '.' && at[1] == '.' && (at[2] == '/' || at[2] == '\0'))
			return false;
	}
	return true;
}

/* Under a name that a dataset governs one finds what passed that dataset's checks, not a way to what passed another's;
 * nor by a link to a directory under names below it. */
static int check_link_name(Trusted *t, const char *path) {
	const char *slash = strchr(path, '/');
	if (!slash || !gate_reaches(t->gate, slash + 1))
		return 0;
	return fault(EPERM,
	        "%s: a dataset governs this name or names below it, so it can't be a symbolic link: what is found "
	        "there "
	        "must have been judged as that",
	        path);
}

static int check_move(Trusted *t, Meta *m, const struct node *node, const char *path) {
	if (S_ISREG(node->mode))
		return fault(EBUSY, "%s: a file took the name meanwhile; rename it again, so that it is judged", path);
	return S_ISLNK(node->mode) ? check_link_name(t, path) : refuse_full_directory(t, m, node);
}

int trusted_change(void *gate, Meta *m, const struct gate_caller *caller, enum gate_verb verb, const struct node *node,
        const char *path, const char *target) {
	(void)caller;
	switch (verb) {
	case GATE_MKDIR:
	case GATE_RMDIR:
	case GATE_SETATTR:
		return 0;
	case GATE_SETXATTR:
		if (node->zone == ZONE_STAGING)
			return 0; /* publication takes the content alone */
		return fault(EPERM, "%s: an attribute would be bytes that no check has seen; set it in Landing", path);
	case GATE_SYMLINK:
		if (target && stays_below(target))
			return check_link_name(gate, path);
		return fault(EPERM, "%s: a symbolic link in Trusted must be relative and have no '..'", path);
	case GATE_MOVE:
		return check_move(gate, m, node, path);
	case GATE_MKNOD:
	case GATE_HARDLINK:
		break;
	}
	return fault(EPERM, "%s: Trusted holds only judged files, directories and symbolic links", path);
}
