/*
 * sql_text: what can be told of a statement by its words alone, for what SQLite is not told or does not tell.
 *
 *     FROM primary WHERE a = 'primary' -- primary
 *          ~~~~~~~ a name     ~~~~~~~ a text    ~~~~~~~ a comment
 *
 * Words are cut as SQLite cuts them: quotes of all four kinds, blanks and comments of both kinds, names, and the rest
 * one character at a time.
 */
#pragma once

#include "crypto/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

enum sql_token_kind {
	SQL_TOKEN_SPACE,       /* blanks or a comment */
	SQL_TOKEN_NAME,        /* a bare word, keywords among them */
	SQL_TOKEN_QUOTED_NAME, /* "a" `a` [a] */
	SQL_TOKEN_TEXT,        /* 'a' */
	SQL_TOKEN_OTHER,       /* a number, a parameter, or one character */
};

struct sql_token {
	enum sql_token_kind kind;
	const char *text;
	size_t size;
};

/* Cuts the next word off; false at the end. A quote or comment that nothing closes goes to the end. */
bool sql_token_next(const char **text, struct sql_token *ret_token);

/* The table's name in Glue is `primary`, a keyword of SQLite's: puts the bare word, which means nothing else in a
 * SELECT, into quotes. Allocated; NULL without memory. */
char *sql_text_quote_primary(const char *sql);

/* Does a name stand anywhere in a statement, bare or in quotes, in any case of letters? */
bool sql_text_names(const char *sql, const char *name);

/* How a statement's answer over a table hangs together with its answers over parts of it. */
enum sql_shape {
	SQL_SHAPE_ANY, /* not known */
	SQL_SHAPE_SUM, /* SELECT count|sum|total(…) FROM primary [WHERE …]: one number, the sum of those of the parts */
	SQL_SHAPE_ROWS, /* SELECT columns FROM primary [WHERE …]: each row is there or not, whatever the others are */
};

/* Anything that is doubtful is ANY. */
enum sql_shape sql_text_shape(const char *sql);
