#include "policy/suggest.h"

#include "crypto/base/fault.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/policy/pieces.h"

/* Suggests for the file, parses what was suggested, and holds the file against it. */
static Policy *suggest_and_pass(const char *name, struct bytes file) {
	struct pieces left = pieces_of(file, 0);
	struct check_input input = {.read = pieces_read, .context = &left};
	PolicyBundle *bundle = NULL;
	Policy *policy = NULL;
	if (policy_suggest(name, &input, 1795449600000000000, &bundle) < 0 || policy_parse(bundle, &policy) < 0)
		fail_msg("%s: %s", name, fault_message());
	assert_int_equal(policy_bundle_count(bundle), 2);
	policy_bundle_free(bundle);
	const struct policy_dataset *dataset = policy_dataset_for(policy, name);
	if (!dataset)
		fail_msg("%s does not match %s", name, policy_dataset(policy, 0)->match);
	assert_null(dataset->unsupported);
	assert_int_equal(policy_warning_count(policy), 0);
	struct check_job job = check_job_for(dataset, name, file.size, 1795449600000000000);
	struct check_result *result = NULL;
	left = pieces_of(file, 0);
	assert_int_equal(check_run(check_table, &job, &input, NULL, &result), 0);
	if (result->outcome != OUTCOME_PASSED) {
		for (size_t i = 0; i < result->rule_count; i++)
			print_message("%s: %s %s\n", outcome_word(result->rules[i].outcome), result->rules[i].text,
			        result->rules[i].reason ? result->rules[i].reason : "");
		fail_msg("%s: %s", name, result->reason);
	}
	check_result_free(result);
	return policy;
}

static void a_small_table_passes_what_is_suggested_for_it(void **state) {
	(void)state;
	Policy *policy = suggest_and_pass("animals/Lost and Found 2026-11.csv",
	        bytes_of_string("id;State;Note\n1;Lost;\"a;b\"\n2;Found;\n3;Lost;c\n"));
	const struct policy_dataset *dataset = policy_dataset(policy, 0);
	assert_string_equal(dataset->name, "lost-and-found");
	assert_string_equal(dataset->match, "animals/Lost and Found*.csv");
	assert_string_equal(dataset->rules_file, "lost-and-found.dqdl");
	assert_int_equal(dataset->format.delimiter, ';');
	assert_int_equal(dataset->format.header, POLICY_HEADER_YES);
	assert_non_null(policy_dataset_for(policy, "animals/Lost and Found 2026-12.csv"));
	assert_null(policy_dataset_for(policy, "animals/Licences.csv"));
	policy_free(policy);
}

static void json_lines_pass_what_is_suggested_for_them(void **state) {
	(void)state;
	Policy *policy = suggest_and_pass(
	        "events.jsonl", bytes_of_string("{\"id\":1,\"kind\":\"a\"}\n{\"id\":2,\"kind\":null}\n"));
	assert_int_equal(policy_dataset(policy, 0)->format.type, POLICY_FILE_JSONL);
	policy_free(policy);
}

