#include "fs/command/log_format.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "fs/audit_kinds.h"
#include "fs/command/when.h"
#include "fs/words.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int print_leaf(struct log_sheet *sheet, const char *line, const json_t *record) {
	(void)record;
	fputs(line, sheet->out);
	putc('\n', sheet->out);
	return 0;
}

const struct log_format log_format_json = {.name = "json", .is_leaf = true, .print = print_leaf};

const struct log_format *log_format_find(const char *name) {
	static const struct log_format *const formats[] = {
	        &log_format_text, &log_format_json, &log_format_csv, &log_format_cloudtrail, &log_format_ocsf};
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	return NULL;
}

int log_format_print(const struct log_format *format, struct log_sheet *sheet, const char *line) {
	_cleanup_(json_decrefp) json_t *record = format->is_leaf ? NULL : json_loads(line, 0, NULL);
	if (!format->is_leaf && !json_is_object(record))
		return fault(EPROTO, "a record of the log is no JSON");
	int rc = format->print(sheet, line, record);
	sheet->count += rc == 0;
	return rc;
}

/* ---- members of a record ---- */

const char *log_text(const json_t *record, const char *name, bool *ret_is_escaped) {
	char escaped[40];
	snprintf(escaped, sizeof escaped, "%s_escaped", name);
	const char *text = json_string_value(json_object_get(record, name));
	const char *other = text ? NULL : json_string_value(json_object_get(record, escaped));
	*ret_is_escaped = other != NULL;
	return text ? text : other;
}

const char *log_user(struct log_sheet *sheet, const json_t *record) {
	uint32_t uid = (uint32_t)answer_number(record, "uid");
	struct log_name *name = &sheet->names[uid % LOG_NAMES];
	if (!name->is_set || name->uid != uid) {
		(void)answer_user(record, "uid", name->text);
		if (!words_is_utf8(name->text))
			snprintf(name->text, sizeof name->text, "%u", (unsigned)uid);
		name->uid = uid;
		name->is_set = true;
	}
	return name->text;
}

bool log_transfer(const json_t *record, uint64_t *ret_read, uint64_t *ret_written) {
	return audit_transfer(json_string_value(json_object_get(record, "detail")), ret_read, ret_written);
}

void log_uuid(const struct log_sheet *sheet, const json_t *record, char ret_uuid[static LOG_UUID_BYTES]) {
	char text[128];
	uint8_t d[DIGEST_BYTES];
	int size = snprintf(
	        text, sizeof text, "assayfs audit record%s:%" PRIu64, sheet->vault_id, answer_number(record, "seq"));
	sha256(bytes_of(text, (size_t)size), d);
	d[6] = (uint8_t)((d[6] & 0x0f) | 0x80);
	d[8] = (uint8_t)((d[8] & 0x3f) | 0x80);
	snprintf(ret_uuid, LOG_UUID_BYTES, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", d[0],
	        d[1], d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12], d[13], d[14], d[15]);
}

int64_t log_time(const json_t *record) {
	struct when when;
	const char *text = answer_text(record, "time");
	return *text && when_parse(text, 0, &when) == 0 ? when.first : 0;
}

bool log_outcome_is(const json_t *record, const char *outcome) {
	return strcmp(answer_text(record, "outcome"), outcome) == 0;
}

/* ---- objects ---- */

int log_put_object(struct log_sheet *sheet, json_t *object) {
	_cleanup_(json_decrefp) json_t *owned = object;
	if (!owned || json_dumpf(owned, sheet->out, JSON_COMPACT) < 0)
		return fault(ENOMEM, "printing a record: out of memory");
	return 0;
}

static bool is_among(const char *name, const char *const *names) {
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

json_t *log_rest(const json_t *record, const char *const *but) {
	json_t *rest = json_object();
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)record, name, value) {
		if (rest && !is_among(name, but) && json_object_set(rest, name, value)) {
			json_decref(rest);
			rest = NULL;
		}
	}
	return rest;
}
