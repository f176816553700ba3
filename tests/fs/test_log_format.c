#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "fs/audit_kinds.h"
#include "fs/command/log_format.h"

#define HEAD "{\"seq\":12,\"time\":\"2026-11-24T11:21:05.123456789Z\",\"event\":"
#define BY "\"uid\":4294967000,\"gid\":100,\"pid\":42,\"exe\":\"cp\""

/* What the format makes of one record, with what stands before and behind it. The caller frees it. */
static char *whole(const struct log_format *format, const char *line, int *ret_rc) {
	char *text = NULL;
	size_t size = 0;
	struct log_sheet sheet = {.out = open_memstream(&text, &size), .vault_id = "00ff", .host = "machine"};
	assert_non_null(sheet.out);
	if (format->begin)
		format->begin(&sheet);
	*ret_rc = line ? log_format_print(format, &sheet, line) : 0;
	if (format->end)
		format->end(&sheet);
	fclose(sheet.out);
	return text;
}

static void assert_text(const struct log_format *format, const char *line, const char *want) {
	int rc;
	char *text = whole(format, line, &rc);
	assert_int_equal(rc, 0);
	assert_string_equal(text, want);
	free(text);
}

static json_t *parsed(const struct log_format *format, const char *line) {
	int rc;
	char *text = whole(format, line, &rc);
	json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_int_equal(rc, 0);
	assert_non_null(value);
	free(text);
	return value;
}

/* A member behind a path of names, "a.b"; "" when there is none. */
static const char *member(const json_t *object, const char *path) {
	static char text[64];
	while (object && *path) {
		char name[64];
		size_t size = strcspn(path, ".");
		snprintf(name, sizeof name, "%.*s", (int)size, path);
		object = json_is_array(object) ? json_array_get(object, strtoul(name, NULL, 10))
		                               : json_object_get(object, name);
		path += size + (path[size] == '.');
	}
	if (json_is_string(object))
		return json_string_value(object);
	if (json_is_boolean(object))
		return json_is_true(object) ? "true" : "false";
	snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(object));
	return json_is_integer(object) ? text : json_is_null(object) ? "null" : "";
}

#define HEADER                                                                                                      \
	"seq,time,event,outcome,errno,uid,gid,pid,exe,path,path_bytes,path2,path2_bytes,node,version,bytes,detail," \
	"detail_bytes,escaped\r\n"

static void a_table_has_every_field_at_its_place(void **state) {
	(void)state;
	assert_text(&log_format_csv, NULL, HEADER);
	assert_text(&log_format_csv, HEAD "\"mount\",\"outcome\":\"ok\",\"uid\":0,\"gid\":0}",
	        HEADER "12,2026-11-24T11:21:05.123456789Z,mount,ok,,0,0,,,,,,,,,,,,\r\n");
	assert_text(&log_format_csv,
	        HEAD "\"rename\",\"outcome\":\"denied\",\"errno\":13," BY ",\"path\":\"Landing/a, "
	             "\\\"b\\\".csv\",\"path_bytes\":5000,\"path2\":\"x\",\"path2_bytes\":6000,\"node\":7,"
	             "\"version\":8,\"bytes\":9223372036854775807,\"detail\":\"words\",\"detail_bytes\":3000}",
	        HEADER "12,2026-11-24T11:21:05.123456789Z,rename,denied,13,4294967000,100,42,cp,\"Landing/a, "
	               "\"\"b\"\".csv\",5000,x,6000,7,8,9223372036854775807,words,3000,\r\n");
}

