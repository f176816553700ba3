/*
 * secrets: the options by which a command gets what opens a vault, a passphrase or the recovery key, and the getting.
 */
#pragma once

#include "fs/command/command.h"
#include "fs/command/passphrase.h"

#include "backend/store.h"
#include "crypto/header.h"

#define OPTIONS_SECRET                                                                                 \
	{"passfile", 0, "FILE", "read the passphrase from FILE (should be readable by you alone)"},    \
	        {"extpass", 0, "COMMAND", "take the passphrase from COMMAND's output (run by sh -c)"}, \
	        {"recovery-key", 0, NULL, "ask for the recovery key instead of the passphrase"},       \
	        {"recovery-key-file", 0, "FILE", "read the recovery key from FILE instead"},           \
	        {"keyfile", 0, "FILE", "unlock by a key file: all bytes of FILE"}, {                   \
		"identity", 0, "FILE", "unlock by the secret that 'key recipient new' wrote into FILE" \
	}

/* Whether the options go together: 0, or EXIT_USAGE after saying what excludes what. */
int secrets_check(const struct invocation *call);

/* Gets the secret for `vault` as the options say, with its kind; ret_secret->bytes belong to *ret_bytes. 0; -errno with
 * fault() words (of passphrase_get). Call it while there is one thread. */
int secrets_get(
        const struct invocation *call, const char *vault, Passphrase **ret_bytes, struct store_secret *ret_secret);

/* The type of slot that a secret opens. */
enum slot_type secrets_slot_type(const struct store_secret *secret);

/* Gets a passphrase for a new vault: asked for twice on a terminal. As secrets_get. */
int secrets_get_new(const struct invocation *call, const char *vault, Passphrase **ret_secret);

/* Gets what a new slot is to be opened with: the bytes of --keyfile, else a new passphrase, of --new-passfile or asked
 * for twice. As secrets_get. */
int secrets_get_added(const struct invocation *call, const char *vault, Passphrase **ret_secret);
