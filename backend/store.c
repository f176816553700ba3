/* Opening and closing. The committer is in store_commit.c, recovery in store_recover.c, new vaults in store_init.c. */
#include "backend/store.h"
#include "backend/audit.h"
#include "backend/record.h"
#include "backend/segment_watch.h"
#include "backend/store_internal.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CACHE_BYTES_DEFAULT ((size_t)64 << 20)
#define RESERVE_LEAST ((uint64_t)4 << 20)

static void free_store(Store *store) {
	synclog_close(store->synclog);
	content_cache_free(store->cache);
	segment_store_close(store->segments);
	meta_close(store->meta);
	metadb_abandon(store->db);
	reserve_abandon(store->reserve);
	keyring_free(store->keyring);
	store_keys_clear(store);
	key_uses_free(store->key_uses);
	header_free(store->header);
	if (store->own_io)
		vault_io_close(store->io);
	pthread_cond_destroy(&store->served);
	pthread_cond_destroy(&store->wake);
	pthread_mutex_destroy(&store->retaining);
	pthread_mutex_destroy(&store->keys.changing);
	pthread_mutex_destroy(&store->lock);
	free(store->state_directory);
	free(store->path);
	free(store);
}

/* The collector first: it waits for commits. */
static void stop_threads(Store *store) {
	if (store->recall)
		recall_stop(store->recall);
	read_ahead_stop(steal_pointer(&store->ahead));
	gc_close(steal_pointer(&store->gc));
	store_committer_stop(store);
}

void store_abandon(Store *store) {
	if (!store)
		return;
	stop_threads(store);
	free_store(store);
}
DEFINE_CLEANUP(Store, store_abandon);

static int new_store(const char *path, const struct store_options *options, Store **ret) {
	Store *store = calloc(1, sizeof *store);
	if (!store)
		return fault(ENOMEM, "no memory to open vault %s", path);
	pthread_mutex_init(&store->lock, NULL);
	pthread_mutex_init(&store->retaining, NULL);
	pthread_mutex_init(&store->keys.changing, NULL);
	deadline_cond_init(&store->wake);
	pthread_cond_init(&store->served, NULL);
	store->path = strdup(path);
	store->state_directory = options->state_directory ? strdup(options->state_directory) : NULL;
	store->accept_restore = options->accept_restore;
	store->head_forks = options->forks;
	store->read_only = options->read_only;
	store->may_be_limited = options->may_be_limited;
	store->notice = options->notice;
	store->notice_arg = options->notice_arg;
	store->commit_ms = options->commit_ms ? options->commit_ms : 1000;
	store->audit_strict = options->audit_strict;
	if (!store->path || (options->state_directory && !store->state_directory) ||
	        key_uses_new(&store->key_uses) < 0) {
		free_store(store);
		return fault(ENOMEM, "no memory to open vault %s", path);
	}
	*ret = store;
	return 0;
}

/* ---- keys ---- */

static int open_io(Store *store, const struct store_options *options) {
	store->io = options->io;
	if (!store->io) {
		int rc = vault_io_open(store->path, &store->io);
		if (rc < 0)
			return rc;
		store->own_io = true;
	}
	int rc = vault_io_lock(store->io);
	return rc < 0 ? rc : store_recall_open(store, options);
}

/* Without it all is only slower. */
static void start_read_ahead(Store *store) {
	uint64_t most = read_ahead_most();
	if (most > 0)
		(void)read_ahead_start(store->io, METADB_NAME, most, &store->ahead);
}

struct slot_secret store_slot_secret(const struct store_secret *secret) {
	static const enum slot_type types[] = {[STORE_PASSPHRASE] = SLOT_PASSPHRASE,
	        [STORE_RECOVERY_KEY] = SLOT_RECOVERY,
	        [STORE_KEYFILE] = SLOT_KEYFILE,
	        [STORE_RECIPIENT] = SLOT_RECIPIENT,
	        [STORE_KEK] = SLOT_KMS};
	return (struct slot_secret){.type = types[secret->kind],
	        .value = secret->bytes,
	        .slot = secret->kind == STORE_KEK ? secret->slot : NULL};
}

