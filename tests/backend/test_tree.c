#include "backend/tree.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/backend/meta_fixture.h"

/* One call as an operation of its own. */
#define OP(f, call) (meta_begin((f)->m), meta_end((f)->m, (call)))

static void a_new_vault_has_its_three_zones(void **state) {
	struct fixture *f = *state;
	struct node node;
	assert_int_equal(OP(f, tree_resolve(f->m, text("Raw"), &node)), 0);
	assert_int_equal(node.id, NODE_RAW);
	assert_int_equal(node.zone, ZONE_RAW);
	assert_int_equal(OP(f, tree_get(f->m, NODE_ROOT, &node)), 0);
	assert_int_equal(node.nlink, 5);
	assert_int_equal(node.uid, 1000);
}

static void a_node_is_found_by_name_id_and_inode_number(void **state) {
	struct fixture *f = *state;
	struct node made = make(f, NODE_LANDING, "a", S_IFREG | 0640), node;
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("a"), &node)), 0);
	assert_same_node(&node, &made);
	assert_int_equal(OP(f, tree_by_ino(f->m, made.ino, &node)), 0);
	assert_int_equal(node.id, made.id);
	assert_int_equal(node.zone, ZONE_LANDING);
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("b"), &node)), -ENOENT);
	assert_int_equal(OP(f, tree_lookup(f->m, made.id, text("b"), &node)), -ENOTDIR);
	assert_int_equal(OP(f, tree_lookup(f->m, 999, text("b"), &node)), -ESTALE);
}

static void bad_names_are_refused_and_foreign_bytes_taken(void **state) {
	struct fixture *f = *state;
	struct node attrs = {.mode = S_IFREG | 0644}, node;
	char name[257];
	memset(name, 'x', sizeof name);
	const struct {
		struct bytes name;
		int rc;
	} cases[] = {
	        {text(""), -EINVAL},
	        {text("."), -EINVAL},
	        {text(".."), -EINVAL},
	        {text("a/b"), -EINVAL},
	        {bytes_of("a\0b", 3), -EINVAL},
	        {bytes_of(name, 256), -ENAMETOOLONG},
	        {bytes_of(name, 255), 0},
	        {bytes_of("\xff\xfe\n", 3), 0},
	        {text("..."), 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(
		        OP(f, tree_create(f->m, NODE_LANDING, cases[i].name, &attrs, text(""), &node)), cases[i].rc);
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, bytes_of("\xff\xfe\n", 3), &node)), 0);
}

static void a_renewed_inode_number_makes_the_old_one_stale(void **state) {
	struct fixture *f = *state;
	struct node made = make(f, NODE_LANDING, "a", S_IFREG | 0644), node;
	uint64_t ino;
	assert_int_equal(OP(f, tree_new_ino(f->m, made.id, &ino)), 0);
	assert_int_not_equal(ino, made.ino);
	assert_int_equal(OP(f, tree_by_ino(f->m, made.ino, &node)), -ESTALE);
	assert_int_equal(OP(f, tree_by_ino(f->m, ino, &node)), 0);
	assert_int_equal(node.id, made.id);
	struct node next = make(f, NODE_LANDING, "b", S_IFREG | 0644);
	assert_int_not_equal(next.id, ino);
	assert_int_not_equal(next.ino, ino);
}

static void a_symlink_keeps_its_target(void **state) {
	struct fixture *f = *state;
	struct node link = make(f, NODE_LANDING, "l", S_IFLNK | 0777),
	            file = make(f, NODE_LANDING, "f", S_IFREG | 0644);
	char target[16];
	size_t size;
	assert_int_equal(OP(f, tree_readlink(f->m, link.id, target, sizeof target, &size)), 0);
	assert_int_equal(size, 6);
	assert_memory_equal(target, "target", 6);
	assert_int_equal(link.size, 6);
	assert_int_equal(OP(f, tree_readlink(f->m, link.id, target, 3, &size)), -ERANGE);
	assert_int_equal(OP(f, tree_readlink(f->m, file.id, target, sizeof target, &size)), -EINVAL);
}

