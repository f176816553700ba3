/* The client's own steps against a server that is told what to answer: listings, conditions, versions, uploads. */
#include "backend/objects/s3.h"

#include "tests/backend/objects/fake_http.h"
#include "tests/backend/scratch.h"

#include <stdio.h>
#include <string.h>

#define MIB ((size_t)1 << 20)

/* Rules, of which the first that fits answers. */
struct rule {
	const char *method, *in_target; /* NULL: any */
	struct fake_answer answer;
	unsigned times;     /* 0: always */
	const char *wanted; /* text that the head or body must have; NULL */
	unsigned seen;
};

struct script {
	struct rule *rules;
	size_t count;
	char asked[4096]; /* "METHOD target\n" of all */
};

static bool fits(const struct rule *rule, const struct fake_request *request) {
	return (!rule->method || strcmp(rule->method, request->method) == 0) &&
	       (!rule->in_target || strstr(request->target, rule->in_target)) &&
	       (!rule->times || rule->seen < rule->times) &&
	       (!rule->wanted || strstr(request->head, rule->wanted) ||
	               memmem(request->body.data, request->body.size, rule->wanted, strlen(rule->wanted)));
}

static void play(void *arg, const struct fake_request *request, struct fake_answer *answer) {
	struct script *script = arg;
	size_t length = strlen(script->asked);
	(void)snprintf(
	        script->asked + length, sizeof script->asked - length, "%s %.200s\n", request->method, request->target);
	*answer = (struct fake_answer){.status = 404};
	for (size_t i = 0; i < script->count; i++)
		if (fits(&script->rules[i], request)) {
			script->rules[i].seen++;
			*answer = script->rules[i].answer;
			break;
		}
	if (!answer->status)
		answer->status = 200;
}

/* What the server notes is read when it is closed: its threads write it. */
struct stage {
	struct script script;
	FakeHttp *fake;
	Objects *objects;
};

#define OPEN(stage, list) open_stage(stage, list, sizeof(list) / sizeof(list)[0])

static void open_stage(struct stage *stage, struct rule *rules, size_t count) {
	static const struct s3_tuning hasty = {.pause_ms = 2, .stall_s = 1};
	void *s3 = NULL;
	*stage = (struct stage){.script = {.rules = rules, .count = count}};
	stage->fake = fake_http_open(play, &stage->script);
	struct objects_place place = {.url = "s3://bucket/p/q",
	        .endpoint = fake_http_url(stage->fake),
	        .access_key = "AK",
	        .secret_key = "SK"};
	assert_rc(s3_open(&place, &hasty, &s3));
	assert_rc(objects_wrap(&s3_ops, s3, place.url, &stage->objects));
}

static void close_stage(struct stage *stage) {
	objects_close(stage->objects);
	fake_http_close(stage->fake);
}

static struct fake_answer says(const char *text) {
	return (struct fake_answer){.body = bytes_of_string(text)};
}

static struct fake_answer refuses(int status, const char *text) {
	return (struct fake_answer){.status = status, .body = bytes_of_string(text)};
}

/* ---- listings ---- */

static int join(void *arg, const struct object_info *object) {
	char *all = arg;
	(void)snprintf(all + strlen(all), 1024 - strlen(all), "%s:%zu:%s%s%s ", object->name, (size_t)object->size,
	        object->version, object->is_latest ? "!" : "", object->is_removed ? "-" : "");
	return 0;
}

#define ITEM(key, size)                                                                                \
	"<Contents><Key>" key "</Key><LastModified>2026-11-28T09:16:00.000Z</LastModified><Size>" size \
	"</Size></Contents>"
#define LIST(truncated, more)                                                                             \
	"<?xml version=\"1.0\"?><ListBucketResult "                                                       \
	"xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>" truncated "</IsTruncated>" more \
	"</ListBucketResult>"
#define NEXT "<NextContinuationToken>t/+1=</NextContinuationToken>"

static int list_with(struct rule *rules, size_t count, char all[static 1024]) {
	struct stage stage;
	open_stage(&stage, rules, count);
	all[0] = '\0';
	int rc = objects_list(stage.objects, "a", join, all);
	close_stage(&stage);
	return rc;
}

