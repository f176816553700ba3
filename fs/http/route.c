#include "fs/http/route.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"
#include "fs/command/when.h"
#include "fs/control_wire.h"
#include "fs/http/chart.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define API "/api/v1/"
#define TEXT_MAX 1024
#define LOG_LIMIT_DEFAULT 100
#define RUNS_LIMIT_DEFAULT 20

#define NS_A_SECOND INT64_C(1000000000)

enum kind { TEXT, NUMBER, SINCE, UNTIL, SECOND, PERIOD, PATH };

struct parameter {
	const char *name; /* NULL ends the list */
	const char *argument;
	enum kind kind;
	json_int_t most; /* of a number, from 1 */
	bool is_needed;
};

struct row {
	const char *path;
	const char *command;
	enum route_answer answer;
	const char *list;
	struct parameter parameters[8];
};

static const struct row rows[] = {
        {API "status", "status", ROUTE_ONE, NULL, {{0}}},
        {API "pulse", "pulse", ROUTE_ONE, NULL, {{0}}},
        {API "costs", "costs", ROUTE_ONE, NULL, {{"profile", "profile", TEXT, 0, false}, {0}}},
        {API "backup", "backup-status", ROUTE_ONE, NULL, {{0}}},
        {API "alarms", "alarm-list", ROUTE_LIST, "alarms", {{0}}},
        {API "runs", "runs", ROUTE_ONE, NULL,
                {{"workflow", "workflow", TEXT, 0, false}, {"limit", "limit", NUMBER, 1000, false}, {0}}},
        {API "refusals", "refusals", ROUTE_LIST, "refusals", {{0}}},
        {API "datasets", "datasets", ROUTE_LIST, "datasets", {{0}}},
        {API "quarantine", "quarantine-list", ROUTE_LIST, "quarantine", {{0}}},
        {API "lineage", "lineage", ROUTE_LINEAGE, NULL, {{"path", "path", PATH, 0, true}, {0}}},
        {API "samples", "samples", ROUTE_ONE, NULL,
                {{"series", "series", TEXT, 0, true}, {"labels", "labels", TEXT, 0, false},
                        {"from", "from_s", SECOND, 0, false}, {"to", "to_s", SECOND, 0, false},
                        {"period", "period_s", PERIOD, 31622400, false}, {0}}},
        {API "log", "log", ROUTE_RECORDS, NULL,
                {{"since", "since", SINCE, 0, false}, {"until", "until", UNTIL, 0, false},
                        {"event", "event", TEXT, 0, false}, {"outcome", "outcome", TEXT, 0, false},
                        {"path", "path", PATH, 0, false}, {"uid", "uid", NUMBER, UINT32_MAX - 1, false},
                        {"limit", "limit", NUMBER, 1000, false}, {0}}},
        {API "charts/storage", "storage", ROUTE_CHART, NULL,
                {{"hours", "hours", NUMBER, 8784, false}, {"width", "width", NUMBER, CHART_WIDTH_MAX, false}, {0}}},
        {API "charts/cost", "cost", ROUTE_CHART, NULL,
                {{"hours", "hours", NUMBER, 8784, false}, {"width", "width", NUMBER, CHART_WIDTH_MAX, false}, {0}}},
        {API "charts/quality", "quality", ROUTE_CHART, NULL,
                {{"dataset", "dataset", TEXT, 0, true}, {"hours", "hours", NUMBER, 8784, false},
                        {"width", "width", NUMBER, CHART_WIDTH_MAX, false}, {0}}},
        {"/metrics", "metrics", ROUTE_TEXT, NULL, {{"format", "format", TEXT, 0, false}, {0}}},
};

/* ---- parameters ---- */

static const struct parameter *find_parameter(const struct row *row, const char *name) {
	for (size_t i = 0; row->parameters[i].name; i++)
		if (strcmp(row->parameters[i].name, name) == 0)
			return &row->parameters[i];
	return NULL;
}

static json_t *read_number(const struct parameter *parameter, const char *text) {
	size_t length = strlen(text);
	bool is_number = length > 0 && length < 16 && strspn(text, "0123456789") == length;
	json_int_t value = is_number ? strtoll(text, NULL, 10) : -1;
	json_int_t least = strcmp(parameter->name, "uid") == 0 ? 0 : 1;
	if (value < least || value > parameter->most) {
		(void)fault(EINVAL, "%s is a number from %lld to %lld", parameter->name, (long long)least,
		        (long long)parameter->most);
		return NULL;
	}
	return json_integer(value);
}

static json_t *read_time(const struct parameter *parameter, const char *text, int64_t now_ns) {
	struct when when;
	if (when_parse(text, now_ns, &when) < 0)
		return NULL;
	return json_integer(parameter->kind == SINCE ? when.first : when.last);
}

/* Whole minutes: "60", "5m", "1 hour". */
static json_t *read_period(const struct parameter *parameter, const char *text) {
	int64_t ns = 0;
	if (strspn(text, "0123456789") == strlen(text))
		return read_number(parameter, text);
	if (when_duration(text, &ns) < 0)
		return NULL;
	return json_integer(ns / NS_A_SECOND);
}

static json_t *read_second(const char *text, int64_t now_ns) {
	struct when when;
	return when_parse(text, now_ns, &when) < 0 ? NULL : json_integer(when.first / NS_A_SECOND);
}

