/* `alarms:` and `mail:` of policy.yaml. */
#include "policy/policy_read.h"

#include "crypto/base/fault.h"
#include "policy/alarm/expression.h"
#include "policy/alarm/metrics.h"
#include "policy/alarm/target.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LABELS_MAX 512u

static const char *const statistics[] = {"Average", "Sum", "Minimum", "Maximum", "SampleCount", NULL};

const char *alarm_statistic_word(enum alarm_statistic statistic) {
	return statistics[statistic];
}

/* An alarm while it is read: what is given once only, and what has a default. */
struct draft {
	struct policy_alarm alarm;
	struct policy_alarm_metric metric;
	bool has_metric, has_statistic, has_missing, has_threshold;
	const char *ids[ALARM_METRICS_MAX];
};

static struct draft *draft_of(void *target) {
	return target;
}

/* ---- names ---- */

static int read_name(struct reading *r, const Node *value, void *target) {
	const char **name = &draft_of(target)->alarm.name;
	int rc = read_text(r, value, "name", name);
	if (rc < 0)
		return rc;
	for (const char *at = *name; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			return read_complain(value, "an alarm's name has no control characters");
	return strlen(*name) <= ALARM_NAME_MAX
	               ? 0
	               : read_complain(value, "an alarm's name has at most %d bytes", ALARM_NAME_MAX);
}

static int read_known_metric(struct reading *r, const Node *value, const char **ret_metric) {
	int rc = read_text(r, value, "metric", ret_metric);
	if (rc < 0 || alarm_metric_named(*ret_metric))
		return rc;
	const char *nearest = alarm_metric_nearest(*ret_metric);
	return nearest ? read_complain(value, "there is no metric '%.100s'; did you mean '%s'?", *ret_metric, nearest)
	               : read_complain(value, "there is no metric '%.100s'; docs/alarms.md lists them", *ret_metric);
}

static int read_metric(struct reading *r, const Node *value, void *target) {
	draft_of(target)->has_metric = true;
	return read_known_metric(r, value, &draft_of(target)->metric.metric);
}

/* ---- labels ---- */

static int check_label(const struct policy_alarm_metric *metric, const Node *key, const Node *value) {
	char word[64];
	(void)snprintf(word, sizeof word, " %.60s ", key->text);
	const struct alarm_metric *known = alarm_metric_named(metric->metric);
	if (!known || strchr(key->text, ' ') || !strstr(known->keys, word))
		return read_complain(key, "%s has no dimension '%.60s'%s%s", metric->metric, key->text,
		        known && *known->keys ? "; there are:" : "", known ? known->keys : "");
	if (value->kind != TREE_TEXT || !*value->text || strpbrk(value->text, ",=\n\r\t"))
		return read_complain(value, "a dimension is one value without ',' and '='");
	return 0;
}

/* The map's keys by name: of two to three, so the simplest sorting does. */
static int join_labels(const Node *map, char labels[static LABELS_MAX]) {
	const char *last = "";
	size_t used = 0;
	labels[0] = '\0';
	for (size_t n = 0; n < map->count; n++) {
		size_t next = SIZE_MAX;
		for (size_t i = 0; i < map->count; i++)
			if (strcmp(map->keys[i]->text, last) > 0 &&
			        (next == SIZE_MAX || strcmp(map->keys[i]->text, map->keys[next]->text) < 0))
				next = i;
		if (next == SIZE_MAX)
			break;
		last = map->keys[next]->text;
		int length = snprintf(
		        labels + used, LABELS_MAX - used, "%s%s=%s", used ? "," : "", last, map->values[next]->text);
		if (length < 0 || used + (size_t)length >= LABELS_MAX)
			return read_complain(map, "'dimensions' are longer than %u bytes", LABELS_MAX - 1);
		used += (size_t)length;
	}
	return 0;
}

static int read_labels(struct reading *r, const Node *value, struct policy_alarm_metric *metric) {
	char labels[LABELS_MAX];
	if (value->kind != TREE_MAP)
		return read_complain(value, "'dimensions' is a map, like {zone: Raw}");
	for (size_t i = 0; i < value->count; i++) {
		int rc = check_label(metric, value->keys[i], value->values[i]);
		if (rc < 0)
			return rc;
	}
	int rc = join_labels(value, labels);
	metric->labels = rc == 0 ? read_print(r, "%s", labels) : NULL;
	return rc < 0 ? rc : metric->labels ? 0 : read_no_memory();
}

static int read_dimensions(struct reading *r, const Node *value, void *target) {
	if (!draft_of(target)->has_metric)
		return read_complain(value, "'dimensions' belong to 'metric'");
	return read_labels(r, value, &draft_of(target)->metric);
}

static int read_statistic(struct reading *r, const Node *value, void *target) {
	unsigned choice = 0;
	int rc = read_choice(value, "statistic", statistics, &choice);
	(void)r;
	draft_of(target)->has_statistic = true;
	draft_of(target)->metric.statistic = (enum alarm_statistic)choice;
	return rc;
}

/* ---- several metrics ---- */

struct metric_target {
	struct policy_alarm_metric metric;
	bool has_statistic;
};

static int read_one_metric(struct reading *r, const Node *value, void *target) {
	return read_known_metric(r, value, &((struct metric_target *)target)->metric.metric);
}

static int read_one_labels(struct reading *r, const Node *value, void *target) {
	return read_labels(r, value, &((struct metric_target *)target)->metric);
}

static int read_one_statistic(struct reading *r, const Node *value, void *target) {
	struct metric_target *one = target;
	unsigned choice = 0;
	(void)r;
	int rc = read_choice(value, "statistic", statistics, &choice);
	one->has_statistic = true;
	one->metric.statistic = (enum alarm_statistic)choice;
	return rc;
}

static bool is_id(const char *text) {
	size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	return text[0] >= 'a' && text[0] <= 'z' && text[length] == '\0' && length <= 60;
}

static int read_metrics(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {
	        {"metric", read_one_metric, true},
	        {"dimensions", read_one_labels, false},
	        {"statistic", read_one_statistic, false},
	};
	struct draft *draft = target;
	if (value->kind != TREE_MAP || value->count == 0 || value->count > ALARM_METRICS_MAX)
		return read_complain(value, "'metrics' is a map of 1 to %u series, like {m1: {metric: StoredBytes}}",
		        ALARM_METRICS_MAX);
	struct policy_alarm_metric *metrics = arena_take(&r->policy->memory, value->count, sizeof *metrics);
	if (!metrics)
		return read_no_memory();
	for (size_t i = 0; i < value->count; i++) {
		struct metric_target one = {.metric = {.labels = ""}};
		if (!is_id(value->keys[i]->text))
			return read_complain(value->keys[i],
			        "'%.60s' is no name for a series: a small letter, then letters, digits and _",
			        value->keys[i]->text);
		int rc = read_fields(r, value->values[i], "a series", fields, COUNT(fields), &one);
		if (rc < 0)
			return rc;
		if (!one.has_statistic)
			one.metric.statistic = alarm_metric_named(one.metric.metric)->statistic;
		one.metric.id = read_print(r, "%s", value->keys[i]->text);
		if (!one.metric.id)
			return read_no_memory();
		draft->ids[i] = one.metric.id;
		metrics[i] = one.metric;
	}
	draft->alarm.metrics = metrics;
	draft->alarm.metric_count = value->count;
	return 0;
}

static int read_expression(struct reading *r, const Node *value, void *target) {
	struct draft *draft = target;
	_cleanup_(alarm_expression_freep) AlarmExpression *expression = NULL;
	unsigned column = 0;
	if (draft->alarm.metric_count == 0)
		return read_complain(value, "an 'expression' needs 'metrics:', like {m1: {metric: StoredBytes}}");
	int rc = read_text(r, value, "expression", &draft->alarm.expression);
	if (rc == 0)
		rc = alarm_expression_parse(
		        draft->alarm.expression, draft->ids, draft->alarm.metric_count, &column, &expression);
	return rc == -EINVAL && column > 0 ? read_complain(value, "'expression': %s", fault_message()) : rc;
}

/* ---- the threshold ---- */

static int read_threshold(const Node *value, const char *what, enum alarm_comparison comparison, void *target) {
	struct draft *draft = target;
	if (draft->has_threshold)
		return read_complain(
		        value, "an alarm has one of 'above:', 'at_least:', 'below:' and 'at_most:', not more");
	draft->has_threshold = true;
	draft->alarm.rule.comparison = comparison;
	return read_real(value, what, &draft->alarm.rule.threshold);
}

static int read_above(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_threshold(value, "above", ALARM_ABOVE, target);
}

static int read_at_least(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_threshold(value, "at_least", ALARM_AT_LEAST, target);
}

static int read_below(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_threshold(value, "below", ALARM_BELOW, target);
}

static int read_at_most(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_threshold(value, "at_most", ALARM_AT_MOST, target);
}

static int read_period(struct reading *r, const Node *value, void *target) {
	const char *text = value->kind == TREE_TEXT ? value->text : "";
	size_t digits = strspn(text, "0123456789");
	unsigned long number = digits > 0 && digits < 7 ? strtoul(text, NULL, 10) : 0;
	const char *unit = text + digits;
	unsigned long factor = strcmp(unit, "m") == 0   ? 60
	                       : strcmp(unit, "h") == 0 ? 3600
	                       : strcmp(unit, "d") == 0 ? 86400
	                                                : !*unit || strcmp(unit, "s") == 0;
	(void)r;
	number *= factor;
	if (number == 0 || number % 60 != 0 || number > ALARM_WINDOW_SECONDS_MAX)
		return read_complain(
		        value, "'period' is 60 (seconds) or a multiple of it, or like 5m, 1h, 1d: a day at most");
	draft_of(target)->alarm.rule.period_s = (unsigned)number;
	return 0;
}

static int read_of(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_number_from(value, "of", 1, ALARM_PERIODS_MAX, &draft_of(target)->alarm.rule.of);
}

static int read_datapoints(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_number_from(value, "datapoints", 1, ALARM_PERIODS_MAX, &draft_of(target)->alarm.rule.datapoints);
}

static int read_missing(struct reading *r, const Node *value, void *target) {
	static const char *const words[] = {"missing", "ignore", "breaching", "notBreaching", NULL};
	unsigned choice = 0;
	(void)r;
	int rc = read_choice(value, "missing", words, &choice);
	draft_of(target)->has_missing = true;
	draft_of(target)->alarm.rule.missing = (enum alarm_missing)choice;
	return rc;
}

/* ---- whom to tell ---- */

static int check_target(const struct reading *r, const Node *value, const char *what, const char *text) {
	enum alarm_target kind;
	const char *rest;
	int rc = alarm_target_parse(text, &kind, &rest);
	if (rc == -EINVAL)
		return read_complain(value, "'%s: %.100s' %s", what, text, fault_message());
	if (rc == 0 && kind == ALARM_TARGET_MAIL && r->policy->mail.line == 0)
		return read_complain(value,
		        "'%s: %.100s' needs a server: mail: {server: \"smtp://localhost:25\", from: "
		        "assayfs@example.org}",
		        what, text);
	return rc;
}

static int read_targets(
        struct reading *r, const Node *value, const char *what, enum alarm_state state, struct draft *draft) {
	const char *const *texts = NULL;
	size_t count = 0;
	int rc = read_texts(r, value, what, &texts, &count);
	if (rc == 0 && count > POLICY_ALARM_TARGETS_MAX)
		return read_complain(value, "'%s' tells at most %u", what, POLICY_ALARM_TARGETS_MAX);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = check_target(r, value, what, texts[i]);
	draft->alarm.notify[state] = texts;
	draft->alarm.notify_count[state] = rc == 0 ? count : 0;
	return rc;
}

static int read_notify(struct reading *r, const Node *value, void *target) {
	return read_targets(r, value, "notify", ALARM_STATE_ALARM, target);
}

static int read_notify_ok(struct reading *r, const Node *value, void *target) {
	return read_targets(r, value, "notify_ok", ALARM_STATE_OK, target);
}

static int read_notify_insufficient(struct reading *r, const Node *value, void *target) {
	return read_targets(r, value, "notify_insufficient", ALARM_STATE_INSUFFICIENT_DATA, target);
}

/* ---- the rest ---- */

static int read_unit(struct reading *r, const Node *value, void *target) {
	return read_text(r, value, "unit", &draft_of(target)->alarm.unit);
}

static int read_description(struct reading *r, const Node *value, void *target) {
	int rc = read_text(r, value, "description", &draft_of(target)->alarm.description);
	if (rc == 0 && strlen(draft_of(target)->alarm.description) > ALARM_REASON_MAX)
		return read_complain(value, "a description has at most %d bytes", ALARM_REASON_MAX);
	return rc;
}

static int read_enabled(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_flag(value, "enabled", &draft_of(target)->alarm.is_enabled);
}

static void set_defaults(struct draft *draft) {
	struct policy_alarm *alarm = &draft->alarm;
	struct alarm_rule *rule = &alarm->rule;
	const struct alarm_metric *known = alarm_metric_named(alarm->metrics[0].metric);
	rule->of = rule->of ? rule->of : rule->datapoints ? rule->datapoints : 1;
	rule->datapoints = rule->datapoints ? rule->datapoints : rule->of;
	rule->period_s = rule->period_s ? rule->period_s : known->period_s;
	if (!draft->has_missing)
		rule->missing = alarm->expression ? ALARM_MISSING : known->missing;
}

/* One metric, or several with an expression. */
static int settle_metrics(struct reading *r, const Node *value, struct draft *draft) {
	struct policy_alarm *alarm = &draft->alarm;
	if (draft->has_metric == (alarm->metric_count > 0))
		return read_complain(value, "an alarm needs 'metric:', or 'metrics:' with an 'expression:'");
	if (alarm->metric_count > 0)
		return alarm->expression ? 0 : read_complain(value, "'metrics' need an 'expression:' over them");
	struct policy_alarm_metric *metric = arena_take(&r->policy->memory, 1, sizeof *metric);
	if (!metric)
		return read_no_memory();
	*metric = draft->metric;
	if (!draft->has_statistic)
		metric->statistic = alarm_metric_named(metric->metric)->statistic;
	alarm->metrics = metric;
	alarm->metric_count = 1;
	return 0;
}

int read_alarm(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {
	        {"name", read_name, true},
	        {"description", read_description, false},
	        {"metric", read_metric, false},
	        {"dimensions", read_dimensions, false},
	        {"statistic", read_statistic, false},
	        {"metrics", read_metrics, false},
	        {"expression", read_expression, false},
	        {"above", read_above, false},
	        {"at_least", read_at_least, false},
	        {"below", read_below, false},
	        {"at_most", read_at_most, false},
	        {"unit", read_unit, false},
	        {"period", read_period, false},
	        {"datapoints", read_datapoints, false},
	        {"of", read_of, false},
	        {"missing", read_missing, false},
	        {"notify", read_notify, false},
	        {"notify_ok", read_notify_ok, false},
	        {"notify_insufficient", read_notify_insufficient, false},
	        {"enabled", read_enabled, false},
	};
	struct draft draft = {.alarm = {.is_enabled = true, .line = value->line}, .metric = {.id = "", .labels = ""}};
	int rc = read_fields(r, value, "an alarm", fields, COUNT(fields), &draft);
	if (rc == 0 && !draft.has_threshold)
		rc = read_complain(value, "an alarm needs 'above:', 'at_least:', 'below:' or 'at_most:' with a number");
	if (rc == 0)
		rc = settle_metrics(r, value, &draft);
	if (rc < 0)
		return rc;
	set_defaults(&draft);
	rc = alarm_rule_check(&draft.alarm.rule);
	if (rc < 0)
		return read_complain(value, "%s", fault_message());
	*(struct policy_alarm *)target = draft.alarm;
	return 0;
}

/* ---- mail ---- */

static int read_server(struct reading *r, const Node *value, void *target) {
	struct policy_mail *mail = target;
	int rc = read_text(r, value, "server", &mail->server);
	if (rc < 0)
		return rc;
	size_t start = strncmp(mail->server, "smtp://", 7) == 0 ? 7 : strncmp(mail->server, "smtps://", 8) == 0 ? 8 : 0;
	if (start == 0 || !alarm_word_fits(mail->server + start) || strpbrk(mail->server + start, "/@?#"))
		return read_complain(value, "'server' is like smtp://localhost:25 or smtps://mail.example.org");
	return 0;
}

static int read_from(struct reading *r, const Node *value, void *target) {
	struct policy_mail *mail = target;
	int rc = read_text(r, value, "from", &mail->from);
	if (rc == 0 && !alarm_address_fits(mail->from))
		return read_complain(value, "'from' is a plain address like assayfs@example.org");
	return rc;
}

int read_mail(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {
	        {"server", read_server, true},
	        {"from", read_from, true},
	};
	struct policy_mail mail = {.line = value->line};
	(void)target;
	int rc = read_fields(r, value, "'mail'", fields, COUNT(fields), &mail);
	if (rc == 0)
		r->policy->mail = mail;
	return rc;
}
