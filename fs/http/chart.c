#include "fs/http/chart.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"
#include "fs/words.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/*
 *      LEFT ┌───────────────────────────┐ TOP
 *   value   │                           │
 *           └───────────────────────────┘ bottom
 *    UTC             time           right
 */
enum { WIDTH = 640, HEIGHT = 200, LEFT = 66, MARGIN = 14, TOP = 12, BELOW = 28 };
enum { LABEL = 76 /* what a time takes of the axis */, CLEAR = 14, DOTS_MAX = 48 };
#define DAY INT64_C(86400)

struct drawing {
	const struct chart *chart;
	int width, height, right, bottom;
	double most; /* of the value axis */
	FILE *out;
};

/* ---- values ---- */

const char *chart_value(double value, enum chart_unit unit, char ret_text[static 32]) {
	char size[WORDS_BYTES];
	if (!isfinite(value)) {
		(void)snprintf(ret_text, 32, "–");
		return ret_text;
	}
	switch (unit) {
	case CHART_BYTES:
		(void)snprintf(ret_text, 32, "%.31s", words_size(value > 0 ? (uint64_t)value : 0, size));
		break;
	case CHART_USD:
		(void)snprintf(ret_text, 32,
		        value > 0 && value < 0.0001       ? "< $0.0001"
		        : value != 0 && fabs(value) < 0.1 ? "$%.4g"
		                                          : "$%.2f",
		        value);
		break;
	case CHART_PERCENT:
		(void)snprintf(ret_text, 32, "%.4g %%", value);
		break;
	case CHART_COUNT:
	default:
		(void)snprintf(ret_text, 32, "%.10g", value);
	}
	return ret_text;
}

double chart_step(double most, unsigned wanted, enum chart_unit unit) {
	double raw = most / (wanted ? wanted : 1);
	if (!(raw > 0) || !isfinite(raw))
		return 1;
	if (unit == CHART_BYTES)
		return fmax(1, exp2(ceil(log2(raw))));
	double power = pow(10, floor(log10(raw)));
	double times = raw / power;
	double step = power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
	return unit == CHART_COUNT ? fmax(1, step) : step;
}

static bool is_shown(const struct chart *chart, const struct chart_point *point) {
	return point->time_s >= chart->from_s && point->time_s <= chart->to_s && isfinite(point->value);
}

static double greatest(const struct chart *chart) {
	double most = 0;
	for (size_t i = 0; i < chart->series_count; i++)
		for (size_t k = 0; k < chart->series[i].count; k++)
			if (is_shown(chart, &chart->series[i].points[k]))
				most = fmax(most, chart->series[i].points[k].value);
	return most;
}

/* ---- places ---- */

static double x_of(const struct drawing *d, int64_t time_s) {
	double span = (double)(d->chart->to_s - d->chart->from_s);
	return LEFT + (d->right - LEFT) * (double)(time_s - d->chart->from_s) / span;
}

static double y_of(const struct drawing *d, double value) {
	return d->bottom - (d->bottom - TOP) * fmax(0, value) / d->most;
}

/* ---- text ---- */

static void put_text(FILE *out, const char *text) {
	_cleanup_(freep) char *safe = words_is_utf8(text) ? NULL : words_safe(text);
	for (const char *at = safe ? safe : text; *at; at++)
		switch (*at) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			/* XML has no other control characters, not even escaped. */
			fputc((unsigned char)*at < ' ' ? ' ' : *at, out);
		}
}

/* As text: of what is next to nothing it begins with "<". */
static void put_value(const struct drawing *d, double value) {
	char text[32];
	put_text(d->out, chart_value(value, d->chart->unit, text));
}

static void describe(const struct drawing *d) {
	fputs("<title>", d->out);
	put_text(d->out, d->chart->title);
	fputs("</title><desc>", d->out);
	for (size_t i = 0; i < d->chart->series_count; i++) {
		const struct chart_series *series = &d->chart->series[i];
		if (series->count == 0)
			continue;
		put_text(d->out, series->name);
		fputs(": from ", d->out);
		put_value(d, series->points[0].value);
		fputs(" to ", d->out);
		put_value(d, series->points[series->count - 1].value);
		fputs(". ", d->out);
	}
	fputs("</desc>", d->out);
}

/* ---- axes ---- */

static void draw_values(const struct drawing *d, double step) {
	for (double value = 0; value <= d->most * 1.0001; value += step) {
		double y = y_of(d, value);
		fprintf(d->out, "<line class=\"chart-grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT,
		        d->right, y, y);
		fprintf(d->out, "<text class=\"chart-text\" text-anchor=\"end\" x=\"%d\" y=\"%.1f\">", LEFT - 8, y + 4);
		put_value(d, value);
		fputs("</text>", d->out);
	}
}

static int64_t time_step(int64_t span, int64_t wanted) {
	static const int64_t steps[] = {60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, DAY, 2 * DAY,
	        7 * DAY, 14 * DAY, 30 * DAY, 90 * DAY, 365 * DAY};
	size_t last = sizeof steps / sizeof steps[0] - 1;
	for (size_t i = 0; i < last; i++)
		if (span / steps[i] <= wanted)
			return steps[i];
	return steps[last];
}

enum moment { MOMENT_DAY, MOMENT_CLOCK, MOMENT_BOTH };

static const char *time_words(int64_t time_s, enum moment moment, char ret_text[static 32]) {
	struct tm parts;
	time_t when = (time_t)time_s;
	size_t used = 0;
	if (gmtime_r(&when, &parts))
		used = moment == MOMENT_DAY     ? strftime(ret_text, 32, "%d %b", &parts)
		       : moment == MOMENT_CLOCK ? strftime(ret_text, 32, "%H:%M", &parts)
		                                : strftime(ret_text, 32, "%d %b %H:%M", &parts);
	ret_text[used] = '\0';
	return ret_text;
}

