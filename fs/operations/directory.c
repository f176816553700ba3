#include "fs/operations/operations.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/operations/call.h"

/*
 * Offsets: 1 stands behind ".", 2 behind "..", FIRST + cookie behind the entry with that cookie. Entries go straight
 * from the one indexed query into the reply; a name that the kernel's buffer has no room for is met again next time.
 */
#define FIRST 2

/*
 * How far an open directory is listed. A name that is renamed or replaced goes to the end: whoever renames what he
 * lists would never be done, and a list cut off where it stood at first would lack files that were replaced meanwhile
 * and have been there all the time. So it goes on to what is the last name when the first last one was reached, once.
 */
struct listed {
	pthread_mutex_t lock; /* guards the rest; innermost */
	uint64_t last;        /* cookie */
	bool extended;
};

static void listed_begin(struct listed *listed, uint64_t last) {
	pthread_mutex_lock(&listed->lock);
	listed->last = last;
	listed->extended = false;
	pthread_mutex_unlock(&listed->lock);
}

static bool listed_reaches(struct listed *listed, uint64_t cookie, uint64_t last_now) {
	pthread_mutex_lock(&listed->lock);
	if (cookie > listed->last && !listed->extended) {
		listed->last = last_now;
		listed->extended = true;
	}
	bool reaches = cookie <= listed->last;
	pthread_mutex_unlock(&listed->lock);
	return reaches;
}

static void free_listed(struct listed *listed) {
	pthread_mutex_destroy(&listed->lock);
	free(listed);
}

static struct listed *listed_of(const struct fuse_file_info *fi) {
	return (struct listed *)(uintptr_t)fi->fh;
}

static int check_opendir(struct call *call, fuse_ino_t ino) {
	struct node dir;
	int rc = call_node(call, ino, &dir);
	if (rc < 0)
		return rc;
	call_about(call, &dir);
	if (!S_ISDIR(dir.mode))
		return -ENOTDIR;
	rc = call_reached(call, &dir);
	return rc < 0 ? rc : access_check(&call->who, &dir, ACCESS_READ);
}

void operation_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	if (virtual_is(ino)) {
		operation_virtual_opendir(req, ino, fi);
		return;
	}
	struct listed *listed = calloc(1, sizeof *listed);
	if (!listed) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	pthread_mutex_init(&listed->lock, NULL);
	fi->fh = (uintptr_t)listed;
	_scratch_ struct call call;
	call_begin(&call, req, "opendir");
	int rc = check_opendir(&call, ino);
	listed_begin(listed, tree_last_cookie(call.meta));
	rc = call_end(&call, rc);
	if (rc < 0)
		fuse_reply_err(req, -rc);
	/* -ENOENT: the caller was interrupted, and no RELEASEDIR will come. */
	if (rc < 0 || fuse_reply_open(req, fi) == -ENOENT)
		free_listed(listed);
}

struct page {
	struct call *call;
	const struct node *dir;
	struct listed *listed;
	uint64_t last_now;
	bool plus;
	char *buffer;
	size_t size, used;
};

/* True when it had room. */
static bool add(struct page *page, const char *name, const struct node *node, off_t next_offset) {
	char *at = page->buffer + page->used;
	size_t room = page->size - page->used, needs;
	if (page->plus) {
		struct fuse_entry_param entry;
		entry_fill(page->call, page->dir, node, &entry);
		/* A name that is asked for each time needs no more than a listing says: the kernel makes nothing of it.
		 */
		if (entry.entry_timeout == 0.0)
			entry.ino = 0;
		needs = fuse_add_direntry_plus(page->call->req, at, room, name, &entry, next_offset);
	} else {
		struct stat about = {.st_ino = node->ino, .st_mode = node->mode};
		needs = fuse_add_direntry(page->call->req, at, room, name, &about, next_offset);
	}
	if (needs > room)
		return false;
	page->used += needs;
	return true;
}

/* "." and "..": READDIRPLUS must not count a look-up for them, which an inode number of 0 in the entry says. */
static bool add_dot(struct page *page, const char *name, uint64_t ino, off_t next_offset) {
	char *at = page->buffer + page->used;
	size_t room = page->size - page->used, needs;
	struct fuse_entry_param entry = {.attr = {.st_ino = ino, .st_mode = S_IFDIR}};
	if (page->plus)
		needs = fuse_add_direntry_plus(page->call->req, at, room, name, &entry, next_offset);
	else
		needs = fuse_add_direntry(page->call->req, at, room, name, &entry.attr, next_offset);
	if (needs > room)
		return false;
	page->used += needs;
	return true;
}

static int add_entry(void *arg, struct bytes name, uint64_t cookie, const struct node *node) {
	struct page *page = arg;
	char text[TREE_NAME_MAX + 1];
	if (!listed_reaches(page->listed, cookie, page->last_now))
		return 1;
	memcpy(text, name.data, name.size);
	text[name.size] = '\0';
	return add(page, text, node, (off_t)(cookie + FIRST)) ? 0 : 1;
}

static int list(struct page *page, fuse_ino_t ino, off_t offset, struct node *dir) {
	Meta *m = page->call->meta;
	struct node parent;
	int rc = call_node(page->call, ino, dir);
	if (rc == 0)
		rc = tree_get(m, dir->parent, &parent);
	if (rc)
		return rc;
	page->dir = dir;
	page->last_now = tree_last_cookie(m);
	if (offset == 0)
		listed_begin(page->listed, page->last_now); /* rewinddir shows what is there now */
	call_note_directory(page->call, dir);
	if (offset < 1 && !add_dot(page, ".", dir->ino, 1))
		return 0;
	if (offset < 2 && !add_dot(page, "..", parent.ino, 2))
		return 0;
	uint64_t after = offset > FIRST ? (uint64_t)offset - FIRST : 0;
	/* No more than could fit: a direntry is 24 bytes with its name, with attributes 152. */
	size_t limit = page->size / (page->plus ? 152 : 32) + 1;
	return tree_list(m, dir->id, after, limit, add_entry, page, NULL);
}

static void reply_page(
        fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus, const struct fuse_file_info *fi) {
	_cleanup_(freep) char *buffer = malloc(size);
	if (!buffer) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	_scratch_ struct call call;
	struct node dir;
	struct page page = {.call = &call, .listed = listed_of(fi), .plus = plus, .buffer = buffer, .size = size};
	call_begin(&call, req, NULL);
	int rc = call_end(&call, list(&page, ino, offset, &dir));
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_buf(req, buffer, page.used);
}

void operation_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi) {
	if (virtual_is(ino))
		operation_virtual_readdir(req, ino, size, offset, false, fi);
	else
		reply_page(req, ino, size, offset, false, fi);
}

void operation_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi) {
	if (virtual_is(ino))
		operation_virtual_readdir(req, ino, size, offset, true, fi);
	else
		reply_page(req, ino, size, offset, true, fi);
}

void operation_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	if (virtual_is(ino))
		operation_virtual_releasedir(req, ino, fi);
	else
		free_listed(listed_of(fi));
	fuse_reply_err(req, 0);
}

/* Names are rows: what makes a directory durable is the commit. */
void operation_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi) {
	(void)data_only;
	(void)fi;
	if (virtual_is(ino)) {
		fuse_reply_err(req, 0);
		return;
	}
	int rc = store_commit_wait(call_filesystem(req)->store);
	fuse_reply_err(req, -rc);
}
