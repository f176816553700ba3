/* The hand-over of a checkpoint: see store_checkpoint in store.h. */
#include "backend/record.h"
#include "backend/segment_watch.h"
#include "backend/store_internal.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct handing {
	struct store_checkpoint taken;
	size_t room;
	int rc; /* of a hand-over that did not work; the commit did all the same */
	char words[FAULT_MESSAGE_BYTES];
};

void store_checkpoint_clear(struct store_checkpoint *checkpoint) {
	free(checkpoint->segments);
	*checkpoint = (struct store_checkpoint){0};
}

static int take_segment(void *arg, const struct segment_row *row) {
	struct handing *handing = arg;
	struct store_checkpoint *taken = &handing->taken;
	void *rows = array_room(taken->segments, &handing->room, taken->segment_count + 1, sizeof *row);
	if (!rows)
		return fault(ENOMEM, "no memory for the list of the segments");
	taken->segments = rows;
	taken->segments[taken->segment_count++] = *row;
	return 0;
}

static int take_numbers(Store *store, struct store_checkpoint *taken) {
	struct meta_committed last = {0};
	struct tree_counts counts = {0};
	int rc = meta_last_commit(store->meta, &last);
	if (rc == 0)
		rc = tree_statfs(store->meta, &counts);
	taken->pack = metadb_last_pack(store->db);
	taken->base = metadb_base_pack(store->db);
	metadb_last_root(store->db, taken->root);
	taken->commit = last.commit;
	taken->time_ns = last.time_ns;
	taken->versions = counts.versions;
	taken->appended = segment_appended(store->segments);
	if (rc == 0 && taken->base == 0)
		rc = fault(EBADMSG, "checkpoint packs are damaged; the next change makes a new one of all pages");
	return rc;
}

/* No transaction is open, and the lock of the metadata is held: what is read is what the pack has. */
void store_hand_over(Store *store, struct handing *handing) {
	int rc = metadb_checkpoint(store->db);
	if (rc == 0) {
		atomic_store(&store->wants_checkpoint, false);
		(void)reserve_refill(store->reserve);
		rc = take_numbers(store, &handing->taken);
	}
	if (rc == 0)
		rc = segment_row_list(store->meta, take_segment, handing);
	handing->rc = rc;
	if (rc < 0)
		memcpy(handing->words, fault_message(), sizeof handing->words);
}

int store_checkpoint(Store *store, struct store_checkpoint *ret) {
	if (store->read_only)
		return fault(EROFS, "the vault is open for reading only");
	_cleanup_(freep) struct handing *handing = calloc(1, sizeof *handing);
	if (!handing)
		return fault(ENOMEM, "no memory for a checkpoint");
	handing->rc = fault(EIO, "the commit did not come to it");
	memcpy(handing->words, fault_message(), sizeof handing->words);
	int rc = store_commit_handing(store, handing);
	if (rc == 0 && handing->rc < 0)
		rc = fault(-handing->rc, "%s", handing->words);
	if (rc < 0)
		store_checkpoint_clear(&handing->taken);
	else
		*ret = handing->taken;
	return fault_while(rc, "a checkpoint");
}
