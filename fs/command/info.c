/* `assayfs info`: what a vault says of itself to whoever can read its header. */
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/command/vault.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* ---- the header ---- */

static int read_all(int fd, size_t size, char *out) {
	size_t done = 0;
	while (done < size) {
		ssize_t got = read(fd, out + done, size - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return fault_errno(got < 0 ? errno : EIO, "reading vault.json");
		done += (size_t)got;
	}
	return 0;
}

/* What stands where a vault's header does not. */
static int say_no_header(const char *vault) {
	char origin[PATH_MAX];
	struct stat about;
	if (stat(vault, &about) < 0)
		return fault(EMEDIUMTYPE, "there is no such directory");
	if (snprintf(origin, sizeof origin, "%s/origin", vault) < (int)sizeof origin && stat(origin, &about) == 0)
		return fault(
		        EMEDIUMTYPE, "a recovery of it was interrupted; the same 'assayfs recover' goes on with it");
	return fault(EMEDIUMTYPE, "there is no vault in it (no vault.json)");
}

static int open_header(const char *vault) {
	char path[PATH_MAX];
	if (snprintf(path, sizeof path, "%s/vault.json", vault) >= (int)sizeof path)
		return fault(ENAMETOOLONG, "the path is too long");
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a pipe is not waited for */
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return say_no_header(vault);
	return fd < 0 ? fault_errno(errno, "opening vault.json") : fd;
}

int vault_header_read(const char *vault, VaultHeader **ret_header) {
	_cleanup_(closep) int fd = open_header(vault);
	if (fd < 0)
		return fd;
	struct stat about;
	if (fstat(fd, &about) < 0)
		return fault_errno(errno, "looking at vault.json");
	if (!S_ISREG(about.st_mode) || about.st_size <= 0 || (uint64_t)about.st_size > HEADER_BYTES_MAX)
		return fault(EMEDIUMTYPE, "vault.json is no header of a vault");
	size_t size = (size_t)about.st_size;
	_cleanup_(freep) char *text = malloc(size);
	if (!text)
		return fault(ENOMEM, "reading vault.json: out of memory");
	int rc = read_all(fd, size, text);
	if (!rc)
		rc = header_parse(bytes_of(text, size), ret_header);
	if (rc == -EINVAL || rc == -ENOTSUP || rc == -EFBIG) {
		char words[FAULT_MESSAGE_BYTES];
		snprintf(words, sizeof words, "%s", fault_message());
		return fault(EMEDIUMTYPE, "%s", words);
	}
	return rc;
}

/* ---- printing ---- */

/* A process of ours answers for it. */
static bool is_answered(const VaultHeader *header) {
	struct client_place *place = calloc(1, sizeof *place);
	_cleanup_(client_closep) Client *client = NULL;
	if (!place)
		return false;
	place->mounter = geteuid();
	snprintf(place->vault_id, sizeof place->vault_id, "%s", header_vault_id_text(header));
	bool is_connected = client_connect(place, &client) == 0;
	free(place);
	return is_connected;
}

/* Whoever uses a vault holds a lock on its directory, also another user's process or one in a container. Looking at
 * it takes the lock for a moment, shared. */
static bool is_locked(const char *vault) {
	_cleanup_(closep) int fd = open(vault, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static json_t *slots_json(const VaultHeader *header) {
	json_t *list = json_array();
	for (size_t i = 0; i < header_slot_count(header); i++) {
		struct slot_info slot;
		if (header_slot(header, i, &slot))
			break;
		json_array_append_new(
		        list, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:b}", "id", slot.id, "type",
		                      slot_type_name(slot.type), "label", slot.label, "argon2id_memory",
		                      (json_int_t)slot.kdf.memory, "argon2id_passes", (json_int_t)slot.kdf.passes,
		                      "keys", (json_int_t)slot.key_count, "limited", (int)slot.is_limited));
	}
	return list;
}

static json_t *keys_json(const VaultHeader *header) {
	json_t *list = json_array();
	for (size_t i = 0; i < header_key_count(header); i++) {
		struct key_info key;
		if (header_key(header, i, &key))
			break;
		json_array_append_new(list,
		        json_pack("{s:s, s:I, s:s, s:s}", "name", key.name, "version", (json_int_t)key.version, "kind",
		                key.kind == KEY_SECRET ? "secret" : "ed25519", "state", key_state_name(key.state)));
	}
	return list;
}

static json_t *header_json(const VaultHeader *header, const char *vault) {
	return json_pack("{s:s, s:I, s:s, s:I, s:I, s:b, s:b, s:o, s:o}", "vault", header_vault_id_text(header),
	        "format", (json_int_t)header_format(header), "cipher", aead_cipher_name(header_cipher(header)),
	        "created", (json_int_t)header_created(header), "generation", (json_int_t)header_generation(header),
	        "mounted", (int)is_answered(header), "in_use", (int)is_locked(vault), "slots", slots_json(header),
	        "keys", keys_json(header));
}

static void print_slots(const VaultHeader *header) {
	_cleanup_(table_freep) Table *table = table_new("Slot|Type|Label|>Keys|Argon2id");
	for (size_t i = 0; table && i < header_slot_count(header); i++) {
		struct slot_info slot;
		char words[WORDS_BYTES];
		if (header_slot(header, i, &slot))
			break;
		table_cellf(table, "%.8s", slot.id);
		table_cell(table, slot_type_name(slot.type));
		table_cell(table, slot.label);
		table_cellf(table, slot.is_limited ? "%zu, limited" : "%zu", slot.key_count);
		if (slot.kdf.memory)
			table_cellf(table, "%s, %" PRIu64 " pass%s", words_size(slot.kdf.memory, words),
			        slot.kdf.passes, slot.kdf.passes == 1 ? "" : "es");
		else
			table_cell(table, "");
	}
	if (table)
		(void)table_print(table, stdout);
}

static void print_header(const VaultHeader *header, const char *vault) {
	char words[WORDS_BYTES];
	printf("Vault    %s\n", header_vault_id_text(header));
	printf("Format   %" PRIu32 "\n", header_format(header));
	printf("Cipher   %s\n", aead_cipher_name(header_cipher(header)));
	printf("Made     %s\n", words_time(header_created(header) * INT64_C(1000000000), words));
	uint64_t changes = header_generation(header);
	printf("Header   changed %" PRIu64 " time%s\n", changes, words_s(changes));
	printf("Mounted  %s\n\n",
	        is_answered(header) ? "yes"
	        : is_locked(vault)  ? "in use by another process: a mount of another user or in a container, or fsck"
	                            : "no");
	print_slots(header);
	printf("\nKeys:");
	for (size_t i = 0; i < header_key_count(header); i++) {
		struct key_info key;
		if (header_key(header, i, &key) == 0)
			printf(" %s.%" PRIu32 "%s%s%s", key.name, key.version, key.state == KEY_ACTIVE ? "" : " (",
			        key.state == KEY_ACTIVE ? "" : key_state_name(key.state),
			        key.state == KEY_ACTIVE ? "" : ")");
	}
	printf("\nNothing of this is proven without the passphrase: 'assayfs fsck VAULT' does that.\n");
}

static int run_info(const struct invocation *call) {
	const char *vault = command_operand(call, 0);
	_cleanup_(header_freep) VaultHeader *header = NULL;
	int rc = vault_header_read(vault, &header);
	if (rc)
		return command_fault(call, rc, "%s", vault);
	if (command_has(call, "json"))
		return command_print_json(call, header_json(header, vault));
	print_header(header, vault);
	return EXIT_DONE;
}

const struct command command_info = {
        .words = "info",
        .operands = "VAULT",
        .least = 1,
        .most = 1,
        .summary = "say what a vault is, without its secret",
        .details = "Id, format, cipher, who can unlock it and which keys there are, as its header says. The header is "
                   "public; "
                   "whether it is authentic shows only when the vault is unlocked.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs info /srv/vault", "its header"}, {0}},
        .exits = EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_A_VAULT),
        .run = run_info,
};
