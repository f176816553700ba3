#include "fs/operations/call.h"

#include "crypto/secret.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/store_keys.h"
#include "crypto/base/fault.h"
#include "fs/log.h"
#include "fs/roles.h"
#include "fs/tell.h"

/*
 * How long the kernel may keep a name or attributes without asking, in seconds. Names only below directories that
 * everybody may search: what the kernel answers by itself is neither checked nor recorded. Attributes carry no
 * permission here (the daemon decides at open), so they may be kept; whoever changes them without the kernel sends an
 * invalidation. What the daemon itself changes (Raw, Trusted) is asked for each time.
 */
#define KEEP_SECONDS 60.0

struct filesystem *call_filesystem(fuse_req_t req) {
	return fuse_req_userdata(req);
}

static void need_actor(struct call *call, bool in_operation) {
	if (!call->has_actor)
		actor_of_request(call->req, in_operation, &call->event.actor);
	call->has_actor = true;
}

void call_prepare(struct call *call, fuse_req_t req, const char *event) {
	struct filesystem *fs = call_filesystem(req);
	/* Not the paths: clearing 8 KiB for each request would cost more than most look-ups. */
	memset(call, 0, offsetof(struct call, paths));
	call->req = req;
	call->fs = fs;
	call->meta = fs->meta;
	call->who = actor_subject(req, &call->answers);
	call->silent = !event;
	call->event.event = event ? event : "lookup";
	if (event)
		need_actor(call, false);
}

void call_enter(struct call *call) {
	meta_begin(call->meta);
}

void call_begin(struct call *call, fuse_req_t req, const char *event) {
	call_prepare(call, req, event);
	call_enter(call);
}

/* Files in Landing that have several names: which one is asked for matters, so the kernel keeps none of them. */
static bool has_names(const struct node *node) {
	return node->zone == ZONE_LANDING && S_ISREG(node->mode) && node->nlink > 1;
}

/* Of a path that is too long for others: what a record bears of it. */
static int long_path(
        Meta *m, uint64_t id, struct bytes name, char ret_path[static AUDIT_PATH_MAX + 1], uint64_t *ret_bytes) {
	size_t length;
	int rc = tree_path_start(m, id, name, ret_path, AUDIT_PATH_MAX + 1, &length);
	*ret_bytes = rc == 0 && length > AUDIT_PATH_MAX ? length : 0;
	return rc;
}

/* The path of the name, or (an empty one) of the node, as a record bears it. */
static int path_for_record(struct filesystem *fs, uint64_t id, struct bytes name,
        char ret_path[static AUDIT_PATH_MAX + 1], uint64_t *ret_bytes) {
	int rc = name.size ? tree_path_of(fs->meta, id, name, ret_path, TREE_PATH_MAX, NULL)
	                   : call_node_path(fs, id, ret_path, TREE_PATH_MAX);
	*ret_bytes = 0;
	return rc == -ERANGE ? long_path(fs->meta, id, name, ret_path, ret_bytes) : rc;
}

static void find_used_name(struct call *call, const struct node *node) {
	struct tree_name name;
	struct node there;
	if (!used_names_find(&call->fs->used_names, fuse_req_ctx(call->req)->pid, node->id, &name))
		return;
	struct bytes bytes = bytes_of(name.name, name.size);
	if (tree_lookup(call->meta, name.parent, bytes, &there) < 0 || there.id != node->id)
		return; /* renamed or removed since */
	if (path_for_record(call->fs, name.parent, bytes, call->paths[0], &call->event.path_bytes) == 0)
		call->event.path = call->paths[0];
}

void call_about(struct call *call, const struct node *node) {
	call->node = node->id;
	call->event.node = node->id;
	if (has_names(node))
		find_used_name(call, node);
}

void call_found(struct call *call, const struct node *dir, struct bytes name, const struct node *node) {
	if (has_names(node))
		used_names_note(&call->fs->used_names, fuse_req_ctx(call->req)->pid, node->id, dir->id, name);
}

void call_names(struct call *call, uint64_t parent, struct bytes name) {
	call->parents[0] = parent;
	call->names[0] = name;
}

void call_renames(struct call *call, uint64_t parent, struct bytes name) {
	call->parents[1] = parent;
	call->names[1] = name;
}

