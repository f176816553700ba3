/* The log at opening, when a crash's tail is told from damage, and under fsck. */
#include "backend/walchain_internal.h"

#include "crypto/base/fault.h"

#include <inttypes.h>
#include <stdio.h>

#define SCAN_RECORDS 32

/* 4 TiB of log: no vault comes near, and the numbers stay in their types. */
#define MOST_FRAMES (UINT32_C(1) << 30)

/* Reads records of the file in large pieces, in rising order. */
struct reader {
	VaultFile *file;
	uint8_t *buffer;
	uint32_t first;
	uint32_t have;
	uint32_t frames; /* whole records in the file */
};

static int reader_open(struct reader *reader, VaultFile *file, uint64_t size) {
	*reader = (struct reader){.file = file};
	uint64_t frames = size > WAL_HEADER_BYTES ? (size - WAL_HEADER_BYTES) / WAL_RECORD_BYTES : 0;
	if (frames > MOST_FRAMES)
		return fault(EBADMSG, "%s has %" PRIu64 " bytes, more than any log of ours", WAL_NAME, size);
	reader->frames = (uint32_t)frames;
	reader->buffer = malloc((size_t)SCAN_RECORDS * WAL_RECORD_BYTES);
	return reader->buffer ? 0 : fault(ENOMEM, "no memory to read %s", WAL_NAME);
}

static void reader_close(struct reader *reader) {
	free(reader->buffer);
}

static int reader_get(struct reader *reader, uint32_t number, const uint8_t **ret_record) {
	if (number < reader->first || number >= reader->first + reader->have || reader->have == 0) {
		uint32_t left = reader->frames - number + 1;
		reader->first = number;
		reader->have = left < SCAN_RECORDS ? left : SCAN_RECORDS;
		int rc = vault_file_read_exactly(reader->file, wal_record_offset(number), reader->buffer,
		        (size_t)reader->have * WAL_RECORD_BYTES);
		if (rc < 0) {
			reader->have = 0;
			return rc;
		}
	}
	*ret_record = reader->buffer + (size_t)(number - reader->first) * WAL_RECORD_BYTES;
	return 0;
}

/* What the two slots say. */
struct slots {
	bool valid[2];
	struct wal_watermark watermark[2];
};

static uint32_t slots_frames(const struct slots *slots) {
	uint32_t frames = 0;
	for (unsigned i = 0; i < 2; i++)
		if (slots->valid[i] && slots->watermark[i].frames > frames)
			frames = slots->watermark[i].frames;
	return frames;
}

static void open_slots(const WalChain *wal, const uint8_t *block, struct slots *ret_slots) {
	for (unsigned i = 0; i < 2; i++)
		ret_slots->valid[i] =
		        wal_slot_open(wal->keys, &wal->header, i, block + (size_t)(i + 1) * WAL_SECTOR_BYTES,
		                &ret_slots->watermark[i]) == 0;
}

static int damaged_header(const char *what) {
	return fault(EBADMSG,
	        "%s: %s, and commits follow it: the file was changed or damaged (or the key is not this vault's); "
	        "bring it back from a copy, or see --accept-loss of `assayfs fsck --repair`",
	        WAL_NAME, what);
}

/*
 * A log without a whole frame holds no commit: SQLite syncs the header before the first frame is written, so whatever
 * stands in it is a crash's, unless a slot tells of frames that were there.
 */
static int judge_header_only(WalChain *wal, const uint8_t *block, bool *ret_sound) {
	if (wal_header_open(wal->keys, block, &wal->header) < 0)
		return 0;
	*ret_sound = true;
	struct slots slots;
	open_slots(wal, block, &slots);
	uint32_t frames = slots_frames(&slots);
	if (frames > 0)
		return fault(EBADMSG, "%s: frame 1 is missing, but %" PRIu32 " frames were durable: the file was cut",
		        WAL_NAME, frames);
	return 0;
}

