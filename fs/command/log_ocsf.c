/* Records as OCSF 1.4.0 has activities of a file system (class 1001); see log_format.h. */
#include "fs/command/log_format.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"
#include "fs/audit_kinds.h"

#include <errno.h>
#include <string.h>

#define OCSF_VERSION "1.4.0"
#define CLASS_FILE_ACTIVITY 1001
#define CATEGORY_SYSTEM 1

enum severity { INFORMATIONAL = 1, LOW = 2, MEDIUM = 3, HIGH = 4 };
enum status { SUCCESS = 1, FAILURE = 2 };
enum action { ACTION_UNKNOWN = 0, ALLOWED = 1, DENIED = 2 };
enum disposition { DISPOSITION_ALLOWED = 1, BLOCKED = 2, DISPOSITION_ERROR = 27 };
#define FILE_TYPE_OTHER 99

static enum severity severity(const json_t *record) {
	if (strcmp(answer_text(record, "event"), "damage") == 0)
		return HIGH;
	return log_outcome_is(record, "error") ? MEDIUM : log_outcome_is(record, "denied") ? LOW : INFORMATIONAL;
}

/* The file of a path; of what has none, the vault itself. */
static json_t *file(const struct log_sheet *sheet, const json_t *record, const char *field, int type) {
	bool is_escaped;
	const char *path = log_text(record, field, &is_escaped);
	if (!path)
		return json_pack(
		        "{s:s, s:i, s:s}", "name", sheet->vault_id, "type_id", FILE_TYPE_OTHER, "type", "vault");
	const char *slash = strrchr(path, '/');
	json_t *object = json_pack(
	        "{s:s, s:s, s:i}", "name", slash && slash[1] ? slash + 1 : path, "path", path, "type_id", type);
	if (object && answer_number(record, "node"))
		(void)json_object_set_new(
		        object, "uid", json_sprintf("%llu", (unsigned long long)answer_number(record, "node")));
	return object;
}

static json_t *actor(struct log_sheet *sheet, const json_t *record) {
	char uid[24];
	bool is_escaped;
	snprintf(uid, sizeof uid, "%u", (unsigned)answer_number(record, "uid"));
	json_t *user = json_pack("{s:s, s:s}", "uid", uid, "name", log_user(sheet, record));
	if (!json_object_get(record, "pid"))
		return json_pack("{s:s, s:o}", "app_name", "assayfs", "user", user);
	const char *exe = log_text(record, "exe", &is_escaped);
	return json_pack("{s:o, s:{s:s, s:I}}", "user", user, "process", "name", exe && *exe ? exe : "?", "pid",
	        (json_int_t)answer_number(record, "pid"));
}

static json_t *metadata(const struct log_sheet *sheet, const json_t *record) {
	char id[LOG_UUID_BYTES];
	log_uuid(sheet, record, id);
	return json_pack("{s:s, s:{s:s, s:s, s:s}, s:[s], s:s, s:I, s:s, s:s}", "version", OCSF_VERSION, "product",
	        "name", "assayfs", "vendor_name", "assayfs", "uid", sheet->vault_id, "profiles", "security_control",
	        "uid", id, "sequence", (json_int_t)answer_number(record, "seq"), "log_name", "audit", "original_time",
	        answer_text(record, "time"));
}

/* How it ended; of an error the status alone, as nothing decided against it. */
static int put_outcome(json_t *event, const json_t *record) {
	bool is_ok = log_outcome_is(record, "ok"), is_denied = log_outcome_is(record, "denied"), is_escaped;
	const char *detail = log_text(record, "detail", &is_escaped);
	int error = (int)answer_number(record, "errno");
	const char *code = error ? strerrorname_np(error) : NULL;
	int rc = json_object_set_new(event, "status_id", json_integer(is_ok ? SUCCESS : FAILURE));
	rc |= json_object_set_new(event, "status", json_string(is_ok ? "Success" : "Failure"));
	rc |= json_object_set_new(event, "action_id",
	        json_integer(is_ok       ? ALLOWED
	                     : is_denied ? DENIED
	                                 : ACTION_UNKNOWN));
	rc |= json_object_set_new(event, "disposition_id",
	        json_integer(is_ok       ? DISPOSITION_ALLOWED
	                     : is_denied ? BLOCKED
	                                 : DISPOSITION_ERROR));
	if (code)
		rc |= json_object_set_new(event, "status_code", json_string(code));
	if (detail)
		rc |= json_object_set_new(event, "status_detail", json_string(detail));
	return rc;
}

/* Members of the record that have no place of their own; what is escaped is there under its own name. */
static int put_unmapped(json_t *event, const json_t *record) {
	static const char *const mapped[] = {
	        "seq", "time", "outcome", "errno", "uid", "pid", "exe", "path", "path2", "detail", "node", NULL};
	return json_object_set_new(event, "unmapped", json_pack("{s:o}", "assayfs", log_rest(record, mapped)));
}

static json_t *device(const struct log_sheet *sheet) {
	return json_pack("{s:i, s:s}", "type_id", 0, "hostname", *sheet->host ? sheet->host : "localhost");
}

static int print_activity(struct log_sheet *sheet, const char *line, const json_t *record) {
	(void)line;
	const char *name = answer_text(record, "event");
	const struct audit_event_kind kind =
	        audit_record_kind(name, json_string_value(json_object_get(record, "detail")),
	                log_outcome_is(record, "denied"), json_object_get(record, "version") != NULL);
	bool is_escaped;
	_cleanup_(json_decrefp) json_t *event =
	        json_pack("{s:i, s:i, s:i, s:i, s:s, s:i, s:I, s:o, s:o, s:o, s:o}", "category_uid", CATEGORY_SYSTEM,
	                "class_uid", CLASS_FILE_ACTIVITY, "type_uid", CLASS_FILE_ACTIVITY * 100 + (int)kind.activity,
	                "activity_id", (int)kind.activity, "activity_name", name, "severity_id", (int)severity(record),
	                "time", (json_int_t)(log_time(record) / 1000000), "metadata", metadata(sheet, record), "actor",
	                actor(sheet, record), "device", device(sheet), "file", file(sheet, record, "path", kind.file));
	int rc = event ? put_outcome(event, record) | put_unmapped(event, record) : -1;
	if (rc == 0 && log_text(record, "path2", &is_escaped))
		rc = json_object_set_new(event, "file_result", file(sheet, record, "path2", kind.file));
	if (rc)
		return fault(ENOMEM, "printing a record: out of memory");
	rc = log_put_object(sheet, json_incref(event));
	putc('\n', sheet->out);
	return rc;
}

const struct log_format log_format_ocsf = {.name = "ocsf", .print = print_activity};
