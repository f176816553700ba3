/*
 * bench_driver: the loops of scripts/bench that an interpreter or dd would measure itself in.
 *
 *     bench_driver write FILE BYTES CALL          a new file, in calls of CALL bytes; fsync, close
 *     bench_driver read FILE CALL                 all of it, in order
 *     bench_driver create DIR FOLDERS FILES SIZE  FILES new files of SIZE bytes, evenly in FOLDERS new folders
 *     bench_driver readall DIR FOLDERS FILES      reads them
 *     bench_driver randwrite FILE CALLS           4 KiB at random places of FILE; fsync, close
 *     bench_driver randread FILE CALLS
 *     bench_driver append FILE WRITERS CALLS      4 KiB and fsync, CALLS times each, each to a file of its own: FILE.N
 *     bench_driver overwrite FILE                 4 KiB somewhere in FILE, each time elsewhere: open, write, close
 *     bench_driver stat DIR FOLDERS FILES CALLS   of files here and there, none twice (CALLS <= FILES)
 *
 * Prints the seconds that it took. What is written is pseudo-random, so that nothing below can compress it; what is
 * read is compared with nothing. Random places are the same in each run, but those of overwrite.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define PATH_BYTES 4096
/* What is written comes from here, from changing places. */
#define NOISE_BYTES (4u << 20)
#define MAX_WRITERS 64
/* A step that meets each file once: a prime, so that no number of files has a part of it. */
#define FAR UINT64_C(1299709)

static uint8_t *noise;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
	int error = errno;
	va_list values;
	va_start(values, format);
	fputs("bench_driver: ", stderr);
	vfprintf(stderr, format, values);
	fprintf(stderr, ": %s\n", strerror(error));
	exit(1);
}

