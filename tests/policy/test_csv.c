#include "policy/table/csv.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/policy/pieces.h"

static void print_row(FILE *out, const struct table_cell *cells, size_t columns) {
	for (size_t i = 0; i < columns; i++)
		fprintf(out, "%s%.*s", i ? "|" : "", (int)cells[i].size, cells[i].data);
	fputc('\n', out);
}

static int print_one_by_one(FILE *out, CsvReader *reader) {
	const struct table_cell *cells;
	int rc;
	while ((rc = csv_next(reader, &cells)) == 1)
		print_row(out, cells, csv_columns(reader));
	return rc;
}

/* Cells lie in the text that is told, and lines grow. */
static int print_many(FILE *out, CsvReader *reader) {
	struct table_rows rows;
	uint64_t line = 0;
	int rc;
	while ((rc = csv_rows(reader, &rows)) == 1) {
		assert_true(rows.count > 0 && rows.columns == csv_columns(reader));
		for (size_t i = 0; i < rows.count; i++) {
			print_row(out, rows_at(&rows, i), rows.columns);
			assert_true(rows.lines[i] > line);
			line = rows.lines[i];
			for (size_t k = 0; k < rows.columns; k++) {
				struct table_cell cell = rows_at(&rows, i)[k];
				assert_true(cell.data >= rows.text && cell.data + cell.size <= rows.text + rows.size);
				char behind[ROWS_SLACK];
				memcpy(behind, cell.data, sizeof behind); /* can be read, says the sanitizer */
			}
		}
	}
	assert_true(line <= csv_line(reader));
	return rc;
}

typedef int print_function(FILE *out, CsvReader *reader);

/* Reads it all into "a|b|c\n…" with the header first; returns csv_open's or csv_next's error. */
static int read_by(print_function *print, struct pieces *source, const struct csv_options *options, char **ret_text,
        struct csv_dialect *ret_dialect) {
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	_cleanup_(freep) char *text = NULL;
	size_t size;
	int rc = csv_open(pieces_take, source, options, &reader);
	if (rc < 0)
		return rc;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	print_row(out, csv_header_of(reader), csv_columns(reader));
	rc = print(out, reader);
	fclose(out);
	if (ret_dialect)
		*ret_dialect = *csv_dialect_of(reader);
	*ret_text = steal_pointer(&text);
	return rc;
}

/* One row after the other and many at once, which is the same. */
static int read_all(
        struct pieces *source, const struct csv_options *options, char **ret_text, struct csv_dialect *ret_dialect) {
	struct pieces again = *source;
	_cleanup_(freep) char *many = NULL;
	int of_many = read_by(print_many, &again, options, &many, NULL);
	int rc = read_by(print_one_by_one, source, options, ret_text, ret_dialect);
	assert_int_equal(of_many, rc);
	assert_string_equal(many ? many : "", *ret_text ? *ret_text : "");
	return rc;
}

static struct pieces source_of(const char *text, size_t step) {
	return (struct pieces){.data = text, .size = strlen(text), .step = step};
}

static void assert_reads(const char *text, const char *expected) {
	for (size_t step = 0; step < 4; step++) {
		_cleanup_(freep) char *got = NULL;
		struct pieces source = source_of(text, step);
		int rc = read_all(&source, NULL, &got, NULL);
		if (rc != 0)
			print_error("%s\n", fault_message());
		assert_int_equal(rc, 0);
		assert_string_equal(got, expected);
	}
}

static void assert_fails(const char *text, int errnum, const char *words) {
	for (size_t step = 0; step < 3; step++) {
		_cleanup_(freep) char *got = NULL;
		struct pieces source = source_of(text, step);
		assert_int_equal(read_all(&source, NULL, &got, NULL), -errnum);
		if (!strstr(fault_message(), words))
			fail_msg("\"%s\" does not say \"%s\"", fault_message(), words);
	}
}

static void assert_dialect(const char *text, const char *expected) {
	_cleanup_(freep) char *got = NULL;
	char words[128];
	struct csv_dialect dialect;
	struct pieces source = source_of(text, 0);
	assert_int_equal(read_all(&source, NULL, &got, &dialect), 0);
	csv_dialect_text(&dialect, words, sizeof words);
	assert_string_equal(words, expected);
}

