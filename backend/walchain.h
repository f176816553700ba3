/*
 * walchain: SQLite's write-ahead log as it stands on our disk: sealed, and chained so that an end can be told from a
 * break. Internal to metadb.
 *
 *     what SQLite sees                    what stands in meta.db-wal
 *     0     32-byte header                0     sector 0: record {SQLite's header, generation, pack sequence, zeros}
 *     32    24-byte frame header          512   sector 1: record {watermark, zeros}
 *           4096-byte page                1024  sector 2: record {watermark, zeros}
 *     4152  24-byte frame header          1536  sector 3: zeros, or record {range, zeros}: a checkpoint began
 *           4096-byte page                2048  zeros
 *     …                                   4096  record of frame 1 {watermark, 24 + 4096 bytes}
 *                                         8264  record of frame 2 …
 *
 * A *generation* is the life of the log from one header to the next; it has a random 256-bit name and says after which
 * checkpoint pack it began. All of it is under the version of the key that seals its header: the newest when it began.
 * The associated data of a frame's record are the generation, its number and the tag of the record before it (the
 * header's for frame 1), so a frame fits in one place of one history.
 *
 * A *watermark* is a number of frames known to be durable, with the last one's tag. After a sync it is written
 * (unsynced) to the two slots by turns, each in a sector of its own, so that a torn write hits one of them at most; and
 * each frame carries the watermark that was known when it was sealed.
 *
 * A checkpoint writes to the database what stands in the log. Before it does, sector 3 is sealed and synced. So while
 * it is zero, the database file must be to the byte what the last pack says; after it, the pages that the log has newer
 * may be half-written, and so may those of the range that it names, which are only sealed anew: those are in the packs.
 *
 * At opening all frames are read. The first that does not fit is either where a crash cut the log, or damage. Writes
 * between two syncs may reach the disk in any order, so good frames behind a bad one prove nothing by themselves. But a
 * watermark, in a slot or in a frame that fits the tag stored before it, that counts the bad frame as durable does:
 * then it is damage, -EBADMSG. Otherwise the log is cut after its last commit.
 */
#pragma once

#include "backend/anchor.h"
#include "backend/metaseal.h"
#include "backend/reserve.h"
#include "backend/vault_io.h"

#include <stdbool.h>
#include <stdint.h>

#define WAL_NAME "meta.db-wal"
#define WAL_LOGICAL_HEADER_BYTES 32
#define WAL_FRAME_HEADER_BYTES 24
#define WAL_LOGICAL_FRAME_BYTES (WAL_FRAME_HEADER_BYTES + META_PAGE_BYTES)
#define WAL_HEADER_BYTES 4096
#define WAL_SECTOR_BYTES 512
#define WAL_CHECKPOINT_AT (3 * WAL_SECTOR_BYTES)
#define WAL_REST_AT (4 * WAL_SECTOR_BYTES)
#define WAL_FRAME_PLAIN_BYTES (8 + WAL_LOGICAL_FRAME_BYTES)
#define WAL_RECORD_BYTES (META_RECORD_OVERHEAD + WAL_FRAME_PLAIN_BYTES)

_Static_assert(WAL_RECORD_BYTES == 4168, "on-disk size of a frame");

typedef struct WalChain WalChain;

/* Pages [first, first + count) of the database; count 0: none. */
struct page_range {
	uint32_t first;
	uint32_t count;
};

/* Whether the page is in it. */
static inline bool page_range_has(const struct page_range *range, uint32_t page) {
	return page >= range->first && page - range->first < range->count;
}

/* The last pack: its number, pages and root, and the part of the log it was made from. */
struct wal_base {
	uint64_t pack_sequence;
	uint32_t pages;
	uint8_t root[META_HASH_BYTES];
	struct wal_position covered;
};

/*
 * Opens the log and judges it against the last pack and the anchors. Missing or empty is a clean state, unless the
 * anchors know of an open log. If not read-only, a crash's tail is cut off, what stands is made durable, and the
 * anchors are brought up to date; from then on they follow the log. -EBADMSG with words for damage and for a log of
 * another time. `anchors` is not owned; NULL: there are none to ask or to write (tests, and the making of a database).
 */
int walchain_open(VaultIo *io, const struct meta_keys *keys, bool read_only, const struct wal_base *base,
        Anchors *anchors, WalChain **ret_wal);
void walchain_close(WalChain *wal);
DEFINE_CLEANUP(WalChain, walchain_close);

/* Where room is taken from when the disk is full; not owned, NULL for none. */
void walchain_set_reserve(WalChain *wal, Reserve *reserve);

/* Generations begun from now on began after this pack, which the anchors name when the present one ends. */
void walchain_set_base(WalChain *wal, const struct wal_base *base);

/* SQLite's view. Writes must be a whole header, a frame header, or the page that follows one. */
int walchain_read(WalChain *wal, uint64_t offset, uint8_t *ret_data, size_t size, size_t *ret_read);
int walchain_write(WalChain *wal, uint64_t offset, struct bytes data);
uint64_t walchain_size(const WalChain *wal);

/* Whether the file is empty or missing. */
bool walchain_is_empty(WalChain *wal);

/* Empties the log, durably; before that the anchors say that it may be gone. */
int walchain_reset(WalChain *wal);

/* Makes all committed frames durable. From any thread. */
int walchain_sync(WalChain *wal);

/* As walchain_sync, and notes that the database file is about to be changed: by what is in the log, and in `range`. A
 * range is taken only when this is the first time in a generation. The connection's thread. */
int walchain_begin_checkpoint(WalChain *wal, const struct page_range *range);

/* Whether a checkpoint began in this generation; and the range that was taken. */
bool walchain_checkpoint_began(const WalChain *wal);
struct page_range walchain_checkpoint_range(const WalChain *wal);

/* Whether this generation is under an older version of the key than the newest. */
bool walchain_is_behind(const WalChain *wal);

/* Other keys, which the log and its anchors use from now on; the present generation goes on under its version, which
 * must be among them. The connection's thread. */
void walchain_set_keys(WalChain *wal, const struct meta_keys *keys);

/* Physical size, from any thread. */
uint64_t walchain_bytes(WalChain *wal);

/* The place of the last commit; all zero when the log is empty. */
void walchain_position(WalChain *wal, struct wal_position *ret_position);

/* Committed frames, the page a frame holds, and the size in pages the last commit gave the database (0 if none). */
uint32_t walchain_frames(const WalChain *wal);
uint32_t walchain_frame_page(const WalChain *wal, uint32_t frame);
uint32_t walchain_database_pages(const WalChain *wal);

/* The newest committed frame of `page`, 0 if none; and its content. */
uint32_t walchain_newest_frame(const WalChain *wal, uint32_t page);
int walchain_read_page(WalChain *wal, uint32_t frame, uint8_t ret_page[static META_PAGE_BYTES]);

/* Reads the file again and tells everything that is not as it should be. `finding` as metadb_finding_fn. */
int walchain_verify(
        WalChain *wal, int (*finding)(void *user, const char *file, int64_t place, const char *words), void *user);
