#include "tests/backend/kms/fake_kms.h"

#include "crypto/encoding.h"
#include "crypto/sigv4.h"
#include "tests/backend/scratch.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define REGION "eu-west-1"
#define KEYS_MAX 8
#define WRAPS_MAX 64
#define ANSWERS_MAX 1024
#define BLOB_BYTES 184
#define SKEW_S 300
#define SIGNED_MAX 8

struct key {
	char arn[128], alias[64];
	enum fake_kms_state state;
};

struct wrap {
	uint8_t blob[BLOB_BYTES];
	uint8_t plain[32];
	const struct key *key;
	json_t *context;
};

struct FakeKms {
	FakeHttp *http;
	pthread_mutex_t mutex; /* guards all below */
	struct key keys[KEYS_MAX];
	size_t key_count;
	struct wrap wraps[WRAPS_MAX];
	size_t wrap_count;
	char *answers[ANSWERS_MAX]; /* kept until it is closed: they may be sent late */
	size_t answer_count;
	int64_t clock_offset_s;
	char token[64];
	struct fake_answer bad;
	unsigned bad_times;
	char bad_text[1024];
	char date[64];
	char last[20000];
};

/* ---- answers ---- */

static struct bytes keep(FakeKms *kms, char *text) {
	assert_true(kms->answer_count < ANSWERS_MAX);
	kms->answers[kms->answer_count++] = text;
	return bytes_of_string(text);
}

static void answer_json(FakeKms *kms, struct fake_answer *answer, json_t *json) {
	assert_non_null(json);
	answer->body = keep(kms, json_dumps(json, JSON_COMPACT));
	json_decref(json);
}

static void refuse(FakeKms *kms, struct fake_answer *answer, const char *code, const char *message) {
	answer->status = 400;
	answer_json(kms, answer, json_pack("{s:s, s:s}", "__type", code, "message", message));
}

static time_t clock_of(const FakeKms *kms) {
	return time(NULL) + (time_t)kms->clock_offset_s;
}

/* ---- signatures ---- */

/* The headers that were signed, in order; each of x-amz-… must be. */
struct signed_headers {
	char names[256];
	char values[SIGNED_MAX][512];
	struct sigv4_pair pairs[SIGNED_MAX];
	size_t count;
};

static bool collect_signed(const struct fake_request *request, const char *list, struct signed_headers *ret) {
	char *rest = NULL;
	bool has_host = false;
	bool has_type = false;
	bool has_target = false;
	bool has_token = false;
	char token[512];
	(void)snprintf(ret->names, sizeof ret->names, "%s", list);
	for (char *name = strtok_r(ret->names, ";", &rest); name && ret->count < SIGNED_MAX;
	        name = strtok_r(NULL, ";", &rest)) {
		char *value = ret->values[ret->count];
		fake_header(request, name, value, sizeof ret->values[0]);
		ret->pairs[ret->count++] = (struct sigv4_pair){name, value};
		has_host = has_host || strcmp(name, "host") == 0;
		has_type = has_type || strcmp(name, "content-type") == 0;
		has_target = has_target || strcmp(name, "x-amz-target") == 0;
		has_token = has_token || strcmp(name, "x-amz-security-token") == 0;
	}
	fake_header(request, "x-amz-security-token", token, sizeof token);
	return has_host && has_type && has_target && has_token == (token[0] != '\0');
}

static const char *check_time(const FakeKms *kms, const char *date, char *words, size_t room) {
	struct tm tm = {0};
	char now[SIGV4_DATE_BYTES];
	if (!strptime(date, "%Y%m%dT%H%M%SZ", &tm))
		return "Date must be in ISO-8601 'basic format'.";
	int64_t ahead_s = (int64_t)timegm(&tm) - (int64_t)clock_of(kms);
	sigv4_date((int64_t)clock_of(kms), now);
	if (ahead_s > SKEW_S)
		(void)snprintf(words, room, "Signature not yet current: %s is still later than %s", date, now);
	else if (ahead_s < -SKEW_S)
		(void)snprintf(words, room, "Signature expired: %s is now earlier than %s", date, now);
	else
		return NULL;
	return words;
}

