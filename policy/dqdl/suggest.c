/* suggest: looking at a table's rows. What is made of it: suggest_rules.c. */
#include "policy/dqdl/profile.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/cast.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#define MAX_VALUE_BYTES 64u
#define MEMORY_BYTES ((size_t)64 << 20)

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

char *profile_escape(const char *text, size_t size) {
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
	profile->columns[index].name = profile_escape(name.data, name.size);
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
		profile->columns[i].distinct = distinct_new(key, &profile->budget, NULL);
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
	if (column->vocabulary_size == PROFILE_VALUES_MAX || cell.size > MAX_VALUE_BYTES ||
	        !is_quotable(cell.data, cell.size)) {
		drop_vocabulary(column);
		return 0;
	}
	char *text = malloc(cell.size + 1);
	if (!text)
		return out_of_memory();
	memcpy(text, cell.data, cell.size);
	column->vocabulary[column->vocabulary_size++] =
	        (struct profile_value){.text = text, .size = cell.size, .count = 1};
	return 0;
}

static int see_distinct(struct profile_column *column, struct table_cell cell) {
	uint64_t count = 0;
	int rc = distinct_add(column->distinct, cell.data, cell.size, 0, &count);
	if (rc == -ENOMEM)
		return out_of_memory();
	if (rc < 0 || count > 1) {
		distinct_free(column->distinct);
		column->distinct = NULL;
	}
	return 0;
}

/* A number with a leading zero is a code, not to be taken for an amount. */
static bool is_code(struct table_cell cell) {
	return cell.size > 1 && cell.data[0] == '0' && cell.data[1] >= '0' && cell.data[1] <= '9';
}

/* As ColumnDataType will see it; its casts take more for an integer or a boolean than a person would. */
static void see_types(struct profile_column *column, struct table_cell cell) {
	static const struct cast casts[] = {[PROFILE_BOOLEAN] = {.type = CAST_BOOLEAN},
	        [PROFILE_INTEGER] = {.type = CAST_INTEGER},
	        [PROFILE_LONG] = {.type = CAST_LONG},
	        [PROFILE_DOUBLE] = {.type = CAST_DOUBLE},
	        [PROFILE_DATE] = {.type = CAST_DATE, .format = "yyyy-MM-dd"},
	        [PROFILE_TIMESTAMP] = {.type = CAST_TIMESTAMP}};
	bool is_code_or_no_number = column->kind.no_number || is_code(cell);
	bool is_broken = is_code_or_no_number || memchr(cell.data, '.', cell.size);
	column->is_no[PROFILE_BOOLEAN] |= column->kind.no_boolean;
	column->is_no[PROFILE_INTEGER] |= is_broken;
	column->is_no[PROFILE_LONG] |= is_broken;
	column->is_no[PROFILE_DOUBLE] |= is_code_or_no_number;
	column->is_no[PROFILE_DATE] |= column->kind.no_date;
	column->is_no[PROFILE_TIMESTAMP] |= column->kind.no_date;
	for (size_t i = 0; i < PROFILE_TEXT; i++)
		if (!column->is_no[i])
			column->is_no[i] = !cast_fits(&casts[i], cell);
}

static void see_time(struct profile_column *column, struct table_cell cell) {
	int64_t seconds;
	if (column->kind.no_date || !cell_time(cell, &seconds))
		return;
	column->oldest = column->values == 0 || seconds < column->oldest ? seconds : column->oldest;
	column->newest = column->values == 0 || seconds > column->newest ? seconds : column->newest;
}

static int see_value(struct profile_column *column, struct table_cell cell) {
	double number;
	size_t length = utf8_length(cell.data, cell.size);
	column->shortest = column->values == 0 || length < column->shortest ? length : column->shortest;
	column->longest = length > column->longest ? length : column->longest;
	if (!column->kind.no_number && cell_number(cell, &number))
		column->least = column->values == 0 || number < column->least ? number : column->least;
	column_kind_see(&column->kind, cell);
	see_types(column, cell);
	see_time(column, cell);
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

void dqdl_profile_hide(DqdlProfile *profile, size_t column, enum dqdl_hide what) {
	drop_vocabulary(&profile->columns[column]);
	profile->columns[column].is_hidden = true;
	if (what == DQDL_HIDE_COLUMN) {
		free(profile->columns[column].name);
		profile->columns[column].name = NULL;
	}
}

int dqdl_profile_suggest(const DqdlProfile *profile, int64_t now, char **ret_text) {
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return out_of_memory();
	profile_write_rules(out, profile, now);
	bool failed = ferror(out) != 0;
	if (fclose(out) != 0 || failed)
		return out_of_memory();
	*ret_text = steal_pointer(&text);
	return 0;
}
