#include "fs/command/client.h"

#include "crypto/base/fault.h"
#include "fs/control.h"
#include "fs/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>

#define XATTR_VAULT "user.assayfs.vault"
#define XATTR_PATH "user.assayfs.path"

struct Client {
	int fd;
	pid_t server;
};

/* ---- where a path lies ---- */

/* Absolute, with "." and doubled slashes taken out. Links are left for the kernel to follow; ".." with them. */
static int make_absolute(const char *path, char ret_path[static PATH_MAX]) {
	char joined[2 * PATH_MAX];
	char here[PATH_MAX] = ""; /* stays empty for an absolute path */
	if (path[0] != '/' && !getcwd(here, sizeof here))
		return fault_errno(errno, "finding the working directory");
	size_t size = (size_t)snprintf(joined, sizeof joined, "%s/%s", here, path);
	if (size >= sizeof joined)
		return fault(ENAMETOOLONG, "the path is too long");
	size_t used = 0;
	for (const char *at = joined; *at;) {
		at += strspn(at, "/");
		size_t length = strcspn(at, "/");
		bool is_dot = length == 1 && *at == '.';
		if (length && !is_dot) {
			if (used + length + 2 > PATH_MAX)
				return fault(ENAMETOOLONG, "the path is too long");
			ret_path[used++] = '/';
			memcpy(ret_path + used, at, length);
			used += length;
		}
		at += length;
	}
	if (used == 0)
		ret_path[used++] = '/';
	ret_path[used] = '\0';
	return 0;
}

static int get_text(const char *path, const char *name, char *ret_text, size_t size) {
	ssize_t length = getxattr(path, name, ret_text, size - 1);
	if (length < 0)
		return -errno;
	ret_text[length] = '\0';
	return 0;
}

/* The parts of a path: what exists of it, and the rest. */
struct split {
	char there[PATH_MAX];
	char rest[PATH_MAX];        /* without a slash at its ends */
	char inside[WIRE_PATH_MAX]; /* the path in the vault of what exists */
};

/* Moves the last component from there to rest. False at the root. */
static bool go_up(struct split *split) {
	char *slash = strrchr(split->there, '/');
	size_t name = strlen(slash + 1);
	if (name == 0)
		return false;
	size_t rest = strlen(split->rest);
	memmove(split->rest + name + (rest ? 1 : 0), split->rest, rest + 1);
	memcpy(split->rest, slash + 1, name);
	if (rest)
		split->rest[name] = '/';
	slash[slash == split->there] = '\0';
	return true;
}

static bool has_dot_dot(const char *path) {
	for (const char *at = path; *at; at += strcspn(at, "/"), at += *at == '/')
		if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0'))
			return true;
	return false;
}

static bool may_have_xattrs(const char *path) {
	struct stat about;
	return stat(path, &about) == 0 && (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode));
}

/* Asks upwards until something answers. -ENOTCONN: not in a mounted vault. */
static int ask_upwards(struct split *split, struct client_place *place) {
	for (;;) {
		int rc = get_text(split->there, XATTR_VAULT, place->vault_id, sizeof place->vault_id);
		if (rc == 0)
			return 0;
		if (rc == -ENOTCONN)
			return fault(ENOTCONN,
			        "the process that served this mount is gone; 'assayfs umount DIR' clears it away");
		/* The kernel refuses user.* of links and devices, and of files one may not read: the parent knows, too.
		 */
		bool is_settled = (rc == -ENODATA || rc == -EOPNOTSUPP) && may_have_xattrs(split->there);
		if (is_settled || !go_up(split))
			return fault(ENOTCONN, "it is in no mounted vault ('assayfs mount VAULT DIR' mounts one)");
	}
}

static int join_path(const char *inside, const char *rest, char ret_path[static WIRE_PATH_MAX]) {
	inside += strspn(inside, "/");
	if (has_dot_dot(rest))
		return fault(EINVAL, "'..' after a name that does not exist");
	size_t length = (size_t)snprintf(ret_path, WIRE_PATH_MAX, "%s%s%s", inside, *inside && *rest ? "/" : "", rest);
	return length < WIRE_PATH_MAX ? 0 : fault(ENAMETOOLONG, "the path is too long");
}

