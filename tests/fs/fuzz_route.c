/* What a client of HTTP asks: method, path, parameters and body, each ended by a newline. */
#include "fs/http/route.h"

#include "crypto/base/cleanup.h"
#include "fs/http/address.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *read_parameters(char *text) {
	json_t *parameters = json_object();
	char *rest = NULL;
	for (char *pair = strtok_r(text, "&", &rest); pair; pair = strtok_r(NULL, "&", &rest)) {
		char *value = strchr(pair, '=');
		if (value)
			*value++ = '\0';
		json_t *item = value ? json_string(value) : NULL;
		(void)json_object_set_new(parameters, pair, item ? item : json_null());
	}
	return parameters;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	_cleanup_(freep) char *text = malloc(size + 1);
	struct address bound, other;
	struct route route;
	char *rest = NULL;
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	const char *method = strtok_r(text, "\n", &rest), *path = strtok_r(NULL, "\n", &rest);
	char *query = strtok_r(NULL, "\n", &rest);
	const char *body = strtok_r(NULL, "\n", &rest);
	if (!method || !path)
		return 0;
	char none[] = "";
	_cleanup_(json_decrefp) json_t *parameters = read_parameters(query ? query : none);
	if (route_find(method, path, parameters, body, INT64_C(1800000000000000000), &route) == 0) {
		if (!json_is_object(route.arguments) || (route.is_act && !body))
			abort();
		json_decref(route.arguments);
	}
	if (address_parse("127.0.0.1:80", &bound) < 0)
		abort();
	(void)address_allows_host(&bound, path);
	if (address_parse(path, &other) == 0) {
		char again[ADDRESS_TEXT_BYTES];
		address_text(&other, again);
		if (address_parse(again, &bound) < 0 || address_port(&bound) != address_port(&other))
			abort();
	}
	return 0;
}
