/*
 * Segments on a real directory, with failures of the disk made by faulty_io. Linked so that aead_new and aead_seal_at
 * pass through here: no (key, position) may ever seal two different things.
 */
#include "backend/segment.h"
#include "backend/segment_format.h"
#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "crypto/keyring.h"
#include "tests/backend/faulty_io.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

/* ---- watching nonces ---- */

int __real_aead_new(enum aead_cipher cipher, const uint8_t key[static AEAD_KEY_BYTES], Aead **ret_aead);
int __wrap_aead_new(enum aead_cipher cipher, const uint8_t key[static AEAD_KEY_BYTES], Aead **ret_aead);
int __real_aead_seal_at(const Aead *aead, uint64_t position, struct bytes ad, struct bytes plain, uint8_t *ret_cipher,
        uint8_t ret_tag[static AEAD_TAG_BYTES]);
int __wrap_aead_seal_at(const Aead *aead, uint64_t position, struct bytes ad, struct bytes plain, uint8_t *ret_cipher,
        uint8_t ret_tag[static AEAD_TAG_BYTES]);
void __real_aead_free(Aead *aead);
void __wrap_aead_free(Aead *aead);

struct watched_key {
	Aead *aead;
	uint8_t key[AEAD_KEY_BYTES];
};

struct sealed {
	uint8_t place[DIGEST_BYTES]; /* of key and position */
	uint8_t what[DIGEST_BYTES];  /* of associated data and plaintext */
};

static struct {
	pthread_mutex_t lock;
	struct watched_key *keys;
	size_t key_count;
	struct sealed *table; /* open addressing */
	size_t used;
	size_t repeats; /* a place sealed twice with different things */
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER};
#define WATCH_SLOTS (1u << 18)

int __wrap_aead_new(enum aead_cipher cipher, const uint8_t key[static AEAD_KEY_BYTES], Aead **ret_aead) {
	int rc = __real_aead_new(cipher, key, ret_aead);
	pthread_mutex_lock(&watch.lock);
	watch.keys = realloc(watch.keys, (watch.key_count + 1) * sizeof *watch.keys);
	watch.keys[watch.key_count].aead = *ret_aead;
	memcpy(watch.keys[watch.key_count++].key, key, AEAD_KEY_BYTES);
	pthread_mutex_unlock(&watch.lock);
	return rc;
}

void __wrap_aead_free(Aead *aead) {
	pthread_mutex_lock(&watch.lock);
	for (size_t i = watch.key_count; i-- > 0;) {
		if (watch.keys[i].aead == aead) {
			watch.keys[i] = watch.keys[--watch.key_count];
			break;
		}
	}
	pthread_mutex_unlock(&watch.lock);
	__real_aead_free(aead);
}

static const uint8_t *key_of(const Aead *aead) {
	for (size_t i = watch.key_count; i-- > 0;) {
		if (watch.keys[i].aead == aead)
			return watch.keys[i].key;
	}
	return NULL;
}

int __wrap_aead_seal_at(const Aead *aead, uint64_t position, struct bytes ad, struct bytes plain, uint8_t *ret_cipher,
        uint8_t ret_tag[static AEAD_TAG_BYTES]) {
	struct sealed entry;
	struct blake2b hash;
	blake2b_init(&hash, NULL);
	blake2b_update(&hash, ad);
	blake2b_update(&hash, plain);
	blake2b_final(&hash, entry.what);
	pthread_mutex_lock(&watch.lock);
	uint8_t place[AEAD_KEY_BYTES + 8];
	memcpy(place, key_of(aead), AEAD_KEY_BYTES);
	le64_put(place + AEAD_KEY_BYTES, position);
	blake2b(bytes_of(place, sizeof place), entry.place);
	if (!watch.table)
		watch.table = calloc(WATCH_SLOTS, sizeof *watch.table);
	size_t slot = le32_get(entry.place) % WATCH_SLOTS;
	static const uint8_t nothing[DIGEST_BYTES];
	while (memcmp(watch.table[slot].place, nothing, DIGEST_BYTES) != 0 &&
	        memcmp(watch.table[slot].place, entry.place, DIGEST_BYTES) != 0)
		slot = (slot + 1) % WATCH_SLOTS;
	if (memcmp(watch.table[slot].place, nothing, DIGEST_BYTES) == 0) {
		watch.table[slot] = entry;
		watch.used++;
	} else if (memcmp(watch.table[slot].what, entry.what, DIGEST_BYTES) != 0) {
		watch.repeats++;
	}
	pthread_mutex_unlock(&watch.lock);
	return __real_aead_seal_at(aead, position, ad, plain, ret_cipher, ret_tag);
}

