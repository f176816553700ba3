/* `assayfs log open`: archives of the audit log, read and verified without the mount: vault.json and a secret do. */
#include "fs/command/command.h"
#include "fs/command/key_kms.h"
#include "fs/command/secrets.h"
#include "fs/command/vault.h"
#include "fs/words.h"

#include "backend/audit_archive.h"
#include "backend/vault_io.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "crypto/process.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MOST 4096

struct opening {
	const struct invocation *call;
	VaultHeader *header;
	Keyring *keyring;
	json_t *list; /* --verify --json */
};

static int read_archive(const char *path, uint8_t **ret_file, size_t *ret_size) {
	_cleanup_(vault_io_closep) VaultIo *directory = NULL;
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	_cleanup_(freep) char *above = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	if (!above)
		return fault(ENOMEM, "out of memory");
	int rc = vault_io_open(above, &directory);
	return rc ? rc : vault_io_read_all(directory, name, AUDIT_ARCHIVE_BYTES_MAX, ret_file, ret_size);
}

static int print_line(void *arg, uint64_t seq, struct bytes line) {
	(void)arg;
	(void)seq;
	bool is_done = fwrite(line.data, 1, line.size, stdout) == line.size && putchar('\n') != EOF;
	return is_done ? 0 : fault_errno(errno ? errno : EIO, "writing to standard output");
}

static int add_json(const struct opening *o, const char *path, const struct audit_archive_head *head) {
	char root[BASE64_TEXT_BYTES(MERKLE_HASH_BYTES)], times[2][WORDS_BYTES];
	_cleanup_(freep) char *safe = words_safe(path);
	base64_encode(bytes_of(head->root, sizeof head->root), root);
	json_t *item = json_pack("{s:s, s:I, s:I, s:s, s:s, s:I, s:s}", "file", safe ? safe : "?", "first",
	        (json_int_t)head->first, "last", (json_int_t)(head->end - 1), "oldest",
	        words_time_utc(head->oldest, times[0]), "newest", words_time_utc(head->newest, times[1]), "tree_size",
	        (json_int_t)head->size, "root", root);
	return json_array_append_new(o->list, item) ? fault(ENOMEM, "out of memory") : 0;
}

static int print_head(const char *path, const struct audit_archive_head *head) {
	char root[BASE64_TEXT_BYTES(MERKLE_HASH_BYTES)], times[2][WORDS_BYTES];
	_cleanup_(freep) char *safe = words_safe(path);
	base64_encode(bytes_of(head->root, sizeof head->root), root);
	printf("%s: whole; records %" PRIu64 " to %" PRIu64 ", %s to %s, in the tree of %" PRIu64
	       " records with root %s\n",
	        safe ? safe : "?", head->first, head->end - 1, words_time(head->oldest, times[0]),
	        words_time(head->newest, times[1]), head->size, root);
	return 0;
}

/* First all of it is verified; nothing is printed of a file that is not whole. */
static int open_one(const struct opening *o, const char *path) {
	_cleanup_(freep) uint8_t *file = NULL;
	size_t size = 0;
	struct audit_archive_head head;
	int rc = read_archive(path, &file, &size);
	if (!rc)
		rc = audit_archive_open(
		        bytes_of(file, size), o->keyring, header_vault_id(o->header), NULL, NULL, &head);
	if (rc)
		return rc;
	if (!command_has(o->call, "verify"))
		return audit_archive_open(bytes_of(file, size), o->keyring, NULL, print_line, NULL, &head);
	return o->list ? add_json(o, path, &head) : print_head(path, &head);
}

static int open_all(struct opening *o) {
	int code = EXIT_DONE;
	for (int i = 1; i < o->call->operand_count; i++) {
		const char *path = o->call->operands[i];
		int rc = open_one(o, path);
		if (rc == -EBADMSG || rc == -EFBIG)
			code = command_fail(o->call, EXIT_NO, "%s: %s", path, fault_message());
		else if (rc)
			return command_fault(o->call, rc, "%s", path);
	}
	return code;
}

static int unlock(struct opening *o, const char *vault) {
	_cleanup_(passphrase_freep) Passphrase *bytes = NULL;
	struct store_secret secret;
	int rc = vault_header_read(vault, &o->header);
	if (!rc)
		rc = process_harden();
	if (!rc)
		rc = secrets_get(o->call, vault, &bytes, &secret);
	if (rc)
		return rc;
	const struct slot_secret slot = {
	        .type = secrets_slot_type(&secret), .value = secret.bytes, .slot = secret.slot};
	return header_unlock(o->header, &slot, &o->keyring);
}

static int run_log_open(const struct invocation *call) {
	struct opening o = {.call = call};
	const char *vault = command_operand(call, 0);
	int code = secrets_check(call);
	if (code)
		return code;
	if (command_has(call, "json") && !command_has(call, "verify"))
		return command_fail(call, EXIT_USAGE, "--json goes with --verify; the records are JSON lines anyway");
	if (command_has(call, "json") && !(o.list = json_array()))
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	int rc = unlock(&o, vault);
	code = rc ? command_fault(call, rc, "%s", vault) : open_all(&o);
	if (o.list && !rc && command_print_json(call, json_pack("{s:O}", "archives", o.list)))
		code = EXIT_UNDECIDED;
	json_decref(o.list);
	keyring_free(o.keyring);
	header_free(o.header);
	return code;
}

const struct command command_log_open = {
        .words = "log open",
        .operands = "VAULT FILE…",
        .least = 2,
        .most = FILES_MOST,
        .summary = "print the records of archives of the log",
        .details =
                "For files that 'assayfs log archive' made, in the vault or where they were copied to. Of VAULT only "
                "vault.json is needed, mounted or not. Each file is verified first: its seals, and that its records "
                "are those of the log's hash tree; nothing is printed of one that was changed. The records are JSON "
                "lines, exactly the bytes that the tree holds.\n"
                "--verify prints instead what each file holds, and size and root of the tree that it proves its "
                "records to be in.",
        .options = (const struct command_option[]){{"verify", 0, NULL, "verify, and print no records"}, OPTIONS_SECRET,
                OPTION_KMS, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs log open /srv/vault /srv/logs/*.sealed | jq .event",
                                                             "all that was shipped"},
                {"assayfs log open --verify /srv/vault /srv/vault/audit/*", "whether it is whole"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_DENIED) | EXIT_BIT(EXIT_NOT_A_VAULT) |
                 EXIT_BIT(EXIT_PASSPHRASE) | EXIT_BIT(EXIT_AWAY),
        .run = run_log_open,
};
