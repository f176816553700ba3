/* Closes whose versions come late: who settles them, and what a commit has. */
#include "fs/late_seal.h"

#include <pthread.h>

#include "tests/fs/inode_world.h"

struct late {
	struct world *world;
	LateSeals *seals;
	Inode *inode;
	_Atomic unsigned sealed;
	bool fails;
	char detail[64];
	_Atomic bool closed; /* sealing waits */
};

static int seal(void *arg, Inode *inode, struct audit_event *event) {
	struct late *late = arg;
	while (late->closed)
		usleep(1000);
	strncpy(late->detail, event->detail, sizeof late->detail - 1);
	if (inode == late->inode)
		world_put_text(late->world, inode, "sealed late");
	late->sealed++;
	return late->fails ? -EIO : 0;
}

static void let_go(void *arg, Inode *inode) {
	inode_put(((struct late *)arg)->world->table, inode);
}

static int set_up(void **state) {
	struct late *late = calloc(1, sizeof *late);
	assert_non_null(late);
	assert_int_equal(world_set_up((void **)&late->world), 0);
	const struct late_hooks hooks = {.seal = seal, .put = let_go, .arg = late};
	assert_int_equal(late_seals_new(late->world->store, late->world->table, &hooks, &late->seals), 0);
	assert_int_equal(inode_get(late->world->table, &late->world->node, &late->inode), 0);
	*state = late;
	return 0;
}

static int tear_down(void **state) {
	struct late *late = *state;
	late_settle_all(late->seals);
	inode_put(late->world->table, late->inode);
	late_seals_free(late->seals);
	void *world = late->world;
	free(late);
	return world_tear_down(&world);
}

static bool put(struct late *late) {
	char detail[] = "written 11";
	const struct audit_event event = {.event = "close", .detail = detail};
	pthread_mutex_lock(&late->inode->lock);
	bool takes = late_put(late->seals, late->inode, &event);
	pthread_mutex_unlock(&late->inode->lock);
	detail[0] = '?'; /* it was copied */
	return takes;
}

static bool waits(struct late *late) {
	pthread_mutex_lock(&late->inode->lock);
	bool is_late = late_waits(late->inode);
	pthread_mutex_unlock(&late->inode->lock);
	return is_late;
}

static void who_asks_for_the_file_settles_it_once(void **state) {
	struct late *late = *state;
	assert_true(put(late));
	late_settle(late->seals, late->inode->ino);
	assert_int_equal(late->sealed, 1);
	assert_string_equal(late->detail, "written 11");
	assert_false(waits(late));
	late_settle(late->seals, late->inode->ino);
	late_settle_inode(late->seals, late->inode);
	late_settle_all(late->seals);
	assert_int_equal(late->sealed, 1);
	world_expect_text(late->world, late->inode, "sealed late");
}

static bool put_another(struct late *late, uint64_t number) {
	struct node node = late->world->node;
	node.ino += number;
	Inode *inode;
	assert_int_equal(inode_get(late->world->table, &node, &inode), 0);
	const struct audit_event event = {.event = "close", .detail = ""};
	pthread_mutex_lock(&inode->lock);
	bool takes = late_put(late->seals, inode, &event);
	pthread_mutex_unlock(&inode->lock);
	inode_put(late->world->table, inode);
	return takes;
}

static void who_settles_hears_that_it_failed(void **state) {
	struct late *late = *state;
	late->fails = true;
	pthread_mutex_lock(&late->inode->lock); /* else the queue's thread might be first */
	const struct audit_event event = {.event = "close", .detail = ""};
	assert_true(late_put(late->seals, late->inode, &event));
	assert_int_equal(late_settle_locked(late->seals, late->inode), -EIO);
	assert_int_equal(late_settle_locked(late->seals, late->inode), 0);
	pthread_mutex_unlock(&late->inode->lock);
	assert_int_equal(late->sealed, 1);
}

static void only_so_many_are_put_aside(void **state) {
	struct late *late = *state;
	late->closed = true;
	unsigned count = 0;
	while (put_another(late, 1000 + count))
		assert_in_range(++count, 1, 1000);
	late->closed = false;
	assert_in_range(count, 100, 1000);
	late_settle_all(late->seals);
	assert_true(put_another(late, 900));
}

static void nobody_need_ask(void **state) {
	struct late *late = *state;
	assert_true(put(late));
	for (int i = 0; waits(late); i++) {
		assert_in_range(i, 0, 10000);
		usleep(1000);
	}
	assert_int_equal(late->sealed, 1);
}

/* The file that nobody has open any more is there till then. */
static void what_waits_outlives_its_last_handle(void **state) {
	struct late *late = *state;
	late->closed = true; /* else the queue's thread might be first */
	assert_true(put(late));
	inode_put(late->world->table, late->inode);
	Inode *again = inode_find(late->world->table, late->world->node.ino);
	assert_ptr_equal(again, late->inode);
	late->closed = false;
	late_settle_all(late->seals);
	assert_int_equal(late->sealed, 1);
}

static void *commit(void *arg) {
	struct late *late = arg;
	return (void *)(intptr_t)store_commit_wait(late->world->store);
}

static void a_commit_waits_for_all_and_lets_none_in(void **state) {
	struct late *late = *state;
	pthread_t committer;
	late->closed = true;
	assert_true(put(late));
	assert_int_equal(pthread_create(&committer, NULL, commit, late), 0);
	unsigned others = 0; /* until it holds */
	while (put_another(late, 1000 + others)) {
		assert_in_range(++others, 1, 200); /* fewer than fit */
		usleep(10000);
	}
	late->closed = false;
	void *rc;
	pthread_join(committer, &rc);
	assert_int_equal((intptr_t)rc, 0);
	assert_int_equal(late->sealed, 1 + others);
	assert_true(put_another(late, 900)); /* after it, closes are put aside again */
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(who_asks_for_the_file_settles_it_once, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(who_settles_hears_that_it_failed, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(only_so_many_are_put_aside, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(nobody_need_ask, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_waits_outlives_its_last_handle, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_commit_waits_for_all_and_lets_none_in, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
