/*
 * xattr: extended attributes of nodes, as they are (user.assayfs.* is answered above this floor and never stored).
 * Names are 1..255 bytes, values 0..65536. They have no history. Between meta_begin and meta_end.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "backend/meta.h"
#include "crypto/base/bytes.h"

#define XATTR_NAME_BYTES 255
#define XATTR_VALUE_BYTES 65536

/* -ENODATA when there is none. capacity 0: only *ret_size is set; else -ERANGE when the value is longer. */
int xattr_get(Meta *m, uint64_t node, struct bytes name, void *ret_value, size_t capacity, size_t *ret_size);

/* flags: 0, XATTR_CREATE (-EEXIST) or XATTR_REPLACE (-ENODATA) of <sys/xattr.h>. -ERANGE for a bad name, -E2BIG for a
 * long value, -ESTALE for no node. Sets the node's ctime. */
int xattr_set(Meta *m, uint64_t node, struct bytes name, struct bytes value, int flags);

/* -ENODATA. Sets the node's ctime. */
int xattr_remove(Meta *m, uint64_t node, struct bytes name);

typedef int (*xattr_list_fn)(void *arg, struct bytes name, size_t value_size);
/* In order of names. */
int xattr_list(Meta *m, uint64_t node, xattr_list_fn callback, void *arg);

/* Copies all attributes of one node to another that has none of them (publication, capture). */
int xattr_copy(Meta *m, uint64_t from, uint64_t to);
