/* What `assayfs alarm` asks: how alarms are, what was, tests, silence, and what could not be delivered. */
#include "fs/service/internal.h"

#include "crypto/base/fault.h"
#include "fs/alarm/alarms.h"
#include "fs/alarm/key.h"
#include "fs/words.h"

#include <errno.h>
#include <string.h>

#define HISTORY_MOST 10000
#define SILENCE_MOST_NS (INT64_C(366) * 86400 * 1000000000)

/* ---- rights ---- */

static int need_alarms(const Service *service) {
	return service->alarms ? 0 : fault(EROFS, "%s: its alarms are not watched", service_read_only_words(service));
}

static int require_reader(Service *service, const struct control_peer *peer, const char *event) {
	int rc = service_require(service, peer, PLACE_POLICY, POLICY_READ, event, NULL);
	return rc ? rc : need_alarms(service);
}

static int require_steward(Service *service, const struct control_peer *peer, const char *event) {
	int rc = service_require(service, peer, PLACE_POLICY, POLICY_WRITE, event, NULL);
	if (!rc)
		rc = service_require_writable(service, peer, event, NULL);
	return rc ? rc : need_alarms(service);
}

static int read_name(const json_t *arguments, const char **ret_name) {
	*ret_name = json_string_value(json_object_get(arguments, "name"));
	return *ret_name && **ret_name ? 0 : fault(EPROTO, "the alarm's name is missing");
}

/* ---- list ---- */

static json_t *texts_json(const char *const *texts, size_t count) {
	json_t *list = json_array();
	for (size_t i = 0; list && i < count; i++)
		json_array_append_new(list, json_string(texts[i]));
	return list;
}

static json_t *metrics_json(const struct policy_alarm *alarm) {
	json_t *list = json_array();
	for (size_t i = 0; list && i < alarm->metric_count; i++) {
		const struct policy_alarm_metric *metric = &alarm->metrics[i];
		json_array_append_new(list,
		        json_pack("{s:s, s:s, s:s, s:s}", "id", metric->id, "metric", metric->metric, "dimensions",
		                metric->labels, "statistic", alarm_statistic_word(metric->statistic)));
	}
	return list;
}

static json_t *alarm_json(const struct policy_alarm *alarm, const struct alarm_row *row) {
	const struct alarm_rule *rule = &alarm->rule;
	return json_pack(
	        "{s:s, s:s, s:I, s:s, s:o, s:s*, s:s, s:f, s:s*, s:i, s:i, s:i, s:s, s:b, s:s*, s:I, s:s, s:o, s:o, "
	        "s:o}",
	        "name", alarm->name, "state", alarm_state_word(row->state), "since_ns", (json_int_t)row->since_ns,
	        "reason", row->reason, "metrics", metrics_json(alarm), "expression", alarm->expression, "comparison",
	        alarm_comparison_word(rule->comparison), "threshold", rule->threshold, "unit", alarm->unit, "period_s",
	        (int)rule->period_s, "datapoints", (int)rule->datapoints, "of", (int)rule->of, "missing",
	        alarm_missing_word(rule->missing), "enabled", (int)alarm->is_enabled, "description", alarm->description,
	        "silent_until_ns", (json_int_t)row->silent_until_ns, "silent_reason", row->silent_reason, "notify",
	        texts_json(alarm->notify[ALARM_STATE_ALARM], alarm->notify_count[ALARM_STATE_ALARM]), "notify_ok",
	        texts_json(alarm->notify[ALARM_STATE_OK], alarm->notify_count[ALARM_STATE_OK]), "notify_insufficient",
	        texts_json(alarm->notify[ALARM_STATE_INSUFFICIENT_DATA],
	                alarm->notify_count[ALARM_STATE_INSUFFICIENT_DATA]));
}

static int gather_alarm(void *arg, const struct policy_alarm *alarm, const struct alarm_row *row) {
	return json_array_append_new(arg, alarm_json(alarm, row)) ? fault(ENOMEM, "listing alarms: out of memory") : 0;
}

/* Nothing is sent while a list runs: a slow client must not hold the policy or the database. */
static int send_all(ControlReply *reply, const json_t *list) {
	int rc = 0;
	for (size_t i = 0; !rc && i < json_array_size(list); i++)
		rc = control_send(reply, json_incref(json_array_get(list, i)));
	return rc;
}