static void a_listing_goes_on_page_by_page(void **state) {
	(void)state;
	struct rule rules[] = {
	        {"GET", "continuation-token=t%2F%2B1%3D&encoding-type=url&list-type=2&prefix=p%2Fq%2Fa",
	                says(LIST("false", ITEM("p/q/ac", "3") ITEM("p/q/a%2Bforeign", "3"))), 0, NULL, 0},
	        {"GET", "/bucket/?encoding-type=url&list-type=2&prefix=p%2Fq%2Fa",
	                says(LIST("true", ITEM("p/q/a/1", "1") ITEM("p%2Fq%2Fab", "22") NEXT)), 0, NULL, 0},
	};
	char all[1024];
	assert_int_equal(list_with(rules, 2, all), -EIO); /* '+' stands before '/' */
	rules[0].answer = says(LIST("false", ITEM("p/q/ac", "3") ITEM("p/q/ac%2Bforeign", "3") ITEM("p/q/ad/", "0")));
	assert_rc(list_with(rules, 2, all));
	assert_string_equal(all, "a/1:1:! ab:22:! ac:3:! ");
}

static void a_listing_that_breaks_is_an_error(void **state) {
	(void)state;
	static const char first[] = LIST("true", ITEM("p/q/a1", "1") NEXT);
	static const char *const second[] = {"", "garbage", "<ListBucketResult>", "<html/>", "<ListBucketResult/>",
	        LIST("maybe", ""), LIST("true", ITEM("p/q/a2", "1")),                    /* no token */
	        LIST("true", ITEM("p/q/a2", "1") NEXT),                                  /* the same token */
	        LIST("false", ITEM("p/q/a0", "1")), LIST("false", ITEM("p/q/a1", "1")),  /* not in order */
	        LIST("false", ITEM("p/q/b", "1")), LIST("false", ITEM("other", "1")),    /* not asked for */
	        LIST("false", ITEM("p/q/a2", "-1")), LIST("false", ITEM("p/q/a2", "x")), /* no size */
	        LIST("false", "<Contents><Size>1</Size></Contents>"), LIST("false", ITEM("p/q/a%zz", "1")),
	        "<!DOCTYPE a [<!ENTITY b \"c\">]>" LIST("false", ITEM("p/q/a&b;", "1"))};
	for (size_t i = 0; i < sizeof second / sizeof second[0]; i++) {
		struct rule rules[] = {{"GET", "continuation-token=", says(second[i]), 0, NULL, 0},
		        {"GET", NULL, says(first), 0, NULL, 0}};
		char all[1024];
		int rc = list_with(rules, 2, all);
		if (rc != -EIO)
			fail_msg("second page %zu: %d, %s", i, rc, all);
	}
	struct rule denied[] = {
	        {"GET", "continuation-token=", refuses(403, ""), 0, NULL, 0}, {"GET", NULL, says(first), 0, NULL, 0}};
	char all[1024];
	assert_int_equal(list_with(denied, 2, all), -EACCES);
	struct rule passing[] = {{"GET", "continuation-token=", refuses(503, ""), 2, NULL, 0},
	        {"GET", "continuation-token=", says(LIST("false", "")), 0, NULL, 0},
	        {"GET", NULL, says(first), 0, NULL, 0}};
	assert_rc(list_with(passing, 3, all));
	assert_string_equal(all, "a1:1:! ");
}

#define VERSION(element, key, id, latest)                                               \
	"<" element "><Key>" key "</Key><VersionId>" id "</VersionId><IsLatest>" latest \
	"</IsLatest><LastModified>2026-11-28T09:16:00Z</LastModified></" element ">"
#define VERSIONS(truncated, more) \
	"<ListVersionsResult><IsTruncated>" truncated "</IsTruncated>" more "</ListVersionsResult>"

