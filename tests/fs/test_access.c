/* The rules of permissions, in tables: each row is one sentence of POSIX or of a manual page. */
#include "fs/access.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backend/version.h"

enum { ROOT = 0, OWNER = 1000, MEMBER = 1001, OTHER = 1002, FILES_GROUP = 50, OWN_GROUP = 60, EXTRA_GROUP = 70 };

static unsigned group_questions;

/* Everybody here but OTHER is also in FILES_GROUP; OWNER in EXTRA_GROUP too. */
static bool in_group(void *arg, uint32_t gid) {
	uint32_t uid = *(const uint32_t *)arg;
	group_questions++;
	return (gid == FILES_GROUP && uid != OTHER) || (gid == EXTRA_GROUP && uid == OWNER);
}

static struct access_subject subject(uint32_t *uid) {
	return (struct access_subject){.uid = *uid, .gid = OWN_GROUP, .in_group = in_group, .arg = uid};
}

static struct node file(uint32_t mode) {
	return (struct node){.id = 9, .mode = mode, .uid = OWNER, .gid = FILES_GROUP};
}

static void the_first_class_that_fits_decides(void **state) {
	(void)state;
	static const struct {
		uint32_t uid, mode;
		unsigned mask;
		int rc;
	} rows[] = {
	        {OWNER, S_IFREG | 0400, ACCESS_READ, 0},
	        {OWNER, S_IFREG | 0400, ACCESS_WRITE, -EACCES},
	        {OWNER, S_IFREG | 0077, ACCESS_READ, -EACCES}, /* the owner's bits, though others may */
	        {MEMBER, S_IFREG | 0040, ACCESS_READ, 0},
	        {MEMBER, S_IFREG | 0707, ACCESS_READ, -EACCES}, /* the group's bits, though others may */
	        {MEMBER, S_IFREG | 0060, ACCESS_READ | ACCESS_WRITE, 0},
	        {MEMBER, S_IFREG | 0040, ACCESS_READ | ACCESS_WRITE, -EACCES},
	        {OTHER, S_IFREG | 0004, ACCESS_READ, 0},
	        {OTHER, S_IFREG | 0770, ACCESS_READ, -EACCES},
	        {OTHER, S_IFDIR | 0771, ACCESS_EXEC, 0},
	        {OTHER, S_IFDIR | 0776, ACCESS_EXEC, -EACCES},
	        {OTHER, S_IFREG | 0000, 0, 0},
	        {ROOT, S_IFREG | 0000, ACCESS_READ | ACCESS_WRITE, 0},
	        {ROOT, S_IFREG | 0666, ACCESS_EXEC, -EACCES}, /* nobody may execute it, so root may not */
	        {ROOT, S_IFREG | 0010, ACCESS_EXEC, 0},
	        {ROOT, S_IFDIR | 0000, ACCESS_EXEC | ACCESS_READ | ACCESS_WRITE, 0},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint32_t uid = rows[i].uid;
		struct access_subject who = subject(&uid);
		struct node node = file(rows[i].mode);
		int rc = access_check(&who, &node, rows[i].mask);
		if (rc != rows[i].rc)
			fail_msg("row %zu: uid %u mode %o mask %u gave %d", i, uid, rows[i].mode, rows[i].mask, rc);
	}
}

static void groups_are_asked_for_only_when_the_answer_depends_on_them(void **state) {
	(void)state;
	uint32_t uid = OTHER;
	struct access_subject who = subject(&uid);
	struct node same = file(S_IFREG | 0644), differs = file(S_IFREG | 0640);
	group_questions = 0;
	assert_int_equal(access_check(&who, &same, ACCESS_READ), 0);
	assert_int_equal(group_questions, 0);
	assert_int_equal(access_check(&who, &differs, ACCESS_READ), -EACCES);
	assert_int_equal(group_questions, 1);
}

