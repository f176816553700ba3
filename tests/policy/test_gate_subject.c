/* Where a person's data is, in all that a vault keeps. */
#include "policy/gate/internal.h"
#include "tests/policy/gate_world.h"

#include "backend/audit.h"

static const char yaml[] = "version: 1\n"
                           "datasets:\n"
                           "  - name: people\n"
                           "    match: \"people/*\"\n"
                           "    settle: 0s\n"
                           "    privacy: {detect: EMAIL, action: hash}\n"
                           "  - name: strict\n"
                           "    match: \"strict/*\"\n"
                           "    settle: 0s\n"
                           "    privacy: {detect: EMAIL}\n";

static void open_vault(struct world *w) {
	world_close(w);
	w->check = check_table;
	world_open(w);
	apply(w, yaml);
}

struct found {
	char words[4096];
	uint64_t told;
	struct gate_versions versions;
};

/* "Landing/a.csv@1 mail 3,4|" for what is found; "…?" for what can't be told. */
static int take_subject(void *arg, const struct gate_subject *subject) {
	struct found *found = arg;
	char words[512], lines[200] = "";
	if (subject->policy != 0) {
		snprintf(words, sizeof words, "policy %d %s %d|", (int)subject->policy, subject->path,
		        (int)subject->lines[0]);
		strcat(found->words, words);
		return 0;
	}
	if (subject->version == 0) {
		found->told = subject->done;
		return 0;
	}
	for (size_t i = 0; i < subject->line_count; i++)
		snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%s%d", i ? "," : "",
		        (int)subject->lines[i]);
	snprintf(words, sizeof words, "%s@%d%s%s %s %s|", subject->path, (int)subject->number,
	        subject->quarantine ? " held" : "", subject->is_current ? "" : " past",
	        subject->column ? subject->column : "-",
	        subject->is_in_name  ? "name"
	        : !subject->is_found ? "?"
	        : subject->is_bytes  ? "bytes"
	                             : lines);
	assert_true(strlen(found->words) + strlen(words) < sizeof found->words);
	strcat(found->words, words);
	return subject->is_found && !subject->is_in_name ? gate_versions_add(&found->versions, subject->version) : 0;
}

static void find_any(struct world *w, const char *const *values, size_t count, struct found *ret) {
	struct gate_subjects sum;
	*ret = (struct found){0};
	if (gate_find_subject(w->gate, values, count, &somebody, take_subject, ret, &sum) < 0)
		fail_msg("%s", fault_message());
	assert_int_equal(sum.done, sum.total);
	assert_int_equal(ret->told, sum.total);
}

static void find(struct world *w, const char *value, struct found *ret) {
	find_any(w, &value, 1, ret);
}

static void expect(struct world *w, const char *value, const char *const *parts, size_t count) {
	struct found found;
	size_t size = 0;
	find(w, value, &found);
	for (size_t i = 0; i < count; i++) {
		if (!strstr(found.words, parts[i]))
			fail_msg("'%s' is not in '%s'", parts[i], found.words);
		size += strlen(parts[i]);
	}
	if (strlen(found.words) != size)
		fail_msg("more than was expected: %s", found.words);
	gate_versions_free(&found.versions);
}

#define EXPECT(w, value, ...)                                          \
	do {                                                           \
		static const char *const parts[] = {__VA_ARGS__};      \
		expect(w, value, parts, sizeof parts / sizeof *parts); \
	} while (0)

