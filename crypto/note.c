#include "crypto/note.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "crypto/base/fault.h"
#include "crypto/digest.h"

#define ALGORITHM_ED25519 0x01
#define DASH "\xe2\x80\x94 " /* U+2014 and a blank */
#define DASH_BYTES (sizeof DASH - 1)

static bool is_name(struct bytes name) {
	if (name.size == 0 || name.size > NOTE_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.size; i++)
		if (name.data[i] <= ' ' || name.data[i] > '~' || name.data[i] == '+')
			return false;
	return true;
}

/* ---- keys ---- */

static void typed_key(const struct note_key *key, uint8_t ret[static 1 + SIGN_PUBLIC_BYTES]) {
	ret[0] = ALGORITHM_ED25519;
	memcpy(ret + 1, key->public_key, SIGN_PUBLIC_BYTES);
}

static void make_id(struct note_key *key) {
	uint8_t message[NOTE_NAME_MAX + 2 + SIGN_PUBLIC_BYTES], hash[DIGEST_BYTES];
	size_t name = strlen(key->name);
	memcpy(message, key->name, name);
	message[name] = '\n';
	typed_key(key, message + name + 1);
	sha256(bytes_of(message, name + 2 + SIGN_PUBLIC_BYTES), hash);
	memcpy(key->id, hash, NOTE_ID_BYTES);
}

int note_key_make(const char *name, const uint8_t public_key[static SIGN_PUBLIC_BYTES], struct note_key *ret) {
	struct bytes text = bytes_of_string(name);
	if (!is_name(text))
		return fault(EINVAL, "'%.40s' can't be the name of a key: letters, digits and signs but '+'", name);
	*ret = (struct note_key){0};
	memcpy(ret->name, text.data, text.size);
	memcpy(ret->public_key, public_key, SIGN_PUBLIC_BYTES);
	make_id(ret);
	return 0;
}

void note_key_format(const struct note_key *key, char ret_text[static NOTE_VKEY_BYTES]) {
	uint8_t typed[1 + SIGN_PUBLIC_BYTES];
	char id[HEX_TEXT_BYTES(NOTE_ID_BYTES)], base64[BASE64_TEXT_BYTES(sizeof typed)];
	typed_key(key, typed);
	hex_encode(bytes_of(key->id, NOTE_ID_BYTES), id);
	base64_encode(bytes_of(typed, sizeof typed), base64);
	snprintf(ret_text, NOTE_VKEY_BYTES, "%s+%s+%s", key->name, id, base64);
}

static int malformed_key(const char *text, const char *why) {
	return fault(EINVAL, "'%.60s' is no verifier key (NAME+ID+KEY, as 'assayfs log key' prints it): %s", text, why);
}

int note_key_parse(const char *text, struct note_key *ret) {
	char id_text[HEX_TEXT_BYTES(NOTE_ID_BYTES)], name[NOTE_NAME_MAX + 1];
	uint8_t id[NOTE_ID_BYTES], typed[1 + SIGN_PUBLIC_BYTES];
	size_t length = strcspn(text, "+"), size;
	if (text[length] != '+' || !is_name(bytes_of(text, length)))
		return malformed_key(text, "it has no name");
	memcpy(name, text, length);
	name[length] = '\0';
	const char *at = text + length + 1;
	if (strcspn(at, "+") != 2 * sizeof id || at[2 * sizeof id] != '+')
		return malformed_key(text, "the key's id has 8 hexadecimal digits");
	memcpy(id_text, at, 2 * sizeof id);
	id_text[2 * sizeof id] = '\0';
	if (hex_decode(id_text, sizeof id, id) < 0)
		return malformed_key(text, "the key's id has 8 hexadecimal digits");
	if (base64_decode(at + 2 * sizeof id + 1, sizeof typed, typed, &size) < 0 || size != sizeof typed)
		return malformed_key(text, "its last part is not 33 bytes in base64");
	if (typed[0] != ALGORITHM_ED25519)
		return malformed_key(text, "it is not of the kind Ed25519");
	int rc = note_key_make(name, typed + 1, ret);
	if (rc == 0 && memcmp(ret->id, id, sizeof id) != 0)
		rc = malformed_key(text, "its id is not that of the key");
	return rc;
}

/* ---- notes ---- */

void note_line(const struct note_key *key, const uint8_t signature[static SIGN_SIGNATURE_BYTES],
        char ret_line[static NOTE_LINE_BYTES]) {
	uint8_t blob[NOTE_ID_BYTES + SIGN_SIGNATURE_BYTES];
	char base64[BASE64_TEXT_BYTES(sizeof blob)];
	memcpy(blob, key->id, NOTE_ID_BYTES);
	memcpy(blob + NOTE_ID_BYTES, signature, SIGN_SIGNATURE_BYTES);
	base64_encode(bytes_of(blob, sizeof blob), base64);
	snprintf(ret_line, NOTE_LINE_BYTES, DASH "%s %s\n", key->name, base64);
}

