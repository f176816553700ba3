/*
 * Repair: what the metadata lost and something verified still has is put back; what has no second copy is named.
 *
 *     look (read only) ─► mend: meta.db, pages, strays, reserve, tails of segments ─► record, checkpoint: a new base
 *                                                                                              │
 *     told: what was wrong and is no more, and how; what is still wrong  ◄─ look again, at everything
 *
 * Nothing is called repaired because it was written: only because the second look, which is a whole check, does not
 * find it any more. Recovery after a crash is left to the next mount, which has the gate to queue its jobs.
 */
#include "backend/audit.h"
#include "backend/fsck.h"
#include "backend/record.h"
#include "backend/store_internal.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The vault's file that an error of opening is about. The words of the modules below begin with it, after what the
 * store says of its own: "opening the metadata of PATH: meta/4 has …".
 */
const char *fsck_file_in_words(const char *words, const char *path, char file[static SEGMENT_NAME_BYTES]) {
	static const char *const names[] = {
	        STORE_HEADER_NAME, "meta.db-wal", "meta.db", "meta/", RESERVE_NAME, SYNCLOG_NAME, "segments/"};
	const char *own = strstr(words, path);
	const char *from = own ? own + strlen(path) : words, *first = NULL;
	size_t length = 0;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *at = strstr(from, names[i]);
		if (at && (!first || at < first)) {
			first = at;
			length = strlen(names[i]);
		}
	}
	if (!first)
		return "meta.db";
	if (first[length - 1] == '/')
		length += strspn(first + length, "0123456789abcdefghijklmnopqrstuvwxyz/-");
	(void)snprintf(file, SEGMENT_NAME_BYTES, "%.*s", (int)length, first);
	return file;
}

struct found {
	char *file, *path, *words;
	int64_t place;
};

struct list {
	struct found *items;
	size_t count;
};

struct repair {
	const char *path;
	const struct store_secret *secret;
	const struct fsck_options *options;
	Store *store;
	struct list before, mended, after;
	bool is_closed; /* it did not open */
	bool has_accepted;
};

static void free_list(struct list *list) {
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].file);
		free(list->items[i].path);
		free(list->items[i].words);
	}
	free(list->items);
	*list = (struct list){0};
}

static int add(struct list *list, const char *file, const char *path, int64_t place, const char *words) {
	struct found *items = reallocarray(list->items, list->count + 1, sizeof *items);
	if (!items)
		return fault(ENOMEM, "no memory for what was found");
	list->items = items;
	struct found item = {
	        .file = strdup(file), .path = path ? strdup(path) : NULL, .words = strdup(words), .place = place};
	items[list->count++] = item;
	return item.file && item.words && (item.path || !path) ? 0 : fault(ENOMEM, "no memory for what was found");
}

static int add_mended(void *user, const char *file, int64_t place, const char *words) {
	return add(user, file, NULL, place, words);
}

/* In the words of the check that follows. */
static int add_wrong(void *user, const char *file, int64_t place, const char *words) {
	char line[FSCK_WORDS_BYTES];
	return add(user, file, NULL, place, fsck_words(place, words, line));
}

static int add_finding(void *arg, const struct fsck_finding *finding) {
	return add(&((struct repair *)arg)->after, finding->file, finding->path, -1, finding->words);
}

/* Whether it is still said of the file. */
static bool is_left(const struct list *list, const struct found *item) {
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].file, item->file) == 0 && strcmp(list->items[i].words, item->words) == 0)
			return true;
	return false;
}

/* What says something about the vault's bytes is told by the check that follows. */
static int unless_bytes(int rc) {
	return rc == -EBADMSG || rc == -EUCLEAN ? 0 : rc;
}

static int open_files(struct repair *r, bool read_only) {
	const struct store_options options = {.read_only = read_only, .io = r->options->io};
	return store_open_files(r->path, r->secret, &options, &r->store);
}

static void close_files(struct repair *r) {
	store_abandon(r->store);
	r->store = NULL;
}

/* ---- what is wrong with the metadata ---- */

static int look(struct repair *r) {
	int rc = open_files(r, true);
	if (rc == 0) {
		rc = metadb_verify(r->store->db, add_wrong, &r->before);
		if (rc == 0 && reserve_verify(r->store->io) == -EBADMSG)
			rc = add(&r->before, RESERVE_NAME, NULL, -1, fault_message());
	} else if (unless_bytes(rc) == 0) {
		char file[SEGMENT_NAME_BYTES], words[FAULT_MESSAGE_BYTES];
		memcpy(words, fault_message(), sizeof words);
		r->is_closed = true;
		rc = add(&r->before, fsck_file_in_words(words, r->path, file), NULL, -1, words);
	}
	close_files(r);
	return rc;
}

