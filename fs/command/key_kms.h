/*
 * key_kms: slots whose key a key management service wraps (backend/kms/kms.h). The service is asked by the program that
 * a person runs, or by the mount when it begins, with the credentials of their environment; nothing of these is kept.
 */
#pragma once

#include "fs/command/command.h"
#include "fs/command/passphrase.h"

#include "backend/store.h"
#include "crypto/header.h"
#include "fs/command/client.h"

/* What every option list that can be unlocked so has. */
#define OPTION_KMS \
	{ "kms", 0, NULL, "unlock by a key of AWS KMS, with the environment's credentials" }

/* Of an error by which a service could not be asked: what a command exits with, EXIT_AWAY, for command_fault. */
#define KEY_KMS_AWAY ENETDOWN

/*
 * Asks for the key of each slot of this kind of the vault in directory `vault`, until one is given; as secrets_get.
 * -ENOENT: there is no such slot; -KEY_KMS_AWAY: a service could not be asked; errors of kms_decrypt, of the last slot.
 */
int key_kms_unlock(const char *vault, Passphrase **ret_bytes, struct store_secret *ret_secret);
/* The same of a vault.json that was read, and of a vault that is mounted: its mount says which slots there are. */
int key_kms_unlock_header(const VaultHeader *header, Passphrase **ret_bytes, struct store_secret *ret_secret);
int key_kms_unlock_mounted(const struct client_place *place, Passphrase **ret_bytes, struct store_secret *ret_secret);

/* Has the key `key` wrap a new one, and the vault that is mounted there make a slot of it. An exit code. */
int key_kms_add(const struct invocation *call, const char *key);
