#include "backend/objects/s3_answers.h"

#include "backend/objects/s3_xml.h"
#include "tests/backend/scratch.h"

#include <stdio.h>
#include <string.h>

static int tell(void *arg, const char *path, const char *text) {
	char *all = arg;
	(void)snprintf(all + strlen(all), 512 - strlen(all), text ? "%s=%s;" : "%s;", path, text);
	return strcmp(path, "a/stop") == 0 ? -ECANCELED : 0;
}

static int walk(const char *document, char all[static 512]) {
	all[0] = '\0';
	return s3_xml_walk(bytes_of_string(document), tell, all);
}

static void elements_are_told_with_their_text(void **state) {
	(void)state;
	char all[512];
	assert_rc(walk("<?xml version='1.0'?>\n<a x='1'><b> one &amp; &#x32; </b><c/>\n tail </a>", all));
	assert_string_equal(all, "a;a/b;a/b=one & 2;a/c;a/c=;a=tail;");
	assert_int_equal(walk("<a><stop/><b/></a>", all), -ECANCELED);
	assert_string_equal(all, "a;a/stop;");
}

static void what_is_no_plain_document_is_refused(void **state) {
	(void)state;
	char all[512];
	static const char *const bad[] = {"", "x", "<a>", "<a></b>", "<a/><b/>", "<a>\x01</a>", "<a>\xff</a>",
	        "<a>&b;</a>", "<!DOCTYPE a><a/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
	        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(walk(bad[i], all), -EBADMSG);
	char deep[8 * (S3_XML_DEPTH_MAX + 1) + 1] = "";
	for (size_t i = 0; i <= S3_XML_DEPTH_MAX; i++)
		strcat(deep, "<d>");
	for (size_t i = 0; i <= S3_XML_DEPTH_MAX; i++)
		strcat(deep, "</d>");
	assert_int_equal(walk(deep, all), -EBADMSG);
	static char long_name[600] = "<a><";
	memset(long_name + 4, 'n', 300);
	strcat(long_name, "/></a>");
	assert_int_equal(walk(long_name, all), -EBADMSG);
	_cleanup_(freep) char *long_text = calloc(1, S3_XML_TEXT_MAX + 20);
	memcpy(long_text, "<a>", 3);
	memset(long_text + 3, 't', S3_XML_TEXT_MAX + 1);
	strcat(long_text, "</a>");
	assert_int_equal(walk(long_text, all), -EBADMSG);
	_cleanup_(freep) uint8_t *large = calloc(1, S3_XML_BYTES_MAX + 1);
	assert_int_equal(s3_xml_walk(bytes_of(large, S3_XML_BYTES_MAX + 1), tell, all), -EBADMSG);
}

static void errors_are_told_from_other_answers(void **state) {
	(void)state;
	struct s3_error error = {0};
	assert_rc(s3_error_parse(bytes_of_string("<Error><Code>NoSuchKey</Code><Message>not\n there\xc3\xa9</Message>"
	                                         "<RequestId>tx1</RequestId><Region>eu</Region></Error>"),
	        &error));
	assert_string_equal(error.code, "NoSuchKey");
	assert_string_equal(error.message, "not? there??");
	assert_string_equal(error.request_id, "tx1");
	assert_string_equal(error.region, "eu");
	static const char *const others[] = {"", "<html>", "<a><Error/></a>", "<Error><Code>x", "nothing"};
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		assert_int_equal(s3_error_parse(bytes_of_string(others[i]), &error), -ENOENT);
	char longer[2000] = "<Error><Code>";
	memset(longer + strlen(longer), 'c', 1000);
	strcat(longer, "</Code></Error>");
	assert_rc(s3_error_parse(bytes_of_string(longer), &error));
	assert_int_equal(strlen(error.code), sizeof error.code - 1);
}

static void times_are_read_as_s3_writes_them(void **state) {
	(void)state;
	int64_t time_s = 0;
	assert_true(s3_time_parse("2026-11-28T09:16:00.000Z", &time_s));
	assert_int_equal(time_s, 1795857360);
	assert_true(s3_time_parse("1970-01-01T00:00:01Z", &time_s));
	assert_int_equal(time_s, 1);
	static const char *const bad[] = {"", "2026", "2026-11-28", "2026-11-28T09:16:00", "2026-11-28T09:16:00+01:00",
	        "2026-13-28T09:16:00Z", "2026-11-28T09:16:00.12", "Sat, 28 Nov 2026 09:16:00 GMT"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(s3_time_parse(bad[i], &time_s));
	assert_int_equal(time_s, 1);
}

static void a_page_is_whole_or_none(void **state) {
	(void)state;
	struct s3_page page = {0};
	assert_rc(s3_page_parse(
	        bytes_of_string("<ListBucketResult><Contents><Key>a%20b</Key><Size>18446744073</Size><Owner><ID>x</ID>"
	                        "</Owner></Contents><IsTruncated>true</IsTruncated><CommonPrefixes><Prefix>p</Prefix>"
	                        "</CommonPrefixes><NextContinuationToken>t</NextContinuationToken></ListBucketResult>"),
	        &page));
	assert_int_equal(page.count, 1);
	assert_string_equal(page.entries[0].key, "a b");
	assert_string_equal(page.entries[0].version, "");
	assert_int_equal(page.entries[0].size, 18446744073);
	assert_true(page.is_truncated);
	assert_string_equal(page.next, "t");
	s3_page_clear(&page);
	static const char *const bad[] = {"<ListBucketResult/>", "<Other/>",
	        "<ListBucketResults><IsTruncated>false</IsTruncated></ListBucketResults>",
	        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
	        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken/></ListBucketResult>",
	        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents/></ListBucketResult>",
	        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key><Key>b</Key></Contents>"
	        "</ListBucketResult>",
	        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a%</Key></Contents></"
	        "ListBucketResult>",
	        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>%00</Key></Contents></"
	        "ListBucketResult>"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(s3_page_parse(bytes_of_string(bad[i]), &page), -EBADMSG);
		assert_int_equal(page.count, 0);
	}
}

static void one_text_is_found_by_its_path(void **state) {
	(void)state;
	char text[8];
	struct bytes answer = bytes_of_string("<A><B>x</B><C><B>inner</B></C><D>far too long</D></A>");
	assert_rc(s3_text_parse(answer, "A/C/B", text, sizeof text));
	assert_string_equal(text, "inner");
	assert_rc(s3_text_parse(answer, "A/D", text, sizeof text));
	assert_string_equal(text, "");
	assert_rc(s3_text_parse(answer, "A/X", text, sizeof text));
	assert_string_equal(text, "");
	assert_int_equal(s3_text_parse(bytes_of_string("<A>"), "A", text, sizeof text), -EBADMSG);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(elements_are_told_with_their_text),
	        cmocka_unit_test(what_is_no_plain_document_is_refused),
	        cmocka_unit_test(errors_are_told_from_other_answers),
	        cmocka_unit_test(times_are_read_as_s3_writes_them),
	        cmocka_unit_test(a_page_is_whole_or_none),
	        cmocka_unit_test(one_text_is_found_by_its_path),
	};
	return cmocka_run_group_tests_name("s3_answers", tests, NULL, NULL);
}
