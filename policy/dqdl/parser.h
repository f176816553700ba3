/*
 * parser: what parse.c and condition.c share. Not for others.
 */
#pragma once

#include "policy/dqdl/arena.h"
#include "policy/dqdl/dqdl.h"
#include "policy/dqdl/lexer.h"

struct variable {
	const char *name;
	bool is_list;
	const char *const *values; /* as written */
	size_t count;
};

struct place {
	size_t at;
	uint32_t line;
	uint32_t column;
};

struct parser {
	Arena *arena;
	struct lexer lexer;
	struct token token; /* the one to be read next */
	size_t consumed;    /* offset behind the last token read */
	size_t begin;       /* 3 behind a byte order mark */
	struct place place; /* the place last asked for */
	unsigned int depth;
	unsigned int chain; /* operators in this condition or composite so far */
	const struct variable *variables;
	size_t variable_count;
	struct dqdl_pairs default_labels;
	struct dqdl_diagnostic *diagnostic;
};

/* Takes the present token. */
void parser_advance(struct parser *parser);

/* Takes the present token if it is of `kind`. */
bool parser_accept(struct parser *parser, int kind);

/* Takes the present token, which must be of `kind`; `what` names it otherwise. */
int parser_expect(struct parser *parser, int kind, const char *what);

/* -EINVAL with "line …, column …: found …, expected …" at the present token. */
int parser_unexpected(struct parser *parser, const char *expected);

/* -EINVAL with words of one's own at a place in the text. */
int parser_error(struct parser *parser, size_t at, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* One level of parentheses deeper; the caller says parser->depth-- when it is done. */
int parser_deeper(struct parser *parser);

/* -ENOMEM with words. */
int parser_out_of_memory(void);

/* As with fault(), the compiler is to see at the call that these return errors. */
#define parser_unexpected(...) ((void)(parser_unexpected)(__VA_ARGS__), -EINVAL)
#define parser_error(...) ((void)(parser_error)(__VA_ARGS__), -EINVAL)
#define parser_out_of_memory() ((void)(parser_out_of_memory)(), -ENOMEM)

/* Copies a token's text. NULL when memory is short. */
char *parser_text(struct parser *parser, struct token token);

/* Copies a text without its escapes. */
char *parser_unescape(struct parser *parser, const char *text);

/* Copies a text with quotes around it. */
char *parser_quoted(struct parser *parser, const char *text);

/* Notes where the present token stands. */
void parser_locate(struct parser *parser, struct dqdl_rule *rule);

/* A rule, alone or composite, with its canonical text; an analyzer. */
int rule_parse(struct parser *parser, struct dqdl_rule **ret_rule);
int analyzer_parse(struct parser *parser, struct dqdl_rule **ret_rule);

struct dqdl_type;

/* All that begins with `with`. */
int tags_parse(struct parser *parser, const struct dqdl_type *type, struct dqdl_rule *rule);

/* Behind `labels` or `DefaultLabels`: = ["k"="v", …]. Default labels count to the limit of ten. */
int labels_parse(struct parser *parser, struct dqdl_pairs *ret_labels);

/* The default labels overridden by a rule's own. */
int labels_merge(struct parser *parser, const struct dqdl_pairs *own, struct dqdl_pairs *ret_labels);

/* Does the present token begin a condition? */
bool condition_begins(const struct parser *parser);

/* Reads a condition; which kind it is, is told by its operands alone. */
int condition_parse(struct parser *parser, struct dqdl_condition *ret_condition);

/* A tag's condition: as above, but `= NULL` is a string, not a number. */
int condition_parse_tag(struct parser *parser, struct dqdl_condition *ret_condition);

/* The variable of that name; NULL when none was set before. */
const struct variable *parser_variable(const struct parser *parser, struct token name);

/* Fills in text: the rule's canonical text. Its parts must have theirs. */
int canonical_rule(Arena *arena, struct dqdl_rule *rule);

/* Puts pairs into the order in which Java's HashMap of `capacity` buckets hands them out. */
void java_order(struct dqdl_pair *pairs, size_t count, size_t capacity);

/* A string's length as Java counts it. */
size_t java_length(const char *text);