static json_t *read_value(const struct parameter *parameter, const char *text, int64_t now_ns) {
	char path[WIRE_PATH_MAX];
	if (strlen(text) > TEXT_MAX) {
		(void)fault(EINVAL, "%s is longer than %d bytes", parameter->name, TEXT_MAX);
		return NULL;
	}
	switch (parameter->kind) {
	case NUMBER:
		return read_number(parameter, text);
	case SINCE:
	case UNTIL:
		return read_time(parameter, text, now_ns);
	case SECOND:
		return read_second(text, now_ns);
	case PERIOD:
		return read_period(parameter, text);
	case PATH: {
		_cleanup_(json_decrefp) json_t *value = wire_path(text);
		return wire_vault_path_get(value, path) < 0 ? NULL : steal_pointer(&value);
	}
	case TEXT:
	default:
		return json_string(text);
	}
}

static int read_parameters(const struct row *row, const json_t *parameters, int64_t now_ns, json_t *arguments) {
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)parameters, name, value) {
		const struct parameter *parameter = find_parameter(row, name);
		const char *text = json_string_value(value);
		if (!parameter || !text)
			return fault(EINVAL, "%s has no parameter '%.40s'", row->path, name);
		if (!*text && !parameter->is_needed)
			continue; /* a field of a form that was left empty */
		json_t *read = read_value(parameter, text, now_ns);
		if (!read)
			return *fault_message() ? -EINVAL : fault(EINVAL, "%s has no value of its kind", name);
		json_object_set_new(arguments, parameter->argument, read);
	}
	for (size_t i = 0; row->parameters[i].name; i++)
		if (row->parameters[i].is_needed && !json_object_get(arguments, row->parameters[i].argument))
			return fault(EINVAL, "%s needs the parameter '%s'", row->path, row->parameters[i].name);
	return 0;
}

/* ---- what is not said ---- */

static void set_default(json_t *arguments, const char *name, json_int_t value) {
	if (!json_object_get(arguments, name))
		json_object_set_new(arguments, name, json_integer(value));
}

static void fill_defaults(const struct row *row, json_t *arguments) {
	if (row->answer == ROUTE_RECORDS)
		set_default(arguments, "limit", LOG_LIMIT_DEFAULT);
	if (strcmp(row->command, "runs") == 0)
		set_default(arguments, "limit", RUNS_LIMIT_DEFAULT);
}

/* ---- acts ---- */

/* A flat object of exactly these strings. */
static int read_body(const char *body, const char *name, json_t **ret_arguments) {
	_cleanup_(json_decrefp) json_t *object = NULL;
	if (!body || wire_parse(bytes_of(body, strlen(body)), &object) < 0)
		return fault(EINVAL, "the body is no JSON object");
	const char *text = json_string_value(json_object_get(object, name));
	if (!text || !*text || strlen(text) > TEXT_MAX || json_object_size(object) != 1)
		return fault(EINVAL, "the body is {\"%s\": \"…\"} and nothing else", name);
	*ret_arguments = steal_pointer(&object);
	return 0;
}

/* "/api/v1/quarantine/12/release" */
static bool is_release(const char *path, json_int_t *ret_id) {
	static const char before[] = API "quarantine/";
	if (strncmp(path, before, strlen(before)) != 0)
		return false;
	const char *digits = path + strlen(before);
	size_t length = strspn(digits, "0123456789");
	if (length == 0 || length > 15 || strcmp(digits + length, "/release") != 0)
		return false;
	*ret_id = strtoll(digits, NULL, 10);
	return true;
}

static int find_act(const char *path, const char *body, struct route *ret) {
	json_int_t id = 0;
	bool releases = is_release(path, &id);
	if (!releases && strcmp(path, API "run") != 0)
		return -ENOENT;
	json_t *arguments = NULL;
	int rc = read_body(body, releases ? "reason" : "workflow", &arguments);
	if (rc)
		return rc;
	if (releases)
		json_object_set_new(arguments, "id", json_integer(id));
	else
		json_object_set_new(arguments, "no_wait", json_true());
	*ret = (struct route){.command = releases ? "quarantine-release" : "run",
	        .answer = ROUTE_ONE,
	        .is_act = true,
	        .arguments = arguments};
	return 0;
}

/* ---- all ---- */

static const struct row *find_row(const char *path) {
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (strcmp(rows[i].path, path) == 0)
			return &rows[i];
	return NULL;
}

int route_find(const char *method, const char *path, const json_t *parameters, const char *body, int64_t now_ns,
        struct route *ret) {
	json_int_t id;
	const struct row *row = find_row(path);
	bool is_act_path = strcmp(path, API "run") == 0 || is_release(path, &id);
	fault_clear();
	if (!row && !is_act_path)
		return fault(ENOENT, "there is no such path");
	bool is_get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
	if (is_act_path ? strcmp(method, "POST") != 0 : !is_get)
		return fault(EOPNOTSUPP, "not with this method");
	if (is_act_path)
		return json_object_size(parameters) ? fault(EINVAL, "an act has no parameters but its body")
		                                    : find_act(path, body, ret);
	_cleanup_(json_decrefp) json_t *arguments = json_object();
	int rc = read_parameters(row, parameters, now_ns, arguments);
	if (rc)
		return rc;
	fill_defaults(row, arguments);
	*ret = (struct route){.command = row->command,
	        .list = row->list,
	        .answer = row->answer,
	        .arguments = steal_pointer(&arguments)};
	return 0;
}
