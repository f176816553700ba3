#include "policy/check.h"

#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "policy/check_rules.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define HEAD_BYTES (64u << 10)
#define DRAIN_BYTES (64u << 10)

/* ---- the input, counted and hashed on the way ---- */

struct tap {
	struct check_input *input;
	struct sha256 hash;
	bool is_hashing;
	uint64_t total;
	bool has_ended;
	ssize_t error; /* the input's own, so that it is not taken for the check's */
};

static ssize_t tap_read(void *context, void *buffer, size_t size) {
	struct tap *tap = context;
	if (tap->error < 0 || tap->has_ended)
		return tap->error;
	ssize_t got = tap->input->read(tap->input->context, buffer, size);
	if (got < 0)
		tap->error = got;
	if (got == 0)
		tap->has_ended = true;
	if (got <= 0)
		return got;
	tap->total += (uint64_t)got;
	if (tap->is_hashing)
		sha256_update(&tap->hash, bytes_of(buffer, (size_t)got));
	return got;
}

/* A check may decide before the end (a broken line, a format it can't read); the rest is read all the same, since the
 * verdict is about the whole file. */
static int drain(struct tap *tap) {
	_cleanup_(freep) uint8_t *buffer = malloc(DRAIN_BYTES);
	if (!buffer)
		return fault(ENOMEM, "no memory to read a file");
	ssize_t got;
	while ((got = tap_read(tap, buffer, DRAIN_BYTES)) > 0)
		;
	return (int)got;
}

int check_run(check_function *check, const struct check_job *job, struct check_input *input, uint8_t *ret_sha256,
        struct check_result **ret_result) {
	struct tap tap = {.input = input, .is_hashing = ret_sha256 != NULL};
	struct check_input tapped = {.read = tap_read, .context = &tap};
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	int rc = check_result_new(&result);
	if (rc < 0)
		return rc;
	if (tap.is_hashing)
		sha256_init(&tap.hash);
	rc = check(job, &tapped, result);
	if (tap.error < 0)
		return (int)tap.error;
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0)
		rc = check_result_say(result, OUTCOME_ERROR, "the check could not be made: %s", fault_message());
	if (rc < 0 || (rc = drain(&tap)) < 0)
		return rc;
	result->bytes_read = tap.total;
	if (ret_sha256)
		sha256_final(&tap.hash, ret_sha256);
	*ret_result = steal_pointer(&result);
	return 0;
}

/* ---- formats that are known, but not to the reader ---- */

struct magic {
	const char *bytes;
	size_t size;
	const char *format;
};

#define MAGIC(text, format) \
	{ text, sizeof text - 1, format }

static const struct magic magics[] = {
        MAGIC("PAR1", "Parquet"),
        MAGIC("ORC", "ORC"),
        MAGIC("Obj\x01", "Avro"),
        MAGIC("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file (xls)"),
        MAGIC("\x1f\x8b", "gzip"),
        MAGIC("\x28\xb5\x2f\xfd", "zstd"),
        MAGIC("BZh", "bzip2"),
        MAGIC("\xfd"
              "7zXZ",
                "xz"),
        MAGIC("%PDF-", "PDF"),
        MAGIC("SQLite format 3", "SQLite"),
};

struct suffix {
	const char *suffix, *format;
};

static const struct suffix suffixes[] = {{".parquet", "Parquet"}, {".xlsx", "xlsx"}, {".xls", "xls"}, {".ods", "ods"},
        {".orc", "ORC"}, {".avro", "Avro"}, {".json", "JSON"}, {".jsonl", "JSON Lines"}, {".ndjson", "JSON Lines"}};

static const char *format_of_bytes(struct bytes head) {
	for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
		if (head.size >= magics[i].size && memcmp(head.data, magics[i].bytes, magics[i].size) == 0)
			return magics[i].format;
	if (head.size < 4 || memcmp(head.data, "PK\x03\x04", 4) != 0)
		return NULL;
	return memmem(head.data, head.size, "xl/", 3) ? "xlsx" : "zip";
}

static const char *format_of_name(const char *name) {
	size_t length = name ? strlen(name) : 0;
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		size_t tail = strlen(suffixes[i].suffix);
		if (length > tail && strcasecmp(name + length - tail, suffixes[i].suffix) == 0)
			return suffixes[i].format;
	}
	return NULL;
}

/* What the file is, when that is something that can't be read. The name counts only where the policy says nothing. */
static const char *unsupported_format(const struct check_job *job, struct bytes head) {
	const char *format = format_of_bytes(head);
	if (!format && job->format.type == POLICY_FILE_DETECT)
		format = format_of_name(job->file_name);
	if (!format && job->format.type == POLICY_FILE_JSONL)
		format = "JSON Lines";
	return format;
}

/* ---- the head, looked at and then read again ---- */

struct headed {
	struct check_input *input;
	uint8_t *head;
	size_t size, used;
};

static int read_head(struct headed *headed) {
	while (headed->size < HEAD_BYTES) {
		ssize_t got = headed->input->read(
		        headed->input->context, headed->head + headed->size, HEAD_BYTES - headed->size);
		if (got < 0)
			return (int)got;
		if (got == 0)
			break;
		headed->size += (size_t)got;
	}
	return 0;
}

static ssize_t headed_read(void *context, void *buffer, size_t size) {
	struct headed *headed = context;
	size_t left = headed->size - headed->used;
	if (left == 0)
		return headed->input->read(headed->input->context, buffer, size);
	size_t count = left < size ? left : size;
	memcpy(buffer, headed->head + headed->used, count);
	headed->used += count;
	return (ssize_t)count;
}

int check_table(const struct check_job *job, struct check_input *input, struct check_result *result) {
	struct headed headed = {.input = input};
	_cleanup_(freep) uint8_t *head = headed.head = malloc(HEAD_BYTES);
	if (!head)
		return fault(ENOMEM, "no memory to read a file");
	int rc = read_head(&headed);
	if (rc < 0)
		return rc;
	if (headed.size == 0)
		return check_result_say(result, OUTCOME_FAILED, "empty: the file has no bytes");
	const char *format = unsupported_format(job, bytes_of(head, headed.size));
	if (format)
		return check_result_say(result, OUTCOME_ERROR,
		        "the file is %s, a format that is not supported yet; supported is CSV (delimited text)",
		        format);
	struct check_input again = {.read = headed_read, .context = &headed};
	return check_rules(job, &again, result);
}
