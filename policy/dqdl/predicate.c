#include "policy/dqdl/predicate.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/compare.h"
#include "policy/dqdl/pattern.h"
#include "policy/dqdl/text_set.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct Predicate {
	const struct dqdl_condition *condition;
	struct predicate_options options;
	bool names_null;
	bool names_empty;
	bool names_whitespaces;
	bool only_null;  /* nothing but NULL is named: what an empty cell is depends on its column */
	double *numbers; /* or days */
	size_t count;
	struct text_set texts;
	Pattern *pattern;
};

static int add_texts(Predicate *predicate) {
	const struct dqdl_condition *condition = predicate->condition;
	_cleanup_(freep) struct table_cell *texts = calloc(condition->operand_count + 1, sizeof *texts);
	size_t count = 0;
	if (!texts)
		return fault(ENOMEM, "out of memory for a rule's list");
	for (size_t k = 0; k < condition->operand_count; k++) {
		const char *value = condition->operands[k].value;
		if (condition->operands[k].form == DQDL_OPERAND_TEXT)
			texts[count++] = (struct table_cell){.data = value, .size = strlen(value)};
	}
	return text_set_init(&predicate->texts, texts, count);
}

static int32_t floor_days(int64_t minutes) {
	int64_t days = minutes / 1440;
	return (int32_t)(minutes % 1440 < 0 ? days - 1 : days);
}

/* Dates are compared as days; a time of day falls away. */
static int32_t operand_days(const struct dqdl_operand *operand, int64_t now) {
	static const int64_t unit_minutes[] = {[DQDL_MINUTES] = 1, [DQDL_HOURS] = 60, [DQDL_DAYS] = 1440};
	int64_t minutes = now / 60 - (now % 60 < 0);
	if (operand->form == DQDL_OPERAND_DATE)
		return operand->days;
	if (operand->form == DQDL_OPERAND_NOW_OFFSET) {
		int64_t offset = operand->amount * unit_minutes[operand->unit];
		minutes += operand->minus ? -offset : offset;
	}
	return floor_days(minutes);
}

static int add_operands(Predicate *predicate) {
	const struct dqdl_condition *condition = predicate->condition;
	predicate->numbers = calloc(condition->operand_count, sizeof *predicate->numbers);
	if (!predicate->numbers)
		return fault(ENOMEM, "out of memory for a rule's condition");
	for (size_t i = 0; i < condition->operand_count; i++) {
		const struct dqdl_operand *operand = &condition->operands[i];
		predicate->names_null |= operand->form == DQDL_OPERAND_NULL;
		predicate->names_empty |= operand->form == DQDL_OPERAND_EMPTY;
		predicate->names_whitespaces |= operand->form == DQDL_OPERAND_WHITESPACES_ONLY;
		if (operand->form == DQDL_OPERAND_NULL)
			continue;
		predicate->only_null = false;
		if (condition->kind == DQDL_CONDITION_NUMBER) {
			int rc = dqdl_number_value(operand->number, &predicate->numbers[predicate->count++]);
			if (rc < 0)
				return rc;
		} else if (condition->kind == DQDL_CONDITION_DATE) {
			predicate->numbers[predicate->count++] = operand_days(operand, predicate->options.now);
		}
	}
	bool ordered = condition->op != DQDL_EQUAL && condition->op != DQDL_IN && condition->op != DQDL_MATCHES;
	if (ordered && predicate->names_null)
		return fault(EINVAL, "NULL has no order: it can stand behind =, != and in");
	return 0;
}

/* --- regular expressions --- */

static int compile(Predicate *predicate, const char *pattern, unsigned flags) {
	return pattern_new(pattern, flags, &predicate->pattern);
}

/* Wrapped as the open evaluator wraps it. */
static int compile_matches(Predicate *predicate) {
	const struct dqdl_condition *condition = predicate->condition;
	const char *before = condition->negated ? "^(?!\\b" : "^", *behind = condition->negated ? "\\b).*$" : "$";
	_cleanup_(freep) char *pattern = pattern_translate(before, condition->operands[0].text, behind);
	if (!pattern)
		return fault(ENOMEM, "out of memory for a regular expression");
	return compile(predicate, pattern, 0);
}

static enum predicate_verdict test_matches(const Predicate *predicate, struct table_cell cell) {
	switch (pattern_find(predicate->pattern, cell)) {
	case PATTERN_FOUND:
		return PREDICATE_PASS;
	case PATTERN_OVER_LIMIT:
		return PREDICATE_OVER_LIMIT;
	case PATTERN_NONE:
	case PATTERN_FOUND_EMPTY:
	default:
		return PREDICATE_FAIL;
	}
}

/* Is the cell one of the texts, whatever the case? Every text is one literal alternative.
 */
