/* Counts that do not fit into memory: the same answers, and nothing to be read on the disk. */
#include "policy/dqdl/distinct.h"
#include "policy/dqdl/evaluate.h"
#include "policy/dqdl/spilled.h"
#include "policy/table/csv.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/policy/evaluate_csv.h"

static int memory_file(void) {
	int fd = memfd_create("spill", MFD_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static Spill *spill_into(int fd) {
	Spill *spill = NULL;
	assert_int_equal(spill_new(fd, &spill), 0);
	return spill;
}

/* ---- blocks ---- */

static void blocks_come_back_and_are_sealed(void **state) {
	(void)state;
	_cleanup_(closep) int fd = memory_file();
	_cleanup_(spill_freep) Spill *spill = spill_into(fd);
	static const size_t sizes[] = {SPILL_BLOCK_MAX, 1, 100, SPILL_BLOCK_MAX, 32};
	uint8_t block[SPILL_BLOCK_MAX], back[SPILL_BLOCK_MAX];
	uint64_t places[5];
	for (size_t i = 0; i < 5; i++) {
		memset(block, 'a' + (int)i, sizeof block);
		assert_int_equal(spill_put(spill, bytes_of(block, sizes[i]), &places[i]), 0);
	}
	for (size_t i = 5; i-- > 0;) {
		memset(block, 'a' + (int)i, sizeof block);
		assert_int_equal(spill_get(spill, places[i], back, sizes[i]), 0);
		assert_memory_equal(back, block, sizes[i]);
	}
	assert_int_equal(spill_get(spill, places[2], back, 99), -EBADMSG);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	_cleanup_(freep) char *all = malloc((size_t)st.st_size);
	assert_true(pread(fd, all, (size_t)st.st_size, 0) == st.st_size);
	assert_null(memmem(all, (size_t)st.st_size, "aaaa", 4));
}

static void a_block_that_was_changed_swapped_or_cut_is_noticed(void **state) {
	(void)state;
	_cleanup_(closep) int fd = memory_file();
	_cleanup_(spill_freep) Spill *spill = spill_into(fd);
	uint8_t block[100] = {0}, stored[116];
	uint64_t first, second;
	assert_int_equal(spill_put(spill, bytes_of(block, sizeof block), &first), 0);
	assert_int_equal(spill_put(spill, bytes_of(block, sizeof block), &second), 0);
	assert_true(pread(fd, stored, sizeof stored, (off_t)sizeof stored) == sizeof stored);
	assert_true(pwrite(fd, stored, sizeof stored, 0) == sizeof stored);
	assert_int_equal(spill_get(spill, first, block, sizeof block), -EBADMSG);
	assert_int_equal(spill_get(spill, second, block, sizeof block), 0);
	stored[7] ^= 1;
	assert_true(pwrite(fd, stored, sizeof stored, (off_t)sizeof stored) == sizeof stored);
	assert_int_equal(spill_get(spill, second, block, sizeof block), -EBADMSG);
	assert_non_null(strstr(fault_message(), "changed by somebody else"));
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_int_equal(spill_get(spill, second, block, sizeof block), -EBADMSG);
}

static void a_file_has_no_name(void **state) {
	(void)state;
	char folder[] = "/tmp/assayfs-test-spill-XXXXXX";
	assert_non_null(mkdtemp(folder));
	_cleanup_(closep) int at = open(folder, O_PATH | O_DIRECTORY);
	_cleanup_(closep) int fd = spill_open_file(at);
	assert_true(fd >= 0);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(rmdir(folder), 0); /* so nothing stands in it */
	assert_true(spill_open_file(-1) < 0);
}

static int collect(void *context, const struct spilled_count *count) {
	uint64_t *next = context;
	return count->line == (*next)++ ? 0 : -EPROTO;
}

static void a_share_has_its_counts_in_their_order(void **state) {
	(void)state;
	_cleanup_(closep) int fd = memory_file();
	_cleanup_(spill_freep) Spill *spill = spill_into(fd);
	_cleanup_(spilled_freep) Spilled *spilled = spilled_new(spill, 100000);
	assert_non_null(spilled);
	for (uint64_t i = 0; i < 3000; i++) {
		struct spilled_count count = {.hash = {i, 7ull << 56 | i}, .count = 1, .line = i};
		assert_int_equal(spilled_add(spilled, &count), 0);
	}
	uint64_t next = 0;
	assert_int_equal(spilled_each(spilled, 7, collect, &next), 0);
	assert_int_equal(next, 3000);
	assert_int_equal(spilled_each(spilled, 8, collect, &next), 0);
	next = 1;
	assert_int_equal(spilled_each(spilled, 7, collect, &next), -EPROTO);
}

/* ---- counts ---- */

struct lines {
	uint64_t count, sum;
};

static void add_line(void *context, uint64_t line) {
	struct lines *lines = context;
	lines->count++;
	lines->sum += line;
}

enum { ROWS = 90000, VALUES = 87000 };

/* Of row i: most values come once or twice, some often. */
static uint64_t value_of(uint64_t i) {
	return i % 9 == 0 ? i % 5 : i * 7919 % VALUES;
}

/* Lines on which a value comes again are told on the way or in the end, each once. */
static struct distinct_totals count_all(Distinct *distinct, struct lines *ret_again) {
	struct distinct_totals totals;
	for (uint64_t i = 0; i < ROWS; i++) {
		uint64_t value = value_of(i), times = 0;
		assert_int_equal(distinct_add(distinct, &value, sizeof value, i + 2, &times), 0);
		if (times > 1)
			add_line(ret_again, i + 2);
	}
	assert_int_equal(distinct_total(distinct, add_line, ret_again, &totals), 0);
	return totals;
}

static void spilled_counts_say_the_same(void **state) {
	(void)state;
	static const uint8_t key[DISTINCT_KEY_BYTES] = {1};
	struct distinct_budget large = {.limit = 100u << 20};
	struct lines again_there = {0};
	Distinct *there = distinct_new(key, &large, NULL);
	struct distinct_totals wanted = count_all(there, &again_there);
	static const size_t limits[] = {80000, 200000, 1000000, 2000000, 9000000};
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		_cleanup_(closep) int fd = memory_file();
		_cleanup_(spill_freep) Spill *spill = spill_into(fd);
		struct distinct_budget small = {.limit = limits[i]};
		struct lines again = {0};
		Distinct *distinct = distinct_new(key, &small, spill);
		struct distinct_totals totals = count_all(distinct, &again);
		assert_int_equal(lseek(fd, 0, SEEK_END) > 0, limits[i] < 9000000);
		assert_int_equal(totals.total, wanted.total);
		assert_int_equal(totals.values, wanted.values);
		assert_int_equal(totals.once, wanted.once);
		assert_int_equal(totals.duplicated, wanted.duplicated);
		assert_true(distinct_entropy(&totals) - distinct_entropy(&wanted) < 1e-12);
		assert_true(distinct_entropy(&wanted) - distinct_entropy(&totals) < 1e-12);
		assert_int_equal(again.count, again_there.count);
		assert_int_equal(again.sum, again_there.sum);
		int lost = 0;
		for (uint64_t row = 0; row < ROWS; row += 7) {
			uint64_t value = value_of(row), times, times_there;
			assert_int_equal(distinct_count(there, &value, sizeof value, &times_there), 0);
			int rc = distinct_count(distinct, &value, sizeof value, &times);
			lost += rc == -E2BIG;
			assert_true(rc == -E2BIG || times == times_there);
		}
		assert_int_equal(lost > 0, limits[i] <= 200000); /* with more it spills, and knows them all */
		distinct_free(distinct);
		assert_int_equal(small.used, 0);
	}
	distinct_free(there);
	assert_int_equal(large.used, 0);
}

static void rows_are_told_apart_while_there_is_memory_for_what_repeats(void **state) {
	(void)state;
	static const uint8_t key[DISTINCT_KEY_BYTES] = {2};
	_cleanup_(closep) int fd = memory_file();
	_cleanup_(spill_freep) Spill *spill = spill_into(fd);
	struct distinct_budget budget = {.limit = 300000};
	struct distinct_totals totals;
	Distinct *distinct = distinct_new(key, &budget, spill);
	uint64_t times;
	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t value = i == 99999 ? 0 : i;
		assert_int_equal(distinct_add(distinct, &value, sizeof value, i, &times), 0);
	}
	struct lines again = {0};
	assert_int_equal(distinct_total(distinct, add_line, &again, &totals), 0);
	assert_int_equal(again.count, 1);
	assert_int_equal(again.sum, 99999);
	uint64_t zero = 0, one = 1;
	assert_int_equal(distinct_count(distinct, &zero, sizeof zero, &times), 0);
	assert_int_equal(times, 2);
	assert_int_equal(distinct_count(distinct, &one, sizeof one, &times), 0);
	assert_int_equal(times, 1);
	distinct_free(distinct);
}

