#include "policy/dqdl/suggest.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/distinct.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_COLUMN_RULES 10u
#define MAX_VALUES 20u
#define MAX_VALUE_BYTES 64u
#define MEMORY_BYTES ((size_t)64 << 20)
#define ENOUGH_ROWS 10u

/* What a column's rule is, the strongest first. */
enum strength { UNIQUE, VOCABULARY, DATES, NUMBERS, ONE_LENGTH, COMPLETE, PRESENT, UNNAMEABLE };

struct value {
	char *text;
	size_t size;
	uint64_t count;
};

struct profile_column {
	char *name; /* as it stands between quotes in a rule; NULL if it cannot stand there */
	uint64_t nulls;
	uint64_t empties; /* empty, and under nulls: glue perhaps NULL */
	uint64_t values;
	struct column_kind kind;
	bool no_plain_date; /* a value that is not exactly YYYY-MM-DD */
	double least;       /* of numbers */
	size_t shortest;
	size_t longest;
	struct value vocabulary[MAX_VALUES];
	size_t vocabulary_size;
	bool no_vocabulary;
	Distinct *distinct; /* NULL when a value has come twice, or there are too many to count */
};

struct DqdlProfile {
	const struct dqdl_nulls *nulls;
	struct distinct_budget budget;
	struct profile_column *columns;
	size_t count;
	uint64_t rows;
};

static int out_of_memory(void) {
	return fault(ENOMEM, "out of memory while profiling a table");
}

/* Would the language read this quoted text as something else than a string? */
static bool is_quotable(const char *text, size_t size) {
	int32_t days;
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] < ' ')
			return false;
	struct table_cell cell = {.data = text, .size = size};
	bool time = size <= 8 && memchr(text, ':', size);
	bool date = size == 10 && (cell_date(cell, &days) || strspn(text, "0123456789-") >= 10);
	return !time && !date;
}

static char *escape(const char *text, size_t size) {
	char *copy = malloc(size * 2 + 1);
	if (!copy)
		return NULL;
	char *to = copy;
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '"' || text[i] == '\\')
			*to++ = '\\';
		*to++ = text[i];
	}
	*to = '\0';
	return copy;
}

static int name_column(DqdlProfile *profile, size_t index, const struct table_cell *names) {
	struct table_cell name = names[index];
	if (name.size == 0 || !is_quotable(name.data, name.size))
		return 0;
	/* A rule could not tell columns of one name apart. Quadratic, but for sane widths. */
	for (size_t i = 0; i < profile->count && profile->count <= 4096; i++)
		if (i != index && cell_equals(names[i], name.data, name.size))
			return 0;
	profile->columns[index].name = escape(name.data, name.size);
	return profile->columns[index].name ? 0 : out_of_memory();
}

int dqdl_profile_new(
        const struct table_cell *names, size_t count, const struct dqdl_nulls *nulls, DqdlProfile **ret_profile) {
	_cleanup_(dqdl_profile_freep) DqdlProfile *profile = calloc(1, sizeof *profile);
	uint8_t key[DISTINCT_KEY_BYTES];
	if (!profile)
		return out_of_memory();
	profile->nulls = nulls;
	profile->budget.limit = MEMORY_BYTES;
	profile->columns = calloc(count + 1, sizeof *profile->columns);
	if (!profile->columns)
		return out_of_memory();
	profile->count = count;
	randombytes_buf(key, sizeof key);
	for (size_t i = 0; i < count; i++) {
		int rc = name_column(profile, i, names);
		if (rc < 0)
			return rc;
		profile->columns[i].distinct = distinct_new(key, &profile->budget);
		if (!profile->columns[i].distinct)
			return out_of_memory();
	}
	*ret_profile = steal_pointer(&profile);
	return 0;
}

static void drop_vocabulary(struct profile_column *column) {
	for (size_t i = 0; i < column->vocabulary_size; i++)
		free(column->vocabulary[i].text);
	column->vocabulary_size = 0;
	column->no_vocabulary = true;
}

void dqdl_profile_free(DqdlProfile *profile) {
	if (!profile)
		return;
	for (size_t i = 0; i < profile->count; i++) {
		drop_vocabulary(&profile->columns[i]);
		distinct_free(profile->columns[i].distinct);
		free(profile->columns[i].name);
	}
	free(profile->columns);
	free(profile);
}

static int see_vocabulary(struct profile_column *column, struct table_cell cell) {
	for (size_t i = 0; i < column->vocabulary_size; i++) {
		if (cell_equals(cell, column->vocabulary[i].text, column->vocabulary[i].size)) {
			column->vocabulary[i].count++;
			return 0;
		}
	}
	if (column->vocabulary_size == MAX_VALUES || cell.size > MAX_VALUE_BYTES ||
	        !is_quotable(cell.data, cell.size)) {
		drop_vocabulary(column);
		return 0;
	}
	char *text = malloc(cell.size + 1);
	if (!text)
		return out_of_memory();
	memcpy(text, cell.data, cell.size);
	column->vocabulary[column->vocabulary_size++] = (struct value){.text = text, .size = cell.size, .count = 1};
	return 0;
}