int call_node_path(struct filesystem *fs, uint64_t node, char *ret_path, size_t capacity) {
	int rc = tree_path(fs->meta, node, ret_path, capacity, NULL);
	if (rc < 0 && rc != -ERANGE && fs->gate->staged_path)
		rc = fs->gate->staged_path(fs->gate->gate, fs->meta, node, ret_path, capacity);
	return rc;
}

int call_record_path(
        struct filesystem *fs, uint64_t node, char ret_path[static AUDIT_PATH_MAX + 1], uint64_t *ret_bytes) {
	return path_for_record(fs, node, (struct bytes){0}, ret_path, ret_bytes);
}

static const char *record_path(struct call *call, int which, uint64_t *ret_bytes) {
	int rc = -ENOENT;
	char *path = call->paths[which];
	if (call->parents[which])
		rc = path_for_record(call->fs, call->parents[which], call->names[which], path, ret_bytes);
	else if (which == 0 && call->node)
		rc = call_record_path(call->fs, call->node, path, ret_bytes);
	if (rc < 0)
		path[0] = '\0';
	return path;
}

const char *call_path(struct call *call, int which) {
	uint64_t bytes = 0;
	bool is_used = call->event.path == call->paths[which]; /* the name that was used */
	const char *path = is_used ? call->event.path : record_path(call, which, &bytes);
	if (is_used)
		bytes = call->event.path_bytes;
	return bytes > 0 || strnlen(path, TREE_PATH_MAX) == TREE_PATH_MAX ? "" : path;
}

static void fill_paths(struct call *call) {
	if (!call->event.path && (call->parents[0] || call->node))
		call->event.path = record_path(call, 0, &call->event.path_bytes);
	if (!call->event.path2 && call->parents[1])
		call->event.path2 = record_path(call, 1, &call->event.path2_bytes);
}

int call_use_key(struct call *call, struct key_use *use) {
	need_actor(call, true);
	use->actor = call->event.actor;
	if (store_key_use_counts(call->fs->store, use))
		return 0;
	fill_paths(call);
	return store_key_use_record(call->fs->store, use, &call->event);
}

static bool is_of_key(int rc) {
	return rc == -EKEYREVOKED || rc == -EKEYEXPIRED || rc == -ENOKEY;
}

static bool is_denial(int rc) {
	return rc == -EACCES || rc == -EPERM || rc == -EROFS || is_of_key(rc);
}

int call_lacks_key(struct call *call, int rc) {
	call->lacks_key = rc == -EACCES || is_of_key(rc);
	if (call->lacks_key)
		(void)snprintf(call->reason, sizeof call->reason, "%s", fault_message());
	return rc;
}

int call_check_key(struct call *call, enum zone zone, uint64_t version) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	int rc = keyring_get(store_keyring(call->fs->store), zone_key_name(zone), 0, key.bytes, NULL);
	return call_lacks_key(call, rc < 0 ? rc : content_key_check(call->fs->store, call->meta, version));
}

static int end_denied(struct call *call, int rc) {
	if (call->fs->is_unrecorded)
		return meta_end(call->meta, rc);
	fill_paths(call);
	need_actor(call, true);
	call->event.outcome = "denied";
	call->event.err = -rc;
	_scratch_ char words[AUDIT_DETAIL_MAX];
	const char *detail = call->event.detail;
	if (call->lacks_key) {
		(void)snprintf(words, sizeof words, "%s%s%s", detail ? detail : "", detail ? ": " : "", call->reason);
		call->event.detail = words;
	}
	rc = meta_end_denied(call->meta, rc, &call->event);
	call->event.detail = detail;
	return rc;
}

/* Says by which grant, if no role allowed it. The text is `words` or what stood there. */
static void add_grant(struct call *call, char *words, size_t size) {
	char grant[ROLES_WORDS_BYTES];
	const char *detail = call->event.detail ? call->event.detail : "";
	if (!*roles_grant_words(&call->answers.permit, grant))
		return;
	/* What stood there may be cut; by which grant is said all the same. */
	int room = (int)(size - strlen(grant) - sizeof ", ");
	snprintf(words, size, "%.*s%s%s", room, detail, *detail ? ", " : "", grant);
	call->event.detail = words;
}

static int end_recorded(struct call *call, int rc) {
	if (call->fs->is_unrecorded)
		return meta_end(call->meta, rc);
	_scratch_ char words[AUDIT_DETAIL_MAX];
	fill_paths(call);
	need_actor(call, true);
	if (call->event.path == call->paths[0] && call->node)
		used_names_drop(&call->fs->used_names, fuse_req_ctx(call->req)->pid, call->node);
	add_grant(call, words, sizeof words);
	int recorded = audit_record(call->meta, &call->event, NULL);
	if (call->event.detail == words)
		call->event.detail = NULL; /* gone with this call */
	return meta_end(call->meta, recorded < 0 ? recorded : rc);
}

