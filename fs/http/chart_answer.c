#include "fs/http/chart_answer.h"

#include "crypto/base/fault.h"
#include "fs/http/chart.h"
#include "fs/sampler.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define POINTS_WANTED 240
#define HOUR INT64_C(3600)
#define MINUTES_KEPT_S (48 * HOUR) /* backend/sample.h */
#define FIVES_KEPT_S (63 * 24 * HOUR)
#define YOUNGEST_S INT64_C(600)

struct line {
	const char *name, *labels;
};

/* What one chart shows. */
struct plan {
	const char *name, *title, *series;
	enum chart_unit unit;
	int64_t hours; /* when not asked otherwise */
	unsigned height;
	bool is_steady; /* measured each minute, so that a gap is one */
	struct line lines[CHART_SERIES_MAX];
};

static const struct plan plans[] = {
        {"storage", "Stored bytes by zone", "StoredBytes", CHART_BYTES, 24, 200, true,
                {{"Landing", "zone=Landing"}, {"Raw", "zone=Raw"}, {"Trusted", "zone=Trusted"}}},
        {"cost", "Estimated charges, month to date", "EstimatedCharges", CHART_USD, 720, 200, true, {{"all", ""}}},
};

struct making {
	struct chart chart;
	struct chart_series series[CHART_SERIES_MAX];
	struct chart_point *points[CHART_SERIES_MAX];
	char *names[CHART_SERIES_MAX];
};

static void making_forget_lines(struct making *making) {
	for (size_t i = 0; i < CHART_SERIES_MAX; i++) {
		free(steal_pointer(&making->points[i]));
		free(steal_pointer(&making->names[i]));
	}
	making->chart.series_count = 0;
}

static void making_donep(struct making *making) {
	making_forget_lines(making);
}

static int add_line(struct making *making, const char *name, struct chart_point *points, size_t count) {
	size_t at = making->chart.series_count;
	making->points[at] = points;
	making->names[at] = strdup(name);
	if (!making->names[at])
		return fault(ENOMEM, "drawing a chart: out of memory");
	making->series[at] = (struct chart_series){making->names[at], points, count};
	making->chart.series_count = at + 1;
	making->chart.series = making->series;
	return 0;
}

static double average(const json_t *point) {
	double count = json_number_value(json_object_get(point, "count"));
	return json_number_value(json_object_get(point, "sum")) / (count > 0 ? count : 1);
}

static int add_samples(struct making *making, const char *name, const json_t *list) {
	size_t count = json_array_size(list);
	count = count > CHART_POINTS_MAX ? CHART_POINTS_MAX : count;
	if (count == 0)
		return 0;
	struct chart_point *points = calloc(count, sizeof *points);
	if (!points)
		return fault(ENOMEM, "drawing a chart: out of memory");
	for (size_t i = 0; i < count; i++) {
		const json_t *point = json_array_get(list, i);
		points[i] = (struct chart_point){json_integer_value(json_object_get(point, "time_s")), average(point)};
	}
	return add_line(making, name, points, count);
}

/* Of as many points as can be told apart; of what is kept longer than a minute's rows, a period that it is kept by. */
static int64_t period_of(int64_t span_s) {
	int64_t tier = span_s > MINUTES_KEPT_S ? span_s > FIVES_KEPT_S ? 3600 : 300 : 60;
	int64_t wanted = span_s / POINTS_WANTED;
	return wanted > tier ? (wanted + tier - 1) / tier * tier : tier;
}

static int ask_samples(
        const struct plan *plan, const struct line *line, struct making *making, chart_ask *ask, void *arg) {
	_cleanup_(json_decrefp) json_t *items = NULL;
	int64_t span = making->chart.to_s - making->chart.from_s;
	int64_t period = period_of(span);
	_cleanup_(json_decrefp) json_t *arguments = json_pack("{s:s, s:s, s:I, s:I, s:I}", "series", plan->series,
	        "labels", line->labels, "from_s", (json_int_t)making->chart.from_s, "to_s",
	        (json_int_t)making->chart.to_s, "period_s", (json_int_t)period);
	making->chart.gap_s = plan->is_steady ? 3 * period : 0;
	int rc = ask(arg, "samples", arguments, &items);
	return rc ? rc : add_samples(making, line->name, json_object_get(json_array_get(items, 0), "points"));
}

static int ask_lines(const struct plan *plan, struct making *making, chart_ask *ask, void *arg) {
	int rc = 0;
	for (size_t i = 0; !rc && i < CHART_SERIES_MAX && plan->lines[i].name; i++)
		rc = ask_samples(plan, &plan->lines[i], making, ask, arg);
	return rc;
}

static int64_t first_time(const struct chart *chart) {
	int64_t first_s = chart->to_s;
	for (size_t i = 0; i < chart->series_count; i++)
		if (chart->series[i].points[0].time_s < first_s)
			first_s = chart->series[i].points[0].time_s;
	return first_s;
}

