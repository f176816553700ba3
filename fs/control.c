#include "fs/control.h"

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "fs/words.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define HANDLERS_MAX 80
#define ATTENDING_MAX 16
#define STACK_BYTES ((size_t)1 << 20) /* jansson recurses up to WIRE_DEPTH_MAX; handlers use SQLite */
#define ENDING_MS 2000

struct handler {
	const char *name;
	enum control_access access;
	control_handler *run;
	void *context;
};

struct connection {
	int fd; /* -1: the slot is free */
	uid_t uid;
};

struct Control {
	char directory[PATH_MAX];
	char path[PATH_MAX + 64];
	char name[64];
	int directory_fd, listener, stop_event;
	uid_t owner;
	bool others;
	int request_ms, answer_ms;
	void (*denied)(void *context, const struct control_peer *peer, const char *command);
	void *denied_context;
	struct handler handlers[HANDLERS_MAX];
	size_t handler_count;
	pthread_t acceptor;
	bool is_started, is_stopped;
	/* Guards what follows. Taken alone; never while sending. */
	pthread_mutex_t lock;
	pthread_cond_t emptied;
	struct connection connections[CONTROL_CONNECTIONS_MAX];
	size_t connection_count;
	int attending[ATTENDING_MAX];
	size_t attending_count;
};

struct ControlReply {
	Control *control;
	struct connection *connection;
	int fd;
	struct control_peer peer;
	gid_t *groups;
	json_t *collected; /* instead of a connection: control_call */
	size_t bytes_left;
};

/* ---- directory and socket ---- */

int control_directory(uid_t uid, char *ret_path, size_t size) {
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char user[64];
	struct stat about;
	int length;
	snprintf(user, sizeof user, "/run/user/%u", (unsigned)uid);
	if (uid == 0)
		length = snprintf(ret_path, size, "/run/assayfs");
	else if (uid == geteuid() && runtime && *runtime == '/')
		length = snprintf(ret_path, size, "%s/assayfs", runtime);
	else if (stat(user, &about) == 0 && about.st_uid == uid)
		length = snprintf(ret_path, size, "%s/assayfs", user);
	else
		length = snprintf(ret_path, size, "/tmp/assayfs-%u", (unsigned)uid);
	if (length < 0 || (size_t)length >= size)
		return fault(ENAMETOOLONG, "the path of the directory for control sockets is too long");
	return 0;
}

/* A directory that is a link, another's, or writable by others could be swapped under us. */
static int check_directory(const Control *control) {
	struct stat about;
	if (fstat(control->directory_fd, &about) < 0)
		return fault_errno(errno, "looking at %s", control->directory);
	if (about.st_uid != geteuid())
		return fault(EPERM, "%s belongs to uid %u, not to you: remove it", control->directory,
		        (unsigned)about.st_uid);
	if (about.st_mode & 022)
		return fault(EPERM, "%s is writable by others: chmod go-w it", control->directory);
	return 0;
}

static int open_directory(Control *control) {
	mode_t mode = control->others ? 0711 : 0700;
	if (mkdir(control->directory, mode) < 0 && errno != EEXIST)
		return fault_errno(errno, "making the directory %s for the control socket", control->directory);
	control->directory_fd = open(control->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (control->directory_fd < 0)
		return fault_errno(errno, "opening the directory %s for the control socket", control->directory);
	int rc = check_directory(control);
	if (!rc && control->others && fchmod(control->directory_fd, 0711) < 0)
		return fault_errno(errno, "letting others pass through %s", control->directory);
	return rc;
}

/* Through the open directory, so that its path may be longer than a socket's 107 bytes and can't be swapped. */
static int address_of(const Control *control, struct sockaddr_un *ret_address) {
	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	int length = snprintf(ret_address->sun_path, sizeof ret_address->sun_path, "/proc/self/fd/%d/%s",
	        control->directory_fd, control->name);
	return length > 0 && (size_t)length < sizeof ret_address->sun_path ? 0 : -ENAMETOOLONG;
}

static bool is_answered(const struct sockaddr_un *address) {
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN);
}

