/*
 * unsupported: formats that are known by their first bytes or their names, but that no reader reads.
 */
#pragma once

#include "crypto/base/bytes.h"

/* What the bytes are ("Parquet"), when that is something that can't be read, else NULL. `head` is the file's first 64
 * KiB, or all of it. */
const char *unsupported_by_bytes(struct bytes head);

/* The same from the name's suffix; the name may be NULL. */
const char *unsupported_by_name(const char *name);
