/*
 * session: the connection to the kernel: mounting, the loop of threads, what is agreed at INIT, and the end.
 *
 *     session_mount ── kernel ◄─ /dev/fuse ─► threads ── operations          (one clone of the descriptor a thread)
 *          │                        │
 *          │                        └─ our own read and writev (fuse_session_custom_io):
 *          │                             INIT's reply gets FUSE_HANDLE_KILLPRIV_V2, which libfuse 3.14 can't ask for
 *          │                             (buffered random 4 KiB writes 23,000 → 148,000 a second), and the kill flags
 *          │                             of WRITE, OPEN, CREATE and SETATTR are noted for the thread that serves them;
 *          │                             TMPFILE, which it does not know, comes as CREATE of SESSION_NAMELESS
 *          └─ after INIT, root only: read_ahead_kb of the mount 128 → 4096 (sequential reads 0.9 → 1.5 GB/s; 1.4 with
 *             1024) and max_ratio 1 → 10: dirty pages wait until neighbours have come, too, so that random 4 KiB writes
 *             reach us as whole blocks (26,000 → 65,000 a second; 80,000 without any limit, but what the kernel
 *             holds for a daemon must stay a small part of the memory that the daemon itself may need)
 */
#pragma once

#include <stdbool.h>

#include "crypto/base/cleanup.h"

/* The name with which CREATE asks for a file without one (O_TMPFILE); no file can be called so. */
#define SESSION_NAMELESS "/"

struct fuse_lowlevel_ops;
struct fuse_session;
typedef struct OperationStats OperationStats; /* fs/operation_stats.h */
typedef struct Session Session;

/* What `userdata` of the operations must begin with. */
struct session_owner {
	Session *session;
};

struct session_options {
	const char *mountpoint;
	const char *source;       /* shown as the device in /proc/mounts */
	const char *fuse_options; /* -o list without leading -o, or NULL: allow_other, ro, … */
	bool debug;
	/* Called once, in a thread of the loop, when the kernel has accepted INIT: the mount answers. May be NULL. */
	void (*ready)(void *arg);
	void *ready_arg;
	/* Some microseconds' work while no request comes; whether there is more. In a thread of the loop, by none other
	 * meanwhile. May be NULL. */
	bool (*idle)(void *arg);
	void *idle_arg;
	OperationStats *operations; /* counts them; outlives the session. NULL: nobody does */
};

/* Whether the list "a,b=1,c" (NULL: an empty one) has the option `name`. */
bool session_has_option(const char *list, const char *name);

/*
 * Mounts. Words for: not a directory, allow_other refused by /etc/fuse.conf, no /dev/fuse, no fusermount3. `ops` with
 * `userdata` answer requests; ops->init calls session_negotiate. userdata->session is set.
 */
int session_mount(const struct fuse_lowlevel_ops *ops, struct session_owner *userdata,
        const struct session_options *options, Session **ret);

/* The number that the kernel has given the connection: /sys/fs/fuse/connections/NUMBER. -ENOENT: it is not mounted. */
int session_connection(Session *session, unsigned *ret);

/* Serves until the file system is unmounted or session_stop was called. */
int session_run(Session *session);

/*
 * Unmounts as umount(8) does, so that the kernel sends what it still holds; when the mount is busy, asks the kernel to
 * write back what is dirty and detaches it. Any thread but those of the loop. Then session_run returns, at the latest
 * when `grace_seconds` are over.
 */
void session_stop(Session *session, unsigned grace_seconds);

/* After the loop: unmounts when that has not happened yet. The kernel ends what is still asked, notifications fail. */
void session_detach(Session *session);

/* session_detach, and frees. Accepts NULL. */
void session_close(Session *session);
DEFINE_CLEANUP(Session, session_close);

struct fuse_conn_info;

/* The INIT flags of this file system; for ops->init. */
void session_negotiate(struct fuse_conn_info *connection);

/* For notifications. Valid while the session lives. */
struct fuse_session *session_fuse(Session *session);

/* In an operation's thread: the kernel asks that set-id bits and file capabilities be cleared by the request now being
 * served (FUSE_WRITE_KILL_SUIDGID, FUSE_OPEN_KILL_SUIDGID, FATTR_KILL_SUIDGID). */
bool session_kills_privileges(void);

/* Waits (some seconds at most) for the RELEASE requests that were read before: close(2) does not wait for them, and
 * they seal versions. For requests that tell of versions. */
void session_settle(void);

/* The request that this thread serves is about to wait for the disk: another thread reads the next one. */
void session_waits(Session *session);

/* The RELEASE that this thread served is done. */
void session_released(void);
