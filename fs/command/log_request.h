/*
 * log_request: what is wanted of the audit log, from a command's options to the mount's question
 * (fs/service/log_question.h). A slip in it would look as if nothing had happened, so each is told with what would be
 * right.
 */
#pragma once

#include "fs/command/command.h"

/* Rows of a command's options. */
#define LOG_REQUEST_OPTIONS                                                                                        \
	{"since", 0, "TIME", "only records from TIME on"},                                                         \
	        {"until", 0, "TIME", "only records up to TIME (a day: to its end)"},                               \
	        {"user", 0, "USER", "only what this user (name or uid) did"},                                      \
	        {"group", 0, "GROUP", "only what was done with this group (name or gid), the process's own one"},  \
	        {"path", 0, "PATH", "only what touched PATH"},                                                     \
	        {"event", 0, "EVENT[,...]",                                                                        \
	                "only these kinds: open, create, close, rename, verdict, … (--event help lists them)"},    \
	        {"outcome", 0, "OUTCOME", "only ok, denied or error"},                                             \
	        {"exe", 0, "PROGRAM", "only what this program did"},                                               \
	        {"pid", 0, "PID", "only what the process with this number did"}, {                                 \
		"node", 0, "N", "only what touched the file with this number (a record's node), whatever its name" \
	}

/* Fills `arguments`, an object, from those options, and --limit and --follow where the command has them. 0, or the exit
 * code after saying what is wrong. */
int log_request_build(const struct invocation *call, json_t *arguments);

/* Notes on stderr what an item or a summary says of records that were pruned ("pruned_before"), if it does. */
void log_request_note_pruned(const struct invocation *call, const json_t *item);