static void a_table_says_what_it_escaped(void **state) {
	(void)state;
	static const struct {
		const char *detail, *cell, *escaped;
	} rows[] = {
	        {"\"detail\":\"plain \\\\ caf\xc3\xa9\"", "plain \\ caf\xc3\xa9", ""},
	        {"\"detail_escaped\":\"caf\\\\xe9 \\\\\\\\\"", "caf\\xe9 \\\\", "detail"},
	        {"\"detail\":\"a\\nb\\\\\"", "a\\x0ab\\\\", "detail"},
	        {"\"detail\":\"\\u001b[31m\"", "\\x1b[31m", "detail"},
	        {"\"detail\":\"\xc2\x9b\"", "\\xc2\\x9b", "detail"},
	        {"\"detail\":\"=1+1\"", "\\x3d1+1", "detail"},
	        {"\"detail\":\"-1\"", "\\x2d1", "detail"},
	        {"\"detail\":\"+\\\"\"", "\"\\x2b\"\"\"", "detail"},
	        {"\"detail\":\"@x\\\\\"", "\\x40x\\\\", "detail"},
	        {"\"detail\":\"\xef\xbc\x9d"
	         "1\"",
	                "\\xef\\xbc\\x9d1", "detail"},
	        {"\"detail_escaped\":\"=\\\\xff\"", "\\x3d\\xff", "detail"},
	        {"\"detail\":\" x\"", "\" x\"", ""},
	        {"\"detail\":\"\"", "", ""},
	        {"\"detail\":\"a=1\"", "a=1", ""},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char line[256], want[512];
		snprintf(line, sizeof line, HEAD "\"open\",\"outcome\":\"ok\"," BY ",%s}", rows[i].detail);
		snprintf(want, sizeof want,
		        HEADER "12,2026-11-24T11:21:05.123456789Z,open,ok,,4294967000,100,42,cp,,,,,,,,%s,,%s\r\n",
		        rows[i].cell, rows[i].escaped);
		assert_text(&log_format_csv, line, want);
	}
}

static void the_leaf_is_printed_as_it_is(void **state) {
	(void)state;
	assert_text(&log_format_json, "{\"seq\" : 1}", "{\"seq\" : 1}\n");
}

static void a_person_reads_safe_words(void **state) {
	(void)state;
	setenv("TZ", "UTC", 1);
	assert_text(&log_format_text,
	        HEAD "\"open\",\"outcome\":\"denied\",\"errno\":13," BY ",\"path\":\"a\\u001b[31m\",\"bytes\":2048}",
	        "2026-11-24 11:21:05 UTC  4294967000 open         denied  a\\x1b[31m  2.0 KiB  [cp 42]  Permission "
	        "denied\n");
}

static void cloudtrail_without_records_is_an_empty_list(void **state) {
	(void)state;
	assert_text(&log_format_cloudtrail, NULL, "{\"Records\":[]}\n");
}

static void cloudtrail_that_breaks_off_is_well_formed(void **state) {
	(void)state;
	int rc;
	char *text = whole(&log_format_cloudtrail, "no record", &rc);
	assert_true(rc < 0);
	assert_string_equal(text, "{\"Records\":[]}\n");
	free(text);
}

