/* `assayfs versions` and `assayfs restore`: what a name showed before. */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EXITS_OF_MOUNT \
	(EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED))

/* ---- versions ---- */

struct listing {
	json_t *json; /* when JSON is wanted */
	Table *table;
	bool is_replicated; /* some backup's rule takes it: a column says how far that is */
	size_t count;
};

static void add_row(Table *table, const json_t *item, bool is_replicated) {
	char words[WORDS_BYTES], user[ANSWER_NAME_BYTES];
	const char *verdict = answer_text(item, "verdict");
	const char *state = answer_text(item, "state");
	table_cellf(table, "%llu", (unsigned long long)answer_number(item, "number"));
	table_cell(table, words_time(answer_time(item, "time_ns"), words));
	table_cell(table, words_size(answer_number(item, "size"), words));
	table_cell(table, answer_user(item, "uid", user));
	table_cell(table, answer_text(item, "origin"));
	table_cell(table, *verdict ? verdict : "none");
	if (is_replicated)
		table_cell(table, answer_text(item, "replication"));
	table_cell(table, answer_flag(item, "current") ? "current" : strcmp(state, "sealed") == 0 ? "" : state);
}

static int take_version(void *context, const json_t *item) {
	struct listing *listing = context;
	listing->count++;
	if (listing->json)
		return json_array_append(listing->json, (json_t *)(uintptr_t)item) ? -ENOMEM : 0;
	if (!listing->table) {
		listing->is_replicated = json_is_string(json_object_get(item, "replication"));
		listing->table =
		        table_new(listing->is_replicated ? ">Number|Sealed|>Size|User|Origin|Verdict|Replication|"
		                                         : ">Number|Sealed|>Size|User|Origin|Verdict|");
	}
	if (!listing->table)
		return -ENOMEM;
	add_row(listing->table, item, listing->is_replicated);
	return 0;
}

static int print_versions(const struct invocation *call, const struct client_place *place, struct listing *listing) {
	if (listing->json)
		return command_print_json(
		        call, json_pack("{s:o, s:O}", "path", wire_path(place->path), "versions", listing->json));
	if (listing->count == 0) {
		_cleanup_(freep) char *safe = words_safe(place->path);
		printf("%s has no version yet: it is being written, or was never closed.\n", safe ? safe : "It");
		return EXIT_DONE;
	}
	return table_print(listing->table, stdout) ? command_fail(call, EXIT_UNDECIDED, "out of memory") : EXIT_DONE;
}

static int run_versions(const struct invocation *call) {
	const char *path = command_operand(call, 0);
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	int code = client_open_operand(call, 0, &place, &client);
	if (code)
		return code;
	struct listing listing = {.json = command_has(call, "json") ? json_array() : NULL};
	int rc = client_call(
	        client, "versions", json_pack("{s:o}", "path", wire_path(place.path)), take_version, &listing);
	code = rc ? command_fault(call, rc, "listing versions of %s", path) : print_versions(call, &place, &listing);
	json_decref(listing.json);
	table_free(listing.table);
	return code;
}

const struct command command_versions = {
        .words = "versions",
        .operands = "PATH",
        .least = 1,
        .most = 1,
        .summary = "list what a name showed over time",
        .details = "Every close after a change seals a version. The number is the one that restore takes; it never "
                   "changes. "
                   "A file that was removed still has its versions: give the path it had.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples =
                (const struct command_example[]){
                        {"assayfs versions Landing/animals/a.csv", "all versions, the oldest first"}, {0}},
        .exits = EXITS_OF_MOUNT,
        .run = run_versions,
};

/* ---- restore ---- */

/* PATH@N: the last '@' counts, since a name may hold one. */
static int split_version(const struct invocation *call, char *path, unsigned long long *ret_number) {
	char *at = strrchr(path, '@');
	char *end = NULL;
	errno = 0;
	*ret_number = at ? strtoull(at + 1, &end, 10) : 0;
	if (!at || at == path || end == at + 1 || *end || errno || *ret_number == 0 || at[1] < '0' || at[1] > '9')
		return command_fail(
		        call, EXIT_USAGE, "%s: write PATH@N; 'assayfs versions PATH' shows the numbers", path);
	*at = '\0';
	return 0;
}

static void print_restored(const json_t *item, const char *path, unsigned long long number) {
	_cleanup_(freep) char *safe = words_safe(path);
	const char *outcome = answer_text(item, "outcome");
	printf("%s shows version %llu again, as version %llu", safe ? safe : "It", number,
	        (unsigned long long)answer_number(item, "number"));
	_cleanup_(freep) char *quoted = words_shell(path);
	if (strcmp(outcome, "pending") == 0)
		printf("; its check is under way (assayfs why %s)", quoted ? quoted : "PATH");
	printf(".\n");
}

static int ask_restore(const struct invocation *call, const char *path, unsigned long long number) {
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	int rc = client_open(path, &place, &client);
	if (rc)
		return command_fault(call, rc, "finding the vault of %s", path);
	_cleanup_(json_decrefp) json_t *item = NULL;
	rc = client_ask(client, "restore",
	        json_pack("{s:o, s:I}", "path", wire_path(place.path), "number", (json_int_t)number), &item);
	if (rc) {
		int failed = command_fault(call, rc, "restoring %s@%llu", place.path, number);
		return rc == -EKEYREJECTED || rc == -EPERM ? EXIT_NO : failed;
	}
	int code = EXIT_DONE;
	if (command_has(call, "json"))
		code = command_print_json(call, steal_pointer(&item));
	else
		print_restored(item, path, number);
	return code;
}

static int run_restore(const struct invocation *call) {
	_cleanup_(freep) char *path = strdup(command_operand(call, 0));
	unsigned long long number;
	if (!path)
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	int code = split_version(call, path, &number);
	return code ? code : ask_restore(call, path, number);
}

const struct command command_restore = {
        .words = "restore",
        .operands = "PATH@N",
        .least = 1,
        .most = 1,
        .summary = "let a name show an earlier version again",
        .details =
                "The content of version N becomes a new version, so nothing is lost by it. It passes the gate like any "
                "other change: in Landing it arrives anew; in Trusted it must pass the policy that is in force now, "
                "or the command exits with 1 and nothing changes. Raw is immutable. A file of Landing that somebody "
                "has "
                "open for writing is not restored: close it first.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples =
                (const struct command_example[]){
                        {"assayfs restore Landing/animals/a.csv@3", "the content that version 3 had"}, {0}},
        .exits = EXITS_OF_MOUNT | EXIT_BIT(EXIT_BUSY),
        .run = run_restore,
};
