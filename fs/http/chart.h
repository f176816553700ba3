/*
 * chart: lines over time as SVG, drawn here and not in the browser, so that the page needs no library.
 *
 * Colours and sizes are classes (chart-line s0, s1, …; chart-area; chart-dot; chart-grid; chart-text) that the page's
 * style sheet gives light and dark values. Text is escaped. The title and a description of each line stand in <title>
 * and <desc>, and each point's time (UTC) and value where there are few.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CHART_SERIES_MAX 6
#define CHART_POINTS_MAX 2000
#define CHART_WIDTH_MIN 240
#define CHART_WIDTH_MAX 2000

enum chart_unit { CHART_BYTES, CHART_USD, CHART_PERCENT, CHART_COUNT };

struct chart_point {
	int64_t time_s;
	double value;
};

struct chart_series {
	const char *name;
	const struct chart_point *points; /* by time */
	size_t count;
};

struct chart {
	const char *title;
	enum chart_unit unit;
	unsigned width, height; /* in units that are a pixel where it is shown in that width; 0: 640, 200 */
	int64_t from_s, to_s;   /* of the time axis */
	int64_t gap_s;          /* points further apart than this are not joined: nothing was measured; 0: all are */
	const struct chart_series *series;
	size_t series_count; /* 1 … CHART_SERIES_MAX */
};

/* The SVG's text, allocated. -ENOMEM, -EINVAL: nothing to draw. */
int chart_render(const struct chart *chart, char **ret_svg);

/* Distance of the ticks of an axis from 0 to `most`, about `wanted` of them: 1, 2 or 5 times a power of ten; of bytes a
 * power of two. */
double chart_step(double most, unsigned wanted, enum chart_unit unit);

/* A value as people read it: "1.5 GiB", "$0.38", "98 %", "12". Returns `ret_text`. */
const char *chart_value(double value, enum chart_unit unit, char ret_text[static 32]);
