/* What is written into Trusted, and what is renamed there. */
#include "tests/policy/gate_world.h"

#include <ftw.h>

#include "policy/gate/internal.h"

static void a_direct_write_is_published_whole_or_refused_in_words(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	assert_int_equal(staged(w, "animals/d.csv", "good"), 0);
	shows(w, "Trusted/animals/d.csv", "good");
	assert_int_equal(staged(w, "animals/d.csv", "BAD"), -EPERM);
	assert_non_null(strstr(fault_message(), "it says BAD"));
	assert_non_null(strstr(fault_message(), "assayfs why"));
	shows(w, "Trusted/animals/d.csv", "good");
	assert_int_equal(quarantined(w), 1);
	assert_int_equal(staged(w, "nobody/d.csv", "good"), -EPERM);
	shows(w, "Trusted/nobody/d.csv", NULL);
}

static void a_policy_that_comes_into_force_meanwhile_is_the_one_that_counts(void **state) {
	struct world *w = *state;
	struct node node;
	pthread_t thread;
	apply(w, policy_yaml);
	put(w, "Landing/elsewhere.csv", "SLOW");
	resolve(w, "Landing/elsewhere.csv", &node);
	struct slow slow = {.w = w, .node = node.id, .version = node.version, .below = "animals/s.csv"};
	assert_int_equal(pthread_create(&thread, NULL, judge_slowly, &slow), 0);
	nanosleep(&(struct timespec){.tv_nsec = 300 * 1000 * 1000}, NULL);
	apply(w, "version: 1\n"
	         "datasets:\n"
	         "  - {name: others, match: \"others/*.csv\", rules: animals.dqdl}\n");
	pthread_join(thread, NULL);
	assert_int_equal(slow.rc, -EPERM); /* no dataset governs it any more */
	shows(w, "Trusted/animals/s.csv", NULL);
}

enum { LARGE = 24 << 20 };

struct remover {
	struct world *w;
	struct node folder, file;
	bool is_copied, has_removed;
};

static uint64_t segment_bytes;

static int add_size(const char *path, const struct stat *about, int type, struct FTW *where) {
	(void)path;
	(void)where;
	segment_bytes += type == FTW_F ? (uint64_t)about->st_size : 0;
	return 0;
}

/* The staged bytes are in the vault once; what comes on top of them is the copy for Trusted. */
static bool is_being_copied(struct world *w) {
	char segments[128];
	(void)snprintf(segments, sizeof segments, "%s/segments", w->vault);
	segment_bytes = 0;
	(void)nftw(segments, add_size, 8, FTW_PHYS);
	return segment_bytes > LARGE + LARGE / 8;
}

/* Removes the published file as soon as its next version is being copied. */
static void *remove_while_copying(void *arg) {
	struct remover *remover = arg;
	Meta *m = store_meta(remover->w->store);
	for (unsigned i = 0; i < 20000 && !remover->has_removed; i++) {
		struct node gone;
		remover->is_copied = remover->is_copied || is_being_copied(remover->w);
		meta_begin(m);
		int rc = 0;
		if (remover->is_copied)
			rc = tree_unlink(m, remover->folder.id, bytes_of_string("a.csv"), &gone);
		remover->has_removed = meta_end(m, rc) >= 0 && remover->is_copied;
		nanosleep(&(struct timespec){.tv_nsec = 200 * 1000}, NULL);
	}
	return NULL;
}

static void what_is_removed_while_it_is_published_is_published_anew(void **state) {
	struct world *w = *state;
	struct remover remover = {.w = w};
	struct node node;
	pthread_t thread;
	apply(w, policy_yaml);
	assert_int_equal(staged(w, "animals/a.csv", "first"), 0);
	resolve(w, "Trusted/animals", &remover.folder);
	resolve(w, "Trusted/animals/a.csv", &remover.file);
	char *large = malloc(LARGE + 1);
	assert_non_null(large);
	memset(large, 'x', LARGE);
	large[LARGE] = '\0';
	assert_int_equal(pthread_create(&thread, NULL, remove_while_copying, &remover), 0);
	int rc = staged(w, "animals/a.csv", large);
	pthread_join(thread, NULL);
	assert_int_equal(rc, 0);
	assert_true(remover.has_removed);
	assert_int_not_equal(resolve(w, "Trusted/animals/a.csv", &node), 0);
	assert_int_equal(node.size, LARGE);
	assert_int_not_equal(node.id, remover.file.id);
	free(large);
}

