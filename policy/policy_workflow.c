/* Reading the sections of the policy document that say when, and for how long. */
#include "policy/policy_read.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const zones[] = {"Landing", "Raw", "Trusted", NULL};

int read_zone(const Node *value, const char *what, const char **ret_zone) {
	unsigned choice;
	int rc = read_choice(value, what, zones, &choice);
	if (rc == 0)
		*ret_zone = zones[choice];
	return rc;
}

/* ---- when ---- */

static int read_cron(struct reading *r, const Node *value, void *target) {
	struct policy_workflow *workflow = target;
	int rc = read_text(r, value, "cron", &workflow->cron);
	if (rc == 0 && cron_parse(workflow->cron, &workflow->schedule) < 0) {
		_cleanup_(freep) char *words = strdup(fault_message());
		return words ? read_complain(value, "%s", words) : read_no_memory();
	}
	return rc;
}

/* The policy's to close, whatever comes of the rest. */
static int open_zone(struct reading *r, const Node *value, struct policy_workflow *workflow, const char *name) {
	TimeZone *zone = NULL;
	int rc = time_zone_open(name, &zone);
	if (rc < 0) {
		_cleanup_(freep) char *words = strdup(fault_message());
		return words ? read_complain(value, "'timezone': %s", words) : read_no_memory();
	}
	struct zone_held *held = arena_take(&r->policy->memory, 1, sizeof *held);
	if (!held) {
		time_zone_free(zone);
		return read_no_memory();
	}
	*held = (struct zone_held){.zone = zone, .next = r->policy->zones};
	r->policy->zones = held;
	workflow->timezone = name;
	workflow->zone = zone;
	return 0;
}

static int read_timezone(struct reading *r, const Node *value, void *target) {
	const char *name = NULL;
	int rc = read_text(r, value, "timezone", &name);
	return rc < 0 ? rc : open_zone(r, value, target, name);
}

static int read_after(struct reading *r, const Node *value, void *target) {
	struct policy_workflow *workflow = target;
	return read_texts(r, value, "after", &workflow->after, &workflow->after_count);
}

/* ---- how ---- */

static int read_seconds(const Node *value, const char *what, unsigned most_s, unsigned *ret_s) {
	const char *text = value->kind == TREE_TEXT ? value->text : "";
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits;
	unsigned long number = digits > 0 && digits < 8 ? strtoul(text, NULL, 10) : 0;
	unsigned long scale = strcmp(unit, "s") == 0   ? 1
	                      : strcmp(unit, "m") == 0 ? 60
	                      : strcmp(unit, "h") == 0 ? 3600
	                                               : 0;
	if (number == 0 || scale == 0 || number * scale > most_s)
		return read_complain(value, "'%s' is a time like 30s, 30m or 2h, at most %uh, not '%.40s'", what,
		        most_s / 3600, text);
	*ret_s = (unsigned)(number * scale);
	return 0;
}

static int read_time_limit(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_seconds(
	        value, "time_limit", POLICY_TIME_LIMIT_S_MAX, &((struct policy_workflow *)target)->time_limit_s);
}

static int read_retries(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_number(value, "retries", POLICY_RETRIES_MAX, &((struct policy_workflow *)target)->retries);
}

static int read_retry_after(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_seconds(
	        value, "retry_after", POLICY_TIME_LIMIT_S_MAX, &((struct policy_workflow *)target)->retry_after_s);
}

static int read_catch_up(struct reading *r, const Node *value, void *target) {
	(void)r;
	static const char *const words[] = {"once", "none", NULL};
	struct policy_workflow *workflow = target;
	unsigned choice;
	int rc = read_choice(value, "catch_up", words, &choice);
	if (rc == 0)
		workflow->catches_up = choice == 0;
	return rc;
}

static int read_enabled(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_flag(value, "enabled", &((struct policy_workflow *)target)->is_enabled);
}

/* ---- workflows ---- */

static int read_workflow_name(struct reading *r, const Node *value, void *target) {
	return read_text(r, value, "name", &((struct policy_workflow *)target)->name);
}

static int read_workflow_dataset(struct reading *r, const Node *value, void *target) {
	return read_text(r, value, "dataset", &((struct policy_workflow *)target)->dataset);
}

static int read_from(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_zone(value, "from", &((struct policy_workflow *)target)->from);
}

static int read_to(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_zone(value, "to", &((struct policy_workflow *)target)->to);
}

static int read_on(struct reading *r, const Node *value, void *target) {
	(void)r;
	static const char *const words[] = {"close", "demand", NULL};
	struct policy_workflow *workflow = target;
	unsigned choice;
	int rc = read_choice(value, "on", words, &choice);
	if (rc == 0)
		workflow->on = choice == 0 ? POLICY_ON_CLOSE : POLICY_ON_DEMAND;
	return rc;
}

