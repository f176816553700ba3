/* A vault that was recovered from a backup and has not all of its segments yet. */
#include "backend/store_internal.h"
#include "crypto/base/fault.h"

int store_recall_open(Store *store, const struct store_options *options) {
	VaultIo *io = NULL;
	if (!store->own_io || !recall_is_needed(store->io))
		return 0;
	int rc = recall_open(store->io, options->recall, &io, &store->recall);
	if (rc < 0)
		return rc;
	store->io = io;
	recall_on_notice(store->recall, store->notice, store->notice_arg);
	return 0;
}

static int verify(void *arg, uint32_t number, VaultFile *file, uint64_t *ret_at, uint64_t *ret_length) {
	return segment_verify_file(((Store *)arg)->segments, number, file, ret_at, ret_length);
}

int store_recall_known(Store *store) {
	return store->recall ? recall_ready(store->recall, verify, store) : 0;
}

int store_recall_record(Store *store) {
	char words[FAULT_MESSAGE_BYTES];
	if (!store->recall || recall_unrecorded(store->recall, words, sizeof words) == 0)
		return 0;
	return store_record(store, "recover", 0, 0, words);
}

int store_recall_recorded(Store *store) {
	char words[FAULT_MESSAGE_BYTES];
	if (!store->recall || recall_unrecorded(store->recall, words, sizeof words) == 0)
		return 0;
	return recall_recorded(store->recall);
}
