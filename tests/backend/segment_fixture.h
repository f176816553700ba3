/*
 * segment_fixture: a store of segments on a real directory, with failures of the disk made by faulty_io. The tests that
 * use it are linked so that aead_new and aead_seal_at pass through it: no (key, position) may ever seal two different
 * things.
 */
#pragma once

#include "backend/segment.h"
#include "backend/segment_format.h"
#include "crypto/base/fault.h"
#include "crypto/keyring.h"
#include "tests/backend/faulty_io.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct segment_test {
	char path[64];
	VaultIo *io;
	Keyring *keyring;
	SegmentStore *store;
	pthread_mutex_t lock;
	unsigned random;      /* of the failures */
	unsigned fail_one_in; /* writes to segments; 0: none */
	int fail_with;
	unsigned fail_next; /* that many writes from now on */
	bool fail_sync;
	unsigned failures;
	unsigned expects; /* how often the disk was told of a range that will be read; where the last ones began */
	uint64_t expected[4];
	struct segment_row rows[4096]; /* what the database would have */
};

/* cmocka set-up and tear-down; after the last test segment_test_end. */
int segment_test_setup(void **state);
int segment_test_teardown(void **state);
void segment_test_end(void);

/* How many (key, position) sealed something, and how often one sealed two different things. */
size_t segment_test_sealed(void);
size_t segment_test_repeats(void);

/* Closes the store and opens it as mount number `mount`, with the rows that were committed. */
void segment_test_reopen(struct segment_test *f, uint64_t mount);
void segment_test_commit(struct segment_test *f);
int segment_test_take_row(const struct segment_row *row, void *arg);

/* Bytes that depend on seed and position; a block of them appended, and held against what is read. */
void segment_test_fill(uint8_t *data, size_t size, uint32_t seed);
int segment_test_append(struct segment_test *f, enum zone zone, uint32_t seed, size_t size, struct block_ref *ret_ref);
void segment_test_assert_block(struct segment_test *f, const struct block_ref *ref, uint32_t seed, size_t size);

struct segment_verified {
	size_t blocks, wrong;
	char words[256];
};
struct segment_verified segment_test_verify(struct segment_test *f, uint32_t number);
size_t segment_test_wrong_anywhere(struct segment_test *f);

/* A descriptor of the segment's file. */
int segment_test_open_segment(struct segment_test *f, uint32_t number);
