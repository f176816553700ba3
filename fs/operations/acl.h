/*
 * acl: access control lists as requests read, set and inherit them. What decides is fs/access.h, what they are
 * backend/acl.h.
 *
 * The kernel passes system.posix_acl_… on as other attributes (FUSE_POSIX_ACL is not negotiated: it would make the
 * kernel decide, and keep what it decided to itself), after it has checked their form and that it is the node's owner
 * who sets one. All of that is checked here again. There are ACLs in Landing; in Raw and Trusted only the zones'
 * directories have an access ACL, since neither has what no check has seen. What says no more than a mode is a chmod
 * there, which programs that copy modes count on.
 */
#pragma once

#include "backend/acl.h"
#include "fs/operations/call.h"

/* As xattr_get: the ACL as bytes. */
int acl_answer(struct call *call, const struct node *node, enum acl_type type, void *ret_value, size_t capacity,
        size_t *ret_size);

/* If the caller may: sets the ACL that `value` is, and the mode that goes with it. */
int acl_change(struct call *call, const struct node *node, enum acl_type type, struct bytes value);

/* The same: removes it. As elsewhere on Linux the mode stays, and none there is no error. */
int acl_remove(struct call *call, const struct node *node, enum acl_type type);

/* What a node that is made in a directory gets of its default ACL. */
struct inheritance {
	struct acl acl; /* the default ACL, when has_default */
	bool has_default;
	uint32_t mode; /* that was asked for */
};

/* Owner, group and mode of a node that the caller makes in `dir` (access_new_node), with what it inherits. */
int acl_new_node(struct call *call, const struct node *dir, uint32_t mode, struct node *ret_attributes,
        struct inheritance *ret_inheritance);

/* After `node` was made so, in the same operation: stores its ACLs. */
int acl_keep_inherited(struct call *call, struct inheritance *inheritance, struct node *node);
