/*
 * csv_index: where the fields and records of a piece of text end, as long as no quote stands in it.
 *
 *     1;Ann\n2;Bob\n3;"C…            fields   1 5 7 11      (offsets of delimiters and newlines)
 *      ^   ^ ^   ^ └ stops here      records  2 4           (how many of them up to each newline)
 *
 * 64 bytes at a time: three comparisons make a word with a bit for each byte, and only bits that are set are looked at.
 * Used by csv.c, which reads records with quotes byte by byte.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that are indexed at once: what is found in them stays in the nearest cache. */
#define CSV_INDEX_BYTES (16u << 10)

struct csv_index {
	uint32_t *fields, *records; /* allocated by csv_index_new() */
	size_t field_count, record_count;
	size_t size;   /* of the text up to the last newline found */
	bool is_ascii; /* that text, and it has no NUL */
};

/* -ENOMEM. */
int csv_index_init(struct csv_index *index);
void csv_index_release(struct csv_index *index);

/* Indexes the first bytes of a text, at most CSV_INDEX_BYTES and up to its first quote or newline of the other kind
 * (a CR before LF is none). Behind the text 64 bytes can be
 * read, whatever they hold. */
void csv_index_fill(struct csv_index *index, const char *text, size_t size, char delimiter, char newline, char quote);
