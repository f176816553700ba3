/*
 * lexer: DQDL's text as tokens. A lexer is a value: copy it to look ahead.
 *
 * Longest match wins, as in the language's grammar: 24hours is one name, 1.5 a decimal, "2024-01-31" a date and no
 * string. Every word of the language is reserved.
 */
#pragma once

#include "crypto/base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum token_kind {
	TOKEN_END,
	TOKEN_BAD, /* a character that begins no token; `message` says more */
	TOKEN_NAME,
	TOKEN_INTEGER,
	TOKEN_DECIMAL,
	TOKEN_STRING, /* text without the quotes, escapes kept */
	TOKEN_DATE,
	TOKEN_TIME,     /* "9:30 AM" */
	TOKEN_MIL_TIME, /* "21:45" */
	TOKEN_GREATER_EQUAL,
	TOKEN_LESS_EQUAL,
	TOKEN_NOW, /* now() */
	TOKEN_AND,
	TOKEN_OR,
	TOKEN_OF,
	TOKEN_NULL,
	TOKEN_EMPTY,
	TOKEN_WHITESPACES_ONLY,
	TOKEN_BETWEEN,
	TOKEN_IN,
	TOKEN_NOT,
	TOKEN_MATCHES,
	TOKEN_WITH,
	TOKEN_WHERE,
	TOKEN_METADATA,
	TOKEN_DATA_SOURCES,
	TOKEN_RULES,
	TOKEN_ANALYZERS,
	TOKEN_DEFAULT_LABELS,
	TOKEN_LABELS,
	TOKEN_DAYS,
	TOKEN_HOURS,
	TOKEN_MINUTES,
	TOKEN_B,
	TOKEN_KB,
	TOKEN_MB,
	TOKEN_GB,
	TOKEN_TB,
	/* A single character stands for itself: : , { } [ ] ( ) = > < ! - + / * $ */
};

struct token {
	int kind; /* enum token_kind, or 256 + the character */
	struct bytes text;
	size_t start; /* offsets of the whole token in the text */
	size_t end;
	const char *message;
};

#define TOKEN_CHAR(c) (256 + (c))

struct lexer {
	struct bytes text;
	size_t at;
	bool carriage_returns; /* CRLF newlines were seen */
	bool open_comment;     /* a comment was closed by the end of the text */
};

/* The token at hand; the lexer then stands behind it. */
struct token lexer_next(struct lexer *lexer);
