/*
 * bench_table [ROWS]: how fast a table is read and held against eight rules, from memory, on one core. Prints a line
 * each.
 */
#include "policy/dqdl/evaluate.h"
#include "policy/table/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char rules[] =
        "Rules = [ RowCount > 10000, ColumnCount = 6, IsComplete \"Breed\", "
        "Completeness \"Color\" > 0.9, ColumnValues \"Date\" matches \"\\d{4}-\\d{2}-\\d{2}\", "
        "ColumnLength \"Name\" <= 30, ColumnValues \"Sex\" in [\"F\",\"M\",\"F/S\",\"M/N\",\"X\",EMPTY], "
        "ColumnValues \"State\" in [\"Lost\",\"Matched\",\"Found\"] with threshold > 0.99 ]";
static const char unique[] = "Rules = [ IsUnique \"Name\" ]";
static const char nothing[] = "Rules = [ RowCount > 10000 ]";

struct source {
	const char *data;
	size_t size;
};

static int source_read(void *ctx, void *buf, size_t size) {
	struct source *source = ctx;
	size_t take = source->size < size ? source->size : size;
	memcpy(buf, source->data, take);
	source->data += take;
	source->size -= take;
	return (int)take;
}

static double now(void) {
	struct timespec time;
	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void make_table(size_t rows, char **ret_text, size_t *ret_size) {
	static const char *const sexes[] = {"F", "M", "F/S", "M/N", "X", ""};
	static const char *const states[] = {"Lost", "Matched", "Found"};
	FILE *out = open_memstream(ret_text, ret_size);
	if (!out)
		abort();
	fputs("Breed;Color;Date;Name;Sex;State\r\n", out);
	for (size_t i = 0; i < rows; i++)
		fprintf(out, "Cat - DSH Tabby %zu;Orange w/white;20%02zu-%02zu-%02zu;Animal %zu;%s;%s\r\n", i % 1000,
		        i % 25, i % 12 + 1, i % 28 + 1, i, sexes[i % 6], states[i % 3]);
	fclose(out);
}

static void run(const char *what, const char *text, const char *csv, size_t size) {
	struct source source = {.data = csv, .size = size};
	Ruleset *ruleset = NULL;
	DqdlEvaluator *evaluator = NULL;
	CsvReader *reader = NULL;
	const struct table_cell *cells;
	uint64_t rows = 0;
	double start = now();
	if (csv_open(source_read, &source, NULL, &reader) < 0 ||
	        dqdl_parse(bytes_of_string(text ? text : nothing), &ruleset, NULL) < 0 ||
	        dqdl_evaluator_new(ruleset, &(struct dqdl_options){0}, &evaluator) < 0 ||
	        dqdl_evaluator_header(evaluator, csv_header_of(reader), csv_columns(reader)) < 0)
		abort();
	for (; csv_next(reader, &cells) == 1; rows++)
		if (text && dqdl_evaluator_row(evaluator, cells, csv_line(reader)) < 0)
			abort();
	if (dqdl_evaluator_finish(evaluator) < 0)
		abort();
	double seconds = now() - start;
	printf("%-12s %6.2f M rows/s %6.0f MB/s\n", what, (double)rows / seconds / 1e6, (double)size / seconds / 1e6);
	dqdl_evaluator_free(evaluator);
	ruleset_free(ruleset);
	csv_close(reader);
}

int main(int argc, char **argv) {
	char *csv;
	size_t size;
	make_table(argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000, &csv, &size);
	for (int i = 0; i < 2; i++) {
		run("read", NULL, csv, size);
		run("count", nothing, csv, size);
		run("eight rules", rules, csv, size);
		run("unique", unique, csv, size);
	}
	free(csv);
	return 0;
}
