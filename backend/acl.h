/*
 * acl: access control lists (acl(5), POSIX.1e draft 17) as values, and where they are kept.
 *
 *      user::rw-                    the owner          ─┐
 *      user:1001:rw-                named users         │   the group class: none of them has more
 *      group::r--                   the owning group    │   than the mask lets through, and the mask
 *      group:50:rw-                 named groups        │   is what the mode shows as the group's bits
 *      mask::rw-                                       ─┘
 *      other::---                   everybody else
 *
 * The *access ACL* of a node decides who may do what; a directory's *default ACL* becomes the access ACL of what is
 * made in it. Both are extended attributes (backend/xattr.h) in the form in which Linux hands them over:
 *
 *      version u32 = 2 ‖ (tag u16 ‖ permissions u16 ‖ id u32)*        little-endian
 *
 * Bytes from outside are parsed strictly. What is stored is canonical: entries in the order above, named ones by id,
 * the id of the others 0xffffffff. An access ACL that says no more than the mode does is not stored at all, so every
 * stored one has a mask; and of a stored one the mode is the authority on owner, mask and others (acl_get puts them
 * in). So chmod needs to write no ACL, and no way of changing the mode leaves the two apart.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/meta.h"
#include "backend/tree.h"
#include "crypto/base/bytes.h"

enum acl_type { ACL_TYPE_ACCESS, ACL_TYPE_DEFAULT };

#define ACL_ACCESS_XATTR "system.posix_acl_access"
#define ACL_DEFAULT_XATTR "system.posix_acl_default"

/* The kernel hands an ACL over in a page of 4,096 bytes and takes no more back. */
#define ACL_ENTRIES_MAX 511
#define ACL_BYTES_MAX (4 + 8 * ACL_ENTRIES_MAX)

enum acl_tag {
	ACL_TAG_USER_OBJ = 0x01,
	ACL_TAG_USER = 0x02,
	ACL_TAG_GROUP_OBJ = 0x04,
	ACL_TAG_GROUP = 0x08,
	ACL_TAG_MASK = 0x10,
	ACL_TAG_OTHER = 0x20,
};

struct acl_entry {
	uint16_t tag;         /* enum acl_tag */
	uint16_t permissions; /* read 4, write 2, execute 1 */
	uint32_t id;          /* of named users and groups */
};

/* Valid and canonical: acl_parse makes nothing else, and the functions below keep it so. */
struct acl {
	size_t count;
	struct acl_entry entries[ACL_ENTRIES_MAX];
};

/* Whether an attribute of that name is an ACL, and which. */
bool acl_is_name(const char *name, enum acl_type *ret_type);

/*
 * -EOPNOTSUPP for another version; -E2BIG beyond ACL_ENTRIES_MAX; -EINVAL for all else that is no ACL: a torn entry,
 * unknown tags or permissions, tags out of order, owner, group and others not just once, named entries without a mask,
 * a named entry twice or without an id. Named entries may come in any order of their ids.
 */
int acl_parse(struct bytes value, struct acl *ret);

/* Returns the length. */
size_t acl_serialise(const struct acl *acl, uint8_t ret[static ACL_BYTES_MAX]);

/* The permission bits that stat shows for it (the group's are the mask's). True when the ACL says no more than they do.
 */
bool acl_to_mode(const struct acl *acl, uint32_t *ret_permissions);

/* chmod: owner, others and mask (the group, where there is none) get the bits of `mode`. */
void acl_apply_mode(struct acl *acl, uint32_t mode);

/*
 * A node is made with `*mode` in a directory with this default ACL: turns it into the node's access ACL, from which
 * all is taken that the mode does not have, and the mode's permission bits into those of the ACL. The umask has no say.
 * True when the ACL says more than the mode, and so is to be stored.
 */
bool acl_inherit(struct acl *acl, uint32_t *mode);

/*
 * Permission bits that give nobody more than the ACL does, for a copy that has no ACL: the group is what the owning
 * group has, and named users and groups that have less than it or than others lower those.
 */
uint32_t acl_narrowest_mode(const struct acl *acl);

typedef bool (*acl_in_group_fn)(void *arg, uint32_t gid);

/*
 * Whether one who is neither root nor the owner has all of `wanted` (read 4, write 2, execute 1). Of `mode`, the
 * group's bits are the mask and the last three those of others, whatever the ACL says of them. The first that fits
 * decides: the entry of the user; any entry of a group that the user is in, if one has all that is wanted; others.
 * in_group is asked only when the answer depends on it.
 */
bool acl_allows(const struct acl *acl, uint32_t mode, uint32_t uid, uint32_t owning_group, acl_in_group_fn in_group,
        void *arg, unsigned wanted);

/* Whether everybody whom the ACL or the mode names or means has all of `wanted`. */
bool acl_allows_everybody(const struct acl *acl, uint32_t mode, unsigned wanted);

/* ---- kept: between meta_begin and meta_end ---- */

/*
 * The ACL of the node, with what the mode in `node` says of owner, mask and others (access ACLs). -ENODATA when there
 * is none, without a look-up when node->xattrs is 0; -EUCLEAN when what is stored is no ACL.
 */
int acl_get(Meta *m, const struct node *node, enum acl_type type, struct acl *ret);

/* Stores it; NULL: removes it, which is no error when there is none. The mode is the caller's business. */
int acl_set(Meta *m, uint64_t node, enum acl_type type, const struct acl *acl);

/* The permission bits for a copy of the node that has no ACL: acl_narrowest_mode, or its own when it has none. */
int acl_mode_of_copy(Meta *m, const struct node *node, uint32_t *ret_permissions);
