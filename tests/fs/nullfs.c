/*
 * nullfs: a file system that does nothing, for scripts/bench: what FUSE itself costs on this machine.
 *
 *     nullfs [-o OPTIONS] DIR                in the foreground, until it is unmounted
 *
 *     (parent, name) ─ hash ─► node ◄─ its address is its inode number        node.children: by position, in order
 *
 * Names, modes, sizes and times are true, in memory. Bytes are not kept: reads give zeros. The session is assayfs's own
 * (fs/session: threads, INIT flags, the privileges lever, read-ahead), the entries live as long as those of Landing,
 * and the same requests are answered, so that a share of its speed is what the work of assayfs itself leaves of it.
 */
#include "fs/fuse.h"
#include "fs/session.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "crypto/base/fault.h"

/* As in fs/operations/call.c. */
#define KEEP_SECONDS 60.0
#define READ_BYTES (1u << 20)
/* Offsets in a directory: 1 stands behind ".", 2 behind "..", FIRST + i behind the child at position i. */
#define FIRST 2

struct node {
	struct stat about;
	struct node *parent, *next_in_chain;
	struct node **children; /* NULL where one was removed; positions stay until the directory is empty */
	size_t child_count, child_room, children_there;
	size_t position; /* in parent->children */
	uint64_t lookups;
	uint32_t hash;
	char *name; /* NULL: removed */
};

static struct null_filesystem {
	struct session_owner owner;
	pthread_mutex_t lock; /* guards all nodes */
	struct node root;
	struct node **chains;
	size_t chain_count, node_count;
} null_filesystem = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char zeros[READ_BYTES];

static void lock(void) {
	pthread_mutex_lock(&null_filesystem.lock);
}

static void unlock(void) {
	pthread_mutex_unlock(&null_filesystem.lock);
}

/* ---- the table of names ---- */

static struct node *node_of(fuse_ino_t ino) {
	return ino == FUSE_ROOT_ID ? &null_filesystem.root : (struct node *)ino;
}

