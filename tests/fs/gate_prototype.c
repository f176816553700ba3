/*
 * The kernel behaviour that the gate of Trusted/ stands on, shown with a file system of one directory and no storage.
 *
 * A name has at most one *published* content and at most one *staging* inode. What holds here and is checked below:
 *
 *   open for write of a published name ──▶ OPEN answers ESTALE once
 *                                          │ the VFS retries the whole open with LOOKUP_REVAL
 *                                          ▼
 *                                       LOOKUP from the same thread gets the staging inode ──▶ OPEN succeeds
 *
 *   close(2) ──▶ writeback of dirty pages ──▶ FLUSH: the verdict; its error is close's error
 *
 * The entry timeout is 0, so everybody else's next LOOKUP finds the published inode again. "BAD" in the content is
 * what the toy verdict refuses.
 */
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { INODES = 4096, CONTENT = 64 * 1024, NAMES = 32 };

struct inode {
	char data[CONTENT];
	size_t size;
	bool dirty, staging;
	pid_t opener;
	int name; /* index in names[], -1 none */
};

static struct inode *inodes; /* number 1 is the root */
static fuse_ino_t next_inode = 2;
static struct name {
	char text[64];
	fuse_ino_t published, staging;
	pid_t staging_for; /* the thread that was answered ESTALE, or the creator */
} names[NAMES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fuse_session *session;

static struct name *find_name(const char *text, bool make) {
	for (int i = 0; i < NAMES; i++)
		if (strcmp(names[i].text, text) == 0)
			return &names[i];
	for (int i = 0; make && i < NAMES; i++)
		if (names[i].text[0] == '\0') {
			snprintf(names[i].text, sizeof names[i].text, "%s", text);
			return &names[i];
		}
	return NULL;
}

static void fill_stat(fuse_ino_t ino, struct stat *st) {
	*st = (struct stat){.st_ino = ino, .st_nlink = 1, .st_mode = S_IFREG | 0666, .st_blksize = 4096};
	if (ino == FUSE_ROOT_ID)
		st->st_mode = S_IFDIR | 0777;
	else
		st->st_size = (off_t)inodes[ino].size;
}

static void fill_entry(fuse_ino_t ino, struct fuse_entry_param *entry) {
	*entry = (struct fuse_entry_param){.ino = ino, .attr_timeout = 1, .entry_timeout = 0};
	fill_stat(ino, &entry->attr);
}

static fuse_ino_t new_staging(struct name *name, pid_t writer, bool truncated) {
	fuse_ino_t ino = next_inode++;
	struct inode *inode = &inodes[ino];
	if (name->published && !truncated) {
		inode->size = inodes[name->published].size;
		memcpy(inode->data, inodes[name->published].data, inode->size);
	}
	inode->staging = true;
	inode->opener = writer;
	inode->name = (int)(name - names);
	inode->dirty = truncated && name->published;
	name->staging = ino;
	name->staging_for = writer;
	return ino;
}

/* The verdict: publishes a new inode number with the content, or refuses and drops it. */
static int judge(fuse_ino_t ino) {
	struct inode *staged = &inodes[ino];
	if (!staged->dirty || staged->size == 0)
		return 0;
	struct name *name = &names[staged->name];
	staged->dirty = false;
	if (memmem(staged->data, staged->size, "BAD", 3))
		return EPERM;
	fuse_ino_t published = next_inode++;
	memcpy(inodes[published].data, staged->data, staged->size);
	inodes[published].size = staged->size;
	inodes[published].name = staged->name;
	name->published = published;
	return 0;
}

static void proto_init(void *user, struct fuse_conn_info *conn) {
	(void)user;
	conn->want |= FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_ATOMIC_O_TRUNC;
}

static void proto_lookup(fuse_req_t req, fuse_ino_t parent, const char *text) {
	(void)parent;
	pthread_mutex_lock(&lock);
	struct name *name = find_name(text, false);
	fuse_ino_t ino = 0;
	if (name && name->staging && name->staging_for == fuse_req_ctx(req)->pid)
		ino = name->staging;
	else if (name)
		ino = name->published;
	struct fuse_entry_param entry;
	if (ino)
		fill_entry(ino, &entry);
	pthread_mutex_unlock(&lock);
	if (ino)
		fuse_reply_entry(req, &entry);
	else
		fuse_reply_err(req, ENOENT);
}

static void proto_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	(void)fi;
	struct stat st;
	pthread_mutex_lock(&lock);
	fill_stat(ino, &st);
	pthread_mutex_unlock(&lock);
	fuse_reply_attr(req, &st, 0);
}

