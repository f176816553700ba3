#include "fs/session.h"
#include "crypto/base/deadline.h"
#include "fs/fuse.h"
#include "fs/turn.h"

#include <errno.h>
#include <fcntl.h>

#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "crypto/base/fault.h"
#include "fs/mountinfo.h"
#include "fs/operation_stats.h"

#define MAX_WRITE (1u << 20)
/* So that the kernel asks for four megabytes at a time, in four requests that as many threads serve. */
#define READ_AHEAD_KB "4096"
/* Of the dirty pages that the machine may hold, in percent; FUSE's own 1 is 50 MB of 24 GB. */
#define MAX_RATIO "10"
/* Threads that may wait for a commit or a verdict while others go on; each has a buffer of 1 MiB. */
#define THREADS_MAX 32
/* More than a block is long to seal or to open. */
#define QUICK_BYTES (16u << 10)
/* libfuse's version of 3.14 gives no option a longer word. */
#define OPTIONS_BYTES 4096
/* Longest wait for releases under way; beyond it the answer is what is known by then. */
#define SETTLE_SECONDS 5
/* What open(2) with O_TMPFILE asks for, since Linux 6.2; newer than these headers and than libfuse 3.14. */
#define OPCODE_TMPFILE 51
/* What copy_file_range(2) asks for first, since Linux 6.18. */
#define OPCODE_COPY_FILE_RANGE_64 53
/* Interrupts the loop's wait when the session is told to exit. */
#define WAKE_SIGNAL SIGUSR2

struct Session {
	struct fuse_session *fuse;
	Turn *turn; /* to read the next request */
	OperationStats *operations;
	char *mountpoint;
	void (*ready)(void *arg);
	void *ready_arg;
	pthread_t loop;       /* valid while !ended */
	pthread_mutex_t lock; /* guards `ended` and is the condition's */
	pthread_cond_t changed;
	bool ended; /* the loop has returned */
};

/* What the request that this thread serves said beyond what libfuse hands on. */
static _Thread_local struct {
	bool kills_privileges;
	bool is_init;
	uint32_t init_offers;
} request;

bool session_kills_privileges(void) {
	return request.kills_privileges;
}

struct fuse_session *session_fuse(Session *session) {
	return session->fuse;
}

/* ---- RELEASE, which nobody waits for ---- */

static struct {
	pthread_mutex_t lock; /* guards the counters */
	pthread_cond_t changed;
	uint64_t begun, done;
} releases = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void count_release(uint64_t *counter) {
	pthread_mutex_lock(&releases.lock);
	++*counter;
	pthread_cond_broadcast(&releases.changed);
	pthread_mutex_unlock(&releases.lock);
}

void session_released(void) {
	count_release(&releases.done);
}

void session_settle(void) {
	struct timespec until = deadline_after_ms(SETTLE_SECONDS * 1000);
	pthread_mutex_lock(&releases.lock);
	uint64_t awaited = releases.begun;
	int rc = 0;
	while (releases.done < awaited && rc == 0)
		rc = pthread_cond_clockwait(&releases.changed, &releases.lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&releases.lock);
}

/* ---- the descriptor's read and write ---- */

static bool asks_to_kill(const struct fuse_in_header *header, const uint8_t *body, size_t size) {
	if (header->opcode == FUSE_WRITE && size >= sizeof(struct fuse_write_in))
		return ((const struct fuse_write_in *)(const void *)body)->write_flags & FUSE_WRITE_KILL_SUIDGID;
	if (header->opcode == FUSE_OPEN && size >= sizeof(struct fuse_open_in))
		return ((const struct fuse_open_in *)(const void *)body)->open_flags & FUSE_OPEN_KILL_SUIDGID;
	if (header->opcode == FUSE_CREATE && size >= sizeof(struct fuse_create_in))
		return ((const struct fuse_create_in *)(const void *)body)->open_flags & FUSE_OPEN_KILL_SUIDGID;
	if (header->opcode == FUSE_SETATTR && size >= sizeof(struct fuse_setattr_in))
		return ((const struct fuse_setattr_in *)(const void *)body)->valid & FATTR_KILL_SUIDGID;
	return false;
}

