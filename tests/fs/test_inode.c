/* The table of open inodes on a real store: one content a node, what waits, what is pinned. */
#include <pthread.h>

#include "tests/fs/inode_world.h"

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

static struct node shown(struct world *world) {
	struct node node = world->node;
	inode_show(world->table, node.ino, &node);
	return node;
}

static void an_open_inode_shows_what_its_row_does_not_have_yet(void **state) {
	struct world *world = *state;
	Inode *inode;
	assert_int_equal(shown(world).size, 0);
	assert_int_equal(inode_get(world->table, &world->node, &inode), 0);
	assert_int_equal(shown(world).mtime, world->node.mtime);
	inode_note_size(inode, 5, false);
	inode_note_size(inode, 3, true);
	atomic_store(&inode->written_at, world->node.ctime + 7);
	assert_int_equal(shown(world).size, 5);
	assert_int_equal(shown(world).mtime, world->node.ctime + 7);
	assert_int_equal(shown(world).ctime, world->node.ctime + 7);
	atomic_store(&inode->changed_at, world->node.ctime + 9);
	assert_int_equal(shown(world).ctime, world->node.ctime + 9);
	inode_put(world->table, inode);
	assert_int_equal(shown(world).size, 0);
	assert_int_equal(shown(world).mtime, world->node.mtime);
}

static void a_pinned_inode_keeps_its_version_and_takes_no_writes(void **state) {
	struct world *world = *state;
	Meta *m = store_meta(world->store);
	Inode *old, *new;
	assert_int_equal(inode_get(world->table, &world->node, &old), 0);
	world_put_text(world, old, "before");
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
	world_put_text(world, new, "after!");

	world_expect_text(world, old, "before");
	world_expect_text(world, new, "after!");
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
	        cmocka_unit_test_setup_teardown(two_opens_share_one_inode, world_set_up, world_tear_down),
	        cmocka_unit_test_setup_teardown(
	                an_open_inode_shows_what_its_row_does_not_have_yet, world_set_up, world_tear_down),
	        cmocka_unit_test_setup_teardown(
	                a_pinned_inode_keeps_its_version_and_takes_no_writes, world_set_up, world_tear_down),
	        cmocka_unit_test_setup_teardown(plain_is_what_has_nothing_to_clear, world_set_up, world_tear_down),
	        cmocka_unit_test_setup_teardown(all_open_inodes_are_visited, world_set_up, world_tear_down),
	        cmocka_unit_test_setup_teardown(
	                threads_that_open_and_close_meet_one_content_at_a_time, world_set_up, world_tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
