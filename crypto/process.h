/*
 * process: keeping the keys of a running process from the disk.
 *
 * What reaches the disk without being asked for is a core file, or a page that the kernel swaps out. process_harden()
 * shuts both doors for the whole process, because libraries make copies of keys that no allocator of ours sees.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Longest name of a swap area that is kept for messages, with the final NUL. */
#define PROCESS_NAME_BYTES 256

/* To be called before any key is in memory, and in each process that gets one.
 *
 *   - No core files (RLIMIT_CORE 0, hard) and not dumpable (PR_SET_DUMPABLE 0): nobody but root attaches a debugger
 *     or reads /proc/PID/mem. The files in /proc/PID then belong to root, seen from other processes.
 *   - If a swap area is active that is neither encrypted (dm-crypt) nor memory (zram without a backing device): locks
 *     all memory, present and future, page by page as it is first used.
 *
 * -EPERM: there is such a swap area and memory cannot be locked; the words name the area and the three remedies.
 * -EIO: the kernel's tables cannot be read. Swap that is switched on later is not seen. */
int process_harden(void);

/* Whether memory could reach a disk through swap just now, so that a process with plaintext has to lock it; also when
 * the kernel's tables can't be read. For processes that are hardened otherwise, as the workers are. */
bool process_must_lock(void);

/* For a process just forked: leaves open `fd` alone, and /dev/null as standard input, output and error, so that it
 * holds nothing that is its parent's. Returns what `fd` is now, or -errno. */
int process_keep_only(int fd);

/* Answers whether the swap area `name` of `type` ("partition" or "file") cannot leak to a disk. */
typedef bool process_swap_safe_fn(void *context, const char *type, const char *name);

/* Looks through the text of /proc/swaps for an area that is not safe: true, with its name in `ret_name` (cut if too
 * long), for the first one. The kernel's escapes (\040 for a blank) are undone before `safe` is asked. A line that is
 * not understood counts as unsafe. */
bool process_swap_exposed(
        const char *swaps, process_swap_safe_fn *safe, void *context, char ret_name[static PROCESS_NAME_BYTES]);

/* The answer for this machine. `context` is the path where sysfs is mounted (const char *, "/sys"). A partition is
 * found by its name, a file by the device it lies on; devices stacked on others (LVM on LUKS) are safe if all below
 * them are. */
bool process_swap_is_safe(void *context, const char *type, const char *name);
