/* What the client makes of servers that fail; a server that works is tried in services_s3. */
#include "backend/objects/s3_http.h"

#include "backend/objects/s3.h"
#include "crypto/base/deadline.h"
#include "tests/backend/objects/fake_http.h"
#include "tests/backend/scratch.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What the server is to do with the first `times` requests; then it answers well. */
struct plan {
	struct fake_answer bad;
	unsigned times;
	struct fake_answer good;
	char last_head[4096]; /* of the last request */
	char first_date[32];
};

static void follow(void *arg, const struct fake_request *request, struct fake_answer *answer) {
	struct plan *plan = arg;
	(void)snprintf(plan->last_head, sizeof plan->last_head, "%s", request->head);
	if (request->number == 0)
		fake_header(request, "x-amz-date", plan->first_date, sizeof plan->first_date);
	*answer = request->number < plan->times ? plan->bad : plan->good;
	if (answer->status == 0)
		answer->status = 200;
}

static const struct s3_tuning hasty = {.pause_ms = 4, .stall_s = 1, .connect_ms = 1000};

static Objects *open_tuned(const char *endpoint, unsigned parallel, const struct s3_tuning *tuning, void **ret_s3) {
	struct objects_place place = {.url = "s3://bucket/p",
	        .endpoint = endpoint,
	        .access_key = "AKEXAMPLE",
	        .secret_key = "SECRETEXAMPLE",
	        .session_token = "TOKENEXAMPLE",
	        .parallel = parallel};
	void *s3 = NULL;
	Objects *objects = NULL;
	assert_rc(s3_open(&place, tuning, &s3));
	assert_rc(objects_wrap(&s3_ops, s3, place.url, &objects));
	if (ret_s3)
		*ret_s3 = s3;
	return objects;
}

static Objects *open_with(const char *endpoint, unsigned parallel, void **ret_s3) {
	return open_tuned(endpoint, parallel, &hasty, ret_s3);
}

static struct bytes error_text(const char *code, const char *message) {
	static char text[600];
	(void)snprintf(text, sizeof text,
	        "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>%s</Message>"
	        "<RequestId>REQ1</RequestId></Error>",
	        code, message);
	return bytes_of_string(text);
}

/* Puts against a server that fails so often; what comes of it, and how many requests were needed. */
static int put_after(struct plan *plan, unsigned *ret_requests) {
	FakeHttp *fake = fake_http_open(follow, plan);
	Objects *objects = open_with(fake_http_url(fake), 0, NULL);
	int rc = objects_put(objects, "a", bytes_of_string("data"));
	*ret_requests = fake_http_counts(fake).requests;
	objects_close(objects);
	fake_http_close(fake);
	return rc;
}

static void what_passes_is_tried_again(void **state) {
	(void)state;
	const struct fake_answer bad[] = {
	        {.status = 500, .body = error_text("InternalError", "We are sorry")},
	        {.status = 503},
	        {.status = 502, .body = bytes_of_string("<html>Bad gateway")},
	        {.status = 429},
	        {.status = 408},
	        {.how = FAKE_HANG_UP},
	        {.status = 200, .claimed = 100, .how = FAKE_CUT},
	        {.how = FAKE_STALL, .claimed = 10, .status = 200},
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct plan plan = {.bad = bad[i], .times = 1};
		unsigned requests = 0;
		assert_rc(put_after(&plan, &requests));
		assert_int_equal(requests, 2);
	}
	struct plan slow = {.bad = {.status = 503, .body = error_text("SlowDown", "Please reduce")}, .times = 4};
	unsigned requests = 0;
	assert_rc(put_after(&slow, &requests));
	assert_int_equal(requests, 5);
	struct plan by_code = {.bad = {.status = 400, .body = error_text("RequestTimeout", "idle")}, .times = 2};
	assert_rc(put_after(&by_code, &requests));
	assert_int_equal(requests, 3);
	struct plan in_good = {.bad = {.status = 200, .body = error_text("InternalError", "late")}, .times = 1};
	assert_rc(put_after(&in_good, &requests));
	assert_int_equal(requests, 2);
}

