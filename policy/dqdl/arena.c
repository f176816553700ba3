#include "policy/dqdl/arena.h"

#include <stdint.h>
#include <string.h>

#define CHUNK_BYTES 4096u
#define ALIGNMENT _Alignof(max_align_t)

struct chunk {
	struct chunk *next;
	size_t used;
	size_t size;
	_Alignas(max_align_t) char bytes[];
};

struct Arena {
	struct chunk *chunks;
};

Arena *arena_new(void) {
	return calloc(1, sizeof(Arena));
}

void arena_free(Arena *arena) {
	if (!arena)
		return;
	struct chunk *chunk = arena->chunks;
	while (chunk) {
		struct chunk *next = chunk->next;
		free(chunk);
		chunk = next;
	}
	free(arena);
}

void *arena_alloc(Arena *arena, size_t size) {
	if (size > SIZE_MAX / 4)
		return NULL;
	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	struct chunk *chunk = arena->chunks;
	if (!chunk || chunk->size - chunk->used < size) {
		size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;
		chunk = calloc(1, sizeof *chunk + room);
		if (!chunk)
			return NULL;
		chunk->size = room;
		chunk->next = arena->chunks;
		arena->chunks = chunk;
	}
	void *piece = chunk->bytes + chunk->used;
	chunk->used += size;
	return piece;
}

char *arena_text(Arena *arena, const char *text, size_t size) {
	char *copy = arena_alloc(arena, size + 1);
	if (copy && size)
		memcpy(copy, text, size);
	return copy;
}

void *arena_grow(Arena *arena, const void *old, size_t count, size_t element) {
	/* Room is 1, 2, 4, 8, …: full exactly when count is a power of two (or nothing is there yet). */
	if (count > 0 && (count & (count - 1)) != 0) {
		union {
			const void *from;
			void *to;
		} same = {.from = old};
		return same.to;
	}
	size_t room = count ? count * 2 : 1;
	void *list = arena_alloc(arena, room * element);
	if (list && count)
		memcpy(list, old, count * element);
	return list;
}
