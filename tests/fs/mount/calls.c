/* What programs ask for beyond read and write: holes (fallocate, SEEK_DATA), files without a name (O_TMPFILE), handles
 * (open_by_handle_at), O_DIRECT. As root. usage: calls DIR */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <linux/falloc.h>

#define BLOCK 16384
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static int failures;

static void die(const char *what) {
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static void expect(const char *what, int holds) {
	if (holds)
		return;
	printf("FAILED: %s\n", what);
	failures++;
}

static int make(const char *name, size_t size) {
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	uint8_t *bytes = malloc(size + 1);
	if (fd < 0 || !bytes)
		die(name);
	memset(bytes, 'x', size);
	if (pwrite(fd, bytes, size, 0) != (ssize_t)size)
		die(name);
	free(bytes);
	return fd;
}

static off_t size_of(int fd) {
	struct stat about;
	if (fstat(fd, &about) < 0)
		die("fstat");
	return about.st_size;
}

/* Whether all of [from, to) is `byte`. */
static int all(int fd, off_t from, off_t to, uint8_t byte) {
	static uint8_t got[8 * BLOCK];
	if (pread(fd, got, (size_t)(to - from), from) != to - from)
		return 0;
	for (off_t i = 0; i < to - from; i++)
		if (got[i] != byte)
			return 0;
	return 1;
}

static void forget_pages(int fd) {
	if (fsync(fd) < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
		die("dropping pages");
}

/* ---- holes ---- */

static void a_hole_is_cut_out_of_data_that_waits_in_the_kernel(void) {
	int fd = make("hole", 5 * BLOCK);
	expect("a hole can be punched", fallocate(fd, PUNCH, BLOCK - 10, 2 * BLOCK) == 0);
	for (int again = 0; again < 2; again++) {
		expect("what lies before stays", all(fd, 0, BLOCK - 10, 'x'));
		expect("zeros in the hole", all(fd, BLOCK - 10, 3 * BLOCK - 10, 0));
		expect("what lies behind stays", all(fd, 3 * BLOCK - 10, 5 * BLOCK, 'x'));
		expect("the size stays", size_of(fd) == 5 * BLOCK);
		forget_pages(fd);
	}
	expect("the hole is found", lseek(fd, 0, SEEK_HOLE) == BLOCK); /* to 4 KiB: that holds data up to BLOCK - 10 */
	expect("and its end", lseek(fd, BLOCK, SEEK_DATA) == 2 * BLOCK);
	expect("a hole behind the end changes nothing",
	        fallocate(fd, PUNCH, 9 * BLOCK, BLOCK) == 0 && size_of(fd) == 5 * BLOCK);
	close(fd);
	fd = open("hole", O_RDONLY);
	expect("a reader can't punch", fallocate(fd, PUNCH, 0, 1) < 0 && errno == EBADF);
	close(fd);
}

static void zeros_may_lengthen_a_file_and_room_may_not(void) {
	int fd = make("zeros", 2 * BLOCK);
	expect("a range of zeros", fallocate(fd, FALLOC_FL_ZERO_RANGE, BLOCK, 3 * BLOCK) == 0);
	expect("is as long as was asked", size_of(fd) == 4 * BLOCK);
	expect("and zero", all(fd, 0, BLOCK, 'x') && all(fd, BLOCK, 4 * BLOCK, 0));
	expect("with KEEP_SIZE", fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 9 * BLOCK) == 0 &&
	                                 size_of(fd) == 4 * BLOCK && all(fd, 0, BLOCK, 0));
	expect("room beyond the end leaves the size",
	        fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 9 * BLOCK) == 0 && size_of(fd) == 4 * BLOCK);
	expect("room within", fallocate(fd, 0, 0, 6 * BLOCK) == 0 && size_of(fd) == 6 * BLOCK);
	expect("more room than there is", fallocate(fd, 0, 0, (off_t)1 << 60) < 0 && errno == ENOSPC);
	expect("nothing is cut out of the middle",
	        fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, BLOCK) < 0 && errno == EOPNOTSUPP);
	close(fd);
}

