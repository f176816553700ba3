/*
 * derive: one key out of another, for one purpose and one thing.
 *
 *     child = BLAKE2b-256, keyed with the parent, over
 *             "assayfs derive 1" ‖ length of purpose (u32 LE) ‖ purpose ‖ length of context (u64 LE) ‖ context
 *
 * The lengths make the encoding injective: no two (purpose, context) give the same input. Who knows a child learns
 * nothing about its parent or its siblings.
 */
#pragma once

#include <stdint.h>

#include "crypto/base/bytes.h"

#define DERIVE_KEY_BYTES 32

/* `purpose` is a fixed phrase of the calling module ("segment", "segment batch"), `context` what the key is for (a
 * segment id). The outcome stands behind data on disk: never change a purpose or the shape of its context. In place
 * (`ret_key` == `parent`) is allowed. Cannot fail. Thread-safe. */
void derive_key(const uint8_t parent[static DERIVE_KEY_BYTES], const char *purpose, struct bytes context,
        uint8_t ret_key[static DERIVE_KEY_BYTES]);
