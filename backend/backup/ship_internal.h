/* ship_internal: what the sources of ship share. */
#pragma once

#include "backend/backup/ship.h"

/* So many superblocks are tried until one opens, or until one is not in the way. */
#define SUPER_TRIES 256

/* -EEXIST: somebody else's backup is there. */
int ship_refuse(const struct ship *ship, const char *words);

/* Puts the superblock of ship->checkpoint, under a number that is free, and makes it ship->last; nothing when the last
 * one says the same. `key_version`: the newest of "meta" that this vault.json has. -EEXIST as ship_round. */
int ship_put_super(struct ship *ship, uint64_t generation, const uint8_t header_hash[static LAYOUT_HASH_BYTES],
        uint32_t key_version);

/* Takes for the newest one that is above ship->last and there only as an earlier version: 1; 0: there is none. */
int ship_find_hidden(struct ship *ship);
