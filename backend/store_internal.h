/*
 * store_internal: what the sources of store share. Nobody else includes it.
 */
#pragma once

#include "backend/audit.h"
#include "backend/audit_head.h"
#include "backend/backup/recall.h"
#include "backend/content_internal.h"
#include "backend/gc.h"
#include "backend/key_uses.h"
#include "backend/last_seen.h"
#include "backend/metadb.h"
#include "backend/read_ahead.h"
#include "backend/reserve.h"
#include "backend/store.h"
#include "backend/vault_io.h"
#include "crypto/header.h"

#include <pthread.h>
#include <stdatomic.h>

#define STORE_HEADER_NAME "vault.json"
/* A checkpoint when the WAL has grown past this, or past a quarter of the reserve if that is less. */
#define STORE_WAL_BYTES ((uint64_t)16 << 20)
/* The committer ends a transaction that has gathered so many operations. */
#define STORE_OPERATIONS 4000u
/* What an operation writes besides the content that it brings, at most or nearly so: the block around a byte that is
 * changed, twice, and eight pages of rows. */
#define STORE_OPERATION_BYTES ((uint64_t)64 << 10)
#define STORE_DAMAGE_BYTES 512

/* Rows of kv. */
#define STORE_KV_MOUNT "store.mount" /* u64: number of the last mount */
#define STORE_KV_CLEAN "store.clean" /* u8: 1 when it ended well */
/* u64: the commit on which the records of the log of small fsyncs stand that are still to be brought back; absent: the
 * last one. */
#define STORE_KV_SYNCLOG "store.synclog"
/* u32 version, u32 page: pages of the database under versions of the key "meta" before that are sealed anew, those
 * before the page were; all: 2^32 - 1. */
#define STORE_KV_RESEAL "meta.reseal"

/* Keys and slots (store_keys.c). */
struct store_keys {
	pthread_mutex_t changing;        /* one change at a time; taken before all other locks; guards what follows */
	VaultHeader *header;             /* as it stands on the disk */
	char slot[HEADER_ID_TEXT_BYTES]; /* the one that was unlocked */
};

/* What the log of small fsyncs is to do after the next commit. */
enum log_wish {
	LOG_GOES_ON,
	LOG_TAKES_KEY, /* Landing's present key, or none if that can't be had */
	LOG_RESTS,     /* until a key is taken */
};

struct Store {
	char *path;
	VaultIo *io;
	Recall *recall;      /* belongs to `io`; NULL: nothing is elsewhere */
	bool recall_is_told; /* with which credentials */
	bool own_io, read_only, may_be_limited;
	VaultHeader *header; /* as it was opened: for what never changes; `keys` has the present one */
	Keyring *keyring;
	struct store_keys keys;
	KeyUses *key_uses;
	MetaDb *db;
	Reserve *reserve; /* NULL when read-only */
	Meta *meta;
	SegmentStore *segments;
	ContentCache *cache;
	store_choose_key_fn *choose_key; /* may be NULL */
	void *choose_key_arg;
	Gc *gc;           /* NULL when read-only */
	ReadAhead *ahead; /* NULL when not wanted */
	SyncLog *synclog; /* NULL when read-only, and without Landing's key */
	uint64_t wal_limit;
	unsigned commit_ms;
	bool audit_strict;
	uint64_t mount;
	bool clean; /* the last mount ended well */
	uint64_t recovered_versions, dropped_drafts, requeued_jobs;
	uint64_t damaged; /* files of the metadata that were damaged when it was opened; the first: */
	char damage[STORE_DAMAGE_BYTES];
	void (*notice)(void *arg, const char *words);
	void *notice_arg;

