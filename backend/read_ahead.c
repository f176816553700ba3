#include "backend/read_ahead.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* The kernel reads ahead of it; so much is waited for at the end. */
#define PIECE_BYTES ((size_t)256 << 10)
#define SHARE 4

struct ReadAhead {
	VaultIo *io;
	uint64_t most;
	pthread_t thread;
	_Atomic bool stop;
	uint8_t *buffer;
	char name[VAULT_NAME_MAX + 1];
};

static void *read_file(void *arg) {
	ReadAhead *ahead = arg;
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	if (vault_file_open(ahead->io, ahead->name, VAULT_FILE_READ, &file) < 0)
		return NULL;
	for (uint64_t at = 0; at < ahead->most && !atomic_load(&ahead->stop);) {
		uint64_t left = ahead->most - at;
		size_t got = 0, size = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
		if (vault_file_read_at(file, at, ahead->buffer, size, &got) < 0 || got == 0)
			break;
		at += got;
	}
	return NULL;
}

static void free_ahead(ReadAhead *ahead) {
	free(ahead->buffer);
	free(ahead);
}

int read_ahead_start(VaultIo *io, const char *name, uint64_t most, ReadAhead **ret) {
	ReadAhead *ahead = calloc(1, sizeof *ahead);
	if (!ahead)
		return fault(ENOMEM, "reading %s ahead", name);
	ahead->io = io;
	ahead->most = most;
	ahead->buffer = malloc(PIECE_BYTES);
	(void)snprintf(ahead->name, sizeof ahead->name, "%s", name);
	int error = ahead->buffer ? pthread_create(&ahead->thread, NULL, read_file, ahead) : ENOMEM;
	if (error) {
		free_ahead(ahead);
		return fault_errno(error, "reading %s ahead", name);
	}
	*ret = ahead;
	return 0;
}

void read_ahead_stop(ReadAhead *ahead) {
	if (!ahead)
		return;
	atomic_store(&ahead->stop, true);
	pthread_join(ahead->thread, NULL);
	free_ahead(ahead);
}

uint64_t read_ahead_most(void) {
	FILE *file = fopen("/proc/meminfo", "re");
	if (!file)
		return 0;
	char line[128];
	uint64_t kib = 0;
	while (fgets(line, sizeof line, file) && sscanf(line, "MemAvailable: %" SCNu64, &kib) != 1)
		;
	(void)fclose(file);
	return kib * 1024 / SHARE;
}
