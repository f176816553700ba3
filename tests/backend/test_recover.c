/* A vault made anew from its backup: what comes back, what stands in its way, and what an interruption leaves. */
#include "backend/backup/recover.h"

#include "backend/audit.h"
#include "backend/backup/backup.h"
#include "backend/backup/layout.h"
#include "backend/backup/recall.h"
#include "backend/fsck.h"
#include "backend/store_internal.h"
#include "crypto/digest.h"
#include "tests/backend/gc_fixture.h"
#include "tests/backend/shelf.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCKS 24

struct world {
	struct test_vault *v;
	Shelf *shelf;
	char target[72], state[96];
	struct objects_place place;
	struct recover_options options;
	struct recover_summary sum;
	char notices[4096];
};

static void hear(void *arg, const char *words) {
	struct world *w = arg;
	size_t used = strlen(w->notices);
	(void)snprintf(w->notices + used, sizeof w->notices - used, "%s\n", words);
}

static void write_file(struct test_vault *v, const char *name, uint8_t mark) {
	Content *c = gc_open_content(v, test_vault_create(v, NODE_LANDING, name));
	gc_put_blocks(c, 0, BLOCKS, mark);
	gc_seal(c);
	content_close(c);
	gc_close_segments(v);
}

static void rewrite_file(struct test_vault *v, const char *name, uint8_t mark) {
	struct node node;
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, tree_lookup(m, NODE_LANDING, bytes_of_string(name), &node)));
	Content *c = gc_open_content(v, node.id);
	gc_put_blocks(c, 0, BLOCKS, mark);
	gc_seal(c);
	content_close(c);
	gc_commit(v);
}

/* Two generations: of `a` as 'x', and of `a` as 'y' with `b`. */
static int setup(void **state) {
	struct world *w = calloc(1, sizeof *w);
	void *v = NULL;
	assert_non_null(w);
	assert_int_equal(gc_fixture_setup(&v), 0);
	w->v = v;
	w->shelf = shelf_new();
	(void)snprintf(w->target, sizeof w->target, "%s/again", w->v->path);
	(void)snprintf(w->state, sizeof w->state, "%s/state", w->v->path);
	w->place = (struct objects_place){.url = SHELF_URL};
	w->options = (struct recover_options){.notice = hear, .arg = w, .open = shelf_open, .open_arg = w->shelf};
	write_file(w->v, "a", 'x');
	shelf_ship(w->shelf, w->v->store, 1);
	rewrite_file(w->v, "a", 'y');
	write_file(w->v, "b", 'b');
	shelf_ship(w->shelf, w->v->store, 2);
	*state = w;
	return 0;
}

static int teardown(void **state) {
	struct world *w = *state;
	void *v = w->v;
	shelf_free(w->shelf);
	free(w);
	return test_vault_teardown(&v);
}

static int recover_as(struct world *w, const char *passphrase) {
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(passphrase)};
	return recover_vault(&w->place, w->target, &secret, &w->options, &w->sum);
}

static int recover(struct world *w) {
	return recover_as(w, TEST_PASSPHRASE);
}

/* The recovered vault, open: segments come when they are wanted. */
static struct test_vault open_again(struct world *w) {
	static struct recall_means means;
	means = (struct recall_means){.open = shelf_open, .open_arg = w->shelf};
	struct test_vault again = {.options = {.reserve_bytes = 8 << 20,
	                                   .gc_by_hand = true,
	                                   .recall_by_hand = true,
	                                   .recall = &means,
	                                   .notice = hear,
	                                   .notice_arg = w}};
	(void)snprintf(again.vault, sizeof again.vault, "%s", w->target);
	assert_rc(test_vault_open(w->target, &again.options, &again.store));
	return again;
}

static int read_blocks(struct test_vault *v, const char *name, uint8_t *ret_first) {
	struct node node;
	uint8_t block[2];
	size_t got = 0;
	Content *c = NULL;
	Meta *m = store_meta(v->store);
	meta_begin(m);
	int rc = meta_end(m, tree_lookup(m, NODE_LANDING, bytes_of_string(name), &node));
	if (rc < 0)
		return rc;
	assert_rc(content_open(v->store, node.id, 0, &c));
	assert_int_equal(content_size(c), BLOCKS * SEGMENT_BLOCK_BYTES);
	for (unsigned i = 0; i < BLOCKS && rc == 0; i++)
		rc = content_read(c, (uint64_t)i * SEGMENT_BLOCK_BYTES + SEGMENT_BLOCK_BYTES - 1, block, 1, &got);
	*ret_first = block[0];
	content_close(c);
	return rc;
}