/*
 * TMPFILE is laid out as CREATE, with SESSION_NAMELESS in the place of the name. COPY_FILE_RANGE_64 is COPY_FILE_RANGE,
 * answered with 64 bits instead of 32 and 32 zeros: the same bytes where the low ones come first. Answered as unknown,
 * the kernel falls back; but of two that ask for the first time at once the later one makes it give copying up for the
 * whole mount, and cp writes where it would have shared.
 */
static void make_known(struct fuse_in_header *header) {
	if (header->opcode == OPCODE_TMPFILE)
		header->opcode = FUSE_CREATE;
	if (header->opcode == OPCODE_COPY_FILE_RANGE_64 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		header->opcode = FUSE_COPY_FILE_RANGE;
}

/* False: a flush of the disk, or more bytes to seal or to open than a block has. */
static bool is_quick(const struct fuse_in_header *header, const uint8_t *body, size_t size) {
	switch (header->opcode) {
	case FUSE_INIT:
	case FUSE_DESTROY:
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_SYNCFS:
	case FUSE_FALLOCATE:
	case FUSE_LSEEK:
	case FUSE_COPY_FILE_RANGE:
		return false;
	case FUSE_WRITE:
		return size <= sizeof(struct fuse_write_in) + QUICK_BYTES;
	case FUSE_READ:
		return size >= sizeof(struct fuse_read_in) &&
		       ((const struct fuse_read_in *)(const void *)body)->size <= QUICK_BYTES;
	default:
		return true;
	}
}

static int processors(void) {
	cpu_set_t mine;
	return sched_getaffinity(0, sizeof mine, &mine) == 0 ? CPU_COUNT(&mine) : 1;
}

static ssize_t read_request(int fd, void *buffer, size_t capacity, void *userdata) {
	const Session *session = ((struct session_owner *)userdata)->session;
	Turn *turn = session->turn;
	ssize_t got = turn_read(turn, fd, buffer, capacity);
	fault_clear(); /* a request's words are its own, not those of the last one that this thread had */
	if (got < (ssize_t)sizeof(struct fuse_in_header))
		return got;
	make_known(buffer);
	const struct fuse_in_header *header = buffer;
	if (session->operations)
		operation_stats_asked(session->operations, header->opcode, header->unique);
	const uint8_t *body = (const uint8_t *)buffer + sizeof *header;
	size_t size = (size_t)got - sizeof *header;
	if (!is_quick(header, body, size))
		turn_pass(turn);
	request.kills_privileges = asks_to_kill(header, body, size);
	if (header->opcode == FUSE_RELEASE)
		count_release(&releases.begun);
	request.is_init = header->opcode == FUSE_INIT && size >= 16;
	if (request.is_init)
		request.init_offers = ((const struct fuse_init_in *)(const void *)body)->flags;
	return got;
}

/* From the table of mounts, as a stat of the mount would ask ourselves. */
static int find_device(const char *mountpoint, unsigned *ret_major, unsigned *ret_minor) {
	_cleanup_(freep) struct mountinfo *mount = malloc(sizeof *mount);
	if (!mount)
		return fault(ENOMEM, "looking for the mount: out of memory");
	int rc = mountinfo_find(mountpoint, mount);
	if (rc < 0)
		return rc;
	if (strcmp(mount->mountpoint, mountpoint) != 0 || strcmp(mount->type, MOUNTINFO_TYPE) != 0)
		return fault(ENOENT, "%s is not mounted", mountpoint);
	*ret_major = mount->major;
	*ret_minor = mount->minor;
	return 0;
}

static void set_bdi(int directory, const char *name, const char *value) {
	_cleanup_(closep) int fd = openat(directory, name, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, value, strlen(value)) < 0)
		return; /* it goes on as it is */
}

/* Only root may; an ordinary user's mount goes without. */
static void tune_bdi(const char *mountpoint) {
	char path[64];
	unsigned major, minor;
	if (find_device(mountpoint, &major, &minor) < 0)
		return;
	snprintf(path, sizeof path, "/sys/class/bdi/%u:%u", major, minor);
	_cleanup_(closep) int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return;
	set_bdi(directory, "read_ahead_kb", READ_AHEAD_KB);
	set_bdi(directory, "max_ratio", MAX_RATIO);
}

