/*
 * The tree held against a model: a seeded random run of operations, each with the answer that POSIX wants of it, with
 * some of them undone; then the whole tree, and the tree at each earlier commit, against the model's snapshots.
 * ASSAYFS_TEST_SEED chooses the run.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/backend/meta_fixture.h"

#define NODES_MAX 600
#define NAMES_MAX 600
#define COMMITS_MAX 60

struct model_node {
	uint64_t id, parent;
	uint32_t mode, nlink;
	uint64_t size;
	uint32_t versions;
};

struct model_name {
	uint64_t parent;
	char name[4];
	size_t node; /* index */
};

struct model {
	struct model_node nodes[NODES_MAX];
	size_t node_count;
	struct model_name names[NAMES_MAX];
	size_t name_count;
};

struct snapshot {
	uint64_t commit;
	int64_t time;
	struct model model;
};

struct run {
	struct fixture *f;
	uint64_t random;
	struct model model;
	struct snapshot *snapshots;
	size_t snapshot_count;
};

/* ---- the model ---- */

static struct model_name *find(struct model *m, uint64_t parent, const char *name) {
	for (size_t i = 0; i < m->name_count; i++)
		if (m->names[i].parent == parent && strcmp(m->names[i].name, name) == 0)
			return &m->names[i];
	return NULL;
}

static size_t children(const struct model *m, uint64_t parent) {
	size_t count = 0;
	for (size_t i = 0; i < m->name_count; i++)
		count += m->names[i].parent == parent;
	return count;
}

static struct model_node *by_id(struct model *m, uint64_t id) {
	for (size_t i = 0; i < m->node_count; i++)
		if (m->nodes[i].id == id)
			return &m->nodes[i];
	return NULL;
}

static bool below(struct model *m, uint64_t dir, uint64_t ancestor) {
	while (dir != ancestor && dir != NODE_LANDING)
		dir = by_id(m, dir)->parent;
	return dir == ancestor;
}

static void add_name(struct model *m, uint64_t parent, const char *name, size_t node) {
	struct model_name *n = &m->names[m->name_count++];
	n->parent = parent;
	strcpy(n->name, name);
	n->node = node;
}

static void remove_name(struct model *m, struct model_name *name) {
	*name = m->names[--m->name_count];
}

static bool is_dir(const struct model_node *node) {
	return S_ISDIR(node->mode);
}

static int model_create(struct model *m, uint64_t parent, const char *name, uint32_t mode) {
	if (by_id(m, parent)->nlink == 0)
		return -ENOENT;
	if (find(m, parent, name))
		return -EEXIST;
	m->nodes[m->node_count] =
	        (struct model_node){.parent = S_ISDIR(mode) ? parent : 0, .mode = mode, .nlink = S_ISDIR(mode) ? 2 : 1};
	if (S_ISDIR(mode))
		by_id(m, parent)->nlink++;
	add_name(m, parent, name, m->node_count++);
	return 0;
}

static int model_link(struct model *m, struct model_node *node, uint64_t parent, const char *name) {
	if (is_dir(node))
		return -EPERM;
	if (by_id(m, parent)->nlink == 0)
		return -ENOENT;
	if (find(m, parent, name))
		return -EEXIST;
	node->nlink++;
	add_name(m, parent, name, (size_t)(node - m->nodes));
	return 0;
}

static int model_remove(struct model *m, uint64_t parent, const char *name, bool want_dir) {
	struct model_name *n = find(m, parent, name);
	if (!n)
		return -ENOENT;
	struct model_node *node = &m->nodes[n->node];
	if (is_dir(node) != want_dir)
		return want_dir ? -ENOTDIR : -EISDIR;
	if (is_dir(node) && children(m, node->id))
		return -ENOTEMPTY;
	node->nlink = is_dir(node) ? 0 : node->nlink - 1;
	if (is_dir(node))
		by_id(m, parent)->nlink--;
	remove_name(m, n);
	return 0;
}

static int model_exchange(struct model *m, struct model_name *from, struct model_name *to) {
	struct model_node *a = &m->nodes[from->node], *b = &m->nodes[to->node];
	if (is_dir(a))
		by_id(m, from->parent)->nlink--, by_id(m, to->parent)->nlink++, a->parent = to->parent;
	if (is_dir(b))
		by_id(m, to->parent)->nlink--, by_id(m, from->parent)->nlink++, b->parent = from->parent;
	size_t swap = from->node;
	from->node = to->node;
	to->node = swap;
	return 0;
}

