#include "backend/audit_pack.h"

#include "crypto/base/fault.h"

#include <errno.h>

/* On disk. The lowest two bits of a record's flags are its outcome. */
enum {
	OUTCOME = 3u,
	HAS_ERR = 1u << 2,
	HAS_PID = 1u << 3,
	HAS_PATH = 1u << 4,
	HAS_CUT = 1u << 5,
	HAS_PATH2 = 1u << 6,
	HAS_CUT2 = 1u << 7,
	HAS_NODE = 1u << 8,
	HAS_VERSION = 1u << 9,
	HAS_BYTES = 1u << 10,
	HAS_DETAIL = 1u << 11,
	HAS_DETAIL_CUT = 1u << 12,
	KNOWN_FLAGS = (1u << 13) - 1,
};
#define OUTCOMES 3u

/* ---- writing ---- */

static uint8_t *put_number(uint8_t *to, uint64_t value) {
	for (; value >= 0x80; value >>= 7)
		*to++ = (uint8_t)(value | 0x80);
	*to++ = (uint8_t)value;
	return to;
}

static uint8_t *put_if(uint8_t *to, uint64_t value) {
	return value ? put_number(to, value) : to;
}

static uint8_t *put_text(uint8_t *to, struct bytes text) {
	to = put_number(to, text.size);
	if (text.size)
		memcpy(to, text.data, text.size);
	return to + text.size;
}

static uint8_t *put_path(uint8_t *to, const struct audit_stored_path *path) {
	if (!path->set)
		return to;
	to = put_number(to, path->dir);
	to = put_text(to, path->name);
	return put_if(to, path->cut);
}

static unsigned flag_if(bool holds, unsigned flag) {
	return holds ? flag : 0;
}

static unsigned flags_of(const struct audit_stored *r) {
	return r->outcome | flag_if(r->err != 0, HAS_ERR) | flag_if(r->pid != 0, HAS_PID) |
	       flag_if(r->path.set, HAS_PATH) | flag_if(r->path.cut != 0, HAS_CUT) | flag_if(r->path2.set, HAS_PATH2) |
	       flag_if(r->path2.cut != 0, HAS_CUT2) | flag_if(r->node != 0, HAS_NODE) |
	       flag_if(r->version != 0, HAS_VERSION) | flag_if(r->bytes != 0, HAS_BYTES) |
	       flag_if(r->has_detail, HAS_DETAIL) | flag_if(r->detail_cut != 0, HAS_DETAIL_CUT);
}

size_t audit_pack_put(
        const struct audit_stored *r, const int64_t *before, uint8_t ret_bytes[static AUDIT_RECORD_BYTES_MAX]) {
	uint8_t *to = ret_bytes;
	le16_put(to, (uint16_t)flags_of(r));
	to += 2;
	if (before) {
		to = put_number(to, (uint64_t)r->time_ns - (uint64_t)*before);
	} else {
		le64_put(to, (uint64_t)r->time_ns);
		to += 8;
	}
	to = put_number(to, r->event);
	to = put_number(to, r->exe);
	to = put_number(to, r->uid);
	to = put_number(to, r->gid);
	to = put_if(to, (uint32_t)r->err);
	to = put_if(to, (uint32_t)r->pid);
	to = put_path(to, &r->path);
	to = put_path(to, &r->path2);
	to = put_if(to, r->node);
	to = put_if(to, r->version);
	to = put_if(to, r->bytes);
	if (r->has_detail)
		to = put_text(to, r->detail);
	to = put_if(to, r->detail_cut);
	return (size_t)(to - ret_bytes);
}

/* ---- reading ---- */

/* What is left; once something was wrong, nothing is. */
struct reader {
	const uint8_t *at, *end;
	bool bad;
};

static uint64_t fail(struct reader *r) {
	r->bad = true;
	r->at = r->end;
	return 0;
}

static uint64_t take_any_number(struct reader *r) {
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
		uint8_t byte = *r->at++;
		uint64_t bits = byte & 0x7f;
		if (bits << shift >> shift != bits || (byte == 0 && shift > 0))
			return fail(r); /* more than 64 bits, or longer than it need be */
		value |= bits << shift;
		if (!(byte & 0x80))
			return value;
	}
	return fail(r);
}

/* One of two to eight bytes at once: what stands in seven bits of each is moved together. */
static uint64_t take_long_number(struct reader *r) {
	uint64_t word = r->end - r->at >= 8 ? le64_get(r->at) : UINT64_MAX;
	uint64_t ends = ~word & UINT64_C(0x8080808080808080);
	if (ends == 0)
		return take_any_number(r);
	word &= ends ^ (ends - 1); /* up to the first byte without bit 7 */
	size_t size = (size_t)__builtin_ctzll(ends) / 8 + 1;
	if (r->at[size - 1] == 0)
		return fail(r); /* longer than it need be, as it is not of one byte */
	r->at += size;
	word = (word & UINT64_C(0x7f007f007f007f00)) >> 1 | (word & UINT64_C(0x007f007f007f007f));
	word = (word & UINT64_C(0x3fff00003fff0000)) >> 2 | (word & UINT64_C(0x00003fff00003fff));
	return (word & UINT64_C(0x0fffffff00000000)) >> 4 | (word & UINT64_C(0x000000000fffffff));
}

