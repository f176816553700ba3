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

/* Whether the options go together: 0, or EXIT_USAGE after saying what excludes what. */
int secrets_check(const struct invocation *call);

/* Gets the secret for `vault` as the options say. 0; -errno with fault() words (of passphrase_get). *ret_is_recovery:
 * it is the recovery key's text. Call it while there is one thread. */
int secrets_get(const struct invocation *call, const char *vault, Passphrase **ret_secret, bool *ret_is_recovery);

/* Gets a passphrase for a new vault: asked for twice on a terminal. As secrets_get. */
int secrets_get_new(const struct invocation *call, const char *vault, Passphrase **ret_secret);
