/* Charts: sensible ticks, escaped names, and nothing outside of the picture. */
#include "tests/fs/unit.h"

#include "crypto/base/cleanup.h"
#include "fs/http/chart.h"
#include "fs/http/chart_answer.h"
#include "fs/http/documents.h"

#include <math.h>

static void test_steps(void **state) {
	(void)state;
	assert_true(fabs(chart_step(100, 4, CHART_PERCENT) - 50) < 1e-9);
	assert_true(fabs(chart_step(38, 4, CHART_USD) - 10) < 1e-9);
	assert_true(fabs(chart_step(0.07, 4, CHART_USD) - 0.02) < 1e-9);
	assert_true(fabs(chart_step(2, 4, CHART_COUNT) - 1) < 1e-9);
	assert_true(fabs(chart_step(5e9, 4, CHART_BYTES) - 2147483648.0) < 1);
	assert_true(fabs(chart_step(0, 4, CHART_USD) - 1) < 1e-9);
	assert_true(fabs(chart_step(NAN, 4, CHART_USD) - 1) < 1e-9);
}

static void test_values(void **state) {
	char text[32];
	(void)state;
	assert_string_equal(chart_value(1536, CHART_BYTES, text), "1.5 KiB");
	assert_string_equal(chart_value(38.4, CHART_USD, text), "$38.40");
	assert_string_equal(chart_value(0.0123, CHART_USD, text), "$0.0123");
	assert_string_equal(chart_value(8e-11, CHART_USD, text), "< $0.0001");
	assert_string_equal(chart_value(99.5, CHART_PERCENT, text), "99.5 %");
}

static void test_a_picture(void **state) {
	const struct chart_point points[] = {{1000, 5}, {2000, 50}, {9000000, 1e300}, {3000, NAN}};
	const struct chart_series series = {"<script>&\"", points, 4};
	struct chart chart = {
	        .title = "a < b", .unit = CHART_COUNT, .from_s = 0, .to_s = 4000, .series = &series, .series_count = 1};
	char *svg = NULL;
	(void)state;
	assert_int_equal(chart_render(&chart, &svg), 0);
	assert_null(strstr(svg, "<script"));
	assert_non_null(strstr(svg, "&lt;script&gt;&amp;&quot;"));
	assert_non_null(strstr(svg, "<title>a &lt; b</title>"));
	assert_non_null(strstr(svg, "<desc>"));
	assert_null(strstr(svg, "nan"));
	assert_null(strstr(svg, "inf"));
	free(svg);
	chart.to_s = 0;
	assert_int_equal(chart_render(&chart, &svg), -EINVAL);
}

static size_t count_of(const char *text, const char *part) {
	size_t count = 0;
	for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
		count++;
	return count;
}

/* "< $0.0001" stood there as it is, and no browser drew such a picture. */
static void test_next_to_nothing_is_no_markup(void **state) {
	const struct chart_point points[] = {{1000, 8e-11}, {2000, 9e-11}};
	const struct chart_series series = {"all", points, 2};
	const struct chart chart = {
	        .title = "t", .unit = CHART_USD, .to_s = 4000, .series = &series, .series_count = 1};
	char *svg = NULL;
	(void)state;
	assert_int_equal(chart_render(&chart, &svg), 0);
	assert_int_equal(count_of(svg, "< "), 0);
	assert_non_null(strstr(svg, "<desc>all: from &lt; $0.0001 to &lt; $0.0001. </desc>"));
	assert_int_equal(count_of(svg, "<title>&lt; $0.0001, "), 2);
	free(svg);
}

static void test_what_was_not_measured_is_not_drawn(void **state) {
	const struct chart_point points[] = {{0, 1}, {60, 2}, {120, 2}, {900, 3}, {960, 3}, {2000, 1}};
	const struct chart_series series = {"one", points, 6};
	struct chart chart = {.title = "t", .unit = CHART_COUNT, .to_s = 3600, .series = &series, .series_count = 1};
	char *svg = NULL;
	(void)state;
	assert_int_equal(chart_render(&chart, &svg), 0);
	assert_int_equal(count_of(strstr(svg, "chart-line"), "M"), 1);
	free(svg);
	chart.gap_s = 180;
	assert_int_equal(chart_render(&chart, &svg), 0);
	assert_int_equal(count_of(strstr(svg, "chart-line"), "M"), 3);
	assert_int_equal(count_of(svg, "<circle"), 6); /* few, so that each has its value to be seen */
	assert_non_null(strstr(svg, "<title>3, 01 Jan 00:15 UTC</title>"));
	free(svg);
}

static void test_it_is_drawn_for_its_width(void **state) {
	const struct chart_point points[] = {{0, 1}, {86000, 2}};
	const struct chart_series series = {"one", points, 2};
	struct chart chart = {.title = "t", .unit = CHART_COUNT, .to_s = 86400, .series = &series, .series_count = 1};
	char *wide = NULL, *narrow = NULL;
	(void)state;
	chart.width = 320;
	assert_int_equal(chart_render(&chart, &narrow), 0);
	chart.width = 4000000000;
	assert_int_equal(chart_render(&chart, &wide), 0);
	assert_non_null(strstr(narrow, "viewBox=\"0 0 320 200\""));
	assert_non_null(strstr(wide, "viewBox=\"0 0 2000 200\""));
	assert_true(count_of(narrow, "middle") <= 4 && count_of(narrow, "middle") >= 2);
	assert_true(count_of(wide, "middle") > 4);
	free(wide);
	free(narrow);
}

