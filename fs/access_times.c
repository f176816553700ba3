#include "fs/access_times.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "backend/tree.h"
#include "crypto/base/fault.h"

/* Numbers come from one counter, so that files made together lie side by side; these are all the places that one may
 * have. */
#define PROBES 8u
/* Operations are no longer than this, lest a request wait for the sweep: some 2 ms. */
#define WRITTEN_AT_ONCE 512u
#define WAIT_NS INT64_C(43200000000000)

struct waiting {
	uint64_t node; /* 0: free */
	int64_t time;
};

struct AccessTimes {
	Meta *meta;
	pthread_mutex_t lock; /* guards what follows; innermost */
	size_t count;
	int64_t since; /* of the first that was noted after the last writing */
	struct waiting places[ACCESS_TIMES_MAX];
};

int access_times_new(Meta *m, AccessTimes **ret) {
	AccessTimes *times = calloc(1, sizeof *times);
	if (!times)
		return fault(ENOMEM, "no memory for the times of access");
	times->meta = m;
	pthread_mutex_init(&times->lock, NULL);
	*ret = times;
	return 0;
}

void access_times_free(AccessTimes *times) {
	if (!times)
		return;
	pthread_mutex_destroy(&times->lock);
	free(times);
}

/* Locked. Where `node` waits; for 0 the first free place that `from` may have. */
static struct waiting *find(AccessTimes *times, uint64_t from, uint64_t node) {
	for (unsigned i = 0; i < PROBES; i++) {
		struct waiting *place = &times->places[(from + i) % ACCESS_TIMES_MAX];
		if (place->node == node)
			return place;
	}
	return NULL;
}

bool access_times_note(AccessTimes *times, uint64_t node, int64_t now) {
	pthread_mutex_lock(&times->lock);
	struct waiting *place = find(times, node, node);
	if (!place && (place = find(times, node, 0)) && times->count++ == 0)
		times->since = now;
	if (place)
		*place = (struct waiting){.node = node, .time = now};
	bool due = !place || now - times->since > WAIT_NS;
	pthread_mutex_unlock(&times->lock);
	return due;
}

int64_t access_times_of(AccessTimes *times, uint64_t node) {
	pthread_mutex_lock(&times->lock);
	const struct waiting *place = times->count ? find(times, node, node) : NULL;
	int64_t time = place ? place->time : 0;
	pthread_mutex_unlock(&times->lock);
	return time;
}

/* Unless another has come since; 0: whatever it is. */
static void forget(AccessTimes *times, uint64_t node, int64_t time) {
	pthread_mutex_lock(&times->lock);
	struct waiting *place = find(times, node, node);
	if (place && (time == 0 || place->time == time)) {
		place->node = 0;
		times->count--;
	}
	pthread_mutex_unlock(&times->lock);
}

void access_times_drop(AccessTimes *times, uint64_t node) {
	forget(times, node, 0);
}

/* ---- writing ---- */

static int by_node(const void *one, const void *other) {
	uint64_t a = ((const struct waiting *)one)->node, b = ((const struct waiting *)other)->node;
	return a < b ? -1 : a > b;
}

static int copy_waiting(AccessTimes *times, struct waiting **ret_copy, size_t *ret_count) {
	pthread_mutex_lock(&times->lock);
	size_t count = 0;
	struct waiting *copy = times->count ? calloc(times->count, sizeof *copy) : NULL;
	bool is_short = times->count && !copy;
	for (size_t i = 0; copy && i < ACCESS_TIMES_MAX; i++)
		if (times->places[i].node)
			copy[count++] = times->places[i];
	pthread_mutex_unlock(&times->lock);
	if (is_short)
		return fault(ENOMEM, "no memory to write the times of access");
	*ret_copy = copy;
	*ret_count = count;
	return 0;
}

/* A file that is gone, or has no name any more, needs none. */
static int write_one(Meta *m, const struct waiting *waiting) {
	struct node node;
	int rc = tree_get(m, waiting->node, &node);
	if (rc < 0 || node.nlink == 0)
		return rc == -ESTALE ? 0 : rc;
	node.atime = waiting->time;
	return tree_setattr(m, waiting->node, &node, TREE_ATIME, &node);
}

static int write_some(AccessTimes *times, const struct waiting *some, size_t count) {
	Meta *m = times->meta;
	int rc = 0;
	meta_begin(m);
	for (size_t i = 0; i < count && rc == 0; i++)
		if (access_times_of(times, some[i].node) == some[i].time) /* else it was set since */
			rc = write_one(m, &some[i]);
	rc = meta_end(m, rc);
	for (size_t i = 0; i < count && rc == 0; i++)
		forget(times, some[i].node, some[i].time);
	return rc;
}

int access_times_write(AccessTimes *times) {
	_cleanup_(freep) struct waiting *copy = NULL;
	size_t count = 0;
	int rc = copy_waiting(times, &copy, &count);
	if (rc < 0 || count == 0)
		return rc;
	qsort(copy, count, sizeof *copy, by_node);
	for (size_t i = 0; i < count && rc == 0; i += WRITTEN_AT_ONCE)
		rc = write_some(times, copy + i, count - i < WRITTEN_AT_ONCE ? count - i : WRITTEN_AT_ONCE);
	return fault_while(rc, "writing the times of access");
}
