#include "fs/access.h"

#include <errno.h>

#include "backend/version.h"

static bool is_root(const struct access_subject *who) {
	return who->uid == 0;
}

static bool is_owner(const struct access_subject *who, const struct node *node) {
	return is_root(who) || who->uid == node->uid;
}

bool access_in_group(const struct access_subject *who, uint32_t gid) {
	return who->gid == gid || (who->in_group && who->in_group(who->arg, gid));
}

/* Root reads and writes everything and searches every directory; it executes what anybody may execute. */
static int check_root(const struct node *node, unsigned mask) {
	bool executes = (mask & ACCESS_EXEC) && !S_ISDIR(node->mode);
	return executes && !(node->mode & 0111) ? -EACCES : 0;
}

static int check_roles(const struct access_subject *who, const struct node *node, struct bytes name, unsigned mask) {
	if (!who->permits || node->zone == ZONE_NONE)
		return 0;
	bool is_dir = S_ISDIR(node->mode);
	bool searches = (mask & ACCESS_EXEC) && is_dir;
	bool lists = (mask & ACCESS_READ) && is_dir;
	bool reads = (mask & (ACCESS_READ | ACCESS_EXEC)) && !is_dir;
	bool allowed = (!searches || who->permits(who->arg, node, name, POLICY_REACH_SEARCH)) &&
	               (!lists || who->permits(who->arg, node, name, POLICY_REACH_LIST)) &&
	               (!reads || who->permits(who->arg, node, name, POLICY_REACH_READ)) &&
	               (!(mask & ACCESS_WRITE) || who->permits(who->arg, node, name, POLICY_REACH_WRITE));
	return allowed ? 0 : -EACCES;
}

int access_check_roles(const struct access_subject *who, const struct node *node, unsigned mask) {
	return check_roles(who, node, (struct bytes){0}, mask);
}

int access_check_reach(const struct access_subject *who, const struct node *node) {
	if (!who->permits || node->zone == ZONE_NONE)
		return 0;
	return who->permits(who->arg, node, (struct bytes){0}, POLICY_REACH_SEARCH) ? 0 : -EACCES;
}

/* 0, -ENODATA or an error that denies. */
static int find_acl(const struct access_subject *who, const struct node *node, const struct acl **ret) {
	return node->xattrs > 0 && who->acl ? who->acl(who->arg, node, ret) : -ENODATA;
}

static bool is_in_group(void *arg, uint32_t gid) {
	return access_in_group(arg, gid);
}

/* One who is neither root nor the owner, where there is an ACL. */
static bool acl_permits(
        const struct access_subject *who, const struct node *node, const struct acl *acl, unsigned mask) {
	struct access_subject copy = *who;
	return acl_allows(acl, node->mode, who->uid, node->gid, is_in_group, &copy, mask);
}

/* The same where there is none. */
static bool mode_permits(const struct access_subject *who, const struct node *node, unsigned mask) {
	unsigned bits;
	if (node->mode & VERSION_MODE_ACL)
		bits = 0;
	else if (((node->mode >> 3) & mask) == (node->mode & mask))
		bits = node->mode; /* group and others agree: no need to ask for groups */
	else
		bits = access_in_group(who, node->gid) ? node->mode >> 3 : node->mode;
	return (bits & mask) == mask;
}

int access_check(const struct access_subject *who, const struct node *node, unsigned mask) {
	return access_check_name(who, node, (struct bytes){0}, mask);
}

int access_check_name(const struct access_subject *who, const struct node *node, struct bytes name, unsigned mask) {
	const struct acl *acl;
	if (check_roles(who, node, name, mask) < 0)
		return -EACCES;
	if (is_root(who))
		return check_root(node, mask);
	if (who->uid == node->uid)
		return ((node->mode >> 6) & mask) == mask ? 0 : -EACCES;
	int rc = find_acl(who, node, &acl);
	if (rc == 0)
		return acl_permits(who, node, acl, mask) ? 0 : -EACCES;
	return rc == -ENODATA && mode_permits(who, node, mask) ? 0 : -EACCES;
}

bool access_everybody_searches(const struct access_subject *who, const struct node *dir) {
	const struct acl *acl;
	if (!access_mode_opens(dir))
		return false;
	int rc = find_acl(who, dir, &acl);
	return rc == 0 ? acl_allows_everybody(acl, dir->mode, ACCESS_EXEC) : rc == -ENODATA;
}

int access_may_create(const struct access_subject *who, const struct node *dir, struct bytes name) {
	return access_check_name(who, dir, name, ACCESS_WRITE | ACCESS_EXEC);
}

int access_may_remove(
        const struct access_subject *who, const struct node *dir, struct bytes name, const struct node *victim) {
	int rc = access_check_name(who, dir, name, ACCESS_WRITE | ACCESS_EXEC);
	if (rc < 0)
		return rc;
	bool sticky = (dir->mode & S_ISVTX) && who->uid != dir->uid && !is_owner(who, victim);
	return sticky ? -EPERM : 0;
}

