/*
 * condition: the part of the parser that reads conditions and their expressions.
 *
 * The grammar offers five kinds of condition and takes the first that fits: number, string, date, duration, size. Here
 * operands are read once, each with the set of kinds it could belong to; the condition's kind is the first in that
 * order that all its operands and its operator share.
 */
#include "policy/dqdl/parser.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/calendar.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define KIND(kind) (1u << DQDL_CONDITION_##kind)
#define ORDERED (KIND(NUMBER) | KIND(DATE) | KIND(DURATION) | KIND(SIZE))
#define ANY_KIND (ORDERED | KIND(STRING))

static int number_expression(struct parser *parser, const struct dqdl_number **ret_number);

static bool is_operation(int kind) {
	return kind == TOKEN_CHAR('+') || kind == TOKEN_CHAR('-') || kind == TOKEN_CHAR('*') || kind == TOKEN_CHAR('/');
}

static int number_literal(struct parser *parser, bool minus, struct dqdl_number *number) {
	if (parser->token.kind != TOKEN_INTEGER && parser->token.kind != TOKEN_DECIMAL)
		return parser_unexpected(parser, "a number such as 10 or 0.95");
	struct token token = parser->token;
	char *text = arena_alloc(parser->arena, token.text.size + 2);
	if (!text)
		return parser_out_of_memory();
	text[0] = '-';
	memcpy(text + minus, token.text.data, token.text.size);
	number->form = DQDL_NUMBER_LITERAL;
	number->text = text;
	number->value = strtod(text, NULL);
	parser_advance(parser);
	return 0;
}

static int number_call(struct parser *parser, struct dqdl_number *number) {
	number->form = DQDL_NUMBER_CALL;
	number->text = parser_text(parser, parser->token);
	if (!number->text)
		return parser_out_of_memory();
	parser_advance(parser);
	int rc = parser_expect(parser, TOKEN_CHAR('('), "( and the function's arguments, or a number");
	if (rc < 0 || parser_accept(parser, TOKEN_CHAR(')')))
		return rc;
	rc = parser_deeper(parser);
	if (rc < 0)
		return rc;
	const struct dqdl_number **parts = NULL;
	do {
		parts = arena_grow(parser->arena, parts, number->part_count, sizeof *parts);
		if (!parts)
			return parser_out_of_memory();
		rc = number_expression(parser, &parts[number->part_count]);
		if (rc < 0)
			return rc;
		number->part_count++;
		number->parts = parts;
	} while (parser_accept(parser, TOKEN_CHAR(',')));
	parser->depth--;
	return parser_expect(parser, TOKEN_CHAR(')'), "a comma or )");
}

static int number_in_parentheses(struct parser *parser, const struct dqdl_number **ret_number) {
	const struct dqdl_number *inner;
	int rc = parser_deeper(parser);
	if (rc == 0)
		rc = number_expression(parser, &inner);
	if (rc == 0)
		rc = parser_expect(parser, TOKEN_CHAR(')'), "an operator (+ - * /) or )");
	if (rc)
		return rc;
	parser->depth--;
	struct dqdl_number *number = arena_alloc(parser->arena, sizeof *number);
	if (!number)
		return parser_out_of_memory();
	*number = *inner;
	/* Parentheses around one number or call are not kept in the canonical text. */
	number->parenthesized = number->form == DQDL_NUMBER_BINARY;
	*ret_number = number;
	return 0;
}

static int number_primary(struct parser *parser, const struct dqdl_number **ret_number) {
	if (parser_accept(parser, TOKEN_CHAR('(')))
		return number_in_parentheses(parser, ret_number);
	struct dqdl_number *number = arena_alloc(parser->arena, sizeof *number);
	if (!number)
		return parser_out_of_memory();
	int rc = 0;
	if (parser_accept(parser, TOKEN_NULL))
		number->form = DQDL_NUMBER_NULL;
	else if (parser->token.kind == TOKEN_NAME)
		rc = number_call(parser, number);
	else
		rc = number_literal(parser, parser_accept(parser, TOKEN_CHAR('-')), number);
	if (rc == 0)
		*ret_number = number;
	return rc;
}