static void draw_times(const struct drawing *d) {
	int64_t step = time_step(d->chart->to_s - d->chart->from_s, (d->right - LEFT) / LABEL);
	for (int64_t at = (d->chart->from_s + step - 1) / step * step; at <= d->chart->to_s; at += step) {
		char text[32];
		double x = x_of(d, at);
		fprintf(d->out, "<line class=\"chart-grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x, x,
		        d->bottom, d->bottom + 4);
		if (x < LEFT + CLEAR) /* the zone's name stands there */
			continue;
		fprintf(d->out, "<text class=\"chart-text\" text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">%s</text>", x,
		        d->bottom + 18, time_words(at, step >= DAY ? MOMENT_DAY : MOMENT_CLOCK, text));
	}
	fprintf(d->out, "<text class=\"chart-text\" text-anchor=\"end\" x=\"%d\" y=\"%d\">UTC</text>", LEFT - 8,
	        d->bottom + 18);
}

/* ---- lines ---- */

static bool is_joined(const struct chart *chart, const struct chart_point *before, const struct chart_point *point) {
	return before && (chart->gap_s == 0 || point->time_s - before->time_s <= chart->gap_s);
}

static const struct chart_point *shown_from(const struct drawing *d, const struct chart_series *series, size_t *at) {
	while (*at < series->count && !is_shown(d->chart, &series->points[*at]))
		++*at;
	return *at < series->count ? &series->points[(*at)++] : NULL;
}

/* From where it begins to where it ends, down to the axis where it is an area. */
static void draw_path(const struct drawing *d, const struct chart_series *series, bool is_area) {
	const struct chart_point *before = NULL, *point;
	size_t at = 0;
	while ((point = shown_from(d, series, &at))) {
		double x = x_of(d, point->time_s), y = y_of(d, point->value);
		bool joins = is_joined(d->chart, before, point);
		if (is_area && before && !joins)
			fprintf(d->out, "V%dZ", d->bottom);
		if (is_area && !joins)
			fprintf(d->out, "M%.1f %dL%.1f %.1f", x, d->bottom, x, y);
		else
			fprintf(d->out, "%c%.1f %.1f", joins ? 'L' : 'M', x, y);
		before = point;
	}
	if (is_area && before)
		fprintf(d->out, "V%dZ", d->bottom);
}

static void draw_dot(const struct drawing *d, size_t number, const struct chart_point *point) {
	char time[32];
	fprintf(d->out, "<circle class=\"chart-dot s%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"><title>", number,
	        x_of(d, point->time_s), y_of(d, point->value));
	put_value(d, point->value);
	fprintf(d->out, ", %s UTC</title></circle>", time_words(point->time_s, MOMENT_BOTH, time));
}

/* Of few all; of many those that are joined with no other, since a line of one point is not to be seen. */
static void draw_dots(const struct drawing *d, size_t number) {
	const struct chart_series *series = &d->chart->series[number];
	const struct chart_point *before = NULL, *point, *next;
	size_t at = 0;
	for (point = shown_from(d, series, &at); point; before = point, point = next) {
		next = shown_from(d, series, &at);
		if (series->count <= DOTS_MAX ||
		        (!is_joined(d->chart, before, point) && !(next && is_joined(d->chart, point, next))))
			draw_dot(d, number, point);
	}
}

static void draw_series(const struct drawing *d, size_t number) {
	const struct chart_series *series = &d->chart->series[number];
	if (d->chart->series_count == 1) {
		fputs("<path class=\"chart-area\" d=\"", d->out);
		draw_path(d, series, true);
		fputs("\"/>", d->out);
	}
	fprintf(d->out, "<path class=\"chart-line s%zu\" d=\"", number);
	draw_path(d, series, false);
	fputs("\"/>", d->out);
	draw_dots(d, number);
}

/* ---- all ---- */

static void set_size(struct drawing *d) {
	unsigned width = d->chart->width ? d->chart->width : WIDTH;
	d->width = (int)(width < CHART_WIDTH_MIN ? CHART_WIDTH_MIN : width > CHART_WIDTH_MAX ? CHART_WIDTH_MAX : width);
	d->height = (int)(d->chart->height ? d->chart->height : HEIGHT);
	d->right = d->width - MARGIN;
	d->bottom = d->height - BELOW;
}

static void draw_all(const struct drawing *d, double step) {
	fprintf(d->out, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" viewBox=\"0 0 %d %d\">",
	        d->width, d->height);
	describe(d);
	draw_values(d, step);
	draw_times(d);
	for (size_t i = 0; i < d->chart->series_count; i++)
		draw_series(d, i);
	fputs("</svg>", d->out);
}

int chart_render(const struct chart *chart, char **ret_svg) {
	char *text = NULL;
	size_t size = 0;
	if (chart->series_count == 0 || chart->series_count > CHART_SERIES_MAX || chart->to_s <= chart->from_s)
		return fault(EINVAL, "there is nothing to draw");
	struct drawing d = {.chart = chart, .out = open_memstream(&text, &size)};
	if (!d.out)
		return fault(ENOMEM, "drawing a chart: out of memory");
	/* Less than a cent is nothing. */
	double most = chart->unit == CHART_PERCENT ? 100 : fmax(greatest(chart), chart->unit == CHART_USD ? 0.01 : 0);
	double step = chart_step(most, 4, chart->unit);
	d.most = fmax(step, ceil(most / step) * step);
	set_size(&d);
	draw_all(&d, step);
	if (fclose(d.out) != 0) {
		free(text);
		return fault(ENOMEM, "drawing a chart: out of memory");
	}
	*ret_svg = text;
	return 0;
}
