/*
 * shapes: what a cell looks like to those who look for codes and numbers: told without an engine, from features.
 *
 *     2024-03-15T14:30:00.123456Z   20 digits, but 8 in one number      no card, no SIN
 *     d41d8cd9-8f00-4204-a980       no letter, digit, letter in between others      no postal code
 *     V6B 1A1                       SHAPE_POSTAL
 *
 * Of tables with numbers, times and UUIDs nearly all cells have as many digits and letters as a code, and went to a
 * dozen expressions each.
 */
#pragma once

#include "policy/privacy/features.h"

enum {
	SHAPE_NUMBER =
	        1, /* as many digits as are needed, with nothing between them but blanks, brackets and the like */
	SHAPE_POSTAL = 2, /* A1A1A1, with any character in the middle or none */
	SHAPE_HIN = 4,    /* AAAA11111111, also separated */
	SHAPE_NINO = 8,   /* AA111111A, also separated */
	SHAPE_IBAN = 16,  /* AA11 and four letters or digits, at least */
	SHAPE_LONG = 32,  /* a digit and 25 letters or digits */
	SHAPE_333 = 64,   /* so many digits, with a separator between them each */
	SHAPE_334 = 128,
	SHAPE_324 = 256,
	SHAPE_444 = 512,
	SHAPE_34 = 1024,
	SHAPE_NUMBERS = 2048 /* digits in two places */
};

struct shapes {
	unsigned digits, letters, uppers;
	unsigned number; /* the most digits that one number may have */
	unsigned codes;  /* which of the shapes are there, but SHAPE_NUMBER */
	size_t size;
};

/* Of a piece of text. */
struct shapes shapes_of(const struct features *features, size_t start, size_t end);
