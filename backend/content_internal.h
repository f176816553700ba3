/*
 * content_internal: what the sources of content share. Nobody else includes it.
 *
 * Items of the cache, for all contents of a store:
 *
 *     block item   up to 16 KiB of plaintext that differs from what the map says (dirty), or will in a moment; or the
 *                  same as the map's block (clean): a part of a block that was sealed, as what is written next goes on
 *                  there, and reading it back for each 4 KiB that are appended and synced costs 60 us; or one of which
 *                  somebody read a part, whose neighbours are often read next
 *     page item    256 references of the map; dirty: not in the draft's rows yet
 *
 * An item belongs to one Content and is used under that content's lock alone; the cache's lock guards the lists that
 * lead to it. So whoever throws out an item needs its owner's lock: it only tries to take it, and goes on to the next
 * if somebody has it.
 */
#pragma once

#include "backend/cache_counts.h"
#include "backend/content.h"
#include "backend/segment.h"
#include "backend/synclog.h"
#include "backend/version.h"

#include <pthread.h>

enum item_kind { ITEM_BLOCK, ITEM_PAGE };

struct item {
	Content *owner;
	enum item_kind kind;
	bool dirty;
	uint16_t plain;             /* blocks: how many bytes count; the rest of data is zeros */
	uint16_t log_from, log_end; /* dirty blocks: what changed since the last record or rows; log_end 0: nothing */
	bool log_counted;           /* the log has something of the block since the last rows */
	uint64_t index;             /* of the block or page in the file */
	union {
		uint8_t *data;          /* SEGMENT_BLOCK_BYTES */
		struct block_ref *refs; /* MAP_PAGE_REFS */
	};
	struct item *next;           /* in the hash's bucket */
	struct item *newer, *older;  /* in the order of use */
	struct item *before, *after; /* the owner's, in the order of making */
};

#define CONTENT_OPEN_BUCKETS 1024u

typedef struct ContentCache {
	pthread_mutex_t lock; /* taken under content locks; nothing is taken under it but by trylock */
	pthread_cond_t unpinned;
	struct item **buckets;
	size_t bucket_mask;
	struct item *newest, *oldest;
	size_t bytes, bound;
	struct cache_counts counts;
	uint64_t visit;  /* number of the last visit of all contents (content_refs.h) */
	Content *logged; /* those of which the log of small fsyncs has more than their rows */

	/* Those that are open, by node. Its lock is taken under content locks and in operations; under it only content
	 * locks are tried. */
	pthread_mutex_t open_lock;
	Content *opened[CONTENT_OPEN_BUCKETS];
} ContentCache;

/* More changed blocks than this are no small fsync. */
#define CONTENT_TOUCHED_MAX SYNCLOG_PIECES_MAX

/* Versions of keys that blocks of one content are sealed under between two times that its rows are put. */
#define CONTENT_SEALED_MAX 4u

struct Content {
	Store *store;
	ContentCache *cache;
	uint64_t node;
	bool frozen;

	pthread_mutex_t
	        lock;   /* guards what follows, and the items' fields; before it: nothing; after it: meta, segments */
	uint64_t base;  /* the sealed version; 0: none */
	uint64_t draft; /* 0: none; its row comes with the first flush, as most drafts are sealed right after */
	uint64_t rows;  /* the version whose map stands under what is in memory: the draft once it has rows; 0: none */
	enum zone zone; /* of the draft */
	char own[OWN_KEY_BYTES];  /* of the draft, too: the key beside the zone's */
	char wish[OWN_KEY_BYTES]; /* content_choose_key, if it was called */
	bool has_wish;
	uint64_t size;
	uint64_t cut; /* map pages from here on are still in the draft's rows, but no longer in the file; UINT64_MAX:
	                 none */
	bool size_changed;
	uint64_t erasures;            /* version_erasures() when `base` was last known to be there */
	bool is_erased;               /* … and it is not any more */
	bool synced;                  /* content_sync acknowledged the draft as its rows are */
	bool reverted;                /* the draft is just that, and must outlive the content */
	struct version_times times;   /* for the node, with the sealing; mtime 0: none */
	uint64_t run_start, run_next; /* blocks a run of small writes in order has gone through; where it would go on */

	/* For the uses of keys. What was sealed since rows were put last, by segments of different keys. */
	bool attended, has_writer;
	struct actor writer;
	struct content_reader daemon; /* as reader */
	uint32_t sealed_last, sealed_in[CONTENT_SEALED_MAX];
	size_t sealed_count;

	/* For the log of small fsyncs (content_sync.c). */
	bool unlogged;   /* something changed since the last record or rows */
	bool beyond_log; /* among it more than bytes of dirty blocks and growth: only rows can tell it */
	bool logged;     /* the log has what the rows don't */
	uint64_t log_ticket;
	uint64_t touched[CONTENT_TOUCHED_MAX]; /* the blocks that changed, some perhaps twice */
	size_t touched_count;
	Content *logged_before, *logged_after; /* guarded by the cache's lock */

	struct item *first, *last; /* its items; guarded by the cache's lock as well */
	Content *opened_next;      /* in the bucket; guarded by the cache's open_lock */
	size_t blocks;             /* how many of them are blocks */
	unsigned pins;             /* by threads that make room or visit; guarded by the cache's lock */
	uint64_t visited;          /* the last visit that came here; guarded by the cache's lock */
};

#define BLOCKS_PER_PAGE MAP_PAGE_REFS
/* A change is carried out in steps of at most so many bytes: what may wait in memory beyond the cache's bound, for each
 * thread. */
