#include "backend/backup/layout.h"

#include "crypto/aead.h"
#include "crypto/base/fault.h"
#include "crypto/derive.h"
#include "crypto/digest.h"
#include "crypto/encoding.h"
#include "crypto/secret.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MAGIC "ASSAYSUP"
#define MAGIC_BYTES 8
#define FORMAT 1
#define OPEN_BYTES 32 /* of the head that stand readable */
#define NONCE_AT 32
#define TAG_AT 56
#define VERSION_AT 12
#define HEAD_BYTES 72
#define FIXED_BYTES 128
#define ZONES_BITS 8
#define ZONES_MASK 0xffu
#define ENTRY_BYTES 40
#define HASH_DIGITS 16

static_assert(NONCE_AT + AEAD_NONCE_BYTES == TAG_AT && TAG_AT + AEAD_TAG_BYTES == HEAD_BYTES, "as layout.h draws it");
static_assert(ENTRY_BYTES == LAYOUT_ID_BYTES + 8, "a segment and the number since which it leaves");
static_assert(LAYOUT_HASH_BYTES == DIGEST_BYTES, "header_hash is a BLAKE2b-256");

void layout_super_clear(struct layout_super *super) {
	free(super->leaving);
	*super = (struct layout_super){0};
}

/* *version: 0 for the newest; then which that is. */
static int derive_super(const Keyring *keyring, const uint8_t vault_id[static LAYOUT_VAULT_ID_BYTES], uint32_t *version,
        struct secret_key *ret_key) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	int rc = keyring_get(keyring, "meta", *version, key.bytes, version);
	if (rc == 0)
		derive_key(key.bytes, "backup superblock", bytes_of(vault_id, LAYOUT_VAULT_ID_BYTES), ret_key->bytes);
	return fault_while(rc, "key of the backup's superblocks");
}

/* ---- the superblock ---- */

uint32_t layout_prefix_mark(const char *prefix) {
	uint8_t hash[DIGEST_BYTES];
	if (!*prefix)
		return 0;
	blake2b(bytes_of_string(prefix), hash);
	uint32_t mark = le32_get(hash) & 0xffffffu;
	return mark ? mark : 1;
}

struct associated {
	uint8_t bytes[OPEN_BYTES + 8];
};

static void associate(const uint8_t head[static OPEN_BYTES], uint64_t number, struct associated *ret) {
	memcpy(ret->bytes, head, OPEN_BYTES);
	le64_put(ret->bytes + OPEN_BYTES, number);
}

static void put_fixed(const struct layout_super *super, uint8_t to[static FIXED_BYTES]) {
	le64_put(to, super->number);
	le64_put(to + 8, (uint64_t)super->time_ns);
	le64_put(to + 16, super->commit);
	le64_put(to + 24, super->pack);
	le64_put(to + 32, super->base);
	le64_put(to + 40, super->header);
	memcpy(to + 48, super->header_hash, LAYOUT_HASH_BYTES);
	memcpy(to + 80, super->root, LAYOUT_HASH_BYTES);
	le64_put(to + 112, super->bytes);
	le32_put(to + 120, (super->zones & ZONES_MASK) | super->prefix_mark << ZONES_BITS);
	le32_put(to + 124, super->leaving_count);
}

static void get_fixed(const uint8_t from[static FIXED_BYTES], struct layout_super *ret) {
	*ret = (struct layout_super){.number = le64_get(from),
	        .time_ns = (int64_t)le64_get(from + 8),
	        .commit = le64_get(from + 16),
	        .pack = le64_get(from + 24),
	        .base = le64_get(from + 32),
	        .header = le64_get(from + 40),
	        .bytes = le64_get(from + 112),
	        .zones = le32_get(from + 120) & ZONES_MASK,
	        .prefix_mark = le32_get(from + 120) >> ZONES_BITS,
	        .leaving_count = le32_get(from + 124)};
	memcpy(ret->header_hash, from + 48, LAYOUT_HASH_BYTES);
	memcpy(ret->root, from + 80, LAYOUT_HASH_BYTES);
}

