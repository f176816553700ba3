/* Records as data events of CloudTrail; see log_format.h. Of version 1.11, as read in the vendor's record contents. */
#include "fs/command/log_format.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"
#include "fs/audit_kinds.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* There is no account; parsers want twelve digits. */
#define ACCOUNT "000000000000"
#define NAME_BYTES 80

static void print_begin(struct log_sheet *sheet) {
	fputs("{\"Records\":[", sheet->out);
}

static void print_end(struct log_sheet *sheet) {
	fputs(sheet->count ? "\n]}\n" : "]}\n", sheet->out);
}

/* "quarantine-drop" becomes "AssayfsQuarantineDrop". */
static void own_name(const char *event, char ret_name[static NAME_BYTES]) {
	size_t size = (size_t)snprintf(ret_name, NAME_BYTES, "Assayfs");
	bool is_start = true;
	for (; *event && size + 1 < NAME_BYTES; event++) {
		if (*event != '-')
			ret_name[size++] = (char)(is_start ? toupper((unsigned char)*event) : *event);
		is_start = *event == '-';
	}
	ret_name[size] = '\0';
}

static const char *error_code(const json_t *record) {
	int error = (int)answer_number(record, "errno");
	if (log_outcome_is(record, "denied"))
		return "AccessDenied";
	if (error == ENOENT)
		return "NoSuchKey";
	const char *name = strerrorname_np(error);
	return name && error ? name : "InternalError";
}

static json_t *identity(struct log_sheet *sheet, const json_t *record) {
	if (!json_object_get(record, "pid"))
		return json_pack("{s:s, s:s}", "type", "AWSService", "invokedBy", "assayfs");
	char arn[ANSWER_NAME_BYTES + 64], uid[24];
	const char *user = log_user(sheet, record);
	snprintf(arn, sizeof arn, "arn:aws:iam::" ACCOUNT ":user/%s", user);
	snprintf(uid, sizeof uid, "%u", (unsigned)answer_number(record, "uid"));
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "IAMUser", "principalId", uid, "arn", arn, "accountId",
	        ACCOUNT, "userName", user);
}

/* "Landing/a/b" is key "a/b" in bucket "Landing". */
static int put_place(json_t *object, json_t *resources, const char *path) {
	const char *slash = strchr(path, '/');
	size_t size = slash ? (size_t)(slash - path) : strlen(path);
	const char *key = slash ? slash + 1 : "";
	_cleanup_(json_decrefp) json_t *whole = json_sprintf("arn:aws:s3:::%s", path);
	int rc = json_object_set_new(object, "bucketName", json_stringn(path, size));
	if (*key)
		rc |= json_object_set_new(object, "key", json_string(key));
	if (*key)
		rc |= json_array_append_new(
		        resources, json_pack("{s:s, s:O}", "type", "AWS::S3::Object", "ARN", whole));
	rc |= json_array_append_new(
	        resources, json_pack("{s:s, s:s, s:o}", "accountId", ACCOUNT, "type", "AWS::S3::Bucket", "ARN",
	                           json_sprintf("arn:aws:s3:::%.*s", (int)size, path)));
	return rc ? -ENOMEM : 0;
}

/* The call is on the new name of a rename, and names the old one. */
static int put_parameters(json_t *event, const json_t *record) {
	bool is_escaped;
	const char *path = log_text(record, "path", &is_escaped), *path2 = log_text(record, "path2", &is_escaped);
	if (!path && !path2)
		return json_object_set_new(event, "requestParameters", json_null());
	_cleanup_(json_decrefp) json_t *parameters = json_object(), *resources = json_array();
	int rc = put_place(parameters, resources, path2 ? path2 : path);
	if (path && path2)
		rc |= json_object_set_new(parameters,
		        strcmp(answer_text(record, "event"), "rename") == 0 ? "x-amz-rename-source"
		                                                            : "x-amz-copy-source",
		        json_string(path));
	rc |= json_object_set(event, "requestParameters", parameters);
	return rc | json_object_set(event, "resources", resources);
}

/* As the service tells of a use: the key, by the alias that the detail begins with, and what S3 gives as the context,
 * the object's name. */
static int put_key_use(json_t *event, const json_t *record) {
	bool is_escaped;
	const char *path = log_text(record, "path", &is_escaped), *detail = log_text(record, "detail", &is_escaped);
	const int size = (int)strcspn(detail ? detail : "", " ");
	_cleanup_(json_decrefp) json_t *arn =
	        json_sprintf("arn:aws:kms:local:" ACCOUNT ":%.*s", size, detail ? detail : "");
	_cleanup_(json_decrefp) json_t *parameters = json_pack("{s:O}", "keyId", arn);
	int rc = 0;
	if (path)
		rc |= json_object_set_new(parameters, "encryptionContext",
		        json_pack("{s:o}", "aws:s3:arn", json_sprintf("arn:aws:s3:::%s", path)));
	if (strcmp(answer_text(record, "event"), "key-generate-data-key") == 0)
		rc |= json_object_set_new(parameters, "keySpec", json_string("AES_256"));
	rc |= json_object_set(event, "requestParameters", parameters);
	return rc | json_object_set_new(event, "resources",
	                    json_pack("[{s:s, s:s, s:O}]", "accountId", ACCOUNT, "type", "AWS::KMS::Key", "ARN", arn));
}

