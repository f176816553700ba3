#include "fs/alarm/internal.h"

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "fs/actor.h"
#include "fs/alarm/message.h"
#include "fs/log.h"
#include "policy/alarm/expression.h"
#include "policy/alarm/metrics.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_MS 5000u
#define EVERY_MS 60000u
#define MINUTE_S 60
/* Rows of a minute are kept for two days (backend/sample.h). */
#define FINE_WINDOW_S 172800u

int alarms_record(Alarms *a, const char *event, const struct actor *actor, const char *format, ...) {
	char detail[AUDIT_DETAIL_MAX];
	va_list list;
	va_start(list, format);
	(void)vsnprintf(detail, sizeof detail, format, list);
	va_end(list);
	const struct audit_event record = {.event = event, .actor = *actor, .outcome = "ok", .detail = detail};
	return audit_record(a->meta, &record, NULL);
}

/* ---- data ---- */

struct gathering {
	const struct alarm_rule *rule;
	int64_t from_s;
	struct sample_point *sums; /* of each period */
	size_t count;
};

static int gather(void *arg, const struct sample_point *point) {
	struct gathering *g = arg;
	int64_t period = (point->time_s - g->from_s) / g->rule->period_s;
	if (point->time_s < g->from_s || period >= (int64_t)g->count || !(point->count > 0))
		return 0;
	struct sample_point *sum = &g->sums[period];
	sum->least = sum->count > 0 && sum->least < point->least ? sum->least : point->least;
	sum->most = sum->count > 0 && sum->most > point->most ? sum->most : point->most;
	sum->sum += point->sum;
	sum->count += point->count;
	return 0;
}

static double statistic_of(enum alarm_statistic statistic, const struct sample_point *sum) {
	switch (statistic) {
	case ALARM_AVERAGE:
		return sum->sum / sum->count;
	case ALARM_SUM:
		return sum->sum;
	case ALARM_MINIMUM:
		return sum->least;
	case ALARM_MAXIMUM:
		return sum->most;
	case ALARM_SAMPLE_COUNT:
		return sum->count;
	}
	return 0;
}

/* What was told by alarms_event. True when there is some. */
static bool gather_events(Alarms *a, const char *metric, struct gathering *g) {
	bool found = false;
	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < ALARMS_EVENTS; i++) {
		if (!a->events[i].metric || strcmp(a->events[i].metric, metric) != 0)
			continue;
		const struct sample_point one = {
		        .time_s = a->events[i].time_s, .count = 1, .sum = 1, .least = 1, .most = 1};
		found = true;
		(void)gather(g, &one);
	}
	pthread_mutex_unlock(&a->lock);
	return found;
}

static int read_series(Alarms *a, const struct policy_alarm_metric *metric, struct gathering *g, unsigned base_s,
        struct alarm_point *points) {
	int64_t to_s = g->from_s + (int64_t)g->count * g->rule->period_s;
	memset(g->sums, 0, g->count * sizeof *g->sums);
	int rc = a->options.data(
	        a->options.data_arg, metric->metric, metric->labels, g->from_s, to_s, base_s, gather, g);
	if (rc < 0)
		return rc;
	(void)gather_events(a, metric->metric, g);
	for (size_t i = 0; i < g->count; i++)
		points[i] = (struct alarm_point){.is_there = g->sums[i].count > 0,
		        .value = g->sums[i].count > 0 ? statistic_of(metric->statistic, &g->sums[i]) : 0,
		        .time_s = g->from_s + (int64_t)i * g->rule->period_s};
	return 0;
}

static int compute(const struct policy_alarm *alarm, const struct alarm_point *series, size_t count,
        struct alarm_point *ret_points) {
	const char *names[ALARM_METRICS_MAX];
	const struct alarm_point *each[ALARM_METRICS_MAX];
	_cleanup_(alarm_expression_freep) AlarmExpression *expression = NULL;
	for (size_t i = 0; i < alarm->metric_count; i++) {
		names[i] = alarm->metrics[i].id;
		each[i] = series + i * count;
	}
	int rc = alarm_expression_parse(alarm->expression, names, alarm->metric_count, NULL, &expression);
	return rc < 0 ? rc : alarm_expression_compute(expression, each, count, alarm->rule.period_s, ret_points);
}