static void a_mapping_sees_the_hole(void) {
	int fd = make("mapped-hole", 4 * BLOCK);
	uint8_t *bytes = mmap(NULL, 4 * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		die("mmap");
	bytes[BLOCK] = 'y';
	expect("punched below a mapping", fallocate(fd, PUNCH, 0, 2 * BLOCK) == 0);
	expect("zeros in the mapping", bytes[0] == 0 && bytes[BLOCK] == 0 && bytes[2 * BLOCK] == 'x');
	munmap(bytes, 4 * BLOCK);
	close(fd);
}

/* The kernel writes such a file through, with the page locked that it does not know the rest of: whoever waited for
 * that page before answering would never answer. */
static void a_write_into_a_set_id_file_is_answered(void) {
	int fd = make("written-through", 100);
	struct stat about;
	forget_pages(fd);
	if (fchmod(fd, 06777) < 0 || seteuid(65534) < 0)
		die("written-through");
	expect("nobody may write", pwrite(fd, "y", 1, 0) == 1);
	if (seteuid(0) < 0 || fstat(fd, &about) < 0)
		die("written-through");
	expect("which takes set-id bits", (about.st_mode & 07777) == 0777);
	close(fd);
}

static void set_id_bits_go_with_a_hole(void) {
	int fd = make("set-id", BLOCK);
	struct stat about;
	if (fchmod(fd, 06777) < 0 || seteuid(65534) < 0)
		die("set-id");
	expect("nobody may punch", fallocate(fd, PUNCH, 0, 1) == 0);
	if (seteuid(0) < 0 || fstat(fd, &about) < 0)
		die("set-id");
	expect("and the set-id bits are gone", (about.st_mode & 07777) == 0777);
	/* struct vfs_cap_data of cap_setuid=ep, version 2 */
	static const uint32_t capability[] = {0x02000001, 0x80, 0, 0, 0};
	if (fchmod(fd, 02666) < 0 || fsetxattr(fd, "security.capability", capability, sizeof capability, 0) < 0 ||
	        seteuid(65534) < 0)
		die("capability");
	expect("nobody may have room", fallocate(fd, 0, 0, 2 * BLOCK) == 0);
	expect("nobody may write", pwrite(fd, "y", 1, 0) == 1 && fsync(fd) == 0);
	if (seteuid(0) < 0 || fstat(fd, &about) < 0)
		die("capability");
	expect("set-gid without execution stays for one of the group", (about.st_mode & 07777) == 02666);
	if (setgroups(0, NULL) < 0 || setegid(65534) < 0 || seteuid(65534) < 0)
		die("groups");
	expect("another may write", pwrite(fd, "z", 1, 0) == 1 && fsync(fd) == 0);
	if (seteuid(0) < 0 || setegid(0) < 0 || fstat(fd, &about) < 0)
		die("groups");
	expect("and goes for another", (about.st_mode & 07777) == 0666);
	expect("and so is the capability", fgetxattr(fd, "security.capability", NULL, 0) < 0 && errno == ENODATA);
	close(fd);
}

/* ls asks no more after that. Where SELinux is, the kernel answers itself. */
static void a_label_is_told_where_one_is(void) {
	char label[64];
	int fd = open("labelled", O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		die("labelled");
	if (access("/sys/fs/selinux/enforce", F_OK) == 0)
		goto end;
	errno = 0;
	expect("no label", fgetxattr(fd, "security.selinux", label, sizeof label) < 0 && errno == EOPNOTSUPP);
	errno = 0;
	expect("no other", fgetxattr(fd, "security.other", label, sizeof label) < 0 && errno == ENODATA);
	expect("a label can be set", fsetxattr(fd, "security.selinux", "u:r:t", 6, 0) == 0);
	expect("and is told",
	        fgetxattr(fd, "security.selinux", label, sizeof label) == 6 && strcmp(label, "u:r:t") == 0);
end:
	close(fd);
}

static int64_t read_at(const char *name) {
	struct statx about;
	char version[32];
	if (getxattr(name, "user.assayfs.version", version, sizeof version) < 0 || /* waits for the RELEASE */
	        statx(AT_FDCWD, name, AT_STATX_FORCE_SYNC, STATX_ATIME, &about) < 0)
		die(name);
	return about.stx_atime.tv_sec;
}

static void a_time_of_access_that_was_set_stays_until_the_next_reading(void) {
	static const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_nsec = UTIME_OMIT}};
	_Alignas(BLOCK) static uint8_t block[BLOCK];
	close(make("accessed", BLOCK));
	int fd = open("accessed", O_RDONLY | O_DIRECT);
	if (fd < 0 || read(fd, block, BLOCK) != BLOCK || futimens(fd, times) < 0)
		die("accessed");
	close(fd);
	expect("what was read before does not count", read_at("accessed") == 1000000000);
	fd = open("accessed", O_RDONLY | O_DIRECT);
	if (fd < 0 || futimens(fd, times) < 0 || read(fd, block, BLOCK) != BLOCK)
		die("accessed");
	close(fd);
	expect("what is read after it does", read_at("accessed") > 1000000000);
}

