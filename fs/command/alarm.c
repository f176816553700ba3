/* `assayfs alarm list`, `history`, `test`, `silence`, `key`. */
#include "fs/command/alarm.h"

#include "crypto/base/fault.h"
#include "fs/command/answer.h"
#include "fs/command/when.h"
#include "fs/words.h"

#include <stdlib.h>
#include <string.h>

static int take_item(void *context, const json_t *item) {
	return json_array_append(context, (json_t *)(uintptr_t)item) ? -ENOMEM : 0;
}

int alarm_ask(const struct invocation *call, int n, const char *command, json_t *arguments, json_t **ret_list) {
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	_cleanup_(json_decrefp) json_t *list = json_array();
	int code = client_open_operand(call, n, &place, &client);
	if (code) {
		json_decref(arguments);
		return code;
	}
	int rc = client_call(client, command, arguments, take_item, list);
	if (rc)
		return command_fault(call, rc, "asking the mount on %s", place.mountpoint);
	*ret_list = steal_pointer(&list);
	return EXIT_DONE;
}

/* ---- list ---- */

static const char *symbol(const char *comparison) {
	static const char *const words[][2] = {{"GreaterThanThreshold", ">"}, {"GreaterThanOrEqualToThreshold", ">="},
	        {"LessThanThreshold", "<"}, {"LessThanOrEqualToThreshold", "<="}};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(comparison, words[i][0]) == 0)
			return words[i][1];
	return "?";
}

static void add_row(Table *table, const json_t *alarm) {
	char since[WORDS_BYTES], until[WORDS_BYTES];
	const json_t *metric = json_array_get(json_object_get(alarm, "metrics"), 0);
	const char *dimensions = answer_text(metric, "dimensions");
	const char *expression = answer_text(alarm, "expression");
	int64_t silent = answer_time(alarm, "silent_until_ns");
	table_cell(table, answer_text(alarm, "name"));
	table_cell(table, answer_text(alarm, "state"));
	table_cell(table,
	        answer_time(alarm, "since_ns") ? words_time(answer_time(alarm, "since_ns"), since) : "not checked yet");
	table_cellf(table, "%s%s%s%s %s %.10g%s%s", *expression ? expression : answer_text(metric, "metric"),
	        *dimensions && !*expression ? "{" : "", *expression ? "" : dimensions,
	        *dimensions && !*expression ? "}" : "", symbol(answer_text(alarm, "comparison")),
	        json_number_value(json_object_get(alarm, "threshold")), *answer_text(alarm, "unit") ? " " : "",
	        answer_text(alarm, "unit"));
	if (!answer_flag(alarm, "enabled"))
		table_cell(table, "not enabled");
	else if (silent > when_now())
		table_cellf(table, "silent until %s", words_time(silent, until));
	else
		table_cell(table, "");
}

static int run_list(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *list = NULL;
	if (command_has(call, "dead") || command_has(call, "waiting"))
		return alarm_list_letters(call, command_has(call, "waiting"));
	int code = alarm_ask(call, 0, "alarm-list", json_object(), &list);
	if (code)
		return code;
	if (command_has(call, "json"))
		return command_print_json(call, json_pack("{s:O}", "alarms", list));
	if (json_array_size(list) == 0) {
		printf("The policy in force has no alarms.\n");
		return EXIT_DONE;
	}
	Table *table = table_new("Alarm|State|Since|Condition|");
	for (size_t i = 0; table && i < json_array_size(list); i++)
		add_row(table, json_array_get(list, i));
	int rc = table ? table_print(table, stdout) : -ENOMEM;
	table_free(table);
	return rc ? command_fail(call, EXIT_UNDECIDED, "out of memory") : EXIT_DONE;
}

/* ---- history ---- */

