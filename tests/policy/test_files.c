/* Rules about files: which they look at, what they make of them, and the way of the list into a job. */
#include "policy/check_files.h"

#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "policy/check.h"
#include "policy/dqdl/files.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/policy/pieces.h"

/* 2026-11-23 10:30:45 UTC */
#define NOW INT64_C(1795429845)
#define HOUR 3600

static const char csv[] = "a\n1\n";

static void add(FileTellings *tellings, const char *path, uint64_t size, int64_t mtime, const char *content) {
	struct dqdl_file file = {.path = path, .size = size, .mtime = mtime, .has_sha256 = content != NULL};
	if (content)
		sha256(bytes_of_string(content), file.sha256);
	assert_int_equal(file_tellings_add(tellings, &file), 0);
}

static FileTellings *some_files(void) {
	FileTellings *tellings = NULL;
	assert_int_equal(file_tellings_new(&tellings), 0);
	assert_int_equal(file_tellings_path(tellings, "Raw/in/"), 0);
	add(tellings, "Raw/in/a.csv", 100, NOW - HOUR, "one");
	add(tellings, "Raw/in/b.csv", 2048, NOW - 30 * HOUR, "two");
	add(tellings, "Raw/in/deep/a.csv", 5 << 20, NOW - 2 * HOUR, "two");
	assert_int_equal(file_tellings_path(tellings, "Raw/copy"), 0);
	add(tellings, "Raw/copy/x", 2048, NOW, "two");
	add(tellings, "Raw/copy/y", 100, NOW, "one");
	add(tellings, "Raw/copy/z", 2048, NOW + 60, "two");
	assert_int_equal(file_tellings_path(tellings, "Landing/new"), 0);
	add(tellings, "Landing/new", 7, NOW, NULL);
	add(tellings, "Landing/new", 8, NOW, NULL);
	assert_int_equal(file_tellings_path(tellings, "Raw/none"), 0);
	return tellings;
}

/* One rule against the files above; through JSON, as a worker gets them. */
static void assert_result(const char *rule, enum outcome expected, const char *words) {
	_cleanup_(file_tellings_freep) FileTellings *tellings = some_files();
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	_cleanup_(check_job_freep) CheckJobMemory *memory = NULL;
	_cleanup_(freep) char *rules = NULL;
	_cleanup_(freep) char *json = NULL;
	size_t size;
	struct pieces source = pieces_of(bytes_of_string(csv), 0);
	struct check_input input = {.read = pieces_read, .context = &source};
	assert_true(asprintf(&rules, "Rules = [ %s ]", rule) > 0);
	struct check_job job = {.dataset = "d",
	                         .file_name = "own.csv",
	                         .size = sizeof csv - 1,
	                         .mtime_s = NOW - 5 * HOUR,
	                         .clock_ns = NOW * 1000000000,
	                         .rules = bytes_of_string(rules)},
	                 read = {0};
	job.file_lists = file_tellings_lists(tellings, &job.file_list_count);
	assert_int_equal(check_job_to_json(&job, &json, &size), 0);
	assert_int_equal(check_job_from_json(bytes_of(json, size), &read, &memory), 0);
	assert_int_equal(check_run(check_table, &read, &input, NULL, &result), 0);
	if (result->rule_count != 1)
		fail_msg("%s: %s", rule, result->reason);
	const char *reason = result->rules[0].reason ? result->rules[0].reason : "";
	if (result->rules[0].outcome != expected || (words && !strstr(reason, words)))
		fail_msg("%s: %s (%s)", rule, outcome_word(result->rules[0].outcome), reason);
}

static void passes(const char *rule) {
	assert_result(rule, OUTCOME_PASSED, NULL);
}

static void fails(const char *rule, const char *words) {
	assert_result(rule, OUTCOME_FAILED, words);
}

static void is_error(const char *rule, const char *words) {
	assert_result(rule, OUTCOME_ERROR, words);
}

static void sizes_are_counted_in_units(void **state) {
	(void)state;
	passes("FileSize = 4 B");
	passes("FileSize = 4");
	passes("FileSize < 1 KB");
	fails("FileSize > 1 KB", "1 of 1 files do not conform");
	passes("FileSize \"Raw/in/\" >= 100 B");
	passes("FileSize \"Raw/in/\" not between 3 KB and 4 MB");
	fails("FileSize \"Raw/in/\" < 1 MB", "1 of 3 files do not conform");
	passes("FileSize \"Raw/in/\" < 1 MB with threshold > 0.6");
	passes("FileSize \"Raw/in/\" in [100 B, 2 KB, 5 MB]");
	fails("FileSize \"Raw/none\" > 1 B", "there is no file at \"Raw/none\"");
}

