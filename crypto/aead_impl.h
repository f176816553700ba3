/*
 * aead_impl: AES-256-GCM with the whole nonce given, so that the published vectors can be tried on the very code that
 * seals. For crypto/aead.c and its test only: everybody else seals by position.
 */
#pragma once

#include "crypto/aead.h"

#define AEAD_GCM_NONCE_BYTES 12

/* As aead_seal_at() and aead_open_at(), without the check of sizes; the Aead must be for AES-256-GCM. On error the
 * plaintext is not wiped. */
int aead_gcm_seal(const Aead *aead, const uint8_t nonce[static AEAD_GCM_NONCE_BYTES], struct bytes ad,
        struct bytes plain, uint8_t *ret_cipher, uint8_t ret_tag[static AEAD_TAG_BYTES]);
int aead_gcm_open(const Aead *aead, const uint8_t nonce[static AEAD_GCM_NONCE_BYTES], struct bytes ad,
        struct bytes cipher, const uint8_t tag[static AEAD_TAG_BYTES], uint8_t *ret_plain);
