#include "fs/lifecycle.h"

#include "backend/content.h"
#include "crypto/base/deadline.h"
#include "fs/actor.h"
#include "fs/even_clock.h"
#include "fs/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_MS 600000u
#define EVERY_MS 3600000u
#define NS INT64_C(1000000000)
#define DAY_NS (86400 * NS)
/* As often as a pass may be cut by its bound on memory. */
#define PASSES_MOST 64
/* The thread rests so many times as long as a slice took, at least a millisecond. */
#define REST 4

struct Lifecycle {
	struct lifecycle_options options;
	struct even_clock clock;
	pthread_t thread;
	pthread_mutex_t running; /* by who makes a pass; before operations and `lock` */
	pthread_mutex_t lock;    /* leaf; guards the state */
	pthread_cond_t wake;
	_Atomic bool stop;
	struct lifecycle_state state;
	_Atomic int64_t passed_day; /* the day of the last whole pass */
	int64_t failed_day;         /* the last day of which a failure is on record */
};

static int64_t now_of(const Lifecycle *l) {
	return l->options.now_ns ? l->options.now_ns() : meta_now(store_meta(l->options.store));
}

/* ---- a pass ---- */

struct passing {
	Lifecycle *lifecycle;
	const struct lifecycle_request *request;
};

static bool is_open(void *arg, uint64_t node, uint64_t version) {
	const struct passing *passing = arg;
	return content_may_show(passing->lifecycle->options.store, node, version);
}

static int each(void *arg, const struct expire_found *found) {
	const struct passing *passing = arg;
	return passing->request->each ? passing->request->each(passing->request->arg, found) : 0;
}

static int rest(void *arg, int64_t took_ns, uint64_t looked) {
	const struct passing *passing = arg;
	const struct lifecycle_request *request = passing->request;
	int rc = request->is_dry ? 0 : store_space_check(passing->lifecycle->options.store, 0);
	return rc < 0 ? rc : request->rest(request->arg, took_ns, looked);
}

static void add_sums(struct expire_sum *to, const struct expire_sum *more) {
	struct expire_sum sum = *more; /* looked and kept: of the last pass */
	for (size_t zone = 0; zone <= ZONE_STAGING; zone++) {
		sum.versions[zone] += to->versions[zone];
		sum.bytes[zone] += to->bytes[zone];
	}
	sum.longest_ns = sum.longest_ns > to->longest_ns ? sum.longest_ns : to->longest_ns;
	*to = sum;
}

static int make_passes(Lifecycle *l, const struct lifecycle_request *request, const struct lifecycle_rules *rules,
        int64_t now_ns, struct lifecycle_ran *ran) {
	struct passing passing = {.lifecycle = l, .request = request};
	const struct expire_options options = {.meta = store_meta(l->options.store),
	        .rules = rules->list,
	        .rule_count = rules->count,
	        .now_ns = now_ns,
	        .actor = request->actor,
	        .is_dry = request->is_dry,
	        .is_open = is_open,
	        .each = each,
	        .rest = rest,
	        .arg = &passing};
	int rc = request->is_dry ? 0 : store_space_check(l->options.store, 0);
	for (int i = 0; rc == 0 && i < PASSES_MOST; i++) {
		struct expire_sum sum = {0};
		rc = expire_run(&options, &sum);
		if (rc == 0)
			add_sums(&ran->sum, &sum);
		if (request->is_dry || !sum.is_cut)
			break;
	}
	return rc;
}

/* ---- what is told of it ---- */

/* Whoever asked has gone, or the mount ends. */
static bool is_broken_off(int rc) {
	return rc == -EPIPE || rc == -ETIMEDOUT || rc == -ECANCELED;
}

static void note(Lifecycle *l, int rc, int64_t now_ns, bool is_dry, const struct lifecycle_ran *ran) {
	pthread_mutex_lock(&l->lock);
	struct lifecycle_state *state = &l->state;
	if (!is_broken_off(rc))
		(void)snprintf(state->trouble, sizeof state->trouble, "%s", rc < 0 ? fault_message() : "");
	state->is_clock_uneven = ran->is_clock_uneven;
	state->rules = ran->rules;
	for (size_t zone = 0; rc == 0 && zone <= ZONE_STAGING; zone++) {
		state->due[zone] = is_dry ? ran->sum.versions[zone] : 0;
		state->due_bytes[zone] = is_dry ? ran->sum.bytes[zone] : 0;
		state->expired += is_dry ? 0 : ran->sum.versions[zone];
		state->expired_bytes += is_dry ? 0 : ran->sum.bytes[zone];
	}
	state->looked_ns = rc == 0 ? now_ns : state->looked_ns;
	pthread_mutex_unlock(&l->lock);
}