/* ---- fixture ---- */

struct fixture {
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
	struct segment_row rows[4096]; /* what the database would have */
};

static int disk_fails(
        void *arg, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *ret_written) {
	struct fixture *f = arg;
	(void)offset;
	if (strncmp(name, "segments/", 9) != 0)
		return 0;
	if (call == FAULTY_SYNC && f->fail_sync)
		return -EIO;
	if (call != FAULTY_WRITE || (f->fail_one_in == 0 && f->fail_next == 0))
		return 0;
	pthread_mutex_lock(&f->lock);
	int draw = rand_r(&f->random);
	bool now = f->fail_next > 0 || (unsigned)draw % f->fail_one_in == 0;
	f->fail_next -= f->fail_next > 0;
	f->failures += now;
	pthread_mutex_unlock(&f->lock);
	*ret_written = now ? (size_t)draw % (size + 1) : 0;
	return now ? -f->fail_with : 0;
}

static void reopen(struct fixture *f, uint64_t mount) {
	segment_store_close(f->store);
	f->store = NULL;
	assert_int_equal(segment_store_open(f->io, f->keyring, aead_best(), mount, &f->store), 0);
	for (size_t i = 0; i < sizeof f->rows / sizeof *f->rows; i++) {
		if (f->rows[i].number)
			assert_int_equal(segment_known(f->store, &f->rows[i]), 0);
	}
}

