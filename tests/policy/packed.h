/* packed: what the tests of packed tables are made from. Included after cmocka.h. */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/table/unpack.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* Packed bytes, made in pieces. */
struct packed {
	uint8_t *data;
	size_t size;
};

static inline void packed_free(struct packed *packed) {
	free(packed->data);
}

static inline void add_bytes(struct packed *packed, const void *data, size_t size) {
	packed->data = realloc(packed->data, packed->size + size);
	assert_non_null(packed->data);
	memcpy(packed->data + packed->size, data, size);
	packed->size += size;
}

/* Adds a gzip member with that header. */
static inline void add_gzip(struct packed *packed, gz_header *header, const void *text, size_t size) {
	size_t most = size + 2000;
	_cleanup_(freep) uint8_t *out = malloc(most), *copy = malloc(size + 1);
	z_stream stream = {0};
	memcpy(copy, text, size);
	assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	if (header)
		assert_int_equal(deflateSetHeader(&stream, header), Z_OK);
	stream.next_in = copy;
	stream.avail_in = (uInt)size;
	stream.next_out = out;
	stream.avail_out = (uInt)most;
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	add_bytes(packed, out, stream.total_out);
	(void)deflateEnd(&stream);
}

/* Adds a member or frame. */
static inline void add_packed(struct packed *packed, enum packing packing, const void *text, size_t size) {
	if (packing == PACKING_GZIP) {
		add_gzip(packed, NULL, text, size);
		return;
	}
	size_t most = ZSTD_compressBound(size);
	_cleanup_(freep) uint8_t *out = malloc(most);
	size_t made = ZSTD_compress(out, most, text, size, 3);
	assert_false(ZSTD_isError(made));
	add_bytes(packed, out, made);
}
