/* `assayfs why`, `run` and `quarantine`: what the gate decided, and having it decide again. */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/command/progress.h"
#include "fs/command/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define EXITS_OF_MOUNT \
	(EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED))

/* Nothing is trusted by default: what nobody has judged is not decided, so that a script that goes on after 0 goes on
 * with files that passed. */
static int exit_of_outcome(const char *outcome) {
	if (strcmp(outcome, "passed") == 0)
		return EXIT_DONE;
	return strcmp(outcome, "failed") == 0 ? EXIT_NO : EXIT_UNDECIDED;
}

/* Text of several lines from the mount, names in it escaped already: each line made safe by itself. */
static void print_lines(const char *text) {
	while (*text) {
		size_t length = strcspn(text, "\n");
		_cleanup_(freep) char *line = strndup(text, length);
		_cleanup_(freep) char *safe = line ? words_line(line) : NULL;
		puts(safe ? safe : "?");
		text += length + (text[length] == '\n');
	}
}

/* ---- why ---- */

static int run_why(const struct invocation *call) {
	const char *path = command_operand(call, 0);
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	int code = client_open_operand(call, 0, &place, &client);
	if (code)
		return code;
	_cleanup_(json_decrefp) json_t *item = NULL;
	int rc = client_ask(client, "why",
	        json_pack("{s:o, s:o}", "path", wire_path(place.path), "mountpoint", wire_path(place.mountpoint)),
	        &item);
	if (rc)
		return command_fault(call, rc, "looking for the verdict on %s", path);
	code = exit_of_outcome(answer_text(item, "outcome"));
	if (command_has(call, "json")) {
		int printed = command_print_json(call, steal_pointer(&item));
		code = printed ? printed : code;
	} else {
		print_lines(answer_text(item, "text"));
	}
	return code;
}

const struct command command_why = {
        .words = "why",
        .operands = "PATH",
        .least = 1,
        .most = 1,
        .summary = "explain the verdict on a file: which rule, which number, what to do",
        .details = "Works for files in any zone, for paths that were refused and so do not exist, and for files of "
                   "Landing that no dataset governs. Exits with 0 when the file passed, 1 when it failed or is not "
                   "there, 3 when it is not decided: the check could not be done, is under way, or nothing checks "
                   "the file.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples =
                (const struct command_example[]){
                        {"assayfs why Trusted/animals/a.csv", "after cp said that it may not be written"}, {0}},
        .exits = EXITS_OF_MOUNT,
        .run = run_why,
};

/* ---- run ---- */

struct running {
	bool is_json;
	json_t *list;
	Progress *progress;
	uint64_t passed, failed, errors;
};

static void count_outcome(struct running *running, const char *outcome) {
	if (strcmp(outcome, "passed") == 0)
		running->passed++;
	else if (strcmp(outcome, "failed") == 0)
		running->failed++;
	else if (strcmp(outcome, "none") != 0) /* gone, unchanged, or superseded by an arrival: no answer of this run */
		running->errors++;
}

static int take_result(void *context, const json_t *item) {
	struct running *running = context;
	const char *outcome = answer_text(item, "outcome");
	if (*outcome) {
		count_outcome(running, outcome);
		char path[ANSWER_PATH_BYTES];
		_cleanup_(freep) char *safe = words_safe(answer_path(item, "path", path));
		_cleanup_(freep) char *reason = words_safe(answer_text(item, "reason"));
		if (running->is_json)
			json_array_append(running->list, (json_t *)(uintptr_t)item);
		else {
			progress_hide(running->progress);
			printf("%-6s  %s%s%s\n", outcome, safe ? safe : "?", reason && *reason ? "  " : "",
			        reason ? reason : "");
		}
	}
	progress_set(running->progress, answer_number(item, "done"), answer_number(item, "total"));
	return 0;
}

static int run_run(const struct invocation *call) {
	const char *workflow = command_operand(call, 0);
	_cleanup_(client_closep) Client *client = NULL;
	int code = client_open_operand(call, 1, NULL, &client);
	if (code)
		return code;
	_cleanup_(progress_endp) Progress *progress = progress_begin(workflow, PROGRESS_COUNT, 0);
	struct running running = {.is_json = command_has(call, "json"), .progress = progress};
	running.list = running.is_json ? json_array() : NULL;
	int rc = client_call(client, "run", json_pack("{s:s}", "workflow", workflow), take_result, &running);
	progress_hide(progress);
	code = running.errors ? EXIT_UNDECIDED : running.failed ? EXIT_NO : EXIT_DONE;
	if (rc)
		code = command_fault(call, rc, "running workflow %s", workflow);
	else if (running.is_json)
		code = command_print_json(call, json_incref(running.list)) ? EXIT_UNDECIDED : code;
	else
		printf("%" PRIu64 " passed, %" PRIu64 " failed, %" PRIu64 " could not be checked\n", running.passed,
		        running.failed, running.errors);
	json_decref(running.list);
	return code;
}

