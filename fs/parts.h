/*
 * parts: what lives in a mount beside the file system itself: the process that runs checks, the gate, the control
 * socket.
 *
 *     prepare    the spawner, before a key is in memory and before threads
 *     tune       recovered files become arrivals
 *     opened     the gate; its hooks go into the file system
 *     start      the control socket answers
 *     stop       socket, gate, hooks; the store is still open
 *     end        `assayfs umount` hears how it went; the spawner ends
 */
#pragma once

#include "fs/mount.h"

typedef struct Parts Parts;

/* allow_other: whether other users may connect to the control socket. `http`: the address to speak HTTP on, NULL: none;
 * borrowed. -ENOMEM. */
int parts_new(bool allow_other, const char *http, Parts **ret_parts);

/* Where the programs lie that alarms may run (policy/courier.h); borrowed. */
void parts_actions(Parts *parts, const char *directory);

/* Locks the vault when no program has used content for so long (idle.h); 0: never. */
void parts_idle_lock(Parts *parts, int64_t after_ms);

/* The mount asks the key management service that unlocked it again and again (kms_watch.h); offline_ms as there. */
void parts_watch_kms(Parts *parts, int64_t offline_ms);

/* The row for struct mount_options. The parts must outlive the mount. */
struct mount_part parts_row(Parts *parts);

/* After mount_run. Accepts NULL. */
void parts_free(Parts *parts);
DEFINE_CLEANUP(Parts, parts_free);