static void versions_are_told_with_their_markers(void **state) {
	(void)state;
	struct rule rules[] = {
	        {"GET", "key-marker=p%2Fq%2Fa&prefix=p%2Fq%2F&version-id-marker=v2&versions=",
	                says(VERSIONS("false",
	                        VERSION("Version", "p/q/a", "v1", "false") VERSION("Version", "p/q/b", "w", "true"))),
	                0, NULL, 0},
	        {"GET", "versions=",
	                says(VERSIONS("true",
	                        VERSION("DeleteMarker", "p/q/a", "v3", "true") VERSION("Version", "p/q/a", "v2",
	                                "false") "<NextKeyMarker>p/q/a</NextKeyMarker><NextVersionIdMarker>v2</"
	                                         "NextVersionIdMarker>")),
	                0, NULL, 0},
	};
	struct stage stage;
	char all[1024] = "";
	OPEN(&stage, rules);
	assert_rc(objects_versions(stage.objects, "", join, all));
	assert_string_equal(all, "a:0:v3!- a:0:v2 a:0:v1 b:0:w! ");
	close_stage(&stage);
}

/* ---- if absent ---- */

static int put_if_absent(struct stage *stage, struct bytes data) {
	struct object_request put = {.what = OBJECT_PUT, .name = "s", .data = data, .if_absent = true};
	return objects_do(stage->objects, &put, 1);
}

static void if_absent_asks_twice(void **state) {
	(void)state;
	struct stage stage;
	struct rule there[] = {{"HEAD", NULL, {.status = 200}, 0, NULL, 0}};
	OPEN(&stage, there);
	assert_int_equal(put_if_absent(&stage, bytes_of_string("x")), -EEXIST);
	close_stage(&stage);
	assert_string_equal(stage.script.asked, "HEAD /bucket/p/q/s\n");
	struct rule meanwhile[] = {
	        {"HEAD", NULL, {.status = 404}, 0, NULL, 0}, {"PUT", NULL, {.status = 412}, 0, "if-none-match: *", 0}};
	OPEN(&stage, meanwhile);
	assert_int_equal(put_if_absent(&stage, bytes_of_string("x")), -EEXIST);
	close_stage(&stage);
	struct rule unknown[] = {{"HEAD", NULL, {.status = 404}, 0, NULL, 0},
	        {"PUT", NULL, {.status = 501}, 0, "if-none-match", 0}, {"PUT", NULL, {.status = 200}, 0, NULL, 0}};
	OPEN(&stage, unknown);
	assert_rc(put_if_absent(&stage, bytes_of_string("x")));
	close_stage(&stage);
	struct rule denied[] = {{"HEAD", NULL, {.status = 403}, 0, NULL, 0}};
	OPEN(&stage, denied);
	assert_int_equal(put_if_absent(&stage, bytes_of_string("x")), -EACCES);
	close_stage(&stage);
}

static void a_lost_answer_is_told_from_somebody_elses_object(void **state) {
	(void)state;
	for (int ours = 0; ours < 2; ours++) {
		struct rule rules[] = {{"HEAD", NULL, {.status = 404}, 0, NULL, 0},
		        {"PUT", NULL, {.how = FAKE_HANG_UP}, 1, NULL, 0}, {"PUT", NULL, {.status = 412}, 0, NULL, 0},
		        {"GET", NULL,
		                {.status = 206,
		                        .headers = "Content-Range: bytes 0-3/4\r\n",
		                        .body = bytes_of_string("mine")},
		                0, NULL, 0}};
		struct stage stage;
		OPEN(&stage, rules);
		assert_int_equal(put_if_absent(&stage, bytes_of_string(ours ? "mine" : "else")), ours ? 0 : -EEXIST);
		close_stage(&stage);
	}
}

/* ---- removal ---- */

#define ENABLED "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"

