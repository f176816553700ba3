#include "policy/dqdl/lexer.h"

static const struct {
	const char *word;
	int kind;
} words[] = {
        {"and", TOKEN_AND},
        {"AND", TOKEN_AND},
        {"or", TOKEN_OR},
        {"OR", TOKEN_OR},
        {"of", TOKEN_OF},
        {"OF", TOKEN_OF},
        {"null", TOKEN_NULL},
        {"NULL", TOKEN_NULL},
        {"empty", TOKEN_EMPTY},
        {"EMPTY", TOKEN_EMPTY},
        {"whitespaces_only", TOKEN_WHITESPACES_ONLY},
        {"WHITESPACES_ONLY", TOKEN_WHITESPACES_ONLY},
        {"between", TOKEN_BETWEEN},
        {"in", TOKEN_IN},
        {"not", TOKEN_NOT},
        {"matches", TOKEN_MATCHES},
        {"with", TOKEN_WITH},
        {"where", TOKEN_WHERE},
        {"Metadata", TOKEN_METADATA},
        {"DataSources", TOKEN_DATA_SOURCES},
        {"Rules", TOKEN_RULES},
        {"Analyzers", TOKEN_ANALYZERS},
        {"DefaultLabels", TOKEN_DEFAULT_LABELS},
        {"labels", TOKEN_LABELS},
        {"days", TOKEN_DAYS},
        {"hours", TOKEN_HOURS},
        {"minutes", TOKEN_MINUTES},
        {"B", TOKEN_B},
        {"KB", TOKEN_KB},
        {"MB", TOKEN_MB},
        {"GB", TOKEN_GB},
        {"TB", TOKEN_TB},
};

static int peek(const struct lexer *lexer, size_t ahead) {
	size_t at = lexer->at + ahead;
	return at < lexer->text.size ? lexer->text.data[at] : -1;
}

static bool is_digit(int c) {
	return c >= '0' && c <= '9';
}

static bool is_name(int c) {
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
}

static void skip_comment(struct lexer *lexer) {
	const uint8_t *from = lexer->text.data + lexer->at;
	const uint8_t *end = memchr(from, '\n', lexer->text.size - lexer->at);
	if (!end)
		lexer->open_comment = true;
	lexer->at = end ? (size_t)(end - lexer->text.data) + 1 : lexer->text.size;
}

static void skip_space(struct lexer *lexer) {
	for (;;) {
		int c = peek(lexer, 0);
		if (c == '\r' && peek(lexer, 1) == '\n')
			lexer->carriage_returns = true;
		else if (c == '#') {
			skip_comment(lexer);
			continue;
		} else if (c != ' ' && c != '\t' && c != '\n')
			return;
		lexer->at++;
	}
}

/* Do the bytes follow a pattern of digits (d) and other characters? */
static bool shaped(struct bytes text, const char *pattern) {
	if (text.size != strlen(pattern))
		return false;
	for (size_t i = 0; i < text.size; i++)
		if (pattern[i] == 'd' ? !is_digit(text.data[i]) : text.data[i] != (uint8_t)pattern[i])
			return false;
	return true;
}

static int string_kind(struct bytes text) {
	if (shaped(text, "dddd-dd-dd"))
		return TOKEN_DATE;
	if (shaped(text, "dd:dd"))
		return TOKEN_MIL_TIME;
	if (shaped(text, "d:dd AM") || shaped(text, "d:dd PM") || shaped(text, "dd:dd AM") || shaped(text, "dd:dd PM"))
		return TOKEN_TIME;
	return TOKEN_STRING;
}

/* A backslash takes the character behind it along. If that leaves the string open to the end of the text, it ends at
 * its last escaped quote after all, as the grammar has it. */
static struct token string_token(struct lexer *lexer, struct token token) {
	size_t escaped = 0;
	for (size_t at = token.start + 1; at < lexer->text.size; at++) {
		uint8_t c = lexer->text.data[at];
		uint8_t next = at + 1 < lexer->text.size ? lexer->text.data[at + 1] : 0;
		if (c == '"') {
			escaped = at;
			break;
		}
		if (c == '\\' && (next == '"' || next == '\\')) {
			at++;
			if (next == '"')
				escaped = at;
		}
	}
	if (!escaped) {
		token.kind = TOKEN_BAD;
		token.message = "a string that is never closed";
		lexer->at = lexer->text.size;
	} else {
		token.text = bytes_of(lexer->text.data + token.start + 1, escaped - token.start - 1);
		token.kind = string_kind(token.text);
		lexer->at = escaped + 1;
	}
	token.end = lexer->at;
	return token;
}

static int word_kind(struct bytes text) {
	size_t digits = 0;
	while (digits < text.size && is_digit(text.data[digits]))
		digits++;
	if (digits == text.size)
		return TOKEN_INTEGER;
	if (digits > 0 && text.data[digits] == '.' && digits + 1 < text.size) {
		size_t at = digits + 1;
		while (at < text.size && is_digit(text.data[at]))
			at++;
		if (at == text.size)
			return TOKEN_DECIMAL;
	}
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strlen(words[i].word) == text.size && memcmp(words[i].word, text.data, text.size) == 0)
			return words[i].kind;
	return TOKEN_NAME;
}

static struct token word_token(struct lexer *lexer, struct token token) {
	while (is_name(peek(lexer, 0)))
		lexer->at++;
	token.text = bytes_of(lexer->text.data + token.start, lexer->at - token.start);
	token.kind = word_kind(token.text);
	if (token.text.size == 3 && memcmp(token.text.data, "now", 3) == 0 && peek(lexer, 0) == '(' &&
	        peek(lexer, 1) == ')') {
		lexer->at += 2;
		token.kind = TOKEN_NOW;
		token.text.size += 2;
	}
	token.end = lexer->at;
	return token;
}

static struct token mark_token(struct lexer *lexer, struct token token, int c) {
	lexer->at++;
	token.kind = TOKEN_CHAR(c);
	if ((c == '>' || c == '<') && peek(lexer, 0) == '=') {
		lexer->at++;
		token.kind = c == '>' ? TOKEN_GREATER_EQUAL : TOKEN_LESS_EQUAL;
	} else if (c == '\0' || !strchr(":,{}[]()=><!-+/*$", c)) {
		token.kind = TOKEN_BAD;
		token.message = c == '\r'   ? "a carriage return without a newline"
		                : c == '\'' ? "a single quote (strings stand in double quotes)"
		                            : NULL;
		/* The rest of a character of several bytes belongs to it. */
		while ((peek(lexer, 0) & 0xc0) == 0x80 && peek(lexer, 0) >= 0)
			lexer->at++;
	}
	token.end = lexer->at;
	token.text = bytes_of(lexer->text.data + token.start, token.end - token.start);
	return token;
}

struct token lexer_next(struct lexer *lexer) {
	skip_space(lexer);
	struct token token = {.kind = TOKEN_END, .start = lexer->at, .end = lexer->at};
	int c = peek(lexer, 0);
	if (c < 0)
		return token;
	if (c == '"')
		return string_token(lexer, token);
	if (is_name(c))
		return word_token(lexer, token);
	return mark_token(lexer, token, c);
}
