#include "crypto/sigv4.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"
#include "crypto/base/ready.h"
#include "crypto/secret.h"

#include <sodium/crypto_auth_hmacsha256.h>
#include <stdio.h>
#include <time.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define DAY_BYTES 8

void sigv4_date(int64_t time_s, char ret_date[static SIGV4_DATE_BYTES]) {
	time_t time = (time_t)time_s;
	struct tm tm;
	if (!gmtime_r(&time, &tm) || strftime(ret_date, SIGV4_DATE_BYTES, "%Y%m%dT%H%M%SZ", &tm) == 0)
		memcpy(ret_date, "19700101T000000Z", SIGV4_DATE_BYTES);
}

/* ---- texts ---- */

/* Texts of any length are printed into memory of their own; the first failure stays with the stream. */
struct text {
	char *data;
	size_t size;
	FILE *stream;
};

static void text_clear(struct text *text) {
	if (text->stream)
		(void)fclose(text->stream);
	free(text->data);
}

static int text_begin(struct text *text) {
	text->stream = open_memstream(&text->data, &text->size);
	return text->stream ? 0 : fault(ENOMEM, "no memory to sign a request");
}

static int text_end(struct text *text, char **ret) {
	FILE *stream = text->stream;
	text->stream = NULL;
	int failed = ferror(stream);
	if (fclose(stream) != 0 || failed)
		return fault(ENOMEM, "no memory to sign a request");
	*ret = steal_pointer(&text->data);
	return 0;
}

static void put_encoded(FILE *stream, const char *text, bool keeps_slashes) {
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		bool is_plain = (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') ||
		                strchr("-._~", *c) || (*c == '/' && keeps_slashes);
		if (is_plain)
			(void)fputc(*c, stream);
		else
			(void)fprintf(stream, "%%%02X", *c);
	}
}

static int encode(const char *from, bool keeps_slashes, char **ret) {
	_cleanup_(text_clear) struct text text = {0};
	int rc = text_begin(&text);
	if (rc < 0)
		return rc;
	put_encoded(text.stream, from, keeps_slashes);
	return text_end(&text, ret);
}

int sigv4_encode_path(const char *path, char **ret_path) {
	return encode(path, true, ret_path);
}

/* ---- query ---- */

struct encoded {
	char *name, *value;
};

struct encoded_pairs {
	struct encoded *pairs;
	size_t count;
};

static void encoded_clear(struct encoded_pairs *list) {
	for (size_t i = 0; list->pairs && i < list->count; i++) {
		free(list->pairs[i].name);
		free(list->pairs[i].value);
	}
	free(list->pairs);
}

static int by_name(const void *one, const void *other) {
	const struct encoded *a = one;
	const struct encoded *b = other;
	int order = strcmp(a->name, b->name);
	return order ? order : strcmp(a->value, b->value);
}

int sigv4_query(const struct sigv4_pair *params, size_t count, char **ret_query) {
	_cleanup_(encoded_clear) struct encoded_pairs list = {
	        .pairs = calloc(count + 1, sizeof *list.pairs), .count = count};
	_cleanup_(text_clear) struct text text = {0};
	int rc = list.pairs ? text_begin(&text) : fault(ENOMEM, "no memory to sign a request");
	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = encode(params[i].name, false, &list.pairs[i].name);
		if (rc == 0)
			rc = encode(params[i].value, false, &list.pairs[i].value);
	}
	if (rc < 0)
		return rc;
	qsort(list.pairs, count, sizeof *list.pairs, by_name);
	for (size_t i = 0; i < count; i++)
		(void)fprintf(text.stream, "%s%s=%s", i ? "&" : "", list.pairs[i].name, list.pairs[i].value);
	return text_end(&text, ret_query);
}

/* ---- the canonical request ---- */

/* The value without spaces around it, and one for each run of them inside. */
static void put_trimmed(FILE *stream, const char *value) {
	bool has_space = false;
	bool has_begun = false;
	for (; *value; value++) {
		if (strchr(" \t\r\n", *value)) {
			has_space = true;
			continue;
		}
		if (has_space && has_begun)
			(void)fputc(' ', stream);
		(void)fputc(*value, stream);
		has_space = false;
		has_begun = true;
	}
}

struct named {
	const struct sigv4_pair *pair;
	size_t at; /* those of one name stay in their order */
};

static int by_header(const void *one, const void *other) {
	const struct named *a = one;
	const struct named *b = other;
	int order = strcmp(a->pair->name, b->pair->name);
	return order ? order : (a->at > b->at) - (a->at < b->at);
}

static int sorted_headers(const struct sigv4_request *request, struct named **ret_sorted) {
	struct named *sorted = calloc(request->header_count + 1, sizeof *sorted);
	if (!sorted)
		return fault(ENOMEM, "no memory to sign a request");
	for (size_t i = 0; i < request->header_count; i++)
		sorted[i] = (struct named){.pair = &request->headers[i], .at = i};
	qsort(sorted, request->header_count, sizeof *sorted, by_header);
	*ret_sorted = sorted;
	return 0;
}

static bool is_same_name(const struct named *sorted, size_t at) {
	return at > 0 && strcmp(sorted[at].pair->name, sorted[at - 1].pair->name) == 0;
}

