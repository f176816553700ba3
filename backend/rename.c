/* rename(2), every case of it. */
#include "backend/meta_private.h"
#include "backend/tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct move {
	struct node from_dir, to_dir;
	struct entry from, to; /* to.id 0: nothing stands there */
	bool exchange;
};

static bool is_dir(const struct node *node) {
	return S_ISDIR(node->mode);
}

/* Whether `dir` is `ancestor` or below it. */
static int is_below(Meta *m, uint64_t dir, uint64_t ancestor, bool *ret_below) {
	while (dir != ancestor && dir != NODE_ROOT) {
		struct node node;
		int rc = tree_get(m, dir, &node);
		if (rc < 0)
			return rc;
		dir = node.parent;
	}
	*ret_below = dir == ancestor;
	return 0;
}

static int check_loop(Meta *m, uint64_t dir, const struct node *moved) {
	if (!is_dir(moved))
		return 0;
	bool below;
	int rc = is_below(m, dir, moved->id, &below);
	return rc == 0 && below ? -EINVAL : rc;
}

static int find(
        Meta *m, struct move *move, uint64_t parent, struct bytes name, uint64_t new_parent, struct bytes new_name) {
	int rc = tree_check_name(name);
	if (rc == 0)
		rc = tree_check_name(new_name);
	if (rc == 0)
		rc = tree_directory(m, parent, &move->from_dir);
	if (rc == 0)
		rc = tree_directory(m, new_parent, &move->to_dir);
	if (rc == 0)
		rc = tree_find_entry(m, parent, name, &move->from);
	if (rc == 0 && move->to_dir.nlink == 0)
		rc = -ENOENT;
	if (rc == 0)
		rc = tree_find_entry(m, new_parent, new_name, &move->to);
	if (rc == -ENOENT && move->from.id && move->to_dir.nlink != 0) {
		move->to = (struct entry){.parent = new_parent, .name = new_name};
		rc = 0;
	}
	return rc;
}

static int check_replacement(Meta *m, const struct move *move) {
	if (is_dir(&move->to.node) && !is_dir(&move->from.node))
		return -EISDIR;
	if (!is_dir(&move->to.node) && is_dir(&move->from.node))
		return -ENOTDIR;
	if (!is_dir(&move->to.node))
		return 0;
	bool empty;
	int rc = tree_is_empty(m, move->to.node.id, &empty);
	return rc == 0 && !empty ? -ENOTEMPTY : rc;
}

/* Both names show one node: nothing is to be done. */
static bool is_same(const struct move *move) {
	return move->to.id != 0 && move->to.node.id == move->from.node.id;
}

static int check(Meta *m, const struct move *move, unsigned flags) {
	bool there = move->to.id != 0;
	if (there && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!there && move->exchange)
		return -ENOENT;
	if (move->from.node.id <= NODE_TRUSTED || (there && move->to.node.id <= NODE_TRUSTED))
		return -EBUSY;
	if (move->from_dir.zone != move->to_dir.zone)
		return -EXDEV;
	if (move->from_dir.zone == ZONE_RAW)
		return -EPERM;
	int rc = check_loop(m, move->to_dir.id, &move->from.node);
	if (rc == 0 && move->exchange)
		rc = check_loop(m, move->from_dir.id, &move->to.node);
	if (rc == 0 && there && !move->exchange && !is_same(move))
		rc = check_replacement(m, move);
	return rc;
}

/* A node got a name below `dir` in place of another, or lost one. */
static int update_node(Meta *m, struct node *node, uint64_t dir, uint32_t nlink, int64_t now) {
	node->parent = is_dir(node) ? dir : 0;
	node->nlink = nlink;
	node->ctime = now;
	node_cache_touch(m->nodes, node->id);
	return SQL_RUN(m, "UPDATE node SET parent = ?2, nlink = ?3, ctime = ?4 WHERE id = ?1", v_u64(node->id),
	        v_u64(node->parent), v_u64(nlink), v_i64(now));
}

static int touch_directories(Meta *m, const struct move *move, int64_t now) {
	int moved = is_dir(&move->from.node) ? 1 : 0;
	int replaced = move->to.id && is_dir(&move->to.node) ? 1 : 0;
	int from_links = -moved + (move->exchange ? replaced : 0);
	int to_links = moved - replaced;
	if (move->from_dir.id == move->to_dir.id)
		return tree_touch_directory(m, move->to_dir.id, now, from_links + to_links);
	int rc = tree_touch_directory(m, move->from_dir.id, now, from_links);
	return rc == 0 ? tree_touch_directory(m, move->to_dir.id, now, to_links) : rc;
}

static int apply(Meta *m, struct move *move) {
	int64_t now = meta_stamp(m);
	struct node *moved = &move->from.node, *replaced = &move->to.node;
	int rc = tree_end_entry(m, &move->from, true);
	if (rc == 0 && move->to.id)
		rc = tree_end_entry(m, &move->to, move->exchange);
	if (rc == 0)
		rc = tree_insert_entry(m, move->to_dir.id, move->to.name, moved->id);
	if (rc == 0 && move->exchange)
		rc = tree_insert_entry(m, move->from_dir.id, move->from.name, replaced->id);
	if (rc == 0)
		rc = update_node(m, moved, move->to_dir.id, moved->nlink, now);
	if (rc == 0 && move->exchange)
		rc = update_node(m, replaced, move->from_dir.id, replaced->nlink, now);
	else if (rc == 0 && move->to.id)
		rc = update_node(m, replaced, move->to_dir.id, is_dir(replaced) ? 0 : replaced->nlink - 1, now);
	if (rc == 0)
		rc = touch_directories(m, move, now);
	return rc;
}

int tree_rename(Meta *m, uint64_t parent, struct bytes name, uint64_t new_parent, struct bytes new_name, unsigned flags,
        struct renamed *ret) {
	if (flags != 0 && flags != RENAME_NOREPLACE && flags != RENAME_EXCHANGE)
		return -EINVAL;
	struct move move = {.exchange = flags == RENAME_EXCHANGE};
	int rc = find(m, &move, parent, name, new_parent, new_name);
	if (rc == 0)
		rc = check(m, &move, flags);
	if (rc < 0)
		return rc;
	bool same = is_same(&move);
	if (!same)
		rc = apply(m, &move);
	if (rc == 0 && ret)
		*ret = (struct renamed){.moved = move.from.node, .replaced = move.to.node, .unchanged = same};
	return rc;
}
