/*
 * utf8: is a text what it says it is? (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.)
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Length of the longest prefix that is valid UTF-8 without NUL bytes; `size` if all of it is. ASCII goes by 16 bytes.
 */
size_t utf8_valid_prefix(const char *text, size_t size);

/* Number of code points in valid UTF-8. */
size_t utf8_length(const char *text, size_t size);

/* The most bytes, up to `most`, that end with a whole character of valid UTF-8. */
size_t utf8_cut(const char *text, size_t size, size_t most);

/* Writes a code point, up to U+10FFFF; returns how many bytes it takes, at most 4. */
size_t utf8_put(char *to, uint32_t code);

/* Length of the longest prefix that has no byte from 0x80 on. */
size_t ascii_prefix(const char *text, size_t size);