/* What is wrong about the signature; NULL: nothing. */
static const char *check_signature(const FakeKms *kms, const struct fake_request *request, const char *access_key,
        const char *day, const char *region, const char *service, const char *list, char *words, size_t room) {
	struct signed_headers headers = {.count = 0};
	char date[64];
	char sent[2048];
	char hash[DIGEST_HEX_BYTES];
	uint8_t digest[DIGEST_BYTES];
	fake_header(request, "x-amz-date", date, sizeof date);
	fake_header(request, "authorization", sent, sizeof sent);
	if (strcmp(region, REGION) != 0)
		return "Credential should be scoped to a valid region.";
	if (strcmp(service, "kms") != 0)
		return "Credential should be scoped to correct service: 'kms'.";
	if (!collect_signed(request, list, &headers) || strlen(date) != SIGV4_DATE_BYTES - 1 ||
	        strncmp(date, day, 8) != 0)
		return "Some of the headers are not signed.";
	const char *wrong_time = check_time(kms, date, words, room);
	if (wrong_time)
		return wrong_time;
	sha256(request->body, digest);
	digest_hex(digest, hash);
	struct sigv4_key key = {access_key, FAKE_KMS_SECRET_KEY, region, service};
	struct sigv4_request again = {"POST", "/", "", headers.pairs, headers.count, hash, date};
	_cleanup_(freep) char *wanted = NULL;
	assert_rc(sigv4_sign(&key, &again, &wanted));
	return strcmp(wanted, sent) == 0 ? NULL
	                                 : "The request signature we calculated does not match the signature "
	                                   "you provided.";
}

/* false: it was refused. */
static bool check_sender(FakeKms *kms, const struct fake_request *request, struct fake_answer *answer) {
	char sent[2048];
	char access_key[64];
	char day[16];
	char region[32];
	char service[16];
	char list[256];
	char token[512];
	char words[200];
	fake_header(request, "authorization", sent, sizeof sent);
	fake_header(request, "x-amz-security-token", token, sizeof token);
	if (sscanf(sent,
	            "AWS4-HMAC-SHA256 Credential=%63[^/]/%15[^/]/%31[^/]/%15[^/]/aws4_request,SignedHeaders=%255[^,],",
	            access_key, day, region, service, list) != 5) {
		refuse(kms, answer, "MissingAuthenticationTokenException", "Missing Authentication Token");
		return false;
	}
	bool is_temporary = strcmp(access_key, FAKE_KMS_TEMPORARY_KEY) == 0;
	if ((!is_temporary && strcmp(access_key, FAKE_KMS_ACCESS_KEY) != 0) || is_temporary != (token[0] != '\0')) {
		refuse(kms, answer, "UnrecognizedClientException",
		        "The security token included in the request is invalid.");
		return false;
	}
	const char *wrong = check_signature(kms, request, access_key, day, region, service, list, words, sizeof words);
	if (wrong) {
		refuse(kms, answer, "InvalidSignatureException", wrong);
		return false;
	}
	if (is_temporary && strcmp(token, kms->token) != 0) {
		refuse(kms, answer, "ExpiredTokenException", "The security token included in the request is expired");
		return false;
	}
	return true;
}

/* ---- keys ---- */

static struct key *find_key(FakeKms *kms, const char *name) {
	for (size_t i = 0; name && i < kms->key_count; i++) {
		struct key *key = &kms->keys[i];
		char alias[128];
		(void)snprintf(alias, sizeof alias, FAKE_KMS_ALIAS_ARN("%s"), key->alias);
		if (strcmp(name, key->arn) == 0 || strcmp(name, strchr(key->arn, '/') + 1) == 0 ||
		        strcmp(name, alias) == 0 ||
		        (strncmp(name, "alias/", 6) == 0 && strcmp(name + 6, key->alias) == 0))
			return key;
	}
	return NULL;
}