/* Who has not all keys can neither sign the log nor recover. */
static int check_limits(Store *store, size_t slot) {
	struct slot_info info;
	int rc = header_slot(store->header, slot, &info);
	if (rc == 0 && info.is_limited && store->may_be_limited)
		store->read_only = true;
	if (rc == 0 && info.is_limited && !store->read_only)
		return fault(EACCES, "this slot holds some keys of the vault only, for reading: what changes the vault "
		                     "takes the secret of "
		                     "a slot that holds all");
	return rc;
}

static int unlock(Store *store, const struct store_secret *secret) {
	_cleanup_(freep) uint8_t *json = NULL;
	size_t size, at = 0;
	const struct slot_secret slot = store_slot_secret(secret);
	int rc = vault_io_read_all(store->io, STORE_HEADER_NAME, HEADER_BYTES_MAX, &json, &size);
	if (rc == -ENOENT)
		return fault(ENOENT, "there is no vault in %s (no %s); assayfs init makes one", store->path,
		        STORE_HEADER_NAME);
	if (rc == 0)
		rc = header_parse(bytes_of(json, size), &store->header);
	if (rc == 0)
		rc = header_unlock_slot(store->header, &slot, &store->keyring, &at);
	if (rc == 0)
		rc = store_keys_init(store, bytes_of(json, size), at);
	if (rc == 0)
		rc = check_limits(store, at);
	return fault_while(rc, STORE_HEADER_NAME);
}

/* ---- database ---- */

static int open_reserve(Store *store, const struct store_options *options) {
	uint64_t bytes = options->reserve_bytes, free_bytes = 0;
	if (bytes == 0) {
		int rc = vault_io_free_space(store->io, &free_bytes);
		if (rc < 0)
			return rc;
		bytes = reserve_bytes_for_wal(STORE_WAL_BYTES);
		if (bytes > free_bytes / 8)
			bytes = free_bytes / 8 > RESERVE_LEAST ? free_bytes / 8 : RESERVE_LEAST;
	}
	store->wal_limit = bytes / 4 < STORE_WAL_BYTES ? bytes / 4 : STORE_WAL_BYTES;
	int rc = reserve_open(store->io, bytes, &store->reserve);
	if (rc == 0)
		metadb_set_reserve(store->db, store->reserve);
	return rc;
}

static void notice(void *arg, const char *words) {
	Store *store = arg;
	char line[FAULT_MESSAGE_BYTES + STORE_DAMAGE_BYTES];
	if (!store->notice)
		return;
	(void)snprintf(line, sizeof line, "%s (`assayfs fsck --repair %s`, unmounted, mends it)", words, store->path);
	store->notice(store->notice_arg, line);
}

static int note_damage(void *user, const char *file, int64_t place, const char *words) {
	Store *store = user;
	char line[STORE_DAMAGE_BYTES];
	(void)place;
	/* The words of a pack begin with its name. */
	bool is_named = strstr(words, file) != NULL;
	(void)snprintf(line, sizeof line, "%s%s%s", is_named ? "" : file, is_named ? "" : ": ", words);
	if (store->damaged++ == 0)
		memcpy(store->damage, line, sizeof store->damage);
	notice(store, line);
	return 0;
}

static int open_database(Store *store) {
	int rc = metadb_open(store->io, store->keyring, header_vault_id(store->header),
	        store->read_only ? METADB_READ_ONLY : 0, &store->db);
	/* vault.json is written last: a vault that has one has its metadata. */
	if (rc == -ENOENT)
		return fault(EBADMSG, "%s", fault_message());
	if (rc < 0)
		return rc;
	metadb_set_notice(store->db, notice, store);
	return metadb_damage(store->db, note_damage, store);
}

