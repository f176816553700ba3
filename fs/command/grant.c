/* `assayfs grant`: a role, or a path, lent for hours. */
#include "fs/command/grant.h"

#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/command/user.h"
#include "fs/command/when.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void print_what(const json_t *grant) {
	char path[ANSWER_PATH_BYTES];
	const char *dataset = answer_text(grant, "dataset");
	_cleanup_(freep) char *safe =
	        json_object_get(grant, "path") ? words_safe(answer_path(grant, "path", path)) : NULL;
	if (*answer_text(grant, "role"))
		printf("role %s", answer_text(grant, "role"));
	else
		printf("%s %s%s", answer_flag(grant, "write") ? "write" : "read", *dataset ? "dataset " : "",
		        *dataset ? dataset
		        : safe   ? safe
		                 : "?");
}

void grant_print(const json_t *grant) {
	char user[ANSWER_NAME_BYTES], by[ANSWER_NAME_BYTES], until[WORDS_BYTES];
	uint64_t number = answer_number(grant, "number");
	_cleanup_(freep) char *who = words_safe(number ? answer_user(grant, "uid", user) : answer_text(grant, "who"));
	_cleanup_(freep) char *reason = words_safe(answer_text(grant, "reason"));
	if (number)
		printf("  %" PRIu64 "  ", number);
	else
		printf("  policy.yaml:%" PRIu64 "  ", answer_number(grant, "line"));
	print_what(grant);
	printf(" to %s, until %s", who ? who : "?", words_time(answer_time(grant, "until_ns"), until));
	if (number)
		printf(", by %s%s", answer_user(grant, "by", by),
		        answer_number(grant, "by") == answer_number(grant, "uid") ? " himself" : "");
	printf(": %s\n", reason ? reason : "");
}

/* ---- asking ---- */

static int take_item(void *context, const json_t *item) {
	return json_array_append(context, (json_t *)(uintptr_t)item) ? -ENOMEM : 0;
}

static int list_grants(const struct invocation *call, Client *client, const struct client_place *place) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	int rc = client_call(client, "grant-list", json_object(), take_item, list);
	if (rc)
		return command_fault(call, rc, "asking the mount on %s", place->mountpoint);
	if (command_has(call, "json"))
		return command_print_json(call, json_pack("{s:O}", "grants", list));
	if (json_array_size(list) == 0)
		printf("Nothing is granted beside the roles.\n");
	for (size_t i = 0; i < json_array_size(list); i++)
		grant_print(json_array_get(list, i));
	return EXIT_DONE;
}

static int take_back(const struct invocation *call, Client *client) {
	unsigned long long number = 0;
	_cleanup_(json_decrefp) json_t *item = NULL;
	int code = command_number(call, "revoke", 1, INT64_MAX, &number);
	if (code)
		return code;
	int rc = client_ask(client, "grant-revoke", json_pack("{s:I}", "number", (json_int_t)number), &item);
	if (rc)
		return command_fault(call, rc, "revoking grant %llu", number);
	if (command_has(call, "json"))
		return command_print_json(call, steal_pointer(&item));
	printf("It counts no more; what was opened by it stays open until it is closed:\n");
	grant_print(item);
	return EXIT_DONE;
}

/* What is to be lent, and to whom; NULL with *ret_code where that makes no sense. */
static json_t *make_request(const struct invocation *call, int *ret_code) {
	const char *reason = command_value(call, "reason"), *role = command_value(call, "role");
	const char *path = command_value(call, "path"), *user = command_value(call, "user");
	char inside[WIRE_PATH_MAX];
	int64_t for_ns = 0;
	uid_t uid = 0;
	*ret_code = user ? user_find(call, user, &uid) : EXIT_DONE;
	int rc = *ret_code ? 0 : when_duration(command_value(call, "for"), &for_ns);
	if (rc)
		*ret_code = command_fault(call, rc, "reading --for");
	if (!*ret_code && path && (rc = client_inside(path, inside)))
		*ret_code = command_fault(call, rc, "finding --path %s in a vault", path);
	if (*ret_code)
		return NULL;
	json_t *request = json_pack("{s:s, s:I, s:s*, s:b}", "reason", reason, "for_ns", (json_int_t)for_ns, "role",
	        role, "write", (int)command_has(call, "write"));
	if (!request)
		*ret_code = command_fail(call, EXIT_USAGE, "--reason and --role must be UTF-8 text");
	if (request && path)
		json_object_set_new(request, "path", wire_path(inside));
	if (request && user)
		json_object_set_new(request, "uid", json_integer((json_int_t)uid));
	return request;
}