static void put_signed_names(FILE *stream, const struct named *sorted, size_t count) {
	for (size_t i = 0; i < count; i++)
		if (!is_same_name(sorted, i))
			(void)fprintf(stream, "%s%s", i ? ";" : "", sorted[i].pair->name);
}

int sigv4_canonical_request(const struct sigv4_request *request, char **ret_text) {
	_cleanup_(freep) struct named *sorted = NULL;
	_cleanup_(text_clear) struct text text = {0};
	int rc = sorted_headers(request, &sorted);
	if (rc == 0)
		rc = text_begin(&text);
	if (rc < 0)
		return rc;
	FILE *stream = text.stream;
	(void)fprintf(stream, "%s\n%s\n%s\n", request->method, request->path, request->query);
	for (size_t i = 0; i < request->header_count; i++) {
		if (is_same_name(sorted, i))
			(void)fputc(',', stream);
		else
			(void)fprintf(stream, "%s%s:", i ? "\n" : "", sorted[i].pair->name);
		put_trimmed(stream, sorted[i].pair->value);
	}
	(void)fputs(request->header_count ? "\n\n" : "\n", stream);
	put_signed_names(stream, sorted, request->header_count);
	(void)fprintf(stream, "\n%s", request->payload_hash);
	return text_end(&text, ret_text);
}

/* ---- the signature ---- */

static void hmac(struct bytes key, const char *text, uint8_t ret_mac[static DIGEST_BYTES]) {
	crypto_auth_hmacsha256_state state;
	crypto_auth_hmacsha256_init(&state, key.data, key.size);
	crypto_auth_hmacsha256_update(&state, (const uint8_t *)text, strlen(text));
	crypto_auth_hmacsha256_final(&state, ret_mac);
	secret_wipe(&state, sizeof state);
}

static int derive_key(const struct sigv4_key *key, const char *date, struct secret_key *ret_key) {
	size_t length = strlen("AWS4") + strlen(key->secret_key);
	char *first = malloc(length + 1);
	if (!first)
		return fault(ENOMEM, "no memory to sign a request");
	(void)snprintf(first, length + 1, "AWS4%s", key->secret_key);
	char day[DAY_BYTES + 1];
	(void)snprintf(day, sizeof day, "%.*s", DAY_BYTES, date);
	_cleanup_(secret_key_wipe) struct secret_key step;
	hmac(bytes_of(first, length), day, step.bytes);
	hmac(bytes_of(step.bytes, DIGEST_BYTES), key->region, ret_key->bytes);
	hmac(bytes_of(ret_key->bytes, DIGEST_BYTES), key->service, step.bytes);
	hmac(bytes_of(step.bytes, DIGEST_BYTES), "aws4_request", ret_key->bytes);
	secret_wipe(first, length);
	free(first);
	return 0;
}

static int put_signature(
        FILE *stream, const struct sigv4_key *key, const struct sigv4_request *request, const char *scope) {
	_cleanup_(freep) char *canonical = NULL;
	int rc = sigv4_canonical_request(request, &canonical);
	if (rc < 0)
		return rc;
	uint8_t digest[DIGEST_BYTES];
	char hex[DIGEST_HEX_BYTES];
	sha256(bytes_of_string(canonical), digest);
	digest_hex(digest, hex);
	_cleanup_(text_clear) struct text text = {0};
	_cleanup_(freep) char *to_sign = NULL;
	rc = text_begin(&text);
	if (rc == 0) {
		(void)fprintf(text.stream, ALGORITHM "\n%s\n%s\n%s", request->date, scope, hex);
		rc = text_end(&text, &to_sign);
	}
	_cleanup_(secret_key_wipe) struct secret_key derived;
	if (rc == 0)
		rc = derive_key(key, request->date, &derived);
	if (rc < 0)
		return rc;
	hmac(bytes_of(derived.bytes, DIGEST_BYTES), to_sign, digest);
	digest_hex(digest, hex);
	(void)fputs(hex, stream);
	return 0;
}

static int scope_of(const struct sigv4_key *key, const char *date, char **ret_scope) {
	_cleanup_(text_clear) struct text text = {0};
	int rc = text_begin(&text);
	if (rc < 0)
		return rc;
	(void)fprintf(text.stream, "%.*s/%s/%s/aws4_request", DAY_BYTES, date, key->region, key->service);
	return text_end(&text, ret_scope);
}

int sigv4_sign(const struct sigv4_key *key, const struct sigv4_request *request, char **ret_authorization) {
	crypto_ready();
	_cleanup_(freep) struct named *sorted = NULL;
	_cleanup_(freep) char *scope = NULL;
	_cleanup_(text_clear) struct text text = {0};
	int rc = sorted_headers(request, &sorted);
	if (rc == 0)
		rc = scope_of(key, request->date, &scope);
	if (rc == 0)
		rc = text_begin(&text);
	if (rc < 0)
		return rc;
	(void)fprintf(text.stream, ALGORITHM " Credential=%s/%s,SignedHeaders=", key->access_key, scope);
	put_signed_names(text.stream, sorted, request->header_count);
	(void)fputs(",Signature=", text.stream);
	rc = put_signature(text.stream, key, request, scope);
	return rc < 0 ? rc : text_end(&text, ret_authorization);
}