static int bind_socket(Control *control) {
	struct sockaddr_un address;
	int rc = address_of(control, &address);
	if (rc)
		return fault(-rc, "the control socket's name %s is too long", control->name);
	control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->listener < 0)
		return fault_errno(errno, "making the control socket");
	/* The mode of the unbound socket is the one that bind gives the file: no moment with a wider one. */
	if (fchmod(control->listener, control->others ? 0666 : 0600) < 0)
		return fault_errno(errno, "setting the control socket's mode");
	const struct sockaddr *to = (const struct sockaddr *)&address;
	if (bind(control->listener, to, sizeof address) < 0) {
		if (errno != EADDRINUSE)
			return fault_errno(errno, "binding the control socket %s", control->path);
		if (is_answered(&address))
			return fault(EBUSY, "another mount of this vault answers on %s", control->path);
		if (unlinkat(control->directory_fd, control->name, 0) < 0 ||
		        bind(control->listener, to, sizeof address) < 0)
			return fault_errno(errno, "replacing the stale control socket %s", control->path);
	}
	if (control->others && fchmodat(control->directory_fd, control->name, 0666, 0) < 0)
		return fault_errno(errno, "opening the control socket to others");
	if (listen(control->listener, 32) < 0)
		return fault_errno(errno, "listening on %s", control->path);
	return 0;
}

static int check_name(const char *name) {
	size_t length = strlen(name);
	if (length == 0 || length > 63 || strspn(name, "0123456789abcdef") != length)
		return fault(EINVAL, "'%s' is no vault id", name);
	return 0;
}

static int set_up(Control *control, const struct control_options *options) {
	int rc = check_name(options->vault_id);
	if (rc)
		return rc;
	snprintf(control->name, sizeof control->name, "%s", options->vault_id);
	if (options->directory)
		snprintf(control->directory, sizeof control->directory, "%s", options->directory);
	else
		rc = control_directory(geteuid(), control->directory, sizeof control->directory);
	if (rc)
		return rc;
	snprintf(control->path, sizeof control->path, "%s/%s", control->directory, control->name);
	control->stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control->stop_event < 0)
		return fault_errno(errno, "making an event for the control socket");
	rc = open_directory(control);
	return rc ? rc : bind_socket(control);
}

static void free_control(Control *control) {
	closep(&control->listener);
	closep(&control->directory_fd);
	closep(&control->stop_event);
	pthread_cond_destroy(&control->emptied);
	pthread_mutex_destroy(&control->lock);
	free(control);
}

int control_open(const struct control_options *options, Control **ret_control) {
	Control *control = calloc(1, sizeof *control);
	if (!control)
		return fault(ENOMEM, "opening the control socket: out of memory");
	control->directory_fd = control->listener = control->stop_event = -1;
	control->owner = options->owner;
	control->others = options->others;
	control->request_ms = options->request_ms ? options->request_ms : CONTROL_REQUEST_MS;
	control->answer_ms = options->answer_ms ? options->answer_ms : CONTROL_ANSWER_MS;
	control->denied = options->denied;
	control->denied_context = options->denied_context;
	pthread_mutex_init(&control->lock, NULL);
	pthread_cond_init(&control->emptied, NULL);
	for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
		control->connections[i].fd = -1;
	int rc = set_up(control, options);
	if (rc) {
		free_control(control);
		return rc;
	}
	*ret_control = control;
	return 0;
}

const char *control_path(const Control *control) {
	return control->path;
}

static const struct handler *find_handler(const Control *control, const char *name) {
	for (size_t i = 0; i < control->handler_count; i++)
		if (strcmp(control->handlers[i].name, name) == 0)
			return &control->handlers[i];
	return NULL;
}

int control_register(
        Control *control, const char *name, enum control_access access, control_handler *handler, void *context) {
	if (find_handler(control, name))
		return fault(EEXIST, "a handler for '%s' is there already", name);
	if (control->handler_count == HANDLERS_MAX)
		return fault(ENOSPC, "more than %d handlers", HANDLERS_MAX);
	control->handlers[control->handler_count++] = (struct handler){name, access, handler, context};
	return 0;
}