static uint64_t random_next(uint64_t *state) {
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void make_noise(void) {
	uint64_t state = 1;
	noise = malloc(NOISE_BYTES);
	if (!noise)
		fail("memory");
	for (size_t i = 0; i < NOISE_BYTES; i += 8) {
		uint64_t value = random_next(&state);
		memcpy(noise + i, &value, sizeof value);
	}
}

/* `size` bytes (at most half of the noise) that differ from call to call. */
static const uint8_t *noise_for(uint64_t call, size_t size) {
	return noise + call * 8191 % (NOISE_BYTES - size);
}

static int open_file(const char *path, int flags) {
	int fd = open(path, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		fail("%s", path);
	return fd;
}

static void close_file(int fd) {
	if (close(fd) < 0)
		fail("close");
}

static void sync_file(int fd) {
	if (fsync(fd) < 0)
		fail("fsync");
}

static void write_at(int fd, const uint8_t *data, size_t size, uint64_t offset) {
	if (pwrite(fd, data, size, (off_t)offset) != (ssize_t)size)
		fail("write");
}

static uint64_t size_of(const char *path) {
	struct stat about;
	if (stat(path, &about) < 0)
		fail("%s", path);
	return (uint64_t)about.st_size;
}

static double seconds(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t number(const char *text) {
	char *end;
	uint64_t value = strtoull(text, &end, 10);
	if (end == text || *end) {
		fprintf(stderr, "bench_driver: '%s' is no number\n", text);
		exit(2);
	}
	return value;
}

/* ---- one large file ---- */

static void run_write(char **words) {
	uint64_t bytes = number(words[1]), call = number(words[2]);
	int fd = open_file(words[0], O_WRONLY | O_CREAT | O_TRUNC);
	for (uint64_t at = 0; at < bytes; at += call) {
		size_t size = (size_t)(bytes - at < call ? bytes - at : call);
		if (write(fd, noise_for(at / call, size), size) != (ssize_t)size)
			fail("write");
	}
	sync_file(fd);
	close_file(fd);
}

static void run_read(char **words) {
	size_t call = (size_t)number(words[1]);
	uint8_t *buffer = malloc(call);
	int fd = open_file(words[0], O_RDONLY);
	ssize_t got;
	while (buffer && (got = read(fd, buffer, call)) > 0)
		;
	if (!buffer || got < 0)
		fail("read");
	close_file(fd);
	free(buffer);
}

static uint64_t random_page(uint64_t *state, uint64_t file_size) {
	return random_next(state) % (file_size / PAGE) * PAGE;
}

static void run_random_write(char **words) {
	uint64_t size = size_of(words[0]), calls = number(words[1]), state = 2;
	int fd = open_file(words[0], O_WRONLY);
	for (uint64_t i = 0; i < calls; i++)
		write_at(fd, noise_for(i, PAGE), PAGE, random_page(&state, size));
	sync_file(fd);
	close_file(fd);
}

static void run_random_read(char **words) {
	uint64_t size = size_of(words[0]), calls = number(words[1]), state = 3;
	uint8_t buffer[PAGE];
	int fd = open_file(words[0], O_RDONLY);
	for (uint64_t i = 0; i < calls; i++)
		if (pread(fd, buffer, PAGE, (off_t)random_page(&state, size)) != (ssize_t)PAGE)
			fail("read");
	close_file(fd);
}

static void run_overwrite(char **words) {
	uint64_t size = size_of(words[0]);
	uint64_t state = (uint64_t)time(NULL) ^ (uint64_t)getpid() << 32;
	int fd = open_file(words[0], O_WRONLY);
	write_at(fd, noise_for(state, PAGE), PAGE, random_page(&state, size));
	close_file(fd);
}

/* ---- many small files ---- */

static void path_of_file(char path[static PATH_BYTES], const char *dir, uint64_t folders, uint64_t file) {
	int length = snprintf(path, PATH_BYTES, "%s/folder%03llu/file%07llu", dir, (unsigned long long)(file % folders),
	        (unsigned long long)file);
	if (length < 0 || length >= PATH_BYTES)
		fail("a path of more than %d bytes", PATH_BYTES);
}

static void make_folders(const char *dir, uint64_t folders) {
	char path[PATH_BYTES];
	for (uint64_t i = 0; i < folders; i++) {
		path_of_file(path, dir, folders, i);
		*strrchr(path, '/') = '\0';
		if (mkdir(path, 0755) < 0)
			fail("%s", path);
	}
}

static void run_create(char **words) {
	uint64_t folders = number(words[1]), files = number(words[2]), size = number(words[3]);
	char path[PATH_BYTES];
	make_folders(words[0], folders);
	for (uint64_t i = 0; i < files; i++) {
		path_of_file(path, words[0], folders, i);
		int fd = open_file(path, O_WRONLY | O_CREAT | O_EXCL);
		if (size)
			write_at(fd, noise_for(i, size), size, 0);
		close_file(fd);
	}
}

static void run_readall(char **words) {
	static uint8_t buffer[1u << 20];
	uint64_t folders = number(words[1]), files = number(words[2]);
	char path[PATH_BYTES];
	for (uint64_t i = 0; i < files; i++) {
		path_of_file(path, words[0], folders, i);
		int fd = open_file(path, O_RDONLY);
		while (read(fd, buffer, sizeof buffer) > 0)
			;
		close_file(fd);
	}
}

static void run_stat(char **words) {
	uint64_t folders = number(words[1]), files = number(words[2]), calls = number(words[3]);
	char path[PATH_BYTES];
	for (uint64_t i = 0; i < calls; i++) {
		path_of_file(path, words[0], folders, i * FAR % files);
		(void)size_of(path);
	}
}

/* ---- appenders ---- */

struct appender {
	pthread_t thread;
	uint64_t calls;
	char path[PATH_BYTES];
};

static void *append(void *arg) {
	struct appender *appender = arg;
	int fd = open_file(appender->path, O_WRONLY | O_CREAT | O_APPEND);
	for (uint64_t i = 0; i < appender->calls; i++) {
		if (write(fd, noise_for(i, PAGE), PAGE) != (ssize_t)PAGE)
			fail("write");
		sync_file(fd);
	}
	close_file(fd);
	return NULL;
}

static void run_append(char **words) {
	static struct appender appenders[MAX_WRITERS];
	uint64_t writers = number(words[1]);
	if (writers > MAX_WRITERS)
		writers = MAX_WRITERS;
	for (uint64_t i = 0; i < writers; i++) {
		struct appender *appender = &appenders[i];
		appender->calls = number(words[2]);
		snprintf(appender->path, sizeof appender->path, "%s.%llu", words[0], (unsigned long long)i);
		errno = pthread_create(&appender->thread, NULL, append, appender);
		if (errno)
			fail("a thread");
	}
	for (uint64_t i = 0; i < writers; i++)
		pthread_join(appenders[i].thread, NULL);
}

static const struct workload {
	const char *name;
	int words;
	void (*run)(char **words);
} workloads[] = {
        {"write", 3, run_write},
        {"read", 2, run_read},
        {"create", 4, run_create},
        {"readall", 3, run_readall},
        {"randwrite", 2, run_random_write},
        {"randread", 2, run_random_read},
        {"append", 3, run_append},
        {"overwrite", 1, run_overwrite},
        {"stat", 4, run_stat},
};

int main(int argc, char **argv) {
	for (size_t i = 0; argc > 1 && i < sizeof workloads / sizeof *workloads; i++) {
		if (strcmp(argv[1], workloads[i].name) != 0 || argc - 2 != workloads[i].words)
			continue;
		make_noise();
		double start = seconds();
		workloads[i].run(argv + 2);
		printf("%.6f\n", seconds() - start);
		free(noise);
		return 0;
	}
	fprintf(stderr, "usage: bench_driver WORKLOAD WORD... (see the head of tests/fs/bench_driver.c)\n");
	return 2;
}
