/* A check says the same with a crew as alone. */
#include "policy/check.h"
#include "policy/crew.h"

#include "crypto/base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/policy/pieces.h"

static const char rules[] =
        "Rules = [ RowCount > 10, IsComplete \"name\", IsUnique \"id\", IsPrimaryKey \"id\" \"name\","
        " DistinctValuesCount \"name\" > 3, Uniqueness \"id\" > 0.5, Entropy \"name\" > 0.1,"
        " ColumnValues \"code\" in [\"A\",\"BB\"], ColumnLength \"name\" <= 7, ColumnValues \"id\" < 90000,"
        " Mean \"id\" > 5, ColumnValues \"code\" matches \"[A-Z]{2}\", ColumnDataType \"id\" = \"integer\","
        " ReferentialIntegrity \"name\" \"ref.name\" > 0.5 ]";
static const char sql_rules[] = "Rules = [ CustomSql \"select count(*) from primary where id > 500\" > 3,"
                                " IsUnique \"name\", ColumnValues \"id\" > 7 where \"code = 'A'\" ]";

enum form { CSV, CSV_THAT_BREAKS, JSONL };

/* Some megabytes, so that there are many batches; of different kinds of rows. */
static char *make_file(enum form form, size_t *ret_size) {
	static const char *const names[] = {"Ann", "", "Zoë", "Maximilian", "Bo"}, *const codes[] = {
	                                                                                   "A", "BB", "c", ""};
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_size);
	assert_non_null(out);
	fputs(form == JSONL ? "" : "id,name,code\n", out);
	for (unsigned i = 0; i < 60000; i++) {
		const char *name = names[i % 5], *code = codes[i % 4];
		if (form == JSONL && i % 7 == 0)
			fprintf(out, "{\"id\": %u, \"name\": null, \"code\": \"%s\"}\n", i, code);
		else if (form == JSONL)
			fprintf(out, "{\"id\": %u, \"name\": \"%s\", \"code\": \"%s\"}\n", i, name, code);
		else if (i / 1000 % 3 == 1)
			fprintf(out, "%u,\"%s\",\"%s\nx\"\n", i % 59990, name, code);
		else
			fprintf(out, form == CSV_THAT_BREAKS && i == 50000 ? "%u,%s,%s,more\n" : "%u,%s,%s\n",
			        i % 59990, name, code);
	}
	assert_int_equal(fclose(out), 0);
	return text;
}

static char *answer(enum form form, const char *text, const char *keep, Crew *crew) {
	size_t size;
	_cleanup_(freep) char *file = make_file(form, &size);
	struct pieces source = {.data = file, .size = size, .step = 60000};
	struct pieces theirs = pieces_of(bytes_of_string("name\nAnn\nBo\n"), 0);
	struct check_reference reference = {.alias = "ref",
	        .file_name = "ref.csv",
	        .size = theirs.size,
	        .input = {.read = pieces_read, .context = &theirs}};
	struct check_job job = {.dataset = "d",
	        .file_name = form == JSONL ? "f.jsonl" : "f.csv",
	        .size = size,
	        .rules = bytes_of_string(text),
	        .references = &reference,
	        .reference_count = 1,
	        .keep = keep,
	        .crew = crew};
	struct check_input input = {.read = pieces_read, .context = &source};
	struct check_result *result = NULL;
	char *json = NULL;
	size_t json_size;
	if (check_run(check_table, &job, &input, NULL, &result) < 0)
		fail_msg("%s", fault_message());
	assert_int_equal(check_result_to_json(result, &json, &json_size), 0);
	check_result_free(result);
	return json;
}

static void a_crew_changes_nothing(void **state) {
	(void)state;
	static const char *const texts[] = {rules, sql_rules};
	for (unsigned helpers = 0; helpers <= 2; helpers++) {
		_cleanup_(crew_freep) Crew *crew = NULL;
		assert_int_equal(crew_new(helpers, &crew), 0);
		for (enum form form = CSV; form <= JSONL; form++) {
			for (size_t i = 0; i < 2; i++) {
				_cleanup_(freep) char *alone = answer(form, texts[i], NULL, NULL);
				_cleanup_(freep) char *with = answer(form, texts[i], NULL, crew);
				assert_string_equal(with, alone);
			}
		}
	}
}

static void what_is_said_is_of_the_whole_file(void **state) {
	(void)state;
	_cleanup_(crew_freep) Crew *crew = NULL;
	assert_int_equal(crew_new(1, &crew), 0);
	_cleanup_(freep) char *good = answer(CSV, "Rules = [ RowCount = 60000 ]", NULL, crew);
	assert_non_null(strstr(good, "\"outcome\":\"passed\""));
	_cleanup_(freep) char *kept = answer(CSV, "Rules = [ RowCount = 30000 ]", "id % 2 = 1", crew);
	assert_non_null(strstr(kept, "\"outcome\":\"passed\""));
	_cleanup_(freep) char *broken = answer(CSV_THAT_BREAKS, rules, NULL, crew);
	assert_non_null(strstr(broken, "expected 3 fields as in the first line, found 4"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_crew_changes_nothing),
	        cmocka_unit_test(what_is_said_is_of_the_whole_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
