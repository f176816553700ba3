/*
 * Records as RFC 4180 has tables; see log_format.h.
 *
 * Nothing is changed without a word. What a terminal, a line-wise tool or a spreadsheet could take for something else
 * is escaped like a text that is not UTF-8: control characters, and the first character of a text that a spreadsheet
 * would compute as a formula. The column `escaped` names the texts of the line that are, so that all can be undone.
 */
#include "fs/command/log_format.h"

#include <inttypes.h>
#include <string.h>

struct column {
	const char *name;
	bool is_text;
};

static const struct column columns[] = {
        {"seq", false},
        {"time", true},
        {"event", true},
        {"outcome", true},
        {"errno", false},
        {"uid", false},
        {"gid", false},
        {"pid", false},
        {"exe", true},
        {"path", true},
        {"path_bytes", false},
        {"path2", true},
        {"path2_bytes", false},
        {"node", false},
        {"version", false},
        {"bytes", false},
        {"detail", true},
        {"detail_bytes", false},
};
#define COLUMNS (sizeof columns / sizeof columns[0])

static void print_header(struct log_sheet *sheet) {
	for (size_t i = 0; i < COLUMNS; i++)
		fprintf(sheet->out, "%s,", columns[i].name);
	fputs("escaped\r\n", sheet->out);
}

/* '=', '+', '-', '@', and the same in full width, which some spreadsheets take for them. Its length in bytes. */
static size_t formula_start(const char *text) {
	static const char *const starts[] = {
	        "=", "+", "-", "@", "\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d", "\xef\xbc\xa0"};
	for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
		if (strncmp(text, starts[i], strlen(starts[i])) == 0)
			return strlen(starts[i]);
	return 0;
}

/* C0, DEL, and C1 as UTF-8. */
static bool has_control(const char *text) {
	for (const unsigned char *at = (const unsigned char *)text; *at; at++)
		if (*at < 0x20 || *at == 0x7f || (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0))
			return true;
	return false;
}

static void put(FILE *out, char byte) {
	if (byte == '"')
		putc('"', out);
	putc(byte, out);
}

/* `start`: so many bytes at its beginning are written as \xHH in any case. `is_escaped`: its backslashes are so
 * already. */
static void print_escaped(FILE *out, const char *text, size_t start, bool is_escaped) {
	for (size_t i = 0; text[i]; i++) {
		unsigned char byte = (unsigned char)text[i];
		if (i < start || byte < 0x20 || byte >= 0x7f)
			fprintf(out, "\\x%02x", byte);
		else if (byte == '\\' && !is_escaped)
			fputs("\\\\", out);
		else
			put(out, text[i]);
	}
}

/* Whether it is escaped now. */
static bool print_cell(FILE *out, const json_t *record, const char *name) {
	bool is_escaped;
	const char *text = log_text(record, name, &is_escaped);
	if (!text)
		return false;
	size_t start = formula_start(text);
	bool becomes = is_escaped || start || has_control(text);
	bool is_quoted = strpbrk(text, "\",") || *text == ' ' || (*text && text[strlen(text) - 1] == ' ');
	if (is_quoted)
		putc('"', out);
	if (becomes)
		print_escaped(out, text, start, is_escaped);
	else
		for (const char *at = text; *at; at++)
			put(out, *at);
	if (is_quoted)
		putc('"', out);
	return becomes;
}

static int print_row(struct log_sheet *sheet, const char *line, const json_t *record) {
	const char *escaped[COLUMNS];
	size_t count = 0;
	(void)line;
	for (size_t i = 0; i < COLUMNS; i++) {
		const json_t *value = json_object_get(record, columns[i].name);
		if (columns[i].is_text && print_cell(sheet->out, record, columns[i].name))
			escaped[count++] = columns[i].name;
		else if (!columns[i].is_text && json_is_integer(value))
			fprintf(sheet->out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		putc(',', sheet->out);
	}
	for (size_t i = 0; i < count; i++)
		fprintf(sheet->out, "%s%s", i ? " " : "", escaped[i]);
	fputs("\r\n", sheet->out);
	return 0;
}

const struct log_format log_format_csv = {.name = "csv", .begin = print_header, .print = print_row};