static uint32_t hash_of(const struct node *parent, const char *name) {
	uint64_t key = UINT64_C(0xcbf29ce484222325) ^ ((uintptr_t)parent >> 4); /* FNV-1a */
	for (; *name; name++)
		key = (key ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return (uint32_t)(key ^ key >> 32);
}

static struct node **chain_of(uint32_t hash) {
	return &null_filesystem.chains[hash & (null_filesystem.chain_count - 1)];
}

static struct node *find(const struct node *parent, const char *name) {
	uint32_t hash = hash_of(parent, name);
	struct node *node = *chain_of(hash);
	while (node && (node->hash != hash || node->parent != parent || strcmp(node->name, name) != 0))
		node = node->next_in_chain;
	return node;
}

static void *checked(void *memory) {
	if (!memory)
		abort();
	return memory;
}

static void grow_table(void) {
	struct node **old = null_filesystem.chains;
	size_t old_count = null_filesystem.chain_count;
	null_filesystem.chain_count = old_count ? 2 * old_count : 1024;
	null_filesystem.chains = checked(calloc(null_filesystem.chain_count, sizeof(struct node *)));
	for (size_t i = 0; i < old_count; i++) {
		for (struct node *node = old[i], *next; node; node = next) {
			next = node->next_in_chain;
			struct node **chain = chain_of(node->hash);
			node->next_in_chain = *chain;
			*chain = node;
		}
	}
	free(old);
}

static void link_name(struct node *parent, const char *name, struct node *node) {
	if (++null_filesystem.node_count > null_filesystem.chain_count)
		grow_table();
	node->parent = parent;
	node->name = checked(strdup(name));
	node->hash = hash_of(parent, name);
	struct node **chain = chain_of(node->hash);
	node->next_in_chain = *chain;
	*chain = node;
	if (parent->child_count == parent->child_room) {
		parent->child_room = parent->child_room ? 2 * parent->child_room : 16;
		parent->children = checked(realloc(parent->children, parent->child_room * sizeof *parent->children));
	}
	node->position = parent->child_count++;
	parent->children[node->position] = node;
	parent->children_there++;
	parent->about.st_nlink += S_ISDIR(node->about.st_mode) ? 1 : 0;
}

static void unlink_name(struct node *node) {
	struct node *parent = node->parent, **at = chain_of(node->hash);
	while (*at != node)
		at = &(*at)->next_in_chain;
	*at = node->next_in_chain;
	null_filesystem.node_count--;
	parent->children[node->position] = NULL;
	parent->about.st_nlink -= S_ISDIR(node->about.st_mode) ? 1 : 0;
	if (--parent->children_there == 0)
		parent->child_count = 0;
	free(node->name);
	node->name = NULL;
}

static void free_if_gone(struct node *node) {
	if (node->name || node->lookups || node == &null_filesystem.root)
		return;
	free(node->children);
	free(node);
}

static struct timespec now(void) {
	struct timespec time;
	clock_gettime(CLOCK_REALTIME, &time);
	return time;
}

static struct node *make(fuse_req_t req, struct node *parent, const char *name, mode_t mode) {
	const struct fuse_ctx *caller = fuse_req_ctx(req);
	struct node *node = checked(calloc(1, sizeof *node));
	struct timespec time = now();
	node->about = (struct stat){
	        .st_ino = (uintptr_t)node,
	        .st_mode = mode & ~caller->umask,
	        .st_nlink = S_ISDIR(mode) ? 2 : 1,
	        .st_uid = caller->uid,
	        .st_gid = caller->gid,
	        .st_blksize = 4096,
	        .st_atim = time,
	        .st_mtim = time,
	        .st_ctim = time,
	};
	link_name(parent, name, node);
	return node;
}

/* ---- what the kernel is told ---- */

static void fill_entry(struct node *node, struct fuse_entry_param *ret) {
	*ret = (struct fuse_entry_param){.attr_timeout = KEEP_SECONDS, .entry_timeout = KEEP_SECONDS};
	if (!node)
		return;
	ret->ino = (uintptr_t)node;
	ret->attr = node->about;
}

/* Called with the lock, which it gives up. node NULL: there is none, which may be remembered. */
static void reply_entry(fuse_req_t req, struct node *node) {
	struct fuse_entry_param entry;
	fill_entry(node, &entry);
	if (node)
		node->lookups++;
	unlock();
	fuse_reply_entry(req, &entry);
}

static void null_init(void *userdata, struct fuse_conn_info *connection) {
	(void)userdata;
	session_negotiate(connection);
}

static void null_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
	lock();
	reply_entry(req, find(node_of(parent), name));
}

static void forget(fuse_ino_t ino, uint64_t lookups) {
	struct node *node = node_of(ino);
	node->lookups -= lookups < node->lookups ? lookups : node->lookups;
	free_if_gone(node);
}

static void null_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups) {
	lock();
	forget(ino, lookups);
	unlock();
	fuse_reply_none(req);
}

static void null_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets) {
	lock();
	for (size_t i = 0; i < count; i++)
		forget(forgets[i].ino, forgets[i].nlookup);
	unlock();
	fuse_reply_none(req);
}

static void null_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	(void)fi;
	lock();
	struct stat about = node_of(ino)->about;
	unlock();
	fuse_reply_attr(req, &about, KEEP_SECONDS);
}

static void set_size(struct stat *about, off_t size) {
	about->st_size = size;
	about->st_blocks = (size + 511) / 512;
}

static void set_attributes(struct stat *about, const struct stat *to, int which) {
	struct timespec time = now();
	if (which & FUSE_SET_ATTR_MODE)
		about->st_mode = (about->st_mode & S_IFMT) | (to->st_mode & 07777);
	if (which & FUSE_SET_ATTR_UID)
		about->st_uid = to->st_uid;
	if (which & FUSE_SET_ATTR_GID)
		about->st_gid = to->st_gid;
	if (which & FUSE_SET_ATTR_SIZE)
		set_size(about, to->st_size);
	if (which & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW))
		about->st_atim = which & FUSE_SET_ATTR_ATIME_NOW ? time : to->st_atim;
	if (which & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW))
		about->st_mtim = which & FUSE_SET_ATTR_MTIME_NOW ? time : to->st_mtim;
	about->st_ctim = which & FUSE_SET_ATTR_CTIME ? to->st_ctim : time;
}

