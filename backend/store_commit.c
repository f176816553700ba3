/*
 * Group commit.
 *
 *     fsync A ─ ticket 7 ─┐                    ┌─ served: 7, 8
 *     fsync B ─ ticket 8 ─┴─ round (7…8) ──────┤
 *     fsync C ─ ticket 9 ─────── drawn while it runs: the next round
 *
 * Who waits and finds no round under way carries one out itself, for all tickets drawn by then: handing it to the
 * committer's thread and back costs two switches, of a round of some 200 us. The thread does those that nobody waits
 * for.
 */
#include "backend/record.h"
#include "backend/store_internal.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <time.h>

/* The committer looks so often in an interval whether there is something to commit. */
#define TICKS 10

static int checkpoint(void *arg) {
	Store *store = arg;
	if (store->handing) {
		store_hand_over(store, store->handing);
		return metadb_failed(store->db);
	}
	bool is_wanted = atomic_exchange(&store->wants_checkpoint, false);
	/* A log that is under an older version of the key has no room to wait for. */
	is_wanted |= metadb_is_behind(store->db) || store_reseal_is_due(store);
	if (!is_wanted && metadb_wal_bytes(store->db) <= store->wal_limit)
		return 0;
	int rc = metadb_checkpoint(store->db);
	/* Without room for the pack everything stays as it was; the WAL is whole and the next commit tries again. */
	if (rc == -ENOSPC || rc == -EBUSY)
		return 0;
	if (rc == 0)
		(void)reserve_refill(store->reserve);
	return rc;
}

static int64_t larger(int64_t a, int64_t b) {
	return a > b ? a : b;
}

/* Within the operation that commits: no record comes in between. */
static void note_window(Store *store) {
	pthread_mutex_lock(&store->lock);
	store->committing_since = audit_waits_since(store->meta);
	pthread_mutex_unlock(&store->lock);
}

static void publish(Store *store, int rc, const struct meta_committed *committed) {
	pthread_mutex_lock(&store->lock);
	if (rc < 0) {
		store->failed = true;
	} else {
		int64_t waited = store->committing_since ? monotonic_ns() - store->committing_since : 0;
		store->longest_wait_ns = larger(store->longest_wait_ns, waited);
		store->committing_since = 0;
		store->durable_records = committed->audit_size;
		store->durable_commit = committed->commit;
	}
	pthread_mutex_unlock(&store->lock);
}

int store_commit_now(Store *store, int rc) {
	struct meta_committed committed = {0};
	const int64_t began = monotonic_ns();
	if (rc == 0)
		rc = segment_flush(store->segments);
	if (rc == 0)
		rc = segment_take_changes(store->segments, segment_row_put, store->meta);
	note_window(store);
	rc = meta_commit_then(store->meta, rc, &committed, checkpoint, store);
	if (rc == 0)
		rc = metadb_sync(store->db);
	if (rc == 0)
		histogram_add(&store->commit_times, monotonic_ns() - began);
	else
		atomic_fetch_add(&store->commit_failures, 1);
	publish(store, rc, &committed);
	if (rc == 0)
		store_head_remember(store, store->is_ending);
	return fault_while(rc, "committing");
}

/* ---- the log of small fsyncs ---- */

int store_give_room(Store *store) {
	return store->reserve ? reserve_give(store->reserve) : -ENOSPC;
}

void store_give_up(Store *store) {
	atomic_store(&store->given_up, true);
}

/* Of the last commit; nobody commits meanwhile. */
static uint64_t store_last_base(Store *store) {
	struct meta_committed last = {0};
	meta_begin(store->meta);
	(void)meta_end(store->meta, meta_last_commit(store->meta, &last));
	return synclog_base(last.commit, last.time_ns);
}

/*
 * What it acknowledged is not in the database yet, and nothing that came later may be durable before it:
 *
 *     hold ─ all of it is put into the database; from now on nothing is logged ─ COMMIT ─ sync ─ resume
 *
 * No lock of the store is held during hold and resume, and who waits for a commit may hold none that they take. Who has
 * no key of Landing has no log.
 */
static int hold_log(Store *store) {
	if (!store->synclog)
		return 0;
	synclog_hold(store->synclog);
	if (atomic_load(&store->given_up))
		return fault(EIO, "what was synced of a file could not be kept; the next mount brings it back");
	return content_put_logged(store);
}

static void resume_log(Store *store, bool committed) {
	const bool is_free = store->synclog && committed;
	if (is_free && atomic_exchange(&store->wants_scrub, false) && synclog_scrub(store->synclog) < 0)
		atomic_store(&store->wants_scrub, true);
	const int wish = is_free ? atomic_exchange(&store->log_wish, LOG_GOES_ON) : LOG_GOES_ON;
	if (wish != LOG_GOES_ON)
		synclog_rekey(store->synclog, wish == LOG_TAKES_KEY ? store->keyring : NULL);
	if (store->synclog)
		synclog_resume(store->synclog, committed, store_last_base(store));
}

