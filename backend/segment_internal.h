/*
 * segment_internal: what the sources of segment share: the table of segments, their open files, and the caches of batch
 * ciphers and buffers. Nobody else includes it.
 */
#pragma once

#include "backend/cache_counts.h"
#include "backend/segment.h"
#include "backend/segment_format.h"
#include "backend/segment_pack.h"
#include "backend/vault_io.h"
#include "crypto/keyring.h"
#include "crypto/secret.h"

#include <pthread.h>
#include <stdatomic.h>

/* One segment. All fields are guarded by SegmentStore.lock, except that id, zone and key_version never change. */
struct segment {
	struct segment_row row; /* bytes: the synced length */
	uint32_t reserved;      /* where the next batch will begin; the positions before are consumed */
	uint32_t done;          /* all batches before this are written */
	uint32_t filled;        /* the file has bytes up to here: zeros behind `done`, cut when the segment is closed */
	unsigned trickles;      /* how many syncs in a row found little */
	unsigned appending;     /* batches between reserve and settle */
	bool fresh;             /* its name was not synced yet */
	bool lost;              /* a write failed: nothing behind `done` counts */
	bool uncut;             /* its file may be longer than `done` */
	bool active;            /* in SegmentStore.active */
	bool packs;             /* its format knows packed blocks: what this mount began */
	bool held;              /* counted in `users` until it leaves the active list */
	_Atomic bool is_shut;   /* its own key can't be had: no cipher of before is used (segment_keys.c) */
	_Atomic uint64_t seals, opens; /* times that its key was derived, where it has one of its own */
	uint64_t turn;                 /* of the last append, among those with keys of their own */
	uint64_t round;                /* of the last flush that looked at it */
	bool told;                     /* the database has a row of it, with: */
	uint64_t told_bytes;
	enum segment_state told_state;
	uint64_t noted; /* round of the last watch in which a reference into it was copied (segment_watch.h) */
	struct segment *active_next;

	VaultFile *file;               /* NULL: not open */
	uint64_t windows;              /* those that the disk was asked for whole since it was opened (segment.c) */
	unsigned users;                /* threads that use `file` */
	struct segment *newer, *older; /* the open files, last used first */
};

/* A batch's cipher, kept because deriving it costs a read and three hashes. Guarded by BatchCache.lock. */
struct batch_key {
	uint32_t segment, batch;
	unsigned users;
	bool cached;
	Aead *aead;
	struct batch_key *next; /* of its bucket */
	struct batch_key *newer, *older;
};

#define BATCH_KEYS_MAX 2048u /* about 1 KiB each; of full batches they cover 2 GiB of plaintext */
#define BATCH_BUCKETS 1024u
#define OPEN_FILES_MAX 256u
#define BUFFERS_MAX 8u
/* Segments with keys of their own that are written to at once: those that wait longest for more are closed. Each has a
 * file open. */
#define OWN_WRITERS_MAX 48u
/* So many of them, written or given up for others, may wait with an open file to be synced: the next is synced for. */
#define OWN_HELD_MAX 256u
#define WRITERS_MAX (ZONE_STAGING + 1 + OWN_WRITERS_MAX)
/* The longest batch, and room for the gaps that one read may run over. */
#define BUFFER_BYTES (SEGMENT_BATCH_BLOCKS * (SEGMENT_BLOCK_BYTES + SEGMENT_TAG_BYTES) + 16384u)

struct segment_cache {
	pthread_mutex_t lock; /* leaf */
	struct batch_key *buckets[BATCH_BUCKETS];
	struct batch_key *newest, *oldest;
	unsigned keys;
	struct cache_counts counts;
	uint8_t *buffers[BUFFERS_MAX];
	unsigned buffer_count;
	SegmentPacker *packers[BUFFERS_MAX];
	unsigned packer_count;
};

/* See segment_watch.c. */
struct segment_watch {
	_Atomic bool is_on;
	uint64_t round; /* guarded by SegmentStore.lock */
	_Atomic unsigned turn, uses[2];
	pthread_mutex_t waiting; /* one at a time waits for uses; leaf */
};

struct SegmentStore {
	VaultIo *io;
	const Keyring *keyring;
	enum aead_cipher cipher;
	uint64_t mount;
	_Atomic int levels[ZONE_STAGING + 1]; /* 0: blocks are not packed */
	_Atomic bool has_own;                 /* some segment has a key of its own */
	_Atomic unsigned closed_zones;        /* bits of 1 << zone: no cipher of before is used (segment_keys.c) */
	_Atomic uint64_t seals[ZONE_STAGING + 1], opens[ZONE_STAGING + 1]; /* keys of segments that were derived */
	/* Versions of keys that segments were ever known with; 0: none was. Written with `lock`. */
	_Atomic uint32_t key_least[ZONE_STAGING + 1], key_most[ZONE_STAGING + 1];