static int give(const struct invocation *call, Client *client) {
	_cleanup_(json_decrefp) json_t *item = NULL;
	int code;
	json_t *request = make_request(call, &code);
	if (code)
		return code;
	int rc = client_ask(client, "grant", request, &item);
	if (rc)
		return command_fault(call, rc, "granting");
	if (command_has(call, "json"))
		return command_print_json(call, steal_pointer(&item));
	printf("Granted, and in the log:\n");
	grant_print(item);
	return EXIT_DONE;
}

static int check_usage(const struct invocation *call) {
	const char *reason = command_value(call, "reason");
	bool lists = command_has(call, "list"), revokes = command_has(call, "revoke");
	bool has_role = command_has(call, "role"), has_path = command_has(call, "path");
	bool gives = has_role || has_path || reason || command_has(call, "for");
	if (lists + revokes + gives > 1)
		return command_fail(
		        call, EXIT_USAGE, "one of --list, --revoke ID and --reason TEXT --for TIME, not more");
	if (lists || revokes)
		return EXIT_DONE;
	if (!reason || strspn(reason, " \t\n") == strlen(reason))
		return command_fail(call, EXIT_USAGE, "--reason TEXT is needed; it stands in the audit log");
	if (!command_has(call, "for"))
		return command_fail(call, EXIT_USAGE, "--for TIME is needed, like --for 1h; 7 days at most");
	if (has_role == has_path)
		return command_fail(call, EXIT_USAGE, "say what: --role ROLE, or --path PATH%s",
		        has_role ? ", not both" : " (perhaps with --write)");
	if (has_role && command_has(call, "write"))
		return command_fail(call, EXIT_USAGE, "--write goes with --path; a role has its own rights");
	return EXIT_DONE;
}

static int run_grant(const struct invocation *call) {
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	int code = check_usage(call);
	if (!code)
		code = client_open_operand(call, 0, &place, &client);
	if (code)
		return code;
	if (command_has(call, "list"))
		return list_grants(call, client, &place);
	return command_has(call, "revoke") ? take_back(call, client) : give(call, client);
}

const struct command command_grant = {
        .words = "grant",
        .operands = "[DIR]",
        .most = 1,
        .summary = "lend a user a role or a path for some time, or break the glass",
        .details = "Beside the roles of the policy, for 7 days at most, with a reason; the policy's 'grants:' are for "
                   "longer. A steward by the policy lends to anybody; a role that is only lent gives no right to lend. "
                   "Who is listed under 'break_glass:' in the policy, and who "
                   "mounted, may lend himself something when nobody else is there: that is breaking the glass. It is "
                   "recorded as event 'grant', stands in 'assayfs status' as long as it counts, and every access that "
                   "only it allowed says so in the log ('by grant N').\n"
                   "A path is of a file, or of a directory with all below it. Mode bits and ACLs count all the same; "
                   "what is written into Trusted is checked. It ends by the clock, also when that is set back, and at "
                   "--revoke; what was opened before stays open.",
        .options = (const struct command_option[]){{"reason", 0, "TEXT", "why, as the audit log keeps it; needed"},
                {"for", 0, "TIME", "how long: 30m, 1h, 2d; needed"},
                {"role", 0, "ROLE", "steward, ingester, analyst or auditor"},
                {"path", 0, "PATH", "a file or directory of the vault, to be read"},
                {"write", 0, NULL, "with --path: to be written, too"},
                {"user", 0, "USER", "to whom: a name or uid (default: oneself)"},
                {"list", 0, NULL, "show what counts now; all of it to stewards and auditors"},
                {"revoke", 0, "ID", "end it now: a steward, or whose it is"}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs grant --reason 'ticket 4711' --for 2h --path "
                                                      "Trusted/animals --user bo /mnt",
                                                             "bo reads the animals until lunch"},
                {"assayfs grant --reason 'steward is ill, feed stopped' --for 1h --role steward /mnt",
                        "breaks the glass"},
                {"assayfs grant --list /mnt", "what is lent now"}, {"assayfs grant --revoke 3 /mnt", "no more"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_grant,
};
