#include "backend/walchain_internal.h"

#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <inttypes.h>
#include <sodium/randombytes.h>

int wal_make_room(WalChain *wal, uint32_t number) {
	if (number <= wal->capacity)
		return 0;
	uint32_t capacity = wal->capacity ? wal->capacity * 2 : 1024;
	while (capacity < number)
		capacity *= 2;
	void *tags = reallocarray(wal->tags, capacity, META_TAG_BYTES);
	if (tags)
		wal->tags = tags;
	void *pages = reallocarray(wal->pages, capacity, sizeof *wal->pages);
	if (pages)
		wal->pages = pages;
	if (!tags || !pages)
		return fault(ENOMEM, "no memory for %" PRIu32 " frames of %s", capacity, WAL_NAME);
	wal->capacity = capacity;
	return 0;
}

const uint8_t *wal_previous_tag(const WalChain *wal, uint32_t number) {
	return number == 1 ? wal->header.tag : wal->tags[number - 2];
}

void walchain_close(WalChain *wal) {
	if (!wal)
		return;
	vault_file_close(wal->file);
	(void)pthread_mutex_destroy(&wal->mutex);
	(void)pthread_mutex_destroy(&wal->sync_mutex);
	if (wal->plain)
		secret_wipe(wal->plain, WAL_FRAME_PLAIN_BYTES);
	free(wal->buffer);
	free(wal->record);
	free(wal->plain);
	free(wal->tags);
	free(wal->pages);
	free(wal);
}

static int new_chain(WalChain **ret_wal) {
	_cleanup_(walchain_closep) WalChain *wal = calloc(1, sizeof *wal);
	if (!wal)
		return fault(ENOMEM, "no memory for %s", WAL_NAME);
	(void)pthread_mutex_init(&wal->mutex, NULL);
	(void)pthread_mutex_init(&wal->sync_mutex, NULL);
	wal->buffer = malloc((size_t)WAL_BUFFERED_RECORDS * WAL_RECORD_BYTES);
	wal->record = malloc(WAL_RECORD_BYTES);
	wal->plain = malloc(WAL_FRAME_PLAIN_BYTES);
	if (!wal->buffer || !wal->record || !wal->plain)
		return fault(ENOMEM, "no memory for %s", WAL_NAME);
	*ret_wal = steal_pointer(&wal);
	return 0;
}

/* wal->file stays NULL when there is none. */
static int open_file(WalChain *wal) {
	int rc = vault_file_open(wal->io, WAL_NAME, wal->read_only ? VAULT_FILE_READ : VAULT_FILE_WRITE, &wal->file);
	return rc == -ENOENT ? 0 : rc;
}

/* Once it is known that it may be missing. */
static int make_file(WalChain *wal) {
	if (wal->file)
		return 0;
	int rc = vault_file_open(wal->io, WAL_NAME, VAULT_FILE_WRITE | VAULT_FILE_CREATE, &wal->file);
	return rc < 0 ? rc : vault_io_sync_dir(wal->io, "");
}

/* `mutex` held, or nobody else there yet. */
static int write_slot(WalChain *wal, const struct wal_watermark *watermark) {
	uint8_t sector[WAL_SECTOR_BYTES];
	wal_slot_seal(wal->keys, &wal->header, wal->next_slot, watermark, sector);
	uint64_t offset = (uint64_t)(wal->next_slot + 1) * WAL_SECTOR_BYTES;
	int rc = vault_file_write_at(wal->file, offset, bytes_of(sector, sizeof sector));
	if (rc < 0)
		return rc;
	wal->next_slot ^= 1;
	wal->durable = watermark->frames;
	return 0;
}

static void watermark_now(const WalChain *wal, struct wal_watermark *ret_watermark) {
	ret_watermark->frames = wal->committed;
	memcpy(ret_watermark->tag, wal->committed_tag, META_TAG_BYTES);
}

/* What the anchors should say of this moment. Of a log that is empty they keep what they knew. */
static struct anchor anchor_now(WalChain *wal) {
	const struct anchor *before = anchors_now(wal->anchors);
	struct anchor anchor = {
	        .pack_sequence = wal->base.pack_sequence, .pages = wal->base.pages, .log_open = wal->committed > 0};
	memcpy(anchor.root, wal->base.root, sizeof anchor.root);
	if (anchor.log_open)
		walchain_position(wal, &anchor.log);
	else if (before)
		anchor.log = before->log;
	return anchor;
}

static int bring_anchors_up_to_date(WalChain *wal) {
	struct anchor anchor = anchor_now(wal);
	if (anchors_agree(wal->anchors, &anchor) && anchors_now(wal->anchors)->log.frames == anchor.log.frames)
		return 0;
	return anchors_put(wal->anchors, &anchor);
}

