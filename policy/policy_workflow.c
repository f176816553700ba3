/* Reading the sections of the policy document that say when, and for how long. */
#include "policy/policy_read.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const zones[] = {"Landing", "Raw", "Trusted", NULL};

static int read_zone(const Node *value, const char *what, const char **ret_zone) {
	unsigned choice;
	int rc = read_choice(value, what, zones, &choice);
	if (rc == 0)
		*ret_zone = zones[choice];
	return rc;
}

/* ---- cron ---- */

struct cron_field {
	const char *name;
	unsigned least, most;
};

static bool take_number(const char **at, unsigned *ret_number) {
	size_t digits = strspn(*at, "0123456789");
	if (digits == 0 || digits > 2)
		return false;
	*ret_number = (unsigned)strtoul(*at, NULL, 10);
	*at += digits;
	return true;
}

/* One of the comma-separated parts: a star, a number or a range, and a step. */
static bool take_part(const char **at, const struct cron_field *field) {
	unsigned low = field->least, high = field->most, step = 1;
	bool is_single = false;
	if (**at == '*') {
		(*at)++;
	} else {
		if (!take_number(at, &low))
			return false;
		high = low;
		is_single = **at != '-';
		if (!is_single && (++*at, !take_number(at, &high)))
			return false;
	}
	if (**at == '/' && (is_single || (++*at, !take_number(at, &step))))
		return false;
	return low >= field->least && high <= field->most && low <= high && step > 0;
}

static bool take_list(const char **at, const struct cron_field *field) {
	while (take_part(at, field)) {
		if (**at != ',')
			return **at == ' ' || **at == '\0';
		(*at)++;
	}
	return false;
}

static int check_cron(const Node *value, const char *text) {
	static const struct cron_field fields[] = {{"minute", 0, 59}, {"hour", 0, 23}, {"day of the month", 1, 31},
	        {"month", 1, 12}, {"day of the week", 0, 7}};
	const char *at = text + strspn(text, " ");
	for (size_t i = 0; i < COUNT(fields); i++) {
		if (*at == '\0')
			return read_complain(value,
			        "'cron: %.60s' has %zu fields, not five: minute hour day month weekday", text, i);
		if (!take_list(&at, &fields[i]))
			return read_complain(value,
			        "'cron: %.60s': the %s (field %zu of five) must be *, numbers from %u to %u, ranges or "
			        "steps",
			        text, fields[i].name, i + 1, fields[i].least, fields[i].most);
		at += strspn(at, " ");
	}
	return *at == '\0' ? 0 : read_complain(value, "'cron: %.60s' has more than five fields", text);
}

static int read_cron(struct reading *r, const Node *value, void *target) {
	struct policy_workflow *workflow = target;
	int rc = read_text(r, value, "cron", &workflow->cron);
	return rc < 0 ? rc : check_cron(value, workflow->cron);
}

static int read_timezone(struct reading *r, const Node *value, void *target) {
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
	struct policy_workflow *workflow = target;
	int rc = read_text(r, value, "timezone", &workflow->timezone);
	if (rc < 0)
		return rc;
	const char *name = workflow->timezone;
	if (strlen(name) > 64 || name[strspn(name, letters)] != '\0' || name[0] == '/' || strstr(name, "//"))
		return read_complain(
		        value, "'timezone: %.64s' is no time zone's name; write one like America/Vancouver", name);
	char path[128];
	snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
	if (access("/usr/share/zoneinfo/UTC", R_OK) == 0 && access(path, R_OK) != 0)
		return read_complain(
		        value, "this machine knows no time zone '%.64s'; write one like America/Vancouver", name);
	return 0;
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
	if (has_on && w->cron)
		return read_complain(value, "a workflow has either 'on:' or 'cron:', not both");
	if (!has_on && !w->cron)
		return read_complain(value, "a workflow needs 'on: close', 'on: demand' or 'cron: …'");
	if (w->timezone && !w->cron)
		return read_complain(value, "'timezone' belongs to 'cron', which is not here");
	if (strcmp(w->to, "Trusted") != 0 || strcmp(w->from, "Trusted") == 0)
		return read_complain(value, "a workflow goes from Landing or Raw to Trusted");
	if (has_on && w->on == POLICY_ON_CLOSE && strcmp(w->from, "Landing") != 0)
		return read_complain(
		        value, "'on: close' is an arrival, and files arrive in Landing: write 'from: Landing'");
	if (!w->cron)
		return 0;
	w->on = POLICY_ON_CRON;
	w->timezone = w->timezone ? w->timezone : "UTC";
	char *words = read_print(r, "workflow %.100s: its schedule is not run yet; start it with `assayfs run %.100s`",
	        w->name, w->name);
	return words ? read_warn(r, value, words) : read_no_memory();
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
	};
	struct policy_workflow *workflow = target;
	*workflow = (struct policy_workflow){.on = POLICY_ON_CRON, .line = value->line};
	int rc = read_fields(r, value, "a workflow", fields, COUNT(fields), workflow);
	return rc < 0 ? rc : check_workflow(r, value, workflow, workflow->on != POLICY_ON_CRON);
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
	return 0;
}

/* ---- lifecycle ---- */

static int read_lifecycle_zone(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_zone(value, "zone", &((struct policy_lifecycle *)target)->zone);
}

static int read_keep_versions(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_number(value, "keep_versions", 1000000, &((struct policy_lifecycle *)target)->keep_versions);
}

static int read_noncurrent_days(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_number(value, "noncurrent_days", 100000, &((struct policy_lifecycle *)target)->noncurrent_days);
}

int read_lifecycle(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {{"zone", read_lifecycle_zone, true},
	        {"keep_versions", read_keep_versions, false}, {"noncurrent_days", read_noncurrent_days, false}};
	struct policy_lifecycle *rule = target;
	*rule = (struct policy_lifecycle){.keep_versions = 10, .noncurrent_days = 30, .line = value->line};
	int rc = read_fields(r, value, "a lifecycle rule", fields, COUNT(fields), rule);
	return rc < 0 ? rc : read_warn(r, value, "lifecycle rules are not run yet: all versions are kept");
}
