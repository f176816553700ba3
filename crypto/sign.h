/*
 * sign: Ed25519 signatures (RFC 8032) from a 32-byte seed, through libsodium.
 *
 * A signature says who, not what for: every kind of message begins with words of its own ("assayfs verdict 1\n"), so
 * that a signature made for one purpose never serves another. Signing is deterministic. All calls are thread-safe.
 */
#pragma once

#include <stdint.h>

#include "crypto/base/bytes.h"

#define SIGN_SEED_BYTES 32
#define SIGN_PUBLIC_BYTES 32
#define SIGN_SIGNATURE_BYTES 64

/* The public key that belongs to `seed`. */
void sign_public(const uint8_t seed[static SIGN_SEED_BYTES], uint8_t ret_public[static SIGN_PUBLIC_BYTES]);

/* Signs `message`. */
void sign_make(const uint8_t seed[static SIGN_SEED_BYTES], struct bytes message,
        uint8_t ret_signature[static SIGN_SIGNATURE_BYTES]);

/* 0 when `signature` is that of `message` under `public_key`; -EBADMSG when not. Stricter than RFC 8032 asks:
 * small-order and non-canonical points, and S outside the group order, are refused, so nobody can vary a signature
 * without the key. */
int sign_verify(const uint8_t public_key[static SIGN_PUBLIC_BYTES], struct bytes message,
        const uint8_t signature[static SIGN_SIGNATURE_BYTES]);
