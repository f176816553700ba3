/*
 * canonical: rules and rulesets printed as the open parser prints them.
 */
#include "policy/dqdl/parser.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void print_number(FILE *out, const struct dqdl_number *number) {
	switch (number->form) {
	case DQDL_NUMBER_LITERAL:
		(void)fputs(number->text, out);
		break;
	case DQDL_NUMBER_NULL:
		(void)fputs("NULL", out);
		break;
	case DQDL_NUMBER_CALL:
		(void)fprintf(out, "%s(", number->text);
		for (size_t i = 0; i < number->part_count; i++) {
			if (i > 0)
				(void)fputc(',', out);
			print_number(out, number->parts[i]);
		}
		(void)fputc(')', out);
		break;
	case DQDL_NUMBER_BINARY:
	default:
		if (number->parenthesized)
			(void)fputc('(', out);
		print_number(out, number->parts[0]);
		(void)fprintf(out, " %c ", number->operation);
		print_number(out, number->parts[1]);
		if (number->parenthesized)
			(void)fputc(')', out);
		break;
	}
}

static const char *const units[] = {
        [DQDL_MINUTES] = "minutes",
        [DQDL_HOURS] = "hours",
        [DQDL_DAYS] = "days",
        [DQDL_B] = "B",
        [DQDL_KB] = "KB",
        [DQDL_MB] = "MB",
        [DQDL_GB] = "GB",
        [DQDL_TB] = "TB",
};

static void print_operand(FILE *out, const struct dqdl_condition *condition, const struct dqdl_operand *operand) {
	switch (operand->form) {
	case DQDL_OPERAND_NUMBER:
		print_number(out, operand->number);
		break;
	case DQDL_OPERAND_NULL:
		(void)fputs("NULL", out);
		break;
	case DQDL_OPERAND_TEXT:
		/* Only lists lose their escapes; and they are not put back. */
		(void)fprintf(out, "\"%s\"", condition->op == DQDL_IN ? operand->value : operand->text);
		break;
	case DQDL_OPERAND_EMPTY:
		(void)fputs("EMPTY", out);
		break;
	case DQDL_OPERAND_WHITESPACES_ONLY:
		(void)fputs("WHITESPACES_ONLY", out);
		break;
	case DQDL_OPERAND_DATE:
	case DQDL_OPERAND_TIME:
		(void)fprintf(out, "\"%s\"", operand->text);
		break;
	case DQDL_OPERAND_NOW:
		(void)fputs("now()", out);
		break;
	case DQDL_OPERAND_NOW_OFFSET:
		(void)fprintf(out, "(now() %c %" PRId64 " %s)", operand->minus ? '-' : '+', operand->amount,
		        units[operand->unit]);
		break;
	case DQDL_OPERAND_DURATION:
	case DQDL_OPERAND_SIZE:
	default:
		(void)fprintf(out, "%" PRId64 " %s", operand->amount, units[operand->unit]);
		break;
	}
}

static void print_list(FILE *out, const struct dqdl_condition *condition) {
	if (condition->variable) {
		(void)fprintf(out, "$%s", condition->variable);
		return;
	}
	for (size_t i = 0; i < condition->operand_count; i++) {
		(void)fputc(i == 0 ? '[' : ',', out);
		print_operand(out, condition, &condition->operands[i]);
	}
	(void)fputc(']', out);
}

static void print_condition(FILE *out, const struct dqdl_condition *condition) {
	static const char *const operators[] = {
	        [DQDL_BETWEEN] = "between ",
	        [DQDL_GREATER] = "> ",
	        [DQDL_GREATER_EQUAL] = ">= ",
	        [DQDL_LESS] = "< ",
	        [DQDL_LESS_EQUAL] = "<= ",
	        [DQDL_EQUAL] = "= ",
	        [DQDL_IN] = "in ",
	        [DQDL_MATCHES] = "matches ",
	};
	if (condition->kind == DQDL_CONDITION_NONE)
		return;
	if (condition->negated)
		(void)fputs(condition->op == DQDL_EQUAL ? "!" : "not ", out);
	(void)fputs(operators[condition->op], out);
	if (condition->op == DQDL_IN) {
		print_list(out, condition);
		return;
	}
	print_operand(out, condition, &condition->operands[0]);
	if (condition->op == DQDL_BETWEEN) {
		(void)fputs(" and ", out);
		print_operand(out, condition, &condition->operands[1]);
	}
}

static bool is_blank(const char *text) {
	return text[strspn(text, " \t\n\v\f\r\x1c\x1d\x1e\x1f")] == '\0';
}

static void print_labels(FILE *out, const struct dqdl_pairs *labels) {
	for (size_t i = 0; i < labels->count; i++)
		(void)fprintf(out, "%s\"%s\"=\"%s\"", i == 0 ? " labels=[" : ", ", labels->pairs[i].key,
		        labels->pairs[i].value);
	if (labels->count > 0)
		(void)fputc(']', out);
}

