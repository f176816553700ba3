/*
 * kind_anomaly: DetectAnomalies, which takes the metrics of another type of rule and holds each against its own past.
 *
 * The method is robust, so that one odd delivery does not move what counts as ordinary (Iglewicz and Hoaglin, "How to
 * detect and handle outliers", 1993): with m the median of the newest DQDL_ANOMALY_WINDOW values, and d the median of
 * their distances from m, a value is an anomaly that is farther from m than
 *
 *     the greater of   3.5 × 1.4826 × d   and   |m| / 10
 *
 * 1.4826 d estimates the standard deviation of a normal distribution. The tenth keeps a series that has hardly moved
 * yet from making an anomaly of every change. Before there are DQDL_ANOMALY_LEAST values there is no opinion. Seasons
 * and trends are not modelled.
 */
#include "policy/dqdl/evaluator.h"

#include "policy/dqdl/types.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

const char *const *measured_metrics(const struct dqdl_rule *rule) {
	static const char *const values[] = {"Minimum", "Maximum", "MinimumLength", "MaximumLength", NULL};
	if (rule->id == DQDL_COLUMN_VALUES)
		return values;
	if (rule->id == DQDL_COLUMN_LENGTH)
		return values + 2;
	return NULL;
}

int anomaly_subject(Arena *arena, const struct dqdl_rule *rule, const struct dqdl_rule **ret_subject) {
	const char *name = rule->parameters[0].value;
	if (strcasecmp(name, "CustomSql") == 0)
		name = "CustomSql"; /* as Glue's reference spells it in some places */
	const struct dqdl_type *type = dqdl_type_find(name, rule->parameter_count - 1);
	*ret_subject = NULL;
	if (!type || type->id == DQDL_DETECT_ANOMALIES || type->id == DQDL_ALL_STATISTICS)
		return 0;
	struct dqdl_rule subject = {
	        .id = type->id,
	        .type = type->name,
	        .text = rule->text,
	        .line = rule->line,
	        .column = rule->column,
	        .parameters = rule->parameters + 1,
	        .parameter_count = rule->parameter_count - 1,
	};
	const struct check_kind *kind = kind_that_measures(&subject);
	if (!kind || kind->names_itself)
		return 0;
	struct dqdl_rule *kept = arena_alloc(arena, sizeof *kept);
	if (!kept)
		return evaluator_out_of_memory();
	*kept = subject;
	*ret_subject = kept;
	return 0;
}

static int start_unwatchable(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	return check_settle(check, DQDL_ERROR,
	        "DetectAnomalies watches no \"%s\" with %zu parameters: the name of a rule that gives a number is "
	        "wanted, "
	        "then its columns",
	        check->rule->parameters[0].value, check->rule->parameter_count - 1);
}

const struct check_kind kind_unwatchable = {.columns = KIND_COLUMNS_NONE, .start = start_unwatchable};

/* ---- judging ---- */

static int compare(const void *a, const void *b) {
	const double *left = a, *right = b;
	return (*left > *right) - (*left < *right);
}

/* Sorts the list. */
static double median(double *list, size_t count) {
	qsort(list, count, sizeof *list, compare);
	return (list[(count - 1) / 2] + list[count / 2]) / 2;
}

struct ordinary {
	double middle, distance;
	size_t count;
};

static struct ordinary ordinary_of(const struct dqdl_series *series) {
	double list[DQDL_ANOMALY_WINDOW];
	size_t count = series->count < DQDL_ANOMALY_WINDOW ? series->count : DQDL_ANOMALY_WINDOW;
	memcpy(list, series->values, count * sizeof *list);
	double middle = median(list, count);
	for (size_t i = 0; i < count; i++)
		list[i] = fabs(list[i] - middle);
	return (struct ordinary){.middle = middle,
	        .distance = fmax(3.5 * 1.4826 * median(list, count), fabs(middle) / 10),
	        .count = count};
}

static int settle_anomaly(struct check *check, const struct dqdl_metric *metric, const struct ordinary *ordinary) {
	char value[32], middle[32], from[32], to[32];
	number_text(metric->value, value);
	number_text(ordinary->middle, middle);
	number_text(ordinary->middle - ordinary->distance, from);
	number_text(ordinary->middle + ordinary->distance, to);
	return check_settle(check, DQDL_FAILED,
	        "%s is %s, an anomaly: the median of the last %zu values is %s, and from %s to %s would be ordinary",
	        metric->name, value, ordinary->count, middle, from, to);
}

int anomaly_judge(const DqdlEvaluator *evaluator, struct check *check) {
	for (size_t i = 0; i < check->metric_count; i++) {
		const struct dqdl_metric *metric = &check->metrics[i];
		const struct dqdl_series *series = NULL;
		int rc = lookback_series(evaluator, check, metric->name, &series);
		if (rc < 0 || check->result != DQDL_PASSED)
			return rc;
		if (!series || series->count < DQDL_ANOMALY_LEAST) {
			rc = check_settle(check, DQDL_PASSED,
			        "not compared: %zu of the %u earlier values are known that it takes",
			        series ? series->count : 0, DQDL_ANOMALY_LEAST);
			if (rc < 0)
				return rc;
			continue;
		}
		struct ordinary ordinary = ordinary_of(series);
		if (!(fabs(metric->value - ordinary.middle) <= ordinary.distance))
			return settle_anomaly(check, metric, &ordinary);
	}
	return 0;
}