/* Whether the minute that is not over counts: something happened in it that can't wait. */
static bool has_news(Alarms *a, const struct policy_alarm *alarm, int64_t minute_s) {
	bool found = false;
	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < ALARMS_EVENTS; i++)
		for (size_t k = 0; k < alarm->metric_count; k++)
			found = found || (a->events[i].metric && a->events[i].time_s >= minute_s &&
			                         strcmp(a->events[i].metric, alarm->metrics[k].metric) == 0);
	pthread_mutex_unlock(&a->lock);
	return found;
}

static int decide(Alarms *a, const struct policy_alarm *alarm, int64_t now_ns, enum alarm_state former,
        struct alarm_decision *ret) {
	const size_t count = alarm_rule_range(&alarm->rule);
	const uint64_t window_s = count * alarm->rule.period_s;
	const unsigned base_s = window_s <= FINE_WINDOW_S ? MINUTE_S : 5 * MINUTE_S;
	const int64_t now_s = now_ns / 1000000000;
	int64_t end_s = now_s - now_s % base_s;
	if (base_s == MINUTE_S && has_news(a, alarm, end_s))
		end_s += MINUTE_S;
	struct gathering g = {.rule = &alarm->rule, .from_s = end_s - (int64_t)window_s, .count = count};
	_cleanup_(freep) struct sample_point *sums = calloc(count, sizeof *sums);
	_cleanup_(freep) struct alarm_point *series = calloc((alarm->metric_count + 1) * count, sizeof *series);
	if (!sums || !series)
		return fault(ENOMEM, "no memory to look at alarm %.100s", alarm->name);
	g.sums = sums;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < alarm->metric_count; i++)
		rc = read_series(a, &alarm->metrics[i], &g, base_s, series + i * count);
	struct alarm_point *points = series;
	if (rc == 0 && alarm->expression) {
		points = series + alarm->metric_count * count;
		rc = compute(alarm, series, count, points);
	}
	if (rc == 0)
		alarm_evaluate(&alarm->rule, points, count, former, ret);
	return rc;
}

/* ---- a change ---- */

struct former {
	enum alarm_state state;
	int64_t silent_until_ns;
};

static int take_former(void *arg, const struct alarm_row *row) {
	struct former *former = arg;
	former->state = row->state;
	former->silent_until_ns = row->silent_until_ns;
	return 0;
}

static int change(Alarms *a, const struct policy_alarm *alarm, const struct former *former,
        const struct alarm_decision *decision, int64_t now_ns) {
	_cleanup_(freep) char *body = NULL;
	struct actor actor;
	const struct alarm_message message = {.vault = a->vault,
	        .alarm = alarm,
	        .before = former->state,
	        .after = decision->state,
	        .time_ns = now_ns,
	        .reason = decision->reason};
	const struct alarm_event event = {.alarm = alarm->name,
	        .time_ns = now_ns,
	        .kind = ALARM_EVENT_STATE,
	        .before = former->state,
	        .after = decision->state,
	        .is_silent = former->silent_until_ns > now_ns || !alarm->is_enabled,
	        .reason = decision->reason};
	int rc = alarm_message_json(&message, &body);
	if (rc < 0)
		return rc;
	actor_of_daemon(&actor);
	meta_begin(a->meta);
	rc = alarm_row_change(a->meta, &event, alarm->notify[decision->state],
	        event.is_silent ? 0 : alarm->notify_count[decision->state], body, NULL);
	if (rc == 0)
		rc = alarms_record(a, "alarm", &actor, "%s: %s -> %s: %s", alarm->name, alarm_state_word(former->state),
		        alarm_state_word(decision->state), decision->reason);
	return meta_end(a->meta, rc);
}

static int look_at(Alarms *a, const struct policy_alarm *alarm, int64_t now_ns, bool *is_changed) {
	struct former former = {.state = ALARM_STATE_INSUFFICIENT_DATA};
	struct alarm_decision decision;
	meta_begin(a->meta);
	int rc = alarm_row_get(a->meta, alarm->name, take_former, &former);
	if (rc == -ENOENT)
		rc = alarm_row_begin(a->meta, alarm->name, now_ns);
	rc = meta_end(a->meta, rc);
	if (rc == 0)
		rc = decide(a, alarm, now_ns, former.state, &decision);
	if (rc < 0 || decision.state == former.state)
		return rc;
	*is_changed = true;
	return change(a, alarm, &former, &decision, now_ns);
}

