/*
 * note: signed notes as C2SP's signed-note has them (https://c2sp.org/signed-note), with Ed25519.
 *
 *     a line                                       │ the text: lines, each with its end; UTF-8 without control
 * characters another line                                 │ an empty line — assayfs/8f… q83vASNF… a signature: U+2014,
 * the key's name, base64(key id ‖ signature)
 *
 *     verifier key:  NAME+q83vASNF…'s id in hexadecimal+base64(01 ‖ public key)
 *     key id      =  first 4 bytes of SHA-256(NAME ‖ 0A ‖ 01 ‖ public key)
 *
 * The signature is over the text alone, its last newline with it. Any number of keys may sign a note; what others have
 * signed (witnesses) is skipped. Nothing here allocates. All functions are thread-safe.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/base/bytes.h"
#include "crypto/encoding.h"
#include "crypto/sign.h"

#define NOTE_NAME_MAX 127 /* bytes, without the NUL */
#define NOTE_ID_BYTES 4
/* Longest note that is looked at, and most signatures on it. */
#define NOTE_BYTES_MAX ((size_t)64 << 10)
#define NOTE_SIGNATURES_MAX 64
/* A verifier key as text, with the NUL. */
#define NOTE_VKEY_BYTES (NOTE_NAME_MAX + 2 + 2 * NOTE_ID_BYTES + BASE64_TEXT_BYTES(1 + SIGN_PUBLIC_BYTES))
/* A signature's line, with its newline and the NUL. */
#define NOTE_LINE_BYTES (3 + 1 + NOTE_NAME_MAX + 1 + BASE64_TEXT_BYTES(NOTE_ID_BYTES + SIGN_SIGNATURE_BYTES) + 1)

struct note_key {
	char name[NOTE_NAME_MAX + 1];
	uint8_t id[NOTE_ID_BYTES];
	uint8_t public_key[SIGN_PUBLIC_BYTES];
};

/* The key of that name. -EINVAL: a name that is empty, too long, or has blanks, '+' or bytes outside of ASCII. */
int note_key_make(const char *name, const uint8_t public_key[static SIGN_PUBLIC_BYTES], struct note_key *ret);

/* The verifier key as text, and back. -EINVAL with words: not of that form, another algorithm than Ed25519, or an id
 * that is not the key's. */
void note_key_format(const struct note_key *key, char ret_text[static NOTE_VKEY_BYTES]);
int note_key_parse(const char *text, struct note_key *ret);

/* The line that adds the key's signature to a note of this text; `signature` is one by sign_make over the text. */
void note_line(const struct note_key *key, const uint8_t signature[static SIGN_SIGNATURE_BYTES],
        char ret_line[static NOTE_LINE_BYTES]);

/*
 * The text of a note that the key has signed; borrows from `note`. -EINVAL with words: no signed note; -ENOKEY: it has
 * no signature by this key; -EBADMSG: it has one that does not verify.
 */
int note_open(struct bytes note, const struct note_key *key, struct bytes *ret_text);

/* The ids of the Ed25519 keys of that name by which it says it is signed, in its order; nothing is verified. -EINVAL
 * with words: no signed note. */
struct note_signers {
	uint8_t ids[NOTE_SIGNATURES_MAX][NOTE_ID_BYTES];
	size_t count;
};
int note_list_signers(struct bytes note, const char *name, struct note_signers *ret);
