/*
 * memory_io: a vault of a few files in memory, for reading only: what fuzz targets open ten thousand times a second.
 */
#pragma once

#include "backend/vault_io.h"

struct memory_file {
	const char *name;
	struct bytes content;
};

/* The files are not copied and must outlive *ret_io. Opening for writing is -EROFS; other changing calls are
 * not there. */
int memory_io_open(const struct memory_file *files, size_t count, VaultIo **ret_io);
