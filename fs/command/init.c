/* `assayfs init`: a new vault. */
#include "fs/command/command.h"
#include "fs/command/secrets.h"
#include "fs/command/vault.h"
#include "fs/words.h"

#include "backend/store.h"
#include "crypto/base/fault.h"
#include "crypto/process.h"
#include "crypto/secret.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int read_options(const struct invocation *call, struct store_init_options *options) {
	unsigned long long kibibytes = 0, passes = 0;
	int code = command_number(call, "argon-mem", 8, 4 << 20, &kibibytes);
	if (!code)
		code = command_number(call, "argon-ops", 1, 1000000, &passes);
	options->argon_memory = (uint64_t)kibibytes << 10;
	options->argon_passes = (uint32_t)passes;
	options->without_recovery = command_has(call, "no-recovery-key");
	const char *cipher = command_value(call, "cipher");
	if (code || !cipher)
		return code;
	enum aead_cipher chosen;
	if (aead_cipher_from_name(cipher, &chosen) < 0)
		return command_fail(
		        call, EXIT_USAGE, "--cipher %s: the ciphers are aes-256-gcm and xchacha20-poly1305", cipher);
	options->cipher = (int)chosen;
	return 0;
}

static void print_made(const VaultHeader *header, const char *vault, const char *recovery) {
	struct slot_info slot;
	char words[WORDS_BYTES];
	_cleanup_(freep) char *safe = words_safe(vault);
	printf("Vault %s made in %s (%s", header_vault_id_text(header), safe ? safe : "?",
	        aead_cipher_name(header_cipher(header)));
	if (header_slot(header, 0, &slot) == 0 && slot.kdf.memory)
		printf("; Argon2id with %s, %" PRIu64 " pass%s", words_size(slot.kdf.memory, words), slot.kdf.passes,
		        slot.kdf.passes == 1 ? "" : "es");
	printf(").\n");
	if (*recovery)
		printf("\nThe recovery key, shown this once:\n\n    %s\n\n"
		       "Write it down and keep it away from this machine: it opens the vault when the passphrase is "
		       "lost,\n"
		       "and nobody can make it again.\n",
		        recovery);
	_cleanup_(freep) char *quoted = words_shell(vault);
	printf("\nNext: assayfs mount %s DIR\n", quoted ? quoted : "VAULT");
}

static int report(const struct invocation *call, const char *vault, const char *recovery) {
	_cleanup_(header_freep) VaultHeader *header = NULL;
	int rc = vault_header_read(vault, &header);
	if (rc)
		return command_fault(call, rc, "reading the new vault %s", vault);
	if (!command_has(call, "json")) {
		print_made(header, vault, recovery);
		return EXIT_DONE;
	}
	return command_print_json(
	        call, json_pack("{s:s, s:s, s:s?}", "vault", header_vault_id_text(header), "cipher",
	                      aead_cipher_name(header_cipher(header)), "recovery_key", *recovery ? recovery : NULL));
}

static int run_init(const struct invocation *call) {
	const char *vault = command_operand(call, 0);
	struct store_init_options options = {0};
	_cleanup_(passphrase_freep) Passphrase *passphrase = NULL;
	int code = secrets_check(call);
	if (!code)
		code = read_options(call, &options);
	if (code)
		return code;
	int rc = process_harden();
	if (rc)
		return command_fault(call, rc, "protecting the passphrase's memory");
	rc = secrets_get_new(call, vault, &passphrase);
	if (rc)
		return command_fault(call, rc, "getting the new passphrase");
	char recovery[STORE_RECOVERY_TEXT_BYTES] = "";
	rc = store_init(vault, passphrase_bytes(passphrase), &options, recovery);
	if (rc == -ENOTEMPTY || rc == -EEXIST) {
		(void)command_fault(call, rc, "making a vault in %s", vault);
		return EXIT_NO;
	}
	code = rc ? command_fault(call, rc, "making a vault in %s", vault) : report(call, vault, recovery);
	secret_wipe(recovery, sizeof recovery);
	return code;
}

const struct command command_init = {
        .words = "init",
        .operands = "VAULT",
        .least = 1,
        .most = 1,
        .summary = "make a vault in a new or empty directory",
        .details = "Asks for a passphrase twice and prints a recovery key once. The passphrase's key derivation "
                   "(Argon2id) is "
                   "measured to take about a second here with 256 MiB of memory.",
        .options = (const struct command_option[]){{"passfile", 0, "FILE", "read the new passphrase from FILE"},
                {"extpass", 0, "COMMAND", "take it from COMMAND's output (run by sh -c)"},
                {"no-recovery-key", 0, NULL, "make no recovery key: a lost passphrase is a lost vault"},
                {"cipher", 0, "CIPHER", "aes-256-gcm or xchacha20-poly1305 (default: what is fast here)"},
                {"argon-mem", 0, "KIB", NULL}, {"argon-ops", 0, "PASSES", NULL}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs init /srv/vault", "asks for a passphrase"},
                {"assayfs init --extpass 'pass show vault' /srv/vault", "from a password manager"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED),
        .run = run_init,
};