	/*
	 * The committer. `lock` is a leaf but for what a round does, which it doesn't hold. A ticket is served by a
	 * round that began after it was drawn.
	 */
	pthread_t committer;
	bool committing; /* the thread exists */
	pthread_mutex_t lock;
	pthread_cond_t wake, served;
	uint64_t wanted, done; /* last ticket drawn, last one served */
	bool in_round, stop, failed;
	_Atomic bool given_up;         /* what was acknowledged can't be committed: the next round fails */
	_Atomic bool wants_checkpoint; /* with the next commit, whatever the log's size */
	_Atomic int log_wish;          /* enum log_wish */
	/* The metadata are being sealed anew: what is under versions of their key before it; 0: they are not
	 * (store_reseal.c). */
	_Atomic uint32_t reseals;
	_Atomic uint64_t reseal_bytes; /* room that the rest takes; 0: not known yet */
	_Atomic bool reseal_waits;     /* for that room */
	_Atomic bool reseal_is_told;   /* of that */
	uint32_t reseal_noted;         /* the page in the row; 0: not by this mount */
	int64_t reseal_due_ns;         /* the next piece, by the monotonic clock; whoever carries out a round has it */
	_Atomic bool wants_scrub;      /* what was erased may stand in the log of small fsyncs: after the next commit */
	uint64_t durable_records, durable_commit;
	struct handing *handing; /* whoever carries out a round for a hand-over; else NULL (store_checkpoint.c) */
	/* Of the records that a commit is writing: since when the first has waited; 0: there is none. The longest wait
	 * of all that became durable. */
	int64_t committing_since, longest_wait_ns;
	struct histogram commit_times, wait_times;
	_Atomic uint64_t commit_failures;
	_Atomic uint64_t unrecorded; /* accesses refused for want of a record */

	/* The log's signed heads (store_head.c). Whoever carries out a round has them, but for what is atomic. */
	char *state_directory;              /* NULL: nothing is remembered outside of the vault */
	bool accept_restore;                /* an older copy is taken */
	char restored[FAULT_MESSAGE_BYTES]; /* why it is one; "": it is none */
	struct audit_head head;             /* the last that was signed */
	struct checkpoint head_since;       /* of the branch that this vault is (last_seen.h) */
	bool head_forks;                    /* it becomes one with the first head of more records than head_after, */
	uint64_t head_after;                /* those at the opening */
	bool head_is_new;                   /* it is not remembered outside yet */
	bool head_forgotten;                /* it could not be, and that was told */
	bool head_unsigned;                 /* the key whose turn it is was lost, and that was told */
	bool is_ending;                     /* what is remembered outside is synced there, too */
	_Atomic bool head_wanted;           /* the next commit signs, whenever the last one did */
	int64_t head_at_ms;                 /* when, by the monotonic clock; 0: never */
	_Atomic bool head_waits;            /* records are durable that no head has */

	pthread_mutex_t retaining; /* one archiving or pruning of the log at a time; taken before all others */
};

/*
 * The steps of store_open, for fsck, which looks at the files before it trusts the tables: keys locks and unlocks the
 * keys; files does that and opens the database; tables opens what stands in it. Read-only when the options say so;
 * nothing is recovered and no committer started.
 */
int store_open_keys(
        const char *path, const struct store_secret *secret, const struct store_options *options, Store **ret);
int store_open_files(
        const char *path, const struct store_secret *secret, const struct store_options *options, Store **ret);
int store_open_tables(Store *store, const struct store_options *options);

/* Starts and ends the committer thread. stop makes no last round. */
int store_committer_start(Store *store);
void store_committer_stop(Store *store);

/* Flushes the segments, puts their rows, commits and syncs: from inside meta_begin, which it ends. `rc` < 0 undoes the
 * operation. */
int store_commit_now(Store *store, int rc);

/* A round for whoever calls, as if it had drawn a ticket; `handing` is the store's while it lasts. */
int store_commit_handing(Store *store, struct handing *handing);

/* In the moment for a checkpoint: makes one, and takes down what was asked for. */
void store_hand_over(Store *store, struct handing *handing);

/* -EBADMSG when the log of a later mount than the database knows is missing. */
int store_check_log(Store *store);

/* The log of small fsyncs. base: the commit that a crash's records stand on. keep_base: a commit that is no recovery
 * says so first, inside meta_begin. bring_back: the records go into their drafts; *ret_count is how many there were. */
