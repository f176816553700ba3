/*
 * targets: the rules of a backup as rows of kv: `backup.target.N` names a JSON object:
 *
 *     {"url","endpoint","zones","prefix","lock_days","access_key","secret_key","session_token","region","uid","added_ns"}
 *
 * All are there, and nothing else. The database is sealed, and so are the secrets.
 */
#pragma once

#include "backend/backup/backup.h"
#include "backend/meta.h"
#include "crypto/base/bytes.h"

#include <stddef.h>

/* Longest row. */
#define TARGET_ROW_BYTES 32768

/* The zones that a rule may name: Landing, Raw, Trusted, staging. */
#define TARGET_ZONES_ALL 0x1eu

/* The rule in a row's bytes; its number is left 0. -EUCLEAN with words. */
int target_parse(struct bytes row, struct backup_target *ret);

/* The bytes of its row, allocated; wipe and free them. -EINVAL: text that is not UTF-8; -EMSGSIZE; -ENOMEM. */
int target_print(const struct backup_target *target, char **ret_row, size_t *ret_size);

/* The zones whose segments are shipped: what is in staging goes with Landing. */
uint32_t target_zones(const struct backup_target *target);

/* In an operation: all rules, by number, allocated (wipe and free); puts one, removes one. */
int targets_read(Meta *m, struct backup_target **ret_targets, size_t *ret_count);
int target_put(Meta *m, const struct backup_target *target);
int target_remove(Meta *m, uint32_t number);