/* What the scan dropped goes from the file, and what it kept is made durable before anything is built on it. */
static int cut_tail(WalChain *wal) {
	uint64_t size = 0;
	int rc = vault_file_size(wal->file, &size);
	if (rc < 0 || size == 0)
		return rc;
	if (wal->committed == 0)
		return walchain_reset(wal);
	uint64_t end = wal_record_offset(wal->committed + 1);
	if (size != end)
		rc = vault_file_truncate(wal->file, end);
	if (rc == 0)
		rc = vault_file_sync(wal->file);
	struct wal_watermark watermark;
	watermark_now(wal, &watermark);
	return rc < 0 ? rc : write_slot(wal, &watermark);
}

int walchain_open(VaultIo *io, const struct meta_keys *keys, bool read_only, const struct wal_base *base,
        Anchors *anchors, WalChain **ret_wal) {
	_cleanup_(walchain_closep) WalChain *wal = NULL;
	int rc = new_chain(&wal);
	if (rc < 0)
		return rc;
	wal->io = io;
	wal->keys = keys;
	wal->read_only = read_only;
	wal->base = *base;
	wal->anchors = anchors;
	rc = open_file(wal);
	if (rc == 0)
		rc = wal_scan(wal);
	if (rc == 0 && !read_only)
		rc = make_file(wal);
	if (rc == 0 && !read_only)
		rc = cut_tail(wal);
	if (rc == 0 && !read_only && anchors)
		rc = bring_anchors_up_to_date(wal);
	if (rc < 0)
		return rc;
	*ret_wal = steal_pointer(&wal);
	return 0;
}

void walchain_set_reserve(WalChain *wal, Reserve *reserve) {
	wal->reserve = reserve;
}

void walchain_set_base(WalChain *wal, const struct wal_base *base) {
	wal->base = *base;
}

bool walchain_is_empty(WalChain *wal) {
	uint64_t size = 0;
	return !wal->file || (vault_file_size(wal->file, &size) == 0 && size == 0);
}

uint64_t walchain_size(const WalChain *wal) {
	return wal->has_header ? WAL_LOGICAL_HEADER_BYTES + (uint64_t)wal->count * WAL_LOGICAL_FRAME_BYTES : 0;
}

uint64_t walchain_bytes(WalChain *wal) {
	(void)pthread_mutex_lock(&wal->mutex);
	uint64_t bytes = wal->committed ? wal_record_offset(wal->committed + 1) : 0;
	(void)pthread_mutex_unlock(&wal->mutex);
	return bytes;
}

void walchain_position(WalChain *wal, struct wal_position *ret_position) {
	memset(ret_position, 0, sizeof *ret_position);
	if (wal->committed == 0)
		return;
	memcpy(ret_position->generation, wal->header.generation, sizeof ret_position->generation);
	memcpy(ret_position->tag, wal->committed_tag, META_TAG_BYTES);
	ret_position->frames = wal->committed;
}

uint32_t walchain_frames(const WalChain *wal) {
	return wal->committed;
}

uint32_t walchain_frame_page(const WalChain *wal, uint32_t frame) {
	return wal->pages[frame - 1];
}

uint32_t walchain_database_pages(const WalChain *wal) {
	return wal->database_pages;
}

uint32_t walchain_newest_frame(const WalChain *wal, uint32_t page) {
	uint32_t frame = wal->committed;
	while (frame > 0 && wal->pages[frame - 1] != page)
		frame--;
	return frame;
}

static bool is_unanchored(WalChain *wal) {
	(void)pthread_mutex_lock(&wal->mutex);
	bool unanchored = wal->unanchored;
	(void)pthread_mutex_unlock(&wal->mutex);
	return unanchored;
}

/* For a mount's log, which has a reserve. Only a matter of speed: no error counts. */
static void fill_ahead(WalChain *wal) {
	uint64_t end = wal_record_offset(wal->written + 1);
	wal->small = wal->count - wal->committed <= WAL_SMALL_RECORDS ? wal->small + 1 : 0;
	if (end <= wal->filled)
		return;
	wal->filled = end;
	if (!wal->reserve || wal->small < WAL_SMALL_COMMITS || !vault_io_has_plenty(wal->io))
		return;
	_cleanup_(freep) uint8_t *zeros = calloc(1, WAL_AHEAD_BYTES);
	if (zeros && vault_file_write_at(wal->file, end, bytes_of(zeros, WAL_AHEAD_BYTES)) == 0)
		wal->filled = end + WAL_AHEAD_BYTES;
}

