/*
 * trusted_internal: what the sources of trusted share with each other and with nobody else.
 */
#pragma once

#include "fs/staging.h"
#include "fs/trusted.h"

struct Trusted {
	struct gate_hooks hooks;
	Gate *gate;
	Store *store;
	InodeTable *inodes;
	Staging *staging;
};

/* The path of a name in Trusted below the zone, "" when it has none. In a meta operation. */
int trusted_below_of(Meta *m, uint64_t parent, struct bytes name, char ret_below[static TREE_PATH_MAX]);

/* Forgets a staged file: what it holds is published, in quarantine, or was nothing; what a policy overtook is queued to
 * be judged. */
void trusted_forget(Trusted *t, uint64_t node);

/* Hooks of fs/gate_hooks.h; `gate` is a Trusted. */
int trusted_rename(void *gate, const struct gate_caller *caller, const struct gate_rename *r);
int trusted_unlink(void *gate, Meta *m, const struct gate_caller *caller, uint64_t parent, struct bytes name,
        const struct node *node);
int trusted_change(void *gate, Meta *m, const struct gate_caller *caller, enum gate_verb verb, const struct node *node,
        const char *path, const char *target);
