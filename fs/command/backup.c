/* `assayfs backup status`, `remove`, `sync`. */
#include "fs/command/backup.h"

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "fs/command/answer.h"
#include "fs/command/colour.h"
#include "fs/command/progress.h"
#include "fs/words.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- shared ---- */

int backup_operands(const struct invocation *call, const char **ret_url, int *ret_dir) {
	const char *first = command_operand(call, 0);
	bool is_url = first && strstr(first, "://");
	if (call->operand_count == 2 && !is_url)
		return command_fail(call, EXIT_USAGE, "%s is no URL: s3://BUCKET/PREFIX or file:///DIRECTORY", first);
	*ret_url = is_url ? first : NULL;
	*ret_dir = is_url ? 1 : 0;
	return EXIT_DONE;
}

int backup_ask(const struct invocation *call, int dir, const char *command, json_t *arguments, client_item *item,
        void *context) {
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	int code = client_open_operand(call, dir, &place, &client);
	if (code) {
		json_decref(arguments);
		return code;
	}
	int rc = client_call(client, command, arguments, item, context);
	if (!rc)
		return EXIT_DONE;
	code = command_fault(call, rc, "%s", "");
	return rc == -EEXIST || rc == -EREMOTEIO ? EXIT_NO : code;
}

static int keep_item(void *context, const json_t *item) {
	json_t **slot = context;
	json_decref(*slot);
	*slot = json_incref((json_t *)(uintptr_t)item);
	return 0;
}

/* ---- status ---- */

static void add_row(Table *table, const json_t *target) {
	char lag[WORDS_BYTES], pending[WORDS_BYTES], stored[WORDS_BYTES];
	double lag_s = json_number_value(json_object_get(target, "lag_seconds"));
	bool is_known = !json_is_null(json_object_get(target, "lag_seconds"));
	uint64_t bytes = answer_number(target, "pending_bytes"), generation = answer_number(target, "generation");
	const char *shipped = answer_text(target, "shipped");
	table_cell(table, answer_text(target, "url"));
	table_cell(table, answer_text(target, "state"));
	if (!is_known) {
		/* Nobody has looked since the mount. */
		for (int i = 0; i < 5; i++)
			table_cell(table, i == 3 ? "not known yet" : "?");
		return;
	}
	table_cell(table, lag_s > 0 ? words_duration((int64_t)(lag_s * 1e9), lag) : "none");
	table_cellf(table, "%" PRIu64 " (%s)", answer_number(target, "pending"), words_size(bytes, pending));
	table_cellf(table, "%" PRIu64, answer_number(target, "failed"));
	table_cellf(table, generation ? "%" PRIu64 ", %s" : "none yet", generation, shipped);
	table_cell(table, words_size(answer_number(target, "stored_bytes"), stored));
}

/* A rule that takes not all. */
static void print_limits(const json_t *target) {
	const json_t *zones = json_object_get(target, "zones");
	_cleanup_(freep) char *url = words_safe(answer_text(target, "url"));
	_cleanup_(freep) char *prefix = words_safe(answer_text(target, "prefix"));
	bool has_prefix = prefix && *prefix, is_of_zones = json_array_size(zones) < 3;
	if (!has_prefix && !is_of_zones)
		return;
	printf("%s: only what is in ", url ? url : "?");
	for (size_t i = 0; i < json_array_size(zones); i++)
		printf("%s%s", i ? ", " : "", json_string_value(json_array_get(zones, i)));
	if (has_prefix)
		printf(", where the path below it begins with '%s'", prefix);
	printf("\n");
}

static void print_trouble(const json_t *target) {
	_cleanup_(freep) char *url = words_safe(answer_text(target, "url"));
	_cleanup_(freep) char *trouble = words_safe(answer_text(target, "trouble"));
	_cleanup_(freep) char *pass = words_safe(answer_text(target, "pass_trouble"));
	const char *retry = answer_text(target, "retry");
	uint64_t refused = answer_number(target, "refused");
	bool is_named = url && trouble && strncmp(trouble, url, strlen(url)) == 0;
	if (trouble && *trouble)
		colour_print(stdout, COLOUR_BAD, "!! %s%s%s%s%s\n",
		        is_named ? ""
		        : url    ? url
		                 : "?",
		        is_named ? "" : ": ", trouble, *retry ? "; next try " : "", retry);
	if (pass && *pass)
		colour_print(stdout, COLOUR_BAD,
		        "!! %s: what is needed no more is not removed, or locks are not renewed: %s\n", url ? url : "?",
		        pass);
	if (refused > 0)
		printf("%s: %" PRIu64 " removal%s refused, as what was to go is locked (docs/backup.md)\n",
		        url ? url : "?", refused, refused == 1 ? " was" : "s were");
}

static int print_targets(const struct invocation *call, const json_t *targets) {
	_cleanup_(table_freep) Table *table = table_new("Target|State|>Lag|>Pending|>Failed|Last generation|>Stored");
	size_t i;
	json_t *target;
	if (json_array_size(targets) == 0) {
		printf("There is no backup. To begin one: assayfs backup add s3://BUCKET/PREFIX or "
		       "file:///DIRECTORY\n");
		return EXIT_DONE;
	}
	json_array_foreach(targets, i, target) if (table) add_row(table, target);
	if (!table || table_print(table, stdout))
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	json_array_foreach(targets, i, target) print_limits(target);
	json_array_foreach(targets, i, target) print_trouble(target);
	return EXIT_DONE;
}