/* `left` and what follows it: operators from left to right, all of one precedence. */
static int number_chain(struct parser *parser, const struct dqdl_number *left, const struct dqdl_number **ret_number) {
	while (is_operation(parser->token.kind)) {
		if (++parser->chain > DQDL_MAX_CHAIN)
			return parser_error(parser, parser->token.start, "more than %u operators in one expression",
			        DQDL_MAX_CHAIN);
		struct dqdl_number *number = arena_alloc(parser->arena, sizeof *number);
		const struct dqdl_number **parts = arena_alloc(parser->arena, 2 * sizeof *parts);
		if (!number || !parts)
			return parser_out_of_memory();
		number->form = DQDL_NUMBER_BINARY;
		number->operation = (char)(parser->token.kind - 256);
		number->parts = parts;
		number->part_count = 2;
		parts[0] = left;
		parser_advance(parser);
		int rc = number_primary(parser, &parts[1]);
		if (rc < 0)
			return rc;
		left = number;
	}
	*ret_number = left;
	return 0;
}

static int number_expression(struct parser *parser, const struct dqdl_number **ret_number) {
	const struct dqdl_number *left;
	int rc = number_primary(parser, &left);
	return rc ? rc : number_chain(parser, left, ret_number);
}

static bool unit_of(int kind, enum dqdl_unit *ret_unit, unsigned int *ret_kinds) {
	static const struct {
		int kind;
		enum dqdl_unit unit;
	} units[] = {{TOKEN_MINUTES, DQDL_MINUTES}, {TOKEN_HOURS, DQDL_HOURS}, {TOKEN_DAYS, DQDL_DAYS},
	        {TOKEN_B, DQDL_B}, {TOKEN_KB, DQDL_KB}, {TOKEN_MB, DQDL_MB}, {TOKEN_GB, DQDL_GB}, {TOKEN_TB, DQDL_TB}};
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (units[i].kind != kind)
			continue;
		*ret_unit = units[i].unit;
		*ret_kinds = units[i].unit <= DQDL_DAYS ? KIND(DURATION) : KIND(SIZE);
		return true;
	}
	return false;
}

static int amount_of(struct parser *parser, int64_t *ret_amount) {
	if (parser->token.kind != TOKEN_INTEGER)
		return parser_unexpected(parser, "a whole number and days, hours or minutes");
	int64_t amount = 0;
	for (size_t i = 0; i < parser->token.text.size; i++) {
		amount = amount * 10 + (parser->token.text.data[i] - '0');
		if (amount > INT_MAX)
			return parser_error(parser, parser->token.start, "the amount is above %d", INT_MAX);
	}
	*ret_amount = amount;
	parser_advance(parser);
	return 0;
}

/* Behind "(": now() - 3 days) */
static int now_offset(struct parser *parser, struct dqdl_operand *operand) {
	unsigned int kinds = 0;
	parser_advance(parser);
	operand->form = DQDL_OPERAND_NOW_OFFSET;
	operand->minus = parser->token.kind == TOKEN_CHAR('-');
	if (!parser_accept(parser, TOKEN_CHAR('-')) && !parser_accept(parser, TOKEN_CHAR('+')))
		return parser_unexpected(parser, "+ or - behind now(), as in (now() - 3 days)");
	int rc = amount_of(parser, &operand->amount);
	if (rc < 0)
		return rc;
	if (!unit_of(parser->token.kind, &operand->unit, &kinds) || kinds != KIND(DURATION))
		return parser_unexpected(parser, "days, hours or minutes");
	parser_advance(parser);
	return parser_expect(parser, TOKEN_CHAR(')'), ")");
}

static unsigned int two_digits(const char *text) {
	return (unsigned int)(text[0] - '0') * 10 + (unsigned int)(text[1] - '0');
}

