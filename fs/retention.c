#include "fs/retention.h"
#include "fs/ship_place.h"

#include "backend/audit.h"
#include "backend/audit_retain.h"
#include "backend/audit_ship.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "fs/actor.h"
#include "fs/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_MS 60000u
#define EVERY_MS 3600000u
#define DAY_NS (INT64_C(86400) * 1000000000)

struct Retention {
	struct retention_options options;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	_Atomic bool stop;
	int64_t failed_day; /* the last day of which a failure is on record */
};

/* ---- a round ---- */

static bool is_stopped(const _Atomic bool *stop) {
	return stop && atomic_load(stop);
}

struct unshipped {
	bool found;
	struct audit_archived archived;
};

static int take_unshipped(void *arg, const struct audit_archived *archived) {
	struct unshipped *next = arg;
	if (archived->shipped_ns != 0)
		return 0;
	next->found = true;
	next->archived = *archived;
	return 1;
}

/* The oldest one that was not yet. 1: it was shipped; 0: there is none. */
static int ship_next(Store *store, const char *directory, const char *vault_id, const struct actor *actor) {
	_cleanup_(freep) uint8_t *file = NULL;
	size_t size;
	char place[AUDIT_SHIP_PLACE_BYTES];
	uint8_t digest[DIGEST_BYTES];
	struct unshipped next = {0};
	Meta *m = store_meta(store);
	meta_begin(m);
	int rc = meta_end(m, audit_retain_list(m, take_unshipped, &next));
	if (rc < 0 || !next.found)
		return rc;
	const struct audit_archived *a = &next.archived;
	rc = audit_retain_read(store, a->first, &file, &size);
	if (rc == 0)
		rc = audit_ship(directory, vault_id, a->first, a->end - 1, bytes_of(file, size), place, digest);
	if (rc == 0)
		rc = audit_retain_shipped(store, a->first, digest, place, actor);
	return rc < 0 ? fault_while(rc, "shipping records of the log") : 1;
}

static int ship_all(Store *store, const char *directory, const struct actor *actor, const _Atomic bool *stop) {
	_cleanup_(freep) struct store_info *info = calloc(1, sizeof *info);
	char id[HEX_TEXT_BYTES(STORE_VAULT_ID_BYTES)];
	if (!info)
		return fault(ENOMEM, "shipping records of the log: out of memory");
	store_info(store, info);
	hex_encode(bytes_of(info->vault_id, sizeof info->vault_id), id);
	int rc = 1;
	while (rc > 0 && !is_stopped(stop))
		rc = ship_next(store, directory, id, actor);
	return rc < 0 ? rc : 0;
}

int retention_round(Store *store, const struct retention_rules *rules, int64_t now_ns, const _Atomic bool *stop) {
	struct actor actor;
	const int64_t today = now_ns - now_ns % DAY_NS;
	struct audit_archived done;
	if (rules->archive_after_days == 0)
		return 0;
	actor_of_daemon(&actor);
	int rc = 1;
	while (rc > 0 && !is_stopped(stop))
		rc = audit_retain_archive(store, today - (rules->archive_after_days - 1) * DAY_NS, &actor, &done);
	if (rc >= 0 && rules->ship[0])
		rc = fault_while(ship_place_check(rules->ship), "shipping records of the log");
	if (rc >= 0 && rules->ship[0])
		rc = ship_all(store, rules->ship, &actor, stop);
	if (rc < 0 || rules->keep_days == 0)
		return rc < 0 ? rc : 0;
	rc = 1;
	while (rc > 0 && !is_stopped(stop))
		rc = audit_retain_prune(store, today - rules->keep_days * DAY_NS, &actor, &done);
	return rc < 0 ? rc : 0;
}

/* ---- the thread ---- */

static void record_failure(Retention *r, int rc, int64_t now_ns) {
	char words[FAULT_MESSAGE_BYTES];
	(void)snprintf(words, sizeof words, "%s", fault_message());
	log_message_fault(MESSAGE_RETENTION, rc, "what the policy says of old records of the log was not done");
	if (now_ns / DAY_NS == r->failed_day)
		return;
	r->failed_day = now_ns / DAY_NS;
	struct audit_event event = {.event = "log-archive", .outcome = "error", .err = -rc, .detail = words};
	actor_of_daemon(&event.actor);
	Meta *m = store_meta(r->options.store);
	meta_begin(m);
	(void)meta_end(m, audit_record(m, &event, NULL));
}

static void one_round(Retention *r) {
	_cleanup_(freep) struct retention_rules *rules = calloc(1, sizeof *rules);
	int64_t now = meta_now(store_meta(r->options.store));
	if (!rules)
		return;
	r->options.rules(r->options.arg, rules);
	int rc = retention_round(r->options.store, rules, now, &r->stop);
	if (rc < 0)
		record_failure(r, rc, now);
}

static void *run(void *arg) {
	Retention *r = arg;
	unsigned wait_ms = r->options.first_ms;
	pthread_mutex_lock(&r->lock);
	while (!atomic_load(&r->stop)) {
		const struct timespec until = deadline_after_ms(wait_ms);
		int late = 0;
		while (!atomic_load(&r->stop) && late != ETIMEDOUT)
			late = pthread_cond_timedwait(&r->wake, &r->lock, &until);
		wait_ms = r->options.every_ms;
		if (atomic_load(&r->stop))
			break;
		pthread_mutex_unlock(&r->lock);
		one_round(r);
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

static void free_retention(Retention *r) {
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

int retention_start(const struct retention_options *options, Retention **ret_retention) {
	Retention *r = calloc(1, sizeof *r);
	if (!r)
		return fault(ENOMEM, "starting what keeps the log: out of memory");
	r->options = *options;
	r->options.first_ms = options->first_ms ? options->first_ms : FIRST_MS;
	r->options.every_ms = options->every_ms ? options->every_ms : EVERY_MS;
	r->failed_day = -1;
	pthread_mutex_init(&r->lock, NULL);
	deadline_cond_init(&r->wake);
	int error = pthread_create(&r->thread, NULL, run, r);
	if (error) {
		free_retention(r);
		return fault_errno(error, "starting what keeps the log");
	}
	*ret_retention = r;
	return 0;
}

void retention_stop(Retention *r) {
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	atomic_store(&r->stop, true);
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	free_retention(r);
}