static void expect_file(struct test_vault *v, const char *name, uint8_t mark) {
	struct node node;
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, tree_lookup(m, NODE_LANDING, bytes_of_string(name), &node)));
	Content *c = gc_open_content(v, node.id);
	gc_expect_blocks(c, 0, BLOCKS, mark);
	content_close(c);
}

static int count_event(void *arg, const struct audit_entry *entry) {
	struct world *w = arg;
	hear(w, entry->event.event);
	if (entry->event.detail)
		hear(w, entry->event.detail);
	return 0;
}

static void expect_record(struct world *w, struct test_vault *v, const char *event, const char *detail) {
	Meta *m = store_meta(v->store);
	w->notices[0] = '\0';
	meta_begin(m);
	assert_rc(meta_end(m, audit_query(m, &(struct audit_filter){.event = event}, count_event, w)));
	if (!strstr(w->notices, detail))
		fail_msg("no record %s with %s, but %s", event, detail, w->notices);
}

static int tell_finding(void *arg, const struct fsck_finding *finding) {
	char line[FSCK_WORDS_BYTES + 200];
	(void)snprintf(line, sizeof line, "of %s: %s", finding->path ? finding->path : "-", finding->words);
	hear(arg, line);
	return 0;
}

static void expect_sound(struct world *w) {
	struct fsck_summary sum;
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(TEST_PASSPHRASE)};
	w->notices[0] = '\0';
	assert_rc(fsck_run(w->target, &secret, tell_finding, w, &sum));
	if (sum.findings)
		fail_msg("fsck found: %s", w->notices);
}

static bool is_there(struct world *w, const char *name) {
	char path[256];
	(void)snprintf(path, sizeof path, "%s/%s", w->target, name);
	return access(path, F_OK) == 0;
}

/* ---- what comes back ---- */

static void all_is_there_and_sound_with_full(void **state) {
	struct world *w = *state;
	w->options.full = true;
	assert_rc(recover(w));
	assert_int_equal(w->sum.generation, 2);
	assert_int_equal(w->sum.missing, 0);
	assert_true(w->sum.segments >= 2);
	assert_int_equal(w->sum.segments_fetched, w->sum.segments);
	assert_int_equal(w->sum.bytes_fetched, w->sum.bytes);
	assert_false(is_there(w, "origin"));
	expect_sound(w);
	struct test_vault again = open_again(w);
	assert_null(store_recall(again.store));
	expect_file(&again, "a", 'y');
	expect_file(&again, "b", 'b');
	expect_record(w, &again, "recover", "generation 2");
	assert_rc(store_close(again.store));
}

static void segments_come_when_they_are_first_read(void **state) {
	struct world *w = *state;
	struct recall_status status;
	assert_rc(recover(w));
	assert_true(is_there(w, "origin"));
	assert_int_equal(w->sum.segments_fetched, 0);
	struct test_vault again = open_again(w);
	recall_status(store_recall(again.store), &status);
	assert_int_equal(status.missing_segments, status.segments);
	size_t before = shelf_gets(w->shelf);
	expect_file(&again, "b", 'b');
	assert_true(shelf_gets(w->shelf) > before);
	recall_status(store_recall(again.store), &status);
	assert_int_equal(status.missing_segments, status.segments - 1);
	before = shelf_gets(w->shelf);
	expect_file(&again, "b", 'b');
	assert_int_equal(shelf_gets(w->shelf), before);
	assert_rc(store_close(again.store));

	/* Mounted again before all is there; then the rest. */
	again = open_again(w);
	expect_file(&again, "a", 'y');
	uint64_t bytes = 0;
	int rc;
	while ((rc = recall_next(store_recall(again.store), &bytes)) == 1)
		;
	assert_rc(rc);
	assert_false(is_there(w, "origin"));
	recall_status(store_recall(again.store), &status);
	assert_int_equal(status.missing_segments, 0);
	assert_rc(store_close(again.store));
	expect_sound(w);
}

static void the_rest_is_fetched_by_a_second_call(void **state) {
	struct world *w = *state;
	assert_rc(recover(w));
	struct test_vault again = open_again(w);
	write_file(&again, "new", 'n');
	assert_rc(store_close(again.store));
	w->options.full = true;
	assert_rc(recover(w));
	assert_false(is_there(w, "origin"));
	expect_sound(w);
	again = open_again(w);
	expect_file(&again, "new", 'n');
	expect_file(&again, "a", 'y');
	assert_rc(store_close(again.store));
	assert_rc(recover(w));
	assert_true(w->sum.was_whole);
	w->options.full = false;
	assert_int_equal(recover(w), -ENOTEMPTY);
}

