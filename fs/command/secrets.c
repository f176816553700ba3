#include "fs/command/secrets.h"

#include "crypto/base/fault.h"
#include "fs/command/key_kms.h"

#include <stdio.h>

static void warn(void *context, const char *words) {
	const struct invocation *call = context;
	command_note(call, "warning: %s", words);
}

static int get(const struct invocation *call, struct passphrase_source *source, Passphrase **ret_secret) {
	struct invocation context = *call;
	source->warn = warn;
	source->context = &context;
	int rc = passphrase_get(source, ret_secret);
	return rc == -EFBIG ? -EINVAL : rc; /* it is no secret, as one that is too short is none */
}

static bool wants_recovery_key(const struct invocation *call) {
	return command_has(call, "recovery-key-file") || command_has(call, "recovery-key");
}

int secrets_check(const struct invocation *call) {
	bool is_passphrase = command_has(call, "passfile") || command_has(call, "extpass");
	int ways = wants_recovery_key(call) + is_passphrase + command_has(call, "keyfile") +
	           command_has(call, "identity") + command_has(call, "kms");
	if (wants_recovery_key(call) && is_passphrase && ways == 2)
		return command_fail(
		        call, EXIT_USAGE, "give either a passphrase's source or the recovery key's, not both");
	if (ways > 1)
		return command_fail(call, EXIT_USAGE,
		        "give one of a passphrase's source, the recovery key's, --keyfile, --identity and --kms, not "
		        "more");
	if (command_has(call, "passfile") && command_has(call, "extpass"))
		return command_fail(call, EXIT_USAGE, "give either --passfile or --extpass, not both");
	return 0;
}

int secrets_get(
        const struct invocation *call, const char *vault, Passphrase **ret_bytes, struct store_secret *ret_secret) {
	if (command_has(call, "kms"))
		return key_kms_unlock(vault, ret_bytes, ret_secret);
	bool is_recovery = wants_recovery_key(call);
	const char *identity = command_value(call, "identity"), *keyfile = command_value(call, "keyfile");
	char prompt[256];
	snprintf(prompt, sizeof prompt, "%s of vault %.200s: ", is_recovery ? "Recovery key" : "Passphrase", vault);
	struct passphrase_source source = {
	        .keyfile = keyfile,
	        .passfile = identity ? identity : command_value(call, is_recovery ? "recovery-key-file" : "passfile"),
	        .extpass = is_recovery ? NULL : command_value(call, "extpass"),
	        .what = identity      ? "the identity's file"
	                : is_recovery ? "the recovery key's file"
	                              : NULL,
	        .prompt = prompt,
	        .instead = is_recovery ? "--recovery-key-file FILE" : NULL,
	};
	int rc = get(call, &source, ret_bytes);
	if (rc)
		return rc;
	*ret_secret = (struct store_secret){.bytes = passphrase_bytes(*ret_bytes)};
	ret_secret->kind = keyfile       ? STORE_KEYFILE
	                   : identity    ? STORE_RECIPIENT
	                   : is_recovery ? STORE_RECOVERY_KEY
	                                 : STORE_PASSPHRASE;
	return 0;
}

enum slot_type secrets_slot_type(const struct store_secret *secret) {
	switch (secret->kind) {
	case STORE_RECOVERY_KEY:
		return SLOT_RECOVERY;
	case STORE_KEYFILE:
		return SLOT_KEYFILE;
	case STORE_RECIPIENT:
		return SLOT_RECIPIENT;
	case STORE_KEK:
		return SLOT_KMS;
	case STORE_PASSPHRASE:
	default:
		return SLOT_PASSPHRASE;
	}
}

int secrets_get_new(const struct invocation *call, const char *vault, Passphrase **ret_secret) {
	char prompt[256];
	snprintf(prompt, sizeof prompt, "New passphrase for vault %.200s: ", vault);
	struct passphrase_source source = {
	        .passfile = command_value(call, "passfile"),
	        .extpass = command_value(call, "extpass"),
	        .prompt = prompt,
	        .twice = true,
	};
	return get(call, &source, ret_secret);
}

int secrets_get_added(const struct invocation *call, const char *vault, Passphrase **ret_secret) {
	char prompt[256];
	snprintf(prompt, sizeof prompt, "One more passphrase for vault %.200s: ", vault);
	struct passphrase_source source = {
	        .keyfile = command_value(call, "keyfile"),
	        .passfile = command_value(call, "new-passfile"),
	        .prompt = prompt,
	        .instead = "--new-passfile FILE, or another kind of slot (--recovery, --keyfile, --recipient, --kms)",
	        .twice = true,
	};
	return get(call, &source, ret_secret);
}