static void a_full_disk_is_told(void **state) {
	(void)state;
	static const uint8_t key[DISTINCT_KEY_BYTES] = {3};
	_cleanup_(closep) int fd = open("/dev/full", O_RDWR);
	_cleanup_(spill_freep) Spill *spill = spill_into(fd);
	struct distinct_budget budget = {.limit = 80000};
	Distinct *distinct = distinct_new(key, &budget, spill);
	int rc = 0;
	for (uint64_t i = 0, times; i < 300000 && rc == 0; i++)
		rc = distinct_add(distinct, &i, sizeof i, i, &times);
	assert_int_equal(rc, -ENOSPC);
	assert_non_null(strstr(fault_message(), "temporary file"));
	distinct_free(distinct);
}

static void counts_that_were_changed_on_the_disk_come_to_nothing(void **state) {
	(void)state;
	static const uint8_t key[DISTINCT_KEY_BYTES] = {4};
	_cleanup_(closep) int fd = memory_file();
	_cleanup_(spill_freep) Spill *spill = spill_into(fd);
	struct distinct_budget budget = {.limit = 80000};
	struct distinct_totals totals;
	struct lines again = {0};
	Distinct *distinct = distinct_new(key, &budget, spill);
	for (uint64_t i = 0, times; i < 100000; i++)
		assert_int_equal(distinct_add(distinct, &i, sizeof i, i, &times), 0);
	assert_true(pwrite(fd, "x", 1, 5000) == 1);
	assert_int_equal(distinct_total(distinct, add_line, &again, &totals), -EBADMSG);
	distinct_free(distinct);
	assert_int_equal(budget.used, 0);
}