static void proto_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int mask, struct fuse_file_info *fi) {
	pthread_mutex_lock(&lock);
	int err = 0;
	fuse_ino_t target = ino;
	struct inode *inode = &inodes[ino];
	if ((mask & FUSE_SET_ATTR_SIZE) && (!fi || !inode->staging)) {
		/* truncate(2) by name: judged here, there is no close to come */
		struct name *name = &names[inode->name];
		target = new_staging(name, 0, false);
		inodes[target].size = (size_t)attr->st_size;
		inodes[target].dirty = true;
		err = judge(target);
		name->staging = 0;
	} else if (mask & FUSE_SET_ATTR_SIZE) {
		if ((size_t)attr->st_size > inode->size)
			memset(inode->data + inode->size, 0, (size_t)attr->st_size - inode->size);
		inode->size = (size_t)attr->st_size;
		inode->dirty = true;
	}
	struct stat st;
	fill_stat(target, &st);
	st.st_ino = ino;
	pthread_mutex_unlock(&lock);
	if (err)
		fuse_reply_err(req, err);
	else
		fuse_reply_attr(req, &st, 0);
}

static void proto_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	pthread_mutex_lock(&lock);
	struct inode *inode = &inodes[ino];
	int err = 0;
	if ((fi->flags & O_ACCMODE) != O_RDONLY && !inode->staging) {
		new_staging(&names[inode->name], fuse_req_ctx(req)->pid, (fi->flags & O_TRUNC) != 0);
		err = ESTALE;
	} else if (inode->staging) {
		/* the one LOOKUP it was kept for has been: from here on the name is the published one for everybody */
		names[inode->name].staging = 0;
	}
	pthread_mutex_unlock(&lock);
	if (err)
		fuse_reply_err(req, err);
	else
		fuse_reply_open(req, fi);
}

static void proto_create(fuse_req_t req, fuse_ino_t parent, const char *text, mode_t mode, struct fuse_file_info *fi) {
	(void)parent, (void)mode;
	pthread_mutex_lock(&lock);
	struct name *name = find_name(text, true);
	fuse_ino_t ino = new_staging(name, fuse_req_ctx(req)->pid, true);
	name->staging = 0; /* the reply carries the inode; no LOOKUP is to find it */
	struct fuse_entry_param entry;
	fill_entry(ino, &entry);
	pthread_mutex_unlock(&lock);
	fuse_reply_create(req, &entry, fi);
}

static void proto_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi) {
	(void)fi;
	pthread_mutex_lock(&lock);
	struct inode *inode = &inodes[ino];
	size_t from = (size_t)offset < inode->size ? (size_t)offset : inode->size;
	size_t length = size < inode->size - from ? size : inode->size - from;
	fuse_reply_buf(req, inode->data + from, length);
	pthread_mutex_unlock(&lock);
}

static void proto_write(
        fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *fi) {
	(void)fi;
	pthread_mutex_lock(&lock);
	struct inode *inode = &inodes[ino];
	int err = !inode->staging ? EIO : (size_t)offset + size > CONTENT ? ENOSPC : 0;
	if (!err) {
		memcpy(inode->data + offset, data, size);
		inode->size = (size_t)offset + size > inode->size ? (size_t)offset + size : inode->size;
		inode->dirty = true;
	}
	pthread_mutex_unlock(&lock);
	if (err)
		fuse_reply_err(req, err);
	else
		fuse_reply_write(req, size);
}

static void proto_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
	(void)fi;
	pthread_mutex_lock(&lock);
	struct inode *inode = &inodes[ino];
	int err = inode->staging && inode->opener == fuse_req_ctx(req)->pid ? judge(ino) : 0;
	pthread_mutex_unlock(&lock);
	fuse_reply_err(req, err);
}

static void proto_rename(fuse_req_t req, fuse_ino_t parent, const char *text, fuse_ino_t new_parent,
        const char *new_text, unsigned int flags) {
	(void)parent, (void)new_parent, (void)flags;
	pthread_mutex_lock(&lock);
	struct name *from = find_name(text, false);
	struct name *to = find_name(new_text, true);
	int err = ENOENT;
	if (from && from->published) {
		err = memmem(inodes[from->published].data, inodes[from->published].size, "HELD", 4) ? EPERM : 0;
		if (!err) {
			to->published = from->published;
			inodes[to->published].name = (int)(to - names);
			memset(from, 0, sizeof *from);
		}
	}
	pthread_mutex_unlock(&lock);
	fuse_reply_err(req, err);
}