/* For whoever runs the program, who else sees an errno, and once for the operator. */
static void tell_unrecorded(struct call *call, int rc) {
	tell_process(fuse_req_ctx(call->req)->pid, fault_message());
	if (!atomic_exchange(&call->fs->told_unrecorded, true))
		log_message_fault(MESSAGE_AUDIT_REFUSES, rc, "the audit log can't be written, so accesses are refused");
}

int call_end(struct call *call, int rc) {
	Store *store = call->fs->store;
	bool denied = is_denial(rc);
	if (!denied && (rc < 0 || call->silent))
		return meta_end(call->meta, rc);
	int refused = store_audit_check(store);
	int ended = refused < 0 ? meta_end(call->meta, refused)
	            : denied    ? end_denied(call, rc)
	                        : end_recorded(call, rc);
	if (refused == 0 && call->fs->audit_strict)
		session_waits(call->fs->owner.session);
	if (refused == 0)
		refused = ended == rc ? store_audit_wait(store) : store_audit_refuse(store, ended);
	if (refused < 0)
		tell_unrecorded(call, refused);
	else if (denied && call->lacks_key)
		tell_process(fuse_req_ctx(call->req)->pid, call->reason);
	return refused < 0 ? refused : rc;
}

struct gate_caller call_caller(struct call *call) {
	need_actor(call, true);
	return (struct gate_caller){.who = &call->who, .actor = &call->event.actor};
}

/* A number that the daemon renewed lives on as long as somebody has it open, with the version that it showed. */
static int stale_node(struct call *call, fuse_ino_t ino, struct node *ret) {
	uint64_t node, pinned;
	if (!inode_describe(call->fs->inodes, ino, &node, &pinned))
		return -ESTALE;
	int rc = tree_get(call->meta, node, ret);
	ret->ino = ino;
	ret->version = pinned;
	ret->nlink = 0;
	return rc;
}

int call_node(struct call *call, fuse_ino_t ino, struct node *ret) {
	int rc = tree_by_ino(call->meta, ino, ret);
	return rc == -ESTALE ? stale_node(call, ino, ret) : rc;
}

int call_reached(struct call *call, const struct node *node) {
	char path[TREE_PATH_MAX];
	struct node dir;
	size_t length = 0;
	if (!notify_forgets_any(call->fs->notifier) || tree_path(call->meta, node->id, path, sizeof path, &length) < 0)
		return 0;
	for (const char *slash = path; (slash = strchr(slash, '/')); slash++)
		if (tree_resolve(call->meta, bytes_of(path, (size_t)(slash - path)), &dir) == 0 &&
		        notify_is_forgetting(call->fs->notifier, dir.id) &&
		        access_check(&call->who, &dir, ACCESS_EXEC) < 0)
			return -ESTALE;
	return 0;
}

int call_search(struct call *call, fuse_ino_t ino, struct bytes name, struct node *ret_dir) {
	*ret_dir = (struct node){0};
	int rc = call_node(call, ino, ret_dir);
	if (rc == 0 && !S_ISDIR(ret_dir->mode))
		rc = -ENOTDIR;
	if (rc == 0)
		rc = call_reached(call, ret_dir);
	if (rc == 0)
		rc = access_check_name(&call->who, ret_dir, name, ACCESS_EXEC);
	if (rc == 0)
		call_note_directory(call, ret_dir);
	return rc;
}

void call_note_directory(struct call *call, const struct node *dir) {
	call->everybody_searches = access_everybody_searches(&call->who, dir);
}

int zone_guard(struct call *call, const struct node *where, enum gate_verb verb, const struct node *what) {
	switch ((enum zone)where->zone) {
	case ZONE_LANDING:
		return 0;
	case ZONE_NONE:
	case ZONE_RAW:
		return -EPERM;
	case ZONE_TRUSTED:
	case ZONE_STAGING:
		break;
	}
	const struct gate_hooks *gate = call->fs->gate;
	if (!gate->trusted_change)
		return -EACCES;
	struct gate_caller caller = call_caller(call);
	return gate->trusted_change(gate->gate, call->meta, &caller, verb, what, call_path(call, 0), call->target);
}

