#include "fs/frequent.h"

#include "crypto/base/fnv.h"

#include <stdlib.h>
#include <string.h>

struct item {
	uint64_t count, error, hash;
	struct item *next; /* of the same slot */
	size_t place;      /* in the heap */
	void *value;
	size_t key_size;
	uint8_t key[];
};

struct Frequent {
	size_t most, value_size;
	size_t count;
	uint64_t driven_out;
	struct item **heap; /* the rarest first */
	struct item **slots;
	size_t slot_mask;
};

Frequent *frequent_new(size_t most, size_t value_size) {
	Frequent *f = calloc(1, sizeof *f);
	if (!f)
		return NULL;
	size_t slots = 16;
	while (slots < 2 * most)
		slots *= 2;
	*f = (Frequent){.most = most, .value_size = value_size, .slot_mask = slots - 1};
	f->heap = calloc(most, sizeof *f->heap);
	f->slots = calloc(slots, sizeof *f->slots);
	if (!f->heap || !f->slots) {
		frequent_free(f);
		return NULL;
	}
	return f;
}

static void free_item(struct item *item) {
	free(item->value);
	free(item);
}

void frequent_free(Frequent *frequent) {
	if (!frequent)
		return;
	for (size_t i = 0; i < frequent->count; i++)
		free_item(frequent->heap[i]);
	free(frequent->heap);
	free(frequent->slots);
	free(frequent);
}

/* ---- the heap ---- */

static void put(Frequent *f, size_t place, struct item *item) {
	f->heap[place] = item;
	item->place = place;
}

static void sift_up(Frequent *f, struct item *item) {
	size_t place = item->place;
	for (; place > 0 && f->heap[(place - 1) / 2]->count > item->count; place = (place - 1) / 2)
		put(f, place, f->heap[(place - 1) / 2]);
	put(f, place, item);
}

static void sift_down(Frequent *f, struct item *item) {
	size_t place = item->place;
	for (size_t below; (below = 2 * place + 1) < f->count; place = below) {
		if (below + 1 < f->count && f->heap[below + 1]->count < f->heap[below]->count)
			below++;
		if (f->heap[below]->count >= item->count)
			break;
		put(f, place, f->heap[below]);
	}
	put(f, place, item);
}

/* ---- keys ---- */

static struct item **slot_of(Frequent *f, uint64_t hash) {
	return &f->slots[hash & f->slot_mask];
}

static struct item *find(Frequent *f, struct bytes key, uint64_t hash) {
	struct item *item = *slot_of(f, hash);
	while (item && (item->hash != hash || item->key_size != key.size ||
	                       (key.size && memcmp(item->key, key.data, key.size) != 0)))
		item = item->next;
	return item;
}

static struct item *make(const Frequent *f, struct bytes key, uint64_t hash) {
	struct item *item = calloc(1, sizeof *item + key.size);
	void *value = calloc(1, f->value_size ? f->value_size : 1);
	if (!item || !value) {
		free(item);
		free(value);
		return NULL;
	}
	item->hash = hash;
	item->value = value;
	item->key_size = key.size;
	if (key.size)
		memcpy(item->key, key.data, key.size);
	return item;
}

static void unlink_item(Frequent *f, struct item *item) {
	struct item **at = slot_of(f, item->hash);
	while (*at != item)
		at = &(*at)->next;
	*at = item->next;
}

/* In the place of the rarest one, or in a new one. */
static void admit(Frequent *f, struct item *item) {
	if (f->count < f->most) {
		put(f, f->count++, item);
		sift_up(f, item);
	} else {
		struct item *rarest = f->heap[0];
		item->count = item->error = rarest->count;
		unlink_item(f, rarest);
		put(f, 0, item);
		free_item(rarest);
		f->driven_out++;
	}
	struct item **slot = slot_of(f, item->hash);
	item->next = *slot;
	*slot = item;
}

void *frequent_add(Frequent *frequent, struct bytes key) {
	uint64_t hash = fnv1a(0, key);
	struct item *item = find(frequent, key, hash);
	if (!item) {
		item = make(frequent, key, hash);
		if (!item)
			return NULL;
		admit(frequent, item);
	}
	item->count++;
	sift_down(frequent, item);
	return item->value;
}

/* ---- the answer ---- */

static int compare(const void *one, const void *other) {
	const struct item *a = *(struct item *const *)one, *b = *(struct item *const *)other;
	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	size_t size = a->key_size < b->key_size ? a->key_size : b->key_size;
	int order = memcmp(a->key, b->key, size);
	return order ? order : (a->key_size > b->key_size) - (a->key_size < b->key_size);
}

size_t frequent_top(Frequent *frequent, size_t most, struct frequent_item *ret_items) {
	if (frequent->count)
		qsort(frequent->heap, frequent->count, sizeof frequent->heap[0], compare);
	size_t count = most < frequent->count ? most : frequent->count;
	for (size_t i = 0; i < count; i++) {
		const struct item *item = frequent->heap[i];
		ret_items[i] = (struct frequent_item){.count = item->count,
		        .error = item->error,
		        .value = item->value,
		        .key = bytes_of(item->key, item->key_size)};
	}
	return count;
}

size_t frequent_size(const Frequent *frequent) {
	return frequent->count;
}

uint64_t frequent_driven_out(const Frequent *frequent) {
	return frequent->driven_out;
}