/* The key of a request's member, if it may be used; else it is refused. */
static struct key *usable_key(FakeKms *kms, const json_t *asked, const char *member, struct fake_answer *answer) {
	const char *name = json_string_value(json_object_get(asked, member));
	struct key *key = find_key(kms, name);
	char words[200];
	if (!key) {
		(void)snprintf(words, sizeof words, "Key '%.100s' does not exist", name ? name : "");
		refuse(kms, answer, "NotFoundException", words);
		return NULL;
	}
	static const char *const why[] = {"", "is disabled.", "is pending deletion.", "is pending import."};
	(void)snprintf(words, sizeof words, "%s %s", key->arn, why[key->state]);
	if (key->state != FAKE_KMS_ENABLED)
		refuse(kms, answer, key->state == FAKE_KMS_DISABLED ? "DisabledException" : "KMSInvalidStateException",
		        words);
	return key->state == FAKE_KMS_ENABLED ? key : NULL;
}

static json_t *wrap(FakeKms *kms, const struct key *key, const uint8_t plain[static 32], json_t *context) {
	assert_true(kms->wrap_count < WRAPS_MAX);
	struct wrap *wrap = &kms->wraps[kms->wrap_count++];
	char text[BASE64_TEXT_BYTES(BLOB_BYTES)];
	assert_int_equal(getrandom(wrap->blob, sizeof wrap->blob, 0), sizeof wrap->blob);
	memcpy(wrap->plain, plain, sizeof wrap->plain);
	wrap->key = key;
	wrap->context = context ? json_deep_copy(context) : json_object();
	base64_encode(bytes_of(wrap->blob, sizeof wrap->blob), text);
	return json_string(text);
}

/* What was wrapped so, with this key and context; else it is refused. */
static const struct wrap *unwrap(FakeKms *kms, const json_t *asked, const char *key_member, const char *context_member,
        struct fake_answer *answer) {
	const struct key *key = usable_key(kms, asked, key_member, answer);
	const char *text = json_string_value(json_object_get(asked, "CiphertextBlob"));
	uint8_t blob[BLOB_BYTES];
	size_t size = 0;
	if (!key)
		return NULL;
	const struct wrap *found = NULL;
	if (text && base64_decode(text, sizeof blob, blob, &size) == 0 && size == sizeof blob)
		for (size_t i = 0; i < kms->wrap_count; i++)
			if (memcmp(kms->wraps[i].blob, blob, sizeof blob) == 0)
				found = &kms->wraps[i];
	if (!found || !json_equal(found->context, json_object_get(asked, context_member))) {
		refuse(kms, answer, "InvalidCiphertextException", "");
		return NULL;
	}
	if (found->key != key) {
		refuse(kms, answer, "IncorrectKeyException",
		        "The key ID in the request does not identify a CMK that can perform this operation.");
		return NULL;
	}
	return found;
}

/* ---- verbs ---- */

static void generate(FakeKms *kms, const json_t *asked, struct fake_answer *answer) {
	const struct key *key = usable_key(kms, asked, "KeyId", answer);
	const char *spec = json_string_value(json_object_get(asked, "KeySpec"));
	uint8_t plain[32];
	char text[BASE64_TEXT_BYTES(32)];
	if (!key)
		return;
	if (!spec || strcmp(spec, "AES_256") != 0) {
		refuse(kms, answer, "ValidationException", "KeySpec");
		return;
	}
	assert_int_equal(getrandom(plain, sizeof plain, 0), sizeof plain);
	base64_encode(bytes_of(plain, sizeof plain), text);
	answer_json(kms, answer,
	        json_pack("{s:o, s:s, s:s}", "CiphertextBlob",
	                wrap(kms, key, plain, json_object_get(asked, "EncryptionContext")), "KeyId", key->arn,
	                "Plaintext", text));
}

static void decrypt(FakeKms *kms, const json_t *asked, struct fake_answer *answer) {
	const struct wrap *found = unwrap(kms, asked, "KeyId", "EncryptionContext", answer);
	char text[BASE64_TEXT_BYTES(32)];
	if (!found)
		return;
	base64_encode(bytes_of(found->plain, sizeof found->plain), text);
	answer_json(kms, answer,
	        json_pack("{s:s, s:s, s:s}", "EncryptionAlgorithm", "SYMMETRIC_DEFAULT", "KeyId", found->key->arn,
	                "Plaintext", text));
}

