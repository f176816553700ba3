#include "policy/check_second.h"

#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "policy/check_changes.h"
#include "policy/check_keep.h"
#include "policy/privacy/treat.h"
#include "policy/table/batch.h"
#include "policy/table/spans.h"
#include "policy/table/tail.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct second {
	const struct check_job *job;
	struct check_result *result;
	DqdlEvaluator *evaluator;
	CheckPrivacy *privacy; /* NULL: none */
	TableReader *reader;
	bool splits; /* else it changes */
	size_t *reasons;
	struct check_changes changes;
	struct tail tail;
	struct spans spans;
	struct table_place at;    /* the row that is worked on */
	struct batch batch;       /* rows that are looked at together */
	struct table_place *rows; /* where they stand */
	size_t row_room;
	struct check_place *found; /* in all of them, by rows */
	size_t found_count, found_room;
};

/* Why it is not split, behind why it failed. */
static int refuse_whole(struct check_result *result, const char *why) {
	_cleanup_(freep) char *reason = strdup(result->reason ? result->reason : "");
	if (!reason)
		return fault(ENOMEM, "no memory for a check");
	return check_result_say(result, OUTCOME_FAILED, "%s; refused whole: %s", reason, why);
}

static int not_as_it_is(struct check_result *result, const char *why) {
	return check_result_say(
	        result, OUTCOME_ERROR, "it holds personal data that is to be changed, and can't be: %s", why);
}

static int say_why_not(const struct second *s, const char *why) {
	return s->splits ? refuse_whole(s->result, why) : not_as_it_is(s->result, why);
}

/* ---- rows ---- */

/* The first rule that failed and says nothing of single rows; NULL: there is none. */
static const char *find_aggregate(const struct second *s) {
	size_t count = dqdl_evaluator_outcomes(s->evaluator);
	for (size_t i = 0; i < count; i++) {
		const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(s->evaluator, i);
		if (outcome->result != DQDL_PASSED && !outcome->row_level)
			return outcome->rule->text;
	}
	return NULL;
}

static int compare_reasons(const void *one, const void *other) {
	size_t a = *(const size_t *)one, b = *(const size_t *)other;
	return a < b ? -1 : a > b;
}

static size_t add_reason(struct second *s, size_t count, size_t reason) {
	for (size_t i = 0; i < count; i++)
		if (s->reasons[i] == reason)
			return count;
	s->reasons[count] = reason;
	return count + 1;
}

/* What the row breaks, each once. */
static size_t find_reasons(struct second *s) {
	size_t count = 0, rules = dqdl_evaluator_outcomes(s->evaluator);
	for (size_t i = 0; i < rules; i++)
		if (dqdl_evaluator_row_result(s->evaluator, i) == DQDL_ROW_FAILED)
			s->reasons[count++] = i;
	for (size_t i = 0; i < s->changes.count; i++)
		if (s->changes.places[i].action == PRIVACY_REFUSE)
			count = add_reason(s, count, s->result->rule_count + s->changes.places[i].finding);
	qsort(s->reasons, count, sizeof *s->reasons, compare_reasons);
	return count;
}

/* ---- places ---- */

static int edit(struct second *s, size_t from, size_t to, size_t finding, unsigned flags) {
	return changes_edit(&s->changes, s->at.offset + from, to - from, finding, flags);
}

/* A column goes with the delimiter before it, or, where all before it go, with the one behind. */
static int drop_cell(struct second *s, size_t i, bool has_kept, size_t finding) {
	const struct span *list = s->spans.list, *span = &list[i];
	size_t from = has_kept ? list[i - 1].whole_to : span->whole_from;
	size_t to = has_kept || i + 1 == s->spans.count ? span->whole_to : list[i + 1].whole_from;
	return edit(s, from, to, finding, EDIT_WHOLE);
}

static int edit_cell(struct second *s, const struct span *span, struct table_cell cell, size_t finding) {
	if (!cell.data || cell.size == 0)
		return 0;
	bool is_bare = span->kind == SPAN_VALUE || span->kind == SPAN_NESTED || span->kind == SPAN_PLAIN;
	return edit(s, span->from, span->to, finding, is_bare ? EDIT_BARE : 0);
}

