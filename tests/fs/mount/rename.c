/* rename(2) and link(2) in all their cases, on the directory given. Prints what was wrong; 0 if nothing was. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#endif

static unsigned failures;

static void expect(int line, const char *what, int rc, int wanted) {
	int got = rc < 0 ? errno : 0;
	if (got == wanted)
		return;
	printf("line %d: %s: %s, wanted %s\n", line, what, strerror(got), strerror(wanted));
	failures++;
}

#define EXPECT(call, wanted) expect(__LINE__, #call, (int)(call), wanted)

static void put(const char *name, const char *text) {
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) < 0 || close(fd) < 0)
		perror(name);
}

static void expect_text(int line, const char *name, const char *text) {
	char got[64] = "";
	int fd = open(name, O_RDONLY);
	ssize_t length = fd < 0 ? -1 : read(fd, got, sizeof got - 1);
	if (fd >= 0)
		close(fd);
	if (length < 0 || strcmp(got, text) != 0) {
		printf("line %d: %s holds '%s', wanted '%s'\n", line, name, got, text);
		failures++;
	}
}

#define EXPECT_TEXT(name, text) expect_text(__LINE__, name, text)

static int rename2(const char *from, const char *to, unsigned flags) {
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void files(void) {
	put("a", "A");
	put("b", "B");
	EXPECT(rename("a", "b"), 0);
	EXPECT_TEXT("b", "A");
	EXPECT(access("a", F_OK), ENOENT);
	EXPECT(rename("a", "c"), ENOENT);
	EXPECT(rename("b", "b"), 0);
	EXPECT(link("b", "same"), 0);
	EXPECT(rename("b", "same"), 0); /* links to one file: nothing happens */
	EXPECT(access("b", F_OK), 0);
	put("c", "C");
	EXPECT(rename2("b", "c", RENAME_NOREPLACE), EEXIST);
	EXPECT_TEXT("c", "C");
	EXPECT(rename2("b", "d", RENAME_NOREPLACE), 0);
	EXPECT(rename2("c", "d", RENAME_EXCHANGE), 0);
	EXPECT_TEXT("c", "A");
	EXPECT_TEXT("d", "C");
	EXPECT(rename2("c", "nothing", RENAME_EXCHANGE), ENOENT);
}

static void directories(void) {
	EXPECT(mkdir("dir", 0755), 0);
	EXPECT(mkdir("dir/sub", 0755), 0);
	EXPECT(mkdir("empty", 0755), 0);
	EXPECT(mkdir("dir", 0755), EEXIST);
	put("dir/f", "F");
	EXPECT(rename("c", "dir"), EISDIR);
	EXPECT(rename("dir", "c"), ENOTDIR);
	EXPECT(rename("empty", "dir"), ENOTEMPTY);
	EXPECT(rename("dir", "dir/sub/x"), EINVAL);
	EXPECT(rename("dir", "empty"), 0);
	EXPECT_TEXT("empty/f", "F");
	EXPECT(rename("empty/sub", "moved"), 0);
	struct stat about;
	EXPECT(stat("empty", &about), 0);
	if (about.st_nlink != 2) {
		printf("a directory without sub-directories has %lu links\n", (unsigned long)about.st_nlink);
		failures++;
	}
	EXPECT(rename2("moved", "c", RENAME_EXCHANGE), 0); /* a directory for a file */
	EXPECT_TEXT("moved", "A");
	EXPECT(rmdir("empty"), ENOTEMPTY);
	EXPECT(unlink("empty"), EISDIR);
	EXPECT(rmdir("moved"), ENOTDIR);
	EXPECT(rmdir("c"), 0);
}

static void open_over(void) {
	put("new", "new");
	put("old", "old");
	int fd = open("old", O_RDONLY);
	char text[4] = "";
	EXPECT(rename("new", "old"), 0);
	EXPECT(read(fd, text, 3), 0);
	if (strcmp(text, "old") != 0) {
		printf("who had the replaced file open reads '%s'\n", text);
		failures++;
	}
	struct stat about;
	EXPECT(fstat(fd, &about), 0);
	if (about.st_nlink != 0) {
		printf("a replaced file has %lu links\n", (unsigned long)about.st_nlink);
		failures++;
	}
	close(fd);
	EXPECT_TEXT("old", "new");
}

static void rooms(void) {
	EXPECT(rename("old", "../../Trusted/x"), EXDEV);
	EXPECT(link("old", "../../Trusted/x"), EXDEV);
	EXPECT(rename("old", "../../x"), EPERM);
	EXPECT(rename("../../Raw", "raw"), EPERM);
	EXPECT(rename("old", "../../.assayfs/x"), EROFS);
}

int main(int argc, char **argv) {
	if (argc != 2 || chdir(argv[1]) < 0) {
		perror("rename: usage: rename DIR (two below the mount)");
		return 2;
	}
	files();
	directories();
	open_over();
	rooms();
	return failures != 0;
}
