/* What is measured each minute, and what it costs: on a vault with a gate, at times that the test says. */
#include "fs/measures.h"

#include "backend/audit.h"
#include "backend/charge.h"
#include "backend/sample.h"
#include "backend/usage.h"
#include "fs/access_counts.h"
#include "fs/levels.h"
#include "fs/unusual.h"
#include "fs/verdict_counts.h"
#include "tests/policy/gate_world.h"

#include <math.h>

#define HOUR INT64_C(3600)
#define DAY (24 * HOUR)
#define NOON (charge_month_begins(202611) + 20 * DAY + 12 * HOUR)
#define GB 1073741824.0

static const char costly_yaml[] =
        "version: 1\n"
        "datasets:\n  - {name: animals, match: \"animals/*.csv\", rules: animals.dqdl, settle: 0s}\n"
        "costs: {usd_per_gb_month: 1000}\n";

static int take(void *arg, const struct sample_point *point) {
	*(struct sample_point *)arg = *point;
	return 0;
}

/* count 0: there is none. */
static struct sample_point point_of(struct world *w, const char *name, const char *labels, int64_t now_s) {
	struct sample_point point = {.count = 0};
	Meta *m = store_meta(w->store);
	const int64_t from = now_s - now_s % 60;
	meta_begin(m);
	assert_int_equal(meta_end(m, sample_read(m, name, labels, from, from + 60, 60, take, &point)), 0);
	return point;
}

static double value(struct world *w, const char *name, const char *labels, int64_t now_s) {
	struct sample_point point = point_of(w, name, labels, now_s);
	assert_true(point.count == 1);
	return point.sum;
}

static Measures *begin(struct world *w) {
	Measures *measures = NULL;
	assert_int_equal(measures_new(w->store, w->gate, false, &measures), 0);
	return measures;
}

static void a_round_measures_zones_verdicts_and_work(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	Measures *measures = begin(w);
	put(w, "Landing/animals/a.csv", "good");
	put(w, "Landing/animals/b.csv", "BAD");
	put(w, "Landing/other.txt", "ungoverned");
	settle(w);
	assert_int_equal(sampler_round(measures_sampler(measures), NOON), 0);
	assert_true(value(w, "NumberOfFiles", "zone=Landing", NOON) == 3);
	assert_true(value(w, "CurrentBytes", "zone=Landing", NOON) == 4 + 3 + 10);
	assert_true(value(w, "NumberOfFiles", "zone=Trusted", NOON) == 1);
	assert_true(value(w, "Verdicts", "dataset=animals,outcome=passed", NOON) == 1);
	assert_true(value(w, "Verdicts", "dataset=animals,outcome=failed", NOON) == 1);
	assert_true(value(w, "VerdictPassRate", "dataset=animals", NOON) == 50);
	assert_true(value(w, "QualityScore", "dataset=animals", NOON) == 100); /* the other had no rules */
	assert_true(value(w, "Quarantined", "", NOON) == 1);
	assert_true(value(w, "Waiting", "", NOON) == 0);
	assert_true(value(w, "FreeBytes", "", NOON) > 0);
	assert_true(value(w, "StaleFiles", "", NOON) == 0);
	assert_true(value(w, "DeniedAccesses", "", NOON) == 0);
	assert_true(value(w, "AuditFailures", "", NOON) == 0);
	/* Nothing was judged in the next minute. */
	assert_int_equal(sampler_round(measures_sampler(measures), NOON + 60), 0);
	assert_true(point_of(w, "VerdictPassRate", "dataset=animals", NOON + 60).count == 0);
	assert_true(value(w, "NumberOfFiles", "zone=Landing", NOON + 60) == 3);
	measures_stop(measures);
}

