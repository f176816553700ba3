/* The steps of a walk, and the thread that takes them when they may pay. */
#include "backend/gc.h"
#include "backend/gc_internal.h"
#include "backend/record.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* How often the thread looks whether a walk may pay. */
#define LOOK_MS 1000
/* A walk costs about 0.2% of what is stored in reading. It pays when this much was appended or let go of, and one part
 * in … of what is stored: fewer and fewer parts while walks find hardly anything dead. */
#define LEAST_BYTES ((uint64_t)64 << 20)
#define SHARE_MOST 8u
/* Less dead than one part in so many is hardly anything. */
#define HARDLY 16u
/* Or when earlier mounts left so many segments that nobody has looked at. */
#define LEAST_SEGMENTS 256u
/* With less than this free on the disk a walk pays sooner. */
#define SHORT_BYTES ((uint64_t)256 << 20)
#define SHORT_LEAST_BYTES ((uint64_t)1 << 20)
#define SHORT_PAUSE_NS ((int64_t)10 * 1000000000)
/* More than clocks are apart after the grace time: 500 ppm of 15 s are 8 ms. */
#define DUE_MARGIN_NS ((int64_t)100 * 1000000)
/* After a failure. */
#define FAILED_PAUSE_NS ((int64_t)600 * 1000000000)
/* The thread rests so many times as long as a step took. */
#define REST 4
#define REST_MOST_NS ((int64_t)200 * 1000000)
#define REST_LEAST_NS ((int64_t)1000000)

int gc_open(Store *store, unsigned grace_ms, Gc **ret) {
	Gc *gc = calloc(1, sizeof *gc);
	if (!gc)
		return fault(ENOMEM, "no memory for the collector");
	pthread_mutex_init(&gc->lock, NULL);
	deadline_cond_init(&gc->wake);
	gc->store = store;
	gc->grace_ns = (int64_t)(grace_ms ? grace_ms : GC_GRACE_MS_DEFAULT) * 1000000;
	gc->share = SHARE_MOST;
	gc->again_ns = INT64_MAX;
	*ret = gc;
	return 0;
}

void gc_close(Gc *gc) {
	if (!gc)
		return;
	if (gc->has_thread) {
		pthread_mutex_lock(&gc->lock);
		gc->stop = true;
		pthread_cond_signal(&gc->wake);
		pthread_mutex_unlock(&gc->lock);
		pthread_join(gc->thread, NULL);
	}
	free(gc->segments);
	free(gc->wanted);
	gc_mover_free(gc->mover);
	pthread_cond_destroy(&gc->wake);
	pthread_mutex_destroy(&gc->lock);
	free(gc);
}

void gc_totals(Gc *gc, struct gc_totals *ret) {
	pthread_mutex_lock(&gc->lock);
	*ret = gc->totals;
	pthread_mutex_unlock(&gc->lock);
}

/* ---- steps ---- */

static int read_sums(Gc *gc, struct segment_sums *ret_sums) {
	Meta *m = gc->store->meta;
	meta_begin(m);
	return meta_end(m, segment_row_sums(m, ret_sums));
}

static void let_go(Gc *gc) {
	segment_watch_end(gc->store->segments);
	free(steal_pointer(&gc->segments));
	gc_mover_free(steal_pointer(&gc->mover));
	gc->hit = NULL;
	gc->count = 0;
	gc->stage = GC_IDLE;
}

/* The lock is held. */
static void count_stuck(Gc *gc) {
	gc->stuck_wanted = gc->keyless_wanted = 0;
	for (size_t i = 0; i < gc->wanted_count; i++) {
		gc->stuck_wanted += gc_is_stuck(gc, gc->wanted[i]);
		const int rc = segment_key_check(gc->store->segments, gc->wanted[i]);
		gc->keyless_wanted += rc == -EKEYREVOKED || rc == -EACCES;
	}
}

/* Another walk would find more to do: what was condemned now or moved, or what must go. */
static bool is_waited_for(const Gc *gc) {
	return gc->wanted_count > gc->stuck_wanted;
}

/* A walk has ended well. */
static int finish(Gc *gc) {
	struct segment_sums sums;
	int rc = read_sums(gc, &sums);
	if (rc < 0)
		return rc;
	gc->stored = sums.bytes;
	pthread_mutex_lock(&gc->lock);
	count_stuck(gc);
	(void)snprintf(gc->failed_words, sizeof gc->failed_words, "%s",
	        gc->no_room ? "there is no room to move what else they hold" : "");
	gc->totals.walks++;
	gc->totals.condemned = gc->condemned;
	gc->totals.dead = gc->dead;
	gc->totals.live = gc->live;
	gc->ended = gc->begun;
	gc->last_failed = false;
	gc->settled = !gc->again && !is_waited_for(gc);
	pthread_mutex_unlock(&gc->lock);
	let_go(gc);
	return 0;
}

