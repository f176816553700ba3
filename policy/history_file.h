/*
 * history_file: the metrics of earlier checks as JSON lines, for rules that look back where there is no vault.
 *
 *     {"name":"Dataset.*.RowCount","value":1200}      the oldest first; names as a result's metrics have them
 *     {"name":"Dataset.*.RowCount","value":1250}      (of a rule with a where clause: NAME where "CLAUSE")
 *
 * Of what the rules look back on, as many values are kept as they ask for; the rest is read and forgotten.
 */
#pragma once

#include "policy/check.h"

#define HISTORY_LINE_MAX 65536u

typedef struct HistoryFile HistoryFile;

/* For the series that these rules look back on; of rules that can't be parsed: none, as their check says so. -ENOMEM.
 */
int history_file_new(struct bytes rules, HistoryFile **ret_history);
void history_file_free(HistoryFile *history);
DEFINE_CLEANUP(HistoryFile, history_file_free);

/* Takes the next line, without its end; an empty one is none. -EBADMSG with words that name the line. */
int history_file_line(HistoryFile *history, struct bytes line);

/* Gives the job its history, which is the HistoryFile's. */
int history_file_give(HistoryFile *history, struct check_job *job);