/* ---- rounds ---- */

bool store_is_settled(Store *store) {
	return meta_pending(store->meta) == 0;
}

static bool is_dirty(Store *store) {
	return !store_is_settled(store) ||
	       (store->synclog && (synclog_waits(store->synclog) || atomic_load(&store->log_wish) != LOG_GOES_ON));
}

/* Records: some microseconds' work, and what others may have to wait for. */
#define LEAVES_IN_IDLE 2
#define LEAVES_AT_ONCE 128

/* Ends the operation. How many records have no leaf then; none counts where one can't be made, which the commit tells.
 */
static size_t hash_some(Store *store, size_t most) {
	int rc = meta_end(store->meta, audit_hash(store->meta, most));
	return rc < 0 ? 0 : audit_unhashed(store->meta);
}

bool store_idle(Store *store) {
	if (audit_unhashed(store->meta) == 0 || !meta_try_begin(store->meta))
		return false;
	return hash_some(store, LEAVES_IN_IDLE) > 0;
}

/* So would the commit, or who finds the log's memory full, but all of them at once and while everybody waits. Those
 * that come meanwhile are left: it would never end. */
static void hash_most(Store *store) {
	for (size_t turns = audit_unhashed(store->meta) / LEAVES_AT_ONCE; turns > 0; turns--) {
		meta_begin(store->meta);
		if (hash_some(store, LEAVES_AT_ONCE) == 0)
			break;
	}
}

/* Most of the segments' bytes are synced before the lock is taken, so that others go on meanwhile. */
static int commit_round(Store *store) {
	hash_most(store);
	int rc = hold_log(store);
	if (rc == 0)
		rc = segment_flush(store->segments);
	meta_begin(store->meta);
	if (rc == 0)
		rc = store_head_sign_waiting(store);
	if (rc == 0)
		rc = store_reseal_step(store);
	rc = store_commit_now(store, rc);
	resume_log(store, rc == 0);
	return rc;
}

/* Waits until a round is due. Lock held; it is let go meanwhile. */
static void wait_for_work(Store *store) {
	unsigned tick = store->commit_ms / TICKS + 1;
	for (int ticks = 0; !store->stop;) {
		bool waits = !store->failed &&
		             (is_dirty(store) || atomic_load(&store->head_waits) || store_reseal_goes_on(store));
		if (waits && (meta_pending_writes(store->meta) >= STORE_OPERATIONS || ticks >= TICKS - 1))
			return;
		/* The interval begins with the first operation, not with the last commit. */
		ticks = waits ? ticks + 1 : 0;
		struct timespec until = deadline_after_ms(tick);
		pthread_cond_timedwait(&store->wake, &store->lock, &until);
		pthread_mutex_unlock(&store->lock);
		hash_most(store);
		store_reseal_look(store);
		pthread_mutex_lock(&store->lock);
	}
}

/* A round for all tickets drawn so far. Lock held, and no round under way; it is let go meanwhile. */
static void serve_tickets(Store *store) {
	uint64_t goal = store->wanted;
	if (!store->failed) {
		store->in_round = true;
		pthread_mutex_unlock(&store->lock);
		(void)commit_round(store);
		pthread_mutex_lock(&store->lock);
		store->in_round = false;
	}
	store->done = goal;
	pthread_cond_broadcast(&store->served);
}

int store_commit_handing(Store *store, struct handing *handing) {
	pthread_mutex_lock(&store->lock);
	while (store->in_round && !store->failed && !store->stop)
		pthread_cond_wait(&store->served, &store->lock);
	bool may = !store->failed && !store->stop;
	if (may) {
		store->handing = handing;
		serve_tickets(store);
		store->handing = NULL;
	}
	int rc = may && !store->failed ? 0 : -EIO;
	pthread_mutex_unlock(&store->lock);
	return rc < 0 ? fault(EIO, "the vault has failed, or is being closed") : 0;
}

static void *committer(void *arg) {
	Store *store = arg;
	pthread_mutex_lock(&store->lock);
	for (;;) {
		wait_for_work(store);
		if (store->stop)
			break;
		if (store->in_round)
			pthread_cond_wait(&store->served, &store->lock);
		else
			serve_tickets(store);
	}
	pthread_mutex_unlock(&store->lock);
	return NULL;
}

/* Who has not Landing's key has no log, and commits each time. */
static int start_log(Store *store) {
	int rc = synclog_open(
	        store->io, store->keyring, header_vault_id(store->header), store_last_base(store), &store->synclog);
	return rc == -ENOKEY ? 0 : rc;
}

