#include "policy/json_strict.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

/* ---- whole texts ---- */

static size_t count_elements(struct bytes text) {
	size_t count = 0;
	for (size_t i = 0; i < text.size; i++)
		count += text.data[i] == ',' || text.data[i] == '[' || text.data[i] == '{';
	return count;
}

int json_strict_parse(struct bytes text, const char *what, size_t most, size_t most_elements, json_t **ret_object) {
	if (text.size == 0 || text.size > most || count_elements(text) > most_elements)
		return fault(EBADMSG, "%s is %s", what, text.size == 0 ? "empty" : "too long");
	json_error_t error;
	json_t *value = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &error);
	if (!value)
		return fault(EBADMSG, "%s is not JSON (at byte %d)", what, error.position);
	if (!json_is_object(value)) {
		json_decref(value);
		return fault(EBADMSG, "%s is no JSON object", what);
	}
	*ret_object = value;
	return 0;
}

int json_strict_write(const json_t *value, char **ret_text, size_t *ret_size) {
	char *text = json_dumps(value, JSON_SORT_KEYS | JSON_COMPACT);
	if (!text)
		return fault(ENOMEM, "no memory to write JSON");
	*ret_size = strlen(text);
	*ret_text = text;
	return 0;
}

int json_strict_same(struct bytes text, const char *again, size_t size, const char *what) {
	if (text.size == size && memcmp(text.data, again, size) == 0)
		return 0;
	return fault(EBADMSG, "%s is not in canonical form, or has fields that do not belong there", what);
}

/* ---- reading fields ---- */

static int wrong(const char *key) {
	return fault(EBADMSG, "the field '%s' is missing or of the wrong type", key);
}

int json_strict_text(const json_t *object, const char *key, char **ret_copy) {
	const json_t *value = json_object_get(object, key);
	if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
		return wrong(key);
	char *copy = strdup(json_string_value(value));
	if (!copy)
		return fault(ENOMEM, "no memory for '%s'", key);
	*ret_copy = copy;
	return 0;
}

bool json_strict_is_null(const json_t *object, const char *key) {
	return json_is_null(json_object_get(object, key));
}

int json_strict_text_or_null(const json_t *object, const char *key, char **ret_copy) {
	if (!json_strict_is_null(object, key))
		return json_strict_text(object, key, ret_copy);
	*ret_copy = NULL;
	return 0;
}

int json_strict_int(const json_t *object, const char *key, int64_t *ret_number) {
	const json_t *value = json_object_get(object, key);
	if (!json_is_integer(value))
		return wrong(key);
	*ret_number = json_integer_value(value);
	return 0;
}

int json_strict_count(const json_t *object, const char *key, uint64_t *ret_count) {
	int64_t number;
	int rc = json_strict_int(object, key, &number);
	if (rc < 0)
		return rc;
	if (number < 0)
		return fault(EBADMSG, "the field '%s' is negative", key);
	*ret_count = (uint64_t)number;
	return 0;
}

int json_strict_hex(const json_t *object, const char *key, uint8_t *ret_bytes, size_t size) {
	const json_t *value = json_object_get(object, key);
	size_t length = json_string_length(value);
	size_t got = 0;
	const char *end = NULL;
	uint8_t bytes[64];
	if (!json_is_string(value) || length != size * 2 || size > sizeof bytes)
		return wrong(key);
	if (sodium_hex2bin(bytes, sizeof bytes, json_string_value(value), length, NULL, &got, &end) != 0 || got != size)
		return wrong(key);
	memcpy(ret_bytes, bytes, size);
	return 0;
}

int json_strict_array(const json_t *object, const char *key, size_t most, const json_t **ret_array) {
	const json_t *value = json_object_get(object, key);
	if (!json_is_array(value))
		return wrong(key);
	if (json_array_size(value) > most)
		return fault(EBADMSG, "the field '%s' has more than %zu entries", key, most);
	*ret_array = value;
	return 0;
}

int json_strict_object(const json_t *object, const char *key, const json_t **ret_object) {
	const json_t *value = json_object_get(object, key);
	if (!json_is_object(value))
		return wrong(key);
	*ret_object = value;
	return 0;
}

/* ---- writing fields ---- */

bool json_put_text(json_t *object, const char *key, const char *text) {
	return json_object_set_new(object, key, text ? json_string(text) : json_null()) == 0;
}

bool json_put_int(json_t *object, const char *key, int64_t number) {
	return json_object_set_new(object, key, json_integer(number)) == 0;
}

bool json_put_count(json_t *object, const char *key, uint64_t count) {
	return count <= INT64_MAX && json_put_int(object, key, (int64_t)count);
}

bool json_put_hex(json_t *object, const char *key, const uint8_t *bytes, size_t size) {
	char text[129];
	if (size * 2 + 1 > sizeof text)
		return false;
	sodium_bin2hex(text, sizeof text, bytes, size);
	return json_put_text(object, key, text);
}