static void links_are_counted(void **state) {
	struct fixture *f = *state;
	struct node file = make(f, NODE_LANDING, "a", S_IFREG | 0644), dir = make(f, NODE_LANDING, "d", S_IFDIR | 0755),
	            node;
	assert_int_equal(dir.nlink, 2);
	make(f, dir.id, "sub", S_IFDIR | 0755);
	assert_int_equal(OP(f, tree_get(f->m, dir.id, &node)), 0);
	assert_int_equal(node.nlink, 3);
	assert_int_equal(OP(f, tree_link(f->m, file.id, dir.id, text("b"), &node)), 0);
	assert_int_equal(node.nlink, 2);
	assert_int_equal(OP(f, tree_link(f->m, dir.id, dir.id, text("c"), &node)), -EPERM);
	assert_int_equal(OP(f, tree_link(f->m, file.id, NODE_RAW, text("c"), &node)), -EXDEV);
	assert_int_equal(OP(f, tree_unlink(f->m, NODE_LANDING, text("a"), &node)), 0);
	assert_int_equal(node.nlink, 1);
	assert_int_equal(OP(f, tree_unlink(f->m, NODE_LANDING, text("d"), &node)), -EISDIR);
	assert_int_equal(OP(f, tree_rmdir(f->m, NODE_LANDING, text("d"), &node)), -ENOTEMPTY);
	assert_int_equal(OP(f, tree_rmdir(f->m, dir.id, text("b"), &node)), -ENOTDIR);
	assert_int_equal(OP(f, tree_rmdir(f->m, dir.id, text("sub"), &node)), 0);
	assert_int_equal(node.nlink, 0);
}

static void nothing_is_made_in_a_removed_directory(void **state) {
	struct fixture *f = *state;
	struct node dir = make(f, NODE_LANDING, "d", S_IFDIR | 0755), file = make(f, NODE_LANDING, "f", S_IFREG | 0644);
	struct node attrs = {.mode = S_IFREG | 0644}, node;
	assert_int_equal(OP(f, tree_rmdir(f->m, NODE_LANDING, text("d"), &node)), 0);
	assert_int_equal(OP(f, tree_create(f->m, dir.id, text("x"), &attrs, text(""), &node)), -ENOENT);
	assert_int_equal(OP(f, tree_link(f->m, file.id, dir.id, text("x"), &node)), -ENOENT);
	assert_int_equal(OP(f, tree_rename(f->m, NODE_LANDING, text("f"), dir.id, text("x"), 0, NULL)), -ENOENT);
}

static void raw_and_the_zones_keep_their_names(void **state) {
	struct fixture *f = *state;
	struct node node;
	make(f, NODE_RAW, "a", S_IFREG | 0644);
	make(f, NODE_RAW, "b", S_IFREG | 0644);
	make(f, NODE_LANDING, "a", S_IFREG | 0644);
	assert_int_equal(OP(f, tree_unlink(f->m, NODE_RAW, text("a"), &node)), -EPERM);
	assert_int_equal(OP(f, tree_rename(f->m, NODE_RAW, text("a"), NODE_RAW, text("b"), 0, NULL)), -EPERM);
	assert_int_equal(OP(f, tree_rename(f->m, NODE_RAW, text("a"), NODE_LANDING, text("b"), 0, NULL)), -EXDEV);
	assert_int_equal(OP(f, tree_rename(f->m, NODE_ROOT, text("Raw"), NODE_ROOT, text("x"), 0, NULL)), -EBUSY);
	assert_int_equal(OP(f, tree_rmdir(f->m, NODE_ROOT, text("Trusted"), &node)), -EPERM);
	fixture_commit(f);
	assert_int_not_equal(raw_sql(f, "DELETE FROM entry WHERE parent = 3"), SQLITE_OK);
	assert_int_not_equal(raw_sql(f, "DELETE FROM entry WHERE parent = 1"), SQLITE_OK);
	assert_int_not_equal(raw_sql(f, "UPDATE entry SET name = x'41' WHERE parent = 3"), SQLITE_OK);
	assert_int_equal(OP(f, tree_erase(f->m, NODE_RAW, text("a"), &node)), 0);
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_RAW, text("a"), &node)), -ENOENT);
	fixture_commit(f);
	assert_int_not_equal(raw_sql(f, "DELETE FROM entry WHERE parent = 3"), SQLITE_OK);
	assert_int_not_equal(raw_sql(f, "DELETE FROM entry_past"), SQLITE_OK);
	assert_int_not_equal(raw_sql(f, "UPDATE entry_past SET ended = ended + 1"), SQLITE_OK);
}

