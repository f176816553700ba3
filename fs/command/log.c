/* `assayfs log`: the audit log, in one of its forms. */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/command/log_format.h"
#include "fs/command/log_request.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Every event that a record can name; tests/fs/cli/check_docs.py holds it against the sources. */
const char *const log_events[] = {"accept-restore", "access", "alarm", "alarm-dead", "alarm-drop", "alarm-history",
        "alarm-key", "alarm-list", "alarm-retry", "alarm-silence", "alarm-test", "arrive", "attend", "backup-add",
        "backup-remove", "backup-sync", "backup-verify", "capture", "chmod", "chown", "close", "create", "damage",
        "deliver", "erase", "expire", "find-subject", "gc", "getxattr", "grant", "grant-revoke", "http", "init",
        "key-alias", "key-cancel-deletion", "key-create", "key-decrypt", "key-delete", "key-disable", "key-enable",
        "key-found", "key-generate-data-key", "key-list", "key-rewrap", "key-rotate", "key-schedule-deletion",
        "kms-away", "kms-back", "lineage", "link", "lock", "lock-after", "log-archive", "log-prune", "log-ship",
        "lookup", "mkdir", "mknod", "mount", "open", "opendir", "policy-apply", "policy-foresee", "policy-recheck",
        "policy-show", "publish", "quarantine-drop", "quarantine-list", "quarantine-release", "quarantine-show",
        "read-log", "recover", "removexattr", "rename", "repair", "restore", "rmdir", "run", "runs", "setxattr",
        "slot-add", "slot-remove", "stale", "supersede", "symlink", "token-add", "token-list", "token-remove",
        "truncate", "unlink", "unlock", "unmount", "utimes", "verdict", "versions", "why", "withdraw", NULL};

struct printing {
	const struct invocation *call;
	const struct log_format *format;
	struct log_sheet sheet;
	bool is_following;
};

static int take_lines(void *context, const json_t *item) {
	struct printing *printing = context;
	log_request_note_pruned(printing->call, item);
	size_t i;
	json_t *line;
	json_array_foreach(json_object_get(item, "lines"), i, line) {
		const char *text = json_string_value(line);
		int rc = text ? log_format_print(printing->format, &printing->sheet, text)
		              : fault(EPROTO, "the mount's answer is malformed");
		if (rc)
			return rc;
	}
	/* Who reads what comes out should have the first records while others are being looked for. */
	if (fflush(stdout) != 0)
		return fault_errno(errno, "writing to standard output");
	return 0;
}

static int choose_format(const struct invocation *call, const struct log_format **ret_format) {
	const char *name = command_value(call, "format");
	bool is_json = command_has(call, "json");
	const struct log_format *format = name ? log_format_find(name) : is_json ? &log_format_json : &log_format_text;
	if (!format)
		return command_fail(
		        call, EXIT_USAGE, "--format %s: the formats are text, json, csv, cloudtrail and ocsf", name);
	if (is_json && format != &log_format_json)
		return command_fail(call, EXIT_USAGE, "--json is --format json, not %s; give one of them", name);
	if (format->needs_end && command_has(call, "follow"))
		return command_fail(call, EXIT_USAGE,
		        "--format %s is one JSON document, which ends when --follow does not; follow with text, json, "
		        "csv or "
		        "ocsf",
		        name);
	*ret_format = format;
	return 0;
}

static int print_all(const struct invocation *call, Client *client, json_t *arguments, struct printing *printing) {
	if (printing->format->begin)
		printing->format->begin(&printing->sheet);
	int rc = client_call(client, "log", arguments, take_lines, printing);
	if (printing->format->end)
		printing->format->end(&printing->sheet);
	if (rc == -ECANCELED || (rc == -ECONNRESET && printing->is_following))
		return command_fail(call, EXIT_DONE, "the vault was unmounted: the end of what can be followed");
	if (rc)
		return command_fault(call, rc, "reading the audit log");
	return fflush(stdout) == 0 ? EXIT_DONE : command_fault(call, fault_errno(errno, "writing"), "standard output");
}

static int run_log(const struct invocation *call) {
	struct printing printing = {
	        .call = call, .is_following = command_has(call, "follow"), .sheet = {.out = stdout}};
	int code = choose_format(call, &printing.format);
	if (code)
		return code;
	struct client_place place;
	_cleanup_(json_decrefp) json_t *arguments = json_object();
	_cleanup_(client_closep) Client *client = NULL;
	code = arguments ? log_request_build(call, arguments) : command_fail(call, EXIT_UNDECIDED, "out of memory");
	if (!code)
		code = client_open_operand(call, 0, &place, &client);
	if (code)
		return code;
	snprintf(printing.sheet.vault_id, sizeof printing.sheet.vault_id, "%s", place.vault_id);
	if (gethostname(printing.sheet.host, sizeof printing.sheet.host - 1) < 0)
		*printing.sheet.host = '\0';
	return print_all(call, client, steal_pointer(&arguments), &printing);
}

const struct command command_log = {
        .words = "log",
        .operands = "[DIR]",
        .most = 1,
        .summary = "print the audit log: who did what, when, and what was refused",
        .details =
                "Times are written as 2026-11-22, \"2026-11-22 10:15\", 10:15, 2026-11-22T10:15:02Z, today, yesterday, "
                "-2h, \"90 min ago\" or @SECONDS; one that names a day means that whole day.\n"
                "A path is one of the vault (Landing/a.csv, with everything below it when it is a directory), a "
                "pattern "
                "(*, ?, [a-z] within a name, ** across directories), or one of the file system beginning with / or "
                "./.\n"
                "Only records that are durable are shown. With --format json each line is exactly what the log's hash "
                "tree holds; csv is a table, cloudtrail and ocsf are for programs that know these forms.",
        .options = (const struct command_option[]){LOG_REQUEST_OPTIONS, {"limit", 'n', "N", "only the last N of them"},
                {"follow", 'f', NULL, "go on with new records until interrupted"},
                {"format", 0, "FORMAT", "text (the default), json, csv, cloudtrail or ocsf"},
                {"json", 0, NULL, "the same as --format json"}, {0}},
        .examples = (const struct command_example[]){{"assayfs log --since -1h --outcome denied",
                                                             "what was refused in the last hour"},
                {"assayfs log --path 'Trusted/**' --since yesterday --until yesterday", "yesterday in Trusted"},
                {"assayfs log --follow --format json | jq .event", "a stream for programs"},
                {"assayfs log --event open,rename --group interns --format csv >interns.csv", "a table of it"}, {0}},
        .exits = EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_log,
};
