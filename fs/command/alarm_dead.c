/* `assayfs alarm list --dead`, `retry`, `drop`: notifications that could not be delivered. */
#include "fs/command/alarm.h"

#include "crypto/base/cleanup.h"
#include "fs/command/answer.h"
#include "fs/words.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int alarm_list_letters(const struct invocation *call, bool is_waiting) {
	_cleanup_(json_decrefp) json_t *list = NULL;
	int code = alarm_ask(call, 0, "alarm-dead", json_pack("{s:b}", "waiting", (int)is_waiting), &list);
	if (code)
		return code;
	if (command_has(call, "json"))
		return command_print_json(call, json_pack("{s:O}", "notifications", list));
	if (json_array_size(list) == 0)
		printf(is_waiting ? "Nothing waits to be delivered.\n"
		                  : "Everything could be delivered, or still waits.\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		char time[WORDS_BYTES], due[WORDS_BYTES];
		_cleanup_(freep) char *name = words_safe(answer_text(item, "name"));
		_cleanup_(freep) char *target = words_safe(answer_text(item, "target"));
		_cleanup_(freep) char *error = words_safe(answer_text(item, "error"));
		printf("%" PRIu64 "  %s  %s  %s, %" PRIu64 " attempts%s%s%s%s\n", answer_number(item, "id"),
		        words_time(answer_time(item, "time_ns"), time), name ? name : "?", target ? target : "?",
		        answer_number(item, "attempts"), is_waiting ? ", next " : "",
		        is_waiting ? words_time(answer_time(item, "due_ns"), due) : "", error && *error ? ": " : "",
		        error ? error : "");
	}
	return EXIT_DONE;
}

/* A number, or --all; and then perhaps DIR. */
static int change_dead(const struct invocation *call, const char *command, const char *done) {
	_cleanup_(json_decrefp) json_t *list = NULL;
	bool is_all = command_has(call, "all");
	const char *text = is_all ? "0" : command_operand(call, 0);
	char *end = NULL;
	long long id = text ? strtoll(text, &end, 10) : 0;
	if (is_all && call->operand_count > 1)
		return command_fail(call, EXIT_USAGE, "--all, or the number of one, not both");
	if (!text || *end || end == text || id < 0 || (!is_all && id == 0))
		return command_fail(
		        call, EXIT_USAGE, "give the number of a notification ('assayfs alarm list --dead'), or --all");
	int code = alarm_ask(call, is_all ? 0 : 1, command, json_pack("{s:I}", "id", (json_int_t)id), &list);
	if (code)
		return code;
	uint64_t count = answer_number(json_array_get(list, 0), "count");
	printf("%" PRIu64 " notification%s %s.\n", count, words_s(count), done);
	return EXIT_DONE;
}

static int run_retry(const struct invocation *call) {
	return change_dead(call, "alarm-retry", "to be delivered anew");
}

static int run_drop(const struct invocation *call) {
	return change_dead(call, "alarm-drop", "dropped");
}

#define EXITS (EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED) | EXIT_BIT(EXIT_NO))

const struct command command_alarm_retry = {
        .words = "alarm retry",
        .operands = "[ID] [DIR]",
        .most = 2,
        .summary = "deliver again what could not be delivered",
        .details = "For stewards. ID is the number in 'assayfs alarm list --dead'.",
        .options = (const struct command_option[]){{"all", 0, NULL, "all of them"}, {0}},
        .examples = (const struct command_example[]){{"assayfs alarm retry --all /mnt", "the receiver is there again"},
                {0}},
        .exits = EXITS,
        .run = run_retry,
};

const struct command command_alarm_drop = {
        .words = "alarm drop",
        .operands = "[ID] [DIR]",
        .most = 2,
        .summary = "give up what could not be delivered",
        .details = "For stewards. ID is the number in 'assayfs alarm list --dead'.",
        .options = (const struct command_option[]){{"all", 0, NULL, "all of them"}, {0}},
        .exits = EXITS,
        .run = run_drop,
};