#define CONTENT_STEP_BYTES (1u << 20)

/* A cache of dirty blocks and map pages within `bound` bytes. -ENOMEM. */
/* How often a block or page was there that was looked for. Any thread. */
struct cache_counts content_cache_counts(ContentCache *cache);
int content_cache_new(size_t bound, ContentCache **ret);
/* All contents must be closed. NULL is allowed. */
void content_cache_free(ContentCache *cache);
ContentCache *store_content_cache(Store *store);
bool store_is_read_only(const Store *store);

/*
 * Throws out what was not used for longest until the cache is within its bound: clean items at once, dirty blocks by
 * sealing them, dirty pages by flushing their content. To be called without any content's lock. `changing` false:
 * errors of other files' flushing are no matter.
 */
int content_make_room(ContentCache *cache, bool changing);

/* The content is open: told with its lock held, before it is looked up what it shows. Closed: with no lock held. */
void content_tell_open(Content *c);
void content_tell_closed(Content *c);

/* These need the owner's lock. find: NULL when it isn't there. add: -ENOMEM; data is zeros. add_data: takes `data` over
 * on success, which is as long as the kind's. */
struct item *item_find(Content *c, enum item_kind kind, uint64_t index);
int item_add(Content *c, enum item_kind kind, uint64_t index, struct item **ret_item);
int item_add_data(Content *c, enum item_kind kind, uint64_t index, uint8_t *data, struct item **ret_item);
void item_drop(Content *c, struct item *item);
/* Drops the content's blocks from block `block` on, and pages from `page` on. */
void items_drop_from(Content *c, uint64_t block, uint64_t page);

/* The item of a map page, loaded if need be. */
int content_page(Content *c, uint64_t page, struct item **ret_item);

/* Seals the content's dirty blocks: all, or those of [first, first + n), or the `most` oldest. Content lock held. */
int content_seal_all(Content *c);
int content_seal_range(Content *c, uint64_t first, uint64_t n);
int content_seal_oldest(Content *c, size_t most);

/* The block's item, with the bytes that stand there loaded unless [in, in + size) covers them all. */
int content_block_for_write(Content *c, uint64_t block, size_t in, size_t size, struct item **ret_item);

/* The first block at or after `block` in a map page that anything is known of; UINT64_MAX: none. */
int content_next_known(Content *c, uint64_t block, uint64_t *ret_block);

/* 0, or -ESTALE: the version that the content shows was erased since it was opened. Nothing of it is in memory then.
 * Content lock held. */
int content_check_erased(Content *c);

/* Makes the draft if there is none. `empty`: on nothing instead of on the sealed version. Content lock held. */
int content_ensure_draft(Content *c, bool empty);

/* Blocks were sealed there. Content lock held. */
void content_note_sealed(Content *c, const struct block_ref *refs, size_t count);

/* Keys of a folder's own (content_keys.c). of: that of the version's blocks, if it has blocks at all; in an operation.
 * check: whether it can be had, with words. zone_check: whether the draft's keys can. */
int content_own_of(
        SegmentStore *segments, Meta *m, uint64_t version, char ret_own[static OWN_KEY_BYTES], bool *ret_has_blocks);
int content_own_check(SegmentStore *segments, Meta *m, const char *own);
int content_zone_check(Content *c);

/* Puts bytes into a block's item. */
void content_put_bytes(struct item *item, size_t in, const uint8_t *from, size_t size);

/* What is in memory goes; the rows hold `size` bytes. Content lock held. */
void content_forget_changes(Content *c, uint64_t size);

/* Puts what is dirty into the draft's rows, between meta_begin and meta_end; rows_kept once that was kept. Content lock
 * held, no dirty blocks. */
int content_put_rows(Content *c, Meta *m);
void content_rows_kept(Content *c);
/* In the same operation: under which keys it was sealed. */
int content_record_sealed(Content *c);
int content_flush_locked(Content *c);

/* Changes that the log of small fsyncs can tell, or can't: bytes of a block's item, the size or times; all others.
 * Content lock held. */
void content_touched(Content *c, struct item *item, size_t from, size_t end);
void content_grown(Content *c);
void content_beyond_log(Content *c);
/* What the log has of the content is in the rows of the open transaction, or of no account any more. */
void content_not_logged(Content *c);
/* What changed in memory is gone. */
void content_nothing_touched(Content *c);

/*
 * Before a key is taken away, for contents whose drafts lie in one of the zones (bits of 1 << zone): what is in memory
 * of them is sealed and put into rows. And afterwards, once no read is under way that began before: blocks in memory
 * that are as the disk has them go. Without any content's lock, not between meta_begin and meta_end.
 */
int content_flush_keys(Store *store, unsigned zones, const char *own);
void content_drop_blocks(Store *store);

/* Before a commit, while the log is held: all that it has goes into the rows. Without any content's lock. */
int content_put_logged(Store *store);
/* After a crash: does to a draft's rows what the record says. Not between meta_begin and meta_end. */
int content_replay(Store *store, const struct synclog_record *record);

SyncLog *store_synclog(Store *store); /* NULL: there is none */
/* Whether nothing waits for a commit but what the log has. */
bool store_is_settled(Store *store);
/* Room from the ballast, for what was acknowledged: 0, -ENOSPC if none is left. */
int store_give_room(Store *store);
/* The next commit fails, and the store with it: what was acknowledged could not be kept, and is still in the log. */
void store_give_up(Store *store);
