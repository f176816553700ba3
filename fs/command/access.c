/* `assayfs access`: whether a user may read or write a path, and why. */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/command/user.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <inttypes.h>
#include <stdlib.h>

static void print_one(const json_t *item, const char *name) {
	const json_t *verdict = json_object_get(item, name);
	_cleanup_(freep) char *why = words_safe(answer_text(verdict, "why"));
	printf("  %-6s  %-3s  %s\n", name, answer_flag(verdict, "allowed") ? "yes" : "no", why ? why : "");
}

static void print_answer(const json_t *item) {
	char path[ANSWER_PATH_BYTES], stop[ANSWER_PATH_BYTES];
	const json_t *groups = json_object_get(item, "groups");
	_cleanup_(freep) char *safe = words_safe(answer_path(item, "path", path));
	_cleanup_(freep) char *name = words_safe(answer_text(item, "user"));
	printf("%s, for %s%s%" PRIu64 "%s", safe && *safe ? safe : "the root", name && *name ? name : "uid ",
	        name && *name ? " (" : "", answer_number(item, "uid"), name && *name ? ")" : "");
	for (size_t i = 0; i < json_array_size(groups); i++)
		printf("%s%" JSON_INTEGER_FORMAT, i ? " " : ", in the groups ",
		        json_integer_value(json_array_get(groups, i)));
	putchar('\n');
	if (json_object_get(item, "stopped_at")) {
		_cleanup_(freep) char *at = words_safe(answer_path(item, "stopped_at", stop));
		printf("  he does not get past %s\n", at && *at ? at : "the root");
	}
	print_one(item, "read");
	print_one(item, "write");
	if (!json_is_false(json_object_get(item, "is_directory"))) /* of a file it would mean to execute it */
		print_one(item, "search");
}

/* PATH lies in a mount; with DIR it may be as the vault has it, and need not be seen from here. */
static int find_path(const struct invocation *call, Client **ret_client, char path[static WIRE_PATH_MAX]) {
	_cleanup_(freep) struct client_place *place = malloc(sizeof *place);
	bool has_dir = command_operand(call, 1) != NULL;
	int code = place ? client_open_operand(call, has_dir ? 1 : 0, place, ret_client)
	                 : command_fail(call, EXIT_UNDECIDED, "out of memory");
	if (code)
		return code;
	if (!has_dir) {
		snprintf(path, WIRE_PATH_MAX, "%s", place->path);
		return EXIT_DONE;
	}
	int rc = client_inside(command_operand(call, 0), path);
	return rc ? command_fault(call, rc, "finding %s in the vault", command_operand(call, 0)) : EXIT_DONE;
}

static int run_access(const struct invocation *call) {
	char path[WIRE_PATH_MAX];
	uid_t uid = 0;
	const char *user = command_value(call, "user");
	_cleanup_(client_closep) Client *client = NULL;
	_cleanup_(json_decrefp) json_t *item = NULL;
	int code = user ? user_find(call, user, &uid) : EXIT_DONE;
	if (!code)
		code = find_path(call, &client, path);
	if (code)
		return code;
	json_t *request = json_pack("{s:o}", "path", wire_path(path));
	if (request && user)
		json_object_set_new(request, "uid", json_integer((json_int_t)uid));
	int rc = client_ask(client, "access", request, &item);
	if (rc)
		return command_fault(call, rc, "asking about %s", command_operand(call, 0));
	bool reads = answer_flag(json_object_get(item, "read"), "allowed");
	if (command_has(call, "json"))
		code = command_print_json(call, steal_pointer(&item));
	else
		print_answer(item);
	return code ? code : reads ? EXIT_DONE : EXIT_NO;
}

const struct command command_access = {
        .words = "access",
        .operands = "PATH [DIR]",
        .least = 1,
        .most = 2,
        .summary = "say whether a user may read, write or search a path, and why",
        .details =
                "The mount's own decision: the role or grant that allows it and until when, mode bits or ACL, or the "
                "first directory on the way that stops the user. PATH is a path in a mounted vault; with DIR it may "
                "also be as the vault has it (Trusted/a.csv). Also of .assayfs/audit, quarantine and policy.\n"
                "Of a user who is named, all groups count that the account tables give; of oneself, those one has "
                "now. Stewards and auditors may ask about anybody, others about themselves. Nothing is opened by "
                "it.\n"
                "The exit code is 0 when the user may read it, 1 when not.",
        .options = (const struct command_option[]){{"user", 0, "USER", "about whom: a name or uid (default: oneself)"},
                OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs access mnt/Trusted/a.csv", "may I read it?"},
                {"assayfs access Trusted/a.csv --user bo mnt", "may bo?"},
                {"assayfs access .assayfs/audit --user 1001 --json mnt | jq .read.why", "and why not"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_access,
};
