/*
 * check_text: a file that is no table, line by line: what personal data is in it, and what is to be published
 * otherwise. There are no columns to be decided, so one reading tells both.
 */
#include "policy/check_text.h"

#include "crypto/base/fault.h"
#include "policy/check_changes.h"
#include "policy/privacy/scan_file.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct texting {
	const struct check_job *job;
	const struct check_input *input;
	struct check_result *result;
	CheckPrivacy *privacy;
	struct scan_about about;
	struct check_changes changes;
	bool is_too_much; /* to be published so, and why */
	char words[FAULT_MESSAGE_BYTES];
	uint64_t line; /* whose places wait */
	uint64_t line_from, line_to;
};

static int read_for_scan(void *context, void *buffer, size_t size) {
	const struct check_input *input = context;
	return (int)input->read(input->context, buffer, size < INT_MAX ? size : INT_MAX);
}

/* Past the limits of a list nothing can be published, but all is counted still. */
static int note_too_much(struct texting *t, int rc) {
	if (rc != -E2BIG || t->is_too_much)
		return rc == -E2BIG ? 0 : rc;
	t->is_too_much = true;
	(void)snprintf(t->words, sizeof t->words, "%s", fault_message());
	return 0;
}

/* What waits of a line. */
static int end_line(struct texting *t) {
	struct check_changes *changes = &t->changes;
	int rc = 0;
	if (changes->count == 0 || t->is_too_much) {
		changes->count = 0;
		return 0;
	}
	if (changes_drop_row(changes)) {
		changes->dropped++;
		rc = changes_leave_out(changes, t->line_from, t->line_to - t->line_from, t->line, NULL, 0);
	} else {
		changes_merge(changes);
		for (size_t i = 0; i < changes->count && rc == 0; i++) {
			const struct check_place *place = &changes->places[i];
			rc = changes_edit(changes, place->from, place->to - place->from, place->finding, 0);
		}
	}
	changes->count = 0;
	return note_too_much(t, rc);
}

/* With its newline, if that is at hand. */
static void begin_line(struct texting *t, const struct check_place *place, uint64_t line, uint64_t offset) {
	const char *end = place->cell.data + place->cell.size;
	bool has_newline = end < t->about.text + t->about.text_size && *end == '\n';
	t->line = line;
	t->line_from = offset;
	t->line_to = offset + place->cell.size + has_newline;
}

static int take_finding(void *context, const struct scan_finding *found) {
	struct texting *t = context;
	struct check_place place;
	bool acts;
	int rc = check_privacy_count(t->privacy, found, &acts, &place);
	if (rc < 0 || !acts || !privacy_changes(place.action) || t->job->is_output)
		return rc;
	if (place.action == PRIVACY_DROP_COLUMN && !t->is_too_much) {
		t->is_too_much = true;
		(void)snprintf(t->words, sizeof t->words, "a text has no columns that could be left out");
	}
	uint64_t offset = t->about.text_offset + (uint64_t)(place.cell.data - t->about.text);
	if (t->changes.count > 0 && t->line_from != offset)
		rc = end_line(t);
	if (rc == 0 && t->changes.count == 0)
		begin_line(t, &place, found->line, offset);
	place.from += (size_t)offset;
	place.to += (size_t)offset;
	return rc < 0 ? rc : changes_add_place(&t->changes, &place);
}

static int begin(struct texting *t) {
	const struct edit_dialect dialect = {.form = EDIT_TEXT};
	int rc = check_privacy_new(t->job, t->result, &t->privacy);
	if (rc == 0)
		rc = check_privacy_header(t->privacy, NULL, 1);
	if (rc == 0)
		rc = edit_list_new(&dialect, &t->changes.edits);
	return rc < 0 ? rc : row_list_new(0, NULL, &t->changes.without);
}

static int conclude(struct texting *t) {
	int rc = end_line(t);
	t->result->outcome = OUTCOME_PASSED;
	t->result->dialect = strdup(t->about.is_plain ? "text" : "text, packed or in another encoding than UTF-8");
	if (!t->result->dialect)
		return fault(ENOMEM, "no memory for a check");
	if (rc == 0)
		rc = check_privacy_end(t->privacy);
	bool changes = t->result->outcome == OUTCOME_PASSED && check_privacy_changes(t->privacy);
	if (rc < 0 || !changes || t->job->only_tells)
		return rc;
	if (!t->input->again)
		return check_result_say(t->result, OUTCOME_FAILED, "%s", check_only_by_landing);
	if (t->is_too_much || !t->about.is_plain)
		return check_result_say(t->result, OUTCOME_ERROR,
		        "it holds personal data that is to be changed, and can't be: %s",
		        t->is_too_much ? t->words : check_not_plain);
	changes_take(&t->changes, t->result);
	return 0;
}

/* What was found stays told. */
static int say_unseen(struct texting *t) {
	char words[64];
	if (t->about.aside[0])
		return check_privacy_say_unseen(t->result, t->about.aside, CHECK_PACK_AGAIN);
	if (t->about.cut_line == 0)
		return 0;
	(void)snprintf(
	        words, sizeof words, "line %" PRIu64 " is longer than %u MiB", t->about.cut_line, SCAN_LINE_MAX >> 20);
	return check_privacy_say_unseen(t->result, words, "break it");
}

static void release(struct texting *t) {
	check_privacy_free(t->privacy);
	changes_release(&t->changes);
}

int check_text(const struct check_job *job, struct check_input *input, struct check_result *result) {
	_cleanup_(release) struct texting t = {.job = job, .input = input, .result = result};
	const struct scan_file file = {.form = SCAN_TEXT, .name = job->file_name};
	int rc = begin(&t);
	if (rc < 0)
		return rc;
	rc = scan_file(check_privacy_scanner(t.privacy), &file,
	        (struct table_source){.read = read_for_scan, .ctx = input}, take_finding, &t, &t.about);
	if (rc == -EILSEQ)
		return check_result_say(
		        result, OUTCOME_ERROR, "the file is neither a table nor text: %s", fault_message());
	if (rc == -EBADMSG || rc == -EMSGSIZE)
		return check_result_say(result, OUTCOME_ERROR, "the file can't be read: %s", fault_message());
	if (rc < 0)
		return rc;
	if (t.about.text_offset + t.about.text_size == 0)
		return check_result_say(result, OUTCOME_FAILED, "empty: the file has no bytes");
	rc = conclude(&t);
	return rc < 0 ? rc : say_unseen(&t);
}
