#include "fs/intent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "fs/access.h"
#include "fs/actor.h"

/* How long to wait for the thread to sleep: it is on its way there, having sent the request. */
#define TURNS 200
#define TURN_NS 50000

/* In /proc/TID/stat: threads that belong to io_uring, or to the kernel. They have no call of their own, and show that
 * of whoever made them. */
#define PF_IO_WORKER 0x00000010ul
#define PF_KTHREAD 0x00200000ul

#ifdef __x86_64__
/* Those of 32-bit programs, which are none by which a 64-bit one looks a name up. */
#define I386_INOTIFY_ADD_WATCH 292
#define I386_FANOTIFY_MARK 339
#endif

/* Calls that need nothing of a special file. Some machines lack the older ones. */
static const long harmless[] = {
#ifdef SYS_stat
        SYS_stat,
        SYS_lstat,
        SYS_access,
        SYS_unlink,
        SYS_rmdir,
        SYS_rename,
        SYS_link,
        SYS_symlink,
        SYS_readlink,
        SYS_mkdir,
        SYS_mknod,
        SYS_chmod,
        SYS_chown,
        SYS_lchown,
        SYS_utime,
        SYS_utimes,
        SYS_futimesat,
#endif
#ifdef SYS_renameat
        SYS_renameat,
#endif
#ifdef SYS_newfstatat
        SYS_newfstatat,
#endif
        SYS_statx,
        SYS_faccessat,
        439, /* faccessat2 */
        SYS_unlinkat,
        SYS_renameat2,
        SYS_linkat,
        SYS_symlinkat,
        SYS_readlinkat,
        SYS_mkdirat,
        SYS_mknodat,
        SYS_fchmodat,
        452, /* fchmodat2 */
        SYS_fchownat,
        SYS_utimensat,
        SYS_setxattr,
        SYS_lsetxattr,
        SYS_getxattr,
        SYS_lgetxattr,
        SYS_listxattr,
        SYS_llistxattr,
        SYS_removexattr,
        SYS_lremovexattr,
        463, /* setxattrat and its kin */
        464,
        465,
        466,
        SYS_statfs,
        SYS_truncate, /* EINVAL */
        SYS_chdir,    /* ENOTDIR */
        SYS_chroot,
        SYS_execve, /* EACCES */
        SYS_execveat,
        SYS_bind, /* EADDRINUSE */
        SYS_name_to_handle_at,
        SYS_umount2,
};

/* Calls that set a file's times. */
static const long sets_times[] = {
#ifdef SYS_utime
        SYS_utime,
        SYS_utimes,
        SYS_futimesat,
#endif
        SYS_utimensat,
#ifdef __x86_64__
        /* utime, utimes, futimesat, utimensat and utimensat_time64 of 32-bit programs: in the calls that have these
         * numbers here the kernel writes no file back. */
        30,
        271,
        299,
        320,
        412,
#endif
};

static const struct intent everything = {.mask = ACCESS_READ | ACCESS_WRITE, .words = "not known how", .lasts = true};
static const struct intent nothing = {.mask = 0, .words = "not opened"};

static struct intent intent_of_open(uint64_t argument) {
	int flags = (int)(uint32_t)argument;
	if (flags & O_PATH)
		return (struct intent){.mask = everything.mask, .words = "path", .lasts = true};
	bool fails_anyway = (flags & O_DIRECTORY) || ((flags & O_CREAT) && (flags & O_EXCL));
	if (fails_anyway)
		return nothing;
	unsigned more = flags & O_TRUNC ? ACCESS_WRITE : 0;
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return (struct intent){.mask = ACCESS_READ | more, .words = more ? "read, truncate" : "read"};
	case O_WRONLY:
		return (struct intent){.mask = ACCESS_WRITE, .words = "write"};
	default: /* 3, too: some devices' ioctl, which the kernel has need both */
		return (struct intent){.mask = ACCESS_READ | ACCESS_WRITE, .words = "read-write"};
	}
}

struct intent intent_of_call(long number, const uint64_t arguments[static 6]) {
	switch (number) {
#ifdef SYS_open
	case SYS_open:
		return intent_of_open(arguments[1]);
	case SYS_creat:
		return (struct intent){.mask = ACCESS_WRITE, .words = "write"};
#endif
	case SYS_openat:
		return intent_of_open(arguments[2]);
	case SYS_connect:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
		return (struct intent){.mask = ACCESS_WRITE, .words = "connect"};
	case SYS_inotify_add_watch:
	case SYS_fanotify_mark:
#ifdef __x86_64__
	case I386_INOTIFY_ADD_WATCH:
	case I386_FANOTIFY_MARK:
#endif
		return (struct intent){.mask = ACCESS_READ, .words = "watch", .watches = true};
	default:
		break;
	}
	for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
		if (harmless[i] == number)
			return nothing;
	return everything;
}

bool intent_parse(const char *line, long *ret_number, uint64_t ret_arguments[static 6]) {
	long number;
	uint64_t a[6];
	int got = sscanf(line, "%ld %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64, &number,
	        &a[0], &a[1], &a[2], &a[3], &a[4], &a[5]);
	if (got != 7 || number < 0)
		return false;
	*ret_number = number;
	memcpy(ret_arguments, a, sizeof a);
	return true;
}

/* Its flags are the seventh word behind the name, which may hold anything and ends with the last bracket. */
static bool has_own_calls(pid_t tid) {
	char path[64], text[1024];
	unsigned long flags;
	snprintf(path, sizeof path, "/proc/%d/stat", tid);
	if (!actor_read_proc(AT_FDCWD, path, text, sizeof text))
		return false;
	const char *behind = strrchr(text, ')');
	return behind && sscanf(behind + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags) == 1 &&
	       !(flags & (PF_IO_WORKER | PF_KTHREAD));
}

/* The call that it waits in. False: not told. */
static bool read_call(pid_t tid, long *ret_number, uint64_t ret_arguments[static 6]) {
	char path[64], line[256];
	if (tid <= 0 || !has_own_calls(tid))
		return false;
	snprintf(path, sizeof path, "/proc/%d/syscall", tid);
	for (int turn = 0; turn < TURNS; turn++) {
		if (!actor_read_proc(AT_FDCWD, path, line, sizeof line))
			return false;
		if (intent_parse(line, ret_number, ret_arguments))
			return true;
		const struct timespec pause = {.tv_nsec = TURN_NS};
		nanosleep(&pause, NULL);
	}
	return false;
}

struct intent intent_of_thread(pid_t tid) {
	long number;
	uint64_t arguments[6];
	return read_call(tid, &number, arguments) ? intent_of_call(number, arguments) : everything;
}

bool intent_call_sets_times(long number) {
	for (size_t i = 0; i < sizeof sets_times / sizeof sets_times[0]; i++)
		if (sets_times[i] == number)
			return true;
	return false;
}

bool intent_sets_times(pid_t tid) {
	long number;
	uint64_t arguments[6];
	return read_call(tid, &number, arguments) && intent_call_sets_times(number);
}
