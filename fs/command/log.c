/* `assayfs log`: the audit log, as text or as the very lines that were hashed. */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/command/when.h"
#include "fs/command/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

/* Every event that a record can name; tests/fs/cli/check_docs.py holds it against the sources. */
const char *const log_events[] = {"accept-restore", "access", "arrive", "attend", "capture", "chmod", "chown", "close",
        "create", "damage", "deliver", "erase", "find-subject", "gc", "getxattr", "init", "link", "lookup", "mkdir",
        "mknod", "mount", "open", "opendir", "policy-apply", "policy-foresee", "policy-recheck", "policy-show",
        "publish", "quarantine-drop", "quarantine-list", "quarantine-release", "quarantine-show", "read-log", "recover",
        "removexattr", "rename", "repair", "restore", "rmdir", "run", "setxattr", "supersede", "symlink", "truncate",
        "unlink", "unmount", "utimes", "verdict", "versions", "why", "withdraw", NULL};

/* ---- what is asked for ---- */

static int add_time(const struct invocation *call, json_t *arguments, const char *option, bool is_until) {
	const char *text = command_value(call, option);
	if (!text)
		return 0;
	struct when when;
	int rc = when_parse(text, when_now(), &when);
	if (rc) {
		(void)command_fault(call, rc, "reading --%s", option);
		return EXIT_USAGE;
	}
	json_object_set_new(arguments, option, json_integer(is_until ? when.last + 1 : when.first));
	return 0;
}

static int add_user(const struct invocation *call, json_t *arguments) {
	const char *text = command_value(call, "user");
	if (!text)
		return 0;
	char *end = NULL;
	errno = 0;
	unsigned long uid = strtoul(text, &end, 10);
	if (*text >= '0' && *text <= '9' && *end == '\0' && !errno && uid < UINT32_MAX) {
		json_object_set_new(arguments, "uid", json_integer((json_int_t)uid));
		return 0;
	}
	const struct passwd *entry = getpwnam(text);
	if (!entry)
		return command_fail(call, EXIT_USAGE, "there is no user '%s'; give a name or a uid", text);
	json_object_set_new(arguments, "uid", json_integer(entry->pw_uid));
	return 0;
}

/* A path of the file system is turned into the vault's; a pattern or a vault's path stays as it is. */
static int add_path(const struct invocation *call, json_t *arguments) {
	const char *text = command_value(call, "path");
	if (!text)
		return 0;
	struct client_place place;
	if (*text == '/' || strncmp(text, "./", 2) == 0 || strncmp(text, "../", 3) == 0) {
		int rc = client_locate(text, &place);
		if (rc)
			return command_fault(call, rc, "finding the vault of --path %s", text);
		text = place.path;
	}
	json_object_set_new(arguments, "path", wire_path(text));
	return 0;
}

static int add_words(const struct invocation *call, json_t *arguments) {
	static const char *const names[] = {"event", "outcome", "exe"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *text = command_value(call, names[i]);
		if (!text)
			continue;
		json_t *value = json_string(text);
		if (!value)
			return command_fail(call, EXIT_USAGE, "--%s %s is not UTF-8", names[i], text);
		json_object_set_new(arguments, names[i], value);
	}
	return 0;
}

static int list_events(const struct invocation *call, const char *typed) {
	char names[1024] = "";
	for (size_t i = 0, used = 0; log_events[i] && used < sizeof names; i++)
		used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", log_events[i]);
	return command_fail(call, EXIT_USAGE, "--event %s: the events are %s", typed, names);
}

/* A slip here would look as if nothing had happened. */
static int check_event(const struct invocation *call) {
	const char *typed = command_value(call, "event");
	for (size_t i = 0; typed && log_events[i]; i++)
		if (strcmp(typed, log_events[i]) == 0)
			return 0;
	return typed ? list_events(call, typed) : 0;
}

static int check_outcome(const struct invocation *call) {
	const char *typed = command_value(call, "outcome");
	if (!typed || strcmp(typed, "ok") == 0 || strcmp(typed, "denied") == 0 || strcmp(typed, "error") == 0)
		return 0;
	return command_fail(call, EXIT_USAGE, "--outcome %s: the outcomes are ok, denied and error", typed);
}

static int build_request(const struct invocation *call, json_t *arguments) {
	unsigned long long limit = 0;
	int code = check_event(call);
	if (!code)
		code = check_outcome(call);
	if (!code)
		code = add_time(call, arguments, "since", false);
	if (!code)
		code = add_time(call, arguments, "until", true);
	if (!code)
		code = add_user(call, arguments);
	if (!code)
		code = add_path(call, arguments);
	if (!code)
		code = add_words(call, arguments);
	if (!code)
		code = command_number(call, "limit", 1, 1000000000, &limit);
	if (!code && limit)
		json_object_set_new(arguments, "limit", json_integer((json_int_t)limit));
	if (command_has(call, "follow"))
		json_object_set_new(arguments, "follow", json_true());
	return code;
}

/* ---- what is answered ---- */

static bool parse_time(const char *text, int64_t *ret_ns) {
	struct when when;
	if (when_parse(text, 0, &when))
		return false;
	*ret_ns = when.first;
	return true;
}

static void print_safe(const char *text) {
	_cleanup_(freep) char *safe = words_safe(text);
	fputs(safe ? safe : "?", stdout);
}

static bool is_plain(const char *text) {
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			return false;
	return true;
}

