/*
 * Flushing and fsync.
 *
 *     content_sync_begin ─┬─ little changed, and all else is committed ─► a record in the log ─► synclog_wait
 *                         └─ otherwise ─► blocks sealed, rows put ──────────────────────────► store_commit_wait
 *
 * What the log of small fsyncs has of a content (logged) is not in its rows. It gets there with the next flush, whoever
 * asks for it, and at the latest before the next commit (content_put_logged), whose base the log's records are not.
 */
#include "backend/content_internal.h"
#include "backend/tree.h"
#include "crypto/base/fault.h"

#include <errno.h>

/* ---- what the log can tell ---- */

void content_beyond_log(Content *c) {
	c->unlogged = c->beyond_log = true;
}

void content_grown(Content *c) {
	c->size_changed = true;
	c->unlogged = true;
}

void content_touched(Content *c, struct item *item, size_t from, size_t end) {
	bool is_first = item->log_end == 0;
	if (is_first || from < item->log_from)
		item->log_from = (uint16_t)from;
	if (end > item->log_end)
		item->log_end = (uint16_t)end;
	c->unlogged = true;
	if (is_first && c->touched_count == CONTENT_TOUCHED_MAX)
		c->beyond_log = true;
	else if (is_first)
		c->touched[c->touched_count++] = item->index;
}

void content_nothing_touched(Content *c) {
	c->unlogged = c->beyond_log = false;
	c->touched_count = 0;
}

/* ---- contents of which the log has something ---- */

/* Content lock held. */
static void note_logged(Content *c) {
	if (c->logged)
		return;
	c->logged = true;
	pthread_mutex_lock(&c->cache->lock);
	c->logged_after = c->cache->logged;
	if (c->logged_after)
		c->logged_after->logged_before = c;
	c->cache->logged = c;
	pthread_mutex_unlock(&c->cache->lock);
}

void content_not_logged(Content *c) {
	if (!c->logged)
		return;
	c->logged = false;
	pthread_mutex_lock(&c->cache->lock);
	*(c->logged_before ? &c->logged_before->logged_after : &c->cache->logged) = c->logged_after;
	if (c->logged_after)
		c->logged_after->logged_before = c->logged_before;
	c->logged_before = c->logged_after = NULL;
	pthread_mutex_unlock(&c->cache->lock);
}

static Content *pin_logged(ContentCache *cache) {
	pthread_mutex_lock(&cache->lock);
	Content *c = cache->logged;
	if (c)
		c->pins++;
	pthread_mutex_unlock(&cache->lock);
	return c;
}

static void unpin(ContentCache *cache, Content *c) {
	pthread_mutex_lock(&cache->lock);
	c->pins--;
	pthread_cond_broadcast(&cache->unpinned);
	pthread_mutex_unlock(&cache->lock);
}

/* ---- flushing ---- */

/* The times that wait go into the node's row. Somebody may have changed its attributes since: ctime only rises. */
static int put_times(Content *c, Meta *m) {
	struct node node;
	int rc = c->times.mtime ? tree_get(m, c->node, &node) : 0;
	if (rc < 0 || c->times.mtime == 0)
		return rc;
	node.mtime = c->times.mtime;
	node.ctime = c->times.ctime > node.ctime ? c->times.ctime : node.ctime;
	return tree_setattr(m, c->node, &node, TREE_MTIME | TREE_CTIME, &node);
}

static int put_all(Content *c, Meta *m, bool synced) {
	int rc = c->draft ? content_put_rows(c, m) : 0;
	if (rc == 0)
		rc = content_record_sealed(c);
	if (rc == 0 && c->draft && synced && !c->synced)
		rc = version_mark_fsynced(m, c->draft);
	return rc == 0 && synced ? put_times(c, m) : rc;
}