static void rename_keeps_posix(void **state) {
	struct fixture *f = *state;
	struct node d = make(f, NODE_LANDING, "d", S_IFDIR | 0755), e = make(f, NODE_LANDING, "e", S_IFDIR | 0755);
	struct node a = make(f, NODE_LANDING, "a", S_IFREG | 0644), b = make(f, NODE_LANDING, "b", S_IFREG | 0644),
	            node;
	make(f, d.id, "in", S_IFREG | 0644);
	struct renamed renamed;
	const uint64_t L = NODE_LANDING;
	assert_int_equal(OP(f, tree_rename(f->m, L, text("d"), d.id, text("x"), 0, NULL)), -EINVAL);
	assert_int_equal(OP(f, tree_rename(f->m, L, text("e"), L, text("d"), 0, NULL)), -ENOTEMPTY);
	assert_int_equal(OP(f, tree_rename(f->m, L, text("a"), L, text("d"), 0, NULL)), -EISDIR);
	assert_int_equal(OP(f, tree_rename(f->m, L, text("d"), L, text("a"), 0, NULL)), -ENOTDIR);
	assert_int_equal(OP(f, tree_rename(f->m, L, text("a"), L, text("b"), RENAME_NOREPLACE, NULL)), -EEXIST);
	assert_int_equal(OP(f, tree_rename(f->m, L, text("a"), L, text("n"), RENAME_EXCHANGE, NULL)), -ENOENT);
	assert_int_equal(OP(f, tree_rename(f->m, L, text("a"), L, text("b"), RENAME_EXCHANGE | RENAME_NOREPLACE, NULL)),
	        -EINVAL);
	assert_int_equal(OP(f, tree_rename(f->m, L, text("d"), d.id, text("in"), RENAME_EXCHANGE, NULL)), -EINVAL);
	assert_int_equal(OP(f, tree_rename(f->m, L, text("d"), L, text("d"), 0, &renamed)), 0);
	assert_true(renamed.unchanged);

	assert_int_equal(OP(f, tree_rename(f->m, L, text("a"), L, text("b"), 0, &renamed)), 0);
	assert_int_equal(renamed.moved.id, a.id);
	assert_int_equal(renamed.moved.ino, a.ino);
	assert_int_equal(renamed.replaced.id, b.id);
	assert_int_equal(renamed.replaced.nlink, 0);
	assert_int_equal(OP(f, tree_rename(f->m, L, text("d"), L, text("e"), 0, &renamed)), 0);
	assert_int_equal(renamed.replaced.id, e.id);
	assert_int_equal(renamed.replaced.nlink, 0);
	assert_int_equal(OP(f, tree_get(f->m, L, &node)), 0);
	assert_int_equal(node.nlink, 3);
	assert_int_equal(OP(f, tree_rename(f->m, L, text("e"), L, text("b"), RENAME_EXCHANGE, &renamed)), 0);
	assert_int_equal(renamed.replaced.id, a.id);
	assert_int_equal(renamed.replaced.nlink, 1);
	assert_int_equal(OP(f, tree_lookup(f->m, L, text("b"), &node)), 0);
	assert_int_equal(node.id, d.id);
}

static void renaming_one_link_onto_another_does_nothing(void **state) {
	struct fixture *f = *state;
	struct node a = make(f, NODE_LANDING, "a", S_IFREG | 0644), node;
	struct renamed renamed;
	assert_int_equal(OP(f, tree_link(f->m, a.id, NODE_LANDING, text("b"), &node)), 0);
	assert_int_equal(OP(f, tree_rename(f->m, NODE_LANDING, text("a"), NODE_LANDING, text("b"), 0, &renamed)), 0);
	assert_true(renamed.unchanged);
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("a"), &node)), 0);
	assert_int_equal(node.nlink, 2);
}

