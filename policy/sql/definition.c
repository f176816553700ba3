#include "policy/sql/definition.h"

#include <stdlib.h>
#include <strings.h>

void sql_put_name(FILE *out, struct table_cell name) {
	(void)fputc('"', out);
	for (size_t i = 0; i < name.size; i++) {
		(void)fputc(name.data[i], out);
		if (name.data[i] == '"')
			(void)fputc('"', out);
	}
	(void)fputc('"', out);
}

/* By the affinity a number is compared with a text in quotes as a number, and a text with a number as a text. */
static const char *affinity_of(enum sql_type type) {
	return type == SQL_TYPE_TEXT ? " TEXT" : " NUMERIC";
}

char *sql_definition(const char *table, const struct sql_column *columns, size_t count, const bool *kept) {
	char *text = NULL;
	size_t size, put = 0;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	(void)fputs("CREATE TABLE ", out);
	sql_put_name(out, (struct table_cell){.data = table, .size = strlen(table)});
	for (size_t i = 0; i < count; i++) {
		if (kept && !kept[i])
			continue;
		(void)fputs(put++ ? ", " : " (", out);
		sql_put_name(out, columns[i].name);
		(void)fputs(affinity_of(columns[i].type), out);
	}
	(void)fputs(put ? ")" : " (\"\x01\")", out);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static bool is_taken(const struct sql_column *columns, size_t count, const char *name) {
	for (size_t i = 0; i < count; i++)
		if (columns[i].name.size == strlen(name) &&
		        strncasecmp(columns[i].name.data, name, columns[i].name.size) == 0)
			return true;
	return false;
}

const char *sql_row_number(const struct sql_column *columns, size_t count) {
	static const char *const names[] = {"rowid", "oid", "_rowid_"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!is_taken(columns, count, names[i]))
			return names[i];
	return NULL;
}
