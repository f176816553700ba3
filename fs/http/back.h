/*
 * back: the daemon's side of HTTP: for each request of the front, who asks, whether he may, and the document.
 *
 * Who asks is told by the kernel (a user of this machine, peer.h) or by a token (token.h). He gets what his roles let
 * him get, from the same handlers as on the control socket. At an address that others than this machine reach nothing
 * is told without a token; acts need a steward's token anywhere.
 *
 * A document is made anew at most once in 20 times what making it costs, and not twice at once: asking often takes at
 * most a twentieth of a processor.
 */
#pragma once

#include "backend/store.h"
#include "crypto/base/cleanup.h"
#include "fs/control.h"
#include "fs/http/front.h"

#include <stdatomic.h>

typedef struct Back Back;

struct back_options {
	const Front *front;
	Store *store;
	/* As service_ask, service_rights, service_record_http_denied. */
	int (*ask)(void *arg, const struct control_peer *peer, const char *command, const json_t *arguments,
	        size_t limit, json_t **ret_items);
	unsigned (*rights)(void *arg, const struct control_peer *peer);
	void (*denied)(void *arg, const struct control_peer *peer, const char *detail);
	void *arg;
};

/* -EPERM with words when the address is not loopback and the vault has no token. Before the mount is made. */
int back_check(Store *store, const struct address *address);

/* Begins to answer. -ENOMEM, -EAGAIN. */
int back_start(const struct back_options *options, Back **ret_back);

/* False from when the front has died. */
const atomic_bool *back_alive(const Back *back);

/* Ends after what is being answered. Accepts NULL. */
void back_stop(Back *back);
DEFINE_CLEANUP(Back, back_stop);

/*
 * One request of the front, an object, answered with an object: what the threads do, for tests. Never NULL but without
 * memory.
 */
json_t *back_answer(Back *back, const json_t *request);