static void print_event(const json_t *event) {
	char time[WORDS_BYTES];
	const char *kind = answer_text(event, "kind");
	_cleanup_(freep) char *name = words_safe(answer_text(event, "name"));
	_cleanup_(freep) char *reason = words_safe(answer_text(event, "reason"));
	printf("%s  %s  ", words_time(answer_time(event, "time_ns"), time), name ? name : "?");
	if (strcmp(kind, "StateUpdate") == 0)
		printf("%s -> %s", answer_text(event, "before"), answer_text(event, "after"));
	else
		printf("%s", kind);
	printf("%s%s%s\n", answer_flag(event, "silent") ? "  (nobody was told)" : "", reason && *reason ? "  " : "",
	        reason ? reason : "");
	const json_t *actions = json_object_get(event, "actions");
	for (size_t i = 0; i < json_array_size(actions); i++) {
		const json_t *action = json_array_get(actions, i);
		_cleanup_(freep) char *target = words_safe(answer_text(action, "target"));
		_cleanup_(freep) char *error = words_safe(answer_text(action, "error"));
		const char *state = answer_text(action, "state");
		printf("    %s  %s%s%s\n", strcmp(state, "done") == 0 ? "delivered" : state, target ? target : "?",
		        error && *error ? ": " : "", error ? error : "");
	}
}

/* An alarm without a history, or a name that is none. */
static int nothing_changed(const struct invocation *call, const char *name, int place) {
	_cleanup_(json_decrefp) json_t *list = NULL;
	bool is_known = name == NULL;
	int code = alarm_ask(call, place, "alarm-list", json_object(), &list);
	for (size_t i = 0; !code && i < json_array_size(list); i++)
		is_known = is_known || strcmp(answer_text(json_array_get(list, i), "name"), name) == 0;
	if (!code && !is_known)
		return command_fail(call, EXIT_NO,
		        "there is no alarm '%s', and none of that name changed in the last 14 days", name);
	if (!code)
		printf("Nothing has changed in the last 14 days.\n");
	return code;
}

/* NAME and DIR may both be left out; one alone is DIR where there is a file of that name. */
static int run_history(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *list = NULL;
	const char *first = command_operand(call, 0);
	bool is_place = call->operand_count == 1 && access(first, F_OK) == 0;
	const char *name = is_place ? NULL : first;
	unsigned long long limit = 0;
	int code = command_number(call, "limit", 1, 10000, &limit);
	if (!code)
		code = alarm_ask(call, is_place ? 0 : 1, "alarm-history",
		        json_pack("{s:s*, s:I}", "name", name, "limit", (json_int_t)limit), &list);
	if (code)
		return code;
	if (command_has(call, "json"))
		return command_print_json(call, json_pack("{s:O}", "history", list));
	if (json_array_size(list) == 0)
		return nothing_changed(call, name, is_place ? 0 : 1);
	for (size_t i = 0; i < json_array_size(list); i++)
		print_event(json_array_get(list, i));
	return EXIT_DONE;
}

/* ---- test ---- */

static int run_test(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *list = NULL;
	bool is_delivered = true;
	int code = alarm_ask(call, 1, "alarm-test", json_pack("{s:s}", "name", command_operand(call, 0)), &list);
	if (code)
		return code;
	for (size_t i = 0; i < json_array_size(list); i++)
		is_delivered = is_delivered && answer_flag(json_array_get(list, i), "delivered");
	if (command_has(call, "json"))
		code = command_print_json(call, json_pack("{s:O}", "targets", list));
	for (size_t i = 0; !command_has(call, "json") && i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		_cleanup_(freep) char *target = words_safe(answer_text(item, "target"));
		_cleanup_(freep) char *words = words_safe(answer_text(item, "words"));
		printf("%s  %s: %s\n", answer_flag(item, "delivered") ? "delivered" : "FAILED   ",
		        target ? target : "?", words ? words : "?");
	}
	if (json_array_size(list) == 0)
		return command_fail(call, EXIT_NO, "the alarm tells nobody: it has no 'notify:'");
	return code ? code : is_delivered ? EXIT_DONE : EXIT_NO;
}

/* ---- silence ---- */