static void a_name_that_shows_something_newer_is_not_moved_away_unseen(void **state) {
	struct world *w = *state;
	struct node node, folder;
	pthread_t thread;
	apply(w, policy_yaml);
	assert_int_equal(staged(w, "animals/a.csv", "SLOW"), 0);
	resolve(w, "Trusted/animals", &folder);
	resolve(w, "Trusted/animals/a.csv", &node);
	struct slow slow = {.w = w,
	        .node = node.id,
	        .version = node.version,
	        .below = "animals/b.csv",
	        .from_parent = folder.id,
	        .from_name = "a.csv"};
	assert_int_equal(pthread_create(&thread, NULL, judge_slowly, &slow), 0);
	nanosleep(&(struct timespec){.tv_nsec = 300 * 1000 * 1000}, NULL);
	assert_int_equal(staged(w, "animals/a.csv", "newer"), 0);
	pthread_join(thread, NULL);
	assert_int_equal(slow.rc, -EBUSY);
	shows(w, "Trusted/animals/a.csv", "newer");
	shows(w, "Trusted/animals/b.csv", NULL);
}

/* ---- after a crash ---- */

static int close_it(Meta *m, const struct version *sealed, void *arg) {
	return *(bool *)arg ? staged_closed(m, sealed->node, sealed->id) : 0;
}

/* A file written into Trusted with its verdict outstanding; not closed: a draft that was fsynced. */
static Content *write_staged(struct world *w, const char *below, const char *text, bool closed) {
	Content *content = NULL;
	struct node attributes = {.mode = S_IFREG | 0640, .zone = ZONE_STAGING}, node;
	struct version sealed;
	Meta *m = store_meta(w->store);
	meta_begin(m);
	int rc = tree_create_orphan(m, &attributes, &node);
	if (rc >= 0)
		rc = gate_staged_note(m, node.id, below, &somebody);
	assert_int_equal(meta_end(m, rc), 0);
	assert_int_equal(content_open(w->store, node.id, 0, &content), 0);
	assert_int_equal(content_touch(content), 0);
	assert_int_equal(content_write(content, 0, bytes_of_string(text)), 0);
	if (closed)
		assert_int_equal(content_seal(content, ORIGIN_WRITE, 0, NULL, close_it, &closed, &sealed), 0);
	else
		assert_int_equal(content_sync(content), 0);
	return content;
}

/* Closing a content drops its draft, which is what the crash undoes. */
static void crash(struct world *w, Content *one, Content *two) {
	assert_int_equal(store_commit_wait(w->store), 0);
	content_close(one);
	content_close(two);
	world_crash(w);
	settle(w);
}

static void what_was_closed_before_a_crash_is_judged_after_it(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	Content *good = write_staged(w, "animals/good.csv", "good", true);
	crash(w, good, write_staged(w, "animals/bad.csv", "BAD", true));
	shows(w, "Trusted/animals/good.csv", "good");
	shows(w, "Trusted/animals/bad.csv", NULL);
	assert_int_equal(quarantined(w), 1);
	crash(w, NULL, NULL); /* nothing is done twice */
	assert_int_equal(quarantined(w), 1);
	assert_int_equal(versions_of(w, "Trusted/animals/good.csv"), 1);
}

static void what_was_synced_before_a_crash_is_in_quarantine_and_not_published(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	Content *governed = write_staged(w, "animals/a.csv", "good", false);
	crash(w, governed, write_staged(w, "nobody/a.csv", "good", false));
	shows(w, "Trusted/animals/a.csv", NULL);
	shows(w, "Trusted/nobody/a.csv", NULL);
	assert_int_equal(quarantined(w), 2);
}

static void what_was_closed_before_a_crash_never_hides_what_is_newer(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	assert_int_equal(staged(w, "animals/a.csv", "former"), 0);
	Content *late = write_staged(w, "animals/a.csv", "late", true);
	assert_int_equal(staged(w, "animals/a.csv", "newer"), 0);
	crash(w, late, NULL);
	shows(w, "Trusted/animals/a.csv", "newer");
	assert_int_equal(quarantined(w), 1);
}

static void two_writers_of_one_name_are_both_found(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	Content *one = write_staged(w, "animals/a.csv", "one", false);
	crash(w, one, write_staged(w, "animals/a.csv", "two", false));
	assert_int_equal(quarantined(w), 2);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_direct_write_is_published_whole_or_refused_in_words),
	        WORLD(a_policy_that_comes_into_force_meanwhile_is_the_one_that_counts),
	        WORLD(what_is_removed_while_it_is_published_is_published_anew),
	        WORLD(a_name_that_shows_something_newer_is_not_moved_away_unseen),
	        WORLD(what_was_closed_before_a_crash_is_judged_after_it),
	        WORLD(what_was_synced_before_a_crash_is_in_quarantine_and_not_published),
	        WORLD(what_was_closed_before_a_crash_never_hides_what_is_newer),
	        WORLD(two_writers_of_one_name_are_both_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