static void a_sticky_directory_lets_only_owners_remove(void **state) {
	(void)state;
	static const struct {
		uint32_t uid, dir_owner, file_owner, dir_mode;
		int rc;
	} rows[] = {
	        {OTHER, ROOT, OTHER, 01777, 0}, {OTHER, OTHER, OWNER, 01777, 0}, {OTHER, ROOT, OWNER, 01777, -EPERM},
	        {OTHER, ROOT, OWNER, 0777, 0}, {ROOT, OWNER, OTHER, 01777, 0}, {OTHER, ROOT, OTHER, 01755, -EACCES},
	        {OTHER, ROOT, OTHER, 0776, -EACCES}, /* writing without searching */
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint32_t uid = rows[i].uid;
		struct access_subject who = subject(&uid);
		struct node dir = {.mode = S_IFDIR | rows[i].dir_mode, .uid = rows[i].dir_owner, .gid = 1};
		struct node victim = {.mode = S_IFREG | 0644, .uid = rows[i].file_owner, .gid = 1};
		if (access_may_remove(&who, &dir, bytes_of_string("x"), &victim) != rows[i].rc)
			fail_msg("row %zu", i);
	}
}

static void owners_change_and_others_do_not(void **state) {
	(void)state;
	static const struct {
		uint32_t uid, file_mode;
		struct access_change change;
		int rc;
		uint32_t mode;
	} rows[] = {
	        {OWNER, 0644, {.mask = TREE_MODE, .mode = 0600}, 0, 0600},
	        {MEMBER, 0666, {.mask = TREE_MODE, .mode = 0600}, -EPERM, 0},
	        {OWNER, 0644, {.mask = TREE_MODE, .mode = 02755}, 0, 02755}, /* he is in the file's group */
	        {ROOT, 0644, {.mask = TREE_MODE, .mode = 06755}, 0, 06755},
	        {OWNER, 0644, {.mask = TREE_UID, .uid = OTHER}, -EPERM, 0},
	        {OWNER, 04755, {.mask = TREE_UID, .uid = OWNER}, 0, 0755},
	        {ROOT, 06755, {.mask = TREE_UID, .uid = OTHER}, 0, 0755},
	        {ROOT, 02644, {.mask = TREE_UID, .uid = OTHER}, 0, 02644}, /* not set-id: mandatory locking of old */
	        {OWNER, 0644, {.mask = TREE_GID, .gid = EXTRA_GROUP}, 0, 0644},
	        {OWNER, 0644, {.mask = TREE_GID, .gid = 999}, -EPERM, 0},
	        {MEMBER, 0664, {.mask = TREE_GID, .gid = FILES_GROUP}, -EPERM, 0},
	        {MEMBER, 0664, {.mask = TREE_SIZE}, 0, 0664},
	        {OTHER, 0664, {.mask = TREE_SIZE}, -EACCES, 0},
	        {OTHER, 0600, {.mask = TREE_SIZE, .open_writable = true}, 0, 0600},
	        {MEMBER, 0664, {.mask = TREE_MTIME | TREE_ATIME, .times_are_now = true}, 0, 0664},
	        {MEMBER, 0664, {.mask = TREE_MTIME | TREE_ATIME}, -EPERM, 0},
	        {OTHER, 0644, {.mask = TREE_MTIME, .times_are_now = true}, -EACCES, 0},
	        {OWNER, 0444, {.mask = TREE_MTIME}, 0, 0444},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint32_t uid = rows[i].uid, mode = 0;
		struct access_subject who = subject(&uid);
		struct node node = file(S_IFREG | rows[i].file_mode);
		int rc = access_may_change(&who, &node, &rows[i].change, &mode);
		if (rc != rows[i].rc || (rc == 0 && mode != rows[i].mode))
			fail_msg("row %zu: %d, mode %o", i, rc, mode);
	}
}

static void chmod_outside_the_group_loses_set_gid(void **state) {
	(void)state;
	uint32_t uid = OWNER, mode = 0;
	struct access_subject who = subject(&uid);
	struct node node = file(S_IFREG | 0644);
	node.gid = 999;
	struct access_change change = {.mask = TREE_MODE, .mode = 02755};
	assert_int_equal(access_may_change(&who, &node, &change, &mode), 0);
	assert_int_equal(mode, 0755);
}

