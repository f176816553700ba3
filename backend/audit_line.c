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

static inline void put_bytes(struct writer *w, const void *data, size_t size) {
	memcpy(w->at, data, size);
	w->at += size;
}

/* Words of ours, whose length the compiler knows. */
#define PUT(w, words) put_bytes(w, words, sizeof words - 1)

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
	PUT(w, "-");
	put_padded(w, month, 2);
	PUT(w, "-");
	put_padded(w, day, 2);
	PUT(w, "T");
	put_padded(w, (uint64_t)of_day / 3600, 2);
	PUT(w, ":");
	put_padded(w, (uint64_t)of_day / 60 % 60, 2);
	PUT(w, ":");
	put_padded(w, (uint64_t)of_day % 60, 2);
	PUT(w, ".");
	put_padded(w, (uint64_t)nanos, 9);
	PUT(w, "Z");
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

enum form { PLAIN, UTF8, BYTES };

/* Most texts are printable ASCII without anything to escape, so that is found out first: a line of such takes 1,800
 * instructions, 2,800 when each byte is asked what it is. */
static enum form form_of(struct bytes text) {
	size_t i = 0;
	while (i < text.size && text.data[i] >= 0x20 && text.data[i] < 0x7f && text.data[i] != '"' &&
	        text.data[i] != '\\')
		i++;
	if (i == text.size)
		return PLAIN;
	while (i < text.size) {
		size_t length = utf8_character(text.data + i, text.size - i);
		if (length == 0)
			return BYTES;
		i += length;
	}
	return UTF8;
}

static const char hex[] = "0123456789abcdef";

/* A character of a JSON string. */
static void put_json_byte(struct writer *w, uint8_t byte) {
	if (byte == '"' || byte == '\\') {
		*w->at++ = '\\';
		*w->at++ = (char)byte;
	} else if (byte < 0x20 || byte == 0x7f) {
		PUT(w, "\\u00");
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
		PUT(w, "\\\\\\\\");
	} else if (byte < 0x20 || byte >= 0x7f) {
		PUT(w, "\\\\x");
		*w->at++ = hex[byte >> 4];
		*w->at++ = hex[byte & 15];
	} else {
		put_json_byte(w, byte);
	}
}

static void put_text(struct writer *w, struct bytes text, enum form form) {
	if (form == PLAIN && text.size)
		put_bytes(w, text.data, text.size);
	for (size_t i = 0; form == UTF8 && i < text.size; i++)
		put_json_byte(w, text.data[i]);
	for (size_t i = 0; form == BYTES && i < text.size; i++)
		put_escaped_byte(w, text.data[i]);
}

/* Of a text that may be escaped:  "name":"  or  "name_escaped":"  with a comma before it. */
#define PUT_KEY(w, name, form)                              \
	do {                                                \
		if ((form) == BYTES)                        \
			PUT(w, ",\"" name "_escaped\":\""); \
		else                                        \
			PUT(w, ",\"" name "\":\"");         \
	} while (0)

#define PUT_STRING(w, name, text)                       \
	do {                                            \
		const struct bytes text_ = (text);      \
		const enum form form_ = form_of(text_); \
		PUT_KEY(w, name, form_);                \
		put_text(w, text_, form_);              \
		PUT(w, "\"");                           \
	} while (0)

#define PUT_NUMBER(w, name, value)        \
	do {                              \
		PUT(w, ",\"" name "\":"); \
		put_u64(w, value);        \
	} while (0)

#define PUT_NUMBER_IF(w, name, value)               \
	do {                                        \
		if (value)                          \
			PUT_NUMBER(w, name, value); \
	} while (0)

/* A '/' is ASCII, so the whole is UTF-8 exactly when both parts are. */
static enum form form_of_path(const struct audit_path *path) {
	enum form dir = form_of(path->dir), name = form_of(path->name);
	return dir > name ? dir : name;
}

static void put_path(struct writer *w, const struct audit_path *path, enum form form) {
	if (path->has_dir) {
		put_text(w, path->dir, form);
		PUT(w, "/");
	}
	put_text(w, path->name, form);
	PUT(w, "\"");
}

static void put_paths(struct writer *w, const struct audit_row *row) {
	if (row->path.set) {
		enum form form = form_of_path(&row->path);
		PUT_KEY(w, "path", form);
		put_path(w, &row->path, form);
		PUT_NUMBER_IF(w, "path_bytes", row->path.cut);
	}
	if (row->path2.set) {
		enum form form = form_of_path(&row->path2);
		PUT_KEY(w, "path2", form);
		put_path(w, &row->path2, form);
		PUT_NUMBER_IF(w, "path2_bytes", row->path2.cut);
	}
}

static void put_what(struct writer *w, const struct audit_row *row) {
	PUT(w, "{\"seq\":");
	put_u64(w, row->stored.seq);
	PUT(w, ",\"time\":\"");
	put_time(w, row->stored.time_ns);
	PUT(w, "\"");
	PUT_STRING(w, "event", row->event);
	PUT_STRING(w, "outcome", bytes_of_string(audit_outcome_names[row->stored.outcome % 3]));
	PUT_NUMBER_IF(w, "errno", (uint32_t)row->stored.err);
}

size_t audit_line(const struct audit_row *row, char line[static AUDIT_LINE_MAX + 1]) {
	struct writer w = {line};
	put_what(&w, row);
	PUT_NUMBER(&w, "uid", row->stored.uid);
	PUT_NUMBER(&w, "gid", row->stored.gid);
	PUT_NUMBER_IF(&w, "pid", (uint32_t)row->stored.pid);
	if (row->exe.size)
		PUT_STRING(&w, "exe", row->exe);
	put_paths(&w, row);
	PUT_NUMBER_IF(&w, "node", row->stored.node);
	PUT_NUMBER_IF(&w, "version", row->stored.version);
	PUT_NUMBER_IF(&w, "bytes", row->stored.bytes);
	if (row->stored.has_detail)
		PUT_STRING(&w, "detail", row->stored.detail);
	PUT_NUMBER_IF(&w, "detail_bytes", row->stored.detail_cut);
	PUT(&w, "}");
	*w.at = '\0';
	assert((size_t)(w.at - line) <= AUDIT_LINE_MAX);
	return (size_t)(w.at - line);
}
