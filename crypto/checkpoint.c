#include "crypto/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base/fault.h"

/* ---- writing ---- */

void checkpoint_body(
        const char *origin, const struct checkpoint *checkpoint, char ret_body[static CHECKPOINT_BODY_BYTES]) {
	char root[BASE64_TEXT_BYTES(MERKLE_HASH_BYTES)];
	base64_encode(bytes_of(checkpoint->root, MERKLE_HASH_BYTES), root);
	snprintf(ret_body, CHECKPOINT_BODY_BYTES, "%s\n%" PRIu64 "\n%s\n", origin, checkpoint->size, root);
}

void checkpoint_sign(const struct note_key *key, const uint8_t seed[static SIGN_SEED_BYTES],
        const struct checkpoint *checkpoint, uint8_t ret_signature[static SIGN_SIGNATURE_BYTES]) {
	char body[CHECKPOINT_BODY_BYTES];
	checkpoint_body(key->name, checkpoint, body);
	sign_make(seed, bytes_of_string(body), ret_signature);
}

int checkpoint_verify(const struct note_key *key, const struct checkpoint *checkpoint,
        const uint8_t signature[static SIGN_SIGNATURE_BYTES]) {
	char body[CHECKPOINT_BODY_BYTES];
	checkpoint_body(key->name, checkpoint, body);
	return sign_verify(key->public_key, bytes_of_string(body), signature);
}

void checkpoint_note(const struct note_key *key, const struct checkpoint *checkpoint,
        const uint8_t signature[static SIGN_SIGNATURE_BYTES], char ret_note[static CHECKPOINT_NOTE_BYTES]) {
	char body[CHECKPOINT_BODY_BYTES], line[NOTE_LINE_BYTES];
	checkpoint_body(key->name, checkpoint, body);
	note_line(key, signature, line);
	snprintf(ret_note, CHECKPOINT_NOTE_BYTES, "%s\n%s", body, line);
}

/* ---- reading ---- */

/* A decimal number in its one spelling that ends at `end`. */
static bool read_number(const char *text, const char *end, uint64_t *ret) {
	uint64_t value = 0;
	if (text == end || (*text == '0' && text + 1 != end))
		return false;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10, &value) ||
		        __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return false;
	}
	*ret = value;
	return true;
}

/* The next line of the rest, as a string in `room` with the newline left out; false when there is none that fits. */
static bool take_line(struct bytes *rest, char *room, size_t size) {
	struct bytes line;
	if (!bytes_take_line(rest, &line) || line.size >= size)
		return false;
	memcpy(room, line.data, line.size);
	room[line.size] = '\0';
	return true;
}

static bool read_body(struct bytes text, char ret_origin[static NOTE_NAME_MAX + 1], struct checkpoint *ret) {
	char size[24], root[BASE64_TEXT_BYTES(MERKLE_HASH_BYTES)];
	size_t got;
	return take_line(&text, ret_origin, NOTE_NAME_MAX + 1) && take_line(&text, size, sizeof size) &&
	       read_number(size, size + strlen(size), &ret->size) && ret->size <= MERKLE_SIZE_MAX &&
	       take_line(&text, root, sizeof root) && base64_decode(root, MERKLE_HASH_BYTES, ret->root, &got) == 0 &&
	       got == MERKLE_HASH_BYTES;
}

int checkpoint_open(struct bytes note, const struct note_key *key, struct checkpoint *ret) {
	struct bytes text;
	char origin[NOTE_NAME_MAX + 1];
	int rc = note_open(note, key, &text);
	if (rc < 0)
		return rc;
	if (!read_body(text, origin, ret))
		return fault(EINVAL, "this is no checkpoint of a log: its name, its size, its root");
	if (strcmp(origin, key->name) != 0)
		return fault(EINVAL, "this is a checkpoint of the log %s, the key is that of %s", origin, key->name);
	return 0;
}

/* ---- heads in a list ---- */

void checkpoint_line(const struct note_key *key, const struct checkpoint *checkpoint,
        const uint8_t signature[static SIGN_SIGNATURE_BYTES], char ret_line[static CHECKPOINT_LINE_BYTES]) {
	uint8_t blob[NOTE_ID_BYTES + SIGN_SIGNATURE_BYTES];
	char root[BASE64_TEXT_BYTES(MERKLE_HASH_BYTES)], base64[BASE64_TEXT_BYTES(sizeof blob)];
	memcpy(blob, key->id, NOTE_ID_BYTES);
	memcpy(blob + NOTE_ID_BYTES, signature, SIGN_SIGNATURE_BYTES);
	base64_encode(bytes_of(checkpoint->root, MERKLE_HASH_BYTES), root);
	base64_encode(bytes_of(blob, sizeof blob), base64);
	snprintf(ret_line, CHECKPOINT_LINE_BYTES, "%" PRIu64 " %s %s", checkpoint->size, root, base64);
}

/* The next word of a line, up to a blank, its end or a newline; false when it has no room. */
static bool take_word(const char **line, char *room, size_t size) {
	size_t length = strcspn(*line, " \n");
	if (length == 0 || length >= size)
		return false;
	memcpy(room, *line, length);
	room[length] = '\0';
	*line += length + ((*line)[length] == ' ');
	return true;
}

