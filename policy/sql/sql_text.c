#include "policy/sql/sql_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PRIMARY "primary"

/* ---- words ---- */

static bool is_digit(char c) {
	return c >= '0' && c <= '9';
}

/* Of a name, wherever in it; a byte of a character beyond ASCII, too. */
static bool is_name_byte(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '$' ||
	       (unsigned char)c >= 0x80;
}

static bool is_blank(char c) {
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static const char *end_of_name(const char *p) {
	while (is_name_byte(*p))
		p++;
	return p;
}

/* A quote is doubled where it stands for itself; a bracket is not. */
static const char *end_of_quoted(const char *p, char close) {
	for (p++; *p; p++) {
		if (*p != close)
			continue;
		if (close == ']' || p[1] != close)
			return p + 1;
		p++;
	}
	return p;
}

static const char *end_of_space(const char *p) {
	if (p[0] == '-') {
		while (*p && *p != '\n')
			p++;
		return p;
	}
	if (p[0] == '/') {
		const char *end = strstr(p + 2, "*/");
		return end ? end + 2 : p + strlen(p);
	}
	while (is_blank(*p))
		p++;
	return p;
}

static const char *end_of_token(const char *p, enum sql_token_kind *ret_kind) {
	*ret_kind = SQL_TOKEN_SPACE;
	if (is_blank(p[0]) || (p[0] == '-' && p[1] == '-') || (p[0] == '/' && p[1] == '*'))
		return end_of_space(p);
	*ret_kind = p[0] == '\'' ? SQL_TOKEN_TEXT : SQL_TOKEN_QUOTED_NAME;
	if (p[0] == '\'' || p[0] == '"' || p[0] == '`')
		return end_of_quoted(p, p[0]);
	if (p[0] == '[')
		return end_of_quoted(p, ']');
	*ret_kind = SQL_TOKEN_OTHER;
	if (is_digit(p[0]) || strchr("$@:#?", p[0]))
		return end_of_name(p + 1);
	if (!is_name_byte(p[0]))
		return p + 1;
	*ret_kind = SQL_TOKEN_NAME;
	return end_of_name(p);
}

bool sql_token_next(const char **text, struct sql_token *ret_token) {
	const char *start = *text;
	enum sql_token_kind kind;
	if (!*start)
		return false;
	*text = end_of_token(start, &kind);
	*ret_token = (struct sql_token){.kind = kind, .text = start, .size = (size_t)(*text - start)};
	return true;
}

static bool is_word(const struct sql_token *token, const char *word) {
	return token->kind == SQL_TOKEN_NAME && token->size == strlen(word) &&
	       strncasecmp(token->text, word, token->size) == 0;
}

static bool is_sign(const struct sql_token *token, char sign) {
	return token->kind == SQL_TOKEN_OTHER && token->size == 1 && token->text[0] == sign;
}

char *sql_text_quote_primary(const char *sql) {
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	struct sql_token token;
	while (sql_token_next(&sql, &token)) {
		if (is_word(&token, PRIMARY))
			(void)fputs("\"" PRIMARY "\"", out);
		else
			(void)fwrite(token.text, 1, token.size, out);
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* A quoted name as it stands: quotes doubled in it, or none. */
static bool is_quoted_as(const struct sql_token *token, const char *name) {
	char close = token->text[0] == '[' ? ']' : token->text[0];
	const char *at = token->text + 1, *end = token->text + token->size - 1;
	for (; at < end && *name; name++, at++) {
		at += *at == close && close != ']';
		if (at >= end || strncasecmp(at, name, 1) != 0)
			return false;
	}
	return at == end && !*name;
}

bool sql_text_names(const char *sql, const char *name) {
	struct sql_token token;
	while (sql_token_next(&sql, &token))
		if (is_word(&token, name) || (token.kind == SQL_TOKEN_QUOTED_NAME && is_quoted_as(&token, name)))
			return true;
	return false;
}

/* ---- shapes ---- */

/* The words of a statement, one ahead. */
struct words {
	const char *rest;
	struct sql_token token;
	bool at_end;
};

static void step(struct words *words) {
	do
		words->at_end = !sql_token_next(&words->rest, &words->token);
	while (!words->at_end && words->token.kind == SQL_TOKEN_SPACE);
}

static bool take_word(struct words *words, const char *word) {
	bool is_there = !words->at_end && is_word(&words->token, word);
	if (is_there)
		step(words);
	return is_there;
}

static bool take_sign(struct words *words, char sign) {
	bool is_there = !words->at_end && is_sign(&words->token, sign);
	if (is_there)
		step(words);
	return is_there;
}

/* A name that is none of the words a clause begins with. */
static bool take_name(struct words *words) {
	bool is_name = !words->at_end &&
	               (words->token.kind == SQL_TOKEN_QUOTED_NAME ||
	                       (words->token.kind == SQL_TOKEN_NAME && !is_word(&words->token, "from") &&
	                               !is_word(&words->token, "where") && !is_word(&words->token, "as") &&
	                               !is_word(&words->token, "distinct") && !is_word(&words->token, "all")));
	if (is_name)
		step(words);
	return is_name;
}

/* Does an expression that goes on from here look at rows as a whole, or at another table? */
static bool is_about_rows(const struct words *words) {
	static const char *const foreign[] = {"select", "distinct", "over", "filter", "group", "having", "order",
	        "limit", "union", "intersect", "except", "join", "window", "values", "exists", "from", "with"};
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
		if (is_word(&words->token, foreign[i]))
			return true;
	return false;
}

/* Past an expression, to the closing bracket of depth 0 or the end. False: it is not of one row alone. `IN` without
 * brackets names a table. */
static bool skip_expression(struct words *words) {
	size_t depth = 0;
	for (; !words->at_end; step(words)) {
		if (depth == 0 && (is_sign(&words->token, ')') || is_sign(&words->token, ';')))
			return true;
		if (depth == 0 && is_sign(&words->token, ','))
			return false;
		depth += is_sign(&words->token, '(');
		depth -= is_sign(&words->token, ')');
		if (is_about_rows(words))
			return false;
		if (is_word(&words->token, "in")) {
			step(words);
			if (words->at_end || !is_sign(&words->token, '('))
				return false;
			depth++;
		}
	}
	return depth == 0;
}

/* count(*), sum(expression), perhaps with a name. */
static bool take_sum(struct words *words) {
	if (!take_word(words, "count") && !take_word(words, "sum") && !take_word(words, "total"))
		return false;
	if (!take_sign(words, '(') || !skip_expression(words) || !take_sign(words, ')'))
		return false;
	return take_word(words, "as") ? take_name(words) : take_name(words) || true;
}

/* *, column, alias.column, alias.* */
static bool take_column(struct words *words) {
	if (take_sign(words, '*'))
		return true;
	if (!take_name(words))
		return false;
	return !take_sign(words, '.') || take_sign(words, '*') || take_name(words);
}

static bool take_columns(struct words *words) {
	do
		if (!take_column(words))
			return false;
	while (take_sign(words, ','));
	return true;
}

/* FROM primary [[AS] alias] [WHERE expression] [;] and the end. */
static bool take_rest(struct words *words) {
	if (!take_word(words, "from"))
		return false;
	bool is_primary = !words->at_end && ((words->token.kind == SQL_TOKEN_QUOTED_NAME && words->token.size == 9 &&
	                                             strncasecmp(words->token.text + 1, PRIMARY, 7) == 0) ||
	                                            is_word(&words->token, PRIMARY));
	step(words);
	if (!is_primary || (!words->at_end && is_about_rows(words)))
		return false;
	if (take_word(words, "as") ? !take_name(words) : (take_name(words), false))
		return false;
	if (take_word(words, "where") && (words->at_end || !skip_expression(words)))
		return false;
	(void)take_sign(words, ';');
	return words->at_end;
}

enum sql_shape sql_text_shape(const char *sql) {
	struct words words = {.rest = sql};
	step(&words);
	if (!take_word(&words, "select"))
		return SQL_SHAPE_ANY;
	struct words again = words;
	if (take_sum(&words) && take_rest(&words))
		return SQL_SHAPE_SUM;
	return take_columns(&again) && take_rest(&again) ? SQL_SHAPE_ROWS : SQL_SHAPE_ANY;
}