static int check_workflow(struct reading *r, const Node *value, struct policy_workflow *w, bool has_on) {
	if (has_on + (w->cron != NULL) + (w->after_count > 0) > 1)
		return read_complain(value, "a workflow has either 'on:', 'cron:' or 'after:', not two of them");
	if (!has_on && !w->cron && w->after_count == 0)
		return read_complain(
		        value, "a workflow needs 'on: close', 'on: demand', 'cron: …' or 'after: WORKFLOW'");
	if (w->timezone && !w->cron)
		return read_complain(value, "'timezone' belongs to 'cron', which is not here");
	if (strcmp(w->to, "Trusted") != 0 || strcmp(w->from, "Trusted") == 0)
		return read_complain(value, "a workflow goes from Landing or Raw to Trusted");
	if (has_on && w->on == POLICY_ON_CLOSE && strcmp(w->from, "Landing") != 0)
		return read_complain(
		        value, "'on: close' is an arrival, and files arrive in Landing: write 'from: Landing'");
	if (has_on)
		return 0;
	w->on = w->cron ? POLICY_ON_CRON : POLICY_ON_AFTER;
	return w->cron && !w->zone ? open_zone(r, value, w, "UTC") : 0;
}

int read_workflow(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {
	        {"name", read_workflow_name, true},
	        {"dataset", read_workflow_dataset, true},
	        {"from", read_from, true},
	        {"to", read_to, true},
	        {"on", read_on, false},
	        {"cron", read_cron, false},
	        {"timezone", read_timezone, false},
	        {"after", read_after, false},
	        {"time_limit", read_time_limit, false},
	        {"retries", read_retries, false},
	        {"retry_after", read_retry_after, false},
	        {"catch_up", read_catch_up, false},
	        {"enabled", read_enabled, false},
	};
	struct policy_workflow *workflow = target;
	*workflow = (struct policy_workflow){.on = POLICY_ON_CRON,
	        .retry_after_s = POLICY_RETRY_AFTER_S_DEFAULT,
	        .catches_up = true,
	        .is_enabled = true,
	        .line = value->line};
	int rc = read_fields(r, value, "a workflow", fields, COUNT(fields), workflow);
	return rc < 0 ? rc : check_workflow(r, value, workflow, workflow->on != POLICY_ON_CRON);
}

/* ---- what follows what ---- */

static int check_after(const Policy *policy, const struct policy_workflow *w) {
	for (size_t i = 0; i < w->after_count; i++) {
		const struct policy_workflow *former = policy_workflow_named(policy, w->after[i]);
		if (!former)
			return fault(EINVAL,
			        BUNDLE_POLICY ":%u: workflow %.100s is to run after '%.100s', which is not there",
			        w->line, w->name, w->after[i]);
		if (former->on == POLICY_ON_CLOSE)
			return fault(EINVAL,
			        BUNDLE_POLICY
			        ":%u: workflow %.100s can't run after '%.100s', which checks each arrival and never "
			        "ends",
			        w->line, w->name, w->after[i]);
	}
	return 0;
}

/* Takes away what follows nothing that is left, until nothing changes: what is left then follows itself. */
static int check_circles(const Policy *policy) {
	_cleanup_(freep) bool *is_free = calloc(policy->workflow_count + 1, sizeof *is_free);
	if (!is_free)
		return read_no_memory();
	for (bool changed = true; changed;) {
		changed = false;
		for (size_t i = 0; i < policy->workflow_count; i++) {
			const struct policy_workflow *w = &policy->workflows[i];
			bool waits = is_free[i];
			for (size_t j = 0; !waits && j < w->after_count; j++)
				waits = !is_free[policy_workflow_named(policy, w->after[j]) - policy->workflows];
			changed |= !waits;
			is_free[i] |= !waits;
		}
	}
	for (size_t i = 0; i < policy->workflow_count; i++)
		if (!is_free[i])
			return fault(EINVAL,
			        BUNDLE_POLICY
			        ":%u: workflow %.100s runs after '%.100s', which waits for %.100s in turn: a circle "
			        "that never begins",
			        policy->workflows[i].line, policy->workflows[i].name, policy->workflows[i].after[0],
			        policy->workflows[i].name);
	return 0;
}

int read_check_workflows(const Policy *policy) {
	for (size_t i = 0; i < policy->workflow_count; i++) {
		const struct policy_workflow *w = &policy->workflows[i];
		if (!policy_dataset_named(policy, w->dataset))
			return fault(EINVAL,
			        BUNDLE_POLICY ":%u: workflow %.100s is for a dataset '%.100s' that is not there",
			        w->line, w->name, w->dataset);
		for (size_t j = 0; j < i; j++)
			if (strcmp(policy->workflows[j].name, w->name) == 0)
				return fault(EINVAL,
				        BUNDLE_POLICY ":%u: a workflow is called '%.100s' already in line %u", w->line,
				        w->name, policy->workflows[j].line);
	}
	for (size_t i = 0; i < policy->workflow_count; i++) {
		int rc = check_after(policy, &policy->workflows[i]);
		if (rc < 0)
			return rc;
	}
	return check_circles(policy);
}