static void what_does_not_pass_is_told(void **state) {
	(void)state;
	const struct {
		int rc;
		unsigned requests;
		struct fake_answer bad;
	} cases[] = {
	        {-EIO, 5, {.status = 500}},
	        {-EIO, 5, {.status = 503, .body = bytes_of_string("SlowDown")}},
	        {-EIO, 5, {.how = FAKE_HANG_UP}},
	        {-ETIMEDOUT, 3, {.how = FAKE_STALL, .claimed = 10, .status = 200}},
	        {-EACCES, 1, {.status = 403}},
	        {-EACCES, 1, {.status = 401}},
	        {-ENOENT, 1, {.status = 404}},
	        {-EEXIST, 1, {.status = 412}},
	        {-EDQUOT, 1, {.status = 507}},
	        {-EINVAL, 1, {.status = 400}},
	        {-EINVAL, 1, {.status = 301, .headers = "Location: http://127.0.0.1:1/\r\n"}},
	        {-EINVAL, 1, {.status = 307, .headers = "Location: http://127.0.0.1:1/\r\n"}},
	        {-ENOTSUP, 1, {.status = 501}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct plan plan = {.bad = cases[i].bad, .times = 100};
		unsigned requests = 0;
		fault_clear();
		assert_int_equal(put_after(&plan, &requests), cases[i].rc);
		assert_int_equal(requests, cases[i].requests);
		assert_non_null(strstr(fault_message(), "s3://bucket/p/a"));
	}
}

static void codes_are_read_and_told(void **state) {
	(void)state;
	const struct {
		int rc, status;
		const char *code, *message, *words;
	} cases[] = {
	        {-EDQUOT, 403, "QuotaExceeded", "", "QuotaExceeded"},
	        {-EPERM, 403, "AccessDenied", "forbidden by object lock", "object lock"},
	        {-EPERM, 403, "AccessDenied", "Access Denied because object protected by object lock.", "object lock"},
	        {-EACCES, 403, "AccessDenied", "Access Denied", "AccessDenied: Access Denied"},
	        {-EACCES, 400, "ExpiredToken", "The token has expired", "expired"},
	        {-EACCES, 403, "InvalidAccessKeyId", "unknown", "InvalidAccessKeyId"},
	        {-ENOENT, 404, "NoSuchBucket", "no bucket", "no bucket (HTTP 404) (request REQ1)"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct plan plan = {.times = 100};
		plan.bad = (struct fake_answer){
		        .status = cases[i].status, .body = error_text(cases[i].code, cases[i].message)};
		unsigned requests = 0;
		assert_int_equal(put_after(&plan, &requests), cases[i].rc);
		assert_int_equal(requests, 1);
		assert_non_null(strstr(fault_message(), cases[i].words));
	}
	struct plan region = {.times = 9, .bad = {.status = 301, .headers = "x-amz-bucket-region: eu-west-3\r\n"}};
	unsigned requests = 0;
	assert_int_equal(put_after(&region, &requests), -EINVAL);
	assert_non_null(strstr(fault_message(), "eu-west-3"));
}

static void credentials_are_in_no_words(void **state) {
	(void)state;
	struct plan plan = {.times = 100};
	plan.bad = (struct fake_answer){.status = 403,
	        .body = error_text("AccessDenied", "AKEXAMPLE with TOKENEXAMPLE may not do\n this\x01 thing")};
	unsigned requests = 0;
	assert_int_equal(put_after(&plan, &requests), -EACCES);
	assert_null(strstr(fault_message(), "EXAMPLE"));
	plan.bad.body = error_text("AccessDenied", "AKEXAMPLE may not");
	assert_int_equal(put_after(&plan, &requests), -EACCES);
	assert_null(strstr(fault_message(), "EXAMPLE"));
	assert_non_null(strstr(fault_message(), "AccessDenied"));
	/* They were sent, the secret key never. */
	assert_non_null(strstr(plan.last_head, "TOKENEXAMPLE"));
	assert_non_null(strstr(plan.last_head, "AKEXAMPLE"));
	assert_null(strstr(plan.last_head, "SECRETEXAMPLE"));
	assert_null(strstr(plan.last_head, "UNSIGNED"));
}

static void a_wrong_clock_is_corrected(void **state) {
	(void)state;
	char header[80];
	time_t theirs = time(NULL) + 7200;
	struct tm tm;
	assert_non_null(gmtime_r(&theirs, &tm));
	(void)strftime(header, sizeof header, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
	struct plan plan = {.times = 1};
	plan.bad = (struct fake_answer){
	        .status = 403, .headers = header, .body = error_text("RequestTimeTooSkewed", "too large")};
	unsigned requests = 0;
	assert_rc(put_after(&plan, &requests));
	assert_int_equal(requests, 2);
	char second[SIGV4_DATE_BYTES];
	sigv4_date(theirs, second);
	char line[64];
	(void)snprintf(line, sizeof line, "x-amz-date: %.11s", second);
	assert_non_null(strstr(plan.last_head, line));
	assert_string_not_equal(plan.first_date, second);
	plan.times = 100;
	assert_int_equal(put_after(&plan, &requests), -EACCES);
	assert_int_equal(requests, 3);
}

static void nobody_there_is_refused(void **state) {
	(void)state;
	FakeHttp *fake = fake_http_open(follow, NULL);
	char url[64];
	(void)snprintf(url, sizeof url, "%s", fake_http_url(fake));
	fake_http_close(fake);
	void *s3 = NULL;
	_cleanup_(objects_closep) Objects *objects = open_with(url, 0, &s3);
	assert_int_equal(objects_put(objects, "a", bytes_of_string("x")), -ECONNREFUSED);
	assert_int_equal(s3_http_counts(s3_http_of(s3)).attempts, 5);
	assert_int_equal(s3_http_counts(s3_http_of(s3)).retries, 4);
	_cleanup_(objects_closep) Objects *unknown = open_with("http://no-such-host.invalid", 0, NULL);
	assert_int_equal(objects_put(unknown, "a", bytes_of_string("x")), -EHOSTUNREACH);
}

/* ---- bodies ---- */

static int get_of(const struct fake_answer *good, uint64_t offset, size_t size, size_t *ret_got) {
	struct plan plan = {.good = *good};
	uint8_t into[16];
	FakeHttp *fake = fake_http_open(follow, &plan);
	Objects *objects = open_with(fake_http_url(fake), 0, NULL);
	int rc = objects_get(objects, "a", offset, into, size, ret_got);
	objects_close(objects);
	fake_http_close(fake);
	return rc;
}

static void only_what_was_asked_for_is_taken(void **state) {
	(void)state;
	const struct {
		uint64_t offset;
		size_t size;
		int rc;
		size_t got;
		struct fake_answer good;
	} cases[] = {
	        {0, 4, 0, 4,
	                {.status = 206, .headers = "Content-Range: bytes 0-3/9\r\n", .body = bytes_of_string("abcd")}},
	        {5, 8, 0, 4,
	                {.status = 206, .headers = "Content-Range: bytes 5-8/9\r\n", .body = bytes_of_string("abcd")}},
	        {9, 8, 0, 0, {.status = 416}},
	        /* A server without ranges: from the start it will do. */
	        {0, 4, 0, 4, {.status = 200, .body = bytes_of_string("abcdefgh")}},
	        {0, 9, 0, 8, {.status = 200, .body = bytes_of_string("abcdefgh")}},
	        {2, 4, -EIO, 0, {.status = 200, .body = bytes_of_string("abcdefgh")}},
	        /* Too much, too little, another part, none said. */
	        {0, 4, -EIO, 0,
	                {.status = 206,
	                        .headers = "Content-Range: bytes 0-7/9\r\n",
	                        .body = bytes_of_string("abcdefgh")}},
	        {0, 4, -EIO, 0,
	                {.status = 206, .headers = "Content-Range: bytes 0-2/9\r\n", .body = bytes_of_string("abc")}},
	        {0, 4, -EIO, 0,
	                {.status = 206, .headers = "Content-Range: bytes 1-4/9\r\n", .body = bytes_of_string("abcd")}},
	        {0, 4, -EIO, 0, {.status = 206, .body = bytes_of_string("abcd")}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		size_t got = 0;
		int rc = get_of(&cases[i].good, cases[i].offset, cases[i].size, &got);
		if (rc != cases[i].rc || got != cases[i].got)
			fail_msg("case %zu: %d, %zu bytes: %s", i, rc, got, fault_message());
	}
}

static void a_body_that_was_cut_is_got_again(void **state) {
	(void)state;
	struct plan plan = {.times = 2,
	        .bad = {.status = 206,
	                .headers = "Content-Range: bytes 0-7/8\r\n",
	                .body = bytes_of_string("abc"),
	                .claimed = 8,
	                .how = FAKE_CUT},
	        .good = {.status = 206,
	                .headers = "Content-Range: bytes 0-7/8\r\n",
	                .body = bytes_of_string("ABCDEFGH")}};
	uint8_t into[8];
	size_t got = 0;
	FakeHttp *fake = fake_http_open(follow, &plan);
	Objects *objects = open_with(fake_http_url(fake), 0, NULL);
	assert_rc(objects_get(objects, "a", 0, into, sizeof into, &got));
	assert_int_equal(got, 8);
	assert_memory_equal(into, "ABCDEFGH", 8);
	assert_int_equal(fake_http_counts(fake).requests, 3);
	objects_close(objects);
	fake_http_close(fake);
}

static void endless_answers_are_cut(void **state) {
	(void)state;
	size_t size = (size_t)9 << 20;
	_cleanup_(freep) uint8_t *much = malloc(size);
	memset(much, ' ', size);
	struct plan plan = {.good = {.body = bytes_of(much, size)}};
	unsigned requests = 0;
	assert_int_equal(put_after(&plan, &requests), -EIO);
	assert_int_equal(requests, 1);
}

/* ---- time ---- */

#define SLOW_BYTES ((size_t)64 << 10)

static int nothing(void *arg, const struct object_info *object) {
	(void)arg;
	(void)object;
	return 0;
}

/* Gets an object that the server drips, so many bytes a second. */
static int get_dripping(const struct s3_tuning *tuning, size_t rate, unsigned *ret_requests) {
	_cleanup_(freep) uint8_t *object = malloc(SLOW_BYTES);
	_cleanup_(freep) uint8_t *into = calloc(1, SLOW_BYTES);
	size_t got = 0;
	memset(object, 'x', SLOW_BYTES);
	struct plan plan = {.good = {.status = 206,
	                            .headers = "Content-Range: bytes 0-65535/65536\r\n",
	                            .body = bytes_of(object, SLOW_BYTES),
	                            .drip_bytes = rate / 20}};
	FakeHttp *fake = fake_http_open(follow, &plan);
	Objects *objects = open_tuned(fake_http_url(fake), 0, tuning, NULL);
	int rc = objects_get(objects, "a", 0, into, SLOW_BYTES, &got);
	*ret_requests = fake_http_counts(fake).requests;
	objects_close(objects);
	fake_http_close(fake);
	if (rc == 0)
		assert_true(got == SLOW_BYTES && memcmp(into, object, SLOW_BYTES) == 0);
	return rc;
}

static void says(const char *words) {
	if (!strstr(fault_message(), words))
		fail_msg("not '%s': %s", words, fault_message());
}

/* Faster than what counts as a stall: all of it would take 32 s, and it may take 0.3 s and a half. */
static void a_server_that_drips_is_left(void **state) {
	(void)state;
	static const struct s3_tuning tuning = {.pause_ms = 4, .stall_s = 1, .base_ms = 300, .least_rate = 128 << 10};
	unsigned requests = 0;
	int64_t before = monotonic_ms();
	assert_int_equal(get_dripping(&tuning, 2048, &requests), -ETIMEDOUT);
	assert_int_equal(requests, 3);
	assert_in_range(monotonic_ms() - before, 3 * 790, 20000);
	says("GET s3://bucket/p/a");
	says(" bytes in 0.8 s, which is the longest that a request of up to 65536 bytes may take");
}

/* Somewhat above the least rate, and longer than what is allowed whatever the size. */
static void a_slow_link_is_waited_for(void **state) {
	(void)state;
	static const struct s3_tuning tuning = {.pause_ms = 4, .stall_s = 1, .base_ms = 1000, .least_rate = 32 << 10};
	unsigned requests = 0;
	int64_t before = monotonic_ms();
	assert_rc(get_dripping(&tuning, 40 << 10, &requests));
	assert_int_equal(requests, 1);
	assert_true(monotonic_ms() - before > 1000);
}

/* A page of a listing has the time of a MiB, whatever its size; the answer to a put that of the base. */
static void listings_and_puts_have_their_time(void **state) {
	(void)state;
	static const struct s3_tuning tuning = {.pause_ms = 4, .stall_s = 1, .base_ms = 200, .least_rate = 2 << 20};
	_cleanup_(freep) uint8_t *blanks = malloc(SLOW_BYTES);
	memset(blanks, ' ', SLOW_BYTES);
	struct plan plan = {.good = {.body = bytes_of(blanks, SLOW_BYTES), .drip_bytes = 100}};
	FakeHttp *fake = fake_http_open(follow, &plan);
	Objects *objects = open_tuned(fake_http_url(fake), 0, &tuning, NULL);
	assert_int_equal(objects_list(objects, "", nothing, NULL), -ETIMEDOUT);
	says("in 0.7 s, which is the longest");
	assert_int_equal(objects_put(objects, "a", bytes_of_string("x")), -ETIMEDOUT);
	says("in 0.2 s, which is the longest that a request of up to 1 bytes");
	objects_close(objects);
	fake_http_close(fake);
}

/* ---- connections ---- */

static void batch(unsigned parallel, unsigned delay_ms, struct fake_counts *ret) {
	enum { MANY = 60 };
	struct plan plan = {.good = {.delay_ms = delay_ms}};
	struct object_request requests[MANY];
	FakeHttp *fake = fake_http_open(follow, &plan);
	Objects *objects = open_with(fake_http_url(fake), parallel, NULL);
	for (size_t i = 0; i < MANY; i++)
		requests[i] =
		        (struct object_request){.what = OBJECT_PUT, .name = "a", .data = bytes_of_string("some data")};
	assert_rc(objects_do(objects, requests, MANY));
	assert_rc(objects_do(objects, requests, MANY));
	*ret = fake_http_counts(fake);
	assert_int_equal(ret->requests, 2 * MANY);
	objects_close(objects);
	fake_http_close(fake);
}

static void connections_are_kept_and_bounded(void **state) {
	(void)state;
	struct fake_counts counts;
	batch(1, 0, &counts);
	assert_int_equal(counts.connections, 1);
	assert_int_equal(counts.most_at_once, 1);
	batch(5, 5, &counts);
	assert_int_equal(counts.connections, 5);
	assert_int_equal(counts.most_at_once, 5);
	batch(0, 5, &counts);
	assert_int_equal(counts.connections, 8);
	assert_int_equal(counts.most_at_once, 8);
}

static void *stop_soon(void *arg) {
	(void)usleep(100000);
	objects_stop(arg);
	return NULL;
}

static void a_stop_ends_what_is_under_way(void **state) {
	(void)state;
	struct plan plan = {.good = {.how = FAKE_STALL, .claimed = 10, .status = 200}};
	FakeHttp *fake = fake_http_open(follow, &plan);
	Objects *objects = open_with(fake_http_url(fake), 0, NULL);
	pthread_t thread;
	int64_t before = monotonic_ms();
	assert_int_equal(pthread_create(&thread, NULL, stop_soon, objects), 0);
	assert_int_equal(objects_put(objects, "a", bytes_of_string("x")), -ECANCELED);
	assert_true(monotonic_ms() - before < 900);
	pthread_join(thread, NULL);
	assert_int_equal(objects_put(objects, "a", bytes_of_string("x")), -ECANCELED);
	objects_close(objects);
	fake_http_close(fake);
}

int main(void) {
	static const char *const out[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "AWS_PROFILE",
	        "AWS_REGION", "AWS_DEFAULT_REGION"};
	for (size_t i = 0; i < sizeof out / sizeof out[0]; i++)
		(void)unsetenv(out[i]);
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_passes_is_tried_again),
	        cmocka_unit_test(what_does_not_pass_is_told),
	        cmocka_unit_test(codes_are_read_and_told),
	        cmocka_unit_test(credentials_are_in_no_words),
	        cmocka_unit_test(a_wrong_clock_is_corrected),
	        cmocka_unit_test(nobody_there_is_refused),
	        cmocka_unit_test(only_what_was_asked_for_is_taken),
	        cmocka_unit_test(a_body_that_was_cut_is_got_again),
	        cmocka_unit_test(endless_answers_are_cut),
	        cmocka_unit_test(a_server_that_drips_is_left),
	        cmocka_unit_test(a_slow_link_is_waited_for),
	        cmocka_unit_test(listings_and_puts_have_their_time),
	        cmocka_unit_test(connections_are_kept_and_bounded),
	        cmocka_unit_test(a_stop_ends_what_is_under_way),
	};
	return cmocka_run_group_tests_name("s3_http", tests, NULL, NULL);
}
