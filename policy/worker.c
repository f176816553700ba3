#include "policy/worker.h"

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "policy/feed.h"
#include "policy/lane.h"
#include "policy/sandbox.h"
#include "policy/spawner.h"
#include "policy/worker_answer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>

#define MEMORY_DEFAULT (512ull << 20)
#define SECONDS_DEFAULT 60u
#define ANSWER_BYTES (64u << 10) /* at first */
/* The most that a check may put aside on the disk: a count takes 32 bytes. */
#define SPILL_BYTES (1ull << 30)
#define SPILL_TIMES 64
/* The spawner keeps the time; this is for when the spawner itself hangs. */
#define GRACE_MS 10000

struct Spawner {
	int control;
	pid_t pid;
	struct spawner_options options;
	char confinement[128];
	int spill_folder; /* -1: checks have no temporary files */
	struct lane small, large;
};

/* ---- starting and stopping ---- */

/* Links of a directory with so many in it: ThreadSanitizer has a thread of its own from the first that is made on; and
 * no thread can be made in a process that was forked while it was there. */
#ifdef ASSAYFS_SANITIZED_THREADS
enum { LINKS_OF_ONE_THREAD = 2 + 2, HAS_CREW = 0 };
#else
enum { LINKS_OF_ONE_THREAD = 2 + 1, HAS_CREW = 1 };
#endif

static int check_single_thread(void) {
	struct stat st;
	if (stat("/proc/self/task", &st) == 0 && st.st_nlink > LINKS_OF_ONE_THREAD)
		return fault(EBUSY, "the spawner must be forked before any thread is made");
	return 0;
}

static void describe(Spawner *s, int reached) {
	snprintf(s->confinement, sizeof s->confinement, "%s%sno system calls but reading, writing and memory; limits",
	        reached & SANDBOX_NAMESPACES ? "empty root, no network, " : "no namespaces (the kernel refused), ",
	        reached & SANDBOX_OTHER_USER ? "user nobody, " : "");
}

static int greet(Spawner *s) {
	struct spawn_hello hello = {0};
	ssize_t got;
	do
		got = recv(s->control, &hello, sizeof hello, 0);
	while (got < 0 && errno == EINTR);
	if (got != sizeof hello || hello.magic != SPAWN_MAGIC)
		return fault(ECHILD, "the process that starts checks ended at once");
	if (hello.reached < 0)
		return fault_errno(-hello.reached, "the process that starts checks could not confine itself");
	if (s->options.require_sandbox && !(hello.reached & SANDBOX_NAMESPACES))
		return fault(EPERM,
		        "checks can't be given an empty root and no network here: the kernel allows namespaces "
		        "neither to this user nor to everybody (kernel.unprivileged_userns_clone)");
	describe(s, hello.reached);
	return 0;
}

static void set_defaults(struct spawner_options *options) {
	options->check = options->check ? options->check : check_table;
	options->small_workers = options->small_workers ? options->small_workers : 4;
	options->large_workers = options->large_workers ? options->large_workers : 2;
	options->memory_bytes = options->memory_bytes ? options->memory_bytes : MEMORY_DEFAULT;
	options->seconds = options->seconds ? options->seconds : SECONDS_DEFAULT;
}

static int fork_spawner(Spawner *s) {
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fault_errno(errno, "making a socket for the spawner");
	pid_t parent = getpid();
	s->pid = fork();
	if (s->pid == 0)
		spawner_main(pair[1], parent, s->options.check, s->options.lock_memory);
	int error = errno;
	(void)close(pair[1]);
	s->control = pair[0];
	return s->pid < 0 ? fault_errno(error, "forking the process that starts checks") : greet(s);
}

int spawner_start(const struct spawner_options *options, Spawner **ret_spawner) {
	int rc = check_single_thread();
	if (rc < 0)
		return rc;
	_cleanup_(spawner_stopp) Spawner *s = calloc(1, sizeof *s);
	if (!s)
		return fault(ENOMEM, "no memory for the spawner");
	s->control = s->spill_folder = -1;
	s->pid = -1;
	if (options)
		s->options = *options;
	set_defaults(&s->options);
	if (s->options.small_workers + s->options.large_workers > SPAWN_WORKERS_MAX)
		return fault(EINVAL, "at most %d checks can run at once", SPAWN_WORKERS_MAX);
	lane_init(&s->small, s->options.small_workers);
	lane_init(&s->large, s->options.large_workers);
	rc = fork_spawner(s);
	if (rc < 0)
		return rc;
	*ret_spawner = steal_pointer(&s);
	return 0;
}

