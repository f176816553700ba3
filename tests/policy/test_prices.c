#include "policy/prices.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/base/fault.h"
#include "policy/policy.h"

#define PROFILE(storage)                                                                              \
	"{\"words\": \"w\", \"source\": \"a\",\n\"storage\": " storage ",\n\"usd_per_1000_puts\": 1," \
	"\"usd_per_1000_gets\": 1, \"usd_per_key_month\": 1, \"usd_per_10000_kms\": 1}"
#define SERVICE "{\"usd\": 1, \"per\": \"x\", \"source\": \"a\"}"
#define FILE_OF(date, disk, last)                                                                                 \
	"{\"format\": 1, \"date\": \"" date "\", \"currency\": \"USD\",\n"                                        \
	"\"sources\": {\"a\": {\"words\": \"w\", \"date\": \"2026-01-01\", \"standing\": \"assumed\"}},\n"        \
	"\"profiles\": {\"this-disk\": " disk ",\n\"s3-standard-ca-central-1\": " PROFILE(                        \
	        "[{\"usd_per_gb_month\": 1}]") "},\n\"services\": {\"kms-key-month\": " SERVICE                   \
	                                       ",\"kms-10000-requests\": " SERVICE ",\"glue-dpu-hour\": " SERVICE \
	                                       ",\"cloudwatch-dashboard-month\": " SERVICE                        \
	                                       ",\"cloudwatch-alarm-month\": " SERVICE                            \
	                                       ",\n\"cloudtrail-100000-events\": " last "}}"

static void the_file_in_the_program_has_the_figures_of_its_sources(void **state) {
	(void)state;
	_cleanup_(prices_freep) Prices *prices = NULL;
	assert_int_equal(prices_builtin(&prices), 0);
	assert_string_equal(prices_date(prices), "2026-07-01");
	const struct price_profile *canada = prices_profile_named(prices, PRICES_SEED_S3);
	assert_non_null(canada);
	assert_int_equal(canada->tier_count, 3);
	assert_true(canada->tiers[0].usd_per_gb_month == 0.025);
	assert_true(canada->tiers[0].up_to_gb == 51200);
	assert_true(isinf(canada->tiers[2].up_to_gb));
	assert_true(canada->usd_per_1000_puts == 0.0055);
	assert_string_equal(canada->source->date, "2026-07-01");
	assert_true(prices_profile_named(prices, PRICES_THIS_DISK)->usd_per_1000_puts == 0);
	assert_true(prices_service(prices, PRICE_GLUE_DPU_HOUR) == 0.44);
	assert_true(prices_service(prices, PRICE_DASHBOARD_MONTH) == 3);
	assert_true(prices_service(prices, PRICE_ALARM_MONTH) == 0.10);
	assert_non_null(prices_service_source(prices, PRICE_ALARM_MONTH)->date);
	assert_null(prices_profile_named(prices, "s3-express"));
	assert_null(prices_profile(prices, 100));
	assert_non_null(prices_source(prices, 0));
}

static void a_file_is_old_after_a_year(void **state) {
	(void)state;
	_cleanup_(prices_freep) Prices *prices = NULL;
	assert_int_equal(prices_builtin(&prices), 0);
	assert_false(prices_are_old(prices, 1782864000)); /* 2026-07-01 */
	assert_false(prices_are_old(prices, 1782864000 + INT64_C(365) * 86400));
	assert_true(prices_are_old(prices, 1782864000 + INT64_C(367) * 86400));
}