static void null_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *to, int which, struct fuse_file_info *fi) {
	(void)fi;
	lock();
	struct node *node = node_of(ino);
	set_attributes(&node->about, to, which);
	struct stat about = node->about;
	unlock();
	fuse_reply_attr(req, &about, KEEP_SECONDS);
}

static void null_access(fuse_req_t req, fuse_ino_t ino, int mask) {
	(void)ino, (void)mask;
	fuse_reply_err(req, 0);
}

static void null_statfs(fuse_req_t req, fuse_ino_t ino) {
	(void)ino;
	struct statvfs about = {.f_bsize = 4096,
	        .f_frsize = 4096,
	        .f_blocks = 1u << 28,
	        .f_bfree = 1u << 28,
	        .f_bavail = 1u << 28,
	        .f_files = 1u << 28,
	        .f_ffree = 1u << 28,
	        .f_namemax = 255};
	fuse_reply_statfs(req, &about);
}

/* ---- names ---- */

static void null_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode) {
	lock();
	reply_entry(req, make(req, node_of(parent), name, S_IFDIR | (mode & 07777)));
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name) {
	lock();
	struct node *node = find(node_of(parent), name);
	int error = !node ? ENOENT : node->children_there ? ENOTEMPTY : 0;
	if (!error) {
		unlink_name(node);
		free_if_gone(node);
	}
	unlock();
	fuse_reply_err(req, error);
}

static void null_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
        const char *new_name, unsigned flags) {
	lock();
	struct node *node = find(node_of(parent), name), *there = find(node_of(new_parent), new_name);
	int error = !node ? ENOENT : flags ? EINVAL : there && there->children_there ? ENOTEMPTY : 0;
	if (!error && there != node) {
		if (there) {
			unlink_name(there);
			free_if_gone(there);
		}
		unlink_name(node);
		link_name(node_of(new_parent), new_name, node);
	}
	unlock();
	fuse_reply_err(req, error);
}

static void null_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	(void)ino;
	fuse_reply_open(req, fi);
}

struct page {
	fuse_req_t req;
	bool plus;
	char *buffer;
	size_t size, used;
};

static bool add(struct page *page, const char *name, struct node *node, off_t next_offset) {
	char *at = page->buffer + page->used;
	size_t room = page->size - page->used, needs;
	bool is_child = next_offset > FIRST;
	if (page->plus) {
		struct fuse_entry_param entry;
		fill_entry(node, &entry);
		entry.ino = is_child ? entry.ino : 0; /* 0: no look-up is counted */
		needs = fuse_add_direntry_plus(page->req, at, room, name, &entry, next_offset);
	} else {
		needs = fuse_add_direntry(page->req, at, room, name, &node->about, next_offset);
	}
	if (needs > room)
		return false;
	node->lookups += page->plus && is_child;
	page->used += needs;
	return true;
}

static void fill_page(struct page *page, struct node *dir, size_t offset) {
	struct node *up = dir->parent ? dir->parent : dir;
	if (offset == 0 && !add(page, ".", dir, 1))
		return;
	if (offset <= 1 && !add(page, "..", up, FIRST))
		return;
	for (size_t i = offset > FIRST ? offset - FIRST : 0; i < dir->child_count; i++)
		if (dir->children[i] && !add(page, dir->children[i]->name, dir->children[i], (off_t)(FIRST + i + 1)))
			return;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus) {
	struct page page = {.req = req, .plus = plus, .buffer = checked(malloc(size)), .size = size};
	lock();
	fill_page(&page, node_of(ino), (size_t)offset);
	unlock();
	fuse_reply_buf(req, page.buffer, page.used);
	free(page.buffer);
}