static void a_score_is_the_part_of_the_rules_that_passed(void **state) {
	(void)state;
	static const struct {
		const char *body;
		double score;
	} cases[] = {
	        {"{\"check\":{\"rules\":[{\"outcome\":\"passed\"},{\"outcome\":\"failed\"},{\"outcome\":\"passed\"},"
	         "{\"outcome\":\"error\"}]}}",
	                50},
	        {"{\"check\":{\"rules\":[{\"outcome\":\"passed\"}]}}", 100}, {"{\"check\":{\"rules\":[]}}", -1},
	        {"{}", -1}, {"no JSON", -1}, {"", -1}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_true(verdict_counts_score(bytes_of_string(cases[i].body)) == cases[i].score);
}

static int collect_two(void *arg, struct sampler_round *round) {
	++*(int *)arg;
	sampler_emit(round, "Mine", "", (double)sampler_now(round));
	sampler_emit(round, "bad name", "", 1);
	return -EIO;
}

static void told(void *arg, int64_t now_s) {
	*(int64_t *)arg = now_s;
}

static void others_measure_and_are_told_each_minute(void **state) {
	struct world *w = *state;
	Sampler *sampler = NULL;
	int calls = 0;
	int64_t told_s = 0;
	char label[SAMPLER_LABEL_BYTES];
	assert_int_equal(sampler_new(w->store, false, &sampler), 0);
	assert_int_equal(sampler_add(sampler, "a test", collect_two, &calls), 0);
	assert_int_equal(sampler_each_minute(sampler, told, &told_s), 0);
	assert_int_equal(sampler_round(sampler, NOON), 0); /* what fails, or is refused, leaves the rest */
	assert_int_equal(calls, 1);
	assert_int_equal(told_s, NOON);
	assert_true(value(w, "Mine", "", NOON) == (double)NOON);
	assert_string_equal(sampler_label("dataset", "a,b\nc", label), "dataset=a_b_c");
	assert_int_equal(sampler_start(sampler), 0);
	sampler_stop(sampler); /* at once, not in a minute */
}

static void a_mount_that_is_read_only_keeps_nothing(void **state) {
	struct world *w = *state;
	Measures *measures = NULL;
	struct charge_levels last;
	json_t *told = NULL;
	Meta *m = store_meta(w->store);
	assert_int_equal(measures_new(w->store, w->gate, true, &measures), 0);
	assert_int_equal(sampler_round(measures_sampler(measures), NOON), 0);
	assert_int_equal(costs_json(measures_costs(measures), NOON, NULL, &told), 0);
	meta_begin(m);
	assert_int_equal(meta_end(m, charge_last(m, &last)), -ENOENT);
	assert_true(point_of(w, "Waiting", "", NOON).count == 0);
	json_decref(told);
	measures_stop(measures);
}

static void record(struct world *w, const char *event, const char *outcome, const char *detail) {
	Meta *m = store_meta(w->store);
	const struct audit_event e = {
	        .event = event, .actor = somebody, .path = "Landing/a", .outcome = outcome, .detail = detail};
	meta_begin(m);
	assert_int_equal(meta_end(m, audit_record(m, &e, NULL)), 0);
}

static void what_is_unusual_is_known_only_of_who_is(void **state) {
	(void)state;
	assert_int_equal(unusual_hour_of(0, -3600), 23);
	assert_false(unusual_knows(1000, UNUSUAL_KNOWN_NS - 1));
	assert_true(unusual_is(false, 500, 1000, 3)); /* the night, whatever he did */
	assert_false(unusual_is(true, 500, 1000, 3)); /* who works at night is not told of each night */
	assert_true(unusual_is(true, 9, 1000, 12));
	assert_false(unusual_is(true, 10, 1000, 12));
}

static void refusals_and_unusual_hours_are_counted_as_they_come(void **state) {
	struct world *w = *state;
	AccessCounts *counts = NULL;
	assert_int_equal(access_counts_new(w->store, &counts), 0);
	/* Make it noon, then three in the night, wherever this runs. */
	const int64_t now = meta_now(store_meta(w->store)) / 1000000000 % DAY;
	access_counts_zone(counts, (int32_t)(12 * HOUR - now));
	record(w, "open", "ok", "read");
	record(w, "open", "denied", "read");
	record(w, "lookup", "denied", NULL);
	assert_int_equal(access_counts_denied(counts), 2);
	assert_int_equal(access_counts_unusual(counts), 0);
	record(w, "grant", "ok", "grant 1: steward to uid 1000, until 2026-11-22T10:00:00Z: fire");
	record(w, "grant", "ok", "grant 2: steward to uid 10000, until 2026-11-22T10:00:00Z: help");
	assert_int_equal(access_counts_unusual(counts), 1); /* who lends himself */
	access_counts_zone(counts, (int32_t)(3 * HOUR - now));
	record(w, "open", "ok", "read");
	record(w, "close", "ok", "read 3, written 0"); /* no access of its own */
	assert_int_equal(access_counts_unusual(counts), 2);
	access_counts_free(counts);
	record(w, "open", "denied", "read"); /* nobody counts any more */
}

static void the_levels_of_a_change_are_told_apart(void **state) {
	struct world *w = *state;
	Levels *levels = NULL;
	struct levels l;
	assert_int_equal(levels_new(w->store, &levels), 0);
	put(w, "Landing/a", "one");
	assert_int_equal(store_commit_wait(w->store), 0);
	assert_int_equal(levels_get(levels, NOON, &l), 0);
	assert_int_equal(l.files[ZONE_LANDING], 1);
	assert_true(l.shown[ZONE_LANDING] == 3);
	assert_true(l.charge.bytes[ZONE_LANDING][CHARGE_CURRENT] == 3); /* the batch's head and tags are more */
	assert_true(l.stored[ZONE_LANDING] > 3);
	assert_true(l.charge.bytes[ZONE_NONE][CHARGE_VERSIONS] == 3);
	assert_true(l.charge.bytes[ZONE_NONE][CHARGE_CURRENT] > 0);
	const uint64_t stored = l.stored[ZONE_LANDING];
	put(w, "Landing/a", "second");
	assert_int_equal(store_commit_wait(w->store), 0);
	assert_int_equal(levels_get(levels, NOON, &l), 0);
	assert_true(l.shown[ZONE_LANDING] == 6);
	assert_true(l.stored[ZONE_LANDING] > stored);
	assert_true(l.charge.bytes[ZONE_LANDING][CHARGE_CURRENT] == 6);
	assert_true(l.charge.bytes[ZONE_LANDING][CHARGE_NONCURRENT] == (double)l.stored[ZONE_LANDING] - 6);
	assert_true(l.charge.bytes[ZONE_NONE][CHARGE_VERSIONS] == 9);
	levels_free(levels);
}

static void expect(double got, double wanted) {
	if (fabs(got - wanted) > 1e-6 * (1 + fabs(wanted)))
		fail_msg("%.9f and not %.9f", got, wanted);
}

/*
 * By hand: what lies there on Nov 29, 00:00 UTC (L bytes in all) lies there over an unmount until Jan 2, 12:00. At 1000
 * USD a GB-month that is, of L / 2^30 GB: 48 of 720 hours in November, all of December, 36 of 744 in January.
 */
static void a_downtime_over_two_months_costs_what_it_should(void **state) {
	struct world *w = *state;
	const int64_t down = charge_month_begins(202612) - 2 * DAY, up = charge_month_begins(202701) + 36 * HOUR;
	struct cost cost;
	apply(w, costly_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	assert_int_equal(store_commit_wait(w->store), 0);
	Measures *measures = begin(w);
	assert_int_equal(sampler_round(measures_sampler(measures), down), 0);
	assert_true(value(w, "EstimatedCharges", "", down) == 0);
	measures_stop(measures);
	struct charge_levels at;
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, charge_last(m, &at)), 0);
	double bytes = 0;
	for (unsigned zone = 0; zone < CHARGE_ZONES; zone++)
		for (enum charge_kind kind = CHARGE_CURRENT; kind <= CHARGE_DEAD; kind++)
			bytes += at.bytes[zone][kind];
	assert_true(bytes > 0);
	world_close(w);
	world_open(w);
	measures = begin(w);
	assert_int_equal(sampler_round(measures_sampler(measures), up), 0);
	expect(value(w, "EstimatedCharges", "", up), bytes / GB * 36 / 744 * 1000);
	assert_int_equal(costs_figures(measures_costs(measures), up, &cost), 0);
	expect(cost.total.now, bytes / GB * 36 / 744 * 1000);
	expect(cost.hours_counted, 36);
	m = store_meta(w->store);
	struct charges november, december;
	meta_begin(m);
	assert_int_equal(meta_end(m, charge_read(m, 202611, &november)), 0);
	meta_begin(m);
	assert_int_equal(meta_end(m, charge_read(m, 202612, &december)), 0);
	expect(november.quantity[ZONE_NONE][CHARGE_HOURS], 48);
	expect(december.quantity[ZONE_NONE][CHARGE_HOURS], 744);
	expect(december.quantity[ZONE_LANDING][CHARGE_CURRENT], at.bytes[ZONE_LANDING][CHARGE_CURRENT] * 744);
	measures_stop(measures);
}