static int run_silence(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *list = NULL;
	const char *duration = command_value(call, "for"), *reason = command_value(call, "reason");
	char until[WORDS_BYTES];
	int64_t for_ns = 0;
	if (command_has(call, "off") == (duration != NULL))
		return command_fail(call, EXIT_USAGE, "say for how long: --for 2h; or --off");
	int rc = duration ? when_duration(duration, &for_ns) : 0;
	if (rc)
		return command_fault(call, rc, "reading --for");
	int code = alarm_ask(call, 1, "alarm-silence",
	        json_pack("{s:s, s:I, s:s*}", "name", command_operand(call, 0), "for_ns", (json_int_t)for_ns, "reason",
	                reason),
	        &list);
	if (code)
		return code;
	if (command_has(call, "json"))
		return command_print_json(call, json_incref(json_array_get(list, 0)));
	int64_t silent = answer_time(json_array_get(list, 0), "silent_until_ns");
	if (silent)
		printf("Nobody is told of it until %s; its history goes on.\n", words_time(silent, until));
	else
		printf("It speaks again.\n");
	return EXIT_DONE;
}

/* The present one on the first line. */
static void print_keys(const json_t *answer) {
	size_t i;
	json_t *item;
	printf("%s\n", answer_text(answer, "key"));
	json_array_foreach(json_object_get(answer, "previous"), i, item)
	        printf("%s  until %s\n", answer_text(item, "key"), answer_text(item, "until"));
}

static int run_key(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *list = NULL;
	int code = alarm_ask(call, 0, "alarm-key", json_object(), &list);
	if (!code && command_has(call, "json"))
		return command_print_json(call, json_incref(json_array_get(list, 0)));
	if (!code)
		print_keys(json_array_get(list, 0));
	return code;
}

#define EXITS_ASKED (EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED) | EXIT_BIT(EXIT_NO))

const struct command command_alarm_list = {
        .words = "alarm list",
        .operands = "[DIR]",
        .most = 1,
        .summary = "show the alarms of the policy and their states",
        .options = (const struct command_option[]){{"dead", 0, NULL, "notifications that could not be delivered"},
                {"waiting", 0, NULL, "notifications that are still to be delivered"}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs alarm list /mnt", "which of them are in ALARM"}, {0}},
        .exits = EXITS_ASKED,
        .run = run_list,
};

const struct command command_alarm_history = {
        .words = "alarm history",
        .operands = "[NAME] [DIR]",
        .most = 2,
        .summary = "show how alarms changed, and who was told",
        .details = "Newest first, of the last 14 days. A single argument that is a file or directory is DIR.",
        .options = (const struct command_option[]){{"limit", 'n', "COUNT", "no more than so many"}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs alarm history project-anilost2024-alarm /mnt",
                                                             "when the charges were too high"},
                {0}},
        .exits = EXITS_ASKED,
        .run = run_history,
};

const struct command command_alarm_test = {
        .words = "alarm test",
        .operands = "NAME [DIR]",
        .least = 1,
        .most = 2,
        .summary = "tell all targets of an alarm that this is a test",
        .details = "For stewards. Each target is tried once, and how it went is shown. The alarm's state stays.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs alarm test project-anilost2024-alarm /mnt",
                                                             "exit code 1 when one of them was not reached"},
                {0}},
        .exits = EXITS_ASKED,
        .run = run_test,
};

const struct command command_alarm_silence = {
        .words = "alarm silence",
        .operands = "NAME [DIR]",
        .least = 1,
        .most = 2,
        .summary = "tell nobody of an alarm for a while",
        .details = "For stewards. The alarm is watched on, and its history says what nobody was told of.",
        .options = (const struct command_option[]){{"for", 0, "TIME", "how long: 30m, 2h, 3d; a year at most"},
                {"off", 0, NULL, "it speaks again"}, {"reason", 0, "TEXT", "why, as the audit log keeps it"},
                OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs alarm silence full --for 2h --reason 'moving data' /mnt",
                                                             "until the move is done"},
                {0}},
        .exits = EXITS_ASKED,
        .run = run_silence,
};

const struct command command_alarm_key = {
        .words = "alarm key",
        .operands = "[DIR]",
        .most = 1,
        .summary = "print the public key that webhooks are signed with",
        .details =
                "As Standard Webhooks writes it (whpk_…), for whoever receives notifications. For 7 days after "
                "'assayfs "
                "key rotate audit' the one before signs as well, and follows on a line of its own with the time until "
                "then.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .exits = EXITS_ASKED,
        .run = run_key,
};