/* ---- mending ---- */

static int rebuild_if_missing(struct repair *r) {
	VaultIo *io = r->store->io;
	uint64_t size = 0;
	if (vault_io_stat_size(io, "meta.db", &size) != -ENOENT)
		return 0;
	int rc = metadb_rebuild(io, r->store->keyring, header_vault_id(r->store->header));
	return rc < 0 ? rc : add(&r->mended, "meta.db", NULL, -1, "it was built anew from the checkpoint packs");
}

static int accept_loss_if_closed(struct repair *r) {
	VaultIo *io = r->store->io;
	const uint8_t *id = header_vault_id(r->store->header);
	MetaDb *db = NULL;
	int rc = metadb_open(io, r->store->keyring, id, METADB_READ_ONLY, &db);
	metadb_abandon(db);
	if (rc != -EBADMSG)
		return rc;
	rc = metadb_accept_loss(io, r->store->keyring, id, add_mended, &r->mended);
	r->has_accepted = rc == 0;
	return rc < 0 ? rc : rebuild_if_missing(r);
}

/* What has to be done before the database can be opened, with the keys alone. */
static int open_the_closed(struct repair *r) {
	const struct store_options options = {.io = r->options->io};
	int rc = store_open_keys(r->path, r->secret, &options, &r->store);
	if (rc == 0)
		rc = unless_bytes(rebuild_if_missing(r));
	if (rc == 0 && r->options->accept_loss)
		rc = accept_loss_if_closed(r);
	close_files(r);
	return unless_bytes(rc);
}

static const char *accepted_words(const struct repair *r) {
	for (size_t i = 0; i < r->mended.count; i++)
		if (strcmp(r->mended.items[i].file, "meta.db-wal") == 0)
			return r->mended.items[i].words;
	return "";
}

static int mend_reserve(struct repair *r) {
	if (reserve_verify(r->store->io) != -EBADMSG)
		return 0;
	int rc = vault_io_unlink(r->store->io, RESERVE_NAME);
	if (rc == 0)
		rc = vault_io_sync_dir(r->store->io, "");
	return rc < 0 ? rc : add(&r->mended, RESERVE_NAME, NULL, -1, "it was removed; mounting makes it anew");
}

static int cut_segment(void *arg, const struct segment_row *row) {
	struct repair *r = arg;
	uint64_t cut = 0;
	char name[SEGMENT_NAME_BYTES];
	int rc = segment_cut(r->store->segments, row, &cut);
	if (rc < 0 || cut == 0)
		return rc;
	rc = segment_name(r->store->segments, row->number, name);
	if (rc == 0)
		rc = add(&r->before, name, NULL, -1, "bytes behind the end of the segment");
	return rc < 0 ? rc : add(&r->mended, name, NULL, -1, "they were cut off");
}

/* What small fsyncs acknowledged and a flipped byte hides goes only by decision; what stands before it, too. */
static int mend_synclog(struct repair *r) {
	Store *store = r->store;
	uint64_t base = 0;
	int rc = store->clean ? -ENOENT : store_synclog_base(store, &base);
	if (rc == 0)
		rc = synclog_read(store->io, store->keyring, header_vault_id(store->header), base, NULL, NULL, NULL);
	if (rc != -EBADMSG)
		return rc == -ENOENT ? 0 : rc;
	rc = add(&r->before, SYNCLOG_NAME, NULL, -1, fault_message());
	if (rc < 0 || !r->options->accept_loss)
		return rc;
	rc = synclog_remove(store->io);
	return rc < 0 ? rc : add(&r->mended, SYNCLOG_NAME, NULL, -1, "it was given up: the last commit counts");
}

/* Only of a vault that was unmounted: after a crash the next mount does it, with its own reckoning. */
static int cut_segments(struct repair *r) {
	if (!r->store->clean || store_check_log(r->store) < 0)
		return 0;
	meta_begin(r->store->meta);
	return meta_end(r->store->meta, segment_row_list(r->store->meta, cut_segment, r));
}

/* The mount whose log is lost may have left segments: by its number the next one knows them for leavings. */
static int mark_crashed(Store *store) {
	uint8_t mount[8];
	le64_put(mount, store->mount);
	int rc = meta_kv_put(store->meta, STORE_KV_MOUNT, bytes_of(mount, sizeof mount));
	return rc < 0 ? rc : meta_kv_put(store->meta, STORE_KV_CLEAN, bytes_of("\0", 1));
}

