#include "policy/edit_list.h"

#include "crypto/base/fault.h"
#include "policy/edit_reader.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct edit_dialect csv = {.form = EDIT_CSV, .quote = '"', .escape = '\\'};

static EditList *list_of(const struct edit *edits, size_t count) {
	EditList *list = NULL;
	assert_int_equal(edit_list_new(&csv, &list), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(edit_list_add(list, &edits[i]), 0);
	return list;
}

static const struct edit three[] = {{.offset = 0, .length = 3, .finding = 2},
        {.offset = 3, .length = EDIT_LENGTH_MAX + 5, .flags = EDIT_WHOLE},
        {.offset = 5000000, .length = 1, .finding = 1, .flags = EDIT_BARE}};

static void places_are_read_as_they_were_added(void **state) {
	(void)state;
	_cleanup_(edit_list_freep) EditList *list = list_of(three, 3), *back = NULL;
	struct edit_cursor cursor = {0};
	struct edit edit;
	assert_int_equal(edit_list_parse(edit_list_packed(list), 5000001, 3, &back), 0);
	assert_int_equal(edit_list_count(back), 3);
	assert_memory_equal(edit_list_dialect(back), &csv, sizeof csv);
	for (size_t i = 0; i < 3; i++) {
		assert_true(edit_list_next(back, &cursor, &edit));
		assert_true(edit.offset == three[i].offset && edit.length == three[i].length &&
		            edit.finding == three[i].finding && edit.flags == three[i].flags);
	}
	assert_false(edit_list_next(back, &cursor, &edit));
	assert_int_equal(edit_list_add(list, &(struct edit){.offset = 5000000, .length = 1}), -EINVAL);
	assert_int_equal(edit_list_add(list, &(struct edit){.offset = 6000000, .length = 0}), -EINVAL);
	assert_int_equal(edit_list_add(list, &(struct edit){.offset = 6000000, .length = EDIT_LENGTH_MAX + 1}), -E2BIG);
}

static void what_no_list_is_is_refused(void **state) {
	(void)state;
	_cleanup_(edit_list_freep) EditList *list = list_of(three, 3);
	struct bytes packed = edit_list_packed(list);
	EditList *back = NULL;
	assert_int_equal(edit_list_parse(packed, 5000000, 3, &back), -EBADMSG); /* behind the end */
	assert_int_equal(edit_list_parse(packed, 5000001, 2, &back), -EBADMSG); /* no such finding */
	for (size_t size = 0; size < packed.size; size++) {
		int rc = edit_list_parse(bytes_of(packed.data, size), 5000001, 3, &back);
		assert_true(rc == 0 || rc == -EBADMSG);
		edit_list_freep(&back);
		back = NULL;
	}
	static const uint8_t wrong[][8] = {{3, 0, 0}, {EDIT_CSV, 'A', 0}, {EDIT_CSV, '"', ','}, {EDIT_CSV, '"', '\n'},
	        {EDIT_TEXT, '"', 0}, {EDIT_CSV, 0x80, 0}, {EDIT_CSV, '"', 0x80}, {EDIT_TEXT, 0, 0, 0, 0, 0},
	        {EDIT_TEXT, 0, 0, 0, 1, 3}};
	static const size_t sizes[] = {3, 3, 3, 3, 3, 3, 3, 6, 6};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		assert_int_equal(edit_list_parse(bytes_of(wrong[i], sizes[i]), 100, 3, &back), -EBADMSG);
}

/* ---- reading ---- */

static ssize_t read_text(void *context, void *buffer, size_t size) {
	const char **text = context;
	size_t left = strlen(*text), got = left < size ? left : size;
	memcpy(buffer, *text, got);
	*text += got;
	return (ssize_t)got;
}

static ssize_t read_with(const EditList *list, const char *text, char ret[static 100]) {
	static const struct edit_meaning meanings[] = {{.treatment = {.action = PRIVACY_REDACT}, .name = "X"},
	        {.treatment = {.action = PRIVACY_REPORT}, .name = "Y"}};
	static const struct treat_key key = {.version = 1};
	struct edit_reader reader = {
	        .from = {.read = read_text, .context = &text}, .list = list, .meanings = meanings, .key = &key};
	ssize_t got, size = 0;
	while ((got = edit_read(&reader, ret + size, 3)) > 0)
		size += got;
	ret[got < 0 ? 0 : size] = '\0';
	edit_reader_release(&reader);
	return got < 0 ? got : size;
}

static void a_file_is_read_with_its_places_changed(void **state) {
	(void)state;
	static const struct edit edits[] = {{.offset = 0, .length = 1}, {.offset = 1, .length = 2, .flags = EDIT_WHOLE},
	        {.offset = 5, .length = 1, .finding = 1}, {.offset = 8, .length = 2}};
	_cleanup_(edit_list_freep) EditList *list = list_of(edits, 4);
	char text[100];
	assert_true(read_with(list, "0123456789", text) > 0);
	assert_string_equal(
	        text, "[X]3467[X]"); /* of an action that changes nothing, nothing stands there: fails closed */
	assert_int_equal(read_with(list, "012345678", text), -EBADMSG);
	assert_int_equal(read_with(list, "", text), -EBADMSG);
}

static void a_finding_means_what_the_policy_says(void **state) {
	(void)state;
	static const struct privacy_detect detects[] = {
	        {.entity = "EMAIL", .treatment = {.action = PRIVACY_MASK, .keep_last = 2}}};
	static const struct privacy_column columns[] = {{.name = "notes", .treatment = {.action = PRIVACY_REDACT}}};
	static const struct privacy privacy = {
	        .detects = detects, .detect_count = 1, .columns = columns, .column_count = 1};
	static const struct {
		const char *entity, *column;
		bool of_column;
		enum privacy_action action;
		int rc;
	} cases[] = {{"EMAIL", "a", false, PRIVACY_MASK, 0}, {"EMAIL", "a", false, PRIVACY_REPORT, -EBADMSG},
	        {"URL", "a", false, PRIVACY_MASK, -EBADMSG}, {CHECK_ENTITY_COLUMN, "notes", true, PRIVACY_REDACT, 0},
	        {CHECK_ENTITY_COLUMN, "other", true, PRIVACY_REDACT, -EBADMSG},
	        {CHECK_ENTITY_COLUMN, NULL, true, PRIVACY_REDACT, -EBADMSG},
	        {CHECK_ENTITY_COLUMN, "notes", false, PRIVACY_REDACT, -EBADMSG}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		_cleanup_(check_result_freep) struct check_result *result = NULL;
		_cleanup_(freep) struct edit_meaning *meanings = NULL;
		assert_int_equal(check_result_new(&result), 0);
		struct check_finding *finding = check_result_add_finding(result, cases[i].entity, cases[i].column);
		finding->of_column = cases[i].of_column;
		finding->action = cases[i].action;
		assert_int_equal(edit_meanings(&privacy, &result->privacy, &meanings), cases[i].rc);
		if (cases[i].rc == 0)
			assert_string_equal(meanings[0].name, finding->of_column ? "REDACTED" : "EMAIL");
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(places_are_read_as_they_were_added),
	        cmocka_unit_test(what_no_list_is_is_refused),
	        cmocka_unit_test(a_file_is_read_with_its_places_changed),
	        cmocka_unit_test(a_finding_means_what_the_policy_says),
	};
	return cmocka_run_group_tests_name("edit_list", tests, NULL, NULL);
}
