#include "crypto/sigv4.h"

#include "crypto/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

/* The examples of "Authenticating Requests: Using the Authorization Header" of the Amazon S3 API Reference. */
static const struct sigv4_key example = {.access_key = "AKIAIOSFODNN7EXAMPLE",
        .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        .region = "us-east-1",
        .service = "s3"};
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HOST "examplebucket.s3.amazonaws.com"
#define DATE "20130524T000000Z"
#define SCOPE "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"

static void expect(const struct sigv4_request *request, const char *names, const char *signature) {
	_cleanup_(freep) char *text = NULL;
	char wanted[512];
	assert_int_equal(sigv4_sign(&example, request, &text), 0);
	(void)snprintf(wanted, sizeof wanted, SCOPE "SignedHeaders=%s,Signature=%s", names, signature);
	assert_string_equal(text, wanted);
}

static void the_get_example_is_signed(void **state) {
	(void)state;
	const struct sigv4_pair headers[] = {
	        {"range", "bytes=0-9"}, {"x-amz-content-sha256", EMPTY}, {"host", HOST}, {"x-amz-date", DATE}};
	struct sigv4_request request = {"GET", "/test.txt", "", headers, 4, EMPTY, DATE};
	expect(&request, "host;range;x-amz-content-sha256;x-amz-date",
	        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
	_cleanup_(freep) char *canonical = NULL;
	assert_int_equal(sigv4_canonical_request(&request, &canonical), 0);
	assert_string_equal(canonical, "GET\n/test.txt\n\nhost:" HOST "\nrange:bytes=0-9\nx-amz-content-sha256:" EMPTY
	                               "\nx-amz-date:" DATE "\n\nhost;range;x-amz-content-sha256;x-amz-date\n" EMPTY);
}

static void the_put_example_is_signed(void **state) {
	(void)state;
	char hash[DIGEST_HEX_BYTES];
	uint8_t digest[DIGEST_BYTES];
	sha256(bytes_of_string("Welcome to Amazon S3."), digest);
	digest_hex(digest, hash);
	assert_string_equal(hash, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
	_cleanup_(freep) char *path = NULL;
	assert_int_equal(sigv4_encode_path("/test$file.text", &path), 0);
	assert_string_equal(path, "/test%24file.text");
	const struct sigv4_pair headers[] = {{"date", "Fri, 24 May 2013 00:00:00 GMT"}, {"host", HOST},
	        {"x-amz-date", DATE}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}, {"x-amz-content-sha256", hash}};
	struct sigv4_request request = {"PUT", path, "", headers, 5, hash, DATE};
	expect(&request, "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void the_query_examples_are_signed(void **state) {
	(void)state;
	const struct sigv4_pair headers[] = {{"host", HOST}, {"x-amz-content-sha256", EMPTY}, {"x-amz-date", DATE}};
	static const char names[] = "host;x-amz-content-sha256;x-amz-date";
	_cleanup_(freep) char *lifecycle = NULL;
	assert_int_equal(sigv4_query(&(struct sigv4_pair){"lifecycle", ""}, 1, &lifecycle), 0);
	struct sigv4_request request = {"GET", "/", lifecycle, headers, 3, EMPTY, DATE};
	expect(&request, names, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
	_cleanup_(freep) char *list = NULL;
	const struct sigv4_pair params[] = {{"prefix", "J"}, {"max-keys", "2"}};
	assert_int_equal(sigv4_query(params, 2, &list), 0);
	request.query = list;
	expect(&request, names, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void a_query_is_encoded_and_sorted(void **state) {
	(void)state;
	const struct sigv4_pair params[] = {
	        {"b", "2"}, {"a-b", "x/y z+~"}, {"a", "\xc3\xa9="}, {"a", "1"}, {"uploads", ""}};
	_cleanup_(freep) char *query = NULL;
	assert_int_equal(sigv4_query(params, 5, &query), 0);
	assert_string_equal(query, "a=%C3%A9%3D&a=1&a-b=x%2Fy%20z%2B~&b=2&uploads=");
	_cleanup_(freep) char *none = NULL;
	assert_int_equal(sigv4_query(NULL, 0, &none), 0);
	assert_string_equal(none, "");
}

static void headers_are_trimmed_and_joined(void **state) {
	(void)state;
	const struct sigv4_pair headers[] = {{"my", "  a   b\t\n c  "}, {"host", "h"}, {"my", "z"}, {"empty", ""}};
	struct sigv4_request request = {"GET", "/a", "", headers, 4, EMPTY, DATE};
	_cleanup_(freep) char *text = NULL;
	assert_int_equal(sigv4_canonical_request(&request, &text), 0);
	assert_string_equal(text, "GET\n/a\n\nempty:\nhost:h\nmy:a b c,z\n\nempty;host;my\n" EMPTY);
}

static void dates_are_written_in_utc(void **state) {
	(void)state;
	char date[SIGV4_DATE_BYTES];
	sigv4_date(1369353600, date);
	assert_string_equal(date, DATE);
	sigv4_date(951827696, date);
	assert_string_equal(date, "20000229T123456Z");
	sigv4_date(INT64_MAX, date);
	assert_string_equal(date, "19700101T000000Z");
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_get_example_is_signed),
	        cmocka_unit_test(the_put_example_is_signed),
	        cmocka_unit_test(the_query_examples_are_signed),
	        cmocka_unit_test(a_query_is_encoded_and_sorted),
	        cmocka_unit_test(headers_are_trimmed_and_joined),
	        cmocka_unit_test(dates_are_written_in_utc),
	};
	return cmocka_run_group_tests_name("sigv4", tests, NULL, NULL);
}
