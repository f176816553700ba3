/* `assayfs fsck`, whose floor is still being built: it says so. */
#include "fs/command/command.h"
#include "fs/command/secrets.h"
#include "fs/command/vault.h"

static int run_fsck(const struct invocation *call) {
	return command_fail(call, EXIT_UNDECIDED, "not built into this version yet");
}

const struct command command_fsck = {
        .words = "fsck",
        .operands = "VAULT",
        .least = 1,
        .most = 1,
        .summary = "hold every byte of an unmounted vault to account",
        .details = "Keys, database, segments, references, versions, verdicts and the audit log. Names each file of the "
                   "vault that "
                   "is damaged, and the user's file that it belongs to. Exits with 1 when something was found.",
        .options = (const struct command_option[]){{"repair", 0, NULL, "repair what can be repaired without loss"},
                OPTIONS_SECRET, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs fsck /srv/vault", "asks for the passphrase"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_BUSY) | EXIT_BIT(EXIT_DENIED) |
                 EXIT_BIT(EXIT_NOT_A_VAULT) | EXIT_BIT(EXIT_PASSPHRASE),
        .run = run_fsck,
};
