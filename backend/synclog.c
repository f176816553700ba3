#include "backend/synclog.h"

#include "backend/vault_io.h"
#include "backend/zone.h"
#include "crypto/base/fault.h"
#include "crypto/keyring.h"
#include "crypto/secret.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium/randombytes.h>
#include <stdatomic.h>
#include <stdlib.h>

/* What may wait for a flush. */
#define GATHERED_BYTES (512u << 10)
#define AHEAD_BYTES (256u << 10)

struct gathered {
	uint8_t *data;
	size_t used;
};

struct SyncLog {
	VaultIo *io;
	struct secret_key *key; /* in locked memory */
	struct synclog_header header;

	/* These are used by whoever flushes, alone. */
	VaultFile *file; /* NULL: not begun */
	uint64_t filled; /* the file has bytes up to here */

	pthread_mutex_t lock;   /* a leaf; guards what follows */
	pthread_cond_t changed; /* of `flushing`, `held`, `done`, `broken` */
	uint64_t base;
	uint32_t number;  /* of the last record put on it */
	uint32_t durable; /* records of the base that are on the disk */
	uint64_t start;   /* where what is gathered goes in the file */
	struct gathered gathered, spare;
	size_t blocks;       /* to be sealed for what was put on this base */
	uint64_t last, done; /* tickets: the last one given, and the last one that is durable */
	bool flushing, held;
	bool rests;  /* without a key: nothing is taken */
	bool broken; /* a write or a flush failed, or a commit: nothing is taken any more */
	atomic_bool waits;
};

/* ---- opening ---- */

void synclog_close(SyncLog *log) {
	if (!log)
		return;
	free(log->gathered.data);
	free(log->spare.data);
	vault_file_close(log->file);
	secret_free(log->key);
	pthread_cond_destroy(&log->changed);
	pthread_mutex_destroy(&log->lock);
	free(log);
}

static int key_of(const Keyring *keyring, const struct synclog_header *header, struct secret_key *ret) {
	_cleanup_(secret_key_wipe) struct secret_key landing;
	int rc = keyring_get(keyring, zone_key_name(ZONE_LANDING), header->key_version, landing.bytes, NULL);
	if (rc == 0)
		synclog_key(landing.bytes, header, ret->bytes);
	return rc;
}

/* Without it what was logged can't be brought back, and must not be given up for that. */
static int check_key(const Keyring *keyring) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	int rc = keyring_get(keyring, zone_key_name(ZONE_LANDING), 0, key.bytes, NULL);
	return fault_while(rc, SYNCLOG_NAME);
}

/* For a file to begin. */
static int take_key(SyncLog *log, const Keyring *keyring) {
	_cleanup_(secret_key_wipe) struct secret_key landing;
	int rc = keyring_get(keyring, zone_key_name(ZONE_LANDING), 0, landing.bytes, &log->header.key_version);
	if (rc < 0)
		return rc;
	randombytes_buf(log->header.salt, SYNCLOG_SALT_BYTES);
	synclog_key(landing.bytes, &log->header, log->key->bytes);
	return 0;
}

int synclog_open(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static SYNCLOG_VAULT_ID_BYTES],
        uint64_t base, SyncLog **ret) {
	_cleanup_(synclog_closep) SyncLog *log = calloc(1, sizeof *log);
	if (!log)
		return fault(ENOMEM, "no memory for %s", SYNCLOG_NAME);
	pthread_mutex_init(&log->lock, NULL);
	pthread_cond_init(&log->changed, NULL);
	log->io = io;
	log->base = base;
	log->start = SYNCLOG_START;
	memcpy(log->header.vault_id, vault_id, SYNCLOG_VAULT_ID_BYTES);
	log->gathered.data = calloc(1, GATHERED_BYTES);
	log->spare.data = calloc(1, GATHERED_BYTES);
	log->key = secret_alloc(sizeof *log->key);
	if (!log->gathered.data || !log->spare.data || !log->key)
		return fault(ENOMEM, "no memory for %s", SYNCLOG_NAME);
	int rc = take_key(log, keyring);
	if (rc == -ENOKEY)
		return fault_while(rc, SYNCLOG_NAME);
	log->rests = rc < 0;
	*ret = steal_pointer(&log);
	return 0;
}