/* ---- answering ---- */

static bool is_stopping(const Control *control) {
	struct pollfd stop = {.fd = control->stop_event, .events = POLLIN};
	return poll(&stop, 1, 0) > 0;
}

static int collect(ControlReply *reply, json_t *item) {
	size_t size = json_dumpb(item, NULL, 0, JSON_COMPACT);
	if (size > reply->bytes_left) {
		json_decref(item);
		return fault(EMSGSIZE, "the answer is too long; ask for less");
	}
	reply->bytes_left -= size;
	return json_array_append_new(reply->collected, item) ? fault(ENOMEM, "answering: out of memory") : 0;
}

int control_send(ControlReply *reply, json_t *item) {
	if (!item)
		return fault(ENOMEM, "answering: out of memory");
	if (reply->collected)
		return collect(reply, item);
	_cleanup_(json_decrefp) json_t *message = json_pack("{s:o}", "item", item);
	if (!message)
		return fault(ENOMEM, "answering: out of memory");
	int rc = is_stopping(reply->control)
	                 ? fault(ECANCELED, "the mount is ending")
	                 : wire_send(reply->fd, message, WIRE_ANSWER_MAX, reply->control->answer_ms);
	return rc;
}

int control_wait(ControlReply *reply, int timeout_ms) {
	struct pollfd fds[] = {
	        {.fd = reply->fd, .events = POLLRDHUP}, {.fd = reply->control->stop_event, .events = POLLIN}};
	if (poll(fds, 2, timeout_ms) <= 0)
		return 0;
	if (fds[1].revents)
		return fault(ECANCELED, "the mount is ending");
	return fds[0].revents ? fault(EPIPE, "the client is gone") : 0;
}

static void send_end(int fd, int outcome, const char *words, int timeout_ms) {
	_cleanup_(json_decrefp) json_t *message = json_pack("{s:i}", "end", outcome);
	if (message && outcome && words) {
		_cleanup_(freep) char *safe =
		        words_is_utf8(words) ? NULL : words_safe(words); /* a name may stand in it */
		json_object_set_new(message, "words", json_string(safe ? safe : words));
	}
	if (message)
		(void)wire_send(fd, message, WIRE_ANSWER_MAX, timeout_ms);
}

/* Who gave up waiting leaves its place to others. With the lock held. */
static void forget_departed(Control *control) {
	for (size_t i = control->attending_count; i-- > 0;) {
		struct pollfd end = {.fd = control->attending[i], .events = POLLRDHUP};
		if (poll(&end, 1, 0) <= 0)
			continue;
		(void)close(control->attending[i]);
		control->attending[i] = control->attending[--control->attending_count];
	}
}

static int require_owner(ControlReply *reply, const char *command, const char *what) {
	Control *control = reply->control;
	if (reply->peer.uid == 0 || reply->peer.uid == control->owner)
		return 0;
	if (control->denied)
		control->denied(control->denied_context, &reply->peer, command);
	return fault(EACCES, "only uid %u, who mounted the vault, and root may %s", (unsigned)control->owner, what);
}

/* Keeps the connection beyond the thread: it hears of the mount's end. The item tells the client that it may begin that
 * end: whatever happens from now on, it will be told. */
static int attend(ControlReply *reply) {
	Control *control = reply->control;
	int rc = require_owner(reply, "attend", "wait for its end");
	if (!rc)
		rc = control_send(reply, json_object());
	if (rc)
		return rc;
	pthread_mutex_lock(&control->lock);
	forget_departed(control);
	if (control->attending_count == ATTENDING_MAX)
		rc = fault(EAGAIN, "too many wait for the end of this mount");
	else
		control->attending[control->attending_count++] = reply->connection->fd;
	if (!rc)
		reply->connection->fd = -2; /* in use, but its descriptor has gone elsewhere */
	pthread_mutex_unlock(&control->lock);
	return rc;
}

