/*
 * one_file: a vault of a single file whose bytes are fetched piece by piece: so that what opens files of a vault
 * authenticates what lies elsewhere. A part of verify. Reading only.
 */
#pragma once

#include "backend/vault_io.h"

#include <stddef.h>
#include <stdint.h>

/* Fetches `size` bytes at `offset`, which is a multiple of the piece's size. */
typedef int one_file_fetch_fn(void *arg, uint64_t offset, uint8_t *into, size_t size);

struct one_file {
	const char *name; /* below the vault */
	uint64_t size;
	size_t piece; /* bytes that are fetched at once; what `data` has room for */
	uint8_t *data;
	one_file_fetch_fn *fetch; /* NULL: `data` is all of it */
	void *arg;
	int rc; /* the first fetch that failed */
	/* Its own: */
	uint64_t at; /* which piece `data` is, + 1; 0: none */
};

/* The file must outlive *ret_io. */
int one_file_open(struct one_file *file, VaultIo **ret_io);
