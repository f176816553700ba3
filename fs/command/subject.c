/* `assayfs find-subject`: where a person's data is. */
#include "fs/command/subject.h"

#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/command/progress.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINES_SHOWN = 10 };

/* ---- whom ---- */

/* Bytes of standard input. */
enum { TEXT_MAX = SUBJECT_LINES_MAX * (SUBJECT_LINE_MAX + 2) };

static int read_text(char *text, size_t *ret_size) {
	ssize_t got;
	*ret_size = 0;
	while ((got = read(STDIN_FILENO, text + *ret_size, TEXT_MAX + 1 - *ret_size)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_errno(errno, "reading standard input");
		*ret_size += (size_t)got;
		if (*ret_size > TEXT_MAX)
			return fault(EINVAL, "standard input is longer than %d bytes", TEXT_MAX);
	}
	return memchr(text, '\0', *ret_size) ? fault(EINVAL, "what stands on standard input is no text") : 0;
}

static int add_line(struct subject_lines *lines, const char *line) {
	if (line[strspn(line, " \t\r")] == '\0')
		return 0;
	if (strlen(line) > SUBJECT_LINE_MAX)
		return fault(EINVAL, "a line on standard input is longer than %d bytes", SUBJECT_LINE_MAX);
	if (lines->count == SUBJECT_LINES_MAX)
		return fault(EINVAL,
		        "standard input has more than %d lines; look for so many at once, then for the others",
		        SUBJECT_LINES_MAX);
	lines->lines[lines->count++] = line;
	return 0;
}

static int split(struct subject_lines *lines) {
	static const char mark[] = "\xef\xbb\xbf"; /* that some editors begin a file with */
	bool is_marked = strncmp(lines->text, mark, sizeof mark - 1) == 0;
	int rc = 0;
	for (char *at = lines->text + (is_marked ? sizeof mark - 1 : 0); rc == 0 && at;) {
		char *end = strchr(at, '\n');
		if (end)
			*end = '\0';
		rc = add_line(lines, at);
		at = end ? end + 1 : NULL;
	}
	if (rc == 0 && lines->count == 0)
		rc = fault(EINVAL, "standard input is empty: write what to look for there, as in "
		                   "'assayfs find-subject < file'");
	return rc;
}

int subject_read(struct subject_lines *ret) {
	struct subject_lines lines = {.text = calloc(1, TEXT_MAX + 2)};
	size_t size = 0;
	if (!lines.text)
		return fault(ENOMEM, "no memory for what to look for");
	if (isatty(STDIN_FILENO))
		(void)fputs("what to look for (one a line, then Ctrl-D):\n", stderr);
	int rc = read_text(lines.text, &size);
	if (rc == 0)
		rc = split(&lines);
	if (rc < 0)
		subject_release(&lines);
	else
		*ret = lines;
	return rc;
}

void subject_release(struct subject_lines *lines) {
	if (lines->text)
		sodium_memzero(lines->text, TEXT_MAX + 2);
	free(lines->text);
	*lines = (struct subject_lines){0};
}

json_t *subject_json(const struct subject_lines *lines) {
	json_t *list = json_array();
	for (size_t i = 0; list && i < lines->count; i++)
		if (json_array_append_new(list, json_string(lines->lines[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

/* ---- the answer ---- */

struct finding_subject {
	json_t *list, *policies; /* NULL: printed */
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

static void print_version(const json_t *item, const char *path) {
	uint64_t number = answer_number(item, "number");
	if (number)
		printf("%s, version %" PRIu64 "%s: ", path, number, answer_flag(item, "current") ? "" : " (not shown)");
	else /* written over before it had this name */
		printf("%s, a version that no name shows: ", path);
}

static void print_subject(struct finding_subject *finding, const json_t *item) {
	char path[ANSWER_PATH_BYTES];
	_cleanup_(freep) char *safe = words_safe(answer_path(item, "path", path));
	progress_hide(finding->progress);
	if (answer_number(item, "quarantine"))
		printf(".assayfs/quarantine/%" PRIu64 " (of %s): ", answer_number(item, "quarantine"),
		        safe ? safe : "?");
	else if (safe && *safe)
		print_version(item, safe);
	else
		printf("%s: ", strcmp(answer_text(item, "zone"), "staging") == 0 ? "(written for Trusted)"
		                                                                 : "a file without a name");
	print_place(item);
	putchar('\n');
}

void subject_print_policy(const json_t *item) {
	_cleanup_(freep) char *file = words_safe(answer_text(item, "file"));
	uint64_t lines = answer_number(item, "count");
	printf("policy %" PRIu64 ", file %s: %" PRIu64 " line%s", answer_number(item, "policy"), file ? file : "?",
	        lines, lines == 1 ? "" : "s");
	print_lines(item);
	putchar('\n');
}

static int take_policy(struct finding_subject *finding, const json_t *item) {
	finding->found++;
	if (finding->policies)
		return json_array_append(finding->policies, (json_t *)(uintptr_t)item) ? -ENOMEM : 0;
	progress_hide(finding->progress);
	subject_print_policy(item);
	return 0;
}

static int take_answer(void *context, const json_t *item) {
	struct finding_subject *finding = context;
	if (json_object_get(item, "done")) {
		finding->versions = answer_number(item, "total");
		progress_set(finding->progress, answer_number(item, "done"), finding->versions);
		return 0;
	}
	if (json_object_get(item, "policy"))
		return take_policy(finding, item);
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
		int printed =
		        command_print_json(call, json_pack("{s:O, s:O, s:I}", "places", finding->list, "policies",
		                                         finding->policies, "versions", (json_int_t)finding->versions));
		return printed ? printed : code;
	}
	if (finding->found == 0)
		printf("not found in %" PRIu64 " version%s\n", finding->versions, finding->versions == 1 ? "" : "s");
	return code;
}

static int run_find_subject(const struct invocation *call) {
	_cleanup_(client_closep) Client *client = NULL;
	_cleanup_(subject_release) struct subject_lines lines = {0};
	int code = client_open_operand(call, 0, NULL, &client);
	if (code)
		return code;
	int rc = subject_read(&lines);
	if (rc < 0)
		return command_fault(call, rc, "reading what to look for");
	json_t *values = subject_json(&lines);
	if (!values)
		return command_fail(call, EXIT_USAGE, "what to look for must be UTF-8 text");
	_cleanup_(progress_endp) Progress *progress = progress_begin("looking through versions", PROGRESS_COUNT, 0);
	struct finding_subject finding = {
	        .list = command_has(call, "json") ? json_array() : NULL, .progress = progress};
	finding.policies = finding.list ? json_array() : NULL;
	rc = client_call(client, "find-subject", json_pack("{s:o}", "values", values), take_answer, &finding);
	progress_hide(progress);
	code = rc ? command_fault(call, rc, "looking for it") : conclude(call, &finding);
	json_decref(finding.list);
	json_decref(finding.policies);
	return code;
}

const struct command command_find_subject = {
        .words = "find-subject",
        .operands = "[DIR]",
        .least = 0,
        .most = 1,
        .summary = "list where a person's data is, in all versions of all files",
        .details =
                "Reads standard input, never an argument: an e-mail address, a number, a name. Of one person there may "
                "be several, one a line (16 at most); a version is listed that holds any of them. All that "
                "the vault keeps is looked through: each version of all zones, what is held in quarantine, what was "
                "withdrawn or removed, the names of files, and all policies that were ever in force (there as it is "
                "typed). "
                "The case of letters does not matter, nor which blanks "
                "stand between words, nor what stands between the digits of a number; a keyed hash (of the spelling "
                "given, of small letters, or of the digits alone) that a policy "
                "wrote in its place is found, too. Tables and texts are read as such (packed ones as well); of other "
                "files the bytes are searched, and where it is not found there that is said: it may stand there in a "
                "form that is not understood. Only a steward may; the audit log gets a keyed hash of each line "
                "that was looked for. Versions are numbered as assayfs versions does.\n"
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
