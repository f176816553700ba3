#include "backend/kms/kms_aws_http.h"

#include "backend/kms/kms_aws_answers.h"
#include "crypto/base/deadline.h"
#include "crypto/secret.h"
#include "crypto/sigv4.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#define TOTAL_MS 10000
#define ATTEMPT_MS 4000
#define CONNECT_MS 2000
#define PAUSE_MS 100
#define PAUSE_MS_MAX 2000
/* How soon a stop is seen. */
#define SLICE_MS 50
#define CONTENT_TYPE "application/x-amz-json-1.1"
#define PAIRS 5

struct answer {
	char text[KMS_AWS_ANSWER_MAX];
};

struct KmsAwsHttp {
	struct kms_aws_key key;
	struct kms_options options; /* no zeros */
	char *endpoint;             /* options.endpoint is this */
	CURL *easy;
	struct answer *answer; /* in secret memory */
	size_t answer_size;
	atomic_bool is_stopped;
};

/* One call: who asks for what, found anew for each. */
struct call {
	KmsAwsHttp *http;
	struct s3_credentials *credentials;
	struct kms_aws_site site;
	const char *verb, *json;
	struct curl_slist *headers;
	struct kms_aws_attempt attempt;
	int rc_before; /* of the attempt before, with its words; 0: there was none */
	char words_before[FAULT_MESSAGE_BYTES];
};

/* ---- who and where ---- */

static int find(const KmsAwsHttp *http, struct s3_credentials **ret_credentials, struct kms_aws_site *ret_site) {
	_cleanup_(secret_freep) struct s3_credentials *found = NULL;
	struct aws_asked asked = {.service = "KMS",
	        .endpoint_variable = "AWS_ENDPOINT_URL_KMS",
	        .otherwise_region = "",
	        .endpoint = http->options.endpoint};
	int rc = aws_credentials_find(&asked, &found);
	if (rc == 0)
		rc = kms_aws_site_make(&http->key, found->endpoint, found->region, ret_site);
	if (rc < 0)
		return rc;
	*ret_credentials = steal_pointer(&found);
	return 0;
}

static void set_options(KmsAwsHttp *http, const struct kms_options *given) {
	struct kms_options wanted = given ? *given : (struct kms_options){0};
	http->options = (struct kms_options){
	        .endpoint = http->endpoint,
	        .total_ms = wanted.total_ms ? wanted.total_ms : TOTAL_MS,
	        .attempt_ms = wanted.attempt_ms ? wanted.attempt_ms : ATTEMPT_MS,
	        .connect_ms = wanted.connect_ms ? wanted.connect_ms : CONNECT_MS,
	        .pause_ms = wanted.pause_ms ? wanted.pause_ms : PAUSE_MS,
	};
}

int kms_aws_http_open(const struct kms_aws_key *key, const struct kms_options *options, KmsAwsHttp **ret_http) {
	_cleanup_(kms_aws_http_closep) KmsAwsHttp *http = calloc(1, sizeof *http);
	_cleanup_(secret_freep) struct s3_credentials *found = NULL;
	struct kms_aws_site site;
	if (!http)
		return fault(ENOMEM, "no memory to reach KMS");
	http->key = *key;
	http->endpoint = strdup(options && options->endpoint ? options->endpoint : "");
	http->easy = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
	if (!http->endpoint || !http->easy)
		return fault(ENOMEM, "no memory to reach KMS");
	http->answer = secret_alloc(sizeof *http->answer);
	if (!http->answer)
		return -ENOMEM;
	set_options(http, options);
	int rc = find(http, &found, &site);
	if (rc < 0)
		return rc;
	*ret_http = steal_pointer(&http);
	return 0;
}

void kms_aws_http_close(KmsAwsHttp *http) {
	if (!http)
		return;
	if (http->easy)
		curl_easy_cleanup(http->easy);
	secret_free(http->answer);
	free(http->endpoint);
	free(http);
}

void kms_aws_http_forget(KmsAwsHttp *http) {
	secret_wipe(http->answer, http->answer_size);
	http->answer_size = 0;
}

void kms_aws_http_stop(KmsAwsHttp *http) {
	atomic_store(&http->is_stopped, true);
}

/* ---- the answer ---- */

static size_t on_body(char *data, size_t one, size_t size, void *arg) {
	(void)one;
	struct call *call = arg;
	KmsAwsHttp *http = call->http;
	if (size > sizeof http->answer->text - http->answer_size) {
		call->attempt.is_too_long = true;
		return 0;
	}
	memcpy(http->answer->text + http->answer_size, data, size);
	http->answer_size += size;
	return size;
}