static int fill_mount(const char *there, struct client_place *place) {
	_cleanup_(freep) struct mountinfo *mount = calloc(1, sizeof *mount);
	_cleanup_(freep) char *real = realpath(there, NULL);
	if (!mount)
		return fault(ENOMEM, "out of memory");
	if (!real)
		return fault_errno(errno, "resolving %s", there);
	int rc = mountinfo_find(real, mount);
	if (rc)
		return rc;
	snprintf(place->mountpoint, sizeof place->mountpoint, "%s", mount->mountpoint);
	place->mounter = mount->user;
	return 0;
}

int client_locate(const char *path, struct client_place *ret_place) {
	_cleanup_(freep) struct client_place *place = calloc(1, sizeof *place);
	_cleanup_(freep) struct split *split = calloc(1, sizeof *split);
	if (!place || !split)
		return fault(ENOMEM, "out of memory");
	int rc = make_absolute(path ? path : ".", split->there);
	if (!rc)
		rc = ask_upwards(split, place);
	if (rc)
		return rc;
	rc = get_text(split->there, XATTR_PATH, split->inside, sizeof split->inside);
	if (rc)
		return fault(-rc, "%s does not tell its path in the vault", split->there);
	rc = join_path(split->inside, split->rest, place->path);
	if (!rc)
		rc = fill_mount(split->there, place);
	if (!rc)
		*ret_place = *place;
	return rc;
}

int client_inside(const char *text, char ret_path[static WIRE_PATH_MAX]) {
	static const char *const tops[] = {"Landing", "Raw", "Trusted", ".assayfs"};
	size_t top = strcspn(text, "/"), length = strlen(text);
	while (length > top && text[length - 1] == '/')
		length--;
	if (length >= WIRE_PATH_MAX)
		return fault(ENAMETOOLONG, "the path is too long");
	for (size_t i = 0; i < sizeof tops / sizeof tops[0]; i++)
		if (strlen(tops[i]) == top && strncmp(text, tops[i], top) == 0) {
			memcpy(ret_path, text, length);
			ret_path[length] = '\0';
			return 0;
		}
	_cleanup_(freep) struct client_place *place = calloc(1, sizeof *place);
	if (!place)
		return fault(ENOMEM, "out of memory");
	int rc = client_locate(text, place);
	if (rc == 0)
		snprintf(ret_path, WIRE_PATH_MAX, "%s", place->path);
	return rc;
}

/* ---- the connection ---- */

void client_close(Client *client) {
	if (!client)
		return;
	closep(&client->fd);
	free(client);
}

pid_t client_server(const Client *client) {
	return client->server;
}

static bool is_id(const char *text) {
	size_t length = strlen(text);
	return length > 0 && length < 64 && strspn(text, "0123456789abcdef") == length;
}

/* -ENOTCONN when nobody answers there. */
static int try_socket(const char *directory, const struct client_place *place, int *ret_fd) {
	_cleanup_(closep) int folder = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return -ENOTCONN;
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fault_errno(errno, "making a socket");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	/* Through a descriptor: the directory's path may be longer than a socket's address. */
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", folder, place->vault_id);
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		return errno == EACCES ? fault_errno(EACCES, "connecting to %s/%s", directory, place->vault_id)
		                       : -ENOTCONN;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int check_server(Client *client, const struct client_place *place) {
	struct ucred server;
	socklen_t size = sizeof server;
	if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &server, &size) < 0)
		return fault_errno(errno, "asking who serves the mount");
	if (server.uid != 0 && server.uid != geteuid() && server.uid != place->mounter)
		return fault(EPERM, "the control socket belongs to uid %u, who did not make this mount",
		        (unsigned)server.uid);
	client->server = server.pid;
	return 0;
}

