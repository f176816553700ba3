#include "fs/used_names.h"

#include <string.h>

static struct used_name *find(struct used_names *names, int32_t thread, uint64_t node) {
	for (size_t i = 0; i < USED_NAMES; i++)
		if (names->ring[i].thread == thread && names->ring[i].node == node)
			return &names->ring[i];
	return NULL;
}

void used_names_note(struct used_names *names, int32_t thread, uint64_t node, uint64_t parent, struct bytes name) {
	if (thread == 0 || name.size > sizeof names->ring[0].name.name)
		return;
	pthread_mutex_lock(&names->lock);
	struct used_name *place = find(names, thread, node);
	if (!place) {
		place = &names->ring[names->next];
		names->next = (names->next + 1) % USED_NAMES;
	}
	place->thread = thread;
	place->node = node;
	place->name.parent = parent;
	place->name.size = name.size;
	memcpy(place->name.name, name.data, name.size);
	pthread_mutex_unlock(&names->lock);
}

void used_names_drop(struct used_names *names, int32_t thread, uint64_t node) {
	pthread_mutex_lock(&names->lock);
	struct used_name *found = thread ? find(names, thread, node) : NULL;
	if (found)
		found->thread = 0;
	pthread_mutex_unlock(&names->lock);
}

bool used_names_find(struct used_names *names, int32_t thread, uint64_t node, struct tree_name *ret_name) {
	pthread_mutex_lock(&names->lock);
	const struct used_name *found = thread ? find(names, thread, node) : NULL;
	if (found)
		*ret_name = found->name;
	pthread_mutex_unlock(&names->lock);
	return found != NULL;
}