static void another_vaults_directory_is_not_all_of_this_one(void **state) {
	struct world *w = *state;
	struct test_vault other = {.options = w->v->options};
	test_vault_make(&other);
	(void)snprintf(w->target, sizeof w->target, "%s", other.vault);
	w->options.full = true;
	assert_int_equal(recover(w), -ENOTEMPTY);
	scratch_remove(other.path);
}

struct generations {
	struct recover_generation list[8];
	size_t count;
};

static int take_generation(void *arg, const struct recover_generation *generation) {
	struct generations *generations = arg;
	generations->list[generations->count++] = *generation;
	return 0;
}

static void an_earlier_generation_can_be_chosen(void **state) {
	struct world *w = *state;
	struct generations found = {0};
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(TEST_PASSPHRASE)};
	uint8_t first;
	assert_rc(recover_list(&w->place, &secret, &w->options, take_generation, &found));
	assert_int_equal(found.count, 2);
	assert_int_equal(found.list[0].number, 2);
	assert_true(found.list[0].time_ns > found.list[1].time_ns);
	w->options.at_ns = found.list[1].time_ns - 1;
	assert_int_equal(recover(w), -ENOENT);
	assert_non_null(strstr(fault_message(), "oldest"));
	assert_int_not_equal(access(w->target, F_OK), 0);
	w->options.at_ns = found.list[0].time_ns - 1;
	w->options.full = true;
	assert_rc(recover(w));
	assert_int_equal(w->sum.generation, 1);
	expect_sound(w);
	assert_null(strstr(w->notices, "future"));
	struct test_vault again = open_again(w);
	expect_file(&again, "a", 'x');
	assert_int_equal(read_blocks(&again, "b", &first), -ENOENT);
	assert_rc(store_close(again.store));
}

static void what_was_begun_of_one_time_is_not_gone_on_with_for_another(void **state) {
	struct world *w = *state;
	struct generations found = {0};
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(TEST_PASSPHRASE)};
	assert_rc(recover_list(&w->place, &secret, &w->options, take_generation, &found));
	w->options.at_ns = found.list[1].time_ns;
	assert_rc(recover(w));
	assert_int_equal(w->sum.generation, 1);
	w->options.at_ns = found.list[0].time_ns;
	assert_int_equal(recover(w), -EEXIST);
	assert_non_null(strstr(fault_message(), "generation 1"));
	w->options.at_ns = found.list[1].time_ns;
	assert_rc(recover(w));
	w->options.at_ns = 0;
	assert_rc(recover(w));
	assert_int_equal(w->sum.generation, 1);
	assert_non_null(strstr(w->notices, "generation 1"));
}

static void a_time_in_the_future_is_the_newest_generation(void **state) {
	struct world *w = *state;
	w->options.at_ns = INT64_MAX / 2;
	assert_rc(recover(w));
	assert_int_equal(w->sum.generation, 2);
	assert_non_null(strstr(w->notices, "in the future"));
}

static void the_recovered_vault_ships_on_to_the_same_place(void **state) {
	struct world *w = *state;
	struct backup_target rule = {.url = SHELF_URL};
	const struct actor actor = {0};
	const struct backup_options options = {.rpo_ms = 20, .open = shelf_open, .open_arg = w->shelf};
	Backup *backup = NULL;
	char name[OBJECT_NAME_MAX + 1];
	/* A pack of a generation that was not completed: the next one of that number is another. */
	uint64_t newest = strtoull(
	        shelf_name(w->shelf, "meta/", shelf_count(w->shelf, "meta/") - 1, name) + strlen("meta/"), NULL, 16);
	layout_part_name(newest + 1, 0, name);
	shelf_put(w->shelf, name, "torn", 4);
	assert_rc(recover(w));
	struct test_vault again = open_again(w);
	expect_file(&again, "a", 'y');
	assert_rc(backup_open(again.store, &options, &backup));
	assert_rc(backup_add(backup, &rule, false, &actor));
	write_file(&again, "c", 'c');
	assert_rc(backup_sync(backup, NULL, 20000));
	backup_close(backup, 0);
	assert_rc(store_close(again.store));
	scratch_remove(w->target);
	w->options.full = true;
	assert_rc(recover(w));
	assert_true(w->sum.generation > 2);
	assert_int_equal(w->sum.missing, 0);
	expect_sound(w);
	again = open_again(w);
	expect_file(&again, "a", 'y');
	expect_file(&again, "c", 'c');
	assert_rc(store_close(again.store));
}

