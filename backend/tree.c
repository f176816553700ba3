/* Names, nodes and attributes as they are now. History is in history.c, rename in rename.c, paths in path.c. */
#include "backend/tree.h"

#include "backend/meta_private.h"

#include <errno.h>
#include <string.h>

/* ---- reading ---- */

void node_read(sqlite3_stmt *stmt, int first_column, struct node *ret_node) {
	int c = first_column;
	ret_node->id = column_u64(stmt, c++);
	ret_node->ino = column_u64(stmt, c++);
	ret_node->zone = (uint8_t)sqlite3_column_int(stmt, c++);
	ret_node->mode = column_u32(stmt, c++);
	ret_node->uid = column_u32(stmt, c++);
	ret_node->gid = column_u32(stmt, c++);
	ret_node->nlink = column_u32(stmt, c++);
	ret_node->rdev = column_u64(stmt, c++);
	ret_node->size = column_u64(stmt, c++);
	ret_node->atime = sqlite3_column_int64(stmt, c++);
	ret_node->mtime = sqlite3_column_int64(stmt, c++);
	ret_node->ctime = sqlite3_column_int64(stmt, c++);
	ret_node->btime = sqlite3_column_int64(stmt, c++);
	ret_node->version = column_u64(stmt, c++);
	ret_node->parent = column_u64(stmt, c++);
	ret_node->xattrs = column_u32(stmt, c);
}

int tree_check_name(struct bytes name) {
	if (name.size == 0 || memchr(name.data, '/', name.size) || memchr(name.data, '\0', name.size))
		return -EINVAL;
	if (name.size > TREE_NAME_MAX)
		return -ENAMETOOLONG;
	if (name.data[0] == '.' && (name.size == 1 || (name.size == 2 && name.data[1] == '.')))
		return -EINVAL;
	return 0;
}

static int one_node(Meta *m, const char *sql, uint64_t number, struct node *ret_node) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, sql, &stmt, v_u64(number));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ESTALE;
	node_read(stmt, 0, ret_node);
	node_cache_put(m->nodes, ret_node);
	return 0;
}

int tree_get(Meta *m, uint64_t id, struct node *ret_node) {
	meta_assert_running(m);
	if (node_cache_get(m->nodes, id, ret_node))
		return 0;
	return one_node(m, "SELECT " NODE_COLUMNS " FROM node n WHERE n.id = ?", id, ret_node);
}

int tree_by_ino(Meta *m, uint64_t ino, struct node *ret_node) {
	int rc = tree_get(m, ino, ret_node);
	if (rc == 0)
		return ret_node->ino == ino ? 0 : -ESTALE;
	if (rc != -ESTALE)
		return rc;
	return one_node(m, "SELECT " NODE_COLUMNS " FROM node n WHERE n.ino = ? AND n.ino <> n.id", ino, ret_node);
}

int tree_directory(Meta *m, uint64_t id, struct node *ret_node) {
	int rc = tree_get(m, id, ret_node);
	if (rc == 0 && !S_ISDIR(ret_node->mode))
		rc = -ENOTDIR;
	return rc;
}

/* As node_cache has it. */
static int known_entry(
        Meta *m, uint64_t parent, struct bytes name, const struct cached_entry *known, struct entry *ret_entry) {
	if (known->node == 0)
		return -ENOENT;
	struct entry entry = {.id = known->id, .born = known->born, .parent = parent, .name = name};
	int rc = tree_get(m, known->node, &entry.node);
	if (rc == 0)
		*ret_entry = entry;
	return rc;
}

