#include "fs/command/log_request.h"

#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/user.h"
#include "fs/command/when.h"
#include "fs/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	uid_t uid;
	int code = user_find(call, text, &uid);
	if (!code)
		json_object_set_new(arguments, "uid", json_integer((json_int_t)uid));
	return code;
}

static int add_group(const struct invocation *call, json_t *arguments) {
	const char *text = command_value(call, "group");
	if (!text)
		return 0;
	gid_t gid;
	int code = user_find_group(call, text, &gid);
	if (!code)
		json_object_set_new(arguments, "gid", json_integer((json_int_t)gid));
	return code;
}

static int add_number(const struct invocation *call, json_t *arguments, const char *name, unsigned long long most) {
	unsigned long long number = 0;
	int code = command_number(call, name, 1, most, &number);
	if (!code && number)
		json_object_set_new(arguments, name, json_integer((json_int_t)number));
	return code;
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
	static const char *const names[] = {"outcome", "exe"};
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

static int list_events(const struct invocation *call, const char *typed, size_t size) {
	char names[2048] = "";
	for (size_t i = 0, used = 0; log_events[i] && used < sizeof names; i++)
		used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", log_events[i]);
	return command_fail(call, EXIT_USAGE, "--event %.*s: the events are %s", (int)size, typed, names);
}

static bool is_event(const char *typed, size_t size) {
	for (size_t i = 0; log_events[i]; i++)
		if (strlen(log_events[i]) == size && memcmp(typed, log_events[i], size) == 0)
			return true;
	return false;
}

/* A slip here would look as if nothing had happened. */
static int add_events(const struct invocation *call, json_t *arguments) {
	const char *typed = command_value(call, "event");
	if (!typed)
		return 0;
	json_t *events = json_array();
	json_object_set_new(arguments, "event", events);
	for (bool goes_on = true; goes_on;) {
		size_t size = strcspn(typed, ",");
		if (!is_event(typed, size))
			return list_events(call, typed, size);
		if (json_array_append_new(events, json_stringn(typed, size)))
			return command_fail(call, EXIT_UNDECIDED, "out of memory");
		goes_on = typed[size] == ',';
		typed += size + goes_on;
	}
	return 0;
}

static int check_outcome(const struct invocation *call) {
	const char *typed = command_value(call, "outcome");
	if (!typed || strcmp(typed, "ok") == 0 || strcmp(typed, "denied") == 0 || strcmp(typed, "error") == 0)
		return 0;
	return command_fail(call, EXIT_USAGE, "--outcome %s: the outcomes are ok, denied and error", typed);
}

void log_request_note_pruned(const struct invocation *call, const json_t *item) {
	char time[WORDS_BYTES];
	if (json_object_get(item, "pruned_before"))
		command_note(call, "records from before %s are in archives only (assayfs log archive --list)",
		        words_time(answer_time(item, "pruned_before"), time));
}

/* What no record can be in would look as if nothing had happened. */
static int check_times(const struct invocation *call, const json_t *arguments) {
	const json_t *since = json_object_get(arguments, "since"), *until = json_object_get(arguments, "until");
	if (until && command_has(call, "follow"))
		return command_fail(call, EXIT_USAGE,
		        "--follow goes on with new records, --until ends with old ones; give one of them");
	if (since && until && json_integer_value(since) >= json_integer_value(until))
		return command_fail(call, EXIT_USAGE, "--since %s is later than --until %s; give the earlier one first",
		        command_value(call, "since"), command_value(call, "until"));
	return 0;
}

int log_request_build(const struct invocation *call, json_t *arguments) {
	int code = add_events(call, arguments);
	if (!code)
		code = check_outcome(call);
	if (!code)
		code = add_time(call, arguments, "since", false);
	if (!code)
		code = add_time(call, arguments, "until", true);
	if (!code)
		code = check_times(call, arguments);
	if (!code)
		code = add_user(call, arguments);
	if (!code)
		code = add_group(call, arguments);
	if (!code)
		code = add_path(call, arguments);
	if (!code)
		code = add_words(call, arguments);
	if (!code)
		code = add_number(call, arguments, "pid", INT32_MAX);
	if (!code)
		code = add_number(call, arguments, "node", INT64_MAX);
	if (!code)
		code = add_number(call, arguments, "limit", 1000000000);
	if (!code && command_has(call, "follow"))
		json_object_set_new(arguments, "follow", json_true());
	return code;
}
