/* The table of open inodes on a real store: one content a node, what waits, what is pinned. */
#include "fs/inode.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECRET "for tests"

struct world {
	char path[64];
	Store *store;
	InodeTable *table;
	struct node node;
};

static int set_up(void **state) {
	struct world *world = calloc(1, sizeof *world);
	assert_non_null(world);
	strcpy(world->path, "/tmp/assayfs-inode.XXXXXX");
	assert_non_null(mkdtemp(world->path));
	struct store_init_options init = {.argon_memory = 1 << 20, .argon_passes = 1, .without_recovery = true};
	char recovery[STORE_RECOVERY_TEXT_BYTES];
	assert_int_equal(store_init(world->path, bytes_of_string(SECRET), &init, recovery), 0);
	struct store_secret secret = {.bytes = bytes_of_string(SECRET)};
	struct store_options options = {.reserve_bytes = 1 << 20};
	assert_int_equal(store_open(world->path, &secret, &options, &world->store), 0);
	assert_int_equal(inode_table_new(world->store, &world->table), 0);
	Meta *m = store_meta(world->store);
	struct node attributes = {.mode = S_IFREG | 0644};
	meta_begin(m);
	int rc = tree_create(m, NODE_LANDING, bytes_of_string("f"), &attributes, (struct bytes){0}, &world->node);
	assert_int_equal(meta_end(m, rc), 0);
	*state = world;
	return 0;
}

static int tear_down(void **state) {
	struct world *world = *state;
	inode_table_free(world->table);
	assert_int_equal(store_close(world->store), 0);
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", world->path);
	assert_int_equal(system(command), 0);
	free(world);
	return 0;
}

static void put_text(struct world *world, Inode *inode, const char *text) {
	Content *content;
	assert_int_equal(inode_content(world->table, inode, &content), 0);
	assert_int_equal(content_write(content, 0, bytes_of_string(text)), 0);
	struct version sealed;
	assert_int_equal(content_seal(content, ORIGIN_WRITE, 0, NULL, NULL, NULL, &sealed), 0);
	inode->version = sealed.id;
	inode_content_done(inode);
}

static void expect_text(struct world *world, Inode *inode, const char *text) {
	Content *content;
	uint8_t got[64] = {0};
	size_t length;
	assert_int_equal(inode_content(world->table, inode, &content), 0);
	assert_int_equal(content_read(content, 0, got, sizeof got - 1, &length), 0);
	assert_string_equal((const char *)got, text);
	inode_content_done(inode);
}

static void two_opens_share_one_inode(void **state) {
	struct world *world = *state;
	Inode *one, *two;
	assert_int_equal(inode_get(world->table, &world->node, &one), 0);
	assert_int_equal(inode_get(world->table, &world->node, &two), 0);
	assert_ptr_equal(one, two);
	inode_put(world->table, one);
	assert_ptr_equal(inode_find(world->table, world->node.ino), two);
	inode_put(world->table, two);
	inode_put(world->table, two);
	assert_null(inode_find(world->table, world->node.ino));
}

static void what_is_not_open_has_no_size(void **state) {
	struct world *world = *state;
	uint64_t size = 77;
	assert_false(inode_size(world->table, world->node.ino, &size));
	Inode *inode;
	assert_int_equal(inode_get(world->table, &world->node, &inode), 0);
	assert_false(inode_size(world->table, world->node.ino, &size));
	put_text(world, inode, "four");
	inode_note_size(inode, 4, true);
	inode_note_size(inode, 2, true); /* an earlier write that ends later */
	assert_true(inode_size(world->table, world->node.ino, &size));
	assert_int_equal(size, 4);
	inode_note_size(inode, 1, false);
	assert_true(inode_size(world->table, world->node.ino, &size));
	assert_int_equal(size, 1);
	inode_put(world->table, inode);
}