/* The places of a column; they are in the order of columns. */
static const struct check_place *places_of(const struct second *s, size_t column, size_t *ret_count) {
	const struct check_place *places = s->changes.places;
	size_t low = 0, high = s->changes.count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (places[middle].column < column)
			low = middle + 1;
		else
			high = middle;
	}
	size_t end = low;
	while (end < s->changes.count && places[end].column == column)
		end++;
	*ret_count = end - low;
	return end > low ? places + low : NULL; /* there may be none at all */
}

/* Of a nested value only what stands within its strings can be changed by itself. */
static bool are_in_strings(struct table_cell cell, const struct check_place *places, size_t count) {
	bool inside = false;
	size_t at = 0;
	for (size_t i = 0; i < count; i++) {
		for (; at < places[i].from; at++) {
			if (cell.data[at] == '\\' && inside)
				at++;
			else if (cell.data[at] == '"')
				inside = !inside;
		}
		if (!inside || memchr(cell.data + places[i].from, '"', places[i].to - places[i].from))
			return false;
	}
	return true;
}

static int edit_places(struct second *s, const struct span *span, struct bytes raw, struct table_cell cell) {
	struct span_walk walk = {0};
	size_t count;
	const struct check_place *places = places_of(s, span->column, &count);
	bool is_whole = span->kind == SPAN_VALUE || (span->kind == SPAN_NESTED && !are_in_strings(cell, places, count));
	int rc = 0;
	if (count == 0)
		return 0;
	if (is_whole)
		return edit_cell(s, span, cell, places[0].finding);
	for (size_t i = 0; i < count && rc == 0; i++) {
		size_t from, to;
		rc = spans_place(
		        span, table_csv_dialect(s->reader), raw, cell, places[i].from, places[i].to, &walk, &from, &to);
		if (rc == 0)
			rc = edit(s, from, to, places[i].finding, span->kind == SPAN_PLAIN ? EDIT_BARE : 0);
	}
	return rc;
}

static int find_spans(struct second *s, struct bytes *ret_raw) {
	const struct csv_dialect *dialect = table_csv_dialect(s->reader);
	size_t columns = table_columns(s->reader);
	int rc = tail_take(&s->tail, s->at.offset, s->at.size, ret_raw);
	if (rc < 0)
		return rc;
	return dialect ? spans_of_csv(&s->spans, dialect, *ret_raw, columns)
	               : spans_of_json(&s->spans, *ret_raw, table_header(s->reader), columns);
}

/* `cells` NULL: the header, of which columns go and nothing else. */
static int edit_row(struct second *s, const struct table_cell *cells) {
	struct bytes raw;
	bool has_kept = false;
	int rc = find_spans(s, &raw);
	for (size_t i = 0; i < s->spans.count && rc == 0; i++) {
		const struct span *span = &s->spans.list[i];
		enum privacy_action action = PRIVACY_REPORT;
		size_t finding = 0;
		bool is_treated = span->column != SPAN_NO_COLUMN &&
		                  check_privacy_column(s->privacy, span->column, &action, &finding);
		bool goes = is_treated && action == PRIVACY_DROP_COLUMN;
		if (goes)
			rc = drop_cell(s, i, has_kept, finding);
		else if (is_treated && cells)
			rc = edit_cell(s, span, cells[span->column], finding);
		else if (cells && span->column != SPAN_NO_COLUMN)
			rc = edit_places(s, span, raw, cells[span->column]);
		has_kept = has_kept || !goes;
	}
	return rc;
}

/* ---- rows, many at once ---- */

static int take_place(void *context, const struct check_place *place) {
	struct second *s = context;
	struct check_place *found = array_room(s->found, &s->found_room, s->found_count + 1, sizeof *found);
	if (!found)
		return fault(ENOMEM, "no memory to change a file");
	s->found = found;
	s->found[s->found_count++] = *place;
	return 0;
}