/* Nor needs it room to write. */
static void asking_writes_nothing_and_says_what_came_since(void **state) {
	struct world *w = *state;
	struct cost cost;
	struct charges before, after;
	Meta *m = store_meta(w->store);
	apply(w, costly_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	Measures *measures = begin(w);
	assert_int_equal(costs_figures(measures_costs(measures), NOON, &cost), 0);
	expect(cost.hours_counted, 0);
	assert_int_equal(sampler_round(measures_sampler(measures), NOON), 0);
	meta_begin(m);
	assert_int_equal(meta_end(m, charge_read(m, 202611, &before)), 0);
	usage_get(meta_usage(m), ZONE_TRUSTED);
	assert_int_equal(costs_figures(measures_costs(measures), NOON + 36 * HOUR, &cost), 0);
	expect(cost.hours_counted, 36);
	assert_true(cost.total.now > 0);
	meta_begin(m);
	assert_int_equal(meta_end(m, charge_read(m, 202611, &after)), 0);
	assert_memory_equal(&before, &after, sizeof before);
	/* The next round comes to the same. */
	assert_int_equal(sampler_round(measures_sampler(measures), NOON + 36 * HOUR), 0);
	expect(value(w, "EstimatedCharges", "", NOON + 36 * HOUR), cost.total.now);
	measures_stop(measures);
}

static void requests_and_checks_are_counted_once(void **state) {
	struct world *w = *state;
	struct charges charges;
	apply(w, policy_yaml);
	Measures *measures = begin(w);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	usage_get(meta_usage(store_meta(w->store)), ZONE_TRUSTED);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sampler_round(measures_sampler(measures), NOON + i * 60), 0);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, charge_read(m, 202611, &charges)), 0);
	assert_true(charges.quantity[ZONE_LANDING][CHARGE_PUTS] == 1);
	assert_true(charges.quantity[ZONE_RAW][CHARGE_PUTS] == 1);
	assert_true(charges.quantity[ZONE_TRUSTED][CHARGE_PUTS] == 1);
	assert_true(charges.quantity[ZONE_TRUSTED][CHARGE_GETS] == 1);
	assert_true(charges.quantity[ZONE_NONE][CHARGE_CHECKS] == 1);
	measures_stop(measures);
}