static void what_is_remembered_of_the_vault_outside_is_replaced(void **state) {
	struct world *w = *state;
	w->options.state_directory = w->state;
	w->v->options.state_directory = w->state;
	test_vault_reopen(w->v);
	write_file(w->v, "c", 'c');
	assert_rc(store_close(w->v->store));
	w->v->store = NULL;
	assert_rc(recover(w));
	struct test_vault again = open_again(w);
	expect_record(w, &again, "accept-restore", "records");
	assert_rc(store_close(again.store));
	again.options.state_directory = w->state;
	assert_rc(test_vault_open(w->target, &again.options, &again.store));
	assert_rc(store_close(again.store));
}

/* ---- what stands in its way ---- */

static void a_wrong_passphrase_makes_nothing(void **state) {
	struct world *w = *state;
	assert_int_equal(recover_as(w, "incorrect horse"), -EKEYREJECTED);
	assert_int_not_equal(access(w->target, F_OK), 0);
}

static void an_empty_place_says_so(void **state) {
	struct world *w = *state;
	Shelf *empty = shelf_new();
	w->options.open_arg = empty;
	assert_int_equal(recover(w), -ENOENT);
	assert_non_null(strstr(fault_message(), SHELF_URL));
	assert_int_not_equal(access(w->target, F_OK), 0);
	shelf_free(empty);
}

static void a_directory_with_something_in_it_is_left_alone(void **state) {
	struct world *w = *state;
	assert_int_equal(mkdir(w->target, 0700), 0);
	scratch_write(w->target, "mine", "mine", 4);
	assert_int_equal(recover(w), -ENOTEMPTY);
	assert_false(is_there(w, "origin"));
	assert_true(is_there(w, "mine"));
}

static void one_begun_from_elsewhere_is_left_alone(void **state) {
	struct world *w = *state;
	assert_rc(recover(w));
	w->place.url = "s3://another/place";
	assert_int_equal(recover(w), -EEXIST);
	assert_non_null(strstr(fault_message(), SHELF_URL));
	w->place.url = SHELF_URL;
	w->options.at_ns = 1;
	assert_int_equal(recover(w), -ENOENT);
}

static void a_place_with_another_vaults_objects_is_no_backup(void **state) {
	struct world *w = *state;
	struct test_vault other = {.options = w->v->options};
	char name[OBJECT_NAME_MAX + 1];
	test_vault_make(&other);
	assert_rc(test_vault_open(other.vault, &other.options, &other.store));
	Shelf *mixed = shelf_new();
	shelf_ship(mixed, other.store, 1);
	/* Its header opens with the same passphrase; its superblock is not of that vault. */
	(void)shelf_name(mixed, "super/", 0, name);
	shelf_ship(w->shelf, other.store, 3);
	w->options.full = true;
	shelf_erase(w->shelf, "super/0000000000000001");
	shelf_erase(w->shelf, "super/0000000000000002");
	shelf_flip(w->shelf, "super/0000000000000003", 100);
	assert_int_equal(recover(w), -EBADMSG);
	assert_non_null(strstr(fault_message(), "super/0000000000000003"));
	shelf_free(mixed);
	store_abandon(other.store);
	scratch_remove(other.path);
}

/* ---- damage ---- */

typedef void damage_fn(Shelf *shelf, const char *name, const char *another);

static void flip(Shelf *shelf, const char *name, const char *another) {
	(void)another;
	shelf_flip(shelf, name, 90);
}

static void cut(Shelf *shelf, const char *name, const char *another) {
	(void)another;
	shelf_cut(shelf, name, 80);
}

static void erase(Shelf *shelf, const char *name, const char *another) {
	(void)another;
	shelf_erase(shelf, name);
}

static void swap(Shelf *shelf, const char *name, const char *another) {
	shelf_swap(shelf, name, another);
}

static damage_fn *const damages[] = {flip, cut, erase, swap};

/* The newest object below the prefix; and the other side of a swap: an object of the same kind, or of another. */
static void names_of(struct world *w, const char *prefix, char *ret_name, char *ret_another) {
	size_t count = shelf_count(w->shelf, prefix);
	(void)shelf_name(w->shelf, prefix, count - 1, ret_name);
	(void)shelf_name(w->shelf, count > 1 ? prefix : "meta/", 0, ret_another);
}