int store_committer_start(Store *store) {
	int rc = start_log(store);
	if (rc < 0)
		return rc;
	rc = pthread_create(&store->committer, NULL, committer, store);
	if (rc != 0)
		return fault_errno(rc, "starting the committer");
	store->committing = true;
	return 0;
}

void store_committer_stop(Store *store) {
	if (!store->committing)
		return;
	pthread_mutex_lock(&store->lock);
	store->stop = true;
	pthread_cond_signal(&store->wake);
	while (store->in_round)
		pthread_cond_wait(&store->served, &store->lock);
	pthread_mutex_unlock(&store->lock);
	pthread_join(store->committer, NULL);
	store->committing = false;
}

int store_commit_wait(Store *store) {
	if (store->read_only)
		return 0;
	pthread_mutex_lock(&store->lock);
	/* All is durable already when nothing is pending and no round is between COMMIT and sync. */
	if (store->in_round || is_dirty(store)) {
		const int64_t began = monotonic_ns();
		uint64_t ticket = ++store->wanted;
		while (store->done < ticket && !store->failed && !store->stop) {
			if (store->in_round)
				pthread_cond_wait(&store->served, &store->lock);
			else
				serve_tickets(store);
		}
		histogram_add(&store->wait_times, monotonic_ns() - began);
	}
	int rc = store->failed || store->stop ? -EIO : 0;
	pthread_mutex_unlock(&store->lock);
	return rc < 0 ? fault(EIO, "the vault has failed: what was changed last is not on the disk") : 0;
}

int store_space_check(Store *store, uint64_t bytes) {
	if (store->read_only)
		return fault(EROFS, "the vault is open for reading only");
	pthread_mutex_lock(&store->lock);
	bool failed = store->failed;
	pthread_mutex_unlock(&store->lock);
	if (failed || meta_failed(store->meta))
		return fault(EROFS, "the vault has failed and takes no changes; mount it again");
	return reserve_check(store->reserve, bytes + STORE_OPERATION_BYTES);
}

/* ---- the audit log ---- */

int store_audit_refuse(Store *store, int rc) {
	atomic_fetch_add(&store->unrecorded, 1);
	if (rc == -ENOSPC)
		return fault(ENOSPC,
		        "refused, since the audit log has no room for the record of this access: the disk that "
		        "the vault is on is full");
	return fault(EIO, "refused, since the record of this access can't be written to the audit log: the vault has "
	                  "failed; unmount it, look into the system's log, and mount it again");
}

int store_audit_check(Store *store) {
	if (store->read_only)
		return 0;
	pthread_mutex_lock(&store->lock);
	bool failed = store->failed;
	pthread_mutex_unlock(&store->lock);
	if (failed || meta_failed(store->meta))
		return store_audit_refuse(store, -EIO);
	return reserve_is_low(store->reserve) ? store_audit_refuse(store, -ENOSPC) : 0;
}

/* By records, not by tickets: a round that is under way may have them already. */
int store_audit_wait(Store *store) {
	if (store->read_only)
		return 0;
	uint64_t records = audit_recorded(store->meta);
	pthread_mutex_lock(&store->lock);
	while (store->audit_strict && store->durable_records < records && !store->failed && !store->stop) {
		if (store->in_round)
			pthread_cond_wait(&store->served, &store->lock);
		else
			serve_tickets(store);
	}
	bool lost = store->failed || (store->audit_strict && store->durable_records < records);
	pthread_mutex_unlock(&store->lock);
	return lost ? store_audit_refuse(store, -EIO) : 0;
}

void store_audit_window(Store *store, struct store_audit_window *ret) {
	struct store_audit_window window = {.is_strict = store->audit_strict, .refused = store->unrecorded};
	uint64_t records = audit_recorded(store->meta);
	pthread_mutex_lock(&store->lock);
	int64_t since = store->committing_since ? store->committing_since : audit_waits_since(store->meta);
	window.records = records > store->durable_records ? records - store->durable_records : 0;
	window.most_ns = store->longest_wait_ns;
	pthread_mutex_unlock(&store->lock);
	if (since && window.records > 0)
		window.oldest_ns = larger(monotonic_ns() - since, 0);
	window.most_ns = larger(window.most_ns, window.oldest_ns);
	*ret = window;
}

uint64_t store_durable_commit(Store *store) {
	pthread_mutex_lock(&store->lock);
	uint64_t commit = store->durable_commit;
	pthread_mutex_unlock(&store->lock);
	return commit;
}

uint64_t store_durable_seq(Store *store) {
	pthread_mutex_lock(&store->lock);
	uint64_t records = store->durable_records;
	pthread_mutex_unlock(&store->lock);
	return records;
}