static void plain_and_quoted_fields_are_read(void **state) {
	(void)state;
	assert_reads("a,b,c\n1,2,3\n", "a|b|c\n1|2|3\n");
	assert_reads("a,b\n\"x, y\",\"say \"\"hi\"\"\"\n", "a|b\nx, y|say \"hi\"\n");
	assert_reads("a,b\n\"\",\"\"\"\"\n", "a|b\n|\"\n");
	assert_reads("a,b\n\"1\n2\",\"3\r\n4\"\n5,6", "a|b\n1\n2|3\r\n4\n5|6\n");
	assert_reads("name,size\n5\" disk,3\n", "name|size\n5\" disk|3\n");
	assert_reads("a,b\n1,\n,2\n,", "a|b\n1|\n|2\n|\n");
}

static void backslashes_before_quotes_are_detected_and_undone(void **state) {
	(void)state;
	assert_reads("a,b\n\"say \\\"hi\\\" now\",1\n\"c:\\\\\",2\n\"\\n \"\"x\"\"\",3\n",
	        "a|b\nsay \"hi\" now|1\nc:\\|2\n\\n \"x\"|3\n");
	assert_dialect("a,b\n\"say \\\"hi\\\" now\",1\n", "delimiter ',', quote '\"', escape '\\', LF, header");
	assert_dialect(
	        "a;b\n\"1, \\\"2\\\", 3, 4\";5\n\"6\";7\n", "delimiter ';', quote '\"', escape '\\', LF, header");
	/* A backslash at a field's end says nothing while the plain reading fits. */
	assert_dialect("a,b\n\"c:\\dir\\\",1\n", "delimiter ',', quote '\"', LF, header");
	assert_reads("a,b\n\"c:\\dir\\\",1\n", "a|b\nc:\\dir\\|1\n");
	assert_reads("a,b\nx\\,1\n\\N,2\n", "a|b\nx\\|1\n\\N|2\n");
}

