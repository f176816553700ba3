#include "policy/table/unpack.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#define IN_BYTES (64u << 10)
#define ZSTD_WINDOW_LOG 27
/* Longer than a file's name may be, so what is cut off is none. */
#define HEADER_NAME_BYTES 512
/* RFC 8878, 3.1.2. */
#define SKIPPABLE_MAGIC 0x184d2a50u
#define SKIPPABLE_MASK 0xfffffff0u
#define MAGIC_BYTES 4u

struct Unpacker {
	struct table_source below;
	struct unpack_limits limits;
	enum packing packing;
	union {
		z_stream gzip;
		ZSTD_DStream *zstd;
	} stream;
	bool between; /* at the end of a member or frame, or before the first */
	bool padding; /* zero bytes have come behind a gzip member: nothing else may */
	bool ended;   /* no more comes in */
	int error;
	uint64_t in, out;
	uint8_t *input;
	size_t used, filled;
	/* What is no part of the text. */
	gz_header header; /* of the member that is read */
	char header_name[HEADER_NAME_BYTES], header_comment[2];
	char name[HEADER_NAME_BYTES]; /* the first that a header had */
	bool has_names;               /* and others */
	const char *aside;            /* anything else, in words */
};

/* ---- what it is ---- */

static bool begins_with(struct bytes head, const char *magic, size_t size) {
	return head.size >= size && memcmp(head.data, magic, size) == 0;
}

enum packing packing_of(struct bytes head) {
	if (begins_with(head, "\x1f\x8b", 2))
		return PACKING_GZIP;
	return begins_with(head, "\x28\xb5\x2f\xfd", 4) ? PACKING_ZSTD : PACKING_NONE;
}

const char *packing_word(enum packing packing) {
	return packing == PACKING_GZIP ? "gzip" : packing == PACKING_ZSTD ? "zstd" : "";
}

/* ---- errors ---- */

static int cut_off(const Unpacker *unpacker) {
	return fault(EBADMSG, "the %s stream ends in the middle, after %" PRIu64 " bytes: the file is cut off",
	        packing_word(unpacker->packing), unpacker->in);
}

static int damaged(const Unpacker *unpacker, const char *why) {
	return fault(EBADMSG, "the %s stream is damaged near byte %" PRIu64 ": %s", packing_word(unpacker->packing),
	        unpacker->in - (unpacker->filled - unpacker->used), why);
}

static int check_limits(const Unpacker *unpacker) {
	const struct unpack_limits *limits = &unpacker->limits;
	if (unpacker->out > limits->max_bytes)
		return fault(EMSGSIZE, "the %s stream unpacks to more than %" PRIu64 " bytes, which is the limit",
		        packing_word(unpacker->packing), limits->max_bytes);
	if (unpacker->out > limits->free_bytes && unpacker->out / limits->max_ratio > unpacker->in)
		return fault(EMSGSIZE,
		        "the %s stream unpacks to more than %u times its size, which is the limit (%" PRIu64
		        " bytes of %" PRIu64 ")",
		        packing_word(unpacker->packing), limits->max_ratio, unpacker->out, unpacker->in);
	return 0;
}

/* ---- what is no part of the text ---- */

/* To be called before a member: its header is told when it was read. The extra field's size is told without a buffer
 * for it, which some versions of zlib wrote past (CVE-2022-37434). */
static bool expect_header(Unpacker *unpacker) {
	memset(unpacker->header_name, 0, sizeof unpacker->header_name);
	unpacker->header = (gz_header){.name = (Bytef *)unpacker->header_name,
	        .name_max = sizeof unpacker->header_name - 1,
	        .comment = (Bytef *)unpacker->header_comment,
	        .comm_max = sizeof unpacker->header_comment};
	return inflateGetHeader(&unpacker->stream.gzip, &unpacker->header) == Z_OK;
}

