#include "backend/backup/origin.h"

#include "backend/objects/objects.h"
#include "crypto/base/fault.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static int refuse(const char *words) {
	return fault(EINVAL, ORIGIN_NAME ": %s; it says where the rest of a recovered vault is", words);
}

/* Printable, as it goes into the audit log and to terminals. */
static bool take_text(const json_t *object, const char *name, char *ret, size_t room) {
	const json_t *value = json_object_get(object, name);
	const char *text = json_string_value(value);
	if (!text || strlen(text) != json_string_length(value) || strlen(text) >= room)
		return false;
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return false;
	(void)snprintf(ret, room, "%s", text);
	return true;
}

static bool take_number(const json_t *object, const char *name, int64_t *ret) {
	const json_t *value = json_object_get(object, name);
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret = json_integer_value(value);
	return true;
}

/* Absent in a file that an earlier program wrote. */
static bool take_lacking(const json_t *object, struct vault_origin *ret) {
	const json_t *list = json_object_get(object, "lacking");
	if (list && (!json_is_array(list) || json_array_size(list) > ORIGIN_LACKING_MAX))
		return false;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *number = json_array_get(list, i);
		if (!json_is_integer(number) || json_integer_value(number) < 0 ||
		        json_integer_value(number) > UINT32_MAX)
			return false;
		ret->lacking[ret->lacking_count++] = (uint32_t)json_integer_value(number);
	}
	return true;
}

static int take_all(const json_t *object, struct vault_origin *ret) {
	struct vault_origin origin = {0};
	int64_t generation = 0, zones = 0, mark = 0;
	if (!take_text(object, "url", origin.url, sizeof origin.url) ||
	        !take_text(object, "endpoint", origin.endpoint, sizeof origin.endpoint) ||
	        !take_text(object, "region", origin.region, sizeof origin.region))
		return refuse("url, endpoint and region are texts");
	if (!take_number(object, "generation", &generation) || !take_number(object, "time_ns", &origin.time_ns) ||
	        !json_is_boolean(json_object_get(object, "is_recorded")))
		return refuse("generation and time_ns are numbers, is_recorded is true or false");
	if ((json_object_get(object, "zones") && !take_number(object, "zones", &zones)) || zones > UINT32_MAX ||
	        (json_object_get(object, "prefix_mark") && !take_number(object, "prefix_mark", &mark)) ||
	        mark > UINT32_MAX || !take_lacking(object, &origin))
		return refuse("zones and prefix_mark are numbers, lacking is a list of them");
	int rc = objects_check_url(origin.url);
	if (rc < 0)
		return fault_while(rc, ORIGIN_NAME);
	origin.zones = (uint32_t)zones;
	origin.prefix_mark = (uint32_t)mark;
	origin.generation = (uint64_t)generation;
	origin.is_recorded = json_is_true(json_object_get(object, "is_recorded"));
	*ret = origin;
	return 0;
}

int origin_parse(struct bytes json, struct vault_origin *ret) {
	json_error_t error;
	if (json.size > ORIGIN_BYTES_MAX)
		return refuse("it is too long");
	json_t *object = json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, &error);
	int rc = json_is_object(object) ? take_all(object, ret) : refuse("it is no JSON object");
	json_decref(object);
	return rc;
}

int origin_is_there(VaultIo *io) {
	uint64_t size;
	int rc = vault_io_stat_size(io, ORIGIN_NAME, &size);
	if (rc == -ENOENT)
		fault_clear();
	return rc == 0 ? 1 : 0;
}

int origin_read(VaultIo *io, struct vault_origin *ret) {
	_cleanup_(freep) uint8_t *json = NULL;
	size_t size = 0;
	int rc = vault_io_read_all(io, ORIGIN_NAME, ORIGIN_BYTES_MAX, &json, &size);
	return rc < 0 ? rc : origin_parse(bytes_of(json, size), ret);
}

int origin_write(VaultIo *io, const struct vault_origin *origin) {
	json_t *lacking = json_array();
	for (size_t i = 0; lacking && i < origin->lacking_count; i++)
		(void)json_array_append_new(lacking, json_integer(origin->lacking[i]));
	json_t *object = json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:I, s:I, s:o}", "url", origin->url, "endpoint",
	        origin->endpoint, "region", origin->region, "generation", (json_int_t)origin->generation, "time_ns",
	        (json_int_t)origin->time_ns, "is_recorded", (int)origin->is_recorded, "zones",
	        (json_int_t)origin->zones, "prefix_mark", (json_int_t)origin->prefix_mark, "lacking", lacking);
	char *json = object ? json_dumps(object, JSON_SORT_KEYS | JSON_INDENT(1)) : NULL;
	json_decref(object);
	if (!json)
		return fault(EINVAL, "%s is no text that can be written down", origin->url);
	int rc = vault_io_replace(io, ORIGIN_NAME, bytes_of_string(json));
	free(json);
	return rc;
}
