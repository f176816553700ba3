/* `alarms:` of policy.yaml. */
#include "policy/policy_read.h"

#include <math.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int read_alarm_name(struct reading *r, const Node *value, void *target) {
	return read_text(r, value, "name", &((struct policy_alarm *)target)->name);
}

static int read_metric(struct reading *r, const Node *value, void *target) {
	return read_text(r, value, "metric", &((struct policy_alarm *)target)->metric);
}

static int read_unit(struct reading *r, const Node *value, void *target) {
	return read_text(r, value, "unit", &((struct policy_alarm *)target)->unit);
}

/* NaN stands for "not given yet", so that both can be told from one. */
static int read_threshold(const Node *value, const char *what, bool is_above, struct policy_alarm *alarm) {
	if (!isnan(alarm->threshold))
		return read_complain(value, "an alarm has either 'above:' or 'below:', not both");
	alarm->is_above = is_above;
	return read_real(value, what, &alarm->threshold);
}

static int read_above(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_threshold(value, "above", true, target);
}

static int read_below(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_threshold(value, "below", false, target);
}

static int read_notify(struct reading *r, const Node *value, void *target) {
	static const char *const kinds[] = {"webhook:http://", "webhook:https://", "mailto:", "command:"};
	struct policy_alarm *alarm = target;
	int rc = read_texts(r, value, "notify", &alarm->notify, &alarm->notify_count);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < alarm->notify_count; i++) {
		bool known = false;
		for (size_t k = 0; k < COUNT(kinds); k++)
			known = known || strncmp(alarm->notify[i], kinds[k], strlen(kinds[k])) == 0;
		if (!known)
			return read_complain(value,
			        "'notify: %.100s' must begin with webhook:http…, mailto: or command:",
			        alarm->notify[i]);
	}
	return 0;
}

int read_alarm(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {
	        {"name", read_alarm_name, true},
	        {"metric", read_metric, true},
	        {"above", read_above, false},
	        {"below", read_below, false},
	        {"unit", read_unit, false},
	        {"notify", read_notify, true},
	};
	struct policy_alarm *alarm = target;
	*alarm = (struct policy_alarm){.threshold = (double)NAN, .line = value->line};
	int rc = read_fields(r, value, "an alarm", fields, COUNT(fields), alarm);
	if (rc < 0)
		return rc;
	if (isnan(alarm->threshold))
		return read_complain(value, "an alarm needs 'above:' or 'below:' with a number");
	char *words = read_print(r, "alarm %.100s is not watched yet", alarm->name);
	return words ? read_warn(r, value, words) : read_no_memory();
}
