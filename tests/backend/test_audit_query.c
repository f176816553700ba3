/* Records found again: filters, slices of a search, the index, patterns of paths. */
#include "backend/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/backend/audit_fixture.h"

struct found {
	uint64_t seqs[3000];
	size_t count;
};

static int take(void *arg, const struct audit_entry *entry) {
	struct found *found = arg;
	found->seqs[found->count++] = entry->seq;
	if (!entry->line)
		return 0;
	char seq[32];
	snprintf(seq, sizeof seq, "{\"seq\":%" PRIu64 ",", entry->seq);
	assert_int_equal(strncmp(entry->line, seq, strlen(seq)), 0);
	assert_int_equal(entry->line_length, strlen(entry->line));
	return 0;
}

#define RECORDS 2000

/* What record `i` of the filter tests says. */
static struct audit_event nth(uint64_t i, char path[static 64], char path2[static 64]) {
	snprintf(path, 64, "Landing/dir%" PRIu64 "/sub%" PRIu64 "/f%" PRIu64 ".csv", i / 100, i % 3, i % 17);
	snprintf(path2, 64, "Trusted/%" PRIu64, i);
	struct audit_event e = event_of(i % 5 ? "open" : "write", i % 50 == 49 ? "Landing" : path);
	e.path2 = i % 40 ? NULL : path2;
	e.outcome = i % 333 ? "ok" : "denied";
	e.actor.uid = i == 700 ? 4242 : (uint32_t)(i % 4);
	e.actor.gid = (uint32_t)(i % 7 == 3 ? 50 : 100);
	e.actor.pid = (int32_t)(i / 10 + 1);
	e.node = i % 11;
	if (i % 2)
		snprintf(e.actor.exe, sizeof e.actor.exe, "rsync");
	return e;
}

static bool is_at(const char *path, const char *wanted) {
	size_t size = strlen(wanted);
	while (size && wanted[size - 1] == '/')
		size--;
	return size == 0 || (strncmp(path, wanted, size) == 0 && (path[size] == '\0' || path[size] == '/'));
}

static bool event_wanted(const struct audit_filter *filter, const char *event) {
	bool found = filter->event && strcmp(event, filter->event) == 0;
	for (size_t i = 0; i < filter->event_count; i++)
		found |= strcmp(event, filter->events[i]) == 0;
	return found || (!filter->event && filter->event_count == 0);
}

static bool path_wanted(const struct audit_filter *filter, const char *path) {
	return path && (!filter->path_at || is_at(path, filter->path_at)) &&
	       (!filter->path_prefix || strncmp(path, filter->path_prefix, strlen(filter->path_prefix)) == 0) &&
	       (!filter->path_glob || audit_glob_match(filter->path_glob, path));
}

static bool wanted(const struct audit_filter *filter, uint64_t i, int64_t time) {
	char path[64], path2[64];
	struct audit_event e = nth(i, path, path2);
	return (!filter->has_since || time >= filter->since) && (!filter->has_until || time < filter->until) &&
	       (!filter->has_uid || e.actor.uid == filter->uid) && (!filter->has_pid || e.actor.pid == filter->pid) &&
	       (!filter->has_node || e.node == filter->node) && (!filter->has_gid || e.actor.gid == filter->gid) &&
	       event_wanted(filter, e.event) && (!filter->outcome || strcmp(e.outcome, filter->outcome) == 0) &&
	       (!filter->exe || strcmp(e.actor.exe, filter->exe) == 0) && i >= filter->from_seq &&
	       (!filter->before_seq || i < filter->before_seq) &&
	       ((!filter->path_at && !filter->path_prefix && !filter->path_glob) || path_wanted(filter, e.path) ||
	               path_wanted(filter, e.path2));
}

/* The last 200 records are not committed. Those before `rows` were made by schema version 1. */
static void fill_for_filters(struct fixture *f, uint64_t rows, int64_t times[static RECORDS]) {
	for (uint64_t i = 0; i < RECORDS; i++) {
		char path[64], path2[64];
		struct audit_event e = nth(i, path, path2);
		record(f, &e);
		assert_int_equal(OP(f, audit_time(f->m, i, &times[i])), 0);
		if (i % 300 == 299 || i + 1 == rows)
			fixture_commit(f);
		if (i + 1 == rows)
			make_version_1(f);
	}
}