static void reencrypt(FakeKms *kms, const json_t *asked, struct fake_answer *answer) {
	const struct wrap *found = unwrap(kms, asked, "SourceKeyId", "SourceEncryptionContext", answer);
	const struct key *to = found ? usable_key(kms, asked, "DestinationKeyId", answer) : NULL;
	if (!to)
		return;
	answer_json(kms, answer,
	        json_pack("{s:o, s:s, s:s}", "CiphertextBlob",
	                wrap(kms, to, found->plain, json_object_get(asked, "DestinationEncryptionContext")), "KeyId",
	                to->arn, "SourceKeyId", found->key->arn));
}

static void describe(FakeKms *kms, const json_t *asked, struct fake_answer *answer) {
	static const char *const states[] = {"Enabled", "Disabled", "PendingDeletion", "PendingImport"};
	const char *name = json_string_value(json_object_get(asked, "KeyId"));
	const struct key *key = find_key(kms, name);
	char *text = NULL;
	if (!key) {
		refuse(kms, answer, "NotFoundException", "no such key");
		return;
	}
	/* As AWS writes it, numbers too. */
	assert_true(asprintf(&text,
	                    "{\"KeyMetadata\":{\"AWSAccountId\":\"111122223333\",\"Arn\":\"%s\",\"CreationDate\":"
	                    "1.439243427E9,%s\"Description\":\"of Zo\xc3\xab\\nand \\u00e9\",\"Enabled\":%s,"
	                    "\"EncryptionAlgorithms\":[\"SYMMETRIC_DEFAULT\"],\"KeyManager\":\"CUSTOMER\","
	                    "\"KeySpec\":\"SYMMETRIC_DEFAULT\",\"KeyState\":\"%s\",\"KeyUsage\":\"ENCRYPT_DECRYPT\","
	                    "\"MultiRegion\":false}}",
	                    key->arn, key->state == FAKE_KMS_PENDING_DELETION ? "\"DeletionDate\":1.8000000005E9," : "",
	                    key->state == FAKE_KMS_ENABLED ? "true" : "false", states[key->state]) > 0);
	answer->body = keep(kms, text);
}

static const struct verb {
	const char *name;
	void (*answer)(FakeKms *, const json_t *, struct fake_answer *);
	const char *members; /* each between spaces */
} verbs[] = {
        {"TrentService.GenerateDataKey", generate, " KeyId KeySpec EncryptionContext "},
        {"TrentService.Decrypt", decrypt, " KeyId CiphertextBlob EncryptionContext "},
        {"TrentService.ReEncrypt", reencrypt,
                " SourceKeyId CiphertextBlob SourceEncryptionContext DestinationKeyId "
                "DestinationEncryptionContext "},
        {"TrentService.DescribeKey", describe, " KeyId "},
};

static void carry_out(FakeKms *kms, const struct fake_request *request, struct fake_answer *answer) {
	char target[64];
	char type[64];
	fake_header(request, "x-amz-target", target, sizeof target);
	fake_header(request, "content-type", type, sizeof type);
	json_t *asked = json_loadb((const char *)request->body.data, request->body.size, JSON_REJECT_DUPLICATES, NULL);
	const struct verb *verb = NULL;
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(target, verbs[i].name) == 0)
			verb = &verbs[i];
	if (!verb || strcmp(type, "application/x-amz-json-1.1") != 0 || strcmp(request->method, "POST") != 0 ||
	        strcmp(request->target, "/") != 0) {
		refuse(kms, answer, "UnknownOperationException", "");
	} else if (!json_is_object(asked)) {
		refuse(kms, answer, "SerializationException", "");
	} else {
		const char *name;
		json_t *value;
		bool is_known = true;
		char member[64];
		json_object_foreach(asked, name, value) {
			(void)snprintf(member, sizeof member, " %s ", name);
			is_known = is_known && strstr(verb->members, member);
		}
		if (is_known)
			verb->answer(kms, asked, answer);
		else
			refuse(kms, answer, "ValidationException", "a member that the verb has not");
	}
	json_decref(asked);
}

