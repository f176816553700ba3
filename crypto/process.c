#include "crypto/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

/* Stacks of devices are this deep at most; deeper counts as unsafe. */
#define STACK_MAX 8
#define PATH_BYTES 512

/* ---- /proc/swaps ---- */

/* Copies the word at `from` (to the next blank), undoing \ooo; returns where it ends. */
static const char *take_word(const char *from, size_t size, char *ret_word) {
	size_t length = 0;
	while (*from && *from != ' ' && *from != '\t' && *from != '\n') {
		char byte = *from++;
		if (byte == '\\' && from[0] >= '0' && from[0] <= '3' && from[1] >= '0' && from[1] <= '7' &&
		        from[2] >= '0' && from[2] <= '7') {
			byte = (char)((from[0] - '0') << 6 | (from[1] - '0') << 3 | (from[2] - '0'));
			from += 3;
		}
		if (length + 1 < size)
			ret_word[length++] = byte;
	}
	ret_word[length] = '\0';
	return from;
}

bool process_swap_exposed(
        const char *swaps, process_swap_safe_fn *safe, void *context, char ret_name[static PROCESS_NAME_BYTES]) {
	const char *line = strchr(swaps, '\n'); /* the first line is the heading */
	while (line && line[1]) {
		char name[PROCESS_NAME_BYTES], type[PROCESS_NAME_BYTES];
		const char *after = take_word(line + 1, sizeof name, name);
		after += strspn(after, " \t");
		(void)take_word(after, sizeof type, type);
		if (line[1] != '\n' && !safe(context, type, name)) {
			memcpy(ret_name, name, sizeof name);
			return true;
		}
		line = strchr(line + 1, '\n');
	}
	return false;
}

/* ---- sysfs ---- */

/* The first bytes of a small file, "" when it is not there. */
static void read_line(const char *directory, const char *name, size_t size, char *ret_text) {
	char path[PATH_BYTES];
	ret_text[0] = '\0';
	if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
		return;
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, ret_text, size - 1);
	ret_text[got > 0 ? got : 0] = '\0';
}

static void close_directory(DIR **directory) {
	if (*directory)
		(void)closedir(*directory);
}

static bool device_is_safe(const char *device, unsigned depth);

/* Whether the device stands on others and all of those are safe. */
static bool slaves_are_safe(const char *device, unsigned depth) {
	char path[PATH_BYTES];
	bool any = false;
	if (snprintf(path, sizeof path, "%s/slaves", device) >= (int)sizeof path)
		return false;
	_cleanup_(close_directory) DIR *slaves = opendir(path);
	for (struct dirent *entry; slaves && (entry = readdir(slaves));) {
		if (entry->d_name[0] == '.')
			continue;
		if (snprintf(path, sizeof path, "%s/slaves/%s", device, entry->d_name) >= (int)sizeof path ||
		        !device_is_safe(path, depth + 1))
			return false;
		any = true;
	}
	return any;
}

static bool device_is_zram(const char *device) {
	char path[PATH_BYTES], backing[64];
	struct stat meta;
	/* Only zram has this file. */
	if (snprintf(path, sizeof path, "%s/mem_used_max", device) >= (int)sizeof path || stat(path, &meta) != 0)
		return false;
	read_line(device, "backing_dev", sizeof backing, backing);
	return backing[0] == '\0' || strcmp(backing, "none\n") == 0;
}

/* `device` is a directory of sysfs that describes a block device. */
static bool device_is_safe(const char *device, unsigned depth) {
	char uuid[64];
	if (depth > STACK_MAX)
		return false;
	read_line(device, "dm/uuid", sizeof uuid, uuid);
	return strncmp(uuid, "CRYPT-", 6) == 0 || device_is_zram(device) || slaves_are_safe(device, depth);
}