static void a_pinned_inode_keeps_its_version_and_takes_no_writes(void **state) {
	struct world *world = *state;
	Meta *m = store_meta(world->store);
	Inode *old, *new;
	assert_int_equal(inode_get(world->table, &world->node, &old), 0);
	put_text(world, old, "before");
	pthread_mutex_lock(&old->lock);
	assert_int_equal(inode_pin(world->table, old), 0);
	pthread_mutex_unlock(&old->lock);

	struct node node;
	uint64_t ino;
	meta_begin(m);
	int rc = tree_new_ino(m, world->node.id, &ino);
	if (rc == 0)
		rc = tree_get(m, world->node.id, &node);
	assert_int_equal(meta_end(m, rc), 0);
	assert_int_not_equal(node.ino, world->node.ino);
	assert_int_equal(inode_get(world->table, &node, &new), 0);
	assert_ptr_not_equal(old, new);
	put_text(world, new, "after!");

	expect_text(world, old, "before");
	expect_text(world, new, "after!");
	Content *content;
	assert_int_equal(inode_content(world->table, old, &content), 0);
	assert_int_equal(content_write(content, 0, bytes_of_string("x")), -EROFS);
	inode_content_done(old);
	uint64_t of, pinned;
	assert_true(inode_describe(world->table, world->node.ino, &of, &pinned));
	assert_int_equal(of, world->node.id);
	assert_int_equal(pinned, old->version);
	inode_put(world->table, old);
	inode_put(world->table, new);
}

static void plain_is_what_has_nothing_to_clear(void **state) {
	struct world *world = *state;
	struct node set_id = world->node, attributed = world->node;
	set_id.mode |= S_ISUID;
	set_id.ino += 1000;
	attributed.xattrs = 1;
	attributed.ino += 2000;
	Inode *inodes[3];
	assert_false(inode_is_plain(world->table, world->node.ino));
	assert_int_equal(inode_get(world->table, &world->node, &inodes[0]), 0);
	assert_int_equal(inode_get(world->table, &set_id, &inodes[1]), 0);
	assert_int_equal(inode_get(world->table, &attributed, &inodes[2]), 0);
	assert_true(inode_is_plain(world->table, world->node.ino));
	assert_false(inode_is_plain(world->table, set_id.ino));
	assert_false(inode_is_plain(world->table, attributed.ino));
	for (size_t i = 0; i < 3; i++)
		inode_put(world->table, inodes[i]);
}

static void count_one(void *arg, Inode *inode) {
	(void)inode;
	++*(unsigned *)arg;
}

static void all_open_inodes_are_visited(void **state) {
	struct world *world = *state;
	enum { COUNT = 40000 }; /* more than there are chains */
	Inode **inodes = calloc(COUNT, sizeof(Inode *));
	assert_non_null(inodes);
	for (unsigned i = 0; i < COUNT; i++) {
		struct node node = world->node;
		node.ino = 1000000 + i;
		assert_int_equal(inode_get(world->table, &node, &inodes[i]), 0);
	}
	unsigned visited = 0;
	inode_for_each(world->table, count_one, &visited);
	assert_int_equal(visited, COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		inode_put(world->table, inodes[i]);
	free(inodes);
}

struct opener {
	struct world *world;
	const char *failed;
};

static void *open_and_close(void *arg) {
	struct opener *opener = arg;
	struct world *world = opener->world;
	for (unsigned i = 0; i < 2000; i++) {
		Inode *inode;
		Content *content;
		if (inode_get(world->table, &world->node, &inode) < 0) {
			opener->failed = "get";
			break;
		}
		if (inode_content(world->table, inode, &content) < 0) {
			opener->failed = "content";
			break;
		}
		if (content_node(content) != world->node.id)
			opener->failed = "another node's content";
		inode_content_done(inode);
		inode_put(world->table, inode);
	}
	return NULL;
}

static void threads_that_open_and_close_meet_one_content_at_a_time(void **state) {
	struct world *world = *state;
	pthread_t threads[4];
	struct opener openers[4];
	for (size_t i = 0; i < 4; i++) {
		openers[i] = (struct opener){.world = world};
		assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, &openers[i]), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		if (openers[i].failed)
			fail_msg("%s", openers[i].failed);
	}
	assert_null(inode_find(world->table, world->node.ino));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(two_opens_share_one_inode, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_not_open_has_no_size, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                a_pinned_inode_keeps_its_version_and_takes_no_writes, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(plain_is_what_has_nothing_to_clear, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(all_open_inodes_are_visited, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                threads_that_open_and_close_meet_one_content_at_a_time, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
