/*
 * trusted: the gate's hooks in the mount: arrivals from Landing, and Trusted as its writers meet it.
 *
 * What is written into Trusted goes into a staging node (fs/staging.h) and is judged
 *   at FLUSH         when the closer is the opener and the draft is neither unchanged nor empty;
 *   at RENAME        of a temporary file to a name that a dataset governs, and of a published one;
 *   inside SETATTR   for truncate(2) by name.
 * RELEASE alone never publishes: a draft that is left then is refused, with a verdict that says so. Hard links, special
 * files, exchanges and renames of directories that hold files are EPERM in Trusted; symbolic links must be relative
 * and have no "..", so that they can't leave it wherever their directory is moved, and can't bear a name that a dataset
 * governs, or that leads to such. Attributes are not set on what is published.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "fs/gate_hooks.h"
#include "policy/gate/gate.h"

#include <stddef.h>

typedef struct Trusted Trusted;
typedef struct InodeTable InodeTable;

/* The inode table comes with trusted_attach, as the mount makes it later. Both must outlive it. */
int trusted_new(Gate *gate, Store *store, Trusted **ret_trusted);
void trusted_free(Trusted *trusted);
DEFINE_CLEANUP(Trusted, trusted_free);

/* To be called once, before the first request is served. */
void trusted_attach(Trusted *trusted, InodeTable *inodes);

/* Valid as long as `trusted`. */
const struct gate_hooks *trusted_hooks(Trusted *trusted);

/*
 * To be called when another policy has come into force, outside any meta operation. A temporary file whose name a
 * dataset governs by now is met by nobody any more: one that is closed is judged as what its name says, one that is
 * open at its close.
 */
void trusted_policy_changed(Trusted *trusted);

/* Temporary files that wait in Trusted to be renamed, for status. */
size_t trusted_temporary_count(const Trusted *trusted);