/* ---- a round ---- */

struct leaving {
	const Policy *policy;
	char name[ALARM_NAME_MAX + 1];
};

static const struct policy_alarm *alarm_named(const Policy *policy, const char *name) {
	for (size_t i = 0; i < policy_alarm_count(policy); i++)
		if (strcmp(policy_alarm(policy, i)->name, name) == 0)
			return policy_alarm(policy, i);
	return NULL;
}

static int find_left(void *arg, const struct alarm_row *row) {
	struct leaving *leaving = arg;
	if (alarm_named(leaving->policy, row->name))
		return 0;
	(void)snprintf(leaving->name, sizeof leaving->name, "%s", row->name);
	return 1;
}

static int forget_left(Alarms *a, const Policy *policy) {
	struct leaving leaving = {.policy = policy};
	int rc;
	do {
		leaving.name[0] = '\0';
		meta_begin(a->meta);
		rc = alarm_row_list(a->meta, find_left, &leaving);
		if (rc == 0 && leaving.name[0])
			rc = alarm_row_forget(a->meta, leaving.name);
		rc = meta_end(a->meta, rc);
	} while (rc == 0 && leaving.name[0]);
	return rc;
}

int alarms_round(Alarms *a, int64_t now_ns) {
	bool is_changed = false;
	pthread_mutex_lock(&a->round);
	struct gate_policy *held = a->options.policy(a->options.policy_arg);
	int worst = forget_left(a, held->policy);
	for (size_t i = 0; i < policy_alarm_count(held->policy); i++) {
		int rc = look_at(a, policy_alarm(held->policy, i), now_ns, &is_changed);
		worst = worst < 0 ? worst : rc;
	}
	a->options.policy_done(held);
	pthread_mutex_unlock(&a->round);
	if (is_changed)
		alarms_queue(a);
	return worst;
}

void alarms_event(Alarms *a, const char *metric) {
	const struct alarm_metric *known = a ? alarm_metric_named(metric) : NULL;
	if (!known)
		return;
	pthread_mutex_lock(&a->lock);
	a->events[a->next_event].metric = known->name;
	a->events[a->next_event].time_s = meta_now(a->meta) / 1000000000;
	a->next_event = (a->next_event + 1) % ALARMS_EVENTS;
	pthread_mutex_unlock(&a->lock);
	alarms_wake(a);
}

/* ---- what is asked and told by command ---- */

struct row_copy {
	struct alarm_row row;
	char reason[ALARM_REASON_MAX + 1], silent_reason[ALARM_REASON_MAX + 1];
};

static int copy_row(void *arg, const struct alarm_row *row) {
	struct row_copy *copy = arg;
	copy->row = *row;
	(void)snprintf(copy->reason, sizeof copy->reason, "%s", row->reason);
	(void)snprintf(copy->silent_reason, sizeof copy->silent_reason, "%s", row->silent_reason);
	copy->row.reason = copy->reason;
	copy->row.silent_reason = copy->silent_reason;
	return 0;
}

int alarms_list(Alarms *a, alarms_listed_fn *each, void *arg) {
	struct gate_policy *held = a->options.policy(a->options.policy_arg);
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < policy_alarm_count(held->policy); i++) {
		const struct policy_alarm *alarm = policy_alarm(held->policy, i);
		struct row_copy copy = {.row = {.reason = "Unchecked: Initial alarm creation", .silent_reason = ""}};
		meta_begin(a->meta);
		rc = alarm_row_get(a->meta, alarm->name, copy_row, &copy);
		rc = meta_end(a->meta, rc == -ENOENT ? 0 : rc);
		copy.row.name = alarm->name;
		if (rc == 0)
			rc = each(arg, alarm, &copy.row);
	}
	a->options.policy_done(held);
	return rc;
}