/* ---- from the handlers' answers ---- */

static int answer_one_point(void *arg, const char *command, const json_t *arguments, json_t **ret_items) {
	const char *labels = json_string_value(json_object_get(arguments, "labels"));
	++*(int *)arg;
	assert_string_equal(command, "samples");
	bool is_raw = labels && strcmp(labels, "zone=Raw") == 0;
	*ret_items = is_raw ? json_pack("[{s:[{s:i, s:i, s:i}]}]", "points", "time_s", 7000, "count", 2, "sum", 4096)
	                    : json_pack("[{s:[]}]", "points");
	return 0;
}

static void test_a_chart_of_samples(void **state) {
	int asked = 0;
	json_t *item = NULL, *none = json_object();
	(void)state;
	assert_int_equal(chart_answer("storage", none, 7200, answer_one_point, &asked, &item), 0);
	assert_int_equal(asked, 2 * 3); /* a day, and then what there is of it */
	assert_non_null(strstr(json_string_value(json_object_get(item, "svg")), "01:52"));
	const json_t *rows = json_object_get(item, "rows");
	assert_int_equal(json_array_size(rows), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "name")), "Raw");
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "last")), "2.0 KiB");
	json_decref(item);
	asked = 0;
	json_t *hours = json_pack("{s:i}", "hours", 24);
	assert_int_equal(chart_answer("storage", hours, 7200, answer_one_point, &asked, &item), 0);
	assert_int_equal(asked, 3);
	json_decref(item);
	json_decref(hours);
	assert_int_equal(chart_answer("nothing", none, 7200, answer_one_point, &asked, &item), -ENOENT);
	json_decref(none);
}

struct seen {
	unsigned asked;
	json_int_t period;
};

/* A score by the minute since half an hour. */
static int answer_scores(void *arg, const char *command, const json_t *arguments, json_t **ret_items) {
	struct seen *seen = arg;
	seen->asked++;
	assert_string_equal(command, "samples");
	assert_string_equal(json_string_value(json_object_get(arguments, "labels")), "dataset=a_b");
	seen->period = json_integer_value(json_object_get(arguments, "period_s"));
	*ret_items =
	        json_pack("[{s:[{s:I, s:i, s:i}, {s:I, s:i, s:i}]}]", "points", "time_s", INT64_C(1800000000) - 1800,
	                "count", 1, "sum", 50, "time_s", INT64_C(1800000000) - 60, "count", 2, "sum", 200);
	return 0;
}

static void test_a_young_vault_fills_its_chart(void **state) {
	struct seen seen = {0};
	json_t *item = NULL, *arguments = json_pack("{s:s}", "dataset", "a,b");
	(void)state;
	assert_int_equal(chart_answer("quality", arguments, 1800000000, answer_scores, &seen, &item), 0);
	assert_int_equal(seen.asked, 2);
	assert_int_equal(seen.period, 60);
	const json_t *row = json_array_get(json_object_get(item, "rows"), 0);
	assert_string_equal(json_string_value(json_object_get(row, "first")), "50 %");
	assert_string_equal(json_string_value(json_object_get(row, "last")), "100 %");
	assert_non_null(strstr(json_string_value(json_object_get(item, "svg")), ">07:40<"));
	json_decref(item);
	json_decref(arguments);
}

/* ---- documents ---- */

static int make(void *arg, json_t **ret) {
	*ret = json_integer(++*(int *)arg);
	return 0;
}

static int refuse(void *arg, json_t **ret) {
	(void)ret;
	++*(int *)arg;
	return -ENOSYS;
}

static void test_a_document_is_kept_for_its_asker(void **state) {
	_cleanup_(documents_freep) Documents *documents = documents_new();
	json_t *one = NULL, *two = NULL, *others = NULL;
	int made = 0, failed = 0;
	(void)state;
	assert_int_equal(documents_get(documents, "uid:0 status", make, &made, &one), 0);
	assert_int_equal(documents_get(documents, "uid:0 status", make, &made, &two), 0);
	assert_ptr_equal(one, two);
	assert_int_equal(documents_get(documents, "uid:1 status", make, &made, &others), 0);
	assert_int_equal(made, 2);
	json_decref(one);
	json_decref(two);
	json_decref(others);
	usleep(450000);
	assert_int_equal(documents_get(documents, "uid:0 status", make, &made, &one), 0);
	assert_int_equal(json_integer_value(one), 3);
	json_decref(one);
	assert_int_equal(documents_get(documents, "none", refuse, &failed, &one), -ENOSYS);
	assert_int_equal(documents_get(documents, "none", refuse, &failed, &one), -ENOSYS);
	assert_int_equal(failed, 2);
	for (int i = 0; i < 200; i++) { /* more than there is room for */
		char key[16];
		snprintf(key, sizeof key, "%d", i);
		assert_int_equal(documents_get(documents, key, make, &made, &one), 0);
		json_decref(one);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps), cmocka_unit_test(test_values),
	        cmocka_unit_test(test_a_picture), cmocka_unit_test(test_next_to_nothing_is_no_markup),
	        cmocka_unit_test(test_what_was_not_measured_is_not_drawn),
	        cmocka_unit_test(test_it_is_drawn_for_its_width), cmocka_unit_test(test_a_chart_of_samples),
	        cmocka_unit_test(test_a_young_vault_fills_its_chart),
	        cmocka_unit_test(test_a_document_is_kept_for_its_asker)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