/* UTF-8 is not looked at: what is signed is bytes, and the key vouches for them. */
static bool is_text(struct bytes text) {
	for (size_t i = 0; i < text.size; i++)
		if ((text.data[i] < ' ' && text.data[i] != '\n') || text.data[i] == 0x7f)
			return false;
	return true;
}

/* The last empty line is between text and signatures. */
static bool split(struct bytes note, struct bytes *ret_text, struct bytes *ret_lines) {
	for (size_t at = note.size; at >= 2; at--)
		if (note.data[at - 1] == '\n' && note.data[at - 2] == '\n') {
			*ret_text = bytes_of(note.data, at - 1);
			*ret_lines = bytes_of(note.data + at, note.size - at);
			return true;
		}
	return false;
}

struct signature {
	struct bytes name;
	uint8_t blob[512]; /* key id and signature; of algorithms with longer ones the id alone counts */
	size_t size;
};

/* Of a line without its newline. */
static bool read_line(struct bytes line, struct signature *ret) {
	char text[BASE64_TEXT_BYTES(sizeof ret->blob)];
	if (line.size < DASH_BYTES || memcmp(line.data, DASH, DASH_BYTES) != 0)
		return false;
	const uint8_t *name = line.data + DASH_BYTES, *end = line.data + line.size;
	const uint8_t *blank = memchr(name, ' ', (size_t)(end - name));
	size_t length = blank ? (size_t)(end - blank - 1) : 0;
	ret->name = bytes_of(name, blank ? (size_t)(blank - name) : 0);
	if (!is_name(ret->name) || length >= sizeof text)
		return false;
	memcpy(text, blank + 1, length);
	text[length] = '\0';
	return base64_decode(text, sizeof ret->blob, ret->blob, &ret->size) == 0 && ret->size > NOTE_ID_BYTES;
}

static bool is_of(const struct signature *signature, const char *name) {
	return signature->name.size == strlen(name) && memcmp(signature->name.data, name, strlen(name)) == 0;
}

static bool is_by(const struct signature *signature, const struct note_key *key) {
	return is_of(signature, key->name) && memcmp(signature->blob, key->id, NOTE_ID_BYTES) == 0;
}

static int check_signature(const struct signature *signature, const struct note_key *key, struct bytes text) {
	if (signature->size != NOTE_ID_BYTES + SIGN_SIGNATURE_BYTES ||
	        sign_verify(key->public_key, text, signature->blob + NOTE_ID_BYTES) < 0)
		return fault(EBADMSG, "its signature by %s does not verify", key->name);
	return 0;
}

static int open_lines(struct bytes note, struct bytes *ret_text, struct bytes *ret_lines) {
	if (note.size > NOTE_BYTES_MAX || !is_text(note) || !split(note, ret_text, ret_lines) || ret_text->size < 2)
		return fault(EINVAL, "this is no signed note: a text, an empty line, and lines of signatures");
	return 0;
}

/* Of the lines left, of which `count` were taken. */
static int take_signature(struct bytes *lines, size_t count, struct signature *ret) {
	struct bytes line;
	if (!bytes_take_line(lines, &line) || count == NOTE_SIGNATURES_MAX || !read_line(line, ret))
		return fault(EINVAL, "this is no signed note: its line of a signature %zu is malformed", count + 1);
	return 0;
}

int note_open(struct bytes note, const struct note_key *key, struct bytes *ret_text) {
	struct bytes text, lines;
	struct signature signature;
	int rc = open_lines(note, &text, &lines);
	if (rc < 0)
		return rc;
	rc = -ENOKEY;
	for (size_t count = 0; lines.size > 0; count++) {
		int taken = take_signature(&lines, count, &signature);
		if (taken < 0)
			return taken;
		if (rc == -ENOKEY && is_by(&signature, key))
			rc = check_signature(&signature, key, text);
		if (rc == -EBADMSG)
			return rc;
	}
	if (rc == -ENOKEY)
		return fault(ENOKEY, "it has no signature by the key %s", key->name);
	*ret_text = text;
	return 0;
}

int note_list_signers(struct bytes note, const char *name, struct note_signers *ret) {
	struct note_signers found = {0};
	struct bytes text, lines;
	struct signature signature;
	int rc = open_lines(note, &text, &lines);
	for (size_t count = 0; rc == 0 && lines.size > 0; count++) {
		rc = take_signature(&lines, count, &signature);
		if (rc == 0 && is_of(&signature, name) && signature.size == NOTE_ID_BYTES + SIGN_SIGNATURE_BYTES)
			memcpy(found.ids[found.count++], signature.blob, NOTE_ID_BYTES);
	}
	if (rc == 0)
		*ret = found;
	return rc;
}
