#include "fs/http/confine.h"

#include "policy/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#ifdef ASSAYFS_SANITIZED
#define IS_SANITIZED 1
#else
#define IS_SANITIZED 0
#endif

#define FDS_MAX 16
#define MEMORY_BYTES ((rlim_t)256 << 20)
#define NICE 10

int confine_descriptors(const int *fds, size_t count) {
	int kept[FDS_MAX];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || count > FDS_MAX)
		return null < 0 ? -errno : -E2BIG;
	for (size_t i = 0; i < count; i++) {
		kept[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 64);
		if (kept[i] < 0)
			return -errno;
	}
	for (int i = 0; i <= STDERR_FILENO; i++)
		if (dup2(null, i) < 0)
			return -errno;
	for (size_t i = 0; i < count; i++)
		if (dup3(kept[i], STDERR_FILENO + 1 + (int)i, O_CLOEXEC) < 0)
			return -errno;
	return syscall(SYS_close_range, STDERR_FILENO + 1u + (unsigned)count, ~0u, 0u) == 0 ? 0 : -errno;
}

static void limit(int resource, rlim_t most) {
	struct rlimit limit = {.rlim_cur = most, .rlim_max = most};
	(void)setrlimit((__rlimit_resource_t)resource, &limit);
}

int confine_process(pid_t parent, unsigned connections) {
	struct sched_param none = {0};
	int reached = sandbox_enter_spawner(parent, false);
	if (reached < 0)
		return reached;
	(void)prctl(PR_SET_NAME, "assayfs-http", 0, 0, 0);
	(void)sched_setscheduler(0, SCHED_BATCH, &none);
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	if (!IS_SANITIZED)
		limit(RLIMIT_AS, MEMORY_BYTES);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, connections + 64);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_NPROC, IS_SANITIZED ? 4 : 0);
	return 0;
}

static bool allow_all(scmp_filter_ctx filter, const int *calls, size_t count) {
	for (size_t i = 0; i < count; i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0) < 0)
			return false;
	return true;
}

/* Memory that can be written never becomes memory that can be run. */
static bool allow_memory(scmp_filter_ctx filter) {
	static const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) <
		        0)
			return false;
	return true;
}

int confine_calls(void) {
	static const int calls[] = {SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close),
	        SCMP_SYS(shutdown), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg),
	        SCMP_SYS(accept4), SCMP_SYS(accept), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(setsockopt),
	        SCMP_SYS(getsockopt), SCMP_SYS(fcntl), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
	        SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk), SCMP_SYS(madvise),
	        SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
	        SCMP_SYS(gettimeofday), SCMP_SYS(getrandom), SCMP_SYS(exit), SCMP_SYS(exit_group),
	        SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
	        SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(sched_yield), SCMP_SYS(sigaltstack)};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	bool is_loaded = filter && allow_all(filter, calls, sizeof calls / sizeof calls[0]) && allow_memory(filter) &&
	                 seccomp_load(filter) == 0;
	if (filter)
		seccomp_release(filter);
	return is_loaded ? 0 : -EPERM;
}
