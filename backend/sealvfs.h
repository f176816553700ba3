/*
 * sealvfs: the VFS through which SQLite sees the sealed database and its log as plain files. Internal to metadb.
 *
 * It knows two names, meta.db and meta.db-wal, and refuses every other; temporary files, which have none, it keeps in
 * memory (memory_file.h): so no row leaves in a journal or a temporary file. Locks are granted as asked: the vault's
 * own lock keeps others out. There is no shared memory, so the connection must be in exclusive locking mode before it
 * touches a WAL database.
 */
#pragma once

#include "backend/metacore.h"

typedef struct SealVfs SealVfs;

/* Registers a VFS of its own name for `core`, which must outlive it. */
int sealvfs_register(struct meta_core *core, SealVfs **ret_vfs);
void sealvfs_unregister(SealVfs *vfs);
const char *sealvfs_name(const SealVfs *vfs);
