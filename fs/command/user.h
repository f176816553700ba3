/* user: a user or group that a command is told of, by name or number. */
#pragma once

#include "fs/command/command.h"

#include <sys/types.h>

/* The number of a user. 0, or EXIT_USAGE after saying that there is none. Not thread-safe (getpwnam). */
int user_find(const struct invocation *call, const char *text, uid_t *ret_uid);

/* The same of a group. */
int user_find_group(const struct invocation *call, const char *text, gid_t *ret_gid);
