/*
 * recall: a vault whose segments lie in its backup still: a VaultIo over the directory that fetches a segment's file
 * when it is first opened, whole, and keeps it.
 *
 *     VAULT/origin     JSON: {"url","endpoint","region"}: there as long as segments may be missing; no credentials
 *
 * Fetched files are written beside and renamed, so a crash leaves none that is short. Any thread; two that want one
 * segment wait for one fetch.
 */
#pragma once

#include "backend/objects/objects.h"
#include "backend/vault_io.h"

#include <stdint.h>

typedef struct Recall Recall;

#define RECALL_NAME "origin"

/* Whether the vault in `io` has an origin: 1, 0. */
int recall_is_needed(VaultIo *io);

/*
 * Lays a VaultIo over `inner` (which it takes over on success) that fetches from its origin. `place` (may be NULL) has
 * credentials and what else is to be used in place of the file's. *ret_recall belongs to *ret_io.
 */
int recall_open(VaultIo *inner, const struct objects_place *place, VaultIo **ret_io, Recall **ret_recall);

/* Fetches the next segment that is missing of those that the listing of the origin has: 1; 0: all are here, and the
 * origin was removed. For a thread behind the mount, and for recover --full. */
int recall_next(Recall *recall, uint64_t *ret_bytes);

struct recall_status {
	uint64_t segments, bytes;                 /* that the backup has */
	uint64_t missing_segments, missing_bytes; /* that are not here yet */
	char trouble[512];
};
void recall_status(Recall *recall, struct recall_status *ret);
