/*
 * plain: a file's own text: its bytes, or what gzip or zstd make of them, with a look at the first ones.
 *
 *     struct plain plain = {0};
 *     plain_open(&plain, &file, NULL);          by the file's first bytes
 *     struct peek *text = plain_peek(&plain);              its first bytes, and all of it as a source
 *     plain_release(&plain);
 */
#pragma once

#include "policy/table/peek.h"
#include "policy/table/unpack.h"

struct plain {
	struct peek file; /* as it is stored */
	enum packing packing;
	Unpacker *unpacker;
	struct peek text; /* not used for a file that is not packed */
};

/* `limits` NULL: the defaults. -ENOMEM, the source's errors, the unpacker's. To be released after an error, too. */
int plain_open(struct plain *plain, struct table_source file, const struct unpack_limits *limits);
void plain_release(struct plain *plain);

/* The text's first bytes (peek.h), and whether there are no more. */
struct peek *plain_peek(struct plain *plain);

/* What was in the file and is in no text, so far (unpacker_aside()); `name` is the file's. "" if nothing. */
const char *plain_aside(const struct plain *plain, const char *name);
