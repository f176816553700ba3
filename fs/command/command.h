/*
 * command: the table of what `assayfs` can do, and the way from argv to one entry of it.
 *
 * A command is a row: its words ("policy apply"), what it is for, its options and operands, examples, the exit codes it
 * can give, and the function that runs it. Help, `--help --json`, the check of the man page and of the completion all
 * read the same rows, so that none of them can promise an option that isn't there.
 *
 *     assayfs policy apply --json rules/ /mnt
 *             '--words---' options '--operands'
 *
 * The run function finds its options by their long name, writes its answer to stdout and its troubles through
 * command_fail() to stderr, and returns an exit code.
 */
#pragma once

#include "fs/command/exit_codes.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define COMMAND_VALUES_MAX 256
/* More than there are in command_table. */
#define COMMANDS_MOST 96

struct command_option {
	const char *name;     /* the long name without dashes; NULL ends the list */
	char letter;          /* its short form, or 0 */
	const char *argument; /* what its argument is called in help; NULL: a switch */
	const char *help;     /* a phrase, beginning in lower case; NULL: in the man page only */
};

struct command_example {
	const char *line; /* as typed after the shell's prompt; NULL ends the list */
	const char *words;
};

struct invocation;

struct command {
	const char *words;    /* "policy apply" */
	const char *operands; /* "POLICYDIR [DIR]", "" when there are none */
	int least, most;      /* how many operands it takes */
	const char *summary;  /* one line, beginning in lower case, without a full stop */
	const char *details;  /* paragraphs for --help; may be NULL */
	const struct command_option *options;
	const struct command_example *examples;
	unsigned exits; /* EXIT_BIT() of every code beyond EXIT_DONE and EXIT_USAGE */
	int (*run)(const struct invocation *call);
};

struct invocation {
	const struct command *command;
	int operand_count;
	char **operands;
	struct {
		const struct command_option *option;
		const char *value; /* NULL for a switch */
	} values[COMMAND_VALUES_MAX];
	size_t value_count;
};

#define OPTION_JSON \
	{ "json", 0, NULL, "print JSON, for programs" }

/* All commands, in the order of `assayfs --help`. Ends with a row whose words are NULL. */
extern const struct command *const command_table[];

/* Every event that a record of the audit log can name; ends with NULL. */
extern const char *const log_events[];

/* Runs `assayfs ARGV…`: finds the command, parses, runs it. Returns the process's exit code. */
int command_main(int argc, char **argv);

/* Parses `argv` (argv[0] is the command's last word) into *ret_call. 0, or EXIT_USAGE after saying why on stderr, or
 * -ECANCELED when --help was asked for. The values point into argv. Not thread-safe (getopt). */
int command_parse(const struct command *command, int argc, char **argv, struct invocation *ret_call);

/* The command whose words begin argv; *ret_used says how many arguments they are. NULL if there is none. */
const struct command *command_find(int argc, char **argv, int *ret_used);

/* The command's words nearest to what was typed, NULL when nothing is near. */
const char *command_nearest(const char *typed);

/* Whether the option was given; its last value (NULL when not given); its operand number `n` (NULL beyond the last). */
bool command_has(const struct invocation *call, const char *name);
const char *command_value(const struct invocation *call, const char *name);
const char *command_operand(const struct invocation *call, int n);

/* A whole number from an option. 0 when the option is absent (the default stays in *ret_number), else as given;
 * EXIT_USAGE after saying so when it is no number from `least` to `most`. */
int command_number(const struct invocation *call, const char *name, unsigned long long least, unsigned long long most,
        unsigned long long *ret_number);

/* Says "assayfs CMD: words" in one line on stderr (control characters escaped) and returns `code`. */
int command_fail(const struct invocation *call, int code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* As command_fail for a failed call: "assayfs CMD: words: what fault_message() says". The exit code follows from `rc`:
 * -EKEYREJECTED 12, -EBUSY 4, -ENOTCONN 5, -EACCES and -EPERM 6, -ENOENT 1, -EINVAL, -ENOTTY and -EBADE 2, -EMEDIUMTYPE
 * 7, others 3. */
int command_fault(const struct invocation *call, int rc, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The exit code for a negative errno, as listed at command_fault(). */
int command_exit_of(int rc);

/* A remark on stderr, "assayfs CMD: words", that doesn't change the exit code. */
void command_note(const struct invocation *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints one JSON value and a line end. Takes over the caller's reference. Returns EXIT_DONE, or EXIT_UNDECIDED when
 * `value` is NULL (out of memory) or stdout can't be written. */
int command_print_json(const struct invocation *call, json_t *value);

/* `assayfs --help`, `assayfs CMD --help`, and the table as JSON (`assayfs help --json`). */
void command_help_all(FILE *out);
void command_help(FILE *out, const struct command *command);
json_t *command_help_json(void);
/* Whether commands begin with this word ("key"), and which. */
bool command_is_group(const char *word);
void command_help_group(FILE *out, const char *group);

extern const struct command command_init, command_mount, command_umount, command_sync, command_status, command_info,
        command_fsck, command_recover, command_policy_apply, command_policy_show, command_policy_suggest, command_check,
        command_scan, command_why, command_run, command_runs, command_quarantine_list, command_quarantine_show,
        command_quarantine_release, command_quarantine_drop, command_versions, command_restore, command_lineage,
        command_erase, command_gc, command_find_subject, command_log, command_log_summary, command_log_verify,
        command_log_key, command_log_prove, command_log_check_proof, command_log_archive, command_log_open,
        command_cost, command_grant, command_access, command_token_add, command_token_list, command_token_remove,
        command_alarm_list, command_alarm_history, command_alarm_test, command_alarm_silence, command_alarm_retry,
        command_alarm_drop, command_alarm_key, command_backup_add, command_backup_status, command_backup_verify,
        command_backup_remove, command_backup_sync, command_key_list, command_key_rotate, command_key_disable,
        command_key_enable, command_key_schedule_deletion, command_key_cancel_deletion, command_key_alias,
        command_key_add, command_key_remove, command_key_recipient_new, command_key_recipient_add, command_lock,
        command_unlock, command_help_row;
