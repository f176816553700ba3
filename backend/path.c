/* Paths of nodes, and nodes of paths. */
#include "backend/meta_private.h"
#include "backend/tree.h"

#include <errno.h>
#include <string.h>

/* Takes the next component off `rest`; size 0 at the end. */
struct bytes tree_next_component(struct bytes *rest) {
	while (rest->size > 0 && *rest->data == '/') {
		rest->data++;
		rest->size--;
	}
	const uint8_t *slash = rest->size ? memchr(rest->data, '/', rest->size) : NULL;
	struct bytes component = {rest->data, slash ? (size_t)(slash - rest->data) : rest->size};
	if (component.size)
		rest->data += component.size;
	rest->size -= component.size;
	return component;
}

/* `commit`: the tree as it was then; NULL: as it is. */
static int walk(Meta *m, struct bytes path, const uint64_t *commit, struct node *ret_node) {
	struct node node;
	int rc = tree_get(m, NODE_ROOT, &node);
	while (rc == 0) {
		struct bytes name = tree_next_component(&path);
		if (name.size == 0) {
			*ret_node = node;
			return 0;
		}
		if (!S_ISDIR(node.mode))
			return -ENOTDIR;
		rc = commit ? tree_lookup_at(m, node.id, name, *commit, &node) : tree_lookup(m, node.id, name, &node);
	}
	return rc;
}

int tree_resolve(Meta *m, struct bytes path, struct node *ret_node) {
	return walk(m, path, NULL, ret_node);
}

int tree_resolve_at(Meta *m, struct bytes path, uint64_t commit, struct node *ret_node) {
	return walk(m, path, &commit, ret_node);
}

/* A path that is built from its end: it stands from `at` to `end`, of which the first `room` bytes are kept. */
struct building {
	char *buffer;
	size_t room, at, end;
};

static void keep(const struct building *path, const void *data, size_t size) {
	if (path->at < path->room)
		memcpy(path->buffer + path->at, data, size < path->room - path->at ? size : path->room - path->at);
}

/* Puts "name" or "name/" before what stands there. */
static int prepend(struct building *path, struct bytes name) {
	bool has_more = path->at < path->end;
	if (name.size + has_more > path->at)
		return -ERANGE;
	if (has_more) {
		path->at--;
		keep(path, "/", 1);
	}
	path->at -= name.size;
	keep(path, name.data, name.size);
	return 0;
}

/* Of several names the one that the database gives is taken, so that it is the same each time. */
static bool is_known(Meta *m, uint64_t id, bool is_directory, uint64_t *ret_parent, struct bytes *ret_name) {
	if (is_directory)
		return node_cache_get_name(m->nodes, id, ret_parent, ret_name);
	struct node node;
	return node_cache_get(m->nodes, id, &node) && node.nlink == 1 &&
	       node_cache_get_name_of(m->nodes, id, ret_parent, ret_name);
}

static int prepend_entry_of(Meta *m, struct building *path, uint64_t *id, bool is_directory) {
	struct bytes name;
	if (is_known(m, *id, is_directory, id, &name))
		return prepend(path, name);
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, "SELECT parent, name, id, born FROM entry WHERE node = ? LIMIT 1", &stmt, v_u64(*id));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	uint64_t parent = column_u64(stmt, 0);
	name = column_bytes(stmt, 1);
	if (is_directory)
		node_cache_put_name(m->nodes, *id, parent, name);
	struct cached_entry known = {.id = column_u64(stmt, 2), .born = column_u64(stmt, 3), .node = *id};
	node_cache_put_entry(m->nodes, parent, name, &known);
	*id = parent;
	return prepend(path, name);
}

/* The path of `id`, then "/" and `name` when that is not empty. */
static int build(Meta *m, uint64_t id, struct bytes name, struct building *path) {
	meta_assert_running(m);
	int rc = name.size ? prepend(path, name) : 0;
	/* What something lies in is a directory, which has one name. */
	for (bool is_directory = name.size > 0; rc == 0 && id != NODE_ROOT; is_directory = true)
		rc = prepend_entry_of(m, path, &id, is_directory);
	return rc;
}

static struct building whole_in(char *buffer, size_t capacity) {
	return (struct building){.buffer = buffer, .room = capacity - 1, .at = capacity - 1, .end = capacity - 1};
}