/* The record goes through the log, so that a checkpoint follows, which writes the base that damaged packs need. */
static int record_repair(struct repair *r) {
	char words[AUDIT_DETAIL_MAX], slot[STORE_SLOT_WORDS_BYTES];
	Store *store = r->store;
	if (r->before.count == 0)
		return 0;
	(void)snprintf(words, sizeof words, "%zu things were damaged, the first: %s: %s%s%s; unlocked by %s",
	        r->before.count, r->before.items[0].file, r->before.items[0].words,
	        r->has_accepted ? "; by decision, " : "", r->has_accepted ? accepted_words(r) : "",
	        store_slot_words(store, slot));
	meta_begin(store->meta);
	int rc = store_record(store, "repair", 0, 0, words);
	if (rc == 0 && !store->clean)
		rc = store_synclog_keep_base(store);
	if (rc == 0 && r->has_accepted && store->clean)
		rc = mark_crashed(store);
	return meta_commit(store->meta, rc, NULL);
}

static int mend_tables(struct repair *r) {
	const struct store_options options = {.io = r->options->io};
	int rc = store_open_tables(r->store, &options);
	if (rc == 0)
		rc = cut_segments(r);
	if (rc == 0)
		rc = mend_synclog(r);
	if (rc == 0)
		rc = record_repair(r);
	meta_close(steal_pointer(&r->store->meta));
	if (rc < 0)
		return rc == -EIO && metadb_failed(r->store->db) == 0 ? -EBADMSG
		                                                      : rc; /* SQLite's word for a bad page */
	return metadb_close(steal_pointer(&r->store->db));
}

static int mend(struct repair *r) {
	int rc = r->is_closed ? open_the_closed(r) : 0;
	if (rc < 0)
		return rc;
	rc = open_files(r, false);
	if (rc == 0)
		rc = metadb_repair(r->store->db, add_mended, &r->mended);
	if (rc == 0)
		rc = mend_reserve(r);
	if (rc == 0)
		rc = mend_tables(r);
	close_files(r);
	return unless_bytes(rc);
}

/* ---- telling ---- */

static const char *how(const struct repair *r, const struct found *item) {
	for (size_t i = 0; i < r->mended.count; i++) {
		const struct found *mended = &r->mended.items[i];
		if (strcmp(mended->file, item->file) == 0 && mended->place == item->place)
			return mended->words;
	}
	if (r->has_accepted)
		return accepted_words(r);
	if (strcmp(item->file, "meta.db") == 0 && item->place > 0)
		return "the whole file was built anew from the checkpoint packs";
	if (strncmp(item->file, "meta/anchor-", strlen("meta/anchor-")) == 0)
		return "it was written anew";
	if (strncmp(item->file, "meta/", strlen("meta/")) == 0)
		return "a new base pack was written in its place, from verified pages";
	if (strcmp(item->file, "meta.db-wal") == 0)
		return "its commits were moved to the database";
	return "it was put right with the other files of the metadata";
}

static int tell(struct repair *r, fsck_fn *found, void *arg, struct fsck_summary *sum) {
	int rc = 0;
	for (size_t i = 0; i < r->before.count && rc >= 0; i++) {
		const struct found *item = &r->before.items[i];
		if (is_left(&r->after, item))
			continue;
		struct fsck_finding finding = {.file = item->file, .words = item->words, .repaired = how(r, item)};
		sum->repaired++;
		rc = found(arg, &finding);
	}
	for (size_t i = 0; i < r->after.count && rc >= 0; i++) {
		const struct found *item = &r->after.items[i];
		struct fsck_finding finding = {.file = item->file, .path = item->path, .words = item->words};
		rc = found(arg, &finding);
	}
	return rc < 0 ? rc : 0;
}

static int repair(struct repair *r, fsck_fn *found, void *arg, struct fsck_summary *ret) {
	int rc = look(r);
	if (rc == 0)
		rc = mend(r);
	if (rc == 0)
		rc = fsck_run_with(r->path, r->secret, r->options, add_finding, r, ret);
	return rc < 0 ? rc : tell(r, found, arg, ret);
}

int fsck_repair(const char *path, const struct store_secret *secret, const struct fsck_options *options, fsck_fn *found,
        void *arg, struct fsck_summary *ret) {
	static const struct fsck_options defaults;
	struct repair r = {.path = path, .secret = secret, .options = options ? options : &defaults};
	memset(ret, 0, sizeof *ret);
	int rc = repair(&r, found, arg, ret);
	free_list(&r.before);
	free_list(&r.mended);
	free_list(&r.after);
	return fault_while(rc, "repairing vault %s", path);
}
