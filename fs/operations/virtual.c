#include "fs/operations/operations.h"

#include "crypto/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/operations/call.h"

/* Where a request below .assayfs stands: its path, and what is there. */
struct spot {
	char path[VIRTUAL_PATH_MAX];
	char record_path[VIRTUAL_PATH_MAX + sizeof VIRTUAL_ROOT_NAME + 1];
	char asked[2 * VIRTUAL_PATH_MAX]; /* which path of a zone it is about, for grants */
	struct node node;
};

struct virtual_dir {
	char *names; /* type byte, name, NUL; one behind the other */
	size_t used, capacity;
};

struct virtual_handle {
	pthread_mutex_t lock; /* one read at a time: readers are cursors */
	struct virtual_file file;
	uint64_t size;
	struct actor actor; /* who opened it */
	struct content_reader reader;
};

/* One step down: names hold no slash, and ".." is answered by the kernel as long as it knows the parent. */
static int descend(struct spot *spot, const char *name) {
	size_t length = strlen(spot->path), more = strlen(name);
	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0)
		return -ESTALE;
	if (length + more + 2 > sizeof spot->path)
		return -ENAMETOOLONG;
	if (length)
		spot->path[length++] = '/';
	memcpy(spot->path + length, name, more + 1);
	return 0;
}

static struct spot *spot_new(struct filesystem *fs, fuse_ino_t ino, int *ret_rc) {
	struct spot *spot = calloc(1, sizeof *spot);
	*ret_rc = !spot ? -ENOMEM : virtual_is(ino) ? virtual_path(fs->virtual_tree, ino, spot->path) : 0;
	return spot;
}

static int look(struct filesystem *fs, struct spot *spot, uint64_t ino) {
	int rc = virtual_stat(fs, spot->path, &spot->node);
	spot->node.ino = ino;
	spot->node.nlink = 1;
	return rc;
}