/* *ret_sound: wal->header is filled in; wal->has_header: and frames may follow. */
static int read_header(WalChain *wal, uint64_t size, uint8_t *block, struct slots *ret_slots, bool *ret_sound) {
	size_t got = 0;
	int rc = vault_file_read_at(wal->file, 0, block, WAL_HEADER_BYTES, &got);
	if (rc < 0)
		return rc;
	memset(block + got, 0, WAL_HEADER_BYTES - got);
	if (size <= WAL_HEADER_BYTES)
		return judge_header_only(wal, block, ret_sound);
	if (wal_header_open(wal->keys, block, &wal->header) < 0)
		return damaged_header("the header does not authenticate");
	*ret_sound = true;
	if (wal_checkpoint_open(
	            wal->keys, &wal->header, block + WAL_CHECKPOINT_AT, &wal->checkpoint_began, &wal->range) < 0)
		return damaged_header("the checkpoint's mark does not authenticate");
	open_slots(wal, block, ret_slots);
	if (!ret_slots->valid[0] && !ret_slots->valid[1])
		return damaged_header("neither watermark authenticates");
	wal->has_header = true;
	return 0;
}

/* Opens the frames that stand in one chain; *ret_watermark is the highest that they carry. */
static int read_chain(WalChain *wal, struct reader *reader, uint32_t *ret_watermark) {
	uint32_t watermark = 0;
	for (uint32_t number = 1; number <= reader->frames; number++) {
		const uint8_t *record = NULL;
		int rc = wal_make_room(wal, number);
		if (rc == 0)
			rc = reader_get(reader, number, &record);
		if (rc < 0)
			return rc;
		if (wal_frame_open(wal->keys, &wal->header, number, wal_previous_tag(wal, number), record, wal->plain) <
		        0)
			break;
		memcpy(wal->tags[number - 1], meta_record_tag(record), META_TAG_BYTES);
		wal->pages[number - 1] = wal_be32(wal->plain + 8);
		wal->count = number;
		uint32_t carried = (uint32_t)le64_get(wal->plain);
		watermark = carried > watermark ? carried : watermark;
		uint32_t database_pages = wal_be32(wal->plain + 8 + 4);
		if (database_pages > 0) {
			wal->committed = number;
			wal->database_pages = database_pages;
		}
	}
	*ret_watermark = watermark;
	return 0;
}

/* The highest watermark in frames behind the break that fit the tag stored before them. */
static int read_behind_break(WalChain *wal, struct reader *reader, uint32_t *ret_watermark) {
	uint32_t watermark = 0;
	uint8_t stored[META_TAG_BYTES];
	for (uint32_t number = wal->count + 1; number <= reader->frames; number++) {
		const uint8_t *record = NULL;
		int rc = reader_get(reader, number, &record);
		if (rc < 0)
			return rc;
		if (number > wal->count + 1 &&
		        wal_frame_open(wal->keys, &wal->header, number, stored, record, wal->plain) == 0) {
			uint32_t carried = (uint32_t)le64_get(wal->plain);
			watermark = carried > watermark ? carried : watermark;
		}
		memcpy(stored, meta_record_tag(record), META_TAG_BYTES);
	}
	*ret_watermark = watermark;
	return 0;
}

static int judge_slots(const WalChain *wal, const struct slots *slots) {
	for (unsigned i = 0; i < 2; i++) {
		const struct wal_watermark *slot = &slots->watermark[i];
		if (!slots->valid[i] || slot->frames > wal->count)
			continue;
		const uint8_t *tag = slot->frames ? wal->tags[slot->frames - 1] : wal->header.tag;
		if (memcmp(tag, slot->tag, META_TAG_BYTES) != 0)
			return fault(EBADMSG,
			        "%s: frame %" PRIu32 " is genuine, but not the one that was durable there: parts of "
			        "two copies of the file were mixed",
			        WAL_NAME, slot->frames);
	}
	return 0;
}

static int judge_break(const WalChain *wal, uint32_t frames, uint32_t watermark) {
	if (watermark <= wal->committed)
		return 0;
	uint32_t first_bad = wal->count + 1;
	const char *what = first_bad <= frames ? "does not authenticate" : "is missing";
	return fault(EBADMSG,
	        "%s: frame %" PRIu32 " %s, but %" PRIu32
	        " frames were durable: this is damage, not a crash; bring the file back "
	        "from a copy, or see --accept-loss of `assayfs fsck --repair`",
	        WAL_NAME, first_bad, what, watermark);
}

