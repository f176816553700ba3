/* `assayfs why` and `quarantine`: what the gate decided, and having a steward decide again. */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/colour.h"
#include "fs/command/command.h"
#include "fs/command/progress.h"
#include "fs/command/when.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAIT_LOOK_NS (100 * 1000 * 1000)
#define EXITS_OF_MOUNT \
	(EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED))

/* Nothing is trusted by default: what nobody has judged is not decided, so that a script that goes on after 0 goes on
 * with files that passed. */
static int exit_of_outcome(const char *outcome) {
	if (strcmp(outcome, "passed") == 0)
		return EXIT_DONE;
	if (strcmp(outcome, "waived") == 0) /* while it lasts; then it is "expired" */
		return EXIT_DONE;
	return strcmp(outcome, "failed") == 0 || strcmp(outcome, "erased") == 0 ? EXIT_NO : EXIT_UNDECIDED;
}

/* ---- why ---- */

/* The first line has the outcome. The text is safe words, line by line. */
static void print_why(const char *outcome, const char *text) {
	size_t length = strcspn(text, "\n");
	_cleanup_(freep) char *first = strndup(text, length);
	_cleanup_(freep) char *line = first ? words_line(first) : NULL;
	colour_print(stdout, colour_of_outcome(outcome), "%s\n", line ? line : "out of memory");
	if (text[length])
		words_print_lines(text + length + 1);
}

/* A connection carries one question. */
static int ask_why(const struct invocation *call, json_t **ret_item) {
	const char *path = command_operand(call, 0);
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	int code = client_open_operand(call, 0, &place, &client);
	if (code)
		return code;
	int rc = client_ask(client, "why",
	        json_pack("{s:o, s:o}", "path", wire_path(place.path), "mountpoint", wire_path(place.mountpoint)),
	        ret_item);
	return rc ? command_fault(call, rc, "looking for the verdict on %s", path) : 0;
}

/* Of a name in Trusted what is newer counts too. */
static bool is_under_way(const json_t *item) {
	return strcmp(answer_text(item, "outcome"), "pending") == 0 ||
	       strcmp(answer_text(item, "newer"), "pending") == 0;
}

/* Once: it may wait for a key that nobody is about to enable. */
static bool tell_key(const struct invocation *call, const json_t *item) {
	_cleanup_(freep) char *words = words_line(answer_text(item, "waits_for_key"));
	if (!words || !*words)
		return false;
	command_note(call, "the check waits for a key: %s", words);
	return true;
}

static int wait_for_verdict(const struct invocation *call, json_t **item) {
	bool is_told = false;
	int code = 0;
	while (code == 0 && is_under_way(*item)) {
		is_told = is_told || tell_key(call, *item);
		(void)nanosleep(&(struct timespec){.tv_nsec = WAIT_LOOK_NS}, NULL);
		json_decref(*item);
		*item = NULL;
		code = ask_why(call, item);
	}
	return code;
}

static int run_why(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *item = NULL;
	int code = ask_why(call, &item);
	if (code == 0 && command_has(call, "wait"))
		code = wait_for_verdict(call, &item);
	if (code)
		return code;
	code = exit_of_outcome(answer_text(item, "outcome"));
	if (command_has(call, "json")) {
		int printed = command_print_json(call, steal_pointer(&item));
		code = printed ? printed : code;
	} else {
		print_why(answer_text(item, "outcome"), answer_text(item, "text"));
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
                   "Landing that no dataset governs. Exits with 0 when the file passed or is waived, 1 when it failed "
                   "or is not "
                   "there (of what was erased it says when, by whom and why), 3 when it is not decided: the check "
                   "could not be done, is under way, or nothing checks "
                   "the file.",
        .options = (const struct command_option[]){{"wait", 'w', NULL,
                                                           "while its check is under way, wait for the verdict; says "
                                                           "so when that waits for a key"},
                OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs why Trusted/animals/a.csv",
                                                             "after cp said that it may not be written"},
                {"cp a.csv Landing/ && assayfs why --wait Landing/a.csv && echo passed", "in a script"}, {0}},
        .exits = EXITS_OF_MOUNT,
        .run = run_why,
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
        .options = (const struct command_option[]){{"all", 'a', NULL, "also what was released, dropped or erased"},
                OPTION_JSON, {0}},
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
	words_print_lines(answer_text(item, "text"));
}