int synclog_remove(VaultIo *io) {
	int rc = vault_io_unlink(io, SYNCLOG_NAME);
	if (rc == -ENOENT)
		return 0;
	return rc < 0 ? rc : vault_io_sync_dir(io, "");
}

/* ---- putting ---- */

/* Lock held. */
static bool has_room(const SyncLog *log, const struct synclog_record *record, size_t payload) {
	if (log->held || log->broken || log->rests || payload > SYNCLOG_PAYLOAD_MAX)
		return false;
	size_t room = synclog_room(payload), end = log->gathered.used + room;
	/* Behind the last record there is room for a mark. */
	return end <= GATHERED_BYTES && log->start + end + SYNCLOG_HEAD_BYTES <= SYNCLOG_BYTES &&
	       log->blocks + record->blocks <= SYNCLOG_BLOCKS_ON_BASE;
}

/* Seals the record behind what is gathered. Lock held. */
static int put(SyncLog *log, const struct synclog_record *record, size_t payload) {
	uint8_t *to = log->gathered.data + log->gathered.used;
	struct synclog_head head = {
	        .base = log->base, .number = log->number + 1, .durable = log->durable, .length = (uint32_t)payload};
	synclog_payload_put(record, to + SYNCLOG_HEAD_BYTES);
	int rc = synclog_seal(log->key->bytes, log->start + log->gathered.used, &head, to);
	if (rc < 0) {
		secret_wipe(to, synclog_room(payload));
		return -EAGAIN;
	}
	log->gathered.used += synclog_room(payload);
	log->number++;
	log->blocks += record->blocks;
	return 0;
}

int synclog_put(SyncLog *log, const struct synclog_record *record, uint64_t *ret_ticket) {
	size_t payload = synclog_payload_bytes(record);
	if (!vault_io_has_plenty(log->io))
		return -EAGAIN;
	pthread_mutex_lock(&log->lock);
	int rc = has_room(log, record, payload) ? put(log, record, payload) : -EAGAIN;
	if (rc == 0) {
		*ret_ticket = ++log->last;
		atomic_store(&log->waits, true);
	}
	pthread_mutex_unlock(&log->lock);
	return rc;
}

bool synclog_waits(const SyncLog *log) {
	return atomic_load(&log->waits);
}

/* ---- flushing ---- */

/* The file, and in it a header under this mount's key; durable before the first record is. */
static int begin_file(SyncLog *log) {
	uint8_t headers[SYNCLOG_START];
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	int rc = synclog_header_seal(log->key->bytes, &log->header, headers);
	memcpy(headers + SYNCLOG_HEADER_BYTES, headers, SYNCLOG_HEADER_BYTES);
	if (rc == 0)
		rc = vault_file_open(log->io, SYNCLOG_NAME, VAULT_FILE_WRITE | VAULT_FILE_CREATE, &file);
	/* What a crash left behind the headers must not be there while they are written: find_key. */
	if (rc == 0)
		rc = vault_file_truncate(file, 0);
	if (rc == 0)
		rc = vault_file_sync(file);
	if (rc == 0)
		rc = vault_file_write_at(file, 0, bytes_of(headers, sizeof headers));
	if (rc == 0)
		rc = vault_file_sync(file);
	if (rc == 0)
		rc = vault_io_sync_dir(log->io, "");
	if (rc == 0)
		log->file = steal_pointer(&file);
	return rc;
}

/* As what is written into blocks that the file has is flushed without the file system's journal (figures: walchain).
 * Only a matter of speed: no error counts. */
