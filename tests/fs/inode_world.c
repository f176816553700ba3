#include "tests/fs/inode_world.h"

#define SECRET "for tests"

int world_set_up(void **state) {
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

int world_tear_down(void **state) {
	struct world *world = *state;
	inode_table_free(world->table);
	assert_int_equal(store_close(world->store), 0);
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", world->path);
	assert_int_equal(system(command), 0);
	free(world);
	return 0;
}

void world_put_text(struct world *world, Inode *inode, const char *text) {
	Content *content;
	assert_int_equal(inode_content(world->table, inode, &content), 0);
	assert_int_equal(content_write(content, 0, bytes_of_string(text)), 0);
	struct version sealed;
	assert_int_equal(content_seal(content, ORIGIN_WRITE, 0, NULL, NULL, NULL, &sealed), 0);
	inode->version = sealed.id;
	inode_content_done(inode);
}

void world_expect_text(struct world *world, Inode *inode, const char *text) {
	Content *content;
	uint8_t got[64] = {0};
	size_t length;
	assert_int_equal(inode_content(world->table, inode, &content), 0);
	assert_int_equal(content_read(content, 0, got, sizeof got - 1, &length), 0);
	assert_string_equal((const char *)got, text);
	inode_content_done(inode);
}
