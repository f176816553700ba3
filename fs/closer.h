/*
 * closer: whether a close (FLUSH) is the word of who opened a file that it is whole.
 *
 *      close(2) by the opener                            DONE
 *      by a duplicate in another process, by a child     WAITS, as long as the opener lives
 *      by them when the opener is gone                   EXITS: others may be about to go on; closer_is_last() tells
 *      the process ends, and with it its descriptors     EXITS
 *      the process is ended by a signal                  KILLED: what it wrote may be a part
 *
 * A program's exit code says nothing here: many answer a question with it (grep, diff).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend/audit.h"

enum closer_word {
	CLOSER_WAITS,
	CLOSER_DONE,
	CLOSER_EXITS,
	CLOSER_KILLED,
};

/* What the close by thread `tid` means for a file that `opener` opened. Valid while the request waits for its reply. */
enum closer_word closer_word(const struct actor *opener, pid_t tid);

/*
 * Whether no process but that of `tid` and our own has a file of inode number `ino`, last component `name`, open for
 * writing, as far as /proc lets us see (as root: all). Looks through all processes (some ms), so for rare occasions.
 */
bool closer_is_last(pid_t tid, uint64_t ino, const char *name);
