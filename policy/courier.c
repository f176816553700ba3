#include "policy/courier.h"

#include "crypto/base/fault.h"
#include "crypto/process.h"
#include "policy/courier_private.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

/* A messenger keeps the time; this is for when it hangs. */
#define GRACE_SECONDS 10u

struct Courier {
	int control;
	int hushed; /* an eventfd that can be read from courier_hush on */
	pid_t pid;
	unsigned seconds;
	char *actions;
};

/* ---- the courier ---- */

static void leave_terminal(pid_t parent) {
	static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGPIPE, SIGCHLD};
	(void)setsid();
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		(void)signal(ignored[i], SIG_IGN); /* nobody waits for messengers: that of SIGCHLD lets them go */
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent)
		_exit(1);
}

static _Noreturn void messenger_main(const Courier *courier, int fd, pid_t parent) {
	static char packet[COURIER_PACKET_MAX];
	struct courier_answer answer = {.magic = COURIER_MAGIC};
	const struct messenger messenger = {.actions = courier->actions, .seconds = courier->seconds};
	(void)signal(SIGCHLD, SIG_DFL);
	(void)prctl(PR_SET_NAME, "assayfs-message", 0, 0, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent)
		_exit(1);
	(void)alarm(courier->seconds + GRACE_SECONDS / 2);
	ssize_t got = recv(fd, packet, sizeof packet, 0);
	json_t *delivery = got > 0 ? json_loadb(packet, (size_t)got, 0, NULL) : NULL;
	if (!json_is_object(delivery))
		_exit(1);
	messenger_deliver(&messenger, delivery, &answer);
	_exit(send(fd, &answer, sizeof answer, MSG_NOSIGNAL) == sizeof answer ? 0 : 1);
}

/* 1 with the delivery's socket, 0 when the daemon is gone, -EAGAIN for a packet that is none of ours. */
static int receive(int control, int *ret_fd) {
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(int))];
	uint32_t magic = 0;
	struct iovec part = {.iov_base = &magic, .iov_len = sizeof magic};
	struct msghdr message = {
	        .msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
	ssize_t got = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
	if (got < 0 && errno == EINTR)
		return -EAGAIN;
	const struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (got != sizeof magic || magic != COURIER_MAGIC || !header || header->cmsg_len != CMSG_LEN(sizeof(int)))
		return 0;
	memcpy(ret_fd, CMSG_DATA(header), sizeof *ret_fd);
	return 1;
}

static _Noreturn void courier_main(Courier *courier, int control, pid_t parent) {
	(void)prctl(PR_SET_NAME, "assayfs-courier", 0, 0, 0);
	int kept = process_keep_only(control), fd = -1, rc;
	if (kept < 0 || chdir("/") < 0)
		_exit(1);
	leave_terminal(parent);
	json_object_seed(0);
	const pid_t self = getpid();
	while ((rc = receive(kept, &fd)) != 0) {
		if (rc < 0)
			continue;
		if (fork() == 0) {
			(void)close(kept);
			messenger_main(courier, fd, self);
		}
		(void)close(fd); /* without a messenger the daemon sees its end */
	}
	(void)signal(SIGTERM, SIG_DFL);
	_exit(0); /* and the messengers by their death signal */
}

/* ---- the daemon's end ---- */

