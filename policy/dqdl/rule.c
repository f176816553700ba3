/*
 * rule: the part of the parser that reads single rules, analyzers and composites.
 */
#include "policy/dqdl/parser.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/types.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_parameter(int kind) {
	return kind == TOKEN_STRING || kind == TOKEN_NAME || kind == TOKEN_CHAR('$');
}

static bool parameter_begins(const struct parser *parser) {
	if (parser->token.kind == TOKEN_AND || parser->token.kind == TOKEN_OF) {
		struct lexer ahead = parser->lexer;
		return parser->token.kind == TOKEN_OF || is_parameter(lexer_next(&ahead).kind);
	}
	return is_parameter(parser->token.kind);
}

static int variable_parameter(struct parser *parser, struct dqdl_parameter *parameter) {
	if (parser->token.kind != TOKEN_NAME)
		return parser_unexpected(parser, "a variable's name");
	const struct variable *variable = parser_variable(parser, parser->token);
	int size = (int)parser->token.text.size;
	const char *name = (const char *)parser->token.text.data;
	if (!variable)
		return parser_error(parser, parser->token.start, "the variable $%.*s is not defined", size, name);
	if (variable->is_list)
		return parser_error(parser, parser->token.start,
		        "the variable $%.*s is a list; a parameter needs a string", size, name);
	char *written = arena_alloc(parser->arena, (size_t)size + 2);
	if (!written)
		return parser_out_of_memory();
	written[0] = '$';
	memcpy(written + 1, name, (size_t)size);
	parameter->written = written;
	parameter->value = variable->values[0];
	parser_advance(parser);
	return 0;
}

static int parameter_parse(struct parser *parser, struct dqdl_parameter *parameter) {
	*parameter = (struct dqdl_parameter){0};
	if (parser->token.kind == TOKEN_AND || parser->token.kind == TOKEN_OF) {
		parameter->connector = parser_text(parser, parser->token);
		if (!parameter->connector)
			return parser_out_of_memory();
		parser_advance(parser);
	}
	if (!is_parameter(parser->token.kind))
		return parser_unexpected(parser, "a parameter: \"name\", name or $variable");
	if (parser_accept(parser, TOKEN_CHAR('$')))
		return variable_parameter(parser, parameter);
	parameter->value = parser_text(parser, parser->token);
	if (!parameter->value)
		return parser_out_of_memory();
	bool is_quoted = parser->token.kind == TOKEN_STRING;
	parameter->written = is_quoted ? parser_quoted(parser, parameter->value) : parameter->value;
	parser_advance(parser);
	return parameter->written ? 0 : parser_out_of_memory();
}

static int parameters_parse(struct parser *parser, struct dqdl_rule *rule) {
	struct dqdl_parameter *parameters = NULL;
	while (parameter_begins(parser)) {
		parameters = arena_grow(parser->arena, parameters, rule->parameter_count, sizeof *parameters);
		if (!parameters)
			return parser_out_of_memory();
		int rc = parameter_parse(parser, &parameters[rule->parameter_count]);
		if (rc < 0)
			return rc;
		rule->parameters = parameters;
		rule->parameter_count++;
	}
	return 0;
}

/* Names the parameters as the type's table does; repeated ones get numbers, but for (Is)Unique(ness) of one column. */
static int name_parameters(struct parser *parser, const struct dqdl_type *type, struct dqdl_rule *rule) {
	if (rule->parameter_count == 0)
		return 0;
	struct dqdl_parameter *parameters = arena_alloc(parser->arena, rule->parameter_count * sizeof *parameters);
	if (!parameters)
		return parser_out_of_memory();
	memcpy(parameters, rule->parameters, rule->parameter_count * sizeof *parameters);
	bool plain = (type->id == DQDL_UNIQUENESS || type->id == DQDL_IS_UNIQUE) && rule->parameter_count == 1;
	for (size_t i = 0; i < rule->parameter_count; i++) {
		size_t last = type->parameter_count - 1;
		const char *name = type->parameters[i < last ? i : last];
		char numbered[64];
		(void)snprintf(numbered, sizeof numbered, "%s%zu", name, i + 1);
		bool repeats = type->variadic && i >= last && !plain;
		parameters[i].name = repeats ? arena_text(parser->arena, numbered, strlen(numbered)) : name;
		if (!parameters[i].name)
			return parser_out_of_memory();
	}
	rule->parameters = parameters;
	return 0;
}

