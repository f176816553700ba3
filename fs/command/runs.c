/* `assayfs run` and `runs`: having a workflow run now, and what became of its runs. */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/colour.h"
#include "fs/command/command.h"
#include "fs/command/progress.h"
#include "fs/command/run_lines.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define EXITS_OF_RUN                                                                                         \
	(EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED) | \
	        EXIT_BIT(EXIT_BUSY))

/* ---- run ---- */

struct running {
	bool is_json;
	json_t *list, *run; /* the run's own item is the last */
	Progress *progress;
};

static void print_file(struct running *running, const json_t *item) {
	char path[ANSWER_PATH_BYTES];
	_cleanup_(freep) char *safe = words_safe(answer_path(item, "path", path));
	_cleanup_(freep) char *reason = words_safe(answer_text(item, "reason"));
	progress_hide(running->progress);
	colour_print(stdout, colour_of_outcome(answer_text(item, "outcome")), "%-6s", answer_text(item, "outcome"));
	printf("  %s%s%s\n", safe ? safe : "?", reason && *reason ? "  " : "", reason ? reason : "");
}

static int take_result(void *context, const json_t *item) {
	struct running *running = context;
	if (json_object_get(item, "run")) {
		json_decref(running->run);
		running->run = json_incref((json_t *)(uintptr_t)item);
		return 0;
	}
	if (running->is_json)
		json_array_append(running->list, (json_t *)(uintptr_t)item);
	else
		print_file(running, item);
	progress_set(running->progress, answer_number(item, "done"), answer_number(item, "total"));
	return 0;
}

static int exit_of_run(const json_t *run, bool waits) {
	const json_t *counts = json_object_get(run, "counts");
	const char *state = answer_text(run, "state");
	if (!waits && (strcmp(state, "running") == 0 || strcmp(state, "queued") == 0))
		return EXIT_DONE;
	if (strcmp(state, "succeeded") != 0)
		return EXIT_UNDECIDED;
	return answer_number(counts, "failed") > 0 ? EXIT_NO : EXIT_DONE;
}

static int print_run(const struct invocation *call, struct running *running) {
	if (!running->is_json) {
		run_lines_print(running->run);
		return EXIT_DONE;
	}
	json_t *item = json_incref(running->run);
	json_object_set(item, "files", running->list);
	return command_print_json(call, item);
}

static int run_run(const struct invocation *call) {
	const char *workflow = command_operand(call, 0);
	bool waits = !command_has(call, "no-wait");
	_cleanup_(client_closep) Client *client = NULL;
	int code = client_open_operand(call, 1, NULL, &client);
	if (code)
		return code;
	_cleanup_(progress_endp) Progress *progress = progress_begin(workflow, PROGRESS_COUNT, 0);
	struct running running = {.is_json = command_has(call, "json"), .progress = progress};
	running.list = running.is_json ? json_array() : NULL;
	int rc = client_call(
	        client, "run", json_pack("{s:s, s:b}", "workflow", workflow, "no_wait", !waits), take_result, &running);
	progress_hide(progress);
	if (rc)
		code = command_fault(call, rc, "running workflow %s", workflow);
	else if (running.run)
		code = print_run(call, &running) ? EXIT_UNDECIDED : exit_of_run(running.run, waits);
	json_decref(running.list);
	json_decref(running.run);
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
                "Exits with 1 when a file failed, 3 when one could not be checked or the run did not come to its end, "
                "and is refused while a run of the workflow is going. Stewards only.",
        .options = (const struct command_option[]){{"no-wait", 0, NULL,
                                                           "return when its checks are queued; 'assayfs runs' tells "
                                                           "what became of them"},
                OPTION_JSON, {0}},
        .examples =
                (const struct command_example[]){
                        {"assayfs run project-anilost24-dqdp /mnt", "what is scheduled for Sunday, today"}, {0}},
        .exits = EXITS_OF_RUN,
        .run = run_run,
};

/* ---- runs ---- */

static int ask_runs(const struct invocation *call, Client *client, const char *workflow, json_t **ret_item) {
	const char *limit = command_value(call, "limit");
	json_t *arguments = json_object();
	char *end = NULL;
	long most = limit ? strtol(limit, &end, 10) : 20;
	if (limit && (*limit == '\0' || *end != '\0' || most < 1 || most > 1000)) {
		json_decref(arguments);
		return command_fail(call, EXIT_USAGE, "--limit %s: give a number from 1 to 1000", limit);
	}
	if (workflow)
		json_object_set_new(arguments, "workflow", json_string(workflow));
	json_object_set_new(arguments, "limit", json_integer(most));
	int rc = client_ask(client, "runs", arguments, ret_item);
	return rc ? command_fault(call, rc, "listing runs") : EXIT_DONE;
}

/* The operands are WORKFLOW and DIR, both as one likes: what is a directory here is no workflow. */
static bool is_directory_operand(const struct invocation *call) {
	const char *only = command_operand(call, 0);
	struct stat about;
	return only && !command_operand(call, 1) &&
	       (strchr(only, '/') || (stat(only, &about) == 0 && S_ISDIR(about.st_mode)));
}

static int run_runs(const struct invocation *call) {
	bool has_place_alone = is_directory_operand(call);
	const char *workflow = has_place_alone ? NULL : command_operand(call, 0);
	_cleanup_(client_closep) Client *client = NULL;
	_cleanup_(json_decrefp) json_t *item = NULL;
	int code = client_open_operand(call, has_place_alone ? 0 : 1, NULL, &client);
	if (!code)
		code = ask_runs(call, client, workflow, &item);
	if (code)
		return code;
	if (command_has(call, "json"))
		return command_print_json(call, steal_pointer(&item));
	run_lines_workflows(json_object_get(item, "workflows"));
	run_lines_history(json_object_get(item, "runs"));
	return EXIT_DONE;
}

const struct command command_runs = {
        .words = "runs",
        .operands = "[WORKFLOW] [DIR]",
        .most = 2,
        .summary = "list the workflows with their next run, and the runs that were",
        .details = "A run that succeeded has decided every file; how many passed and failed is told beside it. It "
                   "failed when a file could not be checked, timed out when its time_limit was over, was missed when "
                   "nothing was there to begin it, and skipped while the one before was still going. A single operand "
                   "that is a directory here is DIR.",
        .options = (const struct command_option[]){{"limit", 'n', "N", "the last N runs, at most 1000 (20)"},
                OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs runs project-anilost24-dqdp /mnt",
                                                             "when it runs next, and how it went"},
                {"assayfs runs --json /mnt | jq '.runs[0].state'", "how the last run ended"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_runs,
};