const struct command command_run = {
        .words = "run",
        .operands = "WORKFLOW [DIR]",
        .least = 1,
        .most = 2,
        .summary = "run a workflow of the policy now and wait for its verdicts",
        .details =
                "Checks every file that the workflow's dataset governs in its source zone; what passes is published. "
                "Exits with 1 when a file failed, 3 when one could not be checked. Stewards only.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples =
                (const struct command_example[]){
                        {"assayfs run project-anilost24-dqdp /mnt", "what is scheduled for Sunday, today"}, {0}},
        .exits = EXITS_OF_MOUNT,
        .run = run_run,
};

/* ---- quarantine ---- */

struct quarantine {
	json_t *json;
	Table *table;
};

static int take_held(void *context, const json_t *item) {
	struct quarantine *quarantine = context;
	if (quarantine->json)
		return json_array_append(quarantine->json, (json_t *)(uintptr_t)item) ? -ENOMEM : 0;
	char words[WORDS_BYTES], user[ANSWER_NAME_BYTES], path[ANSWER_PATH_BYTES];
	table_cellf(quarantine->table, "%" PRIu64, answer_number(item, "id"));
	table_cell(quarantine->table, words_time(answer_time(item, "time_ns"), words));
	table_cell(quarantine->table, words_size(answer_number(item, "size"), words));
	table_cell(quarantine->table, answer_user(item, "uid", user));
	table_cell(quarantine->table, answer_text(item, "state"));
	table_cell(quarantine->table, answer_path(item, "path", path));
	table_cell(quarantine->table, answer_text(item, "reason"));
	return 0;
}

static int run_quarantine_list(const struct invocation *call) {
	_cleanup_(client_closep) Client *client = NULL;
	_cleanup_(table_freep) Table *table = table_new(">Id|Since|>Size|User|State|Path|Reason");
	int code = client_open_operand(call, 0, NULL, &client);
	if (code)
		return code;
	if (!table)
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	struct quarantine quarantine = {.json = command_has(call, "json") ? json_array() : NULL, .table = table};
	int rc = client_call(
	        client, "quarantine-list", json_pack("{s:b}", "all", command_has(call, "all")), take_held, &quarantine);
	if (rc)
		code = command_fault(call, rc, "listing the quarantine");
	else if (quarantine.json)
		code = command_print_json(call, json_incref(quarantine.json));
	else if (table_rows(table) == 0)
		puts("Nothing is in quarantine.");
	else
		(void)table_print(table, stdout);
	json_decref(quarantine.json);
	return code;
}

const struct command command_quarantine_list = {
        .words = "quarantine list",
        .operands = "[DIR]",
        .most = 1,
        .summary = "list what did not pass and is held",
        .options = (const struct command_option[]){{"all", 'a', NULL, "also what was released or dropped"}, OPTION_JSON,
                {0}},
        .examples =
                (const struct command_example[]){{"assayfs quarantine list /mnt", "what waits for a decision"}, {0}},
        .exits = EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_quarantine_list,
};

static void print_held(const json_t *item) {
	char words[WORDS_BYTES], user[ANSWER_NAME_BYTES], path[ANSWER_PATH_BYTES];
	_cleanup_(freep) char *safe = words_safe(answer_path(item, "path", path));
	printf("Quarantine %" PRIu64 ": %s (%s)\n", answer_number(item, "id"), safe ? safe : "?",
	        answer_text(item, "state"));
	printf("Brought by %s on %s, ", answer_user(item, "uid", user),
	        words_time(answer_time(item, "time_ns"), words));
	printf("%s%s\n\n", words_size(answer_number(item, "size"), words),
	        answer_flag(item, "partial") ? ", the rows that did not pass" : "");
	print_lines(answer_text(item, "text"));
}

static int run_quarantine_show(const struct invocation *call) {
	char *end = NULL;
	errno = 0;
	unsigned long long id = strtoull(call->operands[0], &end, 10);
	if (errno || end == call->operands[0] || *end || call->operands[0][0] < '0' || call->operands[0][0] > '9')
		return command_fail(
		        call, EXIT_USAGE, "%s: give an id as 'assayfs quarantine list' shows it", call->operands[0]);
	_cleanup_(client_closep) Client *client = NULL;
	int code = client_open_operand(call, 1, NULL, &client);
	if (code)
		return code;
	_cleanup_(json_decrefp) json_t *item = NULL;
	int rc = client_ask(client, "quarantine-show", json_pack("{s:I}", "id", (json_int_t)id), &item);
	if (rc)
		return command_fault(call, rc, "looking at quarantine %llu", id);
	if (command_has(call, "json"))
		code = command_print_json(call, steal_pointer(&item));
	else
		print_held(item);
	return code;
}

const struct command command_quarantine_show = {
        .words = "quarantine show",
        .operands = "ID [DIR]",
        .least = 1,
        .most = 2,
        .summary = "show why something is held",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs quarantine show 7", "its verdict, rule by rule"}, {0}},
        .exits = EXITS_OF_MOUNT,
        .run = run_quarantine_show,
};