static void all_versions_are_removed_oldest_first(void **state) {
	(void)state;
	struct rule rules[] = {{"GET", "versioning=", says(ENABLED), 0, NULL, 0},
	        {"GET", "versions=",
	                says(VERSIONS("false", VERSION("DeleteMarker", "p/q/a", "v3", "true")
	                                               VERSION("Version", "p/q/a", "v2", "false")
	                                                       VERSION("Version", "p/q/ab", "w", "true"))),
	                0, NULL, 0},
	        {"DELETE", NULL, {.status = 204}, 0, NULL, 0}};
	struct stage stage;
	OPEN(&stage, rules);
	assert_rc(objects_remove(stage.objects, "a"));
	close_stage(&stage);
	assert_non_null(
	        strstr(stage.script.asked, "DELETE /bucket/p/q/a?versionId=v2\nDELETE /bucket/p/q/a?versionId=v3\n"));
	assert_null(strstr(stage.script.asked, "versionId=w"));
}

static void a_denied_removal_asks_for_the_lock(void **state) {
	(void)state;
	static const char lock[] =
	        "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>%s</RetainUntilDate></Retention>";
	for (int locked = 0; locked < 2; locked++) {
		char text[200];
		(void)snprintf(text, sizeof text, lock, locked ? "2999-01-01T00:00:00.000Z" : "2001-01-01T00:00:00Z");
		struct rule rules[] = {{"GET", "versioning=", says(ENABLED), 0, NULL, 0},
		        {"GET", "versions=", says(VERSIONS("false", VERSION("Version", "p/q/a", "v1", "true"))), 0,
		                NULL, 0},
		        {"DELETE", NULL, refuses(403, "<Error><Code>AccessDenied</Code></Error>"), 0, NULL, 0},
		        {"GET", "retention=&versionId=v1", says(text), 0, NULL, 0}};
		struct stage stage;
		OPEN(&stage, rules);
		assert_int_equal(objects_remove(stage.objects, "a"), locked ? -EPERM : -EACCES);
		close_stage(&stage);
	}
}

/* As MinIO says it; and the same code of what is no lock. */
static void a_removal_that_worm_forbids_is_a_lock(void **state) {
	(void)state;
	static const char *const messages[] = {
	        "<Error><Code>InvalidRequest</Code><Message>Object is WORM protected and cannot be "
	        "overwritten</Message></Error>",
	        "<Error><Code>InvalidRequest</Code><Message>no such thing</Message></Error>"};
	for (int i = 0; i < 2; i++) {
		struct rule rules[] = {{"GET", "versioning=", says(ENABLED), 0, NULL, 0},
		        {"GET", "versions=", says(VERSIONS("false", VERSION("Version", "p/q/a", "v1", "true"))), 0,
		                NULL, 0},
		        {"DELETE", NULL, refuses(400, messages[i]), 0, NULL, 0},
		        {"GET", "retention=&versionId=v1", refuses(404, ""), 0, NULL, 0}};
		struct stage stage;
		OPEN(&stage, rules);
		assert_int_equal(objects_remove(stage.objects, "a"), i == 0 ? -EPERM : -EINVAL);
		close_stage(&stage);
	}
}

static void without_versions_a_name_is_removed(void **state) {
	(void)state;
	struct rule rules[] = {{"GET", "versioning=", says("<VersioningConfiguration/>"), 0, NULL, 0},
	        {"DELETE", NULL, {.status = 204}, 0, NULL, 0}};
	struct stage stage;
	OPEN(&stage, rules);
	assert_rc(objects_remove(stage.objects, "a"));
	assert_rc(objects_remove(stage.objects, "b"));
	close_stage(&stage);
	assert_string_equal(
	        stage.script.asked, "GET /bucket/?versioning=\nDELETE /bucket/p/q/a\nDELETE /bucket/p/q/b\n");
}

/* ---- uploads in parts ---- */

#define BEGUN "<InitiateMultipartUploadResult><UploadId>u/1</UploadId></InitiateMultipartUploadResult>"

static int put_long(struct rule *rules, size_t count, char *asked, size_t room) {
	static uint8_t data[33 * MIB];
	struct stage stage;
	open_stage(&stage, rules, count);
	int rc = objects_put(stage.objects, "l", bytes_of(data, sizeof data));
	close_stage(&stage);
	(void)snprintf(asked, room, "%s", stage.script.asked);
	return rc;
}

