/*
 * state_directory: where assayfs keeps what a vault alone could not tell (backend/last_seen.h).
 *
 *     $STATE_DIRECTORY           as systemd gives it to a service (of a list, the first)
 *     /var/lib/assayfs           for root
 *     $XDG_STATE_HOME/assayfs    for anybody else, or else ~/.local/state/assayfs
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* The directory for mounts by `uid`, who need not have it yet. -ENOENT with words: nothing tells where it could be;
 * -ENAMETOOLONG. Reads the environment. */
int state_directory(uid_t uid, char *ret_path, size_t size);