static ssize_t write_init_reply(Session *session, int fd, struct iovec *parts, int count) {
	request.is_init = false;
	bool has_body = count >= 2 && parts[1].iov_len >= offsetof(struct fuse_init_out, flags) + sizeof(uint32_t);
	if (has_body && (request.init_offers & FUSE_HANDLE_KILLPRIV_V2))
		((struct fuse_init_out *)parts[1].iov_base)->flags |= FUSE_HANDLE_KILLPRIV_V2;
	ssize_t written = writev(fd, parts, count);
	if (written > 0 && has_body) {
		tune_bdi(session->mountpoint);
		if (session->ready)
			session->ready(session->ready_arg);
	}
	return written;
}

static ssize_t write_reply(int fd, struct iovec *parts, int count, void *userdata) {
	Session *session = ((struct session_owner *)userdata)->session;
	if (request.is_init)
		return write_init_reply(session, fd, parts, count);
	const struct fuse_out_header *header = parts[0].iov_base;
	if (session->operations)
		operation_stats_answered(session->operations, header->unique, header->error,
		        count == 2 ? parts[1].iov_base : NULL, header->len - sizeof *header);
	return writev(fd, parts, count);
}

static void want(struct fuse_conn_info *connection, unsigned flag) {
	if (connection->capable & flag)
		connection->want |= flag;
}

void session_negotiate(struct fuse_conn_info *connection) {
	connection->max_write = MAX_WRITE;
	connection->max_readahead = UINT32_MAX; /* libfuse takes the lesser of ours and the kernel's */
	connection->max_background = 64;
	connection->congestion_threshold = 48;
	connection->time_gran = 1;
	want(connection, FUSE_CAP_WRITEBACK_CACHE);
	want(connection, FUSE_CAP_ASYNC_READ);
	want(connection, FUSE_CAP_ATOMIC_O_TRUNC);
	want(connection, FUSE_CAP_DONT_MASK);
	want(connection, FUSE_CAP_PARALLEL_DIROPS);
	want(connection, FUSE_CAP_READDIRPLUS);
	want(connection, FUSE_CAP_ASYNC_DIO);
	want(connection, FUSE_CAP_EXPLICIT_INVAL_DATA);
	want(connection, FUSE_CAP_EXPORT_SUPPORT); /* open_by_handle_at(2), NFS: look-ups of "." and ".." */
	/* The kernel's page cache goes by what we say; a change of mtime alone drops nothing. POSIX_ACL would switch
	 * default_permissions on. Locks are the kernel's own. */
	connection->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_POSIX_ACL | FUSE_CAP_POSIX_LOCKS |
	                                FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_SPLICE_READ |
	                                FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	/* By itself the kernel asks for attributes with the first page of a listing alone; find and rm read a folder to
	 * its end before they look at a file, and would cost a look-up for most. (find among 20,000 files, cold: 370 ms
	 * so, 140 with attributes always; names alone, which nobody then asks more of, 97 and 134.) */
	connection->want &= ~(unsigned)FUSE_CAP_READDIRPLUS_AUTO;
}

/* ---- mounting ---- */

/* libfuse's own words, kept for the message of a failure instead of going to standard error. */
static char fuse_words[512];

__attribute__((format(printf, 2, 0))) static void keep_fuse_words(
        enum fuse_log_level level, const char *format, va_list values) {
	if (level == FUSE_LOG_DEBUG) {
		vfprintf(stderr, format, values);
		return;
	}
	/* It says one line in pieces: a piece behind a whole line begins anew. */
	size_t used = strlen(fuse_words);
	if (used && fuse_words[used - 1] == '\n')
		used = 0;
	vsnprintf(fuse_words + used, sizeof fuse_words - used, format, values);
}

/* Its last line, without the end. "" when it said nothing. */
static const char *last_fuse_words(void) {
	fuse_words[strcspn(fuse_words, "\n")] = '\0';
	return fuse_words;
}

bool session_has_option(const char *list, const char *name) {
	size_t length = strlen(name);
	for (const char *at = list; at && *at; at += strcspn(at, ","), at += *at == ',')
		if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
			return true;
	return false;
}

static bool fuse_conf_allows_others(void) {
	FILE *file = fopen("/etc/fuse.conf", "re");
	if (!file)
		return false;
	char line[256];
	bool allows = false;
	while (fgets(line, sizeof line, file)) {
		char word[64], more[2];
		allows = allows || (sscanf(line, "%63s %1s", word, more) == 1 && strcmp(word, "user_allow_other") == 0);
	}
	fclose(file);
	return allows;
}

