#include "fs/command/secrets.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>

static void warn(void *context, const char *words) {
	command_note(context, "warning: %s", words);
}

static int get(const struct invocation *call, struct passphrase_source *source, Passphrase **ret_secret) {
	struct invocation context = *call;
	source->warn = warn;
	source->context = &context;
	int rc = passphrase_get(source, ret_secret);
	if (!rc)
		return 0;
	int code = rc == -ENOTTY || rc == -EBADE ? EXIT_USAGE : EXIT_UNDECIDED;
	(void)command_fault(call, rc, "getting the %s", "secret that opens the vault");
	return code;
}

int secrets_get(const struct invocation *call, const char *vault, Passphrase **ret_secret, bool *ret_is_recovery) {
	const char *recovery_file = command_value(call, "recovery-key-file");
	bool is_recovery = recovery_file || command_has(call, "recovery-key");
	bool is_passphrase = command_has(call, "passfile") || command_has(call, "extpass");
	if (is_recovery && is_passphrase)
		return command_fail(
		        call, EXIT_USAGE, "give either a passphrase's source or the recovery key's, not both");
	if (command_has(call, "passfile") && command_has(call, "extpass"))
		return command_fail(call, EXIT_USAGE, "give either --passfile or --extpass, not both");
	char prompt[256];
	snprintf(prompt, sizeof prompt, "%s of vault %.200s: ", is_recovery ? "Recovery key" : "Passphrase", vault);
	struct passphrase_source source = {
	        .passfile = is_recovery ? recovery_file : command_value(call, "passfile"),
	        .extpass = is_recovery ? NULL : command_value(call, "extpass"),
	        .prompt = prompt,
	};
	*ret_is_recovery = is_recovery;
	return get(call, &source, ret_secret);
}

int secrets_get_new(const struct invocation *call, const char *vault, Passphrase **ret_secret) {
	if (command_has(call, "passfile") && command_has(call, "extpass"))
		return command_fail(call, EXIT_USAGE, "give either --passfile or --extpass, not both");
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