int alarms_silence(Alarms *a, const char *name, int64_t until_ns, const char *reason, const struct actor *actor) {
	struct former former = {.state = ALARM_STATE_INSUFFICIENT_DATA};
	struct alarm_event event = {.alarm = name,
	        .time_ns = meta_now(a->meta),
	        .kind = until_ns ? ALARM_EVENT_SILENCED : ALARM_EVENT_SPEAKS,
	        .reason = reason};
	pthread_mutex_lock(&a->round);
	meta_begin(a->meta);
	int rc = alarm_row_silence(a->meta, name, until_ns, reason);
	if (rc == 0)
		rc = alarm_row_get(a->meta, name, take_former, &former);
	event.before = event.after = former.state;
	if (rc == 0)
		rc = alarm_row_change(a->meta, &event, NULL, 0, NULL, NULL);
	if (rc == 0)
		rc = alarms_record(a, "alarm-silence", actor, "%s: %s: %s", name,
		        until_ns ? "nobody is told" : "it speaks again", reason);
	rc = meta_end(a->meta, rc);
	pthread_mutex_unlock(&a->round);
	return rc;
}

/* ---- a test ---- */

static bool is_told_before(const struct policy_alarm *alarm, size_t state, size_t i) {
	for (size_t s = 0; s <= state; s++)
		for (size_t k = 0; k < (s == state ? i : alarm->notify_count[s]); k++)
			if (strcmp(alarm->notify[s][k], alarm->notify[state][i]) == 0)
				return true;
	return false;
}

static int tell_all(Alarms *a, const struct policy_alarm *alarm, const char *body, uint64_t event,
        alarms_tested_fn *each, void *arg) {
	int rc = 0;
	unsigned number = 0;
	for (size_t state = 0; state < 3; state++) {
		for (size_t i = 0; rc == 0 && i < alarm->notify_count[state]; i++) {
			struct courier_outcome outcome = {.words = ""};
			char id[ALARM_ACTION_ID_BYTES];
			if (is_told_before(alarm, state, i))
				continue;
			(void)snprintf(id, sizeof id, "msg_test%llx%04x%08x", (unsigned long long)meta_now(a->meta),
			        (unsigned)event & 0xffffu, number++);
			if (alarms_deliver(a, alarm->notify[state][i], id, body, &outcome) < 0)
				(void)snprintf(outcome.words, sizeof outcome.words, "%s", fault_message());
			rc = each(arg, alarm->notify[state][i], &outcome);
		}
	}
	return rc;
}

static int record_test(Alarms *a, const char *name, const struct actor *actor, uint64_t *ret_event) {
	const struct alarm_event event = {.alarm = name,
	        .time_ns = meta_now(a->meta),
	        .kind = ALARM_EVENT_TEST,
	        .reason = "its targets were told that this is a test"};
	meta_begin(a->meta);
	int rc = alarm_row_change(a->meta, &event, NULL, 0, NULL, ret_event);
	if (rc == 0)
		rc = alarms_record(a, "alarm-test", actor, "%s", name);
	return meta_end(a->meta, rc);
}

int alarms_test(Alarms *a, const char *name, const struct actor *actor, alarms_tested_fn *each, void *arg) {
	_cleanup_(freep) char *body = NULL;
	uint64_t event = 0;
	struct gate_policy *held = a->options.policy(a->options.policy_arg);
	const struct policy_alarm *alarm = alarm_named(held->policy, name);
	const struct alarm_message message = {.vault = a->vault,
	        .alarm = alarm,
	        .before = ALARM_STATE_OK,
	        .after = ALARM_STATE_ALARM,
	        .time_ns = meta_now(a->meta),
	        .reason = "This is a test: nothing has happened.",
	        .is_test = true};
	int rc = alarm ? record_test(a, name, actor, &event)
	               : fault(ENOENT, "the policy in force has no alarm '%.100s'", name);
	if (rc == 0)
		rc = alarm_message_json(&message, &body);
	if (rc == 0)
		rc = tell_all(a, alarm, body, event, each, arg);
	a->options.policy_done(held);
	return rc;
}

/* ---- dead letters ---- */