static int date_operand(struct parser *parser, struct dqdl_operand *operand) {
	const char *text = operand->text;
	int32_t year = (int32_t)(two_digits(text) * 100 + two_digits(text + 2));
	if (!date_days(year, two_digits(text + 5), two_digits(text + 8), &operand->days))
		return parser_error(parser, parser->token.start, "there is no date %s", text);
	operand->form = DQDL_OPERAND_DATE;
	return 0;
}

static int time_operand(struct parser *parser, struct dqdl_operand *operand) {
	const char *text = operand->text;
	bool twelve = parser->token.kind == TOKEN_TIME;
	bool short_hour = text[1] == ':';
	unsigned int hour = short_hour ? (unsigned int)(text[0] - '0') : two_digits(text);
	unsigned int minute = two_digits(text + (short_hour ? 2 : 3));
	if (minute > 59 || (twelve ? hour < 1 || hour > 12 : hour > 23))
		return parser_error(parser, parser->token.start, "there is no time %s", text);
	if (twelve)
		hour = hour % 12 + (strchr(text, 'P') ? 12 : 0);
	operand->form = DQDL_OPERAND_TIME;
	operand->minutes = (int32_t)(hour * 60 + minute);
	return 0;
}

static int quoted_operand(struct parser *parser, struct dqdl_operand *operand, unsigned int *ret_kinds) {
	operand->text = parser_text(parser, parser->token);
	if (!operand->text)
		return parser_out_of_memory();
	int rc = 0;
	*ret_kinds = KIND(DATE);
	if (parser->token.kind == TOKEN_DATE) {
		rc = date_operand(parser, operand);
	} else if (parser->token.kind != TOKEN_STRING) {
		rc = time_operand(parser, operand);
	} else {
		*ret_kinds = KIND(STRING);
		operand->form = DQDL_OPERAND_TEXT;
		operand->value = parser_unescape(parser, operand->text);
		if (!operand->value)
			return parser_out_of_memory();
	}
	if (rc == 0)
		parser_advance(parser);
	return rc;
}

static int number_operand(struct parser *parser, struct dqdl_operand *operand, unsigned int *ret_kinds) {
	operand->form = DQDL_OPERAND_NUMBER;
	*ret_kinds = KIND(NUMBER);
	int rc = number_expression(parser, &operand->number);
	if (rc == 0 && operand->number->form == DQDL_NUMBER_NULL && !operand->number->parenthesized) {
		operand->form = DQDL_OPERAND_NULL;
		*ret_kinds = KIND(NUMBER) | KIND(STRING) | KIND(DATE);
	}
	return rc;
}

/* An integer is the start of a duration or size if a unit follows it. */
static int amount_operand(struct parser *parser, struct dqdl_operand *operand, unsigned int *ret_kinds) {
	struct lexer ahead = parser->lexer;
	if (!unit_of(lexer_next(&ahead).kind, &operand->unit, ret_kinds))
		return number_operand(parser, operand, ret_kinds);
	operand->form = *ret_kinds == KIND(SIZE) ? DQDL_OPERAND_SIZE : DQDL_OPERAND_DURATION;
	int rc = amount_of(parser, &operand->amount);
	if (rc == 0)
		parser_advance(parser);
	return rc;
}

static int operand_parse(struct parser *parser, struct dqdl_operand *operand, unsigned int *ret_kinds) {
	struct lexer ahead = parser->lexer;
	*operand = (struct dqdl_operand){0};
	switch (parser->token.kind) {
	case TOKEN_STRING:
	case TOKEN_DATE:
	case TOKEN_TIME:
	case TOKEN_MIL_TIME:
		return quoted_operand(parser, operand, ret_kinds);
	case TOKEN_EMPTY:
	case TOKEN_WHITESPACES_ONLY:
		operand->form = parser->token.kind == TOKEN_EMPTY ? DQDL_OPERAND_EMPTY : DQDL_OPERAND_WHITESPACES_ONLY;
		*ret_kinds = KIND(STRING);
		parser_advance(parser);
		return 0;
	case TOKEN_NOW:
		operand->form = DQDL_OPERAND_NOW;
		*ret_kinds = KIND(DATE);
		parser_advance(parser);
		return 0;
	case TOKEN_CHAR('('):
		if (lexer_next(&ahead).kind != TOKEN_NOW)
			return number_operand(parser, operand, ret_kinds);
		parser_advance(parser);
		*ret_kinds = KIND(DATE);
		return now_offset(parser, operand);
	case TOKEN_INTEGER:
		return amount_operand(parser, operand, ret_kinds);
	case TOKEN_DECIMAL:
	case TOKEN_NAME:
	case TOKEN_NULL:
	case TOKEN_CHAR('-'):
		return number_operand(parser, operand, ret_kinds);
	case TOKEN_CHAR('$'):
		return parser_unexpected(parser, "a value (a variable can stand as a parameter or right behind `in`)");
	default:
		return parser_unexpected(
		        parser, "a number, a quoted string or date, NULL, EMPTY, WHITESPACES_ONLY or now()");
	}
}