int access_may_link(const struct access_subject *who, const struct node *node) {
	if (access_check_roles(who, node, ACCESS_READ | ACCESS_WRITE) < 0)
		return -EACCES;
	if (is_owner(who, node))
		return 0;
	bool lends = (node->mode & S_ISUID) || (node->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
	if (!S_ISREG(node->mode) || lends)
		return -EPERM;
	return access_check(who, node, ACCESS_READ | ACCESS_WRITE) < 0 ? -EPERM : 0;
}

int access_may_reparent(const struct access_subject *who, const struct node *moved) {
	return S_ISDIR(moved->mode) ? access_check(who, moved, ACCESS_WRITE) : 0;
}

int access_may_move_below(const struct access_subject *who, const struct node *dir, struct bytes name) {
	bool is_asked = who->permits && dir->zone != ZONE_NONE;
	return is_asked && !who->permits(who->arg, dir, name, POLICY_REACH_BELOW) ? -EACCES : 0;
}

/* The owner may give the file to a group he is in, and to himself, which changes nothing; all else is root's. */
static int may_chown(const struct access_subject *who, const struct node *node, const struct access_change *change) {
	if (is_root(who))
		return 0;
	if ((change->mask & TREE_UID) && (change->uid != node->uid || who->uid != node->uid))
		return -EPERM;
	if (!(change->mask & TREE_GID))
		return 0;
	bool same = change->gid == node->gid;
	return who->uid == node->uid && (same || access_in_group(who, change->gid)) ? 0 : -EPERM;
}

static int may_set_times(const struct access_subject *who, const struct node *node, bool are_now) {
	if (is_owner(who, node))
		return 0;
	if (!are_now)
		return -EPERM;
	return access_check(who, node, ACCESS_WRITE);
}

static uint32_t mode_after_chmod(
        const struct access_subject *who, const struct node *node, const struct access_change *change) {
	uint32_t mode = change->mode & 07777;
	uint32_t gid = change->mask & TREE_GID ? change->gid : node->gid;
	if ((mode & S_ISGID) && !is_root(who) && !access_in_group(who, gid))
		mode &= ~(uint32_t)S_ISGID;
	return mode;
}

/* chown(2): set-id bits of a file go, whoever asks (Linux does it for root too); directories keep theirs. */
static uint32_t mode_after_chown(const struct node *node) {
	uint32_t mode = node->mode & 07777;
	return S_ISDIR(node->mode) ? mode : access_mode_after_write(mode, true);
}

int access_may_change(const struct access_subject *who, const struct node *node, const struct access_change *change,
        uint32_t *ret_mode) {
	/* ftruncate(2): a descriptor stays what it was opened for. */
	bool by_descriptor = change->open_writable && (change->mask & TREE_SIZE) &&
	                     !(change->mask & (TREE_MODE | TREE_UID | TREE_GID));
	int rc = by_descriptor ? 0 : access_check_roles(who, node, ACCESS_WRITE);
	if (rc == 0 && (change->mask & TREE_MODE) && !is_owner(who, node))
		rc = -EPERM;
	if (rc == 0 && (change->mask & (TREE_UID | TREE_GID)))
		rc = may_chown(who, node, change);
	if (rc == 0 && (change->mask & TREE_SIZE) && !change->open_writable)
		rc = access_check(who, node, ACCESS_WRITE);
	bool times_only = (change->mask & (TREE_ATIME | TREE_MTIME)) && !(change->mask & TREE_SIZE);
	if (rc == 0 && times_only)
		rc = may_set_times(who, node, change->times_are_now);
	if (rc < 0)
		return rc;
	*ret_mode = change->mask & TREE_MODE               ? mode_after_chmod(who, node, change)
	            : change->mask & (TREE_UID | TREE_GID) ? mode_after_chown(node)
	                                                   : node->mode & 07777;
	return 0;
}

uint32_t access_mode_after_write(uint32_t mode, bool in_group) {
	mode &= ~(uint32_t)S_ISUID;
	if ((mode & S_IXGRP) || !in_group)
		mode &= ~(uint32_t)S_ISGID;
	return mode;
}

static uint32_t inherit_permissions(uint32_t permissions, const struct acl *inherited) {
	struct acl acl = *inherited;
	(void)acl_inherit(&acl, &permissions);
	return permissions;
}

void access_new_node(const struct access_subject *who, const struct node *dir, uint32_t mode, uint32_t umask,
        const struct acl *inherited, struct node *ret_attributes) {
	uint32_t permissions = mode & 07777;
	permissions = inherited ? inherit_permissions(permissions, inherited) : permissions & ~(umask & 0777);
	bool inherits = dir->mode & S_ISGID;
	uint32_t gid = inherits ? dir->gid : who->gid;
	if (S_ISDIR(mode) && inherits)
		permissions |= S_ISGID;
	else if (inherits && (permissions & S_ISGID) && (permissions & S_IXGRP) && !is_root(who) &&
	         !access_in_group(who, gid))
		permissions &= ~(uint32_t)S_ISGID;
	*ret_attributes = (struct node){.mode = (mode & S_IFMT) | permissions, .uid = who->uid, .gid = gid};
}

int access_may_set_acl(
        const struct access_subject *who, const struct node *node, enum acl_type type, bool *ret_keeps_set_gid) {
	if (S_ISLNK(node->mode))
		return -EOPNOTSUPP;
	if (access_check_roles(who, node, ACCESS_WRITE) < 0 || (type == ACL_TYPE_DEFAULT && !S_ISDIR(node->mode)))
		return -EACCES;
	if (!is_owner(who, node))
		return -EPERM;
	*ret_keeps_set_gid = is_root(who) || access_in_group(who, node->gid);
	return 0;
}

int access_xattr(const struct access_subject *who, const struct node *node, bool write) {
	if (!S_ISREG(node->mode) && !S_ISDIR(node->mode))
		return write ? -EPERM : -ENODATA;
	if (write && S_ISDIR(node->mode) && (node->mode & S_ISVTX) && !is_owner(who, node))
		return -EPERM;
	return access_check(who, node, write ? ACCESS_WRITE : ACCESS_READ);
}