bool process_swap_is_safe(void *context, const char *type, const char *name) {
	const char *sysfs = context;
	char device[PATH_BYTES];
	int length = -1;
	if (strcmp(type, "partition") == 0) {
		const char *slash = strrchr(name, '/');
		length = snprintf(device, sizeof device, "%s/class/block/%s", sysfs, slash ? slash + 1 : name);
	} else if (strcmp(type, "file") == 0) {
		struct stat meta;
		if (stat(name, &meta) == 0)
			length = snprintf(device, sizeof device, "%s/dev/block/%u:%u", sysfs, major(meta.st_dev),
			        minor(meta.st_dev));
	}
	return length > 0 && length < (int)sizeof device && device_is_safe(device, 0);
}

/* ---- this process ---- */

static int forbid_dumps(void) {
	const struct rlimit none = {0, 0};
	if (setrlimit(RLIMIT_CORE, &none) != 0)
		return fault_errno(errno, "forbidding core files");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return fault_errno(errno, "making the process undumpable");
	return 0;
}

/* Whether mappings of the size of a key derivation still succeed while all memory is locked. */
static bool locked_memory_suffices(void) {
	const size_t size = (size_t)1 << 30;
	void *probe = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (probe == MAP_FAILED)
		return false;
	(void)munmap(probe, size);
	return true;
}

static int lock_memory(const char *area) {
	struct rlimit limit;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_MEMLOCK, &limit);
	}
	/* ONFAULT: only what is used is locked, not whole reserved stacks and arenas. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) {
		if (locked_memory_suffices())
			return 0;
		(void)munlockall();
	}
	return fault(EPERM,
	        "swap on %s is not encrypted and memory cannot be locked, so keys could reach the disk: "
	        "switch it off (swapoff %s), encrypt it (crypttab, zram), "
	        "or allow locked memory (ulimit -l unlimited, or LimitMEMLOCK=infinity)",
	        area, area);
}

/* The whole of /proc/swaps; -EFBIG when it does not fit, so that no area is overlooked. */
static int read_swaps(size_t size, char *ret_text) {
	_cleanup_(closep) int fd = open("/proc/swaps", O_RDONLY | O_CLOEXEC);
	size_t done = 0;
	ret_text[0] = '\0';
	if (fd < 0 && errno == ENOENT) /* a kernel without swap */
		return 0;
	while (fd >= 0 && done < size - 1) {
		ssize_t got = read(fd, ret_text + done, size - 1 - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		ret_text[done += (size_t)got] = '\0';
		if (got == 0)
			return 0;
	}
	return fault_errno(EIO, "reading /proc/swaps");
}

static int find_exposed(bool *ret_exposed, char ret_area[static PROCESS_NAME_BYTES]) {
	char swaps[8192], sysfs[] = "/sys";
	int rc = read_swaps(sizeof swaps, swaps);
	if (rc == 0)
		*ret_exposed = process_swap_exposed(swaps, process_swap_is_safe, sysfs, ret_area);
	return rc;
}

bool process_must_lock(void) {
	char area[PROCESS_NAME_BYTES];
	bool exposed;
	return find_exposed(&exposed, area) != 0 || exposed;
}

int process_harden(void) {
	char area[PROCESS_NAME_BYTES];
	bool exposed;
	int rc = forbid_dumps();
	if (rc == 0)
		rc = find_exposed(&exposed, area);
	if (rc)
		return rc;
	return exposed ? lock_memory(area) : 0;
}

int process_keep_only(int fd) {
	enum { PLACE = STDERR_FILENO + 1, ABOVE = 10 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, ABOVE);
	if (null < 0 || kept < 0)
		return -errno;
	for (int standard = 0; standard < PLACE; standard++)
		if (dup2(null, standard) < 0)
			return -errno;
	bool is_alone = dup3(kept, PLACE, O_CLOEXEC) == PLACE && syscall(SYS_close_range, PLACE + 1u, ~0u, 0u) == 0;
	return is_alone ? PLACE : -errno;
}
