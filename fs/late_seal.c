#include "fs/late_seal.h"
#include "crypto/base/deadline.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base/fault.h"

/* A commit waits for all of them, at some 100 us each with their blocks. */
#define LATE_MAX 256u
/* The thread seals what has waited for one to two of these. */
#define LATE_TICK_MS 2
#define DETAIL_BYTES 128

/* One close. */
struct late_seal {
	Inode *inode; /* with a reference */
	struct audit_event event;
	char detail[DETAIL_BYTES]; /* the event's */
	uint64_t tick;             /* when it was put */
	struct late_seal *before, *after;
};

struct LateSeals {
	Store *store;
	InodeTable *inodes;
	struct late_hooks hooks;
	pthread_mutex_t lock; /* innermost but for the table's */
	struct late_seal *first, *last;
	atomic_uint count;
	bool held, stop;
	bool now;  /* the thread shall seal all that is there */
	bool idle; /* it waits until something is put */
	uint64_t tick;
	pthread_cond_t wake;
	pthread_t thread;
};

/* ---- the queue; with its lock ---- */

static void append(LateSeals *seals, struct late_seal *late) {
	late->before = seals->last;
	late->after = NULL;
	if (seals->last)
		seals->last->after = late;
	else
		seals->first = late;
	seals->last = late;
	atomic_fetch_add(&seals->count, 1);
}

static void take_out(LateSeals *seals, struct late_seal *late) {
	if (late->before)
		late->before->after = late->after;
	else
		seals->first = late->after;
	if (late->after)
		late->after->before = late->before;
	else
		seals->last = late->before;
	atomic_fetch_sub(&seals->count, 1);
}

/* ---- putting and settling ---- */

static struct late_seal *late_of(Inode *inode, const struct audit_event *event) {
	struct late_seal *late = malloc(sizeof *late);
	if (!late)
		return NULL;
	*late = (struct late_seal){.inode = inode, .event = *event};
	strncpy(late->detail, event->detail, sizeof late->detail - 1);
	late->event.detail = late->detail;
	return late;
}

bool late_put(LateSeals *seals, Inode *inode, const struct audit_event *event) {
	assert(!inode->late);
	struct late_seal *late = late_of(inode, event);
	if (!late)
		return false;
	pthread_mutex_lock(&seals->lock);
	bool takes = !seals->held && atomic_load(&seals->count) < LATE_MAX;
	if (takes) {
		inode_hold(seals->inodes, inode);
		inode->late = late;
		late->tick = seals->tick;
		append(seals, late);
		if (seals->idle)
			pthread_cond_signal(&seals->wake);
	}
	pthread_mutex_unlock(&seals->lock);
	if (!takes)
		free(late);
	return takes;
}

/* It stands in the queue until it is sealed, so that an empty queue means that nothing is left to do. */
int late_settle_locked(LateSeals *seals, Inode *inode) {
	struct late_seal *late = inode->late;
	if (!late)
		return 0;
	int rc = seals->hooks.seal(seals->hooks.arg, inode, &late->event);
	inode->late = NULL;
	pthread_mutex_lock(&seals->lock);
	take_out(seals, late);
	pthread_mutex_unlock(&seals->lock);
	free(late);
	inode_put(seals->inodes, inode); /* not the last: who locks it has one */
	return rc;
}

int late_settle_inode(LateSeals *seals, Inode *inode) {
	if (atomic_load(&seals->count) == 0)
		return 0;
	pthread_mutex_lock(&inode->lock);
	int rc = late_settle_locked(seals, inode);
	pthread_mutex_unlock(&inode->lock);
	return rc;
}

int late_settle(LateSeals *seals, uint64_t ino) {
	Inode *inode = atomic_load(&seals->count) > 0 ? inode_find(seals->inodes, ino) : NULL;
	if (!inode)
		return 0;
	int rc = late_settle_inode(seals, inode);
	seals->hooks.put(seals->hooks.arg, inode);
	return rc;
}