/* Its bytes need not be kept any longer. */
static int leave_out(struct second *s, uint64_t line, size_t reasons) {
	struct bytes ignored;
	int rc = s->splits ? 0 : tail_take(&s->tail, s->at.offset + s->at.size, 0, &ignored);
	return rc < 0 ? rc : changes_leave_out(&s->changes, s->at.offset, s->at.size, line, s->reasons, reasons);
}

/* Its places are in s->changes; of a split what the evaluator said of it is still to be had. */
static int decide_row(struct second *s, const struct table_cell *cells, uint64_t line) {
	size_t reasons = s->splits ? find_reasons(s) : 0;
	if (reasons > 0 || changes_drop_row(&s->changes)) {
		s->changes.dropped += reasons == 0;
		return leave_out(s, line, reasons);
	}
	changes_merge(&s->changes);
	int rc = s->splits ? 0 : edit_row(s, cells);
	return rc == -E2BIG ? fault_while(rc, "line %" PRIu64, line) : rc;
}

static int work_off(struct second *s) {
	const struct table_rows *rows = &s->batch.rows;
	size_t next = 0;
	s->found_count = 0;
	int rc = s->privacy && rows->count > 0 ? check_privacy_places(s->privacy, rows, take_place, s) : 0;
	for (size_t i = 0; i < rows->count && rc == 0; i++) {
		s->changes.count = 0;
		for (; next < s->found_count && s->found[next].line == rows->lines[i] && rc == 0; next++)
			rc = changes_add_place(&s->changes, &s->found[next]);
		s->at = s->rows[i];
		if (rc == 0)
			rc = decide_row(s, rows_at(rows, i), rows->lines[i]);
	}
	batch_clear(&s->batch);
	return rc == 0 && next < s->found_count ? fault(EBADMSG, "personal data that stands in no row") : rc;
}

static int note_row(struct second *s) {
	size_t count = s->batch.rows.count;
	struct table_place *rows = array_room(s->rows, &s->row_room, count + 1, sizeof *rows);
	if (!rows)
		return fault(ENOMEM, "no memory to change a file");
	s->rows = rows;
	s->rows[count] = table_place(s->reader);
	return 0;
}

/* ---- the reading ---- */

/* What rules say of a row is known until the next is judged: so those of a split are worked off one by one. */
static int judge_row(struct second *s, const struct table_cell *cells) {
	bool is_judged = s->splits || s->job->keep;
	uint64_t line = table_line(s->reader);
	const struct table_rows one = {.count = 1, .columns = table_columns(s->reader), .cells = cells, .lines = &line};
	int rc = is_judged ? dqdl_evaluator_judge(s->evaluator, cells) : 0;
	bool is_kept = !is_judged || dqdl_evaluator_kept(s->evaluator);
	if (rc == 0 && (!is_kept || !batch_fits(&s->batch, &one)))
		rc = work_off(s);
	if (rc == 0 && !is_kept) {
		s->at = table_place(s->reader);
		return leave_out(s, line, 0);
	}
	if (rc == 0)
		rc = note_row(s);
	if (rc == 0)
		rc = batch_add(&s->batch, &one);
	return rc < 0 || !s->splits ? rc : work_off(s);
}

/* Is there a column that stays? And can what is written be told from what stands between cells? */
static int check_shape(struct second *s) {
	const struct csv_dialect *dialect = table_csv_dialect(s->reader);
	size_t columns = table_columns(s->reader), gone = 0, finding;
	enum privacy_action action;
	for (size_t i = 0; i < columns; i++)
		gone += check_privacy_column(s->privacy, i, &action, &finding) && action == PRIVACY_DROP_COLUMN;
	if (gone == columns)
		return fault(ENOTSUP, "no column would be left");
	if (dialect && dialect->delimiter && treat_writes(dialect->delimiter))
		return fault(ENOTSUP, "its delimiter is '%c', which may be written in the place of what is changed",
		        dialect->delimiter);
	return 0;
}