static void cloudtrail_has_the_nearest_call(void **state) {
	(void)state;
	static const struct {
		const char *line, *name, *source, *is_read_only, *error;
	} rows[] = {
	        {"\"open\",\"outcome\":\"ok\"," BY ",\"path\":\"Landing/d/a\",\"detail\":\"read\"", "GetObject",
	                "s3.amazonaws.com", "true", ""},
	        {"\"open\",\"outcome\":\"ok\"," BY ",\"path\":\"Landing/d/a\",\"detail\":\"write, append\"",
	                "AssayfsOpen", "assayfs", "true", ""},
	        {"\"open\",\"outcome\":\"denied\",\"errno\":13," BY ",\"path\":\"Landing/d/a\",\"detail\":\"write\"",
	                "PutObject", "s3.amazonaws.com", "false", "AccessDenied"},
	        {"\"create\",\"outcome\":\"error\",\"errno\":28," BY ",\"path\":\"Landing/d/a\"", "AssayfsCreate",
	                "assayfs", "false", "ENOSPC"},
	        {"\"close\",\"outcome\":\"ok\"," BY
	         ",\"path\":\"Landing/d/a\",\"version\":2,\"detail\":\"read 3, written 8\"",
	                "PutObject", "s3.amazonaws.com", "false", ""},
	        {"\"close\",\"outcome\":\"ok\"," BY ",\"path\":\"Landing/d/a\"", "AssayfsClose", "assayfs", "true", ""},
	        {"\"unlink\",\"outcome\":\"ok\"," BY ",\"path\":\"Landing/d/a\"", "DeleteObject", "s3.amazonaws.com",
	                "false", ""},
	        {"\"quarantine-drop\",\"outcome\":\"ok\"," BY ",\"path\":\"Landing/d/a\"", "AssayfsQuarantineDrop",
	                "assayfs", "false", ""},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char line[512];
		snprintf(line, sizeof line, HEAD "%s}", rows[i].line);
		json_t *value = parsed(&log_format_cloudtrail, line);
		assert_string_equal(member(value, "Records.0.eventName"), rows[i].name);
		assert_string_equal(member(value, "Records.0.eventSource"), rows[i].source);
		assert_string_equal(member(value, "Records.0.readOnly"), rows[i].is_read_only);
		assert_string_equal(member(value, "Records.0.errorCode"), rows[i].error);
		assert_string_equal(member(value, "Records.0.requestParameters.bucketName"), "Landing");
		assert_string_equal(member(value, "Records.0.requestParameters.key"), "d/a");
		assert_string_equal(member(value, "Records.0.resources.0.ARN"), "arn:aws:s3:::Landing/d/a");
		assert_string_equal(member(value, "Records.0.resources.1.ARN"), "arn:aws:s3:::Landing");
		assert_string_equal(member(value, "Records.0.eventTime"), "2026-11-24T11:21:05Z");
		assert_string_equal(member(value, "Records.0.userIdentity.userName"), "4294967000");
		assert_string_equal(member(value, "Records.0.additionalEventData.assayfs.seq"), "12");
		json_decref(value);
	}
}

static void cloudtrail_says_why(void **state) {
	(void)state;
	static const struct {
		const char *line, *message;
	} rows[] = {
	        {"\"open\",\"outcome\":\"denied\",\"errno\":13,\"detail\":\"write\"", "Permission denied (write)"},
	        {"\"open\",\"outcome\":\"error\",\"errno\":2", "No such file or directory"},
	        {"\"verdict\",\"outcome\":\"denied\",\"detail\":\"failed: 1 rule\"", "failed: 1 rule"},
	        {"\"open\",\"outcome\":\"denied\"", "Operation not permitted"},
	        {"\"open\",\"outcome\":\"ok\",\"detail\":\"read\"", ""},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char line[256];
		snprintf(line, sizeof line, HEAD "%s," BY "}", rows[i].line);
		json_t *value = parsed(&log_format_cloudtrail, line);
		assert_string_equal(member(value, "Records.0.errorMessage"), rows[i].message);
		json_decref(value);
	}
}

/* The longest line that there is: 10,000 bytes that are escaped twice. */
static void the_longest_texts_are_whole_in_each_form(void **state) {
	(void)state;
	static const struct log_format *const formats[] = {&log_format_csv, &log_format_cloudtrail, &log_format_ocsf};
	static char line[64001], text[60001];
	for (size_t i = 0; i + 5 < sizeof text; i += 5)
		memcpy(text + i, "\\\\xe9", 5);
	snprintf(line, sizeof line, HEAD "\"open\",\"outcome\":\"ok\"," BY ",\"path_escaped\":\"%s\"}", text);
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
		int rc;
		char *out = whole(formats[i], line, &rc);
		assert_int_equal(rc, 0);
		const char *first = strstr(out, "xe9");
		assert_non_null(first);
		size_t count = 0;
		for (const char *at = first; at && count < 20000; at = strstr(at + 1, "xe9"))
			count++;
		assert_true(count >= (sizeof text - 1) / 5 - 1);
		free(out);
	}
}