bool checkpoint_line_parse(const char *line, const struct note_key *key, struct checkpoint *ret,
        uint8_t ret_signature[static SIGN_SIGNATURE_BYTES]) {
	uint8_t blob[NOTE_ID_BYTES + SIGN_SIGNATURE_BYTES];
	char word[BASE64_TEXT_BYTES(sizeof blob)];
	size_t size;
	if (!take_word(&line, word, sizeof word) || !read_number(word, word + strlen(word), &ret->size) ||
	        ret->size > MERKLE_SIZE_MAX)
		return false;
	if (!take_word(&line, word, sizeof word) || base64_decode(word, MERKLE_HASH_BYTES, ret->root, &size) < 0 ||
	        size != MERKLE_HASH_BYTES)
		return false;
	if (!take_word(&line, word, sizeof word) || base64_decode(word, sizeof blob, blob, &size) < 0 ||
	        size != sizeof blob)
		return false;
	memcpy(ret_signature, blob + NOTE_ID_BYTES, SIGN_SIGNATURE_BYTES);
	return memcmp(blob, key->id, NOTE_ID_BYTES) == 0;
}

/* ---- tiles ---- */

void tile_path(const struct tile *tile, char ret_path[static TILE_PATH_BYTES]) {
	char index[40] = "", level[8] = "entries", part[16] = "";
	uint64_t rest = tile->index;
	size_t at = sizeof index - 1;
	for (bool is_last = true; is_last || rest > 0; is_last = false, rest /= 1000) {
		char group[8];
		int length = snprintf(group, sizeof group, is_last ? "%03u" : "x%03u/", (unsigned)(rest % 1000));
		at -= (size_t)length;
		memcpy(index + at, group, (size_t)length);
	}
	if (!tile->is_entries)
		snprintf(level, sizeof level, "%u", tile->level % 100);
	if (tile->width < TILE_WIDTH)
		snprintf(part, sizeof part, ".p/%u", tile->width % TILE_WIDTH);
	snprintf(ret_path, TILE_PATH_BYTES, "tile/%s/%s%s", level, index + at, part);
}

/* Groups of three digits, all but the last behind an 'x'. What comes behind is *ret_end. */
static bool read_index(const char *text, uint64_t *ret_index, const char **ret_end) {
	uint64_t index = 0;
	for (bool has_more = true; has_more;) {
		has_more = *text == 'x';
		text += has_more;
		if (strspn(text, "0123456789") != 3 || index > UINT64_MAX / 1000 - 1)
			return false;
		index = index * 1000 + strtoul(text, NULL, 10);
		text += 3;
		if (has_more && *text++ != '/')
			return false;
	}
	*ret_index = index;
	*ret_end = text;
	return true;
}

/* Whatever other spelling got this far is found by spelling it again. */
bool tile_path_parse(const char *text, struct tile *ret) {
	static const char start[] = "tile/", entries[] = "entries";
	char again[TILE_PATH_BYTES];
	uint64_t level = 0, width = TILE_WIDTH;
	if (strncmp(text, start, sizeof start - 1) != 0)
		return false;
	const char *word = text + sizeof start - 1;
	const char *slash = strchr(word, '/'), *end;
	if (!slash)
		return false;
	ret->is_entries =
	        (size_t)(slash - word) == sizeof entries - 1 && memcmp(word, entries, sizeof entries - 1) == 0;
	if (!ret->is_entries && (!read_number(word, slash, &level) || level >= TILE_LEVELS))
		return false;
	if (!read_index(slash + 1, &ret->index, &end))
		return false;
	if (*end && (strncmp(end, ".p/", 3) != 0 || !read_number(end + 3, end + strlen(end), &width) || width == 0 ||
	                    width >= TILE_WIDTH))
		return false;
	ret->level = (unsigned)level;
	ret->width = (unsigned)width;
	tile_path(ret, again);
	return strcmp(again, text) == 0;
}

unsigned tile_width(uint64_t size, unsigned level, uint64_t index) {
	uint64_t hashes = level < TILE_LEVELS ? size >> (8 * level) : 0, first = index * TILE_WIDTH;
	if (index > UINT64_MAX / TILE_WIDTH || hashes <= first)
		return 0;
	return hashes - first < TILE_WIDTH ? (unsigned)(hashes - first) : TILE_WIDTH;
}

struct tile_span tile_span_of(unsigned level, uint64_t index) {
	size_t width = (size_t)1 << (level % 8), spans = TILE_WIDTH / width;
	return (struct tile_span){
	        .level = level / 8, .index = index / spans, .first = (size_t)(index % spans) * width, .width = width};
}

void tile_join(const uint8_t *hashes, size_t width, merkle_hash ret_hash) {
	merkle_hash joined[TILE_WIDTH / 2];
	memcpy(joined, hashes, width * MERKLE_HASH_BYTES);
	for (; width > 1; width /= 2)
		for (size_t i = 0; i < width / 2; i++)
			merkle_node(joined[2 * i], joined[2 * i + 1], joined[i]);
	memcpy(ret_hash, joined[0], MERKLE_HASH_BYTES);
}

int tile_entries(struct bytes data, unsigned width, struct bytes ret_entries[static TILE_WIDTH]) {
	for (unsigned i = 0; i < width && i < TILE_WIDTH; i++) {
		size_t size = data.size >= 2 ? (size_t)data.data[0] << 8 | data.data[1] : 0;
		if (data.size < 2 || data.size - 2 < size)
			return fault(EBADMSG, "it ends within entry %u", i);
		ret_entries[i] = bytes_of(data.data + 2, size);
		data = bytes_of(data.data + 2 + size, data.size - 2 - size);
	}
	return data.size == 0 ? 0 : fault(EBADMSG, "it has bytes behind its last entry");
}
