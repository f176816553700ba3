#include "policy/check.h"

#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "policy/check_rules.h"
#include "policy/check_text.h"

#include <errno.h>
#include <stdio.h>

#define DRAIN_BYTES (64u << 10)

/* ---- the input, counted and hashed on the way ---- */

struct tap {
	struct check_input *input;
	struct sha256 hash;
	bool is_hashing;
	uint64_t total;
	bool has_ended;
	bool is_again; /* a second reading: neither counted nor hashed */
	ssize_t error; /* the input's own, so that it is not taken for the check's */
};

static ssize_t tap_read(void *context, void *buffer, size_t size) {
	struct tap *tap = context;
	if (tap->error < 0 || tap->has_ended)
		return tap->error;
	ssize_t got = tap->input->read(tap->input->context, buffer, size);
	if (got < 0)
		tap->error = got;
	if (got == 0)
		tap->has_ended = true;
	if (got <= 0 || tap->is_again)
		return got;
	tap->total += (uint64_t)got;
	if (tap->is_hashing)
		sha256_update(&tap->hash, bytes_of(buffer, (size_t)got));
	return got;
}

/* A check may decide before the end (a broken line, a format it can't read); the rest is read all the same, since the
 * verdict is about the whole file. */
static int drain(struct tap *tap) {
	_cleanup_(freep) uint8_t *buffer = malloc(DRAIN_BYTES);
	if (!buffer)
		return fault(ENOMEM, "no memory to read a file");
	ssize_t got;
	while ((got = tap_read(tap, buffer, DRAIN_BYTES)) > 0)
		;
	return (int)got;
}

/* To its end first: what comes behind it is the second reading. */
static int tap_again(void *context) {
	struct tap *tap = context;
	int rc = drain(tap);
	if (rc >= 0)
		rc = tap->input->again(tap->input->context);
	if (rc < 0) {
		tap->error = rc;
		return rc;
	}
	tap->is_again = true;
	tap->has_ended = false;
	return 0;
}

int check_run(check_function *check, const struct check_job *job, struct check_input *input, uint8_t *ret_sha256,
        struct check_result **ret_result) {
	struct tap tap = {.input = input, .is_hashing = ret_sha256 != NULL};
	struct check_input tapped = {.read = tap_read, .context = &tap, .again = input->again ? tap_again : NULL};
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	int rc = check_result_new(&result);
	if (rc < 0)
		return rc;
	if (tap.is_hashing)
		sha256_init(&tap.hash);
	rc = check(job, &tapped, result);
	if (tap.error < 0)
		return (int)tap.error;
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0)
		rc = check_result_say(result, OUTCOME_ERROR, "the check could not be made: %s", fault_message());
	if (result->outcome == OUTCOME_ERROR) { /* nothing is published of it */
		row_list_freep(&result->withheld);
		edit_list_freep(&result->edits);
		result->withheld = NULL;
		result->edits = NULL;
	}
	if (rc >= 0 && !tap.is_again)
		rc = drain(&tap);
	if (rc < 0)
		return rc;
	result->bytes_read = tap.total;
	if (ret_sha256)
		sha256_final(&tap.hash, ret_sha256);
	*ret_result = steal_pointer(&result);
	return 0;
}

int check_table(const struct check_job *job, struct check_input *input, struct check_result *result) {
	return job->privacy && job->is_text ? check_text(job, input, result) : check_rules(job, input, result);
}