static size_t to_front(const struct building *path) {
	size_t length = path->end - path->at;
	memmove(path->buffer, path->buffer + path->at, length);
	path->buffer[length] = '\0';
	return length;
}

static int build_whole(Meta *m, uint64_t id, struct bytes name, char *ret_path, size_t capacity, size_t *ret_length) {
	if (capacity == 0)
		return -ERANGE;
	struct building path = whole_in(ret_path, capacity);
	int rc = build(m, id, name, &path);
	size_t length = rc < 0 ? 0 : to_front(&path);
	if (rc == 0 && ret_length)
		*ret_length = length;
	return rc;
}

int tree_path_start(Meta *m, uint64_t id, struct bytes name, char *ret_path, size_t capacity, size_t *ret_length) {
	if (capacity == 0)
		return -ERANGE;
	struct building counted = {.at = TREE_PATH_LONGEST, .end = TREE_PATH_LONGEST};
	int rc = build(m, id, name, &counted);
	if (rc < 0)
		return rc;
	size_t length = counted.end - counted.at;
	struct building path = {.buffer = ret_path, .room = capacity - 1, .at = length, .end = length};
	rc = build(m, id, name, &path);
	if (rc < 0)
		return rc;
	ret_path[length < capacity ? length : capacity - 1] = '\0';
	*ret_length = length;
	return 0;
}

int tree_path(Meta *m, uint64_t id, char *ret_path, size_t capacity, size_t *ret_length) {
	return build_whole(m, id, bytes_of(NULL, 0), ret_path, capacity, ret_length);
}

static int prepend_former_of(Meta *m, struct building *path, uint64_t *id) {
	static const char sql[] = "SELECT parent, name FROM entry_past INDEXED BY entry_past_node WHERE node = ?"
	                          " ORDER BY ended DESC, id DESC LIMIT 1";
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, sql, &stmt, v_u64(*id));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	*id = column_u64(stmt, 0);
	return prepend(path, column_bytes(stmt, 1));
}

int tree_last_path(Meta *m, uint64_t id, char *ret_path, size_t capacity) {
	meta_assert_running(m);
	if (capacity == 0)
		return -ERANGE;
	struct building path = whole_in(ret_path, capacity);
	int rc = 0;
	for (bool is_directory = false; rc == 0 && id != NODE_ROOT; is_directory = true) {
		rc = prepend_entry_of(m, &path, &id, is_directory);
		if (rc == -ENOENT)
			rc = prepend_former_of(m, &path, &id);
	}
	if (rc == 0)
		(void)to_front(&path);
	return rc;
}

static bool is_after(uint64_t parent, struct bytes name, const struct tree_name *at) {
	if (parent != at->parent)
		return parent > at->parent;
	int order = memcmp(name.data, at->name, name.size < at->size ? name.size : at->size);
	return order > 0 || (order == 0 && name.size > at->size);
}

static int take_name(struct tree_name *at, uint64_t parent, struct bytes name) {
	if (name.size > sizeof at->name)
		return -EUCLEAN;
	at->parent = parent;
	at->size = name.size;
	memcpy(at->name, name.data, name.size);
	return 0;
}

/* The first name of the node after *at, in the database's order. */
static int next_name(Meta *m, uint64_t id, struct tree_name *at) {
	static const char sql[] =
	        "SELECT parent, name FROM entry INDEXED BY entry_node WHERE node = ?1 AND (parent, name) > (?2, ?3)"
	        " ORDER BY parent, name LIMIT 1";
	uint64_t parent;
	struct bytes name;
	if (is_known(m, id, false, &parent, &name))
		return is_after(parent, name, at) ? take_name(at, parent, name) : -ENOENT;
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, sql, &stmt, v_u64(id), v_u64(at->parent), v_blob(at->name, at->size));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	return take_name(at, column_u64(stmt, 0), column_bytes(stmt, 1));
}

int tree_next_path(Meta *m, uint64_t id, struct tree_name *at, char *ret_path, size_t capacity, size_t *ret_length) {
	int rc = next_name(m, id, at);
	if (rc < 0)
		return rc;
	return build_whole(m, at->parent, bytes_of(at->name, at->size), ret_path, capacity, ret_length);
}

int tree_path_of(Meta *m, uint64_t parent, struct bytes name, char *ret_path, size_t capacity, size_t *ret_length) {
	return build_whole(m, parent, name, ret_path, capacity, ret_length);
}
