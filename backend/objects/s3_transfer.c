#include "backend/objects/s3_transfer.h"

#include "backend/objects/s3_xml.h"
#include "crypto/base/array.h"
#include "crypto/base/deadline.h"
#include "crypto/encoding.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define MD5_BYTES 16
#define PAIRS_MAX (S3_HEADERS_MAX + 8)
#define STALL_BYTES_PER_S 1024L
#define BUFFER_BYTES (512L << 10)
/* A page of a listing, for the time it may take: 1,000 names. */
#define PAGE_BYTES ((size_t)1 << 20)

/* ---- the answer ---- */

/* Takes a part of the body that goes to the caller. What it returns other than `size` ends the transfer. */
static size_t take_into(struct s3_transfer *transfer, const uint8_t *data, size_t size) {
	struct s3_call *call = transfer->call;
	size_t room = call->room - call->got;
	size_t part = size < room ? size : room;
	memcpy(call->into + call->got, data, part);
	call->got += part;
	if (part == size)
		return size;
	if (transfer->has_range)
		transfer->is_too_long = true;
	else
		transfer->is_enough = true;
	return 0;
}

static size_t take_text(struct s3_transfer *transfer, const uint8_t *data, size_t size) {
	if (size > S3_XML_BYTES_MAX - transfer->text_size) {
		transfer->is_too_long = true;
		return 0;
	}
	uint8_t *text = array_room(transfer->text, &transfer->text_room, transfer->text_size + size, 1);
	if (!text)
		return 0;
	transfer->text = text;
	memcpy(text + transfer->text_size, data, size);
	transfer->text_size += size;
	return size;
}

