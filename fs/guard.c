#include "fs/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "crypto/base/fault.h"
#include "crypto/process.h"

/* What the guard gets when the thread dies that forked it; of all signals it takes no other. A real-time one, which is
 * queued: none that somebody else has sent can stand in its way. */
#define DEATH_SIGNAL SIGRTMIN
#define CONNECTIONS "/sys/fs/fuse/connections"

struct Guard {
	pid_t pid;
	int socket;
};

/* ---- in the guard ---- */

/* Where nobody has mounted it, as in most containers, root has a mount of its own that no path leads to. */
static int open_connections(void) {
	_cleanup_(closep) int context = fsopen("fusectl", FSOPEN_CLOEXEC);
	if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(context, FSMOUNT_CLOEXEC, 0);
}

/* Once open, the file belongs to this connection for good: another one of the same number has another file. */
static int open_abort(unsigned connection) {
	char path[sizeof CONNECTIONS + 32];
	snprintf(path, sizeof path, "%s/%u/abort", CONNECTIONS, connection);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int error = errno;
	if (fd >= 0)
		return fd;
	_cleanup_(closep) int directory = open_connections();
	snprintf(path, sizeof path, "%u/abort", connection);
	fd = directory < 0 ? -1 : openat(directory, path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -error : fd;
}

/* Takes a number and answers how it went. False when the mount's process has closed its end. */
static bool take_connection(int socket, int *abort_file) {
	unsigned connection;
	if (recv(socket, &connection, sizeof connection, 0) != (ssize_t)sizeof connection)
		return false;
	closep(abort_file);
	*abort_file = open_abort(connection);
	int rc = *abort_file < 0 ? *abort_file : 0;
	return send(socket, &rc, sizeof rc, MSG_NOSIGNAL) == (ssize_t)sizeof rc;
}

static int block_all_signals(void) {
	sigset_t all, death;
	sigfillset(&all);
	sigemptyset(&death);
	sigaddset(&death, DEATH_SIGNAL);
	sigprocmask(SIG_SETMASK, &all, NULL);
	return signalfd(-1, &death, SFD_CLOEXEC);
}

/* The kernel signs it with the number of the process that dies; anybody else's says nothing. */
static bool has_died(int deaths, pid_t parent) {
	struct signalfd_siginfo death;
	return read(deaths, &death, sizeof death) == (ssize_t)sizeof death && death.ssi_pid == (uint32_t)parent;
}

static void watch(int socket, int deaths, pid_t parent) {
	struct pollfd polls[] = {{.fd = deaths, .events = POLLIN}, {.fd = socket, .events = POLLIN}};
	int abort_file = -1;
	do {
		if (poll(polls, 2, -1) < 0 && errno != EINTR)
			return;
		if (polls[0].revents &&
		        has_died(deaths, parent)) { /* first: with the last thread the socket closes, too */
			if (abort_file >= 0)
				(void)!write(abort_file, "1", 1);
			return;
		}
	} while (!polls[1].revents || take_connection(socket, &abort_file));
}

/* Out of the caller's session and process group, and of a name that `pkill assayfs` does not mean: who kills the
 * mount's process so must not kill its guard. */
_Noreturn static void guard_main(int socket, pid_t parent) {
	(void)prctl(PR_SET_NAME, "assay-guard", 0, 0, 0);
	(void)setsid();
	int kept = process_keep_only(socket);
	int deaths = block_all_signals();
	bool is_told = prctl(PR_SET_PDEATHSIG, DEATH_SIGNAL, 0, 0, 0) == 0 && getppid() == parent;
	if (kept >= 0 && deaths >= 0 && is_told && chdir("/") == 0)
		watch(kept, deaths, parent);
	_exit(0);
}

/* ---- in the mount's process ---- */

int guard_start(Guard **ret) {
	_cleanup_(freep) Guard *guard = calloc(1, sizeof *guard);
	int pair[2];
	if (!guard)
		return fault(ENOMEM, "starting the guard");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fault_errno(errno, "making a socket for the guard");
	_cleanup_(closep) int ours = pair[0], theirs = pair[1];
	pid_t parent = getpid();
	guard->pid = fork();
	if (guard->pid == 0)
		guard_main(theirs, parent);
	if (guard->pid < 0)
		return fault_errno(errno, "forking the guard");
	guard->socket = steal_fd(&ours);
	*ret = steal_pointer(&guard);
	return 0;
}

int guard_watch(Guard *guard, unsigned connection) {
	int rc = -EPIPE;
	if (send(guard->socket, &connection, sizeof connection, MSG_NOSIGNAL) < 0 ||
	        recv(guard->socket, &rc, sizeof rc, 0) != (ssize_t)sizeof rc)
		return fault(EPIPE, "the guard has ended");
	return rc < 0 ? fault_errno(-rc, CONNECTIONS "/%u/abort", connection) : 0;
}

void guard_stop(Guard *guard) {
	if (!guard)
		return;
	closep(&guard->socket);
	(void)kill(guard->pid, SIGKILL); /* it would end by itself, unless somebody has stopped it */
	while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(guard);
}