int tree_find_entry(Meta *m, uint64_t parent, struct bytes name, struct entry *ret_entry) {
	meta_assert_running(m);
	struct cached_entry known = {0};
	if (node_cache_get_entry(m->nodes, parent, name, &known))
		return known_entry(m, parent, name, &known, ret_entry);
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	static const char sql[] = "SELECT e.id, e.born, " NODE_COLUMNS " FROM entry e JOIN node n ON n.id = e.node"
	                          " WHERE e.parent = ? AND e.name = ?";
	int rc = SQL_START(m, sql, &stmt, v_u64(parent), v_bytes(name));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc == 0)
		node_cache_put_entry(
		        m->nodes, parent, name, &known); /* whoever asks is about to make it, and asks again */
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	*ret_entry =
	        (struct entry){.id = column_u64(stmt, 0), .born = column_u64(stmt, 1), .parent = parent, .name = name};
	node_read(stmt, 2, &ret_entry->node);
	node_cache_put(m->nodes, &ret_entry->node);
	known = (struct cached_entry){.id = ret_entry->id, .born = ret_entry->born, .node = ret_entry->node.id};
	node_cache_put_entry(m->nodes, parent, name, &known);
	return 0;
}

int tree_lookup(Meta *m, uint64_t parent, struct bytes name, struct node *ret_node) {
	int rc = tree_check_name(name);
	if (rc < 0)
		return rc;
	struct entry entry;
	rc = tree_find_entry(m, parent, name, &entry);
	if (rc == -ENOENT) {
		struct node dir;
		int parent_rc = tree_directory(m, parent, &dir);
		return parent_rc < 0 ? parent_rc : rc;
	}
	if (rc == 0)
		*ret_node = entry.node;
	return rc;
}

int tree_readlink(Meta *m, uint64_t id, void *ret_target, size_t capacity, size_t *ret_size) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, "SELECT target, mode FROM node WHERE id = ?", &stmt, v_u64(id));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ESTALE;
	if (!S_ISLNK(column_u32(stmt, 1)))
		return -EINVAL;
	struct bytes target = column_bytes(stmt, 0);
	if (target.size > capacity)
		return -ERANGE;
	memcpy(ret_target, target.data, target.size);
	*ret_size = target.size;
	return 0;
}

int tree_list(
        Meta *m, uint64_t dir, uint64_t after, size_t limit, tree_list_fn callback, void *arg, size_t *ret_count) {
	struct node parent;
	int rc = tree_directory(m, dir, &parent);
	if (rc < 0)
		return rc;
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	static const char sql[] = "SELECT e.name, e.id, e.born, " NODE_COLUMNS
	                          " FROM entry e INDEXED BY entry_list CROSS JOIN node n ON n.id = e.node"
	                          " WHERE e.parent = ? AND e.id > ? ORDER BY e.id LIMIT ?";
	rc = SQL_START(m, sql, &stmt, v_u64(dir), v_u64(after), v_i64(limit ? (int64_t)limit : -1));
	size_t count = 0;
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		struct node node;
		struct bytes name = column_bytes(stmt, 0);
		node_read(stmt, 3, &node);
		/* Who lists a folder goes on to what is in it. */
		struct cached_entry known = {.id = column_u64(stmt, 1), .born = column_u64(stmt, 2), .node = node.id};
		node_cache_put(m->nodes, &node);
		node_cache_put_entry(m->nodes, dir, name, &known);
		rc = callback(arg, name, known.id, &node);
		count++;
	}
	if (rc >= 0 && ret_count)
		*ret_count = count;
	return rc < 0 ? rc : 0;
}

uint64_t tree_last_cookie(Meta *m) {
	meta_assert_running(m);
	return m->state.next_entry - 1;
}

int tree_is_empty(Meta *m, uint64_t dir, bool *ret_empty) {
	uint64_t any;
	int rc = SQL_NUMBER(m, "SELECT 1 FROM entry WHERE parent = ? LIMIT 1", &any, v_u64(dir));
	if (rc == 0 || rc == -ENOENT) {
		*ret_empty = rc == -ENOENT;
		return 0;
	}
	return rc;
}

int tree_statfs(Meta *m, struct tree_counts *ret_counts) {
	meta_assert_running(m);
	*ret_counts = m->state.counts;
	return 0;
}

/* ---- making ---- */

