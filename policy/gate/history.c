/*
 * history: the metrics of a dataset's verdicts over time, as rules look back on them.
 *
 *     metric rows    subject = the dataset               of contents that passed, each once: what rules look back on
 *                    subject = "failed" NUL the dataset  of files that failed: to be looked at, never to be compared
 * with name    = the metric                Column.age.Mean NAME where "CLAUSE"       of a rule with a where clause, as
 * it is about other rows
 *
 * A file that failed teaches nothing, or whoever sends it often enough would make it ordinary. Nor does a content that
 * has passed before: a recheck, a restore or the same delivery again are no news. The names come from a worker, which
 * is not trusted: past a bound only the series are kept that the rules themselves name.
 */
#include "policy/gate/internal.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SERIES_MAX 2000     /* of a subject */
#define NAME_BYTES_MAX 1000 /* of a series */

/* ---- what rules look back on ---- */

void history_drop(struct gate_history *history) {
	dqdl_wanted_free(history->wanted, history->count);
	free(history->series);
	free(history->values);
}

static int take_value(void *arg, int64_t time_ns, double value, uint64_t verdict) {
	double **to = arg;
	(void)time_ns;
	(void)verdict;
	*(*to)++ = value;
	return 0;
}

static int read_series(Meta *m, const char *dataset, struct gate_history *history) {
	double *to = history->values;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < history->count; i++) {
		const struct dqdl_wanted *wanted = &history->wanted[i];
		double *first = to;
		rc = metric_list(m, bytes_of_string(dataset), bytes_of_string(wanted->name), INT64_MAX, wanted->depth,
		        take_value, &to);
		history->series[i] =
		        (struct dqdl_series){.name = wanted->name, .values = first, .count = (size_t)(to - first)};
	}
	return rc;
}

int history_load(Meta *m, const struct policy_dataset *dataset, struct gate_history *ret_history) {
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	_cleanup_(history_drop) struct gate_history history = {0};
	size_t total = 0;
	int rc = dqdl_parse(dataset->rules, &ruleset, NULL);
	if (rc == -EINVAL || rc == -EMSGSIZE) /* the check says so */
		return 0;
	if (rc >= 0)
		rc = dqdl_wanted_history(ruleset, &history.wanted, &history.count);
	if (rc < 0)
		return rc;
	history.is_timeless = dqdl_is_timeless(ruleset);
	for (size_t i = 0; i < history.count; i++)
		total += history.wanted[i].depth;
	history.is_too_long = total > CHECK_HISTORY_MAX || history.count > CHECK_SERIES_MAX;
	if (!history.is_too_long) {
		history.series = calloc(history.count + 1, sizeof *history.series);
		history.values = calloc(total + 1, sizeof *history.values);
		if (!history.series || !history.values)
			return fault(ENOMEM, "no memory for the history of dataset %s", dataset->name);
		rc = read_series(m, dataset->name, &history);
	}
	if (rc < 0)
		return rc;
	*ret_history = history;
	history = (struct gate_history){0};
	return 0;
}

/* ---- what becomes history ---- */

/* "failed" NUL dataset, or the dataset alone. */
static int make_subject(const char *dataset, bool has_passed, char **ret_memory, struct bytes *ret_subject) {
	static const char failed[] = "failed";
	size_t before = has_passed ? 0 : sizeof failed, length = strlen(dataset);
	char *subject = malloc(before + length + 1);
	if (!subject)
		return fault(ENOMEM, "no memory for the history of dataset %s", dataset);
	memcpy(subject, failed, before);
	memcpy(subject + before, dataset, length + 1);
	*ret_memory = subject;
	*ret_subject = bytes_of(subject, before + length);
	return 0;
}

/* A verdict's metrics on their way into rows. */
struct keeping {
	Meta *m;
	struct bytes subject;
	int64_t time_ns;
	uint64_t verdict;
	uint64_t series; /* that the subject has; UINT64_MAX: not counted yet */
	struct dqdl_wanted *wanted;
	size_t wanted_count;
	char *names[SERIES_MAX]; /* kept already: a verdict may have a metric twice */
	size_t count;
};

