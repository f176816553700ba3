/* What goes wrong with a key service, each its own error and words. The stub is strict where it answers by itself. */
#include "backend/kms/kms.h"

#include "backend/kms/kms_aws_answers.h"
#include "crypto/base/deadline.h"
#include "tests/backend/kms/kms_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Until it gives up. */
static const struct kms_options brief = {.total_ms = 2000, .attempt_ms = 30000, .connect_ms = 30000, .pause_ms = 4};

static void expect_words(const char *words) {
	if (!strstr(fault_message(), words))
		fail_msg("'%s' is not in: %s", words, fault_message());
	if (strstr(fault_message(), FAKE_KMS_SECRET_KEY) || strstr(fault_message(), FAKE_KMS_ACCESS_KEY) ||
	        strstr(fault_message(), FAKE_KMS_TOKEN))
		fail_msg("credentials in: %s", fault_message());
}

/* Asks for a key, which comes to nothing. */
static void expect_rc(
        const struct kms_fixture *fixture, const struct kms_options *options, int wanted, unsigned requests) {
	static const uint8_t zeros[KMS_KEY_BYTES];
	_cleanup_(kms_closep) Kms *kms = kms_fixture_open(fixture, KEY_ARN, options);
	unsigned before = fake_kms_counts(fixture->fake).requests;
	struct kms_wrapped wrapped = {.size = 1};
	uint8_t key[KMS_KEY_BYTES] = {1};
	char arn[KMS_ARN_BYTES] = "untouched";
	fault_clear();
	int rc = kms_generate(kms, &kms_fixture_context, key, &wrapped, arn);
	unsigned sent = fake_kms_counts(fixture->fake).requests - before;
	if (rc != wanted || (requests && sent != requests))
		fail_msg("%d instead of %d, after %u requests: %s", rc, wanted, sent, fault_message());
	expect_words(KEY_ARN);
	assert_memory_equal(key, zeros, sizeof key);
	assert_int_equal(wrapped.size, 1);
	assert_string_equal(arn, "untouched");
}

/* Asks for a key, which comes in the end. */
static void expect_key(const struct kms_fixture *fixture, unsigned requests) {
	_cleanup_(kms_closep) Kms *kms = kms_fixture_open(fixture, KEY_ARN, NULL);
	unsigned before = fake_kms_counts(fixture->fake).requests;
	struct kms_wrapped wrapped;
	uint8_t key[KMS_KEY_BYTES];
	char arn[KMS_ARN_BYTES];
	assert_rc(kms_generate(kms, &kms_fixture_context, key, &wrapped, arn));
	assert_int_equal(fake_kms_counts(fixture->fake).requests - before, requests);
}

/* ---- no answer ---- */

/* A port of this machine where nobody listens, or somebody that never accepts. */
static int some_port(bool listens, char ret_url[static 64]) {
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	if (listens)
		assert_int_equal(listen(fd, 4), 0);
	(void)snprintf(ret_url, 64, "http://127.0.0.1:%u", ntohs(address.sin_port));
	return fd;
}

static void nobody_there_is_unreachable(void **state) {
	char url[64];
	int fd = some_port(false, url);
	struct kms_options options = brief;
	options.endpoint = url;
	expect_rc(*state, &options, -EHOSTUNREACH, 0);
	expect_words("attempts in ");
	expect_words("is the network up");
	assert_int_equal(close(fd), 0);
}

static void a_name_that_is_none_is_unreachable(void **state) {
	struct kms_options options = brief;
	options.endpoint = "https://no-such-host.invalid";
	expect_rc(*state, &options, -EHOSTUNREACH, 0);
	expect_words("no-such-host.invalid");
}