static int setup(void **state) {
	struct fixture *f = calloc(1, sizeof *f);
	strcpy(f->path, "/tmp/assay-segment-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	pthread_mutex_init(&f->lock, NULL);
	f->fail_with = EIO;
	f->random = 1;
	assert_int_equal(faulty_io_open(f->path, disk_fails, f, &f->io), 0);
	assert_int_equal(keyring_new_vault(&f->keyring), 0);
	reopen(f, 1);
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where) {
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

static int teardown(void **state) {
	struct fixture *f = *state;
	segment_store_close(f->store);
	keyring_free(f->keyring);
	vault_io_close(f->io);
	nftw(f->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static int take_row(const struct segment_row *row, void *arg) {
	struct fixture *f = arg;
	assert_in_range(row->number, 1, 4095);
	f->rows[row->number] = *row;
	return 0;
}

static void commit(struct fixture *f) {
	assert_int_equal(segment_flush(f->store), 0);
	assert_int_equal(segment_take_changes(f->store, take_row, f), 0);
}

/* Bytes that depend on seed and position. */
static void fill(uint8_t *data, size_t size, uint32_t seed) {
	uint64_t value = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (size_t i = 0; i < size; i++) {
		value = value * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		data[i] = (uint8_t)(value >> 56);
	}
}

static int append(struct fixture *f, enum zone zone, uint32_t seed, size_t size, struct block_ref *ret_ref) {
	uint8_t data[SEGMENT_BLOCK_BYTES];
	fill(data, size, seed);
	struct segment_block block = {.plain = bytes_of(data, size), .node = 7, .version = 8, .offset = seed};
	return segment_append(f->store, zone, &block, 1, ret_ref);
}

static void assert_block(struct fixture *f, const struct block_ref *ref, uint32_t seed, size_t size) {
	uint8_t want[SEGMENT_BLOCK_BYTES] = {0}, got[SEGMENT_BLOCK_BYTES];
	fill(want, size, seed);
	if (segment_read(f->store, ref, 1, got) != 0)
		fail_msg("%s", fault_message());
	assert_memory_equal(want, got, sizeof want);
}

/* ---- verify ---- */

struct verified {
	size_t blocks, wrong;
	char words[256];
};

static int count(const struct segment_finding *finding, void *arg) {
	struct verified *v = arg;
	v->blocks += finding->is_block;
	if (finding->wrong) {
		v->wrong++;
		(void)snprintf(v->words, sizeof v->words, "%s", finding->wrong);
	}
	return 0;
}

static struct verified verify(struct fixture *f, uint32_t number) {
	struct verified v = {0};
	assert_int_equal(segment_verify(f->store, number, count, &v), 0);
	return v;
}

static size_t wrong_anywhere(struct fixture *f) {
	size_t wrong = 0;
	for (uint32_t i = 1; i < 4096; i++) {
		if (f->rows[i].number)
			wrong += verify(f, i).wrong;
	}
	return wrong;
}

static int open_segment(struct fixture *f, uint32_t number) {
	char name[SEGMENT_NAME_BYTES], path[256];
	assert_int_equal(segment_name(f->store, number, name), 0);
	(void)snprintf(path, sizeof path, "%s/%s", f->path, name);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* ---- tests ---- */

static void what_was_appended_is_read_back(void **state) {
	struct fixture *f = *state;
	static const size_t sizes[] = {1, 15, 16, 4096, 16383, 16384};
	struct block_ref refs[6];
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(append(f, ZONE_LANDING, (uint32_t)i, sizes[i], &refs[i]), 0);
	for (size_t i = 0; i < 6; i++)
		assert_block(f, &refs[i], (uint32_t)i, sizes[i]);
	commit(f);
	reopen(f, 2);
	for (size_t i = 0; i < 6; i++)
		assert_block(f, &refs[i], (uint32_t)i, sizes[i]);
}

static void a_large_append_becomes_batches_and_holes_are_zeros(void **state) {
	struct fixture *f = *state;
	enum { N = 200 };
	uint8_t *data = malloc(N * SEGMENT_BLOCK_BYTES), *got = malloc((N + 1) * SEGMENT_BLOCK_BYTES);
	struct segment_block blocks[N];
	struct block_ref refs[N + 1];
	fill(data, N * SEGMENT_BLOCK_BYTES, 5);
	for (size_t i = 0; i < N; i++)
		blocks[i] =
		        (struct segment_block){.plain = bytes_of(data + i * SEGMENT_BLOCK_BYTES, SEGMENT_BLOCK_BYTES)};
	assert_int_equal(segment_append(f->store, ZONE_RAW, blocks, N, refs), 0);
	/* A hole in the middle splits the run. */
	memmove(refs + 101, refs + 100, 100 * sizeof *refs);
	memset(refs + 100, 0, sizeof *refs);
	assert_int_equal(segment_read(f->store, refs, N + 1, got), 0);
	assert_memory_equal(got, data, 100 * SEGMENT_BLOCK_BYTES);
	assert_memory_equal(
	        got + 101 * SEGMENT_BLOCK_BYTES, data + 100 * SEGMENT_BLOCK_BYTES, 100 * SEGMENT_BLOCK_BYTES);
	for (size_t i = 0; i < SEGMENT_BLOCK_BYTES; i++)
		assert_int_equal(got[100 * SEGMENT_BLOCK_BYTES + i], 0);
	free(data);
	free(got);
}

static void zones_never_share_a_segment(void **state) {
	struct fixture *f = *state;
	struct block_ref refs[4];
	static const enum zone zones[] = {ZONE_LANDING, ZONE_RAW, ZONE_TRUSTED, ZONE_STAGING};
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(append(f, zones[i], 1, 100, &refs[i]), 0);
	for (size_t i = 0; i < 4; i++) {
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(refs[i].segment, refs[j].segment);
	}
	assert_int_equal(append(f, ZONE_NONE, 1, 100, &refs[0]), -EINVAL);
}

static void a_segment_is_closed_when_full(void **state) {
	struct fixture *f = *state;
	uint8_t *data = calloc(64, SEGMENT_BLOCK_BYTES);
	struct segment_block blocks[64];
	struct block_ref refs[64];
	for (size_t i = 0; i < 64; i++)
		blocks[i] =
		        (struct segment_block){.plain = bytes_of(data + i * SEGMENT_BLOCK_BYTES, SEGMENT_BLOCK_BYTES)};
	for (size_t i = 0; i < 70; i++)
		assert_int_equal(segment_append(f->store, ZONE_LANDING, blocks, 64, refs), 0);
	free(data);
	commit(f);
	assert_int_equal(refs[0].segment, 2);
	assert_int_equal(f->rows[1].state, SEGMENT_CLOSED);
	assert_true(f->rows[1].bytes <= SEGMENT_MAX_BYTES);
	assert_int_equal(f->rows[2].state, SEGMENT_OPEN);
	segment_finish(f->store);
	commit(f);
	assert_int_equal(f->rows[2].state, SEGMENT_CLOSED);
	assert_int_equal(wrong_anywhere(f), 0);
}

static void only_synced_bytes_are_told(void **state) {
	struct fixture *f = *state;
	struct block_ref ref;
	assert_int_equal(append(f, ZONE_LANDING, 1, 100, &ref), 0);
	assert_int_equal(segment_take_changes(f->store, take_row, f), 0);
	assert_int_equal(f->rows[1].number, 0);
	commit(f);
	uint64_t bytes = f->rows[1].bytes;
	assert_int_equal(bytes, SEGMENT_HEADER_BYTES + segment_batch_prefix(1) + 100 + 16);
	assert_int_equal(append(f, ZONE_LANDING, 2, 100, &ref), 0);
	assert_int_equal(segment_take_changes(f->store, take_row, f), 0);
	assert_int_equal(f->rows[1].bytes, bytes);
	commit(f);
	assert_true(f->rows[1].bytes > bytes);
}

static void after_a_failed_sync_nothing_is_promised_any_more(void **state) {
	struct fixture *f = *state;
	struct block_ref ref, other;
	assert_int_equal(append(f, ZONE_LANDING, 1, 100, &ref), 0);
	f->fail_sync = true;
	assert_int_equal(segment_flush(f->store), -EIO);
	f->fail_sync = false;
	assert_int_equal(segment_flush(f->store), -EIO);
	assert_int_equal(append(f, ZONE_LANDING, 2, 100, &other), -EIO);
	assert_block(f, &ref, 1, 100);
}

/* Flips each byte of a small segment: reads of the block and verify must notice those that matter to them. */
static void every_flipped_byte_is_found(void **state) {
	struct fixture *f = *state;
	struct block_ref refs[2];
	assert_int_equal(append(f, ZONE_LANDING, 1, 200, &refs[0]), 0);
	assert_int_equal(append(f, ZONE_LANDING, 2, 300, &refs[1]), 0);
	segment_finish(f->store);
	commit(f);
	assert_int_equal(verify(f, 1).blocks, 2);
	int fd = open_segment(f, 1);
	uint8_t got[SEGMENT_BLOCK_BYTES];
	for (uint64_t at = 0; at < f->rows[1].bytes; at++) {
		uint8_t byte;
		assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
		byte ^= (uint8_t)(1u << (at % 8));
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
		reopen(f, 2);
		assert_true(verify(f, 1).wrong > 0);
		bool in_first = at >= refs[0].position && at < refs[0].position + 216u;
		bool in_header = at >= refs[0].batch && at < refs[0].batch + (uint64_t)SEGMENT_BATCH_BYTES;
		assert_int_equal(segment_read(f->store, &refs[0], 1, got), in_first || in_header ? -EBADMSG : 0);
		byte ^= (uint8_t)(1u << (at % 8));
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	}
	reopen(f, 2);
	assert_int_equal(verify(f, 1).wrong, 0);
	assert_int_equal(pwrite(fd, "x", 1, (off_t)f->rows[1].bytes), 1);
	assert_int_equal(verify(f, 1).wrong, 1);
	assert_int_equal(ftruncate(fd, (off_t)f->rows[1].bytes - 1), 0);
	assert_true(verify(f, 1).wrong > 0);
	assert_int_equal(segment_read(f->store, &refs[1], 1, got), -EBADMSG);
	assert_non_null(strstr(fault_message(), "segments/"));
	close(fd);
}

static void a_reference_to_another_block_is_refused(void **state) {
	struct fixture *f = *state;
	struct block_ref a, b, mixed;
	uint8_t got[SEGMENT_BLOCK_BYTES];
	assert_int_equal(append(f, ZONE_LANDING, 1, 200, &a), 0);
	assert_int_equal(append(f, ZONE_LANDING, 2, 200, &b), 0);
	mixed = a;
	mixed.position = b.position;
	assert_int_equal(segment_read(f->store, &mixed, 1, got), -EBADMSG);
	mixed = a;
	mixed.tag[3] ^= 1;
	assert_int_equal(segment_read(f->store, &mixed, 1, got), -EBADMSG);
	for (size_t i = 0; i < sizeof got; i++)
		assert_int_equal(got[i], 0);
	mixed = a;
	mixed.segment = 99;
	assert_int_equal(segment_read(f->store, &mixed, 1, got), -EBADMSG);
	mixed = a;
	mixed.plain = 0;
	assert_int_equal(segment_read(f->store, &mixed, 1, got), -EBADMSG);
	mixed = a;
	mixed.position = UINT32_MAX - 3;
	assert_int_equal(segment_read(f->store, &mixed, 1, got), -EBADMSG);
	mixed = a;
	mixed.batch = a.position;
	assert_int_equal(segment_read(f->store, &mixed, 1, got), -EBADMSG);
}

static void a_missing_segment_is_named(void **state) {
	struct fixture *f = *state;
	struct block_ref ref;
	char name[SEGMENT_NAME_BYTES];
	assert_int_equal(append(f, ZONE_LANDING, 1, 200, &ref), 0);
	segment_finish(f->store);
	commit(f);
	reopen(f, 2);
	assert_int_equal(segment_name(f->store, 1, name), 0);
	assert_int_equal(vault_io_unlink(f->io, name), 0);
	uint8_t got[SEGMENT_BLOCK_BYTES];
	assert_int_equal(segment_read(f->store, &ref, 1, got), -EBADMSG);
	assert_non_null(strstr(fault_message(), name));
	assert_int_equal(verify(f, 1).wrong, 1);
}

/* ---- failures ---- */

struct load {
	struct fixture *f;
	uint32_t seed;
	size_t n;
	int worst; /* the one error that may happen */
	struct block_ref refs[600];
	bool there[600];
};

static size_t size_of(uint32_t seed) {
	return 1 + (seed * 7919u) % SEGMENT_BLOCK_BYTES;
}

static void *append_many(void *arg) {
	struct load *load = arg;
	for (size_t i = 0; i < load->n; i++) {
		uint32_t seed = load->seed + (uint32_t)i;
		int rc = append(load->f, ZONE_LANDING, seed, size_of(seed), &load->refs[i]);
		load->there[i] = rc == 0;
		if (rc < 0)
			load->worst = rc;
		if (i % 50 == 0)
			(void)segment_flush(load->f->store);
	}
	return NULL;
}

static void run_under_failures(struct fixture *f, int error, unsigned one_in) {
	enum { THREADS = 3 };
	static struct load loads[THREADS];
	pthread_t threads[THREADS];
	f->fail_with = error;
	f->fail_one_in = one_in;
	size_t there = 0;
	for (uint32_t i = 0; i < THREADS; i++) {
		loads[i] = (struct load){.f = f, .seed = 10000 * (i + 1), .n = 600};
		assert_int_equal(pthread_create(&threads[i], NULL, append_many, &loads[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	f->fail_one_in = 0;
	assert_true(f->failures > 10);
	segment_finish(f->store);
	commit(f);
	reopen(f, 2);
	for (size_t i = 0; i < THREADS; i++) {
		assert_true(loads[i].worst == 0 || loads[i].worst == -error);
		for (size_t j = 0; j < loads[i].n; j++) {
			uint32_t seed = loads[i].seed + (uint32_t)j;
			if (loads[i].there[j])
				assert_block(f, &loads[i].refs[j], seed, size_of(seed));
			there += loads[i].there[j];
		}
	}
	assert_true(there > 600);
	assert_int_equal(wrong_anywhere(f), 0);
	assert_int_equal(watch.repeats, 0);
	assert_true(watch.used > 1800);
}

static void failing_writes_lose_nothing_that_was_answered(void **state) {
	run_under_failures(*state, EIO, 7);
}

static void a_full_disk_is_told_and_loses_nothing(void **state) {
	run_under_failures(*state, ENOSPC, 5);
}

static void a_write_that_fails_once_is_repeated_in_place(void **state) {
	struct fixture *f = *state;
	struct block_ref before, after;
	assert_int_equal(append(f, ZONE_LANDING, 1, 4000, &before), 0);
	f->fail_next = 1;
	assert_int_equal(append(f, ZONE_LANDING, 2, 4000, &after), 0);
	assert_int_equal(after.segment, before.segment);
	assert_int_equal(after.batch, before.position + 4000 + 16);
	assert_block(f, &after, 2, 4000);
	assert_int_equal(watch.repeats, 0);
}

static void a_write_that_keeps_failing_goes_to_the_next_segment(void **state) {
	struct fixture *f = *state;
	struct block_ref before, after;
	assert_int_equal(append(f, ZONE_LANDING, 1, 4000, &before), 0);
	f->fail_next = 2;
	assert_int_equal(append(f, ZONE_LANDING, 2, 4000, &after), 0);
	assert_int_equal(after.segment, before.segment + 1);
	assert_block(f, &before, 1, 4000);
	assert_block(f, &after, 2, 4000);
	commit(f);
	assert_int_equal(f->rows[before.segment].state, SEGMENT_ABANDONED);
	assert_int_equal(f->rows[before.segment].bytes, before.position + 4000 + 16);
	assert_int_equal(wrong_anywhere(f), 0);
	assert_int_equal(watch.repeats, 0);
}

/* ---- crash ---- */

static size_t count_files(struct fixture *f) {
	size_t n = 0;
	char command[128];
	(void)snprintf(command, sizeof command, "find %s -type f | wc -l", f->path);
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	assert_int_equal(fscanf(pipe, "%zu", &n), 1);
	pclose(pipe);
	return n;
}

static void a_sweep_cuts_what_was_not_committed_and_removes_only_that_mounts_files(void **state) {
	struct fixture *f = *state;
	struct block_ref kept, gone, foreign;
	uint64_t cut = 0, removed = 0;
	assert_int_equal(append(f, ZONE_LANDING, 1, 500, &kept), 0);
	commit(f);
	assert_int_equal(append(f, ZONE_LANDING, 2, 500, &gone), 0); /* after the commit */
	assert_int_equal(append(f, ZONE_RAW, 3, 500, &gone), 0);     /* a segment that no row names */
	reopen(f, 7);
	assert_int_equal(
	        append(f, ZONE_RAW, 4, 500, &foreign), 0); /* unknown, and of another mount than the crashed one */
	assert_int_equal(count_files(f), 3);
	reopen(f, 2);
	assert_int_equal(segment_sweep(f->store, 1, &cut, &removed), 0);
	assert_int_equal(cut, segment_batch_prefix(1) + 500 + 16);
	assert_int_equal(removed, SEGMENT_HEADER_BYTES + segment_batch_prefix(1) + 500 + 16);
	assert_int_equal(count_files(f), 2);
	assert_block(f, &kept, 1, 500);
	assert_int_equal(segment_take_changes(f->store, take_row, f), 0);
	assert_int_equal(f->rows[1].state, SEGMENT_CLOSED);
	assert_int_equal(wrong_anywhere(f), 0);
	assert_int_equal(append(f, ZONE_LANDING, 5, 500, &gone), 0);
	assert_int_not_equal(gone.segment, kept.segment);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(what_was_appended_is_read_back, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_large_append_becomes_batches_and_holes_are_zeros, setup, teardown),
	        cmocka_unit_test_setup_teardown(zones_never_share_a_segment, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_segment_is_closed_when_full, setup, teardown),
	        cmocka_unit_test_setup_teardown(only_synced_bytes_are_told, setup, teardown),
	        cmocka_unit_test_setup_teardown(after_a_failed_sync_nothing_is_promised_any_more, setup, teardown),
	        cmocka_unit_test_setup_teardown(every_flipped_byte_is_found, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_reference_to_another_block_is_refused, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_missing_segment_is_named, setup, teardown),
	        cmocka_unit_test_setup_teardown(failing_writes_lose_nothing_that_was_answered, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_full_disk_is_told_and_loses_nothing, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_write_that_fails_once_is_repeated_in_place, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_write_that_keeps_failing_goes_to_the_next_segment, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                a_sweep_cuts_what_was_not_committed_and_removes_only_that_mounts_files, setup, teardown),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(watch.keys);
	free(watch.table);
	return failed;
}
