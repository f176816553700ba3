/*
 * message: what an alarm has to tell: the JSON of a notification, and the words of a mail.
 *
 * The JSON is modelled on what CloudWatch publishes to SNS (AlarmName, NewStateValue, Trigger, …), with the `type` and
 * `timestamp` that Standard Webhooks recommends; docs/alarms.md describes it.
 */
#pragma once

#include "backend/alarm_row.h"
#include "policy/policy.h"

struct alarm_message {
	const char *vault; /* its id in hexadecimal */
	const struct policy_alarm *alarm;
	enum alarm_state before, after;
	int64_t time_ns;
	const char *reason;
	bool is_test;
};

/* As compact JSON, the caller's. -ENOMEM, -EINVAL: longer than ALARM_BODY_MAX. */
int alarm_message_json(const struct alarm_message *message, char **ret_json);

/* Of such a JSON: a mail's subject and its text, both the caller's. */
int alarm_message_mail(const char *json, char **ret_subject, char **ret_text);