static int read_mark(Store *store, uint64_t *ret_mount) {
	uint8_t mount[8] = {0}, clean = 0;
	size_t size;
	int rc = meta_kv_get(store->meta, STORE_KV_MOUNT, mount, sizeof mount, &size);
	if (rc == 0 || rc == -ENOENT)
		rc = meta_kv_get(store->meta, STORE_KV_CLEAN, &clean, sizeof clean, &size);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	*ret_mount = le64_get(mount);
	store->clean = clean == 1;
	return 0;
}

static int write_mark(Store *store, bool clean) {
	uint8_t mount[8];
	le64_put(mount, store->mount);
	int rc = meta_kv_put(store->meta, STORE_KV_MOUNT, bytes_of(mount, sizeof mount));
	return rc < 0 ? rc : meta_kv_put(store->meta, STORE_KV_CLEAN, bytes_of(clean ? "\1" : "\0", 1));
}

static int know_segment(void *arg, const struct segment_row *row) {
	Store *store = arg;
	int rc = store->recall ? recall_expect(store->recall, row) : 0;
	return rc < 0 ? rc : segment_known(store->segments, row);
}

static int know_segments(Store *store) {
	uint64_t last = 0;
	meta_begin(store->meta);
	int rc = read_mark(store, &last);
	store->mount = store->read_only ? last : last + 1;
	if (rc == 0)
		rc = segment_store_open(
		        store->io, store->keyring, header_cipher(store->header), store->mount, &store->segments);
	if (rc == 0)
		rc = segment_row_list(store->meta, know_segment, store);
	store->durable_records = audit_size(store->meta);
	rc = meta_end(store->meta, rc);
	return rc < 0 ? rc : store_recall_known(store);
}

/*
 * A mount makes its mark durable before it writes a segment. So a segment of a mount that the database has not heard of
 * means that the log with that mark, and all that was committed after it, was taken away: going on would lose it.
 */
int store_check_log(Store *store) {
	uint64_t next = store->mount + store->read_only;
	int rc = store->clean ? segment_any_of_mount(store->segments, next) : 0;
	if (rc <= 0)
		return rc;
	return fault(EBADMSG,
	        "meta.db-wal: the log of mount %lu is gone, its segments are there: an old copy of the metadata was "
	        "put back, or the log was removed; bring it back",
	        (unsigned long)next);
}

/* ---- the first and the last transaction ---- */

/*
 * What small fsyncs acknowledged of drafts. That writes segments under this mount's number, so the mark comes first, in
 * a commit of its own; it says on which commit the log's records stand, for who might have to begin again.
 */
static int bring_back_logged(Store *store, uint64_t *ret_count) {
	uint64_t base = 0, count = 0;
	int rc = store_synclog_base(store, &base);
	if (rc == 0)
		rc = synclog_read(store->io, store->keyring, header_vault_id(store->header), base, NULL, NULL, &count);
	if (rc < 0 || count == 0)
		return rc;
	meta_begin(store->meta);
	rc = write_mark(store, false);
	if (rc == 0)
		rc = store_synclog_keep_base(store);
	rc = store_commit_now(store, rc);
	return rc < 0 ? rc : store_synclog_bring_back(store, base, ret_count);
}

