/* Bytes of files, held against a copy in memory: random writes, cuts, holes, mmap, append, descriptors that outlive
 * their names, offsets past 4 GiB. usage: bytes DIR [SEED] */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define AREA (3u << 20)

static uint64_t state;

static uint32_t next(void) {
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(state >> 33);
}

static void die(const char *what) {
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static void wrong(const char *what) {
	printf("%s\n", what);
	exit(1);
}

static void compare(int fd, const uint8_t *model, size_t size, const char *when) {
	uint8_t *got = malloc(AREA);
	struct stat about;
	if (!got || fstat(fd, &about) < 0)
		die("fstat");
	if ((size_t)about.st_size != size) {
		printf("%s: size %lld, wanted %zu\n", when, (long long)about.st_size, size);
		exit(1);
	}
	for (size_t at = 0; at < size;) {
		ssize_t part = pread(fd, got + at, size - at, (off_t)at);
		if (part <= 0)
			die(when);
		at += (size_t)part;
	}
	if (memcmp(got, model, size) != 0)
		wrong(when);
	free(got);
}

static void random_writes(const char *name, unsigned rounds) {
	uint8_t *model = calloc(1, AREA), *data = malloc(200000);
	size_t size = 0;
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || !model || !data)
		die(name);
	for (unsigned i = 0; i < rounds; i++) {
		size_t offset = next() % (AREA - 200000), length = next() % (next() % 4 ? 5000 : 200000);
		for (size_t at = 0; at < length; at++)
			data[at] = (uint8_t)next();
		switch (next() % 8) {
		case 0:
			if (ftruncate(fd, (off_t)offset) < 0)
				die("ftruncate");
			if (offset < size)
				memset(model + offset, 0, size - offset);
			size = offset;
			break;
		case 1:
			if (fsync(fd) < 0)
				die("fsync");
			break;
		case 2: /* everything is read from the daemon again */
			if (fsync(fd) < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
				die("fadvise");
			compare(fd, model, size, "after dropping the cache");
			break;
		case 3: /* a new descriptor, a new version */
			close(fd);
			fd = open(name, O_RDWR);
			if (fd < 0)
				die("open again");
			break;
		default:
			if (pwrite(fd, data, length, (off_t)offset) != (ssize_t)length)
				die("pwrite");
			memcpy(model + offset, data, length);
			if (length && offset + length > size)
				size = offset + length;
		}
	}
	compare(fd, model, size, "at the end of random writes");
	close(fd);
	free(model);
	free(data);
}

static void map(const char *name) {
	uint8_t *model = malloc(100000);
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || !model || ftruncate(fd, 100000) < 0)
		die(name);
	uint8_t *bytes = mmap(NULL, 100000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		die("mmap");
	close(fd); /* the mapping goes on by itself */
	for (size_t i = 0; i < 100000; i++)
		bytes[i] = model[i] = (uint8_t)next();
	if (munmap(bytes, 100000) < 0)
		die("munmap");
	fd = open(name, O_RDONLY);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	compare(fd, model, 100000, "what was written through a mapping");
	close(fd);
	free(model);
}

static void unlinked(const char *name) {
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	static const uint8_t text[] = "still here";
	if (fd < 0 || unlink(name) < 0 || pwrite(fd, text, sizeof text, 100000) < 0)
		die(name);
	uint8_t *model = calloc(1, AREA);
	memcpy(model + 100000, text, sizeof text);
	compare(fd, model, 100000 + sizeof text, "a file without a name");
	struct stat about;
	if (fstat(fd, &about) < 0 || about.st_nlink != 0)
		wrong("a file without a name has links");
	close(fd);
	if (access(name, F_OK) == 0)
		wrong("an unlinked name is back");
	free(model);
}

static void append(const char *name) {
	int one = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644), two = open(name, O_WRONLY | O_APPEND);
	uint8_t model[4000];
	if (one < 0 || two < 0)
		die(name);
	for (size_t i = 0; i < sizeof model; i += 10) {
		memset(model + i, 'a' + (int)(i / 10 % 26), 10);
		if (write(i / 10 % 2 ? one : two, model + i, 10) != 10)
			die("append");
	}
	close(one);
	close(two);
	one = open(name, O_RDONLY);
	compare(one, model, sizeof model, "two that append");
	close(one);
}

static void beyond_4_gib(const char *name) {
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	off_t far = (off_t)5 << 30;
	char got[5] = "";
	if (fd < 0 || pwrite(fd, "far", 3, far) != 3 || pwrite(fd, "near", 4, 10) != 4 || fsync(fd) < 0)
		die(name);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	struct stat about;
	if (fstat(fd, &about) < 0 || about.st_size != far + 3)
		wrong("a file past 4 GiB has another size");
	if (pread(fd, got, 3, far) != 3 || strcmp(got, "far") != 0)
		wrong("bytes past 4 GiB are others");
	if (pread(fd, got, 4, (off_t)3 << 30) != 4 || memcmp(got, "\0\0\0\0", 4) != 0)
		wrong("a hole holds something");
	off_t data = lseek(fd, 1 << 20, SEEK_DATA), hole = lseek(fd, 0, SEEK_HOLE);
	if (data < far - (1 << 20) || data > far)
		printf("SEEK_DATA gave %lld\n", (long long)data), exit(1);
	if (hole <= 0 || hole > (1 << 20))
		printf("SEEK_HOLE gave %lld\n", (long long)hole), exit(1);
	if (ftruncate(fd, 12) < 0 || fstat(fd, &about) < 0 || about.st_size != 12)
		wrong("cutting a sparse file");
	close(fd);
}

int main(int argc, char **argv) {
	state = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
	printf("seed %llu\n", (unsigned long long)state);
	if (argc < 2 || chdir(argv[1]) < 0)
		die("usage: bytes DIR [SEED]");
	random_writes("random", 400);
	map("mapped");
	unlinked("nameless");
	append("appended");
	beyond_4_gib("far");
	return 0;
}
