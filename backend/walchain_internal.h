/*
 * walchain_internal: what walchain.c (the log in use) and walscan.c (the log at opening and under fsck) share.
 */
#pragma once

#include "backend/wallayout.h"

#include <pthread.h>

/* Records gathered before they are written: a transaction of up to so many pages costs one call. */
#define WAL_BUFFERED_RECORDS 64

/*
 * Behind small commits the file is filled with zeros, so far ahead: a sync after a write into blocks that the file has
 * is one flush of the disk, one after a write that extends it has the file's own metadata to write as well. Measured,
 * two files synced in turn: 420 us when they grow, 336 with fallocate, 158 so. A large commit pays for its sync once
 * and fills nothing, nor do a few small ones, or any on a disk that has little room.
 */
#define WAL_SMALL_RECORDS 32
#define WAL_SMALL_COMMITS 16
#define WAL_AHEAD_BYTES (1u << 20)

struct WalChain {
	VaultIo *io;
	const struct meta_keys *keys;
	VaultFile *file; /* NULL: read-only and not there */
	bool read_only;
	Reserve *reserve;
	struct wal_base base;

	bool has_header;
	bool checkpoint_began;
	struct page_range range; /* with it */
	struct wal_header header;

	/* Of frame n at n - 1. */
	uint8_t (*tags)[META_TAG_BYTES];
	uint32_t *pages;
	uint32_t capacity;

	uint32_t count;   /* frames sealed */
	uint32_t written; /* of them in the file; the others wait in `buffer` */
	uint64_t filled;  /* the file has bytes up to here at least */
	unsigned small;   /* commits in a row that were */
	uint32_t database_pages;
	uint8_t *buffer;
	uint8_t *record;
	uint8_t *plain;

	uint32_t pending; /* the frame whose header came and whose page did not yet; 0 if none */
	uint8_t pending_header[WAL_FRAME_HEADER_BYTES];

	pthread_mutex_t sync_mutex; /* one sync at a time; guards `anchors`; taken before `mutex` */
	Anchors *anchors;           /* may be NULL */
	pthread_mutex_t mutex;      /* guards what follows; held while a slot is written or the log emptied */
	uint64_t epoch;             /* rises when a generation begins or ends */
	bool unanchored;            /* the anchors do not know of this generation yet: it may have no frames */
	uint32_t committed;
	uint8_t committed_tag[META_TAG_BYTES];
	uint32_t durable;
	unsigned next_slot;
};

/* Makes room for frame `number` in tags and pages. */
int wal_make_room(WalChain *wal, uint32_t number);

/* The tag before frame `number`. */
const uint8_t *wal_previous_tag(const WalChain *wal, uint32_t number);

/* Reads and judges the file: fills in header, tags, pages, committed, database_pages. Changes nothing on the disk. */
int wal_scan(WalChain *wal);