/* With the queue's lock, which is let go meanwhile. */
static void settle_first(LateSeals *seals) {
	Inode *inode = seals->first->inode;
	inode_hold(seals->inodes, inode);
	pthread_mutex_unlock(&seals->lock);
	(void)late_settle_inode(seals, inode);
	seals->hooks.put(seals->hooks.arg, inode);
	pthread_mutex_lock(&seals->lock);
}

void late_settle_all(LateSeals *seals) {
	unsigned most = atomic_load(&seals->count);
	if (most == 0)
		return;
	pthread_mutex_lock(&seals->lock);
	for (unsigned i = 0; i < most && seals->first; i++)
		settle_first(seals);
	pthread_mutex_unlock(&seals->lock);
}

/* ---- the thread ---- */

void late_go_on(LateSeals *seals) {
	if (atomic_load(&seals->count) == 0)
		return;
	pthread_mutex_lock(&seals->lock);
	seals->now = true;
	pthread_cond_signal(&seals->wake);
	pthread_mutex_unlock(&seals->lock);
}

/* With the lock: a tick passes, or it is told to go on, or to stop. */
static void wait_tick(LateSeals *seals) {
	struct timespec until = deadline_after_ms(LATE_TICK_MS);
	while (!seals->stop && !seals->now && pthread_cond_timedwait(&seals->wake, &seals->lock, &until) == 0)
		;
	seals->tick++;
}

static void *settle_old(void *arg) {
	LateSeals *seals = arg;
	pthread_mutex_lock(&seals->lock);
	while (!seals->stop) {
		seals->idle = !seals->first;
		if (seals->idle)
			pthread_cond_wait(&seals->wake, &seals->lock);
		else
			wait_tick(seals);
		while (seals->first && (seals->now || seals->first->tick + 1 < seals->tick))
			settle_first(seals);
		seals->now = false;
	}
	pthread_mutex_unlock(&seals->lock);
	return NULL;
}

/* ---- commits ---- */

static bool waits(void *arg) {
	LateSeals *seals = arg;
	return atomic_load(&seals->count) > 0;
}

/* A seal that fails has given the change up, and said so: that is no reason not to commit the rest. */
static int hold(void *arg) {
	LateSeals *seals = arg;
	pthread_mutex_lock(&seals->lock);
	seals->held = true;
	while (seals->first)
		settle_first(seals);
	pthread_mutex_unlock(&seals->lock);
	return 0;
}

static void resume(void *arg, bool committed) {
	LateSeals *seals = arg;
	(void)committed;
	pthread_mutex_lock(&seals->lock);
	seals->held = false;
	pthread_mutex_unlock(&seals->lock);
}

static void destroy(LateSeals *seals) {
	pthread_cond_destroy(&seals->wake);
	pthread_mutex_destroy(&seals->lock);
	free(seals);
}

int late_seals_new(Store *store, InodeTable *inodes, const struct late_hooks *hooks, LateSeals **ret) {
	LateSeals *seals = calloc(1, sizeof *seals);
	if (!seals)
		return fault(ENOMEM, "the queue of closed files");
	seals->store = store;
	seals->inodes = inodes;
	seals->hooks = *hooks;
	pthread_mutex_init(&seals->lock, NULL);
	deadline_cond_init(&seals->wake);
	int error = pthread_create(&seals->thread, NULL, settle_old, seals);
	if (error) {
		destroy(seals);
		return fault_errno(error, "starting the thread for closed files");
	}
	const struct store_deferral deferral = {.waits = waits, .hold = hold, .resume = resume, .arg = seals};
	store_defer_join(store, &deferral);
	*ret = seals;
	return 0;
}

void late_seals_free(LateSeals *seals) {
	if (!seals)
		return;
	store_defer_leave(seals->store, seals);
	pthread_mutex_lock(&seals->lock);
	seals->stop = true;
	pthread_cond_signal(&seals->wake);
	pthread_mutex_unlock(&seals->lock);
	pthread_join(seals->thread, NULL);
	assert(!seals->first);
	destroy(seals);
}