static void fill_ahead(SyncLog *log, uint64_t end) {
	uint64_t goal = end + AHEAD_BYTES < SYNCLOG_BYTES ? end + AHEAD_BYTES : SYNCLOG_BYTES;
	if (end + SYNCLOG_HEAD_BYTES <= log->filled || goal <= end)
		return;
	_cleanup_(freep) uint8_t *zeros = calloc(1, goal - end);
	if (zeros && vault_file_write_at(log->file, end, bytes_of(zeros, goal - end)) == 0)
		log->filled = goal;
}

static int write_out(SyncLog *log, uint64_t at, const struct gathered *gathered) {
	int rc = log->file ? 0 : begin_file(log);
	if (rc < 0)
		return rc;
	fill_ahead(log, at + gathered->used);
	rc = vault_file_write_at(log->file, at, bytes_of(gathered->data, gathered->used));
	return rc < 0 ? rc : vault_file_sync(log->file);
}

/* Says behind the last record that it is durable, unless the next one does. Lock held, and let go meanwhile. */
static void write_mark(SyncLog *log) {
	uint8_t mark[SYNCLOG_HEAD_BYTES];
	if (log->gathered.used > 0)
		return;
	struct synclog_head head = {.base = log->base, .number = log->number, .durable = log->durable};
	uint64_t at = log->start;
	pthread_mutex_unlock(&log->lock);
	if (synclog_seal(log->key->bytes, at, &head, mark) == 0)
		(void)vault_file_write_at(log->file, at, bytes_of(mark, sizeof mark));
	pthread_mutex_lock(&log->lock);
}

/* Writes what is gathered, for all who wait. Lock held, and let go meanwhile. */
static void flush_gathered(SyncLog *log) {
	struct gathered gathered = log->gathered;
	uint64_t at = log->start, ticket = log->last;
	uint32_t number = log->number;
	log->gathered = (struct gathered){.data = log->spare.data};
	log->spare.data = NULL;
	log->start += gathered.used;
	log->flushing = true;
	pthread_mutex_unlock(&log->lock);
	int rc = write_out(log, at, &gathered);
	pthread_mutex_lock(&log->lock);
	log->spare.data = gathered.data;
	if (rc == 0) {
		log->done = ticket;
		log->durable = number;
	} else {
		log->broken = true;
	}
	pthread_cond_broadcast(&log->changed);
	if (rc == 0)
		write_mark(log);
	log->flushing = false;
	pthread_cond_broadcast(&log->changed);
}

int synclog_wait(SyncLog *log, uint64_t ticket) {
	pthread_mutex_lock(&log->lock);
	while (log->done < ticket && !log->broken) {
		if (log->flushing || log->held)
			pthread_cond_wait(&log->changed, &log->lock);
		else
			flush_gathered(log);
	}
	int rc = log->done >= ticket ? 0 : -EAGAIN;
	pthread_mutex_unlock(&log->lock);
	return rc;
}

/* ---- commits ---- */

void synclog_hold(SyncLog *log) {
	pthread_mutex_lock(&log->lock);
	log->held = true;
	while (log->flushing)
		pthread_cond_wait(&log->changed, &log->lock);
	pthread_mutex_unlock(&log->lock);
}

/* Lock held. */
static void begin_base(SyncLog *log, uint64_t base) {
	log->base = base;
	log->number = log->durable = 0;
	log->blocks = 0;
	log->start = SYNCLOG_START;
	log->gathered.used = 0;
}

void synclog_resume(SyncLog *log, bool committed, uint64_t base) {
	pthread_mutex_lock(&log->lock);
	if (!committed) {
		log->broken = true;
	} else if (base != log->base) {
		begin_base(log, base);
		log->done = log->last;
		atomic_store(&log->waits, false);
	}
	log->held = false;
	pthread_cond_broadcast(&log->changed);
	pthread_mutex_unlock(&log->lock);
}

/* Nobody flushes while it is held, so that the file is the caller's. One of an earlier mount, which this one has not
 * begun anew, goes. */
