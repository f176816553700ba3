/* What may be asked over HTTP: one table, strictly. */
#include "tests/fs/unit.h"

#include "crypto/base/cleanup.h"
#include "fs/http/route.h"

#define NOW INT64_C(1800000000000000000)

/* `query`: JSON. Negative, or 0 with the arguments as JSON in `ret_arguments`. */
static int find(const char *method, const char *path, const char *query, const char *body, struct route *ret,
        char ret_arguments[static 512]) {
	json_t *parameters = json_loads(query, 0, NULL);
	assert_non_null(parameters);
	int rc = route_find(method, path, parameters, body, NOW, ret);
	json_decref(parameters);
	if (rc)
		return rc;
	char *text = json_dumps(ret->arguments, JSON_COMPACT | JSON_SORT_KEYS);
	snprintf(ret_arguments, 512, "%s", text);
	free(text);
	json_decref(ret->arguments);
	return 0;
}

static void test_what_there_is(void **state) {
	struct route route;
	char arguments[512];
	(void)state;
	assert_int_equal(find("GET", "/api/v1/status", "{}", NULL, &route, arguments), 0);
	assert_string_equal(route.command, "status");
	assert_false(route.is_act);
	assert_int_equal(find("HEAD", "/api/v1/alarms", "{}", NULL, &route, arguments), 0);
	assert_string_equal(route.command, "alarm-list");
	assert_int_equal(find("GET", "/api/v1/log",
	                         "{\"since\":\"@1700000000\",\"path\":\"Landing/a\",\"uid\":\"0\",\"event\":\"\"}",
	                         NULL, &route, arguments),
	        0);
	assert_string_equal(
	        arguments, "{\"limit\":100,\"path\":\"Landing/a\",\"since\":1700000000000000000,\"uid\":0}");
	assert_int_equal(find("POST", "/api/v1/run", "{}", "{\"workflow\":\"again\"}", &route, arguments), 0);
	assert_true(route.is_act);
	assert_string_equal(arguments, "{\"no_wait\":true,\"workflow\":\"again\"}");
	assert_int_equal(
	        find("POST", "/api/v1/quarantine/12/release", "{}", "{\"reason\":\"seen\"}", &route, arguments), 0);
	assert_string_equal(route.command, "quarantine-release");
	assert_string_equal(arguments, "{\"id\":12,\"reason\":\"seen\"}");
}

static void test_what_is_not_said(void **state) {
	struct route route;
	char arguments[512];
	(void)state;
	assert_int_equal(find("GET", "/api/v1/runs", "{}", NULL, &route, arguments), 0);
	assert_string_equal(arguments, "{\"limit\":20}");
	assert_int_equal(find("GET", "/api/v1/samples", "{\"series\":\"Waiting\"}", NULL, &route, arguments), 0);
	assert_string_equal(arguments, "{\"series\":\"Waiting\"}");
	assert_int_equal(
	        find("GET", "/api/v1/samples", "{\"series\":\"a\",\"from\":\"-30d\"}", NULL, &route, arguments), 0);
	assert_string_equal(arguments, "{\"from_s\":1797408000,\"series\":\"a\"}");
	assert_int_equal(find("GET", "/api/v1/samples",
	                         "{\"series\":\"a\",\"to\":\"@1700000000\",\"period\":\"5m\",\"labels\":\"zone=Raw\"}",
	                         NULL, &route, arguments),
	        0);
	assert_string_equal(
	        arguments, "{\"labels\":\"zone=Raw\",\"period_s\":300,\"series\":\"a\",\"to_s\":1700000000}");
}

static void test_what_there_is_not(void **state) {
	static const char *const paths[] = {"", "/", "/api/v1/", "/api/v1/status/", "/api/v1//status",
	        "/api/v1/policy-apply", "/api/v1/erase", "/api/v1/token-add", "/api/v1/quarantine//release",
	        "/api/v1/quarantine/x/release", "/api/v1/quarantine/1/drop", "/api/v1/quarantine/1/release/",
	        "/api/v1/quarantine/1234567890123456/release"};
	struct route route;
	char arguments[512];
	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		assert_int_equal(find("GET", paths[i], "{}", NULL, &route, arguments), -ENOENT);
	assert_int_equal(find("POST", "/api/v1/status", "{}", "{}", &route, arguments), -EOPNOTSUPP);
	assert_int_equal(find("GET", "/api/v1/run", "{}", NULL, &route, arguments), -EOPNOTSUPP);
}

static void test_parameters_that_are_none(void **state) {
	static const struct {
		const char *path, *query;
	} cases[] = {{"/api/v1/status", "{\"x\":\"1\"}"}, {"/api/v1/log", "{\"limit\":\"0\"}"},
	        {"/api/v1/log", "{\"limit\":\"1001\"}"}, {"/api/v1/log", "{\"limit\":\"-1\"}"},
	        {"/api/v1/log", "{\"limit\":\"1e3\"}"}, {"/api/v1/log", "{\"limit\":null}"},
	        {"/api/v1/log", "{\"since\":\"whenever\"}"}, {"/api/v1/log", "{\"path\":\"a//b\"}"},
	        {"/api/v1/log", "{\"path\":\"../a\"}"}, {"/api/v1/log", "{\"uid\":\"4294967295\"}"},
	        {"/api/v1/samples", "{}"}, {"/api/v1/samples", "{\"series\":\"a\",\"from\":\"once\"}"},
	        {"/api/v1/samples", "{\"series\":\"a\",\"period\":\"0\"}"}, {"/api/v1/runs", "{\"limit\":\"1001\"}"},
	        {"/api/v1/lineage", "{\"path\":\"/\"}"}, {"/api/v1/charts/quality", "{}"}};
	struct route route;
	char arguments[512];
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(find("GET", cases[i].path, cases[i].query, NULL, &route, arguments), -EINVAL);
	}
}

static void test_bodies_that_are_none(void **state) {
	static const char *const bodies[] = {"", "[]", "\"again\"", "{}", "{\"workflow\":1}", "{\"workflow\":\"\"}",
	        "{\"workflow\":\"a\",\"x\":1}", "{\"workflow\":\"a\"", "{\"workflow\":\"a\",\"workflow\":\"b\"}"};
	struct route route;
	char arguments[512];
	(void)state;
	assert_int_equal(find("POST", "/api/v1/run", "{}", NULL, &route, arguments), -EINVAL);
	assert_int_equal(
	        find("POST", "/api/v1/run", "{\"x\":\"1\"}", "{\"workflow\":\"a\"}", &route, arguments), -EINVAL);
	for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
		assert_int_equal(find("POST", "/api/v1/run", "{}", bodies[i], &route, arguments), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_there_is),
	        cmocka_unit_test(test_what_is_not_said), cmocka_unit_test(test_what_there_is_not),
	        cmocka_unit_test(test_parameters_that_are_none), cmocka_unit_test(test_bodies_that_are_none)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
