/* What repair puts right, what it must not touch, and that it may be cut off anywhere. */
#include "backend/audit.h"
#include "backend/fsck.h"
#include "tests/backend/recorder.h"
#include "tests/backend/test_vault.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct store_secret secret = {.bytes = {(const uint8_t *)TEST_PASSPHRASE, sizeof TEST_PASSPHRASE - 1}};

struct result {
	struct fsck_summary sum;
	size_t repaired, left;
	char text[16384];
};

static int note(void *arg, const struct fsck_finding *finding) {
	struct result *r = arg;
	size_t used = strlen(r->text);
	(void)snprintf(r->text + used, sizeof r->text - used, "%s [%s]: %s => %s\n", finding->file,
	        finding->path ? finding->path : "", finding->words, finding->repaired ? finding->repaired : "left");
	r->repaired += finding->repaired != NULL;
	r->left += finding->repaired == NULL;
	return 0;
}

static void repair(const char *vault, struct result *r) {
	memset(r, 0, sizeof *r);
	assert_rc(fsck_repair(vault, &secret, NULL, note, r, &r->sum));
	assert_int_equal(r->repaired, r->sum.repaired);
	assert_int_equal(r->left, r->sum.findings);
}

static size_t findings(const char *vault) {
	struct result r = {0};
	assert_rc(fsck_run(vault, &secret, note, &r, &r.sum));
	if (r.left)
		print_message("%s", r.text);
	return r.left;
}

/* ---- a vault with two files ---- */

static void put_file(Store *store, struct test_vault *v, const char *name, uint8_t byte) {
	uint8_t data[40000];
	Content *c = NULL;
	memset(data, byte, sizeof data);
	assert_rc(content_open(store, test_vault_create(v, NODE_LANDING, name), 0, &c));
	assert_rc(content_write(c, 0, bytes_of(data, sizeof data)));
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL));
	content_close(c);
}

static void close_vault(struct test_vault *v) {
	assert_rc(store_close(v->store));
	v->store = NULL;
}

static int setup(void **state) {
	test_vault_setup(state);
	struct test_vault *v = *state;
	put_file(v->store, v, "first", 1);
	test_vault_reopen(v);
	put_file(v->store, v, "second", 2);
	close_vault(v);
	return 0;
}

static bool reads(Store *store, const char *path, uint8_t byte) {
	uint8_t data[40000];
	size_t got = 0;
	struct node node;
	Content *c = NULL;
	Meta *m = store_meta(store);
	meta_begin(m);
	int rc = meta_end(m, tree_resolve(m, bytes_of_string(path), &node));
	if (rc == 0)
		rc = content_open(store, node.id, 0, &c);
	if (rc == 0)
		rc = content_read(c, 0, data, sizeof data, &got);
	content_close(c);
	bool right = rc == 0 && got == sizeof data;
	for (size_t i = 0; i < got; i++)
		right = right && data[i] == byte;
	return right;
}

static bool both_read(const char *vault) {
	struct store_options options = {.read_only = true};
	Store *store = NULL;
	assert_rc(test_vault_open(vault, &options, &store));
	bool right = reads(store, "Landing/first", 1) && reads(store, "Landing/second", 2);
	store_abandon(store);
	return right;
}

static void flip(const char *vault, const char *name, size_t at) {
	size_t size = 0;
	uint8_t *data = scratch_read(vault, name, &size);
	assert_in_range(at, 0, size - 1);
	data[at] ^= 8;
	scratch_write(vault, name, data, size);
	free(data);
}

static void lengthen(const char *vault, const char *name) {
	size_t size = 0;
	uint8_t *data = scratch_read(vault, name, &size);
	uint8_t *longer = calloc(1, size + 999);
	assert_non_null(longer);
	memcpy(longer, data, size);
	scratch_write(vault, name, longer, size + 999);
	free(longer);
	free(data);
}

/* All names of the vault below `directory`, and a sum over their bytes. */
struct files {
	char segments[8][128];
	size_t segment_count;
	uint64_t sum;
};

