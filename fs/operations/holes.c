/* Where a file has no data: making holes (fallocate) and finding them (SEEK_DATA, SEEK_HOLE). */
#include "fs/operations/operations.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "fs/operations/handle.h"

/* ---- fallocate ---- */

struct allocation {
	Inode *inode;
	int mode;
	uint64_t offset, length;
	const struct actor *actor;
	fuse_req_t killer; /* set-id bits go, as with a write: here the kernel doesn't ask for it; NULL: they stay */
};

/* Zeros are never stored, so a range of them is a hole as well. */
static int punch(struct filesystem *fs, const struct allocation *wish) {
	Content *content;
	int rc = inode_content(fs->inodes, wish->inode, &content);
	if (rc < 0)
		return rc;
	content_written_by(content, wish->actor);
	rc = content_punch(content, wish->offset, wish->length);
	inode_content_done(wish->inode);
	return rc < 0 ? rc : inode_changed(fs, wish->inode, wish->killer);
}

static int extend(struct filesystem *fs, const struct allocation *wish) {
	Content *content;
	int rc = inode_content(fs->inodes, wish->inode, &content);
	if (rc < 0)
		return rc;
	bool grows = content_size(content) < wish->offset + wish->length;
	inode_content_done(wish->inode);
	return grows ? inode_truncate(fs, wish->inode, wish->offset + wish->length, wish->killer, wish->actor)
	             : inode_changed(fs, wish->inode, wish->killer);
}

/* What will not fit is refused at once, though what will may have been taken by others when it is written. */
static int room_check(struct filesystem *fs, uint64_t bytes) {
	struct statvfs about;
	if (statvfs(fs->vault_path, &about) < 0)
		return -errno;
	return bytes / about.f_frsize < about.f_bavail ? store_space_check(fs->store, 0) : -ENOSPC;
}

/* Room is not set aside (blocks are written once, elsewhere, when they are sealed): only size and zeros count. */
static int allocate(struct filesystem *fs, const struct allocation *wish) {
	bool keeps_size = wish->mode & FALLOC_FL_KEEP_SIZE;
	int what = wish->mode & ~FALLOC_FL_KEEP_SIZE;
	if ((what != 0 && what != FALLOC_FL_PUNCH_HOLE && what != FALLOC_FL_ZERO_RANGE) ||
	        (what == FALLOC_FL_PUNCH_HOLE && !keeps_size))
		return -EOPNOTSUPP;
	if (wish->length > INT64_MAX - wish->offset)
		return -EFBIG;
	int rc = what == 0 ? room_check(fs, wish->length) : store_space_check(fs->store, 0);
	if (rc == 0 && what != 0)
		rc = punch(fs, wish);
	return rc < 0 || keeps_size ? rc : extend(fs, wish);
}

void operation_fallocate(
        fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *fi) {
	if (virtual_is(ino)) {
		fuse_reply_err(req, EROFS);
		return;
	}
	struct handle *handle = handle_of(fi);
	struct allocation wish = {.inode = handle->inode,
	        .mode = mode,
	        .offset = (uint64_t)offset,
	        .length = (uint64_t)length,
	        .actor = &handle->actor,
	        .killer = fuse_req_ctx(req)->uid != 0 ? req : NULL};
	idle_touch(call_filesystem(req)->idle, false);
	int rc = handle->writable ? allocate(call_filesystem(req), &wish) : -EBADF;
	fuse_reply_err(req, -rc);
}

static int find_data(Content *content, uint64_t offset, int whence, uint64_t *ret) {
	uint64_t start, end, size = content_size(content);
	if (offset >= size)
		return -ENXIO;
	int rc = content_next_data(content, offset, &start, &end);
	if (whence == SEEK_DATA) {
		*ret = rc == 0 && start < offset ? offset : start;
		return rc;
	}
	/* Runs of data may come in pieces: the hole begins where the next one does not join. */
	*ret = offset;
	while (rc == 0 && start <= *ret && end > *ret && *ret < size) {
		*ret = end;
		rc = *ret < size ? content_next_data(content, *ret, &start, &end) : -ENXIO;
	}
	if (*ret > size)
		*ret = size;
	return rc == -ENXIO ? 0 : rc;
}

struct seek {
	fuse_req_t req;
	Inode *inode; /* of a handle: there is no RELEASE before the reply */
	uint64_t offset;
	int whence;
};

static void answer_seek(const struct seek *seek) {
	struct filesystem *fs = call_filesystem(seek->req);
	Content *content;
	uint64_t found = 0;
	int rc = inode_content(fs->inodes, seek->inode, &content);
	if (rc == 0) {
		rc = find_data(content, seek->offset, seek->whence, &found);
		inode_content_done(seek->inode);
	}
	if (rc < 0)
		fuse_reply_err(seek->req, -rc);
	else
		fuse_reply_lseek(seek->req, (off_t)found);
}

static void answer_after_write_back(void *arg) {
	struct seek seek = *(struct seek *)arg;
	free(arg);
	notify_write_back(call_filesystem(seek.req)->notifier, seek.inode->ino);
	answer_seek(&seek);
}

/*
 * The kernel may still hold data of a file that is open for writing, and asks nevertheless: told of a hole there, cp
 * would leave it out. So it has to write it back first, which other threads must be free to take.
 */
static void seek_behind_cache(const struct seek *seek) {
	struct seek *kept = malloc(sizeof *kept);
	if (!kept) {
		fuse_reply_err(seek->req, ENOMEM);
		return;
	}
	*kept = *seek;
	aside_run(
	        &call_filesystem(seek->req)->write_backs, fuse_req_ctx(seek->req)->uid, answer_after_write_back, kept);
}

void operation_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi) {
	if (virtual_is(ino)) {
		operation_virtual_lseek(req, ino, offset, whence, fi);
		return;
	}
	struct seek seek = {.req = req, .inode = handle_of(fi)->inode, .offset = (uint64_t)offset, .whence = whence};
	if (atomic_load(&seek.inode->dirtiers) == 0)
		answer_seek(&seek);
	else if (atomic_load(&call_filesystem(req)->ending))
		fuse_reply_err(req, EIO);
	else
		seek_behind_cache(&seek);
}