int call_writable(const struct call *call) {
	return call->fs->read_only ? -EROFS : 0;
}

static struct timespec timespec_of(int64_t ns) {
	int64_t seconds = ns / 1000000000, rest = ns % 1000000000;
	if (rest < 0) {
		seconds--;
		rest += 1000000000;
	}
	return (struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)rest};
}

void stat_fill(struct filesystem *fs, const struct node *node, struct stat *ret) {
	struct node seen = *node;
	int64_t read_at = 0;
	if (S_ISREG(node->mode)) {
		inode_show(fs->inodes, node->ino, &seen);
		read_at = access_times_of(fs->access_times, node->id);
	}
	uint64_t shown =
	        node->zone == ZONE_STAGING && fs->gate->staged_ino ? fs->gate->staged_ino(fs->gate->gate, node->id) : 0;
	*ret = (struct stat){
	        .st_ino = shown ? shown : node->ino,
	        .st_mode = node->mode & (S_IFMT | 07777),
	        .st_nlink = node->nlink,
	        .st_uid = node->uid,
	        .st_gid = node->gid,
	        .st_rdev = node->rdev,
	        .st_size = (off_t)seen.size,
	        .st_blksize = BLOCK_BYTES,
	        .st_blocks = S_ISREG(node->mode) ? (blkcnt_t)((seen.size + 511) / 512) : 0,
	        .st_atim = timespec_of(read_at ? read_at : node->atime),
	        .st_mtim = timespec_of(seen.mtime),
	        .st_ctim = timespec_of(seen.ctime),
	};
}

double attributes_timeout(const struct node *node) {
	return node->zone == ZONE_LANDING ? KEEP_SECONDS : 0.0;
}

/* In order: by one's own ids, then by groups, which cost a read of /proc. */
bool call_holds(struct call *call, enum policy_place place) {
	const struct gate_hooks *gate = call->fs->gate;
	struct gate_member member = {.uid = call->who.uid, .gid = call->who.gid};
	struct gate_permit permit;
	bool holds = gate->permits_place(gate->gate, &member, place, &permit);
	_cleanup_(freep) gid_t *groups = holds ? NULL : actor_groups(call->req, &member.group_count);
	member.groups = groups;
	if (!holds && member.group_count > 0)
		holds = gate->permits_place(gate->gate, &member, place, &permit);
	if (holds && permit.grant)
		call->answers.permit = permit;
	return holds;
}

int call_may_change_root(struct call *call, const struct node *node) {
	if (node->id != NODE_ROOT || !call_names_roles(call))
		return 0;
	return call_holds(call, PLACE_POLICY) ? 0 : -EACCES;
}

bool call_names_roles(const struct call *call) {
	const struct gate_hooks *gate = call->fs->gate;
	return gate->permits_place && gate->has_roles && gate->has_roles(gate->gate);
}

/* Who may not list a directory may not watch it either, which only its look-up tells of. */
static bool is_closed(const struct node *node) {
	return S_ISDIR(node->mode) && !access_mode_lists(node);
}

void call_forget_unlisted(struct call *call, const struct node *before, const struct node *after) {
	char path[TREE_PATH_MAX];
	struct node parent;
	if (!S_ISDIR(before->mode) || is_closed(before) || !is_closed(after) || before->id == NODE_ROOT ||
	        tree_get(call->meta, before->parent, &parent) < 0 ||
	        tree_path(call->meta, before->id, path, sizeof path, NULL) < 0)
		return;
	const char *slash = strrchr(path, '/');
	notify_entry(call->fs->notifier, parent.ino, bytes_of_string(slash ? slash + 1 : path));
}

void entry_fill(
        const struct call *call, const struct node *dir, const struct node *node, struct fuse_entry_param *ret) {
	struct filesystem *fs = call->fs;
	*ret = (struct fuse_entry_param){.ino = node->ino};
	stat_fill(fs, node, &ret->attr);
	bool stays = dir->id == NODE_ROOT || (node->zone == ZONE_LANDING && dir->zone == ZONE_LANDING);
	/* With roles, what the kernel answers by itself would be answered to whoever lacks the role, too. */
	bool keep = stays && !has_names(node) && !is_special(node) && !is_closed(node) && call->everybody_searches &&
	            !call_names_roles(call);
	ret->entry_timeout = keep ? KEEP_SECONDS : 0.0;
	ret->attr_timeout = attributes_timeout(node);
}
