#include "crypto/secret.h"

#include <errno.h>
#include <malloc.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base/fault.h"
#include "crypto/base/ready.h"

void *secret_alloc(size_t size) {
	crypto_ready();
	void *secret = sodium_malloc(size);
	/* sodium_malloc() goes on silently when the lock is refused, so it is asked for again where that shows. */
	if (!secret || (size > 0 && sodium_mlock(secret, size) != 0)) {
		sodium_free(secret);
		(void)fault(ENOMEM,
		        "cannot lock %zu bytes of memory for keys: raise the limit of locked memory (ulimit -l)", size);
		errno = ENOMEM;
		return NULL;
	}
	if (size > 0)
		memset(secret, 0, size);
	return secret;
}

void secret_free(void *secret) {
	sodium_free(secret);
}

void secret_wipe(void *secret, size_t size) {
	sodium_memzero(secret, size);
}

void secret_heap_free(void *memory) {
	if (memory)
		secret_wipe(memory, malloc_usable_size(memory));
	free(memory);
}
