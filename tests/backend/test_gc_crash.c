/*
 * Power loss while segments are condemned, moved out of and removed, and while versions are erased. A run is recorded;
 * every moment of it (and a sample of what the disk may have made of it) is opened as a vault of its own, read,
 * collected once more and checked. What an erased version wrote stands in no segment then.
 *
 *     seal ── garbage ── seal ── walk ── commit ═ mark k ── walk: row out ── commit ── checkpoint ── unlink ── row out
 *                                                                  ╰─ a crash here: all that stood after op k is there,
 *                                                                     and two walks later nothing else
 */
#include "backend/erase.h"
#include "backend/fsck.h"
#include "backend/record.h"
#include "tests/backend/chance.h"
#include "tests/backend/gc_fixture.h"
#include "tests/backend/recorder.h"

#include <errno.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FILES 3
#define FILE_BYTES (2 * SEGMENT_BLOCK_BYTES + 100)
#define ROUNDS 14
#define MOST_OPS (ROUNDS + 1)
#define STATES_DEFAULT 250

struct run {
	struct test_vault v;
	Recorder *recorder;
	VaultIo *io;
	uint64_t nodes[FILES];
	uint64_t ops;
	uint8_t generations[MOST_OPS + 1][FILES]; /* after each op */
	uint64_t random;
	size_t shown;
	struct gc_totals done; /* since the crash in the middle */
};

static uint64_t draw(struct run *r, uint64_t below) {
	return chance_draw(&r->random, below);
}

static void pattern(uint8_t *bytes, size_t file, uint8_t generation) {
	for (size_t i = 0; i < FILE_BYTES; i++)
		bytes[i] = (uint8_t)(i / 251 + 16 * file + generation);
	bytes[0] = generation;
}

static void commit(struct run *r) {
	gc_commit(&r->v);
	recorder_mark(r->recorder, r->ops);
}

/* Blocks that nobody will ever see, in a segment of their own, most of it. */
static void garbage(struct run *r, Content *c) {
	gc_put_blocks(c, 0, 2 + draw(r, 90), 'g');
	if (draw(r, 2)) {
		gc_close_segments(&r->v);
		recorder_mark(r->recorder, r->ops);
	}
}

struct ids {
	uint64_t list[MOST_OPS];
	size_t count;
};

static int take_id(void *arg, const struct version *version) {
	struct ids *ids = arg;
	ids->list[ids->count++] = version->id;
	return 0;
}

/* All that the file ever was; what is written to it later counts from 1 again. */
static void erase(struct run *r, size_t file) {
	struct ids ids = {0};
	struct erased erased;
	Meta *m = store_meta(r->v.store);
	meta_begin(m);
	assert_rc(version_list(m, r->nodes[file], take_id, &ids));
	assert_rc(meta_end(m, erase_versions(r->v.store, ids.list, ids.count, NULL, NULL, &erased)));
	memcpy(r->generations[r->ops + 1], r->generations[r->ops], FILES);
	r->generations[++r->ops][file] = 0;
}

static void one_op(struct run *r) {
	static uint8_t bytes[FILE_BYTES];
	size_t file = draw(r, FILES);
	if (draw(r, 5) == 0) {
		erase(r, file);
		return;
	}
	Content *c = gc_open_content(&r->v, r->nodes[file]);
	garbage(r, c);
	if (draw(r, 4) == 0) {
		content_close(c);
		return;
	}
	memcpy(r->generations[r->ops + 1], r->generations[r->ops], FILES);
	uint8_t generation = ++r->generations[r->ops + 1][file];
	pattern(bytes, file, generation);
	assert_rc(content_truncate(c, FILE_BYTES));
	assert_rc(content_write(c, 0, bytes_of(bytes, FILE_BYTES)));
	gc_seal(c);
	content_close(c);
	r->ops++;
}

static void collect(struct run *r) {
	gc_walk_and_wait(&r->v);
	recorder_mark(r->recorder, r->ops);
}