static const struct fuse_lowlevel_ops operations = {
        .init = proto_init,
        .lookup = proto_lookup,
        .getattr = proto_getattr,
        .setattr = proto_setattr,
        .open = proto_open,
        .create = proto_create,
        .read = proto_read,
        .write = proto_write,
        .flush = proto_flush,
        .rename = proto_rename,
};

/* ---- the tests: system calls against the mount ---- */

static char directory[] = "/tmp/assayfs-gate-prototype-XXXXXX";

static const char *path_of(const char *name) {
	static char paths[4][128];
	static unsigned turn;
	char *path = paths[turn++ % 4];
	snprintf(path, sizeof paths[0], "%s/%s", directory, name);
	return path;
}

static void put(int fd, const char *text) {
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void published(const char *name, const char *expected) {
	char data[256] = "";
	int fd = open(path_of(name), O_RDONLY);
	assert_true(fd >= 0);
	ssize_t got = read(fd, data, sizeof data - 1);
	assert_true(got >= 0);
	assert_string_equal(data, expected);
	assert_int_equal(close(fd), 0);
}

static void publish(const char *name, const char *text) {
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	put(fd, text);
	assert_int_equal(close(fd), 0);
	published(name, text);
}

static void refused_close(int fd) {
	errno = 0;
	assert_int_equal(close(fd), -1);
	assert_int_equal(errno, EPERM);
}

static void a_new_name_appears_with_the_close_that_passes(void **state) {
	(void)state;
	int fd = open(path_of("new"), O_WRONLY | O_CREAT | O_EXCL, 0644);
	assert_true(fd >= 0);
	put(fd, "good");
	pid_t child = fork();
	if (child == 0)
		_exit(access(path_of("new"), F_OK) == 0);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0); /* another process does not see the name yet */
	assert_int_equal(close(fd), 0);
	published("new", "good");
}