static void directories_keep_their_set_gid_through_chown(void **state) {
	(void)state;
	uint32_t uid = ROOT, mode = 0;
	struct access_subject who = subject(&uid);
	struct node node = file(S_IFDIR | 02775);
	struct access_change change = {.mask = TREE_GID, .gid = 3};
	assert_int_equal(access_may_change(&who, &node, &change, &mode), 0);
	assert_int_equal(mode, 02775);
}

static void writing_takes_set_id_bits_away(void **state) {
	(void)state;
	assert_int_equal(access_mode_after_write(S_IFREG | 06755, true), S_IFREG | 0755);
	assert_int_equal(access_mode_after_write(S_IFREG | 02644, true), S_IFREG | 02644);
	assert_int_equal(access_mode_after_write(S_IFREG | 02644, false), S_IFREG | 0644);
	assert_int_equal(access_mode_after_write(S_IFREG | 0644, false), S_IFREG | 0644);
}

static void new_nodes_take_umask_and_the_directorys_group(void **state) {
	(void)state;
	uint32_t uid = OTHER;
	struct access_subject who = subject(&uid);
	struct node plain = {.mode = S_IFDIR | 0777, .gid = 5}, inheriting = {.mode = S_IFDIR | 02777, .gid = 5}, made;

	access_new_node(&who, &plain, S_IFREG | 0666, 027, NULL, &made);
	assert_int_equal(made.mode, S_IFREG | 0640);
	assert_int_equal(made.uid, OTHER);
	assert_int_equal(made.gid, OWN_GROUP);

	access_new_node(&who, &inheriting, S_IFDIR | 0777, 022, NULL, &made);
	assert_int_equal(made.mode, S_IFDIR | 02755);
	assert_int_equal(made.gid, 5);

	/* A set-gid program in a group one is not in can't be made this way (CVE-2018-13405). */
	access_new_node(&who, &inheriting, S_IFREG | 02775, 0, NULL, &made);
	assert_int_equal(made.mode, S_IFREG | 0775);
}

static void user_attributes_follow_the_files_permissions(void **state) {
	(void)state;
	uint32_t uid = OTHER;
	struct access_subject who = subject(&uid);
	struct node readable = file(S_IFREG | 0644), link = file(S_IFLNK | 0777), sticky = file(S_IFDIR | 01777);
	assert_int_equal(access_xattr(&who, &readable, false), 0);
	assert_int_equal(access_xattr(&who, &readable, true), -EACCES);
	assert_int_equal(access_xattr(&who, &link, true), -EPERM);
	assert_int_equal(access_xattr(&who, &link, false), -ENODATA);
	assert_int_equal(access_xattr(&who, &sticky, true), -EPERM);
}

static void others_link_only_what_they_may_change(void **state) {
	(void)state;
	static const struct {
		uint32_t uid, mode;
		int rc;
	} rows[] = {
	        {OWNER, S_IFREG | 04000, 0},
	        {ROOT, S_IFREG | 04000, 0},
	        {OTHER, S_IFREG | 0666, 0},
	        {OTHER, S_IFREG | 0644, -EPERM},
	        {MEMBER, S_IFREG | 0660, 0},
	        {OTHER, S_IFREG | 04777, -EPERM}, /* set-user-ID would be kept alive under the other name */
	        {OTHER, S_IFREG | 02777, -EPERM},
	        {OTHER, S_IFREG | 02767, 0}, /* no program of the group */
	        {OTHER, S_IFIFO | 0666, -EPERM},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint32_t uid = rows[i].uid;
		struct access_subject who = subject(&uid);
		struct node node = file(rows[i].mode);
		int rc = access_may_link(&who, &node);
		if (rc != rows[i].rc)
			fail_msg("row %zu: got %d", i, rc);
	}
}

