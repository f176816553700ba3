#include "backend/synclog_format.h"

#include "crypto/base/fault.h"
#include "crypto/derive.h"
#include "crypto/digest.h"

#include <assert.h>
#include <errno.h>

static const uint8_t header_magic[8] = {'A', 'S', 'S', 'A', 'Y', 'S', 'Y', 'N'};
static const uint8_t head_magic[4] = {'A', 'S', 'Y', 'N'};

#define HEADER_TAG_AT (SYNCLOG_HEADER_BYTES - AEAD_TAG_BYTES)
#define HEADER_NONCE_AT (HEADER_TAG_AT - AEAD_NONCE_BYTES)
#define HEAD_TAG_AT (SYNCLOG_HEAD_BYTES - AEAD_TAG_BYTES)
#define HEAD_NONCE_AT (HEAD_TAG_AT - AEAD_NONCE_BYTES)
#define HEAD_AD_BYTES (HEAD_TAG_AT + 8)
static_assert(HEAD_NONCE_AT == 4 + 4 + 8 + 4 + 4, "the head has no gap");
static_assert(SYNCLOG_PAYLOAD_FIXED == 5 * 8 + 2 * 4, "the payload has no gap");

void synclog_key(const uint8_t landing_key[static 32], const struct synclog_header *header,
        uint8_t ret_key[static SYNCLOG_KEY_BYTES]) {
	uint8_t context[SYNCLOG_VAULT_ID_BYTES + SYNCLOG_SALT_BYTES];
	memcpy(context, header->vault_id, SYNCLOG_VAULT_ID_BYTES);
	memcpy(context + SYNCLOG_VAULT_ID_BYTES, header->salt, SYNCLOG_SALT_BYTES);
	derive_key(landing_key, "sync log", bytes_of(context, sizeof context), ret_key);
}

uint64_t synclog_base(uint64_t commit, int64_t time_ns) {
	static const char domain[] = "assayfs sync log base 1"; /* with its NUL */
	uint8_t input[sizeof domain + 16], digest[DIGEST_BYTES];
	memcpy(input, domain, sizeof domain);
	le64_put(input + sizeof domain, commit);
	le64_put(input + sizeof domain + 8, (uint64_t)time_ns);
	blake2b(bytes_of(input, sizeof input), digest);
	return le64_get(digest);
}

/* ---- header ---- */

int synclog_header_seal(const uint8_t key[static SYNCLOG_KEY_BYTES], const struct synclog_header *header,
        uint8_t ret_bytes[static SYNCLOG_HEADER_BYTES]) {
	uint8_t nothing[1];
	memset(ret_bytes, 0, SYNCLOG_HEADER_BYTES);
	memcpy(ret_bytes, header_magic, sizeof header_magic);
	le16_put(ret_bytes + 8, SYNCLOG_FORMAT);
	le32_put(ret_bytes + 12, header->key_version);
	memcpy(ret_bytes + 16, header->vault_id, SYNCLOG_VAULT_ID_BYTES);
	memcpy(ret_bytes + 32, header->salt, SYNCLOG_SALT_BYTES);
	aead_nonce_random(ret_bytes + HEADER_NONCE_AT);
	return aead_page_seal(key, ret_bytes + HEADER_NONCE_AT, bytes_of(ret_bytes, HEADER_TAG_AT),
	        bytes_of(nothing, 0), nothing, ret_bytes + HEADER_TAG_AT);
}

int synclog_header_parse(const uint8_t bytes[static SYNCLOG_HEADER_BYTES], struct synclog_header *ret) {
	if (memcmp(bytes, header_magic, sizeof header_magic) != 0)
		return fault(EBADMSG, "not a log of small fsyncs: wrong magic number");
	if (le16_get(bytes + 8) != SYNCLOG_FORMAT)
		return fault(EBADMSG, "log of small fsyncs of format %u, this program knows %d", le16_get(bytes + 8),
		        SYNCLOG_FORMAT);
	*ret = (struct synclog_header){.key_version = le32_get(bytes + 12)};
	memcpy(ret->vault_id, bytes + 16, SYNCLOG_VAULT_ID_BYTES);
	memcpy(ret->salt, bytes + 32, SYNCLOG_SALT_BYTES);
	return 0;
}

int synclog_header_open(const uint8_t key[static SYNCLOG_KEY_BYTES], const uint8_t bytes[static SYNCLOG_HEADER_BYTES]) {
	uint8_t nothing[1];
	return aead_page_open(key, bytes + HEADER_NONCE_AT, bytes_of(bytes, HEADER_TAG_AT), bytes_of(nothing, 0),
	        bytes + HEADER_TAG_AT, nothing);
}

/* ---- payload ---- */

size_t synclog_payload_bytes(const struct synclog_record *record) {
	size_t bytes = SYNCLOG_PAYLOAD_FIXED + record->count * SYNCLOG_PIECE_BYTES;
	if (record->count > SYNCLOG_PIECES_MAX)
		return SIZE_MAX;
	for (size_t i = 0; i < record->count; i++) {
		if (record->pieces[i].data.size > SYNCLOG_DATA_MAX)
			return SIZE_MAX;
		bytes += record->pieces[i].data.size;
	}
	return bytes;
}

