/*
 * run_lines: workflows and their runs, as the mount tells them, in lines for a person.
 */
#pragma once

#include <jansson.h>

/* One run: its number, how it ended, its counts and why. */
void run_lines_print(const json_t *run);

/* Workflows with their next and last runs; nothing for an empty list. */
void run_lines_workflows(const json_t *workflows);

/* Runs, the newest first; says so when there are none. */
void run_lines_history(const json_t *runs);