static void silence_is_a_time_out(void **state) {
	char url[64];
	int fd = some_port(true, url);
	struct kms_options options = {.endpoint = url, .total_ms = 700, .attempt_ms = 200, .pause_ms = 4};
	int64_t begun_ms = monotonic_ms();
	expect_rc(*state, &options, -ETIMEDOUT, 0);
	expect_words("attempts in ");
	assert_in_range(monotonic_ms() - begun_ms, 500, 5000);
	assert_int_equal(close(fd), 0);
}

static void a_slow_answer_is_a_time_out_and_then_waited_for_again(void **state) {
	const struct kms_fixture *fixture = *state;
	struct kms_options options = {.total_ms = 700, .attempt_ms = 200, .pause_ms = 4};
	fake_kms_be(fixture->fake, (struct fake_answer){.delay_ms = 3000}, 100);
	expect_rc(fixture, &options, -ETIMEDOUT, 0);
	fake_kms_be(fixture->fake, (struct fake_answer){.how = FAKE_STALL, .claimed = 10}, 100);
	expect_rc(fixture, &options, -ETIMEDOUT, 0);
	fake_kms_be(fixture->fake, (struct fake_answer){.delay_ms = 3000}, 1);
	options = (struct kms_options){.total_ms = 30000, .attempt_ms = 1500, .pause_ms = 4};
	_cleanup_(kms_closep) Kms *kms = kms_fixture_open(fixture, KEY_ARN, &options);
	struct kms_description found;
	assert_rc(kms_describe(kms, &found));
}

static void a_lost_connection_is_made_again(void **state) {
	const struct kms_fixture *fixture = *state;
	fake_kms_be(fixture->fake, (struct fake_answer){.how = FAKE_HANG_UP}, 2);
	expect_key(fixture, 3);
	fake_kms_be(fixture->fake, (struct fake_answer){.how = FAKE_HANG_UP}, 1000);
	expect_rc(fixture, &brief, -EHOSTUNREACH, 0);
}

/* ---- credentials ---- */

static void a_wrong_secret_is_told(void **state) {
	assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "WRONGEXAMPLE", 1), 0);
	expect_rc(*state, NULL, -EACCES, 1);
	expect_words("InvalidSignatureException");
	expect_words("check the credentials");
}

static void an_unknown_access_key_is_told(void **state) {
	assert_int_equal(setenv("AWS_ACCESS_KEY_ID", "AKNOBODY", 1), 0);
	expect_rc(*state, NULL, -EACCES, 1);
	expect_words("UnrecognizedClientException");
	expect_words("check the credentials");
}

static void an_expired_token_is_told(void **state) {
	assert_int_equal(setenv("AWS_ACCESS_KEY_ID", FAKE_KMS_TEMPORARY_KEY, 1), 0);
	assert_int_equal(setenv("AWS_SESSION_TOKEN", "TOKENOFYESTERDAY", 1), 0);
	expect_rc(*state, NULL, -EACCES, 1);
	expect_words("ExpiredTokenException");
	expect_words("get a new session token");
	assert_int_equal(unsetenv("AWS_SESSION_TOKEN"), 0);
}

static void credentials_are_in_no_words(void **state) {
	const struct kms_fixture *fixture = *state;
	fake_kms_fail(fixture->fake, 400, "AccessDeniedException", FAKE_KMS_ACCESS_KEY " may not", 1);
	expect_rc(fixture, NULL, -EPERM, 1);
	fake_kms_fail(fixture->fake, 400, "AccessDeniedException", "not with " FAKE_KMS_SECRET_KEY, 1);
	expect_rc(fixture, NULL, -EPERM, 1);
	assert_int_equal(setenv("AWS_SESSION_TOKEN", FAKE_KMS_TOKEN, 1), 0);
	fake_kms_fail(fixture->fake, 400, "ValidationException", "not with " FAKE_KMS_TOKEN, 1);
	expect_rc(fixture, NULL, -EINVAL, 1);
	assert_int_equal(unsetenv("AWS_SESSION_TOKEN"), 0);
}

