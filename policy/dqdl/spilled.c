#include "policy/dqdl/spilled.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_COUNTS (SPILL_BLOCK_BYTES / sizeof(struct spilled_count))

struct share {
	struct spilled_count *open; /* the block that is being filled; NULL until it is needed */
	size_t used;
	uint64_t *blocks; /* the full ones' numbers */
	size_t block_count, block_room;
};

struct Spilled {
	Spill *spill;
	struct share shares[SPILLED_SHARES];
};

Spilled *spilled_new(Spill *spill) {
	Spilled *spilled = calloc(1, sizeof *spilled);
	if (spilled)
		spilled->spill = spill;
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

static int out_of_memory(void) {
	return fault(ENOMEM, "no memory for a check");
}

static int flush(Spilled *spilled, struct share *share) {
	if (share->block_count == share->block_room) {
		size_t room = share->block_room ? share->block_room * 2 : 16;
		uint64_t *blocks = reallocarray(share->blocks, room, sizeof *blocks);
		if (!blocks)
			return out_of_memory();
		share->blocks = blocks;
		share->block_room = room;
	}
	int rc = spill_put(spilled->spill, share->open, &share->blocks[share->block_count]);
	if (rc < 0)
		return rc;
	share->block_count++;
	share->used = 0;
	return 0;
}

int spilled_add(Spilled *spilled, const struct spilled_count *count) {
	struct share *share = &spilled->shares[count->hash[1] >> 56];
	if (!share->open && !(share->open = calloc(BLOCK_COUNTS, sizeof *share->open)))
		return out_of_memory();
	share->open[share->used++] = *count;
	return share->used == BLOCK_COUNTS ? flush(spilled, share) : 0;
}

uint64_t spilled_size(const Spilled *spilled, unsigned share) {
	return spilled->shares[share].block_count * BLOCK_COUNTS + spilled->shares[share].used;
}

int spilled_each(Spilled *spilled, unsigned share_number, spilled_function *function, void *context) {
	const struct share *share = &spilled->shares[share_number];
	struct spilled_count block[BLOCK_COUNTS];
	int rc = 0;
	for (size_t i = 0; i < share->block_count && rc >= 0; i++) {
		rc = spill_get(spilled->spill, share->blocks[i], block);
		for (size_t k = 0; k < BLOCK_COUNTS && rc >= 0; k++)
			rc = function(context, &block[k]);
	}
	for (size_t k = 0; k < share->used && rc >= 0; k++)
		rc = function(context, &share->open[k]);
	return rc < 0 ? rc : 0;
}
