/* `assayfs lock`, `assayfs unlock`. */
#include "fs/command/key.h"
#include "fs/command/key_kms.h"
#include "fs/command/secrets.h"
#include "fs/command/when.h"

#include "crypto/base/fault.h"
#include "crypto/process.h"

#include <errno.h>

static int run_lock(const struct invocation *call) {
	const char *after = command_value(call, "after");
	int64_t after_ms = 0;
	int rc = after ? when_idle(after, &after_ms) : 0;
	if (rc)
		return command_fail(call, EXIT_USAGE, "--after: %s", fault_message());
	if (after)
		return key_ask(call, 0, "lock-after", json_pack("{s:I}", "ms", (json_int_t)after_ms), NULL, NULL);
	return key_ask(call, 0, "lock", json_object(), NULL, NULL);
}

const struct command command_lock = {
        .words = "lock",
        .operands = "[DIR]",
        .most = 1,
        .summary = "take the keys of content out of memory; the mount stays",
        .details =
                "Reading and writing content fails with EACCES, what is open, too, until 'assayfs unlock'; each "
                "attempt is recorded. Names, sizes and the audit log stay. Programs may have copies of what they read. "
                "A steward by the policy decides, or who mounted.",
        .options = (const struct command_option[]){{"after", 0, "TIME",
                                                           "not now, but when no program has used content for so "
                                                           "long, as 15m; off: never"},
                {0}},
        .examples = (const struct command_example[]){{"assayfs lock /mnt", "going to lunch"},
                {"assayfs lock --after 15m /mnt", "and should you forget"}, {0}},
        .exits = KEY_EXITS,
        .run = run_lock,
};

/* A wrong secret would go unnoticed. */
static int take_answer(void *context, const json_t *item) {
	if (json_is_false(json_object_get(item, "was_locked")))
		command_note(context, "the vault is not locked; the secret was not looked at");
	return 0;
}

static int run_unlock(const struct invocation *call) {
	_cleanup_(passphrase_freep) Passphrase *bytes = NULL;
	struct store_secret secret;
	struct client_place place;
	int code = secrets_check(call);
	if (code)
		return code;
	int rc = client_locate(command_operand(call, 0), &place);
	if (!rc)
		rc = process_harden();
	if (!rc)
		rc = command_has(call, "kms") ? key_kms_unlock_mounted(&place, &bytes, &secret)
		                              : secrets_get(call, place.mountpoint, &bytes, &secret);
	if (rc)
		return command_fault(call, rc, "%s", "");
	struct invocation context = *call;
	return key_ask(call, 0, "unlock",
	        json_pack("{s:s, s:o, s:s*}", "type", slot_type_name(secrets_slot_type(&secret)), "secret",
	                key_secret_json(secret.bytes), "slot", secret.slot),
	        take_answer, &context);
}

const struct command command_unlock = {
        .words = "unlock",
        .operands = "[DIR]",
        .most = 1,
        .summary = "bring the keys of content back after 'assayfs lock'",
        .details =
                "With any passphrase, recovery key, key file or secret whose slot holds the keys that the mount had. "
                "A wrong one is recorded as denied. A steward by the policy decides, or who mounted.",
        .options = (const struct command_option[]){OPTIONS_SECRET, OPTION_KMS, {0}},
        .examples = (const struct command_example[]){{"assayfs unlock /mnt", "asks for the passphrase"}, {0}},
        .exits = KEY_EXITS | EXIT_BIT(EXIT_PASSPHRASE) | EXIT_BIT(EXIT_AWAY),
        .run = run_unlock,
};