static size_t on_header(char *data, size_t one, size_t size, void *arg) {
	(void)one;
	struct call *call = arg;
	const struct {
		const char *name;
		char *to;
		size_t room;
	} known[] = {
	        {"date:", call->attempt.date, sizeof call->attempt.date},
	        {"x-amzn-requestid:", call->attempt.request_id, sizeof call->attempt.request_id},
	};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		size_t at = strlen(known[i].name);
		if (size < at || strncasecmp(data, known[i].name, at) != 0)
			continue;
		while (at < size && data[at] == ' ')
			at++;
		size_t length = 0;
		while (length < known[i].room - 1 && at + length < size && data[at + length] >= ' ' &&
		        data[at + length] <= '~')
			length++;
		(void)snprintf(known[i].to, known[i].room, "%.*s", (int)length, data + at);
	}
	return size;
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t to_send, curl_off_t sent) {
	(void)total, (void)now, (void)to_send, (void)sent;
	const struct call *call = arg;
	return atomic_load(&call->http->is_stopped);
}

/* ---- the request ---- */

static void free_headers(struct call *call) {
	for (struct curl_slist *at = call->headers; at; at = at->next)
		secret_wipe(at->data, strlen(at->data));
	curl_slist_free_all(call->headers);
	call->headers = NULL;
}

static int add_header(struct call *call, const char *name, const char *value) {
	size_t length = strlen(name) + strlen(value) + 3;
	char *line = malloc(length);
	if (!line)
		return fault(ENOMEM, "no memory for a request");
	(void)snprintf(line, length, "%s: %s", name, value);
	struct curl_slist *longer = curl_slist_append(call->headers, line);
	secret_wipe(line, length); /* it may be the session token's */
	free(line);
	if (!longer)
		return fault(ENOMEM, "no memory for a request");
	call->headers = longer;
	return 0;
}

/* Signs for this moment, into the headers. */
static int sign(struct call *call) {
	const struct s3_credentials *who = call->credentials;
	uint8_t digest[DIGEST_BYTES];
	char hash[DIGEST_HEX_BYTES];
	char date[SIGV4_DATE_BYTES];
	char target[64];
	_cleanup_(freep) char *authorization = NULL;
	sigv4_date((int64_t)time(NULL), date);
	sha256(bytes_of_string(call->json), digest);
	digest_hex(digest, hash);
	(void)snprintf(target, sizeof target, "TrentService.%s", call->verb);
	const struct sigv4_pair pairs[PAIRS] = {{"content-type", CONTENT_TYPE}, {"host", call->site.http.host},
	        {"x-amz-date", date}, {"x-amz-target", target}, {"x-amz-security-token", who->session_token}};
	struct sigv4_key key = {who->access_key, who->secret_key, call->site.region, "kms"};
	struct sigv4_request request = {.method = "POST",
	        .path = "/",
	        .query = "",
	        .headers = pairs,
	        .header_count = who->session_token[0] ? PAIRS : PAIRS - 1,
	        .payload_hash = hash,
	        .date = date};
	int rc = sigv4_sign(&key, &request, &authorization);
	for (size_t i = 0; rc == 0 && i < request.header_count; i++)
		rc = add_header(call, pairs[i].name, pairs[i].value);
	return rc == 0 ? add_header(call, "Authorization", authorization) : rc;
}