/* Most are of one byte; a search through all records spent a fifth of its time here. */
static inline uint64_t take_number(struct reader *r) {
	return r->at < r->end && *r->at < 0x80 ? *r->at++ : take_long_number(r);
}

static uint32_t take_u32(struct reader *r) {
	uint64_t value = take_number(r);
	return (uint32_t)(value <= UINT32_MAX ? value : fail(r));
}

/* What a flag names, which is not zero. */
static uint64_t take_if(struct reader *r, bool is_there) {
	uint64_t value = is_there ? take_number(r) : 0;
	return is_there && value == 0 ? fail(r) : value;
}

static uint32_t take_u32_if(struct reader *r, bool is_there) {
	uint64_t value = take_if(r, is_there);
	return (uint32_t)(value <= UINT32_MAX ? value : fail(r));
}

static struct bytes take_text(struct reader *r, size_t most) {
	uint64_t size = take_number(r);
	if (size > most || size > (uint64_t)(r->end - r->at)) {
		fail(r);
		return bytes_of(NULL, 0);
	}
	struct bytes text = bytes_of(r->at, (size_t)size);
	r->at += size;
	return text;
}

static struct audit_stored_path take_path(struct reader *r, bool is_there, bool is_cut) {
	struct audit_stored_path path = {.set = is_there};
	if (is_there) {
		path.dir = take_number(r);
		path.name = take_text(r, AUDIT_PATH_MAX);
		path.cut = take_if(r, is_cut);
	} else if (is_cut) {
		fail(r);
	}
	return path;
}

static uint64_t take_raw(struct reader *r, size_t size) {
	if ((size_t)(r->end - r->at) < size)
		return fail(r);
	const uint8_t *from = r->at;
	r->at += size;
	return size == 2 ? le16_get(from) : le64_get(from);
}

static int64_t take_time(struct reader *r, const int64_t *before) {
	if (!before)
		return (int64_t)take_raw(r, 8);
	uint64_t later = take_number(r);
	int64_t time;
	if (later > INT64_MAX || __builtin_add_overflow(*before, (int64_t)later, &time))
		return (int64_t)fail(r);
	return time;
}

static void take_detail(struct reader *r, unsigned flags, struct audit_stored *ret) {
	ret->has_detail = flags & HAS_DETAIL;
	if (ret->has_detail)
		ret->detail = take_text(r, AUDIT_DETAIL_MAX);
	else if (flags & HAS_DETAIL_CUT)
		fail(r);
	ret->detail_cut = take_if(r, flags & HAS_DETAIL_CUT);
}

static void take_record(struct reader *r, const int64_t *before, struct audit_stored *ret) {
	unsigned flags = (unsigned)take_raw(r, 2);
	ret->outcome = flags & OUTCOME;
	if (flags & ~(unsigned)KNOWN_FLAGS || ret->outcome >= OUTCOMES)
		fail(r);
	ret->time_ns = take_time(r, before);
	ret->event = take_number(r);
	ret->exe = take_number(r);
	ret->uid = take_u32(r);
	ret->gid = take_u32(r);
	uint32_t err = take_u32_if(r, flags & HAS_ERR);
	ret->err = (int32_t)(err <= INT32_MAX ? err : fail(r));
	ret->pid = (int32_t)take_u32_if(r, flags & HAS_PID);
	ret->path = take_path(r, flags & HAS_PATH, flags & HAS_CUT);
	ret->path2 = take_path(r, flags & HAS_PATH2, flags & HAS_CUT2);
	ret->node = take_if(r, flags & HAS_NODE);
	ret->version = take_if(r, flags & HAS_VERSION);
	ret->bytes = take_if(r, flags & HAS_BYTES);
	take_detail(r, flags, ret);
}

static struct reader reader_of(struct bytes bytes) {
	return (struct reader){.at = bytes.data, .end = bytes.size ? bytes.data + bytes.size : bytes.data};
}

/* `is_last`: nothing may follow. */
static int read_record(
        struct reader *r, uint64_t seq, const int64_t *before, bool is_last, struct audit_stored *ret_record) {
	*ret_record = (struct audit_stored){.seq = seq};
	take_record(r, before, ret_record);
	if (r->bad || (is_last && r->at != r->end))
		return fault(EUCLEAN, "metadata: audit record %llu is malformed", (unsigned long long)seq);
	return 0;
}

int audit_pack_get(uint64_t seq, const int64_t *before, struct bytes record, struct audit_stored *ret_record) {
	struct reader r = reader_of(record);
	return read_record(&r, seq, before, true, ret_record);
}

int audit_pack_read(
        uint64_t first, uint64_t count, struct bytes pack, struct audit_stored ret_records[static AUDIT_TILE_HASHES]) {
	if (first > INT64_MAX || count == 0 || count > AUDIT_TILE_HASHES - first % AUDIT_TILE_HASHES)
		return fault(EUCLEAN, "metadata: the pack of audit record %llu is not within a tile",
		        (unsigned long long)first);
	struct reader r = reader_of(pack);
	int rc = 0;
	for (uint64_t i = 0; rc == 0 && i < count; i++)
		rc = read_record(
		        &r, first + i, i ? &ret_records[i - 1].time_ns : NULL, i + 1 == count, &ret_records[i]);
	return rc;
}
