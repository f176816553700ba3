/*
 * Power loss. A run of creates, writes, truncates, renames, unlinks, fsyncs, a clean end and a crash is recorded; every
 * moment of it (and a sample of what the disk may have made of it) is opened as a vault of its own:
 *
 *     op 1 ── op 2 ── fsync ═ mark 2 ── op 3 ── op 4 ── commit ═ mark 4 ── …
 *                                  ╰─ a crash here shows exactly the state after op k, for one k >= 2, with exactly k
 * records
 *
 * ASSAYFS_CRASH_STATES asks for more states than the normal run has time for.
 */
#include "backend/audit.h"
#include "backend/fsck.h"
#include "crypto/digest.h"
#include "tests/backend/chance.h"
#include "tests/backend/recorder.h"
#include "tests/backend/test_vault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMES 6
#define MOST_BYTES 60000u
#define MOST_OPS 400
#define STATES_DEFAULT 300
/* A quarter of it is the most that the log grows to: large enough that most commits end without a checkpoint. */
#define RESERVE_BYTES (1 << 20)

/* A name below Landing, as a crash would show it if the next commit took place now. */
struct file {
	bool there;
	uint64_t node;
	Content *draft; /* open while there is a draft */
	bool synced;    /* the draft is one that an fsync acknowledged */
	uint8_t *bytes;
	size_t size;
};

struct run {
	struct test_vault v;
	Recorder *recorder;
	VaultIo *io;
	struct file files[NAMES];
	uint64_t random;
	uint64_t ops, records;                        /* a small fsync makes no record */
	uint8_t expected[MOST_OPS + 1][DIGEST_BYTES]; /* after each op */
	size_t shown, matched_later, logged;
};

static uint64_t draw(struct run *r, uint64_t below) {
	return chance_draw(&r->random, below);
}

static void name_of(size_t i, char ret_name[static 8]) {
	(void)snprintf(ret_name, 8, "file%c", (char)('a' + i));
}

/* ---- the state as a digest: names, sizes, bytes, number of records ---- */

static void digest_file(struct blake2b *hash, size_t i, const uint8_t *bytes, size_t size) {
	uint8_t head[16];
	le64_put(head, i);
	le64_put(head + 8, size);
	blake2b_update(hash, bytes_of(head, sizeof head));
	blake2b_update(hash, bytes_of(bytes, size));
}

static void digest_end(struct blake2b *hash, uint64_t records, uint8_t ret[static DIGEST_BYTES]) {
	uint8_t tail[8];
	le64_put(tail, records);
	blake2b_update(hash, bytes_of(tail, sizeof tail));
	blake2b_final(hash, ret);
}

static void model_digest(struct run *r) {
	struct blake2b hash;
	blake2b_init(&hash, NULL);
	for (size_t i = 0; i < NAMES; i++) {
		if (r->files[i].there)
			digest_file(&hash, i, r->files[i].bytes, r->files[i].size);
	}
	digest_end(&hash, r->records, r->expected[r->ops]);
}

/* ---- the run ---- */

static int record_op(Meta *m, struct run *r, const char *event) {
	char words[32];
	(void)snprintf(words, sizeof words, "op %lu", (unsigned long)(r->records + 1));
	struct audit_event e = {.event = event, .detail = words, .actor = {.exe = "crashtest"}};
	return audit_record(m, &e, NULL);
}

static void small_sync_done(struct run *r) {
	r->ops++;
	assert_in_range(r->ops, 1, MOST_OPS);
	model_digest(r);
}

static void op_done(struct run *r) {
	r->records++;
	small_sync_done(r);
}

static int sealed(Meta *m, const struct version *version, void *arg) {
	(void)version;
	return record_op(m, arg, "write");
}

static Content *content_of(struct run *r, struct file *f) {
	Content *c = f->draft;
	if (!c)
		assert_rc(content_open(r->v.store, f->node, 0, &c));
	return c;
}

static void seal_and_close(struct run *r, struct file *f, Content *c) {
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, sealed, r, NULL));
	content_close(c);
	f->draft = NULL;
	f->synced = false;
	op_done(r);
}

