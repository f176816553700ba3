#include "policy/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <seccomp.h>

#ifdef ASSAYFS_SANITIZED
#define IS_SANITIZED 1
/* Of libasan, whose headers gcc does not install. */
size_t __sanitizer_get_current_allocated_bytes(void);
int __sanitizer_install_malloc_and_free_hooks(
        void (*malloc_hook)(const volatile void *, size_t), void (*free_hook)(const volatile void *));
#else
#define IS_SANITIZED 0
#endif

#define NOBODY 65534

/* ---- the spawner ---- */

static bool detach_root(const char *on) {
	if (mount("assayfs", on, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=555") < 0)
		return false;
	if (chdir(on) < 0)
		return false;
	/* The old root ends on top of the new one, and is taken off: nothing of the host stays reachable, and no mount
	 * of it is kept busy by a process that nobody thinks of. */
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
			return false;
	} else if (chroot(".") < 0 || chdir("/") < 0) {
		return false;
	}
	(void)mount("none", "/", "none", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	return true;
}

/*
 * After a chroot the root may be no mount. Then a namespace of mounts could not be cut off from the host's, nor the old
 * root be taken off it; and it would keep every mount that it has a copy of from ending, other vaults' too, for as long
 * as the spawner lives.
 */
static bool root_is_mount(void) {
	struct statx root;
	if (statx(AT_FDCWD, "/", AT_NO_AUTOMOUNT, STATX_INO, &root) < 0)
		return false;
	bool is_told = root.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT;
	return !is_told || (root.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static bool enter_namespaces(void) {
	const bool has_mounts = root_is_mount();
	int spaces = (has_mounts ? CLONE_NEWNS : 0) | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
	if (unshare(spaces) < 0 && unshare(spaces | CLONE_NEWUSER) < 0)
		return false;
	if (!has_mounts || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	static const char *const places[] = {"/tmp", "/proc", "/dev", "/run"};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (detach_root(places[i]))
			return true;
	return false;
}

static bool become_nobody(bool keep_locking) {
	(void)prctl(PR_SET_KEEPCAPS, keep_locking ? 1 : 0, 0, 0, 0);
	return geteuid() == 0 && setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
	       setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

/* All go, but for the one to lock memory where that is asked for: the limit on locked memory can be raised by those
 * only who may raise limits, which a service's root often may not; and it counts for as long as memory is taken. With
 * it nothing else can be done, least of all behind the filter. */
static void drop_capabilities(bool keep_locking) {
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct kept[_LINUX_CAPABILITY_U32S_3] = {{0}};
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	kept[0].effective = kept[0].permitted = keep_locking ? 1u << CAP_IPC_LOCK : 0;
	if (syscall(SYS_capset, &header, kept) == 0)
		return;
	kept[0].effective = kept[0].permitted = 0;
	(void)syscall(SYS_capset, &header, kept);
}

static void leave_terminal(void) {
	static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2};
	(void)setsid();
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGCHLD, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* More memory may be locked than a user's limit says, where we are root still; the workers inherit it. */
static void raise_lock_limit(void) {
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
	if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
}

/* Changing ids clears the death signal, so this comes after it; and the parent may have died in between. */
static bool die_with(pid_t parent) {
	return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent;
}

int sandbox_enter_spawner(pid_t parent, bool lock_memory) {
	int reached = 0;
	leave_terminal();
	tzset(); /* reads /etc/localtime now; gmtime_r would try to later, where there are no files */
	raise_lock_limit();
	if (enter_namespaces())
		reached |= SANDBOX_NAMESPACES;
	if (become_nobody(lock_memory))
		reached |= SANDBOX_OTHER_USER;
	drop_capabilities(lock_memory);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return die_with(parent) ? reached : -ESRCH;
}

/* ---- the worker ---- */

static bool limit(int resource, rlim_t soft, rlim_t hard) {
	struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
	return setrlimit((__rlimit_resource_t)resource, &limit) == 0;
}

/* No more than was inherited: a limit can't be raised. */
static bool limit_file(rlim_t most) {
	struct rlimit inherited;
	if (getrlimit(RLIMIT_FSIZE, &inherited) < 0)
		return false;
	most = inherited.rlim_max < most ? inherited.rlim_max : most;
	return limit(RLIMIT_FSIZE, most, most);
}

static bool set_limits(const struct sandbox_limits *limits) {
	/* AddressSanitizer reserves terabytes of addresses; there the allocator's own count stands in (below). */
	if (!IS_SANITIZED && !limit(RLIMIT_AS, limits->memory_bytes, limits->memory_bytes))
		return false;
	return limit(RLIMIT_CPU, limits->seconds, limits->seconds + 2) && limit(RLIMIT_CORE, 0, 0) &&
	       limit_file(limits->spill_bytes) && limit(RLIMIT_NPROC, 0, 0) && limit(RLIMIT_NOFILE, 0, 0) &&
	       limit(RLIMIT_MSGQUEUE, 0, 0);
}

#if IS_SANITIZED
static size_t most_allocated;

static void count_allocation(const volatile void *memory, size_t size) {
	(void)memory;
	if (size > most_allocated || __sanitizer_get_current_allocated_bytes() > most_allocated)
		_exit(WORKER_EXIT_MEMORY);
}

static void count_release(const volatile void *memory) {
	(void)memory;
}

static void watch_allocator(uint64_t most) {
	most_allocated = most;
	(void)__sanitizer_install_malloc_and_free_hooks(count_allocation, count_release);
}
#else
static void watch_allocator(uint64_t most) {
	(void)most;
}
#endif

static bool allow(scmp_filter_ctx filter, const int calls[], size_t count) {
	for (size_t i = 0; i < count; i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0) < 0)
			return false;
	return true;
}

/* Memory that can be written never becomes memory that can be run. An error and not death, so that a library that would
 * like to compile code (PCRE2's JIT) finds that it can't and goes on without. */
static bool allow_memory(scmp_filter_ctx filter) {
	static const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) <
		                0 ||
		        seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), calls[i], 1,
		                SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC)) < 0)
			return false;
	return true;
}