static void walk(const char *vault, const char *directory, struct files *files) {
	char path[512];
	(void)snprintf(path, sizeof path, "%s/%s", vault, directory);
	DIR *d = opendir(path);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		char name[512];
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof name, "%s%s%s", directory, *directory ? "/" : "", e->d_name);
		if (e->d_type == DT_DIR) {
			walk(vault, name, files);
			continue;
		}
		size_t size = 0;
		uint64_t sum = 0;
		uint8_t *data = scratch_read(vault, name, &size);
		for (size_t i = 0; i < strlen(name); i++)
			sum = sum * 1099511628211u + (uint8_t)name[i];
		for (size_t i = 0; i < size; i++)
			sum = sum * 1099511628211u + data[i];
		free(data);
		files->sum += sum; /* whatever their order */
		if (strncmp(name, "segments/", 9) == 0 && files->segment_count < 8)
			(void)snprintf(files->segments[files->segment_count++], 128, "%.127s", name);
	}
	closedir(d);
}

static struct files files_of(const char *vault) {
	struct files files = {0};
	walk(vault, "", &files);
	return files;
}

/* The newest pack's number. */
static unsigned last_pack(const char *vault) {
	char path[512];
	unsigned last = 0;
	for (unsigned n = 1; n < 100; n++) {
		(void)snprintf(path, sizeof path, "%s/meta/%u", vault, n);
		last = access(path, F_OK) == 0 ? n : last;
	}
	return last;
}

/* ---- what is put right ---- */

static void a_sound_vault_is_left_as_it_is(void **state) {
	struct test_vault *v = *state;
	struct result r;
	uint64_t before = files_of(v->vault).sum;
	repair(v->vault, &r);
	assert_string_equal(r.text, "");
	assert_true(files_of(v->vault).sum == before);
}

/* One of everything that has a second copy, or that is nobody's. */
static void damage_all(const char *vault) {
	char pack[32];
	(void)snprintf(pack, sizeof pack, "meta/%u", last_pack(vault));
	flip(vault, "meta.db", 3 * 4096 + 100);
	flip(vault, "meta.db", 7 * 4096 + 4090);
	lengthen(vault, "meta.db");
	flip(vault, "meta/anchor-2", 200);
	scratch_write(vault, "meta/4711", "stray", 5);
	flip(vault, "meta/1", 3);
	scratch_write(vault, "reserve", "not zero", 8);
	struct files files = files_of(vault);
	lengthen(vault, files.segments[0]);
}

static void assert_said(const struct result *r, const char *words) {
	if (!strstr(r->text, words))
		fail_msg("'%s' is not told:\n%s", words, r->text);
}

static void what_has_a_second_copy_is_put_right_and_told(void **state) {
	struct test_vault *v = *state;
	struct result r;
	damage_all(v->vault);
	repair(v->vault, &r);
	assert_int_equal(r.left, 0);
	assert_said(&r, "meta.db []: at 4: meta.db: page 4 does not authenticate => page 4 was damaged and is back");
	assert_said(&r, "meta.db []: at 8: ");
	assert_said(&r, "behind its last page => bytes behind the last page were cut off");
	assert_said(&r, "meta/anchor-2 []: it does not authenticate => it was written anew");
	assert_said(&r, "meta/4711 []: ");
	assert_said(&r, "=> it was removed");
	assert_said(&r, "=> a new base pack was written in its place");
	assert_said(&r, "reserve []: ");
	assert_said(&r, "bytes behind the end of the segment => they were cut off");
	assert_int_equal(r.repaired, 8);
	assert_int_equal(findings(v->vault), 0);
	assert_true(both_read(v->vault));
	/* A second run has nothing to do. */
	uint64_t before = files_of(v->vault).sum;
	repair(v->vault, &r);
	assert_string_equal(r.text, "");
	assert_true(files_of(v->vault).sum == before);
}

/* Opening does not read the pages in packs: only the repair finds out. */
static void a_damaged_page_in_a_pack_is_replaced(void **state) {
	struct test_vault *v = *state;
	struct result r;
	flip(v->vault, "meta/2", 4096 * 3);
	repair(v->vault, &r);
	assert_int_equal(r.left, 0);
	assert_int_equal(r.repaired, 1);
	assert_said(&r, "the pack's copy of this page does not authenticate => a new base pack");
	assert_int_equal(findings(v->vault), 0);
}

static int count_repairs(void *arg, const struct audit_entry *entry) {
	*(size_t *)arg += strstr(entry->line, "meta/anchor-1") != NULL;
	return 0;
}