static int judge_time(const WalChain *wal) {
	const struct wal_base *base = &wal->base;
	const struct wal_position *covered = &base->covered;
	if (wal->header.pack_sequence == base->pack_sequence)
		return 0;
	bool same = covered->frames > 0 && memcmp(wal->header.generation, covered->generation, 32) == 0;
	if (!same)
		return fault(EBADMSG,
		        "%s began after checkpoint pack %" PRIu64 ", but the last pack is %" PRIu64
		        ": an old log was put back, or packs are missing",
		        WAL_NAME, wal->header.pack_sequence, base->pack_sequence);
	if (wal->committed < covered->frames)
		return fault(EBADMSG,
		        "%s ends at frame %" PRIu32 ", but checkpoint pack %" PRIu64 " was made from %" PRIu32
		        " frames of it: an older copy of the log was put back",
		        WAL_NAME, wal->committed, base->pack_sequence, covered->frames);
	if (memcmp(wal->tags[covered->frames - 1], covered->tag, META_TAG_BYTES) != 0)
		return fault(EBADMSG,
		        "%s: frame %" PRIu32 " is not the one that checkpoint pack %" PRIu64 " was made from", WAL_NAME,
		        covered->frames, base->pack_sequence);
	return 0;
}

/* Frames behind the last commit belong to no transaction; SQLite will write over them. */
static void keep_committed(WalChain *wal, const struct slots *slots) {
	wal->count = wal->committed;
	wal->written = wal->committed;
	wal->has_header = wal->committed > 0;
	wal->next_slot =
	        slots->valid[0] && (!slots->valid[1] || slots->watermark[0].frames > slots->watermark[1].frames);
	wal->durable = slots_frames(slots);
	if (wal->committed > 0)
		memcpy(wal->committed_tag, wal->tags[wal->committed - 1], META_TAG_BYTES);
}

static int scan_frames(WalChain *wal, struct reader *reader, const struct slots *slots) {
	uint32_t carried = 0;
	uint32_t behind = 0;
	int rc = read_chain(wal, reader, &carried);
	if (rc == 0)
		rc = read_behind_break(wal, reader, &behind);
	if (rc == 0)
		rc = judge_slots(wal, slots);
	if (rc < 0)
		return rc;
	uint32_t watermark = slots_frames(slots);
	watermark = carried > watermark ? carried : watermark;
	watermark = behind > watermark ? behind : watermark;
	return judge_break(wal, reader->frames, watermark);
}

/*
 * The anchors know which generation is open, and how much of it was durable: synced before its first frame was written,
 * so nothing but a hand takes the log away.
 */
static int judge_open(const WalChain *wal, const struct anchor *anchor, const uint8_t *generation) {
	if (!generation)
		return fault(EBADMSG,
		        "%s is gone or was emptied, and commits were in it (at least %" PRIu32
		        " of its frames were durable): bring the file back from a copy, or see --accept-loss of "
		        "`assayfs fsck "
		        "--repair`",
		        WAL_NAME, anchor->log.frames);
	if (memcmp(generation, anchor->log.generation, sizeof anchor->log.generation) != 0)
		return fault(EBADMSG,
		        "%s is another log than the one that was open: an old one was put back; bring the right one "
		        "back from a copy",
		        WAL_NAME);
	if (wal->committed < anchor->log.frames)
		return fault(EBADMSG,
		        "%s ends at frame %" PRIu32 ", but %" PRIu32
		        " frames were durable: it was cut, or an older copy of it was put back",
		        WAL_NAME, wal->committed, anchor->log.frames);
	if (anchor->log.frames > 0 && memcmp(wal->tags[anchor->log.frames - 1], anchor->log.tag, META_TAG_BYTES) != 0)
		return fault(EBADMSG, "%s: frame %" PRIu32 " is not the one that was durable there", WAL_NAME,
		        anchor->log.frames);
	return 0;
}

