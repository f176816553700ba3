/*
 * The tree as it was, and what bore a path once.
 *
 *      commits   1    2    3    4    5
 *      entry_past     [born=2 … ended=4)        shown at 2 and 3
 *      entry                         [born=4 …  shown from 4 on
 *
 * Intervals of one name never overlap, so the first past row whose `ended` is above a commit is the only one that can
 * cover it.
 */
#include "backend/meta_private.h"
#include "backend/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of the version that was current, after NODE_COLUMNS. */
#define VERSION_AT_COLUMNS "v.id, v.size, v.mode, v.uid, v.gid, v.mtime"
/* ?1 is the commit in every statement that uses it. Withdrawn versions are not shown. */
#define VERSION_AT                                                                                                \
	" LEFT JOIN version v ON v.id = (SELECT w.id FROM version w WHERE w.node = n.id AND w.number IS NOT NULL" \
	" AND w.sealed <= ?1 AND w.state <> 2 ORDER BY w.number DESC LIMIT 1)"

/* Reads a node and puts in what its version then said. */
static void read_at(sqlite3_stmt *stmt, int first, struct node *ret_node) {
	node_read(stmt, first, ret_node);
	if (!S_ISREG(ret_node->mode))
		return;
	int v = first + NODE_COLUMN_COUNT;
	ret_node->version = column_u64(stmt, v);
	ret_node->size = column_u64(stmt, v + 1);
	if (ret_node->version == 0)
		return;
	ret_node->mode = column_u32(stmt, v + 2);
	ret_node->uid = column_u32(stmt, v + 3);
	ret_node->gid = column_u32(stmt, v + 4);
	ret_node->mtime = sqlite3_column_int64(stmt, v + 5);
}

static int one_at(
        Meta *m, const char *sql, uint64_t parent, struct bytes name, uint64_t commit, struct node *ret_node) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, sql, &stmt, v_u64(commit), v_u64(parent), v_bytes(name));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	if (column_u64(stmt, 0) > commit)
		return -ENOENT;
	read_at(stmt, 1, ret_node);
	return 0;
}

int tree_lookup_at(Meta *m, uint64_t parent, struct bytes name, uint64_t commit, struct node *ret_node) {
	static const char live[] =
	        "SELECT e.born, " NODE_COLUMNS ", " VERSION_AT_COLUMNS
	        " FROM entry e JOIN node n ON n.id = e.node" VERSION_AT " WHERE e.parent = ?2 AND e.name = ?3";
	static const char past[] = "SELECT e.born, " NODE_COLUMNS ", " VERSION_AT_COLUMNS
	                           " FROM (SELECT born, node FROM entry_past INDEXED BY entry_past_name"
	                           " WHERE parent = ?2 AND name = ?3 AND ended > ?1 ORDER BY ended, id LIMIT 1) e"
	                           " JOIN node n ON n.id = e.node" VERSION_AT;
	int rc = tree_check_name(name);
	if (rc < 0)
		return rc;
	rc = one_at(m, past, parent, name, commit, ret_node);
	return rc == -ENOENT ? one_at(m, live, parent, name, commit, ret_node) : rc;
}

int tree_list_at(Meta *m, uint64_t dir, uint64_t commit, uint64_t after, size_t limit, tree_list_fn callback, void *arg,
        size_t *ret_count) {
	struct node parent;
	int rc = tree_directory(m, dir, &parent);
	if (rc < 0)
		return rc;
	/* Both halves come in order of ids out of their indexes, so the union is a merge; the joins keep its order. */
	static const char sql[] = "SELECT e.name, e.id, " NODE_COLUMNS ", " VERSION_AT_COLUMNS " FROM ("
	                          "SELECT id, name, node FROM entry WHERE parent = ?2 AND id > ?3 AND born <= ?1"
	                          " UNION ALL SELECT id, name, node FROM entry_past WHERE parent = ?2 AND id > ?3 AND "
	                          "born <= ?1 AND ended > ?1"
	                          " ORDER BY id LIMIT ?4) e CROSS JOIN node n ON n.id = e.node" VERSION_AT;
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	rc = SQL_START(m, sql, &stmt, v_u64(commit), v_u64(dir), v_u64(after), v_i64(limit ? (int64_t)limit : -1));
	size_t count = 0;
	uint64_t last = after;
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		struct node node;
		uint64_t cookie = column_u64(stmt, 1);
		if (cookie <= last)
			return fault(EIO, "metadata: a past directory was listed out of order");
		last = cookie;
		read_at(stmt, 2, &node);
		rc = callback(arg, column_bytes(stmt, 0), cookie, &node);
		count++;
	}
	if (rc >= 0 && ret_count)
		*ret_count = count;
	return rc < 0 ? rc : 0;
}

/* ---- what bore a path once ---- */

