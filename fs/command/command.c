#include "fs/command/command.h"
#include "fs/command/key_kms.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"
#include "crypto/base/spelling.h"
#include "fs/control_wire.h"
#include "fs/words.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 24
#define WORD_HELP 'h'
#define WORD_BYTES 96

static size_t count_options(const struct command *command) {
	size_t count = 0;
	while (command->options && command->options[count].name)
		count++;
	return count;
}

static const char *words_of(const struct invocation *call) {
	return call->command->words;
}

/* ---- finding the command ---- */

/* How many words of argv the command's words match from the start; 0 when they don't. */
static int match_words(const char *words, int argc, char **argv) {
	int used = 0;
	while (*words) {
		size_t length = strcspn(words, " ");
		if (used >= argc || strlen(argv[used]) != length || strncmp(argv[used], words, length) != 0)
			return 0;
		used++;
		words += length;
		words += strspn(words, " ");
	}
	return used;
}

const struct command *command_find(int argc, char **argv, int *ret_used) {
	const struct command *found = NULL;
	int longest = 0;
	for (size_t i = 0; command_table[i]; i++) {
		int used = match_words(command_table[i]->words, argc, argv);
		if (used > longest) {
			longest = used;
			found = command_table[i];
		}
	}
	if (found)
		*ret_used = longest;
	return found;
}

const char *command_nearest(const char *typed) {
	const char *words[COMMANDS_MOST];
	size_t count = 0;
	for (; command_table[count] && count < COMMANDS_MOST; count++)
		words[count] = command_table[count]->words;
	return spelling_nearest(typed, words, count);
}

/* ---- reading its options ---- */

struct getopt_tables {
	struct option longs[OPTIONS_MAX + 2];
	char shorts[3 * OPTIONS_MAX + 4];
};

/* Long options answer with 256 + their row, short ones with their letter. */
static void build_tables(const struct command *command, struct getopt_tables *ret_tables) {
	memset(ret_tables, 0, sizeof *ret_tables);
	size_t used = 0;
	ret_tables->shorts[used++] = ':';
	ret_tables->shorts[used++] = WORD_HELP;
	size_t count = count_options(command);
	for (size_t i = 0; i < count && i < OPTIONS_MAX; i++) {
		const struct command_option *option = &command->options[i];
		ret_tables->longs[i] = (struct option){
		        option->name, option->argument ? required_argument : no_argument, NULL, 256 + (int)i};
		if (option->letter) {
			ret_tables->shorts[used++] = option->letter;
			if (option->argument)
				ret_tables->shorts[used++] = ':';
		}
	}
	ret_tables->longs[count] = (struct option){"help", no_argument, NULL, WORD_HELP};
}

static const struct command_option *option_of(const struct command *command, int answer) {
	if (answer >= 256)
		return &command->options[answer - 256];
	for (size_t i = 0; command->options && command->options[i].name; i++)
		if (command->options[i].letter == answer)
			return &command->options[i];
	return NULL;
}

static int usage_fault(const struct invocation *call, const char *words, const char *what) {
	return command_fail(call, EXIT_USAGE, "%s '%s' (usage: assayfs %s%s%s%s; see assayfs %s --help)", words, what,
	        words_of(call), count_options(call->command) ? " [OPTION…]" : "", *call->command->operands ? " " : "",
	        call->command->operands, words_of(call));
}

static int check_operands(const struct invocation *call) {
	if (call->operand_count < call->command->least)
		return usage_fault(call, "something is missing after", words_of(call));
	if (call->operand_count > call->command->most)
		return usage_fault(call, "one argument too many:", call->operands[call->command->most]);
	return 0;
}

static int take_option(struct invocation *call, const struct command_option *option) {
	if (call->value_count == COMMAND_VALUES_MAX)
		return command_fail(call, EXIT_USAGE, "more than %d options", COMMAND_VALUES_MAX);
	call->values[call->value_count].option = option;
	call->values[call->value_count++].value = option->argument ? optarg : NULL;
	return 0;
}

/* A letter in a cluster (-fx) is named alone; everything else is the argument that getopt has just left. */
static int bad_option(const struct invocation *call, int answer, char **argv) {
	char letter[3] = {'-', (char)optopt, '\0'};
	bool is_letter = answer == '?' && optopt > 0 && optopt < 256 && optopt != WORD_HELP;
	return usage_fault(call, answer == ':' ? "an argument is missing after" : "no such option:",
	        is_letter ? letter : argv[optind - 1]);
}

