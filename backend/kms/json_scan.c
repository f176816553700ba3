#include "backend/kms/json_scan.h"

#include "crypto/base/fault.h"

#include <string.h>

struct cursor {
	const uint8_t *at, *end;
};

static bool is_at(const struct cursor *cursor, char c) {
	return cursor->at < cursor->end && *cursor->at == (uint8_t)c;
}

static bool take(struct cursor *cursor, char c) {
	bool is_there = is_at(cursor, c);
	cursor->at += is_there;
	return is_there;
}

static void skip_space(struct cursor *cursor) {
	while (is_at(cursor, ' ') || is_at(cursor, '\t') || is_at(cursor, '\n') || is_at(cursor, '\r'))
		cursor->at++;
}

static bool is_digit(const struct cursor *cursor) {
	return cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9';
}

/* ---- strings ---- */

/* Bytes of the character of UTF-8 that begins here (RFC 3629: no overlong forms, no surrogates); 0: none does. */
static size_t utf8_length(const struct cursor *cursor) {
	const uint8_t *at = cursor->at;
	size_t left = (size_t)(cursor->end - at);
	size_t length = at[0] < 0x80   ? 1
	                : at[0] < 0xc2 ? 0
	                : at[0] < 0xe0 ? 2
	                : at[0] < 0xf0 ? 3
	                : at[0] < 0xf5 ? 4
	                               : 0;
	if (length > left)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	bool is_wrong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
	                (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f);
	return is_wrong ? 0 : length;
}

