#include "policy/dqdl/distinct.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/spilled.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
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
	Spill *spill;     /* NULL: there is none */
	Spilled *spilled; /* counts of rows before those that the slots are about; NULL: all are in the slots */
	uint64_t *lines;  /* once that began: of each slot, where its value occurred first since */
	bool is_whole;    /* the slots have, after a spill, all values that occur more than once, and no other */
	bool is_lost;     /* there were too many of those */
};

Distinct *distinct_new(const uint8_t key[static DISTINCT_KEY_BYTES], struct distinct_budget *budget, Spill *spill) {
	Distinct *distinct = calloc(1, sizeof *distinct);
	if (!distinct)
		return NULL;
	memcpy(distinct->key, key, sizeof distinct->key);
	distinct->budget = budget;
	distinct->spill = spill;
	return distinct;
}

static void drop_slots(Distinct *distinct) {
	atomic_fetch_sub(&distinct->budget->used, distinct->capacity * sizeof *distinct->slots);
	free(distinct->slots);
	free(distinct->lines);
	distinct->slots = NULL;
	distinct->lines = NULL;
	distinct->capacity = distinct->used = 0;
}

void distinct_free(Distinct *distinct) {
	if (!distinct)
		return;
	drop_slots(distinct);
	spilled_free(distinct->spilled);
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

/* Another table may be asking at the same time. */
static bool take_budget(struct distinct_budget *budget, size_t bytes) {
	size_t used = atomic_load(&budget->used);
	do
		if (bytes > budget->limit || used > budget->limit - bytes)
			return false;
	while (!atomic_compare_exchange_weak(&budget->used, &used, used + bytes));
	return true;
}

static bool is_full(const Distinct *distinct) {
	return distinct->used >= distinct->capacity / 4 * 3;
}

/* While values move, both tables are there. */
static int grow(Distinct *distinct) {
	size_t capacity = distinct->capacity ? distinct->capacity * 2 : FIRST_SLOTS;
	size_t bytes = capacity * sizeof *distinct->slots;
	if (!take_budget(distinct->budget, bytes))
		return -E2BIG;
	struct slot *slots = calloc(capacity, sizeof *slots);
	if (!slots) {
		atomic_fetch_sub(&distinct->budget->used, bytes);
		return -ENOMEM;
	}
	struct slot *old = distinct->slots;
	size_t old_capacity = distinct->capacity;
	distinct->slots = slots;
	distinct->capacity = capacity;
	for (size_t i = 0; i < old_capacity; i++)
		if (old[i].count)
			*find(distinct, old[i].hash) = old[i];
	free(old);
	atomic_fetch_sub(&distinct->budget->used, old_capacity * sizeof *slots);
	return 0;
}

/* ---- spilling ---- */

/* All counts go to their shares, and the slots are free again. */
static int spill_slots(Distinct *distinct) {
	for (size_t i = 0; i < distinct->capacity; i++) {
		const struct slot *slot = &distinct->slots[i];
		if (slot->count == 0)
			continue;
		struct spilled_count count = {.hash = {slot->hash[0], slot->hash[1]},
		        .count = slot->count,
		        .line = distinct->lines ? distinct->lines[i] : 0};
		int rc = spilled_add(distinct->spilled, &count);
		if (rc < 0)
			return rc;
	}
	memset(distinct->slots, 0, distinct->capacity * sizeof *distinct->slots);
	distinct->used = 0;
	return 0;
}

static int begin_spilling(Distinct *distinct) {
	distinct->spilled = spilled_new(distinct->spill, distinct->budget->limit / 4);
	if (!distinct->spilled)
		return spill_out_of_memory();
	int rc = spill_slots(distinct); /* whose lines nobody asks for: there is no run before */
	distinct->lines = rc == 0 ? calloc(distinct->capacity, sizeof *distinct->lines) : NULL;
	return rc == 0 && !distinct->lines ? spill_out_of_memory() : rc;
}

/* Room for one more. */
static int make_room(Distinct *distinct) {
	if (!is_full(distinct))
		return 0;
	if (distinct->spilled)
		return spill_slots(distinct);
	int rc = grow(distinct);
	return rc == -E2BIG && distinct->spill && distinct->capacity > 0 ? begin_spilling(distinct) : rc;
}

/* ---- counting ---- */

struct distinct_hash distinct_look(const Distinct *distinct, const void *value, size_t size) {
	struct distinct_hash hash;
	hash_value(distinct, value, size, hash.words);
	if (distinct->capacity > 0)
		__builtin_prefetch(&distinct->slots[hash.words[0] & (distinct->capacity - 1)], 1);
	return hash;
}

int distinct_add_looked(Distinct *distinct, struct distinct_hash hash, uint64_t line, uint64_t *ret_count) {
	int rc = make_room(distinct);
	if (rc < 0)
		return rc;
	struct slot *slot = find(distinct, hash.words);
	if (slot->count == 0) {
		memcpy(slot->hash, hash.words, sizeof slot->hash);
		distinct->used++;
		if (distinct->lines)
			distinct->lines[slot - distinct->slots] = line;
	}
	*ret_count = ++slot->count;
	return 0;
}

int distinct_add(Distinct *distinct, const void *value, size_t size, uint64_t line, uint64_t *ret_count) {
	return distinct_add_looked(distinct, distinct_look(distinct, value, size), line, ret_count);
}

bool distinct_has(const Distinct *distinct, const void *value, size_t size) {
	uint64_t hash[2];
	if (distinct->capacity == 0)
		return false;
	hash_value(distinct, value, size, hash);
	return find(distinct, hash)->count > 0;
}

int distinct_count(const Distinct *distinct, const void *value, size_t size, uint64_t *ret_count) {
	uint64_t hash[2];
	*ret_count = distinct->is_whole;
	if (distinct->is_lost)
		return fault(E2BIG, "too many values occur more than once to tell their rows apart");
	if (distinct->capacity == 0)
		return 0;
	hash_value(distinct, value, size, hash);
	uint64_t count = find(distinct, hash)->count;
	*ret_count = count > 0 ? count : *ret_count;
	return 0;
}

/* ---- bringing together ---- */

void distinct_totals_add(struct distinct_totals *totals, uint64_t count) {
	if (count == 0)
		return;
	totals->total += count;
	totals->values++;
	totals->once += count == 1;
	totals->duplicated += count > 1 ? count : 0;
	totals->logs += count > 1 ? (long double)count * logl((long double)count) : 0;
}

/* -sum p ln p = ln n - (sum c ln c) / n; long double, as many small terms are added. */
double distinct_entropy(const struct distinct_totals *totals) {
	long double total = (long double)totals->total;
	return (double)(logl(total) - totals->logs / total);
}

/* One share as a table of its own. */
struct share_sum {
	Distinct *counts;
	distinct_again *again;
	void *context;
};

static int add_hash(Distinct *distinct, const uint64_t hash[static 2], uint64_t count, bool *ret_is_new) {
	if (is_full(distinct)) {
		int rc = grow(distinct);
		if (rc < 0)
			return rc;
	}
	struct slot *slot = find(distinct, hash);
	*ret_is_new = slot->count == 0;
	distinct->used += *ret_is_new;
	*slot = (struct slot){.hash = {hash[0], hash[1]}, .count = slot->count + count};
	return 0;
}

static int add_spilled(void *context, const struct spilled_count *count) {
	const struct share_sum *sum = context;
	bool is_new;
	int rc = add_hash(sum->counts, count->hash, count->count, &is_new);
	if (rc == 0 && !is_new)
		sum->again(sum->context, count->line);
	return rc;
}

/* Values that occur more than once are kept in the slots, as long as they leave most of the memory to the shares. */
static int keep_repeated(Distinct *distinct, const struct slot *slot) {
	bool is_new;
	size_t doubled = distinct->capacity * 2 * sizeof *slot;
	if (slot->count < 2 || distinct->is_lost)
		return 0;
	if (is_full(distinct) && distinct->capacity > 0 && doubled > distinct->budget->limit / 4) {
		drop_slots(distinct);
		distinct->is_lost = true;
		return 0;
	}
	return add_hash(distinct, slot->hash, slot->count, &is_new);
}

static int total_share(
        Distinct *distinct, unsigned share, distinct_again *again, void *context, struct distinct_totals *totals) {
	_cleanup_(distinct_freep) Distinct *counts = distinct_new(distinct->key, distinct->budget, NULL);
	struct share_sum sum = {.counts = counts, .again = again, .context = context};
	if (!counts)
		return spill_out_of_memory();
	int rc = spilled_each(distinct->spilled, share, add_spilled, &sum);
	for (size_t i = 0; rc == 0 && i < counts->capacity; i++) {
		distinct_totals_add(totals, counts->slots[i].count);
		rc = keep_repeated(distinct, &counts->slots[i]);
	}
	return rc;
}

int distinct_total(Distinct *distinct, distinct_again *again, void *context, struct distinct_totals *ret_totals) {
	*ret_totals = (struct distinct_totals){0};
	if (!distinct->spilled) {
		for (size_t i = 0; i < distinct->capacity; i++)
			distinct_totals_add(ret_totals, distinct->slots[i].count);
		return 0;
	}
	int rc = spill_slots(distinct);
	drop_slots(distinct);
	distinct->is_whole = true;
	for (unsigned i = 0; i < SPILLED_SHARES && rc == 0; i++)
		rc = total_share(distinct, i, again, context, ret_totals);
	return rc;
}