/* It ends by itself when the socket closes; one that does not is killed. */
static void reap(pid_t pid) {
	for (int tries = 0; tries < 200; tries++) {
		pid_t got = waitpid(pid, NULL, WNOHANG);
		if (got == pid || (got < 0 && errno != EINTR))
			return;
		struct timespec pause = {.tv_nsec = 10000000};
		(void)nanosleep(&pause, NULL);
	}
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

void spawner_stop(Spawner *s) {
	if (!s)
		return;
	closep(&s->control);
	closep(&s->spill_folder);
	if (s->pid > 0)
		reap(s->pid);
	lane_destroy(&s->small);
	lane_destroy(&s->large);
	free(s);
}

const char *spawner_confinement(const Spawner *s) {
	return s->confinement;
}

bool spawner_alive(Spawner *s) {
	struct pollfd fd = {.fd = s->control, .events = POLLIN};
	return poll(&fd, 1, 0) == 0;
}

int spawner_spill_into(Spawner *s, const char *folder) {
	closep(&s->spill_folder);
	s->spill_folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return s->spill_folder < 0 ? fault_errno(errno, "opening %s for temporary files of checks", folder) : 0;
}

pid_t spawner_pid(const Spawner *s) {
	return s->pid;
}

/* ---- one job ---- */

struct job {
	const struct check_request *request;
	struct spawn_request limits;
	struct feed file, references;
	struct reference_queue queue;
	int result, status; /* our ends; -1 when done with */
	struct sha256 hash;
	uint64_t size;
	bool is_again; /* the file is read for the second time */
	uint8_t *answer;
	size_t answer_size, answer_room, answer_most;
	struct spawn_status end;
	bool is_late;
};

static void free_job(struct job *job) {
	feed_close(&job->file);
	feed_close(&job->references);
	closep(&job->result);
	closep(&job->status);
	free(job->answer);
}

/* A file's size, which costs nothing when it is all holes, must not buy a worker the machine. */
static uint64_t half_of_memory(void) {
	long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
	return pages > 0 && bytes > 0 ? (uint64_t)pages * (uint64_t)bytes / 2 : UINT64_MAX / 2;
}

static void set_limits(const Spawner *s, struct job *job) {
	uint64_t size = check_job_bytes(job->request->job);
	unsigned passes = job->request->input.again ? 2 : 1;
	uint64_t seconds = s->options.seconds + (size >> 20) * passes;
	uint64_t most = half_of_memory();
	uint64_t memory = size > most / 4 ? most : s->options.memory_bytes + 4 * size;
	if (memory > most)
		memory = s->options.memory_bytes > most ? s->options.memory_bytes : most;
	job->limits = (struct spawn_request){.magic = SPAWN_MAGIC,
	        .seconds = seconds > 7 * 24 * 3600 ? 7 * 24 * 3600 : (uint32_t)seconds,
	        .memory_bytes = memory,
	        .lock_memory = s->options.lock_memory,
	        .may_have_crew = HAS_CREW,
	        .bytes = size,
	        .spill_bytes = 0};
}

static ssize_t read_file(void *context, void *buffer, size_t size) {
	struct job *job = context;
	const struct check_input *input = &job->request->input;
	ssize_t got = input->read(input->context, buffer, size);
	if (got <= 0 || job->is_again)
		return got;
	job->size += (uint64_t)got;
	sha256_update(&job->hash, bytes_of(buffer, (size_t)got));
	return got;
}

/* Of a file that is not as long as was said the worker could not tell where it begins again: it finds an end. */
static int read_file_again(void *context) {
	struct job *job = context;
	const struct check_input *input = &job->request->input;
	job->is_again = true;
	return job->size == job->request->job->size ? input->again(input->context) : 0;
}

/* What comes first is the job, with its length. */
static int begin_feeds(struct job *job) {
	_cleanup_(freep) char *json = NULL;
	size_t size;
	struct check_job said = *job->request->job;
	said.is_twice = job->request->input.again != NULL;
	int rc = check_job_to_json(&said, &json, &size);
	if (rc < 0)
		return rc;
	bool is_changed = said.is_twice || privacy_may_change(said.privacy);
	job->answer_most = sizeof(struct spawn_lengths) + CHECK_RESULT_MAX +
	                   (is_changed || said.keep ? ROW_LIST_BYTES_MAX : 0) + (is_changed ? EDIT_LIST_BYTES_MAX : 0);
	uint32_t length = (uint32_t)size;
	_cleanup_(freep) uint8_t *first = malloc(sizeof length + size);
	if (!first)
		return fault(ENOMEM, "no memory for a check");
	memcpy(first, &length, sizeof length);
	memcpy(first + sizeof length, json, size);
	job->file.is_read_whole = true; /* its hash belongs into the verdict */
	job->queue.job = job->request->job;
	rc = feed_begin(&job->file, bytes_of(first, sizeof length + size),
	        (struct check_input){
	                .read = read_file, .context = job, .again = said.is_twice ? read_file_again : NULL});
	return rc < 0 ? rc : feed_begin(&job->references, bytes_of(NULL, 0), reference_queue_input(&job->queue));
}

/* A check that puts much aside must leave room for others: a quarter of what is free. */
static uint64_t spill_limit(int fd, uint64_t size) {
	struct statvfs about;
	uint64_t most = size < UINT64_MAX / 2 / SPILL_TIMES ? SPILL_BYTES + SPILL_TIMES * size : UINT64_MAX / 2;
	if (fstatvfs(fd, &about) < 0)
		return most;
	uint64_t quarter = (uint64_t)about.f_bavail * about.f_frsize / 4;
	return most < quarter ? most : quarter;
}

/* Of a file that may need one. A check that has none passes and fails as any other, as long as it fits into memory; so
 * that none can be made is no reason not to begin. */
static int open_spill(const Spawner *s, struct job *job) {
	const struct check_job *said = job->request->job;
	if (s->spill_folder < 0 || !check_job_may_spill(said))
		return -1;
	int fd = spill_open_file(s->spill_folder);
	job->limits.spill_bytes = fd >= 0 ? spill_limit(fd, said->size) : 0;
	if (job->limits.spill_bytes == 0)
		closep(&fd);
	return fd;
}

static int send_request(const Spawner *s, const struct job *job, const int fds[static SPAWN_FDS]) {
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(SPAWN_FDS * sizeof(int))] = {0};
	struct spawn_request request = job->limits;
	size_t count = request.spill_bytes ? SPAWN_FDS : SPAWN_FDS - 1;
	struct iovec part = {.iov_base = &request, .iov_len = sizeof request};
	struct msghdr message = {.msg_iov = &part,
	        .msg_iovlen = 1,
	        .msg_control = space,
	        .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(header), fds, count * sizeof(int));
	ssize_t put;
	do
		put = sendmsg(s->control, &message, MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : 0;
}

/* Makes the channels and hands the worker's ends over. */
static int open_channels(const Spawner *s, struct job *job) {
	_cleanup_(closep) int theirs_input = -1, theirs_references = -1, theirs_result = -1, theirs_status = -1;
	_cleanup_(closep) int theirs_spill = open_spill(s, job);
	int result[2], status[2];
	int rc = feed_open(&job->file, &theirs_input);
	if (rc == 0)
		rc = feed_open(&job->references, &theirs_references);
	if (rc < 0)
		return rc;
	if (pipe2(result, O_CLOEXEC) < 0)
		return fault_errno(errno, "making a pipe for a check");
	job->result = result[0];
	theirs_result = result[1];
	if (pipe2(status, O_CLOEXEC) < 0)
		return fault_errno(errno, "making a pipe for a check");
	job->status = status[0];
	theirs_status = status[1];
	(void)fcntl(job->result, F_SETFL, O_NONBLOCK);
	int fds[SPAWN_FDS] = {[SPAWN_FD_INPUT] = theirs_input,
	        [SPAWN_FD_RESULT] = theirs_result,
	        [SPAWN_FD_REFERENCES] = theirs_references,
	        [SPAWN_FD_STATUS] = theirs_status,
	        [SPAWN_FD_SPILL] = theirs_spill};
	return send_request(s, job, fds);
}

static void stop_feeding(struct job *job) {
	feed_stop(&job->file);
	feed_stop(&job->references);
}

/* Grows with what comes: most answers are small, and what a daemon has is locked in memory. */
static int make_room(struct job *job) {
	if (job->answer_size < job->answer_room || job->answer_room == job->answer_most)
		return 0;
	size_t room = job->answer_room ? 2 * job->answer_room : ANSWER_BYTES;
	room = room < job->answer_most ? room : job->answer_most;
	uint8_t *answer = realloc(job->answer, room);
	if (!answer)
		return fault(ENOMEM, "no memory for the answer of a check");
	job->answer = answer;
	job->answer_room = room;
	return 0;
}

static int take_answer(struct job *job) {
	int rc = make_room(job);
	size_t room = job->answer_room - job->answer_size;
	if (rc < 0)
		return rc;
	ssize_t got = room > 0 ? read(job->result, job->answer + job->answer_size, room) : 0;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got <= 0)
		closep(&job->result);
	else
		job->answer_size += (size_t)got;
	return 0;
}

