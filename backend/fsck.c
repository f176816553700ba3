#include "backend/fsck.h"
#include "backend/audit.h"
#include "backend/audit_retain.h"
#include "backend/gc.h"
#include "backend/record.h"
#include "backend/store_internal.h"
#include "backend/tree.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Read at once, by page and by block. */
#define STEP_PAGES 16
#define STEP_BLOCKS SEGMENT_BATCH_BLOCKS
/* Pages with a bad reference whose users are looked for by name; more are told without. */
#define BAD_PAGES_MAX 4096

struct bad_page {
	uint64_t page;
	struct block_ref ref; /* the first that is wrong */
	char words[256];
};

struct fsck {
	Store *store;
	fsck_fn *found;
	void *arg;
	const struct fsck_options *options;
	struct fsck_summary *sum;
	struct bad_page *bad;
	size_t bad_count;
};

static int tell(struct fsck *f, const char *file, const char *path, const char *words) {
	struct fsck_finding finding = {.file = file, .path = path, .words = words};
	f->sum->findings++;
	int rc = f->found(f->arg, &finding);
	return rc < 0 ? rc : 0;
}

/* An error of the check itself stays one; what says something about the bytes becomes a finding. */
static int tell_fault(struct fsck *f, const char *file, const char *path, int rc) {
	if (rc != -EBADMSG && rc != -EUCLEAN)
		return rc;
	char words[FAULT_MESSAGE_BYTES];
	memcpy(words, fault_message(), sizeof words);
	return tell(f, file, path, words);
}

/* The node's present name, or NULL. Takes the meta lock. */
static const char *path_of(struct fsck *f, uint64_t node, char path[static TREE_PATH_MAX]) {
	Meta *m = f->store->meta;
	meta_begin(m);
	int rc = meta_end(m, tree_path(m, node, path, TREE_PATH_MAX, NULL));
	return rc == 0 ? path : NULL;
}

/* ---- database and its files ---- */

const char *fsck_words(int64_t place, const char *words, char line[static FSCK_WORDS_BYTES]) {
	if (place < 0)
		return words;
	(void)snprintf(line, FSCK_WORDS_BYTES, "at %ld: %s", (long)place, words);
	return line;
}

static int database_finding(void *user, const char *file, int64_t place, const char *words) {
	char line[FSCK_WORDS_BYTES];
	return tell(user, file, NULL, fsck_words(place, words, line));
}

static int check_reserve(struct fsck *f) {
	int rc = reserve_verify(f->store->io);
	return rc == 0 ? 0 : tell_fault(f, RESERVE_NAME, NULL, rc);
}

/* Rows of a PRAGMA that lists what is wrong; `fine` is the one row that says nothing is. */
static int check_pragma(struct fsck *f, const char *pragma, const char *fine) {
	sqlite3_stmt *statement = NULL;
	sqlite3 *db = metadb_handle(f->store->db);
	int rc = 0, code = sqlite3_prepare_v2(db, pragma, -1, &statement, NULL);
	while (code == SQLITE_OK && rc == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(statement, 0);
		if (!text || !fine || strcmp(text, fine) != 0) {
			char words[256];
			(void)snprintf(words, sizeof words, "%s: %s", pragma, text ? text : "?");
			rc = tell(f, "meta.db", NULL, words);
		}
		code = SQLITE_OK;
	}
	sqlite3_finalize(statement);
	if (rc == 0 && code != SQLITE_OK && code != SQLITE_DONE)
		rc = tell_fault(f, "meta.db", NULL, metadb_fault(f->store->db, code, "%s", pragma));
	return rc;
}