static int take_and_stop_at_some(void *arg, const struct audit_entry *entry) {
	return take(arg, entry) == 0 && entry->seq % 3 == 0;
}

/* As short as can be, upwards and downwards; every third record ends one, too. */
static void assert_slices_find_the_same(
        struct fixture *f, const struct audit_filter *filter, const struct found *want) {
	for (int down = 0; down < 2; down++) {
		static struct found found;
		found.count = 0;
		struct audit_filter sliced = *filter;
		sliced.newest_first = down;
		AuditSearch *search = NULL;
		uint64_t done = 0, all = 0, before = 0;
		size_t slices = 0;
		assert_int_equal(audit_search_new(&sliced, &search), 0);
		int rc = 0;
		for (; rc == 0; slices++, before = done) {
			rc = OP(f, audit_search_next(f->m, search, 1, take_and_stop_at_some, &found));
			audit_search_progress(search, &done, &all);
			assert_true(done >= before && done <= all && slices < 3 * RECORDS);
		}
		audit_search_free(search);
		assert_int_equal(rc, 1);
		assert_int_equal(done, all);
		assert_true(slices > 1 || want->count < 256);
		assert_int_equal(found.count, want->count);
		for (size_t i = 0; i < want->count; i++)
			assert_int_equal(found.seqs[i], want->seqs[down ? want->count - 1 - i : i]);
	}
}

static void assert_filters_find_what_a_scan_finds(struct fixture *f, const int64_t times[static RECORDS]) {
	const struct audit_filter filters[] = {
	        {0},
	        {.has_uid = true, .uid = 4242},
	        {.has_uid = true, .uid = 3},
	        {.has_uid = true, .uid = 99},
	        {.event = "write"},
	        {.event = "nothing-like-it"},
	        {.outcome = "denied"},
	        {.outcome = "ok", .has_pid = true, .pid = 101},
	        {.exe = "rsync", .event = "write"},
	        {.has_node = true, .node = 5, .outcome = "denied"},
	        {.has_node = true, .node = 3},
	        {.has_node = true, .node = 1000},
	        {.path_prefix = "Landing/dir7/"},
	        {.path_prefix = "Landing/dir7"},
	        {.path_prefix = "Landing/dir19/sub1/f1"},
	        {.path_prefix = "Land"},
	        {.path_prefix = "Trusted/1"},
	        {.path_prefix = "Raw"},
	        {.path_glob = "Landing/dir1?/**/f3.csv"},
	        {.path_glob = "**/f3.csv"},
	        {.path_glob = "Landing"},
	        {.path_glob = "Trusted/*", .has_uid = true, .uid = 0},
	        {.path_glob = "Landing/dir3/", .path_prefix = "Landing/dir3/sub2"},
	        {.has_since = true, .since = times[500], .has_until = true, .until = times[510]},
	        {.has_since = true, .since = times[1999] + 1},
	        {.from_seq = 255, .before_seq = 258},
	        {.has_gid = true, .gid = 50},
	        {.has_gid = true, .gid = 50, .event = "write", .has_uid = true, .uid = 2},
	        {.has_uid = true, .uid = 1, .event = "write", .exe = "rsync", .outcome = "ok"},
	        {.events = (const char *const[]){"write", "nothing-like-it", "open"}, .event_count = 3},
	        {.events = (const char *const[]){"nothing-like-it", "nor-this"}, .event_count = 2},
	        {.path_at = "Landing/dir7"},
	        {.path_at = "Landing/dir7/sub1/"},
	        {.path_at = "Landing/dir7/sub1/f1"},
	        {.path_at = "Landing/dir7/sub1/f1.csv"},
	        {.path_at = "Landing"},
	        {.path_at = "Trusted/1"},
	        {.path_at = "Land"},
	        {.path_at = "nowhere/Landing"},
	        {.path_at = ""},
	        {.path_at = "Trusted", .outcome = "denied", .has_gid = true, .gid = 100},
	        {.path_at = "Landing/dir7", .path_glob = "**/f1?.csv"},
	        {.path_glob = "Landing/**/sub[!0]/f1[0-4].csv"},
	        {.path_glob = "**"},
	        {.path_glob = "*/1*"},
	        {.without_line = true, .has_uid = true, .uid = 3},
	        {.from_seq = 100, .before_seq = 1900, .has_uid = true, .uid = 1, .event = "write"},
	};
	for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
		static struct found up, down;
		size_t want = 0;
		up.count = down.count = 0;
		assert_int_equal(OP(f, audit_query(f->m, &filters[i], take, &up)), 0);
		for (uint64_t seq = 0; seq < RECORDS; seq++) {
			if (!wanted(&filters[i], seq, times[seq]))
				continue;
			assert_true(want < up.count);
			assert_int_equal(up.seqs[want++], seq);
		}
		assert_int_equal(want, up.count);
		struct audit_filter reversed = filters[i];
		reversed.newest_first = true;
		reversed.limit = 7;
		assert_int_equal(OP(f, audit_query(f->m, &reversed, take, &down)), 0);
		assert_int_equal(down.count, want < 7 ? want : 7);
		for (size_t k = 0; k < down.count; k++)
			assert_int_equal(down.seqs[k], up.seqs[up.count - 1 - k]);
		assert_slices_find_the_same(f, &filters[i], &up);
	}
	assert_int_equal(OP(f, audit_query(f->m, &(struct audit_filter){.outcome = "x"}, take, NULL)), -EINVAL);
}