static bool begins_with(const char *path, const char *name) {
	size_t length = strlen(name);
	return strncmp(path, name, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static void drop_last(char *path) {
	char *slash = strrchr(path, '/');
	*(slash ? slash : path) = '\0';
}

/* Which path of a zone the spot is about: a grant is of what the name shows or showed, whatever became of the file
 * since. "versions/P", "versions/P/N", "at/TIME/P", "verdicts/P.json"; `name`: one that is looked for in it, "" none.
 */
static void note_asked(struct spot *spot, const char *name) {
	const struct node *node = &spot->node;
	bool is_file = S_ISREG(node->mode), stands_for_file = node->version == VIRTUAL_STANDS_FOR_FILE;
	const char *path = spot->path + strcspn(spot->path, "/");
	path += *path == '/';
	if (begins_with(spot->path, "at")) {
		path += strcspn(path, "/");
		path += *path == '/';
	}
	bool adds = *name && !(S_ISDIR(node->mode) && stands_for_file);
	snprintf(spot->asked, sizeof spot->asked, "%s%s%s", path, adds && *path ? "/" : "", adds ? name : "");
	if (is_file && begins_with(spot->path, "versions"))
		drop_last(spot->asked);
	size_t length = strlen(spot->asked), suffix = sizeof ".json" - 1;
	bool is_verdict = begins_with(spot->path, "verdicts") && (is_file || adds);
	if (is_verdict && length > suffix && strcmp(spot->asked + length - suffix, ".json") == 0)
		spot->asked[length - suffix] = '\0';
}

/* Mode bits, and the ACL of the node that is shown. */
static int check_node(struct call *call, const struct node *node, unsigned mask) {
	struct node shown = *node;
	bool stands_for_file = S_ISDIR(node->mode) && node->version == VIRTUAL_STANDS_FOR_FILE;
	if (stands_for_file)
		shown.mode = S_IFREG | (node->mode & ~(uint32_t)S_IFMT); /* also for grants, which are of the file */
	if (stands_for_file && (mask & ACCESS_EXEC))
		mask = (mask & ~(unsigned)ACCESS_EXEC) | ACCESS_READ;
	if (shown.xattrs == 0)
		return access_check(&call->who, &shown, mask);
	call_enter(call);
	int rc = access_check(&call->who, &shown, mask);
	(void)meta_end(call->meta, 0);
	return rc;
}

/* These places are who mounted's; where the policy names roles, the roles decide instead. */
static int check_spot(struct call *call, struct spot *spot, const char *name, unsigned mask) {
	enum policy_place place = virtual_place(spot->path);
	if (place != PLACE_COUNT && call_names_roles(call))
		return (mask & ACCESS_WRITE) || !call_holds(call, place) ? -EACCES : 0;
	if (place != PLACE_COUNT && call->who.uid != call->fs->owner_uid)
		return -EACCES; /* also root: the bits would let him */
	note_asked(spot, name);
	call->answers.path = spot->asked;
	return check_node(call, &spot->node, mask);
}

/* Who mounted holds all roles while none are named. */
static struct virtual_reader reader_of(struct call *call) {
	bool is_owner = call->who.uid == call->fs->owner_uid, asks = call_names_roles(call);
	return (struct virtual_reader){.landing = asks ? call_holds(call, PLACE_LANDING) : is_owner,
	        .log = asks ? call_holds(call, PLACE_AUDIT) : is_owner};
}

/* The record of an access below .assayfs, granted (rc 0, unless silent) or denied. */
static void name_record(struct call *call, struct spot *spot) {
	snprintf(spot->record_path, sizeof spot->record_path, "%s%s%s", VIRTUAL_ROOT_NAME, spot->path[0] ? "/" : "",
	        spot->path);
	call->event.path = spot->record_path;
}

static int record(struct call *call, struct spot *spot, int rc) {
	name_record(call, spot);
	call_enter(call);
	return call_end(call, rc);
}

static void fill(struct filesystem *fs, const struct spot *spot, struct stat *ret) {
	stat_fill(fs, &spot->node, ret);
	ret->st_ino = spot->node.ino;
}

static int look_up(struct call *call, struct spot *spot, fuse_ino_t parent, const char *name, uint64_t *ret_ino) {
	int rc = 0;
	if (virtual_is(parent)) {
		rc = look(call->fs, spot, parent);
		if (rc == 0)
			rc = check_spot(call, spot, name, ACCESS_EXEC);
		int named = descend(spot, name);
		if (rc == -EACCES)
			return record(call, spot, rc);
		rc = rc < 0 ? rc : named;
	}
	if (rc == 0)
		rc = look(call->fs, spot, 0);
	return rc < 0 ? rc : virtual_ino(call->fs->virtual_tree, spot->path, ret_ino);
}

/* Two for one that may have come: the number of paths goes down to its bound also after many were in use. */
static void forget_surplus(struct filesystem *fs) {
	uint64_t parent;
	char name[TREE_NAME_MAX + 1];
	for (int i = 0; i < 2; i++)
		if (virtual_surplus(fs->virtual_tree, &parent, name))
			notify_entry(fs->notifier, parent, bytes_of_string(name));
}

void operation_virtual_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
	_scratch_ struct call call;
	int rc;
	uint64_t ino = 0;
	call_prepare(&call, req, NULL);
	_cleanup_(freep) struct spot *spot = spot_new(call.fs, parent, &rc);
	if (rc == 0)
		rc = look_up(&call, spot, parent, name, &ino);
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	struct fuse_entry_param entry = {.ino = ino};
	spot->node.ino = ino;
	fill(call.fs, spot, &entry.attr);
	struct filesystem *fs = call.fs; /* the reply ends the request */
	if (fuse_reply_entry(req, &entry) < 0)
		virtual_forget(fs->virtual_tree, ino, 1);
	forget_surplus(fs);
}

void operation_virtual_getattr(fuse_req_t req, fuse_ino_t ino) {
	struct filesystem *fs = call_filesystem(req);
	int rc;
	struct stat about;
	_cleanup_(freep) struct spot *spot = spot_new(fs, ino, &rc);
	if (rc == 0)
		rc = look(fs, spot, ino);
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	fill(fs, spot, &about);
	fuse_reply_attr(req, &about, 0.0);
}

void operation_virtual_access(fuse_req_t req, fuse_ino_t ino, int mask) {
	_scratch_ struct call call;
	int rc;
	call_prepare(&call, req, NULL);
	call.event.event = "access";
	_cleanup_(freep) struct spot *spot = spot_new(call.fs, ino, &rc);
	if (rc == 0)
		rc = look(call.fs, spot, ino);
	if (rc == 0)
		rc = mask & W_OK ? -EROFS : check_spot(&call, spot, "", (unsigned)mask & 7);
	if (rc == -EACCES || rc == -EROFS)
		rc = record(&call, spot, rc);
	fuse_reply_err(req, -rc);
}

void operation_virtual_readlink(fuse_req_t req, fuse_ino_t ino) {
	struct filesystem *fs = call_filesystem(req);
	int rc;
	char target[TREE_TARGET_MAX + 1];
	size_t length = 0;
	_cleanup_(freep) struct spot *spot = spot_new(fs, ino, &rc);
	if (rc == 0)
		rc = virtual_readlink(fs, spot->path, target, TREE_TARGET_MAX, &length);
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	target[length] = '\0';
	fuse_reply_readlink(req, target);
}

void operation_virtual_refuse(fuse_req_t req, fuse_ino_t ino, const char *name, const char *event) {
	_scratch_ struct call call;
	int rc;
	call_prepare(&call, req, event);
	_cleanup_(freep) struct spot *spot = spot_new(call.fs, ino, &rc);
	if (rc == 0 && name)
		rc = descend(spot, name);
	if (rc == 0)
		rc = record(&call, spot, -EROFS);
	fuse_reply_err(req, -rc);
}

/* ---- directories ---- */

static int keep_name(void *arg, struct bytes name, uint32_t mode) {
	struct virtual_dir *dir = arg;
	size_t needed = dir->used + name.size + 2;
	if (needed > dir->capacity) {
		size_t capacity = needed * 2 + 256;
		char *names = realloc(dir->names, capacity);
		if (!names)
			return -ENOMEM;
		dir->names = names;
		dir->capacity = capacity;
	}
	dir->names[dir->used++] = (char)((mode & S_IFMT) >> 12);
	memcpy(dir->names + dir->used, name.data, name.size);
	dir->used += name.size;
	dir->names[dir->used++] = '\0';
	return 0;
}

static void free_dir(struct virtual_dir *dir) {
	free(dir->names);
	free(dir);
}

static int open_dir(struct call *call, struct spot *spot, fuse_ino_t ino, struct virtual_dir **ret) {
	int rc = look(call->fs, spot, ino);
	if (rc < 0)
		return rc;
	rc = record(call, spot, check_spot(call, spot, "", ACCESS_READ));
	if (rc < 0)
		return rc;
	struct virtual_dir *dir = calloc(1, sizeof *dir);
	if (!dir)
		return -ENOMEM;
	rc = keep_name(dir, bytes_of_string("."), S_IFDIR);
	if (rc == 0)
		rc = keep_name(dir, bytes_of_string(".."), S_IFDIR);
	if (rc == 0)
		rc = virtual_list(call->fs, spot->path, keep_name, dir);
	if (rc) {
		free_dir(dir);
		return rc;
	}
	*ret = dir;
	return 0;
}

void operation_virtual_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	_scratch_ struct call call;
	int rc;
	struct virtual_dir *dir = NULL;
	call_prepare(&call, req, "opendir");
	_cleanup_(freep) struct spot *spot = spot_new(call.fs, ino, &rc);
	if (rc == 0)
		rc = open_dir(&call, spot, ino, &dir);
	if (rc < 0 || !dir) {
		fuse_reply_err(req, -rc);
		return;
	}
	fi->fh = (uintptr_t)dir;
	if (fuse_reply_open(req, fi) < 0)
		free_dir(dir);
}