/* Flushes; `synced` also puts the times and marks the draft as one that somebody was promised. */
static int flush(Content *c, bool synced) {
	synced |= c->logged; /* its times were logged, too */
	if (!c->draft && (!synced || c->times.mtime == 0))
		return 0;
	int rc = content_seal_all(c);
	if (rc < 0)
		return rc;
	Meta *m = store_meta(c->store);
	meta_begin(m);
	rc = meta_end(m, put_all(c, m, synced));
	if (rc < 0)
		return rc;
	if (synced)
		c->times = (struct version_times){0};
	if (c->draft) {
		content_rows_kept(c);
		c->synced |= synced;
		c->reverted = false;
	}
	return 0;
}

/* What was acknowledged must not fail for want of room while there is a ballast. */
static int flush_acknowledged(Content *c) {
	int rc;
	do
		rc = flush(c, true);
	while (rc == -ENOSPC && store_give_room(c->store) == 0);
	return rc;
}

int content_flush_locked(Content *c) {
	return flush(c, false);
}

int content_flush(Content *c) {
	pthread_mutex_lock(&c->lock);
	int rc = flush(c, false);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

int content_put_logged(Store *store) {
	ContentCache *cache = store_content_cache(store);
	int rc = 0;
	for (Content *c; rc == 0 && (c = pin_logged(cache));) {
		pthread_mutex_lock(&c->lock);
		rc = c->logged ? flush_acknowledged(c) : 0;
		pthread_mutex_unlock(&c->lock);
		unpin(cache, c);
	}
	return fault_while(rc, "putting what was synced into the database");
}

int content_settle_times(Content *c) {
	pthread_mutex_lock(&c->lock);
	int rc = 0;
	if (c->times.mtime) {
		Meta *m = store_meta(c->store);
		meta_begin(m);
		rc = meta_end(m, put_times(c, m));
		if (rc == 0)
			c->times = (struct version_times){0};
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

/* ---- fsync ---- */

/* That the draft's rows are committed as a synced one's follows from all being committed. */
static bool fits_log(Content *c) {
	return c->draft && c->synced && c->rows == c->draft && !c->beyond_log && !c->own[0] &&
	       (c->zone == ZONE_LANDING || c->zone == ZONE_STAGING) && store_synclog(c->store) &&
	       store_is_settled(c->store);
}

static void gather_pieces(Content *c, struct synclog_record *record) {
	for (size_t i = 0; i < c->touched_count; i++) {
		struct item *item = item_find(c, ITEM_BLOCK, c->touched[i]);
		if (!item || item->log_end == 0)
			continue;
		record->blocks += !item->log_counted;
		record->pieces[record->count++] = (struct synclog_piece){
		        .offset = item->index * SEGMENT_BLOCK_BYTES + item->log_from,
		        .data = bytes_of(item->data + item->log_from, (size_t)(item->log_end - item->log_from))};
	}
}

static void pieces_are_logged(Content *c) {
	for (size_t i = 0; i < c->touched_count; i++) {
		struct item *item = item_find(c, ITEM_BLOCK, c->touched[i]);
		if (item) {
			item->log_end = 0;
			item->log_counted = true;
		}
	}
	content_nothing_touched(c);
}

/* The content is among the logged ones before the record is taken: a commit that comes in between finds it. */
static int log_changes(Content *c) {
	struct synclog_record record = {.node = c->node,
	        .version = c->draft,
	        .size = c->size,
	        .mtime = c->times.mtime,
	        .ctime = c->times.ctime};
	bool was_logged = c->logged;
	gather_pieces(c, &record);
	note_logged(c);
	int rc = synclog_put(store_synclog(c->store), &record, &c->log_ticket);
	if (rc == 0) {
		pieces_are_logged(c);
		c->reverted = false;
	} else if (!was_logged) {
		content_not_logged(c);
	}
	return rc;
}

int content_sync_begin(Content *c, struct content_wait *ret_wait) {
	struct content_wait wait = {0};
	int rc = 0;
	pthread_mutex_lock(&c->lock);
	if (fits_log(c) && (c->unlogged ? log_changes(c) == 0 : c->logged))
		wait.log_ticket = c->log_ticket;
	else
		rc = flush(c, true);
	pthread_mutex_unlock(&c->lock);
	if (rc == 0)
		*ret_wait = wait;
	return rc;
}

int content_sync_wait(Store *store, const struct content_wait *wait) {
	if (wait->log_ticket && synclog_wait(store_synclog(store), wait->log_ticket) == 0)
		return 0;
	return store_commit_wait(store);
}

int content_sync(Content *c) {
	struct content_wait wait = {0};
	int rc = content_sync_begin(c, &wait);
	return rc < 0 ? rc : content_sync_wait(c->store, &wait);
}

/* ---- bringing back what was acknowledged ---- */

/* Content lock held, or nobody else knows the content. A piece is of one block. */
static int apply_piece(Content *c, const struct synclog_piece *piece) {
	uint64_t block = piece->offset / SEGMENT_BLOCK_BYTES;
	size_t in = piece->offset % SEGMENT_BLOCK_BYTES, size = piece->data.size;
	struct item *item;
	if (size > SEGMENT_BLOCK_BYTES - in)
		return fault(
		        EUCLEAN, "a piece of %zu bytes at %lu is of two blocks", size, (unsigned long)piece->offset);
	int rc = content_block_for_write(c, block, in, size, &item);
	if (rc == 0)
		content_put_bytes(item, in, piece->data.data, size);
	return rc;
}

static int apply_record(Content *c, const struct synclog_record *record) {
	int rc = record->size < c->size ? fault(EUCLEAN, "a synced file got shorter") : 0;
	for (size_t i = 0; i < record->count && rc == 0; i++)
		rc = apply_piece(c, &record->pieces[i]);
	if (rc < 0)
		return rc;
	if (record->size > c->size)
		content_grown(c);
	c->size = record->size;
	if (record->mtime)
		c->times = (struct version_times){.mtime = record->mtime, .ctime = record->ctime};
	return 0;
}

static int apply_own(void *arg, const struct synclog_record *record) {
	Content *c = arg;
	return record->node == c->node && record->version == c->draft ? apply_record(c, record) : 0;
}

/* Content lock held. */
static int revert(Content *c) {
	struct version version = {0};
	Meta *m = store_meta(c->store);
	meta_begin(m);
	int rc = meta_end(m, version_get(m, c->draft, &version));
	if (rc < 0)
		return rc;
	content_forget_changes(c, version.size);
	if (c->logged)
		rc = synclog_each(store_synclog(c->store), apply_own, c);
	if (rc == 0 && c->logged)
		rc = flush_acknowledged(c);
	if (rc < 0) /* its next flush would put less than was acknowledged */
		store_give_up(c->store);
	return rc;
}

int content_revert(Content *c) {
	pthread_mutex_lock(&c->lock);
	int rc = c->draft && c->synced ? revert(c) : -ENODATA;
	if (rc == 0)
		c->reverted = true;
	pthread_mutex_unlock(&c->lock);
	return rc;
}

/* The content of a draft that a crash left. */
static int open_draft(Store *store, const struct synclog_record *record, Content **ret) {
	_cleanup_(content_abandonp) Content *c = NULL;
	struct version draft;
	Meta *m = store_meta(store);
	int rc = content_open(store, record->node, 0, &c);
	if (rc < 0)
		return rc;
	meta_begin(m);
	rc = meta_end(m, version_get(m, record->version, &draft));
	if (rc == 0 && (draft.state != VERSION_DRAFT || draft.node != record->node || !draft.fsynced))
		rc = fault(EUCLEAN, "version %lu is no draft that was synced", (unsigned long)record->version);
	if (rc < 0)
		return rc;
	c->draft = c->rows = draft.id;
	c->zone = (enum zone)draft.zone;
	c->size = draft.size;
	c->synced = true;
	*ret = steal_pointer(&c);
	return 0;
}

int content_replay(Store *store, const struct synclog_record *record) {
	_cleanup_(content_abandonp) Content *c = NULL;
	int rc = open_draft(store, record, &c);
	if (rc == 0)
		rc = apply_record(c, record);
	return rc < 0 ? rc : flush_acknowledged(c);
}
