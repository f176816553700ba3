#include "policy/table/unsupported.h"

#include <stdbool.h>
#include <strings.h>

struct magic {
	const char *bytes;
	size_t size;
	const char *format;
	bool is_word; /* letters that a text may begin with, too (a column ORCID): counts before binary bytes only */
};

#define MAGIC(text, format) \
	{ text, sizeof text - 1, format, false }

static const struct magic magics[] = {
        MAGIC("PAR1", "Parquet"),
        {"ORC", 3, "ORC", true},
        MAGIC("Obj\x01", "Avro"),
        MAGIC("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file (xls)"),
        MAGIC("\x1f\x8b", "gzip"),
        MAGIC("\x28\xb5\x2f\xfd", "zstd"),
        {"BZh", 3, "bzip2", true},
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
        {".orc", "ORC"}, {".avro", "Avro"}, {".json", "JSON"}};

static bool has_control_byte(struct bytes head) {
	for (size_t i = 0; i < head.size; i++)
		if (head.data[i] < '\t')
			return true;
	return false;
}

static bool begins_with(struct bytes head, const struct magic *magic) {
	return head.size >= magic->size && memcmp(head.data, magic->bytes, magic->size) == 0 &&
	       (!magic->is_word || has_control_byte(head));
}

const char *unsupported_by_bytes(struct bytes head) {
	for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
		if (begins_with(head, &magics[i]))
			return magics[i].format;
	if (head.size < 4 || memcmp(head.data, "PK\x03\x04", 4) != 0)
		return NULL;
	return memmem(head.data, head.size, "xl/", 3) ? "xlsx" : "zip";
}

const char *unsupported_by_name(const char *name) {
	size_t length = name ? strlen(name) : 0;
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		size_t tail = strlen(suffixes[i].suffix);
		if (length > tail && strcasecmp(name + length - tail, suffixes[i].suffix) == 0)
			return suffixes[i].format;
	}
	return NULL;
}
