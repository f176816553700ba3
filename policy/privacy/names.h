/*
 * names: is a word a name that persons have?
 *
 * Some 800 given names and 600 surnames, common ones in Canada and where people in Canada come from. Those that are
 * words, places or what animals are called too ("Rose", "Victoria", "Park") are told apart: alone they say nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	NAME_GIVEN = 1,
	NAME_SURNAME = 2,
	NAME_GIVEN_TOO = 4, /* it has other meanings */
	NAME_SURNAME_TOO = 8,
	NAME_PARTICLE = 32,  /* between names, in lower case: "van", "de" */
	NAME_OF_THINGS = 16, /* no name of a person: street, company, kind of dog */
};

/* To be called first, by any thread. */
void names_ready(void);

/* From a word's start so many bytes are read, whatever its size is. */
#define NAMES_BYTES_READ 8

/* No name that is known has more letters. */
#define NAMES_SIZE_MOST 15

/* What a word of ASCII's letters is, in any case; 0: not known. */
unsigned names_kind(const char *word, size_t size);

/* Is it a given name or a surname that has no other meaning, or what stands between names? In fewer steps. */
bool names_tell(const char *word, size_t size);

/* The same of a word in UTF-8: marks on Latin letters don't count, and parts between hyphens and apostrophes do. */
unsigned names_kind_of(const char *word, size_t size);