static void a_directory_that_moves_must_be_writable(void **state) {
	(void)state;
	uint32_t uid = OTHER;
	struct access_subject who = subject(&uid);
	struct node dir = file(S_IFDIR | 0755), regular = file(S_IFREG | 0444);
	assert_int_equal(access_may_reparent(&who, &dir), -EACCES);
	assert_int_equal(access_may_reparent(&who, &regular), 0);
}

static void only_directories_open_to_all_are_kept_by_the_kernel(void **state) {
	(void)state;
	uint32_t uid = OTHER;
	struct access_subject who = subject(&uid);
	struct node open = file(S_IFDIR | 0711), closed = file(S_IFDIR | 0750);
	assert_true(access_everybody_searches(&who, &open));
	assert_false(access_everybody_searches(&who, &closed));
}

/* ---- roles and grants ---- */

static char asked[512];

static bool note_question(void *arg, const struct node *node, struct bytes name, enum policy_reach reach) {
	static const char *const words[] = {"search", "list", "read", "write", "below"};
	size_t used = strlen(asked);
	(void)arg;
	snprintf(asked + used, sizeof asked - used, "%s%s %u %.*s", used ? "; " : "", words[reach], (unsigned)node->id,
	        (int)name.size, name.size ? (const char *)name.data : "");
	return !policy_reach_writes(reach);
}

static void roles_are_asked_for_what_is_reached_before_any_mode_bit(void **state) {
	(void)state;
	uint32_t uid = ROOT, mode;
	struct bytes name = bytes_of_string("x");
	struct access_subject who = subject(&uid);
	struct node dir = file(S_IFDIR | 0777), regular = file(S_IFREG | 0777), nowhere = file(S_IFREG | 0777);
	struct access_change size = {.mask = TREE_SIZE}, chmod = {.mask = TREE_MODE},
	                     open = {.mask = TREE_SIZE, .open_writable = true};
	who.permits = note_question;
	dir.zone = regular.zone = ZONE_LANDING;
	const struct {
		int rc, wanted;
		const char *questions; /* that it makes */
	} rows[] = {
	        {access_check(&who, &nowhere, ACCESS_WRITE), 0, ""},
	        {access_check(&who, &regular, ACCESS_READ | ACCESS_EXEC), 0, "read 9 "},
	        {access_check(&who, &regular, ACCESS_WRITE), -EACCES, "write 9 "},
	        {access_check(&who, &dir, ACCESS_READ), 0, "list 9 "},
	        {access_check_name(&who, &dir, name, ACCESS_EXEC), 0, "search 9 x"},
	        {access_may_create(&who, &dir, name), -EACCES, "search 9 x; write 9 x"},
	        {access_may_remove(&who, &dir, name, &regular), -EACCES, "search 9 x; write 9 x"},
	        {access_may_link(&who, &regular), -EACCES, "read 9 ; write 9 "},
	        {access_may_move_below(&who, &dir, name), -EACCES, "below 9 x"},
	        {access_may_change(&who, &regular, &chmod, &mode), -EACCES, "write 9 "},
	        {access_may_change(&who, &regular, &size, &mode), -EACCES, "write 9 "},
	        {access_may_change(&who, &regular, &open, &mode), 0, ""}, /* it was opened for that */
	};
	/* Each was asked in turn while the rows were made. */
	static const char all[] =
	        "read 9 ; write 9 ; list 9 ; search 9 x; search 9 x; write 9 x; search 9 x; write 9 x; read 9 ; "
	        "write 9 ; below 9 x; write 9 ; write 9 ";
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].rc != rows[i].wanted)
			fail_msg("row %zu, %s: %d", i, rows[i].questions, rows[i].rc);
	assert_string_equal(asked, all);
}

/* ---- ACLs ---- */

static struct acl listed;
static int acl_rc;
static unsigned acl_questions;

static int find_acl(void *arg, const struct node *node, const struct acl **ret) {
	(void)arg;
	(void)node;
	acl_questions++;
	*ret = &listed;
	return acl_rc;
}