static bool has_failed(const json_t *targets) {
	size_t i;
	json_t *target;
	bool found = false;
	json_array_foreach(targets, i, target) {
		const char *state = answer_text(target, "state");
		found = found || strcmp(state, "failed") == 0 || strcmp(state, "paused") == 0;
	}
	return found;
}

static int run_status(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *item = NULL;
	int code = backup_ask(call, 0, "backup-status", json_object(), keep_item, &item);
	if (code)
		return code;
	const json_t *targets = json_object_get(item, "targets");
	code = command_has(call, "json") ? command_print_json(call, json_incref(item)) : print_targets(call, targets);
	return code ? code : has_failed(targets) ? EXIT_NO : EXIT_DONE;
}

const struct command command_backup_status = {
        .words = "backup status",
        .operands = "[DIR]",
        .most = 1,
        .summary = "show how far the backups of a mounted vault are",
        .details = "For each target: what it does, how old the oldest change is that is not there, versions and bytes "
                   "that are on their way, versions that can't be shipped until somebody mends what is said, the last "
                   "generation that is whole there, and what is stored.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs backup status /mnt",
                                                             "exit code 1 when one has failed or is paused"},
                {"assayfs backup status --json | jq '.targets[].lag_seconds'", "how far behind"}, {0}},
        .exits = BACKUP_EXITS,
        .run = run_status,
};

/* ---- remove ---- */

static int run_remove(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *item = NULL;
	const char *url = command_operand(call, 0);
	int code = backup_ask(call, 1, "backup-remove", json_pack("{s:s}", "url", url), keep_item, &item);
	if (code)
		return code;
	if (command_has(call, "json"))
		return command_print_json(call, json_incref(item));
	_cleanup_(freep) char *safe = words_safe(url);
	printf("Nothing more is shipped to %s. What is there stays.\n", safe ? safe : "it");
	return EXIT_DONE;
}

const struct command command_backup_remove = {
        .words = "backup remove",
        .operands = "URL [DIR]",
        .least = 1,
        .most = 2,
        .summary = "ship no more to a target; what is there stays",
        .details = "For stewards. The target and its credentials are forgotten; nothing there is removed.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs backup remove s3://bucket/vault /mnt", "ends it"}, {0}},
        .exits = BACKUP_EXITS,
        .run = run_remove,
};

/* ---- sync ---- */

#define TELL_AFTER_NS INT64_C(2000000000)

struct waiting {
	const struct invocation *call;
	Progress *progress;
	uint64_t most;
	int64_t begun_ns;
	bool has_told;
};

/* What is waited for, once: at once to who looks on, else when it takes a while. */
static void tell_waiting(struct waiting *waiting, const json_t *item) {
	if (waiting->has_told || (!isatty(STDERR_FILENO) && monotonic_ns() - waiting->begun_ns < TELL_AFTER_NS))
		return;
	progress_hide(waiting->progress);
	command_note(waiting->call, "waiting for %s", answer_text(item, "waits_for"));
	waiting->has_told = true;
}

static int take_waiting(void *context, const json_t *item) {
	struct waiting *waiting = context;
	uint64_t left = answer_number(item, "pending_bytes");
	tell_waiting(waiting, item);
	waiting->most = left > waiting->most ? left : waiting->most;
	progress_set(waiting->progress, waiting->most - left, waiting->most);
	return 0;
}

static int run_sync(const struct invocation *call) {
	const char *url = NULL;
	int dir = 0;
	unsigned long long timeout_s = 0;
	int code = backup_operands(call, &url, &dir);
	if (!code)
		code = command_number(call, "timeout", 1, 604800, &timeout_s);
	if (code)
		return code;
	_cleanup_(progress_endp) Progress *progress = progress_begin("shipping", PROGRESS_BYTES, 0);
	struct waiting waiting = {.call = call, .progress = progress, .begun_ns = monotonic_ns()};
	return backup_ask(call, dir, "backup-sync",
	        json_pack("{s:s*, s:I}", "url", url, "timeout_ms", (json_int_t)timeout_s * 1000), take_waiting,
	        &waiting);
}

const struct command command_backup_sync = {
        .words = "backup sync",
        .operands = "[URL] [DIR]",
        .most = 2,
        .summary = "wait until all that was changed is in the backup",
        .details =
                "For stewards. What is closed and synced when the command begins is on every target (or on URL) when "
                "it ends with 0. A single argument that is no URL is DIR.",
        .options = (const struct command_option[]){{"timeout", 0, "SECONDS", "wait no longer; then the exit code is 3"},
                {0}},
        .examples =
                (const struct command_example[]){
                        {"assayfs backup sync --timeout 60 /mnt", "before a machine is shut down"}, {0}},
        .exits = BACKUP_EXITS,
        .run = run_sync,
};