static int model_replace(struct model *m, struct model_name *from, uint64_t parent, const char *name) {
	struct model_name *to = find(m, parent, name);
	struct model_node *a = &m->nodes[from->node], *b = to ? &m->nodes[to->node] : NULL;
	if (b && is_dir(b) && !is_dir(a))
		return -EISDIR;
	if (b && !is_dir(b) && is_dir(a))
		return -ENOTDIR;
	if (b && is_dir(b) && children(m, b->id))
		return -ENOTEMPTY;
	if (b && is_dir(b))
		by_id(m, parent)->nlink--;
	if (b)
		b->nlink = is_dir(b) ? 0 : b->nlink - 1;
	if (is_dir(a)) {
		by_id(m, from->parent)->nlink--;
		by_id(m, parent)->nlink++;
		a->parent = parent;
	}
	size_t node = from->node;
	remove_name(m, from);
	to = find(m, parent, name);
	if (to)
		to->node = node;
	else
		add_name(m, parent, name, node);
	return 0;
}

static int model_rename(
        struct model *m, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name, unsigned flags) {
	struct model_name *from = find(m, parent, name), *to = find(m, new_parent, new_name);
	if (!from || by_id(m, new_parent)->nlink == 0)
		return -ENOENT;
	if (to && flags == RENAME_NOREPLACE)
		return -EEXIST;
	if (!to && flags == RENAME_EXCHANGE)
		return -ENOENT;
	if (is_dir(&m->nodes[from->node]) && below(m, new_parent, m->nodes[from->node].id))
		return -EINVAL;
	if (flags == RENAME_EXCHANGE && is_dir(&m->nodes[to->node]) && below(m, parent, m->nodes[to->node].id))
		return -EINVAL;
	if (to && to->node == from->node)
		return 0;
	return flags == RENAME_EXCHANGE ? model_exchange(m, from, to) : model_replace(m, from, new_parent, new_name);
}

/* ---- a step ---- */

static const char *random_name(struct run *r) {
	static const char *const names[] = {"a", "b", "c", "d", "e", "\xff"};
	return names[random_below(&r->random, 6)];
}

static uint64_t random_dir(struct run *r) {
	for (;;) {
		struct model_node *node = &r->model.nodes[random_below(&r->random, r->model.node_count)];
		/* Removed ones now and then. */
		if (is_dir(node) && (node->nlink > 0 || random_below(&r->random, 10) == 0))
			return node->id;
	}
}

static int step_create(struct run *r, struct model *next) {
	static const uint32_t modes[] = {
	        S_IFREG | 0644, S_IFREG | 0600, S_IFDIR | 0755, S_IFLNK | 0777, S_IFIFO | 0600};
	struct node attrs = {.mode = modes[random_below(&r->random, 5)]}, node;
	uint64_t parent = random_dir(r);
	const char *name = random_name(r);
	size_t made = next->node_count;
	int want = next->node_count < NODES_MAX - 1 ? model_create(next, parent, name, attrs.mode) : -EEXIST;
	if (next->node_count >= NODES_MAX - 1)
		return want;
	int rc = tree_create(r->f->m, parent, text(name), &attrs, text("x"), &node);
	assert_int_equal(rc, want);
	if (rc == 0) {
		next->nodes[made].id = node.id;
		next->nodes[made].size = S_ISLNK(attrs.mode) ? 1 : 0;
	}
	return rc;
}

static int step_link(struct run *r, struct model *next) {
	struct model_node *node = &next->nodes[random_below(&r->random, next->node_count)];
	uint64_t parent = random_dir(r);
	const char *name = random_name(r);
	struct node linked;
	int rc = tree_link(r->f->m, node->id, parent, text(name), &linked);
	assert_int_equal(rc, model_link(next, node, parent, name));
	return rc;
}

static int step_remove(struct run *r, struct model *next) {
	uint64_t parent = random_dir(r);
	const char *name = random_name(r);
	bool dir = random_below(&r->random, 2);
	struct node node;
	int rc = dir ? tree_rmdir(r->f->m, parent, text(name), &node) : tree_unlink(r->f->m, parent, text(name), &node);
	assert_int_equal(rc, model_remove(next, parent, name, dir));
	return rc;
}

