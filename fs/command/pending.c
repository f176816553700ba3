/* Commands whose floor is still being built: they say so. */
#include "fs/command/command.h"
#include "fs/command/secrets.h"

static int run_pending(const struct invocation *call) {
	return command_fail(call, EXIT_UNDECIDED, "not built into this version yet");
}

#define PENDING(row, line, shape, low, high, text) \
	const struct command row = {.words = line, \
	        .operands = shape,                 \
	        .least = low,                      \
	        .most = high,                      \
	        .summary = text,                   \
	        .exits = EXIT_BIT(EXIT_UNDECIDED), \
	        .run = run_pending}

PENDING(command_init, "init", "VAULT", 1, 1, "make a vault");
PENDING(command_mount, "mount", "VAULT DIR", 2, 2, "mount a vault");
PENDING(command_fsck, "fsck", "VAULT", 1, 1, "hold every byte of a vault to account");