int layout_super_seal(const Keyring *keyring, uint32_t version, const uint8_t vault_id[static LAYOUT_VAULT_ID_BYTES],
        const struct layout_super *super, uint8_t **ret_bytes, size_t *ret_size) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	if (super->leaving_count > LAYOUT_LEAVING_MAX)
		return fault(EMSGSIZE, "%u segments that leave are too many for a superblock", super->leaving_count);
	size_t plain = FIXED_BYTES + (size_t)super->leaving_count * ENTRY_BYTES;
	_cleanup_(freep) uint8_t *bytes = calloc(1, HEAD_BYTES + plain);
	if (!bytes)
		return fault(ENOMEM, "no memory for a superblock of the backup");
	int rc = derive_super(keyring, vault_id, &version, &key);
	if (rc < 0)
		return rc;
	memcpy(bytes, MAGIC, MAGIC_BYTES);
	le16_put(bytes + 8, FORMAT);
	/* Programs that know no other version want zeros here. */
	le32_put(bytes + VERSION_AT, version == 1 ? 0 : version);
	memcpy(bytes + 16, vault_id, LAYOUT_VAULT_ID_BYTES);
	aead_nonce_random(bytes + NONCE_AT);
	uint8_t *to = bytes + HEAD_BYTES;
	put_fixed(super, to);
	for (uint32_t i = 0; i < super->leaving_count; i++) {
		memcpy(to + FIXED_BYTES + (size_t)i * ENTRY_BYTES, super->leaving[i].id, LAYOUT_ID_BYTES);
		le64_put(to + FIXED_BYTES + (size_t)i * ENTRY_BYTES + LAYOUT_ID_BYTES, super->leaving[i].since);
	}
	struct associated ad;
	associate(bytes, super->number, &ad);
	rc = aead_page_seal(key.bytes, bytes + NONCE_AT, bytes_of(ad.bytes, sizeof ad.bytes), bytes_of(to, plain), to,
	        bytes + TAG_AT);
	if (rc < 0)
		return fault_while(rc, "sealing a superblock of the backup");
	*ret_bytes = steal_pointer(&bytes);
	*ret_size = HEAD_BYTES + plain;
	return 0;
}

static int damaged(uint64_t number, const char *words) {
	return fault(EBADMSG, "superblock %" PRIu64 " of the backup: %s", number, words);
}

static int check_head(const uint8_t vault_id[static LAYOUT_VAULT_ID_BYTES], uint64_t number, struct bytes bytes) {
	if (bytes.size < HEAD_BYTES + FIXED_BYTES || (bytes.size - HEAD_BYTES - FIXED_BYTES) % ENTRY_BYTES != 0 ||
	        (bytes.size - HEAD_BYTES - FIXED_BYTES) / ENTRY_BYTES > LAYOUT_LEAVING_MAX)
		return damaged(number, "its length can't be");
	if (memcmp(bytes.data, MAGIC, MAGIC_BYTES) != 0)
		return damaged(number, "no superblock");
	if (le16_get(bytes.data + 8) != FORMAT || le16_get(bytes.data + 10) != 0)
		return damaged(number, "of a format that this program does not know");
	if (memcmp(bytes.data + 16, vault_id, LAYOUT_VAULT_ID_BYTES) != 0)
		return damaged(number, "of another vault");
	return 0;
}

/* What its sealer never says, so that who reads need not check it again. */
static bool is_sensible(const struct layout_super *super, uint64_t number, size_t entries) {
	bool sound = super->number == number && number > 0 && super->leaving_count == entries && super->base > 0 &&
	             super->base <= super->pack;
	for (size_t i = 0; sound && i < entries; i++)
		sound = super->leaving[i].since > 0 && super->leaving[i].since <= number;
	return sound;
}