int client_connect(const struct client_place *place, Client **ret_client) {
	if (!is_id(place->vault_id))
		return fault(EPROTO, "the mount's vault id is malformed");
	_cleanup_(client_closep) Client *client = calloc(1, sizeof *client);
	if (!client)
		return fault(ENOMEM, "out of memory");
	client->fd = -1;
	const uid_t uids[] = {place->mounter, geteuid(), 0};
	int rc = -ENOTCONN;
	for (size_t i = 0; i < sizeof uids / sizeof uids[0] && rc == -ENOTCONN; i++) {
		char directory[PATH_MAX];
		if (control_directory(uids[i], directory, sizeof directory) == 0)
			rc = try_socket(directory, place, &client->fd);
	}
	if (rc == -ENOTCONN)
		return fault(ENOTCONN,
		        "no process answers for vault %s: was it mounted by another user, or in a container?",
		        place->vault_id);
	if (!rc)
		rc = check_server(client, place);
	if (!rc)
		*ret_client = steal_pointer(&client);
	return rc;
}

int client_open(const char *path, struct client_place *ret_place, Client **ret_client) {
	_cleanup_(freep) struct client_place *place = calloc(1, sizeof *place);
	if (!place)
		return fault(ENOMEM, "out of memory");
	int rc = client_locate(path, place);
	if (!rc)
		rc = client_connect(place, ret_client);
	if (!rc && ret_place)
		*ret_place = *place;
	return rc;
}

int client_open_operand(const struct invocation *call, int n, struct client_place *ret_place, Client **ret_client) {
	const char *path = command_operand(call, n);
	int rc = client_open(path, ret_place, ret_client);
	return rc ? command_fault(call, rc, "finding the vault of %s", path ? path : "'.'") : 0;
}

/* ---- questions ---- */

static int send_request(Client *client, const char *command, json_t *arguments) {
	if (!arguments)
		return fault(ENOMEM, "asking the mount: out of memory");
	_cleanup_(json_decrefp) json_t *request = json_pack("{s:s, s:o}", "command", command, "arguments", arguments);
	if (!request)
		return fault(ENOMEM, "asking the mount: out of memory");
	int rc = wire_send(client->fd, request, WIRE_REQUEST_MAX, CONTROL_ANSWER_MS);
	return rc == -EPIPE ? 0 : rc; /* a refusal may stand in the socket already: it says more */
}

/* 1: go on. Otherwise the call's result. */
static int take_answer(const json_t *answer, client_item *item, void *context) {
	const json_t *value = json_object_get(answer, "item");
	if (value) {
		int rc = item ? item(context, value) : 0;
		return rc == 0 ? 1 : rc > 0 ? 0 : rc;
	}
	const json_t *end = json_object_get(answer, "end");
	if (!json_is_integer(end) || json_integer_value(end) > 0 || json_integer_value(end) < -4095)
		return fault(EPROTO, "the mount's answer is malformed");
	int rc = (int)json_integer_value(end);
	const char *words = json_string_value(json_object_get(answer, "words"));
	return rc ? fault(-rc, "%s", words ? words : strerror(-rc)) : 0;
}

int client_call(Client *client, const char *command, json_t *arguments, client_item *item, void *context) {
	int rc = send_request(client, command, arguments);
	while (rc >= 0) {
		_cleanup_(json_decrefp) json_t *answer = NULL;
		rc = wire_receive(client->fd, WIRE_ANSWER_MAX, -1, &answer);
		if (rc == -ENODATA)
			return fault(ECONNRESET, "the mount ended while it answered");
		if (rc)
			return rc;
		rc = take_answer(answer, item, context);
		if (rc <= 0)
			return rc;
	}
	return rc;
}

static int keep_item(void *context, const json_t *item) {
	json_t **slot = context;
	if (*slot)
		return fault(EPROTO, "the mount answered twice");
	*slot = json_deep_copy(item);
	return *slot ? 0 : fault(ENOMEM, "out of memory");
}

int client_ask(Client *client, const char *command, json_t *arguments, json_t **ret_item) {
	_cleanup_(json_decrefp) json_t *item = NULL;
	int rc = client_call(client, command, arguments, keep_item, &item);
	if (rc)
		return rc;
	if (!item)
		return fault(EPROTO, "the mount did not answer '%s'", command);
	*ret_item = steal_pointer(&item);
	return 0;
}

/* ---- what the kernel has ---- */

int client_write_back(const struct client_place *place) {
	_cleanup_(closep) int fd = open(place->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? 0 : fault_errno(errno, "opening %s", place->mountpoint);
	return syncfs(fd) < 0 ? fault_errno(errno, "writing back %s", place->mountpoint) : 0;
}
