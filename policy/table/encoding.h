/*
 * encoding: a source that makes UTF-8 of what programs wrote in another encoding.
 *
 *     UTF-16            told by its byte order mark, or by every other byte being zero
 *     windows-1252      (and ISO 8859-1, whose letters it has in the same places) told by the first bytes that are not
 *                       ASCII, and 64 KiB from there on: nothing among them is UTF-8, all of them are windows-1252
 *     UTF-8             all else; whoever reads it finds what is wrong with it
 *
 * All that comes before the first byte that is not ASCII is the same in the last two, so they can be told apart when it
 * comes, however late that is. The answer depends on the bytes alone, not on how they are handed out.
 *
 * What can't be decoded is -EILSEQ (the words have no line: who reads knows it): a byte that windows-1252 does not
 * have, half a character, half a pair of UTF-16.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"
#include "policy/table/source.h"

#include <stdbool.h>

enum encoding {
	ENCODING_ASCII, /* so far */
	ENCODING_UTF8,
	ENCODING_WINDOWS_1252,
	ENCODING_UTF16LE,
	ENCODING_UTF16BE,
};

/* "UTF-16LE", "windows-1252", … */
const char *encoding_word(enum encoding encoding);

/* UTF-16, if these first bytes of a file are, else ASCII: not known yet. */
enum encoding encoding_of(struct bytes head);

typedef struct Decoder Decoder;

/* `encoding` is what encoding_of() said; `below` gives the file from its first byte. A byte order mark is handed on, as
 * UTF-8. -ENOMEM. */
int decoder_new(enum encoding encoding, const struct table_source *below, Decoder **ret_decoder);
void decoder_free(Decoder *decoder);
DEFINE_CLEANUP(Decoder, decoder_free);

/* The text in UTF-8; valid as long as the decoder. */
struct table_source decoder_source(Decoder *decoder);

/* What the text has turned out to be so far. */
enum encoding decoder_encoding(const Decoder *decoder);
