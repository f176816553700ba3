/* map_private: what version.c and map.c share. Not for other modules. */
#pragma once

#include "backend/block_ref.h"
#include "backend/version.h"
#include "crypto/base/bytes.h"

#define MAP_PAGE_BYTES 8192

/* Of a page's references as stored. */
void map_page_hash(struct bytes refs, uint8_t ret_hash[static VERSION_HASH_BYTES]);

/* The rows of a draft that may be the fresh one (meta_private.h) change otherwise than by its first page. */
void map_forget_fresh(Meta *m, uint64_t version);

/* Removes the rows of pages from `first` on, and the pages that no other version has. */
int map_remove_from(Meta *m, uint64_t version, uint64_t first);

/* Of a page as stored: -EUCLEAN when it is malformed. */
int map_page_unpack(struct bytes stored, struct block_ref *ret_refs, size_t *ret_count);

/* The hash of a version whose pages have others now; of a draft or an erased one there is none. */
int version_rehash(Meta *m, uint64_t id);
