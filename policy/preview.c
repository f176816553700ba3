#include "policy/preview.h"

#include "crypto/base/fault.h"
#include "policy/edit_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* All of the input but rows. */
struct left {
	struct check_input from;
	struct row_rest rest;
	uint64_t offset;
};

struct Preview {
	struct check_result *result;
	struct edit_meaning *meanings;
	struct treat_key key;
	struct left left;
	struct edit_reader edits;
};

static const char not_made[] =
        "it can be read once only, so what would be published was not made and not looked through: "
        "give a file, not a pipe";

static ssize_t read_left(void *context, void *buffer, size_t size) {
	struct left *left = context;
	ssize_t got;
	while ((got = left->from.read(left->from.context, buffer, size)) > 0) {
		size_t kept = row_rest_squeeze(&left->rest, left->offset, buffer, (size_t)got);
		left->offset += (size_t)got;
		if (kept > 0)
			return (ssize_t)kept;
	}
	return got;
}

static int read_left_again(void *context) {
	struct left *left = context;
	left->rest = (struct row_rest){.without = left->rest.without};
	left->offset = 0;
	return left->from.again(left->from.context);
}

int preview_input(Preview *preview, struct check_input *ret_input) {
	if (!preview->left.from.again)
		return fault(ESPIPE, "%s", not_made);
	bool has_edits = preview->result->edits;
	*ret_input = has_edits ? (struct check_input){.read = edit_read, .context = &preview->edits}
	                       : (struct check_input){.read = read_left, .context = &preview->left};
	return has_edits ? edit_read_again(&preview->edits) : read_left_again(&preview->left);
}

static void make_readers(Preview *p, const struct check_input *input) {
	p->left = (struct left){.from = *input, .rest.without = p->result->withheld};
	p->edits = (struct edit_reader){.from = {.read = read_left, .context = &p->left, .again = read_left_again},
	        .list = p->result->edits,
	        .meanings = p->meanings,
	        .key = &p->key};
}

/* Rules speak of what came, so none of what they need is needed again. */
static struct check_job output_job(const struct check_job *job) {
	struct check_job output = *job;
	output.keep = NULL; /* what it drops is out of it */
	output.is_output = true;
	output.may_split = output.only_tells = false;
	output.rows = NULL;
	output.references = NULL;
	output.reference_count = output.file_list_count = output.history_count = 0;
	output.spill = NULL;
	return output;
}

static int check_output(Preview *p, const struct check_job *job) {
	_cleanup_(check_result_freep) struct check_result *found = NULL;
	const struct check_job output = output_job(job);
	struct check_input input;
	int rc = preview_input(p, &input);
	if (rc >= 0)
		rc = check_run(check_table, &output, &input, NULL, &found);
	return rc < 0 ? rc : check_result_take_output(p->result, found);
}

static int tell_of_split(struct check_result *result) {
	char words[160];
	uint64_t broken = row_list_broken(result->withheld);
	(void)snprintf(words, sizeof words,
	        "in a vault %" PRIu64 " of its %" PRIu64
	        " rows would be withheld, and the others published if they pass by themselves",
	        broken, result->rows);
	return check_result_warn(result, words);
}

/* Nothing can be made of what is read once. */
static int check_once(Preview *p, const struct check_job *job, const struct check_input *input) {
	struct check_job telling = *job;
	struct check_input once = *input;
	telling.only_tells = true;
	telling.may_split = false;
	int rc = check_run(check_table, &telling, &once, NULL, &p->result);
	bool would_change = rc >= 0 && p->result->outcome == OUTCOME_PASSED && p->result->privacy.finding_count > 0 &&
	                    privacy_may_change(job->privacy);
	return would_change ? check_result_warn(p->result, not_made) : rc;
}

static int check_twice(Preview *p, const struct check_job *job, const struct check_input *input) {
	struct check_input first = *input;
	int rc = check_run(check_table, job, &first, NULL, &p->result);
	if (rc >= 0 && p->result->edits)
		rc = edit_meanings(job->privacy, &p->result->privacy, &p->meanings);
	if (rc < 0)
		return rc;
	make_readers(p, input);
	bool passed = p->result->outcome == OUTCOME_PASSED;
	if (passed && (p->result->edits || p->result->privacy.dropped > 0))
		return check_output(p, job);
	return passed || !p->result->withheld ? 0 : tell_of_split(p->result);
}

int preview_new(const struct check_job *job, const struct check_input *input, Preview **ret_preview) {
	_cleanup_(preview_freep) Preview *p = calloc(1, sizeof *p);
	if (!p)
		return fault(ENOMEM, "no memory for a check");
	randombytes_buf(p->key.bytes, sizeof p->key.bytes);
	p->key.version = 1;
	int rc = input->again ? check_twice(p, job, input) : check_once(p, job, input);
	*ret_preview = rc < 0 ? NULL : steal_pointer(&p);
	return rc;
}

void preview_free(Preview *p) {
	if (!p)
		return;
	edit_reader_release(&p->edits);
	check_result_free(p->result);
	free(p->meanings);
	sodium_memzero(&p->key, sizeof p->key);
	free(p);
}

struct check_result *preview_result(const Preview *preview) {
	return preview->result;
}