static void paths_go_both_ways(void **state) {
	struct fixture *f = *state;
	struct node d = make(f, NODE_LANDING, "d", S_IFDIR | 0755), a = make(f, d.id, "a.csv", S_IFREG | 0644), node;
	char path[TREE_PATH_MAX];
	size_t length;
	assert_int_equal(OP(f, tree_path(f->m, a.id, path, sizeof path, &length)), 0);
	assert_string_equal(path, "Landing/d/a.csv");
	assert_int_equal(length, strlen(path));
	assert_int_equal(OP(f, tree_resolve(f->m, text("//Landing/d//a.csv"), &node)), 0);
	assert_int_equal(node.id, a.id);
	assert_int_equal(OP(f, tree_resolve(f->m, text("Landing/d/a.csv/x"), &node)), -ENOTDIR);
	assert_int_equal(OP(f, tree_path(f->m, NODE_ROOT, path, sizeof path, NULL)), 0);
	assert_string_equal(path, "");
	assert_int_equal(OP(f, tree_path_of(f->m, d.id, text("new"), path, sizeof path, NULL)), 0);
	assert_string_equal(path, "Landing/d/new");
	assert_int_equal(OP(f, tree_path(f->m, a.id, path, 15, NULL)), -ERANGE);
	assert_int_equal(OP(f, tree_path(f->m, a.id, path, 16, NULL)), 0);
	struct tree_name at = {0};
	assert_int_equal(OP(f, tree_link(f->m, a.id, d.id, text("b.csv"), &node)), 0);
	assert_int_equal(OP(f, tree_link(f->m, a.id, NODE_LANDING, text("z"), &node)), 0);
	assert_int_equal(OP(f, tree_next_path(f->m, a.id, &at, path, sizeof path, NULL)), 0);
	assert_string_equal(path, "Landing/z"); /* by directory, then by name */
	assert_int_equal(OP(f, tree_next_path(f->m, a.id, &at, path, 8, NULL)), -ERANGE);
	assert_int_equal(OP(f, tree_next_path(f->m, a.id, &at, path, sizeof path, NULL)), 0);
	assert_string_equal(path, "Landing/d/b.csv");
	assert_int_equal(OP(f, tree_next_path(f->m, a.id, &at, path, sizeof path, NULL)), -ENOENT);
	assert_int_equal(OP(f, tree_unlink(f->m, NODE_LANDING, text("z"), &node)), 0);
	assert_int_equal(OP(f, tree_unlink(f->m, d.id, text("b.csv"), &node)), 0);
	assert_int_equal(OP(f, tree_unlink(f->m, d.id, text("a.csv"), &node)), 0);
	assert_int_equal(OP(f, tree_path(f->m, a.id, path, sizeof path, NULL)), -ENOENT);
}

/* Made as a program makes it that goes down step by step. */
static void a_path_of_any_length_has_a_beginning(void **state) {
	struct fixture *f = *state;
	static char whole[8192], path[TREE_PATH_MAX + 1];
	char name[201];
	struct node dir = {.id = NODE_LANDING};
	size_t length, size = (size_t)snprintf(whole, sizeof whole, "Landing");
	for (int level = 0; level < 30; level++) {
		snprintf(name, sizeof name, "%0200d", level);
		dir = make(f, dir.id, name, S_IFDIR | 0755);
		size += (size_t)snprintf(whole + size, sizeof whole - size, "/%s", name);
	}
	assert_int_equal(OP(f, tree_path(f->m, dir.id, path, sizeof path, NULL)), -ERANGE);
	assert_int_equal(OP(f, tree_path_start(f->m, dir.id, text(""), path, sizeof path, &length)), 0);
	assert_int_equal(length, size);
	assert_int_equal(strlen(path), sizeof path - 1);
	assert_memory_equal(path, whole, sizeof path - 1);
	assert_int_equal(OP(f, tree_path_start(f->m, dir.id, text("new"), path, 1, &length)), 0);
	assert_int_equal(length, size + 4);
	assert_string_equal(path, "");
	assert_int_equal(OP(f, tree_path_start(f->m, NODE_LANDING, text("new"), path, 12, &length)), 0);
	assert_string_equal(path, "Landing/new"); /* just fits */
	assert_int_equal(length, 11);
	assert_int_equal(OP(f, tree_path_start(f->m, NODE_LANDING, text("new"), path, 11, &length)), 0);
	assert_string_equal(path, "Landing/ne");
	assert_int_equal(length, 11);
	assert_int_equal(OP(f, tree_path_start(f->m, dir.id, text("x"), path, 0, &length)), -ERANGE);
}

