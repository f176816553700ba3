/*
 * erase: versions go for good, and their bytes from the disk.
 *
 *      erase_versions, in ONE operation                           afterwards
 *      ┌ gc.purge.N for each segment that has blocks of them      ┌ a content that is open on one of them: -ESTALE
 *      │ names that show one of them end                          │   (content.h), and nothing of it in memory
 *      │ their maps go; their rows stay, as witnesses: erased     │ commit
 *      └ extended attributes of a file without a name go          └ gc_purge: the segments are emptied and removed
 *
 * So a crash leaves all of it or nothing; what comes after the operation is taken up by the next mount. Which versions
 * belong together is the caller's to know (policy/gate/erase.c), and so are rights and records.
 *
 * What others share stays theirs: a block that a living version refers to, since it was cloned from one that is erased,
 * lives on in it (erase_sharers names such files).
 *
 * What remains is said in docs/threat-model.md.
 */
#pragma once

#include "backend/store.h"
#include "backend/tree.h"

#include <stddef.h>
#include <stdint.h>

/* A name that ended, or (size 0) a file without one that somebody may have open. */
struct erased_name {
	uint64_t parent_ino, ino;
	size_t size;
	uint8_t name[TREE_NAME_MAX];
};
typedef int erased_name_fn(void *arg, const struct erased_name *name);

struct erased {
	uint64_t versions, bytes; /* of plaintext */
	uint64_t names;
};

/*
 * Erases sealed and withdrawn versions, given by ascending ids; those that are erased already count for nothing. A name
 * that shows one of them ends, in Raw too; its node keeps versions that are not among them, and shows none. `ended`
 * (may be NULL) is called for each name before the operation is kept: to be told to the kernel once it was.
 * -EBUSY: one of the nodes, in Landing or staging, has a draft (the words name it). -ENOENT, -EPERM: no such version,
 * or a draft. Between meta_begin and meta_end, and for long: less than 70 ms for 2 GiB (measured, commit included).
 */
int erase_versions(
        Store *store, const uint64_t *versions, size_t count, erased_name_fn *ended, void *arg, struct erased *ret);

/*
 * Calls `sharer` once for each node that has a version or a flushed draft beside the given ones (ascending) that refers
 * to one of their blocks. Walks all map pages of the vault, in slices: 1.5 s for 160 GiB. References that only the
 * memory of a file open for writing has are not met. Not between meta_begin and meta_end.
 */
typedef int erase_sharer_fn(void *arg, uint64_t node);
int erase_sharers(Store *store, const uint64_t *versions, size_t count, erase_sharer_fn *sharer, void *arg);