static int set_up(struct call *call, int64_t left_ms) {
	CURL *easy = call->http->easy;
	const struct kms_options *options = &call->http->options;
	const struct s3_site *site = &call->site.http;
	bool is_clear = strncmp(site->base, "http:", 5) == 0;
	char url[sizeof site->base + 1];
	(void)snprintf(url, sizeof url, "%s/", site->base);
	curl_easy_reset(easy);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->attempt.error);
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, is_clear ? "http" : "https");
	if (is_clear)
		(void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	(void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	(void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (call->credentials->ca_bundle[0])
		(void)curl_easy_setopt(easy, CURLOPT_CAINFO, call->credentials->ca_bundle);
	(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_ms);
	(void)curl_easy_setopt(
	        easy, CURLOPT_TIMEOUT_MS, (long)(left_ms < options->attempt_ms ? left_ms : options->attempt_ms));
	(void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "assayfs/" ASSAYFS_VERSION);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	(void)curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	(void)curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)curl_easy_setopt(easy, CURLOPT_XFERINFODATA, call);
	(void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(call->json));
	(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->json);
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
	if (curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK)
		return fault(ENOMEM, "no memory for a request");
	return 0;
}

static int attempt(struct call *call, int64_t left_ms, bool *ret_is_passing) {
	KmsAwsHttp *http = call->http;
	kms_aws_http_forget(http);
	*ret_is_passing = false;
	call->attempt = (struct kms_aws_attempt){.host = call->site.http.host, .credentials = call->credentials};
	int rc = sign(call);
	if (rc == 0)
		rc = set_up(call, left_ms);
	if (rc == 0) {
		call->attempt.result = curl_easy_perform(http->easy);
		(void)curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &call->attempt.status);
		call->attempt.is_stopped = atomic_load(&http->is_stopped);
		call->attempt.answer = bytes_of(http->answer->text, http->answer_size);
		call->attempt.now_s = (int64_t)time(NULL);
		rc = kms_aws_judge(&call->attempt, ret_is_passing);
	}
	/* It holds pointers to what is freed here. */
	curl_easy_reset(http->easy);
	free_headers(call);
	return rc;
}

/* ---- again and again ---- */

static int64_t pause_ms(const struct kms_options *options, unsigned attempts) {
	uint64_t longest = (uint64_t)options->pause_ms << (attempts < 16 ? attempts - 1 : 15);
	uint32_t chance = 0;
	if (longest > PAUSE_MS_MAX && options->pause_ms < PAUSE_MS_MAX)
		longest = PAUSE_MS_MAX;
	if (getrandom(&chance, sizeof chance, 0) < 0)
		chance = UINT32_MAX / 2;
	return (int64_t)(longest * chance / UINT32_MAX);
}

static void wait_until(const KmsAwsHttp *http, int64_t due_ms) {
	for (int64_t left; !atomic_load(&http->is_stopped) && (left = due_ms - monotonic_ms()) > 0;) {
		struct timespec slice = {.tv_nsec = (left < SLICE_MS ? left : SLICE_MS) * 1000000};
		(void)nanosleep(&slice, NULL);
	}
}

/* An attempt that only the end of all time has cut off would hide what was wrong before. */
static int choose_fault(struct call *call, int rc, bool is_cut_off) {
	if (rc == -ETIMEDOUT && is_cut_off && call->rc_before)
		return fault(-call->rc_before, "%s", call->words_before);
	call->rc_before = rc;
	(void)snprintf(call->words_before, sizeof call->words_before, "%s", fault_message());
	return rc;
}

static int try_until(struct call *call, int64_t begun_ms) {
	const struct kms_options *options = &call->http->options;
	int64_t end_ms = begun_ms + options->total_ms;
	unsigned attempts = 0;
	bool is_passing = true;
	int rc = 0;
	for (;;) {
		int64_t left_ms = end_ms - monotonic_ms();
		rc = attempt(call, left_ms > 1 ? left_ms : 1, &is_passing);
		attempts++;
		if (rc == 0 || !is_passing)
			return rc;
		rc = choose_fault(call, rc, left_ms < options->attempt_ms);
		int64_t due_ms = monotonic_ms() + pause_ms(options, attempts);
		if (due_ms >= end_ms)
			break;
		wait_until(call->http, due_ms);
		if (atomic_load(&call->http->is_stopped))
			return fault(ECANCELED, "requests to KMS were stopped");
	}
	double seconds = (double)(monotonic_ms() - begun_ms) / 1000;
	return fault_while(rc, "%u attempt%s in %.1f s", attempts, attempts == 1 ? "" : "s", seconds);
}

int kms_aws_http_call(KmsAwsHttp *http, const char *verb, const char *json, struct bytes *ret_answer) {
	_cleanup_(secret_freep) struct s3_credentials *credentials = NULL;
	_cleanup_(freep) struct call *call = calloc(1, sizeof *call);
	if (!call)
		return fault(ENOMEM, "no memory for a request");
	if (atomic_load(&http->is_stopped))
		return fault(ECANCELED, "requests to KMS were stopped");
	call->http = http;
	call->verb = verb;
	call->json = json;
	int rc = find(http, &credentials, &call->site);
	if (rc < 0)
		return rc;
	call->credentials = credentials;
	rc = try_until(call, monotonic_ms());
	if (rc < 0) {
		kms_aws_http_forget(http);
		return rc;
	}
	*ret_answer = call->attempt.answer;
	return 0;
}