static void look_at_header(Unpacker *unpacker) {
	gz_header *header = &unpacker->header;
	if (header->done != 1)
		return;
	if (header->comment && !unpacker->aside)
		unpacker->aside = "a gzip header has a comment";
	if (header->extra_len > 0 && !unpacker->aside)
		unpacker->aside = "a gzip header has an extra field";
	if (header->name && unpacker->header_name[0] && !unpacker->name[0])
		memcpy(unpacker->name, unpacker->header_name, sizeof unpacker->name);
	else if (header->name && strcmp(unpacker->name, unpacker->header_name) != 0)
		unpacker->has_names = true;
	header->done = 0; /* once */
}

/* At a frame's begin, with its first bytes at hand. */
static void look_at_frame(Unpacker *unpacker) {
	const uint8_t *at = unpacker->input + unpacker->used;
	if (unpacker->filled - unpacker->used < MAGIC_BYTES)
		return;
	uint32_t magic = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
	if ((magic & SKIPPABLE_MASK) == SKIPPABLE_MAGIC)
		unpacker->aside = "a skippable frame of zstd is in it";
}

const char *unpacker_aside(const Unpacker *unpacker, const char *name) {
	if (unpacker->aside)
		return unpacker->aside;
	const char *slash = name ? strrchr(name, '/') : NULL;
	const char *own = slash ? slash + 1 : name;
	bool is_own = own && strncmp(own, unpacker->name, strlen(unpacker->name)) == 0;
	if (unpacker->has_names || (unpacker->name[0] && !is_own))
		return "a gzip header has another name than the file's";
	return "";
}

/* ---- the two ---- */

/* Each unpacks some into `buf`, from input that is not empty: sets *ret_made, or returns a negative errno. */
static int unpack_gzip(Unpacker *unpacker, void *buf, size_t size, size_t *ret_made) {
	z_stream *stream = &unpacker->stream.gzip;
	if (unpacker->between && unpacker->out + unpacker->used > 0 && unpacker->input[unpacker->used] == 0)
		unpacker->padding = true;
	if (unpacker->padding) {
		while (unpacker->used < unpacker->filled && unpacker->input[unpacker->used] == 0)
			unpacker->used++;
		*ret_made = 0;
		return unpacker->used == unpacker->filled ? 0 : damaged(unpacker, "something follows its padding");
	}
	stream->next_in = unpacker->input + unpacker->used;
	stream->avail_in = (uInt)(unpacker->filled - unpacker->used);
	stream->next_out = buf;
	stream->avail_out = (uInt)size;
	int rc = inflate(stream, Z_NO_FLUSH);
	unpacker->used = unpacker->filled - stream->avail_in;
	*ret_made = size - stream->avail_out;
	unpacker->between = rc == Z_STREAM_END;
	look_at_header(unpacker);
	if (rc == Z_STREAM_END && (rc = inflateReset(stream)) == Z_OK && !expect_header(unpacker))
		rc = Z_STREAM_ERROR;
	if (rc == Z_MEM_ERROR)
		return fault(ENOMEM, "no memory to unpack a file");
	return rc == Z_OK || rc == Z_BUF_ERROR ? 0 : damaged(unpacker, stream->msg ? stream->msg : "no gzip member");
}

static int unpack_zstd(Unpacker *unpacker, void *buf, size_t size, size_t *ret_made) {
	if (unpacker->between)
		look_at_frame(unpacker);
	ZSTD_inBuffer in = {.src = unpacker->input, .size = unpacker->filled, .pos = unpacker->used};
	ZSTD_outBuffer out = {.dst = buf, .size = size};
	size_t rc = ZSTD_decompressStream(unpacker->stream.zstd, &out, &in);
	unpacker->used = in.pos;
	*ret_made = out.pos;
	if (!ZSTD_isError(rc)) {
		unpacker->between = rc == 0;
		return 0;
	}
	ZSTD_ErrorCode code = ZSTD_getErrorCode(rc);
	if (code == ZSTD_error_memory_allocation)
		return fault(ENOMEM, "no memory to unpack a file");
	if (code == ZSTD_error_frameParameter_windowTooLarge)
		return fault(EMSGSIZE, "the zstd stream needs a window of more than %u MiB, which is the limit",
		        1u << (ZSTD_WINDOW_LOG - 20));
	return damaged(unpacker, ZSTD_getErrorName(rc));
}

/* ---- reading ---- */

