#include "backend/draft_set.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "crypto/base/fault.h"

/* Open addressing; a power of two, at most half full. */
struct DraftSet {
	pthread_mutex_t lock;
	uint64_t *slots; /* 0: free */
	size_t room, count;
};

#define ROOM_FIRST 64u

int draft_set_new(DraftSet **ret) {
	_cleanup_(freep) DraftSet *set = calloc(1, sizeof *set);
	if (set)
		set->slots = calloc(ROOM_FIRST, sizeof *set->slots);
	if (!set || !set->slots)
		return fault(ENOMEM, "no memory for the set of drafts");
	set->room = ROOM_FIRST;
	pthread_mutex_init(&set->lock, NULL);
	*ret = steal_pointer(&set);
	return 0;
}

void draft_set_free(DraftSet *set) {
	if (!set)
		return;
	pthread_mutex_destroy(&set->lock);
	free(set->slots);
	free(set);
}

static size_t home(const DraftSet *set, uint64_t node) {
	return (size_t)(node * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (set->room - 1);
}

/* Where it is, or the free slot where it would be. */
static size_t find(const DraftSet *set, uint64_t node) {
	size_t at = home(set, node);
	while (set->slots[at] != 0 && set->slots[at] != node)
		at = (at + 1) & (set->room - 1);
	return at;
}

static int grow(DraftSet *set) {
	DraftSet larger = {.room = set->room * 2};
	larger.slots = calloc(larger.room, sizeof *larger.slots);
	if (!larger.slots)
		return fault(ENOMEM, "no memory for %zu drafts", set->count);
	for (size_t i = 0; i < set->room; i++)
		if (set->slots[i])
			larger.slots[find(&larger, set->slots[i])] = set->slots[i];
	free(set->slots);
	set->slots = larger.slots;
	set->room = larger.room;
	return 0;
}

int draft_set_add(DraftSet *set, uint64_t node) {
	pthread_mutex_lock(&set->lock);
	int rc = set->slots[find(set, node)] == node ? -EEXIST : 0;
	if (rc == 0 && 2 * (set->count + 1) > set->room)
		rc = grow(set);
	if (rc == 0) {
		set->slots[find(set, node)] = node;
		set->count++;
	}
	pthread_mutex_unlock(&set->lock);
	return rc;
}

bool draft_set_has(DraftSet *set, uint64_t node) {
	pthread_mutex_lock(&set->lock);
	bool has = set->slots[find(set, node)] == node;
	pthread_mutex_unlock(&set->lock);
	return has;
}

void draft_set_remove(DraftSet *set, uint64_t node) {
	pthread_mutex_lock(&set->lock);
	size_t hole = find(set, node);
	if (set->slots[hole] == node) {
		set->count--;
		set->slots[hole] = 0;
		/* Who was put further on because of it moves up, so that nobody stands behind a free slot. */
		for (size_t at = (hole + 1) & (set->room - 1); set->slots[at]; at = (at + 1) & (set->room - 1)) {
			uint64_t moved = set->slots[at];
			set->slots[at] = 0;
			set->slots[find(set, moved)] = moved;
		}
	}
	pthread_mutex_unlock(&set->lock);
}
