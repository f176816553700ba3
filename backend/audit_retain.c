#include "backend/audit_retain.h"

#include "backend/audit_archive.h"
#include "backend/store_internal.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "crypto/base/utc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DIRECTORY "audit"
/* The number of its first record in hexadecimal follows: rows in order of their keys are in that of records. */
#define KEY_ARCHIVE "audit.archive."
#define KEY_BYTES 32
/* u64: so many records are archived, from 0 on */
#define KEY_ARCHIVED "audit.archived"
/* Row: 0 end u64  8 oldest i64  16 newest i64  24 bytes u64  32 sha256 [32]  64 shipped i64  72 place */
#define ROW_FIXED 72u
#define ROW_MAX (ROW_FIXED + AUDIT_RETAIN_PLACE_MAX)

#define RECORDS_MOST 65536u
/* A chunk of an archive ends with the tile with which it gets longer. */
#define CHUNK_BYTES ((size_t)1 << 19)

void audit_retain_name(uint64_t first, char ret_name[static AUDIT_RETAIN_NAME_BYTES]) {
	(void)snprintf(ret_name, AUDIT_RETAIN_NAME_BYTES, DIRECTORY "/%016" PRIx64, first);
}

/* ---- rows ---- */

static void key_of(uint64_t first, char ret_key[static KEY_BYTES]) {
	(void)snprintf(ret_key, KEY_BYTES, KEY_ARCHIVE "%016" PRIx64, first);
}

static int put_row(Meta *m, const struct audit_archived *a) {
	uint8_t row[ROW_MAX];
	char key[KEY_BYTES];
	size_t place = strlen(a->place);
	key_of(a->first, key);
	le64_put(row, a->end);
	le64_put(row + 8, (uint64_t)a->oldest);
	le64_put(row + 16, (uint64_t)a->newest);
	le64_put(row + 24, a->bytes);
	memcpy(row + 32, a->sha256, DIGEST_BYTES);
	le64_put(row + 64, (uint64_t)a->shipped_ns);
	memcpy(row + ROW_FIXED, a->place, place);
	return meta_kv_put(m, key, bytes_of(row, ROW_FIXED + place));
}

static int parse_row(Meta *m, uint64_t first, struct bytes row, struct audit_archived *ret) {
	if (row.size < ROW_FIXED || row.size > ROW_MAX)
		return fault(
		        EUCLEAN, "metadata: the row of the log's archive from record %" PRIu64 " is malformed", first);
	*ret = (struct audit_archived){.first = first,
	        .end = le64_get(row.data),
	        .oldest = (int64_t)le64_get(row.data + 8),
	        .newest = (int64_t)le64_get(row.data + 16),
	        .bytes = le64_get(row.data + 24),
	        .shipped_ns = (int64_t)le64_get(row.data + 64)};
	ret->pruned = ret->end <= audit_pruned(m);
	memcpy(ret->sha256, row.data + 32, DIGEST_BYTES);
	memcpy(ret->place, row.data + ROW_FIXED, row.size - ROW_FIXED);
	return 0;
}

static int get_row(Meta *m, uint64_t first, struct audit_archived *ret) {
	uint8_t row[ROW_MAX];
	char key[KEY_BYTES];
	size_t size = 0;
	key_of(first, key);
	int rc = meta_kv_get(m, key, row, sizeof row, &size);
	if (rc == -ENOENT)
		return fault(ENOENT, "no archive of the log begins with record %" PRIu64, first);
	if (rc < 0 && rc != -ERANGE)
		return rc;
	return parse_row(m, first, bytes_of(row, size), ret);
}

static int find_row(Meta *m, uint64_t first, struct audit_archived *ret) {
	meta_begin(m);
	return meta_end(m, get_row(m, first, ret));
}

