/* A line of the log, in each form: what is printed is well-formed, whatever the line is. */
#include "fs/command/log_format.h"

#include <stdlib.h>
#include <string.h>

#define CSV_COLUMNS 19

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition) {
	if (!condition)
		abort();
}

/* One line of CSV, its end included, with all its columns and no control character. */
static void check_csv(const char *line) {
	size_t columns = 1;
	bool is_quoted = false;
	for (; *line && strcmp(line, "\r\n") != 0; line++) {
		must((unsigned char)*line >= 0x20 && *line != 0x7f);
		if (*line == '"')
			is_quoted = !is_quoted;
		columns += *line == ',' && !is_quoted;
	}
	must(!is_quoted && columns == CSV_COLUMNS && strcmp(line, "\r\n") == 0);
}

static void check_json(const char *text) {
	json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	must(json_is_object(value));
	json_decref(value);
}

static void try_format(const char *name, const char *line) {
	const struct log_format *format = log_format_find(name);
	char *text = NULL;
	size_t size = 0, head = 0;
	struct log_sheet sheet = {.out = open_memstream(&text, &size), .vault_id = "00ff"};
	if (!sheet.out)
		return;
	if (format->begin)
		format->begin(&sheet);
	fflush(sheet.out);
	head = size;
	int rc = log_format_print(format, &sheet, line);
	if (format->end)
		format->end(&sheet);
	fclose(sheet.out);
	if (strcmp(name, "cloudtrail") == 0 || (rc == 0 && strcmp(name, "ocsf") == 0))
		check_json(text);
	if (rc == 0 && strcmp(name, "csv") == 0)
		check_csv(text + head);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const char *const names[] = {"text", "json", "csv", "cloudtrail", "ocsf"};
	char *line = malloc(size + 1);
	if (!line)
		return 0;
	if (size)
		memcpy(line, data, size);
	line[size] = '\0';
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		try_format(names[i], line);
	free(line);
	return 0;
}