static int find_type(
        struct parser *parser, const struct dqdl_rule *rule, size_t at, const struct dqdl_type **ret_type) {
	const struct dqdl_type *type = dqdl_type_find(rule->type, rule->parameter_count);
	const struct dqdl_type *named = dqdl_type_named(rule->type);
	if (type) {
		*ret_type = type;
		return 0;
	}
	const char *nearest = named ? NULL : dqdl_type_nearest(rule->type);
	if (!named)
		return parser_error(parser, at, "found %.60s, expected a rule type such as %s", rule->type,
		        nearest ? nearest : "RowCount or IsComplete");
	if (parser->token.kind == TOKEN_BAD)
		return parser_unexpected(parser, "a parameter in double quotes or a condition");
	for (size_t i = 1; i < rule->parameter_count; i++)
		if (rule->parameters[i].connector && dqdl_type_named(rule->parameters[i].value))
			return parser_error(parser, at,
			        "`and` before %s was read as a filler word; put parentheses around the rules, as in "
			        "(%s "
			        "…) and (%s …)",
			        rule->parameters[i].value, rule->type, rule->parameters[i].value);
	return parser_error(parser, at, "%s takes %s%zu parameter%s%s%s, found %zu", named->name,
	        named->variadic ? "at least " : "", named->parameter_count, named->parameter_count == 1 ? "" : "s",
	        named->parameter_count ? ": " : "", named->parameter_count ? named->parameters[0] : "",
	        rule->parameter_count);
}

static const char *kind_text(enum dqdl_condition_kind kind) {
	static const char *const texts[] = {
	        [DQDL_CONDITION_NONE] = "no condition",
	        [DQDL_CONDITION_NUMBER] = "a condition on a number, such as > 10",
	        [DQDL_CONDITION_STRING] = "a condition on a string, such as = \"Date\"",
	        [DQDL_CONDITION_DATE] = "a condition on a date, such as > (now() - 3 days)",
	        [DQDL_CONDITION_DURATION] = "a condition on a duration, such as <= 24 hours",
	        [DQDL_CONDITION_SIZE] = "a condition on a size, such as < 5 MB",
	};
	return texts[kind];
}

/* A whole number is a size in bytes. */
static int number_as_size(struct parser *parser, size_t at, struct dqdl_condition *condition) {
	struct dqdl_operand *operands = arena_alloc(parser->arena, condition->operand_count * sizeof *operands);
	if (!operands)
		return parser_out_of_memory();
	for (size_t i = 0; i < condition->operand_count; i++) {
		const struct dqdl_operand *operand = &condition->operands[i];
		const struct dqdl_number *number = operand->number;
		if (operand->form != DQDL_OPERAND_NUMBER || number->form != DQDL_NUMBER_LITERAL ||
		        strchr(number->text, '.') || number->value > INT32_MAX || number->value < INT32_MIN)
			return parser_error(parser, at, "a size is a whole number, with B, KB, MB, GB or TB behind it");
		operands[i] = (struct dqdl_operand){
		        .form = DQDL_OPERAND_SIZE, .amount = (int64_t)number->value, .unit = DQDL_B};
	}
	condition->operands = operands;
	condition->kind = DQDL_CONDITION_SIZE;
	return 0;
}

static int check_condition(struct parser *parser, const struct dqdl_type *type, struct dqdl_rule *rule, size_t at) {
	enum dqdl_condition_kind kind = rule->condition.kind;
	for (size_t i = 0; i < type->return_count; i++) {
		if (type->returns[i] == kind)
			return 0;
		if (type->returns[i] == DQDL_CONDITION_SIZE && kind == DQDL_CONDITION_NUMBER)
			return number_as_size(parser, at, &rule->condition);
	}
	if (kind == DQDL_CONDITION_NONE)
		return parser_unexpected(parser, kind_text(type->returns[0]));
	return parser_error(
	        parser, at, "found %s, %s expects %s", kind_text(kind), type->name, kind_text(type->returns[0]));
}

static int where_parse(struct parser *parser, const struct dqdl_type *type, struct dqdl_rule *rule) {
	size_t at = parser->token.start;
	if (!parser_accept(parser, TOKEN_WHERE))
		return 0;
	if (!type->where)
		return parser_error(parser, at, "%s takes no where", type->name);
	if (parser->token.kind != TOKEN_STRING || parser->token.text.size == 0)
		return parser_unexpected(parser, "a condition in SQL in double quotes");
	rule->where = parser_text(parser, parser->token);
	if (!rule->where)
		return parser_out_of_memory();
	parser_advance(parser);
	return 0;
}

static struct dqdl_rule *rule_new(struct parser *parser) {
	struct dqdl_rule *rule = arena_alloc(parser->arena, sizeof *rule);
	if (rule)
		parser_locate(parser, rule);
	return rule;
}

static int type_parse(struct parser *parser, struct dqdl_rule *rule, const struct dqdl_type **ret_type) {
	size_t at = parser->token.start;
	if (parser->token.kind != TOKEN_NAME)
		return parser_unexpected(parser, "a rule such as RowCount > 0");
	rule->type = parser_text(parser, parser->token);
	if (!rule->type)
		return parser_out_of_memory();
	parser_advance(parser);
	int rc = parameters_parse(parser, rule);
	if (rc == 0)
		rc = find_type(parser, rule, at, ret_type);
	if (rc == 0)
		rc = name_parameters(parser, *ret_type, rule);
	if (rc == 0) {
		rule->id = (*ret_type)->id;
		rule->excluded_in_rows = (*ret_type)->excluded_in_rows;
	}
	return rc;
}

