/*
 * journal: one entry for systemd's journal, by its native protocol: fields of a name and bytes, whatever bytes.
 *
 *     NAME=value LF                            a value of one line
 *     NAME LF  length (8 bytes, little-endian)  value LF     any other: nothing in it can end it, or begin a field
 *
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/, stable and documented for this use; why not libsystemd: supervisor.h.)
 */
#pragma once

#include "crypto/base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define JOURNAL_ENTRY_BYTES 8192

struct journal_entry {
	size_t size;
	bool is_full; /* a field did not fit and was left out */
	unsigned char bytes[JOURNAL_ENTRY_BYTES];
};

/* Adds a field; from zeros. The name is upper-case letters, digits and '_'. */
void journal_put(struct journal_entry *entry, const char *name, struct bytes value);

/* Sends it to the socket at `path` without waiting. 0, or -errno: nobody listens there. */
int journal_send(const char *path, const struct journal_entry *entry);

/* Whether the descriptor is what the journal gave a unit for its output (JOURNAL_STREAM). */
bool journal_is_behind(int fd);
