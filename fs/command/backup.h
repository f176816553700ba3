/*
 * backup: what the commands `assayfs backup …` share.
 */
#pragma once

#include "fs/command/client.h"
#include "fs/command/command.h"

#define BACKUP_EXITS (EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED))

/* The operands [URL] [DIR]: *ret_url (NULL: not given) and which operand is DIR. 0, or EXIT_USAGE after saying why. */
int backup_operands(const struct invocation *call, const char **ret_url, int *ret_dir);

/* Asks the mount at operand `dir`. 0, or the exit code after saying what went wrong: EXIT_NO where the place refused,
 * or has what is another vault's. Takes over `arguments`. */
int backup_ask(const struct invocation *call, int dir, const char *command, json_t *arguments, client_item *item,
        void *context);