int service_alarm_list(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(json_decrefp) json_t *list = json_array();
	(void)arguments;
	int rc = require_reader(service, peer, "alarm-list");
	if (!rc)
		rc = alarms_list(service->alarms, gather_alarm, list);
	return rc ? rc : send_all(reply, list);
}

/* ---- for the status ---- */

/* `alarm list` has all; with a thousand of them the answer of status would be more than is sent over HTTP. */
#define SUMMED_NAMES 20

struct summing {
	json_t *names; /* NULL: they are not told */
	uint64_t total, alarming;
};

static int sum_up(void *arg, const struct policy_alarm *alarm, const struct alarm_row *row) {
	struct summing *sum = arg;
	sum->total++;
	sum->alarming += row->state == ALARM_STATE_ALARM;
	if (sum->names && row->state == ALARM_STATE_ALARM && json_array_size(sum->names) < SUMMED_NAMES)
		json_array_append_new(sum->names, json_pack("{s:s, s:I, s:s}", "name", alarm->name, "since_ns",
		                                          (json_int_t)row->since_ns, "reason", row->reason));
	return 0;
}

json_t *service_alarms_json(Service *service, bool tells_names) {
	struct summing sum = {.names = tells_names ? json_array() : NULL};
	uint64_t waiting = 0, dead = 0;
	if (!service->alarms || alarms_list(service->alarms, sum_up, &sum) < 0) {
		json_decref(sum.names);
		return json_null();
	}
	meta_begin(service->meta);
	int rc = alarm_action_count(service->meta, ALARM_ACTION_WAITING, &waiting);
	if (!rc)
		rc = alarm_action_count(service->meta, ALARM_ACTION_DEAD, &dead);
	(void)meta_end(service->meta, rc);
	return json_pack("{s:I, s:I, s:I, s:I, s:b, s:o*}", "total", (json_int_t)sum.total, "alarm",
	        (json_int_t)sum.alarming, "waiting", (json_int_t)waiting, "undelivered", (json_int_t)dead, "can_send",
	        (int)alarms_can_send(service->alarms), "in_alarm", sum.names);
}

/* ---- history ---- */

static int gather_event(void *arg, const struct alarm_event *event) {
	json_t *item = json_pack("{s:I, s:s, s:I, s:s, s:s, s:s, s:b, s:s}", "id", (json_int_t)event->id, "name",
	        event->alarm, "time_ns", (json_int_t)event->time_ns, "kind", alarm_event_word(event->kind), "before",
	        alarm_state_word(event->before), "after", alarm_state_word(event->after), "silent",
	        (int)event->is_silent, "reason", event->reason);
	return json_array_append_new(arg, item) ? -ENOMEM : 0;
}

static json_t *action_json(const struct alarm_action *action, bool with_body) {
	static const char *const states[] = {"waiting", "done", "dead"};
	char id[ALARM_ACTION_ID_BYTES];
	alarm_action_id(action, id);
	return json_pack("{s:I, s:s, s:s, s:I, s:s, s:s, s:i, s:I, s:s, s:s*}", "id", (json_int_t)action->id,
	        "delivery", id, "name", action->alarm, "time_ns", (json_int_t)action->event_ns, "target",
	        action->target, "state", states[action->state], "attempts", (int)action->attempts, "due_ns",
	        (json_int_t)action->due_ns, "error", action->error, "body", with_body ? action->body : NULL);
}

static int gather_action(void *arg, const struct alarm_action *action) {
	return json_array_append_new(arg, action_json(action, false)) ? -ENOMEM : 0;
}

static int gather_letter(void *arg, const struct alarm_action *action) {
	return json_array_append_new(arg, action_json(action, true)) ? -ENOMEM : 0;
}

static int add_actions(Meta *m, json_t *events) {
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < json_array_size(events); i++) {
		json_t *event = json_array_get(events, i), *list = json_array();
		rc = list ? alarm_action_of(
		                    m, (uint64_t)json_integer_value(json_object_get(event, "id")), gather_action, list)
		          : -ENOMEM;
		json_object_set_new(event, "actions", list);
	}
	return rc;
}

int service_alarm_history(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	const char *name = json_string_value(json_object_get(arguments, "name"));
	json_int_t limit = json_integer_value(json_object_get(arguments, "limit"));
	_cleanup_(json_decrefp) json_t *list = json_array();
	int rc = require_reader(service, peer, "alarm-history");
	if (rc)
		return rc;
	meta_begin(service->meta);
	rc = alarm_event_list(service->meta, name, (unsigned)(limit > 0 && limit < HISTORY_MOST ? limit : HISTORY_MOST),
	        gather_event, list);
	if (!rc)
		rc = add_actions(service->meta, list);
	rc = meta_end(service->meta, rc);
	return rc ? rc : send_all(reply, list);
}