/* The key that the detail begins with, be it refused under the name that was typed; of a slot or a lock the detail. */
static int put_key_change(json_t *event, const json_t *record) {
	bool is_escaped;
	const char *text = log_text(record, "detail", &is_escaped), *name = answer_text(record, "event");
	if (!text || !*text)
		return json_object_set_new(event, "requestParameters", json_null());
	if (strncmp(name, "key-", strlen("key-")) != 0 || strcmp(name, "key-found") == 0)
		return json_object_set_new(event, "requestParameters", json_pack("{s:s}", "detail", text));
	const char *prefix = strncmp(text, "alias/", strlen("alias/")) == 0 ? "" : "alias/";
	_cleanup_(json_decrefp) json_t *arn =
	        json_sprintf("arn:aws:kms:local:" ACCOUNT ":%s%.*s", prefix, (int)strcspn(text, " :"), text);
	int rc = json_object_set_new(event, "requestParameters", json_pack("{s:O, s:s}", "keyId", arn, "detail", text));
	return rc | json_object_set_new(event, "resources",
	                    json_pack("[{s:s, s:s, s:O}]", "accountId", ACCOUNT, "type", "AWS::KMS::Key", "ARN", arn));
}

/* The service counts these among what manages it. Slots and locks it has not: they keep our source. */
static int put_key_category(json_t *event, bool is_call) {
	int rc = is_call ? json_object_set_new(event, "eventSource", json_string("kms.amazonaws.com")) : 0;
	rc |= json_object_set_new(event, "managementEvent", json_true());
	return rc | json_object_set_new(event, "eventCategory", json_string("Management"));
}

/* "Permission denied (write)"; of a verdict its words alone. */
static json_t *error_message(const json_t *record) {
	bool is_escaped;
	const char *words = log_text(record, "detail", &is_escaped);
	int error = (int)answer_number(record, "errno");
	if (error && words)
		return json_sprintf("%s (%s)", strerror(error), words);
	return json_string(words ? words : strerror(error ? error : EPERM));
}

static int put_errors(json_t *event, const json_t *record) {
	if (log_outcome_is(record, "ok"))
		return 0;
	int rc = json_object_set_new(event, "errorCode", json_string(error_code(record)));
	return rc | json_object_set_new(event, "errorMessage", error_message(record));
}

/* What CloudTrail has no place for is there as the leaf has it; so is what is escaped, under its own name. */
static int put_additional(json_t *event, const json_t *record) {
	static const char *const elsewhere[] = {"uid", "exe", "path", "path2", NULL};
	json_t *additional = json_object();
	int rc = json_object_set_new(event, "additionalEventData", additional);
	uint64_t read, written;
	if (log_transfer(record, &read, &written)) {
		rc |= json_object_set_new(additional, "bytesTransferredIn", json_integer((json_int_t)written));
		rc |= json_object_set_new(additional, "bytesTransferredOut", json_integer((json_int_t)read));
	}
	return rc | json_object_set_new(additional, "assayfs", log_rest(record, elsewhere));
}

/* "2026-11-24T11:21:05.123456789Z" to the second. */
static json_t *event_time(const json_t *record) {
	const char *time = answer_text(record, "time");
	size_t size = strcspn(time, ".Z");
	return json_sprintf("%.*sZ", (int)(size < 40 ? size : 40), time);
}

static json_t *agent(const json_t *record) {
	bool is_escaped;
	const char *exe = log_text(record, "exe", &is_escaped);
	return json_string(exe && *exe ? exe : "assayfs");
}

static int print_event(struct log_sheet *sheet, const char *line, const json_t *record) {
	(void)line;
	char name[NAME_BYTES], id[LOG_UUID_BYTES];
	const struct audit_event_kind kind =
	        audit_record_kind(answer_text(record, "event"), json_string_value(json_object_get(record, "detail")),
	                log_outcome_is(record, "denied"), json_object_get(record, "version") != NULL);
	const char *event_word = answer_text(record, "event"), *key_call = audit_key_call(event_word);
	own_name(event_word, name);
	log_uuid(sheet, record, id);
	bool is_put = kind.api && strncmp(kind.api, "Put", strlen("Put")) == 0; /* who opens to write */
	_cleanup_(json_decrefp) json_t *event =
	        json_pack("{s:s, s:o, s:o, s:s, s:s, s:s, s:s, s:o, s:n, s:s, s:s, s:b, s:s, s:b, s:s, s:s}",
	                "eventVersion", "1.11", "userIdentity", identity(sheet, record), "eventTime",
	                event_time(record), "eventSource", kind.api ? "s3.amazonaws.com" : "assayfs", "eventName",
	                key_call   ? key_call
	                : kind.api ? kind.api
	                           : name,
	                "awsRegion", "local", "sourceIPAddress", "127.0.0.1", "userAgent", agent(record),
	                "responseElements", "requestID", id, "eventID", id, "readOnly",
	                kind.kind != AUDIT_KIND_CHANGE && !is_put && !audit_changes_vault(event_word) &&
	                        kind.activity != AUDIT_ACTIVITY_CREATE && kind.activity != AUDIT_ACTIVITY_UPDATE &&
	                        kind.activity != AUDIT_ACTIVITY_DELETE,
	                "eventType", "AwsApiCall", "managementEvent", 0, "recipientAccountId", ACCOUNT, "eventCategory",
	                "Data");
	const bool is_key_use = audit_is_key_use(event_word), manages_keys = audit_manages_keys(event_word);
	int rc = !event || put_errors(event, record) || put_additional(event, record);
	if (!rc && (is_key_use || manages_keys))
		rc = put_key_category(event, is_key_use || key_call);
	if (!rc)
		rc = is_key_use     ? put_key_use(event, record)
		     : manages_keys ? put_key_change(event, record)
		                    : put_parameters(event, record);
	if (rc)
		return fault(ENOMEM, "printing a record: out of memory");
	fputs(sheet->count ? ",\n" : "\n", sheet->out);
	return log_put_object(sheet, json_incref(event));
}

const struct log_format log_format_cloudtrail = {
        .name = "cloudtrail", .needs_end = true, .begin = print_begin, .print = print_event, .end = print_end};