static void long_objects_go_in_parts(void **state) {
	(void)state;
	char asked[4096];
	struct rule rules[] = {{"POST", "uploads=", says(BEGUN), 0, NULL, 0},
	        {"PUT", "partNumber=2", {.status = 500}, 1, NULL, 0},
	        {"PUT", "partNumber=", {.headers = "ETag: \"abc1\"\r\n"}, 0, NULL, 0},
	        {"POST", "uploadId=u%2F1", says("<CompleteMultipartUploadResult/>"), 0,
	                "<Part><PartNumber>3</PartNumber><ETag>\"abc1\"</ETag></Part></CompleteMultipartUpload>", 0}};
	assert_rc(put_long(rules, 4, asked, sizeof asked));
	assert_null(strstr(asked, "DELETE"));
	assert_int_equal(rules[2].seen, 3);
}

static void an_upload_that_fails_is_aborted(void **state) {
	(void)state;
	char asked[4096];
	struct rule refused[] = {{"POST", "uploads=", says(BEGUN), 0, NULL, 0},
	        {"PUT", "partNumber=2", refuses(403, "<Error><Code>QuotaExceeded</Code></Error>"), 0, NULL, 0},
	        {"PUT", "partNumber=", {.headers = "ETag: \"abc1\"\r\n"}, 0, NULL, 0},
	        {"DELETE", "uploadId=u%2F1", {.status = 204}, 0, NULL, 0}};
	assert_int_equal(put_long(refused, 4, asked, sizeof asked), -EDQUOT);
	assert_int_equal(refused[3].seen, 1);
	/* An error within a good status, which S3 sends when completing takes long. */
	struct rule late[] = {{"POST", "uploads=", says(BEGUN), 0, NULL, 0},
	        {"PUT", "partNumber=", {.headers = "ETag: \"abc1\"\r\n"}, 0, NULL, 0},
	        {"POST", "uploadId=", says("  <Error><Code>InternalError</Code></Error>"), 0, NULL, 0},
	        {"DELETE", "uploadId=u%2F1", {.status = 204}, 0, NULL, 0}};
	assert_int_equal(put_long(late, 4, asked, sizeof asked), -EIO);
	assert_int_equal(late[3].seen, 1);
	struct rule hostile[] = {{"POST", "uploads=", says(BEGUN), 0, NULL, 0},
	        {"PUT", "partNumber=", {.headers = "ETag: \"</ETag>\"\r\n"}, 0, NULL, 0},
	        {"DELETE", "uploadId=u%2F1", {.status = 204}, 0, NULL, 0}};
	assert_int_equal(put_long(hostile, 3, asked, sizeof asked), -EIO);
	struct rule lost[] = {{"POST", "uploads=", says(BEGUN), 0, NULL, 0},
	        {"PUT", "partNumber=", {.headers = "ETag: \"abc1\"\r\n"}, 0, NULL, 0},
	        {"POST", "uploadId=", {.how = FAKE_HANG_UP}, 1, NULL, 0},
	        {"POST", "uploadId=", refuses(404, "<Error><Code>NoSuchUpload</Code></Error>"), 0, NULL, 0},
	        {"HEAD", NULL, {.claimed = 33 * MIB}, 0, NULL, 0}};
	assert_rc(put_long(lost, 5, asked, sizeof asked));
}

static void stale_uploads_are_aborted(void **state) {
	(void)state;
	struct rule rules[] = {{"GET", "uploads=",
	                               says("<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"
	                                    "<Upload><Key>p/q/a</Key><UploadId>u1</"
	                                    "UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>"
	                                    "<Upload><Key>p/q/a</Key><UploadId>u2</"
	                                    "UploadId><Initiated>2026-03-01T00:00:00.000Z</Initiated></Upload>"
	                                    "</ListMultipartUploadsResult>"),
	                               0, NULL, 0},
	        {"DELETE", NULL, {.status = 204}, 0, NULL, 0}};
	struct stage stage;
	OPEN(&stage, rules);
	assert_rc(objects_tidy(stage.objects, 1769904000)); /* 2026-02-01 */
	close_stage(&stage);
	assert_non_null(strstr(stage.script.asked, "DELETE /bucket/p/q/a?uploadId=u1\n"));
	assert_null(strstr(stage.script.asked, "uploadId=u2"));
}

