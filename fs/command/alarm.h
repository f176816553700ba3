/*
 * alarm: what the commands `assayfs alarm …` share.
 */
#pragma once

#include "fs/command/client.h"
#include "fs/command/command.h"

/* Asks the mount at operand `n`, and gathers the items. 0 with the list, or the exit code after saying what went wrong.
 * Takes over `arguments`. */
int alarm_ask(const struct invocation *call, int n, const char *command, json_t *arguments, json_t **ret_list);

/* `assayfs alarm list --dead` and --waiting: the notifications of that state. */
int alarm_list_letters(const struct invocation *call, bool is_waiting);
