/*
 * courier: notifications of alarms brought out of the house, by a process that has no keys.
 *
 *     daemon (keys, threads)            courier (no keys, one thread)     messenger (one a delivery)
 *     courier_deliver ── packet, fd ──► fork ──────────────────────────► webhook: POST by libcurl
 *        │  the delivery as JSON ────────────────────────────────────►   mailto:  SMTP by libcurl
 *        └─ what became of it ◄───────────────────────────────────────   command: a program, the JSON on its input
 *
 * courier_start must be called before a key is unlocked and before any thread is made: the courier is a copy of the
 * process as it was then, with no descriptor of it but its socket. It dies with the daemon. It is not started anew when
 * it dies, since a copy of the daemon would then hold keys: what is to be told waits until the vault is mounted again.
 *
 * A messenger for the net gives up root (as `nobody`), may write no file and raise no right; it follows no redirect,
 * speaks http and https (or smtp and smtps) alone, verifies certificates, reads 64 KiB of an answer at most. One that
 * runs a command keeps the user who mounted, and runs only what lies as a plain file in the directory of actions, both
 * owned by root or that user and writable by nobody else, with a clean environment, no descriptor but the delivery on
 * standard input, and for a limited time; then its whole process group is killed.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/alarm/target.h"

#include <stdbool.h>
#include <sys/types.h>

#define COURIER_ACTIONS "/etc/assayfs/actions"
#define COURIER_SECONDS 20u
#define COURIER_WORDS_BYTES 256

typedef struct Courier Courier;

struct courier_options {
	const char *actions; /* NULL: COURIER_ACTIONS */
	unsigned seconds;    /* for one delivery; 0: COURIER_SECONDS */
};

/* Forks it. `options` may be NULL. */
int courier_start(const struct courier_options *options, Courier **ret_courier);
/* Ends it and all that it is about. Accepts NULL. */
void courier_stop(Courier *courier);
DEFINE_CLEANUP(Courier, courier_stop);

/* The vault is being unmounted: whoever waits for a delivery, or asks for one from now on, gets -ECANCELED at once. */
void courier_hush(Courier *courier);

/* Is it there? */
bool courier_alive(Courier *courier);
pid_t courier_pid(const Courier *courier);

struct courier_delivery {
	const char *target;    /* of alarm/target.h */
	const char *id;        /* the same for each attempt */
	const char *body;      /* JSON */
	const char *timestamp; /* webhook: of the attempt, as it was signed */
	const char *signature;
	const char *subject; /* mail: a line of UTF-8 */
	const char *text;    /* mail: what a person reads */
	const char *server, *from;
};

struct courier_outcome {
	bool is_delivered;
	bool is_final; /* the receiver wants no more of it: 410 Gone */
	char words[COURIER_WORDS_BYTES];
};

/*
 * Tries once, and waits for it, for no longer than a few seconds beyond the limit. Thread-safe. 0 with an outcome,
 * which may well be a failure. -ECHILD: the courier is gone, and nothing was tried. -EAGAIN: it takes nothing now.
 * -ECANCELED after courier_hush: it may have been delivered or not.
 */
int courier_deliver(Courier *courier, const struct courier_delivery *delivery, struct courier_outcome *ret_outcome);
