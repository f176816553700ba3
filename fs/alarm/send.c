/* The senders: waiting actions are signed, handed to the courier, and marked. */
#include "fs/alarm/internal.h"

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "fs/actor.h"
#include "fs/alarm/key.h"
#include "fs/alarm/message.h"
#include "fs/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define MINUTE_NS (INT64_C(60) * 1000000000)

const unsigned alarms_retry_ms[] = {5000, 300000, 1800000, 7200000, 18000000, 36000000, 36000000};
const size_t alarms_retry_count = sizeof alarms_retry_ms / sizeof *alarms_retry_ms;

/* ---- one delivery ---- */

int alarms_deliver(Alarms *a, const char *target, const char *id, const char *body, struct courier_outcome *ret) {
	_cleanup_(freep) char *subject = NULL;
	_cleanup_(freep) char *text = NULL;
	char timestamp[24], signature[ALARM_SIGNATURE_BYTES];
	if (!a->options.courier)
		return fault(ECHILD, "nothing is sent from this mount");
	struct gate_policy *held = a->options.policy(a->options.policy_arg);
	const struct policy_mail *mail = policy_mail(held->policy);
	const int64_t now_ns = meta_now(a->meta);
	(void)snprintf(timestamp, sizeof timestamp, "%" PRId64, now_ns / 1000000000);
	int rc = alarm_key_sign(a->options.store, now_ns, id, timestamp, body, signature);
	if (rc == 0)
		rc = alarm_message_mail(body, &subject, &text);
	const struct courier_delivery delivery = {.target = target,
	        .id = id,
	        .body = body,
	        .timestamp = timestamp,
	        .signature = signature,
	        .subject = subject,
	        .text = text,
	        .server = mail ? mail->server : NULL,
	        .from = mail ? mail->from : NULL};
	if (rc == 0)
		rc = courier_deliver(a->options.courier, &delivery, ret);
	a->options.policy_done(held);
	return rc;
}

/* ---- what waits ---- */

struct taken {
	Alarms *a;
	size_t place;
	uint64_t id;
	char name[ALARM_ACTION_ID_BYTES];
	unsigned attempts;
	char *target, *body, *alarm;
};

static void free_taken(struct taken *taken) {
	free(taken->target);
	free(taken->body);
	free(taken->alarm);
}

/* The first one that no other sender is about. The lock is held. */
static int take_action(void *arg, const struct alarm_action *action) {
	struct taken *taken = arg;
	for (size_t i = 0; i < ALARMS_SENDERS_MAX; i++)
		if (taken->a->sending[i] == action->id)
			return 0;
	taken->id = action->id;
	taken->attempts = action->attempts;
	alarm_action_id(action, taken->name);
	taken->target = strdup(action->target);
	taken->body = strdup(action->body);
	taken->alarm = strdup(action->alarm);
	return taken->target && taken->body && taken->alarm ? 1 : -ENOMEM;
}

/* 1: one was taken; 0: none is due, *ret_next_ns says when. */
static int take_next(Alarms *a, size_t place, struct taken *ret, int64_t *ret_next_ns) {
	*ret = (struct taken){.a = a, .place = place};
	*ret_next_ns = INT64_MAX;
	meta_begin(a->meta);
	pthread_mutex_lock(&a->lock); /* within an operation: nobody begins one while he holds it */
	int rc = alarm_action_due(a->meta, meta_now(a->meta), 2 * ALARMS_SENDERS_MAX, take_action, ret, ret_next_ns);
	if (rc == 0 && ret->id)
		a->sending[place] = ret->id;
	pthread_mutex_unlock(&a->lock);
	rc = meta_end(a->meta, rc);
	return rc < 0 ? rc : ret->id != 0;
}

static int64_t retry_after_ns(const Alarms *a, unsigned attempts) {
	int64_t ms = a->options.retry_ms[attempts - 1];
	int64_t jitter = ms / 5 > 0 ? (int64_t)randombytes_uniform((uint32_t)(ms / 5) + 1) - ms / 10 : 0;
	return (ms + jitter) * 1000000;
}

