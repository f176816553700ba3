/*
 * actor: who makes a request, for permissions and for the audit log.
 *
 * The ids come with the request; the program's name is read from /proc: the base name of the executable, or, where that
 * can't be read (kernel threads, other users' programs when the daemon isn't root), the thread's name in brackets.
 * WRITE and RELEASE come without a process, so an open file keeps the actor of its open.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend/audit.h"
#include "fs/access.h"
#include "fs/gate_hooks.h"
#include "fs/programs.h"

struct fuse_req;

/* The process that thread `tid` belongs to; `tid` itself when that can't be told. */
pid_t actor_process(pid_t tid);

/* Reads a small file of /proc, `path` from `directory` (AT_FDCWD: none) on, as text with a NUL; what `size` has no room
 * for is left out. False when it can't be read: the process is gone, or another's. */
bool actor_read_proc(int directory, const char *path, char *ret_text, size_t size);

/* Fills uid, gid, pid and exe for thread `tid` (0: nobody in particular; exe is "" then). `programs` keeps the way
 * there for the next time; NULL: it is gone each time. in_operation: between meta_begin and meta_end (programs.h). */
void actor_of_process(
        struct programs *programs, bool in_operation, uint32_t uid, uint32_t gid, pid_t tid, struct actor *ret);

/* The actor of a running request. Valid because the caller waits for the reply: its pid can't be used anew. */
void actor_of_request(struct fuse_req *req, bool in_operation, struct actor *ret);

/* The daemon itself. */
void actor_of_daemon(struct actor *ret);

/* The caller's supplementary groups, read from /proc (so `req` must still wait); free() them. NULL with *ret_count 0
 * when there are none or they can't be read. */
gid_t *actor_groups(struct fuse_req *req, size_t *ret_count);

/* What access functions ask of a request is kept here, so that it is asked once. Small, as every request has one. */
struct actor_answers {
	struct fuse_req *req;
	uint64_t acl_node; /* whose ACL was asked for last, and the answer; 0: nobody's */
	int acl_rc;
	const char *path;          /* by which a node is asked for that none of its names shows; NULL: by its names */
	struct gate_permit permit; /* the last by which a grant let pass what no role did */
	int group_count;           /* of all that there are; -1: not asked yet */
	gid_t groups[64];
};

/* For the access functions. Supplementary groups are asked from /proc when needed, so `req` must still wait; ACLs from
 * the metadata, so nodes that have attributes are judged in a meta operation. `answers` must outlive what is returned,
 * and be told of an ACL that was changed (acl_node = 0). */
struct access_subject actor_subject(struct fuse_req *req, struct actor_answers *answers);
