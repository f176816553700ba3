#include "policy/edit_reader.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void edit_reader_release(struct edit_reader *r) {
	free(r->in);
	r->in = NULL;
	treated_release(&r->raw);
	treated_release(&r->out);
}

/* ---- what is done ---- */

#define COLUMN_NAME "REDACTED" /* what stands for a cell of a column that is redacted */

static int mean(const struct privacy *privacy, const struct check_finding *finding, struct edit_meaning *ret_meaning) {
	bool is_column = strcmp(finding->entity, CHECK_ENTITY_COLUMN) == 0;
	const struct privacy_treatment *treatment =
	        finding->of_column ? (finding->column ? privacy_of_column(privacy, finding->column) : NULL)
	                           : privacy_of_entity(privacy, finding->entity);
	if (!treatment || treatment->action != finding->action || (is_column && !finding->of_column))
		return fault(EBADMSG, "it found what nobody looks for");
	ret_meaning->treatment = *treatment;
	ret_meaning->name = COLUMN_NAME;
	for (size_t i = 0; !is_column && i < privacy->detect_count; i++)
		if (strcmp(privacy->detects[i].entity, finding->entity) == 0)
			ret_meaning->name = privacy->detects[i].entity;
	return 0;
}

int edit_meanings(const struct privacy *privacy, const struct check_privacy_result *found, struct edit_meaning **ret) {
	struct edit_meaning *meanings = calloc(found->finding_count + 1, sizeof *meanings);
	int rc = meanings ? 0 : fault(ENOMEM, "no memory to change a file");
	for (size_t i = 0; i < found->finding_count && rc == 0; i++)
		rc = mean(privacy, &found->findings[i], &meanings[i]);
	if (rc < 0) {
		free(meanings);
		return rc;
	}
	*ret = meanings;
	return 0;
}

/* ---- reading ---- */

/* Has bytes of the input at hand: 1, 0 at its end. */
static ssize_t fill(struct edit_reader *r) {
	if (r->in_at < r->in_end)
		return 1;
	if (!r->in && !(r->in = malloc(EDIT_READER_BYTES)))
		return fault(ENOMEM, "no memory to change a file");
	ssize_t got = r->from.read(r->from.context, r->in, EDIT_READER_BYTES);
	r->in_at = 0;
	r->in_end = got > 0 ? (size_t)got : 0;
	return got > 0 ? 1 : got;
}

static void pass(struct edit_reader *r, size_t size) {
	r->in_at += size;
	r->offset += size;
}

/* Behind the last place there are no more; so a place is always there to go to, or none. */
static void look_for_edit(struct edit_reader *r) {
	if (r->edit.length == 0 && !r->is_behind_edits)
		r->is_behind_edits = !edit_list_next(r->list, &r->cursor, &r->edit);
}

static int keep_raw(struct edit_reader *r, size_t size) {
	if (r->edit.flags & EDIT_WHOLE)
		return 0;
	if (r->raw.room < r->edit.length) {
		char *text = realloc(r->raw.text, (size_t)r->edit.length);
		if (!text)
			return fault(ENOMEM, "no memory to change a file");
		r->raw.text = text;
		r->raw.room = (size_t)r->edit.length;
	}
	memcpy(r->raw.text + r->raw.size, r->in + r->in_at, size);
	r->raw.size += size;
	return 0;
}

static int end_edit(struct edit_reader *r) {
	const struct edit_meaning *meaning = &r->meanings[r->edit.finding];
	int rc = treat(&meaning->treatment, meaning->name, edit_list_dialect(r->list), r->key, &r->edit,
	        bytes_of(r->raw.text, r->raw.size), &r->out);
	r->raw.size = 0;
	r->edit.length = 0;
	return rc;
}

/* Goes on in the place where the reader stands. */
static int take_edit(struct edit_reader *r) {
	size_t left = r->in_end - r->in_at;
	uint64_t end = r->edit.offset + r->edit.length;
	size_t size = end - r->offset < left ? (size_t)(end - r->offset) : left;
	int rc = keep_raw(r, size);
	pass(r, size);
	return rc < 0 || r->offset < end ? rc : end_edit(r);
}

static ssize_t give(struct edit_reader *r, void *buffer, size_t size) {
	size_t left = r->out.size - r->out_at, given = left < size ? left : size;
	memcpy(buffer, r->out.text + r->out_at, given);
	r->out_at += given;
	if (r->out_at == r->out.size)
		r->out_at = r->out.size = 0;
	return (ssize_t)given;
}

static ssize_t give_as_it_is(struct edit_reader *r, void *buffer, size_t size) {
	size_t left = r->in_end - r->in_at;
	if (!r->is_behind_edits && r->edit.offset - r->offset < left)
		left = (size_t)(r->edit.offset - r->offset);
	size_t given = left < size ? left : size;
	memcpy(buffer, r->in + r->in_at, given);
	pass(r, given);
	return (ssize_t)given;
}

/* Some bytes more: 0 at the end. */
static ssize_t read_some(struct edit_reader *r, void *buffer, size_t size) {
	for (;;) {
		if (r->out.size > 0)
			return give(r, buffer, size);
		look_for_edit(r);
		ssize_t got = fill(r);
		if (got == 0 && !r->is_behind_edits)
			return fault(EBADMSG, "a place that is to be changed lies behind the file's end");
		if (got <= 0)
			return got;
		if (r->is_behind_edits || r->offset < r->edit.offset)
			return give_as_it_is(r, buffer, size);
		int rc = take_edit(r);
		if (rc < 0)
			return rc;
	}
}

/* As much as there is room for: places may be many, and what lies between them short. */
ssize_t edit_read(void *context, void *buffer, size_t size) {
	size_t total = 0;
	ssize_t got = 1;
	while (total < size && (got = read_some(context, (char *)buffer + total, size - total)) > 0)
		total += (size_t)got;
	return got < 0 ? got : (ssize_t)total;
}

int edit_read_again(void *context) {
	struct edit_reader *r = context;
	r->cursor = (struct edit_cursor){0};
	r->edit = (struct edit){0};
	r->is_behind_edits = false;
	r->in_at = r->in_end = r->out_at = 0;
	r->raw.size = r->out.size = 0;
	r->offset = 0;
	return r->from.again(r->from.context);
}