int synclog_scrub(SyncLog *log) {
	if (!log->file)
		return synclog_remove(log->io);
	int rc = vault_file_truncate(log->file, SYNCLOG_START);
	log->filled = 0;
	return rc < 0 ? rc : vault_file_sync(log->file);
}

/* All that was put is committed, so that numbers may begin anew. A file that can't be removed has nothing that counts.
 */
void synclog_rekey(SyncLog *log, const Keyring *keyring) {
	vault_file_close(steal_pointer(&log->file));
	log->filled = 0;
	(void)synclog_remove(log->io);
	secret_key_wipe(log->key);
	pthread_mutex_lock(&log->lock);
	begin_base(log, log->base);
	log->done = log->last;
	atomic_store(&log->waits, false);
	log->rests = !keyring || take_key(log, keyring) < 0;
	pthread_mutex_unlock(&log->lock);
}

/* ---- reading ---- */

struct reader {
	const uint8_t *key;
	uint64_t base;
	uint8_t *bytes;
	size_t size;
	uint8_t *scratch; /* SYNCLOG_HEAD_BYTES + SYNCLOG_PAYLOAD_MAX */
};

/* What stands at `at`, if it is genuine and of this base. Its payload is then in scratch. */
static bool part_at(struct reader *r, size_t at, uint64_t at_least, struct synclog_head *ret) {
	if (at > r->size || !synclog_head_parse(bytes_of(r->bytes + at, r->size - at), ret))
		return false;
	if (ret->base != r->base || ret->durable < at_least)
		return false;
	memcpy(r->scratch, r->bytes + at, SYNCLOG_HEAD_BYTES + ret->length);
	return synclog_open_at(r->key, at, ret, r->scratch) == 0;
}

/* Whether something behind `from` says that record `number` was durable. All that is sealed begins at a multiple of
 * SYNCLOG_HEAD_BYTES. */
static bool was_durable(struct reader *r, size_t from, uint64_t number) {
	struct synclog_head head;
	for (size_t at = from; at + SYNCLOG_HEAD_BYTES <= r->size; at += SYNCLOG_HEAD_BYTES) {
		if (part_at(r, at, number, &head))
			return true;
	}
	return false;
}

static int read_record(struct reader *r, const struct synclog_head *head, synclog_fn *fn, void *arg) {
	struct synclog_record record;
	int rc = synclog_payload_parse(bytes_of(r->scratch + SYNCLOG_HEAD_BYTES, head->length), &record);
	if (rc == 0 && fn)
		rc = fn(arg, &record);
	return fault_while(rc, "%s: record %" PRIu32, SYNCLOG_NAME, head->number);
}

/* *ret_end: where the records end that count. */
static int read_records(struct reader *r, synclog_fn *fn, void *arg, uint64_t *ret_count, size_t *ret_end) {
	struct synclog_head head;
	size_t at = SYNCLOG_START;
	uint64_t count = 0;
	while (part_at(r, at, 0, &head) && head.length > 0 && head.number == count + 1) {
		int rc = read_record(r, &head, fn, arg);
		if (rc < 0)
			return rc;
		count++;
		at += synclog_room(head.length);
	}
	*ret_count = count;
	*ret_end = at;
	return 0;
}

static int read_counting(struct reader *r, synclog_fn *fn, void *arg, uint64_t *ret_count) {
	uint64_t count = 0;
	size_t end = 0;
	int rc = read_records(r, NULL, NULL, &count, &end);
	if (rc == 0 && was_durable(r, end, count + 1))
		rc = fault(EBADMSG,
		        "%s: record %" PRIu64
		        " at %zu is damaged: what small fsyncs acknowledged from there on is lost",
		        SYNCLOG_NAME, count + 1, end);
	if (rc == 0 && fn)
		rc = read_records(r, fn, arg, &count, &end);
	if (rc == 0)
		*ret_count = count;
	return rc;
}