static void keeping_freep(struct keeping **slot) {
	struct keeping *keeping = *slot;
	if (!keeping)
		return;
	for (size_t i = 0; i < keeping->count; i++)
		free(keeping->names[i]);
	dqdl_wanted_free(keeping->wanted, keeping->wanted_count);
	free(keeping);
}

static bool is_wanted(const struct keeping *keeping, const char *name) {
	for (size_t i = 0; i < keeping->wanted_count; i++)
		if (strcmp(keeping->wanted[i].name, name) == 0)
			return true;
	return false;
}

/* 1: there is room for the series. */
static int has_room(struct keeping *keeping, const char *name) {
	bool is_known = is_wanted(keeping, name);
	int rc = is_known ? 0 : metric_has_series(keeping->m, keeping->subject, bytes_of_string(name), &is_known);
	if (rc >= 0 && !is_known && keeping->series == UINT64_MAX)
		rc = metric_series(keeping->m, keeping->subject, SERIES_MAX, &keeping->series);
	if (rc < 0 || is_known)
		return rc < 0 ? rc : 1;
	return keeping->series++ < SERIES_MAX;
}

static int keep_metric(struct keeping *keeping, const struct dqdl_rule *rule, const struct check_metric *metric) {
	_cleanup_(freep) char *name = dqdl_series_name(rule, metric->name);
	if (!name)
		return fault(ENOMEM, "no memory for the name of a metric");
	if (!isfinite(metric->value) || strlen(name) > NAME_BYTES_MAX || keeping->count == SERIES_MAX)
		return 0;
	for (size_t i = 0; i < keeping->count; i++)
		if (strcmp(keeping->names[i], name) == 0)
			return 0;
	int rc = has_room(keeping, name);
	if (rc > 0)
		rc = metric_put(keeping->m, keeping->subject, bytes_of_string(name), keeping->time_ns, metric->value,
		        keeping->verdict);
	if (rc >= 0)
		keeping->names[keeping->count++] = steal_pointer(&name);
	return rc < 0 ? rc : 0;
}

/* Of an `and` or `or` with SQL inside, nobody knows which rows a metric is about. */
static int keep_metrics(struct keeping *keeping, const struct dqdl_rule *rule, const struct check_rule *found) {
	int rc = 0;
	if (!rule || strcmp(rule->text, found->text) != 0 || dqdl_metrics_are_vague(rule))
		return 0;
	for (size_t i = 0; rc == 0 && i < found->metric_count; i++)
		rc = keep_metric(keeping, rule, &found->metrics[i]);
	return rc;
}

static int keep_all(struct keeping *keeping, const Ruleset *ruleset, const struct check_result *result) {
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < result->rule_count; i++)
		rc = keep_metrics(keeping, ruleset_rule(ruleset, i), &result->rules[i]);
	for (size_t i = 0; rc == 0 && i < result->analyzer_count; i++)
		rc = keep_metrics(keeping, ruleset_analyzer(ruleset, i), &result->analyzers[i]);
	return rc;
}

int history_keep(Meta *m, const struct judgement *j, const struct check_result *result, uint64_t verdict) {
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	_cleanup_(keeping_freep) struct keeping *keeping = NULL;
	_cleanup_(freep) char *subject = NULL;
	bool has_passed = result->outcome == OUTCOME_PASSED, is_known = false;
	if (j->is_reused || !j->dataset || (!has_passed && result->outcome != OUTCOME_FAILED))
		return 0;
	int rc = dqdl_parse(j->dataset->rules, &ruleset, NULL);
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0) /* a check that needs no rules */
		return 0;
	if (has_passed)
		rc = verdict_has_passed(m, j->checked.sha256, bytes_of_string(j->dataset->name), verdict, &is_known);
	if (rc < 0 || is_known)
		return rc;
	keeping = calloc(1, sizeof *keeping);
	if (!keeping)
		return fault(ENOMEM, "no memory for the history of dataset %s", j->dataset->name);
	keeping->m = m;
	keeping->time_ns = meta_now(m);
	keeping->verdict = verdict;
	keeping->series = UINT64_MAX;
	rc = dqdl_wanted_history(ruleset, &keeping->wanted, &keeping->wanted_count);
	if (rc >= 0)
		rc = make_subject(j->dataset->name, has_passed, &subject, &keeping->subject);
	return rc < 0 ? rc : keep_all(keeping, ruleset, result);
}