static void damage_of_metadata_is_named_and_no_vault_is_made(void **state) {
	struct world *w = *state;
	char name[OBJECT_NAME_MAX + 1], another[OBJECT_NAME_MAX + 1];
	shelf_forget_versions(w->shelf);
	shelf_erase(w->shelf, "super/0000000000000001"); /* else the older generation is taken */
	for (size_t p = 0; p < 3; p++) {
		static const char *const prefixes[] = {"header/", "meta/", "super/"};
		for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
			Shelf *shelf = w->shelf;
			w->shelf = shelf_new();
			w->options.open_arg = w->shelf;
			shelf_forget_versions(w->shelf);
			shelf_ship(w->shelf, w->v->store, 2);
			names_of(w, prefixes[p], name, another);
			damages[i](w->shelf, name, another);
			int rc = recover(w);
			if (rc != -EBADMSG && rc != -ENOENT)
				fail_msg("%s, damage %zu: %d: %s", name, i, rc, fault_message());
			if (damages[i] != erase && !strstr(fault_message(), name) && !strstr(fault_message(), another))
				fail_msg("%s is not named in: %s", name, fault_message());
			assert_false(is_there(w, "vault.json"));
			if (access(w->target, F_OK) == 0)
				scratch_remove(w->target);
			shelf_free(w->shelf);
			w->shelf = shelf;
			w->options.open_arg = shelf;
		}
	}
}

/* A vault.json that opens for nobody here, with a newer generation's number. */
static void put_foreign_header(struct world *w, uint64_t generation, const char *passphrase) {
	static uint8_t json[1 << 16];
	uint8_t hash[DIGEST_BYTES];
	char directory[80], path[100], name[LAYOUT_NAME_BYTES], recovery[STORE_RECOVERY_TEXT_BYTES];
	const struct store_init_options options = {.argon_memory = 8192, .argon_passes = 1};
	(void)snprintf(directory, sizeof directory, "%s/other", w->v->path);
	assert_rc(store_init(directory, bytes_of_string(passphrase), &options, recovery));
	(void)snprintf(path, sizeof path, "%s/vault.json", directory);
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	size_t size = fread(json, 1, sizeof json, file);
	(void)fclose(file);
	blake2b(bytes_of(json, size), hash);
	layout_header_name(generation, hash, name);
	shelf_put(w->shelf, name, json, size);
	scratch_remove(directory);
}

static void headers_that_somebody_put_there_are_got_around(void **state) {
	struct world *w = *state;
	for (unsigned i = 0; i < 5; i++)
		put_foreign_header(w, 9999999999u - i, "not this one");
	/* Opens, and no superblock does. */
	put_foreign_header(w, 9999999990u, TEST_PASSPHRASE);
	assert_rc(recover(w));
	assert_int_equal(w->sum.generation, 2);
	assert_non_null(strstr(w->notices, "going on with header/"));
	scratch_remove(w->target);
	assert_int_equal(recover_as(w, "incorrect horse"), -EKEYREJECTED);
	assert_non_null(strstr(fault_message(), "7 headers"));
	assert_non_null(strstr(fault_message(), "none opened by this secret"));
}

static void superblocks_that_are_all_removed_are_told_of(void **state) {
	struct world *w = *state;
	shelf_forget_versions(w->shelf);
	shelf_erase(w->shelf, "super/0000000000000001");
	shelf_erase(w->shelf, "super/0000000000000002");
	assert_int_equal(recover(w), -ENOENT);
	assert_non_null(strstr(fault_message(), "its superblocks were removed"));
}

static void a_listing_tells_of_damage_to_the_newest_only(void **state) {
	struct world *w = *state;
	struct generations found = {0};
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(TEST_PASSPHRASE)};
	shelf_forget_versions(w->shelf);
	shelf_flip(w->shelf, "super/0000000000000001", 100);
	assert_rc(recover_list(&w->place, &secret, &w->options, take_generation, &found));
	assert_int_equal(found.count, 1);
	assert_string_equal(w->notices, "");
	shelf_flip(w->shelf, "super/0000000000000001", 100);
	shelf_flip(w->shelf, "super/0000000000000002", 100);
	assert_rc(recover_list(&w->place, &secret, &w->options, take_generation, &found));
	assert_non_null(strstr(w->notices, "super/0000000000000002"));
}

/* Another recovery of the same path, which ends while this one still waits for the place. */
struct other_recovery {
	struct world *w;
	bool is_done;
};

static int open_after_another(const struct objects_place *place, Objects **ret, void *arg) {
	struct other_recovery *other = arg;
	struct world *w = other->w;
	if (!other->is_done) {
		other->is_done = true;
		assert_rc(recover(w));
		struct test_vault again = open_again(w);
		write_file(&again, "newer", 'n');
		assert_rc(store_close(again.store));
	}
	return shelf_open(place, ret, w->shelf);
}

