#include "fs/operations/operations.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/operations/call.h"

struct rename {
	fuse_ino_t parent, new_parent;
	struct bytes name, new_name;
	unsigned flags;
	struct node dir, new_dir, node, there;
	bool has_there;
	bool closes, closes_former; /* the new name, and the former one, stand where not everybody may look now */
	struct renamed result;
};

static int find_all(struct call *call, struct rename *rename) {
	int rc = call_search(call, rename->parent, rename->name, &rename->dir);
	call_names(call, rename->dir.id, rename->name);
	if (rc == 0)
		rc = call_search(call, rename->new_parent, rename->new_name, &rename->new_dir);
	call_renames(call, rename->new_dir.id, rename->new_name);
	if (rc == 0)
		rc = call_writable(call);
	if (rc == 0)
		rc = call_find(call, &rename->dir, rename->name, &rename->node);
	if (rc < 0)
		return rc;
	call->event.node = rename->node.id;
	rc = tree_lookup(call->meta, rename->new_dir.id, rename->new_name, &rename->there);
	rename->has_there = rc == 0;
	return rc == -ENOENT ? 0 : rc;
}

/* What is below a directory goes along: from what the caller may reach by grants alone into what he may, or out of it,
 * unless both names are granted with all below them. */
static int check_below(struct call *call, const struct rename *rename, const struct node *moved) {
	if (!S_ISDIR(moved->mode) ||
	        (access_may_move_below(&call->who, &rename->dir, rename->name) == 0 &&
	                access_may_move_below(&call->who, &rename->new_dir, rename->new_name) == 0))
		return 0;
	bool is_empty;
	int rc = tree_is_empty(call->meta, moved->id, &is_empty);
	return rc == 0 && !is_empty ? -EACCES : rc;
}

static int check_all_below(struct call *call, const struct rename *rename) {
	int rc = check_below(call, rename, &rename->node);
	if (rc == 0 && (rename->flags & RENAME_EXCHANGE) && rename->has_there)
		rc = check_below(call, rename, &rename->there);
	return rc;
}

static int check_permissions(struct call *call, const struct rename *rename) {
	bool moves = rename->dir.id != rename->new_dir.id;
	int rc = access_may_remove(&call->who, &rename->dir, rename->name, &rename->node);
	if (rc == 0 && rename->has_there)
		rc = access_may_remove(&call->who, &rename->new_dir, rename->new_name, &rename->there);
	else if (rc == 0)
		rc = access_may_create(&call->who, &rename->new_dir, rename->new_name);
	if (rc == 0 && moves)
		rc = access_may_reparent(&call->who, &rename->node);
	if (rc == 0 && moves && (rename->flags & RENAME_EXCHANGE) && rename->has_there)
		rc = access_may_reparent(&call->who, &rename->there);
	return rc;
}

/* Trusted: the gate decides, and may take its time, so not inside the meta operation. */
#define RENAME_BY_GATE 1

/* 0: tree_rename goes on. */
static int check_zones(struct call *call, const struct rename *rename) {
	uint8_t from = rename->dir.zone, to = rename->new_dir.zone;
	if (from == ZONE_NONE || to == ZONE_NONE || from == ZONE_RAW || to == ZONE_RAW)
		return -EPERM; /* before EXDEV: mv must not go on to copy and then fail to remove */
	if (from != to)
		return -EXDEV;
	if (from == ZONE_LANDING)
		return 0;
	if (!call->fs->gate->trusted_rename || !call->fs->gate->trusted_change)
		return -EACCES;
	call->silent = true;
	return RENAME_BY_GATE;
}

static int tell_gate(struct call *call, enum gate_cause cause, const struct node *node, int to, int from) {
	/* A file without a version is still being written: it arrives when it is closed. */
	bool can_arrive = S_ISDIR(node->mode) || (S_ISREG(node->mode) && node->version != 0);
	const char *path = call->fs->gate->arrived && can_arrive ? call_path(call, to) : "";
	if (!*path)
		return 0; /* one that is too long is no dataset's */
	struct gate_arrival arrival = {.cause = cause,
	        .node = node->id,
	        .version = S_ISREG(node->mode) ? node->version : 0,
	        .path = path,
	        .former_path = call_path(call, from),
	        .actor = &call->event.actor};
	return call->fs->gate->arrived(call->fs->gate->gate, call->meta, &arrival);
}

static int tell_gate_of_all(struct call *call, const struct rename *rename) {
	if (rename->dir.zone != ZONE_LANDING || rename->result.unchanged)
		return 0;
	bool exchange = rename->flags & RENAME_EXCHANGE;
	enum gate_cause cause = exchange ? GATE_EXCHANGE : GATE_RENAME;
	int rc = tell_gate(call, cause, &rename->result.moved, 1, 0);
	if (rc == 0 && exchange)
		rc = tell_gate(call, cause, &rename->result.replaced, 0, 1);
	return rc;
}

static void note_closed_names(struct call *call, struct rename *rename) {
	bool opens = access_everybody_searches(&call->who, &rename->dir);
	bool new_opens = access_everybody_searches(&call->who, &rename->new_dir);
	rename->closes = opens && !new_opens;
	rename->closes_former = (rename->flags & RENAME_EXCHANGE) && new_opens && !opens;
}

