#include "fs/virtual.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "crypto/base/fault.h"
#include "fs/filesystem.h"
#include "fs/virtual/providers.h"

static const struct virtual_provider *const providers[] = {
        &virtual_versions,
        &virtual_at,
        &virtual_audit,
        &virtual_verdicts,
        &virtual_policy,
        &virtual_quarantine,
        &virtual_status,
        &virtual_metrics,
};
#define PROVIDERS (sizeof providers / sizeof providers[0])

/* ---- numbers of paths ---- */

#define BUCKETS 4096u

struct vnode {
	uint64_t ino, lookups;
	struct vnode *newer, *older;
	struct vnode *next_by_ino, *next_by_path;
	uint32_t hash;
	char path[];
};

struct VirtualTree {
	pthread_mutex_t lock; /* guards the rest; innermost */
	uint64_t last_ino;
	size_t count;
	struct vnode *newest, *oldest; /* in the order of making, or of the last try to be rid of them */
	struct vnode *by_ino[BUCKETS], *by_path[BUCKETS];
};

int virtual_tree_new(VirtualTree **ret) {
	VirtualTree *tree = calloc(1, sizeof *tree);
	if (!tree)
		return fault(ENOMEM, "the tree " VIRTUAL_ROOT_NAME);
	pthread_mutex_init(&tree->lock, NULL);
	*ret = tree;
	return 0;
}

void virtual_tree_free(VirtualTree *tree) {
	if (!tree)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while (tree->by_ino[i]) {
			struct vnode *node = tree->by_ino[i];
			tree->by_ino[i] = node->next_by_ino;
			free(node);
		}
	pthread_mutex_destroy(&tree->lock);
	free(tree);
}

/* FNV-1a: names here are few and nobody gains by collisions but his own slower look-ups. */
static uint32_t hash_path(const char *path) {
	uint32_t hash = 2166136261u;
	for (; *path; path++)
		hash = (hash ^ (uint8_t)*path) * 16777619u;
	return hash;
}

static void age_add(VirtualTree *tree, struct vnode *node) {
	node->newer = NULL;
	node->older = tree->newest;
	*(tree->newest ? &tree->newest->newer : &tree->oldest) = node;
	tree->newest = node;
}

static void age_remove(VirtualTree *tree, struct vnode *node) {
	*(node->newer ? &node->newer->older : &tree->newest) = node->older;
	*(node->older ? &node->older->newer : &tree->oldest) = node->newer;
}

static struct vnode *new_vnode(VirtualTree *tree, const char *path, uint32_t hash) {
	size_t length = strlen(path);
	struct vnode *node = calloc(1, sizeof *node + length + 1);
	if (!node)
		return NULL;
	memcpy(node->path, path, length + 1);
	node->hash = hash;
	node->ino = VIRTUAL_INO_BIT | ++tree->last_ino;
	node->next_by_path = tree->by_path[hash % BUCKETS];
	tree->by_path[hash % BUCKETS] = node;
	node->next_by_ino = tree->by_ino[node->ino % BUCKETS];
	tree->by_ino[node->ino % BUCKETS] = node;
	age_add(tree, node);
	tree->count++;
	return node;
}

static struct vnode *find_path(VirtualTree *tree, const char *path, uint32_t hash) {
	struct vnode *node = tree->by_path[hash % BUCKETS];
	while (node && (node->hash != hash || strcmp(node->path, path) != 0))
		node = node->next_by_path;
	return node;
}

int virtual_ino(VirtualTree *tree, const char *path, uint64_t *ret_ino) {
	uint32_t hash = hash_path(path);
	pthread_mutex_lock(&tree->lock);
	struct vnode *node = find_path(tree, path, hash);
	if (!node)
		node = new_vnode(tree, path, hash);
	if (node) {
		node->lookups++;
		*ret_ino = node->ino;
	}
	pthread_mutex_unlock(&tree->lock);
	return node ? 0 : -ENOMEM;
}

/* With the lock held: the name of a node, and the number of the directory that it is in; false when that is not known.
 */
static bool take_apart(
        VirtualTree *tree, const struct vnode *node, uint64_t *ret_parent, char ret_name[static TREE_NAME_MAX + 1]) {
	char above[VIRTUAL_PATH_MAX];
	const char *slash = strrchr(node->path, '/');
	size_t length = slash ? (size_t)(slash - node->path) : 0, name = slash ? strlen(slash + 1) : 0;
	if (!slash || length >= sizeof above || name > TREE_NAME_MAX)
		return false; /* the roots of the tree are few, and always in use */
	memcpy(above, node->path, length);
	above[length] = '\0';
	const struct vnode *parent = find_path(tree, above, hash_path(above));
	if (!parent)
		return false;
	*ret_parent = parent->ino;
	memcpy(ret_name, slash + 1, name + 1);
	return true;
}

