/*
 * log_check: an audit log held against all that was ever signed of it.
 *
 *     entries ─► leaves ─┬─► tiles of hashes: each is what the ones below make it
 *                        └─► roots: those of each signed head, of the checkpoint, of an older checkpoint that is
 *                            given, and those at which the log's key was handed on
 *
 * Reads each entry and each tile once. Memory does not grow with the log.
 */
#pragma once

#include "fs/command/evidence.h"
#include "fs/command/progress.h"

struct log_check_result {
	uint64_t records;
	uint64_t pruned;         /* of them: in archives only, so that their hashes alone were held against the tree */
	uint64_t heads;          /* that were signed and fit */
	struct checkpoint older; /* the one that was given; size 0: none */
};

/* Gets each record as it was held against its hash; what was signed of it is known at the end. */
typedef void log_check_fn(void *arg, struct bytes record);

/*
 * Checks the log's first `head->size` records, of which each head must be by the key of `chain` whose turn it was, and
 * each key be named by a record under the head with which it was handed on, and each key that a record so names be in
 * `chain` (of records that are in archives only it is not known whom they name). `older` (may be NULL) is a checkpoint
 * of it that somebody kept. -EBADMSG with words that name the first thing that is not as it was signed; errors of
 * files. `progress` and `each` may be NULL.
 */
int log_check(Evidence *evidence, const struct key_chain *chain, const struct checkpoint *head,
        const struct checkpoint *older, Progress *progress, log_check_fn *each, void *arg,
        struct log_check_result *ret);
