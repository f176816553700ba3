/*
 * peer: which user of this machine is at the other end of a TCP connection of this machine. The kernel is asked
 * (sock_diag, exactly that pair of addresses), so it takes no word of the client's.
 */
#pragma once

#include "fs/http/address.h"

#include <sys/types.h>

/* `client` is the other end's own address and port, `server` ours. -ENOENT: no such connection of this machine. */
int peer_uid(const struct address *client, const struct address *server, uid_t *ret_uid);
