/*
 * array: arrays that grow as items come, so that each of them is moved a few times at most.
 *
 *     struct item *items = array_room(list->items, &list->room, list->count + 1, sizeof *items);
 *     if (!items)
 *             return fault(ENOMEM, …);
 *     list->items = items;
 *     list->items[list->count++] = item;
 */
#pragma once

#include <stdlib.h>

enum { ARRAY_LEAST = 16 };

/* The array (NULL at first) with room for `wanted` items of `size` bytes; *room is how many it has room for, and at
 * least doubles when it grows. NULL: no memory, and array and room stay as they were. */
static inline void *array_room(void *array, size_t *room, size_t wanted, size_t size) {
	if (array && wanted <= *room)
		return array;
	size_t doubled = *room * 2 > ARRAY_LEAST ? *room * 2 : ARRAY_LEAST;
	size_t more = doubled > wanted ? doubled : wanted;
	void *grown = reallocarray(array, more, size);
	if (grown)
		*room = more;
	return grown;
}