static int flush(WalChain *wal) {
	uint32_t waiting = wal->count - wal->written;
	if (waiting == 0)
		return 0;
	/* SQLite syncs the header before the first frame; a version of it that did not must do no harm. */
	int rc = is_unanchored(wal) ? walchain_sync(wal) : 0;
	if (rc < 0)
		return rc;
	rc = reserve_write_at(wal->reserve, wal->file, wal_record_offset(wal->written + 1),
	        bytes_of(wal->buffer, (size_t)waiting * WAL_RECORD_BYTES));
	if (rc == 0) {
		wal->written = wal->count;
		fill_ahead(wal);
	}
	return rc;
}

/* Opens frame `number` into wal->plain. */
static int load_frame(WalChain *wal, uint32_t number) {
	int rc = number > wal->written ? flush(wal) : 0;
	if (rc == 0)
		rc = vault_file_read_exactly(wal->file, wal_record_offset(number), wal->record, WAL_RECORD_BYTES);
	if (rc < 0)
		return rc;
	/* The frame must be the very one: another that once stood here and was dropped opens too. */
	bool same = memcmp(meta_record_tag(wal->record), wal->tags[number - 1], META_TAG_BYTES) == 0;
	if (!same || wal_frame_open(wal->keys, &wal->header, number, wal_previous_tag(wal, number), wal->record,
	                     wal->plain) < 0)
		return fault(EBADMSG,
		        "%s: frame %" PRIu32
		        " does not authenticate: it was changed or damaged since the vault was opened",
		        WAL_NAME, number);
	return 0;
}

int walchain_read_page(WalChain *wal, uint32_t frame, uint8_t ret_page[static META_PAGE_BYTES]) {
	int rc = load_frame(wal, frame);
	if (rc == 0)
		memcpy(ret_page, wal->plain + 8 + WAL_FRAME_HEADER_BYTES, META_PAGE_BYTES);
	return rc;
}

/* The bytes of one part (the header, or one frame) that [offset, offset + size) begins in. */
static int read_part(WalChain *wal, uint64_t offset, uint8_t *ret_data, size_t size, size_t *ret_done) {
	if (offset < WAL_LOGICAL_HEADER_BYTES) {
		size_t part = WAL_LOGICAL_HEADER_BYTES - (size_t)offset;
		*ret_done = part < size ? part : size;
		memcpy(ret_data, wal->header.logical + offset, *ret_done);
		return 0;
	}
	uint64_t behind = offset - WAL_LOGICAL_HEADER_BYTES;
	size_t within = (size_t)(behind % WAL_LOGICAL_FRAME_BYTES);
	size_t part = WAL_LOGICAL_FRAME_BYTES - within;
	*ret_done = part < size ? part : size;
	int rc = load_frame(wal, (uint32_t)(behind / WAL_LOGICAL_FRAME_BYTES) + 1);
	if (rc == 0)
		memcpy(ret_data, wal->plain + 8 + within, *ret_done);
	return rc;
}

int walchain_read(WalChain *wal, uint64_t offset, uint8_t *ret_data, size_t size, size_t *ret_read) {
	uint64_t end = walchain_size(wal);
	size_t done = 0;
	while (done < size && offset + done < end) {
		size_t part = 0;
		int rc = read_part(wal, offset + done, ret_data + done, size - done, &part);
		if (rc < 0)
			return rc;
		done += part;
	}
	*ret_read = done;
	return 0;
}

static int begin_generation(WalChain *wal, struct bytes logical) {
	struct wal_header header = {.pack_sequence = wal->base.pack_sequence};
	memcpy(header.logical, logical.data, WAL_LOGICAL_HEADER_BYTES);
	randombytes_buf(header.generation, sizeof header.generation);
	uint8_t block[WAL_HEADER_BYTES];
	wal_header_seal(wal->keys, &header, block);
	(void)pthread_mutex_lock(&wal->mutex);
	wal->epoch++;
	wal->committed = 0;
	wal->durable = 0;
	wal->next_slot = 0;
	wal->header = header;
	int rc = reserve_write_at(wal->reserve, wal->file, 0, bytes_of(block, sizeof block));
	wal->unanchored = rc == 0 && wal->anchors;
	(void)pthread_mutex_unlock(&wal->mutex);
	wal->count = 0;
	wal->written = 0;
	wal->filled = 0;
	wal->pending = 0;
	wal->database_pages = 0;
	wal->checkpoint_began = false;
	wal->range = (struct page_range){0};
	wal->has_header = rc == 0;
	return rc;
}