/* What this mount has appended, and what it has let go of. */
static uint64_t changed_bytes(Gc *gc) {
	return segment_appended(gc->store->segments) + version_let_go(gc->store->meta);
}

static int begin(Gc *gc, bool *ret_done) {
	gc->changed = changed_bytes(gc);
	gc->uncounted = 0;
	*ret_done = true;
	pthread_mutex_lock(&gc->lock);
	gc->closes_all = gc->walk_asked;
	gc->purge_asked = gc->walk_asked = false;
	gc->begun++;
	pthread_mutex_unlock(&gc->lock);
	return 0;
}

static int take_step(Gc *gc) {
	static int (*const steps[])(Gc * gc, bool *ret_done) = {[GC_IDLE] = begin,
	        [GC_SEEK] = gc_seek,
	        [GC_MEMORY] = gc_mark_memory,
	        [GC_ROWS] = gc_mark_rows,
	        [GC_JUDGE] = gc_judge,
	        [GC_FREE] = gc_free,
	        [GC_MOVE] = gc_move};
	bool done = false;
	int rc = steps[gc->stage](gc, &done);
	if (rc < 0 || !done)
		return rc;
	if (gc->stage == GC_MOVE || (gc->stage == GC_FREE && !gc_move_choose(gc)))
		return finish(gc);
	gc->stage++;
	return 0;
}

static void show_progress(Gc *gc) {
	uint64_t done = 0, total = 0;
	if (gc->stage == GC_ROWS || gc->stage == GC_MOVE) {
		done = gc->page;
		total = gc->last_page;
	} else if (gc->stage == GC_JUDGE || gc->stage == GC_FREE) {
		done = gc->at;
		total = gc->count;
	}
	pthread_mutex_lock(&gc->lock);
	gc->stage_shown = gc->stage;
	gc->stage_done = done < total ? done : total;
	gc->stage_total = total;
	pthread_mutex_unlock(&gc->lock);
}

int gc_step(Gc *gc, enum gc_stage *ret_stage) {
	int rc = take_step(gc);
	if (rc < 0 && rc != -EAGAIN) {
		let_go(gc);
		rc = fault_while(rc, "looking for segments that nobody needs any more");
		pthread_mutex_lock(&gc->lock);
		gc->totals.failures++;
		gc->ended = gc->begun;
		gc->last_failed = true;
		gc->settled = false;
		(void)snprintf(gc->failed_words, sizeof gc->failed_words, "%s", fault_message());
		pthread_mutex_unlock(&gc->lock);
	}
	show_progress(gc);
	if (ret_stage)
		*ret_stage = gc->stage;
	return rc;
}

int gc_walk(Gc *gc) {
	int rc;
	do
		rc = gc_step(gc, NULL);
	while (rc == -EAGAIN || (rc == 0 && gc->stage != GC_IDLE));
	return rc;
}

/* ---- the thread ---- */

static bool is_short(Gc *gc) {
	uint64_t free_bytes = 0;
	return vault_io_free_space(gc->store->io, &free_bytes) == 0 && free_bytes < SHORT_BYTES;
}

static bool is_asked(Gc *gc) {
	pthread_mutex_lock(&gc->lock);
	bool asked = gc->purge_asked || gc->walk_asked;
	pthread_mutex_unlock(&gc->lock);
	return asked;
}

static bool may_pay(Gc *gc, int64_t now) {
	uint64_t fresh = gc->uncounted + changed_bytes(gc) - gc->changed;
	uint64_t part = gc->stored / gc->share;
	if (is_asked(gc) || now >= gc->again_ns || fresh >= (part > LEAST_BYTES ? part : LEAST_BYTES))
		return true;
	return fresh >= SHORT_LEAST_BYTES && now >= gc->last_ns + SHORT_PAUSE_NS && is_short(gc);
}

/* In the log, and to the store's notice; the same words once. */
static void tell_failure(Gc *gc, int rc) {
	char words[FAULT_MESSAGE_BYTES];
	Store *store = gc->store;
	(void)snprintf(words, sizeof words, "%s", fault_message());
	if (strcmp(words, gc->told) == 0 || meta_failed(store->meta))
		return;
	memcpy(gc->told, words, sizeof gc->told);
	meta_begin(store->meta);
	struct audit_event record = {.event = "gc", .outcome = "error", .err = -rc, .detail = words};
	(void)meta_end(store->meta, store_record_event(store, record));
	if (store->notice)
		store->notice(store->notice_arg, words);
}

/* After which what was condemned is due (is_due): the grace time, by the wall's clock, which may be slewed a little,
 * and a commit. The committer's interval is far below the grace time, so both pass together. */