static int count_entry(void *arg, const struct audit_entry *entry) {
	(void)entry;
	++*(size_t *)arg;
	return 0;
}

/* One whose time is up goes on by a tile. */
static void a_slice_ends_when_its_time_is_up(void **state) {
	static int64_t times[RECORDS];
	fill_for_filters(*state, 0, times);
	struct fixture *f = *state;
	for (int down = 0; down < 2; down++) {
		const struct audit_filter filter = {.newest_first = down};
		AuditSearch *search = NULL;
		size_t count = 0, slices = 0;
		assert_int_equal(audit_search_new(&filter, &search), 0);
		for (int rc = 0; rc == 0; slices++) {
			size_t before = count;
			rc = OP(f, audit_search_next(f->m, search, 1, count_entry, &count));
			assert_true(count > before && count - before <= AUDIT_TILE_HASHES);
		}
		audit_search_free(search);
		assert_int_equal(slices, (RECORDS + AUDIT_TILE_HASHES - 1) / AUDIT_TILE_HASHES);
		assert_int_equal(count, RECORDS);
	}
	audit_search_free(NULL);
}

static void a_filter_finds_what_a_scan_finds(void **state) {
	static int64_t times[RECORDS];
	fill_for_filters(*state, 0, times);
	assert_filters_find_what_a_scan_finds(*state, times);
}

static void a_filter_finds_what_a_scan_finds_in_rows_and_packs(void **state) {
	static int64_t times[RECORDS];
	fill_for_filters(*state, 1100, times);
	assert_filters_find_what_a_scan_finds(*state, times);
}

/* In numbers of values that only one of the two has. */
static void assert_index_is_that_of_the_rows(struct fixture *f, int tiles) {
#define ROWS " FROM unpacked WHERE seq / 256 < (SELECT count(*) / 256 FROM unpacked) "
	assert_int_equal(raw_sql(f, "CREATE TEMP TABLE unpacked AS SELECT * FROM audit WHERE 0"), SQLITE_OK);
	unpack_audit(f, "unpacked");
#define WANTED                                                                                                        \
	"SELECT 1, event, seq / 256" ROWS "UNION SELECT 2, outcome, seq / 256" ROWS "AND outcome <> 0"                \
	" UNION SELECT 3, uid, seq / 256" ROWS "UNION SELECT 4, gid, seq / 256" ROWS "UNION SELECT 5, pid, "          \
	"seq / 256" ROWS "UNION SELECT 6, exe, seq / 256" ROWS "UNION SELECT 7, dir, seq / 256" ROWS                  \
	"AND dir IS NOT NULL UNION SELECT 7, dir2, seq / 256" ROWS "AND dir2 IS NOT NULL UNION SELECT 9, node / 16, " \
	"seq / 256" ROWS "AND node <> 0"
	assert_int_equal(sql_value_of(f, "SELECT count(DISTINCT tile) FROM audit_value"), tiles);
	assert_int_equal(
	        sql_value_of(f, "SELECT count(*) FROM (SELECT * FROM audit_value EXCEPT SELECT * FROM (" WANTED "))"),
	        0);
	assert_int_equal(
	        sql_value_of(f, "SELECT count(*) FROM (SELECT * FROM (" WANTED ") EXCEPT SELECT * FROM audit_value)"),
	        0);
#undef WANTED
#undef ROWS
}