static void what_is_not_allowed_is_told(void **state) {
	const struct kms_fixture *fixture = *state;
	fake_kms_fail(fixture->fake, 400, "com.amazonaws.kms#AccessDeniedException",
	        "User: arn:aws:iam::111122223333:user/x is not authorized to perform: kms:GenerateDataKey", 1);
	expect_rc(fixture, NULL, -EPERM, 1);
	expect_words("user/x is not authorized to perform: kms:GenerateDataKey");
	expect_words("key's policy");
}

/* ---- clocks ---- */

static void expect_skew(const struct kms_fixture *fixture, int64_t theirs_s, const char *side) {
	long long told = 0;
	fake_kms_set_clock(fixture->fake, theirs_s);
	expect_rc(fixture, NULL, -ETIME, 1);
	expect_words(side);
	const char *clock = strstr(fault_message(), "this machine's clock is ");
	assert_non_null(clock);
	assert_int_equal(sscanf(clock, "this machine's clock is %lld s", &told), 1);
	/* The test itself may take a while. */
	assert_in_range(told, 3500, 3700);
}

static void a_clock_that_is_off_is_told_by_how_much(void **state) {
	const struct kms_fixture *fixture = *state;
	expect_skew(fixture, 3600, "s behind the service's");
	expect_skew(fixture, -3600, "s ahead of the service's");
	fake_kms_set_clock(fixture->fake, 120);
	expect_key(fixture, 1);
}

static void a_clock_that_is_off_is_told_without_a_date_too(void **state) {
	const struct kms_fixture *fixture = *state;
	static const char text[] = "{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired: x\"}";
	fake_kms_be(fixture->fake,
	        (struct fake_answer){.status = 400, .headers = "Date: no\r\n", .body = bytes_of_string(text)}, 1);
	expect_rc(fixture, NULL, -ETIME, 1);
	expect_words("set this machine's clock");
}

/* ---- keys ---- */

static void a_key_that_is_not_there_is_told(void **state) {
	const struct kms_fixture *fixture = *state;
	static const char *const names[] = {
	        FAKE_KMS_ARN("none"), "alias/none", FAKE_KMS_ALIAS_ARN("none"), "11111111-0000"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		_cleanup_(kms_closep) Kms *kms = kms_fixture_open(fixture, names[i], NULL);
		struct kms_description found;
		struct kms_wrapped wrapped;
		uint8_t key[KMS_KEY_BYTES];
		char arn[KMS_ARN_BYTES];
		assert_int_equal(kms_describe(kms, &found), -ENOENT);
		assert_int_equal(kms_generate(kms, &kms_fixture_context, key, &wrapped, arn), -ENOENT);
		expect_words("NotFoundException");
		expect_words("check the key's name");
	}
}

/* What was wrapped before can't be unwrapped now. */
static void expect_state(const struct kms_fixture *fixture, enum fake_kms_state key_state, int wanted) {
	_cleanup_(kms_closep) Kms *kms = kms_fixture_open(fixture, KEY_ARN, NULL);
	struct kms_wrapped wrapped;
	uint8_t key[KMS_KEY_BYTES];
	uint8_t again[KMS_KEY_BYTES];
	char arn[KMS_ARN_BYTES];
	assert_rc(kms_generate(kms, &kms_fixture_context, key, &wrapped, arn));
	struct bytes bytes = bytes_of(wrapped.data, wrapped.size);
	fake_kms_set_state(fixture->fake, KEY_ID, key_state);
	expect_rc(fixture, NULL, wanted, 1);
	assert_int_equal(kms_decrypt(kms, bytes, &kms_fixture_context, again, arn), wanted);
	assert_int_equal(
	        kms_reencrypt(kms, bytes, &kms_fixture_context, OTHER_ARN, &kms_fixture_context, &wrapped, arn),
	        wanted);
	fake_kms_set_state(fixture->fake, KEY_ID, FAKE_KMS_ENABLED);
	assert_rc(kms_decrypt(kms, bytes, &kms_fixture_context, again, arn));
	assert_memory_equal(again, key, sizeof key);
	/* The error's words are looked at by the caller. */
	fake_kms_set_state(fixture->fake, KEY_ID, key_state);
	assert_int_equal(kms_decrypt(kms, bytes, &kms_fixture_context, again, arn), wanted);
}