static void a_repair_leaves_a_record(void **state) {
	struct test_vault *v = *state;
	struct result r;
	flip(v->vault, "meta/anchor-1", 100);
	repair(v->vault, &r);
	assert_int_equal(r.repaired, 1);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	size_t records = 0;
	Meta *m = store_meta(v->store);
	meta_begin(m);
	struct audit_filter filter = {.event = "repair"};
	assert_rc(meta_end(m, audit_query(m, &filter, count_repairs, &records)));
	assert_int_equal(records, 1);
}

static void a_lost_database_is_built_anew(void **state) {
	struct test_vault *v = *state;
	struct result r;
	char path[512];
	(void)snprintf(path, sizeof path, "%s/meta.db", v->vault);
	assert_int_equal(unlink(path), 0);
	repair(v->vault, &r);
	assert_int_equal(r.left, 0);
	assert_said(&r, "meta.db is missing");
	assert_said(&r, "=> it was built anew from the checkpoint packs");
	assert_true(both_read(v->vault));
	assert_int_equal(findings(v->vault), 0);
}

static void lost_packs_are_replaced_by_a_base(void **state) {
	struct test_vault *v = *state;
	struct result r;
	for (unsigned n = last_pack(v->vault); n > 0; n--) {
		char path[512];
		(void)snprintf(path, sizeof path, "%s/meta/%u", v->vault, n);
		(void)unlink(path);
	}
	repair(v->vault, &r);
	assert_int_equal(r.left, 0);
	assert_said(&r, "is missing");
	assert_true(both_read(v->vault));
	/* And now it can do without the database. */
	a_lost_database_is_built_anew(state);
}

/* A third file that was synced, then the end of the process: the log is there and open. */
static void crash_with_a_log(struct test_vault *v) {
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	put_file(v->store, v, "third", 3);
	assert_rc(store_commit_wait(v->store));
	store_abandon(v->store);
	v->store = NULL;
}

static void what_a_crash_left_is_still_recovered(void **state) {
	struct test_vault *v = *state;
	struct result r;
	crash_with_a_log(v);
	flip(v->vault, "meta/1", 3);
	flip(v->vault, "meta.db", 5 * 4096);
	repair(v->vault, &r);
	assert_int_equal(r.left, 0);
	assert_int_equal(r.repaired, 2);
	assert_true(r.sum.unclean);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_true(reads(v->store, "Landing/third", 3));
}

/* ---- what is left alone ---- */

static void a_damaged_block_is_left_and_its_file_named(void **state) {
	struct test_vault *v = *state;
	struct result r;
	struct files files = files_of(v->vault);
	flip(v->vault, files.segments[0], 20000);
	flip(v->vault, "meta.db", 5 * 4096 + 1);
	repair(v->vault, &r);
	assert_int_equal(r.repaired, 1);
	assert_true(r.left > 0);
	assert_true(strstr(r.text, "[Landing/first]") || strstr(r.text, "[Landing/second]"));
	assert_false(strstr(r.text, "[Landing/first]") && strstr(r.text, "[Landing/second]"));
}

static void strange_files_are_left(void **state) {
	struct test_vault *v = *state;
	struct result r;
	scratch_write(v->vault, "note.txt", "x", 1);
	scratch_write(v->vault, "meta/note", "x", 1);
	repair(v->vault, &r);
	assert_int_equal(r.repaired, 0);
	assert_int_equal(r.left, 2);
	assert_said(&r, "note.txt []: this does not belong to the vault => left");
}

static void a_mounted_vault_is_not_touched(void **state) {
	struct test_vault *v = *state;
	struct result r = {0};
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_int_equal(fsck_repair(v->vault, &secret, NULL, note, &r, &r.sum), -EBUSY);
}

static void a_wrong_passphrase_repairs_nothing(void **state) {
	struct test_vault *v = *state;
	struct result r = {0};
	const struct store_secret wrong = {.bytes = bytes_of_string("wrong")};
	flip(v->vault, "meta/anchor-1", 100);
	uint64_t before = files_of(v->vault).sum;
	assert_int_equal(fsck_repair(v->vault, &wrong, NULL, note, &r, &r.sum), -EKEYREJECTED);
	assert_true(files_of(v->vault).sum == before);
}