static void the_index_has_what_the_rows_say_across_commits_undoing_and_reopening(void **state) {
	struct fixture *f = *state;
	uint64_t random = 7;
	for (int i = 0; i < 3000; i++) {
		char path[32], path2[32], exe[16];
		snprintf(path, sizeof path, "d%d/f", (int)random_below(&random, 40));
		snprintf(path2, sizeof path2, random_below(&random, 2) ? "e%d/f" : "%d", (int)random_below(&random, 9));
		snprintf(exe, sizeof exe, "x%d", (int)random_below(&random, 3));
		struct audit_event e = event_of(random_below(&random, 3) ? "open" : "close", path);
		e.path2 = random_below(&random, 4) ? NULL : path2;
		e.path = random_below(&random, 20) ? path : NULL;
		e.outcome = random_below(&random, 30) ? "ok" : "denied";
		e.node = random_below(&random, 200);
		e.actor.uid = (uint32_t)random_below(&random, 3) + 0xfffffffe;
		e.actor.gid = (uint32_t)random_below(&random, 2);
		e.actor.pid = (int32_t)random_below(&random, 50);
		memcpy(e.actor.exe, exe, sizeof exe);
		meta_begin(f->m);
		int rc = random_below(&random, 10) ? 0 : -ECANCELED;
		assert_int_equal(audit_record(f->m, &e, NULL), 0);
		assert_int_equal(meta_end(f->m, rc), rc);
		if (random_below(&random, 400) == 0)
			fixture_commit(f);
		if (random_below(&random, 700) == 0) {
			fixture_commit(f);
			fixture_reopen(f);
		}
	}
	fixture_commit(f);
	meta_begin(f->m);
	int tiles = (int)(audit_size(f->m) / 256);
	meta_end(f->m, 0);
	assert_in_range(tiles, 9, 11);
	assert_index_is_that_of_the_rows(f, tiles);
}

static void patterns_match_paths(void **state) {
	(void)state;
	static const struct {
		const char *pattern, *path;
		bool match;
	} cases[] = {
	        {"*.csv", "a.csv", true},
	        {"*.csv", "a/b.csv", false},
	        {"**.csv", "a/b.csv", true},
	        {"a/**/b", "a/b", true},
	        {"a/**/b", "a/x/y/b", true},
	        {"a/**/b", "a/xb", false},
	        {"**/b", "b", true},
	        {"**/b", "x/b", true},
	        {"**/b", "xb", false},
	        {"a/**", "a/b/c", true},
	        {"a/", "a/b/c", true},
	        {"a/", "a", false},
	        {"a?c", "abc", true},
	        {"a?c", "a/c", false},
	        {"[a-c]x", "bx", true},
	        {"[!a-c]x", "bx", false},
	        {"[!a-c]x", "/x", false},
	        {"[]x]", "]", true},
	        {"[ab", "[ab", true},
	        {"\\*", "*", true},
	        {"\\*", "a", false},
	        {"", "", true},
	        {"*", "", true},
	        {"a*b*c", "a1b2b3c", true},
	        {"a*b*c", "a1b2b3", false},
	        {"**/*.csv", "x/y/z.csv", true},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (audit_glob_match(cases[i].pattern, cases[i].path) != cases[i].match)
			fail_msg("%s against %s", cases[i].pattern, cases[i].path);
	/* Would take longer than the universe has with one way back for each star. */
	static char path[4000];
	memset(path, 'a', sizeof path - 1);
	assert_false(audit_glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", path));
	assert_false(audit_glob_match("**a**a**a**a**a**a**a**a**a**b", path));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(a_filter_finds_what_a_scan_finds),
	        TEST(a_slice_ends_when_its_time_is_up),
	        TEST(a_filter_finds_what_a_scan_finds_in_rows_and_packs),
	        TEST(the_index_has_what_the_rows_say_across_commits_undoing_and_reopening),
	        TEST(patterns_match_paths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