void synclog_payload_put(const struct synclog_record *record, uint8_t *ret_payload) {
	le64_put(ret_payload, record->node);
	le64_put(ret_payload + 8, record->version);
	le64_put(ret_payload + 16, record->size);
	le64_put(ret_payload + 24, (uint64_t)record->mtime);
	le64_put(ret_payload + 32, (uint64_t)record->ctime);
	le32_put(ret_payload + 40, (uint32_t)record->count);
	le32_put(ret_payload + 44, 0);
	uint8_t *piece = ret_payload + SYNCLOG_PAYLOAD_FIXED, *data = piece + record->count * SYNCLOG_PIECE_BYTES;
	for (size_t i = 0; i < record->count; i++, piece += SYNCLOG_PIECE_BYTES) {
		const struct bytes *from = &record->pieces[i].data;
		le64_put(piece, record->pieces[i].offset);
		le32_put(piece + 8, (uint32_t)from->size);
		le32_put(piece + 12, 0);
		memcpy(data, from->data, from->size);
		data += from->size;
	}
}

static bool is_piece(const struct synclog_piece *piece, uint32_t rest, uint64_t size, size_t left) {
	return rest == 0 && piece->data.size > 0 && piece->data.size <= left && piece->offset <= size &&
	       piece->data.size <= size - piece->offset;
}

int synclog_payload_parse(struct bytes payload, struct synclog_record *ret) {
	const uint8_t *from = payload.data;
	if (payload.size < SYNCLOG_PAYLOAD_FIXED || payload.size > SYNCLOG_PAYLOAD_MAX)
		return fault(EBADMSG, "a record of %zu bytes", payload.size);
	struct synclog_record record = {.node = le64_get(from),
	        .version = le64_get(from + 8),
	        .size = le64_get(from + 16),
	        .mtime = (int64_t)le64_get(from + 24),
	        .ctime = (int64_t)le64_get(from + 32),
	        .count = le32_get(from + 40)};
	if (record.node == 0 || record.version == 0 || record.size > INT64_MAX || le32_get(from + 44) != 0)
		return fault(EBADMSG, "a record of no file");
	size_t fixed = SYNCLOG_PAYLOAD_FIXED + record.count * SYNCLOG_PIECE_BYTES;
	if (record.count > SYNCLOG_PIECES_MAX || fixed > payload.size)
		return fault(EBADMSG, "a record of %zu pieces in %zu bytes", record.count, payload.size);
	size_t left = payload.size - fixed;
	const uint8_t *piece = from + SYNCLOG_PAYLOAD_FIXED, *data = from + fixed;
	for (size_t i = 0; i < record.count; i++, piece += SYNCLOG_PIECE_BYTES) {
		struct synclog_piece *to = &record.pieces[i];
		*to = (struct synclog_piece){.offset = le64_get(piece), .data = bytes_of(data, le32_get(piece + 8))};
		if (!is_piece(to, le32_get(piece + 12), record.size, left))
			return fault(EBADMSG, "a piece of %zu bytes at %lu that does not fit", to->data.size,
			        (unsigned long)to->offset);
		data += to->data.size;
		left -= to->data.size;
	}
	if (left > 0)
		return fault(EBADMSG, "%zu bytes behind the last piece", left);
	*ret = record;
	return 0;
}

/* ---- records ---- */

static void head_ad(const uint8_t *bytes, uint64_t at, uint8_t ad[static HEAD_AD_BYTES]) {
	memcpy(ad, bytes, HEAD_TAG_AT);
	le64_put(ad + HEAD_TAG_AT, at);
}

int synclog_seal(
        const uint8_t key[static SYNCLOG_KEY_BYTES], uint64_t at, const struct synclog_head *head, uint8_t *bytes) {
	uint8_t ad[HEAD_AD_BYTES], *payload = bytes + SYNCLOG_HEAD_BYTES;
	memcpy(bytes, head_magic, sizeof head_magic);
	le32_put(bytes + 4, head->length);
	le64_put(bytes + 8, head->base);
	le32_put(bytes + 16, head->number);
	le32_put(bytes + 20, head->durable);
	aead_nonce_random(bytes + HEAD_NONCE_AT);
	head_ad(bytes, at, ad);
	size_t rest = synclog_room(head->length) - SYNCLOG_HEAD_BYTES - head->length;
	memset(payload + head->length, 0, rest);
	return aead_page_seal(key, bytes + HEAD_NONCE_AT, bytes_of(ad, sizeof ad), bytes_of(payload, head->length),
	        payload, bytes + HEAD_TAG_AT);
}

bool synclog_head_parse(struct bytes bytes, struct synclog_head *ret) {
	const uint8_t *from = bytes.data;
	if (bytes.size < SYNCLOG_HEAD_BYTES || memcmp(from, head_magic, sizeof head_magic) != 0)
		return false;
	*ret = (struct synclog_head){.length = le32_get(from + 4),
	        .base = le64_get(from + 8),
	        .number = le32_get(from + 16),
	        .durable = le32_get(from + 20)};
	bool is_record = ret->length >= SYNCLOG_PAYLOAD_FIXED && ret->length <= SYNCLOG_PAYLOAD_MAX;
	return (ret->length == 0 || is_record) && synclog_room(ret->length) <= bytes.size;
}

int synclog_open_at(
        const uint8_t key[static SYNCLOG_KEY_BYTES], uint64_t at, const struct synclog_head *head, uint8_t *bytes) {
	uint8_t ad[HEAD_AD_BYTES], *payload = bytes + SYNCLOG_HEAD_BYTES;
	head_ad(bytes, at, ad);
	return aead_page_open(key, bytes + HEAD_NONCE_AT, bytes_of(ad, sizeof ad), bytes_of(payload, head->length),
	        bytes + HEAD_TAG_AT, payload);
}