/* Asked of the database, then from memory. */
static void the_one_name_of_a_file_comes_once(void **state) {
	struct fixture *f = *state;
	struct node d = make(f, NODE_LANDING, "d", S_IFDIR | 0755), a = make(f, d.id, "a.csv", S_IFREG | 0644), node;
	char path[TREE_PATH_MAX];
	fixture_commit(f);
	fixture_reopen(f);
	for (int known = 0; known < 2; known++) {
		struct tree_name at = {0}, before = {.parent = d.id, .name = "a.cs", .size = 4};
		assert_int_equal(OP(f, tree_next_path(f->m, a.id, &at, path, sizeof path, NULL)), 0);
		assert_string_equal(path, "Landing/d/a.csv");
		assert_int_equal(OP(f, tree_next_path(f->m, a.id, &at, path, sizeof path, NULL)), -ENOENT);
		assert_int_equal(OP(f, tree_next_path(f->m, a.id, &before, path, sizeof path, NULL)), 0);
		assert_int_equal(OP(f, tree_lookup(f->m, d.id, text("a.csv"), &node)), 0);
	}
	assert_int_equal(OP(f, tree_rename(f->m, d.id, text("a.csv"), NODE_LANDING, text("0"), 0, NULL)), 0);
	struct tree_name at = {0};
	assert_int_equal(OP(f, tree_next_path(f->m, a.id, &at, path, sizeof path, NULL)), 0);
	assert_string_equal(path, "Landing/0");
	assert_int_equal(OP(f, tree_unlink(f->m, NODE_LANDING, text("0"), &node)), 0);
	at = (struct tree_name){0};
	assert_int_equal(OP(f, tree_next_path(f->m, a.id, &at, path, sizeof path, NULL)), -ENOENT);
}

static void attributes_are_set_one_by_one(void **state) {
	struct fixture *f = *state;
	struct node a = make(f, NODE_LANDING, "a", S_IFREG | 0644), node;
	struct node values = {
	        .mode = S_IFDIR | 04711, .uid = 7, .gid = 8, .size = 9, .atime = 10, .mtime = 11, .ctime = 12};
	assert_int_equal(OP(f, tree_setattr(f->m, a.id, &values, TREE_MODE | TREE_UID | TREE_ATIME, &node)), 0);
	assert_int_equal(node.mode, S_IFREG | 04711);
	assert_int_equal(node.uid, 7);
	assert_int_equal(node.gid, 1000);
	assert_int_equal(node.atime, 10);
	assert_int_equal(node.mtime, a.mtime);
	assert_true(node.ctime > a.ctime);
	assert_int_equal(OP(f, tree_setattr(f->m, a.id, &values, TREE_SIZE | TREE_MTIME | TREE_CTIME, &node)), 0);
	assert_int_equal(node.size, 9);
	assert_int_equal(node.ctime, 12);
	assert_int_equal(OP(f, tree_setattr(f->m, 999, &values, TREE_SIZE, &node)), -ESTALE);
}

struct listed {
	char names[64][16];
	uint64_t cookies[64];
	size_t count, stop_at;
};

static int take(void *arg, struct bytes name, uint64_t cookie, const struct node *node) {
	struct listed *l = arg;
	assert_true(node->id > 0);
	memcpy(l->names[l->count], name.data, name.size);
	l->names[l->count][name.size] = '\0';
	l->cookies[l->count++] = cookie;
	return l->stop_at && l->count == l->stop_at ? 1 : 0;
}

static void a_list_goes_on_where_it_stopped_whatever_changes(void **state) {
	struct fixture *f = *state;
	const char *names[] = {"z", "y", "x", "w"};
	struct node node;
	for (size_t i = 0; i < 4; i++)
		make(f, NODE_LANDING, names[i], S_IFREG | 0644);
	struct listed l = {.stop_at = 2};
	assert_int_equal(OP(f, tree_list(f->m, NODE_LANDING, 0, 0, take, &l, NULL)), 0);
	assert_int_equal(l.count, 2);
	assert_string_equal(l.names[1], "y");
	assert_int_equal(OP(f, tree_unlink(f->m, NODE_LANDING, text("y"), &node)), 0);
	make(f, NODE_LANDING, "a", S_IFREG | 0644);
	l.stop_at = 0;
	size_t count;
	assert_int_equal(OP(f, tree_list(f->m, NODE_LANDING, l.cookies[1], 2, take, &l, &count)), 0);
	assert_int_equal(count, 2);
	assert_string_equal(l.names[2], "x");
	assert_string_equal(l.names[3], "w");
	assert_int_equal(OP(f, tree_list(f->m, NODE_LANDING, l.cookies[3], 0, take, &l, &count)), 0);
	assert_int_equal(count, 1);
	assert_string_equal(l.names[4], "a");
}