/* A path may have been borne by many: each component by several directories one after the other. They are tried from
 * the newest to the oldest; the bound keeps a hostile history from making this long. */
#define CANDIDATES_MAX 10000

struct candidate {
	uint64_t node;
	uint64_t ended; /* 0: stands */
};

struct search {
	size_t tried;
	uint64_t found, ended;
	tree_past_fn each; /* NULL: the first one is wanted */
	void *arg;
};

static int candidates(Meta *m, uint64_t parent, struct bytes name, struct candidate **ret_list, size_t *ret_count) {
	static const char sql[] =
	        "SELECT node, 0, id FROM entry WHERE parent = ?1 AND name = ?2"
	        " UNION ALL SELECT * FROM (SELECT node, ended, id FROM entry_past INDEXED BY entry_past_name"
	        " WHERE parent = ?1 AND name = ?2 ORDER BY ended DESC, id DESC LIMIT ?3)";
	_cleanup_(freep) struct candidate *list = NULL;
	size_t count = 0, room = 0;
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, sql, &stmt, v_u64(parent), v_bytes(name), v_u64(CANDIDATES_MAX));
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		if (count == room) {
			room = room ? 2 * room : 8;
			struct candidate *grown = realloc(list, room * sizeof *list);
			if (!grown)
				return fault(ENOMEM, "searching the history of names");
			list = grown;
		}
		list[count++] = (struct candidate){column_u64(stmt, 0), column_u64(stmt, 1)};
		rc = 0;
	}
	if (rc < 0)
		return rc;
	*ret_list = steal_pointer(&list);
	*ret_count = count;
	return 0;
}

/* -ENOENT: not below this one. Recursion is as deep as the path has names, and those have at least two bytes each with
 * their slash. */
static int search(Meta *m, uint64_t parent, struct bytes path, uint64_t ended, struct search *s) {
	struct bytes name = tree_next_component(&path);
	if (name.size == 0 && s->each) {
		int rc = s->each(s->arg, parent);
		return rc == 0 ? -ENOENT : rc;
	}
	if (name.size == 0) {
		s->found = parent;
		s->ended = ended;
		return 0;
	}
	_cleanup_(freep) struct candidate *list = NULL;
	size_t count = 0;
	int rc = candidates(m, parent, name, &list, &count);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		if (++s->tried > CANDIDATES_MAX)
			return -ENOENT;
		/* A path ended when the first of its names did, going up from what is gone. */
		uint64_t until = list[i].ended;
		if (ended != 0 && (until == 0 || ended < until))
			until = ended;
		rc = search(m, list[i].node, path, until, s);
		if (rc != -ENOENT)
			return rc;
		rc = 0;
	}
	return rc < 0 ? rc : -ENOENT;
}

int tree_resolve_past(Meta *m, struct bytes path, struct node *ret_node, uint64_t *ret_ended) {
	if (path.size >= TREE_PATH_MAX)
		return -ENAMETOOLONG;
	struct search s = {0};
	int rc = search(m, NODE_ROOT, path, 0, &s);
	if (rc == 0)
		rc = tree_get(m, s.found, ret_node);
	if (rc == 0 && ret_ended)
		*ret_ended = s.ended;
	return rc;
}

int tree_each_past(Meta *m, struct bytes path, tree_past_fn each, void *arg) {
	if (path.size >= TREE_PATH_MAX)
		return -ENAMETOOLONG;
	struct search s = {.each = each, .arg = arg};
	int rc = search(m, NODE_ROOT, path, 0, &s);
	if (rc == -ENOENT && s.tried > CANDIDATES_MAX)
		return fault(E2BIG, "the path was borne by more than %d files and directories", CANDIDATES_MAX);
	return rc == -ENOENT || rc > 0 ? 0 : rc;
}

/* ---- all names of a directory ---- */

int tree_list_ever(
        Meta *m, uint64_t dir, uint64_t after, size_t limit, tree_ever_fn callback, void *arg, size_t *ret_count) {
	static const char sql[] =
	        "SELECT e.name, e.id, e.node, n.mode FROM (SELECT name, id, node FROM entry INDEXED BY entry_list"
	        " WHERE parent = ?1 AND id > ?2 UNION ALL SELECT name, id, node FROM entry_past"
	        " WHERE parent = ?1 AND id > ?2 ORDER BY 2 LIMIT ?3) e CROSS JOIN node n ON n.id = e.node ORDER BY 2";
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	size_t count = 0;
	int rc = SQL_START(m, sql, &stmt, v_u64(dir), v_u64(after), v_i64((int64_t)limit));
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		count++;
		rc = callback(arg, column_bytes(stmt, 0), column_u64(stmt, 1), column_u64(stmt, 2),
		        (uint32_t)column_u64(stmt, 3));
	}
	*ret_count = count;
	return rc < 0 ? rc : 0;
}