static void open_recorded(struct run *r) {
	assert_rc(recorder_io(r->recorder, &r->io));
	r->v.options.io = r->io;
	assert_rc(test_vault_open(r->v.vault, &r->v.options, &r->v.store));
}

static void record_run(struct run *r) {
	assert_rc(recorder_open(r->v.vault, &r->recorder));
	open_recorded(r);
	for (int i = 0; i < ROUNDS; i++) {
		one_op(r);
		if (draw(r, 2))
			commit(r);
		if (draw(r, 2))
			collect(r);
		if (i == ROUNDS / 2) {
			commit(r);
			store_abandon(r->v.store);
			r->v.store = NULL;
			vault_io_close(r->io);
			open_recorded(r);
		}
	}
	for (int i = 0; i < 3; i++) {
		gc_close_segments(&r->v);
		collect(r);
	}
	r->done = gc_totals_of(&r->v);
	assert_rc(store_close(r->v.store));
	r->v.store = NULL;
	recorder_mark(r->recorder, r->ops);
	vault_io_close(r->io);
}

/* ---- judging a crash state ---- */

static int read_generation(Store *store, uint64_t node, size_t file, uint8_t *ret_generation) {
	static uint8_t bytes[FILE_BYTES + 1], want[FILE_BYTES];
	Content *c = NULL;
	size_t got = 0;
	*ret_generation = 0;
	int rc = content_open(store, node, 0, &c);
	if (rc == 0)
		rc = content_read(c, 0, bytes, sizeof bytes, &got);
	content_close(c);
	if (rc < 0 || got == 0)
		return rc;
	pattern(want, file, bytes[0]);
	if (got != FILE_BYTES || memcmp(bytes, want, FILE_BYTES) != 0)
		return fault(EIO, "file %zu shows what it never was", file);
	*ret_generation = bytes[0];
	return 0;
}

static int expect_state(const struct run *r, Store *store, uint64_t acknowledged) {
	uint8_t seen[FILES];
	for (size_t i = 0; i < FILES; i++) {
		int rc = read_generation(store, r->nodes[i], i, &seen[i]);
		if (rc < 0)
			return rc;
	}
	for (uint64_t k = acknowledged; k <= r->ops; k++) {
		if (memcmp(seen, r->generations[k], FILES) == 0)
			return 0;
	}
	return fault(EIO, "a state from before op %lu", (unsigned long)acknowledged);
}

static int no_finding(void *arg, const struct fsck_finding *finding) {
	(void)arg;
	return fault(EBADMSG, "fsck: %s: %s", finding->file, finding->words);
}

static int expect_sound(struct run *r, const char *directory) {
	struct store_secret secret = {.bytes = bytes_of_string(TEST_PASSPHRASE)};
	struct fsck_summary sum;
	return r->shown % 4 == 0 ? fsck_run(directory, &secret, no_finding, NULL, &sum) : 0;
}

static int expect_no_leavings(struct test_vault *v) {
	size_t files = gc_files(v, NULL), rows = gc_rows(v);
	char key[96] = "gc.unlink.";
	uint8_t value[16];
	size_t size;
	Meta *m = store_meta(v->store);
	meta_begin(m);
	int rc = meta_end(m, meta_kv_next(m, "gc.unlink.", key, key, sizeof key, value, sizeof value, &size));
	if (rc != -ENOENT)
		return fault(EIO, "%s is still to be unlinked", key);
	return files == rows ? 0 : fault(EIO, "%zu files for %zu segments", files, rows);
}

struct owned {
	Store *store;
	uint64_t version; /* erased, and still in a segment */
};

static int look_at_owners(void *arg, const struct segment_owner *owners, size_t n) {
	struct owned *owned = arg;
	struct version version;
	Meta *m = store_meta(owned->store);
	meta_begin(m);
	for (size_t i = 0; i < n && owned->version == 0; i++) {
		if (version_get(m, owners[i].version, &version) == 0 && version.state == VERSION_ERASED)
			owned->version = version.id;
	}
	meta_end(m, 0);
	return 0;
}