static int dispatch(ControlReply *reply, const char *name, const json_t *arguments) {
	Control *control = reply->control;
	if (!name || !json_is_object(arguments))
		return fault(EPROTO, "a request without command or arguments");
	const struct handler *handler = find_handler(control, name);
	if (!handler)
		return fault(ENOSYS, "this mount does not know '%.64s'; it may be of another version of assayfs", name);
	int rc = handler->access == CONTROL_OWNER ? require_owner(reply, handler->name, "do this") : 0;
	if (rc)
		return rc;
	fault_clear();
	return handler->run(handler->context, &reply->peer, arguments, reply);
}

int control_call(Control *control, const struct control_peer *peer, const char *command, const json_t *arguments,
        size_t limit, json_t **ret_items) {
	_cleanup_(json_decrefp) json_t *items = json_array();
	if (!items)
		return fault(ENOMEM, "answering: out of memory");
	/* poll passes over a descriptor that is none, so control_wait waits for the time and the end of the mount. */
	ControlReply reply = {.control = control, .fd = -1, .peer = *peer, .collected = items, .bytes_left = limit};
	int rc = dispatch(&reply, command, arguments);
	if (rc >= 0)
		*ret_items = steal_pointer(&items);
	return rc < 0 ? rc : 0;
}

static void answer(ControlReply *reply) {
	_cleanup_(json_decrefp) json_t *request = NULL;
	int rc = wire_receive(reply->fd, WIRE_REQUEST_MAX, reply->control->request_ms, &request);
	if (rc == -ENODATA)
		return;
	const char *name = rc ? NULL : json_string_value(json_object_get(request, "command"));
	bool is_attending = name && strcmp(name, "attend") == 0;
	if (is_attending)
		rc = attend(reply);
	else if (!rc)
		rc = dispatch(reply, name, json_object_get(request, "arguments"));
	if (is_attending && !rc)
		return;
	send_end(reply->fd, rc, *fault_message() ? fault_message() : strerror(-rc), reply->control->answer_ms);
}

static void release(ControlReply *reply) {
	Control *control = reply->control;
	pthread_mutex_lock(&control->lock);
	if (reply->connection->fd >= 0)
		(void)close(reply->connection->fd);
	reply->connection->fd = -1;
	if (--control->connection_count == 0)
		pthread_cond_broadcast(&control->emptied);
	pthread_mutex_unlock(&control->lock);
	free(reply->groups);
	free(reply);
}

static void *serve(void *argument) {
	ControlReply *reply = argument;
	answer(reply);
	release(reply);
	return NULL;
}

/* ---- accepting ---- */

static void read_program(struct control_peer *peer) {
	char link[64], target[PATH_MAX];
	snprintf(link, sizeof link, "/proc/%d/exe", (int)peer->pid);
	ssize_t length = readlink(link, target, sizeof target - 1);
	if (length <= 0)
		return;
	target[length] = '\0';
	const char *name = strrchr(target, '/');
	snprintf(peer->exe, sizeof peer->exe, "%.63s", name ? name + 1 : target);
}