static int step_rename(struct run *r, struct model *next) {
	static const unsigned flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	uint64_t from = random_dir(r), to = random_dir(r);
	const char *name = random_name(r), *new_name = random_name(r);
	unsigned flag = flags[random_below(&r->random, 4)];
	int rc = tree_rename(r->f->m, from, text(name), to, text(new_name), flag, NULL);
	assert_int_equal(rc, model_rename(next, from, name, to, new_name, flag));
	return rc;
}

static int step_seal(struct run *r, struct model *next) {
	struct model_node *node = &next->nodes[random_below(&r->random, next->node_count)];
	if (!S_ISREG(node->mode))
		return -EINVAL;
	struct node now;
	struct version draft, sealed;
	node->size = random_below(&r->random, 1000000);
	struct block_ref ref = ref_of((uint32_t)random_next(&r->random));
	assert_int_equal(tree_get(r->f->m, node->id, &now), 0);
	assert_int_equal(version_draft(r->f->m, node->id, now.version, ZONE_LANDING, &draft), 0);
	assert_int_equal(version_map_put(r->f->m, draft.id, random_below(&r->random, 4), &ref, 1), 0);
	assert_int_equal(version_set_size(r->f->m, draft.id, node->size), 0);
	assert_int_equal(version_seal(r->f->m, draft.id, ORIGIN_WRITE, 0, NULL, &sealed), 0);
	assert_int_equal(sealed.number, ++node->versions);
	return 0;
}

/* ---- what is remembered ---- */

/* In an operation: a folder's names, and those that are not there, are as the model has them. */
static void check_names(struct run *r, struct model *model) {
	static const char *const names[] = {"a", "b", "c", "d", "e", "\xff"};
	uint64_t dir = random_dir(r);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct model_name *want = find(model, dir, names[i]);
		struct node node = {0};
		assert_int_equal(tree_lookup(r->f->m, dir, text(names[i]), &node), want ? 0 : -ENOENT);
		if (want)
			assert_int_equal(node.id, model->nodes[want->node].id);
		if (want)
			assert_int_equal(node.nlink, model->nodes[want->node].nlink);
	}
}

/* A path of the node is one that the model has. */
static void check_path(struct run *r, struct model *model) {
	size_t at = random_below(&r->random, model->node_count);
	struct model_node *node = &model->nodes[at];
	char path[TREE_PATH_MAX];
	int rc = tree_path(r->f->m, node->id, path, sizeof path, NULL);
	assert_int_equal(rc, node->nlink > 0 ? 0 : -ENOENT);
	if (rc < 0 || node->id == NODE_LANDING)
		return;
	char *slash = strrchr(path, '/');
	assert_non_null(slash);
	*slash = '\0';
	struct node parent;
	assert_int_equal(tree_resolve(r->f->m, text(path), &parent), 0);
	struct model_name *name = find(model, parent.id, slash + 1);
	assert_non_null(name);
	assert_int_equal(name->node, at);
}

static void check_remembered(struct run *r, struct model *model) {
	for (int i = 0; i < 3; i++) {
		check_names(r, model);
		check_path(r, model);
	}
}

static void step(struct run *r) {
	static int (*const steps[])(struct run *, struct model *) = {
	        step_create, step_create, step_create, step_link, step_remove, step_rename, step_rename, step_seal};
	static struct model next;
	next = r->model;
	meta_begin(r->f->m);
	check_remembered(r, &r->model);
	int rc = steps[random_below(&r->random, 8)](r, &next);
	if (rc == 0)
		check_remembered(r, &next);
	bool undo = rc == 0 && random_below(&r->random, 8) == 0;
	if (undo)
		rc = -ECANCELED;
	assert_int_equal(meta_end(r->f->m, rc), rc);
	if (rc == 0)
		r->model = next;
	meta_begin(r->f->m);
	check_remembered(r, &r->model);
	assert_int_equal(meta_end(r->f->m, 0), 0);
}

/* ---- comparing ---- */

struct comparison {
	struct model *model;
	uint64_t parent;
	size_t count;
	bool past;
};

static int compare_name(void *arg, struct bytes name, uint64_t cookie, const struct node *node) {
	struct comparison *c = arg;
	char text[4] = {0};
	assert_true(cookie > 0 && name.size < sizeof text);
	memcpy(text, name.data, name.size);
	struct model_name *want = find(c->model, c->parent, text);
	assert_non_null(want);
	struct model_node *want_node = &c->model->nodes[want->node];
	assert_int_equal(node->id, want_node->id);
	assert_int_equal(node->mode, want_node->mode);
	assert_int_equal(node->size, want_node->size);
	assert_int_equal(node->version != 0, want_node->versions != 0);
	if (!c->past) {
		assert_int_equal(node->nlink, want_node->nlink);
		assert_int_equal(node->parent, want_node->parent);
	}
	c->count++;
	return 0;
}