static int derive_for(const Keyring *keyring, const uint8_t vault_id[static LAYOUT_VAULT_ID_BYTES], uint64_t number,
        struct bytes bytes, struct secret_key *ret_key) {
	char words[80];
	uint32_t version = le32_get(bytes.data + VERSION_AT);
	version = version ? version : 1;
	(void)snprintf(words, sizeof words, "under version %" PRIu32 " of alias/metadata, which can't be had", version);
	int rc = derive_super(keyring, vault_id, &version, ret_key);
	return rc == -ENOKEY ? damaged(number, words) : rc;
}

int layout_super_open(const Keyring *keyring, const uint8_t vault_id[static LAYOUT_VAULT_ID_BYTES], uint64_t number,
        struct bytes bytes, struct layout_super *ret_super) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	int rc = check_head(vault_id, number, bytes);
	if (rc == 0)
		rc = derive_for(keyring, vault_id, number, bytes, &key);
	if (rc < 0)
		return rc;
	size_t size = bytes.size - HEAD_BYTES, entries = (size - FIXED_BYTES) / ENTRY_BYTES;
	_cleanup_(freep) uint8_t *plain = malloc(size);
	_cleanup_(freep) struct layout_leaving *leaving = calloc(entries + 1, sizeof *leaving);
	if (!plain || !leaving)
		return fault(ENOMEM, "no memory for a superblock of the backup");
	struct associated ad;
	associate(bytes.data, number, &ad);
	rc = aead_page_open(key.bytes, bytes.data + NONCE_AT, bytes_of(ad.bytes, sizeof ad.bytes),
	        bytes_of(bytes.data + HEAD_BYTES, size), bytes.data + TAG_AT, plain);
	if (rc == -EBADMSG)
		return damaged(number, "does not authenticate");
	if (rc < 0)
		return fault_while(rc, "superblock %" PRIu64 " of the backup", number);
	struct layout_super super;
	get_fixed(plain, &super);
	for (size_t i = 0; i < entries; i++) {
		memcpy(leaving[i].id, plain + FIXED_BYTES + i * ENTRY_BYTES, LAYOUT_ID_BYTES);
		leaving[i].since = le64_get(plain + FIXED_BYTES + i * ENTRY_BYTES + LAYOUT_ID_BYTES);
	}
	super.leaving = leaving;
	if (!is_sensible(&super, number, entries))
		return damaged(number, "its numbers can't be");
	super.leaving = steal_pointer(&leaving);
	*ret_super = super;
	return 0;
}

/* ---- names ---- */

void layout_header_name(
        uint64_t generation, const uint8_t hash[static LAYOUT_HASH_BYTES], char ret_name[static LAYOUT_NAME_BYTES]) {
	char text[HEX_TEXT_BYTES(HASH_DIGITS / 2)];
	hex_encode(bytes_of(hash, HASH_DIGITS / 2), text);
	(void)snprintf(ret_name, LAYOUT_NAME_BYTES, "header/%010" PRIu64 "-%s", generation, text);
}

void layout_segment_prefix(const uint8_t id[static LAYOUT_ID_BYTES], char ret_prefix[static LAYOUT_NAME_BYTES]) {
	char text[HEX_TEXT_BYTES(LAYOUT_ID_BYTES)];
	hex_encode(bytes_of(id, LAYOUT_ID_BYTES), text);
	(void)snprintf(ret_prefix, LAYOUT_NAME_BYTES, "segments/%s/", text);
}

void layout_extent_name(
        const uint8_t id[static LAYOUT_ID_BYTES], uint32_t from, uint32_t to, char ret_name[static LAYOUT_NAME_BYTES]) {
	layout_segment_prefix(id, ret_name);
	size_t used = strlen(ret_name);
	(void)snprintf(ret_name + used, LAYOUT_NAME_BYTES - used, "%08" PRIx32 "-%08" PRIx32, from, to);
}

