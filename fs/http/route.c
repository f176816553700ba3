#include "fs/http/route.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"
#include "fs/command/when.h"
#include "fs/control_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define API "/api/v1/"
#define TEXT_MAX 1024
#define LOG_LIMIT_DEFAULT 100

enum kind { TEXT, NUMBER, SINCE, UNTIL, PATH };

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
	struct parameter parameters[8];
};

static const struct row rows[] = {
        {API "status", "status", ROUTE_ONE, {{0}}},
        {API "pulse", "pulse", ROUTE_ONE, {{0}}},
        {API "costs", "costs", ROUTE_ONE, {{0}}},
        {API "alarms", "alarm-list", ROUTE_LIST, {{0}}},
        {API "runs", "runs", ROUTE_ONE, {{"workflow", "workflow", TEXT, 0, false}, {0}}},
        {API "refusals", "refusals", ROUTE_LIST, {{0}}},
        {API "datasets", "datasets", ROUTE_LIST, {{0}}},
        {API "quarantine", "quarantine-list", ROUTE_LIST, {{0}}},
        {API "lineage", "lineage", ROUTE_ONE, {{"path", "path", PATH, 0, true}, {0}}},
        {API "samples", "samples", ROUTE_ONE,
                {{"series", "series", TEXT, 0, true}, {"labels", "labels", TEXT, 0, false},
                        {"from_s", "from_s", NUMBER, INT32_MAX *(json_int_t)64, false},
                        {"to_s", "to_s", NUMBER, INT32_MAX *(json_int_t)64, false},
                        {"period_s", "period_s", NUMBER, 31622400, false}, {0}}},
        {API "log", "log", ROUTE_RECORDS,
                {{"since", "since", SINCE, 0, false}, {"until", "until", UNTIL, 0, false},
                        {"event", "event", TEXT, 0, false}, {"outcome", "outcome", TEXT, 0, false},
                        {"path", "path", PATH, 0, false}, {"uid", "uid", NUMBER, UINT32_MAX - 1, false},
                        {"limit", "limit", NUMBER, 1000, false}, {0}}},
        {API "charts/storage", "storage", ROUTE_CHART, {{"hours", "hours", NUMBER, 8784, false}, {0}}},
        {API "charts/cost", "cost", ROUTE_CHART, {{"hours", "hours", NUMBER, 8784, false}, {0}}},
        {API "charts/quality", "quality", ROUTE_CHART, {{"dataset", "dataset", TEXT, 0, true}, {0}}},
        {"/metrics", "metrics", ROUTE_TEXT, {{"format", "format", TEXT, 0, false}, {0}}},
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
	if (row->answer == ROUTE_RECORDS && !json_object_get(arguments, "limit"))
		json_object_set_new(arguments, "limit", json_integer(LOG_LIMIT_DEFAULT));
	return 0;
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
	*ret = (struct route){.command = row->command, .answer = row->answer, .arguments = steal_pointer(&arguments)};
	return 0;
}
