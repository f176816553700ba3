/* `assayfs check --rows`: for each row of the FILE, the rules that it passes, breaks, and that say nothing about it. */
#include "fs/command/check.h"
#include "fs/command/output_file.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct RowsFile {
	struct check_rows asks;
	Input *input;
	OutputFile *output;
	FILE *out;    /* the output's */
	char **texts; /* the rules' as JSON, made with the first row */
	size_t text_count;
	bool is_complete;
};

/* ---- a row ---- */

static int make_texts(RowsFile *file, const struct check_result *result) {
	file->texts = calloc(result->rule_count + 1, sizeof(char *));
	if (!file->texts)
		return fault(ENOMEM, "out of memory");
	for (; file->text_count < result->rule_count; file->text_count++) {
		json_t *text = json_string(result->rules[file->text_count].text);
		file->texts[file->text_count] = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
		json_decref(text);
		if (!file->texts[file->text_count])
			return fault(ENOMEM, "out of memory");
	}
	return 0;
}

static void write_list(RowsFile *file, const char *name, const enum outcome *outcomes, enum outcome wanted) {
	const char *before = "";
	(void)fprintf(file->out, ",\"%s\":[", name);
	for (size_t i = 0; i < file->text_count; i++) {
		if (outcomes[i] != wanted)
			continue;
		(void)fputs(before, file->out);
		(void)fputs(file->texts[i], file->out);
		before = ",";
	}
	(void)fputc(']', file->out);
}

static int write_row(void *context, uint64_t number, const struct check_result *result, const enum outcome *outcomes) {
	RowsFile *file = context;
	bool failed = false;
	int rc = file->texts ? 0 : make_texts(file, result);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < file->text_count; i++)
		failed |= outcomes[i] == OUTCOME_FAILED;
	(void)fprintf(file->out, "{\"row\":%" PRIu64 ",\"result\":\"%s\"", number, failed ? "Failed" : "Passed");
	write_list(file, "pass", outcomes, OUTCOME_PASSED);
	write_list(file, "fail", outcomes, OUTCOME_FAILED);
	write_list(file, "skip", outcomes, OUTCOME_NONE);
	errno = 0;
	if (fputs("}\n", file->out) == EOF || ferror(file->out))
		return fault_errno(errno ? errno : EIO, "writing the rows");
	return 0;
}

static int read_again(void *context, struct check_input *ret_input) {
	RowsFile *file = context;
	return input_again(file->input, ret_input);
}

static int all_told(void *context) {
	RowsFile *file = context;
	file->is_complete = true;
	return 0;
}

/* ---- the whole ---- */

int rows_file_new(const char *path, Input *input, RowsFile **ret_file) {
	_cleanup_(rows_file_closep) RowsFile *file = calloc(1, sizeof *file);
	if (!file)
		return fault(ENOMEM, "out of memory");
	file->asks = (struct check_rows){.again = read_again, .row = write_row, .end = all_told, .context = file};
	file->input = input;
	if (!input_is_lasting(input))
		return fault(ESPIPE,
		        "--rows reads it twice, and a pipe or terminal gives its bytes once: put them into a file");
	int rc = output_file_open(path, &file->output);
	if (rc < 0)
		return rc;
	file->out = output_file_stream(file->output);
	*ret_file = steal_pointer(&file);
	return 0;
}

const struct check_rows *rows_file_asks(const RowsFile *file) {
	return &file->asks;
}

int rows_file_finish(RowsFile *file, bool *ret_done) {
	*ret_done = file->is_complete;
	return file->is_complete ? output_file_finish(file->output) : 0;
}

void rows_file_close(RowsFile *file) {
	if (!file)
		return;
	output_file_close(file->output);
	for (size_t i = 0; i < file->text_count; i++)
		free(file->texts[i]);
	free(file->texts);
	free(file);
}
