/*
 * service: what the running mount answers to the `assayfs` command, on its control socket.
 *
 *     service_start   after store_open, in the process that stays, once the mount is there
 *     service_stop    before store_close: ends all requests, nothing of the store is used afterwards
 *     service_end     after store_close: tells `assayfs umount` how it went
 *
 * Who may do what follows the policy's roles (the user who mounts holds them all while the policy names none), and for
 * files their mode bits; a denial is recorded in the audit log.
 *
 * What changes the tree (restore, policy, workflows) is the gate's to do; here are the questions, the rights and the
 * answers.
 */
#pragma once

#include "backend/audit.h"
#include "backend/backup/backup.h"
#include "backend/store.h"
#include "fs/alarm/alarms.h"
#include "fs/control.h"
#include "fs/costs.h"
#include "fs/http/address.h"
#include "fs/idle.h"
#include "fs/kms_watch.h"
#include "fs/lifecycle.h"
#include "fs/metrics.h"
#include "fs/trusted.h"
#include "fs/virtual.h"
#include "policy/gate/gate.h"
#include "policy/worker.h"

#include <stdatomic.h>

typedef struct Service Service;

struct service_options {
	Store *store;
	Gate *gate;
	Spawner *spawner;     /* for status; may be NULL */
	Trusted *trusted;     /* for status; may be NULL */
	Metrics *metrics;     /* may be NULL */
	Alarms *alarms;       /* NULL: they are not watched */
	Costs *costs;         /* may be NULL */
	Backup *backup;       /* may be NULL */
	Lifecycle *lifecycle; /* may be NULL */
	Idle *idle;           /* may be NULL */
	KmsWatch *kms;        /* may be NULL */
	/* Called when content can't be read any more (a key was disabled, or the vault locked): the kernel has some of
	 * it. May be NULL. */
	void (*closed)(void *arg);
	void *closed_arg;
	uid_t mounter;
	bool others;    /* allow_other */
	bool read_only; /* mounted with `ro`: nothing is changed for anybody; accesses are recorded all the same */
	const char *directory; /* of the control socket, instead of the usual one: for tests */
};

/* Opens the socket and begins to answer. -EBUSY when another process answers for this vault. */
int service_start(const struct service_options *options, Service **ret_service);

/* The status as JSON text, allocated: what `assayfs status --json` and .assayfs/status.json show. `service` is a
 * Service; names of files and grants are told only to whom `reader` lets know them. Until service_stop. */
int service_status_text(void *service, struct virtual_reader reader, char **ret_text, size_t *ret_size);

/* A request of the socket's made from within, for `peer`: as control_call. `service` is a Service. Until service_stop.
 */
int service_ask(void *service, const struct control_peer *peer, const char *command, const json_t *arguments,
        size_t limit, json_t **ret_items);

/* What the peer may over HTTP, as bits that differ where he would be told something else. 0: nothing at all, as he is
 * neither root nor who mounted, and holds no role. */
unsigned service_rights(void *service, const struct control_peer *peer);

/* What status tells of HTTP: where it is spoken, and whether it still is. Both stay the caller's; NULL: it is not. */
void service_tell_http(Service *service, const struct address *address, const atomic_bool *is_alive);

/* Records that somebody was refused at the HTTP address, as event `http`. */
void service_record_http_denied(void *service, const struct control_peer *peer, const char *detail);

/* Answers nothing more but how the mount ended (service_end). NULL is fine. */
void service_stop(Service *service);

/* `outcome` is what store_close returned, `words` why. Frees. Accepts NULL. */
void service_end(Service *service, int outcome, const char *words);