struct numbers {
	uint32_t list[256];
	size_t count;
};

static int take_number(void *arg, const struct segment_row *row) {
	struct numbers *numbers = arg;
	numbers->list[numbers->count++] = row->number;
	return numbers->count == 256;
}

static int expect_nothing_erased(struct test_vault *v) {
	struct numbers numbers = {0};
	struct owned owned = {.store = v->store};
	Meta *m = store_meta(v->store);
	meta_begin(m);
	int rc = meta_end(m, segment_row_list(m, take_number, &numbers));
	for (size_t i = 0; i < numbers.count && rc == 0; i++)
		rc = segment_owners(store_segments(v->store), numbers.list[i], look_at_owners, &owned);
	if (rc == 0 && owned.version != 0)
		rc = fault(
		        EIO, "a segment holds what version %lu wrote, which was erased", (unsigned long)owned.version);
	return rc;
}

static int judge(void *user, const char *directory, uint64_t acknowledged) {
	struct run *r = user;
	struct test_vault v = {.options = r->v.options};
	v.options.io = NULL;
	(void)snprintf(v.vault, sizeof v.vault, "%s", directory);
	int rc = expect_sound(r, directory);
	if (rc == 0)
		rc = test_vault_open(directory, &v.options, &v.store);
	if (rc == 0)
		rc = expect_state(r, v.store, acknowledged);
	for (int i = 0; i < 3 && rc == 0; i++) /* what has to go is moved out of first */
		gc_walk_and_wait(&v);
	if (rc == 0)
		rc = expect_no_leavings(&v);
	if (rc == 0)
		rc = expect_nothing_erased(&v);
	if (rc == 0)
		rc = expect_state(r, v.store, acknowledged);
	int close_rc = store_close(v.store);
	if (rc == 0)
		rc = close_rc < 0 ? close_rc : expect_sound(r, directory);
	if (rc < 0)
		print_error("%s\n", fault_message());
	r->shown++;
	return rc;
}

static void a_power_loss_loses_no_live_block_and_leaves_nothing_for_ever(void **state) {
	struct run *r = *state;
	size_t states = chance_count("ASSAYFS_CRASH_STATES", STATES_DEFAULT), shown = 0;
	uint64_t kept = r->random = chance_seed();
	record_run(r);
	int rc = recorder_each_crash_state(r->recorder, states, kept, judge, r, &shown);
	printf("%zu calls, %lu ops, %zu crash states, %lu segments removed (%lu as something was erased), %lu bytes "
	       "moved\n",
	        recorder_count(r->recorder), (unsigned long)r->ops, shown, (unsigned long)r->done.removed,
	        (unsigned long)r->done.purged, (unsigned long)r->done.moved);
	assert_int_equal(rc, 0);
	assert_true(r->done.removed > 0);
}

static int setup(void **state) {
	struct run *r = calloc(1, sizeof *r);
	assert_non_null(r);
	test_vault_make(&r->v);
	r->v.options = (struct store_options){
	        .reserve_bytes = 1 << 20, .commit_ms = 3600 * 1000, .gc_by_hand = true, .gc_grace_ms = 1};
	assert_rc(test_vault_open(r->v.vault, &r->v.options, &r->v.store));
	for (size_t i = 0; i < FILES; i++) {
		char name[8];
		(void)snprintf(name, sizeof name, "f%zu", i);
		r->nodes[i] = test_vault_create(&r->v, NODE_LANDING, name);
	}
	assert_rc(store_close(r->v.store));
	r->v.store = NULL;
	*state = r;
	return 0;
}

static int teardown(void **state) {
	struct run *r = *state;
	store_abandon(r->v.store);
	recorder_close(r->recorder);
	scratch_remove(r->v.path);
	free(r);
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                a_power_loss_loses_no_live_block_and_leaves_nothing_for_ever, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