static int take_frame_header(WalChain *wal, uint32_t number, struct bytes header) {
	if (!wal->has_header || number <= wal->committed || number > wal->count + 1)
		return fault(EIO, "%s: SQLite wrote frame %" PRIu32 " where %" PRIu32 " was due", WAL_NAME, number,
		        wal->count + 1);
	/* A transaction that failed half-way was rolled back and is written over; its frames were never committed. */
	wal->count = number - 1;
	if (wal->written > wal->count)
		wal->written = wal->count;
	memcpy(wal->pending_header, header.data, WAL_FRAME_HEADER_BYTES);
	wal->pending = number;
	return 0;
}

static uint32_t durable_now(WalChain *wal) {
	(void)pthread_mutex_lock(&wal->mutex);
	uint32_t durable = wal->durable;
	(void)pthread_mutex_unlock(&wal->mutex);
	return durable;
}

static void commit(WalChain *wal, uint32_t database_pages) {
	(void)pthread_mutex_lock(&wal->mutex);
	wal->committed = wal->count;
	memcpy(wal->committed_tag, wal->tags[wal->count - 1], META_TAG_BYTES);
	(void)pthread_mutex_unlock(&wal->mutex);
	wal->database_pages = database_pages;
}

static int take_page(WalChain *wal, uint32_t number, struct bytes page) {
	if (wal->pending != number)
		return fault(
		        EIO, "%s: SQLite wrote the page of frame %" PRIu32 " without its header", WAL_NAME, number);
	wal->pending = 0;
	int rc = wal_make_room(wal, number);
	if (rc == 0 && wal->count - wal->written == WAL_BUFFERED_RECORDS)
		rc = flush(wal);
	if (rc < 0)
		return rc;
	le64_put(wal->plain, durable_now(wal));
	memcpy(wal->plain + 8, wal->pending_header, WAL_FRAME_HEADER_BYTES);
	memcpy(wal->plain + 8 + WAL_FRAME_HEADER_BYTES, page.data, META_PAGE_BYTES);
	uint8_t *record = wal->buffer + (size_t)(wal->count - wal->written) * WAL_RECORD_BYTES;
	wal_frame_seal(wal->keys, &wal->header, number, wal_previous_tag(wal, number), wal->plain, record);
	memcpy(wal->tags[number - 1], meta_record_tag(record), META_TAG_BYTES);
	wal->pages[number - 1] = wal_be32(wal->pending_header);
	wal->count = number;
	uint32_t database_pages = wal_be32(wal->pending_header + 4);
	if (database_pages == 0)
		return 0;
	rc = flush(wal);
	if (rc == 0)
		commit(wal, database_pages);
	return rc;
}

int walchain_write(WalChain *wal, uint64_t offset, struct bytes data) {
	if (offset == 0 && data.size == WAL_LOGICAL_HEADER_BYTES)
		return begin_generation(wal, data);
	if (offset >= WAL_LOGICAL_HEADER_BYTES) {
		uint64_t behind = offset - WAL_LOGICAL_HEADER_BYTES;
		uint32_t number = (uint32_t)(behind / WAL_LOGICAL_FRAME_BYTES) + 1;
		uint64_t within = behind % WAL_LOGICAL_FRAME_BYTES;
		if (within == 0 && data.size == WAL_FRAME_HEADER_BYTES)
			return take_frame_header(wal, number, data);
		if (within == WAL_FRAME_HEADER_BYTES && data.size == META_PAGE_BYTES)
			return take_page(wal, number, data);
	}
	return fault(EIO, "%s: SQLite wrote %zu bytes at %" PRIu64 ", which is no header and no frame", WAL_NAME,
	        data.size, offset);
}

/* From here on the log may be gone. */
static int end_generation(WalChain *wal) {
	(void)pthread_mutex_lock(&wal->sync_mutex);
	const struct anchor *before = anchors_now(wal->anchors);
	struct anchor anchor = anchor_now(wal);
	anchor.log_open = false;
	bool is_said = before && !before->log_open && before->pack_sequence == anchor.pack_sequence;
	int rc = is_said ? 0 : anchors_put(wal->anchors, &anchor);
	(void)pthread_mutex_unlock(&wal->sync_mutex);
	return rc;
}

int walchain_reset(WalChain *wal) {
	int rc = wal->anchors ? end_generation(wal) : 0;
	if (rc < 0)
		return rc;
	(void)pthread_mutex_lock(&wal->mutex);
	wal->epoch++;
	wal->committed = 0;
	wal->durable = 0;
	wal->unanchored = false;
	rc = vault_file_truncate(wal->file, 0);
	(void)pthread_mutex_unlock(&wal->mutex);
	wal->has_header = false;
	wal->checkpoint_began = false;
	wal->range = (struct page_range){0};
	wal->count = 0;
	wal->written = 0;
	wal->filled = 0;
	wal->pending = 0;
	wal->database_pages = 0;
	/* The next generation's header must never be found in front of this one's frames. */
	return rc < 0 ? rc : vault_file_sync(wal->file);
}

