/*
 * A record as its leaf: one line of JSON, the same bytes for ever. docs/audit-log.md is the specification; a test pins
 * the bytes. Nothing here may depend on locale, time zone or library version.
 */
#include "backend/audit_private.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const char *const audit_outcome_names[3] = {"ok", "denied", "error"};

/* Room is settled once, below: no row can need more than AUDIT_LINE_MAX. */
struct writer {
	char *at;
};

/* A byte of text is six characters at worst ("\u001f"); the rest of a line is below 1,200. */
static_assert(6 * (2 * AUDIT_PATH_MAX + AUDIT_DETAIL_MAX + sizeof(((struct actor *)0)->exe)) + 1200 <= AUDIT_LINE_MAX,
        "the longest record fits a line");

static void put_bytes(struct writer *w, const void *data, size_t size) {
	memcpy(w->at, data, size);
	w->at += size;
}

static void put(struct writer *w, const char *text) {
	put_bytes(w, text, strlen(text));
}

static void put_u64(struct writer *w, uint64_t value) {
	char digits[20];
	size_t at = sizeof digits;
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	put_bytes(w, digits + at, sizeof digits - at);
}

static void put_padded(struct writer *w, uint64_t value, size_t width) {
	for (size_t i = width; i-- > 0; value /= 10)
		w->at[i] = (char)('0' + value % 10);
	w->at += width;
}

/* Days since 1970 to year, month, day in the proleptic Gregorian calendar: eras of 400 years, years beginning in March.
 * gmtime_r would do the same with the time zone's lock. */
static void civil(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day) {
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	unsigned of_era = (unsigned)(days - era * 146097);
	unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * of_year + 2) / 153;
	*ret_day = of_year - (153 * month + 2) / 5 + 1;
	*ret_month = month < 10 ? month + 3 : month - 9;
	*ret_year = (int64_t)year + era * 400 + (*ret_month <= 2 ? 1 : 0);
}

/* RFC 3339, always with nine digits of the second. int64_t nanoseconds are years 1677 to 2262. */
static void put_time(struct writer *w, int64_t time_ns) {
	int64_t seconds = time_ns / 1000000000, nanos = time_ns % 1000000000;
	if (nanos < 0) {
		nanos += 1000000000;
		seconds--;
	}
	int64_t days = seconds / 86400, of_day = seconds % 86400;
	if (of_day < 0) {
		of_day += 86400;
		days--;
	}
	int64_t year;
	unsigned month, day;
	civil(days, &year, &month, &day);
	put_padded(w, (uint64_t)year, 4);
	put(w, "-");
	put_padded(w, month, 2);
	put(w, "-");
	put_padded(w, day, 2);
	put(w, "T");
	put_padded(w, (uint64_t)of_day / 3600, 2);
	put(w, ":");
	put_padded(w, (uint64_t)of_day / 60 % 60, 2);
	put(w, ":");
	put_padded(w, (uint64_t)of_day % 60, 2);
	put(w, ".");
	put_padded(w, (uint64_t)nanos, 9);
	put(w, "Z");
}

/* Length of the UTF-8 character at `data` (RFC 3629: no surrogates, no overlong forms, up to U+10FFFF); 0: none. */
static size_t utf8_character(const uint8_t *data, size_t size) {
	uint8_t first = data[0];
	if (first < 0x80)
		return 1;
	size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	if (first < 0xc2 || first > 0xf4 || size < length)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((data[i] & 0xc0) != 0x80)
			return 0;
	bool overlong = (first == 0xe0 && data[1] < 0xa0) || (first == 0xf0 && data[1] < 0x90);
	bool beyond = (first == 0xed && data[1] > 0x9f) || (first == 0xf4 && data[1] > 0x8f);
	return overlong || beyond ? 0 : length;
}

static bool is_utf8(struct bytes text) {
	for (size_t i = 0; i < text.size;) {
		size_t length = utf8_character(text.data + i, text.size - i);
		if (length == 0)
			return false;
		i += length;
	}
	return true;
}