static void on_request(void *arg, const struct fake_request *request, struct fake_answer *answer) {
	FakeKms *kms = arg;
	pthread_mutex_lock(&kms->mutex);
	time_t now = clock_of(kms);
	struct tm tm;
	assert_non_null(gmtime_r(&now, &tm));
	(void)strftime(kms->date, sizeof kms->date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
	(void)snprintf(kms->last, sizeof kms->last, "%.*s", (int)request->body.size, (const char *)request->body.data);
	if (kms->bad_times) {
		kms->bad_times--;
		*answer = kms->bad;
		if (answer->status == 0)
			answer->status = 200;
	} else if (check_sender(kms, request, answer)) {
		carry_out(kms, request, answer);
	}
	if (!answer->headers)
		answer->headers = kms->date;
	pthread_mutex_unlock(&kms->mutex);
}

/* ---- the stub ---- */

FakeKms *fake_kms_open(void) {
	FakeKms *kms = calloc(1, sizeof *kms);
	assert_non_null(kms);
	assert_int_equal(pthread_mutex_init(&kms->mutex, NULL), 0);
	(void)snprintf(kms->token, sizeof kms->token, "%s", FAKE_KMS_TOKEN);
	kms->http = fake_http_open(on_request, kms);
	return kms;
}

void fake_kms_close(FakeKms *kms) {
	fake_http_close(kms->http);
	for (size_t i = 0; i < kms->answer_count; i++)
		free(kms->answers[i]);
	for (size_t i = 0; i < kms->wrap_count; i++)
		json_decref(kms->wraps[i].context);
	pthread_mutex_destroy(&kms->mutex);
	free(kms);
}

const char *fake_kms_url(const FakeKms *kms) {
	return fake_http_url(kms->http);
}

void fake_kms_add(FakeKms *kms, const char *id, const char *alias) {
	pthread_mutex_lock(&kms->mutex);
	assert_true(kms->key_count < KEYS_MAX);
	struct key *key = &kms->keys[kms->key_count++];
	(void)snprintf(key->arn, sizeof key->arn, FAKE_KMS_ARN("%s"), id);
	(void)snprintf(key->alias, sizeof key->alias, "%s", alias);
	pthread_mutex_unlock(&kms->mutex);
}

void fake_kms_set_state(FakeKms *kms, const char *id, enum fake_kms_state state) {
	pthread_mutex_lock(&kms->mutex);
	struct key *key = find_key(kms, id);
	assert_non_null(key);
	key->state = state;
	pthread_mutex_unlock(&kms->mutex);
}

void fake_kms_set_clock(FakeKms *kms, int64_t offset_s) {
	pthread_mutex_lock(&kms->mutex);
	kms->clock_offset_s = offset_s;
	pthread_mutex_unlock(&kms->mutex);
}

void fake_kms_set_token(FakeKms *kms, const char *token) {
	pthread_mutex_lock(&kms->mutex);
	(void)snprintf(kms->token, sizeof kms->token, "%s", token);
	pthread_mutex_unlock(&kms->mutex);
}

void fake_kms_be(FakeKms *kms, struct fake_answer answer, unsigned times) {
	pthread_mutex_lock(&kms->mutex);
	kms->bad = answer;
	kms->bad_times = times;
	pthread_mutex_unlock(&kms->mutex);
}

void fake_kms_fail(FakeKms *kms, int status, const char *code, const char *message, unsigned times) {
	pthread_mutex_lock(&kms->mutex);
	(void)snprintf(kms->bad_text, sizeof kms->bad_text, "{\"__type\":\"%s\",\"message\":\"%s\"}", code, message);
	kms->bad = (struct fake_answer){.status = status, .body = bytes_of_string(kms->bad_text)};
	kms->bad_times = times;
	pthread_mutex_unlock(&kms->mutex);
}

struct fake_counts fake_kms_counts(FakeKms *kms) {
	return fake_http_counts(kms->http);
}

void fake_kms_last(FakeKms *kms, char *ret, size_t room) {
	pthread_mutex_lock(&kms->mutex);
	(void)snprintf(ret, room, "%s", kms->last);
	pthread_mutex_unlock(&kms->mutex);
}
