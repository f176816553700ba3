#include "policy/table/encoding.h"

#include "crypto/base/fault.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <stdlib.h>

/* How much of a text is looked at from its first byte on that is not ASCII, and how much is decoded at a time. */
#define BLOCK_BYTES (64u << 10)
/* A text that is all Latin is at one half. */
#define ZEROS_IN_UTF16 4 /* tenths of the units */

struct Decoder {
	struct table_source below;
	enum encoding encoding;
	uint8_t *block;      /* undecoded bytes [used, filled) */
	size_t used, filled; /* with UTF-8: bytes to be handed on first */
	bool ended;
	char left[4]; /* of a character that did not fit behind what was decoded */
	size_t left_size;
};

/* ---- what it is ---- */

const char *encoding_word(enum encoding encoding) {
	static const char *const words[] = {[ENCODING_ASCII] = "ASCII",
	        [ENCODING_UTF8] = "UTF-8",
	        [ENCODING_WINDOWS_1252] = "windows-1252",
	        [ENCODING_UTF16LE] = "UTF-16LE",
	        [ENCODING_UTF16BE] = "UTF-16BE"};
	return words[encoding];
}

enum encoding encoding_of(struct bytes head) {
	size_t zeros[2] = {0};
	if (head.size >= 2 && head.data[0] == 0xff && head.data[1] == 0xfe)
		return ENCODING_UTF16LE;
	if (head.size >= 2 && head.data[0] == 0xfe && head.data[1] == 0xff)
		return ENCODING_UTF16BE;
	for (size_t i = 0; i < head.size; i++)
		zeros[i % 2] += head.data[i] == 0;
	size_t units = head.size / 2;
	if (units >= 2 && zeros[0] == 0 && zeros[1] * 10 >= units * ZEROS_IN_UTF16)
		return ENCODING_UTF16LE;
	if (units >= 2 && zeros[1] == 0 && zeros[0] * 10 >= units * ZEROS_IN_UTF16)
		return ENCODING_UTF16BE;
	return ENCODING_ASCII;
}

/* 0x80 to 0x9f; 0: there is none. */
static const uint16_t windows_1252[32] = {0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030,
        0x0160, 0x2039, 0x0152, 0, 0x017d, 0, 0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122,
        0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178};

static uint32_t code_of_byte(uint8_t byte) {
	return byte < 0x80 || byte > 0x9f ? byte : windows_1252[byte - 0x80];
}

/* Bytes that are UTF-8 in part only may be UTF-8 that was damaged; they are left to be complained about. */
static bool is_windows_1252(const uint8_t *bytes, size_t size) {
	for (size_t i = 0; i < size; i++) {
		size_t most = size - i < 4 ? size - i : 4;
		if (bytes[i] >= 0x80 && utf8_valid_prefix((const char *)bytes + i, most) > 0)
			return false;
		if (code_of_byte(bytes[i]) == 0)
			return false;
	}
	return true;
}

/* ---- decoding ---- */

static int cannot(const Decoder *decoder, const char *what) {
	return fault(
	        EILSEQ, "%s, so this is not %s; convert the file to UTF-8", what, encoding_word(decoder->encoding));
}

static int fill(Decoder *decoder) {
	size_t left = decoder->filled - decoder->used;
	memmove(decoder->block, decoder->block + decoder->used, left);
	decoder->used = 0;
	decoder->filled = left;
	while (decoder->filled < BLOCK_BYTES && !decoder->ended) {
		int got = source_take(&decoder->below, decoder->block + decoder->filled, BLOCK_BYTES - decoder->filled);
		if (got < 0)
			return got;
		decoder->filled += (size_t)got;
		decoder->ended = got == 0;
	}
	return 0;
}

static uint32_t unit_at(const Decoder *decoder, size_t at) {
	const uint8_t *p = decoder->block + at;
	return decoder->encoding == ENCODING_UTF16LE ? (uint32_t)(p[0] | p[1] << 8) : (uint32_t)(p[0] << 8 | p[1]);
}

/* The next character of the block. 1; 0: the block holds no whole one. */
static int next_utf16(Decoder *decoder, uint32_t *ret_code) {
	size_t have = decoder->filled - decoder->used;
	if (have < 2)
		return have && decoder->ended ? cannot(decoder, "half a character stands at the end") : 0;
	uint32_t unit = unit_at(decoder, decoder->used);
	if (unit >= 0xd800 && unit <= 0xdbff && have < 4)
		return decoder->ended ? cannot(decoder, "half a pair stands at the end") : 0;
	if (unit >= 0xd800 && unit <= 0xdfff) {
		uint32_t low = unit <= 0xdbff ? unit_at(decoder, decoder->used + 2) : 0;
		if (low < 0xdc00 || low > 0xdfff)
			return cannot(decoder, "half a pair");
		unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
		decoder->used += 2;
	}
	decoder->used += 2;
	*ret_code = unit;
	return 1;
}