static int compile_folded(Predicate *predicate) {
	const struct dqdl_condition *condition = predicate->condition;
	_cleanup_(freep) char *pattern = NULL;
	size_t size;
	FILE *out = open_memstream(&pattern, &size);
	if (!out)
		return fault(ENOMEM, "out of memory for a regular expression");
	(void)fputs("(?!)", out);
	for (size_t i = 0; i < condition->operand_count; i++) {
		if (condition->operands[i].form != DQDL_OPERAND_TEXT)
			continue;
		(void)fputc('|', out);
		for (const char *p = condition->operands[i].value; *p; p++) {
			if ((unsigned char)*p < 0x80 && !((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z'))
				(void)fprintf(out, "\\x%02x", (unsigned int)*p);
			else
				(void)fputc(*p, out);
		}
	}
	if (fclose(out) != 0)
		return fault(ENOMEM, "out of memory for a regular expression");
	return compile(predicate, pattern, PATTERN_FOLD_CASE | PATTERN_WHOLE);
}

/* --- making --- */

int predicate_new(
        const struct dqdl_condition *condition, const struct predicate_options *options, Predicate **ret_predicate) {
	_cleanup_(predicate_freep) Predicate *predicate = calloc(1, sizeof *predicate);
	if (!predicate)
		return fault(ENOMEM, "out of memory for a rule's condition");
	predicate->condition = condition;
	predicate->options = *options;
	predicate->only_null = true;
	int rc = add_operands(predicate);
	if (rc == 0 && condition->op == DQDL_MATCHES)
		rc = compile_matches(predicate);
	else if (rc == 0 && condition->kind == DQDL_CONDITION_STRING)
		rc = options->fold_case ? compile_folded(predicate) : add_texts(predicate);
	if (rc < 0)
		return rc;
	*ret_predicate = steal_pointer(&predicate);
	return 0;
}

void predicate_free(Predicate *predicate) {
	if (!predicate)
		return;
	pattern_free(predicate->pattern);
	free(predicate->numbers);
	text_set_release(&predicate->texts);
	free(predicate);
}

/* --- asking --- */

bool predicate_needs_kind(const Predicate *predicate) {
	return predicate->only_null || predicate->options.lengths;
}

static enum predicate_verdict verdict(const Predicate *predicate, bool holds) {
	return holds != predicate->condition->negated ? PREDICATE_PASS : PREDICATE_FAIL;
}

static enum predicate_verdict test_number(const Predicate *predicate, double number) {
	return verdict(predicate, dqdl_compare(predicate->condition->op, predicate->numbers, predicate->count, number));
}

static bool is_whitespace_only(struct table_cell cell) {
	for (size_t i = 0; i < cell.size; i++)
		if (!strchr(" \t\n\v\f\r", cell.data[i]) || !cell.data[i])
			return false;
	return cell.size > 0;
}

static enum predicate_verdict test_text(const Predicate *predicate, struct table_cell cell) {
	if (predicate->condition->op == DQDL_MATCHES)
		return test_matches(predicate, cell);
	bool holds = (predicate->names_empty && cell.size == 0) ||
	             (predicate->names_whitespaces && is_whitespace_only(cell));
	if (!holds && predicate->pattern) {
		enum pattern_answer answer = pattern_find(predicate->pattern, cell);
		if (answer == PATTERN_OVER_LIMIT)
			return PREDICATE_OVER_LIMIT;
		holds = answer != PATTERN_NONE;
	} else if (!holds) {
		holds = text_set_has(&predicate->texts, cell, text_key_of(cell));
	}
	return verdict(predicate, holds);
}

static enum predicate_verdict test_null(const Predicate *predicate) {
	const struct dqdl_condition *condition = predicate->condition;
	if (condition->op == DQDL_EQUAL || condition->op == DQDL_IN)
		return verdict(predicate, predicate->names_null);
	/* The open evaluator lets NULL pass `not between` on dates only. */
	return condition->op == DQDL_BETWEEN && condition->negated && condition->kind == DQDL_CONDITION_DATE
	               ? PREDICATE_PASS
	               : PREDICATE_FAIL;
}

static enum predicate_verdict test_length(
        const Predicate *predicate, struct table_cell cell, enum cell_presence presence, double *ret_number) {
	double length = presence == CELL_NULL ? 0 : (double)utf8_length(cell.data, cell.size);
	if (ret_number && presence == CELL_VALUE)
		*ret_number = length;
	return test_number(predicate, length);
}

enum predicate_verdict predicate_test(
        const Predicate *predicate, struct table_cell cell, enum cell_presence presence, double *ret_number) {
	double number;
	int32_t days;
	if (predicate->options.lengths)
		return test_length(predicate, cell, presence, ret_number);
	if (presence == CELL_EMPTY && predicate->only_null)
		return predicate->condition->negated ? PREDICATE_FAIL_IF_NULL : PREDICATE_PASS_IF_NULL;
	/* The condition tells what the column is: compared with strings it is text, else it is none. */
	if (presence == CELL_NULL || (presence == CELL_EMPTY && predicate->condition->kind != DQDL_CONDITION_STRING))
		return test_null(predicate);
	switch (predicate->condition->kind) {
	case DQDL_CONDITION_STRING:
		return test_text(predicate, cell);
	case DQDL_CONDITION_DATE:
		if (!cell_date(cell, &days))
			return PREDICATE_FAIL;
		if (ret_number)
			*ret_number = days;
		return test_number(predicate, days);
	case DQDL_CONDITION_NONE:
	case DQDL_CONDITION_NUMBER:
	case DQDL_CONDITION_DURATION:
	case DQDL_CONDITION_SIZE:
	default:
		if (predicate->only_null)
			return verdict(predicate, false);
		if (!cell_number(cell, &number))
			return PREDICATE_FAIL;
		if (ret_number)
			*ret_number = number;
		return test_number(predicate, number);
	}
}

/* --- asking of many --- */

static struct table_cell cell_at(const struct predicate_cells *cells, size_t i) {
	return cells->first[i * cells->stride];
}

static uint8_t test_one(const Predicate *predicate, const struct predicate_cells *cells, size_t i, double *ret_number) {
	struct table_cell cell = cell_at(cells, i);
	*ret_number = __builtin_nan("");
	return (uint8_t)predicate_test(predicate, cell, cell_presence_of(cells->nulls, cell), ret_number);
}

static void test_each(
        const Predicate *predicate, const struct predicate_cells *cells, uint8_t *ret_verdicts, double *ret_numbers) {
	for (size_t i = 0; i < cells->count; i++)
		ret_verdicts[i] = test_one(predicate, cells, i, &ret_numbers[i]);
}

static void test_each_listed(
        const Predicate *predicate, const struct predicate_cells *cells, uint8_t *ret_verdicts, double *ret_numbers) {
	bool negated = predicate->condition->negated;
	for (size_t i = 0; i < cells->count; i++) {
		struct table_cell cell = cell_at(cells, i);
		if (cell_presence_of(cells->nulls, cell) == CELL_NULL) {
			ret_verdicts[i] = test_one(predicate, cells, i, &ret_numbers[i]);
			continue;
		}
		bool holds = text_set_has(&predicate->texts, cell, text_key_near(cell)) |
		             (predicate->names_empty & (cell.size == 0));
		ret_verdicts[i] = holds == negated ? PREDICATE_FAIL : PREDICATE_PASS;
	}
}

static void test_each_pattern(
        const Predicate *predicate, const struct predicate_cells *cells, uint8_t *ret_verdicts, double *ret_numbers) {
	for (size_t i = 0; i < cells->count; i++) {
		struct table_cell cell = cell_at(cells, i);
		bool is_null = cell_presence_of(cells->nulls, cell) == CELL_NULL;
		enum fixed_answer answer = is_null ? FIXED_UNKNOWN : pattern_try(predicate->pattern, cell);
		if (answer == FIXED_UNKNOWN)
			ret_verdicts[i] = test_one(predicate, cells, i, &ret_numbers[i]);
		else
			ret_verdicts[i] = answer == FIXED_YES ? PREDICATE_PASS : PREDICATE_FAIL;
	}
}

/* First the lengths of all, then what the condition says of them. */
static void test_each_length(
        const Predicate *predicate, const struct predicate_cells *cells, uint8_t *ret_verdicts, double *ret_numbers) {
	for (size_t i = 0; i < cells->count; i++) {
		struct table_cell cell = cell_at(cells, i);
		if (cell_presence_of(cells->nulls, cell) == CELL_NULL) {
			ret_numbers[i] = 0;
			continue;
		}
		struct text_key key = text_key_near(cell);
		bool is_plain = cell.size <= TEXT_KEY_WHOLE && !((key.head | key.tail) & 0x8080808080808080u);
		ret_numbers[i] = (double)(is_plain ? cell.size : utf8_length(cell.data, cell.size));
	}
	for (size_t i = 0; i < cells->count; i++)
		ret_verdicts[i] = (uint8_t)test_number(predicate, ret_numbers[i]);
	for (size_t i = 0; i < cells->count; i++)
		if (cell_presence_of(cells->nulls, cell_at(cells, i)) != CELL_VALUE)
			ret_numbers[i] = __builtin_nan(""); /* it counts as 0, and may be no length that was found */
}

void predicate_test_many(
        const Predicate *predicate, const struct predicate_cells *cells, uint8_t *ret_verdicts, double *ret_numbers) {
	bool is_text = predicate->condition->kind == DQDL_CONDITION_STRING && !predicate->only_null;
	bool matches = predicate->condition->op == DQDL_MATCHES;
	if (predicate->options.lengths)
		test_each_length(predicate, cells, ret_verdicts, ret_numbers);
	else if (is_text && matches)
		test_each_pattern(predicate, cells, ret_verdicts, ret_numbers);
	else if (is_text && !predicate->pattern && !predicate->names_whitespaces)
		test_each_listed(predicate, cells, ret_verdicts, ret_numbers);
	else
		test_each(predicate, cells, ret_verdicts, ret_numbers);
}

bool predicate_finds_numbers(const Predicate *predicate) {
	enum dqdl_condition_kind kind = predicate->condition->kind;
	return predicate->options.lengths || kind == DQDL_CONDITION_NUMBER || kind == DQDL_CONDITION_DATE;
}

double predicate_misses_by(const Predicate *predicate, double number) {
	return dqdl_distance(predicate->numbers, predicate->count, number);
}
