#include "policy/dqdl/lint.h"

#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "policy/dqdl/evaluator.h"
#include "policy/dqdl/sql_rules.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- a table that has all, and a past that is long enough ---- */

struct pretended {
	struct table_cell *names;
	size_t count, room;
	struct dqdl_wanted *wanted;
	struct dqdl_series *series;
	size_t series_count;
	double *values;
};

static void pretended_release(struct pretended *p) {
	free(p->names);
	dqdl_wanted_free(p->wanted, p->series_count);
	free(p->series);
	free(p->values);
}

static int add_name(struct pretended *p, const char *text) {
	size_t size = strlen(text);
	for (size_t i = 0; i < p->count; i++)
		if (cell_equals(p->names[i], text, size))
			return 0;
	struct table_cell *names = array_room(p->names, &p->room, p->count + 1, sizeof *names);
	if (!names)
		return evaluator_out_of_memory();
	p->names = names;
	p->names[p->count++] = (struct table_cell){.data = text, .size = size};
	return 0;
}

/* Also what are no columns' names: one column more does no harm. */
static int add_names(struct pretended *p, const struct dqdl_rule *rule) {
	int rc = 0;
	if (rule->id == DQDL_COMPOSITE) {
		rc = add_names(p, rule->left);
		return rc < 0 ? rc : add_names(p, rule->right);
	}
	for (size_t i = 0; i < rule->parameter_count && rc == 0; i++)
		rc = add_name(p, rule->parameters[i].value);
	return rc;
}

static int pretend_past(struct pretended *p, const Ruleset *ruleset) {
	size_t deepest = 1;
	int rc = dqdl_wanted_history(ruleset, &p->wanted, &p->series_count);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < p->series_count; i++)
		deepest = p->wanted[i].depth > deepest ? p->wanted[i].depth : deepest;
	p->series = calloc(p->series_count + 1, sizeof *p->series);
	p->values = calloc(deepest, sizeof *p->values);
	if (!p->series || !p->values)
		return evaluator_out_of_memory();
	for (size_t i = 0; i < deepest; i++)
		p->values[i] = (double)i + 1;
	for (size_t i = 0; i < p->series_count; i++)
		p->series[i] = (struct dqdl_series){
		        .name = p->wanted[i].name, .values = p->values, .count = p->wanted[i].depth};
	return 0;
}

static int pretend(struct pretended *p, const Ruleset *ruleset) {
	int rc = pretend_past(p, ruleset);
	for (size_t i = 0; i < ruleset_rules(ruleset) && rc == 0; i++)
		rc = add_names(p, ruleset_rule(ruleset, i));
	for (size_t i = 0; i < ruleset_analyzers(ruleset) && rc == 0; i++)
		rc = add_names(p, ruleset_analyzer(ruleset, i));
	return rc == 0 && p->count == 0 ? add_name(p, "a") : rc;
}

/* ---- what is wrong all the same ---- */

/* SQL may name columns and tables that are not pretended. */
static bool is_bad_sql(const char *reason) {
	static const char *const words[] = {"syntax error", "unrecognized token", "incomplete input",
	        "no such function", "wrong number of arguments"};
	for (size_t i = 0; reason && i < sizeof words / sizeof *words; i++)
		if (strstr(reason, words[i]))
			return true;
	return false;
}

static bool is_hopeless(const struct check *check) {
	if (!check->settled)
		return false;
	return check->result == DQDL_ERROR || (check->result == DQDL_FAILED && is_bad_sql(check->reason));
}

static int say(struct dqdl_diagnostic *ret_at, const struct dqdl_rule *rule, const char *what, const char *why) {
	*ret_at = (struct dqdl_diagnostic){.line = rule ? rule->line : 0, .column = rule ? rule->column : 0};
	(void)snprintf(ret_at->message, sizeof ret_at->message, "%.120s: %.170s", what, why);
	return fault(EINVAL, "%s", ret_at->message);
}

/* 1/0 is less than nothing and more than anything: nobody means that. */
static bool has_infinite(const struct dqdl_condition *condition) {
	for (size_t i = 0; condition->kind == DQDL_CONDITION_NUMBER && i < condition->operand_count; i++) {
		double value;
		if (condition->operands[i].form == DQDL_OPERAND_NUMBER &&
		        dqdl_number_value(condition->operands[i].number, &value) == 0 && !isfinite(value))
			return true;
	}
	return false;
}

static int look(const DqdlEvaluator *evaluator, struct dqdl_diagnostic *ret_at) {
	const char *keep_fault = evaluator->keep.fault;
	if (is_bad_sql(keep_fault))
		return say(ret_at, NULL, "keep", keep_fault);
	for (size_t i = 0; i < evaluator->check_count; i++) {
		const struct check *check = &evaluator->checks[i];
		const struct dqdl_rule *rule = check->source;
		if (has_infinite(&rule->condition) || has_infinite(&rule->threshold))
			return say(ret_at, rule, rule->text ? rule->text : rule->type, "a number in it is not finite");
		if (is_hopeless(check))
			return say(
			        ret_at, rule, rule->text ? rule->text : rule->type, check->reason ? check->reason : "");
	}
	return 0;
}

int dqdl_lint(const Ruleset *ruleset, const char *keep, struct dqdl_diagnostic *ret_at) {
	_cleanup_(pretended_release) struct pretended pretended = {0};
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = NULL;
	int rc = pretend(&pretended, ruleset);
	struct dqdl_options options = {.knows_history = true,
	        .series = pretended.series,
	        .series_count = pretended.series_count,
	        .keep = keep};
	if (rc == 0)
		rc = dqdl_evaluator_new(ruleset, &options, &evaluator);
	if (rc == 0)
		rc = dqdl_evaluator_header(evaluator, pretended.names, pretended.count);
	if (rc == 0)
		rc = custom_sql_begin(evaluator); /* statements are prepared with the first row */
	return rc < 0 ? rc : look(evaluator, ret_at);
}