static void an_escape_or_no_quote_can_be_given(void **state) {
	(void)state;
	static const struct {
		const char *text;
		struct csv_options options;
		const char *expected;
	} cases[] = {
	        {"a,b\n\"x\\\",1\",2\n", {.escape = '\\'}, "a|b\nx\",1|2\n"},
	        {"a,b\n\"x^\"y^^\",2\n", {.escape = '^'}, "a|b\nx\"y^|2\n"},
	        {"a,b\n\"x\\\",2\n", {.escape = CSV_NONE}, "a|b\nx\\|2\n"},
	        {"a,b\n\"x,2\n\"\"y,'3'\n", {.quote = CSV_NONE}, "a|b\n\"x|2\n\"\"y|'3'\n"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (size_t step = 0; step < 4; step++) {
			_cleanup_(freep) char *got = NULL;
			struct pieces source = source_of(cases[i].text, step);
			if (read_all(&source, &cases[i].options, &got, NULL) < 0)
				fail_msg("%s", fault_message());
			assert_string_equal(got, cases[i].expected);
		}
	}
	struct csv_options wrong = {.escape = '"'};
	struct pieces source = source_of("a,b\n", 0);
	_cleanup_(freep) char *none = NULL;
	assert_int_equal(read_all(&source, &wrong, &none, NULL), -EINVAL);
}

static void every_newline_is_understood(void **state) {
	(void)state;
	assert_reads("a,b\r\n1,\"2\"\r\n3,4\r\n", "a|b\n1|2\n3|4\n");
	assert_reads("a,b\r1,\"2\"\r3,4", "a|b\n1|2\n3|4\n");
	assert_reads("a,b\r\n1,2\n3,4", "a|b\n1|2\n3|4\n");
	assert_reads("a,b\n1,\"2\"\r", "a|b\n1|2\n");
}

static void blank_lines_are_skipped_but_in_one_column_they_are_cells(void **state) {
	(void)state;
	assert_reads("\na,b\n\n1,2\n\n\n3,4\n\n", "a|b\n1|2\n3|4\n");
	assert_reads("word\nx\n\ny\n", "word\nx\n\ny\n");
}

static void the_dialect_is_detected(void **state) {
	(void)state;
	assert_dialect("a;b,c\n1;2\n3;4\n", "delimiter ';', quote '\"', LF, header");
	assert_dialect("\xef\xbb\xbf"
	               "a\tb\r\n1\t2, 3\r\n",
	        "delimiter tab, quote '\"', CRLF, header, BOM");
	assert_dialect("a|b\r1|2\r", "delimiter '|', quote '\"', CR, header");
	assert_dialect("a,b\n'x, y','z'\n'p','q'\n", "delimiter ',', quote ''', LF, header");
	assert_dialect("it's,b\n'til,2\n", "delimiter ',', quote '\"', LF, header");
	assert_dialect("word\nhello\nworld\n", "delimiter none, quote '\"', LF, header");
	assert_dialect("1,2\n3,4\n", "delimiter ',', quote '\"', LF, no header");
	assert_dialect("id,2024-01-02\n3,4\n", "delimiter ',', quote '\"', LF, no header");
	assert_dialect("T1,E2\n3,4\n", "delimiter ',', quote '\"', LF, header");
	assert_dialect("country,2019,2020\nCA,1.5,2\n", "delimiter ',', quote '\"', LF, header");
	assert_dialect(",a,b\n1,2,3\n", "delimiter ',', quote '\"', LF, header");
	assert_dialect("2019,2020\n1,2\n", "delimiter ',', quote '\"', LF, no header");
	assert_dialect("Ann,34,2020\nBob,51,2021\n", "delimiter ',', quote '\"', LF, no header");
	assert_dialect("x,x\n3,4\n", "delimiter ',', quote '\"', LF, no header");
	assert_dialect("a;b\n\"1,2\n3,4\";5\n", "delimiter ';', quote '\"', LF, header");
}

static void without_a_header_columns_get_names_and_no_row_is_lost(void **state) {
	(void)state;
	assert_reads("1,2\n3,4\n", "col0|col1\n1|2\n3|4\n");
}

static void a_given_dialect_wins(void **state) {
	(void)state;
	_cleanup_(freep) char *got = NULL;
	struct pieces source = source_of("a,b;c\n1,2;3\n", 0);
	struct csv_options options = {.delimiter = ';', .header = CSV_HEADER_NO};
	assert_int_equal(read_all(&source, &options, &got, NULL), 0);
	assert_string_equal(got, "col0|col1\na,b|c\n1,2|3\n");
	options.delimiter = '"';
	source = source_of("a,b;c\n1,2;3\n", 0);
	_cleanup_(freep) char *none = NULL;
	assert_int_equal(read_all(&source, &options, &none, NULL), -EINVAL);
}

static void a_ragged_row_names_line_and_numbers(void **state) {
	(void)state;
	assert_fails("a,b\n1,2\n\"3\n3\",4\n5\n", EBADMSG, "line 5: expected 2 fields as in the first line, found 1");
	assert_fails("a,b\n1,2,3\n", EBADMSG, "line 2: expected 2 fields as in the first line, found 3");
}

static void broken_quotes_are_named(void **state) {
	(void)state;
	assert_fails("a,b\n1,\"2\n3,4\n", EBADMSG, "line 2: the quote that opens field 2 is never closed");
	assert_fails("a,b\n\"1\"x,2\n", EBADMSG, "line 2: text after the closing quote of field 1");
}

/* Other programs would end a row there, and read other rows than the rules have seen. */
static void a_newline_of_the_other_kind_is_an_error_outside_quotes(void **state) {
	(void)state;
	assert_fails("a,b,c\nok,1,1\nok2,5\rBAD,2\nok3,1,1\n", EBADMSG, "line 3: a carriage return in field 2");
	assert_fails("a,b,c\r\nok,1,1\r\nok2,5\rBAD,2\r\n", EBADMSG, "line 3: a carriage return in field 2");
	assert_fails("a,b\nx,1\r\r\n", EBADMSG, "line 2: a carriage return in field 2");
	assert_fails("a,b\n\rx,1\n", EBADMSG, "line 2: a carriage return in field 1");
	assert_reads("a,b\nx,\"1\r2\"\n", "a|b\nx|1\r2\n");
	assert_reads("a,b\r\nx,1\ny,2\r", "a|b\nx|1\ny|2\n");
	char text[600] = "a,b\r\n";
	for (size_t i = 0; strlen(text) < 400; i++) /* at all places of a block */
		(void)snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s,1\r\n", (int)(i % 5), "xxxxx");
	struct pieces source = source_of(text, 0);
	_cleanup_(freep) char *got = NULL;
	assert_int_equal(read_all(&source, NULL, &got, NULL), 0);
	assert_null(strchr(got, '\r'));
	for (size_t i = 100; i < 350; i++) {
		char bad[600];
		strcpy(bad, text);
		if (bad[i] != 'x')
			continue;
		bad[i] = '\r';
		struct pieces again = source_of(bad, i % 7 * 50);
		_cleanup_(freep) char *nothing = NULL;
		assert_int_equal(read_all(&again, NULL, &nothing, NULL), -EBADMSG);
		assert_non_null(strstr(fault_message(), "a carriage return"));
	}
}

static void what_is_not_text_is_named(void **state) {
	(void)state;
	assert_fails("a,b\nx,y\n\"p\nq\xe9\",y\n", EILSEQ, "line 4: byte 0xe9 is not UTF-8");
	assert_fails("a,b\n\xc0\x80,y\n", EILSEQ, "line 2: byte 0xc0");
	assert_fails("a,b\n\xed\xa0\x80,y\n", EILSEQ, "line 2: byte 0xed");
	assert_fails("\xff\xfe"
	             "ab",
	        EILSEQ, "UTF-16");
	struct pieces source = {.data = "a,b\n\0,1\n", .size = 8};
	_cleanup_(freep) char *got = NULL;
	assert_int_equal(read_all(&source, NULL, &got, NULL), -EILSEQ);
	assert_non_null(strstr(fault_message(), "line 2: a NUL byte"));
}

static void an_empty_file_says_so(void **state) {
	(void)state;
	assert_fails("", ENODATA, "empty");
	assert_fails("\n\r\n\n", ENODATA, "empty");
	assert_fails("\xef\xbb\xbf", ENODATA, "empty");
}

static void limits_end_a_hostile_record(void **state) {
	(void)state;
	size_t size = 300000;
	_cleanup_(freep) char *text = malloc(size + 1);
	memset(text, 'x', size);
	memcpy(text, "a,b\n\"", 5);
	text[size] = '\0';
	struct csv_options options = {.max_record_bytes = 100000, .max_columns = 3};
	struct pieces source = source_of(text, 0);
	_cleanup_(freep) char *got = NULL;
	assert_int_equal(read_all(&source, &options, &got, NULL), -EMSGSIZE);
	assert_non_null(strstr(fault_message(), "line 2: the record is longer than 100000 bytes"));
	struct pieces wide = source_of("a,b,c,d\n", 0);
	_cleanup_(freep) char *none = NULL;
	assert_int_equal(read_all(&wide, &options, &none, NULL), -EMSGSIZE);
	assert_non_null(strstr(fault_message(), "more than 3 fields"));
}

static void an_error_stays(void **state) {
	(void)state;
	struct pieces source = source_of("a,b\n1\n2,3\n", 0);
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	const struct table_cell *cells;
	assert_int_equal(csv_open(pieces_take, &source, NULL, &reader), 0);
	assert_int_equal(csv_next(reader, &cells), -EBADMSG);
	assert_int_equal(csv_next(reader, &cells), -EBADMSG);
}

static void a_failed_read_comes_through(void **state) {
	(void)state;
	CsvReader *reader;
	assert_int_equal(csv_open(pieces_fail, NULL, NULL, &reader), -EIO);
}

static void assert_record(const CsvReader *reader, const char *text, const char *record) {
	size_t size;
	uint64_t at = csv_record(reader, &size);
	assert_int_equal(size, strlen(record));
	assert_memory_equal(text + at, record, size);
}

static void a_row_knows_its_line_and_its_bytes_in_the_file(void **state) {
	(void)state;
	static const char text[] = "\xef\xbb\xbf"
	                           "a,b\r\n1,\"x\ny\"\r\n\r\n\"\"\"\",2\r\n3,4";
	for (size_t step = 0; step < 4; step++) {
		struct pieces source = source_of(text, step);
		_cleanup_(csv_closep) CsvReader *reader = NULL;
		const struct table_cell *cells;
		assert_int_equal(csv_open(pieces_take, &source, NULL, &reader), 0);
		assert_int_equal(csv_line(reader), 1);
		assert_int_equal(csv_next(reader, &cells), 1);
		assert_int_equal(csv_line(reader), 2);
		assert_record(reader, text, "1,\"x\ny\"\r\n");
		assert_int_equal(csv_next(reader, &cells), 1);
		assert_int_equal(csv_line(reader), 5);
		assert_record(reader, text, "\"\"\"\",2\r\n");
		assert_int_equal(csv_next(reader, &cells), 1);
		assert_record(reader, text, "3,4");
	}
}

static void bytes_are_counted_over_many_buffers(void **state) {
	(void)state;
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	fputs("a,b\n", out);
	for (int i = 0; i < 100000; i++)
		fprintf(out, "%d,%d\n", i, i);
	fclose(out);
	struct pieces source = source_of(text, 1000);
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	const struct table_cell *cells;
	assert_int_equal(csv_open(pieces_take, &source, NULL, &reader), 0);
	for (int i = 0; i < 100000; i++) {
		char record[32];
		(void)snprintf(record, sizeof record, "%d,%d\n", i, i);
		assert_int_equal(csv_next(reader, &cells), 1);
		assert_record(reader, text, record);
	}
	assert_int_equal(csv_next(reader, &cells), 0);
}

/* By the index where there are no quotes, byte by byte where there are. */
static void long_tables_are_read_alike_however_the_bytes_come(void **state) {
	(void)state;
	static const char *const fields[] = {
	        "", "x", "\xc3\xa9t\xc3\xa9", "\"q;\"\"\n\"", "5\" disk", "a longer field of text"};
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *expected = NULL;
	size_t size, expected_size;
	FILE *out = open_memstream(&text, &size), *rows = open_memstream(&expected, &expected_size);
	fputs("a;b;c\r\n", out);
	fputs("a|b|c\n", rows);
	uint32_t random = 1;
	for (int i = 0; i < 30000; i++) {
		for (int k = 0; k < 3; k++) {
			random = random * 1664525 + 1013904223;
			/* Long stretches without quotes, and others with many. */
			size_t pick = (random >> 16) % (i / 1000 % 2 ? 6 : 3);
			bool is_quoted = fields[pick][0] == '"';
			fprintf(out, "%s%s", k ? ";" : "", fields[pick]);
			fprintf(rows, "%s%s", k ? "|" : "",
			        is_quoted             ? "q;\"\n"
			        : pick == 6 && k == 2 ? "\r"
			                              : fields[pick]);
		}
		fputs(i % 3 ? "\r\n" : i % 2 ? "\n" : "\r\n\r\n", out);
		fputc('\n', rows);
	}
	fclose(out);
	fclose(rows);
	for (size_t step = 0; step < 100000; step = step * 3 + 997) {
		_cleanup_(freep) char *got = NULL;
		struct pieces source = source_of(text, step);
		if (read_all(&source, NULL, &got, NULL) < 0)
			fail_msg("%s", fault_message());
		assert_string_equal(got, expected);
	}
}

static void an_error_far_inside_names_its_line(void **state) {
	(void)state;
	static const char *const broken[] = {"1;2;3\n", "1\n", "1;\xff\n", "1;\"2\n"};
	static const char *const words[] = {"line 9002: expected 2 fields as in the first line, found 3",
	        "line 9002: expected 2 fields as in the first line, found 1", "line 9002: byte 0xff",
	        "line 9002: the quote that opens field 2 is never closed"};
	_cleanup_(freep) char *text = malloc(40100);
	for (size_t i = 0; i < 4; i++) {
		memcpy(text, "a;b\n", 4);
		for (size_t row = 0; row < 9000; row++)
			memcpy(text + 4 + row * 4, "1;2\n", 4);
		memcpy(text + 36004, broken[i], strlen(broken[i]) + 1);
		if (i < 3)
			strcat(text + 36004, "1;2\n1;2\n");
		assert_fails(text, i == 2 ? EILSEQ : EBADMSG, words[i]);
	}
}

static void only_what_is_wanted_is_made_and_shapes_are_checked_all_the_same(void **state) {
	(void)state;
	static const bool wanted[] = {false, true, false}, none[] = {false, false, false};
	struct pieces source = source_of("a,b,c\n1,2,3\n4,5,6\n7,8\n", 0);
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	const struct table_cell *cells;
	assert_int_equal(csv_open(pieces_take, &source, NULL, &reader), 0);
	csv_want(reader, wanted);
	assert_int_equal(csv_next(reader, &cells), 1);
	assert_true(cell_equals(cells[1], "2", 1));
	csv_want(reader, none);
	assert_int_equal(csv_next(reader, &cells), 1);
	assert_int_equal(csv_next(reader, &cells), -EBADMSG);
}

/* Reads csvs/NAME.csv. Its lines end as the collection's attributes say, whatever they did on the way here. */
static size_t load_spectrum(const char *data, const char *name, char text[static 8192]) {
	char path[512];
	(void)snprintf(path, sizeof path, "%s/csv/csv-spectrum/csvs/%s.csv", data, name);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	bool crlf = strlen(name) > 5 && strcmp(name + strlen(name) - 5, "_crlf") == 0;
	size_t size = 0;
	for (int c, last = 0; (c = fgetc(file)) != EOF && size + 2 < 8192; last = c) {
		if (crlf && c == '\n' && last != '\r')
			text[size++] = '\r';
		text[size++] = (char)c;
	}
	fclose(file);
	return size;
}

/* The phone number of location_coordinates is another one in the collection's JSON than in its CSV. */
static bool is_their_mistake(const char *name, const char *key) {
	return strcmp(name, "location_coordinates") == 0 && strcmp(key, "Contact Phone Number") == 0;
}

static void compare_row(const char *name, const CsvReader *reader, const struct table_cell *cells, json_t *object) {
	const struct table_cell *header = csv_header_of(reader);
	assert_int_equal(json_object_size(object), csv_columns(reader));
	for (size_t i = 0; i < csv_columns(reader); i++) {
		char key[64];
		(void)snprintf(key, sizeof key, "%.*s", (int)header[i].size, header[i].data);
		json_t *value = json_object_get(object, key);
		assert_non_null(value);
		if (is_their_mistake(name, key))
			assert_true(cell_equals(cells[i], "2095257564", 10));
		else if (!cell_equals(cells[i], json_string_value(value), json_string_length(value)))
			fail_msg("%s line %d %s: \"%.*s\"", name, (int)csv_line(reader), key, (int)cells[i].size,
			        cells[i].data);
	}
}

/* One case of the csv-spectrum collection: csvs/NAME.csv read as json/NAME.json, an array of rows or one row. */
static void check_spectrum(const char *data, const char *name) {
	char path[512], text[8192];
	(void)snprintf(path, sizeof path, "%s/csv/csv-spectrum/json/%s.json", data, name);
	json_t *expected = json_load_file(path, 0, NULL);
	assert_non_null(expected);
	struct pieces source = {.data = text, .size = load_spectrum(data, name, text)};
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	const struct table_cell *cells;
	assert_int_equal(csv_open(pieces_take, &source, &(struct csv_options){.header = CSV_HEADER_YES}, &reader), 0);
	size_t rows = json_is_array(expected) ? json_array_size(expected) : 1;
	for (size_t row = 0; row < rows; row++) {
		assert_int_equal(csv_next(reader, &cells), 1);
		compare_row(name, reader, cells, json_is_array(expected) ? json_array_get(expected, row) : expected);
	}
	assert_int_equal(csv_next(reader, &cells), 0);
	json_decref(expected);
}

static void csv_spectrum_reads_as_its_json(void **state) {
	(void)state;
	static const char *const names[] = {"comma_in_quotes", "empty", "empty_crlf", "escaped_quotes", "json",
	        "location_coordinates", "newlines", "newlines_crlf", "quotes_and_newlines", "simple", "simple_crlf",
	        "utf8"};
	const char *data = getenv("ASSAYFS_TEST_DATA");
	char path[512];
	(void)snprintf(path, sizeof path, "%s/csv/csv-spectrum/readme.md", data ? data : "");
	if (!data || access(path, R_OK) != 0) {
		print_message("skipped: no csv-spectrum under ASSAYFS_TEST_DATA\n");
		skip();
	}
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		check_spectrum(data, names[i]);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(plain_and_quoted_fields_are_read),
	        cmocka_unit_test(backslashes_before_quotes_are_detected_and_undone),
	        cmocka_unit_test(an_escape_or_no_quote_can_be_given),
	        cmocka_unit_test(every_newline_is_understood),
	        cmocka_unit_test(blank_lines_are_skipped_but_in_one_column_they_are_cells),
	        cmocka_unit_test(the_dialect_is_detected),
	        cmocka_unit_test(without_a_header_columns_get_names_and_no_row_is_lost),
	        cmocka_unit_test(a_given_dialect_wins),
	        cmocka_unit_test(a_ragged_row_names_line_and_numbers),
	        cmocka_unit_test(broken_quotes_are_named),
	        cmocka_unit_test(a_newline_of_the_other_kind_is_an_error_outside_quotes),
	        cmocka_unit_test(what_is_not_text_is_named),
	        cmocka_unit_test(an_empty_file_says_so),
	        cmocka_unit_test(limits_end_a_hostile_record),
	        cmocka_unit_test(an_error_stays),
	        cmocka_unit_test(a_failed_read_comes_through),
	        cmocka_unit_test(a_row_knows_its_line_and_its_bytes_in_the_file),
	        cmocka_unit_test(bytes_are_counted_over_many_buffers),
	        cmocka_unit_test(long_tables_are_read_alike_however_the_bytes_come),
	        cmocka_unit_test(an_error_far_inside_names_its_line),
	        cmocka_unit_test(only_what_is_wanted_is_made_and_shapes_are_checked_all_the_same),
	        cmocka_unit_test(csv_spectrum_reads_as_its_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
