/*
 * secret: memory for keys. Locked (never swapped), left out of core files, with guard pages at both ends so that an
 * overrun ends the process, and wiped when freed. Each allocation costs at least four pages: for keyrings and
 * passphrases, not for small things by the thousand.
 */
#pragma once

#include <stddef.h>

#include "crypto/base/cleanup.h"

/* Zeroed memory of `size` bytes, or NULL with words in fault_message() (errno ENOMEM) when memory is short or the
 * limit of locked memory (ulimit -l) is reached. It ends at a guard page, so it is aligned only if `size` is a
 * multiple of the alignment wanted. */
void *secret_alloc(size_t size);

/* Wipes and frees. NULL is fine. */
void secret_free(void *secret);

/* Wipes `size` bytes in a way that the compiler does not remove: for key copies on the stack. */
void secret_wipe(void *secret, size_t size);

/* Wipes and frees what malloc or realloc gave: for content, of which nothing is to stay when its key goes. NULL is
 * fine. */
void secret_heap_free(void *memory);

/* Closer for _cleanup_: secret_heap_freep on a variable of any pointer type. */
static inline void secret_heap_freep(void *pointer_to_pointer) {
	void **slot = pointer_to_pointer;
	int saved = errno;
	secret_heap_free(*slot);
	*slot = NULL;
	errno = saved;
}

/* Closer for _cleanup_: secret_freep on a variable of any pointer type. */
static inline void secret_freep(void *pointer_to_pointer) {
	void **slot = pointer_to_pointer;
	int saved = errno;
	secret_free(*slot);
	*slot = NULL;
	errno = saved;
}

/* A 32-byte key on the stack that wipes itself: `_cleanup_(secret_key_wipe) struct secret_key key;`. */
struct secret_key {
	unsigned char bytes[32];
};

/* Wipes the key where it stands; for _cleanup_ too. */
static inline void secret_key_wipe(struct secret_key *key) {
	secret_wipe(key, sizeof *key);
}