int courier_start(const struct courier_options *options, Courier **ret_courier) {
	_cleanup_(courier_stopp) Courier *courier = calloc(1, sizeof *courier);
	int pair[2];
	if (!courier)
		return fault(ENOMEM, "no memory for what tells of alarms");
	courier->control = courier->hushed = -1;
	courier->pid = -1;
	courier->seconds = options && options->seconds ? options->seconds : COURIER_SECONDS;
	courier->actions = strdup(options && options->actions ? options->actions : COURIER_ACTIONS);
	if (!courier->actions)
		return fault(ENOMEM, "no memory for what tells of alarms");
	courier->hushed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (courier->hushed < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fault_errno(errno, "making a socket for what tells of alarms");
	const pid_t parent = getpid();
	courier->pid = fork();
	if (courier->pid == 0)
		courier_main(courier, pair[1], parent);
	int error = errno;
	(void)close(pair[1]);
	courier->control = pair[0];
	if (courier->pid < 0)
		return fault_errno(error, "forking what tells of alarms");
	*ret_courier = steal_pointer(&courier);
	return 0;
}

void courier_hush(Courier *courier) {
	const uint64_t one = 1;
	(void)!write(courier->hushed, &one, sizeof one);
}

void courier_stop(Courier *courier) {
	if (!courier)
		return;
	closep(&courier->control);
	closep(&courier->hushed);
	if (courier->pid > 0) {
		(void)kill(courier->pid, SIGKILL);
		(void)waitpid(courier->pid, NULL, 0);
	}
	free(courier->actions);
	free(courier);
}

bool courier_alive(Courier *courier) {
	struct pollfd fd = {.fd = courier->control, .events = POLLIN};
	return poll(&fd, 1, 0) == 0;
}

pid_t courier_pid(const Courier *courier) {
	return courier->pid;
}

static int say_gone(void) {
	return fault(ECHILD, "the process that tells of alarms is gone; it is there when the vault is mounted again");
}

static int hand_over(Courier *courier, int fd) {
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {0};
	uint32_t magic = COURIER_MAGIC;
	struct iovec part = {.iov_base = &magic, .iov_len = sizeof magic};
	struct msghdr message = {
	        .msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	/* One that is stopped takes nothing, and must not hold up who asks. */
	if (sendmsg(courier->control, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof magic)
		return 0;
	if (errno == EAGAIN || errno == ETOOMANYREFS)
		return fault(EAGAIN, "the process that tells of alarms takes nothing at the moment");
	return say_gone();
}

static int send_delivery(int fd, const struct courier_delivery *d) {
	json_t *delivery = json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*}", "target", d->target, "id",
	        d->id, "body", d->body, "timestamp", d->timestamp, "signature", d->signature, "subject", d->subject,
	        "text", d->text, "server", d->server, "from", d->from);
	_cleanup_(freep) char *text = delivery ? json_dumps(delivery, JSON_COMPACT) : NULL;
	json_decref(delivery);
	if (!text)
		return fault(ENOMEM, "no memory to tell of an alarm");
	if (strlen(text) >= COURIER_PACKET_MAX)
		return fault(EMSGSIZE, "what is to be told of an alarm is too long");
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return fault_errno(errno, "handing on what is to be told of an alarm");
	return 0;
}

/* -ECANCELED: hushed before there was one. */
static int take_answer(const Courier *courier, int fd, struct courier_outcome *ret) {
	struct courier_answer answer;
	struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = courier->hushed, .events = POLLIN}};
	int ready;
	do
		ready = poll(fds, 2, (int)(courier->seconds + GRACE_SECONDS) * 1000);
	while (ready < 0 && errno == EINTR);
	*ret = (struct courier_outcome){.is_delivered = false};
	if (ready > 0 && fds[0].revents == 0)
		return fault(ECANCELED, "the vault is being unmounted");
	ssize_t got = ready > 0 ? recv(fd, &answer, sizeof answer, 0) : -1;
	if (got != sizeof answer || answer.magic != COURIER_MAGIC) {
		(void)snprintf(ret->words, sizeof ret->words, "%s",
		        ready == 0 ? "it took too long" : "the process that delivers ended without an answer");
		return 0;
	}
	ret->is_delivered = answer.is_delivered != 0;
	ret->is_final = answer.is_final != 0;
	answer.words[sizeof answer.words - 1] = '\0';
	(void)snprintf(ret->words, sizeof ret->words, "%s", answer.words);
	return 0;
}

int courier_deliver(Courier *courier, const struct courier_delivery *delivery, struct courier_outcome *ret_outcome) {
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fault_errno(errno, "making a socket to tell of an alarm");
	_cleanup_(closep) int ours = pair[0];
	int rc = hand_over(courier, pair[1]);
	(void)close(pair[1]);
	if (rc == 0)
		rc = send_delivery(ours, delivery);
	if (rc == 0)
		rc = take_answer(courier, ours, ret_outcome);
	bool is_untold = rc == -EPIPE || rc == -ECONNRESET; /* there was no messenger to take it */
	if (is_untold)
		*ret_outcome = (struct courier_outcome){.words = "the process that delivers could not be started"};
	if (is_untold || (rc == 0 && !ret_outcome->is_delivered))
		rc = courier_alive(courier) ? 0 : say_gone();
	return rc;
}