static void a_disabled_key_is_told(void **state) {
	expect_state(*state, FAKE_KMS_DISABLED, -EKEYREVOKED);
	expect_words("DisabledException");
	expect_words("enable-key");
}

static void a_key_that_is_to_be_deleted_is_told(void **state) {
	expect_state(*state, FAKE_KMS_PENDING_DELETION, -EKEYEXPIRED);
	expect_words("KMSInvalidStateException");
	expect_words("cancel-key-deletion");
}

static void a_key_without_material_is_told(void **state) {
	expect_state(*state, FAKE_KMS_PENDING_IMPORT, -ENOTCONN);
	expect_words("pending import");
}

static void another_key_than_the_one_that_wrapped_is_told(void **state) {
	const struct kms_fixture *fixture = *state;
	_cleanup_(kms_closep) Kms *kms = kms_fixture_open(fixture, KEY_ARN, NULL);
	_cleanup_(kms_closep) Kms *other = kms_fixture_open(fixture, OTHER_ARN, NULL);
	struct kms_wrapped wrapped;
	uint8_t key[KMS_KEY_BYTES];
	char arn[KMS_ARN_BYTES];
	assert_rc(kms_generate(kms, &kms_fixture_context, key, &wrapped, arn));
	assert_int_equal(kms_decrypt(other, bytes_of(wrapped.data, wrapped.size), &kms_fixture_context, key, arn),
	        -EKEYREJECTED);
	expect_words("IncorrectKeyException");
	expect_words("another key than this one");
}

static void damage_and_a_wrong_context_are_told(void **state) {
	const struct kms_fixture *fixture = *state;
	_cleanup_(kms_closep) Kms *kms = kms_fixture_open(fixture, KEY_ARN, NULL);
	struct kms_wrapped wrapped;
	uint8_t key[KMS_KEY_BYTES];
	char arn[KMS_ARN_BYTES];
	assert_rc(kms_generate(kms, &kms_fixture_context, key, &wrapped, arn));
	struct bytes bytes = bytes_of(wrapped.data, wrapped.size);
	assert_int_equal(kms_decrypt(kms, bytes, &kms_fixture_other_context, key, arn), -EKEYREJECTED);
	expect_words("InvalidCiphertextException");
	wrapped.data[100] ^= 1;
	assert_int_equal(kms_decrypt(kms, bytes, &kms_fixture_context, key, arn), -EKEYREJECTED);
	expect_words("with another context, or is damaged");
}

static void a_key_of_another_kind_is_told(void **state) {
	const struct kms_fixture *fixture = *state;
	fake_kms_fail(fixture->fake, 400, "InvalidKeyUsageException", "key usage is SIGN_VERIFY", 1);
	expect_rc(fixture, NULL, -EINVAL, 1);
	expect_words("symmetric key");
}

/* ---- regions ---- */

static void a_server_of_another_region_is_told(void **state) {
	const struct kms_fixture *fixture = *state;
	struct kms_options options = brief;
	Kms *kms = NULL;
	struct kms_description found;
	options.endpoint = fake_kms_url(fixture->fake);
	assert_rc(kms_open("arn:aws:kms:us-east-1:111122223333:key/" KEY_ID, &options, &kms));
	assert_int_equal(kms_describe(kms, &found), -EINVAL);
	expect_words("another region than the key");
	kms_close(kms);
	fake_kms_fail(fixture->fake, 400, "NotFoundException", "Invalid arn us-east-1", 1);
	expect_rc(fixture, NULL, -EINVAL, 1);
	expect_words("another region than the key");
}

