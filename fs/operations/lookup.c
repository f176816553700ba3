#include "fs/operations/operations.h"

#include <errno.h>
#include <string.h>

#include "fs/intent.h"
#include "fs/operations/call.h"

/* How long the kernel may keep it that a name is not there, as a share of what it may keep one that is: a second. When
 * a directory is closed it is told to forget the names in it, and nobody can list those that are not. */
#define KEEP_NONE_SHARE (1.0 / 60)

int call_find(struct call *call, const struct node *dir, struct bytes name, struct node *ret_node) {
	const struct gate_hooks *gate = call->fs->gate;
	if (dir->zone == ZONE_TRUSTED && gate->trusted_lookup) {
		struct gate_caller caller = call_caller(call);
		return gate->trusted_lookup(gate->gate, call->meta, &caller, dir->id, name, ret_node);
	}
	return tree_lookup(call->meta, dir->id, name, ret_node);
}

/* What a file handle leads to: a directory or a file. Only the kernel asks so (open_by_handle_at, NFS), for callers who
 * may pass over the directories on the way, as to mode bits, but whose roles reach it; what they may do with the file
 * is another question. */
static int look_up_handle(struct call *call, fuse_ino_t ino, struct node *ret_dir, struct node *ret_node) {
	uint64_t node, pinned;
	int rc = call_node(call, ino, ret_node);
	*ret_dir = *ret_node;
	if (rc == 0 && ret_node->nlink == 0 && !inode_describe(call->fs->inodes, ino, &node, &pinned))
		rc = -ESTALE; /* removed: only its history is left */
	if (rc < 0)
		return rc;
	call_about(call, ret_node);
	return access_check_reach(&call->who, ret_node);
}

static int look_up(
        struct call *call, fuse_ino_t parent, const char *name, struct node *ret_dir, struct node *ret_node) {
	if (strcmp(name, ".") == 0)
		return look_up_handle(call, parent, ret_dir, ret_node);
	bool is_up = strcmp(name, "..") == 0;
	int rc = call_search(call, parent, is_up ? (struct bytes){0} : bytes_of_string(name), ret_dir);
	if (rc < 0) {
		call_names(call, ret_dir->id, bytes_of_string(name));
		return rc;
	}
	if (is_up)
		return tree_get(call->meta, ret_dir->parent, ret_node);
	rc = call_find(call, ret_dir, bytes_of_string(name), ret_node);
	if (rc == 0)
		call_found(call, ret_dir, bytes_of_string(name), ret_node);
	return rc;
}

/* In meta: the name was found. Who may do all with it that is asked for here need not be asked what it is for. */
static bool needs_intent(struct call *call, const char *name, const struct node *node) {
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || S_ISLNK(node->mode))
		return false;
	unsigned all = is_special(node) ? ACCESS_READ | ACCESS_WRITE : ACCESS_READ;
	return access_check(&call->who, node, all) < 0;
}

/* A directory or a file: opening it is asked for elsewhere. A descriptor of the path alone is for who may search. */
static int check_watch(const struct call *call, const struct node *node, const struct intent *intent) {
	if (intent->watches)
		return access_check(&call->who, node, ACCESS_READ);
	return intent->lasts && S_ISDIR(node->mode) ? access_check_roles(&call->who, node, ACCESS_EXEC) : 0;
}

/* The look-up was answered with 0 in its operation. What it is for is refused here or nowhere. */
static int check_intent(struct call *call, const struct node *dir, const char *name, const struct node *node) {
	struct intent intent = intent_of_thread(fuse_req_ctx(call->req)->pid);
	if (intent.mask == 0)
		return 0;
	call_enter(call);
	call->event.event = is_special(node) ? "open" : "lookup";
	call->event.detail = intent.words;
	call->event.node = node->id;
	call_names(call, dir->id, bytes_of_string(name));
	return call_end(call,
	        is_special(node) ? access_check(&call->who, node, intent.mask) : check_watch(call, node, &intent));
}

void operation_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
	if (virtual_is(parent) || (parent == FUSE_ROOT_ID && strcmp(name, VIRTUAL_ROOT_NAME) == 0)) {
		operation_virtual_lookup(req, parent, name);
		return;
	}
	_scratch_ struct call call;
	struct node dir = {0}, node;
	struct fuse_entry_param entry = {0};
	call_begin(&call, req, NULL);
	int rc = look_up(&call, parent, name, &dir, &node);
	bool is_asked = rc == 0 && needs_intent(&call, name, &node);
	rc = call_end(&call, rc);
	if (is_asked && rc == 0)
		rc = check_intent(&call, &dir, name, &node);
	if (rc == -ENOENT && dir.zone == ZONE_LANDING) {
		struct node none = {.zone = ZONE_LANDING};
		entry_fill(&call, &dir, &none, &entry);
		entry.ino = 0;
		entry.entry_timeout *= KEEP_NONE_SHARE;
		fuse_reply_entry(req, &entry);
	} else if (rc < 0) {
		fuse_reply_err(req, -rc);
	} else {
		entry_fill(&call, &dir, &node, &entry);
		fuse_reply_entry(req, &entry);
	}
}

/* Numbers of nodes are never used twice and need nothing kept for them: see inode.h. */
void operation_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups) {
	if (virtual_is(ino))
		virtual_forget(call_filesystem(req)->virtual_tree, ino, lookups);
	fuse_reply_none(req);
}

void operation_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets) {
	for (size_t i = 0; i < count; i++)
		if (virtual_is(forgets[i].ino))
			virtual_forget(call_filesystem(req)->virtual_tree, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}