static void cloudtrail_counts_bytes_and_names_a_rename(void **state) {
	(void)state;
	json_t *value = parsed(&log_format_cloudtrail,
	        HEAD "\"close\",\"outcome\":\"ok\"," BY ",\"path\":\"Raw\",\"detail\":\"read 3, written 8; shared\"}");
	assert_string_equal(member(value, "Records.0.additionalEventData.bytesTransferredOut"), "3");
	assert_string_equal(member(value, "Records.0.additionalEventData.bytesTransferredIn"), "8");
	assert_string_equal(member(value, "Records.0.requestParameters.bucketName"), "Raw");
	assert_string_equal(member(value, "Records.0.requestParameters.key"), "");
	json_decref(value);
	value = parsed(&log_format_cloudtrail,
	        HEAD "\"rename\",\"outcome\":\"ok\",\"uid\":0,\"gid\":0,\"path\":\"Landing/a\","
	             "\"path2_escaped\":\"Landing/caf\\\\xe9\"}");
	assert_string_equal(member(value, "Records.0.eventName"), "RenameObject");
	assert_string_equal(member(value, "Records.0.requestParameters.key"), "caf\\xe9");
	assert_string_equal(member(value, "Records.0.requestParameters.x-amz-rename-source"), "Landing/a");
	assert_string_equal(member(value, "Records.0.additionalEventData.assayfs.path2_escaped"), "Landing/caf\\xe9");
	assert_string_equal(member(value, "Records.0.userIdentity.type"), "AWSService");
	json_decref(value);
}

/* SHA-256 of "assayfs audit record00ff:12", by sha256sum, with the version and variant bits set. */
static void an_identifier_is_the_records_in_its_vault(void **state) {
	(void)state;
	json_t *value = parsed(&log_format_cloudtrail, HEAD "\"open\",\"outcome\":\"ok\",\"uid\":0,\"gid\":0}");
	assert_string_equal(member(value, "Records.0.eventID"), "3ca455dd-d1bd-83a8-8587-058284ee7abb");
	json_decref(value);
	value = parsed(&log_format_ocsf, HEAD "\"open\",\"outcome\":\"ok\",\"uid\":0,\"gid\":0}");
	assert_string_equal(member(value, "metadata.uid"), "3ca455dd-d1bd-83a8-8587-058284ee7abb");
	json_decref(value);
}

static void ocsf_has_what_is_required(void **state) {
	(void)state;
	json_t *value = parsed(&log_format_ocsf,
	        HEAD "\"rename\",\"outcome\":\"denied\",\"errno\":13," BY
	             ",\"path\":\"Landing/d/a\",\"path2\":\"Landing/b\",\"node\":7,\"detail\":\"no\"}");
	static const char *const want[][2] = {{"class_uid", "1001"}, {"category_uid", "1"}, {"activity_id", "5"},
	        {"type_uid", "100105"}, {"severity_id", "2"}, {"time", "1795519265123"}, {"metadata.version", "1.4.0"},
	        {"metadata.product.name", "assayfs"}, {"metadata.sequence", "12"},
	        {"metadata.profiles.0", "security_control"}, {"actor.user.uid", "4294967000"},
	        {"actor.process.pid", "42"}, {"actor.process.name", "cp"}, {"device.type_id", "0"},
	        {"device.hostname", "machine"}, {"file.name", "a"}, {"file.path", "Landing/d/a"}, {"file.type_id", "0"},
	        {"file.uid", "7"}, {"file_result.name", "b"}, {"status_id", "2"}, {"action_id", "2"},
	        {"disposition_id", "2"}, {"status_code", "EACCES"}, {"status_detail", "no"},
	        {"unmapped.assayfs.gid", "100"}};
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
		assert_string_equal(member(value, want[i][0]), want[i][1]);
	json_decref(value);
}

