/*
 * tag: the part of the parser that reads labels and tags, and the order in which they are printed.
 */
#include "policy/dqdl/parser.h"

#include "policy/dqdl/types.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#define MAX_LABELS 10
#define MAX_TAGS 64
#define MAX_LABEL_KEY 128
#define MAX_LABEL_VALUE 256

static struct dqdl_pair *find_pair(struct dqdl_pair *pairs, size_t count, const char *key) {
	for (size_t i = 0; i < count; i++)
		if (strcmp(pairs[i].key, key) == 0)
			return &pairs[i];
	return NULL;
}

static int label_string(struct parser *parser, size_t limit, const char *what, const char **ret_text) {
	if (parser->token.kind != TOKEN_STRING)
		return parser_unexpected(parser, "a label such as \"team\"=\"finance\"");
	const char *text = parser_text(parser, parser->token);
	if (!text)
		return parser_out_of_memory();
	size_t length = java_length(text);
	if (length == 0 || length > limit)
		return parser_error(parser, parser->token.start, "a label's %s has 1 to %zu characters, this one %zu",
		        what, limit, length);
	parser_advance(parser);
	*ret_text = text;
	return 0;
}

static int label_parse(struct parser *parser, struct dqdl_pair *pairs, size_t count, size_t already) {
	size_t at = parser->token.start;
	if (count + already >= MAX_LABELS)
		return parser_error(parser, at, "a rule has at most %d labels, default labels included", MAX_LABELS);
	int rc = label_string(parser, MAX_LABEL_KEY, "name", &pairs[count].key);
	if (rc == 0)
		rc = parser_expect(parser, TOKEN_CHAR('='), "= and the label's value");
	if (rc == 0)
		rc = label_string(parser, MAX_LABEL_VALUE, "value", &pairs[count].value);
	if (rc == 0 && find_pair(pairs, count, pairs[count].key))
		return parser_error(parser, at, "the label \"%s\" is given twice", pairs[count].key);
	return rc;
}

/* The capacity Java gives a HashMap that is copied from one of `count` entries. */
static size_t copied_capacity(size_t count) {
	size_t wanted = count * 4 / 3 + 1;
	size_t capacity = 1;
	while (capacity < wanted)
		capacity *= 2;
	return capacity;
}

int labels_parse(struct parser *parser, struct dqdl_pairs *ret_labels) {
	struct dqdl_pair *pairs = arena_alloc(parser->arena, MAX_LABELS * sizeof *pairs);
	if (!pairs)
		return parser_out_of_memory();
	size_t count = 0;
	int rc = parser_expect(parser, TOKEN_CHAR('='), "= and a list of labels");
	if (rc == 0)
		rc = parser_expect(parser, TOKEN_CHAR('['), "[ and labels such as \"team\"=\"finance\"");
	do {
		if (rc == 0)
			rc = label_parse(parser, pairs, count, parser->default_labels.count);
		count++;
	} while (rc == 0 && parser_accept(parser, TOKEN_CHAR(',')));
	if (rc == 0)
		rc = parser_expect(parser, TOKEN_CHAR(']'), "a comma or ]");
	if (rc < 0)
		return rc;
	/* The open parser fills one map and copies it into another. */
	java_order(pairs, count, 16);
	java_order(pairs, count, copied_capacity(count));
	*ret_labels = (struct dqdl_pairs){.pairs = pairs, .count = count};
	return 0;
}

int labels_merge(struct parser *parser, const struct dqdl_pairs *own, struct dqdl_pairs *ret_labels) {
	const struct dqdl_pairs *defaults = &parser->default_labels;
	if (defaults->count + own->count == 0)
		return 0;
	struct dqdl_pair *pairs = arena_alloc(parser->arena, (defaults->count + own->count) * sizeof *pairs);
	if (!pairs)
		return parser_out_of_memory();
	size_t count = 0;
	for (; count < defaults->count; count++)
		pairs[count] = defaults->pairs[count];
	for (size_t i = 0; i < own->count; i++) {
		struct dqdl_pair *same = find_pair(pairs, count, own->pairs[i].key);
		if (same)
			same->value = own->pairs[i].value;
		else
			pairs[count++] = own->pairs[i];
	}
	*ret_labels = (struct dqdl_pairs){.pairs = pairs, .count = count};
	return 0;
}