void layout_part_name(uint64_t pack, uint32_t part, char ret_name[static LAYOUT_NAME_BYTES]) {
	(void)snprintf(ret_name, LAYOUT_NAME_BYTES, "meta/%016" PRIx64 "/%06" PRIx32, pack, part);
}

void layout_audit_name(uint64_t first, char ret_name[static LAYOUT_NAME_BYTES]) {
	(void)snprintf(ret_name, LAYOUT_NAME_BYTES, "audit/%016" PRIx64, first);
}

void layout_super_name(uint64_t number, char ret_name[static LAYOUT_NAME_BYTES]) {
	(void)snprintf(ret_name, LAYOUT_NAME_BYTES, "super/%016" PRIx64, number);
}

/* Takes a text off the front. */
static bool take_text(const char **rest, const char *text) {
	size_t length = strlen(text);
	if (strncmp(*rest, text, length) != 0)
		return false;
	*rest += length;
	return true;
}

static int digit_of(char letter) {
	if (letter >= '0' && letter <= '9')
		return letter - '0';
	return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : 16;
}

/* Takes exactly so many digits off the front. */
static bool take_number(const char **rest, unsigned digits, unsigned radix, uint64_t *ret) {
	uint64_t value = 0;
	for (unsigned i = 0; i < digits; i++, (*rest)++) {
		unsigned digit = (unsigned)digit_of(**rest);
		if (digit >= radix)
			return false;
		value = value * radix + digit;
	}
	*ret = value;
	return true;
}

static bool take_number32(const char **rest, unsigned digits, uint32_t *ret) {
	uint64_t value = 0;
	if (!take_number(rest, digits, 16, &value))
		return false;
	*ret = (uint32_t)value;
	return true;
}

static bool parse_header(const char *rest, struct layout_name *name) {
	uint64_t hash = 0;
	if (!take_number(&rest, 10, 10, &name->number) || !take_text(&rest, "-"))
		return false;
	(void)snprintf(name->hash, sizeof name->hash, "%.16s", rest);
	return take_number(&rest, HASH_DIGITS, 16, &hash) && !*rest;
}

static bool parse_extent(const char *rest, struct layout_name *name) {
	for (size_t i = 0; i < LAYOUT_ID_BYTES; i++) {
		uint64_t byte = 0;
		if (!take_number(&rest, 2, 16, &byte))
			return false;
		name->id[i] = (uint8_t)byte;
	}
	return take_text(&rest, "/") && take_number32(&rest, 8, &name->from) && take_text(&rest, "-") &&
	       take_number32(&rest, 8, &name->to) && !*rest && name->from < name->to;
}

static bool parse_part(const char *rest, struct layout_name *name) {
	return take_number(&rest, 16, 16, &name->number) && take_text(&rest, "/") &&
	       take_number32(&rest, 6, &name->part) && !*rest;
}

static bool parse_one(const char *rest, struct layout_name *name) {
	return take_number(&rest, 16, 16, &name->number) && !*rest;
}

void layout_parse(const char *name, struct layout_name *ret) {
	static const struct {
		const char *prefix;
		enum layout_kind kind;
		bool (*parse)(const char *rest, struct layout_name *name);
	} kinds[] = {{"header/", LAYOUT_HEADER, parse_header}, {"segments/", LAYOUT_EXTENT, parse_extent},
	        {"meta/", LAYOUT_PART, parse_part}, {"audit/", LAYOUT_AUDIT, parse_one},
	        {"super/", LAYOUT_SUPER, parse_one}};
	struct layout_name parsed = {0};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const char *rest = name;
		if (take_text(&rest, kinds[i].prefix) && kinds[i].parse(rest, &parsed)) {
			parsed.kind = kinds[i].kind;
			bool is_numbered = parsed.kind != LAYOUT_SUPER || parsed.number > 0;
			*ret = is_numbered ? parsed : (struct layout_name){0};
			return;
		}
	}
	*ret = (struct layout_name){0};
}
