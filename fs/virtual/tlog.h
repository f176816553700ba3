/*
 * tlog: the audit log as C2SP's tlog-tiles serves one, for verifiers that nobody here wrote.
 *
 *     .assayfs/audit/checkpoint            the last signed head, signed also by the key's versions before
 *     .assayfs/audit/checkpoints           all of them, a line each: SIZE ROOT ID-AND-SIGNATURE TIME
 *     .assayfs/audit/key                   the verifier key, of the newest version
 *     .assayfs/audit/successions           how each version was handed on to the next, a line each
 * (crypto/succession.h) .assayfs/audit/pruned                so many records, from 0 on, are in archives only: they
 * have no tile/entries .assayfs/audit/tile/L/N[.p/W]        hashes;  tile/entries/N[.p/W]  records
 *
 * All of it is made from the database as it is asked for. What is served was durable before. These are the functions of
 * a provider (virtual.h), for paths below `audit`.
 */
#pragma once

#include "fs/virtual.h"

/* Durable records; what a crash could take back is not served. */
uint64_t tlog_size(struct filesystem *fs);

/* As the provider's; -ENOENT for what is not of these. tlog_list lists the folders below `tile` and itself. */
int tlog_stat(struct filesystem *fs, const char *path, struct node *ret);
int tlog_open(struct filesystem *fs, const char *path, struct virtual_file *ret);
int tlog_list(struct filesystem *fs, const char *path, virtual_emit_fn emit, void *arg);

/* The names that tlog adds to `audit` itself. */
int tlog_list_names(struct filesystem *fs, virtual_emit_fn emit, void *arg);