/* ---- the bucket ---- */

static int prepare_with(struct rule *rules, size_t count, bool create) {
	struct stage stage;
	open_stage(&stage, rules, count);
	int rc = objects_prepare(stage.objects, create, true);
	close_stage(&stage);
	return rc;
}

static void prepare_looks_makes_and_tries(void **state) {
	(void)state;
	struct rule rules[] = {{"HEAD", NULL, {.status = 404}, 0, NULL, 0},
	        {"PUT", "/bucket/", {.status = 200}, 0, "x-amz-bucket-object-lock-enabled: true", 0},
	        {"GET", "object-lock=",
	                says("<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></"
	                     "ObjectLockConfiguration>"),
	                0, NULL, 0},
	        {"POST", "/bucket/p/q/probe?uploads=", says(BEGUN), 0, NULL, 0},
	        {"DELETE", "/bucket/p/q/probe?uploadId=u%2F1", {.status = 204}, 0, NULL, 0}};
	assert_rc(prepare_with(rules, 5, true));
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(rules[i].seen, 1);
	assert_int_equal(prepare_with(rules, 5, false), -ENOENT);
	rules[0].answer.status = 403;
	assert_int_equal(prepare_with(rules, 5, true), -EACCES);
	rules[0].answer.status = 200;
	rules[3].answer.status = 403;
	assert_int_equal(prepare_with(rules, 5, true), -EACCES);
	rules[2].answer = refuses(404, "<Error><Code>ObjectLockConfigurationNotFoundError</Code></Error>");
	assert_int_equal(prepare_with(rules, 5, true), -ENOTSUP);
}

static void a_lock_is_put_with_its_digest(void **state) {
	(void)state;
	struct rule rules[] = {{"PUT", "/bucket/p/q/a?retention=", {.status = 200}, 0,
	                               "<RetainUntilDate>2026-11-28T09:16:00Z</RetainUntilDate>", 0},
	        {"PUT", "/bucket/p/q/a", {.status = 200}, 0, "content-md5: XrY7u+Ae7tCTyyK7j1rNww==", 0}};
	struct stage stage;
	OPEN(&stage, rules);
	assert_rc(objects_lock(stage.objects, "a", 1795857360));
	struct object_request put = {
	        .what = OBJECT_PUT, .name = "a", .data = bytes_of_string("hello world"), .locked_until_s = 1795857360};
	assert_rc(objects_do(stage.objects, &put, 1));
	close_stage(&stage);
}

int main(void) {
	static const char *const out[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "AWS_PROFILE",
	        "AWS_REGION", "AWS_DEFAULT_REGION"};
	for (size_t i = 0; i < sizeof out / sizeof out[0]; i++)
		(void)unsetenv(out[i]);
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_listing_goes_on_page_by_page),
	        cmocka_unit_test(a_listing_that_breaks_is_an_error),
	        cmocka_unit_test(versions_are_told_with_their_markers),
	        cmocka_unit_test(if_absent_asks_twice),
	        cmocka_unit_test(a_lost_answer_is_told_from_somebody_elses_object),
	        cmocka_unit_test(all_versions_are_removed_oldest_first),
	        cmocka_unit_test(a_denied_removal_asks_for_the_lock),
	        cmocka_unit_test(a_removal_that_worm_forbids_is_a_lock),
	        cmocka_unit_test(without_versions_a_name_is_removed),
	        cmocka_unit_test(long_objects_go_in_parts),
	        cmocka_unit_test(an_upload_that_fails_is_aborted),
	        cmocka_unit_test(stale_uploads_are_aborted),
	        cmocka_unit_test(prepare_looks_makes_and_tries),
	        cmocka_unit_test(a_lock_is_put_with_its_digest),
	};
	return cmocka_run_group_tests_name("s3", tests, NULL, NULL);
}