static void a_text_is_found_however_it_is_written_and_wherever_it_stands(void **state) {
	struct world *w = *state;
	open_vault(w);
	put(w, "Landing/people/a.csv", "id;mail\n1;x@example.org\n2;\"Bob@Example.com\"\n");
	put(w, "Landing/people/b.jsonl", "{\"m\":\"bob\\u0040example.com\"}\n");
	put(w, "Landing/people/c.txt", "nothing\nto bob@example.com, and bob@example.community\n");
	put(w, "Landing/strict/d.csv", "m\nbob@example.com\n");
	put(w, "Landing/other/e.bin", "\xff\xfe\x81 bob@example.com \x81");
	put(w, "Landing/other/bob@example.com.txt", "nothing");
	settle(w);
	EXPECT(w, " bob@example.com\n", "Landing/people/a.csv@1 mail 3|", "Raw/people/a.csv@1 mail 3|",
	        "Landing/people/b.jsonl@1 m 1|", "Raw/people/b.jsonl@1 m 1|", "Trusted/people/b.jsonl@1 m 1|",
	        "Landing/people/c.txt@1 - 2|", "Raw/people/c.txt@1 - 2|", "Trusted/people/c.txt@1 - 2|",
	        "Landing/strict/d.csv@1 m 2|", "Raw/strict/d.csv@1 m 2|", "Landing/other/e.bin@1 - bytes|",
	        "Landing/other/bob@example.com.txt@1 - name|");
	EXPECT(w, "nobody@example.net", "Landing/other/e.bin@1 - ?|");
}

/* A person has several addresses and numbers; each stands somewhere else. */
static void any_of_several_texts_is_found(void **state) {
	struct world *w = *state;
	struct found found;
	open_vault(w);
	put(w, "Landing/other/a.csv", "m;p\nbob@example.com;1\nx@example.org;604-555-0199\nBOB@home.example;2\n");
	put(w, "Landing/other/b.bin", "\xff\xfe\x81 bob@home.example \x81");
	put(w, "Landing/other/Bob Lee.txt", "nothing");
	const char *const whom[] = {"bob@example.com", "6045550199", "bob lee", "bob@home.example"};
	find_any(w, whom, 4, &found);
	assert_string_equal(found.words, "Landing/other/a.csv@1 m 2,4|Landing/other/a.csv@1 p 3|"
	                                 "Landing/other/b.bin@1 - bytes|Landing/other/Bob Lee.txt@1 - name|");
	gate_versions_free(&found.versions);
}

static void a_number_is_found_with_any_separators(void **state) {
	struct world *w = *state;
	open_vault(w);
	put(w, "Landing/other/a.csv",
	        "n\n046454286\n046 454 286\n046-454-286\n1046454286\n0464542867\n"
	        "046\u00a0454\u2011286\n");
	put(w, "Landing/other/b.jsonl", "{\"n\": 46454286, \"s\": \"046.454.286\"}\n");
	settle(w);
	EXPECT(w, "046-454-286", "Landing/other/a.csv@1 n 2,3,4,7|", "Landing/other/b.jsonl@1 s 1|");
}

static void words_are_found_with_any_blanks(void **state) {
	struct world *w = *state;
	open_vault(w);
	put(w, "Landing/other/a.txt", "Ann  LEE\nJoann Lee\nann lee2\nAnn Lee.\nAnn\u00a0Lee\n");
	put(w, "Landing/other/b.csv", "n\n\"Ann\nLee\"\n");
	EXPECT(w, "ann lee", "Landing/other/a.txt@1 - 1,4,5|", "Landing/other/b.csv@1 n 2|");
}

/* A steward may have written it, and every policy is kept. */
static void policies_are_looked_through(void **state) {
	struct world *w = *state;
	open_vault(w);
	apply_rules(w, yaml, "# of bob\nRules = [ ColumnValues \"m\" in [\"Bob@Example.com\"] ]\n");
	apply_rules(w, yaml, "Rules = [ RowCount > 0 ]\n");
	EXPECT(w, "bob@example.com", "policy 2 animals.dqdl 2|");
}

/* Editors put a new file in the place of the old one: what `assayfs versions` lists is more than one file. */
static void versions_are_numbered_as_the_name_showed_them(void **state) {
	struct world *w = *state;
	open_vault(w);
	put(w, "Landing/other/a.txt", "nothing");
	put(w, "Landing/other/a.txt", "bob@example.com");
	Meta *m = store_meta(w->store);
	struct node directory, node;
	assert_int_not_equal(resolve(w, "Landing/other", &directory), 0);
	meta_begin(m);
	assert_int_equal(meta_end(m, tree_unlink(m, directory.id, bytes_of_string("a.txt"), &node)), 0);
	put(w, "Landing/other/a.txt", "again bob@example.com");
	EXPECT(w, "bob@example.com", "Landing/other/a.txt@2 past - 1|", "Landing/other/a.txt@3 - 1|");
}

