/* kind_types: ColumnDataType, which asks whether each cell can be cast; and rules about the columns' names. */
#include "policy/dqdl/evaluator.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/cast.h"
#include "policy/dqdl/pattern.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ---- ColumnDataType ---- */

/* The tag `format`; false: it names none that there is. */
static bool find_format(const struct dqdl_rule *rule, struct cast *cast) {
	const char *wanted = check_tag(rule, "format");
	if (!wanted)
		return true;
	for (const char *const *format = cast_formats; *format; format++)
		if (strlen(*format) + 2 == strlen(wanted) && strncmp(wanted + 1, *format, strlen(*format)) == 0)
			cast->format = *format;
	return cast->format != NULL;
}

static int start_type(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	const struct dqdl_condition *condition = &check->rule->condition;
	struct cast *cast = calloc(1, sizeof *cast);
	check->own = cast;
	if (!cast)
		return evaluator_out_of_memory();
	if (condition->op != DQDL_EQUAL || condition->operands[0].form != DQDL_OPERAND_TEXT)
		return check_settle(check, DQDL_FAILED, "ColumnDataType is decided by = and != alone");
	if (cast_parse(condition->operands[0].value, cast) < 0)
		return check_settle(check, DQDL_FAILED, "%s", fault_message());
	if (!find_format(check->rule, cast))
		return check_settle(check, DQDL_FAILED, "%s is no date format that is known: yyyy-MM-dd, dd/MM/yyyy, …",
		        check_tag(check->rule, "format"));
	return 0;
}

/* NULL is of no type, and an empty cell can't be cast to any that there is. */
static int feed_type(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	struct table_cell cell = cells[check->columns[0]];
	bool fits = cell_presence_of(&evaluator->options.nulls, cell) == CELL_VALUE && cast_fits(check->own, cell);
	bool conforms = fits != check->rule->condition.negated;
	check->row = conforms ? DQDL_ROW_PASSED : DQDL_ROW_FAILED;
	if (!conforms && line)
		first_lines_add(&check->failing, line);
	return 0;
}

static int finish_type(DqdlEvaluator *evaluator, struct check *check) {
	return check_settle_rows(evaluator, check, "ColumnDataType.Compliance");
}

const struct check_kind kind_column_data_type = {
        .row_level = true, .start = start_type, .row = feed_type, .finish = finish_type};

/* ---- ColumnNamesMatchPattern ---- */

/* Found anywhere in the name, as the open evaluator has it. */
static int start_names(DqdlEvaluator *evaluator, struct check *check) {
	_cleanup_(pattern_freep) Pattern *pattern = NULL;
	_cleanup_(freep) char *text = pattern_translate("", check->rule->parameters[0].value, "");
	int rc = text ? pattern_new(text, 0, &pattern) : evaluator_out_of_memory();
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0)
		return check_settle(check, DQDL_ERROR, "%s", fault_message());
	size_t bad = 0, first = 0;
	for (size_t i = 0; i < evaluator->column_count; i++) {
		enum pattern_answer answer = pattern_find(pattern, evaluator->names[i]);
		if (answer == PATTERN_OVER_LIMIT)
			return check_settle(check, DQDL_ERROR, "the regular expression takes more than %u steps",
			        PATTERN_MATCH_LIMIT);
		first = answer == PATTERN_NONE && bad == 0 ? i : first;
		bad += answer == PATTERN_NONE;
	}
	if (bad == 0)
		return check_pass(check);
	return check_settle(check, DQDL_FAILED, "%zu of %zu columns' names do not match; the first is \"%.*s\"", bad,
	        evaluator->column_count, (int)evaluator->names[first].size, evaluator->names[first].data);
}

const struct check_kind kind_column_names = {.columns = KIND_COLUMNS_NONE, .start = start_names};