/* The bytes from `start` to what was read last, without white space. */
static char *squeezed(struct parser *parser, size_t start) {
	struct bytes text = parser->lexer.text;
	char *copy = arena_text(parser->arena, (const char *)text.data + start, parser->consumed - start);
	if (!copy)
		return NULL;
	char *to = copy;
	for (const char *from = copy; *from; from++)
		if (!strchr(" \t\r\n", *from))
			*to++ = *from;
	*to = '\0';
	return copy;
}

char *parser_quoted(struct parser *parser, const char *text) {
	size_t size = strlen(text);
	char *copy = arena_alloc(parser->arena, size + 3);
	if (copy) {
		copy[0] = copy[size + 1] = '"';
		memcpy(copy + 1, text, size);
	}
	return copy;
}

static const char *tag_value(struct parser *parser, const struct dqdl_condition *condition, size_t start) {
	if (condition->kind == DQDL_CONDITION_NUMBER)
		return squeezed(parser, start);
	switch (condition->operands[0].form) {
	case DQDL_OPERAND_NULL:
		return "NULL";
	case DQDL_OPERAND_EMPTY:
		return "EMPTY";
	case DQDL_OPERAND_WHITESPACES_ONLY:
		return "WHITESPACES_ONLY";
	case DQDL_OPERAND_NUMBER:
	case DQDL_OPERAND_TEXT:
	case DQDL_OPERAND_DATE:
	case DQDL_OPERAND_TIME:
	case DQDL_OPERAND_NOW:
	case DQDL_OPERAND_NOW_OFFSET:
	case DQDL_OPERAND_DURATION:
	case DQDL_OPERAND_SIZE:
	default:
		return parser_quoted(parser, condition->operands[0].text);
	}
}

static int set_threshold(struct parser *parser, const struct dqdl_type *type, struct dqdl_rule *rule, size_t at,
        const struct dqdl_condition *condition) {
	if (!type->threshold)
		return parser_error(parser, at, "%s takes no threshold", type->name);
	if (rule->threshold.kind != DQDL_CONDITION_NONE)
		return parser_error(parser, at, "a second threshold");
	rule->threshold = *condition;
	return 0;
}

/* Behind `with`: threshold and a condition, or a name = a value. */
static int tag_parse(struct parser *parser, const struct dqdl_type *type, struct dqdl_rule *rule,
        struct dqdl_pair *tags, size_t *count) {
	size_t at = parser->token.start;
	if (parser->token.kind != TOKEN_NAME)
		return parser_unexpected(parser, "threshold or a tag's name behind `with`");
	const char *name = parser_text(parser, parser->token);
	if (!name)
		return parser_out_of_memory();
	parser_advance(parser);
	size_t operator_at = parser->token.start;
	struct dqdl_condition condition;
	struct lexer behind = parser->lexer;
	size_t value_at = lexer_next(&behind).start;
	int rc = condition_parse_tag(parser, &condition);
	if (rc < 0)
		return rc;
	if (condition.kind == DQDL_CONDITION_NUMBER && strcasecmp(name, "threshold") == 0)
		return set_threshold(parser, type, rule, at, &condition);
	if (condition.op != DQDL_EQUAL || condition.negated)
		return parser_error(parser, operator_at, "a tag takes = and one value");
	const char *value = tag_value(parser, &condition, value_at);
	if (!value)
		return parser_out_of_memory();
	struct dqdl_pair *same = find_pair(tags, *count, name);
	if (same) {
		same->value = value;
		return 0;
	}
	if (*count == MAX_TAGS)
		return parser_error(parser, at, "more than %d tags", MAX_TAGS);
	tags[(*count)++] = (struct dqdl_pair){.key = name, .value = value};
	return 0;
}

int tags_parse(struct parser *parser, const struct dqdl_type *type, struct dqdl_rule *rule) {
	struct dqdl_pair tags[MAX_TAGS];
	size_t count = 0;
	while (parser_accept(parser, TOKEN_WITH)) {
		int rc = tag_parse(parser, type, rule, tags, &count);
		if (rc < 0)
			return rc;
	}
	if (count == 0)
		return 0;
	size_t capacity = 16;
	while (count * 4 > capacity * 3)
		capacity *= 2;
	java_order(tags, count, capacity);
	struct dqdl_pair *kept = arena_alloc(parser->arena, count * sizeof *kept);
	if (!kept)
		return parser_out_of_memory();
	memcpy(kept, tags, count * sizeof *kept);
	rule->tags = (struct dqdl_pairs){.pairs = kept, .count = count};
	return 0;
}