/* A text of the record; where it is not UTF-8 it stands escaped already, as NAME_escaped (docs/audit-log.md). */
static bool print_field(const json_t *record, const char *name, const char *before) {
	char escaped_name[32];
	snprintf(escaped_name, sizeof escaped_name, "%s_escaped", name);
	const char *text = answer_text(record, name), *escaped = answer_text(record, escaped_name);
	if (!*text && !*escaped)
		return false;
	fputs(before, stdout);
	if (!*text && is_plain(escaped))
		fputs(escaped, stdout);
	else
		print_safe(*text ? text : escaped);
	return true;
}

/* 2026-11-23 10:15:02 CET  alice     write     ok      Landing/a.csv  1.4 MiB  [rsync 4711]  words */
static void print_text(const json_t *record) {
	char time[WORDS_BYTES] = "?", size[WORDS_BYTES], user[ANSWER_NAME_BYTES];
	int64_t time_ns;
	const json_t *time_value = json_object_get(record, "time");
	if (json_is_integer(time_value))
		words_time((int64_t)json_integer_value(time_value), time);
	else if (parse_time(answer_text(record, "time"), &time_ns))
		words_time(time_ns, time);
	const char *outcome = answer_text(record, "outcome");
	printf("%s  %-10s %-12s %-6s", time, answer_user(record, "uid", user), answer_text(record, "event"),
	        *outcome ? outcome : "ok");
	(void)print_field(record, "path", "  ");
	(void)print_field(record, "path2", " -> ");
	if (answer_number(record, "bytes"))
		printf("  %s", words_size(answer_number(record, "bytes"), size));
	if (print_field(record, "exe", "  ["))
		printf(" %" PRIu64 "]", answer_number(record, "pid"));
	if (answer_number(record, "errno"))
		printf("  %s", strerror((int)answer_number(record, "errno")));
	(void)print_field(record, "detail", "  ");
	putchar('\n');
}

struct printing {
	bool is_json, is_following;
	uint64_t count;
};

static int print_line(const struct printing *printing, const char *line) {
	if (printing->is_json) {
		puts(line); /* exactly the bytes that the log's tree hashes */
		return 0;
	}
	_cleanup_(json_decrefp) json_t *record = json_loads(line, 0, NULL);
	if (!record)
		return fault(EPROTO, "a record of the log is no JSON");
	print_text(record);
	return 0;
}

static int take_lines(void *context, const json_t *item) {
	struct printing *printing = context;
	size_t i;
	json_t *line;
	json_array_foreach(json_object_get(item, "lines"), i, line) {
		const char *text = json_string_value(line);
		int rc = text ? print_line(printing, text) : fault(EPROTO, "the mount's answer is malformed");
		if (rc)
			return rc;
		printing->count++;
	}
	if (printing->is_following && fflush(stdout) != 0)
		return fault_errno(errno, "writing to standard output");
	return 0;
}

static int wanted_format(const struct invocation *call, bool *ret_is_json) {
	const char *format = command_value(call, "format");
	bool is_json = format && strcmp(format, "json") == 0;
	if (format && !is_json && strcmp(format, "text") != 0)
		return command_fail(call, EXIT_USAGE, "--format %s: the formats are text and json", format);
	*ret_is_json = is_json || command_has(call, "json");
	return 0;
}

static int run_log(const struct invocation *call) {
	struct printing printing = {.is_following = command_has(call, "follow")};
	int code = wanted_format(call, &printing.is_json);
	if (code)
		return code;
	_cleanup_(json_decrefp) json_t *arguments = json_object();
	_cleanup_(client_closep) Client *client = NULL;
	code = arguments ? build_request(call, arguments) : command_fail(call, EXIT_UNDECIDED, "out of memory");
	if (!code)
		code = client_open_operand(call, 0, NULL, &client);
	if (code)
		return code;
	int rc = client_call(client, "log", steal_pointer(&arguments), take_lines, &printing);
	if (rc == -ECANCELED || (rc == -ECONNRESET && printing.is_following))
		return command_fail(call, EXIT_DONE, "the vault was unmounted: the end of what can be followed");
	return rc ? command_fault(call, rc, "reading the audit log") : EXIT_DONE;
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
                "tree holds.",
        .options = (const struct command_option[]){{"since", 0, "TIME", "only records from TIME on"},
                {"until", 0, "TIME", "only records up to TIME (a day: to its end)"},
                {"user", 0, "USER", "only what this user (name or uid) did"},
                {"path", 0, "PATH", "only what touched PATH"},
                {"event", 0, "EVENT",
                        "only this kind: open, create, close, rename, verdict, … (--event help lists them)"},
                {"outcome", 0, "OUTCOME", "only ok, denied or error"},
                {"exe", 0, "PROGRAM", "only what this program did"}, {"limit", 'n', "N", "only the last N of them"},
                {"follow", 'f', NULL, "go on with new records until interrupted"},
                {"format", 0, "FORMAT", "text (the default) or json, one record a line"},
                {"json", 0, NULL, "the same as --format json"}, {0}},
        .examples = (const struct command_example[]){{"assayfs log --since -1h --outcome denied",
                                                             "what was refused in the last hour"},
                {"assayfs log --path 'Trusted/**' --since yesterday --until yesterday", "yesterday in Trusted"},
                {"assayfs log --follow --format json | jq .event", "a stream for programs"}, {0}},
        .exits = EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_log,
};
