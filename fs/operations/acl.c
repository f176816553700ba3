#include "fs/operations/acl.h"

#include <errno.h>
#include <string.h>

static int check(
        struct call *call, const struct node *node, enum acl_type type, enum gate_verb verb, bool *ret_keeps_set_gid) {
	int rc = call_may_change_root(call, node);
	if (rc == 0)
		rc = access_may_set_acl(&call->who, node, type, ret_keeps_set_gid);
	bool is_room = node->id <= NODE_TRUSTED; /* as with chmod: its owner may open or close a whole zone */
	if (rc < 0 || node->zone == ZONE_LANDING || (is_room && type == ACL_TYPE_ACCESS))
		return rc;
	return is_room ? -EPERM : zone_guard(call, node, verb, node);
}

int acl_answer(struct call *call, const struct node *node, enum acl_type type, void *ret_value, size_t capacity,
        size_t *ret_size) {
	struct acl acl;
	uint8_t value[ACL_BYTES_MAX];
	int rc = acl_get(call->meta, node, type, &acl);
	if (rc < 0)
		return rc;
	size_t size = acl_serialise(&acl, value);
	if (capacity > 0 && size > capacity)
		return -ERANGE;
	if (capacity > 0)
		memcpy(ret_value, value, size);
	*ret_size = size;
	return 0;
}

/* Names that the kernel may keep were for everybody; now they are not. */
static void note_closed_directory(struct call *call, const struct node *node, const struct acl *acl, uint32_t mode) {
	bool was_open = S_ISDIR(node->mode) && access_mode_opens(node);
	if (was_open && !acl_allows_everybody(acl, mode, ACCESS_EXEC))
		notify_children(call->fs->notifier, node->id, node->ino);
}

static int change_access(struct call *call, const struct node *node, const struct acl *acl) {
	bool keeps_set_gid;
	uint32_t permissions;
	struct node after;
	bool is_mode = acl_to_mode(acl, &permissions);
	int rc = check(call, node, ACL_TYPE_ACCESS, is_mode ? GATE_SETATTR : GATE_SETXATTR, &keeps_set_gid);
	if (rc < 0)
		return rc;
	uint32_t set_id = node->mode & (keeps_set_gid ? 07000 : 05000);
	struct node values = {.mode = set_id | permissions};
	rc = acl_set(call->meta, node->id, ACL_TYPE_ACCESS, is_mode ? NULL : acl);
	if (rc == 0)
		rc = tree_setattr(call->meta, node->id, &values, TREE_MODE, &after);
	if (rc == 0) {
		note_closed_directory(call, node, acl, permissions);
		call_forget_unlisted(call, node, &after);
	}
	return rc;
}

static int change_default(struct call *call, const struct node *node, const struct acl *acl) {
	bool keeps_set_gid;
	int rc = check(call, node, ACL_TYPE_DEFAULT, GATE_SETXATTR, &keeps_set_gid);
	return rc < 0 ? rc : acl_set(call->meta, node->id, ACL_TYPE_DEFAULT, acl);
}

int acl_change(struct call *call, const struct node *node, enum acl_type type, struct bytes value) {
	struct acl acl;
	int rc = acl_parse(value, &acl);
	if (rc < 0)
		return rc;
	call->answers.acl_node = 0;
	return type == ACL_TYPE_ACCESS ? change_access(call, node, &acl) : change_default(call, node, &acl);
}

int acl_remove(struct call *call, const struct node *node, enum acl_type type) {
	bool keeps_set_gid;
	int rc = check(call, node, type, GATE_SETATTR, &keeps_set_gid);
	call->answers.acl_node = 0;
	return rc < 0 ? rc : acl_set(call->meta, node->id, type, NULL);
}

/* ---- what is inherited ---- */

int acl_new_node(struct call *call, const struct node *dir, uint32_t mode, struct node *ret_attributes,
        struct inheritance *ret_inheritance) {
	struct inheritance *got = ret_inheritance;
	got->mode = mode;
	int rc = dir->zone == ZONE_LANDING && !S_ISLNK(mode) ? acl_get(call->meta, dir, ACL_TYPE_DEFAULT, &got->acl)
	                                                     : -ENODATA;
	if (rc < 0 && rc != -ENODATA)
		return rc;
	got->has_default = rc == 0;
	access_new_node(&call->who, dir, mode, fuse_req_ctx(call->req)->umask, got->has_default ? &got->acl : NULL,
	        ret_attributes);
	return 0;
}

int acl_keep_inherited(struct call *call, struct inheritance *inheritance, struct node *node) {
	if (!inheritance->has_default)
		return 0;
	int rc = 0;
	if (S_ISDIR(node->mode))
		rc = acl_set(call->meta, node->id, ACL_TYPE_DEFAULT, &inheritance->acl);
	uint32_t mode = inheritance->mode;
	if (rc == 0 && acl_inherit(&inheritance->acl, &mode))
		rc = acl_set(call->meta, node->id, ACL_TYPE_ACCESS, &inheritance->acl);
	return rc < 0 ? rc : tree_get(call->meta, node->id, node);
}