static int move(struct call *call, struct rename *rename) {
	note_closed_names(call, rename);
	int rc = tree_rename(call->meta, rename->dir.id, rename->name, rename->new_dir.id, rename->new_name,
	        rename->flags, &rename->result);
	if (rc < 0)
		return rc;
	if (rename->result.replaced.id)
		call->event.detail = rename->flags & RENAME_EXCHANGE ? "exchange" : "replaced";
	return tell_gate_of_all(call, rename);
}

static int rename_node(struct call *call, struct rename *rename) {
	if (rename->flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	int rc = find_all(call, rename);
	if (rc < 0)
		return rc;
	if ((rename->flags & RENAME_NOREPLACE) && rename->has_there)
		return -EEXIST;
	rc = check_permissions(call, rename);
	if (rc == 0)
		rc = check_zones(call, rename);
	int below = rc < 0 ? 0 : check_all_below(call, rename);
	if (rc != 0 || below != 0)
		return below < 0 ? below : rc;
	return move(call, rename);
}

/* What moves unjudged must still be what the gate let go: since it was asked, the name may have changed hands, and an
 * empty directory may have been filled. */
static int check_unjudged(struct call *call, const struct rename *rename) {
	struct node node;
	int rc = call_find(call, &rename->dir, rename->name, &node);
	if (rc == 0 && node.id != rename->node.id)
		rc = -EBUSY;
	if (rc < 0)
		return rc;
	struct gate_caller caller = call_caller(call);
	const struct gate_hooks *gate = call->fs->gate;
	return gate->trusted_change(gate->gate, call->meta, &caller, GATE_MOVE, &node, call_path(call, 1), NULL);
}

/* The kernel takes along how long it may keep a name, which a folder that everybody searches had earned it. */
static void forget_kept_names(struct call *call, const struct rename *rename) {
	if (rename->closes)
		notify_entry(call->fs->notifier, rename->new_dir.ino, rename->new_name);
	if (rename->closes_former)
		notify_entry(call->fs->notifier, rename->dir.ino, rename->name);
}

static void reply_renamed(struct call *call, const struct rename *rename, int rc) {
	const struct node *replaced = &rename->result.replaced;
	if (rc == 0 && replaced->id && replaced->nlink == 0)
		inode_set_unlinked(call->fs->inodes, replaced->ino, true);
	if (rc == 0)
		forget_kept_names(call, rename);
	fuse_reply_err(call->req, -rc);
}

struct judged_rename {
	fuse_req_t req;
	struct rename rename;
	struct gate_permit permit;                                 /* by which it was let pass so far */
	char name[TREE_NAME_MAX + 1], new_name[TREE_NAME_MAX + 1]; /* the request's own are gone by then */
	struct call call;
};

/* The gate judges what the name would show, and its answer is what is recorded. */
static void answer_rename(void *arg) {
	struct judged_rename *judged = arg;
	struct call *call = &judged->call;
	struct rename *rename = &judged->rename;
	struct gate_rename asked = {.node = &rename->node,
	        .parent = rename->dir.id,
	        .new_parent = rename->new_dir.id,
	        .name = rename->name,
	        .new_name = rename->new_name,
	        .flags = rename->flags};
	call_prepare(call, judged->req, "rename");
	call->answers.permit = judged->permit;
	struct gate_caller caller = call_caller(call);
	const struct gate_hooks *gate = call->fs->gate;
	int rc = gate->trusted_rename(gate->gate, &caller, &asked);
	call_enter(call);
	call_names(call, rename->dir.id, rename->name);
	call_renames(call, rename->new_dir.id, rename->new_name);
	call->event.node = rename->node.id;
	if (rc == 0)
		rc = check_unjudged(call, rename);
	if (rc == 0)
		rc = check_all_below(call, rename);
	if (rc == 0)
		rc = move(call, rename);
	rc = call_end(call, rc < 0 ? rc : 0);
	reply_renamed(call, rename, rc);
	free(judged);
}

static struct bytes keep_name(struct bytes name, char kept[static TREE_NAME_MAX + 1]) {
	size_t size =
	        name.size < TREE_NAME_MAX ? name.size : TREE_NAME_MAX; /* longer ones were refused by the look-up */
	memcpy(kept, name.data, size);
	return bytes_of(kept, size);
}

/* Permissions were given. The verdict takes its time, so it is waited for elsewhere. */
static void rename_by_gate(struct call *call, const struct rename *rename) {
	struct judged_rename *judged = malloc(sizeof *judged);
	if (!judged) {
		fuse_reply_err(call->req, ENOMEM);
		return;
	}
	judged->req = call->req;
	judged->rename = *rename;
	judged->permit = call->answers.permit;
	judged->rename.name = keep_name(rename->name, judged->name);
	judged->rename.new_name = keep_name(rename->new_name, judged->new_name);
	aside_run(&call->fs->verdicts, call->who.uid, answer_rename, judged);
}

void operation_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
        unsigned flags) {
	if (virtual_is(parent) || virtual_is(new_parent)) {
		operation_virtual_refuse(
		        req, virtual_is(parent) ? parent : new_parent, virtual_is(parent) ? name : new_name, "rename");
		return;
	}
	_scratch_ struct call call;
	struct rename rename = {.parent = parent,
	        .new_parent = new_parent,
	        .name = bytes_of_string(name),
	        .new_name = bytes_of_string(new_name),
	        .flags = flags};
	call_begin(&call, req, "rename");
	int rc = call_end(&call, rename_node(&call, &rename));
	if (rc == RENAME_BY_GATE)
		rename_by_gate(&call, &rename);
	else
		reply_renamed(&call, &rename, rc);
}
