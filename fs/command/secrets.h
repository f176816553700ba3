/*
 * secrets: the options by which a command gets what opens a vault, a passphrase or the recovery key, and the getting.
 */
#pragma once

#include "fs/command/command.h"
#include "fs/command/passphrase.h"

#include <stdbool.h>

#define OPTIONS_SECRET                                                                                 \
	{"passfile", 0, "FILE", "read the passphrase from FILE (should be readable by you alone)"},    \
	        {"extpass", 0, "COMMAND", "take the passphrase from COMMAND's output (run by sh -c)"}, \
	        {"recovery-key", 0, NULL, "ask for the recovery key instead of the passphrase"}, {     \
		"recovery-key-file", 0, "FILE", "read the recovery key from FILE instead"              \
	}

#define OPTIONS_SECRET_COUNT 4

/* Gets the secret for `vault` as the options say. 0, or the exit code after saying why on stderr (EXIT_USAGE for
 * options that exclude each other, EXIT_UNDECIDED otherwise). *ret_is_recovery: it is the recovery key's text. */
int secrets_get(const struct invocation *call, const char *vault, Passphrase **ret_secret, bool *ret_is_recovery);

/* Gets a passphrase for a new vault: asked for twice on a terminal. */
int secrets_get_new(const struct invocation *call, const char *vault, Passphrase **ret_secret);