static int read_id(const struct invocation *call, unsigned long long *ret_id) {
	char *end = NULL;
	errno = 0;
	*ret_id = strtoull(call->operands[0], &end, 10);
	if (errno || end == call->operands[0] || *end || call->operands[0][0] < '0' || call->operands[0][0] > '9')
		return command_fail(
		        call, EXIT_USAGE, "%s: give an id as 'assayfs quarantine list' shows it", call->operands[0]);
	return 0;
}

/* As they are for a program, and for a person's terminal with control bytes escaped. A line may come in two pieces;
 * then the second is escaped by itself. */
static int take_rows(void *context, const json_t *item) {
	const char *text = answer_text(item, "text");
	(void)context;
	if (isatty(STDOUT_FILENO))
		words_print_lines(text);
	else
		fputs(text, stdout);
	return 0;
}

static int show_rows(const struct invocation *call, Client *client, unsigned long long id) {
	if (command_has(call, "json"))
		return command_fail(call, EXIT_USAGE, "--rows prints a CSV, so it does not go with --json");
	int rc = client_call(client, "quarantine-rows", json_pack("{s:I}", "id", (json_int_t)id), take_rows, NULL);
	if (rc)
		return command_fault(call, rc, "reading the rows of quarantine %llu", id);
	return fflush(stdout) == 0 ? EXIT_DONE : command_fail(call, EXIT_UNDECIDED, "stdout can't be written");
}

static int run_quarantine_show(const struct invocation *call) {
	unsigned long long id;
	int code = read_id(call, &id);
	if (code)
		return code;
	_cleanup_(client_closep) Client *client = NULL;
	code = client_open_operand(call, 1, NULL, &client);
	if (code)
		return code;
	if (command_has(call, "rows"))
		return show_rows(call, client, id);
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
        .summary = "show why something is held, or the rows that are",
        .details =
                "Of a file that was split, --rows prints the rows that were withheld as a CSV: the line on which each "
                "stood, the rules that it breaks, and the file's own columns. Who looks at them is recorded. "
                "Stewards only.",
        .options = (const struct command_option[]){{"rows", 'r', NULL, "print the rows that are held, as a CSV"},
                OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs quarantine show 7", "its verdict, rule by rule"},
                {"assayfs quarantine show --rows 7 >to-mend.csv", "what was withheld of a file"}, {0}},
        .exits = EXITS_OF_MOUNT,
        .run = run_quarantine_show,
};

/* ---- a steward's decisions ---- */

/* The last moment of what is written: until 2026-12-31 means that whole day. */
static int add_waiver(const struct invocation *call, json_t *arguments) {
	const char *text = command_value(call, "waiver-until");
	struct when when;
	if (!text)
		return 0;
	int64_t now = when_now();
	if (when_parse(text, now, &when) < 0)
		return command_fail(call, EXIT_USAGE, "--waiver-until %s: %s", text, fault_message());
	if (when.last <= now)
		return command_fail(
		        call, EXIT_USAGE, "--waiver-until %s: that is over; give a date to come, as 2027-01-31", text);
	json_object_set_new(arguments, "waiver_until_ns", json_integer((json_int_t)when.last));
	return 0;
}

