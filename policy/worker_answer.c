#include "policy/worker_answer.h"

#include "crypto/base/fault.h"
#include "policy/edit_reader.h"
#include "policy/privacy/groups.h"
#include "policy/spawner.h"

#include <errno.h>
#include <stdlib.h>

/* What was asked. */
struct question {
	const struct check_job *job;
	bool is_read_again; /* so that rows and places could be told */
	uint64_t size;      /* of the file */
};

/* What stands behind the result: the rows that are to be withheld, of a file that may be split and failed, or that
 * passed without those that its dataset does not keep, or drops. */
static int take_rows(const struct question *to, struct bytes packed, struct check_result *result) {
	const struct check_job *asked = to->job;
	bool may_split = asked->may_split && result->outcome == OUTCOME_FAILED;
	bool may_drop = privacy_may_change(asked->privacy) && to->is_read_again;
	bool drops = result->outcome == OUTCOME_PASSED && (result->dropped > 0 || result->privacy.dropped > 0);
	if ((result->has_dropped && !asked->keep) || (result->privacy.dropped > 0 && !may_drop))
		return fault(EBADMSG, "it drops rows, and nobody asked for that");
	if (packed.size == 0)
		return drops ? fault(EBADMSG, "it does not say which rows are dropped") : 0;
	if (!may_split && !drops)
		return fault(EBADMSG, "it is longer than it says");
	int rc = row_list_parse(packed, to->size, check_result_reasons(result), &result->withheld);
	if (rc == 0 && drops && row_list_broken(result->withheld) > 0)
		return fault(EBADMSG, "it passed, and names rows that did not");
	return rc;
}

/* Must there be places that are published otherwise? */
static bool is_edited(const struct check_result *result) {
	const struct check_privacy_result *privacy = &result->privacy;
	for (size_t i = 0; i < privacy->finding_count; i++) {
		const struct check_finding *finding = &privacy->findings[i];
		if (finding->acts && finding->matches > 0 && privacy_takes_column(finding->action))
			return true;
	}
	return false;
}

/* They are counted without those rows; rows that are dropped may have held them all. */
static int take_edits(const struct question *to, struct bytes packed, struct check_result *result) {
	uint64_t out = result->withheld ? row_list_size(result->withheld) : 0;
	bool is_missing = packed.size == 0 && result->outcome == OUTCOME_PASSED && !to->job->is_output &&
	                  is_edited(result) && result->privacy.dropped == 0;
	if (is_missing)
		return fault(EBADMSG, "it does not say where personal data is to be changed");
	if (packed.size == 0)
		return 0;
	if (!privacy_may_change(to->job->privacy) || !to->is_read_again || result->outcome != OUTCOME_PASSED)
		return fault(EBADMSG, "it changes the file, and nobody asked for that");
	_cleanup_(freep) struct edit_meaning *meanings = NULL;
	int rc = edit_meanings(to->job->privacy, &result->privacy, &meanings);
	return rc < 0 ? rc : edit_list_parse(packed, to->size - out, result->privacy.finding_count, &result->edits);
}

/* Rules on groups of rows are decided of a file that is published as it is; of another its output is asked. */
static int check_groups(const struct question *to, const struct check_result *result) {
	const struct check_job *asked = to->job;
	bool is_altered = result->edits || result->privacy.dropped > 0;
	if (result->outcome != OUTCOME_PASSED || is_altered)
		return 0;
	for (size_t i = 0; i < asked->group_count; i++) {
		_cleanup_(freep) char *text = groups_rule_text(&asked->groups[i]);
		size_t at = result->rule_count - asked->group_count + i;
		if (!text)
			return fault(ENOMEM, "no memory for the answer of a check");
		if (result->rule_count < asked->group_count || strcmp(result->rules[at].text, text) != 0)
			return fault(EBADMSG, "it does not decide %s", text);
	}
	return 0;
}

int worker_answer_read(const struct check_job *job, bool is_read_again, uint64_t size, struct bytes answer,
        struct check_result **ret_result) {
	const struct question to = {.job = job, .is_read_again = is_read_again, .size = size};
	struct spawn_lengths lengths;
	if (answer.size < sizeof lengths)
		return fault(EBADMSG, "it is too short");
	memcpy(&lengths, answer.data, sizeof lengths);
	const uint8_t *json = answer.data + sizeof lengths;
	if ((uint64_t)lengths.json + lengths.rows + lengths.edits != answer.size - sizeof lengths)
		return fault(EBADMSG, "it is not as long as it says");
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	int rc = check_result_from_json(bytes_of(json, lengths.json), &result);
	if (rc >= 0 && result->has_privacy != (job->privacy != NULL) && result->outcome == OUTCOME_PASSED)
		rc = fault(EBADMSG, "it does not say what personal data was found");
	if (rc >= 0)
		rc = take_rows(&to, bytes_of(json + lengths.json, lengths.rows), result);
	if (rc >= 0)
		rc = take_edits(&to, bytes_of(json + lengths.json + lengths.rows, lengths.edits), result);
	if (rc >= 0)
		rc = check_groups(&to, result);
	if (rc < 0)
		return rc;
	*ret_result = steal_pointer(&result);
	return 0;
}