static int run_locked(Lifecycle *l, const struct lifecycle_request *request, struct lifecycle_ran *ret) {
	const int64_t now_ns = now_of(l);
	struct lifecycle_rules rules = {.count = 0};
	struct lifecycle_ran ran = {.is_clock_uneven = !even_clock_is_even(&l->clock, now_ns / NS)};
	int rc = l->options.rules(l->options.arg, &rules);
	ran.rules = rules.count;
	struct lifecycle_request asked = *request;
	asked.is_dry |= ran.is_clock_uneven;
	if (rc == 0)
		rc = make_passes(l, &asked, &rules, now_ns, &ran);
	note(l, rc, now_ns, asked.is_dry, &ran);
	l->options.rules_done(l->options.arg, &rules);
	if (rc < 0)
		return rc;
	if (!asked.is_dry)
		l->passed_day = now_ns / DAY_NS;
	if (asked.is_dry != request->is_dry) /* what would go is known to `status`; here nothing went */
		ran.sum = (struct expire_sum){.looked = ran.sum.looked};
	*ret = ran;
	return 0;
}

int lifecycle_run(Lifecycle *l, const struct lifecycle_request *request, struct lifecycle_ran *ret) {
	pthread_mutex_lock(&l->running);
	int rc = run_locked(l, request, ret);
	pthread_mutex_unlock(&l->running);
	return rc;
}

void lifecycle_state(Lifecycle *l, struct lifecycle_state *ret) {
	pthread_mutex_lock(&l->lock);
	*ret = l->state;
	pthread_mutex_unlock(&l->lock);
}

/* ---- the thread ---- */

/* false: it is to end. */
static bool wait_ns(Lifecycle *l, int64_t ns) {
	const struct timespec until = deadline_after_ns(ns);
	int late = 0;
	pthread_mutex_lock(&l->lock);
	while (!atomic_load(&l->stop) && late != ETIMEDOUT)
		late = pthread_cond_timedwait(&l->wake, &l->lock, &until);
	pthread_mutex_unlock(&l->lock);
	return !atomic_load(&l->stop);
}

static int rest_in_thread(void *arg, int64_t took_ns, uint64_t looked) {
	(void)looked;
	const int64_t ns = took_ns * REST > 1000000 ? took_ns * REST : 1000000;
	return wait_ns(arg, ns) ? 0 : -ECANCELED;
}

static void record_failure(Lifecycle *l, int rc) {
	char words[FAULT_MESSAGE_BYTES];
	const int64_t day = now_of(l) / DAY_NS;
	(void)snprintf(words, sizeof words, "%s", fault_message());
	log_message_fault(MESSAGE_OTHER, rc, "what the policy's lifecycle says was not done");
	if (day == l->failed_day)
		return;
	l->failed_day = day;
	struct audit_event event = {.event = "expire", .outcome = "error", .err = -rc, .detail = words};
	actor_of_daemon(&event.actor);
	Meta *m = store_meta(l->options.store);
	meta_begin(m);
	(void)meta_end(m, audit_record(m, &event, NULL));
}

void lifecycle_round(Lifecycle *l) {
	struct actor actor;
	struct lifecycle_ran ran;
	actor_of_daemon(&actor);
	const struct lifecycle_request request = {
	        .is_dry = l->passed_day == now_of(l) / DAY_NS, .actor = &actor, .rest = rest_in_thread, .arg = l};
	int rc = lifecycle_run(l, &request, &ran);
	if (rc < 0 && !is_broken_off(rc))
		record_failure(l, rc);
}

static void *run(void *arg) {
	Lifecycle *l = arg;
	unsigned wait_ms = l->options.first_ms;
	while (wait_ns(l, (int64_t)wait_ms * 1000000)) {
		wait_ms = l->options.every_ms;
		lifecycle_round(l);
	}
	return NULL;
}

static void free_lifecycle(Lifecycle *l) {
	pthread_cond_destroy(&l->wake);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->running);
	free(l);
}

int lifecycle_start(const struct lifecycle_options *options, Lifecycle **ret_lifecycle) {
	Lifecycle *l = calloc(1, sizeof *l);
	if (!l)
		return fault(ENOMEM, "starting what lets versions expire: out of memory");
	l->options = *options;
	l->options.first_ms = options->first_ms ? options->first_ms : FIRST_MS;
	l->options.every_ms = options->every_ms ? options->every_ms : EVERY_MS;
	l->clock = even_clock_begin(now_of(l) / NS);
	l->passed_day = -1;
	l->failed_day = -1;
	pthread_mutex_init(&l->running, NULL);
	pthread_mutex_init(&l->lock, NULL);
	deadline_cond_init(&l->wake);
	int error = pthread_create(&l->thread, NULL, run, l);
	if (error) {
		free_lifecycle(l);
		return fault_errno(error, "starting what lets versions expire");
	}
	*ret_lifecycle = l;
	return 0;
}

void lifecycle_stop(Lifecycle *l) {
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	atomic_store(&l->stop, true);
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	free_lifecycle(l);
}