static int read_peer(ControlReply *reply) {
	struct ucred credentials;
	socklen_t size = sizeof credentials;
	if (getsockopt(reply->fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return -errno;
	reply->peer.uid = credentials.uid;
	reply->peer.gid = credentials.gid;
	reply->peer.pid = credentials.pid;
	size = 0;
	if (getsockopt(reply->fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) < 0 && errno == ERANGE && size) {
		reply->groups = malloc(size);
		/* Without its groups a peer can do less, never more. */
		if (reply->groups && getsockopt(reply->fd, SOL_SOCKET, SO_PEERGROUPS, reply->groups, &size) == 0)
			reply->peer.group_count = size / sizeof(gid_t);
		reply->peer.groups = reply->groups;
	}
	read_program(&reply->peer);
	return 0;
}

/* Takes a slot for the connection, or NULL when there are too many. */
static struct connection *take_slot(Control *control, int fd, uid_t uid) {
	struct connection *slot = NULL;
	size_t same = 0;
	pthread_mutex_lock(&control->lock);
	for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++) {
		struct connection *connection = &control->connections[i];
		if (connection->fd == -1)
			slot = connection;
		else if (connection->uid == uid)
			same++;
	}
	if (!slot || !control_has_place(control->connection_count, same, uid == 0)) {
		slot = NULL;
	} else {
		*slot = (struct connection){.fd = fd, .uid = uid};
		control->connection_count++;
	}
	pthread_mutex_unlock(&control->lock);
	return slot;
}

static int start_thread(pthread_t *ret_thread, void *(*run)(void *), void *argument, bool is_detached) {
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
	if (is_detached)
		(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	/* Signals are for the mount's main thread. */
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(ret_thread, &attributes, run, argument);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return error ? fault_errno(error, "starting a thread for the control socket") : 0;
}

/* Whether this peer may have its request read, and a slot for it. */
static int admit(ControlReply *reply) {
	Control *control = reply->control;
	int rc = read_peer(reply);
	if (rc)
		return fault(-rc, "who is asking can't be told");
	if (!control->others && reply->peer.uid != 0 && reply->peer.uid != control->owner)
		return fault(EACCES, "this mount is for uid %u alone, who made it without allow_other",
		        (unsigned)control->owner);
	reply->connection = take_slot(control, reply->fd, reply->peer.uid);
	return reply->connection ? 0 : fault(EAGAIN, "too many commands at once; try again");
}

static void take_connection(Control *control, int fd) {
	ControlReply *reply = calloc(1, sizeof *reply);
	if (!reply) {
		(void)close(fd);
		return;
	}
	reply->control = control;
	reply->fd = fd;
	int rc = admit(reply);
	if (rc) {
		send_end(fd, rc, fault_message(), 0);
		(void)close(fd);
		free(reply->groups);
		free(reply);
		return;
	}
	pthread_t thread;
	if (start_thread(&thread, serve, reply, true) < 0)
		release(reply);
}

static void *accept_all(void *argument) {
	Control *control = argument;
	struct pollfd fds[] = {
	        {.fd = control->listener, .events = POLLIN}, {.fd = control->stop_event, .events = POLLIN}};
	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents)
			return NULL;
		int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			take_connection(control, fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			(void)poll(&fds[1], 1, 100); /* the connection stays in the queue: don't spin on it */
	}
}

int control_start(Control *control) {
	int rc = start_thread(&control->acceptor, accept_all, control, false);
	control->is_started = rc == 0;
	return rc;
}

/* ---- ending ---- */

static void shut_all(Control *control, int how) {
	for (size_t i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
		if (control->connections[i].fd >= 0)
			(void)shutdown(control->connections[i].fd, how);
}

/* Who is being read from is interrupted at once; who is being answered has a moment to take the end. */
static void end_connections(Control *control) {
	struct timespec until = deadline_after_ms(ENDING_MS);
	pthread_mutex_lock(&control->lock);
	shut_all(control, SHUT_RD);
	while (control->connection_count)
		if (pthread_cond_clockwait(&control->emptied, &control->lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
			break;
	shut_all(control, SHUT_RDWR);
	while (control->connection_count)
		pthread_cond_wait(&control->emptied, &control->lock);
	pthread_mutex_unlock(&control->lock);
}

void control_stop(Control *control) {
	if (!control || control->is_stopped)
		return;
	control->is_stopped = true;
	uint64_t one = 1;
	ssize_t written = write(control->stop_event, &one, sizeof one);
	(void)written; /* an eventfd takes its first count */
	if (control->is_started)
		pthread_join(control->acceptor, NULL);
	end_connections(control);
}

void control_close(Control *control, int outcome, const char *words) {
	if (!control)
		return;
	control_stop(control);
	(void)unlinkat(control->directory_fd, control->name, 0);
	for (size_t i = 0; i < control->attending_count; i++) {
		send_end(control->attending[i], outcome, words, ENDING_MS);
		(void)close(control->attending[i]);
	}
	free_control(control);
}
