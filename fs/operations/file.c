#include "fs/operations/operations.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "fs/operations/handle.h"

/* The reply to COPY_FILE_RANGE counts in 32 bits. */
#define CLONE_MAX UINT64_C(0xfffff000)

/* ---- reading ---- */

static int read_content(
        struct filesystem *fs, struct handle *handle, off_t offset, uint8_t *out, size_t size, size_t *ret_got) {
	Content *content;
	int rc = inode_content(fs->inodes, handle->inode, &content);
	if (rc < 0)
		return rc;
	idle_touch(fs->idle, false);
	rc = content_read_for(content, (uint64_t)offset, out, size, ret_got, &handle->reader);
	inode_content_done(handle->inode);
	return rc < 0 || !atomic_exchange(&handle->reader.recorded, false) ? rc : store_audit_wait(fs->store);
}

static void read_into(fuse_req_t req, struct handle *handle, off_t offset, uint8_t *buffer, size_t size) {
	size_t got = 0;
	int rc = read_content(call_filesystem(req), handle, offset, buffer, size, &got);
	if (rc < 0) {
		/* Bytes of the vault were changed: the reader learns that there is no right answer. */
		fuse_reply_err(req, rc == -EBADMSG ? EIO : -rc);
		return;
	}
	handle_note_read(handle, got);
	fuse_reply_buf(req, (const char *)buffer, got);
}

/* More than is ever kept. */
static void read_large(fuse_req_t req, struct handle *handle, off_t offset, size_t size) {
	uint8_t *buffer = malloc(size);
	if (!buffer) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	read_into(req, handle, offset, buffer, size);
	secret_wipe(buffer, size);
	free(buffer);
}

void operation_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi) {
	if (virtual_is(ino)) {
		operation_virtual_read(req, ino, size, offset, fi);
		return;
	}
	ReadBuffers *buffers = call_filesystem(req)->read_buffers;
	uint8_t *buffer = size > READ_BUFFER_BYTES ? NULL : read_buffers_take(buffers);
	if (!buffer) {
		read_large(req, handle_of(fi), offset, size);
		return;
	}
	read_into(req, handle_of(fi), offset, buffer, size);
	read_buffers_done(buffers);
}

/* ---- writing ---- */

/* The kernel goes on writing back behind a part that could not be kept: that would leave a hole in place of it. */
static int after_failure(Inode *inode, Content *content, off_t offset) {
	int error = atomic_load(&inode->write_error);
	return error && (uint64_t)offset > content_size(content) ? -error : 0;
}

static int write_content(struct filesystem *fs, const struct handle *handle, off_t offset, struct bytes data) {
	Inode *inode = handle->inode;
	Content *content;
	int rc = inode_content(fs->inodes, inode, &content);
	if (rc < 0)
		return rc;
	rc = after_failure(inode, content, offset);
	content_written_by(content, &handle->actor);
	if (rc == 0)
		rc = content_write(content, (uint64_t)offset, data);
	if (rc == 0)
		inode_note_size(inode, (uint64_t)offset + data.size, true);
	inode_content_done(inode);
	return rc;
}

void operation_write(
        fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *fi) {
	if (virtual_is(ino)) {
		fuse_reply_err(req, EROFS);
		return;
	}
	struct filesystem *fs = call_filesystem(req);
	struct handle *handle = handle_of(fi);
	idle_touch(fs->idle, fi->writepage);
	int rc = handle->writable ? write_content(fs, handle, offset, bytes_of(data, size)) : -EBADF;
	/* What it had cached the kernel has stamped itself. It tells when, unless that is the time that it had from us.
	 */
	if (rc == 0 && !fi->writepage)
		rc = inode_changed(fs, handle->inode, killer_of(req));
	if (rc < 0) {
		if (handle->writable)
			atomic_store(&handle->inode->write_error, -rc);
		fuse_reply_err(req, rc == -EBADMSG ? EIO : -rc);
		return;
	}
	atomic_fetch_add(&handle->bytes_written, size);
	fuse_reply_write(req, size);
}

/* ---- closing ---- */

struct closing {
	fuse_req_t req;
	struct handle *handle; /* there is no RELEASE before the reply */
};

static int judge(struct filesystem *fs, struct handle *handle, pid_t closer) {
	Content *content;
	int rc = inode_content(fs->inodes, handle->inode, &content);
	if (rc < 0)
		return rc;
	bool dirty = content_is_dirty(content);
	inode_content_done(handle->inode);
	return fs->gate->staged_flush(fs->gate->gate, handle->inode, &handle->actor, closer, dirty);
}

