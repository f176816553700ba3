/*
 * bench_table [ROWS | FILE [MIB]]: how fast a table is read and held against rules, from memory, by processor time: one
 * of so many made-up rows, or a file whose rows are repeated up to so many MiB (default: 1024). Prints a line each.
 */
#include "policy/dqdl/evaluate.h"
#include "policy/table/table.h"

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

/* A table in memory, its rows handed out again and again until `left` is used up. */
struct table {
	const char *data;
	size_t size, first_row;
};

struct source {
	const struct table *table;
	size_t at;
	uint64_t left;
};

static int source_read(void *ctx, void *buf, size_t size) {
	struct source *source = ctx;
	if (source->at == source->table->size)
		source->at = source->table->first_row;
	size_t take = source->table->size - source->at;
	take = take < size ? take : size;
	take = take < source->left ? take : (size_t)source->left;
	memcpy(buf, source->table->data + source->at, take);
	source->at += take;
	source->left -= take;
	return (int)take;
}

static double now(void) {
	struct timespec time;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
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

static void run(const char *what, const char *text, const struct table *table, uint64_t size) {
	struct source source = {.table = table, .left = size};
	Ruleset *ruleset = NULL;
	DqdlEvaluator *evaluator = NULL;
	TableReader *reader = NULL;
	struct table_rows rows;
	double start = now();
	if (table_open(source_read, &source, NULL, &reader) < 0 ||
	        dqdl_parse(bytes_of_string(text ? text : nothing), &ruleset, NULL) < 0 ||
	        dqdl_evaluator_new(ruleset, &(struct dqdl_options){0}, &evaluator) < 0 ||
	        dqdl_evaluator_header(evaluator, table_header(reader), table_columns(reader)) < 0)
		abort();
	uint64_t count = 0;
	int rc;
	bool *needed = calloc(table_columns(reader), sizeof *needed);
	if (!needed)
		abort();
	dqdl_evaluator_needs(evaluator, needed);
	if (text)
		table_want(reader, needed);
	for (; (rc = table_next_rows(reader, &rows)) == 1; count += rows.count)
		if (text && dqdl_evaluator_rows(evaluator, &rows) < 0)
			abort();
	if (rc < 0 || dqdl_evaluator_finish(evaluator) < 0)
		abort();
	double seconds = now() - start;
	printf("%-12s %6.2f M rows/s %6.0f MB/s\n", what, (double)count / seconds / 1e6, (double)size / seconds / 1e6);
	free(needed);
	dqdl_evaluator_free(evaluator);
	ruleset_free(ruleset);
	table_close(reader);
}

static void load(const char *path, char **ret_text, size_t *ret_size) {
	FILE *file = fopen(path, "rb");
	*ret_text = malloc(64 << 20);
	if (!file || !*ret_text)
		abort();
	*ret_size = fread(*ret_text, 1, 64 << 20, file);
	(void)fclose(file);
}

int main(int argc, char **argv) {
	char *csv, *end = NULL;
	size_t size, rows = argc > 1 ? strtoul(argv[1], &end, 10) : 1000000;
	bool is_file = end && *end;
	if (is_file)
		load(argv[1], &csv, &size);
	else
		make_table(rows, &csv, &size);
	const char *header_end = memchr(csv, '\n', size);
	struct table table = {.data = csv, .size = size, .first_row = header_end ? (size_t)(header_end - csv) + 1 : 0};
	uint64_t bytes = is_file ? (argc > 2 ? strtoul(argv[2], NULL, 10) : 1024) << 20 : size;
	bytes = is_file ? table.first_row +
	                          (bytes - table.first_row) / (size - table.first_row) * (size - table.first_row)
	                : bytes;
	for (int i = 0; i < 2; i++) {
		run("read", NULL, &table, bytes);
		run("count", nothing, &table, bytes);
		run("eight rules", rules, &table, bytes);
		if (!is_file)
			run("unique", unique, &table, bytes);
	}
	free(csv);
	return 0;
}