static int check_mountable(const struct session_options *options) {
	struct stat about;
	if (stat(options->mountpoint, &about) < 0)
		return fault_errno(errno, "mount point %s", options->mountpoint);
	if (!S_ISDIR(about.st_mode))
		return fault(ENOTDIR, "mount point %s is not a directory", options->mountpoint);
	if (access("/dev/fuse", F_OK) < 0)
		return fault(ENODEV,
		        "/dev/fuse is missing: load the kernel's module (modprobe fuse), or in a container "
		        "start it with --device /dev/fuse");
	bool others = session_has_option(options->fuse_options, "allow_other") ||
	              session_has_option(options->fuse_options, "allow_root");
	if (others && geteuid() != 0 && !fuse_conf_allows_others())
		return fault(EPERM, "allow_other is refused to ordinary users: root can allow it by adding the line "
		                    "`user_allow_other` to /etc/fuse.conf");
	return 0;
}

/* A comma in a path would end the option. */
static void escape_option(const char *text, char *ret_escaped, size_t size) {
	size_t used = 0;
	for (; *text && used + 2 < size; text++) {
		if (*text == ',' || *text == '\\')
			ret_escaped[used++] = '\\';
		ret_escaped[used++] = *text;
	}
	ret_escaped[used] = '\0';
}

static int build_session(const struct fuse_lowlevel_ops *ops, struct session_owner *userdata,
        const struct session_options *options, Session *session) {
	char list[OPTIONS_BYTES], source[OPTIONS_BYTES];
	bool more = options->fuse_options && options->fuse_options[0];
	escape_option(options->source, source, sizeof source);
	int length = snprintf(list, sizeof list, "subtype=" MOUNTINFO_SUBTYPE ",fsname=%s%s%s", source, more ? "," : "",
	        more ? options->fuse_options : "");
	if (length < 0 || (size_t)length >= sizeof list)
		return fault(EINVAL, "the mount options are longer than %d bytes", OPTIONS_BYTES);
	struct fuse_args arguments = FUSE_ARGS_INIT(0, NULL);
	int failed = fuse_opt_add_arg(&arguments, "assayfs") || fuse_opt_add_arg(&arguments, "-o") ||
	             fuse_opt_add_arg(&arguments, list) || (options->debug && fuse_opt_add_arg(&arguments, "-d"));
	if (!failed)
		session->fuse = fuse_session_new(&arguments, ops, sizeof *ops, userdata);
	fuse_opt_free_args(&arguments);
	if (!session->fuse)
		return fault(EINVAL, "mount options %s: %s", more ? options->fuse_options : "",
		        last_fuse_words()[0] ? last_fuse_words() : "not understood");
	return 0;
}

static int attach(Session *session) {
	errno = 0;
	if (fuse_session_mount(session->fuse, session->mountpoint) != 0)
		return fault(errno ? errno : EIO, "mounting at %s: %s", session->mountpoint,
		        last_fuse_words()[0] ? last_fuse_words()
		                             : "fusermount3 refused (is the package fuse3 installed?)");
	static const struct fuse_custom_io io = {.read = read_request, .writev = write_reply};
	int rc = fuse_session_custom_io(session->fuse, &io, fuse_session_fd(session->fuse));
	return rc ? fault(EIO, "libfuse refuses the session's own input and output") : 0;
}

int session_mount(const struct fuse_lowlevel_ops *ops, struct session_owner *userdata,
        const struct session_options *options, Session **ret) {
	int rc = check_mountable(options);
	if (rc < 0)
		return rc;
	_cleanup_(session_closep) Session *session = calloc(1, sizeof *session);
	if (!session)
		return fault(ENOMEM, "mounting");
	pthread_mutex_init(&session->lock, NULL);
	pthread_cond_init(&session->changed, NULL);
	session->turn = turn_new(processors(), options->idle, options->idle_arg);
	if (!session->turn)
		return fault(ENOMEM, "mounting");
	session->operations = options->operations;
	session->ready = options->ready;
	session->ready_arg = options->ready_arg;
	session->ended = true;
	session->mountpoint = realpath(options->mountpoint, NULL);
	if (!session->mountpoint)
		return fault_errno(errno, "mount point %s", options->mountpoint);
	fuse_words[0] = '\0';
	fuse_set_log_func(keep_fuse_words);
	rc = build_session(ops, userdata, options, session);
	if (rc == 0)
		rc = attach(session);
	if (rc < 0)
		return rc;
	userdata->session = session;
	*ret = steal_pointer(&session);
	return 0;
}

