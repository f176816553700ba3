/* A vault that was recovered from a backup and has not all of its segments yet. */
#include "backend/backup/layout.h"
#include "backend/backup/reach.h"
#include "backend/backup/targets.h"
#include "backend/store_internal.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <stdlib.h>
#include <string.h>

int store_recall_open(Store *store, const struct store_options *options) {
	VaultIo *io = NULL;
	if (!store->own_io || !recall_is_needed(store->io))
		return 0;
	int rc = recall_open(store->io, options->recall, &io, &store->recall);
	if (rc < 0)
		return rc;
	store->io = io;
	store->recall_is_told = options->recall && options->recall->place && options->recall->place->access_key;
	recall_on_notice(store->recall, store->notice, store->notice_arg);
	return 0;
}

static int verify(void *arg, uint32_t number, VaultFile *file, uint64_t *ret_at, uint64_t *ret_length) {
	SegmentStore *segments = ((Store *)arg)->segments;
	if (segment_key_check(segments, number) < 0)
		return -ENOKEY; /* for whatever reason: nobody here can tell */
	return segment_verify_file(segments, number, file, ret_at, ret_length);
}

/* A rule of the backup that ships to the same place has what it takes to read there. */
static int use_rule(Store *store) {
	struct backup_target *targets = NULL;
	size_t count = 0;
	meta_begin(store->meta);
	int rc = meta_end(store->meta, targets_read(store->meta, &targets, &count));
	for (size_t i = 0; i < count && rc == 0; i++) {
		const struct backup_target *target = &targets[i];
		const struct objects_place place = {.endpoint = target->endpoint,
		        .access_key = target->access_key,
		        .secret_key = target->secret_key,
		        .session_token = target->session_token,
		        .region = target->region};
		if (target->access_key[0] && strcmp(target->url, recall_url(store->recall)) == 0)
			rc = recall_use(store->recall, &(struct recall_means){.place = &place});
	}
	if (targets)
		secret_wipe(targets, count * sizeof *targets);
	free(targets);
	return rc;
}

/* The text of the prefix is a name, and stands in the database alone: 1; 0: no rule there has that mark. */
static int find_prefix(Store *store, uint32_t mark, char ret_prefix[static BACKUP_TEXT_BYTES]) {
	struct backup_target *targets = NULL;
	size_t count = 0;
	bool is_found = false;
	meta_begin(store->meta);
	int rc = meta_end(store->meta, targets_read(store->meta, &targets, &count));
	for (size_t i = 0; i < count && rc == 0 && !is_found; i++) {
		is_found = layout_prefix_mark(targets[i].prefix) == mark;
		if (is_found)
			memcpy(ret_prefix, targets[i].prefix, BACKUP_TEXT_BYTES);
	}
	if (targets)
		secret_wipe(targets, count * sizeof *targets);
	free(targets);
	return rc < 0 ? rc : is_found;
}

static bool took(void *arg, uint32_t number) {
	return reach_has(arg, number);
}

/* Where the backup was made by a prefix: which segments it was to take. Without the rule all count as wanted, so that
 * what was not taken is told as missing, rather than what is missing as not taken. */
static int tell_reach(Store *store) {
	char prefix[BACKUP_TEXT_BYTES];
	_cleanup_(reach_freep) Reach *reach = NULL;
	uint32_t mark = recall_prefix_mark(store->recall);
	int rc = mark ? find_prefix(store, mark, prefix) : 0;
	if (rc <= 0)
		return rc;
	rc = reach_new(TARGET_ZONES_ALL, prefix, &reach);
	if (rc == 0)
		rc = reach_look(reach, store);
	if (rc == 0)
		recall_took(store->recall, took, reach);
	return rc;
}

int store_recall_known(Store *store) {
	if (!store->recall)
		return 0;
	int rc = store->recall_is_told ? 0 : use_rule(store);
	if (rc == 0)
		rc = tell_reach(store);
	return rc < 0 ? rc : recall_ready(store->recall, verify, store);
}

int store_recall_record(Store *store) {
	char words[FAULT_MESSAGE_BYTES];
	if (!store->recall || recall_unrecorded(store->recall, words, sizeof words) == 0)
		return 0;
	int rc = store_record(store, "recover", 0, 0, words);
	return rc < 0 ? rc : targets_pause(store->meta);
}

int store_recall_recorded(Store *store) {
	char words[FAULT_MESSAGE_BYTES];
	if (!store->recall || recall_unrecorded(store->recall, words, sizeof words) == 0)
		return 0;
	return recall_recorded(store->recall);
}
