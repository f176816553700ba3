#include "fs/command/secrets.h"

#include "crypto/base/fault.h"

#include <stdio.h>

static void warn(void *context, const char *words) {
	const struct invocation *call = context;
	command_note(call, "warning: %s", words);
}

static int get(const struct invocation *call, struct passphrase_source *source, Passphrase **ret_secret) {
	struct invocation context = *call;
	source->warn = warn;
	source->context = &context;
	return passphrase_get(source, ret_secret);
}

static bool wants_recovery_key(const struct invocation *call) {
	return command_has(call, "recovery-key-file") || command_has(call, "recovery-key");
}

int secrets_check(const struct invocation *call) {
	bool is_passphrase = command_has(call, "passfile") || command_has(call, "extpass");
	if (wants_recovery_key(call) && is_passphrase)
		return command_fail(
		        call, EXIT_USAGE, "give either a passphrase's source or the recovery key's, not both");
	if (command_has(call, "passfile") && command_has(call, "extpass"))
		return command_fail(call, EXIT_USAGE, "give either --passfile or --extpass, not both");
	return 0;
}

int secrets_get(const struct invocation *call, const char *vault, Passphrase **ret_secret, bool *ret_is_recovery) {
	bool is_recovery = wants_recovery_key(call);
	char prompt[256];
	snprintf(prompt, sizeof prompt, "%s of vault %.200s: ", is_recovery ? "Recovery key" : "Passphrase", vault);
	struct passphrase_source source = {
	        .passfile = command_value(call, is_recovery ? "recovery-key-file" : "passfile"),
	        .extpass = is_recovery ? NULL : command_value(call, "extpass"),
	        .prompt = prompt,
	};
	*ret_is_recovery = is_recovery;
	return get(call, &source, ret_secret);
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
