#include "crypto/succession.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base/array.h"
#include "crypto/base/fault.h"

#define FIRST_LINE "assayfs audit key succession"
#define NO_SIGNATURE "-"
#define TEXT_BYTES (SUCCESSION_LINE_BYTES + sizeof FIRST_LINE + NOTE_NAME_MAX)

/* ---- signing ---- */

static void make_text(const struct succession *s, char ret_text[static TEXT_BYTES]) {
	char root[BASE64_TEXT_BYTES(MERKLE_HASH_BYTES)], before[NOTE_VKEY_BYTES], next[NOTE_VKEY_BYTES];
	base64_encode(bytes_of(s->at.root, MERKLE_HASH_BYTES), root);
	note_key_format(&s->before, before);
	note_key_format(&s->next, next);
	(void)snprintf(ret_text, TEXT_BYTES,
	        FIRST_LINE "\n%s\n%" PRIu32 " %" PRIu32 "\n%" PRIu64 "\n%s\n%" PRId64 "\n%s\n%s\n", s->next.name,
	        s->version_before, s->version, s->at.size, root, s->time_ns, before, next);
}

void succession_sign(
        struct succession *s, const uint8_t *seed_before, const uint8_t seed_next[static SIGN_SEED_BYTES]) {
	char text[TEXT_BYTES];
	make_text(s, text);
	s->is_broken = seed_before == NULL;
	memset(s->by_before, 0, sizeof s->by_before);
	if (seed_before)
		sign_make(seed_before, bytes_of_string(text), s->by_before);
	sign_make(seed_next, bytes_of_string(text), s->by_next);
}

int succession_verify(const struct succession *s) {
	char text[TEXT_BYTES];
	make_text(s, text);
	if (strcmp(s->before.name, s->next.name) != 0)
		return fault(EBADMSG, "the key of %s can't be handed on to that of %s", s->before.name, s->next.name);
	if (!s->is_broken && sign_verify(s->before.public_key, bytes_of_string(text), s->by_before) < 0)
		return fault(EBADMSG,
		        "the log's key version %" PRIu32 " has not signed that version %" PRIu32
		        " comes after it: its signature does not verify",
		        s->version_before, s->version);
	if (sign_verify(s->next.public_key, bytes_of_string(text), s->by_next) < 0)
		return fault(EBADMSG,
		        "the log's key version %" PRIu32 " has not signed that it comes after version "
		        "%" PRIu32 ": its signature does not verify",
		        s->version, s->version_before);
	return 0;
}

/* ---- lines ---- */

void succession_line(const struct succession *s, char ret_line[static SUCCESSION_LINE_BYTES]) {
	char root[BASE64_TEXT_BYTES(MERKLE_HASH_BYTES)], before[NOTE_VKEY_BYTES], next[NOTE_VKEY_BYTES];
	char by_before[BASE64_TEXT_BYTES(SIGN_SIGNATURE_BYTES)] = NO_SIGNATURE, by_next[sizeof by_before];
	base64_encode(bytes_of(s->at.root, MERKLE_HASH_BYTES), root);
	note_key_format(&s->before, before);
	note_key_format(&s->next, next);
	if (!s->is_broken)
		base64_encode(bytes_of(s->by_before, sizeof s->by_before), by_before);
	base64_encode(bytes_of(s->by_next, sizeof s->by_next), by_next);
	(void)snprintf(ret_line, SUCCESSION_LINE_BYTES,
	        "%" PRIu32 " %" PRIu32 " %" PRIu64 " %s %" PRId64 " %s %s %s %s", s->version_before, s->version,
	        s->at.size, root, s->time_ns, before, next, by_before, by_next);
}

static bool read_signature(const char *word, uint8_t ret[static SIGN_SIGNATURE_BYTES]) {
	size_t size;
	return base64_decode(word, SIGN_SIGNATURE_BYTES, ret, &size) == 0 && size == SIGN_SIGNATURE_BYTES;
}

#define WORDS 9

