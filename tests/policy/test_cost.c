#include "policy/cost.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define GB 1073741824.0

static Prices *prices;

static int setup(void **state) {
	(void)state;
	return prices_builtin(&prices);
}

static int teardown(void **state) {
	(void)state;
	prices_free(prices);
	return 0;
}

static void expect(double got, double wanted) {
	if (fabs(got - wanted) > 1e-9 * (1 + fabs(wanted)))
		fail_msg("%.12f and not %.12f", got, wanted);
}

static struct cost_question question(const char *profile, unsigned month, double hours) {
	struct cost_question q = {.prices = prices,
	        .profile = prices_profile_named(prices, profile),
	        .usd_per_gb_month = COST_OWN_PRICE_NONE,
	        .month = month};
	assert_non_null(q.profile);
	q.charges.quantity[ZONE_NONE][CHARGE_HOURS] = hours;
	q.levels.time_s = charge_month_begins(month) + (int64_t)(hours * 3600);
	return q;
}

static struct cost estimate(const struct cost_question *q) {
	struct cost cost;
	cost_estimate(q, &cost);
	return cost;
}

/* 50 TB at 0.025, 450 TB at 0.024, the rest at 0.023. */
static void tiers_are_paid_one_after_the_other(void **state) {
	(void)state;
	const struct price_profile *p = prices_profile_named(prices, "s3-standard-ca-central-1");
	expect(cost_of_storage(p, 0), 0);
	expect(cost_of_storage(p, 1), 0.025);
	expect(cost_of_storage(p, 51200), 1280);
	expect(cost_of_storage(p, 51201), 1280.024);
	expect(cost_of_storage(p, 512000), 1280 + 460800 * 0.024);
	expect(cost_of_storage(p, 512010), 1280 + 460800 * 0.024 + 0.23);
}

/* AWS's own example: 100 GB for 15 days of March, 100 TB for 16: 52,900.645… GB-months. */
static void a_gb_is_two_to_the_thirtieth_as_aws_bills_it(void **state) {
	(void)state;
	struct cost_question q = question("s3-standard-us-east-1", 202703, 744);
	q.charges.quantity[ZONE_RAW][CHARGE_CURRENT] = 107374182400.0 * 15 * 24 + 109951162777600.0 * 16 * 24;
	struct cost c = estimate(&q);
	expect(c.gb_months[ZONE_RAW], (100.0 * 15 + 102400.0 * 16) / 31);
	expect(c.now_all.storage, 51200 * 0.023 + ((100.0 * 15 + 102400.0 * 16) / 31 - 51200) * 0.022);
	expect(c.total.now, c.total.forecast - 0); /* the month is over */
	expect(c.hours_left, 0);
}

static void a_month_has_the_hours_that_it_has(void **state) {
	(void)state;
	static const struct {
		unsigned month;
		double hours;
	} months[] = {{202702, 672}, {202802, 696}, {202611, 720}, {202612, 744}};
	for (size_t i = 0; i < 4; i++) {
		struct cost_question q = question("s3-standard-ca-central-1", months[i].month, months[i].hours);
		q.charges.quantity[ZONE_TRUSTED][CHARGE_CURRENT] = GB * months[i].hours;
		struct cost c = estimate(&q);
		expect(c.hours_of_month, months[i].hours);
		expect(c.gb_months[ZONE_TRUSTED], 1);
		expect(c.now[ZONE_TRUSTED].storage, 0.025);
	}
}

/* 10 days of November with 30 GB, 300 now: 30 × 240 / 720 = 10 GB-months; 300 × 480 / 720 = 200 more. */
static void the_forecast_takes_what_lies_there_to_the_end(void **state) {
	(void)state;
	struct cost_question q = question("s3-standard-ca-central-1", 202611, 240);
	q.charges.quantity[ZONE_RAW][CHARGE_CURRENT] = 30 * GB * 240;
	q.levels.bytes[ZONE_RAW][CHARGE_CURRENT] = 300 * GB;
	q.charges.quantity[ZONE_RAW][CHARGE_PUTS] = 1000;
	q.charges.quantity[ZONE_RAW][CHARGE_GETS] = 10000;
	struct cost c = estimate(&q);
	expect(c.now_all.storage, 10 * 0.025);
	expect(c.forecast_all.storage, 210 * 0.025);
	expect(c.now_all.requests, 0.0055 + 0.0044);
	expect(c.forecast_all.requests, 3 * (0.0055 + 0.0044)); /* a third of the month is over */
	expect(c.now_all.kms, 1.0 / 3 + 1.1 * 0.03);
	expect(c.forecast_all.kms, 1 + 3.3 * 0.03);
	expect(c.total.now, 0.25 + 0.0099 + 1.0 / 3 + 0.033);
}

