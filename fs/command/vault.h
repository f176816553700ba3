/* vault: what the commands that take a vault's directory share. */
#pragma once

#include "crypto/header.h"

/* Reads VAULT/vault.json; the caller owns the header. -EMEDIUMTYPE with words when there is no vault, or none that this
 * version can read. Proves nothing: see crypto/header.h. */
int vault_header_read(const char *vault, VaultHeader **ret_header);