static void take_status(struct job *job) {
	struct spawn_status status;
	ssize_t got = read(job->status, &status, sizeof status);
	if (got < 0 && errno == EINTR)
		return;
	if (got == sizeof status && status.magic == SPAWN_MAGIC)
		job->end = status;
	closep(&job->status);
	stop_feeding(job);
}

static int is_interrupted(const struct job *job) {
	const struct check_request *request = job->request;
	return request->interrupted ? request->interrupted(request->interrupted_arg) : 0;
}

/* Moves bytes until the file is read, the worker has ended, and its answer is here. */
static int converse(struct job *job) {
	int64_t deadline = monotonic_ms() + (int64_t)job->limits.seconds * 1000 + GRACE_MS;
	for (;;) {
		int rc = is_interrupted(job);
		if (rc >= 0)
			rc = feed_fill(&job->file);
		if (rc >= 0)
			rc = feed_fill(&job->references);
		if (rc < 0)
			return rc;
		if (job->status < 0 && job->result >= 0) {
			if ((rc = take_answer(job)) < 0) /* all that will come is here */
				return rc;
			continue;
		}
		if (job->status < 0 && job->file.has_ended)
			return 0;
		struct pollfd polls[] = {{.fd = job->file.fd, .events = POLLOUT}, {.fd = job->result, .events = POLLIN},
		        {.fd = job->status, .events = POLLIN}, {.fd = job->references.fd, .events = POLLOUT}};
		if (poll(polls, 4, feed_is_busy(&job->file) ? 0 : 500) < 0 && errno != EINTR)
			return fault_errno(errno, "waiting for a check");
		if (polls[1].revents && (rc = take_answer(job)) < 0)
			return rc;
		if (polls[0].revents)
			feed_send(&job->file);
		if (polls[3].revents)
			feed_send(&job->references);
		if (polls[2].revents)
			take_status(job);
		if (job->status >= 0 && monotonic_ms() > deadline) {
			job->is_late = true;
			closep(&job->status); /* which the spawner takes as a call to kill */
			closep(&job->result);
			stop_feeding(job);
		}
	}
}

