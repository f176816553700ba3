/*
 * inode_world: a table of open inodes on a real store with one file in it, for tests.
 */
#pragma once

#include "fs/inode.h"
#include "tests/fs/unit.h"

struct world {
	char path[64];
	Store *store;
	InodeTable *table;
	struct node node; /* Landing/f, empty */
};

/* cmocka set-up and tear-down: *state is the world. */
int world_set_up(void **state);
int world_tear_down(void **state);

/* Writes the text from the beginning, and seals it; what a reader of the inode sees. */
void world_put_text(struct world *world, Inode *inode, const char *text);
void world_expect_text(struct world *world, Inode *inode, const char *text);