static void null_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi) {
	(void)fi;
	list(req, ino, size, offset, false);
}

static void null_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi) {
	(void)fi;
	list(req, ino, size, offset, true);
}

/* ---- files ---- */

static void null_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	if (fi->flags & O_TRUNC) {
		lock();
		set_size(&node_of(ino)->about, 0);
		unlock();
	}
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void null_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi) {
	struct fuse_entry_param entry;
	lock();
	struct node *node = find(node_of(parent), name);
	if (!node)
		node = make(req, node_of(parent), name, S_IFREG | (mode & 07777));
	fill_entry(node, &entry);
	node->lookups++;
	unlock();
	fi->keep_cache = 1;
	fuse_reply_create(req, &entry, fi);
}

static void null_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi) {
	(void)fi;
	lock();
	off_t left = node_of(ino)->about.st_size - offset;
	unlock();
	size_t there = left > 0 ? (size_t)left : 0;
	size = size < sizeof zeros ? size : sizeof zeros;
	fuse_reply_buf(req, zeros, size < there ? size : there);
}

static void null_write(
        fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *fi) {
	(void)data, (void)fi;
	lock();
	struct stat *about = &node_of(ino)->about;
	if (about->st_size < offset + (off_t)size)
		set_size(about, offset + (off_t)size);
	unlock();
	fuse_reply_write(req, size);
}

/* flush, fsync, fsyncdir, releasedir: done. */
static void null_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	(void)ino, (void)fi;
	fuse_reply_err(req, 0);
}

static void null_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi) {
	(void)data_only;
	null_flush(req, ino, fi);
}

static void null_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	session_released();
	null_flush(req, ino, fi);
}

static void null_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size) {
	(void)ino, (void)size;
	fuse_reply_err(req, strcmp(name, "security.selinux") == 0 ? EOPNOTSUPP : ENODATA); /* as assayfs does */
}

static void null_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size) {
	(void)ino;
	if (size)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_xattr(req, 0);
}

static const struct fuse_lowlevel_ops operations = {
        .init = null_init,
        .lookup = null_lookup,
        .forget = null_forget,
        .forget_multi = null_forget_multi,
        .getattr = null_getattr,
        .setattr = null_setattr,
        .access = null_access,
        .statfs = null_statfs,
        .mkdir = null_mkdir,
        .unlink = remove_name,
        .rmdir = remove_name,
        .rename = null_rename,
        .opendir = null_opendir,
        .readdir = null_readdir,
        .readdirplus = null_readdirplus,
        .releasedir = null_flush,
        .fsyncdir = null_fsync,
        .open = null_open,
        .create = null_create,
        .release = null_release,
        .read = null_read,
        .write = null_write,
        .flush = null_flush,
        .fsync = null_fsync,
        .getxattr = null_getxattr,
        .listxattr = null_listxattr,
};

static void make_root(void) {
	struct timespec time = now();
	null_filesystem.root.about = (struct stat){.st_ino = FUSE_ROOT_ID,
	        .st_mode = S_IFDIR | 0755,
	        .st_nlink = 2,
	        .st_blksize = 4096,
	        .st_atim = time,
	        .st_mtim = time,
	        .st_ctim = time};
	grow_table();
}

int main(int argc, char **argv) {
	bool has_options = argc == 4 && strcmp(argv[1], "-o") == 0;
	if (argc != 2 && !has_options) {
		fprintf(stderr, "usage: nullfs [-o OPTIONS] DIR\n");
		return 2;
	}
	struct session_options options = {
	        .mountpoint = argv[argc - 1], .source = "nullfs", .fuse_options = has_options ? argv[2] : NULL};
	_cleanup_(session_closep) Session *session = NULL;
	make_root();
	int rc = session_mount(&operations, &null_filesystem.owner, &options, &session);
	if (rc == 0)
		rc = session_run(session);
	if (rc < 0)
		fprintf(stderr, "nullfs: %s\n", fault_message());
	return rc < 0 ? 1 : 0;
}