/* ---- what became of it ---- */

static int say_signal(const struct job *job, int signal, struct check_result **ret_result) {
	if (signal == SIGSYS)
		return check_result_error(
		        ret_result, "the check tried something that a check may not do, and was stopped");
	if (signal == SIGXCPU)
		return check_result_error(ret_result,
		        "the check used more than %u s of processor time, the limit for a file of this size",
		        job->limits.seconds);
	if (signal == SIGKILL)
		return check_result_error(
		        ret_result, "the check was killed from outside, perhaps because the machine ran out of memory");
	return check_result_error(ret_result, "the check crashed (signal %d, %s)", signal, strsignal(signal));
}

static int say_exit(const struct job *job, int status, struct check_result **ret_result) {
	if (status == WORKER_EXIT_MEMORY)
		return check_result_error(ret_result,
		        "the check needed more than %llu MiB of memory, the limit for a file of this size",
		        (unsigned long long)(job->limits.memory_bytes >> 20));
	if (status == WORKER_EXIT_LOCK)
		return check_result_error(ret_result,
		        "the check could not lock its memory, and swap is not encrypted; raise `ulimit -l`");
	if (status == WORKER_EXIT_SANDBOX)
		return check_result_error(ret_result, "the check could not be confined, and was not made");
	return check_result_error(ret_result, "the check ended without an answer (exit status %d)", status);
}