static void the_past_shows_names_and_attributes_as_they_were(void **state) {
	struct fixture *f = *state;
	struct node a = make(f, NODE_LANDING, "a", S_IFREG | 0600), node;
	struct version v1 = seal_version(f, a.id, ZONE_LANDING, 10, 1);
	fixture_commit(f);
	uint64_t first = meta_commit_id(f->m) - 1;
	struct node values = {.mode = 0644};
	assert_int_equal(OP(f, tree_setattr(f->m, a.id, &values, TREE_MODE, &node)), 0);
	struct version v2 = seal_version(f, a.id, ZONE_LANDING, 20, 2);
	fixture_commit(f);
	uint64_t second = meta_commit_id(f->m) - 1;
	assert_int_equal(OP(f, tree_rename(f->m, NODE_LANDING, text("a"), NODE_LANDING, text("b"), 0, NULL)), 0);
	fixture_commit(f);

	assert_int_equal(OP(f, tree_resolve_at(f->m, text("Landing/a"), first - 1, &node)), -ENOENT);
	assert_int_equal(OP(f, tree_resolve_at(f->m, text("Landing/a"), first, &node)), 0);
	assert_int_equal(node.version, v1.id);
	assert_int_equal(node.size, 10);
	assert_int_equal(node.mode, S_IFREG | 0600);
	assert_int_equal(OP(f, tree_resolve_at(f->m, text("Landing/a"), second, &node)), 0);
	assert_int_equal(node.version, v2.id);
	assert_int_equal(node.mode, S_IFREG | 0644);
	assert_int_equal(OP(f, tree_resolve_at(f->m, text("Landing/a"), second + 1, &node)), -ENOENT);
	assert_int_equal(OP(f, tree_resolve_at(f->m, text("Landing/b"), second, &node)), -ENOENT);
	assert_int_equal(OP(f, tree_resolve_at(f->m, text("Landing/b"), second + 1, &node)), 0);
	struct listed l = {0};
	assert_int_equal(OP(f, tree_list_at(f->m, NODE_LANDING, second, 0, 0, take, &l, NULL)), 0);
	assert_int_equal(l.count, 1);
	assert_string_equal(l.names[0], "a");
}

static void what_is_gone_is_found_by_its_last_path(void **state) {
	struct fixture *f = *state;
	struct node d = make(f, NODE_LANDING, "d", S_IFDIR | 0755), a = make(f, d.id, "a", S_IFREG | 0644), node;
	uint64_t ended = 1;
	seal_version(f, a.id, ZONE_LANDING, 1, 1);
	assert_int_equal(OP(f, tree_resolve_past(f->m, text("Landing/d/a"), &node, &ended)), 0);
	assert_int_equal(ended, 0);
	/* Gone within the commit it was born in, with its directory, which then came again without it. */
	assert_int_equal(OP(f, tree_unlink(f->m, d.id, text("a"), &node)), 0);
	assert_int_equal(OP(f, tree_rmdir(f->m, NODE_LANDING, text("d"), &node)), 0);
	fixture_commit(f);
	make(f, NODE_LANDING, "d", S_IFDIR | 0755);
	assert_int_equal(OP(f, tree_resolve_past(f->m, text("Landing/d/a"), &node, &ended)), 0);
	assert_int_equal(node.id, a.id);
	assert_int_not_equal(ended, 0);
	assert_int_equal(OP(f, tree_resolve_past(f->m, text("Landing/d/b"), &node, &ended)), -ENOENT);
	assert_int_equal(OP(f, tree_forget(f->m, a.id)), -EBUSY);
}

static int count_nodes(void *arg, const struct node *node) {
	(void)node;
	++*(size_t *)arg;
	return 0;
}