static void of_two_recoveries_the_slower_one_breaks_nothing(void **state) {
	struct world *w = *state;
	struct other_recovery other = {.w = w};
	struct recover_options slower = w->options;
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(TEST_PASSPHRASE)};
	struct recover_summary sum;
	slower.open = open_after_another;
	slower.open_arg = &other;
	assert_rc(recover_vault(&w->place, w->target, &secret, &slower, &sum));
	struct test_vault again = open_again(w);
	expect_file(&again, "newer", 'n');
	expect_file(&again, "a", 'y');
	assert_int_equal(recover(w), -EBUSY);
	assert_rc(store_close(again.store));
}

static void an_older_generation_stands_in_for_a_damaged_superblock(void **state) {
	struct world *w = *state;
	shelf_forget_versions(w->shelf);
	shelf_flip(w->shelf, "super/0000000000000002", 100);
	w->options.full = true;
	assert_rc(recover(w));
	assert_int_equal(w->sum.generation, 1);
	assert_non_null(strstr(w->notices, "super/0000000000000002"));
	expect_sound(w);
}

/* With versions in the bucket all of it comes back, whatever was put on top. */
static void earlier_versions_stand_in_for_what_was_put_over_them(void **state) {
	struct world *w = *state;
	char names[64][OBJECT_NAME_MAX + 1];
	size_t count = shelf_count(w->shelf, "");
	assert_true(count <= 64);
	for (size_t i = 0; i < count; i++)
		(void)shelf_name(w->shelf, "", i, names[i]);
	for (size_t i = 0; i < count; i++) {
		if (i % 3 == 0)
			shelf_remove(w->shelf, names[i]);
		else if (i % 3 == 1)
			shelf_put(w->shelf, names[i], "garbage", 7);
	}
	w->options.full = true;
	assert_rc(recover(w));
	assert_int_equal(w->sum.generation, 2);
	assert_int_equal(w->sum.missing, 0);
	expect_sound(w);
	struct test_vault again = open_again(w);
	expect_file(&again, "a", 'y');
	expect_file(&again, "b", 'b');
	assert_rc(store_close(again.store));
}

/* Of the right length: only what verifies tells them apart. */
static void extents_of_the_right_length_are_told_apart_by_what_verifies(void **state) {
	struct world *w = *state;
	char name[OBJECT_NAME_MAX + 1];
	size_t count = shelf_count(w->shelf, "segments/");
	uint8_t *zeros = calloc(1, 200000);
	assert_non_null(zeros);
	for (size_t i = 0; i < count; i++) {
		unsigned from, to;
		(void)shelf_name(w->shelf, "segments/", i, name);
		assert_int_equal(sscanf(strrchr(name, '/') + 1, "%8x-%8x", &from, &to), 2);
		if (i % 2 == 0)
			shelf_put(w->shelf, name, zeros, to - from);
	}
	free(zeros);
	w->options.full = true;
	assert_rc(recover(w));
	assert_int_equal(w->sum.missing, 0);
	expect_sound(w);
}

static void parts_beyond_a_pack_are_none_of_it(void **state) {
	struct world *w = *state;
	char names[16][OBJECT_NAME_MAX + 1], name[OBJECT_NAME_MAX + 1];
	size_t count = shelf_count(w->shelf, "meta/");
	assert_true(count > 0 && count <= 16);
	for (size_t i = 0; i < count; i++)
		(void)shelf_name(w->shelf, "meta/", i, names[i]);
	for (size_t i = 0; i < count; i++)
		for (char part = '1'; part < '8'; part = (char)(part + 2)) {
			(void)snprintf(name, sizeof name, "%s", names[i]);
			name[strlen(name) - 1] = part;
			shelf_put(w->shelf, name, "x", part == '5' ? 0 : 1);
		}
	w->options.full = true;
	assert_rc(recover(w));
	assert_int_equal(w->sum.generation, 2);
	expect_sound(w);
}

/* Beside each extent one that reaches farther, or overlaps all of them, and is garbage. */
static void extents_that_somebody_put_there_are_got_around(void **state) {
	struct world *w = *state;
	char names[16][OBJECT_NAME_MAX + 1];
	size_t count = shelf_count(w->shelf, "segments/");
	uint8_t *garbage = calloc(1, 2 << 20);
	assert_non_null(garbage);
	assert_true(count > 0 && count <= 16);
	for (size_t i = 0; i < count; i++)
		(void)shelf_name(w->shelf, "segments/", i, names[i]);
	for (size_t i = 0; i < count; i++) {
		struct layout_name parsed;
		char name[LAYOUT_NAME_BYTES];
		layout_parse(names[i], &parsed);
		layout_extent_name(parsed.id, 0, 2 << 20, name);
		shelf_put(w->shelf, name, garbage, 2 << 20);
		/* Within the length, so that these come first. */
		layout_extent_name(parsed.id, parsed.from > 0 ? parsed.from - 1 : 0, parsed.to - 1, name);
		shelf_put(w->shelf, name, garbage, parsed.to - 1 - (parsed.from > 0 ? parsed.from - 1 : 0));
	}
	free(garbage);
	w->options.full = true;
	assert_rc(recover(w));
	assert_int_equal(w->sum.missing, 0);
	assert_int_equal(w->sum.damaged, 0);
	expect_sound(w);
	struct test_vault again = open_again(w);
	expect_file(&again, "a", 'y');
	expect_file(&again, "b", 'b');
	assert_rc(store_close(again.store));
}

