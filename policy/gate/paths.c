#include "policy/gate/internal.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *gate_below(const char *path, enum zone *ret_zone) {
	for (enum zone zone = ZONE_LANDING; zone <= ZONE_TRUSTED; zone++) {
		const char *name = zone_name(zone);
		size_t length = strlen(name);
		if (strncmp(path, name, length) == 0 && path[length] == '/' && path[length + 1] != '\0') {
			if (ret_zone)
				*ret_zone = zone;
			return path + length + 1;
		}
	}
	return NULL;
}

static uint64_t zone_node(enum zone zone) {
	switch (zone) {
	case ZONE_LANDING:
		return NODE_LANDING;
	case ZONE_RAW:
		return NODE_RAW;
	case ZONE_TRUSTED:
		return NODE_TRUSTED;
	case ZONE_NONE:
	case ZONE_STAGING:
		break;
	}
	return NODE_ROOT;
}

static int make_directory(Meta *m, uint64_t parent, struct bytes name, const struct node *owner, uint64_t *ret_id) {
	struct node found;
	int rc = tree_lookup(m, parent, name, &found);
	if (rc == -ENOENT) {
		struct node directory = {.mode = S_IFDIR | 0755, .uid = owner->uid, .gid = owner->gid};
		rc = tree_create(m, parent, name, &directory, (struct bytes){0}, &found);
	}
	if (rc < 0)
		return rc;
	if (!S_ISDIR(found.mode))
		return fault(ENOTDIR, "%.*s is no directory", (int)name.size, (const char *)name.data);
	*ret_id = found.id;
	return 0;
}

int gate_make_parents(Meta *m, enum zone zone, const char *below, const struct node *owner, uint64_t *ret_parent,
        struct bytes *ret_name) {
	uint64_t parent = zone_node(zone);
	const char *from = below;
	for (const char *slash; (slash = strchr(from, '/')); from = slash + 1) {
		int rc = make_directory(m, parent, bytes_of(from, (size_t)(slash - from)), owner, &parent);
		if (rc < 0)
			return fault_while(rc, "making the directories of %s/%s", zone_name(zone), below);
	}
	*ret_parent = parent;
	*ret_name = bytes_of_string(from);
	return 0;
}

/* ---- walking: names are copied out of the list call a batch at a time, since its callback may not call the Meta ----
 */

enum { WALK_BATCH = 256 };

struct walk_entry {
	char name[TREE_NAME_MAX + 1];
	struct node node;
};

struct walk_batch {
	struct walk_entry *entries;
	size_t count;
	uint64_t cookie;
};

static int walk_copy(void *arg, struct bytes name, uint64_t cookie, const struct node *node) {
	struct walk_batch *batch = arg;
	struct walk_entry *entry = &batch->entries[batch->count++];
	memcpy(entry->name, name.data, name.size);
	entry->name[name.size] = '\0';
	entry->node = *node;
	batch->cookie = cookie;
	return 0;
}

/* A directory that is still to be walked. A list and no recursion: how deep directories lie is up to users. */
struct walk_directory {
	struct walk_directory *next;
	uint64_t node;
	char path[];
};

struct walk {
	Store *store;
	gate_file_fn *each;
	void *arg;
	struct walk_directory *left;
	struct walk_batch batch;
};

static int walk_push(struct walk *walk, uint64_t node, const char *path) {
	size_t size = strlen(path) + 1;
	struct walk_directory *directory = malloc(sizeof *directory + size);
	if (!directory)
		return fault(ENOMEM, "listing %s", path);
	directory->node = node;
	memcpy(directory->path, path, size);
	directory->next = walk->left;
	walk->left = directory;
	return 0;
}

static int walk_entry(struct walk *walk, const struct walk_directory *directory, const struct walk_entry *entry) {
	char path[TREE_PATH_MAX];
	int length = snprintf(path, sizeof path, "%s/%s", directory->path, entry->name);
	if (length < 0 || (size_t)length >= sizeof path)
		return 0; /* longer than any path that a job could name */
	if (S_ISDIR(entry->node.mode))
		return walk_push(walk, entry->node.id, path);
	return S_ISREG(entry->node.mode) ? walk->each(walk->arg, path, &entry->node) : 0;
}

static int walk_directory(struct walk *walk, const struct walk_directory *directory) {
	struct walk_batch *batch = &walk->batch;
	Meta *m = store_meta(walk->store);
	int rc;
	batch->cookie = 0;
	do {
		batch->count = 0;
		meta_begin(m);
		rc = meta_end(m, tree_list(m, directory->node, batch->cookie, WALK_BATCH, walk_copy, batch, NULL));
		for (size_t i = 0; rc >= 0 && i < batch->count; i++)
			rc = walk_entry(walk, directory, &batch->entries[i]);
	} while (rc >= 0 && batch->count == WALK_BATCH);
	return rc;
}

int gate_walk(Store *store, uint64_t directory, const char *prefix, gate_file_fn *each, void *arg) {
	_cleanup_(freep) struct walk_entry *entries = calloc(WALK_BATCH, sizeof *entries);
	if (!entries)
		return fault(ENOMEM, "listing %s", prefix);
	struct walk walk = {.store = store, .each = each, .arg = arg, .batch.entries = entries};
	int rc = walk_push(&walk, directory, prefix);
	while (walk.left) {
		struct walk_directory *next = walk.left;
		walk.left = next->next;
		if (rc >= 0)
			rc = walk_directory(&walk, next);
		free(next);
	}
	return rc;
}

/* ---- one thread a path ---- */

struct busy_path {
	struct busy_path *next;
	char below[];
};

static bool is_busy(const Gate *gate, const char *below) {
	for (const struct busy_path *b = gate->busy; b; b = b->next)
		if (strcmp(b->below, below) == 0)
			return true;
	return false;
}

/* With the lock held. A handful of paths at most: as many as there are threads and writers at their close. */
static bool busy_add(Gate *gate, const char *below) {
	size_t size = strlen(below) + 1;
	struct busy_path *busy = malloc(sizeof *busy + size);
	if (!busy)
		return false;
	memcpy(busy->below, below, size);
	busy->next = gate->busy;
	gate->busy = busy;
	return true;
}

bool gate_path_try(Gate *gate, const char *below) {
	pthread_mutex_lock(&gate->lock);
	bool taken = !is_busy(gate, below) && busy_add(gate, below);
	pthread_mutex_unlock(&gate->lock);
	return taken;
}

int gate_path_take(Gate *gate, const char *below) {
	int rc = 0;
	pthread_mutex_lock(&gate->lock);
	while (is_busy(gate, below))
		pthread_cond_wait(&gate->wake, &gate->lock);
	if (!busy_add(gate, below))
		rc = fault(ENOMEM, "judging Trusted/%s", below);
	pthread_mutex_unlock(&gate->lock);
	return rc;
}

void gate_path_done(Gate *gate, const char *below) {
	pthread_mutex_lock(&gate->lock);
	for (struct busy_path **slot = &gate->busy; *slot; slot = &(*slot)->next)
		if (strcmp((*slot)->below, below) == 0) {
			struct busy_path *gone = *slot;
			*slot = gone->next;
			free(gone);
			break;
		}
	pthread_cond_broadcast(&gate->wake);
	pthread_mutex_unlock(&gate->lock);
}