/* user::rwx user:MEMBER:rw- group::r-- mask::rw- other::r-- */
static void set_acl(void) {
	static const struct acl_entry entries[] = {{ACL_TAG_USER_OBJ, 7, UINT32_MAX}, {ACL_TAG_USER, 6, MEMBER},
	        {ACL_TAG_GROUP_OBJ, 4, UINT32_MAX}, {ACL_TAG_MASK, 6, UINT32_MAX}, {ACL_TAG_OTHER, 4, UINT32_MAX}};
	listed.count = sizeof entries / sizeof entries[0];
	for (size_t i = 0; i < listed.count; i++)
		listed.entries[i] = entries[i];
	acl_rc = 0;
	acl_questions = 0;
}

static struct node file_with_acl(uint32_t mode) {
	struct node node = file(mode);
	node.xattrs = 1;
	return node;
}

static int ask(uint32_t uid, const struct node *node, unsigned mask) {
	struct access_subject who = subject(&uid);
	who.acl = find_acl;
	return access_check(&who, node, mask);
}

static void an_acl_decides_for_all_but_root_and_the_owner(void **state) {
	(void)state;
	set_acl();
	struct node node = file_with_acl(S_IFREG | 0764);
	assert_int_equal(ask(OWNER, &node, ACCESS_WRITE), 0);
	assert_int_equal(ask(ROOT, &node, ACCESS_WRITE), 0);
	assert_int_equal(acl_questions, 0);
	assert_int_equal(ask(MEMBER, &node, ACCESS_WRITE), 0);
	assert_int_equal(ask(OTHER, &node, ACCESS_WRITE), -EACCES);
	assert_int_equal(ask(OTHER, &node, ACCESS_READ), 0);
	node.xattrs = 0; /* has none, so is not asked: the group's bits */
	acl_questions = 0;
	assert_int_equal(ask(OTHER, &node, ACCESS_WRITE), -EACCES);
	assert_int_equal(ask(MEMBER, &node, ACCESS_WRITE), 0);
	assert_int_equal(acl_questions, 0);
}

static void an_acl_that_cannot_be_read_denies(void **state) {
	(void)state;
	set_acl();
	acl_rc = -EIO;
	struct node node = file_with_acl(S_IFDIR | 0777);
	assert_int_equal(ask(OTHER, &node, ACCESS_READ), -EACCES);
	uint32_t uid = OTHER;
	struct access_subject who = subject(&uid);
	who.acl = find_acl;
	assert_false(access_everybody_searches(&who, &node));
	acl_rc = -ENODATA; /* some other attribute */
	assert_int_equal(ask(OTHER, &node, ACCESS_READ), 0);
	assert_true(access_everybody_searches(&who, &node));
}

static void a_version_whose_acl_is_gone_is_its_owners_alone(void **state) {
	(void)state;
	set_acl();
	struct node node = file_with_acl(VERSION_MODE_ACL | S_IFREG | 0664);
	assert_int_equal(ask(MEMBER, &node, ACCESS_READ), 0);
	acl_rc = -ENODATA;
	assert_int_equal(ask(MEMBER, &node, ACCESS_READ), -EACCES);
	assert_int_equal(ask(OTHER, &node, ACCESS_READ), -EACCES);
	assert_int_equal(ask(OWNER, &node, ACCESS_READ), 0);
	node.xattrs = 0;
	assert_int_equal(ask(OTHER, &node, ACCESS_READ), -EACCES);
}

static void a_directory_is_open_to_all_when_its_acl_says_so(void **state) {
	(void)state;
	uint32_t uid = OTHER;
	struct access_subject who = subject(&uid);
	who.acl = find_acl;
	set_acl();
	struct node dir = file_with_acl(S_IFDIR | 0777);
	assert_false(access_everybody_searches(&who, &dir));
	for (size_t i = 0; i < listed.count; i++)
		listed.entries[i].permissions = 7;
	assert_true(access_everybody_searches(&who, &dir));
	acl_questions = 0;
	dir.mode = S_IFDIR | 0770;
	assert_false(access_everybody_searches(&who, &dir));
	assert_int_equal(acl_questions, 0);
}

