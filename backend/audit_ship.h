/*
 * audit_ship: an archive of the log copied out of the vault, into a directory of somebody's, and read back from there.
 *
 *      DIRECTORY/assayfs-log-VAULT-FIRST-LAST.sealed     numbers of the records with twelve digits, so that names sort
 *
 * What it gives is what audit_retain_shipped wants. Thread-safe; knows of no vault but the id.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/digest.h"

#include <limits.h>
#include <stdint.h>

/* Room for the place of a copy with its NUL. */
#define AUDIT_SHIP_PLACE_BYTES (PATH_MAX + 256)

/*
 * Writes `file`, the archive of records first to last, in one step (mode 0600), syncs it and its directory, and reads
 * it back: *ret_sha256 is of what was read. `vault_id` as hexadecimal text. `directory` must be there (-ENOENT); a name
 * in it that is a symbolic link is not followed. Other errors as vault_io.h.
 */
int audit_ship(const char *directory, const char *vault_id, uint64_t first, uint64_t last, struct bytes file,
        char ret_place[static AUDIT_SHIP_PLACE_BYTES], uint8_t ret_sha256[static DIGEST_BYTES]);