/* Asks for the decision; the answer is the caller's to print. An exit code. */
static int ask_decision(const struct invocation *call, const char *command, const char *doing, json_t **ret_item) {
	unsigned long long id;
	const char *reason = command_value(call, "reason");
	int code = read_id(call, &id);
	if (!code && (!reason || !*reason))
		code = command_fail(call, EXIT_USAGE, "--reason TEXT is needed; it stands in the audit log");
	if (code)
		return code;
	_cleanup_(json_decrefp) json_t *arguments = json_pack("{s:I, s:s}", "id", (json_int_t)id, "reason", reason);
	if (!arguments)
		return command_fail(call, EXIT_USAGE, "--reason must be UTF-8 text");
	_cleanup_(client_closep) Client *client = NULL;
	code = add_waiver(call, arguments);
	if (!code)
		code = client_open_operand(call, 1, NULL, &client);
	if (code)
		return code;
	int rc = client_ask(client, command, json_incref(arguments), ret_item);
	if (rc == -EALREADY || rc == -EPERM || rc == -EBUSY) /* it could be decided, and the answer is no */
		return command_fail(call, EXIT_NO, "%s quarantine %llu: %s", doing, id, fault_message());
	return rc ? command_fault(call, rc, "%s quarantine %llu", doing, id) : EXIT_DONE;
}

static int run_quarantine_release(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *item = NULL;
	char path[ANSWER_PATH_BYTES], words[WORDS_BYTES];
	int code = ask_decision(call, "quarantine-release", "releasing", &item);
	if (code || command_has(call, "json"))
		return code ? code : command_print_json(call, steal_pointer(&item));
	_cleanup_(freep) char *safe = words_safe(answer_path(item, "path", path));
	if (answer_flag(item, "waived"))
		printf("%s is in Trusted, waived until %s.\n", safe ? safe : "?",
		        words_time(answer_time(item, "waiver_until_ns"), words));
	else
		printf("%s passes now and is in Trusted.\n", safe ? safe : "?");
	return EXIT_DONE;
}

static int run_quarantine_drop(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *item = NULL;
	char path[ANSWER_PATH_BYTES];
	int code = ask_decision(call, "quarantine-drop", "dropping", &item);
	if (code || command_has(call, "json"))
		return code ? code : command_print_json(call, steal_pointer(&item));
	_cleanup_(freep) char *safe = words_safe(answer_path(item, "path", path));
	printf("%s is not waited for any longer.\n", safe ? safe : "?");
	return EXIT_DONE;
}

#define OPTION_REASON \
	{ "reason", 0, "TEXT", "why, as the audit log keeps it; needed" }

const struct command command_quarantine_release = {
        .words = "quarantine release",
        .operands = "ID [DIR]",
        .least = 1,
        .most = 2,
        .summary = "let out what is held, if it passes now or with a waiver",
        .details =
                "Checks the file again by the policy now in force, and publishes it if it passes. If it does not, it "
                "is let through only with --waiver-until: the file then has a signed verdict that names the steward, "
                "the reason and the date, and 'assayfs why' and 'assayfs status' say so; after that date they say that "
                "the waiver has expired, and the next 'assayfs policy apply --recheck' withdraws the file if it still "
                "fails. Of a file that was split, the whole file is released. What is in Trusted and newer is never "
                "replaced. Stewards only; each attempt is recorded.",
        .options = (const struct command_option[]){OPTION_REASON,
                {"waiver-until", 0, "DATE", "let it through although it fails, until the end of that day"}, OPTION_JSON,
                {0}},
        .examples = (const struct command_example[]){{"assayfs quarantine release 7 --reason 'rule 3 was wrong'",
                                                             "after a corrected policy"},
                {"assayfs quarantine release 7 --reason 'register is late' --waiver-until 2027-01-31",
                        "on the steward's word"},
                {0}},
        .exits = EXITS_OF_MOUNT,
        .run = run_quarantine_release,
};

const struct command command_quarantine_drop = {
        .words = "quarantine drop",
        .operands = "ID [DIR]",
        .least = 1,
        .most = 2,
        .summary = "decide that something held is not waited for any longer",
        .details = "It goes from the list; --all still shows it. Its bytes stay, as every version does, until they "
                   "are erased (assayfs erase). Stewards only; recorded with the reason.",
        .options = (const struct command_option[]){OPTION_REASON, OPTION_JSON, {0}},
        .examples =
                (const struct command_example[]){
                        {"assayfs quarantine drop 7 --reason 'a test file'", "nobody will ask for it"}, {0}},
        .exits = EXITS_OF_MOUNT,
        .run = run_quarantine_drop,
};