/* What a condition is so far: its kinds shrink with each operand. */
struct reading {
	struct dqdl_condition *condition;
	struct dqdl_operand *operands;
	unsigned int kinds;
};

static const char *kinds_text(unsigned int kinds) {
	return kinds == ANY_KIND        ? "a value"
	       : kinds == ORDERED       ? "a number, date, duration or size (strings have no order here)"
	       : kinds & KIND(NUMBER)   ? "a number"
	       : kinds & KIND(STRING)   ? "a string"
	       : kinds & KIND(DATE)     ? "a date or time"
	       : kinds & KIND(DURATION) ? "a duration such as 3 days"
	                                : "a size such as 5 MB";
}

static int add_operand(struct parser *parser, struct reading *reading) {
	size_t at = parser->token.start;
	struct dqdl_condition *condition = reading->condition;
	reading->operands =
	        arena_grow(parser->arena, reading->operands, condition->operand_count, sizeof *reading->operands);
	if (!reading->operands)
		return parser_out_of_memory();
	unsigned int kinds = 0;
	int rc = operand_parse(parser, &reading->operands[condition->operand_count], &kinds);
	if (rc < 0)
		return rc;
	if (!(reading->kinds & kinds))
		return parser_error(parser, at, "found %s, expected %s", kinds_text(kinds), kinds_text(reading->kinds));
	reading->kinds &= kinds;
	condition->operand_count++;
	condition->operands = reading->operands;
	return 0;
}

/* in $variable: the operands are the variable's values. */
static int variable_operands(struct parser *parser, struct reading *reading) {
	struct dqdl_condition *condition = reading->condition;
	const struct variable *variable = parser_variable(parser, parser->token);
	if (parser->token.kind != TOKEN_NAME)
		return parser_unexpected(parser, "a variable's name");
	if (!variable)
		return parser_error(parser, parser->token.start, "the variable $%.*s is not defined",
		        (int)parser->token.text.size, (const char *)parser->token.text.data);
	struct dqdl_operand *operands = arena_alloc(parser->arena, variable->count * sizeof *operands);
	if (!operands)
		return parser_out_of_memory();
	for (size_t i = 0; i < variable->count; i++) {
		char *value = parser_unescape(parser, variable->values[i]);
		if (!value)
			return parser_out_of_memory();
		operands[i] =
		        (struct dqdl_operand){.form = DQDL_OPERAND_TEXT, .text = variable->values[i], .value = value};
	}
	condition->variable = variable->name;
	condition->operands = operands;
	condition->operand_count = variable->count;
	reading->kinds = KIND(STRING);
	parser_advance(parser);
	return 0;
}

static int list_operands(struct parser *parser, struct reading *reading) {
	if (parser_accept(parser, TOKEN_CHAR('$')))
		return variable_operands(parser, reading);
	int rc = parser_expect(parser, TOKEN_CHAR('['), "[ and a list of values, or $ and a variable's name");
	while (rc == 0) {
		rc = add_operand(parser, reading);
		if (rc == 0 && !parser_accept(parser, TOKEN_CHAR(',')))
			return parser_expect(parser, TOKEN_CHAR(']'), "a comma or ]");
	}
	return rc;
}