static void any_name_makes_a_pattern_that_matches_it(void **state) {
	(void)state;
	static const char *const names[] = {"a.csv", "abcd", "2026.csv", "x/y/2026-11-23.csv", "[star]*?.csv",
	        "back\\slash.csv", "\"quoted\": yes.csv", "\xc3\xa9t\xc3\xa9.csv",
	        ("\xff\xfe"
	         "file.csv"),
	        "new\nline.csv", ".hidden", "a.b.c.csv", "{{x}}.csv", "# comment.csv"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		policy_free(suggest_and_pass(names[i], bytes_of_string("a,b\n1,x\n2,y\n")));
}

static void a_packed_file_keeps_both_its_suffixes(void **state) {
	(void)state;
	static const struct {
		const char *name, *match, *dataset;
	} cases[] = {{"pets/animals-2026-11.csv.gz", "pets/animals*.csv.gz", "animals"},
	        {"animals.tsv.zst", "animals*.tsv.zst", "animals"}, {"animals.gz", "animals*.gz", "animals"},
	        {".csv.gz", ".csv*.gz", "csv"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		Policy *policy = suggest_and_pass(cases[i].name, bytes_of_string("a,b\n1,x\n2,y\n"));
		assert_string_equal(policy_dataset(policy, 0)->match, cases[i].match);
		assert_string_equal(policy_dataset(policy, 0)->name, cases[i].dataset);
		policy_free(policy);
	}
}

static void dialects_are_written_down(void **state) {
	(void)state;
	static const struct {
		const char *text;
		char delimiter, quote;
	} cases[] = {
	        {"a\tb\n1\t2\n3\t4\n", '\t', 0},
	        {"a,b\n'1,5',x\n'2,5',y\n", ',', '\''},
	        {"one\nx\ny\n", 0, 0},
	        {"a|b\r\n1|2\r\n", '|', 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		Policy *policy = suggest_and_pass("data.csv", bytes_of_string(cases[i].text));
		assert_int_equal(policy_dataset(policy, 0)->format.delimiter, cases[i].delimiter);
		assert_int_equal(policy_dataset(policy, 0)->format.quote, cases[i].quote);
		policy_free(policy);
	}
}

static void what_no_rules_can_be_made_for_is_refused_in_words(void **state) {
	(void)state;
	static const struct {
		const char *name, *text, *words;
	} cases[] = {
	        {"d/a.csv", "", "a.csv is empty"},
	        {"a.csv", "PAR1....", "a.csv can't be read as a table: the file is Parquet"},
	        {"a.csv", "\n\n", "a.csv is empty"},
	        {"a.csv", "a,b\n1,2\n3\n", "line 3"},
	        {"..", "a,b\n1,2\n", "no pattern can be made"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pieces left = pieces_of(bytes_of_string(cases[i].text), 0);
		struct check_input input = {.read = pieces_read, .context = &left};
		PolicyBundle *bundle = NULL;
		assert_int_equal(policy_suggest(cases[i].name, &input, 1795449600000000000, &bundle), -EINVAL);
		assert_null(bundle);
		if (!strstr(fault_message(), cases[i].words))
			fail_msg("'%s' is not in '%s'", cases[i].words, fault_message());
	}
}

/* ---- personal data ---- */

static const char *const planted[] = {"604-555-0182", "Zelda Quux", "604-683-1234", "512 454 281", "ann@example.org",
        "Kelly Nguyen", "1980-05-12", "1969-01-30"};

/* Few values in each column, each often enough to be a vocabulary. */
static char *with_personal_data(const char *header) {
	static const char *const sins[] = {"512 454 281", "130 692 544", "193 456 787"};
	static const char *const mails[] = {"ann@example.org", "bob@example.org", ""};
	static const char *const who[] = {"Kelly Nguyen", "Maria Garcia", "\"Zelda Quux, tel 604-683-1234\""};
	static const char *const born[] = {"1980-05-12", "1969-01-30", "1980-05-13"};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	fprintf(out, "%s\n", header);
	for (int i = 0; i < 90; i++)
		fprintf(out, "%d,%s,%s,%s,%s,%s,%s\n", i, sins[i % 3], mails[i % 3], who[i % 3], born[i % 3],
		        i % 2 ? "called 604-555-0182" : "call", i % 2 ? "Open" : "Closed");
	(void)fclose(out);
	return text;
}

static PolicyBundle *suggest_for(const char *text, int expected) {
	struct pieces left = pieces_of(bytes_of_string(text), 0);
	struct check_input input = {.read = pieces_read, .context = &left};
	PolicyBundle *bundle = NULL;
	int rc = policy_suggest("people.csv", &input, 1795449600000000000, &bundle);
	if (rc != expected)
		fail_msg("%d: %s", rc, rc < 0 ? fault_message() : "no error");
	return bundle;
}

static void assert_nowhere(const PolicyBundle *bundle, const char *value) {
	for (size_t i = 0; i < policy_bundle_count(bundle); i++) {
		struct bytes content;
		assert_int_equal(policy_bundle_get(bundle, policy_bundle_name(bundle, i), &content), 0);
		if (memmem(content.data, content.size, value, strlen(value)))
			fail_msg("%s stands in\n%.*s", value, (int)content.size, (const char *)content.data);
	}
}

static void assert_somewhere(const PolicyBundle *bundle, const char *name, const char *words) {
	struct bytes content;
	assert_int_equal(policy_bundle_get(bundle, name, &content), 0);
	if (!memmem(content.data, content.size, words, strlen(words)))
		fail_msg("%s is not in\n%.*s", words, (int)content.size, (const char *)content.data);
}

static void personal_data_stands_in_no_rule(void **state) {
	(void)state;
	char *text = with_personal_data("id,sin,mail,owner,born,log,state");
	policy_free(suggest_and_pass("people.csv", bytes_of_string(text)));
	PolicyBundle *bundle = suggest_for(text, 1);
	for (size_t i = 0; i < sizeof planted / sizeof *planted; i++)
		assert_nowhere(bundle, planted[i]);
	assert_somewhere(bundle, "people.dqdl", "ColumnValues \"state\" in [\"Closed\", \"Open\"]");
	assert_somewhere(bundle, "policy.yaml", "CANADA_SIN             # 90 times, first in line 2, column \"sin\"\n");
	policy_bundle_free(bundle);
	free(text);
}

/* A file without a header whose first row was taken for one. */
static void a_column_with_a_personal_name_has_no_rule(void **state) {
	(void)state;
	char *text = with_personal_data("id,512 454 281,ann@example.org,owner,born,log,Zelda Quux 604-683-1234");
	policy_free(suggest_and_pass("people.csv", bytes_of_string(text)));
	PolicyBundle *bundle = suggest_for(text, 1);
	for (size_t i = 0; i < sizeof planted / sizeof *planted; i++)
		assert_nowhere(bundle, planted[i]);
	policy_bundle_free(bundle);
	free(text);
}

static void the_draft_of_privacy_refuses_the_file_once_it_is_none(void **state) {
	(void)state;
	char *text = with_personal_data("id,sin,mail,owner,born,log,state"), document[4000];
	PolicyBundle *bundle = suggest_for(text, 1), *in_force;
	struct bytes content, rules;
	size_t size = 0;
	assert_int_equal(policy_bundle_get(bundle, "policy.yaml", &content), 0);
	assert_int_equal(policy_bundle_get(bundle, "people.dqdl", &rules), 0);
	bool is_draft = false;
	for (size_t i = 0; i < content.size && size < sizeof document; i++) {
		is_draft = is_draft || (content.size - i > 9 && memcmp(content.data + i, "#privacy:", 9) == 0);
		if (!(is_draft && content.data[i] == '#' && memcmp(content.data + i - 5, "\n    ", 5) == 0))
			document[size++] = (char)content.data[i];
	}
	assert_true(is_draft);
	assert_int_equal(policy_bundle_new(&in_force), 0);
	assert_int_equal(policy_bundle_put(in_force, "policy.yaml", bytes_of(document, size)), 0);
	assert_int_equal(policy_bundle_put(in_force, "people.dqdl", rules), 0);
	Policy *policy = NULL;
	if (policy_parse(in_force, &policy) < 0)
		fail_msg("%s\n%.*s", fault_message(), (int)size, document);
	struct check_job job =
	        check_job_for(policy_dataset(policy, 0), "people.csv", strlen(text), 1795449600000000000);
	struct pieces left = pieces_of(bytes_of_string(text), 0);
	struct check_input input = {.read = pieces_read, .context = &left};
	struct check_result *result = NULL;
	assert_int_equal(check_run(check_table, &job, &input, NULL, &result), 0);
	assert_int_equal(result->outcome, OUTCOME_FAILED);
	check_result_free(result);
	policy_free(policy);
	policy_bundle_free(in_force);
	policy_bundle_free(bundle);
	free(text);
}

static void a_table_without_personal_data_gets_no_draft(void **state) {
	(void)state;
	PolicyBundle *bundle = suggest_for("id,state\n1,Open\n2,Closed\n", 0);
	assert_nowhere(bundle, "privacy");
	policy_bundle_free(bundle);
}

static void the_city_s_file_passes_what_is_suggested_for_it(void **state) {
	(void)state;
	static const char name[] = "animal-control-inventory-lost-and-found.csv";
	const char *data = getenv("ASSAYFS_TEST_DATA");
	char path[512];
	snprintf(path, sizeof path, "%s/vancouver/%s", data ? data : ".", name);
	FILE *file = fopen(path, "rb");
	if (!file)
		skip(); /* without the city's file */
	uint8_t *bytes = malloc(4 << 20);
	size_t size = fread(bytes, 1, 4 << 20, file);
	(void)fclose(file);
	policy_free(suggest_and_pass(name, bytes_of(bytes, size)));
	free(bytes);
}

static void each_file_of_a_collection_passes_what_is_suggested_for_it(void **state) {
	(void)state;
	const char *data = getenv("ASSAYFS_TEST_DATA");
	char path[512];
	snprintf(path, sizeof path, "%s/csv/csv-spectrum/csvs", data ? data : ".");
	DIR *directory = opendir(path);
	if (!directory)
		skip(); /* without the collection */
	size_t count = 0;
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		static uint8_t bytes[1 << 16];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/csv/csv-spectrum/csvs/%s", data, entry->d_name);
		FILE *file = fopen(path, "rb");
		assert_non_null(file);
		size_t size = fread(bytes, 1, sizeof bytes, file);
		(void)fclose(file);
		policy_free(suggest_and_pass(entry->d_name, bytes_of(bytes, size)));
		count++;
	}
	(void)closedir(directory);
	assert_true(count >= 12);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_small_table_passes_what_is_suggested_for_it),
	        cmocka_unit_test(json_lines_pass_what_is_suggested_for_them),
	        cmocka_unit_test(any_name_makes_a_pattern_that_matches_it),
	        cmocka_unit_test(a_packed_file_keeps_both_its_suffixes),
	        cmocka_unit_test(dialects_are_written_down),
	        cmocka_unit_test(what_no_rules_can_be_made_for_is_refused_in_words),
	        cmocka_unit_test(personal_data_stands_in_no_rule),
	        cmocka_unit_test(a_column_with_a_personal_name_has_no_rule),
	        cmocka_unit_test(the_draft_of_privacy_refuses_the_file_once_it_is_none),
	        cmocka_unit_test(a_table_without_personal_data_gets_no_draft),
	        cmocka_unit_test(the_city_s_file_passes_what_is_suggested_for_it),
	        cmocka_unit_test(each_file_of_a_collection_passes_what_is_suggested_for_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