static void a_damaged_block_takes_nothing_else_with_it(void **state) {
	struct world *w = *state;
	char name[OBJECT_NAME_MAX + 1];
	unsigned wrong = 0;
	uint8_t first;
	shelf_forget_versions(w->shelf);
	shelf_flip(w->shelf, shelf_name(w->shelf, "segments/", 1, name), 50000);
	w->options.full = true;
	assert_rc(recover(w));
	assert_non_null(strstr(w->notices, name));
	assert_int_equal(w->sum.damaged, 1);
	assert_int_equal(w->sum.missing, 0);
	struct test_vault again = open_again(w);
	wrong += read_blocks(&again, "a", &first) == -EBADMSG;
	wrong += read_blocks(&again, "b", &first) == -EBADMSG;
	assert_true(wrong <= 1); /* the block may be of the older version of a */
	assert_rc(store_close(again.store));
}

static void segments_that_are_not_all_there_are_counted_and_named(void **state) {
	struct world *w = *state;
	char name[OBJECT_NAME_MAX + 1];
	uint8_t first;
	shelf_forget_versions(w->shelf);
	shelf_erase(w->shelf, shelf_name(w->shelf, "segments/", 1, name));
	w->options.full = true;
	assert_rc(recover(w));
	assert_int_equal(w->sum.missing, 1);
	assert_int_equal(w->sum.segments_fetched, w->sum.segments - 1);
	assert_true(is_there(w, "origin"));
	struct test_vault again = open_again(w);
	int a = read_blocks(&again, "a", &first), b = read_blocks(&again, "b", &first);
	assert_true(a == -EIO || b == -EIO || (a == 0 && b == 0));
	struct recall_status status;
	recall_status(store_recall(again.store), &status);
	assert_int_equal(status.missing_segments, 1);
	assert_rc(store_close(again.store));
	/* fsck asks nobody, and knows. */
	struct fsck_summary found;
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(TEST_PASSPHRASE)};
	w->notices[0] = '\0';
	assert_rc(fsck_run(w->target, &secret, tell_finding, w, &found));
	assert_true(found.findings > 0);
	assert_int_equal(found.elsewhere, 1);
	assert_non_null(strstr(w->notices, "the backup has not all of it"));
	if (a == -EIO || b == -EIO)
		{
		if (!strstr(w->notices, a == -EIO ? "Landing/a: version" : "Landing/b: version"))
			fail_msg("%s", w->notices);
	}
}

/* ---- interruptions ---- */

struct countdown {
	_Atomic unsigned left, asked;
};

static int fail_at(void *arg, enum object_what what, const char *name) {
	struct countdown *countdown = arg;
	(void)what;
	(void)name;
	countdown->asked++;
	return countdown->left > 0 && countdown->asked == countdown->left ? -ETIMEDOUT : 0;
}

static void whatever_request_fails_a_second_call_goes_on(void **state) {
	struct world *w = *state;
	struct countdown countdown = {0};
	shelf_on_request(w->shelf, fail_at, &countdown);
	w->options.full = true;
	assert_rc(recover(w));
	unsigned all = countdown.asked;
	scratch_remove(w->target);
	for (unsigned at = 1; at <= all; at++) {
		countdown = (struct countdown){.left = at};
		int rc = recover(w);
		if (rc != 0 && rc != -ETIMEDOUT)
			fail_msg("request %u of %u: %d: %s", at, all, rc, fault_message());
		countdown = (struct countdown){0};
		if (rc < 0)
			assert_rc(recover(w));
		assert_false(is_there(w, "origin"));
		if (at % 5 == 0)
			expect_sound(w);
		scratch_remove(w->target);
	}
}

static int copy_tree(const char *from, const char *to) {
	char command[256];
	(void)snprintf(command, sizeof command, "cp -a %s %s", from, to);
	return system(command);
}

struct stages {
	struct world *w;
	unsigned copies;
};