static void answer_close(void *arg) {
	struct closing closing = *(struct closing *)arg;
	free(arg);
	int rc = judge(call_filesystem(closing.req), closing.handle, fuse_req_ctx(closing.req)->pid);
	fuse_reply_err(closing.req, -rc);
}

/* A file of Trusted has its verdict in the answer, which may take as long as its check. */
static void close_staged(fuse_req_t req, struct handle *handle) {
	struct closing *closing = malloc(sizeof *closing);
	if (!closing) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	*closing = (struct closing){.req = req, .handle = handle};
	aside_run(&call_filesystem(req)->verdicts, handle->actor.uid, answer_close, closing);
}

void operation_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	if (virtual_is(ino)) {
		fuse_reply_err(req, 0);
		return;
	}
	struct filesystem *fs = call_filesystem(req);
	struct handle *handle = handle_of(fi);
	if (handle->inode->zone == ZONE_STAGING && fs->gate->staged_flush && handle->writable)
		close_staged(req, handle);
	else
		fuse_reply_err(req, -handle_flush(fs, handle, fuse_req_ctx(req)->pid));
}

/* *ret_wait is for content_sync_wait, without the content. */
static int begin_sync(struct filesystem *fs, Inode *inode, struct content_wait *ret_wait) {
	Content *content;
	int rc = inode_content(fs->inodes, inode, &content);
	if (rc < 0)
		return rc;
	/* A draft that lacks a part is not sealed at close, so it is not acknowledged here. */
	rc = -atomic_load(&inode->write_error);
	if (rc == 0) {
		(void)inode_hand_times(inode, content);
		rc = content_sync_begin(content, ret_wait);
	}
	inode_content_done(inode);
	return rc;
}

void operation_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi) {
	(void)data_only;
	if (virtual_is(ino)) {
		fuse_reply_err(req, 0);
		return;
	}
	struct filesystem *fs = call_filesystem(req);
	struct content_wait wait = {0};
	int rc = begin_sync(fs, handle_of(fi)->inode, &wait);
	if (rc == 0)
		rc = content_sync_wait(fs->store, &wait);
	fuse_reply_err(req, -rc);
}

/* ---- copying inside the vault ---- */

struct range {
	Inode *from, *to;
	const struct actor *actor;
	uint64_t from_offset, to_offset, length;
};

static int clone_contents(struct filesystem *fs, const struct range *range, uint64_t *ret_done) {
	Content *from, *to;
	int rc = inode_content(fs->inodes, range->from, &from);
	if (rc < 0)
		return rc;
	bool same = range->from == range->to;
	rc = same ? 0 : inode_content(fs->inodes, range->to, &to);
	if (rc == 0) {
		if (same)
			to = from;
		content_written_by(to, range->actor);
		rc = content_clone_range(from, range->from_offset, to, range->to_offset, range->length, ret_done);
		if (rc == 0)
			inode_note_size(range->to, range->to_offset + *ret_done, true);
		if (!same)
			inode_content_done(range->to);
	}
	inode_content_done(range->from);
	return rc;
}

void operation_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t offset_in, struct fuse_file_info *fi_in,
        fuse_ino_t ino_out, off_t offset_out, struct fuse_file_info *fi_out, size_t length, int flags) {
	if (virtual_is(ino_in) || virtual_is(ino_out) || flags != 0) {
		fuse_reply_err(req, flags ? EINVAL : EXDEV);
		return;
	}
	struct filesystem *fs = call_filesystem(req);
	struct handle *from = handle_of(fi_in), *to = handle_of(fi_out);
	struct range range = {.from = from->inode,
	        .to = to->inode,
	        .actor = &to->actor,
	        .from_offset = (uint64_t)offset_in,
	        .to_offset = (uint64_t)offset_out,
	        .length = length < CLONE_MAX ? length : CLONE_MAX};
	uint64_t done = 0;
	int rc = !to->writable ? -EBADF : from->inode->zone != to->inode->zone ? -EXDEV : 0;
	idle_touch(fs->idle, false);
	if (rc == 0)
		rc = clone_contents(fs, &range, &done);
	if (rc == 0 && done > 0)
		rc = inode_changed(fs, to->inode, killer_of(req));
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	handle_note_read(from, done);
	atomic_fetch_add(&to->bytes_written, done);
	fuse_reply_write(req, (size_t)done);
}