static void reader_end(struct reader *r) {
	if (r->scratch)
		secret_wipe(r->scratch, SYNCLOG_HEAD_BYTES + SYNCLOG_PAYLOAD_MAX);
	free(r->scratch);
	free(r->bytes);
}

/* Up to SYNCLOG_BYTES of the file: what stands behind is none of ours. */
static int reader_load(struct reader *r, VaultFile *file) {
	r->bytes = malloc(SYNCLOG_BYTES);
	r->scratch = malloc(SYNCLOG_HEAD_BYTES + SYNCLOG_PAYLOAD_MAX);
	if (!r->bytes || !r->scratch)
		return fault(ENOMEM, "no memory to read %s", SYNCLOG_NAME);
	return vault_file_read_at(file, 0, r->bytes, SYNCLOG_BYTES, &r->size);
}

int synclog_each(SyncLog *log, synclog_fn *fn, void *arg) {
	struct reader r = {.key = log->key->bytes};
	uint64_t count = 0;
	int rc = 0;
	pthread_mutex_lock(&log->lock);
	while (log->flushing)
		pthread_cond_wait(&log->changed, &log->lock);
	log->flushing = true;
	r.base = log->base;
	pthread_mutex_unlock(&log->lock);
	if (log->file) {
		rc = reader_load(&r, log->file);
		if (rc == 0)
			rc = read_counting(&r, fn, arg, &count);
		reader_end(&r);
	}
	pthread_mutex_lock(&log->lock);
	log->flushing = false;
	pthread_cond_broadcast(&log->changed);
	pthread_mutex_unlock(&log->lock);
	return rc;
}

/* The key that a genuine header names. false: none was ever durable, so the mount wrote no record, or it was changed.
 */
static bool find_key(const struct reader *r, const Keyring *keyring,
        const uint8_t vault_id[static SYNCLOG_VAULT_ID_BYTES], struct secret_key *ret) {
	for (size_t i = 0; i < SYNCLOG_HEADERS && r->size >= SYNCLOG_START; i++) {
		struct synclog_header header;
		const uint8_t *bytes = r->bytes + i * SYNCLOG_HEADER_BYTES;
		if (synclog_header_parse(bytes, &header) == 0 &&
		        memcmp(header.vault_id, vault_id, SYNCLOG_VAULT_ID_BYTES) == 0 &&
		        key_of(keyring, &header, ret) == 0 && synclog_header_open(ret->bytes, bytes) == 0)
			return true;
	}
	return false;
}

/* Whether anything was ever put behind the headers, which were durable by then. */
static bool has_records(const struct reader *r) {
	for (size_t at = SYNCLOG_START; at < r->size; at++) {
		if (r->bytes[at] != 0)
			return true;
	}
	return false;
}

int synclog_read(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static SYNCLOG_VAULT_ID_BYTES],
        uint64_t base, synclog_fn *fn, void *arg, uint64_t *ret_count) {
	struct reader r = {.base = base};
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	_cleanup_(secret_key_wipe) struct secret_key key;
	uint64_t count = 0;
	int rc = vault_file_open(io, SYNCLOG_NAME, VAULT_FILE_READ, &file);
	if (rc == 0)
		rc = check_key(keyring);
	if (rc == -EKEYREVOKED || rc == -EKEYEXPIRED)
		rc = -ENOENT;
	if (rc == 0)
		rc = reader_load(&r, file);
	if (rc == 0)
		r.key = key.bytes;
	if (rc == 0 && find_key(&r, keyring, vault_id, &key))
		rc = read_counting(&r, fn, arg, &count);
	else if (rc == 0 && has_records(&r))
		rc = fault(EBADMSG,
		        "%s: both headers are damaged, or another vault's: what small fsyncs acknowledged "
		        "since the last commit is lost",
		        SYNCLOG_NAME);
	reader_end(&r);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (ret_count)
		*ret_count = count;
	return 0;
}