static void orphans_are_listed_and_forgotten(void **state) {
	struct fixture *f = *state;
	struct node attrs = {.mode = S_IFREG | 0600, .zone = ZONE_STAGING}, orphan, node;
	assert_int_equal(OP(f, tree_create_orphan(f->m, &attrs, &orphan)), 0);
	assert_int_equal(orphan.nlink, 0);
	make(f, NODE_LANDING, "t", S_IFREG | 0600);
	assert_int_equal(OP(f, tree_unlink(f->m, NODE_LANDING, text("t"), &node)), 0);
	size_t count = 0;
	assert_int_equal(OP(f, tree_orphans(f->m, count_nodes, &count)), 0);
	assert_int_equal(count, 2);
	assert_int_equal(OP(f, tree_forget(f->m, node.id)), 0);
	assert_int_equal(OP(f, tree_get(f->m, node.id, &node)), -ESTALE);
	assert_int_equal(OP(f, tree_link(f->m, orphan.id, NODE_TRUSTED, text("staged"), &node)), 0);
	assert_int_equal(OP(f, tree_forget(f->m, orphan.id)), -EBUSY);
}

static void an_undone_operation_leaves_no_trace(void **state) {
	struct fixture *f = *state;
	struct node attrs = {.mode = S_IFREG | 0644}, node;
	struct tree_counts before, after;
	make(f, NODE_LANDING, "kept", S_IFREG | 0644);
	assert_int_equal(OP(f, tree_statfs(f->m, &before)), 0);
	meta_begin(f->m);
	assert_int_equal(tree_create(f->m, NODE_LANDING, text("gone"), &attrs, text(""), &node), 0);
	assert_int_equal(meta_end(f->m, -ECANCELED), -ECANCELED);
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("gone"), &node)), -ENOENT);
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("kept"), &node)), 0);
	assert_int_equal(OP(f, tree_statfs(f->m, &after)), 0);
	assert_memory_equal(&before, &after, sizeof before);
}

/* What was looked at is remembered, which must not outlive what was undone. */
static void what_is_remembered_goes_with_what_is_undone(void **state) {
	struct fixture *f = *state;
	struct node attrs = {.mode = S_IFDIR | 0755}, values = {.mode = 0700}, node, dir;
	char path[256];
	uint64_t a = make(f, NODE_LANDING, "a", S_IFDIR | 0755).id;
	assert_int_equal(OP(f, tree_create(f->m, a, text("inner"), &attrs, text(""), &node)), 0);
	assert_int_equal(OP(f, tree_path(f->m, node.id, path, sizeof path, NULL)), 0);
	assert_int_equal(OP(f, tree_get(f->m, a, &dir)), 0);

	meta_begin(f->m);
	assert_int_equal(tree_setattr(f->m, a, &values, TREE_MODE, &dir), 0);
	assert_int_equal(tree_rename(f->m, NODE_LANDING, text("a"), NODE_LANDING, text("b"), 0, NULL), 0);
	assert_int_equal(tree_path_of(f->m, node.id, text("x"), path, sizeof path, NULL), 0);
	assert_string_equal(path, "Landing/b/inner/x");
	assert_int_equal(tree_get(f->m, a, &dir), 0);
	assert_int_equal(dir.mode, S_IFDIR | 0700);
	assert_int_equal(meta_end(f->m, -ECANCELED), -ECANCELED);

	assert_int_equal(OP(f, tree_get(f->m, a, &dir)), 0);
	assert_int_equal(dir.mode, S_IFDIR | 0755);
	assert_int_equal(OP(f, tree_path_of(f->m, node.id, text("x"), path, sizeof path, NULL)), 0);
	assert_string_equal(path, "Landing/a/inner/x");
}

/* More names than an operation's changes are noted for one by one. */
static void names_of_a_large_operation_go_with_it(void **state) {
	struct fixture *f = *state;
	struct node node;
	char name[16];
	uint64_t kept = make(f, NODE_LANDING, "kept", S_IFREG | 0644).id;
	meta_begin(f->m);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "%d", i);
		assert_int_equal(tree_lookup(f->m, NODE_LANDING, text(name), &node), -ENOENT);
		assert_int_equal(tree_link(f->m, kept, NODE_LANDING, text(name), &node), 0);
		assert_int_equal(tree_lookup(f->m, NODE_LANDING, text(name), &node), 0);
	}
	assert_int_equal(tree_unlink(f->m, NODE_LANDING, text("kept"), &node), 0);
	assert_int_equal(tree_lookup(f->m, NODE_LANDING, text("kept"), &node), -ENOENT);
	assert_int_equal(meta_end(f->m, -ECANCELED), -ECANCELED);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "%d", i);
		assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text(name), &node)), -ENOENT);
	}
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("kept"), &node)), 0);
	assert_int_equal(node.id, kept);
}