int store_synclog_base(Store *store, uint64_t *ret_base);
int store_synclog_keep_base(Store *store);
int store_synclog_bring_back(Store *store, uint64_t base, uint64_t *ret_count);

/* All of what a crash or an unmount leaves, inside meta_begin. */
int store_settle(Store *store, const struct store_options *options);

/*
 * The log's signed heads. want: the next commit signs, whenever the last one did. sealed: for meta_on_seal.
 * sign_waiting: a commit that has nothing else, inside meta_begin, where a head waits and its time has come. remember:
 * outside of the vault, after the sync.
 */
bool store_head_is_due(const Store *store);
void store_head_want(Store *store);
int store_head_sealed(void *arg, int64_t time_ns);
/* Adds ": " and the verifier key of that version to the words of a record, where `name` is the log's own key. */
void store_head_name_key(Store *store, const char *name, uint32_t version, char *words, size_t size);
/* The highest version of a key that the log knows of, inside meta_begin (store_key_rows.c). */
int store_key_known(Meta *m, const char *name, uint32_t *ret_version);
int store_head_sign_waiting(Store *store);
void store_head_remember(Store *store, bool durable);

/* Whether the log goes on from what is remembered outside: 0; -ESTALE with words. Where an older copy is to be taken it
 * is 0, and record_restore says so in the log, inside meta_begin. */
int store_head_check(Store *store);
int store_head_record_restore(Store *store);

/*
 * A vault that was recovered from a backup (store_recall.c). open: lays the fetching over the vault's files, where it
 * has an origin. known: all segments were told. record: that it was recovered, inside meta_begin; recorded: after that
 * is durable.
 */
int store_recall_open(Store *store, const struct store_options *options);
int store_recall_known(Store *store);
int store_recall_record(Store *store);
int store_recall_recorded(Store *store);

/* What a slot of the header is tried with. */
struct slot_secret store_slot_secret(const struct store_secret *secret);

/* The keys of a store whose vault.json was unlocked by slot `slot`. found: a change of vault.json that is not in the
 * log is recorded, inside meta_begin. clear: frees. */
int store_keys_init(Store *store, struct bytes json, size_t slot);
int store_keys_found(Store *store);
/* What a crash left of a vault.json that was being written goes, with the boxes in it. */
#define STORE_HEADER_LEFT STORE_HEADER_NAME ".tmp"
void store_keys_tidy(Store *store);
/* "slot ID, passphrase": what it was unlocked by, with the ARN of a KMS's key. Returns the buffer. */
#define STORE_SLOT_WORDS_BYTES 512
const char *store_slot_words(const Store *store, char ret_words[static STORE_SLOT_WORDS_BYTES]);
void store_keys_clear(Store *store);

/*
 * Sealing the metadata anew (metadb_reseal). begin: pages under versions before `version`, inside meta_begin; it goes
 * on until all is done, over crashes and mounts. resume: at the mount, inside meta_begin. step: takes down how far it
 * is, in each commit while it goes on, inside meta_begin.
 */
int store_reseal_begin(Store *store, uint32_t version);
int store_reseal_resume(Store *store);
int store_reseal_step(Store *store);
/* Whether the checkpoint of a commit is to do a piece. */
bool store_reseal_is_due(Store *store);
/*
 * Whether it goes on, so that there are to be commits for it. It rests while the file system has less room than the
 * rest of it takes (metadb_reseal_bytes): look asks whether that has changed; cheap, any thread, no lock of the store
 * held. room: whether there is enough for all of it, inside meta_begin: -ENOSPC, with words.
 */
bool store_reseal_goes_on(Store *store);
void store_reseal_look(Store *store);
int store_reseal_room(Store *store);

/* Who it is that does things by itself. */
void store_daemon_actor(struct actor *ret);

/* In an operation: the counts of uses of keys that are due, or all, become records (store_key_uses.c). */
int key_uses_tell(Store *store, bool all);

/* Adds a record of the daemon's own: the event's actor and path are filled in. In short: node and version may be 0,
 * detail NULL. */
int store_record_event(Store *store, struct audit_event record);
int store_record(Store *store, const char *event, uint64_t node, uint64_t version, const char *detail);
