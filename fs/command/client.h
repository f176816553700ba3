/*
 * client: the command's end of the control socket: from a path in a mounted vault to its mount.
 *
 * The mount is found by asking the path itself: getxattr user.assayfs.vault (the vault's id) and user.assayfs.path (its
 * path inside) of the path or of its nearest parent that exists, so that the paths of deleted files work. Where that is
 * not to be had (root at another user's mount, a mount whose daemon is gone) /proc/self/mountinfo helps.
 *
 * The process that answers must belong to root, to oneself, or to the user who made the mount.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "fs/command/command.h"
#include "fs/control_wire.h"

#include <jansson.h>
#include <sys/types.h>

typedef struct Client Client;

struct client_place {
	char vault_id[64];
	char mountpoint[WIRE_PATH_MAX];
	char path[WIRE_PATH_MAX]; /* inside the vault, "Landing/a.csv"; "" for the mount's root */
	uid_t mounter;            /* whose process serves the mount */
};

/* Where `path` (NULL: the working directory) lies. -ENOTCONN: in no mounted vault; -ENOENT etc. as of the path itself.
 */
int client_locate(const char *path, struct client_place *ret_place);

/* Of `text`, a path of the file system or one of the vault (which begins with Landing, Raw, Trusted or .assayfs and
 * need not be seen from here), the path in the vault. */
int client_inside(const char *text, char ret_path[static WIRE_PATH_MAX]);

/* Sends the daemon what programs wrote and still hold open, which may be in the kernel's page cache alone. 0 for who
 * may not open the mount. Errors of opening and of writing back. */
int client_write_back(const struct client_place *place);

/* Connects to the mount at `place`. -ENOTCONN when no process serves it any more; -EPERM when a stranger's does. */
int client_connect(const struct client_place *place, Client **ret_client);

/* client_locate and client_connect. `ret_place` may be NULL. */
int client_open(const char *path, struct client_place *ret_place, Client **ret_client);

/* As client_open for operand `n` of the command, or the working directory where it was not given. 0, or the exit code
 * after saying on stderr that no vault was found there. */
int client_open_operand(const struct invocation *call, int n, struct client_place *ret_place, Client **ret_client);

/* Ends the connection. NULL is fine. */
void client_close(Client *client);
DEFINE_CLEANUP(Client, client_close);

/* The process that serves the mount, by the kernel's word. */
pid_t client_server(const Client *client);

/* Called for each item of an answer (borrowed). 0 to go on; a positive number ends the call with 0; -errno fails it. */
typedef int client_item(void *context, const json_t *item);

/* Sends a request and hears the answer to its end. `arguments` (the reference is taken over; NULL when the caller ran
 * out of memory: -ENOMEM) is an object. The result is the handler's, its words are in fault_message(). -ECONNRESET when
 * the mount ends meanwhile. One request a Client. */
int client_call(Client *client, const char *command, json_t *arguments, client_item *item, void *context);

/* As client_call for an answer of exactly one item, which becomes the caller's. -EPROTO for none or more. */
int client_ask(Client *client, const char *command, json_t *arguments, json_t **ret_item);