static int begin_edits(struct second *s) {
	const struct csv_dialect *dialect = table_csv_dialect(s->reader);
	struct edit_dialect edits = {.form = dialect ? EDIT_CSV : EDIT_JSON};
	if (dialect) {
		edits.quote = dialect->quote;
		edits.escape = dialect->escape;
	}
	int rc = check_shape(s);
	if (rc == 0)
		rc = edit_list_new(&edits, &s->changes.edits);
	s->at = table_place(s->reader);
	return rc < 0 || !dialect || !dialect->header ? rc : edit_row(s, NULL);
}

static int read_rows(struct second *s) {
	const struct table_cell *cells;
	int rc = check_list_begin(s->reader, &s->changes.without);
	if (rc >= 0 && !s->splits)
		rc = begin_edits(s);
	while (rc >= 0 && (rc = table_next(s->reader, &cells)) > 0)
		rc = judge_row(s, cells);
	return rc < 0 ? rc : work_off(s);
}

static int take_split(struct second *s) {
	uint64_t count = row_list_broken(s->changes.without);
	uint64_t out = count + s->changes.dropped;
	if (count == 0 || out == s->result->rows)
		return refuse_whole(s->result, count == 0 ? "no row breaks a rule by itself" : "no row passed");
	changes_take(&s->changes, s->result);
	return 0;
}

static int take_changes(struct second *s) {
	if (s->changes.dropped > 0 && s->changes.dropped == s->result->rows)
		return check_result_say(
		        s->result, OUTCOME_FAILED, "there is personal data in each of its rows, so that none is left");
	changes_take(&s->changes, s->result);
	bool is_as_it_was = !s->result->edits && s->changes.dropped == 0;
	return is_as_it_was ? check_privacy_settle_groups(s->privacy) : 0;
}

static int read_for_tail(void *context, void *buffer, size_t size) {
	const struct check_input *input = context;
	return (int)input->read(input->context, buffer, size < INT_MAX ? size : INT_MAX);
}

static int read_again(struct second *s, struct check_input *input, const struct table_options *options) {
	s->tail.from = (struct table_source){.read = read_for_tail, .ctx = input};
	s->reasons = calloc(check_result_reasons(s->result) + 1, sizeof *s->reasons);
	if (!s->reasons)
		return fault(ENOMEM, "no memory for a check");
	int rc = input->again(input->context);
	if (rc >= 0)
		rc = s->splits ? table_open(read_for_tail, input, options, &s->reader)
		               : table_open(tail_read, &s->tail, options, &s->reader);
	if (rc >= 0)
		rc = read_rows(s);
	/* of what is packed or written otherwise places are none of the file's, and rows none of its bytes */
	bool is_foreign = s->reader && !table_is_plain(s->reader);
	if (rc == -ENOMEM || (rc < 0 && rc != -E2BIG && rc != -ENOTSUP && rc != -EBADMSG))
		return rc;
	if (rc < 0 || is_foreign)
		return say_why_not(s, is_foreign ? check_not_plain : fault_message());
	return s->splits ? take_split(s) : take_changes(s);
}

static void release(struct second *s) {
	table_close(s->reader);
	changes_release(&s->changes);
	tail_release(&s->tail);
	spans_release(&s->spans);
	batch_release(&s->batch);
	free(s->rows);
	free(s->found);
	free(s->reasons);
}

int check_second(const struct check_job *job, struct check_input *input, const struct table_options *options,
        DqdlEvaluator *evaluator, CheckPrivacy *privacy, struct check_result *result) {
	_cleanup_(release) struct second s = {.job = job, .result = result, .evaluator = evaluator, .privacy = privacy};
	bool changes = result->outcome == OUTCOME_PASSED && privacy && check_privacy_changes(privacy);
	s.splits = result->outcome == OUTCOME_FAILED && job->may_split;
	if ((!s.splits && !changes) || (s.splits && !input->again) || job->only_tells)
		return 0;
	const char *aggregate = s.splits ? find_aggregate(&s) : NULL;
	if (aggregate) {
		char words[400];
		(void)snprintf(words, sizeof words, "%.300s is about the file, not about its rows", aggregate);
		return refuse_whole(result, words);
	}
	if (!input->again)
		return check_result_say(result, OUTCOME_FAILED, "%s", check_only_by_landing);
	return read_again(&s, input, options);
}
