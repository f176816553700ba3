/* What a detector needs, and its hint, miss nothing that its expression finds and its check lets through. */
#include "policy/privacy/detector.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/pattern.h"
#include "policy/privacy/features.h"
#include "policy/privacy/scanner.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/policy/chance.h"

enum { CELLS = 60000, DETECTORS_MOST = 100 };

/* Such as are found, and what stands around them in cells. */
static const char *const samples[] = {"123 456 782", "123456782", "9876543218", "9876 543 218", "1234567897",
        "1234-567-897 AB", "V6B 1A1", "v6b-1a1", "V6B1A1", "TREM 8607 2018", "TREM86072018", "TREM-8607-2018",
        "435 418 165", "435-418-165", "435418165", "4012888888881881", "4012-8888-8888-1881", "3714 496353 98431",
        "16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "0x52908400098527886E0F7030069857D2E4169EE7", "1984-02-29",
        "28-02-84", "3 déc 99", "1fév80", "12 May 1980", "May 12th, 1980", "1980-May-12", "1984-02-29 00:00",
        "2.28.2001", "ann@example.com", "jean-françois.côté@ville.québec.ca", "иван@почта.рф", "ann@é.ca",
        "49.2827, -123.1207", "49.2827;-123.1207", "GB82 WEST 1234 5698 7654 32", "DE89370400440532013000",
        "2341 2341 2346", "234123412346", "10.0.0.1", "192.168.1.1/24", "2001:db8::1", "::1", "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:1.2.3.4", "fe80::1%eth0", "00:1A:2B:3C:4D:5E", "01-23-45-67-89-ab", "+1 415 555 0132",
        "+442079460123", "(415) 555-0132", "(415)555.0132", "415-555-0132", "1-415-555-0132", "4155550132",
        "1600 Pennsylvania Ave", "943 476 5919", "943-476-5919", "9434765919", "AB123456C", "AB 12 34 56 C",
        "ab 123456c", "https://example.com/x", "example.org/a", "A1234567", "911-70-1234", "911701234", "Z12803456",
        "536-22-1234", "536.22.1234", "536221234", "53622-1234", "536-221234", "AKIAIOSFODNN7EXAMPLE", "Mary Smith",
        "AB123456", "A123456BC"};
static const char *const around[] = {" ", "-", ".", ",", ":", "/", "(", ")", "_", "é", "x", "7", "no ", "\t", "; ",
        "ab12", "2024-03-15T14:30:00", "d41d8cd9-8f00-4204-a980", "  ", "#"};

static size_t make_cell(char *text) {
	size_t size = 0;
	for (unsigned left = draw(5); left > 0; left--)
		size += (size_t)sprintf(text + size, "%s", around[draw(sizeof around / sizeof *around)]);
	for (unsigned left = draw(3) == 0 ? draw(90) : 0; left > 0; left--)
		text[size++] = left % 7 ? 'y' : ' ';
	size += (size_t)sprintf(text + size, "%s", samples[draw(sizeof samples / sizeof *samples)]);
	for (unsigned left = draw(4); left > 0; left--)
		size += (size_t)sprintf(text + size, "%s", around[draw(sizeof around / sizeof *around)]);
	if (draw(4) == 0)
		text[draw((unsigned)size)] = (char)"0a-Z 9"[draw(6)];
	text[size] = '\0';
	return size;
}

static bool has_match(const struct detector *detector, Pattern *pattern, struct table_cell cell) {
	size_t start, end;
	for (size_t from = 0; from < cell.size; from = start + 1) {
		if (pattern_find_from(pattern, cell, from, &start, &end) != PATTERN_FOUND)
			return false;
		if (!detector->validate ||
		        detector->validate((struct table_cell){.data = cell.data + start, .size = end - start}))
			return true;
	}
	return false;
}

static Pattern *compile(const char *text) {
	Pattern *pattern = NULL;
	if (text && pattern_new(text, 0, &pattern) < 0)
		fail_msg("%s: %s", text, fault_message());
	return pattern;
}