/* The log has a new header, which is durable: from now on it must be there. `sync_mutex` held. */
static int begin_anchors(WalChain *wal, uint64_t epoch, const uint8_t generation[static 32]) {
	struct anchor anchor = {.pack_sequence = wal->base.pack_sequence, .pages = wal->base.pages, .log_open = true};
	memcpy(anchor.root, wal->base.root, sizeof anchor.root);
	memcpy(anchor.log.generation, generation, sizeof anchor.log.generation);
	int rc = anchors_put(wal->anchors, &anchor);
	(void)pthread_mutex_lock(&wal->mutex);
	if (rc == 0 && epoch == wal->epoch)
		wal->unanchored = false;
	(void)pthread_mutex_unlock(&wal->mutex);
	return rc;
}

/* Notes that so much is durable: in the log itself and, as that may be put back, beside it. `mutex` held. */
static int note_durable(WalChain *wal, const struct wal_watermark *watermark) {
	struct wal_position log = {.frames = watermark->frames};
	memcpy(log.generation, wal->header.generation, sizeof log.generation);
	memcpy(log.tag, watermark->tag, sizeof log.tag);
	int rc = write_slot(wal, watermark);
	return rc < 0 || !wal->anchors ? rc : anchors_note(wal->anchors, &log);
}

/* `sync_mutex` held. */
static int sync_once(WalChain *wal) {
	struct wal_watermark before;
	uint8_t generation[32];
	(void)pthread_mutex_lock(&wal->mutex);
	uint64_t epoch = wal->epoch;
	bool unanchored = wal->unanchored;
	memcpy(generation, wal->header.generation, sizeof generation);
	watermark_now(wal, &before);
	(void)pthread_mutex_unlock(&wal->mutex);
	int rc = vault_file_sync(wal->file);
	if (rc == 0 && unanchored)
		rc = begin_anchors(wal, epoch, generation);
	if (rc < 0)
		return rc;
	(void)pthread_mutex_lock(&wal->mutex);
	/* In another epoch a checkpoint has made all that was here durable in the database. */
	if (epoch == wal->epoch && before.frames > wal->durable)
		rc = note_durable(wal, &before);
	(void)pthread_mutex_unlock(&wal->mutex);
	return rc;
}

bool walchain_checkpoint_began(const WalChain *wal) {
	return wal->checkpoint_began;
}

struct page_range walchain_checkpoint_range(const WalChain *wal) {
	return wal->range;
}

bool walchain_is_behind(const WalChain *wal) {
	return wal->has_header && wal->header.version != meta_keys_newest(wal->keys);
}

void walchain_set_keys(WalChain *wal, const struct meta_keys *keys) {
	(void)pthread_mutex_lock(&wal->sync_mutex);
	(void)pthread_mutex_lock(&wal->mutex);
	wal->keys = keys;
	if (wal->anchors)
		anchors_set_keys(wal->anchors, keys);
	(void)pthread_mutex_unlock(&wal->mutex);
	(void)pthread_mutex_unlock(&wal->sync_mutex);
}

int walchain_begin_checkpoint(WalChain *wal, const struct page_range *range) {
	uint8_t sector[WAL_SECTOR_BYTES];
	int rc = 0;
	if (!wal->checkpoint_began) {
		wal_checkpoint_seal(wal->keys, &wal->header, range, sector);
		rc = vault_file_write_at(wal->file, WAL_CHECKPOINT_AT, bytes_of(sector, sizeof sector));
	}
	if (rc < 0)
		return rc;
	if (!wal->checkpoint_began)
		wal->range = *range;
	wal->checkpoint_began = true;
	(void)pthread_mutex_lock(&wal->sync_mutex);
	rc = sync_once(wal);
	(void)pthread_mutex_unlock(&wal->sync_mutex);
	return rc;
}

int walchain_sync(WalChain *wal) {
	(void)pthread_mutex_lock(&wal->sync_mutex);
	(void)pthread_mutex_lock(&wal->mutex);
	bool nothing = wal->committed == wal->durable && wal->committed > 0;
	(void)pthread_mutex_unlock(&wal->mutex);
	int rc = nothing ? 0 : sync_once(wal);
	(void)pthread_mutex_unlock(&wal->sync_mutex);
	return rc;
}
