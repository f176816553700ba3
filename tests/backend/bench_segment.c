/*
 * Measures segment: sealing and writing in 1 MiB appends, sequential reads, random reads of 4 KiB. Usage: bench_segment
 * DIR [MiB] [block KiB…] Block sizes above SEGMENT_BLOCK_BYTES are measured on the format's functions alone, as the
 * store can't make them.
 */
#include "backend/segment.h"
#include "backend/segment_format.h"
#include "backend/vault_io.h"
#include "crypto/base/fault.h"
#include "crypto/keyring.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* The thread's own time: other work on the machine does not count. */
static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Sealing n MiB in blocks of `block` bytes, one write a MiB; then random reads of 4 KiB of it, a block each. */
static void bench_block(const char *directory, size_t block, size_t mib) {
	uint8_t key[SEGMENT_KEY_BYTES] = {1}, id[SEGMENT_ID_BYTES] = {2};
	char path[4096];
	Aead *aead = NULL;
	size_t n = (1u << 20) / block, sealed = block + SEGMENT_TAG_BYTES;
	uint8_t *plain = calloc(1, 1 << 20), *out = malloc(n * sealed), *got = malloc(sealed);
	(void)snprintf(path, sizeof path, "%s/bench", directory);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || aead_new(aead_best(), key, &aead) < 0)
		exit(1);
	double start = now();
	for (size_t i = 0; i < mib; i++) {
		for (size_t j = 0; j < n; j++)
			(void)segment_block_seal(aead, id, (uint32_t)(j * sealed), 0,
			        bytes_of(plain + j * block, block), out + j * sealed);
		if (pwrite(fd, out, n * sealed, (off_t)(i * n * sealed)) < 0)
			exit(1);
	}
	double write = now() - start;
	start = now();
	size_t reads = 40000;
	for (size_t i = 0; i < reads; i++) {
		size_t j = (size_t)random() % n, m = (size_t)random() % mib;
		if (pread(fd, got, sealed, (off_t)((m * n + j) * sealed)) != (ssize_t)sealed ||
		        segment_block_open(aead, id, (uint32_t)(j * sealed), 0, bytes_of(got, sealed), plain) < 0)
			exit(1);
	}
	double read = now() - start;
	printf("%4zu KiB  %6.2f GB/s seal+write  %7.0f random reads/s (%.2f us)  overhead %.2f%%\n", block >> 10,
	        (double)mib / 1024 * 1.0737 / write, (double)reads / read, read / (double)reads * 1e6,
	        100.0 * (SEGMENT_TAG_BYTES + SEGMENT_ENTRY_BYTES + BLOCK_REF_BYTES) / (double)block);
	aead_free(aead);
	close(fd);
	unlink(path);
	free(plain);
	free(out);
	free(got);
}

static void bench_store(const char *directory, size_t mib) {
	VaultIo *io = NULL;
	Keyring *keyring = NULL;
	SegmentStore *s = NULL;
	if (vault_io_open(directory, &io) < 0 || keyring_new_vault(&keyring) < 0 ||
	        segment_store_open(io, keyring, aead_best(), 1, &s) < 0)
		exit(1);
	uint8_t *plain = calloc(64, SEGMENT_BLOCK_BYTES), *out = calloc(64, SEGMENT_BLOCK_BYTES);
	struct block_ref *refs = calloc(mib * 64, sizeof *refs);
	struct segment_block blocks[64];
	for (size_t i = 0; i < 64; i++)
		blocks[i] =
		        (struct segment_block){.plain = bytes_of(plain + i * SEGMENT_BLOCK_BYTES, SEGMENT_BLOCK_BYTES)};
	double start = now();
	for (size_t i = 0; i < mib; i++) {
		if (segment_append(s, ZONE_LANDING, blocks, 64, refs + i * 64) < 0)
			exit(fprintf(stderr, "%s\n", fault_message()));
	}
	double write = now() - start;
	start = now();
	for (size_t i = 0; i < mib; i++) {
		if (segment_read(s, refs + i * 64, 64, out) < 0)
			exit(fprintf(stderr, "%s\n", fault_message()));
	}
	double read = now() - start;
	start = now();
	size_t reads = 40000;
	for (size_t i = 0; i < reads; i++) {
		if (segment_read(s, refs + (size_t)random() % (mib * 64), 1, out) < 0)
			exit(1);
	}
	double one = now() - start;
	start = now();
	blocks[0].plain.size = 4096;
	for (size_t i = 0; i < reads; i++) {
		if (segment_append(s, ZONE_RAW, blocks, 1, refs) < 0)
			exit(1);
	}
	double small = now() - start;
	printf("store: append 1 MiB %.2f GB/s, read 1 MiB %.2f GB/s, random block %.2f us, append of one 4 KiB block "
	       "%.2f us\n",
	        (double)mib / 1024 * 1.0737 / write, (double)mib / 1024 * 1.0737 / read, one / (double)reads * 1e6,
	        small / (double)reads * 1e6);
	segment_store_close(s);
	keyring_free(keyring);
	vault_io_close(io);
	free(plain);
	free(out);
	free(refs);
}

int main(int argc, char **argv) {
	size_t mib = argc > 2 ? strtoul(argv[2], NULL, 10) : 1024;
	if (argc < 2)
		return fprintf(stderr, "usage: bench_segment DIR [MiB]\n"), 2;
	for (size_t block = 4096; block <= 131072; block *= 2)
		bench_block(argv[1], block, mib);
	bench_store(argv[1], mib);
	return 0;
}