static void times_are_those_of_the_last_change(void **state) {
	(void)state;
	passes("FileFreshness > (now() - 6 hours)");
	fails("FileFreshness > (now() - 4 hours)", "1 of 1 files do not conform");
	passes("FileFreshness \"Raw/in/\" > \"2026-11-22\"");
	passes("FileFreshness \"Raw/in/\" between \"2026-11-22\" and now()");
	fails("FileFreshness \"Raw/in/\" > (now() - 1 days)", "1 of 3 files");
	passes("FileFreshness \"Raw/in/\" > (now() - 1 days) with threshold > 0.6");
	passes("FileFreshness > \"5:00 AM\""); /* changed at 05:30 UTC */
	fails("FileFreshness > \"05:40\"", NULL);
	passes("FileFreshness > \"07:00\" with timeZone = \"+02:00\"");
	fails("FileFreshness > \"08:00\" with timeZone = \"UTC+2\"", NULL);
	is_error("FileFreshness > \"05:40\" with timeZone = \"America/Vancouver\"", "an offset");
}

static void tags_choose_among_files(void **state) {
	(void)state;
	passes("FileFreshness \"Raw/in/\" > (now() - 1 days) with recentFiles = 2");
	passes("FileSize \"Raw/in/\" < 1 MB with uriRegex = \"^Raw/in/[^/]*$\"");
	fails("FileSize \"Raw/in/\" < 1 MB with uriRegex = \"xlsx$\"", "there is no file");
	is_error("FileSize \"Raw/in/\" < 1 MB with uriRegex = \"(\"", "uriRegex");
}

static void contents_are_told_apart_by_their_digest(void **state) {
	(void)state;
	passes("FileUniqueness \"Raw/in/\" between 0.3 and 0.4");
	passes("FileUniqueness \"Raw/in/\" between 0.3 and 0.4 with matchFileName = \"true\"");
	passes("FileUniqueness = 1.0");
	is_error("FileUniqueness \"Landing/new\" > 0", "is not known");
	passes("FileMatch \"Raw/in/\" \"Raw/copy\"");
	fails("FileMatch \"Raw/in/\" \"Raw/copy\" with recentFiles = 1", "the contents of 1 files");
	is_error("FileMatch \"Raw/in/\" \"Raw/copy\" with hashAlgorithm = \"CRC32\"", "MD5, SHA-1 or SHA-256");
	passes("FileMatch \"Raw/in/\" \"Raw/copy\" with hashAlgorithm = \"MD5\"");
	fails("FileMatch \"Raw/in/\" \"Raw/copy\" with hashAlgorithm = \"sha-1\" with recentFiles = 1",
	        "the contents of 1 files");
	is_error("FileMatch in [\"900150983cd24fb0d6963f7d28e17f72\"] with hashAlgorithm = \"MD5\"",
	        "give those, not MD5");
	/* SHA-256 of csv, "one" and "two" */
	passes("FileMatch in [\"x\", \"309b0e45a73d3fc5325e2b6ed0a01ef8b9cde6b05a5633c1f893f970d52bfddc\"]");
}

static void what_was_not_told_is_an_error(void **state) {
	(void)state;
	is_error("FileSize \"Raw/elsewhere\" > 1 B", "is not known here");
	FileTellings *tellings = NULL;
	size_t count;
	assert_int_equal(file_tellings_new(&tellings), 0);
	assert_int_equal(file_tellings_path(tellings, "Raw"), 0);
	for (unsigned i = 0; i < DQDL_FILES_MAX + 1; i++)
		add(tellings, "Raw/a\xff", i, NOW, NULL);
	const struct dqdl_files *lists = file_tellings_lists(tellings, &count);
	assert_int_equal(count, 1);
	assert_int_equal(lists[0].count, DQDL_FILES_MAX);
	assert_true(lists[0].is_cut);
	assert_string_equal(lists[0].files[9].path, "Raw/a?");
	file_tellings_free(tellings);
}

static int take_path(void *arg, const char *path) {
	(void)strcat(strcat((char *)arg, path), ";");
	return 0;
}

static void each_path_is_named_once(void **state) {
	(void)state;
	Ruleset *ruleset = NULL;
	char paths[100] = "";
	assert_int_equal(
	        dqdl_parse(bytes_of_string("Rules = [ FileSize > 1, (FileSize \"a\" > 1) or (FileMatch \"b\" \"a\"),"
	                                   " FileUniqueness \"a\" > 0, IsComplete \"c\" ]"),
	                &ruleset, NULL),
	        0);
	assert_int_equal(dqdl_file_paths(ruleset, take_path, paths), 0);
	assert_string_equal(paths, "a;b;");
	assert_false(dqdl_wants_own_sha256(ruleset));
	ruleset_free(ruleset);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(sizes_are_counted_in_units),
	        cmocka_unit_test(times_are_those_of_the_last_change),
	        cmocka_unit_test(tags_choose_among_files),
	        cmocka_unit_test(contents_are_told_apart_by_their_digest),
	        cmocka_unit_test(what_was_not_told_is_an_error),
	        cmocka_unit_test(each_path_is_named_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
