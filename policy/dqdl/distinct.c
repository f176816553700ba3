#include "policy/dqdl/distinct.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <sodium.h>
#include <stdatomic.h>
#include <string.h>

#define FIRST_SLOTS 1024u

static_assert(DISTINCT_KEY_BYTES == crypto_shorthash_siphashx24_KEYBYTES, "SipHash's key");

struct slot {
	uint64_t hash[2];
	uint64_t count; /* 0: free */
};

struct Distinct {
	uint8_t key[DISTINCT_KEY_BYTES];
	struct distinct_budget *budget;
	struct slot *slots;
	size_t capacity; /* a power of two */
	size_t used;
};

Distinct *distinct_new(const uint8_t key[static DISTINCT_KEY_BYTES], struct distinct_budget *budget) {
	Distinct *distinct = calloc(1, sizeof *distinct);
	if (!distinct)
		return NULL;
	memcpy(distinct->key, key, sizeof distinct->key);
	distinct->budget = budget;
	return distinct;
}

void distinct_free(Distinct *distinct) {
	if (!distinct)
		return;
	atomic_fetch_sub(&distinct->budget->used, distinct->capacity * sizeof *distinct->slots);
	free(distinct->slots);
	free(distinct);
}

static void hash_value(const Distinct *distinct, const void *value, size_t size, uint64_t ret_hash[static 2]) {
	static_assert(crypto_shorthash_siphashx24_BYTES == 16, "two words");
	(void)crypto_shorthash_siphashx24((unsigned char *)ret_hash, value, size, distinct->key);
}

/* The slot of a hash, or the free one where it would be put. */
static struct slot *find(const Distinct *distinct, const uint64_t hash[static 2]) {
	size_t mask = distinct->capacity - 1;
	size_t i = (size_t)hash[0] & mask;
	while (distinct->slots[i].count &&
	        (distinct->slots[i].hash[0] != hash[0] || distinct->slots[i].hash[1] != hash[1]))
		i = (i + 1) & mask;
	return &distinct->slots[i];
}

static int grow(Distinct *distinct) {
	size_t capacity = distinct->capacity ? distinct->capacity * 2 : FIRST_SLOTS;
	size_t bytes = capacity * sizeof *distinct->slots;
	struct distinct_budget *budget = distinct->budget;
	/* While values move, both tables are there. What is asked for is taken first: another may be asking, too. */
	size_t used = atomic_fetch_add(&budget->used, bytes);
	struct slot *slots = NULL;
	if (bytes > budget->limit || used > budget->limit - bytes || !(slots = calloc(capacity, sizeof *slots))) {
		atomic_fetch_sub(&budget->used, bytes);
		return slots || bytes > budget->limit || used > budget->limit - bytes ? -ENOSPC : -ENOMEM;
	}
	struct slot *old = distinct->slots;
	size_t old_capacity = distinct->capacity;
	distinct->slots = slots;
	distinct->capacity = capacity;
	for (size_t i = 0; i < old_capacity; i++)
		if (old[i].count)
			*find(distinct, old[i].hash) = old[i];
	free(old);
	atomic_fetch_sub(&budget->used, old_capacity * sizeof *slots);
	return 0;
}

int distinct_add(Distinct *distinct, const void *value, size_t size, uint64_t *ret_count) {
	uint64_t hash[2];
	if (distinct->used >= distinct->capacity / 4 * 3) {
		int rc = grow(distinct);
		if (rc < 0)
			return rc;
	}
	hash_value(distinct, value, size, hash);
	struct slot *slot = find(distinct, hash);
	if (slot->count == 0) {
		slot->hash[0] = hash[0];
		slot->hash[1] = hash[1];
		distinct->used++;
	}
	*ret_count = ++slot->count;
	return 0;
}

uint64_t distinct_count(const Distinct *distinct, const void *value, size_t size) {
	uint64_t hash[2];
	if (distinct->capacity == 0)
		return 0;
	hash_value(distinct, value, size, hash);
	return find(distinct, hash)->count;
}

static void summarize_one(struct distinct_summary *summary, uint64_t count) {
	if (count == 0)
		return;
	summary->total += count;
	summary->values++;
	summary->once += count == 1;
	summary->duplicated += count > 1 ? count : 0;
}

struct distinct_summary distinct_summarize(const Distinct *distinct, uint64_t others) {
	struct distinct_summary summary = {0};
	summarize_one(&summary, others);
	for (size_t i = 0; i < distinct->capacity; i++)
		summarize_one(&summary, distinct->slots[i].count);
	/* -sum p ln p = ln n - (sum c ln c) / n; long double, as many small terms are added. */
	long double sum = others ? (long double)others * logl((long double)others) : 0;
	for (size_t i = 0; i < distinct->capacity; i++)
		if (distinct->slots[i].count > 1)
			sum += (long double)distinct->slots[i].count * logl((long double)distinct->slots[i].count);
	if (summary.total > 0)
		summary.entropy = (double)(logl((long double)summary.total) - sum / (long double)summary.total);
	return summary;
}