/* Recovers, marks the vault as mounted, and makes that durable before anything is written under this mount's number. */
static int begin_mount(Store *store, const struct store_options *options) {
	uint64_t cut = 0, removed = 0, logged = 0;
	char words[200], slot[STORE_SLOT_WORDS_BYTES];
	int rc = segment_sweep(store->segments, store->clean ? 0 : store->mount - 1, &cut, &removed);
	if (rc == 0)
		rc = bring_back_logged(store, &logged);
	if (rc < 0)
		return rc;
	meta_begin(store->meta);
	rc = write_mark(store, false);
	if (rc == 0)
		rc = meta_kv_remove(store->meta, STORE_KV_SYNCLOG);
	if (rc == 0)
		rc = store_record(store, "mount", 0, 0, store_slot_words(store, slot));
	if (rc == 0 && store->damaged > 0)
		rc = store_record(store, "damage", 0, 0, store->damage);
	if (rc == 0)
		rc = store_head_record_restore(store);
	if (rc == 0)
		rc = store_keys_found(store);
	if (rc == 0)
		rc = store_reseal_resume(store);
	if (rc == 0)
		rc = store_recall_record(store);
	if (rc == 0)
		rc = store_settle(store, options);
	if (rc == 0 && !store->clean) {
		(void)snprintf(words, sizeof words,
		        "after a crash: %lu changes kept, %lu dropped, %lu jobs queued again, %lu bytes of segments "
		        "cut, %lu small fsyncs brought back",
		        store->recovered_versions, store->dropped_drafts, store->requeued_jobs, cut + removed,
		        (unsigned long)logged);
		rc = store_record(store, "recover", 0, 0, words);
	}
	rc = store_commit_now(store, rc);
	return rc < 0 ? rc : store_recall_recorded(store);
}

static int end_mount(Store *store) {
	static const struct store_options nobody;
	segment_finish(store->segments);
	meta_begin(store->meta);
	int rc = store_settle(store, &nobody);
	if (rc == 0)
		rc = key_uses_tell(store, true);
	if (rc == 0)
		rc = store_record(store, "unmount", 0, 0, NULL);
	if (rc == 0)
		rc = write_mark(store, true);
	store->is_ending = true;
	store_head_want(store);
	return store_commit_now(store, rc);
}

/* What SQLite calls a disk error may be a page that does not authenticate: the database knows which, and its words are
 * better. */
static int in_database_words(Store *store, int rc) {
	return rc == -EIO ? metadb_fault(store->db, SQLITE_IOERR, "reading the database") : rc;
}

int store_open_keys(
        const char *path, const struct store_secret *secret, const struct store_options *options, Store **ret) {
	_cleanup_(store_abandonp) Store *store = NULL;
	int rc = new_store(path, options, &store);
	if (rc == 0)
		rc = open_io(store, options);
	if (rc == 0 && options->read_ahead)
		start_read_ahead(store);
	if (rc == 0)
		rc = unlock(store, secret);
	if (rc < 0)
		return rc;
	*ret = steal_pointer(&store);
	return 0;
}

int store_open_files(
        const char *path, const struct store_secret *secret, const struct store_options *options, Store **ret) {
	_cleanup_(store_abandonp) Store *store = NULL;
	int rc = store_open_keys(path, secret, options, &store);
	if (rc == 0)
		rc = open_database(store);
	if (rc < 0)
		return rc;
	*ret = steal_pointer(&store);
	return 0;
}

static void settle_uses(void *arg, bool is_kept) {
	key_uses_settle(arg, is_kept);
}

int store_open_tables(Store *store, const struct store_options *options) {
	int rc = meta_open(store->db, NULL, &store->meta);
	if (rc == 0 && !store->read_only)
		meta_on_seal(store->meta, store_head_sealed, store);
	if (rc == 0)
		meta_on_end(store->meta, settle_uses, store->key_uses);
	if (rc == 0)
		rc = know_segments(store);
	if (rc == 0)
		rc = content_cache_new(
		        options->cache_bytes ? options->cache_bytes : CACHE_BYTES_DEFAULT, &store->cache);
	return in_database_words(store, rc);
}

static void note_refs(void *arg, const struct block_ref *refs, size_t count) {
	segment_note(arg, refs, count);
}

static int start_threads(Store *store, const struct store_options *options) {
	version_watch_map(store->meta, note_refs, store->segments);
	int rc = gc_finish(store);
	if (rc == 0)
		rc = store_committer_start(store);
	if (rc == 0)
		rc = gc_open(store, options->gc_grace_ms, &store->gc);
	if (rc == 0 && !options->gc_by_hand)
		rc = gc_start(store->gc);
	return rc == 0 && store->recall && !options->recall_by_hand ? recall_start(store->recall) : rc;
}

