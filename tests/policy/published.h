/* published: what a dataset makes of a file, from the policy's words to the bytes that would be published. Included
 * after cmocka.h. */
#pragma once

#include "crypto/base/fault.h"
#include "policy/edit_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a file in memory ---- */

struct source {
	struct bytes file;
	size_t at, most;
};

static inline ssize_t read_source(void *context, void *buffer, size_t size) {
	struct source *source = context;
	size_t left = source->file.size - source->at, got = left < size ? left : size;
	got = got < source->most ? got : source->most;
	memcpy(buffer, source->file.data + source->at, got);
	source->at += got;
	return (ssize_t)got;
}

static inline int again(void *context) {
	((struct source *)context)->at = 0;
	return 0;
}

/* ---- a dataset ---- */

struct asked {
	const char *yaml;  /* of the dataset, behind its name and match */
	const char *rules; /* NULL: none */
	const char *name;  /* of the file */
	size_t most;       /* bytes at once; 0: all */
	int64_t clock_s;
};

static inline Policy *parse(const struct asked *asked) {
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
	char yaml[8192];
	Policy *policy = NULL;
	snprintf(yaml, sizeof yaml, "version: 1\ndatasets:\n  - name: d\n    match: \"**\"\n%s%s",
	        asked->rules ? "    rules: r.dqdl\n" : "", asked->yaml);
	assert_int_equal(policy_bundle_new(&bundle), 0);
	assert_int_equal(policy_bundle_put(bundle, BUNDLE_POLICY, bytes_of_string(yaml)), 0);
	if (asked->rules)
		assert_int_equal(policy_bundle_put(bundle, "r.dqdl", bytes_of_string(asked->rules)), 0);
	if (policy_parse(bundle, &policy) < 0)
		fail_msg("%s", fault_message());
	return policy;
}

static inline struct check_result *check(
        const Policy *policy, const struct asked *asked, const char *text, size_t size, bool is_output) {
	const struct policy_dataset *dataset = policy_dataset(policy, 0);
	struct source source = {.file = bytes_of(text, size), .most = asked->most ? asked->most : size + 1};
	struct check_input input = {.read = read_source, .context = &source, .again = is_output ? NULL : again};
	struct check_job job = check_job_for(
	        dataset, asked->name ? asked->name : "a.csv", size, (asked->clock_s ? asked->clock_s : 1) * 1000000000);
	struct check_result *result = NULL;
	job.may_split = dataset->on_failure == POLICY_SPLIT && !is_output;
	job.is_output = is_output;
	if (is_output)
		job.keep = NULL;
	/* by way of JSON, as it gets to a worker */
	_cleanup_(freep) char *json = NULL;
	_cleanup_(check_job_freep) CheckJobMemory *memory = NULL;
	struct check_job read;
	size_t length;
	assert_int_equal(check_job_to_json(&job, &json, &length), 0);
	if (check_job_from_json(bytes_of(json, length), &read, &memory) < 0)
		fail_msg("%s", fault_message());
	if (check_run(check_table, &read, &input, NULL, &result) < 0)
		fail_msg("%s", fault_message());
	return result;
}

/* ---- what is published ---- */

static inline char *without_rows(const char *text, size_t *size, const RowList *rows) {
	struct row_cursor cursor = {0};
	struct listed_row row;
	char *rest = calloc(1, *size + 1);
	size_t at = 0, kept = 0;
	assert_non_null(rest);
	while (rows && row_list_next(rows, &cursor, &row)) {
		memcpy(rest + kept, text + at, row.offset - at);
		kept += row.offset - at;
		at = row.offset + row.length;
	}
	memcpy(rest + kept, text + at, *size - at);
	*size = kept + *size - at;
	return rest;
}

static const struct treat_key key = {.bytes = "0123456789abcdef0123456789abcde", .version = 3};

/* A byte at a time, and then as much as there is: the same. */
static inline char *read_edited(
        struct check_result *result, const Policy *policy, char *rest, size_t size, size_t *ret_size) {
	_cleanup_(freep) struct edit_meaning *meanings = NULL;
	_cleanup_(edit_list_freep) EditList *list = NULL;
	struct source source = {.file = bytes_of(rest, size), .most = 1};
	assert_int_equal(edit_meanings(policy_dataset(policy, 0)->privacy, &result->privacy, &meanings), 0);
	if (edit_list_parse(edit_list_packed(result->edits), size, result->privacy.finding_count, &list) < 0)
		fail_msg("%s", fault_message());
	struct edit_reader reader = {.from = {.read = read_source, .context = &source, .again = again},
	        .list = list,
	        .meanings = meanings,
	        .key = &key};
	size_t room = size * 10 + 1000;
	char *slow = calloc(1, room), *fast = calloc(1, room);
	assert_non_null(slow);
	assert_non_null(fast);
	ssize_t got;
	size_t slow_size = 0, fast_size = 0;
	while ((got = edit_read(&reader, slow + slow_size, 1)) > 0)
		slow_size += (size_t)got;
	if (got < 0)
		fail_msg("%s", fault_message());
	source.most = size + 1;
	assert_int_equal(edit_read_again(&reader), 0);
	while ((got = edit_read(&reader, fast + fast_size, room - fast_size)) > 0)
		fast_size += (size_t)got;
	assert_int_equal(slow_size, fast_size);
	assert_memory_equal(slow, fast, slow_size);
	edit_reader_release(&reader);
	free(fast);
	*ret_size = slow_size;
	return slow;
}

/* NULL: nothing is, and *ret_result says why. */
static inline char *publish(
        const struct asked *asked, const char *text, size_t size, struct check_result **ret_result) {
	Policy *policy = parse(asked);
	struct check_result *result = check(policy, asked, text, size, false);
	char *published = NULL;
	*ret_result = result;
	if (result->outcome == OUTCOME_PASSED || result->withheld) {
		published = without_rows(text, &size, result->withheld);
		if (result->edits) {
			char *rest = published;
			published = read_edited(result, policy, rest, size, &size);
			free(rest);
		}
	}
	if (published && (result->edits || result->privacy.dropped > 0)) {
		_cleanup_(check_result_freep) struct check_result *output = check(policy, asked, published, size, true);
		if (output->outcome != OUTCOME_PASSED) {
			free(published);
			published = NULL;
			assert_int_equal(check_result_say(result, output->outcome, "%s", output->reason), 0);
		}
	}
	policy_free(policy);
	return published;
}

static inline void expect(const struct asked *asked, const char *text, const char *expected) {
	static const size_t at_once[] = {0, 1, 7};
	for (size_t i = 0; i < sizeof at_once / sizeof *at_once; i++) {
		struct asked slowly = *asked;
		_cleanup_(check_result_freep) struct check_result *result = NULL;
		slowly.most = at_once[i];
		_cleanup_(freep) char *published = publish(&slowly, text, strlen(text), &result);
		if (!published)
			fail_msg("%s: %s", outcome_word(result->outcome), result->reason);
		assert_string_equal(published, expected);
	}
}

static inline void expect_not(const struct asked *asked, const char *text, enum outcome outcome, const char *words) {
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	_cleanup_(freep) char *published = publish(asked, text, strlen(text), &result);
	if (published)
		fail_msg("published: %s", published);
	assert_int_equal(result->outcome, outcome);
	if (!result->reason || !strstr(result->reason, words))
		fail_msg("said '%s', not '%s'", result->reason ? result->reason : "nothing", words);
}