static int check_counter(struct fsck *f, const char *sql, const char *what, uint64_t claimed) {
	sqlite3_stmt *statement = NULL;
	uint64_t counted = 0;
	int code = sqlite3_prepare_v2(metadb_handle(f->store->db), sql, -1, &statement, NULL);
	if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
		counted = (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	if (code != SQLITE_ROW)
		return tell_fault(f, "meta.db", NULL, metadb_fault(f->store->db, code, "counting %s", what));
	if (counted == claimed)
		return 0;
	char words[128];
	(void)snprintf(words, sizeof words, "the counter of %s says %lu, there are %lu", what, (unsigned long)claimed,
	        (unsigned long)counted);
	return tell(f, "meta.db", NULL, words);
}

static int check_rows(struct fsck *f) {
	struct tree_counts counts;
	Meta *m = f->store->meta;
	int rc = check_pragma(f, "PRAGMA integrity_check", "ok");
	if (rc == 0)
		rc = check_pragma(f, "PRAGMA foreign_key_check", NULL);
	if (rc == 0)
		rc = tree_statfs(m, &counts);
	if (rc == 0)
		rc = check_counter(f, "SELECT count(*) FROM entry", "names", counts.names);
	if (rc == 0)
		rc = check_counter(f, "SELECT count(*) FROM node", "nodes", counts.nodes);
	if (rc < 0)
		return rc;
	rc = audit_verify(m, 0, &f->sum->records);
	if (rc == 0)
		rc = audit_head_verify(m, f->store->keyring, &f->sum->heads);
	if (rc == -ENOKEY) /* of a slot for reading: whether the heads are genuine can't be told */
		return 0;
	return rc == 0 ? 0 : tell_fault(f, "meta.db", NULL, fault_while(rc, "the audit log"));
}

/* After a clean end there is none, or one put back, which says nothing. */
static int check_synclog(struct fsck *f) {
	Store *store = f->store;
	uint64_t base = 0;
	int rc = store->clean ? 0 : store_synclog_base(store, &base);
	if (rc == 0 && !store->clean)
		rc = synclog_read(store->io, store->keyring, header_vault_id(store->header), base, NULL, NULL, NULL);
	return rc == 0 || rc == -ENOKEY ? 0 : tell_fault(f, SYNCLOG_NAME, NULL, rc);
}

static int check_tables(struct fsck *f) {
	meta_begin(f->store->meta);
	return meta_end(f->store->meta, check_rows(f));
}

/* ---- directory ---- */

struct listing {
	struct fsck *f;
	const char *directory;
	char (*directories)[SEGMENT_NAME_BYTES]; /* of "segments": those to go into */
	size_t count, room;
};

/* Of what is in meta/, metadb_verify gives account. */
static int check_root_name(void *user, const char *name, bool is_directory) {
	static const char *const files[] = {
	        STORE_HEADER_NAME, "meta.db", "meta.db-wal", RESERVE_NAME, SYNCLOG_NAME, RECALL_NAME};
	struct listing *l = user;
	if (is_directory && (strcmp(name, "meta") == 0 || strcmp(name, "segments") == 0 || strcmp(name, "audit") == 0))
		return 0;
	for (size_t i = 0; i < sizeof files / sizeof *files && !is_directory; i++) {
		if (strcmp(name, files[i]) == 0)
			return 0;
	}
	if (!is_directory && strcmp(name, STORE_HEADER_LEFT) == 0) { /* the next mount takes it away */
		l->f->sum->left_over++;
		return 0;
	}
	return tell(l->f, name, NULL, "this does not belong to the vault");
}

static int gather_directory(void *user, const char *name, bool is_directory) {
	struct listing *l = user;
	char file[VAULT_NAME_MAX + 16];
	(void)snprintf(file, sizeof file, "segments/%s", name);
	if (!is_directory || strlen(name) != 2)
		return tell(l->f, file, NULL, "this does not belong to the segments");
	void *grown = array_room(l->directories, &l->room, l->count + 1, sizeof *l->directories);
	if (!grown)
		return fault(ENOMEM, "no memory to list the segments");
	l->directories = grown;
	memcpy(l->directories[l->count++], file, strlen("segments/ab") + 1);
	return 0;
}

/* Whether the database let go of it, and only the unlinking is outstanding. */
static bool was_removed(struct fsck *f, const char *file) {
	meta_begin(f->store->meta);
	bool is_leaving = gc_is_leaving(f->store->meta, file);
	(void)meta_end(f->store->meta, 0);
	return is_leaving;
}

static bool is_elsewhere(const struct fsck *f, uint32_t number) {
	return f->store->recall && !recall_is_here(f->store->recall, number);
}

/* Its key can't be had: so it is no damage that it can't be read. */
static bool is_locked(const struct fsck *f, uint32_t number) {
	return segment_key_check(f->store->segments, number) < 0;
}

static int check_segment_name(void *user, const char *name, bool is_directory) {
	struct listing *l = user;
	struct fsck *f = l->f;
	char file[VAULT_NAME_MAX + 16];
	(void)snprintf(file, sizeof file, "%s/%s", l->directory, name);
	if (!is_directory && segment_has_file(f->store->segments, file))
		return 0;
	/* What a fetch left that was ended is written over by the next one. */
	bool is_fetched = f->store->recall && strstr(name, ".tmp");
	if (!is_directory &&
	        (is_fetched || was_removed(f, file) ||
	                (!f->store->clean && segment_left_over(f->store->segments, file, f->store->mount)))) {
		f->sum->left_over++;
		return 0;
	}
	return tell(f, file, NULL, "the database knows no such segment");
}

static int check_names(struct fsck *f) {
	struct listing l = {.f = f};
	VaultIo *io = f->store->io;
	int rc = store_check_log(f->store);
	if (rc < 0)
		rc = tell_fault(f, "meta.db-wal", NULL, rc);
	if (rc == 0)
		rc = vault_io_list(io, "", check_root_name, &l);
	if (rc == 0)
		rc = vault_io_list(io, "segments", gather_directory, &l);
	for (size_t i = 0; i < l.count && rc == 0; i++) {
		l.directory = l.directories[i];
		rc = vault_io_list(io, l.directory, check_segment_name, &l);
	}
	free(l.directories);
	return rc;
}

static int archive_finding(void *arg, const char *file, int rc) {
	struct fsck *f = arg;
	f->sum->left_over += rc == 0;
	return rc == 0 ? 0 : tell_fault(f, file, NULL, rc);
}

static int check_archives(struct fsck *f) {
	return audit_retain_check(f->store, archive_finding, f);
}

/* ---- segments ---- */

static int segment_part(const struct segment_finding *part, void *arg) {
	struct fsck *f = arg;
	char path[TREE_PATH_MAX], words[FAULT_MESSAGE_BYTES + 128];
	f->sum->blocks += part->is_block;
	if (!part->wrong)
		return 0;
	(void)snprintf(words, sizeof words, "at %lu, %lu bytes: %s", (unsigned long)part->position,
	        (unsigned long)part->length, part->wrong);
	return tell(f, part->file, part->owner_known ? path_of(f, part->node, path) : NULL, words);
}

struct numbers {
	uint32_t list[256];
	size_t count;
	uint32_t after;
};

static int gather_number(void *arg, const struct segment_row *row) {
	struct numbers *numbers = arg;
	if (row->number <= numbers->after)
		return 0;
	numbers->list[numbers->count++] = row->number;
	return numbers->count == 256;
}

/* What was last known: nobody is asked. */
static bool is_lost(const struct fsck *f, uint32_t number) {
	return f->store->recall && recall_is_lacking(f->store->recall, number);
}

static int check_segment(struct fsck *f, uint32_t number) {
	char name[SEGMENT_NAME_BYTES] = "";
	uint64_t size = 0;
	bool is_away = is_elsewhere(f, number), is_shut = !is_away && is_locked(f, number);
	int rc = is_away || is_shut ? 0 : segment_verify(f->store->segments, number, segment_part, f);
	int there = segment_name(f->store->segments, number, name);
	if (there == 0)
		there = vault_io_stat_size(f->store->io, name, &size);
	if (rc == 0 && is_shut && there == -ENOENT)
		rc = tell(f, name, NULL, "the segment is missing");
	f->sum->locked += is_shut;
	f->sum->elsewhere += is_away;
	*(is_away ? &f->sum->elsewhere_bytes : &f->sum->bytes) += size;
	f->sum->segments += !is_away && !is_shut;
	if (rc == 0 && is_lost(f, number))
		rc = tell(f, name, NULL, "it is not here, and the backup has not all of it");
	if (f->options->progress)
		f->options->progress(f->options->progress_arg, f->sum);
	return rc;
}

static int check_segments(struct fsck *f) {
	struct numbers numbers = {0};
	int rc;
	do {
		Meta *m = f->store->meta;
		numbers.count = 0;
		meta_begin(m);
		rc = meta_end(m, segment_row_list(m, gather_number, &numbers));
		for (size_t i = 0; i < numbers.count && rc == 0; i++) {
			rc = check_segment(f, numbers.list[i]);
			numbers.after = numbers.list[i];
		}
	} while (rc == 0 && numbers.count == 256);
	return rc;
}

/* ---- map pages and versions ---- */

struct pages {
	struct {
		uint64_t id;
		size_t count;
		bool hash_ok;
		struct block_ref refs[MAP_PAGE_REFS];
	} list[STEP_PAGES];
	size_t count;
};

static int gather_page(
        void *arg, uint64_t id, uint64_t owner, const struct block_ref *refs, size_t count, bool hash_ok) {
	struct pages *pages = arg;
	(void)owner;
	pages->list[pages->count].id = id;
	pages->list[pages->count].count = count;
	pages->list[pages->count].hash_ok = hash_ok;
	memcpy(pages->list[pages->count].refs, refs, count * sizeof *refs);
	return ++pages->count == STEP_PAGES;
}

static int note_bad(struct fsck *f, uint64_t page, const struct block_ref *ref, const char *words) {
	if (f->bad_count > 0 && f->bad[f->bad_count - 1].page == page)
		return 0;
	if (f->bad_count == BAD_PAGES_MAX) {
		char name[SEGMENT_NAME_BYTES] = "";
		(void)segment_name(f->store->segments, ref->segment, name);
		return tell(f, name, NULL, words);
	}
	struct bad_page *grown = realloc(f->bad, (f->bad_count + 1) * sizeof *grown);
	if (!grown)
		return fault(ENOMEM, "no memory for what was found");
	f->bad = grown;
	grown[f->bad_count] = (struct bad_page){.page = page, .ref = *ref};
	(void)snprintf(grown[f->bad_count++].words, sizeof grown->words, "%s", words);
	return 0;
}

/* Those into segments that are here, one by one. */
static int check_refs_here(struct fsck *f, uint64_t page, const struct block_ref *refs, size_t n, uint8_t *out) {
	int rc = 0;
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (!block_ref_is_hole(&refs[i]) && is_lost(f, refs[i].segment))
			rc = note_bad(f, page, &refs[i], "the backup has not all of this segment");
		if (block_ref_is_hole(&refs[i]) || is_elsewhere(f, refs[i].segment) || is_locked(f, refs[i].segment))
			continue;
		rc = segment_read(f->store->segments, &refs[i], 1, out);
		f->sum->references += rc == 0;
		if (rc == -EBADMSG)
			rc = note_bad(f, page, &refs[i], fault_message());
	}
	return rc;
}

