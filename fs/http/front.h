/*
 * front: the process that speaks HTTP. It is forked before there is a key or a thread, has no files, no network but the
 * socket that it listens on, and a bounded memory; what it tells it asks of the daemon, whose threads (back.h) answer.
 *
 *      browser ── TCP ──► front: Host, headers, limits, half a second's memory ── lane ──► back: who, right, document
 *
 *      lane ─► {"method","path","params":{…},"token","local","remote","accept","body"}         control_wire's messages
 *           ◄─ {"status":200,"right":"uid:0","type":"application/json","body":"…"}
 *
 * It has low priority and takes at most a twentieth of a processor; a connection has seconds for its headers, the fewer
 * the more there are. It dies with the daemon; when it dies alone the mount goes on.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "fs/http/address.h"

#include <sys/types.h>

#define FRONT_LANES 3

typedef struct Front Front;

/* Binds `address` ("127.0.0.1:9475"; port 0: any) and forks. -EADDRINUSE and others with words. Before threads. */
int front_start(const char *address, Front **ret_front);

/* Where it listens, with the real port. */
const struct address *front_address(const Front *front);

/* The daemon's end of a lane; stays the front's. */
int front_lane(const Front *front, size_t lane);

/* The process. */
pid_t front_pid(const Front *front);

/* Ends the process. Accepts NULL. */
void front_stop(Front *front);
DEFINE_CLEANUP(Front, front_stop);

/* The process's whole life; for front_start. */
_Noreturn void front_main(
        int listener, const int lanes[static FRONT_LANES], const struct address *address, pid_t parent);
