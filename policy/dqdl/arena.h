/*
 * arena: memory for a syntax tree: many small pieces, freed all at once. A piece is zeroed and aligned for any type.
 */
#pragma once

#include "crypto/base/cleanup.h"

#include <stddef.h>

typedef struct Arena Arena;

/* NULL when memory is short, as all functions here. */
Arena *arena_new(void);
void arena_free(Arena *arena);
DEFINE_CLEANUP(Arena, arena_free);

/* Zeroed memory that lives as long as the arena, aligned for any type. */
void *arena_alloc(Arena *arena, size_t size);

/* Copies `size` bytes and puts a NUL behind them. */
char *arena_text(Arena *arena, const char *text, size_t size);

/* A piece of `count` + 1 elements that begins with the `count` of `old`: for lists that grow by one. The room doubles,
 * so that n additions copy O(n). */
void *arena_grow(Arena *arena, const void *old, size_t count, size_t element);