void session_waits(Session *session) {
	turn_pass(session->turn);
}

int session_connection(Session *session, unsigned *ret) {
	unsigned major;
	return find_device(session->mountpoint, &major, ret);
}

/* ---- the loop and its end ---- */

static void set_ended(Session *session, bool ended) {
	pthread_mutex_lock(&session->lock);
	session->loop = pthread_self();
	session->ended = ended;
	pthread_cond_broadcast(&session->changed);
	pthread_mutex_unlock(&session->lock);
}

static void wake(int signal_number) {
	(void)signal_number;
}

int session_run(Session *session) {
	struct sigaction action = {.sa_handler = wake}; /* no SA_RESTART: libfuse's wait must end */
	sigaction(WAKE_SIGNAL, &action, NULL);
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	if (!config)
		return fault(ENOMEM, "starting the threads of the mount");
	fuse_loop_cfg_set_clone_fd(config, 1);
	fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
	fuse_loop_cfg_set_idle_threads(config, THREADS_MAX); /* none ends before the loop: it could have the turn */
	set_ended(session, false);
	int rc = fuse_session_loop_mt(session->fuse, config);
	fuse_loop_cfg_destroy(config);
	set_ended(session, true);
	return rc < 0 ? fault_errno(-rc, "serving the mount") : 0;
}

static int run_fusermount(const char *mountpoint, bool lazily) {
	char program[] = "fusermount3", unmount[] = "-u", quiet[] = "-q", lazy[] = "-z", end[] = "--";
	_cleanup_(freep) char *where = strdup(mountpoint);
	if (!where)
		return -ENOMEM;
	char *arguments[] = {
	        program, unmount, quiet, lazily ? lazy : end, lazily ? end : where, lazily ? where : NULL, NULL};
	pid_t pid;
	extern char **environ;
	int error = posix_spawnp(&pid, program, NULL, NULL, arguments, environ);
	int status;
	if (error || waitpid(pid, &status, 0) < 0)
		return error ? -error : -errno;
	return status == 0 ? 0 : -EBUSY;
}

static int unmount(Session *session, bool lazily) {
	if (geteuid() != 0)
		return run_fusermount(session->mountpoint, lazily);
	return umount2(session->mountpoint, UMOUNT_NOFOLLOW | (lazily ? MNT_DETACH : 0)) < 0 ? -errno : 0;
}

/* Dirty pages of files that stay open would be lost with the session: the kernel is asked to send them now. */
static void write_back(Session *session) {
	_cleanup_(closep) int fd = open(session->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		(void)syncfs(fd);
}

static bool wait_for_end(Session *session, unsigned seconds) {
	struct timespec until = deadline_after_ms(seconds * 1000);
	pthread_mutex_lock(&session->lock);
	int rc = 0;
	while (!session->ended && rc == 0)
		rc = pthread_cond_clockwait(&session->changed, &session->lock, CLOCK_MONOTONIC, &until);
	bool ended = session->ended;
	pthread_mutex_unlock(&session->lock);
	return ended;
}

void session_stop(Session *session, unsigned grace_seconds) {
	int rc = unmount(session, false);
	if (rc == -EBUSY) {
		write_back(session);
		rc = unmount(session, true);
	}
	if (wait_for_end(session, rc == 0 ? grace_seconds : 0))
		return;
	pthread_mutex_lock(&session->lock);
	fuse_session_exit(session->fuse);
	if (!session->ended)
		pthread_kill(session->loop, WAKE_SIGNAL);
	pthread_mutex_unlock(&session->lock);
}

void session_detach(Session *session) {
	fuse_session_unmount(session->fuse);
}

void session_close(Session *session) {
	if (!session)
		return;
	if (session->fuse) {
		session_detach(session);
		fuse_session_destroy(session->fuse);
	}
	turn_free(session->turn);
	free(session->mountpoint);
	pthread_cond_destroy(&session->changed);
	pthread_mutex_destroy(&session->lock);
	free(session);
}