static void an_endpoint_of_another_region_is_told_before(void **state) {
	(void)state;
	Kms *kms = NULL;
	struct kms_options options = {.endpoint = "https://kms.us-east-1.amazonaws.com"};
	assert_int_equal(kms_open(KEY_ARN, &options, &kms), -EINVAL);
	expect_words("the key is in region eu-west-1");
	expect_words("in region us-east-1");
}

/* ---- what passes, or does not ---- */

static void what_passes_is_tried_again(void **state) {
	const struct kms_fixture *fixture = *state;
	static const char *const codes[] = {"ThrottlingException", "KMSInternalException", "DependencyTimeoutException",
	        "KeyUnavailableException", "LimitExceededException", "ServiceUnavailableException"};
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		fake_kms_fail(fixture->fake, 400, codes[i], "Rate exceeded", 3);
		expect_key(fixture, 4);
	}
	fake_kms_fail(fixture->fake, 500, "SomethingNew", "", 2);
	expect_key(fixture, 3);
	fake_kms_be(fixture->fake, (struct fake_answer){.status = 503, .body = bytes_of_string("<html>Busy")}, 2);
	expect_key(fixture, 3);
	fake_kms_be(fixture->fake, (struct fake_answer){.status = 429}, 1);
	expect_key(fixture, 2);
}

static void throttling_that_lasts_is_busy(void **state) {
	const struct kms_fixture *fixture = *state;
	int64_t begun_ms = monotonic_ms();
	fake_kms_fail(fixture->fake, 400, "ThrottlingException", "Rate exceeded", 100000);
	expect_rc(fixture, &brief, -EBUSY, 0);
	expect_words("ThrottlingException: Rate exceeded");
	expect_words("attempts in ");
	assert_true(monotonic_ms() - begun_ms < 10000);
	/* The pauses grow: each first one is 2 ms, and there were two seconds. */
	assert_in_range(fake_kms_counts(fixture->fake).requests, 2, 60);
}

static void a_service_that_fails_to_the_end_is_told(void **state) {
	const struct kms_fixture *fixture = *state;
	fake_kms_fail(fixture->fake, 500, "KMSInternalException", "sorry", 100000);
	expect_rc(fixture, &brief, -EIO, 0);
	expect_words("KMSInternalException: sorry");
	fake_kms_be(fixture->fake, (struct fake_answer){.status = 502, .body = bytes_of_string("<html>")}, 100000);
	expect_rc(fixture, &brief, -EIO, 0);
	expect_words("HTTP 502");
}

static void what_stays_is_asked_once(void **state) {
	const struct kms_fixture *fixture = *state;
	fake_kms_fail(fixture->fake, 400, "SomethingNewException", "a \\u00e9 and a\\nline", 1);
	expect_rc(fixture, NULL, -EINVAL, 1);
	expect_words("SomethingNewException: a ?? and a?line (HTTP 400)");
	fake_kms_fail(fixture->fake, 403, "SomethingNewException", "", 1);
	expect_rc(fixture, NULL, -EACCES, 1);
}

/* ---- answers that are none ---- */

static void another_server_is_told(void **state) {
	const struct kms_fixture *fixture = *state;
	const struct fake_answer answers[] = {
	        {.status = 404, .body = bytes_of_string("<html>Not Found")},
	        {.status = 301, .headers = "Location: http://127.0.0.1:1/\r\n"},
	        {.status = 200, .body = bytes_of_string("<html>Welcome")},
	        {.status = 400, .body = bytes_of_string("[]")},
	        {.status = 403},
	        {.status = 204},
	};
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
		fake_kms_be(fixture->fake, answers[i], 1);
		expect_rc(fixture, NULL, -EBADMSG, 1);
	}
}

