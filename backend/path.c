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

/* Puts "name" or "name/" before what stands from `*at` on. */
static int prepend(char *buffer, size_t *at, size_t end, struct bytes name) {
	size_t need = name.size + (*at < end ? 1 : 0);
	if (need > *at)
		return -ERANGE;
	if (*at < end)
		buffer[--*at] = '/';
	*at -= name.size;
	memcpy(buffer + *at, name.data, name.size);
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

static int prepend_entry_of(Meta *m, char *buffer, size_t *at, size_t end, uint64_t *id, bool is_directory) {
	struct bytes name;
	if (is_known(m, *id, is_directory, id, &name))
		return prepend(buffer, at, end, name);
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
	return prepend(buffer, at, end, name);
}

/* The path of `id`, then "/" and `name` when that is not empty, built from the end. */
static int build(Meta *m, uint64_t id, struct bytes name, char *ret_path, size_t capacity, size_t *ret_length) {
	meta_assert_running(m);
	if (capacity == 0)
		return -ERANGE;
	size_t end = capacity - 1, at = end;
	int rc = name.size ? prepend(ret_path, &at, end, name) : 0;
	/* What something lies in is a directory, which has one name. */
	for (bool is_directory = name.size > 0; rc == 0 && id != NODE_ROOT; is_directory = true)
		rc = prepend_entry_of(m, ret_path, &at, end, &id, is_directory);
	if (rc < 0)
		return rc;
	memmove(ret_path, ret_path + at, end - at);
	ret_path[end - at] = '\0';
	if (ret_length)
		*ret_length = end - at;
	return 0;
}

int tree_path(Meta *m, uint64_t id, char *ret_path, size_t capacity, size_t *ret_length) {
	return build(m, id, bytes_of(NULL, 0), ret_path, capacity, ret_length);
}

static int prepend_former_of(Meta *m, char *buffer, size_t *at, size_t end, uint64_t *id) {
	static const char sql[] = "SELECT parent, name FROM entry_past INDEXED BY entry_past_node WHERE node = ?"
	                          " ORDER BY ended DESC, id DESC LIMIT 1";
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, sql, &stmt, v_u64(*id));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	*id = column_u64(stmt, 0);
	return prepend(buffer, at, end, column_bytes(stmt, 1));
}

int tree_last_path(Meta *m, uint64_t id, char *ret_path, size_t capacity) {
	meta_assert_running(m);
	size_t end = capacity - 1, at = end;
	int rc = capacity > 0 ? 0 : -ERANGE;
	for (bool is_directory = false; rc == 0 && id != NODE_ROOT; is_directory = true) {
		rc = prepend_entry_of(m, ret_path, &at, end, &id, is_directory);
		if (rc == -ENOENT)
			rc = prepend_former_of(m, ret_path, &at, end, &id);
	}
	if (rc < 0)
		return rc;
	memmove(ret_path, ret_path + at, end - at);
	ret_path[end - at] = '\0';
	return 0;
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
	return build(m, at->parent, bytes_of(at->name, at->size), ret_path, capacity, ret_length);
}

int tree_path_of(Meta *m, uint64_t parent, struct bytes name, char *ret_path, size_t capacity, size_t *ret_length) {
	return build(m, parent, name, ret_path, capacity, ret_length);
}