static int64_t until_due(const Gc *gc) {
	const int64_t grace_ns = gc->grace_ns + DUE_MARGIN_NS, commit_ns = (int64_t)gc->store->commit_ms * 2 * 1000000;
	return grace_ns > commit_ns ? grace_ns : commit_ns;
}

/* When the next walk is due whatever is appended. */
static void plan(Gc *gc, int rc) {
	int64_t now = monotonic_ns();
	gc->last_ns = now;
	gc->failed = rc < 0;
	gc->again_ns = gc->failed ? now + FAILED_PAUSE_NS : INT64_MAX;
	if (rc < 0) {
		tell_failure(gc, rc);
		return;
	}
	if (is_waited_for(gc) && gc->moved) /* what was moved out of is found dead at once */
		gc->again_ns = now;
	else if (gc->again || is_waited_for(gc))
		gc->again_ns = now + until_due(gc);
	bool is_hardly = gc->dead < (gc->dead + gc->live) / HARDLY;
	gc->share = !is_hardly ? SHARE_MOST : gc->share > 1 ? gc->share / 2 : 1;
}

/* Sleeps; false: the thread is to end. */
static bool rest(Gc *gc, int64_t ns) {
	int64_t until = monotonic_ns() + ns;
	struct timespec at = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
	pthread_mutex_lock(&gc->lock);
	int error = 0;
	while (!gc->stop && error == 0)
		error = pthread_cond_timedwait(&gc->wake, &gc->lock, &at);
	bool go_on = !gc->stop;
	pthread_mutex_unlock(&gc->lock);
	return go_on;
}

static int64_t rest_after(int64_t took) {
	int64_t ns = took * REST;
	return ns < REST_LEAST_NS ? REST_LEAST_NS : ns > REST_MOST_NS ? REST_MOST_NS : ns;
}

/* A whole walk; false: the thread is to end. */
static bool walk_resting(Gc *gc) {
	int rc;
	do {
		int64_t before = monotonic_ns();
		rc = gc_step(gc, NULL);
		if (!rest(gc, rest_after(monotonic_ns() - before)))
			return false;
	} while (rc == -EAGAIN || (rc == 0 && gc->stage != GC_IDLE));
	plan(gc, rc);
	return true;
}

/* Not a look later than the walk that is planned. */
static int64_t until_look(const Gc *gc) {
	const int64_t look_ns = (int64_t)LOOK_MS * 1000000, left_ns = gc->again_ns - monotonic_ns();
	return left_ns > 0 && left_ns < look_ns ? left_ns : look_ns;
}

static void *collect(void *arg) {
	Gc *gc = arg;
	while (rest(gc, until_look(gc))) {
		bool is_put_off = gc->failed && monotonic_ns() < gc->again_ns && !is_asked(gc);
		if (meta_failed(gc->store->meta) || is_put_off)
			continue;
		if (may_pay(gc, monotonic_ns()) && !walk_resting(gc))
			break;
	}
	return NULL;
}

uint64_t gc_ask(Gc *gc) {
	pthread_mutex_lock(&gc->lock);
	gc->walk_asked = true;
	uint64_t walk = gc->begun + 1;
	pthread_mutex_unlock(&gc->lock);
	return walk;
}

void gc_progress(Gc *gc, uint64_t walk, struct gc_progress *ret) {
	pthread_mutex_lock(&gc->lock);
	*ret = (struct gc_progress){.stage = gc->stage_shown,
	        .done = gc->stage_done,
	        .total = gc->stage_total,
	        .has_ended = gc->ended >= walk,
	        .has_failed = gc->last_failed,
	        .is_settled = gc->settled};
	(void)snprintf(ret->trouble, sizeof ret->trouble, "%s", gc->failed_words);
	pthread_mutex_unlock(&gc->lock);
}

int gc_start(Gc *gc) {
	struct segment_sums sums;
	int rc = read_sums(gc, &sums);
	if (rc < 0)
		return rc;
	gc->stored = sums.bytes;
	gc->uncounted = sums.bytes - sums.counted_bytes;
	gc->last_ns = monotonic_ns();
	if (sums.segments - sums.counted >= LEAST_SEGMENTS)
		gc->again_ns = gc->last_ns;
	struct gc_purging purging;
	rc = gc_purging(gc, &purging);
	if (rc < 0)
		return rc;
	if (purging.wanted > 0 || purging.is_seeking) {
		gc->purge_asked = true;
		gc->store->wants_scrub = true;
	}
	int error = pthread_create(&gc->thread, NULL, collect, gc);
	if (error != 0)
		return fault_errno(error, "starting the collector");
	gc->has_thread = true;
	return 0;
}
