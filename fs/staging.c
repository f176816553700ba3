#include "fs/staging.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A list: there are as many as files being written into Trusted at this moment. */
struct entry {
	struct entry *next;
	struct staged staged;
};

struct Staging {
	pthread_mutex_t lock;
	struct entry *first;
};

int staging_new(Staging **ret_staging) {
	Staging *staging = calloc(1, sizeof *staging);
	if (!staging)
		return fault(ENOMEM, "preparing the staging of Trusted");
	pthread_mutex_init(&staging->lock, NULL);
	*ret_staging = staging;
	return 0;
}

void staging_free(Staging *staging) {
	if (!staging)
		return;
	for (struct entry *e = staging->first; e;) {
		struct entry *gone = e;
		e = e->next;
		free(gone);
	}
	pthread_mutex_destroy(&staging->lock);
	free(staging);
}

int staging_add(Staging *staging, const struct staged *staged) {
	struct entry *e = malloc(sizeof *e);
	if (!e)
		return fault(ENOMEM, "staging a file of Trusted");
	e->staged = *staged;
	pthread_mutex_lock(&staging->lock);
	e->next = staging->first;
	staging->first = e;
	pthread_mutex_unlock(&staging->lock);
	return 0;
}

static bool has_name(const struct staged *s, uint64_t parent, struct bytes name) {
	return s->parent == parent && strlen(s->name) == name.size && memcmp(s->name, name.data, name.size) == 0;
}

bool staging_meet(Staging *staging, uint64_t parent, struct bytes name, uint32_t uid, int32_t thread, int64_t since_ns,
        struct staged *ret_staged) {
	struct entry *met = NULL;
	pthread_mutex_lock(&staging->lock);
	for (struct entry *e = staging->first; e; e = e->next) {
		if (!has_name(&e->staged, parent, name) || e->staged.uid != uid)
			continue;
		if (e->staged.thread != 0 && e->staged.thread == thread && e->staged.made_ns >= since_ns) {
			met = e;
			break;
		}
		if (!e->staged.governed && e->staged.thread == 0 && !met)
			met = e;
	}
	if (met)
		*ret_staged = met->staged;
	pthread_mutex_unlock(&staging->lock);
	return met != NULL;
}

static struct entry *entry_of(Staging *staging, uint64_t node) {
	struct entry *e = staging->first;
	while (e && e->staged.node != node)
		e = e->next;
	return e;
}

bool staging_find(Staging *staging, uint64_t node, struct staged *ret_staged) {
	pthread_mutex_lock(&staging->lock);
	struct entry *e = entry_of(staging, node);
	if (e)
		*ret_staged = e->staged;
	pthread_mutex_unlock(&staging->lock);
	return e != NULL;
}

void staging_opened(Staging *staging, uint64_t node) {
	pthread_mutex_lock(&staging->lock);
	struct entry *e = entry_of(staging, node);
	if (e)
		e->staged.thread = 0;
	pthread_mutex_unlock(&staging->lock);
}

bool staging_take_base(Staging *staging, uint64_t node, uint64_t *ret_base_node, uint64_t *ret_base_version) {
	pthread_mutex_lock(&staging->lock);
	struct entry *e = entry_of(staging, node);
	bool has_base = e && e->staged.base_node != 0;
	if (has_base) {
		*ret_base_node = e->staged.base_node;
		*ret_base_version = e->staged.base_version;
		e->staged.base_node = 0;
	}
	pthread_mutex_unlock(&staging->lock);
	return has_base;
}

void staging_rename(Staging *staging, uint64_t node, uint64_t parent, struct bytes name) {
	pthread_mutex_lock(&staging->lock);
	struct entry *e = entry_of(staging, node);
	if (e && name.size <= TREE_NAME_MAX) {
		e->staged.parent = parent;
		memcpy(e->staged.name, name.data, name.size);
		e->staged.name[name.size] = '\0';
	}
	pthread_mutex_unlock(&staging->lock);
}

bool staging_has_child(Staging *staging, uint64_t parent) {
	pthread_mutex_lock(&staging->lock);
	const struct entry *e = staging->first;
	while (e && (e->staged.parent != parent || e->staged.thread != 0))
		e = e->next;
	pthread_mutex_unlock(&staging->lock);
	return e != NULL;
}

bool staging_next_temporary(Staging *staging, uint64_t after, struct staged *ret_staged) {
	const struct entry *next = NULL;
	pthread_mutex_lock(&staging->lock);
	for (const struct entry *e = staging->first; e; e = e->next)
		if (!e->staged.governed && e->staged.node > after && (!next || e->staged.node < next->staged.node))
			next = e;
	if (next)
		*ret_staged = next->staged;
	pthread_mutex_unlock(&staging->lock);
	return next != NULL;
}

void staging_govern(Staging *staging, uint64_t node) {
	pthread_mutex_lock(&staging->lock);
	struct entry *e = entry_of(staging, node);
	if (e)
		e->staged.governed = e->staged.overtaken = e->staged.owed = true;
	pthread_mutex_unlock(&staging->lock);
}

bool staging_take_overtaken(Staging *staging, struct staged *ret_staged) {
	pthread_mutex_lock(&staging->lock);
	struct entry *e = staging->first;
	while (e && !e->staged.overtaken)
		e = e->next;
	if (e) {
		e->staged.overtaken = false;
		*ret_staged = e->staged;
	}
	pthread_mutex_unlock(&staging->lock);
	return e != NULL;
}

/* Takes the entry out of the list; with the lock held. */
static struct entry *unlink_entry(Staging *staging, struct entry *gone) {
	for (struct entry **slot = &staging->first; *slot; slot = &(*slot)->next)
		if (*slot == gone) {
			*slot = gone->next;
			break;
		}
	return gone;
}

void staging_remove(Staging *staging, uint64_t node) {
	pthread_mutex_lock(&staging->lock);
	struct entry *e = entry_of(staging, node);
	if (e)
		free(unlink_entry(staging, e));
	pthread_mutex_unlock(&staging->lock);
}

bool staging_expire(Staging *staging, int64_t before_ns, struct staged *ret_staged) {
	pthread_mutex_lock(&staging->lock);
	struct entry *e = staging->first;
	while (e && (e->staged.thread == 0 || e->staged.made_ns >= before_ns))
		e = e->next;
	if (e) {
		*ret_staged = e->staged;
		free(unlink_entry(staging, e));
	}
	pthread_mutex_unlock(&staging->lock);
	return e != NULL;
}

size_t staging_count(Staging *staging) {
	size_t count = 0;
	pthread_mutex_lock(&staging->lock);
	for (const struct entry *e = staging->first; e; e = e->next)
		count += !e->staged.governed;
	pthread_mutex_unlock(&staging->lock);
	return count;
}
