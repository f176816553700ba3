#include "fs/actor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crypto/base/cleanup.h"
#include "fs/filesystem.h"
#include "fs/fuse.h"

static_assert(sizeof(((struct actor *)0)->exe) == PROGRAM_NAME_BYTES, "");

bool actor_read_proc(int directory, const char *path, char *ret_text, size_t size) {
	_cleanup_(closep) int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, ret_text, size - 1);
	if (length <= 0)
		return false;
	ret_text[length] = '\0';
	return true;
}

static void name_from_comm(pid_t tid, char ret_exe[static 64]) {
	char path[64], comm[32];
	snprintf(path, sizeof path, "/proc/%d/comm", tid);
	if (actor_read_proc(AT_FDCWD, path, comm, sizeof comm))
		snprintf(ret_exe, 64, "[%.*s]", (int)strcspn(comm, "\n"), comm);
}

/* The request names a thread; if it leads its group it is the process. tgkill with signal 0 tells that in a fraction of
 * a microsecond (pidfd_open 4); for other threads the group stands in status. */
pid_t actor_process(pid_t tid) {
	if (syscall(SYS_tgkill, tid, tid, 0) == 0 || errno != ESRCH)
		return tid;
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/%d/status", tid);
	if (!actor_read_proc(AT_FDCWD, path, text, sizeof text))
		return tid;
	const char *group = strstr(text, "\nTgid:");
	long pid = group ? strtol(group + 6, NULL, 10) : 0;
	return pid > 0 ? (pid_t)pid : tid;
}

void actor_of_process(
        struct programs *programs, bool in_operation, uint32_t uid, uint32_t gid, pid_t tid, struct actor *ret) {
	*ret = (struct actor){.uid = uid, .gid = gid};
	if (tid <= 0 || (programs && programs_ask(programs, tid, in_operation, &ret->pid, ret->exe)))
		return;
	ret->pid = actor_process(tid);
	bool named =
	        programs ? programs_keep(programs, tid, ret->pid, in_operation, ret->exe) : program_name(tid, ret->exe);
	if (!named)
		name_from_comm(tid, ret->exe);
}

void actor_of_request(struct fuse_req *req, bool in_operation, struct actor *ret) {
	const struct fuse_ctx *context = fuse_req_ctx(req);
	struct filesystem *fs = fuse_req_userdata(req);
	actor_of_process(&fs->programs, in_operation, context->uid, context->gid, context->pid, ret);
}

void actor_of_daemon(struct actor *ret) {
	actor_of_process(NULL, false, getuid(), getgid(), getpid(), ret);
}

