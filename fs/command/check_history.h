/* check_history: `check --history FILE`, the metrics of earlier checks for rules that look back. */
#pragma once

#include "fs/command/command.h"

#include "policy/history_file.h"

/* Reads what --history names, for these rules, and gives it to the job. Without the option: nothing, and *ret_history
 * is NULL. It must live as long as the job. 0, or -errno with words. */
int check_history_read(
        const struct invocation *call, struct bytes rules, struct check_job *job, HistoryFile **ret_history);
