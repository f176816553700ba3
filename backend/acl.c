#include "backend/acl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/xattr.h"
#include "crypto/base/fault.h"

#define FORMAT_VERSION 2
#define HEADER_BYTES 4
#define ENTRY_BYTES 8
#define NO_ID UINT32_MAX

static const char *const names[] = {ACL_ACCESS_XATTR, ACL_DEFAULT_XATTR};

bool acl_is_name(const char *name, enum acl_type *ret_type) {
	bool is_access = strcmp(name, names[ACL_TYPE_ACCESS]) == 0;
	if (!is_access && strcmp(name, names[ACL_TYPE_DEFAULT]) != 0)
		return false;
	*ret_type = is_access ? ACL_TYPE_ACCESS : ACL_TYPE_DEFAULT;
	return true;
}

static bool is_named(const struct acl_entry *entry) {
	return entry->tag == ACL_TAG_USER || entry->tag == ACL_TAG_GROUP;
}

/* ---- bytes ---- */

static int compare(const void *a, const void *b) {
	const struct acl_entry *one = a, *other = b;
	if (one->tag != other->tag)
		return one->tag < other->tag ? -1 : 1;
	return one->id < other->id ? -1 : one->id > other->id;
}

/* The tags' values rise in the order in which their entries stand. */
static bool is_in_order(const struct acl *acl) {
	for (size_t i = 1; i < acl->count; i++)
		if (acl->entries[i].tag < acl->entries[i - 1].tag)
			return false;
	return true;
}

static bool has_twins(const struct acl *acl) {
	for (size_t i = 1; i < acl->count; i++)
		if (compare(&acl->entries[i - 1], &acl->entries[i]) == 0)
			return true;
	return false;
}

/* Of an ACL without twins. */
static bool is_complete(const struct acl *acl) {
	unsigned tags = 0;
	for (size_t i = 0; i < acl->count; i++)
		tags |= acl->entries[i].tag;
	unsigned always = ACL_TAG_USER_OBJ | ACL_TAG_GROUP_OBJ | ACL_TAG_OTHER;
	bool needs_mask = tags & (ACL_TAG_USER | ACL_TAG_GROUP);
	return (tags & always) == always && (!needs_mask || (tags & ACL_TAG_MASK));
}

static bool parse_entry(const uint8_t *at, struct acl_entry *entry) {
	*entry = (struct acl_entry){.tag = le16_get(at), .permissions = le16_get(at + 2), .id = le32_get(at + 4)};
	switch ((enum acl_tag)entry->tag) {
	case ACL_TAG_USER:
	case ACL_TAG_GROUP:
		return entry->permissions <= 7 && entry->id != NO_ID;
	case ACL_TAG_USER_OBJ:
	case ACL_TAG_GROUP_OBJ:
	case ACL_TAG_MASK:
	case ACL_TAG_OTHER:
		entry->id = NO_ID;
		return entry->permissions <= 7;
	}
	return false;
}

int acl_parse(struct bytes value, struct acl *ret) {
	struct acl acl = {0};
	if (value.size < HEADER_BYTES)
		return -EINVAL;
	if (le32_get(value.data) != FORMAT_VERSION)
		return -EOPNOTSUPP;
	if ((value.size - HEADER_BYTES) % ENTRY_BYTES != 0)
		return -EINVAL;
	acl.count = (value.size - HEADER_BYTES) / ENTRY_BYTES;
	if (acl.count > ACL_ENTRIES_MAX)
		return -E2BIG;
	for (size_t i = 0; i < acl.count; i++)
		if (!parse_entry(value.data + HEADER_BYTES + i * ENTRY_BYTES, &acl.entries[i]))
			return -EINVAL;
	if (!is_in_order(&acl))
		return -EINVAL;
	qsort(acl.entries, acl.count, sizeof acl.entries[0], compare);
	if (has_twins(&acl) || !is_complete(&acl))
		return -EINVAL;
	*ret = acl;
	return 0;
}

size_t acl_serialise(const struct acl *acl, uint8_t ret[static ACL_BYTES_MAX]) {
	le32_put(ret, FORMAT_VERSION);
	uint8_t *at = ret + HEADER_BYTES;
	for (size_t i = 0; i < acl->count; i++, at += ENTRY_BYTES) {
		le16_put(at, acl->entries[i].tag);
		le16_put(at + 2, acl->entries[i].permissions);
		le32_put(at + 4, acl->entries[i].id);
	}
	return (size_t)(at - ret);
}

/* ---- the mode ---- */

/* The one entry with this tag (not that of named ones), or NULL: only a mask may be missing. */
static struct acl_entry *find(struct acl *acl, enum acl_tag tag) {
	for (size_t i = 0; i < acl->count; i++)
		if (acl->entries[i].tag == tag)
			return &acl->entries[i];
	return NULL;
}

static uint32_t permissions_of(const struct acl *acl, enum acl_tag tag, uint32_t otherwise) {
	for (size_t i = 0; i < acl->count; i++)
		if (acl->entries[i].tag == tag)
			return acl->entries[i].permissions;
	return otherwise;
}

bool acl_to_mode(const struct acl *acl, uint32_t *ret_permissions) {
	uint32_t group = permissions_of(acl, ACL_TAG_GROUP_OBJ, 0);
	*ret_permissions = permissions_of(acl, ACL_TAG_USER_OBJ, 0) << 6 |
	                   permissions_of(acl, ACL_TAG_MASK, group) << 3 | permissions_of(acl, ACL_TAG_OTHER, 0);
	return acl->count == 3;
}

static void set(struct acl_entry *entry, uint32_t permissions) {
	if (entry)
		entry->permissions = permissions & 7;
}