int service_alarm_dead(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(json_decrefp) json_t *list = json_array();
	enum alarm_action_state state =
	        json_is_true(json_object_get(arguments, "waiting")) ? ALARM_ACTION_WAITING : ALARM_ACTION_DEAD;
	int rc = require_reader(service, peer, "alarm-list");
	if (rc)
		return rc;
	meta_begin(service->meta);
	rc = meta_end(service->meta, alarm_action_list(service->meta, state, 0, gather_letter, list));
	return rc ? rc : send_all(reply, list);
}

/* ---- test, silence ---- */

static int send_tested(void *arg, const char *target, const struct courier_outcome *outcome) {
	return control_send(arg, json_pack("{s:s, s:b, s:s}", "target", target, "delivered", (int)outcome->is_delivered,
	                                 "words", outcome->words));
}

int service_alarm_test(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	const char *name = NULL;
	int rc = read_name(arguments, &name);
	if (!rc)
		rc = require_steward(service, peer, "alarm-test");
	if (rc)
		return rc;
	const struct actor actor = service_actor(peer);
	return alarms_test(service->alarms, name, &actor, send_tested, reply);
}

int service_alarm_silence(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	const char *name = NULL, *reason = json_string_value(json_object_get(arguments, "reason"));
	json_int_t for_ns = json_integer_value(json_object_get(arguments, "for_ns"));
	int rc = read_name(arguments, &name);
	if (!rc && (for_ns < 0 || for_ns > SILENCE_MOST_NS))
		rc = fault(EINVAL, "an alarm is silenced for a year at most");
	if (!rc && reason && strlen(reason) > ALARM_REASON_MAX)
		rc = fault(EINVAL, "the reason is longer than %d bytes", ALARM_REASON_MAX);
	if (!rc)
		rc = require_steward(service, peer, "alarm-silence");
	if (rc)
		return rc;
	const struct actor actor = service_actor(peer);
	int64_t until = for_ns ? meta_now(service->meta) + for_ns : 0;
	rc = alarms_silence(service->alarms, name, until, reason ? reason : "", &actor);
	if (!rc)
		rc = store_commit_wait(service->store);
	return rc ? rc
	          : control_send(reply, json_pack("{s:s, s:I}", "name", name, "silent_until_ns", (json_int_t)until));
}

/* ---- dead letters ---- */

static int change_dead(Service *service, const struct control_peer *peer, const json_t *arguments, ControlReply *reply,
        const char *event, int (*apply)(Alarms *alarms, uint64_t id, const struct actor *actor, uint64_t *ret_count)) {
	json_int_t id = json_integer_value(json_object_get(arguments, "id"));
	uint64_t count = 0;
	int rc = id < 0 ? fault(EPROTO, "'id' is no number of a notification") : 0;
	if (!rc)
		rc = require_steward(service, peer, event);
	if (rc)
		return rc;
	const struct actor actor = service_actor(peer);
	rc = apply(service->alarms, (uint64_t)id, &actor, &count);
	if (!rc)
		rc = store_commit_wait(service->store);
	return rc ? rc : control_send(reply, json_pack("{s:I}", "count", (json_int_t)count));
}

int service_alarm_retry(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	return change_dead(context, peer, arguments, reply, "alarm-retry", alarms_retry);
}

int service_alarm_drop(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	return change_dead(context, peer, arguments, reply, "alarm-drop", alarms_drop);
}

/* {"key": the present one, "previous": [{"key", "until"}] those that sign as well until then}. */
static int send_keys(const struct alarm_keys *keys, ControlReply *reply) {
	json_t *previous = json_array();
	char until[WORDS_BYTES];
	for (size_t i = 1; previous && i < keys->count; i++)
		json_array_append_new(previous, json_pack("{s:s, s:s}", "key", keys->keys[i].text, "until",
		                                        words_time_utc(keys->keys[i].until_ns, until)));
	return control_send(reply, json_pack("{s:s, s:o}", "key", keys->keys[0].text, "previous", previous));
}

int service_alarm_key(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	struct alarm_keys keys;
	(void)arguments;
	int rc = require_reader(service, peer, "alarm-key");
	if (!rc)
		rc = alarm_key_list(service->store, meta_now(store_meta(service->store)), &keys);
	return rc ? rc : send_keys(&keys, reply);
}
