/*
 * staging: the files that are being written into Trusted, before a verdict: who may meet them under which name.
 *
 *     (directory, name) ─┬─ governed: met by LOOKUP between ESTALE and the OPEN that follows, by that thread; never
 * again └─ temporary (no dataset governs it): met by its writer's uid, until renamed or removed
 *
 * Nodes of staging have no entry in the tree, so nobody can list them, and this table does not survive a remount: what
 * was fsynced or closed by then is found by the gate (gate_staged_note) and judged or put into quarantine; the rest is
 * gone. Thread-safe; the lock is innermost.
 */
#pragma once

#include "backend/tree.h"
#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Staging Staging;

struct staged {
	uint64_t node;
	uint64_t parent; /* directory node in Trusted */
	char name[TREE_NAME_MAX + 1];
	uint32_t uid;
	int32_t thread; /* that may look it up; 0: none */
	int32_t opener; /* process whose it is */
	bool governed;
	bool overtaken;     /* by a policy: staging_govern */
	bool owed;          /* the same, to its end: what was sealed before has no verdict */
	uint64_t shown_ino; /* of the published file that it was opened as; 0: of none, it shows its own */
	uint64_t base_node; /* whose content the draft starts from, not copied yet; 0: none */
	uint64_t base_version;
	uint64_t base_size; /* what stat says until the content is copied: the kernel keeps the first size it is told */
	int64_t made_ns;
};

/* An empty table, the caller's. -ENOMEM. */
int staging_new(Staging **ret_staging);
void staging_free(Staging *staging);
DEFINE_CLEANUP(Staging, staging_free);

/* Adds a copy. -ENOMEM. */
int staging_add(Staging *staging, const struct staged *staged);

/* What this caller meets under the name: first what waits for its thread since `since_ns` or later, then a temporary
 * file of its uid. False: nothing. The kernel looks up twice after ESTALE, once to find the old entry wrong and once to
 * make the new one. */
bool staging_meet(Staging *staging, uint64_t parent, struct bytes name, uint32_t uid, int32_t thread, int64_t since_ns,
        struct staged *ret_staged);

/* Its thread has opened it: no LOOKUP finds it from here on. */
void staging_opened(Staging *staging, uint64_t node);

/* By node. False: not staged. */
bool staging_find(Staging *staging, uint64_t node, struct staged *ret_staged);

/* The content to start from, to be copied by the caller, who alone gets it: false when there is none (any more). */
bool staging_take_base(Staging *staging, uint64_t node, uint64_t *ret_base_node, uint64_t *ret_base_version);

/* A temporary file gets another temporary name. */
void staging_rename(Staging *staging, uint64_t node, uint64_t parent, struct bytes name);

/* Whether a file is staged under a name of this directory, which then is not empty, whatever the tree says. */
bool staging_has_child(Staging *staging, uint64_t parent);

/* The temporary file with the lowest node above `after`. False: none. */
bool staging_next_temporary(Staging *staging, uint64_t after, struct staged *ret_staged);

/* A policy has come to govern its name: nobody meets it there from here on, and staging_take_overtaken gives it once.
 */
void staging_govern(Staging *staging, uint64_t node);
bool staging_take_overtaken(Staging *staging, struct staged *ret_staged);

/* Forgets it: published under its name, removed, or closed for good. */
void staging_remove(Staging *staging, uint64_t node);

/* Forgets and gives one file that still waits for a LOOKUP since before `before_ns` (its thread died in between), so
 * that the caller can forget its node. False: none. */
bool staging_expire(Staging *staging, int64_t before_ns, struct staged *ret_staged);

/* How many temporary files wait, for status. */
size_t staging_count(Staging *staging);