int alarms_retry(Alarms *a, uint64_t id, const struct actor *actor, uint64_t *ret_count) {
	meta_begin(a->meta);
	int rc = alarm_action_retry(a->meta, id, meta_now(a->meta), ret_count);
	if (rc == 0)
		rc = alarms_record(a, "alarm-retry", actor, "%llu notifications", (unsigned long long)*ret_count);
	rc = meta_end(a->meta, rc);
	if (rc == 0)
		alarms_queue(a);
	return rc;
}

int alarms_drop(Alarms *a, uint64_t id, const struct actor *actor, uint64_t *ret_count) {
	meta_begin(a->meta);
	int rc = alarm_action_drop(a->meta, id, ret_count);
	if (rc == 0)
		rc = alarms_record(a, "alarm-drop", actor, "%llu notifications", (unsigned long long)*ret_count);
	return meta_end(a->meta, rc);
}

bool alarms_can_send(Alarms *a) {
	return a->options.courier && courier_alive(a->options.courier);
}

/* ---- life ---- */

void alarms_wake(Alarms *a) {
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->is_woken = true;
	pthread_cond_broadcast(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

static void *watch(void *arg) {
	Alarms *a = arg;
	unsigned wait_ms = a->options.first_ms;
	pthread_mutex_lock(&a->lock);
	while (!a->stop) {
		const struct timespec until = deadline_after_ms(wait_ms);
		int late = 0;
		while (!a->stop && !a->is_woken && late != ETIMEDOUT)
			late = pthread_cond_timedwait(&a->wake, &a->lock, &until);
		if (a->stop)
			break;
		a->is_woken = false;
		wait_ms = a->options.every_ms;
		pthread_mutex_unlock(&a->lock);
		int rc = alarms_round(a, meta_now(a->meta));
		if (rc < 0)
			log_fault(rc, "alarms could not be looked at");
		pthread_mutex_lock(&a->lock);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

static int start_threads(Alarms *a, unsigned senders) {
	pthread_mutex_lock(&a->lock); /* a sender looks for its place once all are there */
	int error = a->options.every_ms ? pthread_create(&a->watcher, NULL, watch, a) : 0;
	a->has_watcher = error == 0;
	while (error == 0 && a->options.courier && a->sender_count < senders) {
		error = pthread_create(&a->senders[a->sender_count], NULL, alarms_send, a);
		a->sender_count += error == 0;
	}
	pthread_mutex_unlock(&a->lock);
	return error ? fault_errno(error, "starting what watches alarms") : 0;
}

int alarms_start(const struct alarms_options *options, Alarms **ret_alarms) {
	_cleanup_(alarms_stopp) Alarms *a = calloc(1, sizeof *a);
	uint8_t id[META_VAULT_ID_MAX];
	if (!a)
		return fault(ENOMEM, "starting what watches alarms: out of memory");
	a->options = *options;
	a->options.first_ms = options->first_ms ? options->first_ms : FIRST_MS;
	a->options.every_ms = options->every_ms ? options->every_ms : EVERY_MS;
	if (!options->retry_ms) {
		a->options.retry_ms = alarms_retry_ms;
		a->options.retry_count = alarms_retry_count;
	}
	a->meta = store_meta(options->store);
	hex_encode(bytes_of(id, meta_vault_id(a->meta, id)), a->vault);
	pthread_mutex_init(&a->round, NULL);
	pthread_mutex_init(&a->lock, NULL);
	deadline_cond_init(&a->wake);
	unsigned senders = options->senders ? options->senders : 3;
	int rc = start_threads(a, senders < ALARMS_SENDERS_MAX ? senders : ALARMS_SENDERS_MAX);
	if (rc == 0)
		*ret_alarms = steal_pointer(&a);
	return rc;
}

void alarms_stop(Alarms *a) {
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_broadcast(&a->wake);
	pthread_mutex_unlock(&a->lock);
	if (a->has_watcher)
		pthread_join(a->watcher, NULL);
	for (size_t i = 0; i < a->sender_count; i++)
		pthread_join(a->senders[i], NULL);
	pthread_cond_destroy(&a->wake);
	pthread_mutex_destroy(&a->lock);
	pthread_mutex_destroy(&a->round);
	free(a);
}