int audit_retain_list(Meta *m, audit_archived_fn *fn, void *arg) {
	char key[KEY_BYTES] = KEY_ARCHIVE;
	uint8_t row[ROW_MAX];
	size_t size = 0;
	int rc;
	while ((rc = meta_kv_next(m, KEY_ARCHIVE, key, key, sizeof key, row, sizeof row, &size)) == 0) {
		struct audit_archived archived;
		rc = parse_row(m, strtoull(key + strlen(KEY_ARCHIVE), NULL, 16), bytes_of(row, size), &archived);
		if (rc == 0)
			rc = fn(arg, &archived);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	return rc == -ENOENT ? 0 : rc;
}

struct list {
	struct audit_archived *all;
	size_t count, room;
};

static int take_archived(void *arg, const struct audit_archived *archived) {
	struct list *list = arg;
	void *all = array_room(list->all, &list->room, list->count + 1, sizeof *archived);
	if (!all)
		return fault(ENOMEM, "no memory to list the archives of the log");
	list->all = all;
	list->all[list->count++] = *archived;
	return 0;
}

int audit_retain_all(Meta *m, struct audit_archived **ret_list, size_t *ret_count) {
	struct list list = {0};
	int rc = audit_retain_list(m, take_archived, &list);
	if (rc < 0) {
		free(list.all);
		return rc;
	}
	*ret_list = list.all;
	*ret_count = list.count;
	return 0;
}

static int get_archived(Meta *m, uint64_t *ret) {
	uint8_t value[8] = {0};
	size_t size;
	int rc = meta_kv_get(m, KEY_ARCHIVED, value, sizeof value, &size);
	*ret = le64_get(value);
	return rc == -ENOENT ? 0 : rc;
}

/* ---- recording ---- */

/* "records 0 to 65535 (2026-11-20T10:00:00Z to …), audit/0000000000000000, 2100000 bytes, sha256 …" and more words. */
static int record(
        Meta *m, struct audit_event event, const struct audit_archived *a, const char *more, const char *place) {
	char detail[AUDIT_DETAIL_MAX], name[AUDIT_RETAIN_NAME_BYTES], hex[DIGEST_HEX_BYTES], oldest[UTC_TEXT_BYTES],
	        newest[UTC_TEXT_BYTES];
	audit_retain_name(a->first, name);
	digest_hex(a->sha256, hex);
	(void)snprintf(detail, sizeof detail,
	        "records %" PRIu64 " to %" PRIu64 " (%s to %s), %s, %" PRIu64 " bytes, sha256 %s%s%s", a->first,
	        a->end - 1, utc_stamp(a->oldest, oldest), utc_stamp(a->newest, newest), name, a->bytes, hex, more,
	        place);
	event.detail = detail;
	return audit_record(m, &event, NULL);
}

/* ---- archiving ---- */

struct gathering {
	Store *store;
	AuditArchive *archive;
	struct audit_archive_head *head;
	uint8_t *lines;
	size_t size, room;
	uint32_t records; /* in `lines` */
	uint64_t next;
};

static int take_line(void *arg, const struct audit_entry *entry) {
	struct gathering *g = arg;
	if (entry->seq != g->next)
		return fault(EUCLEAN, "audit: record %" PRIu64 " is missing", g->next);
	uint8_t *grown = array_room(g->lines, &g->room, g->size + entry->line_length + 1, 1);
	if (!grown)
		return fault(ENOMEM, "archiving the log: no memory");
	g->lines = grown;
	memcpy(grown + g->size, entry->line, entry->line_length);
	grown[g->size + entry->line_length] = '\n';
	g->size += entry->line_length + 1;
	if (g->next++ == g->head->first)
		g->head->oldest = entry->time_ns;
	g->head->newest = entry->time_ns;
	g->records++;
	return 0;
}

/* One operation for each tile, so that nobody waits for more. */
static int gather_tile(struct gathering *g) {
	Meta *m = g->store->meta;
	uint64_t end = g->next + AUDIT_TILE_HASHES;
	const struct audit_filter filter = {.from_seq = g->next, .before_seq = end};
	meta_begin(m);
	int rc = meta_end(m, audit_query(m, &filter, take_line, g));
	if (rc == 0 && g->next != end)
		rc = fault(EUCLEAN, "audit: record %" PRIu64 " is missing", g->next);
	return rc;
}

/* Up to head->end, or to where the file is long enough, which is head->end then. */
static int gather(struct gathering *g) {
	int rc = 0;
	bool is_full = false;
	while (rc == 0 && g->next < g->head->end && !is_full) {
		rc = gather_tile(g);
		if (rc == 0 && (g->size >= CHUNK_BYTES || g->next == g->head->end)) {
			rc = audit_archive_add(g->archive, bytes_of(g->lines, g->size), g->records);
			g->size = g->records = 0;
			is_full = audit_archive_bytes(g->archive) > AUDIT_ARCHIVE_FULL;
		}
	}
	g->head->end = g->next;
	return rc;
}

/* Whole tiles that are durable, not archived, and older than that. first == end: none. */
static int choose(Store *store, int64_t before_ns, struct audit_archive_head *head) {
	Meta *m = store->meta;
	uint64_t old = 0, durable = store_durable_seq(store);
	meta_begin(m);
	int rc = get_archived(m, &head->first);
	if (rc == 0)
		rc = audit_first_since(m, before_ns, &old);
	rc = meta_end(m, rc);
	uint64_t most = (head->first / RECORDS_MOST + 1) * RECORDS_MOST;
	uint64_t end = (old < durable ? old : durable) / AUDIT_TILE_HASHES * AUDIT_TILE_HASHES;
	end = end < most ? end : most;
	head->end = end > head->first ? end : head->first;
	return rc;
}

/* By a tree that no crash takes back. */
static int prove(Store *store, struct audit_archive_head *head) {
	Meta *m = store->meta;
	head->size = store_durable_seq(store);
	head->cipher = header_cipher(store->header);
	memcpy(head->vault_id, header_vault_id(store->header), AUDIT_ARCHIVE_ID_BYTES);
	meta_begin(m);
	int rc = audit_root_at(m, head->size, head->root);
	if (rc == 0)
		rc = audit_frontier_at(m, head->first, &head->before);
	if (rc == 0)
		rc = merkle_consistency_prove(head->end, head->size, audit_fetch, m, &head->behind);
	return meta_end(m, rc);
}

static int make(Store *store, struct audit_archive_head *head, uint8_t **ret_file, size_t *ret_size) {
	_cleanup_(audit_archive_freep) AuditArchive *archive = NULL;
	int rc = audit_archive_new(&archive);
	if (rc < 0)
		return rc;
	struct gathering g = {.store = store, .archive = archive, .head = head, .next = head->first};
	rc = gather(&g);
	free(g.lines);
	if (rc == 0)
		rc = prove(store, head);
	return rc == 0 ? audit_archive_seal(archive, store->keyring, head, ret_file, ret_size) : rc;
}

/* ---- files ---- */

/* What stands in the file is the vault's, and the records are those of the vault's own tree. */
static int check_tree(Store *store, struct bytes file, struct audit_archive_head *ret_head) {
	merkle_hash root;
	int rc = audit_archive_open(file, store->keyring, header_vault_id(store->header), NULL, NULL, ret_head);
	if (rc < 0)
		return rc;
	meta_begin(store->meta);
	rc = meta_end(store->meta, audit_root_at(store->meta, ret_head->size, root));
	if (rc == -EINVAL || (rc == 0 && memcmp(root, ret_head->root, sizeof root) != 0))
		return fault(EBADMSG, "the archive's tree is not that of the vault");
	return rc;
}

static int read_file(Store *store, const struct audit_archived *a, uint8_t **ret_file, size_t *ret_size) {
	char name[AUDIT_RETAIN_NAME_BYTES];
	_cleanup_(freep) uint8_t *file = NULL;
	size_t size;
	uint8_t digest[DIGEST_BYTES];
	struct audit_archive_head head;
	audit_retain_name(a->first, name);
	int rc = vault_io_read_all(store->io, name, AUDIT_ARCHIVE_BYTES_MAX, &file, &size);
	if (rc < 0)
		return rc == -EFBIG ? fault(EBADMSG, "%s", fault_message()) : rc;
	sha256(bytes_of(file, size), digest);
	if (size != a->bytes || !digest_equal(digest, a->sha256))
		return fault(EBADMSG, "%s is not the archive that was sealed", name);
	rc = check_tree(store, bytes_of(file, size), &head);
	if (rc == 0 && (head.first != a->first || head.end != a->end))
		rc = fault(EBADMSG, "it has other records");
	if (rc < 0)
		return fault_while(rc, "%s", name);
	*ret_file = steal_pointer(&file);
	*ret_size = size;
	return 0;
}

int audit_retain_read(Store *store, uint64_t first, uint8_t **ret_file, size_t *ret_size) {
	struct audit_archived archived;
	int rc = find_row(store->meta, first, &archived);
	return rc == 0 ? read_file(store, &archived, ret_file, ret_size) : rc;
}

static int write_file(Store *store, const struct audit_archived *a, struct bytes file) {
	char name[AUDIT_RETAIN_NAME_BYTES];
	audit_retain_name(a->first, name);
	int rc = store_space_check(store, file.size);
	if (rc == 0)
		rc = vault_io_mkdir(store->io, DIRECTORY);
	if (rc == 0)
		rc = vault_io_sync_dir(store->io, "");
	return rc == 0 ? vault_io_replace(store->io, name, file) : rc;
}

static int note_archived(Store *store, const struct audit_archived *a, const struct actor *actor) {
	uint8_t end[8];
	le64_put(end, a->end);
	meta_begin(store->meta);
	int rc = put_row(store->meta, a);
	if (rc == 0)
		rc = meta_kv_put(store->meta, KEY_ARCHIVED, bytes_of(end, sizeof end));
	if (rc == 0)
		rc = record(store->meta, (struct audit_event){.event = "log-archive", .actor = *actor}, a, "", "");
	rc = meta_end(store->meta, rc);
	return rc == 0 ? store_commit_wait(store) : rc;
}

static int archive_next(Store *store, int64_t before_ns, const struct actor *actor, struct audit_archived *ret) {
	_cleanup_(freep) uint8_t *file = NULL, *again = NULL;
	size_t size = 0, size_again;
	struct audit_archive_head head = {0};
	int rc = choose(store, before_ns, &head);
	if (rc < 0 || head.first == head.end)
		return rc;
	rc = make(store, &head, &file, &size);
	if (rc < 0)
		return rc;
	struct audit_archived a = {
	        .first = head.first, .end = head.end, .oldest = head.oldest, .newest = head.newest, .bytes = size};
	sha256(bytes_of(file, size), a.sha256);
	rc = write_file(store, &a, bytes_of(file, size));
	if (rc == 0)
		rc = read_file(store, &a, &again, &size_again);
	if (rc == 0)
		rc = note_archived(store, &a, actor);
	if (rc < 0)
		return rc;
	*ret = a;
	return 1;
}

int audit_retain_archive(Store *store, int64_t before_ns, const struct actor *actor, struct audit_archived *ret) {
	pthread_mutex_lock(&store->retaining);
	int rc = archive_next(store, before_ns, actor, ret);
	pthread_mutex_unlock(&store->retaining);
	return fault_while(rc, "archiving the audit log");
}

/* ---- shipping and pruning ---- */

static int note_shipped(Store *store, uint64_t first, const uint8_t sha256_there[static DIGEST_BYTES],
        const char *place, const struct actor *actor) {
	struct audit_archived a;
	int rc = get_row(store->meta, first, &a);
	if (rc < 0)
		return rc;
	if (!digest_equal(sha256_there, a.sha256))
		return fault(EBADMSG, "what was read back from there is not the archive");
	a.shipped_ns = meta_now(store->meta);
	(void)snprintf(a.place, sizeof a.place, "%s", place);
	rc = put_row(store->meta, &a);
	return rc == 0 ? record(store->meta, (struct audit_event){.event = "log-ship", .actor = *actor}, &a, ", to ",
	                         place)
	               : rc;
}

int audit_retain_shipped(Store *store, uint64_t first, const uint8_t sha256_there[static DIGEST_BYTES],
        const char *place, const struct actor *actor) {
	if (strlen(place) > AUDIT_RETAIN_PLACE_MAX)
		return fault(ENAMETOOLONG, "the place of an archive has at most %d bytes", AUDIT_RETAIN_PLACE_MAX);
	pthread_mutex_lock(&store->retaining);
	meta_begin(store->meta);
	int rc = meta_end(store->meta, note_shipped(store, first, sha256_there, place, actor));
	if (rc == 0)
		rc = store_commit_wait(store);
	pthread_mutex_unlock(&store->retaining);
	return rc;
}

/* The oldest archive whose records the database still has. -ENOENT: there is none. */
static int oldest_row(Store *store, struct audit_archived *ret) {
	meta_begin(store->meta);
	int rc = get_row(store->meta, audit_pruned(store->meta), ret);
	return meta_end(store->meta, rc);
}

static int prune_next(Store *store, int64_t before_ns, const struct actor *actor, struct audit_archived *ret) {
	_cleanup_(freep) uint8_t *file = NULL;
	size_t size;
	struct audit_archived a;
	int rc = oldest_row(store, &a);
	if (rc < 0 || a.newest >= before_ns)
		return rc == -ENOENT ? 0 : rc;
	if (a.shipped_ns == 0)
		return fault(ESTALE, "records %" PRIu64 " to %" PRIu64 " were archived, but not shipped: they stay",
		        a.first, a.end - 1);
	rc = read_file(store, &a, &file, &size);
	if (rc < 0)
		return rc;
	meta_begin(store->meta);
	rc = audit_prune(store->meta, a.end);
	if (rc == 0)
		rc = record(store->meta, (struct audit_event){.event = "log-prune", .actor = *actor}, &a,
		        ", shipped to ", a.place);
	/* What is missing from now on a signed record tells of; within the operation, so that no commit comes between.
	 */
	store_head_want(store);
	rc = meta_end(store->meta, rc);
	if (rc == 0)
		rc = store_commit_wait(store);
	if (rc < 0)
		return rc;
	a.pruned = true;
	*ret = a;
	return 1;
}

int audit_retain_prune(Store *store, int64_t before_ns, const struct actor *actor, struct audit_archived *ret) {
	pthread_mutex_lock(&store->retaining);
	int rc = prune_next(store, before_ns, actor, ret);
	pthread_mutex_unlock(&store->retaining);
	return fault_while(rc, "pruning the audit log");
}

/* ---- checking ---- */

struct checking {
	Store *store;
	audit_retain_found_fn *found;
	void *arg;
};

static int check_file(struct checking *c, const struct audit_archived *a) {
	_cleanup_(freep) uint8_t *file = NULL;
	char name[AUDIT_RETAIN_NAME_BYTES];
	size_t size;
	audit_retain_name(a->first, name);
	int rc = read_file(c->store, a, &file, &size);
	if (rc == -ENOENT)
		rc = fault(EBADMSG, "%s is missing: records %" PRIu64 " to %" PRIu64 " of the log%s; %s %s", name,
		        a->first, a->end - 1, a->pruned ? ", which stand nowhere else in the vault" : "",
		        a->shipped_ns ? "a copy was shipped to" : "it was not shipped", a->place);
	return rc == -EBADMSG || rc == -EUCLEAN ? c->found(c->arg, name, rc) : rc;
}

/* From record 0 on without a gap. */
static int check_rows(struct checking *c, uint64_t archived) {
	struct audit_archived a = {0};
	int rc = 0;
	for (uint64_t first = 0; rc == 0 && first < archived; first = a.end) {
		rc = find_row(c->store->meta, first, &a);
		if (rc == 0 && a.end <= first)
			rc = fault(EUCLEAN, "metadata: an archive of the log has no records");
		if (rc == -ENOENT || rc == -EUCLEAN)
			return c->found(c->arg, "meta.db", -EUCLEAN);
		if (rc == 0)
			rc = check_file(c, &a);
	}
	return rc;
}

/* A file that the next archiving writes, or its NAME.tmp. */
static bool is_left_over(Meta *m, const char *file) {
	char next[AUDIT_RETAIN_NAME_BYTES];
	uint64_t archived = 0;
	if (get_archived(m, &archived) < 0)
		return false;
	audit_retain_name(archived, next);
	size_t length = strlen(next);
	return strncmp(file, next, length) == 0 && (!file[length] || strcmp(file + length, ".tmp") == 0);
}

static int check_name(void *arg, const char *name, bool is_directory) {
	struct checking *c = arg;
	Meta *m = c->store->meta;
	char file[VAULT_NAME_MAX + 16], expected[AUDIT_RETAIN_NAME_BYTES];
	struct audit_archived a;
	(void)snprintf(file, sizeof file, DIRECTORY "/%s", name);
	uint64_t first = strtoull(name, NULL, 16);
	audit_retain_name(first, expected);
	meta_begin(m);
	bool is_known = strcmp(file, expected) == 0 && get_row(m, first, &a) == 0;
	bool is_left = !is_known && is_left_over(m, file);
	(void)meta_end(m, 0);
	if (is_known && !is_directory)
		return 0;
	int rc = is_left && !is_directory ? 0 : fault(EBADMSG, "the database knows no such archive of the log");
	return c->found(c->arg, file, rc);
}

int audit_retain_check(Store *store, audit_retain_found_fn *found, void *arg) {
	struct checking c = {.store = store, .found = found, .arg = arg};
	uint64_t archived = 0;
	meta_begin(store->meta);
	int rc = meta_end(store->meta, get_archived(store->meta, &archived));
	if (rc == 0)
		rc = check_rows(&c, archived);
	if (rc == 0)
		rc = vault_io_list(store->io, DIRECTORY, check_name, &c);
	return rc == -ENOENT ? 0 : rc;
}
