/*
 * recall_internal: what recall.c (the VaultIo, whose turn it is) and recall_fetch.c (listing and fetching) share.
 */
#pragma once

#include "backend/backup/layout.h"
#include "backend/backup/origin.h"
#include "backend/backup/recall.h"
#include "backend/segment.h"

#include <pthread.h>

struct recall_segment {
	uint8_t id[SEGMENT_ID_BYTES];
	uint32_t number, bytes;
	enum zone zone;
	bool is_outside; /* the place was not meant to have it */
	/* Guarded by Recall.lock. */
	bool is_here;
	bool is_dropped;  /* removed by the vault */
	bool is_fetching; /* by somebody */
	bool is_claimed;  /* somebody fetches the rest, and this one is next */
	bool is_absent;   /* it is outside, and the place has not all of it */
	bool is_lacking;  /* the place has not all of it, as far as is known */
	bool has_failed;  /* what the place has of it is not all; until the next round */
	unsigned turn;    /* fetches that ended, and how the last one did: */
	int rc;
	char words[256];
};

struct recall_extent {
	uint8_t id[SEGMENT_ID_BYTES];
	uint32_t from, to;
	char *version; /* NULL: the latest */
};

/* What is got of one extent. */
struct recall_piece {
	uint32_t from, to;   /* in the segment */
	uint32_t begin, end; /* of the extent */
	char name[LAYOUT_NAME_BYTES];
	char *version;
};

struct Recall {
	VaultIo *io; /* the directory */
	struct vault_origin origin;

	pthread_mutex_t lock; /* guards what follows but for what is said; a leaf but for renaming and unlinking */
	pthread_cond_t changed;
	struct objects_place place; /* its texts are ours */
	recall_open_fn *open;
	void *open_arg;
	recall_verify_fn *verify;
	void *verify_arg;
	struct recall_segment *segments; /* by id once it is ready; the array is not changed then */
	uint32_t *numbers;               /* of segment number n + 1: its place in `segments`, from 1 */
	size_t count, room;
	uint32_t numbers_count;
	bool is_ready;
	bool is_over; /* the origin was removed */
	unsigned fetches;
	uint64_t damaged; /* of those that were fetched */
	Objects *idle[RECALL_FETCHES];
	size_t idle_count;
	Objects *active[RECALL_FETCHES + 4]; /* that are in use; NULL: free */
	bool is_halted;
	unsigned readers;   /* that fetch or wait */
	int64_t moved_ms;   /* when something last came, or the first of them began; by the monotonic clock */
	int64_t away_until; /* 0: the place was there when it was last asked */
	char away[256];
	char trouble[512];

	pthread_mutex_t listing;       /* guards extents; taken before `lock` */
	struct recall_extent *extents; /* by id, from, the latest first */
	size_t extent_count, extent_room;
	bool is_listed;
	int64_t listed_ms; /* by the monotonic clock */

	/* The thread; `background` is what it uses now, under `lock`. */
	pthread_t thread;
	bool is_running, is_stopping;
	Objects *background;
	void (*notice)(void *arg, const char *words);
	void *notice_arg;
};

/* The segment with this id; NULL. */
struct recall_segment *recall_find(Recall *recall, const uint8_t id[static SEGMENT_ID_BYTES]);

/* The segment whose file has this name; NULL: none that was told. Whether it is to be fetched still. */
struct recall_segment *recall_named(Recall *recall, const char *name);
bool recall_is_missing(Recall *recall, const struct recall_segment *segment);

/* Who fetches: somebody who reads, recall_next, its thread. */
enum recall_who { RECALL_READER, RECALL_REST, RECALL_THREAD };

/* Fetches the segment, or waits for who does: 0: it is here. A reader's is refused when the place is away (recall.h).
 */
int recall_ensure(Recall *recall, struct recall_segment *segment, enum recall_who who);

/* Something came from the place. */
void recall_has_moved(Recall *recall);

/* Frees the texts. */
void recall_free_place(struct objects_place *place);

struct recall_outcome {
	bool is_none;    /* the place has nothing of it */
	bool is_damaged; /* the file is there, and something of it does not authenticate */
};

/* Fetches the file into `temporary`, whole and synced. -ENODATA: the place has not all of it; other errors are those of
 * the place or of the disk. */
int recall_fetch(Recall *recall, Objects *objects, const struct recall_segment *segment, const char *temporary,
        struct recall_outcome *ret);

/* Lists the place, if it was not listed yet, and counts. */
int recall_list_place(Recall *recall, Objects *objects, uint64_t *ret_lacking, uint64_t *ret_left_out);

/* Puts in the origin which segments are lacking, if that is others than it says. */
int recall_keep_lacking(Recall *recall);

/* Frees the listing. */
void recall_forget_listing(Recall *recall);