static int say_answer(const struct job *job, struct check_result **ret_result) {
	if (job->answer_size < sizeof(struct spawn_lengths))
		return check_result_error(ret_result, "the check ended without an answer");
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	const struct check_request *request = job->request;
	int rc = worker_answer_read(request->job, request->input.again != NULL, job->size,
	        bytes_of(job->answer, job->answer_size), &result);
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0)
		return check_result_error(ret_result, "the check's answer can't be believed: %s", fault_message());
	if (result->outcome != OUTCOME_ERROR && result->bytes_read != job->size)
		return check_result_error(ret_result, "the check read %llu of the file's %llu bytes",
		        (unsigned long long)result->bytes_read, (unsigned long long)job->size);
	*ret_result = steal_pointer(&result);
	return 0;
}

static int say_gone(struct check_result **ret_result) {
	return check_result_error(ret_result, "the process that starts checks is gone, so nothing can be checked; "
	                                      "unmount the vault and mount it again");
}

static int conclude(const struct job *job, struct check_result **ret_result) {
	if (job->is_late || job->end.end == SPAWN_TIMED_OUT)
		return check_result_error(ret_result,
		        "the check took longer than %u s, the limit for a file of this size", job->limits.seconds);
	if (job->end.end == SPAWN_NOT_STARTED)
		return check_result_error(ret_result, "a process for the check could not be started: %s",
		        strerrordesc_np(job->end.value));
	if (job->end.end != SPAWN_ENDED)
		return say_gone(ret_result);
	if (WIFSIGNALED(job->end.value))
		return say_signal(job, WTERMSIG(job->end.value), ret_result);
	if (!WIFEXITED(job->end.value) || WEXITSTATUS(job->end.value) != 0)
		return say_exit(job, WEXITSTATUS(job->end.value), ret_result);
	return say_answer(job, ret_result);
}

/* With nobody to check it, the file is read all the same: its hash belongs into the verdict. */
static int read_only(struct job *job) {
	stop_feeding(job);
	int rc = 0;
	while (rc == 0 && !job->file.has_ended)
		rc = feed_fill(&job->file);
	return rc;
}

static int run(Spawner *s, struct job *job, struct check_outcome *ret_outcome) {
	set_limits(s, job);
	sha256_init(&job->hash);
	int rc = begin_feeds(job);
	if (rc < 0)
		return rc;
	rc = open_channels(s, job);
	bool is_gone = rc == -EPIPE || rc == -ECONNRESET || rc == -ENOTCONN;
	if (rc < 0 && !is_gone)
		return rc;
	rc = is_gone ? read_only(job) : converse(job);
	if (rc < 0)
		return rc;
	struct check_outcome outcome = {.size = job->size};
	sha256_final(&job->hash, outcome.sha256);
	rc = is_gone ? say_gone(&outcome.result) : conclude(job, &outcome.result);
	if (rc < 0)
		return rc;
	*ret_outcome = outcome;
	return 0;
}

int spawner_check(Spawner *s, const struct check_request *request, struct check_outcome *ret_outcome) {
	struct job job = {.request = request, .file = {.fd = -1}, .references = {.fd = -1}, .result = -1, .status = -1};
	struct lane *lane = check_job_bytes(request->job) < SPAWNER_SMALL_BYTES ? &s->small : &s->large;
	lane_enter(lane, request->user);
	int rc = run(s, &job, ret_outcome);
	free_job(&job);
	lane_leave(lane, request->user);
	return rc;
}
