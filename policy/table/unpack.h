/*
 * unpack: a source that undoes gzip or zstd, one buffer at a time.
 *
 *     file's bytes ──▶ 64 KiB ──▶ inflate / decompress ──▶ whoever reads, into its own buffer
 *
 * Members (gzip) and frames (zstd) that follow each other are one text, as their own tools have it; zero bytes behind
 * the last gzip member are padding. What is cut off, damaged (the checksums are compared) or followed by something else
 * is -EBADMSG with words. Memory: 40 KiB for gzip; for zstd its window, of which more than 128 MiB is refused. Nothing
 * but memory is asked of the system.
 *
 * A small file may unpack to a very large one, so both how much comes out and how much more than went in is limited:
 * past it -EMSGSIZE, with words that name the limit.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"
#include "policy/table/source.h"

enum packing { PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

/* All of what comes out: what a file may have that is not packed (docs/policy.md). */
#define UNPACK_MAX_BYTES (UINT64_C(64) << 30)
/* Times what has gone in. gzip can't do more than 1,032; tables are at 3 to 50, a log of one line over and over at some
 * hundred. */
#define UNPACK_MAX_RATIO 1000u
/* The ratio counts from here on: the first bytes of anything may repeat. */
#define UNPACK_FREE_BYTES (UINT64_C(64) << 20)

/* All zero: the defaults above. */
struct unpack_limits {
	uint64_t max_bytes;
	unsigned max_ratio;
	uint64_t free_bytes;
};

/* By the first bytes of a file. */
enum packing packing_of(struct bytes head);

/* "gzip", "zstd"; "" for none. */
const char *packing_word(enum packing packing);

typedef struct Unpacker Unpacker;

/* `packing` is not PACKING_NONE; `below` gives the file from its first byte. -ENOMEM. */
int unpacker_new(enum packing packing, const struct table_source *below, const struct unpack_limits *limits,
        Unpacker **ret_unpacker);
void unpacker_free(Unpacker *unpacker);
DEFINE_CLEANUP(Unpacker, unpacker_free);

/* What is packed; valid as long as the unpacker. */
struct table_source unpacker_source(Unpacker *unpacker);

/* What of the bytes so far is no part of the text, though somebody can read it: a comment, an extra field or another
 * name than the file's in a gzip member's header, a skippable frame of zstd. In words ("a gzip header has a comment");
 * "": nothing. `name` is the file's, a path or not; a name that it begins with is its own (a.csv in a.csv.gz); NULL:
 * none is. */
const char *unpacker_aside(const Unpacker *unpacker, const char *name);
