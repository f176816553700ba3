#include "backend/objects/s3_profile.h"

#include <strings.h>

/* A part of the file. */
struct span {
	const char *at;
	size_t length;
};

static bool is_space(char c) {
	return c == ' ' || c == '\t' || c == '\r';
}

static struct span trimmed(struct span span) {
	while (span.length && is_space(span.at[0])) {
		span.at++;
		span.length--;
	}
	while (span.length && is_space(span.at[span.length - 1]))
		span.length--;
	return span;
}

static struct span unquoted(struct span span) {
	if (span.length >= 2 && (span.at[0] == '"' || span.at[0] == '\'') && span.at[span.length - 1] == span.at[0])
		return (struct span){span.at + 1, span.length - 2};
	return span;
}

static bool span_is(struct span span, const char *text) {
	return span.length == strlen(text) && memcmp(span.at, text, span.length) == 0;
}

static bool is_key(struct span span, const char *key) {
	return span.length == strlen(key) && strncasecmp(span.at, key, span.length) == 0;
}

/* Whether "[…]" opens the profile's section. */
static bool opens(struct span line, const char *profile, bool is_config) {
	const char *end = memchr(line.at, ']', line.length);
	if (!end)
		return false;
	struct span name = trimmed((struct span){line.at + 1, (size_t)(end - line.at) - 1});
	static const char word[] = "profile";
	size_t length = sizeof word - 1;
	bool is_named =
	        is_config && name.length > length && memcmp(name.at, word, length) == 0 && is_space(name.at[length]);
	if (is_named)
		name = trimmed((struct span){name.at + length, name.length - length});
	else if (is_config && !span_is(name, "default"))
		return false;
	return span_is(unquoted(name), profile);
}

/* Takes the next line off the file, without its newline. */
static bool take_line(struct bytes *rest, struct span *ret_line) {
	if (rest->size == 0)
		return false;
	const uint8_t *end = memchr(rest->data, '\n', rest->size);
	size_t length = end ? (size_t)(end - rest->data) : rest->size;
	*ret_line =
	        (struct span){(const char *)rest->data, length < S3_PROFILE_LINE_MAX ? length : S3_PROFILE_LINE_MAX};
	length += end != NULL;
	*rest = bytes_of(rest->data + length, rest->size - length);
	return true;
}

bool s3_profile_value(
        struct bytes file, const char *profile, bool is_config, const char *key, char *ret_value, size_t room) {
	struct span line;
	bool is_ours = false;
	struct span value = {0};
	while (take_line(&file, &line)) {
		if (line.length == 0 || line.at[0] == '#' || line.at[0] == ';' || is_space(line.at[0]))
			continue;
		if (line.at[0] == '[') {
			is_ours = opens(line, profile, is_config);
			continue;
		}
		const char *equals = memchr(line.at, '=', line.length);
		if (!is_ours || !equals || !is_key(trimmed((struct span){line.at, (size_t)(equals - line.at)}), key))
			continue;
		value = trimmed((struct span){equals + 1, line.length - (size_t)(equals - line.at) - 1});
	}
	if (value.length == 0 || value.length >= room || memchr(value.at, '\0', value.length))
		return false;
	memcpy(ret_value, value.at, value.length);
	ret_value[value.length] = '\0';
	return true;
}

bool s3_profile_is_there(struct bytes file, const char *profile, bool is_config) {
	struct span line;
	while (take_line(&file, &line))
		if (line.length && line.at[0] == '[' && opens(line, profile, is_config))
			return true;
	return false;
}
