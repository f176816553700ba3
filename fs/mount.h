/*
 * mount: a vault mounted, from the opening of its store to its clean end.
 *
 *     mount_run ─ fork (background) ─► child: harden ─ spawner ─ unlock ─ store ─ mount ─ notifier ─ parts ─ loop ─┐
 *        │                               │                                                                    │
 *        └── waits on a pipe ◄── ready ──┘          end: parts stop, open files are sealed, store_close ◄─────┘
 *
 * Order matters: the process forks before there is a thread, is hardened and starts the spawner (which must never see a
 * key) before a key is unlocked. Parts (control socket, gate) come through a table of functions, so that this module
 * knows none of them.
 */
#pragma once

#include <stdbool.h>

#include "backend/store.h"
#include "fs/filesystem.h"

/*
 * Something that lives as long as the mount. All functions may be NULL. They are called in the order of the table when
 * the mount begins and in reverse order when it ends; `state` is the part's own.
 */
struct mount_part {
	/* Before keys and threads. */
	int (*prepare)(void *state);
	/* May set fields of the store's options (arrived); before store_open. */
	void (*tune)(void *state, struct store_options *options);
	/* The store is open; nothing is mounted yet. May replace fs->gate. */
	int (*opened)(void *state, struct filesystem *fs);
	/* The mount is made, but not answering yet (nothing may wait for it); threads may start. */
	int (*start)(void *state, struct filesystem *fs);
	/* The mount has ended; nothing of the file system may be used afterwards, the store still is open. */
	void (*stop)(void *state);
	/* The store is closed (`outcome` is store_close's, with words) or never was open. Frees the state's own things.
	 */
	void (*end)(void *state, int outcome, const char *words);
	void *state;
};

struct mount_options {
	const char *vault;
	const char *mountpoint;
	const char *fuse_options; /* as after -o: allow_other, ro, …; NULL or "": none */
	bool foreground;          /* serve in this process and return at the end; else return when the mount answers */
	bool debug;               /* libfuse's trace on standard error; implies foreground */
	/*
	 * Gives the secret, in the process that stays, before threads; the bytes stay the giver's, who is told by
	 * `wipe` that they are not needed any more.
	 */
	int (*unlock)(void *arg, struct store_secret *ret_secret);
	void (*wipe)(void *arg);
	void *unlock_arg;
	const struct mount_part *parts; /* in order; NULL with part_count 0 */
	size_t part_count;
	struct store_options store; /* bounds and intervals; `read_only` follows the option ro */
	bool unhardened;            /* tests under sanitizers: their shadow memory can't be locked */
};

/*
 * Mounts. In the background it returns 0 when the mount answers, or the error that kept it from that with its words, as
 * if it had happened here. In the foreground it returns when the mount has ended and the vault is closed: 0, or what
 * went wrong last. SIGTERM, SIGINT and SIGHUP end the mount as umount does, after the kernel was asked to write back.
 */
int mount_run(const struct mount_options *options);