static void a_mistake_is_told_with_its_line_and_what_would_be_right(void **state) {
	(void)state;
	static const struct {
		const char *text, *words;
	} cases[] = {
	        {"", "p.json:1:1: the file is empty"},
	        {"[]", "p.json:1:1: a price file is an object"},
	        {"{\"formaat\": 1}", "p.json:1:2: a price file has no \"formaat\""},
	        {"{\"format\": 1}", "needs \"date\""},
	        {FILE_OF("2026-02-30", PROFILE("[{\"usd_per_gb_month\": 1}]"), SERVICE),
	                "p.json:1:23: \"date\" is a day"},
	        {FILE_OF("July", PROFILE("[{\"usd_per_gb_month\": 1}]"), SERVICE), "\"date\" is a day"},
	        {FILE_OF("2026-02-28", PROFILE("[]"), SERVICE), "p.json:4:12: \"storage\" is a list"},
	        {FILE_OF("2026-02-28", PROFILE("[{\"usd_per_gb_month\": -1}]"), SERVICE),
	                "p.json:4:34: \"usd_per_gb_month\" is a number from 0"},
	        {FILE_OF("2026-02-28", PROFILE("[{\"usd_per_gb_month\": \"1\"}]"), SERVICE), "is a number from 0"},
	        {FILE_OF("2026-02-28", PROFILE("[{\"usd_per_gb_month\": 1, \"up_to_gb\": 5}]"), SERVICE),
	                "the last tier has no end"},
	        {FILE_OF("2026-02-28",
	                 PROFILE("[{\"usd_per_gb_month\": 1, \"up_to_gb\": 5},{\"usd_per_gb_month\": 1, \"up_to_gb\": "
	                         "5},"
	                         "{\"usd_per_gb_month\": 1}]"),
	                 SERVICE),
	                "each tier ends above the one before"},
	        {FILE_OF("2026-02-28", PROFILE("[{\"usd_per_gb_month\": 1}]"),
	                 "{\"usd\": 1, \"per\": \"x\", \"source\": \"b\"}"),
	                "p.json:10:62: \"source\" is the name of one of \"sources\""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		Prices *prices = NULL;
		assert_int_equal(prices_parse("p.json", bytes_of_string(cases[i].text), &prices), -EINVAL);
		if (!strstr(fault_message(), cases[i].words))
			fail_msg("case %zu: %s", i, fault_message());
	}
	_cleanup_(prices_freep) Prices *prices = NULL;
	assert_int_equal(
	        prices_parse("p.json",
	                bytes_of_string(FILE_OF("2026-02-28", PROFILE("[{\"usd_per_gb_month\": 1}]"), SERVICE)),
	                &prices),
	        0);
}

static int policy_of(const char *costs, const char *file, Policy **ret) {
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
	char text[512];
	(void)snprintf(text, sizeof text, "version: 1\ncosts: %s\n", costs);
	assert_int_equal(policy_bundle_new(&bundle), 0);
	assert_int_equal(policy_bundle_put(bundle, BUNDLE_POLICY, bytes_of_string(text)), 0);
	if (file)
		assert_int_equal(policy_bundle_put(bundle, "prices.json", bytes_of_string(file)), 0);
	return policy_parse(bundle, ret);
}

static void a_policy_says_which_prices_count(void **state) {
	(void)state;
	_cleanup_(policy_freep) Policy *policy = NULL;
	_cleanup_(policy_freep) Policy *own = NULL;
	Policy *none = NULL;
	assert_int_equal(policy_of("{usd_per_gb_month: 0.02}", NULL, &policy), 0);
	assert_string_equal(policy_costs(policy)->profile, PRICES_THIS_DISK);
	assert_true(policy_costs(policy)->usd_per_gb_month == 0.02);
	assert_int_equal(policy_of("{profile: s3-standard-ca-central-1, prices: prices.json}",
	                         FILE_OF("2026-02-28", PROFILE("[{\"usd_per_gb_month\": 1}]"), SERVICE), &own),
	        0);
	assert_true(policy_costs(own)->usd_per_gb_month < 0);
	assert_string_equal(policy_costs(own)->prices_file, "prices.json");
	assert_int_equal(policy_of("{profile: s3-moon}", NULL, &none), -EINVAL);
	assert_non_null(
	        strstr(fault_message(), "policy.yaml:2:8: the price file of this assayfs has no profile 's3-moon'"));
	assert_int_equal(policy_of("{prices: prices.json}", NULL, &none), -EINVAL);
	assert_non_null(strstr(fault_message(), "is not in the policy's directory"));
	assert_int_equal(policy_of("{prices: prices.json}", "{}", &none), -EINVAL);
	assert_non_null(strstr(fault_message(), "prices.json:1:1:"));
	assert_int_equal(policy_of("{usd_per_gb_month: -1}", NULL, &none), -EINVAL);
	assert_int_equal(policy_of("{usd: 1}", NULL, &none), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_file_in_the_program_has_the_figures_of_its_sources),
	        cmocka_unit_test(a_file_is_old_after_a_year),
	        cmocka_unit_test(a_mistake_is_told_with_its_line_and_what_would_be_right),
	        cmocka_unit_test(a_policy_says_which_prices_count),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
