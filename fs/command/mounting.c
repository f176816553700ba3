/* `assayfs umount` and `assayfs sync`: the end of a mount, and its durable middle. */
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/mountinfo.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- umount ---- */

struct unmounting {
	const char *mountpoint;
	bool is_lazy;
	bool is_done;
};

static int busy(const char *mountpoint) {
	_cleanup_(freep) char *quoted = words_shell(mountpoint);
	return fault(EBUSY,
	        "files in it are open, or somebody stands there: fuser -vm %s shows who (with -l the name goes at "
	        "once, and the mount ends with the last of them)",
	        quoted ? quoted : "DIR");
}

/* fusermount3 is set-uid root and unmounts for whoever made the mount. Its own words go to `ret_words`. */
static int run_fusermount(const struct unmounting *unmounting, char *ret_words, size_t size) {
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fault_errno(errno, "making a pipe for fusermount3");
	_cleanup_(closep) int input = ends[0];
	_cleanup_(closep) int output = ends[1];
	pid_t child = fork();
	if (child < 0)
		return fault_errno(errno, "starting fusermount3");
	if (child == 0) {
		if (dup2(output, STDERR_FILENO) < 0 || setenv("LC_ALL", "C", 1) < 0)
			_exit(126);
		execlp("fusermount3", "fusermount3", unmounting->is_lazy ? "-uz" : "-u", "--", unmounting->mountpoint,
		        (char *)NULL);
		_exit(127);
	}
	closep(&output);
	size_t used = 0;
	for (ssize_t got; used + 1 < size && (got = read(input, ret_words + used, size - 1 - used)) > 0;)
		used += (size_t)got;
	ret_words[used] = '\0';
	ret_words[strcspn(ret_words, "\n")] = '\0';
	int status;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return fault_errno(errno, "waiting for fusermount3");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return fault(ENOENT, "fusermount3 is not installed (package fuse3)");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static int unmount(struct unmounting *unmounting) {
	char words[512] = "";
	int rc;
	if (geteuid() == 0) {
		int flags = UMOUNT_NOFOLLOW | (unmounting->is_lazy ? MNT_DETACH : 0);
		rc = umount2(unmounting->mountpoint, flags) < 0 ? -errno : 0;
		if (rc && rc != -EBUSY)
			return fault_errno(-rc, "unmounting");
	} else {
		fault_clear();
		rc = run_fusermount(unmounting, words, sizeof words);
		if (rc == -EIO)
			rc = strstr(words, "busy") ? -EBUSY
			                           : fault(EPERM, "%s", *words ? words : "fusermount3 refused");
	}
	if (rc == -EBUSY)
		return busy(unmounting->mountpoint);
	unmounting->is_done = rc == 0;
	return rc;
}

/* The mount has said that it will tell us its end: now it may come. */
static int unmount_once(void *context, const json_t *item) {
	struct unmounting *unmounting = context;
	(void)item;
	return unmounting->is_done ? 0 : unmount(unmounting);
}

/* A handle on the process that doesn't mean another one when the number is used again; -1 where that is not to be had.
 */
static int open_process(pid_t pid) {
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void wait_for_exit(int process) {
	struct pollfd ended = {.fd = process, .events = POLLIN};
	if (process >= 0)
		while (poll(&ended, 1, -1) < 0 && errno == EINTR)
			;
}

/* Unmounts and waits until the vault is closed. */
static int unmount_and_wait(Client *client, struct unmounting *unmounting) {
	_cleanup_(closep) int process = open_process(client_server(client));
	int rc = client_call(client, "attend", json_object(), unmount_once, unmounting);
	if (!unmounting->is_done)
		return rc ? rc : fault(EPROTO, "the mount's process did not answer");
	if (rc == -ECONNRESET)
		rc = fault(EIO, "the mount's process died before it had closed the vault; the next mount recovers what "
		                "was synced");
	wait_for_exit(process);
	return rc;
}

/* Whether the process behind the mount is gone: then nothing can be lost, and who has files in it can do nothing more
 * with them than close them. */
static bool is_dead(const char *mountpoint) {
	struct stat info;
	return stat(mountpoint, &info) < 0 && errno == ENOTCONN;
}

static int end_mount(const struct invocation *call, struct unmounting *unmounting, const struct mountinfo *mount) {
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	int rc = unmounting->is_lazy ? -ENOTCONN : client_open(mount->mountpoint, &place, &client);
	if (!rc) {
		rc = unmount_and_wait(client, unmounting);
	} else {
		/* Its process is gone, or shall not be waited for. */
		unmounting->is_lazy |= is_dead(mount->mountpoint);
		rc = unmount(unmounting);
	}
	if (rc && unmounting->is_done) {
		(void)command_fault(call, rc, "%s is unmounted, but closing the vault failed", mount->mountpoint);
		return EXIT_UNDECIDED;
	}
	return rc ? command_fault(call, rc, "unmounting %s", mount->mountpoint) : EXIT_DONE;
}

/*
 * The process is dead or stuck: the kernel ends the connection, so that who waits for it gets an error instead. Dying,
 * it may be held by a thread that waits for a client that waits for it; without its guard (fs/guard.h) nothing else
 * frees them, and the vault stays locked.
 */
static int force_end(const struct invocation *call, const char *mountpoint) {
	if (umount2(mountpoint, MNT_FORCE | UMOUNT_NOFOLLOW) == 0)
		return EXIT_DONE;
	int error = errno;
	if (error == EBUSY && umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return EXIT_DONE;
	(void)fault(error, "%s%s", strerror(error), error == EPERM ? "; only root may do that" : "");
	return command_fault(call, -error, "ending %s by force", mountpoint);
}

/* Absolute and without links but for the last component, which is not looked at: the mount may not answer. */
static char *path_by_parent(const char *path) {
	_cleanup_(freep) char *copy = strdup(path);
	if (!copy)
		return NULL;
	for (size_t length = strlen(copy); length > 1 && copy[length - 1] == '/';)
		copy[--length] = '\0';
	char *slash = strrchr(copy, '/');
	const char *name = slash ? slash + 1 : copy;
	if (slash)
		*slash = '\0';
	_cleanup_(freep) char *parent = realpath(!slash ? "." : *copy ? copy : "/", NULL);
	char *joined = NULL;
	if (!parent || asprintf(&joined, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name) < 0)
		return NULL;
	return joined;
}

/* Absolute and without links, also when the last component is a dead mount that can't be looked at. */
static char *real_path(const char *path) {
	char *real = realpath(path, NULL);
	if (real || (errno != ENOTCONN && errno != EACCES && errno != EIO))
		return real;
	return path_by_parent(path);
}

static int run_umount(const struct invocation *call) {
	const char *dir = command_operand(call, 0);
	_cleanup_(freep) struct mountinfo *mount = calloc(1, sizeof *mount);
	bool is_forced = command_has(call, "force");
	_cleanup_(freep) char *real = is_forced ? path_by_parent(dir) : real_path(dir);
	if (!mount)
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	if (!real)
		return command_fail(call, EXIT_NOT_MOUNTED, "%s: %s", dir, strerror(errno));
	int rc = mountinfo_find(real, mount);
	if (rc)
		return command_fault(call, rc, "looking for the mount of %s", dir);
	if (strcmp(mount->type, MOUNTINFO_TYPE) != 0)
		return command_fail(call, EXIT_NOT_MOUNTED, "%s is in no mounted vault; nothing to unmount", dir);
	struct unmounting unmounting = {.mountpoint = mount->mountpoint, .is_lazy = command_has(call, "lazy")};
	/* Standing in the mount would keep it busy by ourselves. */
	if (chdir("/") < 0)
		return command_fail(call, EXIT_UNDECIDED, "leaving the directory: %s", strerror(errno));
	return is_forced ? force_end(call, mount->mountpoint) : end_mount(call, &unmounting, mount);
}

const struct command command_umount = {
        .words = "umount",
        .operands = "DIR",
        .least = 1,
        .most = 1,
        .summary = "unmount a vault and wait until all is on disk and closed",
        .details = "DIR is the mountpoint or any path in it. Returns when the mount's process has ended, so that the "
                   "vault can "
                   "be copied, checked or mounted again at once.",
        .options =
                (const struct command_option[]){
                        {"lazy", 'l', NULL, "take the name away now; the end comes with the last open file"},
                        {"force", '\0', NULL, "end a mount whose process is dead or stuck: who waits gets an error"},
                        {0}},
        .examples = (const struct command_example[]){{"assayfs umount /mnt", "unmount"}, {0}},
        .exits = EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_BUSY) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_umount,
};

/* ---- sync ---- */

static int run_sync(const struct invocation *call) {
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	int code = client_open_operand(call, 0, &place, &client);
	if (code)
		return code;
	/* What could not be written back (a full disk) must not keep the rest from becoming durable. */
	char words[FAULT_MESSAGE_BYTES];
	int flushed = client_write_back(&place);
	memcpy(words, fault_message(), sizeof words);
	int rc = client_call(client, "sync", json_object(), NULL, NULL);
	if (!rc && flushed)
		rc = fault(-flushed, "%s; what had reached the vault is durable", words);
	return rc ? command_fault(call, rc, "syncing %s", place.mountpoint) : EXIT_DONE;
}

const struct command command_sync = {
        .words = "sync",
        .operands = "[DIR]",
        .most = 1,
        .summary = "return when everything written so far survives a power cut",
        .details =
                "sync(1) and syncfs(2) do not reach the daemon of a FUSE file system; this does. fsync(2) of a file or "
                "directory has the same effect.",
        .options = (const struct command_option[]){{0}},
        .examples =
                (const struct command_example[]){
                        {"cp a.csv /mnt/Landing/ && assayfs sync /mnt", "durable on return"}, {0}},
        .exits = EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_sync,
};