static void change(struct run *r, struct file *f, Content *c) {
	if (draw(r, 3) == 0) {
		size_t size = draw(r, MOST_BYTES);
		if (size < f->size)
			memset(f->bytes + size, 0, f->size - size);
		f->size = size;
		assert_rc(content_truncate(c, size));
		return;
	}
	size_t offset = draw(r, MOST_BYTES - 1), length = 1 + draw(r, MOST_BYTES - offset);
	for (size_t i = 0; i < length; i++)
		f->bytes[offset + i] = (uint8_t)draw(r, 256);
	if (offset + length > f->size)
		f->size = offset + length;
	assert_rc(content_write(c, offset, bytes_of(f->bytes + offset, length)));
}

static void do_create(struct run *r, size_t i) {
	struct file *f = &r->files[i];
	char name[8];
	struct node attributes = {.mode = S_IFREG | 0644}, node = {0};
	name_of(i, name);
	Meta *m = store_meta(r->v.store);
	meta_begin(m);
	int rc = tree_create(m, NODE_LANDING, bytes_of_string(name), &attributes, bytes_of(NULL, 0), &node);
	if (rc == 0)
		rc = record_op(m, r, "create");
	assert_rc(meta_end(m, rc));
	memset(f->bytes, 0, MOST_BYTES);
	f->there = true;
	f->node = node.id;
	f->size = 0;
	op_done(r);
}

static void do_unlink(struct run *r, size_t i) {
	struct file *f = &r->files[i];
	char name[8];
	struct node node;
	name_of(i, name);
	Meta *m = store_meta(r->v.store);
	meta_begin(m);
	int rc = tree_unlink(m, NODE_LANDING, bytes_of_string(name), &node);
	if (rc == 0)
		rc = record_op(m, r, "unlink");
	assert_rc(meta_end(m, rc));
	content_close(f->draft);
	f->draft = NULL;
	f->there = f->synced = false;
	op_done(r);
}

static void do_rename(struct run *r, size_t i) {
	size_t j = draw(r, NAMES);
	if (i == j)
		return;
	char from[8], to[8];
	name_of(i, from);
	name_of(j, to);
	Meta *m = store_meta(r->v.store);
	meta_begin(m);
	int rc = tree_rename(m, NODE_LANDING, bytes_of_string(from), NODE_LANDING, bytes_of_string(to), 0, NULL);
	if (rc == 0)
		rc = record_op(m, r, "rename");
	assert_rc(meta_end(m, rc));
	content_close(r->files[j].draft);
	struct file replaced = r->files[j];
	r->files[j] = r->files[i];
	r->files[i] = (struct file){.bytes = replaced.bytes};
	op_done(r);
}

static void commit(struct run *r) {
	assert_rc(store_commit_wait(r->v.store));
	recorder_mark(r->recorder, r->ops);
}

/* The record and the draft's rows are two operations, but one commit. */
static void do_sync(struct run *r, size_t i) {
	struct file *f = &r->files[i];
	f->draft = content_of(r, f);
	change(r, f, f->draft);
	Meta *m = store_meta(r->v.store);
	meta_begin(m);
	assert_rc(meta_end(m, record_op(m, r, "fsync")));
	op_done(r);
	assert_rc(content_sync(f->draft));
	f->synced = true;
	recorder_mark(r->recorder, r->ops);
}

/* Little enough for the log, in one or two blocks; now and then the file only grows. */
static void change_little(struct run *r, struct file *f) {
	size_t pieces = draw(r, 3);
	for (size_t n = 0; n < pieces; n++) {
		size_t offset = draw(r, f->size < MOST_BYTES - 1000 ? f->size + 900 : MOST_BYTES - 1000),
		       length = 1 + draw(r, 900);
		for (size_t i = 0; i < length; i++)
			f->bytes[offset + i] = (uint8_t)draw(r, 256);
		f->size = offset + length > f->size ? offset + length : f->size;
		assert_rc(content_write(f->draft, offset, bytes_of(f->bytes + offset, length)));
	}
	size_t more = f->size + draw(r, 100);
	if (pieces == 0 && more <= MOST_BYTES) {
		f->size = more;
		assert_rc(content_truncate(f->draft, more));
	}
}

static uint64_t last_commit(struct run *r) {
	struct meta_committed last = {0};
	Meta *m = store_meta(r->v.store);
	meta_begin(m);
	assert_rc(meta_end(m, meta_last_commit(m, &last)));
	return last.commit;
}

static void small_sync(struct run *r, struct file *f) {
	uint64_t before = last_commit(r);
	change_little(r, f);
	small_sync_done(r);
	assert_rc(content_sync(f->draft));
	r->logged += last_commit(r) == before;
	recorder_mark(r->recorder, r->ops);
}