/* The place of the first name at or after `offset`, which comes from lseek(2) and may be anything. */
static size_t name_at(const struct virtual_dir *dir, off_t offset) {
	size_t at = 0;
	while (at < dir->used && (offset < 0 || at < (size_t)offset))
		at += strlen(dir->names + at + 1) + 2;
	return at;
}

/* Offsets are positions in the list of names. An inode number of 0 in READDIRPLUS: no look-up is counted. */
void operation_virtual_readdir(
        fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus, struct fuse_file_info *fi) {
	(void)ino;
	const struct virtual_dir *dir = (const struct virtual_dir *)(uintptr_t)fi->fh;
	_cleanup_(freep) char *buffer = malloc(size);
	if (!buffer) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	size_t used = 0;
	for (size_t at = name_at(dir, offset); at < dir->used;) {
		const char *name = dir->names + at + 1;
		size_t next = at + strlen(name) + 2;
		struct fuse_entry_param entry = {
		        .attr = {.st_ino = VIRTUAL_INO_BIT, .st_mode = (mode_t)dir->names[at] << 12}};
		size_t room = size - used, needs;
		if (plus)
			needs = fuse_add_direntry_plus(req, buffer + used, room, name, &entry, (off_t)next);
		else
			needs = fuse_add_direntry(req, buffer + used, room, name, &entry.attr, (off_t)next);
		if (needs > room)
			break;
		used += needs;
		at = next;
	}
	fuse_reply_buf(req, buffer, used);
}

void operation_virtual_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	(void)req;
	(void)ino;
	free_dir((struct virtual_dir *)(uintptr_t)fi->fh);
}

/* ---- files ---- */