/* So many values that not even a share of them fits. */
static void a_share_that_is_too_large_is_told(void **state) {
	(void)state;
	static const uint8_t key[DISTINCT_KEY_BYTES] = {5};
	_cleanup_(closep) int fd = memory_file();
	_cleanup_(spill_freep) Spill *spill = spill_into(fd);
	struct distinct_budget budget = {.limit = 30000};
	struct distinct_totals totals;
	struct lines again = {0};
	Distinct *distinct = distinct_new(key, &budget, spill);
	for (uint64_t i = 0, times; i < 400000; i++)
		assert_int_equal(distinct_add(distinct, &i, sizeof i, i, &times), 0);
	assert_int_equal(distinct_total(distinct, add_line, &again, &totals), -E2BIG);
	distinct_free(distinct);
}

/* ---- rules ---- */

static const char rules[] = "Rules = [ IsUnique \"id\", IsPrimaryKey \"id\" \"name\", Uniqueness \"name\" > 0.9,"
                            " DistinctValuesCount \"id\" > 5, UniqueValueRatio \"name\" > 0.1,"
                            " DuplicateRowCount = 0, Entropy \"name\" > 1 ]";

static char *make_csv(unsigned rows, size_t *ret_size) {
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_size);
	assert_non_null(out);
	fputs("id,name\n", out);
	for (unsigned i = 0; i < rows; i++)
		fprintf(out, "%u,%s%u\n", i % (rows - 30), i % 100 == 3 ? "" : "n", i % 100 == 3 ? 0 : i);
	assert_int_equal(fclose(out), 0);
	return text;
}