static void ocsf_tells_the_vault_where_there_is_no_path(void **state) {
	(void)state;
	json_t *value = parsed(&log_format_ocsf, HEAD "\"gc\",\"outcome\":\"error\",\"errno\":5,\"uid\":0,\"gid\":0}");
	assert_string_equal(member(value, "file.name"), "00ff");
	assert_string_equal(member(value, "file.type_id"), "99");
	assert_string_equal(member(value, "actor.app_name"), "assayfs");
	assert_string_equal(member(value, "actor.process.name"), "");
	assert_string_equal(member(value, "activity_id"), "99");
	assert_string_equal(member(value, "action_id"), "0");
	assert_string_equal(member(value, "severity_id"), "3");
	json_decref(value);
}

static void what_is_no_record_is_refused(void **state) {
	(void)state;
	static const struct log_format *const formats[] = {
	        &log_format_text, &log_format_csv, &log_format_cloudtrail, &log_format_ocsf};
	static const char *const lines[] = {"", "x", "[]", "1", "{\"seq\":1", "{\"seq\":99999999999999999999}"};
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
		for (size_t k = 0; k < sizeof lines / sizeof lines[0]; k++) {
			int rc;
			free(whole(formats[i], lines[k], &rc));
			assert_true(rc < 0);
		}
		int rc;
		free(whole(formats[i],
		        "{\"seq\":[],\"path\":{},\"uid\":\"x\",\"time\":4,\"event\":null,\"detail\":[1]}", &rc));
		assert_int_equal(rc, 0);
	}
}

static void events_without_a_row_are_other(void **state) {
	(void)state;
	assert_int_equal(audit_event_kind("access")->activity, AUDIT_ACTIVITY_GET_SECURITY);
	assert_int_equal(audit_event_kind("withdraw")->activity, AUDIT_ACTIVITY_DELETE);
	assert_int_equal(audit_event_kind("mknod")->kind, AUDIT_KIND_CHANGE);
	assert_int_equal(audit_event_kind("opendir")->kind, AUDIT_KIND_OPEN);
	assert_int_equal(audit_event_kind("zzz")->activity, AUDIT_ACTIVITY_OTHER);
	assert_int_equal(audit_event_kind("")->kind, AUDIT_KIND_OTHER);
	assert_string_equal(audit_key_call("key-disable"), "DisableKey");
	assert_null(audit_key_call("key-rewrap"));
	assert_true(audit_manages_keys("slot-add") && audit_manages_keys("key-found") &&
	            !audit_manages_keys("key-decrypt"));
	assert_true(audit_changes_vault("key-rotate") && audit_changes_vault("grant") && audit_changes_vault("unlock"));
	assert_false(
	        audit_changes_vault("key-list") || audit_changes_vault("key-decrypt") || audit_changes_vault("mount"));
	assert_int_equal(audit_record_kind("close", NULL, false, true).kind, AUDIT_KIND_CHANGE);
	assert_int_equal(audit_record_kind("close", NULL, false, false).kind, AUDIT_KIND_OTHER);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_table_has_every_field_at_its_place),
	        cmocka_unit_test(a_table_says_what_it_escaped),
	        cmocka_unit_test(the_leaf_is_printed_as_it_is),
	        cmocka_unit_test(a_person_reads_safe_words),
	        cmocka_unit_test(cloudtrail_without_records_is_an_empty_list),
	        cmocka_unit_test(cloudtrail_that_breaks_off_is_well_formed),
	        cmocka_unit_test(cloudtrail_has_the_nearest_call),
	        cmocka_unit_test(cloudtrail_says_why),
	        cmocka_unit_test(the_longest_texts_are_whole_in_each_form),
	        cmocka_unit_test(cloudtrail_counts_bytes_and_names_a_rename),
	        cmocka_unit_test(an_identifier_is_the_records_in_its_vault),
	        cmocka_unit_test(ocsf_has_what_is_required),
	        cmocka_unit_test(ocsf_tells_the_vault_where_there_is_no_path),
	        cmocka_unit_test(what_is_no_record_is_refused),
	        cmocka_unit_test(events_without_a_row_are_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