/* The entry that the mode shows as the group's. */
static struct acl_entry *find_group_class(struct acl *acl) {
	struct acl_entry *mask = find(acl, ACL_TAG_MASK);
	return mask ? mask : find(acl, ACL_TAG_GROUP_OBJ);
}

void acl_apply_mode(struct acl *acl, uint32_t mode) {
	set(find(acl, ACL_TAG_USER_OBJ), mode >> 6);
	set(find_group_class(acl), mode >> 3);
	set(find(acl, ACL_TAG_OTHER), mode);
}

bool acl_inherit(struct acl *acl, uint32_t *mode) {
	uint32_t permissions;
	(void)acl_to_mode(acl, &permissions);
	permissions &= *mode;
	acl_apply_mode(acl, permissions);
	*mode = (*mode & ~(uint32_t)0777) | permissions;
	return acl->count > 3;
}

uint32_t acl_narrowest_mode(const struct acl *acl) {
	uint32_t mask = permissions_of(acl, ACL_TAG_MASK, 7);
	uint32_t group = permissions_of(acl, ACL_TAG_GROUP_OBJ, 0) & mask;
	uint32_t other = permissions_of(acl, ACL_TAG_OTHER, 0);
	for (size_t i = 0; i < acl->count; i++) {
		const struct acl_entry *entry = &acl->entries[i];
		if (is_named(entry))
			other &= entry->permissions & mask;
		if (entry->tag == ACL_TAG_USER)
			group &= entry->permissions & mask; /* who may be in the group */
	}
	return permissions_of(acl, ACL_TAG_USER_OBJ, 0) << 6 | group << 3 | other;
}

/* ---- who may ---- */

struct question {
	const struct acl *acl;
	uint32_t mask, owning_group;
	acl_in_group_fn in_group;
	void *arg;
	unsigned wanted;
};

/* What an entry of the group class gives. */
static bool gives(const struct question *q, const struct acl_entry *entry) {
	return (entry->permissions & q->mask & q->wanted) == q->wanted;
}

/* Whether the user is in a group whose entry gives (or does not give) what is wanted. */
static bool is_in_any(const struct question *q, bool giving) {
	for (size_t i = 0; i < q->acl->count; i++) {
		const struct acl_entry *entry = &q->acl->entries[i];
		if (entry->tag != ACL_TAG_GROUP_OBJ && entry->tag != ACL_TAG_GROUP)
			continue;
		uint32_t group = entry->tag == ACL_TAG_GROUP ? entry->id : q->owning_group;
		if (gives(q, entry) == giving && q->in_group(q->arg, group))
			return true;
	}
	return false;
}

bool acl_allows(const struct acl *acl, uint32_t mode, uint32_t uid, uint32_t owning_group, acl_in_group_fn in_group,
        void *arg, unsigned wanted) {
	const struct question q = {.acl = acl,
	        .mask = mode >> 3 & 7,
	        .owning_group = owning_group,
	        .in_group = in_group,
	        .arg = arg,
	        .wanted = wanted};
	for (size_t i = 0; i < acl->count; i++)
		if (acl->entries[i].tag == ACL_TAG_USER && acl->entries[i].id == uid)
			return gives(&q, &acl->entries[i]);
	bool others_may = (mode & wanted) == wanted;
	if (others_may && !is_in_any(&q, false))
		return true; /* in a group that gives it, or in none: the same */
	return is_in_any(&q, true);
}

bool acl_allows_everybody(const struct acl *acl, uint32_t mode, unsigned wanted) {
	uint32_t mask = mode >> 3 & 7;
	uint32_t all = (mode >> 6) & mask & mode;
	for (size_t i = 0; i < acl->count; i++)
		if (is_named(&acl->entries[i]) || acl->entries[i].tag == ACL_TAG_GROUP_OBJ)
			all &= acl->entries[i].permissions;
	return (all & wanted) == wanted;
}

/* ---- kept ---- */

int acl_get(Meta *m, const struct node *node, enum acl_type type, struct acl *ret) {
	uint8_t value[ACL_BYTES_MAX];
	size_t size;
	if (node->xattrs == 0)
		return -ENODATA;
	int rc = xattr_get(m, node->id, bytes_of_string(names[type]), value, sizeof value, &size);
	if (rc == 0)
		rc = acl_parse(bytes_of(value, size), ret);
	if (rc == 0 && type == ACL_TYPE_ACCESS)
		acl_apply_mode(ret, node->mode);
	if (rc == -ERANGE || rc == -EINVAL || rc == -EOPNOTSUPP || rc == -E2BIG)
		return fault(
		        EUCLEAN, "what is kept as %s of node %llu is none", names[type], (unsigned long long)node->id);
	return rc;
}

int acl_set(Meta *m, uint64_t node, enum acl_type type, const struct acl *acl) {
	if (!acl) {
		int rc = xattr_remove(m, node, bytes_of_string(names[type]));
		return rc == -ENODATA ? 0 : rc;
	}
	uint8_t value[ACL_BYTES_MAX];
	size_t size = acl_serialise(acl, value);
	return xattr_set(m, node, bytes_of_string(names[type]), bytes_of(value, size), 0);
}

int acl_mode_of_copy(Meta *m, const struct node *node, uint32_t *ret_permissions) {
	struct acl acl;
	int rc = acl_get(m, node, ACL_TYPE_ACCESS, &acl);
	if (rc < 0 && rc != -ENODATA)
		return rc;
	*ret_permissions = rc == 0 ? acl_narrowest_mode(&acl) : node->mode & 0777;
	return 0;
}