static void of_several_names_the_path_is_the_same_each_time(void **state) {
	struct fixture *f = *state;
	struct node node;
	char first[64], path[64];
	uint64_t id = make(f, NODE_LANDING, "b", S_IFREG | 0644).id;
	assert_int_equal(OP(f, tree_link(f->m, id, NODE_LANDING, text("a"), &node)), 0);
	assert_int_equal(OP(f, tree_link(f->m, id, NODE_LANDING, text("c"), &node)), 0);
	fixture_commit(f);
	fixture_reopen(f);
	assert_int_equal(OP(f, tree_path(f->m, id, first, sizeof first, NULL)), 0);
	for (const char *name = "abc"; *name; name++) {
		assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, bytes_of(name, 1), &node)), 0);
		assert_int_equal(OP(f, tree_path(f->m, id, path, sizeof path, NULL)), 0);
		assert_string_equal(path, first);
	}
}

static int count_statement(unsigned what, void *count, void *stmt, void *sql) {
	(void)what;
	(void)stmt;
	(void)sql;
	++*(int *)count;
	return 0;
}

static int see_name(void *arg, struct bytes name, uint64_t cookie, const struct node *node) {
	(void)arg;
	(void)name;
	(void)cookie;
	(void)node;
	return 0;
}

static void what_was_seen_is_not_asked_for_again(void **state) {
	struct fixture *f = *state;
	struct node node;
	char path[64];
	int statements = 0;
	make(f, NODE_LANDING, "file", S_IFREG | 0644);
	make(f, NODE_LANDING, "listed", S_IFREG | 0644);
	fixture_commit(f);
	fixture_reopen(f);
	(void)sqlite3_trace_v2(f->db, SQLITE_TRACE_STMT, count_statement, &statements);
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("file"), &node)), 0);
	assert_int_equal(statements, 1);
	assert_int_equal(OP(f, tree_path(f->m, node.id, path, sizeof path, NULL)), 0);
	assert_string_equal(path, "Landing/file");
	assert_int_equal(statements, 2); /* for the name of the folder */
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("file"), &node)), 0);
	assert_int_equal(OP(f, tree_path(f->m, node.id, path, sizeof path, NULL)), 0);
	assert_int_equal(statements, 2);
	assert_int_equal(OP(f, tree_list(f->m, NODE_LANDING, 0, 0, see_name, NULL, NULL)), 0);
	statements = 0;
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("listed"), &node)), 0);
	assert_int_equal(OP(f, tree_path(f->m, node.id, path, sizeof path, NULL)), 0);
	assert_string_equal(path, "Landing/listed");
	assert_int_equal(statements, 0);
	/* That there is none is remembered, too, and who makes it is seen. */
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("none"), &node)), -ENOENT);
	statements = 0;
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("none"), &node)), -ENOENT);
	assert_int_equal(statements, 0);
	make(f, NODE_LANDING, "none", S_IFREG | 0644);
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("none"), &node)), 0);
	(void)sqlite3_trace_v2(f->db, 0, NULL, NULL);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(a_new_vault_has_its_three_zones),
	        TEST(a_node_is_found_by_name_id_and_inode_number),
	        TEST(bad_names_are_refused_and_foreign_bytes_taken),
	        TEST(a_renewed_inode_number_makes_the_old_one_stale),
	        TEST(a_symlink_keeps_its_target),
	        TEST(links_are_counted),
	        TEST(nothing_is_made_in_a_removed_directory),
	        TEST(raw_and_the_zones_keep_their_names),
	        TEST(rename_keeps_posix),
	        TEST(renaming_one_link_onto_another_does_nothing),
	        TEST(paths_go_both_ways),
	        TEST(a_path_of_any_length_has_a_beginning),
	        TEST(the_one_name_of_a_file_comes_once),
	        TEST(attributes_are_set_one_by_one),
	        TEST(a_list_goes_on_where_it_stopped_whatever_changes),
	        TEST(the_past_shows_names_and_attributes_as_they_were),
	        TEST(what_is_gone_is_found_by_its_last_path),
	        TEST(orphans_are_listed_and_forgotten),
	        TEST(an_undone_operation_leaves_no_trace),
	        TEST(what_is_remembered_goes_with_what_is_undone),
	        TEST(names_of_a_large_operation_go_with_it),
	        TEST(of_several_names_the_path_is_the_same_each_time),
	        TEST(what_was_seen_is_not_asked_for_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