static void what_is_past_is_found_too(void **state) {
	struct world *w = *state;
	struct node node;
	open_vault(w);
	put(w, "Landing/other/a.txt", "bob@example.com");
	put(w, "Landing/other/a.txt", "nothing");
	put(w, "Landing/other/b.txt", "bob@example.com");
	Meta *m = store_meta(w->store);
	struct node directory;
	assert_int_not_equal(resolve(w, "Landing/other", &directory), 0);
	meta_begin(m);
	assert_int_equal(meta_end(m, tree_unlink(m, directory.id, bytes_of_string("b.txt"), &node)), 0);
	EXPECT(w, "bob@example.com", "Landing/other/a.txt@1 past - 1|", "Landing/other/b.txt@1 past - 1|");
}

/* "Trusted/a.txt@1|" for what was made of it and stays, "Raw/a.txt stays|" for what has its name. */
static int note_made(void *arg, const struct gate_place *place) {
	char *words = arg;
	size_t used = strlen(words);
	if (place->kind == GATE_MADE)
		snprintf(words + used, 4096 - used, "%s%s@%d%s|", place->path, place->quarantine ? " held" : "",
		        (int)place->number, place->is_shown ? "" : " past");
	if (place->kind == GATE_LEFT)
		snprintf(words + used, 4096 - used, "%s stays|", place->path);
	return 0;
}

/* What a policy made of it does not hold it any more, and may tell of the same person still. */
static void what_was_made_of_it_is_told_and_taken_if_asked_for(void **state) {
	struct world *w = *state;
	struct found found;
	struct gate_erased erased;
	char made[4096] = "";
	open_vault(w);
	put(w, "Landing/people/a.txt", "nothing");
	settle(w);
	put(w, "Landing/people/a.txt", "Zelda Quux of Elm Street, bob@example.com");
	settle(w);
	put(w, "Landing/people/b.txt", "bob@example.com");
	settle(w);
	put(w, "Landing/people/b.txt", "nobody");
	settle(w);
	find(w, "elm street, bob@example.com", &found);
	assert_int_equal(found.versions.count, 2);
	struct gate_erasure erasure = {.versions = &found.versions,
	        .is_exact = true,
	        .reason = "a person's right",
	        .actor = somebody,
	        .is_dry = true};
	if (gate_erase(w->gate, &erasure, note_made, made, &erased) < 0)
		fail_msg("%s", fault_message());
	assert_string_equal(made, "Trusted/people/a.txt@2|");
	assert_int_equal(erased.versions, 2);
	made[0] = '\0';
	erasure.takes_made = true;
	erasure.is_dry = false;
	if (gate_erase(w->gate, &erasure, note_made, made, &erased) < 0)
		fail_msg("%s", fault_message());
	assert_string_equal(made, "");
	assert_int_equal(erased.versions, 3);
	gate_versions_free(&found.versions);
	/* neither upwards, nor to other versions of the file */
	shows(w, "Trusted/people/a.txt", NULL);
	shows(w, "Landing/people/b.txt", "nobody");
	find(w, "nothing", &found);
	assert_string_equal(found.words, "Landing/people/a.txt@1 past - 1|Raw/people/a.txt@1 past - 1|"
	                                 "Trusted/people/a.txt@1 past - 1|");
	gate_versions_free(&found.versions);
}

