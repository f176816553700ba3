/*
 * read_ahead: a file of the vault, read into the system's page cache by a thread of its own.
 *
 * A look-up among a million names reads one or two pages of the database, each of them from the disk at first, one
 * after the other: 170 us where 30 are enough once the pages are in memory. Reading all in order takes a disk that does
 * a gigabyte a second less than a second. Nothing is kept here: what is read goes into the page cache, which the system
 * takes back when it needs the memory, and whoever needs a page before its turn reads it itself.
 *
 * Errors end it without a word: who needs the bytes meets them, too.
 */
#pragma once

#include "backend/vault_io.h"

typedef struct ReadAhead ReadAhead;

/* Starts reading the first `most` bytes of the file `name`. `io` must stay open until it is stopped. -ENOMEM, -EAGAIN.
 */
int read_ahead_start(VaultIo *io, const char *name, uint64_t most, ReadAhead **ret);

/* Ends it, wherever it is (after the piece that is being read), and frees. NULL is allowed. */
void read_ahead_stop(ReadAhead *ahead);

/* What may be read ahead without taking memory from others: a quarter of what the system has to give away; 0 when it
 * does not say. */
uint64_t read_ahead_most(void);
