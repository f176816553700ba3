/* map_private: what version.c, map.c and map_base.c share. Not for other modules. */
#pragma once

#include "backend/block_ref.h"
#include "backend/version.h"
#include "crypto/base/bytes.h"

#define MAP_PAGE_BYTES 8192
/* So much of a file is a page's. */
#define MAP_PAGE_SPAN ((uint64_t)MAP_PAGE_REFS * BLOCK_BYTES)

/* SQL: a row `b` of map that is of version `base`, and that `version`, which rests on it, has none instead of. */
#define MAP_OF_BASE(version, base) \
	"b.version = " base " AND NOT EXISTS (SELECT 1 FROM map o WHERE o.version = " version " AND o.page = b.page)"

/* Of a page's references as stored. */
void map_page_hash(struct bytes refs, uint8_t ret_hash[static VERSION_HASH_BYTES]);

/* The rows of a draft that may be the fresh one (meta_private.h) change otherwise than by its first page. */
void map_forget_fresh(Meta *m, uint64_t version);

/* Removes the rows of pages from `first` on, and the pages that no other version has. */
int map_remove_from(Meta *m, uint64_t version, uint64_t first);

/* Removes a page that no map shows any longer. */
int map_remove_unused(Meta *m, uint64_t page_id);

/* map_base.c: the version on whose map this one's rests; 0: none. */
int map_base_get(Meta *m, uint64_t version, uint64_t *ret_base);

/* A draft that has no rows yet gets the map of version `from`, a file of `size` bytes: by rows, or by resting on one.
 */
int map_base_begin(Meta *m, uint64_t draft, uint64_t from, uint64_t size);

/* The draft's map rests on none from now on: it has the rows of pages below `below` itself. */
int map_base_take_over(Meta *m, uint64_t draft, uint64_t below);

/* The same when the version that the draft rests on has pages from `below` on. Its own rows there are not touched. */
int map_base_truncate(Meta *m, uint64_t draft, uint64_t below);

/* The draft has a row of its own now for a page that it showed by another's: if that is erased, its row may go. */
int map_base_covered(Meta *m, uint64_t draft, uint64_t page);

/* The map of a draft that goes, or of a version that was erased: rows and pages, but those that others rest on. */
int map_base_remove(Meta *m, uint64_t version);

/* The next user of a page after version `after`: the first version that shows it, erased ones left out, and where.
 * -ENOENT when there is none. */
int map_base_user(Meta *m, uint64_t page_id, uint64_t after, uint64_t *ret_version, uint64_t *ret_page);

/* How many pages all the versions have that show this one; counted to twice `most`. */
int map_base_count(Meta *m, uint64_t page_id, uint64_t most, uint64_t *ret_count);

/* Of a page as stored: -EUCLEAN when it is malformed. */
int map_page_unpack(struct bytes stored, struct block_ref *ret_refs, size_t *ret_count);

/* The hash of a version whose pages have others now; of a draft or an erased one there is none. */
int version_rehash(Meta *m, uint64_t id);
