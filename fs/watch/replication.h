/*
 * replication: how far the backups' targets are, for samples and as families of metrics.h.
 *
 *     ReplicationLag (s), BytesPendingReplication, OperationsPendingReplication, OperationsFailedReplication
 *         as S3 calls them, by `target`, and of the worst without a label; none while there is no target
 *     assayfs_backup_…
 *
 * A target's label is its URL, which has no credentials and names no file of the vault.
 */
#pragma once

#include "backend/backup/backup.h"
#include "fs/exposition.h"
#include "fs/sampler.h"

/* A collector; `backup` is a Backup. */
int replication_collect(void *backup, struct sampler_round *round);

/* `backup` may be NULL. */
void replication_tell(Backup *backup, Exposition *exposition);