static bool contains(const gid_t *groups, int count, uint32_t gid) {
	for (int i = 0; i < count; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

/* More groups than there is room for (the kernel allows 65,536) are read each time. */
static bool in_many_groups(const struct actor_answers *answers, uint32_t gid) {
	_cleanup_(freep) gid_t *many = calloc((size_t)answers->group_count, sizeof *many);
	if (!many)
		return false;
	int got = fuse_req_getgroups(answers->req, answers->group_count, many);
	return contains(many, got < answers->group_count ? got : answers->group_count, gid);
}

#define GROUPS_ROOM ((int)(sizeof((struct actor_answers *)0)->groups / sizeof((struct actor_answers *)0)->groups[0]))

static void need_groups(struct actor_answers *answers) {
	if (answers->group_count >= 0)
		return;
	int count = fuse_req_getgroups(answers->req, GROUPS_ROOM, answers->groups);
	answers->group_count = count < 0 ? 0 : count;
}

static bool request_in_group(void *arg, uint32_t gid) {
	struct actor_answers *answers = arg;
	need_groups(answers);
	if (answers->group_count > GROUPS_ROOM)
		return in_many_groups(answers, gid);
	return contains(answers->groups, answers->group_count, gid);
}

/* The one that the thread's request asked for last: 4 KiB that few requests need. */
static _Thread_local struct acl last_acl;

static int request_acl(void *arg, const struct node *node, const struct acl **ret) {
	struct actor_answers *answers = arg;
	const struct filesystem *fs = fuse_req_userdata(answers->req);
	if (answers->acl_node != node->id)
		answers->acl_rc = acl_get(fs->meta, node, ACL_TYPE_ACCESS, &last_acl);
	answers->acl_node = node->id;
	*ret = &last_acl;
	return answers->acl_rc;
}

gid_t *actor_groups(struct fuse_req *req, size_t *ret_count) {
	int count = fuse_req_getgroups(req, 0, NULL);
	gid_t *groups = count > 0 ? calloc((size_t)count, sizeof *groups) : NULL;
	int got = groups ? fuse_req_getgroups(req, count, groups) : 0;
	*ret_count = (size_t)(got < 0 ? 0 : got < count ? got : count);
	return groups;
}

/* ---- roles and grants ---- */

struct asking {
	const struct gate_hooks *gate;
	struct gate_member member;
	struct gate_wish wish;
	struct gate_permit permit;
};

static bool ask(struct asking *asking) {
	return asking->gate->permits(asking->gate->gate, &asking->member, &asking->wish, &asking->permit);
}

/* The path of a name in the directory, or (an empty name) of the node; of a staged file the one that it is meant for.
 */
static int path_of(const struct filesystem *fs, const struct node *node, struct bytes name, char path[TREE_PATH_MAX]) {
	if (name.size > 0)
		return tree_path_of(fs->meta, node->id, name, path, TREE_PATH_MAX, NULL);
	int rc = tree_path(fs->meta, node->id, path, TREE_PATH_MAX, NULL);
	return rc < 0 && fs->gate->staged_path
	               ? fs->gate->staged_path(fs->gate->gate, fs->meta, node->id, path, TREE_PATH_MAX)
	               : rc;
}

/* By any of its names: that which is used is not always known. */
static bool ask_by_names(const struct filesystem *fs, const struct node *node, struct asking *asking) {
	_scratch_ char path[TREE_PATH_MAX];
	struct tree_name at = {0};
	asking->wish.path = path;
	while (tree_next_path(fs->meta, node->id, &at, path, sizeof path, NULL) == 0)
		if (ask(asking))
			return true;
	return false;
}

/* In a meta operation, unless the path is given. */
static bool ask_by_path(const struct actor_answers *answers, const struct filesystem *fs, const struct node *node,
        struct bytes name, struct asking *asking) {
	_scratch_ char path[TREE_PATH_MAX];
	if (answers->path) {
		asking->wish.path = answers->path;
		return ask(asking);
	}
	if (name.size == 0 && !S_ISDIR(node->mode) && node->nlink > 1)
		return ask_by_names(fs, node, asking);
	asking->wish.path = path;
	return path_of(fs, node, name, path) >= 0 && ask(asking);
}

/* All of the caller's, read once for a request where there is room for them; else they are *ret_many, to be freed. */
static const gid_t *all_groups(struct actor_answers *answers, gid_t **ret_many, size_t *ret_count) {
	need_groups(answers);
	*ret_count = (size_t)answers->group_count;
	if (answers->group_count <= GROUPS_ROOM)
		return answers->groups;
	*ret_many = actor_groups(answers->req, ret_count);
	return *ret_many;
}

/* Groups are asked for only when the caller's own ids don't suffice, and a path only where there are grants. */
static bool request_permits(void *arg, const struct node *node, struct bytes name, enum policy_reach reach) {
	struct actor_answers *answers = arg;
	const struct fuse_ctx *context = fuse_req_ctx(answers->req);
	const struct filesystem *fs = fuse_req_userdata(answers->req);
	struct asking asking = {.gate = fs->gate,
	        .member = {.uid = context->uid, .gid = context->gid},
	        .wish = {.zone = node->zone, .reach = reach}};
	if (!fs->gate->permits)
		return true;
	_cleanup_(freep) gid_t *many = NULL;
	bool allowed = ask(&asking);
	if (!allowed)
		asking.member.groups = all_groups(answers, &many, &asking.member.group_count);
	if (!allowed && asking.member.group_count > 0)
		allowed = ask(&asking);
	if (!allowed && fs->gate->has_grants && fs->gate->has_grants(fs->gate->gate))
		allowed = ask_by_path(answers, fs, node, name, &asking);
	if (allowed && (asking.permit.grant || asking.permit.line))
		answers->permit = asking.permit;
	return allowed;
}

struct access_subject actor_subject(struct fuse_req *req, struct actor_answers *answers) {
	const struct fuse_ctx *context = fuse_req_ctx(req);
	answers->req = req;
	answers->group_count = -1;
	answers->acl_node = 0;
	answers->path = NULL;
	answers->permit = (struct gate_permit){0};
	return (struct access_subject){.uid = context->uid,
	        .gid = context->gid,
	        .in_group = request_in_group,
	        .acl = request_acl,
	        .permits = request_permits,
	        .arg = answers};
}
