#include "fs/http/front.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define BACKLOG 512

struct Front {
	struct address address;
	int lanes[FRONT_LANES];
	pid_t pid;
};

static int listen_on(struct address *address, int *ret_fd) {
	char text[ADDRESS_TEXT_BYTES];
	int one = 1;
	_cleanup_(closep) int fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fault_errno(errno, "making a socket for HTTP");
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (const struct sockaddr *)&address->socket, address->size) < 0 || listen(fd, BACKLOG) < 0)
		return errno == EADDRINUSE
		               ? fault(EADDRINUSE,
		                         "another program listens on %s; choose another port with --http "
		                         "(0: any that is free)",
		                         address_text(address, text))
		               : fault_errno(errno, "listening on %s for HTTP", address_text(address, text));
	address->size = sizeof address->socket;
	if (getsockname(fd, (struct sockaddr *)&address->socket, &address->size) < 0)
		return fault_errno(errno, "asking for the port of the HTTP address");
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int fork_front(Front *front, int listener) {
	int theirs[FRONT_LANES];
	for (size_t i = 0; i < FRONT_LANES; i++)
		theirs[i] = -1;
	int rc = 0;
	for (size_t i = 0; !rc && i < FRONT_LANES; i++) {
		int pair[2];
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
			rc = fault_errno(errno, "making a socket for HTTP");
		} else {
			front->lanes[i] = pair[0];
			theirs[i] = pair[1];
		}
	}
	pid_t parent = getpid();
	if (!rc && (front->pid = fork()) == 0)
		front_main(listener, theirs, &front->address, parent);
	if (!rc && front->pid < 0)
		rc = fault_errno(errno, "forking the process that speaks HTTP");
	for (size_t i = 0; i < FRONT_LANES; i++)
		closep(&theirs[i]);
	return rc;
}

int front_start(const char *address, Front **ret_front) {
	_cleanup_(front_stopp) Front *front = calloc(1, sizeof *front);
	_cleanup_(closep) int listener = -1;
	if (!front)
		return fault(ENOMEM, "starting HTTP: out of memory");
	front->pid = -1;
	for (size_t i = 0; i < FRONT_LANES; i++)
		front->lanes[i] = -1;
	int rc = address_parse(address, &front->address);
	if (!rc)
		rc = listen_on(&front->address, &listener);
	if (!rc)
		rc = fork_front(front, listener);
	if (!rc)
		*ret_front = steal_pointer(&front);
	return rc;
}

const struct address *front_address(const Front *front) {
	return &front->address;
}

int front_lane(const Front *front, size_t lane) {
	return front->lanes[lane];
}

pid_t front_pid(const Front *front) {
	return front->pid;
}

void front_stop(Front *front) {
	if (!front)
		return;
	if (front->pid > 0) {
		(void)kill(front->pid, SIGKILL); /* it has nothing to finish */
		while (waitpid(front->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	for (size_t i = 0; i < FRONT_LANES; i++)
		closep(&front->lanes[i]);
	free(front);
}