static void free_handle(struct virtual_handle *handle) {
	virtual_file_close(&handle->file);
	pthread_mutex_destroy(&handle->lock);
	free(handle);
}

/* An earlier version, or what is held, can be read by whoever has its keys. */
static int check_version(struct call *call, uint64_t id) {
	struct version version;
	int rc = version_get(call->meta, id, &version);
	return rc < 0 ? rc : call_check_key(call, (enum zone)version.zone, id);
}

static int open_file(struct call *call, struct spot *spot, fuse_ino_t ino, int flags, struct virtual_handle **ret) {
	int rc = look(call->fs, spot, ino);
	if (rc < 0)
		return rc;
	bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	rc = writes ? -EROFS : check_spot(call, spot, "", ACCESS_READ);
	struct virtual_handle *handle = calloc(1, sizeof *handle);
	if (!handle)
		return -ENOMEM;
	pthread_mutex_init(&handle->lock, NULL);
	handle->size = spot->node.size;
	handle->reader.actor = &handle->actor;
	if (rc == 0)
		rc = virtual_open(call->fs, spot->path, reader_of(call), &handle->file);
	const uint64_t version = rc == 0 && handle->file.content ? content_version(handle->file.content) : 0;
	name_record(call, spot);
	call_enter(call);
	if (rc == 0 && version)
		rc = check_version(call, version);
	rc = call_end(call, rc);
	handle->actor = call->event.actor;
	if (rc < 0) {
		free_handle(handle);
		return rc;
	}
	*ret = handle;
	return 0;
}

void operation_virtual_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	_scratch_ struct call call;
	int rc;
	struct virtual_handle *handle = NULL;
	call_prepare(&call, req, "open");
	_cleanup_(freep) struct spot *spot = spot_new(call.fs, ino, &rc);
	if (rc == 0)
		rc = open_file(&call, spot, ino, fi->flags, &handle);
	if (rc < 0 || !handle) {
		fuse_reply_err(req, -rc);
		return;
	}
	fi->fh = (uintptr_t)handle;
	/* A version's size is right and its bytes never change; for the rest the kernel must not go by a size. */
	fi->direct_io = !handle->file.content;
	if (fuse_reply_open(req, fi) < 0)
		free_handle(handle);
}

static int read_text(const struct virtual_file *file, uint64_t offset, uint8_t *out, size_t size, size_t *ret_got) {
	size_t left = offset < file->text_size ? file->text_size - (size_t)offset : 0;
	*ret_got = left < size ? left : size;
	if (*ret_got)
		memcpy(out, file->text + offset, *ret_got);
	return 0;
}

static int read_file(struct virtual_handle *handle, uint64_t offset, uint8_t *out, size_t size, size_t *ret_got) {
	struct virtual_file *file = &handle->file;
	if (file->text)
		return read_text(file, offset, out, size, ret_got);
	if (file->content)
		return content_read_for(file->content, offset, out, size, ret_got, &handle->reader);
	if (!file->read)
		return 0;
	pthread_mutex_lock(&handle->lock);
	int rc = file->read(file->state, offset, out, size, ret_got);
	pthread_mutex_unlock(&handle->lock);
	return rc;
}

void operation_virtual_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi) {
	(void)ino;
	size_t got = 0;
	_cleanup_(secret_heap_freep) uint8_t *buffer = malloc(size);
	struct virtual_handle *handle = (struct virtual_handle *)(uintptr_t)fi->fh;
	int rc = buffer ? read_file(handle, (uint64_t)offset, buffer, size, &got) : -ENOMEM;
	if (handle->file.content)
		idle_touch(call_filesystem(req)->idle, false);
	if (rc == 0 && atomic_exchange(&handle->reader.recorded, false))
		rc = store_audit_wait(call_filesystem(req)->store);
	if (rc < 0)
		fuse_reply_err(req, rc == -EBADMSG ? EIO : -rc);
	else
		fuse_reply_buf(req, (const char *)buffer, got);
}

/* One run of data. (ENOSYS would switch SEEK_DATA off for the whole mount.) */
void operation_virtual_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi) {
	(void)ino;
	const struct virtual_handle *handle = (const struct virtual_handle *)(uintptr_t)fi->fh;
	if (!handle->file.content)
		fuse_reply_err(req, EINVAL);
	else if ((uint64_t)offset >= handle->size)
		fuse_reply_err(req, ENXIO);
	else
		fuse_reply_lseek(req, whence == SEEK_DATA ? offset : (off_t)handle->size);
}

void operation_virtual_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	(void)req;
	(void)ino;
	free_handle((struct virtual_handle *)(uintptr_t)fi->fh);
}
