#include "tests/backend/segment_fixture.h"

#include "crypto/digest.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

static int disk_fails(
        void *arg, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *ret_written) {
	struct segment_test *f = arg;
	if (strncmp(name, "segments/", 9) != 0)
		return 0;
	if (call == FAULTY_EXPECT)
		f->expected[f->expects++ % 4] = offset;
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

void segment_test_reopen(struct segment_test *f, uint64_t mount) {
	segment_store_close(f->store);
	f->store = NULL;
	assert_int_equal(segment_store_open(f->io, f->keyring, aead_best(), mount, &f->store), 0);
	for (size_t i = 0; i < sizeof f->rows / sizeof *f->rows; i++) {
		if (f->rows[i].number)
			assert_int_equal(segment_known(f->store, &f->rows[i]), 0);
	}
}

int segment_test_setup(void **state) {
	struct segment_test *f = calloc(1, sizeof *f);
	strcpy(f->path, "/tmp/assay-segment-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	pthread_mutex_init(&f->lock, NULL);
	f->fail_with = EIO;
	f->random = 1;
	assert_int_equal(faulty_io_open(f->path, disk_fails, f, &f->io), 0);
	assert_int_equal(keyring_new_vault(&f->keyring), 0);
	segment_test_reopen(f, 1);
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where) {
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

int segment_test_teardown(void **state) {
	struct segment_test *f = *state;
	segment_store_close(f->store);
	keyring_free(f->keyring);
	vault_io_close(f->io);
	nftw(f->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

int segment_test_take_row(const struct segment_row *row, void *arg) {
	struct segment_test *f = arg;
	assert_in_range(row->number, 1, 4095);
	f->rows[row->number] = *row;
	return 0;
}

void segment_test_commit(struct segment_test *f) {
	assert_int_equal(segment_flush(f->store), 0);
	assert_int_equal(segment_take_changes(f->store, segment_test_take_row, f), 0);
}

/* Bytes that depend on seed and position. */
void segment_test_fill(uint8_t *data, size_t size, uint32_t seed) {
	uint64_t value = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (size_t i = 0; i < size; i++) {
		value = value * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		data[i] = (uint8_t)(value >> 56);
	}
}

int segment_test_append(struct segment_test *f, enum zone zone, uint32_t seed, size_t size, struct block_ref *ret_ref) {
	uint8_t data[SEGMENT_BLOCK_BYTES];
	segment_test_fill(data, size, seed);
	struct segment_block block = {.plain = bytes_of(data, size), .node = 7, .version = 8, .offset = seed};
	return segment_append(f->store, zone, &block, 1, ret_ref);
}

void segment_test_assert_block(struct segment_test *f, const struct block_ref *ref, uint32_t seed, size_t size) {
	uint8_t want[SEGMENT_BLOCK_BYTES] = {0}, got[SEGMENT_BLOCK_BYTES];
	segment_test_fill(want, size, seed);
	if (segment_read(f->store, ref, 1, got) != 0)
		fail_msg("%s", fault_message());
	assert_memory_equal(want, got, sizeof want);
}

/* ---- verify ---- */

static int count(const struct segment_finding *finding, void *arg) {
	struct segment_verified *v = arg;
	v->blocks += finding->is_block;
	if (finding->wrong) {
		v->wrong++;
		(void)snprintf(v->words, sizeof v->words, "%s", finding->wrong);
	}
	return 0;
}

struct segment_verified segment_test_verify(struct segment_test *f, uint32_t number) {
	struct segment_verified v = {0};
	assert_int_equal(segment_verify(f->store, number, count, &v), 0);
	return v;
}

size_t segment_test_wrong_anywhere(struct segment_test *f) {
	size_t wrong = 0;
	for (uint32_t i = 1; i < 4096; i++) {
		if (f->rows[i].number)
			wrong += segment_test_verify(f, i).wrong;
	}
	return wrong;
}

int segment_test_open_segment(struct segment_test *f, uint32_t number) {
	char name[SEGMENT_NAME_BYTES], path[256];
	assert_int_equal(segment_name(f->store, number, name), 0);
	(void)snprintf(path, sizeof path, "%s/%s", f->path, name);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

size_t segment_test_sealed(void) {
	return watch.used;
}

size_t segment_test_repeats(void) {
	return watch.repeats;
}

void segment_test_end(void) {
	free(watch.keys);
	free(watch.table);
}