/* The directory as a kill would leave it before each request. */
static int copy_stage(void *arg, enum object_what what, const char *name) {
	struct stages *stages = arg;
	char to[128];
	(void)what;
	(void)name;
	if (stages->copies < 40 && access(stages->w->target, F_OK) == 0) {
		(void)snprintf(to, sizeof to, "%s.%u", stages->w->target, stages->copies);
		assert_int_equal(copy_tree(stages->w->target, to), 0);
		stages->copies++;
	}
	return 0;
}

static void what_a_kill_leaves_is_gone_on_with(void **state) {
	struct world *w = *state;
	struct stages stages = {.w = w};
	shelf_on_request(w->shelf, copy_stage, &stages);
	assert_rc(recover(w));
	shelf_on_request(w->shelf, NULL, NULL);
	assert_true(stages.copies > 3);
	w->options.full = true;
	for (unsigned i = 0; i < stages.copies; i++) {
		char from[128];
		scratch_remove(w->target);
		(void)snprintf(from, sizeof from, "%s.%u", w->target, i);
		assert_int_equal(rename(from, w->target), 0);
		/* Torn files of that moment. */
		scratch_write(w->target, "vault.json.tmp", "{", 1);
		if (is_there(w, "meta"))
			scratch_write(w->target, "meta/77.tmp", "x", 1);
		assert_rc(recover(w));
		(void)unlink("vault.json.tmp");
		struct test_vault again = open_again(w);
		expect_file(&again, "a", 'y');
		assert_rc(store_close(again.store));
	}
}

static void one_that_got_as_far_as_its_name_is_begun(void **state) {
	struct world *w = *state;
	assert_int_equal(mkdir(w->target, 0700), 0);
	scratch_write(w->target, "origin.tmp", "{", 1);
	assert_rc(recover(w));
	assert_false(is_there(w, "origin.tmp"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(all_is_there_and_sound_with_full, setup, teardown),
	        cmocka_unit_test_setup_teardown(segments_come_when_they_are_first_read, setup, teardown),
	        cmocka_unit_test_setup_teardown(the_rest_is_fetched_by_a_second_call, setup, teardown),
	        cmocka_unit_test_setup_teardown(an_earlier_generation_can_be_chosen, setup, teardown),
	        cmocka_unit_test_setup_teardown(the_recovered_vault_ships_on_to_the_same_place, setup, teardown),
	        cmocka_unit_test_setup_teardown(what_is_remembered_of_the_vault_outside_is_replaced, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_wrong_passphrase_makes_nothing, setup, teardown),
	        cmocka_unit_test_setup_teardown(an_empty_place_says_so, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_directory_with_something_in_it_is_left_alone, setup, teardown),
	        cmocka_unit_test_setup_teardown(one_begun_from_elsewhere_is_left_alone, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_place_with_another_vaults_objects_is_no_backup, setup, teardown),
	        cmocka_unit_test_setup_teardown(damage_of_metadata_is_named_and_no_vault_is_made, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                an_older_generation_stands_in_for_a_damaged_superblock, setup, teardown),
	        cmocka_unit_test_setup_teardown(earlier_versions_stand_in_for_what_was_put_over_them, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                extents_of_the_right_length_are_told_apart_by_what_verifies, setup, teardown),
	        cmocka_unit_test_setup_teardown(another_vaults_directory_is_not_all_of_this_one, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                what_was_begun_of_one_time_is_not_gone_on_with_for_another, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_time_in_the_future_is_the_newest_generation, setup, teardown),
	        cmocka_unit_test_setup_teardown(headers_that_somebody_put_there_are_got_around, setup, teardown),
	        cmocka_unit_test_setup_teardown(superblocks_that_are_all_removed_are_told_of, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_listing_tells_of_damage_to_the_newest_only, setup, teardown),
	        cmocka_unit_test_setup_teardown(of_two_recoveries_the_slower_one_breaks_nothing, setup, teardown),
	        cmocka_unit_test_setup_teardown(parts_beyond_a_pack_are_none_of_it, setup, teardown),
	        cmocka_unit_test_setup_teardown(extents_that_somebody_put_there_are_got_around, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_damaged_block_takes_nothing_else_with_it, setup, teardown),
	        cmocka_unit_test_setup_teardown(segments_that_are_not_all_there_are_counted_and_named, setup, teardown),
	        cmocka_unit_test_setup_teardown(whatever_request_fails_a_second_call_goes_on, setup, teardown),
	        cmocka_unit_test_setup_teardown(what_a_kill_leaves_is_gone_on_with, setup, teardown),
	        cmocka_unit_test_setup_teardown(one_that_got_as_far_as_its_name_is_begun, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