/* abort() may end the process by its own signal, so that a failed assertion is told from a forbidden call. */
static bool allow_abort(scmp_filter_ctx filter) {
	static const int calls[] = {SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigreturn),
	        SCMP_SYS(getpid), SCMP_SYS(gettid)};
	return allow(filter, calls, sizeof calls / sizeof *calls) &&
	       seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 2,
	               SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0), SCMP_A2(SCMP_CMP_EQ, SIGABRT, 0)) == 0;
}

/* Of the temporary file alone. */
static bool allow_spill(scmp_filter_ctx filter) {
	static const int calls[] = {SCMP_SYS(pread64), SCMP_SYS(pwrite64)};
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1, SCMP_A0(SCMP_CMP_EQ, SANDBOX_SPILL_FD, 0)) <
		        0)
			return false;
	return true;
}

/* What stdio asks about a descriptor it will read anyway. */
static bool refuse_questions(scmp_filter_ctx filter) {
	static const int calls[] = {
	        SCMP_SYS(lseek), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(ioctl), SCMP_SYS(sched_getaffinity)};
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0) < 0)
			return false;
	return true;
}

static bool load_filter(const struct sandbox_limits *limits) {
	static const int calls[] = {SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk),
	        SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(clock_gettime),
	        SCMP_SYS(gettimeofday), SCMP_SYS(getrandom), SCMP_SYS(restart_syscall)};
	static const int sanitizer_calls[] = {SCMP_SYS(sched_yield), SCMP_SYS(sigaltstack)};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	bool loaded =
	        filter && seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, limits->has_helpers) == 0 &&
	        allow(filter, calls, sizeof calls / sizeof *calls) && allow_memory(filter) &&
	        (limits->spill_bytes == 0 || allow_spill(filter)) && allow_abort(filter) && refuse_questions(filter) &&
	        (!IS_SANITIZED || allow(filter, sanitizer_calls, sizeof sanitizer_calls / sizeof *sanitizer_calls)) &&
	        seccomp_load(filter) == 0;
	if (filter)
		seccomp_release(filter);
	return loaded;
}

void sandbox_enter_worker(pid_t parent, const struct sandbox_limits *limits) {
	unsigned last = limits->spill_bytes ? SANDBOX_SPILL_FD : SANDBOX_WORKER_FD;
	bool is_closed = syscall(SYS_close_range, 2u, SANDBOX_WORKER_FD - 1u, 0u) == 0 &&
	                 syscall(SYS_close_range, last + 1u, ~0u, 0u) == 0;
	if (!die_with(parent) || !is_closed)
		_exit(WORKER_EXIT_SANDBOX);
	/* Whatever handler the daemon had is of no use here: a crash shall look like one. */
	static const int crashes[] = {SIGPIPE, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGXCPU};
	for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
		(void)signal(crashes[i], SIG_DFL);
	(void)signal(SIGXFSZ, SIG_IGN); /* a temporary file over its limit is an error that is told */
	if (limits->lock_memory && mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		_exit(WORKER_EXIT_LOCK);
	if (!set_limits(limits) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || !load_filter(limits))
		_exit(WORKER_EXIT_SANDBOX);
	watch_allocator(limits->memory_bytes);
}