static int next_byte(Decoder *decoder, uint32_t *ret_code) {
	if (decoder->used == decoder->filled)
		return 0;
	*ret_code = code_of_byte(decoder->block[decoder->used]);
	if (*ret_code == 0 && decoder->block[decoder->used] != 0)
		return cannot(decoder, "a byte that stands for nothing");
	decoder->used++;
	return 1;
}

static int next_code(Decoder *decoder, uint32_t *ret_code) {
	for (;;) {
		int rc = decoder->encoding == ENCODING_WINDOWS_1252 ? next_byte(decoder, ret_code)
		                                                    : next_utf16(decoder, ret_code);
		if (rc != 0 || decoder->ended)
			return rc;
		if ((rc = fill(decoder)) < 0)
			return rc;
	}
}

/* Decodes as much as fits; what is left of the last character comes first the next time, and so does an error. */
static int decode(Decoder *decoder, char *to, size_t size) {
	size_t made = 0;
	uint32_t code;
	while (made < size) {
		if (decoder->left_size > 0) {
			size_t part = size - made < decoder->left_size ? size - made : decoder->left_size;
			memcpy(to + made, decoder->left, part);
			memmove(decoder->left, decoder->left + part, decoder->left_size - part);
			decoder->left_size -= part;
			made += part;
			continue;
		}
		int rc = next_code(decoder, &code);
		if (rc <= 0)
			return made > 0 ? (int)made : rc;
		if (code < 0x80)
			to[made++] = (char)code;
		else
			decoder->left_size = utf8_put(decoder->left, code);
	}
	return (int)made;
}

/* ---- handing on ---- */

/* The first byte that is not ASCII stands in buf[from]. Takes it and what follows back into the block and decides. */
static int decide(Decoder *decoder, const uint8_t *from, size_t size) {
	decoder->block = malloc(size > BLOCK_BYTES ? size : BLOCK_BYTES);
	if (!decoder->block)
		return fault(ENOMEM, "out of memory while reading a table");
	memcpy(decoder->block, from, size);
	decoder->filled = size;
	int rc = size < BLOCK_BYTES ? fill(decoder) : 0;
	if (rc < 0)
		return rc;
	size_t looked_at = decoder->filled < BLOCK_BYTES ? decoder->filled : BLOCK_BYTES;
	bool is_1252 = is_windows_1252(decoder->block, looked_at);
	decoder->encoding = is_1252 ? ENCODING_WINDOWS_1252 : ENCODING_UTF8;
	return 0;
}

static int read_ascii(Decoder *decoder, void *buf, size_t size) {
	int got = source_take(&decoder->below, buf, size);
	if (got <= 0)
		return got;
	size_t plain = ascii_prefix(buf, (size_t)got);
	if (plain < (size_t)got) {
		int rc = decide(decoder, (const uint8_t *)buf + plain, (size_t)got - plain);
		if (rc < 0)
			return rc;
	}
	return (int)plain;
}

static int read_utf8(Decoder *decoder, void *buf, size_t size) {
	size_t left = decoder->filled - decoder->used;
	if (left == 0)
		return decoder->ended ? 0 : source_take(&decoder->below, buf, size);
	size_t count = left < size ? left : size;
	memcpy(buf, decoder->block + decoder->used, count);
	decoder->used += count;
	return (int)count;
}

static int read_decoded(void *ctx, void *buf, size_t size) {
	Decoder *decoder = ctx;
	if (decoder->encoding == ENCODING_ASCII) {
		int got = read_ascii(decoder, buf, size);
		if (got != 0 || decoder->encoding == ENCODING_ASCII)
			return got;
	}
	if (decoder->encoding == ENCODING_UTF8)
		return read_utf8(decoder, buf, size);
	return decode(decoder, buf, size);
}

struct table_source decoder_source(Decoder *decoder) {
	return (struct table_source){.read = read_decoded, .ctx = decoder};
}

enum encoding decoder_encoding(const Decoder *decoder) {
	return decoder->encoding;
}

int decoder_new(enum encoding encoding, const struct table_source *below, Decoder **ret_decoder) {
	_cleanup_(decoder_freep) Decoder *decoder = calloc(1, sizeof *decoder);
	if (!decoder)
		return fault(ENOMEM, "out of memory while reading a table");
	decoder->below = *below;
	decoder->encoding = encoding;
	if (encoding != ENCODING_ASCII && !(decoder->block = malloc(BLOCK_BYTES)))
		return fault(ENOMEM, "out of memory while reading a table");
	*ret_decoder = steal_pointer(&decoder);
	return 0;
}

void decoder_free(Decoder *decoder) {
	if (!decoder)
		return;
	free(decoder->block);
	free(decoder);
}