static char *outcomes_of(const char *csv, size_t size, struct dqdl_options options) {
	_cleanup_(ruleset_freep) Ruleset *ruleset = parse(rules);
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = start(ruleset, options);
	feed_csv(evaluator, csv, size);
	char *said = NULL;
	size_t said_size;
	FILE *out = open_memstream(&said, &said_size);
	assert_non_null(out);
	for (size_t i = 0; i < dqdl_evaluator_outcomes(evaluator); i++) {
		const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(evaluator, i);
		fprintf(out, "%s %s\n", results[outcome->result], outcome->reason ? outcome->reason : "");
		for (size_t k = 0; k < outcome->metric_count; k++)
			fprintf(out, "  %s %.12g\n", outcome->metrics[k].name, outcome->metrics[k].value);
	}
	assert_int_equal(fclose(out), 0);
	return said;
}

static void rules_say_the_same_with_little_memory(void **state) {
	(void)state;
	size_t size;
	_cleanup_(freep) char *csv = make_csv(200000, &size);
	_cleanup_(freep) char *there = outcomes_of(csv, size, glue);
	assert_non_null(strstr(there, "first on lines 199972, 199973"));
	static const size_t memory[] = {400000, 2000000, 100000000};
	for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) {
		_cleanup_(closep) int fd = memory_file();
		_cleanup_(spill_freep) Spill *spill = spill_into(fd);
		_cleanup_(freep) char *spilled =
		        outcomes_of(csv, size, (struct dqdl_options){.spill = spill, .count_bytes = memory[i]});
		assert_string_equal(spilled, there);
		assert_int_equal(lseek(fd, 0, SEEK_END) > 0, i < 2);
	}
}

static void what_can_not_be_kept_decides_nothing(void **state) {
	(void)state;
	size_t size;
	_cleanup_(freep) char *csv = make_csv(200000, &size);
	_cleanup_(closep) int full = open("/dev/full", O_RDWR);
	_cleanup_(spill_freep) Spill *spill = spill_into(full);
	_cleanup_(freep) char *said =
	        outcomes_of(csv, size, (struct dqdl_options){.spill = spill, .count_bytes = 400000});
	assert_non_null(strstr(said, "ERROR there are many different values, and their counts can't be kept: writing a "
	                             "check's temporary file: No space left on device"));
	assert_null(strstr(said, "PASSED"));
}

/* Every value of a comes again, too many of them to keep; b is missing in the last row. */
static void feed_values_that_repeat(DqdlEvaluator *evaluator) {
	_cleanup_(freep) char *csv = NULL;
	size_t size;
	FILE *out = open_memstream(&csv, &size);
	assert_non_null(out);
	fputs("a,b\n", out);
	for (unsigned i = 0; i < 40000; i++)
		fprintf(out, "%u,%u\n", i % 20000, i % 3);
	fputs("1,\n", out);
	assert_int_equal(fclose(out), 0);
	feed_csv(evaluator, csv, size);
}

/* A row whose value may come again is not passed for one that is alone. */
static void rows_that_can_not_be_told_apart_are_not_judged(void **state) {
	(void)state;
	_cleanup_(closep) int fd = memory_file();
	_cleanup_(spill_freep) Spill *spill = spill_into(fd);
	_cleanup_(ruleset_freep) Ruleset *ruleset = parse("Rules = [ IsUnique \"a\" ]");
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator =
	        start(ruleset, (struct dqdl_options){.spill = spill, .count_bytes = 80000});
	feed_values_that_repeat(evaluator);
	const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(evaluator, 0);
	assert_int_equal(outcome->result, DQDL_FAILED);
	assert_int_equal(outcome->failing_rows, 40001);
	const struct table_cell row[] = {{"7", 1}, {"x", 1}};
	assert_int_equal(dqdl_evaluator_judge(evaluator, row), -E2BIG);
	assert_non_null(strstr(fault_message(), "too many values occur more than once"));
}

