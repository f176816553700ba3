/*
 * recipient: the X25519 key pair of a person, for whom slots of a vault are made (crypto/header.h) that only they open.
 *
 *     assayfs-recipient-4xq7…      public text: to be handed to whoever adds the slot; says who, and opens nothing
 *     ASSAYFS-SECRET-9KD2…         secret text: kept by its owner as a passphrase is
 *                    \_ 56 digits of Crockford's base 32: the key (256 bits) and a check (24), see crypto/encoding.h
 *
 * What a hand or a mail program makes of them is accepted: either case, blanks and line ends around and between, dashes
 * in the digits. The public text is the same for every vault: who has two vaults can tell that they share a recipient.
 */
#pragma once

#include <stdint.h>

#include "crypto/base/bytes.h"

#define RECIPIENT_KEY_BYTES 32
/* With the final NUL. */
#define RECIPIENT_TEXT_BYTES 75
#define RECIPIENT_SECRET_TEXT_BYTES 72

/* A new key pair, as texts. The caller wipes the secret one. */
int recipient_new(
        char ret_public_text[static RECIPIENT_TEXT_BYTES], char ret_secret_text[static RECIPIENT_SECRET_TEXT_BYTES]);

/* The text of a public key. */
void recipient_text(const uint8_t key[static RECIPIENT_KEY_BYTES], char ret_text[static RECIPIENT_TEXT_BYTES]);

/* The public key in a text. -EINVAL with words: it is something else (a secret text is told apart and not repeated),
 * mistyped, or no key that anything can be sealed to. */
int recipient_parse(struct bytes text, uint8_t ret_key[static RECIPIENT_KEY_BYTES]);

/* The secret key in a text, and its public key. The caller wipes the secret one. -EINVAL with words that never repeat
 * what was typed. */
int recipient_secret_parse(
        struct bytes text, uint8_t ret_secret[static RECIPIENT_KEY_BYTES], uint8_t ret_key[static RECIPIENT_KEY_BYTES]);