static size_t on_body(char *data, size_t one, size_t size, void *arg) {
	(void)one;
	struct s3_transfer *transfer = arg;
	long status = 0;
	(void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	/* A server that sends the object from its beginning when its middle was asked for sends nothing of use. */
	if (transfer->call->into && (status == 206 || (status == 200 && transfer->call->offset == 0)))
		return take_into(transfer, (const uint8_t *)data, size);
	if (transfer->call->into && status == 200)
		return 0;
	return take_text(transfer, (const uint8_t *)data, size);
}

static void take_range(struct s3_transfer *transfer, const char *value) {
	unsigned long long first = 0;
	unsigned long long last = 0;
	unsigned long long total = 0;
	if (sscanf(value, "bytes %llu-%llu/%llu", &first, &last, &total) != 3)
		return;
	transfer->has_range = true;
	transfer->range_first = first;
	transfer->range_last = last;
	transfer->range_total = total;
}

static void take_header(struct s3_transfer *transfer, const char *name, const char *value) {
	struct s3_call *call = transfer->call;
	const struct {
		const char *name;
		char *to;
		size_t room;
	} texts[] = {
	        {"date", transfer->date, sizeof transfer->date},
	        {"x-amz-request-id", transfer->request_id, sizeof transfer->request_id},
	        {"x-amz-bucket-region", transfer->region, sizeof transfer->region},
	        {"etag", call->etag, sizeof call->etag},
	        {"x-amz-version-id", call->version, sizeof call->version},
	};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (strcasecmp(name, texts[i].name) == 0 && strlen(value) < texts[i].room)
			memcpy(texts[i].to, value, strlen(value) + 1);
	if (strcasecmp(name, "content-range") == 0)
		take_range(transfer, value);
	if (strcasecmp(name, "retry-after") == 0)
		transfer->retry_after_s = (unsigned)strtoul(value, NULL, 10);
}

static void forget_answer(struct s3_transfer *transfer) {
	struct s3_call *call = transfer->call;
	call->got = 0;
	call->etag[0] = call->version[0] = '\0';
	transfer->text_size = 0;
	transfer->is_enough = transfer->is_too_long = transfer->has_range = false;
	transfer->date[0] = transfer->request_id[0] = transfer->region[0] = '\0';
	transfer->retry_after_s = 0;
}

static size_t on_header(char *data, size_t one, size_t size, void *arg) {
	(void)one;
	struct s3_transfer *transfer = arg;
	char line[512];
	size_t length = size;
	while (length && strchr("\r\n\t ", data[length - 1]))
		length--;
	/* Longer ones are none that we read. */
	if (length >= sizeof line)
		return size;
	memcpy(line, data, length);
	line[length] = '\0';
	if (strncmp(line, "HTTP/", 5) == 0)
		forget_answer(transfer);
	char *colon = strchr(line, ':');
	if (!colon)
		return size;
	*colon = '\0';
	/* Some of it gets into words. */
	for (char *c = colon + 1; *c; c++)
		*c = (char)(*c >= ' ' && *c < 0x7f ? *c : '?');
	take_header(transfer, line, colon + 1 + strspn(colon + 1, " \t"));
	return size;
}

/* ---- the request ---- */

static size_t on_send(char *to, size_t one, size_t room, void *arg) {
	(void)one;
	struct s3_transfer *transfer = arg;
	struct bytes body = transfer->call->body;
	size_t left = body.size - transfer->sent;
	size_t part = left < room ? left : room;
	if (part)
		memcpy(to, body.data + transfer->sent, part);
	transfer->sent += part;
	return part;
}

static int on_rewind(void *arg, curl_off_t offset, int origin) {
	struct s3_transfer *transfer = arg;
	if (origin != SEEK_SET || offset < 0 || (size_t)offset > transfer->call->body.size)
		return CURL_SEEKFUNC_FAIL;
	transfer->sent = (size_t)offset;
	/* libcurl sends by itself again what went into a connection that was kept and is dead. */
	transfer->call->was_unsure = true;
	return CURL_SEEKFUNC_OK;
}

static bool add_header(struct curl_slist **list, const char *name, const char *value) {
	size_t length = strlen(name) + strlen(value) + 3;
	char *line = malloc(length);
	if (!line)
		return false;
	(void)snprintf(line, length, "%s: %s", name, value);
	struct curl_slist *longer = curl_slist_append(*list, line);
	secret_wipe(line, length); /* it may be the session token's */
	free(line);
	*list = longer ? longer : *list;
	return longer != NULL;
}

static int md5_text(struct bytes body, char ret_text[static BASE64_TEXT_BYTES(MD5_BYTES)]) {
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	if (EVP_Digest(body.data, body.size, digest, &size, EVP_md5(), NULL) != 1 || size != MD5_BYTES)
		return fault(ENOTSUP, "no MD5 on this system, which S3 wants of what concerns locks");
	base64_encode(bytes_of(digest, MD5_BYTES), ret_text);
	return 0;
}

/* What one attempt sends, while it is put together. */
struct wire {
	struct sigv4_pair pairs[PAIRS_MAX];
	size_t count;
	char date[SIGV4_DATE_BYTES];
	char range[64];
	char md5[BASE64_TEXT_BYTES(MD5_BYTES)];
	char *path, *query, *url, *authorization;
};

static void wire_clear(struct wire *wire) {
	free(wire->path);
	free(wire->query);
	free(wire->url);
	free(wire->authorization);
}

static void add_pair(struct wire *wire, const char *name, const char *value) {
	if (wire->count < PAIRS_MAX)
		wire->pairs[wire->count++] = (struct sigv4_pair){name, value};
}

static int collect(struct wire *wire, const struct s3_shared *shared, struct s3_call *call) {
	if (!call->hash[0]) {
		uint8_t digest[DIGEST_BYTES];
		sha256(call->body, digest);
		digest_hex(digest, call->hash);
	}
	sigv4_date((int64_t)time(NULL) + shared->clock_offset_s, wire->date);
	add_pair(wire, "host", shared->site.host);
	add_pair(wire, "x-amz-content-sha256", call->hash);
	add_pair(wire, "x-amz-date", wire->date);
	if (shared->credentials->session_token[0])
		add_pair(wire, "x-amz-security-token", shared->credentials->session_token);
	if (call->into) {
		(void)snprintf(wire->range, sizeof wire->range, "bytes=%llu-%llu", (unsigned long long)call->offset,
		        (unsigned long long)(call->offset + call->room - 1));
		add_pair(wire, "range", wire->range);
	}
	if (call->wants_md5) {
		int rc = md5_text(call->body, wire->md5);
		if (rc < 0)
			return rc;
		add_pair(wire, "content-md5", wire->md5);
	}
	for (size_t i = 0; i < call->header_count; i++)
		add_pair(wire, call->headers[i].name, call->headers[i].value);
	return 0;
}

static int sign(struct wire *wire, const struct s3_shared *shared, const struct s3_call *call) {
	const struct s3_credentials *who = shared->credentials;
	if (asprintf(&wire->path, "%s/%s", shared->site.path, call->key ? call->key : "") < 0) {
		wire->path = NULL;
		return fault(ENOMEM, "no memory for a request");
	}
	int rc = sigv4_query(call->params, call->param_count, &wire->query);
	if (rc < 0)
		return rc;
	struct sigv4_key key = {who->access_key, who->secret_key, who->region, "s3"};
	struct sigv4_request request = {.method = call->method,
	        .path = wire->path,
	        .query = wire->query,
	        .headers = wire->pairs,
	        .header_count = wire->count,
	        .payload_hash = call->hash,
	        .date = wire->date};
	rc = sigv4_sign(&key, &request, &wire->authorization);
	if (rc == 0 && asprintf(&wire->url, "%s%s%s%s", shared->site.base, wire->path, wire->query[0] ? "?" : "",
	                       wire->query) < 0) {
		wire->url = NULL;
		rc = fault(ENOMEM, "no memory for a request");
	}
	return rc;
}

size_t s3_transfer_bytes(const struct s3_call *call) {
	bool is_page = !call->into && strcmp(call->method, "GET") == 0;
	return call->body.size + call->room + (is_page ? PAGE_BYTES : 0);
}

static void set_limits(struct s3_transfer *transfer, const struct s3_tuning *tuning) {
	CURL *easy = transfer->easy;
	transfer->began_ms = monotonic_ms();
	transfer->limit_ms = tuning->base_ms + (int64_t)(s3_transfer_bytes(transfer->call) * 1000 / tuning->least_rate);
	(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)tuning->connect_ms);
	(void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES_PER_S);
	(void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)tuning->stall_s);
	(void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)transfer->limit_ms);
}

