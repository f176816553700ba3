#include "fs/alarm/message.h"

#include "crypto/base/fault.h"
#include "fs/words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* "zone=Raw,kind=kms" as CloudWatch's list of dimensions. */
static json_t *dimensions(const char *labels) {
	json_t *list = json_array();
	while (list && *labels) {
		size_t key = strcspn(labels, "="), length = strcspn(labels, ",");
		if (key >= length)
			break;
		json_array_append_new(list,
		        json_pack("{s:s%, s:s%}", "name", labels, key, "value", labels + key + 1, length - key - 1));
		labels += length + (labels[length] == ',');
	}
	return list;
}

static json_t *metric_json(const struct policy_alarm *alarm, const struct policy_alarm_metric *metric) {
	return json_pack("{s:s, s:s, s:o, s:s, s:i}", "MetricName", metric->metric, "Namespace", "assayfs",
	        "Dimensions", dimensions(metric->labels), "Statistic", alarm_statistic_word(metric->statistic),
	        "Period", (int)alarm->rule.period_s);
}

static json_t *trigger_json(const struct policy_alarm *alarm) {
	const struct alarm_rule *rule = &alarm->rule;
	json_t *trigger = alarm->expression ? json_pack("{s:i, s:s, s:o}", "Period", (int)rule->period_s, "Expression",
	                                              alarm->expression, "Metrics", json_array())
	                                    : metric_json(alarm, &alarm->metrics[0]);
	for (size_t i = 0; trigger && alarm->expression && i < alarm->metric_count; i++) {
		json_t *metric = metric_json(alarm, &alarm->metrics[i]);
		json_object_set_new(metric, "Id", json_string(alarm->metrics[i].id));
		json_array_append_new(json_object_get(trigger, "Metrics"), metric);
	}
	json_t *rest = json_pack("{s:i, s:i, s:s, s:f, s:s, s:s*}", "EvaluationPeriods", (int)rule->of,
	        "DatapointsToAlarm", (int)rule->datapoints, "ComparisonOperator",
	        alarm_comparison_word(rule->comparison), "Threshold", rule->threshold, "TreatMissingData",
	        alarm_missing_word(rule->missing), "Unit", alarm->unit);
	if (trigger && rest)
		json_object_update(trigger, rest);
	json_decref(rest);
	return trigger;
}

int alarm_message_json(const struct alarm_message *message, char **ret_json) {
	char time[WORDS_BYTES];
	words_time_utc(message->time_ns, time);
	json_t *body = json_pack("{s:s, s:s, s:s, s:s*, s:s, s:s, s:s, s:s, s:s, s:o}", "type",
	        message->is_test ? "alarm.test" : "alarm.state", "timestamp", time, "AlarmName", message->alarm->name,
	        "AlarmDescription", message->alarm->description, "Vault", message->vault, "NewStateValue",
	        alarm_state_word(message->after), "OldStateValue", alarm_state_word(message->before), "NewStateReason",
	        message->reason, "StateChangeTime", time, "Trigger", trigger_json(message->alarm));
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	if (!text)
		return fault(ENOMEM, "no memory to tell of alarm %.100s", message->alarm->name);
	if (strlen(text) > ALARM_BODY_MAX) {
		free(text);
		return fault(EINVAL, "what alarm %.100s has to tell is too long", message->alarm->name);
	}
	*ret_json = text;
	return 0;
}

static const char *member(const json_t *body, const char *name) {
	const char *text = json_string_value(json_object_get(body, name));
	return text ? text : "";
}

int alarm_message_mail(const char *json, char **ret_subject, char **ret_text) {
	json_t *body = json_loads(json, 0, NULL);
	bool is_test = strcmp(member(body, "type"), "alarm.test") == 0;
	char *subject = NULL, *text = NULL;
	int a = asprintf(&subject, "%s%s: \"%s\" in assayfs", is_test ? "TEST " : "", member(body, "NewStateValue"),
	        member(body, "AlarmName"));
	int b = asprintf(&text, "Alarm %s is in state %s, before %s, since %s.%s\n\n%s\n%s\n\nVault %s\n\n%s\n",
	        member(body, "AlarmName"), member(body, "NewStateValue"), member(body, "OldStateValue"),
	        member(body, "StateChangeTime"), is_test ? "\nThis is a test: nothing has happened." : "",
	        member(body, "NewStateReason"), member(body, "AlarmDescription"), member(body, "Vault"), json);
	json_decref(body);
	if (a < 0 || b < 0) {
		free(a < 0 ? NULL : subject);
		free(b < 0 ? NULL : text);
		return fault(ENOMEM, "no memory for a mail");
	}
	*ret_subject = subject;
	*ret_text = text;
	return 0;
}