/* Neither is anything written, nor does the vault open afterwards. */
static void stays_refused(struct test_vault *v, const char *words) {
	struct result r;
	uint64_t before = files_of(v->vault).sum;
	repair(v->vault, &r);
	assert_int_equal(r.repaired, 0);
	assert_true(r.left > 0);
	assert_said(&r, words);
	assert_true(files_of(v->vault).sum == before);
	Store *store = NULL;
	assert_int_equal(test_vault_open(v->vault, &v->options, &store), -EBADMSG);
}

static void an_older_database_is_not_made_good_by_losing_the_packs(void **state) {
	struct test_vault *v = *state;
	size_t size = 0;
	char pack[32];
	uint8_t *older = scratch_read(v->vault, "meta.db", &size);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	close_vault(v); /* two records more, no segment */
	scratch_write(v->vault, "meta.db", older, size);
	free(older);
	(void)snprintf(pack, sizeof pack, "meta/%u", last_pack(v->vault));
	flip(v->vault, pack, 40);
	stays_refused(v, "older ones were put back");
}

static void without_anchors_nothing_is_made_good(void **state) {
	struct test_vault *v = *state;
	flip(v->vault, "meta/anchor-1", 100);
	flip(v->vault, "meta/anchor-2", 100);
	flip(v->vault, "meta.db", 4096);
	stays_refused(v, "nothing says which state is the newest");
}

/* The mount wrote no segment: nothing but the anchors knows that there was a log. */
static void a_log_that_was_taken_away_is_not_made_good(void **state) {
	struct test_vault *v = *state;
	char path[512];
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	store_abandon(v->store);
	v->store = NULL;
	(void)snprintf(path, sizeof path, "%s/meta.db-wal", v->vault);
	assert_int_equal(unlink(path), 0);
	flip(v->vault, "meta.db", 4096);
	stays_refused(v, "is gone or was emptied");
}

/* ---- what somebody decides to lose ---- */

static void accept_loss(struct test_vault *v, struct result *r) {
	const struct fsck_options options = {.accept_loss = true};
	memset(r, 0, sizeof *r);
	assert_rc(fsck_repair(v->vault, &secret, &options, note, r, &r->sum));
}

/* The lost mount left a segment, which the next one clears away. */
static void without_its_log_a_vault_goes_on_from_the_last_checkpoint_if_that_is_accepted(void **state) {
	struct test_vault *v = *state;
	struct result r;
	char path[512];
	crash_with_a_log(v);
	(void)snprintf(path, sizeof path, "%s/meta.db-wal", v->vault);
	assert_int_equal(unlink(path), 0);
	stays_refused(v, "is gone or was emptied");
	accept_loss(v, &r);
	assert_int_equal(r.left, 0);
	assert_said(&r, "and 0 frames of the log were accepted as the newest");
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_true(reads(v->store, "Landing/first", 1) && reads(v->store, "Landing/second", 2));
	assert_false(reads(v->store, "Landing/third", 3));
	close_vault(v);
	assert_int_equal(findings(v->vault), 0);
}

static void without_anchors_nothing_is_lost_but_certainty_if_that_is_accepted(void **state) {
	struct test_vault *v = *state;
	struct result r;
	crash_with_a_log(v);
	flip(v->vault, "meta/anchor-1", 9);
	flip(v->vault, "meta/anchor-2", 9);
	accept_loss(v, &r);
	assert_int_equal(r.left, 0);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_true(reads(v->store, "Landing/third", 3));
}

static void a_damaged_log_is_dropped_if_that_is_accepted(void **state) {
	struct test_vault *v = *state;
	struct result r;
	size_t size = 0;
	crash_with_a_log(v);
	uint8_t *log = scratch_read(v->vault, "meta.db-wal", &size);
	log[size / 2] ^= 1;
	scratch_write(v->vault, "meta.db-wal", log, size);
	free(log);
	stays_refused(v, "were durable");
	accept_loss(v, &r);
	assert_int_equal(r.left, 0);
	assert_true(both_read(v->vault));
}

