/*
 * altered: a file that is published otherwise than it came.
 *
 *     version ─▶ without rows ─▶ places changed ─▶ hashed, held against the policy as an output, published
 *
 * The worker said where; what stands there is written here, with a key that no worker sees.
 */
#include "policy/gate/internal.h"

#include "backend/zone.h"
#include "crypto/base/fault.h"
#include "crypto/derive.h"
#include "crypto/keyring.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

void altered_release(struct altered *altered) {
	row_list_free(altered->without);
	edit_list_free(altered->edits);
	free(altered->meanings);
	sodium_memzero(&altered->key, sizeof altered->key);
	*altered = (struct altered){0};
}

bool altered_is_any(const struct altered *altered) {
	return altered->without || altered->edits;
}

/* Of Trusted's key: who can read what is published may come to know what its hashes were made with, and nobody else. */
int gate_privacy_key(Gate *gate, uint32_t version, struct treat_key *ret_key) {
	uint8_t parent[KEYRING_KEY_BYTES];
	int rc = keyring_get(
	        store_keyring(gate->store), zone_key_name(ZONE_TRUSTED), version, parent, &ret_key->version);
	if (rc >= 0)
		derive_key(parent, "privacy hash", bytes_of(gate->vault_id, sizeof gate->vault_id), ret_key->bytes);
	sodium_memzero(parent, sizeof parent);
	return fault_while(rc, "taking the key that hashes personal data");
}

int altered_take(Gate *gate, const struct judgement *j, struct check_result *result, struct altered *ret_altered) {
	ret_altered->without = steal_pointer(&result->withheld);
	ret_altered->edits = steal_pointer(&result->edits);
	if (!ret_altered->edits)
		return 0;
	int rc = edit_meanings(j->dataset->privacy, &result->privacy, &ret_altered->meanings);
	return rc < 0 ? rc : gate_privacy_key(gate, 0, &ret_altered->key);
}

/* ---- reading ---- */

void altered_begin(struct altered_reader *r, const struct altered *altered, Content *source, struct gate_watch *watch) {
	*r = (struct altered_reader){.rows = {.source = source, .watch = watch, .rest.without = altered->without}};
	r->edits = (struct edit_reader){.from = {.read = gate_read, .context = &r->rows, .again = gate_read_again},
	        .list = altered->edits,
	        .meanings = altered->meanings,
	        .key = &altered->key};
}

void altered_end(struct altered_reader *r) {
	edit_reader_release(&r->edits);
}

struct check_input altered_input(struct altered_reader *r) {
	if (r->edits.list)
		return (struct check_input){.read = edit_read, .context = &r->edits, .again = edit_read_again};
	return (struct check_input){.read = gate_read, .context = &r->rows, .again = gate_read_again};
}

/* ---- is it as it should be? ---- */

int altered_check(Gate *gate, struct judgement *j, struct check_result *result, uint64_t node, uint64_t version,
        const struct altered *altered, struct verdict_content *ret_output, bool *ret_passes) {
	_cleanup_(content_closep) Content *content = NULL;
	_cleanup_(altered_end) struct altered_reader reader = {0};
	struct judgement output = *j;
	output.checked = (struct check_outcome){0};
	output.is_output = true;
	output.may_split = output.leaves_out = false;
	int rc = content_open(gate->store, node, version, &content);
	if (rc < 0)
		return rc;
	altered_begin(&reader, altered, content, j->watch);
	struct check_input input = altered_input(&reader);
	input.again = NULL;
	rc = judge_check(gate, &output, input, content_size(content));
	if (rc < 0)
		return rc;
	const struct check_result *found = output.checked.result;
	*ret_passes = found->outcome == OUTCOME_PASSED;
	ret_output->size = output.checked.size;
	memcpy(ret_output->sha256, output.checked.sha256, sizeof ret_output->sha256);
	rc = check_result_take_output(result, found);
	check_result_free(output.checked.result);
	return rc;
}