static void set_frame(struct chart *chart, const struct plan *plan, const json_t *arguments, int64_t now_s) {
	const json_t *hours = json_object_get(arguments, "hours");
	*chart = (struct chart){.title = plan->title,
	        .unit = plan->unit,
	        .width = (unsigned)json_integer_value(json_object_get(arguments, "width")),
	        .height = plan->height,
	        .to_s = now_s,
	        .from_s = now_s - HOUR * (hours ? json_integer_value(hours) : plan->hours)};
}

/* Of a vault that is younger than the chart is long, its life is drawn, by as many points; but a span that was asked
 * for is what it is. */
static int plan_chart(const struct plan *plan, const json_t *arguments, int64_t now_s, struct making *making,
        chart_ask *ask, void *arg) {
	set_frame(&making->chart, plan, arguments, now_s);
	int rc = ask_lines(plan, making, ask, arg);
	int64_t first_s = first_time(&making->chart), span_s = making->chart.to_s - making->chart.from_s;
	if (rc || json_object_get(arguments, "hours") || making->chart.series_count == 0 ||
	        first_s - making->chart.from_s < span_s / 8)
		return rc;
	making->chart.from_s = first_s < now_s - YOUNGEST_S ? first_s : now_s - YOUNGEST_S;
	making_forget_lines(making);
	return ask_lines(plan, making, ask, arg);
}

/* ---- the score of one dataset: what was measured, or, before the first minute is over, from its verdicts ---- */

static int add_scores(struct making *making, const char *dataset, const json_t *scores) {
	size_t count = json_array_size(scores);
	if (count == 0)
		return 0;
	struct chart_point *points = calloc(count, sizeof *points);
	if (!points)
		return fault(ENOMEM, "drawing a chart: out of memory");
	for (size_t i = 0; i < count; i++) {
		const json_t *score = json_array_get(scores, i);
		points[i] = (struct chart_point){json_integer_value(json_array_get(score, 0)) / 1000000000,
		        json_number_value(json_array_get(score, 1))};
	}
	making->chart.from_s = points[0].time_s - 60;
	return add_line(making, dataset, points, count);
}

static int newest_scores(const char *dataset, struct making *making, chart_ask *ask, void *arg) {
	_cleanup_(json_decrefp) json_t *none = json_object();
	_cleanup_(json_decrefp) json_t *items = NULL;
	int rc = ask(arg, "datasets", none, &items);
	for (size_t i = 0; !rc && dataset && i < json_array_size(items); i++) {
		const json_t *item = json_array_get(items, i);
		const char *name = json_string_value(json_object_get(item, "dataset"));
		if (name && strcmp(name, dataset) == 0)
			rc = add_scores(making, name, json_object_get(item, "scores"));
	}
	return rc;
}

static int quality_chart(const json_t *arguments, int64_t now_s, struct making *making, chart_ask *ask, void *arg) {
	const char *dataset = json_string_value(json_object_get(arguments, "dataset"));
	char labels[SAMPLER_LABEL_BYTES];
	const struct plan plan = {"quality", "Data-quality score", "QualityScore", CHART_PERCENT, 720, 150, false,
	        {{dataset, sampler_label("dataset", dataset ? dataset : "", labels)}}};
	int rc = dataset ? plan_chart(&plan, arguments, now_s, making, ask, arg)
	                 : fault(EINVAL, "the chart needs the name of a dataset");
	return rc || making->chart.series_count ? rc : newest_scores(dataset, making, ask, arg);
}

/* ---- the answer ---- */

static json_t *row_json(const struct chart_series *series, enum chart_unit unit) {
	double least = series->points[0].value, most = least;
	char texts[4][32];
	for (size_t i = 1; i < series->count; i++) {
		least = fmin(least, series->points[i].value);
		most = fmax(most, series->points[i].value);
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", series->name, "first",
	        chart_value(series->points[0].value, unit, texts[0]), "last",
	        chart_value(series->points[series->count - 1].value, unit, texts[1]), "least",
	        chart_value(least, unit, texts[2]), "most", chart_value(most, unit, texts[3]));
}

static int finish(const struct making *making, json_t **ret_item) {
	_cleanup_(freep) char *svg = NULL;
	if (making->chart.series_count == 0)
		return fault(ENOENT, "nothing has been measured yet");
	int rc = chart_render(&making->chart, &svg);
	if (rc)
		return rc;
	json_t *rows = json_array();
	for (size_t i = 0; i < making->chart.series_count; i++)
		json_array_append_new(rows, row_json(&making->series[i], making->chart.unit));
	*ret_item = json_pack("{s:s, s:s, s:o}", "title", making->chart.title, "svg", svg, "rows", rows);
	return *ret_item ? 0 : fault(ENOMEM, "drawing a chart: out of memory");
}

int chart_answer(
        const char *name, const json_t *arguments, int64_t now_s, chart_ask *ask, void *arg, json_t **ret_item) {
	_cleanup_(making_donep) struct making making = {0};
	int rc = fault(ENOENT, "there is no such chart");
	if (strcmp(name, "quality") == 0)
		rc = quality_chart(arguments, now_s, &making, ask, arg);
	for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++)
		if (strcmp(plans[i].name, name) == 0)
			rc = plan_chart(&plans[i], arguments, now_s, &making, ask, arg);
	return rc ? rc : finish(&making, ret_item);
}