/* Only the versions that hold it: who was taken out of a table is not to take the table along. */
static void what_was_found_is_erased_and_nothing_else(void **state) {
	struct world *w = *state;
	struct found found;
	struct gate_erased erased;
	open_vault(w);
	put(w, "Landing/people/a.csv", "id;mail\n1;bob@example.com\n2;ann@example.org\n");
	settle(w);
	put(w, "Landing/people/a.csv", "id;mail\n2;ann@example.org\n");
	settle(w);
	put(w, "Landing/strict/b.csv", "m\nbob@example.com\n");
	settle(w);
	find(w, "bob@example.com", &found);
	const struct gate_erasure erasure = {
	        .versions = &found.versions, .is_exact = true, .reason = "a person's right", .actor = somebody};
	const struct gate_erasure dry = {
	        .versions = &found.versions, .is_exact = true, .actor = somebody, .is_dry = true};
	char made[2][4096] = {"", ""};
	if (gate_erase(w->gate, &dry, note_made, made[0], &erased) < 0 ||
	        gate_erase(w->gate, &erasure, note_made, made[1], &erased) < 0)
		fail_msg("%s", fault_message());
	assert_int_equal(erased.versions, found.versions.count);
	assert_string_equal(made[0], made[1]);
	gate_versions_free(&found.versions);
	find(w, "bob@example.com", &found);
	assert_string_equal(found.words, "");
	shows(w, "Landing/people/a.csv", "id;mail\n2;ann@example.org\n");
	shows(w, "Raw/people/a.csv", "id;mail\n2;ann@example.org\n");
	assert_int_not_equal(versions_of(w, "Trusted/people/a.csv"), 0);
	shows(w, "Landing/strict/b.csv", NULL);
	assert_int_equal(quarantined(w), 0);
}

struct records {
	unsigned count;
	char details[4][128];
};

static int look_for_value(void *arg, const struct audit_entry *entry) {
	struct records *records = arg;
	assert_null(memmem(entry->line, entry->line_length, "bob", 3));
	assert_null(memmem(entry->line, entry->line_length, "555-0199", 8));
	if (strcmp(entry->event.event, "find-subject") != 0)
		return 0;
	assert_non_null(strstr(entry->event.detail, "subject "));
	assert_true(records->count < 4);
	snprintf(records->details[records->count++], 128, "%s", entry->event.detail);
	return 0;
}

static void the_record_does_not_hold_what_was_looked_for(void **state) {
	struct world *w = *state;
	struct found found;
	struct records records = {0};
	open_vault(w);
	find(w, "bob@example.com", &found);
	const char *const whom[] = {"604-555-0199", "bob@example.com"};
	find_any(w, whom, 2, &found);
	struct audit_filter all = {0};
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, audit_query(m, &all, look_for_value, &records)), 0);
	assert_int_equal(records.count, 3); /* one for each text, the same text alike */
	assert_string_equal(records.details[0], records.details[2]);
	assert_string_not_equal(records.details[0], records.details[1]);
}

static void what_is_no_text_is_refused(void **state) {
	struct world *w = *state;
	struct gate_subjects sum;
	open_vault(w);
	char long_one[1100];
	memset(long_one, 'a', sizeof long_one - 1);
	long_one[sizeof long_one - 1] = '\0';
	const char *const wrong[] = {"", "ab", "  a  ", "\xff\xff\xff\xff", long_one};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(
		        gate_find_subject(w->gate, &wrong[i], 1, &somebody, take_subject, NULL, &sum), -EINVAL);
	const char *const half_wrong[] = {"bob@example.com", "ab"};
	assert_int_equal(gate_find_subject(w->gate, half_wrong, 2, &somebody, take_subject, NULL, &sum), -EINVAL);
	const char *many[GATE_SUBJECTS_MAX + 1];
	for (size_t i = 0; i <= GATE_SUBJECTS_MAX; i++)
		many[i] = "bob@example.com";
	assert_int_equal(
	        gate_find_subject(w->gate, many, GATE_SUBJECTS_MAX + 1, &somebody, take_subject, NULL, &sum), -EINVAL);
	assert_int_equal(gate_find_subject(w->gate, many, 0, &somebody, take_subject, NULL, &sum), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_text_is_found_however_it_is_written_and_wherever_it_stands),
	        WORLD(any_of_several_texts_is_found),
	        WORLD(a_number_is_found_with_any_separators),
	        WORLD(words_are_found_with_any_blanks),
	        WORLD(policies_are_looked_through),
	        WORLD(versions_are_numbered_as_the_name_showed_them),
	        WORLD(what_is_past_is_found_too),
	        WORLD(what_was_found_is_erased_and_nothing_else),
	        WORLD(what_was_made_of_it_is_told_and_taken_if_asked_for),
	        WORLD(the_record_does_not_hold_what_was_looked_for),
	        WORLD(what_is_no_text_is_refused),
	};
	return cmocka_run_group_tests_name("gate_subject", tests, NULL, NULL);
}