static int leaf_tail(struct parser *parser, const struct dqdl_type *type, struct dqdl_rule *rule) {
	size_t at = parser->token.start;
	int rc = condition_begins(parser) ? condition_parse(parser, &rule->condition) : 0;
	if (rc == 0)
		rc = check_condition(parser, type, rule, at);
	if (rc == 0)
		rc = where_parse(parser, type, rule);
	if (rc == 0 && parser_accept(parser, TOKEN_LABELS))
		rc = labels_parse(parser, &rule->own_labels);
	if (rc == 0)
		rc = tags_parse(parser, type, rule);
	if (rc == 0)
		rc = labels_merge(parser, &rule->own_labels, &rule->labels);
	return rc == 0 ? canonical_rule(parser->arena, rule) : rc;
}

static int leaf_parse(struct parser *parser, struct dqdl_rule **ret_rule) {
	struct dqdl_rule *rule = rule_new(parser);
	if (!rule)
		return parser_out_of_memory();
	size_t at = parser->token.start;
	const struct dqdl_type *type = NULL;
	int rc = type_parse(parser, rule, &type);
	if (rc == 0 && type->analyzer_only)
		rc = parser_error(parser, at, "%s is an analyzer, not a rule", type->name);
	if (rc == 0)
		rc = leaf_tail(parser, type, rule);
	if (rc == 0)
		*ret_rule = rule;
	return rc;
}

static int either_parse(struct parser *parser, struct dqdl_rule **ret_rule);

/* Labels behind a closing parenthesis replace those of the rule inside. */
static int relabel(struct parser *parser, struct dqdl_rule *rule) {
	struct dqdl_pairs own;
	int rc = labels_parse(parser, &own);
	if (rc == 0)
		rc = labels_merge(parser, &own, &rule->labels);
	if (rc)
		return rc;
	/* A composite's labels are not printed; a single rule's are, the defaults now among them. */
	rule->own_labels = rule->labels;
	return rule->id == DQDL_COMPOSITE ? 0 : canonical_rule(parser->arena, rule);
}

static int primary_parse(struct parser *parser, struct dqdl_rule **ret_rule) {
	if (!parser_accept(parser, TOKEN_CHAR('(')))
		return leaf_parse(parser, ret_rule);
	int rc = parser_deeper(parser);
	if (rc == 0)
		rc = either_parse(parser, ret_rule);
	if (rc == 0)
		rc = parser_expect(parser, TOKEN_CHAR(')'), "and, or, or )");
	if (rc)
		return rc;
	parser->depth--;
	if (parser_accept(parser, TOKEN_LABELS))
		return relabel(parser, *ret_rule);
	return 0;
}

static int join(struct parser *parser, const struct dqdl_rule *left, const struct dqdl_rule *right, bool is_or,
        struct dqdl_rule **ret_rule) {
	struct dqdl_rule *rule = arena_alloc(parser->arena, sizeof *rule);
	if (!rule)
		return parser_out_of_memory();
	rule->id = DQDL_COMPOSITE;
	rule->type = "Composite";
	rule->line = left->line;
	rule->column = left->column;
	rule->is_or = is_or;
	rule->left = left;
	rule->right = right;
	int rc = labels_merge(parser, &rule->own_labels, &rule->labels);
	*ret_rule = rule;
	return rc;
}

/* A chain of rules joined by `kind`: `and` binds tighter than `or`, both from left to right. */
static int chain_parse(struct parser *parser, int kind, struct dqdl_rule **ret_rule) {
	bool is_or = kind == TOKEN_OR;
	int rc = is_or ? chain_parse(parser, TOKEN_AND, ret_rule) : primary_parse(parser, ret_rule);
	while (rc == 0 && parser->token.kind == kind) {
		if (++parser->chain > DQDL_MAX_CHAIN)
			return parser_error(
			        parser, parser->token.start, "more than %u rules in one composite", DQDL_MAX_CHAIN);
		struct dqdl_rule *right = NULL;
		parser_advance(parser);
		rc = is_or ? chain_parse(parser, TOKEN_AND, &right) : primary_parse(parser, &right);
		if (rc == 0)
			rc = join(parser, *ret_rule, right, is_or, ret_rule);
	}
	return rc;
}

static int either_parse(struct parser *parser, struct dqdl_rule **ret_rule) {
	return chain_parse(parser, TOKEN_OR, ret_rule);
}

int rule_parse(struct parser *parser, struct dqdl_rule **ret_rule) {
	parser->chain = 0;
	int rc = either_parse(parser, ret_rule);
	if (rc == 0 && (*ret_rule)->id == DQDL_COMPOSITE)
		rc = canonical_rule(parser->arena, *ret_rule);
	return rc;
}

int analyzer_parse(struct parser *parser, struct dqdl_rule **ret_rule) {
	struct dqdl_rule *rule = rule_new(parser);
	if (!rule)
		return parser_out_of_memory();
	size_t at = parser->token.start;
	const struct dqdl_type *type = NULL;
	int rc = type_parse(parser, rule, &type);
	if (rc == 0 && dqdl_type_is_boolean(type))
		rc = parser_error(parser, at, "%s gives no number and cannot be an analyzer", type->name);
	if (rc == 0)
		rc = canonical_rule(parser->arena, rule);
	if (rc == 0)
		*ret_rule = rule;
	return rc;
}
