#include "fs/sampler.h"

#include "backend/sample.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "fs/even_clock.h"
#include "fs/log.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MINUTE_S 60
#define NS INT64_C(1000000000)
/* In a minute 60 series lose 60 rows of a minute each, and now and then a few more; after months without a mount there
 * are many, and they need not all go at once. */
#define PRUNED_A_ROUND 1000

struct emitted {
	char name[SAMPLE_NAME_MAX + 1];
	char labels[SAMPLE_LABELS_MAX + 1];
	double value;
};

struct sampler_round {
	int64_t now_s;
	struct emitted *samples;
	size_t count, room;
};

struct Sampler {
	Store *store;
	bool is_read_only;
	struct {
		const char *what;
		sampler_collect_fn *collect;
		void *arg;
		bool has_failed; /* the last time */
	} collectors[SAMPLER_COLLECTORS_MAX];
	size_t collector_count;
	struct {
		sampler_minute_fn *each;
		void *arg;
	} told[SAMPLER_COLLECTORS_MAX];
	size_t told_count;
	sampler_minute_fn *at_ends;
	void *at_ends_arg;
	struct sampler_round round;
	bool has_refused, has_failed; /* was logged */
	struct even_clock clock;      /* else nothing is pruned by it */
	pthread_t thread;
	bool is_running;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	_Atomic bool stop;
};

/* ---- emitting ---- */

int64_t sampler_now(const struct sampler_round *round) {
	return round->now_s;
}

void sampler_emit(struct sampler_round *round, const char *name, const char *labels, double value) {
	if (round->count == round->room) {
		size_t room = round->room ? 2 * round->room : 64;
		struct emitted *grown =
		        round->count < SAMPLE_SERIES_MAX ? realloc(round->samples, room * sizeof *grown) : NULL;
		if (!grown)
			return;
		round->samples = grown;
		round->room = room;
	}
	struct emitted *sample = &round->samples[round->count++];
	(void)snprintf(sample->name, sizeof sample->name, "%s", name);
	(void)snprintf(sample->labels, sizeof sample->labels, "%s", labels);
	sample->value = value;
}

const char *sampler_label(const char *key, const char *value, char ret_labels[static SAMPLER_LABEL_BYTES]) {
	int length = snprintf(ret_labels, SAMPLER_LABEL_BYTES, "%s=", key);
	size_t at = length > 0 && length < SAMPLER_LABEL_BYTES ? (size_t)length : 0;
	for (; *value && at + 1 < SAMPLER_LABEL_BYTES; value++)
		ret_labels[at++] = (char)(*value == ',' || iscntrl((unsigned char)*value) ? '_' : *value);
	ret_labels[at] = '\0';
	return ret_labels;
}

/* ---- a round ---- */

/* One that is refused (a bad name, too many series) leaves the others. */
static int add_all(Sampler *s, Meta *m) {
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < s->round.count; i++) {
		const struct emitted *sample = &s->round.samples[i];
		rc = sample_add(m, sample->name, sample->labels, s->round.now_s, sample->value);
		if (rc != -EINVAL && rc != -EDQUOT)
			continue;
		if (!s->has_refused)
			log_fault(rc, "a measurement is not kept");
		s->has_refused = true;
		rc = 0;
	}
	return rc;
}

static int keep(Sampler *s) {
	unsigned pruned;
	Meta *m = store_meta(s->store);
	int rc = store_space_check(s->store, 0);
	if (rc < 0)
		return rc;
	meta_begin(m);
	rc = add_all(s, m);
	if (rc == 0 && even_clock_is_even(&s->clock, s->round.now_s))
		rc = sample_prune(m, s->round.now_s, PRUNED_A_ROUND, &pruned);
	return meta_end(m, rc);
}

static void collect(Sampler *s) {
	for (size_t i = 0; i < s->collector_count; i++) {
		int rc = s->collectors[i].collect(s->collectors[i].arg, &s->round);
		if (rc < 0 && !s->collectors[i].has_failed)
			log_fault(rc, "measuring %s", s->collectors[i].what);
		s->collectors[i].has_failed = rc < 0;
	}
}