/* Mostly right after a commit, so that they go to the log. */
static void do_small_syncs(struct run *r) {
	for (size_t n = 3 + draw(r, 4); n > 0; n--) {
		size_t i = draw(r, NAMES);
		if (r->files[i].synced)
			small_sync(r, &r->files[i]);
		else if (r->files[i].there && !r->files[i].draft && draw(r, 3) == 0)
			do_sync(r, i);
	}
}

static void one_op(struct run *r) {
	size_t i = draw(r, NAMES);
	struct file *f = &r->files[i];
	if (!f->there) {
		do_create(r, i);
		return;
	}
	switch (draw(r, 10)) {
	case 0:
		do_unlink(r, i);
		break;
	case 1:
		do_rename(r, i);
		break;
	case 2:
	case 3:
		do_sync(r, i);
		break;
	case 4:
	case 5:
		commit(r);
		do_small_syncs(r);
		break;
	default: {
		Content *c = content_of(r, f);
		change(r, f, c);
		seal_and_close(r, f, c);
	}
	}
}

/* Changes that nobody syncs stand in the committed rows when the crash comes: they have to vanish. */
static void leave_unsynced(struct run *r, struct file *f) {
	if (!f->there || f->draft)
		return;
	f->draft = content_of(r, f);
	assert_rc(content_write(f->draft, 0, bytes_of("never synced", 12)));
	assert_rc(content_flush(f->draft));
}

static void remount(struct run *r, bool crash) {
	for (size_t i = 0; i < NAMES && crash; i++)
		leave_unsynced(r, &r->files[i]);
	commit(r);
	if (crash)
		do_small_syncs(r);
	for (size_t i = 0; i < NAMES; i++) {
		struct file *f = &r->files[i];
		if (crash)
			content_abandon(f->draft);
		else if (f->draft)
			seal_and_close(r, f, f->draft);
		f->draft = NULL;
		f->synced = false;
	}
	if (crash)
		store_abandon(r->v.store);
	else
		assert_rc(store_close(r->v.store));
	r->v.store = NULL;
	vault_io_close(r->io);
	assert_rc(recorder_io(r->recorder, &r->io));
	r->v.options.io = r->io;
	assert_rc(test_vault_open(r->v.vault, &r->v.options, &r->v.store));
	recorder_mark(r->recorder, r->ops);
}

static void record_run(struct run *r, size_t steps) {
	r->v.options = (struct store_options){.reserve_bytes = RESERVE_BYTES, .commit_ms = 3600 * 1000};
	assert_rc(recorder_open(r->v.vault, &r->recorder));
	assert_rc(recorder_io(r->recorder, &r->io));
	r->v.options.io = r->io;
	assert_rc(test_vault_open(r->v.vault, &r->v.options, &r->v.store));
	for (size_t i = 0; i < NAMES; i++)
		r->files[i].bytes = calloc(1, MOST_BYTES);
	model_digest(r);
	for (size_t i = 0; i < steps; i++) {
		one_op(r);
		if (i == steps / 3)
			remount(r, false);
		if (i == steps * 2 / 3)
			remount(r, true);
	}
	remount(r, false);
	assert_rc(store_close(r->v.store));
	r->v.store = NULL;
	recorder_mark(r->recorder, r->ops);
	vault_io_close(r->io);
}

/* ---- judging a crash state ---- */

struct seen {
	size_t count;
	struct {
		size_t index;
		uint64_t node;
	} names[NAMES];
};

static int see_name(void *arg, struct bytes name, uint64_t cookie, const struct node *node) {
	struct seen *seen = arg;
	(void)cookie;
	if (name.size != 5 || memcmp(name.data, "file", 4) != 0 || seen->count == NAMES)
		return fault(EIO, "a name that was never made");
	seen->names[seen->count].index = (size_t)(name.data[4] - 'a');
	seen->names[seen->count++].node = node->id;
	return 0;
}

static int count_record(void *arg, const struct audit_entry *entry) {
	uint64_t *n = arg;
	char words[32];
	(void)snprintf(words, sizeof words, "op %lu", (unsigned long)++*n);
	return strcmp(entry->event.detail, words) == 0
	               ? 0
	               : fault(EIO, "record %s where %s should be", entry->event.detail, words);
}