static int see_distinct(struct profile_column *column, struct table_cell cell) {
	uint64_t count = 0;
	int rc = distinct_add(column->distinct, cell.data, cell.size, &count);
	if (rc == -ENOMEM)
		return out_of_memory();
	if (rc < 0 || count > 1) {
		distinct_free(column->distinct);
		column->distinct = NULL;
	}
	return 0;
}

static int see_value(struct profile_column *column, struct table_cell cell) {
	int32_t days;
	double number;
	size_t length = utf8_length(cell.data, cell.size);
	column->shortest = column->values == 0 || length < column->shortest ? length : column->shortest;
	column->longest = length > column->longest ? length : column->longest;
	if (!column->kind.no_number && cell_number(cell, &number))
		column->least = column->values == 0 || number < column->least ? number : column->least;
	column_kind_see(&column->kind, cell);
	column->no_plain_date |= cell.size != 10 || column->kind.no_date || !cell_date(cell, &days);
	column->values++;
	int rc = column->no_vocabulary ? 0 : see_vocabulary(column, cell);
	return rc == 0 && column->distinct ? see_distinct(column, cell) : rc;
}

int dqdl_profile_row(DqdlProfile *profile, const struct table_cell *cells) {
	profile->rows++;
	for (size_t i = 0; i < profile->count; i++) {
		struct profile_column *column = &profile->columns[i];
		enum cell_presence presence = cell_presence_of(profile->nulls, cells[i]);
		if (presence == CELL_NULL) {
			column->nulls++;
		} else if (cells[i].size == 0) {
			column->empties++;
		} else {
			int rc = see_value(column, cells[i]);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

/* --- writing --- */

static uint64_t absent(const struct profile_column *column) {
	return column->nulls + column->empties;
}

static bool has_vocabulary(const struct profile_column *column) {
	return !column->no_vocabulary && column->vocabulary_size > 0 &&
	       column->values >= column->vocabulary_size * (uint64_t)ENOUGH_ROWS;
}

static enum strength strength_of(const struct profile_column *column, uint64_t rows) {
	bool complete = absent(column) == 0;
	/* A share below a percent is no rule. */
	bool mostly = column->values * 100 >= rows && column->values > 0;
	if (!column->name)
		return UNNAMEABLE;
	if (complete && column->distinct && rows >= ENOUGH_ROWS)
		return UNIQUE;
	if (!mostly)
		return PRESENT;
	if (has_vocabulary(column))
		return VOCABULARY;
	if (!column->no_plain_date)
		return DATES;
	if (!column->kind.no_number && column->least >= 0)
		return NUMBERS;
	if (complete && column->shortest == column->longest && rows >= ENOUGH_ROWS)
		return ONE_LENGTH;
	return COMPLETE;
}

/* " with threshold >= SHARE", rounded down to hundredths or, close to 1, to tenths of that. */
static void write_share(FILE *out, const char *before, uint64_t part, uint64_t rows) {
	uint64_t hundredths = part * 100 / rows;
	if (hundredths < 99)
		(void)fprintf(out, "%s0.%02" PRIu64, before, hundredths);
	else
		(void)fprintf(out, "%s0.%03" PRIu64, before, part * 1000 / rows);
}

static void write_threshold(FILE *out, const struct profile_column *column, uint64_t rows) {
	if (column->values < rows)
		write_share(out, " with threshold >= ", column->values, rows);
}

/* Cells that are missing in fewer than a row in twenty are let through by a threshold; more of them belong to the
 * vocabulary. */
static void write_vocabulary(FILE *out, const struct profile_column *column, uint64_t rows) {
	bool rare = absent(column) * 20 < rows;
	(void)fprintf(out, "    # %zu different values in %" PRIu64 " rows\n    ColumnValues \"%s\" in [",
	        column->vocabulary_size, rows, column->name);
	for (size_t i = 0; i < column->vocabulary_size; i++) {
		char *text = escape(column->vocabulary[i].text, column->vocabulary[i].size);
		(void)fprintf(out, "%s\"%s\"", i ? ", " : "", text ? text : "");
		free(text);
	}
	if (!rare && column->nulls)
		(void)fputs(", NULL", out);
	if (!rare && column->empties)
		(void)fputs(", EMPTY", out);
	(void)fputc(']', out);
	if (rare)
		write_threshold(out, column, rows);
}

static void write_complete(FILE *out, const DqdlProfile *profile, const struct profile_column *column) {
	uint64_t rows = profile->rows;
	bool is_text = column_kind_is_text(&column->kind);
	if (absent(column) == 0) {
		/* As Glue reads a CSV, an empty cell among texts is a text: IsComplete could never fail there. */
		bool is_never_null =
		        profile->nulls->mode == DQDL_NULLS_NONE || (profile->nulls->mode == DQDL_NULLS_GLUE && is_text);
		(void)fputs("    # no row is without it\n", out);
		(void)fprintf(out, is_never_null ? "    ColumnValues \"%s\" != EMPTY" : "    IsComplete \"%s\"",
		        column->name);
		return;
	}
	(void)fprintf(out, "    # %" PRIu64 " of %" PRIu64 " rows are without it\n", absent(column), rows);
	bool null = profile->nulls->mode == DQDL_NULLS_GLUE && !is_text;
	if (column->empties == 0 || null) {
		(void)fprintf(out, "    Completeness \"%s\"", column->name);
		write_share(out, " >= ", column->values, rows);
		return;
	}
	/* In a column of texts an empty cell is a text. NULL would pass != and makes the share larger, never smaller.
	 */
	(void)fprintf(out, "    ColumnValues \"%s\" != EMPTY", column->name);
	write_threshold(out, column, rows);
}

static void write_column(FILE *out, const DqdlProfile *profile, const struct profile_column *column) {
	const char *name = column->name;
	switch (strength_of(column, profile->rows)) {
	case UNIQUE:
		(void)fprintf(out, "    # no value comes twice\n    IsUnique \"%s\"", name);
		break;
	case VOCABULARY:
		write_vocabulary(out, column, profile->rows);
		break;
	case DATES:
		(void)fprintf(out,
		        "    # every value is a date\n    ColumnValues \"%s\" matches \"\\d{4}-\\d{2}-\\d{2}\"", name);
		write_threshold(out, column, profile->rows);
		break;
	case NUMBERS:
		(void)fprintf(
		        out, "    # every value is a number, none is negative\n    ColumnValues \"%s\" >= 0", name);
		write_threshold(out, column, profile->rows);
		break;
	case ONE_LENGTH:
		(void)fprintf(out, "    # every value has the same length\n    ColumnLength \"%s\" = %zu", name,
		        column->longest);
		break;
	case COMPLETE:
		write_complete(out, profile, column);
		break;
	case PRESENT:
	case UNNAMEABLE:
	default:
		(void)fprintf(out, "    # hardly ever filled\n    ColumnExists \"%s\"", name);
		break;
	}
}

/* The greatest number of one leading digit below `rows`: 17,628 gives 10,000. */
static uint64_t lower_bound(uint64_t rows) {
	uint64_t below = rows - 1;
	uint64_t unit = 1;
	while (below / unit >= 10)
		unit *= 10;
	return below / unit * unit;
}

static void write_rules(FILE *out, const DqdlProfile *profile) {
	(void)fprintf(out,
	        "# Suggested from a table of %" PRIu64 " rows and %zu columns. Read it, change it, make it yours.\n",
	        profile->rows, profile->count);
	(void)fputs("Rules = [\n", out);
	if (profile->rows > 0)
		(void)fprintf(out, "    # an empty or cut-off delivery is noticed\n    RowCount > %" PRIu64 ",\n",
		        lower_bound(profile->rows));
	(void)fprintf(out, "    # a column more or less is noticed\n    ColumnCount = %zu", profile->count);
	/* The strongest kinds whose columns all fit; of the last kind the first columns. */
	size_t room = MAX_COLUMN_RULES;
	size_t taken[UNNAMEABLE + 1] = {0};
	for (size_t i = 0; i < profile->count; i++)
		taken[strength_of(&profile->columns[i], profile->rows)]++;
	for (size_t kind = UNIQUE; kind <= PRESENT; kind++) {
		taken[kind] = taken[kind] < room ? taken[kind] : room;
		room -= taken[kind];
	}
	taken[UNNAMEABLE] = 0;
	for (size_t i = 0; i < profile->count; i++) {
		enum strength strength = strength_of(&profile->columns[i], profile->rows);
		if (taken[strength] == 0)
			continue;
		taken[strength]--;
		(void)fputs(",\n", out);
		write_column(out, profile, &profile->columns[i]);
	}
	(void)fputs("\n]\n", out);
}

int dqdl_profile_suggest(const DqdlProfile *profile, char **ret_text) {
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return out_of_memory();
	write_rules(out, profile);
	bool failed = ferror(out) != 0;
	if (fclose(out) != 0 || failed)
		return out_of_memory();
	*ret_text = steal_pointer(&text);
	return 0;
}