/* Cuts the text at its blanks. */
static bool split(char *text, char *ret_words[static WORDS]) {
	size_t count = 0;
	for (char *rest = text, *word; (word = strsep(&rest, " "));) {
		if (count == WORDS)
			return false;
		ret_words[count++] = word;
	}
	return count == WORDS;
}

/* Numbers in whatever spelling: who reads a line spells it again. */
static bool read_words(char *const words[static WORDS], struct succession *ret) {
	size_t size;
	ret->version_before = (uint32_t)strtoul(words[0], NULL, 10);
	ret->version = (uint32_t)strtoul(words[1], NULL, 10);
	ret->at.size = strtoull(words[2], NULL, 10);
	ret->time_ns = strtoll(words[4], NULL, 10);
	ret->is_broken = strcmp(words[7], NO_SIGNATURE) == 0;
	return base64_decode(words[3], MERKLE_HASH_BYTES, ret->at.root, &size) == 0 && size == MERKLE_HASH_BYTES &&
	       note_key_parse(words[5], &ret->before) == 0 && note_key_parse(words[6], &ret->next) == 0 &&
	       (ret->is_broken || read_signature(words[7], ret->by_before)) && read_signature(words[8], ret->by_next);
}

int succession_parse(struct bytes line, struct succession *ret) {
	char text[SUCCESSION_LINE_BYTES], again[SUCCESSION_LINE_BYTES], *words[WORDS];
	struct succession found = {0};
	bool is_one = line.size < sizeof text && !memchr(line.data, '\0', line.size);
	if (is_one) {
		memcpy(text, line.data, line.size);
		text[line.size] = '\0';
		is_one = split(text, words) && read_words(words, &found) && found.at.size <= MERKLE_SIZE_MAX;
	}
	if (is_one) {
		succession_line(&found, again);
		is_one = strlen(again) == line.size && memcmp(again, line.data, line.size) == 0;
	}
	if (!is_one)
		return fault(EINVAL, "it is no line that says how the log's key was handed on");
	*ret = found;
	return 0;
}

/* ---- chains ---- */

void key_chain_clear(struct key_chain *chain) {
	free(chain->list);
	*chain = (struct key_chain){0};
}

static bool is_same(const struct note_key *one, const struct note_key *other) {
	return strcmp(one->name, other->name) == 0 &&
	       memcmp(one->public_key, other->public_key, sizeof one->public_key) == 0;
}

static int check_order(const struct key_chain *chain, const struct succession *next) {
	if (next->version <= next->version_before)
		return fault(EBADMSG, "version %" PRIu32 " of the log's key can't come after version %" PRIu32,
		        next->version, next->version_before);
	if (chain->count == 0)
		return 0;
	const struct succession *last = &chain->list[chain->count - 1];
	if (last->version == next->version_before && is_same(&last->next, &next->before) &&
	        last->at.size <= next->at.size)
		return 0;
	return fault(EBADMSG,
	        "version %" PRIu32 " of the log's key, at %" PRIu64 " records, does not follow on version %" PRIu32
	        ", at %" PRIu64,
	        next->version, next->at.size, last->version, last->at.size);
}

int key_chain_append(struct key_chain *chain, const struct succession *succession) {
	int rc = check_order(chain, succession);
	if (rc < 0)
		return rc;
	struct succession *grown = array_room(chain->list, &chain->room, chain->count + 1, sizeof *grown);
	if (!grown)
		return fault(ENOMEM, "no memory for the keys of a log");
	chain->list = grown;
	chain->list[chain->count++] = *succession;
	chain->first = chain->list[0].before;
	return 0;
}

int key_chain_add(struct key_chain *chain, const struct succession *succession) {
	int rc = succession_verify(succession);
	return rc < 0 ? rc : key_chain_append(chain, succession);
}