static int between_operands(struct parser *parser, struct reading *reading) {
	int rc = add_operand(parser, reading);
	if (rc == 0)
		rc = parser_expect(parser, TOKEN_AND, "`and` and the upper end");
	return rc < 0 ? rc : add_operand(parser, reading);
}

static const struct {
	int token;
	enum dqdl_operator op;
	unsigned int kinds;
} operators[] = {
        {TOKEN_BETWEEN, DQDL_BETWEEN, ORDERED},
        {TOKEN_CHAR('>'), DQDL_GREATER, ORDERED},
        {TOKEN_GREATER_EQUAL, DQDL_GREATER_EQUAL, ORDERED},
        {TOKEN_CHAR('<'), DQDL_LESS, ORDERED},
        {TOKEN_LESS_EQUAL, DQDL_LESS_EQUAL, ORDERED},
        {TOKEN_CHAR('='), DQDL_EQUAL, ANY_KIND},
        {TOKEN_IN, DQDL_IN, ANY_KIND},
        {TOKEN_MATCHES, DQDL_MATCHES, KIND(STRING)},
};

bool condition_begins(const struct parser *parser) {
	int kind = parser->token.kind;
	if (kind == TOKEN_NOT || kind == TOKEN_CHAR('!'))
		return true;
	for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
		if (operators[i].token == kind)
			return true;
	return false;
}

/* Reads the operator with its `not` or `!`. */
static int operator_parse(struct parser *parser, struct reading *reading) {
	bool not_word = parser_accept(parser, TOKEN_NOT);
	bool mark = !not_word && parser_accept(parser, TOKEN_CHAR('!'));
	reading->condition->negated = not_word || mark;
	for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
		enum dqdl_operator op = operators[i].op;
		bool worded = op == DQDL_BETWEEN || op == DQDL_IN || op == DQDL_MATCHES;
		if (operators[i].token != parser->token.kind || (not_word && !worded) || (mark && op != DQDL_EQUAL))
			continue;
		reading->condition->op = op;
		reading->kinds = operators[i].kinds;
		parser_advance(parser);
		return 0;
	}
	return parser_unexpected(parser, not_word ? "between, in or matches behind `not`"
	                                 : mark   ? "= behind !"
	                                          : "an operator: = != > >= < <= between, in, matches");
}

static int read_condition(struct parser *parser, struct dqdl_condition *condition, unsigned int *ret_kinds) {
	struct reading reading = {.condition = condition};
	unsigned int outer = parser->chain;
	parser->chain = 0;
	*condition = (struct dqdl_condition){0};
	int rc = operator_parse(parser, &reading);
	if (rc < 0)
		return rc;
	if (condition->op == DQDL_BETWEEN)
		rc = between_operands(parser, &reading);
	else if (condition->op == DQDL_IN)
		rc = list_operands(parser, &reading);
	else if (condition->op == DQDL_MATCHES && parser->token.kind != TOKEN_STRING)
		rc = parser_unexpected(parser, "a regular expression in double quotes");
	else
		rc = add_operand(parser, &reading);
	*ret_kinds = reading.kinds;
	parser->chain = outer;
	return rc;
}

int condition_parse(struct parser *parser, struct dqdl_condition *ret_condition) {
	unsigned int kinds = 0;
	int rc = read_condition(parser, ret_condition, &kinds);
	if (rc < 0)
		return rc;
	enum dqdl_condition_kind kind = DQDL_CONDITION_NUMBER;
	while (!(kinds & (1u << kind)))
		kind++;
	ret_condition->kind = kind;
	return 0;
}

int condition_parse_tag(struct parser *parser, struct dqdl_condition *ret_condition) {
	size_t at = parser->token.start;
	unsigned int kinds = 0;
	int rc = read_condition(parser, ret_condition, &kinds);
	if (rc < 0)
		return rc;
	if (!(kinds & (KIND(STRING) | KIND(NUMBER))))
		return parser_error(parser, at, "a tag's value is a string or a number");
	ret_condition->kind = kinds & KIND(STRING) ? DQDL_CONDITION_STRING : DQDL_CONDITION_NUMBER;
	return 0;
}