static void mark(Alarms *a, const struct taken *taken, int rc, const struct courier_outcome *outcome) {
	unsigned attempts = taken->attempts + (rc == 0);
	enum alarm_action_state state = ALARM_ACTION_WAITING;
	int64_t due = meta_now(a->meta);
	char words[COURIER_WORDS_BYTES];
	(void)snprintf(words, sizeof words, "%s", rc < 0 ? fault_message() : outcome->words);
	if (rc == 0 && outcome->is_delivered)
		state = ALARM_ACTION_DONE;
	else if (rc == 0 && (outcome->is_final || attempts > a->options.retry_count))
		state = ALARM_ACTION_DEAD;
	else
		due += rc < 0 ? MINUTE_NS : retry_after_ns(a, attempts);
	struct actor actor;
	actor_of_daemon(&actor);
	meta_begin(a->meta);
	int done = alarm_action_tried(a->meta, taken->id, state, attempts, due, words);
	if (done == 0 && state == ALARM_ACTION_DEAD)
		done = alarms_record(a, "alarm-dead", &actor, "%s: %s: %s", taken->alarm, taken->target, words);
	done = meta_end(a->meta, done);
	if (done < 0)
		log_fault(done, "what became of a notification was not kept");
	if (state == ALARM_ACTION_DEAD)
		log_words("a notification of an alarm could not be delivered: assayfs alarm list --dead");
}

static void wait_for_work(Alarms *a, int64_t next_ns, uint64_t seen) {
	int64_t now = meta_now(a->meta);
	int64_t wait_ns = next_ns - now < MINUTE_NS ? next_ns - now : MINUTE_NS;
	const struct timespec until = deadline_after_ns(wait_ns > 0 ? wait_ns : 0);
	pthread_mutex_lock(&a->lock);
	int late = 0;
	while (!a->stop && a->queued == seen && late != ETIMEDOUT)
		late = pthread_cond_timedwait(&a->wake, &a->lock, &until);
	pthread_mutex_unlock(&a->lock);
}

static size_t own_place(Alarms *a) {
	size_t place = 0;
	pthread_mutex_lock(&a->lock);
	while (place + 1 < a->sender_count && !pthread_equal(a->senders[place], pthread_self()))
		place++;
	pthread_mutex_unlock(&a->lock);
	return place;
}

static bool is_stopped(Alarms *a, uint64_t *ret_seen) {
	pthread_mutex_lock(&a->lock);
	bool stop = a->stop;
	*ret_seen = a->queued;
	pthread_mutex_unlock(&a->lock);
	return stop;
}

/* A decision that a crash could still take back must not be told. */
static void send_one(Alarms *a, const struct taken *taken) {
	struct courier_outcome outcome = {.words = ""};
	int rc = store_commit_wait(a->options.store);
	if (rc == 0)
		rc = alarms_deliver(a, taken->target, taken->name, taken->body, &outcome);
	mark(a, taken, rc, &outcome);
	pthread_mutex_lock(&a->lock);
	a->sending[taken->place] = 0;
	pthread_mutex_unlock(&a->lock);
}

void *alarms_send(void *arg) {
	Alarms *a = arg;
	const size_t place = own_place(a);
	uint64_t seen;
	while (!is_stopped(a, &seen)) {
		struct taken taken;
		int64_t next_ns;
		int rc = take_next(a, place, &taken, &next_ns);
		if (rc > 0)
			send_one(a, &taken);
		else
			wait_for_work(a, rc < 0 ? INT64_MAX : next_ns, seen);
		free_taken(&taken);
	}
	return NULL;
}

void alarms_queue(Alarms *a) {
	pthread_mutex_lock(&a->lock);
	a->queued++;
	pthread_cond_broadcast(&a->wake);
	pthread_mutex_unlock(&a->lock);
}