static int see_file(Store *store, struct blake2b *hash, size_t index, uint64_t node, uint8_t *scratch) {
	Content *c = NULL;
	size_t got = 0;
	int rc = content_open(store, node, 0, &c);
	if (rc == 0)
		rc = content_read(c, 0, scratch, MOST_BYTES, &got);
	if (rc == 0)
		digest_file(hash, index, scratch, got);
	content_close(c);
	return rc;
}

static int see_state(Store *store, uint8_t ret[static DIGEST_BYTES]) {
	struct seen seen = {0};
	struct blake2b hash;
	uint64_t records = 0;
	struct audit_filter filter = {.exe = "crashtest"};
	Meta *m = store_meta(store);
	meta_begin(m);
	int rc = tree_list(m, NODE_LANDING, 0, 0, see_name, &seen, NULL);
	if (rc == 0)
		rc = audit_query(m, &filter, count_record, &records);
	rc = meta_end(m, rc);
	uint8_t *scratch = malloc(MOST_BYTES);
	blake2b_init(&hash, NULL);
	for (size_t i = 0; i < NAMES; i++) {
		for (size_t j = 0; j < seen.count && rc == 0; j++) {
			if (seen.names[j].index == i)
				rc = see_file(store, &hash, i, seen.names[j].node, scratch);
		}
	}
	free(scratch);
	digest_end(&hash, records, ret);
	return rc;
}

static int no_finding(void *arg, const struct fsck_finding *finding) {
	(void)arg;
	return fault(EBADMSG, "fsck: %s: %s", finding->file, finding->words);
}

/* Before the mount that recovers and after it there is nothing to find fault with. Not for each state, as it takes its
 * time. */
static int check_all(struct run *r, const char *directory) {
	struct store_secret secret = {.bytes = bytes_of_string(TEST_PASSPHRASE)};
	struct fsck_summary sum;
	return r->shown % 4 == 0 ? fsck_run(directory, &secret, no_finding, NULL, &sum) : 0;
}

static int judge(void *user, const char *directory, uint64_t acknowledged) {
	struct run *r = user;
	Store *store = NULL;
	struct store_options options = {.reserve_bytes = RESERVE_BYTES, .commit_ms = 3600 * 1000};
	uint8_t state[DIGEST_BYTES];
	int rc = check_all(r, directory);
	if (rc == 0)
		rc = test_vault_open(directory, &options, &store);
	if (rc == 0)
		rc = see_state(store, state);
	int close_rc = store_close(store);
	if (rc == 0 && close_rc == 0)
		rc = check_all(r, directory);
	if (rc < 0 || close_rc < 0)
		return print_error("%s\n", fault_message()), rc < 0 ? rc : close_rc;
	r->shown++;
	for (uint64_t k = acknowledged; k <= r->ops; k++) {
		if (memcmp(state, r->expected[k], DIGEST_BYTES) == 0) {
			r->matched_later += k > acknowledged;
			return 0;
		}
	}
	print_error("the vault shows no state that it had from op %lu on\n", (unsigned long)acknowledged);
	return -EIO;
}

static void a_power_loss_at_any_moment_loses_nothing_that_was_acknowledged(void **state) {
	struct run *r = *state;
	size_t states = chance_count("ASSAYFS_CRASH_STATES", STATES_DEFAULT), shown = 0;
	uint64_t kept = r->random = chance_seed();
	record_run(r, states > STATES_DEFAULT ? 120 : 60);
	int rc = recorder_each_crash_state(r->recorder, states, kept, judge, r, &shown);
	printf("%zu calls, %lu ops, %zu crash states, %zu of them after an unacknowledged commit, %zu small fsyncs\n",
	        recorder_count(r->recorder), (unsigned long)r->ops, shown, r->matched_later, r->logged);
	assert_true(r->logged > 0);
	assert_int_equal(rc, 0);
	assert_int_equal(shown, r->shown);
	assert_true(shown >= states / 2);
}

static int setup(void **state) {
	struct run *r = calloc(1, sizeof *r);
	assert_non_null(r);
	test_vault_make(&r->v);
	*state = r;
	return 0;
}

static int teardown(void **state) {
	struct run *r = *state;
	for (size_t i = 0; i < NAMES; i++)
		free(r->files[i].bytes);
	store_abandon(r->v.store);
	recorder_close(r->recorder);
	scratch_remove(r->v.path);
	free(r);
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                a_power_loss_at_any_moment_loses_nothing_that_was_acknowledged, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
