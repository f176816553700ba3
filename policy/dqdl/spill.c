#include "policy/dqdl/spill.h"

#include "crypto/aead.h"
#include "crypto/base/fault.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct Spill {
	int fd;
	Aead *aead;
	_Atomic uint64_t end; /* of what was written */
};

int spill_new(int fd, Spill **ret_spill) {
	_cleanup_(spill_freep) Spill *spill = calloc(1, sizeof *spill);
	uint8_t key[AEAD_KEY_BYTES];
	if (!spill)
		return spill_out_of_memory();
	spill->fd = fd;
	randombytes_buf(key, sizeof key);
	int rc = aead_new(aead_best(), key, &spill->aead);
	sodium_memzero(key, sizeof key);
	if (rc < 0)
		return rc;
	*ret_spill = steal_pointer(&spill);
	return 0;
}

void spill_free(Spill *spill) {
	if (!spill)
		return;
	aead_free(spill->aead);
	free(spill);
}

static int write_all(int fd, const uint8_t *bytes, size_t size, off_t at) {
	while (size > 0) {
		ssize_t put = pwrite(fd, bytes, size, at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return fault_errno(put < 0 ? errno : ENOSPC, "writing a check's temporary file");
		bytes += put;
		size -= (size_t)put;
		at += put;
	}
	return 0;
}

static int read_all(int fd, uint8_t *bytes, size_t size, off_t at) {
	while (size > 0) {
		ssize_t got = pread(fd, bytes, size, at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_errno(errno, "reading a check's temporary file");
		if (got == 0)
			return fault(EBADMSG, "a check's temporary file was cut off");
		bytes += got;
		size -= (size_t)got;
		at += got;
	}
	return 0;
}

int spill_put(Spill *spill, struct bytes block, uint64_t *ret_at) {
	uint8_t stored[SPILL_BLOCK_MAX + AEAD_TAG_BYTES];
	assert(block.size <= SPILL_BLOCK_MAX);
	uint64_t at = atomic_fetch_add(&spill->end, block.size + AEAD_TAG_BYTES);
	int rc = aead_seal_at(spill->aead, at, bytes_of(NULL, 0), block, stored, stored + block.size);
	if (rc < 0)
		return rc;
	*ret_at = at;
	return write_all(spill->fd, stored, block.size + AEAD_TAG_BYTES, (off_t)at);
}

int spill_get(Spill *spill, uint64_t at, void *ret_block, size_t size) {
	uint8_t stored[SPILL_BLOCK_MAX + AEAD_TAG_BYTES];
	assert(size <= SPILL_BLOCK_MAX);
	int rc = read_all(spill->fd, stored, size + AEAD_TAG_BYTES, (off_t)at);
	if (rc < 0)
		return rc;
	rc = aead_open_at(spill->aead, at, bytes_of(NULL, 0), bytes_of(stored, size), stored + size, ret_block);
	return rc == -EBADMSG ? fault(EBADMSG, "a check's temporary file was changed by somebody else") : rc;
}

int spill_out_of_memory(void) {
	return fault(ENOMEM, "no memory for a check");
}

void spill_warm_up(void) {
	_cleanup_(spill_freep) Spill *spill = NULL;
	uint8_t block[SPILL_BLOCK_MAX] = {0}, tag[AEAD_TAG_BYTES];
	if (spill_new(-1, &spill) < 0)
		return;
	if (aead_seal_at(spill->aead, 0, bytes_of(NULL, 0), bytes_of(block, sizeof block), block, tag) == 0)
		(void)aead_open_at(spill->aead, 0, bytes_of(NULL, 0), bytes_of(block, sizeof block), tag, block);
}

/* Where the file system knows no files without a name, one is made and its name taken away at once. */
static int open_and_unlink(int folder) {
	char name[40];
	(void)snprintf(name, sizeof name, ".assayfs-check-%08x%08x", randombytes_random(), randombytes_random());
	int fd = openat(folder, name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)unlinkat(folder, name, 0);
	return fd >= 0 ? fd : fault_errno(errno, "making a temporary file for a check");
}

int spill_open_file(int folder) {
	int fd = openat(folder, ".", O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
	return fd >= 0 ? fd : open_and_unlink(folder);
}
