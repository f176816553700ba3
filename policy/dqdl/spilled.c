#include "policy/dqdl/spilled.h"

#include "crypto/base/array.h"

#include <stdlib.h>

#define MOST_COUNTS (SPILL_BLOCK_MAX / sizeof(struct spilled_count))
#define LEAST_COUNTS 4u

struct share {
	struct spilled_count *open; /* the block that is being filled; NULL until it is needed */
	size_t used;
	uint64_t *blocks; /* the full ones */
	size_t block_count, block_room;
};

struct Spilled {
	Spill *spill;
	size_t block_counts; /* of a full block */
	struct share shares[SPILLED_SHARES];
};

Spilled *spilled_new(Spill *spill, size_t memory_bytes) {
	Spilled *spilled = calloc(1, sizeof *spilled);
	size_t counts = memory_bytes / SPILLED_SHARES / sizeof(struct spilled_count);
	if (!spilled)
		return NULL;
	spilled->spill = spill;
	spilled->block_counts = counts > MOST_COUNTS ? MOST_COUNTS : counts < LEAST_COUNTS ? LEAST_COUNTS : counts;
	return spilled;
}

void spilled_free(Spilled *spilled) {
	if (!spilled)
		return;
	for (unsigned i = 0; i < SPILLED_SHARES; i++) {
		free(spilled->shares[i].open);
		free(spilled->shares[i].blocks);
	}
	free(spilled);
}

static int flush(Spilled *spilled, struct share *share) {
	uint64_t *blocks = array_room(share->blocks, &share->block_room, share->block_count + 1, sizeof *blocks);
	if (!blocks)
		return spill_out_of_memory();
	share->blocks = blocks;
	int rc = spill_put(spilled->spill, bytes_of(share->open, spilled->block_counts * sizeof *share->open),
	        &share->blocks[share->block_count]);
	if (rc < 0)
		return rc;
	share->block_count++;
	share->used = 0;
	return 0;
}

int spilled_add(Spilled *spilled, const struct spilled_count *count) {
	struct share *share = &spilled->shares[count->hash[1] >> 56];
	if (!share->open && !(share->open = calloc(spilled->block_counts, sizeof *share->open)))
		return spill_out_of_memory();
	int rc = share->used == spilled->block_counts ? flush(spilled, share) : 0;
	if (rc < 0)
		return rc;
	share->open[share->used++] = *count;
	return 0;
}

int spilled_each(Spilled *spilled, unsigned share_number, spilled_function *function, void *context) {
	const struct share *share = &spilled->shares[share_number];
	struct spilled_count block[MOST_COUNTS];
	int rc = 0;
	for (size_t i = 0; i < share->block_count && rc >= 0; i++) {
		rc = spill_get(spilled->spill, share->blocks[i], block, spilled->block_counts * sizeof *block);
		for (size_t k = 0; k < spilled->block_counts && rc >= 0; k++)
			rc = function(context, &block[k]);
	}
	for (size_t k = 0; k < share->used && rc >= 0; k++)
		rc = function(context, &share->open[k]);
	return rc < 0 ? rc : 0;
}
