/*
 * last_seen: the log's signed head as it was last seen, kept outside of the vault.
 *
 *     DIRECTORY/8f2c….checkpoint      a C2SP checkpoint of the vault by that id (audit_head_note)
 *
 * Within a vault nothing tells that all of it was put back to an older copy. A place outside does, as long as whoever
 * puts the copy back does not change that place as well: another disk, another machine's share, another administrator.
 * The file is a signed note that any verifier reads; it is replaced whole. An empty one is none: that is what a power
 * cut may leave of a file that was not synced, and whoever could empty it could as well remove it. These are the only
 * files that the vault has outside of its directory, so they don't go through vault_io. Thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/base/bytes.h"
#include "crypto/note.h"

/* The file of a vault, for messages. -ENAMETOOLONG. */
int last_seen_path(const char *directory, struct bytes vault_id, char *ret_path, size_t size);

/* The note, allocated, with a NUL behind it. -ENOENT: none was kept, or an empty one; -EFBIG: longer than a note can
 * be; other errors of the file, in words. */
int last_seen_read(const char *directory, struct bytes vault_id, char **ret_note, size_t *ret_size);

/* Replaces the note. Makes the directory (0700) and those above it. Its bytes are synced; durable: its name, too.
 * Errors in words. */
int last_seen_write(const char *directory, struct bytes vault_id, struct bytes note, bool durable);
