/* What `assayfs cost` asks, and samples for charts: figures of the vault as a whole, which whoever may ask for its
 * status may know. */
#include "fs/service/internal.h"

#include "backend/sample.h"
#include "crypto/base/fault.h"
#include "fs/costs.h"

#include <errno.h>
#include <string.h>

/* As many as CloudWatch gives at a time. */
#define POINTS_MAX 1440
/* So many moments are read in one operation: some 7 ms under the lock. */
#define MOMENTS_A_PART 2000
#define NS INT64_C(1000000000)
#define SPAN_S 10800
#define DAY_S 86400
#define YEAR_9999_S INT64_C(253402300800)

/* {"profile": NAME or null} → the object of costs_json. */
int service_costs(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	const json_t *profile = json_object_get(arguments, "profile");
	json_t *item = NULL;
	(void)peer;
	if (!service->costs)
		return fault(ENOTSUP, "this mount reckons no costs");
	if (profile && !json_is_null(profile) && !json_is_string(profile))
		return fault(EPROTO, "'profile' is no text");
	int rc = costs_json(service->costs, meta_now(service->meta) / NS, json_string_value(profile), &item);
	return rc ? rc : control_send(reply, item);
}

/* ---- samples ---- */

struct wish {
	const char *series, *labels;
	int64_t from_s, to_s;
	unsigned period_s;
};

/* `otherwise` where it is not given. */
static int read_time(const json_t *arguments, const char *name, int64_t otherwise, int64_t *ret) {
	const json_t *value = json_object_get(arguments, name);
	if (value &&
	        (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > YEAR_9999_S))
		return fault(EPROTO, "'%s' is no second since 1970", name);
	*ret = value ? (int64_t)json_integer_value(value) : otherwise;
	return 0;
}

/* The last three hours by the minute, or the shortest period of which there are not too many. */
static int read_span(const json_t *arguments, int64_t now_s, struct wish *wish) {
	const json_t *period = json_object_get(arguments, "period_s");
	int rc = read_time(arguments, "to_s", now_s - now_s % 60 + 60, &wish->to_s);
	if (rc == 0)
		rc = read_time(arguments, "from_s", wish->to_s - SPAN_S, &wish->from_s);
	if (rc < 0)
		return rc;
	int64_t span_s = wish->to_s - wish->from_s;
	json_int_t period_s = period                        ? json_integer_value(period)
	                      : span_s / 60 <= POINTS_MAX   ? 60
	                      : span_s / 300 <= POINTS_MAX  ? 300
	                      : span_s / 3600 <= POINTS_MAX ? 3600
	                                                    : DAY_S;
	if (period_s < 60 || period_s > 366 * 86400 || period_s % 60 != 0)
		return fault(EPROTO, "'period_s' is a number of seconds, a multiple of 60");
	if (span_s < 0 || span_s / period_s > POINTS_MAX)
		return fault(EPROTO, "from 'from_s' to 'to_s' are at most %d periods", POINTS_MAX);
	wish->period_s = (unsigned)period_s;
	return 0;
}

static int read_wish(const json_t *arguments, int64_t now_s, struct wish *ret) {
	const json_t *series = json_object_get(arguments, "series"), *labels = json_object_get(arguments, "labels");
	if (!json_is_string(series) || (labels && !json_is_string(labels)))
		return fault(EPROTO, "'series' and 'labels' are texts");
	*ret = (struct wish){.series = json_string_value(series), .labels = labels ? json_string_value(labels) : ""};
	return read_span(arguments, now_s, ret);
}

static int take_point(void *arg, const struct sample_point *point) {
	json_t *json = json_pack("{s:I, s:f, s:f, s:f, s:f}", "time_s", (json_int_t)point->time_s, "count",
	        point->count, "sum", point->sum, "least", point->least, "most", point->most);
	return json_array_append_new(arg, json) ? fault(ENOMEM, "reading samples: out of memory") : 0;
}

/* In parts, so that writers get their turn. */
static int read_points(Meta *m, const struct wish *wish, json_t *points) {
	const int64_t tier_s = wish->period_s % 3600 == 0 ? 3600 : wish->period_s % 300 == 0 ? 300 : 60;
	const int64_t part_s = MOMENTS_A_PART * tier_s / wish->period_s * wish->period_s + wish->period_s;
	int rc = 0;
	for (int64_t from = wish->from_s; rc == 0 && from < wish->to_s; from += part_s) {
		const int64_t to = wish->to_s - from > part_s ? from + part_s : wish->to_s;
		meta_begin(m);
		rc = meta_end(
		        m, sample_read(m, wish->series, wish->labels, from, to, wish->period_s, take_point, points));
	}
	return rc;
}

int service_samples(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	struct wish wish;
	(void)peer;
	int rc = read_wish(arguments, meta_now(service->meta) / NS, &wish);
	if (rc < 0)
		return rc;
	json_t *points = json_array();
	rc = points ? read_points(service->meta, &wish, points) : fault(ENOMEM, "reading samples: out of memory");
	if (rc < 0) {
		json_decref(points);
		return rc;
	}
	return control_send(
	        reply, json_pack("{s:s, s:s, s:I, s:I, s:I, s:o}", "series", wish.series, "labels", wish.labels,
	                       "from_s", (json_int_t)wish.from_s, "to_s", (json_int_t)wish.to_s, "period_s",
	                       (json_int_t)wish.period_s, "points", points));
}