static const char hex[] = "0123456789abcdef";

/* A character of a JSON string. */
static void put_json_byte(struct writer *w, uint8_t byte) {
	if (byte == '"' || byte == '\\') {
		*w->at++ = '\\';
		*w->at++ = (char)byte;
	} else if (byte < 0x20 || byte == 0x7f) {
		put(w, "\\u00");
		*w->at++ = hex[byte >> 4];
		*w->at++ = hex[byte & 15];
	} else {
		*w->at++ = (char)byte;
	}
}

/* Bytes that are not UTF-8: in their text each byte outside of printable ASCII is \xHH and a backslash is doubled,
 * which JSON then escapes once more. */
static void put_escaped_byte(struct writer *w, uint8_t byte) {
	if (byte == '\\') {
		put(w, "\\\\\\\\");
	} else if (byte < 0x20 || byte >= 0x7f) {
		put(w, "\\\\x");
		*w->at++ = hex[byte >> 4];
		*w->at++ = hex[byte & 15];
	} else {
		put_json_byte(w, byte);
	}
}

static void put_text(struct writer *w, struct bytes text, bool utf8) {
	for (size_t i = 0; i < text.size; i++) {
		if (utf8)
			put_json_byte(w, text.data[i]);
		else
			put_escaped_byte(w, text.data[i]);
	}
}

/* ,"name":  or  ,"name_escaped": */
static void put_key(struct writer *w, const char *name, bool utf8) {
	put(w, ",\"");
	put(w, name);
	put(w, utf8 ? "\":" : "_escaped\":");
}

static void put_string(struct writer *w, const char *name, struct bytes text) {
	bool utf8 = is_utf8(text);
	put_key(w, name, utf8);
	put(w, "\"");
	put_text(w, text, utf8);
	put(w, "\"");
}

static void put_number(struct writer *w, const char *name, uint64_t value) {
	put_key(w, name, true);
	put_u64(w, value);
}

static void put_number_if(struct writer *w, const char *name, uint64_t value) {
	if (value)
		put_number(w, name, value);
}

static void put_path(struct writer *w, const char *name, const char *cut_name, const struct audit_path *path) {
	if (!path->set)
		return;
	/* A '/' is ASCII, so the whole is UTF-8 exactly when both parts are. */
	bool utf8 = is_utf8(path->dir) && is_utf8(path->name);
	put_key(w, name, utf8);
	put(w, "\"");
	if (path->has_dir) {
		put_text(w, path->dir, utf8);
		put(w, "/");
	}
	put_text(w, path->name, utf8);
	put(w, "\"");
	put_number_if(w, cut_name, path->cut);
}

size_t audit_line(const struct audit_row *row, char line[static AUDIT_LINE_MAX + 1]) {
	struct writer w = {line};
	put(&w, "{\"seq\":");
	put_u64(&w, row->seq);
	put(&w, ",\"time\":\"");
	put_time(&w, row->time_ns);
	put(&w, "\"");
	put_string(&w, "event", row->event);
	put_string(&w, "outcome", bytes_of_string(audit_outcome_names[row->outcome % 3]));
	put_number_if(&w, "errno", (uint32_t)row->err);
	put_number(&w, "uid", row->uid);
	put_number(&w, "gid", row->gid);
	put_number_if(&w, "pid", (uint32_t)row->pid);
	if (row->exe.size)
		put_string(&w, "exe", row->exe);
	put_path(&w, "path", "path_bytes", &row->path);
	put_path(&w, "path2", "path2_bytes", &row->path2);
	put_number_if(&w, "node", row->node);
	put_number_if(&w, "version", row->version);
	put_number_if(&w, "bytes", row->bytes);
	if (row->has_detail)
		put_string(&w, "detail", row->detail);
	put_number_if(&w, "detail_bytes", row->detail_cut);
	put(&w, "}");
	*w.at = '\0';
	assert((size_t)(w.at - line) <= AUDIT_LINE_MAX);
	return (size_t)(w.at - line);
}
