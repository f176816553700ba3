/* `assayfs find-subject`: where a person's data is. */
#include "fs/command/subject.h"

#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/command/progress.h"
#include "fs/command/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINES_SHOWN = 10 };

/* ---- the value ---- */

static int read_line(char *line, size_t *ret_size) {
	ssize_t got = 1;
	*ret_size = 0;
	while (*ret_size < SUBJECT_LINE_MAX && (got = read(STDIN_FILENO, line + *ret_size, 1)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_errno(errno, "reading standard input");
		if (line[*ret_size] == '\n')
			return 0;
		++*ret_size;
	}
	return got == 0 ? 0 : fault(EINVAL, "the line on standard input is longer than %d bytes", SUBJECT_LINE_MAX);
}

int subject_read(char **ret_value) {
	char *line = calloc(1, SUBJECT_LINE_MAX + 1);
	size_t size = 0;
	if (!line)
		return fault(ENOMEM, "no memory for what to look for");
	if (isatty(STDIN_FILENO))
		(void)fputs("what to look for (one line): ", stderr);
	int rc = read_line(line, &size);
	line[size] = '\0';
	if (rc == 0 && strlen(line) < size)
		rc = fault(EINVAL, "what stands on standard input is no text");
	if (rc == 0 && size == 0)
		rc = fault(EINVAL, "standard input is empty: write what to look for there, as in "
		                   "'assayfs find-subject < file'");
	if (rc < 0) {
		subject_wipep(&line);
		return rc;
	}
	*ret_value = line;
	return 0;
}

void subject_wipep(char **value) {
	if (*value)
		sodium_memzero(*value, SUBJECT_LINE_MAX + 1);
	free(*value);
	*value = NULL;
}

/* ---- the answer ---- */

struct finding_subject {
	json_t *list; /* NULL: printed */
	Progress *progress;
	uint64_t found, unclear, versions;
};

static void print_lines(const json_t *item) {
	const json_t *lines = json_object_get(item, "lines");
	size_t count = json_array_size(lines), shown = count < LINES_SHOWN ? count : LINES_SHOWN;
	for (size_t i = 0; i < shown; i++)
		printf("%s%" JSON_INTEGER_FORMAT,
		        i > 0       ? ", "
		        : count > 1 ? ", lines "
		                    : ", line ",
		        json_integer_value(json_array_get(lines, i)));
	if (count > shown)
		printf(", …");
}

static void print_place(const json_t *item) {
	_cleanup_(freep) char *column = words_safe(answer_text(item, "column"));
	uint64_t cells = answer_number(item, "cells");
	if (answer_flag(item, "in_name"))
		printf("in the name");
	else if (!answer_flag(item, "found"))
		printf("not understood: it is neither a table nor text, or too long");
	else if (answer_flag(item, "bytes_only"))
		printf("in its bytes");
	else if (column && *column)
		printf("column \"%s\", %" PRIu64 " cell%s", column, cells, cells == 1 ? "" : "s");
	else
		printf("%" PRIu64 " line%s", cells, cells == 1 ? "" : "s");
	print_lines(item);
}

static void print_subject(struct finding_subject *finding, const json_t *item) {
	char path[ANSWER_PATH_BYTES];
	_cleanup_(freep) char *safe = words_safe(answer_path(item, "path", path));
	progress_hide(finding->progress);
	if (answer_number(item, "quarantine"))
		printf(".assayfs/quarantine/%" PRIu64 " (of %s): ", answer_number(item, "quarantine"),
		        safe ? safe : "?");
	else
		printf("%s, version %" PRIu64 "%s: ", safe && *safe ? safe : "a file without a name",
		        answer_number(item, "number"), answer_flag(item, "current") ? "" : " (not shown)");
	print_place(item);
	putchar('\n');
}

static int take_answer(void *context, const json_t *item) {
	struct finding_subject *finding = context;
	if (json_object_get(item, "done")) {
		finding->versions = answer_number(item, "total");
		progress_set(finding->progress, answer_number(item, "done"), finding->versions);
		return 0;
	}
	finding->found += answer_flag(item, "found");
	finding->unclear += !answer_flag(item, "found");
	if (finding->list)
		return json_array_append(finding->list, (json_t *)(uintptr_t)item) ? -ENOMEM : 0;
	print_subject(finding, item);
	return 0;
}

static int conclude(const struct invocation *call, struct finding_subject *finding) {
	int code = finding->found > 0 ? EXIT_DONE : finding->unclear > 0 ? EXIT_UNDECIDED : EXIT_NO;
	if (finding->list) {
		int printed = command_print_json(call,
		        json_pack("{s:O, s:I}", "places", finding->list, "versions", (json_int_t)finding->versions));
		return printed ? printed : code;
	}
	if (finding->found == 0)
		printf("not found in %" PRIu64 " version%s\n", finding->versions, finding->versions == 1 ? "" : "s");
	return code;
}

static int run_find_subject(const struct invocation *call) {
	_cleanup_(client_closep) Client *client = NULL;
	_cleanup_(subject_wipep) char *value = NULL;
	int code = client_open_operand(call, 0, NULL, &client);
	if (code)
		return code;
	int rc = subject_read(&value);
	if (rc < 0)
		return command_fault(call, rc, "reading what to look for");
	_cleanup_(progress_endp) Progress *progress = progress_begin("looking through versions", PROGRESS_COUNT, 0);
	struct finding_subject finding = {
	        .list = command_has(call, "json") ? json_array() : NULL, .progress = progress};
	rc = client_call(client, "find-subject", json_pack("{s:s}", "value", value), take_answer, &finding);
	progress_hide(progress);
	code = rc ? command_fault(call, rc, "looking for it") : conclude(call, &finding);
	json_decref(finding.list);
	return code;
}

const struct command command_find_subject = {
        .words = "find-subject",
        .operands = "[DIR]",
        .least = 0,
        .most = 1,
        .summary = "list where a person's data is, in all versions of all files",
        .details =
                "Reads one line from standard input, never an argument: an e-mail address, a number, a name. All that "
                "the vault keeps is looked through: each version of all zones, what is held in quarantine, what was "
                "withdrawn or removed, and the names of files. The case of letters does not matter, nor which blanks "
                "stand between words, nor what stands between the digits of a number; a keyed hash (of the spelling "
                "given, of small letters, or of the digits alone) that a policy "
                "wrote in its place is found, too. Tables and texts are read as such (packed ones as well); of other "
                "files the bytes are searched, and where it is not found there that is said: it may stand there in a "
                "form that is not understood. Only a steward may; the audit log gets a keyed hash of what was looked "
                "for.\n"
                "Exits with 0 when it occurs, 1 when it does not, 3 when it was not found and not everything could be "
                "understood.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs find-subject mnt < address.txt",
                                                             "where does this person occur?"},
                {"printf %s \"$ADDRESS\" | assayfs find-subject --json mnt | jq -r '.places[] | select(.found).path' | "
                 "sort -u",
                        "in which files"},
                {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_find_subject,
};