static void data_that_the_kernel_still_holds_is_found(void) {
	int fd = open("dirty", O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || pwrite(fd, "data", 4, 10 * BLOCK) != 4)
		die("dirty");
	off_t data = lseek(fd, 0, SEEK_DATA), hole = lseek(fd, 0, SEEK_HOLE);
	expect("SEEK_DATA finds it", data == 10 * BLOCK);
	expect("SEEK_HOLE begins with the hole before it", hole == 0);
	expect("no data behind the end", lseek(fd, 10 * BLOCK + 4, SEEK_DATA) < 0 && errno == ENXIO);
	expect("the end is a hole", lseek(fd, 10 * BLOCK, SEEK_HOLE) == 10 * BLOCK + 4);
	close(fd);
}

/* ---- without a name ---- */

static void link_up(int fd, const char *name) {
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	expect(name, linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0);
}

static void a_file_without_a_name_gets_one_or_is_gone(void) {
	struct stat about;
	int fd = open(".", O_TMPFILE | O_RDWR, 0640);
	if (fd < 0)
		die("O_TMPFILE");
	expect("it has no link", fstat(fd, &about) == 0 && about.st_nlink == 0 && S_ISREG(about.st_mode));
	expect("and can be written", pwrite(fd, "nameless", 8, 0) == 8 && fsync(fd) == 0);
	link_up(fd, "tmpfile");
	close(fd);
	fd = open("tmpfile", O_RDONLY);
	expect("what was written is there under the name", fd >= 0 && size_of(fd) == 8 && all(fd, 0, 1, 'n'));
	expect("with one link and its mode",
	        fstat(fd, &about) == 0 && about.st_nlink == 1 && (about.st_mode & 07777) == 0640);
	close(fd);
	fd = open(".", O_TMPFILE | O_WRONLY | O_EXCL, 0600);
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	expect("with O_EXCL it gets none",
	        linkat(AT_FDCWD, path, AT_FDCWD, "tmpfile2", AT_SYMLINK_FOLLOW) < 0 && errno == ENOENT);
	close(fd);
}

/* ---- handles ---- */

struct handle {
	struct file_handle head;
	unsigned char room[MAX_HANDLE_SZ];
};

static void drop_caches(void) {
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
	sync();
	if (fd >= 0 && write(fd, "2", 1) != 1)
		printf("the kernel's cache stays\n");
	close(fd);
}

static int open_handle(const char *name, struct handle *handle) {
	int mount_id, here = open(".", O_RDONLY | O_DIRECTORY);
	handle->head.handle_bytes = MAX_HANDLE_SZ;
	if (name && name_to_handle_at(AT_FDCWD, name, &handle->head, &mount_id, 0) < 0)
		die("name_to_handle_at");
	if (name)
		drop_caches();
	int fd = open_by_handle_at(here, &handle->head, O_RDONLY);
	int error = errno;
	close(here);
	errno = error;
	return fd;
}

static void a_handle_leads_to_a_file_that_the_kernel_forgot(void) {
	static struct handle file, directory;
	char got[4] = "";
	close(make("handled", 100));
	if (mkdir("handled-dir", 0755) < 0)
		die("handled-dir");
	int fd = open_handle("handled", &file);
	expect("the file opens by its handle", fd >= 0 && read(fd, got, 3) == 3 && strcmp(got, "xxx") == 0);
	close(fd);
	fd = open_handle("handled-dir", &directory);
	struct stat about, there;
	expect("so does a directory",
	        fd >= 0 && fstat(fd, &about) == 0 && stat("handled-dir", &there) == 0 && about.st_ino == there.st_ino);
	expect("which knows its parent",
	        fstatat(fd, "..", &about, 0) == 0 && stat(".", &there) == 0 && about.st_ino == there.st_ino);
	close(fd);
	if (unlink("handled") < 0 || rmdir("handled-dir") < 0)
		die("unlink");
	drop_caches();
	struct handle gone = file;
	expect("a removed file's handle is stale",
	        open_by_handle_at(AT_FDCWD, &gone.head, O_RDONLY) < 0 && errno == ESTALE);
}

/* ---- a directory that changes while it is listed ---- */

#define NAMES 3000