static void a_refused_new_name_never_appears(void **state) {
	(void)state;
	int fd = open(path_of("bad"), O_WRONLY | O_CREAT, 0644);
	put(fd, "BAD");
	refused_close(fd);
	assert_int_equal(open(path_of("bad"), O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
}

static void a_refused_overwrite_leaves_what_was_published(void **state) {
	(void)state;
	publish("over", "good one");
	int fd = open(path_of("over"), O_WRONLY | O_TRUNC);
	assert_true(fd >= 0); /* ESTALE was answered once and the VFS tried again */
	put(fd, "BAD");
	published("over", "good one");
	refused_close(fd);
	published("over", "good one");
}

static void writing_into_the_middle_starts_from_the_published_content(void **state) {
	(void)state;
	publish("middle", "0123456789");
	int fd = open(path_of("middle"), O_RDWR);
	assert_int_equal(pwrite(fd, "x", 1, 5), 1);
	published("middle", "0123456789");
	assert_int_equal(close(fd), 0);
	published("middle", "01234x6789");
}

static void an_open_reader_keeps_its_content(void **state) {
	(void)state;
	publish("reader", "first");
	int reader = open(path_of("reader"), O_RDONLY);
	publish("reader", "second");
	char data[16] = "";
	assert_int_equal(read(reader, data, sizeof data), 5);
	assert_string_equal(data, "first");
	close(reader);
}

static void closing_an_unwritten_duplicate_judges_nothing(void **state) {
	(void)state;
	publish("dup", "good");
	int fd = open(path_of("dup"), O_WRONLY | O_TRUNC);
	int second = dup(fd);
	assert_int_equal(close(fd), 0); /* as a shell's redirection does: the draft is empty */
	put(second, "BAD");
	refused_close(second);
	published("dup", "good");
}

static void a_child_that_closes_judges_nothing(void **state) {
	(void)state;
	publish("child", "good");
	int fd = open(path_of("child"), O_WRONLY | O_TRUNC);
	put(fd, "half");
	pid_t child = fork();
	if (child == 0)
		_exit(close(fd) != 0);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	published("child", "good");
	put(fd, " BAD");
	refused_close(fd);
	published("child", "good");
}

static void writes_after_a_good_close_are_judged_again(void **state) {
	(void)state;
	int fd = open(path_of("again"), O_WRONLY | O_CREAT, 0644);
	int second = dup(fd);
	put(fd, "good");
	assert_int_equal(close(fd), 0);
	published("again", "good");
	put(second, " BAD");
	refused_close(second);
	published("again", "good");
}

static void a_mapped_write_is_judged_at_close(void **state) {
	(void)state;
	publish("mapped", "good file");
	int fd = open(path_of("mapped"), O_RDWR);
	char *map = mmap(NULL, 9, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	memcpy(map, "BAD!", 4);
	refused_close(fd); /* close writes the dirty pages back before FLUSH */
	munmap(map, 9);
	published("mapped", "good file");
}

static void pages_dirtied_after_close_change_nothing_published(void **state) {
	(void)state;
	publish("late", "good file");
	int fd = open(path_of("late"), O_RDWR);
	char *map = mmap(NULL, 9, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memcpy(map, "fine", 4);
	assert_int_equal(close(fd), 0);
	published("late", "fine file");
	memcpy(map, "BAD!", 4);
	msync(map, 9, MS_SYNC);
	munmap(map, 9); /* RELEASE comes here, and publishes nothing */
	published("late", "fine file");
}

static void truncate_by_name_is_judged_at_once(void **state) {
	(void)state;
	publish("cut", "good");
	assert_int_equal(truncate(path_of("cut"), 2), 0);
	published("cut", "go");
}

static void two_writers_have_a_draft_each(void **state) {
	(void)state;
	publish("two", "good");
	int one = open(path_of("two"), O_WRONLY | O_TRUNC);
	int two = open(path_of("two"), O_WRONLY | O_TRUNC);
	put(one, "one");
	put(two, "BAD");
	refused_close(two);
	published("two", "good");
	assert_int_equal(close(one), 0);
	published("two", "one");
}

static void exclusive_creation_over_a_published_name_fails(void **state) {
	(void)state;
	publish("excl", "good");
	assert_int_equal(open(path_of("excl"), O_WRONLY | O_CREAT | O_EXCL, 0644), -1);
	assert_int_equal(errno, EEXIST);
}

static void a_refused_rename_over_keeps_both(void **state) {
	(void)state;
	publish("target", "good");
	publish("source", "HELD");
	assert_int_equal(rename(path_of("source"), path_of("target")), -1);
	assert_int_equal(errno, EPERM);
	published("target", "good");
	publish("source", "fine");
	assert_int_equal(rename(path_of("source"), path_of("target")), 0);
	published("target", "fine");
}

static pthread_t loop;

static void *run_loop(void *unused) {
	(void)unused;
	fuse_session_loop(session);
	return NULL;
}

static int mount_it(void **state) {
	(void)state;
	inodes = calloc(INODES, sizeof *inodes);
	char *argv[] = {(char[]){"gate"}, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	session = fuse_session_new(&args, &operations, sizeof operations, NULL);
	fuse_opt_free_args(&args);
	if (!inodes || !session || !mkdtemp(directory) || fuse_session_mount(session, directory) != 0)
		return -1;
	return pthread_create(&loop, NULL, run_loop, NULL);
}

static int unmount_it(void **state) {
	(void)state;
	umount2(directory, MNT_FORCE); /* a failed test may have left files open: cut the connection first */
	umount2(directory, MNT_DETACH);
	pthread_join(loop, NULL);
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	rmdir(directory);
	free(inodes);
	return 0;
}

int main(void) {
	if (access("/dev/fuse", R_OK | W_OK) != 0 || geteuid() != 0) {
		puts("skipped: needs /dev/fuse and root");
		return 77;
	}
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_new_name_appears_with_the_close_that_passes),
	        cmocka_unit_test(a_refused_new_name_never_appears),
	        cmocka_unit_test(a_refused_overwrite_leaves_what_was_published),
	        cmocka_unit_test(writing_into_the_middle_starts_from_the_published_content),
	        cmocka_unit_test(an_open_reader_keeps_its_content),
	        cmocka_unit_test(closing_an_unwritten_duplicate_judges_nothing),
	        cmocka_unit_test(a_child_that_closes_judges_nothing),
	        cmocka_unit_test(writes_after_a_good_close_are_judged_again),
	        cmocka_unit_test(a_mapped_write_is_judged_at_close),
	        cmocka_unit_test(pages_dirtied_after_close_change_nothing_published),
	        cmocka_unit_test(truncate_by_name_is_judged_at_once),
	        cmocka_unit_test(two_writers_have_a_draft_each),
	        cmocka_unit_test(exclusive_creation_over_a_published_name_fails),
	        cmocka_unit_test(a_refused_rename_over_keeps_both),
	};
	return cmocka_run_group_tests(tests, mount_it, unmount_it);
}