/* A cell somewhere in a text, beside which letters and digits stand that are not its own. */
static void needs_and_hints_miss_nothing(void **state) {
	(void)state;
	Pattern *patterns[DETECTORS_MOST], *hints[DETECTORS_MOST];
	unsigned found[DETECTORS_MOST] = {0};
	size_t count = 0;
	struct features features = {0};
	for (; detectors[count].entity; count++) {
		patterns[count] = compile(detectors[count].pattern);
		hints[count] = compile(detectors[count].hint);
	}
	for (unsigned round = 0; round < CELLS; round++) {
		char text[1000];
		size_t start = draw(130);
		memset(text, "a7A "[draw(4)], sizeof text);
		size_t size = make_cell(text + start);
		text[start + size] = "a7A "[draw(4)];
		struct table_cell cell = {.data = text + start, .size = size};
		if (utf8_valid_prefix(cell.data, size) < size)
			continue; /* a byte of a character was changed */
		assert_int_equal(features_look(&features, text, start + size + 1), 0);
		size_t from, to;
		struct shapes shapes = shapes_of(&features, start, start + size);
		for (size_t i = 0; i < count; i++) {
			if (!has_match(&detectors[i], patterns[i], cell))
				continue;
			found[i]++;
			if (!detector_may_match(&detectors[i], &shapes))
				fail_msg("%s in '%.*s': needs", detectors[i].entity, (int)size, cell.data);
			const struct closer_look *closer = detectors[i].closer;
			if (closer && closer->find && closer->find(cell, 0, &from, &to) == 0)
				fail_msg("%s in '%.*s': first look", detectors[i].entity, (int)size, cell.data);
			if (hints[i] && pattern_find(hints[i], cell) != PATTERN_FOUND)
				fail_msg("%s in '%.*s': hint", detectors[i].entity, (int)size, cell.data);
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (found[i] == 0 && strcmp(detectors[i].entity, "SECRET") != 0 &&
		        strcmp(detectors[i].entity, "PERSON_NAME") != 0)
			fail_msg("%s, the %zuth, is in no cell", detectors[i].entity, i);
		pattern_free(patterns[i]);
		pattern_free(hints[i]);
	}
	features_release(&features);
}

enum { TOGETHER = 40 };

static int write_finding(void *context, const struct scan_finding *finding) {
	return fprintf(context, "%" PRIu64 " %s %zu-%zu %zu-%zu %u\n", finding->line, finding->entity, finding->start,
	               finding->end, finding->from, finding->to, finding->score) < 0
	               ? -EIO
	               : 0;
}

static void scan_some(Scanner *scanner, const char *text, const struct table_cell *cells, const uint64_t *lines,
        size_t count, FILE *out) {
	const struct table_rows rows = {.count = count,
	        .columns = 1,
	        .cells = cells,
	        .lines = lines,
	        .text = text,
	        .size = (size_t)(cells[count - 1].data - text) + cells[count - 1].size};
	if (scanner_rows(scanner, &rows, write_finding, out) < 0)
		fail_msg("%s", fault_message());
}

/* Where cells stand in a text makes no difference to what is found in them. */
static void cells_together_are_as_cells_alone(void **state) {
	(void)state;
	_cleanup_(scanner_freep) Scanner *scanner = NULL;
	assert_int_equal(scanner_new(&(struct scan_options){.sensitivity = SCAN_HIGH}, &scanner), 0);
	for (unsigned round = 0; round < 300; round++) {
		static char text[TOGETHER * 400 + ROWS_SLACK];
		char *said[2] = {NULL, NULL};
		size_t used = 0, size[2];
		struct table_cell cells[TOGETHER];
		uint64_t lines[TOGETHER];
		FILE *together = open_memstream(&said[0], &size[0]), *alone = open_memstream(&said[1], &size[1]);
		for (unsigned i = 0; i < TOGETHER; i++) {
			cells[i] = (struct table_cell){.data = text + used, .size = make_cell(text + used)};
			if (utf8_valid_prefix(cells[i].data, cells[i].size) < cells[i].size)
				cells[i].size = 0;
			lines[i] = i;
			used += cells[i].size;
			text[used++] = '\n';
		}
		scan_some(scanner, text, cells, lines, TOGETHER, together);
		for (unsigned i = 0; i < TOGETHER; i++)
			scan_some(scanner, cells[i].data, &cells[i], &lines[i], 1, alone);
		assert_true(fclose(together) == 0 && fclose(alone) == 0);
		assert_string_equal(said[0], said[1]);
		free(said[0]);
		free(said[1]);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(needs_and_hints_miss_nothing),
	        cmocka_unit_test(cells_together_are_as_cells_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