/* Another rule's counts, which nobody asks row by row, are no reason not to judge. */
static void rows_are_judged_by_the_rules_that_are_about_rows(void **state) {
	(void)state;
	_cleanup_(closep) int fd = memory_file();
	_cleanup_(spill_freep) Spill *spill = spill_into(fd);
	_cleanup_(ruleset_freep) Ruleset *ruleset = parse("Rules = [ Uniqueness \"a\" >= 0, IsComplete \"b\" ]");
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator =
	        start(ruleset, (struct dqdl_options){.spill = spill, .count_bytes = 80000});
	feed_values_that_repeat(evaluator);
	const struct table_cell row[] = {{"7", 1}, {"", 0}};
	assert_int_equal(dqdl_evaluator_judge(evaluator, row), 0);
	assert_int_equal(dqdl_evaluator_row_result(evaluator, 1), DQDL_ROW_FAILED);
}

/* Many columns share the memory, and what each keeps beside its table goes with its share. */
static void wide_tables_stay_within_their_memory(void **state) {
	(void)state;
	enum { COLUMNS = 300, LINES = 2500, MEMORY = 24 << 20 };
	_cleanup_(closep) int fd = memory_file();
	_cleanup_(spill_freep) Spill *spill = spill_into(fd);
	_cleanup_(freep) char *text = NULL, *csv = NULL;
	size_t text_size, size;
	FILE *out = open_memstream(&text, &text_size);
	fputs("Rules = [ RowCount > 0", out);
	for (int i = 0; i < COLUMNS; i++)
		fprintf(out, ", IsUnique \"c%d\"", i);
	fputs(" ]", out);
	assert_int_equal(fclose(out), 0);
	out = open_memstream(&csv, &size);
	for (int row = -1; row < LINES; row++)
		for (int i = 0; i < COLUMNS; i++)
			fprintf(out, row < 0 ? "c%d%s" : "%d%s", row < 0 ? i : row, i + 1 < COLUMNS ? "," : "\n");
	assert_int_equal(fclose(out), 0);
	_cleanup_(ruleset_freep) Ruleset *ruleset = parse(text);
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator =
	        start(ruleset, (struct dqdl_options){.spill = spill, .count_bytes = MEMORY});
	size_t before = mallinfo2().uordblks;
	feed_csv(evaluator, csv, size);
	assert_int_equal(dqdl_evaluator_outcome(evaluator, COLUMNS)->result, DQDL_PASSED);
	assert_true(lseek(fd, 0, SEEK_END) > 0);
	assert_true(mallinfo2().uordblks <
	            before + MEMORY * 3 / 2); /* nothing, under a sanitizer, which has no such count */
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(blocks_come_back_and_are_sealed),
	        cmocka_unit_test(a_block_that_was_changed_swapped_or_cut_is_noticed),
	        cmocka_unit_test(a_file_has_no_name),
	        cmocka_unit_test(a_share_has_its_counts_in_their_order),
	        cmocka_unit_test(spilled_counts_say_the_same),
	        cmocka_unit_test(rows_are_told_apart_while_there_is_memory_for_what_repeats),
	        cmocka_unit_test(a_full_disk_is_told),
	        cmocka_unit_test(counts_that_were_changed_on_the_disk_come_to_nothing),
	        cmocka_unit_test(a_share_that_is_too_large_is_told),
	        cmocka_unit_test(wide_tables_stay_within_their_memory),
	        cmocka_unit_test(rows_are_judged_by_the_rules_that_are_about_rows),
	        cmocka_unit_test(rules_say_the_same_with_little_memory),
	        cmocka_unit_test(what_can_not_be_kept_decides_nothing),
	        cmocka_unit_test(rows_that_can_not_be_told_apart_are_not_judged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