	pthread_mutex_t flushing; /* one flush at a time, and no segment leaves the active list; taken before `lock` */
	pthread_mutex_t lock;     /* guards what follows; never held while sealing or syncing */
	pthread_cond_t settled;   /* a segment's `done`, `lost` or `appending` changed */
	struct segment **table;   /* by number; NULL where there is none */
	uint32_t table_size, last_number;
	struct segment *writers[WRITERS_MAX]; /* appended to: by each zone, then those with keys of their own */
	uint64_t turn;
	unsigned own_held;               /* segments with keys of their own that are held */
	struct segment *active;          /* those that may have something to sync or to tell */
	struct segment *newest, *oldest; /* open files */
	unsigned open_files;
	uint64_t round;
	uint64_t appended; /* bytes of batches that were written */
	bool failed;       /* a sync failed */

	struct segment_watch watch;

	struct segment_cache cache; /* its lock may be taken under `lock` */
};

/* The segment's key. Errors of keyring_get(). Counts as one to open, or to seal. */
int segment_key_of(SegmentStore *s, struct segment *segment, bool seals, struct secret_key *ret_key);

/* Puts a new segment into the table (takes ownership). Lock held. -EINVAL: the number is taken. -ENOMEM. */
int segment_table_add(SegmentStore *s, struct segment *segment);
/* Takes it out and frees it. Lock held; nobody uses it, and it is not active. */
void segment_table_remove(SegmentStore *s, struct segment *segment);
void segment_mark_active(SegmentStore *s, struct segment *segment);

/* Opens the file of segment `number` if it is not open, and holds it. -EBADMSG: no such segment. */
int segment_pin(SegmentStore *s, uint32_t number, struct segment **ret_segment);
/* Its file may be closed from now on when nobody uses it. Lock held. */
void segment_let_go(SegmentStore *s, struct segment *segment);
void segment_unpin(SegmentStore *s, struct segment *segment);
/* Registers a file just opened as in use once. Lock held. */
void segment_adopt_file(SegmentStore *s, struct segment *segment, VaultFile *file);

/* What the cache holds is freed by its closer; no block may be in use then. -ENOMEM. */
int segment_cache_init(struct segment_cache *cache);
void segment_cache_free(struct segment_cache *cache);
/*
 * The cipher of the batch at `batch`, from the cache or made from the batch's header: `header` (SEGMENT_BATCH_BYTES) as
 * it was read, or NULL, and then it is read from the file of the pinned segment. Give it back with put. That of a batch
 * of one block (`alone`) is not kept: who reads the block has what it takes, and among 20,000 small files looking for
 * it, keeping it and letting another go took as long as making it.
 */
int segment_batch_key_get(SegmentStore *s, struct segment *segment, uint32_t batch, bool alone, const uint8_t *header,
        struct batch_key **ret_key);
/* Lets go of all ciphers; those in use as soon as they are put. */
void segment_batch_keys_drop(SegmentStore *s);
/* Whether the cache has it: a hint. */
bool segment_batch_key_known(SegmentStore *s, uint32_t segment, uint32_t batch);
/* Takes over a cipher that was just made for writing. Frees it if it can't be kept. */
void segment_batch_key_add(SegmentStore *s, enum zone zone, uint32_t segment, uint32_t batch, Aead *aead);
static inline bool segment_zone_is_closed(const SegmentStore *s, enum zone zone) {
	return (s->closed_zones & 1u << zone) != 0;
}
static inline bool segment_is_shut(const SegmentStore *s, const struct segment *segment) {
	return segment_zone_is_closed(s, segment->row.zone) || segment->is_shut;
}
/* The segment that the zone, under this own key (""), appends to; NULL: none. Lock held. */
struct segment **segment_writer(SegmentStore *s, enum zone zone, const char *own);
void segment_batch_key_put(SegmentStore *s, struct batch_key *key);
/* BUFFER_BYTES of memory; NULL when there is none. */
uint8_t *segment_buffer_get(struct segment_cache *cache);
void segment_buffer_put(struct segment_cache *cache, uint8_t *buffer);
/* NULL when there is no memory. */
SegmentPacker *segment_packer_get(struct segment_cache *cache);
void segment_packer_put(struct segment_cache *cache, SegmentPacker *packer);