/* Behind what is left of the input. */
static int fill(Unpacker *unpacker) {
	size_t left = unpacker->filled - unpacker->used;
	memmove(unpacker->input, unpacker->input + unpacker->used, left);
	unpacker->used = 0;
	unpacker->filled = left;
	int got = source_take(&unpacker->below, unpacker->input + left, IN_BYTES - left);
	if (got < 0)
		return got;
	unpacker->filled += (size_t)got;
	unpacker->in += (uint64_t)got;
	unpacker->ended = got == 0;
	return 0;
}

/* What a frame begins with is looked at in one piece. */
static bool needs_input(const Unpacker *unpacker) {
	size_t left = unpacker->filled - unpacker->used;
	bool begins = unpacker->packing == PACKING_ZSTD && unpacker->between;
	return !unpacker->ended && left < (begins ? MAGIC_BYTES : 1);
}

static int unpack_some(Unpacker *unpacker, void *buf, size_t size) {
	size_t made = 0;
	for (int rc = 0; made == 0;) {
		/* What is still inside the library comes out without input, too. */
		while (needs_input(unpacker))
			if ((rc = fill(unpacker)) < 0)
				return rc;
		if (unpacker->ended && unpacker->between && unpacker->used == unpacker->filled)
			return 0;
		size_t before = unpacker->used;
		rc = unpacker->packing == PACKING_GZIP ? unpack_gzip(unpacker, buf, size, &made)
		                                       : unpack_zstd(unpacker, buf, size, &made);
		if (rc < 0)
			return rc;
		if (unpacker->ended && made == 0 && unpacker->used == before && !unpacker->between)
			return cut_off(unpacker);
	}
	unpacker->out += made;
	int rc = check_limits(unpacker);
	return rc < 0 ? rc : (int)made;
}

static int read_unpacked(void *ctx, void *buf, size_t size) {
	Unpacker *unpacker = ctx;
	if (unpacker->error)
		return unpacker->error;
	int got = size ? unpack_some(unpacker, buf, size < INT_MAX ? size : INT_MAX) : 0;
	if (got < 0)
		unpacker->error = got;
	return got;
}

struct table_source unpacker_source(Unpacker *unpacker) {
	return (struct table_source){.read = read_unpacked, .ctx = unpacker};
}

/* ---- making one ---- */

static bool start(Unpacker *unpacker) {
	if (unpacker->packing == PACKING_GZIP)
		return inflateInit2(&unpacker->stream.gzip, 15 + 16) == Z_OK && expect_header(unpacker);
	unpacker->stream.zstd = ZSTD_createDStream();
	return unpacker->stream.zstd &&
	       !ZSTD_isError(ZSTD_DCtx_setParameter(unpacker->stream.zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG));
}

int unpacker_new(enum packing packing, const struct table_source *below, const struct unpack_limits *limits,
        Unpacker **ret_unpacker) {
	_cleanup_(unpacker_freep) Unpacker *unpacker = calloc(1, sizeof *unpacker);
	if (!unpacker)
		return fault(ENOMEM, "no memory to unpack a file");
	unpacker->below = *below;
	unpacker->packing = packing;
	unpacker->between = true;
	unpacker->limits = *limits;
	if (!unpacker->limits.max_bytes)
		unpacker->limits.max_bytes = UNPACK_MAX_BYTES;
	if (!unpacker->limits.max_ratio)
		unpacker->limits.max_ratio = UNPACK_MAX_RATIO;
	if (!unpacker->limits.free_bytes)
		unpacker->limits.free_bytes = UNPACK_FREE_BYTES;
	unpacker->input = malloc(IN_BYTES);
	if (!unpacker->input || !start(unpacker))
		return fault(ENOMEM, "no memory to unpack a file");
	*ret_unpacker = steal_pointer(&unpacker);
	return 0;
}

void unpacker_free(Unpacker *unpacker) {
	if (!unpacker)
		return;
	if (unpacker->packing == PACKING_GZIP)
		(void)inflateEnd(&unpacker->stream.gzip);
	else
		(void)ZSTD_freeDStream(unpacker->stream.zstd);
	free(unpacker->input);
	free(unpacker);
}