static void set_common(struct s3_transfer *transfer, const struct s3_shared *shared) {
	CURL *easy = transfer->easy;
	curl_easy_reset(easy);
	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, shared->site.is_aws ? "https" : "http,https");
	(void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (shared->credentials->ca_bundle[0])
		(void)curl_easy_setopt(easy, CURLOPT_CAINFO, shared->credentials->ca_bundle);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
	(void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
	(void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "assayfs/" ASSAYFS_VERSION);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
	(void)curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_rewind);
	(void)curl_easy_setopt(easy, CURLOPT_SEEKDATA, transfer);
}

static void set_method(CURL *easy, const struct s3_call *call) {
	if (strcmp(call->method, "HEAD") == 0) {
		(void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (strcmp(call->method, "PUT") == 0) {
		(void)curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		(void)curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body.size);
	} else if (strcmp(call->method, "POST") == 0) {
		(void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
		(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
	} else {
		(void)curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
		if (strcmp(call->method, "GET") != 0)
			(void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
	}
}

static int set_headers(struct s3_transfer *transfer, const struct wire *wire) {
	bool fits = add_header(&transfer->headers, "Authorization", wire->authorization) &&
	            add_header(&transfer->headers, "Content-Type", "") && add_header(&transfer->headers, "Accept", "");
	for (size_t i = 0; fits && i < wire->count; i++)
		fits = add_header(&transfer->headers, wire->pairs[i].name, wire->pairs[i].value);
	if (!fits)
		return fault(ENOMEM, "no memory for a request");
	(void)curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
	return 0;
}

int s3_transfer_begin(struct s3_transfer *transfer, const struct s3_shared *shared, struct s3_call *call) {
	_cleanup_(wire_clear) struct wire wire = {0};
	transfer->call = call;
	transfer->shared = shared;
	transfer->sent = 0;
	transfer->error[0] = '\0';
	forget_answer(transfer);
	int rc = collect(&wire, shared, call);
	if (rc == 0)
		rc = sign(&wire, shared, call);
	if (rc == 0) {
		set_common(transfer, shared);
		set_limits(transfer, &shared->tuning);
		set_method(transfer->easy, call);
		rc = set_headers(transfer, &wire);
	}
	if (rc == 0 && curl_easy_setopt(transfer->easy, CURLOPT_URL, wire.url) != CURLE_OK)
		rc = fault(ENOMEM, "no memory for a request");
	if (rc < 0)
		s3_transfer_end(transfer);
	return rc;
}

void s3_transfer_end(struct s3_transfer *transfer) {
	for (struct curl_slist *at = transfer->headers; at; at = at->next)
		secret_wipe(at->data, strlen(at->data));
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
	free(transfer->text);
	transfer->text = NULL;
	transfer->text_size = transfer->text_room = 0;
	transfer->call = NULL;
}