int key_chain_read(struct key_chain *chain, struct bytes text) {
	struct succession succession;
	struct bytes line;
	int rc = 0;
	while (rc == 0 && text.size > 0) {
		size_t number = chain->count + 1;
		if (number > SUCCESSIONS_MAX || !bytes_take_line(&text, &line))
			return fault(
			        EBADMSG, "line %zu of the keys' successions ends too early, or is too many", number);
		rc = succession_parse(line, &succession);
		if (rc == 0)
			rc = key_chain_add(chain, &succession);
		rc = rc == -EINVAL ? -EBADMSG : rc;
		if (rc < 0)
			return fault_while(rc, "line %zu of the keys' successions", number);
	}
	return 0;
}

const struct note_key *key_chain_key(const struct key_chain *chain, size_t index) {
	return index == 0 ? &chain->first : &chain->list[index - 1].next;
}

uint32_t key_chain_version(const struct key_chain *chain, size_t index) {
	if (chain->count == 0)
		return 0;
	return index == 0 ? chain->list[0].version_before : chain->list[index - 1].version;
}

int key_chain_find(const struct key_chain *chain, const struct note_key *key, size_t *ret_index) {
	for (size_t i = 0; i <= chain->count; i++)
		if (is_same(key_chain_key(chain, i), key)) {
			*ret_index = i;
			return 0;
		}
	return fault(ENOKEY, "the log has no signature by the key %s+%02x%02x%02x%02x: it is none of its %zu keys",
	        key->name, key->id[0], key->id[1], key->id[2], key->id[3], chain->count + 1);
}

size_t key_chain_signer(const struct key_chain *chain, uint64_t size) {
	size_t index = chain->count;
	while (index > 0 && chain->list[index - 1].at.size >= size)
		index--;
	return index;
}

int key_chain_reaches_end(const struct key_chain *chain, size_t index) {
	for (; index < chain->count; index++)
		if (chain->list[index].is_broken)
			return fault(EBADMSG,
			        "the log's key version %" PRIu32 " was lost, and did not sign that version %" PRIu32
			        " comes after it: verify with a key that you get anew from who is in charge of the log",
			        chain->list[index].version_before, chain->list[index].version);
	return 0;
}

int key_chain_open(const struct key_chain *chain, struct bytes note, struct checkpoint *ret) {
	struct checkpoint found;
	size_t index = chain->count + 1;
	int rc = -ENOKEY;
	while (rc == -ENOKEY && index > 0)
		rc = checkpoint_open(note, key_chain_key(chain, --index), &found);
	if (rc == 0 && index < key_chain_signer(chain, found.size))
		return fault(EBADMSG,
		        "a checkpoint of %" PRIu64 " records is signed by version %" PRIu32
		        " of the log's key alone, which was handed on at %" PRIu64,
		        found.size, key_chain_version(chain, index), chain->list[index].at.size);
	if (rc < 0)
		return rc;
	*ret = found;
	return 0;
}

/* The highest index below `limit` of a key with that id which has signed; `limit`: there is none. */
static size_t find_signer(
        const struct key_chain *chain, struct bytes note, const uint8_t id[static NOTE_ID_BYTES], size_t limit) {
	struct checkpoint found;
	for (size_t index = limit; index-- > 0;) {
		const struct note_key *key = key_chain_key(chain, index);
		if (memcmp(key->id, id, NOTE_ID_BYTES) == 0 && checkpoint_open(note, key, &found) == 0)
			return index;
	}
	return limit;
}

/* By what the lines verify, not by their ids: these are short enough for somebody to make a key that has one. */
int key_chain_covers(const struct key_chain *chain, struct bytes note) {
	struct note_signers signers;
	size_t limit = chain->count + 1;
	int rc = note_list_signers(note, chain->first.name, &signers);
	for (size_t i = 0; rc == 0 && i < signers.count; i++) {
		const uint8_t *id = signers.ids[i];
		size_t index = find_signer(chain, note, id, limit);
		if (index == limit)
			rc = fault(EBADMSG,
			        "it is signed by the log's key %s+%02x%02x%02x%02x too, and that one is not among "
			        "those by which the log was handed on, or not in its place",
			        chain->first.name, id[0], id[1], id[2], id[3]);
		limit = index;
	}
	return rc;
}