static void an_answer_that_is_cut_is_got_again(void **state) {
	const struct kms_fixture *fixture = *state;
	struct fake_answer cut = {.body = bytes_of_string("{\"KeyId\":\"arn:"), .claimed = 300, .how = FAKE_CUT};
	fake_kms_be(fixture->fake, cut, 2);
	expect_key(fixture, 3);
	fake_kms_be(fixture->fake, cut, 100000);
	expect_rc(fixture, &brief, -EBADMSG, 0);
	expect_words("the answer is cut");
}

static void an_endless_answer_is_ended(void **state) {
	const struct kms_fixture *fixture = *state;
	/* The stub may still be sending it when the client has left. */
	static uint8_t much[8 << 20];
	memset(much, ' ', sizeof much);
	fake_kms_be(fixture->fake, (struct fake_answer){.body = bytes_of(much, sizeof much)}, 1);
	expect_rc(fixture, NULL, -EBADMSG, 1);
	expect_words("longer than any of KMS");
	fake_kms_be(fixture->fake, (struct fake_answer){.body = bytes_of(much, KMS_AWS_ANSWER_MAX)}, 1);
	expect_rc(fixture, NULL, -EBADMSG, 1);
	expect_words("no JSON object");
}

#define ZEROS "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static void a_hostile_answer_is_refused(void **state) {
	const struct kms_fixture *fixture = *state;
	static const char *const answers[] = {
	        "{}",
	        /* A key that is too short, too long, none, no base64, twice, of another key; nothing wrapped. */
	        "{\"CiphertextBlob\":\"AAAA\",\"KeyId\":\"" KEY_ARN "\",\"Plaintext\":\"AAAA\"}",
	        "{\"CiphertextBlob\":\"AAAA\",\"KeyId\":\"" KEY_ARN
	        "\",\"Plaintext\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
	        "{\"CiphertextBlob\":\"AAAA\",\"KeyId\":\"" KEY_ARN "\",\"Plaintext\":\"\"}",
	        "{\"CiphertextBlob\":\"AAAA\",\"KeyId\":\"" KEY_ARN "\",\"Plaintext\":null}",
	        "{\"CiphertextBlob\":\"AAAA\",\"KeyId\":\"" KEY_ARN
	        "\",\"Plaintext\":\"A-_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}",
	        "{\"CiphertextBlob\":\"AAAA\",\"KeyId\":\"" KEY_ARN "\",\"Plaintext\":\"" ZEROS
	        "\",\"Plaintext\":\"" ZEROS "\"}",
	        "{\"CiphertextBlob\":\"AAAA\",\"KeyId\":\"" OTHER_ARN "\",\"Plaintext\":\"" ZEROS "\"}",
	        "{\"CiphertextBlob\":\"AAAA\",\"KeyId\":\"arn:a b\",\"Plaintext\":\"" ZEROS "\"}",
	        "{\"CiphertextBlob\":\"\",\"KeyId\":\"" KEY_ARN "\",\"Plaintext\":\"" ZEROS "\"}",
	        "{\"CiphertextBlob\":[],\"KeyId\":\"" KEY_ARN "\",\"Plaintext\":\"" ZEROS "\"}",
	        "{\"CiphertextBlob\":\"AAAA\",\"KeyId\":\"" KEY_ARN "\",\"Plaintext\":\"" ZEROS "\"} {}",
	        "{\"CiphertextBlob\":\"AAAA\",\"KeyId\":\"" KEY_ARN "\",\"Plaintext\":\"" ZEROS "\"",
	};
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
		fake_kms_be(fixture->fake, (struct fake_answer){.body = bytes_of_string(answers[i])}, 1);
		expect_rc(fixture, NULL, -EBADMSG, 1);
	}
	/* The same without what is wrong. */
	static const char good[] =
	        "{\"CiphertextBlob\":\"AAAA\",\"KeyId\":\"" KEY_ARN "\",\"Plaintext\":\"" ZEROS "\"}";
	fake_kms_be(fixture->fake, (struct fake_answer){.body = bytes_of_string(good)}, 1);
	expect_key(fixture, 1);
}

