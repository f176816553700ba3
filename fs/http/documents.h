/*
 * documents: answers that were made a moment ago, by who may see them and what was asked. One is made by one thread at
 * a time, and kept for as long as 20 times what making it cost, half a second at least.
 */
#pragma once

#include "crypto/base/cleanup.h"

#include <jansson.h>
#include <stdint.h>

typedef struct Documents Documents;

/* Makes one: 0 and the caller's *ret, or -errno with words, which are told and not kept. */
typedef int document_make(void *arg, json_t **ret);

/* NULL: no memory. */
Documents *documents_new(void);
void documents_free(Documents *documents);
DEFINE_CLEANUP(Documents, documents_free);

/*
 * The document of `key`: the one that there is, or made by `make`. One that is being made by another thread is given as
 * it was, however old; -EAGAIN where it never was. *ret is the caller's and must not be changed.
 */
int documents_get(Documents *documents, const char *key, document_make *make, void *arg, json_t **ret);
