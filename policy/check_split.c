#include "policy/check_rules.h"

#include "crypto/base/fault.h"
#include "policy/check_keep.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

/* Why it is not split, behind why it failed. */
static int refuse_whole(struct check_result *result, const char *why) {
	_cleanup_(freep) char *reason = strdup(result->reason ? result->reason : "");
	if (!reason)
		return fault(ENOMEM, "no memory for a check");
	return check_result_say(result, OUTCOME_FAILED, "%s; refused whole: %s", reason, why);
}

/* The first rule that failed and says nothing of single rows; NULL: there is none. */
static const struct dqdl_outcome *find_aggregate(const DqdlEvaluator *evaluator) {
	for (size_t i = 0; i < dqdl_evaluator_outcomes(evaluator); i++) {
		const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(evaluator, i);
		if (outcome->result != DQDL_PASSED && !outcome->row_level)
			return outcome;
	}
	return NULL;
}

static size_t broken_rules(const DqdlEvaluator *evaluator, size_t *ret_rules) {
	size_t count = 0;
	for (size_t i = 0; i < dqdl_evaluator_outcomes(evaluator); i++)
		if (dqdl_evaluator_row_result(evaluator, i) == DQDL_ROW_FAILED)
			ret_rules[count++] = i;
	return count;
}

static int judge_row(
        TableReader *reader, DqdlEvaluator *evaluator, const struct table_cell *cells, size_t *rules, RowList *list) {
	struct table_place place = table_place(reader);
	int rc = dqdl_evaluator_judge(evaluator, cells);
	if (rc < 0)
		return rc;
	size_t count = broken_rules(evaluator, rules);
	return count == 0 && dqdl_evaluator_kept(evaluator)
	               ? 0
	               : row_list_add(list, place.offset, place.size, table_line(reader), rules, count);
}

static int list_rows(TableReader *reader, DqdlEvaluator *evaluator, RowList **ret_list) {
	_cleanup_(row_list_freep) RowList *list = NULL;
	_cleanup_(freep) size_t *rules = calloc(dqdl_evaluator_outcomes(evaluator) + 1, sizeof *rules);
	const struct table_cell *cells;
	if (!rules)
		return fault(ENOMEM, "no memory for a check");
	int rc = check_list_begin(reader, &list);
	while (rc >= 0 && (rc = table_next(reader, &cells)) > 0)
		rc = judge_row(reader, evaluator, cells, rules, list);
	if (rc < 0)
		return rc;
	*ret_list = steal_pointer(&list);
	return 0;
}

static int take_list(RowList *list, struct check_result *result) {
	uint64_t count = row_list_broken(list);
	if (count == 0 || count == result->rows) {
		row_list_free(list);
		return refuse_whole(result, count == 0 ? "no row breaks a rule by itself" : "no row passed");
	}
	result->withheld = list;
	return 0;
}

static int read_for_table(void *context, void *buffer, size_t size) {
	const struct check_input *input = context;
	return (int)input->read(input->context, buffer, size < INT_MAX ? size : INT_MAX);
}

int check_split(struct check_input *input, const struct table_options *options, DqdlEvaluator *evaluator,
        struct check_result *result) {
	_cleanup_(table_closep) TableReader *reader = NULL;
	RowList *list = NULL;
	if (!input->again || result->outcome != OUTCOME_FAILED)
		return 0;
	const struct dqdl_outcome *aggregate = find_aggregate(evaluator);
	if (aggregate) {
		char words[400];
		(void)snprintf(
		        words, sizeof words, "%.300s is about the file, not about its rows", aggregate->rule->text);
		return refuse_whole(result, words);
	}
	int rc = input->again(input->context);
	if (rc >= 0)
		rc = table_open(read_for_table, input, options, &reader);
	if (rc >= 0)
		rc = list_rows(reader, evaluator, &list);
	if (rc == -E2BIG)
		return refuse_whole(result, fault_message());
	if (rc < 0)
		return rc;
	if (table_is_plain(reader))
		return take_list(list, result);
	row_list_free(list); /* whose places are not the file's */
	return refuse_whole(
	        result, "it is compressed, or in another encoding than UTF-8, so no row can be left out of it");
}
