#include "policy/head.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <strings.h>

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

const char *head_unsupported(const struct head *head, const char *name, enum policy_file_type type) {
	const char *format = format_of_bytes(bytes_of(head->bytes, head->size));
	if (!format && type == POLICY_FILE_DETECT)
		format = format_of_name(name);
	if (!format && type == POLICY_FILE_JSONL)
		format = "JSON Lines";
	return format;
}

/* ---- the head, looked at and then read again ---- */

static int fill(struct head *head) {
	while (head->size < HEAD_BYTES) {
		ssize_t got =
		        head->input->read(head->input->context, head->bytes + head->size, HEAD_BYTES - head->size);
		if (got < 0)
			return (int)got;
		if (got == 0)
			break;
		head->size += (size_t)got;
	}
	return 0;
}

int head_read(struct check_input *input, struct head *ret_head) {
	struct head head = {.input = input, .bytes = malloc(HEAD_BYTES)};
	if (!head.bytes)
		return fault(ENOMEM, "no memory to read a file");
	int rc = fill(&head);
	if (rc < 0) {
		head_release(&head);
		return rc;
	}
	*ret_head = head;
	return 0;
}

void head_release(struct head *head) {
	free(head->bytes);
	head->bytes = NULL;
}

static ssize_t read_again(void *context, void *buffer, size_t size) {
	struct head *head = context;
	size_t left = head->size - head->used;
	if (left == 0)
		return head->input->read(head->input->context, buffer, size);
	size_t count = left < size ? left : size;
	memcpy(buffer, head->bytes + head->used, count);
	head->used += count;
	return (ssize_t)count;
}

struct check_input head_input(struct head *head) {
	return (struct check_input){.read = read_again, .context = head};
}