/* Four hexadecimal digits; -1: they are none. */
static int32_t take_hex4(struct cursor *cursor) {
	int32_t value = 0;
	for (int i = 0; i < 4; i++) {
		uint8_t c = cursor->at < cursor->end ? *cursor->at++ : 0;
		int32_t digit = c >= '0' && c <= '9'   ? c - '0'
		                : c >= 'a' && c <= 'f' ? c - 'a' + 10
		                : c >= 'A' && c <= 'F' ? c - 'A' + 10
		                                       : -1;
		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

/* Behind "\u". -1: it is no character, or half of one. */
static int32_t take_code_point(struct cursor *cursor) {
	int32_t high = take_hex4(cursor);
	if (high < 0xd800 || high > 0xdfff)
		return high == 0 ? -1 : high;
	if (high > 0xdbff || !take(cursor, '\\') || !take(cursor, 'u'))
		return -1;
	int32_t low = take_hex4(cursor);
	if (low < 0xdc00 || low > 0xdfff)
		return -1;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/* Behind the backslash. -1: no escape. */
static int32_t take_escape(struct cursor *cursor) {
	static const char letters[] = "\"\\/bfnrt";
	static const char meant[] = "\"\\/\b\f\n\r\t";
	uint8_t c = cursor->at < cursor->end ? *cursor->at++ : 0;
	if (c == 'u')
		return take_code_point(cursor);
	const char *found = c ? strchr(letters, c) : NULL;
	return found ? meant[found - letters] : -1;
}

static size_t utf8_put(int32_t point, uint8_t ret[static 4]) {
	static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t length = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	for (size_t i = length; i-- > 1; point >>= 6)
		ret[i] = (uint8_t)(0x80 | (point & 0x3f));
	ret[0] = (uint8_t)(first[length] | point);
	return length;
}

/* One character of a string, resolved; 0: it is none that may stand there. The closing quote is not its own. */
static size_t take_character(struct cursor *cursor, uint8_t ret[static 4]) {
	if (cursor->at >= cursor->end || *cursor->at < ' ')
		return 0;
	if (take(cursor, '\\')) {
		int32_t point = take_escape(cursor);
		return point < 0 ? 0 : utf8_put(point, ret);
	}
	size_t length = utf8_length(cursor);
	memcpy(ret, cursor->at, length);
	cursor->at += length;
	return length;
}

static bool take_string(struct cursor *cursor, struct bytes *ret_text) {
	uint8_t character[4];
	if (!take(cursor, '"'))
		return false;
	const uint8_t *begin = cursor->at;
	while (!is_at(cursor, '"'))
		if (take_character(cursor, character) == 0)
			return false;
	*ret_text = bytes_of(begin, (size_t)(cursor->at - begin));
	return take(cursor, '"');
}

bool json_scan_text(const struct json_value *value, char *ret, size_t room) {
	struct cursor cursor = {value->text.data, value->text.data + value->text.size};
	uint8_t character[4];
	size_t used = 0;
	ret[0] = '\0';
	if (value->kind != JSON_SCAN_STRING)
		return false;
	while (cursor.at < cursor.end) {
		size_t length = take_character(&cursor, character);
		if (length == 0 || length >= room - used)
			return false;
		if (length == 1 && (character[0] < ' ' || character[0] == 0x7f))
			character[0] = '?';
		memcpy(ret + used, character, length);
		used += length;
		ret[used] = '\0';
	}
	return true;
}

/* ---- numbers and words ---- */

static bool take_digits(struct cursor *cursor) {
	if (!is_digit(cursor))
		return false;
	while (is_digit(cursor))
		cursor->at++;
	return true;
}

static bool take_number(struct cursor *cursor) {
	const uint8_t *begin = cursor->at;
	(void)take(cursor, '-');
	if (!take(cursor, '0') && !take_digits(cursor))
		return false;
	if (take(cursor, '.') && !take_digits(cursor))
		return false;
	if (take(cursor, 'e') || take(cursor, 'E')) {
		if (!take(cursor, '+'))
			(void)take(cursor, '-');
		const uint8_t *digits = cursor->at;
		if (!take_digits(cursor) || cursor->at - digits > 2)
			return false;
	}
	return cursor->at - begin <= JSON_SCAN_NUMBER_MAX;
}

bool json_scan_number(const struct json_value *value, int64_t *ret_number) {
	struct cursor cursor = {value->text.data, value->text.data + value->text.size};
	int64_t digits = 0;
	int shift = 0;
	int exponent = 0;
	bool is_fraction = false;
	if (value->kind != JSON_SCAN_NUMBER)
		return false;
	bool is_negative = take(&cursor, '-');
	for (; is_digit(&cursor) || is_at(&cursor, '.'); cursor.at++) {
		bool is_full = digits > INT64_MAX / 10 - 1;
		if (*cursor.at == '.')
			is_fraction = true;
		else if (!is_full)
			digits = digits * 10 + (*cursor.at - '0');
		/* A digit that has no room, and one of the fraction, move the point. */
		if (*cursor.at != '.')
			shift += is_full - is_fraction;
	}
	if (take(&cursor, 'e') || take(&cursor, 'E')) {
		bool is_down = take(&cursor, '-');
		(void)take(&cursor, '+');
		for (; is_digit(&cursor); cursor.at++)
			exponent = exponent * 10 + (*cursor.at - '0');
		shift += is_down ? -exponent : exponent;
	}
	for (; shift < 0; shift++)
		digits /= 10;
	for (; shift > 0 && digits; shift--) {
		if (digits > INT64_MAX / 10)
			return false;
		digits *= 10;
	}
	*ret_number = is_negative ? -digits : digits;
	return true;
}

static bool take_word(struct cursor *cursor) {
	static const char *const words[] = {"true", "false", "null"};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (bytes_begin_with(bytes_of(cursor->at, (size_t)(cursor->end - cursor->at)), words[i])) {
			cursor->at += strlen(words[i]);
			return true;
		}
	return false;
}

bool json_scan_is_true(const struct json_value *value) {
	return value->kind == JSON_SCAN_WORD && value->text.size == strlen("true");
}

/* ---- values ---- */

static bool take_value(struct cursor *cursor, unsigned depth, struct json_value *ret_value);

static bool take_name(struct cursor *cursor, struct bytes *ret_name) {
	skip_space(cursor);
	bool is_good = take_string(cursor, ret_name) && !memchr(ret_name->data, '\\', ret_name->size);
	skip_space(cursor);
	return is_good && take(cursor, ':');
}

/* The members of an object or elements of an array. */
static bool take_parts(struct cursor *cursor, char open, char close, unsigned depth) {
	struct json_value value;
	struct bytes name;
	if (!take(cursor, open) || depth == 0)
		return false;
	skip_space(cursor);
	if (take(cursor, close))
		return true;
	do {
		if ((open == '{' && !take_name(cursor, &name)) || !take_value(cursor, depth - 1, &value))
			return false;
	} while (take(cursor, ','));
	return take(cursor, close);
}

/* With the space around it. */
static bool take_value(struct cursor *cursor, unsigned depth, struct json_value *ret_value) {
	bool is_good = false;
	struct json_value value = {.kind = JSON_SCAN_STRING};
	skip_space(cursor);
	const uint8_t *begin = cursor->at;
	if (is_at(cursor, '{')) {
		value.kind = JSON_SCAN_OBJECT;
		is_good = take_parts(cursor, '{', '}', depth);
	} else if (is_at(cursor, '[')) {
		value.kind = JSON_SCAN_ARRAY;
		is_good = take_parts(cursor, '[', ']', depth);
	} else if (is_at(cursor, '"')) {
		is_good = take_string(cursor, &value.text);
	} else if (is_at(cursor, '-') || is_digit(cursor)) {
		value.kind = JSON_SCAN_NUMBER;
		is_good = take_number(cursor);
	} else {
		value.kind = JSON_SCAN_WORD;
		is_good = take_word(cursor);
	}
	if (value.kind != JSON_SCAN_STRING)
		value.text = bytes_of(begin, (size_t)(cursor->at - begin));
	skip_space(cursor);
	*ret_value = value;
	return is_good;
}

int json_scan(struct bytes text, struct json_value *ret_object) {
	struct cursor cursor = {text.data, text.data + text.size};
	struct json_value value = {0};
	bool is_good = text.size > 0 && take_value(&cursor, JSON_SCAN_DEPTH, &value) && cursor.at == cursor.end &&
	               value.kind == JSON_SCAN_OBJECT;
	if (!is_good)
		return fault(EBADMSG, "no JSON object");
	*ret_object = value;
	return 0;
}

int json_scan_member(const struct json_value *object, const char *name, struct json_value *ret_value) {
	struct cursor cursor = {object->text.data, object->text.data + object->text.size};
	struct json_value value;
	struct json_value found = {.kind = JSON_SCAN_WORD};
	struct bytes at;
	unsigned times = 0;
	if (object->kind != JSON_SCAN_OBJECT)
		return -EBADMSG;
	(void)take(&cursor, '{');
	do {
		if (!take_name(&cursor, &at) || !take_value(&cursor, JSON_SCAN_DEPTH, &value))
			break;
		if (at.size == strlen(name) && memcmp(at.data, name, at.size) == 0) {
			found = value;
			times++;
		}
	} while (take(&cursor, ','));
	if (times > 1)
		return -EBADMSG;
	if (times == 0 || (found.kind == JSON_SCAN_WORD && found.text.size && found.text.data[0] == 'n'))
		return -ENOENT;
	*ret_value = found;
	return 0;
}