static void a_report_names_profile_prices_and_the_seed_platform(void **state) {
	struct world *w = *state;
	json_t *json = NULL;
	Measures *measures = begin(w);
	assert_int_equal(costs_json(measures_costs(measures), NOON, NULL, &json), 0);
	assert_string_equal(json_string_value(json_object_get(json, "month")), "2026-11");
	const json_t *prices = json_object_get(json, "prices");
	assert_string_equal(json_string_value(json_object_get(prices, "date")), "2026-07-01");
	assert_true(json_is_false(json_object_get(prices, "old")));
	assert_true(json_is_null(json_object_get(json, "backups")));
	assert_int_equal(json_array_size(json_object_get(json_object_get(json, "seed"), "services")), COST_SERVICES);
	assert_int_equal(json_array_size(json_object_get(json, "zones")), CHARGE_ZONES);
	json_decref(json);
	assert_int_equal(costs_json(measures_costs(measures), NOON, "s3-moon", &json), -ENOENT);
	assert_int_equal(costs_json(measures_costs(measures), NOON + 400 * DAY, "s3-standard-us-east-1", &json), 0);
	assert_true(json_is_true(json_object_get(json_object_get(json, "prices"), "old")));
	json_decref(json);
	measures_stop(measures);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_round_measures_zones_verdicts_and_work),
	        cmocka_unit_test(a_score_is_the_part_of_the_rules_that_passed),
	        WORLD(others_measure_and_are_told_each_minute),
	        WORLD(a_mount_that_is_read_only_keeps_nothing),
	        cmocka_unit_test(what_is_unusual_is_known_only_of_who_is),
	        WORLD(refusals_and_unusual_hours_are_counted_as_they_come),
	        WORLD(the_levels_of_a_change_are_told_apart),
	        WORLD(a_downtime_over_two_months_costs_what_it_should),
	        WORLD(asking_writes_nothing_and_says_what_came_since),
	        WORLD(requests_and_checks_are_counted_once),
	        WORLD(a_report_names_profile_prices_and_the_seed_platform),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