/* In the first hours the rate is that of a day: 24 PUTs in the first hour are not 17,280 in the month. */
static void few_hours_are_no_rate(void **state) {
	(void)state;
	struct cost_question q = question("s3-standard-ca-central-1", 202611, 1);
	q.charges.quantity[ZONE_RAW][CHARGE_PUTS] = 24000;
	struct cost c = estimate(&q);
	expect(c.forecast_all.requests, 24 * 0.0055 * (1 + 719.0 / 24));
}

static void zones_bear_their_shares_and_versions_theirs(void **state) {
	(void)state;
	struct cost_question q = question("s3-standard-ca-central-1", 202611, 720);
	q.charges.quantity[ZONE_LANDING][CHARGE_CURRENT] = 25600 * GB * 720;
	q.charges.quantity[ZONE_RAW][CHARGE_NONCURRENT] = 51200 * GB * 720;
	q.charges.quantity[ZONE_TRUSTED][CHARGE_DEAD] = 25600 * GB * 720;
	struct cost c = estimate(&q);
	const double all = 51200 * 0.025 + 51200 * 0.024;
	expect(c.now_all.storage, all);
	expect(c.now[ZONE_LANDING].storage, all / 4);
	expect(c.now[ZONE_RAW].storage, all / 2);
	expect(c.noncurrent.now, all / 2);
	expect(c.dead.now, all / 4);
}

static void ones_own_price_takes_the_place_of_the_profiles(void **state) {
	(void)state;
	struct cost_question q = question(PRICES_THIS_DISK, 202611, 720);
	q.charges.quantity[ZONE_RAW][CHARGE_CURRENT] = 100 * GB * 720;
	q.charges.quantity[ZONE_RAW][CHARGE_PUTS] = 1e6;
	struct cost c = estimate(&q);
	expect(c.total.now, 100 * 0.001);
	q.usd_per_gb_month = 0.5;
	c = estimate(&q);
	expect(c.total.now, 50);
	expect(c.now_all.requests + c.now_all.kms, 0);
}

/* 100 GB of versions all November, 20,000 PUT, 80,000 GET, 60 checks. */
static void the_same_on_the_seed_platform(void **state) {
	(void)state;
	struct cost_question q = question(PRICES_THIS_DISK, 202611, 720);
	q.charges.quantity[ZONE_NONE][CHARGE_VERSIONS] = 100 * GB * 720;
	q.charges.quantity[ZONE_LANDING][CHARGE_PUTS] = 20000;
	q.charges.quantity[ZONE_TRUSTED][CHARGE_GETS] = 80000;
	q.charges.quantity[ZONE_NONE][CHARGE_CHECKS] = 60;
	struct cost c = estimate(&q);
	expect(c.services[COST_S3_STORAGE].now, 2.5);
	expect(c.services[COST_S3_REQUESTS].now, 20 * 0.0055 + 80 * 0.00044);
	expect(c.services[COST_S3_REPLICA].now, 2.5 + 20 * 0.0055);
	expect(c.services[COST_KMS].now, 1 + 10 * 0.03);
	expect(c.services[COST_GLUE].now, 2 * 0.44);
	expect(c.services[COST_DASHBOARD].now, 3);
	expect(c.services[COST_ALARM].now, 0.1);
	expect(c.services[COST_CLOUDTRAIL].now, 0.1);
	double all = 0;
	for (size_t i = 0; i < COST_SERVICES; i++) {
		all += c.services[i].now;
		assert_non_null(cost_service_words((enum cost_service)i));
	}
	expect(c.services_total.now, all);
	expect(c.services_total.forecast, all);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(tiers_are_paid_one_after_the_other),
	        cmocka_unit_test(a_gb_is_two_to_the_thirtieth_as_aws_bills_it),
	        cmocka_unit_test(a_month_has_the_hours_that_it_has),
	        cmocka_unit_test(the_forecast_takes_what_lies_there_to_the_end),
	        cmocka_unit_test(few_hours_are_no_rate),
	        cmocka_unit_test(zones_bear_their_shares_and_versions_theirs),
	        cmocka_unit_test(ones_own_price_takes_the_place_of_the_profiles),
	        cmocka_unit_test(the_same_on_the_seed_platform),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
