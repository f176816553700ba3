/*
 * text_set: the texts that a rule names, asked once a cell whether it is one of them.
 *
 * Open addressing by text_key, at most a quarter full. At making bits of the hash are looked for that give each text a
 * slot of its own: then one comparison answers, without a branch that the data decide.
 */
#pragma once

#include "policy/dqdl/text_key.h"

/* Free: text.data NULL. */
struct text_slot {
	struct text_key key;
	struct table_cell text;
};

struct text_set {
	struct text_slot *slots;
	size_t mask; /* of their number, a power of two */
	unsigned shift;
	bool is_apart; /* each text is in the slot that its hash names */
};

/* The texts must live as long as the set. -ENOMEM. */
int text_set_init(struct text_set *set, const struct table_cell *texts, size_t count);
void text_set_release(struct text_set *set);

/* Is the cell, which is not NULL and has that key, in the set? Here, as it is asked of every cell. */
static inline bool text_set_has(const struct text_set *set, struct table_cell cell, struct text_key key) {
	size_t i = (text_key_hash(key, cell.size) >> set->shift) & set->mask;
	for (;; i = (i + 1) & set->mask) {
		const struct text_slot *slot = &set->slots[i];
		bool is_same =
		        (slot->text.size == cell.size) & text_key_equals(slot->key, key) & (slot->text.data != NULL);
		if (is_same && cell.size > TEXT_KEY_WHOLE)
			is_same = cell_equals(slot->text, cell.data, cell.size);
		if (set->is_apart || is_same || !slot->text.data)
			return is_same;
	}
}