static void renaming_what_is_listed_comes_to_an_end(void) {
	char name[32], seen[NAMES] = "";
	int listed = 0, missed = 0;
	if (mkdir("listed", 0755) < 0 || chdir("listed") < 0)
		die("listed");
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof name, "%d", i);
		close(make(name, 0));
	}
	DIR *dir = opendir(".");
	for (struct dirent *entry; (entry = readdir(dir)) && listed < 3 * NAMES; listed++) {
		if (entry->d_name[0] == '.')
			continue;
		seen[atoi(entry->d_name)] = 1;
		if (rename(entry->d_name, "other") < 0 || rename("other", entry->d_name) < 0)
			die("rename");
	}
	closedir(dir);
	for (int i = 0; i < NAMES; i++)
		missed += !seen[i];
	expect("the list ends", listed < 3 * NAMES);
	expect("and lacks nothing", missed == 0);
	if (chdir("..") < 0)
		die("..");
}

static void what_is_replaced_while_it_is_listed_is_not_missed(void) {
	char name[32];
	int found = 0;
	if (chdir("listed") < 0)
		die("listed");
	DIR *dir = opendir(".");
	if (!readdir(dir))
		die("readdir");
	for (int i = 0; i < NAMES; i++) { /* as editors save */
		snprintf(name, sizeof name, "%d", i);
		close(make("new", 1));
		if (rename("new", name) < 0)
			die("rename");
	}
	for (struct dirent *entry; (entry = readdir(dir));)
		found += strcmp(entry->d_name, "2999") == 0;
	closedir(dir);
	expect("a name that was always there is listed", found >= 1);
	if (chdir("..") < 0)
		die("..");
}

/* ---- past the page cache ---- */

static void direct_and_cached_bytes_agree(void) {
	uint8_t *bytes = NULL;
	if (posix_memalign((void **)&bytes, 4096, 2 * BLOCK) != 0)
		die("memory");
	int cached = make("direct", 4 * BLOCK), direct = open("direct", O_RDWR | O_DIRECT);
	if (direct < 0)
		die("O_DIRECT");
	memset(bytes, 'd', 2 * BLOCK);
	expect("a direct write", pwrite(direct, bytes, 4096, BLOCK) == 4096);
	expect("is read through the cache", all(cached, BLOCK, BLOCK + 4096, 'd') && all(cached, 0, BLOCK, 'x'));
	if (pwrite(cached, "c", 1, 2 * BLOCK) != 1)
		die("write");
	expect("a cached write is read directly", pread(direct, bytes, 4096, 2 * BLOCK) == 4096 && bytes[0] == 'c');
	free(bytes);
	close(direct);
	close(cached);
}

static int is_before(struct timespec one, struct timespec other) {
	return one.tv_sec < other.tv_sec || (one.tv_sec == other.tv_sec && one.tv_nsec < other.tv_nsec);
}

/* The mount stamps what is made, the kernel what it caches: make(1) goes by the order of the two. */
static void what_was_written_later_does_not_look_older(void) {
	int fd = make("later", 1), older = 0;
	for (int i = 0; i < 200; i++) {
		struct stat before, after;
		if (mkdir("earlier", 0755) < 0 || pwrite(fd, "y", 1, 0) != 1 || stat("earlier", &before) < 0 ||
		        fstat(fd, &after) < 0 || rmdir("earlier") < 0)
			die("earlier");
		older += is_before(after.st_mtim, before.st_mtim);
	}
	expect("a file written after a directory was made is not older than that", older == 0);
	(void)close(fd);
	(void)unlink("later");
}

int main(int argc, char **argv) {
	if (argc < 2 || chdir(argv[1]) < 0)
		die("usage: calls DIR");
	umask(0);
	a_hole_is_cut_out_of_data_that_waits_in_the_kernel();
	zeros_may_lengthen_a_file_and_room_may_not();
	a_mapping_sees_the_hole();
	a_label_is_told_where_one_is();
	a_time_of_access_that_was_set_stays_until_the_next_reading();
	data_that_the_kernel_still_holds_is_found();
	a_file_without_a_name_gets_one_or_is_gone();
	renaming_what_is_listed_comes_to_an_end();
	what_is_replaced_while_it_is_listed_is_not_missed();
	direct_and_cached_bytes_agree();
	what_was_written_later_does_not_look_older();
	if (geteuid() == 0) {
		a_write_into_a_set_id_file_is_answered();
		set_id_bits_go_with_a_hole();
		a_handle_leads_to_a_file_that_the_kernel_forgot();
	}
	return failures > 0;
}
