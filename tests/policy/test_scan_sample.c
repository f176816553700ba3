/* What columns consist of: numbers whose check digits chance does not explain. */
#include "policy/privacy/scan_file.h"

#include <stdio.h>

#include "tests/policy/pieces.h"
#include "tests/policy/scanned.h"

enum { ROWS = 100 };

static unsigned luhn_digit(unsigned number) {
	unsigned sum = 0;
	for (unsigned i = 0; number > 0; number /= 10, i++) {
		unsigned digit = number % 10 * (i % 2 ? 1 : 2);
		sum += digit > 9 ? digit - 9 : digit;
	}
	return (10 - sum % 10) % 10;
}

static unsigned sin_of(unsigned i) {
	unsigned number = 13000000 + i * 7919 % 4000000;
	return number * 10 + luhn_digit(number);
}

struct counted {
	const char *entity;
	unsigned count;
};

static int count_entity(void *context, const struct scan_finding *finding) {
	struct counted *counted = context;
	counted->count += strcmp(finding->entity, counted->entity) == 0;
	return 0;
}

/* How often an entity is found in a column "x" of a table that is read as a file, with a column of words beside it. */
static unsigned count_in(const char *entity, unsigned number(unsigned i), unsigned rows, const char *before) {
	static char text[400000];
	size_t used = (size_t)snprintf(text, sizeof text, "x,y\n");
	for (unsigned i = 0; i < rows; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, "%s%u ,word\n", before, number(i));
	_cleanup_(scanner_freep) Scanner *scanner = scanner_of(&(struct scan_options){.sensitivity = SCAN_LOW});
	struct pieces source = {.data = text, .size = used, .step = 4096};
	struct counted counted = {.entity = entity};
	struct scan_about about;
	const struct scan_file file = {.form = SCAN_TABLE};
	if (scan_file(scanner, &file, (struct table_source){.read = pieces_take, .ctx = &source}, count_entity,
	            &counted, &about) < 0)
		fail_msg("%s", fault_message());
	assert_int_equal(about.rows, rows);
	return counted.count;
}

static void bare_numbers_are_found_where_nearly_all_pass(void **state) {
	(void)state;
	assert_int_equal(count_in("CANADA_SIN", sin_of, 100, ""), 100);
	assert_int_equal(count_in("CANADA_SIN", sin_of, 100, "  "), 100);
	assert_int_equal(count_in("CANADA_SIN", sin_of, 20, ""), 20);
	assert_int_equal(count_in("CANADA_SIN", sin_of, 19, ""), 0); /* too few to say */
	assert_int_equal(count_in("CANADA_SIN", sin_of, 100, "no "), 0);
	assert_int_equal(count_in("CANADA_SIN", sin_of, 5000, ""), 5000); /* also behind what was sampled */
}

static unsigned order_number(unsigned i) {
	return 130692500 + i;
}

static unsigned one_number(unsigned i) {
	return sin_of(i % 9);
}

static unsigned nine_in_ten(unsigned i) {
	return i % 10 ? sin_of(i) : sin_of(i) + 1;
}

static unsigned eight_in_nine(unsigned i) {
	return i % 9 ? sin_of(i) : sin_of(i) + 1;
}

static void numbers_that_pass_by_chance_are_not(void **state) {
	(void)state;
	assert_int_equal(count_in("CANADA_SIN", order_number, 100, ""), 0);
	assert_int_equal(count_in("CANADA_SIN", one_number, 100, ""), 0); /* nine over and over */
	assert_int_equal(count_in("CANADA_SIN", nine_in_ten, 100, ""), 90);
	assert_int_equal(count_in("CANADA_SIN", eight_in_nine, 100, ""), 0);
}

/* Empty cells say nothing; what was seen holds until columns are named anew. */
static void rows_are_sampled_on_their_own(void **state) {
	(void)state;
	enum { CELLS = 50 };
	char text[CELLS * 16 + ROWS_SLACK] = "";
	struct table_cell cells[CELLS];
	uint64_t lines[CELLS] = {0};
	const struct table_cell name = {"x", 1};
	struct table_rows rows = {.count = CELLS, .columns = 1, .cells = cells, .lines = lines, .text = text};
	struct counted counted = {.entity = "CANADA_SIN"};
	for (unsigned i = 0; i < CELLS; i++) {
		int size = i % 2 ? snprintf(text + rows.size, 16, "%u\n", sin_of(i))
		                 : snprintf(text + rows.size, 16, "\n");
		cells[i] = (struct table_cell){.data = text + rows.size, .size = (size_t)size - 1};
		rows.size += (size_t)size;
	}
	_cleanup_(scanner_freep) Scanner *scanner = scanner_of(&(struct scan_options){.sensitivity = SCAN_LOW});
	assert_int_equal(scanner_columns(scanner, &name, 1), 0);
	assert_int_equal(scanner_rows(scanner, &rows, count_entity, &counted), 0);
	assert_int_equal(counted.count, 0);
	assert_int_equal(scanner_sample(scanner, &rows), 0);
	assert_int_equal(scanner_rows(scanner, &rows, count_entity, &counted), 0);
	assert_int_equal(counted.count, CELLS / 2);
	assert_int_equal(scanner_columns(scanner, &name, 1), 0);
	assert_int_equal(scanner_rows(scanner, &rows, count_entity, &counted), 0);
	assert_int_equal(counted.count, CELLS / 2);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(bare_numbers_are_found_where_nearly_all_pass),
	        cmocka_unit_test(numbers_that_pass_by_chance_are_not),
	        cmocka_unit_test(rows_are_sampled_on_their_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