int sampler_round(Sampler *s, int64_t now_s) {
	s->round.now_s = now_s;
	s->round.count = 0;
	collect(s);
	int rc = s->is_read_only ? 0 : keep(s);
	if (rc < 0 && !s->has_failed)
		log_fault(rc, "what was measured is not kept");
	s->has_failed = rc < 0;
	for (size_t i = 0; i < s->told_count; i++)
		s->told[i].each(s->told[i].arg, now_s);
	return rc;
}

/* ---- the thread ---- */

static unsigned until_next_minute_ms(int64_t now_ns) {
	const int64_t into_ms = now_ns / 1000000 % (MINUTE_S * 1000);
	return (unsigned)(MINUTE_S * 1000 - (into_ms > 0 ? into_ms : 0));
}

/* false: it is to end. */
static bool wait_ms(Sampler *s, unsigned ms) {
	const struct timespec until = deadline_after_ms(ms);
	int late = 0;
	pthread_mutex_lock(&s->lock);
	while (!atomic_load(&s->stop) && late != ETIMEDOUT)
		late = pthread_cond_timedwait(&s->wake, &s->lock, &until);
	pthread_mutex_unlock(&s->lock);
	return !atomic_load(&s->stop);
}

static void tell_ends(Sampler *s, Meta *m) {
	if (s->at_ends)
		s->at_ends(s->at_ends_arg, meta_now(m) / NS);
}

static void *run(void *arg) {
	Sampler *s = arg;
	Meta *m = store_meta(s->store);
	int64_t last = meta_now(m) / (MINUTE_S * NS);
	tell_ends(s, m);
	while (wait_ms(s, until_next_minute_ms(meta_now(m)))) {
		const int64_t now_ns = meta_now(m);
		if (now_ns / (MINUTE_S * NS) == last)
			continue; /* by a hair too early */
		last = now_ns / (MINUTE_S * NS);
		(void)sampler_round(s, now_ns / NS);
	}
	tell_ends(s, m);
	return NULL;
}

int sampler_new(Store *store, bool is_read_only, Sampler **ret_sampler) {
	_cleanup_(freep) struct store_info *info = calloc(1, sizeof *info);
	Sampler *s = calloc(1, sizeof *s);
	if (!s || !info) {
		free(s);
		return fault(ENOMEM, "starting what measures: out of memory");
	}
	store_info(store, info);
	s->store = store;
	s->is_read_only = is_read_only || info->read_only;
	s->clock = even_clock_begin(meta_now(store_meta(store)) / NS);
	pthread_mutex_init(&s->lock, NULL);
	deadline_cond_init(&s->wake);
	*ret_sampler = s;
	return 0;
}

int sampler_add(Sampler *s, const char *what, sampler_collect_fn *collect_fn, void *arg) {
	if (s->collector_count == SAMPLER_COLLECTORS_MAX)
		return fault(ENOSPC, "too many things to measure");
	s->collectors[s->collector_count].what = what;
	s->collectors[s->collector_count].collect = collect_fn;
	s->collectors[s->collector_count++].arg = arg;
	return 0;
}

int sampler_each_minute(Sampler *s, sampler_minute_fn *each, void *arg) {
	if (s->told_count == SAMPLER_COLLECTORS_MAX)
		return fault(ENOSPC, "too many to be told each minute");
	s->told[s->told_count].each = each;
	s->told[s->told_count++].arg = arg;
	return 0;
}

void sampler_at_ends(Sampler *s, sampler_minute_fn *ends, void *arg) {
	s->at_ends = ends;
	s->at_ends_arg = arg;
}

int sampler_start(Sampler *s) {
	int error = pthread_create(&s->thread, NULL, run, s);
	s->is_running = error == 0;
	return error ? fault_errno(error, "starting what measures") : 0;
}

void sampler_stop(Sampler *s) {
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	atomic_store(&s->stop, true);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	if (s->is_running)
		pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s->round.samples);
	free(s);
}