/* `generation`: of the file's header, NULL if there is none that authenticates. */
static int judge_anchor(const WalChain *wal, const struct anchor *anchor, const uint8_t *generation) {
	if (!anchor)
		return 0;
	if (anchor->log_open)
		return judge_open(wal, anchor, generation);
	bool is_same = generation && memcmp(generation, anchor->log.generation, sizeof anchor->log.generation) == 0;
	if (wal->committed == 0 || is_same)
		return 0;
	return fault(EBADMSG,
	        "%s has commits, and the anchors know of no open log: an old log was put back, or old anchors were",
	        WAL_NAME);
}

static int scan_file(WalChain *wal, const uint8_t **ret_generation) {
	uint64_t size = 0;
	*ret_generation = NULL;
	int rc = wal->file ? vault_file_size(wal->file, &size) : 0;
	if (rc < 0 || size == 0)
		return rc;
	uint8_t block[WAL_HEADER_BYTES];
	struct slots slots = {0};
	bool sound = false;
	rc = read_header(wal, size, block, &slots, &sound);
	if (sound)
		*ret_generation = wal->header.generation;
	if (rc < 0 || !wal->has_header)
		return rc;
	struct reader reader;
	rc = reader_open(&reader, wal->file, size);
	if (rc == 0)
		rc = scan_frames(wal, &reader, &slots);
	reader_close(&reader);
	if (rc == 0)
		rc = judge_time(wal);
	if (rc == 0)
		keep_committed(wal, &slots);
	return rc;
}

int wal_scan(WalChain *wal) {
	const uint8_t *generation = NULL;
	int rc = scan_file(wal, &generation);
	return rc < 0 ? rc : judge_anchor(wal, wal->anchors ? anchors_now(wal->anchors) : NULL, generation);
}

typedef int finding_fn(void *user, const char *file, int64_t place, const char *words);

static int verify_header(WalChain *wal, finding_fn *finding, void *user) {
	uint8_t block[WAL_HEADER_BYTES];
	struct wal_header header;
	int rc = vault_file_read_exactly(wal->file, 0, block, sizeof block);
	if (rc < 0)
		return finding(user, WAL_NAME, -1, fault_message());
	if (wal_header_open(wal->keys, block, &header) < 0 || memcmp(header.tag, wal->header.tag, META_TAG_BYTES) != 0)
		rc = finding(user, WAL_NAME, -1, "the header does not authenticate");
	if (rc == 0 && !wal_header_rest_is_zero(block))
		rc = finding(user, WAL_NAME, -1, "the header's last bytes are not zero");
	bool began = false;
	struct page_range range;
	if (rc == 0 && wal_checkpoint_open(wal->keys, &wal->header, block + WAL_CHECKPOINT_AT, &began, &range) < 0)
		rc = finding(user, WAL_NAME, -1, "the checkpoint's mark does not authenticate");
	struct slots slots;
	open_slots(wal, block, &slots);
	for (unsigned i = 0; i < 2 && rc == 0; i++)
		if (!slots.valid[i])
			rc = finding(user, WAL_NAME, -1,
			        i == 0 ? "the first watermark does not authenticate"
			               : "the second watermark does not authenticate");
	return rc;
}

int walchain_verify(WalChain *wal, finding_fn *finding, void *user) {
	if (!wal->file || !wal->has_header)
		return 0;
	int rc = verify_header(wal, finding, user);
	struct reader reader;
	if (rc == 0)
		rc = reader_open(&reader, wal->file, wal_record_offset(wal->committed + 1));
	if (rc != 0)
		return rc;
	for (uint32_t number = 1; number <= wal->committed && rc == 0; number++) {
		const uint8_t *record = NULL;
		rc = reader_get(&reader, number, &record);
		if (rc < 0) {
			rc = finding(user, WAL_NAME, number, fault_message());
			break;
		}
		if (memcmp(meta_record_tag(record), wal->tags[number - 1], META_TAG_BYTES) != 0 ||
		        wal_frame_open(
		                wal->keys, &wal->header, number, wal_previous_tag(wal, number), record, wal->plain) < 0)
			rc = finding(user, WAL_NAME, number, "the frame does not authenticate");
	}
	reader_close(&reader);
	return rc;
}
