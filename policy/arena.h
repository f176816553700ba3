/*
 * arena: memory that is given back all at once, for trees of small things that live and die together.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct arena_part {
	struct arena_part *next;
	_Alignas(max_align_t) unsigned char memory[];
};

struct arena {
	struct arena_part *parts;
};

/* Zeroed memory that lives as long as the arena; NULL when there is none. */
static inline void *arena_take(struct arena *arena, size_t count, size_t size) {
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes) || bytes > (size_t)1 << 40)
		return NULL;
	struct arena_part *part = calloc(1, sizeof *part + bytes);
	if (!part)
		return NULL;
	part->next = arena->parts;
	arena->parts = part;
	return part->memory;
}

/* A copy of `size` bytes with a NUL after them. */
static inline char *arena_copy(struct arena *arena, const void *data, size_t size) {
	char *copy = arena_take(arena, size + 1, 1);
	if (copy && size > 0)
		memcpy(copy, data, size);
	return copy;
}

/* Frees all that was taken from the arena; it can be used anew. */
static inline void arena_free(struct arena *arena) {
	while (arena->parts) {
		struct arena_part *part = arena->parts;
		arena->parts = part->next;
		free(part);
	}
}
