/* Numbers in the text formats of Prometheus and OpenMetrics. */
#include "fs/exposition.h"

#include "crypto/base/fault.h"
#include "tests/fs/unit.h"

#include <errno.h>
#include <math.h>

static const struct exposition_family verdicts = {
        .name = "assayfs_verdicts", .type = EXPOSITION_COUNTER, .help = "Says \"what\" \\ came\nof it."};
static const struct exposition_family size = {
        .name = "assayfs_size_bytes", .type = EXPOSITION_GAUGE, .unit = "bytes", .help = "Size."};
static const struct exposition_family build = {.name = "assayfs_build", .type = EXPOSITION_INFO, .help = "Build."};
static const struct exposition_family took = {
        .name = "assayfs_took_seconds", .type = EXPOSITION_HISTOGRAM, .unit = "seconds", .help = "Took."};

static char *written(enum exposition_format format) {
	_cleanup_(exposition_freep) Exposition *e = NULL;
	char *text = NULL;
	size_t length = 0;
	struct histogram_view view = {.up_to = {1}, .count = 3, .sum_ns = 2500000001};
	for (size_t i = 1; i < HISTOGRAM_BOUNDS; i++)
		view.up_to[i] = 2;
	assert_int_equal(exposition_new(format, &e), 0);
	exposition_family(e, &build);
	exposition_count(e, 1, &(struct exposition_label){"version", "1"}, 1);
	exposition_family(e, &verdicts);
	exposition_count(e, UINT64_MAX, &(struct exposition_label){"dataset", "a\"b\\c\nd\xff\xc3\xa9\xc3"}, 1);
	exposition_family(e, &size);
	exposition_number(e, 1.5, NULL, 0);
	exposition_family(e, &took);
	exposition_histogram(e, &view, &(struct exposition_label){"operation", "read"}, 1);
	assert_int_equal(exposition_end(e, &text, &length), 0);
	assert_int_equal(strlen(text), length);
	return text;
}

static void has(const char *text, const char *part) {
	if (!strstr(text, part))
		fail_msg("no %s in %s", part, text);
}

static void prometheus_gets_its_own_format(void **state) {
	(void)state;
	_cleanup_(freep) char *text = written(EXPOSITION_PROMETHEUS);
	has(text, "# TYPE assayfs_build_info gauge\n");
	has(text, "assayfs_build_info{version=\"1\"} 1\n");
	has(text, "# TYPE assayfs_verdicts_total counter\n");
	has(text, "# HELP assayfs_verdicts_total Says \"what\" \\\\ came\\nof it.\n");
	has(text, "assayfs_size_bytes 1.5\n");
	has(text, "assayfs_took_seconds_bucket{operation=\"read\",le=\"5e-05\"} 1\n");
	has(text, "assayfs_took_seconds_bucket{operation=\"read\",le=\"+Inf\"} 3\n");
	has(text, "assayfs_took_seconds_sum{operation=\"read\"} 2.500000001\n");
	has(text, "assayfs_took_seconds_count{operation=\"read\"} 3\n");
	assert_null(strstr(text, "# UNIT"));
	assert_null(strstr(text, "# EOF"));
}

static void openmetrics_names_families_and_units_and_has_an_end(void **state) {
	(void)state;
	_cleanup_(freep) char *text = written(EXPOSITION_OPENMETRICS);
	has(text, "# TYPE assayfs_build info\n");
	has(text, "assayfs_build_info{version=\"1\"} 1\n");
	has(text, "# TYPE assayfs_verdicts counter\n");
	has(text, "# HELP assayfs_verdicts Says \\\"what\\\" \\\\ came\\nof it.\n");
	has(text, "assayfs_verdicts_total{");
	has(text, "# UNIT assayfs_size_bytes bytes\n");
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
}

/* Each of its lines is one, whatever a name holds. */
static void a_hostile_label_stays_within_its_quotes(void **state) {
	(void)state;
	_cleanup_(freep) char *text = written(EXPOSITION_PROMETHEUS);
	has(text, "\nassayfs_verdicts_total{dataset=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\"} "
	          "18446744073709551615\n");
}

static void odd_numbers_are_spelled_as_both_formats_read_them(void **state) {
	(void)state;
	_cleanup_(exposition_freep) Exposition *e = NULL;
	_cleanup_(freep) char *text = NULL;
	size_t length;
	assert_int_equal(exposition_new(EXPOSITION_PROMETHEUS, &e), 0);
	exposition_family(e, &size);
	exposition_number(e, NAN, NULL, 0);
	exposition_number(e, INFINITY, NULL, 0);
	exposition_number(e, -INFINITY, NULL, 0);
	exposition_seconds(e, -1500000000, NULL, 0);
	exposition_number(e, 0.1, NULL, 0);
	assert_int_equal(exposition_end(e, &text, &length), 0);
	has(text, "\nassayfs_size_bytes NaN\nassayfs_size_bytes +Inf\nassayfs_size_bytes -Inf\n"
	          "assayfs_size_bytes -1.500000000\nassayfs_size_bytes 0.1\n");
}

static void refused(const struct exposition_family *first, const struct exposition_family *second, const char *label,
        const char *words) {
	_cleanup_(exposition_freep) Exposition *e = NULL;
	char *text = NULL;
	size_t length;
	assert_int_equal(exposition_new(EXPOSITION_PROMETHEUS, &e), 0);
	if (first)
		exposition_family(e, first);
	if (second)
		exposition_family(e, second);
	if (label)
		exposition_count(e, 1, &(struct exposition_label){label, ""}, 1);
	assert_int_equal(exposition_end(e, &text, &length), -EINVAL);
	assert_non_null(strstr(fault_message(), words));
	assert_null(text);
}

static void what_makes_no_exposition_gives_no_text(void **state) {
	(void)state;
	refused(&size, &size, NULL, "assayfs_size_bytes was begun before");
	refused(&(struct exposition_family){.name = "a-b", .help = ""}, NULL, NULL, "a-b is no name");
	refused(&(struct exposition_family){.name = "a_total", .help = ""}, NULL, NULL, "a_total is no name");
	refused(&(struct exposition_family){.name = "a", .unit = "bytes", .help = ""}, NULL, NULL, "its unit");
	refused(&size, NULL, "0a", "0a is no name of a label");
	refused(NULL, NULL, "a", "belongs to no family");
	refused(&took, NULL, "a", "is a histogram");
}

static void formats_have_names_and_types_for_http(void **state) {
	(void)state;
	enum exposition_format format;
	assert_int_equal(exposition_format_of("openmetrics", &format), 0);
	assert_int_equal(format, EXPOSITION_OPENMETRICS);
	assert_int_equal(exposition_format_of("prometheus", &format), 0);
	assert_int_equal(format, EXPOSITION_PROMETHEUS);
	assert_int_equal(exposition_format_of("xml", &format), -EINVAL);
	has(exposition_content_type(EXPOSITION_PROMETHEUS), "text/plain; version=0.0.4");
	has(exposition_content_type(EXPOSITION_OPENMETRICS), "application/openmetrics-text; version=1.0.0");
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(prometheus_gets_its_own_format),
	        cmocka_unit_test(openmetrics_names_families_and_units_and_has_an_end),
	        cmocka_unit_test(a_hostile_label_stays_within_its_quotes),
	        cmocka_unit_test(odd_numbers_are_spelled_as_both_formats_read_them),
	        cmocka_unit_test(what_makes_no_exposition_gives_no_text),
	        cmocka_unit_test(formats_have_names_and_types_for_http),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
