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
	assert_string_equal(chart_value(8e-11, CHART_USD, text), "under $0.0001");
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

/* They stand in the picture as they are. */
static void test_words_of_values_are_no_markup(void **state) {
	const double values[] = {0, 8e-11, 0.00009, 0.01, 38.4, 1e300, -8e-11, NAN, INFINITY};
	const enum chart_unit units[] = {CHART_BYTES, CHART_USD, CHART_PERCENT, CHART_COUNT};
	char text[32];
	(void)state;
	for (size_t u = 0; u < sizeof units / sizeof *units; u++)
		for (size_t i = 0; i < sizeof values / sizeof *values; i++)
			assert_null(strpbrk(chart_value(values[i], units[u], text), "<>&\""));
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
	assert_int_equal(asked, 2 * 3); /* a day, and then the quarter of an hour that there is */
	assert_non_null(strstr(json_string_value(json_object_get(item, "svg")), "01:50"));
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
	        cmocka_unit_test(test_words_of_values_are_no_markup), cmocka_unit_test(test_a_picture),
	        cmocka_unit_test(test_a_chart_of_samples), cmocka_unit_test(test_a_document_is_kept_for_its_asker)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