static void acls_are_the_owners_to_set(void **state) {
	(void)state;
	static const struct {
		uint32_t uid, mode, gid;
		enum acl_type type;
		int rc;
		bool keeps_set_gid;
	} rows[] = {
	        {OWNER, S_IFREG, FILES_GROUP, ACL_TYPE_ACCESS, 0, true},
	        {OWNER, S_IFREG, 999, ACL_TYPE_ACCESS, 0, false},
	        {ROOT, S_IFREG, 999, ACL_TYPE_ACCESS, 0, true},
	        {MEMBER, S_IFREG | 0777, FILES_GROUP, ACL_TYPE_ACCESS, -EPERM, false},
	        {OWNER, S_IFDIR, FILES_GROUP, ACL_TYPE_DEFAULT, 0, true},
	        {OWNER, S_IFREG, FILES_GROUP, ACL_TYPE_DEFAULT, -EACCES, false},
	        {OWNER, S_IFIFO, FILES_GROUP, ACL_TYPE_ACCESS, 0, true},
	        {ROOT, S_IFLNK, FILES_GROUP, ACL_TYPE_ACCESS, -EOPNOTSUPP, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint32_t uid = rows[i].uid;
		struct access_subject who = subject(&uid);
		struct node node = file(rows[i].mode);
		node.gid = rows[i].gid;
		bool keeps = false;
		int rc = access_may_set_acl(&who, &node, rows[i].type, &keeps);
		if (rc != rows[i].rc || keeps != rows[i].keeps_set_gid)
			fail_msg("row %zu: %d", i, rc);
	}
}

static void a_default_acl_stands_in_place_of_the_umask(void **state) {
	(void)state;
	uint32_t uid = OTHER;
	struct access_subject who = subject(&uid);
	struct node dir = {.mode = S_IFDIR | 02777, .gid = 5}, made;
	set_acl();
	const struct acl before = listed;
	access_new_node(&who, &dir, S_IFDIR | 0777, 077, &listed, &made);
	assert_int_equal(made.mode, S_IFDIR | 02764);
	access_new_node(&who, &dir, S_IFREG | 0640, 077, &listed, &made);
	assert_int_equal(made.mode, S_IFREG | 0640);
	assert_memory_equal(&listed, &before, sizeof before);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_first_class_that_fits_decides),
	        cmocka_unit_test(groups_are_asked_for_only_when_the_answer_depends_on_them),
	        cmocka_unit_test(a_sticky_directory_lets_only_owners_remove),
	        cmocka_unit_test(owners_change_and_others_do_not),
	        cmocka_unit_test(chmod_outside_the_group_loses_set_gid),
	        cmocka_unit_test(directories_keep_their_set_gid_through_chown),
	        cmocka_unit_test(writing_takes_set_id_bits_away),
	        cmocka_unit_test(new_nodes_take_umask_and_the_directorys_group),
	        cmocka_unit_test(user_attributes_follow_the_files_permissions),
	        cmocka_unit_test(others_link_only_what_they_may_change),
	        cmocka_unit_test(a_directory_that_moves_must_be_writable),
	        cmocka_unit_test(only_directories_open_to_all_are_kept_by_the_kernel),
	        cmocka_unit_test(roles_are_asked_for_what_is_reached_before_any_mode_bit),
	        cmocka_unit_test(an_acl_decides_for_all_but_root_and_the_owner),
	        cmocka_unit_test(an_acl_that_cannot_be_read_denies),
	        cmocka_unit_test(a_version_whose_acl_is_gone_is_its_owners_alone),
	        cmocka_unit_test(a_directory_is_open_to_all_when_its_acl_says_so),
	        cmocka_unit_test(acls_are_the_owners_to_set),
	        cmocka_unit_test(a_default_acl_stands_in_place_of_the_umask),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