/* All references of a page lead to the blocks they mean. Neighbours are read together; only after a failure one by one.
 */
static int check_refs(struct fsck *f, uint64_t page, const struct block_ref *refs, size_t n, uint8_t *out) {
	if (f->store->recall || f->sum->locked > 0)
		return check_refs_here(f, page, refs, n, out);
	int rc = segment_read(f->store->segments, refs, n, out);
	f->sum->references += n;
	if (rc != -EBADMSG)
		return rc;
	for (size_t i = 0; i < n; i++) {
		rc = segment_read(f->store->segments, &refs[i], 1, out);
		if (rc == -EBADMSG)
			rc = note_bad(f, page, &refs[i], fault_message());
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int check_pages(struct fsck *f, const struct pages *pages, uint8_t *out) {
	static const struct block_ref none;
	for (size_t i = 0; i < pages->count; i++) {
		size_t count = pages->list[i].count;
		int rc = pages->list[i].hash_ok ? 0
		                                : note_bad(f, pages->list[i].id, &none, "a map page has another hash");
		for (size_t at = 0; at < count && rc == 0; at += STEP_BLOCKS)
			rc = check_refs(f, pages->list[i].id, pages->list[i].refs + at,
			        count - at < STEP_BLOCKS ? count - at : STEP_BLOCKS, out);
		if (rc < 0)
			return rc;
		f->sum->map_pages++;
	}
	return 0;
}

static int check_map(struct fsck *f) {
	struct pages *pages = calloc(1, sizeof *pages);
	uint8_t *out = malloc(STEP_BLOCKS * SEGMENT_BLOCK_BYTES);
	Meta *m = f->store->meta;
	int rc = pages && out ? 0 : fault(ENOMEM, "no memory to check the map");
	uint64_t after = 0;
	bool more = rc == 0;
	while (more && rc == 0) {
		pages->count = 0;
		meta_begin(m);
		rc = meta_end(m, map_page_list(m, after, gather_page, pages));
		if (rc == 0)
			rc = check_pages(f, pages, out);
		more = pages->count == STEP_PAGES;
		after = pages->count ? pages->list[pages->count - 1].id : after;
	}
	if (out)
		secret_wipe(out, STEP_BLOCKS * SEGMENT_BLOCK_BYTES);
	free(out);
	free(pages);
	return rc;
}

struct versions {
	struct version list[64];
	size_t count;
};

static int gather_version(void *arg, const struct version *version) {
	struct versions *versions = arg;
	versions->list[versions->count++] = *version;
	return versions->count == 64;
}

/* Which bad page, if any, a version's map leads to. */
struct match {
	const struct fsck *f;
	const struct bad_page *bad;
};

static int match_page(void *arg, uint64_t page, uint64_t page_id) {
	struct match *match = arg;
	(void)page;
	for (size_t i = 0; i < match->f->bad_count && !match->bad; i++) {
		if (match->f->bad[i].page == page_id)
			match->bad = &match->f->bad[i];
	}
	return match->bad != NULL;
}

static int tell_bad(struct fsck *f, const struct version *version, const struct bad_page *bad) {
	char name[SEGMENT_NAME_BYTES] = "meta.db", path[TREE_PATH_MAX], words[512];
	if (bad->ref.segment)
		(void)segment_name(f->store->segments, bad->ref.segment, name);
	(void)snprintf(
	        words, sizeof words, "version %lu can't be read: %s", (unsigned long)version->number, bad->words);
	return tell(f, name, path_of(f, version->node, path), words);
}

static int check_version(struct fsck *f, const struct version *version) {
	char path[TREE_PATH_MAX];
	struct match match = {.f = f};
	Meta *m = f->store->meta;
	meta_begin(m);
	int rc = version->state == VERSION_ERASED ? 0 : map_list(m, version->id, match_page, &match);
	if (rc == 0 && (version->state == VERSION_SEALED || version->state == VERSION_WITHDRAWN))
		rc = version_verify_hash(m, version->id);
	rc = meta_end(m, rc);
	f->sum->versions++;
	if (rc < 0)
		rc = tell_fault(f, "meta.db", path_of(f, version->node, path), rc);
	return rc == 0 && match.bad ? tell_bad(f, version, match.bad) : rc;
}

static int check_versions(struct fsck *f) {
	struct versions *versions = malloc(sizeof *versions);
	Meta *m = f->store->meta;
	int rc = versions ? 0 : fault(ENOMEM, "no memory to check the versions");
	uint64_t after = 0;
	bool more = rc == 0;
	while (more && rc == 0) {
		versions->count = 0;
		meta_begin(m);
		rc = meta_end(m, version_list_all(m, after, gather_version, versions));
		for (size_t i = 0; i < versions->count && rc == 0; i++)
			rc = check_version(f, &versions->list[i]);
		more = versions->count == 64;
		after = versions->count ? versions->list[versions->count - 1].id : after;
	}
	free(versions);
	return rc;
}

/*
 * What a stage of the check could not read. SQLite calls a page that does not authenticate a disk error; when such
 * pages were told already, the other stages go on with what can be read.
 */
static int soften(struct fsck *f, int rc, const char *stage) {
	char words[FAULT_MESSAGE_BYTES + 128];
	if (rc != -EBADMSG && rc != -EUCLEAN && !(rc == -EIO && f->sum->findings > 0))
		return rc;
	(void)snprintf(words, sizeof words, "%s could not be checked to the end: %s", stage, fault_message());
	return tell(f, "meta.db", NULL, words);
}

static int check_files(struct fsck *f) {
	int rc = metadb_verify(f->store->db, database_finding, f);
	if (rc == 0)
		rc = check_reserve(f);
	return rc;
}

static int check_all(struct fsck *f) {
	static const struct {
		int (*check)(struct fsck *f);
		const char *name;
	} stages[] = {{check_tables, "the rows"}, {check_synclog, "the log of small fsyncs"},
	        {check_names, "the directory"}, {check_archives, "the log's archives"},
	        {check_segments, "the segments"}, {check_map, "the maps"}, {check_versions, "the versions"}};
	for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
		int rc = soften(f, stages[i].check(f), stages[i].name);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Whether an error of opening is about the vault's bytes. */
static bool is_about_bytes(int rc) {
	return rc == -EBADMSG || rc == -EUCLEAN || rc == -EINVAL || rc == -ENOTSUP || rc == -EPROTONOSUPPORT ||
	       rc == -EFBIG;
}

static int tell_unopened(struct fsck *f, const char *path, int rc) {
	if (!is_about_bytes(rc))
		return rc;
	char words[FAULT_MESSAGE_BYTES], file[SEGMENT_NAME_BYTES];
	memcpy(words, fault_message(), sizeof words);
	f->sum->could_not_open = true;
	return tell(f, fsck_file_in_words(words, path, file), NULL, words);
}

/* Held against what is kept outside. */
static int check_older(struct fsck *f) {
	int rc = store_head_check(f->store);
	if (rc == -ESTALE)
		(void)snprintf(f->sum->older, sizeof f->sum->older, "%s", f->store->restored);
	return rc == -ESTALE ? 0 : rc;
}

int fsck_run_with(const char *path, const struct store_secret *secret, const struct fsck_options *given, fsck_fn *found,
        void *arg, struct fsck_summary *ret) {
	static const struct fsck_options defaults;
	struct fsck f = {.found = found, .options = given ? given : &defaults, .arg = arg, .sum = ret};
	struct store_options options = {
	        .read_only = true, .io = f.options->io, .state_directory = f.options->state_directory};
	memset(ret, 0, sizeof *ret);
	int rc = store_open_files(path, secret, &options, &f.store);
	if (rc < 0)
		return fault_while(tell_unopened(&f, path, rc), "checking vault %s", path);
	rc = check_files(&f);
	if (rc == 0) {
		rc = store_open_tables(f.store, &options);
		if (rc < 0) {
			rc = tell_unopened(&f, path, rc);
		} else {
			ret->unclean = !f.store->clean;
			rc = check_all(&f);
			if (rc == 0)
				rc = check_older(&f);
		}
	}
	free(f.bad);
	store_abandon(f.store);
	return fault_while(rc, "checking vault %s", path);
}

int fsck_run(const char *path, const struct store_secret *secret, fsck_fn *found, void *arg, struct fsck_summary *ret) {
	return fsck_run_with(path, secret, NULL, found, arg, ret);
}
