#include "policy/dqdl/text_set.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>

/* false: two texts want one slot. */
static bool fill(struct text_set *set, const struct table_cell *texts, size_t count) {
	bool is_apart = true;
	memset(set->slots, 0, (set->mask + 1) * sizeof *set->slots);
	for (size_t k = 0; k < count; k++) {
		struct text_key key = text_key_of(texts[k]);
		size_t i = (text_key_hash(key, texts[k].size) >> set->shift) & set->mask;
		for (; set->slots[i].text.data; i = (i + 1) & set->mask) {
			if (cell_equals(set->slots[i].text, texts[k].data, texts[k].size))
				break;
			is_apart = false;
		}
		set->slots[i] = (struct text_slot){.key = key, .text = texts[k]};
	}
	return is_apart;
}

int text_set_init(struct text_set *set, const struct table_cell *texts, size_t count) {
	enum { MOST_SHIFT = 24 };
	size_t capacity = 4;
	while (capacity < count * 4)
		capacity *= 2;
	*set = (struct text_set){.slots = calloc(capacity, sizeof *set->slots), .mask = capacity - 1};
	if (!set->slots)
		return fault(ENOMEM, "out of memory for a rule's list");
	while (!(set->is_apart = fill(set, texts, count)) && set->shift < MOST_SHIFT)
		set->shift++;
	return 0;
}

void text_set_release(struct text_set *set) {
	free(set->slots);
	*set = (struct text_set){0};
}
