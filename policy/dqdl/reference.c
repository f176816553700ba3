/* reference: other tables are fed; and what the rules about them have in common. */
#include "policy/dqdl/reference.h"

#include "crypto/base/fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- feeding ---- */

static bool wants(const struct check *check, const char *alias) {
	return !check->settled && check->kind->refers && check->kind->refers(check, alias);
}

bool dqdl_evaluator_wants(const DqdlEvaluator *evaluator, const char *alias) {
	for (size_t i = 0; i < evaluator->check_count; i++)
		if (wants(&evaluator->checks[i], alias))
			return true;
	return false;
}

int dqdl_evaluator_reference(
        DqdlEvaluator *evaluator, const char *alias, const struct table_cell *names, size_t count) {
	struct reference *table = calloc(1, sizeof *table);
	evaluator->reference = table;
	if (!table || !(table->alias = strdup(alias)))
		return evaluator_out_of_memory();
	table->names = names;
	table->column_count = count;
	for (size_t i = 0; i < evaluator->check_count; i++) {
		struct check *check = &evaluator->checks[i];
		check->is_reading = wants(check, alias);
		int rc = check->is_reading ? check->kind->reference(evaluator, check, table) : 0;
		if (rc < 0)
			return rc;
	}
	return 0;
}

int dqdl_evaluator_reference_row(DqdlEvaluator *evaluator, const struct table_cell *cells, uint64_t line) {
	evaluator->reference->rows++;
	for (size_t i = 0; i < evaluator->check_count; i++) {
		struct check *check = &evaluator->checks[i];
		if (!check->is_reading || check->settled || !check->kind->reference_row)
			continue;
		int rc = check->kind->reference_row(evaluator, check, cells, line);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void reference_free(struct reference *table) {
	if (table)
		free(table->alias);
	free(table);
}

int dqdl_evaluator_reference_end(DqdlEvaluator *evaluator) {
	int rc = 0;
	for (size_t i = 0; i < evaluator->check_count && rc == 0; i++) {
		struct check *check = &evaluator->checks[i];
		if (check->is_reading && !check->settled && check->kind->reference_end)
			rc = check->kind->reference_end(evaluator, check, evaluator->reference);
		check->is_reading = false;
	}
	reference_free(evaluator->reference);
	evaluator->reference = NULL;
	return rc;
}

/* ---- what is said ---- */

int reference_missing(struct check *check, const char *alias) {
	bool of_columns = check->rule->id != DQDL_ROW_COUNT_MATCH && check->rule->id != DQDL_SCHEMA_MATCH;
	return check_settle(check, DQDL_FAILED,
	        "\"%s\" not found in additional %ssources; give it with --ref ALIAS=FILE, or under references in "
	        "policy.yaml",
	        alias, of_columns ? "" : "data ");
}

int reference_settle(struct check *check, const char *subject, double value) {
	bool holds = false;
	char number[32];
	_cleanup_(freep) char *name = NULL;
	_cleanup_(freep) char *reason = NULL;
	if (asprintf(&name, "%s.%s", subject, check->rule->type) < 0) {
		name = NULL;
		return evaluator_out_of_memory();
	}
	int rc = check_add_named_metric(check, name, value);
	if (rc < 0)
		return rc;
	if (check->measures_only)
		return check_pass(check);
	if (dqdl_condition_holds(&check->rule->condition, value, &holds) < 0)
		return check_settle(check, DQDL_ERROR, "%s", fault_message());
	if (holds)
		return check_pass(check);
	_cleanup_(freep) char *wanted = dqdl_condition_text(&check->rule->condition);
	number_text(value, number);
	if (!wanted || asprintf(&reason, "%s is %s, which does not meet the constraint requirement: %s",
	                       check->rule->type, number, wanted) < 0) {
		reason = NULL;
		return evaluator_out_of_memory();
	}
	return check_fail_with_lines(check, reason);
}

/* ---- lists of columns ---- */

int column_pairs_add(struct column_pairs *pairs, struct table_cell ours, struct table_cell theirs) {
	char **our_names = reallocarray(pairs->ours, pairs->count + 1, sizeof *our_names);
	if (!our_names)
		return evaluator_out_of_memory();
	pairs->ours = our_names;
	char **their_names = reallocarray(pairs->theirs, pairs->count + 1, sizeof *their_names);
	if (!their_names)
		return evaluator_out_of_memory();
	pairs->theirs = their_names;
	our_names[pairs->count] = strndup(ours.data, ours.size);
	their_names[pairs->count] = strndup(theirs.data, theirs.size);
	pairs->count++;
	return our_names[pairs->count - 1] && their_names[pairs->count - 1] ? 0 : evaluator_out_of_memory();
}

static struct table_cell trimmed(const char *from, const char *end) {
	while (from < end && *from == ' ')
		from++;
	while (from < end && end[-1] == ' ')
		end--;
	return (struct table_cell){.data = from, .size = (size_t)(end - from)};
}

int column_pairs_read(struct table_cell text, struct column_pairs *ret_pairs) {
	struct column_pairs pairs = {0};
	const char *end = text.data + text.size;
	int rc = 0;
	for (const char *from = text.data, *to = from; rc == 0 && to < end; from = to + 1) {
		to = memchr(from, ',', (size_t)(end - from));
		to = to ? to : end;
		const char *arrow = memmem(from, (size_t)(to - from), "->", 2);
		rc = column_pairs_add(&pairs, trimmed(from, arrow ? arrow : to), trimmed(arrow ? arrow + 2 : from, to));
	}
	if (rc < 0)
		column_pairs_drop(&pairs);
	else
		*ret_pairs = pairs;
	return rc;
}

void column_pairs_drop(struct column_pairs *pairs) {
	for (size_t i = 0; i < pairs->count; i++) {
		free(pairs->ours[i]);
		free(pairs->theirs[i]);
	}
	free(pairs->ours);
	free(pairs->theirs);
	*pairs = (struct column_pairs){0};
}

int columns_find(const struct table_cell *names, size_t name_count, char *const *wanted, size_t count,
        size_t *ret_indexes, char **ret_absent) {
	char *absent = NULL;
	size_t size;
	FILE *out = open_memstream(&absent, &size);
	if (!out)
		return evaluator_out_of_memory();
	bool is_all = true;
	for (size_t i = 0; i < count; i++) {
		if (column_find(names, name_count, wanted[i], &ret_indexes[i]) == 1)
			continue;
		(void)fprintf(out, "%s\"%s\"", is_all ? "" : ", ", wanted[i]);
		is_all = false;
	}
	int rc = fclose(out) != 0 ? evaluator_out_of_memory() : 0;
	if (rc == 0 && !is_all)
		*ret_absent = steal_pointer(&absent);
	free(absent);
	return rc;
}