static void *answer_nonsense(void *arg) {
	_cleanup_(closep) int fd = accept4(*(const int *)arg, NULL, NULL, SOCK_CLOEXEC);
	char request[8192];
	(void)recv(fd, request, sizeof request, 0);
	(void)send(fd, "SSH-2.0-nonsense\r\n\r\n", 20, MSG_NOSIGNAL);
	return NULL;
}

static void what_is_no_http_is_told(void **state) {
	(void)state;
	char url[64];
	_cleanup_(closep) int listener = some_port(true, url);
	struct kms_options options = brief;
	Kms *kms = NULL;
	struct kms_description found;
	options.endpoint = url;
	assert_rc(kms_open(KEY_ARN, &options, &kms));
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, answer_nonsense, &listener), 0);
	assert_int_equal(kms_describe(kms, &found), -EBADMSG);
	pthread_join(thread, NULL);
	kms_close(kms);
}

/* ---- stop ---- */

static void *stop_soon(void *arg) {
	(void)usleep(100000);
	kms_stop(arg);
	return NULL;
}

static void a_stop_ends_the_call(void **state) {
	const struct kms_fixture *fixture = *state;
	struct kms_description found;
	const struct fake_answer waits[] = {{.how = FAKE_STALL, .claimed = 10}, {.status = 503}};
	for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
		struct kms_options slow = {.total_ms = 60000, .attempt_ms = 30000, .pause_ms = 30000};
		_cleanup_(kms_closep) Kms *kms = kms_fixture_open(fixture, KEY_ARN, &slow);
		int64_t begun_ms = monotonic_ms();
		pthread_t thread;
		fake_kms_be(fixture->fake, waits[i], 100000);
		assert_int_equal(pthread_create(&thread, NULL, stop_soon, kms), 0);
		assert_int_equal(kms_describe(kms, &found), -ECANCELED);
		assert_true(monotonic_ms() - begun_ms < 10000);
		pthread_join(thread, NULL);
		assert_int_equal(kms_describe(kms, &found), -ECANCELED);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, kms_fixture_setup, kms_fixture_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        CASE(nobody_there_is_unreachable),
	        CASE(a_name_that_is_none_is_unreachable),
	        CASE(silence_is_a_time_out),
	        CASE(a_slow_answer_is_a_time_out_and_then_waited_for_again),
	        CASE(a_lost_connection_is_made_again),
	        CASE(a_wrong_secret_is_told),
	        CASE(an_unknown_access_key_is_told),
	        CASE(an_expired_token_is_told),
	        CASE(credentials_are_in_no_words),
	        CASE(what_is_not_allowed_is_told),
	        CASE(a_clock_that_is_off_is_told_by_how_much),
	        CASE(a_clock_that_is_off_is_told_without_a_date_too),
	        CASE(a_key_that_is_not_there_is_told),
	        CASE(a_disabled_key_is_told),
	        CASE(a_key_that_is_to_be_deleted_is_told),
	        CASE(a_key_without_material_is_told),
	        CASE(another_key_than_the_one_that_wrapped_is_told),
	        CASE(damage_and_a_wrong_context_are_told),
	        CASE(a_key_of_another_kind_is_told),
	        CASE(a_server_of_another_region_is_told),
	        CASE(an_endpoint_of_another_region_is_told_before),
	        CASE(what_passes_is_tried_again),
	        CASE(throttling_that_lasts_is_busy),
	        CASE(a_service_that_fails_to_the_end_is_told),
	        CASE(what_stays_is_asked_once),
	        CASE(another_server_is_told),
	        CASE(an_answer_that_is_cut_is_got_again),
	        CASE(an_endless_answer_is_ended),
	        CASE(a_hostile_answer_is_refused),
	        CASE(what_is_no_http_is_told),
	        CASE(a_stop_ends_the_call),
	};
	return cmocka_run_group_tests_name("kms_errors", tests, NULL, NULL);
}