/* That decision is about commits, not about pages. */
static void older_pages_are_not_accepted_even_then(void **state) {
	struct test_vault *v = *state;
	struct result r;
	size_t size = 0;
	char pack[32];
	uint8_t *older = scratch_read(v->vault, "meta.db", &size);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	close_vault(v);
	scratch_write(v->vault, "meta.db", older, size);
	free(older);
	(void)snprintf(pack, sizeof pack, "meta/%u", last_pack(v->vault));
	flip(v->vault, pack, 40);
	uint64_t before = files_of(v->vault).sum;
	accept_loss(v, &r);
	assert_int_equal(r.repaired, 0);
	assert_true(r.left > 0);
	flip(v->vault, "meta/anchor-1", 9);
	flip(v->vault, "meta/anchor-2", 9);
	accept_loss(v, &r);
	assert_true(r.left > 0);
	flip(v->vault, "meta/anchor-1", 9);
	flip(v->vault, "meta/anchor-2", 9);
	assert_true(files_of(v->vault).sum == before);
}

/* ---- cut off in the middle ---- */

static int judge(void *user, const char *directory, uint64_t acknowledged) {
	(void)user;
	(void)acknowledged;
	struct result r;
	repair(directory, &r);
	if (r.left > 0 || !both_read(directory)) {
		print_message("after the second run:\n%s", r.text);
		return -EBADMSG;
	}
	return 0;
}

static void replay_repair(struct test_vault *v, size_t limit) {
	Recorder *recorder = NULL;
	VaultIo *io = NULL;
	struct result r = {0};
	const char *asked = getenv("ASSAYFS_CRASH_STATES"), *seed = getenv("ASSAYFS_SEED");
	size_t states = 0;
	assert_rc(recorder_open(v->vault, &recorder));
	assert_rc(recorder_io(recorder, &io));
	const struct fsck_options options = {.io = io};
	int rc = fsck_repair(v->vault, &secret, &options, note, &r, &r.sum);
	vault_io_close(io);
	assert_rc(rc);
	assert_int_equal(r.left, 0);
	rc = recorder_each_crash_state(recorder, asked ? strtoul(asked, NULL, 10) : limit,
	        seed ? strtoull(seed, NULL, 10) : 20261123, judge, NULL, &states);
	print_message("%zu crash states of %zu calls\n", states, recorder_count(recorder));
	recorder_close(recorder);
	assert_int_equal(rc, 0);
}

static void a_repair_may_be_interrupted_anywhere_and_run_again(void **state) {
	struct test_vault *v = *state;
	damage_all(v->vault);
	replay_repair(v, 120);
}

static void a_rebuild_may_be_interrupted_anywhere_and_run_again(void **state) {
	struct test_vault *v = *state;
	char path[512];
	(void)snprintf(path, sizeof path, "%s/meta.db", v->vault);
	assert_int_equal(unlink(path), 0);
	flip(v->vault, "meta/anchor-1", 7);
	replay_repair(v, 80);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, test_vault_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        TEST(a_sound_vault_is_left_as_it_is),
	        TEST(what_has_a_second_copy_is_put_right_and_told),
	        TEST(a_damaged_page_in_a_pack_is_replaced),
	        TEST(a_repair_leaves_a_record),
	        TEST(a_lost_database_is_built_anew),
	        TEST(lost_packs_are_replaced_by_a_base),
	        TEST(what_a_crash_left_is_still_recovered),
	        TEST(a_damaged_block_is_left_and_its_file_named),
	        TEST(strange_files_are_left),
	        TEST(a_mounted_vault_is_not_touched),
	        TEST(a_wrong_passphrase_repairs_nothing),
	        TEST(an_older_database_is_not_made_good_by_losing_the_packs),
	        TEST(without_anchors_nothing_is_made_good),
	        TEST(a_log_that_was_taken_away_is_not_made_good),
	        TEST(without_its_log_a_vault_goes_on_from_the_last_checkpoint_if_that_is_accepted),
	        TEST(without_anchors_nothing_is_lost_but_certainty_if_that_is_accepted),
	        TEST(a_damaged_log_is_dropped_if_that_is_accepted),
	        TEST(older_pages_are_not_accepted_even_then),
	        TEST(a_repair_may_be_interrupted_anywhere_and_run_again),
	        TEST(a_rebuild_may_be_interrupted_anywhere_and_run_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
