#include "fs/command/command.h"

#include "crypto/base/cleanup.h"
#include "fs/words.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	int code;
	const char *name;
	const char *words;
} exit_codes[] = {
#define X(name, number, words) {number, #name, words},
        ASSAYFS_EXIT_CODES(X)
#undef X
};

#define EXIT_CODE_COUNT (sizeof exit_codes / sizeof exit_codes[0])

static unsigned exits_of(const struct command *command) {
	return command->exits | EXIT_BIT(EXIT_DONE) | EXIT_BIT(EXIT_USAGE);
}

void command_help_all(FILE *out) {
	fprintf(out, "Usage: assayfs COMMAND [OPTION…] [ARGUMENT…]\n\n"
	             "An encrypted, versioned directory whose Trusted/ shows only files that passed their checks.\n\n"
	             "Commands:\n");
	for (size_t i = 0; command_table[i]; i++) {
		const struct command *command = command_table[i];
		fprintf(out, "  %s%s%s", command->words, *command->operands ? " " : "", command->operands);
		int width = 2 + (int)(words_width(command->words) + words_width(command->operands)) +
		            (*command->operands != '\0');
		fprintf(out, "%*s%s\n", width < 36 ? 36 - width : 2, "", command->summary);
	}
	fprintf(out, "\nDIR is a mounted vault or any path in it; without one it is where you stand.\n"
	             "'assayfs COMMAND --help' says more, and 'man assayfs' all of it.\n");
}

/* Prints `text` at column 0 of a paragraph, filled to 78 columns. A newline in it ends a paragraph. */
static void print_filled(FILE *out, const char *text, int indent) {
	int column = 0;
	while (*text) {
		size_t length = strcspn(text, " \n");
		if (column > 0 && column + 1 + (int)length > 78) {
			fputc('\n', out);
			column = 0;
		}
		column += fprintf(out, "%*s%.*s", column == 0 ? indent : 1, "", (int)length, text);
		text += length;
		if (*text == '\n') {
			fputc('\n', out);
			column = 0;
		}
		if (*text)
			text++;
	}
	fputc('\n', out);
}

static void print_option(FILE *out, const struct command_option *option) {
	char shape[64];
	int length = option->letter ? snprintf(shape, sizeof shape, "-%c, --%s", option->letter, option->name)
	                            : snprintf(shape, sizeof shape, "    --%s", option->name);
	if (option->argument && length > 0 && (size_t)length < sizeof shape)
		snprintf(shape + length, sizeof shape - (size_t)length, " %s", option->argument);
	int width = (int)words_width(shape);
	fprintf(out, "  %s%*s %s\n", shape, width < 32 ? 32 - width : 0, "", option->help);
}

static void print_examples(FILE *out, const struct command *command) {
	if (!command->examples)
		return;
	fprintf(out, "\nExamples:\n");
	for (size_t i = 0; command->examples[i].line; i++)
		fprintf(out, "  $ %s\n      %s\n", command->examples[i].line, command->examples[i].words);
}

void command_help(FILE *out, const struct command *command) {
	fprintf(out, "Usage: assayfs %s [OPTION…]%s%s\n\n", command->words, *command->operands ? " " : "",
	        command->operands);
	print_filled(out, command->summary, 0);
	if (command->details) {
		fputc('\n', out);
		print_filled(out, command->details, 0);
	}
	fprintf(out, "\nOptions:\n");
	for (size_t i = 0; command->options && command->options[i].name; i++)
		if (command->options[i].help)
			print_option(out, &command->options[i]);
	print_option(out, &(struct command_option){"help", 'h', NULL, "print this help"});
	print_examples(out, command);
	fprintf(out, "\nExit codes:\n");
	for (size_t i = 0; i < EXIT_CODE_COUNT; i++)
		if (exits_of(command) & EXIT_BIT(exit_codes[i].code))
			fprintf(out, "  %2d  %s\n", exit_codes[i].code, exit_codes[i].words);
}

static json_t *options_json(const struct command *command) {
	json_t *list = json_array();
	for (size_t i = 0; command->options && command->options[i].name; i++) {
		const struct command_option *option = &command->options[i];
		char letter[2] = {option->letter, '\0'};
		json_array_append_new(list, json_pack("{s:s, s:s, s:s?, s:s?}", "name", option->name, "letter", letter,
		                                    "argument", option->argument, "help", option->help));
	}
	return list;
}

static json_t *exits_json(unsigned exits) {
	json_t *list = json_array();
	for (size_t i = 0; i < EXIT_CODE_COUNT; i++)
		if (exits & EXIT_BIT(exit_codes[i].code))
			json_array_append_new(list,
			        json_pack("{s:i, s:s}", "code", exit_codes[i].code, "words", exit_codes[i].words));
	return list;
}

json_t *command_help_json(void) {
	json_t *commands = json_array();
	for (size_t i = 0; command_table[i]; i++) {
		const struct command *command = command_table[i];
		json_array_append_new(
		        commands, json_pack("{s:s, s:s, s:s, s:o, s:o}", "command", command->words, "operands",
		                          command->operands, "summary", command->summary, "options",
		                          options_json(command), "exits", exits_json(exits_of(command))));
	}
	json_t *events = json_array();
	for (size_t i = 0; log_events[i]; i++)
		json_array_append_new(events, json_string(log_events[i]));
	return json_pack("{s:s, s:o, s:o, s:o}", "version", ASSAYFS_VERSION, "commands", commands, "exits",
	        exits_json(~0U), "events", events);
}

static int run_help(const struct invocation *call) {
	if (command_has(call, "json"))
		return command_print_json(call, command_help_json());
	if (call->operand_count == 0) {
		command_help_all(stdout);
		return EXIT_DONE;
	}
	int used = 0;
	const struct command *command = command_find(call->operand_count, call->operands, &used);
	if (!command && call->operand_count == 1 && command_is_group(call->operands[0])) {
		command_help_group(stdout, call->operands[0]);
		return EXIT_DONE;
	}
	if (!command)
		return command_fail(
		        call, EXIT_USAGE, "there is no command '%s'; 'assayfs --help' lists them", call->operands[0]);
	command_help(stdout, command);
	return EXIT_DONE;
}

const struct command command_help_row = {
        .words = "help",
        .operands = "[COMMAND]",
        .most = 2,
        .summary = "say what a command does",
        .options = (const struct command_option[]){{"json", 0, NULL, "print the whole table of commands as JSON"}, {0}},
        .exits = 0,
        .run = run_help,
};