int store_open(const char *path, const struct store_secret *secret, const struct store_options *options, Store **ret) {
	static const struct store_options defaults;
	_cleanup_(store_abandonp) Store *store = NULL;
	if (!options)
		options = &defaults;
	int rc = store_open_files(path, secret, options, &store);
	if (rc == 0 && !store->read_only)
		rc = open_reserve(store, options);
	if (rc == 0)
		rc = store_open_tables(store, options);
	if (rc == 0)
		rc = store_check_log(store);
	if (rc == 0)
		rc = store_head_check(store);
	if (rc == 0 && !store->read_only)
		store_keys_tidy(store);
	if (rc == 0 && !store->read_only)
		rc = in_database_words(store, begin_mount(store, options));
	if (rc == 0 && !store->read_only)
		rc = start_threads(store, options);
	if (rc < 0)
		return fault_while(rc, "opening vault %s", path);
	*ret = steal_pointer(&store);
	return 0;
}

/* A failed store commits nothing: the next mount recovers to the last commit that is known to be on the disk. */
static int close_writable(Store *store) {
	int rc = store->failed || meta_failed(store->meta) ? fault(EIO, "the vault had failed") : end_mount(store);
	meta_close(steal_pointer(&store->meta));
	if (rc == 0)
		rc = synclog_remove(store->io);
	if (rc < 0)
		return rc;
	rc = metadb_close(steal_pointer(&store->db));
	int reserve_rc = reserve_close(steal_pointer(&store->reserve));
	return rc < 0 ? rc : reserve_rc;
}

int store_close(Store *store) {
	if (!store)
		return 0;
	stop_threads(store);
	int rc = store->read_only ? 0 : close_writable(store);
	rc = fault_while(rc, "closing vault %s", store->path);
	free_store(store);
	return rc;
}

/* ---- what it is made of ---- */

Meta *store_meta(Store *store) {
	return store->meta;
}

void store_set_key_chooser(Store *store, store_choose_key_fn *choose, void *arg) {
	store->choose_key_arg = arg;
	store->choose_key = choose;
}

int store_choose_key(Store *store, const struct node *node, char ret_own[static OWN_KEY_BYTES]) {
	ret_own[0] = '\0';
	return store->choose_key ? store->choose_key(store->choose_key_arg, store->meta, node, ret_own) : 0;
}

SegmentStore *store_segments(Store *store) {
	return store->segments;
}

Keyring *store_keyring(Store *store) {
	return store->keyring;
}

VaultIo *store_io(Store *store) {
	return store->io;
}

Gc *store_gc(Store *store) {
	return store->gc;
}

Recall *store_recall(Store *store) {
	return store->recall;
}

ContentCache *store_content_cache(Store *store) {
	return store->cache;
}

SyncLog *store_synclog(Store *store) {
	return store->synclog;
}

bool store_is_read_only(const Store *store) {
	return store->read_only;
}

void store_info(Store *store, struct store_info *ret) {
	struct store_info info = {.cipher = (int)header_cipher(store->header),
	        .read_only = store->read_only,
	        .mount = store->mount,
	        .recovered = !store->clean,
	        .recovered_versions = store->recovered_versions,
	        .dropped_drafts = store->dropped_drafts,
	        .requeued_jobs = store->requeued_jobs,
	        .damaged = store->damaged};
	(void)snprintf(info.path, sizeof info.path, "%s", store->path);
	memcpy(info.vault_id, header_vault_id(store->header), STORE_VAULT_ID_BYTES);
	pthread_mutex_lock(&store->lock);
	info.failed = store->failed;
	pthread_mutex_unlock(&store->lock);
	*ret = info;
}