static int check_attributes(const struct node *attrs, struct bytes target) {
	switch (attrs->mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return attrs->zone <= ZONE_STAGING ? 0 : -EINVAL;
	case S_IFLNK:
		if (target.size > TREE_TARGET_MAX)
			return -ENAMETOOLONG;
		return target.size > 0 && attrs->zone <= ZONE_STAGING ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

/* Fills in what the caller leaves to us, and writes the row. */
static int insert_node(Meta *m, struct node *node, struct bytes target) {
	bool is_link = S_ISLNK(node->mode);
	int64_t now = meta_stamp(m);
	node->id = node->ino = m->state.next_node;
	node->atime = node->atime ? node->atime : now;
	node->mtime = node->mtime ? node->mtime : now;
	node->ctime = node->btime = now;
	node->size = is_link ? target.size : 0;
	node->version = 0;
	node->xattrs = 0;
	if (!S_ISCHR(node->mode) && !S_ISBLK(node->mode))
		node->rdev = 0;
	static const char sql[] =
	        "INSERT INTO node (id, ino, zone, mode, uid, gid, nlink, rdev, size, atime, mtime, ctime, "
	        "btime, version, parent, target) VALUES (?1, ?1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)";
	int rc = SQL_RUN(m, sql, v_u64(node->id), v_u64(node->zone), v_u64(node->mode), v_u64(node->uid),
	        v_u64(node->gid), v_u64(node->nlink), v_u64(node->rdev), v_u64(node->size), v_i64(node->atime),
	        v_i64(node->mtime), v_i64(node->ctime), v_i64(node->btime), v_u64(node->parent),
	        is_link ? v_bytes(target) : v_null());
	if (rc < 0)
		return rc;
	node_cache_touch(m->nodes, node->id);
	node_cache_put(m->nodes, node);
	m->state.next_node++;
	m->state.counts.nodes++;
	m->state.counts.directories += S_ISDIR(node->mode) ? 1 : 0;
	return 0;
}

static int delete_node(Meta *m, const struct node *node) {
	node_cache_touch(m->nodes, node->id);
	int rc = SQL_RUN(m, "DELETE FROM node WHERE id = ?", v_u64(node->id));
	if (rc == 0) {
		m->state.counts.nodes--;
		m->state.counts.directories -= S_ISDIR(node->mode) ? 1 : 0;
	}
	return rc;
}

int tree_insert_entry(Meta *m, uint64_t parent, struct bytes name, uint64_t node) {
	static const char sql[] = "INSERT INTO entry (parent, name, id, node, born) VALUES (?, ?, ?, ?, ?)"
	                          " ON CONFLICT (parent, name) DO NOTHING";
	struct cached_entry entry = {.id = m->state.next_entry, .born = meta_commit_id(m), .node = node};
	uint64_t changed = 0;
	node_cache_touch_entry(m->nodes, parent, name);
	int rc = SQL_RUN_CHANGED(
	        m, sql, &changed, v_u64(parent), v_bytes(name), v_u64(entry.id), v_u64(node), v_u64(entry.born));
	if (rc < 0)
		return rc;
	if (changed == 0)
		return -EEXIST;
	node_cache_put_entry(m->nodes, parent, name, &entry);
	m->state.next_entry++;
	m->state.counts.names++;
	return 0;
}

int tree_touch_directory(Meta *m, uint64_t dir, int64_t now, int links) {
	struct node node;
	bool known = node_cache_get(m->nodes, dir, &node);
	node_cache_touch(m->nodes, dir);
	int rc = SQL_RUN(m, "UPDATE node SET mtime = ?2, ctime = ?2, nlink = nlink + ?3 WHERE id = ?1", v_u64(dir),
	        v_i64(now), v_i64(links));
	if (rc == 0 && known) {
		node.mtime = node.ctime = now;
		node.nlink = (uint32_t)((int64_t)node.nlink + links);
		node_cache_put(m->nodes, &node);
	}
	return rc;
}

static int name_exists(Meta *m, uint64_t parent, struct bytes name) {
	struct entry there;
	int rc = tree_find_entry(m, parent, name, &there);
	return rc == 0 ? -EEXIST : rc == -ENOENT ? 0 : rc;
}

int tree_create(Meta *m, uint64_t parent, struct bytes name, const struct node *attrs, struct bytes symlink_target,
        struct node *ret_node) {
	int rc = tree_check_name(name);
	if (rc == 0)
		rc = check_attributes(attrs, symlink_target);
	struct node dir;
	if (rc == 0)
		rc = tree_directory(m, parent, &dir);
	if (rc == 0 && dir.nlink == 0)
		rc = -ENOENT;
	if (rc < 0)
		return rc;
	struct node node = *attrs;
	bool is_dir = S_ISDIR(attrs->mode);
	node.zone = attrs->zone ? attrs->zone : dir.zone;
	node.nlink = is_dir ? 2 : 1;
	node.parent = is_dir ? parent : 0;
	rc = insert_node(m, &node, symlink_target);
	if (rc == 0)
		rc = tree_insert_entry(m, parent, name, node.id);
	/* A name is far more often new than not: taking the node back is cheaper than asking first. */
	if (rc == -EEXIST && delete_node(m, &node) == 0)
		return -EEXIST;
	if (rc == 0)
		rc = tree_touch_directory(m, parent, node.ctime, is_dir ? 1 : 0);
	if (rc == 0)
		*ret_node = node;
	return rc;
}

int tree_create_orphan(Meta *m, const struct node *attrs, struct node *ret_node) {
	int rc = check_attributes(attrs, bytes_of(NULL, 0));
	if (rc == 0 && (S_ISDIR(attrs->mode) || attrs->zone == ZONE_NONE))
		rc = -EINVAL;
	if (rc < 0)
		return rc;
	struct node node = *attrs;
	node.nlink = 0;
	node.parent = 0;
	rc = insert_node(m, &node, bytes_of(NULL, 0));
	if (rc == 0)
		*ret_node = node;
	return rc;
}

/* Sets links and ctime of a node that got or lost a name. */
static int add_links(Meta *m, struct node *node, int links, int64_t now) {
	node_cache_touch(m->nodes, node->id);
	int rc = SQL_RUN(m, "UPDATE node SET nlink = nlink + ?2, ctime = ?3 WHERE id = ?1", v_u64(node->id),
	        v_i64(links), v_i64(now));
	if (rc == 0) {
		node->nlink = (uint32_t)((int64_t)node->nlink + links);
		node->ctime = now;
		node_cache_put(m->nodes, node);
	}
	return rc;
}

/* Whether a node of one zone may bear a name below a directory of another: staging nodes may below Trusted, where only
 * their writer sees them. */
static bool zones_fit(uint8_t node, uint8_t dir) {
	return node == dir || (node == ZONE_STAGING && dir == ZONE_TRUSTED);
}

int tree_link(Meta *m, uint64_t id, uint64_t parent, struct bytes name, struct node *ret_node) {
	int rc = tree_check_name(name);
	struct node node, dir;
	if (rc == 0)
		rc = tree_get(m, id, &node);
	if (rc == 0 && S_ISDIR(node.mode))
		rc = -EPERM;
	if (rc == 0)
		rc = tree_directory(m, parent, &dir);
	if (rc == 0 && dir.nlink == 0)
		rc = -ENOENT;
	if (rc == 0 && !zones_fit(node.zone, dir.zone))
		rc = -EXDEV;
	if (rc == 0 && node.nlink >= INT32_MAX)
		rc = -EMLINK;
	if (rc == 0)
		rc = name_exists(m, parent, name);
	int64_t now = meta_stamp(m);
	if (rc == 0)
		rc = tree_insert_entry(m, parent, name, id);
	if (rc == 0)
		rc = add_links(m, &node, 1, now);
	if (rc == 0)
		rc = tree_touch_directory(m, parent, now, 0);
	if (rc == 0)
		*ret_node = node;
	return rc;
}

/* ---- ending ---- */

/* A name that was born in this very commit was part of no past state; it is remembered only where it is the one way to
 * find what hangs on it. */
static int worth_remembering(Meta *m, const struct entry *entry, bool renamed, bool *ret_worth) {
	*ret_worth = true;
	if (entry->born < meta_commit_id(m))
		return 0;
	if (renamed || (!S_ISDIR(entry->node.mode) && entry->node.nlink > 1)) {
		*ret_worth = false;
		return 0;
	}
	static const char of_directory[] = "SELECT 1 FROM entry_past WHERE parent = ? LIMIT 1";
	static const char of_file[] = "SELECT 1 FROM version WHERE node = ? AND number IS NOT NULL LIMIT 1";
	uint64_t any;
	int rc = SQL_NUMBER(m, S_ISDIR(entry->node.mode) ? of_directory : of_file, &any, v_u64(entry->node.id));
	*ret_worth = rc == 0;
	return rc == -ENOENT ? 0 : rc;
}

int tree_end_entry(Meta *m, const struct entry *entry, bool renamed) {
	bool worth;
	node_cache_touch_name(m->nodes, entry->node.id);
	node_cache_touch_entry(m->nodes, entry->parent, entry->name);
	int rc = worth_remembering(m, entry, renamed, &worth);
	if (rc == 0)
		rc = SQL_RUN(m, "DELETE FROM entry WHERE parent = ? AND name = ?", v_u64(entry->parent),
		        v_bytes(entry->name));
	if (rc == 0 && worth)
		rc = SQL_RUN(m,
		        "INSERT INTO entry_past (parent, id, name, node, born, ended) VALUES (?, ?, ?, ?, ?, ?)",
		        v_u64(entry->parent), v_u64(entry->id), v_bytes(entry->name), v_u64(entry->node.id),
		        v_u64(entry->born), v_u64(meta_commit_id(m)));
	if (rc == 0)
		m->state.counts.names--;
	return rc;
}

static int check_removable(Meta *m, const struct entry *entry, bool want_dir, bool any_kind) {
	bool is_dir = S_ISDIR(entry->node.mode);
	if (entry->node.id <= NODE_TRUSTED)
		return -EPERM;
	if (!any_kind && is_dir != want_dir)
		return want_dir ? -ENOTDIR : -EISDIR;
	if (!is_dir)
		return 0;
	bool empty;
	int rc = tree_is_empty(m, entry->node.id, &empty);
	return rc == 0 && !empty ? -ENOTEMPTY : rc;
}

static int remove_entry(Meta *m, struct entry *entry) {
	bool is_dir = S_ISDIR(entry->node.mode);
	int64_t now = meta_stamp(m);
	int rc = tree_end_entry(m, entry, false);
	if (rc == 0)
		rc = add_links(m, &entry->node, is_dir ? -(int)entry->node.nlink : -1, now);
	if (rc == 0)
		rc = tree_touch_directory(m, entry->parent, now, is_dir ? -1 : 0);
	return rc;
}

static int remove_name(Meta *m, uint64_t parent, struct bytes name, bool want_dir, bool erase, struct node *ret_node) {
	int rc = tree_check_name(name);
	struct node dir;
	if (rc == 0)
		rc = tree_directory(m, parent, &dir);
	struct entry entry;
	if (rc == 0)
		rc = tree_find_entry(m, parent, name, &entry);
	if (rc == 0 && dir.zone == ZONE_RAW && !erase)
		rc = -EPERM;
	if (rc == 0)
		rc = check_removable(m, &entry, want_dir, erase);
	if (rc == 0 && erase)
		rc = meta_open_door(m);
	if (rc == 0)
		rc = remove_entry(m, &entry);
	if (rc == 0 && erase)
		rc = meta_close_door(m);
	if (rc == 0)
		*ret_node = entry.node;
	return rc;
}

int tree_unlink(Meta *m, uint64_t parent, struct bytes name, struct node *ret_node) {
	return remove_name(m, parent, name, false, false, ret_node);
}

int tree_rmdir(Meta *m, uint64_t parent, struct bytes name, struct node *ret_node) {
	return remove_name(m, parent, name, true, false, ret_node);
}

int tree_erase(Meta *m, uint64_t parent, struct bytes name, struct node *ret_node) {
	return remove_name(m, parent, name, false, true, ret_node);
}

int tree_orphans(Meta *m, tree_node_fn callback, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	static const char sql[] = "SELECT " NODE_COLUMNS " FROM node n WHERE n.nlink = 0 AND n.version = 0 AND n.id > ?"
	                          " AND NOT EXISTS (SELECT 1 FROM entry_past p WHERE p.node = n.id) ORDER BY n.id";
	int rc = SQL_START(m, sql, &stmt, v_u64(NODE_TRUSTED));
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		struct node node;
		node_read(stmt, 0, &node);
		rc = callback(arg, &node);
	}
	return rc < 0 ? rc : 0;
}

int tree_forget(Meta *m, uint64_t id) {
	struct node node;
	int rc = tree_get(m, id, &node);
	if (rc < 0)
		return rc;
	static const char sql[] = "SELECT EXISTS (SELECT 1 FROM entry WHERE node = ?1 OR parent = ?1)"
	                          " OR EXISTS (SELECT 1 FROM entry_past WHERE node = ?1 OR parent = ?1)"
	                          " OR EXISTS (SELECT 1 FROM version WHERE node = ?1 AND number IS NOT NULL)"
	                          " OR EXISTS (SELECT 1 FROM version WHERE node = ?1 AND state = 0)";
	uint64_t used = 0;
	rc = SQL_NUMBER(m, sql, &used, v_u64(id));
	if (rc < 0)
		return rc;
	if (used || id <= NODE_TRUSTED || draft_set_has(m->drafts, id))
		return -EBUSY;
	rc = SQL_RUN(m, "DELETE FROM xattr WHERE node = ?", v_u64(id));
	return rc == 0 ? delete_node(m, &node) : rc;
}

/* ---- attributes ---- */

int tree_setattr(Meta *m, uint64_t id, const struct node *values, unsigned mask, struct node *ret_node) {
	struct node node;
	int rc = tree_get(m, id, &node);
	if (rc < 0)
		return rc;
	if ((mask & TREE_ZONE) && values->zone > ZONE_STAGING)
		return -EINVAL;
	if ((mask & TREE_SIZE) && values->size > INT64_MAX)
		return -EFBIG;
	node.mode = mask & TREE_MODE ? (node.mode & S_IFMT) | (values->mode & 07777) : node.mode;
	node.uid = mask & TREE_UID ? values->uid : node.uid;
	node.gid = mask & TREE_GID ? values->gid : node.gid;
	node.size = mask & TREE_SIZE ? values->size : node.size;
	node.atime = mask & TREE_ATIME ? values->atime : node.atime;
	node.mtime = mask & TREE_MTIME ? values->mtime : node.mtime;
	if (mask & TREE_CTIME)
		node.ctime = values->ctime;
	else if (mask & ~TREE_ATIME)
		node.ctime = meta_stamp(m);
	static const char sql[] = "UPDATE node SET mode = ?2, uid = ?3, gid = ?4, size = ?5, atime = ?6, mtime = ?7, "
	                          "ctime = ?8 WHERE id = ?1";
	node_cache_touch(m->nodes, id);
	rc = SQL_RUN(m, sql, v_u64(id), v_u64(node.mode), v_u64(node.uid), v_u64(node.gid), v_u64(node.size),
	        v_i64(node.atime), v_i64(node.mtime), v_i64(node.ctime));
	if (rc == 0 && (mask & TREE_ZONE)) {
		node.zone = values->zone;
		rc = SQL_RUN(m, "UPDATE node SET zone = ?2 WHERE id = ?1", v_u64(id), v_u64(node.zone));
	}
	if (rc < 0)
		return rc;
	node_cache_put(m->nodes, &node);
	*ret_node = node;
	return 0;
}

int tree_new_ino(Meta *m, uint64_t id, uint64_t *ret_ino) {
	uint64_t ino = m->state.next_node, changed = 0;
	node_cache_touch(m->nodes, id);
	int rc = SQL_RUN_CHANGED(m, "UPDATE node SET ino = ?2, ctime = ?3 WHERE id = ?1", &changed, v_u64(id),
	        v_u64(ino), v_i64(meta_stamp(m)));
	if (rc < 0)
		return rc;
	if (changed == 0)
		return -ESTALE;
	m->state.next_node++;
	*ret_ino = ino;
	return 0;
}