bool virtual_surplus(VirtualTree *tree, uint64_t *ret_parent, char ret_name[static TREE_NAME_MAX + 1]) {
	pthread_mutex_lock(&tree->lock);
	struct vnode *node = tree->count > VIRTUAL_NODES_MAX ? tree->oldest : NULL;
	if (node) { /* if it is in use its turn comes again */
		age_remove(tree, node);
		age_add(tree, node);
	}
	bool found = node && take_apart(tree, node, ret_parent, ret_name);
	pthread_mutex_unlock(&tree->lock);
	return found;
}

size_t virtual_count(VirtualTree *tree) {
	pthread_mutex_lock(&tree->lock);
	size_t count = tree->count;
	pthread_mutex_unlock(&tree->lock);
	return count;
}

static struct vnode **slot_of(VirtualTree *tree, uint64_t ino) {
	struct vnode **slot = &tree->by_ino[ino % BUCKETS];
	while (*slot && (*slot)->ino != ino)
		slot = &(*slot)->next_by_ino;
	return slot;
}

void virtual_forget(VirtualTree *tree, uint64_t ino, uint64_t lookups) {
	pthread_mutex_lock(&tree->lock);
	struct vnode **slot = slot_of(tree, ino);
	struct vnode *node = *slot;
	if (node && node->lookups <= lookups) {
		*slot = node->next_by_ino;
		struct vnode **other = &tree->by_path[node->hash % BUCKETS];
		while (*other != node)
			other = &(*other)->next_by_path;
		*other = node->next_by_path;
		age_remove(tree, node);
		tree->count--;
		free(node);
	} else if (node) {
		node->lookups -= lookups;
	}
	pthread_mutex_unlock(&tree->lock);
}

int virtual_path(VirtualTree *tree, uint64_t ino, char ret_path[static VIRTUAL_PATH_MAX]) {
	pthread_mutex_lock(&tree->lock);
	const struct vnode *node = *slot_of(tree, ino);
	size_t length = node ? strlen(node->path) : 0;
	bool fits = node && length < VIRTUAL_PATH_MAX;
	if (fits)
		memcpy(ret_path, node->path, length + 1);
	pthread_mutex_unlock(&tree->lock);
	return fits ? 0 : -ESTALE;
}

/* ---- providers ---- */

static const struct virtual_provider *provider_of(const char *path, const char **ret_rest) {
	size_t length = strcspn(path, "/");
	for (size_t i = 0; i < PROVIDERS; i++) {
		const char *name = providers[i]->name;
		if (strlen(name) == length && memcmp(name, path, length) == 0) {
			*ret_rest = path[length] ? path + length + 1 : path + length;
			return providers[i];
		}
	}
	return NULL;
}

enum policy_place virtual_place(const char *path) {
	static const struct {
		const char *name;
		enum policy_place place;
	} places[] = {{"audit", PLACE_AUDIT}, {"quarantine", PLACE_QUARANTINE}, {"policy", PLACE_POLICY}};
	size_t length = strcspn(path, "/");
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		if (strlen(places[i].name) == length && memcmp(places[i].name, path, length) == 0)
			return places[i].place;
	return PLACE_COUNT;
}

int virtual_stat(struct filesystem *fs, const char *path, struct node *ret) {
	if (path[0] == '\0') {
		*ret = (struct node){.mode = S_IFDIR | 0555, .uid = fs->owner_uid, .gid = fs->owner_gid};
		return 0;
	}
	const char *rest;
	const struct virtual_provider *provider = provider_of(path, &rest);
	return provider ? provider->stat(fs, rest, ret) : -ENOENT;
}

static int list_providers(struct filesystem *fs, virtual_emit_fn emit, void *arg) {
	int rc = 0;
	for (size_t i = 0; i < PROVIDERS && rc == 0; i++) {
		struct node node;
		if (providers[i]->stat(fs, "", &node) == 0)
			rc = emit(arg, bytes_of_string(providers[i]->name), node.mode);
	}
	return rc;
}

int virtual_list(struct filesystem *fs, const char *path, virtual_emit_fn emit, void *arg) {
	if (path[0] == '\0')
		return list_providers(fs, emit, arg);
	const char *rest;
	const struct virtual_provider *provider = provider_of(path, &rest);
	if (!provider)
		return -ENOENT;
	return provider->list ? provider->list(fs, rest, emit, arg) : 0;
}

int virtual_open(struct filesystem *fs, const char *path, struct virtual_reader reader, struct virtual_file *ret) {
	const char *rest;
	const struct virtual_provider *provider = provider_of(path, &rest);
	*ret = (struct virtual_file){.reader = reader};
	return provider ? provider->open(fs, rest, ret) : -ENOENT;
}

int virtual_readlink(struct filesystem *fs, const char *path, char *ret_target, size_t capacity, size_t *ret_length) {
	const char *rest;
	const struct virtual_provider *provider = provider_of(path, &rest);
	if (!provider || !provider->readlink)
		return -EINVAL;
	return provider->readlink(fs, rest, ret_target, capacity, ret_length);
}

void virtual_file_close(struct virtual_file *file) {
	free(file->text);
	content_close(file->content);
	if (file->close)
		file->close(file->state);
	*file = (struct virtual_file){0};
}