int command_parse(const struct command *command, int argc, char **argv, struct invocation *ret_call) {
	struct getopt_tables tables;
	build_tables(command, &tables);
	*ret_call = (struct invocation){.command = command};
	opterr = 0;
	optind = 0; /* glibc: begin anew, for tests that parse many times */
	for (;;) {
		int answer = getopt_long(argc, argv, tables.shorts, tables.longs, NULL);
		if (answer == -1)
			break;
		if (answer == WORD_HELP)
			return -ECANCELED;
		const struct command_option *option = option_of(command, answer);
		if (!option)
			return bad_option(ret_call, answer, argv);
		int rc = take_option(ret_call, option);
		if (rc)
			return rc;
	}
	ret_call->operands = argv + optind;
	ret_call->operand_count = argc - optind;
	return check_operands(ret_call);
}

bool command_has(const struct invocation *call, const char *name) {
	for (size_t i = 0; i < call->value_count; i++)
		if (strcmp(call->values[i].option->name, name) == 0)
			return true;
	return false;
}

const char *command_value(const struct invocation *call, const char *name) {
	const char *value = NULL;
	for (size_t i = 0; i < call->value_count; i++)
		if (strcmp(call->values[i].option->name, name) == 0)
			value = call->values[i].value;
	return value;
}

const char *command_operand(const struct invocation *call, int n) {
	return n < call->operand_count ? call->operands[n] : NULL;
}

int command_number(const struct invocation *call, const char *name, unsigned long long least, unsigned long long most,
        unsigned long long *ret_number) {
	const char *text = command_value(call, name);
	if (!text)
		return 0;
	char *end = NULL;
	errno = 0;
	unsigned long long number = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text < '0' || *text > '9' || number < least || number > most)
		return command_fail(
		        call, EXIT_USAGE, "--%s %s: give a whole number from %llu to %llu", name, text, least, most);
	*ret_number = number;
	return 0;
}

/* ---- saying what went wrong ---- */

/* Whether `words` holds `thing` as a word, or as the end of a path. */
static bool names(const char *words, size_t length, const char *thing) {
	size_t size = strlen(thing);
	for (size_t i = 0; size && i + size <= length; i++) {
		bool begins = i == 0 || strchr(" '/", words[i - 1]);
		bool ends = i + size == length || strchr(" ':;,", words[i + size]);
		if (begins && ends && strncmp(words + i, thing, size) == 0)
			return true;
	}
	return false;
}

/* "making a vault in X: making vault X: X is not empty" tells one thing three times: what was being done to an operand
 * goes when what follows names it again. Returns where the text that says each thing once begins. */
static const char *undoubled(const struct invocation *call, const char *text) {
	for (const char *colon; (colon = strstr(text, ": ")) != NULL;) {
		const char *rest = colon + 2;
		size_t length = (size_t)(colon - text);
		bool is_said_again = strncmp(text, rest, length) == 0;
		for (int i = 0; i < call->operand_count && !is_said_again; i++)
			is_said_again =
			        names(text, length, call->operands[i]) && names(rest, strlen(rest), call->operands[i]);
		if (!is_said_again)
			break;
		text = rest;
	}
	return text;
}

__attribute__((format(printf, 3, 0))) static void say(
        const struct invocation *call, const char *tail, const char *format, va_list list) {
	char text[2 * FAULT_MESSAGE_BYTES];
	int length = vsnprintf(text, sizeof text, format, list);
	if (length >= 0 && (size_t)length < sizeof text && tail)
		snprintf(text + length, sizeof text - (size_t)length, "%s%s", length ? ": " : "", tail);
	_cleanup_(freep) char *safe = words_safe(tail ? undoubled(call, text) : text);
	(void)fflush(stdout); /* so that a terminal shows them in the order they happened */
	fprintf(stderr, "assayfs %s: %s\n", words_of(call), safe ? safe : "out of memory");
}

int command_fail(const struct invocation *call, int code, const char *format, ...) {
	va_list list;
	va_start(list, format);
	say(call, NULL, format, list);
	va_end(list);
	return code;
}

void command_note(const struct invocation *call, const char *format, ...) {
	va_list list;
	va_start(list, format);
	say(call, NULL, format, list);
	va_end(list);
}

int command_exit_of(int rc) {
	switch (-rc) {
	case 0:
		return EXIT_DONE;
	case EKEYREJECTED:
		return EXIT_PASSPHRASE;
	case EBUSY:
		return EXIT_BUSY;
	case KEY_KMS_AWAY:
		return EXIT_AWAY;
	case ENOTCONN:
		return EXIT_NOT_MOUNTED;
	case EACCES:
	case EPERM:
		return EXIT_DENIED;
	case ENOENT: /* what was named is not there */
	case ENOTDIR:
	case EROFS: /* refused: the vault is mounted read-only */
		return EXIT_NO;
	case EISDIR: /* a directory where a file is meant */
	case EINVAL:
	case ENOTTY: /* no terminal to ask at, and no other source given */
	case EBADE:  /* two passphrases typed that differ */
		return EXIT_USAGE;
	case EMEDIUMTYPE:
		return EXIT_NOT_A_VAULT;
	default:
		return EXIT_UNDECIDED;
	}
}

