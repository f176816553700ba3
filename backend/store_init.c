/* A new vault. vault.json is written last: until it is there, there is no vault. */
#include "backend/store_internal.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static_assert(RECOVERY_TEXT_BYTES <= STORE_RECOVERY_TEXT_BYTES, "a recovery key fits");
static_assert(STORE_VAULT_ID_BYTES == HEADER_ID_BYTES && METADB_VAULT_ID_BYTES == HEADER_ID_BYTES, "one vault id");

static int choose_kdf(const struct store_init_options *options, struct header_kdf *ret_kdf) {
	uint64_t memory = options->argon_memory ? options->argon_memory : HEADER_KDF_MEMORY_DEFAULT;
	if (options->argon_passes == 0)
		return header_kdf_calibrate(memory, 1000, ret_kdf);
	*ret_kdf = (struct header_kdf){.memory = memory, .passes = options->argon_passes};
	return 0;
}

static int make_header(const struct store_init_options *options, struct bytes passphrase, const Keyring *keyring,
        VaultHeader **ret_header, char ret_recovery[static STORE_RECOVERY_TEXT_BYTES]) {
	_cleanup_(header_freep) VaultHeader *header = NULL;
	struct header_kdf kdf;
	enum aead_cipher cipher = options->cipher ? (enum aead_cipher)options->cipher : aead_best();
	int rc = choose_kdf(options, &kdf);
	if (rc == 0)
		rc = header_create(cipher, (int64_t)time(NULL), &header);
	if (rc == 0)
		rc = header_add_slot_passphrase(header, keyring, passphrase, "", &kdf, NULL);
	if (rc == 0 && !options->without_recovery)
		rc = header_add_slot_recovery(header, keyring, "recovery key made with the vault", ret_recovery);
	if (rc == 0)
		*ret_header = steal_pointer(&header);
	return rc;
}

static int fill_database(MetaDb *db, const uint8_t *vault_id) {
	struct meta_init init = {.vault_id = bytes_of(vault_id, HEADER_ID_BYTES), .uid = getuid(), .gid = getgid()};
	_cleanup_(meta_closep) Meta *meta = NULL;
	int rc = meta_create(db, &init, NULL);
	if (rc == 0)
		rc = meta_open(db, NULL, &meta);
	if (rc < 0)
		return rc;
	Store stand_in = {.meta = meta};
	meta_begin(meta);
	rc = store_record(&stand_in, "init", 0, 0, NULL);
	if (rc == 0)
		rc = meta_kv_put(meta, STORE_KV_CLEAN, bytes_of("\1", 1));
	return meta_commit(meta, rc, NULL);
}

static int make_database(VaultIo *io, const Keyring *keyring, const uint8_t *vault_id) {
	_cleanup_(metadb_abandonp) MetaDb *db = NULL;
	int rc = metadb_create(io, keyring, vault_id);
	if (rc == 0)
		rc = metadb_open(io, keyring, vault_id, 0, &db);
	if (rc == 0)
		rc = fill_database(db, vault_id);
	return rc < 0 ? rc : metadb_close(steal_pointer(&db));
}

static int write_header(VaultIo *io, const VaultHeader *header) {
	_cleanup_(freep) char *json = NULL;
	size_t size;
	int rc = header_serialize(header, &json, &size);
	return rc < 0 ? rc : vault_io_replace(io, STORE_HEADER_NAME, bytes_of(json, size));
}

static int make_vault(VaultIo *io, struct bytes passphrase, const struct store_init_options *options,
        char ret_recovery[static STORE_RECOVERY_TEXT_BYTES]) {
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	_cleanup_(header_freep) VaultHeader *header = NULL;
	int rc = vault_io_lock(io);
	if (rc == 0)
		rc = keyring_new_vault(&keyring);
	if (rc == 0)
		rc = make_header(options, passphrase, keyring, &header, ret_recovery);
	if (rc == 0)
		rc = make_database(io, keyring, header_vault_id(header));
	if (rc == 0)
		rc = vault_io_mkdir(io, "segments");
	if (rc == 0)
		rc = vault_io_sync_dir(io, "");
	return rc < 0 ? rc : write_header(io, header);
}

/* ---- undoing ---- */

struct leftovers {
	char names[64][VAULT_NAME_MAX + 1];
	bool is_directory[64];
	size_t count;
};

static int gather(void *user, const char *name, bool is_directory) {
	struct leftovers *left = user;
	if (left->count < 64) {
		(void)snprintf(left->names[left->count], sizeof left->names[0], "%s", name);
		left->is_directory[left->count++] = is_directory;
	}
	return 0;
}

/* What a failed init made is all in the vault's directory and in the directories right below it. */
static void remove_all(VaultIo *io, const char *directory) {
	struct leftovers *left = calloc(1, sizeof *left);
	if (!left)
		return;
	(void)vault_io_list(io, directory, gather, left);
	for (size_t i = 0; i < left->count; i++) {
		char name[2 * VAULT_NAME_MAX + 2];
		(void)snprintf(name, sizeof name, "%s%s%s", directory, *directory ? "/" : "", left->names[i]);
		if (!left->is_directory[i]) {
			(void)vault_io_unlink(io, name);
		} else if (*directory == '\0') {
			remove_all(io, name);
			(void)vault_io_rmdir(io, name);
		}
	}
	free(left);
}

int store_init(const char *path, struct bytes passphrase, const struct store_init_options *options,
        char ret_recovery[static STORE_RECOVERY_TEXT_BYTES]) {
	struct stat status;
	bool was_there = stat(path, &status) == 0;
	VaultIo *io = NULL;
	memset(ret_recovery, 0, STORE_RECOVERY_TEXT_BYTES);
	int rc = vault_io_create(path, &io);
	if (rc < 0)
		return fault_while(rc, "making vault %s", path);
	rc = make_vault(io, passphrase, options, ret_recovery);
	if (rc < 0) {
		secret_wipe(ret_recovery, STORE_RECOVERY_TEXT_BYTES);
		remove_all(io, "");
	}
	vault_io_close(io);
	if (rc < 0 && !was_there)
		(void)rmdir(path);
	return fault_while(rc, "making vault %s", path);
}