static void compare_lookups(struct run *r, struct model *model, uint64_t commit) {
	struct node node;
	for (size_t i = 0; i < model->name_count; i++) {
		struct model_name *name = &model->names[i];
		int rc = commit ? tree_lookup_at(r->f->m, name->parent, text(name->name), commit, &node)
		                : tree_lookup(r->f->m, name->parent, text(name->name), &node);
		assert_int_equal(rc, 0);
		assert_int_equal(node.id, model->nodes[name->node].id);
		assert_int_equal(node.size, model->nodes[name->node].size);
	}
}

/* commit 0: now. */
static void compare(struct run *r, struct model *model, uint64_t commit) {
	meta_begin(r->f->m);
	for (size_t i = 0; i < r->model.node_count; i++) {
		if (!is_dir(&r->model.nodes[i]))
			continue;
		struct comparison c = {.model = model, .parent = r->model.nodes[i].id, .past = commit != 0};
		int rc = commit ? tree_list_at(r->f->m, c.parent, commit, 0, 0, compare_name, &c, NULL)
		                : tree_list(r->f->m, c.parent, 0, 0, compare_name, &c, NULL);
		assert_int_equal(rc, 0);
		assert_int_equal(c.count, children(model, c.parent));
	}
	compare_lookups(r, model, commit);
	meta_end(r->f->m, 0);
}

static void compare_counts(struct run *r) {
	struct tree_counts counts;
	size_t dirs = 3; /* root, Raw, Trusted; Landing is the model's first */
	for (size_t i = 0; i < r->model.node_count; i++)
		dirs += is_dir(&r->model.nodes[i]);
	meta_begin(r->f->m);
	assert_int_equal(tree_statfs(r->f->m, &counts), 0);
	meta_end(r->f->m, 0);
	assert_int_equal(counts.nodes, r->model.node_count + 3);
	assert_int_equal(counts.directories, dirs);
	assert_int_equal(counts.names, r->model.name_count + 3);
}

static void snapshot(struct run *r) {
	struct meta_committed done;
	meta_begin(r->f->m);
	assert_int_equal(meta_commit(r->f->m, 0, &done), 0);
	struct snapshot *s = &r->snapshots[r->snapshot_count++];
	s->commit = done.commit;
	s->time = done.time_ns;
	s->model = r->model;
}

static void compare_history(struct run *r) {
	for (size_t i = 0; i < r->snapshot_count; i++) {
		uint64_t commit = 0;
		meta_begin(r->f->m);
		assert_int_equal(meta_commit_at(r->f->m, r->snapshots[i].time, &commit), 0);
		meta_end(r->f->m, 0);
		assert_int_equal(commit, r->snapshots[i].commit);
		compare(r, &r->snapshots[i].model, commit);
	}
}

static void a_random_run_is_what_the_model_says_now_and_at_every_commit(void **state) {
	struct fixture *f = *state;
	const char *given = getenv("ASSAYFS_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : UINT64_C(20261123);
	print_message("seed %" PRIu64 "\n", seed);
	struct run *r = calloc(1, sizeof *r);
	r->f = f;
	r->random = seed;
	r->snapshots = calloc(COMMITS_MAX + 1, sizeof *r->snapshots);
	r->model.nodes[0] =
	        (struct model_node){.id = NODE_LANDING, .parent = NODE_ROOT, .mode = S_IFDIR | 0755, .nlink = 2};
	r->model.node_count = 1;
	for (size_t i = 0; i < 3000; i++) {
		step(r);
		if (random_below(&r->random, 60) == 0 && r->snapshot_count < COMMITS_MAX)
			snapshot(r);
		if (i % 500 == 499) {
			compare(r, &r->model, 0);
			compare_counts(r);
		}
	}
	snapshot(r);
	fixture_reopen(f);
	compare(r, &r->model, 0);
	compare_counts(r);
	compare_history(r);
	free(r->snapshots);
	free(r);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                a_random_run_is_what_the_model_says_now_and_at_every_commit, fixture_setup, fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
