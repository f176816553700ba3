/*
 * control: the running mount's socket, through which the `assayfs` command speaks with it.
 *
 *     /run/assayfs/VAULT-ID                    a mount by root
 *     $XDG_RUNTIME_DIR/assayfs/VAULT-ID        by anybody else; without that variable /run/user/UID, else
 * /tmp/assayfs-UID
 *
 *     accept thread ── one thread a connection ── one request ── handler ── answers … end
 *
 * Who may connect: the user who mounted, and root; with allow_other everybody, for the handlers that say so (they look
 * at the role themselves). The kernel vouches for uid, gid and pid (SO_PEERCRED); the handler gets them for its audit
 * records.
 *
 * A client can't hurt the mount: connections are bounded in all and for each uid, a request must be there within
 * seconds, an answer that is not read is dropped after a while, and memory for a request grows only with bytes that
 * came. A handler must not hold a lock of the store while it sends.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "fs/control_wire.h"

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#define CONTROL_CONNECTIONS_MAX 64
#define CONTROL_CONNECTIONS_PER_UID 16

/*
 * Whether a user who has `own` of the `taken` connections may have one more. Root keeps the last places for itself; of
 * the others' a user may have up to 16, but not more than are left free: the fuller it is, the fewer for each, so that
 * no few users together fill them all.
 */
static inline bool control_has_place(size_t taken, size_t own, bool is_root) {
	size_t limit = is_root ? CONTROL_CONNECTIONS_MAX : CONTROL_CONNECTIONS_MAX - CONTROL_CONNECTIONS_PER_UID;
	if (own >= CONTROL_CONNECTIONS_PER_UID || taken >= limit)
		return false;
	return is_root || own == 0 || own < limit - taken;
}
#define CONTROL_REQUEST_MS 10000 /* a request must have come after this long */
#define CONTROL_ANSWER_MS 30000  /* a message must have been taken after this long */

typedef struct Control Control;
typedef struct ControlReply ControlReply;

/* Who is at the other end. */
struct control_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	const gid_t *groups; /* supplementary; belongs to the connection */
	size_t group_count;
	char exe[64]; /* the program's name, "" when not to be seen */
	/* Bits 1 << enum policy_role: what a token of the HTTP address gives. Never of who comes by the socket. */
	unsigned token_roles;
};

/*
 * Answers one request, in a thread of its own. Sends any number of items and returns 0, or -errno with fault() words,
 * which the client shows. `arguments` is an object (perhaps empty) from an untrusted client, borrowed.
 */
typedef int control_handler(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply);

enum control_access {
	CONTROL_OWNER, /* the user who mounted, and root */
	CONTROL_ANY,   /* whoever may connect; the handler checks the role */
};

struct control_options {
	const char *vault_id;      /* the socket's name: lower-case hexadecimal */
	uid_t owner;               /* who mounted */
	bool others;               /* allow_other */
	const char *directory;     /* instead of the usual one: for tests */
	int request_ms, answer_ms; /* instead of the usual ones, when not 0 */

	/* Called when a peer is refused what only the owner may, so that it can be recorded; a handler's own refusals
	 * are its own to record. May be NULL. */
	void (*denied)(void *context, const struct control_peer *peer, const char *command);
	void *denied_context;
};

/* Makes directory and socket, listening but not yet answering. A socket left by a dead mount is replaced; -EBUSY when
 * somebody listens on it. Call it in the process that stays (after daemonising), before threads change the umask. */
int control_open(const struct control_options *options, Control **ret_control);

/* Adds a handler; only before control_start. `name` and `context` are borrowed. -EEXIST, -ENOSPC. */
int control_register(
        Control *control, const char *name, enum control_access access, control_handler *handler, void *context);

/* Begins to answer. */
int control_start(Control *control);

/*
 * Asks a handler from within the mount, for `peer`; the answer's items in one array. -ENOSYS: there is no such handler;
 * -EMSGSIZE: more than `limit` bytes of JSON; -EACCES for what is the owner's alone; else as the handler. `arguments`
 * is borrowed. Any thread; before control_close only.
 */
int control_call(Control *control, const struct control_peer *peer, const char *command, const json_t *arguments,
        size_t limit, json_t **ret_items);

/* Ends all requests (handlers see it through control_wait and failing sends) and waits for their threads. Only the
 * clients that wait for the end of the mount (`attend`) stay connected. Nothing of the store is used afterwards. */
void control_stop(Control *control);

/* Tells those who attend how the mount ended (0, or -errno and the words), removes the socket, frees. Stops first when
 * that was not done. Accepts NULL. */
void control_close(Control *control, int outcome, const char *words);

/* control_close for _cleanup_, on the way out of a mount that failed. NULL is fine. */
static inline void control_closep(Control **slot) {
	control_close(*slot, -ECANCELED, "the mount did not come about");
	*slot = NULL;
}

/* The socket's path, for messages. */
const char *control_path(const Control *control);

/* ---- for handlers ---- */

/* Sends one item (the reference is taken over, NULL is -ENOMEM). -EPIPE: the client is gone, -ETIMEDOUT: it does not
 * read, -ECANCELED: the mount is ending. The handler should return the error as it is. */
int control_send(ControlReply *reply, json_t *item);

/* Sleeps up to `timeout_ms`. 0: time is up, go on; -EPIPE: the client is gone; -ECANCELED: the mount is ending. */
int control_wait(ControlReply *reply, int timeout_ms);

/* ---- for both ends ---- */

/* The directory where a mount by `uid` has its socket. -ENAMETOOLONG. */
int control_directory(uid_t uid, char *ret_path, size_t size);