static void print_leaf(FILE *out, const struct dqdl_rule *rule) {
	(void)fputs(rule->type, out);
	for (size_t i = 0; i < rule->parameter_count; i++) {
		const struct dqdl_parameter *parameter = &rule->parameters[i];
		if (parameter->connector)
			(void)fprintf(out, " %s", parameter->connector);
		(void)fprintf(out, " %s", parameter->written);
	}
	if (rule->condition.kind != DQDL_CONDITION_NONE)
		(void)fputc(' ', out);
	print_condition(out, &rule->condition);
	if (rule->where && !is_blank(rule->where))
		(void)fprintf(out, " where \"%s\"", rule->where);
	if (rule->threshold.kind != DQDL_CONDITION_NONE)
		(void)fputs(" with threshold ", out);
	print_condition(out, &rule->threshold);
	for (size_t i = 0; i < rule->tags.count; i++)
		(void)fprintf(out, " with %s = %s", rule->tags.pairs[i].key, rule->tags.pairs[i].value);
	print_labels(out, &rule->own_labels);
}

/* Is the whole composite joined by one operator? Then it is printed flat. */
static bool is_uniform(const struct dqdl_rule *rule, bool is_or) {
	if (rule->id != DQDL_COMPOSITE)
		return true;
	return rule->is_or == is_or && is_uniform(rule->left, is_or) && is_uniform(rule->right, is_or);
}

static void print_flat(FILE *out, const struct dqdl_rule *rule, const char *joint) {
	if (rule->id != DQDL_COMPOSITE) {
		(void)fprintf(out, "(%s)", rule->text);
		return;
	}
	print_flat(out, rule->left, joint);
	(void)fputs(joint, out);
	print_flat(out, rule->right, joint);
}

static void print_composite(FILE *out, const struct dqdl_rule *rule) {
	const char *joint = rule->is_or ? " OR " : " AND ";
	if (rule->id != DQDL_COMPOSITE) {
		(void)fputs(rule->text, out);
	} else if (is_uniform(rule, rule->is_or)) {
		print_flat(out, rule, joint);
	} else {
		(void)fputc('(', out);
		print_composite(out, rule->left);
		(void)fprintf(out, ")%s(", joint);
		print_composite(out, rule->right);
		(void)fputc(')', out);
	}
}

int canonical_rule(Arena *arena, struct dqdl_rule *rule) {
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return -ENOMEM;
	if (rule->id == DQDL_COMPOSITE)
		print_composite(out, rule);
	else
		print_leaf(out, rule);
	bool failed = ferror(out) != 0;
	if (fclose(out) != 0 || failed)
		return -ENOMEM;
	while (rule->id != DQDL_COMPOSITE && size > 0 && (unsigned char)text[size - 1] <= ' ')
		size--;
	rule->text = arena_text(arena, text, size);
	return rule->text ? 0 : -ENOMEM;
}

char *dqdl_condition_text(const struct dqdl_condition *condition) {
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	print_condition(out, condition);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* The next UTF-16 unit or pair of valid UTF-8 as a code point; moves *text on. */
static uint32_t code_point(const char **text) {
	const uint8_t *p = (const uint8_t *)*text;
	size_t size = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : *p >= 0xc0 ? 2 : 1;
	uint32_t c = size == 1 ? *p : *p & (0xffu >> (size + 1));
	for (size_t i = 1; i < size && p[i]; i++)
		c = c << 6 | (p[i] & 0x3f);
	*text += size;
	return c;
}

size_t java_length(const char *text) {
	size_t length = 0;
	while (*text)
		length += code_point(&text) > 0xffff ? 2 : 1;
	return length;
}

/* String.hashCode(), spread as HashMap does before it picks a bucket. */
static uint32_t java_hash(const char *text) {
	uint32_t hash = 0;
	while (*text) {
		uint32_t c = code_point(&text);
		if (c > 0xffff) {
			hash = hash * 31 + (0xd800 + ((c - 0x10000) >> 10));
			c = 0xdc00 + ((c - 0x10000) & 0x3ff);
		}
		hash = hash * 31 + c;
	}
	return hash ^ hash >> 16;
}

void java_order(struct dqdl_pair *pairs, size_t count, size_t capacity) {
	/* Stable insertion sort by bucket: within one the order of insertion stays. */
	for (size_t i = 1; i < count; i++) {
		struct dqdl_pair pair = pairs[i];
		size_t bucket = java_hash(pair.key) & (capacity - 1);
		size_t j = i;
		for (; j > 0 && (java_hash(pairs[j - 1].key) & (capacity - 1)) > bucket; j--)
			pairs[j] = pairs[j - 1];
		pairs[j] = pair;
	}
}