int command_fault(const struct invocation *call, int rc, const char *format, ...) {
	char why[FAULT_MESSAGE_BYTES];
	snprintf(why, sizeof why, "%s", *fault_message() ? fault_message() : strerror(-rc));
	va_list list;
	va_start(list, format);
	say(call, why, format, list);
	va_end(list);
	return command_exit_of(rc);
}

int command_print_json(const struct invocation *call, json_t *value) {
	if (!value)
		return command_fail(call, EXIT_UNDECIDED, "printing JSON: out of memory");
	int rc = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	json_decref(value);
	putchar('\n');
	if (rc || ferror(stdout))
		return command_fail(call, EXIT_UNDECIDED, "printing JSON: standard output can't be written");
	return EXIT_DONE;
}

/* ---- main ---- */

static bool is_in_group(const char *words, const char *group) {
	size_t length = strlen(group);
	return length && strncmp(words, group, length) == 0 && words[length] == ' ';
}

bool command_is_group(const char *word) {
	for (size_t i = 0; command_table[i]; i++)
		if (is_in_group(command_table[i]->words, word))
			return true;
	return false;
}

/* What is typed after the group's word, if anything, is none of its commands. */
static int group_fault(const char *group, const char *typed) {
	char words[WORD_BYTES];
	(void)snprintf(words, sizeof words, "%s %.40s", group, typed ? typed : "");
	const char *nearest = typed ? command_nearest(words) : NULL;
	_cleanup_(freep) char *safe = words_safe(words);
	if (typed)
		fprintf(stderr, "assayfs %s: there is no command '%s'", group, safe ? safe : "?");
	if (nearest && is_in_group(nearest, group)) {
		fprintf(stderr, "; did you mean 'assayfs %s'?\n", nearest);
		return EXIT_USAGE;
	}
	if (typed)
		fprintf(stderr, "; it is one of:");
	else
		fprintf(stderr, "assayfs %s: say what to do, one of:", group);
	for (size_t i = 0; command_table[i]; i++)
		if (is_in_group(command_table[i]->words, group))
			fprintf(stderr, " '%s'", command_table[i]->words);
	fprintf(stderr, "\n");
	return EXIT_USAGE;
}

void command_help_group(FILE *out, const char *group) {
	fprintf(out, "Usage: assayfs %s COMMAND [OPTION…] [ARGUMENT…]\n\n", group);
	for (size_t i = 0; command_table[i]; i++)
		if (is_in_group(command_table[i]->words, group))
			fprintf(out, "  assayfs %s --help\n", command_table[i]->words);
}

static int unknown_command(char **argv) {
	const char *word = argv[0];
	if (command_is_group(word) && argv[1] && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		command_help_group(stdout, word);
		return EXIT_DONE;
	}
	if (command_is_group(word))
		return group_fault(word, argv[1]);
	_cleanup_(freep) char *safe = words_safe(word);
	const char *nearest = command_nearest(word);
	fprintf(stderr, "assayfs: there is no command '%s'", safe ? safe : "?");
	if (nearest)
		fprintf(stderr, "; did you mean 'assayfs %s'?\n", nearest);
	else
		fprintf(stderr, "; 'assayfs --help' lists them\n");
	return EXIT_USAGE;
}

static int finish(const struct invocation *call, int code) {
	if (fflush(stdout) != 0 || ferror(stdout))
		return command_fail(call, EXIT_UNDECIDED, "writing the answer to standard output: %s", strerror(errno));
	return code;
}

int command_main(int argc, char **argv) {
	(void)setlocale(LC_CTYPE, "");
	wire_wipe_json();
	if (argc < 2) {
		command_help_all(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		command_help_all(stdout);
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		puts("assayfs " ASSAYFS_VERSION);
		return EXIT_DONE;
	}
	int used = 0;
	const struct command *command = command_find(argc - 1, argv + 1, &used);
	if (!command)
		return unknown_command(argv + 1);
	struct invocation call;
	int rc = command_parse(command, argc - used, argv + used, &call);
	if (rc == -ECANCELED) {
		command_help(stdout, command);
		return EXIT_DONE;
	}
	return rc ? rc : finish(&call, command->run(&call));
}
